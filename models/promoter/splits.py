"""Which promoters may teach and which may judge: similar ones never on both sides."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from data_registry.errors import InputError
from encoders.nucleotides import N_BASES, reverse_complement
from models.promoter.data import Promoters

KMER_BP = 12
MIN_SHARED = 0.15
_CHUNK = 2_000
_GENE_BLOCK = 10
"""Genes in a row on a chromosome that count as one neighbourhood: tandem duplicates lie
within a few genes of each other."""

_GENE_NUMBER = (
    (re.compile(r"AT([1-5CM])G(\d{5})"), 10),
    (re.compile(r"SORBI_3(\d{3})G(\d{6})"), 100),
    (re.compile(r"(Zm00001d)(\d{6})"), 1),
)
"""Names that number genes along the genome: pattern of chromosome and number, and the
step between neighbours (TAIR, Sorghum bicolor v3, maize B73 AGPv4)."""


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of a table by what they are for; a row is in one of them or left out.

    Parameters
    ----------
    train, validation, test
        Row numbers, sorted. Validation stops the training and fits calibration.
    left_out
        Rows that may be used for nothing, counted by reason.
    """

    name: str
    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]
    left_out: Mapping[str, int] = field(default_factory=dict)


# -- similarity ------------------------------------------------------------------------


def kmer_numbers(codes: NDArray[np.uint8], k: int) -> NDArray[np.int64]:
    """Return each k-mer as a number in base 4, −1 where it holds an unknown base.

    Parameters
    ----------
    codes
        ``(n, length)``.

    Returns
    -------
    NDArray
        ``(n, length - k + 1)``; A is 0, the first base counts most.
    """
    n_kmers = codes.shape[1] - k + 1
    numbers = np.zeros((len(codes), n_kmers), dtype=np.int64)
    known = np.ones(numbers.shape, dtype=bool)
    for i in range(k):
        base = codes[:, i : i + n_kmers]
        numbers = numbers * N_BASES + base
        known &= base < N_BASES
    return np.where(known, numbers, -1)


def _kmer_sets(codes: NDArray[np.uint8], k: int) -> csr_array:
    """Return which strand-free k-mers each sequence holds, ``(n, kmers)``, 0 or 1."""
    forward = kmer_numbers(codes, k)
    backward = kmer_numbers(reverse_complement(codes), k)[:, ::-1]
    either = np.minimum(forward, backward)
    row, place = np.nonzero(either >= 0)
    names, column = np.unique(either[row, place], return_inverse=True)
    shape = (len(codes), len(names))
    counts = coo_array((np.ones(len(row), np.float32), (row, column)), shape=shape)
    found = counts.tocsr()
    found.data[:] = 1
    return found


def similarity_clusters(
    codes: NDArray[np.uint8], *, k: int = KMER_BP, min_shared: float = MIN_SHARED
) -> NDArray[np.intp]:
    """Return the cluster of each sequence.

    Two sequences are joined where they share at least ``min_shared`` of the distinct
    k-mers of the one that has fewer, on either strand; exact, not sampled. Clusters are
    the connected components. At 12 bp two unrelated 170 bp sequences share 0.003 k-mers
    on average, so that 0.15 (24 k-mers of 159) is an overlap or a common descent. A
    sequence without k-mers is its own cluster.
    """
    sets = _kmer_sets(codes, k)
    size = sets.sum(axis=1)
    ends: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    transposed = sets.T.tocsr()
    for start in range(0, len(codes), _CHUNK):
        shared = (sets[start : start + _CHUNK] @ transposed).tocoo()
        row, column = shared.coords[0] + start, shared.coords[1]
        near = shared.data >= min_shared * np.minimum(size[row], size[column])
        near &= row < column
        ends.append((row[near], column[near]))
    source = np.concatenate([a for a, _ in ends])
    target = np.concatenate([b for _, b in ends])
    return joined(len(codes), source, target)


