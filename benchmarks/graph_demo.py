"""Do edges help to find planted causal SNVs and their target genes? Task 4 of the graph model.

    python benchmarks/graph_demo.py --work /tmp/w/demo --out benchmarks/results/graph_demo.json

Ten demo organisms (``data_registry.demo``, SIMULATED, one seed each): six to learn from,
one to stop by, three to judge. The truth of an organism is never registered; that of the
first seven is the label, that of the last three is read to judge alone. Nothing of an
organism's identity is learned (no closed types), so all is inductive: new genome, new
genes, new graph. Contact bins are left out to save time: the contact of a gene and an element
stands on the edge between them.

SNVs alone take part; planted indels are counted as left out. A causal SNV is one that acts
on a gene by the simulator's rules, whether or not a trait hangs on it.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from cyvcf2 import VCF
from numpy.typing import NDArray
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.block_bootstrap import Blocks, Estimate
from benchmarks.graph import (
    SEEDS,
    Runs,
    arms_of,
    compare,
    data_digest,
    run_command,
)
from benchmarks.machine import describe_machine
from data_registry.demo import build_demo
from data_registry.store import open_store
from graph_builder.build import build_graph
from graph_builder.manifest import current_graph
from graph_builder.parameters import BuildParameters
from models.graph.attachment import Places, attach
from models.graph.baselines import (
    attributes,
    degree_features,
    joined_features,
    over_senders,
    propagated_score,
    walk_features,
)
from models.graph.features import Scales, VariantColumns
from models.graph.network import (
    NEAR,
    GraphTransformer,
    NetworkSettings,
    Queries,
    States,
)
from models.graph.structure import Edges, Graph, Nodes, graph_of, union
from models.graph.tasks import VariantTask
from models.graph.training import CausalSettings, TrainingSettings
from models.hetero import load_hetero
from variant_effect.combined import auroc
from variant_effect.preparation import prepare
from variant_effect.prior_training import read_sample

N_LEARN, N_CHECK, N_TEST = 6, 1, 3
OTHERS = 1_500
"""SNVs without effect that are drawn of each organism to learn from or stop by; of those
to judge all are taken."""
TYPES = ("gene", "cre", "tf", "pathway")
LEAVE_OUT = ("gene__associated_with__phenotype",)
CAUSES = (
    "tf__binds__cre", "tf__motif_in__cre", "cre__back_linked_to__gene",
    "tf__regulates__gene", "gene__regulates__gene", "gene__back_encoded_by__tf",
)  # fmt: skip
"""Edge types along which the simulator's causes act."""
NETWORK = NetworkSettings(width=16, heads=2, closed=())
TRAINING = TrainingSettings(
    epochs=10, batch_size=1_024, learning_rate=1e-2, patience=4, fan_out=4
)
SEED = 20_261_128
BLOCK_BP = 50_000
DRAWS = 1_000
TOPS = (25, 50, 100, 200)

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Organism:
    """One simulated organism: its graph, its SNVs and the truth of them."""

    graph: Graph
    places: Places
    frame: pd.DataFrame
    left_out: int


def make_organism(work: Path, number: int, tell: Callable[[str], None]) -> Organism:
    """Simulate, register, build the graph and gather the evidence; kept under ``work``."""
    folder = work / f"organism{number}"
    kept = folder / "evidence.parquet"
    files = build_demo(folder / "files", seed=SEED + number)
    workspace = folder / "workspace"
    if not kept.is_file():
        with open_store(workspace, write=True) as store:
            for file in files.files:
                store.add(
                    file.path, kind=file.kind, name=file.name, options=file.options,
                    licence="simulated by cisgraph",
                )  # fmt: skip
        with open_store(workspace) as store:
            build_graph(
                store.connection, store.genome(), workspace / "graph",
                parameters=BuildParameters(max_panel_variants=0),
            )  # fmt: skip
            prepared = prepare(store)
        frame, n_left_out = label_snvs(files.vcf, files.truth)
        table = frame[["contig", "start", "ref", "alt"]].assign(
            simulated=frame["label"] > 0
        )
        sample = read_sample(table, prepared)
        found = sample.frame().assign(
            by_hand=sample.by_hand, target_gene=frame["target_gene"].to_numpy(),
            effect=frame["effect"].to_numpy(), mechanism=frame["mechanism"].to_numpy(),
        )  # fmt: skip
        found.attrs = {}
        found.to_parquet(kept)
        (folder / "left_out").write_text(str(n_left_out))
        tell(
            f"organism {number}: {len(found):,} SNVs, {int(found['label'].sum())} causal"
        )
    graph_folder = current_graph(workspace / "graph")
    assert graph_folder is not None  # noqa: S101
    graph = graph_of(load_hetero(graph_folder), TYPES, leave_out=LEAVE_OUT)
    return Organism(
        graph, Places.read(graph_folder), pd.read_parquet(kept),
        int((folder / "left_out").read_text()),
    )  # fmt: skip


