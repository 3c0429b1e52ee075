"""Orthologs: pairs, groups, Ka and Ks."""

import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.orthologs import detect_orthologs, parse_orthologs


def parse(folder, text, **kwargs):
    path = folder / "orthologs.tsv"
    path.write_text(text)
    parsed = parse_orthologs(Request(path, "orthologs", **kwargs))
    table = parsed.tables["orthologs"]
    assert parsed.tally.kept == table["_line"].nunique()
    return parsed, table


def test_ka_ks_table_empties_negative_rates(tmp_path):
    text = (
        "gene\tath_protein\taly_protein\tclass\tka\tks\n"
        "g1\tp1\tq1\trbh\t0.1\t0.26\ng2\tp2\tq2\tsec\t0.09\t-2.7e-05\n"
    )
    assert detect_orthologs(tmp_path, text.encode())
    parsed, table = parse(tmp_path, text, options={"species": "A. lyrata"})
    assert table["other_gene"].tolist() == ["q1", "q2"]
    assert table["kind"].tolist() == ["rbh", "sec"]
    assert table["ks"].fillna(-9).tolist() == [0.26, -9]
    assert set(table["other_species"]) == {"A. lyrata"}
    assert any("1 negative values of ks" in note for note in parsed.notes)


def test_joined_genes_pair_each_with_each(tmp_path):
    text = "M1\tg1|g2\nM2\tg1\nM2\tg1\n"
    assert detect_orthologs(tmp_path, text.encode())
    parsed, table = parse(tmp_path, text, columns={"gene_id": "1", "other_gene": "0"})
    assert table[["gene_id", "other_gene"]].to_numpy().tolist() == [
        ["g1", "M1"],
        ["g2", "M1"],
        ["g1", "M2"],
    ]
    assert dict(parsed.tally.left_out) == {"duplicate_row": 1}


def test_groups_of_any_length(tmp_path):
    text = "AT1G01010|AT1G02210\tMTR_8\tOS02G1\nAT1G01020\tSolyc1\nAT1G01030\n"
    parsed, table = parse(
        tmp_path, text, options={"prefixes": "MTR_=Medicago,OS=rice,Solyc=tomato"}
    )
    assert table[["gene_id", "other_gene", "other_species"]].to_numpy().tolist() == [
        ["AT1G01010", "MTR_8", "Medicago"],
        ["AT1G01010", "OS02G1", "rice"],
        ["AT1G02210", "MTR_8", "Medicago"],
        ["AT1G02210", "OS02G1", "rice"],
        ["AT1G01020", "Solyc1", "tomato"],
    ]
    assert dict(parsed.tally.left_out) == {"no_ortholog": 1}


def test_what_cannot_be(tmp_path):
    with pytest.raises(InputError, match="PREFIX=SPECIES"):
        parse(tmp_path, "g\th\ti\ng\th\n", options={"prefixes": "MTR"})
    with pytest.raises(MalformedFileError, match="no column for other_gene"):
        parse(tmp_path, "gene\tka\tks\ng\t1\t1\n")


@pytest.mark.realdata
def test_real_groups_agree_with_the_pairs(shared_data):
    folder = shared_data / "arabidopsis/conservation"
    groups = parse_orthologs(Request(folder / "groups.txt.gz", "g")).tables["orthologs"]
    pairs = parse_orthologs(
        Request(
            folder / "orthologs_Mt.txt.gz", "m", {}, {"gene_id": "1", "other_gene": "0"}
        )
    ).tables["orthologs"]
    medicago = groups[groups["other_gene"].str.startswith("MTR_")]
    both = set(map(tuple, pairs[["gene_id", "other_gene"]].to_numpy()))
    assert len(both) == 39_131
    assert both == set(map(tuple, medicago[["gene_id", "other_gene"]].to_numpy()))
