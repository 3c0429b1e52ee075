"""Regions: by hand, and written out and read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_registry.coordinates import (
    Region,
    one_based_from_start,
    parse_region,
    start_from_one_based,
)
from data_registry.errors import InputError


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("chrI", Region("chrI")),
        ("chrI:1-10", Region("chrI", 0, 10)),
        ("chrI:10", Region("chrI", 9, 10)),
        ("chrI:10-10", Region("chrI", 9, 10)),
        ("chrI:11-", Region("chrI", 10, None)),
        ("5:1,000-2,000", Region("5", 999, 2000)),
        ("HLA:A:5-6", Region("HLA:A", 4, 6)),
    ],
)
def test_regions_by_hand(text, region):
    assert parse_region(text) == region


def test_a_known_name_with_a_colon_is_taken_whole():
    assert parse_region("HLA*01:01", contigs=frozenset({"HLA*01:01"})) == Region(
        "HLA*01:01"
    )


@pytest.mark.parametrize(
    "text",
    ["", "  ", "chrI:", "chrI:0-5", "chrI:9-8", "chrI:-5", "chrI:a-b", "chrI:5-x",
     ":1-5", "chrI:,-5", "chrI:1-,", "chrI:1.5-3"],
)  # fmt: skip
def test_what_is_no_region_is_refused_by_name(text):
    with pytest.raises(InputError) as caught:
        parse_region(text)
    assert repr(text) in str(caught.value)


@given(
    contig=st.from_regex(r"[A-Za-z0-9_.*|]+", fullmatch=True),
    start=st.integers(0, 10**10),
    length=st.one_of(st.none(), st.integers(1, 10**9)),
)
def test_a_region_survives_being_written(contig, start, length):
    region = Region(contig, start, None if length is None else start + length)
    assert parse_region(str(region)) == region


@given(st.integers())
def test_the_two_conversions_undo_each_other(position):
    assert one_based_from_start(start_from_one_based(position)) == position


def test_regions_sort_by_contig_and_place():
    regions = [Region("b", 1, 2), Region("a", 5, 9), Region("a", 1, 3)]
    assert sorted(regions)[0] == Region("a", 1, 3)
