"""Scaling with training statistics alone, and tables of variants as masked numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.graph.network import Queries
from models.graph.structure import Edges, Graph, Nodes

Reals = NDArray[np.float64]
MIN_ROWS = 20
"""A level that fewer training variants have gets no column of its own."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of attributes, where known; 0 and 1 where never."""

    mean: Tensor
    sd: Tensor

    @classmethod
    def of(cls, x: Tensor, known: Tensor) -> Self:
        """Measure ``(n, attributes)``."""
        n = known.sum(0).clamp(min=1)
        mean = torch.where(known, x, 0.0).sum(0) / n
        sd = (torch.where(known, x - mean, 0.0).square().sum(0) / n).sqrt()
        return cls(mean, torch.where(sd > 1e-6, sd, 1.0))

    def __call__(self, x: Tensor, known: Tensor) -> Tensor:
        """Return scaled values, 0 where missing, at most 8 deviations from the mean."""
        return torch.where(known, ((x - self.mean) / self.sd).clamp(-8, 8), 0.0)

    def back(self, scaled: Reals) -> Reals:
        """Return values in their own unit, ``(..., attributes)``."""
        found: Reals = scaled * self.sd.numpy() + self.mean.numpy()
        return found

    def as_dict(self) -> dict[str, list[float]]:
        """Return plain values."""
        return {"mean": self.mean.tolist(), "sd": self.sd.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, list[float]]) -> Self:
        """Read ``as_dict``."""
        return cls(torch.tensor(content["mean"]), torch.tensor(content["sd"]))


