"""Training: what edges carry is learned, runs resume, and a model comes back as written."""

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")
pytest.importorskip("safetensors")

from typer.testing import CliRunner  # noqa: E402

from data_registry.errors import InputError, MalformedFileError  # noqa: E402
from data_registry.store import open_store  # noqa: E402
from graph_builder.build import build_graph  # noqa: E402
from graph_builder.manifest import Manifest, read_manifest  # noqa: E402
from models import predict, train  # noqa: E402
from models.graph.ensemble import calibrate, calibrated, load_ensemble  # noqa: E402
from models.graph.network import NEAR, NetworkSettings, Queries  # noqa: E402
from models.graph.paths import strongest_paths  # noqa: E402
from models.graph.predictions import predict_heads  # noqa: E402
from models.graph.preparation import prepare  # noqa: E402
from models.graph.settings import settings_from  # noqa: E402
from models.graph.structure import Edges, Graph, Nodes  # noqa: E402
from models.graph.tasks import LinkTask, NodeTask, VariantTask  # noqa: E402
from models.graph.training import (  # noqa: E402
    CausalSettings,
    GraphModel,
    TrainingSettings,
    causal_penalty,
)
from models.hetero import load_hetero  # noqa: E402
from tests.oracles.elsewhere import ELSEWHERE, Device  # noqa: E402
from tests.organisms import LENGTHS, make_workspace  # noqa: E402
from variant_effect.trained_models import add_model  # noqa: E402

MEMBER = ("pathway", "back_member_of", "gene")
NETWORK = NetworkSettings(
    width=8, heads=2, slots=2, dropout=0.0, edge_dropout=0.0, closed=()
)
TRAINING = TrainingSettings(
    epochs=20, batch_size=100, learning_rate=2e-2, patience=20, fan_out=4
)


def planted(n: int = 300):
    """Variants whose label is an attribute of the pathway of their gene, two edges away."""
    g = torch.Generator().manual_seed(0)
    n_genes = n
    pathway = torch.randint(8, (n_genes,), generator=g)
    marked = (torch.arange(8) % 2).float()

    def nodes(x):
        return Nodes(x, torch.ones_like(x).bool(), torch.full((len(x),), -1))

    empty = torch.zeros(n_genes, 0)
    graph = Graph(
        {"gene": nodes(torch.randn(n_genes, 1, generator=g)), "pathway": nodes(marked[:, None])},
        {MEMBER: Edges.of(pathway, torch.arange(n_genes), n_genes, empty, empty.bool())},
        {"gene": [f"g{i}" for i in range(n_genes)], "pathway": [f"p{i}" for i in range(8)]},
    )  # fmt: skip
    one = torch.zeros(n, 4)
    pairs = Edges.of(
        torch.arange(n), torch.arange(n), n, one, torch.ones_like(one).bool()
    )
    queries = Queries(nodes(torch.randn(n, 2, generator=g)), {NEAR: pairs})
    unknown = torch.full((n,), torch.nan)
    order = torch.randperm(n, generator=g)
    task = VariantTask(
        "variants",
        queries,
        marked[pathway],
        unknown,
        unknown,
        order[:150],
        order[150:200],
    )
    return graph, task, order[200:]


def right(model, graph, task, rows):
    with torch.inference_mode():
        logit = task.predict(model.network, model.states(graph), rows)[:, 0]
    return float(((logit > 0) == (task.label[rows] > 0.5).numpy()).mean())


def test_what_only_edges_carry_is_learned_and_lost_without_them():
    graph, task, rows = planted()
    model = GraphModel(NETWORK, TRAINING).fit(graph, [task])
    assert right(model, graph, task, rows) > 0.95
    bare = graph.without([MEMBER])
    blind = GraphModel(NETWORK, replace(TRAINING, epochs=8)).fit(bare, [task])
    assert right(blind, bare, task, rows) < 0.7


def test_training_on_samples_learns_the_same_rule():
    graph, task, rows = planted()
    settings = replace(TRAINING, sampled=True, epochs=15)
    model = GraphModel(NETWORK, settings).fit(graph, [task])
    assert right(model, graph, task, rows) > 0.9