def label_snvs(vcf: Path, truth: Path) -> tuple[pd.DataFrame, int]:
    """Return all SNVs of a VCF with what they do, and the planted alleles that are none.

    Returns
    -------
    tuple
        ``contig``, ``start`` (0-based), ``ref``, ``alt``, ``label``, ``target_gene`` (None
        without effect), ``effect`` (log2 activity a copy), ``mechanism``; sorted.
    """
    rows = [
        (v.CHROM, v.POS - 1, v.REF, alt)
        for v in VCF(str(vcf)) for alt in v.ALT
        if v.REF in "ACGT" and alt in ("A", "C", "G", "T") and len(v.REF) == 1
    ]  # fmt: skip
    keys = ["contig", "start", "ref", "alt"]
    frame = pd.DataFrame(rows, columns=keys).drop_duplicates(keys)
    known = pd.read_csv(truth, sep="\t", comment="#").rename(
        columns={"chrom": "contig"}
    )
    known["start"] = known["pos"] - 1
    # an allele has a row for each trait it acts on, always the same gene
    known = known.sort_values("activity_log2", key=abs, ascending=False)
    known = known.drop_duplicates(keys)
    is_snv = (known["ref"].str.len() == 1) & (known["alt"].str.len() == 1)
    joined = frame.merge(
        known[[*keys, "target_gene", "activity_log2", "mechanism"]], how="left", on=keys
    )
    joined["label"] = joined["target_gene"].notna().astype(float)
    joined = joined.rename(columns={"activity_log2": "effect"}).sort_values(keys)
    return joined.reset_index(drop=True), int((~is_snv).sum())


@dataclass(frozen=True, slots=True)
class Setting:
    """All organisms side by side."""

    frame: pd.DataFrame
    graph: Graph
    task: VariantTask
    test: Flags
    features: list[str]


def make_setting(organisms: list[Organism]) -> Setting:
    """Join organisms; everything is scaled by those learned from."""
    rng = np.random.default_rng(SEED)
    frames = []
    for number, each in enumerate(organisms):
        frame = each.frame.assign(organism=number)
        if number < N_LEARN + N_CHECK:
            idle = np.flatnonzero(frame["label"] == 0)
            some = rng.choice(idle, min(OTHERS, len(idle)), replace=False)
            rows = np.sort(np.r_[np.flatnonzero(frame["label"] > 0), some])
            frame = frame.iloc[rows]
        frames.append(frame)
    frame = pd.concat(frames, ignore_index=True)
    learn = (frame["organism"] < N_LEARN).to_numpy()
    test = (frame["organism"] >= N_LEARN + N_CHECK).to_numpy()
    keys = {
        "contig", "start", "end", "label", "by_hand", "target_gene", "effect",
        "mechanism", "organism",
    }  # fmt: skip
    features = [str(name) for name in frame if name not in keys]
    columns = VariantColumns.of(frame[learn], features)
    graph, offsets = union([each.graph for each in organisms])
    parts = []
    for number, each in enumerate(organisms):
        mine = frame[frame["organism"] == number]
        parts.append(
            attach(
                each.places,
                mine["contig"].to_numpy(object),
                mine["start"].to_numpy(np.int64),
                mine["end"].to_numpy(np.int64),
                columns.nodes(mine),
            )
        )
    queries = join_queries(parts, offsets)
    teach = {
        name: torch.arange(len(nodes)) < offsets[N_LEARN][name]
        for name, nodes in graph.nodes.items()
    }
    rows = torch.from_numpy(np.flatnonzero(learn))
    scales = Scales.of(graph, teach, queries.take(rows))
    queries = scales.queries(queries)
    pairs = queries.edges[NEAR]
    place = [
        {name: i + at["gene"] for i, name in enumerate(each.graph.names["gene"])}
        for each, at in zip(organisms, offsets, strict=True)
    ]
    target = torch.tensor([
        -1 if gene is None or gene != gene else place[organism].get(gene, -1)
        for organism, gene in zip(frame["organism"], frame["target_gene"], strict=True)
    ])  # fmt: skip
    is_pair = pairs.source == target[pairs.target]
    effect = torch.from_numpy(frame["effect"].to_numpy(np.float32))[pairs.target]
    task = VariantTask(
        "variant", queries, torch.from_numpy(frame["label"].to_numpy(np.float32)),
        is_pair.float(), torch.where(is_pair, effect, torch.nan), rows,
        torch.from_numpy(np.flatnonzero(~learn & ~test)),
    )  # fmt: skip
    return Setting(frame, scales.graph(graph), task, test, features)


