"""Trait values in long and wide tables, PLINK phenotypes, genes of traits."""

import numpy as np
import pandas as pd
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.phenotypes import (
    detect_gene_phenotypes,
    detect_phenotypes,
    parse_gene_phenotypes,
    parse_phenotypes,
)


def parse(folder, text, **kwargs):
    path = folder / "traits.tsv"
    path.write_text(text)
    parsed = parse_phenotypes(Request(path, "height", **kwargs))
    table = parsed.tables.get("phenotype_values", pd.DataFrame())
    if len(table):
        assert parsed.tally.kept == table["_line"].nunique()
    return parsed, table


def test_long_table(tmp_path):
    text = (
        "phenotype_id,phenotype_name,ecotype_id,value,replicate_id\n"
        "1,LD,5837,41.5,1\n1,LD,5837,42,2\n2,SD,6008,NA,1\n2,SD,6009,tall,1\n2,SD,6010,7,1\n"
    )
    assert detect_phenotypes(tmp_path, text.encode())
    parsed, table = parse(tmp_path, text)
    assert table[
        ["phenotype_id", "sample_id", "value", "replicate"]
    ].to_numpy().tolist() == [
        ["1", "5837", 41.5, "1"],
        ["1", "5837", 42.0, "2"],
        ["2", "6010", 7.0, "1"],
    ]
    assert dict(parsed.tally.left_out) == {"no_value": 1, "not_numeric": 1}
    assert parsed.tables["phenotypes"]["name"].tolist() == ["LD", "SD"]


def test_plink_codes_minus_nine_as_missing(tmp_path):
    text = "FID IID T1 T2\nf a 1.5 -9\nf b -9 -9\nf c 2 3\n"
    assert detect_phenotypes(tmp_path, text.encode())
    parsed, table = parse(tmp_path, text)
    assert table[["phenotype_id", "sample_id", "value"]].to_numpy().tolist() == [
        ["T1", "a", 1.5],
        ["T1", "c", 2.0],
        ["T2", "c", 3.0],
    ]
    assert dict(parsed.tally.left_out) == {"no_value": 1}


def test_wide_table_reads_numbers_and_says_what_it_skips(tmp_path):
    text = "line\tsite\tyield\tprotein\nL1\tA\t3.5\t11\nL2\tB\t-9\t\n"
    parsed, table = parse(tmp_path, text)
    assert table[["phenotype_id", "sample_id", "value"]].to_numpy().tolist() == [
        ["yield", "L1", 3.5],
        ["yield", "L2", -9.0],  # -9 is a code of PLINK's only
        ["protein", "L1", 11.0],
    ]
    assert any("not read: site" in note for note in parsed.notes)
    _, chosen = parse(tmp_path, text, options={"traits": "protein"})
    assert chosen["phenotype_id"].tolist() == ["protein"]
    with pytest.raises(InputError, match="no column 'x'"):
        parse(tmp_path, text, options={"traits": "x"})


def test_nameless_trait_takes_the_data_sets_name(tmp_path):
    parsed, table = parse(tmp_path, "id\tphenotype\n6945\t40.2\n8378\t41.8\n")
    assert set(table["phenotype_id"]) == {"height"}
    assert table["sample_id"].tolist() == ["6945", "8378"]
    assert parsed.tables["phenotypes"]["phenotype_id"].tolist() == ["height"]


def test_table_of_traits(tmp_path):
    parsed, _ = parse(tmp_path, "trait_id,name,unit\nT1,height,cm\nT2,weight,kg\n")
    assert parsed.tables["phenotypes"]["unit"].tolist() == ["cm", "kg"]
    assert "phenotype_values" not in parsed.tables


def test_table_without_numbers_is_refused(tmp_path):
    with pytest.raises(MalformedFileError, match="no column of numbers"):
        parse(tmp_path, "line\tcolour\nL1\tred\nL2\tblue\n")


def test_genes_of_traits(tmp_path):
    row = "g1\tFT\tmutant\t0.9\n"
    text = f"gene\ttrait\tsource\tscore\n{row}{row}\tFT\tx\t1\n"
    assert detect_gene_phenotypes(tmp_path, text.encode())
    path = tmp_path / "g.tsv"
    path.write_text(text)
    parsed = parse_gene_phenotypes(Request(path, "g"))
    assert parsed.tables["gene_phenotypes"].drop(
        columns="_line"
    ).to_numpy().tolist() == [["g1", "FT", "mutant", 0.9]]
    assert dict(parsed.tally.left_out) == {"no_gene_or_trait": 1, "duplicate_row": 1}


@pytest.mark.realdata
def test_real_phenotypes(shared_data):
    path = shared_data / "arabidopsis/gwas/199_phenotypes.csv.gz"
    parsed = parse_phenotypes(Request(path, "atwell"))
    assert parsed.tally.kept == 14_466
    assert len(parsed.tables["phenotypes"]) == 107
    path = shared_data / "benchmarks/selection/rice413_pheno.tsv"
    table = parse_phenotypes(Request(path, "rice")).tables["phenotype_values"]
    raw = pd.read_csv(path, sep="\t")
    height = table[table["phenotype_id"] == "Plant.height"]
    np.testing.assert_allclose(height["value"].sum(), raw["Plant.height"].sum())
    assert len(height) == raw["Plant.height"].notna().sum()
