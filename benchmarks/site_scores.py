"""Accuracy, precision, recall, F1, Matthews' correlation, AUROC and AUPRC of yes-or-no heads.

Intervals are from resampled blocks of a chromosome (``benchmarks/block_bootstrap.py``).
All figures are ratios of sums over blocks, so one resample is one weighing of the blocks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, matthews_corrcoef

from benchmarks.block_bootstrap import N_BINS, Blocks, Estimate

Reals = NDArray[np.float64]
Marks = NDArray[np.bool_]
FIGURES = "accuracy", "precision", "recall", "f1", "mcc", "auroc", "auprc"


def best_threshold(truth: Marks, scores: Reals) -> float:
    """Return the threshold with the best Matthews' correlation, ``score >= threshold``.

    Of equal ones the highest; infinity where nothing is positive or everything is.
    """
    order = np.argsort(-scores, kind="stable")
    told = np.arange(1, len(scores) + 1)
    hit = np.cumsum(truth[order])
    n, positive = len(truth), int(truth.sum())
    if positive in (0, n):
        return np.inf
    ranked = scores[order]
    last = np.append(ranked[1:] != ranked[:-1], True)  # of tied scores
    with np.errstate(invalid="ignore", divide="ignore"):
        mcc = (hit * n - told * positive) / np.sqrt(
            told * (n - told) * float(positive) * (n - positive)
        )
    mcc[~last | ~np.isfinite(mcc)] = -np.inf
    best = int(np.argmax(mcc))
    return float(ranked[best]) if mcc[best] > 0 else np.inf


def average_precision(truth: Marks, scores: Reals) -> float:
    """Return the mean over heads with a positive, ``truth`` and ``scores`` ``(n, heads)``."""
    there = truth.any(axis=0)
    each = [
        average_precision_score(truth[:, k], scores[:, k])
        for k in np.flatnonzero(there)
    ]
    return float(np.mean(each)) if each else float("nan")


def figures(
    blocks: Blocks, index: NDArray[np.int64], truth: Marks, scores: Reals, told: Marks
) -> dict[str, Estimate]:
    """Return all ``FIGURES`` of one head.

    Parameters
    ----------
    truth, scores, told
        ``(n,)``; ``told`` is what the thresholds say.

    Returns
    -------
    dict
        Precision is 0 where nothing is told, Matthews' correlation where a margin is
        empty; recall, AUROC and AUPRC are NaN without a positive.
    """
    n = len(blocks.names)

    def count(rows: Marks) -> Reals:
        found: Reals = blocks.times @ np.bincount(index[rows], minlength=n)
        return found

    hit, false = count(truth & told), count(~truth & told)
    missed, rest = count(truth & ~told), count(~truth & ~told)

    def ratio(above: Reals, below: Reals, empty: float = 0.0) -> Reals:
        return np.divide(above, below, out=np.full(len(above), empty), where=below > 0)

    margins = (hit + false) * (hit + missed) * (rest + false) * (rest + missed)
    found = {
        "accuracy": ratio(hit + rest, hit + rest + false + missed),
        "precision": ratio(hit, hit + false),
        "recall": ratio(hit, hit + missed, np.nan),
        "f1": ratio(2 * hit, 2 * hit + false + missed, np.nan),
        "mcc": ratio(hit * rest - false * missed, np.sqrt(margins)),
    }
    given = {k: Estimate(float(v[0]), v[1:]) for k, v in found.items()}
    return given | {
        "auroc": blocks.auroc(scores, truth, index),
        "auprc": precision_area(blocks, index, truth, scores),
    }


def precision_area(
    blocks: Blocks, index: NDArray[np.int64], truth: Marks, scores: Reals
) -> Estimate:
    """Return the average precision, scores taken in ``N_BINS`` quantile bins.

    The sum over thresholds of the rise in recall times the precision there, as
    scikit-learn's; exact with fewer distinct scores than bins.
    """
    bins = np.unique(np.quantile(scores, np.linspace(0, 1, N_BINS)))
    bin_of = len(bins) - np.searchsorted(bins, scores)  # the highest scores first
    n, size = len(blocks.names), len(bins) + 1
    cell = index * size + bin_of
    hit, all_told = (
        blocks.times @ np.bincount(cell[rows], minlength=n * size).reshape(n, size)
        for rows in (truth, np.ones(len(truth), bool))
    )
    below = np.cumsum(all_told, axis=1)
    precision = np.divide(
        np.cumsum(hit, axis=1), below, out=np.zeros_like(below), where=below > 0
    )
    with np.errstate(invalid="ignore"):
        found = (hit * precision).sum(axis=1) / hit.sum(axis=1)
    return Estimate(float(found[0]), found[1:])


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean over heads, in each draw over those that have a figure in it."""
    values = np.array([e.value for e in estimates])
    draws = np.stack([e.draws for e in estimates])
    known = np.isfinite(draws)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, draws, 0).sum(axis=0) / known.sum(axis=0)
    return Estimate(
        float(np.nanmean(values)) if np.isfinite(values).any() else np.nan, mean
    )


def of_classes(
    blocks: Blocks, index: NDArray[np.int64], truth: Marks, scores: Reals
) -> dict[str, Estimate]:
    """Return accuracy and Matthews' correlation of the class with the highest score.

    The correlation for several classes is Gorodkin's (2004, Comput. Biol. Chem. 28:367).
    """
    k = truth.shape[1]
    own, told = truth.argmax(axis=1), scores.argmax(axis=1)
    n = len(blocks.names)
    table = np.bincount(index * k * k + own * k + told, minlength=n * k * k)
    confusion = (blocks.times @ table.reshape(n, -1)).reshape(-1, k, k)
    total = confusion.sum(axis=(1, 2))
    right = np.trace(confusion, axis1=1, axis2=2)
    of_own, of_told = confusion.sum(axis=2), confusion.sum(axis=1)
    above = right * total - (of_own * of_told).sum(axis=1)
    below = np.sqrt(
        (total**2 - (of_own**2).sum(axis=1)) * (total**2 - (of_told**2).sum(axis=1))
    )
    mcc = np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
    share = right / total
    return {
        "class_accuracy": Estimate(float(share[0]), share[1:]),
        "class_mcc": Estimate(float(mcc[0]), mcc[1:]),
    }


def seed_mcc(truth: Marks, told: Marks) -> float:
    """Return Matthews' correlation over heads with a positive, their mean."""
    there = np.flatnonzero(truth.any(axis=0))
    return float(np.mean([matthews_corrcoef(truth[:, k], told[:, k]) for k in there]))