def join_queries(parts: list[Queries], offsets: list[dict[str, int]]) -> Queries:
    """Put the variants of several graphs side by side, with edges from their nodes."""
    first = np.cumsum([0, *(len(p) for p in parts)])
    nodes = Nodes(*(
        torch.cat([getattr(p.nodes, name) for p in parts]) for name in ("x", "known", "member")
    ))  # fmt: skip
    edges = {}
    for key in parts[0].edges:
        if key[0] not in offsets[0]:
            continue
        held = [p.edges[key] for p in parts]
        edges[key] = Edges.of(
            torch.cat([e.source + at[key[0]] for e, at in zip(held, offsets, strict=True)]),
            torch.cat([e.target + int(n) for e, n in zip(held, first[:-1], strict=True)]),
            int(first[-1]), torch.cat([e.x for e in held]), torch.cat([e.known for e in held]),
        )  # fmt: skip
    return Queries(nodes, edges)


def ask_pairs(
    task: VariantTask, network: GraphTransformer, states: States, rows: Tensor
) -> Reals:
    """Return logits of variants, then of all their pairs (NaN where there are none)."""
    logits = task.predict(network, states, rows)[:, 0]
    if NEAR not in task.queries.edges:
        return logits
    pairs = _of_pairs("pair_logit", task, network, states, rows)
    return np.concatenate([logits, pairs])


def ask_effects(
    task: VariantTask, network: GraphTransformer, states: States, rows: Tensor
) -> Reals:
    """Return the signed effect of all pairs of some variants."""
    return _of_pairs("pair_effect", task, network, states, rows)


def _of_pairs(
    part: str,
    task: VariantTask,
    network: GraphTransformer,
    states: States,
    rows: Tensor,
) -> Reals:
    """Return a part of the answers on all pairs of some variants."""
    said = [
        getattr(network.judge(task.name, states, task.queries.take(some)), part)
        for some in torch.split(rows, 8_192)
    ]
    found: Reals = torch.cat(said).double().numpy()
    return found


def tabular(setting: Setting) -> dict[str, list[Reals]]:
    """Return scores of variants that see no edge, by name and seed."""
    frame, task, graph = setting.frame, setting.task, setting.graph
    learn, check = task.train.numpy(), task.validation.numpy()
    y = frame["label"].to_numpy() > 0
    learned = np.zeros(len(y), bool)
    learned[learn] = True
    tables = {
        "variant": attributes(task.queries.nodes.x, task.queries.nodes.known),
        "joined": joined_features(graph, task.queries),
    }
    degree = over_senders(task.queries, degree_features(graph))
    walk = over_senders(task.queries, walk_features(graph, np.random.default_rng(SEED)))
    tables["joined_degree_walk"] = np.column_stack([tables["joined"], degree, walk])
    scores: dict[str, list[Reals]] = {
        "hand_set_prior": [frame["by_hand"].to_numpy()],
        "label_propagation": [
            propagated_score(graph, task.queries, y.astype(float), learned)
        ],
    }
    for name, table in tables.items():
        x = table[:, np.isfinite(table[learn]).any(axis=0)]
        boosted, networks = [], []
        filled = np.nan_to_num(x)
        centre, spread = filled[learn].mean(0), filled[learn].std(0) + 1e-6
        scaled = np.clip((filled - centre) / spread, -8, 8)
        for seed in SEEDS:
            model = HistGradientBoostingClassifier(
                learning_rate=0.05, max_iter=300, max_leaf_nodes=15, early_stopping=True,
                random_state=seed,
            ).fit(x[learn], y[learn], X_val=x[check], y_val=y[check])  # fmt: skip
            boosted.append(model.decision_function(x))
            mlp = MLPClassifier(
                (64,), alpha=1e-3, batch_size=256, early_stopping=True, max_iter=20,
                n_iter_no_change=5, random_state=seed,
            ).fit(scaled[learn], y[learn])  # fmt: skip
            p = mlp.predict_proba(scaled)[:, 1].clip(1e-9, 1 - 1e-9)
            networks.append(np.log(p / (1 - p)))
        scores[f"boosting_{name}"], scores[f"mlp_{name}"] = boosted, networks
    return scores


