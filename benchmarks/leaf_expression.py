"""Expression in leaves from 3,001 bp around the start: floors, a network of a paper, ours.

    python benchmarks/leaf_expression.py --data ../shared/data --work /tmp/w/leaf \
        --out benchmarks/results/leaf_expression.json

All protein-coding genes of *Arabidopsis* whose window is sequence we have (4.8 Mb of
TAIR10), with the mean of log2(1 + TPM) over 14 samples of leaves. Segments of 200 kb, and
genes whose windows share 15 % of their 12-mers, stay on one side; windows across a border
of segments are left out and counted. Networks are those of ``benchmarks/promoters.py``
with the settings chosen there, but for more epochs of fewer rows. Many genes are silent, so
figures stand for the expressed ones alone too.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from benchmarks.promoters import (
    OURS,
    RIDGES,
    Task,
    compare,
    fit_one_split,
    one_split_arguments,
    show_conditions,
    without_predictions,
)
from benchmarks.result_file import write_result
from benchmarks.sites import KNOWN, SEGMENT_BP, read_layers
from data_registry.errors import InputError
from encoders.nucleotides import UNKNOWN, reverse_complement
from models.gue import auroc
from models.promoter.data import Promoters
from models.promoter.splits import (
    Split,
    grouped_split,
    merge_groups,
    similarity_clusters,
)
from models.promoter.training import TrainingSettings

EXPRESSION = "arabidopsis/expression/arabidopsis_leaf_counts.csv.gz"
LENGTH_BP = 3_001
CONDITION = "leaf"
MODELS = (*RIDGES, "DeepSTARR", OURS)
SILENT = 0.3
"""Mean of log2(1 + TPM) up to which a gene counts as silent in leaves."""
EPOCHS, BATCH = 24, 32
SPLIT, SPLIT_SEED, N_FOLDS = "leaf segments", 3, 8


class LeafTask(Task):
    """A run whose training is as long as that of thousands of short promoters."""

    @property
    def fitting(self) -> TrainingSettings:
        """Settings of its own."""
        return replace(
            super().fitting, epochs=EPOCHS, patience=EPOCHS, batch_size=BATCH
        )


@dataclass(frozen=True, slots=True)
class Genes:
    """Windows around starts with their expression; ``left_out`` counts by reason."""

    promoters: Promoters
    groups: NDArray[np.intp]
    split: Split
    left_out: dict[str, int]


@cache
def read_genes(data: Path) -> Genes:
    """Cut the windows, on the strand of the gene, its first base in the middle."""
    layers = read_layers(data)
    table = pd.read_csv(data / EXPRESSION, index_col=0).drop(columns="logMaxTPM")
    level = np.log2(1 + table).mean(axis=1)
    half = LENGTH_BP // 2
    left_out: dict[str, int] = defaultdict(int)
    names, codes, values, segments = [], [], [], []
    coding = layers.tss[layers.tss["biotype"] == "protein_coding"]
    for contig, at, strand, gene in coding[
        ["contig", "at", "strand", "gene"]
    ].itertuples(index=False):
        start, end = at - half, at - half + LENGTH_BP
        low, high = KNOWN.get(contig, (end, end))
        window = layers.genome[contig][start:end] if low <= start else None
        if window is None or end > high or (window == UNKNOWN).any():
            left_out["no sequence"] += 1
        elif gene not in level.index:
            left_out["no expression"] += 1
        elif (start - low) // SEGMENT_BP != (end - 1 - low) // SEGMENT_BP:
            left_out["across a border of segments"] += 1
        else:
            names.append(gene)
            codes.append(window if strand > 0 else reverse_complement(window))
            values.append(level[gene])
            segments.append(f"{contig}:{(start - low) // SEGMENT_BP}")
    if not names:
        raise InputError(f"{data}: no gene has both sequence and expression")
    stacked = np.stack(codes)
    promoters = Promoters(
        np.array(names), np.full(len(names), "At"), stacked,
        np.array(values, np.float32)[:, None], (CONDITION,),
    )  # fmt: skip
    groups = merge_groups(np.array(segments), similarity_clusters(stacked))
    rng = np.random.default_rng(SPLIT_SEED)
    split = grouped_split(SPLIT, groups, rng, n_folds=N_FOLDS)
    return Genes(promoters, groups, split, dict(left_out))


def main() -> None:
    """Run what is missing, then write the figures of all there is."""
    arguments = one_split_arguments(__doc__)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    genes = read_genes(arguments.data)
    promoters, split = genes.promoters, genes.split
    found = fit_one_split(arguments, promoters, split, MODELS, LeafTask)
    predicted = {m: [run["test"][:, 0] for run in runs] for m, runs in found.items()}
    test = promoters.take(split.test)
    level, groups = test.of(CONDITION), genes.groups[split.test]
    on = level > SILENT
    figures = {
        "what": "Pearson's r2 of leaf expression from 3,001 bp, segments held out",
        "started": started, "machine": describe_machine(),
        "genes": len(promoters), "left_out": genes.left_out,
        "n_train": len(split.train), "n_validation": len(split.validation),
        "n_test": len(split.test),
        "test_groups": len(np.unique(groups)),
        "silent": {
            name: round(float((promoters.of(CONDITION)[rows] <= SILENT).mean()), 4)
            for name, rows in (("train", split.train), ("test", split.test))
        },
        "expressed_against_silent_auroc": {
            model: round(auroc(on, np.mean(seeds, axis=0)), 4)
            for model, seeds in predicted.items()
        },
        CONDITION: compare(
            predicted, level, test.species, groups, arguments.bootstrap
        ),
        "expressed": compare(
            {model: [seed[on] for seed in seeds] for model, seeds in predicted.items()},
            level[on], test.species[on], groups[on], arguments.bootstrap,
        ),
        "runs": {model: without_predictions(runs) for model, runs in found.items()},
    }  # fmt: skip
    write_result(arguments.out, figures)
    show_conditions({part: figures[part] for part in (CONDITION, "expressed")})


if __name__ == "__main__":
    main()
