"""Lines of the demo organism: coalescent simulation, alleles and genotypes."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from data_registry.demo_organism.effects import Change, RuleBook
from data_registry.demo_organism.gene_models import Chromosome
from data_registry.demo_organism.sequence import CODES, decode
from data_registry.errors import MissingOptionalError

GROUPS: Final = {"NORTH": 110, "SOUTH": 90}
MUTATION_RATE: Final = 2.2e-7
RECOMBINATION_RATE: Final = 4.0e-8
INDEL_SHARE: Final = 0.1

Haplotypes = npt.NDArray[np.int8]
"""``(n_haplotypes,)`` allele numbers; two neighbours are one line."""

_TRANSITION: Final = {"A": "G", "G": "A", "C": "T", "T": "C"}


@dataclass(slots=True)
class Mutation:
    """One derived allele and who carries it.

    Parameters
    ----------
    carriers
        ``(n_haplotypes,)`` 0 or 1.
    planted
        Whether the simulator chose the allele on purpose.
    """

    change: Change
    carriers: Haplotypes
    planted: bool = False

    @property
    def frequency(self) -> float:
        """Share of haplotypes that carry the allele."""
        return float(self.carriers.mean())


@dataclass(slots=True)
class Record:
    """One VCF record; ``alts`` may hold ``*`` where a deletion spans the site."""

    chromosome: int
    start: int
    ref: str
    alts: list[str]
    alleles: Haplotypes


@dataclass(frozen=True, slots=True)
class Tree:
    """Positions and carriers of simulated mutations on one chromosome, in order."""

    positions: npt.NDArray[np.int64]
    carriers: Haplotypes


def line_names() -> list[str]:
    """Names of the lines in the order of the genotypes."""
    return [f"DL{i:03d}" for i in range(1, sum(GROUPS.values()) + 1)]


def line_groups() -> list[str]:
    """Group of each line."""
    return [group for group, n in GROUPS.items() for _ in range(n)]


def simulate_trees(
    chromosomes: list[Chromosome], rng: np.random.Generator
) -> list[Tree]:
    """Simulate two populations, split 1,500 generations ago, that still exchange lines.

    Recombination is ten times rarer in the middle fifth of each chromosome, so linkage
    reaches farther around the centromere.

    Raises
    ------
    MissingOptionalError
        msprime is not installed.
    """
    try:
        import msprime
    except ImportError as error:
        raise MissingOptionalError(
            "the demo organism needs msprime: pip install 'cisgraph[demo]'"
        ) from error
    demography = msprime.Demography()
    demography.add_population(name="NORTH", initial_size=1_600)
    demography.add_population(name="SOUTH", initial_size=900)
    demography.add_population(name="ANCESTRAL", initial_size=2_000)
    demography.set_symmetric_migration_rate(["NORTH", "SOUTH"], 2e-4)
    demography.add_population_split(
        time=1_500, derived=["NORTH", "SOUTH"], ancestral="ANCESTRAL"
    )
    trees = []
    for chromosome in chromosomes:
        length = len(chromosome.bases)
        rates = msprime.RateMap(
            position=[0, 0.4 * length, 0.6 * length, length],
            rate=[RECOMBINATION_RATE, RECOMBINATION_RATE / 10, RECOMBINATION_RATE],
        )
        ancestry = msprime.sim_ancestry(
            samples=GROUPS,
            ploidy=2,
            demography=demography,
            recombination_rate=rates,
            random_seed=int(rng.integers(1, 2**31)),
        )
        mutated = msprime.sim_mutations(
            ancestry,
            rate=MUTATION_RATE,
            model=msprime.BinaryMutationModel(),
            discrete_genome=False,
            random_seed=int(rng.integers(1, 2**31)),
        )
        trees.append(
            Tree(
                np.floor(mutated.tables.sites.position).astype(np.int64),
                mutated.genotype_matrix().astype(np.int8),
            )
        )
    return trees


def seat_planted(
    targets: list[Change], tree: Tree, rng: np.random.Generator
) -> tuple[list[Mutation], set[int]]:
    """Give each planted allele the carriers of a common simulated mutation nearby.

    The mutation is moved to the target's place, some hundred bp on average, so linkage
    and population structure around it stay what the coalescent made them.

    Returns
    -------
    tuple
        The planted alleles, and the indices of the mutations they used up.
    """
    frequency = tree.carriers.mean(axis=1)
    common = (frequency >= 0.08) & (frequency <= 0.6)
    used: set[int] = set()
    planted = []
    for i in rng.permutation(len(targets)).tolist():
        distance = np.abs(tree.positions - targets[i].start).astype(np.float64)
        distance[~common] = np.inf
        distance[list(used)] = np.inf
        nearest = int(distance.argmin())
        used.add(nearest)
        planted.append(Mutation(targets[i], tree.carriers[nearest], planted=True))
    return planted, used


def draw_mutations(
    number: int,
    chromosome: Chromosome,
    tree: Tree,
    planted: list[Mutation],
    used: set[int],
    rules: RuleBook,
    rng: np.random.Generator,
) -> list[Mutation]:
    """Give the other simulated mutations alleles, and let selection thin them.

    Selection is imitated by chance removal: an allele that the rule book says acts on a
    gene is kept with probability 0.35 when rare and 0.04 when common.
    """
    bases = chromosome.bases
    kept = list(planted)
    near_planted = {
        place for m in planted for place in range(m.change.start - 16, m.change.end + 2)
    }
    for i, position in enumerate(tree.positions.tolist()):
        change = _draw_change(number, bases, position, rng)
        if i in used or change is None or position in near_planted:
            continue
        frequency = float(tree.carriers[i].mean())
        if rules.find_effect(change) is not None:
            chance = 0.35 if frequency < 0.04 else 0.04
            if rng.random() > chance:
                continue
        kept.append(Mutation(change, tree.carriers[i]))
    return kept


def _draw_change(
    number: int, bases: npt.NDArray[np.uint8], position: int, rng: np.random.Generator
) -> Change | None:
    ref = chr(bases[position])
    if rng.random() >= INDEL_SHARE:
        if ref == "N":
            return None
        alt = _TRANSITION[ref]
        if rng.random() > 0.64:
            others = [base for base in "ACGT" if base not in (ref, alt)]
            alt = others[int(rng.integers(2))]
        return Change(number, position, ref, alt)
    size = min(int(rng.geometric(0.35)), 14)
    window = decode(bases[position : position + size + 1])
    if len(window) <= size or "N" in window:
        return None
    if rng.random() < 0.5:
        return Change(number, position, window, window[0])
    # Half the insertions repeat what stands next to them.
    added = (
        window[1:] if rng.random() < 0.5 else decode(CODES[rng.integers(0, 4, size)])
    )
    return Change(number, position, window[0], window[0] + added)


def join_records(mutations: list[Mutation]) -> tuple[list[Record], list[Mutation]]:
    """Write alleles as VCF records.

    Two SNPs at one place become a record with two ALT alleles (the second overwrites
    the first); a haplotype that lacks a place through a deletion reads ``*`` there. An
    indel that would overlap another allele is not written, unless the other is a SNP
    inside a deletion.

    Returns
    -------
    tuple
        Records of one chromosome by position, and the alleles they hold (carriers as
        written).
    """
    places: dict[int, list[Mutation]] = defaultdict(list)
    for mutation in mutations:
        places[mutation.change.start].append(mutation)
    planted_snps = sorted(
        m.change.start for m in mutations if m.planted and m.change.is_snp
    )
    records: list[Record] = []
    written: list[Mutation] = []
    deletion: Mutation | None = None
    for start in sorted(places):
        here = sorted(places[start], key=lambda m: (not m.planted, m.change.alt))
        if deletion is not None and start >= deletion.change.end:
            deletion = None
        indels = [m for m in here if not m.change.is_snp]
        chosen: list[Mutation]
        if indels and (indels[0].planted or len(indels) == len(here)):
            indel = indels[0]
            spans = any(indel.change.start < p < indel.change.end for p in planted_snps)
            chosen = [] if deletion is not None or spans else [indel]
            if chosen and len(indel.change.ref) > 1:
                deletion = indel
                # The anchor base itself stays, so this record has no ``*``.
                records.append(_single(indel))
                written.append(indel)
                continue
        else:
            chosen = []
            for m in here:
                fresh = m.change.alt not in {c.change.alt for c in chosen}
                if m.change.is_snp and fresh:
                    chosen.append(m)
        if not chosen:
            continue
        alleles = np.zeros_like(chosen[0].carriers)
        for n, mutation in enumerate(chosen, start=1):
            keep = np.ones(len(alleles), dtype=bool)
            if chosen[0].planted and n > 1:
                keep = alleles == 0
            alleles[(mutation.carriers > 0) & keep] = n
        alts = [m.change.alt for m in chosen]
        if deletion is not None and start > deletion.change.start:
            gone = deletion.carriers > 0
            if gone.any():
                alts.append("*")
                alleles[gone] = len(alts)
        counts = [int((alleles == n).sum()) for n in range(1, len(alts) + 1)]
        if not any(c for c, alt in zip(counts, alts, strict=True) if alt != "*"):
            continue
        order = [n for n, count in enumerate(counts) if count]
        renumber = np.zeros(len(alts) + 1, dtype=np.int8)
        for new, old in enumerate(order, start=1):
            renumber[old + 1] = new
        records.append(
            Record(
                chosen[0].change.chromosome,
                start,
                chosen[0].change.ref,
                [alts[n] for n in order],
                renumber[alleles],
            )
        )
        for n, mutation in enumerate(chosen, start=1):
            carriers = (alleles == n).astype(np.int8)
            if carriers.any():
                written.append(Mutation(mutation.change, carriers, mutation.planted))
    return records, written


def _single(mutation: Mutation) -> Record:
    change = mutation.change
    return Record(
        change.chromosome, change.start, change.ref, [change.alt], mutation.carriers
    )


def count_dosages(carriers: Haplotypes) -> npt.NDArray[np.int8]:
    """Return copies per line from ``(…, n_haplotypes)`` carriers."""
    copies: npt.NDArray[np.int8] = carriers[..., 0::2] + carriers[..., 1::2]
    return copies
