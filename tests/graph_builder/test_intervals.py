"""Overlaps against comparing every pair."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graph_builder.intervals import (
    Spans,
    are_inside,
    merge_overlapping,
    overlap_pairs,
    sum_groups,
)

INTERVALS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 30)), max_size=12
)


def make_spans(given_intervals):
    rows = np.array(given_intervals, np.int64).reshape(-1, 3)
    return Spans(rows[:, 0], rows[:, 1], rows[:, 1] + rows[:, 2])


def is_overlapping(a, i, b, j):
    return (
        a.contig[i] == b.contig[j] and a.start[i] < b.end[j] and b.start[j] < a.end[i]
    )


@given(INTERVALS, INTERVALS)
def test_pairs_are_those_found_by_comparing_all(first, second):
    a, b = make_spans(first), make_spans(second)
    expected = [
        (i, j)
        for i in range(len(a))
        for j in range(len(b))
        if is_overlapping(a, i, b, j)
    ]
    found_a, found_b = overlap_pairs(a, b)
    assert list(zip(found_a.tolist(), found_b.tolist(), strict=True)) == expected


@given(INTERVALS)
def test_merged_intervals_cover_the_same_bases_and_stand_apart(given_intervals):
    spans = make_spans(given_intervals)
    merged, into = merge_overlapping(spans)

    def bases(some):
        return {
            (c, x)
            for c, s, e in zip(some.contig, some.start, some.end, strict=True)
            for x in range(s, e)
        }

    assert bases(merged) == bases(spans)
    for i in range(len(merged) - 1):
        apart = merged.contig[i] != merged.contig[i + 1]
        assert apart or merged.end[i] < merged.start[i + 1]
    for i, k in enumerate(into):
        assert merged.start[k] <= spans.start[i]
        assert spans.end[i] <= merged.end[k]


@given(INTERVALS, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 70))))
def test_a_position_is_inside_when_any_interval_holds_it(given_intervals, positions):
    spans = make_spans(given_intervals)
    where = np.array(positions, np.int64).reshape(-1, 2)
    found = are_inside(where[:, 0], where[:, 1], spans)
    for (contig, position), inside in zip(positions, found, strict=True):
        held = (
            (spans.contig == contig)
            & (spans.start <= position)
            & (position < spans.end)
        )
        assert inside == held.any()


def test_sums_of_groups_do_not_depend_on_order():
    rng = np.random.default_rng(3)
    label = rng.integers(0, 5, 4000)
    value = rng.lognormal(0, 8, 4000)
    expected = sum_groups(label, value, 5)
    for _ in range(5):
        order = rng.permutation(4000)
        np.testing.assert_array_equal(
            sum_groups(label[order], value[order], 5), expected
        )
