"""Commands of the registry: add, ls, show, verify, remove, fetch, catalogue, doctor."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TransferSpeedColumn,
)

from data_registry.catalogue import PublicSource, load_catalogue
from data_registry.console import (
    ERR,
    WorkspaceOption,
    count_reporter,
    log,
    new_app,
    run_app,
    say,
    show_table,
    step_reporter,
)
from data_registry.doctor import examine
from data_registry.download import fetch as fetch_species
from data_registry.errors import InputError
from data_registry.kinds import KINDS
from data_registry.recipes import read_recipe, register_recipe
from data_registry.relatives import Registered, align_relatives, write_tracks
from data_registry.store import Added, Source, open_store

app = new_app("Register genomes, annotations, omics and panels in a workspace.")


def read_pairs(given: list[str], what: str) -> dict[str, str]:
    """Read ``key=value`` arguments.

    Raises
    ------
    InputError
        One of them has no ``=``.
    """
    pairs = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--{what} {text!r}: write key=value")
        pairs[key] = value
    return pairs


def show_added(added: Added) -> None:
    """Print what an add did: counts, reasons, notes."""
    source = added.source
    if not added.is_new:
        say(f"{source.name} ({source.kind}): already registered, nothing to do")
        return
    lost = ", ".join(f"{n:,} {reason}" for reason, n in source.left_out.items())
    say(
        f"{source.name} ({source.kind}): {source.rows_kept:,} of {source.rows_read:,} rows "
        f"kept" + (f"; left out: {lost}" if lost else "")
    )
    renamed = {k: v for k, v in source.contig_map.items() if k != v}
    if renamed:
        shown = ", ".join(f"{k} = {v}" for k, v in list(renamed.items())[:6])
        say(f"  contigs: {shown}{', …' if len(renamed) > 6 else ''}")
    for note in source.notes:
        say(f"  {note}")
    if added.superseded is not None:
        say(f"  supersedes version {source.version - 1}")


@app.command()
def add(
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Files; or jaspar:CORE/plants for motifs."),
    ] = None,
    workspace: WorkspaceOption = "workspace",
    kind: Annotated[
        str | None, typer.Option(help="Kind of the files (default: found out).")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the source (default: the file's).")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="The kind's option key=value."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Which header holds a column, e.g. gene_a=Locus."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="TOML list of sources to register.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder the recipe's paths start from.")
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Licence, as its source states it.")
    ] = "",
    citation: Annotated[str, typer.Option(help="How to cite it.")] = "",
) -> None:
    """Register files: each is taken whole or refused, with nothing changed.

    Examples:

        cisgraph add genome.fa.gz -w rice

        cisgraph add genes.gff3.gz panel.vcf.gz peaks.narrowPeak -w rice

        cisgraph add FT10.csv --kind gwas --name FT10 -w rice

        cisgraph add net.tsv --kind interactions --column gene_a=TF --column gene_b=target -o directed=yes
    """
    if not paths and recipe is None:
        raise InputError("name a file to add, or a --recipe")
    if name and paths and len(paths) > 1:
        raise InputError("--name goes with one file")
    with open_store(Path(workspace), write=True) as store:
        for path in paths or []:
            with step_reporter(path) as on_step:
                added = store.add(
                    Path(path),
                    kind=kind,
                    name=name,
                    options=read_pairs(option or [], "option"),
                    columns=read_pairs(column or [], "column"),
                    licence=licence,
                    citation=citation,
                    on_step=on_step,
                )
            show_added(added)
        failed = 0
        if recipe is not None:
            read = read_recipe(recipe, root or recipe.parent)
            with step_reporter(recipe.name) as on_step:
                outcomes = register_recipe(
                    store, read, on_step=on_step, keep_going=True
                )
            for outcome in outcomes:
                if outcome.added is not None:
                    show_added(outcome.added)
                else:
                    failed += 1
                    ERR.print(f"[bold red]error[/]: {outcome.error}", markup=True)
    if failed:
        raise InputError(f"{failed} of the recipe's sources were refused (see above)")


@app.command("ls")
def list_sources(
    workspace: WorkspaceOption = "workspace",
    history: Annotated[bool, typer.Option(help="Superseded and removed too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the registered sources.

    Example:

        cisgraph ls -w rice --history
    """
    with open_store(Path(workspace)) as store:
        sources = store.sources(history=history)
    if as_json:
        say(json.dumps([_as_json(source) for source in sources], indent=1))
        return
    show_table(
        f"{workspace}: {len(sources)} sources",
        ["name", "kind", "version", "kept", "left out", "licence", "added", "state"],
        [
            [
                s.name, s.kind, s.version, f"{s.rows_kept:,}",
                f"{s.rows_read - s.rows_kept:,}", s.licence or "not stated",
                f"{s.added_at:%Y-%m-%d %H:%M}",
                "current" if s.is_current else "removed" if s.removed_at else "superseded",
            ]
            for s in sources
        ],
    )  # fmt: skip


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the source.")],
    workspace: WorkspaceOption = "workspace",
    left_out: Annotated[bool, typer.Option(help="List the rows left out.")] = False,
) -> None:
    """Show one source: counts, notes, contig mapping, rows left out.

    Example:

        cisgraph show genes --left-out -w rice
    """
    with open_store(Path(workspace)) as store:
        source = store.source(name)
        rows = store.left_out(source) if left_out else None
    say(json.dumps(_as_json(source), indent=1))
    if rows is not None:
        for line, reason, text in rows.itertuples(index=False):
            say(f"{'' if line != line else int(line)}\t{reason}\t{text}")


