"""Promoters, open chromatin and TF binding from sequence: networks beside their floors.

    python benchmarks/sites.py --data ../shared/data --work W \
        --out benchmarks/results/sites.json

* **yeast_tss**: 300 bp around measured transcription start sites against windows of the same
  GC content in genes and between them; chrV and chrXV judge, chrXI is for validation.
* **arabidopsis_elements**: promoter, distal open chromatin, background, 300 bp; regions of
  200 kb judge in turn.
* **arabidopsis_binding**: which of 30 factors bind (DAP-seq) a window of 200 bp, of which
  240 bp are read; regions of 200 kb are held out.

What a model is told is chosen on validation rows: penalties, epochs, thresholds. What
resembles a judged row is left out of what teaches. Each finished fit is kept in ``--work``,
so that a stopped run goes on where it was.

With ``--language`` a ridge on a language model's hidden layer stands beside them; not for
binding, whose 11,000 windows would take it ten minutes, and ours is one of yeast.
"""

import argparse
import gzip
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.block_bootstrap import Blocks, Estimate
from benchmarks.graph import command_line, data_digest
from benchmarks.graph_genes import Tables
from benchmarks.machine import describe_machine
from benchmarks.result_file import write_result
from benchmarks.site_scores import (
    FIGURES,
    average_precision,
    best_threshold,
    figures,
    mean_of,
    of_classes,
    seed_mcc,
)
from data_registry.parsing import Request
from data_registry.sources import motifs, tf_sites
from encoders.language import LanguageModel, load_language_model
from encoders.nucleotides import N_BASES, UNKNOWN, reverse_complement
from models.gue import language_features, near_copies
from models.promoter.baselines import gc_content, kmer_counts
from models.promoter.inputs import read_fasta
from models.promoter.networks import BACKBONES
from models.promoter.splits import kmer_numbers
from models.sites import (
    TEST,
    TRAIN,
    VALIDATION,
    gc_matched,
    windows_of,
    without_relatives,
)

SEEDS = (0, 1, 2)
SEED, DRAWS = 20_261_127, 200
BLOCK_BP = 50_000
TEST_CONTIGS, VALIDATION_CONTIGS = ("chrV", "chrXV"), ("chrXI",)
WINDOW_BP, AWAY_BP = 300, 300
MOST_TAUGHT = 1_500
"""Start sites of yeast that are learned from, for speed; learning curves take more."""
KNOWN = {"chr3": (10_500_000, 14_300_000), "chr5": (25_975_502, 26_975_502)}
"""Where there is sequence of *Arabidopsis*, 0-based, half-open."""
SEGMENT_BP, BORDER_BP = 200_000, 200
DISTAL_BP, SUPPORT, N_FOLDS = 1_000, 2, 4
CORE_BP, FLANK_BP, N_FACTORS, BINDING_FOLDS = 200, 20, 30, 5
OPEN = (
    "Sullivan_DHS_PE_peaks_control.bed.gz",
    *(f"GSM348475{n}_Root_ATAC_{n - 6}_peaks.narrowPeak.gz" for n in (7, 8, 9)),
)
PENALTIES = tuple(10.0**power for power in range(6))
HYBRID = {
    "width": 48, "stem_width": 48, "stem_bp": 13, "stem_norm": True, "patch_max": True,
    "n_attention": 1, "n_ssd": 1, "mlp": 2, "ssd_expand": 2, "ssd_state": 16, "ssd_head": 24,
}  # fmt: skip
CNN = {"first": 64}
"""DeepSTARR with a quarter of its first filters, for speed."""
SCHEDULE = {
    "yeast_tss": (6, 64), "arabidopsis_elements": (16, 32), "arabidopsis_binding": (12, 32),
}  # fmt: skip
"""Epochs and rows a step of the networks; smaller tables need more steps, as AUPRC on
validation showed (with 6 and 64 the hybrid had learned next to nothing from them)."""
LEARNED = "boosting", "cnn", "hybrid", "permuted"
OURS = "hybrid", "hybrid_context", "language_frozen", "language_and_5mer"
"""Among which the best on validation is the one that is compared."""

Codes = NDArray[np.uint8]
Reals = NDArray[np.float64]
Marks = NDArray[np.bool_]
Rows = NDArray[np.intp]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers by what they are for."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True, slots=True)
class Task:
    """Windows, and which heads should say yes to each.

    Parameters
    ----------
    codes
        ``(n, bp)``.
    labels
        ``(n, heads)``.
    place
        ``contig, start, end, kind``, 0-based, half-open, of the bases that are read.
    splits
        One, or one a fold; every row is tested at most once.
    both_strands
        The label does not depend on the strand.
    context
        Columns from other experiments, ``(n, columns)``, NaN nowhere.
    motif
        Best score of each motif of the factors, ``(n, motifs)``.
    motif_of
        Which head each of them belongs to.
    """

    name: str
    codes: Codes
    labels: Marks
    heads: list[str]
    place: pd.DataFrame
    splits: list[Split]
    both_strands: bool
    counts: dict[str, Any]
    read: list[str]
    context: Reals | None = None
    motif: Reals | None = None
    motif_of: NDArray[np.intp] | None = None

    @property
    def tested(self) -> Rows:
        """All rows that are tested, in the order of the splits."""
        return np.concatenate([split.test for split in self.splits])


class Source(Tables):
    """The data folder, and which of its files were read."""

    def bed(self, name: str) -> pd.DataFrame:
        """Read contig, start and end; contigs are named ``chr1`` and so on."""
        with gzip.open(self.path(name), "rt") as file:
            frame = pd.read_csv(file, sep="\t", header=None, dtype={0: str})
        frame[0] = "chr" + frame[0].str.removeprefix("chr")
        return frame.rename(columns={0: "contig", 1: "start", 2: "end"})


# --- yeast ----------------------------------------------------------------------------


