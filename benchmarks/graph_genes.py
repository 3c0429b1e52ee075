"""Do edges help to predict a gene's expression and its promoter? Task 2 of the graph model.

    python benchmarks/graph_genes.py --data ../shared/data --work /tmp/w/genes \
        --out benchmarks/results/graph_genes.json

**Expression**: mean log2(TPM + 1) of 14 *Arabidopsis* leaf samples. **Promoter**: strength
of 170 bp promoters in tobacco leaves (Jores et al. 2021), the mean over three conditions of
values standardised within each; promoters of the two published test sets are left out.
**Expression without chromatin**: as the first, where no signal of the gene's chromatin is
given, which is what one has of a tissue that nobody measured.

Families are held out: genes that share an ortholog group, or their match in *A. lyrata*,
go together to what is learned (70 %), what stops training (10 %) and what is judged (20 %).

The tables become tensors here, without a registry. Edges are those that no expression data
entered: DAP-seq and ChIP-seq (factor to gene), protein interactions, GO slim. Of DAP-seq,
factors with at most 4,000 target genes are kept, for speed.
"""

import argparse
import gzip
import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor

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
from benchmarks.graph_links import scaled
from benchmarks.machine import describe_machine
from encoders.nucleotides import encode
from models.graph.baselines import (
    attributes,
    degree_features,
    propagate,
    relations,
    walk_features,
)
from models.graph.network import NetworkSettings
from models.graph.structure import BACK, EdgeKey, Edges, Graph, Nodes
from models.graph.tasks import NodeTask
from models.graph.training import TrainingSettings
from models.promoter.baselines import kmer_counts

TRAIN, VALIDATION, TEST = 0, 1, 2
SHARES = (0.7, 0.8)
"""Where validation and test begin on the scale from 0 to 1 that families are hashed to."""
EVIDENCE = {"DAPSeq": "dap_binds", "CHIPSeq": "chip_binds"}
"""Evidence of TF-target edges that no expression data entered, and the relation made of it."""
MOST_TARGETS = 4_000
UPSTREAM_BP, DOWNSTREAM_BP = 1_000, 200
N_STATES, N_COMPONENTS, K = 9, 32, 4
LEAF = "leaf_no_enh_dark", "leaf_no_enh_light", "leaf_with_enh_light"
CHIP = {
    "ChIP1_RPKM": ("WT_H3", "WT_me1", "WT_me2", "WT_me3"),
    "ChIP2_RPKM": ("WT_H3", "WT_me1", "WT_me2", "WT_me3"),
    "RPM_Chen2017": ("InpWT", "WT_K4me2", "WT_K4me3"),
}
"""Columns of the wild type."""
NETWORK = NetworkSettings(width=32, heads=4, blocks=2, slots=8)
TRAINING = TrainingSettings(
    epochs=10, batch_size=512, learning_rate=5e-3, patience=3, fan_out=4, sampled=True
)
FEWER = (
    replace(NETWORK, dropout=0.3),
    replace(TRAINING, epochs=8, batch_size=128, learning_rate=2e-3, weight_decay=0.1),
)
"""For the promoter, of which there are eight times fewer labels. Chosen, like the others, by
the loss on validation families among three tries with one seed."""
FEW = ("graph", "graph_no_edges", "features", "features_degree", "joined_degree")
"""What is fitted without chromatin."""
DRAWS = 1_000
SEED = 20_261_127

Reals = NDArray[np.float64]
Numbers = NDArray[np.int64]
Tell = Callable[[str], None]


class Tables:
    """The data folder, and which of its files were read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read: list[str] = []

    def path(self, name: str) -> Path:
        """Return a file's path, and remember it."""
        self.read.append(name)
        return self.folder / name

    def frame(
        self, name: str, separator: str = "\t", **options: object
    ) -> pd.DataFrame:
        """Read a table."""
        return pd.read_csv(self.path(name), sep=separator, **options)

    def rows(self, name: str) -> list[list[str]]:
        """Read lines of different lengths, split at tabs."""
        with gzip.open(self.path(name), "rt", encoding="utf-8") as lines:
            return [line.rstrip("\n").split("\t") for line in lines]


def families(genes: Sequence[str], alike: Iterable[Sequence[str]]) -> list[str]:
    """Return each gene's family, named by the first of its genes.

    Parameters
    ----------
    alike
        Groups of genes that belong together, directly; groups that share a gene are one
        family. Genes in no group are a family each.
    """
    parent = {gene: gene for gene in genes}

    def root(gene: str) -> str:
        while parent[gene] != gene:
            parent[gene] = parent[parent[gene]]
            gene = parent[gene]
        return gene

    for group in alike:
        roots = sorted(root(gene) for gene in group if gene in parent)
        for other in roots[1:]:
            parent[root(other)] = root(roots[0])
    names: dict[str, str] = {}
    for gene in sorted(genes):
        names.setdefault(root(gene), gene)
    return [names[root(gene)] for gene in genes]