@app.command()
def verify(workspace: WorkspaceOption = "workspace") -> None:
    """Compare every stored file with its checksum.

    Example:

        cisgraph verify -w rice
    """
    with open_store(Path(workspace)) as store:
        faults = store.verify()
        n = len(store.sources())
    for source, fault in faults:
        ERR.print(f"[bold red]error[/]: {source.name}: {fault}")
    if faults:
        raise InputError(f"{len(faults)} of {n} sources are damaged; add them again")
    say(f"{n} sources verified")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of the source.")],
    workspace: WorkspaceOption = "workspace",
) -> None:
    """Take a source's rows out; its line stays in the history.

    Example:

        cisgraph remove old_peaks -w rice
    """
    with open_store(Path(workspace), write=True) as store:
        source = store.remove(name)
    say(f"{source.name}: {source.rows_kept:,} rows removed")


@app.command()
def kinds() -> None:
    """List the kinds of source with their options."""
    show_table(
        "kinds of source",
        ["kind", "what", "options", "tables"],
        [
            [
                k.name, k.meaning,
                "\n".join(f"{o}: {m}" for o, m in k.options.items()), ", ".join(k.tables),
            ]
            for k in KINDS.values()
        ],
    )  # fmt: skip


@app.command()
def catalogue(
    species: Annotated[
        str | None, typer.Argument(help="A species of the catalogue.")
    ] = None,
) -> None:
    """List the public sources we know: address, licence, citation, assembly.

    Example:

        cisgraph catalogue rice
    """
    known = load_catalogue()
    if species is None:
        show_table(
            "species", ["key", "name", "assembly", "also called"],
            [
                [s.key, s.latin, s.assembly, ", ".join(s.aliases)]
                for s in known.species.values()
            ],
        )  # fmt: skip
        return
    chosen = known.find_species(species)
    show_table(
        f"{chosen.latin}, {chosen.assembly}",
        ["key", "kind", "fetched", "licence", "address", "how checked"],
        [
            [s.key, s.kind, s.fetch, s.provider.licence, s.url,
             s.verified]
            for s in known.choose_sources(species, everything=True)
        ],
    )  # fmt: skip
    for gap in chosen.gaps:
        say(f"missing: {gap}")


