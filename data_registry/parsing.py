"""What a parser hands back, and how it counts what it leaves out."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

LISTED_PER_REASON = 10_000
"""Left-out rows kept for listing, per reason; the counts are always exact."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One row that was read and not kept."""

    line: int | None
    reason: str
    text: str


@dataclass(slots=True)
class Tally:
    """Rows read, kept, and left out by reason: ``read == kept + sum(left_out)``."""

    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[LeftOut] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """Rows that went on into tables."""
        return self.read - self.left_out.total()

    def leave_out(
        self, reason: str, *, n: int = 1, line: int | None = None, text: str = ""
    ) -> None:
        """Count ``n`` rows as left out for ``reason`` (snake_case), listing one of them."""
        before = self.left_out[reason]
        self.left_out[reason] = before + n
        if before < LISTED_PER_REASON:
            self.examples.append(LeftOut(line, reason, text[:500]))


@dataclass(slots=True)
class Parsed:
    """The outcome of reading one file.

    Parameters
    ----------
    tables
        Table name (of ``data_registry.schema``) to rows. Columns a parser does not
        know may be missing: the store fills them with NULL. Contig and gene columns
        hold the file's own names: the store maps them.
    tally
        Counts of the file's data rows.
    notes
        Sentences worth showing to the user: dialect found, columns used, unit assumed.
    files
        Files the parser wrote (below ``Request.workspace``), by the name under which
        they are kept beside the source; the store moves them on success and deletes
        them on failure.
    """

    tables: dict[str, pd.DataFrame]
    tally: Tally
    notes: list[str] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller asked a parser to read.

    Parameters
    ----------
    path
        The file, as found on disk.
    name
        Name of the data set (default: the file's stem); used as ``sample``, ``dataset``,
        ``phenotype_id``, ``track`` or ``panel`` where the file names none.
    options
        The kind's own options, strings as given on the command line
        (``--option key=value``).
    columns
        Column renaming for tables with unusual headers: wanted name to the file's
        header name or 0-based index (``--column gene_a=Entrez``).
    workspace
        The workspace folder, for kinds that register files by reference.
    """

    path: Path
    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    workspace: Path | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of source: how to recognise it and how to read it.

    Parameters
    ----------
    name
        Name on the command line, e.g. ``"intervals"``.
    meaning
        One line for ``--help``.
    detect
        ``(path, head) -> bool``: does this look like the kind? ``head`` holds up to
        64 kB of the file, decompressed.
    parse
        Reads the file; raises ``MalformedFileError``, never returns half a file.
    options
        Option name to one-line meaning.
    tables
        Tables the kind fills.
    side_files
        Options whose value is a file: its bytes belong to the source as its own do.
    """

    name: str
    meaning: str
    detect: Callable[[Path, bytes], bool]
    parse: Callable[[Request], Parsed]
    tables: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    side_files: tuple[str, ...] = ()
