"""Texts about genes and documents."""

import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.texts import detect_texts, parse_texts


def parse(folder, text, **kwargs):
    path = folder / "texts"
    path.write_text(text)
    parsed = parse_texts(Request(path, "texts", **kwargs))
    table = parsed.tables["texts"]
    assert parsed.tally.kept == len(table)
    return parsed, table.drop(columns="_line").to_numpy().tolist()


def test_gene_descriptions(tmp_path):
    text = (
        "gene_id\tshort_description\tdescription\n"
        'g1\tkinase\tA kinase, 5" long.\ng2\tx\t\ng1\tkinase\tA kinase, 5" long.\n'
    )
    assert detect_texts(tmp_path, text.encode())
    parsed, rows = parse(tmp_path, text)
    assert rows == [["gene", "g1", "kinase", 'A kinase, 5" long.']]
    assert dict(parsed.tally.left_out) == {"no_text": 1, "duplicate_row": 1}


def test_abstracts_are_documents(tmp_path):
    table = 'pmid,title,abstract\n1,T,"First, second"\n'
    lines = '{"pmid": 1, "title": "T", "abstract": "First, second"}\n\n'
    for text in (table, lines):
        assert detect_texts(tmp_path, text.encode())
        _, rows = parse(tmp_path, text)
        assert rows == [["document", "1", "T", "First, second"]]
    _, rows = parse(tmp_path, table, options={"subject_kind": "phenotype"})
    assert rows[0][0] == "phenotype"


def test_what_cannot_be(tmp_path):
    with pytest.raises(MalformedFileError, match="line 2: no JSON"):
        parse(tmp_path, '{"id": "a", "text": "b"}\n{"id": \n')
    with pytest.raises(MalformedFileError, match="JSON list"):
        parse(tmp_path, '{"id": "a", "text": "b"}\n[1]\n')
    with pytest.raises(InputError, match="subject_kind=x"):
        parse(tmp_path, "id\ttext\na\tb\n", options={"subject_kind": "x"})
    with pytest.raises(MalformedFileError, match="no column for text"):
        parse(tmp_path, "gene_id\tcolour\na\tb\n")
