"""The split by family and the tables of the benchmark of genes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")
pytest.importorskip("sklearn")

from benchmarks.graph import Arm, changed  # noqa: E402
from benchmarks.graph_genes import (  # noqa: E402
    TEST,
    TRAIN,
    VALIDATION,
    Setting,
    families,
    gene_of_symbol,
    group_members,
    neighbour_columns,
    part_of,
    peaks_in,
    propagated,
    read_organism,
    shares_of_states,
    standardised,
)
from models.graph.structure import Edges, Graph, Nodes  # noqa: E402

DATA = Path(__file__).parents[3] / "shared" / "data"


def test_groups_that_share_a_gene_are_one_family_and_a_gene_alone_is_its_own():
    found = families(["d", "a", "b", "c", "e"], [["c", "b"], ["x", "d", "c"], ["e"]])
    assert found == ["b", "a", "b", "b", "e"]


def test_the_order_of_groups_and_genes_does_not_matter():
    rng = np.random.default_rng(0)
    genes = [f"g{i:03}" for i in range(200)]
    groups = [list(rng.choice(genes, 3)) for _ in range(60)]
    first = dict(zip(genes, families(genes, groups), strict=True))
    turned = genes[::-1]
    other = families(turned, [group[::-1] for group in groups[::-1]])
    assert dict(zip(turned, other, strict=True)) == first
    assert all(len({first[g] for g in group}) == 1 for group in groups)


def test_families_are_hashed_to_70_10_and_20_percent():
    share = np.bincount([part_of(f"AT1G{i:05}") for i in range(20_000)]) / 20_000
    np.testing.assert_allclose(share, [0.7, 0.1, 0.2], atol=0.01)


def test_ortholog_groups_are_read_by_species():
    row = ["AT1G01020|AT4G01510", "MTR_7g089460", "OS03G0784300", "Solyc11g008790.1"]
    assert group_members([row]) == [
        {"AT": ["AT1G01020", "AT4G01510"], "MTR": ["MTR_7g089460"],
         "OS": ["OS03G0784300"], "Solyc": ["Solyc11g008790.1"]}
    ]  # fmt: skip


def test_a_symbol_of_two_genes_names_none_unless_the_other_table_knows():
    one = pd.DataFrame({"g": ["AT1", "AT2", "AT3", None], "s": ["x", "X", "y", "z"]})
    two = pd.DataFrame({"g": ["AT9", "AT8"], "s": ["y", "w"]})
    assert gene_of_symbol(one, two) == {"Y": "AT3", "W": "AT8"}
    more = pd.DataFrame({"g": ["AT2"], "s": ["X"]})
    assert gene_of_symbol(one, more) == {"Y": "AT3", "X": "AT2"}


def test_shares_of_states_by_hand():
    states = pd.DataFrame(
        {"Chrom": [1, 1, 2], "From": [1, 11, 1], "To": [10, 30, 99], "State": [8, 4, 9]}
    )
    windows = pd.DataFrame(
        {"chr": ["1", "1", "2", "3"], "start": [9, 29, 5, 1], "end": [12, 32, 5, 9]}
    )
    found = shares_of_states(states, windows)
    expected = np.zeros((4, 9))
    expected[0, [7, 3]] = 0.5, 0.5
    expected[1, 3] = 0.5  # positions 31 and 32 have no state
    expected[2, 8] = 1.0
    np.testing.assert_allclose(found, expected)


def test_peaks_are_counted_by_their_middle_in_coordinates_from_1():
    # The middle of BED 10-20 is base 16, counted from 1.
    peaks = pd.DataFrame([["chr1", 10, 20], ["1", 12, 18], ["chr2", 10, 20]])
    windows = pd.DataFrame(
        {"chr": ["1", "1", "1", "2"], "start": [16, 1, 17, 1], "end": [16, 15, 99, 99]}
    )
    assert peaks_in(peaks, windows).tolist() == [2, 0, 0, 1]


def toy() -> Graph:
    """Four genes, two factors, one edge between genes 0 and 1, known in one direction."""
    x = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    known = torch.tensor([[True], [True], [False], [True]])
    none = torch.zeros(2, 0)
    nodes = {
        "gene": Nodes(x, known, torch.full((4,), -1)),
        "tf": Nodes(none, none.bool(), torch.arange(2)),
    }
    empty = torch.zeros(3, 0)
    binds = Edges.of(
        torch.tensor([0, 1, 1]), torch.tensor([0, 0, 3]), 4, empty, empty.bool()
    )
    meets = Edges.of(
        torch.tensor([1, 2, 2]), torch.tensor([0, 0, 3]), 4, empty, empty.bool()
    )
    return Graph(
        nodes, {("tf", "binds", "gene"): binds, ("gene", "meets", "gene"): meets}
    )


def test_neighbours_are_joined_as_columns_by_hand():
    found = neighbour_columns(toy())
    binds = [[1, 1], [0, 0], [0, 0], [0, 1]]
    np.testing.assert_array_equal(found[:, :2], binds)
    # Gene 0 meets genes 1 (2.0) and 2 (unknown); gene 3 only the unknown one.
    np.testing.assert_array_equal(found[:, 2], [2.0, np.nan, np.nan, np.nan])


def test_standardised_columns_do_not_see_the_other_rows():
    x = np.array([[1.0, np.nan], [3.0, 2.0], [5.0, 4.0], [9.0, np.nan]])
    learn = np.array([0, 1, 2])
    other = x.copy()
    other[3] = -100.0
    first = standardised(x, learn)
    assert first.shape == (4, 3)  # a column that marks what is missing
    np.testing.assert_allclose(first[learn].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_array_equal(standardised(other, learn)[learn], first[learn])


def test_labels_of_judged_genes_change_nothing():
    rows = np.array([0, 1]), np.array([2, 3]), np.array([4, 5])
    nodes = toy().nodes["tf"]
    gene = Nodes(torch.zeros(6, 1), torch.ones(6, 1, dtype=torch.bool), torch.zeros(6))
    source, target = torch.tensor([0, 0, 0, 1, 1, 1]), torch.arange(6)
    none = torch.zeros(6, 0)
    edges = Edges.of(source, target, 6, none, none.bool())
    graph = Graph({"gene": gene, "tf": nodes}, {("tf", "binds", "gene"): edges})
    said = []
    for judged in (0.0, 50.0):
        y = np.array([1.0, 0.5, 0.9, -0.8, judged, judged])
        said.append(propagated(Setting("toy", graph, y, rows)))
    np.testing.assert_array_equal(said[0], said[1])


def test_permuted_labels_stay_among_the_rows_learned_and_stopped_on():
    y = np.arange(6.0)
    rows = np.array([0, 1, 2]), np.array([3]), np.array([4, 5])
    task = Setting("toy", toy(), y, rows).task
    _, (other,) = changed(Arm("permuted", permuted=True), toy(), [task], 0)
    target = other.target[:, 0]
    assert sorted(target.tolist()) == y.tolist()
    assert target[4:].tolist() == [4.0, 5.0]
    assert target[:4].tolist() != [0.0, 1.0, 2.0, 3.0]
    assert task.target[:, 0].tolist() == y.tolist()


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent")
def test_real_families_are_in_one_part_and_no_expression_was_read():
    organism = read_organism(DATA)
    genes = organism.genes
    assert genes["gene_id"].is_monotonic_increasing
    part = dict(zip(genes["gene_id"], genes["part"], strict=True))
    for group in organism.alike:
        assert len({part[gene] for gene in group if gene in part}) <= 1
    share = np.bincount(genes["part"]) / len(genes)
    np.testing.assert_allclose(
        share[[TRAIN, VALIDATION, TEST]], [0.7, 0.1, 0.2], atol=0.02
    )
    assert not any("expression/" in name or "RNA" in name for name in organism.read)
    # Counted with awk: 1,983,037 edges by DAP-seq, of which those kept are fewer.
    assert organism.counts["tf_edges_by_evidence"]["DAPSeq"] == 1_983_037
    dap = organism.edges["tf", "dap_binds", "gene"]
    assert np.bincount(dap[0]).max() <= 4_000
    left, right = organism.edges["gene", "physical", "gene"]
    pairs = set(zip(left.tolist(), right.tolist(), strict=True))
    assert all((b, a) in pairs and a != b for a, b in pairs)
