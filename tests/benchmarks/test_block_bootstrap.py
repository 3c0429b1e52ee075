"""Means and AUROCs from blocks, against values by hand and plain formulas."""

import numpy as np
import pytest

from benchmarks.block_bootstrap import Blocks, compare, matching_weights


def blocks_of(block: list[int] | np.ndarray, draws: int = 200) -> Blocks:
    return Blocks.of(np.asarray(block), draws, np.random.default_rng(0))


def test_auroc_by_hand() -> None:
    # Pairs (positive, other): 3>1, 3>2, 2>1, 2=2: 3.5 of 4.
    scores = np.array([3.0, 2.0, 1.0, 2.0])
    positive = np.array([True, True, False, False])
    blocks = blocks_of([0, 1, 0, 1])
    index = blocks.index(np.array([0, 1, 0, 1]))
    assert blocks.auroc(scores, positive, index).value == pytest.approx(3.5 / 4)
    # The other with score 1 three times as heavy: 3, 1, 3, 0.5 of 8.
    weights = np.array([1.0, 1, 3, 1])
    found = blocks.auroc(scores, positive, index, weights).value
    assert found == pytest.approx(7.5 / 8)


def test_draws_are_what_the_drawn_rows_give() -> None:
    rng = np.random.default_rng(3)
    block = np.repeat(np.arange(6), 20)
    scores = rng.normal(size=120).round(1)
    positive = rng.random(120) < 0.4
    blocks = blocks_of(block, draws=20)
    index = blocks.index(block)
    auroc = blocks.auroc(scores, positive, index)
    mean = blocks.mean(scores, index)
    for draw, times in enumerate(blocks.times[1:]):
        rows = np.repeat(np.arange(120), times[block].astype(int))
        one, other = scores[rows][positive[rows]], scores[rows][~positive[rows]]
        above = (one[:, None] > other).mean() + (one[:, None] == other).mean() / 2
        assert auroc.draws[draw] == pytest.approx(above)
        assert mean.draws[draw] == pytest.approx(scores[rows].mean())


def test_interval_of_a_mean_is_that_of_its_blocks() -> None:
    # 400 blocks whose means have standard deviation 1: the mean's standard error is 0.05.
    rng = np.random.default_rng(5)
    block = np.repeat(np.arange(400), 10)
    values = rng.normal(size=400)[block]
    blocks = blocks_of(block, draws=2_000)
    found = blocks.mean(values, blocks.index(block)).describe()
    assert (found["high"] - found["low"]) / 2 == pytest.approx(1.96 * 0.05, rel=0.15)


def test_a_constant_difference_has_no_width() -> None:
    values = np.random.default_rng(1).normal(size=50)
    block = np.arange(50) // 10
    blocks = blocks_of(block)
    index = blocks.index(block)
    estimates = {"a": blocks.mean(values + 2, index), "b": blocks.mean(values, index)}
    found = compare(estimates, [("a", "b")])["differences"]["a - b"]
    assert (found["low"], found["high"]) == (pytest.approx(2), pytest.approx(2))


def test_matched_weights_undo_a_difference_of_strata() -> None:
    rng = np.random.default_rng(2)
    stratum = rng.integers(0, 3, 4_000)
    positive = rng.random(4_000) < np.array([0.05, 0.2, 0.6])[stratum]
    scores = stratum + rng.random(4_000)  # says the stratum and nothing else
    block = np.arange(4_000) // 100
    blocks = blocks_of(block)
    index = blocks.index(block)
    weights = matching_weights(positive, stratum)
    assert blocks.auroc(scores, positive, index).value > 0.7
    assert blocks.auroc(scores, positive, index, weights).value == pytest.approx(
        0.5, abs=0.02
    )
    alone = matching_weights(np.array([True, False, True]), np.array([1, 2, 2]))
    assert alone.tolist() == [0, 1, 1]


def test_without_rows_there_is_no_figure() -> None:
    blocks = blocks_of([0, 1])
    none = np.array([])
    found = blocks.auroc(none, none.astype(bool), none.astype(np.int64))
    assert found.describe() == {"value": None, "low": None, "high": None}
    one = blocks.auroc(np.ones(1), np.array([True]), np.zeros(1, np.int64))
    assert found.describe() == one.describe()
