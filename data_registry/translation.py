"""Do transcripts read as proteins: start, stop, frame and phase of every CDS.

Genetic codes are NCBI's tables by number (``Taxonomy/Utils/wprintgc.cgi``): 1 standard,
2 vertebrate mitochondrion, 3 yeast mitochondrion, 11 bacteria and plastids. Coordinates
are 0-based half-open.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from Bio.Data import CodonTable as BiopythonTables

from data_registry.errors import InputError

Fetch = Callable[[str, int, int], str]
"""``(contig, start, end) -> bases``; fewer bases than asked beyond the contig's end."""

STANDARD_CODE = 1

FETCH_WINDOW_BP = 4_000_000
"""Bases fetched at once: fewer calls than one a CDS part, less memory than a contig."""

_BASES = "ACGT"
_COMPLEMENT = bytes.maketrans(
    b"ACGTRYSWKMBDHVNacgtryswkmbdhvn", b"TGCAYRSWMKVHDBNTGCAYRSWMKVHDBN"
)
_CODE_OF_BYTE = np.full(256, 4, dtype=np.uint8)
for _number, _base in enumerate(_BASES):
    _CODE_OF_BYTE[ord(_base)] = _CODE_OF_BYTE[ord(_base.lower())] = _number
_CODE_OF_BYTE[[ord("U"), ord("u")]] = 3


@dataclass(frozen=True, slots=True, eq=False)
class CodonTable:
    """One genetic code.

    Parameters
    ----------
    number
        NCBI's number of the table.
    name
        NCBI's name of it.
    amino_acids
        ``bytes`` of length 125: the amino acid of codon ``25 a + 5 b + c`` with
        A, C, G, T, other = 0 … 4; ``*`` is a stop, ``X`` an unreadable codon.
    starts
        Codons accepted as a start. Of table 1 only ATG: NCBI lists TTG and CTG too,
        but a nuclear gene model that starts there is nearly always a wrong one.
    stops
        Codons that end translation.
    """

    number: int
    name: str
    amino_acids: bytes
    starts: frozenset[str]
    stops: frozenset[str]


@lru_cache(maxsize=32)
def codon_table(number: int) -> CodonTable:
    """Return NCBI's genetic code of that number.

    Raises
    ------
    InputError
        There is no such table.
    """
    tables = BiopythonTables.unambiguous_dna_by_id
    if number not in tables:
        known = ", ".join(str(n) for n in sorted(tables))
        raise InputError(f"there is no genetic code {number}; NCBI has {known}")
    source = tables[number]
    amino_acids = bytearray(b"X" * 125)
    for i, a in enumerate(_BASES):
        for j, b in enumerate(_BASES):
            for k, c in enumerate(_BASES):
                letter = source.forward_table.get(a + b + c, "*")
                amino_acids[25 * i + 5 * j + k] = ord(letter)
    starts = {"ATG"} if number == STANDARD_CODE else set(source.start_codons)
    return CodonTable(
        number,
        str(source.names[0]),
        bytes(amino_acids),
        frozenset(starts),
        frozenset(source.stop_codons),
    )


def parse_codon_tables(text: str) -> dict[str, int]:
    """Read ``chrM=3,ChrC=11`` into contig to number of its genetic code.

    Raises
    ------
    InputError
        The text is not of that form or names no table of NCBI's.
    """
    tables = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        contig, _, number = item.rpartition("=")
        if not contig or not number.strip().isdigit():
            raise InputError(
                f"codon_tables: {item!r} is not CONTIG=NUMBER; "
                "write for example chrM=3,chrC=11"
            )
        tables[contig.strip()] = codon_table(int(number)).number
    return tables


