"""One transparent score that orders variants by how likely they are to matter.

Where ``cisgraph prior fit`` has left a model in ``<workspace>/models/prior/``, the score of
an SNV is that model's (``variant_effect.combined``): the probability that a change with
this evidence is simulated rather than one that the population carries, at equal numbers.
``prior_contributions`` gives each block's part in log-odds. Other alleles keep the hand-set
score below without rarity, brought to the same scale.

Without a fitted model,

``prior_score = 1 - (1 - c)(1 - m)(1 - v)(1 - s) · …``, a noisy-or of independent reasons,
then lowered for common alleles. No term of it is learned. Every term is an output column,
whichever of the two is used; ``prior_source`` says which. Neither reads an association, so
the score may serve as a prior for fine-mapping.

=============== ==================================================================
``prior_consequence`` c: weight of the most severe term (``WEIGHTS``); a missense allele
                moves between 0.15 and 0.55 with BLOSUM62 (4 to -4); upstream and
                downstream alleles fall off with ``exp(-distance / 1000 bp)``
``prior_motif`` m: up to 0.35 for a motif gained or lost: 0.35 · min(|delta| / 10 bits, 1)
                · 1 in a regulatory element, · 0.3 outside; bound by any factor: · 1.2,
                at most 0.4
``prior_conservation`` v: 0.35 · the value's place among 0, the track's 50 % and 95 %
                points, measured on a sample of the track
``prior_markov`` s: 0.15 · max(0, percentile - 50) / 50
``prior_rarity`` factor ``1 - 0.5 · min(2 · AF, 1)`` with the highest panel frequency;
                1 where no panel holds the allele
=============== ==================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Self

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyBigWig
from Bio.Align import substitution_matrices
from scipy.special import expit, logit

from data_registry.errors import InputError
from data_registry.relatives import Registered, Relatives
from data_registry.store import Store
from data_registry.workspace import Workspace
from variant_effect.alleles import AlleleTable
from variant_effect.columns import REAL, TEXT, Column
from variant_effect.combined import MODEL_FILE, Combined, gather
from variant_effect.consequences import Consequences
from variant_effect.material import Material
from variant_effect.trained_models import find_model

WEIGHTS: Mapping[str, float] = {
    "transcript_ablation": 0.95,
    "splice_acceptor_variant": 0.85,
    "splice_donor_variant": 0.85,
    "stop_gained": 0.90,
    "frameshift_variant": 0.90,
    "stop_lost": 0.70,
    "start_lost": 0.80,
    "transcript_amplification": 0.60,
    "feature_elongation": 0.60,
    "feature_truncation": 0.80,
    "inframe_insertion": 0.50,
    "inframe_deletion": 0.50,
    "protein_altering_variant": 0.55,
    "missense_variant": 0.35,
    "splice_region_variant": 0.20,
    "start_retained_variant": 0.05,
    "stop_retained_variant": 0.05,
    "synonymous_variant": 0.03,
    "coding_sequence_variant": 0.30,
    "5_prime_UTR_variant": 0.10,
    "3_prime_UTR_variant": 0.08,
    "non_coding_transcript_exon_variant": 0.08,
    "intron_variant": 0.02,
    "gene_variant": 0.05,
    "upstream_gene_variant": 0.10,
    "downstream_gene_variant": 0.05,
    "intergenic_variant": 0.01,
}
"""Weight of a consequence's most severe term, 0-1."""

WITH_LANGUAGE, FITTED = "fitted with language model", "fitted"
RESCALED, BY_HAND = "hand-set rescaled", "hand-set"
SOURCES = (WITH_LANGUAGE, FITTED, RESCALED, BY_HAND)
"""What a score may rest on (docs/prior.md)."""

