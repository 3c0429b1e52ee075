"""A heterogeneous graph as tensors: nodes with masked attributes, edges in CSR order.

Edges of one type are sorted by target, so the edges into a node are one stretch of the
arrays. All that is drawn or computed per node works on such stretches.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from graph_builder.schema import EDGE_TYPES

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

Held = TypeVar("Held")
EdgeKey = tuple[str, str, str]
"""Type of the sender, relation, type of the receiver."""
BACK = "back_"
"""Prefix of a relation that is read against the direction it is stored in."""


def on_device(held: Held, device: torch.device) -> Held:
    """Return tensors, or dataclasses, mappings and tuples that hold some, on a device."""
    found: Any = held
    if isinstance(held, Tensor):
        found = held.to(device)
    elif isinstance(held, Mapping):
        found = {key: on_device(value, device) for key, value in held.items()}
    elif isinstance(held, tuple):
        found = tuple(on_device(value, device) for value in held)
    elif is_dataclass(held) and not isinstance(held, type):
        parts = {f.name: getattr(held, f.name) for f in fields(held)}
        found = replace(held, **on_device(parts, device))
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes of one type.

    Parameters
    ----------
    x, known
        ``(n, attributes)``: float32, 0 where missing; and where they are known.
    member
        ``(n,)`` int64: number in the vocabulary of a closed type, -1 where it has none.
    """

    x: Tensor
    known: Tensor
    member: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Tensor) -> "Nodes":
        """Return some of the nodes, in the order given."""
        return Nodes(self.x[rows], self.known[rows], self.member[rows])


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges of one type, sorted by target.

    Parameters
    ----------
    source, target
        ``(e,)`` int64.
    start
        ``(targets + 1,)``: the edges into node ``i`` are ``start[i]:start[i + 1]``.
    x, known
        ``(e, attributes)``, as of ``Nodes``.
    """

    source: Tensor
    target: Tensor
    start: Tensor
    x: Tensor
    known: Tensor

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def of(
        cls, source: Tensor, target: Tensor, n_targets: int, x: Tensor, known: Tensor
    ) -> "Edges":
        """Sort edges by target; edges of one target keep their order."""
        order = torch.argsort(target, stable=True)
        count = torch.bincount(target, minlength=n_targets)
        start = torch.cat([count.new_zeros(1), count.cumsum(0)])
        return cls(source[order], target[order], start, x[order], known[order])

    def into(self, first: int, last: int) -> "Edges":
        """Return the edges into the targets ``first`` to ``last``, numbered from 0."""
        if (first, last) == (0, len(self.start) - 1):
            return self
        start = self.start[first : last + 1]
        rows = slice(int(start[0]), int(start[-1]))
        return Edges(
            self.source[rows], self.target[rows] - first, start - start[0],
            self.x[rows], self.known[rows],
        )  # fmt: skip

    def where(self, kept: Tensor) -> "Edges":
        """Return the edges that are kept, ``(e,)`` bool, in their order."""
        before = torch.cat([self.start.new_zeros(1), kept.cumsum(0)])
        return Edges(
            self.source[kept], self.target[kept], before[self.start],
            self.x[kept], self.known[kept],
        )  # fmt: skip

    def take(self, rows: Tensor) -> "Edges":
        """Return some of the edges, between the same nodes, in the order given."""
        n = len(self.start) - 1
        return Edges.of(
            self.source[rows], self.target[rows], n, self.x[rows], self.known[rows]
        )


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges by type.

    Parameters
    ----------
    names
        Node type to the identifiers of its nodes; empty where nobody asks for them.
    """

    nodes: Mapping[str, Nodes]
    edges: Mapping[EdgeKey, Edges]
    names: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def n_edges(self) -> int:
        """Edges of all types."""
        return sum(len(edges) for edges in self.edges.values())

    def without(self, keys: Collection[EdgeKey]) -> "Graph":
        """Return the graph without some edge types."""
        kept = {key: edges for key, edges in self.edges.items() if key not in keys}
        return replace(self, edges=kept)

    def shuffled(
        self, generator: torch.Generator, keys: Collection[EdgeKey] | None = None
    ) -> "Graph":
        """Give each edge of the types (all by default) another source of its type at random.

        Each node keeps its number of edges in and out, and edges keep their attributes.
        """
        edges = dict(self.edges)
        for key in self.edges if keys is None else keys:
            mine = edges[key]
            order = torch.randperm(len(mine), generator=generator)
            edges[key] = replace(mine, source=mine.source[order])
        return replace(self, edges=edges)


def graph_of(
    data: "HeteroData",
    types: Collection[str],
    *,
    leave_out: Collection[str] = (),
    vocabulary: Mapping[str, list[str]] | None = None,
) -> Graph:
    """Build the graph that messages travel on, without scaling anything.

    Each asymmetric edge type is there in both directions. Its attributes are squeezed by
    ``asinh``, because most are counts and distances that span orders of magnitude.

    Parameters
    ----------
    data
        As ``models.hetero.load_hetero`` returns it.
    types
        Node types to keep, with the edges between them.
    leave_out
        Edge types (``gene__member_of__pathway``) that must not be seen.
    vocabulary
        Closed type to the identifiers that have a number.
    """
    vocabulary = vocabulary or {}
    nodes, edges, names = {}, {}, {}
    for name in types:
        store = data[name]
        names[name] = list(store.identifier)
        place = {one: i for i, one in enumerate(vocabulary.get(name, []))}
        member = torch.tensor([place.get(one, -1) for one in names[name]])
        nodes[name] = Nodes(store.x.asinh(), store.x_known, member.long())
    for key in data.edge_types:
        source, relation, target = key
        if source not in nodes or target not in nodes or "__".join(key) in leave_out:
            continue
        store = data[key]
        if not store.edge_index.shape[1]:
            continue
        ends, x, known = store.edge_index, store.edge_attr.asinh(), store.edge_known
        n = {name: len(nodes[name]) for name in (source, target)}
        edges[key] = Edges.of(ends[0], ends[1], n[target], x, known)
        if not EDGE_TYPES["__".join(key)].symmetric:
            back = (target, BACK + relation, source)
            edges[back] = Edges.of(ends[1], ends[0], n[source], x, known)
    return Graph(nodes, edges, names)


def union(graphs: Sequence[Graph]) -> tuple[Graph, list[dict[str, int]]]:
    """Put graphs of the same types side by side, without edges between them.

    Returns
    -------
    tuple
        The graph, and for each part the number of the first of its nodes by type.
    """
    offsets: list[dict[str, int]] = []
    total = dict.fromkeys(graphs[0].nodes, 0)
    for graph in graphs:
        offsets.append(dict(total))
        for name, nodes in graph.nodes.items():
            total[name] += len(nodes)
    joined = {
        name: Nodes(*(
            torch.cat([getattr(g.nodes[name], part) for g in graphs])
            for part in ("x", "known", "member")
        ))
        for name in total
    }  # fmt: skip
    edges = {}
    for key in sorted({key for graph in graphs for key in graph.edges}):
        parts = [
            (e.source + at[key[0]], e.target + at[key[2]], e.x, e.known)
            for graph, at in zip(graphs, offsets, strict=True)
            if (e := graph.edges.get(key)) is not None
        ]
        source, target, x, known = (
            torch.cat(some) for some in zip(*parts, strict=True)
        )
        edges[key] = Edges.of(source, target, total[key[2]], x, known)
    names = {name: [n for g in graphs for n in g.names[name]] for name in total}
    return Graph(joined, edges, names), offsets