def translate(sequence: str, table: int | CodonTable = STANDARD_CODE) -> str:
    """Translate whole codons from the first base on.

    Parameters
    ----------
    sequence
        Coding strand; upper or lower case, T or U.
    table
        Number of a genetic code, or the code.

    Returns
    -------
    str
        ``len(sequence) // 3`` letters: ``*`` for a stop, ``X`` for a codon that holds
        anything but A, C, G, T; one or two bases at the end are not translated.
    """
    code = table if isinstance(table, CodonTable) else codon_table(table)
    return _amino_acids(sequence.encode("ascii", "replace"), code).decode()


def _amino_acids(sequence: bytes, code: CodonTable) -> bytes:
    n = len(sequence) // 3
    bases = _CODE_OF_BYTE[np.frombuffer(sequence, dtype=np.uint8)[: 3 * n]]
    index = bases.reshape(n, 3) @ np.array([25, 5, 1], dtype=np.uint8)
    return np.frombuffer(code.amino_acids, dtype=np.uint8)[index].tobytes()


def reverse_complement(sequence: str) -> str:
    """Return the other strand, 5'→3', IUPAC letters included; upper case."""
    return sequence.encode("ascii").translate(_COMPLEMENT)[::-1].decode().upper()


def spliced_cds(
    contig: str, parts: Iterable[tuple[int, int]], strand: str, fetch: Fetch
) -> str:
    """Join CDS parts into the coding strand, 5'→3'.

    Parameters
    ----------
    contig
        Contig of the parts.
    parts
        ``(start, end)`` of each part, in any order.
    strand
        ``"+"`` or ``"-"``.
    fetch
        Reads the genome.

    Returns
    -------
    str
        Upper case. Parts that overlap (a -1 frameshift) are joined as they stand.
    """
    joined = "".join(fetch(contig, start, end) for start, end in sorted(parts))
    return reverse_complement(joined) if strand == "-" else joined.upper()


