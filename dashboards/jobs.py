"""Scoring jobs that outlive the page or the request that started them.

A job is a folder ``workspace/jobs/<id>/``; whoever can read the workspace can follow it:

========================  ============================================================
``request.json``          what was asked, written once by :func:`submit`
``state.json``            how far it is, replaced atomically by the job's own process
``cancel``                present once somebody asked for an end
``result.<format>``       the scores, there only when the job has finished
``log.txt``               what the process said
========================  ============================================================

The job runs in a process of its own (``python -m dashboards.jobs FOLDER``: the same calls
as ``python -m variant_effect.score``), in a session of its own, so neither a reloaded
browser tab nor a restarted server ends it. Everyone else only reads::

    job = submit(workspace, vcf, name="lines.vcf.gz", regions=["chr1:1-50000"])
    while not (job := read_job(workspace, job.id)).is_over:
        show(job.state, job.stage, job.done, job.total, job.remaining_s)
    table = job.folder / job.outputs[0].name  # Parquet, the columns of docs/columns.md

``cancel(workspace, id)`` signals the process; a second call kills it. A process that is
gone without having said so (killed, power cut) makes its job ``failed``: it is known by
its pid and start time, so another process under the same pid is not taken for it.
``SLOTS`` jobs run at a time, the others wait as ``queued``.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from data_registry.errors import InputError, PlatformError, WorkspaceError
from data_registry.workspace import Workspace, disk_error, written_beside

State = Literal["queued", "running", "finished", "failed", "cancelled"]

SLOTS = 2
"""Jobs of a workspace that run at a time; they share the cores."""
FORMATS: Mapping[str, str] = {
    "parquet": "result.parquet", "tsv": "result.tsv", "vcf": "result.vcf.gz",
    "jsonl": "result.jsonl",
}  # fmt: skip
"""Format to the name of the output."""

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{12}")
_START_LIMIT_S = 60
_SAME_START_S = 2.0
"""Start times of one process, read twice, differ by less than this when clocks are set."""
_REGISTRY_WAIT_S = 600
_LEAST_CHUNK, _MOST_CHUNK, _CHUNKS = 2_000, 50_000, 50


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked.

    Parameters
    ----------
    vcf
        The file on this machine, absolute.
    name
        What the person calls it; shown, never opened.
    regions
        ``chr:start-end``, 1-based inclusive; none: everything.
    submitted_at
        Seconds since 1970.
    """

    vcf: str
    name: str
    regions: tuple[str, ...]
    format: str
    submitted_at: float


