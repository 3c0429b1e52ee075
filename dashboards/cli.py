"""``cisgraph``: all commands of all packages under one name."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dashboards import serve as api
from dashboards.demonstration import run_demo
from data_registry import cli as registry
from data_registry.console import (
    OUT,
    WorkspaceOption,
    new_app,
    run_app,
    say,
    show_table,
    step_reporter,
)
from data_registry.errors import MissingOptionalError
from data_registry.store import open_store
from graph_builder import cli as graph
from variant_effect import cli as trained
from variant_effect.alleles import STATUS_MEANINGS
from variant_effect.card import card_as_json, explain_variant
from variant_effect.causal.cli import causal_app
from variant_effect.preparation import prepare
from variant_effect.prior_commands import prior_app
from variant_effect.run import output_columns
from variant_effect.score import score

app = new_app(
    "What does each variant do? Register a genome and its omics, build the graph, score a VCF."
)
for commands in (registry.app, graph.app, trained.app, api.app):
    app.registered_commands += commands.registered_commands
app.command()(score)
app.add_typer(trained.models_app, name="models")
app.add_typer(prior_app, name="prior")
app.add_typer(causal_app, name="causal")


@app.command("explain-variant")
def explain(
    variant: Annotated[str, typer.Argument(help="chrX:pos:ref:alt, 1-based.")],
    workspace: WorkspaceOption = "workspace",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Print the evidence card of one variant: each statement with its source and version.

    Example:

        cisgraph explain-variant chrV:31068:C:T -w yeast
    """
    with open_store(Path(workspace)) as store:
        with step_reporter("preparing") as on_step:
            prepared = prepare(store, on_step=on_step)
        card = explain_variant(variant, store, prepared)
    if as_json:
        say(json.dumps(card_as_json(card), indent=1))
        return
    score_text = (
        "" if card.prior_score is None else f"   prior score {card.prior_score:.3f}"
    )
    say(f"{card.variant}   {card.status}{score_text}")
    section = ""
    for statement in card.statements:
        if statement.section != section:
            section = statement.section
            OUT.print(f"\n[bold]{escape(section)}[/]")
        say(f"  {statement.text}")
        OUT.print(f"    [dim]{escape(statement.source)}[/]")


@app.command()
def columns(
    markdown: Annotated[bool, typer.Option(help="As docs/columns.md.")] = False,
) -> None:
    """List the columns of the output: type, unit, range, direction, meaning."""
    if markdown:
        OUT.print(columns_page(), end="", markup=False)
        return
    show_table(
        "columns", ["column", "type", "unit", "range", "higher means", "meaning"],
        [[c.name, c.type, c.unit, c.range, c.direction, c.meaning] for c in output_columns()],
    )  # fmt: skip


def columns_page() -> str:
    """Return docs/columns.md, made from the columns themselves."""
    lines = [
        "# Columns of the output",
        "",
        "Made by `cisgraph columns --markdown`; a test keeps it true. An empty cell means no value.",
        "",
        "| column | type | unit | range | higher means | meaning |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{c.name}` | {c.type} | {c.unit} | {c.range} | {c.direction} | {c.meaning} |"
        for c in output_columns()
    ]
    lines += ["", "## Status", "", "| status | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in STATUS_MEANINGS.items()]
    return "\n".join(lines) + "\n"


@app.command()
def demo(
    workspace: WorkspaceOption = "demo/workspace",
    region: Annotated[
        str, typer.Option(help="Region to score and print, 1-based.")
    ] = "chr1:1-200000",
) -> None:
    """Build the simulated demo organism, register it, build its graph, score its VCF.

    A second call recomputes nothing.
    """
    run_demo(Path(workspace), region)


@app.command()
def dashboard(
    workspace: Annotated[
        list[str] | None,
        typer.Option(
            "--workspace",
            "-w",
            envvar="CISGRAPH_WORKSPACE",
            help="A workspace folder; may repeat.",
        ),
    ] = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(help="Parquet of scores outside the workspaces; may repeat."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port on this machine.")
    ] = 8501,
) -> None:
    """Look at workspaces and scores in a browser, on this machine only.

    Pages for regions, variants, evidence cards, genes, the graph, and scoring a file.
    Nothing is sent anywhere. Stop it with Ctrl-C. Needs the extra 'dashboard'.

    Examples:

        cisgraph dashboard -w rice

        cisgraph dashboard -w rice -w maize --scores lines.parquet --port 8600
    """
    try:
        from dashboards.app.server import serve
    except ModuleNotFoundError as error:
        raise MissingOptionalError(
            f"the dashboard needs '{error.name}': pip install 'cisgraph[dashboard]'"
        ) from error
    serve([Path(one) for one in workspace or ["workspace"]], scores or [], port)


def main() -> None:
    """Run ``cisgraph``."""
    OUT.soft_wrap = True
    run_app(app)


if __name__ == "__main__":
    main()
