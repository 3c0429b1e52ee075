"""HGVS names of small alleles: what changes in the transcript and in the protein.

The rules are those of the HGVS recommendations (den Dunnen et al. 2016, Hum. Mutat.
37:564; hgvs-nomenclature.org, version 21): deletions, insertions and duplications lie as
far 3' along the transcript as the genomic sequence allows; a change of the protein is
written at its first changed residue, 3'-most in the protein. One compiled routine
describes every allele, SNV or not: an allele replaces ``ref`` by ``alt``.

Choices that the recommendations leave open, or that go beyond them:

* Positions outside a transcript's ends are counted on as if its first or last exon were
  longer (``c.-31``, ``c.*12``).
* ``p.?``: the allele touches the two first or last bases of an intron, lies at an exon's
  edge, crosses one, or meets a codon that is incomplete or holds N. ``p.0?``: the whole
  CDS is deleted. Alleles in UTRs and deep in introns have no ``hgvs_p``.
* A protein is read from the mutated transcript, through the 3' UTR, to the first stop;
  ``Ter?`` where the known transcript ends before one.
* A change in frame that takes away the stop codon together with residues before it is
  written in the form of a frameshift (``p.(Gly108AlafsTer12)``).
* Insertions of more than ``MAX_SPELLED_BP`` bases (``MAX_SPELLED_RESIDUES`` residues)
  are written ``insN[n]`` (``insXaa[n]``); ALT holds their sequence.

``codons`` reads ``ccG/ccA``: the touched codons before and after, changed bases in
capitals, ``-`` for none. ``amino_acids`` reads ``10P/10L`` (csq's ``10P>10L``): the
touched residues before and after, with the number of the first; ``12-`` for none; after a
frameshift ``97R/97Pfs``. Both are empty where they would be longer than
``MAX_CODONS`` codons and where nothing is known (``p.?``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from Bio.SeqUtils import IUPACData
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

        low, high = place(np.maximum(cds_start, 0)), place(np.maximum(cds_end - 1, 0)) + 1
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
        return cls(index, contig, _Models(*(frozen(a) for a in arrays)))

    def rows_of(self, transcript: NDArray[np.object_]) -> Ints:
        """Return the row of each transcript; -1 for ``""`` and for unusable ones."""
        codes, names = pd.factorize(transcript)
        at = self.index.get_indexer(names)
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
        code = codon_table(codon_tables.get(contig, STANDARD_CODE))
        starts = np.zeros(125, np.bool_)
        for codon in code.starts:
            a, b, c = (int(_CODE[ord(base)]) for base in codon)
            starts[25 * a + 5 * b + c] = True
        ref_bp = alleles.min_ref.lengths[rows]
        alt = alleles.min_alt.take(rows)
        columns = _run(
            genome.contig(contig), alleles.start[rows], ref_bp, alt, transcript[rows],
            models.arrays, np.frombuffer(code.amino_acids, np.uint8), starts,
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


def _run(
    contig: Bytes,
    start: Ints,
    ref_bp: Ints,
    alt: Strings,
    transcript: Ints,
    models: _Models,
    amino: Bytes,
    starts: NDArray[np.bool_],
) -> list[pa.Array]:
    """Describe the alleles of one contig."""
    n = len(start)
    plain = (ref_bp == 1) & (alt.lengths == 1)
    names = int(np.diff(models.name_at)[transcript].sum())
    n_plain = int(plain.sum())
    # Room for the longest texts there can be.
    room = [
        names + 64 * n_plain + (2 * MAX_SPELLED_BP + 128) * (n - n_plain),
        64 * n_plain + (3 * MAX_SPELLED_RESIDUES + 128) * (n - n_plain),
        8 * n_plain + (8 * MAX_CODONS + 64) * (n - n_plain),
        48 * n_plain + (3 * MAX_CODONS + 96) * (n - n_plain),
    ]
    text = [np.empty(size, np.uint8) for size in room]
    cuts = [np.zeros(n + 1, np.int32) for _ in room]
    scratch = np.empty(int(alt.lengths.max(initial=1)), np.uint8)
    _describe(
        frozen(contig), frozen(start), frozen(ref_bp), frozen(alt.data),
        frozen(alt.offsets), frozen(transcript), models, frozen(amino), frozen(starts),
        scratch, text[0], text[1], text[2], text[3], cuts[0], cuts[1], cuts[2], cuts[3],
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


# --- compiled: writing text ------------------------------------------------------------


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


# --- compiled: transcripts -------------------------------------------------------------


@njit(cache=True, nogil=True)
def _part_at(models: _Models, t: int, position: int) -> int:
    """Last part of ``t`` that starts at or before ``position``; part_at[t] - 1 if none."""
    low, high = models.part_at[t], models.part_at[t + 1]
    while low < high:
        middle = (low + high) // 2
        if models.part_start[middle] <= position:
            low = middle + 1
        else:
            high = middle
    return low - 1


@njit(cache=True, nogil=True)
def _base(contig: Bytes, models: _Models, t: int, place: int) -> int:
    """Base 0-3 (4 unknown) at a transcript position, on the transcript's strand."""
    forward = models.strand[t] > 0
    along = place if forward else models.length[t] - 1 - place
    low, high = models.part_at[t], models.part_at[t + 1]
    while high - low > 1:
        middle = (low + high) // 2
        if models.before[middle] <= along:
            low = middle
        else:
            high = middle
    position = models.part_start[low] + along - models.before[low]
    if position >= len(contig):
        return _UNKNOWN
    code = _CODE[contig[position]]
    return code if forward else _COMPLEMENT[code]


