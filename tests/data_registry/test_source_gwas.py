"""GWAS dialects: which allele an effect belongs to, and what p-values become."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_registry.errors import MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.gwas import SMALLEST_P, detect_gwas, parse_gwas


def parse(folder: Path, text: str, **kwargs):
    path = folder / "study.txt"
    path.write_text(text)
    assert detect_gwas(path, text.encode()) or kwargs
    parsed = parse_gwas(Request(path, "study", **kwargs))
    table = parsed.tables["associations"]
    assert parsed.tally.kept == len(table)
    return parsed, table


# One variant, chr 1 position 101 (1-based), other allele A, effect allele G,
# beta 0.5, se 0.1, p 1e-3, frequency of G 0.2, n 90, in each program's own words.
DIALECTS = {
    "plink1 assoc.linear": (
        " CHR  SNP  BP  A1  TEST  NMISS  BETA  SE  P\n"
        "   1  rs1  101  G  ADD  90  0.5  0.1  1e-3\n"
        "   1  rs1  101  G  COV1  90  0.5  0.1  1e-9\n"
    ),
    "plink1 assoc odds ratio": (
        " CHR SNP BP A1 F_A F_U A2 CHISQ P OR SE\n"
        f" 1 rs1 101 G 0.2 0.2 A 10 1e-3 {math.exp(0.5)} 0.1\n"
    ),
    "plink2 glm.linear": (
        "#CHROM\tPOS\tID\tREF\tALT\tA1\tA1_FREQ\tTEST\tOBS_CT\tBETA\tSE\tT_STAT\tP\n"
        "1\t101\trs1\tG\tA\tG\t0.2\tADD\t90\t0.5\t0.1\t5\t1e-3\n"
    ),
    "gemma": (
        "chr\trs\tps\tn_miss\tallele1\tallele0\taf\tbeta\tse\tl_remle\tp_wald\n"
        "1\trs1\t101\t3\tG\tA\t0.2\t0.5\t0.1\t1\t1e-3\n"
    ),
    "regenie": (
        "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ N TEST BETA SE CHISQ LOG10P EXTRA\n"
        "1 101 rs1 A G 0.2 90 ADD 0.5 0.1 10 3 NA\n"
    ),
    "saige": (
        "CHR\tPOS\tMarkerID\tAllele1\tAllele2\tAF_Allele2\tBETA\tSE\tp.value\tN\n"
        "1\t101\trs1\tA\tG\t0.2\t0.5\t0.1\t1e-3\t90\n"
    ),
    "gapit": (
        "SNP,Chr,Pos,P.value,MAF,nobs,Effect,H&B.P.Value\n"
        "rs1,1,101,1e-3,0.2,90,0.5,0.99\n"
    ),
    "gwas-ssf": (
        "chromosome\tbase_pair_location\teffect_allele\tother_allele\tbeta\t"
        "standard_error\teffect_allele_frequency\tp_value\tvariant_id\tn\n"
        "1\t101\tG\tA\t0.5\t0.1\t0.2\t1e-3\trs1\t90\n"
    ),
    "gwas-ssf log": (
        "chromosome\tbase_pair_location\teffect_allele\tother_allele\tbeta\t"
        "standard_error\teffect_allele_frequency\tneg_log_10_p_value\tn\n"
        "1\t101\tG\tA\t0.5\t0.1\t0.2\t3\t90\n"
    ),
    "gcta mlma": (
        "Chr\tSNP\tbp\tA1\tA2\tFreq\tb\tse\tp\n1\trs1\t101\tG\tA\t0.2\t0.5\t0.1\t1e-3\n"
    ),
    "bolt-lmm": (
        "SNP\tCHR\tBP\tGENPOS\tALLELE1\tALLELE0\tA1FREQ\tF_MISS\tBETA\tSE\tP_BOLT_LMM\n"
        "rs1\t1\t101\t0.7\tG\tA\t0.2\t0\t0.5\t0.1\t1e-3\n"
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_says_the_same(tmp_path, dialect):
    parsed, table = parse(tmp_path, DIALECTS[dialect])
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["contig"], row["start"], row["phenotype_id"]) == ("1", 100, "study")
    assert row["p_value"] == pytest.approx(1e-3)
    assert row["beta"] == pytest.approx(0.5)
    assert "gapit" in dialect or row["se"] == pytest.approx(0.1)
    if "gapit" not in dialect:
        assert row["alt"] == "G"
    if "gapit" not in dialect and "linear" not in dialect:
        assert row["ref"] == "A"
    if dialect == "plink2 glm.linear":
        assert row["ref"] == "A"  # A1 is REF here: the other allele is ALT
    if "odds" not in dialect and "plink1" not in dialect:
        assert row["af"] == pytest.approx(0.2)
    if "n" in table and pd.notna(row["n"]):
        assert row["n"] == 90
    if dialect == "plink1 assoc.linear":
        assert dict(parsed.tally.left_out) == {"other_test": 1}


def test_gemma_missing_count_is_no_sample_size(tmp_path):
    _, table = parse(tmp_path, DIALECTS["gemma"])
    assert pd.isna(table["n"].iloc[0])


def test_unusable_rows_are_counted_by_reason_and_line(tmp_path):
    rows = [("1", "10", "0.5")] * 8 + [
        ("1", "11", "1.2"), ("1", "12", "-0.1"), ("1", "13", "NA"), ("1", "14", "x"),
        ("1", "0", "0.1"), ("1", "1.5", "0.1"), ("NA", "15", "0.1"),
    ]  # fmt: skip
    text = "chr\tpos\tp\n" + "".join("\t".join(row) + "\n" for row in rows)
    parsed, table = parse(tmp_path, text)
    assert parsed.tally.read == 15
    assert dict(parsed.tally.left_out) == {
        "p_out_of_range": 2,
        "no_p_value": 2,
        "bad_position": 2,
        "no_contig": 1,
    }
    lines = {(e.reason, e.line) for e in parsed.tally.examples}
    assert ("p_out_of_range", 10) in lines
    assert ("no_contig", 16) in lines
    assert len(table) == 8


def test_zero_and_underflowing_p_become_the_smallest(tmp_path):
    parsed, table = parse(tmp_path, "chr\tpos\tp\n1\t1\t0\n1\t2\t1e-300\n1\t3\t1\n")
    assert table["p_value"].tolist() == [SMALLEST_P, 1e-300, 1.0]
    assert np.isfinite(-np.log10(table["p_value"])).all()
    _, logs = parse(tmp_path, "CHROM GENPOS ALLELE0 ALLELE1 LOG10P\n1 5 A G 400\n")
    assert logs["p_value"].tolist() == [SMALLEST_P]
    assert any("p-values of 0" in note for note in parsed.notes)


def test_file_with_mostly_bad_rows_is_refused(tmp_path):
    with pytest.raises(MalformedFileError, match=r"2 of 3 rows .*p_out_of_range 2"):
        parse(tmp_path, "chr\tpos\tp\n1\t1\t7\n1\t2\t8\n1\t3\t1\n")


def test_table_without_p_values_is_refused(tmp_path):
    with pytest.raises(MalformedFileError, match="no column of p-values"):
        parse(tmp_path, "chr\tpos\tbeta\n1\t1\t7\n", columns={"contig": "chr"})


def test_place_is_read_from_the_identifier(tmp_path):
    _, table = parse(
        tmp_path, "SNP\tP\n1:4648\t0.1\nPt_77\t0.2\n", options={"phenotype": "FT"}
    )
    assert list(zip(table["contig"], table["start"], strict=True)) == [
        ("1", 4647),
        ("Pt", 76),
    ]
    assert set(table["phenotype_id"]) == {"FT"}


def test_trait_column_names_the_phenotypes(tmp_path):
    parsed, table = parse(tmp_path, "chr\tpos\tp\ttrait\n1\t1\t0.1\tb\n1\t2\t0.1\ta\n")
    assert table["phenotype_id"].tolist() == ["b", "a"]
    assert parsed.tables["phenotypes"]["phenotype_id"].tolist() == ["a", "b"]


@pytest.mark.realdata
@pytest.mark.parametrize(
    "trait", ["FT10_Kansas", "FT10_NYC", "FT16_Kansas", "FT16_NYC"]
)
def test_gapit_files(shared_data, trait):
    name = f"arabidopsis/gwas/GAPIT.Association.GWAS_Results.FarmCPU.{trait}.csv.gz"
    parsed = parse_gwas(Request(shared_data / name, trait))
    table = parsed.tables["associations"]
    assert parsed.tally.read == parsed.tally.kept == len(table) == 41_577
    raw = pd.read_csv(shared_data / name)
    np.testing.assert_array_equal(table["start"] + 1, raw["Pos"])
    np.testing.assert_allclose(table["p_value"], raw["P.value"])
    effect = raw["effect"] if "effect" in raw else raw["Effect"]
    np.testing.assert_allclose(table["beta"], effect)
    np.testing.assert_allclose(table["n"], raw["nobs"])
