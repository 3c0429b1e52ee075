"""Embeddings on disk, by encoder and input: what did not change is not computed again.

``<workspace>/embeddings/<encoder digest>/<node type>.parquet`` has a row a node:
``identifier``, ``input`` (digest of what was embedded) and ``vector`` (float32).
``encoder.json`` beside it says which encoder that was.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data_registry.errors import WorkspaceError
from data_registry.workspace import disk_error, written_beside

Floats = NDArray[np.float32]
Compute = Callable[[Sequence[str]], Floats]
"""Identifiers to vectors, ``(n, width)``."""

ENCODER_FILE = "encoder.json"
CHUNK = 512
"""Inputs computed between two writes: what a killed run loses at most."""
_COMPLETE = b"cisgraph_complete"


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """Which encoder made the vectors.

    Parameters
    ----------
    digest
        Of weights, settings and code version; names the folder.
    """

    name: str
    what: str
    digest: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of nodes, sorted by identifier.

    Parameters
    ----------
    vectors
        ``(nodes, width)``.
    """

    identifiers: tuple[str, ...]
    vectors: Floats


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did.

    Parameters
    ----------
    n_computed
        Different inputs that were embedded now.
    n_reused
        Nodes whose vector was there, or is that of another node with the same input.
    n_removed
        Nodes of the file that were not asked for any more.
    """

    path: Path
    n_computed: int
    n_reused: int
    n_removed: int


def digest_of(*parts: object) -> str:
    """Return a digest of values whose ``repr`` says all about them."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def embed_cached(
    root: Path,
    encoder: EncoderRecord,
    node_type: str,
    inputs: Mapping[str, bytes | str],
    compute: Compute,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Outcome:
    """Bring the file of one encoder and node type up to date.

    Parameters
    ----------
    root
        ``<workspace>/embeddings``.
    inputs
        Identifier to all that its vector depends on.
    compute
        Asked once for each new input, by the identifier of one node that has it.
    on_progress
        Given the computed and the wanted number of inputs.

    Raises
    ------
    WorkspaceError
        The folder cannot be written.
    """
    folder = root / encoder.digest
    path = folder / f"{node_type}.parquet"
    wanted = {name: _input_digest(inputs[name]) for name in sorted(inputs)}
    known, before = _known_vectors(path)
    representative: dict[str, str] = {}
    for name, digest in wanted.items():
        if digest not in known:
            representative.setdefault(digest, name)
    new = list(representative)
    _write_encoder(folder, encoder)
    is_complete = path.exists() and _is_complete(path)
    if not new and is_complete and before == wanted:
        return Outcome(path, 0, len(wanted), 0)
    for start in range(0, len(new), CHUNK):
        digests = new[start : start + CHUNK]
        vectors = compute([representative[digest] for digest in digests])
        known.update(zip(digests, np.asarray(vectors, np.float32), strict=True))
        on_progress(start + len(digests), len(new))
        if start + CHUNK < len(new):
            done = {name: d for name, d in wanted.items() if d in known}
            _write(path, done, known, complete=False)
    _write(path, wanted, known, complete=True)
    return Outcome(
        path, len(new), len(wanted) - len(new), len(set(before) - set(wanted))
    )


def read_embeddings(root: Path, digest: str, node_type: str) -> Embeddings:
    """Read the vectors of one encoder and node type.

    Parameters
    ----------
    root
        ``<workspace>/embeddings``.

    Raises
    ------
    WorkspaceError
        They are not there, unfinished or damaged.
    """
    path = root / digest / f"{node_type}.parquet"
    if not path.is_file():
        raise WorkspaceError(
            f"{path} is not there; make it with python -m encoders.embed"
        )
    try:
        if not _is_complete(path):
            raise WorkspaceError(
                f"{path} is unfinished; run the same python -m encoders.embed again"
            )
        table = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    return Embeddings(tuple(table["identifier"].to_pylist()), _vectors(table["vector"]))


def list_encoders(root: Path) -> list[EncoderRecord]:
    """Return the encoders that left vectors in a workspace, by name."""
    found = []
    for path in sorted(root.glob(f"*/{ENCODER_FILE}")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found.append(EncoderRecord(**content))
    return sorted(found, key=lambda each: (each.what, each.name, each.digest))


def _input_digest(value: bytes | str) -> str:
    raw = value.encode() if isinstance(value, str) else value
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def _known_vectors(path: Path) -> tuple[dict[str, Floats], dict[str, str]]:
    """Return vectors by input, and the input of each node, as the file has them."""
    if not path.is_file():
        return {}, {}
    try:
        table = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    digests = table["input"].to_pylist()
    names = table["identifier"].to_pylist()
    known = dict(zip(digests, _vectors(table["vector"]), strict=True))
    return known, dict(zip(names, digests, strict=True))


def _vectors(column: pa.ChunkedArray) -> Floats:
    width = column.type.list_size
    flat = [chunk.flatten().to_numpy() for chunk in column.chunks]
    joined = np.concatenate(flat) if flat else np.empty(0, np.float32)
    return joined.reshape(-1, width)


def _is_complete(path: Path) -> bool:
    metadata = pq.read_schema(path).metadata or {}
    return bool(metadata.get(_COMPLETE) == b"yes")


def _write(
    path: Path,
    wanted: Mapping[str, str],
    known: Mapping[str, Floats],
    *,
    complete: bool,
) -> None:
    vectors = [known[digest] for digest in wanted.values()]
    width = len(vectors[0]) if vectors else 0
    flat = np.concatenate(vectors) if vectors else np.empty(0, np.float32)
    table = pa.table(
        {
            "identifier": pa.array(list(wanted), pa.string()),
            "input": pa.array(list(wanted.values()), pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(flat, pa.float32()), width
            )
            if width
            else pa.array([], pa.list_(pa.float32(), 1)),
        }
    ).replace_schema_metadata({_COMPLETE: b"yes" if complete else b"no"})
    with written_beside(path) as beside:
        pq.write_table(table, beside, compression="zstd")


def _write_encoder(folder: Path, encoder: EncoderRecord) -> None:
    content = {
        "name": encoder.name,
        "what": encoder.what,
        "digest": encoder.digest,
        "settings": dict(encoder.settings),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder) from error
    with written_beside(folder / ENCODER_FILE) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _damaged(path: Path, error: Exception) -> WorkspaceError:
    return WorkspaceError(f"{path} is damaged ({error}); remove it and embed again")
