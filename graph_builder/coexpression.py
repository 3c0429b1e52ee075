"""Co-expressed gene pairs of one expression matrix."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BLOCK_VALUES = 8_000_000
"""Correlations held at a time."""
_DECIMALS = 9
"""Correlations are compared after rounding, so that the order in which a processor adds
up does not decide between equal ones."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Gene pairs as columns of one length.

    Parameters
    ----------
    first, second
        Rows of the matrix, ``first < second``, sorted.
    correlation
        -1 to 1.
    mutual_rank
        Geometric mean of the two genes' ranks of each other, 1 is best.
    n_constant
        Rows without variation, which cannot correlate.
    """

    first: Ints
    second: Ints
    correlation: Floats
    mutual_rank: Floats
    n_constant: int


def correlate_genes(
    matrix: Floats,
    *,
    method: Literal["pearson", "spearman"],
    min_abs_r: float,
    top_k: int,
) -> Pairs:
    """Return pairs of genes that stand among each other's ``top_k`` best correlated.

    Mutual rank after Obayashi & Kinoshita 2009, DNA Research 16:249. Ranks go by the
    absolute correlation; among equals the earlier row is first.

    Parameters
    ----------
    matrix
        Shape (genes, samples), log scale, no missing values.
    min_abs_r
        Smallest absolute correlation kept.
    """
    values = matrix.astype(np.float64, copy=True)
    if method == "spearman":
        values = rankdata(values, axis=1)
    values -= values.mean(axis=1, keepdims=True)
    norm = np.sqrt(np.einsum("ij,ij->i", values, values))
    scale = np.abs(matrix).max(initial=1.0) * np.sqrt(matrix.shape[1])
    varying = np.flatnonzero(norm > 1e-12 * scale)
    n = varying.size
    n_constant = int(matrix.shape[0] - n)
    if n < 2:
        nothing = np.empty(0, np.int64)
        return Pairs(nothing, nothing, np.empty(0), np.empty(0), n_constant)
    unit = values[varying] / norm[varying, None]

    k = min(top_k, n - 1)
    block = max(1, _BLOCK_VALUES // n)
    owners: list[Ints] = []
    partners: list[Ints] = []
    sizes: list[Floats] = []
    ranks: list[Ints] = []
    for low in range(0, n, block):
        high = min(low + block, n)
        r = np.abs(unit[low:high] @ unit.T)
        r[np.arange(high - low), np.arange(low, high)] = -1.0
        owner, partner, size, rank = _best_of_rows(
            np.round(r, _DECIMALS), k, max(min_abs_r, 0.0)
        )
        owners.append(owner + low)
        partners.append(partner)
        sizes.append(size)
        ranks.append(rank)
    owner, partner = np.concatenate(owners), np.concatenate(partners)
    rank = np.concatenate(ranks)

    forward, backward = owner * n + partner, partner * n + owner
    order = np.argsort(forward)
    at = np.searchsorted(forward[order], backward)
    at = np.minimum(at, forward.size - 1) if forward.size else at
    returned = forward[order][at] == backward if forward.size else np.zeros(0, bool)
    kept = returned & (owner < partner)
    back_rank = rank[order][at[kept]] if forward.size else rank[:0]
    first, second = owner[kept], partner[kept]
    correlation = np.clip(np.einsum("ij,ij->i", unit[first], unit[second]), -1.0, 1.0)
    mutual = np.sqrt(rank[kept] * back_rank.astype(np.float64))
    sorting = np.lexsort((second, first))
    return Pairs(
        varying[first][sorting],
        varying[second][sorting],
        np.round(correlation, _DECIMALS)[sorting],
        mutual[sorting],
        n_constant,
    )


def _best_of_rows(r: Floats, k: int, least: float) -> tuple[Ints, Ints, Floats, Ints]:
    """Return row, column, value and rank (from 1) of the k largest of each row."""
    n = r.shape[1]
    row, column = np.nonzero(r >= least)
    if row.size > 10 * k * r.shape[0] and k < n:
        # many pass: find each row's k-th largest first, and keep all equal to it,
        # which are settled by their place below
        limit = np.maximum(np.partition(r, n - k, axis=1)[:, n - k], least)
        row, column = np.nonzero(r >= limit[:, None])
    value = r[row, column]
    order = np.lexsort((column, -value, row))
    row, column, value = row[order], column[order], value[order]
    starts = np.searchsorted(row, np.arange(r.shape[0]))
    rank = np.arange(row.size) - starts[row] + 1
    kept = rank <= k
    return (
        row[kept].astype(np.int64),
        column[kept].astype(np.int64),
        value[kept],
        rank[kept].astype(np.int64),
    )
