"""HGVS names of small alleles: what changes in the transcript and in the protein.

The rules are those of the HGVS recommendations (den Dunnen et al. 2016, Hum. Mutat.
37:564; hgvs-nomenclature.org, version 21): deletions, insertions and duplications lie
as far 3' along the transcript as the genomic sequence allows; a change of the protein
is written at its first changed residue, 3'-most in the protein. One compiled routine
describes every allele, SNV or not: an allele replaces ``ref`` by ``alt``.

Choices that the recommendations leave open, or that go beyond them:

* Positions outside a transcript's ends are counted on as if its first or last exon were
  longer (``c.-31``, ``c.*12``).
* ``p.?``: the allele touches the two first or last bases of an intron, lies between
  exon and intron, crosses the edge of an exon, or meets a codon that is incomplete or
  holds N. ``p.0?``: the whole CDS is deleted. Alleles in UTRs and deep in introns have
  no ``hgvs_p``.
* ``p.(Met1=)`` also where an insertion or deletion leaves a start codon in frame with
  all that follows, e.g. a doubled A before ATG; the 3' rule writes it ``c.1dup``. It is
  seen as far as the transcript's own bases reach.
* A protein is read from the mutated transcript, through the 3' UTR, to the first stop;
  ``Ter?`` where the known transcript ends before one.
* A change in frame that takes away the stop codon together with residues before it is
  written in the form of a frameshift (``p.(Gly108AlafsTer12)``).
* Insertions of more than ``MAX_SPELLED_BP`` bases (``MAX_SPELLED_RESIDUES`` residues)
  are written ``insN[n]`` (``insXaa[n]``); ALT holds their sequence.

``codons`` reads ``ccG/ccA``: the touched codons before and after, changed bases in
capitals, ``-`` for none. ``amino_acids`` reads ``10P/10L`` (csq's ``10P>10L``): the
touched residues before and after, with the number of the first; ``12-`` for none; after
a frameshift ``97R/97Pfs``. Both are empty where they would be longer than
``MAX_CODONS`` codons and where nothing is known (``p.?``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from Bio.Data import IUPACData
from numba import njit
from numpy.typing import NDArray

from data_registry.genome import Genome
from data_registry.normalisation import Strings, frozen
from data_registry.translation import STANDARD_CODE, codon_table
from variant_effect.alleles import AlleleTable
from variant_effect.consequences import Consequences

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

MAX_SPELLED_BP = 200
MAX_SPELLED_RESIDUES = 66
MAX_CODONS = 30

_UNKNOWN = 4
_ENDED = 0


def _code_table() -> Bytes:
    table = np.full(256, _UNKNOWN, np.uint8)
    for i, base in enumerate(b"ACGT"):
        table[base] = table[base + 32] = i
    return table


def _residue_names() -> Bytes:
    names = np.full((128, 3), ord("?"), np.uint8)
    three = {**IUPACData.protein_letters_1to3, "*": "Ter", "X": "Xaa"}
    for letter, name in three.items():
        names[ord(letter)] = np.frombuffer(name.encode(), np.uint8)
    return names


_CODE = _code_table()
_NAMES = _residue_names()
_LETTERS = np.frombuffer(b"ACGTN", np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, 4], np.uint8)


def _word(text: str) -> Bytes:
    return np.frombuffer(text.encode(), np.uint8)


_DEL, _DUP, _INS, _DELINS = _word("del"), _word("dup"), _word("ins"), _word("delins")
_TER, _FS_TER, _EXT_TER = _word("Ter"), _word("fsTer"), _word("extTer")
_OPEN, _UNKNOWN_P, _NONE_P = _word("p.("), _word("p.?"), _word("p.0?")
_START_P, _XAA = _word("p.(Met1?)"), _word("Xaa[")


class _Models(NamedTuple):
    """Transcripts as plain arrays, for compiled code; parts ascend along the contig."""

    part_at: Ints
    part_start: Ints
    part_end: Ints
    before: Ints
    strand: NDArray[np.int8]
    length: Ints
    cds_low: Ints
    cds_high: Ints
    cds_start: Ints
    cds_end: Ints
    phase: Ints
    name: Bytes
    name_at: Ints


@dataclass(frozen=True, slots=True, eq=False)
class TranscriptModels:
    """Exons, CDS and strand of transcripts.

    Parameters
    ----------
    index
        Transcript identifiers; a transcript's row is its place here.
    contig
        int32, shape (transcripts,): index into the assembly's contigs; -1 for one that
        cannot be used (no strand, or CDS parts that overlap).
    arrays
        Parts (``part_at`` bounds each transcript's): genomic start and end, 0-based
        half-open, ascending, with the bases ``before`` each on the transcript's genomic
        left; ``length`` in bp; CDS in transcript (``cds_low``, ``cds_high``, 5'→3') and
        genomic (``cds_start``, ``cds_end``) coordinates, -1 where there is none;
        ``phase`` of the first CDS part.
    """

    index: pd.Index
    contig: NDArray[np.int32]
    arrays: _Models

    def __len__(self) -> int:
        return len(self.contig)

    @classmethod
    def read(
        cls, connection: duckdb.DuckDBPyConnection, contigs: Sequence[str]
    ) -> "TranscriptModels":
        """Read the registry's ``transcripts`` and ``features``.

        Parts of a coding transcript are its CDS parts and what its exons hold outside
        the CDS, so that a gap between CDS parts counts as an intron even where an exon
        covers it. A transcript without parts is one exon.
        """
        transcripts = connection.execute(
            "SELECT DISTINCT ON (transcript_id) transcript_id, contig, start, "
            '"end", strand FROM transcripts ORDER BY transcript_id, contig, start'
        ).df()
        features = connection.execute(
            "SELECT f.transcript_id, f.kind = 'cds' AS is_cds, f.start, f.\"end\", "
            "coalesce(f.phase, 0) AS phase FROM features f "
            "SEMI JOIN transcripts t "
            "ON t.transcript_id = f.transcript_id AND t.contig = f.contig "
            "WHERE f.kind IN ('exon', 'cds', 'utr5', 'utr3')"
        ).df()
        return cls.of(transcripts, features, contigs)

    @classmethod
    def of(
        cls, transcripts: pd.DataFrame, features: pd.DataFrame, contigs: Sequence[str]
    ) -> "TranscriptModels":
        """Build from tables.

        Parameters
        ----------
        transcripts
            ``transcript_id contig start end strand``, one row a transcript.
        features
            ``transcript_id is_cds start end phase``; rows of other transcripts are
            not read.
        contigs
            The assembly's contig names, in order.
        """
        n = len(transcripts)
        index = pd.Index(transcripts["transcript_id"].to_numpy(dtype=object))
        owner = index.get_indexer(features["transcript_id"].to_numpy(dtype=object))
        known = owner >= 0
        owner = owner[known].astype(np.int64)
        is_cds = features["is_cds"].to_numpy(bool)[known]
        start = features["start"].to_numpy(np.int64)[known]
        end = features["end"].to_numpy(np.int64)[known]
        phases = features["phase"].to_numpy(np.int64)[known]
        forward = transcripts["strand"].to_numpy() == "+"
        usable = forward | (transcripts["strand"].to_numpy() == "-")

        far = np.iinfo(np.int64).max
        cds_start, cds_end = np.full(n, far), np.full(n, -1)
        np.minimum.at(cds_start, owner[is_cds], start[is_cds])
        np.maximum.at(cds_end, owner[is_cds], end[is_cds])
        coding = cds_end >= 0
        cds_start[~coding] = -1
        phase = np.zeros(n, np.int64)
        first = is_cds & np.where(
            forward[owner], start == cds_start[owner], end == cds_end[owner]
        )
        phase[owner[first]] = phases[first]

        bare = np.setdiff1d(np.arange(n), owner)
        pieces = _pieces(
            np.r_[owner, bare],
            np.r_[is_cds, np.zeros(len(bare), bool)],
            np.r_[start, transcripts["start"].to_numpy(np.int64)[bare]],
            np.r_[end, transcripts["end"].to_numpy(np.int64)[bare]],
            cds_start,
            cds_end,
        )
        usable &= ~_overlapping(owner[is_cds], start[is_cds], end[is_cds], n)
        owner, start, end = pieces
        part_at = np.searchsorted(owner, np.arange(n + 1))
        through = np.cumsum(end - start)
        base = np.r_[0, through][part_at[:-1]]
        before = through - (end - start) - base[owner]
        length = np.r_[0, through][part_at[1:]] - base

        def place(position: Ints) -> Ints:
            """Bases of the parts up to a genomic position, by transcript."""
            key = owner * _STRIDE + start
            at = np.searchsorted(key, np.arange(n) * _STRIDE + position, "right") - 1
            at = np.maximum(at, 0)
            found: Ints = before[at] + position - start[at]
            return found

        low, high = (
            place(np.maximum(cds_start, 0)),
            place(np.maximum(cds_end - 1, 0)) + 1,
        )
        cds_low = np.where(coding, np.where(forward, low, length - high), -1)
        cds_high = np.where(coding, np.where(forward, high, length - low), -1)
        code_of = {name: code for code, name in enumerate(contigs)}
        contig = np.array(
            [code_of.get(name, -1) for name in transcripts["contig"]], dtype=np.int32
        )
        contig[~usable] = -1
        names = Strings.of([str(name).encode() for name in index])
        arrays = _Models(
            part_at.astype(np.int64), start, end, before,
            np.where(forward, 1, -1).astype(np.int8), length, cds_low, cds_high,
            cds_start, cds_end, phase, names.data, names.offsets,
        )  # fmt: skip
        return cls(index, contig, _Models._make(frozen(a) for a in arrays))

    def rows_of(self, transcript: NDArray[np.object_]) -> Ints:
        """Return the row of each transcript; -1 for ``""`` and for unusable ones."""
        codes, names = pd.factorize(transcript)
        at = self.index.get_indexer(pd.Index(names))
        at[(at >= 0) & (self.contig[at] < 0)] = -1
        found: Ints = at[codes].astype(np.int64) if len(at) else codes.astype(np.int64)
        return found


_STRIDE = 1 << 40
"""More than any position: makes (transcript, position) one number."""


def _pieces(
    owner: Ints,
    is_cds: NDArray[np.bool_],
    start: Ints,
    end: Ints,
    cds_start: Ints,
    cds_end: Ints,
) -> tuple[Ints, Ints, Ints]:
    """CDS parts, and exons outside the CDS; touching ones merged, sorted."""
    coding = cds_end[owner] >= 0
    low = np.where(coding & ~is_cds, np.minimum(end, cds_start[owner]), end)
    high = np.where(coding & ~is_cds, np.maximum(start, cds_end[owner]), end)
    owner = np.r_[owner, owner]
    start, end = np.r_[start, high], np.r_[low, end]
    keep = start < end
    owner, start, end = owner[keep], start[keep], end[keep]
    order = np.lexsort((end, start, owner))
    owner, start, end = owner[order], start[order], end[order]
    reach = np.maximum.accumulate(owner * _STRIDE + end) if len(owner) else owner
    opens = np.ones(len(owner), bool)
    opens[1:] = owner[1:] * _STRIDE + start[1:] > reach[:-1]
    last = np.r_[np.flatnonzero(opens)[1:] - 1, len(owner) - 1][: int(opens.sum())]
    return owner[opens], start[opens], reach[last] - owner[opens] * _STRIDE


def _overlapping(owner: Ints, start: Ints, end: Ints, n: int) -> NDArray[np.bool_]:
    """Which of ``n`` transcripts have parts that overlap."""
    order = np.lexsort((end, start, owner))
    owner, start, end = owner[order], start[order], end[order]
    found = np.zeros(n, bool)
    clash = (owner[1:] == owner[:-1]) & (start[1:] < end[:-1])
    found[owner[1:][clash]] = True
    return found


COLUMNS = ("hgvs_c", "hgvs_p", "codons", "amino_acids")


def describe(
    alleles: AlleleTable,
    consequences: Consequences,
    models: TranscriptModels,
    genome: Genome,
    codon_tables: Mapping[str, int],
) -> dict[str, pa.Array]:
    """Name every scored small allele on the transcript of its consequence.

    Parameters
    ----------
    alleles, consequences
        The chunk; alleles whose ``consequences.transcript`` is ``""`` (upstream,
        downstream, intergenic) get nulls.
    models
        The registry's transcripts.
    genome
        The assembly.
    codon_tables
        Contig to NCBI's number of its genetic code, where it is not 1.

    Returns
    -------
    dict
        ``hgvs_c hgvs_p codons amino_acids``: string arrays, one value an allele, null
        where there is nothing to say; forms as in the module's docstring. ``hgvs_c``
        begins with the transcript and a colon; ``hgvs_p`` is a prediction.
    """
    n = len(alleles)
    transcript = models.rows_of(consequences.transcript)
    place = np.full(n, -1, np.int64)
    parts: dict[str, list[pa.Array]] = {name: [] for name in COLUMNS}
    done = 0
    for contig, rows in alleles.by_contig(alleles.small & (transcript >= 0)):
        ref_bp = alleles.min_ref.lengths[rows]
        alt = alleles.min_alt.take(rows)
        columns = _run(
            genome.contig(contig), alleles.start[rows], ref_bp, alt, transcript[rows],
            models.arrays, _amino_table(codon_tables.get(contig, STANDARD_CODE)),
        )  # fmt: skip
        for name, column in zip(COLUMNS, columns, strict=True):
            parts[name].append(column)
        place[rows] = np.arange(done, done + len(rows))
        done += len(rows)
    if not done:
        return {name: pa.nulls(n, pa.string()) for name in COLUMNS}
    if done == n and (place[1:] > place[:-1]).all():
        return {name: pa.concat_arrays(parts[name]) for name in COLUMNS}
    at = pa.array(place, mask=place < 0)
    return {name: pa.concat_arrays(parts[name]).take(at) for name in COLUMNS}


def _amino_table(number: int) -> Bytes:
    """Letters of the 125 codons of a genetic code, four times.

    The second time start codons read M: that is for the first codon of a whole CDS. The
    third and fourth are for a CDS that begins inside a codon and has no start.
    """
    code = codon_table(number)
    letters = np.frombuffer(code.amino_acids, np.uint8)
    initial = letters.copy()
    for codon in code.starts:
        a, b, c = (int(_CODE[ord(base)]) for base in codon)
        initial[25 * a + 5 * b + c] = ord("M")
    return np.concatenate([letters, initial, letters, letters])


def _run(
    contig: Bytes,
    start: Ints,
    ref_bp: Ints,
    alt: Strings,
    transcript: Ints,
    models: _Models,
    amino: Bytes,
) -> list[pa.Array]:
    """Describe the alleles of one contig."""
    n = len(start)
    plain = (ref_bp == 1) & (alt.lengths == 1)
    n_plain = int(plain.sum())
    used, which = np.unique(transcript, return_inverse=True)
    named = int(np.diff(models.name_at)[transcript].sum())
    # Room for the longest texts there can be.
    room = [
        named + 64 * n_plain + (MAX_SPELLED_BP + 128) * (n - n_plain),
        64 * n_plain + (3 * MAX_SPELLED_RESIDUES + 128) * (n - n_plain),
        8 * n_plain + (6 * MAX_CODONS + 64) * (n - n_plain),
        48 * n_plain + (2 * MAX_CODONS + 96) * (n - n_plain),
    ]
    text = [np.empty(size, np.uint8) for size in room]
    cuts = [np.zeros(n + 1, np.int32) for _ in room]
    scratch = np.empty(int(alt.lengths.max(initial=1)), np.uint8)
    spliced_at = np.r_[0, np.cumsum(models.length[used])].astype(np.int64)
    spliced = np.empty(spliced_at[-1], np.uint8)
    contig = frozen(contig)
    _splice(
        contig, used, models.part_at, models.part_start, models.part_end,
        models.strand, spliced_at, spliced,
    )  # fmt: skip
    _describe(
        contig, frozen(start), frozen(ref_bp), frozen(alt.data), frozen(alt.offsets),
        frozen(transcript), frozen(which.astype(np.int64, copy=False)), models,
        frozen(spliced), frozen(spliced_at), frozen(amino), scratch,
        text[0], text[1], text[2], text[3], cuts[0], cuts[1], cuts[2], cuts[3],
    )  # fmt: skip
    return [_strings(t, c) for t, c in zip(text, cuts, strict=True)]


def _strings(text: Bytes, cuts: NDArray[np.int32]) -> pa.Array:
    """Wrap bytes and offsets as a string array; empty strings are null."""
    n = len(cuts) - 1
    valid = np.packbits(cuts[1:] > cuts[:-1], bitorder="little")
    data = text[: cuts[-1]].copy()
    return pa.StringArray.from_buffers(
        n, pa.py_buffer(cuts), pa.py_buffer(data), pa.py_buffer(valid)
    )


# --- compiled: writing text ---------------------------------------------------------


@njit(cache=True, nogil=True)
def _put(out: Bytes, at: int, word: Bytes) -> int:
    for byte in word:
        out[at] = byte
        at += 1
    return at


@njit(cache=True, nogil=True)
def _put_number(out: Bytes, at: int, number: int) -> int:
    width, rest = 1, number // 10
    while rest > 0:
        width += 1
        rest //= 10
    for i in range(width - 1, -1, -1):
        out[at + i] = 48 + number % 10
        number //= 10
    return at + width


@njit(cache=True, nogil=True)
def _put_residue(out: Bytes, at: int, letter: int) -> int:
    for i in range(3):
        out[at + i] = _NAMES[letter, i]
    return at + 3


# --- compiled: transcripts ----------------------------------------------------------


@njit(cache=True, nogil=True)
def _splice(
    contig: Bytes,
    used: Ints,
    part_at: Ints,
    part_start: Ints,
    part_end: Ints,
    strand: NDArray[np.int8],
    spliced_at: Ints,
    spliced: Bytes,
) -> None:
    """Write the spliced sequence of transcripts, 5'→3', as codes 0-3 (4 unknown)."""
    for i in range(len(used)):
        t = used[i]
        at, step = (spliced_at[i], 1) if strand[t] > 0 else (spliced_at[i + 1] - 1, -1)
        for e in range(part_at[t], part_at[t + 1]):
            for position in range(part_start[e], part_end[e]):
                code = _CODE[contig[position]] if position < len(contig) else _UNKNOWN
                spliced[at] = code if step > 0 else _COMPLEMENT[code]
                at += step


@njit(cache=True, nogil=True)
def _part_at(part_start: Ints, position: int) -> int:
    """Last part that starts at or before ``position``; -1 if there is none."""
    low, high = 0, len(part_start)
    while low < high:
        middle = (low + high) // 2
        if part_start[middle] <= position:
            low = middle + 1
        else:
            high = middle
    return low - 1


@njit(cache=True, nogil=True)
def _place(
    part_start: Ints,
    part_end: Ints,
    before: Ints,
    forward: bool,  # noqa: FBT001
    position: int,
) -> tuple[int, int]:
    """Transcript position of a genomic one, and the offset into an intron.

    Outside the transcript it is negative, or at least the transcript's length.
    """
    last = len(part_start) - 1
    e = max(_part_at(part_start, position), 0)
    offset = 0
    if position < part_end[e] or e == last:
        along = before[e] + position - part_start[e]
    else:
        left = position - part_end[e] + 1
        right = part_start[e + 1] - position
        # The middle base of an odd intron counts from the exon before it.
        if left < right or (left == right and forward):
            along = before[e + 1] - 1
            offset = left if forward else -left
        else:
            along = before[e + 1]
            offset = -right if forward else right
    if forward:
        return along, offset
    return before[last] + part_end[last] - part_start[last] - 1 - along, offset


@njit(cache=True, nogil=True)
def _put_position(
    out: Bytes, at: int, place: int, offset: int, low: int, high: int
) -> int:
    """Write a transcript position as HGVS counts it; the CDS is ``[low, high)``."""
    if place < low:
        out[at] = 45  # -
        at = _put_number(out, at + 1, low - place)
    elif place >= high:
        out[at] = 42  # *
        at = _put_number(out, at + 1, place - high + 1)
    else:
        at = _put_number(out, at, place - low + 1)
    if offset != 0:
        out[at] = 43 if offset > 0 else 45
        at = _put_number(out, at + 1, abs(offset))
    return at


@njit(cache=True, nogil=True)
def _put_bases(out: Bytes, at: int, bases: Bytes, n: int) -> int:
    """Write ``n`` codes as letters, or ``N[n]`` when there are too many."""
    if n > MAX_SPELLED_BP:
        out[at] = 78  # N
        out[at + 1] = 91  # [
        at = _put_number(out, at + 2, n)
        out[at] = 93  # ]
        return at + 1
    for j in range(n):
        out[at + j] = _LETTERS[bases[j]]
    return at + n


@njit(cache=True, nogil=True)
def _put_coding(
    out: Bytes, at: int, contig: Bytes,
    part_start: Ints, part_end: Ints, before: Ints,
    forward: bool,  # noqa: FBT001
    low: int, high: int, a: int, b: int, alt: Bytes, n: int,
) -> int:  # fmt: skip
    """Write ``c.`` or ``n.`` without its letter: ``[a, b)`` becomes ``alt``.

    ``alt`` is on the transcript's strand, ``[a, b)`` already 3'-most.
    """
    word = _DELINS
    left, right = a, b - 1
    if b == a:
        is_copy = a - n >= 0 if forward else a + n <= len(contig)
        for j in range(n):
            if not is_copy:
                break
            code = _CODE[contig[a - n + j if forward else a + n - 1 - j]]
            is_copy = (code if forward else _COMPLEMENT[code]) == alt[j]
        if is_copy:
            word = _DUP
            left, right = (a - n, a - 1) if forward else (a, a + n - 1)
        else:
            word = _INS
            left, right = a - 1, a
    elif n == 0:
        word = _DEL
    for i in range(1 if left == right else 2):
        if i == 1:
            out[at] = 95  # _
            at += 1
        place, offset = _place(
            part_start,
            part_end,
            before,
            forward,
            left if (i == 0) == forward else right,
        )
        at = _put_position(out, at, place, offset, low, high)
    if b - a == 1 and n == 1:
        code = _CODE[contig[a]]
        out[at] = _LETTERS[code if forward else _COMPLEMENT[code]]
        out[at + 1] = 62  # >
        out[at + 2] = _LETTERS[alt[0]]
        return at + 3
    at = _put(out, at, word)
    if n == 0 or word[1] == 117:  # del, dup
        return at
    return _put_bases(out, at, alt, n)


# Where an allele lies, as _locate tells it; 0 and above are the number of an exon.
_NOWHERE, _UNSURE, _GONE, _LEFT_END, _RIGHT_END = -1, -2, -3, -4, -5


@njit(cache=True, nogil=True)
def _locate(
    part_start: Ints, part_end: Ints, cds_start: int, cds_end: int, a: int, b: int
) -> int:
    """Tell which exon ``[a, b)`` lies in, or else what is known of its effect."""
    last = len(part_start) - 1
    e = _part_at(part_start, a)
    if e >= 0 and b <= part_end[e] and (b > a or part_start[e] < a < part_end[e]):
        return e
    if b <= part_start[0] or a >= part_end[last]:
        return _NOWHERE
    if a <= cds_start and b >= cds_end:
        return _GONE
    # Between two exons, away from both splice sites?
    if b == a and e > 0 and part_start[e] == a:
        e -= 1
    if 0 <= e < last and a >= part_end[e] and b <= part_start[e + 1]:
        left, right = a - part_end[e], part_start[e + 1] - b
        return _NOWHERE if left >= 2 and right >= 2 else _UNSURE
    # Across an outer end of the transcript, in its UTR only?
    touches = a < cds_end and b > cds_start
    in_first = a < part_start[0] and b <= part_end[0]
    in_last = a >= part_start[last] and b > part_end[last]
    if touches:
        return _LEFT_END if in_first else _RIGHT_END if in_last else _UNSURE
    return _NOWHERE if in_first or in_last else _UNSURE


# --- compiled: proteins -------------------------------------------------------------


@njit(cache=True, nogil=True)
def _reference(seq: Bytes, origin: int, amino: Bytes, k: int) -> int:
    """Letter of residue ``k`` of the reference protein.

    ``amino`` holds the letters of 125 codons, then those of a first codon, where a
    start reads M whatever it codes for elsewhere.
    """
    at = origin + 3 * k
    index = 25 * np.int64(seq[at]) + 5 * np.int64(seq[at + 1]) + np.int64(seq[at + 2])
    return int(amino[index + 125 if k == 0 else index])


@njit(cache=True, nogil=True)
def _residue(
    seq: Bytes, origin: int, amino: Bytes, cut: int, resume: int, alt: Bytes, n: int,
    k: int,
) -> int:  # fmt: skip
    """Letter of residue ``k`` when ``[cut, resume)`` is ``alt``; 0 past the end."""
    at = origin + 3 * k
    if at >= cut + n:
        at += resume - cut - n
        if at + 3 > len(seq):
            return _ENDED
        index = (
            25 * np.int64(seq[at]) + 5 * np.int64(seq[at + 1]) + np.int64(seq[at + 2])
        )
        return int(amino[index + 125 if k == 0 else index])
    index = np.int64(0)
    for j in range(at, at + 3):
        index *= 5
        if j < cut:
            index += seq[j]
        elif j < cut + n:
            index += alt[j - cut]
        elif j + resume - cut - n < len(seq):
            index += seq[j + resume - cut - n]
        else:
            return _ENDED
    return int(amino[index + 125 if k == 0 else index])


@njit(cache=True, nogil=True)
def _put_count(out: Bytes, at: int, word: Bytes, count: int) -> int:
    """Write ``fsTer23)`` or ``fsTer?)``; a count below 0 is unknown."""
    at = _put(out, at, word)
    if count < 0:
        out[at] = 63  # ?
        at += 1
    else:
        at = _put_number(out, at, count)
    out[at] = 41  # )
    return at + 1


@njit(cache=True, nogil=True)
def _put_swap(out: Bytes, at: int, k: int, before: int, after: int) -> int:
    """Write ``p.(Pro10Leu)``."""
    at = _put_residue(out, _put(out, at, _OPEN), before)
    at = _put_residue(out, _put_number(out, at, k + 1), after)
    out[at] = 41
    return at + 1


@njit(cache=True, nogil=True)
def _put_span(
    seq: Bytes, origin: int, amino: Bytes, first: int, last: int, out: Bytes, at: int
) -> int:
    """Write ``Lys2_Met3``, or ``Lys2`` for one residue."""
    at = _put_residue(out, at, _reference(seq, origin, amino, first))
    at = _put_number(out, at, first + 1)
    if first == last:
        return at
    out[at] = 95
    at = _put_residue(out, at + 1, _reference(seq, origin, amino, last))
    return _put_number(out, at, last + 1)


@njit(cache=True, nogil=True)
def _put_same(
    seq: Bytes, origin: int, amino: Bytes, k0: int, k1: int, out: Bytes, at: int
) -> int:
    """Write ``p.(Pro10=)`` of residues ``[k0, k1)``."""
    at = _put_span(seq, origin, amino, k0, k1 - 1, out, _put(out, at, _OPEN))
    out[at], out[at + 1] = 61, 41
    return at + 2


@njit(cache=True, nogil=True)
def _put_window(
    seq: Bytes, origin: int, amino: Bytes, cut: int, resume: int, alt: Bytes, n: int,
    k: int, gone: int, come: int,
    premature: bool,  # noqa: FBT001
    n_codons: int, out: Bytes, at: int,
) -> int:  # fmt: skip
    """Write a change in frame: ``gone`` residues from ``k`` become ``come`` others."""
    at = _put(out, at, _OPEN)
    if come == 0:
        while k + gone < n_codons:
            following = _reference(seq, origin, amino, k + gone)
            if following == 42 or following != _reference(seq, origin, amino, k):
                break
            k += 1
        at = _put_span(seq, origin, amino, k, k + gone - 1, out, at)
        at = _put(out, at, _DEL)
        out[at] = 41
        return at + 1
    word = _DELINS
    first, last = k, k + gone - 1
    if gone == 0:
        while not premature and k < n_codons:
            before = _reference(seq, origin, amino, k)
            if before == 42 or before != _residue(
                seq, origin, amino, cut, resume, alt, n, k
            ):
                break
            k += 1
        is_copy = k >= come
        for j in range(come):
            if not is_copy:
                break
            is_copy = _reference(seq, origin, amino, k - come + j) == _residue(
                seq, origin, amino, cut, resume, alt, n, k + j
            )
        word = _DUP if is_copy else _INS
        first, last = (k - come, k - 1) if is_copy else (k - 1, k)
    at = _put_span(seq, origin, amino, first, last, out, at)
    at = _put(out, at, word)
    if word[1] == 117:  # dup
        come = 0
    if come > MAX_SPELLED_RESIDUES:
        at = _put_number(out, _put(out, at, _XAA), come)
        out[at] = 93
        at += 1
    else:
        for j in range(come):
            letter = _residue(seq, origin, amino, cut, resume, alt, n, k + j)
            at = _put_residue(out, at, letter)
    out[at] = 41
    return at + 1


@njit(cache=True, nogil=True)
def _put_codons(
    seq: Bytes, first: int, last: int, cut: int, resume: int, alt: Bytes, n: int,
    out: Bytes, at: int,
) -> int:  # fmt: skip
    """Write ``ccG/ccA`` of the codons in ``[first, last)``."""
    for side in range(2):
        begin = at
        for j in range(first, cut):
            out[at] = _LETTERS[seq[j]] + 32
            at += 1
        changed = seq[cut:resume] if side == 0 else alt[:n]
        for code in changed:
            out[at] = _LETTERS[code]
            at += 1
        for j in range(resume, last):
            out[at] = _LETTERS[seq[j]] + 32
            at += 1
        if at == begin:
            out[at] = 45  # -
            at += 1
        if side == 0:
            out[at] = 47  # /
            at += 1
    return at


@njit(cache=True, nogil=True)
def _put_change(
    seq: Bytes, low: int, high: int, phase: int, amino: Bytes,
    cut: int, resume: int, alt: Bytes, n: int,
    out: Bytes, out_k: Bytes, out_a: Bytes, at: int, at_k: int, at_a: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Write ``hgvs_p``, codons and residues of a change inside one exon.

    ``[cut, resume)`` of the transcript becomes ``alt``; the CDS is ``[low, high)``.
    """
    if resume <= low or cut >= high or (cut == resume and cut == low):
        return at, at_k, at_a
    origin = low + phase
    n_codons = (high - origin) // 3
    k0 = (cut - origin) // 3
    if n_codons <= 0 or k0 >= n_codons or (cut < origin and phase > 0):
        return _put(out, at, _UNKNOWN_P), at_k, at_a
    initial = phase == 0 and _reference(seq, origin, amino, 0) == 77
    change = n - (resume - cut)
    moved = origin + change
    if (
        initial
        and cut < origin + 3
        and resume <= origin + 3
        and moved >= 0
        and (_residue(seq, moved, amino, cut, resume, alt, n, 0) == 77)
        and change != 0
    ):
        # The start codon is whole again, in frame with all that follows it.
        return _put_same(seq, origin, amino, 0, 1, out, at), at_k, at_a
    if cut < origin:
        return _put(out, at, _START_P if initial else _UNKNOWN_P), at_k, at_a

    k1 = (resume - origin + 2) // 3
    beyond = k1 > n_codons
    k1 = min(k1, n_codons)
    n_ref = k1 - k0
    in_frame = change % 3 == 0 and not beyond
    n_new = n_ref + change // 3
    brief = n_ref <= MAX_CODONS and n_new <= MAX_CODONS and not beyond

    readable = True
    stop = -1
    loses_stop = premature = False
    if in_frame:
        letter = 0
        for k in range(k0, k1):
            letter = _reference(seq, origin, amino, k)
            readable &= letter != 88
        ends = letter == 42
        for k in range(k0, k0 + n_new):
            letter = _residue(seq, origin, amino, cut, resume, alt, n, k)
            readable &= letter != 88
            if letter == 42:
                stop = k - k0
                break
        premature = stop >= 0 and not (ends and stop == n_new - 1)
        loses_stop = ends and stop < 0
        if premature:
            n_new = stop + 1
    if not readable:
        return _put(out, at, _UNKNOWN_P), at_k, at_a

    if brief:
        at_k = _put_codons(
            seq, origin + 3 * k0, origin + 3 * k1, cut, resume, alt, n, out_k, at_k
        )
    if brief and in_frame:
        at_a = _put_number(out_a, at_a, k0 + 1)
        for k in range(k0, k1):
            out_a[at_a] = _reference(seq, origin, amino, k)
            at_a += 1
        if n_ref == 0:
            out_a[at_a] = 45
            at_a += 1
        out_a[at_a] = 47  # /
        at_a = _put_number(out_a, at_a + 1, k0 + 1)
        for k in range(k0, k0 + n_new):
            out_a[at_a] = _residue(seq, origin, amino, cut, resume, alt, n, k)
            at_a += 1
        if n_new == 0:
            out_a[at_a] = 45
            at_a += 1

    if (
        k0 == 0
        and initial
        and (_residue(seq, origin, amino, cut, resume, alt, n, 0) != 77)
    ):
        return _put(out, at, _START_P), at_k, at_a

    # The first residue that differs; out of frame, a stop that stays ends the search.
    limit = min(k1, k0 + n_new) if in_frame else n_codons
    before = after = 0
    k = k0
    while k < limit:
        before = _reference(seq, origin, amino, k)
        after = _residue(seq, origin, amino, cut, resume, alt, n, k)
        if before != after or (before == 42 and not in_frame):
            break
        k += 1
    if in_frame and not loses_stop:
        gone, come = k1 - k, k0 + n_new - k
        while (
            not premature
            and gone > 0
            and come > 0
            and _reference(seq, origin, amino, k + gone - 1)
            == _residue(seq, origin, amino, cut, resume, alt, n, k + come - 1)
        ):
            gone -= 1
            come -= 1
        if come == 0 and gone == 0:
            return _put_same(seq, origin, amino, k0, k1, out, at), at_k, at_a
        if gone == 0 and k == n_codons:  # behind the last codon of a CDS without stop
            return _put(out, at, _UNKNOWN_P), at_k, at_a
        if (gone == 1 or premature) and come == 1:
            # An insertion that begins with a stop ends the protein at the next residue.
            before = _reference(seq, origin, amino, k)
            after = _residue(seq, origin, amino, cut, resume, alt, n, k)
            if before == after:
                return _put_same(seq, origin, amino, k, k + 1, out, at), at_k, at_a
            return _put_swap(out, at, k, before, after), at_k, at_a
        at = _put_window(
            seq, origin, amino, cut, resume, alt, n, k, gone, come, premature, n_codons,
            out, at,
        )  # fmt: skip
        return at, at_k, at_a

    # The reading goes on to another stop.
    if k == n_codons:
        return _put(out, at, _UNKNOWN_P), at_k, at_a
    before = _reference(seq, origin, amino, k)
    after = _residue(seq, origin, amino, cut, resume, alt, n, k)
    if after in (_ENDED, 88) or before == 88:
        return _put(out, at, _UNKNOWN_P), at_k, at_a
    if brief and not in_frame:
        at_a = _put_number(out_a, at_a, k + 1)
        out_a[at_a] = before
        out_a[at_a + 1] = 47
        at_a = _put_number(out_a, at_a + 2, k + 1)
        out_a[at_a] = after
        at_a += 1
        if before not in (after, 42) and after != 42:
            out_a[at_a], out_a[at_a + 1] = 102, 115  # fs
            at_a += 2
    if before == after:
        return _put_same(seq, origin, amino, k, k + 1, out, at), at_k, at_a
    if after == 42:
        return _put_swap(out, at, k, before, after), at_k, at_a
    found = k
    letter = after
    while letter not in (42, _ENDED, 88):
        found += 1
        letter = _residue(seq, origin, amino, cut, resume, alt, n, found)
    at = _put_residue(out, _put(out, at, _OPEN), before)
    at = _put_residue(out, _put_number(out, at, k + 1), after)
    count = found - k if before == 42 else found - k + 1
    word = _EXT_TER if before == 42 else _FS_TER
    return _put_count(out, at, word, count if letter == 42 else -1), at_k, at_a


