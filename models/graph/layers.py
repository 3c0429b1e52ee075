"""Attention over typed edges, attention over shared memory slots, and a block of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.graph.structure import EdgeKey, Edges

EDGES_AT_ONCE = 1 << 17
"""Edges whose messages are held at a time: what a processor's cache can keep up with."""
Hidden = Mapping[str, Tensor]
"""Node type to ``(n, width)``."""


def key_name(key: EdgeKey) -> str:
    """Return a name that a module may have."""
    return "__".join(key)


def masked(x: Tensor, known: Tensor) -> Tensor:
    """Put values beside marks of what is missing, ``(n, 2 * attributes)``.

    A linear layer on this adds a learned vector for each attribute that is missing, and
    nothing of its value.
    """
    return torch.cat([torch.where(known, x, 0.0), (~known).to(x.dtype)], dim=1)


def silent_linear(width: int, *, bias: bool) -> nn.Linear:
    """Return a layer that starts at zero.

    Both kinds of attention end in one: a network with edges begins as the one without, and
    hears of them as far as that helps.
    """
    layer = nn.Linear(width, width, bias=bias)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def ranges(starts: Sequence[Tensor], most: int) -> list[tuple[int, int]]:
    """Cut targets into ranges with at most ``most`` edges, or one target.

    Parameters
    ----------
    starts
        Of each edge type, as ``Edges.start``.
    """
    total = torch.stack(list(starts)).sum(0)
    n = len(total) - 1
    found, first = [], 0
    while first < n:
        after = int(torch.searchsorted(total, total[first] + most, right=True)) - 1
        last = min(max(after, first + 1), n)
        found.append((first, last))
        first = last
    return found


def segment_softmax(logits: Tensor, segment: Tensor, n: int) -> Tensor:
    """Return the softmax within each segment, ``(e, heads)``."""
    index = segment[:, None].expand_as(logits)
    top = logits.new_full((n, logits.shape[1]), -torch.inf)
    top = top.scatter_reduce(0, index, logits.detach(), "amax", include_self=True)
    weight = (logits - top[segment]).exp()
    total = weight.new_zeros((n, logits.shape[1])).index_add(0, segment, weight)
    return weight / total[segment]


class LocalAttention(nn.Module):
    """Attention of each node over its neighbours (HGT: Hu et al. 2020, eq. 3-5).

    Keys and values depend on the sender's type and on the relation, queries on the
    receiver's type. Edge attributes add to keys and values. The softmax runs over all
    edges into a node, whatever their type; ``prior`` is the relation's log-odds in it.
    A node without edges hears nothing.

    Parameters
    ----------
    types
        Node types.
    edges
        Edge type to its number of attributes.
    """

    def __init__(
        self, width: int, heads: int, types: list[str], edges: Mapping[EdgeKey, int]
    ) -> None:
        super().__init__()
        self.heads, self.depth = heads, width // heads
        linear = {
            part: nn.ModuleDict({name: nn.Linear(width, width) for name in types})
            for part in ("query", "key", "value")
        }
        out = {name: silent_linear(width, bias=False) for name in types}
        self.query, self.key = linear["query"], linear["key"]
        self.value, self.out = linear["value"], nn.ModuleDict(out)
        names = {key_name(key): n for key, n in edges.items()}
        self.attributes = nn.ModuleDict(
            {name: nn.Linear(2 * n, 2 * width, bias=False) for name, n in names.items() if n}
        )  # fmt: skip
        same = torch.eye(self.depth).repeat(heads, 1, 1)
        self.relation_key = nn.ParameterDict({n: same.clone() for n in names})
        self.relation_value = nn.ParameterDict({n: same.clone() for n in names})
        self.prior = nn.ParameterDict({n: torch.zeros(heads) for n in names})

    def forward(
        self, senders: Hidden, receivers: Hidden, edges: Mapping[EdgeKey, Edges]
    ) -> tuple[dict[str, Tensor], dict[EdgeKey, Tensor]]:
        """Return what each receiver hears, and each edge's weight, ``(e, heads)``."""
        heard: dict[str, Tensor] = {}
        weights: dict[EdgeKey, Tensor] = {}
        there = {k: e for k, e in edges.items() if k[2] in receivers and len(e)}
        spoken = self._speak(there, senders)
        for name, h in receivers.items():
            mine = {k: e for k, e in there.items() if k[2] == name}
            if not mine:
                heard[name] = torch.zeros_like(h)
                continue
            query = self._split(self.query[name](h)) / self.depth**0.5
            parts = [
                self._hear(
                    query[a:b], spoken, {k: e.into(a, b) for k, e in mine.items()}
                )
                for a, b in ranges([e.start for e in mine.values()], EDGES_AT_ONCE)
            ]
            total = torch.cat([heard_part for heard_part, _ in parts])
            heard[name] = self.out[name](total.reshape(h.shape))
            weights |= {key: torch.cat([w[key] for _, w in parts]) for key in mine}
        return heard, weights

    def _split(self, h: Tensor) -> Tensor:
        return h.view(-1, self.heads, self.depth)

    def _speak(
        self, edges: Mapping[EdgeKey, Edges], senders: Hidden
    ) -> dict[EdgeKey, tuple[Tensor, Tensor]]:
        """Return keys and values of all senders, by edge type, ``(n, heads, depth)``."""
        plain = {
            name: (self._split(self.key[name](h)), self._split(self.value[name](h)))
            for name, h in senders.items()
            if any(key[0] == name for key in edges)
        }
        found = {}
        for key in edges:
            one = key_name(key)
            keys, values = plain[key[0]]
            found[key] = (
                torch.einsum("nhd,hdk->nhk", keys, self.relation_key[one]),
                torch.einsum("nhd,hdk->nhk", values, self.relation_value[one]),
            )
        return found

    def _hear(
        self, query: Tensor, spoken: Mapping[EdgeKey, tuple[Tensor, Tensor]],
        edges: Mapping[EdgeKey, Edges],
    ) -> tuple[Tensor, dict[EdgeKey, Tensor]]:  # fmt: skip
        """Return the weighted values, ``(n, heads, depth)``, and the weights."""
        values, logits = [], []
        for key, edge in edges.items():
            keys, value = (part[edge.source] for part in spoken[key])
            if (one := key_name(key)) in self.attributes:
                both = self.attributes[one](masked(edge.x, edge.known))
                more_key, more_value = both.chunk(2, dim=1)
                keys, value = (
                    keys + self._split(more_key),
                    value + self._split(more_value),
                )
            logits.append((query[edge.target] * keys).sum(-1) + self.prior[one])
            values.append(value)
        target = torch.cat([edge.target for edge in edges.values()])
        weight = segment_softmax(torch.cat(logits), target, len(query))
        total = torch.zeros_like(query)
        total = total.index_add(0, target, weight[:, :, None] * torch.cat(values))
        parts = torch.split(weight, [len(edge) for edge in edges.values()])
        return total, dict(zip(edges, parts, strict=True))


