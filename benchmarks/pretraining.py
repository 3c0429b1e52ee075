"""Which objective and which layers learn yeast fastest: equal minutes, one CPU thread.

    python benchmarks/pretraining.py --corpus /tmp/yeast/models/corpus/corpus.npz \
        --work /tmp/pretraining --minutes 4 --out benchmarks/results/pretraining.json

The corpus is the one the shipped model is trained on (its card says how it is made). With
``--jobs`` as many variants run at once; give no more than there are idle cores.
Every variant reads the same corpus for the same time; its best model is then asked for
the same hidden bases of the validation chromosome, one at a time, with all others known.
A variant that is finished is not run again.
"""

import argparse
import json
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from benchmarks.result_file import write_result
from data_registry.errors import InputError
from encoders.language import LanguageConfig, load_language_model
from encoders.likelihood import log_probabilities_at
from encoders.material import Material
from encoders.nucleotides import UNKNOWN
from encoders.pretrain import Pretraining, Training, validation_windows

TRAINING = Training(batch=4, window=1024, every=200)
CONVOLUTIONS = tuple(f"conv:3:{2**i}" for i in range(8))
VARIANTS: dict[str, dict[str, Any]] = {
    "cloze, convolutions": {"layers": CONVOLUTIONS},
    "masked, convolutions": {"layers": CONVOLUTIONS, "objective": "masked"},
    "cloze, convolutions and state space": {
        "layers": (*CONVOLUTIONS[:5], "ssd", "ssd"),
    },
    "cloze, convolutions and attention": {
        "layers": (*CONVOLUTIONS[:5], "attention:64", "attention:64"),
    },
    "cloze, convolutions, no table of 6-mers": {"layers": CONVOLUTIONS, "kmer": 1},
}


def main() -> int:
    """Run the benchmark named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="kept between calls")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--sites", type=int, default=1_500)
    parser.add_argument("--jobs", type=int, default=1, help="variants at a time")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": describe_machine(), "threads": 1,
        "minutes_each": arguments.minutes, "sites": arguments.sites, "variants": {},
    }  # fmt: skip
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        found = pool.map(finished, VARIANTS, [arguments] * len(VARIANTS))
        result["variants"] = dict(zip(VARIANTS, found, strict=True))
    first = np.array(result["variants"]["cloze, convolutions"]["nats_by_site"])
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(first), (2_000, len(first)))
    for found in result["variants"].values():
        nats = np.array(found.pop("nats_by_site"))
        bits = nats / math.log(2)
        found["bits_one_hidden"] = round(float(bits.mean()), 4)
        found["bits_one_hidden_95"] = _interval(bits[draws].mean(1))
        over = (nats - first) / math.log(2)
        found["bits_over_cloze_convolutions"] = round(float(over.mean()), 4)
        found["bits_over_cloze_convolutions_95"] = _interval(over[draws].mean(1))
    if arguments.out:
        write_result(arguments.out, result)
    print(json.dumps(result, indent=1))
    return 0


def finished(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return one variant's result, from the folder ``--work`` if it is there."""
    kept = arguments.work / f"{name.replace(' ', '_').replace(',', '')}.json"
    if not kept.is_file():
        torch.set_num_threads(1)
        found = train(name, arguments)
        kept.write_text(json.dumps(found))
        print(name, found["tokens"], found["validation_bits_in_windows"], flush=True)
    return dict(json.loads(kept.read_text()))


def train(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one variant and ask it for the hidden sites."""
    model = replace(LanguageConfig(width=128, kmer=6, head=256), **VARIANTS[name])
    training = replace(TRAINING, minutes=arguments.minutes)
    material, _ = Material.read(arguments.corpus)
    codes = material.watched
    windows = validation_windows(codes, training)
    out = arguments.work / str(os.getpid()) / name.replace(" ", "_")
    run = Pretraining(model, training, material.corpus, windows, out)
    diverged = False
    try:
        run.run(lambda *_: None)
    except InputError as error:
        print(name, error, flush=True)
        diverged = True
    known = np.flatnonzero(codes != UNKNOWN)
    at = np.sort(np.random.default_rng(1).choice(known, arguments.sites, replace=False))
    rows = log_probabilities_at(load_language_model(out), codes, at)
    return {
        "parameters": sum(value.numel() for value in run.network.parameters()),
        "layers": list(model.layers), "objective": model.objective, "kmer": model.kmer,
        "reach_bp": model.reach_bp, "steps": run.step, "tokens": run.tokens,
        "tokens_per_s": round(run.tokens / run.seconds),
        "validation_bits_in_windows": round(run.best, 4), "diverged": diverged,
        "nats_by_site": (-rows[np.arange(len(at)), codes[at]]).astype(float).tolist(),
    }  # fmt: skip


def _interval(values: np.ndarray) -> list[float]:
    return [round(float(v), 4) for v in np.quantile(values, [0.025, 0.975])]


if __name__ == "__main__":
    sys.exit(main())
