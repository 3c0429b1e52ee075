"""How a language model scores random SNVs: what a ratio is compared with."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_registry.normalisation import Alleles, Bytes, Strings
from data_registry.workspace import written_beside
from encoders.likelihood import (
    Codes,
    Floats,
    is_masked,
    ratios_at,
    substitution_ratios,
)
from encoders.nucleotides import N_BASES, UNKNOWN, encode
from encoders.sequence_model import SequenceModel
from variant_effect.dense_track import HIGHEST, STEP
from variant_effect.markov import CONTEXTS, Background, Classify, allele_contexts

STRETCH_BP = 4_096
N_STRETCHES = 128
"""Stretches drawn from the genome, each base of which is changed once."""
N_SITES = 4_000
"""Bases changed where the model needs a pass for each."""
KEPT_SITES = 50
"""Of these, how many are computed between one keeping and the next."""

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
    n_stretches: int = N_STRETCHES,
    n_sites: int = N_SITES,
    kept: Path | None = None,
    on_sites: Callable[[int, int], None] = lambda _done, _of: None,
) -> Background:
    """Score one random change at each base of randomly drawn stretches.

    The same inputs and seed give the same table. Unknown bases are left out.

    Parameters
    ----------
    contigs
        ASCII bases by contig.
    classify
        Gives the consequence class of a contig's alleles; called once a contig.
    kept
        Folder in which ratios stay that took a pass each, so that a run that was
        stopped goes on from there. It is of one model, genome and seed.
    on_sites
        Told how many of these are done, and of how many.
    """
    rng = np.random.default_rng(seed)
    drawn = (
        _sites(contigs, n_sites, rng)
        if is_masked(model)
        else _stretches(contigs, n_stretches, rng)
    )
    places = {
        name: sites[encode(contigs[name][sites]) < UNKNOWN]
        for name, sites in drawn.items()
    }
    parts = []
    done, total = 0, sum(map(len, places.values()))
    for number, (name, start) in enumerate(places.items()):
        contig = contigs[name]
        codes = encode(contig)
        old = codes[start]
        new = ((old + rng.integers(1, N_BASES, len(start))) % N_BASES).astype(np.uint8)
        if is_masked(model):
            folder = kept and kept / str(number)
            ratios = _by_site(model, codes, start, folder, done, total, on_sites)
        else:
            ratios = _dense(model, codes, start)
        done += len(start)
        ends = np.arange(len(start) + 1, dtype=np.int64)
        alleles = Alleles(
            start, Strings(_LETTERS[old], ends), Strings(_LETTERS[new], ends)
        )
        context = allele_contexts(contig, alleles)
        parts.append(
            pd.DataFrame({
                "consequence_class": classify(name, alleles),
                "context": np.array(CONTEXTS, object)[context],
                "llr": rounded(ratios[np.arange(len(start)), new]),
            })
        )  # fmt: skip
    return Background(
        pd.concat(parts, ignore_index=True),
        provenance={
            "model": model.digest, "seed": seed, "stretch_bp": STRETCH_BP,
            "n_stretches": n_stretches, "n_sites": n_sites,
        },
    )  # fmt: skip


def _by_site(
    model: SequenceModel, codes: Codes, start: NDArray[np.int64], kept: Path | None,
    before: int, total: int, on_sites: Callable[[int, int], None],
) -> Floats:  # fmt: skip
    """Ratios at positions, a pass for each; those in ``kept`` are not computed again.

    ``before`` sites of ``total`` are done on other contigs.
    """
    parts = [np.zeros((0, N_BASES), np.float32)]
    for first in range(0, len(start), KEPT_SITES):
        mine = start[first : first + KEPT_SITES]
        file = kept and kept / f"{first}.npy"
        if file and file.is_file():
            parts.append(np.load(file))
        else:
            parts.append(ratios_at(model, codes, mine))
            if file:
                with written_beside(file) as beside, beside.open("wb") as opened:
                    np.save(opened, parts[-1])
        on_sites(before + first + len(mine), total)
    return np.concatenate(parts)


def _dense(model: SequenceModel, codes: Codes, start: NDArray[np.int64]) -> Floats:
    """Ratios at sorted positions, from a pass over each stretch that holds some."""
    parts = []
    for number in np.unique(start // STRETCH_BP).tolist():
        first = number * STRETCH_BP
        end = min(first + STRETCH_BP, len(codes))
        mine = start[(start >= first) & (start < end)]
        parts.append(substitution_ratios(model, codes, first, end)[mine - first])
    return np.concatenate(parts) if parts else np.zeros((0, N_BASES), np.float32)


def _stretches(
    contigs: Mapping[str, Bytes], n_stretches: int, rng: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Positions of the stretches drawn, without repeats, by contig."""
    names = sorted(contigs)
    counts = [-(-len(contigs[name]) // STRETCH_BP) for name in names]
    firsts = np.r_[0, np.cumsum(counts)]
    drawn = rng.choice(firsts[-1], min(n_stretches, int(firsts[-1])), replace=False)
    found = {}
    for i, name in enumerate(names):
        mine = np.sort(
            drawn[(drawn >= firsts[i]) & (drawn < firsts[i + 1])] - firsts[i]
        )
        places = (mine[:, None] * STRETCH_BP + np.arange(STRETCH_BP)).reshape(-1)
        if len(places):
            found[name] = places[places < len(contigs[name])].astype(np.int64)
    return found


def _sites(
    contigs: Mapping[str, Bytes], n_sites: int, rng: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Single positions drawn from the whole genome, without repeats, by contig.

    About ``n_sites`` of them, less repeats, are known bases.
    """
    names = sorted(contigs)
    firsts: NDArray[np.int64] = np.r_[0, np.cumsum([len(contigs[n]) for n in names])]
    total = int(firsts[-1])
    known = sum(int((encode(contigs[name]) < UNKNOWN).sum()) for name in names)
    n_drawn = min(n_sites * total // max(known, 1), total)
    drawn: NDArray[np.int64] = np.unique(
        rng.integers(0, total, n_drawn, dtype=np.int64)
    )
    cuts = np.searchsorted(drawn, firsts)
    found = {
        name: (drawn[cuts[i] : cuts[i + 1]] - firsts[i]).astype(np.int64)
        for i, name in enumerate(names)
    }
    return {name: places for name, places in found.items() if len(places)}
