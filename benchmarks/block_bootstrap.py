"""Means and AUROCs with intervals from resampled blocks of a chromosome.

Neighbouring sites are alike, so sites are no independent draws: what is resampled are
whole blocks (Künsch 1989, Ann. Stat. 17:1217). All figures of one ``Blocks`` share their
draws; a difference of two of them is therefore a paired one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_BINS = 4_000

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and what it is in each resample, ``(draws,)``."""

    value: float
    draws: Reals

    def __sub__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.value - other.value, self.draws - other.draws)

    def describe(self) -> dict[str, Any]:
        """Return the value and its 95 % percentile interval, for JSON."""
        kept = self.draws[np.isfinite(self.draws)]
        if not len(kept) or not np.isfinite(self.value):
            return {"value": None, "low": None, "high": None}
        low, high = np.quantile(kept, [0.025, 0.975])
        return {"value": _short(self.value), "low": _short(low), "high": _short(high)}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


@dataclass(frozen=True, slots=True)
class Blocks:
    """How often each block is drawn.

    Parameters
    ----------
    names
        Sorted, distinct numbers of all blocks, ``(blocks,)``.
    times
        Row 0 takes every block once; the others are resamples, ``(1 + draws, blocks)``.
    """

    names: NDArray[np.int64]
    times: Reals

    @classmethod
    def of(
        cls, block: NDArray[np.int64], draws: int, rng: np.random.Generator
    ) -> "Blocks":
        """Draw as many blocks as there are, with replacement, ``draws`` times."""
        names = np.unique(block)
        n = len(names)
        times = rng.multinomial(n, np.full(n, 1 / n), size=draws)
        return cls(names, np.concatenate([np.ones((1, n)), times]).astype(np.float64))

    def index(self, block: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return each row's block as an index into ``names``."""
        return np.searchsorted(self.names, block)

    def mean(self, values: NDArray[np.floating], index: NDArray[np.int64]) -> Estimate:
        """Return the mean of values that are not NaN.

        Parameters
        ----------
        values, index
            ``(rows,)``; ``index`` as the method of that name returns it.
        """
        known = np.isfinite(values)
        n = len(self.names)
        sums = np.bincount(index[known], values[known], n)
        numbers = np.bincount(index[known], minlength=n)
        with np.errstate(invalid="ignore"):
            found = (self.times @ sums) / (self.times @ numbers)
        return Estimate(float(found[0]), found[1:])

    def auroc(
        self,
        scores: NDArray[np.floating],
        positive: NDArray[np.bool_],
        index: NDArray[np.int64],
        weights: NDArray[np.floating] | None = None,
    ) -> Estimate:
        """Return P(a positive scores higher than another row), ties counted half.

        Scores are taken in ``N_BINS`` quantile bins, within which they count as tied;
        with fewer distinct values the figure is exact.

        Parameters
        ----------
        weights
            Of the rows, ``(rows,)``; by default 1.

        Returns
        -------
        Estimate
            NaN where there are no positives or no others.
        """
        if not len(scores):
            return Estimate(np.nan, np.full(len(self.times) - 1, np.nan))
        if weights is None:
            weights = np.ones(len(scores))
        bins = np.unique(np.quantile(scores, np.linspace(0, 1, N_BINS)))
        bin_of = np.searchsorted(bins, scores)
        n, size = len(self.names), len(bins) + 1
        cell = index * size + bin_of
        pos, neg = (
            self.times
            @ np.bincount(cell[rows], weights[rows], n * size).reshape(n, size)
            for rows in (positive, ~positive)
        )
        below = np.cumsum(neg, axis=1) - neg / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (pos * below).sum(axis=1) / (pos.sum(axis=1) * neg.sum(axis=1))
        return Estimate(float(found[0]), found[1:])


def matching_weights(
    positive: NDArray[np.bool_], stratum: NDArray[np.integer]
) -> Reals:
    """Weigh the others so that their strata are as frequent as the positives'.

    Positives weigh 1; where a stratum has no others, its positives weigh 0 (they cannot be
    compared), and others without positives weigh 0.
    """
    _, stratum = np.unique(stratum, return_inverse=True)
    n = int(stratum.max(initial=-1)) + 1
    n_positive = np.bincount(stratum[positive], minlength=n)
    n_other = np.bincount(stratum[~positive], minlength=n)
    share = np.divide(n_positive, n_other, out=np.zeros(n), where=n_other > 0)
    weights: Reals = np.where(positive, n_other[stratum] > 0, share[stratum])
    return weights.astype(np.float64)


def compare(
    estimates: Mapping[str, Estimate], pairs: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Describe estimates, and the paired difference of each pair."""
    found: dict[str, Any] = {name: each.describe() for name, each in estimates.items()}
    found["differences"] = {
        f"{one} - {other}": (estimates[one] - estimates[other]).describe()
        for one, other in pairs
        if one in estimates and other in estimates
    }
    return found
