"""GUE tasks: GC and 5-mer floors, our networks from scratch, our language model.

    python benchmarks/gue.py --data ../shared/data --out benchmarks/results/gue.json \
        --language encoders/weights/yeast_lm

Each model is fitted to train, chosen on dev, measured on test: Matthews' correlation and
AUROC, the mean over seeds with the 95 % interval over test rows. Test sequences that are
near copies of a training sequence are counted, and every figure is given without them
too. The scores of each finished fit are kept in ``--done``, so that a stopped run goes
on where it was.

With ``--language`` a language model is used as it is (a ridge on its hidden layer), and
trained further (``finetuned``) beside the same network from random weights (``random``);
the latter two on ``--finetune-tasks`` only, as they take minutes a task on a CPU.
"""

import argparse
import copy
import hashlib
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from data_registry.text_files import read_table
from encoders.language import LanguageModel, LanguageNetwork, load_language_model
from models.gue import (
    LanguageClassifier,
    Predictor,
    Schedule,
    SmallCNN,
    Task,
    auroc,
    bootstrap,
    fit_network,
    fit_ridge,
    gc_content,
    kmer_shares,
    language_features,
    matthews,
    near_copies,
    read_task,
)

GUE = "benchmarks/dna_lm/GUE"
PEERS = "benchmarks/dna_lm/zeroshot_auc_peers.tsv"
TASKS = (
    "prom/prom_core_all", "prom/prom_core_tata", "prom/prom_300_tata", "tf/0", "tf/4",
    "mouse/0", "mouse/2", "mouse/3",
)  # fmt: skip
FINETUNED = ("mouse/3",)
PEER_ROWS = {
    **{f"tf/{i}": f"Human TFBS {i + 1}" for i in range(5)},
    **{f"mouse/{i}": f"Mouse TFBS {i + 1}" for i in range(5)},
    "prom/prom_core_all": "Promoter All 70 bps",
    "prom/prom_core_notata": "Promoter NonTATA 70 bps",
    "prom/prom_core_tata": "Promoter TATA 70 bps",
    "prom/prom_300_tata": "Promoter TATA 300 bps",
}
"""Names of the same tasks in Nat Commun 2025, s41467-025-65823-8, tables 1-3."""

STATED_FLOORS = {
    "prom/prom_core_all": 0.560, "prom/prom_core_tata": 0.458, "tf/0": 0.624,
    "tf/4": 0.720,
}  # fmt: skip
"""MCC of a 5-mer ridge as the data's README states it."""

Fit = Callable[[Task, int], Predictor]


def linear_fits() -> dict[str, Fit]:
    """Return the floors; they have no seed."""
    return {
        "gc": lambda task, _: fit_ridge(gc_content, task.train, task.dev),
        "ridge_5mer": lambda task, _: fit_ridge(kmer_shares, task.train, task.dev),
    }


