"""Mediation and structural equations."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from data_registry.errors import InputError, MissingOptionalError, NotIdentifiedError
from variant_effect.causal.causal_graph import expression_graph
from variant_effect.causal.structural_equations import (
    bootstrap_effects,
    fit_equations,
    mediate,
    path_effects,
)

GRAPH = expression_graph(["v"], {"g": ["v"]}, {"p": ["g", "v"]})


def lines(n: int, seed: int, *, a=0.8, b=0.5, direct=0.3) -> pd.DataFrame:
    """Structure and batch confound; v acts on p directly and through g."""
    rng = np.random.default_rng(seed)
    s, batch = rng.normal(size=n), rng.integers(2, size=n).astype(float)
    v = (rng.random(n) < 0.3 + 0.2 * (s > 0)).astype(float) * 2
    g = a * v + 0.7 * s + batch + rng.normal(size=n)
    p = b * g + direct * v - 0.8 * s + 2 * batch + rng.normal(size=n)
    return pd.DataFrame(
        {"v": v, "g": g, "p": p, "population_structure": s, "batch": batch}
    )


def test_effects_are_those_planted() -> None:
    found = mediate(
        GRAPH, lines(4_000, 1), "v", "g", "p", np.random.default_rng(1), draws=300
    )
    assert found.adjust == ("batch", "population_structure")
    direct, indirect, total = found.effects
    for effect, truth in ((direct, 0.3), (indirect, 0.4), (total, 0.7)):
        assert effect.low < truth < effect.high
        assert effect.estimate == pytest.approx(truth, abs=0.06)
    assert total.estimate == pytest.approx(direct.estimate + indirect.estimate)
    assert found.proportion == pytest.approx(indirect.estimate / total.estimate)


def test_the_total_effect_is_that_of_a_regression_without_the_mediator() -> None:
    data = lines(300, 2)
    found = mediate(GRAPH, data, "v", "g", "p", np.random.default_rng(1), draws=100)
    design = np.column_stack(
        [np.ones(300), data[["v", "batch", "population_structure"]]]
    )
    slopes = np.linalg.lstsq(design, data["p"], rcond=None)[0]
    assert found.effects[2].estimate == pytest.approx(slopes[1])


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    hits = 0
    for seed in range(40):
        found = mediate(
            GRAPH,
            lines(120, seed),
            "v",
            "g",
            "p",
            np.random.default_rng(seed),
            draws=200,
        )
        hits += found.effects[1].low < 0.4 < found.effects[1].high
    assert hits >= 33  # 38 expected; fewer than 33 has p < 0.01 at 95 %


def test_families_are_resampled_whole() -> None:
    """Ten copies of each line are no more lines: the interval must not shrink."""
    one = lines(80, 4).assign(family=np.arange(80.0))
    ten = pd.concat([one] * 10, ignore_index=True)
    rng = np.random.default_rng

    def width(data: pd.DataFrame, cluster: str) -> float:
        effect = mediate(
            GRAPH, data, "v", "g", "p", rng(1), draws=400, cluster=cluster
        ).effects[1]
        return effect.high - effect.low

    assert width(ten, "family") == pytest.approx(width(one, ""), rel=0.2)
    assert width(ten, "") < 0.5 * width(one, "")


def test_missing_rows_are_counted_and_bad_data_refused() -> None:
    data = lines(100, 5)
    data.loc[:9, "g"] = np.nan
    found = mediate(GRAPH, data, "v", "g", "p", np.random.default_rng(1), draws=100)
    assert (found.n, found.n_incomplete) == (90, 10)
    with pytest.raises(InputError, match="lack the column 'batch'"):
        mediate(
            GRAPH, data.drop(columns="batch"), "v", "g", "p", np.random.default_rng(1)
        )
    with pytest.raises(NotIdentifiedError, match="copies of each other"):
        mediate(
            GRAPH, data.assign(g=2 * data["v"]), "v", "g", "p", np.random.default_rng(1)
        )
    hidden = expression_graph(
        ["v"], {"g": ["v"]}, {"p": ["g", "v"]}, batch_observed=False
    )
    with pytest.raises(NotIdentifiedError, match="not identified"):
        mediate(hidden, data, "v", "g", "p", np.random.default_rng(1))


def test_path_effects_by_hand() -> None:
    graph: nx.DiGraph = nx.DiGraph()
    for a, b, slope in (("x", "m", 2.0), ("m", "y", 3.0), ("x", "y", 1.0), ("m", "k", 5.0),
                        ("k", "y", 0.1)):  # fmt: skip
        graph.add_edge(a, b, slope=slope)
    # 1 direct; 2·3 through m, 2·5·0.1 through m and k.
    assert path_effects(graph, "x", "y") == (1.0, 7.0, 8.0)
    assert path_effects(graph, "k", "y") == pytest.approx((0.1, 0.0, 0.1))


def test_semopy_agrees_with_the_regressions() -> None:
    pytest.importorskip("semopy")
    data = lines(400, 6)
    model = (
        "g ~ v + population_structure + batch\np ~ g + v + population_structure + batch"
    )
    fitted = fit_equations(model, data)
    own = mediate(GRAPH, data, "v", "g", "p", np.random.default_rng(1), draws=100)
    effects = path_effects(fitted.slopes(), "v", "p")
    np.testing.assert_allclose(effects, [e.estimate for e in own.effects], atol=1e-4)
    drawn = bootstrap_effects(
        model, data, [("v", "p")], np.random.default_rng(1), draws=10
    )
    assert [e.kind for e in drawn] == ["direct", "indirect", "total"]
    assert all(e.low < e.estimate < e.high for e in drawn)


def test_models_that_are_not_identified_are_refused() -> None:
    pytest.importorskip("semopy")
    data = lines(100, 7)
    with pytest.raises(InputError, match="'missing_column'"):
        fit_equations("p ~ missing_column", data)
    with pytest.raises(NotIdentifiedError):
        fit_equations("f =~ g + p", data)
    with pytest.raises(InputError, match="stands in no regression"):
        bootstrap_effects("p ~ v", data, [("q", "p")], np.random.default_rng(1))


def test_without_semopy_the_remedy_is_told(monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "semopy", None)
    with pytest.raises(MissingOptionalError, match=r"pip install 'cisgraph\[causal\]'"):
        fit_equations("p ~ v", lines(50, 8))


@pytest.mark.realdata
def test_lavaan_reference_fits(shared_data) -> None:
    pytest.importorskip("semopy")
    pytest.importorskip("rdata")
    from benchmarks.causal import check_equations

    found = check_equations(shared_data)
    democracy = found["political_democracy"]
    assert (democracy["parameters"], democracy["missing"]) == (33, 0)
    assert democracy["largest_difference"] < 5e-5
    assert all(value["equal"] for value in found["holzinger_swineford"].values())
