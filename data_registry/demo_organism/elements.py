"""Promoters, enhancers, domains and the motif sites planted in them."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from data_registry.demo_organism.gene_models import Chromosome, Gene
from data_registry.demo_organism.motif_models import MotifModel
from data_registry.demo_organism.sequence import (
    CODES,
    Bases,
    RepeatLibrary,
    reverse_complement,
)

N_ENHANCERS: Final = 140
N_ORPHAN_SITES: Final = 320
N_MODULES: Final = 12
BIN_BP: Final = 2_000
REPEAT_SHARE: Final = 0.17


@dataclass(slots=True)
class Site:
    """One planted motif.

    Parameters
    ----------
    role
        ``functional``: binding acts on the target gene. ``silent``: a good match that
        does nothing. ``latent``: one base short of a match; restoring it acts.
    element
        Index of its element, -1 outside elements.
    weight
        log2 expression change of losing (gaining, if latent) the whole match.
    """

    chromosome: int
    start: int
    strand: str
    motif: MotifModel
    role: str
    element: int
    weight: float

    @property
    def end(self) -> int:
        """One past the last base."""
        return self.start + self.motif.width

    def read(self, bases: Bases) -> Bases:
        """Return the site's bases along the motif's strand."""
        window = bases[self.start : self.end]
        return window if self.strand == "+" else reverse_complement(window)


@dataclass(slots=True)
class Element:
    """A promoter or enhancer; ``gene`` is the index of its target."""

    name: str
    kind: str
    chromosome: int
    start: int
    end: int
    strand: str
    gene: int
    active: bool
    activity: float
    sites: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Repeat:
    """One repeat copy in the genome."""

    chromosome: int
    start: int
    end: int
    family: str
    strand: str


@dataclass(slots=True)
class Landscape:
    """Everything regulatory.

    Parameters
    ----------
    domain_edges
        Per chromosome the borders of its domains (TADs), bp, multiples of ``BIN_BP``.
    conserved_decoys
        ``(chromosome, start, end)`` of conserved stretches without any function.
    """

    elements: list[Element]
    sites: list[Site]
    repeats: list[Repeat]
    domain_edges: list[list[int]]
    conserved_decoys: list[tuple[int, int, int]]


def assign_modules(
    genes: list[Gene], motifs: tuple[MotifModel, ...], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Give genes to modules and factors to genes.

    Returns
    -------
    numpy.ndarray
        ``(N_MODULES, 3)`` indices of the planted motifs each module prefers.
    """
    coding = [i for i, gene in enumerate(genes) if gene.is_coding]
    for i in coding:
        genes[i].module = int(rng.integers(N_MODULES))
    # Factors sit on genes of middling length, anywhere in the genome.
    chosen = rng.choice(len(coding), len(motifs), replace=False)
    for place, motif in zip(chosen.tolist(), motifs, strict=True):
        gene = genes[coding[place]]
        gene.symbol = motif.tf
        gene.extra["tf"] = motif.motif_id
    n_planted = sum(motif.sign != 0 for motif in motifs)
    return np.array([rng.choice(n_planted, 3, replace=False) for _ in range(N_MODULES)])


