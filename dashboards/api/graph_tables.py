"""The tables of one graph, mapped into memory, and which edges touch a node."""

import shutil
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from graph_builder.manifest import read_manifest

Ints = NDArray[np.int64]


class GraphTables:
    """One graph folder, read as needed.

    A table is written once, uncompressed, into a scratch folder and mapped from there: a
    few rows of millions are found without reading the rest, and the memory is the
    system's to take back.

    Parameters
    ----------
    graph
        A folder ``graph/<digest>``, which never changes.
    scratch
        A folder to write the mapped copies into; it goes with this object.
    """

    def __init__(self, graph: Path, scratch: Path) -> None:
        self.manifest = read_manifest(graph)
        self._scratch = scratch
        self._scratch.mkdir()
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        self._tables: dict[str, pa.Table] = {}
        self._ends: dict[tuple[str, str], tuple[Ints, Ints]] = {}
        self._lock = threading.Lock()

    def table(self, name: str) -> pa.Table:
        """Return the table of a node or edge type."""
        with self._lock:
            if name not in self._tables:
                self._tables[name] = self._mapped(name)
            return self._tables[name]

    def take(self, name: str, rows: Sequence[int]) -> pa.Table:
        """Return some rows of a type's table."""
        return self.table(name).take(pa.array(rows, pa.int64()))

    def edges_at(self, name: str, ids: Ints, *, by_target: bool) -> Ints:
        """Return the rows of an edge type whose source (or target) is among ``ids``.

        Parameters
        ----------
        ids
            Node ids, int64.

        Returns
        -------
        array
            Row numbers, ascending, each once.
        """
        values, rows = self._end(name, "target" if by_target else "source")
        first, past = (np.searchsorted(values, ids, side) for side in ("left", "right"))
        found = [rows[a:b] for a, b in zip(first, past, strict=True)]
        return np.unique(np.concatenate([*found, np.empty(0, np.int64)]))

    def find(self, node_type: str, identifier: str) -> int | None:
        """Return the id of a node, or None."""
        at = pc.index(
            self.table(node_type)["identifier"],
            pa.scalar(identifier, pa.large_string()),
        ).as_py()
        return None if at < 0 else int(self.table(node_type)["id"][at].as_py())

    def _end(self, name: str, end: str) -> tuple[Ints, Ints]:
        """Return the sources or targets of an edge type, sorted, and their rows."""
        ids = self.table(name)[end].to_numpy()
        with self._lock:
            if (name, end) not in self._ends:
                rows = np.argsort(ids, kind="stable")
                self._ends[name, end] = (ids[rows], rows)
            return self._ends[name, end]

    def _mapped(self, name: str) -> pa.Table:
        path = self._scratch / f"{name}.arrow"
        whole = self.manifest.table(name).combine_chunks()
        with (
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_file(file, whole.schema) as out,
        ):
            out.write_table(whole)
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
