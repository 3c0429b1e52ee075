"""Scores of all possible SNVs of a genome, in files that are mapped into memory.

A folder holds ``manifest.json`` (which model, which genome, where each contig lies),
``ratios.int16`` and, where asked for, ``distances.float16`` (three values a base: its
alternatives in the order A, C, G, T), and ``tiles.uint8`` (which arrays are finished, one
byte a tile). A tile is marked only after its values are on the disk, so a killed run
leaves a track that is right as far as it goes.
"""

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from data_registry.errors import WorkspaceError
from data_registry.workspace import disk_error, written_beside
from encoders.likelihood import Floats, information_content, surprisal
from encoders.nucleotides import N_BASES, UNKNOWN, encode

FORMAT = "cisgraph dense track 1"
MANIFEST = "manifest.json"
N_ALTERNATIVES = N_BASES - 1
TILE_BP = 32_768
STEP = 2.0**-11
"""Nats a unit of ``ratios.int16``: rounding moves a ratio by at most 2^-12 = 0.00024."""
HIGHEST = 32_767 * STEP
"""Ratios beyond ±16 nats are held as ±16."""
BYTES_PER_SNV = 2
"""Of each array: 6 bytes a base for ratios, 12 with distances."""

RATIOS, DISTANCES = 1, 2
"""Bits of ``tiles.uint8``."""

_NOTHING = -32_768
_FILES = {
    RATIOS: ("ratios.int16", np.dtype("<i2")),
    DISTANCES: ("distances.float16", np.dtype("<f2")),
}
TILES_FILE = "tiles.uint8"
_REMEDY = "delete the folder and run 'cisgraph precompute' again"

TRACKS = ("information", "surprisal")
"""What ``export_bigwig`` can write: 2 bits less the entropy of the predicted base, and
``-log2 p`` of the base that stands there."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a track was made of.

    Parameters
    ----------
    model, model_digest
        The model's name, and the digest of its files (``trained_models.digest_of``).
    genome_sha256, assembly
        The registered genome.
    contigs
        Contig to length in bp, in the genome's order.
    tile_bp
        Bases a tile; each contig begins a tile.
    reach_bp
        Bases read beyond a tile on each side.
    """

    model: str
    model_digest: str
    genome_sha256: str
    assembly: str
    contigs: Mapping[str, int]
    reach_bp: int
    tile_bp: int = TILE_BP
    format: str = FORMAT


def track_folder(workspace: Path, model_digest: str, genome_sha256: str) -> Path:
    """Return where the track of a model on a genome stands."""
    return workspace / "models" / f"dense-{model_digest[:12]}-{genome_sha256[:12]}"


