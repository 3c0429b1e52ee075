"""Transcription factors of the demo organism and their JASPAR matrices."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from data_registry.demo_organism.sequence import (
    BASE_FREQUENCIES,
    CODES,
    Bases,
    index_bases,
)

RELEASE: Final = "JASPAR2024"
PLANTED: Final = {
    "MA0551.2": ("HY5", 1), "MA0550.3": ("BZR1", -1), "MA0590.1": ("LFY", 1),
    "MA1182.2": ("RVE8", 1), "MA1065.3": ("TCP20", 1), "MA0575.2": ("MYB77", 1),
    "MA0554.2": ("SOC1", 1), "MA1665.3": ("HSFB2A", -1), "MA1323.2": ("GATA19", 1),
    "MA0974.3": ("CDF3", -1), "MA0992.3": ("ERF4", 1), "MA0578.1": ("SPL8", 1),
}  # fmt: skip
"""Matrix to factor name and sign: +1 raises, -1 lowers its targets' expression."""

DISTRACTORS: Final = (
    "MA0558.2", "MA1035.1", "MA1020.1", "MA1040.1", "MA0561.1", "MA0943.2", "MA1751.2",
    "MA0937.1",
)  # fmt: skip
"""Matrices that are offered for scanning though nothing of theirs was planted."""

STRONG: Final = 0.8
"""A planted instance reaches at least this share of its matrix' best score."""


@dataclass(frozen=True)
class MotifModel:
    """One matrix of JASPAR.

    Parameters
    ----------
    counts
        ``(width, 4)`` counts of A, C, G, T.
    sign
        Effect of the factor on its targets, 0 for a distractor.
    """

    motif_id: str
    tf: str
    family: str
    counts: npt.NDArray[np.float64]
    sign: int

    @property
    def width(self) -> int:
        """Positions."""
        return len(self.counts)

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """``(width, 4)`` with one pseudocount spread over the background."""
        padded = self.counts + BASE_FREQUENCIES
        shares: npt.NDArray[np.float64] = padded / padded.sum(axis=1, keepdims=True)
        return shares

    @cached_property
    def log_odds(self) -> npt.NDArray[np.float64]:
        """``(width, 4)`` in bits against the base composition of the genome."""
        odds: npt.NDArray[np.float64] = np.log2(self.probabilities / BASE_FREQUENCIES)
        return odds

    @property
    def best(self) -> float:
        """Highest score there is, bits."""
        return float(self.log_odds.max(axis=1).sum())

    @property
    def information(self) -> npt.NDArray[np.float64]:
        """``(width,)`` information content, bits."""
        p = self.probabilities
        content: npt.NDArray[np.float64] = 2.0 + (p * np.log2(p)).sum(axis=1)
        return content

    def score(self, bases: Bases) -> float:
        """Score ``width`` bases read along the motif's own strand, bits."""
        picked = index_bases(bases)
        if (picked > 3).any():
            return float("-inf")
        return float(self.log_odds[np.arange(self.width), picked].sum())

    def draw(self, rng: np.random.Generator) -> Bases:
        """Draw an instance of at least ``STRONG`` of the best score."""
        sharp = self.probabilities**1.3
        sharp /= sharp.sum(axis=1, keepdims=True)
        for _ in range(40):
            picked = (rng.random((self.width, 1)) > np.cumsum(sharp, axis=1)).sum(
                axis=1
            )
            bases: Bases = CODES[np.minimum(picked, 3)]
            if self.score(bases) >= STRONG * self.best:
                return bases
        strongest: Bases = CODES[self.log_odds.argmax(axis=1)]
        return strongest


def read_motifs() -> tuple[MotifModel, ...]:
    """Read the planted matrices, then the distractors, from pyjaspar's JASPAR."""
    from pyjaspar import jaspardb

    database = jaspardb(release=RELEASE)
    models = []
    for motif_id in (*PLANTED, *DISTRACTORS):
        found = database.fetch_motif_by_id(motif_id)
        models.append(
            MotifModel(
                motif_id,
                found.name,
                (found.tf_family or found.tf_class or [""])[0],
                np.array([found.counts[base] for base in "ACGT"], dtype=np.float64).T,
                PLANTED.get(motif_id, ("", 0))[1],
            )
        )
    return tuple(models)
