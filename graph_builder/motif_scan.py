"""Exact motif scanning of sequences and of the alleles of variants.

Scores are log-odds in bits, rounded column by column to a grid of ``granularity`` bits,
so that every score is an integer number of grid steps: sums are exact, the null
distribution is a finite table, and two runs always agree to the last bit.

P-values are exact for the rounded scores: the distribution of a motif's score over
independent background bases is built by dynamic programming (Staden 1989, "Methods for
calculating the probabilities of finding patterns in sequences", CABIOS 5:89; the scheme
of FIMO, Grant, Bailey & Noble 2011, Bioinformatics 27:1017). A p-value belongs to one
position and one strand.

The scan is exact as well. For every motif and strand the window of 8 columns that the
fewest 8-mers can pass is its core; a table of all 65,536 8-mers lists the motifs whose
core score plus the best possible rest reaches the threshold, and only those are scored
in full. A motif shorter than 8 columns is its own core.

Both strands are scanned; a site of a palindromic motif is reported once for each of
them. Bases other than A, C, G, T (either case) match no motif.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from data_registry.errors import InputError, OutOfBoundsError

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Ints32 = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint16]
_F = TypeVar("_F", bound=Callable[..., Any])

UNIFORM: Final = (0.25, 0.25, 0.25, 0.25)
CORE: Final = 8
"""Columns of the prefilter's core; the table has ``4 ** CORE`` rows."""
WIDEST: Final = 100
"""Columns of the widest motif that is accepted."""
DEFAULT_SITES: Final = 20.0
"""Sites assumed behind a matrix that does not state them (MEME's default)."""

_CODES: Final = np.full(256, 4, np.uint8)
_CODES[np.frombuffer(b"ACGTacgt", np.uint8)] = [0, 1, 2, 3, 0, 1, 2, 3]

# Scores are kept as losses against the motif's best site, in grid steps, so that a
# site can be given up as soon as it has lost too much. ``_NEVER`` is what an N loses:
# sums of ``WIDEST`` of it fit 32 bits; real losses stay below ``_INVALID``.
_NEVER: Final = 1 << 24
_INVALID: Final = 1 << 23
_NO_SITE: Final = (1 << 31) - 1

_BUDGET_BITS: Final = 16
_BUDGET_MASK: Final = (1 << _BUDGET_BITS) - 1
STRETCH: Final = 1 << 22
"""Bases scanned at a time, which bounds memory."""
MOST_MOTIFS: Final = 1 << (31 - _BUDGET_BITS)
"""Motifs one set can hold: a motif strand is packed into 16 bits."""


def _compiled(function: _F) -> _F:
    # numba's decorator has no types; the wrapper keeps the function's own
    return cast("_F", numba.njit(cache=True, nogil=True)(function))


@_compiled
def _fill_survival(
    losses: Ints32, firsts: Ints, background: Floats, tables: Ints, survival: Floats
) -> None:
    """Write P(loss <= l) of motif ``m`` at ``survival[tables[m] + l]``.

    Only the forward strands are read: the background is the same on both.
    """
    longest = np.diff(tables).max()
    now = np.zeros(longest)
    new = np.zeros(longest)
    for m in range(tables.size - 1):
        size = tables[m + 1] - tables[m]
        now[0] = 1.0
        reach = 0
        for j in range(firsts[2 * m], firsts[2 * m + 1]):
            most = losses[j, :4].max()
            new[: reach + most + 1] = 0.0
            for a in range(4):
                step = losses[j, a]
                share = background[a]
                for i in range(reach + 1):
                    new[i + step] += now[i] * share
            reach += most
            now, new = new, now
        total = 0.0
        for i in range(size):
            total += now[i]
            survival[tables[m] + i] = min(total, 1.0)


@_compiled
def _walk_core(
    losses: Ints32,
    budget: int,
    strand: int,
    ends: Ints32,
    entries: npt.NDArray[np.uint32],
) -> int:
    """Visit every 8-mer whose core loses at most ``budget`` against the best one.

    Parameters
    ----------
    losses
        Shape (core columns, 5): what each base loses against the column's best, >= 0.
        In a core of fewer than 8 columns the 8-mer's other bases are free.
    strand
        Motif strand to write to ``entries`` at ``ends``, which moves on by one, with
        the loss still allowed; negative: -1 counts only, -2 adds one to ``ends``.

    Returns
    -------
    int
        Number of 8-mers visited.
    """
    width = losses.shape[0]
    free = 1 << (2 * (CORE - width))
    letter = np.full(width, -1, np.int64)
    lost = np.zeros(width + 1, np.int64)
    prefix = np.zeros(width + 1, np.int64)
    depth = 0
    n = 0
    while depth >= 0:
        letter[depth] += 1
        if letter[depth] == 4:
            letter[depth] = -1
            depth -= 1
            continue
        loss = lost[depth] + losses[depth, letter[depth]]
        if loss > budget:
            continue
        code = prefix[depth] * 4 + letter[depth]
        if depth + 1 < width:
            depth += 1
            lost[depth] = loss
            prefix[depth] = code
            continue
        n += free
        if strand == -2:
            for k in range(code * free, (code + 1) * free):
                ends[k] += 1
        elif strand >= 0:
            entry = np.uint32((strand << _BUDGET_BITS) | (budget - loss))
            for k in range(code * free, (code + 1) * free):
                entries[ends[k]] = entry
                ends[k] += 1
    return n