def fit_cnn(task: Task, seed: int) -> Predictor:
    """Train the small CNN from scratch: ten epochs, or 200,000 sequences if fewer."""
    generator = torch.Generator().manual_seed(seed)
    epochs = min(10, max(4, 200_000 // len(task.train)))
    return fit_network(SmallCNN(generator), task, generator, Schedule(epochs=epochs))


def language_fits(language: LanguageModel, device: str, epochs: int) -> dict[str, Fit]:
    """Return what uses the language model or its architecture."""
    read = language_features(language.network, device=device)
    schedule = Schedule(epochs=epochs, batch=64, rate=1e-3, body_rate=5e-4)
    known: dict[str, NDArray[np.float64]] = {}

    def own(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        key = hashlib.sha256(codes.tobytes()).hexdigest()
        if key not in known:
            known[key] = read(codes)
        return known[key]

    def both(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.concatenate([own(codes), kmer_shares(codes)], axis=1)

    def further(task: Task, seed: int) -> Predictor:
        generator = torch.Generator().manual_seed(seed)
        model = LanguageClassifier(copy.deepcopy(language.network))
        return fit_network(model, task, generator, schedule, device=device)

    def random(task: Task, seed: int) -> Predictor:
        generator = torch.Generator().manual_seed(seed)
        network = LanguageNetwork(language.config, generator)
        return fit_network(
            LanguageClassifier(network), task, generator, schedule, device=device
        )

    return {
        "language_frozen": lambda task, _: fit_ridge(own, task.train, task.dev),
        "language_frozen_and_5mer": lambda task, _: fit_ridge(
            both, task.train, task.dev
        ),
        "language_finetuned": further,
        "language_random": random,
    }


def shortened(task: Task, n: int, seed: int = 0) -> Task:
    """Return the task with at most n training sequences."""
    if len(task.train) <= n:
        return task
    rows = np.random.default_rng(seed).permutation(len(task.train))[:n]
    return Task(
        task.name, task.train.take(rows), task.dev, task.test, task.both_strands
    )


def kept_scores(
    done: Path, key: str, fit: Callable[[], Predictor], task: Task
) -> tuple[NDArray[np.float64], float]:
    """Return the test scores of a fit and its seconds, from ``done`` where it has them."""
    path = done / f"{key}.npz"
    if not path.is_file():
        begin = time.perf_counter()
        scores = fit()(task.test.codes)
        beside = done / f".{key}.part.npz"
        np.savez(beside, scores=scores, seconds=time.perf_counter() - begin)
        beside.replace(path)
    with np.load(path) as content:
        return content["scores"], float(content["seconds"])


def measure(
    task: Task, runs: list[NDArray[np.float64]], is_copy: NDArray[np.bool_], draws: int
) -> dict[str, Any]:
    """Return MCC and AUROC with intervals, with and without near copies."""
    labels = task.test.labels
    found: dict[str, Any] = {}
    for name, rows in (("", np.ones(len(labels), bool)), ("_without_copies", ~is_copy)):
        own, truth = [run[rows] for run in runs], labels[rows]
        for kind, of in (("mcc", matthews), ("auroc", auroc)):
            values = [of(truth, run) for run in own]
            rng = np.random.default_rng(1)
            found[kind + name] = round(float(np.mean(values)), 4)
            if not name or kind == "mcc":
                low, high = bootstrap(of, truth, own, rng, n_draws=draws)
                found[f"{kind}{name}_interval"] = [round(low, 4), round(high, 4)]
            if len(values) > 1:
                found[f"{kind}{name}_by_seed"] = [round(v, 4) for v in values]
    return found


def read_peers(path: Path) -> dict[str, dict[str, float]]:
    """Return the published zero-shot AUC of each task and model."""
    table = read_table(path)
    models = [c for c in table.columns if c not in ("task", "_line")]
    return {
        row["task"]: {model: float(row[model]) for model in models}
        for row in table.to_dict("records")
    }


def main() -> None:
    """Fit everything and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--done", type=Path, default=Path("/tmp/gue_done"))  # noqa: S108
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--language", type=Path, help="folder of a language model")
    parser.add_argument("--finetune-tasks", default=",".join(FINETUNED))
    parser.add_argument(
        "--frozen-rows", type=int, default=8_000,
        help="training sequences of the ridge on the language model",
    )  # fmt: skip
    parser.add_argument("--finetune-epochs", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--quick", action="store_true", help="little, only to try")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    names = arguments.tasks.split(",")
    finetuned = arguments.finetune_tasks.split(",")
    n_seeds, rows = arguments.seeds, None
    if arguments.quick:
        n_seeds, rows = 1, 600
    fits = linear_fits() | {"cnn": fit_cnn}
    seedless = {*linear_fits(), "language_frozen", "language_frozen_and_5mer"}
    language = None
    if arguments.language:
        language = load_language_model(arguments.language, arguments.device)
        fits |= language_fits(language, arguments.device, arguments.finetune_epochs)
    arguments.done.mkdir(parents=True, exist_ok=True)
    peers = read_peers(arguments.data / PEERS)
    result: dict[str, Any] = {
        "what": "GUE tasks, MCC and AUROC on test",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(), "quick": arguments.quick, "seeds": n_seeds,
        "finetune_epochs": arguments.finetune_epochs,
        "language": language and {"name": language.name, "digest": language.digest},
        "peers": "zero-shot AUC of embeddings as published, Nat Commun 2025 "
        "(s41467-025-65823-8); that its rows are these test rows is not verified",
        "tasks": {},
    }  # fmt: skip
    for name in names:
        task = read_task(arguments.data / GUE, name)
        if rows:
            task = shortened(task, rows)
        copies = near_copies(task.test.codes, task.train.codes)
        is_copy = copies >= 0
        same = task.train.labels[copies[is_copy]] == task.test.labels[is_copy]
        of_task: dict[str, Any] = {
            "train": len(task.train), "dev": len(task.dev), "test": len(task.test),
            "bp": task.test.codes.shape[1],
            "near_copies_in_train": int(is_copy.sum()),
            "of_these_with_the_same_label": int(same.sum()),
            "stated_5mer_ridge_mcc": STATED_FLOORS.get(name),
            "published_zero_shot_auc": peers.get(PEER_ROWS.get(name, "")),
            "models": {},
        }  # fmt: skip
        print(f"{name}: {len(task.train):,} train, {len(task.test):,} test, "
              f"{is_copy.sum()} near copies", flush=True)  # fmt: skip
        for model, fit in fits.items():
            if (
                model in ("language_finetuned", "language_random")
                and name not in finetuned
            ):
                continue
            own = shortened(task, arguments.frozen_rows) if "frozen" in model else task
            runs, seconds = [], 0.0
            for seed in range(1, 1 + (1 if model in seedless else n_seeds)):
                tag = [name.replace("/", "_"), model, str(seed), str(len(own.train))]
                if language and model.startswith("language"):
                    tag.append(language.digest[:8])
                if model in ("language_finetuned", "language_random"):
                    tag.append(f"{arguments.finetune_epochs}epochs")
                scores, spent = kept_scores(
                    arguments.done, "-".join(tag),
                    lambda fit=fit, own=own, seed=seed: fit(own, seed), own,
                )  # fmt: skip
                runs.append(scores)
                seconds += spent
            found = measure(task, runs, is_copy, arguments.draws)
            of_task["models"][model] = {
                "train": len(own.train), "seconds": round(seconds, 1), **found,
            }  # fmt: skip
            print(f"  {model:<26} MCC {found['mcc']:.3f} {found['mcc_interval']} "
                  f"AUROC {found['auroc']:.3f}, without copies "
                  f"{found['mcc_without_copies']:.3f}; {seconds:.0f} s", flush=True)  # fmt: skip
        result["tasks"][name] = of_task
    result["seconds"] = round(time.perf_counter() - begin)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=1, ensure_ascii=False)
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
