"""Do edges help to predict links in yeast? Task 3 of the graph model.

    python benchmarks/graph_links.py --data ../shared/data --work /tmp/w/graph \
        --out benchmarks/results/graph_links.json

**Contacts**: log2 observed over expected Hi-C contact of 10 kb bins 10 to 200 kb apart.
Expected is the mean at the distance on the training chromosomes, so the distance-decay
baseline predicts 0; figures are the share of the squared error of decay that a model
removes, and Pearson's r. Edge types that hold contacts (bin-bin, and gene-element links,
whose score is activity by contact) are hidden.

**Gene-GO**: which GO slim terms a gene has. All terms of the genes on tested chromosomes are
hidden; half of the training genes show their terms to the network while it learns the other
half's. Terms are offered as often as they occur among the true ones, so how common a term
is says nothing. Descriptions of genes name their function and are not loaded; edges between
terms that share genes are hidden, for they were computed from all genes.

Networks learn on twelve chromosomes, stop on XI and XIV and are judged on V and XV.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import pearsonr
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import Tensor
from torch_geometric.data.storage import NodeStorage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.block_bootstrap import Blocks, Estimate
from benchmarks.graph import (
    SEEDS,
    Runs,
    arms_of,
    changed,
    compare,
    data_digest,
    run_command,
)
from benchmarks.graph_variants import LABEL_FREE, TEST, VALIDATION, make_graph
from benchmarks.machine import describe_machine
from data_registry.store import open_store
from encoders.nucleotides import encode
from graph_builder.build import build_graph
from graph_builder.manifest import Manifest
from graph_builder.parameters import BuildParameters
from models.graph.baselines import (
    attributes,
    degree_features,
    propagate,
    relations,
    walk_features,
)
from models.graph.features import Scale, Scales
from models.graph.network import GraphTransformer, NetworkSettings, Queries, States
from models.graph.preparation import TRAIN, draw_negatives, parts_of_nodes
from models.graph.settings import SplitSettings
from models.graph.structure import BACK, Graph, Nodes, graph_of
from models.graph.tasks import LinkTask
from models.graph.training import TrainingSettings
from models.hetero import load_hetero
from models.promoter.baselines import kmer_counts
from variant_effect.combined import auroc

BIN_BP = 10_000
MOST_BINS = 20
TYPES = ("gene", "cre", "tf", "contact_bin", "pathway")
HIDDEN_CONTACTS = ("contact_bin__contacts__contact_bin", "gene__linked_to__cre")
HIDDEN_TERMS = ("pathway__shares_genes__pathway",)
MEMBER, BACK_MEMBER = (
    ("gene", "member_of", "pathway"), ("pathway", BACK + "member_of", "gene")
)  # fmt: skip
NETWORK = NetworkSettings(width=16, heads=2)
TRAINING = {
    "contact": TrainingSettings(
        epochs=8, batch_size=2_048, learning_rate=2e-3, patience=3, fan_out=3
    ),
    "term": TrainingSettings(
        epochs=10, batch_size=2_048, learning_rate=1.5e-2, patience=4, fan_out=3
    ),
}
"""By task; chosen on the validation chromosomes."""
SEED = 20_261_129
DRAWS = 1_000
N_COMPONENTS = 8

Reals = NDArray[np.float64]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """A link task, ready to learn.

    Parameters
    ----------
    graph, tested_graph
        What networks learn on, and what they are asked on.
    table
        Features of each pair without edges, ``(n, columns)``.
    structure
        Degrees and random walks of both ends.
    simple
        Scores that nothing is fitted for, by name.
    block
        Number of the block of each row, for the bootstrap.
    """

    task: LinkTask
    graph: Graph
    tested_graph: Graph
    vocabulary: dict[str, list[str]]
    table: Reals
    structure: Reals
    simple: dict[str, Reals]
    test: NDArray[np.int64]
    block: NDArray[np.int64]


def sequence_features(folder: Path, contigs: list[str], start: Tensor, end: Tensor, teach: NDArray[np.bool_]) -> Reals:  # fmt: skip
    """Return GC content and principal components of 4-mer shares of stretches.

    The components are of stretches that teach.
    """
    with open_store(folder) as store:
        genome = store.genome()
        counts = np.stack([
            kmer_counts(encode(genome.fetch(c, int(a), int(b)))[None], 4)[0]
            for c, a, b in zip(contigs, start, end, strict=True)
        ])  # fmt: skip
        gc = np.array([
            np.isin(encode(genome.fetch(c, int(a), int(b))), (1, 2)).mean()
            for c, a, b in zip(contigs, start, end, strict=True)
        ])  # fmt: skip
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    pca = PCA(N_COMPONENTS, random_state=0).fit(share[teach])
    return np.column_stack([gc, pca.transform(share)])


def with_features(graph: Graph, name: str, features: Reals) -> Graph:
    """Give nodes of a type more attributes."""
    nodes = graph.nodes[name]
    x = torch.cat([nodes.x, torch.from_numpy(features).float()], 1)
    known = torch.cat([nodes.known, torch.ones(features.shape, dtype=torch.bool)], 1)
    return replace(graph, nodes={**graph.nodes, name: Nodes(x, known, nodes.member)})


def scaled(graph: Graph, part: dict[str, Tensor]) -> Graph:
    """Scale by what teaches."""
    none = torch.zeros(0, 0)
    empty = Queries(Nodes(none, none.bool(), torch.zeros(0, dtype=torch.long)), {})
    teach = {name: p == TRAIN for name, p in part.items() if name in graph.nodes}
    return Scales.of(graph, teach, empty).graph(graph)


def part_of_pairs(left: Tensor, right: Tensor) -> list[Tensor]:
    """Return rows to learn, stop and judge: a pair belongs to its later part."""
    part = torch.maximum(left, right)
    return [torch.nonzero(part == p)[:, 0] for p in (0, 1, 2)]


def structure_of(graph: Graph, left: tuple[str, Tensor], right: tuple[str, Tensor]) -> Reals:  # fmt: skip
    """Return degrees and walks of both ends, and the product of their walks."""
    degree = degree_features(graph)
    walk = walk_features(graph, np.random.default_rng(SEED), width=16)
    a, b = (np.column_stack([degree[n], walk[n]])[r.numpy()] for n, r in (left, right))
    product = walk[left[0]][left[1].numpy()] * walk[right[0]][right[1].numpy()]
    return np.column_stack([a, b, product])


def contact_setting(folder: Path, manifest: Manifest) -> tuple[Setting, dict[str, Any]]:
    """Make the task of contacts."""
    data = load_hetero(manifest.path)
    vocabulary = {name: sorted(data[name].identifier) for name in ("pathway", "tf")}
    graph = graph_of(data, TYPES, leave_out=HIDDEN_CONTACTS, vocabulary=vocabulary)
    part = parts_of_nodes(data, SplitSettings(VALIDATION, TEST))
    bins = data["contact_bin"]
    teach = (part["contact_bin"] == TRAIN).numpy()
    features = sequence_features(folder, bins.contig, bins.start, bins.end, teach)
    length = {}
    for contig, end in zip(bins.contig, bins.end.tolist(), strict=True):
        length[contig] = max(length.get(contig, 0), end)
    from_end = [
        min(s, length[c] - e)
        for c, s, e in zip(
            bins.contig, bins.start.tolist(), bins.end.tolist(), strict=True
        )
    ]
    features = np.column_stack([features, np.arcsinh(np.array(from_end, float))])
    graph = scaled(with_features(graph, "contact_bin", features), part)
    left, right, contact = mean_contacts(folder, bins)
    start = bins.start.numpy() // BIN_BP
    distance = start[right] - start[left]
    rows = part_of_pairs(part["contact_bin"][left], part["contact_bin"][right])
    learned = np.zeros(len(left), bool)
    learned[rows[0].numpy()] = True
    expected = np.array([
        contact[learned & (distance == d)].mean() if d else np.nan
        for d in range(MOST_BINS + 1)
    ])  # fmt: skip
    held = contact > 0
    target = np.log2(np.where(held, contact, 1) / expected[distance])
    rows = [r[torch.from_numpy(held)[r]] for r in rows]
    pair = torch.from_numpy(np.log(distance)[:, None]).float()
    scale = Scale.of(pair[rows[0]], torch.ones(len(rows[0]), 1, dtype=torch.bool))
    pair = scale(pair, torch.ones_like(pair, dtype=torch.bool))
    ends = torch.from_numpy(left), torch.from_numpy(right)
    task = LinkTask(
        "contact", ("contact_bin", "contact_bin"), *ends, pair,
        torch.from_numpy(target).float(), rows[0], rows[1], "number",
    )  # fmt: skip
    x = attributes(graph.nodes["contact_bin"].x, graph.nodes["contact_bin"].known)
    table = np.column_stack(
        [np.minimum(x[left], x[right]), np.maximum(x[left], x[right]), pair]
    )
    both = structure_of(graph, ("contact_bin", ends[0]), ("contact_bin", ends[1]))
    _, contig = np.unique(np.array(bins.contig), return_inverse=True)
    block = contig[left] * 10_000 + bins.start.numpy()[left] // 50_000
    setting = Setting(
        task, graph, graph, vocabulary, table, both,
        {"distance_decay": np.zeros(len(left))}, rows[2].numpy(), block,
    )  # fmt: skip
    counts = {"pairs": len(left), "pairs_without_contact": int((~held).sum())}
    return setting, counts


def mean_contacts(folder: Path, bins: NodeStorage) -> tuple[NDArray[np.int64], NDArray[np.int64], Reals]:  # fmt: skip
    """Return pairs of bins up to 200 kb apart and the mean balanced contact of their parts."""
    with open_store(folder) as store:
        frame = store.connection.execute(
            "SELECT c.contig1 AS contig, c.start1 // ? AS a, c.start2 // ? AS b, "
            "avg(c.balanced) AS contact FROM contacts c WHERE c.contig1 = c.contig2 "
            "AND c.balanced IS NOT NULL GROUP BY ALL ORDER BY ALL", [BIN_BP, BIN_BP],
        ).df()  # fmt: skip
    place = {
        (c, s // BIN_BP): i
        for i, (c, s) in enumerate(zip(bins.contig, bins.start.tolist(), strict=True))
    }
    low, high = np.minimum(frame["a"], frame["b"]), np.maximum(frame["a"], frame["b"])
    near = ((high - low) >= 1) & ((high - low) <= MOST_BINS)
    frame = frame[near]
    keys = zip(
        frame["contig"], low[near].astype(int), high[near].astype(int), strict=True
    )
    pairs = [(place.get((c, a), -1), place.get((c, b), -1)) for c, a, b in keys]
    left, right = np.array(pairs, np.int64).T
    known = (left >= 0) & (right >= 0)
    return left[known], right[known], frame["contact"].to_numpy()[known]


def term_setting(manifest: Manifest) -> tuple[Setting, dict[str, Any]]:
    """Make the task of gene-GO links."""
    data = load_hetero(manifest.path)
    vocabulary = {name: sorted(data[name].identifier) for name in ("pathway", "tf")}
    part = parts_of_nodes(data, SplitSettings(VALIDATION, TEST))
    whole = graph_of(data, TYPES, leave_out=HIDDEN_TERMS, vocabulary=vocabulary)
    whole = scaled(whole, part)
    edges = whole.edges[MEMBER]
    gene, term = edges.source, edges.target
    generator = torch.Generator().manual_seed(SEED)
    shows = torch.rand(len(whole.nodes["gene"]), generator=generator) < 0.5
    is_train = part["gene"] == TRAIN
    learned = _with_members(whole, is_train & shows)
    tested = _with_members(whole, is_train)
    rng = np.random.default_rng(SEED)
    sizes = len(whole.nodes["gene"]), len(whole.nodes["pathway"])
    more = draw_negatives(gene.numpy(), term.numpy(), sizes, 2, rng)
    left = torch.cat([gene, torch.from_numpy(more[0])])
    right = torch.cat([term, torch.from_numpy(more[1])])
    target = torch.cat([torch.ones(len(gene)), torch.zeros(len(more[0]))])
    rows = part_of_pairs(part["gene"][left], torch.zeros_like(right))
    rows[0] = rows[0][~shows[left[rows[0]]]]
    task = LinkTask(
        "term", ("gene", "pathway"), left, right, torch.zeros(len(left), 0), target,
        rows[0], rows[1],
    )  # fmt: skip
    one_hot = np.zeros((len(left), sizes[1]), np.float32)
    one_hot[np.arange(len(left)), right.numpy()] = 1
    x = attributes(whole.nodes["gene"].x, whole.nodes["gene"].known)
    table = np.column_stack([x[left.numpy()], right.numpy()])
    both = structure_of(tested, ("gene", left), ("pathway", right))
    popularity = torch.bincount(tested.edges[MEMBER].target, minlength=sizes[1])
    spread = term_propagation(tested)
    setting = Setting(
        task, learned, tested, vocabulary, table, both,
        {
            "term_frequency": popularity.double().numpy()[right.numpy()],
            "label_propagation": spread[left.numpy(), right.numpy()],
        },
        rows[2].numpy(), left.numpy(),
    )  # fmt: skip
    hidden = int((~is_train[gene]).sum())
    return setting, {"edges": len(gene), "edges_hidden_from_messages": hidden}


def _with_members(graph: Graph, shows: Tensor) -> Graph:
    edges = dict(graph.edges)
    for key, end in ((MEMBER, 0), (BACK_MEMBER, 1)):
        mine = graph.edges[key]
        genes = mine.source if end == 0 else mine.target
        edges[key] = mine.where(shows[genes])
    return replace(graph, edges=edges)


def term_propagation(graph: Graph) -> Reals:
    """Return each term's members spread over the graph without terms, ``(genes, terms)``.

    Divided by the term's number of members, so that common terms gain nothing.
    """
    members = graph.edges[MEMBER]
    bare = replace(
        graph, edges={k: e for k, e in graph.edges.items() if "pathway" not in k}
    )
    n = len(graph.nodes["gene"]), len(graph.nodes["pathway"])
    found = np.zeros(n)
    for term in range(n[1]):
        start = np.zeros(n[0])
        genes = members.source[members.start[term] : members.start[term + 1]].numpy()
        if len(genes):
            start[genes] = 1 / len(genes)
            found[:, term] = propagate(bare, {"gene": start}, steps=6)["gene"]
    return found


def fitted(setting: Setting) -> dict[str, list[Reals]]:
    """Return scores of boosting and MLPs that see no edge, by name and seed, of all rows."""
    task = setting.task
    learn, check = task.train.numpy(), task.validation.numpy()
    y = task.target.numpy()
    number = task.kind == "number"
    found: dict[str, list[Reals]] = {}
    tables = {
        "features": setting.table,
        "features_degree_walk": np.column_stack([setting.table, setting.structure]),
        "degree_walk_alone": setting.structure,
    }
    for name, table in tables.items():
        x = table[:, np.isfinite(table[learn]).any(axis=0)]
        filled = np.nan_to_num(x)
        centre, spread = filled[learn].mean(0), filled[learn].std(0) + 1e-6
        z = np.clip((filled - centre) / spread, -8, 8)
        for seed in SEEDS:
            boost = (HistGradientBoostingRegressor if number else HistGradientBoostingClassifier)(
                learning_rate=0.05, max_iter=200, max_leaf_nodes=15, early_stopping=True,
                random_state=seed,
            ).fit(x[learn], y[learn], X_val=x[check], y_val=y[check])  # fmt: skip
            mlp = (MLPRegressor if number else MLPClassifier)(
                hidden_layer_sizes=(64,), alpha=1e-3, batch_size=512, early_stopping=True, max_iter=15,
                n_iter_no_change=3, random_state=seed,
            ).fit(z[learn], y[learn])  # fmt: skip
            for label, model, values in (("boosting", boost, x), ("mlp", mlp, z)):
                said = (
                    model.predict(values)
                    if number
                    else model.predict_proba(values)[:, 1]
                )
                found.setdefault(f"{label}_{name}", []).append(said)
    return found


def measure(setting: Setting, scores: dict[str, list[Reals]]) -> dict[str, Any]:
    """Return the figures of a task with paired differences."""
    task, test = setting.task, setting.test
    y = task.target.numpy().astype(float)[test]
    blocks = Blocks.of(setting.block[test], DRAWS, np.random.default_rng(SEED))
    index = blocks.index(setting.block[test])
    tested = {name: [s[test] for s in each] for name, each in scores.items()}
    if task.kind == "binary":
        return {
            "auroc": compare(
                tested,
                lambda s: blocks.auroc(s, y > 0, index),
                lambda s: auroc(s, y > 0),
            )
        }
    total = blocks.mean(y**2, index)

    def removed(score: Reals) -> Estimate:
        error = blocks.mean((score - y) ** 2, index)
        return Estimate(1 - error.value / total.value, 1 - error.draws / total.draws)

    mean = {name: np.mean(each, axis=0) for name, each in tested.items()}
    r = {
        n: round(float(pearsonr(s, y)[0]), 4) if np.ptp(s) else None
        for n, s in mean.items()
    }
    return {
        "error_of_decay_removed": compare(
            tested, removed, lambda s: float(1 - ((s - y) ** 2).mean() / (y**2).mean())
        ),
        "pearson_r": r,
    }


def solve(
    setting: Setting, folder: Path, tell: Tell, deadline: float
) -> dict[str, Any]:
    """Fit everything on one task."""
    task = setting.task
    digest = data_digest(task.target.numpy(), task.left.numpy(), task.pair.numpy())
    runs = Runs(folder / f"runs_{task.name}", digest, tell, deadline)
    scores = {name: [each] for name, each in setting.simple.items()}
    scores |= runs.keep("fitted", lambda: fitted(setting))
    tell(
        f"{task.name}: {len(task.train):,} pairs to learn, {len(setting.test):,} to judge; "
        "baselines"
    )
    arms = arms_of(setting.graph, None, NETWORK, TRAINING[task.name])
    rows = torch.from_numpy(setting.test)

    for arm, seed in runs.plan(arms):
        tested, _ = changed(arm, setting.tested_graph, [], seed)

        def ask(
            task: LinkTask, network: GraphTransformer, states: States, rows: Tensor,
            tested: Graph = tested,
        ) -> Reals:  # fmt: skip
            if task.name == "term":
                states = network.encode(tested)
            return task.predict(network, states, rows)

        said = runs.predict(
            arm, setting.graph, [task], setting.vocabulary, rows, seed, ask
        )
        full = np.full(len(task.target), np.nan)
        full[setting.test] = said[:, 0]
        scores.setdefault(arm.name, []).append(full)
    tell(f"measuring; not fitted: {runs.unfinished or 'none'}")
    return {
        "learned": len(task.train), "tested": len(setting.test),
        "unfinished": runs.unfinished, **measure(setting, scores),
    }  # fmt: skip


def audit(manifest: Manifest, folder: Path, work: Path) -> list[dict[str, Any]]:
    """List what could carry the labels, and what shows that it does not."""
    copy = work / "graph_other_contacts"
    if not copy.exists():
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("graph"))
    with open_store(copy, write=True) as store:
        store.connection.execute(
            "UPDATE contacts SET count = 1 + hash(rowid) % 100, "
            "balanced = CASE WHEN balanced IS NULL THEN NULL ELSE (1 + hash(rowid) % 100) / 1e4 END"
        )
    with open_store(copy) as store:
        other = build_graph(
            store.connection, store.genome(), copy / "graph",
            parameters=BuildParameters(contact_bin_bp=BIN_BP),
        )  # fmt: skip
    data = load_hetero(manifest.path)
    used = [*TYPES, *relations(graph_of(data, TYPES, leave_out=HIDDEN_CONTACTS))]
    differ = [n for n in used if manifest.types[n].digest != other.types[n].digest]
    hidden = [
        n for n in HIDDEN_CONTACTS if manifest.types[n].digest != other.types[n].digest
    ]
    task, _ = term_setting(manifest)
    seen = task.tested_graph.edges[MEMBER].source
    part = parts_of_nodes(data, SplitSettings(VALIDATION, TEST))["gene"]
    supervised = set(task.task.left[task.task.train].tolist())
    shown = set(task.graph.edges[MEMBER].source.tolist())
    checks = [
        ("contacts: Hi-C counts in bin-bin edges, links, attributes",
         f"with all counts replaced, {len(used)} used tables keep their digest and both "
         f"hidden ones change ({len(differ)} of the used differ)",
         not differ and len(hidden) == len(HIDDEN_CONTACTS)),
        ("terms: edges of tested genes", "none is among the messages",
         bool((part[seen] == TRAIN).all())),
        ("terms: edges learned from", "no gene both shows its terms and is learned from",
         not supervised & shown),
        ("terms: term-term edges, computed from all genes", "hidden",
         ("pathway", "shares_genes", "pathway") not in task.graph.edges),
        ("terms: gene descriptions", "text nodes are not loaded", "text" not in task.graph.nodes),
    ]  # fmt: skip
    return [{"source": s, "proof": p, "holds": bool(h)} for s, p, h in checks]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the result ready for JSON."""
    started, begin = datetime.now(UTC), time.perf_counter()
    torch.set_num_threads(1)

    def tell(what: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {what}", flush=True)

    folder = arguments.work / "graph"
    manifest = make_graph(arguments.data, folder, LABEL_FREE)
    checks = audit(manifest, folder, arguments.work)
    tell(f"audit: {[c['source'] for c in checks if not c['holds']] or 'all hold'}")
    found: dict[str, Any] = {}
    contacts, counts = contact_setting(folder, manifest)
    half, whole = (begin + 60 * arguments.minutes * share for share in (0.5, 1))
    found["contacts"] = counts | solve(contacts, arguments.work, tell, half)
    terms, counts = term_setting(manifest)
    found["gene_go"] = counts | solve(terms, arguments.work, tell, whole)
    return {
        "what": "held-out links of yeast: Hi-C observed/expected, gene-GO slim",
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "test": list(TEST), "validation": list(VALIDATION), "seeds": list(SEEDS),
        "audit": checks,
        **found,
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip


def main() -> int:
    """Run the benchmark named on the command line."""
    return run_command(
        __doc__,
        run,
        lambda found: {
            "contacts": found["contacts"]["error_of_decay_removed"],
            "gene_go": found["gene_go"]["auroc"],
        },
    )


if __name__ == "__main__":
    sys.exit(main())