def draw_landscape(
    chromosomes: list[Chromosome],
    genes: list[Gene],
    motifs: tuple[MotifModel, ...],
    preferred: npt.NDArray[np.int64],
    repeats: RepeatLibrary,
    rng: np.random.Generator,
) -> Landscape:
    """Lay domains, elements, repeats and motif sites; writes the sequence."""
    scape = Landscape([], [], [], [_draw_domains(c, rng) for c in chromosomes], [])
    _lay_promoters(scape, chromosomes, genes, rng)
    _lay_enhancers(scape, chromosomes, genes, rng)
    _lay_repeats(scape, chromosomes, repeats, rng)
    planted = [motif for motif in motifs if motif.sign]
    for index, element in enumerate(scape.elements):
        likely = [planted[i] for i in preferred[genes[element.gene].module]]
        _plant_element(
            scape, index, chromosomes[element.chromosome], planted, likely, rng
        )
    _plant_orphans(scape, chromosomes, planted, rng)
    for number, chromosome in enumerate(chromosomes):
        for _ in range(len(chromosome.bases) // 15_000):
            start = int(rng.integers(0, len(chromosome.bases) - 200))
            end = start + int(rng.integers(20, 110))
            if chromosome.is_free(start, end):
                scape.conserved_decoys.append((number, start, end))
    return scape


def _draw_domains(chromosome: Chromosome, rng: np.random.Generator) -> list[int]:
    length, edges = len(chromosome.bases), [0]
    while length - edges[-1] > 90_000:
        size = int(np.clip(rng.lognormal(np.log(62_000), 0.35), 34_000, 120_000))
        edges.append(edges[-1] + size // BIN_BP * BIN_BP)
    return [*edges, length]


def domain_of(edges: list[int], position: int) -> int:
    """Return the index of the domain that holds ``position``."""
    return int(np.searchsorted(edges, position, side="right")) - 1


def _lay_promoters(
    scape: Landscape,
    chromosomes: list[Chromosome],
    genes: list[Gene],
    rng: np.random.Generator,
) -> None:
    for index, gene in enumerate(genes):
        if not gene.is_coding:
            continue
        start, end = gene.promoter()
        chromosomes[gene.chromosome].claimed[start:end] = True
        bases = chromosomes[gene.chromosome].bases
        if rng.random() < 0.35:
            at = gene.tss - 35 if gene.strand == "+" else gene.tss + 28
            text = b"TATAAATA" if gene.strand == "+" else b"TATTTATA"
            bases[at : at + 8] = np.frombuffer(text, dtype=np.uint8)
        scape.elements.append(
            Element(
                f"promoter_{len(scape.elements) + 1:04d}", "promoter",
                gene.chromosome, start, end, gene.strand, index,
                bool(rng.random() < 0.93), float(rng.lognormal(0.0, 0.4)),
            )
        )  # fmt: skip


def _lay_enhancers(
    scape: Landscape,
    chromosomes: list[Chromosome],
    genes: list[Gene],
    rng: np.random.Generator,
) -> None:
    lengths = np.array([len(c.bases) for c in chromosomes])
    placed: list[Element] = []
    while len(placed) < N_ENHANCERS:
        number = int(rng.choice(len(chromosomes), p=lengths / lengths.sum()))
        chromosome = chromosomes[number]
        width = int(rng.integers(280, 620))
        start = int(rng.integers(1_000, lengths[number] - 2_000))
        if not chromosome.is_free(start - 120, start + width + 120):
            continue
        edges = scape.domain_edges[number]
        middle = start + width // 2
        near = [
            i
            for i, gene in enumerate(genes)
            if gene.is_coding
            and gene.chromosome == number
            and domain_of(edges, gene.tss) == domain_of(edges, middle)
            and abs(gene.tss - middle) > 2_000
        ]
        if not near:
            continue
        weight = np.array([1.0 / (abs(genes[i].tss - middle) + 8_000) for i in near])
        target = near[int(rng.choice(len(near), p=weight / weight.sum()))]
        chromosome.claimed[start - 20 : start + width + 20] = True
        placed.append(
            Element("", "enhancer", number, start, start + width, ".", target,
                    bool(rng.random() < 0.85), float(rng.lognormal(-0.2, 0.5)))
        )  # fmt: skip
    placed.sort(key=lambda element: (element.chromosome, element.start))
    for number, element in enumerate(placed, start=1):
        element.name = f"enhancer_{number:04d}"
    scape.elements += placed


def _lay_repeats(
    scape: Landscape,
    chromosomes: list[Chromosome],
    library: RepeatLibrary,
    rng: np.random.Generator,
) -> None:
    for number, chromosome in enumerate(chromosomes):
        length = len(chromosome.bases)
        laid, tries = 0, 0
        while laid < REPEAT_SHARE * length and tries < 4_000:
            tries += 1
            copy = library.draw_copy(rng, longest=2_400)
            # Repeats crowd around the centromere in the middle of the chromosome.
            centre = 0.5 + rng.normal(0.0, 0.12) if rng.random() < 0.4 else rng.random()
            start = int(np.clip(centre, 0.001, 0.995) * length)
            end = start + len(copy.bases)
            if not chromosome.is_free(start - 10, end + 10):
                continue
            chromosome.bases[start:end] = copy.bases
            chromosome.masked[start:end] = True
            chromosome.claimed[start:end] = True
            laid += end - start
            scape.repeats.append(Repeat(number, start, end, copy.family, copy.strand))
    scape.repeats.sort(key=lambda repeat: (repeat.chromosome, repeat.start))


def _write_site(
    scape: Landscape,
    chromosome: Chromosome,
    site: Site,
    rng: np.random.Generator,
) -> None:
    bases = site.motif.draw(rng)
    if site.role == "latent":
        column = int(rng.choice(np.argsort(site.motif.information)[-4:]))
        bases[column] = CODES[int(site.motif.log_odds[column].argmin())]
    forward = bases if site.strand == "+" else reverse_complement(bases)
    chromosome.bases[site.start : site.end] = forward
    if site.element >= 0:
        scape.elements[site.element].sites.append(len(scape.sites))
    scape.sites.append(site)


def _plant_element(
    scape: Landscape,
    index: int,
    chromosome: Chromosome,
    planted: list[MotifModel],
    likely: list[MotifModel],
    rng: np.random.Generator,
) -> None:
    element = scape.elements[index]
    is_promoter = element.kind == "promoter"
    n_functional = int(rng.integers(2, 5)) if is_promoter else int(rng.integers(3, 6))
    roles = ["functional"] * n_functional + ["silent"] * int(rng.random() < 0.6)
    roles += ["latent"] * int(rng.random() < (0.35 if is_promoter else 0.8))
    # Keep clear of the transcript, of the TATA box and of the element's rim.
    low, high = element.start + 10, element.end - 10
    if is_promoter and element.strand == "+":
        high = element.end - 95
    elif is_promoter:
        low = element.start + 95
    taken = np.zeros(high - low, dtype=bool)
    for role in (roles[i] for i in rng.permutation(len(roles))):
        pool = likely if rng.random() < 0.7 else planted
        motif = pool[int(rng.integers(len(pool)))]
        for _ in range(30):
            at = int(rng.integers(0, len(taken) - motif.width))
            if not taken[max(at - 4, 0) : at + motif.width + 4].any():
                break
        else:
            continue
        taken[at : at + motif.width] = True
        acts = element.active and role != "silent"
        size = rng.gamma(4.0, 0.16) * (1.0 if is_promoter else 0.85)
        strand = "+" if rng.random() < 0.5 else "-"
        site = Site(
            element.chromosome, low + at, strand, motif,
            role if element.active else "silent", index, float(size) if acts else 0.0,
        )  # fmt: skip
        _write_site(scape, chromosome, site, rng)


def _plant_orphans(
    scape: Landscape,
    chromosomes: list[Chromosome],
    planted: list[MotifModel],
    rng: np.random.Generator,
) -> None:
    lengths = np.array([len(c.bases) for c in chromosomes])
    laid = 0
    while laid < N_ORPHAN_SITES:
        number = int(rng.choice(len(chromosomes), p=lengths / lengths.sum()))
        motif = planted[int(rng.integers(len(planted)))]
        start = int(rng.integers(500, lengths[number] - 500))
        if not chromosomes[number].is_free(start - 5, start + motif.width + 5):
            continue
        chromosomes[number].claimed[start - 2 : start + motif.width + 2] = True
        strand = "+" if rng.random() < 0.5 else "-"
        site = Site(number, start, strand, motif, "silent", -1, 0.0)
        _write_site(scape, chromosomes[number], site, rng)
        laid += 1
