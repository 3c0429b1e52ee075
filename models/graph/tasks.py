"""What a network learns: variants, numbers or classes of nodes, and links of two nodes.

A task holds its rows and labels; where a label is NaN nothing is learned or measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from models.graph.features import Scale
from models.graph.network import (
    GENE,
    NEAR,
    GraphTransformer,
    Layout,
    LinkHead,
    NodeHead,
    Queries,
    States,
    VariantHead,
)

Reals = NDArray[np.float64]


class Task(Protocol):
    """What training asks of a task."""

    @property
    def name(self) -> str:
        """Name of its head."""
        ...

    @property
    def train(self) -> Tensor:
        """Numbers of the rows to learn from."""
        ...

    @property
    def validation(self) -> Tensor:
        """Numbers of the rows to stop and calibrate by."""
        ...

    @property
    def weight(self) -> float:
        """Weight of its loss beside the others'."""
        ...

    def head(self, width: int, layout: Layout) -> nn.Module:
        """Make the head."""
        ...

    def needs(self, rows: Tensor) -> Mapping[str, Tensor]:
        """Return the nodes whose states some rows read, distinct, by type."""
        ...

    def loss(self, network: GraphTransformer, states: States, rows: Tensor) -> Tensor:
        """Return the mean loss of some rows."""
        ...

    def predict(self, network: GraphTransformer, states: States, rows: Tensor) -> Reals:
        """Return logits or numbers of some rows, ``(n, outputs)``."""
        ...


def _mean_known(loss: Tensor, target: Tensor) -> Tensor:
    known = ~torch.isnan(target)
    return torch.where(known, loss, 0.0).sum() / known.sum().clamp(min=1)


@dataclass(frozen=True, slots=True)
class VariantTask:
    """Which variants have an effect, on which gene, and how large with which sign.

    Parameters
    ----------
    queries
        All variants, attached and scaled.
    label
        ``(n,)``: 1 has an effect, 0 has none.
    pair_label, pair_effect
        ``(pairs,)`` of the edges of ``NEAR``: whether it acts on this gene, and the
        signed effect; all NaN where nobody knows.
    """

    name: str
    queries: Queries
    label: Tensor
    pair_label: Tensor
    pair_effect: Tensor
    train: Tensor
    validation: Tensor
    weight: float = 1.0

    def head(self, width: int, layout: Layout) -> nn.Module:
        """Make the head."""
        return VariantHead(width, layout.edges.get(NEAR, 0))

    def needs(self, rows: Tensor) -> Mapping[str, Tensor]:
        """Return the nodes that send to the variants."""
        asked: dict[str, list[Tensor]] = {}
        for key, edges in self.queries.take(rows).edges.items():
            asked.setdefault(key[0], []).append(edges.source)
        return {name: torch.unique(torch.cat(some)) for name, some in asked.items()}

    def loss(self, network: GraphTransformer, states: States, rows: Tensor) -> Tensor:
        """Cross entropy of variants and pairs, half squared error of effects."""
        queries = self.queries.take(rows)
        answer = network.judge(self.name, states, queries)
        label = self.label[rows]
        losses = F.binary_cross_entropy_with_logits(
            answer.logit, label.nan_to_num(), reduction="none"
        )
        total = _mean_known(losses, label)
        if torch.isnan(self.pair_label).all() or NEAR not in queries.edges:
            return total
        pairs = self.pairs_of(rows)
        label, effect = self.pair_label[pairs], self.pair_effect[pairs]
        losses = F.binary_cross_entropy_with_logits(
            answer.pair_logit, label.nan_to_num(), reduction="none"
        )
        errors = (answer.pair_effect - effect.nan_to_num()).square() / 2
        return total + _mean_known(losses, label) + _mean_known(errors, effect)

    def pairs_of(self, rows: Tensor) -> Tensor:
        """Return the pairs of some variants, in the order that ``take`` gives them."""
        edges = self.queries.edges[NEAR]
        place = torch.full_like(self.queries.nodes.member, -1)
        place[rows] = torch.arange(len(rows), device=rows.device)
        new = place[edges.target]
        at = torch.nonzero(new >= 0)[:, 0]
        return at[torch.argsort(new[at], stable=True)]

    def predict(self, network: GraphTransformer, states: States, rows: Tensor) -> Reals:
        """Return logits, ``(n, 1)``."""
        parts = [
            network.judge(self.name, states, self.queries.take(some)).logit
            for some in torch.split(rows, 8_192)
        ]
        found: Reals = torch.cat(parts)[:, None].double().numpy()
        return found


