"""What is linked to what: neighbours and paths in a built graph, read from its Parquet.

Nodes are (type, id) pairs. Where a node has more neighbours than a picture can hold, the
strongest of each edge type are taken and the others are counted.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from dashboards.app.engine import cursor
from data_registry.errors import InputError, MissingLayerError
from data_registry.workspace import Workspace
from graph_builder.manifest import Manifest, current_graph, read_manifest
from graph_builder.schema import EDGE_TYPES, NODE_TYPES

Node = tuple[str, int]

WEIGHTS: Final[Mapping[str, tuple[str, str]]] = {
    "gene__physical__gene": ("score", "score of the source"),
    "gene__complex__gene": ("score", "score of the source"),
    "gene__genetic__gene": ("score", "score of the source"),
    "gene__regulates__gene": ("score", "score of the source"),
    "gene__coexpressed__gene": ("abs(correlation)", "size of the correlation"),
    "gene__linked_to__cre": ("score", "share of the gene's regulation"),
    "tf__binds__cre": ("signal", "binding signal"),
    "tf__motif_in__cre": ("score", "motif score, bits"),
    "tf__regulates__gene": ("score", "score of the source"),
    "variant__near__gene": ("-distance_bp", "nearness to the gene's start, -bp"),
    "variant__in__cre": ("abs(motif_change)", "size of the motif change, bits"),
    "variant__associated_with__phenotype": ("-log10(p_value)", "-log10 p"),
    "gene__associated_with__phenotype": ("score", "evidence level"),
    "gene__member_of__pathway": ("relevance", "information content, nats"),
    "pathway__shares_genes__pathway": ("similarity", "Jaccard index"),
    "contact_bin__contacts__contact_bin": ("contact_oe", "observed over expected"),
    "gene__in__contact_bin": ("overlap_bp", "bp shared"),
    "cre__in__contact_bin": ("overlap_bp", "bp shared"),
    "variant__in__contact_bin": ("overlap_bp", "bp shared"),
}
"""What orders the edges of a type, and what it is called; others have no weight."""

_LABELS: Final = {
    "gene": "coalesce(nullif(symbol, ''), identifier)", "tf": "name",
    "pathway": "coalesce(nullif(name, ''), identifier)",
    "phenotype": "coalesce(nullif(name, ''), identifier)",
    "text": "coalesce(nullif(title, ''), left(text, 60))",
}  # fmt: skip

QUIET_EDGES: Final = frozenset(
    name for name in EDGE_TYPES
    if "contact_bin" in name or name.endswith("__text")
)  # fmt: skip
"""Edges left out unless somebody asks: they join nearly everything."""
MOST_NODES: Final = 160
_MOST_FRONTIER: Final = 20_000


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge as stored: from source to target of its type."""

    type: str
    source: Node
    target: Node
    weight: float | None

    def other(self, node: Node) -> Node:
        """Return the end that is not ``node``."""
        return self.target if self.source == node else self.source


@dataclass(slots=True)
class Neighbourhood:
    """Nodes and edges around a centre.

    Parameters
    ----------
    distance
        Node to its hops from the centre.
    left_out
        Edge type to neighbours that were not taken.
    """

    distance: dict[Node, int]
    edges: list[Edge] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)


