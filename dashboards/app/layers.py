"""Reading a workspace's registry: a short connection a question, never a held one.

DuckDB lets one writer in at a time and no writer beside a reader. Pages that kept a
connection open would keep ``cisgraph add`` out, so each question opens the file, asks and
closes it; while a writer is at work, a question waits a little and then says so.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import pandas as pd

from data_registry.coordinates import Region, parse_region
from data_registry.errors import InputError, MissingLayerError, WorkspaceError
from data_registry.genome import Genome
from data_registry.sources.genome import GENOME_FILE
from data_registry.store import Source, Store
from data_registry.workspace import Workspace

_WAIT_S: Final = 1.5
MOST_FEATURES: Final = 4_000
"""Features of a track that one view draws; beyond, the view says to zoom in."""


def stamp(workspace: Path) -> tuple[str, int, int]:
    """Return what changes whenever the registry does: a key for caches."""
    state = Workspace(workspace).registry.stat()
    return str(workspace), state.st_mtime_ns, state.st_size


@contextmanager
def opened(workspace: Path) -> Iterator[Store]:
    """Open the registry for one question.

    Raises
    ------
    WorkspaceError
        A writer has held it for longer than we wait, or it is damaged.
    """
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            connection = Workspace(workspace).connect(read_only=True)
        except WorkspaceError as error:
            if "in use" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.1)
            continue
        with connection:
            yield Store(Workspace(workspace), connection)
        return


def ask(
    workspace: Path, query: str, values: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Run one query on the registry; return rows as dictionaries."""
    with opened(workspace) as store:
        asked = store.connection.execute(query, list(values))
        names = [column[0] for column in asked.description or []]
        return [dict(zip(names, row, strict=True)) for row in asked.fetchall()]


def table(workspace: Path, query: str, values: Sequence[Any] = ()) -> pd.DataFrame:
    """Run one query on the registry; return a table."""
    with opened(workspace) as store:
        frame: pd.DataFrame = store.connection.execute(query, list(values)).df()
        return frame


def sources(workspace: Path) -> list[Source]:
    """Return the current sources."""
    with opened(workspace) as store:
        return store.sources()


def left_out(workspace: Path, source: Source) -> pd.DataFrame:
    """Return the listed rows that a source lost."""
    with opened(workspace) as store:
        return store.left_out(source)


def genome(workspace: Path) -> Genome:
    """Return the assembly's sequence, memory-mapped.

    Raises
    ------
    MissingLayerError
        No genome is registered.
    """
    with opened(workspace) as store:
        return store.genome()


def source_file(workspace: Path, source_id: int, name: str = "") -> Path:
    """Return a registered file by the number of its source.

    Parameters
    ----------
    name
        Name of a file that the parser made of it; "" is the file as registered.

    Raises
    ------
    InputError
        There is no such source, or it keeps no such file.
    """
    for source in sources(workspace):
        if source.source_id == source_id:
            wanted = name or Path(source.stored).name
            if wanted in source.files:
                return workspace / "sources" / source.sha256 / wanted
    raise InputError(f"source {source_id} keeps no file {name!r}")


def genome_file(workspace: Path, *, index: bool = False) -> Path:
    """Return the FASTA that everything is read from, or its index.

    Raises
    ------
    MissingLayerError
        No genome is registered.
    """
    for source in sources(workspace):
        if source.kind == "genome":
            path = workspace / "sources" / source.sha256 / GENOME_FILE
            return path.with_name(path.name + ".fai") if index else path
    raise MissingLayerError("no genome is registered in this workspace")


def place(workspace: Path, text: str) -> Region:
    """Read a region; a gene's identifier or symbol stands for the gene and 1 kb around.

    The end is filled in and cut at the contig's; contigs go by any known name.

    Raises
    ------
    InputError
        It is neither a place on this assembly nor a gene of it.
    """
    given = text.strip()
    found = _gene_span(workspace, given) if given and ":" not in given else None
    with opened(workspace) as store:
        lengths = dict(
            store.connection.execute("SELECT contig, length FROM contigs").fetchall()
        )
        if found is None:
            region = parse_region(given, contigs=frozenset(lengths))
            own = store.contig_names().resolve([region.contig])[region.contig]
            if own is None:
                raise InputError(
                    f"{given!r} is neither a contig, a region (chr:start-end) nor a gene "
                    "of this workspace"
                )
        else:
            own, region = (
                found["contig"],
                Region(
                    found["contig"], max(found["start"] - 1000, 0), found["end"] + 1000
                ),
            )
    end = min(region.end if region.end is not None else lengths[own], lengths[own])
    if region.start >= end:
        raise InputError(f"{given}: {own} has {lengths[own]:,} bp")
    return Region(own, region.start, end)


def _gene_span(workspace: Path, name: str) -> dict[str, Any] | None:
    gene = find_gene(workspace, name)
    return None if gene is None or gene["contig"] is None else gene


def find_gene(workspace: Path, name: str) -> dict[str, Any] | None:
    """Return a gene's row by identifier, symbol or alias (letter case aside), or None."""
    for query in (
        "SELECT * FROM genes WHERE gene_id = ? LIMIT 1",
        "SELECT * FROM genes WHERE lower(gene_id) = lower(?) LIMIT 1",
        "SELECT * FROM genes WHERE lower(symbol) = lower(?) ORDER BY gene_id LIMIT 1",
        "SELECT g.* FROM genes g JOIN gene_aliases a USING (gene_id) "
        "WHERE lower(a.alias) = lower(?) ORDER BY gene_id LIMIT 1",
    ):
        if rows := ask(workspace, query, [name.strip()]):
            return rows[0]
    return None


def suggest_genes(workspace: Path, start: str, *, limit: int = 12) -> list[str]:
    """Return identifiers and symbols that begin with these letters."""
    rows = ask(
        workspace,
        "SELECT DISTINCT coalesce(nullif(symbol, ''), gene_id) AS name FROM genes "
        "WHERE starts_with(lower(gene_id), lower(?)) OR "
        "starts_with(lower(symbol), lower(?)) ORDER BY name LIMIT ?",
        [start, start, limit],
    )
    return [row["name"] for row in rows]


def is_locked(error: WorkspaceError) -> bool:
    """Whether a writer is at work: worth trying again in a moment."""
    return "in use" in str(error)


def registry_error(error: duckdb.Error) -> WorkspaceError:
    """Turn DuckDB's error on a query of ours into one that a page can show."""
    return WorkspaceError(
        f"the registry could not answer: {str(error).splitlines()[0]}"
    )