@njit(cache=True, nogil=True)
def _put_position(out: Bytes, at: int, models: _Models, t: int, position: int) -> int:
    """Write a genomic position as HGVS writes it on transcript ``t``."""
    first, last = models.part_at[t], models.part_at[t + 1] - 1
    length = models.length[t]
    forward = models.strand[t] > 0
    e = _part_at(models, t, position)
    offset = 0
    if e < first:
        along = position - models.part_start[first]
    elif position < models.part_end[e] or e == last:
        along = models.before[e] + position - models.part_start[e]
    else:
        left = position - models.part_end[e] + 1
        right = models.part_start[e + 1] - position
        # The middle base of an odd intron counts from the exon before it.
        if left < right or (left == right and forward):
            along = models.before[e + 1] - 1
            offset = left if forward else -left
        else:
            along = models.before[e + 1]
            offset = -right if forward else right
    place = along if forward else length - 1 - along
    low, high = models.cds_low[t], models.cds_high[t]
    if low < 0:
        low, high = 0, length
    if place < low:
        out[at] = 45  # -
        at = _put_number(out, at + 1, low - place)
    elif place >= high:
        out[at] = 42  # *
        at = _put_number(out, at + 1, place - high + 1)
    else:
        at = _put_number(out, at, place - low + 1)
    if offset:
        out[at] = 43 if offset > 0 else 45
        at = _put_number(out, at + 1, abs(offset))
    return at


