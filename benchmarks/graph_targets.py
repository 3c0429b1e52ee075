"""Do edges help to predict which genes a factor binds? Task 3 of the graph model, *Arabidopsis*.

    python benchmarks/graph_targets.py --data ../shared/data --work /tmp/w/targets \
        --out benchmarks/results/graph_targets.json

A row is a factor and a protein-coding gene; it is positive where the factor-target table has
the edge by the experiment asked about, and negative where it has not: all genes of unseen
families, with no matching. Families are split as in ``graph_genes.py``.

**ChIP**: targets by ChIP-seq of 21 factors (ConnecTF). DAP-seq, another laboratory's
experiment on naked DNA, is an input: its edges are messages, of judged genes too.
**DAP**: targets by DAP-seq of the factors with a motif measured on protein binding
microarrays. Nothing made of DAP-seq is an input: no peak, no edge but those learned from, and
no motif of JASPAR, CIS-BP or Cistrome, for those were found in DAP-seq peaks.

Of the training genes half show their edges by the experiment asked about as messages while
networks learn the other half's; asked about judged genes, all training genes show theirs.
Judged genes never do. Factors hear of nothing but the gene that encodes them.

The share of genes that a factor binds carries nothing where figures are means over factors
(``within_factor``); ``within_gene`` asks which of the factors bind a gene, after each
factor's scores became ranks.
"""

import argparse
import gzip
import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from scipy.stats import rankdata, ttest_1samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.block_bootstrap import Blocks, Estimate
from benchmarks.graph import (
    SEEDS,
    Arm,
    Runs,
    arms_of,
    changed,
    compare,
    data_digest,
    run_command,
)
from benchmarks.graph_genes import (
    TEST,
    TRAIN,
    VALIDATION,
    Organism,
    Tables,
    gene_of_symbol,
    graph_of,
    neighbour_columns,
    read_organism,
    standardised,
)
from benchmarks.machine import describe_machine
from data_registry.errors import InputError
from encoders.nucleotides import encode
from models.graph.baselines import (
    attributes,
    degree_features,
    propagate,
    relations,
    walk_features,
)
from models.graph.network import (
    GraphTransformer,
    Layout,
    LinkHead,
    NetworkSettings,
    States,
)
from models.graph.structure import EdgeKey, Graph
from models.graph.tasks import NodeTask
from models.graph.training import TrainingSettings

EVIDENCE = {"CHIPSeq": "chip_binds", "DAPSeq": "dap_binds"}
"""Experiment to the relation made of it; edges of other evidence are left out."""
ASKED = {"chip": "CHIPSeq", "dap": "DAPSeq"}
PHYSICAL: EdgeKey = ("gene", "physical", "gene")
ENCODES: EdgeKey = ("gene", "encodes", "tf")
PBM = "arabidopsis/tf_binding/ArabidopsisPBM_2015-11-06.tf.gz"
MOST_FACTORS = 40
PSEUDOCOUNT = 0.01
BACKGROUND = np.array([0.32, 0.18, 0.18, 0.32])
"""Of A, C, G, T between genes of *Arabidopsis*."""
NEAR_BP = 3_000
NEAREST_FACTORS = 10
NETWORK = NetworkSettings(width=32, heads=4, blocks=2, slots=8)
TRAINING = TrainingSettings(
    epochs=8, batch_size=512, learning_rate=5e-3, patience=3, fan_out=16, sampled=True
)
"""Chosen by the loss on validation families, ChIP, one seed, among six tries; two with more
and smaller steps were better by up to .003 and two to four times slower."""
MORE_PERMUTED = (3, 4, 5, 6)
"""Further seeds of the network whose training labels are permuted."""
DRAWS = 200
SEED = 20_261_201

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTask(NodeTask):
    """Which factors bind a gene: a row is a gene, a column a factor.

    A gene is encoded once for all factors, so rows that are drawn together share it.

    Parameters
    ----------
    factors
        ``(outputs,)``: the factor's node of each column of ``target`` (1, 0 or NaN).
    pair
        ``(genes, outputs, attributes)`` of the pairs themselves, scaled.
    """

    factors: Tensor
    pair: Tensor

    def head(self, width: int, layout: Layout) -> nn.Module:  # noqa: ARG002
        """Make the head."""
        return LinkHead(width, self.pair.shape[2])

    def needs(self, rows: Tensor) -> Mapping[str, Tensor]:
        """Return the genes and all factors."""
        return {"gene": torch.unique(rows), "tf": self.factors}

    def loss(self, network: GraphTransformer, states: States, rows: Tensor) -> Tensor:
        """Cross entropy of the known pairs."""
        said, target = self._say(network, states, rows), self.target[rows]
        known = ~torch.isnan(target)
        return F.binary_cross_entropy_with_logits(said[known], target[known])

    def predict(self, network: GraphTransformer, states: States, rows: Tensor) -> Reals:
        """Return logits, ``(n, outputs)``."""
        parts = [self._say(network, states, some) for some in torch.split(rows, 1_024)]
        found: Reals = torch.cat(parts).double().numpy()
        return found

    def _say(self, network: GraphTransformer, states: States, rows: Tensor) -> Tensor:
        n, m = len(rows), len(self.factors)
        factor = states.last["tf"][self.factors].repeat(n, 1)
        gene = states.last["gene"][rows].repeat_interleave(m, 0)
        said: Tensor = network.heads[self.name](
            factor, gene, self.pair[rows].reshape(n * m, -1)
        )
        return said.reshape(n, m)


