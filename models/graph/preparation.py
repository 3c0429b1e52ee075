"""From a workspace's graph and tables to a scaled graph and tasks, split by contig."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_registry.errors import InputError, MalformedFileError, MissingLayerError
from data_registry.store import open_store
from graph_builder.manifest import Manifest, current_graph, read_manifest
from graph_builder.schema import EDGE_TYPES, NODE_TYPES
from models.graph.attachment import Places, attach
from models.graph.features import Scale, Scales, VariantColumns
from models.graph.network import NEAR, Queries
from models.graph.settings import (
    ACTIVITY,
    ELEMENTS,
    VARIANTS,
    Settings,
    SplitSettings,
    TaskSettings,
)
from models.graph.structure import BACK, Edges, Graph, Nodes, graph_of
from models.graph.tasks import LinkTask, NodeTask, Task, VariantTask
from models.hetero import Reduction, add_embeddings, load_hetero

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

TRAIN, VALIDATION, TEST = 0, 1, 2
KEYS = ("contig", "start", "end", "label")
TRUTH = ("target_gene", "effect")
"""Optional columns of a variant table: the gene it acts on, and its signed effect."""
SEED = 7
HIDDEN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    ELEMENTS: {"cre": ("activity",)},
    ACTIVITY: {
        "cre": ("activity", "n_samples"),
        "gene__linked_to__cre": ("activity", "score"),
    },
}
"""Kind of task to the attributes of nodes and edges that are or were made from its answer."""

Ints = NDArray[np.int64]
Part = TypeVar("Part", Nodes, Edges)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything a network is fitted on.

    Parameters
    ----------
    part
        Node type to the part each node is in (0 learn, 1 stop, 2 judge); types without
        a place are not named.
    columns
        How variants become numbers; None without a task of variants.
    test
        Task to the rows that only judge.
    left_out
        Input rows that did not enter, by reason.
    """

    digest: str
    graph: Graph
    tasks: tuple[Task, ...]
    vocabulary: dict[str, list[str]]
    scales: Scales
    columns: VariantColumns | None
    reductions: tuple[Reduction, ...]
    part: dict[str, Tensor]
    test: dict[str, Tensor]
    left_out: dict[str, int]


def read_graph(workspace: Path) -> Path:
    """Return the newest graph of a workspace.

    Raises
    ------
    MissingLayerError
        None is built.
    """
    graph = current_graph(workspace / "graph")
    if graph is None:
        raise MissingLayerError(
            f"{workspace} holds no graph; build one with 'cisgraph build -w {workspace}'"
        )
    return graph


def read_variants(path: Path) -> pd.DataFrame:
    """Read a table of variants with labels (Parquet, as ``cisgraph prior table`` writes it).

    Raises
    ------
    MalformedFileError
        It cannot be read, lacks a column, or a label is neither 0 nor 1.
    """
    remedy = "Write it with 'cisgraph prior table --out FILE'."
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise MalformedFileError(
            path, f"cannot be read: {error}", remedy=remedy
        ) from error
    if missing := [name for name in KEYS if name not in table]:
        raise MalformedFileError(path, f"no column {', '.join(missing)}", remedy=remedy)
    if not table["label"].isin([0, 1]).all():
        raise MalformedFileError(path, "a label is neither 0 nor 1", remedy=remedy)
    return table


def features_of(table: pd.DataFrame, leave_out: tuple[str, ...] = ()) -> list[str]:
    """Return the columns that are read of a variant."""
    return [str(name) for name in table if name not in {*KEYS, *TRUTH, *leave_out}]


def parts_of_nodes(data: "HeteroData", split: SplitSettings) -> dict[str, Tensor]:
    """Return the part of each node that has a place, by its contig.

    Raises
    ------
    InputError
        A contig of the split is none of the graph's.
    """
    part_of = dict.fromkeys(split.validation, VALIDATION) | dict.fromkeys(
        split.test, TEST
    )
    found, seen = {}, set()
    for name in data.node_types:
        if "contig" in data[name]:
            seen |= set(data[name].contig)
            found[name] = torch.tensor(
                [part_of.get(c, TRAIN) for c in data[name].contig]
            )
    if unknown := sorted(set(part_of) - seen):
        raise InputError(f"split: the graph has no contig {', '.join(unknown)}")
    return found


