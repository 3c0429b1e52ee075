"""Do edges help to predict what a factor binds that nobody has assayed? *Arabidopsis*, DAP-seq.

    python benchmarks/graph_factors.py --data ../shared/data --work /tmp/w/targets \
        --out benchmarks/results/graph_factors.json

The harder half of ``graph_targets.py``: whole factors are held out, and judged on genes of
unseen families. Factors that are relatives (one ortholog family) go together to those that
show their edges (half), are learned from (25 %), stop training (10 %) and are judged (15 %).

Messages hold the edges of the factors that show theirs, into all genes: a judged gene is known
by which *other* factors bind it, a judged factor by its family (bZIP, WRKY, ...), by the gene
that encodes it, and, where there is one, by a microarray motif. Of factors learned from,
stopped on or judged no edge is a message. Intervals are over families of factors.
"""

import argparse
import gzip
import hashlib
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

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
from benchmarks.graph_genes import (
    TEST,
    TRAIN,
    VALIDATION,
    Tables,
    gene_of_symbol,
    graph_of,
    standardised,
)
from benchmarks.graph_targets import (
    ENCODES,
    MADE_OF_DAP,
    Judge,
    Source,
    TargetTask,
    binding_edges,
    chance,
    encoding_edges,
    pair_attributes,
    read_source,
)
from benchmarks.machine import describe_machine
from data_registry.errors import InputError
from models.graph.baselines import attributes, degree_features, relations, walk_features
from models.graph.network import NetworkSettings
from models.graph.structure import EdgeKey, Graph
from models.graph.training import TrainingSettings

SHOWN, LEARNED, STOPPED, JUDGED = 0, 1, 2, 3
SHARES = (0.5, 0.75, 0.85)
BINDS: EdgeKey = ("tf", "dap_binds", "gene")
FAMILY: EdgeKey = ("tf", "same_family", "tf")
CISTROME = "arabidopsis/tf_binding/Cistrome_Athaliana.tf.gz"
"""Read for the names of its matrices alone: they say the family of the factor."""
SHRINK = (1, 3, 10, 30, 100)
LEARN_ROWS = 200_000
EVERY = 3
"""Of the training genes networks learn from each third, for speed: factors are few, not genes."""
NETWORK = NetworkSettings(width=32, heads=4, blocks=2, slots=8)
TRAINING = TrainingSettings(
    epochs=8, batch_size=512, learning_rate=5e-3, patience=3, fan_out=8, sampled=True
)
"""As in ``graph_targets.py`` with half the fan-out, for speed; nothing was tuned here."""
DRAWS = 1_000
SEED = 20_261_202

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Tell = Callable[[str], None]


def read_families(tables: Tables) -> dict[str, str]:
    """Return factor to the name of its family (``WRKY``), where a matrix is named so."""
    symbols = gene_of_symbol(
        tables.frame("arabidopsis/network/mapping.tsv.gz", header=None),
        tables.frame("arabidopsis/derived/gene_aliases_fullnames.tsv.gz"),
    )
    found: dict[str, str] = {}
    with gzip.open(tables.path(CISTROME), "rt", encoding="utf-8") as lines:
        for line in lines:
            named = re.match(r"AC\s+(\S+?)_[a-z]+\.([^_\s]+)_", line)
            if named:
                symbol = named[2].upper()
                found.setdefault(symbols.get(symbol, symbol), named[1])
    return found


@dataclass(frozen=True, slots=True)
class Setting:
    """Targets of factors, ready to learn.

    Parameters
    ----------
    family
        Of each factor, by name; its own name where nobody says.
    group
        The ortholog family of each factor, which is split as one.
    part
        Of each factor: shows its edges, learned, stopped on, judged.
    bound
        The label, ``(genes, factors)``, for all factors.
    table
        Features of genes.
    genes
        Genes to learn, stop and judge.
    """

    factors: list[str]
    family: NDArray[Any]
    group: NDArray[Any]
    part: Numbers
    graph: Graph
    task: TargetTask
    bound: Flags
    table: Reals
    motif: Reals
    genes: tuple[Numbers, Numbers, Numbers]

    def of(self, *parts: int) -> Numbers:
        """Return the factors of some parts."""
        return np.flatnonzero(np.isin(self.part, parts))


