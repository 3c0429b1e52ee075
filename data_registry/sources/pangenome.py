"""Pangenome graphs: GFA 1 with S, L, P and W lines, and rGFA's SN and SO tags.

A segment lies on the reference where rGFA says so (tags ``SN``, ``SO``, rank ``SR`` 0),
else along the path or walks that ``reference`` (or the header's ``RS`` tag) names.
Positions are 0-based, as GFA's are.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.text_files import open_text

_STEP: Final = re.compile(r"([<>])([^<>]+)")
_BASES: Final = re.compile(r"[A-Za-z=.]+")
_LEFT_OUT: Final = {"C": "containment_line", "J": "jump_line"}
_FIELDS: Final = {"S": 3, "L": 5, "P": 3, "W": 7}
_FAULTS: Final = ("unknown_segment", "repeated_segment", "empty_path")


@dataclass(slots=True)
class _Walk:
    """One path or walk: its steps and what it walks along."""

    name: str
    contig: str
    start: int
    sample: str | None
    line: int
    segments: list[str]
    strands: list[str]


@dataclass(slots=True)
class _Graph:
    """What the lines of a GFA file hold."""

    segments: list[str] = field(default_factory=list)
    lengths: dict[str, int | None] = field(default_factory=dict)
    sequences: list[str | None] = field(default_factory=list)
    contigs: list[str | None] = field(default_factory=list)
    starts: list[int | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    links: list[tuple[int, str, str, str, str, str]] = field(default_factory=list)
    walks: list[_Walk] = field(default_factory=list)
    reference_samples: list[str] = field(default_factory=list)
    n_tagged: int = 0


def parse(request: Request) -> Parsed:
    """Read a GFA 1 graph.

    ``tally.read`` counts S, L, P, W, C and J lines.

    Raises
    ------
    MalformedFileError
        The file is no GFA 1, a line is cut, or more than half of the lines are at
        fault.
    InputError
        ``reference`` names no path or walk of the graph.
    """
    tally, notes = Tally(), list[str]()
    graph = _read_lines(request.path, tally)
    if not graph.segments:
        raise MalformedFileError(
            request.path, "no segment (S line) in it", remedy="Give a GFA 1 file"
        )
    walks = _check_walks(graph, tally)
    links = _check_links(graph, tally)
    n_faults = sum(tally.left_out[reason] for reason in _FAULTS)
    if 2 * n_faults > tally.read:
        first = next(e for e in tally.examples if e.reason in _FAULTS)
        raise MalformedFileError(
            request.path,
            f"{n_faults:,} of {tally.read:,} lines cannot be used",
            line=first.line,
            remedy="Every L, P and W line must name segments of S lines",
        )
    contigs, starts = _place_segments(request, graph, walks, notes)
    tables = {
        "segments": pd.DataFrame(
            {
                "segment_id": pd.Series(graph.segments, dtype=object),
                "length": pd.array(
                    [graph.lengths[name] for name in graph.segments], dtype="Int64"
                ),
                "sequence": pd.Series(graph.sequences, dtype=object),
                "contig": pd.Series(contigs, dtype=object),
                "start": pd.array(starts, dtype="Int64"),
                "_line": pd.Series(graph.lines, dtype="int64"),
            }
        ),
        "segment_links": pd.DataFrame(
            links,
            columns=[
                "_line", "segment_a", "strand_a", "segment_b", "strand_b", "overlap",
            ],
        ),
        "segment_paths": _list_steps(walks),
    }  # fmt: skip
    notes.insert(
        0,
        f"GFA 1: {len(graph.segments):,} segments, {len(links):,} links, "
        f"{len(walks):,} paths and walks",
    )
    return Parsed(tables, tally, notes)


def _list_steps(walks: list[_Walk]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": pd.Series(
                [walk.name for walk in walks for _ in walk.segments], dtype=object
            ),
            "rank": pd.Series(
                [i for walk in walks for i in range(len(walk.segments))], dtype="int64"
            ),
            "segment_id": pd.Series(
                [name for walk in walks for name in walk.segments], dtype=object
            ),
            "strand": pd.Series(
                [strand for walk in walks for strand in walk.strands], dtype=object
            ),
            "_line": pd.Series(
                [walk.line for walk in walks for _ in walk.segments], dtype="int64"
            ),
        }
    )


# --- lines -------------------------------------------------------------------------


def _read_lines(path: Path, tally: Tally) -> _Graph:
    graph = _Graph()
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            text = line.rstrip("\n")
            if not text or text.startswith("#"):
                continue
            fields = text.split("\t")
            kind = fields[0]
            if kind == "H":
                _read_header(path, graph, fields, number)
                continue
            if kind not in _FIELDS and kind not in _LEFT_OUT:
                raise MalformedFileError(
                    path,
                    f"a line that starts with {kind[:20]!r}, which GFA 1 does not have",
                    line=number,
                    remedy="Give a GFA 1 file (lines H, S, L, P, W, C, J)",
                )
            tally.read += 1
            if reason := _LEFT_OUT.get(kind):
                tally.leave_out(reason, line=number, text=text)
                continue
            if len(fields) < _FIELDS[kind]:
                raise MalformedFileError(
                    path,
                    f"{len(fields)} fields in a {kind} line that needs {_FIELDS[kind]}",
                    line=number,
                    remedy="The file is cut or not parted by tabs: write it again",
                )
            if kind == "S":
                _read_segment(path, graph, fields, number, tally)
            elif kind == "L":
                _read_link(path, graph, fields, number)
            elif kind == "P":
                graph.walks.append(_read_path(path, fields, number))
            else:
                graph.walks.append(_read_walk(path, fields, number))
    return graph


def _read_header(path: Path, graph: _Graph, fields: list[str], number: int) -> None:
    for tag in fields[1:]:
        if tag.startswith("VN:Z:") and not tag.startswith("VN:Z:1"):
            raise MalformedFileError(
                path,
                f"GFA of version {tag[5:]}",
                line=number,
                remedy="Convert it to GFA 1, e.g. with gfatools or vg",
            )
        if tag.startswith("RS:Z:"):
            graph.reference_samples += tag[5:].split()


def _read_segment(
    path: Path, graph: _Graph, fields: list[str], number: int, tally: Tally
) -> None:
    name, sequence = fields[1], fields[2]
    if name in graph.lengths:
        tally.leave_out("repeated_segment", line=number, text="\t".join(fields)[:200])
        return
    tags = {tag[:2]: tag[5:] for tag in fields[3:] if tag[2:3] == ":"}
    known = sequence != "*"
    if known and not _BASES.fullmatch(sequence):
        raise MalformedFileError(
            path,
            f"segment {name} has no sequence but {sequence[:30]!r}",
            line=number,
            remedy="Give a GFA 1 file, whose third field is bases or '*'",
        )
    stated = _whole(path, tags["LN"], "LN", number) if "LN" in tags else None
    if known and stated is not None and stated != len(sequence):
        raise MalformedFileError(
            path,
            f"segment {name} has {len(sequence):,} bases and states LN {stated:,}",
            line=number,
            remedy="The line is cut or edited: write the file again",
        )
    graph.lengths[name] = len(sequence) if known else stated
    graph.segments.append(name)
    graph.sequences.append(sequence if known else None)
    graph.lines.append(number)
    contig, start = None, None
    if "SN" in tags and "SO" in tags:
        graph.n_tagged += 1
        if tags.get("SR", "0") == "0":  # rank 0 is the reference, others are not
            contig, start = tags["SN"], _whole(path, tags["SO"], "SO", number)
    graph.contigs.append(contig)
    graph.starts.append(start)


def _whole(path: Path, text: str, what: str, number: int) -> int:
    if not text.isdigit():
        raise MalformedFileError(
            path,
            f"{what} is {text[:30]!r}, no whole number from 0 on",
            line=number,
            remedy="Correct this line",
        )
    return int(text)


def _read_link(path: Path, graph: _Graph, fields: list[str], number: int) -> None:
    first, strand_a, second, strand_b = fields[1:5]
    if not {strand_a, strand_b} <= {"+", "-"}:
        raise MalformedFileError(
            path,
            f"a link with the strands {strand_a[:5]!r} and {strand_b[:5]!r}",
            line=number,
            remedy="Strands are + or -",
        )
    overlap = fields[5] if len(fields) > 5 else "*"
    graph.links.append((number, first, strand_a, second, strand_b, overlap))


def _read_path(path: Path, fields: list[str], number: int) -> _Walk:
    steps = [step for step in re.split(r"[,;]", fields[2]) if step]
    if wrong := [step for step in steps if step[-1] not in "+-" or len(step) < 2]:
        raise MalformedFileError(
            path,
            f"path {fields[1]} has the step {wrong[0][:30]!r}",
            line=number,
            remedy="A step is a segment's name and + or -",
        )
    # PanSN: sample#haplotype#contig
    parts = fields[1].split("#")
    return _Walk(
        name=fields[1],
        contig=parts[-1] if len(parts) > 1 else fields[1],
        start=0,
        sample=parts[0] if len(parts) > 1 else None,
        line=number,
        segments=[step[:-1] for step in steps],
        strands=[step[-1] for step in steps],
    )


def _read_walk(path: Path, fields: list[str], number: int) -> _Walk:
    sample, haplotype, contig, start, end, steps = fields[1:7]
    if steps == "*":
        steps = ""
    found = _STEP.findall(steps)
    if sum(len(name) + 1 for _, name in found) != len(steps):
        raise MalformedFileError(
            path,
            f"walk of {sample} along {contig}: {steps[:30]!r} is no walk",
            line=number,
            remedy="Steps are > or < and a segment's name",
        )
    name = f"{sample}#{haplotype}#{contig}"
    is_part = start != "*"
    return _Walk(
        name=f"{name}:{start}-{end}" if is_part else name,
        contig=contig,
        start=_whole(path, start, "a walk's start", number) if is_part else 0,
        sample=sample,
        line=number,
        segments=[segment for _, segment in found],
        strands=["+" if way == ">" else "-" for way, _ in found],
    )


# --- checks ------------------------------------------------------------------------


def _check_walks(graph: _Graph, tally: Tally) -> list[_Walk]:
    kept: list[_Walk] = []
    for walk in graph.walks:
        if not walk.segments:
            tally.leave_out("empty_path", line=walk.line, text=walk.name)
        elif unknown := [n for n in walk.segments if n not in graph.lengths]:
            tally.leave_out(
                "unknown_segment",
                line=walk.line,
                text=f"{walk.name} names {unknown[0]}",
            )
        else:
            kept.append(walk)
    return kept


def _check_links(
    graph: _Graph, tally: Tally
) -> list[tuple[int, str, str, str, str, str]]:
    kept = []
    for link in graph.links:
        if link[1] in graph.lengths and link[3] in graph.lengths:
            kept.append(link)
        else:
            text = "\t".join(link[1:])
            tally.leave_out("unknown_segment", line=link[0], text=text)
    return kept


# --- the reference -----------------------------------------------------------------


def _place_segments(
    request: Request, graph: _Graph, walks: list[_Walk], notes: list[str]
) -> tuple[list[str | None], list[int | None]]:
    """Return contig and start of each segment on the reference, None off it."""
    wanted = request.options.get("reference")
    if wanted is None and graph.n_tagged:
        on_it = sum(contig is not None for contig in graph.contigs)
        notes.append(f"placed by rGFA tags: {on_it:,} segments on the reference")
        return graph.contigs, graph.starts
    names = [wanted] if wanted is not None else graph.reference_samples
    chosen = [walk for walk in walks if walk.name in names or walk.sample in names]
    if wanted is not None and not chosen:
        raise InputError(
            f"{request.path}: no path or walk {wanted!r}; there are "
            f"{', '.join(_list_names(walks)) or 'none'}"
        )
    if not chosen:
        notes.append(
            "no segment is placed: the file has neither rGFA tags nor a reference; "
            "choose a path or sample with --option reference=…"
            + (f" ({', '.join(_list_names(walks))})" if walks else "")
        )
        empty: list[str | None] = [None] * len(graph.segments)
        return empty, [None] * len(graph.segments)
    places: dict[str, tuple[str, int]] = {}
    n_again = 0
    for walk in chosen:
        at = walk.start
        for name in walk.segments:
            if name in places:
                n_again += 1
            else:
                places[name] = (walk.contig, at)
            length = graph.lengths[name]
            if length is None:
                raise MalformedFileError(
                    request.path,
                    f"segment {name} on the reference has neither bases nor LN",
                    remedy="Give a GFA with sequences or LN tags",
                )
            at += length
    notes.append(
        f"placed along {', '.join(_list_names(chosen))}: {len(places):,} segments on "
        "the reference"
        + (f"; {n_again:,} further visits of a segment not kept" if n_again else "")
    )
    _note_overlaps(graph, notes)
    found = [places.get(name) for name in graph.segments]
    return (
        [place[0] if place else None for place in found],
        [place[1] if place else None for place in found],
    )


def _note_overlaps(graph: _Graph, notes: list[str]) -> None:
    overlaps = Counter(link[5] for link in graph.links)
    if n_real := sum(n for cigar, n in overlaps.items() if cigar not in {"*", "0M"}):
        notes.append(
            f"{n_real:,} links have an overlap: places along the path count its bases "
            "twice and are not exact"
        )


def _list_names(walks: list[_Walk]) -> list[str]:
    names = list(dict.fromkeys(walk.sample or walk.name for walk in walks))
    return names[:10] + (["…"] if len(names) > 10 else [])


def detect(path: Path, head: bytes) -> bool:
    """Tell whether a file looks like GFA."""
    if b"\x00" in head:
        return False
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    if not lines:
        return False
    if lines[0].startswith(("H\tVN:Z:", "H\tRS:Z:")):
        return True
    body = lines[:-1] or lines
    is_gfa = all(re.match(r"[HSLPWCJ]\t", line) for line in body)
    named = path.name.lower().removesuffix(".gz").endswith((".gfa", ".rgfa"))
    return is_gfa and (named or lines[0].startswith("S\t"))


KINDS: tuple[Kind, ...] = (
    Kind(
        name="pangenome",
        meaning="pangenome graph: GFA 1 (S, L, P, W lines), rGFA",
        detect=detect,
        parse=parse,
        tables=("segments", "segment_links", "segment_paths"),
        options={
            "reference": "path or sample that gives the segments their places",
        },
    ),
)
