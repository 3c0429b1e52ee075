"""An additive model of evidence: what ``prior_score`` is where it was fitted.

It tells simulated SNVs, which nothing has sorted, from SNVs that a population carries. Its
answer is the probability of *simulated* at equal numbers of both: 0.5 says nothing, high
says that selection lets few such changes live.

The log-odds are a sum over features (Hastie & Tibshirani 1986, Stat. Sci. 1:297): a value
for each level of a feature with levels, a line through a few knots for a number. Each
feature belongs to a block; contributions are given against the average of the training
SNVs, so that 0 is an average SNV, and features without evidence contribute 0. Scoring
needs nothing but the model's JSON and numpy.

``BLOCKS`` and ``FEATURES`` say what is read. Neither frequencies nor associations are: the
first are what the model is fitted on, the second would make it useless as a prior.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

from data_registry.errors import InputError, MalformedFileError
from data_registry.relative_alignment import UNALIGNED, letter_codes
from data_registry.relatives import (
    FLANK_BP,
    Relatives,
    compare,
    mean_known,
    share_identical,
)
from variant_effect.alleles import AlleleTable
from variant_effect.consequences import Consequences
from variant_effect.substitutions import (
    BLOSUM62,
    CODONS,
    GRANTHAM,
    amino_acids_of,
    changed_position,
    codons_of,
    look_up,
)

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
Texts = NDArray[np.object_]

BLOCKS: Mapping[str, str] = {
    "consequence": "most severe term, its hand-set weight, distance to the gene start",
    "substitution": "BLOSUM62, Grantham's distance, codon usage, place in the codon",
    "conservation": "outgroups aligned and alike around the site, registered tracks",
    "polarity": "outgroups that have the alternative allele",
    "composition": "likelihood ratio of the Markov model",
    "language": "likelihood ratio of the language model, and its percentile",
    "motif": "motif sites gained and lost",
    "chromatin": "elements, states, open chromatin, bound factors, nucleosomes",
}
"""Blocks of evidence and what they hold."""

LANGUAGE = "language"
FORM = "cisgraph prior 1"
MODEL_FILE = "model.json"
RIDGE = 1.0
"""Penalty on the squared log-odds of a level."""
SMOOTHING = 100.0
"""The same on the step between neighbouring knots, in units of ``RIDGE``."""
MIN_ROWS = 20
"""A level that fewer training SNVs have gets no value of its own."""

KINDS = ("changed", "silent", "noncoding")
"""Of SNVs: the protein changes, it does not, there is none. Some evidence weighs
differently in each, so it has weights of its own there."""
SILENT = ("synonymous_variant", "stop_retained_variant", "start_retained_variant")

_LLR_KNOTS = (-6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
_IDENTITY_KNOTS = (0.5, 0.65, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
_PLACE_KNOTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing the model reads.

    Parameters
    ----------
    knots
        Where a number's line may bend; it is flat beyond them. Empty for a feature with
        levels.
    """

    name: str
    block: str
    knots: tuple[float, ...] = ()


FEATURES: tuple[Feature, ...] = (
    Feature("term", "consequence"),
    Feature("hand_set_weight", "consequence", (0.0, 1.0)),
    Feature("tss_distance", "consequence",
            (0.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 5000.0)),
    Feature("blosum62", "substitution", (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)),
    Feature("grantham", "substitution", (0.0, 30.0, 60.0, 90.0, 120.0, 160.0, 215.0)),
    Feature("codon_usage", "substitution", (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)),
    Feature("codon_position", "substitution"),
    Feature("outgroups_aligned", "conservation"),
    *(Feature(f"outgroup_identity_{kind}", "conservation", _IDENTITY_KNOTS) for kind in KINDS),
    Feature("outgroups_with_third_base", "conservation", (0.0, 1.0)),
    Feature("track", "conservation", _PLACE_KNOTS),
    Feature("outgroups_with_alt", "polarity"),
    *(Feature(f"markov_llr_{kind}", "composition", _LLR_KNOTS) for kind in KINDS),
    *(Feature(f"lm_llr_{kind}", "language", _LLR_KNOTS) for kind in KINDS),
    Feature("lm_percentile", "language", (0.0, 10.0, 50.0, 90.0, 99.0, 100.0)),
    Feature("motif_change", "motif"),
    Feature("motif_delta", "motif", (0.0, 3.0, 6.0, 10.0, 15.0)),
    Feature("in_element", "chromatin"),
    Feature("chromatin_state", "chromatin"),
    Feature("open_chromatin", "chromatin"),
    Feature("factors_bound", "chromatin", (0.0, 1.0, 3.0, 10.0)),
    Feature("intervals", "chromatin"),
)  # fmt: skip