@app.command()
def fetch(
    species: Annotated[str, typer.Argument(help="A species of the catalogue.")],
    workspace: WorkspaceOption = "workspace",
    kind: Annotated[list[str] | None, typer.Option(help="Only these kinds.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="Only these sources.")] = None,
    everything: Annotated[bool, typer.Option(help="On-request sources too.")] = False,
    mirror: Annotated[str, typer.Option(help="Take hosts from MIRROR/host/path.")] = "",
    register: Annotated[bool, typer.Option(help="Register what was fetched.")] = True,
) -> None:
    """Download public sources and register them; a second call resumes.

    Example:

        cisgraph fetch arabidopsis -w arabidopsis
    """
    folder = Path(workspace) / "downloads"
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
        TransferSpeedColumn(), console=ERR, transient=True, disable=not ERR.is_terminal,
    ) as progress:  # fmt: skip

        def on_source(source: PublicSource):  # type: ignore[no-untyped-def]  # noqa: ANN202
            log(f"fetching {source.key}")
            task = progress.add_task(source.key, total=None)
            return lambda done, total: progress.update(
                task, completed=done, total=total
            )

        report = fetch_species(
            species, folder, kinds=kind or [], keys=key or [], everything=everything,
            mirror=mirror, on_source=on_source,
        )  # fmt: skip
    for source, got in report.complete:
        say(
            f"{source.key}: {got.status}, {got.bytes_total:,} bytes, checked by {got.checked_by}"
        )
    if register:
        first = ("genome", "contig_synonyms", "annotation", "aliases")
        order = {name: i for i, name in enumerate(first)}
        with open_store(Path(workspace), write=True) as store:
            for source, got in sorted(
                report.complete, key=lambda pair: order.get(pair[0].kind, len(order))
            ):
                with step_reporter(source.key) as on_step:
                    show_added(
                        store.add(
                            got.path, kind=source.kind, name=source.key,
                            options=dict(source.options), licence=source.provider.licence,
                            citation=source.provider.citation, on_step=on_step,
                        )
                    )  # fmt: skip
    for source, error in report.failed:
        ERR.print(f"[bold red]error[/]: {source.key}: {error}")
    if report.failed:
        raise InputError(
            f"{len(report.failed)} sources were not fetched; run again to resume"
        )


@app.command()
def relatives(
    workspace: WorkspaceOption = "workspace",
    tracks: Annotated[
        Path | None, typer.Option(help="Write bigWig tracks into this folder.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Threads; the result does not depend on it.")
    ] = 1,
) -> None:
    """Align the registered relatives' genomes to the reference, base by base.

    What is aligned already is not aligned again; a killed run goes on where it stopped.

    Examples:

        cisgraph add CBS432.fa.gz --kind relative_genome --name CBS432 -o role=outgroup -w yeast

        cisgraph relatives -w yeast --tracks tracks

        cisgraph add tracks/relatives_identity.bw -o role=conservation -w yeast
    """
    with open_store(Path(workspace)) as store:
        registered = Registered.of(store)
    with count_reporter("aligning", "bp", registered.total_bp) as report:
        aligned = align_relatives(registered, workers=workers, on_progress=report)
    columns = (
        "identical",
        "different",
        "deleted",
        "unaligned",
        "disputed",
        "no_letter",
    )
    total = sum(registered.genome.lengths.values())
    show_table(
        f"{workspace}: {len(aligned.names)} relatives on {total:,} bp of "
        f"{registered.genome.assembly}",
        ["relative", "role", "preset", "differing bases", *columns, "insertions"],
        [
            [
                name, role, counts["preset"], f"{counts['divergence']:.2%}",
                *(f"{counts[column]:,}" for column in (*columns, "insertions")),
            ]
            for name, role, counts in zip(
                aligned.names, aligned.roles, aligned.counts, strict=True
            )
        ],
    )  # fmt: skip
    if not aligned.is_outgroup.any():
        say("no outgroup: which allele is ancestral stays unknown")
    if tracks is not None:
        for path in write_tracks(aligned, tracks):
            say(f"{path}")


@app.command()
def doctor(
    workspace: Annotated[Path | None, typer.Option("--workspace", "-w")] = None,
) -> None:
    """Say what works on this machine, what is missing, and how to get it."""
    report = examine(workspace)
    show_table(
        "parts", ["part", "version", "state", "what for", "remedy"],
        [[p.name, p.version, p.state, p.purpose, p.remedy] for p in report.parts],
    )  # fmt: skip
    show_table(
        "folders", ["folder", "path", "state", "free", "remedy"],
        [
            [p.name, p.path, "writable" if p.writable else p.detail,
             f"{p.free_bytes / 1e9:.1f} GB", p.remedy]
            for p in report.places
        ],
    )  # fmt: skip
    show_table(
        "self-checks", ["check", "state", "seconds", "remedy"],
        [
            [c.name, "passed" if c.passed else c.detail, f"{c.seconds:.1f}", c.remedy]
            for c in report.checks
        ],
    )  # fmt: skip
    machine = report.machine
    say(
        f"cisgraph {report.package_version}, Python {report.python} ({report.python_path}); "
        f"{machine.system}, {machine.cores:g} cores, {machine.memory_bytes / 1e9:.1f} GB memory "
        f"({machine.memory_free_bytes / 1e9:.1f} free)"
    )
    for advice in report.advice:
        say(f"advice: {advice}")
    for problem in report.problems:
        ERR.print(f"[bold red]problem[/]: {problem}")
    if not report.healthy:
        raise InputError(f"{len(report.problems)} problems stop work (see above)")


def _as_json(source: Source) -> dict[str, object]:
    return {
        name: str(value) if hasattr(value, "isoformat") else value
        for name in Source.__slots__
        for value in [getattr(source, name)]
    }


def main() -> None:
    """Run the registry's commands."""
    run_app(app)