@dataclass(frozen=True, slots=True)
class Output:
    """A file the job made, inside its folder."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands now.

    Parameters
    ----------
    stage
        What it is doing, in words.
    done, total
        Records scored and records there are; ``total`` None until they are counted.
    started_at, ended_at
        Seconds since 1970; None where it has not come to that.
    pace_since, pace_from
        When the first records were done, and how many they were: opening the models,
        which comes before, says nothing of the speed.
    problem
        Why it failed, with the remedy; "" otherwise.
    accounting
        ``input_alleles = scored + sum(reasons)``, so far while it runs.
    missing_layers
        Sentences on what the workspace lacks.
    workspace_digest
        Of everything the scores rest on; "" until known.
    """

    id: str
    folder: Path
    request: Request
    state: State
    stage: str
    done: int = 0
    total: int | None = None
    started_at: float | None = None
    pace_since: float | None = None
    pace_from: int = 0
    ended_at: float | None = None
    problem: str = ""
    accounting: Mapping[str, Any] = field(default_factory=dict)
    missing_layers: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    workspace_digest: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in {"finished", "failed", "cancelled"}

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the speed so far; None while that is unknown."""
        n = self.done - self.pace_from
        if self.is_over or self.total is None or self.pace_since is None or n <= 0:
            return None
        return (self.total - self.done) * (time.time() - self.pace_since) / n


# -- what everyone may call ----------------------------------------------------------


def submit(
    workspace: Path,
    vcf: Path,
    *,
    name: str = "",
    regions: Sequence[str] = (),
    form: str = "parquet",
) -> Job:
    """Start scoring a file in a process of its own; return at once.

    Parameters
    ----------
    vcf
        The file; it must stay where it is until the job is over.
    name
        What to call it on screens; default its own name.
    form
        Of the result: a key of ``FORMATS``.

    Raises
    ------
    InputError, WorkspaceError
        No such format; no workspace; the jobs folder cannot be written.
    """
    if form not in FORMATS:
        raise InputError(f"no format {form!r}; there are: {', '.join(FORMATS)}")
    Workspace(workspace).require()
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = _jobs(workspace) / f"{stamp}-{secrets.token_hex(6)}"
    request = Request(
        str(vcf.resolve()), shown_name(name or vcf.name), tuple(regions), form,
        time.time(),
    )  # fmt: skip
    try:
        folder.mkdir(parents=True)
        _write(folder / "request.json", asdict(request))
        log = (folder / "log.txt").open("wb")
    except OSError as error:
        raise disk_error(error, folder) from error
    with log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "dashboards.jobs", str(folder.resolve())],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    # Somebody must take its exit status, or it stays as a zombie.
    threading.Thread(target=process.wait, daemon=True).start()
    return read_job(workspace, folder.name)


def read_job(workspace: Path, job_id: str) -> Job:
    """Return a job as it stands.

    Raises
    ------
    InputError
        There is no job of that id.
    """
    folder = _jobs(workspace) / job_id
    if not _ID.fullmatch(job_id) or not (folder / "request.json").is_file():
        raise InputError(f"there is no job {job_id[:60]!r}")
    request = _request(folder)
    try:
        held = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        job = Job(job_id, folder, request, "queued", "starting")
        is_late = time.time() - request.submitted_at > _START_LIMIT_S
        return _ended(job) if is_late else job
    try:
        pid, pid_started = held.pop("pid"), held.pop("pid_started")
        held["outputs"] = tuple(Output(**one) for one in held["outputs"])
        held["missing_layers"] = tuple(held["missing_layers"])
        job = Job(job_id, folder, request, **held)
    except (KeyError, TypeError):
        problem = "its state was written by another version of cisgraph; start it again"
        return Job(job_id, folder, request, "failed", "failed", problem=problem)
    return job if job.is_over or _is_alive(pid, pid_started) else _ended(job)


def list_jobs(workspace: Path) -> list[Job]:
    """Return all jobs of a workspace, newest first."""
    folder = _jobs(workspace)
    names = sorted((p.name for p in folder.glob("*-*")), reverse=True)
    found = []
    for name in names:
        # One that is removed meanwhile is not listed.
        with contextlib.suppress(InputError, FileNotFoundError):
            found.append(read_job(workspace, name))
    return found


def cancel(workspace: Path, job_id: str) -> Job:
    """Ask a job to end; a second call kills it.

    The job ends at its next chunk; what it wrote of a result is removed.

    Raises
    ------
    InputError
        There is no job of that id.
    """
    job = read_job(workspace, job_id)
    if job.is_over:
        return job
    mark = job.folder / "cancel"
    is_second = mark.exists()
    mark.touch()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        held = json.loads((job.folder / "state.json").read_text(encoding="utf-8"))
        if _is_alive(held["pid"], held["pid_started"]):
            os.kill(held["pid"], signal.SIGKILL if is_second else signal.SIGTERM)
    return read_job(workspace, job_id)


def remove(workspace: Path, job_id: str) -> None:
    """Delete a job that is over, its result and its uploaded file with it.

    Raises
    ------
    InputError
        There is no such job, or it still runs.
    """
    job = read_job(workspace, job_id)
    if not job.is_over:
        raise InputError(f"job {job_id} is {job.state}; cancel it first")
    shutil.rmtree(job.folder, ignore_errors=True)
    vcf = Path(job.request.vcf)
    if vcf.parent == uploads_of(workspace).resolve():
        vcf.unlink(missing_ok=True)


def uploads_of(workspace: Path) -> Path:
    """Return the folder of uploaded files: inside no web root, under generated names."""
    return workspace / "uploads"


def shown_name(text: str) -> str:
    """Return the last part of a name somebody gave, fit to be shown."""
    last = re.split(r"[/\\]", text)[-1]
    return "".join(c for c in last if c.isprintable())[:120] or "unnamed"


def _jobs(workspace: Path) -> Path:
    return workspace / "jobs"


def _request(folder: Path) -> Request:
    held = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    return Request(**{**held, "regions": tuple(held["regions"])})


def _is_alive(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        is_same: bool = abs(process.create_time() - started) < _SAME_START_S
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _ended(job: Job) -> Job:
    """Return a job whose process is gone without a last word."""
    if (job.folder / "cancel").exists():
        return replace(job, state="cancelled", stage="cancelled", outputs=())
    problem = (
        "the process of this job ended without a word: it was killed, for want of memory "
        "or by a restart of the machine; start it again. Its last lines stand in log.txt"
    )
    return replace(job, state="failed", stage="failed", problem=problem, outputs=())


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with written_beside(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


# -- the job's own process -----------------------------------------------------------


class _Cancelled(BaseException):
    """Raised by the signal, through whatever is running."""


@dataclass(slots=True)
class _Keeper:
    """Writes ``state.json`` of the job whose process this is; nobody else does."""

    job: Job

    def set(self, **changes: Any) -> None:  # noqa: ANN401
        self.job = replace(self.job, **changes)
        content = asdict(self.job)
        del content["id"], content["folder"], content["request"]
        own = psutil.Process()
        content |= {"pid": own.pid, "pid_started": own.create_time()}
        _write(self.job.folder / "state.json", content)


def run(folder: Path) -> None:
    """Run the job of a folder in this process, to whatever end."""

    def end(_signal: int, _frame: object) -> None:
        raise _Cancelled

    keeper = _Keeper(Job(folder.name, folder, _request(folder), "queued", "waiting"))
    try:
        signal.signal(signal.SIGTERM, end)
        keeper.set(stage="waiting for another job to end")
        if (folder / "cancel").exists():
            raise _Cancelled
        with _slot(folder.parent):
            keeper.set(state="running", stage="opening", started_at=time.time())
            _score(keeper)
    except _Cancelled:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _clear(folder)
        keeper.set(state="cancelled", stage="cancelled", ended_at=time.time())
    except BaseException as error:
        _clear(folder)
        expected = isinstance(error, PlatformError)
        problem = str(error) if expected else f"{type(error).__name__}: {error}"
        # Paths of the server are nothing to the person who sent the file.
        problem = problem.replace(keeper.job.request.vcf, keeper.job.request.name)
        problem = problem.replace(str(folder.parents[1]), "the workspace")
        keeper.set(
            state="failed", stage="failed", problem=problem, ended_at=time.time()
        )
        if not expected:
            raise


def _score(keeper: _Keeper) -> None:
    # Imported here: a job that waits for its turn holds little memory.
    from variant_effect.preparation import prepare
    from variant_effect.run import Accounting, Choices, available_cores, score_vcf
    from variant_effect.score import read_regions

    folder, request = keeper.job.folder, keeper.job.request
    vcf, out = Path(request.vcf), folder / FORMATS[request.format]
    keeper.set(stage="counting records")
    total = count_records(vcf)
    chunk = min(max(total // _CHUNKS, _LEAST_CHUNK), _MOST_CHUNK)
    keeper.set(stage="waiting for the registry", total=total)
    # Open until the end: no writer comes in between the chunks.
    with _registry(folder.parents[1]) as store:
        prepared = prepare(store, on_step=lambda step: keeper.set(stage=step))
        regions = read_regions(list(request.regions), None, prepared)
        keeper.set(stage="scoring", workspace_digest=prepared.digest)

        def on_progress(n_chunks: int, counts: Accounting) -> None:
            if (folder / "cancel").exists():  # the signal can get lost in foreign code
                raise _Cancelled
            # With regions the counts are of the records inside; all are read.
            read = min(n_chunks * chunk if regions else counts.records, total)
            if keeper.job.pace_since is None:
                keeper.set(pace_since=time.time(), pace_from=read)
            keeper.set(done=read, accounting=counts.as_dict())

        result = score_vcf(
            vcf, out, prepared, Choices(regions, request.format, chunk_records=chunk),
            workers=max(available_cores() // SLOTS, 1), on_progress=on_progress,
        )  # fmt: skip
    made = [out, out.with_name(f"{out.name}.csi")]
    keeper.set(
        state="finished", stage="finished", done=total, ended_at=time.time(),
        accounting=result.accounting.as_dict(), missing_layers=result.missing_layers,
        outputs=tuple(Output(p.name, p.stat().st_size) for p in made if p.is_file()),
    )  # fmt: skip


def count_records(vcf: Path) -> int:
    """Return the records of a VCF or BCF, every one read.

    Raises
    ------
    MalformedFileError
        The file is no VCF, or cut short.
    """
    from data_registry.workspace import require_file
    from variant_effect.vcf import VcfReader

    reader = VcfReader(require_file(vcf))
    try:
        return sum(chunk.lines.count(b"\n") for chunk in reader.chunks(100_000))
    finally:
        reader.close()


@contextlib.contextmanager
def _registry(workspace: Path) -> Iterator[Any]:
    """Open the registry; while a writer holds it, wait."""
    from data_registry.store import open_store

    until = time.monotonic() + _REGISTRY_WAIT_S
    while True:
        with contextlib.ExitStack() as stack:
            try:
                store = stack.enter_context(open_store(workspace))
            except WorkspaceError as error:
                if "in use" not in str(error) or time.monotonic() > until:
                    raise
            else:
                yield store
                return
        time.sleep(0.5)


@contextlib.contextmanager
def _slot(jobs: Path) -> Iterator[None]:
    """Wait for one of ``SLOTS`` places; a dead process holds none."""
    files = [(jobs / f".slot-{i}").open("w") for i in range(SLOTS)]
    with contextlib.ExitStack() as stack:
        for file in files:
            stack.enter_context(file)
        while True:
            for file in files:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield
                return
            time.sleep(0.2)


def _clear(folder: Path) -> None:
    """Remove what a job wrote of its result."""
    for path in [*folder.glob(".result*"), *folder.glob("result*")]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
