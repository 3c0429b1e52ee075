"""Edge lists: direction, scores between 0 and 1, and each edge once."""

from pathlib import Path

import pandas as pd
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.interactions import detect_interactions, parse_interactions


def parse(folder: Path, text: str, name: str = "edges.txt", **kwargs):
    path = folder / name
    path.write_text(text)
    parsed = parse_interactions(Request(path, "edges", **kwargs))
    table = parsed.tables["interactions"]
    assert parsed.tally.kept == len(table)
    return parsed, table


def test_string_loses_its_taxon_and_says_each_pair_once(tmp_path):
    text = (
        "protein1 protein2 combined_score\n"
        "3702.AT1G01010.1 3702.AT1G01020.1 900\n"
        "3702.AT1G01020.1 3702.AT1G01010.1 900\n"
        "3702.AT1G01030.1 3702.AT1G01010.1 150\n"
    )
    assert detect_interactions(tmp_path, text.encode())
    parsed, table = parse(tmp_path, text)
    assert table[["gene_a", "gene_b", "score"]].to_numpy().tolist() == [
        ["AT1G01010.1", "AT1G01020.1", 0.9],
        ["AT1G01030.1", "AT1G01010.1", 0.15],
    ]
    assert dict(parsed.tally.left_out) == {"duplicate_edge": 1}
    assert set(table["kind"]) == {"functional"}
    _, strong = parse(tmp_path, text, options={"min_score": "0.5"})
    assert len(strong) == 1
    _, physical = parse(tmp_path, text, "3702.protein.physical.links.txt")
    assert set(physical["kind"]) == {"physical"}


BIOGRID = (
    "#BioGRID Interaction ID\tEntrez Gene Interactor A\tEntrez Gene Interactor B\t"
    "Systematic Name Interactor A\tSystematic Name Interactor B\t"
    "Official Symbol Interactor A\tOfficial Symbol Interactor B\t"
    "Experimental System\tExperimental System Type\t"
    "Organism ID Interactor A\tOrganism ID Interactor B\n"
    "1\t850\t851\tYAL001C\tYBR123C\tTFC3\tTFC1\tTwo-hybrid\tphysical\t559292\t559292\n"
    "2\t850\t852\tYAL001C\t-\tTFC3\tABC1\tSynthetic Lethality\tgenetic\t"
    "559292\t559292\n"
    "3\t850\t99\tYAL001C\t-\tTFC3\tTP53\tTwo-hybrid\tphysical\t559292\t9606\n"
)


def test_biogrid_takes_systematic_names_else_entrez(tmp_path):
    assert detect_interactions(tmp_path, BIOGRID.encode())
    parsed, table = parse(tmp_path, BIOGRID, options={"taxon": "559292"})
    assert table[["gene_a", "gene_b", "kind", "evidence"]].to_numpy().tolist() == [
        ["YAL001C", "YBR123C", "physical", "Two-hybrid"],
        ["YAL001C", "852", "genetic", "Synthetic Lethality"],
    ]
    assert dict(parsed.tally.left_out) == {"other_taxon": 1}
    _, symbols = parse(tmp_path, BIOGRID, options={"id": "symbol"})
    assert symbols["gene_b"].tolist() == ["TFC1", "ABC1", "TP53"]


def test_targets_of_factors_are_directed_and_keep_both_ways(tmp_path):
    text = (
        "tf\ttarget\ttype\teffect\n"
        "A\tB\tChIP\t+\nB\tA\tChIP\trepression\nA\tB\tChIP\t+\n"
    )
    parsed, table = parse(tmp_path, text)
    assert table["directed"].all()
    assert set(table["kind"]) == {"regulatory"}
    assert table[["gene_a", "gene_b"]].to_numpy().tolist() == [["A", "B"], ["B", "A"]]
    assert table["sign"].tolist() == [1.0, -1.0]
    assert dict(parsed.tally.left_out) == {"duplicate_edge": 1}


