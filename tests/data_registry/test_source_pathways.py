"""Pathways: members, relations, names."""

import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.pathways import detect_pathways, parse_pathways


def parse(folder, text, **kwargs):
    path = folder / "pathways.tsv"
    path.write_text(text)
    return parse_pathways(Request(path, "pathways", **kwargs))


def test_kegg_links_either_way_round(tmp_path):
    for text in (
        "ath:AT1G01010\tpath:ath00010\nath:AT1G01020\tpath:ath00010\n",
        "path:ath00010\tath:AT1G01010\npath:ath00010\tath:AT1G01020\n",
    ):
        assert detect_pathways(tmp_path, text.encode())
        parsed = parse(tmp_path, text)
        table = parsed.tables["gene_terms"]
        assert table[["gene_id", "term_id"]].to_numpy().tolist() == [
            ["AT1G01010", "ath00010"],
            ["AT1G01020", "ath00010"],
        ]
        assert parsed.tables["terms"]["namespace"].tolist() == ["pathway"]


def test_members_with_role_and_rank(tmp_path):
    text = (
        "gene\tpathway\tname\trole\tstep\n"
        "g1\tP1\tGlycolysis\tkinase\t1\ng2\tP1\tGlycolysis\t\tx\ng1\tP1\tGlycolysis\tkinase\t1\n"
        "\tP2\tOther\t\t\n"
    )
    parsed = parse(tmp_path, text)
    table = parsed.tables["gene_terms"]
    assert table["role"].tolist() == ["kinase", ""]
    assert table["rank"].fillna(-1).tolist() == [1, -1]
    assert dict(parsed.tally.left_out) == {"duplicate_row": 1, "no_gene_or_pathway": 1}
    assert parsed.tables["terms"][["term_id", "name"]].to_numpy().tolist() == [
        ["P1", "Glycolysis"]
    ]


def test_relations_take_their_sign_from_the_column_or_the_word(tmp_path):
    text = (
        "pathway_a pathway_b relation sign rank\n"
        "P1 P2 crosstalk + 1\nP2 P3 inhibits NA 2\nP3 P1 crosstalk NA NA\nP1 P9 x ? 1\n"
    )
    assert detect_pathways(tmp_path, text.encode())
    parsed = parse(tmp_path, text)
    table = parsed.tables["term_relations"]
    assert table[["term_a", "term_b"]].to_numpy().tolist() == [
        ["P1", "P2"],
        ["P2", "P3"],
        ["P3", "P1"],
    ]
    assert table["sign"].fillna(0).tolist() == [1, -1, 0]
    assert table["rank"].fillna(0).tolist() == [1, 2, 0]
    assert dict(parsed.tally.left_out) == {"unreadable_sign": 1}
    bare = parse(tmp_path, "path:ath00010\tpath:ath00020\tactivates\n")
    assert bare.tables["term_relations"]["sign"].tolist() == [1]


def test_names_of_pathways(tmp_path):
    text = "path:ath00010\tGlycolysis / Gluconeogenesis\npath:ath00020\tCitrate cycle\n"
    parsed = parse(tmp_path, text)
    assert parsed.tables["terms"][["term_id", "name"]].to_numpy().tolist() == [
        ["ath00010", "Glycolysis / Gluconeogenesis"],
        ["ath00020", "Citrate cycle"],
    ]


def test_what_cannot_be(tmp_path):
    with pytest.raises(InputError, match="content=x"):
        parse(tmp_path, "a\tb\n", options={"content": "x"})
    with pytest.raises(MalformedFileError, match="no header and 7 columns"):
        parse(tmp_path, "u\tv\tw\tx\ty\tz\tzz\n")
