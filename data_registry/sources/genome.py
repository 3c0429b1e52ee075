"""Reference genomes: FASTA (plain, gzip, bgzip) and 2bit."""

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from data_registry.contigs import synonyms_in_header
from data_registry.errors import MalformedFileError, WorkspaceError
from data_registry.genome import Bases, Contig, write_index
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.text_files import GENE_PATTERN, open_binary

_VALID = np.zeros(256, dtype=bool)
_VALID[np.frombuffer(b"ACGTUNRYSWKMBDHVXacgtunryswkmbdhvx*-", dtype=np.uint8)] = True
_PLAIN = np.zeros(256, dtype=bool)
_PLAIN[np.frombuffer(b"ACGTacgt", dtype=np.uint8)] = True
_MIXED = np.zeros(256, dtype=bool)
_MIXED[np.frombuffer(b"RYSWKMBDHVryswkmbdhv", dtype=np.uint8)] = True
MAX_MIXED = 0.5
"""Share of letters that may stand for two or three bases; a protein has more."""
_TWO_BIT_MAGIC = (b"\x1a\x41\x27\x43", b"\x43\x27\x41\x1a")
_CHUNK_BP = 1 << 24

GENOME_FILE = "genome.fa"
"""Name under which the stored sequence is kept beside its source."""


