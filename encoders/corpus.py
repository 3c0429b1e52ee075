"""Sequence to pre-train on, with everything related to the held-out contigs cut away.

Dropping a held-out chromosome by its name is not enough: another strain's copy, a
translocated arm, a transposon or a paralogous family carries the same sequence under
another name. So every contig of every genome is aligned to the held-out contigs, and
whatever aligns is cut out with a margin. An aligner passes over short copies of repeats
(transfer RNAs, subtelomeres), so every exact word of ``WORD_BP`` bases that a held-out
contig has, on either strand, is cut out too. What is left is the corpus.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_registry.errors import InputError, MissingLayerError
from encoders.nucleotides import (
    UNKNOWN,
    decode,
    encode,
    reverse_complement,
    soft_masked,
)

MARGIN_BP = 50
"""Cut on each side of an alignment: its ends are where the aligner gave up."""
WORD_BP = 24
"""No word of this length is shared by the corpus and a held-out contig (at most 31)."""
QUERY_BP = 20_000
QUERY_OVERLAP_BP = 1_000
SHORTEST_BP = 128
"""A piece shorter than this is left out (and counted)."""
MASKED_WEIGHT = 0.1
"""Loss weight of soft-masked bases (GPN, Benegas et al. 2023, PNAS 120 e2311219120)."""

_REMEDY = "Install the aligner: pip install 'cisgraph[relatives]' (mappy; needs a C compiler)."


@dataclass(frozen=True, slots=True)
class Assembly:
    """One genome to learn from: name, and contigs as ASCII codes."""

    name: str
    contigs: Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Account:
    """Where an assembly's bases went, in bp; the parts add up to ``total``."""

    assembly: str
    total: int
    held_out_by_name: int
    held_out_by_alignment: int
    held_out_by_word: int
    unknown: int
    too_short: int
    kept: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """Pieces of sequence, laid end to end.

    Parameters
    ----------
    codes
        ``(bases,)`` nucleotide codes.
    weights
        ``(bases,)`` loss weight: 1, or ``MASKED_WEIGHT`` in soft-masked sequence.
    starts
        ``(pieces + 1,)`` where each piece begins; the last is the end.
    accounts
        What was kept and what was not, by assembly.
    """

    codes: NDArray[np.uint8]
    weights: NDArray[np.float32]
    starts: NDArray[np.int64]
    accounts: tuple[Account, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def digest(self) -> str:
        """Of the sequence and its pieces."""
        content = hashlib.sha256(self.codes.tobytes())
        content.update(self.weights.tobytes())
        content.update(self.starts.tobytes())
        return content.hexdigest()

    def sample(
        self, rng: np.random.Generator, n: int, length: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Draw windows, every base of the corpus with about the same chance.

        A window never runs over the end of its piece: beyond it are unknown bases of
        weight 0.

        Returns
        -------
        tuple
            Codes and weights, each ``(n, length)``.
        """
        codes = np.full((n, length), UNKNOWN, dtype=np.uint8)
        weights = np.zeros((n, length), dtype=np.float32)
        at = rng.integers(0, len(self.codes), n)
        piece = np.searchsorted(self.starts, at, side="right") - 1
        shift = rng.integers(0, length, n)
        for row in range(n):
            first, end = self.starts[piece[row]], self.starts[piece[row] + 1]
            start = max(first, min(at[row] - shift[row], end - length))
            stop = min(start + length, end)
            codes[row, : stop - start] = self.codes[start:stop]
            weights[row, : stop - start] = self.weights[start:stop]
        return codes, weights


def aligned_spans(
    targets: Mapping[str, NDArray[np.uint8]],
    query: NDArray[np.uint8],
    aligner: Any = None,  # noqa: ANN401 (mappy has no types)
) -> list[tuple[int, int]]:
    """Return which parts of a contig align to any of the targets, on either strand.

    Parameters
    ----------
    targets
        ASCII codes by name; not read when an aligner is given.
    query
        ASCII codes of one contig.
    aligner
        From ``held_out_aligner``, to be used for many contigs.

    Returns
    -------
    list
        Merged spans, 0-based half-open, in order, without margin.
    """
    aligner = aligner or held_out_aligner(targets)
    covered = np.zeros(len(query), dtype=bool)
    for first in range(0, len(query), QUERY_BP):
        piece = query[first : first + QUERY_BP + QUERY_OVERLAP_BP]
        for hit in aligner.map(decode(encode(piece))):
            covered[first + hit.q_st : first + hit.q_en] = True
    return spans_of(covered)


def held_out_aligner(targets: Mapping[str, NDArray[np.uint8]]) -> Any:  # noqa: ANN401
    """Index the held-out contigs; sensitive to about 20 % divergence.

    Raises
    ------
    MissingLayerError
        mappy is not installed.
    """
    try:
        import mappy
    except ImportError as error:
        raise MissingLayerError(
            f"held-out contigs need the aligner mappy: {_REMEDY}"
        ) from error
    # Many targets at once: mappy takes one sequence or a file, so they are joined by N.
    gap = b"N" * 500
    joined = gap.join(decode(encode(codes)).encode() for codes in targets.values())
    # minimap2's asm20, with short k-mers and low thresholds: better to cut too much.
    return mappy.Aligner(
        seq=joined.decode(), preset="asm20", k=13, w=5, best_n=50,
        min_cnt=3, min_chain_score=30, min_dp_score=60, bw=500,
    )  # fmt: skip


def packed_words(
    codes: NDArray[np.uint8],
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return each word of ``WORD_BP`` bases as one number, and whether all are known.

    Both are ``(length - WORD_BP + 1,)``; empty for a shorter sequence.
    """
    n = max(len(codes) - WORD_BP + 1, 0)
    words = np.zeros(n, dtype=np.uint64)
    known = np.ones(n, dtype=bool)
    for i in range(WORD_BP):
        each = codes[i : i + n]
        known &= each < UNKNOWN
        words = words << np.uint64(2) | (each & 3).astype(np.uint64)
    return words, known


def held_out_words(targets: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint64]:
    """Return the words of the held-out contigs on both strands, sorted and distinct."""
    found = []
    for contig in targets.values():
        for codes in (encode(contig), reverse_complement(encode(contig))):
            words, known = packed_words(codes)
            found.append(words[known])
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.uint64)


def bases_in(words: NDArray[np.uint64], contig: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which bases of a contig lie in one of the (sorted) words."""
    own, known = packed_words(encode(contig))
    at = np.minimum(np.searchsorted(words, own), max(len(words) - 1, 0))
    begins = known & (words[at] == own) if len(words) else np.zeros(len(own), bool)
    steps = np.zeros(len(contig) + 1, dtype=np.int64)
    np.add.at(steps, np.flatnonzero(begins), 1)
    np.add.at(steps, np.flatnonzero(begins) + WORD_BP, -1)
    return np.cumsum(steps)[:-1] > 0


def spans_of(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of True, 0-based half-open."""
    edges = np.flatnonzero(
        np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))
    )
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def build_corpus(
    assemblies: Sequence[Assembly],
    held_out: Sequence[str],
    *,
    on_contig: Callable[[str, str], None] = lambda _assembly, _contig: None,
) -> Corpus:
    """Cut what is related to the held-out contigs out of every assembly.

    Parameters
    ----------
    assemblies
        The first is the reference, whose contig names ``held_out`` uses. From the others
        contigs are cut by alignment alone: their names mean nothing.
    held_out
        Test and validation contigs; none means that everything is kept.
    on_contig
        Called before each contig is aligned.

    Raises
    ------
    InputError
        A held-out contig does not exist, or nothing is left.
    """
    reference = assemblies[0]
    if unknown := [name for name in held_out if name not in reference.contigs]:
        raise InputError(
            f"held-out contig {unknown[0]!r} is not in {reference.name}, which has "
            f"{', '.join(list(reference.contigs)[:20])}"
        )
    targets = {name: reference.contigs[name] for name in held_out}
    aligner = held_out_aligner(targets) if targets else None
    words = held_out_words(targets)
    pieces: list[NDArray[np.uint8]] = []
    accounts: list[Account] = []
    for assembly in assemblies:
        counts = dict.fromkeys(
            ("total", "held_out_by_name", "held_out_by_alignment", "held_out_by_word",
             "unknown", "too_short", "kept"), 0,
        )  # fmt: skip
        for name, contig in assembly.contigs.items():
            on_contig(assembly.name, name)
            counts["total"] += len(contig)
            if assembly is reference and name in targets:
                counts["held_out_by_name"] += len(contig)
                continue
            for piece in _kept(contig, targets, aligner, words, counts):
                pieces.append(piece)
                counts["kept"] += len(piece)
        accounts.append(Account(assembly.name, **counts))
    if not pieces:
        raise InputError(
            "nothing is left to learn from after the held-out sequence is cut"
        )
    letters = np.concatenate(pieces)
    lengths = [len(piece) for piece in pieces]
    return Corpus(
        encode(letters),
        np.where(soft_masked(letters), MASKED_WEIGHT, 1).astype(np.float32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        tuple(accounts),
    )


def _kept(
    contig: NDArray[np.uint8],
    targets: Mapping[str, NDArray[np.uint8]],
    aligner: Any,  # noqa: ANN401
    words: NDArray[np.uint64],
    counts: dict[str, int],
) -> Iterator[NDArray[np.uint8]]:
    """Yield the pieces of a contig that may be learned from; count the rest."""
    cut = np.zeros(len(contig), dtype=bool)
    if aligner is not None:
        for start, end in aligned_spans(targets, contig, aligner):
            cut[max(start - MARGIN_BP, 0) : end + MARGIN_BP] = True
    counts["held_out_by_alignment"] += int(cut.sum())
    shared = bases_in(words, contig) & ~cut
    counts["held_out_by_word"] += int(shared.sum())
    cut |= shared
    unknown = (encode(contig) == UNKNOWN) & ~cut
    counts["unknown"] += int(unknown.sum())
    for start, end in spans_of(~(cut | unknown)):
        if end - start < SHORTEST_BP:
            counts["too_short"] += end - start
        else:
            yield contig[start:end]