class ExternalAttention(nn.Module):
    """Attention to a small memory that all nodes share (Guo et al. 2021, eq. 5-6).

    Their double normalisation is a softmax over the nodes for each slot, then a division
    by the sum over the slots. The two steps are one softmax over the slots of
    ``a[i, s] - log sum_j exp a[j, s]``, so all that a node needs of the others is one
    number a slot. ``totals`` are these numbers, taken over the stored graph; with them a
    node's answer does not depend on who else is asked.

    Parameters
    ----------
    slots
        Number of slots; their time and memory is linear in nodes.
    """

    def __init__(self, width: int, slots: int) -> None:
        super().__init__()
        self.query, self.out = nn.Linear(width, width), silent_linear(width, bias=True)
        self.keys = nn.Parameter(torch.randn(slots, width) / width**0.5)
        self.values = nn.Parameter(torch.randn(slots, width) / width**0.5)

    def logits(self, h: Tensor) -> Tensor:
        """Return ``a``, ``(n, slots)``."""
        found: Tensor = self.query(h) @ self.keys.T
        return found

    def totals(self, hidden: Hidden) -> Tensor:
        """Return each slot's log of the mean over all nodes, ``(slots,)``.

        The mean in place of the sum moves all slots alike, which the softmax ignores.
        """
        everyone = torch.cat([self.logits(h) for h in hidden.values()])
        return everyone.logsumexp(0) - everyone.new_full((), len(everyone)).log()

    def attention(self, h: Tensor, totals: Tensor) -> Tensor:
        """Return which slots answer each node, ``(n, slots)``, rows sum to 1."""
        return (self.logits(h) - totals).softmax(dim=1)

    def forward(self, h: Tensor, totals: Tensor) -> Tensor:
        """Return what the memory tells each node, ``(n, width)``."""
        found: Tensor = self.out(self.attention(h, totals) @ self.values)
        return found


@dataclass(frozen=True, slots=True)
class Heard:
    """What a block returns.

    Parameters
    ----------
    totals
        Of the external attention; None without one.
    weights
        Of the edges in the local attention.
    """

    hidden: dict[str, Tensor]
    totals: Tensor | None
    weights: dict[EdgeKey, Tensor]


class Block(nn.Module):
    """Local attention, external attention, a small network; pre-norm and residual each."""

    def __init__(
        self, width: int, heads: int, slots: int, dropout: float,
        types: list[str], edges: Mapping[EdgeKey, int],
    ) -> None:  # fmt: skip
        super().__init__()
        self.local = LocalAttention(width, heads, types, edges)
        self.external = ExternalAttention(width, slots) if slots else None
        self.mix = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        senders: Hidden,
        receivers: Hidden,
        edges: Mapping[EdgeKey, Edges],
        totals: Tensor | None = None,
    ) -> Heard:
        """Update the receivers.

        Parameters
        ----------
        totals
            Of the stored graph; None takes them from the receivers.
        """
        first, second, third = self.norms
        speak = {name: first(h) for name, h in senders.items()}
        hear = {name: first(h) for name, h in receivers.items()}
        heard, weights = self.local(speak, hear, edges)
        h = {name: receivers[name] + self.dropout(heard[name]) for name in receivers}
        if self.external is not None:
            normed = {name: second(each) for name, each in h.items()}
            if totals is None:
                totals = self.external.totals(normed)
            h = {
                name: h[name] + self.dropout(self.external(normed[name], totals))
                for name in h
            }
        h = {
            name: each + self.dropout(self.mix(third(each))) for name, each in h.items()
        }
        return Heard(h, totals, weights)
