"""What related genomes have at each base of the reference: conservation and polarity.

``<workspace>/relatives/<digest>/`` holds, for the registered relatives sorted by name,

* ``sites.npy``: uint8, shape (relatives, bases of all contigs in the FASTA's order), read
  as a memory map: A 0, C 1, G 2, T 3, ``UNALIGNED`` 4, ``DELETED`` 5;
* ``insertions-<i>.npz``: what each relative has between two bases of the reference;
* ``row-<i>.json``: what row ``i`` is made from and what was counted, written when the row
  is done, so that a killed run goes on with the next one;
* ``manifest.json``: written last; without it the folder is unfinished.

The digest covers the reference, the relatives with their roles, and the parameters. A row
that an older folder holds, or an unfinished one, is copied and not aligned again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from data_registry.errors import MissingLayerError
from data_registry.genome import Genome
from data_registry.relative_alignment import (
    UNALIGNED,
    Aligner,
    Insertions,
    Parameters,
    align_relative,
    contig_offsets,
    letter_codes,
)
from data_registry.sources.genome import GENOME_FILE
from data_registry.store import Store, open_store
from data_registry.workspace import disk_error, written_beside

Codes = NDArray[np.uint8]
Shares = NDArray[np.float32]

FLANK_BP = 20
"""Bases on each side of a site that its identity is taken over."""
OUTGROUP = "outgroup"

_FORMAT = 1
_MANIFEST, _SITES = "manifest.json", "sites.npy"
_BLOCK_BP = 1 << 20


@dataclass(frozen=True, slots=True)
class Relative:
    """A registered relative's genome: name, role, checksum of its file, its FASTA."""

    name: str
    role: str
    sha256: str
    fasta: Path


@dataclass(frozen=True, slots=True)
class Relatives:
    """Relatives aligned to the reference, read from the memory map.

    Parameters
    ----------
    genome
        The reference.
    names, roles
        One a relative; roles are ``"ingroup"`` and ``"outgroup"``.
    insertions
        One a relative; places in the concatenated reference (``offsets``).
    counts
        One a relative: what ``cisgraph relatives`` prints.
    offsets
        Where each contig begins in the concatenated reference.
    """

    genome: Genome
    names: tuple[str, ...]
    roles: tuple[str, ...]
    insertions: tuple[Insertions, ...]
    counts: tuple[dict[str, object], ...]
    offsets: dict[str, int]
    digest: str
    codes: Codes

    def sites(self, contig: str) -> Codes:
        """Return the relatives' codes, shape (relatives, length of the contig), mapped.

        Raises
        ------
        UnknownContigError
            The assembly has no such contig.
        """
        length = len(self.genome.contig(contig))
        at = self.offsets[contig]
        return self.codes[:, at : at + length]

    @property
    def is_outgroup(self) -> NDArray[np.bool_]:
        """Which relatives are outgroups, shape (relatives,)."""
        return np.array([role == OUTGROUP for role in self.roles], bool)

    def identity(self, contig: str, flank: int = FLANK_BP) -> Shares:
        """Return ``identity_by_relative`` as the mean over the relatives that have one.

        Shape (length,); NaN where none has.
        """
        parts = [
            mean_known(values) for _, values in self.identity_blocks(contig, flank)
        ]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    def identity_by_relative(self, contig: str, flank: int = FLANK_BP) -> Shares:
        """Return the share of identical among aligned bases within ``flank`` of each base.

        Shape (relatives, length). The base itself counts, a deleted base is aligned and
        not identical, and windows are cut at the contig's ends. NaN where less than half
        of the window is aligned (``share_identical``).
        """
        none = np.zeros((len(self.names), 0), np.float32)
        blocks = self.identity_blocks(contig, flank)
        return np.concatenate([none, *(values for _, values in blocks)], axis=1)

    def identity_blocks(
        self, contig: str, flank: int, block_bp: int = _BLOCK_BP
    ) -> Iterator[tuple[int, Shares]]:
        """Give ``identity_by_relative`` in blocks, each with its first base."""
        sites = self.sites(contig)
        length = sites.shape[1]
        for first in range(0, length, block_bp):
            last = min(first + block_bp, length)
            low, high = max(first - flank, 0), min(last + flank, length)
            identical, aligned = compare(
                sites[:, low:high], letter_codes(self.genome.contig(contig)[low:high])
            )
            here = np.arange(first, last)
            left = np.maximum(here - flank, 0) - low
            right = np.minimum(here + flank + 1, length) - low
            yield (
                first,
                share_identical(
                    window_sums(identical, left, right),
                    window_sums(aligned, left, right),
                    right - left,
                ),
            )

    def polarity(self, contig: str) -> Codes:
        """Return the ancestral base, shape (length,): the one that the outgroups agree on.

        ``DELETED`` where they agree that there is none; ``UNALIGNED``: not known, for no
        outgroup is aligned or they differ. Where it is the reference's base, an
        alternative allele is derived; where it is the alternative, the reference is.
        """
        return agreed(self.sites(contig)[self.is_outgroup])


