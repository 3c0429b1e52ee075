"""What every command shares: tables, progress, and errors that end in one message."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from data_registry.errors import PlatformError

PLAIN_WIDTH = 140
"""Columns of a table that is not shown on a terminal."""

OUT = Console(
    soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH
)
ERR = Console(
    stderr=True, soft_wrap=True, highlight=False,
    width=None if sys.stderr.isatty() else PLAIN_WIDTH,
)  # fmt: skip

_QUIET_S = 2.0

WorkspaceOption = Annotated[
    str,
    typer.Option(
        "--workspace", "-w", envvar="CISGRAPH_WORKSPACE", help="The workspace folder."
    ),
]


def new_app(help_text: str) -> typer.Typer:
    """Return an app with our common settings."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def run_app(app: typer.Typer) -> None:
    """Run an app; our own errors become one message on stderr and exit status 1."""
    try:
        app()
    except PlatformError as error:
        ERR.print(f"[bold red]error[/]: {escape(str(error))}")
        sys.exit(1)
    except KeyboardInterrupt:
        ERR.print("stopped; what was finished is kept")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (head, less): nothing more to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    OUT.print(table)


def say(text: str) -> None:
    """Print one line of ordinary output."""
    OUT.print(escape(text))


def log(text: str) -> None:
    """Print one line about the course of the work, on stderr."""
    ERR.print(escape(text), style="dim")


@contextmanager
def step_reporter(title: str) -> Iterator[Callable[[str], None]]:
    """Give a function that shows the current step: a spinner on a terminal, else a line.

    Off a terminal a step is logged only once the work has taken two seconds, so that many
    quick files do not fill the log.
    """
    if not ERR.is_terminal:
        began = time.monotonic()

        def report(step: str) -> None:
            if time.monotonic() - began >= _QUIET_S:
                log(f"{title}: {step}")

        yield report
        return
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=ERR, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task(escape(title), total=None)
        yield lambda step: progress.update(task, description=escape(f"{title}: {step}"))


@contextmanager
def count_reporter(
    title: str, unit: str, total: int | None = None, *, every_s: float = 10.0
) -> Iterator[Callable[[int, str], None]]:
    """Give a function ``(done, note)``: a bar on a terminal, a line now and then else."""
    if ERR.is_terminal:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn(f"{unit} {{task.fields[note]}}"), TimeElapsedColumn(),
            TimeRemainingColumn(), console=ERR, transient=True,
        ) as progress:  # fmt: skip
            task = progress.add_task(escape(title), total=total, note="")
            yield lambda done, note: progress.update(
                task, completed=done, note=escape(note)
            )
        return
    began = last = time.monotonic()

    def report(done: int, note: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every_s:
            last = now
            of = f" of {total:,}" if total else ""
            log(f"{title}: {done:,}{of} {unit} {note} ({now - began:.0f} s)")

    yield report
