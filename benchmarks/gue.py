"""GUE tasks: GC and 5-mer floors, our networks from scratch, our language model.

    python benchmarks/gue.py --data ../shared/data --out benchmarks/results/gue.json \
        --language encoders/weights/yeast_lm

Each model is fitted to train, chosen on dev, measured on test: Matthews' correlation and
AUROC, the mean over seeds with the 95 % interval over test rows. Test sequences that are
near copies of a training sequence are counted, and every figure is given without them
too. The scores of each finished fit are kept in ``--done``, so that a stopped run goes
on where it was.

With ``--language`` a language model is used as it is (a ridge on its hidden layer), and
its upper third is trained further (``finetuned``), beside as many layers of the same kind
from random weights (``random``); the latter two on ``--finetune-tasks`` only, as they
take minutes a task on a CPU. All of these compute in bfloat16. Fits that ``--minutes``
did not reach are named in ``unfinished``.
"""

import argparse
import copy
import hashlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from benchmarks.result_file import write_result
from data_registry.text_files import read_table
from encoders.language import LanguageModel, LanguageNetwork, load_language_model
from models.gue import (
    LanguageClassifier,
    LowerLayers,
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

PAIRS = (
    ("language_finetuned", "cnn"), ("language_finetuned", "language_random"),
    ("language_random", "cnn"), ("cnn", "ridge_5mer"),
    ("language_frozen_and_5mer", "ridge_5mer"),
)  # fmt: skip
"""Models whose difference in MCC is given, paired by test row."""
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
    """Return what uses the language model or its architecture, in bfloat16."""
    network = language.network
    network.stream_dtype = torch.bfloat16
    read = language_features(network, device=device)
    gentle = Schedule(epochs=epochs, batch=32, rate=1e-3, body_rate=5e-4)
    fast = replace(gentle, body_rate=1e-3)  # there is nothing to forget
    n_lower = lower_layers(language)
    lower: dict[str, LowerLayers] = {}
    known: dict[str, NDArray[np.float64]] = {}

    def own(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        key = hashlib.sha256(codes.tobytes()).hexdigest()
        if key not in known:
            known[key] = read(codes)
        return known[key]

    def both(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.concatenate([own(codes), kmer_shares(codes)], axis=1)

    def tell(epoch: int, mcc: float) -> None:
        print(f"    epoch {epoch}/{epochs}: MCC {mcc:.3f} on dev", flush=True)

    def further(task: Task, seed: int) -> Predictor:
        if task.name not in lower:  # of one task at a time, for the memory
            lower.clear()
            lower[task.name] = LowerLayers(network, n_lower)
        generator = torch.Generator().manual_seed(seed)
        model = LanguageClassifier(copy.deepcopy(network), lower[task.name])
        return fit_network(model, task, generator, gentle, device=device, on_epoch=tell)

    def random(task: Task, seed: int) -> Predictor:
        generator = torch.Generator().manual_seed(seed)
        layers = language.config.layers[n_lower:]
        fresh = LanguageNetwork(replace(language.config, layers=layers), generator)
        fresh.stream_dtype = torch.bfloat16
        return fit_network(
            LanguageClassifier(fresh), task, generator, fast, device=device,
            on_epoch=tell,
        )  # fmt: skip

    return {
        "language_frozen": lambda task, _: fit_ridge(own, task.train, task.dev),
        "language_frozen_and_5mer": lambda task, _: fit_ridge(
            both, task.train, task.dev
        ),
        "language_finetuned": further,
        "language_random": random,
    }


def lower_layers(language: LanguageModel) -> int:
    """Return how many of the layers stay as they are in fine-tuning: two thirds."""
    return 2 * len(language.config.layers) // 3


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


def differences(
    task: Task, runs: dict[str, list[NDArray[np.float64]]], draws: int
) -> dict[str, Any]:
    """Return the difference in MCC of each of ``PAIRS`` that was run."""
    found = {}
    for one, other in PAIRS:
        if one in runs and other in runs:
            labels = task.test.labels
            means = [
                np.mean([matthews(labels, run) for run in runs[m]])
                for m in (one, other)
            ]
            low, high = bootstrap(
                matthews, labels, runs[one], np.random.default_rng(1),
                n_draws=draws, against=runs[other],
            )  # fmt: skip
            found[f"{one} - {other}"] = {
                "mcc": round(float(means[0] - means[1]), 4),
                "interval": [round(low, 4), round(high, 4)],
            }
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
    parser.add_argument("--models", help="only these; else all")
    parser.add_argument("--finetune-tasks", default=",".join(FINETUNED))
    parser.add_argument(
        "--frozen-rows", type=int, default=8_000,
        help="training sequences of the ridge on the language model",
    )  # fmt: skip
    parser.add_argument("--finetune-epochs", type=int, default=6)
    parser.add_argument(
        "--finetune-rows", type=int, default=8_000, help="training sequences of those"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="no fit is begun after them"
    )
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
    if arguments.models:
        fits = {model: fits[model] for model in arguments.models.split(",")}
    arguments.done.mkdir(parents=True, exist_ok=True)
    peers = read_peers(arguments.data / PEERS)
    result: dict[str, Any] = {
        "what": "GUE tasks, MCC and AUROC on test",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(), "quick": arguments.quick, "seeds": n_seeds,
        "finetune_epochs": arguments.finetune_epochs,
        "finetuned_layers": language
        and len(language.config.layers) - lower_layers(language),
        "language": language and {"name": language.name, "digest": language.digest},
        "peers": "zero-shot AUC of embeddings as published, Nat Commun 2025 "
        "(s41467-025-65823-8); that its rows are these test rows is not verified",
        "tasks": {}, "unfinished": [],
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
        by_model: dict[str, list[NDArray[np.float64]]] = {}
        for model, fit in fits.items():
            if (
                model in ("language_finetuned", "language_random")
                and name not in finetuned
            ):
                continue
            own = task
            if model.startswith("language"):
                own = shortened(task, arguments.frozen_rows if "frozen" in model
                                else arguments.finetune_rows)  # fmt: skip
            runs, seconds = [], 0.0
            for seed in range(1, 1 + (1 if model in seedless else n_seeds)):
                tag = [name.replace("/", "_"), model, str(seed), str(len(own.train))]
                if language and model.startswith("language"):
                    tag += [language.digest[:8], "bf16"]
                if model in ("language_finetuned", "language_random"):
                    tag.append(f"{arguments.finetune_epochs}epochs")
                late = time.perf_counter() - begin > 60 * arguments.minutes
                if late and not (arguments.done / f"{'-'.join(tag)}.npz").is_file():
                    result["unfinished"].append(f"{name} {model} seed {seed}")
                    continue
                scores, spent = kept_scores(
                    arguments.done, "-".join(tag),
                    lambda fit=fit, own=own, seed=seed: fit(own, seed), own,
                )  # fmt: skip
                runs.append(scores)
                seconds += spent
            if not runs:
                continue
            by_model[model] = runs
            found = measure(task, runs, is_copy, arguments.draws)
            of_task["models"][model] = {
                "train": len(own.train), "seeds": len(runs),
                "seconds": round(seconds, 1), **found,
            }  # fmt: skip
            print(f"  {model:<26} MCC {found['mcc']:.3f} {found['mcc_interval']} "
                  f"AUROC {found['auroc']:.3f}, without copies "
                  f"{found['mcc_without_copies']:.3f}; {seconds:.0f} s", flush=True)  # fmt: skip
        of_task["differences"] = differences(task, by_model, arguments.draws)
        result["tasks"][name] = of_task
    result["seconds"] = round(time.perf_counter() - begin)
    if arguments.out:
        write_result(arguments.out, result)


if __name__ == "__main__":
    main()
