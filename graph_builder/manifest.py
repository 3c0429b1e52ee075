"""What a graph holds and where it came from: ``manifest.json`` and content digests.

A digest is a sha256 over values in the graph's own order, so it depends neither on the
order of the inputs, nor on the compression of the files, nor on when they were written.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_registry.errors import WorkspaceError
from graph_builder.schema import NODE_TYPES, EdgeType, NodeType

FORMAT = 1
"""Version of the layout of a graph folder."""
MANIFEST = "manifest.json"
CURRENT = "CURRENT"
"""File beside the graph folders that names the newest one."""

_ARROW = {
    "string": pa.large_string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class TypeRecord:
    """What the manifest says of one node or edge type.

    Parameters
    ----------
    file
        Path inside the graph folder.
    count
        Rows.
    digest
        Digest of the content.
    columns
        Digest of each column.
    input_digest
        Digest of all the step read: equal digests mean the file can be taken over.
    file_digest
        Digest of the file's bytes, checked before it is taken over.
    left_out
        Input rows that did not enter, by reason.
    notes
        Sentences worth showing.
    """

    file: str
    count: int
    digest: str
    columns: Mapping[str, str]
    input_digest: str
    file_digest: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MissingType:
    """A type that is empty, and what would fill it."""

    type: str
    tables: tuple[str, ...]
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One registered source behind the graph."""

    name: str
    kind: str
    sha256: str


@dataclass(frozen=True, slots=True)
class StepReport:
    """How one step of this run went; not part of the manifest file."""

    type: str
    state: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of ``manifest.json``.

    Parameters
    ----------
    digest
        Digest of the graph: content of all types, parameters and version.
    version
        Version of the package.
    code
        Digest of the builder's source files.
    path
        The graph's folder; not written to the file.
    steps
        Steps of the run that returned this manifest; not written to the file.
    """

    digest: str
    version: str
    code: str
    parameters: Mapping[str, Any]
    nodes: Mapping[str, TypeRecord]
    edges: Mapping[str, TypeRecord]
    missing: tuple[MissingType, ...]
    sources: tuple[SourceRecord, ...]
    path: Path
    steps: tuple[StepReport, ...] = ()

    @property
    def types(self) -> dict[str, TypeRecord]:
        """Nodes and edges together, in the order they are built."""
        return {**self.nodes, **self.edges}

    def table(self, name: str) -> pa.Table:
        """Read the table of one type."""
        return pq.read_table(self.path / self.types[name].file, partitioning=None)

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` into ``folder``, all or nothing."""
        content = asdict(self)
        del content["path"], content["steps"]
        for kind in ("nodes", "edges"):
            content[kind] = {
                name: asdict(record) for name, record in getattr(self, kind).items()
            }
        text = json.dumps({"format": FORMAT, **content}, indent=1, ensure_ascii=False)
        write_text_atomically(folder / MANIFEST, text + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a graph folder.

    Raises
    ------
    WorkspaceError
        There is no manifest, or it is damaged or of another layout.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WorkspaceError(
            f"{folder} holds no graph ({MANIFEST} is missing); build one with "
            "`cisgraph build --workspace DIR`"
        ) from None
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"{path} cannot be read ({error}); remove {folder} and build again"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise WorkspaceError(
            f"{path} is not of layout {FORMAT}; remove {folder} and build again"
        )
    try:
        return Manifest(
            digest=content["digest"],
            version=content["version"],
            code=content["code"],
            parameters=content["parameters"],
            nodes=_read_records(content["nodes"]),
            edges=_read_records(content["edges"]),
            missing=tuple(
                MissingType(**{**one, "tables": tuple(one["tables"])})
                for one in content["missing"]
            ),
            sources=tuple(SourceRecord(**one) for one in content["sources"]),
            path=folder,
        )
    except (KeyError, TypeError) as error:
        raise WorkspaceError(
            f"{path} is damaged ({error!r}); remove {folder} and build again"
        ) from error


def _read_records(content: Mapping[str, Mapping[str, Any]]) -> dict[str, TypeRecord]:
    return {
        name: TypeRecord(**{**record, "notes": tuple(record["notes"])})
        for name, record in content.items()
    }


def current_graph(out: Path) -> Path | None:
    """Return the newest graph folder under ``out``, or None.

    Parameters
    ----------
    out
        The folder of graphs, ``workspace/graph``.
    """
    try:
        folder = out / (out / CURRENT).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return folder if (folder / MANIFEST).is_file() else None


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file beside its place and rename it: never half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


# --------------------------------------------------------------------------------
# digests


def arrow_schema(kind: NodeType | EdgeType) -> pa.Schema:
    """Return the columns of a type's file: ids first, then the attributes."""
    if isinstance(kind, NodeType):
        first = [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("identifier", pa.large_string(), nullable=False),
        ]
    else:
        first = [
            pa.field("source", pa.int64(), nullable=False),
            pa.field("target", pa.int64(), nullable=False),
        ]
    return pa.schema(
        first
        + [
            pa.field(one.name, _ARROW[one.type], nullable=one.nullable)
            for one in kind.attributes
        ]
    )


def digest_column(column: pa.ChunkedArray) -> str:
    """Return the sha256 of a column's type, values and missing marks, in row order."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    found = hashlib.sha256(f"{array.type}:{len(array)}:".encode())
    missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False))
    found.update(np.packbits(missing).tobytes())
    if pa.types.is_large_string(array.type) or pa.types.is_string(array.type):
        filled = pc.fill_null(array, "")
        lengths = pc.binary_length(filled).to_numpy(zero_copy_only=False)
        found.update(lengths.astype("<i8").tobytes())
        found.update(_string_bytes(filled.cast(pa.large_string())))
    elif pa.types.is_boolean(array.type):
        values = pc.fill_null(array, False).to_numpy(zero_copy_only=False)  # noqa: FBT003
        found.update(np.packbits(values).tobytes())
    elif pa.types.is_floating(array.type):
        floats = pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False) + 0.0
        found.update(floats.astype("<f8").tobytes())
    else:
        found.update(
            pc.fill_null(array, 0)
            .to_numpy(zero_copy_only=False)
            .astype("<i8")
            .tobytes()
        )
    return found.hexdigest()


def _string_bytes(array: pa.LargeStringArray) -> bytes:
    _, offsets, data = array.buffers()
    if data is None or len(array) == 0:
        return b""
    at = np.frombuffer(offsets, dtype="<i8")[
        array.offset : array.offset + len(array) + 1
    ]
    return memoryview(data)[at[0] : at[-1]].tobytes()


def digest_table(count: int, columns: Mapping[str, str]) -> str:
    """Return the digest of a type from those of its columns."""
    return digest_json({"count": count, "columns": dict(columns)})


def digest_json(content: object) -> str:
    """Return the sha256 of plain data, keys sorted."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the BLAKE2b digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:64]


def digest_graph(
    records: Mapping[str, TypeRecord], parameters: Mapping[str, Any], version: str
) -> str:
    """Return the digest of a graph: content of all types, parameters and version."""
    return digest_json(
        {
            "format": FORMAT,
            "version": version,
            "parameters": dict(parameters),
            "types": {name: record.digest for name, record in records.items()},
        }
    )


def file_of(name: str) -> str:
    """Return the path of a type's table inside a graph folder."""
    return f"{'nodes' if name in NODE_TYPES else 'edges'}/{name}.parquet"
