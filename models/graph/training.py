"""Fitting a graph transformer to several tasks: AdamW, cosine, early stopping, resumable."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data_registry.errors import InputError
from models.graph.knowledge import Slots, start_slots
from models.graph.network import GraphTransformer, Layout, NetworkSettings, States
from models.graph.sampling import Sample, sample, shuffle_rows, thin
from models.graph.structure import Graph, on_device
from models.graph.tasks import Task
from models.promoter.training import drawing_from
from models.schedule import warmup_cosine

STATE = "state.pt"
Report = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class CausalSettings:
    """Known causal relations as a constraint on where messages travel; off by default.

    Parameters
    ----------
    relations
        Edge types (``tf__motif_in__cre``, ``cre__back_linked_to__gene``) along which
        causes act, sender to receiver.
    weight
        Of the penalty: the mean share of a node's attention that other relations get.
    only
        Leave the other relations out altogether.
    """

    relations: tuple[str, ...] = ()
    weight: float = 0.0
    only: bool = False


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a network is fitted.

    Parameters
    ----------
    patience
        Epochs without a better validation loss before training stops.
    fan_out
        Edges of a type into a node while training, at most; drawn anew each epoch. Twice
        as many, one draw for all epochs, where the loss on the validation rows is taken.
    sampled
        Encode only what a batch hears of, for graphs too large for each step.
    knowledge
        Start the slots as pathways; else at random.
    clip
        Greatest norm of the gradient.
    """

    epochs: int = 12
    batch_size: int = 2_048
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    patience: int = 4
    fan_out: int = 8
    sampled: bool = False
    knowledge: bool = True
    clip: float = 1.0
    causal: CausalSettings = field(default_factory=CausalSettings)


def training_device() -> torch.device:
    """Return this process's accelerator, or the processor where there is none."""
    n = torch.cuda.device_count()
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", rank % n) if n else torch.device("cpu")


def generator_of(*numbers: int) -> torch.Generator:
    """Return a generator that depends on the numbers alone."""
    seed = int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:6], "big")
    return torch.Generator().manual_seed(seed)


def layout_of(
    graph: Graph, tasks: Sequence[Task], vocabulary: Mapping[str, list[str]]
) -> Layout:
    """Return what a network for a graph and tasks must take in."""
    edges = {key: edge.x.shape[1] for key, edge in graph.edges.items()}
    n_variant = 0
    for task in tasks:
        queries = getattr(task, "queries", None)
        if queries is not None:
            edges |= {key: edge.x.shape[1] for key, edge in queries.edges.items()}
            n_variant = queries.nodes.x.shape[1]
    nodes = {name: each.x.shape[1] for name, each in graph.nodes.items()}
    return Layout(nodes, dict(sorted(edges.items())), n_variant, vocabulary)


def drop_edges(graph: Graph, rate: float, generator: torch.Generator) -> Graph:
    """Hide a share of the edges."""
    if not rate:
        return graph
    edges = {}
    for key, mine in graph.edges.items():
        kept = torch.rand(len(mine), generator=generator) >= rate
        edges[key] = mine.where(kept.to(mine.target.device))
    return replace(graph, edges=edges)


def causal_penalty(states: States, relations: Collection[str]) -> Tensor:
    """Return the mean share of attention, over nodes that hear, along other relations."""
    shares = []
    for weights in states.weights:
        total = sum(w.sum() for w in weights.values())
        other = [
            w.sum() for key, w in weights.items() if "__".join(key) not in relations
        ]
        if other:
            shares.append(torch.stack(other).sum() / total)
    return torch.stack(shares).mean() if shares else torch.zeros(())


def causal_graph(graph: Graph, causal: CausalSettings) -> Graph:
    """Leave out what the constraint forbids.

    Raises
    ------
    InputError
        A relation is named that the graph does not have.
    """
    names = {"__".join(key): key for key in graph.edges}
    if unknown := sorted(set(causal.relations) - set(names)):
        raise InputError(
            f"causal relation {unknown[0]!r} is none of this graph's: {', '.join(names)}"
        )
    if not causal.only:
        return graph
    return graph.without([k for n, k in names.items() if n not in causal.relations])


def spread_out(states: States, part: Sample, graph: Graph) -> States:
    """Put the states of a sample where the whole graph has its nodes; others are 0."""
    hidden = tuple(
        {
            name: h.new_zeros((len(graph.nodes[name]), h.shape[1])).index_copy(
                0, part.rows[name], h
            )
            for name, h in layer.items()
        }
        for layer in states.hidden
    )
    return replace(states, hidden=hidden)


