"""Variants of the graph network that a benchmark compares, and how it compares them."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")
pytest.importorskip("sklearn")

from benchmarks.block_bootstrap import Blocks  # noqa: E402
from benchmarks.graph import SEEDS, Runs, arms_of, changed, compare  # noqa: E402
from benchmarks.graph_demo import measure_effects  # noqa: E402
from models.graph.network import NEAR, NetworkSettings  # noqa: E402
from models.graph.tasks import VariantTask  # noqa: E402
from models.graph.training import TrainingSettings  # noqa: E402
from tests.models.graph_toys import toy_graph, toy_queries  # noqa: E402

NETWORK = NetworkSettings(width=8, heads=2, slots=2, closed=())
TRAINING = TrainingSettings(epochs=1)


@pytest.fixture
def toy():
    graph, queries = toy_graph(), toy_queries()
    n = len(queries.edges[NEAR])
    unknown = torch.full((n,), torch.nan)
    label = torch.tensor([0.0, 1, 0, 1, 1, 0, 1])
    rows = torch.arange(5)
    task = VariantTask("variant", queries, label, unknown, unknown, rows[:3], rows[3:])
    return graph, task, {a.name: a for a in arms_of(graph, queries, NETWORK, TRAINING)}


def test_there_is_an_arm_for_each_relation_both_directions_together(toy):
    graph, task, arms = toy
    assert {name for name in arms if name.startswith("graph_without_")} == {
        "graph_without_gene__linked_to__cre", "graph_without_gene__member_of__pathway",
        "graph_without_gene__physical__gene", "graph_without_gene__near__variant",
        "graph_without_cre__holds__variant",
    }  # fmt: skip
    fewer, (other,) = changed(
        arms["graph_without_gene__linked_to__cre"], graph, [task], 0
    )
    assert set(graph.edges) - set(fewer.edges) == {
        ("gene", "linked_to", "cre"), ("cre", "back_linked_to", "gene")
    }  # fmt: skip
    assert set(other.queries.edges) == set(task.queries.edges)
    bare, (alone,) = changed(arms["graph_no_edges"], graph, [task], 0)
    assert not bare.edges
    assert not alone.queries.edges
    assert arms["graph_no_external"].network.slots == 0
    assert not arms["graph_random_slots"].training.knowledge


def test_shuffled_edges_keep_every_degree_and_change_the_neighbours(toy):
    graph, task, arms = toy
    turned, (other,) = changed(arms["graph_shuffled_edges"], graph, [task], 0)
    moved = 0
    for key, edges in graph.edges.items():
        new = turned.edges[key]
        assert new.target.tolist() == edges.target.tolist()
        assert sorted(new.source.tolist()) == sorted(edges.source.tolist())
        moved += int((new.source != edges.source).sum())
    assert moved > 20
    assert sorted(other.queries.edges[NEAR].source.tolist()) == sorted(
        task.queries.edges[NEAR].source.tolist()
    )


def test_permuted_labels_leave_what_is_judged_alone(toy):
    graph, task, arms = toy
    arm = replace(arms["graph"], permuted=True)
    _, (other,) = changed(arm, graph, [task], 1)
    assert other.label[5:].tolist() == task.label[5:].tolist()
    assert sorted(other.label.tolist()) == sorted(task.label.tolist())


def test_a_budget_names_what_was_not_fitted_and_takes_what_was_kept(toy, tmp_path):
    graph, task, arms = toy
    some = [
        arms["graph"],
        arms["graph_no_edges"],
        arms["graph_without_cre__holds__variant"],
    ]
    runs = Runs(tmp_path, "d", lambda _text: None, time.perf_counter() + 60)
    order = [(arm.name, seed) for arm, seed in runs.plan(some)]
    assert [name.startswith("graph_without") for name, _ in order] == [False] * 6 + [
        True
    ] * 3
    rows = torch.arange(7)
    kept = runs.predict(some[0], graph, [task], {}, rows, SEEDS[0])
    late = Runs(tmp_path, "d", lambda _text: None, time.perf_counter())
    assert [(a.name, s) for a, s in late.plan(some)] == [("graph", SEEDS[0])]
    assert len(late.unfinished) == 8
    again = late.predict(some[0], graph, [task], {}, rows, SEEDS[0])
    np.testing.assert_array_equal(again, kept)
    other = Runs(tmp_path, "other data", lambda _text: None, time.perf_counter())
    assert not list(other.plan(some))


def test_figures_are_of_the_mean_and_pairs_of_the_same_seeds():
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(20), 10)
    blocks = Blocks.of(block, 50, rng)
    index = blocks.index(block)
    one, two = rng.normal(size=(2, 200))
    scores = {"graph": [one, two], "graph_less": [one + 1], "boosting": [two, two, two]}
    found = compare(scores, lambda s: blocks.mean(s, index), lambda s: float(s.mean()))
    assert found["graph"]["value"] == pytest.approx((one + two).mean() / 2, rel=1e-4)
    assert "graph_minus_this" not in found["graph"]
    # the arm with one seed is compared with the reference's first seed alone
    assert found["graph_less"]["graph_minus_this"]["value"] == pytest.approx(-1)
    assert found["graph_less"]["graph_minus_this"]["low"] == pytest.approx(-1)
    assert found["boosting"]["graph_minus_this"]["value"] == pytest.approx(
        (one - two).mean() / 2, rel=1e-3
    )
    assert len(found["boosting"]["by_seed"]) == 3


def test_signed_effects_by_hand():
    n = 6  # one pair a variant; the last two do not judge, the first has no true gene
    frame = pd.DataFrame({"organism": 0, "contig": "c", "start": np.arange(n) * 10**6})
    pairs = SimpleNamespace(target=torch.arange(n))
    effect = torch.tensor([torch.nan, 2.0, -1.0, -1.0, 5.0, 5.0])
    task = SimpleNamespace(queries=SimpleNamespace(edges={NEAR: pairs}), pair_effect=effect)  # fmt: skip
    setting = SimpleNamespace(frame=frame, task=task, test=np.arange(n) < 4)
    said = np.array([9.0, 1.0, -1.0, 1.0, 0.0, 0.0])
    found = measure_effects(setting, {"graph": [said], "mean_effect": [np.zeros(n)]})
    assert found["pairs"] == 3
    # errors 1, 0, 4 against deviations 4, 1, 1 from the mean, which is 0
    assert found["r2"]["graph"]["value"] == pytest.approx(1 - 5 / 6, abs=1e-4)
    assert found["r2"]["mean_effect"]["value"] == pytest.approx(0)
    assert found["sign_right"]["graph"]["value"] == pytest.approx(2 / 3, abs=1e-4)