@_compiled
def _choose_cores(losses: Ints32, firsts: Ints, widths: Ints, budgets: Ints) -> Ints32:
    """Return the first column of each motif strand's core.

    The core is the window of 8 columns that the fewest 8-mers can pass, the leftmost
    of several.
    """
    no_ends = np.zeros(0, np.int32)
    no_entries = np.zeros(0, np.uint32)
    cores = np.zeros(widths.size, np.int32)
    for s in range(widths.size):
        if budgets[s] < 0:
            continue
        fewest = -1
        for at in range(widths[s] - CORE + 1):
            window = losses[firsts[s] + at : firsts[s] + at + CORE]
            n = _walk_core(window, budgets[s], -1, no_ends, no_entries)
            if fewest < 0 or n < fewest:
                fewest = n
                cores[s] = at
    return cores


@_compiled
def _list_strands(
    order: Ints,
    losses: Ints32,
    firsts: Ints,
    widths: Ints,
    budgets: Ints,
    cores: Ints32,
) -> tuple[Ints32, npt.NDArray[np.uint32]]:
    """List, for every 8-mer, the motif strands whose core it can be.

    Parameters
    ----------
    order
        The motif strands to list, in the order they shall stand in.

    Returns
    -------
    tuple
        CSR offsets, shape (65537,), and entries: motif strand and loss still allowed,
        packed.
    """
    offsets = np.zeros(4**CORE + 1, np.int32)
    ends = np.zeros(4**CORE, np.int32)
    entries = np.zeros(0, np.uint32)
    for turn in range(2):
        if turn == 1:
            for k in range(4**CORE):
                offsets[k + 1] = offsets[k] + ends[k]
                ends[k] = offsets[k]
            entries = np.zeros(offsets[4**CORE], np.uint32)
        for s in order:
            first = firsts[s] + cores[s]
            window = losses[first : first + min(widths[s], CORE)]
            _walk_core(window, budgets[s], s if turn else -2, ends, entries)
    return offsets, entries


@_compiled
def _sum_losses(
    steps: Ints32,
    places: Ints32,
    low: int,
    high: int,
    limit: int,
    codes: Bytes,
    at: int,
) -> int:
    """Return the loss of columns ``low`` to ``high``, or any sum above ``limit``."""
    loss = 0
    for j in range(low, high):
        loss += steps[j, codes[at + places[j]]]
        if loss > limit:
            break
    return loss


@_compiled
def _read_words(codes: Bytes, size: int, words: Words) -> None:
    """Write the 8-mer at each place, N and what is past the end read as A."""
    word = 0
    for i in range(size - 1, -1, -1):
        word = (word >> 2) | ((codes[i] & 3) << (2 * CORE - 2))
        words[i] = word


@_compiled
def _scan_codes(
    codes: Bytes,
    pad: int,
    steps: Ints32,
    places: Ints32,
    firsts: Ints,
    budgets: Ints,
    cores: Ints32,
    block_firsts: Ints,
    block_places: Ints32,
    block_losses: Words,
    offsets: Ints32,
    entries: npt.NDArray[np.uint32],
) -> tuple[Ints32, Ints, Ints32]:
    """Return motif strand, start and loss of every hit, by core position.

    Parameters
    ----------
    codes
        The bases, with ``pad`` bases N before and after them.
    steps, places
        Losses of the columns, and where they stand relative to the core.
    block_firsts, block_places, block_losses
        The same for blocks of four columns outside the core, by 4-mer; see
        ``_tabulate_blocks``.
    """
    words = np.empty(codes.size, np.uint16)
    _read_words(codes, codes.size, words)
    room = 1024
    strands = np.empty(room, np.int32)
    starts = np.empty(room, np.int64)
    losses = np.empty(room, np.int32)
    n = 0
    for i in range(pad, codes.size - pad):
        if codes[i] == 4:
            continue
        for e in range(offsets[words[i]], offsets[words[i] + 1]):
            entry = entries[e]
            s = entry >> _BUDGET_BITS
            left = np.int64(entry & _BUDGET_MASK)
            left -= block_losses[s * 256 + (words[i + block_places[s]] >> 8)]
            if left < 0:
                continue
            for b in range(block_firsts[s], block_firsts[s + 1]):
                left -= block_losses[b * 256 + (words[i + block_places[b]] >> 8)]
                if left < 0:
                    break
            if left < 0:
                continue
            # an N was read as A so far: the full sum, which counts it, decides
            loss = _sum_losses(
                steps, places, firsts[s], firsts[s + 1], budgets[s], codes, i
            )
            if loss > budgets[s]:
                continue
            if n == room:
                room *= 2
                more_strands = np.empty(room, np.int32)
                more_starts = np.empty(room, np.int64)
                more_losses = np.empty(room, np.int32)
                more_strands[:n] = strands
                more_starts[:n] = starts
                more_losses[:n] = losses
                strands, starts, losses = more_strands, more_starts, more_losses
            strands[n] = s
            starts[n] = i - cores[s] - pad
            losses[n] = loss
            n += 1
    return strands[:n], starts[:n], losses[:n]


