"""Causal graphs: textbook cases, brute force over small graphs, and effects of known size."""

import json
from itertools import chain, combinations
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from data_registry.errors import (
    InputError,
    MalformedFileError,
    MissingOptionalError,
    NotIdentifiedError,
)
from variant_effect.causal.causal_graph import (
    BATCH,
    STRUCTURE,
    CausalGraph,
    Edge,
    Node,
    compare_with_data,
    estimate_effect,
    expression_graph,
    identify,
    identify_mediation,
    identify_with_dowhy,
    read_data,
    read_edges,
)


def graph(text: str) -> CausalGraph:
    """``X>Y U>X``: nodes whose names start with U were not observed."""
    pairs = [tuple(edge.split(">")) for edge in text.split()]
    names = dict.fromkeys(chain.from_iterable(pairs))
    return CausalGraph(
        tuple(Node(n, observed=not n.startswith("U")) for n in names),
        tuple(Edge(a, b) for a, b in pairs),
    )


@pytest.mark.parametrize(
    ("text", "strategy", "adjust", "through"),
    [
        ("X>Y", "backdoor", (), ()),
        ("X>Y Z>X Z>Y", "backdoor", ("Z",), ()),
        ("X>M M>Y Z>X Z>M", "backdoor", ("Z",), ()),
        ("X>Y X>C Y>C", "backdoor", (), ()),  # a collider is left alone
        ("X>Y U>A U>Y A>X", "backdoor", ("A",), ()),
        ("X>M M>Y U>X U>Y", "front-door", (), ("M",)),
        ("G>X X>Y U>X U>Y", "instrument", (), ("G",)),
        ("G>X X>Y U>X U>Y S>G S>Y", "instrument", ("S",), ("G",)),
        ("Y>X", "none", (), ()),
    ],
)
def test_textbook_graphs(text, strategy, adjust, through) -> None:
    found = identify(graph(text), "X", "Y")[0]
    assert (found.strategy, found.adjust, found.through) == (strategy, adjust, through)
    assert found.statement


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("X>Y U>X U>Y", "X - U - Y"),
        ("X>Y U>X U>Y G>X G>Y", "X - U - Y"),  # pleiotropic: no instrument
        ("X>M M>Y U>X U>Y U2>M U2>Y", "X - U - Y"),
    ],
)
def test_what_is_not_identified_is_refused_with_the_path(text: str, shown: str) -> None:
    with pytest.raises(NotIdentifiedError, match=f"{shown} stays open"):
        identify(graph(text), "X", "Y")
    with pytest.raises(NotIdentifiedError):
        estimate_effect(
            graph(text), pd.DataFrame({"X": [1.0], "Y": [1.0]}), "X", "Y",
            np.random.default_rng(1),
        )  # fmt: skip


def backdoor_sets(g: CausalGraph) -> list[set[str]]:
    """Every set that meets the backdoor criterion, by trying all."""
    d = g.digraph
    cut = d.copy()
    cut.remove_edges_from(list(d.out_edges("X")))
    allowed = sorted(g.observed - {"X", "Y"} - nx.descendants(d, "X"))
    every = chain.from_iterable(
        combinations(allowed, k) for k in range(len(allowed) + 1)
    )
    return [set(s) for s in every if nx.is_d_separator(cut, {"X"}, {"Y"}, set(s))]


def test_adjustment_is_found_whenever_there_is_one() -> None:
    rng = np.random.default_rng(1)
    names = ["X", "Y", "A", "B", "U", "U2"]
    n_with = n_without = 0
    for _ in range(700):
        order = rng.permutation(names)
        edges = [f"{a}>{b}" for a, b in combinations(order, 2) if rng.random() < 0.45]
        if not {"X", "Y"} <= {n for e in edges for n in e.split(">")}:
            continue
        g = graph(" ".join(edges))
        if not nx.has_path(g.digraph, "X", "Y"):
            continue
        possible = backdoor_sets(g)
        try:
            ways = identify(g, "X", "Y")
        except NotIdentifiedError:
            ways = []
        found = [w for w in ways if w.strategy == "backdoor"]
        assert bool(found) == bool(possible)
        if found:
            n_with += 1
            held = set(found[0].adjust)
            assert held in possible
            assert not any(other < held for other in possible)  # minimal
        else:
            n_without += 1
    assert min(n_with, n_without) > 20


