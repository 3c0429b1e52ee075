"""One row an ALT allele: what was given, where it lies, and why it cannot be scored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from data_registry.coordinates import Region
from data_registry.errors import MalformedFileError
from data_registry.genome import Genome
from data_registry.normalisation import Strings, normalise

MAX_ALLELE_BP = 100_000
"""Longer alleles are not spelled out for the sequence scorers."""

STATUSES = (
    "scored",
    "no_alternative_allele",
    "spanning_deletion",
    "non_ref_block",
    "symbolic_without_end",
    "unsupported_symbolic",
    "malformed_allele",
    "missing_reference",
    "ambiguous_base",
    "unknown_contig",
    "off_contig",
    "ref_mismatch",
    "same_as_reference",
    "too_long",
    "telomere_position",
)
"""Every ALT ends in exactly one of these; all but the first are reasons."""

STATUS_MEANINGS: Mapping[str, str] = {
    "scored": "the allele carries a score and its evidence",
    "no_alternative_allele": "ALT is '.': the record states no alternative",
    "spanning_deletion": "ALT is '*': the base is deleted by another record, which is "
    "scored there",
    "non_ref_block": "ALT is <*> or <NON_REF>: a gVCF block, no particular allele",
    "symbolic_without_end": "a symbolic ALT without END or SVLEN: its extent is unknown",
    "unsupported_symbolic": "a symbolic ALT of a type without a defined extent "
    "(e.g. <INS> without sequence, <STR>)",
    "malformed_allele": "REF or ALT holds letters that are no allele in VCF",
    "missing_reference": "REF is empty or '.'",
    "ambiguous_base": "REF or ALT holds N or another IUPAC code",
    "unknown_contig": "the assembly has no such contig",
    "off_contig": "the position lies before or beyond its contig",
    "ref_mismatch": "the genome reads other bases than REF",
    "same_as_reference": "ALT equals REF",
    "too_long": f"REF or ALT is longer than {MAX_ALLELE_BP:,} bp",
    "telomere_position": "POS is 0 or one past the end: VCF's notation for a telomere",
}

_CODE = {name: code for code, name in enumerate(STATUSES)}
_SYMBOLIC_SPANS = ("DEL", "DUP", "INV", "CNV")
_BASES = "^[ACGTacgt]+$"
_IUPAC = "^[ACGTRYSWKMBDHVNUacgtryswkmbdhvnu]+$"
_BREAKEND = r"^.*[\[\]].*$"
_ACGT = np.frombuffer(b"ACGT", np.uint8)

SMALL, STRUCTURAL = 0, 1
_MAX_POS = (1 << 63) - 1


@dataclass(slots=True)
class AlleleTable:
    """The alleles of one chunk, in input order; all arrays have one entry an allele.

    Parameters
    ----------
    source_record
        int32, one entry a record kept: its index among the chunk's lines.
    record
        int32, index into ``source_record``.
    alt_index
        int16, 1-based number of the ALT in its record.
    chrom, ref, alt
        As given.
    pos
        int64, POS as given (1-based).
    contig
        int32, index into ``contigs``; -1 unknown.
    contigs
        The assembly's contig names.
    status
        uint8, index into ``STATUSES``.
    lane
        uint8, ``SMALL`` (alleles spelled out) or ``STRUCTURAL``.
    start
        int64, minimal normalised start, 0-based interbase; POS - 1 where not normalised.
    min_ref, min_alt
        Minimal normalised alleles (empty where not applicable).
    norm_start, norm_ref, norm_alt
        As ``bcftools norm`` writes them (``norm_start`` is POS - 1).
    end
        int64, 0-based exclusive end on the reference (of the span, for symbolic ones).
    info
        INFO as given, for the structural lane; empty elsewhere.
    """

    source_record: NDArray[np.int32]
    record: NDArray[np.int32]
    alt_index: NDArray[np.int16]
    chrom: pa.Array
    pos: NDArray[np.int64]
    ref: pa.Array
    alt: pa.Array
    contig: NDArray[np.int32]
    contigs: tuple[str, ...]
    status: NDArray[np.uint8]
    lane: NDArray[np.uint8]
    start: NDArray[np.int64]
    min_ref: Strings
    min_alt: Strings
    norm_start: NDArray[np.int64]
    norm_ref: Strings
    norm_alt: Strings
    end: NDArray[np.int64]
    info: list[str]

    def __len__(self) -> int:
        return len(self.record)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Alleles that carry a score."""
        found: NDArray[np.bool_] = self.status == 0
        return found

    @property
    def small(self) -> NDArray[np.bool_]:
        """Scored alleles spelled out in bases."""
        found: NDArray[np.bool_] = self.scored & (self.lane == SMALL)
        return found

    def by_contig(self, rows: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.int64]]]:
        """Return ``(contig, indices)`` of the chosen alleles, contig by contig."""
        index = np.flatnonzero(rows)
        codes = self.contig[index]
        return [
            (self.contigs[code], index[codes == code])
            for code in np.unique(codes).tolist()
        ]


