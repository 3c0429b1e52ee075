"""Variants attached to a stored graph, joined graphs, and features, by hand."""

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from graph_builder.intervals import Spans  # noqa: E402
from models.graph.attachment import IN_BIN, IN_CRE, Places, attach  # noqa: E402
from models.graph.baselines import (  # noqa: E402
    degree_features,
    joined_features,
    propagated_score,
    transition,
    walk_features,
)
from models.graph.features import Scale, Scales, VariantColumns  # noqa: E402
from models.graph.network import NEAR, Queries  # noqa: E402
from models.graph.structure import Edges, Graph, Nodes, union  # noqa: E402
from tests.models.graph_toys import toy_graph, toy_queries  # noqa: E402


def spans(*rows):
    contig, start, end = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Spans(contig, start, end)


@pytest.fixture
def places():
    """Gene 0 forward, gene 1 reverse and far away; one element linked to both."""
    return Places(
        {"c1": 0, "c2": 1},
        spans((0, 1000, 2000), (0, 9000, 9500), (1, 0, 100)),
        spans((0, 400, 1100)),
        spans((0, 0, 5000), (0, 5000, 10000), (1, 0, 5000)),
        np.array([1000, 9499, 0]), np.array([False, True, False]),
        np.array([1, 0]), np.array([0, 0]), np.array([0.7, 0.2]),
    )  # fmt: skip


def attached(places, *variants):
    contig, start, end = zip(*variants, strict=True)
    n = len(variants)
    nodes = Nodes(
        torch.zeros(n, 1), torch.ones(n, 1, dtype=torch.bool), torch.full((n,), -1)
    )
    return attach(
        places, np.array(contig, object), np.array(start), np.array(end), nodes
    )  # fmt: skip


def test_a_variant_hangs_on_genes_nearby_and_on_those_its_element_is_linked_to(places):
    queries = attached(places, ("c1", 500, 501))
    pairs = queries.edges[NEAR]
    assert pairs.source.tolist() == [0, 1]
    upstream, reverse = pairs.x.double().sinh().tolist()
    # to start (upstream of the forward gene), outside, inside, link
    np.testing.assert_allclose(upstream, [-500, 500, 0, 0.2], rtol=1e-5)
    np.testing.assert_allclose(reverse, [8999, 8500, 0, 0.7], rtol=1e-5)
    assert queries.edges[IN_CRE].source.tolist() == [0]
    assert queries.edges[IN_CRE].x.sinh().tolist() == [[pytest.approx(-250)]]
    assert queries.edges[IN_BIN].source.tolist() == [0]


def test_inside_a_gene_without_a_linked_element_the_link_is_missing(places):
    pairs = attached(places, ("c1", 1500, 1501)).edges[NEAR]
    assert pairs.source.tolist() == [0]
    assert pairs.known.tolist() == [[True, True, True, False]]
    np.testing.assert_allclose(pairs.x.sinh()[0, :3].tolist(), [500, 0, 1], rtol=1e-5)


def test_nothing_nearby_or_a_strange_contig_gives_no_edge(places):
    queries = attached(places, ("c1", 5500, 5501), ("c9", 10, 11))
    assert queries.edges[NEAR].source.tolist() == []
    assert queries.edges[IN_BIN].source.tolist() == [1]
    assert queries.edges[IN_BIN].target.tolist() == [0]


def test_what_a_variant_gets_does_not_depend_on_the_others(places):
    rng = np.random.default_rng(0)
    at = rng.integers(0, 10_000, 40)
    variants = [("c1", int(a), int(a) + 1) for a in at]
    together = attached(places, *variants)
    for i, one in enumerate(variants):
        alone = attached(places, one)
        for key, edges in together.edges.items():
            mine = edges.target == i
            assert edges.source[mine].tolist() == alone.edges[key].source.tolist()
            torch.testing.assert_close(edges.x[mine], alone.edges[key].x)


def test_scales_know_nothing_of_what_does_not_teach():
    graph, queries = toy_graph(), toy_queries()
    teach = {"gene": torch.arange(12) < 6, "cre": torch.arange(9) < 5}

    def changed(value):
        x = graph.nodes["gene"].x.clone()
        x[6:] = value
        gene = Nodes(x, graph.nodes["gene"].known, graph.nodes["gene"].member)
        return Graph({**graph.nodes, "gene": gene}, graph.edges)

    one, other = (Scales.of(changed(v), teach, queries) for v in (0.0, 1e6))
    torch.testing.assert_close(one.nodes["gene"].mean, other.nodes["gene"].mean)
    again = Scales.from_dict(one.as_dict())
    torch.testing.assert_close(again.nodes["gene"].sd, one.nodes["gene"].sd)


