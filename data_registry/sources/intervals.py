"""Intervals: BED, peaks, bigBed, chromatin states, repeats, methylated regions, SyRI.

BED, narrowPeak, broadPeak and bigBed are 0-based half-open; GFF, SyRI and tables headed
``Chrom From To State`` are 1-based inclusive. ``one_based`` overrules this, and a note
says when the neighbours in a file suggest the other convention.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyBigWig

from data_registry.coordinates import start_from_one_based
from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows
from data_registry.text_files import (
    HEAD_BYTES,
    LINE,
    MISSING,
    find_column,
    guess_delimiter,
    is_missing,
    open_text,
    read_head,
    read_numbers,
    read_table,
    utf8_head,
)

INTERVAL_KINDS: Final = (
    "cre", "promoter", "enhancer", "peak", "dhs", "chromatin_state", "nucleosome",
    "tss", "repeat", "dmr", "tad", "structural_variant", "intron",
)  # fmt: skip

_CONTIG = ("contig", "chrom", "chr", "chromosome", "seqid", "seqname", "dmr_chr")
_START = ("start", "chromstart", "from", "dmr_start", "begin", "pos")
_END = ("end", "stop", "chromend", "to", "dmr_stop", "dmr_end")
_OTHER: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("name", "id", "te", "teid", "peak", "dmr_feature"),
    "score": ("score",),
    "strand": ("strand",),
    "signal": ("signal", "signalvalue", "value", "ratio_raw_score"),
    "state": ("state", "class", "Absence_classification", "AbsenceClassification"),
}

_STRANDS = frozenset("+-.")
_MISSING_SPELLINGS: Final = sorted(
    {change(word) for word in MISSING for change in (str.lower, str.upper, str.title)}
    | {"NaN", "-NaN"}
)
_SYRI_TYPES: Final = frozenset({
    "SYN", "SYNAL", "INV", "INVAL", "TRANS", "TRANSAL", "INVTR", "INVTRAL", "DUP",
    "DUPAL", "INVDP", "INVDPAL", "NOTAL", "SNP", "INS", "DEL", "CPL", "CPG", "HDR",
    "TDM",
})  # fmt: skip
_SYRI_DROPPED: Final[Mapping[str, str]] = {
    "SYN": "syntenic", "SYNAL": "syntenic", "SNP": "single_base",
    "INVAL": "alignment_part", "TRANSAL": "alignment_part",
    "INVTRAL": "alignment_part", "DUPAL": "alignment_part",
    "INVDPAL": "alignment_part",
}  # fmt: skip

_GFF_KINDS: Final[Mapping[str, str]] = {
    "repeat": "repeat", "repeat_region": "repeat", "transposable_element": "repeat",
    "dispersed_repeat": "repeat", "tandem_repeat": "repeat", "similarity": "repeat",
    "ltr_retrotransposon": "repeat", "nonrepeat": "repeat",
    "microsatellite": "repeat", "low_complexity_region": "repeat",
    "intron": "intron", "promoter": "promoter", "enhancer": "enhancer",
    "open_chromatin_region": "dhs", "ctcf_binding_site": "cre",
    "tf_binding_site": "cre", "regulatory_region": "cre", "emar": "cre",
    "promoter_flanking_region": "cre", "tss": "tss", "peak": "peak",
    "transcription_start_site": "tss", "nucleosome": "nucleosome",
}  # fmt: skip

_NAME_WORDS: Final = (
    ("nucleosome", r"nucleosom"),
    ("dhs", r"(?<![a-z])dhs|dnase"),
    ("dmr", r"dmr"),
    ("tss", r"(?<![a-z])tss|TSS"),
    ("promoter", r"promoter"),
    ("enhancer", r"enhancer|starr"),
    ("tad", r"(?<![a-z])tads?(?![a-z])"),
    ("intron", r"intron"),
    (
        "structural_variant",
        r"insertion|tepav|tepid|poly_te|syri|(?<![a-z])svs?(?![a-z])",
    ),
    ("repeat", r"repeat|transpos|(?<![a-z])te(?![a-z])"),
    ("chromatin_state", r"chrom\w*[_-]?state"),
    ("cre", r"(?<![a-z])c?cres?(?![a-z])"),
    ("peak", r"peak|atac|faire|(?<![a-z])h[234][ak]"),
)

_GENE_PARTS = re.compile(
    r"(?<![a-z])(exons?|utr[35]?|cds|codons?|(pseudo)?genes?)(?![a-z])"
)
_SAY_KIND: Final = "--option interval_kind=…"
_MIN_WIDE_COLUMNS = 3
_MAX_PAIR_COLUMNS = 24
_LONG_TSS_BP = 500
_NOT_INTERVALS: Final = (
    "ref", "alt", "p", "pvalue", "p_value", "beta", "gene_id", "gene", "locus",
    "transcript_id", "gene_biotype", "biotype",
)  # fmt: skip


# --- options -----------------------------------------------------------------------


def read_flag(request: Request, name: str, *, default: bool | None) -> bool | None:
    """Return a yes/no option, or ``default`` where it was not given.

    Raises
    ------
    InputError
        The option is neither yes nor no.
    """
    given = request.options.get(name)
    if given is None:
        return default
    plain = given.strip().lower()
    if plain in {"yes", "y", "true", "1"}:
        return True
    if plain in {"no", "n", "false", "0"}:
        return False
    raise InputError(f"--option {name}={given}: write {name}=yes or {name}=no")


# --- reading rows ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a text table, as text, before they are understood.

    Parameters
    ----------
    frame
        Text columns (named by the header, or ``"0"``, ``"1"``, …) and ``_line``.
    has_header
        Whether the file names its columns.
    n_padded
        Rows that lacked their last fields, which now read as missing.
    """

    frame: pd.DataFrame
    has_header: bool
    n_padded: int = 0

    @property
    def names(self) -> list[str]:
        """Column names without ``_line``."""
        return [str(name) for name in self.frame.columns if name != LINE]

    @property
    def width(self) -> int:
        """Columns of the file."""
        return len(self.names)