def detect_genome(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A 2bit file, or text that opens with ``>`` and goes on with bases."""
    if head[:4] in _TWO_BIT_MAGIC:
        return True
    lines = head.lstrip(b"\xef\xbb\xbf \r\n").split(b"\n", 2)
    if len(lines) < 2 or not lines[0].startswith(b">"):
        return False
    body = np.frombuffer(lines[1].strip(), dtype=np.uint8)
    return len(body) > 0 and bool(_VALID[body].all())


def parse_genome(request: Request) -> Parsed:
    """Read a genome and write it as one FASTA line a contig, ready for mapping.

    Raises
    ------
    MalformedFileError
        No records, an empty or repeated name, or letters that are no bases; at least
        half of them codes of several bases, as in a short protein.
    """
    if request.workspace is None:
        raise WorkspaceError("a genome is read into a workspace; name one")
    stored = request.workspace / "tmp" / f"{uuid.uuid4().hex}.fa"
    index = stored.with_name(stored.name + ".fai")
    stored.parent.mkdir(parents=True, exist_ok=True)
    tally = Tally()
    rows: list[dict[str, object]] = []
    synonyms: list[dict[str, str]] = []
    contigs: list[Contig] = []
    seen: set[str] = set()
    n_mixed = 0
    try:
        with stored.open("wb") as out:
            for header, pieces in _records(request.path):
                tally.read += 1
                name = header.split()[0] if header.split() else ""
                if not name:
                    raise MalformedFileError(
                        request.path, "a record has no name", remedy="Name every contig"
                    )
                if name in seen:
                    raise MalformedFileError(
                        request.path,
                        f"contig {name!r} stands twice",
                        remedy="Give every contig a name of its own",
                    )
                seen.add(name)
                out.write(b">" + header.encode() + b"\n")
                offset, length = out.tell(), 0
                counts: Counter[str] = Counter()
                for bases in pieces:
                    out.write(bases.tobytes())
                    length += len(bases)
                    counts["masked"] += int((bases >= ord("a")).sum())
                    counts["ambiguous"] += int((~_PLAIN[bases]).sum())
                    n_mixed += int(_MIXED[bases].sum())
                out.write(b"\n")
                if length == 0:
                    raise MalformedFileError(
                        request.path,
                        f"contig {name!r} has no bases",
                        remedy="The file may be cut short; fetch it again",
                    )
                contigs.append(Contig(name, length, offset))
                rows.append({
                    "contig": name, "length": length, "ordinal": len(rows),
                    "n_masked": counts["masked"], "n_ambiguous": counts["ambiguous"],
                })  # fmt: skip
                synonyms += [
                    {"contig": name, "synonym": other}
                    for other in synonyms_in_header(header)
                ]
        if not contigs:
            raise MalformedFileError(
                request.path, "no sequence records", remedy="Give a FASTA or 2bit file"
            )
        total = sum(contig.length for contig in contigs)
        if n_mixed >= MAX_MIXED * total:
            raise MalformedFileError(
                request.path,
                f"{n_mixed:,} of {total:,} letters stand for several bases (R, Y, K, "
                "M, …): this looks like protein",
                remedy="Give nucleotide sequence",
            )
        write_index(contigs, stored)
    except BaseException:
        stored.unlink(missing_ok=True)
        index.unlink(missing_ok=True)
        raise
    notes = [f"{len(contigs)} contigs, {total:,} bp"]
    genes = [name for name in seen if GENE_PATTERN.match(name)]
    if len(genes) > len(seen) / 2:
        notes.append(
            f"names such as {min(genes)} are those of genes: check that this is a "
            "genome and no set of transcripts"
        )
    return Parsed(
        tables={
            "contigs": pd.DataFrame(rows),
            "contig_synonyms": pd.DataFrame(synonyms, columns=["contig", "synonym"]),
        },
        tally=tally,
        notes=notes,
        files={GENOME_FILE: stored, f"{GENOME_FILE}.fai": index},
    )


def _records(path: Path) -> Iterator[tuple[str, Iterator[Bases]]]:
    with path.open("rb") as file:
        two_bit = file.read(4) in _TWO_BIT_MAGIC
    return _two_bit_records(path) if two_bit else _fasta_records(path)


def _two_bit_records(path: Path) -> Iterator[tuple[str, Iterator[Bases]]]:
    import py2bit

    try:
        reader = py2bit.open(str(path), storeMasked=True)
    except RuntimeError as error:
        raise MalformedFileError(
            path, f"not a readable 2bit file ({error})", remedy="Fetch it again"
        ) from error
    with reader:
        for name, length in reader.chroms().items():

            def pieces(name: str = name, length: int = length) -> Iterator[Bases]:
                for start in range(0, length, _CHUNK_BP):
                    end = min(start + _CHUNK_BP, length)
                    try:
                        text = reader.sequence(name, start, end)
                    except RuntimeError as error:
                        raise MalformedFileError(
                            path,
                            f"contig {name!r} cannot be read from base {start + 1:,}: "
                            "the 2bit file is cut short or damaged",
                            remedy="Fetch it again",
                        ) from error
                    yield np.frombuffer(text.encode(), dtype=np.uint8)

            yield name, pieces()


def _fasta_records(path: Path) -> Iterator[tuple[str, Iterator[Bases]]]:
    """Yield ``(header, pieces)``; use up a record's pieces before the next."""
    with open_binary(path) as file:
        number = 0
        header: str | None = None
        ended = False

        def pieces() -> Iterator[Bases]:
            nonlocal number, header, ended
            parts: list[tuple[int, bytes]] = []
            held = 0
            for line in file:
                number += 1
                if line.startswith(b">"):
                    header = line[1:].decode("utf-8", "replace").strip()
                    break
                bases = line.strip()
                if bases:
                    parts.append((number, bases))
                    held += len(bases)
                if held >= _CHUNK_BP:
                    yield _checked(parts, path)
                    parts, held = [], 0
            else:
                ended = True
            if parts:
                yield _checked(parts, path)

        for line in file:
            number += 1
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            if not line.startswith(b">"):
                raise MalformedFileError(
                    path,
                    "a FASTA record starts with '>'",
                    line=number,
                    remedy="Give a FASTA or 2bit file",
                )
            if b"\r" in line.rstrip(b"\r\n"):
                raise MalformedFileError(
                    path,
                    "lines end in a carriage return alone (old Mac)",
                    line=number,
                    remedy="Convert the line ends, e.g. with \"tr '\\\\r' '\\\\n'\"",
                )
            header = line[1:].decode("utf-8", "replace").strip()
            break
        while header is not None and not ended:
            current = header
            yield current, pieces()


def _checked(parts: list[tuple[int, bytes]], path: Path) -> Bases:
    """Join numbered lines of bases, refusing letters that are none."""
    bases = np.frombuffer(b"".join(part for _, part in parts), dtype=np.uint8)
    wrong = np.flatnonzero(~_VALID[bases])
    if len(wrong):
        ends = np.cumsum([len(part) for _, part in parts])
        line, _ = parts[int(np.searchsorted(ends, wrong[0], side="right"))]
        raise MalformedFileError(
            path,
            f"{chr(bases[wrong[0]])!r} is no base",
            line=line,
            remedy="Give nucleotide sequence in IUPAC letters",
        )
    return bases


KINDS = (
    Kind(
        name="genome",
        meaning="reference sequence: FASTA (plain, gz, bgz) or 2bit",
        detect=detect_genome,
        parse=parse_genome,
        tables=("contigs", "contig_synonyms"),
        options={"assembly": "name of the assembly (default: the file's stem)"},
    ),
)
