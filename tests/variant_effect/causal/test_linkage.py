"""LD matrices: reading, refusing, and what they cannot separate."""

from pathlib import Path

import numpy as np
import pytest

from data_registry.errors import InputError, MalformedFileError, NotIdentifiedError
from variant_effect.causal.linkage import (
    check_correlation,
    correlate,
    inseparable_from,
    read_ld,
    refuse_inseparable,
    select_ld,
)


def test_correlation_is_pearsons() -> None:
    x = np.random.default_rng(1).normal(size=(50, 4))
    np.testing.assert_allclose(correlate(x), np.corrcoef(x.T))
    with pytest.raises(InputError, match="does not vary"):
        correlate(np.ones((5, 2)))


def test_a_matrix_with_or_without_row_names(tmp_path: Path) -> None:
    bare = tmp_path / "bare.tsv"
    bare.write_text("a\tb\n1\t0.5\n0.5\t1\n")
    named = tmp_path / "named.tsv"
    named.write_text("snp\ta\tb\na\t1\t0.5\nb\t0.5\t1\n")
    for path in (bare, named):
        names, ld = read_ld(path)
        assert names == ["a", "b"]
        np.testing.assert_array_equal(ld, [[1, 0.5], [0.5, 1]])
    np.testing.assert_array_equal(select_ld(names, ld, ["b"]), [[1.0]])
    with pytest.raises(InputError, match=r"lacks 1 of 2 variants, e\.g\. c"):
        select_ld(names, ld, ["a", "c"])
    wrong = tmp_path / "wrong.tsv"
    wrong.write_text("snp\ta\tb\nb\t1\t0.5\na\t0.5\t1\n")
    with pytest.raises(MalformedFileError, match="row names"):
        read_ld(wrong)


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        ([[1, 0.5], [0.2, 1]], "symmetric"),
        ([[4, 2], [2, 4]], "diagonal"),
        ([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], "eigenvalue"),
        ([[1, np.nan], [np.nan, 1]], "missing"),
        ([[1, 0.5]], "square"),
    ],
)
def test_what_is_no_correlation_is_refused(matrix, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_correlation(np.array(matrix, float))


def test_copies_are_named() -> None:
    ld = np.array([[1, 0.98, 0.1], [0.98, 1, 0.1], [0.1, 0.1, 1]])
    with pytest.raises(
        NotIdentifiedError, match="not separable within this LD block: a and b"
    ):
        refuse_inseparable(["a", "b", "c"], ld)
    assert inseparable_from(ld, 0).tolist() == [1]
    assert inseparable_from(ld, 2).tolist() == []
