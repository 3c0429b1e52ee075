"""``/api/graph/neighbourhood``: what lies around a node, hop by hop."""

from collections import Counter
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from dashboards.api.forms import json_rows
from dashboards.api.graph_tables import GraphTables
from dashboards.api.problems import Problem, documented
from dashboards.api.server import SnapshotNow
from graph_builder.schema import EDGE_TYPES, NODE_TYPES

router = APIRouter(tags=["genes and graph"])

Ints = NDArray[np.int64]


class NodeBody(BaseModel):
    """A node. ``start`` and ``end`` among its attributes are 0-based half-open."""

    key: str = Field(description="`type:id`, as edges name it.", examples=["gene:gA"])
    type: str = Field(examples=["gene"])
    id: str = Field(examples=["gA"])
    hops: int = Field(description="From the centre.", examples=[0])
    attributes: dict[str, Any]


class EdgeBody(BaseModel):
    """An edge."""

    type: str = Field(examples=["gene__linked_to__cre"])
    source: str = Field(examples=["gene:gA"])
    target: str = Field(examples=["cre:chr1:4901-5150"])
    attributes: dict[str, Any]


class NeighbourhoodBody(BaseModel):
    """A part of one graph."""

    graph_digest: str
    centre: str = Field(examples=["gene:gA"])
    hops: int = Field(examples=[1])
    nodes: list[NodeBody]
    edges: list[EdgeBody]
    left_out: dict[str, int] = Field(
        description="Edges that were found and not followed, by type, because a limit was "
        "reached: raise `edges_per_type` or `nodes`, or name fewer `edge` types.",
        examples=[{"variant__near__gene": 163}],
    )


@router.get(
    "/api/graph/neighbourhood",
    summary="Around a node",
    responses=documented("not-found", "invalid-request", "missing-layer"),
)
def read_neighbourhood(
    snapshot: SnapshotNow,
    id: Annotated[  # noqa: A002
        str,
        Query(description="Identifier of the node in the graph.", examples=["DM1G00010"],
              min_length=1, max_length=500),
    ],
    type: Annotated[  # noqa: A002
        Literal["gene", "variant", "cre", "tf", "contact_bin", "pathway", "phenotype",
                "text"],
        Query(description="Its type."),
    ] = "gene",
    hops: Annotated[int, Query(ge=0, le=3)] = 1,
    edge: Annotated[
        list[Annotated[str, Field(json_schema_extra={"enum": list(EDGE_TYPES)})]] | None,
        Query(description="Follow only these edge types; may repeat.", max_length=40,
              examples=[["gene__linked_to__cre"]]),
    ] = None,
    edges_per_type: Annotated[
        int, Query(description="Edges of a type followed from one hop.", ge=1, le=500)
    ] = 50,
    nodes: Annotated[int, Query(description="Nodes in all.", ge=1, le=1_000)] = 300,
) -> NeighbourhoodBody:  # fmt: skip
    """Return the nodes within some hops of one node, and the edges that lead there.

    Edges are taken in the order of the graph's tables. Those beyond a limit are counted
    by type in `left_out`.
    """
    if unknown := sorted(set(edge or ()) - set(EDGE_TYPES)):
        raise Problem(
            "invalid-request",
            f"no edge type {unknown[0][:80]!r}; there are: {', '.join(EDGE_TYPES)}",
        )
    tables = snapshot.graph
    centre = tables.find(type, id)
    if centre is None:
        raise Problem("not-found", f"the graph has no {type} {id[:100]!r}")
    followed = [name for name in EDGE_TYPES if edge is None or name in edge]
    reach = _Reach(tables, type, centre, nodes)
    for hop in range(1, hops + 1):
        reach.step(hop, followed, edges_per_type)
    digest = tables.manifest.digest
    return NeighbourhoodBody(
        graph_digest=digest, centre=f"{type}:{id}", hops=hops, nodes=reach.nodes(),
        edges=reach.edge_bodies(), left_out=dict(sorted(reach.left_out.items())),
    )  # fmt: skip


class _Reach:
    """What has been reached: ids by node type with their distance, and rows of edges."""

    def __init__(
        self, tables: GraphTables, node_type: str, centre: int, most_nodes: int
    ) -> None:
        self._tables, self._most = tables, most_nodes
        self.hops: dict[str, dict[int, int]] = {name: {} for name in NODE_TYPES}
        self.hops[node_type][centre] = 0
        self.rows: dict[str, dict[int, None]] = {}
        self.left_out: Counter[str] = Counter()

    def step(self, hop: int, followed: list[str], most_edges: int) -> None:
        """Follow edges from what the last hop has reached."""
        edge_nodes = {
            name: np.array([i for i, h in ids.items() if h == hop - 1], np.int64)
            for name, ids in self.hops.items()
        }
        for name in followed:
            kind = EDGE_TYPES[name]
            if not self._tables.manifest.edges[name].count:
                continue
            rows = np.union1d(
                self._tables.edges_at(name, edge_nodes[kind.source], by_target=False),
                self._tables.edges_at(name, edge_nodes[kind.target], by_target=True),
            )
            known = self.rows.setdefault(name, {})
            fresh = [row for row in rows.tolist() if row not in known]
            self.left_out[name] += max(len(fresh) - most_edges, 0)
            self._take(name, fresh[:most_edges], hop)
        self.left_out = +self.left_out

    def _take(self, name: str, rows: list[int], hop: int) -> None:
        kind, table = EDGE_TYPES[name], self._tables.take(name, rows)
        n_nodes = sum(map(len, self.hops.values()))
        for row, source, target in zip(
            rows, table["source"].to_pylist(), table["target"].to_pylist(), strict=True
        ):
            ends = {(kind.source, source), (kind.target, target)}
            new = [(t, i) for t, i in ends if i not in self.hops[t]]
            if n_nodes + len(new) > self._most:
                self.left_out[name] += 1
                continue
            for node_type, node_id in new:
                self.hops[node_type][node_id] = hop
            n_nodes += len(new)
            self.rows[name][row] = None

    def nodes(self) -> list[NodeBody]:
        """Return the nodes, by type and id."""
        found = []
        for name, reached in self.hops.items():
            for row in self._rows_of(name, sorted(reached)):
                node_id, identifier = row.pop("id"), row.pop("identifier")
                found.append(
                    NodeBody(key=f"{name}:{identifier}", type=name, id=identifier,
                             hops=reached[node_id], attributes=row)
                )  # fmt: skip
        return found

    def edge_bodies(self) -> list[EdgeBody]:
        """Return the edges, by type and row."""
        found = []
        for name, rows in self.rows.items():
            kind = EDGE_TYPES[name]
            table = json_rows(self._tables.take(name, sorted(rows)))
            keys = [
                self._keys(end, [row[side] for row in table])
                for end, side in ((kind.source, "source"), (kind.target, "target"))
            ]
            for row, source, target in zip(table, *keys, strict=True):
                del row["source"], row["target"]
                found.append(
                    EdgeBody(type=name, source=source, target=target, attributes=row)
                )
        return found

    def _rows_of(self, name: str, ids: list[int]) -> list[dict[str, Any]]:
        # Ids are row numbers: the builder numbers the sorted nodes from 0.
        return json_rows(self._tables.take(name, ids)) if ids else []

    def _keys(self, node_type: str, ids: list[int]) -> list[str]:
        names = self._tables.take(node_type, ids)["identifier"].to_pylist()
        return [f"{node_type}:{name}" for name in names]
