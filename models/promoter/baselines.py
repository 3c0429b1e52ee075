"""The floor: ridge regression on GC content or on counts of k-mers."""

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from encoders.nucleotides import N_BASES
from models.promoter.data import Promoters
from models.promoter.splits import Split, kmer_numbers
from models.promoter.standardisation import Standardisation

PENALTIES = tuple(10.0**power for power in range(-1, 7))
_CHUNK = 4_096


def gc_content(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the fraction of known bases that are G or C, ``(n, 1)``; 0.5 of none."""
    known = (codes < N_BASES).sum(axis=1)
    strong = ((codes == 1) | (codes == 2)).sum(axis=1)
    fraction = np.where(known > 0, strong / np.maximum(known, 1), 0.5)
    return fraction[:, None].astype(np.float32)


def kmer_counts(codes: NDArray[np.uint8], k: int) -> NDArray[np.float32]:
    """Return how often each k-mer occurs on the given strand, ``(n, 4**k)``."""
    counts = np.zeros((len(codes), N_BASES**k), dtype=np.float32)
    for start in range(0, len(codes), _CHUNK):
        numbers = kmer_numbers(codes[start : start + _CHUNK], k)
        row, place = np.nonzero(numbers >= 0)
        np.add.at(counts, (row + start, numbers[row, place]), 1.0)
    return counts


def solve_ridge(
    features: NDArray[np.floating],
    target: NDArray[np.floating],
    penalties: tuple[float, ...],
) -> NDArray[np.float64]:
    """Return the weights for each penalty, ``(features, penalties)``.

    ``w = (X'X + aI)^-1 X'y``, or ``X'(XX' + aI)^-1 y`` where rows are fewer; no intercept.
    """
    n, width = features.shape
    wide = n < width
    gram = (features @ features.T if wide else features.T @ features).astype(np.float64)
    right = (target if wide else features.T @ target).astype(np.float64)
    weights = np.empty((width, len(penalties)))
    diagonal = np.arange(len(gram))
    for i, penalty in enumerate(penalties):
        shifted = gram.copy()
        shifted[diagonal, diagonal] += penalty
        factor = scipy.linalg.cho_factor(shifted, lower=True, overwrite_a=True)
        solved = scipy.linalg.cho_solve(factor, right)
        weights[:, i] = features.T @ solved if wide else solved
    return weights


@dataclass(slots=True)
class KmerRidge:
    """Ridge regression of each condition on standardised counts of k-mers.

    Parameters
    ----------
    k
        Length of the k-mers in bp; 0 is GC content alone.

    The penalty of each condition is the one of ``PENALTIES`` with the least squared error
    on the validation rows. Nothing is drawn, so the seed changes nothing.
    """

    k: int
    penalty: dict[str, float] = field(default_factory=dict)
    _centre: NDArray[np.float32] = field(
        default_factory=lambda: np.empty(0, np.float32)
    )
    _scale: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    _weights: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    _intercept: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    _standardisation: Standardisation | None = None

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.k}-mer ridge" if self.k else "GC ridge"

    def features(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what is regressed on, before standardising."""
        return kmer_counts(codes, self.k) if self.k else gc_content(codes)

    def fit(self, promoters: Promoters, split: Split, *, seed: int = 0) -> None:  # noqa: ARG002
        """Learn from ``split.train``; choose the penalty on ``split.validation``."""
        train, check = promoters.take(split.train), promoters.take(split.validation)
        features = self.features(train.codes)
        self._centre, self._scale = features.mean(axis=0), features.std(axis=0)
        self._scale[self._scale == 0] = 1.0
        features = (features - self._centre) / self._scale
        check_features = (self.features(check.codes) - self._centre) / self._scale
        standard = Standardisation.fit(train.values, train.conditions)
        self._standardisation = standard
        z, check_z = standard.to_z(train.values), standard.to_z(check.values)
        self._weights = np.zeros((features.shape[1], len(train.conditions)))
        self._intercept = np.zeros(len(train.conditions))
        for i, condition in enumerate(train.conditions):
            known, checked = ~np.isnan(z[:, i]), ~np.isnan(check_z[:, i])
            # An intercept: rows that lack the condition shift the mean of the features.
            middle, level = features[known].mean(axis=0), z[known, i].mean()
            weights = solve_ridge(
                features[known] - middle, z[known, i] - level, PENALTIES
            )
            fitted = (check_features[checked] - middle) @ weights + level
            error = fitted - check_z[checked, i][:, None]
            best = int(np.argmin((error**2).mean(axis=0))) if checked.any() else -1
            self._weights[:, i] = weights[:, best]
            self._intercept[i] = level - middle @ weights[:, best]
            self.penalty[condition] = PENALTIES[best]

    def predict(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return ``(n, conditions)`` on the measured scale."""
        assert self._standardisation is not None, "fit comes first"  # noqa: S101
        out = np.empty((len(codes), self._weights.shape[1]))
        for start in range(0, len(codes), _CHUNK):
            features = self.features(codes[start : start + _CHUNK])
            out[start : start + _CHUNK] = (
                (features - self._centre) / self._scale
            ) @ self._weights + self._intercept
        return self._standardisation.from_z(out)