def test_scale_by_hand():
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0], [99.0, 5.0]])
    known = torch.tensor([[True, True], [True, True], [False, True]])
    scale = Scale.of(x, known)
    assert scale.mean.tolist() == [2.0, 5.0]
    assert scale(x, known).tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]


def test_variant_columns_tell_missing_from_zero_and_strange_from_known():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "score": rng.normal(size=200), "term": ["a", "b"] * 100, "same": 1.0,
    })  # fmt: skip
    table.loc[:50, "score"] = np.nan
    columns = VariantColumns.of(table, ["score", "term", "same"])
    assert columns.names == ["score", "term=a", "term=b"]
    odd = pd.DataFrame({"score": [np.nan, 0.0, 1e9], "term": ["a", None, "never"]})
    nodes = columns.nodes(odd)
    assert nodes.known.tolist() == [
        [False, True, True], [True, False, False], [True, False, False]
    ]  # fmt: skip
    assert nodes.x[0].tolist() == [0.0, 1.0, 0.0]
    supported = columns.is_supported(columns.nodes(table))
    assert 0.98 <= float(supported.float().mean()) <= 1.0
    assert not columns.is_supported(nodes)[2]
    again = VariantColumns.from_dict(columns.as_dict())
    assert again.names == columns.names
    torch.testing.assert_close(again.nodes(odd).x, nodes.x)
    assert again.is_supported(nodes).tolist() == columns.is_supported(nodes).tolist()


def test_union_keeps_each_graph_as_it_is():
    one, other = toy_graph(0), toy_graph(1)
    both, offsets = union([one, other])
    assert offsets == [
        dict.fromkeys(one.nodes, 0),
        {n: len(x) for n, x in one.nodes.items()},
    ]
    for key, edges in both.edges.items():
        n = len(one.nodes[key[2]])
        second = edges.target >= n
        assert int(second.sum()) == len(other.edges[key])
        torch.testing.assert_close(
            edges.source[second] - offsets[1][key[0]], other.edges[key].source
        )
        torch.testing.assert_close(edges.x[~second], one.edges[key].x)


def chain():
    """Genes 0 - 1 - 2 in a row."""
    nodes = Nodes(torch.arange(3.0)[:, None], torch.ones(3, 1, dtype=torch.bool), torch.full((3,), -1))  # fmt: skip
    source, target = torch.tensor([0, 1, 1, 2]), torch.tensor([1, 0, 2, 1])
    empty = torch.zeros(4, 0)
    return Graph(
        {"gene": nodes},
        {
            ("gene", "physical", "gene"): Edges.of(
                source, target, 3, empty, empty.bool()
            )
        },
    )


def test_baselines_by_hand():
    graph = chain()
    step, _ = transition(graph)
    np.testing.assert_allclose(step.toarray(), [[0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]])
    np.testing.assert_allclose(degree_features(graph)["gene"][:, 0], np.log([2, 3, 2]))
    walk = walk_features(graph, np.random.default_rng(0), width=4, steps=2)["gene"]
    np.testing.assert_allclose(walk[0], walk[2])  # both ends land alike
    one = torch.ones(2, 1, dtype=torch.bool)
    nodes = Nodes(torch.tensor([[7.0], [8.0]]), one, torch.full((2,), -1))
    pairs = Edges.of(
        torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]), 2, torch.ones(3, 1),
        torch.ones(3, 1, dtype=torch.bool),
    )  # fmt: skip
    queries = Queries(nodes, {NEAR: pairs})
    np.testing.assert_allclose(
        joined_features(graph, queries), [[7, 1, 0.5], [8, 1, 2]]
    )
    label, learned = np.array([1.0, 0.0]), np.array([True, True])
    score = propagated_score(graph, queries, label, learned)
    assert score[0] > score[1]
    hidden = propagated_score(
        graph, queries, np.array([1.0, 5.0]), np.array([True, False])
    )
    assert hidden.tolist() == [0.0, 0.0]  # one label, centred: nothing to spread
