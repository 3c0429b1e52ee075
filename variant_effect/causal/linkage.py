"""Linkage disequilibrium of a locus: correlation matrices, and what they cannot separate."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_registry.errors import InputError, MalformedFileError, NotIdentifiedError
from data_registry.text_files import LINE, read_numbers, read_table

Reals = NDArray[np.float64]

INSEPARABLE_R2 = 0.95
"""Variants with a squared correlation of at least this carry the same information."""
_SYMMETRY = 1e-4
_NEGATIVE = 1e-3
"""Of the largest eigenvalue: a more negative one means that it is no correlation."""


def correlate(dosages: Reals) -> Reals:
    """Return Pearson's r between variants.

    Parameters
    ----------
    dosages
        Copies of the effect allele, ``(samples, variants)``, NaN where not called (taken
        as the variant's mean).

    Raises
    ------
    InputError
        A variant does not vary.
    """
    centred = dosages - np.nanmean(dosages, axis=0)
    centred = np.where(np.isnan(centred), 0.0, centred)
    length = np.sqrt((centred**2).sum(axis=0))
    if not length.all():
        raise InputError(f"variant {int(np.argmin(length))} of the panel does not vary")
    unit = centred / length
    found: Reals = unit.T @ unit
    return found


def check_correlation(ld: Reals, *, name: str = "LD matrix") -> None:
    """Refuse a matrix that is no correlation matrix.

    Raises
    ------
    InputError
        It is not square and symmetric with a unit diagonal and eigenvalues of at least 0,
        or holds values that are not finite.
    """
    if ld.ndim != 2 or ld.shape[0] != ld.shape[1]:
        raise InputError(f"{name}: {' x '.join(map(str, ld.shape))} is not square")
    if not np.isfinite(ld).all():
        raise InputError(
            f"{name}: {int((~np.isfinite(ld)).sum()):,} values are missing"
        )
    if np.abs(ld - ld.T).max() > _SYMMETRY:
        raise InputError(f"{name}: it is not symmetric; give r of all pairs")
    if np.abs(np.diag(ld) - 1).max() > _SYMMETRY:
        raise InputError(
            f"{name}: its diagonal is not 1; give correlations r, not covariances"
        )
    try:
        # Far faster than eigenvalues, and enough where the matrix is sound.
        np.linalg.cholesky(ld + _NEGATIVE * np.eye(len(ld)))
    except np.linalg.LinAlgError:
        values = np.linalg.eigvalsh(ld)
        if values[0] >= -_NEGATIVE * values[-1]:
            return
        raise InputError(
            f"{name}: eigenvalue {values[0]:.3g} below 0: it is no correlation matrix "
            "(r2 in place of r? pairs from different samples?)"
        ) from None


def read_ld(path: Path) -> tuple[list[str], Reals]:
    """Read a matrix of r with the variants' names in the header (and in the first column).

    Returns
    -------
    variants
        Names in the order of the matrix.
    ld
        ``(variants, variants)``.

    Raises
    ------
    MalformedFileError
        Rows and header name other variants, or a value is no number.
    InputError
        It is no correlation matrix.
    """
    frame = read_table(path).drop(columns=LINE)
    columns = [str(c) for c in frame.columns]
    first = frame.iloc[:, 0].tolist()
    if len(columns) == len(frame) + 1:
        columns = columns[1:]
        if first != columns:
            raise MalformedFileError(
                path, "row names are not the header's, in its order", line=2,
                remedy="Write the same variants in the same order along both sides",
            )  # fmt: skip
        frame = frame.iloc[:, 1:]
    elif len(columns) != len(frame):
        raise MalformedFileError(
            path, f"{len(frame):,} rows and {len(columns):,} columns: not square",
            remedy="Give r of all pairs, with the variants' names in the header",
        )  # fmt: skip
    ld = np.column_stack([read_numbers(frame.iloc[:, i]) for i in range(len(columns))])
    check_correlation(ld, name=str(path))
    return columns, ld


def select_ld(variants: Sequence[str], ld: Reals, wanted: Sequence[str]) -> Reals:
    """Return the matrix of some variants, in their order.

    Raises
    ------
    InputError
        The matrix lacks one.
    """
    at = pd.Index(variants).get_indexer(pd.Index(wanted))
    if (at < 0).any():
        lacking = [w for w, i in zip(wanted, at, strict=True) if i < 0]
        raise InputError(
            f"the LD matrix lacks {len(lacking):,} of {len(wanted):,} variants, "
            f"e.g. {', '.join(lacking[:3])}"
        )
    found: Reals = ld[np.ix_(at, at)]
    return found


def refuse_inseparable(variants: Sequence[str], ld: Reals) -> None:
    """Refuse instruments that are copies of each other.

    Raises
    ------
    NotIdentifiedError
        Two variants have r2 of ``INSEPARABLE_R2`` or more; the message names the pair.
    """
    r2 = np.triu(ld**2, k=1)
    if r2.size and r2.max() >= INSEPARABLE_R2:
        i, j = divmod(int(r2.argmax()), r2.shape[1])
        n = int((r2 >= INSEPARABLE_R2).sum())
        raise NotIdentifiedError(
            f"not separable within this LD block: {variants[i]} and {variants[j]} have "
            f"r2 {r2[i, j]:.3f} ({n:,} such pairs, r2 >= {INSEPARABLE_R2}). Keep one of each"
        )


def inseparable_from(ld: Reals, variant: int) -> NDArray[np.int64]:
    """Return the other variants with r2 of at least ``INSEPARABLE_R2`` to one."""
    r2 = ld[variant] ** 2
    found = np.flatnonzero(r2 >= INSEPARABLE_R2)
    others: NDArray[np.int64] = found[found != variant].astype(np.int64)
    return others