def prepare(
    settings: Settings, graph_folder: Path, *,
    workspace: Path | None = None, variants: pd.DataFrame | None = None,
) -> Prepared:  # fmt: skip
    """Read and scale everything; statistics are of training nodes and variants alone.

    Raises
    ------
    InputError
        A task lacks its data, or a part of the split has none.
    """
    manifest = read_manifest(graph_folder)
    data = load_hetero(graph_folder)
    part = parts_of_nodes(data, settings.split)
    reductions = reduce_embeddings(settings, data, part, embeddings_of(graph_folder))
    data = add_embeddings(data, embeddings_of(graph_folder), reductions)
    vocabulary = {
        name: sorted(data[name].identifier)
        for name in settings.network.closed if name in settings.types
    }  # fmt: skip
    graph = graph_of(
        data, settings.types, leave_out=settings.hidden, vocabulary=vocabulary
    )
    graph = hide_attributes(graph, data, settings)
    rows = _Rows(settings, manifest, data, part, workspace)
    tasks: list[Task] = []
    columns, queries = None, None
    for task in settings.tasks:
        if task.kind == VARIANTS:
            if variants is None:
                raise InputError("a task of variants needs a table: give --variants")
            made, columns = rows.variants(task, variants, Places.read(graph_folder))
            queries = made.queries.take(made.train)
            tasks.append(made)
        else:
            tasks.append(getattr(rows, task.kind)(task))
    teach = {name: p == TRAIN for name, p in part.items() if name in settings.types}
    scales = Scales.of(graph, teach, queries or Queries(_no_nodes(), {}))
    scaled = [_scaled(t, scales) if isinstance(t, VariantTask) else t for t in tasks]
    for each in scaled:
        if not len(each.train) or not len(each.validation):
            raise InputError(
                f"task {each.name}: {len(each.train)} rows to learn from and "
                f"{len(each.validation)} to stop by; name other contigs under [split]"
            )
    return Prepared(
        manifest.digest, scales.graph(graph), tuple(scaled), vocabulary, scales, columns,
        reductions, part, rows.test, rows.left_out,
    )  # fmt: skip


def embeddings_of(graph_folder: Path) -> Path:
    """Return where the workspace of a graph keeps embeddings."""
    return graph_folder.parents[1] / "embeddings"


def reduce_embeddings(
    settings: Settings, data: "HeteroData", part: Mapping[str, Tensor], root: Path
) -> tuple[Reduction, ...]:
    """Learn the principal components of embeddings, from training nodes alone."""
    found = []
    for node_type, name in sorted(settings.embeddings.items()):
        names = data[node_type].identifier
        teach = part.get(node_type, torch.zeros(len(names)))
        learned = [n for n, p in zip(names, teach.tolist(), strict=True) if p == TRAIN]
        found.append(Reduction.fit(node_type, name, root, learned, settings.components))
    return tuple(found)


def _no_nodes() -> Nodes:
    none = torch.zeros(0, 0)
    return Nodes(none, none.bool(), torch.zeros(0, dtype=torch.long))


def _scaled(task: VariantTask, scales: Scales) -> VariantTask:
    queries = scales.queries(task.queries)
    return VariantTask(
        task.name, queries, task.label, task.pair_label, task.pair_effect,
        task.train, task.validation, task.weight,
    )  # fmt: skip


def hide_attributes(graph: Graph, data: "HeteroData", settings: Settings) -> Graph:
    """Mark as missing what would tell a task's answer: ``HIDDEN`` of its kind."""
    nodes, edges = dict(graph.nodes), dict(graph.edges)
    for task in settings.tasks:
        for name, attributes in HIDDEN.get(task.kind, {}).items():
            if name in NODE_TYPES:
                names = data[name].x_names
                columns = [names.index(one) for one in attributes]
                nodes[name] = _without(nodes[name], columns)
                continue
            source, relation, target = name.split("__")
            names = data[source, relation, target].edge_names
            columns = [names.index(one) for one in attributes]
            for key in ((source, relation, target), (target, BACK + relation, source)):
                if key in edges:
                    edges[key] = _without(edges[key], columns)
    return replace(graph, nodes=nodes, edges=edges)


