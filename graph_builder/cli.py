"""Commands of the graph: build, validate, diff, export."""

from pathlib import Path
from typing import Annotated

import typer

from data_registry.console import (
    ERR,
    WorkspaceOption,
    count_reporter,
    new_app,
    run_app,
    say,
    show_table,
)
from data_registry.coordinates import parse_region
from data_registry.errors import InputError, MissingLayerError
from data_registry.store import open_store
from data_registry.workspace import Workspace
from graph_builder.build import StepEvent, build_graph
from graph_builder.difference import diff as compare_graphs
from graph_builder.export import export as export_graph
from graph_builder.manifest import Manifest, current_graph, read_manifest
from graph_builder.parameters import BuildParameters
from graph_builder.rebuild import app as rebuild_app
from graph_builder.schema import TYPES
from graph_builder.validation import validate as find_problems

app = new_app(
    "Build the heterogeneous graph of a workspace, check it, compare it, export it."
)
app.registered_commands += rebuild_app.registered_commands


@app.command()
def build(
    workspace: WorkspaceOption = "workspace",
    promoter_upstream_bp: Annotated[
        int, typer.Option(help="Derived promoters, bp.")
    ] = 1000,
    link_window_bp: Annotated[
        int, typer.Option(help="Elements this far from a gene may be linked, bp.")
    ] = 100_000,
    motif_max_p: Annotated[float, typer.Option(help="P-value of a motif hit.")] = 1e-4,
    max_panel_variants: Annotated[
        int, typer.Option(help="Most variant nodes drawn from panels.")
    ] = 200_000,
) -> None:
    """Build the graph; only what a changed source touches is built again.

    Example:

        python -m graph_builder.build --workspace rice
    """
    parameters = BuildParameters(
        promoter_upstream_bp=promoter_upstream_bp,
        link_window_bp=link_window_bp,
        motif_max_p=motif_max_p,
        max_panel_variants=max_panel_variants,
    )
    manifest = build_workspace(Path(workspace), parameters)
    show_manifest(manifest)


def build_workspace(
    workspace: Path, parameters: BuildParameters | None = None
) -> Manifest:
    """Build the graph of a workspace with progress shown.

    Raises
    ------
    MissingLayerError
        No genome is registered.
    """
    with open_store(workspace) as store:
        genome = store.genome()
        with count_reporter(
            "building the graph", "steps", len(TYPES), every_s=2.0
        ) as report:

            def on_step(event: StepEvent) -> None:
                report(event.index - (event.state == "started"), event.type)

            return build_graph(
                store.connection, genome, store.workspace.graph,
                parameters=parameters, on_step=on_step,
            )  # fmt: skip


def show_manifest(manifest: Manifest) -> None:
    """Print what a graph holds and what it lacks."""
    show_table(
        f"graph {manifest.digest[:16]}", ["type", "rows"],
        [[name, f"{record.count:,}"] for name, record in manifest.types.items()],
    )  # fmt: skip
    for gap in manifest.missing:
        say(f"empty: {gap.type}, {gap.problem}; {gap.remedy}")
    say(f"in {manifest.path}")


def _graph_of(workspace: str, digest: str | None = None) -> Path:
    folder = Workspace(Path(workspace)).graph
    if digest is None:
        found = current_graph(folder)
        if found is None:
            raise MissingLayerError(
                f"{workspace} holds no graph; run 'cisgraph build -w {workspace}'"
            )
        return found
    matches = [p for p in folder.glob(f"{digest}*") if p.is_dir()]
    if len(matches) != 1:
        raise InputError(f"{len(matches)} graphs of {workspace} start with {digest!r}")
    return matches[0]


@app.command()
def validate(workspace: WorkspaceOption = "workspace") -> None:
    """Check the newest graph: ids, ends, duplicates, attributes, digests.

    Example:

        cisgraph validate -w rice
    """
    graph = _graph_of(workspace)
    problems = find_problems(graph)
    for problem in problems:
        ERR.print(f"[bold red]problem[/]: {problem}")
    if problems:
        raise InputError(f"{len(problems)} problems in {graph}; build it again")
    manifest = read_manifest(graph)
    say(f"{graph.name[:16]}: {len(manifest.types)} types are sound")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="Digest (or its beginning) or folder.")],
    new: Annotated[str, typer.Argument(help="Digest (or its beginning) or folder.")],
    workspace: WorkspaceOption = "workspace",
) -> None:
    """Compare two graphs: nodes and edges added, removed and changed, by type.

    Example:

        cisgraph diff 3fa1 9c0d -w rice
    """
    folders = [
        Path(text) if Path(text).is_dir() else _graph_of(workspace, text)
        for text in (old, new)
    ]
    found = compare_graphs(folders[0], folders[1])
    show_table(
        "differences", ["type", "added", "removed", "changed", "for example"],
        [
            [name, t.n_added, t.n_removed, t.n_changed,
             ", ".join([*t.added[:3], *t.removed[:3], *t.changed[:3]])]
            for name, t in found.types.items()
        ],
    )  # fmt: skip
    for name, (before, after) in found.parameters.items():
        say(f"parameter {name}: {before} -> {after}")


@app.command("export")
def export_command(
    out: Annotated[Path, typer.Argument(help="File to write; a folder for parquet.")],
    form: Annotated[
        str, typer.Option("--format", help="graphml, cytoscape, networkx or parquet.")
    ] = "graphml",
    workspace: WorkspaceOption = "workspace",
    region: Annotated[
        str | None, typer.Option(help="chr:start-end, 1-based: only what lies there.")
    ] = None,
    node: Annotated[
        list[str] | None, typer.Option(help="Only these node types.")
    ] = None,
    edge: Annotated[
        list[str] | None, typer.Option(help="Only these edge types.")
    ] = None,
    most_rows: Annotated[
        int | None, typer.Option(help="Refuse more nodes and edges than this.")
    ] = None,
) -> None:
    """Write the graph, or a part of it, for another program.

    Example:

        cisgraph export locus.graphml --region chrV:10000-60000 -w yeast
    """
    if form not in {"graphml", "cytoscape", "networkx", "parquet"}:
        raise InputError(
            f"no format {form!r}; there are graphml, cytoscape, networkx, parquet"
        )
    part = export_graph(
        _graph_of(workspace), out, format=form,  # type: ignore[arg-type]
        node_types=node, edge_types=edge,
        region=parse_region(region) if region else None, most_rows=most_rows,
    )  # fmt: skip
    nodes = sum(len(table) for table in part.nodes.values())
    say(f"{out}: {nodes:,} nodes, {part.n_rows - nodes:,} edges")


def main() -> None:
    """Run the graph's commands."""
    run_app(app)


def main_build() -> None:
    """Run ``build`` alone, for ``python -m graph_builder.build``."""
    single = new_app("Build the graph of a workspace.")
    single.command()(build)
    run_app(single)
