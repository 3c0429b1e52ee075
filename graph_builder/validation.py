"""Checking a graph on disk against its manifest and the rules of the schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graph_builder.manifest import (
    Manifest,
    arrow_schema,
    digest_column,
    digest_graph,
    digest_table,
    read_manifest,
)
from graph_builder.schema import TYPES, Attribute, EdgeType, NodeType


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a graph."""

    type: str
    problem: str

    def __str__(self) -> str:
        return f"{self.type}: {self.problem}"


def validate(graph: Path) -> list[Problem]:
    """Check a graph folder; an empty list means that all is well.

    Checked are: that every type has its file, columns and types; that node ids count
    from 0 in the order of unique identifiers; that edges name nodes there are, in
    order, none twice, and symmetric ones once; every attribute's rules; and that the
    content has the digests of the manifest.

    Raises
    ------
    WorkspaceError
        There is no readable manifest.
    """
    manifest = read_manifest(graph)
    problems = [
        Problem(name, "is in the manifest or the schema, not in both")
        for name in sorted(set(manifest.types) ^ set(TYPES))
    ]
    for name, kind in TYPES.items():
        if name in manifest.types:
            problems += [
                Problem(name, one) for one in _check_type(manifest, name, kind)
            ]
    found = digest_graph(manifest.types, manifest.parameters, manifest.version)
    if found != manifest.digest:
        problems.append(
            Problem("graph", f"digest is {found}, the manifest says {manifest.digest}")
        )
    return problems


def _check_type(
    manifest: Manifest, name: str, kind: NodeType | EdgeType
) -> Iterator[str]:
    record = manifest.types[name]
    path = manifest.path / record.file
    try:
        table = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        yield f"{path} cannot be read ({error})"
        return
    if not table.schema.equals(arrow_schema(kind)):
        yield f"{path} has other columns than the schema: {table.schema.names}"
        return
    if table.num_rows != record.count:
        yield f"{table.num_rows} rows, the manifest says {record.count}"
    columns = {one: digest_column(table[one]) for one in table.column_names}
    if changed := [one for one in columns if columns[one] != record.columns.get(one)]:
        yield f"content of {', '.join(changed)} differs from the manifest's digest"
    if digest_table(table.num_rows, columns) != record.digest and not changed:
        yield "digest differs from the manifest's"
    if isinstance(kind, NodeType):
        yield from _check_nodes(table)
    else:
        yield from _check_edges(table, kind, manifest)
    for attribute in kind.attributes:
        yield from _check_attribute(table[attribute.name], attribute)


def _check_nodes(table: pa.Table) -> Iterator[str]:
    ids = table["id"].to_numpy()
    if not np.array_equal(ids, np.arange(ids.size)):
        yield "ids do not count from 0"
    if ids.size > 1:
        names = table["identifier"].combine_chunks().cast(pa.large_binary())
        rising = pc.less(names[:-1], names[1:]).to_numpy(zero_copy_only=False)
        if not rising.all():
            at = int(np.flatnonzero(~rising)[0])
            yield (
                "identifiers are not unique and sorted, first at "
                f"{table['identifier'][at + 1].as_py()!r}"
            )


def _check_edges(table: pa.Table, kind: EdgeType, manifest: Manifest) -> Iterator[str]:
    for end, node in (("source", kind.source), ("target", kind.target)):
        ids = table[end].to_numpy()
        n = manifest.nodes[node].count if node in manifest.nodes else 0
        if outside := int(((ids < 0) | (ids >= n)).sum()):
            yield f"{outside} edges have a {end} that is no {node} (of {n})"
    if kind.symmetric:
        turned = int((table["source"].to_numpy() > table["target"].to_numpy()).sum())
        if turned:
            yield f"{turned} symmetric edges have source > target"
    if table.num_rows > 1:
        keys = ["source", "target", *kind.key]
        n_distinct = table.select(keys).group_by(keys).aggregate([]).num_rows
        if n_distinct != table.num_rows:
            yield f"{table.num_rows - n_distinct} edges stand twice"
        sorting = [(key, "ascending") for key in keys]
        if not table.select(keys).sort_by(sorting).equals(table.select(keys)):
            yield "edges are not sorted"


def _check_attribute(column: pa.ChunkedArray, attribute: Attribute) -> Iterator[str]:
    name = attribute.name
    if not attribute.nullable and column.null_count:
        yield f"{name} is missing in {column.null_count} rows"
    known = column.drop_null()
    if not len(known):
        return
    if attribute.type == "float64":
        odd = len(known) - pc.sum(pc.is_finite(known)).as_py()
        if odd:
            yield f"{name} is not finite in {odd} rows"
    if attribute.minimum is not None:
        below = pc.sum(pc.less(known, attribute.minimum)).as_py()
        if below:
            yield f"{name} is below {attribute.minimum} in {below} rows"
    if attribute.maximum is not None:
        above = pc.sum(pc.greater(known, attribute.maximum)).as_py()
        if above:
            yield f"{name} is above {attribute.maximum} in {above} rows"
    if attribute.choices:
        unknown = set(pc.unique(known).to_pylist()) - set(attribute.choices)
        if unknown:
            yield f"{name} holds {sorted(unknown)[:3]}, not one of {attribute.choices}"
