"""A GFF3 that ``bcftools csq`` reads whole and without complaint.

csq (bcftools ``gff.c``) needs gene, transcript and part lines with ``ID=gene:``,
``ID=transcript:``, ``Parent=`` and a ``biotype`` it knows. With ``--force`` it drops
the CDS of a transcript whose phase column disagrees with the lengths of its parts, and
then calls variants in it intronic; it stops at a line whose coordinates it cannot read
and at parts on two strands. What is written here passes: phases are worked out anew,
spans hold their parts, biotypes are of csq's list. In csq's output the gene field holds
the ``gene_id`` and the transcript field the ``transcript_id``; read both with
``decode_identifier``.

Run csq in a process of its own: it keeps its last position in a static variable, so a
second ``pysam.bcftools.csq`` in one process can stop with "The file is not sorted".
"""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_registry.coordinates import one_based_from_start
from data_registry.translation import order_parts, reading_phases

CODING_BIOTYPES: Final = frozenset(
    {"protein_coding", "polymorphic_pseudogene", "nonsense_mediated_decay",
     "non_stop_decay", "IG_C_gene", "IG_D_gene", "IG_J_gene", "IG_LV_gene",
     "IG_V_gene", "TR_C_gene", "TR_D_gene", "TR_J_gene", "TR_V_gene"}
)  # fmt: skip
"""Biotypes csq translates; another transcript with a CDS is written protein_coding."""

NONCODING_BIOTYPES: Final = frozenset(
    {"antisense", "lincRNA", "lncRNA", "macro_lncRNA", "miRNA", "misc_RNA", "Mt_rRNA",
     "Mt_tRNA", "processed_transcript", "ribozyme", "rRNA", "sRNA", "scRNA", "scaRNA",
     "sense_intronic", "sense_overlapping", "snRNA", "snoRNA", "pseudogene",
     "processed_pseudogene", "unprocessed_pseudogene", "unitary_pseudogene",
     "retained_intron", "vaultRNA"}
)  # fmt: skip
"""Non-coding biotypes csq knows."""

STAND_IN_BIOTYPES: Final = {
    "pseudogenic_transcript": "pseudogene",
    "transposable_element_gene": "pseudogene",
    "transposable_element": "pseudogene",
    "protein_coding": "processed_transcript",
}
"""Non-coding biotypes csq does not know (or takes for coding) to one it knows; others
become ``misc_RNA`` (csq knows neither tRNA nor ncRNA)."""

LEFT_OUT: Final = {
    "unknown_contig": "the transcript's contig is not among those asked for",
    "no_strand": "its strand is not known",
    "strand_conflict": "its parts lie on both strands: csq stops at such a file",
    "several_contigs": "its parts lie on more than one contig",
    "overlapping_cds": "CDS parts overlap (-1 frameshift): csq joins them wrongly",
    "cds_shorter_than_codon": "fewer than three bases are left of its CDS",
}
"""Reasons why a transcript is not written."""

_SAFE = "".join(chr(c) for c in range(33, 127) if chr(c) not in "%;=&,|\"'<>")


def encode_identifier(identifier: str) -> str:
    """Percent-encode what GFF3 or the BCSQ field would cut an identifier at."""
    return quote(identifier, safe=_SAFE)


def decode_identifier(text: str) -> str:
    """Undo ``encode_identifier``."""
    return unquote(text)


def write_canonical_gff(
    genes: pd.DataFrame,
    transcripts: pd.DataFrame,
    features: pd.DataFrame,
    contig_names: Mapping[str, str],
    path: Path,
) -> pd.DataFrame:
    """Write gene models for ``bcftools csq``.

    Parameters
    ----------
    genes, transcripts, features
        Tables of those names (``data_registry.schema``), 0-based half-open.
    contig_names
        Contig in the tables to contig in the FASTA and VCF. Transcripts elsewhere are
        left out: name only the mitochondrion to get a file for its genetic code
        (``csq --genetic-code 3``), and all others for the rest.
    path
        Where to write; gzip-compressed when the name ends in ``.gz``. Same input, same
        bytes.

    Returns
    -------
    pandas.DataFrame
        ``transcript_id reason``: transcripts not written, reasons as in ``LEFT_OUT``.

    Notes
    -----
    The gene line has no ``Name``, so that csq's gene field is the identifier. Spans of
    genes and transcripts are widened to hold their parts. A CDS whose length is no
    multiple of three is written as it is: csq trims its end, remembers that it did, and
    prints ``Note: truncated transcript``. A first or last part that would be trimmed
    away whole is not written, because csq miscounts it.
    """
    models = transcripts.drop_duplicates("transcript_id").reset_index(drop=True)
    parts = order_parts(
        features.loc[
            features["kind"].isin(["exon", "cds", "utr5", "utr3"])
            & features["transcript_id"].isin(models["transcript_id"])
        ]
    ).drop(columns="_key")
    parts = parts.drop_duplicates(["transcript_id", "kind", "start", "end", "strand"])
    reason = _reasons(models, parts, contig_names)
    parts = _trim(parts)
    n_coding = parts.loc[parts["kind"] == "cds"].groupby("transcript_id").size()
    had_cds = features.loc[features["kind"] == "cds", "transcript_id"]
    is_gone = (
        models["transcript_id"].isin(had_cds)
        & ~models["transcript_id"].isin(n_coding.index)
    ).to_numpy()
    reason[is_gone & (reason == "")] = "cds_shorter_than_codon"

    is_kept = reason == ""
    kept = models.loc[is_kept].reset_index(drop=True)
    parts = parts.loc[parts["transcript_id"].isin(kept["transcript_id"])]
    parts = _with_phases(parts)
    kept = _widened(kept, parts)
    text = _text(genes, kept, parts, contig_names)
    _write(path, text)
    left_out = pd.DataFrame(
        {
            "transcript_id": models.loc[~is_kept, "transcript_id"].to_numpy(),
            "reason": reason[~is_kept],
        }
    )
    return left_out.sort_values("transcript_id", ignore_index=True)


