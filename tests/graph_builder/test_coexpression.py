"""Co-expressed pairs by hand and against all pairs one by one."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

import graph_builder.coexpression
from graph_builder.coexpression import correlate_genes


def correlate_slowly(matrix, method, min_abs_r, top_k):
    n = len(matrix)
    r = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                r[i, j] = method(matrix[i], matrix[j]).statistic
    rank = np.zeros((n, n))
    for i in range(n):
        others = sorted((j for j in range(n) if j != i), key=lambda j: -abs(r[i, j]))
        for place, j in enumerate(others, start=1):
            rank[i, j] = place
    return {
        (i, j): (r[i, j], np.sqrt(rank[i, j] * rank[j, i]))
        for i in range(n)
        for j in range(i + 1, n)
        if abs(r[i, j]) >= min_abs_r and max(rank[i, j], rank[j, i]) <= top_k
    }


@pytest.mark.parametrize(
    ("name", "method"), [("pearson", pearsonr), ("spearman", spearmanr)]
)
@pytest.mark.parametrize("min_abs_r", [0.0, 0.5])
@pytest.mark.parametrize("block_values", [60, 10_000])
def test_pairs_are_those_of_the_slow_way(
    name, method, min_abs_r, block_values, monkeypatch
):
    monkeypatch.setattr(graph_builder.coexpression, "_BLOCK_VALUES", block_values)
    rng = np.random.default_rng(7)
    factor = rng.normal(size=(3, 8))
    matrix = rng.normal(size=(25, 3)) @ factor + rng.normal(size=(25, 8))
    expected = correlate_slowly(matrix, method, min_abs_r, top_k=4)
    found = correlate_genes(matrix, method=name, min_abs_r=min_abs_r, top_k=4)
    assert list(
        zip(found.first.tolist(), found.second.tolist(), strict=True)
    ) == sorted(expected)
    for i, j, r, rank in zip(
        found.first, found.second, found.correlation, found.mutual_rank, strict=True
    ):
        assert (r, rank) == pytest.approx(expected[i, j])


def test_constant_genes_are_counted_and_scaling_changes_nothing():
    matrix = np.array([[1.0, 2, 3, 4, 5], [2, 2, 2, 2, 2], [5, 4, 3, 2, 2]])
    found = correlate_genes(matrix, method="pearson", min_abs_r=0.5, top_k=5)
    assert (found.first.tolist(), found.second.tolist()) == ([0], [2])
    assert found.n_constant == 1
    # by hand: deviations (-2 … 2) and (1.8, .8, -.2, -1.2, -1.2); -8 / sqrt(10 x 6.8)
    assert found.correlation[0] == pytest.approx(-8 / np.sqrt(68))
    scaled = correlate_genes(matrix * 1e6 + 3, method="pearson", min_abs_r=0.5, top_k=5)
    np.testing.assert_allclose(scaled.correlation, found.correlation, atol=1e-8)
