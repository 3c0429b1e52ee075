"""What a graph model must beat: joined features, degrees, random walks, propagated labels."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.graph.network import GENE, NEAR, Queries
from models.graph.structure import BACK, Graph

Reals = NDArray[np.float64]


def attributes(x: Tensor, known: Tensor) -> Reals:
    """Return attributes with NaN where missing."""
    found: Reals = torch.where(known, x, torch.nan).double().numpy()
    return found


def joined_features(graph: Graph, queries: Queries) -> Reals:
    """Return variants' own attributes, and those of the edges and nodes they hang on.

    Of several edges of a type the mean: a table join, which no message passing is needed
    for.
    """
    columns = [attributes(queries.nodes.x, queries.nodes.known)]
    for key, edges in queries.edges.items():
        nodes = graph.nodes[key[0]]
        both = np.column_stack([
            attributes(edges.x, edges.known),
            attributes(nodes.x, nodes.known)[edges.source.numpy()],
        ])  # fmt: skip
        columns.append(_means(both, edges.target.numpy(), len(queries)))
    return np.column_stack(columns)


def over_senders(queries: Queries, features: dict[str, Reals]) -> Reals:
    """Return the mean features of the nodes that a variant hangs on, by edge type."""
    return np.column_stack([
        _means(features[key[0]][edges.source.numpy()], edges.target.numpy(), len(queries))
        for key, edges in queries.edges.items() if key[0] in features
    ])  # fmt: skip


def _means(values: Reals, owner: NDArray[np.int64], n: int) -> Reals:
    known = np.isfinite(values)
    count, total = np.zeros((2, n, values.shape[1]))
    np.add.at(count, owner, known)
    np.add.at(total, owner, np.where(known, values, 0.0))
    with np.errstate(invalid="ignore"):
        found: Reals = total / count
    return found


def degree_features(graph: Graph) -> dict[str, Reals]:
    """Return the log of one plus each node's edges, a column an edge type into it."""
    found: dict[str, list[Reals]] = {name: [] for name in graph.nodes}
    for key, edges in graph.edges.items():
        found[key[2]].append(np.log1p(np.diff(edges.start.numpy()).astype(float)))
    return {
        name: np.column_stack(some) if some else np.zeros((len(graph.nodes[name]), 0))
        for name, some in found.items()
    }


def transition(graph: Graph) -> tuple[sp.csr_array, dict[str, slice]]:
    """Return the chance to step from node (row) to node, each edge type alike.

    Returns
    -------
    tuple
        The matrix over all nodes, and where each type stands in it.
    """
    ends = np.cumsum([0, *(len(nodes) for nodes in graph.nodes.values())])
    place = {
        name: slice(int(a), int(b))
        for name, a, b in zip(graph.nodes, ends[:-1], ends[1:], strict=True)
    }
    n = int(ends[-1])
    total = sp.csr_array((n, n))
    for key, edges in graph.edges.items():
        row = edges.target.numpy() + place[key[2]].start
        column = edges.source.numpy() + place[key[0]].start
        one = sp.csr_array((np.ones(len(row)), (row, column)), shape=(n, n))
        total = total + _by_row(one)
    return _by_row(total), place


def _by_row(matrix: sp.csr_array) -> sp.csr_array:
    total = np.asarray(matrix.sum(axis=1)).ravel()
    share = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    return sp.csr_array(sp.diags_array(share) @ matrix)


def walk_features(
    graph: Graph, rng: np.random.Generator, width: int = 32, steps: int = 3
) -> dict[str, Reals]:
    """Return random projections of where walks of 1 to ``steps`` steps land.

    (FastRP: Chen et al. 2019, Algorithm 1, equal weights.)
    """
    step, place = transition(graph)
    at = rng.normal(size=(step.shape[0], width)) / np.sqrt(width)
    total = np.zeros_like(at)
    for _ in range(steps):
        at = step @ at
        total += at / np.maximum(np.linalg.norm(at, axis=1, keepdims=True), 1e-12)
    return {name: total[where] for name, where in place.items()}


def propagate(
    graph: Graph, start: dict[str, Reals], damping: float = 0.85, steps: int = 20
) -> dict[str, Reals]:
    """Spread labels of nodes over the edges (Zhou et al. 2004, eq. 5), NaN where unknown."""
    step, place = transition(graph)
    first = np.zeros(step.shape[0])
    for name, values in start.items():
        first[place[name]] = np.nan_to_num(values)
    now = first
    for _ in range(steps):
        now = damping * (step @ now) + (1 - damping) * first
    return {name: now[where] for name, where in place.items()}


def propagated_score(
    graph: Graph, queries: Queries, label: Reals, learned: NDArray[np.bool_]
) -> Reals:
    """Return each variant's mean propagated label over its genes, ``(n,)``; 0 without any.

    Genes start with the mean of ``label`` (centred) over the variants learned from.
    """
    pairs = queries.edges[NEAR]
    gene, variant = pairs.source.numpy(), pairs.target.numpy()
    teach = learned[variant]
    centred = label - label[learned].mean()
    n = len(graph.nodes[GENE])
    total = np.bincount(gene[teach], centred[variant[teach]], n)
    count = np.bincount(gene[teach], minlength=n)
    spread = propagate(graph, {GENE: total / np.maximum(count, 1)})[GENE]
    found = np.bincount(variant, spread[gene], len(queries))
    return found / np.maximum(np.bincount(variant, minlength=len(queries)), 1)


def relations(graph: Graph, queries: Queries | None = None) -> dict[str, list[tuple[str, str, str]]]:  # fmt: skip
    """Return the edge types by relation as it is stored, both directions together."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    keys = [*graph.edges, *(queries.edges if queries is not None else ())]
    for key in keys:
        source, relation, target = key
        name = (
            f"{target}__{relation.removeprefix(BACK)}__{source}"
            if relation.startswith(BACK)
            else "__".join(key)
        )
        found.setdefault(name, []).append(key)
    return found