@njit(cache=True, nogil=True)
def _put_range(
    out: Bytes, at: int, models: _Models, t: int, first: int, last: int
) -> int:
    """Write genomic positions, 5' one first; one position where they are the same."""
    at = _put_position(out, at, models, t, first)
    if last != first:
        out[at] = 95  # _
        at = _put_position(out, at + 1, models, t, last)
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
    out: Bytes,
    at: int,
    contig: Bytes,
    models: _Models,
    t: int,
    a: int,
    b: int,
    alt: Bytes,
    n: int,
) -> int:
    """Write ``hgvs_c`` of the 3'-most allele: ``[a, b)`` becomes ``alt``."""
    forward = models.strand[t] > 0
    at = _put(out, at, models.name[models.name_at[t] : models.name_at[t + 1]])
    out[at] = 58  # :
    out[at + 1] = 99 if models.cds_low[t] >= 0 else 110  # c or n
    out[at + 2] = 46  # .
    at += 3
    if b == a:
        is_copy = a - n >= 0 if forward else a + n <= len(contig)
        for j in range(n):
            if not is_copy:
                break
            code = _CODE[contig[a - n + j if forward else a + n - 1 - j]]
            is_copy = (code if forward else _COMPLEMENT[code]) == alt[j]
        if is_copy:
            first, last = (a - n, a - 1) if forward else (a + n - 1, a)
            at = _put_range(out, at, models, t, first, last)
            return _put(out, at, _DUP)
        first, last = (a - 1, a) if forward else (a, a - 1)
        at = _put_range(out, at, models, t, first, last)
        return _put_bases(out, _put(out, at, _INS), alt, n)
    first, last = (a, b - 1) if forward else (b - 1, a)
    at = _put_range(out, at, models, t, first, last)
    if n == 0:
        return _put(out, at, _DEL)
    if b - a == 1 and n == 1:
        code = _CODE[contig[a]]
        out[at] = _LETTERS[code if forward else _COMPLEMENT[code]]
        out[at + 1] = 62  # >
        out[at + 2] = _LETTERS[alt[0]]
        return at + 3
    return _put_bases(out, _put(out, at, _DELINS), alt, n)


# --- compiled: proteins ----------------------------------------------------------------


@njit(cache=True, nogil=True)
def _mutated(
    contig: Bytes, models: _Models, t: int, place: int,
    cut: int, resume: int, alt: Bytes, n: int,
) -> int:  # fmt: skip
    """Base of the mutated transcript; ``[cut, resume)`` became ``alt``; -1 past its end."""
    if place < cut:
        return _base(contig, models, t, place)
    if place < cut + n:
        return alt[place - cut]
    place += resume - cut - n
    return _base(contig, models, t, place) if place < models.length[t] else -1


@njit(cache=True, nogil=True)
def _residue(
    contig: Bytes, models: _Models, t: int, k: int,
    cut: int, resume: int, alt: Bytes, n: int,
    amino: Bytes, starts: NDArray[np.bool_],
) -> int:  # fmt: skip
    """Letter of residue ``k`` of the mutated protein; 0 past the transcript's end.

    With ``cut = resume`` past the CDS and ``n = 0`` it is the reference protein. A start
    codon reads M whatever it codes for elsewhere.
    """
    first = models.cds_low[t] + models.phase[t] + 3 * k
    index = 0
    for j in range(3):
        base = _mutated(contig, models, t, first + j, cut, resume, alt, n)
        if base < 0:
            return _ENDED
        index = 5 * index + base
    if k == 0 and models.phase[t] == 0 and starts[index]:
        return 77
    return np.int64(amino[index])


@njit(cache=True, nogil=True)
def _codon(contig: Bytes, models: _Models, t: int, place: int) -> int:
    """Number (0-124) of the reference codon at a transcript position."""
    index = 0
    for j in range(3):
        index = 5 * index + _base(contig, models, t, place + j)
    return index


@njit(cache=True, nogil=True)
def _reference(
    contig: Bytes, models: _Models, t: int, k: int,
    amino: Bytes, starts: NDArray[np.bool_],
) -> int:  # fmt: skip
    """Letter of residue ``k`` of the reference protein."""
    index = _codon(contig, models, t, models.cds_low[t] + models.phase[t] + 3 * k)
    if k == 0 and models.phase[t] == 0 and starts[index]:
        return 77
    return np.int64(amino[index])


@njit(cache=True, nogil=True)
def _find_stop(
    contig: Bytes, models: _Models, t: int, k: int,
    cut: int, resume: int, alt: Bytes, n: int,
    amino: Bytes, starts: NDArray[np.bool_],
) -> int:  # fmt: skip
    """First stop of the mutated protein at or after residue ``k``; -1 if none is known."""
    while True:
        letter = _residue(contig, models, t, k, cut, resume, alt, n, amino, starts)
        if letter == 42:
            return k
        if letter in (_ENDED, 88):
            return -1
        k += 1


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


