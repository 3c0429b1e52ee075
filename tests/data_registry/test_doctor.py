"""The doctor finds what is there, what is not, and says what to do."""

import sys
import tomllib
from pathlib import Path

import pytest

from data_registry import doctor

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return doctor.examine(tmp_path_factory.mktemp("w") / "not" / "yet")


def test_this_installation_is_healthy(report):
    assert report.problems == ()
    assert report.healthy
    assert report.package_path == ROOT
    assert report.python == sys.version.split()[0]


def test_every_dependency_of_pyproject_is_named(report):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {line.split(">")[0].lower() for line in project["dependencies"]}
    assert {part.name for part in report.parts if part.required} == named
    assert {part.state for part in report.parts if part.required} == {"ok"}


def test_every_missing_part_comes_with_its_command(report):
    optional = [part for part in report.parts if not part.required]
    assert [part.name for part in optional] == [p.name for p in doctor.OPTIONAL_PARTS]
    for part in optional:
        assert (part.state == "ok") == (part.remedy == "")
        if part.state != "ok":
            assert part.remedy.startswith("pip install ")
            assert part.name in part.remedy or "cisgraph[" in part.remedy


def test_torch_says_what_it_was_built_for(report):
    [torch] = [part for part in report.parts if part.name == "torch"]
    if torch.state == "ok":
        assert torch.detail.startswith(("CPU only", "built for CUDA", "CUDA "))


def test_the_doctor_itself_loads_no_torch():
    failed, said = doctor.try_import(
        "import sys, data_registry.doctor; print('torch' in sys.modules)"
    )
    assert (failed, said) == (False, "False")


def test_all_self_checks_pass(report):
    assert len(report.checks) == 4
    assert [check for check in report.checks if not check.passed] == []


def test_a_failing_self_check_is_reported_and_does_not_stop_the_rest(monkeypatch):
    def fail():
        raise OSError("cannot load library")

    monkeypatch.setitem(doctor._CHECKS, "database (duckdb)", (fail, "mend it"))
    monkeypatch.setattr(doctor, "OPTIONAL_PARTS", ())
    report = doctor.examine()
    assert not report.healthy
    assert report.problems == (
        "self-check database (duckdb) failed: OSError: cannot load library. mend it",
    )
    assert len(report.checks) == 4


def test_a_wrong_answer_is_a_failure():
    check = doctor._run("sum", lambda: doctor._compare(4, 5), "count again")
    assert (check.passed, check.detail) == (False, "4 instead of 5")
    assert check.remedy == "count again"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module_here", "No module named"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
    ],
)
def test_a_broken_part_cannot_take_the_doctor_with_it(code, said):
    failed, detail = doctor.try_import(code)
    assert failed
    assert said in detail


def test_a_part_that_dies_on_import_is_broken_not_missing(monkeypatch, tmp_path):
    (tmp_path / "dies_here.py").write_text("raise RuntimeError('wrong CUDA')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    part = doctor._Optional("dies-here", "dies_here", "nothing", "pip install it")
    monkeypatch.setattr(doctor, "OPTIONAL_PARTS", (part,))
    [found] = doctor._see_optional_parts()
    assert (found.state, found.detail) == ("broken", "RuntimeError: wrong CUDA")
    assert found.remedy == "pip install it"


def test_places(tmp_path):
    deep = tmp_path / "a" / "b"
    place = doctor.see_place("workspace", deep, "remedy")
    assert place.writable
    assert place.free_bytes > 0
    assert str(tmp_path) in place.detail
    assert list(tmp_path.iterdir()) == []
    # Where a file stands, no folder can be made; this holds for root too.
    (tmp_path / "a").write_text("")
    blocked = doctor.see_place("workspace", deep, "remedy")
    assert not blocked.writable
    assert blocked.remedy == "remedy"


def test_an_unwritable_workspace_is_a_problem(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(doctor, "OPTIONAL_PARTS", ())
    report = doctor.examine(tmp_path / "file")
    assert not report.healthy
    [problem] = report.problems
    assert problem.startswith(f"workspace {tmp_path / 'file'}: cannot be written")
    assert "--workspace" in problem


@pytest.mark.parametrize(
    ("version", "wanted", "meets"),
    [
        ("2.13.0+cpu", ">=2.4", True),
        ("2.4", ">=2.4.0", True),
        ("2.3.9", ">=2.4", False),
        ("10.0", ">=9", True),
        ("3.0", ">=2,<3", False),
        ("1.0", "", True),
    ],
)
def test_versions(version, wanted, meets):
    assert doctor.satisfies(version, wanted) is meets


@pytest.mark.parametrize(
    ("limit", "cores", "expected"),
    [("4000", "50000 100000", (4000.0, 0.5)), ("max", "max 100000", None)],
)
def test_limits_of_the_container_count(tmp_path, monkeypatch, limit, cores, expected):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "cpu.max").write_text(f"{cores}\n")
    before = doctor._see_machine()
    monkeypatch.setattr(doctor, "_GROUP", tmp_path)
    machine = doctor._see_machine()
    if expected:
        assert (machine.memory_bytes, machine.cores) == expected
        assert machine.memory_free_bytes <= 3000
    else:
        assert machine.memory_bytes >= before.memory_bytes
        assert machine.cores >= 1
