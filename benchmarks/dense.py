"""How fast a language model scores all SNVs, and how fast the track answers.

    python benchmarks/dense.py --workspace /tmp/w/yeast --genome \
        --out benchmarks/results/dense.json

The workspace holds a genome and a language model ('cisgraph models add'). Each speed
stands beside the plain way to the same numbers, measured in the same run: a pass of the
model for each SNV, and a look-up for each SNV. With --genome the whole genome is
precomputed into a fresh track and timed; without it a sample of tiles is.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from data_registry.coordinates import Region
from data_registry.errors import MissingLayerError
from data_registry.store import Store, open_store
from encoders.likelihood import (
    Haplotypes,
    allele_distance,
    allele_ratio,
    log_probabilities_at,
    substitution_ratios,
)
from encoders.nucleotides import UNKNOWN, encode
from encoders.sequence_model import SequenceModel
from variant_effect.dense_track import BYTES_PER_SNV, STEP, TILE_BP, DenseTrack
from variant_effect.precompute import precompute
from variant_effect.trained_models import (
    NO_LANGUAGE_MODEL,
    TrainedModel,
    find_model,
    open_language,
)

SEED = 20_261_121


def main() -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--genome", action="store_true", help="precompute all of it")
    parser.add_argument("--tiles", type=int, default=8, help="tiles without --genome")
    parser.add_argument("--lookups", type=int, default=2_000_000)
    parser.add_argument("--alleles", type=int, default=50, help="of each slow kind")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    with open_store(arguments.workspace) as store, tempfile.TemporaryDirectory() as tmp:
        model = find_model(arguments.workspace, "language")
        if model is None:
            raise MissingLayerError(NO_LANGUAGE_MODEL)
        opened = open_language(model, device=arguments.device)
        result = {
            "machine": describe_machine(),
            "threads": _threads(),
            "device": str(getattr(opened, "device", "cpu")),
            "model": {
                "name": opened.name, "digest": model.digest, "reach_bp": opened.reach_bp,
            },
            **measure(store, model, opened, Path(tmp), arguments),
        }  # fmt: skip
    text = json.dumps(result, indent=1) + "\n"
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    print(text, end="")


def measure(
    store: Store,
    model: TrainedModel,
    opened: SequenceModel,
    folder: Path,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Return all figures by name."""
    genome = store.genome()
    longest = max(genome, key=lambda name: genome.lengths[name])
    end = min(arguments.tiles * TILE_BP, genome.lengths[longest])
    regions = [] if arguments.genome else [Region(longest, 0, end)]
    substitution_ratios(opened, np.zeros(1_000, np.uint8), 0, 1_000)  # warm

    begin = time.perf_counter()
    done = precompute(store, model, opened, regions, folder=folder / "track")
    seconds = time.perf_counter() - begin
    n_bases = sum(genome.lengths.values()) if arguments.genome else end
    codes = encode(genome.contig(longest)[:end])
    track = done.track
    snvs = _random_snvs(codes, arguments.lookups)
    return {
        "precompute": {
            "whole_genome": arguments.genome,
            "bases": n_bases,
            "snvs": 3 * n_bases,
            "seconds": round(seconds, 2),
            "snvs_per_s": round(3 * n_bases / seconds),
            "ratios_cut": done.n_cut,
        },
        "a_pass_for_each_snv": _one_by_one(opened, codes, arguments.alleles),
        "track": {
            "bytes_per_snv": BYTES_PER_SNV,
            "bytes": (folder / "track" / "ratios.int16").stat().st_size,
            "half_a_step_nats": STEP / 2,
            "largest_error_nats": _error(track, opened, longest, codes),
        },
        "look_up": _look_up(folder / "track", longest, snvs),
        "slow_kinds": _slow_kinds(opened, codes, arguments.alleles),
    }


def _threads() -> int:
    from torch import get_num_threads

    return int(get_num_threads())