def pair_table(setting: Setting) -> tuple[Reals, NDArray[np.bool_]]:
    """Return attributes of each pair's variant, place and gene, and which pairs teach."""
    task, graph = setting.task, setting.graph
    own = attributes(task.queries.nodes.x, task.queries.nodes.known)
    pairs = task.queries.edges[NEAR]
    gene, variant = pairs.source.numpy(), pairs.target.numpy()
    table = np.column_stack([
        own[variant], attributes(pairs.x, pairs.known),
        attributes(graph.nodes["gene"].x, graph.nodes["gene"].known)[gene],
    ])  # fmt: skip
    learn = np.isin(variant, task.train.numpy())
    return table[:, np.isfinite(table[learn]).any(axis=0)], learn


def pair_baselines(setting: Setting) -> dict[str, list[Reals]]:
    """Return scores of variant-gene pairs that see no edge of the graph."""
    pairs = setting.task.queries.edges[NEAR]
    x = attributes(pairs.x, pairs.known)
    outside, link = x[:, 1], np.nan_to_num(x[:, 3], nan=-9.0)
    start = -np.abs(pairs.x[:, 0].numpy() - float(pairs.x[:, 0].median()))
    table, learn = pair_table(setting)
    y = setting.task.pair_label.numpy() > 0.5
    boosted = [
        HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=200, max_leaf_nodes=15, random_state=seed
        ).fit(table[learn], y[learn]).decision_function(table)
        for seed in SEEDS
    ]  # fmt: skip
    return {
        "inside_or_nearest_gene": [-outside * 1e3 + 1e-3 * start],
        "inside_or_strongest_link": [np.where(outside <= outside.min(), 1e3, link)],
        "boosting_pairs": boosted,
    }


def effect_baselines(setting: Setting) -> dict[str, list[Reals]]:
    """Return signed effects of pairs that see no edge, learned from causal pairs alone."""
    table, learn = pair_table(setting)
    effect = setting.task.pair_effect.numpy().astype(float)
    learn &= np.isfinite(effect)
    table = table[:, np.isfinite(table[learn]).any(axis=0)]
    filled = np.nan_to_num(table)
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9)))
    ridge.fit(filled[learn], effect[learn])
    return {
        "mean_effect": [np.full(len(effect), effect[learn].mean())],
        "ridge_pairs": [ridge.predict(filled)],
        "boosting_pairs": [
            HistGradientBoostingRegressor(
                learning_rate=0.05, max_iter=200, max_leaf_nodes=15, random_state=seed
            ).fit(table[learn], effect[learn]).predict(table)
            for seed in SEEDS
        ],
    }  # fmt: skip


