"""Exports, read back by the programs they are for."""

import json

import networkx as nx
import pyarrow.parquet as pq
import pytest

from data_registry.coordinates import Region
from data_registry.errors import InputError
from graph_builder.export import export, select_part


def test_graphml_is_read_by_networkx(toy_graph, tmp_path):
    part = export(toy_graph.path, tmp_path / "g.graphml", format="graphml")
    found = nx.read_graphml(tmp_path / "g.graphml")
    assert found.number_of_nodes() == sum(r.count for r in toy_graph.nodes.values())
    assert found.number_of_edges() == sum(r.count for r in toy_graph.edges.values())
    assert part.n_rows == found.number_of_nodes() + found.number_of_edges()
    assert found.nodes["gene/g1"]["tss"] == 2000
    (one,) = [
        data for _, _, data in found.edges(data=True) if data["type"] == "physical"
    ]
    assert (one["score"], one["symmetric"]) == (0.9, True)
    assert [path.name for path in tmp_path.iterdir()] == ["g.graphml"]


def test_node_link_and_cytoscape_hold_the_same_graph(toy_graph, tmp_path):
    export(toy_graph.path, tmp_path / "n.json", format="networkx")
    export(toy_graph.path, tmp_path / "c.json", format="cytoscape")
    first = nx.node_link_graph(
        json.loads((tmp_path / "n.json").read_text()), edges="edges"
    )
    second = nx.cytoscape_graph(json.loads((tmp_path / "c.json").read_text()))
    assert set(first.nodes) == set(second.nodes)
    assert first.number_of_edges() == second.number_of_edges()
    assert first.nodes["pathway/T:1"]["n_genes"] == 3


def test_parquet_carries_names(toy_graph, tmp_path):
    export(toy_graph.path, tmp_path / "out", format="parquet")
    table = pq.read_table(tmp_path / "out" / "tf__encoded_by__gene.parquet")
    assert table["source_name"].to_pylist() == ["g1", "g2"]
    assert table["target_name"].to_pylist() == ["g1", "g2"]
    with pytest.raises(InputError, match="is there already"):
        export(toy_graph.path, tmp_path / "out", format="parquet")


def test_a_region_keeps_its_nodes_and_what_hangs_on_them(toy_graph):
    part = select_part(toy_graph.path, region=Region("c1", 6000, 7000))
    assert part.nodes["gene"]["identifier"].to_pylist() == ["g2"]
    assert part.nodes["cre"]["identifier"].to_pylist() == [
        "c1:6801-8000:promoter:derived"
    ]
    assert part.nodes["variant"].num_rows == 0
    assert part.nodes["pathway"]["identifier"].to_pylist() == ["T:1", "T:2"]
    assert part.nodes["tf"]["identifier"].to_pylist() == ["g2"]
    assert part.edges["gene__physical__gene"].num_rows == 0


def test_types_can_be_chosen(toy_graph):
    part = select_part(
        toy_graph.path, node_types=["gene"], edge_types=["gene__physical__gene"]
    )
    assert list(part.nodes) == ["gene"]
    assert part.n_rows == 5
    # an edge needs both of its ends
    assert select_part(toy_graph.path, node_types=["cre"]).edges == {}
    with pytest.raises(InputError, match="no type 'genes'; there are gene"):
        select_part(toy_graph.path, node_types=["genes"])


def test_a_graph_too_large_to_draw_is_refused(toy_graph, tmp_path):
    with pytest.raises(InputError, match="are more than 10; choose a region"):
        export(toy_graph.path, tmp_path / "g", format="graphml", most_rows=10)
    with pytest.raises(InputError, match="no format 'dot'; there are graphml"):
        export(toy_graph.path, tmp_path / "g", format="dot")
    assert list(tmp_path.iterdir()) == []
