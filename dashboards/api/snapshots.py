"""A view of a workspace that does not change while somebody reads it.

A writer needs the registry for itself, and a reader must not see half of what a writer
does. So the server never opens the registry in place: it takes a copy (a snapshot) while
no writer is at work, and answers from the copy until the registry or the graph has changed.
A graph folder never changes; a snapshot keeps the one that ``CURRENT`` named when it was
taken. A request holds one snapshot from its beginning to its end, so everything in its
answer is of one state, and a rebuild neither waits for readers nor is seen before its end.

DuckDB is opened read-only, may open no file but those of the workspace, and its settings
are locked.
"""

import fcntl
import os
import shutil
import struct
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pyarrow as pa

from dashboards.api.graph_tables import GraphTables
from data_registry.contigs import ContigNames
from data_registry.errors import MissingLayerError, WorkspaceError
from data_registry.store import Source, Store
from data_registry.workspace import Workspace, pinned
from graph_builder.manifest import CURRENT, MANIFEST, current_graph, digest_json

_LOOK_EVERY_S = 0.5
_OWN = frozenset({"graph", "jobs", "uploads", "tmp", "panels"})
"""Folders of a workspace that a snapshot does not take over as they are."""
_SCRATCH = "cisgraph-api-"
_MEMORY = "2GB"
_THREADS = 2
"""Of one query: many are answered at a time."""
_LOCK = "hhqqi"
"""The system's struct flock (Linux, 64 bit): type, whence, start, length, owner."""


