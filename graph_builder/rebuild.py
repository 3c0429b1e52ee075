"""``python -m graph_builder.rebuild``: rebuild a workspace, once or again and again."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from data_registry.console import (
    WorkspaceOption,
    log,
    new_app,
    run_app,
    say,
    show_table,
)
from data_registry.errors import (
    InputError,
    MissingOptionalError,
    PlatformError,
    WorkspaceError,
)
from data_registry.versions import INBOX, REBUILD, Versions, locked
from data_registry.workspace import Workspace
from graph_builder.inbox import SETTLED_S, Ledger, look_into
from graph_builder.rebuild_facts import Report
from graph_builder.rebuild_settings import keep_scored as add_to_list
from graph_builder.revision import Plan, Revision, later_steps, rebuild
from graph_builder.timetable import Cron, Every, Timetable

POLL_S = 60.0
"""How often the inbox is looked at between two scheduled runs."""

FIRST_STEPS = ("register", "graph")
LAST_STEPS = ("publish",)

app = new_app("Rebuild a workspace when something new has come in.")


@app.command("rebuild")
def rebuild_command(
    workspace: WorkspaceOption = "workspace",
    *,
    watch: Annotated[
        Path | None,
        typer.Option(
            help="Take new and changed files from this folder (default: the "
            "workspace's inbox/, where there is one)."
        ),
    ] = None,
    every: Annotated[
        str, typer.Option(help="Go on, and run so often: 30m, 6h, 1d.")
    ] = "",
    cron: Annotated[
        str, typer.Option(help="Go on, and run at these times: '0 2 * * *'.")
    ] = "",
    settle: Annotated[
        float,
        typer.Option(min=0, help="Seconds that a file must have lain unchanged."),
    ] = SETTLED_S,
    remote: Annotated[
        bool, typer.Option(help="Ask publishers whether fetched sources have changed.")
    ] = True,
    mirror: Annotated[str, typer.Option(help="Take hosts from MIRROR/host/path.")] = "",
    accept_falls: Annotated[
        bool,
        typer.Option(
            "--accept-falls",
            help="Publish although a figure falls by more than its interval.",
        ),
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Make a version although nothing came in.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Put the version before back in use.")
    ] = False,
    publish: Annotated[
        str, typer.Option(help="Put this version in use, e.g. one that was held back.")
    ] = "",
    versions: Annotated[
        bool, typer.Option("--versions", help="List the versions that are kept.")
    ] = False,
) -> None:
    """Take in what is new, rebuild what depends on it, publish it as a new version.

    Readers see the old version until the new one is whole. Without --every or --cron it
    runs once, as from a crontab line. A killed run is picked up by the next.

    Examples:

        python -m graph_builder.rebuild --workspace yeast --watch /data/inbox

        python -m graph_builder.rebuild --workspace yeast --watch /data/inbox --every 1d

        python -m graph_builder.rebuild --workspace yeast --cron '0 2 * * *'

        python -m graph_builder.rebuild --workspace yeast --rollback
    """
    path = Path(workspace)
    Workspace(path).require()
    if versions:
        show_versions(path)
        return
    if rollback or publish:
        with locked(path):
            change_version(path, publish)
        return
    if every and cron:
        raise InputError("give --every or --cron, not both")
    plan = Plan(
        find_inbox(path, watch), settle, remote, mirror, accept_falls, anew
    )  # fmt: skip
    if not every and not cron:
        report = run_once(path, plan)
        if report.status == "failed":
            raise InputError(
                f"the rebuild failed, and nothing has changed: {report.reason}"
            )
        return
    table: Timetable = Every.read(every) if every else Cron.read(cron)
    run_by(table, path, plan)


@app.command("keep-scored")
def keep_scored(
    vcf: Annotated[str, typer.Argument(help="A registered VCF by name, or a file.")],
    workspace: WorkspaceOption = "workspace",
    *,
    region: Annotated[
        list[str] | None, typer.Option(help="Only here: chr:start-end, 1-based.")
    ] = None,
) -> None:
    """Add a VCF to those that every rebuild scores again.

    Example:

        cisgraph keep-scored panel --region chrV -w yeast
    """
    Workspace(Path(workspace)).require()
    add_to_list(Path(workspace), vcf, region or [])
    say(f"{vcf} is scored with every rebuild from now on")


@app.command("rebuild-step", hidden=True)
def step_command(
    step: Annotated[str, typer.Argument(help="A step, 'list' or 'inbox'.")],
    workspace: WorkspaceOption = "workspace",
    *,
    watch: Annotated[Path | None, typer.Option(help="The inbox.")] = None,
    settle: Annotated[float, typer.Option(min=0)] = SETTLED_S,
    part: Annotated[list[str] | None, typer.Option(help="Of the scores.")] = None,
) -> None:
    """Do one step of a rebuild, for an orchestrator; steps are repeatable."""
    path = Path(workspace)
    inbox = find_inbox(path, watch)
    if step == "list":
        say(json.dumps([*FIRST_STEPS, *later_steps(), "causes", *LAST_STEPS]))
    elif step == "inbox":
        ledger = Ledger.read(path / REBUILD / "inbox.json")
        look = look_into(inbox, ledger, settled_s=settle) if inbox else None
        news = {one.path.name: one.digest for one in look.news} if look else {}
        say(json.dumps(news))
    else:
        with locked(path) as lock:
            revision = Revision(path, Plan(inbox, settle), log, lock)
            say(revision.do_one(step, tuple(part or ())))


@app.command()
def schedule(
    workspace: WorkspaceOption = "workspace",
    *,
    watch: Annotated[Path | None, typer.Option(help="The inbox.")] = None,
    cron: Annotated[str, typer.Option(help="When to run daily.")] = "0 2 * * *",
    port: Annotated[
        int, typer.Option(help="Of Dagster's page, on this machine.")
    ] = 3000,
    dagster: Annotated[
        Path | None,
        typer.Option(help="The program, where Dagster has an environment of its own."),
    ] = None,
) -> None:
    """Start Dagster with the rebuild's assets, schedule and inbox sensor; Ctrl-C ends it.

    Its page listens on this machine only, and its telemetry is off.

    Example:

        cisgraph schedule -w yeast --watch /data/inbox --dagster ~/dagster/bin/dagster
    """
    path = Path(workspace).resolve()
    Workspace(path).require()
    Cron.read(cron)
    inbox = find_inbox(path, watch)
    program = dagster or Path(sys.executable).with_name("dagster")
    if not program.is_file():
        raise MissingOptionalError(
            f"{program} is not there: Dagster wants an environment of its own, since it "
            "asks for older versions of two libraries than we are tested with: "
            "python -m venv dagster && dagster/bin/pip install dagster "
            "dagster-webserver, then --dagster dagster/bin/dagster"
        )
    home = path / REBUILD / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "CISGRAPH_WORKSPACE": str(path),
        "CISGRAPH_INBOX": str(inbox.resolve()) if inbox else "",
        "CISGRAPH_CRON": cron,
        "CISGRAPH_PYTHON": sys.executable,
    }
    file = Path(__file__).with_name("orchestration.py")
    say(f"Dagster: http://127.0.0.1:{port} (Ctrl-C ends it)")
    # In place of this process, so that a signal reaches Dagster itself.
    os.execve(  # noqa: S606 - no shell
        program,
        [str(program), "dev", "-f", str(file), "-h", "127.0.0.1", "-p", str(port)],
        environment,
    )


def find_inbox(path: Path, watch: Path | None) -> Path | None:
    """Return the inbox: the one given, else the workspace's own where there is one.

    Raises
    ------
    InputError
        It lies inside the workspace and is not its ``inbox/``.
    """
    own = path / INBOX
    if watch is None:
        return own if own.is_dir() else None
    inside = watch.resolve().is_relative_to(path.resolve())
    if inside and watch.resolve() != own.resolve():
        raise InputError(
            f"{watch} lies inside the workspace; use {own}, or a folder outside"
        )
    return watch


def run_once(path: Path, plan: Plan) -> Report:
    """Rebuild once and say what came of it."""
    report = rebuild(path, plan, log)
    for name, reason in report.waiting.items():
        say(f"left for the next run: {name}: {reason}")
    for one in report.refused:
        say(f"refused: {one['file']}: {one['reason'].splitlines()[0]}")
    for one in report.came_in:
        say(f"came in: {one['source']} ({one['kind']}), {one['rows_kept']:,} rows")
    for one in report.scores:
        say(
            f"{one['name']}: {one['scored']:,} alleles scored, {one['moved']:,} moved "
            "by more than a decile"
        )
    words = {
        "published": f"version {report.version} is in use",
        "held": f"version {report.version} is held back: {report.reason}. "
        f"'--publish {report.version}' puts it in use all the same",
        "unchanged": report.reason or "nothing new",
        "failed": f"failed, and nothing has changed: {report.reason}",
    }
    say(words[report.status])
    if report.page:
        say(f"report: {report.page}")
    return report


def run_by(table: Timetable, path: Path, plan: Plan) -> None:
    """Rebuild by a timetable until told to stop; the inbox is looked at in between.

    A run that fails is reported and the next one comes at its time.
    """
    with _told_to_stop() as stop:
        while not stop.is_set():
            began = datetime.now().astimezone()
            try:
                run_once(path, plan)
            except PlatformError as error:
                log(f"error: {error}")
            if stop.is_set():
                break
            due = table.next_after(began)
            if due <= datetime.now().astimezone():
                due = table.next_after(datetime.now().astimezone())
            say(f"next run: {due:%Y-%m-%d %H:%M:%S %Z}")
            _wait(due, path, plan, stop)
        say("stopped")


def _wait(due: datetime, path: Path, plan: Plan, stop: threading.Event) -> None:
    """Wait until a time, a settled new file, or the wish to stop."""
    while not stop.is_set():
        left = (due - datetime.now().astimezone()).total_seconds()
        if left <= 0 or stop.wait(min(left, POLL_S)):
            return
        if plan.inbox is None:
            continue
        try:
            ledger = Ledger.read(path / REBUILD / "inbox.json")
            if look_into(plan.inbox, ledger, settled_s=plan.settled_s).news:
                say("something new lies in the inbox")
                return
        except PlatformError as error:
            log(f"error: {error}")


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """Give an event that SIGTERM or Ctrl-C sets: the run in progress is finished first."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        log("stopping after this run; a second time stops at once")

    old = {n: signal.signal(n, on_signal) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def change_version(path: Path, name: str) -> None:
    """Put another version in use: the one named, else the one before.

    Raises
    ------
    InputError
        There is no such version, or it is not whole.
    """
    held = Versions(path)
    if not name:
        old, new = held.roll_back()
        say(f"version {new.name} is in use again; {old.name} is kept as withdrawn")
        return
    version = held.find(name)
    if version.state == "building":
        raise InputError(f"version {version.name} is not finished; run a rebuild")
    held.publish(version)
    say(f"version {version.name} is in use")


def show_versions(path: Path) -> None:
    """Print the versions of a workspace.

    Raises
    ------
    WorkspaceError
        It has none yet.
    """
    held = Versions(path)
    current = held.current()
    if current is None:
        raise WorkspaceError(f"{path} has no versions yet; run a rebuild first")
    show_table(
        f"versions of {path}", ["version", "state", "made", "from", "graph"],
        [
            [v.name + (" *" if v.number == current.number else ""), v.state, v.made,
             f"{v.base:04d}" if v.base else "", str(v.details.get("graph", ""))[:16]]
            for v in held.all()
        ],
    )  # fmt: skip


def main() -> None:
    """Run ``rebuild`` alone, for ``python -m graph_builder.rebuild``."""
    single = new_app("Rebuild a workspace when something new has come in.")
    single.command()(rebuild_command)
    run_app(single)


if __name__ == "__main__":
    main()
