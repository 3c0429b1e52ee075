"""The graph transformer: a stored graph is encoded once, new variants read from it.

Variants listen and never speak. So the stored graph's states do not depend on which
variants are asked about, any number of new ones is scored without computing the graph
again, and no variant hears of another: neither its batch-mates nor, where some are labels,
a label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from models.graph.layers import Block, Hidden, masked
from models.graph.structure import EdgeKey, Edges, Graph, Nodes

VARIANT = "variant"
GENE = "gene"
NEAR: EdgeKey = ("gene", "near", "variant")
"""From each candidate gene to the variant; the pairs that the variant head judges."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Size of a network.

    Parameters
    ----------
    width
        Of the states; a multiple of ``heads``.
    slots
        Of the external attention; 0 leaves it out.
    edge_dropout
        Share of the edges that are hidden at each step of training.
    closed
        Node types whose nodes are the same in training and use (terms, factors): each
        has a learned vector of its own, by identifier.
    """

    width: int = 32
    heads: int = 4
    blocks: int = 2
    slots: int = 16
    dropout: float = 0.1
    edge_dropout: float = 0.2
    closed: tuple[str, ...] = ("pathway", "tf")


@dataclass(frozen=True, slots=True)
class Layout:
    """What a network is made for: types, and how many attributes each has.

    Parameters
    ----------
    nodes
        Node type to number of attributes, without variants.
    edges
        Edge type to number of attributes; edges into variants among them.
    n_variant
        Attributes of a variant.
    vocabulary
        Closed type to the identifiers that have a vector.
    """

    nodes: Mapping[str, int]
    edges: Mapping[EdgeKey, int]
    n_variant: int = 0
    vocabulary: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queries:
    """Variants attached to a stored graph.

    Parameters
    ----------
    edges
        From nodes of the graph to the variants, sorted by variant.
    """

    nodes: Nodes
    edges: Mapping[EdgeKey, Edges]

    def __len__(self) -> int:
        return len(self.nodes)

    def take(self, rows: Tensor) -> "Queries":
        """Return some of the variants, in the order given."""
        place = torch.full_like(self.nodes.member, -1)
        place[rows] = torch.arange(len(rows), device=rows.device)
        edges = {}
        for key, mine in self.edges.items():
            new = place[mine.target]
            at = torch.nonzero(new >= 0)[:, 0]
            edges[key] = Edges.of(
                mine.source[at], new[at], len(rows), mine.x[at], mine.known[at]
            )
        return Queries(self.nodes.take(rows), edges)

    def without(self, keys: Sequence[EdgeKey]) -> "Queries":
        """Return the variants without some edge types."""
        return Queries(
            self.nodes, {k: e for k, e in self.edges.items() if k not in keys}
        )


@dataclass(frozen=True, slots=True)
class States:
    """A stored graph as the blocks see it.

    Parameters
    ----------
    hidden
        What each block reads, and last what the heads read.
    totals
        Of each block's external attention.
    weights
        Of the edges in each block's local attention.
    """

    hidden: tuple[Hidden, ...]
    totals: tuple[Tensor | None, ...]
    weights: tuple[Mapping[EdgeKey, Tensor], ...]

    @property
    def last(self) -> Hidden:
        """What the heads read."""
        return self.hidden[-1]


@dataclass(frozen=True, slots=True)
class VariantAnswer:
    """What the variant head says.

    Parameters
    ----------
    logit
        ``(n,)``: the variant has an effect.
    pair_logit, pair_effect
        ``(pairs,)``: it has one on this gene, and its signed size; pairs are the edges
        of ``NEAR``, in their order.
    """

    logit: Tensor
    pair_logit: Tensor
    pair_effect: Tensor


class VariantHead(nn.Module):
    """Judges a variant with each of its candidate genes, and with none."""

    def __init__(self, width: int, n_attributes: int) -> None:
        super().__init__()
        self.nobody = nn.Parameter(torch.zeros(width))
        self.judge = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU(),
            nn.Linear(width, 2),
        )  # fmt: skip
        self.attributes = nn.Linear(2 * n_attributes, 2, bias=False)

    def forward(self, variant: Tensor, gene: Tensor, pairs: Edges) -> VariantAnswer:
        """Return logits; a variant's is a soft maximum over its genes and none."""
        alone = self.judge(torch.cat([variant, self.nobody.expand_as(variant)], 1))
        both = torch.cat([variant[pairs.target], gene[pairs.source]], 1)
        said = self.judge(both) + self.attributes(masked(pairs.x, pairs.known))
        n = len(variant)
        logits = torch.cat([alone[:, 0], said[:, 0]])
        owner = torch.cat([torch.arange(n, device=variant.device), pairs.target])
        top = logits.new_full((n,), -torch.inf)
        top = top.scatter_reduce(0, owner, logits.detach(), "amax")
        total = logits.new_zeros(n).index_add(0, owner, (logits - top[owner]).exp())
        count = torch.bincount(owner, minlength=n).to(total.dtype)
        return VariantAnswer(top + (total / count).log(), said[:, 0], said[:, 1])


