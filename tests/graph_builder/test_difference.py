"""What changed between two graphs, by name."""

from graph_builder.build import build_graph
from graph_builder.difference import diff
from graph_builder.parameters import BuildParameters
from tests.graph_builder.toy import make_registry


def test_a_graph_does_not_differ_from_itself(toy_graph):
    found = diff(toy_graph.path, toy_graph.path)
    assert not found
    assert found.types == {}


def test_changes_are_named(rows, toy_graph, toy_genome, tmp_path):
    rows["terms"].append({"term_id": "T:0", "name": "new"})
    rows["gene_terms"] = [
        row
        for row in rows["gene_terms"]
        if (row["gene_id"], row["term_id"]) != ("g1", "T:2")
    ]
    rows["interactions"][1]["score"] = 0.3
    other = build_graph(
        make_registry(rows), toy_genome, tmp_path,
        parameters=BuildParameters(near_gene_bp=999),
    )  # fmt: skip
    found = diff(toy_graph.path, other.path)
    assert found.types["pathway"].added == ("T:0",)
    members = found.types["gene__member_of__pathway"]
    assert (members.n_old, members.n_new, members.n_added) == (7, 6, 0)
    assert members.removed == ("g1 -> T:2",)
    physical = found.types["gene__physical__gene"]
    assert (physical.n_added, physical.n_removed) == (0, 0)
    assert physical.changed == ("g1 -> g2",)
    # T:0 comes first and shifts every pathway's number, which is no difference
    assert "pathway__related_to__pathway" not in found.types
    assert "gene" not in found.types
    assert found.parameters == {"near_gene_bp": (1000, 999)}


def test_parallel_edges_are_told_apart_and_names_are_limited(
    rows, toy_graph, toy_genome, tmp_path
):
    rows["expression"] = []
    other = build_graph(make_registry(rows), toy_genome, tmp_path)
    found = diff(toy_graph.path, other.path, n_named=1)
    one = found.types["gene__coexpressed__gene"]
    assert (one.n_removed, one.removed) == (3, ("g1 -> g2 [lines]",))
    assert found.types["gene"].n_changed == 4
