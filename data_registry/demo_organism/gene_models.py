"""Simulated chromosomes and gene models.

Coordinates are 0-based half-open on the forward strand. "In transcript order" means
5' to 3' of the gene's own strand.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from data_registry.demo_organism.sequence import (
    Background,
    Bases,
    Flags,
    complement,
    decode,
    draw_coding,
    encode,
    translate,
)

CHROMOSOME_LENGTHS: Final = {"chr1": 700_000, "chr2": 550_000, "chr3": 420_000}
N_CODING: Final = 250
N_NONCODING: Final = 8
PROMOTER_UP: Final = 450
PROMOTER_DOWN: Final = 50

_DONOR: Final = ("GTAAGT", "GTATGT", "GTAAGA", "GTGAGT", "GTATAA")
_ACCEPTOR: Final = ("TTTTGCAG", "TTCTGCAG", "TGTTGCAG", "TTTTTCAG", "CTTTGTAG")
_SHORTEST_PIECE: Final = 9

Span = tuple[int, int]


@dataclass(slots=True)
class Chromosome:
    """One simulated chromosome.

    Parameters
    ----------
    bases
        ``(length,)`` upper case ASCII codes; 100 N stand for one assembly gap.
    masked
        ``(length,)`` true inside repeats (lower case in the FASTA).
    claimed
        ``(length,)`` true where something has been laid and nothing else may go.
    """

    name: str
    bases: Bases
    masked: Flags
    claimed: Flags

    @property
    def annotation_name(self) -> str:
        """Name in the GFF, which differs from the FASTA's on purpose."""
        return self.name.removeprefix("chr")

    def is_free(self, start: int, end: int) -> bool:
        """Whether nothing is laid in the span, which must lie on the contig."""
        return 0 <= start < end <= len(self.bases) and not self.claimed[start:end].any()


@dataclass(slots=True)
class Transcript:
    """One transcript; exons and CDS ascend in genome order."""

    transcript_id: str
    exons: list[Span]
    cds: list[Span]


@dataclass(slots=True)
class Gene:
    """One gene.

    Parameters
    ----------
    cds_positions
        Positions of the canonical CDS in transcript order, stop included; empty for
        non-coding genes.
    key_codons
        ``(n_codons,)`` true where the protein tolerates no radical change.
    """

    gene_id: str
    symbol: str
    chromosome: int
    start: int
    end: int
    strand: str
    biotype: str
    transcripts: list[Transcript]
    cds_positions: npt.NDArray[np.int64]
    key_codons: Flags
    module: int = -1
    description: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def tss(self) -> int:
        """First base of the canonical transcript."""
        return self.start if self.strand == "+" else self.end - 1

    @property
    def is_coding(self) -> bool:
        """Whether the gene makes a protein."""
        return self.biotype == "protein_coding"

    def promoter(self) -> Span:
        """450 bp upstream of the start to 50 bp downstream."""
        if self.strand == "+":
            return self.start - PROMOTER_UP, self.start + PROMOTER_DOWN
        return self.end - PROMOTER_DOWN, self.end + PROMOTER_UP

    def introns(self) -> list[Span]:
        """Introns of the canonical transcript, ascending."""
        exons = self.transcripts[0].exons
        return [(a[1], b[0]) for a, b in pairwise(exons)]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Lengths of a gene's parts in transcript order, bp."""

    exons: tuple[int, ...]
    introns: tuple[int, ...]
    utr5: int
    cds: int

    @property
    def length(self) -> int:
        return sum(self.exons) + sum(self.introns)


