"""The strongest paths from a variant through the graph, by taking edges away.

An edge's contribution is the variant's calibrated log-odds with the whole graph, less the
log-odds without that edge: positive where the edge makes an effect more likely. Each
network is asked; what is reported is their mean, its spread, and how many agree in sign.
An edge that no block can carry to the variant has no contribution: it is context.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.graph.ensemble import Opened
from models.graph.network import GENE, NEAR, GraphTransformer, Queries, States
from models.graph.sampling import first_of_rows
from models.graph.structure import BACK, EdgeKey, Edges

Reals = NDArray[np.float64]
MOST_GENES, MOST_BEYOND, MOST_LAST = 3, 4, 2
"""Edges whose removal is tried: into a variant, into each node beyond, and into a gene at
the end of two edges."""
OF_GENES = ("pathway", "phenotype")
"""What a path of two edges that ends in a gene goes on to."""


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
        Log-odds: mean and standard deviation over the networks; no contribution (None)
        where the networks cannot see the edge.
    agree
        Networks whose contribution has the sign of the mean.
    """

    node: Node
    name: str
    contribution: float | None
    spread: float = 0.0
    agree: int = 0


@dataclass(frozen=True, slots=True)
class Path:
    """Edges from the variant outwards; ``strength`` is that of its weakest seen edge."""

    steps: tuple[Step, ...]

    @property
    def strength(self) -> float:
        """Smallest absolute contribution of its edges; the first is always seen."""
        return min(
            abs(s.contribution) for s in self.steps if s.contribution is not None
        )

    @property
    def is_seen(self) -> bool:
        """Whether all of its edges have a contribution."""
        return all(step.contribution is not None for step in self.steps)


def strongest_paths(opened: Opened, queries: Queries, most: int = 5) -> list[Path]:
    """Return the strongest paths of one attached variant, one to three edges long.

    Genes, elements and contact bins around the variant are tried one by one, strongest
    attention first; beyond the strongest of them, what they hear from in turn: pathways
    of a gene, genes and factors of an element, and so on; and beyond a gene that was
    reached by two edges, its pathways and phenotypes.

    Parameters
    ----------
    queries
        One variant.
    most
        Paths that are wholly seen. Added are the strongest of three edges, where none is
        among them, and the strongest that ends in each kind of unseen context.
    """
    tried = _Ablation(opened, queries)
    near: list[Path] = []
    for key, edges in queries.edges.items():
        for row in _first(edges, MOST_GENES if key == NEAR else 2, key):
            node = Node(key[0], int(edges.source[row]))
            near.append(Path((tried.step(node, tried.without_direct(key, row)),)))
    near.sort(key=lambda path: -path.strength)
    two = [
        Path((*path.steps, step))
        for path in near[:MOST_GENES]
        for step in tried.beyond(path.steps[-1].node, MOST_BEYOND)
    ]
    at_gene = [path for path in (*near, *two) if path.steps[-1].node.type == GENE]
    three = [
        Path((*path.steps, step))
        for path in two
        if path.steps[-1].node.type == GENE
        and path.steps[-1].node != path.steps[0].node
        for step in tried.beyond(path.steps[-1].node, MOST_LAST, OF_GENES)
    ]
    context = [
        Path((*path.steps, step))
        for path in at_gene
        for step in tried.context(path.steps[-1].node)
    ]
    return _chosen([*near, *two, *three, *context], most)


def _chosen(paths: list[Path], most: int) -> list[Path]:
    ranked = sorted(paths, key=lambda path: -path.strength)
    found = [path for path in ranked if path.is_seen][:most]
    if all(len(path.steps) < 3 for path in found):
        found += [p for p in ranked if p.is_seen and len(p.steps) == 3][:1]
    kinds: set[str] = set()
    for path in ranked:
        if not path.is_seen and path.steps[-1].node.type not in kinds:
            kinds.add(path.steps[-1].node.type)
            found.append(path)
    return found


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
        self.seen = self._seen()

    def _seen(self) -> dict[str, set[int]]:
        """Return nodes whose incoming edges can reach the variant through the blocks.

        The head reads the last state of the candidate genes; a variant's blocks read
        what its neighbours were one block before.
        """
        pairs = self.queries.edges.get(NEAR)
        seen = {GENE: set(pairs.source.tolist())} if pairs is not None else {}
        for _ in range(self.opened.ensemble.settings.network.blocks - 1):
            grown = {name: set(nodes) for name, nodes in seen.items()}
            for name, nodes in self.asked.items():
                grown.setdefault(name, set()).update(nodes.tolist())
            for key, edges in self.opened.graph.edges.items():
                rows = first_of_rows(
                    edges, torch.tensor(sorted(seen.get(key[2], ()))).long(), None
                )
                grown.setdefault(key[0], set()).update(edges.source[rows].tolist())
            seen = grown
        return seen

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

    def beyond(
        self, node: Node, most: int, types: Collection[str] = ()
    ) -> Iterator[Step]:
        """Remove edges into a node, most attended first; ``types`` of senders, or all."""
        attended = [e for e in self._attended(node) if not types or e[0][0] in types]
        for key, row in attended[:most]:
            sender = Node(key[0], int(self.opened.graph.edges[key].source[row]))
            if node.row in self.seen.get(node.type, ()):
                states = self._states_without(key, row)
                yield self.step(sender, self._ask(states, self.queries))
            else:
                yield Step(
                    sender, self.opened.graph.names[sender.type][sender.row], None
                )

    def context(self, gene: Node) -> Iterator[Step]:
        """Return what the stored graph says of a gene on edges that were never learned."""
        stored = self.opened.context
        for key, edges in stored.edges.items():
            for row in range(
                int(edges.start[gene.row]), int(edges.start[gene.row + 1])
            ):
                sender = Node(key[0], int(edges.source[row]))
                yield Step(sender, stored.names[sender.type][sender.row], None)

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
        """Compute the nodes that the variant reads anew, and the one that loses an edge.

        Exact with two blocks: the first changes only the node that loses the edge, the
        second only nodes that hear from it, of which the variant reads some. With more
        blocks, what reaches them over other nodes is left as it was. The memory's totals
        stay those of the whole graph.
        """
        graph = self.opened.graph
        loser = graph.edges[key].target[row : row + 1]
        held = self.asked.get(key[2], loser)
        asked = {**self.asked, key[2]: torch.unique(torch.cat([held, loser]))}
        local = {}
        for name, edges in graph.edges.items():
            if name[2] not in asked:
                continue
            nodes = asked[name[2]]
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
            _patched(network, before, local, asked)
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
