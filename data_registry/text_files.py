"""Text files and text tables, whatever their compression, line ends or encoding.

Compression is told by the first bytes, never by the name. Everything here refuses a
truncated or binary file with ``MalformedFileError``; nothing returns half a file.
"""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, BinaryIO, Final, TextIO, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Tally

LINE = "_line"
"""Column that holds the 1-based line of a row in its file."""

HEAD_BYTES: Final = 65_536
LONGEST_LINE: Final = 512 * 1024 * 1024
"""Bytes; a longer line means that the file is not the text table it is given as."""

MISSING: Final = frozenset(
    {"", "na", "n/a", "nan", "-nan", "null", "none", ".", "-", "#n/a", "<na>", "nd"}
)
"""Spellings of a missing value, lower case."""

GENE_PATTERN: Final = re.compile(
    r"^(AT[1-5MC]G\d{5}|LOC_Os\d\dg\d{5}|Os\d\dg\d{7}|Zm\d{5}[a-z]+\d{6}"
    r"|GRMZM\w+\d{6}|Solyc\d\dg\d{6}|Glyma\.?\d\dG\d{6}|TraesCS\w+\d{5}"
    r"|ENS[A-Z]*[GTR]\w*\d{8}|Y[A-P][LR]\d{3}[WC]|Sobic\.\d{3}G\d{6}|MTR_\d\w+"
    r"|Medtr\w+|(MH|ZS)\d\dg\d{7}|HORVU\w+\d{6})",
    re.IGNORECASE,
)
"""Locus names of the species in the catalogue; only ``detect`` may lean on it."""

_BGZF_END: Final = bytes.fromhex(
    "1f8b08040000000000ff0600424302001b0003000000000000000000"
)
_UNREADABLE: Final = {
    "zip": ("it is a zip archive", "Unpack it and add the files inside"),
    "zstd": ("it is compressed with zstd", "Give it as gz, bgz or xz"),
}
_REMEDY_TRUNCATED: Final = "Fetch or compress the file again"
_REMEDY_BINARY: Final = "Give a text file, or name the kind it really is with --kind"
_REMEDY_COLUMNS: Final = (
    "Every row needs the columns of the header: check the delimiter and this line"
)


def _decode_latin1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("cisgraph_latin1", _decode_latin1)

# csv stops at fields over 128 kB, which are odd here and no fault.
csv.field_size_limit(LONGEST_LINE)


def detect_compression(path: Path) -> str:
    """Return ``""``, gz, bgz, xz, bz2, zip or zstd, by the first bytes."""
    with _open_raw(path) as raw:
        head = raw.read(18)
    if head[:2] == b"\x1f\x8b":
        is_bgzf = len(head) >= 14 and head[3] & 4 and head[12:14] == b"BC"
        return "bgz" if is_bgzf else "gz"
    if head[:6] == b"\xfd7zXZ\x00":
        return "xz"
    if head[:3] == b"BZh":
        return "bz2"
    if head[:4] == b"\x28\xb5\x2f\xfd":
        return "zstd"
    if head[:4] == b"PK\x03\x04":
        return "zip"
    return ""


def _open_raw(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path}: cannot be opened ({reason}). Check the path and its permissions"
        ) from error


