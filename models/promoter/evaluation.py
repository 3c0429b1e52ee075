"""Figures of a prediction, with intervals that respect similar sequences."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from data_registry.errors import InputError


@dataclass(frozen=True, slots=True)
class Scores:
    """How predictions agree with measurements.

    Parameters
    ----------
    pearson_r2
        Squared correlation, with the sign of r: what the promoter literature calls R².
        A constant shift or scale costs nothing.
    spearman
        Correlation of ranks.
    r2
        ``1 - SS(residual) / SS(total)``: shift and scale count; below 0 is worse than
        the mean.
    """

    pearson_r2: float
    spearman: float
    r2: float


def score(predicted: NDArray[np.floating], measured: NDArray[np.floating]) -> Scores:
    """Score one condition.

    Raises
    ------
    InputError
        Fewer than three rows, or a NaN among them.
    """
    if len(measured) < 3 or np.isnan(predicted).any() or np.isnan(measured).any():
        raise InputError(
            f"{len(measured)} rows, NaN among them or too few: cannot score"
        )
    residual = ((measured - predicted) ** 2).sum()
    total = ((measured - measured.mean()) ** 2).sum()
    r = _correlation(predicted, measured)
    return Scores(
        round(r * abs(r), 6),
        round(_correlation(rankdata(predicted), rankdata(measured)), 6),
        round(float(1 - residual / total), 6),
    )


def _correlation(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Squared correlations of each model, ``(n,)``, in the same resamples."""

    r2: Mapping[str, NDArray[np.float64]]

    def interval(self, model: str) -> tuple[float, float]:
        """Return the 2.5 and 97.5 percentiles."""
        return _interval(self.r2[model])

    def difference(
        self, model: str, other: str
    ) -> dict[str, float | tuple[float, float]]:
        """Return how much better a model is than another, paired by resample."""
        gain = self.r2[model] - self.r2[other]
        return {"mean": round(float(gain.mean()), 4), "interval": _interval(gain)}


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def cluster_bootstrap(
    predicted: Mapping[str, NDArray[np.floating]],
    measured: NDArray[np.floating],
    clusters: NDArray[np.intp],
    *,
    n: int,
    rng: np.random.Generator,
) -> Bootstrap:
    """Resample whole clusters with replacement and score every model on each resample.

    Parameters
    ----------
    predicted
        ``(rows,)`` by model.
    clusters
        ``(rows,)``: similar sequences are no independent evidence.
    """
    _, number = np.unique(clusters, return_inverse=True)
    n_clusters = int(number.max()) + 1
    found = {name: np.empty(n) for name in predicted}
    y = measured - measured.mean()
    xs = {name: x - x.mean() for name, x in predicted.items()}
    for i in range(n):
        drawn = np.bincount(
            rng.integers(n_clusters, size=n_clusters), minlength=n_clusters
        )
        weight = drawn[number] / drawn[number].sum()
        mean_y = weight @ y
        var_y = weight @ (y * y) - mean_y**2
        for name, x in xs.items():
            mean_x = weight @ x
            covariance = weight @ (x * y) - mean_x * mean_y
            variance = (weight @ (x * x) - mean_x**2) * var_y
            r = covariance / np.sqrt(variance) if variance > 0 else 0.0
            found[name][i] = r * abs(r)
    return Bootstrap(found)