def _plan_gene(rng: np.random.Generator) -> _Plan:
    while True:
        cds = 3 * int(np.clip(rng.lognormal(5.65, 0.45), 90, 900))
        utr5, utr3 = int(rng.integers(80, 240)), int(rng.integers(110, 300))
        total = utr5 + cds + utr3
        n_exons = min(int(rng.geometric(0.28)), 10, total // 90)
        spare = rng.multinomial(
            total - 60 * n_exons, rng.dirichlet(np.full(n_exons, 2.0))
        )
        exons = tuple(int(s) + 60 for s in spare)
        edges = np.concatenate([[0], np.cumsum(exons)])
        inside = np.diff(np.clip(edges, utr5, utr5 + cds))
        if ((inside == 0) | (inside >= _SHORTEST_PIECE)).all():
            introns = np.clip(rng.lognormal(5.0, 0.5, n_exons - 1), 75, 900).astype(int)
            return _Plan(exons, tuple(introns.tolist()), utr5, cds)


def _spread(total: int, n: int, *, least: int, rng: np.random.Generator) -> list[int]:
    """Split ``total`` into ``n`` parts of at least ``least``."""
    parts = rng.multinomial(total - least * n, rng.dirichlet(np.full(n, 1.3)))
    return [int(p) + least for p in parts]


def _lay_gene(
    plan: _Plan,
    start: int,
    strand: str,
    chromosome: Chromosome,
    rng: np.random.Generator,
) -> tuple[list[Span], npt.NDArray[np.int64]]:
    """Write the gene's sequence; return exons (ascending) and CDS positions."""
    end = start + plan.length
    exons: list[Span] = []
    pieces: list[npt.NDArray[np.int64]] = []
    introns: list[npt.NDArray[np.int64]] = []
    offset = 0
    for number, length in enumerate(plan.exons):
        a, b = offset, offset + length
        offset = b + (plan.introns[number] if number < len(plan.introns) else 0)
        if strand == "+":
            exons.append((start + a, start + b))
            pieces.append(np.arange(start + a, start + b))
            introns.append(np.arange(start + b, start + offset))
        else:
            exons.append((end - b, end - a))
            pieces.append(np.arange(end - a - 1, end - b - 1, -1))
            introns.append(np.arange(end - b - 1, end - offset - 1, -1))
    spliced = np.concatenate(pieces)
    cds_positions = spliced[plan.utr5 : plan.utr5 + plan.cds]

    def write(positions: npt.NDArray[np.int64], text: str) -> None:
        codes = encode(text)
        chromosome.bases[positions] = codes if strand == "+" else complement(codes)

    write(cds_positions, draw_coding(plan.cds // 3, rng))
    write(spliced[plan.utr5 - 4 : plan.utr5], "AAAA")
    write(spliced[-30:-24], "AATAAA")
    for intron in introns[:-1]:
        write(intron[:6], _DONOR[int(rng.integers(len(_DONOR)))])
        write(intron[-8:], _ACCEPTOR[int(rng.integers(len(_ACCEPTOR)))])
    return sorted(exons), cds_positions


def _clip_spans(exons: list[Span], low: int, high: int) -> list[Span]:
    """Return the parts of the exons inside ``[low, high)``."""
    clipped = [(max(a, low), min(b, high)) for a, b in exons]
    return [(a, b) for a, b in clipped if a < b]


def read_spans(chromosome: Chromosome, spans: list[Span], strand: str) -> str:
    """Return the spliced sequence of ascending spans, read along ``strand``."""
    joined = np.concatenate([chromosome.bases[a:b] for a, b in spans])
    return decode(joined if strand == "+" else complement(joined)[::-1])


def _second_transcript(
    gene: Gene, chromosome: Chromosome, utr5: int, rng: np.random.Generator
) -> Transcript | None:
    """Return an exon-skipping form, or one that starts later, or none."""
    first = gene.transcripts[0]
    whole = set(first.cds)
    inner = [
        exon
        for exon in first.exons[1:-1]
        if exon in whole and (exon[1] - exon[0]) % 3 == 0
    ]
    name = first.transcript_id[:-1] + "2"
    for exon in inner:
        cds = [span for span in first.cds if span != exon]
        protein = translate(read_spans(chromosome, cds, gene.strand))
        if protein.startswith("M") and protein.find("*") == len(protein) - 1:
            return Transcript(name, [e for e in first.exons if e != exon], cds)
    if utr5 < 60:
        return None
    shift = int(rng.integers(20, utr5 - 30))
    exons = list(first.exons)
    index = 0 if gene.strand == "+" else -1
    a, b = exons[index]
    if b - a <= shift + 10:
        return None
    exons[index] = (a + shift, b) if gene.strand == "+" else (a, b - shift)
    return Transcript(name, exons, list(first.cds))


def draw_chromosomes(
    background: Background, rng: np.random.Generator
) -> tuple[list[Chromosome], list[Gene]]:
    """Lay genes on background sequence.

    Returns
    -------
    tuple
        The chromosomes, and the genes in genome order. Genes never overlap and lie at
        least 1,150 bp apart, so that two promoters fit between them.
    """
    chromosomes: list[Chromosome] = []
    genes: list[Gene] = []
    total = sum(CHROMOSOME_LENGTHS.values())
    for number, (name, length) in enumerate(CHROMOSOME_LENGTHS.items()):
        chromosome = Chromosome(
            name,
            background.sample(length, rng),
            np.zeros(length, dtype=bool),
            np.zeros(length, dtype=bool),
        )
        chromosomes.append(chromosome)
        n_coding = round(N_CODING * length / total)
        n_other = round(N_NONCODING * length / total)
        plans: list[_Plan | int] = [_plan_gene(rng) for _ in range(n_coding)]
        plans += [int(rng.integers(300, 800)) for _ in range(n_other)]
        plans = [plans[i] for i in rng.permutation(len(plans))]
        sizes = [plan if isinstance(plan, int) else plan.length for plan in plans]
        gaps = _spread(length - sum(sizes), len(plans) + 1, least=1150, rng=rng)
        start = 0
        for order, plan in enumerate(plans):
            start += gaps[order]
            end = start + sizes[order]
            strand = "+" if rng.random() < 0.5 else "-"
            gene_id = f"DM{number + 1}G{(order + 1) * 10:05d}"
            chromosome.claimed[start:end] = True
            if isinstance(plan, int):
                transcript = Transcript(f"{gene_id}.1", [(start, end)], [])
                genes.append(
                    Gene(
                        gene_id, "", number, start, end, strand, "lncRNA",
                        [transcript], np.zeros(0, dtype=np.int64),
                        np.zeros(0, dtype=bool),
                    )
                )  # fmt: skip
            else:
                exons, positions = _lay_gene(plan, start, strand, chromosome, rng)
                cds = _clip_spans(exons, int(positions.min()), int(positions.max()) + 1)
                gene = Gene(
                    gene_id, "", number, start, end, strand, "protein_coding",
                    [Transcript(f"{gene_id}.1", exons, cds)], positions,
                    _draw_key_codons(plan.cds // 3, rng),
                )  # fmt: skip
                if len(exons) > 1 and rng.random() < 0.3:
                    other = _second_transcript(gene, chromosome, plan.utr5, rng)
                    gene.transcripts += [other] if other else []
                genes.append(gene)
            start = end
        gap = _free_start(chromosome, 300, rng)
        chromosome.bases[gap : gap + 100] = ord("N")
        chromosome.claimed[gap : gap + 100] = True
    return chromosomes, genes


def _free_start(chromosome: Chromosome, width: int, rng: np.random.Generator) -> int:
    while True:
        start = int(rng.integers(5_000, len(chromosome.bases) - 5_000))
        if chromosome.is_free(start - 1000, start + width + 1000):
            return start


def _draw_key_codons(n_codons: int, rng: np.random.Generator) -> Flags:
    """One domain over 30-60 % of the protein; a third of its codons are key."""
    key = np.zeros(n_codons, dtype=bool)
    width = int(n_codons * rng.uniform(0.3, 0.6))
    start = int(rng.integers(1, n_codons - width))
    key[start : start + width] = rng.random(width) < 0.35
    return key