@dataclass(frozen=True, slots=True)
class Scales:
    """The scale of each node and edge type; edge types by name."""

    nodes: Mapping[str, Scale]
    edges: Mapping[str, Scale]

    @classmethod
    def of(cls, graph: Graph, teach: Mapping[str, Tensor], queries: Queries) -> Self:
        """Measure nodes that teach, edges between them, and edges into variants.

        Parameters
        ----------
        teach
            Node type to ``(n,)`` bool; types that it does not name teach.
        queries
            Variants to learn from.
        """
        nodes, edges = {}, {}
        for name, each in graph.nodes.items():
            rows = teach.get(name, torch.ones(len(each), dtype=torch.bool))
            nodes[name] = Scale.of(each.x[rows], each.known[rows])
        for key, edge in graph.edges.items():
            rows = torch.ones(len(edge), dtype=torch.bool)
            for name, end in ((key[0], edge.source), (key[2], edge.target)):
                if name in teach:
                    rows &= teach[name][end]
            edges["__".join(key)] = Scale.of(edge.x[rows], edge.known[rows])
        for key, edge in queries.edges.items():
            edges["__".join(key)] = Scale.of(edge.x, edge.known)
        return cls(nodes, edges)

    def graph(self, graph: Graph) -> Graph:
        """Return a graph with scaled attributes."""
        nodes = {
            name: replace(each, x=self.nodes[name](each.x, each.known))
            for name, each in graph.nodes.items()
        }
        edges = {key: self._edges("__".join(key), e) for key, e in graph.edges.items()}
        return replace(graph, nodes=nodes, edges=edges)

    def queries(self, queries: Queries) -> Queries:
        """Return variants whose edges have scaled attributes."""
        edges = {
            key: self._edges("__".join(key), e) for key, e in queries.edges.items()
        }
        return replace(queries, edges=edges)

    def _edges(self, name: str, edges: Edges) -> Edges:
        return replace(edges, x=self.edges[name](edges.x, edges.known))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "nodes": {name: scale.as_dict() for name, scale in self.nodes.items()},
            "edges": {name: scale.as_dict() for name, scale in self.edges.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read ``as_dict``."""
        return cls(
            {name: Scale.from_dict(one) for name, one in content["nodes"].items()},
            {name: Scale.from_dict(one) for name, one in content["edges"].items()},
        )


@dataclass(frozen=True, slots=True)
class VariantColumns:
    """What of a table is read of each variant, and how it becomes numbers.

    A number column becomes one attribute, squeezed by ``asinh`` and scaled; a text column
    one attribute a level. Empty cells are unknown, and so is a level never learned.

    Parameters
    ----------
    numbers
        Names of number columns.
    levels
        Text column to its levels.
    scale
        Of the numbers.
    centre, spread, limit
        Mean and inverse covariance of the attributes of training variants, and the
        squared distance that one in a hundred of them exceeds (``is_supported``).
    """

    numbers: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    scale: Scale
    centre: Tensor
    spread: Tensor
    limit: float

    @classmethod
    def of(cls, table: pd.DataFrame, features: Sequence[str]) -> Self:
        """Learn from the training variants.

        Parameters
        ----------
        features
            Columns to read. One that is the same in all rows is left out.
        """
        numbers, levels = [], {}
        for name in features:
            column = table[name]
            if pd.api.types.is_numeric_dtype(column):
                if len(column.unique()) > 1:
                    numbers.append(name)
                continue
            counts = column.dropna().astype(str).value_counts()
            frequent = sorted(counts[counts >= MIN_ROWS].index)
            if len(frequent) > 1 or (frequent and column.isna().any()):
                levels[name] = tuple(frequent)
        empty = torch.zeros(0)
        plain = cls(
            tuple(numbers), levels, Scale(empty, empty), empty, torch.zeros(0, 0), 0.0
        )
        scale = Scale.of(*plain._raw(table))
        nodes = replace(plain, scale=scale).nodes(table)
        both = torch.cat([nodes.x, (~nodes.known).float()], 1).double()
        centre = both.mean(0)
        # Shrinkage: levels of a column sum to one, so their covariance has no inverse.
        covariance = torch.cov(both.T) + 0.1 * torch.eye(both.shape[1])
        spread = torch.linalg.inv(covariance)
        away = _distance(both, centre, spread)
        limit = float(np.quantile(away.numpy(), 0.99))
        return cls(tuple(numbers), levels, scale, centre, spread, limit)

    @property
    def width(self) -> int:
        """Attributes of a variant."""
        return len(self.numbers) + sum(map(len, self.levels.values()))

    @property
    def names(self) -> list[str]:
        """Name of each attribute."""
        return [
            *self.numbers,
            *(f"{name}={one}" for name, some in self.levels.items() for one in some),
        ]

    def nodes(self, table: pd.DataFrame) -> Nodes:
        """Return variants as nodes."""
        x, known = self._raw(table)
        x = self.scale(x, known)
        parts, marks = [x], [known]
        for name, levels in self.levels.items():
            codes = pd.Categorical(table[name].astype("string"), levels).codes
            code = torch.from_numpy(codes.astype(np.int64))
            parts.append((code[:, None] == torch.arange(len(levels))).float())
            marks.append((code >= 0)[:, None].expand(-1, len(levels)))
        n = len(table)
        member = torch.full((n,), -1)
        return Nodes(torch.cat(parts, 1), torch.cat(marks, 1), member)

    def is_supported(self, nodes: Nodes) -> Tensor:
        """Say which variants resemble those learned from, ``(n,)`` bool.

        The squared Mahalanobis distance of attributes and missing marks is at most the
        99 % point of the training variants.
        """
        both = torch.cat([nodes.x, (~nodes.known).float()], 1).double()
        return _distance(both, self.centre, self.spread) <= self.limit

    def _raw(self, table: pd.DataFrame) -> tuple[Tensor, Tensor]:
        values = np.empty((len(table), len(self.numbers)))
        for place, name in enumerate(self.numbers):
            values[:, place] = pd.to_numeric(table[name]).astype(float)
        known = torch.from_numpy(np.isfinite(values))
        x = torch.from_numpy(np.arcsinh(np.nan_to_num(values))).float()
        return x, known

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "numbers": list(self.numbers),
            "levels": {name: list(some) for name, some in self.levels.items()},
            "scale": self.scale.as_dict(),
            "centre": [round(v, 6) for v in self.centre.tolist()],
            "spread": [[round(v, 6) for v in row] for row in self.spread.tolist()],
            "limit": self.limit,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read ``as_dict``."""
        return cls(
            tuple(content["numbers"]),
            {name: tuple(some) for name, some in content["levels"].items()},
            Scale.from_dict(content["scale"]),
            torch.tensor(content["centre"], dtype=torch.double),
            torch.tensor(content["spread"], dtype=torch.double),
            content["limit"],
        )


def _distance(both: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    away = both - centre
    return ((away @ spread) * away).sum(1)
