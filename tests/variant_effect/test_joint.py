"""Alleles on one haplotype, called together; the codons worked out by hand.

gD reads ATG AAA CGA TGG TCA CTG from chr2:301: R is 307-309, L is 316-318.
"""

import pandas as pd
import pytest

from tests.organisms import vcf_text
from tests.variant_effect.conftest import records_of, score_lines

JOINT = ["joint_consequence", "joint_amino_acids", "joint_alleles"]
# CGA R: C>T alone is TGA, a stop; G>C alone is CCA, P; both are TCA, S.
STOP, PROLINE = ("chr2", 307, "C", "T"), ("chr2", 308, "G", "C")
SERINE = ("missense_variant", "3R>3S", "307C>T+308G>C")


def joint(frame: pd.DataFrame) -> list[tuple[str | None, ...]]:
    return [tuple(row) for row in frame[JOINT].itertuples(index=False)]


NONE = (None, None, None)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("1|0", "1|0", True),
        ("1|0", "0|1", False),  # on the two haplotypes
        ("0/1", "0/1", False),  # unphased: nobody knows
        ("1/1", "1/1", True),  # homozygous: the phase does not matter
        ("1/1", "0|1", True),
        ("1", "1", True),  # haploid
        ("1", "0", False),
        ("1", ".", False),
        ("0|1|1|0", "0|0|1|1", True),  # tetraploid: the third haplotype has both
        ("0|1|1|0", "1|0|0|1", False),
        ("0/0/1/1", "0/0/1/1", False),
        ("1/1/1", "1/1/1", True),
    ],
)
def test_two_bases_of_one_codon(score, first: str, second: str, together) -> None:
    frame = score([(*STOP, ".", first), (*PROLINE, ".", second)], samples=["a"])
    assert frame["consequence"].tolist() == ["stop_gained", "missense_variant"]
    assert joint(frame) == ([SERINE] * 2 if together else [NONE] * 2)


def test_any_sample_that_carries_both_counts(score) -> None:
    rows = [(*STOP, ".", "0|0", "0|1", "0/1"), (*PROLINE, ".", "0/1", "0|1", "1/0")]
    assert joint(score(rows, samples=["a", "b", "c"])) == [SERINE] * 2


def test_two_silent_looking_changes_make_a_stop(score) -> None:
    # CTG L: C>T is TTG, L; T>A is CAG, Q; both are TAG.
    rows = [("chr2", 316, "C", "T", ".", "1"), ("chr2", 317, "T", "A", ".", "1")]
    frame = score(rows, samples=["a"])
    assert frame["consequence"].tolist() == ["synonymous_variant", "missense_variant"]
    assert joint(frame) == [("stop_gained", "6L>6*", "316C>T+317T>A")] * 2


def test_a_frameshift_and_the_insertion_that_mends_it(score) -> None:
    # AAA C|GA TGG T|CA: without the C and with a G behind 313 the frame is whole again:
    # AAA GAT GGT GCA, K D G A for K R W S.
    rows = [("chr2", 306, "AC", "A", ".", "0|1"), ("chr2", 313, "T", "TG", ".", "0|1")]
    frame = score(rows, samples=["a"])
    assert frame["consequence"].tolist() == ["frameshift_variant"] * 2
    for term, amino_acids, alleles in joint(frame):
        assert "frameshift" not in term
        assert amino_acids == "2KRWS>2KDGA"
        assert alleles == "306AC>A+313T>TG"


def test_second_alt_of_a_record(score) -> None:
    rows = [("chr2", 307, "C", "A,T", ".", "2"), (*PROLINE, ".", "1")]
    assert joint(score(rows, samples=["a"])) == [NONE, SERINE, SERINE]
    # Beside it an ALT that is no sequence.
    rows = [("chr2", 307, "C", "C[chr1:5[,T", ".", "2"), (*PROLINE, ".", "1")]
    assert joint(score(rows, samples=["a"]))[1:] == [SERINE, SERINE]


def test_the_reverse_strand(score) -> None:
    # gB, read downwards: CGA R at 6694-6692. G>A there is C>T, C>G is G>C.
    rows = [("chr1", 6693, "C", "G", ".", "1|1"), ("chr1", 6694, "G", "A", ".", "1|1")]
    assert (
        joint(score(rows, samples=["a"]))
        == [("missense_variant", "3R>3S", "6693C>G+6694G>A")] * 2
    )


def test_order_names_of_contigs_and_case_do_not_matter(score) -> None:
    rows = [("NC_2", 308, "G", "C", ".", "1"), ("2", 307, "c", "t", ".", "1")]
    frame = score(rows, samples=["a"])
    assert frame["joint_consequence"].tolist() == ["missense_variant"] * 2


@pytest.mark.parametrize(
    "odd", ["7", "1|9", "x", "", "-1", "1/", "./.", "1:2:3", "0|1|1|1"]
)
def test_a_genotype_that_is_none_takes_nothing_from_the_others(score, odd: str) -> None:
    # An allele number without an allele made csq end the process.
    rows = [(*STOP, ".", "1", odd), (*PROLINE, ".", "1", "0")]
    assert joint(score(rows, samples=["a", "b"])) == [SERINE] * 2


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_other_fields_beside_gt_and_records_without_it(engine, end: str) -> None:
    text = records_of(
        vcf_text(
            [
                (*STOP, ".", "1|1:5"),
                (*PROLINE, ".", "1|1:3"),
                ("chr2", 310, "T", "C", ".", "3"),
            ],
            samples=["a"],
        )
    ).decode()
    first, second, third, _ = text.split("\n")
    lines = [
        first.replace("GT", "GT:DP"),
        second.replace("GT", "GT:DP"),
        third.replace("GT", "DP"),
    ]
    frame = score_lines(engine, end.join([*lines, ""]).encode())
    assert joint(frame) == [SERINE, SERINE, NONE]


def test_without_genotypes_nothing_is_joined(score) -> None:
    assert joint(score([STOP, PROLINE])) == [NONE] * 2
