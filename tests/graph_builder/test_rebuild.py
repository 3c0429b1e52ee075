"""Rebuilds on the tiny organism: what comes in, what is published, what a kill leaves."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from data_registry.errors import InputError, WorkspaceError
from data_registry.store import open_store
from data_registry.versions import Versions, locked
from graph_builder import rebuild as rebuild_module
from graph_builder import revision as revision_module
from graph_builder.build import build_graph
from graph_builder.inbox import Ledger
from graph_builder.manifest import current_graph, read_manifest
from graph_builder.rebuild import change_version, find_inbox, run_by
from graph_builder.rebuild_facts import Report, find_falls
from graph_builder.rebuild_report import page_of
from graph_builder.rebuild_settings import keep_scored, read_settings
from graph_builder.revision import Plan, Revision, later_steps, rebuild
from graph_builder.timetable import Every
from tests.organisms import base, make_workspace, other, snv, vcf_text
from variant_effect import kept
from variant_effect.preparation import prepare

ROOT = Path(__file__).parents[2]
PEAKS = "chr1\t11000\t11400\tp1\t0\t.\t5\t-1\t-1\t-1\nchr1\t2950\t3300\tp2\t0\t.\t5\t-1\t-1\t-1\n"
MORE_PEAKS = PEAKS + "chr2\t100\t250\tp3\t0\t.\t5\t-1\t-1\t-1\n"


def make(folder, *, layers):
    """The tiny organism, its graph and what scoring fits to it."""
    workspace = make_workspace(folder, layers=layers)
    with open_store(workspace) as store:
        build_graph(store.connection, store.genome(), store.workspace.graph)
        prepare(store)
    return workspace


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """Genome and genes alone, which builds fast; tests take a copy."""
    return make(tmp_path_factory.mktemp("tiny"), layers=False)


@pytest.fixture(scope="module")
def with_layers(tmp_path_factory):
    return make(tmp_path_factory.mktemp("layers"), layers=True)


@pytest.fixture(scope="module")
def clean_digest(registered, tmp_path_factory):
    """The graph of a workspace to which the peaks were added by hand."""
    folder = tmp_path_factory.mktemp("clean")
    shutil.copytree(registered, folder / "tiny", symlinks=True)
    (folder / "new.narrowPeak").write_text(PEAKS)
    with open_store(folder / "tiny", write=True) as store:
        store.add(folder / "new.narrowPeak")
        graph = folder / "tiny" / "graph"
        return build_graph(store.connection, store.genome(), graph).digest


@pytest.fixture
def workspace(registered, tmp_path):
    shutil.copytree(registered, tmp_path / "tiny", symlinks=True)
    (tmp_path / "tiny" / "inbox").mkdir()
    return tmp_path / "tiny"


@pytest.fixture
def full(with_layers, tmp_path):
    shutil.copytree(with_layers, tmp_path / "full", symlinks=True)
    (tmp_path / "full" / "inbox").mkdir()
    return tmp_path / "full"


@pytest.fixture
def in_process(monkeypatch):
    """Run the later steps in this process: seconds instead of half a minute."""

    def call(self, version, _name, command, values):
        places = {
            "workspace": str(version.folder),
            "before": str(self._base_of(version).folder),
            **values,
        }
        module, *arguments = [part.format(**places) for part in command]
        if module == "variant_effect.kept":
            kept.app(arguments, standalone_mode=False)
        else:
            assert module == "variant_effect.score"
            from variant_effect.score import app

            app(arguments, standalone_mode=False)

    monkeypatch.setattr(Revision, "_call", call)


def run(workspace, **choices):
    inbox = workspace / "inbox"
    return rebuild(workspace, Plan(inbox, 0.0, **choices), lambda _: None)


def drop(workspace, name, text):
    (workspace / "inbox" / name).write_text(text)


def graph_digest(workspace):
    return read_manifest(current_graph(workspace / "graph")).digest


# -- what comes in -----------------------------------------------------------------------


def test_a_new_file_is_published_as_a_clean_build_would_be(workspace, clean_digest):
    before = graph_digest(workspace)
    drop(workspace, "new.narrowPeak", PEAKS)
    report = run(workspace)
    assert (report.status, report.version) == ("published", "0002")
    assert [one["source"] for one in report.came_in] == ["new"]
    assert report.graph["before"] == before
    assert graph_digest(workspace) == clean_digest != before
    # The version before is whole and as it was.
    assert graph_digest(workspace / "versions" / "0001") == before
    with open_store(workspace / "versions" / "0001") as store:
        assert "new" not in {source.name for source in store.sources()}
    with open_store(workspace) as store:
        assert store.source("new").rows_kept == 2
        (logged,) = store.connection.execute("SELECT detail FROM runs").fetchall()
        assert json.loads(logged[0])["came_in"] == ["new"]
    # A second run does nothing.
    os.utime(workspace / "inbox" / "new.narrowPeak")  # touched, not changed
    again = run(workspace)
    assert (again.status, again.page, again.has_news) == ("unchanged", "", False)
    assert [version.name for version in Versions(workspace).all()] == ["0001", "0002"]


def test_a_bad_file_is_quarantined_with_its_reason_and_the_rest_goes_on(workspace):
    drop(workspace, "bad.narrowPeak", "chr1\t500\t100\tp\t0\t.\t5\t-1\t-1\t-1\n")
    drop(workspace, "new.narrowPeak", PEAKS)
    report = run(workspace)
    assert report.status == "published"
    (refused,) = report.refused
    assert refused["file"] == "bad.narrowPeak"
    place = Path(refused["quarantine"])
    assert place.is_file()
    assert place.parent.parent == workspace / "inbox" / "quarantine"
    reason = place.with_name("bad.narrowPeak.reason.txt").read_text()
    assert reason.strip() == refused["reason"]
    assert not (workspace / "inbox" / "bad.narrowPeak").exists()
    assert refused["reason"].split(". ")[0] in Path(report.page).read_text()


def test_only_a_bad_file_makes_a_report_and_no_version(workspace):
    run(workspace)
    drop(workspace, "bad.bed", "")
    report = run(workspace)
    assert (report.status, report.version) == ("unchanged", "")
    assert "empty" in report.refused[0]["reason"]
    assert Path(report.page).is_file()
    assert len(Versions(workspace).all()) == 2


def test_a_changed_file_takes_the_older_ones_place(workspace):
    drop(workspace, "new.narrowPeak", PEAKS)
    run(workspace)
    drop(workspace, "new.narrowPeak", MORE_PEAKS)
    report = run(workspace)
    assert report.came_in[0]["replaces"] == 1
    with open_store(workspace) as store:
        source = store.source("new")
        assert (source.version, source.rows_kept) == (2, 3)


def test_a_sidecar_says_what_the_file_does_not(workspace):
    drop(workspace, "areas.bed", "chr1\t100\t900\ta\n")
    drop(
        workspace,
        "areas.bed.toml",
        'kind = "intervals"\nname = "tads2"\n[options]\ninterval_kind = "tad"\n',
    )
    run(workspace)
    with open_store(workspace) as store:
        assert store.source("tads2").options["interval_kind"] == "tad"
        kinds = store.connection.execute(
            "SELECT DISTINCT kind FROM intervals WHERE start = 100"
        ).fetchall()
        assert kinds == [("tad",)]


# -- versions ----------------------------------------------------------------------------


def test_rolling_back_is_one_step_and_stays(workspace):
    before = graph_digest(workspace)
    run(workspace)
    drop(workspace, "new.narrowPeak", PEAKS)
    run(workspace)
    new = graph_digest(workspace)
    change_version(workspace, "")
    assert graph_digest(workspace) == before != new
    # The file that made the withdrawn version is not taken in again until it changes.
    assert run(workspace).status == "unchanged"
    change_version(workspace, "3")
    assert graph_digest(workspace) == new
    drop(workspace, "new.narrowPeak", MORE_PEAKS)
    assert run(workspace).version == "0004"


def test_the_last_versions_are_kept(workspace):
    (workspace / "rebuild").mkdir()
    (workspace / "rebuild" / "settings.toml").write_text("keep = 2\n")
    for n in range(2):
        drop(
            workspace,
            "new.narrowPeak",
            PEAKS + f"chr1\t{n}\t90\tx\t0\t.\t5\t-1\t-1\t-1\n",
        )
        run(workspace)
    names = [version.name for version in Versions(workspace).all()]
    assert names == ["0002", "0003"]
    assert not list((workspace / "versions").glob(".*"))


def test_a_reader_keeps_the_version_it_opened(workspace):
    run(workspace)
    with open_store(workspace) as reader:
        graph = current_graph(reader.workspace.graph)
        drop(workspace, "new.narrowPeak", PEAKS)
        assert run(workspace).status == "published"
        names = {source.name for source in reader.sources()}
        assert "new" not in names
        assert current_graph(reader.workspace.graph) == graph
    with open_store(workspace) as store:
        assert "new" in {source.name for source in store.sources()}


def test_readers_never_see_a_mixture(workspace):
    """A reader that opens by the workspace's path gets registry and graph of one run."""
    stop, wrong, seen = threading.Event(), [], set()

    def read():
        while not stop.is_set():
            with open_store(workspace) as store:
                names = {source.name for source in store.sources()}
                manifest = read_manifest(current_graph(store.workspace.graph))
                of_graph = {source.name for source in manifest.sources}
                seen.add("new" in names)
                if names != of_graph:
                    wrong.append(names ^ of_graph)

    run(workspace)
    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    drop(workspace, "new.narrowPeak", PEAKS)
    try:
        run(workspace)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    assert False in seen