# Where an allele lies, as _locate tells it.
_NOWHERE, _UNSURE, _GONE, _EXONIC = 0, 1, 2, 3


@njit(cache=True, nogil=True)
def _locate(models: _Models, t: int, a: int, b: int) -> tuple[int, int]:
    """Tell whether ``[a, b)`` lies in one exon (then which), or else what it means."""
    first, last = models.part_at[t], models.part_at[t + 1] - 1
    e = _part_at(models, t, a)
    if e >= first and b <= models.part_end[e] and (
        b > a or models.part_start[e] < a < models.part_end[e]
    ):
        return _EXONIC, e
    if b <= models.part_start[first] or a >= models.part_end[last]:
        return _NOWHERE, -1
    if a <= models.cds_start[t] and b >= models.cds_end[t]:
        return _GONE, -1
    # Between two exons, away from both splice sites?
    if b == a and e >= first and models.part_start[e] == a and e > first:
        e -= 1
    if first <= e < last and a >= models.part_end[e] and b <= models.part_start[e + 1]:
        left, right = a - models.part_end[e], models.part_start[e + 1] - b
        return (_NOWHERE if left >= 2 and right >= 2 else _UNSURE), -1
    # Across an outer end of the transcript, in its UTR only?
    touches = a < models.cds_end[t] and b > models.cds_start[t]
    in_first = a < models.part_start[first] and b <= models.part_end[first]
    in_last = a >= models.part_start[last] and b > models.part_end[last]
    return (_NOWHERE if (in_first or in_last) and not touches else _UNSURE), -1