def simulate(text: str, slopes: dict[str, float], n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    d = graph(text).digraph
    data: dict[str, np.ndarray] = {}
    for node in nx.topological_sort(d):
        parents = d.predecessors(node)
        signal = sum((slopes.get(f"{p}>{node}", 1.0) * data[p] for p in parents), 0.0)
        data[node] = signal + rng.normal(size=n)
    return pd.DataFrame(data)


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("X>Y Z>X Z>Y", 0.7),
        ("X>M M>Y U>X U>Y", 0.7),
        ("G>X X>Y U>X U>Y", 0.7),
        ("Y>X", 0.0),
    ],
)
def test_each_strategy_finds_the_effect(text: str, truth: float) -> None:
    slopes = {"X>Y": 0.7, "X>M": 0.7}
    data = simulate(text, slopes, 4_000, 2).drop(columns=["U"], errors="ignore")
    found = estimate_effect(
        graph(text), data, "X", "Y", np.random.default_rng(1), draws=200
    )
    assert found.estimate == pytest.approx(truth, abs=0.08)
    assert found.low <= truth + 1e-12
    assert found.high >= truth - 1e-12
    if text != "Y>X":
        naive = np.polyfit(data["X"], data["Y"], 1)[0]
        assert abs(naive - truth) > 0.15  # what no adjustment would have said


def test_data_agree_with_the_true_graph_and_contradict_another() -> None:
    data = simulate("V>E E>P S>V S>P", {}, 2_000, 3)
    right = compare_with_data(graph("V>E E>P S>V S>P"), data)
    assert all((c.p < 1e-6) == (c.kind == "edge") for c in right)
    assert {(c.first, c.second) for c in right if c.kind == "independence"} == {
        ("E", "S"), ("P", "V"),
    }  # fmt: skip
    wrong = compare_with_data(graph("V>E V>P S>V"), data)
    assert [c for c in wrong if c.kind == "independence" and c.p < 1e-6]


def test_an_intervention_cuts_what_comes_in() -> None:
    cut = graph("Z>X X>Y Z>Y").intervene("X")
    assert sorted(cut.digraph.edges) == [("X", "Y"), ("Z", "Y")]
    assert identify(cut, "X", "Y")[0].adjust == ()


def test_the_expression_graph_and_its_confounders() -> None:
    g = expression_graph(
        ["v"], {"g": ["v"]}, {"p": ["g"]}, evidence={("v", "g"): "eQTL"},
        batch_observed=False,
    )  # fmt: skip
    assert g.observed == {"v", "g", "p", STRUCTURE}
    assert identify(g, "v", "p")[0].adjust == (STRUCTURE,)
    # Batch was not measured: the variant serves as an instrument of the expression.
    way = identify(g, "g", "p")[0]
    assert (way.strategy, way.through, way.adjust) == (
        "instrument",
        ("v",),
        (STRUCTURE,),
    )
    origin = {(e.source, e.target): e.origin for e in g.edges}
    assert origin["v", "g"] == "knowledge"
    assert origin["g", "p"] == "assumption"


def test_mediation_is_identified_or_refused() -> None:
    assert identify_mediation(graph("X>M M>Y X>Y"), "X", "M", "Y") == ()
    assert identify_mediation(graph("X>M M>Y C>M C>Y"), "X", "M", "Y") == ("C",)
    for text, pair in (
        ("X>M M>Y X>Y U>M U>Y", "M and Y"),
        ("X>M M>Y X>Y U>X U>M", "X and Y"),
        ("X>M M>Y X>L L>M L>Y", "M and Y"),  # a confounder that X acts on
    ):
        with pytest.raises(NotIdentifiedError, match=f"{pair} share a cause"):
            identify_mediation(graph(text), "X", "M", "Y")
    with pytest.raises(NotIdentifiedError, match="nothing is mediated"):
        identify_mediation(graph("X>Y M>Y"), "X", "M", "Y")


