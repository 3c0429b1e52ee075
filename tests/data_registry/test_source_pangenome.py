"""GFA 1: graphs small enough to place by hand."""

import gzip
from pathlib import Path

import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Parsed, Request
from data_registry.sources import pangenome

# chrI of the reference reads AAAA CC GGG; the other sample has T for CC
GRAPH = """H\tVN:Z:1.1
S\ts1\tAAAA
S\ts2\tCC
S\ts3\tT
S\ts4\t*\tLN:i:3
L\ts1\t+\ts2\t+\t0M
L\ts1\t+\ts3\t+\t0M
L\ts2\t+\ts4\t+\t0M
L\ts3\t+\ts4\t+\t0M
P\tref#0#chrI\ts1+,s2+,s4+\t*
W\tother\t1\tchrI\t10\t18\t>s1>s3<s4
"""


def read(folder: Path, text: str, name: str = "g.gfa", **options: str) -> Parsed:
    path = folder / name
    path.write_bytes(text.encode())
    return pangenome.parse(Request(path, "g", options))


def places(parsed: Parsed) -> dict[str, tuple[str, int]]:
    table = parsed.tables["segments"].dropna(subset="contig")
    return {
        str(row["segment_id"]): (str(row["contig"]), int(row["start"]))
        for _, row in table.iterrows()
    }


def test_segments_links_and_steps(tmp_path):
    parsed = read(tmp_path, GRAPH)
    segments = parsed.tables["segments"]
    assert segments["segment_id"].tolist() == ["s1", "s2", "s3", "s4"]
    assert segments["length"].tolist() == [4, 2, 1, 3]
    assert segments["sequence"].tolist() == ["AAAA", "CC", "T", None]
    links = parsed.tables["segment_links"]
    ends = ["segment_a", "strand_a", "segment_b", "strand_b"]
    assert links.iloc[1][ends].tolist() == ["s1", "+", "s3", "+"]
    assert links["overlap"].unique().tolist() == ["0M"]
    steps = parsed.tables["segment_paths"]
    walk = steps[steps["path"] == "other#1#chrI:10-18"]
    assert walk["segment_id"].tolist() == ["s1", "s3", "s4"]
    assert walk["strand"].tolist() == ["+", "+", "-"]
    assert walk["rank"].tolist() == [0, 1, 2]
    assert parsed.tally.read == parsed.tally.kept == 10
    assert places(parsed) == {}
    assert any("no segment is placed" in note for note in parsed.notes)


@pytest.mark.parametrize("reference", ["ref", "ref#0#chrI"])
def test_places_along_the_chosen_path(tmp_path, reference):
    parsed = read(tmp_path, GRAPH, reference=reference)
    assert places(parsed) == {"s1": ("chrI", 0), "s2": ("chrI", 4), "s4": ("chrI", 6)}


def test_a_walk_starts_where_it_says(tmp_path):
    parsed = read(tmp_path, GRAPH, reference="other")
    assert places(parsed) == {
        "s1": ("chrI", 10),
        "s3": ("chrI", 14),
        "s4": ("chrI", 15),
    }


def test_the_header_may_name_the_reference(tmp_path):
    text = GRAPH.replace("VN:Z:1.1", "VN:Z:1.1\tRS:Z:ref")
    assert places(read(tmp_path, text))["s4"] == ("chrI", 6)


def test_rgfa_tags_place_rank_zero_only(tmp_path):
    text = (
        "S\ts1\tACGT\tSN:Z:chr1\tSO:i:100\tSR:i:0\n"
        "S\ts2\tAC\tSN:Z:alt1\tSO:i:7\tSR:i:1\n"
        "L\ts1\t+\ts2\t-\t0M\n"
    )
    assert places(read(tmp_path, text)) == {"s1": ("chr1", 100)}


def test_second_visit_keeps_the_first_place(tmp_path):
    text = "S\ta\tAC\nS\tb\tG\nP\tx\ta+,b+,a+\t*\n"
    parsed = read(tmp_path, text, reference="x")
    assert places(parsed) == {"a": ("x", 0), "b": ("x", 2)}
    assert any("1 further visits" in note for note in parsed.notes)


def test_what_is_left_out_is_counted(tmp_path):
    extra = (
        "C\ts1\t+\ts3\t+\t1\t1M\nJ\ts1\t+\ts4\t+\t100\n"
        "L\ts1\t+\tnone\t+\t0M\nP\tbroken\ts1+,none-\t*\nS\ts1\tGG\n"
        "W\tempty\t0\tc\t*\t*\t*\n"
    )
    parsed = read(tmp_path, GRAPH + extra)
    assert dict(parsed.tally.left_out) == {
        "containment_line": 1,
        "jump_line": 1,
        "repeated_segment": 1,
        "empty_path": 1,
        "unknown_segment": 2,
    }
    assert parsed.tally.read == 16
    assert parsed.tables["segments"]["sequence"].iloc[0] == "AAAA"


def test_dress_does_not_matter(tmp_path):
    plain = read(tmp_path, GRAPH, reference="ref")
    path = tmp_path / "mit ü und Leerzeichen.gfa.gz"
    path.write_bytes(gzip.compress(GRAPH.replace("\n", "\r\n").encode()))
    packed = pangenome.parse(Request(path, "g", {"reference": "ref"}))
    for name, table in plain.tables.items():
        assert table.equals(packed.tables[name])
    assert pangenome.detect(path, GRAPH.encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no segment"),
        ("H\tVN:Z:2.0\nS\ta\t4\tACGT\n", r"line 1: GFA of version 2\.0"),
        ("S\ta\t4\tACGT\n", "line 1: segment a has no sequence"),
        ("S\ta\tACGT\tLN:i:5\n", r"4 bases and states LN 5"),
        ("S\ta\n", "2 fields in a S line that needs 3"),
        ("S\ta\tAC\nX\tb\n", "line 2: a line that starts with 'X'"),
        ("S\ta\tAC\nL\ta\t+\ta\t?\t*\n", "line 2: a link with the strands"),
        ("S\ta\tAC\nP\tp\ta+,b\t*\n", "line 2: path p has the step 'b'"),
        ("S\ta\tAC\nW\ts\t0\tc\t0\t2\ta>a\n", "line 2: walk of s along c"),
        ("S\ta\tAC\n" + "L\ta\t+\tb\t+\t*\n" * 3, "3 of 4 lines cannot be used"),
    ],
)
def test_bad_graphs_are_refused(tmp_path, text, message):
    with pytest.raises(MalformedFileError, match=message):
        read(tmp_path, text)


def test_an_unknown_reference_is_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(
        InputError, match="no path or walk 'ref2'; there are ref, other"
    ):
        read(tmp_path, GRAPH, reference="ref2")
