"""Promoters with their measured expression, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_registry.errors import InputError, MalformedFileError
from encoders.nucleotides import UNKNOWN, encode

UNKNOWN_SPECIES = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """How a table names what we need.

    Parameters
    ----------
    sequence, identifier, species
        Column names. Without ``identifier`` rows are numbered; without ``species`` every
        row is of ``UNKNOWN_SPECIES``.
    conditions
        Wide form: one column a condition. Empty for the long form.
    condition, value
        Long form: one row a promoter and condition.
    log2p1
        The values are counts or TPM: ``log2(1 + value)`` is what is learned.
    """

    sequence: str = "sequence"
    identifier: str | None = "gene"
    species: str | None = "sp"
    conditions: tuple[str, ...] = ()
    condition: str = "condition"
    value: str = "enrichment"
    log2p1: bool = False


@dataclass(frozen=True, slots=True)
class Promoters:
    """Distinct promoters of one length.

    Parameters
    ----------
    identifiers
        ``(n,)`` names, distinct.
    species
        ``(n,)`` names.
    codes
        ``(n, length_bp)`` nucleotide codes, 5' to 3' on the strand of the gene.
    values
        ``(n, conditions)`` float32; NaN where not measured.
    conditions
        The name of each column of ``values``.
    changes
        What was done to rows on the way, as counts by reason.
    """

    identifiers: NDArray[np.str_]
    species: NDArray[np.str_]
    codes: NDArray[np.uint8]
    values: NDArray[np.float32]
    conditions: tuple[str, ...]
    changes: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.identifiers)

    @property
    def length_bp(self) -> int:
        """Bases of each promoter."""
        return int(self.codes.shape[1])

    def take(self, rows: NDArray[np.intp]) -> "Promoters":
        """Return some rows, in the order given."""
        return Promoters(
            self.identifiers[rows], self.species[rows], self.codes[rows],
            self.values[rows], self.conditions, self.changes,
        )  # fmt: skip

    def keep_conditions(self, names: Sequence[str]) -> "Promoters":
        """Return all rows with these columns of ``values``."""
        columns = [self.column(name) for name in names]
        return Promoters(
            self.identifiers, self.species, self.codes, self.values[:, columns],
            tuple(names), self.changes,
        )  # fmt: skip

    def of(self, condition: str) -> NDArray[np.float64]:
        """Return the values of a condition, ``(n,)``; NaN where not measured."""
        return self.values[:, self.column(condition)].astype(np.float64)

    def column(self, condition: str) -> int:
        """Return the column of a condition.

        Raises
        ------
        InputError
            There is none of that name.
        """
        if condition not in self.conditions:
            raise InputError(
                f"no condition {condition!r}; there are {', '.join(self.conditions)}"
            )
        return self.conditions.index(condition)


def read_promoters(
    path: Path, columns: Columns | None = None, *, length_bp: int
) -> Promoters:
    """Read a table (CSV or TSV, gzipped or not) of promoters and their expression.

    Rows of one identifier, species and sequence are one promoter; where a condition was
    measured more than once its mean is kept. Promoters are sorted by species, identifier
    and sequence, so that the order of lines does not matter.

    Raises
    ------
    MalformedFileError
        A column is missing, a value is no number, or no row is left.
    """
    columns = columns or Columns()
    separator = "\t" if ".tsv" in path.suffixes else ","
    try:
        table = pd.read_csv(path, sep=separator)
    except (ValueError, OSError) as error:
        raise MalformedFileError(
            path,
            f"cannot be read as a table: {error}",
            remedy="Give a CSV or TSV file.",
        ) from error
    needed = [columns.sequence]
    needed += [name for name in (columns.identifier, columns.species) if name]
    needed += columns.conditions or (columns.condition, columns.value)
    if missing := [name for name in needed if name not in table.columns]:
        raise MalformedFileError(
            path, f"no column {', '.join(missing)}; found {', '.join(map(str, table))}",
            remedy="Name the columns under [data.columns] of the configuration.",
        )  # fmt: skip
    frame = pd.DataFrame({"sequence": table[columns.sequence].astype(str).str.upper()})
    frame["identifier"] = (
        table[columns.identifier].astype(str)
        if columns.identifier
        else [f"row{i + 1}" for i in range(len(table))]
    )
    frame["species"] = (
        table[columns.species].astype(str) if columns.species else UNKNOWN_SPECIES
    )
    if columns.conditions:
        values = table[list(columns.conditions)]
        frame = pd.concat([frame, values], axis=1).melt(
            ["sequence", "identifier", "species"],
            var_name="condition", value_name="value",
        )  # fmt: skip
    else:
        frame["condition"] = table[columns.condition].astype(str)
        frame["value"] = table[columns.value]
    numbers = pd.to_numeric(frame["value"], errors="coerce")
    if (wrong := numbers.isna() & frame["value"].notna()).any():
        raise MalformedFileError(
            path, f"{frame['value'][wrong].iloc[0]!r} is no number",
            remedy="Leave the field empty where nothing was measured.",
        )  # fmt: skip
    frame["value"] = np.log2(1.0 + numbers) if columns.log2p1 else numbers
    return _from_long(frame, path, length_bp)


def _from_long(frame: pd.DataFrame, path: Path, length_bp: int) -> Promoters:
    keys = ["species", "identifier", "sequence"]
    n_rows, frame = len(frame), frame.dropna(subset="value")
    changes = {"value missing": n_rows - len(frame)}
    changes["measured again in the same condition"] = int(
        frame.duplicated([*keys, "condition"]).sum()
    )
    wide = frame.pivot_table(
        index=keys, columns="condition", values="value", aggfunc="mean", sort=True
    )
    if wide.empty:
        raise MalformedFileError(
            path, "no promoter has a value", remedy="Give at least one measured row."
        )
    sequences = wide.index.get_level_values("sequence")
    lengths = sequences.str.len()
    changes["longer than the window, cropped"] = int((lengths > length_bp).sum())
    changes["shorter than the window, padded with N"] = int((lengths < length_bp).sum())
    names = _distinct(wide.index)
    return Promoters(
        identifiers=names,
        species=wide.index.get_level_values("species").to_numpy(dtype=str),
        codes=np.stack([fit_length(encode(s), length_bp) for s in sequences]),
        values=wide.to_numpy(np.float32),
        conditions=tuple(map(str, wide.columns)),
        changes={reason: n for reason, n in changes.items() if n},
    )


def _distinct(index: pd.Index) -> NDArray[np.str_]:
    """Name a second sequence of one gene ``gene#2``, so that names are distinct."""
    keys = pd.DataFrame(
        {name: index.get_level_values(name) for name in ("species", "identifier")}
    )
    copy = keys.groupby("identifier").cumcount()
    names: NDArray[np.str_] = np.array(
        [
            f"{n}#{c + 1}" if c else n
            for n, c in zip(keys["identifier"], copy, strict=True)
        ]
    )
    return names


def fit_length(codes: NDArray[np.uint8], length_bp: int) -> NDArray[np.uint8]:
    """Return codes centred in a window: cropped, or padded with unknown bases.

    The base at ``len // 2`` comes to stand at ``length_bp // 2``.
    """
    left = length_bp // 2 - len(codes) // 2
    window = np.full(length_bp, UNKNOWN, dtype=np.uint8)
    inside = codes[max(-left, 0) : max(-left, 0) + length_bp - max(left, 0)]
    window[max(left, 0) : max(left, 0) + len(inside)] = inside
    return window
