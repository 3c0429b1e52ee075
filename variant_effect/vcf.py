"""Reading VCF and BCF in chunks of whole records, and writing VCF.

Records are passed on as the bytes they came in, so an output VCF keeps every field. VCF
text is split here and not by htslib because a fault must be reported with its line, and
htslib repairs or drops some malformed records silently; BCF goes through cyvcf2.
"""

import io
import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, cast

import pysam

from data_registry.contigs import ContigNames
from data_registry.coordinates import Region
from data_registry.errors import MalformedFileError
from data_registry.text_files import check_stream, open_binary

_BCF_MAGIC = b"BCF"
_FIXED = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
MAX_LINE_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Header:
    """Header lines of a VCF.

    Parameters
    ----------
    lines
        The ``##`` lines, without line ends; bytes that are not UTF-8 are escaped as
        surrogates, so that they can be written as they were.
    samples
        Sample names in order.
    has_format
        There is a FORMAT column.
    """

    lines: tuple[str, ...]
    samples: tuple[str, ...]
    has_format: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records.

    Parameters
    ----------
    index
        Number of the chunk, from 0.
    first_line
        1-based line number of its first record in the file (records of a BCF are
        counted as they would stand in a VCF).
    lines
        The records, each ending in a newline.
    """

    index: int
    first_line: int
    lines: bytes


class VcfReader:
    """The header and the records of one VCF or BCF, or of standard input.

    Parameters
    ----------
    path
        The file; ``-`` is standard input (VCF text, plain or compressed).
    regions
        Where given and the file is indexed, only records that may touch one of these
        (contigs by the assembly's names) are read; without an index all are.
    names
        Resolves CHROM to the assembly's names; goes with ``regions``.

    Raises
    ------
    MalformedFileError
        Not a VCF: no ``#CHROM`` line, cut short, or not text.
    """

    def __init__(
        self,
        path: Path,
        regions: Sequence[Region] = (),
        names: ContigNames | None = None,
    ) -> None:
        self.path = path
        self._line = 0
        self._file = _open_records(path)
        try:
            self.header = self._read_header()
            if regions and names is not None and str(path) != "-":
                indexed = _indexed_records(path, regions, names)
                if indexed is not None:
                    self.close()
                    self._file = indexed
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if str(self.path) != "-":
            self._file.close()

    def _read_header(self) -> Header:
        lines: list[str] = []
        while raw := self._file.readline(MAX_LINE_BYTES):
            self._line += 1
            line = raw.rstrip(b"\r\n")
            if self._line == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.startswith(b"##"):
                lines.append(line.decode("utf-8", "surrogateescape"))
                continue
            if line.startswith(b"#CHROM"):
                if not line.startswith(_FIXED):
                    raise self._fault(
                        "the #CHROM line does not hold the eight fixed columns, "
                        "separated by tabs",
                        "Restore CHROM POS ID REF ALT QUAL FILTER INFO",
                    )
                samples = line.decode("utf-8", "surrogateescape").split("\t")[9:]
                repeated = (
                    {name for name in samples if samples.count(name) > 1}
                    if len(set(samples)) < len(samples)
                    else set()
                )
                if repeated:
                    raise self._fault(
                        f"sample {sorted(repeated)[0]!r} stands twice",
                        "Give every sample a name of its own",
                    )
                has_format = line.count(b"\t") >= 8
                return Header(tuple(lines), tuple(samples), has_format)
            raise self._fault(
                "expected a header line starting with '##' or '#CHROM'",
                "Give a VCF or BCF file with its header",
            )
        raise self._fault("there is no #CHROM line", "Give a VCF file with its header")

    def chunks(
        self, n_records: int, *, spans: "GapFinder | None" = None
    ) -> Iterator[Chunk]:
        """Yield the records in chunks of about ``n_records``.

        Parameters
        ----------
        n_records
            Records a chunk holds at least, except the last.
        spans
            Where given, a chunk ends only between transcripts, so that joint
            consequences see all alleles of a transcript together; after four times
            ``n_records`` it ends anyway.
        """
        index = 0
        held: list[bytes] = []
        first = self._line + 1
        append = held.append
        readline = self._file.readline
        while True:
            wanted = n_records - len(held)
            for _ in range(wanted):
                raw = readline(MAX_LINE_BYTES)
                if not raw:
                    break
                self._line += 1
                if len(raw) < 3 and not raw.strip():
                    continue
                append(raw)
            else:
                following = b""
                if spans is not None:
                    following = self._extend(held, n_records, spans)
                yield Chunk(index, first, _joined(held))
                index += 1
                held.clear()
                first = self._line + 1
                if following:
                    held.append(following)
                    first = self._line
                continue
            break
        if held:
            yield Chunk(index, first, _joined(held))

    def _extend(self, held: list[bytes], n_records: int, spans: "GapFinder") -> bytes:
        """Read on until a record lies behind every transcript begun so far; return it."""
        for _ in range(3 * n_records):
            line = self._file.readline(MAX_LINE_BYTES)
            if not line:
                return b""
            self._line += 1
            if not line.strip():
                continue
            if spans.is_gap(held[-1], line):
                return line
            held.append(line)
        return b""

    def _fault(self, problem: str, remedy: str) -> MalformedFileError:
        return MalformedFileError(
            "standard input" if str(self.path) == "-" else self.path,
            problem,
            line=max(self._line, 1),
            remedy=remedy,
        )


class GapFinder:
    """Tells whether a chunk may end between two records.

    Parameters
    ----------
    starts, ends
        Contig of the assembly to gene starts (ascending) and the running maximum of gene
        ends, 0-based half-open.
    names
        Resolves CHROM to the assembly's names.
    """

    def __init__(
        self,
        starts: Mapping[str, list[int]],
        ends: Mapping[str, list[int]],
        names: ContigNames,
    ) -> None:
        self._starts, self._ends, self._names = starts, ends, names
        self._seen: dict[bytes, str] = {}

    def is_gap(self, last: bytes, following: bytes) -> bool:
        """Whether no gene begun at or before ``last`` covers ``following``."""
        before, after = last.split(b"\t", 2), following.split(b"\t", 2)
        if len(before) < 3 or len(after) < 3 or before[0] != after[0]:
            return True
        try:
            here, there = int(before[1]) - 1, int(after[1]) - 1
        except ValueError:
            return True
        if before[0] not in self._seen:
            name = before[0].decode("utf-8", "replace")
            self._seen[before[0]] = self._names.resolve([name])[name] or ""
        contig = self._seen[before[0]]
        starts = self._starts.get(contig, [])
        i = bisect_right(starts, here) - 1
        return i < 0 or self._ends[contig][i] <= there


def _joined(lines: list[bytes]) -> bytes:
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    return b"".join(lines)


def _open_records(path: Path) -> io.BufferedReader:
    if str(path) == "-":
        return _open_stdin()
    head = _peek(path)
    if head.startswith(_BCF_MAGIC):
        return _bcf_as_text(path)
    return open_binary(path)


def _open_stdin() -> io.BufferedReader:
    import gzip

    raw = cast("io.BufferedReader", sys.stdin.buffer)
    if raw.peek(2)[:2] == b"\x1f\x8b":
        packed = cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
        return check_stream(Path("standard input"), packed)
    return raw


def _peek(path: Path) -> bytes:
    with open_binary(path) as file:
        return file.read(4)


def _bcf_as_text(path: Path) -> io.BufferedReader:
    """Stream a BCF's records as VCF text, through cyvcf2."""
    from cyvcf2 import VCF

    reader = VCF(str(path))
    records = (str(record).encode() for record in reader)
    return _Lines.buffered(chain([reader.raw_header.encode()], records))


def _indexed_records(
    path: Path, regions: Sequence[Region], names: ContigNames
) -> io.BufferedReader | None:
    """Stream the records of an indexed VCF that may touch the regions, in file order.

    None where there is no index (or it is older than the file): then all is read.
    """
    index = next(
        (i for e in (".csi", ".tbi") if (i := path.with_name(path.name + e)).is_file()),
        None,
    )
    if index is None or index.stat().st_mtime < path.stat().st_mtime:
        return None
    try:
        file = pysam.TabixFile(str(path), index=str(index))
    except (OSError, ValueError):
        return None
    own = names.resolve(file.contigs)
    wanted: dict[str, list[Region]] = {}
    for region in sorted(regions, key=lambda r: (r.contig, r.start)):
        wanted.setdefault(region.contig, []).append(region)

    def lines() -> Iterator[bytes]:
        for contig in file.contigs:
            before = 0
            for region in wanted.get(own[contig] or "", []):
                last = before
                for line in file.fetch(contig, max(region.start - 1, 0), region.end):
                    position = int(line.split("\t", 2)[1])
                    # A long REF can touch two regions; it comes out once.
                    if position > before:
                        last = max(last, position)
                        yield line.encode() + b"\n"
                before = last

    return _Lines.buffered(lines())


class _Lines(io.RawIOBase):
    """Lines of an iterator as a file."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._left = b""

    @classmethod
    def buffered(cls, lines: Iterator[bytes]) -> io.BufferedReader:
        """Return the lines as a buffered file."""
        return io.BufferedReader(cls(lines), buffer_size=1 << 20)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill the buffer with what comes next."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        while not self._left:
            line = next(self._lines, None)
            if line is None:
                return 0
            self._left = line
        n = min(len(view), len(self._left))
        view[:n] = self._left[:n]
        self._left = self._left[n:]
        return n
