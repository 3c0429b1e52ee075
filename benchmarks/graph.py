"""What the benchmarks of the graph model share: variants of a network, kept predictions.

``benchmarks/graph_variants.py``, ``graph_links.py``, ``graph_genes.py``,
``graph_demo.py`` and ``graph_scaling.py`` are the commands.
"""

import argparse
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.block_bootstrap import Estimate
from benchmarks.result_file import write_result
from models.graph.baselines import relations
from models.graph.network import GraphTransformer, NetworkSettings, Queries, States
from models.graph.structure import EdgeKey, Graph
from models.graph.tasks import NodeTask, Task, VariantTask
from models.graph.training import GraphModel, TrainingSettings, generator_of

SEEDS = (0, 1, 2)
WITHOUT = "graph_without_"
Reals = NDArray[np.float64]
Ask = Callable[[Any, GraphTransformer, States, Tensor], Reals]


@dataclass(frozen=True, slots=True)
class Arm:
    """One kind of network: which edges it sees, and how its memory is made.

    Parameters
    ----------
    without
        Edge types that it does not see.
    shuffled
        Edges go to random senders of their type.
    permuted
        Training labels are given to other variants or nodes at random: what is above
        chance then is a leak.
    """

    name: str
    without: tuple[EdgeKey, ...] = ()
    shuffled: bool = False
    permuted: bool = False
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)


def arms_of(
    graph: Graph,
    queries: Queries | None,
    network: NetworkSettings,
    training: TrainingSettings,
) -> list[Arm]:
    """Return the full network and everything it is compared with."""
    by_relation = relations(graph, queries)
    every = tuple(key for keys in by_relation.values() for key in keys)
    full = Arm("graph", network=network, training=training)
    return [
        full,
        replace(full, name="graph_no_edges", without=every),
        replace(full, name="graph_shuffled_edges", shuffled=True),
        replace(full, name="graph_no_external", network=replace(network, slots=0)),
        replace(
            full, name="graph_random_slots", training=replace(training, knowledge=False)
        ),
        *(
            replace(full, name=f"{WITHOUT}{name}", without=tuple(keys))
            for name, keys in by_relation.items()
        ),
    ]  # fmt: skip


def changed(arm: Arm, graph: Graph, tasks: Sequence[Task], seed: int) -> tuple[Graph, list[Task]]:  # fmt: skip
    """Return the graph and tasks as an arm sees them."""
    generator = generator_of(seed, 77)
    graph = graph.without(arm.without)
    if arm.shuffled:
        graph = graph.shuffled(generator)
    found: list[Task] = []
    for task in tasks:
        if isinstance(task, VariantTask):
            queries = task.queries.without(arm.without)
            if arm.shuffled:
                edges = {
                    key: replace(
                        e, source=e.source[torch.randperm(len(e), generator=generator)]
                    )
                    for key, e in queries.edges.items()
                }
                queries = replace(queries, edges=edges)
            label = task.label
            if arm.permuted:
                rows = torch.cat([task.train, task.validation])
                label = label.clone()
                label[rows] = label[
                    rows[torch.randperm(len(rows), generator=generator)]
                ]
            found.append(replace(task, queries=queries, label=label))
        elif isinstance(task, NodeTask) and arm.permuted:
            rows = torch.cat([task.train, task.validation])
            target = task.target.clone()
            target[rows] = target[rows[torch.randperm(len(rows), generator=generator)]]
            found.append(replace(task, target=target))
        else:
            found.append(task)
    return graph, found


def stage_of(arm: Arm) -> int:
    """Return 0 for the network with, without and with wrong edges, 2 without one type."""
    if arm.name.startswith(WITHOUT):
        return 2
    return int(arm.name not in ("graph", "graph_no_edges", "graph_shuffled_edges"))