@_compiled
def _find_best(
    m: int,
    codes: Bytes,
    low: int,
    high: int,
    guess_start: int,
    guess_strand: int,
    best: Ints,
    steps: Ints32,
    places: Ints32,
    firsts: Ints,
    cores: Ints32,
) -> None:
    """Write loss, start and strand of the best site starting in [low, high).

    The guess, where it lies in that range, is tried first: a good one lets the others
    be given up early.
    """
    if low <= guess_start < high:
        s = 2 * m + guess_strand
        loss = _sum_losses(
            steps, places, firsts[s], firsts[s + 1], _NO_SITE, codes,
            guess_start + cores[s],
        )  # fmt: skip
        if loss < _INVALID:
            best[0] = loss
            best[1] = guess_start
            best[2] = guess_strand
    for start in range(low, high):
        for strand in range(2):
            s = 2 * m + strand
            loss = _sum_losses(
                steps, places, firsts[s], firsts[s + 1], best[0], codes,
                start + cores[s],
            )  # fmt: skip
            if loss >= _INVALID:
                continue
            if loss < best[0] or (
                loss == best[0]
                and (start < best[1] or (start == best[1] and strand < best[2]))
            ):
                best[0] = loss
                best[1] = start
                best[2] = strand


@_compiled
def _scan_alleles(
    contig: Bytes,
    codes: Bytes,
    allele_starts: Ints,
    allele_spans: Ints,
    alts: Bytes,
    alt_ends: Ints,
    flank: int,
    steps: Ints32,
    places: Ints32,
    firsts: Ints,
    widths: Ints,
    budgets: Ints,
    cores: Ints32,
    reaches: Ints32,
    block_firsts: Ints,
    block_places: Ints32,
    block_losses: Words,
    offsets: Ints32,
    entries: npt.NDArray[np.uint32],
    late_offsets: Ints32,
    late_entries: npt.NDArray[np.uint32],
) -> tuple[Ints, Ints32, Ints32, Ints32, Ints, Bytes]:
    """Compare the best site of every motif over each allele on both haplotypes.

    Parameters
    ----------
    contig, codes
        ASCII bases, and the code of each ASCII character.
    alts
        Codes of the alternative alleles.
    flank
        Bases on each side that a site over the allele can reach to.
    reaches
        Columns of each motif strand from the core's start on.
    offsets, entries
        Motif strands by 8-mer, the farthest reaching first.
    late_offsets, late_entries
        The same for cores after the allele, those with most columns before the core
        first.

    Returns
    -------
    tuple
        Columns of the records, by allele and motif: allele, motif, loss on the
        reference, loss on the alternative (``_NO_SITE`` where no site fits), start
        (reference coordinates) and strand (0 or 1) of the better side.
    """
    n_bases = contig.size
    n_motifs = widths.size // 2
    # loss, start in the haplotype and strand of the best site, by motif and side
    best = np.zeros((n_motifs, 2, 3), np.int64)
    best[:, :, 0] = _NO_SITE
    # motifs with a passing site, sorted
    touched = np.empty(n_motifs + 1, np.int32)
    haps = np.empty((2, 1024), np.uint8)
    words = np.empty(1024, np.uint16)
    spans = np.zeros(2, np.int64)

    room = max(1024, allele_starts.size)
    out_allele = np.empty(room, np.int64)
    out_motif = np.empty(room, np.int32)
    out_ref = np.empty(room, np.int32)
    out_alt = np.empty(room, np.int32)
    out_start = np.empty(room, np.int64)
    out_strand = np.empty(room, np.uint8)
    n = 0

    for v in range(allele_starts.size):
        start = allele_starts[v]
        end = start + allele_spans[v]
        alt_from = alt_ends[v]
        alt_to = alt_ends[v + 1]
        while end > start and alt_to > alt_from:
            if codes[contig[end - 1]] != alts[alt_to - 1]:
                break
            end -= 1
            alt_to -= 1
        while end > start and alt_to > alt_from:
            if codes[contig[start]] != alts[alt_from]:
                break
            start += 1
            alt_from += 1
        n_alt = alt_to - alt_from
        if start == end and n_alt == 0:
            continue

        # A pure insertion or deletion can be written at any place of the repeat it
        # stands in: take the whole stretch, so that the writing does not matter.
        before = 0
        after = 0
        if start == end or n_alt == 0:
            while start > before:
                here = codes[contig[start - 1 - before]]
                if n_alt == 0:
                    there = codes[contig[end - 1 - before]]
                else:
                    there = alts[alt_to - 1 - before % n_alt]
                if here != there or here == 4:
                    break
                before += 1
            while end + after < n_bases:
                here = codes[contig[end + after]]
                if n_alt == 0:
                    there = codes[contig[start + after]]
                else:
                    there = alts[alt_from + after % n_alt]
                if here != there or here == 4:
                    break
                after += 1
        ref_from = start - before
        ref_to = end + after
        spans[0] = ref_to - ref_from
        spans[1] = before + n_alt + after

        # Each haplotype: flank, allele, flank, and bases that no site can hold but
        # the last 8-mers do. Beyond the contig stands N, which matches nothing.
        hap_from = ref_from - flank
        tail = flank + CORE
        longest = flank + max(spans[0], spans[1]) + tail
        if longest > words.size:
            haps = np.empty((2, 2 * longest), np.uint8)
            words = np.empty(2 * longest, np.uint16)
        for side in range(2):
            inner = flank + before
            for i in range(inner):
                at = hap_from + i
                haps[side, i] = codes[contig[at]] if at >= 0 else 4
            if side == 0:
                for i in range(end - start):
                    haps[0, inner + i] = codes[contig[start + i]]
                inner += end - start
            else:
                for i in range(n_alt):
                    haps[1, inner + i] = alts[alt_from + i]
                inner += n_alt
            for i in range(after + tail):
                at = end + i
                haps[side, inner + i] = codes[contig[at]] if at < n_bases else 4

        n_touched = 0
        for side in range(2):
            behind = flank + spans[side]
            _read_words(haps[side], behind + tail, words)
            for i in range(behind + flank):
                if haps[side, i] == 4:
                    continue
                word = words[i]
                is_late = i >= behind
                if is_late:
                    e_from, e_to = late_offsets[word], late_offsets[word + 1]
                else:
                    e_from, e_to = offsets[word], offsets[word + 1]
                for e in range(e_from, e_to):
                    entry = late_entries[e] if is_late else entries[e]
                    s = entry >> _BUDGET_BITS
                    # entries stand by reach: none behind this one gets to the allele
                    if is_late:
                        if i - cores[s] >= behind:
                            break
                    elif i + reaches[s] <= flank:
                        break
                    left = np.int64(entry & _BUDGET_MASK)
                    four = words[i + block_places[s]] >> 8
                    left -= block_losses[s * 256 + four]
                    if left < 0:
                        continue
                    # leaving this loop early costs more than it saves
                    for b in range(block_firsts[s], block_firsts[s + 1]):
                        four = words[i + block_places[b]] >> 8
                        left -= block_losses[b * 256 + four]
                    if left < 0:
                        continue
                    loss = _sum_losses(
                        steps, places, firsts[s], firsts[s + 1], budgets[s],
                        haps[side], i,
                    )  # fmt: skip
                    if loss > budgets[s]:
                        continue
                    m = s >> 1
                    strand = s & 1
                    at = i - cores[s]
                    if best[m, 0, 0] == _NO_SITE and best[m, 1, 0] == _NO_SITE:
                        k = n_touched
                        while k > 0 and touched[k - 1] > m:
                            touched[k] = touched[k - 1]
                            k -= 1
                        touched[k] = m
                        n_touched += 1
                    if loss < best[m, side, 0] or (
                        loss == best[m, side, 0]
                        and (
                            at < best[m, side, 1]
                            or (at == best[m, side, 1] and strand < best[m, side, 2])
                        )
                    ):
                        best[m, side, 0] = loss
                        best[m, side, 1] = at
                        best[m, side, 2] = strand

        if n + n_touched > room:
            room = 2 * (n + n_touched)
            more_allele = np.empty(room, np.int64)
            more_motif = np.empty(room, np.int32)
            more_ref = np.empty(room, np.int32)
            more_alt = np.empty(room, np.int32)
            more_start = np.empty(room, np.int64)
            more_strand = np.empty(room, np.uint8)
            more_allele[:n] = out_allele[:n]
            more_motif[:n] = out_motif[:n]
            more_ref[:n] = out_ref[:n]
            more_alt[:n] = out_alt[:n]
            more_start[:n] = out_start[:n]
            more_strand[:n] = out_strand[:n]
            out_allele, out_motif = more_allele, more_motif
            out_ref, out_alt = more_ref, more_alt
            out_start, out_strand = more_start, more_strand

        for t in range(n_touched):
            m = touched[t]
            for side in range(2):
                if best[m, side, 0] == _NO_SITE:
                    _find_best(
                        m, haps[side], flank - widths[2 * m] + 1, flank + spans[side],
                        best[m, 1 - side, 1], best[m, 1 - side, 2], best[m, side],
                        steps, places, firsts, cores,
                    )  # fmt: skip
            better = 1 if best[m, 1, 0] < best[m, 0, 0] else 0
            at = hap_from + best[m, better, 1]
            if better == 1:
                # a site that starts inside inserted bases has no place of its own
                at = min(at, ref_to)
            out_allele[n] = v
            out_motif[n] = m
            out_ref[n] = best[m, 0, 0]
            out_alt[n] = best[m, 1, 0]
            out_start[n] = at
            out_strand[n] = best[m, better, 2]
            n += 1
            best[m, 0, 0] = _NO_SITE
            best[m, 1, 0] = _NO_SITE

    return (
        out_allele[:n],
        out_motif[:n],
        out_ref[:n],
        out_alt[:n],
        out_start[:n],
        out_strand[:n],
    )


