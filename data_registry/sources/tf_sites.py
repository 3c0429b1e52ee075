"""Measured transcription factor binding: BED with a factor column, peaks, archives.

All coordinates are 0-based half-open unless ``one_based=yes`` says otherwise. An
archive (``.tar``, also gz, xz or bz2) holds one peak file a factor, named after it.
"""

import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.sources.intervals import (
    Layout,
    Rows,
    clean_spans,
    clean_strand,
    clean_text,
    describe_base,
    find_layout,
    find_named_column,
    head_rows,
    is_bed_row,
    is_bigbed,
    is_gff_row,
    is_pair_row,
    is_syri_row,
    numeric_or_missing,
    read_bigbed,
    read_flag,
    read_rows,
    strand_only,
)
from data_registry.text_files import LINE, is_missing, is_number, read_numbers

_PEAK_ENDINGS: Final = re.compile(
    r"\.(bed\d*|narrowpeak|broadpeak|txt|tsv)(\.(gz|bgz|xz|bz2))?$", re.IGNORECASE
)
_TF_COLUMNS: Final = ("tf", "tf_name", "factor", "transcription_factor", "name")
_TF_GENE_COLUMNS: Final = ("tf_gene_id", "tf_gene", "tf_id", "gene_id", "gene", "agi")
_MIN_ROWS_TO_JUDGE = 20


def parse(request: Request) -> Parsed:
    """Read binding sites from one table or from an archive with one table a factor.

    Raises
    ------
    MalformedFileError
        The file is no table of sites or no archive of such tables, or nothing says
        which factor a site belongs to.
    """
    tally = Tally()
    notes: list[str] = []
    if is_tar(request.path):
        table = _read_archive(request, tally, notes)
    else:
        path = request.path
        if is_bigbed(path):
            rows = read_bigbed(path)
        else:
            # a factor without a known gene: its rows may end after its name
            rows = read_rows(path, request.columns, pad_from=4)
        if rows.n_padded:
            notes.append(f"{rows.n_padded:,} rows end after their fourth column")
        table = _read_sites(request, str(path), rows, tally, notes, member=None)
    if base := describe_base(table, one_based=_is_one_based(request)):
        notes.append(base)
    return Parsed({"tf_sites": table.reset_index(drop=True)}, tally, notes)


def _is_one_based(request: Request) -> bool:
    return bool(read_flag(request, "one_based", default=False))


def _read_sites(
    request: Request,
    shown: str,
    rows: Rows,
    tally: Tally,
    notes: list[str],
    *,
    member: str | None,
) -> pd.DataFrame:
    """Read the sites of one table; ``member`` is the factor that an archive names."""
    layout = find_layout(shown, rows)
    columns = _site_columns(request, rows, layout, member)
    given = request.options.get("tf", member)
    frame = rows.frame
    tally.read += len(frame)
    spans = pd.DataFrame({wanted: frame[name] for wanted, name in columns.items()})
    spans[LINE] = frame[LINE]
    spans = clean_spans(shown, spans, tally, one_based=_is_one_based(request))
    table = pd.DataFrame(
        {
            "tf": _name_factors(request, shown, spans) if given is None else given,
            "tf_gene_id": clean_text(spans["tf_gene_id"])
            if "tf_gene_id" in spans
            else pd.Series(np.full(len(spans), None, dtype=object), index=spans.index),
            "contig": spans["contig"],
            "start": spans["start"],
            "end": spans["end"],
            "strand": clean_strand(spans["strand"]) if "strand" in spans else ".",
            "signal": read_numbers(spans["signal"]) if "signal" in spans else np.nan,
            "sample": request.options.get("sample", request.name),
            LINE: spans[LINE],
        }
    )
    if request.options.get("tf_gene_id"):
        table["tf_gene_id"] = request.options["tf_gene_id"]
    if member is None:
        notes.append(
            f"read as {layout.format}; "
            + "; ".join(f"{w}: {_column_name(rows, c)}" for w, c in columns.items())
            + (f"; all rows are of {given}" if given is not None else "")
        )
    return table


