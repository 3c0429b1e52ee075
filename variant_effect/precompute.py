"""Scoring all possible SNVs of a genome once, so that scoring a VCF looks them up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_registry.coordinates import Region
from data_registry.errors import InputError
from data_registry.store import Store
from encoders.likelihood import (
    Floats,
    Haplotypes,
    allele_distance,
    substitution_ratios,
)
from encoders.nucleotides import N_BASES, UNKNOWN, encode
from encoders.sequence_model import SequenceModel
from variant_effect.dense_track import (
    DISTANCES,
    RATIOS,
    DenseTrack,
    Manifest,
    track_folder,
)
from variant_effect.trained_models import TrainedModel


@dataclass(frozen=True, slots=True)
class Precomputed:
    """What a call did."""

    track: DenseTrack
    tiles: int
    tiles_done_before: int
    n_cut: int


def genome_sha256(store: Store) -> str:
    """Return the digest of the registered genome's file; '' without one."""
    found = [s.sha256 for s in store.sources() if s.kind == "genome"]
    return found[0] if found else ""


def precompute(
    store: Store,
    model: TrainedModel,
    opened: SequenceModel,
    regions: Sequence[Region] = (),
    *,
    distances: bool = False,
    folder: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Precomputed:
    """Compute the tiles that touch the regions and are not finished yet.

    The grid of tiles is fixed, so the same track comes out whatever was asked first, and
    a killed run is taken up where it stood. Two runs at a time write the same values.

    Parameters
    ----------
    opened
        ``model``, opened.
    regions
        Contigs by the assembly's names; none means the whole genome.
    distances
        Also the embedding distance of every SNV: two passes for each, three SNVs a base.
    folder
        Where the track stands; by default where scoring looks for it.
    on_progress
        Called with the tiles done and all tiles asked for.

    Raises
    ------
    WorkspaceError
        The disk is full, or the track that is there is damaged.
    OutOfBoundsError, UnknownContigError
        A region lies off the genome.
    """
    genome = store.genome()
    digest = genome_sha256(store)
    arrays = RATIOS | DISTANCES if distances else RATIOS
    manifest = Manifest(
        opened.name,
        model.digest,
        digest,
        genome.assembly,
        genome.lengths,
        opened.reach_bp,
    )
    track = DenseTrack.create(
        folder or track_folder(store.workspace.path, model.digest, digest),
        manifest,
        arrays,
    )
    spans = regions or [Region(name) for name in genome]
    wanted: set[int] = set()
    for region in spans:
        length = len(genome.contig(region.contig))
        end = length if region.end is None else region.end
        if not 0 <= region.start < end <= length:
            raise InputError(f"{region}: {region.contig} has {length:,} bp")
        wanted |= set(track.tiles_over(region.contig, region.start, end))
    pending = [tile for tile in sorted(wanted) if not track.is_done(tile, arrays)]
    n_before, n_cut = len(wanted) - len(pending), 0
    name, codes = "", np.zeros(0, np.uint8)
    for number, tile in enumerate(pending, start=n_before + 1):
        contig, start, end = track.tile_span(tile)
        if contig != name:
            name, codes = contig, encode(genome.contig(contig))
        if not track.is_done(tile, RATIOS):
            ratios = substitution_ratios(opened, codes, start, end)
            n_cut += track.write(tile, codes[start:end], RATIOS, ratios)
        if distances:
            values = snv_distances(opened, codes, np.arange(start, end))
            track.write(tile, codes[start:end], DISTANCES, values)
        on_progress(number, len(wanted))
    return Precomputed(track, len(wanted), n_before, n_cut)


def snv_distances(
    model: SequenceModel, contig: np.ndarray, positions: np.ndarray
) -> Floats:
    """Return the embedding distance of every SNV at positions, ``(positions, 4)``."""
    out = np.full((len(positions), N_BASES), np.nan, dtype=np.float32)
    for i, place in enumerate(positions.tolist()):
        if contig[place] == UNKNOWN:
            continue
        for base in range(N_BASES):
            alt = np.array([base], np.uint8)
            out[i, base] = (
                0.0
                if base == contig[place]
                else allele_distance(model, Haplotypes.of(contig, place, 1, alt))
            )
    return out
