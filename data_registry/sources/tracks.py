"""Signal tracks: bigWig by reference, conservation as bedGraph into a table."""

import re
import struct
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyBigWig

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.sources.bed_graph import is_bed_graph, read_bed_graph
from data_registry.text_files import read_head

ROLES: Final = ("conservation", "accessibility", "histone", "methylation", "signal")

_MAGIC: Final = (bytes.fromhex("26fc8f88"), bytes.fromhex("888ffc26"))
_WINDOW_BP: Final = 1_000_000
_READ_WHOLE_BP: Final = 600_000_000
"""Up to so many bp of contigs every value is read; beyond, the file's own summary is
taken and only the ends of its contigs are read."""

_ROLE_WORDS: Final = (
    ("conservation", r"phylop|phastcons|gerp|conserv"),
    ("histone", r"(?<![a-z0-9])h[1234](?![0-9])|h2a|h3k|h4k|histone"),
    ("accessibility", r"atac|dnase|(?<![a-z])dhs|faire|mnase|access|open"),
    ("methylation", r"methyl|bisulf|wgbs|(?<![a-z])(cg|chg|chh|cpg|bs)(?![a-z])"),
)  # fmt: skip


def parse(request: Request) -> Parsed:
    """Read a bigWig's summary, or the rows of a bedGraph of conservation scores.

    Raises
    ------
    MalformedFileError
        The file is neither, or is cut short, or has no value.
    InputError
        The role is unknown, or a bedGraph measures something else than conservation.
    """
    if not is_bed_graph(request.path, read_head(request.path)):
        return _parse_big_wig(request)
    role, why = _find_role(request)
    if role != "conservation":
        raise InputError(
            f"{request.path} is a bedGraph taken as role {role} ({why}); only "
            "conservation scores are read as bedGraph (--option role=conservation). "
            "Turn other signals into a bigWig (bedGraphToBigWig), or add regions with "
            "--kind intervals"
        )
    tally = Tally()
    table = read_bed_graph(request.path, tally)
    name = pd.Categorical.from_codes(
        np.zeros(len(table), np.int8), pd.Index([request.name])
    )
    table.insert(0, "track", pd.Series(name))
    covered = int((table["end"] - table["start"]).sum())
    notes = [f"bedGraph, role conservation {why}; {covered:,} bases in its intervals"]
    return Parsed({"conservation": table}, tally, notes)


def _parse_big_wig(request: Request) -> Parsed:
    """Read a bigWig's summary; the values stay in the file.

    The one row of ``tracks`` holds ``path`` as given: the store puts the registered
    copy's in. ``tally.read`` counts the contigs of the file; those without a value are
    left out as ``contig_without_value``.

    Raises
    ------
    MalformedFileError
        The file is no bigWig, is cut short or has no value.
    InputError
        The role is unknown.
    """
    path = request.path
    role, why = _find_role(request)
    _check_magic(path)
    try:
        track = pyBigWig.open(str(path))
    except RuntimeError as error:
        raise _damaged(path) from error
    tally = Tally()
    try:
        contigs: dict[str, int] = track.chroms()
        tally.read = len(contigs)
        total, covered, unused = _summarise(path, track, contigs)
    except RuntimeError as error:
        raise _damaged(path) from error
    finally:
        track.close()
    for contig in unused:
        tally.leave_out("contig_without_value", text=contig)
    if not covered:
        raise MalformedFileError(
            path, "a bigWig without a value", remedy="Give another file"
        )
    notes = [
        f"role {role} {why}",
        f"{len(contigs)} contigs: "
        + ", ".join(f"{name} ({size:,} bp)" for name, size in list(contigs.items())[:8])
        + (" …" if len(contigs) > 8 else ""),
    ]
    if sum(contigs.values()) > _READ_WHOLE_BP:
        notes.append("mean and covered bases as the file's own summary states them")
    elif (stated := _read_summary(path)[1]) != covered:
        notes.append(
            f"its own summary states {stated:,} covered bases; "
            f"reading all values gives {covered:,}, which is kept"
        )
    table = pd.DataFrame(
        {
            "track": [request.name],
            "role": [role],
            "path": [str(path)],
            "mean": [total / covered],
            "covered": [covered],
            "sample": [request.options.get("sample", request.name)],
        }
    )
    return Parsed({"tracks": table}, tally, notes)