def part_of(group: str) -> int:
    """Return the part of a family of factors, by the hash of its name."""
    digest = hashlib.sha256(f"factor {group}".encode()).digest()
    return int(
        np.searchsorted(SHARES, int.from_bytes(digest[:8], "big") / 2**64, "right")
    )


def make_setting(source: Source, family_of: Mapping[str, str]) -> Setting:
    """Make the setting."""
    genes = source.organism.genes
    binding = source.binding["DAPSeq"]
    factors = binding.factors
    ortholog = dict(zip(genes["gene_id"], genes["family"], strict=True))
    group = np.array([ortholog.get(tf, tf) for tf in factors])
    family = np.array([family_of.get(tf, tf) for tf in factors])
    part = np.array([part_of(one) for one in group])
    asked = np.flatnonzero(part != SHOWN)
    gene_part = genes["part"].to_numpy(np.int64)
    rows = [np.flatnonzero(gene_part == p) for p in (TRAIN, VALIDATION, TEST)]

    target = binding.bound[:, asked].astype(np.float32)
    seen = np.zeros(target.shape, bool)
    for genes_, factors_ in ((rows[0], LEARNED), (rows[1], STOPPED)):
        seen[np.ix_(genes_, np.flatnonzero(part[asked] == factors_))] = True
    target[~seen] = np.nan
    unknown = np.full((len(genes), 2), np.nan)
    scores = np.stack([source.motifs.get(factors[j], unknown) for j in asked], axis=1)

    others = [tf for tf in source.binding["CHIPSeq"].factors if tf not in factors]
    everyone = [*factors, *others]
    node = {tf: i for i, tf in enumerate(everyone)}
    edges = dict(source.organism.edges)
    shown = np.flatnonzero(part == SHOWN)
    names_shown = [factors[j] for j in shown]
    edges[BINDS] = binding_edges(binding.bound[:, shown], names_shown, node)
    chip = source.binding["CHIPSeq"]
    edges["tf", "chip_binds", "gene"] = binding_edges(chip.bound, chip.factors, node)
    edges[ENCODES] = encoding_edges(genes["gene_id"], everyone)
    alike = np.argwhere(family[shown][:, None] == family[None, :])
    alike = alike[shown[alike[:, 0]] != alike[:, 1]]
    edges[FAMILY] = shown[alike[:, 0]], alike[:, 1]
    names = {**source.organism.names, "tf": everyone}
    organism = replace(source.organism, edges=edges, names=names)
    graph = graph_of(organism, np.ones(organism.features.shape[1], bool))
    graph = with_members(graph, [*names_shown, *others])
    task = TargetTask(
        "new_factor", "gene", torch.from_numpy(target),
        torch.from_numpy(rows[0][::EVERY]), torch.from_numpy(rows[1]),
        factors=torch.from_numpy(asked), pair=pair_attributes(scores, rows[0]),
    )  # fmt: skip
    own = attributes(graph.nodes["gene"].x, graph.nodes["gene"].known)
    return Setting(
        factors, family, group, part, graph, task, binding.bound, own,
        scores[:, :, 1], (rows[0], rows[1], rows[2]),
    )  # fmt: skip


def with_members(graph: Graph, known: Sequence[str]) -> Graph:
    """Give a vector of their own to some factors alone."""
    place = {tf: i for i, tf in enumerate(known)}
    member = torch.tensor([place.get(tf, -1) for tf in graph.names["tf"]])
    nodes = {**graph.nodes, "tf": replace(graph.nodes["tf"], member=member)}
    return replace(graph, nodes=nodes)


def family_share(setting: Setting, known: Numbers, asked: Numbers, shrink: float) -> Reals:  # fmt: skip
    """Return what share of a factor's relatives bind a gene, ``(genes, asked)``.

    Drawn towards the share of all known factors, as if ``shrink`` more relatives had it.

    Parameters
    ----------
    known
        Factors whose targets are known; a factor is no relative of its own.
    """
    bound = setting.bound[:, known].astype(np.float32)
    every = bound.mean(axis=1)
    alike = setting.family[known][:, None] == setting.family[asked][None, :]
    alike &= known[:, None] != asked[None, :]
    total = bound @ alike.astype(np.float32)
    found: Reals = (total + shrink * every[:, None]) / (alike.sum(axis=0) + shrink)
    return found


