"""bedGraph: a value for each interval, read in blocks as such files are long."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from data_registry.errors import MalformedFileError
from data_registry.parsing import Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    HEAD_BYTES,
    LINE,
    is_number,
    read_blocks,
    read_numbers,
    utf8_head,
)

Lines = npt.NDArray[np.int64]

_TYPES: Final = {
    "contig": pa.dictionary(pa.int32(), pa.string()),
    "start": pa.int64(),
    "end": pa.int64(),
    "score": pa.float64(),
}
_FAULTS: Final = (
    "no_contig", "coordinate_not_whole_number", "negative_coordinate",
    "empty_interval", "no_score",
)  # fmt: skip
_NAMED: Final = re.compile(r"\.(bedgraph|bdg)(\.(gz|bgz|xz|bz2))?$")
_NO_DATA: Final = re.compile(rb"[ \t]*(\n|\Z)|#|(track|browser)([ \t\n]|\Z)")
_SOME_NO_DATA: Final = re.compile(rb"(?m)^([ \t]*\n|#|(track|browser)[ \t\n])")
_DECLARED: Final = re.compile(
    rb"""(?m)^track[ \t].*\btype=["']?bedGraph\b""", re.IGNORECASE
)


def is_bed_graph(path: Path, head: bytes) -> bool:
    """Tell a bedGraph by its track line, its name, or rows of three numbers."""
    is_whole, head = len(head) < HEAD_BYTES, utf8_head(head)
    if b"\x00" in head:
        return False
    if _DECLARED.search(head) or _NAMED.search(path.name.lower()):
        return True
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()
    lines = lines if is_whole else lines[:-1]
    filled = [line for line in lines if not _NO_DATA.match(line)][:50]
    rows = [line.decode("utf-8", "replace").split() for line in filled]
    return bool(rows) and all(
        len(row) == 4 and row[1].isdigit() and row[2].isdigit() and is_number(row[3])
        for row in rows
    )


def read_bed_graph(path: Path, tally: Tally) -> pd.DataFrame:
    """Read the rows of a bedGraph; 0-based half-open.

    Rows without a contig, a whole start and end, a base, or a finite number are left
    out and counted; so are track, browser and comment lines, uncounted.

    Returns
    -------
    pandas.DataFrame
        ``contig`` (categorical), ``start``, ``end``, ``score`` and ``_line``.

    Raises
    ------
    MalformedFileError
        A row has not four columns, more than half are at fault, or there is none.
    """
    parts: list[pa.Table] = []
    for block, lines in _rows_of(path):
        frame = _parse_block(path, block, lines)
        tally.read += len(frame)
        start, end = frame["start"], frame["end"]
        whole = start.notna() & end.notna() & (start % 1 == 0) & (end % 1 == 0)
        checks: dict[str, pd.Series[bool]] = {
            "no_contig": frame["contig"].isna() | (frame["contig"] == ""),
            "coordinate_not_whole_number": ~whole,
            "negative_coordinate": (start < 0) | (end < 0),
            "empty_interval": end <= start,
            "no_score": pd.Series(~np.isfinite(frame["score"].to_numpy(np.float64))),
        }
        for reason, faulty in checks.items():
            frame = leave_out_rows(tally, frame, faulty.loc[frame.index], reason)
        frame = frame.astype({"start": "int64", "end": "int64", LINE: "int64"})
        parts.append(pa.Table.from_pandas(frame, preserve_index=False))
    if not tally.read:
        raise MalformedFileError(
            path, "comments only, no row of data", remedy="Give a file with rows"
        )
    refuse_mostly_faulty(path, tally, _FAULTS)
    whole_table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
    parts.clear()
    found: pd.DataFrame = whole_table.to_pandas(self_destruct=True, split_blocks=True)
    return found


def _rows_of(path: Path) -> Iterator[tuple[bytes, Lines]]:
    """Yield rows of data, tab-separated, with the line of each."""
    for first, block in read_blocks(path):
        lines = first + np.arange(block.count(b"\n"), dtype=np.int64)
        if _SOME_NO_DATA.search(block):
            rows = block.split(b"\n")[: len(lines)]
            kept = [not _NO_DATA.match(row) for row in rows]
            block = b"".join(
                row + b"\n" for row, keep in zip(rows, kept, strict=True) if keep
            )
            lines = lines[kept]
        if b" " in block:
            block = re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", block)
            block = re.sub(rb"[ \t]+", b"\t", block)
        if len(lines):
            yield block, lines


def _parse_block(path: Path, block: bytes, lines: Lines) -> pd.DataFrame:
    try:
        table = _read_csv(block, _TYPES)
    except pa.ArrowInvalid as error:
        if "columns" in str(error):
            found = [row.count(b"\t") + 1 for row in block.split(b"\n")[: len(lines)]]
            at = next(i for i, n in enumerate(found) if n != len(_TYPES))
            raise MalformedFileError(
                path,
                f"{found[at]} columns where a bedGraph has four",
                line=int(lines[at]),
                remedy="Each row is contig, start, end and value",
            ) from error
        table = _read_csv(block, dict.fromkeys(_TYPES, pa.string()))
    frame: pd.DataFrame = table.to_pandas()
    for name in ("start", "end", "score"):
        if frame[name].dtype == object:
            frame[name] = read_numbers(frame[name])
    frame["contig"] = frame["contig"].astype("category")
    frame[LINE] = lines
    return frame


def _read_csv(block: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
    return pacsv.read_csv(
        pa.BufferReader(block),
        read_options=pacsv.ReadOptions(
            column_names=list(_TYPES), block_size=len(block) + 1
        ),
        parse_options=pacsv.ParseOptions(
            delimiter="\t", quote_char=False, ignore_empty_lines=False
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict(types), strings_can_be_null=False
        ),
    )