def _column_name(rows: Rows, column: str) -> str:
    if rows.has_header or not column.isdigit():
        return column
    return f"column {int(column) + 1}"


def _site_columns(
    request: Request, rows: Rows, layout: Layout, member: str | None
) -> dict[str, str]:
    """Return which column holds what: contig, start, end, tf, tf_gene_id and more."""
    columns = {
        wanted: name
        for wanted, name in layout.columns.items()
        if wanted in {"contig", "start", "end", "strand", "signal"}
    }
    columns |= {name: name for name in ("tf", "tf_gene_id") if name in rows.names}
    if rows.has_header:
        for wanted, spellings in (
            ("tf", _TF_COLUMNS),
            ("tf_gene_id", _TF_GENE_COLUMNS),
        ):
            name = find_named_column(rows.names, *spellings)
            if name is not None and name not in columns.values():
                columns.setdefault(wanted, name)
        return columns
    names = layout.columns.get("name")
    is_named_elsewhere = member is not None or "tf" in request.options
    if is_named_elsewhere:
        # one factor a file: a name that never changes is the factor's gene
        is_peaks = layout.kind == "peak"  # whose names are the peaks'
        if names and not is_peaks and _is_constant_gene(rows.frame[names]):
            columns.setdefault("tf_gene_id", names)
        return columns
    if names is not None:
        columns.setdefault("tf", names)
    fifth = str(int(names) + 1) if names is not None and names.isdigit() else None
    if fifth in rows.names and fifth not in columns.values() and fifth is not None:
        values = rows.frame[fifth]
        if not numeric_or_missing(values) and not strand_only(values):
            columns.setdefault("tf_gene_id", fifth)
    return columns


def _is_constant_gene(values: "pd.Series[str]") -> bool:
    distinct = values.unique()
    return (
        len(distinct) == 1
        and not is_missing(values.head(1)).iloc[0]
        and not is_number(str(distinct[0]))
        and re.search(r"\d", str(distinct[0])) is not None
    )


def _name_factors(
    request: Request, shown: str, spans: pd.DataFrame
) -> "pd.Series[str]":
    """Return the factor of each site.

    Raises
    ------
    MalformedFileError
        There is no column of factors, or it holds names of peaks.
    """
    remedy = (
        "Name the factor with --option tf=NAME, or its column with --column tf=…; a "
        "set of peaks of no factor is added with --kind intervals"
    )
    if "tf" not in spans:
        raise MalformedFileError(
            shown, "nothing says which factor the sites belong to", remedy=remedy
        )
    names = spans["tf"]
    if part := request.options.get("name_part"):
        if not part.isdigit() or int(part) < 1:
            raise InputError(f"--option name_part={part}: write a number from 1 on")
        names = names.str.split(".").str[int(part) - 1]
        if names.isna().any():
            line = int(spans.loc[names.isna(), LINE].iloc[0])
            raise MalformedFileError(
                shown,
                f"a name without a dot-separated part {part}",
                line=line,
                remedy="Give another name_part, or none",
            )
    if is_missing(names).any():
        line = int(spans.loc[is_missing(names), LINE].iloc[0])
        raise MalformedFileError(
            shown, "a site without a factor's name", line=line, remedy=remedy
        )
    if len(names) >= _MIN_ROWS_TO_JUDGE and names.nunique() > len(names) / 2:
        raise MalformedFileError(
            shown,
            f"{names.nunique():,} different names in {len(names):,} rows "
            f"({names.iloc[0]!r}, …): these name peaks, not factors",
            line=int(spans[LINE].iloc[0]),
            remedy=remedy,
        )
    return names


# --- archives ----------------------------------------------------------------------


def is_tar(path: Path) -> bool:
    """Tell whether a file is a tar archive, by its content.

    Raises
    ------
    InputError
        The file cannot be opened.
    """
    try:
        return tarfile.is_tarfile(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened ({error.strerror}). Check the path and its "
            "permissions"
        ) from error
    except (EOFError, LZMAError, zlib.error):
        return False  # reading it as text says what is wrong with it


