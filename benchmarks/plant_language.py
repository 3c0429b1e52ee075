"""The plant language model: its corpus, and what it adds over Markov models.

    python benchmarks/plant_language.py --data ../shared/data --work /tmp/w/plant --corpus-only
    python -m encoders.pretrain --corpus /tmp/w/plant/corpus.npz --minutes 40 \
        --config encoders/configs/plant_lm.toml --out encoders/weights/plant_lm
    python benchmarks/plant_language.py --data ../shared/data --work /tmp/w/plant \
        --model encoders/weights/plant_lm --out benchmarks/results/plant_language.json

All plant sequence of the data folder that is a genome's: 4.8 Mb of *Arabidopsis thaliana*
TAIR10, BACs of its chromosome 2, contigs of Ler and *A. lyrata*, and 3 Mb of rice.
Held out for testing are ``At5`` (Chr5:25,975,503-26,975,502, gene dense) and ``Os3_test``
(rice Chr3:1,600,001-2,000,000), for stopping ``At3_watched`` and ``Os3_watched``; all that
aligns to them or shares a word of 24 bases is cut from the rest.

Measured, with 95 % intervals of resampled 20 kb blocks and paired differences: bits a base
with one site hidden; on ``At5``, which alone has gene models, bits by region class, and how
well log-likelihood ratios tell premature stops, lost starts and splice sites from other
changes. Beside the model: Markov models (``benchmarks.markov_peer``) of the same corpus,
GC alone, and the yeast model as it ships. ``--model`` may be repeated: further seeds.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.language import read_fasta
from benchmarks.machine import describe_machine
from benchmarks.result_file import write_result
from encoders.corpus import Assembly, build_corpus
from encoders.material import MATERIAL_FILE, Material
from encoders.nucleotides import encode

TAIR10 = "arabidopsis/derived/TAIR10_sparse.fa.gz"
RICE = "crops/rice/MSU7.Chr3_2M.fa.gz"
PIECES = {
    "At5": (TAIR10, "5", 25_975_502, 26_975_502),
    "At3_watched": (TAIR10, "3", 10_500_000, 10_800_000),
    "At3": (TAIR10, "3", 10_800_000, 14_300_000),
    "Os3_watched": (RICE, "Chr3", 0, 200_000),
    "Os3": (RICE, "Chr3", 200_000, 1_600_000),
    "Os3_test": (RICE, "Chr3", 1_600_000, 2_000_000),
}
"""File, contig, start and end (0-based half-open) of each contig of the reference."""
HELD_OUT, WATCHED = ("At5", "Os3_test"), ("At3_watched", "Os3_watched")
OTHERS = {
    "Col chromosome 2 BACs": "arabidopsis/genome/pasa_chr2_bacs.fa.gz",
    "Ler contig": "arabidopsis/genome/Ler.test.fa.gz",
    "A. lyrata contig": "arabidopsis/genome/Alyrata.test.fa.gz",
    "rice chromosome 2": "crops/rice/EDTA_rice_chr2_1Mb.fa.gz",
}
SYNTHETIC = "ChrSyn"
"""A contig of the rice file that no genome has. Left out as well: ``Col.test.fa.gz``, said
to be *Arabidopsis* but base for base the rice contig."""

Codes = NDArray[np.uint8]


def reference(data: Path) -> Assembly:
    """Cut the reference's contigs, ASCII codes, out of the two files."""
    whole = {file: read_fasta(data / file) for file in (TAIR10, RICE)}
    return Assembly(
        "TAIR10 and MSU7",
        {
            name: whole[file][contig][start:end]
            for name, (file, contig, start, end) in PIECES.items()
        },
    )


def material(data: Path, work: Path) -> Material:
    """Return the corpus, built once."""
    file = work / MATERIAL_FILE
    if not file.is_file():
        mine = reference(data)
        others = [
            Assembly(name, {
                contig: codes for contig, codes in read_fasta(data / path).items()
                if contig != SYNTHETIC
            })
            for name, path in OTHERS.items()
        ]  # fmt: skip
        corpus = build_corpus([mine, *others], [*HELD_OUT, *WATCHED])
        watched = np.concatenate([encode(mine.contigs[name]) for name in WATCHED])
        made = Material(mine.name, HELD_OUT, WATCHED, corpus, watched)
        made.write(file, corpus.digest)
    return Material.read(file)[0]
