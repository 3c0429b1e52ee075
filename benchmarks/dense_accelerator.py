"""How fast a GPU scores all SNVs with one of our language models; needs no workspace.

    python benchmarks/dense_accelerator.py --model encoders/weights/yeast_lm \
        --corpus corpus.npz --out benchmarks/results/dense_accelerator.json

``corpus.npz`` is what ``python -m encoders.pretrain --corpus-only`` wrote; its first bases
are read in tiles as ``cisgraph precompute`` reads them, ratios brought back to the CPU.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.result_file import write_result
from encoders.language import load_language_model
from encoders.likelihood import substitution_ratios
from encoders.material import Material

TILE_BP = 32_768
YEAST_BP = 12_157_105


def main() -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--bases", type=int, default=3_000_000)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = load_language_model(arguments.model, arguments.device)
    codes = Material.read(arguments.corpus)[0].corpus.codes
    substitution_ratios(model, codes[:100_000], 0, 100_000)  # warm
    begin = time.perf_counter()
    for at in range(0, arguments.bases, TILE_BP):
        substitution_ratios(model, codes, at, min(at + TILE_BP, arguments.bases))
    per_s = 3 * arguments.bases / (time.perf_counter() - begin)
    result = {
        "device": torch.cuda.get_device_name() if model.device == "cuda" else "CPU",
        "bases": arguments.bases,
        "snvs_per_s": round(per_s),
        "whole_yeast_genome_s_at_this_speed": round(3 * YEAST_BP / per_s, 1),
    }
    write_result(arguments.out, result)
    print(result)


if __name__ == "__main__":
    main()
