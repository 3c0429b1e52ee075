"""A trained graph model as users meet it: several seeds, opened on a stored graph."""

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize

from data_registry.errors import InputError
from models.ensemble_folder import CONFIG, checked_weights, read_config
from models.graph.attachment import Places, attach
from models.graph.features import Scales, VariantColumns
from models.graph.knowledge import Slots
from models.graph.network import (
    GENE,
    NEAR,
    GraphTransformer,
    Layout,
    NetworkSettings,
    Queries,
    States,
    VariantHead,
)
from models.graph.preparation import Prepared, embeddings_of, hide_attributes
from models.graph.settings import VARIANTS, Settings, settings_from
from models.graph.structure import EdgeKey, Graph, graph_of
from models.graph.tasks import Task, VariantTask
from models.graph.training import GraphModel, causal_graph
from models.hetero import Reduction, add_embeddings, load_hetero

FORM = "cisgraph graph model 1"
AT_ONCE = 8_192
OF_GENES = ("gene", "pathway", "phenotype")
"""Node types of what is shown beside a gene though the networks do not see it."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """What an ensemble says of variants.

    Parameters
    ----------
    probability
        ``(n,)``: calibrated; NaN where the variant lies outside the training support.
    spread
        ``(n,)``: standard deviation of the networks' probabilities.
    gene
        ``(n,)``: number of the candidate gene judged highest by the mean of the
        networks; -1 without any.
    agreement
        ``(n,)``: share of the networks whose highest gene that is; NaN without any.
    effect
        ``(n,)``: signed effect on that gene; NaN where effects were never learned.
    logits
        ``(networks, n)``, before calibration.
    supported
        ``(n,)``.
    """

    probability: Reals
    spread: Reals
    gene: NDArray[np.int64]
    agreement: Reals
    effect: Reals
    logits: Reals
    supported: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class GraphEnsemble:
    """Networks that differ in their seed alone, with all they need to read a graph.

    Parameters
    ----------
    columns
        How variants become numbers; None where no task was one of variants.
    calibration
        Intercept and slope from the mean logit to the log-odds.
    learned_effects
        Whether signed effects were among the labels.
    """

    name: str
    settings: Settings
    networks: tuple[GraphTransformer, ...]
    slots: tuple[Slots, ...]
    layout: Layout
    scales: Scales
    columns: VariantColumns | None
    reductions: tuple[Reduction, ...]
    calibration: tuple[float, float]
    learned_effects: bool
    digest: str
    provenance: Mapping[str, Any]

    def open(self, graph_folder: Path) -> "Opened":
        """Encode a stored graph, once for each network.

        Edge types that the networks never met are left out.

        Raises
        ------
        WorkspaceError
            There is no readable graph.
        """
        data = load_hetero(graph_folder)
        data = add_embeddings(data, embeddings_of(graph_folder), self.reductions)
        graph = graph_of(
            data, self.settings.types, leave_out=self.settings.hidden,
            vocabulary=self.layout.vocabulary,
        )  # fmt: skip
        graph = hide_attributes(graph, data, self.settings)
        strange = [key for key in graph.edges if key not in self.layout.edges]
        graph = self.scales.graph(graph.without(strange))
        graph = causal_graph(graph, self.settings.training.causal)
        stored = graph_of(data, OF_GENES, leave_out=self.settings.hidden)
        not_context = [
            k for k in stored.edges if k[2] != GENE or k[0] == GENE or k in graph.edges
        ]
        with torch.inference_mode():
            states = tuple(
                _in_double(network.encode(graph)) for network in self.networks
            )
        networks = tuple(copy.deepcopy(network).double() for network in self.networks)
        return Opened(
            self, graph, Places.read(graph_folder), networks, states,
            stored.without(not_context),
        )  # fmt: skip


def _in_double(states: States) -> States:
    return States(
        tuple(
            {name: h.double() for name, h in layer.items()} for layer in states.hidden
        ),
        tuple(None if t is None else t.double() for t in states.totals),
        states.weights,
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """An ensemble on a stored graph.

    Parameters
    ----------
    networks, states
        In double precision: rounding then depends on batch-mates nowhere that shows.
    context
        Edges into genes from pathways and phenotypes that the stored graph has, that were
        not hidden as a label, and that the networks cannot see.
    """

    ensemble: GraphEnsemble
    graph: Graph
    places: Places
    networks: tuple[GraphTransformer, ...]
    states: tuple[States, ...]
    context: Graph

    def attach(self, table: pd.DataFrame) -> Queries:
        """Attach variants: ``contig``, ``start``, ``end`` (0-based) and the evidence."""
        assert self.ensemble.columns is not None, "no task of variants"  # noqa: S101
        queries = attach(
            self.places, table["contig"].to_numpy(object),
            table["start"].to_numpy(np.int64), table["end"].to_numpy(np.int64),
            self.ensemble.columns.nodes(table),
        )  # fmt: skip
        layout = self.ensemble.layout
        known = {k: e for k, e in queries.edges.items() if k in layout.edges}
        scaled = self.ensemble.scales.queries(Queries(queries.nodes, known))
        return Queries(
            replace(scaled.nodes, x=scaled.nodes.x.double()),
            {k: replace(e, x=e.x.double()) for k, e in scaled.edges.items()},
        )

    def score(self, queries: Queries) -> Scores:
        """Ask about attached variants; none of them sees another."""
        parts = [
            self._score(queries.take(rows))
            for rows in torch.split(torch.arange(len(queries)), AT_ONCE)
        ]
        return Scores(*(
            np.concatenate([getattr(p, name) for p in parts], axis=-1)
            for name in Scores.__slots__
        ))  # fmt: skip

    def _score(self, queries: Queries) -> Scores:
        ensemble, n = self.ensemble, len(queries)
        assert ensemble.columns is not None, "no task of variants"  # noqa: S101
        with torch.inference_mode():
            answers = [
                network.judge(ensemble.settings.tasks[0].name, states, queries)
                for network, states in zip(self.networks, self.states, strict=True)
            ]
        logits = np.stack([a.logit.double().numpy() for a in answers])
        each = calibrated(logits, ensemble.calibration)
        supported = ensemble.columns.is_supported(queries.nodes).numpy()
        probability = calibrated(logits.mean(axis=0), ensemble.calibration)
        pairs = queries.edges[NEAR]
        owner, gene = pairs.target.numpy(), pairs.source.numpy()
        said = np.stack([a.pair_logit.double().numpy() for a in answers])
        best = _highest(said.mean(axis=0), owner, n)
        votes = np.stack([_highest(one, owner, n) for one in said])
        has = best >= 0
        effect = np.full(n, np.nan)
        if ensemble.learned_effects:
            sizes = np.mean([a.pair_effect.double().numpy() for a in answers], axis=0)
            effect[has] = sizes[best[has]]
        return Scores(
            np.where(supported, probability, np.nan),
            np.where(supported, each.std(axis=0), np.nan),
            np.where(has, gene[best], -1) if len(gene) else np.full(n, -1),
            np.where(has, (votes == best).mean(axis=0), np.nan),
            effect, logits, supported,
        )  # fmt: skip


def calibrated(logits: Reals, calibration: tuple[float, float]) -> Reals:
    """Return probabilities."""
    found: Reals = 1 / (1 + np.exp(-(calibration[0] + calibration[1] * logits)))
    return found


def _highest(value: Reals, owner: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the row of each owner's highest value, the first of equals; -1 without one."""
    order = np.lexsort((-np.arange(len(value)), value))
    best = np.full(n, -1)
    best[owner[order]] = order
    return best


