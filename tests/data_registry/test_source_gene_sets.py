"""Genes and their terms: GMT, GAF, GO slim, joined terms."""

import pandas as pd
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.gene_sets import detect_gene_sets, parse_gene_sets


def parse(folder, text, name="terms.tsv", **kwargs):
    path = folder / name
    path.write_text(text)
    parsed = parse_gene_sets(Request(path, "terms", **kwargs))
    table = parsed.tables["gene_terms"]
    assert parsed.tally.kept == table["_line"].nunique()
    return parsed, table[["gene_id", "term_id"]].to_numpy().tolist()


def test_gmt_names_sets_and_lists_each_gene_once(tmp_path):
    text = "GO:1\treproduction\tg2\tg1\tg2\nHALLMARK_X\thttp://x.org/y\tg3\nEMPTY\tnothing\n"
    parsed, rows = parse(tmp_path, text, "sets.gmt")
    assert rows == [["g1", "GO:1"], ["g2", "GO:1"], ["g3", "HALLMARK_X"]]
    terms = parsed.tables["terms"]
    assert terms[["term_id", "name", "definition"]].to_numpy().tolist() == [
        ["GO:1", "reproduction", ""],
        ["HALLMARK_X", "HALLMARK_X", "http://x.org/y"],
    ]
    assert dict(parsed.tally.left_out) == {"no_gene": 1}
    with pytest.raises(MalformedFileError, match="stand more than once"):
        parse(tmp_path, "A\tx\tg1\nA\ty\tg2\n", "sets.gmt")


def gaf(gene, symbol, qualifier, term, aspect, synonyms):
    fields = ["DB", gene, symbol, qualifier, term, "PMID:1", "IDA", "", aspect, "name"]
    return (
        "\t".join([*fields, synonyms, "protein", "taxon:1", "20200101", "DB", "", ""])
        + "\n"
    )


def test_gaf_leaves_out_negated_rows(tmp_path):
    text = "!gaf-version: 2.2\n!comment\twith tab\n" + "".join(
        [
            gaf("AT1G01010", "NAC001", "enables", "GO:0003700", "F", "ANAC001"),
            gaf("AT1G01010", "NAC001", "NOT|enables", "GO:0003677", "F", ""),
            gaf("AT1G01020", "ARV1", "located_in", "GO:0005739", "C", ""),
        ]
    )
    assert detect_gene_sets(tmp_path, text.encode())
    parsed, rows = parse(tmp_path, text, "tair.gaf")
    assert rows == [["AT1G01010", "GO:0003700"], ["AT1G01020", "GO:0005739"]]
    assert dict(parsed.tally.left_out) == {"negated": 1}
    assert parsed.tally.examples[0].line == 4
    spaces = parsed.tables["terms"].set_index("term_id")["namespace"]
    assert spaces["GO:0003700"] == "molecular_function"
    assert spaces["GO:0005739"] == "cellular_component"


def test_gaf_with_numbered_objects_takes_the_locus(tmp_path):
    text = "!gaf-version: 2.1\n" + gaf(
        "S000000001", "TFC3", "", "GO:0000001", "P", "YAL001C|TSV115"
    )
    parsed, rows = parse(tmp_path, text, "sgd.gaf")
    assert rows == [["YAL001C", "GO:0000001"]]
    assert "synonym" in " ".join(parsed.notes)
    _, symbols = parse(tmp_path, text, "sgd.gaf", options={"id": "symbol"})
    assert symbols == [["TFC3", "GO:0000001"]]


def test_terms_joined_by_comma(tmp_path):
    text = "g1\tGO:0000001,GO:0000002\ng2\tGO:0000002\ng2\tGO:0000002\n"
    assert detect_gene_sets(tmp_path, text.encode())
    parsed, rows = parse(tmp_path, text)
    assert rows == [["g1", "GO:0000001"], ["g1", "GO:0000002"], ["g2", "GO:0000002"]]
    assert dict(parsed.tally.left_out) == {"duplicate_row": 1}
    assert parsed.tables["terms"]["term_id"].tolist() == ["GO:0000001", "GO:0000002"]


def test_sgd_slim_of_seven_columns(tmp_path):
    text = (
        "YAL001C\tTFC3\tS0001\tP\ttranscription\tGO:0006351\tORF\n"
        "YAL002W\tVPS8\tS0002\tC\tcytosol\tGO:0005829\tORF\n"
    )
    parsed, rows = parse(tmp_path, text)
    assert rows == [["YAL001C", "GO:0006351"], ["YAL002W", "GO:0005829"]]
    terms = parsed.tables["terms"].set_index("term_id")
    assert terms.loc["GO:0006351", "name"] == "transcription"
    assert terms.loc["GO:0005829", "namespace"] == "cellular_component"


def test_named_columns(tmp_path):
    _, rows = parse(
        tmp_path, "x,set,locus\n1,S1,g1\n1,S2,g1\n", columns={"gene_id": "locus"}
    )
    assert rows == [["g1", "S1"], ["g1", "S2"]]
    with pytest.raises(InputError, match="format=xml"):
        parse(tmp_path, "a\tb\n", options={"format": "xml"})


@pytest.mark.realdata
def test_real_sets(shared_data):
    path = shared_data / "arabidopsis/network/gprofiler_slim_athaliana.ENSG.gmt.gz"
    parsed = parse_gene_sets(Request(path, "slim"))
    assert parsed.tally.kept == 186
    path = shared_data / "yeast/terms/sgd_go_slim_mapping_2018_2_7.tsv.gz"
    parsed = parse_gene_sets(Request(path, "slim"))
    raw = pd.read_csv(path, sep="\t", header=None, dtype=str)
    assert parsed.tally.read == len(raw)
    assert parsed.tally.left_out["no_term"] == int(raw[2].isna().sum()) == 537
    name = "TAIR10_ATH_GO_GOSLIM_030418_geneID_GOann_reshaped.txt.gz"
    path = shared_data / "arabidopsis/network" / name
    parsed = parse_gene_sets(Request(path, "go"))
    raw = pd.read_csv(path, sep="\t", header=None, dtype=str)
    pairs = {
        (gene, term) for gene, terms in raw.to_numpy() for term in terms.split(",")
    }
    table = parsed.tables["gene_terms"][["gene_id", "term_id"]]
    assert len(table) == len(pairs)
    assert set(map(tuple, table.to_numpy())) == pairs