def yeast_tss(data: Path) -> Task:
    """Read the start sites of yeast and their matched background."""
    source = Source(data / "yeast")
    rng = np.random.default_rng(SEED)
    genome = dict(read_fasta(source.path("genome/sacCer3.fa.gz")))
    sites = source.bed("annotation/Scer_polIItranscripts-adjustedTSS.bed.gz")
    forward = (sites[5] == "+").to_numpy()
    tss = np.where(forward, sites["start"], sites["end"] - 1)
    contig = sites["contig"].to_numpy(str)
    genes, codons = _yeast_genes(source)
    # Where nothing was measured the table gives the start codon: its ATG would be the label.
    measured = np.array(
        [key not in codons for key in zip(contig, tss.tolist(), strict=True)]
    )
    counts: dict[str, Any] = {"sites": len(sites), "site_is_a_start_codon": int((~measured).sum())}  # fmt: skip
    frames = [
        pd.DataFrame({
            "contig": contig, "start": tss - WINDOW_BP // 2 + ~forward, "kind": "site",
            "reverse": ~forward,
        })[measured]
    ]  # fmt: skip
    for name, codes in genome.items():
        if name == "chrM":
            continue
        near = np.zeros(len(codes), bool)
        own = np.concatenate(
            [tss[contig == name], [at for c, at in codons if c == name]]
        ).astype(int)
        for at in own:
            near[max(at - AWAY_BP, 0) : at + AWAY_BP] = True
        inside = np.zeros(len(codes), bool)
        for first, last in genes.loc[
            genes["contig"] == name, ["start", "end"]
        ].to_numpy(int):
            inside[first:last] = True
        middle = np.arange(WINDOW_BP, len(codes) - WINDOW_BP, 17)
        middle = middle[~near[middle]]
        frames.append(
            pd.DataFrame({
                "contig": name, "start": middle - WINDOW_BP // 2,
                "kind": np.where(inside[middle], "gene", "intergenic"),
                "reverse": rng.random(len(middle)) < 0.5,
            })
        )  # fmt: skip
    place = pd.concat(frames, ignore_index=True)
    place["end"] = place["start"] + WINDOW_BP
    part = np.select(
        [place["contig"].isin(TEST_CONTIGS), place["contig"].isin(VALIDATION_CONTIGS)],
        [TEST, VALIDATION], TRAIN,
    )  # fmt: skip
    codes = _codes(genome, place)
    usable = (codes < UNKNOWN).all(axis=1)
    kind = place["kind"].to_numpy(str)
    counts["site_at_an_end_or_unknown_bases"] = int((~usable & (kind == "site")).sum())
    chosen = []
    for each in (TRAIN, VALIDATION, TEST):
        rows = [np.flatnonzero(usable & (part == each) & (kind == k)) for k in ("site", "gene", "intergenic")]  # fmt: skip
        if each == TRAIN:
            counts["not_drawn_for_training"] = max(len(rows[0]) - MOST_TAUGHT, 0)
            rows[0] = np.sort(rng.permutation(rows[0])[:MOST_TAUGHT])
        chosen.append(rows[0])
        for offered in rows[1:]:
            drawn, short = _same_step(codes[rows[0]], codes[offered], rng)
            counts["no_background_of_that_gc_and_step"] = (
                counts.get("no_background_of_that_gc_and_step", 0) + short
            )
            chosen.append(offered[drawn])
    rows = np.sort(np.concatenate(chosen))
    task = Task(
        "yeast_tss", codes[rows], (kind[rows] == "site")[:, None], ["tss"],
        place.iloc[rows].reset_index(drop=True), [], both_strands=False, counts=counts,
        read=source.read,
    )  # fmt: skip
    return _split(task, [part[rows]])


def step_of(codes: Codes) -> NDArray[np.int64]:
    """Return the number of the two bases across the site, 4 a + b."""
    middle = WINDOW_BP // 2
    return codes[:, middle - 1].astype(np.int64) * N_BASES + codes[:, middle]


def _same_step(wanted: Codes, offered: Codes, rng: np.random.Generator) -> tuple[Rows, int]:  # fmt: skip
    """Draw background of the same GC content and the same two bases in the middle.

    Nearly all sites of the table stand at a pyrimidine and a purine: they were moved
    there. Unmatched, that alone would tell them.
    """
    own, other = step_of(wanted), step_of(offered)
    drawn, short = [], 0
    for step in np.unique(own):
        rows = np.flatnonzero(other == step)
        found, n = gc_matched(wanted[own == step], offered[rows], 1, rng)
        drawn.append(rows[found])
        short += n
    return np.sort(np.concatenate(drawn)), short


def _yeast_genes(source: Source) -> tuple[pd.DataFrame, set[tuple[str, int]]]:
    """Return genes, and the first base of every start codon and gene, 0-based."""
    path = source.path("annotation/Saccharomyces_cerevisiae.R64-1-1.81.gff3.gz")
    frame = pd.read_csv(path, sep="\t", comment="#", header=None)
    genes = ["gene", "tRNA_gene", "pseudogene", "rRNA_gene", "snoRNA_gene"]
    # Some exons of Mito have no end; exons are not needed.
    frame = frame[frame[2].isin([*genes, "CDS"])]
    frame["contig"] = "chr" + frame[0].astype(str).replace("Mito", "M")
    frame["start"], frame["end"] = frame[3].astype(int) - 1, frame[4].astype(int)
    first = frame[frame[2].isin(["CDS", "gene"])]
    at = np.where(first[6] == "+", first["start"], first["end"] - 1)
    starts = set(zip(first["contig"], at.tolist(), strict=True))
    return frame[frame[2].isin(genes)], starts


def _codes(genome: dict[str, Codes], place: pd.DataFrame) -> Codes:
    bp = int(place["end"].iloc[0] - place["start"].iloc[0])
    return windows_of(
        genome, place["contig"].to_numpy(str), place["start"].to_numpy(), bp,
        place["reverse"].to_numpy(bool) if "reverse" in place else None,
    )  # fmt: skip


def _split(task: Task, parts: Sequence[NDArray[np.int64]]) -> Task:
    """Return the task with a split for each numbering of parts, relatives left out."""
    splits = []
    left: dict[str, int] = {}
    for part in parts:
        inside = np.flatnonzero(part >= 0)
        kept, counts = without_relatives(task.codes[inside], part[inside])
        rows = inside[kept]
        own = [rows[part[rows] == each] for each in (TRAIN, VALIDATION, TEST)]
        splits.append(Split(*own))
        left = {k: left.get(k, 0) + n for k, n in counts.items()}
    sizes = {
        name: [len(getattr(s, name)) for s in splits]
        for name in ("train", "validation", "test")
    }
    return replace(task, splits=splits, counts=task.counts | left | sizes)