@dataclass(frozen=True, slots=True)
class Hits:
    """Motif hits as columns of one length, sorted by start, motif and strand.

    Parameters
    ----------
    motif
        Index into ``MotifSet.ids``.
    start
        First base of the site, 0-based on the forward strand.
    strand
        1 where the forward strand reads the motif, -1 where the reverse strand does.
    score
        Log-odds, bits.
    p
        Probability of this score or a higher one at one position and strand.
    """

    motif: Ints32
    start: Ints
    strand: npt.NDArray[np.int8]
    score: Floats
    p: Floats

    def __len__(self) -> int:
        return self.motif.size


@dataclass(frozen=True, slots=True)
class AlleleHits:
    """Motif gains, losses and changes as columns of one length, by allele and motif.

    Parameters
    ----------
    allele
        Index of the allele as handed in.
    motif
        Index into ``MotifSet.ids``.
    strand
        Strand of the better side's best site, 1 or -1.
    start
        Its first base, 0-based, in reference coordinates; a site that starts inside
        inserted bases is given the position after them.
    ref_score, alt_score
        Best score among the sites that overlap the allele, bits; NaN where no site
        fits (contig end, N).
    ref_p, alt_p
        P-values of those scores; 1 where no site fits.
    delta
        ``alt_score - ref_score``, bits; NaN where one side has no site.
    change
        1 gain (only the alternative passes), -1 loss (only the reference passes),
        0 change (both pass).
    """

    allele: Ints
    motif: Ints32
    strand: npt.NDArray[np.int8]
    start: Ints
    ref_score: Floats
    alt_score: Floats
    ref_p: Floats
    alt_p: Floats
    delta: Floats
    change: npt.NDArray[np.int8]

    CHANGE_NAMES: ClassVar[dict[int, str]] = {1: "gain", -1: "loss", 0: "change"}

    def __len__(self) -> int:
        return self.motif.size