def read_records(lines: bytes, path: Path, first_line: int) -> pa.Table:
    """Split records into CHROM, POS, REF, ALT and INFO columns of text.

    Raises
    ------
    MalformedFileError
        A record has fewer than eight columns, another number of columns than the one
        before, or a POS that is no number; the message names its line.
    """
    names = ["CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    n_columns = lines.split(b"\n", 1)[0].count(b"\t") + 1
    try:
        if n_columns < len(names):
            raise pa.ArrowInvalid("too few columns")
        table = pa_csv.read_csv(
            pa.BufferReader(lines),
            read_options=pa_csv.ReadOptions(
                column_names=names + [f"s{i}" for i in range(n_columns - len(names))],
                block_size=max(len(lines) + 1, 1 << 20),
                use_threads=False,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter="\t", quote_char=False, escape_char=False,
                newlines_in_values=False,
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=["CHROM", "POS", "REF", "ALT", "INFO"],
                column_types={
                    "CHROM": pa.string(), "POS": pa.int64(), "REF": pa.string(),
                    "ALT": pa.string(), "INFO": pa.binary(),
                },
                strings_can_be_null=False, null_values=[],
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as error:
        raise _fault(lines, path, first_line) from error
    return table.combine_chunks()


def _fault(lines: bytes, path: Path, first_line: int) -> MalformedFileError:
    """Find the first bad record and say what is wrong with it."""
    n_columns = None
    for number, line in enumerate(lines.split(b"\n"), start=first_line):
        if not line:
            continue
        cells = line.split(b"\t")
        if len(cells) < 8:
            return MalformedFileError(
                path,
                f"a record has {len(cells)} columns, VCF needs at least 8",
                line=number,
                remedy="Separate columns by tabs; the file may be cut short here",
            )
        if not cells[1].isdigit() or int(cells[1]) > _MAX_POS:
            return MalformedFileError(
                path,
                f"POS {cells[1].decode('utf-8', 'replace')!r} is no position",
                line=number,
                remedy="POS is a whole number, 1-based",
            )
        if not (cells[0] + cells[3] + cells[4]).isascii():
            return MalformedFileError(
                path,
                "CHROM, REF or ALT holds letters that are not ASCII",
                line=number,
                remedy="The file may be damaged, or no VCF",
            )
        if n_columns is not None and len(cells) != n_columns:
            return MalformedFileError(
                path,
                f"a record has {len(cells)} columns, the one before {n_columns}",
                line=number,
                remedy="Every record has one column a sample; the file may be damaged",
            )
        n_columns = len(cells)
    return MalformedFileError(
        path,
        "a record cannot be read",
        line=first_line,
        remedy="The file is damaged between this line and the next 50,000 or so",
    )


def read_alleles(
    table: pa.Table,
    genome: Genome,
    contig_map: Mapping[str, str | None],
    *,
    regions: Sequence[Region] = (),
) -> AlleleTable:
    """Turn records into alleles: split, place, check, normalise.

    Parameters
    ----------
    table
        Columns CHROM, POS, REF, ALT, INFO (``read_records``).
    genome
        The assembly.
    contig_map
        CHROM as given to the assembly's name.
    regions
        Keep records whose REF overlaps one of these only; empty keeps all.
    """
    source_record = np.arange(len(table), dtype=np.int32)
    if regions:
        keep = _inside(table, contig_map, regions)
        table = table.filter(keep)
        source_record = source_record[keep.to_numpy(zero_copy_only=False)]
    alts = pc.split_pattern(table["ALT"].combine_chunks(), ",")
    record = (
        pc.list_parent_indices(alts).to_numpy(zero_copy_only=False).astype(np.int32)
    )
    alt = pc.list_flatten(alts)
    chrom = _one(table["CHROM"].take(record))
    ref = _one(table["REF"].take(record))
    pos = table["POS"].to_numpy()[record]
    alt_index = _rank_in_run(record)

    contigs = tuple(genome)
    code_of = {name: code for code, name in enumerate(contigs)}
    encoded = chrom.dictionary_encode()
    code = np.array(
        [
            code_of.get(contig_map.get(name) or "", -1)
            for name in encoded.dictionary.to_pylist()
        ],
        dtype=np.int32,
    )
    contig = (
        code[encoded.indices.to_numpy(zero_copy_only=False)]
        if len(chrom)
        else (np.zeros(0, np.int32))
    )
    lengths = np.array([genome.lengths[name] for name in contigs], dtype=np.int64)
    length = (
        np.where(contig >= 0, lengths[np.maximum(contig, 0)], 0)
        if len(lengths)
        else (np.zeros(len(pos), np.int64))
    )
    start = pos - 1
    ref_bp = pc.binary_length(ref).to_numpy(zero_copy_only=False).astype(np.int64)
    end = start + ref_bp

    status, lane = _classify(ref, alt)
    sequence = lane == SMALL

    def mark(where: NDArray[np.bool_], name: str) -> None:
        status[where & (status == 0)] = _CODE[name]

    mark(contig < 0, "unknown_contig")
    mark(sequence & ((pos == 0) | (start == length)), "telomere_position")
    mark((start < 0) | (start >= length), "off_contig")
    mark(end > length, "off_contig")
    info = _structural_extent(
        table, record, alt_index, alt, status, lane, start, end, length
    )
    alt_bp = pc.binary_length(alt).to_numpy(zero_copy_only=False)
    mark(sequence & (np.maximum(ref_bp, alt_bp) > MAX_ALLELE_BP), "too_long")

    empty = Strings.of([""] * len(pos))
    alleles = AlleleTable(
        source_record, record, alt_index, chrom, pos, ref, alt, contig, contigs, status,
        lane, start.copy(), empty, empty, start.copy(), empty, empty, end, info,
    )  # fmt: skip
    _check_reference(alleles, genome)
    _normalise(alleles, genome)
    return alleles


def _one(array: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        return array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    return array


def _rank_in_run(record: NDArray[np.int32]) -> NDArray[np.int16]:
    """1-based rank of each entry among equal neighbours."""
    if not len(record):
        return np.zeros(0, np.int16)
    first = np.flatnonzero(np.r_[True, record[1:] != record[:-1]])
    lengths = np.diff(np.r_[first, len(record)])
    return (np.arange(len(record)) - np.repeat(first, lengths) + 1).astype(np.int16)


def _inside(
    table: pa.Table, contig_map: Mapping[str, str | None], regions: Sequence[Region]
) -> pa.Array:
    start = table["POS"].to_numpy() - 1
    width = pc.binary_length(table["REF"]).to_numpy()
    chrom = np.array(table["CHROM"].to_pylist(), dtype=object)
    end = start + np.maximum(width, 1)
    keep = np.zeros(len(start), dtype=bool)
    for name in np.unique(chrom):
        own = contig_map.get(name) or name
        spans = sorted(
            (region.start, np.iinfo(np.int64).max if region.end is None else region.end)
            for region in regions
            if region.contig == own
        )
        if spans:
            rows = np.flatnonzero(chrom == name)
            reach = np.maximum.accumulate([span[1] for span in spans])
            last = (
                np.searchsorted([span[0] for span in spans], end[rows], side="left") - 1
            )
            keep[rows] = (last >= 0) & (reach[np.maximum(last, 0)] > start[rows])
    return pa.array(keep)


def _matches(values: pa.Array, pattern: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.match_substring_regex(values, pattern).to_numpy(
        zero_copy_only=False
    )
    return found.astype(bool)


def _equals(values: pa.Array, text: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.equal(values, text).to_numpy(zero_copy_only=False)
    return found.astype(bool)


def _classify(
    ref: pa.Array, alt: pa.Array
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Status by the letters of REF and ALT alone, and the lane."""
    n = len(ref)
    status = np.zeros(n, dtype=np.uint8)
    lane = np.zeros(n, dtype=np.uint8)
    plain = _matches(ref, _BASES) & _matches(alt, _BASES)
    odd = np.flatnonzero(~plain)
    if not len(odd):
        same = pc.equal(pc.utf8_upper(ref), pc.utf8_upper(alt))
        status[same.to_numpy(zero_copy_only=False).astype(bool)] = _CODE[
            "same_as_reference"
        ]
        return status, lane
    sub_ref, sub_alt = ref.take(odd), alt.take(odd)
    part = np.zeros(len(odd), dtype=np.uint8)
    structural = np.zeros(len(odd), dtype=bool)

    def mark(where: NDArray[np.bool_], name: str) -> None:
        part[where & (part == 0) & ~structural] = _CODE[name]

    mark(_equals(sub_alt, ".") | _equals(sub_alt, ""), "no_alternative_allele")
    mark(_equals(sub_alt, "*"), "spanning_deletion")
    mark(_equals(sub_alt, "<*>") | _equals(sub_alt, "<NON_REF>") | _equals(sub_alt, "<X>"),
         "non_ref_block")  # fmt: skip
    symbolic = _matches(sub_alt, "^<.*>$")
    spanned = _matches(sub_alt, f"^<({'|'.join(_SYMBOLIC_SPANS)})(:.*)?>$") | _matches(
        sub_alt, "^<CN[0-9]+>$"
    )
    breakend = _matches(sub_alt, _BREAKEND) & ~symbolic
    single = _matches(sub_alt, r"^(\.[ACGTNacgtn]+|[ACGTNacgtn]+\.)$")
    structural |= (part == 0) & (spanned | breakend | single)
    mark(symbolic, "unsupported_symbolic")
    no_ref = _equals(sub_ref, ".") | _equals(sub_ref, "")
    bad_ref = ~no_ref & ~_matches(sub_ref, _IUPAC)
    part[structural & no_ref] = _CODE["missing_reference"]
    part[structural & bad_ref] = _CODE["malformed_allele"]
    mark(no_ref, "missing_reference")
    iupac = _matches(sub_ref, _IUPAC) & _matches(sub_alt, _IUPAC)
    mark(
        iupac & ~(_matches(sub_ref, _BASES) & _matches(sub_alt, _BASES)),
        "ambiguous_base",
    )
    mark(~iupac, "malformed_allele")
    status[odd] = part
    lane[odd[structural]] = STRUCTURAL
    same = pc.equal(pc.utf8_upper(ref), pc.utf8_upper(alt))
    equal = same.to_numpy(zero_copy_only=False).astype(bool)
    status[equal & (status == 0)] = _CODE["same_as_reference"]
    return status, lane


def _structural_extent(
    table: pa.Table,
    record: NDArray[np.int32],
    alt_index: NDArray[np.int16],
    alt: pa.Array,
    status: NDArray[np.uint8],
    lane: NDArray[np.uint8],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    length: NDArray[np.int64],
) -> list[str]:
    """Set the end of symbolic alleles from END or SVLEN; return INFO where it matters."""
    info = [""] * len(status)
    rows = np.flatnonzero((lane == STRUCTURAL) & (status == 0))
    column = table["INFO"]
    for i in rows.tolist():
        text = column[int(record[i])].as_py().decode("utf-8", "replace")
        info[i] = text
        if not alt[i].as_py().startswith("<"):
            end[i] = start[i] + 1
            continue
        fields = dict(cell.split("=", 1) for cell in text.split(";") if "=" in cell)
        try:
            if "END" in fields:
                end[i] = int(fields["END"])
            elif "SVLEN" in fields:
                # POS is the base before the event, so the span ends SVLEN after it.
                sizes = fields["SVLEN"].split(",")
                size = sizes[min(int(alt_index[i]), len(sizes)) - 1]
                end[i] = start[i] + 1 + abs(int(size))
            else:
                status[i] = _CODE["symbolic_without_end"]
                continue
        except (ValueError, OverflowError):
            status[i] = _CODE["symbolic_without_end"]
            continue
        if end[i] > length[i]:
            status[i] = _CODE["off_contig"]
        elif end[i] <= start[i]:
            status[i] = _CODE["symbolic_without_end"]
    return info


def _check_reference(alleles: AlleleTable, genome: Genome) -> None:
    """Mark alleles whose REF the genome does not read; N in the genome is ambiguous."""
    for name, index in alleles.by_contig(alleles.scored):
        contig = genome.contig(name)
        ref = Strings.from_arrow(alleles.ref.take(index))
        begin = alleles.pos[index] - 1
        widths = ref.lengths
        within = np.arange(len(ref.data)) - np.repeat(ref.offsets[:-1], widths)
        read = contig[np.repeat(begin, widths) + within] & 0xDF
        differs = read != (ref.data & 0xDF)
        unknown = ~np.isin(read, _ACGT) | ~np.isin(ref.data & 0xDF, _ACGT)
        owner = np.repeat(np.arange(len(index)), widths)
        n_differs = np.bincount(owner, weights=differs & ~unknown, minlength=len(index))
        n_unknown = np.bincount(owner, weights=unknown, minlength=len(index))
        # A structural record may write N for a base it does not care about.
        lazy = (alleles.lane[index] == STRUCTURAL) & _matches(
            alleles.ref.take(index), "^[Nn]+$"
        )
        alleles.status[index[(n_unknown > 0) & ~lazy]] = _CODE["ambiguous_base"]
        alleles.status[index[(n_differs > 0) & ~lazy]] = _CODE["ref_mismatch"]


def _normalise(alleles: AlleleTable, genome: Genome) -> None:
    n = len(alleles)
    rows: list[NDArray[np.int64]] = []
    spelled: list[tuple[Strings, Strings, Strings, Strings]] = []
    for name, index in alleles.by_contig(alleles.small):
        done = normalise(
            genome.contig(name),
            alleles.pos[index] - 1,
            Strings.from_arrow(alleles.ref.take(index)),
            Strings.from_arrow(alleles.alt.take(index)),
        )
        alleles.start[index] = done.minimal.start
        alleles.norm_start[index] = done.vcf.start
        alleles.end[index] = done.minimal.start + done.minimal.ref.lengths
        rows.append(index)
        spelled.append((done.minimal.ref, done.minimal.alt, done.vcf.ref, done.vcf.alt))
    if not rows:
        return
    order = np.concatenate(rows)
    place = np.full(n, len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    joined = [
        _append_empty([strings[i] for strings in spelled]).take(place) for i in range(4)
    ]
    alleles.min_ref, alleles.min_alt, alleles.norm_ref, alleles.norm_alt = joined


def _append_empty(parts: Sequence[Strings]) -> Strings:
    """Concatenate and add one empty string at the end, for rows without an allele."""
    data = np.concatenate([part.data for part in parts])
    lengths = np.concatenate([*[part.lengths for part in parts], np.zeros(1, np.int64)])
    return Strings(data, np.r_[np.int64(0), np.cumsum(lengths)])


def mismatch_causes(alleles: AlleleTable, genome: Genome) -> Counter[str]:
    """Try what would explain REF mismatches; count how many each explains.

    Keys: ``tested``; ``shifted_by_one`` (positions are 0-based), ``other_strand``,
    ``swapped`` (REF and ALT exchanged). Causes overlap: any two single bases agree by
    chance once in four.
    """
    rows = np.flatnonzero(alleles.status == _CODE["ref_mismatch"])[:2_000]
    hits = Counter(tested=len(rows))
    pairs = str.maketrans("ACGT", "TGCA")
    for i in rows.tolist():
        contig = genome.contig(alleles.contigs[alleles.contig[i]])
        ref, alt = alleles.ref[i].as_py().upper(), alleles.alt[i].as_py().upper()
        at = int(alleles.pos[i]) - 1

        def read(start: int, width: int, contig: NDArray[np.uint8] = contig) -> str:
            found: str = (
                contig[max(start, 0) : start + width].tobytes().decode().upper()
            )
            return found

        hits["shifted_by_one"] += read(at + 1, len(ref)) == ref
        hits["other_strand"] += read(at, len(ref)) == ref.translate(pairs)[::-1]
        hits["swapped"] += read(at, len(alt)) == alt
    return hits