def part_of(family: str) -> int:
    """Return the part that a family belongs to, by the hash of its name."""
    digest = hashlib.sha256(family.encode()).digest()
    return int(
        np.searchsorted(SHARES, int.from_bytes(digest[:8], "big") / 2**64, "right")
    )


def group_members(rows: Iterable[Sequence[str]]) -> list[dict[str, list[str]]]:
    """Return each ortholog group's genes by species (``AT``, ``MTR``, ``OS``, ``Solyc``)."""
    found = []
    for row in rows:
        genes: dict[str, list[str]] = {}
        for gene in (one for cell in row for one in cell.split("|") if one):
            species = next(
                s for s in ("AT", "MTR", "OS", "Solyc", "") if gene.startswith(s)
            )
            genes.setdefault(species, []).append(gene)
        found.append(genes)
    return found


def gene_of_symbol(*tables: pd.DataFrame) -> dict[str, str]:
    """Return symbol (upper case) to gene, from tables of gene and symbol; first come first served.

    A symbol that one table gives to several genes names none of them.
    """
    found: dict[str, str] = {}
    for raw in tables:
        table = raw.dropna(subset=list(raw.columns[:2]))
        pairs = pd.DataFrame({
            "gene": table.iloc[:, 0].astype(str).str.upper(),
            "symbol": table.iloc[:, 1].astype(str).str.upper(),
        }).drop_duplicates()  # fmt: skip
        pairs = pairs[~pairs["symbol"].duplicated(keep=False)]
        found = dict(zip(pairs["symbol"], pairs["gene"], strict=True)) | found
    return found


def shares_of_states(states: pd.DataFrame, windows: pd.DataFrame) -> Reals:
    """Return the share of each window that lies in each state, ``(windows, N_STATES)``.

    Parameters
    ----------
    states
        ``Chrom, From, To, State``: 1-based, closed, sorted, without overlap.
    windows
        ``chr, start, end``: 1-based, closed.
    """
    found = np.zeros((len(windows), N_STATES))
    for name, mine in states.groupby("Chrom"):
        first, last, state = (mine[c].to_numpy() for c in ("From", "To", "State"))
        at = np.flatnonzero(windows["chr"].astype(str).to_numpy() == str(name))
        start, end = windows["start"].to_numpy()[at], windows["end"].to_numpy()[at]
        low, high = np.searchsorted(last, start), np.searchsorted(first, end, "right")
        for row, a, b, i, j in zip(at, start, end, low, high, strict=True):
            length = np.minimum(last[i:j], b) - np.maximum(first[i:j], a) + 1
            np.add.at(found[row], state[i:j] - 1, length)
        found[at] /= (end - start + 1)[:, None]
    return found