class Killed(Exception):  # noqa: N818
    pass


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.network.parameters()])


def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    graph, task, _ = planted(200)
    settings = replace(TRAINING, epochs=4)
    straight = GraphModel(NETWORK, settings).fit(graph, [task], seed=3)

    def kill(done, _note):
        if done == 2:
            raise Killed

    first = GraphModel(NETWORK, settings, tmp_path)
    with pytest.raises(Killed):
        first.fit(graph, [task], seed=3, report=kill)
    seen = []
    resumed = GraphModel(NETWORK, settings, tmp_path)
    resumed.fit(graph, [task], seed=3, report=lambda done, _: seen.append(done))
    assert seen == [3, 4]
    assert torch.equal(weights(resumed), weights(straight))
    other = GraphModel(NETWORK, settings, tmp_path)
    with pytest.raises(InputError, match="other settings or data"):
        other.fit(graph, [task], seed=4)
    flipped = replace(task, label=1 - task.label)
    again = GraphModel(NETWORK, settings, tmp_path)
    with pytest.raises(InputError, match="other settings or data"):
        again.fit(graph, [flipped], seed=3)


def test_the_causal_penalty_moves_attention_and_the_constraint_removes_the_rest():
    graph, task, _ = planted(200)
    n = len(graph.nodes["gene"])
    empty = torch.zeros(n, 0)
    other = ("gene", "physical", "gene")
    turned = Edges.of(torch.arange(n).roll(1), torch.arange(n), n, empty, empty.bool())
    graph = replace(graph, edges={**graph.edges, other: turned})
    causes = ("__".join(MEMBER),)

    def share(**causal):
        settings = replace(TRAINING, epochs=6, causal=CausalSettings(causes, **causal))
        model = GraphModel(NETWORK, settings).fit(graph, [task])
        return float(causal_penalty(model.states(graph), causes))

    assert share(weight=3.0) < 0.5 * share()
    assert share(only=True) == 0
    strange = replace(TRAINING, causal=CausalSettings(("a__b__c",)))
    with pytest.raises(InputError, match="none of this graph's"):
        GraphModel(NETWORK, strange).fit(graph, [task])


def with_all_heads():
    """Return a graph, a task of each kind that asks for the same mark, and rows to judge."""
    graph, task, rows = planted()
    marked = graph.nodes["pathway"].x[:, 0]
    edges = graph.edges[MEMBER]
    member = torch.zeros(len(graph.nodes["gene"]), dtype=torch.long)
    member[edges.target] = edges.source
    mine = marked[member][:, None]
    number = NodeTask("number", "gene", mine, task.train, task.validation)
    kind = NodeTask("kind", "gene", mine, task.train, task.validation, 2)
    left = torch.arange(len(member))
    right_ = left.roll(1)
    same = (marked[member[left]] == marked[member[right_]]).float()
    link = LinkTask(
        "link", ("gene", "gene"), left, right_, torch.zeros(len(left), 0), same,
        task.train, task.validation,
    )  # fmt: skip
    return graph, [task, number, kind, link], rows


def test_several_tasks_at_once():
    graph, tasks, rows = with_all_heads()
    settings = replace(TRAINING, epochs=25)
    model = GraphModel(NETWORK, settings).fit(graph, tasks)
    with torch.inference_mode():
        states = model.states(graph)
        said = {t.name: t.predict(model.network, states, rows) for t in tasks}
    truth = tasks[1].target[rows, 0].numpy() > 0.5
    assert ((said["number"][:, 0] > 0.5) == truth).mean() > 0.9
    assert (said["kind"].argmax(1) == truth).mean() > 0.9
    same = tasks[3].target[rows].numpy() > 0.5
    assert ((said["link"][:, 0] > 0) == same).mean() > 0.8


@pytest.fixture
def device(monkeypatch):
    """A stand-in for an accelerator; wrapped tensors know nothing of inference mode."""
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    torch.__future__.set_swap_module_params_on_conversion(True)
    with Device():
        yield ELSEWHERE
    torch.__future__.set_swap_module_params_on_conversion(False)


