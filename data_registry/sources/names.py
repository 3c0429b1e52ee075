"""Other names of contigs: two-column tables and NCBI assembly reports."""

from pathlib import Path

import pandas as pd

from data_registry.errors import MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.text_files import open_text

_REPORT_COLUMNS = ("Sequence-Name", "GenBank-Accn", "RefSeq-Accn", "UCSC-style-name")


def detect_names(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """An NCBI assembly report, or a table headed ``contig<TAB>synonym``."""
    return b"\n# Sequence-Name\t" in head or head.startswith(
        (b"# Sequence-Name\t", b"contig\tsynonym")
    )


def parse_names(request: Request) -> Parsed:
    """Read synonyms; every name in a row stands for the same contig.

    The store finds which of the names is the assembly's own, so rows hold the first
    name as ``contig`` and each other as ``synonym``.

    Raises
    ------
    MalformedFileError
        A row holds one name only.
    """
    tally = Tally()
    rows: list[tuple[str, str, int]] = []
    header: list[str] | None = None
    with open_text(request.path) as file:
        for number, line in enumerate(file, start=1):
            cells = line.rstrip("\r\n").split("\t")
            if cells[0] == "# Sequence-Name":
                header = ["Sequence-Name", *cells[1:]]
                continue
            if (
                not line.strip()
                or line.startswith("#")
                or cells[:2] == ["contig", "synonym"]
            ):
                continue
            tally.read += 1
            if header:
                named = dict(zip(header, cells, strict=False))
                cells = [named.get(column, "na") for column in _REPORT_COLUMNS]
            names = [cell.strip() for cell in cells if cell.strip() not in {"", "na"}]
            if len(names) < 2 and not header:
                raise MalformedFileError(
                    request.path,
                    "a row of synonyms holds two or more names",
                    line=number,
                    remedy="Separate the names by tabs",
                )
            if len(names) < 2:
                tally.leave_out("no_synonym", line=number, text=line)
            rows += [(names[0], other, number) for other in names[1:]]
    return Parsed(
        {"contig_synonyms": pd.DataFrame(rows, columns=["contig", "synonym", "_line"])},
        tally,
    )


KINDS = (
    Kind(
        name="contig_synonyms",
        meaning="other names of contigs: tab-separated, or an NCBI assembly report",
        detect=detect_names,
        parse=parse_names,
        tables=("contig_synonyms",),
    ),
)