def _random_snvs(
    codes: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions in random order, with the reference and another base."""
    rng = np.random.default_rng(SEED)
    known = np.flatnonzero(codes < UNKNOWN)
    position = rng.choice(known, n)
    ref = codes[position]
    alt = ((ref + rng.integers(1, 4, n)) % 4).astype(np.uint8)
    return position, ref, alt


def _one_by_one(model: SequenceModel, codes: np.ndarray, n: int) -> dict[str, float]:
    """Score SNVs by a window of ``2 reach + 1`` bases each, and check the numbers."""
    position, ref, alt = _random_snvs(codes, n)
    reach = model.reach_bp
    found = np.empty(n)
    begin = time.perf_counter()
    for i, place in enumerate(position.tolist()):
        low = max(place - reach, 0)
        window = codes[low : place + reach + 1]
        row = log_probabilities_at(model, window, np.array([place - low]))[0]
        found[i] = row[alt[i]] - row[ref[i]]
    seconds = time.perf_counter() - begin
    dense = [
        substitution_ratios(model, codes, p, p + 1)[0, a]
        for p, a in zip(position.tolist(), alt.tolist(), strict=True)
    ]
    return {
        "snvs": n,
        "snvs_per_s": round(n / seconds, 1),
        "largest_difference_nats": float(np.abs(found - dense).max()),
    }


def _error(
    track: DenseTrack, model: SequenceModel, contig: str, codes: np.ndarray
) -> float:
    """Largest difference of the track from the model, over its first tile."""
    end = min(TILE_BP, len(codes))
    held = track.ratios(contig, 0, end, codes[:end])
    exact = substitution_ratios(model, codes, 0, end)
    return float(np.nanmax(np.abs(held - exact)))


def _look_up(
    folder: Path, contig: str, snvs: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Look-ups a second with the track opened anew; the files are in the page cache."""
    position, ref, alt = snvs
    order = np.argsort(position, kind="stable")
    few = 5_000

    def rate(n: int, run: Callable[[], object]) -> float:
        best = min(_seconds(run) for _ in range(3))
        return round(n / best)

    def loop() -> None:
        track = DenseTrack(folder)
        for i in range(few):
            track.look_up(contig, position[i : i + 1], ref[i : i + 1], alt[i : i + 1])

    random = rate(
        len(position), lambda: DenseTrack(folder).look_up(contig, position, ref, alt)
    )
    ordered = rate(
        len(position),
        lambda: DenseTrack(folder).look_up(
            contig, position[order], ref[order], alt[order]
        ),
    )
    alone = rate(few, loop)
    missing = np.isnan(DenseTrack(folder).look_up(contig, position, ref, alt)).sum()
    return {
        "n": len(position),
        "not_found": int(missing),
        "random_order_per_s": random,
        "sorted_per_s": ordered,
        "one_at_a_time_per_s": alone,
        "times_faster_than_one_at_a_time": round(random / alone, 1),
    }


def _slow_kinds(model: SequenceModel, codes: np.ndarray, n: int) -> dict[str, float]:
    """Alleles a second of what needs two passes of its own."""
    position, _, alt = _random_snvs(codes, n)

    def run(
        function: Callable[[SequenceModel, Haplotypes], float], n_ref: int
    ) -> float:
        def all_of_them() -> None:
            for place, base in zip(position.tolist(), alt, strict=True):
                function(model, Haplotypes.of(codes, place, n_ref, np.array([base])))

        return round(n / _seconds(all_of_them), 1)

    return {
        "insertion_ratios_per_s": run(allele_ratio, 0),
        "snv_distances_per_s": run(allele_distance, 1),
    }


def _seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


if __name__ == "__main__":
    # Large blocks are kept by the process: giving them back costs more than computing.
    wanted = {
        "MALLOC_MMAP_THRESHOLD_": "4000000000",
        "MALLOC_TRIM_THRESHOLD_": "4000000000",
    }
    if any(name not in os.environ for name in wanted):
        os.execve(  # noqa: S606
            sys.executable, [sys.executable, *sys.argv], {**wanted, **os.environ}
        )
    main()