def compare(
    sites: Codes, reference: Codes
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where codes equal the reference's base, and where the two can be compared."""
    aligned = (sites != UNALIGNED) & (reference != UNALIGNED)
    return aligned & (sites == reference), aligned


def share_identical(
    identical: NDArray[np.integer],
    aligned: NDArray[np.integer],
    window: NDArray[np.integer],
) -> Shares:
    """Return ``identical / aligned``, NaN where less than half of the window is aligned."""
    known = (2 * aligned >= window) & (aligned > 0)
    share: Shares = np.divide(
        identical, aligned, out=np.full(aligned.shape, np.nan), where=known
    ).astype(np.float32)
    return share


def mean_known(values: Shares) -> Shares:
    """Return the mean over the first axis of the values that are no NaN."""
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0, dtype=np.float64)
    mean: Shares = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    return mean.astype(np.float32)


def agreed(codes: Codes) -> Codes:
    """Return the code that all aligned rows share, ``UNALIGNED`` where there is none."""
    known = codes != UNALIGNED
    lowest = np.where(known, codes, 255).min(axis=0, initial=255)
    highest = np.where(known, codes, 0).max(axis=0, initial=0)
    found: Codes = np.where(lowest == highest, lowest, UNALIGNED).astype(np.uint8)
    return found


