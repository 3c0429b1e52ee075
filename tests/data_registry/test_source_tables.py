"""Laws that hold for every kind of table."""

import gzip
import lzma

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.schema import TABLES
from data_registry.sources import (
    aliases,
    expression,
    gene_sets,
    gwas,
    interactions,
    ontology,
    orthologs,
    pathways,
    phenotypes,
    texts,
    variant_scores,
)

MODULES = (
    aliases, expression, gene_sets, gwas, interactions, ontology, orthologs, pathways,
    phenotypes, texts, variant_scores,
)  # fmt: skip
KINDS = {kind.name: kind for module in MODULES for kind in module.KINDS}
EXAMPLES = {
    "aliases": "locus_name\tsymbol\nAT1G01010\tNAC001\nAT1G01020\tARV1\n",
    "expression": "gene\ts1\ts2\nAT1G01010\t1.5\t2\nAT1G01020\t3\t4\n",
    "samples": "sample\ttissue\tdose\ns1\tleaf\t1\ns2\troot\t2\n",
    "gene_sets": "AT1G01010\tGO:0003700,GO:0005634\nAT1G01020\tGO:0005739\n",
    "gwas": "chr\tpos\tp\tbeta\n1\t10\t0.5\t1\n2\t20\t0.1\t-1\n",
    "interactions": "tf\ttarget\ttype\nAT1G01010\tAT1G01020\tDAP\nAT1G01020\tX\tDAP\n",
    "ontology": "format-version: 1.2\n\n[Term]\nid: T:0000001\nname: a\n",
    "orthologs": "gene\tortholog\tka\tks\ng1\to1\t0.1\t0.2\ng2\to2\t0.1\t0.3\n",
    "pathways": "gene\tpathway\nAT1G01010\tath00010\nAT1G01020\tath00020\n",
    "phenotypes": "line\theight\nL1\t1.5\nL2\t2.5\n",
    "gene_phenotypes": "gene\ttrait\tevidence\ng1\tFT\tmutant\ng2\tFT\tQTL\n",
    "texts": "gene_id\tdescription\ng1\tA kinase\ng2\tÄ thing\n",
    "variant_scores": "chr\tpos\tref\talt\tscore\n1\t5\tA\tC\t0.5\n1\t6\tA\tC\t0.1\n",
}


def parse(path, kind):
    return KINDS[kind].parse(Request(path, "name"))


def test_every_kind_has_an_example():
    assert set(EXAMPLES) == set(KINDS)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_tables_are_of_the_schema_and_counts_add_up(tmp_path, kind):
    path = tmp_path / "file.tsv"
    path.write_text(EXAMPLES[kind])
    assert KINDS[kind].detect(path, EXAMPLES[kind].encode())
    parsed = parse(path, kind)
    assert parsed.tally.read == parsed.tally.kept > 0
    for name, table in parsed.tables.items():
        assert name in KINDS[kind].tables
        assert set(table.columns) <= {*TABLES[name].names, "_line"}
        assert list(table.index) == list(range(len(table)))
        for column in TABLES[name].genes:
            assert table[column].notna().all()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_packing_and_line_ends_do_not_matter(tmp_path, kind):
    plain = tmp_path / "plain"
    plain.write_text(EXAMPLES[kind])
    other = tmp_path / "ü b.gz.csv"
    text = EXAMPLES[kind].replace("\n", "\r\n").encode()
    for data in (gzip.compress(b"\xef\xbb\xbf" + text), lzma.compress(text)):
        other.write_bytes(data)
        expected, found = parse(plain, kind).tables, parse(other, kind).tables
        assert set(expected) == set(found)
        for name, table in expected.items():
            pd.testing.assert_frame_equal(table, found[name])


@pytest.mark.parametrize("kind", EXAMPLES)
def test_row_order_does_not_change_what_is_kept(tmp_path, kind):
    if kind == "ontology":
        pytest.skip("an OBO file has no rows")
    rows = EXAMPLES[kind].splitlines()
    has_header = kind != "gene_sets"
    turned = rows[:1] + rows[:0:-1] if has_header else rows[::-1]
    tables = []
    for lines in (rows, turned):
        path = tmp_path / "rows"
        path.write_text("\n".join(lines) + "\n")
        tables.append(parse(path, kind).tables)
    for name, table in tables[0].items():
        first, second = (
            t[name].drop(columns="_line", errors="ignore").astype(str) for t in tables
        )
        order = list(table.columns.drop("_line", errors="ignore"))
        pd.testing.assert_frame_equal(
            first.sort_values(order, ignore_index=True),
            second.sort_values(order, ignore_index=True),
        )


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize(
    "data",
    [b"", b"\x00\x01\x02" * 50, gzip.compress(b"a\tb\n1\t2\n" * 99)[:-5], b"hello\n"],
    ids=["empty", "binary", "truncated", "a word"],
)
def test_junk_is_refused_by_name(tmp_path, kind, data):
    path = tmp_path / "junk file"
    path.write_bytes(data)
    with pytest.raises(MalformedFileError, match="junk file"):
        parse(path, kind)


JUNK = st.sampled_from(
    [
        "",
        "\t",
        "\n",
        "NA",
        "-1",
        "1e999",
        "nan",
        '"',
        ",",
        "#",
        "|",
        "é",
        " ",
        "0",
        "x" * 99,
    ]
)


@pytest.mark.parametrize("kind", EXAMPLES)
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    edits=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 6), JUNK), max_size=4)
)
def test_edited_files_are_read_and_counted_or_refused(tmp_path, kind, edits):
    text = EXAMPLES[kind]
    for at, length, junk in edits:
        i = at % (len(text) + 1)
        text = text[:i] + junk + text[i + length :]
    path = tmp_path / "edited"
    path.write_text(text)
    KINDS[kind].detect(path, text.encode())
    try:
        parsed = parse(path, kind)
    except InputError:
        return
    tally = parsed.tally
    assert tally.kept >= 0
    assert sum(len(t) > 0 for t in parsed.tables.values()) or tally.kept == 0
    lines = set()
    for table in parsed.tables.values():
        lines |= set(table.get("_line", []))
    if kind not in ("ontology", "samples"):
        assert len(lines) == tally.kept
    assert not lines & {e.line for e in tally.examples if e.line is not None}
