"""Memory slots that start as something known, and what became of them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.graph.network import GraphTransformer, States
from models.graph.structure import EdgeKey, Graph

MEMBERSHIP: EdgeKey = ("gene", "member_of", "pathway")
LEAST_MEMBERS = 10
"""A smaller pathway makes no slot: its centroid is hardly more than one gene."""


@dataclass(frozen=True, slots=True)
class Slots:
    """What each slot started as.

    Parameters
    ----------
    names
        Pathway, or ``random``.
    """

    names: tuple[str, ...]


def start_slots(network: GraphTransformer, graph: Graph, states: States) -> Slots:
    """Set the slots of each block to centroids of pathways, computed before training.

    A slot's key and value are the mean state of a pathway's genes less the mean of all
    genes, brought to length 1. The pathways are chosen to differ: first the one with most
    genes, then always the one whose genes the chosen ones cover least. Slots without a
    pathway stay random.

    Parameters
    ----------
    states
        Of the graph, or of a thinned one, before training.
    """
    n_slots = network.settings.slots
    chosen = choose_pathways(graph, n_slots)
    names = graph.names.get("pathway", [])
    with torch.no_grad():
        for block, hidden in zip(network.stack, states.hidden, strict=False):
            if block.external is None:
                continue
            h = block.norms[1](hidden["gene"])
            away = h - h.mean(0)
            for slot, genes in enumerate(chosen.values()):
                centre = away[genes].mean(0)
                centre = centre / centre.norm().clamp(min=1e-6)
                block.external.keys[slot] = centre
                block.external.values[slot] = centre
    named = [names[i] if names else str(i) for i in chosen]
    return Slots((*named, *["random"] * (n_slots - len(named))))


def choose_pathways(graph: Graph, n: int) -> dict[int, Tensor]:
    """Return up to ``n`` pathways that differ, and the genes of each."""
    if MEMBERSHIP not in graph.edges:
        return {}
    edges = graph.edges[MEMBERSHIP]
    members = {
        i: edges.source[edges.start[i] : edges.start[i + 1]]
        for i in range(len(edges.start) - 1)
        if edges.start[i + 1] - edges.start[i] >= LEAST_MEMBERS
    }
    covered = torch.zeros(len(graph.nodes["gene"]))
    found: dict[int, Tensor] = {}
    while members and len(found) < n:
        best = max(members, key=lambda i: float((1 / (1 + covered[members[i]])).sum()))
        found[best] = members.pop(best)
        covered[found[best]] += 1
    return found


def describe_slots(
    network: GraphTransformer,
    states: States,
    graph: Graph,
    slots: Slots,
    most: int = 5,
) -> list[dict[str, Any]]:
    """Say what each slot of the last block answers after training.

    Returns
    -------
    list of dict
        By slot: ``started_as``; ``share`` of all genes' attention; ``genes`` that attend
        most; ``pathway`` whose genes attend most beside the others and its ``auroc``;
        and ``auroc_of_start``: of the pathway it started as, None where random.
    """
    block = network.stack[-1]
    if block.external is None:
        return []
    h = _before_external(network, states, graph)
    totals = states.totals[-1]
    assert totals is not None  # noqa: S101 - there is an external attention
    attention = block.external.attention(h, totals)
    memberships = choose_pathways(graph, 10_000)
    names = graph.names.get("pathway", [])
    rows = []
    for slot, start in enumerate(slots.names):
        weight = attention[:, slot]
        by_pathway = {
            names[i]: _auroc(weight, genes) for i, genes in memberships.items()
        }
        best = max(by_pathway, key=lambda name: by_pathway[name], default=None)
        top = weight.topk(min(most, len(weight))).indices.tolist()
        rows.append({
            "started_as": start,
            "share": round(float(weight.mean()), 4),
            "genes": [graph.names["gene"][i] for i in top],
            "pathway": best,
            "auroc": best and round(by_pathway[best], 3),
            "auroc_of_start": round(by_pathway[start], 3) if start in by_pathway else None,
        })  # fmt: skip
    return rows


def _before_external(network: GraphTransformer, states: States, graph: Graph) -> Tensor:
    """Return what the last block's memory is asked by genes."""
    block, before = network.stack[-1], states.hidden[-2]
    first, second, _ = block.norms
    speak = {name: first(h) for name, h in before.items()}
    heard, _ = block.local(speak, {"gene": speak["gene"]}, graph.edges)
    found: Tensor = second(before["gene"] + heard["gene"])
    return found


def _auroc(score: Tensor, members: Tensor) -> float:
    rank = torch.empty(len(score), dtype=torch.float64)
    rank[score.argsort()] = torch.arange(1.0, len(score) + 1, dtype=torch.float64)
    n = len(members)
    above = float(rank[members].sum()) - n * (n + 1) / 2
    return above / max(n * (len(score) - n), 1)