def test_the_stand_in_device_refuses_what_a_gpu_refuses(device):
    there = torch.arange(3.0).to(device)
    assert (there + 1).device == device
    assert (there + 1).cpu().tolist() == [1, 2, 3]
    with pytest.raises(RuntimeError, match="beside one elsewhere"):
        there + torch.ones(3)
    with pytest.raises(RuntimeError):
        there.numpy()


@pytest.mark.parametrize("sampled", [False, True])
def test_another_device_learns_the_same(device, sampled, tmp_path):
    graph, tasks, _ = with_all_heads()
    causal = CausalSettings(("__".join(MEMBER),), weight=0.1)
    settings = replace(TRAINING, epochs=2, sampled=sampled, causal=causal)
    network = replace(NETWORK, edge_dropout=0.3)
    here = GraphModel(network, settings, device=torch.device("cpu")).fit(graph, tasks)
    part = GraphModel(network, settings, tmp_path, device=device)

    def stop(done, _note):
        if done == 1:
            raise Killed

    with pytest.raises(Killed):
        part.fit(graph, tasks, report=stop)
    there = GraphModel(network, settings, tmp_path, device=device).fit(graph, tasks)
    assert torch.equal(weights(here), weights(there))
    assert weights(there).device.type == "cpu"


def test_calibration_by_hand():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=20_000)
    label = rng.random(20_000) < calibrated(logits, (0.5, 2.0))
    offset, slope = calibrate(logits, label)
    assert offset == pytest.approx(0.5, abs=0.06)
    assert slope == pytest.approx(2.0, abs=0.1)
    assert calibrate(logits, ~label)[1] == 0  # it never turns a score round


# -- the command, on the tiny organism ---------------------------------------------------

CONFIG = """
name = "toy"
seeds = [0, 1]
types = ["gene", "cre", "tf"]
[[tasks]]
kind = "variants"
[[tasks]]
kind = "elements"
weight = 0.1
[split]
validation = ["chr2"]
[network]
width = 8
heads = 2
slots = 2
closed = ["tf"]
[training]
epochs = 2
batch_size = 64
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A workspace with a graph, a table of variants, and a model trained on both."""
    folder = tmp_path_factory.mktemp("graph_model")
    workspace = make_workspace(folder, layers=True)
    with open_store(workspace) as store:
        build_graph(store.connection, store.genome(), workspace / "graph")
    rng = np.random.default_rng(0)
    n = 400
    contig = rng.choice(["chr1", "chr2"], n)
    start = np.array([int(rng.integers(0, LENGTHS[c] - 1)) for c in contig])
    table = pd.DataFrame({
        "contig": contig, "start": start, "end": start + 1,
        "label": (start % 3 == 0).astype(float),
        "score": np.where(start % 3 == 0, 1.0, -1.0) + rng.normal(size=n),
        "term": rng.choice(["missense", "synonymous"], n),
        "target_gene": np.where(start % 3 == 0, "gA", None),
        "effect": -0.5,
    })  # fmt: skip
    table.to_parquet(folder / "variants.parquet")
    (folder / "config.toml").write_text(CONFIG)
    run(folder, workspace)
    return folder, workspace, table


def run(folder, workspace, out="model", config="config.toml"):
    done = CliRunner().invoke(train.app, [
        "graph", "--config", str(folder / config), "--out", str(folder / out),
        "-w", str(workspace), "--variants", str(folder / "variants.parquet"),
        "--threads", "1",
    ], catch_exceptions=True)  # fmt: skip
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def newest(workspace):
    graph = workspace / "graph"
    return graph / (graph / "CURRENT").read_text().strip()