@njit(cache=True, nogil=True)
def _describe(
    contig: Bytes,
    start: Ints,
    ref_bp: Ints,
    alt: Bytes,
    alt_at: Ints,
    transcript: Ints,
    which: Ints,
    models: _Models,
    spliced: Bytes,
    spliced_at: Ints,
    amino: Bytes,
    edit: Bytes,
    out_c: Bytes,
    out_p: Bytes,
    out_k: Bytes,
    out_a: Bytes,
    cut_c: NDArray[np.int32],
    cut_p: NDArray[np.int32],
    cut_k: NDArray[np.int32],
    cut_a: NDArray[np.int32],
) -> None:
    """Write the four texts of every allele.

    ``which`` is the allele's place in ``spliced``; ``amino`` holds the letters of whole
    transcripts, then of those that begin inside a codon; ``edit`` is scratch for the
    longest ALT.
    """
    at_c, at_p, at_k, at_a = 0, 0, 0, 0
    for i in range(len(start)):
        t = transcript[i]
        forward = models.strand[t] > 0
        first, last = models.part_at[t], models.part_at[t + 1]
        part_start = models.part_start[first:last]
        part_end = models.part_end[first:last]
        before = models.before[first:last]
        a, n = start[i], alt_at[i + 1] - alt_at[i]
        b = a + ref_bp[i]
        # Alleles come leftmost; on '+' the 3' end of the transcript is to the right.
        shift = 0
        while forward and (b == a or n == 0) and b + shift < len(contig):
            if n == 0:
                held = _CODE[contig[a + shift]]
            elif shift < n:
                held = _CODE[alt[alt_at[i] + shift]]
            else:
                held = _CODE[contig[a + shift - n]]
            if held == _UNKNOWN or held != _CODE[contig[b + shift]]:
                break
            shift += 1
        for j in range(n):
            k = j + shift
            held = _CODE[alt[alt_at[i] + k] if k < n else contig[a + k - n]]
            if forward:
                edit[j] = held
            else:
                edit[n - 1 - j] = _COMPLEMENT[held]
        a += shift
        b += shift
        low, high = models.cds_low[t], models.cds_high[t]
        coding = low >= 0
        at_c = _put(out_c, at_c, models.name[models.name_at[t] : models.name_at[t + 1]])
        out_c[at_c], out_c[at_c + 2] = 58, 46
        out_c[at_c + 1] = 99 if coding else 110
        if not coding:
            low, high = 0, models.length[t]
        at_c = _put_coding(
            out_c, at_c + 3, contig, part_start, part_end, before, forward, low, high,
            a, b, edit, n,
        )  # fmt: skip
        if coding:
            e = _locate(
                part_start, part_end, models.cds_start[t], models.cds_end[t], a, b
            )
            seq = spliced[spliced_at[which[i]] : spliced_at[which[i] + 1]]
            letters = amino[:250] if models.phase[t] == 0 else amino[250:]
            if e == _GONE:
                at_p = _put(out_p, at_p, _NONE_P)
            elif e < _NOWHERE:
                head = e == (_LEFT_END if forward else _RIGHT_END) and low + 3 <= high
                if (
                    head
                    and models.phase[t] == 0
                    and (_reference(seq, low, letters, 0) == 77)
                ):
                    at_p = _put(out_p, at_p, _START_P)
                else:
                    at_p = _put(out_p, at_p, _UNKNOWN_P)
            elif e >= 0:
                cut = before[e] + a - part_start[e]
                if not forward:
                    cut = models.length[t] - (cut + b - a)
                at_p, at_k, at_a = _put_change(
                    seq, low, high, models.phase[t], letters, cut, cut + b - a, edit, n,
                    out_p, out_k, out_a, at_p, at_k, at_a,
                )  # fmt: skip
        cut_c[i + 1], cut_p[i + 1], cut_k[i + 1], cut_a[i + 1] = at_c, at_p, at_k, at_a
