"""Stored score runs: finished jobs, and what lies under ``scores/`` of the workspace."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dashboards.api.problems import Problem
from dashboards.jobs import Job, list_jobs, read_job
from data_registry.errors import InputError

_ACCOUNTING = "accounting "
_DIGEST = "workspace digest "


@dataclass(frozen=True, slots=True)
class Run:
    """One table of scored alleles.

    Parameters
    ----------
    id
        Of the job, or made from the file's place; never a path.
    made_at
        Seconds since 1970.
    accounting
        ``input_alleles = scored + sum(reasons)``.
    """

    id: str
    name: str
    path: Path
    made_at: float
    n_alleles: int
    columns: tuple[str, ...]
    workspace_digest: str
    accounting: dict[str, Any]


def find_runs(workspace: Path) -> list[Run]:
    """Return the runs of a workspace, newest first."""
    return sorted(_all(workspace), key=lambda run: (-run.made_at, run.id))


def find_run(workspace: Path, run_id: str | None) -> Run:
    """Return a run; the newest where no id is given.

    Raises
    ------
    Problem
        There is none.
    """
    with suppress(InputError):
        for run in _of_job(read_job(workspace, run_id or "")):
            return run
    for run in find_runs(workspace):
        if run_id is None or run.id == run_id:
            return run
    if run_id is None:
        raise Problem(
            "not-found",
            "nothing is scored yet; POST /api/score a VCF, and wait for its job",
        )
    raise Problem("not-found", f"there is no run {run_id[:60]!r}; /api/runs lists them")


def _all(workspace: Path) -> Iterator[Run]:
    for job in list_jobs(workspace):
        yield from _of_job(job)
    scores = workspace / "scores"
    for path in sorted(scores.rglob("*.parquet")):
        place = path.relative_to(scores)
        if not any(part.startswith(".") for part in place.parts):
            run_id = hashlib.sha256(place.as_posix().encode()).hexdigest()[:16]
            found = _read(path, run_id, path.stem)
            if found is not None:
                yield found


def _of_job(job: Job) -> Iterator[Run]:
    for output in job.outputs:
        if output.name.endswith(".parquet"):
            found = _read(job.folder / output.name, job.id, job.request.name)
            if found is not None:
                yield found


def _read(path: Path, run_id: str, name: str) -> Run | None:
    """Return the run of a file; None where it is gone, or no result of ours."""
    try:
        status = path.stat()
        return _read_once(path, run_id, name, status.st_mtime, status.st_size)
    except (OSError, pa.ArrowInvalid):
        return None


@lru_cache(maxsize=1024)
def _read_once(
    path: Path, run_id: str, name: str, made_at: float, _size: int
) -> Run | None:
    with pq.ParquetFile(path) as file:
        schema, n = file.schema_arrow, file.metadata.num_rows
    text = (schema.metadata or {}).get(b"cisgraph", b"").decode()
    if not {"chrom", "pos", "ref", "alt", "status"} <= set(schema.names) or not text:
        return None
    accounting: dict[str, Any] = {}
    digest = ""
    for line in text.splitlines():
        if line.startswith(_ACCOUNTING):
            accounting = json.loads(line.removeprefix(_ACCOUNTING))
        if line.startswith(_DIGEST):
            digest = line.removeprefix(_DIGEST)
    return Run(run_id, name, path, made_at, n, tuple(schema.names), digest, accounting)