def test_a_model_comes_back_and_scores_new_variants(tiny):
    folder, workspace, table = tiny
    opened = load_ensemble(folder / "model").open(newest(workspace))
    some = table.drop(columns="label").head(50)
    queries = opened.attach(some)
    scores = opened.score(queries)
    held = scores.supported
    assert held.mean() > 0.9
    assert ((scores.probability[held] > 0) & (scores.probability[held] < 1)).all()
    assert np.isnan(scores.probability[~held]).all()
    names = opened.graph.names["gene"]
    near = [set() for _ in range(len(some))]
    pairs = queries.edges[NEAR]
    for gene, variant in zip(pairs.source.tolist(), pairs.target.tolist(), strict=True):
        near[variant].add(gene)
    assert all(
        g in near[i] if g >= 0 else not near[i] for i, g in enumerate(scores.gene)
    )
    assert {"gA", "gB"} & {names[g] for g in scores.gene if g >= 0}
    assert np.isfinite(scores.effect[scores.gene >= 0]).all()
    alone = opened.score(queries.take(torch.tensor([7])))
    assert alone.logits[:, 0] == pytest.approx(scores.logits[:, 7], abs=1e-12)


def test_far_from_what_was_learned_there_is_no_answer(tiny):
    folder, workspace, table = tiny
    opened = load_ensemble(folder / "model").open(newest(workspace))
    strange = table.head(1).assign(score=1e6, term="never")
    scores = opened.score(opened.attach(strange))
    assert not scores.supported[0]
    assert np.isnan(scores.probability[0])


def test_paths_say_what_each_edge_is_worth(tiny):
    folder, workspace, table = tiny
    opened = load_ensemble(folder / "model").open(newest(workspace))
    rows = table.assign(contig="chr1", start=2100, end=2101).head(1)
    queries = opened.attach(rows)
    paths = strongest_paths(opened, queries, most=20)
    assert paths
    slope = opened.ensemble.calibration[1]
    whole = slope * opened.score(queries).logits[:, 0]
    first = next(
        p for p in paths if len(p.steps) == 1 and p.steps[0].node.type == "gene"
    )
    pairs = queries.edges[NEAR]
    kept = torch.nonzero(pairs.source != first.steps[0].node.row)[:, 0]
    fewer = Queries(queries.nodes, {**queries.edges, NEAR: pairs.take(kept)})
    without = slope * opened.score(fewer).logits[:, 0]
    assert first.steps[0].contribution == pytest.approx(float((whole - without).mean()))
    assert first.steps[0].spread == pytest.approx(float((whole - without).std()))
    assert [p.strength for p in paths] == sorted(
        (p.strength for p in paths), reverse=True
    )


def test_taking_an_edge_beyond_away_equals_encoding_the_graph_without_it(tiny):
    folder, workspace, table = tiny
    ensemble = load_ensemble(folder / "model")
    opened = ensemble.open(newest(workspace))
    queries = opened.attach(table.assign(contig="chr1", start=2100, end=2101).head(1))
    path = next(
        p for p in strongest_paths(opened, queries, most=30) if len(p.steps) == 2
    )
    near, beyond = (step.node for step in path.steps)
    slope = ensemble.calibration[1]
    whole = slope * opened.score(queries).logits[:, 0]
    found = []
    for key, edges in opened.graph.edges.items():
        hit = (edges.source == beyond.row) & (edges.target == near.row)
        if (key[0], key[2]) != (beyond.type, near.type) or not hit.any():
            continue
        for row in torch.nonzero(hit)[:, 0].tolist():
            kept = torch.nonzero(torch.arange(len(edges)) != row)[:, 0]
            graph = replace(
                opened.graph, edges={**opened.graph.edges, key: edges.take(kept)}
            )
            with torch.inference_mode():
                lost = []
                for i, network in enumerate(ensemble.networks):
                    states = network.encode(graph, [
                        None if t is None else t.float() for t in opened.states[i].totals
                    ])  # fmt: skip
                    plain = Queries(
                        replace(queries.nodes, x=queries.nodes.x.float()),
                        {
                            k: replace(e, x=e.x.float())
                            for k, e in queries.edges.items()
                        },
                    )
                    logit = network.judge("variants", states, plain).logit[0]
                    lost.append(whole[i] - slope * float(logit))
            found.append(float(np.mean(lost)))
    assert any(abs(path.steps[1].contribution - value) < 1e-4 for value in found)


