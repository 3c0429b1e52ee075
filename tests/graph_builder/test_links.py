"""Activity-by-contact worked out by hand."""

import numpy as np
import pytest

from graph_builder.intervals import Spans
from graph_builder.links import EVIDENCE, link_elements
from tests.graph_builder.test_contacts import build_contact_map, make_rows

NAMES = np.array(["c"], object)


def spans(*intervals):
    start, end = np.array(intervals, np.int64).T
    return Spans(np.zeros(start.size, np.int64), start, end)


def link(elements, activity=None, contacts=None, **choice):
    chosen = {
        "window_bp": 3500, "min_score": 0.0, "decay_exponent": 1.0,
        "decay_floor_bp": 100, **choice,
    }  # fmt: skip
    return link_elements(
        spans((2500, 2501)), elements, activity, contacts, NAMES, **chosen
    )


def test_decay_with_distance_is_a_share():
    # gaps: 0 (inside), 400 downstream, 800 upstream (2500 - 1700 + 1 = 801 from the
    # last base 1699: 2500 - 1699 = 801); contacts 1, 1/4, 1/8.01
    found = link(spans((2400, 2600), (2900, 3000), (1600, 1700)))
    assert found.distance_bp.tolist() == [0, 400, 801]
    contact = np.array([1, 100 / 400, 100 / 801])
    np.testing.assert_allclose(found.contact, contact)
    np.testing.assert_allclose(found.score, contact / contact.sum())
    assert {EVIDENCE[one] for one in found.evidence} == {"distance"}


def test_activity_weighs_the_share():
    found = link(spans((2400, 2600), (2900, 3000)), np.array([1.0, 12.0]))
    np.testing.assert_allclose(found.score, [1 / 4, 3 / 4])
    assert {EVIDENCE[one] for one in found.evidence} == {"activity_by_distance"}


def test_hi_c_takes_the_place_of_distance():
    # bins 1-5 seen; distance 1 holds 4 + 4 over four pairs, mean 2; distance 3 holds
    # 6 over two pairs, mean 3
    contacts = build_contact_map(
        make_rows([("c", 1, "c", 2, 4), ("c", 3, "c", 4, 4), ("c", 2, "c", 5, 6)]), None
    )
    elements = spans((1400, 1600), (2450, 2470), (5400, 5600))
    found = link(elements, np.array([1.0, 0.0, 2.0]), contacts)
    # relative contact 4 / 2 and 6 / 2, plus the expected at 3 bins, (6 / 2) / 2 = 1.5
    np.testing.assert_allclose(found.contact, [2 + 1.5, 0 + 1.5, 3 + 1.5])
    np.testing.assert_allclose(found.score, np.array([3.5, 0, 9.0]) / 12.5)
    np.testing.assert_allclose(found.contact_oe, [2.0, 0.0, 2.0])
    assert [EVIDENCE[one] for one in found.evidence] == [
        "activity_by_contact",
        "activity_by_expected_contact",
        "activity_by_contact",
    ]


def test_shares_of_a_gene_add_up_to_one_and_left_out_ones_are_counted():
    rng = np.random.default_rng(2)
    start = rng.integers(0, 5000, 200)
    elements = spans(*zip(start, start + 50, strict=True))
    everything = link(elements)
    assert everything.score.sum() == pytest.approx(1.0)
    strict = link(elements, min_score=0.01)
    assert strict.score.size + strict.n_below == everything.score.size