def head_rows(head: bytes) -> list[list[str]]:
    """Split the whole lines of a file's head into fields; comments are left out.

    ``track`` and ``browser`` lines count as comments. A head that is no text gives [].
    """
    is_whole = len(head) < HEAD_BYTES
    head = utf8_head(head)
    if b"\x00" in head:
        return []
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    whole = text if is_whole else text[: text.rfind("\n") + 1]
    lines = [line for line in whole.splitlines() if not _is_comment(line)][:200]
    if not lines:
        return []
    delimiter = guess_delimiter(lines)
    if delimiter == " ":
        return [line.split() for line in lines]
    return [[field.strip() for field in line.split(delimiter)] for line in lines]


def _is_comment(line: str) -> bool:
    return (
        not line.strip()
        or line.startswith("#")
        or bool(re.match(r"(track|browser)(\s|$)", line))
    )


def looks_whole(text: str) -> bool:
    """Tell whether a field is written as a whole number."""
    return bool(re.fullmatch(r"[+-]?\d+", text))


def is_gff_row(row: list[str]) -> bool:
    """Tell whether a row has GFF's nine columns."""
    return (
        len(row) == 9
        and looks_whole(row[3])
        and looks_whole(row[4])
        and row[6] in {"+", "-", ".", "?"}
    )


def is_syri_row(row: list[str]) -> bool:
    """Tell whether a row has the twelve columns of SyRI's ``.out``."""
    return len(row) in {11, 12} and row[10] in _SYRI_TYPES


def is_bed_row(row: list[str]) -> bool:
    """Tell whether a row starts as BED does: contig, start, end."""
    return len(row) >= 3 and looks_whole(row[1]) and looks_whole(row[2])


def is_pair_row(row: list[str]) -> bool:
    """Tell whether a row names two anchors, as BEDPE does."""
    return (
        len(row) >= 6
        and is_bed_row(row)
        and looks_whole(row[4])
        and looks_whole(row[5])
        and row[3] not in _STRANDS
        and row[5] not in _STRANDS
        and int(row[1]) < int(row[2])
        and int(row[4]) < int(row[5])
        and len(row) <= _MAX_PAIR_COLUMNS
        and (row[3] == row[0] or row[3][:2] == row[0][:2] or not looks_whole(row[3]))
    )


def read_rows(
    path: Path,
    columns: Mapping[str, str],
    *,
    shown: str = "",
    pad_from: int | None = None,
) -> Rows:
    """Read the rows of an interval table as text.

    Parameters
    ----------
    path
        The file; compression is told by content.
    columns
        Wanted name to header name or 0-based index.
    shown
        What messages call the file, where it is an unpacked part of another.
    pad_from
        Rows of so many fields or more may lack their last ones. None: every row needs
        as many fields as the first.

    Raises
    ------
    MalformedFileError
        The file is empty, binary, truncated or ragged.
    """
    name = shown or str(path)
    head = read_head(path)
    if not head.strip():
        raise MalformedFileError(name, "the file is empty", remedy="Give another file")
    rows = head_rows(head)
    is_whole, head = len(head) < HEAD_BYTES, utf8_head(head)
    if not rows and b"\x00" not in head:
        _refuse_without_rows(name, head, is_whole=is_whole)
    first = rows[0] if rows else []
    is_named = not (is_bed_row(first) or is_gff_row(first) or is_syri_row(first))
    # ``#chrom start end …`` above rows without a header of their own
    if not is_named and not is_gff_row(first) and (above := _comment_header(head)):
        is_named = len(above) == len(first)
    if is_named and rows and len(first) < 3:
        raise MalformedFileError(
            name,
            f"{len(first)} column(s) where an interval needs three at least",
            line=1,
            remedy="Separate contig, start and end by tabs",
        )
    widths = {len(row) for row in rows}
    n_padded = 0
    try:
        if re.search(rb"(?m)^(track|browser)[ \t]", head):
            frame, n_padded = _read_copy(path, columns, header=is_named)
        else:
            try:
                frame = read_table(path, header=is_named, columns=columns)
            except MalformedFileError as error:
                if pad_from is None or is_named or error.line is None:
                    raise
                frame, n_padded = _read_copy(
                    path, columns, header=False, pad_from=pad_from, width=max(widths)
                )
    except MalformedFileError as error:
        raise MalformedFileError(
            name, error.problem, line=error.line, remedy=error.remedy
        ) from error
    return Rows(frame, is_named, n_padded)