@dataclass(frozen=True, slots=True)
class NodeTask:
    """Numbers, or one class, of nodes of one type: expression of genes, class of CREs.

    Parameters
    ----------
    target
        ``(n, outputs)`` numbers, or ``(n, 1)`` numbers of classes as float.
    n_classes
        0 for numbers.
    names
        Of the numbers or classes.
    scale
        Of the numbers in their own unit; None where they were not scaled.
    """

    name: str
    node_type: str
    target: Tensor
    train: Tensor
    validation: Tensor
    n_classes: int = 0
    weight: float = 1.0
    names: tuple[str, ...] = ()
    scale: Scale | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Name of each output, its number where it has none."""
        n = self.n_classes or self.target.shape[1]
        return self.names or tuple(str(i) for i in range(n))

    def head(self, width: int, layout: Layout) -> nn.Module:  # noqa: ARG002
        """Make the head."""
        return NodeHead(width, self.n_classes or self.target.shape[1])

    def needs(self, rows: Tensor) -> Mapping[str, Tensor]:
        """Return the nodes."""
        return {self.node_type: torch.unique(rows)}

    def loss(self, network: GraphTransformer, states: States, rows: Tensor) -> Tensor:
        """Cross entropy of classes, or half the squared error."""
        said = network.heads[self.name](states.last[self.node_type][rows])
        target = self.target[rows]
        if not self.n_classes:
            errors = (said - target.nan_to_num()).square() / 2
            return _mean_known(errors, target)
        known = ~torch.isnan(target[:, 0])
        return F.cross_entropy(said[known], target[known, 0].long())

    def predict(self, network: GraphTransformer, states: States, rows: Tensor) -> Reals:
        """Return numbers or class logits."""
        said = network.heads[self.name](states.last[self.node_type][rows])
        found: Reals = said.double().numpy()
        return found


@dataclass(frozen=True, slots=True)
class LinkTask:
    """A number, or yes or no, for pairs of nodes.

    Parameters
    ----------
    types
        Of the left and the right node.
    left, right
        ``(n,)`` numbers of nodes.
    pair
        ``(n, attributes)`` of the pair itself, scaled.
    target
        ``(n,)``: number, or 1 and 0.
    scale
        As of ``NodeTask``.
    """

    name: str
    types: tuple[str, str]
    left: Tensor
    right: Tensor
    pair: Tensor
    target: Tensor
    train: Tensor
    validation: Tensor
    kind: Literal["binary", "number"] = "binary"
    weight: float = 1.0
    scale: Scale | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Name of the one output."""
        return ("link" if self.kind == "binary" else "value",)

    def head(self, width: int, layout: Layout) -> nn.Module:  # noqa: ARG002
        """Make the head."""
        return LinkHead(width, self.pair.shape[1])

    def needs(self, rows: Tensor) -> Mapping[str, Tensor]:
        """Return the nodes at both ends."""
        asked: dict[str, list[Tensor]] = {}
        for name, nodes in zip(self.types, (self.left, self.right), strict=True):
            asked.setdefault(name, []).append(nodes[rows])
        return {name: torch.unique(torch.cat(some)) for name, some in asked.items()}

    def loss(self, network: GraphTransformer, states: States, rows: Tensor) -> Tensor:
        """Cross entropy, or half the squared error."""
        said, target = self._say(network, states, rows), self.target[rows]
        if self.kind == "number":
            return _mean_known((said - target.nan_to_num()).square() / 2, target)
        return F.binary_cross_entropy_with_logits(said, target)

    def predict(self, network: GraphTransformer, states: States, rows: Tensor) -> Reals:
        """Return numbers or logits, ``(n, 1)``."""
        found: Reals = self._say(network, states, rows)[:, None].double().numpy()
        return found

    def _say(self, network: GraphTransformer, states: States, rows: Tensor) -> Tensor:
        one, other = self.types
        left, right = self.left[rows], self.right[rows]
        said: Tensor = network.heads[self.name](
            states.last[one][left], states.last[other][right], self.pair[rows]
        )
        return said


__all__ = ["GENE", "LinkTask", "NodeTask", "Task", "VariantTask"]