def test_activity_is_a_target_that_nothing_left_in_the_graph_tells(tiny, monkeypatch):
    _, workspace, table = tiny
    plain = Manifest.table

    def with_activity(self, name):  # the tiny organism's elements have no signal
        found = plain(self, name)
        if name != "cre":
            return found
        values = [None, *(float(i) for i in range(1, len(found)))]
        column = found.column_names.index("activity")
        return found.set_column(column, "activity", pa.array(values, pa.float64()))

    monkeypatch.setattr(Manifest, "table", with_activity)
    settings = settings_from(tomllib.loads(CONFIG.replace("elements", "activity")))
    manifest = read_manifest(newest(workspace))
    ready = prepare(settings, newest(workspace), variants=table)
    task = ready.tasks[1]
    given = np.log2(
        1 + manifest.table("cre")["activity"].to_numpy(zero_copy_only=False)
    )
    learn = given[(ready.part["cre"] == 0).numpy()]
    expected = (given - np.nanmean(learn)) / (np.nanstd(learn) or 1.0)
    assert task.target[:, 0].numpy() == pytest.approx(expected, nan_ok=True, abs=1e-5)
    data = load_hetero(newest(workspace))
    for name in ("activity", "n_samples"):
        assert (
            not ready.graph.nodes["cre"].known[:, data["cre"].x_names.index(name)].any()
        )
    names = data["gene", "linked_to", "cre"].edge_names
    for key in (("gene", "linked_to", "cre"), ("cre", "back_linked_to", "gene")):
        known = ready.graph.edges[key].known
        assert not known[:, [names.index("activity"), names.index("score")]].any()
        assert known[:, names.index("distance_bp")].all()


def test_what_was_hidden_while_learning_is_hidden_in_use(tiny):
    folder, workspace, _ = tiny
    opened = load_ensemble(folder / "model").open(newest(workspace))
    column = load_hetero(newest(workspace))["cre"].x_names.index("activity")
    assert not opened.graph.nodes["cre"].known[:, column].any()


def test_other_heads_predict_with_part_and_known_answer(tiny):
    folder, workspace, _ = tiny
    out = folder / "heads.tsv"
    done = CliRunner().invoke(predict.app, [
        "graph", "--model", str(folder / "model"), "-w", str(workspace),
        "--out", str(out), "--threads", "1",
    ], catch_exceptions=False)  # fmt: skip
    assert done.exit_code == 0
    table = pd.read_csv(out, sep="\t")
    cre = read_manifest(newest(workspace)).table("cre").to_pandas()
    classes = ["cre", "promoter", "enhancer", "peak", "dhs"]
    assert table["id"].tolist() == np.repeat(cre["identifier"], 5).tolist()
    assert table["output"].tolist() == classes * len(cre)
    told = table[table["target"] == 1].set_index("id")["output"]
    assert told.to_dict() == dict(zip(cre["identifier"], cre["class"], strict=True))
    parts = np.where(cre["contig"] == "chr2", "validation", "train")
    assert table["part"].tolist() == np.repeat(parts, 5).tolist()
    said = table["mean"].to_numpy().reshape(-1, 5)
    assert said.sum(axis=1) == pytest.approx(1, abs=1e-5)
    # by hand: the same networks straight from their checkpoints, before they were saved
    settings = settings_from(tomllib.loads(CONFIG))
    ready = prepare(settings, newest(workspace), variants=pd.read_parquet(folder / "variants.parquet"))  # fmt: skip
    each = []
    for seed in settings.seeds:
        model = GraphModel(settings.network, settings.training, folder / "model" / "runs" / f"seed{seed}")  # fmt: skip
        model.fit(ready.graph, ready.tasks, ready.vocabulary, seed=seed)
        with torch.inference_mode():
            logits = model.network.heads["elements"](model.states(ready.graph).last["cre"])  # fmt: skip
        each.append(torch.softmax(logits, 1).numpy())
    assert said == pytest.approx(np.mean(each, axis=0), abs=1e-4)
    assert table["sd"].to_numpy().reshape(-1, 5) == pytest.approx(np.std(each, axis=0), abs=1e-4)  # fmt: skip