@dataclass(frozen=True, slots=True)
class _Prefilter:
    """What one p-value threshold needs; see ``_scan_alleles``."""

    budgets: Ints
    cores: Ints32
    reaches: Ints32
    steps: Ints32
    places: Ints32
    blocks: tuple[Ints, Ints32, Words]
    listed: tuple[Ints32, npt.NDArray[np.uint32]]
    listed_late: tuple[Ints32, npt.NDArray[np.uint32]]
    flank: int


def count_bases(sequences: Iterable[Bytes]) -> tuple[float, float, float, float]:
    """Return the frequencies of A, C, G, T, averaged over both strands.

    Parameters
    ----------
    sequences
        ASCII bases; anything but A, C, G, T is not counted.

    Raises
    ------
    InputError
        There is no base to count.
    """
    counts = np.zeros(4)
    for sequence in sequences:
        counts += np.bincount(_CODES[sequence], minlength=5)[:4]
    if not counts.sum():
        raise InputError("no A, C, G or T to take background frequencies from")
    both = (counts + counts[::-1]) / (2 * counts.sum())
    return float(both[0]), float(both[1]), float(both[2]), float(both[3])


@dataclass(frozen=True, slots=True)
class MotifSet:
    """Motifs ready to be scanned; build it with ``from_table``.

    Parameters
    ----------
    ids
        Motif identifiers, sorted: a motif's index is its place here.
    tfs
        Factor names, in the same order.
    widths
        Columns of each motif.
    background
        Frequencies of A, C, G, T, averaged over both strands.
    granularity
        Grid of the scores, bits.
    n_merged
        Rows of the table that repeated another row's motif.
    """

    ids: tuple[str, ...]
    tfs: tuple[str, ...]
    widths: Ints
    background: tuple[float, float, float, float]
    granularity: float
    n_merged: int
    _losses: Ints32 = field(repr=False)
    _firsts: Ints = field(repr=False)
    _tops: Ints32 = field(repr=False)
    _highest: Ints = field(repr=False)
    _tables: Ints = field(repr=False)
    _survival: Floats = field(repr=False)
    _prefilters: dict[float, _Prefilter] = field(repr=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def from_table(
        cls,
        motifs: pd.DataFrame,
        *,
        background: Sequence[float] = UNIFORM,
        pseudocount: float = 0.1,
        granularity: float = 0.01,
    ) -> "MotifSet":
        """Turn the registry's ``motifs`` table into scores and null distributions.

        A column's probabilities become ``(n p + c b) / (n + c)`` with ``n`` sites,
        pseudocount ``c`` and background ``b`` (as FIMO does), and its score
        ``log2`` of that over ``b``, rounded to the grid.

        Parameters
        ----------
        motifs
            Rows of the table: ``motif_id``, ``matrix`` (probabilities, row-major,
            ``4 * width`` values in the order A C G T), and, where known, ``tf`` and
            ``n_sites``. The order of rows does not matter. Rows with the same
            ``motif_id`` and the same matrix (to 0.001) are one motif.
        background
            Frequencies of A, C, G, T; averaged with their complement's, because both
            strands are scanned.
        pseudocount
            Sites added to each column, in background proportion.
        granularity
            Grid of the scores, bits.

        Raises
        ------
        InputError
            No motif; a matrix that is no probability matrix or wider than 100
            columns; two matrices under one ``motif_id``; a background, pseudocount
            or granularity out of range.
        """
        base = np.asarray(background, np.float64)
        if base.shape != (4,) or not (np.isfinite(base).all() and (base > 0).all()):
            raise InputError(
                f"background {background!r}: give four positive frequencies, A C G T"
            )
        base = (base + base[::-1]) / (2 * base.sum())
        if not (np.isfinite(pseudocount) and pseudocount > 0):
            raise InputError(f"pseudocount {pseudocount!r}: give a number above 0")
        if not 0.001 <= granularity <= 1:
            raise InputError(f"granularity {granularity!r} bits: give 0.001 to 1")
        if motifs.empty:
            raise InputError("the motif table is empty; register a motif file first")

        rows = _read_rows(motifs)
        kept, n_merged = _merge_repeats(rows)

        widths = np.array([len(row.matrix) for row in kept], np.int64)
        both: list[Ints32] = []
        for row in kept:
            filled = (row.n_sites * row.matrix + pseudocount * base) / (
                row.n_sites + pseudocount
            )
            steps = np.rint(np.log2(filled / base) / granularity).astype(np.int32)
            both += [steps, steps[::-1, ::-1]]
        firsts = np.concatenate([[0], np.cumsum(np.repeat(widths, 2))]).astype(np.int64)
        columns = np.concatenate(both)
        tops = columns.max(axis=1)
        losses = np.full((columns.shape[0], 5), _NEVER, np.int32)
        losses[:, :4] = tops[:, None] - columns
        highest = np.add.reduceat(tops.astype(np.int64), firsts[:-1])[::2]
        most = losses[:, :4].max(axis=1).astype(np.int64)
        ranges = np.add.reduceat(most, firsts[:-1])[::2]
        if ranges.max() >= _INVALID:
            raise InputError(
                f"pseudocount {pseudocount!r} is too small for granularity "
                f"{granularity!r}: scores leave the integer range"
            )
        tables = np.concatenate([[0], np.cumsum(ranges + 1)]).astype(np.int64)
        survival = np.empty(tables[-1])
        _fill_survival(losses, firsts, base, tables, survival)
        return cls(
            ids=tuple(row.motif_id for row in kept),
            tfs=tuple(row.tf for row in kept),
            widths=widths,
            background=(float(base[0]), float(base[1]), float(base[2]), float(base[3])),
            granularity=granularity,
            n_merged=n_merged,
            _losses=losses,
            _firsts=firsts,
            _tops=tops,
            _highest=highest,
            _tables=tables,
            _survival=survival,
        )

    def index(self, motif: str) -> int:
        """Return a motif's index.

        Raises
        ------
        InputError
            There is no such motif.
        """
        try:
            return self.ids.index(motif)
        except ValueError:
            raise InputError(f"no motif {motif!r} among {len(self)} motifs") from None

    def log_odds(self, motif: int) -> Floats:
        """Return a motif's scores on the forward strand, bits, shape (width, 4)."""
        span = slice(self._firsts[2 * motif], self._firsts[2 * motif + 1])
        steps = self._tops[span, None] - self._losses[span, :4]
        return steps.astype(np.float64) * self.granularity

    def threshold(self, p: float) -> Floats:
        """Return the lowest score a site of each motif can have at a p-value of ``p``.

        Parameters
        ----------
        p
            P-value of one position and strand, in (0, 1].

        Returns
        -------
        Floats
            Bits, shape (motifs,); infinite where no site can be that rare (a short or
            weak motif).

        Raises
        ------
        InputError
            ``p`` is not in (0, 1].
        """
        budgets = self._budgets(p)
        scores = self._bits(self._highest - budgets)
        scores[budgets < 0] = np.inf
        return scores

    def p_value(self, motif: int, score: float) -> float:
        """Return the probability of ``score`` bits or more at one position and strand.

        Parameters
        ----------
        motif
            Index of the motif.
        score
            Bits; rounded to the grid.
        """
        if np.isnan(score):
            return 1.0
        limit = 2.0**40
        step = round(min(max(score / self.granularity, -limit), limit))
        return float(self._p_values(np.array([motif]), np.array([step]))[0])

    def scan(self, sequence: Bytes, *, p: float = 1e-4) -> Hits:
        """Return every site with a p-value of at most ``p``.

        Parameters
        ----------
        sequence
            ASCII bases, one contig or element; either case.
        p
            P-value of one position and strand; meant for 0.001 and below: the
            prefilter's table grows with it.

        Raises
        ------
        InputError
            ``p`` is not in (0, 1].
        """
        ready = self._prepare(p)
        widest = int(self.widths.max())
        pad = widest + CORE
        parts: list[tuple[Ints32, Ints, Ints32]] = []
        for at in range(0, sequence.size, STRETCH):
            piece = sequence[at : at + STRETCH + widest - 1]
            codes = np.full(piece.size + 2 * pad, 4, np.uint8)
            codes[pad : pad + piece.size] = _CODES[piece]
            strands, starts, losses = _scan_codes(
                codes,
                pad,
                ready.steps,
                ready.places,
                self._firsts,
                ready.budgets,
                ready.cores,
                *ready.blocks,
                *ready.listed,
            )
            own = starts < STRETCH
            parts.append((strands[own], starts[own] + at, losses[own]))
        strands = np.concatenate([part[0] for part in parts] or [np.zeros(0, np.int32)])
        starts = np.concatenate([part[1] for part in parts] or [np.zeros(0, np.int64)])
        losses = np.concatenate([part[2] for part in parts] or [np.zeros(0, np.int32)])
        order = np.lexsort((strands, starts))
        strands, starts, losses = strands[order], starts[order], losses[order]
        motif = strands >> 1
        scores = self._scores(motif, losses)
        return Hits(
            motif=motif,
            start=starts,
            strand=(1 - 2 * (strands & 1)).astype(np.int8),
            score=self._bits(scores),
            p=self._p_values(motif, scores),
        )

    def scan_alleles(
        self,
        contig: Bytes,
        start: Ints,
        ref_length: Ints,
        alts: Bytes,
        alt_offsets: Ints,
        *,
        p: float = 1e-4,
    ) -> AlleleHits:
        """Compare the best sites over each allele on the two haplotypes.

        A site overlaps an allele when it holds one of its bases or spans the junction
        of a deletion or insertion. Shared leading and trailing bases are trimmed
        first; an insertion or deletion inside a repeat is taken as the whole stretch
        over which it could be written, so that left-aligned, right-aligned and
        anchored forms give the same result. Each allele is on its own: neighbouring
        variants do not matter.

        Parameters
        ----------
        contig
            ASCII bases of the contig; either case.
        start
            First reference base of each allele, 0-based, shape (alleles,).
        ref_length
            Its reference bases, 0 or more; the reference allele is what the contig
            reads there.
        alts
            ASCII bases of all alternative alleles, one after another.
        alt_offsets
            Shape (alleles + 1,): allele ``i`` is ``alts[alt_offsets[i] :
            alt_offsets[i + 1]]``.
        p
            P-value that makes a site.

        Returns
        -------
        AlleleHits
            One record for every allele and motif of which at least one side has a
            site with a p-value of at most ``p``. An allele equal to the reference
            gives none.

        Raises
        ------
        InputError
            Arrays of unequal length, offsets that do not fit ``alts``, or ``p`` not in
            (0, 1].
        OutOfBoundsError
            An allele leaves the contig.
        """
        starts = np.ascontiguousarray(start, np.int64)
        spans = np.ascontiguousarray(ref_length, np.int64)
        ends = np.ascontiguousarray(alt_offsets, np.int64)
        _check_alleles(contig.size, starts, spans, alts.size, ends)
        ready = self._prepare(p)
        allele, motif, ref_loss, alt_loss, at, strand = _scan_alleles(
            np.ascontiguousarray(contig, np.uint8),
            _CODES,
            starts,
            spans,
            _CODES[alts],
            ends,
            ready.flank,
            ready.steps,
            ready.places,
            self._firsts,
            np.repeat(self.widths, 2),
            ready.budgets,
            ready.cores,
            ready.reaches,
            *ready.blocks,
            *ready.listed,
            *ready.listed_late,
        )
        ref, alt = self._scores(motif, ref_loss), self._scores(motif, alt_loss)
        budget = ready.budgets[2 * motif]
        return AlleleHits(
            allele=allele,
            motif=motif,
            strand=(1 - 2 * strand.astype(np.int8)).astype(np.int8),
            start=at,
            ref_score=self._bits(ref),
            alt_score=self._bits(alt),
            ref_p=self._p_values(motif, ref),
            alt_p=self._p_values(motif, alt),
            delta=self._bits(alt) - self._bits(ref),
            change=(alt_loss <= budget).astype(np.int8)
            - (ref_loss <= budget).astype(np.int8),
        )

    def _scores(self, motif: Ints32, losses: Ints32) -> Ints:
        """Turn losses into scores, in grid steps; ``-_NO_SITE`` where there is none."""
        scores: Ints = self._highest[motif] - losses
        scores[losses >= _INVALID] = -_NO_SITE
        return scores

    def _bits(self, steps: Ints) -> Floats:
        scores = steps.astype(np.float64) * self.granularity
        scores[steps == -_NO_SITE] = np.nan
        return scores

    def _p_values(self, motif: Ints | Ints32, steps: Ints) -> Floats:
        loss = self._highest[motif] - steps
        last = self._tables[motif + 1] - self._tables[motif] - 1
        inside = np.clip(loss, 0, last)
        p: Floats = self._survival[self._tables[motif] + inside]
        p[loss < 0] = 0.0
        p[loss >= last] = 1.0
        return p

    def _budgets(self, p: float) -> Ints:
        """Return the loss each motif's site may have, in grid steps; -1 for none."""
        if not 0 < p <= 1:
            raise InputError(f"p-value threshold {p!r}: give a number in (0, 1]")
        budgets = np.empty(len(self), np.int64)
        for m in range(len(self)):
            table = self._survival[self._tables[m] : self._tables[m + 1]]
            n_rare = int(np.searchsorted(table, p, side="right"))
            # the loss some site really has: the table is flat from there on
            budgets[m] = np.searchsorted(table, table[n_rare - 1]) if n_rare else -1
        return budgets

    def _prepare(self, p: float) -> _Prefilter:
        ready = self._prefilters.get(p)
        if ready is not None:
            return ready
        budgets = np.repeat(self._budgets(p), 2)
        if budgets.max() > _BUDGET_MASK:
            raise InputError(
                f"p-value threshold {p!r} lets a motif lose {budgets.max()} steps of "
                f"{self.granularity} bits; give a smaller p or a coarser granularity"
            )
        widths = np.repeat(self.widths, 2)
        losses = self._losses
        cores = _choose_cores(losses, self._firsts, widths, budgets)
        steps, places = _order_columns(losses, self._firsts, cores)

        reachable = np.flatnonzero(budgets >= 0)

        def tabulate(reach: Ints) -> tuple[Ints32, npt.NDArray[np.uint32]]:
            order = reachable[reach[reachable] > 0]
            order = order[np.argsort(-reach[order], kind="stable")]
            return _list_strands(order, losses, self._firsts, widths, budgets, cores)

        ready = _Prefilter(
            budgets=budgets,
            cores=cores,
            reaches=(widths - cores).astype(np.int32),
            steps=steps,
            places=places,
            blocks=_tabulate_blocks(losses, self._firsts, cores),
            listed=tabulate(widths - cores),
            listed_late=tabulate(cores.astype(np.int64)),
            flank=int(widths[reachable].max(initial=1)) - 1,
        )
        self._prefilters[p] = ready
        return ready


def _order_columns(
    losses: Ints32, firsts: Ints, cores: Ints32
) -> tuple[Ints32, Ints32]:
    """Put the most telling columns of each motif strand first.

    Returns
    -------
    tuple
        The losses in the new order, and each column's place relative to the core.
    """
    widths = np.diff(firsts)
    strand = np.repeat(np.arange(widths.size), widths)
    places = np.arange(losses.shape[0]) - firsts[strand] - cores[strand]
    order = np.lexsort((places, -losses[:, :4].sum(axis=1), strand))
    return losses[order], places[order].astype(np.int32)


def _tabulate_blocks(
    losses: Ints32, firsts: Ints, cores: Ints32
) -> tuple[Ints, Ints32, Words]:
    """Sum the losses of the columns outside the core by blocks of four.

    Returns
    -------
    tuple
        Where each strand's blocks begin and end, but for the leading one: the most
        telling block of strand ``s`` is block ``s``; each block's place relative to the
        core; its loss for each of the 256 4-mers, one block after another, never more
        than the true loss.
    """
    leading: list[tuple[int, int, Ints32]] = []
    others: list[tuple[int, int, Ints32]] = []
    block_firsts = [cores.size]
    for s in range(cores.size):
        own = losses[firsts[s] : firsts[s + 1], :4]
        core, width = int(cores[s]), own.shape[0]
        outer = own.copy()
        outer[core : core + CORE] = 0
        blocks = []
        for at in [*range(core - 4, -4, -4), *range(core + CORE, width, 4)]:
            begin = max(at, 0)
            block = np.zeros((4, 4), np.int32)
            part = outer[begin : begin + 4]
            block[: part.shape[0]] = part
            if at < 0:
                # its last columns belong to the block behind it or to the core
                block[at:] = 0
            blocks.append((-int(block.sum()), begin - core, block))
        blocks.sort(key=lambda entry: entry[:2])
        leading.append(blocks[0] if blocks else (0, 0, np.zeros((4, 4), np.int32)))
        others += blocks[1:]
        block_firsts.append(cores.size + len(others))
    places = [place for _, place, _ in leading + others]
    columns = [block for _, _, block in leading + others]
    table = np.array(columns, np.int64).reshape(-1, 4, 4)
    sums = (
        table[:, 0, :, None, None, None]
        + table[:, 1, None, :, None, None]
        + table[:, 2, None, None, :, None]
        + table[:, 3, None, None, None, :]
    )
    most = np.iinfo(np.uint16).max
    return (
        np.array(block_firsts, np.int64),
        np.array(places, np.int32),
        np.minimum(sums, most).astype(np.uint16).reshape(-1),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    motif_id: str
    tf: str
    n_sites: float
    matrix: Floats


def _read_rows(motifs: pd.DataFrame) -> list[_Row]:
    for column in ("motif_id", "matrix"):
        if column not in motifs:
            raise InputError(f"the motif table has no column {column!r}")
    n = len(motifs)
    ids = motifs["motif_id"].tolist()
    matrices = motifs["matrix"].tolist()
    tfs = motifs["tf"].tolist() if "tf" in motifs else [""] * n
    sites = motifs["n_sites"].tolist() if "n_sites" in motifs else [None] * n
    rows = []
    for motif_id, tf, n_sites, values in zip(ids, tfs, sites, matrices, strict=True):
        flat = np.asarray(values, np.float64).reshape(-1)
        if flat.size == 0 or flat.size % 4 or flat.size > 4 * WIDEST:
            raise InputError(
                f"motif {motif_id!r} has {flat.size} values; "
                f"a matrix has 4 for each of 1 to {WIDEST} columns"
            )
        matrix = flat.reshape(-1, 4)
        off = np.abs(matrix.sum(axis=1) - 1)
        if not (np.isfinite(matrix).all() and (matrix >= 0).all() and off.max() < 1e-3):
            raise InputError(
                f"motif {motif_id!r}, column {int(np.nanargmax(off)) + 1}: "
                "probabilities must be >= 0 and add up to 1"
            )
        known = n_sites is not None and not pd.isna(n_sites) and n_sites > 0
        rows.append(
            _Row(
                str(motif_id),
                "" if tf is None or pd.isna(tf) else str(tf),
                float(n_sites) if known else DEFAULT_SITES,
                matrix,
            )
        )
    return rows


def _merge_repeats(rows: list[_Row]) -> tuple[list[_Row], int]:
    kept: list[_Row] = []
    for row in sorted(
        rows, key=lambda r: (r.motif_id, r.matrix.tobytes(), r.n_sites, r.tf)
    ):
        if kept and kept[-1].motif_id == row.motif_id:
            before = kept[-1].matrix
            if before.shape != row.matrix.shape or not np.allclose(
                before, row.matrix, rtol=0, atol=1e-3
            ):
                raise InputError(
                    f"motif {row.motif_id!r} stands twice with different matrices; "
                    "remove one of the sources or give the motifs names of their own"
                )
            continue
        kept.append(row)
    return kept, len(rows) - len(kept)


def _check_alleles(
    n_bases: int, starts: Ints, spans: Ints, n_alt_bases: int, ends: Ints
) -> None:
    if starts.shape != spans.shape or ends.shape != (starts.size + 1,):
        raise InputError(
            f"{starts.size} starts, {spans.size} lengths and {ends.size} offsets do "
            "not describe the same alleles; offsets are one more than alleles"
        )
    if ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] > n_alt_bases:
        raise InputError(f"allele offsets do not fit {n_alt_bases} bases")
    bad = (starts < 0) | (spans < 0) | (starts + spans > n_bases)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise OutOfBoundsError(
            f"allele {first} at [{starts[first]}, {starts[first] + spans[first]}) "
            f"leaves the contig of {n_bases} bp"
        )
