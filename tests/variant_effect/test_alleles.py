"""Every ALT ends in one status; small alleles in their normalised form."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_registry.coordinates import Region
from data_registry.genome import Genome
from tests.organisms import LENGTHS, base, other, snv, vcf_text
from tests.variant_effect.conftest import records_of
from variant_effect.alleles import (
    MAX_ALLELE_BP,
    STATUS_MEANINGS,
    STATUSES,
    STRUCTURAL,
    AlleleTable,
    mismatch_causes,
    read_alleles,
    read_records,
)

NAMES = {name: name for name in LENGTHS} | {"1": "chr1", "nowhere": None, "": None}


def read(genome: Genome, *records, regions=()) -> AlleleTable:
    lines = records_of(vcf_text(records))
    table = read_records(lines, Path("in.vcf"), 1)
    return read_alleles(table, genome, NAMES, regions=regions)


def statuses(alleles: AlleleTable) -> list[str]:
    return [STATUSES[code] for code in alleles.status]


R101 = base("chr1", 101)
LONG = "A" * (MAX_ALLELE_BP + 1)

# One record an entry, made by hand: (chrom, pos, ref, alt, info), and its alleles' statuses.
RECORDS = {
    "SNV": ((*snv("chr1", 101), "."), "scored"),
    "SNV on a synonym": ((*snv("1", 101), "."), "scored"),
    "lower case": (("chr1", 101, R101.lower(), other(R101).lower(), "."), "scored"),
    "in a soft-masked stretch": ((*snv("chr1", 10_101), "."), "scored"),
    "insertion": (("chr1", 101, R101, R101 + "GATTACA", "."), "scored"),
    "last base": ((*snv("chr1", 16_000), "."), "scored"),
    "first base": ((*snv("chr1", 1), "."), "scored"),
    "no ALT": (("chr1", 101, R101, ".", "."), "no_alternative_allele"),
    "empty ALT": (("chr1", 101, R101, "", "."), "no_alternative_allele"),
    "star": (("chr1", 101, R101, "*", "."), "spanning_deletion"),
    "<*>": (("chr1", 101, R101, "<*>", "END=200"), "non_ref_block"),
    "<NON_REF>": (("chr1", 101, R101, "<NON_REF>", "END=200"), "non_ref_block"),
    "<DEL> to END": (("chr1", 101, R101, "<DEL>", "END=200"), "scored"),
    "<DEL> of SVLEN": (("chr1", 101, R101, "<DEL>", "SVTYPE=DEL;SVLEN=-50"), "scored"),
    "<DEL> with REF N": (("chr1", 101, "N", "<DEL>", "END=200"), "scored"),
    "<DUP>": (("chr1", 101, R101, "<DUP:TANDEM>", "END=200"), "scored"),
    "<INV>": (("chr1", 101, R101, "<INV>", "END=200"), "scored"),
    "<CN0>": (("chr1", 101, R101, "<CN0>", "END=200"), "scored"),
    "breakend": (("chr1", 101, R101, f"{R101}[chr2:300[", "SVTYPE=BND"), "scored"),
    "single breakend": (("chr1", 101, R101, f"{R101}ACG.", "SVTYPE=BND"), "scored"),
    "<DEL> without END": (("chr1", 101, R101, "<DEL>", "."), "symbolic_without_end"),
    "<DEL> END is no number": (("chr1", 101, R101, "<DEL>", "END=x"), "symbolic_without_end"),
    "<DEL> END before POS": (("chr1", 101, R101, "<DEL>", "END=99"), "symbolic_without_end"),
    "<DEL> beyond the end": (("chr1", 101, R101, "<DEL>", "END=16001"), "off_contig"),
    "<DEL> END past 64 bits": (
        ("chr1", 101, R101, "<DEL>", f"END={10**25}"), "symbolic_without_end",
    ),
    "<DEL> of another base": (("chr1", 101, other(R101), "<DEL>", "END=200"), "ref_mismatch"),
    "<DEL> without REF": (("chr1", 101, ".", "<DEL>", "END=200"), "missing_reference"),
    "<DEL> with REF R": (("chr1", 101, "R", "<DEL>", "END=200"), "ambiguous_base"),
    "<DEL> REF over the end": (("chr1", 16_000, "ACG", "<DEL>", "END=16000"), "off_contig"),
    "<INS>": (("chr1", 101, R101, "<INS>", "END=101"), "unsupported_symbolic"),
    "<STR5>": (("chr1", 101, R101, "<STR5>", "."), "unsupported_symbolic"),
    "odd letters": (("chr1", 101, R101, "AXE", "."), "malformed_allele"),
    "odd REF": (("chr1", 101, "A-C", "A", "."), "malformed_allele"),
    "missing REF": (("chr1", 101, ".", "A", "."), "missing_reference"),
    "empty REF": (("chr1", 101, "", "A", "."), "missing_reference"),
    "ALT N": (("chr1", 101, R101, "N", "."), "ambiguous_base"),
    "ALT IUPAC": (("chr1", 101, R101, "R", "."), "ambiguous_base"),
    "REF IUPAC": (("chr1", 101, "R", "A", "."), "ambiguous_base"),
    "genome N": (("chr1", 15_005, "A", "C", "."), "ambiguous_base"),
    "unknown contig": (("nowhere", 101, "A", "C", "."), "unknown_contig"),
    "unmapped contig": (("chr9", 101, "A", "C", "."), "unknown_contig"),
    "beyond the end": (("chr1", 16_002, "A", "C", "."), "off_contig"),
    "before the start": (("chr1", -7, "A", "C", "."), "off_contig"),
    "over the end": (("chr1", 15_999, "ACGT", "A", "."), "off_contig"),
    "another base": (("chr1", 101, other(R101), R101, "."), "ref_mismatch"),
    "same": (("chr1", 101, R101, R101, "."), "same_as_reference"),
    "same, other case": (("chr1", 101, R101, R101.lower(), "."), "same_as_reference"),
    "too long": (("chr1", 101, R101, R101 + LONG, "."), "too_long"),
    "telomere, left": (("chr1", 0, "A", "C", "."), "telomere_position"),
    "telomere, right": (("chr1", 16_001, "A", "C", "."), "telomere_position"),
    # Several ALTs of one record each get their own.
    "four ALTs": (
        ("chr1", 101, R101, f"{other(R101)},*,<DEL>,N", "."),
        "scored spanning_deletion symbolic_without_end ambiguous_base",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_status_of(name: str, genome: Genome) -> None:
    record, expected = RECORDS[name]
    assert statuses(read(genome, record)) == expected.split()


def test_every_status_is_reached_and_explained() -> None:
    assert {word for _, words in RECORDS.values() for word in words.split()} == set(
        STATUSES
    )
    assert set(STATUS_MEANINGS) == set(STATUSES)


def test_batch_mates_and_order_do_not_change_a_status(genome: Genome) -> None:
    rows = [record for record, _ in RECORDS.values()]
    expected = [status for _, words in RECORDS.values() for status in words.split()]
    assert statuses(read(genome, *rows)) == expected
    backwards = [
        status for _, words in list(RECORDS.values())[::-1] for status in words.split()
    ]
    assert statuses(read(genome, *rows[::-1])) == backwards


def test_alts_are_numbered_within_their_record(genome: Genome) -> None:
    alleles = read(
        genome, snv("chr1", 101), ("chr1", 102, base("chr1", 102), "*,.,<*>")
    )
    assert alleles.record.tolist() == [0, 1, 1, 1]
    assert alleles.alt_index.tolist() == [1, 1, 2, 3]


@pytest.mark.parametrize(
    ("record", "start", "ref", "alt", "vcf"),
    [
        # chr1:12002-12021 (1-based) reads (CA)10 behind a G at 12001.
        (("chr1", 12_019, "ACA", "A"), 12_001, "CA", "", (12_001, "GCA", "G")),
        (("chr1", 12_021, "A", "ACA"), 12_001, "", "CA", (12_001, "G", "GCA")),
        # Eight T behind the G of 12101; a T taken from the right end.
        (("chr1", 12_108, "TT", "T"), 12_101, "T", "", (12_101, "GT", "G")),
        # Bases that do not change are trimmed on both sides.
        (("chr1", 12_101, "GTT", "GAT"), 12_101, "T", "A", (12_102, "T", "A")),
        # A multi-base change stays whole.
        (("chr1", 12_101, "GT", "AC"), 12_100, "GT", "AC", (12_101, "GT", "AC")),
        (("chr1", 12_101, "gtt", "gttCC"), 12_103, "", "CC", (12_103, "T", "TCC")),
    ],
)
def test_normal_form_by_hand(genome: Genome, record, start, ref, alt, vcf) -> None:
    alleles = read(genome, record)
    assert statuses(alleles) == ["scored"]
    assert (alleles.start[0], alleles.min_ref[0], alleles.min_alt[0]) == (
        start,
        ref,
        alt,
    )
    assert (alleles.norm_start[0] + 1, alleles.norm_ref[0], alleles.norm_alt[0]) == vcf
    assert alleles.end[0] == start + len(ref)


@pytest.mark.parametrize(
    ("alt", "info", "end"),
    [
        ("<DEL>", "END=200", 200),
        ("<DEL>", "SVLEN=-50", 151),  # bases 102 to 151 are gone
        ("<DUP>,<DEL>", "SVLEN=10,-50", [111, 151]),  # each ALT its own length
        ("<DEL>", "SVLEN=50;END=120", 120),  # END is the specification's, before SVLEN
        (f"{R101}[chr2:300[", "SVTYPE=BND", 101),
    ],
)
def test_extent_of_symbolic_alleles(genome: Genome, alt, info, end) -> None:
    alleles = read(genome, ("chr1", 101, R101, alt, info))
    assert set(statuses(alleles)) == {"scored"}
    assert (alleles.lane == STRUCTURAL).all()
    assert alleles.start.tolist() == [100] * len(alleles)
    assert alleles.end.tolist() == np.atleast_1d(end).tolist()
    assert alleles.info == [info] * len(alleles)


def test_regions_keep_records_whose_ref_overlaps(genome: Genome) -> None:
    rows = [snv("chr1", p) for p in (100, 101, 200, 201)] + [
        snv("chr2", 150),
        snv("1", 150),
    ]
    deletion = (
        "chr1",
        98,
        "".join(base("chr1", p) for p in range(98, 102)),
        base("chr1", 98),
    )
    rows.append(deletion)

    def kept(*regions: Region) -> list[tuple[str, int]]:
        alleles = read(genome, *rows, regions=regions)
        # The index of the record in the chunk stays that of the file.
        where = alleles.source_record[alleles.record]
        return [(rows[i][0], rows[i][1]) for i in where]

    # 101-200, 1-based inclusive.
    assert kept(Region("chr1", 100, 200)) == [
        ("chr1", 101), ("chr1", 200), ("1", 150), ("chr1", 98),
    ]  # fmt: skip
    assert kept(Region("chr1", 0, 50)) == []
    assert kept(Region("chr2")) == [("chr2", 150)]
    assert kept(Region("chr1", 200, None)) == [("chr1", 201)]
    # Many regions, nested and out of order, keep each record once.
    nested = [Region("chr1", 300, 301), Region("chr1", 90, 250), Region("chr1", 95, 97)]
    assert len(kept(*nested)) == 6


def test_causes_of_mismatches(genome: Genome) -> None:
    places = range(3001, 3101)

    def causes(make) -> Counter[str]:
        rows = [make(p) for p in places]
        return mismatch_causes(read(genome, *[r for r in rows if r[2] != r[3]]), genome)

    pair = str.maketrans("ACGT", "TGCA")
    shifted = causes(lambda p: ("chr1", p - 1, base("chr1", p), other(base("chr1", p))))
    assert shifted["shifted_by_one"] == shifted["tested"] > 50
    strand = causes(
        lambda p: ("chr1", p, base("chr1", p).translate(pair), base("chr1", p))
    )
    assert strand["other_strand"] == strand["tested"] == 100
    swapped = causes(lambda p: ("chr1", p, other(base("chr1", p)), base("chr1", p)))
    assert swapped["swapped"] == swapped["tested"] == 100
    assert swapped["shifted_by_one"] < 60


LETTERS = st.text("ACGTNacgtR.*<>[]", max_size=4)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    records=st.lists(
        st.tuples(
            st.sampled_from(["chr1", "1", "chr2", "chrM", "nowhere", "chr9"]),
            st.one_of(st.integers(-3, 1_600), st.integers(14_990, 16_003)),
            st.one_of(LETTERS, st.sampled_from([".", "N", "A", "CG"])),
            st.lists(
                st.one_of(
                    LETTERS,
                    st.sampled_from(["<DEL>", "<DUP>", "<CN2>", "<INS>", "A[chr1:5[", "]1:5]T"]),
                ),
                min_size=1, max_size=3,
            ).map(",".join),
            st.sampled_from([".", "END=5", "END=15999", "SVLEN=3", "SVLEN=-3,x", "END=;SVLEN="]),
        ),
        max_size=8,
    )
)  # fmt: skip
def test_any_record_gets_one_status_an_alt(genome: Genome, records) -> None:
    for row in range(len(records)):
        chrom, pos, ref, alt, info = records[row]
        # Half of them read what the genome reads, to reach past the check of REF.
        name = NAMES.get(chrom)
        if row % 2 and name and 1 <= pos <= LENGTHS[name] - len(ref):
            ref = "".join(base(name, pos + k) for k in range(len(ref)))
            records[row] = (chrom, pos, ref, alt, info)
    if not records:
        return
    alleles = read(genome, *records)
    assert len(alleles) == sum(len(record[3].split(",")) for record in records)
    assert Counter(statuses(alleles)).total() == len(alleles)
    small = alleles.small
    lengths = np.array([LENGTHS[name] for name in alleles.contigs])[
        alleles.contig[small]
    ]
    assert (alleles.start[small] >= 0).all()
    assert (alleles.end[small] <= lengths).all()
    # The normalised REF is what the genome reads there.
    for i in np.flatnonzero(small).tolist():
        at, ref = int(alleles.norm_start[i]), alleles.norm_ref[i]
        assert (
            genome.fetch(alleles.contigs[alleles.contig[i]], at, at + len(ref)) == ref
        )
        assert ref != alleles.norm_alt[i]
