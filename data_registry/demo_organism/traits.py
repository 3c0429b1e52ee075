"""Traits of the demo organism: their genes, expression, phenotypes, associations."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from data_registry.demo_organism.effects import Change, Effect, RuleBook
from data_registry.demo_organism.elements import N_MODULES, Landscape
from data_registry.demo_organism.gene_models import Gene
from data_registry.demo_organism.population import Mutation, count_dosages

Floats = npt.NDArray[np.float64]

N_LARGE: Final = 5
N_SMALL: Final = 32
N_SMALL_PLANTED: Final = 20
HERITABILITY: Final = 0.65
TRANS_WEIGHT: Final = 0.2
LARGE_SHARE: Final = 0.05
"""A variant is large when it makes this share of its trait's genetic variance."""


@dataclass(frozen=True, slots=True)
class Trait:
    """One trait: mean and standard deviation of the lines, in ``unit``."""

    trait_id: str
    name: str
    description: str
    unit: str
    mean: float
    spread: float


TRAITS: Final = (
    Trait("flowering_time", "days to flowering (simulated)",
          "simulated trait: days from sowing to the first open flower", "days", 62.0,
          6.0),
    Trait("plant_height", "plant height (simulated)",
          "simulated trait: height of the main stem at maturity", "cm", 118.0, 11.0),
    Trait("seed_yield", "seed yield (simulated)",
          "simulated trait: seed mass of one plant", "g", 34.0, 5.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Architecture:
    """How genes make traits.

    Parameters
    ----------
    weights
        ``(n_genes, n_traits)`` trait change per log2 unit of a gene's activity, in
        units of the trait before scaling.
    trans
        ``(n_genes, n_genes)``: change of the row's activity per log2 unit of the
        column's.
    large, small
        Genes chosen for each trait.
    modules
        Modules from which most genes of each trait come.
    """

    weights: Floats
    trans: Floats
    large: tuple[tuple[int, ...], ...]
    small: tuple[tuple[int, ...], ...]
    modules: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class CausalVariant:
    """One allele that acts.

    Parameters
    ----------
    trait_effects
        ``(n_traits,)`` change of each trait per copy of ALT, in the trait's unit.
    shares
        ``(n_traits,)`` share of the trait's genetic variance.
    """

    mutation: Mutation
    effect: Effect
    trait_effects: Floats
    shares: Floats


@dataclass(frozen=True, slots=True)
class Measurements:
    """What is measured on the lines.

    Parameters
    ----------
    tpm
        ``(n_genes, n_lines)`` transcripts per million.
    phenotypes
        ``(n_traits, n_lines)`` in each trait's unit.
    """

    tpm: Floats
    phenotypes: Floats
    causal: list[CausalVariant]


def draw_architecture(
    genes: list[Gene], scape: Landscape, rng: np.random.Generator
) -> Architecture:
    """Choose the genes of each trait and the trans effects of factors."""
    n_genes = len(genes)
    coding = [i for i, gene in enumerate(genes) if gene.is_coding]
    weights = np.zeros((n_genes, len(TRAITS)))
    large, small, chosen_modules = [], [], []
    for column in range(len(TRAITS)):
        modules = rng.choice(N_MODULES, 3, replace=False)
        inside = [i for i in coding if genes[i].module in modules]
        outside = [i for i in coding if genes[i].module not in modules]
        n_inside = min(int(0.7 * (N_LARGE + N_SMALL)), len(inside))
        picked = list(rng.choice(inside, n_inside, replace=False))
        picked += list(rng.choice(outside, N_LARGE + N_SMALL - n_inside, replace=False))
        picked = [int(picked[i]) for i in rng.permutation(len(picked))]
        signs = rng.choice([-1.0, 1.0], len(picked))
        weights[picked[:N_LARGE], column] = rng.uniform(0.9, 1.5, N_LARGE)
        weights[picked[N_LARGE:], column] = rng.uniform(0.06, 0.25, N_SMALL)
        weights[picked, column] *= signs
        large.append(tuple(picked[:N_LARGE]))
        small.append(tuple(picked[N_LARGE:]))
        chosen_modules.append(tuple(int(m) for m in modules))
    return Architecture(
        weights, _trans_effects(genes, scape), tuple(large), tuple(small),
        tuple(chosen_modules),
    )  # fmt: skip


def _trans_effects(genes: list[Gene], scape: Landscape) -> Floats:
    trans = np.zeros((len(genes), len(genes)))
    encoder = {
        gene.extra["tf"]: i for i, gene in enumerate(genes) if "tf" in gene.extra
    }
    for site in scape.sites:
        if site.role == "functional" and site.weight > 0:
            regulator = encoder[site.motif.motif_id]
            target = scape.elements[site.element].gene
            if regulator != target:
                trans[target, regulator] = TRANS_WEIGHT * site.motif.sign
    return trans


def choose_targets(
    genes: list[Gene],
    scape: Landscape,
    design: Architecture,
    rules: RuleBook,
    rng: np.random.Generator,
) -> list[Change]:
    """Choose alleles to plant: causal ones, and lookalikes that do nothing.

    The lookalikes are missense changes off key codons, broken motifs in elements where
    the match is silent, and broken motifs outside elements. Broken genes and elements
    of genes without a part in any trait are planted too.
    """
    chosen: list[Change] = []
    taken: set[tuple[int, int]] = set()

    def take(change: Change | None) -> bool:
        if change is None:
            return False
        spots = {(change.chromosome, change.start // 40 + k) for k in (-1, 0, 1)}
        if spots & taken:
            return False
        taken.add((change.chromosome, change.start // 40))
        chosen.append(change)
        return True

    wanted = (
        "promoter_loss", "enhancer_loss", "missense", "enhancer_gain", "stop_gained",
        "splice", "promoter_loss", "frameshift", "promoter_gain", "enhancer_loss",
        "missense",
    )  # fmt: skip
    turn = 0
    for column in range(len(TRAITS)):
        plan = list(design.large[column]) + list(design.small[column][:N_SMALL_PLANTED])
        for gene in plan:
            for step in range(len(wanted)):
                what = wanted[(turn + step) % len(wanted)]
                if take(_propose(what, gene, genes, scape, rules, rng)):
                    break
            turn += 1
    idle = [
        i
        for i, gene in enumerate(genes)
        if gene.is_coding and not design.weights[i].any() and "tf" not in gene.extra
    ]
    for gene in rng.choice(idle, 24, replace=False).tolist():
        what = wanted[int(rng.integers(len(wanted)))]
        take(_propose(what, gene, genes, scape, rules, rng))
    coding = [i for i, gene in enumerate(genes) if gene.is_coding]
    for gene in rng.choice(coding, 100, replace=False).tolist():
        place = int(rng.choice(genes[gene].cds_positions[3:-3]))
        ref = chr(rules.chromosomes[genes[gene].chromosome].bases[place])
        alts = [base for base in "ACGT" if base != ref]
        for alt in (alts[i] for i in rng.permutation(3)):
            change = Change(genes[gene].chromosome, place, ref, alt)
            if rules.name_lookalike(change) == "missense":
                take(change)
                break
    silent = [
        n for n, s in enumerate(scape.sites) if s.role == "silent" and s.element >= 0
    ]
    orphan = [n for n, s in enumerate(scape.sites) if s.element < 0]
    for pool, n in ((silent, 45), (orphan, 45)):
        for number in rng.choice(pool, n, replace=False).tolist():
            take(rules.strongest_snp(number))
    return chosen


def _propose(
    what: str,
    index: int,
    genes: list[Gene],
    scape: Landscape,
    rules: RuleBook,
    rng: np.random.Generator,
) -> Change | None:
    """Return an allele of the wanted kind for a gene, or None where there is no way."""
    gene = genes[index]
    if what in {"missense", "stop_gained"}:
        fitting = [
            change
            for change, effect, codon in rules.coding_snps(index)
            if effect is not None
            and effect.mechanism == what
            and (what != "missense" or effect.activity <= -0.5)
            and codon < 0.9 * len(gene.key_codons)
        ]
        return fitting[int(rng.integers(len(fitting)))] if fitting else None
    if what == "splice":
        introns = gene.introns()
        if not introns:
            return None
        start, end = introns[int(rng.integers(len(introns)))]
        place = int(rng.choice([start, start + 1, end - 2, end - 1]))
        ref = chr(rules.chromosomes[gene.chromosome].bases[place])
        alt = {"A": "G", "G": "A", "C": "T", "T": "C"}[ref]
        return Change(gene.chromosome, place, ref, alt)
    if what == "frameshift":
        inner = np.sort(gene.cds_positions)
        early = inner[len(inner) // 10 : len(inner) // 2]
        place = int(early[int(rng.integers(len(early)))])
        ref = (
            rules.chromosomes[gene.chromosome]
            .bases[place : place + 2]
            .tobytes()
            .decode()
        )
        change = Change(gene.chromosome, place, ref, ref[0])
        effect = rules.find_effect(change)
        return (
            change if effect is not None and effect.mechanism == "frameshift" else None
        )
    kind, way = what.split("_")
    role = "latent" if way == "gain" else "functional"
    fitting_sites = [
        number
        for element in scape.elements
        if element.gene == index and element.kind == kind and element.active
        for number in element.sites
        if scape.sites[number].role == role and scape.sites[number].weight >= 0.4
    ]
    if not fitting_sites:
        return None
    change = rules.strongest_snp(fitting_sites[int(rng.integers(len(fitting_sites)))])
    return change if rules.find_effect(change) is not None else None


def measure_lines(
    genes: list[Gene],
    design: Architecture,
    rules: RuleBook,
    mutations: list[Mutation],
    rng: np.random.Generator,
) -> Measurements:
    """Simulate expression and phenotypes from the alleles that act.

    With ``D`` the direct activity change of each gene and line, ``T`` the trans effects
    and ``W`` the weights, a trait is ``W' (I + T) D`` plus normal noise, so every
    allele's effect on every trait is exact.
    """
    acting = [
        (m, e) for m in mutations if (e := rules.find_effect(m.change)) is not None
    ]
    n_genes, n_lines = len(genes), len(mutations[0].carriers) // 2
    reach = np.eye(n_genes) + design.trans
    direct = np.zeros((n_genes, n_lines))
    own_expression = np.zeros((n_genes, n_lines))
    for mutation, effect in acting:
        dosage = count_dosages(mutation.carriers)
        direct[effect.gene] += effect.activity * dosage
        own_expression[effect.gene] += effect.expression * dosage
    genetic = design.weights.T @ reach @ direct
    per_unit = design.weights.T @ reach
    noise = rng.normal(size=genetic.shape)
    phenotypes = np.zeros_like(genetic)
    scale = np.zeros(len(TRAITS))
    for row, trait in enumerate(TRAITS):
        deviation = float(genetic[row].std())
        scale[row] = trait.spread * np.sqrt(HERITABILITY) / deviation
        error = noise[row] * trait.spread * np.sqrt(1.0 - HERITABILITY)
        phenotypes[row] = trait.mean + scale[row] * (genetic[row] - genetic[row].mean())
        phenotypes[row] += error
    causal = []
    for mutation, effect in acting:
        effects = per_unit[:, effect.gene] * effect.activity * scale
        spread = float(count_dosages(mutation.carriers).astype(np.float64).var())
        target = np.array([t.spread**2 * HERITABILITY for t in TRAITS])
        causal.append(
            CausalVariant(mutation, effect, effects, effects**2 * spread / target)
        )
    expressed = own_expression + design.trans @ direct
    return Measurements(_draw_tpm(genes, expressed, rng), phenotypes, causal)


def _draw_tpm(genes: list[Gene], genetic: Floats, rng: np.random.Generator) -> Floats:
    n_genes, n_lines = genetic.shape
    base: Floats = rng.normal(4.5, 2.0, (n_genes,))
    coding = np.array([gene.is_coding for gene in genes])
    base[~coding] -= 3.0
    off = rng.random((n_genes,)) < 0.04
    # Genes of one module rise and fall together for reasons outside the genome.
    activity = rng.normal(0.0, 1.0, (N_MODULES, n_lines))
    loading = np.abs(rng.normal(0.22, 0.08, (n_genes,))) * coding
    shared = loading[:, None] * activity[[gene.module for gene in genes]]
    level = base[:, None] + genetic + shared + rng.normal(0.0, 0.25, (n_genes, n_lines))
    amount = np.exp2(level) * ~off[:, None]
    tpm: Floats = amount / amount.sum(axis=0) * 1e6
    return tpm


@dataclass(frozen=True, slots=True)
class Association:
    """Single-variant regressions of one trait, one entry an allele."""

    beta: Floats
    se: Floats
    p_value: Floats


def associate(phenotype: Floats, dosages: Floats, groups: list[str]) -> Association:
    """Regress a trait on each allele's dosage, with the group's mean taken out of both.

    Parameters
    ----------
    phenotype
        ``(n_lines,)`` in the trait's unit.
    dosages
        ``(n_alleles, n_lines)`` copies of ALT; each must vary within a group.
    groups
        Group of each line.
    """
    member = np.array(
        [[g == name for g in groups] for name in sorted(set(groups))], float
    )
    to_mean = member.T @ (member / member.sum(axis=1, keepdims=True))
    y = phenotype - to_mean @ phenotype
    x = dosages - dosages @ to_mean
    free = len(y) - len(member) - 1
    variation = (x**2).sum(axis=1)
    beta = x @ y / variation
    rest = (y @ y) - beta**2 * variation
    se = np.sqrt(rest / free / variation)
    p_value = 2.0 * stats.t.sf(np.abs(beta / se), free)
    return Association(beta, se, p_value)