# --- Arabidopsis ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layers:
    """Tables of the stretches of *Arabidopsis* that have sequence.

    Parameters
    ----------
    tss
        ``contig, at, strand, biotype, gene``.
    open
        Peaks by file.
    """

    genome: dict[str, Codes]
    tss: pd.DataFrame
    exons: pd.DataFrame
    transposons: pd.DataFrame
    open: dict[str, pd.DataFrame]
    read: list[str]


def read_layers(data: Path) -> Layers:
    """Read what both tasks of *Arabidopsis* need."""
    source = Source(data / "arabidopsis")
    named = read_fasta(source.path("derived/TAIR10_sparse.fa.gz"))
    genome = {"chr" + name.lower().removeprefix("chr"): codes for name, codes in named}
    with gzip.open(source.path("derived/araport11_genes.tsv.gz"), "rt") as file:
        genes = pd.read_csv(file, sep="\t", dtype={"chr": str})
    tss = pd.DataFrame({
        "contig": "chr" + genes["chr"], "at": genes["tss"] - 1,
        "strand": genes["strand"], "biotype": genes["gene_biotype"],
        "gene": genes["gene_id"],
    })  # fmt: skip
    exons = source.bed("annotation/exons.bed.gz")
    transposons = source.bed("annotation/TAIR9_TE.bed.gz")
    peaks = {name: source.bed(f"epigenome/{name}") for name in OPEN}
    return Layers(genome, tss, exons, transposons, peaks, source.read)


def covered(layers: Layers, frame: pd.DataFrame) -> dict[str, Marks]:
    """Return which bases of each contig with sequence intervals cover."""
    found = {}
    for name in KNOWN:
        mine = frame[frame["contig"] == name]
        edges = np.zeros(len(layers.genome[name]) + 1, np.int32)
        np.add.at(edges, mine["start"].to_numpy(), 1)
        np.add.at(edges, mine["end"].to_numpy(), -1)
        found[name] = np.cumsum(edges[:-1]) > 0
    return found


def distance_to(layers: Layers, contig: str, at: NDArray[np.int64], *, coding: bool) -> NDArray[np.int64]:  # fmt: skip
    """Return the bp to the nearest transcription start site."""
    mine = layers.tss[layers.tss["contig"] == contig]
    if coding:
        mine = mine[mine["biotype"] == "protein_coding"]
    sites = np.sort(mine["at"].to_numpy())
    i = np.searchsorted(sites, at)
    last = len(sites) - 1
    return np.minimum(
        np.abs(at - sites[np.clip(i, 0, last)]), np.abs(at - sites[np.clip(i - 1, 0, last)])
    )  # fmt: skip


