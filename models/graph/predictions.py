"""What the heads beside that of variants say: of nodes and of links, with the known answer."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from data_registry.errors import InputError
from models.graph.ensemble import Opened, load_ensemble
from models.graph.preparation import Prepared, prepare, read_graph
from models.graph.settings import VARIANTS
from models.graph.tasks import LinkTask, NodeTask, Task

COLUMNS = ("task", "id", "other_id", "output", "part", "mean", "sd", "target")

Reals = NDArray[np.float64]


def predict_heads(folder: Path, workspace: Path) -> pd.DataFrame:
    """Ask a trained ensemble about all nodes and links of its tasks.

    Returns
    -------
    pandas.DataFrame
        ``COLUMNS``: one row a node or link and output (sample, class, or what is
        predicted). ``mean`` and ``sd`` over the networks: of probabilities for classes
        and links, else of ``log2(1 + value)`` of expression and activity, ``log(1 +
        value)`` of links. ``part``: train, validation or test, or unlabelled; ``target``
        in the unit of ``mean``, NaN where unknown.

    Raises
    ------
    InputError
        The model has no task but variants, or the workspace's graph is not the one it
        learned from.
    """
    settings = load_ensemble(folder).settings
    others = tuple(task for task in settings.tasks if task.kind != VARIANTS)
    if not others:
        raise InputError(
            f"{folder} has no task but variants; 'cisgraph score' gives its answers. Add "
            '[[tasks]] such as kind = "activity" to its configuration and train it'
        )
    graph = read_graph(workspace)
    prepared = prepare(replace(settings, tasks=others), graph, workspace=workspace)
    ensemble = load_ensemble(folder, prepared.tasks)
    if ensemble.provenance.get("graph") != prepared.digest:
        raise InputError(
            f"{folder} learned from another graph than {workspace} holds now, so its "
            "parts and units are not known here; train it again with this workspace"
        )
    opened = ensemble.open(graph)
    return pd.concat(
        [_frame(opened, prepared, task) for task in prepared.tasks], ignore_index=True
    )


def _frame(opened: Opened, prepared: Prepared, task: Task) -> pd.DataFrame:
    assert isinstance(task, NodeTask | LinkTask)  # noqa: S101
    n = len(task.target)
    rows = torch.arange(n)
    with torch.inference_mode():
        said = np.stack([
            _readable(task, task.predict(network, states, rows))
            for network, states in zip(opened.networks, opened.states, strict=True)
        ])  # fmt: skip
    part = np.full(n, "unlabelled", dtype=object)
    for name, some in (
        ("train", task.train), ("validation", task.validation),
        ("test", prepared.test[task.name]),
    ):  # fmt: skip
        part[some.numpy()] = name
    one, other = _names(opened, task)
    outputs = task.outputs
    frame = pd.DataFrame({
        "task": task.name,
        "id": np.repeat(one, len(outputs)), "other_id": np.repeat(other, len(outputs)),
        "output": np.tile(np.array(outputs, object), n),
        "part": np.repeat(part, len(outputs)),
        "mean": said.mean(axis=0).ravel(), "sd": said.std(axis=0).ravel(),
        "target": np.concatenate(list(_targets(task))),
    })  # fmt: skip
    return frame[list(COLUMNS)]


def _readable(task: NodeTask | LinkTask, said: Reals) -> Reals:
    """Return probabilities of classes and of links, and numbers in their own unit."""
    if task.scale is not None:
        return task.scale.back(said)
    if isinstance(task, LinkTask):
        return 1 / (1 + np.exp(-said))
    shares = np.exp(said - said.max(axis=1, keepdims=True))
    found: Reals = shares / shares.sum(axis=1, keepdims=True)
    return found


def _names(
    opened: Opened, task: NodeTask | LinkTask
) -> tuple[NDArray[np.object_], ...]:
    names = {name: np.array(ids, object) for name, ids in opened.graph.names.items()}
    if isinstance(task, NodeTask):
        ids = names[task.node_type]
        return ids, np.full(len(ids), "", dtype=object)
    left, right = task.types
    return names[left][task.left.numpy()], names[right][task.right.numpy()]


def _targets(task: NodeTask | LinkTask) -> Iterator[Reals]:
    """Yield the known answers row by row; of classes, 1 for the right one and else 0."""
    target = task.target.double().numpy().reshape(len(task.target), -1)
    for row in target if task.scale is None else task.scale.back(target):
        if isinstance(task, NodeTask) and task.n_classes:
            yield (np.arange(task.n_classes) == row[0]).astype(float)
        else:
            yield row
