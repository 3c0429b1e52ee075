"""Overlaps of many intervals at once, on sorted arrays.

All intervals are 0-based half-open and hold at least one base.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Intervals as columns of one length.

    Parameters
    ----------
    contig
        Number of the contig; the same number means the same contig in any two ``Spans``
        that meet.
    start, end
        In bp, 0-based half-open.
    """

    contig: Ints
    start: Ints
    end: Ints

    def __len__(self) -> int:
        return int(self.start.size)


def overlap_pairs(a: Spans, b: Spans) -> tuple[Ints, Ints]:
    """Return all pairs of overlapping intervals.

    Two intervals overlap when the one that starts later starts inside the other: the
    pairs where ``b`` starts later or together, and those where ``a`` does, are each one
    range in sorted starts. Time and memory grow with the intervals and the pairs found,
    however long single intervals are.

    Returns
    -------
    tuple
        Indices into ``a`` and into ``b``, sorted by ``a``, then ``b``.
    """
    if not len(a) or not len(b):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    reach = int(max(a.end.max(), b.end.max())) + 1
    a_start, a_end = a.contig * reach + a.start, a.contig * reach + a.end
    b_start, b_end = b.contig * reach + b.start, b.contig * reach + b.end
    first_a, later_b = _starts_within(a_start, a_end, b_start)
    first_b, later_a = _starts_within(b_start + 1, b_end, a_start)
    in_a = np.concatenate([first_a, later_a])
    in_b = np.concatenate([later_b, first_b])
    order = np.lexsort((in_b, in_a))
    return in_a[order], in_b[order]


def _starts_within(low: Ints, high: Ints, starts: Ints) -> tuple[Ints, Ints]:
    """Return pairs (i, j) with ``low[i] <= starts[j] < high[i]``."""
    order = np.argsort(starts, kind="stable")
    ordered = starts[order]
    first = np.searchsorted(ordered, low, side="left")
    last = np.maximum(np.searchsorted(ordered, high, side="left"), first)
    owner, at = expand_ranges(first, last)
    return owner, order[at]


def expand_ranges(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Return every integer of the ranges ``[first, last)`` with its range's index."""
    lengths = last - first
    owner = np.repeat(np.arange(lengths.size, dtype=np.int64), lengths)
    before = np.cumsum(lengths) - lengths
    at = np.arange(int(lengths.sum()), dtype=np.int64) - before[owner] + first[owner]
    return owner, at


def merge_overlapping(spans: Spans) -> tuple[Spans, Ints]:
    """Merge intervals that overlap or touch.

    Returns
    -------
    tuple
        The merged intervals, sorted by contig and start, and for each given interval
        the index of the one it went into.
    """
    n = len(spans)
    if not n:
        return spans, np.empty(0, np.int64)
    reach = int(spans.end.max()) + 1
    start = spans.contig * (reach + 1) + spans.start
    end = spans.contig * (reach + 1) + spans.end
    order = np.lexsort((end, start))
    start, end = start[order], end[order]
    furthest = np.maximum.accumulate(end)
    opens = np.ones(n, bool)
    opens[1:] = start[1:] > furthest[:-1]
    label = np.cumsum(opens) - 1
    heads = np.flatnonzero(opens)
    tails = np.append(heads[1:], n) - 1
    contig = spans.contig[order][heads]
    merged = Spans(
        contig,
        start[heads] - contig * (reach + 1),
        furthest[tails] - contig * (reach + 1),
    )
    into = np.empty(n, np.int64)
    into[order] = label
    return merged, into


def are_inside(contig: Ints, position: Ints, spans: Spans) -> NDArray[np.bool_]:
    """Tell for each position whether any interval holds it."""
    merged, _ = merge_overlapping(spans)
    if not len(merged) or not position.size:
        return np.zeros(position.size, bool)
    reach = int(max(merged.end.max(), position.max())) + 1
    keys = merged.contig * reach + merged.start
    at = np.searchsorted(keys, contig * reach + position, side="right") - 1
    safe = np.maximum(at, 0)
    held: NDArray[np.bool_] = (
        (at >= 0) & (merged.contig[safe] == contig) & (position < merged.end[safe])
    )
    return held


def sum_groups(label: Ints, value: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the sum of each group's values, the same whatever their order.

    Values are added smallest first, so the rounding does not depend on the order in
    which they came. Whole numbers and single values need no sorting.
    """
    counts = np.bincount(label, minlength=n)
    is_shared = counts[label] > 1
    shared = value[is_shared]
    if np.array_equal(shared, np.rint(shared)) and np.abs(shared).sum() < 2**53:
        order: Ints | slice = slice(None)
    else:
        order = np.concatenate(
            [
                np.flatnonzero(~is_shared),
                np.flatnonzero(is_shared)[np.argsort(shared, kind="stable")],
            ]
        )
    return np.bincount(label[order], weights=value[order], minlength=n).astype(
        np.float64
    )
