"""Other names of genes."""

import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.aliases import detect_aliases, parse_aliases


def parse(folder, text, **kwargs):
    path = folder / "names.tsv"
    path.write_text(text)
    parsed = parse_aliases(Request(path, "names", **kwargs))
    table = parsed.tables["gene_aliases"]
    assert parsed.tally.kept == table["_line"].nunique()
    return parsed, table[["gene_id", "alias", "kind"]].to_numpy().tolist()


def test_each_other_column_is_a_kind_of_name(tmp_path):
    text = (
        "locus_name\tsymbol\tfull_name\tstart\tEntrez\n"
        "g1\tABC|ABD\tabc protein\t5\t77\ng2\tg2\t-\t9\t\ng1\tABC\t\t5\t\n"
    )
    assert detect_aliases(tmp_path, text.encode())
    parsed, rows = parse(tmp_path, text)
    assert rows == [
        ["g1", "ABC", "symbol"],
        ["g1", "ABD", "symbol"],
        ["g1", "abc protein", "full_name"],
        ["g1", "77", "entrez"],
    ]
    assert dict(parsed.tally.left_out) == {"no_other_name": 1, "duplicate_row": 1}


def test_two_columns_without_header(tmp_path):
    text = "AT1G03410\t2A6\nAT4G11080\t3xHMG-box1\n\tAT1G01080\n"
    parsed, rows = parse(tmp_path, text)
    assert rows == [
        ["AT1G03410", "2A6", "symbol"],
        ["AT4G11080", "3xHMG-box1", "symbol"],
    ]
    assert dict(parsed.tally.left_out) == {"no_gene": 1}
    assert detect_aliases(tmp_path, b"AT1G03410\t2A6\nAT4G11080\t3xHMG-box1\n")
    assert not detect_aliases(
        tmp_path, b"AT1G03410\tGO:0000001\nAT4G11080\tGO:0000002\n"
    )
    assert not detect_aliases(tmp_path, b"AT1G01010\tcoding\nAT1G01020\tcoding\n")


def test_only_the_columns_asked_for(tmp_path):
    text = "Gene ID\tGene Name\tleaf\ng1\tabc\t3\ng2\t\t4\n"
    _, rows = parse(tmp_path, text, options={"only": "Gene Name"})
    assert rows == [["g1", "abc", "symbol"]]
    with pytest.raises(InputError, match="only=absent"):
        parse(tmp_path, text, options={"only": "absent"})


def test_symbols_stand_for_genes_where_told(tmp_path):
    # how Entrez numbers reach genes in biogrid_ath_ppi, which names no locus
    _, rows = parse(
        tmp_path,
        "Entrez.A\tSymbol.A\n828230\tRAD51\n",
        columns={"gene_id": "Symbol.A", "entrez": "Entrez.A"},
        options={"only": "entrez"},
    )
    assert rows == [["RAD51", "828230", "entrez"]]


def test_short_rows_refuse_the_file_unless_allowed(tmp_path):
    text = 'locus\tsymbol\tfull_name\ng1\tA\tb\ng2\tB"\n"c\n'
    with pytest.raises(MalformedFileError, match="line 3"):
        parse(tmp_path, text)
    parsed, rows = parse(tmp_path, text, options={"wrong_width": "leave_out"})
    assert rows == [["g1", "A", "symbol"], ["g1", "b", "full_name"]]
    assert parsed.tally.read == 3
    assert dict(parsed.tally.left_out) == {"wrong_width": 2}


@pytest.mark.realdata
def test_real_names(shared_data):
    path = shared_data / "arabidopsis/derived/gene_aliases_fullnames.tsv.gz"
    parsed = parse_aliases(Request(path, "n", {"wrong_width": "leave_out"}))
    assert parsed.tally.read == 22_827
    assert parsed.tally.left_out["wrong_width"] == 7
    table = parsed.tables["gene_aliases"]
    assert "FLC" in set(table.loc[table["gene_id"] == "AT5G10140", "alias"])