def peaks_in(peaks: pd.DataFrame, windows: pd.DataFrame) -> Reals:
    """Return the number of peaks (BED) whose middle lies in each window (1-based)."""
    found = np.zeros(len(windows))
    contig = peaks[0].astype(str).str.removeprefix("chr").to_numpy()
    middle = ((peaks[1] + peaks[2]) // 2 + 1).to_numpy()
    for name in np.unique(contig):
        here = np.sort(middle[contig == name])
        at = np.flatnonzero(windows["chr"].astype(str).to_numpy() == name)
        start, end = windows["start"].to_numpy()[at], windows["end"].to_numpy()[at]
        found[at] = np.searchsorted(here, end, "right") - np.searchsorted(here, start)
    return found


@dataclass(frozen=True, slots=True)
class Organism:
    """Genes, what is known of each, and the edges between them; no label.

    Parameters
    ----------
    genes
        ``gene_id, chr, start, end, strand, tss, family, part``, sorted by identifier.
    features
        A column an attribute, NaN where unknown.
    chromatin
        Which columns are chromatin's.
    """

    genes: pd.DataFrame
    features: pd.DataFrame
    chromatin: NDArray[np.bool_]
    edges: dict[EdgeKey, tuple[Numbers, Numbers]]
    names: dict[str, list[str]]
    alike: list[list[str]]
    counts: dict[str, Any]
    read: list[str]


def read_organism(data: Path) -> Organism:
    """Read everything but the labels."""
    tables = Tables(data)
    counts: dict[str, Any] = {}
    genes = tables.frame(
        "arabidopsis/derived/araport11_genes.tsv.gz", dtype={"chr": str}
    )
    genes = genes[genes["gene_biotype"] == "protein_coding"].sort_values("gene_id")
    nuclear = genes["chr"].isin(list("12345"))
    counts["genes_of_organelles_left_out"] = int((~nuclear).sum())
    genes = genes[nuclear].drop_duplicates("gene_id").reset_index(drop=True)
    groups = group_members(tables.rows("arabidopsis/conservation/groups.txt.gz"))
    kaks = tables.frame("arabidopsis/derived/ath_aly_kaks_by_gene.tsv.gz")
    shared = [list(g) for _, g in kaks.groupby("aly_protein")["gene"]]
    alike = [g.get("AT", []) for g in groups] + shared
    genes["family"] = families(genes["gene_id"].tolist(), alike)
    genes["part"] = genes["family"].map(part_of)
    teach = (genes["part"] == TRAIN).to_numpy()
    own = [conservation(genes, groups, kaks), promoter_features(tables, genes, teach)]
    signal = chromatin_features(tables, genes)
    features = pd.concat([*own, signal], axis=1)
    is_chromatin = features.columns.isin(signal.columns)
    edges, names, more = read_edges(tables, genes["gene_id"].tolist())
    return Organism(
        genes, features, is_chromatin, edges, names, alike, counts | more, tables.read
    )


def conservation(genes: pd.DataFrame, groups: list[dict[str, list[str]]], kaks: pd.DataFrame) -> pd.DataFrame:  # fmt: skip
    """Return length, orthologs and divergence from *A. lyrata*."""
    best = kaks[kaks["class"] == "rbh"].drop_duplicates("gene").set_index("gene")
    best = best.reindex(genes["gene_id"])
    number = {
        gene: [len(g.get(s, [])) for s in ("AT", "MTR", "OS", "Solyc")]
        for g in groups for gene in g.get("AT", [])
    }  # fmt: skip
    orthologs = np.array([number.get(g, [0, 0, 0, 0]) for g in genes["gene_id"]], float)
    found = pd.DataFrame({"log_length": np.log(genes["end"] - genes["start"] + 1.0)})
    for name, values in zip(("paralogs", "medicago", "rice", "tomato"), orthologs.T, strict=True):  # fmt: skip
        found[f"orthologs_{name}"] = np.log1p(values)
    found["ka"], found["ks"] = best["ka"].to_numpy(), best["ks"].to_numpy()
    found["has_lyrata_best_hit"] = best["ka"].notna().to_numpy().astype(float)
    return found


def promoter_features(tables: Tables, genes: pd.DataFrame, teach: NDArray[np.bool_]) -> pd.DataFrame:  # fmt: skip
    """Return GC and components of 4-mer shares of 170 bp promoters, where there are any.

    The components are those of genes learned from. Only sequences are read of the tables.
    """
    folder = "benchmarks/promoters/jores2021"
    parts = [
        tables.frame(f"{folder}/{name}.tsv.gz", usecols=["sp", "gene", "sequence"])
        for name in ("six_conditions_long", "CNN_test_leaf", "CNN_test_proto")
    ]
    frame = pd.concat(parts)
    frame = frame[frame["sp"] == "At"].drop_duplicates("gene").set_index("gene")
    sequence = frame["sequence"].reindex(genes["gene_id"])
    known = sequence.notna().to_numpy()
    coded = np.stack([encode(s) for s in sequence[known]])
    counts = kmer_counts(coded, K)
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    pca = PCA(N_COMPONENTS, random_state=0).fit(share[teach[known]])
    found = np.full((len(genes), 1 + N_COMPONENTS), np.nan)
    found[known, 0] = np.isin(coded, (1, 2)).mean(axis=1)
    found[known, 1:] = pca.transform(share)
    names = ["promoter_gc", *(f"promoter_4mer_{i}" for i in range(N_COMPONENTS))]
    return pd.DataFrame(found, columns=names)


def chromatin_features(tables: Tables, genes: pd.DataFrame) -> pd.DataFrame:
    """Return histone marks, chromatin states and open chromatin of genes and promoters."""
    found: dict[str, Any] = {}
    for name, columns in CHIP.items():
        frame = tables.frame(
            f"arabidopsis/epigenome/{name}.txt.gz", r"\s+", index_col=0
        )
        frame = frame[~frame.index.duplicated()].reindex(genes["gene_id"])
        for column in columns:
            found[f"{name}_{column}"] = np.log1p(frame[column].to_numpy())
    forward = (genes["strand"] > 0).to_numpy()
    tss = genes["tss"].to_numpy()
    before = np.where(forward, UPSTREAM_BP, DOWNSTREAM_BP)
    after = UPSTREAM_BP + DOWNSTREAM_BP - before
    promoter = pd.DataFrame({
        "chr": genes["chr"], "start": np.maximum(tss - before, 1), "end": tss + after
    })  # fmt: skip
    states = tables.frame("arabidopsis/epigenome/chrom_states_At_Sequeira-Mendes.gz")
    for place, windows in (("gene", genes), ("promoter", promoter)):
        shares = shares_of_states(states, windows)
        found |= {f"{place}_state_{i + 1}": shares[:, i] for i in range(N_STATES)}
    peaks = (
        "Sullivan_DHS_PE_peaks_control.bed.gz",
        *(f"GSM348475{n}_Root_ATAC_{n - 6}_peaks.narrowPeak.gz" for n in (7, 8, 9)),
    )
    for file in peaks:
        frame = tables.frame(f"arabidopsis/epigenome/{file}", header=None)
        found[f"peaks_{file.split('_peaks')[0]}"] = peaks_in(frame, promoter)
    return pd.DataFrame(found)


def read_edges(tables: Tables, genes: list[str]) -> tuple[dict[EdgeKey, tuple[Numbers, Numbers]], dict[str, list[str]], dict[str, Any]]:  # fmt: skip
    """Return edges as source and target numbers, names of nodes, and what was left out."""
    place = {gene: i for i, gene in enumerate(genes)}
    edges: dict[EdgeKey, tuple[Numbers, Numbers]] = {}
    binding = tables.frame("arabidopsis/derived/tf_target_edges.tsv.xz")
    counts: dict[str, Any] = {
        "tf_edges_by_evidence": binding["type"].value_counts().to_dict()
    }
    inside = binding["target"].isin(place)
    counts["tf_edges_to_other_genes_left_out"] = int((~inside).sum())
    binding = binding[inside & binding["type"].isin(list(EVIDENCE))]
    n_targets = binding.groupby(["type", "tf"])["target"].transform("size")
    kept = (n_targets <= MOST_TARGETS) | (binding["type"] != "DAPSeq")
    counts["dap_edges_of_factors_with_more_targets_left_out"] = int((~kept).sum())
    binding = binding[kept]
    factors = sorted(binding["tf"].unique())
    number = {tf: i for i, tf in enumerate(factors)}
    for evidence, relation in EVIDENCE.items():
        mine = binding[binding["type"] == evidence]
        edges["tf", relation, "gene"] = (
            mine["tf"].map(number).to_numpy(np.int64), mine["target"].map(place).to_numpy(np.int64),
        )  # fmt: skip
        counts[f"{evidence}_factors"] = int(mine["tf"].nunique())
    symbols = gene_of_symbol(
        tables.frame("arabidopsis/network/mapping.tsv.gz", header=None),
        tables.frame("arabidopsis/derived/gene_aliases_fullnames.tsv.gz"),
    )
    pairs = tables.frame("arabidopsis/derived/biogrid_ath_ppi.tsv.gz").iloc[:, 2:4]
    upper = pairs.astype(str).apply(lambda c: c.str.upper())
    ends = upper.apply(
        lambda c: c.map(lambda s: place.get(s if s in place else symbols.get(s, s), -1))
    )
    left, right = ends.to_numpy(np.int64).T
    named = (left >= 0) & (right >= 0)
    counts["ppi"] = {
        "pairs": len(pairs), "symbol_names_no_gene": int((~named).sum()),
        "with_itself": int((named & (left == right)).sum()),
    }  # fmt: skip
    left, right = left[named & (left != right)], right[named & (left != right)]
    both = np.unique(np.stack([np.r_[left, right], np.r_[right, left]]), axis=1)
    edges["gene", "physical", "gene"] = both[0], both[1]
    terms = tables.rows("arabidopsis/network/gprofiler_slim_athaliana.ENSG.gmt.gz")
    names = [row[0] for row in terms]
    member = np.array(
        [(place[g], i) for i, row in enumerate(terms) for g in sorted(set(row[2:])) if g in place],
        np.int64,
    ).T  # fmt: skip
    edges["gene", "member_of", "pathway"] = member[0], member[1]
    edges["pathway", BACK + "member_of", "gene"] = member[1], member[0]
    return edges, {"gene": genes, "tf": factors, "pathway": names}, counts


def graph_of(organism: Organism, columns: NDArray[np.bool_]) -> Graph:
    """Make the graph, with some of the genes' features, scaled by the genes learned from.

    Factors and terms have no attributes but a number. Nothing is sent to factors: what they
    are is learned from the genes that they bind.
    """
    values = organism.features.loc[:, columns].to_numpy()
    known = torch.from_numpy(np.isfinite(values))
    x = torch.from_numpy(np.nan_to_num(values)).float()
    nodes = {"gene": Nodes(x, known, torch.full((len(x),), -1))}
    for name in ("tf", "pathway"):
        n = len(organism.names[name])
        none = torch.zeros(n, 0)
        nodes[name] = Nodes(none, none.bool(), torch.arange(n))
    edges = {}
    for key, (source, target) in organism.edges.items():
        none = torch.zeros(len(source), 0)
        edges[key] = Edges.of(
            torch.from_numpy(source), torch.from_numpy(target), len(nodes[key[2]]),
            none, none.bool(),
        )  # fmt: skip
    part = torch.from_numpy(organism.genes["part"].to_numpy(np.int64))
    return scaled(Graph(nodes, edges, organism.names), {"gene": part})


def expression_of(data: Path, organism: Organism) -> tuple[Reals, dict[str, int]]:
    """Return each gene's mean log2(TPM + 1), NaN where not in the table."""
    frame = pd.read_csv(data / "arabidopsis/expression/arabidopsis_leaf_counts.csv.gz")
    samples = [c for c in frame.columns if c.startswith("ERR")]
    value = pd.Series(
        np.log2(frame[samples].to_numpy() + 1).mean(axis=1), frame["gene_id"]
    )
    found = value.reindex(organism.genes["gene_id"]).to_numpy()
    return found, {
        "samples": len(samples),
        "not_in_the_annotation": int((~frame["gene_id"].isin(organism.genes["gene_id"])).sum()),
        "genes_without_label": int(np.isnan(found).sum()),
    }  # fmt: skip


def promoter_strength_of(
    data: Path, organism: Organism
) -> tuple[Reals, dict[str, int]]:
    """Return each gene's promoter strength in leaves, NaN where not measured.

    Conditions are standardised with mean and deviation of the genes learned from.
    """
    folder = data / "benchmarks/promoters/jores2021"
    frame = pd.read_csv(folder / "six_conditions_long.tsv.gz", sep="\t")
    frame = frame[(frame["sp"] == "At") & frame["condition"].isin(LEAF)]
    published = pd.concat([
        pd.read_csv(folder / f"CNN_test_{one}.tsv.gz", sep="\t") for one in ("leaf", "proto")
    ])  # fmt: skip
    tested = frame["sequence"].isin(published["sequence"]) | frame["gene"].isin(
        published.loc[published["sp"] == "At", "gene"]
    )
    part = organism.genes.set_index("gene_id")["part"].reindex(frame["gene"])
    other = part.isna().to_numpy() & ~tested.to_numpy()
    counts = {
        "rows": len(frame), "of_published_test_sets": int(tested.sum()),
        "not_in_the_annotation": int(other.sum()),
    }  # fmt: skip
    frame = frame.assign(part=part.to_numpy())[~tested.to_numpy() & ~other]
    teach = frame[frame["part"] == TRAIN].groupby("condition")["enrichment"]
    z = (frame["enrichment"] - frame["condition"].map(teach.mean())) / frame["condition"].map(teach.std())  # fmt: skip
    value = z.groupby(frame["gene"]).mean()
    return value.reindex(organism.genes["gene_id"]).to_numpy(), counts


@dataclass(frozen=True, slots=True)
class Setting:
    """A target, ready to learn.

    Parameters
    ----------
    y
        ``(genes,)``, standardised by the genes learned from; NaN where unknown.
    rows
        Genes to learn, stop and judge.
    """

    name: str
    graph: Graph
    y: Reals
    rows: tuple[Numbers, Numbers, Numbers]

    @property
    def task(self) -> NodeTask:
        """What networks learn."""
        learn, check, _ = (torch.from_numpy(rows) for rows in self.rows)
        target = torch.from_numpy(self.y[:, None]).float()
        return NodeTask(self.name, "gene", target, learn, check)


def make_setting(name: str, organism: Organism, y: Reals, columns: NDArray[np.bool_]) -> Setting:  # fmt: skip
    """Make a setting of a target and columns."""
    part = organism.genes["part"].to_numpy()
    rows = [
        np.flatnonzero(np.isfinite(y) & (part == p)) for p in (TRAIN, VALIDATION, TEST)
    ]
    learned = y[rows[TRAIN]]
    y = (y - learned.mean()) / learned.std()
    return Setting(name, graph_of(organism, columns), y, (rows[0], rows[1], rows[2]))


def neighbour_columns(graph: Graph) -> Reals:
    """Return a column a factor and evidence, one a term, and interactors' mean features."""
    n = len(graph.nodes["gene"])
    columns = []
    for key, edges in graph.edges.items():
        if key[2] != "gene":
            continue
        source, target = edges.source.numpy(), edges.target.numpy()
        if key[0] == "gene":
            x = attributes(graph.nodes["gene"].x, graph.nodes["gene"].known)[source]
            count, total = np.zeros((2, n, x.shape[1]))
            np.add.at(count, target, np.isfinite(x))
            np.add.at(total, target, np.nan_to_num(x))
            columns.append(
                np.divide(
                    total, count, out=np.full_like(total, np.nan), where=count > 0
                )
            )
        else:
            one = np.zeros((n, len(graph.nodes[key[0]])))
            one[target, source] = 1
            columns.append(one[:, one.any(axis=0)])
    return np.column_stack(columns)


def tabular(
    setting: Setting, tell: Tell, only: Sequence[str] = ()
) -> dict[str, list[Reals]]:
    """Return what ridge, boosting and MLPs say, by name and seed, of all genes.

    Parameters
    ----------
    only
        Tables to fit; by default all.
    """
    graph, y = setting.graph, setting.y
    learn, check, _ = setting.rows
    own = attributes(graph.nodes["gene"].x, graph.nodes["gene"].known)
    degree = degree_features(graph)["gene"]
    walk = walk_features(graph, np.random.default_rng(SEED))["gene"]
    joined = neighbour_columns(graph)
    designs = {
        "features": own,
        "features_degree": np.column_stack([own, degree]),
        "features_degree_walk": np.column_stack([own, degree, walk]),
        "joined": np.column_stack([own, joined]),
        "joined_degree": np.column_stack([own, degree, joined]),
        "degree_alone": degree,
        "degree_walk_alone": np.column_stack([degree, walk]),
    }
    found: dict[str, list[Reals]] = {"mean": [np.zeros(len(y))]}
    for name, x in designs.items():
        if only and name not in only:
            continue
        z = standardised(x, learn)
        ridge = RidgeCV(np.logspace(-1, 5, 13)).fit(z[learn], y[learn])
        found[f"ridge_{name}"] = [ridge.predict(z)]
        for seed in SEEDS:
            boosting = HistGradientBoostingRegressor(
                learning_rate=0.06, max_iter=600, max_leaf_nodes=15, min_samples_leaf=20,
                max_features=0.3, early_stopping=True, random_state=seed,
            ).fit(x[learn], y[learn], X_val=x[check], y_val=y[check])  # fmt: skip
            found.setdefault(f"boosting_{name}", []).append(boosting.predict(x))
            if name in ("features", "features_degree", "joined_degree"):
                mlp = MLPRegressor(
                    hidden_layer_sizes=(64,), alpha=1e-2, batch_size=256, early_stopping=True, max_iter=40,
                    n_iter_no_change=3, random_state=seed,
                ).fit(z[learn], y[learn])  # fmt: skip
                found.setdefault(f"mlp_{name}", []).append(mlp.predict(z))
        tell(f"{setting.name}: {name}, {x.shape[1]} columns")
    found["label_propagation"] = [propagated(setting)]
    return found


def standardised(x: Reals, learn: Numbers) -> Reals:
    """Return columns scaled by the rows learned from, 0 where missing, and marks of that."""
    marks = ~np.isfinite(x[:, ~np.isfinite(x[learn]).all(axis=0)])
    filled = np.where(np.isfinite(x), x, np.nanmean(x[learn], axis=0))
    both = np.column_stack([filled, marks])
    spread = both[learn].std(axis=0)
    z: Reals = (both - both[learn].mean(axis=0)) / np.where(spread > 1e-9, spread, 1)
    return np.clip(z, -8, 8)


def propagated(setting: Setting) -> Reals:
    """Return labels of the genes learned from spread over the edges, fitted on the check rows."""
    learn, check, _ = setting.rows
    start = np.zeros(len(setting.y))
    start[learn] = setting.y[learn]
    spread = propagate(_both_ways(setting.graph), {"gene": start})["gene"]
    slope, offset = np.polyfit(spread[check], setting.y[check], 1)
    found: Reals = offset + slope * spread
    return found


def _both_ways(graph: Graph) -> Graph:
    """Let factors hear of their genes, or labels could not pass through them."""
    edges = dict(graph.edges)
    for key, mine in graph.edges.items():
        if key[0] == "tf":
            back = Edges.of(
                mine.target, mine.source, len(graph.nodes["tf"]), mine.x, mine.known
            )
            edges["gene", BACK + key[1], "tf"] = back
    return replace(graph, edges=edges)


def solve(setting: Setting, organism: Organism, folder: Path, tell: Tell, deadline: float, only: Sequence[str] = ()) -> dict[str, Any]:  # fmt: skip
    """Fit everything on one target.

    Parameters
    ----------
    only
        Networks and tables to fit; by default all.
    """
    graph, task = setting.graph, setting.task
    digest = data_digest(
        graph.nodes["gene"].x.numpy(), np.nan_to_num(setting.y), *setting.rows,
        *(part.numpy() for e in graph.edges.values() for part in (e.source, e.target)),
    )  # fmt: skip
    runs = Runs(folder / f"runs_{setting.name}", digest, tell, deadline)
    test = setting.rows[TEST]
    said = runs.keep("tabular", lambda: tabular(setting, tell, only))
    scores = {name: [each[test] for each in some] for name, some in said.items()}
    sizes = FEWER if setting.name == "promoter" else (NETWORK, TRAINING)
    arms = arms_of(graph, None, *sizes)
    arms.insert(2, replace(arms[0], name="graph_permuted_labels", permuted=True))
    arms = [arm for arm in arms if not only or arm.name in only]
    rows = torch.from_numpy(test)
    vocabulary = {name: organism.names[name] for name in ("tf", "pathway")}
    for arm, seed in runs.plan(arms, by_seed=True):
        found = runs.predict(arm, graph, [task], vocabulary, rows, seed)
        scores.setdefault(arm.name, []).append(found[:, 0])
    tell(f"{setting.name}: not fitted: {runs.unfinished or 'none'}")
    return {
        "learned": len(setting.rows[0]), "stopped_on": len(setting.rows[1]), "tested": len(test),
        "families_tested": int(organism.genes["family"].iloc[test].nunique()),
        "own_features": graph.nodes["gene"].x.shape[1],
        "unfinished": runs.unfinished,
        **measure(setting, organism, scores),
    }  # fmt: skip


def measure(setting: Setting, organism: Organism, scores: dict[str, list[Reals]]) -> dict[str, Any]:  # fmt: skip
    """Return R2 and Spearman's r, with intervals from resampled families."""
    test = setting.rows[TEST]
    y = setting.y[test]
    _, family = np.unique(
        organism.genes["family"].to_numpy(str)[test], return_inverse=True
    )
    blocks = Blocks.of(family, DRAWS, np.random.default_rng(SEED))
    index = blocks.index(family)

    def moments(a: Reals, b: Reals) -> Estimate:
        """Return the covariance."""
        ab, a_, b_ = (
            blocks.mean(a * b, index),
            blocks.mean(a, index),
            blocks.mean(b, index),
        )
        return Estimate(ab.value - a_.value * b_.value, ab.draws - a_.draws * b_.draws)

    total = moments(y, y)
    ranks = rankdata(y)
    spread = moments(ranks, ranks)

    def r2(score: Reals) -> Estimate:
        error = blocks.mean((score - y) ** 2, index)
        return Estimate(1 - error.value / total.value, 1 - error.draws / total.draws)

    def rho(score: Reals) -> Estimate:
        mine = rankdata(score)
        both, own = moments(mine, ranks), moments(mine, mine)
        with np.errstate(invalid="ignore", divide="ignore"):
            draws = both.draws / np.sqrt(own.draws * spread.draws)
        return Estimate(both.value / float(np.sqrt(own.value * spread.value)), draws)

    ranked = {name: each for name, each in scores.items() if name != "mean"}
    return {
        "r2": compare(scores, r2, lambda s: r2(s).value),
        "spearman": compare(ranked, rho, lambda s: rho(s).value),
        "edges_less_none": {
            f"{a} - {b}": (r2(np.mean(scores[a], axis=0)) - r2(np.mean(scores[b], axis=0))).describe()
            for a, b in PAIRS if a in scores and b in scores
        },
    }  # fmt: skip


PAIRS = (
    ("boosting_features_degree", "boosting_features"),
    ("boosting_joined", "boosting_features"),
    ("boosting_joined_degree", "boosting_features_degree"),
    ("boosting_features_degree_walk", "boosting_features_degree"),
    ("ridge_joined_degree", "ridge_features_degree"),
    ("mlp_joined_degree", "mlp_features_degree"),
    ("graph_no_edges", "mlp_features"),
)
"""Differences in R2 that are reported beside the graph's."""


def audit(organism: Organism, settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """List what could carry the labels, and what shows that it does not."""
    genes, expression = organism.genes, settings[0]
    forbidden = (
        "expression/",
        "scRNA",
        "RNA",
        "introns",
        "gene_info",
        "tss_regression",
    )
    opened = [f for f in organism.read if any(word in f for word in forbidden)]
    part = dict(zip(genes["gene_id"], genes["part"], strict=True))
    torn = sum(
        len({part[g] for g in group if g in part}) > 1 for group in organism.alike
    )
    apart = genes.groupby("family")["part"].nunique().max()
    known = np.isfinite(expression.y)
    rho = {
        name: abs(
            spearmanr(organism.features[name], expression.y, nan_policy="omit")[0]
        )
        for name in organism.features
    }
    best = max(rho, key=lambda name: rho[name])
    noisy = organism.features.copy()
    not_taught = (genes["part"] != TRAIN).to_numpy()
    rng = np.random.default_rng(SEED)
    noisy.loc[not_taught] = rng.normal(size=(int(not_taught.sum()), noisy.shape[1]))
    every = np.ones(noisy.shape[1], bool)
    other = graph_of(replace(organism, features=noisy), every).nodes["gene"].x
    taught = torch.from_numpy(~not_taught)
    same = bool(torch.equal(other[taught], expression.graph.nodes["gene"].x[taught]))
    evidence = organism.counts["tf_edges_by_evidence"]
    dropped = {k: v for k, v in evidence.items() if k not in EVIDENCE}
    used = {key[1] for key in expression.graph.edges if key[0] == "tf"}
    return [
        {"source": "expression tables, single cells, RNA-seq introns, TSS peaks, flags of detection",
         "proof": f"of {len(organism.read)} files read for features and edges none is such: {opened}",
         "holds": not opened},
        {"source": "a feature that is the label in disguise",
         "proof": f"the feature most like expression is {best}: |Spearman| {rho[best]:.3f} over {int(known.sum())} genes",
         "holds": bool(rho[best] < 0.95)},
        {"source": "edges found by expression change (TARGET) or of unknown origin (literature)",
         "proof": f"left out: {dropped}; relations used: {sorted(used)}",
         "holds": used == set(EVIDENCE.values())},
        {"source": "relatives on both sides of the split",
         "proof": f"{genes['family'].nunique()} families, {torn} groups and {int(apart) - 1} families torn",
         "holds": bool(torn == 0 and apart == 1)},
        {"source": "scales and components from judged genes",
         "proof": "with features of all genes not learned from replaced by noise, those of genes learned from stay the same, bit for bit",
         "holds": same},
        {"source": "labels as features", "proof": "what a network reads has as many attributes as columns named here",
         "holds": expression.graph.nodes["gene"].x.shape[1] == organism.features.shape[1]},
    ]  # fmt: skip


OPEN = (
    "GO slim: the file has no evidence codes, so terms inferred from expression patterns (IEP) cannot be told apart",
    "BioGRID: the file names no experimental system, so genetic and physical interactions cannot be told apart",
    "Araport11 gene models were drawn with RNA-seq: lengths are those of transcripts, so expressed genes have longer ones; UTRs, exons and introns are not read",
    "paralogs without an ortholog group and without a common A. lyrata match are separate families",
    "H3K4 methylation is laid down by transcription: it is an effect of expression as much as a cause; expression_no_chromatin leaves it out",
)  # fmt: skip
"""What could not be proved."""


def study_bias(organism: Organism, settings: Sequence[Setting]) -> dict[str, Any]:
    """Return Spearman's r between each label and how much is known of a gene."""
    graph = settings[0].graph
    keys = [key for key in graph.edges if key[2] == "gene"]
    degree = degree_features(graph)["gene"]
    sequence = organism.features["promoter_gc"].notna().to_numpy()
    return {
        setting.name: {
            **{
                "__".join(key): round(float(spearmanr(degree[known, i], setting.y[known])[0]), 3)
                for i, key in enumerate(keys)
            },
            "has_promoter_sequence": None if sequence[known].all() else
            round(float(spearmanr(sequence[known], setting.y[known])[0]), 3),
        }
        for setting in settings for known in [np.isfinite(setting.y)]
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the result ready for JSON."""
    started, begin = datetime.now(UTC), time.perf_counter()
    torch.set_num_threads(1)

    def tell(what: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {what}", flush=True)

    organism = read_organism(arguments.data)
    expression, of_expression = expression_of(arguments.data, organism)
    promoter, of_promoter = promoter_strength_of(arguments.data, organism)
    every = np.ones(len(organism.chromatin), bool)
    settings = [
        make_setting("expression", organism, expression, every),
        make_setting("promoter", organism, promoter, every),
        make_setting(
            "expression_no_chromatin", organism, expression, ~organism.chromatin
        ),
    ]
    checks = audit(organism, settings)
    tell(f"audit: {[c['source'] for c in checks if not c['holds']] or 'all hold'}")
    found: dict[str, Any] = {}
    for setting, share in zip(settings, (0.25, 0.65, 1.0), strict=True):
        only = FEW if setting.name == "expression_no_chromatin" else ()
        deadline = begin + 60 * arguments.minutes * share
        work = arguments.work
        found[setting.name] = solve(setting, organism, work, tell, deadline, only)
    for name in ("expression", "promoter"):
        permuted = found[name]["r2"].get("graph_permuted_labels")
        checks.append({
            "source": f"{name}: anything that the list forgot",
            "proof": f"R2 with labels permuted while learning: {permuted and {k: permuted[k] for k in ('value', 'low', 'high')}}",
            "holds": permuted is not None and permuted["high"] < 0.02,
        })  # fmt: skip
    graph = settings[0].graph
    return {
        "what": "Arabidopsis: leaf expression and promoter strength of genes of unseen families, with and without a graph",
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "seeds": list(SEEDS),
        "network": {name: {"network": asdict(n), "training": asdict(t)} for name, (n, t) in
                    {"expression": (NETWORK, TRAINING), "promoter": FEWER}.items()},
        "most_targets_of_a_dap_factor": MOST_TARGETS,
        "nodes": {name: len(nodes) for name, nodes in graph.nodes.items()},
        "edges": {n: sum(len(graph.edges[k]) for k in keys) for n, keys in relations(graph).items()},
        "left_out": organism.counts | {"expression": of_expression, "promoter": of_promoter},
        "features": list(organism.features.columns),
        "audit": checks,
        "not_proved": list(OPEN),
        "study_bias_spearman": study_bias(organism, settings),
        **found,
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip


def main() -> int:
    """Run the benchmark named on the command line."""
    return run_command(
        __doc__,
        run,
        lambda found: {
            target: found[target]["r2"]
            for target in ("expression", "promoter", "expression_no_chromatin")
        },
    )


if __name__ == "__main__":
    sys.exit(main())