def test_the_gate_keeps_the_old_version(workspace, monkeypatch):
    run(workspace)
    before = graph_digest(workspace)
    interval = {
        "low": 0.75, "high": 0.85, "baseline": 0.5,
        "positive": 9, "negative": 9, "not_scored": 0,
    }  # fmt: skip

    def collect(self, _version):
        self.report.figures = [
            {"name": "truth", "scores": "panel", "column": "prior_score",
             "before": {"auroc": 0.80, **interval}, "after": {"auroc": 0.70, **interval}}
        ]  # fmt: skip
        self.report.falls = find_falls(self.report.figures)

    monkeypatch.setattr(Revision, "_collect", collect)
    drop(workspace, "new.narrowPeak", PEAKS)
    report = run(workspace)
    assert report.status == "held"
    assert "falls from 0.800" in report.reason
    assert "0.750 to 0.850" in report.reason
    assert graph_digest(workspace) == before
    # Held back, it is not made again every night ...
    assert run(workspace).status == "unchanged"
    # ... and a person may decide otherwise.
    change_version(workspace, report.version)
    assert graph_digest(workspace) != before


def test_falls_by_hand():
    def one(before, after, low=0.6):
        figure = {"auroc": before, "low": low, "high": 0.8}
        return {
            "name": "x",
            "before": before and figure,
            "after": after and {"auroc": after},
        }

    assert find_falls([one(0.7, 0.61), one(0.7, 0.6), one(None, 0.2)]) == []
    assert len(find_falls([one(0.7, 0.599)])) == 1
    assert "no allele" in find_falls([one(0.7, None)])[0]


