"""The graph model as a scorer: the common laws, what it says, and what it leaves alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("torch_geometric")
pytest.importorskip("safetensors")

import torch

from data_registry.store import open_store
from graph_builder.build import build_graph
from graph_builder.manifest import current_graph
from models.graph.ensemble import load_ensemble, save_ensemble
from models.graph.network import NEAR
from models.graph.preparation import prepare as prepare_graph
from models.graph.settings import settings_from
from models.graph.training import GraphModel
from tests.contracts import check_scorer
from tests.organisms import LENGTHS, base, make_workspace, other, snv
from tests.variant_effect.conftest import records_of, score_lines, vcf_text
from tests.variant_effect.test_scorers import LINES
from variant_effect.card import explain_variant
from variant_effect.preparation import Prepared, prepare
from variant_effect.prior_training import read_sample
from variant_effect.run import Choices, Engine
from variant_effect.trained_models import add_model, read_model

SETTINGS = {
    "name": "tiny_graph",
    "seeds": [0, 1],
    "types": ["gene", "cre", "tf"],
    "tasks": [{"kind": "variants"}],
    "split": {"validation": ["chr2"]},
    "network": {"width": 8, "heads": 2, "slots": 2, "closed": ["tf"]},
    "training": {"epochs": 2, "batch_size": 64},
}


@dataclass(frozen=True)
class Made:
    workspace: Path
    prepared: Prepared
    before: Prepared
    frame: pd.DataFrame


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The tiny organism with a graph, and a graph model learned from random SNVs."""
    folder = tmp_path_factory.mktemp("scored")
    workspace = make_workspace(folder, layers=True)
    with open_store(workspace) as store:
        build_graph(store.connection, store.genome(), workspace / "graph")
        before = prepare(store)
    rng = np.random.default_rng(0)
    rows = [
        (contig, place, base(contig, place + 1), other(base(contig, place + 1)))
        for contig, n in (("chr1", 300), ("chr2", 80))
        for place in sorted(
            rng.choice(LENGTHS[contig] - 1_000, n, replace=False).tolist()
        )
        if base(contig, place + 1) in "ACGT"
    ]
    table = pd.DataFrame(rows, columns=["contig", "start", "ref", "alt"])
    table["simulated"] = rng.random(len(table)) < 0.5
    frame = read_sample(table, before).frame()
    settings = settings_from(SETTINGS)
    graph = current_graph(workspace / "graph")
    assert graph is not None
    ready = prepare_graph(settings, graph, variants=frame)
    models = [
        GraphModel(settings.network, settings.training).fit(
            ready.graph, ready.tasks, ready.vocabulary, seed=seed
        )
        for seed in settings.seeds
    ]
    save_ensemble(folder / "model", settings, models, ready, {})
    added, what = add_model(str(folder / "model"), workspace)
    assert (added.kind, added.name) == ("graph", "tiny_graph")
    assert "2 networks" in what
    with open_store(workspace) as store:
        return Made(workspace, prepare(store), before, frame)


@pytest.fixture(scope="module")
def engine(made: Made) -> Iterator[Engine]:
    engine = Engine.open(made.prepared, Choices())
    with engine.connection:
        yield engine


def scorer_of(engine: Engine):
    return next(s for s in engine.scorers if s.name == "graph")


def test_it_keeps_the_laws_of_scorers(engine: Engine) -> None:
    assert scorer_of(engine).missing == ""
    check_scorer(engine, scorer_of(engine), LINES)


def test_scoring_says_what_the_model_says_of_the_same_evidence(
    made: Made, engine: Engine
) -> None:
    some = made.frame.iloc[::40].reset_index(drop=True)
    records = [
        snv(c, s + 1) for c, s in zip(some["contig"], some["start"], strict=True)
    ]
    scored = score_lines(engine, records_of(vcf_text(records)))
    graph = current_graph(made.workspace / "graph")
    assert graph is not None
    opened = load_ensemble(made.workspace / "models" / "graph").open(graph)
    expected = opened.score(opened.attach(some))
    np.testing.assert_allclose(
        scored["graph_effect"].to_numpy(float), expected.probability, rtol=1e-5
    )
    names = [
        opened.graph.names["gene"][g] if g >= 0 and ok else None
        for g, ok in zip(expected.gene, expected.supported, strict=True)
    ]
    assert (
        scored["graph_gene"].where(scored["graph_gene"].notna(), None).tolist() == names
    )
    assert scored["graph_confidence"].dropna().between(0, 1).all()
    assert scored["graph_effect_size"].isna().all()  # no effect was ever taught


