"""How the workspace's language model judges an allele (``encoders.likelihood``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_registry.genome import Genome
from data_registry.normalisation import Alleles, Strings
from encoders.likelihood import (
    CONTEXT_BP,
    TILE_BP,
    Floats,
    Haplotypes,
    allele_distance,
    allele_ratio,
    ratios_at,
)
from encoders.nucleotides import encode
from encoders.sequence_model import SequenceModel
from variant_effect.alleles import AlleleTable
from variant_effect.columns import REAL, TEXT, Column
from variant_effect.consequences import Consequences
from variant_effect.dense_track import (
    DISTANCES,
    MANIFEST,
    DenseTrack,
    track_folder,
)
from variant_effect.language_background import rounded
from variant_effect.layers import real
from variant_effect.markov import LEVELS, Background, allele_contexts
from variant_effect.material import Material
from variant_effect.scorers.base import nulls
from variant_effect.scorers.markov import background_classes, compared
from variant_effect.trained_models import (
    NO_LANGUAGE_MODEL,
    TrainedModel,
    find_model,
    missing_library,
    open_language,
)

LONGEST_BP = 1_000
"""Alleles with a longer REF or ALT are not read with the model."""


@dataclass(slots=True)
class _Opened:
    """A model opened when it is first needed; a track may answer everything."""

    model: TrainedModel
    opened: SequenceModel | None = None

    def get(self) -> SequenceModel:
        if self.opened is None:
            # One thread: workers share the cores, and numbers must not depend on them.
            self.opened = open_language(self.model, n_threads=1)
        return self.opened


@dataclass(frozen=True, slots=True)
class LanguageScorer:
    """Likelihood ratio, embedding distance, their product, and the ratio's percentile."""

    name: ClassVar[str] = "language"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "lm_llr", REAL,
            "language model: log p(ALT) - log p(REF) given all other bases; changes of "
            "several bases by the pseudo-log-likelihood of both haplotypes, "
            f"length-normalised, up to {LONGEST_BP:,} bp",
            "nats", "any", "positive: ALT is the likelier sequence",
        ),
        Column(
            "lm_distance", REAL,
            "mean Euclidean distance of the model's embeddings with REF and with ALT, "
            "over aligned bases within 64 bp; where precomputed, or with --lm-distance",
            "", ">=0", "the allele changes more of what the model sees",
        ),
        Column("lm_score", REAL, "magnitude of lm_llr, times lm_distance", "", ">=0",
               "the allele is judged to change more"),
        Column(
            "lm_percentile", REAL,
            "share of random SNVs of the same consequence class and trinucleotide "
            "context with a higher lm_llr; SNVs only",
            "%", "0-100", "high: less likely than most such changes",
        ),
        Column("lm_compared", TEXT, "what the percentile was taken over",
               range=", ".join(LEVELS)),
    )  # fmt: skip
    genome: Genome
    model: _Opened | None = None
    track: DenseTrack | None = None
    background: Background | None = None
    lm_distance: bool = False
    problem: str = field(default_factory=missing_library)

    @classmethod
    def make(cls, material: Material) -> Self:
        """Find the model and what is precomputed with it; nothing is opened yet."""
        model = find_model(material.workspace, "language")
        if model is None:
            return cls(material.genome)
        folder = track_folder(material.workspace, model.digest, material.genome_sha256)
        background = material.language_background
        return cls(
            material.genome,
            _Opened(model),
            DenseTrack(folder) if (folder / MANIFEST).is_file() else None,
            Background.load(background / "background.parquet") if background else None,
            material.lm_distance,
        )

    @property
    def missing(self) -> str:
        """What some of the columns want."""
        if self.model is None:
            return NO_LANGUAGE_MODEL
        if self.problem:
            looked_up = "only precomputed lm_llr is given: " if self.track else ""
            return f"{looked_up}{self.problem}; see 'cisgraph precompute --help'"
        whole = self.track is not None and self.track.done(DISTANCES) == 1
        if not whole and not self.lm_distance:
            return (
                "lm_distance and lm_score are given only where they were precomputed "
                "('cisgraph precompute --what all'); --lm-distance computes them, two "
                "passes of the model an allele"
            )
        return ""

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Look SNVs up where they were precomputed; ask the model for the others."""
        n = len(alleles)
        if self.model is None:
            return nulls(self.columns, n)
        ratio, distance, percentile = np.full((3, n), np.nan, dtype=np.float32)
        level = np.full(n, len(LEVELS) - 1, dtype=np.int8)
        for name, index in alleles.by_contig(alleles.small):
            minimal = Alleles(
                alleles.start[index],
                alleles.min_ref.take(index),
                alleles.min_alt.take(index),
            )
            ratio[index], distance[index] = self._contig(name, minimal)
            snv = index[_is_snv(minimal)]
            if self.background is not None and len(snv):
                percentile[snv], level[snv] = self.background.percentile(
                    ratio[snv],
                    background_classes(consequences.term[snv]),
                    allele_contexts(self.genome.contig(name), minimal)[
                        _is_snv(minimal)
                    ],
                )
        everything = np.arange(n)
        return {
            "lm_llr": real(ratio, everything, n),
            "lm_distance": real(distance, everything, n),
            "lm_score": real(np.abs(ratio) * distance, everything, n),
            "lm_percentile": real(percentile, everything, n),
            "lm_compared": compared(level),
        }

    def _contig(self, name: str, alleles: Alleles) -> tuple[Floats, Floats]:
        """Return ratio and distance of one contig's alleles; NaN where there is none."""
        n = len(alleles)
        ratio, distance = np.full((2, n), np.nan, dtype=np.float32)
        snv = np.flatnonzero(_is_snv(alleles))
        ref, alt = _first_codes(alleles.ref, snv), _first_codes(alleles.alt, snv)
        if self.track is not None:
            ratio[snv] = self.track.look_up(name, alleles.start[snv], ref, alt)
            distance[snv] = self.track.look_up(
                name, alleles.start[snv], ref, alt, DISTANCES
            )
        if self.problem or self.model is None:
            return ratio, distance
        short = (alleles.ref.lengths <= LONGEST_BP) & (
            alleles.alt.lengths <= LONGEST_BP
        )
        want_ratio = short & np.isnan(ratio)
        want_distance = short & np.isnan(distance) & self.lm_distance
        if not (want_ratio | want_distance).any():
            return ratio, distance
        model = self.model.get()
        codes, offset = self._around(name, alleles, model.reach_bp)
        open_snv = want_ratio[snv]
        found = ratios_at(model, codes, alleles.start[snv[open_snv]] - offset)
        ratio[snv[open_snv]] = rounded(found[np.arange(len(found)), alt[open_snv]])
        want_ratio[snv] = False
        for i in np.flatnonzero(want_ratio | want_distance).tolist():
            haplotypes = Haplotypes.of(
                codes,
                int(alleles.start[i]) - offset,
                int(alleles.ref.lengths[i]),
                encode(alleles.alt[i]),
            )
            if want_ratio[i]:
                ratio[i] = allele_ratio(model, haplotypes)
            if want_distance[i]:
                distance[i] = allele_distance(model, haplotypes)
        return ratio, distance

    def _around(
        self, name: str, alleles: Alleles, reach_bp: int
    ) -> tuple[NDArray[np.uint8], int]:
        """Return the codes around the alleles, and where they begin on the contig."""
        contig = self.genome.contig(name)
        margin = max(reach_bp, CONTEXT_BP) + TILE_BP
        # A whole number of tiles, so that the grid is that of the contig.
        first = max(int(alleles.start.min()) - margin, 0) // TILE_BP * TILE_BP
        last = int((alleles.start + alleles.ref.lengths).max()) + margin
        return encode(contig[first:last]), first


def _is_snv(alleles: Alleles) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (alleles.ref.lengths == 1) & (alleles.alt.lengths == 1)
    return found


def _first_codes(strings: Strings, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    return encode(strings.data[strings.offsets[:-1][rows]])