def _refuse_without_rows(name: str, head: bytes, *, is_whole: bool) -> None:
    last = re.split(rb"\r\n|\r|\n", head)[-1]
    if is_whole or _is_comment(last.decode("utf-8", errors="replace")):
        where = "" if is_whole else f" in the first {HEAD_BYTES:,} bytes"
        raise MalformedFileError(
            name,
            f"comments only, no row of data{where}",
            remedy="Give a file with rows",
        )
    raise MalformedFileError(
        name,
        f"a line of more than {len(last):,} bytes where a contig, a start and an end "
        "are expected",
        line=len(re.findall(rb"\r\n|\r|\n", head)) + 1,
        remedy="Give a table with one interval a line",
    )


def _comment_header(head: bytes) -> list[str] | None:
    comments: list[str] = []
    for line in head.decode("utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line)
    if not comments:
        return None
    names = re.split(r"[\t, ]+", comments[-1].lstrip("#").strip())
    return names if find_column(names, *_START) and find_column(names, *_END) else None


def _read_copy(
    path: Path,
    columns: Mapping[str, str],
    *,
    header: bool,
    pad_from: int | None = None,
    width: int = 0,
) -> tuple[pd.DataFrame, int]:
    """Read a copy with browser lines made comments and short rows made whole."""
    # read_table knows one comment mark and one width; lines keep their number.
    n_padded = 0
    with open_text(path) as lines, tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "rows"
        with copy.open("w", encoding="utf-8") as out:
            for line in lines:
                if line.strip() and not line.startswith("#") and _is_comment(line):
                    out.write(f"##{line}")
                    continue
                n_fields = line.count("\t") + 1
                if pad_from is not None and pad_from <= n_fields < width:
                    n_padded += 1
                    out.write(line.rstrip("\n") + "\t" * (width - n_fields) + "\n")
                else:
                    out.write(line)
        return read_table(copy, header=header, columns=columns), n_padded


# --- cleaning ----------------------------------------------------------------------


def clean_spans(
    path: Path | str, frame: pd.DataFrame, tally: Tally, *, one_based: bool
) -> pd.DataFrame:
    """Turn ``contig``, ``start``, ``end`` from text to spans, 0-based half-open.

    Rows without a contig, with a coordinate that is no whole number, that are negative
    or that hold no base are left out and counted.

    Parameters
    ----------
    path
        The file, for messages.
    frame
        Text columns ``contig``, ``start``, ``end`` and ``_line``; others are kept.
    tally
        Gets the rows left out; ``read`` is the caller's.
    one_based
        The file counts from 1 and its ends are inclusive.

    Raises
    ------
    MalformedFileError
        More than half of the rows are at fault.
    """
    start, end = read_numbers(frame["start"]), read_numbers(frame["end"])
    # a 1-based inclusive start is one more than the 0-based one; the end is the same
    if one_based:
        start = start_from_one_based_column(start)
    is_number = start.notna() & end.notna() & (start % 1 == 0) & (end % 1 == 0)
    faults = {
        "no_contig": is_missing(frame["contig"]),
        "coordinate_not_whole_number": ~is_number,
        "negative_coordinate": (start < 0) | (end < 0),
        "too_large_coordinate": (start > 2**53) | (end > 2**53),
        "empty_interval": end <= start,
    }
    keep = leave_out_faults(path, frame, tally, faults)
    kept = frame[keep].copy()
    kept["start"] = start[keep].astype("int64")
    kept["end"] = end[keep].astype("int64")
    return kept


def start_from_one_based_column(start: "pd.Series[float]") -> "pd.Series[float]":
    """Return 0-based starts of 1-based positions, as ``coordinates`` defines them."""
    return start + start_from_one_based(0)


def leave_out_faults(
    path: Path | str,
    frame: pd.DataFrame,
    tally: Tally,
    faults: Mapping[str, "pd.Series[bool]"],
) -> "pd.Series[bool]":
    """Count each faulty row once, under its first fault; return the rows to keep.

    Raises
    ------
    MalformedFileError
        More than half of the rows are at fault.
    """
    keep = pd.Series(data=True, index=frame.index)
    first_line: int | None = None
    worst: dict[str, int] = {}
    for reason, is_faulty in faults.items():
        bad = keep & is_faulty
        if not bad.any():
            continue
        worst[reason] = int(bad.sum())
        leave_out_rows(tally, frame, bad, reason)
        here = int(frame.loc[bad, LINE].min())
        first_line = here if first_line is None else min(here, first_line)
        keep &= ~bad
    if worst and 2 * sum(worst.values()) > len(frame):
        counted = ", ".join(f"{reason}: {n:,}" for reason, n in worst.items())
        raise MalformedFileError(
            path,
            f"{sum(worst.values()):,} of {len(frame):,} rows cannot be used "
            f"({counted})",
            line=first_line,
            remedy="Check that contig, start and end stand where this kind has them, "
            "or name the columns with --column",
        )
    return keep


def describe_base(frame: pd.DataFrame, *, one_based: bool) -> str | None:
    """Say whether neighbouring intervals contradict the assumed convention.

    Where intervals tile a contig, a half-open end equals the next start; in a 1-based
    inclusive file read as half-open a gap of one base is left between them.

    Parameters
    ----------
    frame
        Spans as converted (``contig``, ``start``, ``end``).
    one_based
        The convention that was assumed.
    """
    if len(frame) < 2:
        return None
    ordered = frame[["contig", "start", "end"]].sort_values(["contig", "start"])
    same = ordered["contig"].to_numpy()[1:] == ordered["contig"].to_numpy()[:-1]
    gap = (ordered["start"].to_numpy()[1:] - ordered["end"].to_numpy()[:-1])[same]
    touching, apart = int((gap == 0).sum()), int((gap == 1).sum())
    overlapping = int((gap == -1).sum())
    if not one_based and apart >= 20 and apart > 10 * touching:
        return (
            f"{apart:,} intervals begin one base after their neighbour ends and "
            f"{touching:,} touch it: the file looks 1-based inclusive; if so, add "
            "it with --option one_based=yes"
        )
    if one_based and overlapping >= 20 and overlapping > 10 * touching:
        return (
            f"read as 1-based, {overlapping:,} intervals overlap their neighbour by "
            f"one base and {touching:,} touch it: the file looks 0-based; if so, add "
            "it with --option one_based=no"
        )
    return None


# --- understanding columns ---------------------------------------------------------


def numeric_or_missing(values: "pd.Series[str]") -> bool:
    """Tell whether a text column holds numbers and missing values only."""
    distinct = pd.Series(values.head(1000).unique())
    if not (read_numbers(distinct).notna() | is_missing(distinct)).all():
        return False
    distinct = pd.Series(values.unique())
    return bool((read_numbers(distinct).notna() | is_missing(distinct)).all())


def strand_only(values: "pd.Series[str]") -> bool:
    """Tell whether a text column holds strands only (``+``, ``-``, ``.``)."""
    return set(values.head(1000)) <= _STRANDS and set(values.unique()) <= _STRANDS


def clean_strand(values: "pd.Series[str]") -> "pd.Series[str]":
    """Return strands as ``+``, ``-`` or ``.`` (for all else)."""
    return values.where(values.isin(["+", "-"]), ".")


def clean_text(values: "pd.Series[str]") -> "pd.Series[str]":
    """Return text with missing values as None."""
    # a look-up of the usual spellings: is_missing would lower millions of names
    return values.where(~values.isin(_MISSING_SPELLINGS), None)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of the file holds what, and what the format is called."""

    format: str
    columns: Mapping[str, str]
    kind: str | None = None
    one_based: bool = False


def find_bed_layout(rows: Rows) -> Layout:
    """Find what the columns of a headerless BED-like table hold, by their content."""
    frame = rows.frame
    names = rows.names
    width = rows.width
    columns = {
        wanted: wanted if wanted in names else str(i)
        for i, wanted in enumerate(("contig", "start", "end"))
    }
    columns |= {wanted: wanted for wanted in _OTHER if wanted in names}

    def column(i: int) -> "pd.Series[str] | None":
        return frame[str(i)] if str(i) in names else None

    def put(wanted: str, i: int) -> None:
        columns.setdefault(wanted, str(i))

    fourth, fifth, sixth = column(3), column(4), column(5)
    if fourth is None:
        return Layout("BED3" if width == 3 else f"BED3+{width - 3}", columns)
    if strand_only(fourth) and not (fourth == ".").all():
        put("strand", 3)
        if fifth is not None:
            put("name", 4)
        if width > 5:
            put("state", width - 1)
        is_classed = (
            width > 5 and frame[columns["state"]].str.contains("/").mean() > 0.5
        )
        return Layout(
            f"BED3 with strand{', name' if width > 4 else ''}"
            f"{' and class' if width > 5 else ''}",
            columns,
            kind="repeat" if is_classed else None,
        )
    if width == 4 and numeric_or_missing(fourth) and not is_missing(fourth).all():
        put("signal", 3)
        return Layout("bedGraph (fourth column is a number)", columns)
    put("name", 3)
    if fifth is None or not numeric_or_missing(fifth):
        return Layout(f"BED4{f'+{width - 4}' if width > 4 else ''}", columns)
    put("score", 4)
    if sixth is None or not strand_only(sixth):
        return Layout(f"BED5{f'+{width - 5}' if width > 5 else ''}", columns)
    put("strand", 5)
    numeric = [
        (values := column(i)) is not None and numeric_or_missing(values)
        for i in range(6, min(width, 15))
    ]
    if width == 10 and all(numeric):
        put("signal", 6)
        return Layout("narrowPeak", columns, kind="peak")
    if width == 9 and all(numeric) and not _is_thick(frame):
        put("signal", 6)
        return Layout("broadPeak", columns, kind="peak")
    if width == 15 and all(numeric[6:]) and column(12) is not None:
        put("signal", 12)
        return Layout("gappedPeak", columns, kind="peak")
    if width <= 12 and (width < 8 or _is_thick(frame)):
        return Layout(f"BED{width}", columns)
    return Layout(f"BED6+{width - 6}", columns)


def _is_thick(frame: pd.DataFrame) -> bool:
    """Tell whether columns 7 and 8 are BED's thickStart and thickEnd."""
    part = frame.head(1000)
    if "6" not in part or "7" not in part:
        return False
    thick_start, thick_end = read_numbers(part["6"]), read_numbers(part["7"])
    start, end = (read_numbers(part[c]) for c in part.columns[1:3])
    inside = (thick_start >= start) & (thick_end <= end) & (thick_start <= thick_end)
    return bool((inside | ((thick_start == 0) & (thick_end == 0))).mean() > 0.9)


def find_named_column(names: list[str], *wanted: str) -> str | None:
    """Return the first column spelled as wanted, else the first spelled about so.

    An accession called ``En_D`` is no ``end`` where a column ``stop`` stands.
    """
    exact = {name.lower(): name for name in reversed(names)}
    for spelling in wanted:
        if (found := exact.get(spelling.lower())) is not None:
            return found
    return find_column(names, *wanted)


def find_named_layout(path: Path | str, rows: Rows) -> Layout:
    """Find the columns of a table that names them.

    Raises
    ------
    MalformedFileError
        The table names no contig, start or end.
    """
    names = rows.names
    found = {
        "contig": find_named_column(names, *_CONTIG),
        "start": find_named_column(names, *_START),
        "end": find_named_column(names, *_END),
    }
    if lacking := [wanted for wanted, name in found.items() if name is None]:
        raise MalformedFileError(
            path,
            f"no column for {', '.join(lacking)}; the header names "
            f"{', '.join(map(repr, names[:12]))}",
            line=1,
            remedy="Name it, e.g. --column start=From (or its 0-based position)",
        )
    columns = {wanted: name for wanted, name in found.items() if name is not None}
    for wanted, spellings in _OTHER.items():
        name = find_named_column(names, wanted, *spellings)
        if name is not None and name not in columns.values():
            columns[wanted] = name
    is_states = columns["start"].lower() == "from" and columns["end"].lower() == "to"
    if "Accessions_TE_present" in names:
        columns["score"] = "MAF"
        return Layout("TEPAV table", columns, kind="structural_variant")
    if columns["contig"].lower() == "dmr_chr":
        return Layout("DMR table", columns, kind="dmr")
    if "state" in columns and is_states:
        return Layout(
            "chromatin state table", columns, kind="chromatin_state", one_based=True
        )
    return Layout("table with a header", columns, one_based=is_states)


def find_layout(path: Path | str, rows: Rows) -> Layout:
    """Find what the columns of an interval table hold."""
    if rows.has_header:
        return find_named_layout(path, rows)
    first = [str(value) for value in rows.frame[rows.names].iloc[0]]
    if is_syri_row(first):
        columns = {"contig": "0", "start": "1", "end": "2", "name": "8", "state": "10"}
        return Layout("SyRI .out", columns, "structural_variant", one_based=True)
    if is_gff_row(first):
        columns = {
            "contig": "0", "start": "3", "end": "4", "score": "5", "strand": "6",
            "state": "2", "name": "8",
        }  # fmt: skip
        return Layout("GFF", columns, one_based=True)
    return find_bed_layout(rows)


def _guess_kind(path: Path, layout: Layout) -> tuple[str, str]:
    """Return the kind of interval and why."""
    name = path.name
    for kind, pattern in _NAME_WORDS:
        if re.search(pattern, name if "TSS" in pattern else name.lower()):
            by_name: str | None = kind
            break
    else:
        by_name = None
    if layout.kind == "peak" and by_name in {"dhs", "nucleosome", "enhancer"}:
        return by_name, "by the file's name"
    if layout.kind is not None:
        return layout.kind, f"by the format, {layout.format}"
    if by_name is not None:
        return by_name, "by the file's name"
    if part := _GENE_PARTS.search(name.lower()):
        raise MalformedFileError(
            path,
            f"its name says that it holds {part[0]}, which are no kind of interval",
            remedy="Add gene models as GFF with --kind annotation; if these intervals "
            f"are something else, say what with {_SAY_KIND}",
        )
    return "cre", "for want of any hint"


# --- parsing -----------------------------------------------------------------------


def parse(request: Request) -> Parsed:
    """Read a file of intervals; see the module's docstring for the formats.

    Raises
    ------
    MalformedFileError
        The file is no interval file, or more than half of its rows are at fault.
    InputError
        An option has an unknown value.
    """
    path = request.path
    wanted_kind = request.options.get("interval_kind")
    if wanted_kind is not None and wanted_kind not in INTERVAL_KINDS:
        raise InputError(
            f"--option interval_kind={wanted_kind}: choose one of "
            f"{', '.join(INTERVAL_KINDS)}"
        )
    is_big = is_bigbed(path)
    rows = read_bigbed(path) if is_big else read_rows(path, request.columns)
    layout = find_layout(path, rows)
    frame = rows.frame
    tally = Tally(read=len(frame))
    notes: list[str] = []
    one_based = read_flag(request, "one_based", default=layout.one_based)
    form = f"bigBed of {layout.format}" if is_big else layout.format
    notes.append(
        f"read as {form}, "
        + ("1-based inclusive" if one_based else "0-based half-open")
        + "".join(f"; {w}: {_shown(rows, c)}" for w, c in layout.columns.items())
    )

    if layout.format == "SyRI .out":
        frame = _select_syri(request, frame, tally, notes)
    kind, by_row = "", None
    if layout.format == "GFF" and wanted_kind is None:
        frame, by_row = _select_gff(path, frame, tally)
        notes.append(f"kinds by the GFF types: {', '.join(sorted(set(by_row)))}")
    elif wanted_kind is not None:
        kind = wanted_kind
    else:
        kind, why = _guess_kind(path, layout)
        notes.append(f"taken as {kind} {why}; say otherwise with {_SAY_KIND}")

    spans = pd.DataFrame(
        {wanted: frame[column] for wanted, column in layout.columns.items()}
    )
    spans[LINE] = frame[LINE]
    if (pattern := request.options.get("contig_pattern")) is not None:
        spans = _extract_contigs(spans, pattern)
    spans = clean_spans(path, spans, tally, one_based=bool(one_based))
    if base := describe_base(spans, one_based=bool(one_based)):
        notes.append(base)
    table = _fill_columns(spans, request)
    table["kind"] = kind if by_row is None else by_row.loc[spans.index]
    if layout.format == "GFF":
        table["name"] = _gff_names(spans["name"])
    if layout.format == "TEPAV table":
        notes.append(
            "score is the minor allele frequency, state says whether the absence is an "
            "insertion or a deletion; the lists of accessions are not kept"
        )
    if kind == "chromatin_state" and "state" not in spans:
        if "name" in spans:
            table["state"] = table["name"]
        elif "signal" in spans:  # four columns, the last a number: the state's
            table["state"], table["signal"] = spans["signal"], np.nan
    if kind == "tss":
        _move_to_five_prime(request, table, notes)
    used = set(layout.columns.values())
    unused = [name for name in rows.names if name not in used]
    if kind == "dmr" and rows.has_header and _are_samples(rows, unused):
        table = _spread_samples(rows, unused, spans, table, tally, notes)
    elif unused:
        shown = [_shown(rows, name) for name in unused[:8]]
        more = f" and {len(unused) - 8} more" if len(unused) > 8 else ""
        notes.append(f"columns not kept: {', '.join(shown)}{more}")
    return Parsed({"intervals": table.reset_index(drop=True)}, tally, notes)


def _extract_contigs(spans: pd.DataFrame, pattern: str) -> pd.DataFrame:
    """Take contigs out of longer names (``AT(.)G`` in ``AT5G65030.1``: contig 5).

    The whole name becomes the interval's name where it has none; a name that the
    pattern does not match gives no contig.

    Raises
    ------
    InputError
        The pattern is no regular expression with one group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--option contig_pattern={pattern}: {error}") from error
    if compiled.groups != 1:
        raise InputError(
            f"--option contig_pattern={pattern}: {compiled.groups} groups; write one, "
            "around what is the contig, e.g. AT(.)G"
        )
    whole = spans["contig"]
    found = whole.str.extract(compiled, expand=False).fillna("")
    return spans.assign(contig=found, name=spans.get("name", whole))


def _shown(rows: Rows, column: str) -> str:
    """Name a column as a person would: by its header or its 1-based position."""
    if rows.has_header or not column.isdigit():
        return column
    return f"column {int(column) + 1}"


def _fill_columns(spans: pd.DataFrame, request: Request) -> pd.DataFrame:
    def text(name: str) -> "pd.Series[str]":
        if name in spans:
            return clean_text(spans[name])
        return pd.Series(np.full(len(spans), None, dtype=object), index=spans.index)

    def number(name: str) -> "pd.Series[float]":
        if name in spans:
            return read_numbers(spans[name])
        return pd.Series(np.nan, index=spans.index)

    return pd.DataFrame(
        {
            "kind": "",
            "name": text("name"),
            "contig": spans["contig"],
            "start": spans["start"],
            "end": spans["end"],
            "strand": clean_strand(spans["strand"]) if "strand" in spans else ".",
            "score": number("score"),
            "signal": number("signal"),
            "state": text("state"),
            "sample": request.options.get("sample", request.name),
            LINE: spans[LINE],
        }
    )


def _select_syri(
    request: Request, frame: pd.DataFrame, tally: Tally, notes: list[str]
) -> pd.DataFrame:
    wanted = request.options.get("syri_types")
    types = frame["10"]
    if unknown := sorted(set(types.unique()) - _SYRI_TYPES):
        line = int(frame.loc[types == unknown[0], LINE].iloc[0])
        raise MalformedFileError(
            request.path,
            f"{unknown[0]!r} is no SyRI annotation",
            line=line,
            remedy="Give SyRI's .out file as SyRI wrote it",
        )
    if wanted is None:
        reasons = types.map(_SYRI_DROPPED)
        notes.append(
            "SyRI: syntenic rows, the alignments that make up a rearrangement and "
            "single bases are left out; choose with --option syri_types=INV,DUP,…"
        )
    else:
        chosen = {part.strip().upper() for part in wanted.split(",")}
        if wrong := sorted(chosen - _SYRI_TYPES):
            raise InputError(
                f"--option syri_types={wanted}: no SyRI type {', '.join(wrong)}; "
                f"there are {', '.join(sorted(_SYRI_TYPES))}"
            )
        reasons = types.map(
            {t: None if t in chosen else "not_chosen" for t in _SYRI_TYPES}
        )
    reasons = reasons.where(frame["0"] != "-", "not_on_reference")
    for reason in sorted(set(reasons.dropna())):
        leave_out_rows(tally, frame, reasons == reason, reason)
    return frame[reasons.isna()]


def _select_gff(
    path: Path, frame: pd.DataFrame, tally: Tally
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    kinds = frame["2"].str.lower().map(_GFF_KINDS)
    if kinds.isna().all():
        raise MalformedFileError(
            path,
            "a GFF whose types are no intervals of this kind: "
            f"{', '.join(sorted(set(frame['2']))[:8])}",
            line=int(frame[LINE].iloc[0]),
            remedy="Add gene models with --kind annotation, or say what these are with "
            f"{_SAY_KIND}",
        )
    kept = leave_out_rows(tally, frame, kinds.isna(), "gff_type_of_no_interval_kind")
    return kept, kinds[kinds.notna()]


def _gff_names(attributes: "pd.Series[str]") -> "pd.Series[str]":
    pattern = r'(?:^|[;\s])(?:ID|Name|Target)[= ]"?(?:Motif:)?([^;"]+)'
    return clean_text(attributes.str.extract(pattern, expand=False).fillna(""))


def _move_to_five_prime(
    request: Request, table: pd.DataFrame, notes: list[str]
) -> None:
    """Shrink stranded transcripts to the base where they start, in place."""
    is_stranded = table["strand"].isin(["+", "-"])
    length = table["end"] - table["start"]
    is_long = len(table) > 0 and bool(length.median() > _LONG_TSS_BP)
    wanted = read_flag(
        request, "five_prime", default=is_long and bool(is_stranded.all())
    )
    if not wanted:
        return
    forward, backward = table["strand"] == "+", table["strand"] == "-"
    table.loc[forward, "end"] = table.loc[forward, "start"] + 1
    table.loc[backward, "start"] = table.loc[backward, "end"] - 1
    notes.append(
        f"{int(is_stranded.sum()):,} intervals (median {length.median():,.0f} bp) cut "
        "to the base at their 5' end; keep them whole with --option five_prime=no"
    )


def _are_samples(rows: Rows, columns: list[str]) -> bool:
    return len(columns) >= _MIN_WIDE_COLUMNS and all(
        numeric_or_missing(rows.frame[name]) for name in columns
    )


def _spread_samples(
    rows: Rows,
    samples: list[str],
    spans: pd.DataFrame,
    table: pd.DataFrame,
    tally: Tally,
    notes: list[str],
) -> pd.DataFrame:
    """Give every accession with a value a row of its own."""
    values = rows.frame.loc[spans.index, samples].apply(read_numbers).to_numpy()
    is_empty = pd.Series(np.isnan(values).all(axis=1), index=spans.index)
    leave_out_rows(tally, spans, is_empty, "no_value_in_any_sample")
    at_row, at_sample = np.nonzero(~np.isnan(values))
    long = table.iloc[at_row].reset_index(drop=True)
    long["sample"] = np.asarray(samples, dtype=object)[at_sample]
    long["signal"] = values[at_row, at_sample]
    notes.append(
        f"{len(samples)} columns taken as samples ({samples[0]} … {samples[-1]}): one "
        f"row each region and sample with a value, {int(np.isnan(values).sum()):,} "
        "missing values left out"
    )
    return long


# --- bigBed ------------------------------------------------------------------------

_BIGBED_MAGIC = (bytes.fromhex("ebf28987"), bytes.fromhex("8789f2eb"))


def is_bigbed(path: Path) -> bool:
    """Tell a bigBed file by its magic number."""
    try:
        with path.open("rb") as raw:
            return raw.read(4) in _BIGBED_MAGIC
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened ({error.strerror}). Check the path and its "
            "permissions"
        ) from error


def read_bigbed(path: Path) -> Rows:
    """Read all entries of a bigBed file; ``_line`` is the entry's number.

    Raises
    ------
    MalformedFileError
        The file is damaged or empty.
    """
    try:
        big = pyBigWig.open(str(path))
    except RuntimeError as error:
        raise MalformedFileError(
            path, "not a whole bigBed file", remedy="Fetch the file again"
        ) from error
    contigs: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    rests: list[str] = []
    try:
        for contig, length in big.chroms().items():
            for start, end, rest in big.entries(contig, 0, length) or ():
                contigs.append(contig)
                starts.append(start)
                ends.append(end)
                rests.append(rest)
    except RuntimeError as error:
        raise MalformedFileError(
            path,
            "its data cannot be read to the end",
            remedy="Fetch the file again",
        ) from error
    finally:
        big.close()
    if not contigs:
        raise MalformedFileError(
            path, "a bigBed without entries", remedy="Give another"
        )
    frame = pd.DataFrame(
        {"0": contigs, "1": [str(s) for s in starts], "2": [str(e) for e in ends]}
    )
    if any(rests):
        rest_columns = pd.Series(rests).str.split("\t", expand=True).fillna("")
        for i, name in enumerate(rest_columns.columns):
            frame[str(3 + i)] = rest_columns[name]
    frame[LINE] = np.arange(1, len(frame) + 1)
    return Rows(frame, has_header=False)


# --- detection ---------------------------------------------------------------------

_LEAST_PLAIN_END = 100
_BED_ENDINGS = re.compile(
    r"\.(bed\d*|bedgraph|bdg|narrowpeak|broadpeak|gappedpeak)(\.(gz|bgz|xz|bz2))?$"
)


def detect(path: Path, head: bytes) -> bool:
    """Tell whether a file looks like intervals."""
    if head[:4] in _BIGBED_MAGIC:
        return True
    rows = head_rows(head)
    if not rows:
        return False
    if is_syri_row(rows[0]):
        return True
    if all(is_gff_row(row) for row in rows):
        return all(row[2].lower() in _GFF_KINDS for row in rows)
    if is_bed_row(rows[0]):
        if is_pair_row(rows[0]):
            return False
        is_named_bed = bool(_BED_ENDINGS.search(path.name.lower()))
        body = [row for row in rows if is_bed_row(row)]
        # numbers alone may be any table; those need positions such as genes have
        is_plain = any(looks_whole(row[0]) for row in body)
        least = _LEAST_PLAIN_END if is_plain else 0
        ordered = all(least <= int(row[2]) > int(row[1]) for row in body)
        return is_named_bed or (len(body) == len(rows) and ordered)
    names = rows[0]
    return (
        find_column(names, *_CONTIG) is not None
        and find_column(names, *_START) is not None
        and find_column(names, *_END) is not None
        and len(rows) > 1
        and find_column(names, *_NOT_INTERVALS) is None
    )


KINDS: tuple[Kind, ...] = (
    Kind(
        name="intervals",
        meaning="BED, narrowPeak, bigBed, chromatin states, repeats, DMRs, SyRI, …",
        detect=detect,
        parse=parse,
        tables=("intervals",),
        options={
            "interval_kind": f"what they are: {', '.join(INTERVAL_KINDS)}",
            "sample": "tissue, assay or accession (default: the data set's name)",
            "one_based": "yes: starts count from 1 and ends are inclusive; no: as BED",
            "five_prime": "yes: keep only the base at the 5' end (interval_kind=tss)",
            "syri_types": "SyRI annotations to keep, e.g. INV,DUP,TRANS",
            "contig_pattern": "regular expression whose group is the contig: AT(.)G",
        },
    ),
)