def _without(of: Part, columns: list[int]) -> Part:
    known = of.known.clone()
    known[:, columns] = False
    return replace(of, x=torch.where(known, of.x, 0.0), known=known)


class _Rows:
    """Reads the rows of each kind of task."""

    def __init__(
        self, settings: Settings, manifest: Manifest, data: "HeteroData",
        part: Mapping[str, Tensor], workspace: Path | None,
    ) -> None:  # fmt: skip
        self.settings, self.manifest, self.data = settings, manifest, data
        self.part, self.workspace = part, workspace
        self.test: dict[str, Tensor] = {}
        self.left_out: dict[str, int] = {}

    def variants(
        self, task: TaskSettings, table: pd.DataFrame, places: Places
    ) -> tuple[VariantTask, VariantColumns]:
        split = self.settings.split
        contig = table["contig"].astype(str)
        check, test = contig.isin(split.validation), contig.isin(split.test)
        learn = ~check & ~test
        features = features_of(table, self.settings.leave_out_features)
        if not learn.any():
            raise InputError("no variant lies on a contig to learn from")
        columns = VariantColumns.of(table[learn], features)
        queries = attach(
            places, table["contig"].to_numpy(object), table["start"].to_numpy(np.int64),
            table["end"].to_numpy(np.int64), columns.nodes(table),
        )  # fmt: skip
        seen = {k: e for k, e in queries.edges.items() if k[0] in self.settings.types}
        queries = Queries(queries.nodes, seen)
        pair_label, pair_effect = self._truth(table, queries)
        rows = [torch.from_numpy(np.flatnonzero(r)) for r in (learn, check, test)]
        self.test[task.name] = rows[2]
        unattached = len(table) - len(torch.unique(queries.edges[NEAR].target))
        self.left_out["variants without a candidate gene (scored alone)"] = unattached
        return VariantTask(
            task.name, queries, torch.from_numpy(table["label"].to_numpy(np.float32)),
            pair_label, pair_effect, rows[0], rows[1], task.weight,
        ), columns  # fmt: skip

    def _truth(self, table: pd.DataFrame, queries: Queries) -> tuple[Tensor, Tensor]:
        pairs = queries.edges[NEAR]
        unknown = torch.full((len(pairs),), torch.nan)
        if "target_gene" not in table:
            return unknown, unknown.clone()
        place = {name: i for i, name in enumerate(self.data["gene"].identifier)}
        target = torch.tensor(
            [
                -1 if pd.isna(name) else place.get(name, -2)
                for name in table["target_gene"]
            ]
        )
        self.left_out["target genes that the graph lacks"] = int((target == -2).sum())
        label = (pairs.source == target[pairs.target]).float()
        effect = unknown.clone()
        if "effect" in table:
            values = torch.tensor(table["effect"].to_numpy(np.float32))
            effect = torch.where(label > 0, values[pairs.target], torch.nan)
        return label, effect

    def expression(self, task: TaskSettings) -> NodeTask:
        if self.workspace is None:
            raise InputError("a task of expression needs the workspace")
        with open_store(self.workspace) as store:
            frame = store.connection.execute(
                "SELECT gene_id, sample_id, avg(value) AS value FROM expression "
                "WHERE dataset = ? GROUP BY ALL ORDER BY ALL", [task.dataset],
            ).df()  # fmt: skip
        if frame.empty:
            raise MissingLayerError(
                f"no expression data set {task.dataset!r} is registered; "
                "'cisgraph add TABLE --kind expression' adds one"
            )
        frame["value"] = np.log2(1 + frame["value"])
        wide = frame.pivot_table(index="gene_id", columns="sample_id", values="value")
        names = self.data["gene"].identifier
        target = torch.from_numpy(wide.reindex(names).to_numpy(np.float32))
        self.left_out["genes with expression that the graph lacks"] = len(
            set(wide.index) - set(names)
        )
        names = tuple(map(str, wide.columns))
        return self._nodes(task, "gene", target, names)

    def elements(self, task: TaskSettings) -> NodeTask:
        """Class of the element first, as a number; the activity is hidden from the graph."""
        classes = next(
            a for a in NODE_TYPES["cre"].attributes if a.name == "class"
        ).choices
        given = self.manifest.table("cre")["class"].to_pylist()
        target = torch.tensor([[float(classes.index(one))] for one in given])
        return self._nodes(task, "cre", target, classes, n_classes=len(classes))

    def activity(self, task: TaskSettings) -> NodeTask:
        """log2(1 + activity) of elements with a signal."""
        given = self.manifest.table("cre")["activity"].to_numpy(zero_copy_only=False)
        target = torch.from_numpy(np.log2(1 + given.astype(np.float32)))[:, None]
        self.left_out["elements without activity"] = int(torch.isnan(target).sum())
        return self._nodes(task, "cre", target, ("activity",))

    def _nodes(
        self, task: TaskSettings, name: str, target: Tensor, names: tuple[str, ...],
        n_classes: int = 0,
    ) -> NodeTask:  # fmt: skip
        scale = None
        if not n_classes:
            scale = _scale(target[self.part[name] == TRAIN])
            target = (target - scale.mean) / scale.sd
        known = ~torch.isnan(target).all(1)
        rows = [torch.nonzero(known & (self.part[name] == p))[:, 0] for p in (0, 1, 2)]
        self.test[task.name] = rows[2]
        return NodeTask(
            task.name, name, target, rows[0], rows[1], n_classes, task.weight, names,
            scale,
        )  # fmt: skip

    def links(self, task: TaskSettings) -> LinkTask:
        kind = EDGE_TYPES[task.edge]
        table = self.manifest.table(task.edge)
        left, right = table["source"].to_numpy(), table["target"].to_numpy()
        if not len(left):
            raise InputError(f"task links: the graph has no edge {task.edge}")
        if task.value:
            target = table[task.value].to_numpy(zero_copy_only=False).astype(np.float32)
            target = np.log1p(target)
            kept = np.isfinite(target)
            self.left_out[f"{task.edge} without {task.value}"] = int((~kept).sum())
            left, right, target = left[kept], right[kept], target[kept]
        else:
            rng = np.random.default_rng(SEED)
            sizes = (self.data[kind.source].num_nodes, self.data[kind.target].num_nodes)
            more = draw_negatives(left, right, sizes, task.negatives, rng)
            target = np.r_[np.ones(len(left)), np.zeros(len(more[0]))].astype(
                np.float32
            )
            left, right = np.r_[left, more[0]], np.r_[right, more[1]]
        left, right = torch.from_numpy(left.copy()), torch.from_numpy(right.copy())
        values = torch.from_numpy(target)
        part = torch.zeros(len(left), dtype=torch.long)
        for name, end in ((kind.source, left), (kind.target, right)):
            if name in self.part:
                part = torch.maximum(part, self.part[name][end])
        rows = [torch.nonzero(part == p)[:, 0] for p in (0, 1, 2)]
        self.test[task.name] = rows[2]
        scale = None
        if task.value:
            scale = _scale(values[rows[0]][:, None])
            values = (values - scale.mean) / scale.sd
        return LinkTask(
            task.name, (kind.source, kind.target), left, right,
            torch.zeros(len(left), 0), values, rows[0], rows[1],
            "number" if task.value else "binary", task.weight, scale,
        )  # fmt: skip


def draw_negatives(
    left: Ints, right: Ints, sizes: tuple[int, int], per_edge: int,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:  # fmt: skip
    """Draw pairs without an edge: the same left nodes, right nodes as often as they occur.

    A right node with many edges is drawn as often more, so that its degree alone says
    nothing of a pair.
    """
    taken = np.unique(left * sizes[1] + right)
    one = np.repeat(left, per_edge)
    other = right[rng.integers(0, len(right), len(one))]
    key = np.unique(one * sizes[1] + other)
    key = key[~np.isin(key, taken)]
    return key // sizes[1], key % sizes[1]


def _scale(target: Tensor) -> Scale:
    return Scale.of(target.nan_to_num(), ~torch.isnan(target))