def test_without_variants_a_model_predicts_in_its_own_unit_and_cannot_score(tiny):
    folder, workspace, _ = tiny
    task = 'kind = "expression"\ndataset = "tpm"'
    config = CONFIG.replace('kind = "variants"', task).replace(
        '[[tasks]]\nkind = "elements"\nweight = 0.1', ""
    )
    (folder / "genes.toml").write_text(config)
    run(folder, workspace, "genes", "genes.toml")
    said = predict_heads(folder / "genes", workspace)
    known = said[said["target"].notna()].set_index(["id", "output"])
    # log2(1 + TPM) of the table that was registered
    assert known["target"].to_dict() == pytest.approx({
        ("gA", "leaf"): np.log2(11), ("gA", "root"): np.log2(13), ("gB", "leaf"): 1.0,
        ("gB", "root"): np.log2(3), ("gD", "leaf"): np.log2(6), ("gD", "root"): np.log2(6),
    })  # fmt: skip
    prepared = prepare(settings_from(tomllib.loads(config)), newest(workspace), workspace=workspace)  # fmt: skip
    taught = known[known["part"] == "train"]
    by_sample = taught.groupby("output")["target"].mean()
    assert prepared.tasks[0].scale.mean.tolist() == pytest.approx(by_sample.tolist())
    with pytest.raises(InputError, match="no task of variants"):
        add_model(str(folder / "genes"), workspace)


def test_two_processes_train_the_same_networks_as_one(tiny):
    folder, workspace, _ = tiny
    done = subprocess.run([  # noqa: S603 - our own command
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", "2", "-m", "models.train",
        "graph", "--config", str(folder / "config.toml"), "--out", str(folder / "two"),
        "-w", str(workspace), "--variants", str(folder / "variants.parquet"),
        "--threads", "1",
    ], capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("model0.safetensors", "model1.safetensors"):
        one = (folder / "model" / name).read_bytes()
        assert (folder / "two" / name).read_bytes() == one


def test_broken_files_are_named(tiny, tmp_path):
    folder, _, _ = tiny
    for file in (folder / "model").glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    broken = tmp_path / "model1.safetensors"
    broken.write_bytes(broken.read_bytes()[:-4] + b"0000")
    with pytest.raises(MalformedFileError, match=r"model1.safetensors.*not the file"):
        load_ensemble(tmp_path)
    broken.unlink()
    with pytest.raises(MalformedFileError, match="is missing"):
        load_ensemble(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"form": "other"}))
    with pytest.raises(MalformedFileError, match="cisgraph graph model"):
        load_ensemble(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"types": ["gene", "variant"]}, "cannot take part"),
        ({"types": ["genes"]}, "no node type 'genes'"),
        ({"leave_out": ["gwas"]}, "no edge type 'gwas'"),
        ({"tasks": [{"kind": "links", "edge": "a"}]}, "no edge type 'a'"),
        ({"tasks": [{"kind": "words"}]}, "no kind of task"),
        ({"tasks": []}, "at least one"),
        ({"network": {"width": 30}}, "no multiple"),
        ({"network": {"wdith": 30}}, "'wdith' is unknown"),
    ],
)
def test_impossible_settings_are_refused(change, problem):
    content = {"name": "x", "tasks": [{"kind": "variants"}]} | change
    with pytest.raises(InputError, match=problem):
        settings_from(content)


def test_a_table_without_labels_and_a_split_without_contigs_are_refused(tiny):
    folder, workspace, table = tiny
    table.drop(columns="label").to_parquet(folder / "bare.parquet")
    done = CliRunner().invoke(train.app, [
        "graph", "--config", str(folder / "config.toml"), "--out", str(folder / "no"),
        "-w", str(workspace), "--variants", str(folder / "bare.parquet"),
    ])  # fmt: skip
    assert isinstance(done.exception, MalformedFileError)
    assert "no column label" in str(done.exception)
    (folder / "odd.toml").write_text(CONFIG.replace('"chr2"', '"chr7"'))
    with pytest.raises(InputError, match="no contig chr7"):
        run(folder, workspace, "odd", "odd.toml")
