"""State-space layer: linear in length, and its speed against ``transformers``' Mamba.

    python benchmarks/ssd.py --out benchmarks/results/ssd.json

Three parts, each on the CPU, one layer of width 128:

* ``length``: time and peak memory from 1,024 to 65,536 tokens, with the slope of their
  logarithms (1 is linear), a process for each point;
* ``forward``: 8 × 3,001 tokens without gradients, in turns with ``transformers``'
  ``MambaModel``, whose scan in PyTorch is what runs where ``mamba-ssm`` is not; ours also
  compiled (the peer's loop over tokens would be unrolled into 3,001 steps);
* ``training``: forward and backward. The peer's backward is quadratic in length (the
  gradient of each of its steps is as large as the whole sequence), so it is timed on
  short sequences only; ours also at 3,001.

The last two twice: with glibc's allocator as it is, and told to keep large blocks, which
saves both programs page faults, the peer more than ours. The machine should do nothing
else: ``--shared-machine`` marks figures got otherwise.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from benchmarks.machine import PeakMemory, describe_machine
from encoders.ssd import SSDConfig, SSDMixer

ALLOCATORS = {
    "allocator_as_it_is": {},
    "allocator_keeps_blocks": {
        "MALLOC_MMAP_THRESHOLD_": "4000000000",
        "MALLOC_TRIM_THRESHOLD_": "8000000000",
    },
}
WIDTH, STATE, EXPAND, CONV, HEAD = 128, 16, 2, 4, 64
BATCH, LENGTH = 8, 3001
LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768, 65536)
PEER_TRAINING_LENGTHS = (64, 128, 256)
BAR = 20.0
DIFFERENCES = (
    "Equal: width, state columns per channel, expansion, convolution, a norm before the "
    "layer, the residual, a norm after it, float32. Mamba (peer) has one time step per "
    "channel through a rank-8 projection and a decay per channel and state column; "
    "Mamba-2 (ours) one time step and one decay per head of 64 channels, which is what "
    "lets a chunk become matrix products, and a norm before the projection out."
)

Step = Callable[[Tensor], Tensor]


class Layer(nn.Module):
    """Ours, with the norms and the residual that ``MambaModel`` puts around one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.mixer = SSDMixer(
            SSDConfig(width=WIDTH, state=STATE, expand=EXPAND, conv=CONV, head=HEAD)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens, mixed."""
        mixed: Tensor = self.after(tokens + self.mixer(self.before(tokens)))
        return mixed


def make_peer() -> tuple[Step, int]:
    """Return one layer of ``MambaModel``, and its number of parameters."""
    from transformers import MambaConfig, MambaModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    model = MambaModel(
        MambaConfig(
            vocab_size=5, hidden_size=WIDTH, state_size=STATE, expand=EXPAND,
            conv_kernel=CONV, num_hidden_layers=1,
        )
    )  # fmt: skip

    def run(tokens: Tensor) -> Tensor:
        answer: Tensor = model(inputs_embeds=tokens, use_cache=False).last_hidden_state
        return answer

    return run, sum(each.numel() for each in model.layers.parameters())


def infer(step: Step, tokens: Tensor) -> None:
    """Forward, without gradients."""
    with torch.no_grad():
        step(tokens)


def train(step: Step, tokens: Tensor) -> None:
    """Forward and backward, to the input and to the weights."""
    step(tokens.detach().requires_grad_()).float().square().mean().backward()


def timed(work: Callable[[], None]) -> float:
    """Return seconds of wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def draw(batch: int, length: int) -> Tensor:
    """Return random tokens, always the same."""
    generator = torch.Generator().manual_seed(length)
    return torch.randn(batch, length, WIDTH, generator=generator)


def slope(lengths: list[int], values: list[float]) -> float:
    """Return the exponent of a power law through the points."""
    return round(float(np.polyfit(np.log(lengths), np.log(values), 1)[0]), 3)


def measure_length(mode: str, length: int, repeats: int) -> dict[str, float]:
    """Time and memory of one sequence, in a process that has done nothing longer."""
    layer, work = Layer(), {"forward": infer, "training": train}[mode]
    work(layer, draw(1, 64))
    tokens = draw(1, length)
    base = psutil.Process().memory_info().rss / 2**20
    memory = PeakMemory()
    first = timed(lambda: work(layer, tokens))
    peak = memory.read() - base
    rest = [timed(lambda: work(layer, tokens)) for _ in range(repeats - 1)]
    return {"s": min([first, *rest]), "peak_mib": peak}


def measure_lengths(lengths: tuple[int, ...], *options: str) -> dict[str, Any]:
    """Time and memory over length, batch 1, forward and training."""
    found: dict[str, Any] = {"batch": 1, "lengths": list(lengths)}
    for mode in ("forward", "training"):
        points = [run_part(f"{mode}:{length}", {}, *options) for length in lengths]
        seconds = [point["s"] for point in points]
        peaks = [point["peak_mib"] for point in points]
        found[mode] = {
            "min_s": [round(each, 5) for each in seconds],
            "us_per_token": [
                round(1e6 * s / n, 3) for s, n in zip(seconds, lengths, strict=True)
            ],
            "peak_mib_above_start": [round(each, 1) for each in peaks],
            "time_exponent": slope(list(lengths), seconds),
            "memory_exponent": slope(list(lengths), peaks),
        }
        print(f"{mode}: {found[mode]}", flush=True)
    return found


def compare_forward(peer: Step, length: int, repeats: int) -> dict[str, Any]:
    """Time both in turns at ``BATCH`` sequences, in float32 and under bfloat16 autocast.

    Ours as it is written, and compiled, as ``encoders.pretrain`` runs it.
    """
    plain, tokens = Layer(), draw(BATCH, length)
    compiled = torch.compile(plain)
    found: dict[str, Any] = {"batch": BATCH, "length": length}
    for name, ours, autocast in (
        ("float32", plain, False), ("bfloat16_autocast", plain, True),
        ("float32_compiled", compiled, False), ("bfloat16_autocast_compiled", compiled, True),
    ):  # fmt: skip
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            infer(ours, tokens)
            infer(peer, tokens)
            pairs = [
                (
                    timed(partial(infer, ours, tokens)),
                    timed(partial(infer, peer, tokens)),
                )
                for _ in range(repeats)
            ]
        found[name] = describe_pairs(pairs)
    return found


def describe_pairs(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """Return times of both and the ratio of their medians."""
    ours, peer = ([pair[i] for pair in pairs] for i in (0, 1))
    ratio = statistics.median(peer) / statistics.median(ours)
    return {
        "ours_s": [round(each, 4) for each in ours],
        "peer_s": [round(each, 4) for each in peer],
        "ratio_of_medians": round(ratio, 1),
        "ratio_of_minima": round(min(peer) / min(ours), 1),
    }


def compare_training(
    peer: Step, lengths: tuple[int, ...], full: int, repeats: int
) -> dict[str, Any]:
    """Time forward and backward of both on short sequences, and ours at full length."""
    ours = Layer()
    train(ours, draw(BATCH, 64))
    rows = []
    for length in lengths:
        tokens = draw(BATCH, length)
        pair = (
            min(timed(lambda t=tokens: train(ours, t)) for _ in range(repeats)),
            timed(lambda t=tokens: train(peer, t)),
        )
        rows.append({"length": length} | describe_pairs([pair]))
    tokens = draw(BATCH, full)
    return {
        "batch": BATCH,
        "compared": rows,
        "peer_time_exponent": slope(list(lengths), [row["peer_s"][0] for row in rows]),
        "ours_full_length": full,
        "ours_full_s": round(
            min(timed(lambda: train(ours, tokens)) for _ in range(repeats)), 4
        ),
    }


def run_part(part: str, environment: dict[str, str], *options: str) -> dict[str, Any]:
    """Return what a fresh process measures: allocators read their settings at start."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, __file__, "--part", part, *options],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure_part(part: str, repeats: int, *, quick: bool) -> dict[str, Any]:
    """Measure one part in this process."""
    if ":" in part:
        mode, _, length = part.partition(":")
        return measure_length(mode, int(length), repeats)
    peer, peer_parameters = make_peer()
    full = 750 if quick else LENGTH
    lengths = PEER_TRAINING_LENGTHS[:2] if quick else PEER_TRAINING_LENGTHS
    ours = sum(each.numel() for each in Layer().parameters())
    return {
        "parameters": {"ours": ours, "peer": peer_parameters},
        "forward": compare_forward(peer, full, repeats),
        "training": compare_training(peer, lengths, full, repeats),
    }


def main() -> None:
    """Measure everything and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--shared-machine", action="store_true")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    quick: bool = arguments.quick
    repeats = 2 if quick else arguments.repeats
    if arguments.part:
        torch.set_num_threads(arguments.threads)
        torch.manual_seed(0)  # noqa: TID251 - an entry point
        print(json.dumps(measure_part(arguments.part, repeats, quick=quick)))
        return
    started, begin = datetime.now(UTC), time.perf_counter()
    load = os.getloadavg()[0]
    options = ["--threads", str(arguments.threads), "--repeats", str(repeats)]
    options += ["--quick"] * quick
    lengths = measure_lengths(LENGTHS[:4] if quick else LENGTHS, *options)
    compared = {
        name: run_part("peer", environment, *options)
        for name, environment in ALLOCATORS.items()
    }
    ratios = {
        f"{name}, {what}": ratio
        for name, found in compared.items()
        for what, ratio in (
            *(
                (f"forward {arm}", found["forward"][arm]["ratio_of_medians"])
                for arm in (
                    "float32",
                    "bfloat16_autocast",
                    "float32_compiled",
                    "bfloat16_autocast_compiled",
                )
            ),
            (
                f"training at {found['training']['compared'][-1]['length']} tokens",
                found["training"]["compared"][-1]["ratio_of_medians"],
            ),
        )
    }
    result = {
        "what": "one state-space layer: length, and against transformers' MambaModel",
        "started": started.isoformat(timespec="seconds"),
        "shared_machine": bool(arguments.shared_machine),
        "quick": quick,
        "load_before": round(load, 2),
        "machine": describe_machine(),
        "threads": arguments.threads,
        "allocators": ALLOCATORS,
        "width": WIDTH,
        "differences": DIFFERENCES,
        "length": lengths,
        "compared": compared,
        "ratios": ratios,
        "bars": {name: ratio >= BAR for name, ratio in ratios.items()},
        "seconds": round(time.perf_counter() - begin),
    }
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=1, ensure_ascii=False)
        arguments.out.write_text(text + "\n", encoding="utf-8")
    for name, ratio in ratios.items():
        print(f"{name}: {ratio} times faster (bar {BAR:.0f})")


if __name__ == "__main__":
    main()
