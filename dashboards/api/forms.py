"""Regions as they come in, and rows as they go out: JSON, JSON lines, Arrow."""

import io
import json
import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from fastapi import Query

from dashboards.api.problems import Problem
from data_registry.contigs import ContigNames
from data_registry.coordinates import Region, parse_region

NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"

_MOST_POSITION = 2**62

RegionText = Annotated[
    str,
    Query(
        description="`chr:start-end`, 1-based inclusive; contigs by any name the "
        "workspace knows.",
        examples=["chr1:1-200000"],
        min_length=1,
        max_length=200,
    ),
]


def read_region(text: str, names: ContigNames, most_bp: int) -> Region:
    """Read a region; its contig by the assembly's name, its end given.

    Parameters
    ----------
    most_bp
        Span it may have.

    Raises
    ------
    InputError, Problem
        The text is no region, names no contig, or spans too much.
    """
    region = parse_region(text, contigs=frozenset(names.names))
    own = names.resolve([region.contig])[region.contig]
    if own is None:
        shown = ", ".join(names.names[:8])
        raise Problem(
            "invalid-request",
            f"the assembly has no contig {region.contig[:60]!r}; it has: {shown}",
        )
    if region.end is None or region.end - region.start > most_bp:
        raise Problem(
            "invalid-request",
            f"{text[:80]!r}: give start and end, at most {most_bp:,} bp apart",
        )
    return Region(
        own, min(region.start, _MOST_POSITION), min(region.end, _MOST_POSITION)
    )


def json_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON values: what is not finite is null."""
    return [
        {
            key: None if isinstance(v, float) and not math.isfinite(v) else v
            for key, v in row.items()
        }
        for row in table.to_pylist()
    ]


def json_lines(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Write one JSON object a row; keys without a value are left out."""
    for batch in batches:
        rows = json_rows(pa.Table.from_batches([batch]))
        yield b"".join(
            json.dumps(
                {k: v for k, v in row.items() if v is not None}, ensure_ascii=False
            ).encode()
            + b"\n"
            for row in rows
        )


def arrow_stream(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> Iterator[bytes]:
    """Write an Arrow IPC stream."""
    pieces = _Pieces()
    with pa.ipc.new_stream(pa.PythonFile(pieces, mode="w"), schema) as writer:
        for batch in batches:
            writer.write_batch(_scrubbed(batch))
            yield pieces.take()
    yield pieces.take()


def _scrubbed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch without what happens to lie in memory where it holds no value."""
    columns = []
    for column in batch.columns:
        if column.null_count and pa.types.is_primitive(column.type):
            zero = pa.scalar(0).cast(column.type)
            values = pc.fill_null(column, zero).to_numpy(zero_copy_only=False)
            mask = column.is_null().to_numpy(zero_copy_only=False)
            columns.append(pa.array(values, column.type, mask=mask))
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


class _Pieces(io.RawIOBase):
    """A file that is read while it is written."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401
        self._held.append(bytes(data))
        return len(self._held[-1])

    def take(self) -> bytes:
        found = b"".join(self._held)
        self._held.clear()
        return found
