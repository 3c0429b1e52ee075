"""One transparent score that orders variants by how likely they are to matter.

``prior_score = 1 - (1 - c)(1 - m)(1 - v)(1 - s) · …``, a noisy-or of independent reasons,
then lowered for common alleles. No term is learned and none reads an association, so the
score may serve as a prior for fine-mapping. Every term is an output column.

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
from typing import ClassVar, Self

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyBigWig
from Bio.Align import substitution_matrices

from variant_effect.alleles import AlleleTable
from variant_effect.columns import REAL, Column
from variant_effect.consequences import Consequences
from variant_effect.material import Material

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

_FADE_BP = 1_000.0
_TRACK_SAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class PriorScorer:
    """Noisy-or of consequence, motif, conservation and composition (module docstring)."""

    name: ClassVar[str] = "prior"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("prior_consequence", REAL, "consequence term of the prior", "", "0-1"),
        Column("prior_motif", REAL, "motif term", "", "0-0.4"),
        Column("prior_conservation", REAL, "conservation term", "", "0-0.35"),
        Column("prior_markov", REAL, "sequence-composition term", "", "0-0.15"),
        Column("prior_rarity", REAL, "factor for common alleles", "", "0.5-1"),
        Column("prior_score", REAL, "all terms together", "", "0-1",
               "high: more likely to matter"),
    )  # fmt: skip
    track_points: Mapping[str, tuple[float, float]]
    missing: str = ""

    @classmethod
    def make(cls, material: Material) -> Self:
        """Measure where each conservation track's middle and upper values lie."""
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
        return cls(points)

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,
        before: Mapping[str, pa.Array],
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Combine the columns of the scorers before."""
        small = alleles.small
        consequence = _consequence_term(consequences)
        motif = _motif_term(before)
        conservation = self._conservation_term(before)
        percentile = _numbers(before["markov_percentile"], 50.0)
        markov = 0.15 * np.clip(percentile - 50.0, 0.0, 50.0) / 50.0
        frequency = _numbers(before["panel_max_af"], 0.0)
        rarity = 1.0 - 0.5 * np.minimum(2.0 * frequency, 1.0)
        kept = (1 - consequence) * (1 - motif) * (1 - conservation) * (1 - markov)
        terms = {
            "prior_consequence": consequence,
            "prior_motif": motif,
            "prior_conservation": conservation,
            "prior_markov": markov,
            "prior_rarity": rarity,
            "prior_score": (1.0 - kept) * rarity,
        }
        structural = alleles.scored & ~small
        out = {}
        for name, values in terms.items():
            shown = values.astype(np.float32)
            keep = small | (
                structural if name in {"prior_consequence", "prior_score"} else False
            )
            out[name] = pa.array(shown, mask=~np.asarray(keep))
        return out

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
