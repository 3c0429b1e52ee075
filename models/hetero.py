"""Graph tables and cached embeddings as PyTorch Geometric ``HeteroData``."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import torch

from data_registry.errors import InputError
from encoders.cache import Embeddings, list_encoders, read_embeddings
from graph_builder.manifest import read_manifest
from graph_builder.schema import EDGE_TYPES, NODE_TYPES, Attribute

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

NUMERIC = ("int64", "float64", "bool")
PLACE = frozenset({"start", "end", "tss"})
"""Attributes that place a node: no features, because a number of a chromosome's base
means nothing to a model. They stand in ``start`` and ``end`` of the node type."""


def load_hetero(
    graph: Path, *, leave_out: Collection[str] = (), both_ways: bool = True
) -> "HeteroData":
    """Load a graph folder.

    Parameters
    ----------
    graph
        The graph's folder.
    leave_out
        Edge types (``variant__associated_with__phenotype``) that must not be seen, such
        as those that a test is made of.
    both_ways
        Write symmetric edges in both directions (a self-edge once).

    Returns
    -------
    HeteroData
        For each node type: ``num_nodes``; ``identifier``, a list of names in id order;
        ``x``, float32, shape (nodes, numeric attributes), 0 where missing; ``x_known``,
        bool, of that shape, False where missing; ``x_names``; and ``contig`` (list),
        ``start``, ``end`` (int64, bp, 0-based half-open) where nodes have a place.
        For each edge type: ``edge_index``, int64, shape (2, edges); ``edge_attr``,
        ``edge_known`` and ``edge_names`` likewise; and ``edge_row``, int64, the edge's
        row in its file. Text attributes stay in the files.
        ``digest`` is the graph's.

    Raises
    ------
    InputError
        ``leave_out`` names no edge type.
    WorkspaceError
        There is no readable graph.
    """
    if unknown := sorted(set(leave_out) - set(EDGE_TYPES)):
        raise InputError(
            f"no edge type {unknown[0]!r}; there are {', '.join(EDGE_TYPES)}"
        )
    manifest = read_manifest(graph)
    # Imported here: it takes seconds, and training of other models does without.
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data.digest = manifest.digest
    for name, kind in NODE_TYPES.items():
        table = manifest.table(name)
        store = data[name]
        store.num_nodes = table.num_rows
        store.identifier = table["identifier"].to_pylist()
        numeric = [
            one
            for one in kind.attributes
            if one.type in NUMERIC and one.name not in PLACE
        ]
        store.x, store.x_known = _read_numbers(table, numeric)
        store.x_names = [one.name for one in numeric]
        if "contig" in table.column_names:
            store.contig = table["contig"].to_pylist()
            store.start = torch.from_numpy(table["start"].to_numpy().copy())
            store.end = torch.from_numpy(table["end"].to_numpy().copy())
    for name, edge in EDGE_TYPES.items():
        if name in leave_out:
            continue
        table = manifest.table(name)
        numeric = [one for one in edge.attributes if one.type in NUMERIC]
        ends = np.stack([table["source"].to_numpy(), table["target"].to_numpy()])
        row = np.arange(table.num_rows, dtype=np.int64)
        if edge.symmetric and both_ways:
            turned = row[ends[0] != ends[1]]
            ends = np.concatenate([ends, ends[::-1, turned]], axis=1)
            row = np.concatenate([row, turned])
        attributes, known = _read_numbers(table, numeric)
        store = data[edge.source, edge.relation, edge.target]
        store.edge_row = torch.from_numpy(row)
        store.edge_index = torch.from_numpy(np.ascontiguousarray(ends))
        store.edge_attr = attributes[store.edge_row]
        store.edge_known = known[store.edge_row]
        store.edge_names = [one.name for one in numeric]
    return data


@dataclass(frozen=True, slots=True)
class Reduction:
    """Principal components of the vectors that one encoder made of one node type.

    Parameters
    ----------
    encoder
        Its digest, which names the folder of its vectors.
    mean, components
        ``(width,)`` and ``(kept, width)``, of the nodes that teach; components are
        scaled so that each has a standard deviation of 1 there.
    """

    node_type: str
    name: str
    encoder: str
    mean: torch.Tensor
    components: torch.Tensor

    @classmethod
    def fit(
        cls, node_type: str, name: str, root: Path, teach: Collection[str], kept: int
    ) -> Self:
        """Learn the components from nodes that teach.

        Parameters
        ----------
        name
            Of the encoder, as ``python -m encoders.embed`` shows it, or its digest.
        root
            ``<workspace>/embeddings``.

        Raises
        ------
        InputError
            There is no such encoder, or it has vectors of fewer nodes than components.
        WorkspaceError
            Its vectors are not there, unfinished or damaged.
        """
        found = [e for e in list_encoders(root) if name in (e.name, e.digest)]
        if not found:
            held = ", ".join(e.name for e in list_encoders(root)) or "none"
            raise InputError(
                f"no embeddings of an encoder {name!r} in {root}; there are: {held}. "
                "'python -m encoders.embed' makes them"
            )
        embedded = read_embeddings(root, found[-1].digest, node_type)
        wanted = set(teach)
        rows = [i for i, one in enumerate(embedded.identifiers) if one in wanted]
        x = torch.from_numpy(embedded.vectors[rows]).double()
        if len(x) <= kept:
            raise InputError(
                f"{name}: {len(x)} {node_type} nodes that teach have vectors, too few for "
                f"{kept} components"
            )
        mean = x.mean(0)
        _, values, axes = torch.linalg.svd(x - mean, full_matrices=False)
        axes, values = axes[:kept], values[:kept]
        # A component's sign is arbitrary: its largest weight is made positive.
        largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
        scale = (values / len(x) ** 0.5).clamp(min=1e-9)
        axes = axes * largest.sign() / scale[:, None]
        return cls(node_type, name, found[-1].digest, mean.float(), axes.float())

    def __call__(
        self, embedded: Embeddings, identifiers: Sequence[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return components of nodes, ``(n, kept)``, and where they are known."""
        place = {one: i for i, one in enumerate(embedded.identifiers)}
        row = torch.tensor([place.get(one, -1) for one in identifiers])
        known = (row >= 0)[:, None].expand(-1, len(self.components))
        vectors = torch.from_numpy(np.array(embedded.vectors))[row.clamp(min=0)]
        values = (vectors - self.mean) @ self.components.T
        return torch.where(known, values, 0.0), known.clone()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "node_type": self.node_type, "name": self.name, "encoder": self.encoder,
            "mean": self.mean.tolist(), "components": self.components.tolist(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read ``as_dict``."""
        return cls(
            content["node_type"], content["name"], content["encoder"],
            torch.tensor(content["mean"]), torch.tensor(content["components"]),
        )  # fmt: skip


def add_embeddings(
    data: "HeteroData", root: Path, reductions: Sequence[Reduction]
) -> "HeteroData":
    """Put reduced embeddings beside the attributes of their nodes, missing ones marked.

    Raises
    ------
    WorkspaceError
        Vectors are not there, unfinished or damaged.
    """
    for each in reductions:
        store = data[each.node_type]
        embedded = read_embeddings(root, each.encoder, each.node_type)
        values, known = each(embedded, store.identifier)
        store.x = torch.cat([store.x, values], 1)
        store.x_known = torch.cat([store.x_known, known], 1)
        store.x_names = [
            *store.x_names, *(f"{each.name}_{i}" for i in range(values.shape[1]))
        ]  # fmt: skip
    return data


def _read_numbers(
    table: pa.Table, attributes: list[Attribute]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values (float32, 0 where missing) and whether they are known."""
    shape = (table.num_rows, len(attributes))
    values, known = np.zeros(shape, np.float32), np.zeros(shape, bool)
    for place, attribute in enumerate(attributes):
        column = table[attribute.name].cast(
            pa.float64() if attribute.type != "bool" else pa.int8()
        )
        here = ~column.is_null().to_numpy()
        known[:, place] = here
        values[here, place] = column.drop_null().to_numpy()
    return torch.from_numpy(values), torch.from_numpy(known)