# -- kills and locks ---------------------------------------------------------------------


def test_a_kill_during_the_build_is_picked_up(workspace, clean_digest):
    drop(workspace, "bad.bed", "")
    drop(workspace, "new.narrowPeak", PEAKS)
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "graph_builder.rebuild", "-w", str(workspace),
         "--settle", "0"],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        for line in process.stderr:
            if "building the graph" in line:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert [v.state for v in Versions(workspace).all()] == ["published", "building"]
    report = run(workspace)
    assert report.picked_up
    assert report.status == "published"
    assert [one["source"] for one in report.came_in] == ["new"]
    assert [one["file"] for one in report.refused] == ["bad.bed"]
    assert Path(report.refused[0]["quarantine"]).is_file()
    assert graph_digest(workspace) == clean_digest


@pytest.mark.parametrize(
    "place", ["mark", "_move_refused", "build", "conclude", "use", "_write_report"]
)
def test_a_stop_at_any_step_ends_in_the_same_state(
    workspace, clean_digest, monkeypatch, place
):
    """Each step is broken off once, just after it, as a kill would."""
    drop(workspace, "bad.bed", "")
    drop(workspace, "new.narrowPeak", PEAKS)
    holder = Versions if hasattr(Versions, place) else Revision
    real = getattr(holder, place)

    class Killed(BaseException):
        pass

    def stopped(self, *arguments, **named):
        real(self, *arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(holder, place, stopped)
        with pytest.raises(Killed):
            run(workspace)
    run(workspace)
    current = Versions(workspace).current()
    assert (current.name, current.state) == ("0002", "published")
    assert graph_digest(workspace) == clean_digest
    assert len(list((workspace / "inbox" / "quarantine").glob("*/bad.bed"))) == 1
    page = workspace / "rebuild" / "reports" / "0002.json"
    report = json.loads(page.read_text())
    assert [one["source"] for one in report["came_in"]] == ["new"]
    assert [one["file"] for one in report["refused"]] == ["bad.bed"]
    assert run(workspace).status == "unchanged"


def test_one_rebuild_at_a_time_and_a_dead_one_does_not_count(workspace):
    code = (
        "import sys, time; from pathlib import Path; "
        "from data_registry.versions import locked\n"
        "with locked(Path(sys.argv[1])):\n print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, str(workspace)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ) as other_process:  # fmt: skip
        assert other_process.stdout.readline() == "held\n"
        with pytest.raises(WorkspaceError, match=f"process {other_process.pid}"):
            run(workspace)
        other_process.kill()
    with locked(workspace):
        pass


def test_what_changes_meanwhile_is_not_lost(workspace, tmp_path, monkeypatch):
    run(workspace)
    drop(workspace, "new.narrowPeak", PEAKS)
    real = Revision.build
    by_hand = tmp_path / "hand.narrowPeak"
    by_hand.write_text(MORE_PEAKS)

    def build(self, version):
        real(self, version)
        with open_store(workspace, write=True) as store:
            store.add(by_hand)

    with monkeypatch.context() as patch:
        patch.setattr(Revision, "build", build)
        report = run(workspace)
        assert report.status == "failed"
        assert "changed while it was being rebuilt" in report.reason
    assert run(workspace).status == "published"
    with open_store(workspace) as store:
        assert {"new", "hand"} <= {source.name for source in store.sources()}


def test_a_build_that_fails_changes_nothing_and_says_why(workspace, monkeypatch):
    before = graph_digest(workspace)
    drop(workspace, "new.narrowPeak", PEAKS)

    def refuse(*_arguments):
        raise InputError("rows break a rule")

    monkeypatch.setattr(revision_module, "_build", refuse)
    report = run(workspace)
    assert (report.status, report.reason) == ("failed", "rows break a rule")
    assert graph_digest(workspace) == before
    assert [version.state for version in Versions(workspace).all()] == ["published"]
    assert "rows break a rule" in Path(report.page).read_text()


def test_a_file_that_the_graph_cannot_be_built_with_is_refused_after_all(
    workspace, monkeypatch
):
    real = revision_module._build

    def build(folder, parameters):
        with open_store(folder) as store:
            if "poison" in {source.name for source in store.sources()}:
                raise InputError("cre: 2 repeated rows")
        real(folder, parameters)

    monkeypatch.setattr(revision_module, "_build", build)
    drop(workspace, "bad.bed", "")
    drop(workspace, "new.narrowPeak", PEAKS)
    drop(workspace, "poison.narrowPeak", MORE_PEAKS)
    report = run(workspace)
    assert report.status == "published"
    assert [one["source"] for one in report.came_in] == ["new"]
    reasons = {one["file"]: one["reason"] for one in report.refused}
    assert set(reasons) == {"bad.bed", "poison.narrowPeak"}
    assert reasons["poison.narrowPeak"].endswith("it: cre: 2 repeated rows")
    assert len(list((workspace / "inbox").glob("quarantine/*/poison.narrowPeak"))) == 1
    assert run(workspace).status == "unchanged"


def test_stopping_the_loop_finishes_the_run(workspace, capsys):
    drop(workspace, "new.narrowPeak", PEAKS)
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    run_by(Every(3600), workspace, Plan(workspace / "inbox", 0.0))
    assert Versions(workspace).current().name == "0002"
    said = capsys.readouterr().out
    assert "next run" not in said
    assert said.rstrip().endswith("stopped")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_loop_shows_the_next_time_and_outlives_a_run_that_cannot_be(
    workspace, monkeypatch, capsys
):
    monkeypatch.setattr(
        rebuild_module, "_wait", lambda _due, _path, _plan, stop: stop.set()
    )
    with locked(workspace):
        run_by(Every(3600), workspace, Plan())
    output = capsys.readouterr()
    assert "is being rebuilt by process" in output.err
    due = datetime.fromisoformat(output.out.split("next run: ")[1][:19])
    assert 3590 < (due - datetime.now()).total_seconds() <= 3600


# -- scores ------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_process")
def test_moved_variants_are_laid_to_the_source_that_moved_them(full):
    """Two sources come in at once: a panel in which one allele is common, and peaks."""
    folder = full / "rebuild"
    folder.mkdir()
    records = [snv("chr1", p) for p in range(3005, 3300, 25)]
    records += [
        snv("chr1", p) for p in range(9000, 16000, 250) if base("chr1", p) in "ACGT"
    ]
    common = snv("chr1", 9500)
    (folder / "lines.vcf").write_text(vcf_text(records))
    (folder / "truth.tsv").write_text(
        "chrom\tpos\tref\talt\tlabel\n"
        + "".join(f"{c}\t{p}\t{r}\t{a}\t{int(p < 4000)}\n" for c, p, r, a in records)
    )
    (folder / "settings.toml").write_text(
        'score_new_vcfs = false\n[[score]]\npath = "lines.vcf"\n[[benchmark]]\n'
        'name = "near"\nscores = "lines"\ntruth = "truth.tsv"\n'
    )
    assert run(full).status == "published"
    drop(full, "new.narrowPeak", PEAKS)
    drop(
        full,
        "common.vcf",
        vcf_text(
            [(*common, ".", "1|1", "1|1")],
            samples=["a", "b"],
            header=['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">'],
        ),
    )
    report = run(full)
    assert report.status == "published"
    (summary,) = report.scores
    assert summary["scored"] == summary["in_both"] == len(records)
    moved = {(row["chrom"], row["pos"]): row for row in report.moved}
    # Half of its score is taken from an allele that everybody carries.
    assert moved[common[:2]]["because"] == "common"
    assert moved[common[:2]]["move"] < 0
    assert sum(report.causes["lines"].values()) == summary["moved"] == len(moved)
    assert set(report.causes["lines"]) <= {
        "common", "new", kept.UNMOVED, kept.TOGETHER
    }  # fmt: skip
    (figure,) = report.figures
    assert figure["after"]["positive"] == sum(p < 4000 for _, p, _, _ in records)
    page = Path(report.page).read_text()
    assert "common" in page
    assert "http" not in page
    table = pd.read_csv(full / "current" / "changes" / "moved.tsv", sep="\t")
    assert len(table) == summary["moved"]


def test_a_vcf_of_the_inbox_joins_the_scored_ones(full, in_process):  # noqa: ARG001
    drop(full, "lines.vcf", vcf_text([snv("chr1", p) for p in (2101, 5003, 9000)]))
    report = run(full)
    assert [(one["name"], one["scored"]) for one in report.scores] == [("lines", 3)]
    drop(full, "new.narrowPeak", PEAKS)
    again = run(full)
    assert [(one["name"], one["in_both"]) for one in again.scores] == [("lines", 3)]


def test_a_vcf_that_cannot_be_scored_says_so_and_the_rest_goes_on(
    full,
    in_process,  # noqa: ARG001
):
    (full / "rebuild").mkdir()
    wrong = [("chr1", p, other(base("chr1", p)), base("chr1", p)) for p in (2101, 5003)]
    (full / "rebuild" / "wrong.vcf").write_text(vcf_text(wrong))
    (full / "rebuild" / "good.vcf").write_text(vcf_text([snv("chr1", 2101)]))
    for name in ("wrong", "good"):
        keep_scored(full, str(full / "rebuild" / f"{name}.vcf"), ["chr1"])
    assert read_settings(full).score[0].regions == ("chr1",)
    report = run(full)
    assert report.status == "published"
    wrong_one, good = report.scores
    assert "REF disagrees" in wrong_one["error"]
    assert (good["scored"], good["error"]) == (1, "")


# -- settings, report --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("keep = 0", "keep = 0"),
        ("kept = 3", "unknown key 'kept'"),
        ("keep = true", "keep = True"),
        ("[[score]]\n", "source or path"),
        ('[[score]]\npath = "no.vcf"', "no such file"),
        ('[[score]]\nsource = "a"\nregions = [1]', "list of strings"),
        ('[[benchmark]]\nname = "a"', "no 'scores'"),
        ("keep = ", "not TOML"),
    ],
)
def test_settings_are_checked(workspace, text, problem):
    (workspace / "rebuild").mkdir()
    (workspace / "rebuild" / "settings.toml").write_text(text)
    with pytest.raises(InputError, match=r"settings\.toml") as caught:
        run(workspace)
    assert problem in str(caught.value)