def _reasons(
    models: pd.DataFrame, parts: pd.DataFrame, contig_names: Mapping[str, str]
) -> npt.NDArray[np.object_]:
    names = models["transcript_id"]
    home = parts["transcript_id"].map(models.set_index("transcript_id")["contig"])
    strand = parts["transcript_id"].map(models.set_index("transcript_id")["strand"])
    elsewhere = parts.loc[parts["contig"] != home, "transcript_id"]
    other_strand = parts.loc[parts["strand"] != strand, "transcript_id"]
    cds = parts.loc[parts["kind"] == "cds"].sort_values(["transcript_id", "start"])
    is_same = cds["transcript_id"] == cds["transcript_id"].shift()
    overlapping = cds.loc[is_same & (cds["start"] < cds["end"].shift())]
    reason = np.full(len(models), "", dtype=object)
    for word, where in (
        ("unknown_contig", ~models["contig"].isin(list(contig_names))),
        ("several_contigs", names.isin(elsewhere)),
        ("no_strand", ~models["strand"].isin(["+", "-"])),
        ("strand_conflict", names.isin(other_strand)),
        ("overlapping_cds", names.isin(overlapping["transcript_id"])),
    ):
        reason[where.to_numpy() & (reason == "")] = word
    return reason


def _first_phases(cds: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Phase of the first part of each part's transcript; 0 where it is not given."""
    phase = pd.to_numeric(cds["phase"], errors="coerce").fillna(0)
    first = phase.groupby(cds["transcript_id"]).transform("first")
    numbers: npt.NDArray[np.int64] = first.to_numpy(dtype=np.int64) % 3
    return numbers


def _trim(parts: pd.DataFrame) -> pd.DataFrame:
    """Drop CDS parts that csq would trim to nothing, at either end."""
    is_cds = (parts["kind"] == "cds").to_numpy()
    cds = parts.loc[is_cds]
    if not len(cds):
        return parts
    names = cds["transcript_id"].to_numpy(dtype=object)
    length = (cds["end"] - cds["start"]).to_numpy(dtype=np.int64)
    first = _first_phases(cds)
    by_name = pd.Series(length).groupby(pd.Series(names))
    through = by_name.cumsum().to_numpy()
    total = by_name.transform("sum").to_numpy()
    usable = total - first
    whole = first + usable - usable % 3
    # Gone: a part that ends before the first whole codon or starts after the last.
    is_gone = (through <= first) | (through - length >= whole) | (usable < 3)
    if not is_gone.any():
        return parts
    phases = reading_phases(names, length, first)
    kept = cds.assign(phase=phases).loc[~is_gone]
    trimmed: pd.DataFrame = pd.concat([parts.loc[~is_cds], kept], ignore_index=True)
    return trimmed


def _with_phases(parts: pd.DataFrame) -> pd.DataFrame:
    ordered = order_parts(parts).drop(columns="_key")
    is_cds = (ordered["kind"] == "cds").to_numpy()
    cds = ordered.loc[is_cds]
    phases = reading_phases(
        cds["transcript_id"].to_numpy(dtype=object),
        (cds["end"] - cds["start"]).to_numpy(dtype=np.int64),
        _first_phases(cds),
    )
    # csq never uses the phase of exons and UTRs, and bcftools 1.24 warns of a ".".
    column = np.full(len(ordered), "0", dtype=object)
    column[is_cds] = phases.astype(str)
    return ordered.assign(phase=column)


def _widened(models: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    spans = parts.groupby("transcript_id").agg(
        low=("start", "min"), high=("end", "max")
    )
    of = models.join(spans, on="transcript_id")
    widened: pd.DataFrame = models.assign(
        start=np.fmin(of["start"], of["low"]).astype(np.int64),
        end=np.fmax(of["end"], of["high"]).astype(np.int64),
    )
    return widened


_LINE_TYPES = {
    "exon": "exon",
    "cds": "CDS",
    "utr5": "five_prime_UTR",
    "utr3": "three_prime_UTR",
}
_ORDER = {"exon": 2, "cds": 3, "utr5": 4, "utr3": 5}


def _text(
    genes: pd.DataFrame,
    models: pd.DataFrame,
    parts: pd.DataFrame,
    contig_names: Mapping[str, str],
) -> str:
    coding = set(parts.loc[parts["kind"] == "cds", "transcript_id"])
    models = models.assign(
        biotype=[
            _csq_biotype(str(biotype), is_coding=name in coding)
            for name, biotype in zip(
                models["transcript_id"], models["biotype"], strict=True
            )
        ]
    )
    # One gene on two contigs (pseudoautosomal copies) would be read as one place.
    contig_of = models.groupby("gene_id")["contig"].transform("first")
    suffix = np.where(contig_of == models["contig"], "", "@" + models["contig"])
    models = models.assign(gene=models["gene_id"] + suffix)
    # Old bcftools (1.16) drops genes of a biotype it does not know, with all in them.
    is_coding = models["transcript_id"].isin(coding)
    models = models.assign(gene_biotype=models["biotype"].where(~is_coding,
                                                                "protein_coding"),
                           rank=~is_coding)  # fmt: skip
    spans = (
        models.sort_values(["rank", "transcript_id"])
        .groupby("gene")
        .agg(
            biotype=("gene_biotype", "first"),
            contig=("contig", "first"),
            start=("start", "min"),
            end=("end", "max"),
            strand=("strand", "first"),
        )
    )

    own = genes.drop_duplicates(["gene_id", "contig"]).assign(
        gene=lambda table: table["gene_id"]
    )
    own = spans.join(own.set_index(["gene", "contig"])[["start", "end"]],
                     on=["gene", "contig"], rsuffix="_own")  # fmt: skip
    spans = spans.assign(
        start=np.fmin(own["start"], own["start_own"]).astype(np.int64),
        end=np.fmax(own["end"], own["end_own"]).astype(np.int64),
    )

    gene_key = {name: encode_identifier(str(name)) for name in spans.index}
    model_key = {n: encode_identifier(str(n)) for n in models["transcript_id"]}
    lines: list[tuple[str, int, str, str, int, str]] = []
    starts = dict(zip(spans.index, spans["start"], strict=True))
    for name, biotype, contig, start, end, strand in spans.itertuples():
        lines.append((contig, start, name, "", 0, _line(
            contig_names[contig], "gene", start, end, strand, ".",
            f"ID=gene:{gene_key[name]};biotype={biotype}",
        )))  # fmt: skip
    columns = ["transcript_id", "gene", "biotype", "contig", "start", "end", "strand"]
    gene_of = {}
    for name, gene, biotype, contig, start, end, strand in models[columns].itertuples(
        index=False
    ):
        gene_of[name] = gene
        lines.append((contig, starts[gene], gene, name, 1, _line(
            contig_names[contig], "mRNA" if name in coding else "transcript",
            start, end, strand, ".",
            f"ID=transcript:{model_key[name]};Parent=gene:{gene_key[gene]};"
            f"biotype={biotype}",
        )))  # fmt: skip
    columns = ["transcript_id", "kind", "contig", "start", "end", "strand", "phase"]
    for name, kind, contig, start, end, strand, phase in parts[columns].itertuples(
        index=False
    ):
        gene = gene_of[name]
        lines.append((contig, starts[gene], gene, name, _ORDER[kind], _line(
            contig_names[contig], _LINE_TYPES[kind], start, end, strand, phase,
            f"Parent=transcript:{model_key[name]}",
        )))  # fmt: skip
    lines.sort(key=lambda line: line[:5])
    return "##gff-version 3\n" + "".join(line[5] for line in lines)


def _line(
    contig: str, kind: str, start: int, end: int, strand: str, phase: str, text: str
) -> str:
    return (
        f"{contig}\tcisgraph\t{kind}\t{one_based_from_start(start)}\t{end}\t.\t"
        f"{strand}\t{phase}\t{text}\n"
    )


def _csq_biotype(biotype: str, *, is_coding: bool) -> str:
    if is_coding:
        return biotype if biotype in CODING_BIOTYPES else "protein_coding"
    if biotype in NONCODING_BIOTYPES:
        return biotype
    return STAND_IN_BIOTYPES.get(biotype, "misc_RNA")


def _write(path: Path, text: str) -> None:
    data = text.encode()
    if path.suffix == ".gz":
        # No time in the header: same models, same bytes.
        data = gzip.compress(data, compresslevel=6, mtime=0)
    path.write_bytes(data)
