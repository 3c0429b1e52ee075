"""Interval layers against looking at every interval, and placing values among alleles."""

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_registry.genome import Genome
from tests.organisms import LENGTHS, base, snv
from tests.variant_effect.test_alleles import read
from variant_effect.layers import MAX_LISTED, IntervalLayer, allele_spans, real, spread

CONTIGS = list(LENGTHS)


def layer(rows) -> IntervalLayer:
    contig, start, end, label = zip(*rows, strict=True)
    return IntervalLayer.of(
        np.array(contig), np.array(start), np.array(end), list(label)
    )


def test_bases_that_an_allele_touches(genome: Genome) -> None:
    three = "".join(base("chr1", p) for p in (501, 502, 503))
    here = base("chr1", 501)
    insert = "GATTACA" if base("chr1", 502) != "G" and here != "A" else "CTTCTTC"
    alleles = read(
        genome, snv("chr1", 501), ("chr1", 501, three, "".join("ACGT"["CGTA".index(b)] for b in three)),
        ("chr1", 501, here, here + insert),
    )  # fmt: skip
    spans = allele_spans(alleles, np.arange(3))
    assert (spans.start[0], spans.end[0]) == (500, 501)
    assert (spans.start[1], spans.end[1]) == (500, 503)
    # An insertion has no base of its own; it touches those on both sides.
    at = alleles.start[2]
    assert alleles.end[2] == at
    assert (spans.start[2], spans.end[2]) == (at - 1, at + 1)


def test_labels_are_distinct_sorted_and_at_most_twenty(genome: Genome) -> None:
    alleles = read(genome, snv("chr1", 501), snv("chr1", 900), snv("chr2", 501))
    rows = np.arange(3)
    held = layer(
        [(0, 500, 501, "b"), (0, 400, 600, "a"), (0, 450, 550, "b"), (1, 0, 900, "c")]
    )
    listed, count = held.listed(alleles, rows)
    assert listed.to_pylist() == ["a,b", "", "c"]
    assert count.tolist() == [2, 0, 1]
    crowd = layer([(0, 500, 501, f"x{i:02}") for i in range(30)])
    listed, count = crowd.listed(alleles, rows)
    assert listed[0].as_py().split(",") == [f"x{i:02}" for i in range(MAX_LISTED)]
    assert count.tolist() == [30, 0, 0]


def test_an_empty_layer_and_no_alleles(genome: Genome) -> None:
    alleles = read(genome, snv("chr1", 501))
    empty = IntervalLayer.of(np.zeros(0, int), np.zeros(0, int), np.zeros(0, int), [])
    listed, count = empty.listed(alleles, np.array([0]))
    assert (listed.to_pylist(), count.tolist()) == ([""], [0])
    listed, count = layer([(0, 1, 2, "a")]).listed(alleles, np.zeros(0, np.int64))
    assert (len(listed), len(count)) == (0, 0)


INTERVALS = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 800), st.integers(1, 300), st.sampled_from("abcd")
    ),
    min_size=1, max_size=30,
)  # fmt: skip
PLACES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 890)), min_size=1, max_size=10
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(INTERVALS, PLACES)
def test_hits_against_looking_at_all(genome: Genome, intervals, places) -> None:
    rows = [(c, a, a + n, label) for c, a, n, label in intervals]
    alleles = read(genome, *[snv(CONTIGS[c], p) for c, p in places])
    listed, count = layer(rows).listed(alleles, np.arange(len(places)))
    for i, (c, p) in enumerate(places):
        labels = sorted({label for k, a, b, label in rows if k == c and a < p <= b})
        assert listed[i].as_py() == ",".join(labels)
        assert count[i] == len(labels)


def test_values_are_placed_among_the_alleles() -> None:
    rows = np.array([3, 1])
    assert spread(pa.array(["x", "y"]), rows, 5).to_pylist() == [
        None,
        "y",
        None,
        "x",
        None,
    ]
    assert spread(pa.array([7, 8]), rows, 5, missing=0).to_pylist() == [0, 8, 0, 7, 0]
    placed = real(np.array([0.5, np.nan]), rows, 4)
    assert placed.type == pa.float32()
    assert placed.to_pylist() == [None, None, None, 0.5]