@njit(cache=True, nogil=True)
def _describe(
    contig: Bytes,
    start: Ints,
    ref_bp: Ints,
    alt: Bytes,
    alt_at: Ints,
    transcript: Ints,
    models: _Models,
    amino: Bytes,
    starts: NDArray[np.bool_],
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
    """Write the four texts of every allele; ``edit`` is scratch for the longest ALT."""
    at_c, at_p, at_k, at_a = 0, 0, 0, 0
    for i in range(len(start)):
        t = transcript[i]
        forward = models.strand[t] > 0
        a, n = start[i], alt_at[i + 1] - alt_at[i]
        b = a + ref_bp[i]
        # Alleles come leftmost; on '+' the 3' end of the transcript is to the right.
        shift = 0
        if forward and b == a:
            while a + shift < len(contig):
                held = _CODE[
                    alt[alt_at[i] + shift] if shift < n else contig[a + shift - n]
                ]
                if held == _UNKNOWN or held != _CODE[contig[a + shift]]:
                    break
                shift += 1
        elif forward and n == 0:
            while b + shift < len(contig):
                held = _CODE[contig[a + shift]]
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
        at_c = _put_coding(out_c, at_c, contig, models, t, a, b, edit, n)
        if models.cds_low[t] >= 0:
            where, e = _locate(models, t, a, b)
            if where == _UNSURE:
                at_p = _put(out_p, at_p, _UNKNOWN_P)
            elif where == _GONE:
                at_p = _put(out_p, at_p, _NONE_P)
            elif where == _EXONIC:
                cut = models.before[e] + a - models.part_start[e]
                if not forward:
                    cut = models.length[t] - (cut + b - a)
                at_p, at_k, at_a = _put_change(
                    contig, models, t, cut, cut + b - a, edit, n, amino, starts,
                    out_p, out_k, out_a, at_p, at_k, at_a,
                )  # fmt: skip
        cut_c[i + 1], cut_p[i + 1], cut_k[i + 1], cut_a[i + 1] = at_c, at_p, at_k, at_a


@njit(cache=True, nogil=True)
def _put_change(
    contig: Bytes, models: _Models, t: int, cut: int, resume: int, alt: Bytes, n: int,
    amino: Bytes, starts: NDArray[np.bool_],
    out: Bytes, out_k: Bytes, out_a: Bytes, at: int, at_k: int, at_a: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Write ``hgvs_p``, codons and residues of a change inside one exon.

    ``[cut, resume)`` of the transcript becomes ``alt``.
    """
    low, high = models.cds_low[t], models.cds_high[t]
    origin = low + models.phase[t]
    n_codons = (high - origin) // 3
    if resume <= low or cut >= high or (cut == resume and cut == low):
        return at, at_k, at_a
    k0 = (cut - origin) // 3
    if n_codons == 0 or k0 >= n_codons or (cut < origin and models.phase[t] > 0):
        return _put(out, at, _UNKNOWN_P), at_k, at_a
    initial = models.phase[t] == 0 and starts[_codon(contig, models, t, origin)]
    if cut < origin:
        word = _START_P if initial else _UNKNOWN_P
        return _put(out, at, word), at_k, at_a

    k1 = (resume - origin + 2) // 3
    beyond = k1 > n_codons
    k1 = min(k1, n_codons)
    n_ref = k1 - k0
    change = n - (resume - cut)
    in_frame = change % 3 == 0 and not beyond
    n_new = n_ref + change // 3
    brief = n_ref <= MAX_CODONS and n <= 3 * MAX_CODONS and n_new <= MAX_CODONS

    # A window of residues that cannot be read says nothing.
    if in_frame:
        for j in range(n_ref):
            if _reference(contig, models, t, k0 + j, amino, starts) == 88:
                return _put(out, at, _UNKNOWN_P), at_k, at_a
        stop = -1
        for j in range(n_new):
            letter = _residue(
                contig, models, t, k0 + j, cut, resume, alt, n, amino, starts
            )
            if letter == 88:
                return _put(out, at, _UNKNOWN_P), at_k, at_a
            if letter == 42 and stop < 0:
                stop = j
        last_is_stop = n_ref > 0 and (
            _reference(contig, models, t, k1 - 1, amino, starts) == 42
        )
        premature = stop >= 0 and not (stop == n_new - 1 and last_is_stop)
        if premature:
            n_new = stop + 1
    else:
        stop, last_is_stop, premature = -1, False, False

    if brief and not beyond:
        at_k = _put_codons(
            contig, models, t, origin, k0, k1, cut, resume, alt, n, out_k, at_k
        )
        if in_frame:
            at_a = _put_letters(
                contig, models, t, k0, n_ref, high, high, alt, 0, amino, starts, out_a, at_a
            )
            out_a[at_a] = 47  # /
            at_a = _put_letters(
                contig, models, t, k0, n_new, cut, resume, alt, n, amino, starts,
                out_a, at_a + 1,
            )  # fmt: skip

    if k0 == 0 and initial and (
        _residue(contig, models, t, 0, cut, resume, alt, n, amino, starts) != 77
    ):
        return _put(out, at, _START_P), at_k, at_a

    # First difference.
    p = 0
    limit = min(n_ref, n_new) if in_frame else n_codons - k0
    before, after = 0, 0
    while p < limit:
        before = _reference(contig, models, t, k0 + p, amino, starts)
        after = _residue(
            contig, models, t, k0 + p, cut, resume, alt, n, amino, starts
        )
        if before != after or (not in_frame and before == 42):
            break
        p += 1
    k = k0 + p
    if in_frame:
        q = 0
        if not premature:
            while q < min(n_ref, n_new) - p and _reference(contig, models, t, k1 - 1 - q, amino, starts) == _residue(
                contig, models, t, k0 + n_new - 1 - q, cut, resume, alt, n, amino, starts
            ):
                q += 1
        gone, come = n_ref - p - q, n_new - p - q
        if come <= 0 and gone <= 0:
            return (
                _put_same(contig, models, t, k0, k1, amino, starts, out, at), at_k, at_a
            )
        before = _reference(contig, models, t, k, amino, starts)
        loses_stop = last_is_stop and q == 0 and gone > 0 and not premature
        if not loses_stop:
            if premature and come == 1:
                if before == 42:
                    at = _put_same(contig, models, t, k, k + 1, amino, starts, out, at)
                    return at, at_k, at_a
                at = _put_swap(out, at, k, before, 42)
                return at, at_k, at_a
            at = _put_window(
                contig, models, t, k, gone, come, premature, n_codons,
                cut, resume, alt, n, amino, starts, out, at,
            )  # fmt: skip
            return at, at_k, at_a
        after = _residue(contig, models, t, k, cut, resume, alt, n, amino, starts)
    elif p == limit or after == _ENDED or before == 88 or after == 88:
        return _put(out, at, _UNKNOWN_P), at_k, at_a

    # From here on the reading goes on to another stop.
    if brief and not beyond and not in_frame:
        at_a = _put_number(out_a, at_a, k + 1)
        out_a[at_a] = before
        out_a[at_a + 1] = 47
        at_a = _put_number(out_a, at_a + 2, k + 1)
        out_a[at_a] = after
        at_a += 1
        if before not in (after, 42) and after != 42:
            out_a[at_a], out_a[at_a + 1] = 102, 115  # fs
            at_a += 2
    if after in (_ENDED, 88):
        return _put(out, at, _UNKNOWN_P), at_k, at_a
    if before == after:
        return _put_same(contig, models, t, k, k + 1, amino, starts, out, at), at_k, at_a
    if after == 42:
        return _put_swap(out, at, k, before, 42), at_k, at_a
    found = _find_stop(contig, models, t, k, cut, resume, alt, n, amino, starts)
    at = _put(out, at, _OPEN)
    at = _put_residue(out, at, before)
    at = _put_number(out, at, k + 1)
    at = _put_residue(out, at, after)
    if before == 42:
        at = _put_count(out, at, _EXT_TER, found - k if found >= 0 else -1)
    else:
        at = _put_count(out, at, _FS_TER, found - k + 1 if found >= 0 else -1)
    return at, at_k, at_a


@njit(cache=True, nogil=True)
def _put_swap(out: Bytes, at: int, k: int, before: int, after: int) -> int:
    """Write ``p.(Pro10Leu)``."""
    at = _put_residue(out, _put(out, at, _OPEN), before)
    at = _put_residue(out, _put_number(out, at, k + 1), after)
    out[at] = 41
    return at + 1


@njit(cache=True, nogil=True)
def _put_span(
    contig: Bytes, models: _Models, t: int, first: int, last: int,
    amino: Bytes, starts: NDArray[np.bool_], out: Bytes, at: int,
) -> int:  # fmt: skip
    """Write ``Lys2_Met3``, or ``Lys2`` for one residue."""
    for k in (first, last):
        letter = _reference(contig, models, t, k, amino, starts)
        at = _put_number(out, _put_residue(out, at, letter), k + 1)
        if first == last:
            break
        if k == first:
            out[at] = 95
            at += 1
    return at


@njit(cache=True, nogil=True)
def _put_same(
    contig: Bytes, models: _Models, t: int, k0: int, k1: int,
    amino: Bytes, starts: NDArray[np.bool_], out: Bytes, at: int,
) -> int:  # fmt: skip
    """Write ``p.(Pro10=)`` of residues ``[k0, k1)``."""
    at = _put_span(
        contig, models, t, k0, k1 - 1, amino, starts, out, _put(out, at, _OPEN)
    )
    out[at], out[at + 1] = 61, 41
    return at + 2


@njit(cache=True, nogil=True)
def _put_window(
    contig: Bytes, models: _Models, t: int, k: int, gone: int, come: int,
    premature: bool, n_codons: int,
    cut: int, resume: int, alt: Bytes, n: int,
    amino: Bytes, starts: NDArray[np.bool_], out: Bytes, at: int,
) -> int:  # fmt: skip
    """Write a change in frame: ``gone`` residues from ``k`` on become ``come`` others."""
    if gone == 1 and come == 1:
        before = _reference(contig, models, t, k, amino, starts)
        after = _residue(contig, models, t, k, cut, resume, alt, n, amino, starts)
        return _put_swap(out, at, k, before, after)
    at = _put(out, at, _OPEN)
    if come == 0:
        while k + gone < n_codons:
            before = _reference(contig, models, t, k, amino, starts)
            following = _reference(contig, models, t, k + gone, amino, starts)
            if before != following or following == 42:
                break
            k += 1
        at = _put_span(contig, models, t, k, k + gone - 1, amino, starts, out, at)
        at = _put(out, at, _DEL)
        out[at] = 41
        return at + 1
    if gone == 0:
        while not premature and k < n_codons:
            before = _reference(contig, models, t, k, amino, starts)
            if before == 42 or before != _residue(
                contig, models, t, k, cut, resume, alt, n, amino, starts
            ):
                break
            k += 1
        is_copy = k >= come
        for j in range(come):
            if not is_copy:
                break
            is_copy = _reference(contig, models, t, k - come + j, amino, starts) == _residue(contig, models, t, k + j, cut, resume, alt, n, amino, starts)
        if is_copy:
            at = _put_span(contig, models, t, k - come, k - 1, amino, starts, out, at)
            at = _put(out, at, _DUP)
            out[at] = 41
            return at + 1
        at = _put_span(contig, models, t, k - 1, k, amino, starts, out, at)
        at = _put(out, at, _INS)
    else:
        at = _put_span(contig, models, t, k, k + gone - 1, amino, starts, out, at)
        at = _put(out, at, _DELINS)
    if come > MAX_SPELLED_RESIDUES:
        at = _put(out, at, _XAA)
        at = _put_number(out, at, come)
        out[at] = 93
        at += 1
    else:
        for j in range(come):
            letter = _residue(
                contig, models, t, k + j, cut, resume, alt, n, amino, starts
            )
            at = _put_residue(out, at, letter)
    out[at] = 41
    return at + 1


@njit(cache=True, nogil=True)
def _put_codons(
    contig: Bytes, models: _Models, t: int, origin: int, k0: int, k1: int,
    cut: int, resume: int, alt: Bytes, n: int, out: Bytes, at: int,
) -> int:  # fmt: skip
    """Write ``ccG/ccA``."""
    first, last = origin + 3 * k0, origin + 3 * k1
    for side in range(2):
        begin = at
        for place in range(first, cut):
            out[at] = _LETTERS[_base(contig, models, t, place)] + 32
            at += 1
        if side == 0:
            for place in range(cut, resume):
                out[at] = _LETTERS[_base(contig, models, t, place)]
                at += 1
        else:
            for j in range(n):
                out[at] = _LETTERS[alt[j]]
                at += 1
        for place in range(resume, last):
            out[at] = _LETTERS[_base(contig, models, t, place)] + 32
            at += 1
        if at == begin:
            out[at] = 45  # -
            at += 1
        if side == 0:
            out[at] = 47  # /
            at += 1
    return at


@njit(cache=True, nogil=True)
def _put_letters(
    contig: Bytes, models: _Models, t: int, k: int, count: int,
    cut: int, resume: int, alt: Bytes, n: int,
    amino: Bytes, starts: NDArray[np.bool_], out: Bytes, at: int,
) -> int:  # fmt: skip
    """Write ``10PL``: the first residue's number and ``count`` letters, '-' for none."""
    at = _put_number(out, at, k + 1)
    if count <= 0:
        out[at] = 45
        return at + 1
    for j in range(count):
        out[at] = _residue(
            contig, models, t, k + j, cut, resume, alt, n, amino, starts
        )
        at += 1
    return at

