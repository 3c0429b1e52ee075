"""Likelihood ratios and distances of alleles under a model worked out by hand."""

import numpy as np
import pytest

from encoders.likelihood import (
    CONTEXT_BP,
    NEAR_BP,
    TILE_BP,
    Haplotypes,
    allele_distance,
    allele_ratio,
    both_strands,
    information_content,
    ratios_at,
    substitution_ratios,
    surprisal,
)
from encoders.nucleotides import UNKNOWN, encode, reverse_complement
from tests.neighbour_model import MaskedNeighbourModel, NeighbourModel

RNG = np.random.default_rng(4)
CONTIG = RNG.integers(0, 4, 3_000).astype(np.uint8)
CONTIG[700:705] = UNKNOWN


def test_ratio_worked_out_by_hand() -> None:
    model = NeighbourModel(reach_bp=1)
    codes = encode("ACG")
    # The middle base sees A on its left and G on its right.
    logits = model.left[0, 0] + model.right[0, 2]
    found = substitution_ratios(model, codes, 1, 2)
    np.testing.assert_allclose(found[0], logits - logits[1], atol=1e-6)
    assert found[0, 1] == 0
    # The first base sees C on its right and nothing on its left.
    first = substitution_ratios(model, codes, 0, 1)[0]
    np.testing.assert_allclose(
        first, model.right[0, 1] - model.right[0, 1, 0], atol=1e-6
    )