class NodeHead(nn.Module):
    """Numbers or class logits of nodes, ``(n, outputs)``."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(),
            nn.Linear(width, outputs),
        )  # fmt: skip

    def forward(self, h: Tensor) -> Tensor:
        """Return the outputs."""
        found: Tensor = self.layers(h)
        return found


class LinkHead(nn.Module):
    """A number for two nodes, from the product and difference of their states.

    Parameters
    ----------
    n_attributes
        Of a pair (such as the distance), given beside the states.
    """

    def __init__(self, width: int, n_attributes: int) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(width, width), nn.Linear(width, width)
        self.layers = nn.Sequential(
            nn.Linear(2 * width + n_attributes, width), nn.GELU(), nn.Linear(width, 1)
        )

    def forward(self, left: Tensor, right: Tensor, pair: Tensor) -> Tensor:
        """Return a logit or value a pair, ``(pairs,)``."""
        a, b = self.left(left), self.right(right)
        found: Tensor = self.layers(torch.cat([a * b, (a - b).abs(), pair], 1))[:, 0]
        return found


class GraphTransformer(nn.Module):
    """Input layers, blocks, and a head a task.

    Parameters
    ----------
    heads
        Task to its head.
    """

    def __init__(
        self, settings: NetworkSettings, layout: Layout, heads: Mapping[str, nn.Module]
    ) -> None:
        super().__init__()
        self.settings, self.layout = settings, layout
        width = settings.width
        sizes = dict(layout.nodes)
        if layout.n_variant:
            sizes[VARIANT] = layout.n_variant
        self.inputs = nn.ModuleDict(
            {name: nn.Linear(2 * n, width) for name, n in sizes.items() if n}
        )
        self.kinds = nn.ParameterDict({n: torch.zeros(width) for n in sizes})
        self.members = nn.ModuleDict(
            {
                name: nn.Embedding(len(layout.vocabulary[name]) + 1, width, padding_idx=0)
                for name in settings.closed if layout.vocabulary.get(name)
            }
        )  # fmt: skip
        self.blocks = nn.ModuleList(
            Block(
                width, settings.heads, settings.slots, settings.dropout,
                sorted(sizes), layout.edges,
            )
            for _ in range(settings.blocks)
        )  # fmt: skip
        self.heads = nn.ModuleDict(heads)

    @property
    def stack(self) -> list[Block]:
        """The blocks, first to last."""
        return cast("list[Block]", list(self.blocks))

    def enter(self, name: str, nodes: Nodes) -> Tensor:
        """Return the first state of nodes, ``(n, width)``."""
        h: Tensor = self.kinds[name].expand(len(nodes), -1)
        if name in self.inputs:
            h = h + self.inputs[name](masked(nodes.x, nodes.known))
        if name in self.members:
            h = h + self.members[name](nodes.member + 1)
        return h

    def encode(
        self, graph: Graph, totals: Sequence[Tensor | None] | None = None
    ) -> States:
        """Compute the states of a stored graph.

        Parameters
        ----------
        totals
            Of the external attention, from the whole graph, where this is a sample of
            it; None takes them from these nodes.
        """
        hidden: list[Hidden] = [
            {name: self.enter(name, nodes) for name, nodes in graph.nodes.items()}
        ]
        found: list[Tensor | None] = []
        weights = []
        for i, block in enumerate(self.stack):
            given = totals[i] if totals is not None else None
            heard = block(hidden[-1], hidden[-1], graph.edges, given)
            hidden.append(heard.hidden)
            found.append(heard.totals)
            weights.append(heard.weights)
        return States(tuple(hidden), tuple(found), tuple(weights))

    def read(self, states: States, queries: Queries) -> Tensor:
        """Return the last state of variants that read from a stored graph."""
        h = {VARIANT: self.enter(VARIANT, queries.nodes)}
        for i, block in enumerate(self.stack):
            h = block(states.hidden[i], h, queries.edges, states.totals[i]).hidden
        return h[VARIANT]

    def judge(self, task: str, states: States, queries: Queries) -> VariantAnswer:
        """Ask a variant head."""
        h = self.read(states, queries)
        pairs = (
            queries.edges[NEAR] if NEAR in queries.edges else self._no_pairs(queries)
        )
        answer: VariantAnswer = self.heads[task](h, states.last[GENE], pairs)
        return answer

    def _no_pairs(self, queries: Queries) -> Edges:
        x = queries.nodes.x.new_zeros(0, self.layout.edges.get(NEAR, 0))
        none = queries.nodes.member.new_zeros(0)
        return Edges.of(none, none, len(queries), x, x.bool())