_FADE_BP = 1_000.0
_TRACK_SAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class PriorScorer:
    """The fitted model where there is one, else hand-set weights (module docstring)."""

    name: ClassVar[str] = "prior"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("prior_consequence", REAL, "hand-set consequence term", "", "0-1"),
        Column("prior_motif", REAL, "hand-set motif term", "", "0-0.4"),
        Column("prior_conservation", REAL, "hand-set conservation term", "", "0-0.35"),
        Column("prior_markov", REAL, "hand-set sequence-composition term", "", "0-0.15"),
        Column("prior_rarity", REAL, "hand-set factor for common alleles; not part of a "
               "fitted score", "", "0.5-1"),
        Column("prior_contributions", TEXT, "what each block of evidence adds to a fitted "
               "score, as block=log-odds joined by ';'; 0 is the average SNV of the fit"),
        Column("prior_source", TEXT, "what prior_score rests on", "",
               ", ".join(SOURCES)),
        Column("prior_score", REAL, "fitted: probability that such a change is not one "
               "that the population carries, at equal numbers; hand-set: the terms "
               "together, no probability", "", "0-1", "high: more likely to matter"),
    )  # fmt: skip
    track_points: Mapping[str, tuple[float, float]]
    fitted: Combined | None = None
    relatives: Relatives | None = None
    language_digest: str = ""
    missing: str = ""

    @classmethod
    def make(cls, material: Material) -> Self:
        """Measure where the conservation tracks' values lie; read the fitted model.

        Raises
        ------
        InputError
            The fitted model belongs to another genome.
        MalformedFileError
            It cannot be read.
        """
        points = {}
        for name, path in material.connection.execute(
            "SELECT track, path FROM tracks WHERE role = 'conservation' ORDER BY track"
        ).fetchall():
            points[name] = _track_points(str(material.workspace / path))
        quantiles = material.connection.execute(
            "SELECT quantile_cont(score, [0.5, 0.95]) FROM conservation"
        ).fetchone()
        if quantiles and quantiles[0]:
            points["intervals"] = tuple(quantiles[0])
        path = model_file(material.workspace)
        if not path.is_file():
            return cls(points)
        fitted = Combined.read(path)
        if fitted.genome_sha256 != material.genome_sha256:
            raise InputError(
                f"{path} was fitted on another genome; run 'cisgraph prior fit' again, or "
                "delete its folder to go back to the hand-set weights"
            )
        language = find_model(material.workspace, "language")
        return cls(
            points,
            fitted,
            open_relatives(material),
            language.digest if language else "",
        )

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,
        before: Mapping[str, pa.Array],
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Combine the columns of the scorers before."""
        small = alleles.small
        terms = self.hand_set_terms(consequences, before)
        by_hand = hand_set_score(terms)
        rarity = terms["prior_rarity"]
        structural = alleles.scored & ~small
        out = {
            name: pa.array(
                values.astype(np.float32),
                mask=~(small | (structural & (name == "prior_consequence"))),
            )
            for name, values in terms.items()
        }
        score = by_hand * rarity
        source = np.full(len(alleles), BY_HAND, dtype=object)
        parts = np.full(len(alleles), None, dtype=object)
        if self.fitted is not None:
            score = rescaled(by_hand, self.fitted.hand_set_scale)
            source[:] = RESCALED
            rows = np.flatnonzero(snvs(alleles))
            score[rows], parts[rows], source[rows] = self._ask(
                self.fitted, alleles, rows, consequences, {**before, **out}
            )
        source[~alleles.scored] = None
        out["prior_contributions"] = pa.array(parts, TEXT)
        out["prior_source"] = pa.array(source, TEXT)
        out["prior_score"] = pa.array(score.astype(np.float32), mask=~alleles.scored)
        return out

    def hand_set_terms(
        self, consequences: Consequences, before: Mapping[str, pa.Array]
    ) -> dict[str, np.ndarray]:
        """Return the terms of the hand-set score by column, ``(n,)`` each."""
        percentile = _numbers(before["markov_percentile"], 50.0)
        frequency = _numbers(before["panel_max_af"], 0.0)
        return {
            "prior_consequence": _consequence_term(consequences),
            "prior_motif": _motif_term(before),
            "prior_conservation": self._conservation_term(before),
            "prior_markov": 0.15 * np.clip(percentile - 50.0, 0.0, 50.0) / 50.0,
            "prior_rarity": 1.0 - 0.5 * np.minimum(2.0 * frequency, 1.0),
        }

    def _ask(
        self,
        fitted: Combined,
        alleles: AlleleTable,
        rows: np.ndarray,
        consequences: Consequences,
        columns: Mapping[str, pa.Array],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return score, contributions and source of SNVs, in the fitted model's words."""
        evidence = gather(
            alleles, rows, consequences, columns,
            usage=fitted.usage, relatives=self.relatives,
        )  # fmt: skip
        asked = np.array(
            [
                fitted.asks_language(name, self.language_digest)
                for name in alleles.contigs
            ]
        )
        use_language = asked[alleles.contig[rows]] & evidence.has_language
        score = np.zeros(len(rows))
        parts = np.full(len(rows), None, dtype=object)
        for model, mine in (
            (fitted.general, ~use_language), (fitted.with_language, use_language)
        ):  # fmt: skip
            if model is None or not mine.any():
                continue
            blocks = model.blocks(evidence.take(mine))
            score[mine] = expit(model.intercept + sum(blocks.values()))
            parts[mine] = [
                ";".join(
                    f"{name}={value:+.3f}"
                    for name, value in zip(blocks, values, strict=True)
                )
                for values in zip(*blocks.values(), strict=True)
            ]
        return score, parts, np.where(use_language, WITH_LANGUAGE, FITTED)

    def _conservation_term(self, before: Mapping[str, pa.Array]) -> np.ndarray:
        values = _numbers(before["conservation"], np.nan)
        term = np.zeros(len(values))
        tracks = before["conservation_track"].dictionary_encode()
        code = tracks.indices.to_numpy(zero_copy_only=False)
        for i, name in enumerate(tracks.dictionary.to_pylist()):
            middle, high = self.track_points.get(name, (0.0, 1.0))
            rows = code == i
            place = (values[rows] - middle) / max(high - middle, 1e-9)
            term[rows] = 0.35 * np.clip(place, 0.0, 1.0)
        return np.nan_to_num(term)