def test_the_inbox_may_not_lie_elsewhere_in_the_workspace(workspace):
    (workspace / "drop").mkdir()
    with pytest.raises(InputError, match="lies inside the workspace"):
        find_inbox(workspace, workspace / "drop")
    assert find_inbox(workspace, None) == workspace / "inbox"


def test_the_page_escapes_names():
    data = Report("<b>ws</b>", status="failed", started="2026").as_data()
    data["reason"] = "<script>alert(1)</script>"
    data["refused"] = [{"file": "<img src=x>", "reason": "a & b"}]
    page = page_of(data)
    for raw in ("<script", "<img", "a & b", "<b>ws"):
        assert raw not in page


def test_every_later_step_names_a_command_that_exists():
    commands = {
        command.name or command.callback.__name__
        for command in kept.app.registered_commands
    }
    steps = later_steps()
    assert list(steps) == [
        "relatives", "models", "embeddings", "scores", "comparison", "figures"
    ]  # fmt: skip
    for step in steps.values():
        module, *rest = step["command"]
        assert importlib.util.find_spec(module)
        if module == "variant_effect.kept":
            assert rest[0] in commands


def test_a_damaged_ledger_says_what_to_do(workspace):
    (workspace / "rebuild").mkdir()
    (workspace / "rebuild" / "inbox.json").write_text("{")
    with pytest.raises(WorkspaceError, match="remove it"):
        run(workspace)
    assert Ledger.read(workspace / "none.json").files == {}


def test_report_times_are_utc(workspace):
    report = Revision(workspace, Plan(), print, 0).report
    started = datetime.strptime(report.started, "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=UTC
    )
    assert abs((datetime.now(UTC) - started).total_seconds()) < 60