def calibrate(logits: Reals, label: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit intercept and slope by likelihood (Platt 1999); the slope is not negative."""

    def loss(at: Reals) -> float:
        eta = at[0] + at[1] * logits
        return float(np.mean(np.logaddexp(0.0, eta) - label * eta) + 1e-6 * at @ at)

    found = minimize(loss, np.array([0.0, 1.0]), bounds=[(None, None), (0.0, None)]).x
    return float(found[0]), float(found[1])


def predict_task(models: Sequence[GraphModel], prepared: Prepared, task: Task, rows: torch.Tensor) -> Reals:  # fmt: skip
    """Return the mean of the networks' answers, ``(rows, outputs)``."""
    found = []
    for model in models:
        assert model.network is not None, "fit comes first"  # noqa: S101
        with torch.inference_mode():
            states = model.states(prepared.graph)
            found.append(task.predict(model.network, states, rows))
    mean: Reals = np.mean(found, axis=0)
    return mean


def save_ensemble(
    folder: Path, settings: Settings, models: Sequence[GraphModel], prepared: Prepared,
    provenance: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write ``config.json`` and one safetensors file a network; calibrate on the way.

    Raises
    ------
    InputError
        Nothing was fitted.
    """
    if not models:
        raise InputError(f"{settings.name}: nothing was fitted")
    task = next((t for t in prepared.tasks if isinstance(t, VariantTask)), None)
    ordered = sorted(settings.tasks, key=lambda t: t.kind != VARIANTS)
    calibration, learned_effects = (0.0, 1.0), False
    if task is not None:
        check = predict_task(models, prepared, task, task.validation)[:, 0]
        calibration = calibrate(check, task.label[task.validation].numpy() > 0.5)
        learned_effects = bool((~torch.isnan(task.pair_effect)).any())
    folder.mkdir(parents=True, exist_ok=True)
    members = []
    for i, model in enumerate(models):
        assert model.network is not None and model.slots is not None  # noqa: S101, PT018
        path = folder / f"model{i}.safetensors"
        beside = path.with_suffix(f".{os.getpid()}")
        save_file(
            {k: v.contiguous() for k, v in model.network.state_dict().items()}, beside
        )
        beside.replace(path)
        members.append({
            "weights": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "slots": list(model.slots.names),
        })  # fmt: skip
    network = models[0].network
    assert network is not None  # noqa: S101
    layout = network.layout
    config = {
        "form": FORM, "name": settings.name,
        "settings": asdict(settings) | {"tasks": [asdict(t) for t in ordered]},
        "layout": {
            "nodes": dict(layout.nodes),
            "edges": {"__".join(key): n for key, n in layout.edges.items()},
            "n_variant": layout.n_variant,
            "vocabulary": dict(layout.vocabulary),
        },
        "members": members,
        "calibration": list(calibration), "learned_effects": learned_effects,
        "scales": prepared.scales.as_dict(),
        "columns": prepared.columns and prepared.columns.as_dict(),
        "reductions": [each.as_dict() for each in prepared.reductions],
        "provenance": dict(provenance),
    }  # fmt: skip
    beside = folder / f"{CONFIG}.{os.getpid()}"
    beside.write_text(json.dumps(config) + "\n", encoding="utf-8")
    beside.replace(folder / CONFIG)


def load_ensemble(folder: Path, tasks: Sequence[Task] = ()) -> GraphEnsemble:
    """Return the ensemble of a folder, with the heads of ``tasks`` beside the variants'.

    Raises
    ------
    MalformedFileError
        A file is missing, of another form, or not the one that was written.
    """
    remedy = "Train it again with 'python -m models.train graph'."
    config, digest = read_config(folder, FORM, remedy)
    settings = settings_from(config["settings"])
    held = config["layout"]
    layout = Layout(
        held["nodes"], {_key(name): n for name, n in held["edges"].items()},
        held["n_variant"], held["vocabulary"],
    )  # fmt: skip
    columns = config["columns"] and VariantColumns.from_dict(config["columns"])
    networks, slots = [], []
    for member in config["members"]:
        weights = checked_weights(folder, member, remedy)
        networks.append(_network(settings.network, layout, load_file(weights), tasks))
        slots.append(Slots(tuple(member["slots"])))
    return GraphEnsemble(
        config["name"], settings, tuple(networks), tuple(slots), layout,
        Scales.from_dict(config["scales"]), columns,
        tuple(Reduction.from_dict(each) for each in config["reductions"]),
        (config["calibration"][0], config["calibration"][1]), config["learned_effects"],
        digest, config["provenance"],
    )  # fmt: skip


def _network(
    settings: NetworkSettings, layout: Layout, weights: Mapping[str, torch.Tensor],
    tasks: Sequence[Task],
) -> GraphTransformer:  # fmt: skip
    """Build the part that scores variants, and the heads of some other tasks."""
    names = {name.split(".")[1] for name in weights if name.startswith("heads.")}
    heads = {task.name: task.head(settings.width, layout) for task in tasks} | {
        name: VariantHead(settings.width, layout.edges.get(NEAR, 0))
        for name in names if f"heads.{name}.nobody" in weights
    }  # fmt: skip
    network = GraphTransformer(settings, layout, heads)
    kept = {
        name: value for name, value in weights.items()
        if not name.startswith("heads.") or name.split(".")[1] in heads
    }  # fmt: skip
    network.load_state_dict(kept)
    return network.eval()


def _key(name: str) -> EdgeKey:
    source, relation, target = name.split("__")
    return source, relation, target
