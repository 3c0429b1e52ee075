"""The graph transformer against loops over nodes, and the laws it keeps."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from models.graph import layers  # noqa: E402
from models.graph.knowledge import describe_slots, start_slots  # noqa: E402
from models.graph.layers import masked, segment_softmax  # noqa: E402
from models.graph.network import NEAR  # noqa: E402
from models.graph.sampling import sample, shuffle_rows, thin  # noqa: E402
from models.graph.structure import Edges, Graph  # noqa: E402
from tests.models.graph_toys import (  # noqa: E402
    doubled,
    doubled_queries,
    renumbered,
    toy_graph,
    toy_network,
    toy_queries,
)
from tests.oracles.dense_graph import dense_encode  # noqa: E402


@pytest.fixture
def graph():
    return doubled(toy_graph())


@pytest.fixture
def queries():
    return doubled_queries(toy_queries())


@pytest.fixture
def network(graph, queries):
    return toy_network(graph, queries)


@torch.no_grad()
def test_encoding_equals_loops_over_nodes_and_edges(network, graph):
    states = network.encode(graph)
    expected, totals = dense_encode(network, graph)
    for name, h in expected.items():
        torch.testing.assert_close(states.last[name], h)
    for mine, total in zip(states.totals, totals, strict=True):
        torch.testing.assert_close(mine, total)


@torch.no_grad()
def test_how_many_edges_are_held_at_a_time_means_nothing(network, graph, monkeypatch):
    whole = network.encode(graph)
    monkeypatch.setattr(layers, "EDGES_AT_ONCE", 5)
    parts = network.encode(graph)
    for name, h in whole.last.items():
        torch.testing.assert_close(parts.last[name], h)
    for key, weight in whole.weights[1].items():
        torch.testing.assert_close(parts.weights[1][key], weight)


def test_ranges_by_hand():
    one, other = torch.tensor([0, 2, 2, 9, 10]), torch.tensor([0, 1, 1, 1, 2])
    # edges into the four targets together: 3, 0, 7, 2
    assert layers.ranges([one, other], 3) == [(0, 2), (2, 3), (3, 4)]
    assert layers.ranges([one, other], 100) == [(0, 4)]
    assert layers.ranges([torch.tensor([0])], 3) == []


@torch.no_grad()
def test_numbers_of_nodes_and_order_of_edges_mean_nothing(network, graph, queries):
    turned, new = renumbered(graph)
    before, after = network.encode(graph), network.encode(turned)
    for name, h in before.last.items():
        torch.testing.assert_close(after.last[name][new[name]], h)
    moved = {
        key: Edges.of(new[key[0]][e.source], e.target, len(queries), e.x, e.known)
        for key, e in queries.edges.items()
    }
    again = type(queries)(queries.nodes, moved)
    torch.testing.assert_close(
        network.judge("variant", after, again).logit,
        network.judge("variant", before, queries).logit,
    )


@torch.no_grad()
def test_batch_mates_do_not_matter(network, graph, queries):
    states = network.encode(graph)
    together = network.judge("variant", states, queries)
    for i in range(len(queries)):
        alone = network.judge("variant", states, queries.take(torch.tensor([i])))
        torch.testing.assert_close(alone.logit, together.logit[i : i + 1])
        mine = queries.edges[NEAR].target == i
        torch.testing.assert_close(alone.pair_logit, together.pair_logit[mine])
        torch.testing.assert_close(alone.pair_effect, together.pair_effect[mine])


@torch.no_grad()
@pytest.mark.parametrize("asked", [{"gene": [5, 2]}, {"cre": [0], "pathway": [3]}])
def test_a_sample_with_all_neighbours_equals_the_whole_graph(network, graph, asked):
    whole = network.encode(graph)
    asked = {name: torch.tensor(rows) for name, rows in asked.items()}
    part = sample(graph, asked, n_hops=2)
    states = network.encode(part.graph, whole.totals)
    for name, rows in asked.items():
        assert part.rows[name][: len(rows)].tolist() == rows.tolist()
        torch.testing.assert_close(
            states.last[name][: len(rows)], whole.last[name][rows]
        )


def test_a_draw_depends_on_the_seed_and_not_on_who_else_is_asked(graph):
    def drawn(seed, asked):
        shuffled = shuffle_rows(graph, torch.Generator().manual_seed(seed))
        part = sample(shuffled, {"gene": torch.tensor(asked)}, 1, fan_out=1)
        return {
            (key, int(part.rows[key[2]][t]), int(part.rows[key[0]][s]))
            for key, e in part.graph.edges.items()
            for s, t in zip(e.source, e.target, strict=True)
        }

    both, one = drawn(0, [1, 4]), drawn(0, [4])
    assert one == {edge for edge in both if edge[1] == 4}
    assert drawn(0, [1, 4]) == both
    assert any(drawn(seed, [1, 4]) != both for seed in range(1, 6))


def test_fan_out_is_an_upper_limit_of_each_type(graph):
    few = thin(graph, 2)
    for key, edges in graph.edges.items():
        count = edges.start.diff()
        assert few.edges[key].start.diff().tolist() == count.clamp(max=2).tolist()
    same = thin(graph, 1000)
    for key, edges in graph.edges.items():
        torch.testing.assert_close(same.edges[key].source, edges.source)
    assert thin(graph, None).n_edges == graph.n_edges


@torch.no_grad()
def test_edges_that_are_kept_are_those_taken_by_number(graph):
    for edges in graph.edges.values():
        kept = torch.rand(len(edges), generator=torch.Generator().manual_seed(3)) < 0.6
        taken = edges.take(torch.nonzero(kept)[:, 0])
        for name in ("source", "target", "start", "x", "known"):
            found = getattr(edges.where(kept), name)
            assert torch.equal(found, getattr(taken, name))


def test_a_missing_attribute_is_no_zero(network, graph):
    """Its value is not read, and that it is missing is."""
    nodes = graph.nodes["gene"]
    known = nodes.known.clone()
    known[0, 0] = True
    seen = type(nodes)(nodes.x.clone(), known, nodes.member)
    seen.x[0, 0] = 0.0
    hidden = known.clone()
    hidden[0, 0] = False

    def first(x, k):
        changed = Graph(
            {**graph.nodes, "gene": type(nodes)(x, k, nodes.member)}, graph.edges
        )
        return network.encode(changed).last["gene"][0]

    other = seen.x.clone()
    other[0, 0] = 9.0
    torch.testing.assert_close(first(seen.x, hidden), first(other, hidden))
    assert not torch.allclose(first(seen.x, known), first(seen.x, hidden))
    torch.testing.assert_close(
        masked(torch.tensor([[2.0, 3.0]]), torch.tensor([[True, False]])),
        torch.tensor([[2.0, 0.0, 0.0, 1.0]]),
    )


def test_segment_softmax_by_hand():
    logits = torch.tensor([[0.0], [torch.log(torch.tensor(3.0))], [5.0]])
    found = segment_softmax(logits, torch.tensor([1, 1, 0]), 3)
    torch.testing.assert_close(found[:, 0], torch.tensor([0.25, 0.75, 1.0]))


@torch.no_grad()
def test_a_variant_without_genes_is_judged_alone(network, graph, queries):
    states = network.encode(graph)
    bare = queries.without(list(queries.edges))
    answer = network.judge("variant", states, bare)
    assert answer.logit.shape == (len(queries),)
    assert answer.pair_logit.shape == (0,)
    whole = network.judge("variant", states, queries)
    assert not torch.allclose(answer.logit, whole.logit)


@torch.no_grad()
def test_variants_say_nothing_to_the_graph(graph, queries):
    assert all(key[0] != "variant" for key in queries.edges)
    network = toy_network(graph, queries)
    assert "variant" not in network.encode(graph).last


def test_slots_start_as_pathways_and_tell_what_they_answer():
    graph = toy_graph()
    key = ("gene", "member_of", "pathway")
    n = 40
    member = torch.arange(n)
    nodes = {**graph.nodes, "gene": type(graph.nodes["gene"])(
        torch.cat([torch.randn(n, 3, generator=torch.Generator().manual_seed(1)) * 0.1
                   + torch.eye(3)[member % 2]]),
        torch.ones(n, 3, dtype=torch.bool), torch.full((n,), -1))}  # fmt: skip
    edges = Edges.of(
        member, member % 2, 4, torch.zeros(n, 1), torch.ones(n, 1, dtype=torch.bool)
    )
    names = {**graph.names, "gene": [f"g{i}" for i in range(n)]}
    graph = Graph(nodes, {key: edges}, names)
    queries = toy_queries()
    network = toy_network(graph, queries).float()
    with torch.no_grad():
        slots = start_slots(network, graph, network.encode(graph))
    assert set(slots.names) == {"pathway0", "pathway1", "random"}
    with torch.no_grad():
        described = describe_slots(network, network.eval().encode(graph), graph, slots)
    assert len(described) == 3
    assert sum(row["share"] for row in described) == pytest.approx(1, abs=1e-3)
    one = network.blocks[0].external.keys[slots.names.index("pathway0")].detach()
    assert float(one.norm()) == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        h = network.blocks[0].norms[1](network.encode(graph).hidden[0]["gene"])
        away = (h - h.mean(0))[member % 2 == 0].mean(0)
    torch.testing.assert_close(one, away / away.norm())