@dataclass(frozen=True, slots=True)
class Binding:
    """Which factors bind which genes by one experiment.

    Parameters
    ----------
    bound
        ``(genes, factors)``.
    """

    factors: list[str]
    bound: Flags


def read_binding(tables: Tables, genes: Sequence[str]) -> tuple[dict[str, Binding], dict[str, Any]]:  # fmt: skip
    """Return binding by evidence, and what was left out."""
    frame = tables.frame("arabidopsis/derived/tf_target_edges.tsv.xz")
    place = {gene: i for i, gene in enumerate(genes)}
    inside = frame["target"].isin(place)
    used = frame["type"].isin(list(EVIDENCE))
    counts = {
        "edges_by_evidence": frame["type"].value_counts().to_dict(),
        "edges_of_other_evidence_left_out": int((~used).sum()),
        "edges_to_other_genes_left_out": int((used & ~inside).sum()),
    }
    found = {}
    for evidence in EVIDENCE:
        mine = frame[inside & (frame["type"] == evidence)]
        factors = sorted(mine["tf"].unique())
        number = {tf: i for i, tf in enumerate(factors)}
        bound = np.zeros((len(genes), len(factors)), bool)
        bound[mine["target"].map(place), mine["tf"].map(number)] = True
        found[evidence] = Binding(factors, bound)
    return found, counts


