"""Paths: what a network cannot see has no contribution, and what it sees is by ablation."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")
pytest.importorskip("safetensors")

from models.graph.ensemble import Opened  # noqa: E402
from models.graph.network import NEAR, Queries  # noqa: E402
from models.graph.paths import _Ablation, strongest_paths  # noqa: E402
from models.graph.structure import Edges, Graph, Nodes  # noqa: E402
from tests.models.graph_toys import (  # noqa: E402
    doubled,
    doubled_queries,
    toy_graph,
    toy_network,
    toy_queries,
)

BEARS = ("phenotype", "back_associated_with", "gene")
SLOPE = 1.5


def few(edges: Edges, n: int) -> Edges:
    return edges.take(torch.arange(min(n, len(edges))))


def opened_toy(blocks: int) -> tuple[Opened, Queries]:
    """One variant on a toy graph, and a phenotype for each gene that no network sees."""
    graph, queries = doubled(toy_graph()), doubled_queries(toy_queries(1))
    wide = {k: few(e, 1) for k, e in queries.edges.items()}
    wide[NEAR] = replace(  # the real pairs have four attributes
        wide[NEAR], x=wide[NEAR].x.repeat(1, 2), known=wide[NEAR].known.repeat(1, 2)
    )
    queries = Queries(queries.nodes, wide)
    networks = tuple(toy_network(graph, queries, i, blocks=blocks) for i in (0, 1))
    genes = torch.arange(len(graph.nodes["gene"]))
    none = torch.zeros(len(genes), 0)
    empty = Nodes(none, none.bool(), genes)
    context = Graph(
        {"gene": empty, "phenotype": empty},
        {BEARS: Edges.of(genes, genes, len(genes), none, none.bool())},
        {"phenotype": [f"trait of {name}" for name in graph.names["gene"]]},
    )
    ensemble = SimpleNamespace(
        settings=SimpleNamespace(
            tasks=[SimpleNamespace(name="variant")], network=networks[0].settings
        ),
        calibration=(0.0, SLOPE),
    )
    with torch.inference_mode():
        states = tuple(network.encode(graph) for network in networks)
    return Opened(ensemble, graph, None, networks, states, context), queries


def lost_without(opened: Opened, queries: Queries, key, row: int) -> list[float]:
    """Encode the whole graph anew without one edge, the memory's totals kept."""
    edges = opened.graph.edges[key]
    kept = torch.nonzero(torch.arange(len(edges)) != row)[:, 0]
    graph = replace(opened.graph, edges={**opened.graph.edges, key: edges.take(kept)})
    found = []
    with torch.inference_mode():
        for network, states in zip(opened.networks, opened.states, strict=True):
            bare = network.encode(graph, states.totals)
            whole = network.judge("variant", states, queries).logit[0]
            found.append(SLOPE * float(whole - network.judge("variant", bare, queries).logit[0]))  # fmt: skip
    return found


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_an_edge_is_seen_if_and_only_if_its_removal_changes_the_answer(blocks):
    opened, queries = opened_toy(blocks)
    seen = _Ablation(opened, queries).seen
    told = set()
    for key, edges in opened.graph.edges.items():
        for row in range(len(edges)):
            expected = int(edges.target[row]) in seen.get(key[2], ())
            lost = lost_without(opened, queries, key, row)
            assert any(abs(x) > 1e-13 for x in lost) == expected, (key, row)
            told.add(expected)
    assert blocks == 3 or told == {True, False}


def test_contributions_of_all_seen_edges_equal_encoding_without_them():
    opened, queries = opened_toy(2)
    tried = _Ablation(opened, queries)
    checked = 0
    for key, edges in opened.graph.edges.items():
        for row in range(len(edges)):
            if int(edges.target[row]) not in tried.seen.get(key[2], ()):
                continue
            fast = tried.whole - tried._ask(tried._states_without(key, row), queries)
            slow = lost_without(opened, queries, key, row)
            assert fast.tolist() == pytest.approx(slow, abs=1e-12)
            checked += 1
    assert checked >= 8


def test_paths_reach_three_edges_and_context_is_never_a_zero():
    opened, queries = opened_toy(2)
    links = opened.graph.edges["gene", "linked_to", "cre"]
    placed = set(
        opened.graph.edges["pathway", "back_member_of", "gene"].target.tolist()
    )
    row = next(i for i, gene in enumerate(links.source.tolist()) if gene in placed)
    moved = {
        key: replace(
            edges, source=(links.source if key == NEAR else links.target)[[row]]
        )
        for key, edges in queries.edges.items()
    }  # the variant lies in an element, near the gene that the element is linked to
    queries = Queries(queries.nodes, moved)
    paths = strongest_paths(opened, queries, most=5)
    long = [path for path in paths if path.is_seen and len(path.steps) == 3]
    assert long
    assert long[0].steps[1].node.type == "gene"
    assert long[0].steps[2].node.type == "pathway"
    beside = next(path for path in paths if not path.is_seen)
    gene, trait = beside.steps[-2], beside.steps[-1]
    assert trait.contribution is None
    assert trait.name == f"trait of {gene.name}"
    assert beside.strength > 0
    shallow, queries = opened_toy(1)
    for path in strongest_paths(shallow, queries, most=5):
        for step, before in zip(path.steps[1:], path.steps, strict=False):
            read = before.node.type == "gene" and before.node.row in queries.edges[NEAR].source  # fmt: skip
            assert (step.contribution is not None) == (read and step.node.type != "phenotype")  # fmt: skip