class _CheckedStream(io.RawIOBase):
    """Decompressed bytes; faults of the compression become ``MalformedFileError``."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._stream, self._seen = path, stream, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except EOFError as error:
            raise MalformedFileError(
                self._path,
                f"the compressed data end after {self._seen:,} bytes of text, "
                "before their end mark: the file is truncated",
                remedy=_REMEDY_TRUNCATED,
            ) from error
        except (OSError, zlib.error, lzma.LZMAError) as error:
            raise MalformedFileError(
                self._path,
                f"cannot be read after {self._seen:,} bytes of text ({error})",
                remedy=_REMEDY_TRUNCATED,
            ) from error
        self._seen += len(data)
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_binary(path: Path) -> io.BufferedReader:
    """Open a file for reading bytes, decompressed if gz, bgz, xz or bz2.

    Raises
    ------
    InputError
        The file cannot be opened.
    MalformedFileError
        The compression is damaged or the file truncated; raised while reading.
    """
    compression = detect_compression(path)
    if compression in _UNREADABLE:
        problem, remedy = _UNREADABLE[compression]
        raise MalformedFileError(path, problem, remedy=remedy)
    stream: IO[bytes]
    if compression in ("gz", "bgz"):
        if compression == "bgz":
            _check_bgzf_end(path)
        stream = cast("IO[bytes]", gzip.GzipFile(path, "rb"))
    elif compression == "xz":
        stream = lzma.LZMAFile(path)  # noqa: SIM115 (the caller closes it)
    elif compression == "bz2":
        stream = bz2.BZ2File(path)
    else:
        stream = _open_raw(path)
    return check_stream(path, stream)


def check_stream(name: Path, stream: IO[bytes]) -> io.BufferedReader:
    """Wrap a decompressing stream, so that its faults are ``MalformedFileError``."""
    return io.BufferedReader(_CheckedStream(name, stream), buffer_size=1 << 20)


def _check_bgzf_end(path: Path) -> None:
    with _open_raw(path) as raw:
        raw.seek(0, io.SEEK_END)
        raw.seek(max(0, raw.tell() - len(_BGZF_END)))
        if raw.read() != _BGZF_END:
            raise MalformedFileError(
                path,
                "the bgzip end block is missing: the file is truncated",
                remedy=_REMEDY_TRUNCATED,
            )


def read_head(path: Path, n_bytes: int = HEAD_BYTES) -> bytes:
    """Return the first bytes, decompressed and without a byte-order mark.

    Archives that are not unpacked here (zip, which ``.npz`` is, and zstd) give their
    raw bytes.
    """
    if detect_compression(path) in _UNREADABLE:
        with _open_raw(path) as raw:
            return raw.read(n_bytes)
    with open_binary(path) as stream:
        return stream.read(n_bytes).removeprefix(codecs.BOM_UTF8)


def utf8_head(head: bytes) -> bytes:
    """Return the head of a file as UTF-8 without a mark, if it is UTF-16.

    Anything else is handed back as it is. The last line goes, as it may be cut.
    """
    if _encoding_of(head) != "utf-16":
        return head
    text = head[: len(head) // 2 * 2].decode("utf-16", errors="replace")
    if len(head) >= HEAD_BYTES - 4:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    return text.encode()


def open_text(path: Path) -> TextIO:
    """Open a text file for reading lines; LF, CRLF and CR all end a line.

    Compression is told by content; a byte-order mark is dropped; the text is UTF-8
    (UTF-16 when it starts with its mark), and bytes that are not are read as Latin-1.

    Raises
    ------
    InputError
        The file cannot be opened.
    MalformedFileError
        It is truncated, damaged or binary (the latter two partly while reading).
    """
    stream = open_binary(path)
    try:
        head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
        encoding = _encoding_of(head)
        if encoding == "utf-8-sig":
            _refuse_binary(path, head)
    except MalformedFileError:
        stream.close()
        raise
    return io.TextIOWrapper(stream, encoding=encoding, errors="cisgraph_latin1")


def read_text(path: Path) -> str:
    """Return the whole text with LF line ends; see ``open_text``."""
    return _read_bytes(path).decode("utf-8")


def read_blocks(path: Path, size: int = 1 << 25) -> Iterator[tuple[int, bytes]]:
    """Yield a long text file in blocks of whole lines with LF ends.

    Yields
    ------
    tuple
        1-based line of the block's first line, and its bytes, each line ended.

    Raises
    ------
    MalformedFileError
        The file is truncated, damaged or binary, or a line is longer than
        ``LONGEST_LINE``.
    """
    number, rest = 1, b""
    with open_binary(path) as stream:
        is_first = True
        while True:
            data = stream.read(size)
            if is_first and _encoding_of(data[:2]) == "utf-16":
                yield 1, _read_bytes(path).rstrip(b"\n") + b"\n"
                return
            block = rest + (data.removeprefix(codecs.BOM_UTF8) if is_first else data)
            is_first = False
            if data:
                end = block.rfind(b"\n") + 1 or block[:-1].rfind(b"\r") + 1
                block, rest = block[:end], block[end:]
                if len(rest) > LONGEST_LINE:
                    raise MalformedFileError(
                        path,
                        f"a line of more than {len(rest):,} bytes",
                        line=number + block.count(b"\n"),
                        remedy=_REMEDY_BINARY,
                    )
            elif block and block[-1:] not in b"\r\n":
                block += b"\n"
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if b"\x00" in block:
                at = block.count(b"\n", 0, block.find(b"\x00"))
                raise MalformedFileError(
                    path,
                    "a zero byte: this is no text file",
                    line=number + at,
                    remedy=_REMEDY_BINARY,
                )
            if block:
                yield number, block
                number += block.count(b"\n")
            if not data:
                return


def _encoding_of(head: bytes) -> str:
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    return "utf-8-sig"


_CONTROL = np.zeros(256, dtype=bool)
_CONTROL[:32] = True
_CONTROL[[7, 8, 9, 10, 11, 12, 13, 27, 28, 29, 30, 31]] = False


def _refuse_binary(path: Path, data: bytes) -> None:
    at = data.find(b"\x00")
    if at >= 0:
        raise MalformedFileError(
            path,
            f"a zero byte at offset {at:,} of the text: this is no text file",
            line=data.count(b"\n", 0, at) + 1,
            remedy=_REMEDY_BINARY,
        )
    head = np.frombuffer(data[:HEAD_BYTES], dtype=np.uint8)
    if head.size and _CONTROL[head].mean() > 0.01:
        raise MalformedFileError(
            path, "control characters throughout: no text file", remedy=_REMEDY_BINARY
        )


def _read_bytes(path: Path) -> bytes:
    """Return the whole file as UTF-8 bytes with LF line ends, checked to be text."""
    with open_binary(path) as stream:
        data = stream.read()
    if _encoding_of(data[:2]) == "utf-16":
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise MalformedFileError(
                path, f"broken UTF-16 text ({error.reason})", remedy="Save it as UTF-8"
            ) from error
    data = data.removeprefix(codecs.BOM_UTF8)
    _refuse_binary(path, data)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        data = data.decode("utf-8", errors="cisgraph_latin1").encode()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def guess_delimiter(lines: Sequence[str]) -> str:
    """Guess the delimiter of some rows: tab, comma, semicolon, ``|`` or white space.

    The first of these that stands equally often (and at least once) in every row wins;
    failing that, the first that stands in every row, else the first in the first row;
    ``" "`` means runs of white space.
    """
    rows = [line for line in lines if line.strip()]
    candidates = ("\t", ",", ";", "|")
    for delimiter in candidates:
        counts = {_unquoted(row).count(delimiter) for row in rows}
        if rows and len(counts) == 1 and min(counts) > 0:
            return delimiter
    for delimiter in candidates:
        if rows and min(row.count(delimiter) for row in rows) > 0:
            return delimiter
    if rows and min(len(row.split()) for row in rows) > 1:
        return " "
    # A quoted field over two lines breaks every count: go by the header.
    return next((d for d in candidates if rows and d in rows[0]), "\t")


def _unquoted(row: str) -> str:
    return re.sub(r'"[^"]*"', '""', row) if '"' in row else row


def read_table(
    path: Path,
    *,
    delimiter: str | None = None,
    header: bool | Sequence[str] = True,
    comment: str = "#",
    columns: Mapping[str, str] | None = None,
    max_rows: int | None = None,
    wrong_width: Tally | None = None,
) -> pd.DataFrame:
    """Read a delimited text table, every value as text.

    Parameters
    ----------
    path
        The file; gz, bgz, xz and bz2 are told by content.
    delimiter
        One character, ``" "`` for runs of white space; guessed when None.
    header
        True: the first row (or the last comment line before it, if that has as many
        fields as the rows) names the columns; a header one field short of its rows
        gets ``row_name`` in front, as R writes it. False: the columns are ``"0"``,
        ``"1"``, …. A sequence: these are the names, and the file has no header row.
        A delimiter that ends every row, or the header only, makes no column; a header
        parted by blanks over rows parted by tabs is read as it is meant.
    comment
        Rows that start with this are no data; ``""`` means there are none.
    columns
        Wanted name to the file's header name or 0-based index (``Request.columns``);
        the columns are renamed so. An existing column of the wanted name keeps its
        values under ``<name>_original``.
    max_rows
        Read only so many rows (for looking at a file, not for loading it).
    wrong_width
        Rows with too few or too many fields are left out and counted here (they are
        ``read`` here too) instead of refusing the file. The file must hold no quoted
        fields.

    Returns
    -------
    pandas.DataFrame
        Text columns stripped of surrounding white space (a missing value is ``""``),
        and ``_line``, the row's 1-based line in the file.

    Raises
    ------
    MalformedFileError
        The file is truncated, binary, empty, has a row of the wrong length, a doubled
        column name, or lacks a column named in ``columns``.
    """
    data = _read_bytes(path)
    starts, ends = _lines(path, data)
    buffer = np.frombuffer(data, dtype=np.uint8)
    is_blank = starts == ends
    is_comment = np.zeros(len(starts), dtype=bool)
    if comment:
        mark = comment.encode()
        filled = np.flatnonzero(~is_blank)
        first = buffer[starts[filled]] == mark[0]
        for i in filled[first]:
            is_comment[i] = data.startswith(mark, int(starts[i]))
    rows = np.flatnonzero(~is_blank & ~is_comment)
    if not len(rows):
        raise MalformedFileError(
            path, "there is no row of data in it", remedy="Give a table with rows"
        )

    def text_of(row: int) -> str:
        return data[int(starts[row]) : int(ends[row])].decode()

    sample = [text_of(int(i)) for i in rows[:50]]
    if delimiter is None:
        delimiter = guess_delimiter(sample)
    names: list[str] | None
    if header is True:
        above = int(rows[0]) - 1
        names = None
        if above >= 0 and is_comment[above]:
            text = text_of(above)
            found = _split(text.lstrip(comment).strip("\n"), delimiter)
            width = len(_split(sample[0], delimiter))
            if not text.startswith(comment * 2) and len(found) == width > 1:
                names = found
        if names is None:
            names, rows = _split(sample[0], delimiter), rows[1:]
            sample = sample[1:]
    elif header is False:
        names = [str(i) for i in range(len(_split(sample[0], delimiter)))]
    else:
        names = list(header)
    if not len(rows):
        raise MalformedFileError(
            path, "a header and no rows", remedy="Give a table with rows of data"
        )
    if max_rows is not None:
        rows = rows[:max_rows]
    widths = [len(_split(row, delimiter)) for row in sample]
    blank_names = " ".join(names).split()
    if delimiter == "\t" and widths[0] > len(names) + 1 and header is True:
        is_trailing = int(all(row.endswith(delimiter) for row in sample))
        if len(blank_names) == widths[0] - is_trailing:
            names = blank_names
    trailing = delimiter != " " and all(row.endswith(delimiter) for row in sample)
    if widths[0] == len(names) - 1 and not names[-1].strip():
        names = names[:-1]
    elif widths[0] == len(names) + 1:
        names = [*names, ""] if trailing else ["row_name", *names]
    unnamed_end = trailing and not names[-1].strip()
    names = [name.strip() for name in names]
    names = [
        name or ("row_name" if i == 0 else f"column_{i}")
        for i, name in enumerate(names)
    ]

    if wrong_width is not None:
        is_right = np.array(
            [len(text_of(int(i)).split(delimiter)) == len(names) for i in rows]
        )
        for i in rows[~is_right]:
            wrong_width.read += 1
            wrong_width.leave_out("wrong_width", line=int(i) + 1, text=text_of(int(i)))
        rows = rows[is_right]
    frame = _parse_rows(path, data, starts, ends, rows, delimiter, names)
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise MalformedFileError(
            path,
            f"column names that stand twice: {', '.join(map(repr, doubled[:5]))}",
            line=1,
            remedy="Give every column its own name",
        )
    if unnamed_end and not frame[names[-1]].any():
        frame = frame.drop(columns=names[-1])
    return rename_columns(path, frame, columns or {})


def _lines(
    path: Path, data: bytes
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    buffer = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(buffer == 10).astype(np.int64)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), breaks + 1])
    ends = np.concatenate([breaks, np.full(1, len(data), dtype=np.int64)])
    longest = int((ends - starts).max())
    if longest > LONGEST_LINE:
        raise MalformedFileError(
            path,
            f"a line of {longest:,} bytes",
            line=int((ends - starts).argmax()) + 1,
            remedy=_REMEDY_BINARY,
        )
    return starts, ends


def _split(text: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return text.split()
    if text and '"' not in text:
        return text.split(delimiter)
    return next(csv.reader([text], delimiter=delimiter), [])


def _parse_rows(
    path: Path,
    data: bytes,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    delimiter: str,
    names: list[str],
) -> pd.DataFrame:
    first, last = int(starts[rows[0]]), int(ends[rows[-1]])
    if len(rows) == rows[-1] - rows[0] + 1:
        body = data[first:last]
    else:
        keep = np.zeros(len(starts), dtype=bool)
        keep[rows] = True
        lengths = np.append(starts[1:], len(data)) - starts
        mask = np.repeat(keep, lengths)
        body = np.frombuffer(data, dtype=np.uint8)[mask].tobytes()
    lines = rows + 1
    if delimiter == " ":
        body = re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", body)
        body = re.sub(rb"[ \t]+", b"\t", body)
        delimiter = "\t"
    is_quoted = _is_quoted(body, delimiter)
    if is_quoted and _has_broken_quotes(body):
        return _parse_slowly(path, body, lines, delimiter, names)
    if not is_quoted:
        _check_widths(path, body, lines, delimiter, len(names))
    try:
        table = pacsv.read_csv(
            pa.BufferReader(body),
            read_options=pacsv.ReadOptions(
                column_names=[str(i) for i in range(len(names))],
                block_size=max(16 << 20, 2 * int((ends - starts).max()) + 2),
                use_threads=not is_quoted,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if is_quoted else False,
                ignore_empty_lines=False,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={str(i): pa.string() for i in range(len(names))},
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        found = re.search(r"Row #(\d+): (.*)", str(error), flags=re.DOTALL)
        raise MalformedFileError(
            path,
            found[2][:200] if found else str(error)[:200],
            line=int(lines[int(found[1]) - 1]) if found else None,
            remedy=_REMEDY_COLUMNS,
        ) from error
    trimmed = [pc.utf8_trim_whitespace(column) for column in table.columns]
    frame = pa.table(trimmed, names=[str(i) for i in range(len(names))]).to_pandas()
    frame.columns = pd.Index(names)
    frame[LINE] = lines[: len(frame)]
    return cast("pd.DataFrame", frame)


def _is_quoted(body: bytes, delimiter: str) -> bool:
    if b'"' not in body:
        return False
    if delimiter == ",":
        return True
    # In other tables a quote may be text (5" UTR); it wraps fields only where it
    # stands at both ends of a field somewhere in the first rows.
    head = body[:HEAD_BYTES].decode(errors="ignore").split("\n")[:50]
    fields = [field for row in head for field in row.split(delimiter)]
    quotes = [field for field in fields if '"' in field]
    return any(
        len(field) > 1 and field[0] == field[-1] == '"' for field in quotes
    ) and all(field.count('"') % 2 == 0 for field in quotes)


def _has_broken_quotes(body: bytes) -> bool:
    """Tell whether some line holds an odd number of quotes (a field over two lines)."""
    buffer = np.frombuffer(body, dtype=np.uint8)
    quotes = np.flatnonzero(buffer == ord('"'))
    breaks = np.flatnonzero(buffer == 10)
    per_line = np.diff(np.searchsorted(quotes, breaks), prepend=0)
    return bool((per_line % 2).any()) or len(quotes) % 2 == 1


def _check_widths(
    path: Path,
    body: bytes,
    lines: npt.NDArray[np.int64],
    delimiter: str,
    width: int,
) -> None:
    buffer = np.frombuffer(body, dtype=np.uint8)
    marks = np.flatnonzero(buffer == ord(delimiter))
    breaks = np.append(np.flatnonzero(buffer == 10), len(body))[: len(lines)]
    found = np.diff(np.searchsorted(marks, breaks), prepend=0) + 1
    wrong = np.flatnonzero(found != width)
    if len(wrong):
        raise MalformedFileError(
            path,
            f"{found[wrong[0]]} fields where {width} are expected"
            f" ({len(wrong):,} such rows)",
            line=int(lines[wrong[0]]),
            remedy=_REMEDY_COLUMNS,
        )


def _parse_slowly(
    path: Path,
    body: bytes,
    lines: npt.NDArray[np.int64],
    delimiter: str,
    names: list[str],
) -> pd.DataFrame:
    reader = csv.reader(
        io.StringIO(body.decode(), newline=""), delimiter=delimiter, strict=True
    )
    records: list[list[str]] = []
    at: list[int] = []
    try:
        while True:
            line = int(lines[min(reader.line_num, len(lines) - 1)])
            record = next(reader, None)
            if record is None:
                break
            if len(record) != len(names):
                raise MalformedFileError(
                    path,
                    f"{len(record)} fields where {len(names)} are expected",
                    line=line,
                    remedy=_REMEDY_COLUMNS,
                )
            records.append([field.strip() for field in record])
            at.append(line)
    except csv.Error as error:
        raise MalformedFileError(
            path,
            f"the quotes do not pair ({error})",
            line=int(lines[min(reader.line_num, len(lines)) - 1]),
            remedy="Close every quoted field",
        ) from error
    frame = pd.DataFrame(records, columns=pd.Index(names))
    frame[LINE] = np.asarray(at, dtype=np.int64)
    return frame


def read_first_row(path: Path, *, delimiter: str | None = None) -> list[str]:
    """Return the fields of the first row that is neither blank nor a comment.

    A comment line right above it that has as many fields is returned instead: it is
    the header (``#CHROM …``).

    Raises
    ------
    MalformedFileError
        There is no such row in the first 64 kB.
    """
    rows = split_head(read_head(path), delimiter=delimiter)
    if not rows:
        raise MalformedFileError(
            path, "there is no row of data in it", remedy="Give a table with rows"
        )
    return rows[0]


def split_head(
    head: bytes, *, delimiter: str | None = None, n_rows: int = 20
) -> list[list[str]]:
    """Return the fields of the first rows in the head of a file; for ``detect``.

    Comment rows are left out, but for a header written as one. The last row is left
    out when the head ends within it. Binary data gives no rows.
    """
    if b"\x00" in head and head[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return []
    encoding = _encoding_of(head)
    if encoding == "utf-16":
        head = head[: len(head) // 2 * 2]
    text = head.decode(encoding, errors="cisgraph_latin1")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(head) >= HEAD_BYTES - 4 and len(lines) > 1:
        lines = lines[:-1]
    filled = [line for line in lines if line.strip()]
    rows = [line for line in filled if not line.startswith("#")][:n_rows]
    if not rows:
        return []
    mark = delimiter or guess_delimiter(rows)
    fields = [[field.strip() for field in _split(row, mark)] for row in rows]
    above = filled.index(rows[0]) - 1
    if above >= 0 and not filled[above].startswith("##"):
        found = [f.strip() for f in _split(filled[above].lstrip("#"), mark)]
        if len(found) == len(fields[0]) > 1:
            fields = [found, *fields]
    return fields


def rename_columns(
    path: Path, frame: pd.DataFrame, columns: Mapping[str, str]
) -> pd.DataFrame:
    """Rename columns as the caller asked (wanted name to header name or index).

    Raises
    ------
    MalformedFileError
        The table has no such column.
    """
    names = [str(name) for name in frame.columns if name != LINE]
    renaming: dict[str, str] = {}
    for wanted, given in columns.items():
        if given in names:
            renaming[given] = wanted
        elif given.isdigit() and int(given) < len(names):
            renaming[names[int(given)]] = wanted
        else:
            raise MalformedFileError(
                path,
                f"no column {given!r}; there are {', '.join(map(repr, names[:20]))}",
                remedy="Name one of these, or its 0-based position, with --column",
            )
    for wanted in columns:
        if wanted in names and wanted not in renaming:
            renaming[wanted] = f"{wanted}_original"
    return frame.rename(columns=renaming)


def find_column(names: Iterable[str], *wanted: str) -> str | None:
    """Return the first of ``names`` that matches one of ``wanted``, in its order.

    Case, blanks, dots, dashes and underscores do not matter.
    """
    plain = {_plain(name): name for name in reversed([str(n) for n in names])}
    for name in wanted:
        if (found := plain.get(_plain(name))) is not None:
            return found
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s._\-/#]+", "", name).lower()


def read_numbers(values: "pd.Series[str]") -> "pd.Series[float]":
    """Return text as numbers; missing values and text that is no number become NaN."""
    return pd.to_numeric(values, errors="coerce").astype("float64")


def is_missing(values: "pd.Series[str]") -> "pd.Series[bool]":
    """Tell which values are spelled as missing (``""``, NA, NaN, ``.``, …)."""
    return values.str.strip().str.lower().isin(MISSING)


def is_number(text: str) -> bool:
    """Tell whether a text is a number (``nan`` and ``inf`` are; ``5685_1`` is not)."""
    if "_" in text:
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True