@pytest.mark.parametrize("tile", [7, 100, 999])
def test_tiling_does_not_matter(tile: int) -> None:
    model = NeighbourModel()
    whole = substitution_ratios(model, CONTIG, 0, len(CONTIG))
    parts = [
        substitution_ratios(model, CONTIG, a, min(a + tile, len(CONTIG)))
        for a in range(0, len(CONTIG), tile)
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert np.isnan(whole[700:705]).all()
    assert not np.isnan(whole[:700]).any()


def test_scattered_positions_do_not_depend_on_each_other() -> None:
    model = NeighbourModel()
    whole = substitution_ratios(model, CONTIG, 0, len(CONTIG))
    places = np.array([0, 2_999, 5, TILE_BP - 1, TILE_BP, 5, 1_500])
    together = ratios_at(model, CONTIG, places)
    np.testing.assert_allclose(together, whole[places], atol=1e-5)
    for i, place in enumerate(places):
        alone = ratios_at(model, CONTIG, np.array([place]))[0]
        assert alone.tolist() == together[i].tolist()
    assert ratios_at(model, CONTIG, np.zeros(0, np.int64)).shape == (0, 4)


def test_a_masked_model_is_asked_once_a_site() -> None:
    plain, masked = NeighbourModel(), MaskedNeighbourModel()
    places = np.array([3, 800, 2_998])
    np.testing.assert_allclose(
        ratios_at(masked, CONTIG, places), ratios_at(plain, CONTIG, places), atol=1e-5
    )
    assert masked.n_sites == 3
    assert masked.n_read == (9 + 11 + 7)
    haplotypes = Haplotypes.of(CONTIG, 900, 2, encode("T"))
    assert allele_ratio(masked, haplotypes) == pytest.approx(
        allele_ratio(plain, haplotypes), abs=1e-4
    )


def slow_ratio(model: NeighbourModel, ref: np.ndarray, alt: np.ndarray) -> float:
    """Whole haplotypes, base by base, over the allele and what lies near it."""
    means, numbers = [], []
    for codes in (ref, alt):
        log_p = model.log_probabilities(codes)
        near = range(CONTEXT_BP - NEAR_BP, len(codes) - CONTEXT_BP + NEAR_BP)
        terms = [log_p[i, codes[i]] for i in near]
        means.append(np.mean(terms))
        numbers.append(len(terms))
    return (means[1] - means[0]) * np.mean(numbers)


def cut(start: int, end: int) -> np.ndarray:
    return CONTIG[start - CONTEXT_BP : end + CONTEXT_BP]


@pytest.mark.parametrize(
    ("start", "n_ref", "alt"),
    [(1_200, 1, "G"), (1_200, 3, "TTA"), (1_200, 0, "GATTACA"), (1_200, 9, "")],
)
def test_alleles_by_a_slow_oracle(start: int, n_ref: int, alt: str) -> None:
    model = NeighbourModel()
    codes = encode(alt)
    found = Haplotypes.of(CONTIG, start, n_ref, codes)
    ref = cut(start, start + n_ref)
    changed = np.concatenate([ref[:CONTEXT_BP], codes, ref[CONTEXT_BP + n_ref :]])
    assert allele_ratio(model, found) == pytest.approx(
        slow_ratio(model, ref, changed), abs=1e-3
    )
    # Swapped, the sign changes; equal, nothing is left.
    back = Haplotypes(found.alt, found.ref, found.n_alt, found.n_ref)
    assert allele_ratio(model, back) == pytest.approx(-allele_ratio(model, found))
    assert allele_distance(model, back) == pytest.approx(allele_distance(model, found))
    same = Haplotypes(found.ref, found.ref, n_ref, n_ref)
    assert allele_ratio(model, same) == 0
    assert allele_distance(model, same) == 0


def test_distance_worked_out_by_hand() -> None:
    model = NeighbourModel(reach_bp=1)
    place = 1_200
    old, new = int(CONTIG[place]), (int(CONTIG[place]) + 1) % 4
    haplotypes = Haplotypes.of(CONTIG, place, 1, np.array([new], np.uint8))
    # One base on either side sees another neighbour, the base itself is another.
    right = np.linalg.norm(model.left[0, new] - model.left[0, old])
    left = np.linalg.norm(model.right[0, new] - model.right[0, old])
    expected = (right + left + np.sqrt(2)) / (2 * NEAR_BP + 1)
    assert allele_distance(model, haplotypes) == pytest.approx(expected, rel=1e-5)
    # Of an insertion only the flanks are aligned.
    inserted = Haplotypes.of(CONTIG, place, 0, np.array([new], np.uint8))
    before, after = int(CONTIG[place - 1]), int(CONTIG[place])
    expected = (
        np.linalg.norm(model.right[0, new] - model.right[0, after])
        + np.linalg.norm(model.left[0, new] - model.left[0, before])
    ) / (2 * NEAR_BP)
    assert allele_distance(model, inserted) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("start", [0, 1, 2_999])
def test_at_the_ends_of_a_contig_nothing_is_known_beyond(start: int) -> None:
    model = NeighbourModel()
    found = Haplotypes.of(CONTIG, start, 1, encode("A"))
    padded = np.concatenate([
        np.full(CONTEXT_BP, UNKNOWN), CONTIG, np.full(CONTEXT_BP, UNKNOWN)
    ]).astype(np.uint8)  # fmt: skip
    assert found.ref.tolist() == padded[start : start + 2 * CONTEXT_BP + 1].tolist()
    assert np.isfinite(allele_ratio(model, found))
    assert np.isfinite(allele_distance(model, found))


def test_nothing_known_gives_no_number() -> None:
    unknown = np.full(600, UNKNOWN, dtype=np.uint8)
    haplotypes = Haplotypes.of(unknown, 300, 1, np.array([UNKNOWN], np.uint8))
    assert np.isnan(allele_ratio(NeighbourModel(), haplotypes))
    assert np.isnan(allele_distance(NeighbourModel(), haplotypes))


@pytest.mark.parametrize("kind", [NeighbourModel, MaskedNeighbourModel])
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_other_strand_gives_the_same(
    kind: type[NeighbourModel], *, symmetric: bool
) -> None:
    model = both_strands(kind(symmetric=symmetric))
    other = reverse_complement(CONTIG)
    n = len(CONTIG)
    np.testing.assert_allclose(
        substitution_ratios(model, other, 0, n)[::-1, ::-1],
        substitution_ratios(model, CONTIG, 0, n),
        atol=2e-5,
    )
    for start, n_ref, alt in ((1_200, 1, "C"), (1_300, 0, "GAT"), (1_400, 5, "")):
        here = Haplotypes.of(CONTIG, start, n_ref, encode(alt))
        there = Haplotypes.of(
            other, n - start - n_ref, n_ref, reverse_complement(encode(alt))
        )
        assert allele_ratio(model, there) == pytest.approx(
            allele_ratio(model, here), abs=1e-3
        )


def test_a_model_that_is_not_symmetric_differs_without_the_average() -> None:
    model = NeighbourModel(symmetric=False)
    other = substitution_ratios(model, reverse_complement(CONTIG), 0, 3_000)
    here = substitution_ratios(model, CONTIG, 0, 3_000)
    assert np.nanmax(np.abs(other[::-1, ::-1] - here)) > 0.5
    # The average's ratios are the averages of both strands' ratios.
    averaged = substitution_ratios(both_strands(model), CONTIG, 0, 3_000)
    np.testing.assert_allclose(averaged, (here + other[::-1, ::-1]) / 2, atol=1e-5)


def test_bits() -> None:
    even = np.log(np.full((1, 4), 0.25, np.float32))
    np.testing.assert_allclose(information_content(even), 0, atol=1e-6)
    halves = np.array([[0.0, 0.0, -60.0, -60.0]], np.float32)
    np.testing.assert_allclose(information_content(halves), 1, atol=1e-6)
    np.testing.assert_allclose(information_content(halves + 3), 1, atol=1e-6)
    np.testing.assert_allclose(surprisal(halves, np.array([1], np.uint8)), 1, atol=1e-6)
    assert np.isnan(surprisal(halves, np.array([UNKNOWN], np.uint8)))[0]