def test_signed_effects_are_reported_by_a_model_that_learned_them(
    made: Made, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = scorer_of(engine).model.get()
    taught = replace(opened, ensemble=replace(opened.ensemble, learned_effects=True))
    monkeypatch.setattr(scorer_of(engine).model, "opened", taught)
    some = made.frame.iloc[::40].reset_index(drop=True)
    records = [
        snv(c, s + 1) for c, s in zip(some["contig"], some["start"], strict=True)
    ]
    scored = score_lines(engine, records_of(vcf_text(records)))
    queries = taught.attach(some)
    expected = np.full(len(some), np.nan)
    scores = taught.score(queries)
    pairs = queries.edges[NEAR]
    with torch.inference_mode():
        sizes = [
            network.judge("variants", states, queries).pair_effect.numpy()
            for network, states in zip(taught.networks, taught.states, strict=True)
        ]
    for i, gene in enumerate(scores.gene):
        if gene >= 0 and scores.supported[i]:
            at = ((pairs.target == i) & (pairs.source == gene)).nonzero()[0, 0]
            expected[i] = np.mean([one[at] for one in sizes])
    assert np.isfinite(expected).any()
    np.testing.assert_allclose(
        scored["graph_effect_size"].to_numpy(float), expected, rtol=1e-5
    )


@pytest.fixture(scope="module")
def answered(engine: Engine) -> tuple[str, int, str, str]:
    """An SNV in gene gA that resembles those learned from."""
    records = [snv("chr1", p) for p in range(2600, 2690)]
    scored = score_lines(engine, records_of(vcf_text(records)))
    return records[int(np.flatnonzero(scored["graph_effect"].notna())[0])]


def test_indels_get_no_answer(engine: Engine, answered) -> None:
    records = [("chr1", 12_019, "ACA", "A"), answered]
    scored = score_lines(engine, records_of(vcf_text(records)))
    assert scored["graph_effect"].isna().tolist() == [True, False]
    assert scored["graph_gene"].isna().tolist()[0]


def test_the_prior_score_does_not_read_it(made: Made, engine: Engine) -> None:
    records = records_of(vcf_text([snv("chr1", p) for p in (2101, 5003, 6250)]))
    with_model = score_lines(engine, records)
    bare = Engine.open(made.before, Choices())
    with bare.connection:
        assert with_model["prior_score"].tolist() == score_lines(bare, records)["prior_score"].tolist()  # fmt: skip


def test_the_card_gives_paths_with_what_each_edge_is_worth(
    made: Made, answered
) -> None:
    with open_store(made.workspace) as store:
        card = explain_variant(":".join(map(str, answered)), store, made.prepared)
    said = [s for s in card.statements if s.section == "graph path"]
    assert said
    assert all("log-odds" in s.text and "networks agree" in s.text for s in said)
    assert all("tiny_graph" in s.source for s in said)
    assert any("gene gA" in s.text for s in said)


def test_a_model_without_a_graph_says_so(made: Made, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, layers=False)
    add_model(str(made.workspace / "models" / "graph"), workspace)
    with open_store(workspace) as store:
        prepared = prepare(store)
    engine = Engine.open(prepared, Choices())
    with engine.connection:
        assert "cisgraph build" in scorer_of(engine).missing
        scored = score_lines(engine, records_of(vcf_text([snv("chr1", 2101)])))
    assert scored["graph_effect"].isna().all()


def test_forms_are_told_apart(made: Made) -> None:
    assert read_model(made.workspace / "models" / "graph").kind == "graph"
