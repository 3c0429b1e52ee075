"""Do edges help to tell simulated yeast SNVs from observed ones? Task 1 of the graph model.

    python benchmarks/graph_variants.py --data ../shared/data --work /tmp/w/graph \
        --out benchmarks/results/graph_variants.json

SNVs are those of ``benchmarks.observed_variants``: observed in six *S. cerevisiae*
assemblies, and simulated ones with the same change, trinucleotide, consequence and 50 kb
window. Networks learn on twelve chromosomes, stop and are calibrated on XI and XIV, and are
judged on V and XV. All see the same evidence of a variant (``variant_effect.combined``,
without the language model, which saw the training chromosomes); the graph adds genes,
promoters, motifs, GO slim terms and 10 kb Hi-C bins. The strongest baseline without a graph
is the fitted prior, an additive model of that evidence, fitted on the same rows.

``audit`` lists what could carry the label into the graph and shows that it does not.
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
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.block_bootstrap import Blocks, Estimate
from benchmarks.combined import OUTGROUPS, as_table, make_workspace
from benchmarks.graph import (
    SEEDS,
    Runs,
    arms_of,
    compare,
    data_digest,
    run_command,
)
from benchmarks.machine import describe_machine
from benchmarks.observed_variants import NUCLEAR, RECIPE, WINDOW_BP, build
from data_registry.errors import PlatformError
from data_registry.recipes import read_recipe, register_source
from data_registry.store import open_store
from graph_builder.build import build_graph
from graph_builder.manifest import Manifest
from graph_builder.parameters import BuildParameters
from models.graph.attachment import Places, attach
from models.graph.baselines import (
    attributes,
    degree_features,
    joined_features,
    over_senders,
    propagated_score,
    relations,
    walk_features,
)
from models.graph.features import Scales, VariantColumns
from models.graph.network import NEAR, NetworkSettings
from models.graph.structure import Graph, graph_of
from models.graph.tasks import VariantTask
from models.graph.training import TrainingSettings
from models.hetero import load_hetero
from variant_effect.combined import (
    KINDS,
    Evidence,
    auroc,
    calibrate,
    calibration_error,
    fit_additive,
    reliability,
)
from variant_effect.preparation import prepare
from variant_effect.prior_training import read_sample

TEST, VALIDATION = ("chrV", "chrXV"), ("chrXI", "chrXIV")
TYPES = ("gene", "cre", "tf", "contact_bin", "pathway")
CLOSED = ("pathway", "tf")
PAIRS = 15_000
"""Pairs of an observed and a simulated SNV to learn from, drawn at random."""
VALIDATION_PAIRS = 6_000
DRAWS = 1_000
SEED = 20_261_127
NETWORK = NetworkSettings(width=16, heads=2)
TRAINING = TrainingSettings(
    epochs=10, batch_size=2_048, learning_rate=6e-3, patience=4, fan_out=3
)
LABEL_FREE = ("genome", "annotation", "intervals", "motifs", "contacts", "gene_sets")

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Setting:
    """The task, ready to learn."""

    frame: pd.DataFrame
    learn: Flags
    check: Flags
    test: Flags
    graph: Graph
    task: VariantTask
    vocabulary: dict[str, list[str]]
    features: list[str]


def make_graph(data: Path, folder: Path, kinds: tuple[str, ...]) -> Manifest:
    """Register the layers of some kinds and build a graph with 10 kb bins."""
    recipe = read_recipe(RECIPE, data)
    with open_store(folder, write=True) as store:
        for source in recipe.sources:
            if source.kind in kinds:
                outcome = register_source(store, recipe, source)
                if outcome.error:
                    raise PlatformError(outcome.error)
    with open_store(folder) as store:
        return build_graph(
            store.connection, store.genome(), folder / "graph",
            parameters=BuildParameters(contact_bin_bp=10_000),
        )  # fmt: skip


def make_evidence(data: Path, work: Path) -> pd.DataFrame:
    """Draw the SNVs and gather the evidence on them, once."""
    kept = work / "evidence.parquet"
    if kept.is_file():
        return pd.read_parquet(kept)
    make_workspace(data, work / "prior", OUTGROUPS)
    frame = build(data, work, NUCLEAR).frame
    frame = frame[(frame["pair"] >= 0) & frame["kind"].isin(["observed", "matched"])]
    rng = np.random.default_rng(SEED)
    contig_of = frame.groupby("pair")["contig"].first()
    chosen = []
    for contigs, most in ((None, PAIRS), (VALIDATION, VALIDATION_PAIRS), (TEST, None)):
        inside = (
            ~contig_of.isin([*TEST, *VALIDATION])
            if contigs is None
            else contig_of.isin(contigs)
        )
        pairs = contig_of.index[inside].to_numpy()
        n = len(pairs) if most is None else min(most, len(pairs))
        chosen.append(rng.choice(pairs, n, replace=False))
    frame = frame[frame["pair"].isin(np.concatenate(chosen))].reset_index(drop=True)
    with open_store(work / "prior") as store:
        prepared = prepare(store)
    found = read_sample(as_table(frame), prepared).frame()
    found["pair"] = frame["pair"].to_numpy()
    found.to_parquet(kept)
    return found


def make_setting(frame: pd.DataFrame, graph_folder: Path) -> Setting:
    """Attach the SNVs to the graph; everything is scaled by the training chromosomes."""
    data = load_hetero(graph_folder)
    vocabulary = {name: sorted(data[name].identifier) for name in CLOSED}
    graph = graph_of(data, TYPES, vocabulary=vocabulary)
    test = frame["contig"].isin(TEST).to_numpy()
    check = frame["contig"].isin(VALIDATION).to_numpy()
    learn = ~test & ~check
    keys = {"contig", "start", "end", "label", "pair"}
    features = [name for name in frame if name not in keys]
    columns = VariantColumns.of(frame[learn], features)
    queries = attach(
        Places.read(graph_folder), frame["contig"].to_numpy(object),
        frame["start"].to_numpy(np.int64), frame["end"].to_numpy(np.int64),
        columns.nodes(frame),
    )  # fmt: skip
    held = {*TEST, *VALIDATION}
    teach = {
        name: torch.tensor([contig not in held for contig in data[name].contig])
        for name in ("gene", "cre", "contact_bin")
    }
    rows = torch.from_numpy(np.flatnonzero(learn))
    scales = Scales.of(graph, teach, queries.take(rows))
    queries = scales.queries(queries)
    unknown = torch.full((len(queries.edges[NEAR]),), torch.nan)
    label = torch.from_numpy(frame["label"].to_numpy()).float()
    task = VariantTask(
        "variant", queries, label, unknown, unknown, rows,
        torch.from_numpy(np.flatnonzero(check)),
    )  # fmt: skip
    return Setting(
        frame, learn, check, test, scales.graph(graph), task, vocabulary, features
    )


def evidence_of(frame: pd.DataFrame, features: list[str]) -> Evidence:
    """Return the table as the fitted prior reads it."""
    numeric = {n for n in features if pd.api.types.is_numeric_dtype(frame[n])}
    return Evidence(
        {n: frame[n].to_numpy(object) for n in features if n not in numeric},
        {n: frame[n].to_numpy(float) for n in numeric},
    )


def tabular(setting: Setting, tell: Callable[[str], None]) -> dict[str, list[NDArray[np.float64]]]:  # fmt: skip
    """Return the scores of all that sees no edge, by name and seed, of all rows."""
    frame, task, graph = setting.frame, setting.task, setting.graph
    learn, check = setting.learn, setting.check
    y = frame["label"].to_numpy() == 1
    evidence = evidence_of(frame, setting.features)
    own = attributes(task.queries.nodes.x, task.queries.nodes.known)
    joined = joined_features(graph, task.queries)
    degree = over_senders(task.queries, degree_features(graph))
    walk = over_senders(task.queries, walk_features(graph, np.random.default_rng(SEED)))
    prior = fit_additive(evidence.take(learn), y[learn])
    found = {
        "fitted_prior": [prior.log_odds(evidence)],
        "label_propagation": [
            propagated_score(graph, task.queries, y.astype(float), learn)
        ],
    }
    tables = {
        "variant": own,
        "joined": joined,
        "joined_degree_walk": np.column_stack([joined, degree, walk]),
        "degree_walk_alone": np.column_stack([degree, walk]),
    }
    for name, table in tables.items():
        boosted, networks = [], []
        x = table[:, np.isfinite(table[learn]).any(axis=0)]
        filled = np.nan_to_num(x)
        centre, spread = filled[learn].mean(0), filled[learn].std(0) + 1e-6
        for seed in SEEDS:
            model = HistGradientBoostingClassifier(
                learning_rate=0.05, max_iter=400, max_leaf_nodes=15,
                early_stopping=True, random_state=seed,
            ).fit(x[learn], y[learn], X_val=x[check], y_val=y[check])  # fmt: skip
            boosted.append(model.decision_function(x))
            scaled = np.clip((filled - centre) / spread, -8, 8)
            mlp = MLPClassifier(
                (64,), alpha=1e-3, batch_size=512, learning_rate_init=2e-3,
                early_stopping=True, max_iter=15, n_iter_no_change=3, random_state=seed,
            ).fit(scaled[learn], y[learn])  # fmt: skip
            p = mlp.predict_proba(scaled)[:, 1].clip(1e-6, 1 - 1e-6)
            networks.append(np.log(p / (1 - p)))
        found[f"boosting_{name}"], found[f"mlp_{name}"] = boosted, networks
        tell(f"boosting and MLP, {name}: {x.shape[1]} columns")
    return found


def audit(
    setting: Setting, manifest: Manifest, data: Path, work: Path
) -> list[dict[str, Any]]:
    """List what could carry the label, and what shows that it does not."""
    used = [*TYPES, *(n for n in relations(setting.graph))]
    with_panels = make_graph(
        data, work / "graph_with_panels", (*LABEL_FREE, "variants")
    )
    differ = [
        name for name in used
        if manifest.types[name].digest != with_panels.types[name].digest
    ]  # fmt: skip
    frame = setting.frame
    shared = set(frame.loc[setting.learn, "contig"]) & set(
        frame.loc[setting.test, "contig"]
    )
    pairs = frame.loc[setting.test].groupby("pair")["label"].agg(["sum", "size"])
    forbidden = {"panel_max_af", "ac", "an", "af", "frequency", "kind", "gwas"}
    senders = {key[0] for key in setting.task.queries.edges}
    checks: list[tuple[str, str, bool]] = [
        ("genotype panels (observed alleles, their frequency and number a gene)",
         "the graph is built without them; built with them, every used table is the same "
         f"({len(used)} digests compared, {len(differ)} differ)", not differ),
        ("variant nodes of the graph (their being there is the label)",
         "no variant node or edge is loaded; variants only receive",
         "variant" not in setting.graph.nodes and "variant" not in senders),
        ("other variants to be scored (their density is the label)",
         "variants send nothing, so no variant hears of another", "variant" not in senders),
        ("frequencies and associations in the evidence",
         f"none of the {len(setting.features)} columns read is one",
         not forbidden & set(setting.features)),
        ("language model (trained on the training chromosomes)",
         "not registered: its columns are empty",
         bool(frame[[n for n in frame if n.startswith("lm_")]].isna().all().all())),
        ("chromosomes shared by learning and testing", f"{len(shared)} shared", not shared),
        ("mutation spectrum, consequence, region",
         "each tested observed SNV has one simulated partner of the same stratum",
         bool(((pairs["sum"] == 1) & (pairs["size"] == 2)).all())),
    ]  # fmt: skip
    return [
        {"source": source, "proof": proof, "holds": bool(holds)}
        for source, proof, holds in checks
    ]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the result ready for JSON."""
    started, begin = datetime.now(UTC), time.perf_counter()
    data, work = arguments.data, arguments.work
    torch.set_num_threads(1)

    def tell(what: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {what}", flush=True)

    tell("graph without panels")
    manifest = make_graph(data, work / "graph", LABEL_FREE)
    tell("SNVs and evidence")
    frame = make_evidence(data, work)
    setting = make_setting(frame, manifest.path)
    test, y = setting.test, frame["label"].to_numpy() == 1
    tell(
        f"{setting.learn.sum():,} SNVs to learn, {setting.check.sum():,} to stop, {test.sum():,} to judge"
    )
    checks = audit(setting, manifest, data, work)
    tell(f"audit: {[c['source'] for c in checks if not c['holds']] or 'all hold'}")
    task, graph = setting.task, setting.graph
    digest = data_digest(
        task.queries.nodes.x.numpy(), y, np.array(manifest.digest, dtype="S64")
    )
    deadline = begin + 60 * arguments.minutes
    runs = Runs(work / "runs", digest, tell, deadline)
    scores = {
        name: [each[test] for each in some]
        for name, some in runs.keep("tabular", lambda: tabular(setting, tell)).items()
    }
    arms = arms_of(graph, task.queries, NETWORK, TRAINING)
    arms.insert(2, replace(arms[0], name="graph_permuted_labels", permuted=True))
    rows = torch.from_numpy(np.flatnonzero(test))
    checked = torch.from_numpy(np.flatnonzero(setting.check))
    both = torch.cat([rows, checked])
    calibration: dict[str, list[NDArray[np.float64]]] = {}
    for arm, seed in runs.plan(arms):
        said = runs.predict(arm, graph, [task], setting.vocabulary, both, seed)[:, 0]
        scores.setdefault(arm.name, []).append(said[: len(rows)])
        calibration.setdefault(arm.name, []).append(said[len(rows) :])
    tell(f"measuring; not fitted: {runs.unfinished or 'none'}")
    result = measure(setting, scores, calibration)
    return {
        "what": "observed against matched simulated yeast SNVs, with and without a graph",
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "test": list(TEST), "validation": list(VALIDATION),
        "learned": int(setting.learn.sum()), "tested": int(test.sum()),
        "graph_nodes": {name: len(nodes) for name, nodes in graph.nodes.items()},
        "graph_edges": {n: sum(len(graph.edges[k]) for k in keys) for n, keys in relations(graph).items()},
        "edges_into_variants": {"__".join(k): len(e) for k, e in task.queries.edges.items()},
        "seeds": list(SEEDS),
        "unfinished": runs.unfinished,
        "audit": checks,
        **result,
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip


def measure(
    setting: Setting,
    scores: dict[str, list[NDArray[np.float64]]],
    calibration: dict[str, list[NDArray[np.float64]]],
) -> dict[str, Any]:
    """Return AUROCs, their paired differences, strata and calibration."""
    frame, test = setting.frame, setting.test
    y = frame["label"].to_numpy() == 1
    _, code = np.unique(frame["contig"].to_numpy(str), return_inverse=True)
    block = (code * 100_000 + frame["start"].to_numpy() // WINDOW_BP)[test]
    blocks = Blocks.of(block, DRAWS, np.random.default_rng(SEED))
    index = blocks.index(block)

    def estimate(score: NDArray[np.float64], rows: Flags | None = None) -> Estimate:
        if rows is None:
            rows = np.ones(len(score), bool)
        return blocks.auroc(score[rows], y[test][rows], index[rows])

    offset, slope = calibrate(np.mean(calibration["graph"], axis=0), y[setting.check])
    held = np.mean(scores["graph"], axis=0)
    probability = 1 / (1 + np.exp(-(offset + slope * held)))
    bins = reliability(probability, y[test])
    strata = {
        kind: frame[f"markov_llr_{kind}"].notna().to_numpy()[test] for kind in KINDS
    }
    strata["reference_is_ancestral"] = (
        (frame["outgroups_with_alt"] == "none")
        & (frame["outgroups_with_third_base"] == 0)
    ).to_numpy()[test]
    shown = ("graph", "graph_no_edges", "fitted_prior", "boosting_joined")
    return {
        "auroc": compare(scores, estimate, lambda s: auroc(s, y[test])),
        "strata": {
            name: {
                "n": int(rows.sum()),
                **compare(
                    {one: scores[one] for one in shown},
                    lambda score, rows=rows: estimate(score, rows),
                    lambda score, rows=rows: auroc(score[rows], y[test][rows]),
                ),
            }
            for name, rows in strata.items()
        },
        "calibration": {
            "error": round(calibration_error(bins), 4),
            "offset": round(offset, 4), "slope": round(slope, 4),
            "bins": [{k: round(v, 4) for k, v in row.items()} for row in bins],
        },
    }  # fmt: skip


def main() -> int:
    """Run the benchmark named on the command line."""
    return run_command(
        __doc__,
        run,
        lambda found: {"": found["auroc"]},
    )


if __name__ == "__main__":
    sys.exit(main())