def window_sums(
    values: NDArray[np.bool_], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Count true values in ``[left, right)`` of each row, shape (rows, windows)."""
    sums = np.zeros((len(values), values.shape[1] + 1), np.int32)
    np.cumsum(values, axis=1, out=sums[:, 1:])
    found: NDArray[np.int32] = sums[:, right] - sums[:, left]
    return found


# -- from the registry -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Registered:
    """The reference and the relatives as registered, and where their alignment lies.

    It outlives the open registry, so that aligning does not keep others from it.
    """

    folder: Path
    genome: Genome
    genome_sha256: str
    relatives: tuple[Relative, ...]
    parameters: Parameters

    @classmethod
    def of(cls, store: Store, parameters: Parameters | None = None) -> "Registered":
        """Find them in the registry.

        Raises
        ------
        MissingLayerError
            No genome is registered.
        """
        sources = store.sources()
        genome = store.genome()
        found = [
            Relative(
                source.name, source.options["role"], source.sha256,
                store.workspace.sources / source.sha256 / GENOME_FILE,
            )
            for source in sources
            if source.kind == "relative_genome"
        ]  # fmt: skip
        return cls(
            store.workspace.path / "relatives",
            genome,
            next(source.sha256 for source in sources if source.kind == "genome"),
            tuple(sorted(found, key=lambda relative: relative.name)),
            parameters or Parameters(),
        )

    @property
    def digest(self) -> str:
        """Covers the reference, the relatives, their roles, and the parameters."""
        named = [(r.name, r.role, r.sha256) for r in self.relatives]
        return _digest([self.genome_sha256, named, asdict(self.parameters), _FORMAT])

    def key(self, relative: Relative) -> str:
        """Cover what a relative's row depends on: not its name, not its role."""
        return _digest(
            [self.genome_sha256, relative.sha256, asdict(self.parameters), _FORMAT]
        )

    @property
    def total_bp(self) -> int:
        """Bases of all relatives together."""
        genomes = (Genome(r.name, r.fasta) for r in self.relatives)
        return sum(sum(genome.lengths.values()) for genome in genomes)

    @property
    def is_aligned(self) -> bool:
        """Whether the relatives as they are registered now have been aligned."""
        return (self.folder / self.digest / _MANIFEST).is_file()

    def open(self) -> Relatives | None:
        """Open what was aligned; None where nothing is registered or not aligned yet."""
        if not self.relatives or not self.is_aligned:
            return None
        folder = self.folder / self.digest
        rows = range(len(self.relatives))
        return Relatives(
            genome=self.genome,
            names=tuple(relative.name for relative in self.relatives),
            roles=tuple(relative.role for relative in self.relatives),
            insertions=tuple(_read_insertions(folder, i) for i in rows),
            counts=tuple(json.loads(_row_file(folder, i).read_text()) for i in rows),
            offsets=contig_offsets(self.genome),
            digest=self.digest,
            codes=np.load(folder / _SITES, mmap_mode="r"),
        )


def load_relatives(workspace: Path) -> Relatives | None:
    """Open a workspace's relatives; None where none is registered or not aligned yet.

    Raises
    ------
    WorkspaceError
        There is no workspace, or it holds no genome.
    """
    with open_store(workspace) as store:
        return Registered.of(store).open()


def align_relatives(
    registered: Registered,
    *,
    workers: int = 1,
    on_progress: Callable[[int, str], None] = lambda _n, _name: None,
) -> Relatives:
    """Align the relatives that are not yet aligned; return all.

    Parameters
    ----------
    workers
        Threads; the result does not depend on it.
    on_progress
        Called with bp of relatives done, of all, and the name of the one at hand.

    Raises
    ------
    MissingLayerError
        No relative is registered.
    MissingOptionalError
        mappy is not installed.
    InputError
        A relative does not align at all.
    WorkspaceError
        The workspace cannot be written.
    """
    if not registered.relatives:
        raise MissingLayerError(
            "no relative's genome is registered; add one with 'cisgraph add FASTA "
            "--kind relative_genome --name NAME --option role=outgroup'"
        )
    folder = registered.folder / registered.digest
    try:
        if not registered.is_aligned:
            _align(registered, folder, workers, on_progress)
        for other in registered.folder.iterdir():
            if other != folder:
                shutil.rmtree(other)
    except OSError as error:
        raise disk_error(error, folder) from error
    found = registered.open()
    if found is None:
        raise MissingLayerError(f"{folder} was taken away while it was made; run again")
    return found


def _align(
    registered: Registered,
    folder: Path,
    workers: int,
    on_progress: Callable[[int, str], None],
) -> None:
    """Make the rows that are missing, and the manifest last."""
    codes = _open_sites(registered, folder)
    aligner: Aligner | None = None
    done = 0
    for i, relative in enumerate(registered.relatives):
        genome = Genome(relative.name, relative.fasta)
        on_progress(done, relative.name)
        if not _row_file(folder, i).is_file() and not _copy_row(
            registered, relative, i, codes[i]
        ):
            aligner = aligner or Aligner(registered.genome)

            def report(n: int, name: str = relative.name, before: int = done) -> None:
                on_progress(before + n, name)

            result = align_relative(
                aligner, genome, codes[i], registered.parameters, workers=workers,
                on_progress=report,
            )  # fmt: skip
            codes.flush()
            with (
                written_beside(_insertions_file(folder, i)) as beside,
                beside.open("wb") as file,
            ):
                np.savez(file, **asdict(result.insertions))
            _write_json(_row_file(folder, i), {
                "key": registered.key(relative), "preset": result.preset,
                "divergence": result.divergence, "n_sampled": result.n_sampled,
                "n_placed": result.n_placed, "insertions": len(result.insertions.at),
                **result.counts, "mappy": version("mappy"),
            })  # fmt: skip
        done += sum(genome.lengths.values())
        on_progress(done, relative.name)
    _write_json(folder / _MANIFEST, {
        "assembly": registered.genome.assembly,
        "genome_sha256": registered.genome_sha256,
        "contigs": dict(registered.genome.lengths),
        "relatives": [
            {"name": r.name, "role": r.role, "sha256": r.sha256}
            for r in registered.relatives
        ],
        "parameters": asdict(registered.parameters),
        "format": _FORMAT,
        "code_version": version("cisgraph"),
    })  # fmt: skip


def _open_sites(registered: Registered, folder: Path) -> np.memmap:
    """Open the map of codes for writing; a new one is written out, so the disk has room.

    A hole in a mapped file on a full disk would end the process, not raise an error.
    """
    path = folder / _SITES
    if not path.is_file():
        total = sum(registered.genome.lengths.values())
        shape = (len(registered.relatives), total)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        with written_beside(path) as beside, beside.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(shape[0]):
                for first in range(0, total, _BLOCK_BP):
                    size = min(_BLOCK_BP, total - first)
                    file.write(bytes([UNALIGNED]) * size)
    return np.lib.format.open_memmap(path, mode="r+")


def _copy_row(registered: Registered, relative: Relative, i: int, row: Codes) -> bool:
    """Take a row over from any folder that has it; tell whether there was one."""
    key = registered.key(relative)
    target = registered.folder / registered.digest
    for file in sorted(registered.folder.glob("*/row-*.json")):
        old = int(file.stem.removeprefix("row-"))
        if json.loads(file.read_text()).get("key") != key:
            continue
        row[:] = np.load(file.parent / _SITES, mmap_mode="r")[old]
        for name in (_insertions_file, _row_file):
            with written_beside(name(target, i)) as beside:
                shutil.copyfile(name(file.parent, old), beside)
        return True
    return False


def _row_file(folder: Path, i: int) -> Path:
    return folder / f"row-{i}.json"


def _insertions_file(folder: Path, i: int) -> Path:
    return folder / f"insertions-{i}.npz"


def _read_insertions(folder: Path, i: int) -> Insertions:
    with np.load(_insertions_file(folder, i)) as held:
        return Insertions(held["at"], held["offsets"], held["bases"])


def _write_json(path: Path, content: object) -> None:
    with written_beside(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# -- tracks ------------------------------------------------------------------------------

TRACKS = {
    "relatives_identity": "share of identical bases within 20 bp, mean over relatives",
    "relatives_aligned": "relatives aligned at the base",
    "relatives_identical": "relatives that have the reference's base",
}


def write_tracks(relatives: Relatives, folder: Path) -> list[Path]:
    """Write one bigWig a track of ``TRACKS``; return their paths.

    A base where no relative can be compared has 0 relatives aligned and no other value.
    """
    contigs = list(relatives.genome.lengths.items())
    paths = []
    for track in TRACKS:
        path = folder / f"{track}.bw"
        with written_beside(path) as beside, pyBigWig.open(str(beside), "w") as file:
            file.addHeader(contigs)
            for contig, _ in contigs:
                for first, values in _track_blocks(relatives, contig, track):
                    _add_runs(file, contig, first, values)
        paths.append(path)
    return paths


def _track_blocks(
    relatives: Relatives, contig: str, track: str
) -> Iterator[tuple[int, Shares]]:
    if track == "relatives_identity":
        for first, shares in relatives.identity_blocks(contig, FLANK_BP):
            yield first, mean_known(shares)
        return
    sites = relatives.sites(contig)
    for first in range(0, sites.shape[1], _BLOCK_BP):
        last = first + _BLOCK_BP
        letters = letter_codes(relatives.genome.contig(contig)[first:last])
        identical, aligned = compare(sites[:, first:last], letters)
        n = aligned.sum(axis=0).astype(np.float32)
        if track == "relatives_identical":
            n = np.where(n > 0, identical.sum(axis=0), np.nan).astype(np.float32)
        yield first, n


def _add_runs(
    file: "pyBigWig.pyBigWig", contig: str, first: int, values: Shares
) -> None:
    """Add runs of equal values; NaN is no value."""
    filled = np.where(np.isnan(values), -1, values)
    starts = np.flatnonzero(np.r_[True, filled[1:] != filled[:-1]])
    ends = np.r_[starts[1:], len(filled)]
    keep = filled[starts] >= 0
    if keep.any():
        file.addEntries(
            [contig] * int(keep.sum()),
            (first + starts[keep]).tolist(),
            ends=(first + ends[keep]).tolist(),
            values=filled[starts[keep]].astype(float).tolist(),
        )