@dataclass(slots=True)
class GraphModel:
    """A network and how it came to be.

    Parameters
    ----------
    folder
        Where a checkpoint is kept: a later ``fit`` with the same settings and data goes
        on from there. None keeps nothing.
    device
        Where ``fit`` computes. Weights start and end, and all draws are made, on the
        processor; after ``fit`` the network lies there.
    slots
        What the memory started as.
    """

    network_settings: NetworkSettings
    training: TrainingSettings
    folder: Path | None = None
    device: torch.device = field(default_factory=training_device)
    network: GraphTransformer | None = None
    slots: Slots | None = None
    history: list[dict[str, float]] = field(default_factory=list)

    def fit(
        self,
        graph: Graph,
        tasks: Sequence[Task],
        vocabulary: Mapping[str, list[str]] | None = None,
        *,
        seed: int = 0,
        report: Report = lambda _done, _note: None,
    ) -> "GraphModel":
        """Learn the tasks on a scaled graph.

        Raises
        ------
        InputError
            The folder holds a checkpoint of other settings or data, or the loss is not
            finite.
        """
        _Run(self, graph, tasks, vocabulary or {}, seed).go(report)
        return self

    def states(self, graph: Graph) -> States:
        """Encode a stored graph at rest, with all its edges."""
        assert self.network is not None, "fit comes first"  # noqa: S101
        graph = causal_graph(graph, self.training.causal)
        with torch.inference_mode():
            return self.network.eval().encode(graph)