def _read_archive(request: Request, tally: Tally, notes: list[str]) -> pd.DataFrame:
    tables: list[pd.DataFrame] = []
    ignored: list[str] = []
    by_factor: dict[str, str] = {}
    layouts: dict[str, int] = {}
    for name, member in _unpack(request.path):
        stem = _PEAK_ENDINGS.sub("", PurePosixPath(name).name)
        if stem == PurePosixPath(name).name:
            ignored.append(name)
            continue
        shown = f"{request.path}::{name}"
        if stem in by_factor:
            raise MalformedFileError(
                shown,
                f"a second file of {stem}, after {by_factor[stem]}",
                remedy="Give an archive with one file a factor",
            )
        by_factor[stem] = name
        if not member.stat().st_size:
            notes.append(f"{name} is empty: no site of {stem}")
            continue
        rows = read_rows(member, request.columns, shown=shown)
        form = find_layout(shown, rows).format
        layouts[form] = layouts.get(form, 0) + 1
        tables.append(_read_sites(request, shown, rows, tally, notes, member=stem))
    if not tables:
        raise MalformedFileError(
            request.path,
            "an archive without a BED or peak file in it",
            remedy="Give an archive with one .bed or .narrowPeak file a factor",
        )
    forms = ", ".join(f"{n} × {form}" for form, n in sorted(layouts.items()))
    notes.append(
        f"archive of {len(by_factor)} files, one a factor, named by the file ({forms})"
    )
    if ignored:
        notes.append(f"not peak files, not read: {', '.join(ignored[:8])}")
    return pd.concat(tables, ignore_index=True)


def _unpack(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file of an archive by name, and its bytes in a passing folder."""
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            tarfile.open(path, "r:*") as archive,
        ):
            for i, entry in enumerate(archive):
                content = archive.extractfile(entry) if entry.isfile() else None
                if content is None:
                    continue
                # numbered, so that no name in the archive can lead out of the folder
                copy = Path(folder) / str(i)
                copy.write_bytes(content.read())
                yield entry.name, copy
                copy.unlink()
    except (tarfile.TarError, EOFError, LZMAError, zlib.error) as error:
        raise MalformedFileError(
            path,
            f"the archive is cut short or damaged ({error})",
            remedy="Fetch or pack it again",
        ) from error


# --- detection ---------------------------------------------------------------------


def detect(path: Path, head: bytes) -> bool:
    """Tell whether a file looks like binding sites with their factors."""
    if head[257:262] == b"ustar":
        return bool(_PEAK_ENDINGS.search(_first_member(path)))
    rows = head_rows(head)
    if not rows or is_gff_row(rows[0]) or is_syri_row(rows[0]):
        return False
    if not is_bed_row(rows[0]):
        plain: Mapping[str, str] = {name.lower(): name for name in rows[0]}
        return (
            bool({"tf", "tf_name", "factor"} & set(plain))
            and "start" in plain
            and ("end" in plain or "stop" in plain)
        )
    return all(
        len(row) == 5
        and is_bed_row(row)
        and not is_pair_row(row)
        and row[3] not in {"+", "-", "."}
        and not is_number(row[3])
        and not is_number(row[4])
        and re.fullmatch(r"[\w.:-]*\d[\w.:-]*", row[4]) is not None
        for row in rows
    )


def _first_member(path: Path) -> str:
    try:
        with tarfile.open(path, "r:*") as archive:
            for entry in archive:
                if entry.isfile():
                    return entry.name
    except (OSError, tarfile.TarError, EOFError, LZMAError, zlib.error):
        return ""
    return ""


KINDS: tuple[Kind, ...] = (
    Kind(
        name="tf_sites",
        meaning="binding sites of transcription factors (ChIP, DAP): BED, peaks, tar",
        detect=detect,
        parse=parse,
        tables=("tf_sites",),
        options={
            "tf": "the factor that all sites belong to",
            "tf_gene_id": "the gene that encodes it",
            "name_part": "dot-separated part of the name that is the factor, from 1",
            "sample": "assay or tissue (default: the data set's name)",
            "one_based": "yes: starts count from 1 and ends are inclusive; no: as BED",
        },
    ),
)