class DenseTrack:
    """A track on the disk, open for look-ups.

    Parameters
    ----------
    folder
        Made by ``create``.

    Raises
    ------
    WorkspaceError
        The folder holds no track, or a damaged one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / MANIFEST
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            self.manifest = Manifest(**held)
        except (OSError, ValueError, TypeError) as error:
            raise WorkspaceError(f"{path} cannot be read; {_REMEDY}") from error
        if self.manifest.format != FORMAT:
            raise WorkspaceError(
                f"{path} is {self.manifest.format!r}, not {FORMAT!r}; {_REMEDY}"
            )
        lengths = list(self.manifest.contigs.values())
        self.contigs = tuple(self.manifest.contigs)
        self.starts: Integers = np.r_[0, np.cumsum(lengths)].astype(np.int64)
        tiles = [-(-length // self.manifest.tile_bp) for length in lengths]
        self.first_tiles: Integers = np.r_[0, np.cumsum(tiles)].astype(np.int64)
        self._arrays = {
            bit: self._map(name, dtype, (int(self.starts[-1]), N_ALTERNATIVES))
            for bit, (name, dtype) in _FILES.items()
            if (folder / name).is_file()
        }
        self.tiles = self._map(TILES_FILE, np.dtype("u1"), (int(self.first_tiles[-1]),))

    def _map(
        self, name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]
    ) -> np.ndarray:
        path = self.folder / name
        expected = int(np.prod(shape)) * dtype.itemsize
        found = path.stat().st_size if path.is_file() else -1
        if found != expected:
            state = "missing" if found < 0 else f"{found:,} bytes"
            raise WorkspaceError(f"{path}: {state}, not {expected:,} bytes; {_REMEDY}")
        return np.memmap(path, dtype, "r", shape=shape)

    @classmethod
    def create(cls, folder: Path, manifest: Manifest, arrays: int) -> Self:
        """Make an empty track, or add an array to one that is there; return it.

        Parameters
        ----------
        arrays
            ``RATIOS``, or ``RATIOS | DISTANCES``.

        Raises
        ------
        WorkspaceError
            The folder holds a track of another model or genome, or the disk is full.
        """
        n_bases = sum(manifest.contigs.values())
        n_tiles = sum(-(-n // manifest.tile_bp) for n in manifest.contigs.values())
        sizes = {TILES_FILE: n_tiles} | {
            name: n_bases * N_ALTERNATIVES * dtype.itemsize
            for bit, (name, dtype) in _FILES.items()
            if bit & arrays
        }
        if (folder / MANIFEST).is_file():
            cls(folder).require(manifest)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, size in sizes.items():
                if not (folder / name).is_file():
                    with written_beside(folder / name) as beside:
                        os.truncate(beside, size)
        except OSError as error:
            raise disk_error(error, folder) from error
        # Last: a folder with a manifest has all its files.
        if not (folder / MANIFEST).is_file():
            with written_beside(folder / MANIFEST) as beside:
                beside.write_text(
                    json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8"
                )
        return cls(folder)

    def require(self, manifest: Manifest) -> None:
        """Refuse to be taken for the track of something else.

        Raises
        ------
        WorkspaceError
            Model, genome, contigs or tiles differ.
        """
        ours, theirs = asdict(self.manifest), asdict(manifest)
        for name, what in (
            ("model_digest", "model"), ("genome_sha256", "genome"),
            ("contigs", "contigs"), ("tile_bp", "tile length"),
        ):  # fmt: skip
            if ours[name] != theirs[name]:
                raise WorkspaceError(
                    f"{self.folder} was computed with another {what} "
                    f"({self.manifest.model} on {self.manifest.assembly}); {_REMEDY}"
                )

    # -- writing ---------------------------------------------------------------------

    def tile_span(self, tile: int) -> tuple[str, int, int]:
        """Return contig, start and end of a tile, 0-based half-open."""
        contig = int(np.searchsorted(self.first_tiles, tile, side="right")) - 1
        start = (tile - int(self.first_tiles[contig])) * self.manifest.tile_bp
        name = self.contigs[contig]
        return (
            name,
            start,
            min(start + self.manifest.tile_bp, self.manifest.contigs[name]),
        )

    def tiles_over(self, contig: str, start: int, end: int) -> range:
        """Return the tiles that hold ``[start, end)`` of a contig."""
        first = int(self.first_tiles[self.contigs.index(contig)])
        bp = self.manifest.tile_bp
        return range(first + start // bp, first + -(-end // bp))

    def is_done(self, tile: int, arrays: int) -> bool:
        """Whether all these arrays are finished in a tile."""
        return int(self.tiles[tile]) & arrays == arrays

    def write(
        self, tile: int, codes: NDArray[np.uint8], array: int, values: Floats
    ) -> int:
        """Write one tile of one array and mark it finished.

        Parameters
        ----------
        codes
            The tile's reference, ``(length,)``.
        array
            ``RATIOS`` or ``DISTANCES``.
        values
            ``(length, 4)`` by base; NaN where there is none.

        Returns
        -------
        int
            Ratios beyond what can be held, which were cut.
        """
        kept = alternatives(values, codes)
        n_cut = 0
        if array == RATIOS:
            n_cut = int((np.abs(kept) > HIGHEST).sum())
            whole = np.rint(np.clip(kept, -HIGHEST, HIGHEST) / STEP)
            kept = np.where(np.isnan(whole), _NOTHING, whole)
        name, dtype = _FILES[array]
        contig, start, _ = self.tile_span(tile)
        row = int(self.starts[self.contigs.index(contig)]) + start
        at = row * N_ALTERNATIVES * dtype.itemsize
        try:
            _write_at(self.folder / name, kept.astype(dtype).tobytes(), at)
            mark = np.array([self.tiles[tile] | array], dtype=np.uint8)
            _write_at(self.folder / TILES_FILE, mark.tobytes(), tile)
        except OSError as error:
            raise disk_error(error, self.folder) from error
        return n_cut

    # -- reading ---------------------------------------------------------------------

    def look_up(
        self,
        contig: str,
        position: Integers,
        ref: NDArray[np.uint8],
        alt: NDArray[np.uint8],
        array: int = RATIOS,
    ) -> Floats:
        """Return the values of SNVs, ``(n,)``; NaN where there is none.

        Parameters
        ----------
        position
            0-based, ``(n,)``.
        ref, alt
            Codes of one base each, ``(n,)``; 0 where they are equal.
        array
            ``RATIOS`` (nats) or ``DISTANCES``.
        """
        out = np.full(len(position), np.nan, dtype=np.float32)
        if array not in self._arrays or contig not in self.manifest.contigs:
            return out
        index = self.contigs.index(contig)
        tile = self.first_tiles[index] + position // self.manifest.tile_bp
        held = (self.tiles[tile] & array) > 0
        held &= (ref < UNKNOWN) & (alt < UNKNOWN)
        row = self.starts[index] + position[held]
        column = alt[held].astype(np.int64) - (alt[held] > ref[held])
        # Where the two are equal the column is any that exists.
        found = self._arrays[array].reshape(-1)[
            row * N_ALTERNATIVES + np.minimum(column, N_ALTERNATIVES - 1)
        ]
        if array == RATIOS:
            values = np.where(found == _NOTHING, np.nan, found * np.float32(STEP))
        else:
            values = found.astype(np.float32)
        out[held] = np.where(ref[held] == alt[held], 0.0, values)
        return out

    def ratios(
        self, contig: str, start: int, end: int, codes: NDArray[np.uint8]
    ) -> Floats:
        """Return the ratios of a stretch as ``substitution_ratios`` gives them, ``(n, 4)``.

        Parameters
        ----------
        codes
            The reference of the stretch.
        """
        rows = np.arange(start, end)
        return np.stack(
            [
                self.look_up(contig, rows, codes, np.full(len(rows), base, np.uint8))
                for base in range(N_BASES)
            ],
            axis=1,
        )

    def done(self, array: int = RATIOS) -> float:
        """Return the share of tiles that are finished."""
        return float(((self.tiles & array) > 0).mean()) if len(self.tiles) else 1.0


def alternatives(values: Floats, codes: NDArray[np.uint8]) -> Floats:
    """Keep the three columns of ``(n, 4)`` that are not the reference's, in order."""
    column = np.arange(N_ALTERNATIVES)
    known = np.minimum(codes, N_BASES - 1)[:, None]
    kept: Floats = np.take_along_axis(values, column + (column >= known), axis=1)
    return kept