def _find_role(request: Request) -> tuple[str, str]:
    given = request.options.get("role")
    if given is not None:
        if given not in ROLES:
            raise InputError(f"--option role={given}: choose one of {', '.join(ROLES)}")
        return given, "as given"
    name = request.path.name.lower()
    for role, pattern in _ROLE_WORDS:
        if re.search(pattern, name):
            return role, "by the file's name; say otherwise with --option role=…"
    return (
        "signal",
        "for want of a hint in its name; say otherwise with --option role=…",
    )


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened ({error.strerror}). Check the path and its "
            "permissions"
        ) from error
    if magic not in _MAGIC:
        what = "compressed" if magic[:2] == b"\x1f\x8b" else "no bigWig file"
        raise MalformedFileError(
            path,
            f"the file is {what} (it starts with {magic.hex() or 'nothing'})",
            remedy="Give a bigWig as it was written, uncompressed",
        )


def _damaged(path: Path) -> MalformedFileError:
    return MalformedFileError(
        path,
        "a bigWig that cannot be read to the end: it is cut short or damaged",
        remedy="Fetch the file again",
    )


def _summarise(
    path: Path, track: "pyBigWig.pyBigWig", contigs: dict[str, int]
) -> tuple[float, int, list[str]]:
    """Return the sum of all values, the covered bases and the contigs without a value.

    Raises
    ------
    RuntimeError, MalformedFileError
        The data cannot be read to the end.
    """
    whole = sum(contigs.values()) <= _READ_WHOLE_BP
    total, covered = 0.0, 0
    unused: list[str] = []
    for contig, length in contigs.items():
        first = 0 if whole else max(0, length - _WINDOW_BP)
        n_here = 0
        for start in range(first, length, _WINDOW_BP):
            end = min(start + _WINDOW_BP, length)
            values = track.values(contig, start, end, numpy=True)
            is_value = np.isfinite(values)
            n_here += int(is_value.sum())
            total += float(values[is_value].sum(dtype=np.float64))
        covered += n_here
        if not n_here and whole:
            unused.append(contig)
    if whole:
        return total, covered, unused
    total, covered = _read_summary(path)
    if not covered:
        raise MalformedFileError(
            path,
            "a bigWig whose summary counts no covered base",
            remedy="Write it again with bedGraphToBigWig",
        )
    return total, covered, []


def _read_summary(path: Path) -> tuple[float, int]:
    """Return the sum of all values and the covered bases as the file states them."""
    # pyBigWig's header() cuts the sum to a whole number, so it is read from the file
    with path.open("rb") as raw:
        head = raw.read(64)
        order = "<" if head[:4] == _MAGIC[0] else ">"
        (at,) = struct.unpack_from(f"{order}Q", head, 44)
        raw.seek(at)
        summary = raw.read(40)
    if not at or len(summary) < 40:
        return 0.0, 0
    covered, _, _, total, _ = struct.unpack(f"{order}Qdddd", summary)
    return total, covered


def detect(path: Path, head: bytes) -> bool:
    """Tell a bigWig by its magic number, and a bedGraph that is named conservation."""
    if head[:4] in _MAGIC:
        return True
    is_named = re.search(dict(_ROLE_WORDS)["conservation"], path.name.lower())
    return bool(is_named) and is_bed_graph(path, head)


KINDS: tuple[Kind, ...] = (
    Kind(
        name="track",
        meaning="bigWig: conservation, accessibility, histone marks, methylation; "
        "bedGraph: conservation",
        detect=detect,
        parse=parse,
        tables=("tracks", "conservation"),
        options={
            "role": f"what it measures: {', '.join(ROLES)}",
            "sample": "tissue or assay (default: the data set's name)",
        },
    ),
)