# -- evidence ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evidence:
    """Features of alleles.

    Parameters
    ----------
    levels
        Feature to text, ``(n,)``; None where there is no evidence.
    numbers
        Feature to numbers, ``(n,)``; NaN where there is none.
    """

    levels: dict[str, Texts]
    numbers: dict[str, Reals]

    def __len__(self) -> int:
        return len(self.levels["term"])

    def take(self, rows: Places | Flags) -> "Evidence":
        """Return some of the alleles."""
        return Evidence(
            {name: values[rows] for name, values in self.levels.items()},
            {name: values[rows] for name, values in self.numbers.items()},
        )

    @classmethod
    def join(cls, parts: Sequence["Evidence"]) -> Self:
        """Put alleles behind each other."""
        return cls(
            {k: np.concatenate([p.levels[k] for p in parts]) for k in parts[0].levels},
            {
                k: np.concatenate([p.numbers[k] for p in parts])
                for k in parts[0].numbers
            },
        )

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """One column a feature, as the graph model reads them."""
        return {**self.numbers, **self.levels}

    @property
    def has_language(self) -> Flags:
        """Alleles that the language model was asked about, ``(n,)``."""
        asked: Flags = ~np.all(
            [np.isnan(self.numbers[f"lm_llr_{kind}"]) for kind in KINDS], axis=0
        )
        return asked


def gather(
    alleles: AlleleTable,
    rows: Places,
    consequences: Consequences,
    columns: Mapping[str, pa.Array],
    *,
    usage: Reals,
    relatives: Relatives | None,
) -> Evidence:
    """Read the evidence on SNVs from output columns and aligned outgroups.

    Relatives that are no outgroups are not looked at: they may carry the very alleles
    that the model is fitted on. A column that is not there counts as empty.

    Parameters
    ----------
    rows
        Which alleles; all of them SNVs.
    usage
        ``substitutions.codon_usage``.
    """
    n = len(rows)

    def number(name: str) -> Reals:
        if name not in columns:
            return np.full(n, np.nan)
        values = columns[name].cast(pa.float64()).take(pa.array(rows))
        found: Reals = values.to_numpy(zero_copy_only=False).astype(np.float64)
        return found

    def text(name: str) -> pa.Array:
        if name not in columns:
            return pa.nulls(n, pa.string())
        return columns[name].cast(pa.string()).take(pa.array(rows))

    def split(name: str, values: Reals) -> dict[str, Reals]:
        return {
            f"{name}_{kind}": np.where(of_kind, values, np.nan)
            for kind, of_kind in kinds.items()
        }

    term = np.array([str(t).split("&", 1)[0] for t in consequences.term[rows]], object)
    protein = consequences.protein[rows]
    is_coding = protein != ""
    is_silent = is_coding & np.isin(term, SILENT)
    kinds = dict(
        zip(KINDS, (is_coding & ~is_silent, is_silent, ~is_coding), strict=True)
    )
    old, new = amino_acids_of(pa.array(protein, pa.string()))
    codon, to_codon = codons_of(text("codons"))
    position = changed_position(codon, to_codon)
    usage_change = look_up(usage[None, :] - usage[:, None], codon, to_codon)
    aligned, identity, third, with_alt = _outgroups(relatives, alleles, rows)
    change = text("motif_change")
    motif_known = ~np.isnan(number("motif_n"))
    return Evidence(
        levels={
            "term": term,
            "codon_position": np.array([None, "1", "2", "3"], object)[position],
            "outgroups_aligned": aligned,
            "outgroups_with_alt": _named(with_alt, kinds),
            "motif_change": _or_else(change, "none", motif_known),
            "in_element": _yes_or_no(number("cre_n")),
            "chromatin_state": _objects(text("chromatin_state")),
            "open_chromatin": np.where(
                np.asarray(pc.is_valid(text("open_chromatin"))), "yes", "no"
            ).astype(object),
            "intervals": _kinds(text("other_intervals")),
        },
        numbers={
            "hand_set_weight": number("prior_consequence"),
            "tss_distance": np.where(is_coding, np.nan, number("tss_distance")),
            "blosum62": look_up(BLOSUM62, old, new),
            "grantham": look_up(GRANTHAM, old, new),
            "codon_usage": np.where(is_silent, usage_change, np.nan),
            **split("outgroup_identity", identity),
            "outgroups_with_third_base": third,
            "track": np.where(
                np.isnan(number("conservation")),
                np.nan,
                number("prior_conservation") / 0.35,
            ),
            **split("markov_llr", number("markov_llr")),
            **split("lm_llr", number("lm_llr")),
            "lm_percentile": number("lm_percentile"),
            "motif_delta": np.where(
                number("motif_n") > 0, np.abs(number("motif_delta")), np.nan
            ),
            "factors_bound": number("tf_bound_n"),
        },
    )


