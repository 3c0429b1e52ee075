"""The parts of the benchmarks that decide what a figure means, by hand."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.consequences import (
    INTRON,
    NON_CODING,
    Models,
    Parts,
    classify,
    count_stops,
    share,
)
from benchmarks.peer import NO_TERM, TERMS, PeerGff, rank, term_code, term_codes
from benchmarks.speed import fit_line

MISSENSE = TERMS.index("missense_variant")


def gff(*lines: str) -> PeerGff:
    return PeerGff([line.split(" ") for line in lines])


def test_cause_is_the_repair_after_which_both_agree_for_good() -> None:
    ours = np.array([1, 1, 1, 1, 1], dtype=np.int8)
    ladder = [
        #         same  1st  2nd  again  never
        np.array([1, 0, 0, 0, 0], dtype=np.int8),
        np.array([1, 1, 0, 1, 0], dtype=np.int8),
        np.array([1, 1, 1, 0, 2], dtype=np.int8),
        np.array([1, 1, 1, 1, 0], dtype=np.int8),
    ]
    # The fourth agreed by chance after the first repair; the third settles it.
    assert classify(ours, ladder).tolist() == [0, 1, 2, 3, 4]


def test_an_allele_the_peer_has_right_stays_so_whatever_repairs_do() -> None:
    ours = np.array([3], dtype=np.int8)
    ladder = [np.array([c], dtype=np.int8) for c in (3, 2, 3)]
    assert classify(ours, ladder).tolist() == [0]


def test_most_severe_term_of_all_entries() -> None:
    assert TERMS[term_code("intron,missense&splice_region")] == "missense_variant"
    assert TERMS[term_code("synonymous,*frameshift")] == "frameshift_variant"
    assert term_code("@1234") == NO_TERM
    assert term_code("") == NO_TERM
    assert rank("upstream_gene_variant") == rank("intergenic_variant") == NO_TERM
    with pytest.raises(ValueError, match="no rank for 'nonsense'"):
        term_code("nonsense")


def test_terms_are_read_from_info() -> None:
    info = pa.array([
        ".",
        "BCSQ=intron|EFB1||protein_coding,missense|X|Y|protein_coding|+|1A>1V|5A>G",
        "AC=1;BCSQ=synonymous|X|Y|protein_coding|+|3L|9A>G;AN=2",
    ])  # fmt: skip
    assert [TERMS[code] for code in term_codes(info)] == [
        "no term", "missense_variant", "synonymous_variant",
    ]  # fmt: skip


def test_phases_come_from_the_lengths_before() -> None:
    # EFB1: 80 bases of coding sequence stand before exon 2, two bases into a codon, so
    # one base is left to finish it: phase 1. The file says 2.
    given = gff(
        "chrI e CDS 142174 142253 . + 0 ID=CDS:a;Parent=transcript:YAL003W",
        "chrI e CDS 142620 143160 . + 2 ID=CDS:a;Parent=transcript:YAL003W",
        # On the other strand the right-hand part comes first: 10 bases, then phase 2.
        "chrVI e CDS 53260 54377 . - 1 ID=CDS:b;Parent=transcript:YFL039C",
        "chrVI e CDS 54687 54696 . - 0 ID=CDS:b;Parent=transcript:YFL039C",
    )
    assert [cells[7] for cells in given.with_phases().lines] == ["0", "1", "2", "0"]
    assert [cells[7] for cells in given.lines] == ["0", "2", "1", "0"]


def test_only_unknown_biotypes_are_replaced() -> None:
    given = gff(
        "chrI e transcript 1 9 . + . ID=transcript:a;Parent=gene:a;biotype=tRNA",
        "chrI e transcript 1 9 . + . ID=transcript:b;Parent=gene:b;biotype=snoRNA",
    )
    repaired = [cells[8].rpartition("=")[2] for cells in given.with_biotypes().lines]
    assert repaired == ["misc_RNA", "snoRNA"]
    assert given.unknown_biotypes() == {"tRNA": 1}


def test_internal_stops_by_phase() -> None:
    # ATG G|CT TAA: read on from phase 2 the second part is CT TAA -> (skip CT) TAA, the
    # end; from phase 1 it is (skip C) TTA A.., a part without an end and without a stop.
    assert count_stops(["ATGG", "CTTAA"], [0, 2], 1) == 0
    assert count_stops(["ATGG", "CTTAA"], [0, 1], 1) == 0
    # The same stop before the end counts.
    assert count_stops(["ATGG", "CTTAAGGC"], [0, 2], 1) == 1
    # TGA is a stop of the standard code and tryptophan of yeast's mitochondrion.
    assert count_stops(["ATGTGAAAATAA"], [0], 1) == 1
    assert count_stops(["ATGTGAAAATAA"], [0], 3) == 0


def test_position_alone_by_the_gff() -> None:
    # tRNA at 11-20 and 31-40 (1-based), a coding gene over 51-80 without exons drawn.
    models = Models.of(
        gff(
            "chrI e gene 11 40 . + . ID=gene:t;biotype=tRNA",
            "chrI e transcript 11 40 . + . ID=transcript:t;Parent=gene:t;biotype=tRNA",
            "chrI e exon 11 20 . + . Parent=transcript:t",
            "chrI e exon 31 40 . + . Parent=transcript:t",
            "chrI e gene 51 80 . + . ID=gene:c;biotype=protein_coding",
            "chrI e transcript 51 80 . + . ID=transcript:c;Parent=gene:c",
            "chrI e exon 51 80 . + . Parent=transcript:c",
            "chrI e CDS 51 59 . + 0 Parent=transcript:c",
        )
    )
    alleles = pd.DataFrame(
        [
            ("chrI", 20, "A", "C"),  # last base of the first exon
            ("chrI", 21, "A", "C"),  # first of the intron
            ("chrI", 20, "A", "AC"),  # between the two: in no exon
            ("chrI", 20, "AG", "A"),  # deletes base 21
            ("chrI", 60, "A", "C"),  # coding gene
            ("chrI", 10, "A", "AC"),  # right before the tRNA gene
            ("chrI", 45, "A", "C"),  # between genes
        ],
        columns=["chrom", "norm_pos", "norm_ref", "norm_alt"],
    )
    all_non_coding = np.full(len(alleles), NON_CODING, dtype=np.int8)
    assert models.with_introns(all_non_coding, alleles).tolist() == [
        NON_CODING, INTRON, INTRON, INTRON, INTRON, NON_CODING, NON_CODING,
    ]  # fmt: skip
    silent = np.full(len(alleles), NO_TERM, dtype=np.int8)
    assert models.with_silent(silent, alleles).tolist() == [
        NON_CODING, INTRON, INTRON, INTRON, INTRON, NO_TERM, NO_TERM,
    ]  # fmt: skip
    spoken = np.full(len(alleles), MISSENSE, dtype=np.int8)
    assert (models.with_silent(spoken, alleles) == MISSENSE).all()


def test_overlap_counts_nested_intervals() -> None:
    parts = Parts.of([["chrI", "e", "x", "1", "100"], ["chrI", "e", "x", "10", "20"]])
    alleles = pd.DataFrame(
        {"chrom": ["chrI", "chrI", "chrII"], "norm_pos": [50, 101, 50],
         "norm_ref": "A", "norm_alt": "C"}
    )  # fmt: skip
    assert parts.hit(alleles).tolist() == [True, False, False]


def test_a_share_is_not_rounded_up_to_all() -> None:
    assert share(9_999_999, 10_000_000) < 1
    assert share(5, 5) == 1
    assert share(0, 0) == 1


def test_line_gives_back_what_made_it() -> None:
    sizes = [1e4, 1e5, 1e6]
    found = fit_line(sizes, [2.0 + 20e-6 * n for n in sizes])
    assert found["startup_s"] == pytest.approx(2.0)
    assert found["us_per_record"] == pytest.approx(20.0)
    assert found["exponent"] == pytest.approx(1.0)
    assert found["r_squared"] == pytest.approx(1.0)
    # A quadratic cost does not pass for a linear one.
    bent = fit_line(sizes, [1e-11 * n * n for n in sizes])
    assert abs(bent["residual_share"][0]) > 1
