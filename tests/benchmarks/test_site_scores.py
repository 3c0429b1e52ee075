"""Figures of yes-or-no heads: by hand, and against scikit-learn on repeated rows."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from benchmarks.block_bootstrap import Blocks
from benchmarks.site_scores import (
    average_precision,
    best_threshold,
    figures,
    mean_of,
    of_classes,
)


def one_block(n: int) -> tuple[Blocks, np.ndarray]:
    block = np.zeros(n, np.int64)
    blocks = Blocks.of(block, 2, np.random.default_rng(0))
    return blocks, blocks.index(block)


def test_figures_by_hand():
    # Told: rows 0, 1, 2. Hit: 0, 1. False: 2. Missed: 3. Rest: 4, 5, 6, 7.
    truth = np.array([1, 1, 0, 1, 0, 0, 0, 0], bool)
    scores = np.array([8, 7, 6, 5, 4, 3, 2, 1], float)
    found = figures(*one_block(8), truth, scores, scores >= 6)
    assert found["accuracy"].value == 6 / 8
    assert found["precision"].value == pytest.approx(2 / 3)
    assert found["recall"].value == pytest.approx(2 / 3)
    assert found["f1"].value == pytest.approx(2 / 3)
    # (2*4 - 1*1) / sqrt(3 * 3 * 5 * 5)
    assert found["mcc"].value == pytest.approx(7 / 15)
    # Of 15 pairs one is wrong: the false one above the missed one.
    assert found["auroc"].value == pytest.approx(14 / 15)
    # Recall rises by a third each at precision 1, 1 and 3/4.
    assert found["auprc"].value == pytest.approx((1 + 1 + 0.75) / 3)


def test_nothing_told_and_nothing_true():
    none = np.zeros(4, bool)
    truth = np.array([1, 0, 0, 0], bool)
    found = figures(*one_block(4), truth, np.arange(4.0), none)
    assert found["precision"].value == found["mcc"].value == found["f1"].value == 0
    found = figures(*one_block(4), none, np.arange(4.0), ~none)
    assert all(np.isnan(found[f].value) for f in ("recall", "auroc", "auprc"))


def test_a_draw_is_the_figure_of_its_rows_repeated():
    rng = np.random.default_rng(1)
    truth = rng.random(400) < 0.2
    scores = np.round(truth + rng.normal(0, 1, 400), 1)  # with ties
    told = scores > 0.7
    block = np.repeat(np.arange(10), 40)
    blocks = Blocks.of(block, 5, rng)
    found = figures(blocks, blocks.index(block), truth, scores, told)
    for draw in range(5):
        times = blocks.times[1 + draw].astype(int)
        rows = np.concatenate([np.tile(np.flatnonzero(block == b), times[b]) for b in range(10)])  # fmt: skip
        y, s, t = truth[rows], scores[rows], told[rows]
        expected = {
            "accuracy": accuracy_score(y, t), "precision": precision_score(y, t),
            "recall": recall_score(y, t), "f1": f1_score(y, t),
            "mcc": matthews_corrcoef(y, t), "auroc": roc_auc_score(y, s),
            "auprc": average_precision_score(y, s),
        }  # fmt: skip
        for name, value in expected.items():
            assert found[name].draws[draw] == pytest.approx(value), name


def test_several_classes_are_gorodkins():
    rng = np.random.default_rng(2)
    own = rng.integers(0, 3, 90)
    scores = np.eye(3)[own] + rng.normal(0, 0.8, (90, 3))
    found = of_classes(*one_block(90), np.eye(3, dtype=bool)[own], scores)
    told = scores.argmax(axis=1)
    assert found["class_mcc"].value == pytest.approx(matthews_corrcoef(own, told))
    assert found["class_accuracy"].value == pytest.approx((own == told).mean())


def test_threshold_is_the_best_of_all():
    rng = np.random.default_rng(3)
    for _ in range(20):
        truth = rng.random(40) < 0.3
        scores = np.round(truth + rng.normal(0, 1, 40), 1)
        bar = best_threshold(truth, scores)
        best = max(matthews_corrcoef(truth, scores >= s) for s in np.unique(scores))
        assert matthews_corrcoef(truth, scores >= bar) == pytest.approx(best)
    assert best_threshold(np.zeros(3, bool), np.arange(3.0)) == np.inf
    assert best_threshold(np.array([1, 0], bool), np.zeros(2)) == np.inf  # no use


def test_heads_without_a_positive_are_not_in_the_mean():
    truth = np.array([[1, 0], [0, 0]], bool)
    assert average_precision(truth, np.array([[1.0, 1.0], [0.0, 0.0]])) == 1.0
    blocks, index = one_block(2)
    each = [figures(blocks, index, truth[:, k], np.array([1.0, 0.0]), truth[:, k]) for k in (0, 1)]  # fmt: skip
    assert mean_of([e["auprc"] for e in each]).value == 1.0
    np.testing.assert_allclose(mean_of([e["auprc"] for e in each]).draws, 1.0)