def _outgroups(
    relatives: Relatives | None, alleles: AlleleTable, rows: Places
) -> tuple[Texts, Reals, Reals, Texts]:
    """Return what outgroups have at SNVs.

    Returns
    -------
    tuple of numpy.ndarray
        ``none``, ``some`` or ``all`` aligned at the site (None: no outgroups); identity
        with the reference within ``FLANK_BP``, the site left out; share of the aligned
        that have neither allele; ``none``, ``some`` or ``all`` of the aligned that have
        ALT (None: none aligned).
    """
    n = len(rows)
    aligned, with_alt = np.full((2, n), None, dtype=object)
    identity, third = np.full((2, n), np.nan)
    if relatives is None or not relatives.is_outgroup.any():
        return aligned, identity, third, with_alt
    which = np.flatnonzero(relatives.is_outgroup)
    around = np.r_[-FLANK_BP:0, 1 : FLANK_BP + 1]
    for name, of_contig in alleles.by_contig(alleles.small):
        mine = np.flatnonzero(np.isin(rows, of_contig))
        if not len(mine):
            continue
        sites = relatives.sites(name)
        contig = relatives.genome.contig(name)
        start = alleles.start[rows[mine]]
        alt = letter_codes(alleles.min_alt.take(rows[mine]).data)
        here = sites[np.ix_(which, start)]
        is_aligned = here != UNALIGNED
        n_aligned = is_aligned.sum(axis=0)
        n_alt = (is_aligned & (here == alt)).sum(axis=0)
        n_ref = (is_aligned & (here == letter_codes(contig[start]))).sum(axis=0)
        aligned[mine] = _share_as_text(n_aligned, np.full(len(mine), len(which)))
        known = mine[n_aligned > 0]
        on = n_aligned > 0
        with_alt[known] = _share_as_text(n_alt[on], n_aligned[on])
        third[known] = 1 - (n_alt + n_ref)[on] / n_aligned[on]

        flank = start[:, None] + around
        inside = (flank >= 0) & (flank < len(contig))
        flank = np.where(inside, flank, 0)
        identical, comparable = compare(
            sites[np.ix_(which, flank.ravel())], letter_codes(contig[flank.ravel()])
        )
        shape = (len(which), *flank.shape)
        identity[mine] = mean_known(
            share_identical(
                (identical.reshape(shape) & inside).sum(axis=2),
                (comparable.reshape(shape) & inside).sum(axis=2),
                inside.sum(axis=1),
            )
        )
    return aligned, identity, third, with_alt


def _share_as_text(part: Places, whole: Places) -> Texts:
    found: Texts = np.select(
        [part == 0, part == whole], ["none", "all"], default="some"
    ).astype(object)
    return found


def _named(values: Texts, kinds: Mapping[str, Flags]) -> Texts:
    """``all`` becomes ``all, silent``; ``none`` stays, so that it does not tell the kind."""
    found = values.copy()
    for kind, of_kind in kinds.items():
        for value in ("some", "all"):
            found[of_kind & (values == value)] = f"{value}, {kind}"
    return found


def _objects(values: pa.Array) -> Texts:
    found: Texts = values.to_numpy(zero_copy_only=False).astype(object)
    return found


def _or_else(values: pa.Array, otherwise: str, known: Flags) -> Texts:
    found = _objects(pc.fill_null(values, otherwise))
    found[~known] = None
    return found


def _yes_or_no(number: Reals) -> Texts:
    found: Texts = np.where(number > 0, "yes", "no").astype(object)
    found[np.isnan(number)] = None
    return found


