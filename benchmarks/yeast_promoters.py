"""Yeast promoter libraries: floors, networks of papers and ours, the published model beside.

    python benchmarks/yeast_promoters.py --data ../shared/data --work /tmp/w/yeast_promoters \
        --out benchmarks/results/yeast_promoters.json

Promoters of 110 bp (80 bp that vary between two fixed ends) in two media, measured by
Vaishnav et al. 2022 (Nature 603, 455): native ones with their mutants, and random ones.
Two promoters whose varying parts share 15 % of their 12-mers are of one cluster, and no
cluster stands on two sides; mutants of one promoter are one cluster therefore. Networks
are those of ``benchmarks/promoters.py``, with the settings chosen there on plant
promoters: nothing was chosen on these rows.

The published model learned from tens of millions of other random promoters; its
predictions come with the tables. Runs are kept in ``--work`` as there.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from benchmarks.promoters import (
    MODELS,
    compare,
    fit_one_split,
    one_split_arguments,
    show_conditions,
    without_predictions,
)
from benchmarks.result_file import write_result
from encoders.nucleotides import encode
from models.promoter.data import Promoters
from models.promoter.splits import Split, grouped_split, similarity_clusters

FOLDER = "benchmarks/promoters/yeast_vaishnav2022"
FILES = {
    ("native", "complex"): "Native_complex.csv.gz",
    ("native", "defined"): "Native_defined.csv.gz",
    ("random", "complex"): "Random_complex.csv.gz",
    ("random", "defined"): "HQ_testdata_defined.csv.gz",
}
"""Tables by kind of promoter and medium."""

LENGTH_BP = 110
FIXED_BP = (17, 13)
"""Of every promoter, at the 5' and the 3' end."""
SPLIT, SPLIT_SEED = "yeast clusters", 3


@dataclass(frozen=True, slots=True)
class Library:
    """Distinct promoters; ``published`` is ``(n, media)``, as their values are."""

    promoters: Promoters
    kinds: NDArray[np.str_]
    published: NDArray[np.float64]
    clusters: NDArray[np.intp]
    split: Split


@cache
def read_library(data: Path) -> Library:
    """Read the four tables; a promoter in several is one row."""
    tables = []
    for (kind, medium), name in FILES.items():
        table = pd.read_csv(data / FOLDER / name)
        tables.append(
            pd.DataFrame({
                "sequence": table["sequence"].str.replace("N", ""), "kind": kind,
                "medium": medium, "measured": table["Measured Expression"],
                "published": table["Predicted Expression"],
            })
        )  # fmt: skip
    rows = pd.concat(tables)
    media = sorted({medium for _, medium in FILES})
    wide = rows.pivot_table(
        index=["kind", "sequence"], columns="medium", values=["measured", "published"]
    )
    kinds = wide.index.get_level_values("kind").to_numpy(str)
    sequences = wide.index.get_level_values("sequence")
    promoters = Promoters(
        np.array([f"{kind}_{i}" for i, kind in enumerate(kinds)]),
        np.full(len(kinds), "yeast"),
        padded(sequences, LENGTH_BP), wide["measured"][media].to_numpy(np.float32),
        tuple(media),
    )  # fmt: skip
    before, behind = FIXED_BP
    varying = [sequence[before:-behind] for sequence in sequences]
    clusters = similarity_clusters(padded(varying, LENGTH_BP - before - behind))
    rng = np.random.default_rng(SPLIT_SEED)
    split = grouped_split(SPLIT, clusters, rng)
    published = wide["published"][media].to_numpy(np.float64)
    return Library(promoters, kinds, published, clusters, split)


def padded(sequences: Any, length_bp: int) -> NDArray[np.uint8]:  # noqa: ANN401
    """Return codes, the last ``length_bp`` of each, unknown bases before shorter ones."""
    return np.stack([
        encode(("N" * length_bp + sequence)[-length_bp:]) for sequence in sequences
    ])  # fmt: skip


def report(
    found: dict[str, list[dict[str, Any]]], library: Library, n_boot: int
) -> dict[str, Any]:
    """Return the figures of all runs, by medium and kind of promoter."""
    promoters, split = library.promoters, library.split
    test = promoters.take(split.test)
    conditions = {}
    for i, medium in enumerate(promoters.conditions):
        known = ~np.isnan(test.of(medium))
        columns = {m: [r["test"][known, i] for r in runs] for m, runs in found.items()}
        columns["published model"] = [library.published[split.test][known, i]]
        conditions[medium] = compare(
            columns, test.of(medium)[known], library.kinds[split.test][known],
            library.clusters[split.test][known], n_boot,
        )  # fmt: skip
    return {
        "promoters": len(promoters), "clusters": len(np.unique(library.clusters)),
        "n_train": len(split.train), "n_validation": len(split.validation),
        "n_test": len(split.test), "media": conditions,
        "runs": {model: without_predictions(runs) for model, runs in found.items()},
    }  # fmt: skip


def main() -> None:
    """Run what is missing, then write the figures of all there is."""
    arguments = one_split_arguments(__doc__)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    library = read_library(arguments.data)
    found = fit_one_split(arguments, library.promoters, library.split, MODELS)
    figures = {
        "what": "Pearson's r2 of promoter models on yeast promoters held out by cluster",
        "started": started, "machine": describe_machine(),
        **report(found, library, arguments.bootstrap),
    }  # fmt: skip
    write_result(arguments.out, figures)
    show_conditions(figures["media"])


if __name__ == "__main__":
    main()
