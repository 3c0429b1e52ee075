"""Simulated Hi-C: distance decay, domains (TADs) and enhancer–promoter loops."""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_registry.demo_organism.elements import BIN_BP, Element, Landscape
from data_registry.demo_organism.gene_models import Chromosome, Gene

DECAY: Final = 0.9
ACROSS_BORDER: Final = 0.4
LOOP_GAIN: Final = 3.5
SHORTEST_LOOP_BINS: Final = 3
CREATED: Final = "2026-11-21T00:00:00"
"""Fixed, so that the same seed gives the same bytes."""

Loop = tuple[int, int, int]
"""Chromosome index and the two bins (numbered along the chromosome, first < second)."""


def list_loops(scape: Landscape, genes: list[Gene]) -> list[tuple[Element, Loop]]:
    """Return each active enhancer with the bins of itself and its target's start."""
    loops = []
    for element in scape.elements:
        if element.kind != "enhancer" or not element.active:
            continue
        here = (element.start + element.end) // 2 // BIN_BP
        there = genes[element.gene].tss // BIN_BP
        if abs(here - there) >= SHORTEST_LOOP_BINS:
            pair = (element.chromosome, min(here, there), max(here, there))
            loops.append((element, pair))
    return loops


def draw_contacts(
    chromosomes: list[Chromosome],
    scape: Landscape,
    genes: list[Gene],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Draw a symmetric matrix of contact counts over all bins of the genome."""
    n_bins = [-(-len(c.bases) // BIN_BP) for c in chromosomes]
    starts = np.concatenate([[0], np.cumsum(n_bins)])
    expected = np.full((starts[-1], starts[-1]), 0.12)
    loops = [pair for _, pair in list_loops(scape, genes)]
    for number, n in enumerate(n_bins):
        bins = np.arange(n)
        apart = np.abs(bins[:, None] - bins[None, :])
        block = 45.0 / (apart + 0.6) ** DECAY
        domain = np.searchsorted(
            scape.domain_edges[number], bins * BIN_BP, side="right"
        )
        block[domain[:, None] != domain[None, :]] *= ACROSS_BORDER
        gain = np.ones((n, n))
        for chromosome, a, b in loops:
            if chromosome == number:
                for i in range(max(a - 1, 0), min(a + 2, n)):
                    for j in range(max(b - 1, 0), min(b + 2, n)):
                        peak = LOOP_GAIN if (i, j) == (a, b) else LOOP_GAIN / 2.2
                        gain[i, j] = max(gain[i, j], peak)
        gain = np.maximum(gain, gain.T)
        inside = slice(int(starts[number]), int(starts[number + 1]))
        expected[inside, inside] = block * gain
    visibility = rng.lognormal(0.0, 0.15, len(expected))
    counts = rng.poisson(expected * visibility[:, None] * visibility[None, :])
    upper = np.triu(counts)
    symmetric: npt.NDArray[np.int64] = upper + np.triu(counts, 1).T
    return symmetric


def write_cool(
    path: Path, chromosomes: list[Chromosome], counts: npt.NDArray[np.int64]
) -> None:
    """Write a balanced single-resolution ``.cool``."""
    import cooler
    import h5py

    lengths = pd.Series({c.name: len(c.bases) for c in chromosomes})
    bins = cooler.binnify(lengths, BIN_BP)
    first, second = np.nonzero(np.triu(counts))
    pixels = pd.DataFrame(
        {"bin1_id": first, "bin2_id": second, "count": counts[first, second]}
    )
    draft = path.with_suffix(".draft")
    cooler.create_cooler(
        str(draft),
        bins,
        pixels,
        assembly="simulated",
        metadata={"note": "simulated demo organism of cisgraph; no real data"},
        ordered=True,
    )
    cooler.balance_cooler(cooler.Cooler(str(draft)), store=True, max_iters=300)
    # The draft keeps traces of the clock, even under an attribute that is overwritten.
    with h5py.File(draft, "r") as source, h5py.File(path, "w") as target:
        for name in sorted(source):
            source.copy(name, target)
        for name in sorted(source.attrs):
            target.attrs[name] = (
                CREATED if name == "creation-date" else source.attrs[name]
            )
    draft.unlink()
