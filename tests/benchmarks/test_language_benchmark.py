"""Markov peers against slow oracles; the language benchmark's figures by hand."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

from benchmarks.block_bootstrap import Blocks
from benchmarks.language import Bench, measure_observed, score_variants, tail_odds
from benchmarks.markov_peer import (
    Chain,
    Composition,
    Neighbours,
    Pool,
    bits_per_base,
    count_neighbours,
    fit_powers,
)
from encoders.nucleotides import encode, reverse_complement
from variant_effect.markov import MarkovModel

LETTERS = np.frombuffer(b"ACGTN", np.uint8)


def random_codes(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(4, n, p=[0.4, 0.2, 0.1, 0.3]).astype(
        np.uint8
    )  # fmt: skip


def ascii_of(codes: np.ndarray) -> np.ndarray:
    return LETTERS[codes]


def test_chain_is_the_whole_sequences_likelihood() -> None:
    model = MarkovModel.fit({"a": ascii_of(random_codes(5_000))}, order=2)
    codes = random_codes(12, seed=1)
    found = Chain(model).log_probabilities(codes)
    for at in range(len(codes)):
        whole = []
        for base in range(4):
            changed = codes.copy()
            changed[at] = base
            both_strands, _ = model.log_likelihood(ascii_of(changed))
            whole.append(both_strands / 2)
        expected = np.array(whole) - np.log(np.exp(np.array(whole)).sum())
        np.testing.assert_allclose(found[at], expected, atol=1e-4)


def test_neighbours_count_left_then_right() -> None:
    # ACG on one strand, CGT on the other: C between A and G, G between C and T.
    counts = count_neighbours({"a": np.frombuffer(b"ACG", np.uint8)}, 2).reshape(
        4, 4, 4
    )
    expected = np.zeros((4, 4, 4))
    expected[0, 2, 1] = expected[1, 3, 2] = 1
    np.testing.assert_array_equal(counts, expected)
    half = count_neighbours({"a": np.frombuffer(b"AcG", np.uint8)}, 2).sum()
    assert half == pytest.approx(0.2)  # a soft-masked base weighs a tenth
    assert count_neighbours({"a": np.frombuffer(b"ANG", np.uint8)}, 2).sum() == 0


def test_neighbours_interpolate_from_short_to_long() -> None:
    codes = random_codes(400, seed=3)
    counts = count_neighbours({"a": ascii_of(codes)}, 2)
    model = Neighbours.fit(counts, 2, random_codes(300, seed=4))
    table = counts.reshape(4, 4, 4)
    p = np.full(4, 0.25)
    left, right = 0, 3  # A _ T reads the same on both strands
    for level, a in zip(
        (table.sum((0, 1)), table.sum(1)[left], table[left, right]),
        model.strengths,
        strict=True,
    ):
        p = (level + a * p) / (level.sum() + a)
    row = model.log_probabilities(encode("AGT"))[1]
    logits = np.log(p) + np.log(p)[::-1]
    expected = logits / 2 - np.log(np.exp(logits / 2).sum())
    np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.fixture(params=["chain", "neighbours", "composition", "pool"])
def peer(request: pytest.FixtureRequest) -> object:
    learned = {"a": ascii_of(random_codes(3_000))}
    chain = Chain(MarkovModel.fit(learned, order=3))
    neighbours = Neighbours.fit(count_neighbours(learned, 4), 4, random_codes(500, 9))
    return {
        "chain": chain,
        "neighbours": neighbours,
        "composition": Composition.fit({"a": random_codes(3_000)}),
        "pool": Pool((chain, neighbours), (0.6, 0.5)),
    }[request.param]


def test_every_peer_keeps_the_protocols_laws(peer: Chain) -> None:
    codes = random_codes(200, seed=2)
    log_p = peer.log_probabilities(codes)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, atol=1e-5)
    other = peer.log_probabilities(np.ascontiguousarray(reverse_complement(codes)))
    np.testing.assert_allclose(other[::-1, ::-1], log_p, atol=1e-4)
    changed = codes.copy()
    changed[100] = (changed[100] + 1) % 4
    differs = np.abs(peer.log_probabilities(changed) - log_p).max(axis=1) > 1e-5
    assert not differs[100]  # the base has no part in its own row
    assert not differs[: 100 - peer.reach_bp].any()
    assert not differs[101 + peer.reach_bp :].any()


def test_a_pool_finds_the_better_model() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 5_000).astype(np.uint8)
    good = np.log(np.full((5_000, 4), 0.1))
    good[np.arange(5_000), np.where(rng.random(5_000) < 0.7, codes, 3 - codes)] = (
        np.log(0.7)
    )
    noise = np.log(rng.dirichlet(np.ones(4), 5_000))
    powers = fit_powers([good.astype(np.float32), noise.astype(np.float32)], codes)
    assert powers[0] > 0.5
    assert abs(powers[1]) < 0.1


def test_bits_by_hand() -> None:
    log_p = np.log(np.array([[0.5, 0.25, 0.125, 0.125]] * 3, np.float32))
    found = bits_per_base(log_p, encode("ACN"))
    np.testing.assert_allclose(found, [1, 2, np.nan], atol=1e-6)


def test_tail_odds_by_hand() -> None:
    # 30 of 40 in the tail are rare, 100 of 200 outside it: sample odds ratio 3.
    rare = np.repeat([True, False, True, False], [30, 10, 100, 100])
    tail = np.repeat([True, True, False, False], [30, 10, 100, 100])
    found = tail_odds(rare, tail)
    assert found["table"] == [[30, 10], [100, 100]]
    assert found["odds_ratio"] == pytest.approx(3, rel=0.02)  # conditional estimate
    assert found["low"] > 1
    assert found["p"] < 0.01


def test_a_score_that_knows_the_answer_has_auroc_one() -> None:
    n = 400
    variants = pd.DataFrame({
        "contig": "chrV", "start": np.arange(n), "ref": np.uint8(0), "alt": np.uint8(1),
        "kind": np.repeat(["observed", "matched"], n // 2), "term": 0,
        "window": np.arange(n) // 40, "ac": 1, "an": 6, "outgroup_ref": np.uint8(2),
        "outgroup_alt": np.uint8(0), "outgroup_an": np.uint8(2),
        "pair": np.tile(np.arange(n // 2), 2),
    })  # fmt: skip
    variants.loc[:9, ["outgroup_ref", "outgroup_alt"]] = [0, 2]
    log_p = np.full((n, 4), np.log(0.25), np.float32)
    log_p[: n // 2, 1] += 1  # the alternatives that are observed
    bench = Bench(
        None, {"chrV": np.zeros(n, np.uint8)},  # type: ignore[arg-type]
        {"chrV": 4_000 + np.arange(n) // 40}, {}, variants, {}, {}, 50,
    )  # fmt: skip
    scored = score_variants(bench, {"lm": {"chrV": log_p}})
    assert isinstance(bench.drawn(), Blocks)
    found = measure_observed(bench, scored, ["lm"])
    assert found["matched"]["lm"]["value"] == 1
    # The ten of outgroup 0:2 win against 200 zeros, the rest tie: 0.5 + 0.05 / 2.
    assert found["matched"]["outgroup"]["value"] == pytest.approx(0.525)
    # Their partners go with them where the reference must be ancestral.
    ancestral = found["matched_reference_ancestral"]
    assert ancestral["observed"] == ancestral["simulated"] == n // 2 - 10