def test_exports_can_be_read_back() -> None:
    g = expression_graph(['v"1'], {"g": ['v"1']}, {"p": ["g"]}, batch_observed=False)
    dot = g.to_dot()
    assert '"v\\"1" -> "g" [style=dotted];' in dot
    assert f'"{BATCH}" [shape=diamond, style=dashed];' in dot
    back = nx.node_link_graph(json.loads(g.to_json()), edges="links")
    assert set(back.edges) == set(g.digraph.edges)
    assert back.nodes[BATCH]["observed"] is False


def test_circles_and_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="A -> B -> A"):
        graph("A>B B>A")
    with pytest.raises(InputError, match="no node C"):
        CausalGraph((Node("A"),), (Edge("A", "C"),))
    with pytest.raises(InputError, match="no node 'Q'"):
        identify(graph("X>Y"), "Q", "Y")
    with pytest.raises(NotIdentifiedError, match="not observed"):
        identify(graph("U>Y"), "U", "Y")


def test_tables_of_edges_and_of_data(tmp_path: Path) -> None:
    path = tmp_path / "edges.tsv"
    path.write_text(
        "source\ttarget\tsource_role\torigin\nv\tg\tvariant\tknowledge\n*u\tg\t\t\n"
    )
    g = read_edges(path)
    assert g.observed == {"v", "g"}
    assert {n.name: n.role for n in g.nodes}["v"] == "variant"
    path.write_text("source\ttarget\tsource_role\nv\tg\tgenie\n")
    with pytest.raises(MalformedFileError, match="genie"):
        read_edges(path)
    path.write_text("sample\tx\ty\ns1\t1\tNA\ns2\t2\t3\n")
    assert read_data(path)["y"].isna().tolist() == [True, False]
    path.write_text("x\n1\ntall\n")
    with pytest.raises(MalformedFileError, match=r"line 3.*'tall' among numbers"):
        read_data(path)


def test_the_graph_of_a_variant_from_a_stored_graph(
    tmp_path: Path, monkeypatch
) -> None:
    """A stand-in for the stored tables; the real ones are read in the tests of the command."""
    import pyarrow as pa

    from variant_effect.causal import causal_graph as module

    tables = {
        "variant": pa.table({"id": [0, 1], "identifier": ["v0", "v1"]}),
        "gene": pa.table({"id": [0, 1], "identifier": ["g0", "g1"]}),
        "phenotype": pa.table({"id": [0, 1], "identifier": ["p0", "p1"]}),
        "variant__near__gene": pa.table({"source": [0, 1], "target": [0, 1]}),
        "gene__associated_with__phenotype": pa.table({"source": [0], "target": [0]}),
        "variant__associated_with__phenotype": pa.table(
            {"source": [0, 0], "target": [0, 1]}
        ),
    }

    class Stored:
        nodes = ("variant", "gene", "phenotype")
        edges = MappingProxyType({
            n: SimpleNamespace(count=t.num_rows) for n, t in tables.items() if "__" in n
        })  # fmt: skip

        def table(self, name: str) -> pa.Table:
            return tables[name]

    monkeypatch.setattr(module, "read_manifest", lambda _: Stored())
    g = module.knowledge_graph(tmp_path, "v0")
    known = {
        (e.source, e.target): e.evidence for e in g.edges if e.origin == "knowledge"
    }
    # p0 is reached through the gene, so the variant's own link to it is not drawn twice.
    assert known == {
        ("v0", "g0"): "near",
        ("g0", "p0"): "associated_with",
        ("v0", "p1"): "associated_with",
    }
    with pytest.raises(InputError, match="no variant 'v9'"):
        module.knowledge_graph(tmp_path, "v9")


def test_dowhy_is_asked_or_missed_clearly() -> None:
    data = pd.DataFrame(
        np.random.default_rng(1).normal(size=(50, 3)), columns=["X", "Y", "Z"]
    )
    try:
        import dowhy  # noqa: F401
    except ImportError:
        with pytest.raises(MissingOptionalError, match="environment of its own"):
            identify_with_dowhy(graph("X>Y Z>X Z>Y"), data, "X", "Y")
        return
    assert "E[Y|Z]" in identify_with_dowhy(graph("X>Y Z>X Z>Y"), data, "X", "Y")
    with pytest.raises(NotIdentifiedError, match="DoWhy"):
        identify_with_dowhy(graph("X>Y U>X U>Y"), data, "X", "Y")
