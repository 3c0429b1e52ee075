"""Writing a graph, or a part of it, for other programs."""

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_registry.coordinates import Region
from data_registry.errors import InputError
from graph_builder.manifest import Manifest, read_manifest
from graph_builder.schema import EDGE_TYPES, NODE_TYPES, TYPES, EdgeType

Format = Literal["graphml", "cytoscape", "parquet", "networkx"]

MOST_ROWS = 200_000
"""Nodes and edges written at most, unless the caller says otherwise: what programs with
a window can still draw. ``parquet`` has no such limit."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a graph: chosen nodes of each type, and all edges between them."""

    nodes: dict[str, pa.Table]
    edges: dict[str, pa.Table]

    @property
    def n_rows(self) -> int:
        """Nodes and edges together."""
        tables = [*self.nodes.values(), *self.edges.values()]
        return sum(table.num_rows for table in tables)


def select_part(
    graph: Path,
    *,
    node_types: Collection[str] | None = None,
    edge_types: Collection[str] | None = None,
    region: Region | None = None,
) -> Part:
    """Choose a part of a graph.

    Parameters
    ----------
    node_types, edge_types
        Types wanted; None means all.
    region
        Nodes with a place must overlap it. Nodes without one (pathways, phenotypes,
        factors, texts) stay when an edge joins them to a node in the region.

    Raises
    ------
    InputError
        There is no such type.
    """
    manifest = read_manifest(graph)
    wanted_nodes = _known(node_types, NODE_TYPES)
    wanted_edges = [
        EDGE_TYPES[name]
        for name in _known(edge_types, EDGE_TYPES)
        if {EDGE_TYPES[name].source, EDGE_TYPES[name].target} <= set(wanted_nodes)
    ]
    nodes = {name: manifest.table(name) for name in wanted_nodes}
    edges = {kind.name: manifest.table(kind.name) for kind in wanted_edges}
    if region is None:
        return Part(nodes, edges)
    kept: dict[str, np.ndarray] = {}
    for name, table in nodes.items():
        if "contig" in table.column_names:
            kept[name] = _are_in(table, region)
    for name, table in nodes.items():
        if name in kept:
            continue
        held = np.zeros(table.num_rows, bool)
        for kind in wanted_edges:
            found = edges[kind.name]
            source, target = found["source"].to_numpy(), found["target"].to_numpy()
            if kind.target == name and kind.source in kept:
                held[target[kept[kind.source][source]]] = True
            if kind.source == name and kind.target in kept:
                held[source[kept[kind.target][target]]] = True
        kept[name] = held
    for kind in wanted_edges:
        found = edges[kind.name]
        both = (
            kept[kind.source][found["source"].to_numpy()]
            & kept[kind.target][found["target"].to_numpy()]
        )
        edges[kind.name] = found.filter(pa.array(both))
    return Part(
        {name: table.filter(pa.array(kept[name])) for name, table in nodes.items()},
        edges,
    )


def _known(given: Collection[str] | None, known: Collection[str]) -> list[str]:
    if given is None:
        return list(known)
    if unknown := sorted(set(given) - set(known)):
        raise InputError(f"no type {unknown[0]!r}; there are {', '.join(known)}")
    return [name for name in known if name in given]


def _are_in(table: pa.Table, region: Region) -> np.ndarray:
    end = np.iinfo(np.int64).max if region.end is None else region.end
    inside: np.ndarray = (
        (table["contig"].to_numpy(zero_copy_only=False) == region.contig)
        & (table["start"].to_numpy() < end)
        & (table["end"].to_numpy() > region.start)
    )
    return inside


def build_networkx(part: Part) -> "nx.MultiDiGraph[str]":
    """Turn a part into a networkx graph.

    Nodes are named ``type/identifier``; a symmetric edge is written once and carries
    ``symmetric=True``. Missing attributes are left away.
    """
    found: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    names: dict[str, dict[int, str]] = {}
    for name, table in part.nodes.items():
        names[name] = {}
        for row in _rows(table):
            node = f"{name}/{row['identifier']}"
            names[name][row.pop("id")] = node
            found.add_node(node, type=name, **row)
    for name, table in part.edges.items():
        kind = EDGE_TYPES[name]
        for row in _rows(table):
            source = names[kind.source][row.pop("source")]
            target = names[kind.target][row.pop("target")]
            found.add_edge(
                source, target, type=kind.relation, symmetric=kind.symmetric, **row
            )
    return found


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=50_000):
        for row in batch.to_pylist():
            yield {name: value for name, value in row.items() if value is not None}


def export(
    graph: Path,
    out: Path,
    *,
    format: Format,  # noqa: A002
    node_types: Collection[str] | None = None,
    edge_types: Collection[str] | None = None,
    region: Region | None = None,
    most_rows: int | None = None,
) -> Part:
    """Write a graph for another program.

    Parameters
    ----------
    out
        The file to write; a folder for ``parquet``.
    format
        ``graphml``; ``cytoscape`` (Cytoscape.js JSON); ``networkx`` (node-link JSON for
        ``networkx.node_link_graph``); ``parquet`` (one table a type, with names of
        sources and targets).
    most_rows
        Refuse more nodes and edges than this; None means ``MOST_ROWS``, and no limit
        for ``parquet``.

    Returns
    -------
    Part
        What was written.

    Raises
    ------
    InputError
        No such format or type, or too many rows.
    """
    if format not in get_args(Format):
        raise InputError(
            f"no format {format!r}; there are {', '.join(get_args(Format))}"
        )
    part = select_part(
        graph, node_types=node_types, edge_types=edge_types, region=region
    )
    limit = MOST_ROWS if most_rows is None and format != "parquet" else most_rows
    if limit is not None and part.n_rows > limit:
        raise InputError(
            f"{part.n_rows} nodes and edges are more than {limit}; choose a region or "
            "types, or raise the limit"
        )
    if format == "parquet":
        _write_parquet(read_manifest(graph), part, out)
        return part
    network = build_networkx(part)
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        if format == "graphml":
            for _, data in network.nodes(data=True):
                _clean(data)
            for _, _, data in network.edges(data=True):
                _clean(data)
            nx.write_graphml(network, beside)
        else:
            content = (
                nx.cytoscape_data(network)
                if format == "cytoscape"
                else nx.node_link_data(network, edges="edges")
            )
            beside.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    return part


def _clean(data: dict[str, Any]) -> None:
    """Take away control characters, which XML 1.0 cannot hold."""
    for name, value in data.items():
        if isinstance(value, str):
            data[name] = "".join(
                one if one >= " " or one in "\t\n\r" else " " for one in value
            )


def _write_parquet(manifest: Manifest, part: Part, out: Path) -> None:
    names = {
        name: manifest.table(name)["identifier"].combine_chunks() for name in NODE_TYPES
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for name, table in {**part.nodes, **part.edges}.items():
            kind = TYPES[name]
            written = table
            if isinstance(kind, EdgeType):
                for place, (end, node) in enumerate(
                    (("source", kind.source), ("target", kind.target))
                ):
                    written = written.add_column(
                        2 + place, f"{end}_name", names[node].take(table[end])
                    )
            pq.write_table(written, beside / f"{name}.parquet", compression="zstd")
        if out.exists():
            raise InputError(f"{out} is there already; name a folder that is not")
        beside.chmod(0o755)
        beside.rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