def segment_of(place: pd.DataFrame) -> NDArray[np.int64]:
    """Return each window's segment of 200 kb, numbered along both stretches.

    -1 near a border of segments, or without sequence.
    """
    found = np.full(len(place), -1)
    offset = 0
    for name, (low, high) in KNOWN.items():
        start, end = place["start"].to_numpy() - low, place["end"].to_numpy() - low
        here = (place["contig"] == name).to_numpy() & (start >= 0) & (end <= high - low)
        clear = (start - BORDER_BP) // SEGMENT_BP == (end + BORDER_BP) // SEGMENT_BP
        found[here & clear] = offset + start[here & clear] // SEGMENT_BP
        offset += -(-(high - low) // SEGMENT_BP)
    return found


def fold_parts(segment: NDArray[np.int64], n: int, fold: int) -> NDArray[np.int64]:
    """Return parts: the fold tests, the next one validates, the others teach."""
    own = segment % n
    part = np.where(
        own == fold, TEST, np.where(own == (fold + 1) % n, VALIDATION, TRAIN)
    )
    return np.where(segment < 0, -1, part)


def elements(layers: Layers) -> Task:
    """Cut promoters, distal open chromatin and background."""
    rng = np.random.default_rng(SEED)
    half = WINDOW_BP // 2
    exon = covered(layers, layers.exons)
    tracks = [covered(layers, frame) for frame in layers.open.values()]
    frames, counts = [], {}
    for name, (low, high) in KNOWN.items():
        depth = np.sum([track[name] for track in tracks], axis=0)
        mine = layers.tss[
            (layers.tss["contig"] == name) & (layers.tss["biotype"] == "protein_coding")
        ]
        promoter = np.unique(mine["at"])
        promoter = promoter[(promoter >= low) & (promoter < high)]
        edges = np.flatnonzero(np.diff((depth >= SUPPORT).astype(np.int8), prepend=0, append=0))  # fmt: skip
        peak = (edges[::2] + edges[1::2]) // 2
        peak = peak[(peak >= low) & (peak < high)]
        far = distance_to(layers, name, peak, coding=False) > DISTAL_BP
        counts[f"{name}: open in {SUPPORT} tracks or more"] = len(peak)
        counts[f"{name}: of these nearer than {DISTAL_BP} bp to a start site"] = int((~far).sum())  # fmt: skip
        counts[f"{name}: of the others in an exon"] = int(exon[name][peak[far]].sum())
        grid = np.arange(low + half, high - half, 97)
        clear = distance_to(layers, name, grid, coding=False) > DISTAL_BP
        clear &= ~exon[name][grid]
        shut = np.concatenate([[0], np.cumsum(depth > 0)])
        clear &= shut[grid + half] == shut[grid - half]
        for kind, at in (
            ("promoter", promoter),
            ("distal", peak[far & ~exon[name][peak]]),
            ("background", grid[clear]),
        ):
            frames.append(
                pd.DataFrame({"contig": name, "start": at - half, "kind": kind})
            )
    place = pd.concat(frames, ignore_index=True)
    place["end"] = place["start"] + WINDOW_BP
    place["reverse"] = rng.random(len(place)) < 0.5
    segment = segment_of(place)
    codes = _codes(layers.genome, place)
    kind = place["kind"].to_numpy(str)
    usable = (segment >= 0) & (codes < UNKNOWN).all(axis=1)
    for name in ("promoter", "distal"):
        counts[f"{name}: at a border or unknown bases"] = int(
            (~usable & (kind == name)).sum()
        )
    sites = np.flatnonzero(usable & (kind != "background"))
    offered = np.flatnonzero(usable & (kind == "background"))
    drawn, short = gc_matched(codes[sites], codes[offered], 1, rng)
    counts["no_background_of_that_gc"] = short
    rows = np.sort(np.concatenate([sites, offered[drawn]]))
    heads = ["promoter", "distal", "background"]
    task = Task(
        "arabidopsis_elements", codes[rows],
        np.stack([kind[rows] == head for head in heads], axis=1), heads,
        place.iloc[rows].reset_index(drop=True), [], both_strands=True, counts=counts,
        read=layers.read,
    )  # fmt: skip
    return _split(task, [fold_parts(segment[rows], N_FOLDS, f) for f in range(N_FOLDS)])


def binding(layers: Layers, data: Path) -> Task:
    """Cut windows, marked by the factors whose DAP-seq peaks have their middle in them."""
    rng = np.random.default_rng(SEED)
    source = Source(data / "arabidopsis")
    path = source.path("tf_binding/dapseq_At/TSPTFBS2_Arabidopsis_266TF_peaks.tar.xz")
    peaks = tf_sites.parse(Request(path, "dap")).tables["tf_sites"]
    peaks["middle"] = (peaks["start"] + peaks["end"]) // 2
    frames = []
    for name, (low, high) in KNOWN.items():
        start = np.arange(low, high - CORE_BP + 1, CORE_BP)
        frames.append(pd.DataFrame({"contig": name, "core": start}))
    place = pd.concat(frames, ignore_index=True)
    number = {
        (c, s): i
        for i, (c, s) in enumerate(zip(place["contig"], place["core"], strict=True))
    }
    low = peaks["contig"].map({name: span[0] for name, span in KNOWN.items()})
    core = low + (peaks["middle"] - low) // CORE_BP * CORE_BP
    row = [number.get(key, -1) for key in zip(peaks["contig"], core, strict=True)]
    peaks = peaks.assign(row=row)
    peaks = peaks[peaks["row"] >= 0]
    heads = sorted(peaks["tf"].value_counts().index[:N_FACTORS])
    labels = np.zeros((len(place), N_FACTORS), bool)
    used = peaks[peaks["tf"].isin(heads)]
    labels[used["row"], [heads.index(tf) for tf in used["tf"]]] = True
    place["start"], place["end"] = place["core"] - FLANK_BP, place["core"] + CORE_BP + FLANK_BP  # fmt: skip
    place["kind"] = np.where(labels.any(axis=1), "bound", "not bound")
    segment = segment_of(place)
    codes = _codes(layers.genome, place)
    part = fold_parts(segment, BINDING_FOLDS, 0)
    part[(codes >= UNKNOWN).any(axis=1)] = -1
    bound = labels.any(axis=1)
    spare = np.flatnonzero((part == TRAIN) & ~bound)
    n_bound = int(((part == TRAIN) & bound).sum())
    drop = rng.permutation(spare)[n_bound:]
    counts = {
        "windows": len(place),
        "at a border of segments or unknown bases": int((part < 0).sum()),
        "unbound windows not drawn for training": len(drop),
        "peaks of the factors": len(used),
        "peaks in a window with another of that factor": int(used.duplicated(["row", "tf"]).sum()),
    }  # fmt: skip
    part[drop] = -1
    rows = np.flatnonzero(part >= 0)
    place = place.iloc[rows].reset_index(drop=True)
    matrices, motif_of = factor_motifs(source, heads, used)
    counts["factors without a motif"] = sorted(
        set(heads) - {heads[i] for i in motif_of}
    )
    task = Task(
        "arabidopsis_binding", codes[rows], labels[rows], heads, place, [], both_strands=True,
        counts=counts, read=[*layers.read, *source.read],
        context=context_of(layers, place), motif=motif_scores(codes[rows], matrices),
        motif_of=motif_of,
    )  # fmt: skip
    return _split(task, [part[rows]])


def context_of(layers: Layers, place: pd.DataFrame) -> Reals:
    """Return open chromatin, distance to the next start site, exon and transposon shares."""
    found = np.zeros((len(place), len(layers.open) + 4))
    middle = (place["start"] + place["end"]).to_numpy() // 2
    shares = [*layers.open.values(), layers.exons, layers.transposons]
    for column, frame in enumerate(shares):
        depth = covered(layers, frame)
        for name in KNOWN:
            here = np.flatnonzero(place["contig"] == name)
            sums = np.concatenate([[0], np.cumsum(depth[name])])
            start, end = (place[c].to_numpy()[here] for c in ("start", "end"))
            found[here, column] = (sums[end] - sums[start]) / (end - start)
    for name in KNOWN:
        here = np.flatnonzero(place["contig"] == name)
        for column, coding in ((-2, False), (-1, True)):
            bp = distance_to(layers, name, middle[here], coding=coding)
            found[here, column] = np.log1p(bp)
    return found


def factor_motifs(source: Source, heads: list[str], peaks: pd.DataFrame) -> tuple[list[Reals], NDArray[np.intp]]:  # fmt: skip
    """Return the motifs of the factors (Cistrome), and the head each belongs to."""
    path = source.path("tf_binding/Cistrome_Athaliana.tf.gz")
    table = motifs.parse(Request(path, "cistrome")).tables["motifs"]
    gene = peaks.drop_duplicates("tf").set_index("tf")["tf_gene_id"].to_dict()
    names = {head: {head.upper(), str(gene.get(head)).upper()} for head in heads}
    found: list[Reals] = []
    owner: list[int] = []
    for tf, matrix in zip(table["tf"].str.upper(), table["matrix"], strict=True):
        for i, head in enumerate(heads):
            if tf in names[head]:
                found.append(np.asarray(matrix, float).reshape(-1, N_BASES))
                owner.append(i)
    return found, np.array(owner, np.intp)


def motif_scores(codes: Codes, matrices: list[Reals]) -> Reals:
    """Return the best log2 odds of each motif over all places and both strands."""
    scores = np.empty((len(codes), len(matrices)))
    for column, matrix in enumerate(matrices):
        share = (matrix / matrix.sum(axis=1, keepdims=True) + 0.01) / 1.04
        odds = np.log2(share * N_BASES)
        best = np.full(len(codes), -np.inf)
        for strand in (odds, odds[::-1, ::-1]):
            n = codes.shape[1] - len(strand) + 1
            total = np.zeros((len(codes), n), np.float32)
            for i, row in enumerate(
                np.append(strand, np.zeros((len(strand), 1)), axis=1)
            ):
                total += row.astype(np.float32)[codes[:, i : i + n]]
            best = np.maximum(best, total.max(axis=1))
        scores[:, column] = best
    return scores


# --- models ---------------------------------------------------------------------------

Fit = Callable[[Task, Split, int], Reals]
"""Returns scores of validation and test rows, one after the other, ``(rows, heads)``."""


def kmers(codes: Codes, k: int, *, both_strands: bool) -> NDArray[np.float32]:
    """Return counts of k-mers; with both strands one column for each pair of words."""
    counts = kmer_counts(codes, k)
    if not both_strands:
        return counts
    words = np.arange(N_BASES**k)[:, None] // N_BASES ** np.arange(k)[::-1] % N_BASES
    other = kmer_numbers(reverse_complement(words.astype(np.uint8)), k)[:, 0]
    first = np.flatnonzero(np.arange(N_BASES**k) <= other)
    return counts[:, first] + counts[:, other[first]]


def table_of(task: Task, name: str) -> Reals:
    """Return the columns of a model that reads a table."""
    codes, columns = task.codes, []
    for word in name.split("+"):
        if word == "gc":
            columns.append(gc_content(codes))
        elif word == "onehot":
            columns.append(
                np.eye(N_BASES + 1)[codes][..., :N_BASES].reshape(len(codes), -1)
            )
        elif word == "context":
            assert task.context is not None  # noqa: S101
            columns.append(task.context)
        elif word == "motifs":
            assert task.motif is not None  # noqa: S101
            columns.append(task.motif)
        else:
            columns.append(kmers(codes, int(word[0]), both_strands=task.both_strands))
    return np.concatenate(columns, axis=1)


def fit_ridge(x: NDArray[np.floating], task: Task, split: Split) -> Reals:
    """Fit 0 and 1 by least squares; the penalty is the best of six by AUPRC on validation."""
    mean, spread = x[split.train].mean(axis=0), x[split.train].std(axis=0)
    z = ((x - mean) / np.where(spread > 0, spread, 1)).astype(np.float64)
    y = task.labels[split.train].astype(float)
    asked = np.concatenate([split.validation, split.test])
    n, learn = len(split.validation), z[split.train]
    wide = len(learn) < learn.shape[1]
    gram = learn @ learn.T if wide else learn.T @ learn
    right = y - y.mean(axis=0) if wide else learn.T @ (y - y.mean(axis=0))
    best, found = -np.inf, np.zeros((len(asked), y.shape[1]))
    for penalty in PENALTIES:
        weights = scipy.linalg.solve(
            gram + penalty * np.eye(len(gram)), right, assume_a="pos"
        )
        scores = z[asked] @ (learn.T @ weights if wide else weights) + y.mean(axis=0)
        reached = average_precision(task.labels[split.validation], scores[:n])
        if reached > best:
            best, found = reached, scores
    return found


def fit_boosting(x: NDArray[np.floating], task: Task, split: Split, seed: int) -> Reals:
    """Boost trees for each head, stopped by the loss on validation rows."""
    asked = np.concatenate([split.validation, split.test])
    found = np.zeros((len(asked), len(task.heads)))
    for k in range(len(task.heads)):
        y = task.labels[:, k]
        model = HistGradientBoostingClassifier(
            learning_rate=0.1, max_iter=150, max_leaf_nodes=8, min_samples_leaf=20,
            max_features=0.2, early_stopping=True, n_iter_no_change=8, random_state=seed,
        )  # fmt: skip
        model.fit(
            x[split.train], y[split.train],
            X_val=x[split.validation], y_val=y[split.validation],
        )  # fmt: skip
        found[:, k] = model.decision_function(x[asked])
    return found


def own_motif(task: Task, split: Split) -> Reals:
    """Return the score of each factor's own motif, of several the best in training."""
    assert task.motif is not None  # noqa: S101
    assert task.motif_of is not None  # noqa: S101
    asked = np.concatenate([split.validation, split.test])
    found = np.zeros((len(asked), len(task.heads)))
    for k in range(len(task.heads)):
        mine = np.flatnonzero(task.motif_of == k)
        truth = task.labels[split.train, k][:, None]
        areas = [
            average_precision(truth, task.motif[split.train][:, [i]]) for i in mine
        ]
        if len(mine):
            found[:, k] = task.motif[asked, mine[int(np.argmax(areas))]]
    return found


class SiteNetwork(nn.Module):
    """A backbone that reads a window, beside columns of context; a logit for each head."""

    def __init__(self, backbone: nn.Module, n_context: int, shares: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        width = int(backbone.width)  # type: ignore[arg-type]
        self.drop = nn.Dropout(0.2)
        self.mix = nn.Linear(width + n_context, width) if n_context else None
        self.out = nn.Linear(width, len(shares))
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.copy_(torch.logit(shares.clamp(1e-3, 0.5)))

    def forward(self, codes: Tensor, context: Tensor) -> Tensor:
        """Return ``(batch, heads)``."""
        vector = self.backbone(codes)
        if self.mix is not None:
            vector = vector + functional.gelu(self.mix(torch.cat([vector, context], 1)))
        logits: Tensor = self.out(self.drop(vector))
        return logits


def fit_network(task: Task, split: Split, seed: int, kind: str, *, with_context: bool = False, epochs: int, batch: int) -> Reals:  # fmt: skip
    """Train from random weights; the epoch with the best AUPRC on validation is kept."""
    torch.manual_seed(seed)  # noqa: TID251  of weights and dropout; the entry point
    rng = np.random.default_rng(seed)
    # Windows around start sites all stand alike, on one strand; the others do not.
    place = {"stem_strands": True} if task.both_strands else {"by_position": 8}
    settings = HYBRID | place if kind == "hybrid" else CNN
    context = np.zeros((len(task.codes), 0))
    if with_context:
        assert task.context is not None  # noqa: S101
        known = task.context[split.train]
        context = (task.context - known.mean(axis=0)) / (known.std(axis=0) + 1e-9)
    beside = torch.from_numpy(context.astype(np.float32))
    labels = torch.from_numpy(task.labels.astype(np.float32))
    strands = [task.codes, reverse_complement(task.codes)]
    forward, backward = (torch.from_numpy(each.astype(np.int64)) for each in strands)
    backbone = BACKBONES[kind](task.codes.shape[1], **settings)
    model = SiteNetwork(backbone, context.shape[1], labels[split.train].mean(dim=0))
    steps = len(split.train) // batch
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps * epochs)

    def ask(rows: Rows, *, both: bool) -> Reals:
        model.eval()
        parts = torch.from_numpy(rows).split(256)
        with torch.inference_mode():
            logits = [
                torch.cat([model(way[part], beside[part]) for part in parts])
                for way in ((forward, backward) if both else (forward,))
            ]
        found: Reals = torch.stack(logits).mean(dim=0).double().numpy()
        return found

    best, kept = -np.inf, {k: v.clone() for k, v in model.state_dict().items()}
    for _ in range(epochs):
        model.train()
        order = rng.permutation(split.train)
        turned = torch.from_numpy(rng.random(len(task.codes)) < 0.5)
        for start in range(0, steps * batch, batch):
            rows = torch.from_numpy(order[start : start + batch])
            codes = forward[rows]
            if task.both_strands:
                codes = torch.where(turned[rows, None], backward[rows], codes)
            loss = functional.binary_cross_entropy_with_logits(
                model(codes, beside[rows]), labels[rows]
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            cycle.step()
        scores = ask(split.validation, both=False)
        reached = average_precision(task.labels[split.validation], scores)
        if reached > best:
            best, kept = reached, {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(kept)
    asked = np.concatenate([split.validation, split.test])
    return ask(asked, both=task.both_strands)


def thinned(split: Split, share: float) -> Split:
    """Return the split with a share of its training rows."""
    rng = np.random.default_rng(SEED)
    n = round(share * len(split.train))
    return replace(split, train=np.sort(rng.permutation(split.train)[:n]))


def permuted(task: Task, split: Split, seed: int) -> Reals:
    """Fit a ridge on 5-mers to labels given to other training and validation rows."""
    rng = np.random.default_rng(seed)
    labels = task.labels.copy()
    for rows in (split.train, split.validation):
        labels[rows] = labels[rng.permutation(rows)]
    wrong = replace(task, labels=labels)
    return fit_ridge(table_of(task, "5mer"), wrong, split)


def models_of(task: Task, language: LanguageModel | None, kept: Path) -> dict[str, Fit]:
    """Return the models of a task, the most telling first."""

    def ridge(name: str) -> Fit:
        return lambda task, split, _: fit_ridge(table_of(task, name), task, split)

    def boosting(name: str) -> Fit:
        return lambda task, split, seed: fit_boosting(table_of(task, name), task, split, seed)  # fmt: skip

    epochs, batch = SCHEDULE[task.name]

    def network(kind: str, *, context: bool = False, share: float = 1.0) -> Fit:
        return lambda task, split, seed: fit_network(
            task, thinned(split, share), seed, kind, with_context=context,
            epochs=round(epochs / share), batch=batch,
        )  # fmt: skip

    found: dict[str, Fit] = {
        name: ridge(name) for name in ("gc", "4mer", "5mer", "6mer")
    }
    if not task.both_strands:
        found |= {"onehot": ridge("onehot"), "onehot+5mer": ridge("onehot+5mer")}
    if task.motif is not None:
        found["own_motif"] = lambda task, split, _: own_motif(task, split)
        found["motifs"] = ridge("motifs")
    found["permuted_labels"] = permuted
    found["hybrid"] = network("hybrid")
    found["boosting_5mer"] = boosting("5mer")
    if task.context is not None:
        found["boosting_context"] = boosting("context")
        found["boosting_5mer+context"] = boosting("5mer+context")
        found["ridge_motifs+context"] = ridge("motifs+context")
    found["cnn"] = network("deepstarr")
    for share in (0.25, 0.5):
        found[f"5mer@{share}"] = lambda task, split, _, share=share: fit_ridge(
            table_of(task, "5mer"), task, thinned(split, share)
        )
        if task.name == "yeast_tss":
            found[f"hybrid@{share}"] = network("hybrid", share=share)
    if task.context is not None:
        found["hybrid_context"] = network("hybrid", context=True)
    if language is not None and task.name != "arabidopsis_binding":
        read = remembered(language, task, kept)
        found["language_frozen"] = lambda task, split, _: fit_ridge(read(), task, split)
        found["language_and_5mer"] = lambda task, split, _: fit_ridge(
            np.concatenate([read(), table_of(task, "5mer")], axis=1), task, split
        )
    return found


def remembered(language: LanguageModel, task: Task, kept: Path) -> Callable[[], Reals]:
    """Return what a frozen language model makes of each window, read once."""
    path = (
        kept
        / f"language-{task.name}-{data_digest(task.codes)}-{language.digest[:8]}.npy"
    )

    def read() -> Reals:
        if not path.is_file():
            language.network.stream_dtype = torch.bfloat16
            own = language_features(language.network)(task.codes)
            beside = path.with_name(f".part-{path.name}")
            np.save(beside, own.astype(np.float32))
            beside.replace(path)
        found: Reals = np.load(path).astype(float)
        return found

    return read


def seeds_of(model: str) -> tuple[int, ...]:
    """Return the seeds of a model: one where nothing is drawn, or of a learning curve."""
    if "@" in model or not model.startswith(LEARNED):
        return SEEDS[:1]
    return SEEDS


@dataclass(frozen=True, slots=True)
class Told:
    """Scores of one model and seed, by split: of validation rows, of test rows."""

    validation: list[Reals]
    test: list[Reals]
    seconds: float


def kept_fit(task: Task, model: str, fit: Fit, seed: int, folder: Path, *, late: bool) -> Told | None:  # fmt: skip
    """Return a fit's scores from ``folder``, computed where it lacks them; None if late."""
    told = Told([], [], 0.0)
    seconds = 0.0
    for i, split in enumerate(task.splits):
        digest = data_digest(
            task.codes, task.labels, split.train, split.validation, split.test,
            np.zeros(0) if task.context is None else task.context,
        )  # fmt: skip
        path = folder / f"{task.name}-{model}-{seed}-{i}-{digest}.npz"
        if not path.is_file():
            if late:
                return None
            begin = time.process_time()
            scores = fit(task, split, seed)
            beside = path.with_name(f".part-{path.name}")
            np.savez(beside, scores=scores, seconds=time.process_time() - begin)
            beside.replace(path)
        with np.load(path) as content:
            n = len(split.validation)
            told.validation.append(content["scores"][:n])
            told.test.append(content["scores"][n:])
            seconds += float(content["seconds"])
    return replace(told, seconds=seconds)


# --- figures --------------------------------------------------------------------------


def decide(task: Task, validation: Sequence[Reals], test: Sequence[Reals]) -> Marks:
    """Return what each head says of the tested rows, by thresholds from validation alone."""
    found = []
    for split, seen, asked in zip(task.splits, validation, test, strict=True):
        truth = task.labels[split.validation]
        bars = [best_threshold(truth[:, k], seen[:, k]) for k in range(truth.shape[1])]
        found.append(asked >= np.array(bars))
    return np.concatenate(found)


def blocks_of(task: Task) -> tuple[Blocks, NDArray[np.int64]]:
    """Return resampled blocks of 50 kb, and the block of each tested row."""
    place = task.place.iloc[task.tested]
    _, contig = np.unique(place["contig"].to_numpy(str), return_inverse=True)
    block = contig * 100_000 + place["start"].to_numpy() // BLOCK_BP
    blocks = Blocks.of(block, DRAWS, np.random.default_rng(SEED))
    return blocks, blocks.index(block)


def measure(task: Task, runs: dict[str, list[Told]]) -> dict[str, Any]:
    """Return all figures of all models of a task; seeds are averaged before."""
    blocks, index = blocks_of(task)
    truth = task.labels[task.tested]
    kind = task.place["kind"].to_numpy(str)[task.tested]
    means: dict[str, dict[str, Estimate]] = {}
    found: dict[str, Any] = {}
    on_validation: dict[str, float] = {}
    for model, told in runs.items():
        n = range(len(task.splits))
        validation = [np.mean([t.validation[i] for t in told], axis=0) for i in n]
        test = [np.mean([t.test[i] for t in told], axis=0) for i in n]
        scores, said = np.concatenate(test), decide(task, validation, test)
        by_head = [
            figures(blocks, index, truth[:, k], scores[:, k], said[:, k])
            for k in range(len(task.heads))
        ]
        means[model] = {f: mean_of([each[f] for each in by_head]) for f in FIGURES}
        on_validation[model] = float(np.mean([
            average_precision(task.labels[s.validation], v)
            for s, v in zip(task.splits, validation, strict=True)
        ]))  # fmt: skip
        if task.name == "arabidopsis_elements":
            means[model] |= of_classes(blocks, index, truth, scores)
        own: dict[str, Any] = {
            "seeds": len(told), "cpu_seconds": round(sum(t.seconds for t in told), 1),
            "auprc_on_validation": round(on_validation[model], 4),
            **{name: each.describe() for name, each in means[model].items()},
        }  # fmt: skip
        if len(told) > 1:
            each_test = [np.concatenate(t.test) for t in told]
            own["auprc_by_seed"] = [
                round(average_precision(truth, s), 4) for s in each_test
            ]
            own["mcc_by_seed"] = [
                round(seed_mcc(truth, decide(task, t.validation, t.test)), 4)
                for t in told
            ]
        if len(task.heads) > 1:
            own["by_head"] = {
                head: {f: each[f].describe()["value"] for f in FIGURES}
                for head, each in zip(task.heads, by_head, strict=True)
            }
        if task.name == "yeast_tss":
            for other in ("gene", "intergenic"):
                rows = (kind == "site") | (kind == other)
                area = blocks.auroc(scores[rows, 0], truth[rows, 0], index[rows])
                own[f"auroc_against_{other}"] = area.describe()
        found[model] = own
    tried = [name for name in OURS if name in on_validation]
    best = max(tried, key=lambda name: on_validation[name]) if tried else None
    result: dict[str, Any] = {
        "prevalence": round(float(truth.mean()), 5), "tested": len(truth),
        "blocks": len(blocks.names), "models": found, "best_of_ours": best,
    }  # fmt: skip
    if best:
        result["best_of_ours_minus"] = {
            model: {f: (means[best][f] - mean[f]).describe() for f in ("auprc", "auroc", "mcc")}
            for model, mean in means.items() if model != best and "@" not in model
        }  # fmt: skip
    return result


# --- audit ----------------------------------------------------------------------------


def audit(task: Task, runs: dict[str, list[Told]], language: LanguageModel | None) -> list[dict[str, Any]]:  # fmt: skip
    """List what could carry the labels, and what shows that it does not."""
    nearest, same, copies, twice = np.inf, 0, 0, 0
    for split in task.splits:
        taught = np.concatenate([split.train, split.validation])
        nearest = min(
            nearest, gap_bp(task.place.iloc[split.test], task.place.iloc[taught])
        )
        same += len(_keys(task.codes[split.test]) & _keys(task.codes[taught]))
        copies += int(
            (near_copies(task.codes[split.test], task.codes[taught]) >= 0).sum()
        )
        twice += len(np.intersect1d(split.train, split.validation))
        twice += len(np.intersect1d(taught, split.test))
    labels = {
        "yeast_tss": ["annotation/"], "arabidopsis_elements": ["epigenome/", "araport11_genes", "exons"],
        "arabidopsis_binding": ["dapseq_At"],
    }[task.name]  # fmt: skip
    checks = [
        {"source": "windows that overlap across the border of what is held out, or rows of two parts",
         "proof": f"nearest training or validation window is {'on no common contig' if np.isinf(nearest) else f'{nearest:.0f} bp away'}; {twice} rows in two parts",
         "holds": bool(nearest > 0 and twice == 0)},
        {"source": "duplicates and reverse complements",
         "proof": f"{same} test sequences are also in training or validation, on either strand",
         "holds": same == 0},
        {"source": "copies of transposons and other homologs",
         "proof": f"{copies} test windows share half of their 16-mers with one of training or validation (another measure than the 12-mer clusters by which {sum(n for k, n in task.counts.items() if k.startswith('like one'))} windows were left out)",
         "holds": copies == 0},
        {"source": "the files that labels come from",
         "proof": f"models read bases{'' if task.context is None else ', motifs and the context'}; label files: {labels}; context is read from {[] if task.context is None else [*OPEN, 'araport11_genes', 'exons', 'TAIR9_TE']}; TF-target edges (made from the peaks) are not opened: {[f for f in task.read if 'edges' in f or 'target' in f]}",
         "holds": not any("edges" in f or "target" in f for f in task.read)
         and (task.context is None or not any("dapseq" in name for name in OPEN))},
    ]  # fmt: skip
    if task.name == "yeast_tss":
        at = int((task.codes[task.labels[:, 0]][:, WINDOW_BP // 2 :][:, :3] == [0, 3, 2]).all(axis=1).sum())  # fmt: skip
        checks.append({
            "source": "start codons where no start site was measured",
            "proof": f"{task.counts['site_is_a_start_codon']} left out; {at} of {int(task.labels.sum())} sites kept begin with ATG",
            "holds": bool(at < 0.05 * task.labels.sum()),
        })  # fmt: skip
        step, site = step_of(task.codes), task.labels[:, 0]
        shares = [
            np.bincount(step[rows], minlength=16) / rows.sum() for rows in (site, ~site)
        ]
        checks.append({
            "source": "sites that were moved to a pyrimidine and a purine when the table was made",
            "proof": f"{(shares[0].reshape(4, 4)[[1, 3]][:, [0, 2]]).sum():.3f} of sites and {(shares[1].reshape(4, 4)[[1, 3]][:, [0, 2]]).sum():.3f} of the background stand at one; background was matched by both bases",
            "holds": bool(np.abs(shares[0] - shares[1]).max() < 0.02),
        })  # fmt: skip
        if language is not None:
            seen = set(TEST_CONTIGS) - set(language.config.held_out)
            checks.append({
                "source": "a language model that has read the test contigs",
                "proof": f"it held out {list(language.config.held_out)}", "holds": not seen,
            })  # fmt: skip
    if "permuted_labels" in runs:
        blocks, index = blocks_of(task)
        truth = task.labels[task.tested]
        each = [
            mean_of([blocks.auroc(np.concatenate(t.test)[:, k], truth[:, k], index) for k in range(truth.shape[1])])
            for t in runs["permuted_labels"]
        ]  # fmt: skip
        area = float(np.mean([e.value for e in each]))
        checks.append({
            "source": "anything that the list forgot",
            "proof": f"AUROC with labels permuted while learning: {[round(e.value, 3) for e in each]}",
            "holds": abs(area - 0.5) < 0.1,
        })  # fmt: skip
    return checks


def gap_bp(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Return the least distance of windows of two tables, at most 0 where they overlap."""
    best = np.inf
    for name in set(one["contig"]) & set(other["contig"]):
        a, b = (f[f["contig"] == name].sort_values("start") for f in (one, other))
        start, end = b["start"].to_numpy(), b["end"].to_numpy()
        after = np.searchsorted(start, a["start"].to_numpy())
        right, left = after < len(start), after > 0
        gaps = [
            start[after[right]] - a["end"].to_numpy()[right],
            a["start"].to_numpy()[left] - end[after[left] - 1],
        ]
        best = min(best, *(float(g.min()) for g in gaps if len(g)))
    return best


def _keys(codes: Codes) -> set[bytes]:
    turned = reverse_complement(codes)
    return {min(a.tobytes(), b.tobytes()) for a, b in zip(codes, turned, strict=True)}


NOT_PROVED = (
    "Cistrome's motifs were made by their authors from these DAP-seq peaks of the whole genome, the tested regions included: own_motif and motifs have it easier than what learns here",
    "yeast start sites were adjusted by their authors by a rule we do not have: bases beyond the two in the middle may have been part of it",
    "the transposon annotation was made from sequence; it is context only",
    "gene models of Arabidopsis were drawn with RNA-seq: a promoter that is not annotated may stand in the background",
)  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit and measure everything; return the result ready for JSON."""
    started, begin = datetime.now(UTC), time.perf_counter()
    torch.set_num_threads(1)

    def tell(what: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {what}", flush=True)

    machine = describe_machine()
    language = None
    if arguments.language:
        language = load_language_model(arguments.language, "cpu")
    layers = read_layers(arguments.data)
    tasks = [
        yeast_tss(arguments.data), elements(layers), binding(layers, arguments.data)
    ]  # fmt: skip
    result: dict[str, Any] = {
        "what": "start sites, promoters, open chromatin and factor binding from sequence",
        "started": started.isoformat(timespec="seconds"), "machine": machine,
        "seeds": list(SEEDS), "language": language and {"name": language.name, "digest": language.digest},
        "not_proved": list(NOT_PROVED), "tasks": {}, "unfinished": [],
    }  # fmt: skip
    runs: dict[str, dict[str, list[Told]]] = {task.name: {} for task in tasks}
    fits = {task.name: models_of(task, language, arguments.work) for task in tasks}
    for task in tasks:
        tell(f"{task.name}: {task.counts}")
    for task in tasks:
        for model, fit in fits[task.name].items():
            for seed in seeds_of(model):
                late = time.perf_counter() - begin > 60 * arguments.minutes
                told = kept_fit(task, model, fit, seed, arguments.work, late=late)
                if told is None:
                    result["unfinished"].append(f"{task.name} {model} seed {seed}")
                    continue
                runs[task.name].setdefault(model, []).append(told)
            if own := runs[task.name].get(model):
                reached = np.mean([
                    average_precision(task.labels[task.tested], np.concatenate(t.test))
                    for t in own
                ])  # fmt: skip
                tell(f"{task.name} {model}: AUPRC {reached:.4f}, {sum(t.seconds for t in own):.0f} s CPU")  # fmt: skip
    for task in tasks:
        checks = audit(task, runs[task.name], language)
        tell(f"{task.name}: audit: {[c['source'] for c in checks if not c['holds']] or 'all hold'}")  # fmt: skip
        result["tasks"][task.name] = {
            "heads": task.heads, "bp": task.codes.shape[1], "rows": len(task.codes),
            "positives": dict(zip(task.heads, task.labels.sum(axis=0).tolist(), strict=True)),
            "counts": task.counts, "audit": checks, **measure(task, runs[task.name]),
        }  # fmt: skip
    result["seconds"] = round(time.perf_counter() - begin)
    return result


def show(result: dict[str, Any]) -> None:
    """Print the figures as tables."""
    for name, task in result["tasks"].items():
        print(
            f"\n{name}: {task['tested']} rows tested, prevalence {task['prevalence']}"
        )
        print(f"{'':24}" + "".join(f"{f:>10}" for f in FIGURES))
        for model, row in task["models"].items():
            cells = "".join(f"{row[f]['value']:>10.3f}" for f in FIGURES)
            print(f"{model:24}{cells}")
        print("best of ours, on validation:", task["best_of_ours"])
        for model, row in task.get("best_of_ours_minus", {}).items():
            gain = row["auprc"]
            print(f"  AUPRC less {model:22} {gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})")  # fmt: skip


def main() -> int:
    """Run the benchmark named on the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--language", type=Path, help="folder of a language model")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    result = run(arguments)
    show(result)
    if arguments.out:
        write_result(arguments.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
