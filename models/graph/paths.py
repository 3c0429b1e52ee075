"""The strongest paths from a variant through the graph, by taking edges away.

An edge's contribution is the variant's calibrated log-odds with the whole graph, less the
log-odds without that edge: positive where the edge makes an effect more likely. Each
network is asked; what is reported is their mean, its spread, and how many agree in sign.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.graph.ensemble import Opened
from models.graph.network import NEAR, GraphTransformer, Queries, States
from models.graph.sampling import first_of_rows
from models.graph.structure import BACK, EdgeKey, Edges

Reals = NDArray[np.float64]
MOST_GENES, MOST_BEYOND = 3, 4
"""Edges whose removal is tried: into a variant, and into each node beyond."""


class Node(NamedTuple):
    """A node by type and number."""

    type: str
    row: int


@dataclass(frozen=True, slots=True)
class Step:
    """One edge of a path.

    Parameters
    ----------
    node
        The node that the edge leads to, away from the variant.
    contribution, spread
        Log-odds: mean and standard deviation over the networks.
    agree
        Networks whose contribution has the sign of the mean.
    """

    node: Node
    name: str
    contribution: float
    spread: float
    agree: int


@dataclass(frozen=True, slots=True)
class Path:
    """Edges from the variant outwards; ``strength`` is that of its weakest edge."""

    steps: tuple[Step, ...]

    @property
    def strength(self) -> float:
        """Smallest absolute contribution of its edges."""
        return min(abs(step.contribution) for step in self.steps)


def strongest_paths(opened: Opened, queries: Queries, most: int = 5) -> list[Path]:
    """Return the strongest paths of one attached variant, one edge long or two.

    Genes, elements and contact bins around the variant are tried one by one, strongest
    attention first; beyond the strongest of them, what they hear from in turn: pathways
    of a gene, factors of an element, and so on.

    Parameters
    ----------
    queries
        One variant.
    """
    tried = _Ablation(opened, queries)
    near: list[tuple[Node, Step]] = []
    for key, edges in queries.edges.items():
        for row in _first(edges, MOST_GENES if key == NEAR else 2, key):
            node = Node(key[0], int(edges.source[row]))
            near.append((node, tried.step(node, tried.without_direct(key, row))))
    near.sort(key=lambda one: -abs(one[1].contribution))
    paths = [Path((step,)) for _, step in near]
    for node, step in near[:MOST_GENES]:
        paths += [Path((step, beyond)) for beyond in tried.beyond(node)]
    return sorted(paths, key=lambda path: -path.strength)[:most]


def _first(edges: Edges, most: int, key: EdgeKey) -> list[int]:
    """Return edges to try: the nearest or strongest linked genes first."""
    if key != NEAR:
        return list(range(min(len(edges), most)))
    # attributes: to_start_bp, outside_bp, inside, link_score
    outside = torch.where(edges.known[:, 1], edges.x[:, 1], 0.0)
    link = torch.where(edges.known[:, 3], edges.x[:, 3], -8.0)
    order = np.lexsort((-link.numpy(), outside.numpy()))
    found: list[int] = order[:most].tolist()
    return found


class _Ablation:
    """Log-odds of one variant, with and without edges, of each network."""

    def __init__(self, opened: Opened, queries: Queries) -> None:
        self.opened, self.queries = opened, queries
        ensemble = opened.ensemble
        self.task = ensemble.settings.tasks[0].name
        self.slope = ensemble.calibration[1]
        around: dict[str, list[torch.Tensor]] = {}
        for key, edges in queries.edges.items():
            around.setdefault(key[0], []).append(edges.source)
        self.asked = {
            name: torch.unique(torch.cat(some)) for name, some in around.items()
        }
        self.whole = self._ask(opened.states, queries)

    def _ask(self, states: tuple[States, ...], queries: Queries) -> Reals:
        networks = self.opened.networks
        with torch.inference_mode():
            said = [
                float(network.judge(self.task, each, queries).logit[0])
                for network, each in zip(networks, states, strict=True)
            ]
        return self.slope * np.array(said)

    def step(self, node: Node, without: Reals) -> Step:
        """Describe an edge by what its removal does."""
        lost = self.whole - without
        mean = float(lost.mean())
        return Step(
            node, self.opened.graph.names[node.type][node.row], mean,
            float(lost.std()), int((np.sign(lost) == np.sign(mean)).sum()),
        )  # fmt: skip

    def without_direct(self, key: EdgeKey, row: int) -> Reals:
        """Remove an edge into the variant."""
        edges = self.queries.edges[key]
        kept = torch.arange(len(edges)) != row
        fewer = edges.take(torch.nonzero(kept)[:, 0])
        return self._ask(
            self.opened.states,
            Queries(self.queries.nodes, {**self.queries.edges, key: fewer}),
        )

    def beyond(self, node: Node) -> Iterator[Step]:
        """Remove edges into a node next to the variant, most attended first."""
        for key, row in self._attended(node)[:MOST_BEYOND]:
            edges = self.opened.graph.edges[key]
            sender = Node(key[0], int(edges.source[row]))
            yield self.step(
                sender, self._ask(self._states_without(key, row), self.queries)
            )

    def _attended(self, node: Node) -> list[tuple[EdgeKey, int]]:
        weight: list[tuple[float, EdgeKey, int]] = []
        for key, edges in self.opened.graph.edges.items():
            if key[2] != node.type or key[1].removeprefix(BACK) == "in":
                continue
            span = slice(int(edges.start[node.row]), int(edges.start[node.row + 1]))
            seen = np.mean(
                [s.weights[0][key][span].mean(1).numpy() for s in self.opened.states], axis=0
            ) if span.stop > span.start else np.zeros(0)  # fmt: skip
            weight += [(float(w), key, span.start + i) for i, w in enumerate(seen)]
        weight.sort(key=lambda one: (-one[0], one[1], one[2]))
        return [(key, row) for _, key, row in weight]

    def _states_without(self, key: EdgeKey, row: int) -> tuple[States, ...]:
        """Compute the nodes that the variant reads anew, without an edge into one of them.

        Exact with two blocks: the first changes only the node that loses the edge, the
        second only nodes that hear from it, of which the variant reads these. With more
        blocks, what reaches them over other nodes is left as it was. The memory's totals
        stay those of the whole graph.
        """
        graph = self.opened.graph
        local = {}
        for name, edges in graph.edges.items():
            if name[2] not in self.asked:
                continue
            nodes = self.asked[name[2]]
            at = first_of_rows(edges, nodes, None)
            if name == key:
                at = at[at != row]
            place = torch.searchsorted(nodes, edges.target[at])
            local[name] = Edges.of(
                edges.source[at],
                place,
                len(nodes),
                edges.x[at].double(),
                edges.known[at],
            )
        networks = self.opened.networks
        return tuple(
            _patched(network, before, local, self.asked)
            for network, before in zip(networks, self.opened.states, strict=True)
        )


def _patched(
    network: GraphTransformer, before: States, edges: Mapping[EdgeKey, Edges],
    asked: Mapping[str, torch.Tensor],
) -> States:  # fmt: skip
    """Return states in which the asked nodes are computed with these edges."""
    hidden = [before.hidden[0]]
    with torch.inference_mode():
        for i, block in enumerate(network.stack):
            receivers = {name: hidden[i][name][rows] for name, rows in asked.items()}
            heard = block(hidden[i], receivers, edges, before.totals[i]).hidden
            new = {
                name: before.hidden[i + 1][name].index_copy(0, rows, heard[name])
                for name, rows in asked.items()
            }
            hidden.append({**before.hidden[i + 1], **new})
    return replace(before, hidden=tuple(hidden))
