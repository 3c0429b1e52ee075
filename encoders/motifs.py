"""A vector of fixed length for a motif of any width, the same for both strands.

Column ``w`` says how well the motif likes the 5-mer ``w``: with ``s(w)`` the best log2
odds of the 5-mer against an even background, over all places along the motif and both
strands, the entry is ``2 ** (s(w) / 2)``, the geometric mean of the odds and 1. The vector
is centred and brought to unit length, so the dot product of two motifs is a correlation of
their affinities (the idea of Xu & Su 2010, PLoS ONE 5:e8797, with maxima for sums).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_registry.errors import InputError
from encoders.cache import digest_of
from encoders.nucleotides import N_BASES

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]
"""Probabilities, ``(width, 4)``, in the order A, C, G, T."""

K = 5
PSEUDOCOUNT = 0.05
"""Added to each probability: one motif's certainty is another's small sample."""
VERSION = "1"


def _words() -> NDArray[np.int64]:
    """Return one of each pair of 5-mer and reverse complement, ``(512, 5)``."""
    powers = N_BASES ** np.arange(K)[::-1]
    words = np.arange(N_BASES**K)[:, None] // powers % N_BASES
    other = ((N_BASES - 1 - words)[:, ::-1] * powers).sum(axis=1)
    kept: NDArray[np.int64] = words[np.arange(len(words)) <= other]
    return kept


@dataclass(frozen=True, slots=True)
class MotifEncoder:
    """Affinities for 5-mers; nothing is fitted."""

    name: str = "motif-5mer-affinity"

    @property
    def width(self) -> int:
        """Columns: pairs of 5-mers that are each other's reverse complement."""
        return int(N_BASES**K) // 2

    @property
    def digest(self) -> str:
        """Of the settings."""
        return digest_of("motif", VERSION, K, PSEUDOCOUNT)

    def embed(self, motifs: Sequence[Matrix]) -> Floats:
        """Return one unit vector a motif, ``(motifs, width)``.

        A motif without any preference has the vector 0.

        Raises
        ------
        InputError
            A matrix is not one of probabilities, ``(width, 4)``.
        """
        words = _words()
        out = np.zeros((len(motifs), self.width))
        for row, motif in enumerate(motifs):
            if (
                motif.ndim != 2
                or motif.shape[1] != N_BASES
                or not len(motif)
                or not np.allclose(motif.sum(axis=1), 1, atol=0.01)
            ):
                raise InputError(
                    f"motif {row} has shape {motif.shape}; give probabilities, "
                    "(width, 4), each row adding up to 1"
                )
            affinity = 2 ** (_best_scores(motif, words) / 2)
            affinity -= affinity.mean()
            length = np.linalg.norm(affinity)
            if length > 1e-9:
                out[row] = affinity / length
        return out.astype(np.float32)


def _best_scores(motif: Matrix, words: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the best log2 odds of each word, ``(words,)``, at least 0.

    A word may hang over an end, where all bases are as good: so columns without
    preference at the ends of a motif change nothing.
    """
    smoothed = (motif + PSEUDOCOUNT) / (1 + N_BASES * PSEUDOCOUNT)
    odds = np.log2(smoothed * N_BASES)
    best = np.zeros(len(words))
    for strand in (odds, odds[::-1, ::-1]):
        padded = np.pad(strand, ((K - 1, K - 1), (0, 0)))
        for start in range(len(padded) - K + 1):
            scores = padded[start + np.arange(K), words].sum(axis=1)
            best = np.maximum(best, scores)
    return best


def pooled(vectors: Floats) -> Floats:
    """Return the mean direction of several motifs of one factor, ``(width,)``."""
    mean = vectors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    direction: Floats = (mean / length if length > 0 else mean).astype(np.float32)
    return direction