def test_sign_is_what_all_experiments_agree_on(tmp_path):
    # TARGET counts the experiments that saw the target rise and fall.
    text = (
        "TF\tTarget\tExperimentos_pos\tExperimentos_neg\n"
        "AT1G01010\tAT1G01020\t2/3\t0/3\n"
        "AT1G01010\tAT1G01030\t0/3\t1/3\n"
        "AT1G01010\tAT1G01040\t1/4\t1/4\n"
        "AT1G01010\tAT1G01050\t0/1\t0/1\n"
    )
    parsed, table = parse(tmp_path, text)
    assert table["sign"].fillna(0).tolist() == [1.0, -1.0, 0.0, 0.0]
    assert table["directed"].all()
    assert "1 activate, 1 repress, 1 disagree" in " ".join(parsed.notes)


def test_the_better_score_of_a_doubled_edge_stays(tmp_path):
    text = "gene1,gene2,weight\na,b,0.2\nb,a,0.7\na,c,0.1\n"
    _, table = parse(tmp_path, text)
    assert table[["gene_a", "score"]].to_numpy().tolist() == [["b", 0.7], ["a", 0.1]]


def test_scores_beyond_one_are_not_taken_for_probabilities(tmp_path):
    text = "gene1,gene2,score\na,b,3\nb,c,6\n"
    parsed, table = parse(tmp_path, text)
    assert table["score"].isna().all()
    assert any("spans 3 to 6" in note for note in parsed.notes)
    _, scaled = parse(tmp_path, text, options={"scale": "6"})
    assert scaled["score"].tolist() == [0.5, 1.0]


def test_columns_by_name_and_by_position(tmp_path):
    _, named = parse(
        tmp_path, "Entrez,Other\n1,2\n", columns={"gene_a": "Entrez", "gene_b": "Other"}
    )
    assert named[["gene_a", "gene_b"]].to_numpy().tolist() == [["1", "2"]]
    _, placed = parse(
        tmp_path, "9\tx\ty\t8\n", columns={"gene_a": "1", "gene_b": "2"},
        options={"header": "no"},
    )  # fmt: skip
    assert placed[["gene_a", "gene_b"]].to_numpy().tolist() == [["x", "y"]]
    _, bare = parse(tmp_path, "x\ty\nx\tz\n")
    assert bare["gene_b"].tolist() == ["y", "z"]


def test_table_of_positions_is_not_read_as_genes(tmp_path):
    # MH63.H3K4me3.txt: a headerless loop file once gave edges Chr01-2908
    with pytest.raises(MalformedFileError, match="not told which are gene_a, gene_b"):
        parse(tmp_path, "Chr01\t2908\t4018\tChr01\t32376\t33847\t4\tg1-g2\n")


@pytest.mark.parametrize(
    "options",
    [{"kind": "x"}, {"directed": "perhaps"}, {"scale": "x"}, {"taxon": "1"}],
    ids=str,
)
def test_options_that_cannot_be(tmp_path, options):
    with pytest.raises(InputError):
        parse(tmp_path, "gene1\tgene2\tscore\na\tb\t1\n", options=options)


@pytest.mark.realdata
def test_real_edges(shared_data):
    name = shared_data / "arabidopsis/derived/tf_target_edges.tsv.xz"
    parsed = parse_interactions(Request(name, "edges"))
    table = parsed.tables["interactions"]
    assert parsed.tally.read == 2_276_586 == parsed.tally.kept
    assert table["directed"].all()
    assert table["_line"].iloc[-1] == 2_276_587

    name = shared_data / "arabidopsis/derived/biogrid_ath_ppi.tsv.gz"
    parsed = parse_interactions(Request(name, "ppi"))
    raw = pd.read_csv(name, sep="\t", dtype=str)
    pairs = {frozenset(pair) for pair in raw.iloc[:, :2].itertuples(index=False)}
    assert parsed.tally.kept == len(pairs)
    assert parsed.tally.read == len(raw) == 39_901
