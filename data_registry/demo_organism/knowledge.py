"""Simulated knowledge: terms, pathways, interactions and descriptions.

It is drawn from the modules that the genes really belong to, with part of the truth
missing and some of it wrong, as in real databases.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from data_registry.demo_organism.elements import N_MODULES, Landscape
from data_registry.demo_organism.gene_models import Gene
from data_registry.demo_organism.traits import TRAITS, Architecture

PROCESSES: Final = (
    "photoperiod response", "vernalisation response", "circadian timing",
    "gibberellin response", "auxin transport", "brassinosteroid response",
    "cell wall assembly", "starch synthesis", "sucrose transport", "seed filling",
    "heat response", "meristem maintenance",
)  # fmt: skip
PARENTS: Final = (
    ("DEMO:0000001", "biological process", ()),
    ("DEMO:0000002", "developmental timing", ("DEMO:0000001",)),
    ("DEMO:0000003", "hormone response", ("DEMO:0000001",)),
    ("DEMO:0000004", "growth and storage", ("DEMO:0000001",)),
    ("DEMO:0000005", "response to stimulus", ("DEMO:0000001",)),
    ("DEMO:0000006", "regulation of transcription", ("DEMO:0000001",)),
)
_PARENT_OF: Final = (2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 2)
_ROLES: Final = ("receptor", "kinase", "transporter", "enzyme", "scaffold protein")


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the ontology."""

    term_id: str
    name: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Membership:
    """A gene's place in a pathway; ``rank`` counts from the signal's start."""

    gene: int
    module: int
    rank: int
    role: str


@dataclass(frozen=True, slots=True)
class Link:
    """One gene–gene edge with its score (0–1) and sign (0 unknown)."""

    a: int
    b: int
    score: float
    sign: int


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All simulated knowledge."""

    terms: list[Term]
    gene_terms: list[tuple[int, str]]
    members: list[Membership]
    pathway_links: list[tuple[int, int, str]]
    proteins: list[Link]
    regulation: list[Link]
    gene_traits: list[tuple[int, int, str, float]]


def pathway_id(module: int) -> str:
    """Return the identifier of a module's pathway."""
    return f"DMP{module + 1:03d}"


def process_term(module: int) -> str:
    """Return the identifier of a module's term."""
    return f"DEMO:{module + 101:07d}"


def draw_knowledge(
    genes: list[Gene],
    scape: Landscape,
    design: Architecture,
    rng: np.random.Generator,
) -> Knowledge:
    """Draw databases from the truth, with gaps and errors."""
    terms = [Term(*parent) for parent in PARENTS]
    terms += [
        Term(process_term(m), name, (PARENTS[_PARENT_OF[m] - 1][0],))
        for m, name in enumerate(PROCESSES)
    ]
    coding = [i for i, gene in enumerate(genes) if gene.is_coding]
    gene_terms: list[tuple[int, str]] = []
    members: list[Membership] = []
    for index in coding:
        gene = genes[index]
        known = gene.module if rng.random() < 0.85 else int(rng.integers(N_MODULES))
        role = _ROLES[int(rng.integers(len(_ROLES)))]
        if "tf" in gene.extra:
            role = "transcription factor"
            gene_terms.append((index, "DEMO:0000006"))
        gene.extra["role"] = role
        if rng.random() < 0.8:
            gene_terms.append((index, process_term(known)))
        if rng.random() < 0.7:
            members.append(Membership(index, known, int(rng.integers(1, 7)), role))
        hint = PROCESSES[known] if rng.random() < 0.75 else "an unknown process"
        gene.description = f"simulated gene: {role} of {hint}"
    for gene in genes:
        if not gene.is_coding:
            gene.description = "simulated gene: long non-coding RNA"
    members.sort(key=lambda m: (m.module, m.rank, m.gene))
    links: list[tuple[int, int, str]] = []
    for module in range(N_MODULES):
        others = [m for m in range(N_MODULES) if m != module]
        for other in rng.choice(
            others, int(rng.integers(1, 3)), replace=False
        ).tolist():
            kind = ("activates", "inhibits", "crosstalk")[int(rng.integers(3))]
            links.append((module, other, kind))
    return Knowledge(
        terms, gene_terms, members, links, _draw_proteins(genes, coding, rng),
        _draw_regulation(genes, scape, coding, rng),
        _draw_gene_traits(design, coding, rng),
    )  # fmt: skip


def _draw_proteins(
    genes: list[Gene], coding: list[int], rng: np.random.Generator
) -> list[Link]:
    links = []
    for place, a in enumerate(coding):
        for b in coding[place + 1 :]:
            together = genes[a].module == genes[b].module
            if rng.random() < (0.16 if together else 0.004):
                score = float(rng.beta(5, 3) if together else rng.beta(2, 4))
                links.append(Link(a, b, round(score, 3), 0))
    return links


def _draw_regulation(
    genes: list[Gene], scape: Landscape, coding: list[int], rng: np.random.Generator
) -> list[Link]:
    encoder = {
        gene.extra["tf"]: i for i, gene in enumerate(genes) if "tf" in gene.extra
    }
    true = {
        (
            encoder[site.motif.motif_id],
            scape.elements[site.element].gene,
        ): site.motif.sign
        for site in scape.sites
        if site.role == "functional" and site.weight > 0
    }
    links = [
        Link(a, b, round(float(rng.beta(6, 2)), 3), sign)
        for (a, b), sign in sorted(true.items())
        if rng.random() < 0.6 and a != b
    ]
    regulators = sorted(encoder.values())
    for _ in range(len(links) // 5):
        a = regulators[int(rng.integers(len(regulators)))]
        b = coding[int(rng.integers(len(coding)))]
        if a != b and (a, b) not in true:
            true[a, b] = 0
            links.append(Link(a, b, round(float(rng.beta(2, 4)), 3), 0))
    return sorted(links, key=lambda link: (link.a, link.b))


def _draw_gene_traits(
    design: Architecture, coding: list[int], rng: np.random.Generator
) -> list[tuple[int, int, str, float]]:
    """Known genes of traits: a fifth of the true ones, and half as many errors."""
    rows: dict[tuple[int, int], tuple[str, float]] = {}
    for column in range(len(TRAITS)):
        true = [*design.large[column], *design.small[column]]
        for gene in true:
            if rng.random() < 0.2:
                rows[gene, column] = ("mutant", round(float(rng.uniform(0.6, 1.0)), 2))
        for _ in range(len(true) // 10):
            gene = coding[int(rng.integers(len(coding)))]
            rows.setdefault(
                (gene, column), ("literature", round(float(rng.uniform(0.2, 0.6)), 2))
            )
    return [(g, c, what, score) for (g, c), (what, score) in sorted(rows.items())]


def describe_gene(gene: Gene, rng: np.random.Generator) -> str:
    """Return a short text about a gene, which says that it is simulated."""
    asides = (
        "Its product is found in leaves and stems.",
        "Two splice forms have been described.",
        "Close relatives stand on the other chromosomes.",
        "Its expression follows the daily cycle.",
        "Nothing is known of its partners.",
    )
    name = f"{gene.symbol} ({gene.gene_id})" if gene.symbol else gene.gene_id
    factor = (
        f" It binds the JASPAR matrix {gene.extra['tf']}." if "tf" in gene.extra else ""
    )
    aside = asides[int(rng.integers(len(asides)))]
    subject = gene.description.removeprefix("simulated gene: ")
    return f"{name} is a simulated gene, a {subject}.{factor} {aside}"
