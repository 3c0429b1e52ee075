"""How a language model scores random SNVs: what a ratio is compared with."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_registry.normalisation import Alleles, Bytes, Strings
from encoders.likelihood import TILE_BP, Floats, is_masked, ratios_at
from encoders.nucleotides import N_BASES, UNKNOWN, encode
from encoders.sequence_model import SequenceModel
from variant_effect.dense_track import HIGHEST, STEP
from variant_effect.markov import CONTEXTS, Background, Classify, allele_contexts

N_TILES = 800
"""Stretches of ``TILE_BP`` drawn from the genome, each base of which is changed once."""
N_SITES = 4_000
"""Bases changed where the model needs a pass for each."""

_LETTERS = np.frombuffer(b"ACGT", np.uint8)


def rounded(ratios: Floats) -> Floats:
    """Round as a dense track does, so that a ratio does not depend on where it is from."""
    kept: Floats = np.clip(np.rint(ratios / STEP) * STEP, -HIGHEST, HIGHEST)
    return kept.astype(np.float32)


def build_background(
    model: SequenceModel,
    contigs: Mapping[str, Bytes],
    classify: Classify,
    *,
    seed: int,
    n_tiles: int = N_TILES,
    n_sites: int = N_SITES,
) -> Background:
    """Score one random change at each base of randomly drawn tiles.

    The same inputs and seed give the same table. Unknown bases are left out.

    Parameters
    ----------
    contigs
        ASCII bases by contig.
    classify
        Gives the consequence class of a contig's alleles; called once a contig.
    """
    rng = np.random.default_rng(seed)
    places = (
        _sites(contigs, n_sites, rng)
        if is_masked(model)
        else _tiles(contigs, n_tiles, rng)
    )
    parts = []
    for name, drawn in places.items():
        contig = contigs[name]
        codes = encode(contig)
        start = drawn[codes[drawn] < UNKNOWN]
        old = codes[start]
        new = ((old + rng.integers(1, N_BASES, len(start))) % N_BASES).astype(np.uint8)
        llr = ratios_at(model, codes, start)[np.arange(len(start)), new]
        ends = np.arange(len(start) + 1, dtype=np.int64)
        alleles = Alleles(
            start, Strings(_LETTERS[old], ends), Strings(_LETTERS[new], ends)
        )
        context = allele_contexts(contig, alleles)
        parts.append(
            pd.DataFrame({
                "consequence_class": classify(name, alleles),
                "context": np.array(CONTEXTS, object)[context],
                "llr": rounded(llr),
            })
        )  # fmt: skip
    return Background(
        pd.concat(parts, ignore_index=True),
        provenance={
            "model": model.digest, "seed": seed, "tile_bp": TILE_BP,
            "n_tiles": n_tiles, "n_sites": n_sites,
        },
    )  # fmt: skip


def _tiles(
    contigs: Mapping[str, Bytes], n_tiles: int, rng: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Positions of the tiles drawn, without repeats, by contig."""
    names = sorted(contigs)
    counts = [-(-len(contigs[name]) // TILE_BP) for name in names]
    firsts = np.r_[0, np.cumsum(counts)]
    drawn = rng.choice(firsts[-1], min(n_tiles, int(firsts[-1])), replace=False)
    found = {}
    for i, name in enumerate(names):
        mine = np.sort(
            drawn[(drawn >= firsts[i]) & (drawn < firsts[i + 1])] - firsts[i]
        )
        places = (mine[:, None] * TILE_BP + np.arange(TILE_BP)).reshape(-1)
        if len(places):
            found[name] = places[places < len(contigs[name])].astype(np.int64)
    return found


def _sites(
    contigs: Mapping[str, Bytes], n_sites: int, rng: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Single positions drawn from the whole genome, without repeats, by contig."""
    names = sorted(contigs)
    firsts: NDArray[np.int64] = np.r_[0, np.cumsum([len(contigs[n]) for n in names])]
    total = int(firsts[-1])
    drawn: NDArray[np.int64] = np.unique(
        rng.integers(0, total, min(n_sites, total), dtype=np.int64)
    )
    cuts = np.searchsorted(drawn, firsts)
    found = {
        name: (drawn[cuts[i] : cuts[i + 1]] - firsts[i]).astype(np.int64)
        for i, name in enumerate(names)
    }
    return {name: places for name, places in found.items() if len(places)}