def simple_scores(setting: Setting) -> dict[str, Reals]:
    """Return scores of judged factors and genes that little is fitted for."""
    judged, test = setting.of(JUDGED), setting.genes[2]
    known = setting.of(SHOWN, LEARNED)
    check, stopped = setting.genes[1], setting.of(STOPPED)
    judge = Judge.of(setting.bound[np.ix_(check, stopped)], np.arange(len(check)), draws=0)  # fmt: skip
    at_check = {
        s: judge.within_factor(family_share(setting, known, stopped, s)[check])[0].value
        for s in SHRINK
    }
    best = max(SHRINK, key=lambda s: at_check[s])
    every = setting.bound[:, known].mean(axis=1)[test, None]
    motif = setting.motif[:, np.isin(setting.task.factors.numpy(), judged)]
    return {
        "in_degree": np.repeat(every, len(judged), axis=1),
        "family_share": family_share(setting, known, judged, 1e-3)[test],
        "family_share_shrunk": family_share(setting, known, judged, best)[test],
        "motif": np.nan_to_num(motif[test], nan=float(np.nanmedian(motif))),
    }


def pairs_of(setting: Setting, genes: Numbers, asked: Numbers, structure: Reals) -> Reals:  # fmt: skip
    """Return features of pairs, ``(genes * asked, columns)``.

    What the messages hold, as a table: share of relatives and of all factors that show their
    edges, and how many relatives there are; the gene's features, degrees and walks; the motif.
    """
    known = setting.of(SHOWN)
    share = family_share(setting, known, asked, 1)[genes]
    alone = setting.bound[np.ix_(genes, known)].mean(axis=1)
    relatives = (setting.family[known][:, None] == setting.family[asked][None]).sum(0)
    place = {int(f): i for i, f in enumerate(setting.task.factors)}
    motif = setting.motif[np.ix_(genes, [place[int(f)] for f in asked])]
    n, m = share.shape
    return np.column_stack([
        share.ravel(), np.repeat(alone, m), np.tile(np.log1p(relatives), n), motif.ravel(),
        np.repeat(np.column_stack([setting.table, structure])[genes], m, axis=0),
    ])  # fmt: skip


