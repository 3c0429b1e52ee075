"""``python -m variant_effect.score``: every ALT allele scored, or the reason why not."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from data_registry.console import (
    WorkspaceOption,
    count_reporter,
    log,
    new_app,
    run_app,
    step_reporter,
)
from data_registry.coordinates import Region, parse_region
from data_registry.errors import InputError
from data_registry.parsing import Request
from data_registry.sources.intervals import parse as parse_intervals
from data_registry.store import open_store
from data_registry.workspace import require_file, written_beside
from variant_effect.alleles import STATUS_MEANINGS
from variant_effect.preparation import Prepared, left_out_transcripts, prepare
from variant_effect.run import (
    CHUNK_RECORDS,
    MAX_MISMATCHED,
    Accounting,
    Choices,
    Result,
    available_cores,
    score_vcf,
)

app = new_app("Score variants.")


@app.command()
def score(
    vcf: Annotated[str, typer.Option(help="VCF or BCF; - for standard input.")],
    region: Annotated[
        list[str] | None,
        typer.Option(help="chr:start-end, 1-based inclusive; may repeat."),
    ] = None,
    regions_file: Annotated[Path | None, typer.Option(help="BED of regions.")] = None,
    workspace: WorkspaceOption = "workspace",
    fasta: Annotated[
        Path | None, typer.Option(help="Genome, instead of a workspace (with --gff).")
    ] = None,
    gff: Annotated[Path | None, typer.Option(help="Gene models, with --fasta.")] = None,
    out: Annotated[str, typer.Option(help="Output file; - for standard output.")] = "-",
    form: Annotated[
        str | None, typer.Option("--format", help="tsv, parquet, vcf or jsonl.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=0, help="Processes; 0 for one a core. The output does not depend on it."
        ),
    ] = 0,
    resume: Annotated[bool, typer.Option(help="Take up a killed run.")] = False,
    joint: Annotated[
        bool, typer.Option(help="Call alleles of one haplotype together.")
    ] = True,
    accounting: Annotated[
        Path | None, typer.Option(help="Write the counts here, as JSON.")
    ] = None,
    max_mismatch: Annotated[
        float, typer.Option(help="Stop when REF disagrees at more than this share.")
    ] = MAX_MISMATCHED,
    lm_distance: Annotated[
        bool,
        typer.Option(help="Compute embedding distances that were not precomputed."),
    ] = False,
    chunk_records: Annotated[
        int, typer.Option(min=1, help="Records a chunk: less memory, or less overhead.")
    ] = CHUNK_RECORDS,
) -> None:
    """Score every ALT allele of a VCF, or say why it cannot be scored.

    Examples:

        python -m variant_effect.score --vcf lines.vcf.gz --region chr1:100000-200000 --workspace rice --out scores.tsv

        python -m variant_effect.score --vcf lines.vcf.gz --fasta genome.fa --gff genes.gff3 --out scored.vcf.gz --format vcf

        bcftools view -s Line7 lines.bcf | python -m variant_effect.score --vcf - --workspace rice > scores.tsv
    """
    source = Path(vcf) if vcf == "-" else require_file(Path(vcf))
    target = _target(out, form or _format_of(out))
    format_name = form or _format_of(out)
    with _workspace(Path(workspace), fasta, gff) as folder:
        with (
            step_reporter("preparing") as on_step,
            open_store(folder, write=False) as store,
        ):
            prepared = prepare(store, on_step=on_step)
        left_out = left_out_transcripts(prepared)["reason"].value_counts()
        for reason, n in left_out.items():
            log(f"note: {n:,} transcripts give no consequences: {reason}")
        regions = read_regions(region or [], regions_file, prepared)
        choices = Choices(
            regions, format_name, joint, chunk_records, max_mismatch, lm_distance
        )
        with tempfile.TemporaryDirectory(prefix="cisgraph-") as temporary:
            path = Path(temporary) / "out" if target is None else target
            with count_reporter("scoring", "chunks") as report:

                def on_progress(n: int, counts: Accounting) -> None:
                    report(n, f"({counts.alleles:,} alleles)")

                result = score_vcf(
                    source, path, prepared, choices,
                    workers=workers or available_cores(), resume=resume,
                    on_progress=on_progress,
                )  # fmt: skip
            if target is None:
                with path.open("rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer)
                sys.stdout.flush()
    if accounting is not None:
        with written_beside(accounting) as beside:
            beside.write_text(json.dumps(result.accounting.as_dict(), indent=1) + "\n")
    show_result(result, target)


def show_result(result: Result, target: Path | None) -> None:
    """Print the accounting on stderr."""
    counts = result.accounting
    log(
        f"{counts.alleles:,} alleles of {counts.records:,} records = "
        + " + ".join(f"{n:,} {name}" for name, n in counts.statuses.most_common())
    )
    for name in counts.statuses:
        if name != "scored":
            log(f"  {name}: {STATUS_MEANINGS[name]}")
    if counts.unknown_contigs:
        shown = ", ".join(
            f"{n} {k:,}" for n, k in counts.unknown_contigs.most_common(8)
        )
        log(f"  unknown contigs: {shown}")
    for sentence in result.missing_layers:
        log(f"note: {sentence}")
    if result.resumed_chunks:
        log(
            f"resumed: {result.resumed_chunks} of {result.chunks} chunks were there already"
        )
    if target is not None:
        log(f"in {target}")


def read_regions(
    given: list[str], bed: Path | None, prepared: Prepared
) -> tuple[Region, ...]:
    """Read ``--region`` and ``--regions-file``; contigs by any name the workspace knows.

    Raises
    ------
    InputError
        A region names a contig the assembly does not have.
    """
    regions = [
        parse_region(text, contigs=frozenset(prepared.contig_names.names))
        for text in given
    ]
    if bed is not None:
        parsed = parse_intervals(
            Request(require_file(bed), bed.stem, {"interval_kind": "cre"})
        )
        table = parsed.tables["intervals"]
        regions += [
            Region(str(contig), int(start), int(end))
            for contig, start, end in zip(
                table["contig"], table["start"], table["end"], strict=True
            )
        ]
    own = prepared.contig_names.resolve({r.contig for r in regions})
    unknown = sorted(name for name, found in own.items() if found is None)
    if unknown:
        shown = ", ".join(prepared.contig_names.names[:8])
        raise InputError(
            f"--region: {prepared.assembly} has no contig {', '.join(unknown[:5])}; it has: {shown}"
        )
    return tuple(Region(own[r.contig] or r.contig, r.start, r.end) for r in regions)


def _format_of(out: str) -> str:
    name = out.removesuffix(".gz").removesuffix(".bgz")
    endings = {
        ".parquet": "parquet",
        ".vcf": "vcf",
        ".jsonl": "jsonl",
        ".json": "jsonl",
    }
    return endings.get(Path(name).suffix, "tsv")


def _target(out: str, format_name: str) -> Path | None:
    if out == "-":
        return None
    path = Path(out)
    if format_name == "vcf" and path.suffix not in {".gz", ".bgz"}:
        path = path.with_name(path.name + ".gz")
        log(f"VCF output is bgzipped and indexed: writing {path}")
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; name a file")
    return path


@contextmanager
def _workspace(workspace: Path, fasta: Path | None, gff: Path | None) -> Iterator[Path]:
    """Give the workspace, or a passing one made of ``--fasta`` and ``--gff``."""
    if fasta is None:
        if gff is not None:
            raise InputError("--gff goes with --fasta")
        yield workspace
        return
    with tempfile.TemporaryDirectory(prefix="cisgraph-workspace-") as folder:
        with open_store(Path(folder), write=True) as store:
            for path, kind in ((fasta, "genome"), (gff, "annotation")):
                if path is not None:
                    with step_reporter(str(path)) as on_step:
                        # genome.fa and genome.gff3 would clash under their own names.
                        options = (
                            {"assembly": path.name.split(".")[0]}
                            if path == fasta
                            else {}
                        )
                        added = store.add(
                            path, kind=kind, name=kind, options=options, on_step=on_step
                        )
                    lost = added.source.rows_read - added.source.rows_kept
                    log(
                        f"{path}: {added.source.rows_kept:,} rows kept, {lost:,} left out"
                    )
        yield Path(folder)


def main() -> None:
    """Run the command."""
    run_app(app)


if __name__ == "__main__":
    main()