def reading_phases(
    transcripts: npt.NDArray[np.generic] | Sequence[object],
    lengths: npt.NDArray[np.int64],
    first_phases: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Work out the GFF3 phase of CDS parts from the lengths of the parts before.

    Parameters
    ----------
    transcripts
        Transcript of each part, shape (parts,); parts of one transcript stand together,
        5'→3'.
    lengths
        Length of each part in bp, shape (parts,).
    first_phases
        Phase of the first part of each part's transcript, shape (parts,).

    Returns
    -------
    numpy.ndarray
        Shape (parts,): bases to skip at the part's 5' end to reach the next codon.
    """
    if not len(lengths):
        return np.zeros(0, dtype=np.int64)
    before = np.cumsum(lengths) - lengths
    names = np.asarray(transcripts)
    is_first = np.ones(len(lengths), dtype=bool)
    is_first[1:] = names[1:] != names[:-1]
    at_first = before[is_first][np.cumsum(is_first) - 1]
    phases: npt.NDArray[np.int64] = (first_phases - (before - at_first)) % 3
    return phases


def order_parts(parts: pd.DataFrame) -> pd.DataFrame:
    """Sort parts by transcript and then 5'→3' (by end, downwards, on ``-``)."""
    is_reverse = parts["strand"].to_numpy() == "-"
    key = np.where(is_reverse, -parts["end"].to_numpy(), parts["start"].to_numpy())
    return parts.assign(_key=key).sort_values(
        ["transcript_id", "_key"], kind="stable", ignore_index=True
    )


PROBLEMS = {
    "strand_conflict": "parts lie on both strands (trans-splicing) or on none",
    "several_contigs": "parts lie on more than one contig",
    "beyond_contig": "a part ends beyond its contig",
    "untestable": "the CDS holds N or another letter that is not A, C, G or T",
    "phase_inconsistent": "a part's phase disagrees with the lengths before it",
    "partial_5prime": "the first part starts inside a codon (phase 1 or 2)",
    "length_not_multiple_of_3": "the codons do not come out even",
    "no_start_codon": "the first codon is no start of the contig's genetic code",
    "internal_stop": (
        "a stop codon before the last codon: a wrong model or genetic code, "
        "selenocysteine, or a programmed frameshift or readthrough"
    ),
    "no_stop_codon": "the last codon is no stop of the contig's genetic code",
}
"""Every word that ``cds_problem`` can hold, in its order, and what it means."""


def check_transcripts(
    transcripts: pd.DataFrame,
    features: pd.DataFrame,
    fetch: Fetch,
    *,
    codon_tables: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Translate the CDS of every transcript and say what is wrong with it.

    Parameters
    ----------
    transcripts
        Needs ``transcript_id``.
    features
        Needs ``transcript_id kind contig start end strand phase``; rows of kind ``cds``
        are read. Contigs are named as ``fetch`` knows them.
    fetch
        Reads the genome; beyond the contig's end it returns fewer bases than asked.
    codon_tables
        Contig to number of its genetic code; 1 where it is not named.

    Returns
    -------
    pandas.DataFrame
        ``transcript_id cds_length cds_valid cds_problem``, one row a transcript, in the
        order of ``transcripts``. ``cds_length`` is the sum of the parts in bp, stop
        codon included. ``cds_valid`` is True or False, and missing for a transcript
        without a CDS or with nothing worse than ``untestable``. ``cds_problem`` holds
        words of ``PROBLEMS`` joined by ``;``, ``""`` where there is nothing to say.
    """
    codes = {contig: codon_table(n) for contig, n in (codon_tables or {}).items()}
    standard = codon_table(STANDARD_CODE)
    is_cds = (features["kind"] == "cds").to_numpy()
    is_wanted = features["transcript_id"].isin(transcripts["transcript_id"]).to_numpy()
    parts = order_parts(features.loc[is_cds & is_wanted])

    names = parts["transcript_id"].to_numpy(dtype=object)
    contigs = parts["contig"].to_numpy(dtype=object)
    strands = parts["strand"].to_numpy(dtype=object)
    starts = parts["start"].to_numpy(dtype=np.int64)
    ends = parts["end"].to_numpy(dtype=np.int64)
    phases = (
        pd.to_numeric(parts["phase"], errors="coerce")
        .fillna(-1)
        .to_numpy(dtype=np.int64)
    )
    first_rows = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    if not len(names):
        first_rows = first_rows[:0]
    last_rows = np.append(first_rows[1:], len(names))
    sizes = last_rows - first_rows
    first_phases = np.repeat(np.maximum(phases[first_rows], 0), sizes)
    expected = reading_phases(names, ends - starts, first_phases)

    reader = _WindowReader(fetch)
    span_starts = np.minimum.reduceat(starts, first_rows) if len(names) else starts
    span_ends = np.maximum.reduceat(ends, first_rows) if len(names) else ends
    found: dict[object, tuple[int, list[str]]] = {}
    for i in np.lexsort((span_starts, contigs[first_rows].astype(str))):
        at = slice(int(first_rows[i]), int(last_rows[i]))
        length = int((ends[at] - starts[at]).sum())
        problems: list[str] = []
        found[names[at.start]] = (length, problems)
        strand, contig = strands[at.start], str(contigs[at.start])
        if strand not in ("+", "-") or (strands[at] != strand).any():
            problems.append("strand_conflict")
            continue
        if (contigs[at] != contig).any():
            problems.append("several_contigs")
            continue
        text = reader.read(contig, int(span_starts[i]), int(span_ends[i]))
        if len(text) < span_ends[i] - span_starts[i]:
            problems.append("beyond_contig")
            continue
        offsets = zip(
            starts[at] - span_starts[i], ends[at] - span_starts[i], strict=True
        )
        pieces = [text[a:b] for a, b in offsets]
        sequence = b"".join(pieces if strand == "+" else reversed(pieces))
        if strand == "-":
            sequence = sequence.translate(_COMPLEMENT)[::-1]
        given = phases[at]
        if ((given >= 0) & (given != expected[at])).any():
            problems.append("phase_inconsistent")
        problems += _read_through(
            sequence.upper(), int(expected[at.start]), codes.get(contig, standard)
        )

    rows = [found.get(name, (0, [])) for name in transcripts["transcript_id"]]
    return pd.DataFrame(
        {
            "transcript_id": transcripts["transcript_id"].to_numpy(dtype=object),
            "cds_length": np.array([length for length, _ in rows], dtype=np.int64),
            "cds_valid": pd.array(
                [_is_valid(length, problems) for length, problems in rows],
                dtype="boolean",
            ),
            "cds_problem": [
                ";".join(word for word in PROBLEMS if word in problems)
                for _, problems in rows
            ],
        }
    )


def _is_valid(length: int, problems: list[str]) -> bool | None:
    if length == 0 or problems == ["untestable"]:
        return None
    return not problems


def _read_through(sequence: bytes, phase: int, code: CodonTable) -> list[str]:
    """Problems of one coding strand; an unreadable codon is no problem but itself."""
    problems = []
    if (_CODE_OF_BYTE[np.frombuffer(sequence, dtype=np.uint8)] > 3).any():
        problems.append("untestable")
    if phase:
        problems.append("partial_5prime")
    frame = sequence[phase:]
    is_even = len(frame) % 3 == 0
    if not is_even:
        problems.append("length_not_multiple_of_3")
    protein = _amino_acids(frame, code)
    start = frame[:3].decode("ascii", "replace")
    if not phase and not protein.startswith(b"X") and start not in code.starts:
        problems.append("no_start_codon")
    before_end = protein[:-1] if is_even else protein
    if b"*" in before_end:
        problems.append("internal_stop")
    if is_even and protein[-1:] not in (b"*", b"X"):
        problems.append("no_stop_codon")
    return problems


class _WindowReader:
    """Reads ascending spans of contigs through few, large fetches."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._contig, self._start, self._end, self._text = "", 0, -1, b""

    def read(self, contig: str, start: int, end: int) -> bytes:
        if contig != self._contig or start < self._start or end > self._end:
            self._contig, self._start = contig, start
            self._end = max(end, start + FETCH_WINDOW_BP)
            text = self._fetch(contig, start, self._end)
            self._text = text.encode("ascii", "replace")
        return self._text[start - self._start : end - self._start]


def choose_canonical(transcripts: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Choose one transcript a gene.

    First those the file tags as canonical or representative (``is_canonical`` True on
    the way in), then a valid CDS before an untestable before an invalid one, then the
    longest CDS, then the longest span, then the first identifier.

    Parameters
    ----------
    transcripts
        Needs ``transcript_id gene_id start end cds_length cds_valid``; ``is_canonical``
        where the file tags any.

    Returns
    -------
    numpy.ndarray
        Shape (transcripts,), True for the chosen one of each gene.
    """
    is_tagged = (
        transcripts["is_canonical"].fillna(False).to_numpy(dtype=bool)  # noqa: FBT003
        if "is_canonical" in transcripts
        else np.zeros(len(transcripts), dtype=bool)
    )
    validity = transcripts["cds_valid"].astype("boolean")
    rank = np.where(validity.isna(), 1, np.where(validity.fillna(value=False), 0, 2))
    order = pd.DataFrame(
        {
            "gene_id": transcripts["gene_id"].to_numpy(dtype=object),
            "tagged": ~is_tagged,
            "rank": rank,
            "cds": -transcripts["cds_length"].to_numpy(dtype=np.int64),
            "span": (transcripts["start"] - transcripts["end"]).to_numpy(),
            "name": transcripts["transcript_id"].to_numpy(dtype=object),
        }
    ).sort_values(["gene_id", "tagged", "rank", "cds", "span", "name"])
    chosen = np.zeros(len(transcripts), dtype=bool)
    chosen[order.index[~order["gene_id"].duplicated()]] = True
    return chosen