def _write_at(path: Path, content: bytes, offset: int) -> None:
    """Write and wait for the disk; not through the map, where a full disk would kill us."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def export_bigwig(
    track: DenseTrack, contig_of: Mapping[str, NDArray[np.uint8]], path: Path, what: str
) -> int:
    """Write a value a base over the finished tiles; return the number of bases written.

    Parameters
    ----------
    contig_of
        Contig to ASCII bases.
    what
        One of ``TRACKS``.
    """
    n_written = 0
    with written_beside(path) as beside, pyBigWig.open(str(beside), "w") as file:
        file.addHeader(list(track.manifest.contigs.items()), maxZooms=10)
        for tile in np.flatnonzero(track.tiles & RATIOS).tolist():
            contig, start, end = track.tile_span(tile)
            codes = encode(contig_of[contig][start:end])
            ratios = track.ratios(contig, start, end, codes)
            known = np.flatnonzero(~np.isnan(ratios).any(axis=1))
            values = (
                surprisal(ratios[known], codes[known])
                if what == "surprisal"
                else information_content(ratios[known])
            )
            for run in _runs(known):
                file.addEntries(
                    contig, int(start + known[run.start]),
                    values=values[run].astype(np.float64), span=1, step=1,
                )  # fmt: skip
            n_written += len(known)
    return n_written


def _runs(rows: Integers) -> Sequence[slice]:
    """Cut ascending numbers where one is left out."""
    if not len(rows):
        return []
    cuts = np.r_[0, np.flatnonzero(np.diff(rows) > 1) + 1, len(rows)].tolist()
    return [slice(a, b) for a, b in itertools.pairwise(cuts)]
