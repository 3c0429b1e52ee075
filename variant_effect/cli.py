"""Commands of trained models: which there are, adding one, precomputing its scores."""

from pathlib import Path
from typing import Annotated

import typer

from data_registry.console import (
    WorkspaceOption,
    count_reporter,
    log,
    new_app,
    say,
    show_table,
)
from data_registry.coordinates import Region, parse_region
from data_registry.errors import InputError, MissingLayerError
from data_registry.store import Store, open_store
from data_registry.workspace import Workspace
from variant_effect.dense_track import TRACKS, export_bigwig
from variant_effect.precompute import precompute as compute_track
from variant_effect.trained_models import (
    KINDS,
    NO_LANGUAGE_MODEL,
    add_model,
    find_model,
    open_language,
    shipped_models,
)

app = new_app("Use trained sequence models.")
models_app = new_app("Trained models: those that ship, and those of a workspace.")


@models_app.command("list")
def list_models(workspace: WorkspaceOption = "workspace") -> None:
    """List the models that ship with the package, and those of the workspace.

    Example:

        cisgraph models list --workspace yeast
    """
    rows = [
        [name, model.kind, "ships with the package", str(model.folder)]
        for name, model in sorted(shipped_models().items())
    ]
    for kind in KINDS:
        held = find_model(Path(workspace), kind)
        if held is not None:
            rows.append([held.name, kind, f"in {workspace}", str(held.folder)])
    show_table("trained models", ["model", "kind", "where", "folder"], rows)


@models_app.command("add")
def add(
    model: Annotated[
        str, typer.Argument(help="Name of a model that ships, or a folder.")
    ],
    workspace: WorkspaceOption = "workspace",
    allow_remote_code: Annotated[
        bool,
        typer.Option(
            "--allow-remote-code",
            help="Run the Python files of a published model (Caduceus, DNABERT-2, "
            "HyenaDNA), now and when the workspace uses it. Read them first.",
        ),
    ] = False,
) -> None:
    """Check a model and copy it into the workspace, in place of the one of its kind.

    Examples:

        cisgraph models add yeast_lm --workspace yeast

        cisgraph models add runs/rice_lm --workspace rice

        cisgraph models add PlantCaduceus_l20 -w maize --allow-remote-code
    """
    Workspace(Path(workspace)).require()
    added, what = add_model(model, Path(workspace), allow_remote_code=allow_remote_code)
    say(f"{added.name} ({what}) in {added.folder}")


@app.command()
def precompute(
    workspace: WorkspaceOption = "workspace",
    region: Annotated[
        list[str] | None,
        typer.Option(help="chr:start-end, 1-based inclusive; may repeat."),
    ] = None,
    genome: Annotated[bool, typer.Option("--genome", help="The whole genome.")] = False,
    what: Annotated[
        str,
        typer.Option(
            help="ratios, or all: embedding distances too, six passes a base."
        ),
    ] = "ratios",
    device: Annotated[
        str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")
    ] = "auto",
    bigwig: Annotated[
        Path | None, typer.Option(help="Also write a value a base to this bigWig.")
    ] = None,
    bigwig_of: Annotated[
        str,
        typer.Option(
            help="information: 2 bits less the entropy of the predicted base; "
            "surprisal: -log2 p of the base that stands there."
        ),
    ] = "information",
) -> None:
    """Score all possible SNVs once with the workspace's language model.

    What is finished is kept and not computed again; `score` looks it up.

    Examples:

        cisgraph precompute --genome --workspace yeast

        cisgraph precompute --region chrV:1-100000 -w yeast --bigwig information.bw
    """
    if what not in ("ratios", "all"):
        raise InputError(f"--what {what}: give ratios or all")
    if bigwig_of not in TRACKS:
        raise InputError(f"--bigwig-of {bigwig_of}: give {' or '.join(TRACKS)}")
    if genome == bool(region):
        raise InputError("give --genome, or one --region or more")
    with open_store(Path(workspace)) as store:
        model = find_model(Path(workspace), "language")
        if model is None:
            raise MissingLayerError(NO_LANGUAGE_MODEL)
        asked = _regions(region or [], store)
        opened = open_language(model, device=device)
        with count_reporter("precomputing", "tiles") as report:
            done = compute_track(
                store, model, opened, asked,
                distances=what == "all",
                on_progress=lambda n, total: report(n, f"of {total:,}"),
            )  # fmt: skip
        log(
            f"{done.tiles:,} tiles, {done.tiles_done_before:,} of them finished before; "
            f"the track holds {done.track.done():.1%} of the genome: {done.track.folder}"
        )
        if done.n_cut:
            log(f"note: {done.n_cut:,} ratios beyond ±16 nats are held as ±16")
        if bigwig is not None:
            assembly = store.genome()
            contigs = {name: assembly.contig(name) for name in assembly}
            n = export_bigwig(done.track, contigs, bigwig, bigwig_of)
            log(f"{n:,} bases of {bigwig_of} in {bigwig}")


def _regions(given: list[str], store: Store) -> list[Region]:
    names = store.contig_names()
    regions = [parse_region(text, contigs=frozenset(names.names)) for text in given]
    own = names.resolve({r.contig for r in regions})
    unknown = sorted(name for name, found in own.items() if found is None)
    if unknown:
        shown = ", ".join(names.names[:8])
        raise InputError(
            f"--region: no contig {', '.join(unknown[:5])}; the genome has: {shown}"
        )
    return [Region(own[r.contig] or r.contig, r.start, r.end) for r in regions]