@dataclass(frozen=True, slots=True)
class Runs:
    """Fits arms, and keeps what they predict.

    Parameters
    ----------
    deadline
        When to start no more fits.
    unfinished
        Arms and seeds that were not fitted.
    """

    folder: Path
    digest: str
    tell: Callable[[str], None]
    deadline: float = math.inf
    unfinished: list[str] = field(default_factory=list)

    def plan(
        self, arms: Sequence[Arm], *, by_seed: bool = False
    ) -> Iterator[tuple[Arm, int]]:
        """Yield every arm and seed, the most telling first.

        After ``deadline`` (of ``time.perf_counter``) only what was kept is yielded; the
        others are named in ``unfinished``.

        Parameters
        ----------
        by_seed
            After the first stage, everything with one seed before any with the next.
        """
        order = [(stage, seed) for stage in (0, 1, 2) for seed in SEEDS]
        if by_seed:
            order.sort(key=lambda each: (each[0] > 0, each[0] > 0 and each[1]))
        for stage, seed in order:
            for arm in arms:
                if stage_of(arm) != stage:
                    continue
                in_time = time.perf_counter() < self.deadline
                if in_time or self.kept(arm, seed).is_file():
                    yield arm, seed
                else:
                    self.unfinished.append(f"{arm.name} seed {seed}")

    def kept(self, arm: Arm, seed: int) -> Path:
        """Return where an arm's predictions are kept."""
        what = json.dumps([asdict(arm), self.digest, seed], sort_keys=True)
        name = hashlib.sha256(what.encode()).hexdigest()[:12]
        return self.folder / f"{arm.name}-{seed}-{name}.npy"

    def keep(
        self, name: str, compute: Callable[[], dict[str, list[Reals]]]
    ) -> dict[str, list[Reals]]:
        """Compute scores by name and seed once."""
        path = self.folder / f"{name}-{self.digest}.npz"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            np.savez(path, **{n: np.stack(each) for n, each in compute().items()})
        with np.load(path) as held:
            return {n: list(held[n]) for n in held.files}

    def predict(
        self, arm: Arm, graph: Graph, tasks: Sequence[Task],
        vocabulary: Mapping[str, list[str]], rows: Tensor, seed: int,
        ask: Ask | None = None,
    ) -> Reals:  # fmt: skip
        """Return what the first task predicts for some rows, ``(rows, outputs)``.

        Parameters
        ----------
        ask
            Asks something else of the fitted model.
        """
        kept = self.kept(arm, seed)
        if kept.is_file():
            return np.load(kept)
        began = time.perf_counter()
        graph, tasks = changed(arm, graph, tasks, seed)
        model = GraphModel(arm.network, arm.training)
        model.fit(graph, tasks, vocabulary, seed=seed)
        assert model.network is not None  # noqa: S101
        with torch.inference_mode():
            states = model.states(graph)
            first = tasks[0]
            found = (ask or type(first).predict)(first, model.network, states, rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        np.save(kept, found)
        epochs = len(model.history)
        self.tell(
            f"{arm.name} seed {seed}: {epochs} epochs, {time.perf_counter() - began:.0f} s"
        )
        return found


def compare(
    scores: Mapping[str, Sequence[Reals]],
    estimate: Callable[[Reals], Estimate],
    point: Callable[[Reals], float],
    reference: str = "graph",
) -> dict[str, Any]:
    """Return each score's figure, its seeds', and the reference less it, paired.

    Parameters
    ----------
    scores
        By name and seed; a figure is of the seeds' mean. A network with fewer seeds is
        compared with the reference's mean over the same ones.
    point
        The figure without resamples, for single seeds.
    """
    found: dict[str, Any] = {}
    best: dict[int, Estimate] = {}
    for name, each in scores.items():
        figure = estimate(np.mean(each, axis=0))
        found[name] = figure.describe()
        found[name]["by_seed"] = [round(point(one), 4) for one in each]
        if name != reference:
            among = scores[reference]
            n = min(len(each), len(among)) if name.startswith(reference) else len(among)
            if n not in best:
                best[n] = estimate(np.mean(among[:n], axis=0))
            found[name][f"{reference}_minus_this"] = (best[n] - figure).describe()
    return found


def data_digest(*arrays: NDArray[Any]) -> str:
    """Return a digest of arrays."""
    digest = hashlib.sha256()
    for each in arrays:
        digest.update(np.ascontiguousarray(each).tobytes())
    return digest.hexdigest()[:16]


def command_line(about: str | None, *, data: bool = True) -> argparse.ArgumentParser:
    """Return the options that benchmarks with kept fits share.

    Parameters
    ----------
    about
        Docstring of the command; its first line is shown.
    data
        Whether the command reads the data folder.
    """
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    if data:
        parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="kept between runs")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="after which no fit is started"
    )
    return parser


def run_command(
    about: str | None,
    run: Callable[[argparse.Namespace], dict[str, Any]],
    figures: Callable[[dict[str, Any]], Mapping[str, Mapping[str, Any]]],
    *,
    data: bool = True,
) -> int:
    """Read the command line, measure, print the figures and write the JSON.

    Parameters
    ----------
    about, data
        As in ``command_line``.
    figures
        From the result to what ``compare`` returned, by a word to print before its rows.
    """
    arguments = command_line(about, data=data).parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    result = run(arguments)
    for word, rows in figures(result).items():
        for name, row in rows.items():
            print(
                f"{word} {name:45} {row['value']} {row.get('graph_minus_this', '')}".lstrip()
            )
    if arguments.out:
        write_result(arguments.out, result)
    return 0
