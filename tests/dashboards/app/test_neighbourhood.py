"""Neighbours, paths, features and haplotypes, by hand and against a slow oracle."""

from pathlib import Path

import networkx as nx
import pandas as pd
import pytest

pytest.importorskip("streamlit", reason="the extra 'dashboard' is not installed")

from dashboards.app import features, haplotypes, layers
from dashboards.app.features import exons
from dashboards.app.neighbourhood import Graph, edge_table
from dashboards.app.offer import Result
from dashboards.app.scores import open_scores
from dashboards.app.trails import trails, variant_identifier
from data_registry.coordinates import Region
from data_registry.errors import InputError
from graph_builder.schema import EDGE_TYPES
from tests.organisms import SEQUENCES, snv


@pytest.fixture(scope="module")
def graph(tiny: Path) -> Graph:
    return Graph(tiny)


@pytest.fixture(scope="module")
def whole(graph: Graph) -> nx.Graph:
    """The graph in networkx, edge by edge."""
    held = nx.Graph()
    for name in graph.edge_types():
        shape = EDGE_TYPES[name]
        for row in graph.manifest.table(name).to_pylist():
            held.add_edge((shape.source, row["source"]), (shape.target, row["target"]))
    return held


def test_a_neighbourhood_is_what_lies_within_its_hops(
    graph: Graph, whole: nx.Graph
) -> None:
    start = graph.find("gene", "gA")
    assert start is not None
    for hops in (1, 2, 3):
        held = graph.around(
            start, hops=hops, edge_types=graph.edge_types(), per_type=10**6, most=10**6
        )
        expected = nx.single_source_shortest_path_length(whole, start, cutoff=hops)
        assert held.distance == dict(expected)
        assert not held.left_out


def test_what_a_neighbourhood_leaves_out_is_counted(graph: Graph) -> None:
    start = graph.find("gene", "gA")
    assert start is not None
    edge_types = graph.edge_types()
    full = graph.around(
        start, hops=1, edge_types=edge_types, per_type=10**6, most=10**6
    )
    cut = graph.around(start, hops=1, edge_types=edge_types, per_type=1, most=10**6)
    assert len(cut.edges) < len(full.edges)
    assert len(cut.edges) + sum(cut.left_out.values()) == len(full.edges)
    few = graph.around(start, hops=1, edge_types=edge_types, per_type=10**6, most=3)
    assert len(few.distance) == 3
    assert len(few.edges) + sum(few.left_out.values()) == len(full.edges)


def test_paths_are_shortest_and_all_edges_of_the_graph(
    graph: Graph, whole: nx.Graph
) -> None:
    start, goal = graph.find("gene", "gA"), graph.find("gene", "gB")
    tf = graph.find("tf", "TFX")
    assert start is not None
    assert goal is not None
    assert tf is not None
    for far in (goal, tf):
        paths = graph.paths(start, far, edge_types=graph.edge_types(), hops=4)
        length = nx.shortest_path_length(whole, start, far)
        assert paths
        assert {len(path) for path in paths} == {length}
        for path in paths:
            node = start
            for edge in path:
                assert whole.has_edge(edge.source, edge.target)
                node = edge.other(node)
            assert node == far


def test_no_path_is_no_path(graph: Graph) -> None:
    start, goal = graph.find("gene", "gA"), graph.find("gene", "gM")
    assert start is not None
    assert goal is not None
    assert graph.paths(start, goal, edge_types=["gene__regulates__gene"], hops=4) == []


def test_nodes_are_found_by_identifier_symbol_and_part(graph: Graph) -> None:
    assert graph.find("gene", "gA") == graph.find("gene", "ALPHA") is not None
    assert graph.find("gene", "nothing") is None
    assert [name for _, name in graph.search("gene", "alph")] == ["ALPHA (gA)"]
    with pytest.raises(InputError, match="no node type"):
        graph.search("planet", "x")


def test_an_edge_table_names_both_ends(graph: Graph) -> None:
    start = graph.find("gene", "gA")
    assert start is not None
    held = graph.around(start, hops=1, edge_types=["gene__regulates__gene"])
    table = edge_table(held.edges, graph.describe(held.distance))
    assert table[["from", "edge", "to", "weight"]].to_numpy().tolist() == [
        ["ALPHA", "regulates", "BETA", 0.9]
    ]


@pytest.mark.parametrize(
    ("given", "identifier"),
    [
        (("c", 5, "A", "G"), "c:5:A:G"),
        (("c", 5, "AT", "A"), "c:6:T:-"),
        (("c", 5, "A", "AGG"), "c:6:-:GG"),
        (("c", 5, "ACG", "ATG"), "c:6:C:T"),
        (("c", 5, "ac", "at"), "c:6:C:T"),
    ],
)
def test_an_allele_has_the_graphs_identifier(given, identifier: str) -> None:
    assert variant_identifier(*given) == identifier