class _Run:
    """One fit: everything that changes from epoch to epoch, and its file."""

    def __init__(
        self, model: GraphModel, graph: Graph, tasks: Sequence[Task],
        vocabulary: Mapping[str, list[str]], seed: int,
    ) -> None:  # fmt: skip
        self.model, self.seed, self.tasks = model, seed, tasks
        self.settings = model.training
        self.graph = causal_graph(graph, self.settings.causal)
        drawn = shuffle_rows(self.graph, generator_of(seed, -1))
        self.checked = thin(drawn, 2 * self.settings.fan_out)
        layout = layout_of(graph, tasks, vocabulary)
        with drawing_from(generator_of(seed)):
            heads = {
                t.name: t.head(model.network_settings.width, layout) for t in tasks
            }
            self.network = GraphTransformer(model.network_settings, layout, heads)
            if self.settings.knowledge and model.network_settings.slots:
                with torch.no_grad():
                    states = self.network.eval().encode(self.checked)
                model.slots = start_slots(self.network, graph, states)
            else:
                model.slots = Slots(("random",) * model.network_settings.slots)
        self.digest = _digest(model, graph, tasks, seed)
        kept = self._checkpoint()
        if kept:
            self.network.load_state_dict(kept["network"])
        self.network.to(model.device)
        self.graph, self.checked, self.tasks = on_device(
            (self.graph, self.checked, tuple(tasks)), model.device
        )
        self.optimizer = torch.optim.AdamW(
            _groups(self.network, self.settings.weight_decay),
            lr=self.settings.learning_rate,
        )
        self.epoch = self.best_epoch = 0
        self.best_loss = math.inf
        self.best: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []
        if kept:
            self.optimizer.load_state_dict(kept["optimizer"])
            self.epoch, self.history = kept["epoch"], kept["history"]
            self.best, self.best_loss = kept["best"], kept["best_loss"]
            self.best_epoch = kept["best_epoch"]

    def go(self, report: Report) -> None:
        settings = self.settings
        while (
            self.epoch < settings.epochs
            and self.epoch - self.best_epoch < settings.patience
        ):
            began = time.monotonic()
            train_loss = self._one_epoch()
            loss = self._validate()
            self.epoch += 1
            if not math.isfinite(loss):
                raise InputError(
                    f"validation loss is {loss} after epoch {self.epoch}; lower "
                    "learning_rate"
                )
            if loss < self.best_loss:
                self.best_loss, self.best_epoch = loss, self.epoch
                self.best = {
                    name: value.detach().to("cpu", copy=True)
                    for name, value in self.network.state_dict().items()
                }
            self.history.append({
                "epoch": self.epoch, "train_loss": train_loss, "validation_loss": loss,
                "seconds": time.monotonic() - began,
            })  # fmt: skip
            self._save()
            report(self.epoch, f"loss {train_loss:.4f}, validation {loss:.4f}")
        self.network.cpu().load_state_dict(self.best)
        self.model.network, self.model.history = self.network.eval(), self.history

    def _one_epoch(self) -> float:
        settings, device = self.settings, self.model.device
        generator = generator_of(self.seed, self.epoch)
        drawn = thin(shuffle_rows(self.graph, generator), settings.fan_out)
        rows = [
            task.train[torch.randperm(len(task.train), generator=generator).to(device)]
            for task in self.tasks
        ]
        n_steps = max(math.ceil(len(r) / settings.batch_size) for r in rows)
        total = 0.0
        self.network.train()
        with drawing_from(generator):
            for i in range(n_steps):
                self._set_rate((self.epoch + i / n_steps) / settings.epochs)
                batch = [part.tensor_split(n_steps)[i] for part in rows]
                states = self._encode(drawn, batch, generator)
                loss = torch.zeros(())
                for task, some in zip(self.tasks, batch, strict=True):
                    if len(some):
                        loss = loss + task.weight * task.loss(
                            self.network, states, some
                        )
                total += loss.item() / n_steps
                causal = settings.causal
                if causal.weight:
                    penalty = causal_penalty(states, causal.relations)
                    loss = loss + causal.weight * penalty
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
                self.optimizer.step()
        return total

    def _encode(
        self, drawn: Graph, batch: Sequence[Tensor], generator: torch.Generator
    ) -> States:
        graph = drop_edges(drawn, self.network.settings.edge_dropout, generator)
        if not self.settings.sampled:
            return self.network.encode(graph)
        asked: dict[str, list[Tensor]] = {}
        for task, rows in zip(self.tasks, batch, strict=True):
            for name, nodes in task.needs(rows).items():
                asked.setdefault(name, []).append(nodes)
        distinct = {name: torch.unique(torch.cat(some)) for name, some in asked.items()}
        part = sample(graph, distinct, self.network.settings.blocks)
        return spread_out(self.network.encode(part.graph), part, graph)

    def _validate(self) -> float:
        self.network.eval()
        with torch.inference_mode():
            states = self.network.encode(self.checked)
            return sum(
                task.weight * float(task.loss(self.network, states, task.validation))
                for task in self.tasks
            )

    def _set_rate(self, progress: float) -> None:
        share = warmup_cosine(progress, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * max(share, 0.02)

    def _checkpoint(self) -> dict[str, Any]:
        """Return what an earlier run of these settings and data left, if anything."""
        path = self.model.folder / STATE if self.model.folder else None
        if path is None or not path.is_file():
            return {}
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["digest"] != self.digest:
            raise InputError(
                f"{path} is of other settings or data; give another folder or delete it"
            )
        return state

    def _save(self) -> None:
        if self.model.folder is None:
            return
        self.model.folder.mkdir(parents=True, exist_ok=True)
        beside = self.model.folder / f"{STATE}.{os.getpid()}"
        state = {
            "digest": self.digest, "epoch": self.epoch, "history": self.history,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best, "best_loss": self.best_loss,
            "best_epoch": self.best_epoch,
        }  # fmt: skip
        torch.save(on_device(state, torch.device("cpu")), beside)
        beside.replace(self.model.folder / STATE)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Return parameter groups: biases and norms are not decayed."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _digest(model: GraphModel, graph: Graph, tasks: Sequence[Task], seed: int) -> str:
    about = {
        "network": asdict(model.network_settings), "training": asdict(model.training),
        "seed": seed, "tasks": [task.name for task in tasks],
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for key, edges in graph.edges.items():
        digest.update("__".join(key).encode())
        for part in (edges.source, edges.target, edges.x):
            digest.update(part.numpy().tobytes())
    for nodes in graph.nodes.values():
        digest.update(nodes.x.numpy().tobytes())
    for task in tasks:
        for rows in (task.train, task.validation):
            digest.update(rows.numpy().tobytes())
        for name in ("label", "pair_label", "target", "left", "right"):
            if (held := getattr(task, name, None)) is not None:
                digest.update(held.numpy().tobytes())
        if (queries := getattr(task, "queries", None)) is not None:
            digest.update(queries.nodes.x.numpy().tobytes())
    return digest.hexdigest()
