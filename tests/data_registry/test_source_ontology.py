"""OBO ontologies."""

import gzip

import pytest

from data_registry.errors import MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.ontology import detect_ontology, parse_ontology

OBO = """format-version: 1.2
default-namespace: test

[Term]
id: T:0000002
name: child
namespace: biological_process
def: "A \\"small\\" thing." [X:1]
is_a: T:0000001 ! root
relationship: negatively_regulates T:0000003 ! other

[Term]
id: T:0000001
name: root

[Term]
id: T:0000003
name: other
relationship: part_of T:0000009

[Term]
id: T:0000004
name: gone
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


def test_terms_relations_and_obsolete_terms(tmp_path):
    path = tmp_path / "x.obo"
    path.write_bytes(gzip.compress(OBO.replace("\n", "\r\n").encode()))
    assert detect_ontology(path, OBO.encode())
    parsed = parse_ontology(Request(path, "x"))
    assert (parsed.tally.read, dict(parsed.tally.left_out)) == (4, {"obsolete": 1})
    assert parsed.tally.examples[0].line == 22
    terms = parsed.tables["terms"].set_index("term_id")
    assert terms.index.tolist() == ["T:0000001", "T:0000002", "T:0000003"]
    assert terms.loc["T:0000002", "definition"] == 'A "small" thing.'
    assert terms["namespace"].tolist() == ["test", "biological_process", "test"]
    assert terms["_line"].tolist() == [13, 5, 17]
    relations = parsed.tables["term_relations"].fillna(0).to_numpy().tolist()
    assert relations == [
        ["T:0000002", "T:0000001", "is_a", 0],
        ["T:0000002", "T:0000003", "negatively_regulates", -1],
        ["T:0000003", "T:0000009", "part_of", 0],
    ]


@pytest.mark.parametrize(
    "text", ["format-version: 1.2\n", "hello\n", OBO + "\n[Term]\nname: no id\n"],
    ids=["no term", "no obo", "term without id"],
)  # fmt: skip
def test_what_is_no_ontology(tmp_path, text):
    path = tmp_path / "x.obo"
    path.write_text(text)
    with pytest.raises(MalformedFileError):
        parse_ontology(Request(path, "x"))


@pytest.mark.parametrize(
    ("cut", "is_kept"),
    [
        ("[Term]", False),
        ("[Term]\n", False),
        ("[Term]\nid", False),
        ("[Term]\nid: T:00", False),
        ("[Term]\nid: T:0000005\n", False),  # every other term has a name
        ("[Term]\nid: T:0000005\nname:", False),
        ('[Term]\nid: T:0000005\nname: a\ndef: "A pro', False),
        ("[Term]\nid: T:0000005\nname: a\nis_a: T:00000", False),
        ("[Term]\nid: T:0000005\nname: a\nis_a: T:0000001", True),
        ('[Term]\nid: T:0000005\nname: a\ndef: "A process." [X:1]', True),
        ("[Term]\nid: T:0000005\nname: a", True),  # no line end, as editors leave it
    ],
)
def test_a_last_term_that_is_cut_is_left_out(tmp_path, cut, is_kept):
    text = OBO.partition("[Typedef]")[0]
    path = tmp_path / "x.obo"
    path.write_text(text + cut)
    parsed = parse_ontology(Request(path, "x"))
    assert parsed.tally.read == 5
    assert parsed.tally.left_out["cut_short"] == (not is_kept)
    assert ("T:0000005" in set(parsed.tables["terms"]["term_id"])) == is_kept
    assert len(parsed.tables["terms"]) == 3 + is_kept
    if not is_kept:
        assert [e.line for e in parsed.tally.examples if e.reason == "cut_short"] == [
            text.count("\n") + 1
        ]


@pytest.mark.parametrize("header", ["", "\n\n", "format-version: 1.2\n\nremark: x\n"])
def test_a_header_without_a_name_is_no_matter_for_the_log(tmp_path, caplog, header):
    """obonet warns at the root logger of an ontology without a name."""
    path = tmp_path / "x.obo"
    path.write_text(header + "[Term]\nid: T:0000001\nname: root\n")
    assert parse_ontology(Request(path, "x")).tables["terms"]["name"].tolist() == [
        "root"
    ]
    assert not caplog.records