class Snapshot:
    """One state of a workspace: a copy of the registry, and the graph of that time.

    Parameters
    ----------
    workspace
        The workspace.
    folder
        An empty folder for the copy, removed with the snapshot. It is laid out like a
        workspace, so what reads a workspace can read it.
    before
        The snapshot before, whose tables are taken over where the graph is the same.

    Raises
    ------
    WorkspaceError
        No workspace, or a writer holds it.
    """

    def __init__(
        self, workspace: Path, folder: Path, before: "Snapshot | None" = None
    ) -> None:
        self.folder = folder
        whole = workspace.resolve()
        # A rebuild may publish another version at any moment: this one is read to the end.
        workspace = pinned(whole)
        self.version = version_of(workspace)
        self.readers = 0
        self.is_old = False
        _copy(Workspace(workspace), folder)
        graph = _graph(workspace)
        (folder / "graph").mkdir()
        if graph is not None:
            (folder / "graph" / graph.name).symlink_to(graph)
            (folder / "graph" / CURRENT).write_text(graph.name)
        for path in workspace.iterdir():
            is_registry = path.name.startswith("registry.duckdb")
            if not (is_registry or path.name in _OWN or path.name.startswith(".")):
                (folder / path.name).symlink_to(path)
        self._connection = duckdb.connect(
            str(folder / "registry.duckdb"), read_only=True,
            config={"memory_limit": _MEMORY, "threads": _THREADS},
        )  # fmt: skip
        allowed = [whole, folder.resolve()]
        listed = ", ".join("'" + str(p).replace("'", "''") + "'" for p in allowed)
        self._connection.execute(f"SET allowed_directories = [{listed}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")
        self.tables: GraphTables | None = None
        if graph is not None:
            if before is not None and before.version[-2:] == self.version[-2:]:
                self.tables = before.tables
            else:
                self.tables = GraphTables(
                    graph, folder.with_name(f"{folder.name}-graph")
                )

    @contextmanager
    def query(self, limit_s: float) -> Iterator["Query"]:
        """Give what runs queries, for so many seconds at most."""
        cursor = self._connection.cursor()
        timer = threading.Timer(limit_s, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield Query(cursor)
        finally:
            timer.cancel()
            cursor.close()

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The registered sources."""
        return tuple(self._store().sources())

    @cached_property
    def names_of_sources(self) -> dict[int, str]:
        """Name and version of each source by its number."""
        return {s.source_id: f"{s.name} v{s.version}" for s in self.sources}

    @cached_property
    def contig_names(self) -> ContigNames:
        """The resolver of contig names."""
        return self._store().contig_names()

    @cached_property
    def registry_digest(self) -> str:
        """Digest of the registered sources: name, version and content."""
        return digest_json([[s.name, s.version, s.sha256] for s in self.sources])

    @property
    def graph_digest(self) -> str | None:
        """Digest of the graph, None where none is built."""
        return None if self.tables is None else self.tables.manifest.digest

    @property
    def graph(self) -> GraphTables:
        """The graph.

        Raises
        ------
        MissingLayerError
            None is built.
        """
        if self.tables is None:
            raise MissingLayerError("no graph is built yet; run 'cisgraph build' first")
        return self.tables

    def close(self) -> None:
        """Remove the copy."""
        self._connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _store(self) -> Store:
        return Store(Workspace(self.folder), self._connection.cursor())


class Query:
    """Runs queries; values come as parameters and never as text."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Return the rows as dictionaries."""
        found = self._cursor.execute(sql, list(values))
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def value(self, sql: str, values: Sequence[object] = ()) -> Any:  # noqa: ANN401
        """Return the one value of a query."""
        rows = self._cursor.execute(sql, list(values)).fetchall()
        return rows[0][0] if rows else None

    def batches(
        self, sql: str, values: Sequence[object], rows: int
    ) -> pa.RecordBatchReader:
        """Return the result in batches of so many rows."""
        return self._cursor.sql(sql, params=list(values)).to_arrow_reader(rows)


class Snapshots:
    """Keeps the newest snapshot; an older one goes when its last reader has gone."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        _sweep()
        self._scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-"))
        self._lock, self._renewal = threading.Lock(), threading.Lock()
        self._n = 0
        self._looked_at = 0.0
        self._newest = self._take(None)

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """Give the newest snapshot, kept until the end."""
        self._renew()
        with self._lock:
            snapshot = self._newest
            snapshot.readers += 1
        try:
            yield snapshot
        finally:
            with self._lock:
                snapshot.readers -= 1
                is_done = snapshot.is_old and not snapshot.readers
            if is_done:
                snapshot.close()

    def close(self) -> None:
        """Remove everything."""
        self._newest.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _renew(self) -> None:
        """Take a new snapshot where the workspace has changed; one caller does it."""
        if time.monotonic() - self._looked_at < _LOOK_EVERY_S:
            return
        if not self._renewal.acquire(blocking=False):
            return
        try:
            if version_of(self._workspace) != self._newest.version:
                # A writer is at work: what we have is still the last whole state.
                fresh = self._take(self._newest)
                with self._lock:
                    old, self._newest = self._newest, fresh
                    old.is_old = True
                    is_done = not old.readers
                if is_done:
                    old.close()
        except WorkspaceError:
            pass
        finally:
            self._looked_at = time.monotonic()
            self._renewal.release()

    def _take(self, before: Snapshot | None) -> Snapshot:
        self._n += 1
        folder = self._scratch / str(self._n)
        folder.mkdir()
        try:
            return Snapshot(self._workspace, folder, before)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _sweep() -> None:
    """Remove what servers that were killed have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        pid = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def version_of(workspace: Path) -> tuple[object, ...]:
    """Return what changes whenever the registry, or (last two) the current graph, does."""
    workspace = pinned(workspace.resolve())
    registry = _states(workspace, ("registry.duckdb", "registry.duckdb.wal"))
    graph = _graph(workspace)
    changed = None if graph is None else (graph / MANIFEST).stat().st_mtime_ns
    return (*registry, graph, changed)


def _graph(workspace: Path) -> Path | None:
    return current_graph(Workspace(workspace).graph)


def _copy(workspace: Workspace, folder: Path) -> None:
    """Copy the registry while nobody writes it, without keeping a writer out.

    Asking for a lock would make a writer that comes now fail. So nothing is locked: that
    no writer held the registry before and after, and that it has not changed meanwhile,
    says that the copy is whole.

    Raises
    ------
    WorkspaceError
        A writer is at work.
    """
    workspace.require()
    names = ("registry.duckdb", "registry.duckdb.wal")
    before = _states(workspace.path, names)
    is_free = not _is_written(workspace.registry)
    for name in names:
        with suppress(FileNotFoundError):
            shutil.copyfile(workspace.path / name, folder / name)
    is_free = is_free and not _is_written(workspace.registry)
    if not is_free or before != _states(workspace.path, names):
        raise WorkspaceError(
            f"{workspace.registry} is in use by another process; wait for it to finish"
        )


def _states(folder: Path, names: Sequence[str]) -> tuple[object, ...]:
    found: list[object] = []
    for name in names:
        try:
            status = (folder / name).stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)


def _is_written(registry: Path) -> bool:
    """Tell whether another process holds the lock of a writer; takes none itself."""
    asked = struct.pack(_LOCK, fcntl.F_RDLCK, 0, 0, 0, 0)
    with registry.open("rb") as file:
        held = struct.unpack(_LOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return bool(held[0] != fcntl.F_UNLCK)
