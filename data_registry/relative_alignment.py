"""Which base of a relative lies on each base of the reference: minimap2, through mappy.

A base counts only where exactly one primary alignment covers it, on the reference and on
the relative, and that alignment could lie nowhere else (mapping quality). Everything else
is left open and counted by reason, so a duplicated or a doubtful stretch says nothing
rather than something wrong.

Source: Li 2018, Bioinformatics 34:3094 (minimap2); the rule of one alignment a base is
that of pairwise whole-genome calls from assemblies (e.g. Yue et al. 2017, Nat. Genet.
49:913).
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_registry.errors import InputError, MissingOptionalError
from data_registry.genome import Bases, Genome

if TYPE_CHECKING:
    import mappy

UNALIGNED = 4
"""No base of the relative can be named here."""
DELETED = 5
"""The relative's alignment passes over the base: it has none here."""
_NO_LETTER, _DISPUTED = 6, 7

_CODE = np.full(256, _NO_LETTER, dtype=np.uint8)
for _code, _letters in enumerate(("Aa", "Cc", "Gg", "Tt")):
    _CODE[np.frombuffer(_letters.encode(), np.uint8)] = _code
_COMPLEMENT = np.array([3, 2, 1, 0, 4, 5, _NO_LETTER, _DISPUTED], dtype=np.uint8)
_MATCH, _INSERTION, _DELETION = 0, 1, 2
_BLOCK_BP = 1 << 24


@dataclass(frozen=True, slots=True)
class Parameters:
    """How a relative is aligned; part of the digest of the result.

    Parameters
    ----------
    chunk_bp, overlap_bp
        Records longer than ``chunk_bp`` are aligned in pieces that reach ``overlap_bp``
        into their neighbours; each base is taken from the piece it belongs to.
    min_block_bp
        Alignments over fewer bases of the reference are passed over.
    min_mapq
        Alignments below this mapping quality claim their bases and name none.
    close
        Share of differing bases up to which minimap2's ``asm5`` is used; beyond, ``asm20``.
    n_samples, sample_bp
        Stretches of the relative on which that share is measured.
    """

    chunk_bp: int = 5_000_000
    overlap_bp: int = 50_000
    min_block_bp: int = 500
    min_mapq: int = 20
    close: float = 0.02
    n_samples: int = 200
    sample_bp: int = 5_000