def target_accuracy(setting: Setting, score: Reals, rows: NDArray[np.int64]) -> Reals:
    """Return whether the highest pair of each variant is the true gene, ``(rows,)``."""
    pairs = setting.task.queries.edges[NEAR]
    owner = pairs.target.numpy()
    order = np.lexsort((-np.arange(len(score)), score))
    best = np.full(len(setting.frame), -1)
    best[owner[order]] = order
    hit = np.zeros(len(setting.frame))
    has = best >= 0
    hit[has] = setting.task.pair_label.numpy()[best[has]] > 0.5
    return hit[rows]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the result ready for JSON."""
    started, begin = datetime.now(UTC), time.perf_counter()
    torch.set_num_threads(1)

    def tell(what: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {what}", flush=True)

    organisms = [
        make_organism(arguments.work, i, tell)
        for i in range(N_LEARN + N_CHECK + N_TEST)
    ]
    setting = make_setting(organisms)
    frame, task, graph = setting.frame, setting.task, setting.graph
    y = frame["label"].to_numpy() > 0
    test = np.flatnonzero(setting.test)
    causal = test[y[test]]
    tell(
        f"{len(task.train):,} SNVs to learn, {len(test):,} to judge ({len(causal)} causal)"
    )
    digest = data_digest(task.queries.nodes.x.numpy(), y)
    deadline = begin + 60 * arguments.minutes
    runs = Runs(arguments.work / "runs", digest, tell, deadline)
    scores = runs.keep("tabular", lambda: tabular(setting))
    pair_scores = runs.keep("pairs", lambda: pair_baselines(setting))
    tell("baselines")
    arms = arms_of(graph, task.queries, NETWORK, TRAINING)
    causes = tuple(n for n in CAUSES if tuple(n.split("__")) in graph.edges)
    for name, weight, only in (("graph_causal_penalty", 0.1, False), ("graph_causal_only", 0.0, True)):  # fmt: skip
        causal_settings = CausalSettings(causes, weight, only)
        arms.append(
            replace(
                arms[0], name=name, training=replace(TRAINING, causal=causal_settings)
            )
        )
    rows = torch.from_numpy(test)
    place = np.full(len(task.pair_label), np.nan)
    of_test = task.pairs_of(rows).numpy()
    for arm, seed in runs.plan(arms):
        said = runs.predict(arm, graph, [task], {}, rows, seed, ask_pairs)
        full = np.full(len(frame), np.nan)
        full[test] = said[: len(test)]
        scores.setdefault(arm.name, []).append(full)
        if len(said) > len(test):
            pairs = place.copy()
            pairs[of_test] = said[len(test) :]
            pair_scores.setdefault(arm.name, []).append(pairs)
    effects = runs.keep("effects", lambda: effect_baselines(setting))
    again = replace(runs, folder=arguments.work / "runs_effects")
    whole, none, shuffled = arms[:3]
    near = tuple(key for key in none.without if key != NEAR)
    alone = replace(whole, name="graph_candidates_only", without=near)
    for arm, seed in again.plan([whole, alone, shuffled]):
        said = again.predict(arm, graph, [task], {}, rows, seed, ask_effects)
        full = place.copy()
        full[of_test] = said
        effects.setdefault(arm.name, []).append(full)
    tell(f"measuring; not fitted: {runs.unfinished or 'none'}")
    result = measure(setting, scores, pair_scores, test, causal)
    result["signed_effect"] = measure_effects(setting, effects)
    return {
        "what": "planted causal SNVs and their target genes, SIMULATED demo organisms",
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "organisms": {"learn": N_LEARN, "validation": N_CHECK, "test": N_TEST},
        "learned": len(task.train), "tested": len(test), "causal_tested": len(causal),
        "planted_indels_left_out": sum(o.left_out for o in organisms),
        "causal_without_true_gene_among_candidates": int(
            len(causal) - target_candidates(setting, causal)
        ),
        "audit": audit(setting, arguments.work),
        "seeds": list(SEEDS), "unfinished": runs.unfinished,
        **result,
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip


def target_candidates(setting: Setting, rows: NDArray[np.int64]) -> int:
    """Return how many variants have their true gene among the candidates."""
    owner = setting.task.queries.edges[NEAR].target.numpy()
    has = np.bincount(owner, setting.task.pair_label.numpy(), len(setting.frame)) > 0
    return int(has[rows].sum())


def audit(setting: Setting, work: Path) -> list[dict[str, Any]]:
    """List what could carry the label, and what shows that it does not."""
    registered: list[str] = []
    for folder in sorted(work.glob("organism*")):
        with open_store(folder / "workspace") as store:
            registered += [s.name for s in store.sources() if "truth" in s.path or "decoy" in s.path]  # fmt: skip
    evidence = set(setting.features)
    checks = [
        ("truth and decoys", f"{len(registered)} registered in any workspace", not registered),
        ("GWAS of the lines", "phenotypes, associations and variant nodes are not loaded",
         not {"phenotype", "variant"} & set(setting.graph.nodes)),
        ("frequencies, associations", "none among the columns read",
         not {"panel_max_af", "gwas", "ac", "an"} & evidence),
        ("tested organisms while learning", "no node, edge or SNV of them is in the scales "
         "or the loss", bool((setting.frame["organism"].to_numpy()[setting.task.train.numpy()]
                              < N_LEARN).all())),
    ]  # fmt: skip
    return [{"source": s, "proof": p, "holds": bool(h)} for s, p, h in checks]


def block_of(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return the number of each variant's block of ``BLOCK_BP``, organisms apart."""
    _, contig = np.unique(
        frame["organism"].astype(str) + frame["contig"].astype(str), return_inverse=True
    )
    found: NDArray[np.int64] = contig * 100_000 + frame["start"].to_numpy() // BLOCK_BP
    return found


