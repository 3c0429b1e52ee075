"""Settings of the promoter networks, chosen on validation rows of the published split.

    python benchmarks/promoter_tuning.py --data ../shared/data --work /tmp/w/promoters \
        --jobs 8 --out benchmarks/results/promoter_tuning.json

Each trial is one network with one training, one seed, all admissible training rows; it is
judged by Pearson's r averaged over the conditions, on the validation rows, at its best
epoch. No test row is read. The best of each kind stands in ``benchmarks/promoters.py``.
Our own network is tried with more layouts than the others, because theirs are given by
their papers; the JSON shows all trials.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.machine import describe_machine
from benchmarks.promoters import load_rows
from benchmarks.result_file import write_result
from models.promoter.training import NetworkModel, NetworkSettings, TrainingSettings

OURS = {
    "width": 128, "stem_width": 256, "stem_bp": 11, "patch_bp": 5, "ssd_head": 64,
    "ssd_chunk": 34, "n_attention": 1, "n_ssd": 1, "dropout": 0.2, "by_position": 32,
    "hidden": 256, "hidden_dropout": 0.4,
}  # fmt: skip
STRANDS = {**OURS, "stem_strands": True, "stem_blocks": 2}
NARROW = {**STRANDS, "hidden": 64, "hidden_dropout": 0.2}
MAX = {**NARROW, "stem_norm": True, "patch_max": True}
LAYOUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "jores 128": ("jores", {}),
    "jores 64": ("jores", {"filters": 64}),
    "deepstarr": ("deepstarr", {}),
    "deepstarr 0.3": ("deepstarr", {"dropout": 0.3}),
    "gated": ("gated", {"width": 96, "stride": 5, "stem_bp": 15}),
    "gated 128": ("gated", {"width": 128, "stride": 2, "stem_bp": 15, "dropout": 0.2}),
    "ours, small stem": ("hybrid", {
        "width": 96, "stem_width": 128, "patch_bp": 5, "ssd_head": 48, "ssd_chunk": 34,
        "n_attention": 1, "n_ssd": 1, "dropout": 0.1, "by_position": 32,
    }),
    "ours": ("hybrid", OURS),
    "ours, stem blocks": ("hybrid", {**OURS, "stem_blocks": 2}),
    "ours, 4 stem blocks": ("hybrid", {**OURS, "stem_blocks": 4}),
    "ours, deep": ("hybrid", {**OURS, "stem_blocks": 2, "n_attention": 2, "n_ssd": 2}),
    "ours, fine tokens": ("hybrid", {**OURS, "stem_blocks": 2, "patch_bp": 2}),
    "ours, more dropout": ("hybrid", {**OURS, "stem_blocks": 2, "dropout": 0.35}),
    "both strands": ("hybrid", STRANDS),
    "both strands, 13 bp": ("hybrid", {**STRANDS, "stem_bp": 13, "stem_width": 128}),
    "both strands, 4 stem blocks": ("hybrid", {**STRANDS, "stem_blocks": 4}),
    "both strands, more dropout": ("hybrid", {**STRANDS, "dropout": 0.35}),
    "narrow": ("hybrid", NARROW),
    "narrow, norm": ("hybrid", {**NARROW, "stem_norm": True}),
    "narrow, norm, max": ("hybrid", MAX),
    "narrow, norm, max, deep": ("hybrid", {**MAX, "n_attention": 2, "n_ssd": 2}),
    "narrow, norm, max, one strand": ("hybrid", {**MAX, "stem_strands": False}),
    "narrow, norm, max, 0 stem blocks": ("hybrid", {**MAX, "stem_blocks": 0}),
    "narrow, norm, max, 4 stem blocks": ("hybrid", {**MAX, "stem_blocks": 4}),
    "narrow, norm, max, small": ("hybrid", {
        **MAX, "width": 96, "stem_width": 128, "ssd_head": 48,
    }),
    "narrow, norm, max, wide reading": ("hybrid", {
        **MAX, "by_position": 64, "hidden": 128, "hidden_dropout": 0.3,
    }),
    "both strands, deep": ("hybrid", {**STRANDS, "n_attention": 2, "n_ssd": 2}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """One network with one training."""

    layout: str
    training: TrainingSettings

    @property
    def network(self) -> NetworkSettings:
        """Its settings."""
        return NetworkSettings(*LAYOUTS[self.layout])


def run(trial: Trial, data: str, work: str) -> dict[str, Any]:
    """Fit one trial; return its settings and what it reached on validation rows."""
    torch.set_num_threads(1)
    rows = load_rows(Path(data), Path(work))
    model = NetworkModel(trial.layout, trial.network, trial.training)
    began = time.perf_counter()
    model.fit(rows.trained, rows.published)
    assert model.network is not None  # noqa: S101
    best = min(model.history, key=lambda epoch: epoch["validation_loss"])
    return {
        "layout": trial.layout, "network": asdict(trial.network),
        "training": asdict(trial.training),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "validation_r": round(best["validation_r"], 4),
        "validation_loss": round(best["validation_loss"], 4),
        "best_epoch": int(best["epoch"]), "epochs": len(model.history),
        "train_loss": round(best["train_loss"], 4),
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def main() -> None:
    """Run all trials and write the JSON after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS), choices=LAYOUTS)
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-3, 3e-3])
    parser.add_argument("--hidden", nargs="+", type=float, default=[0.05])
    parser.add_argument("--average", nargs="+", type=float, default=[0.0])
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--patience", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    load_rows(arguments.data, arguments.work)
    trials = [
        Trial(layout, TrainingSettings(
            epochs=arguments.epochs, batch_size=arguments.batch_size,
            learning_rate=rate, hidden=hidden, average=average,
            weight_decay=arguments.weight_decay, patience=arguments.patience,
        ))
        for hidden in arguments.hidden for rate in arguments.rates
        for average in arguments.average for layout in arguments.layouts
    ]  # fmt: skip
    os.environ["OMP_NUM_THREADS"] = "1"
    done: list[dict[str, Any]] = []
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        futures = [
            pool.submit(run, trial, str(arguments.data), str(arguments.work))
            for trial in trials
        ]
        for future in as_completed(futures):
            done.append(future.result())
            done.sort(key=lambda found: -found["validation_r"])
            found_so_far = {"machine": describe_machine(), "trials": done}
            write_result(arguments.out, found_so_far)
            found = future.result()
            print(
                f"[{len(done)}/{len(trials)}] {found['layout']:<22} "
                f"rate {found['training']['learning_rate']} "
                f"hidden {found['training']['hidden']} "
                f"average {found['training']['average']}: r {found['validation_r']} "
                f"epoch {found['best_epoch']}/{found['epochs']} "
                f"train {found['train_loss']} {found['seconds']} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
