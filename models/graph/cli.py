"""Commands of the graph model: train, predict."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.distributed as dist
import typer
from scipy.stats import pearsonr, rankdata

from data_registry.console import count_reporter, say, show_table, step_reporter
from data_registry.errors import InputError
from models.graph.ensemble import predict_task, save_ensemble
from models.graph.knowledge import describe_slots
from models.graph.predictions import predict_heads
from models.graph.preparation import Prepared, prepare, read_graph, read_variants
from models.graph.settings import Settings, read_settings
from models.graph.tasks import LinkTask, NodeTask, Task, VariantTask
from models.graph.training import GraphModel

LONGEST_WAIT = timedelta(days=7)
"""Of a process for the others; the library's own limit is 30 minutes."""


def train(
    config: Annotated[Path, typer.Option(help="TOML file; see models/configs.")],
    out: Annotated[Path, typer.Option(help="Folder of the model and its checkpoints.")],
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", help="A workspace with a graph.")
    ],
    variants: Annotated[
        Path | None,
        typer.Option(
            help="Table of variants with labels, as 'cisgraph prior table' writes it."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads torch may use.", min=1)] = 2,
) -> None:
    """Train networks on a workspace's graph; given the same folder again, go on.

    Example:

        cisgraph prior table --workspace yeast --out yeast.parquet

        python -m models.train graph --workspace yeast --variants yeast.parquet \
            --config models/configs/graph.toml --out runs/yeast_graph

        torchrun --nproc-per-node 2 -m models.train graph ...  (seeds side by side)
    """
    torch.set_num_threads(threads)
    settings = read_settings(config)
    with step_reporter("reading the graph"):
        table = read_variants(variants) if variants else None
        folder = read_graph(workspace)
        prepared = prepare(settings, folder, workspace=workspace, variants=table)
    with process_group() as (rank, n_processes):
        if n_processes > 1:
            for seed in settings.seeds[rank::n_processes]:
                _fit(settings, prepared, out, seed)
            dist.barrier()
    if rank:
        return
    _say_rows(prepared)
    # After several processes all checkpoints are complete, and this only reads them.
    models = [_fit(settings, prepared, out, seed) for seed in settings.seeds]
    figures = {}
    for task in prepared.tasks:
        rows = prepared.test[task.name]
        if len(rows):
            figures[task.name] = figures_of(
                task, rows, predict_task(models, prepared, task, rows)
            )
    if figures:
        show_table(
            "rows that taught nothing", ["task", "rows", "figure", "value"],
            [[n, f"{f['rows']:,}", k, f"{v:.4f}"] for n, f in figures.items()
             for k, v in f.items() if k != "rows"],
        )  # fmt: skip
    save_ensemble(
        out, settings, models, prepared, _provenance(prepared, models, figures)
    )
    if prepared.columns is not None:
        say(f"{out}: 'cisgraph models add {out} -w {workspace}' scores with it")
    if any(not isinstance(task, VariantTask) for task in prepared.tasks):
        say(
            f"{out}: 'python -m models.predict graph --model {out}' asks its other heads"
        )


@contextmanager
def process_group() -> Iterator[tuple[int, int]]:
    """Give this process's rank and the number of processes: 0 and 1 without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0, 1
        return
    dist.init_process_group("gloo", timeout=LONGEST_WAIT)
    try:
        yield dist.get_rank(), dist.get_world_size()
    finally:
        dist.destroy_process_group()


def _fit(settings: Settings, prepared: Prepared, out: Path, seed: int) -> GraphModel:
    """Fit one network, or go on with its checkpoint."""
    model = GraphModel(
        settings.network, settings.training, out / "runs" / f"seed{seed}"
    )
    with count_reporter(
        f"network of seed {seed}", "epochs", settings.training.epochs
    ) as report:
        model.fit(
            prepared.graph, prepared.tasks, prepared.vocabulary,
            seed=seed, report=report,
        )  # fmt: skip
    best = min(model.history, key=lambda h: h["validation_loss"])
    say(
        f"seed {seed}: best of {len(model.history)} epochs is {best['epoch']:.0f}, "
        f"validation loss {best['validation_loss']:.4f}"
    )
    return model


def predict(
    model: Annotated[Path, typer.Option(help="Folder that 'train graph' wrote.")],
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", help="The workspace it learned from.")
    ],
    out: Annotated[Path, typer.Option(help="Table to write (TSV).")],
    threads: Annotated[int, typer.Option(help="Threads torch may use.", min=1)] = 2,
) -> None:
    """Write what the heads of nodes and links say: expression, elements, activity, links.

    Columns: task, id, other_id (links), output (sample or class), part (train,
    validation, test or unlabelled), mean and sd over the networks, and the known target.
    Classes and links are probabilities, expression and activity log2(1 + value), values
    of links log(1 + value). Judge by the rows of part test alone.

    Example:

        python -m models.predict graph --model runs/yeast_graph -w yeast --out heads.tsv
    """
    torch.set_num_threads(threads)
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    with step_reporter("asking the networks"):
        table = predict_heads(model, workspace)
    beside = out.with_name(f"{out.name}.{os.getpid()}")
    table.to_csv(beside, sep="\t", index=False, float_format="%.6g")
    beside.replace(out)
    counts = Counter(zip(table["task"], table["part"], strict=True))
    for (task, part), n in counts.items():
        say(f"{task}: {n:,} rows, part {part}")
    say(f"written: {out}")


def figures_of(task: Task, rows: torch.Tensor, said: np.ndarray) -> dict[str, float]:
    """Return AUROC of yes and no, accuracy of classes, Pearson's r of numbers."""
    found: dict[str, float] = {"rows": len(rows)}
    if isinstance(task, VariantTask):
        found["auroc"] = _auroc(said[:, 0], task.label[rows].numpy() > 0.5)
    elif isinstance(task, LinkTask) and task.kind == "binary":
        found["auroc"] = _auroc(said[:, 0], task.target[rows].numpy() > 0.5)
    elif isinstance(task, NodeTask) and task.n_classes:
        found["accuracy"] = float(
            (said.argmax(1) == task.target[rows, 0].numpy()).mean()
        )
    elif isinstance(task, NodeTask | LinkTask):
        target = task.target[rows].numpy().reshape(len(rows), -1)
        r = [
            pearsonr(said[known, i], target[known, i])[0]
            for i in range(target.shape[1])
            for known in [~np.isnan(target[:, i])]
            if known.sum() > 2
        ]
        found["pearson_r"] = float(np.mean(r)) if r else float("nan")
    return found


def _auroc(score: np.ndarray, positive: np.ndarray) -> float:
    n = int(positive.sum())
    if n in (0, len(score)):
        return float("nan")
    above = rankdata(score)[positive].sum() - n * (n + 1) / 2
    return float(above / (n * (len(score) - n)))


def _say_rows(prepared: Prepared) -> None:
    say(
        f"{sum(map(len, prepared.graph.nodes.values())):,} nodes, "
        f"{prepared.graph.n_edges:,} directed edges"
    )
    for task in prepared.tasks:
        say(
            f"{task.name}: {len(task.train):,} rows to learn from, "
            f"{len(task.validation):,} to stop by, {len(prepared.test[task.name]):,} to judge"
        )
    for reason, count in prepared.left_out.items():
        if count:
            say(f"  {count:,} {reason}")


def _provenance(
    prepared: Prepared, models: list[GraphModel], figures: dict[str, Any]
) -> dict[str, Any]:
    first = models[0]
    assert first.network is not None and first.slots is not None  # noqa: S101, PT018
    with torch.inference_mode():
        slots = describe_slots(
            first.network, first.states(prepared.graph), prepared.graph, first.slots
        )
    return {
        "graph": prepared.digest,
        "rows": {t.name: [len(t.train), len(t.validation)] for t in prepared.tasks},
        "left_out": prepared.left_out,
        "figures": figures,
        "slots_of_first_network": slots,
        "training": asdict(first.training),
    }