def read_motifs(tables: Tables) -> dict[str, Reals]:
    """Return factor to the log odds of its first microarray motif, ``(width, 4)``.

    (Franco-Zorrilla et al. 2014, PNAS 111:2367: in vitro, with no genomic DNA.)
    """
    symbols = gene_of_symbol(
        tables.frame("arabidopsis/network/mapping.tsv.gz", header=None),
        tables.frame("arabidopsis/derived/gene_aliases_fullnames.tsv.gz"),
    )
    found: dict[str, Reals] = {}
    name, rows = "", []
    with gzip.open(tables.path(PBM), "rt", encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if words[0] == "DE":
                name, rows = words[1].upper(), []
            elif words[0].isdigit():
                rows.append([float(word) for word in words[1:5]])
            elif words[0] == "//":
                gene = symbols.get(name, name)
                share = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
                share = (share + PSEUDOCOUNT) / (1 + 4 * PSEUDOCOUNT)
                found.setdefault(gene, np.log(share / BACKGROUND))
    return found


def read_sequences(tables: Tables, genes: Sequence[str]) -> list[str | None]:
    """Return the sequence around each gene's start, None where there is none.

    512 bp around a mapped start, or else the 170 bp promoter of Jores et al.
    """
    wide = tables.frame(
        "arabidopsis/expression/At_5leaderP_tss_regression.csv.gz", ",",
        usecols=["Locus", "Seq"],
    )  # fmt: skip
    wide = wide.assign(gene=wide["Locus"].str[:9]).drop_duplicates("gene")
    folder = "benchmarks/promoters/jores2021"
    narrow = pd.concat([
        tables.frame(f"{folder}/{name}.tsv.gz", usecols=["sp", "gene", "sequence"])
        for name in ("six_conditions_long", "CNN_test_leaf", "CNN_test_proto")
    ])  # fmt: skip
    narrow = narrow[narrow["sp"] == "At"].drop_duplicates("gene")
    held = dict(zip(narrow["gene"], narrow["sequence"], strict=True))
    held |= dict(zip(wide["gene"], wide["Seq"], strict=True))
    return [held.get(gene) for gene in genes]


def motif_scores(motif: Reals, sequence: str) -> tuple[float, float]:
    """Return the best log odds of a motif, and the log of the mean odds.

    Over all places of both strands; places with N count as no match.
    """
    coded = encode(sequence)
    width = len(motif)
    if len(coded) < width:
        return np.nan, np.nan
    windows = np.lib.stride_tricks.sliding_window_view(coded, width)
    windows = windows[(windows < len(BACKGROUND)).all(axis=1)]
    if not len(windows):
        return np.nan, np.nan
    both = np.concatenate([
        each[np.arange(width), windows].sum(axis=1) for each in (motif, motif[::-1, ::-1])
    ])  # fmt: skip
    best = float(both.max())
    return best, best + float(np.log(np.exp(both - best).mean()))


def score_motifs(motif: Reals, sequences: Sequence[str | None]) -> Reals:
    """Return best and mean of each gene, ``(genes, 2)``, NaN without sequence."""
    unknown = np.nan, np.nan
    return np.array(
        [unknown if s is None else motif_scores(motif, s) for s in sequences]
    )


def surroundings(genes: pd.DataFrame) -> pd.DataFrame:
    """Return how far it is to the next gene before the start and after the end.

    Peaks are given to genes by distance, so genes with room around them get more.
    """
    found = np.full((len(genes), 2), np.nan)
    for _, mine in genes.groupby("chr"):
        start, end = mine["start"].to_numpy(), mine["end"].to_numpy()
        order = np.argsort(start, kind="stable")
        reach = np.maximum.accumulate(end[order])
        left = np.r_[np.nan, start[order][1:] - reach[:-1]]
        right = np.r_[start[order][1:] - reach[:-1], np.nan]
        forward = (mine["strand"] > 0).to_numpy()[order]
        at = mine.index.to_numpy()[order]
        found[at, 0] = np.where(forward, left, right)
        found[at, 1] = np.where(forward, right, left)
    return pd.DataFrame(
        np.log1p(np.maximum(found, 0)), columns=["room_upstream", "room_downstream"]
    )


def apart(genes: pd.DataFrame) -> Flags:
    """Return whether no training gene starts within ``NEAR_BP`` of a gene's start."""
    found = np.ones(len(genes), bool)
    for _, mine in genes.groupby("chr"):
        tss = mine["tss"].to_numpy()
        taught = np.sort(tss[(mine["part"] == TRAIN).to_numpy()])
        low = np.searchsorted(taught, tss - NEAR_BP)
        high = np.searchsorted(taught, tss + NEAR_BP, "right")
        own = (mine["part"] == TRAIN).to_numpy()
        found[mine.index] = high - low - own == 0
    return found


@dataclass(frozen=True, slots=True)
class Source:
    """All that settings are made of.

    Parameters
    ----------
    organism
        Its edges are of interactions and GO slim alone.
    motifs
        Factor to best and mean log odds of its motif around each gene's start,
        ``(genes, 2)``, NaN without sequence.
    """

    organism: Organism
    binding: dict[str, Binding]
    motifs: dict[str, Reals]
    counts: dict[str, Any]
    read: list[str]


def read_source(data: Path) -> Source:
    """Read everything."""
    organism = read_organism(data)
    tables = Tables(data)
    genes = organism.genes["gene_id"].tolist()
    binding, counts = read_binding(tables, genes)
    sequences = read_sequences(tables, genes)
    tested = {tf for each in binding.values() for tf in each.factors}
    motifs = {
        tf: score_motifs(motif, sequences)
        for tf, motif in read_motifs(tables).items() if tf in tested
    }  # fmt: skip
    features = pd.concat([organism.features, surroundings(organism.genes)], axis=1)
    edges = {k: e for k, e in organism.edges.items() if k[0] != "tf"}
    counts |= {k: v for k, v in organism.counts.items() if k == "ppi"}
    counts["genes_without_promoter_sequence"] = sum(s is None for s in sequences)
    organism = replace(organism, features=features, edges=edges)
    return Source(
        organism, binding, motifs, counts, sorted({*organism.read, *tables.read}),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """Targets by one experiment, ready to learn.

    Parameters
    ----------
    key
        The relation that holds the label.
    graph, tested
        What networks learn on, and what they are asked on: half of the training genes
        show their label there, all here.
    bound
        The label, ``(genes, factors)``.
    given
        Binding by the other experiment, ``(genes, its factors)``.
    motif
        Log mean odds, ``(genes, factors)``.
    table
        Features of genes, ``(genes, columns)``.
    rows
        Genes to learn (they show nothing), stop and judge.
    taught
        All training genes.
    """

    name: str
    key: EdgeKey
    factors: list[str]
    graph: Graph
    tested: Graph
    task: TargetTask
    bound: Flags
    given: Binding
    motif: Reals
    table: Reals
    rows: tuple[Numbers, Numbers, Numbers]
    taught: Numbers


def factors_of(source: Source, evidence: str) -> list[str]:
    """Return the factors that are asked about.

    All of ChIP-seq. Of DAP-seq those with a microarray motif, and others drawn by the hash
    of their name up to ``MOST_FACTORS``.
    """
    every = source.binding[evidence].factors
    if evidence == "CHIPSeq":
        return every

    def order(tf: str) -> tuple[bool, str]:
        return tf not in source.motifs, hashlib.sha256(tf.encode()).hexdigest()

    return sorted(sorted(every, key=order)[:MOST_FACTORS])


def make_setting(name: str, source: Source) -> Setting:
    """Make the setting of one experiment."""
    evidence = ASKED[name]
    other = next(e for e in EVIDENCE if e != evidence)
    asked, given = source.binding[evidence], source.binding[other]
    factors = factors_of(source, evidence)
    bound = asked.bound[:, [asked.factors.index(tf) for tf in factors]]
    genes = source.organism.genes
    part = genes["part"].to_numpy(np.int64)
    rng = np.random.default_rng(SEED)
    family = np.unique(genes["family"].to_numpy(str), return_inverse=True)[1]
    shows = (part == TRAIN) & (rng.random(family.max() + 1) < 0.5)[family]  # fmt: skip
    everyone = sorted({*factors, *given.factors})
    node = {tf: i for i, tf in enumerate(everyone)}
    key: EdgeKey = ("tf", EVIDENCE[evidence], "gene")

    def graph(shown: Flags) -> Graph:
        edges = dict(source.organism.edges)
        edges[key] = binding_edges(bound & shown[:, None], factors, node)
        edges["tf", EVIDENCE[other], "gene"] = binding_edges(
            given.bound, given.factors, node
        )
        edges[ENCODES] = encoding_edges(genes["gene_id"], everyone)
        names = {**source.organism.names, "tf": everyone}
        organism = replace(source.organism, edges=edges, names=names)
        return graph_of(organism, np.ones(organism.features.shape[1], bool))

    unknown = np.full((len(genes), 2), np.nan)
    scores = np.stack([source.motifs.get(tf, unknown) for tf in factors], axis=1)
    taught = np.flatnonzero(part == TRAIN)
    pair = pair_attributes(scores, taught)
    rows = (
        np.flatnonzero((part == TRAIN) & ~shows),
        np.flatnonzero(part == VALIDATION),
        np.flatnonzero(part == TEST),
    )
    task = TargetTask(
        name, "gene", torch.from_numpy(bound).float(),
        torch.from_numpy(rows[0]), torch.from_numpy(rows[1]),
        factors=torch.tensor([node[tf] for tf in factors]), pair=pair,
    )  # fmt: skip
    learned, tested = graph(shows), graph(part == TRAIN)
    own = attributes(learned.nodes["gene"].x, learned.nodes["gene"].known)
    seen = np.isfinite(scores).any(axis=(0, 2))
    return Setting(
        name, key, factors, learned, tested, task, bound, given, scores[:, :, 1],
        np.column_stack([own, *scores[:, seen].transpose(2, 0, 1)]), rows, taught,
    )  # fmt: skip


def binding_edges(bound: Flags, factors: Sequence[str], node: Mapping[str, int]) -> tuple[Numbers, Numbers]:  # fmt: skip
    """Return factor and gene of each edge, from ``bound``, ``(genes, factors)``."""
    gene, column = np.nonzero(bound)
    number = np.array([node[tf] for tf in factors], np.int64)
    return number[column], gene


def encoding_edges(genes: Iterable[str], factors: Sequence[str]) -> tuple[Numbers, Numbers]:  # fmt: skip
    """Return gene and factor of each edge from a gene to the factor that it encodes."""
    place = {gene: i for i, gene in enumerate(genes)}
    pairs = [(place[tf], i) for i, tf in enumerate(factors) if tf in place]
    encoded = np.array(pairs)
    return encoded[:, 0], encoded[:, 1]


def pair_attributes(scores: Reals, taught: Numbers) -> Tensor:
    """Return scores scaled by the genes learned from, 0 where missing, and a mark of that."""
    known = np.isfinite(scores)
    z = np.zeros_like(scores)
    for j in range(scores.shape[1]):
        mine = scores[taught, j]
        mine = mine[np.isfinite(mine).all(axis=1)]
        if len(mine):
            spread = np.maximum(mine.std(axis=0), 1e-6)
            z[:, j] = np.clip((scores[:, j] - mine.mean(axis=0)) / spread, -8, 8)
    both = np.concatenate([np.where(known, z, 0), known[:, :, :1]], axis=2)
    return torch.from_numpy(both).float()


def simple_scores(setting: Setting) -> dict[str, Reals]:
    """Return scores that little is fitted for, ``(genes, factors)`` by name."""
    shape = setting.bound.shape
    in_degree = setting.given.bound.sum(axis=1).astype(float)
    share = setting.bound[setting.taught].mean(axis=0)
    return {
        "in_degree": np.broadcast_to(in_degree[:, None], shape).copy(),
        "out_degree": np.broadcast_to(share, shape).copy(),
        "degree_product": in_degree[:, None] * share,
        "motif": filled(setting.motif, setting.taught),
        "nearest_factors": nearest_factors(setting),
        "label_propagation": propagated(setting),
    }  # fmt: skip


def filled(values: Reals, taught: Numbers) -> Reals:
    """Return columns with the training genes' median where missing; 0 where all is."""
    known = np.isfinite(values[taught]).any(axis=0)
    middle = np.zeros(values.shape[1])
    middle[known] = np.nanmedian(values[taught][:, known], axis=0)
    found: Reals = np.where(np.isfinite(values), values, middle)
    return found


def nearest_factors(setting: Setting) -> Reals:
    """Return the correlation-weighted binding by the most correlated factors given.

    A factor's targets by the experiment asked about are correlated, over training genes,
    with those of each factor by the other experiment.
    """
    given = setting.given.bound.astype(float)
    label = setting.bound[setting.taught].astype(float)
    centred = given[setting.taught] - given[setting.taught].mean(axis=0)
    away = label - label.mean(axis=0)
    norm = np.outer(np.linalg.norm(centred, axis=0), np.linalg.norm(away, axis=0))
    r = centred.T @ away / np.maximum(norm, 1e-9)
    least = -np.sort(-np.abs(r), axis=0)[min(NEAREST_FACTORS, len(r)) - 1]
    found: Reals = given @ np.where(np.abs(r) >= least, r, 0)
    return found


def propagated(setting: Setting) -> Reals:
    """Return each factor's training targets spread over interactions and GO terms."""
    bare = Graph(
        {n: x for n, x in setting.tested.nodes.items() if n != "tf"},
        {k: e for k, e in setting.tested.edges.items() if "tf" not in k},
    )
    found = np.zeros(setting.bound.shape)
    share = setting.bound[setting.taught].mean(axis=0)
    for j in range(found.shape[1]):
        start = np.zeros(len(found))
        start[setting.taught] = setting.bound[setting.taught, j] - share[j]
        found[:, j] = propagate(bare, {"gene": start}, steps=6)["gene"]
    return found


def neighbours_labels(setting: Setting) -> Reals:
    """Return how many of a gene's training interactors each factor binds, as a share.

    NaN where there are none. A gene does not interact with itself, so its own label is
    not among them.
    """
    edges = setting.tested.edges[PHYSICAL]
    source, target = edges.source.numpy(), edges.target.numpy()
    is_taught = np.zeros(len(setting.bound), bool)
    is_taught[setting.taught] = True
    kept = is_taught[source]
    step = sp.csr_array(
        (np.ones(int(kept.sum())), (target[kept], source[kept])),
        shape=(len(is_taught), len(is_taught)),
    )  # fmt: skip
    count = np.asarray(step.sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Reals = (step @ setting.bound.astype(float)) / count[:, None]
    return found


def designs_of(setting: Setting) -> dict[str, Reals]:
    """Return tables of genes by name; none holds a label of the gene itself."""
    bare = setting.tested.without([setting.key])
    degree = degree_features(bare)["gene"]
    walk = walk_features(bare, np.random.default_rng(SEED))["gene"]
    joined = [
        setting.table,
        degree,
        neighbour_columns(bare),
        neighbours_labels(setting),
    ]
    return {
        "features": setting.table,
        "features_degree": np.column_stack([setting.table, degree]),
        "joined_degree": np.column_stack(joined),
        "degree_walk_alone": np.column_stack([degree, walk]),
    }  # fmt: skip


def tabular(setting: Setting, tell: Tell) -> dict[str, list[Reals]]:
    """Return what ridge, boosting and MLPs say of judged genes, by name and seed.

    Ridge and MLPs learn from all training genes, boosting, which has a model a factor,
    from a third of them a seed; where it stops was chosen on validation genes.
    """
    y = setting.bound.astype(float)
    _, check, test = setting.rows
    taught = setting.taught
    found: dict[str, list[Reals]] = {
        name: [each[test]] for name, each in simple_scores(setting).items()
    }
    tell(f"{setting.name}: simple scores")
    for name, x in designs_of(setting).items():
        z = standardised(x, taught)
        ridge = RidgeCV(np.logspace(0, 5, 11)).fit(z[taught], y[taught])
        found[f"ridge_{name}"] = [ridge.predict(z[test])]
        tell(f"{setting.name}: ridge on {name}, {x.shape[1]} columns")
        for seed in SEEDS:
            if name != "degree_walk_alone":
                mlp = MLPClassifier(
                    hidden_layer_sizes=(64,), alpha=1e-2, batch_size=256, early_stopping=True,
                    max_iter=30, n_iter_no_change=3, random_state=seed,
                ).fit(z[taught], y[taught])  # fmt: skip
                found.setdefault(f"mlp_{name}", []).append(mlp.predict_proba(z[test]))
            if name in ("features", "joined_degree"):
                some = np.random.default_rng(seed).permutation(taught)[::3]
                said = np.zeros((len(test), y.shape[1]))
                for j in range(y.shape[1]):
                    boosting = HistGradientBoostingClassifier(
                        learning_rate=0.1, max_iter=60, max_leaf_nodes=8, min_samples_leaf=20,
                        max_features=0.3, early_stopping=True, n_iter_no_change=5, random_state=seed,
                    ).fit(x[some], y[some, j], X_val=x[check], y_val=y[check, j])  # fmt: skip
                    said[:, j] = boosting.predict_proba(x[test])[:, 1]
                found.setdefault(f"boosting_{name}", []).append(said)
        tell(f"{setting.name}: {name} done")
    return found


def vocabulary_of(setting: Setting) -> dict[str, list[str]]:
    """Return the nodes that have a number of their own."""
    return {name: setting.graph.names[name] for name in ("tf", "pathway")}


def solve(setting: Setting, source: Source, folder: Path, tell: Tell, deadline: float) -> dict[str, Any]:  # fmt: skip
    """Fit everything on one experiment."""
    graph, task = setting.graph, setting.task
    digest = data_digest(
        graph.nodes["gene"].x.numpy(), setting.bound, task.pair.numpy(), *setting.rows,
        *(
            part.numpy() for g in (graph, setting.tested) for e in g.edges.values()
            for part in (e.source, e.target)
        ),
    )  # fmt: skip
    runs = Runs(folder / f"runs_{setting.name}", digest, tell, deadline)
    scores = runs.keep("tabular", lambda: tabular(setting, tell))
    arms = arms_of(graph, None, NETWORK, TRAINING)
    arms.insert(2, replace(arms[0], name="graph_permuted_labels", permuted=True))
    rows = torch.from_numpy(setting.rows[2])

    def fit(arm: Arm, seed: int) -> None:
        tested, _ = changed(arm, setting.tested, [], seed)

        def ask(task: TargetTask, network: GraphTransformer, _states: States, rows: Tensor) -> Reals:  # fmt: skip
            return task.predict(network, network.encode(tested), rows)

        said = runs.predict(arm, graph, [task], vocabulary_of(setting), rows, seed, ask)
        scores.setdefault(arm.name, []).append(said)

    for arm, seed in runs.plan(arms, by_seed=True):
        fit(arm, seed)
    permuted = next(arm for arm in arms if arm.permuted)
    for seed in MORE_PERMUTED:
        if time.perf_counter() < deadline or runs.kept(permuted, seed).is_file():
            fit(permuted, seed)
        else:
            runs.unfinished.append(f"{permuted.name} seed {seed}")
    tell(f"{setting.name}: measuring; not fitted: {runs.unfinished or 'none'}")
    test = setting.rows[2]
    has_motif = np.isfinite(setting.motif).any(axis=0)
    return {
        "factors": len(setting.factors), "factors_with_motif": int(has_motif.sum()),
        "genes_learned": len(setting.taught), "genes_supervised": len(setting.rows[0]),
        "genes_stopped_on": len(setting.rows[1]), "genes_tested": len(test),
        "families_tested": int(source.organism.genes["family"].iloc[test].nunique()),
        "share_bound": {tf: round(float(x), 4) for tf, x in zip(setting.factors, setting.bound[test].mean(axis=0), strict=True)},
        "edges": {n: sum(len(setting.tested.edges[k]) for k in keys) for n, keys in relations(setting.tested).items()},
        "unfinished": runs.unfinished,
        **measure(setting, source, scores),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judge:
    """Measures scores of some genes, with intervals from resampled families.

    Parameters
    ----------
    bound
        ``(genes, factors)``.
    index
        Block of each gene.
    kept
        What was measured, by the scores' digest.
    """

    bound: Flags
    blocks: Blocks
    index: Numbers
    kept: dict[str, tuple[Estimate, Estimate]]

    @classmethod
    def of(cls, bound: Flags, family: NDArray[Any], draws: int = DRAWS) -> "Judge":
        """Draw families."""
        names, number = np.unique(family.astype(str), return_inverse=True)
        blocks = Blocks.of(np.arange(len(names)), draws, np.random.default_rng(SEED))
        return cls(bound, blocks, number, {})

    def ranked(
        self, scores: Reals, bound: Flags, index: Numbers
    ) -> tuple[Reals, Reals]:
        """Return AUROC and average precision of rows, ``(1 + draws,)`` each.

        Ties count half in the first; in the second tied rows are one step.
        """
        order = np.argsort(-scores, kind="stable")
        scores, bound = scores[order], bound[order]
        first = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])
        weight = self.blocks.times.astype(np.float32)[:, index[order]]
        positive = np.add.reduceat(weight * bound, first, axis=1)
        every = np.add.reduceat(weight, first, axis=1)
        found, said = np.cumsum(positive, axis=1), np.cumsum(every, axis=1)
        n_positive, n_every = found[:, -1].astype(float), said[:, -1].astype(float)
        below = (every - positive) * (found - positive / 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            area = below.sum(axis=1, dtype=float) / (
                n_positive * (n_every - n_positive)
            )
            step = np.where(said > 0, positive * found / said, 0)
            precision = step.sum(axis=1, dtype=float) / n_positive
        return area, precision

    def within_factor(self, scores: Reals) -> tuple[Estimate, Estimate]:
        """Return the means over factors of AUROC and average precision."""
        return self._keep("factor", scores, lambda: np.nanmean([
            self.ranked(scores[:, j], self.bound[:, j], self.index)
            for j in range(scores.shape[1])
        ], axis=0))  # fmt: skip

    def overall(self, scores: Reals) -> tuple[Estimate, Estimate]:
        """Return AUROC and average precision of all pairs together."""
        index = np.repeat(self.index, scores.shape[1])
        return self._keep(
            "all",
            scores,
            lambda: self.ranked(scores.ravel(), self.bound.ravel(), index),
        )

    def within_gene(self, scores: Reals) -> Estimate:
        """Return the mean over genes of the AUROC of the factors.

        Scores are ranks among a factor's genes, so that how many it binds says nothing.
        Genes that all factors or none bind are left out.
        """
        rank = np.apply_along_axis(rankdata, 0, scores)
        higher = np.sign(rank[:, :, None] - rank[:, None, :]) / 2 + 0.5
        pairs = self.bound[:, :, None] & ~self.bound[:, None, :]
        with np.errstate(invalid="ignore"):
            area = (higher * pairs).sum(axis=(1, 2)) / pairs.sum(axis=(1, 2))
        return self.blocks.mean(area, self.index)

    def _keep(self, what: str, scores: Reals, compute: Callable[[], Any]) -> tuple[Estimate, Estimate]:  # fmt: skip
        key = what + data_digest(scores)
        if key not in self.kept:
            area, precision = compute()
            self.kept[key] = (
                Estimate(float(area[0]), area[1:]), Estimate(float(precision[0]), precision[1:]),
            )  # fmt: skip
        return self.kept[key]


def measure(setting: Setting, source: Source, scores: Mapping[str, Sequence[Reals]]) -> dict[str, Any]:  # fmt: skip
    """Return the figures with paired differences, by measure."""
    test = setting.rows[2]
    genes = source.organism.genes.iloc[test]
    family = genes["family"].to_numpy()
    judge = Judge.of(setting.bound[test], family)
    point = Judge.of(setting.bound[test], family, draws=0)
    others = setting.bound[test].sum(axis=1, keepdims=True) - setting.bound[test]
    scores = {**scores, "forbidden_in_degree_by_label": [others.astype(float)]}
    measures = {
        "auroc_within_factor": lambda j, s: j.within_factor(s)[0],
        "auprc_within_factor": lambda j, s: j.within_factor(s)[1],
        "auroc_overall": lambda j, s: j.overall(s)[0],
        "auprc_overall": lambda j, s: j.overall(s)[1],
        "auroc_within_gene": lambda j, s: j.within_gene(s),
    }
    found: dict[str, Any] = {
        name: compare(
            scores,
            lambda s, f=figure: f(judge, s),
            lambda s, f=figure: f(point, s).value,
        )
        for name, figure in measures.items()
    }
    mean = {name: np.mean(each, axis=0) for name, each in scores.items()}
    subsets = {
        "with_promoter_sequence": np.isfinite(setting.motif[test]).any(axis=1),
        f"no_training_gene_within_{NEAR_BP}_bp": apart(source.organism.genes)[test],
    }
    for name, kept in subsets.items():
        small = Judge.of(setting.bound[test][kept], family[kept])
        found[f"auroc_within_factor_{name}"] = {"genes": int(kept.sum())} | compare(
            {n: [s[kept] for s in scores[n]] for n in FEW if n in scores},
            lambda s, j=small: j.within_factor(s)[0],
            lambda s, j=small: j.within_factor(s)[0].value,
        )
    has_motif = np.isfinite(setting.motif).any(axis=0)
    found["auroc_by_factor"] = {
        tf: {
            name: round(float(point.ranked(mean[name][:, j], setting.bound[test, j], point.index)[0][0]), 4)
            for name in FEW if name in mean and (name != "motif" or has_motif[j])
        }
        for j, tf in enumerate(setting.factors)
    }  # fmt: skip
    found["same_factor_by_the_other_experiment"] = same_factor(setting, point)
    found["differences_auroc_within_factor"] = {
        f"{a} - {b}": (judge.within_factor(mean[a])[0] - judge.within_factor(mean[b])[0]).describe()
        for a, b in PAIRS if a in mean and b in mean
    }  # fmt: skip
    return found


FEW = (
    "graph", "graph_no_edges", "graph_shuffled_edges", "in_degree", "motif", "nearest_factors",
    "ridge_features", "ridge_joined_degree", "boosting_features", "boosting_joined_degree",
)  # fmt: skip
"""What is measured on subsets."""
PAIRS = (
    ("boosting_joined_degree", "boosting_features"),
    ("ridge_features_degree", "ridge_features"),
    ("ridge_joined_degree", "ridge_features_degree"),
    ("mlp_joined_degree", "mlp_features"),
    ("graph_no_edges", "mlp_features"),
    ("boosting_features", "forbidden_in_degree_by_label"),
)
"""Differences that are reported beside the graph's."""


def same_factor(setting: Setting, point: Judge) -> dict[str, Any]:
    """Return what a factor's own edges by the other experiment say, where there are any."""
    test = setting.rows[2]
    found = {}
    for j, tf in enumerate(setting.factors):
        if tf not in setting.given.factors:
            continue
        column = setting.given.bound[:, setting.given.factors.index(tf)]
        label = setting.bound[:, j]
        degree = setting.given.bound.sum(axis=1)
        found[tf] = {
            "asked": int(label.sum()), "given": int(column.sum()), "both": int((label & column).sum()),
            "both_expected": round(float(label.sum() * column.mean()), 1),
            "auroc_of_own_edges": round(float(point.ranked(column[test].astype(float), label[test], point.index)[0][0]), 4),
            "auroc_of_in_degree": round(float(point.ranked(degree[test].astype(float), label[test], point.index)[0][0]), 4),
        }  # fmt: skip
    return found


MADE_OF_DAP = ("dapseq", "ddap", "Cistrome", "cisBP", "JASPAR")
"""Words in the names of files that hold DAP-seq peaks, or motifs found in them."""


def audit(setting: Setting, source: Source) -> list[dict[str, Any]]:
    """List what could carry the labels, and what shows that it does not."""
    genes = source.organism.genes
    part = genes["part"].to_numpy()
    shown = {
        name: np.unique(graph.edges[setting.key].target.numpy())
        for name, graph in (("learned", setting.graph), ("asked", setting.tested))
    }
    judged = sum(int((part[rows] != TRAIN).sum()) for rows in shown.values())
    both = np.intersect1d(shown["learned"], setting.task.train.numpy())
    other = noisy(setting, source)
    differ = differences(setting, other)
    overlap = same_factor(setting, Judge.of(setting.bound[setting.rows[2]], genes["family"].to_numpy()[setting.rows[2]], draws=0))  # fmt: skip
    jaccard = {
        tf: row["both"] / (row["asked"] + row["given"] - row["both"])
        for tf, row in overlap.items()
    }
    opened = [f for f in source.read if any(word in f for word in MADE_OF_DAP)]
    torn = sum(
        len(set(part[genes["gene_id"].isin(group)])) > 1
        for group in source.organism.alike
    )
    split = int(genes.groupby("family")["part"].nunique().max())
    best, where = best_feature(setting)
    used = {key[1] for key in setting.graph.edges if key[0] == "tf"}
    checks = [
        ("edges by the experiment asked about, of genes to stop on and to judge",
         f"of {sum(map(len, shown.values()))} genes that show some, {judged} are not training genes", judged == 0),
        ("edges that are learned from", f"{len(both)} genes both show theirs and are learned from", not len(both)),
        ("labels through any other way: tables, scales, degrees, shares of neighbours, propagation",
         f"with labels of all genes not learned from replaced by coin flips, all that networks and tables read stays the same, bit for bit; differs: {differ}",
         not differ),
        ("a feature that is the label in disguise",
         f"the best AUROC that one column has for one factor is {best:.3f} ({where})", best < 0.95),
        ("DAP-seq and its edges are one experiment: peaks, motifs found in peaks",
         f"of {len(source.read)} files read none holds such: {opened}", not opened),
        ("one record listed under both experiments",
         f"{len(overlap)} factors have both; most alike are the targets of one with Jaccard {max(jaccard.values(), default=0):.3f}",
         max(jaccard.values(), default=0) < 0.5),
        ("edges found by expression change (TARGET) or of unknown origin (literature)",
         f"relations used: {sorted(used)}", used <= set(EVIDENCE.values())),
        ("relatives on both sides of the split",
         f"{torn} ortholog groups and {split - 1} families torn", torn == 0 and split == 1),
    ]  # fmt: skip
    return [{"source": s, "proof": p, "holds": bool(h)} for s, p, h in checks]


def noisy(setting: Setting, source: Source) -> Setting:
    """Make the setting again, of coin flips where nothing may be learned from."""
    evidence = ASKED[setting.name]
    rng = np.random.default_rng(SEED)
    bound = source.binding[evidence].bound.copy()
    hidden = (source.organism.genes["part"] != TRAIN).to_numpy()
    bound[hidden] = rng.random((int(hidden.sum()), bound.shape[1])) < 0.5
    binding = {
        **source.binding,
        evidence: replace(source.binding[evidence], bound=bound),
    }
    return make_setting(setting.name, replace(source, binding=binding))


def differences(setting: Setting, other: Setting) -> list[str]:
    """Name what two settings do not share of what is read by models."""
    found = []
    for name, one, two in (
        ("messages to learn", setting.graph, other.graph),
        ("messages when asked", setting.tested, other.tested),
    ):
        found += [
            f"{name}: {'__'.join(key)}" for key, edges in one.edges.items()
            if not torch.equal(edges.source, two.edges[key].source)
            or not torch.equal(edges.target, two.edges[key].target)
        ]  # fmt: skip
        found += [
            f"{name}: {kind}" for kind, nodes in one.nodes.items()
            if not torch.equal(nodes.x, two.nodes[kind].x)
        ]  # fmt: skip
    tables = {
        "pairs": (setting.task.pair.numpy(), other.task.pair.numpy()),
        "table": (setting.table, other.table),
        "motif": (setting.motif, other.motif),
        "shares of neighbours": (neighbours_labels(setting), neighbours_labels(other)),
        "labels learned from": (setting.bound[setting.taught], other.bound[other.taught]),
    }  # fmt: skip
    mine, theirs = simple_scores(setting), simple_scores(other)
    tables |= {name: (mine[name], theirs[name]) for name in mine}
    return found + [
        name for name, (one, two) in tables.items()
        if not np.array_equal(np.nan_to_num(one), np.nan_to_num(two))
    ]  # fmt: skip


def best_feature(setting: Setting) -> tuple[float, str]:
    """Return the best AUROC, either way, that a column of the table has for a factor."""
    x = np.nan_to_num(setting.table, nan=-1e9)
    n = len(x)
    rank = np.apply_along_axis(rankdata, 0, x)
    count = setting.bound.sum(axis=0)
    total = rank.T @ setting.bound
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (total - count * (count + 1) / 2) / (count * (n - count))
    away = np.nan_to_num(np.abs(area - 0.5))
    column, j = np.unravel_index(int(away.argmax()), away.shape)
    return float(0.5 + away[column, j]), f"column {column}, {setting.factors[j]}"


def chance(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the check that with permuted labels nothing is told, by a t test over seeds.

    Of one seed the error is common to all factors, for what they bind is alike; so it is
    seeds that are counted, and not genes.
    """
    values = np.array(figures.get("graph_permuted_labels", {}).get("by_seed", []))
    p = float(ttest_1samp(values, 0.5).pvalue) if len(values) > 2 else np.nan
    return {
        "source": "anything that the list forgot",
        "proof": f"AUROC with labels permuted while learning, by seed {values.tolist()}: mean {values.mean() if len(values) else None}, p of chance {p:.3f}",
        "holds": bool(p > 0.05),
    }  # fmt: skip


OPEN = (
    "which gene a peak belongs to was decided by distance: neighbours that share a promoter share peaks, and may lie on both sides of the split; auroc_within_factor_no_training_gene_within_3000_bp leaves them out",
    "that the edges come from these two experiments is what their source's script says (OceaneCsn/AraNetBench, dev/create_validation_data.R: DAP-seq from the Salk DAP database, amplified = 0; ChIP-seq from ConnecTF); the table itself names no paper",
    "GO slim: the file has no evidence codes, so terms inferred from binding cannot be told apart",
    "BioGRID: the file names no experimental system",
    "only genes with a mapped start or in a promoter library have sequence: that it is there says that a gene is expressed",
)  # fmt: skip
"""What could not be proved."""


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the result ready for JSON.

    Raises
    ------
    InputError
        A check of the audit does not hold.
    """
    started, begin = datetime.now(UTC), time.perf_counter()
    torch.set_num_threads(1)

    def tell(what: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {what}", flush=True)

    source = read_source(arguments.data)
    tell("read")
    checks: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    for name, share in zip(ASKED, (0.55, 1.0), strict=True):
        setting = make_setting(name, source)
        mine = audit(setting, source)
        if broken := [c["source"] for c in mine if not c["holds"]]:
            raise InputError(f"{name}: a label is not masked: {'; '.join(broken)}")
        tell(f"{name}: audit holds")
        deadline = begin + 60 * arguments.minutes * share
        found[name] = solve(setting, source, arguments.work, tell, deadline)
        mine.append(chance(found[name]["auroc_within_factor"]))
        checks += [{"task": name, **c} for c in mine]
    return {
        "what": "Arabidopsis: targets of factors by ChIP-seq, given DAP-seq, and by DAP-seq, given nothing made of it; genes of unseen families",
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "seeds": list(SEEDS),
        "network": {"network": asdict(NETWORK), "training": asdict(TRAINING)},
        "left_out": source.counts,
        "features": list(source.organism.features.columns),
        "audit": checks,
        "not_proved": list(OPEN),
        **found,
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip


def main() -> int:
    """Run the benchmark named on the command line."""
    return run_command(
        __doc__,
        run,
        lambda found: {name: found[name]["auroc_within_factor"] for name in ASKED},
    )


if __name__ == "__main__":
    sys.exit(main())