def measure(
    setting: Setting, scores: dict[str, list[Reals]], pair_scores: dict[str, list[Reals]],
    test: NDArray[np.int64], causal: NDArray[np.int64],
) -> dict[str, Any]:  # fmt: skip
    """Return AUROC, recall at the top, and accuracy of the target gene."""
    frame = setting.frame
    y = frame["label"].to_numpy() > 0
    block = block_of(frame)
    blocks = Blocks.of(block[test], DRAWS, np.random.default_rng(SEED))
    index = blocks.index(block[test])
    mean = {
        name: np.mean([s[test] for s in each], axis=0) for name, each in scores.items()
    }
    organism = frame["organism"].to_numpy()[test]
    rng = np.random.default_rng(SEED)
    noise = rng.random(len(test))

    def recall(score: Reals, top: int) -> float:
        hits = 0
        for one in np.unique(organism):
            mine = np.flatnonzero(organism == one)
            order = mine[np.lexsort((noise[mine], -score[mine]))][:top]
            hits += int(y[test][order].sum())
        return hits / len(np.unique(organism))

    where = np.searchsorted(blocks.names, block[causal])
    x = setting.task.queries.edges[NEAR]
    inside = np.zeros(len(frame), bool)
    inside[x.target[x.x[:, 2] > 0].numpy()] = True
    groups = {"all": np.ones(len(causal), bool), "outside_genes": ~inside[causal]}
    targets = {}
    for group, rows in groups.items():
        right = {
            name: [target_accuracy(setting, s, causal[rows]) for s in some]
            for name, some in pair_scores.items()
        }
        targets[group] = {
            "n": int(rows.sum()),
            **compare(
                right,
                lambda s, rows=rows: blocks.mean(s, where[rows]),
                lambda s: float(s.mean()),
            ),
        }
    return {
        "auroc": compare(
            {name: [s[test] for s in each] for name, each in scores.items()},
            lambda s: blocks.auroc(s, y[test], index),
            lambda s: auroc(s, y[test]),
        ),
        "causal_in_top_per_organism": {
            name: {str(top): recall(score, top) for top in TOPS}
            for name, score in mean.items()
        },
        "target_gene_right": targets,
        "by_mechanism": {
            str(name): {
                "n": int((rows := frame["mechanism"].to_numpy()[causal] == name).sum()),
                **{
                    arm: auroc(
                        np.r_[mean[arm][y[test]][rows], mean[arm][~y[test]]],
                        np.r_[np.ones(rows.sum(), bool), np.zeros((~y[test]).sum(), bool)],
                    )
                    for arm in ("graph", "graph_no_edges", "boosting_joined", "hand_set_prior")
                },
            }
            for name in sorted(set(frame["mechanism"].to_numpy()[causal]))
        },
    }  # fmt: skip


def measure_effects(
    setting: Setting, effects: dict[str, list[Reals]]
) -> dict[str, Any]:
    """Return R² and how often the sign is right, on causal SNVs with their true genes."""
    frame, task = setting.frame, setting.task
    owner = task.queries.edges[NEAR].target.numpy()
    truth = task.pair_effect.numpy().astype(float)
    pairs = np.flatnonzero(np.isfinite(truth) & setting.test[owner])
    truth = truth[pairs]
    block = block_of(frame)[owner[pairs]]
    blocks = Blocks.of(block, DRAWS, np.random.default_rng(SEED))
    index = blocks.index(block)
    spread = blocks.mean((truth - truth.mean()) ** 2, index)

    def r2(said: Reals) -> Estimate:
        error = blocks.mean((said - truth) ** 2, index)
        return Estimate(1 - error.value / spread.value, 1 - error.draws / spread.draws)

    def sign(said: Reals) -> Estimate:
        return blocks.mean((np.sign(said) == np.sign(truth)).astype(float), index)

    found = {name: [each[pairs] for each in some] for name, some in effects.items()}
    return {
        "unit": "log2 activity a copy", "pairs": len(pairs),
        "r2": compare(found, r2, lambda s: r2(s).value),
        "sign_right": compare(found, sign, lambda s: sign(s).value),
    }  # fmt: skip


def main() -> int:
    """Run the benchmark named on the command line."""
    return run_command(
        __doc__,
        run,
        lambda found: {
            "AUROC": found["auroc"],
            "R2": found["signed_effect"]["r2"],
        },
        data=False,
    )


if __name__ == "__main__":
    sys.exit(main())
