"""Codon tables, splicing and the translation check."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

from data_registry.errors import InputError
from data_registry.parsing import Request
from data_registry.sources.annotation import parse
from data_registry.translation import (
    check_transcripts,
    choose_canonical,
    codon_table,
    order_parts,
    parse_codon_tables,
    reading_phases,
    reverse_complement,
    spliced_cds,
    translate,
)

dna = st.text(alphabet="ACGT", max_size=60)


def _fetch(genome: dict[str, str]) -> Callable[[str, int, int], str]:
    return lambda contig, start, end: genome[contig][start:end]


def _models(
    *parts: tuple[str, int, int, str, int | None], contig: str = "c"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    features = pd.DataFrame(
        [
            {"transcript_id": t, "kind": "cds", "contig": contig, "start": a, "end": b,
             "strand": s, "phase": p}
            for t, a, b, s, p in parts
        ]
    )  # fmt: skip
    names = pd.DataFrame({"transcript_id": features["transcript_id"].unique()})
    return names, features


def _check(sequence: str, *parts: tuple[str, int, int, str, int | None], **tables: int):
    row = check_transcripts(
        *_models(*parts), _fetch({"c": sequence}), codon_tables=tables
    ).iloc[0]
    return row["cds_length"], row["cds_valid"], row["cds_problem"]


def test_codons_by_hand():
    assert translate("ATGTGGTAA") == "MW*"
    assert translate("ATGTGANNNAAu") == "M*XN"
    assert translate("ATGTGAATACTTAT", 3) == "MWMT"  # yeast mitochondrion
    assert translate("AGAAGGTGA", 2) == "**W"  # vertebrate mitochondrion
    assert translate("") == ""


@given(dna, st.sampled_from([1, 2, 3, 4, 5, 11, 12]))
def test_translation_is_biopythons(sequence: str, table: int):
    whole = sequence[: len(sequence) // 3 * 3]
    assert translate(sequence, table) == str(Seq(whole).translate(table=table))


@given(st.text(alphabet="ACGTRYSWKMBDHVN", max_size=40))
def test_reverse_complement_is_biopythons(sequence: str):
    assert reverse_complement(sequence) == str(Seq(sequence).reverse_complement())


def test_standard_code_starts_with_atg_only():
    assert codon_table(1).starts == {"ATG"}
    assert "ATA" in codon_table(3).starts
    assert codon_table(3).stops == {"TAA", "TAG"}
    with pytest.raises(InputError, match="no genetic code 7"):
        codon_table(7)


def test_codon_tables_option():
    assert parse_codon_tables("chrM=3, ChrC=11") == {"chrM": 3, "ChrC": 11}
    assert parse_codon_tables("") == {}
    for text in ("chrM", "chrM=x", "=3"):
        with pytest.raises(InputError, match="codon_tables"):
            parse_codon_tables(text)


def test_spliced_cds_on_both_strands():
    # ATG GC|A TAA over two parts: 0-5 and 8-12.
    forward = "ATGGCttgATAA"
    assert spliced_cds("c", [(8, 12), (0, 5)], "+", _fetch({"c": forward})) == (
        "ATGGCATAA"
    )
    backward = reverse_complement(forward)
    assert spliced_cds("c", [(0, 4), (7, 12)], "-", _fetch({"c": backward})) == (
        "ATGGCATAA"
    )


def test_phases_by_hand():
    # EFB1 of yeast: parts of 80 and 541 bp; 80 = 26 codons + 2, so one base completes
    # the codon and the phase of the second part is 1 (Ensembl 81 says 2).
    phases = reading_phases(
        np.array(["a", "a", "b", "b", "b"]),
        np.array([80, 541, 4, 1, 10]),
        np.array([0, 0, 2, 2, 2]),
    )
    assert phases.tolist() == [0, 1, 2, 1, 0]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 2))
def test_phases_are_those_of_a_base_by_base_count(lengths: list[int], first: int):
    expected, frame = [], -first % 3
    for length in lengths:
        expected.append(-frame % 3)
        for _ in range(length):
            frame = (frame + 1) % 3
    got = reading_phases(
        np.array(["t"] * len(lengths)), np.array(lengths), np.full(len(lengths), first)
    )
    assert got.tolist() == expected


PROBLEMS = [
    ("ATGGCATAA", [("t", 0, 9, "+", 0)], (9, True, "")),
    ("TTATGCCAT", [("t", 0, 9, "-", 0)], (9, True, "")),
    ("ATGGCttgATAA", [("t", 0, 5, "+", 0), ("t", 8, 12, "+", 1)], (9, True, "")),
    (
        "ATGGCttgATAA",
        [("t", 0, 5, "+", 0), ("t", 8, 12, "+", 2)],
        (9, False, "phase_inconsistent"),
    ),
    ("CTGGCATAA", [("t", 0, 9, "+", 0)], (9, False, "no_start_codon")),
    ("ATGGCATAC", [("t", 0, 9, "+", 0)], (9, False, "no_stop_codon")),
    ("ATGTGATAA", [("t", 0, 9, "+", 0)], (9, False, "internal_stop")),
    ("ATGGCATA", [("t", 0, 8, "+", 0)], (8, False, "length_not_multiple_of_3")),
    ("GGCATAA", [("t", 0, 7, "+", 1)], (7, False, "partial_5prime")),
    ("ATGGNATAA", [("t", 0, 9, "+", 0)], (9, None, "untestable")),
    ("ATGNNNTGATAA", [("t", 0, 12, "+", 0)], (12, False, "untestable;internal_stop")),
    ("ATGGCA", [("t", 0, 9, "+", 0)], (9, False, "beyond_contig")),
    (
        "ATGGCttgATAA",
        [("t", 0, 5, "+", 0), ("t", 8, 12, "-", 0)],
        (9, False, "strand_conflict"),
    ),
    ("ATGGCATAA", [("t", 0, 9, ".", None)], (9, False, "strand_conflict")),
]


@pytest.mark.parametrize(("sequence", "parts", "expected"), PROBLEMS)
def test_each_problem_has_its_name(sequence, parts, expected):
    length, valid, problem = _check(sequence, *parts)
    assert (length, None if pd.isna(valid) else bool(valid), problem) == expected


def test_genetic_code_of_the_contig_decides():
    part = ("t", 0, 9, "+", 0)
    assert _check("ATATGATAA", part)[1:] == (False, "no_start_codon;internal_stop")
    assert _check("ATATGATAA", part, c=3)[1:] == (True, "")


def test_noncoding_transcript_is_neither_valid_nor_invalid():
    _, features = _models(("t", 0, 9, "+", 0))
    got = check_transcripts(
        pd.DataFrame({"transcript_id": ["n", "t"]}),
        features,
        _fetch({"c": "ATGGCATAA"}),
    )
    assert got["transcript_id"].tolist() == ["n", "t"]
    assert got["cds_length"].tolist() == [0, 9]
    assert got["cds_valid"].isna().tolist() == [True, False]
    none = check_transcripts(got, features.iloc[:0], _fetch({}))
    assert none["cds_valid"].isna().all()


@settings(max_examples=50)
@given(st.data())
def test_check_agrees_with_a_plain_reading(data: st.DataObject):
    genome = data.draw(st.text(alphabet="ACGT", min_size=40, max_size=90))
    cuts = data.draw(
        st.lists(st.integers(0, len(genome)), min_size=2, max_size=6, unique=True)
    )
    cuts = sorted(cuts)[: len(cuts) // 2 * 2]
    strand = data.draw(st.sampled_from("+-"))
    spans = list(zip(cuts[::2], cuts[1::2], strict=True))
    names, features = _models(*[("t", a, b, strand, None) for a, b in spans])
    features = features.sample(frac=1, random_state=1)
    got = check_transcripts(names, features, _fetch({"c": genome})).iloc[0]

    joined = Seq("".join(genome[a:b] for a, b in spans))
    coding = str(joined.reverse_complement() if strand == "-" else joined)
    codons = [coding[i : i + 3] for i in range(0, len(coding) - len(coding) % 3, 3)]
    stops = {"TAA", "TAG", "TGA"}
    is_even = len(coding) % 3 == 0
    expected = [
        word
        for word, holds in [
            ("length_not_multiple_of_3", not is_even),
            ("no_start_codon", coding[:3] != "ATG"),
            ("internal_stop", bool(stops & set(codons[:-1] if is_even else codons))),
            ("no_stop_codon", is_even and codons[-1] not in stops),
        ]
        if holds
    ]
    assert got["cds_problem"] == ";".join(expected)
    assert bool(got["cds_valid"]) is not bool(expected)


def test_order_of_parts_is_five_to_three_prime():
    _, features = _models(
        ("b", 0, 3, "-", 0), ("b", 6, 9, "-", 0), ("a", 9, 12, "+", 0)
    )
    assert order_parts(features)["start"].tolist() == [9, 6, 0]


def test_canonical_choice():
    table = pd.DataFrame(
        [
            ("g1.2", "g1", 300, True, False),
            ("g1.1", "g1", 300, True, False),
            ("g1.3", "g1", 900, False, False),
            ("g2.1", "g2", 300, True, False),
            ("g2.2", "g2", 90, True, True),
            ("g3.1", "g3", 0, None, False),
            ("g4.1", "g4", 30, False, False),
            ("g4.2", "g4", 30, None, False),
        ],
        columns=["transcript_id", "gene_id", "cds_length", "cds_valid", "is_canonical"],
    ).assign(start=0, end=1000)
    table["cds_valid"] = table["cds_valid"].astype("boolean")
    chosen = set(table.loc[choose_canonical(table), "transcript_id"])
    assert chosen == {"g1.1", "g2.2", "g3.1", "g4.2"}
    untagged = table.drop(columns="is_canonical").sample(frac=1, random_state=3)
    chosen = set(untagged.loc[choose_canonical(untagged), "transcript_id"])
    assert chosen == {"g1.1", "g2.1", "g3.1", "g4.2"}


@pytest.mark.realdata
def test_all_yeast_genes_read_through_but_two(shared_data: Path):
    tables = parse(
        Request(
            shared_data
            / "yeast/annotation/Saccharomyces_cerevisiae.R64-1-1.81.gff3.gz",
            "yeast",
        )
    ).tables
    genome = _read_fasta(shared_data / "yeast/genome/sacCer3.fa.gz")
    genome = {("chrMito" if n == "chrM" else n)[3:]: s for n, s in genome.items()}
    got = check_transcripts(
        tables["transcripts"],
        tables["features"],
        _fetch(genome),
        codon_tables={"Mito": 3},
    )
    wrong = got.loc[~got["cds_valid"].fillna(value=True)]
    # S288C carries nonsense mutations in FLO8 (YER109C) and CRS5 (YOR031W).
    assert dict(zip(wrong["transcript_id"], wrong["cds_problem"], strict=True)) == {
        "YER109C": "internal_stop",
        "YOR031W": "internal_stop",
    }
    assert int(got["cds_valid"].fillna(value=False).sum()) == 6690


def _read_fasta(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt") as stream:
        records = stream.read().split(">")[1:]
    return {
        record.split(None, 1)[0]: record.split("\n", 1)[1].replace("\n", "")
        for record in records
    }
