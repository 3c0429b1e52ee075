"""The graph's tables and the PyG object say the same."""

import numpy as np
import pytest

from data_registry.errors import InputError

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from graph_builder.build import build_graph  # noqa: E402
from graph_builder.schema import EDGE_TYPES, NODE_TYPES  # noqa: E402
from models.hetero import load_hetero  # noqa: E402
from tests.graph_builder.toy import ROWS, ToyGenome, make_registry  # noqa: E402


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return build_graph(
        make_registry(ROWS), ToyGenome(), tmp_path_factory.mktemp("graph")
    )


def test_every_number_of_the_tables_comes_back(graph):
    data = load_hetero(graph.path)
    data.validate()
    assert set(data.node_types) == set(NODE_TYPES)
    assert len(data.edge_types) == len(EDGE_TYPES)
    for name, store in zip(data.node_types, data.node_stores, strict=True):
        table = graph.table(name)
        assert store.num_nodes == table.num_rows
        assert store.identifier == table["identifier"].to_pylist()
        check_numbers(store.x, store.x_known, store.x_names, table)
    for name, kind in EDGE_TYPES.items():
        table = graph.table(name)
        store = data[kind.source, kind.relation, kind.target]
        n = table.num_rows
        rows = np.stack([table["source"].to_numpy(), table["target"].to_numpy()])
        np.testing.assert_array_equal(store.edge_index[:, :n], rows)
        check_numbers(
            store.edge_attr[:n], store.edge_known[:n], store.edge_names, table
        )
        assert store.edge_index.shape[1] == (2 * n if kind.symmetric else n)


def check_numbers(values, known, names, table):
    assert values.shape == known.shape == (table.num_rows, len(names))
    for place, name in enumerate(names):
        for row, expected in enumerate(table[name].to_pylist()):
            assert bool(known[row, place]) == (expected is not None)
            assert float(values[row, place]) == pytest.approx(
                float(expected or 0), rel=1e-6
            )


def test_symmetric_edges_go_both_ways_with_their_attributes(graph):
    store = load_hetero(graph.path)["gene", "physical", "gene"]
    assert store.edge_index.tolist() == [[0, 1], [1, 0]]
    score = store.edge_names.index("score")
    assert store.edge_attr[:, score].tolist() == pytest.approx([0.9, 0.9])
    assert store.edge_row.tolist() == [0, 0]
    once = load_hetero(graph.path, both_ways=False)["gene", "physical", "gene"]
    assert once.edge_index.tolist() == [[0], [1]]


def test_places_are_no_features(graph):
    gene = load_hetero(graph.path)["gene"]
    assert gene.start.tolist() == [2000, 6000, 1000, 12000]
    assert gene.contig == ["c1", "c1", "c2", "c1"]
    assert not {"start", "end", "tss"} & set(gene.x_names)


def test_edges_that_answer_the_question_can_be_left_out(graph):
    hidden = "variant__associated_with__phenotype"
    data = load_hetero(graph.path, leave_out=[hidden])
    assert ("variant", "associated_with", "phenotype") not in data.edge_types
    assert len(data.edge_types) == len(EDGE_TYPES) - 1
    with pytest.raises(InputError, match="no edge type 'gwas'"):
        load_hetero(graph.path, leave_out=["gwas"])