def test_trails_lead_from_an_allele_to_genes_and_traits(
    graph: Graph, result: Result
) -> None:
    row = open_scores(result).row(*snv("chr1", 2101))
    assert row is not None
    found, starts = trails(graph, row)
    assert "is node" in starts
    text = " ".join(found["path"])
    assert "ALPHA (gene)" in text
    assert "height (phenotype)" in text
    assert found["rests on"].str.len().gt(0).all()


# -- features ----------------------------------------------------------------------


def test_exons_know_where_coding_begins_and_ends() -> None:
    parts = [("exon", 10, 20), ("exon", 30, 50), ("exon", 60, 70),
             ("cds", 35, 50), ("cds", 60, 64)]  # fmt: skip
    assert exons(parts) == [
        {"start": 10, "end": 20, "utr": True},
        {"start": 30, "end": 50, "cdStart": 35},
        {"start": 60, "end": 70, "cdEnd": 64},
    ]
    assert exons([("exon", 1, 2)]) == [{"start": 1, "end": 2, "utr": True}]


def test_every_track_offered_draws_what_lies_inside(tiny: Path, result: Result) -> None:
    region = Region("chr1", 1900, 6900)
    offered = features.tracks(tiny, result)
    names = {track.name for track in offered}
    assert {"genes", "variants", "score", "elements", "tf_sites", "gwas-height",
            "panel", "interval-chromatin_state", "interval-tad"} <= names  # fmt: skip
    for track in offered:
        if track.name.startswith("signal-"):
            continue
        drawn = features.draw(track.name, tiny, result, region)
        assert drawn.features, track.name
        for one in drawn.features:
            assert one["chr"] == "chr1"
            assert one["start"] < 6900
            assert one["end"] > 1900
    genes = {
        one["gene"] for one in features.draw("genes", tiny, result, region).features
    }
    assert genes == {"gA", "gB"}
    with pytest.raises(InputError, match="no track"):
        features.draw("moon", tiny, result, region)


def test_a_view_with_too_much_draws_the_highest_and_counts_the_rest(
    tiny: Path, result: Result, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "MOST_FEATURES", 10)
    region = Region("chr1", 1000, 12_000)
    inside = frame[(frame["chrom"] == "chr1") & frame["pos"].between(1001, 12_000)]
    drawn = features.draw("variants", tiny, result, region)
    assert len(drawn.features) + drawn.left_out == len(inside)
    lowest = min(float(one["prior"]) for one in drawn.features)
    assert (inside["prior_score"] > lowest + 5e-4).sum() < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1:2,001-3,000", Region("chr1", 2000, 3000)),
        ("NC_1:11-20", Region("chr1", 10, 20)),
        ("chr2", Region("chr2", 0, 1500)),
        ("alpha", Region("chr1", 1000, 3900)),
        ("gD", Region("chr2", 0, 1500)),
        ("chr1:15990-99999", Region("chr1", 15_989, 16_000)),
    ],
)
def test_places_are_read_by_region_contig_and_gene(
    tiny: Path, text: str, expected: Region
) -> None:
    assert layers.place(tiny, text) == expected


@pytest.mark.parametrize(
    "text", ["nowhere", "chr1:0-5", "chr1:9-5", "chr1:99999-99999", ""]
)
def test_a_place_that_is_none_is_refused(tiny: Path, text: str) -> None:
    with pytest.raises(InputError):
        layers.place(tiny, text)


# -- haplotypes --------------------------------------------------------------------


def test_haplotypes_hold_the_genomes_bases(tiny: Path) -> None:
    genome = layers.genome(tiny)
    held = haplotypes.haplotypes(genome, "chr1", 12_019, "ACA", "A", flank=5)
    assert held is not None
    sequence = SEQUENCES["chr1"].upper()
    assert held.reference == sequence[12_013:12_026]
    assert held.alternative == sequence[12_013:12_018] + "A" + sequence[12_021:12_026]
    assert haplotypes.haplotypes(genome, "chr1", 5, "A", "<DEL>") is None
    assert haplotypes.haplotypes(genome, "chr9", 5, "A", "G") is None


def test_the_site_drawn_has_the_score_of_the_table(
    tiny: Path, frame: pd.DataFrame
) -> None:
    # Another way to the scorer's figure: a plain loop here, its scan there.
    changed = frame[
        frame["motif_id"].notna() & frame["motif_ref_score"].notna()
        & frame["motif_alt_score"].notna()
    ]  # fmt: skip
    assert len(changed) >= 3
    genome = layers.genome(tiny)
    for row in changed.head(12).to_dict("records"):
        held = haplotypes.haplotypes(
            genome, row["chrom"], row["pos"], row["ref"], row["alt"]
        )
        assert held is not None
        drawing, sites = haplotypes.draw(held, tiny, row)
        assert drawing.startswith("<svg")
        for name in ("ref", "alt"):
            site = sites[name.upper()]
            assert site is not None
            assert site.score == pytest.approx(row[f"motif_{name}_score"], abs=0.02)