class Graph:
    """A built graph.

    Parameters
    ----------
    workspace
        Its newest graph is opened.

    Raises
    ------
    MissingLayerError
        No graph is built there.
    """

    def __init__(self, workspace: Path) -> None:
        folder = current_graph(Workspace(workspace).graph)
        if folder is None:
            raise MissingLayerError(
                "no graph is built in this workspace; build it with "
                f"'cisgraph build -w {workspace.name}'"
            )
        self.manifest: Manifest = read_manifest(folder)

    # -- nodes -------------------------------------------------------------------------

    def _file(self, name: str) -> str:
        return str(self.manifest.path / self.manifest.types[name].file)

    def _rows(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with cursor() as asking:
            rows: list[tuple[Any, ...]] = asking.execute(query, list(values)).fetchall()
            return rows

    def search(
        self, kind: str, text: str, *, limit: int = 20
    ) -> list[tuple[Node, str]]:
        """Return nodes of a type whose identifier or name begins with or holds a text.

        Exact identifiers come first, then beginnings, then the rest.
        """
        if kind not in NODE_TYPES:
            raise InputError(
                f"no node type {kind!r}; there are: {', '.join(NODE_TYPES)}"
            )
        label = _LABELS.get(kind, "identifier")
        rows = self._rows(
            f"SELECT id, identifier, {label} AS label FROM read_parquet(?) "
            "WHERE contains(lower(identifier), lower(?)) OR "
            f"contains(lower({label}), lower(?)) "
            "ORDER BY (lower(identifier) = lower(?) OR lower(label) = lower(?)) DESC, "
            "starts_with(lower(identifier), lower(?)) DESC, "
            "length(identifier), identifier LIMIT ?",
            [self._file(kind), text, text, text, text, text, limit],
        )
        return [((kind, i), _joined(identifier, name)) for i, identifier, name in rows]

    def find(self, kind: str, identifier: str) -> Node | None:
        """Return the node of that identifier, or of that name where it is the only one."""
        found = self.search(kind, identifier, limit=2) if identifier else []
        if not found:
            return None
        exact = self._rows(
            "SELECT id FROM read_parquet(?) WHERE identifier = ?",
            [self._file(kind), identifier],
        )
        if exact:
            return kind, int(exact[0][0])
        names = self.describe([node for node, _ in found])
        same = [n for n in names.values() if n["label"].lower() == identifier.lower()]
        return (kind, int(same[0]["id"])) if len(same) == 1 else None

    def describe(self, nodes: Iterable[Node]) -> dict[Node, dict[str, Any]]:
        """Return all attributes of nodes, with ``label`` and ``identifier``."""
        by_type: dict[str, list[int]] = defaultdict(list)
        for kind, number in nodes:
            by_type[kind].append(number)
        found: dict[Node, dict[str, Any]] = {}
        for kind, numbers in by_type.items():
            label = _LABELS.get(kind, "identifier")
            with cursor() as asking:
                asked = asking.execute(
                    f"SELECT *, {label} AS label FROM read_parquet(?) "
                    "WHERE id IN (SELECT unnest(?))",
                    [self._file(kind), numbers],
                )
                names = [column[0] for column in asked.description or []]
                for row in asked.fetchall():
                    one = dict(zip(names, row, strict=True))
                    found[kind, one["id"]] = one
        return found

    # -- neighbours --------------------------------------------------------------------

    def edge_types(self) -> list[str]:
        """Return the edge types that have edges."""
        return [name for name, record in self.manifest.edges.items() if record.count]

    def edges_at(
        self, numbers: Sequence[int], edge: str, side: str, limit: int
    ) -> tuple[list[Edge], int]:
        """Edges of one type at these nodes on one side, strongest first, and the rest."""
        weight = WEIGHTS[edge][0] if edge in WEIGHTS else "NULL"
        rows = self._rows(
            f"SELECT source, target, ({weight})::DOUBLE AS w, count(*) OVER () AS total "
            f"FROM read_parquet(?) WHERE {side} IN (SELECT unnest(?)) "
            "ORDER BY w DESC NULLS LAST, source, target LIMIT ?",
            [self._file(edge), list(numbers), limit],
        )
        shape = EDGE_TYPES[edge]
        edges = [
            Edge(edge, (shape.source, s), (shape.target, t), w) for s, t, w, _ in rows
        ]
        return edges, (rows[0][3] - len(rows) if rows else 0)

    def around(
        self,
        centre: Node,
        *,
        hops: int,
        edge_types: Sequence[str],
        per_type: int = 25,
        most: int = MOST_NODES,
    ) -> Neighbourhood:
        """Return the neighbourhood of a node.

        Parameters
        ----------
        per_type
            Edges taken of each type, side and hop.
        most
            Nodes in all; the others are counted as left out.
        """
        found = Neighbourhood({centre: 0})
        seen: set[Edge] = set()
        frontier = [centre]
        for hop in range(1, hops + 1):
            by_type: dict[str, list[int]] = defaultdict(list)
            for kind, number in frontier:
                by_type[kind].append(number)
            frontier = []
            for edge in edge_types:
                shape = EDGE_TYPES[edge]
                for side, kind in (("source", shape.source), ("target", shape.target)):
                    if kind not in by_type:
                        continue
                    edges, rest = self.edges_at(by_type[kind], edge, side, per_type)
                    if rest:
                        found.left_out[edge] = found.left_out.get(edge, 0) + rest
                    for one in edges:
                        if one in seen:
                            continue
                        new = [
                            n
                            for n in (one.source, one.target)
                            if n not in found.distance
                        ]
                        if len(found.distance) + len(new) > most:
                            found.left_out[edge] = found.left_out.get(edge, 0) + 1
                            continue
                        seen.add(one)
                        found.edges.append(one)
                        for node in new:
                            found.distance[node] = hop
                            frontier.append(node)
        return found

    def paths(
        self, start: Node, goal: Node, *, edge_types: Sequence[str], hops: int = 4,
        most: int = 10,
    ) -> list[list[Edge]]:  # fmt: skip
        """Return shortest paths between two nodes, at most ``most`` of them.

        Every path returned has the smallest number of edges there is, up to ``hops``.

        Raises
        ------
        InputError
            The search met more nodes than it can hold: choose fewer edge types.
        """
        if start == goal:
            return []
        # From the start, hop by hop; a node keeps all edges that reach it first.
        reached: dict[Node, list[Edge]] = {start: []}
        frontier = [start]
        for _ in range(hops):
            new: dict[Node, list[Edge]] = defaultdict(list)
            by_type: dict[str, list[int]] = defaultdict(list)
            for kind, number in frontier:
                by_type[kind].append(number)
            for edge in edge_types:
                shape = EDGE_TYPES[edge]
                for side, kind in (("source", shape.source), ("target", shape.target)):
                    if kind not in by_type:
                        continue
                    edges, rest = self.edges_at(
                        by_type[kind], edge, side, _MOST_FRONTIER
                    )
                    if rest:
                        raise InputError(
                            f"more than {_MOST_FRONTIER:,} edges {edge} lie on the way: "
                            "choose fewer edge types or fewer hops"
                        )
                    for one in edges:
                        far = one.target if side == "source" else one.source
                        if far not in reached:
                            new[far].append(one)
            if len(reached) + len(new) > 4 * _MOST_FRONTIER:
                raise InputError(
                    "the search meets too many nodes: choose fewer edge types or hops"
                )
            reached |= new
            if goal in new:
                return self._unwound(start, goal, reached, most)
            frontier = list(new)
            if not frontier:
                break
        return []

    @staticmethod
    def _unwound(
        start: Node, goal: Node, reached: Mapping[Node, list[Edge]], most: int
    ) -> list[list[Edge]]:
        finished: list[list[Edge]] = []
        open_ends: list[tuple[Node, list[Edge]]] = [(goal, [])]
        while open_ends and len(finished) < most:
            node, tail = open_ends.pop()
            if node == start:
                finished.append(tail)
                continue
            open_ends += [
                (edge.other(node), [edge, *tail]) for edge in reversed(reached[node])
            ]
        return finished


def _joined(identifier: str, label: str | None) -> str:
    return identifier if not label or label == identifier else f"{label} ({identifier})"


def edge_table(
    edges: Sequence[Edge], names: Mapping[Node, Mapping[str, Any]]
) -> pd.DataFrame:
    """Return edges as a table with the names of their ends."""
    return pd.DataFrame(
        [
            {
                "from": names[e.source]["label"], "from type": e.source[0],
                "edge": EDGE_TYPES[e.type].relation, "to": names[e.target]["label"],
                "to type": e.target[0], "weight": e.weight,
                "weight is": WEIGHTS[e.type][1] if e.type in WEIGHTS else "",
                "from identifier": names[e.source]["identifier"],
                "to identifier": names[e.target]["identifier"],
            }
            for e in edges
        ],
        columns=["from", "from type", "edge", "to", "to type", "weight", "weight is",
                 "from identifier", "to identifier"],
    )  # fmt: skip