def tabular(setting: Setting, tell: Tell) -> dict[str, list[Reals]]:
    """Return what is said of judged pairs without a graph network, by name and seed."""
    found = {name: [each] for name, each in simple_scores(setting).items()}
    degree = degree_features(setting.graph)["gene"]
    walk = walk_features(setting.graph, np.random.default_rng(SEED))["gene"]
    structures = {
        "features": degree[:, :0],
        "features_degree_walk": np.column_stack([degree, walk]),
    }
    learn, check, test = setting.genes
    learned, stopped, judged = (setting.of(p) for p in (LEARNED, STOPPED, JUDGED))
    for name, structure in structures.items():
        x_test = pairs_of(setting, test, judged, structure)
        x_check = pairs_of(setting, check[::3], stopped, structure)
        y_check = setting.bound[np.ix_(check[::3], stopped)].ravel()
        for seed in SEEDS:
            some = np.random.default_rng(seed).permutation(learn)
            some = some[: LEARN_ROWS // len(learned)]
            x = pairs_of(setting, some, learned, structure)
            y = setting.bound[np.ix_(some, learned)].ravel()
            for label, drop in (("", 0), ("_no_edges", 2)):
                boosting = HistGradientBoostingClassifier(
                    learning_rate=0.1, max_iter=100, max_leaf_nodes=15, early_stopping=True,
                    n_iter_no_change=5, random_state=seed,
                ).fit(x[:, drop:], y, X_val=x_check[:, drop:], y_val=y_check)  # fmt: skip
                said = boosting.predict_proba(x_test[:, drop:])[:, 1]
                key = f"boosting_pairs{label}_{name}"
                found.setdefault(key, []).append(said.reshape(len(test), -1))
            both = standardised(np.concatenate([x, x_test]), np.arange(len(x)))
            mlp = MLPClassifier(
                hidden_layer_sizes=(64,), alpha=1e-2, batch_size=1024, early_stopping=True,
                max_iter=10, n_iter_no_change=2, random_state=seed,
            ).fit(both[: len(x)], y)  # fmt: skip
            said = mlp.predict_proba(both[len(x) :])[:, 1]
            found.setdefault(f"mlp_pairs_{name}", []).append(
                said.reshape(len(test), -1)
            )
        tell(f"pairs: {name}, {x.shape[1]} columns")
    return found


def solve(setting: Setting, folder: Path, tell: Tell, deadline: float) -> dict[str, Any]:  # fmt: skip
    """Fit everything."""
    graph, task = setting.graph, setting.task
    digest = data_digest(
        graph.nodes["gene"].x.numpy(), setting.bound, setting.part, task.pair.numpy(),
        *(part.numpy() for e in graph.edges.values() for part in (e.source, e.target)),
    )  # fmt: skip
    runs = Runs(folder / "runs_new_factors", digest, tell, deadline)
    scores = runs.keep("tabular", lambda: tabular(setting, tell))
    arms = arms_of(graph, None, NETWORK, TRAINING)
    arms.insert(2, replace(arms[0], name="graph_permuted_labels", permuted=True))
    rows = torch.from_numpy(setting.genes[2])
    columns = np.isin(task.factors.numpy(), setting.of(JUDGED))
    for arm, seed in runs.plan(arms, by_seed=True):
        said = runs.predict(arm, graph, [task], vocabulary_of(graph), rows, seed)
        scores.setdefault(arm.name, []).append(said[:, columns])
    tell(f"measuring; not fitted: {runs.unfinished or 'none'}")
    names = "shown", "learned", "stopped_on", "judged"
    return {
        "factors": {name: len(setting.of(p)) for p, name in enumerate(names)},
        "judged_with_a_shown_relative": int(sum(
            (setting.family[setting.of(SHOWN)] == setting.family[j]).any() for j in setting.of(JUDGED)
        )),
        "judged_with_motif": int(np.isfinite(setting.motif[:, columns]).any(axis=0).sum()),
        "genes_learned": len(setting.genes[0]), "genes_networks_learn": len(task.train), "genes_tested": len(setting.genes[2]),
        "edges": {n: sum(len(graph.edges[k]) for k in keys) for n, keys in relations(graph).items()},
        "unfinished": runs.unfinished,
        **measure(setting, scores),
    }  # fmt: skip


def vocabulary_of(graph: Graph) -> dict[str, list[str]]:
    """Return the nodes that have a vector of their own."""
    names, member = graph.names["tf"], graph.nodes["tf"].member
    known = [names[i] for i in torch.argsort(member) if member[i] >= 0]
    return {"pathway": graph.names["pathway"], "tf": known}


def measure(setting: Setting, scores: Mapping[str, Sequence[Reals]]) -> dict[str, Any]:
    """Return the means over factors, with intervals from resampled families of factors."""
    test, judged = setting.genes[2], setting.of(JUDGED)
    bound = setting.bound[np.ix_(test, judged)]
    point = Judge.of(bound, np.arange(len(test)), draws=0)
    names, block = np.unique(setting.family[judged], return_inverse=True)
    blocks = Blocks.of(np.arange(len(names)), DRAWS, np.random.default_rng(SEED))
    held: dict[str, Reals] = {}

    def by_factor(score: Reals) -> Reals:
        key = data_digest(score)
        if key not in held:
            held[key] = np.array([
                [float(v[0]) for v in point.ranked(score[:, j], bound[:, j], point.index)]
                for j in range(bound.shape[1])
            ])  # fmt: skip
        return held[key]

    found: dict[str, Any] = {"families_judged": len(names)}
    for i, name in enumerate(("auroc_within_factor", "auprc_within_factor")):

        def figure(score: Reals, i: int = i) -> Estimate:
            return blocks.mean(by_factor(score)[:, i], block)

        found[name] = compare(scores, figure, lambda s, f=figure: f(s).value)
    found["auroc_within_gene"] = {
        name: round(point.within_gene(np.mean(each, axis=0)).value, 4)
        for name, each in scores.items()
    }
    known = setting.family[setting.of(SHOWN, LEARNED)]
    related = np.isin(setting.family[judged], known)
    few = "graph", "graph_no_edges", "in_degree", "family_share_shrunk", "boosting_pairs_features"  # fmt: skip
    found["auroc_by_relatives"] = {
        label: {"factors": int(of.sum())} | {
            n: round(float(by_factor(np.mean(scores[n], axis=0))[of, 0].mean()), 4)
            for n in few if n in scores and of.any()
        }
        for label, of in (("with", related), ("without", ~related))
    }  # fmt: skip
    return found


def audit(setting: Setting, source: Source, family_of: Mapping[str, str]) -> list[dict[str, Any]]:  # fmt: skip
    """List what could carry the labels, and what shows that it does not."""
    senders = setting.part[setting.graph.edges[BINDS].source.numpy()]
    hidden = int((senders != SHOWN).sum())
    rng = np.random.default_rng(SEED)
    bound = source.binding["DAPSeq"].bound.copy()
    learn = np.zeros(len(bound), bool)
    learn[setting.genes[0]] = True
    for parts, genes in (((STOPPED, JUDGED), slice(None)), ((LEARNED,), ~learn)):
        columns = np.flatnonzero(np.isin(setting.part, parts))
        block = bound[genes][:, columns]
        flipped = rng.random(block.shape) < 0.5
        bound[np.ix_(np.arange(len(bound))[genes], columns)] = flipped
    binding = {**source.binding, "DAPSeq": replace(source.binding["DAPSeq"], bound=bound)}  # fmt: skip
    other = make_setting(replace(source, binding=binding), family_of)
    differ = [
        "__".join(key) for key, edges in setting.graph.edges.items()
        if not torch.equal(edges.source, other.graph.edges[key].source)
        or not torch.equal(edges.target, other.graph.edges[key].target)
    ]  # fmt: skip
    asked = setting.of(JUDGED)
    tables = {
        "table": (setting.table, other.table),
        "pairs": (setting.task.pair.numpy(), other.task.pair.numpy()),
        "features of pairs": tuple(
            pairs_of(s, s.genes[2], asked, s.table[:, :0]) for s in (setting, other)
        ),
        "labels learned from": tuple(
            s.task.target[s.task.train].numpy() for s in (setting, other)
        ),
    }
    differ += [
        name for name, (one, two) in tables.items()
        if not np.array_equal(one, two, equal_nan=True)
    ]  # fmt: skip
    torn = sum(len(set(setting.part[setting.group == g])) > 1 for g in set(setting.group))  # fmt: skip
    own = set(vocabulary_of(setting.graph)["tf"]) & {setting.factors[j] for j in np.flatnonzero(setting.part != SHOWN)}  # fmt: skip
    opened = [f for f in source.read if any(word in f for word in MADE_OF_DAP)]
    target = setting.task.target[setting.genes[2]]
    checks = [
        ("DAP-seq edges of factors learned from, stopped on and judged", f"{hidden} of {len(senders):,} are messages", not hidden),
        ("labels through any other way",
         f"with all labels of factors stopped on and judged, and those of genes not learned from, replaced by coin flips, all that networks and tables read stays the same, bit for bit; differs: {differ}",
         not differ),
        ("labels of judged genes in the loss", "all are NaN", bool(torch.isnan(target).all())),
        ("vectors of their own", f"{len(own)} factors that were not to show edges have one", not own),
        ("relatives on both sides", f"{torn} ortholog families of factors torn; families by name (bZIP, ...) are in all parts on purpose", not torn),
        ("peaks, and motifs found in peaks", f"of {len(source.read)} files read none holds such: {opened}; of {CISTROME} the names of matrices alone are read", not opened),
    ]  # fmt: skip
    return [{"source": s, "proof": p, "holds": bool(h)} for s, p, h in checks]


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
    family_of = read_families(Tables(arguments.data))
    setting = make_setting(source, family_of)
    checks = audit(setting, source, family_of)
    if broken := [c["source"] for c in checks if not c["holds"]]:
        raise InputError(f"a label is not masked: {'; '.join(broken)}")
    tell("audit holds")
    deadline = begin + 60 * arguments.minutes
    found = solve(setting, arguments.work, tell, deadline)
    checks.append(chance(found["auroc_within_factor"]))
    return {
        "what": "Arabidopsis: DAP-seq targets of factors that were held out whole, among genes of unseen families",
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "seeds": list(SEEDS),
        "network": {"network": asdict(NETWORK), "training": asdict(TRAINING)},
        "factors_without_family_name": sum(tf not in family_of for tf in setting.factors),
        "left_out": source.counts,
        "audit": checks,
        **found,
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip


def main() -> int:
    """Run the benchmark named on the command line."""
    return run_command(
        __doc__,
        run,
        lambda found: {"": found["auroc_within_factor"]},
    )


if __name__ == "__main__":
    sys.exit(main())
