"""The Dagster file: its steps exist, and, where Dagster is, its lineage is the rebuild's."""

import ast
import importlib.util
import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graph_builder import rebuild
from graph_builder.cli import app
from tests.organisms import make_workspace

FILE = Path(rebuild.__file__).with_name("orchestration.py")


def steps_called():
    calls = [
        node for node in ast.walk(ast.parse(FILE.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "call"
    ]  # fmt: skip
    return [node.args[0].value for node in calls]


def test_each_step_of_a_rebuild_is_called_and_no_other():
    listed = CliRunner().invoke(app, ["rebuild-step", "list"])
    steps = json.loads(listed.stdout)
    assert steps[:2] == ["register", "graph"]
    assert set(steps_called()) - {"inbox"} == set(steps)


def test_it_needs_dagster_and_the_standard_library_alone():
    imports = [
        node.names[0].name for node in ast.parse(FILE.read_text()).body
        if isinstance(node, ast.Import)
    ]  # fmt: skip
    others = [
        n for n in ast.parse(FILE.read_text()).body if isinstance(n, ast.ImportFrom)
    ]
    assert imports == ["hashlib", "json", "os", "subprocess", "sys", "dagster"]
    assert others == []


def test_a_rebuild_step_by_step_is_a_rebuild(tmp_path):
    workspace = make_workspace(tmp_path, layers=False)
    (workspace / "inbox").mkdir()
    (workspace / "inbox" / "new.narrowPeak").write_text(
        "chr1\t11000\t11400\tp1\t0\t.\t5\t-1\t-1\t-1\n"
    )

    def step(name):
        done = CliRunner().invoke(
            app, ["rebuild-step", name, "-w", str(workspace), "--settle", "0"]
        )
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    assert list(json.loads(step("inbox"))) == ["new.narrowPeak"]
    assert step("graph") == "no version is being made"
    assert step("register") == "version 0002: 1 sources came in"
    for name in (
        "graph",
        "relatives",
        "models",
        "embeddings",
        "scores",
        "comparison",
        "causes",
        "figures",
    ):
        assert step(name) == f"version 0002: {name} done"
    assert step("publish") == "version 0002: published"
    assert step("register") == "nothing new"
    assert json.loads(step("inbox")) == {}
    report = json.loads((workspace / "rebuild" / "reports" / "0002.json").read_text())
    assert [one["source"] for one in report["came_in"]] == ["new"]
    assert report["graph"]["rows"] > 0


def test_a_missing_dagster_is_told_with_the_remedy(tmp_path):
    workspace = make_workspace(tmp_path, layers=False)
    done = CliRunner().invoke(
        app, ["schedule", "-w", str(workspace), "--dagster", str(tmp_path / "none")]
    )
    assert done.exit_code != 0
    assert "pip install dagster" in str(done.exception)


@pytest.mark.peer
def test_the_lineage_of_the_assets(tmp_path, monkeypatch):
    pytest.importorskip("dagster")
    monkeypatch.setattr(
        subprocess, "run",
        lambda *_a, **_k: subprocess.CompletedProcess([], 0, '["chr1", "rest"]', ""),
    )  # fmt: skip
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("orchestration", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    graph = module.defs.resolve_asset_graph()
    parents = {
        key.path[-1]: {parent.path[-1] for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert parents["scores"] == {"graph", "models", "embeddings"}
    assert parents["version"] == {"comparison", "figures"}
    assert module.scores.partitions_def.get_partition_keys() == ["chr1", "rest"]