@dataclass(frozen=True, slots=True)
class Insertions:
    """What a relative has between two bases of the reference.

    Parameters
    ----------
    at
        int64, sorted, distinct: place in the concatenated reference; the bases stand
        before it.
    offsets
        int64, shape (n + 1,): insertion ``i`` is ``bases[offsets[i] : offsets[i + 1]]``.
    bases
        uint8 codes, A 0 to T 3, ``UNALIGNED`` for other letters.
    """

    at: NDArray[np.int64]
    offsets: NDArray[np.int64]
    bases: NDArray[np.uint8]

    def find(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the insertion at each place, -1 where there is none."""
        if not len(self.at):
            return np.full(len(at), -1, np.int64)
        index = np.minimum(np.searchsorted(self.at, at), len(self.at) - 1)
        found: NDArray[np.int64] = np.where(self.at[index] == at, index, -1)
        return found


@dataclass(frozen=True, slots=True)
class Alignment:
    """One relative on the reference: its insertions, and what became of every base.

    Parameters
    ----------
    counts
        ``identical + different + deleted + unaligned + disputed + no_letter`` is the
        reference's length in bp. ``different`` includes bases of the reference that are
        no A, C, G or T; ``no_letter`` are other letters of the relative.
    preset, divergence, n_sampled, n_placed
        minimap2's preset, and the median share of differing bases over the ``n_placed``
        of ``n_sampled`` stretches that aligned.
    """

    insertions: Insertions
    counts: Mapping[str, int]
    preset: str
    divergence: float
    n_sampled: int
    n_placed: int


class Aligner:
    """The indexed reference; one index a preset, made when first asked for.

    Raises
    ------
    MissingOptionalError
        mappy is not installed.
    """

    def __init__(self, reference: Genome) -> None:
        try:
            import mappy
        except ImportError as error:
            raise MissingOptionalError(
                "aligning relatives' genomes needs mappy: pip install "
                "'cisgraph[relatives]'"
            ) from error
        self._mappy = mappy
        self.reference = reference
        self.offsets = contig_offsets(reference)
        self._indexes: dict[str, mappy.Aligner] = {}

    def primary(self, preset: str, sequence: Bases) -> "list[mappy.Alignment]":
        """Return the primary alignments of a sequence (ASCII)."""
        if preset not in self._indexes:
            self._indexes[preset] = self._mappy.Aligner(
                fn_idx_in=str(self.reference.path), preset=preset
            )
        text = sequence.tobytes().decode("ascii")
        return [hit for hit in self._indexes[preset].map(text) if hit.is_primary]


def contig_offsets(genome: Genome) -> dict[str, int]:
    """Return where each contig begins when all stand one after another."""
    ends = np.cumsum([0, *genome.lengths.values()])
    return dict(zip(genome.lengths, ends.tolist(), strict=False))


def letter_codes(sequence: Bases) -> NDArray[np.uint8]:
    """Return A 0, C 1, G 2, T 3 of ASCII letters in either case, ``UNALIGNED`` for others."""
    return np.minimum(_CODE[sequence], UNALIGNED)


def align_relative(
    aligner: Aligner,
    relative: Genome,
    row: NDArray[np.uint8],
    parameters: Parameters,
    *,
    workers: int = 1,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Alignment:
    """Align every record of a relative and write its base at each reference base.

    Parameters
    ----------
    row
        Written: one code a base of the concatenated reference (A 0 to T 3,
        ``UNALIGNED``, ``DELETED``).
    workers
        Threads; the result does not depend on it.
    on_progress
        Called with the relative's bases done so far.

    Raises
    ------
    InputError
        Nothing of the relative aligns.
    """
    divergence, n_placed, n_sampled = measure_divergence(aligner, relative, parameters)
    preset = "asm5" if divergence <= parameters.close else "asm20"
    row[:] = UNALIGNED
    kept: list[tuple[int, NDArray[np.uint8]]] = []
    pieces = list(_pieces(relative, parameters))
    done = 0
    with ThreadPoolExecutor(max_workers=workers) as pool:
        blocks_of = pool.map(
            lambda piece: _align_piece(aligner, preset, relative, piece, parameters),
            pieces,
        )
        for piece, blocks in zip(pieces, blocks_of, strict=True):
            for block in blocks:
                span = row[block.start : block.start + len(block.bases)]
                own = block.own
                span[own] = np.where(
                    span[own] == UNALIGNED, block.bases[own], _DISPUTED
                )
                kept += block.insertions
            done += piece.core_end - piece.core_start
            on_progress(done)
    insertions = _collect(kept, row)
    counts = _count_and_clean(aligner, row)
    return Alignment(insertions, counts, preset, divergence, n_sampled, n_placed)


def measure_divergence(
    aligner: Aligner, relative: Genome, parameters: Parameters
) -> tuple[float, int, int]:
    """Return the median share of differing bases, and stretches placed and sampled.

    Raises
    ------
    InputError
        No stretch could be placed.
    """
    ends = np.cumsum(list(relative.lengths.values()))
    names = list(relative.lengths)
    step = max(int(ends[-1]) // parameters.n_samples, parameters.sample_bp)
    starts = range(0, int(ends[-1]), step)
    shares = []
    for place in starts:
        i = int(np.searchsorted(ends, place, side="right"))
        sequence = relative.contig(names[i])
        first = place - int(ends[i]) + len(sequence)
        hits = aligner.primary("asm20", sequence[first : first + parameters.sample_bp])
        if hits:
            best = max(hits, key=lambda hit: hit.mlen)
            gaps = sum(bp for bp, op in best.cigar if op != _MATCH)
            compared = sum(bp for bp, op in best.cigar if op == _MATCH)
            shares.append(max(best.NM - gaps, 0) / compared)
    if not shares:
        raise InputError(
            f"{relative.assembly}: none of {len(starts)} stretches of {parameters.sample_bp:,} bp "
            f"aligns to {aligner.reference.assembly}: it is too distant (beyond about "
            "20 % of differing bases) or another organism; take it out with 'cisgraph "
            f"remove {relative.assembly}'"
        )
    return float(np.median(shares)), len(shares), len(starts)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch ``[start, end)`` of a record; ``core`` is what is its own of it."""

    record: str
    start: int
    end: int
    core_start: int
    core_end: int


@dataclass(frozen=True, slots=True)
class _Block:
    """One alignment: codes from ``start`` of the concatenated reference on."""

    start: int
    bases: NDArray[np.uint8]
    own: NDArray[np.bool_]
    insertions: list[tuple[int, NDArray[np.uint8]]]


def _pieces(relative: Genome, parameters: Parameters) -> Iterator[_Piece]:
    for record, length in relative.lengths.items():
        for start in range(0, length, parameters.chunk_bp):
            end = min(start + parameters.chunk_bp, length)
            yield _Piece(
                record,
                max(start - parameters.overlap_bp, 0),
                min(end + parameters.overlap_bp, length),
                start,
                end,
            )


def _align_piece(
    aligner: Aligner, preset: str, relative: Genome, piece: _Piece, parameters: Parameters
) -> list[_Block]:  # fmt: skip
    sequence = relative.contig(piece.record)[piece.start : piece.end]
    hits = [
        hit
        for hit in aligner.primary(preset, sequence)
        if hit.r_en - hit.r_st >= parameters.min_block_bp
    ]
    depth = np.zeros(len(sequence) + 1, np.int32)
    for hit in hits:
        depth[hit.q_st] += 1
        depth[hit.q_en] -= 1
    is_shared = np.cumsum(depth[:-1]) > 1
    is_own = np.zeros(len(sequence), bool)
    is_own[piece.core_start - piece.start : piece.core_end - piece.start] = True
    codes = _CODE[sequence]
    return [
        _read(
            hit,
            codes,
            is_shared | (hit.mapq < parameters.min_mapq),
            is_own,
            aligner.offsets[hit.ctg] + hit.r_st,
        )
        for hit in hits
    ]


def _read(
    hit: "mappy.Alignment",
    codes: NDArray[np.uint8],
    is_disputed: NDArray[np.bool_],
    is_own: NDArray[np.bool_],
    start: int,
) -> _Block:
    """Spell an alignment out along the reference.

    A deleted base goes with the relative's next base along the reference, so that it is
    own or disputed as that one is.
    """
    place = np.arange(hit.q_st, hit.q_en)
    query = codes[place]
    if hit.strand < 0:
        place, query = place[::-1], _COMPLEMENT[query[::-1]]
    length, op = np.array(hit.cigar, np.int64).T
    on_reference = np.where(op == _INSERTION, 0, length)
    on_query = np.where(op == _DELETION, 0, length)
    reference_at = np.cumsum(on_reference) - on_reference
    query_at = np.cumsum(on_query) - on_query

    step = np.repeat(np.arange(len(op)), on_reference)
    is_base = op[step] == _MATCH
    within = np.arange(len(step)) - reference_at[step]
    index = query_at[step] + np.where(is_base, within, 0)
    bases = np.where(is_base, query[index], np.uint8(DELETED))
    bases[is_disputed[place[index]]] = _DISPUTED

    insertions = []
    for i in np.flatnonzero(op == _INSERTION).tolist():
        first = int(query_at[i])
        if is_own[place[first]] and not is_disputed[place[first]]:
            inserted = query[first : first + int(length[i])]
            insertions.append((start + int(reference_at[i]), inserted))
    return _Block(start, bases, is_own[place[index]], insertions)


def _collect(
    found: list[tuple[int, NDArray[np.uint8]]], row: NDArray[np.uint8]
) -> Insertions:
    """Keep the insertions whose neighbours on the reference are both aligned."""
    kept = [
        (at, bases)
        for at, bases in sorted(dict(found).items())
        if {int(row[at - 1]), int(row[at])} <= {0, 1, 2, 3, DELETED}
    ]
    offsets = np.cumsum([0, *(len(bases) for _, bases in kept)], dtype=np.int64)
    joined = np.concatenate([np.zeros(0, np.uint8), *(bases for _, bases in kept)])
    at = np.array([at for at, _ in kept], dtype=np.int64)
    return Insertions(at, offsets, np.minimum(joined, UNALIGNED))


def _count_and_clean(aligner: Aligner, row: NDArray[np.uint8]) -> dict[str, int]:
    """Count what became of every base, then leave the doubtful ones unaligned."""
    counts = dict.fromkeys(
        ("identical", "different", "deleted", "unaligned", "disputed", "no_letter"), 0
    )
    for contig, offset in aligner.offsets.items():
        sequence = aligner.reference.contig(contig)
        for first in range(0, len(sequence), _BLOCK_BP):
            letters = _CODE[sequence[first : first + _BLOCK_BP]]
            part = row[offset + first : offset + first + len(letters)]
            is_base = part < UNALIGNED
            identical = int((is_base & (part == letters)).sum())
            counts["identical"] += identical
            counts["different"] += int(is_base.sum()) - identical
            for name, code in (
                ("unaligned", UNALIGNED), ("deleted", DELETED),
                ("no_letter", _NO_LETTER), ("disputed", _DISPUTED),
            ):  # fmt: skip
                counts[name] += int((part == code).sum())
            part[part > DELETED] = UNALIGNED
    return counts
