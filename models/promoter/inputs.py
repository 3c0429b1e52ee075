"""Sequences to predict: FASTA, BED with a genome, or CSV."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_registry.errors import MalformedFileError, OutOfBoundsError
from data_registry.genome import Genome
from data_registry.text_files import open_text
from encoders.nucleotides import encode, reverse_complement
from models.promoter.data import fit_length


@dataclass(frozen=True, slots=True)
class Queries:
    """Sequences brought to the length of a model.

    Parameters
    ----------
    codes
        ``(n, length_bp)``.
    n_padded, n_cropped
        How many were shorter or longer; they are centred.
    """

    identifiers: list[str]
    codes: NDArray[np.uint8]
    n_padded: int
    n_cropped: int

    @classmethod
    def of(
        cls, named: Iterator[tuple[str, NDArray[np.uint8]]], length_bp: int
    ) -> "Queries":
        """Centre, pad with unknown bases and crop."""
        identifiers, codes, lengths = [], [], []
        for name, sequence in named:
            identifiers.append(name)
            lengths.append(len(sequence))
            codes.append(fit_length(sequence, length_bp))
        stacked = np.stack(codes) if codes else np.empty((0, length_bp), np.uint8)
        return cls(
            identifiers, stacked, sum(n < length_bp for n in lengths),
            sum(n > length_bp for n in lengths),
        )  # fmt: skip


def read_fasta(path: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Give the name (to the first blank) and codes of each record.

    Raises
    ------
    MalformedFileError
        There is no record, a record has no name or no base, or a letter is no base.
    """
    name, line_of, parts = "", 0, list[str]()

    def record() -> tuple[str, NDArray[np.uint8]]:
        sequence = "".join(parts)
        if not sequence:
            raise MalformedFileError(
                path, f"{name!r} has no base", line=line_of, remedy="Delete the record."
            )
        return name, checked(sequence, path, line_of)

    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if text.startswith(">"):
                if name:
                    yield record()
                words = text[1:].split()
                if not words:
                    raise MalformedFileError(
                        path, "a record has no name", line=number,
                        remedy="Write a name after '>'.",
                    )  # fmt: skip
                name, line_of, parts = words[0], number, []
            elif text:
                if not name:
                    raise MalformedFileError(
                        path, "the first line does not begin with '>'", line=number,
                        remedy="Give a FASTA file.",
                    )  # fmt: skip
                parts.append(text)
    if not name:
        raise MalformedFileError(path, "holds no record", remedy="Give a FASTA file.")
    yield record()


_LETTERS = frozenset("ACGTUNRYSWKMBDHVacgtunryswkmbdhv.-")


def checked(sequence: str, path: Path, line: int) -> NDArray[np.uint8]:
    """Return codes; a letter that stands for no nucleotide is refused.

    Raises
    ------
    MalformedFileError
        There is one: names file and line.
    """
    if strange := set(sequence) - _LETTERS:
        raise MalformedFileError(
            path, f"{sorted(strange)[0]!r} is no nucleotide", line=line,
            remedy="Give DNA; codes other than A, C, G, T count as unknown.",
        )  # fmt: skip
    return encode(sequence.upper().replace("U", "T"))


def read_csv(path: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Give each row of a CSV or TSV with columns ``id`` and ``sequence``.

    Raises
    ------
    MalformedFileError
        A column is missing, or a field holds no DNA.
    """
    separator = "\t" if ".tsv" in path.suffixes else ","
    try:
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise MalformedFileError(
            path, f"cannot be read as a table: {error}", remedy="Give a CSV file."
        ) from error
    if missing := {"id", "sequence"} - set(table.columns):
        raise MalformedFileError(
            path, f"no column {', '.join(sorted(missing))}", line=1,
            remedy="Name the columns id and sequence.",
        )  # fmt: skip
    for row, (name, sequence) in enumerate(
        zip(table["id"], table["sequence"], strict=True), 2
    ):
        if not sequence:
            raise MalformedFileError(
                path, f"{name!r} has no sequence", line=row, remedy="Delete the row."
            )
        yield name, checked(sequence, path, row)


def read_bed(path: Path, genome: Genome) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Give the sequence of each interval, on its strand.

    Intervals are 0-based half-open; the fourth column names them, else
    ``contig:start-end(strand)``. Without a sixth column the strand is forward.

    Raises
    ------
    MalformedFileError
        A line is no interval.
    UnknownContigError, OutOfBoundsError
        It lies on no contig, or beyond its end.
    """
    found = False
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            text = line.rstrip("\r\n")
            if not text or text.startswith(("#", "track", "browser")):
                continue
            found = True
            fields = text.split("\t")
            try:
                contig, start, end = fields[0], int(fields[1]), int(fields[2])
            except (IndexError, ValueError):
                raise MalformedFileError(
                    path, "is no interval", line=number,
                    remedy="BED has contig, start and end, separated by tabs.",
                ) from None  # fmt: skip
            strand = fields[5] if len(fields) > 5 else "+"
            bases = genome.contig(contig)
            if not 0 <= start < end <= len(bases):
                raise OutOfBoundsError(
                    f"{path}, line {number}: {contig}:{start}-{end} (0-based) is no part "
                    f"of {contig} with its {len(bases):,} bp"
                )
            codes = encode(bases[start:end])
            named = len(fields) > 3 and fields[3] not in {"", "."}
            name = fields[3] if named else f"{contig}:{start}-{end}({strand})"
            yield name, reverse_complement(codes) if strand == "-" else codes
    if not found:
        raise MalformedFileError(path, "holds no interval", remedy="Give a BED file.")
