"""Reference sequence of one assembly, memory-mapped."""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_registry.errors import OutOfBoundsError, UnknownContigError, WorkspaceError

Bases = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Contig:
    """Where one contig lies in the stored FASTA."""

    name: str
    length: int
    offset: int


class Genome:
    """The contigs of one assembly; lower case means soft-masked.

    The stored FASTA holds each contig on a single line, so the file serves both as a
    memory-mapped array and, through its ``.fai``, as an ordinary indexed FASTA.

    Parameters
    ----------
    assembly
        Name of the assembly, e.g. ``"sacCer3"``.
    path
        A FASTA written by ``write_genome``, with its ``.fai`` beside it.
    """

    def __init__(self, assembly: str, path: Path) -> None:
        self.assembly = assembly
        self.path = path
        self._contigs = {contig.name: contig for contig in read_index(path)}
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes: Bases = np.frombuffer(mapped, dtype=np.uint8)

    def __contains__(self, name: str) -> bool:
        return name in self._contigs

    def __iter__(self) -> Iterator[str]:
        return iter(self._contigs)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Contig lengths in bp, in the FASTA's order."""
        return {contig.name: contig.length for contig in self._contigs.values()}

    def contig(self, name: str) -> Bases:
        """Return one contig as ASCII codes, shape ``(length,)``, read-only, case kept.

        Raises
        ------
        UnknownContigError
            The assembly has no such contig.
        """
        try:
            found = self._contigs[name]
        except KeyError:
            raise UnknownContigError(
                f"{self.assembly} has no contig {name!r}"
            ) from None
        return self._bytes[found.offset : found.offset + found.length]

    def fetch(self, name: str, start: int, end: int) -> str:
        """Return the bases of ``[start, end)`` (0-based half-open) in upper case.

        Raises
        ------
        UnknownContigError, OutOfBoundsError
            No such contig, or the span reaches past its ends.
        """
        bases = self.contig(name)
        if not 0 <= start <= end <= len(bases):
            raise OutOfBoundsError(
                f"{name}:{start}-{end} (0-based): contig has {len(bases)} bp"
            )
        return bases[start:end].tobytes().decode("ascii").upper()

    def fetch_inside(self, name: str, start: int, end: int) -> str:
        """Return the bases of ``[start, end)`` that lie on the contig, upper case."""
        return self.contig(name)[max(start, 0) : max(end, 0)].tobytes().decode().upper()


def read_index(path: Path) -> list[Contig]:
    """Read the ``.fai`` beside a stored FASTA.

    Raises
    ------
    WorkspaceError
        The index is missing: the workspace is damaged.
    """
    index = path.with_name(path.name + ".fai")
    if not index.is_file():
        raise WorkspaceError(f"{index} is missing; register the genome again")
    contigs = []
    for line in index.read_text(encoding="utf-8").splitlines():
        name, length, offset, *_ = line.split("\t")
        contigs.append(Contig(name, int(length), int(offset)))
    return contigs


def write_index(contigs: list[Contig], path: Path) -> None:
    """Write the ``.fai`` of a FASTA whose contigs stand on one line each."""
    index = path.with_name(path.name + ".fai")
    index.write_text(
        "".join(
            f"{c.name}\t{c.length}\t{c.offset}\t{c.length}\t{c.length + 1}\n"
            for c in contigs
        ),
        encoding="utf-8",
    )