def _kinds(listed: pa.Array) -> Texts:
    """``nucleosome:a,tss:b`` becomes ``nucleosome+tss``; nothing becomes ``none``."""
    encoded = pc.fill_null(listed, "").dictionary_encode()
    kinds = np.array(
        [
            "+".join(
                sorted({part.split(":", 1)[0] for part in text.split(",") if part})
            )
            or "none"
            for text in encoded.dictionary.to_pylist()
        ]
        or ["none"],
        dtype=object,
    )
    found: Texts = kinds[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


# -- the model ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """What one feature contributes, in log-odds.

    Parameters
    ----------
    levels
        Level to contribution; empty for a number.
    knots, values
        A number's contribution at its knots, linear between them, flat beyond.
    """

    block: str
    levels: dict[str, float] = field(default_factory=dict)
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def contribution(self, values: Texts | Reals) -> Reals:
        """Return each allele's, ``(n,)``; 0 without evidence and at unknown levels."""
        if self.knots:
            numbers = values.astype(np.float64)
            line = np.interp(numbers, self.knots, self.values)
            found: Reals = np.where(np.isnan(numbers), 0.0, line)
            return found
        return np.array([self.levels.get(level, 0.0) for level in values], np.float64)


@dataclass(frozen=True, slots=True)
class Additive:
    """A fitted sum: intercept, and one term a feature."""

    intercept: float
    terms: dict[str, Term]

    def blocks(self, evidence: Evidence) -> dict[str, Reals]:
        """Return each block's contribution in log-odds, ``(n,)``, in the order of BLOCKS."""
        found = {
            block: np.zeros(len(evidence))
            for block in BLOCKS
            if any(term.block == block for term in self.terms.values())
        }
        for name, term in self.terms.items():
            values = evidence.levels.get(name, evidence.numbers.get(name))
            if values is not None:
                found[term.block] += term.contribution(values)
        return found

    def log_odds(self, evidence: Evidence) -> Reals:
        """Return the sum, ``(n,)``."""
        start = np.full(len(evidence), self.intercept)
        return sum(self.blocks(evidence).values(), start=start)

    def scaled(self, intercept: float, slope: float) -> "Additive":
        """Return the model whose log-odds are ``intercept + slope · log-odds``."""
        terms = {
            name: Term(
                term.block,
                {level: slope * value for level, value in term.levels.items()},
                term.knots,
                tuple(slope * value for value in term.values),
            )
            for name, term in self.terms.items()
        }
        return Additive(intercept + slope * self.intercept, terms)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, rounded to what matters."""
        return {
            "intercept": round(self.intercept, 5),
            "terms": {
                name: {
                    "block": term.block,
                    **(
                        {"knots": list(term.knots),
                         "log_odds": [round(v, 5) for v in term.values]}
                        if term.knots
                        else {"levels": {k: round(v, 5) for k, v in term.levels.items()}}
                    ),
                }
                for name, term in self.terms.items()
            },
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read back what ``as_dict`` wrote."""
        return cls(
            float(content["intercept"]),
            {
                name: Term(
                    held["block"],
                    dict(held.get("levels", {})),
                    tuple(held.get("knots", ())),
                    tuple(held.get("log_odds", ())),
                )
                for name, held in content["terms"].items()
            },
        )


@dataclass(frozen=True, slots=True)
class Combined:
    """What ``<workspace>/models/prior/model.json`` holds.

    Parameters
    ----------
    general
        Of all evidence but the language model's.
    with_language
        With it too, fitted on ``language_held_out`` alone; None where no model was there.
    language_digest
        The language model it was fitted with; another one's evidence is not read.
    language_held_out
        Contigs that the language model never saw.
    language_everywhere
        Whether its evidence is read on other contigs too.
    hand_set_scale
        Intercept and slope that turn the logit of the hand-set score, rarity left out,
        into log-odds of the same scale, for alleles that are no SNVs.
    usage
        ``substitutions.codon_usage`` of the genome.
    genome_sha256
        The genome it belongs to.
    provenance
        Counts, figures and settings of the fit, for people.
    """

    general: Additive
    with_language: Additive | None
    language_digest: str
    language_held_out: tuple[str, ...]
    language_everywhere: bool
    hand_set_scale: tuple[float, float]
    usage: Reals
    genome_sha256: str
    provenance: dict[str, Any]

    def asks_language(self, contig: str, digest: str) -> bool:
        """Whether a language model's evidence is read on a contig."""
        return (
            self.with_language is not None
            and digest == self.language_digest
            and (self.language_everywhere or contig in self.language_held_out)
        )

    def write(self, path: Path) -> None:
        """Write JSON."""
        content = {
            "form": FORM,
            "answers": "P(simulated) at equal numbers; contributions are log-odds",
            "genome_sha256": self.genome_sha256,
            "language": {
                "digest": self.language_digest,
                "held_out": list(self.language_held_out),
                "everywhere": self.language_everywhere,
            },
            "hand_set_scale": {
                "intercept": round(self.hand_set_scale[0], 5),
                "slope": round(self.hand_set_scale[1], 5),
            },
            "general": self.general.as_dict(),
            "with_language": self.with_language and self.with_language.as_dict(),
            "codon_usage": {
                codon: round(float(value), 5)
                for codon, value in zip(CODONS, self.usage, strict=True)
            },
            "provenance": self.provenance,
        }
        path.write_text(
            json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            encoding="utf-8",
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote.

        Raises
        ------
        MalformedFileError
            It is no such file.
        """
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if held["form"] != FORM:
                raise ValueError(f"form is {held['form']!r}, not {FORM!r}")
            language, scale = held["language"], held["hand_set_scale"]
            return cls(
                Additive.from_dict(held["general"]),
                held["with_language"] and Additive.from_dict(held["with_language"]),
                language["digest"],
                tuple(language["held_out"]),
                bool(language["everywhere"]),
                (float(scale["intercept"]), float(scale["slope"])),
                np.array([held["codon_usage"][codon] for codon in CODONS]),
                held["genome_sha256"],
                held["provenance"],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedFileError(
                path,
                f"is no fitted prior ({type(error).__name__}: {error})",
                remedy="Run 'cisgraph prior fit' again, or delete its folder to go back "
                "to the hand-set weights",
            ) from error


# -- fitting -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Basis:
    """Columns of one feature: their levels or knots, and their means where known."""

    feature: Feature
    levels: tuple[str, ...]
    means: Reals

    @classmethod
    def of(
        cls, feature: Feature, evidence: Evidence, weights: Reals
    ) -> "_Basis | None":
        """Find what a feature can tell apart; None where it is the same everywhere."""
        if feature.knots:
            known = ~np.isnan(evidence.numbers[feature.name])
            if not known.any() or np.ptp(evidence.numbers[feature.name][known]) == 0:
                return None
            basis = cls(feature, (), np.zeros(len(feature.knots)))
        else:
            values = evidence.levels[feature.name]
            given = values[values != None]  # noqa: E711  (element by element)
            names, counts = np.unique(given.astype(str), return_counts=True)
            levels = tuple(names[counts >= MIN_ROWS].tolist())
            if len(levels) < 2 and len(given) == len(values):
                return None
            if not levels:
                return None
            basis = cls(feature, levels, np.zeros(len(levels)))
        columns, known = basis.raw(evidence)
        means = np.average(columns[known], axis=0, weights=weights[known])
        return cls(feature, basis.levels, means)

    def raw(self, evidence: Evidence) -> tuple[Reals, Flags]:
        """Return indicator or hat columns ``(n, k)``, and where they are not all zero."""
        if self.feature.knots:
            values = evidence.numbers[self.feature.name]
            known = ~np.isnan(values)
            knots = np.array(self.feature.knots)
            at = np.clip(np.where(known, values, knots[0]), knots[0], knots[-1])
            left = np.clip(
                np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2
            )
            share = (at - knots[left]) / (knots[left + 1] - knots[left])
            columns = np.zeros((len(values), len(knots)))
            rows = np.arange(len(values))
            columns[rows, left], columns[rows, left + 1] = 1 - share, share
            return np.where(known[:, None], columns, 0.0), known
        texts = evidence.levels[self.feature.name]
        place = {level: i for i, level in enumerate(self.levels)}
        index = np.array([place.get(text, -1) for text in texts])
        indicators = index[:, None] == np.arange(len(self.levels))
        return indicators.astype(np.float64), index >= 0

    def columns(self, evidence: Evidence) -> Reals:
        """Return the columns less their means; 0 without evidence."""
        columns, known = self.raw(evidence)
        centred: Reals = np.where(known[:, None], columns - self.means, 0.0)
        return centred

    def penalty(self) -> Reals:
        """Draw levels to the average, and neighbouring knots to each other."""
        size = len(self.means)
        if not self.feature.knots:
            return RIDGE * np.eye(size)
        steps = np.diff(np.eye(size), axis=0)
        found: Reals = RIDGE * (SMOOTHING * steps.T @ steps + 0.01 * np.eye(size))
        return found

    def term(self, coefficients: Reals) -> Term:
        """Turn coefficients into contributions."""
        values = (coefficients - self.means @ coefficients).tolist()
        if self.feature.knots:
            return Term(
                self.feature.block, knots=self.feature.knots, values=tuple(values)
            )
        return Term(self.feature.block, dict(zip(self.levels, values, strict=True)))


def balanced(simulated: Flags) -> Reals:
    """Return weights that make both classes equal, with a mean of 1, ``(n,)``."""
    share = simulated.mean()
    weights: Reals = np.where(simulated, 0.5 / share, 0.5 / (1 - share))
    return weights


def fit_additive(
    evidence: Evidence,
    simulated: Flags,
    blocks: Sequence[str] = tuple(BLOCKS),
) -> Additive:
    """Fit by penalised maximum likelihood (Newton's method), both classes weighing alike.

    Parameters
    ----------
    simulated
        ``(n,)``; the others are observed.
    blocks
        Blocks to use.

    Raises
    ------
    InputError
        There is only one class.
    """
    if simulated.all() or not simulated.any():
        raise InputError(
            "the combined score needs observed and simulated SNVs to learn"
        )
    weights = balanced(simulated)
    found = [_Basis.of(f, evidence, weights) for f in FEATURES if f.block in blocks]
    bases = [basis for basis in found if basis is not None]
    x = np.column_stack(
        [np.ones(len(evidence)), *(basis.columns(evidence) for basis in bases)]
    )
    penalty = np.zeros((x.shape[1], x.shape[1]))
    ends = np.cumsum([1, *(len(basis.means) for basis in bases)])
    for basis, low, high in zip(bases, ends[:-1], ends[1:], strict=True):
        penalty[low:high, low:high] = basis.penalty()
    beta = _newton(x, simulated.astype(np.float64), weights, penalty)
    terms = {
        basis.feature.name: basis.term(beta[low:high])
        for basis, low, high in zip(bases, ends[:-1], ends[1:], strict=True)
    }
    return Additive(float(beta[0]), terms)


def _newton(x: Reals, y: Reals, weights: Reals, penalty: Reals) -> Reals:
    """Minimise the weighted log-loss plus ``beta' penalty beta / 2``."""
    beta = np.zeros(x.shape[1])

    def loss(at: Reals) -> float:
        eta = x @ at
        return float(
            weights @ (np.logaddexp(0.0, eta) - y * eta) + at @ penalty @ at / 2
        )

    now = loss(beta)
    for _ in range(50):
        p = expit(x @ beta)
        slope = x.T @ (weights * (y - p)) - penalty @ beta
        curve = (x * (weights * p * (1 - p))[:, None]).T @ x + penalty
        step = np.linalg.lstsq(curve, slope, rcond=None)[0]
        size = 1.0
        while (then := loss(beta + size * step)) > now and size > 1e-6:
            size /= 2
        beta = beta + size * step
        if now - then < 1e-9 * len(y):
            break
        now = then
    return beta


def calibrate(log_odds: Reals, simulated: Flags) -> tuple[float, float]:
    """Fit intercept and slope of ``P(simulated)`` (Platt 1999); the slope is not negative."""
    x = np.column_stack([np.ones(len(log_odds)), log_odds])
    beta = _newton(
        x, simulated.astype(np.float64), balanced(simulated), 1e-6 * np.eye(2)
    )
    if beta[1] >= 0:
        return float(beta[0]), float(beta[1])
    return 0.0, 0.0


def folds_of(contig: Texts, start: Places, n: int = 5) -> Places:
    """Part SNVs into at most ``n`` folds of whole contigs, ``(len(contig),)``.

    Larger contigs first, each into the fold that holds least. With one contig alone, the
    folds are ``n`` stretches of it with as many SNVs each.
    """
    names, code, counts = np.unique(
        contig.astype(str), return_inverse=True, return_counts=True
    )
    if len(names) == 1:
        rank = np.empty(len(start), dtype=np.int64)
        rank[np.argsort(start, kind="stable")] = np.arange(len(start))
        return rank * n // max(len(start), 1)
    held = np.zeros(min(n, len(names)), dtype=np.int64)
    fold = np.zeros(len(names), dtype=np.int64)
    for i in np.argsort(-counts, kind="stable").tolist():
        fold[i] = int(np.argmin(held))
        held[fold[i]] += counts[i]
    return fold[code].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibrated model, and what it says of SNVs it was not fitted on.

    Parameters
    ----------
    model
        Fitted on all SNVs, scaled by the calibration of the left-out log-odds.
    left_out
        Each SNV's calibrated log-odds from the other folds alone, ``(n,)``: neither the
        weights nor the calibration saw its fold.
    calibration
        Intercept and slope that ``model`` was scaled with.
    """

    model: Additive
    left_out: Reals
    calibration: tuple[float, float]


def left_out_log_odds(
    evidence: Evidence,
    simulated: Flags,
    fold: Places,
    blocks: Sequence[str] = tuple(BLOCKS),
) -> Reals:
    """Return each SNV's log-odds from a model fitted on the other folds, ``(n,)``."""
    found = np.zeros(len(fold))
    for k in np.unique(fold).tolist():
        out = fold == k
        model = fit_additive(evidence.take(~out), simulated[~out], blocks)
        found[out] = model.log_odds(evidence.take(out))
    return found


def cross_fit(
    evidence: Evidence,
    simulated: Flags,
    contig: Texts,
    start: Places,
    blocks: Sequence[str] = tuple(BLOCKS),
) -> Fitted:
    """Fit and calibrate with each of ``folds_of`` left out in turn, then on all.

    A fold's calibration is fitted on log-odds that were left out in turn among the other
    folds alone, so nothing of a fold is in what is said of it.
    """
    fold = folds_of(contig, start)
    raw, left_out = np.zeros((2, len(fold)))
    for k in np.unique(fold).tolist():
        out, rest = fold == k, fold != k
        model = fit_additive(evidence.take(rest), simulated[rest], blocks)
        raw[out] = model.log_odds(evidence.take(out))
        inner = left_out_log_odds(
            evidence.take(rest), simulated[rest],
            folds_of(contig[rest], start[rest], 2), blocks,
        )  # fmt: skip
        intercept, slope = calibrate(inner, simulated[rest])
        left_out[out] = intercept + slope * raw[out]
    calibration = calibrate(raw, simulated)
    whole = fit_additive(evidence, simulated, blocks)
    return Fitted(whole.scaled(*calibration), left_out, calibration)


# -- figures -----------------------------------------------------------------------------


def auroc(score: NDArray[np.floating], simulated: Flags) -> float:
    """Return P(a simulated SNV scores higher than an observed one), ties counted half."""
    rank = rankdata(score)
    n_simulated, n_observed = int(simulated.sum()), int((~simulated).sum())
    above = rank[simulated].sum() - n_simulated * (n_simulated + 1) / 2
    return float(above / (n_simulated * n_observed))


def reliability(
    probability: Reals, simulated: Flags, n_bins: int = 10
) -> list[dict[str, float]]:
    """Compare predicted with found, in bins of equal weight; both classes weigh alike.

    Returns
    -------
    list of dict
        ``predicted`` and ``found`` (share simulated), and the bin's ``share`` of weight.
    """
    weights = balanced(simulated)
    order = np.argsort(probability, kind="stable")
    through = np.cumsum(weights[order]) - weights[order] / 2
    bin_of = np.empty(len(order), dtype=np.int64)
    bin_of[order] = np.minimum(through / weights.sum() * n_bins, n_bins - 1)
    rows = []
    for k in range(n_bins):
        mine = bin_of == k
        if mine.any():
            rows.append({
                "predicted": float(np.average(probability[mine], weights=weights[mine])),
                "found": float(np.average(simulated[mine], weights=weights[mine])),
                "share": float(weights[mine].sum() / weights.sum()),
            })  # fmt: skip
    return rows


def calibration_error(rows: Sequence[Mapping[str, float]]) -> float:
    """Return the mean distance of predicted and found over ``reliability``'s bins (ECE)."""
    return sum(row["share"] * abs(row["predicted"] - row["found"]) for row in rows)