def joined(
    n: int, source: NDArray[np.intp], target: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the connected component of each of ``n`` things."""
    links = coo_array((np.ones(len(source), np.int8), (source, target)), shape=(n, n))
    _, component = connected_components(links, directed=False)
    return component.astype(np.intp)


def merge_groups(*groups: NDArray[np.generic]) -> NDArray[np.intp]:
    """Return the finest grouping that none of the given ones cuts.

    An empty name joins nothing.
    """
    n = len(groups[0])
    source, target = [], []
    offset = n
    for group in groups:
        names, number = np.unique(group, return_inverse=True)
        member = (
            np.flatnonzero(group != "") if group.dtype.kind == "U" else np.arange(n)
        )
        source.append(member)
        target.append(number[member] + offset)
        offset += len(names)
    components = joined(offset, np.concatenate(source), np.concatenate(target))
    return np.unique(components[:n], return_inverse=True)[1]


def gene_neighbourhoods(identifiers: Sequence[str]) -> NDArray[np.str_]:
    """Return the neighbourhood on the chromosome that a gene's name tells.

    Ten genes in a row share one; it is empty where the name tells no place.
    """

    def place(name: str) -> str:
        for pattern, step in _GENE_NUMBER:
            if found := pattern.match(name):
                return f"{found[1]}:{int(found[2]) // (step * _GENE_BLOCK)}"
        return ""

    return np.array([place(name) for name in identifiers], dtype=np.str_)


def symbol_families(identifiers: Sequence[str], path: Path) -> NDArray[np.str_]:
    """Return the family that a gene's symbol tells (``MYB`` of ``MYB12``), or "".

    Parameters
    ----------
    path
        Table of TAIR's symbols: locus, symbol, full name. Symbols of fewer than three
        letters before the number name no family.
    """
    table = pd.read_csv(path, sep="\t", usecols=[0, 1], dtype=str).dropna()
    stems = table.iloc[:, 1].str.extract(r"^(?:AT)?([A-Z]{3,})-?\d", expand=False)
    known = stems.notna()
    families = dict(zip(table.iloc[:, 0][known], stems[known], strict=True))
    return np.array([families.get(name, "") for name in identifiers], dtype=np.str_)


# -- splits ----------------------------------------------------------------------------


def grouped_folds(
    groups: NDArray[np.intp], n_folds: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return a fold for each row, whole groups together, folds of about equal size.

    Groups are drawn in random order, large ones first, each into the smallest fold.
    Folds are numbered from the smallest, so that a group larger than a fold comes last:
    it can teach, but it would be a poor judge.
    """
    names, number, size = np.unique(groups, return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    order = order[np.argsort(-size[order], kind="stable")]
    fold_of = np.empty(len(names), dtype=np.intp)
    filled = np.zeros(n_folds, dtype=np.intp)
    for group in order:
        fold = int(np.argmin(filled))
        fold_of[group] = fold
        filled[fold] += size[group]
    rank = np.argsort(np.argsort(filled, kind="stable"))
    return rank[fold_of[number]].astype(np.intp)


def grouped_split(
    name: str,
    groups: NDArray[np.intp],
    rng: np.random.Generator,
    *,
    test: NDArray[np.bool_] | None = None,
    allowed: NDArray[np.bool_] | None = None,
    n_folds: int = 10,
) -> Split:
    """Split rows so that no group stands on two sides.

    Parameters
    ----------
    groups
        ``(n,)``; rows of one group stay together.
    test
        ``(n,)`` the rows that judge; a group with one of them teaches nothing. Without
        it two folds of ``n_folds`` judge.
    allowed
        ``(n,)`` rows that may be used at all.

    Raises
    ------
    InputError
        Nothing is left to learn from.
    """
    n = len(groups)
    free = np.ones(n, bool) if allowed is None else allowed.copy()
    left_out = {"not allowed": int((~free).sum())} if allowed is not None else {}
    if test is None:
        folds = grouped_folds(groups, n_folds, rng)
        test = free & (folds < 2)
        teaches = free & (folds > 2)
        checks = free & (folds == 2)
    else:
        touched = np.isin(groups, np.unique(groups[test]))
        left_out["similar to a test row"] = int((free & touched & ~test).sum())
        free &= ~touched
        rows = np.flatnonzero(free)
        checks = np.zeros(n, bool)
        checks[rows[grouped_folds(groups[rows], n_folds, rng) == 0]] = True
        teaches = free & ~checks
    if not teaches.any() or not checks.any():
        raise InputError(
            f"split {name}: {int(teaches.sum())} rows to learn from and "
            f"{int(checks.sum())} to stop by are too few; give more promoters"
        )
    return Split(
        name, np.flatnonzero(teaches), np.flatnonzero(checks), np.flatnonzero(test),
        {reason: count for reason, count in left_out.items() if count},
    )  # fmt: skip


def published_split(
    promoters: Promoters,
    clusters: NDArray[np.intp],
    test_conditions: Sequence[str],
    rng: np.random.Generator,
) -> Split:
    """Split off every promoter measured in a test condition, and all that resembles it.

    Rows of the same identifier are one group with their cluster.
    """
    genes = np.array([name.partition("#")[0] for name in promoters.identifiers])
    measured = np.any(
        [~np.isnan(promoters.of(name)) for name in test_conditions], axis=0
    )
    return grouped_split("published", merge_groups(clusters, genes), rng, test=measured)


def smaller(split: Split, n_rows: int, rng: np.random.Generator) -> Split:
    """Return the split with fewer rows to learn from; validation and test stay."""
    if n_rows >= len(split.train):
        return split
    rows = np.sort(rng.choice(split.train, n_rows, replace=False))
    left_out = {**split.left_out, "not drawn": len(split.train) - n_rows}
    return Split(split.name, rows, split.validation, split.test, left_out)
