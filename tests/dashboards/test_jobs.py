"""Jobs: what everyone sees of them, whatever becomes of their process."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dashboards import jobs
from dashboards.jobs import Job, cancel, list_jobs, read_job, remove, run, submit
from data_registry.errors import InputError, WorkspaceError
from tests.organisms import snv, vcf_text

RECORDS = [snv("chr1", p) for p in (1, 101, 2101, 5003)] + [snv("chr2", 307)]


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    path = tmp_path / "lines.vcf"
    path.write_text(vcf_text(RECORDS))
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder that passes for a workspace; its jobs never get so far as to open it."""
    (tmp_path / "w" / "jobs").mkdir(parents=True)
    (tmp_path / "w" / "registry.duckdb").touch()
    return tmp_path / "w"


@contextmanager
def all_places_taken(workspace: Path) -> Iterator[None]:
    with ExitStack() as stack:
        for i in range(jobs.SLOTS):
            file = stack.enter_context((workspace / "jobs" / f".slot-{i}").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def waited(workspace: Path, job: Job, until: Callable[[Job], bool]) -> Job:
    end = time.monotonic() + 60
    while not until(job):
        assert time.monotonic() < end, job
        time.sleep(0.05)
        job = read_job(workspace, job.id)
    return job


def pid_of(job: Job) -> int:
    return int(json.loads((job.folder / "state.json").read_text())["pid"])


def test_a_job_scores_and_one_beside_it_says_what_is_wrong(
    workspace: Path, vcf: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.vcf"
    bad.write_text("##fileformat=VCFv4.2\nchr1\t1\n")
    good = submit(workspace, vcf, name="C:\\mine\\../lines\x07.vcf", regions=["chr1"])
    other = submit(workspace, bad, name="their.vcf")
    good = waited(workspace, good, lambda job: job.is_over)
    assert (good.state, good.problem) == ("finished", "")
    assert good.request.name == "lines.vcf"
    assert (good.done, good.total, good.remaining_s) == (5, 5, None)
    assert good.accounting["input_alleles"] == good.accounting["scored"] == 4
    (output,) = good.outputs
    assert output.size_bytes == (good.folder / output.name).stat().st_size
    table = pd.read_parquet(good.folder / output.name)
    assert table["pos"].tolist() == [1, 101, 2101, 5003]
    other = waited(workspace, other, lambda job: job.is_over)
    assert other.state == "failed"
    assert "their.vcf, line 2" in other.problem
    assert str(tmp_path) not in other.problem
    assert [job.id for job in list_jobs(workspace)][:2] == sorted(
        [good.id, other.id], reverse=True
    )
    remove(workspace, other.id)
    with pytest.raises(InputError, match="no job"):
        read_job(workspace, other.id)


def test_waiting_cancelled_and_killed(empty: Path, vcf: Path) -> None:
    with all_places_taken(empty):
        first, second = (submit(empty, vcf) for _ in range(2))
        assert first.state == "queued"
        with pytest.raises(InputError, match="queued; cancel it first"):
            remove(empty, first.id)
        for job in (first, second):
            waited(empty, job, lambda job: job.stage.startswith("waiting"))
        cancel(empty, first.id)
        first = waited(empty, first, lambda job: job.is_over)
        assert (first.state, first.outputs) == ("cancelled", ())
        os.kill(pid_of(second), signal.SIGKILL)
        second = waited(empty, second, lambda job: job.is_over)
        assert second.state == "failed"
        assert "killed" in second.problem
    assert cancel(empty, second.id).state == "failed"


def test_another_process_under_the_same_pid_is_not_the_job(
    empty: Path, vcf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.subprocess, "Popen", _NoProcess)
    job = submit(empty, vcf)
    jobs._Keeper(replace(job, state="running")).set(stage="scoring")
    assert read_job(empty, job.id).state == "running"
    file = job.folder / "state.json"
    held = json.loads(file.read_text())
    file.write_text(json.dumps({**held, "pid_started": held["pid_started"] - 100}))
    assert read_job(empty, job.id).state == "failed"
    killed = []
    monkeypatch.setattr(jobs.os, "kill", lambda *call: killed.append(call))
    cancel(empty, job.id)
    assert not killed


def test_a_process_that_never_came_up(
    empty: Path, vcf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.subprocess, "Popen", _NoProcess)
    job = submit(empty, vcf)
    monkeypatch.setattr(jobs, "_START_LIMIT_S", -1)
    assert read_job(empty, job.id).state == "failed"
    assert cancel(empty, job.id).state == "failed"


def test_cancelled_before_and_during(
    empty: Path, vcf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.subprocess, "Popen", _NoProcess)
    before = signal.getsignal(signal.SIGTERM)
    early = submit(empty, vcf)
    cancel(empty, early.id)
    run(early.folder)
    assert read_job(empty, early.id).state == "cancelled"

    def score(keeper: jobs._Keeper) -> None:
        (keeper.job.folder / "result.parquet").touch()
        (keeper.job.folder / ".result.parquet.parts-1").mkdir()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(jobs, "_score", score)
    late = submit(empty, vcf)
    run(late.folder)
    signal.signal(signal.SIGTERM, before)
    assert read_job(empty, late.id).state == "cancelled"
    assert sorted(p.name for p in late.folder.iterdir()) == [
        "log.txt", "request.json", "state.json",
    ]  # fmt: skip


def test_time_left_by_hand(
    empty: Path, vcf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.subprocess, "Popen", _NoProcess)
    job = replace(submit(empty, vcf), state="running", total=100, done=40)
    assert job.remaining_s is None
    # 30 records took 60 s after the first 10; 60 are left.
    job = replace(job, pace_from=10, pace_since=time.time() - 60)
    assert job.remaining_s == pytest.approx(120, abs=1)


@pytest.mark.parametrize(
    "job_id", ["", "..", "../jobs", "20261127-000000-0123456789ab", "a/b", "\x00"]
)
def test_no_such_job(empty: Path, job_id: str) -> None:
    for call in (read_job, cancel, remove):
        with pytest.raises(InputError, match="no job"):
            call(empty, job_id)


def test_what_is_refused_leaves_nothing(empty: Path, vcf: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no format 'xlsx'; there are: parquet"):
        submit(empty, vcf, form="xlsx")
    with pytest.raises(WorkspaceError, match="no workspace"):
        submit(tmp_path / "none", vcf)
    assert list_jobs(empty) == []


class _NoProcess:
    """Stands for a process that does nothing."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def wait(self) -> None: ...