def model_file(workspace: Path) -> Path:
    """Return where a workspace's fitted model stands, if it has one."""
    return workspace / "models" / "prior" / MODEL_FILE


def open_relatives(material: Material) -> Relatives | None:
    """Open the aligned relatives; None without any."""
    store = Store(Workspace(material.workspace), material.connection)
    return Registered.of(store).open()


def snvs(alleles: AlleleTable) -> np.ndarray:
    """Return which alleles change one base into another, ``(n,)``."""
    found: np.ndarray = (
        alleles.small & (alleles.min_ref.lengths == 1) & (alleles.min_alt.lengths == 1)
    )
    return found


def hand_set_score(terms: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the noisy-or of the hand-set terms, rarity left out, ``(n,)``."""
    kept = [1 - values for name, values in terms.items() if name != "prior_rarity"]
    found: np.ndarray = 1.0 - np.prod(kept, axis=0)
    return found


def hand_set_logit(score: np.ndarray) -> np.ndarray:
    """Return the score's logit; 0 and 1 are taken as 0.001 and 0.999."""
    found: np.ndarray = logit(np.clip(score, 0.001, 0.999))
    return found


def rescaled(score: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Bring hand-set scores to the scale of a fitted model."""
    found: np.ndarray = expit(scale[0] + scale[1] * hand_set_logit(score))
    return found


def _numbers(values: pa.Array, missing: float) -> np.ndarray:
    filled = pc.fill_null(values.cast(pa.float64()), missing)
    found: np.ndarray = filled.to_numpy(zero_copy_only=False)
    return found


def _consequence_term(consequences: Consequences) -> np.ndarray:
    codes, terms = pd.factorize(consequences.term)
    weight = np.array([WEIGHTS.get(str(t).split("&")[0], 0.0) for t in terms] or [0.0])
    term = weight[codes].astype(np.float64)
    near = consequences.distance > 0
    term[near] *= np.exp(-consequences.distance[near] / _FADE_BP)
    is_missense = np.array(
        [str(t).startswith("missense_variant") for t in terms] or [False]
    )
    missense = is_missense[codes]
    changes, distinct = pd.factorize(consequences.protein[missense])
    table = np.array([_missense_weight(str(change)) for change in distinct] or [0.0])
    term[missense] = table[changes]
    return term


def _missense_weight(change: str) -> float:
    before, _, after = change.partition(">")
    return _exchange_weight(before.strip("0123456789"), after.strip("0123456789"))


@cache
def _exchange_weight(old: str, new: str) -> float:
    """0.15 for the mildest exchange (BLOSUM62 4), 0.55 for the harshest (-4)."""
    matrix = substitution_matrices.load("BLOSUM62")  # type: ignore[no-untyped-call]
    if len(old) != 1 or len(new) != 1 or not {old, new} <= set(matrix.alphabet):
        return WEIGHTS["missense_variant"]
    return 0.35 - 0.05 * min(max(float(matrix[old, new]), -4.0), 4.0)


def _motif_term(before: Mapping[str, pa.Array]) -> np.ndarray:
    delta = np.abs(_numbers(before["motif_delta"], 0.0))
    changed = _numbers(before["motif_n"], 0.0) > 0
    in_cre = _numbers(before["cre_n"], 0.0) > 0
    bound = _numbers(before["tf_bound_n"], 0.0) > 0
    term = 0.35 * np.minimum(delta / 10.0, 1.0) * np.where(in_cre, 1.0, 0.3)
    term = np.where(bound, np.minimum(1.2 * term, 0.4), term)
    return np.where(changed, term, 0.0)


def _track_points(path: str) -> tuple[float, float]:
    """Median and 95 % point of evenly spaced stretches of a bigWig."""
    values: list[np.ndarray] = []
    with pyBigWig.open(path) as file:
        total = sum(file.chroms().values())
        step = max(total // _TRACK_SAMPLES, 1)
        for contig, length in sorted(file.chroms().items()):
            for start in range(0, length, step):
                end = min(start + 50, length)
                values.append(np.asarray(file.values(contig, start, end, numpy=True)))
    joined = np.concatenate(values) if values else np.zeros(0)
    joined = joined[~np.isnan(joined)]
    if not len(joined):
        return 0.0, 1.0
    middle, high = np.quantile(joined, [0.5, 0.95])
    return float(middle), float(high)
