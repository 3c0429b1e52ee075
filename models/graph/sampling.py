"""A neighbour sampler in a few lines of torch, because the usual one needs a compiler.

Edges into a node are drawn by shuffling each CSR row once (``shuffle_rows``) and taking the
first few. What a node draws therefore depends on the shuffle alone, not on which other
nodes are asked for, and a fan-out that no row exceeds gives the whole neighbourhood.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models.graph.structure import EdgeKey, Edges, Graph


@dataclass(frozen=True, slots=True)
class Sample:
    """The part of a graph that some nodes hear of.

    Parameters
    ----------
    graph
        With numbers of its own: the nodes asked for come first.
    rows
        Node type to the numbers its nodes have in the whole graph.
    """

    graph: Graph
    rows: Mapping[str, Tensor]


def shuffle_rows(graph: Graph, generator: torch.Generator) -> Graph:
    """Shuffle the edges into each node, types in sorted order."""
    edges = dict(graph.edges)
    for key in sorted(graph.edges):
        mine = graph.edges[key]
        order = torch.randperm(len(mine), generator=generator)
        edges[key] = mine.take(order.to(mine.target.device))
    return replace(graph, edges=edges)


def first_of_rows(edges: Edges, nodes: Tensor, fan_out: int | None) -> Tensor:
    """Return the first edges into some nodes, at most ``fan_out`` each, node by node."""
    first, count = edges.start[nodes], edges.start[nodes + 1] - edges.start[nodes]
    if fan_out is not None:
        count = count.clamp(max=fan_out)
    before = count.cumsum(0) - count
    at = torch.arange(int(count.sum()), device=nodes.device)
    at = at - before.repeat_interleave(count)
    rows: Tensor = first.repeat_interleave(count) + at
    return rows


def thin(graph: Graph, fan_out: Mapping[EdgeKey, int] | int | None) -> Graph:
    """Keep the first edges into each node, of all nodes."""
    edges = {}
    for key, mine in graph.edges.items():
        limit = fan_out.get(key) if isinstance(fan_out, Mapping) else fan_out
        everyone = torch.arange(len(mine.start) - 1, device=mine.start.device)
        edges[key] = (
            mine if limit is None else mine.take(first_of_rows(mine, everyone, limit))
        )
    return replace(graph, edges=edges)


def sample(
    graph: Graph,
    asked: Mapping[str, Tensor],
    n_hops: int,
    fan_out: Mapping[EdgeKey, int] | int | None = None,
) -> Sample:
    """Gather the nodes within ``n_hops`` of some nodes, and the edges between them.

    Parameters
    ----------
    graph
        Shuffled by ``shuffle_rows`` where ``fan_out`` is less than all.
    asked
        Node type to distinct numbers.
    fan_out
        Edges of a type into a node, at most; by type, or for all; None takes all.

    Returns
    -------
    Sample
        Nodes at the last hop have no edges into them: nobody hears what they would hear.
    """
    rows = {name: n.member.new_zeros(0) for name, n in graph.nodes.items()}
    new = {name: torch.full_like(n.member, -1) for name, n in graph.nodes.items()}
    kept: dict[EdgeKey, list[Tensor]] = {key: [] for key in graph.edges}
    frontier = dict(asked)

    def number(name: str, found: Tensor) -> Tensor:
        fresh: Tensor = torch.unique(found[new[name][found] < 0])
        if name in asked and not len(rows[name]):
            fresh = found  # the order asked for
        numbers = torch.arange(len(fresh), device=fresh.device)
        new[name][fresh] = numbers + len(rows[name])
        rows[name] = torch.cat([rows[name], fresh])
        return fresh

    for name, nodes in asked.items():
        number(name, nodes)
    for _ in range(n_hops):
        senders: dict[str, list[Tensor]] = {}
        for key, edges in graph.edges.items():
            if key[2] not in frontier:
                continue
            limit = fan_out.get(key) if isinstance(fan_out, Mapping) else fan_out
            at = first_of_rows(edges, frontier[key[2]], limit)
            kept[key].append(at)
            senders.setdefault(key[0], []).append(edges.source[at])
        frontier = {name: number(name, torch.cat(s)) for name, s in senders.items()}
    between = {}
    for key, parts in kept.items():
        mine = graph.edges[key]
        at = torch.cat(parts) if parts else mine.source[:0]
        between[key] = Edges.of(
            new[key[0]][mine.source[at]], new[key[2]][mine.target[at]],
            len(rows[key[2]]), mine.x[at], mine.known[at],
        )  # fmt: skip
    nodes_ = {name: graph.nodes[name].take(rows[name]) for name in graph.nodes}
    return Sample(Graph(nodes_, between), rows)
