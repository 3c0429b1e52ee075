"""The graph's tables and the PyG object say the same."""

import numpy as np
import pytest

from data_registry.errors import InputError

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from encoders.cache import EncoderRecord, embed_cached  # noqa: E402
from graph_builder.build import build_graph  # noqa: E402
from graph_builder.schema import EDGE_TYPES, NODE_TYPES  # noqa: E402
from models.hetero import Reduction, add_embeddings, load_hetero  # noqa: E402
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


def test_embeddings_are_reduced_by_what_teaches_and_missing_ones_marked(
    graph, tmp_path
):
    data = load_hetero(graph.path)
    names = data["gene"].identifier
    rng = np.random.default_rng(0)
    vectors = dict(zip(names, rng.normal(size=(4, 6)).astype(np.float32), strict=True))
    embedded = names[:3]  # the last gene has none
    embed_cached(
        tmp_path, EncoderRecord("toy", "text", "d1", {}), "gene",
        {name: name for name in embedded},
        lambda some: np.stack([vectors[name] for name in some]),
    )  # fmt: skip
    reduction = Reduction.fit("gene", "toy", tmp_path, embedded, 2)
    before = data["gene"].x.shape[1]
    add_embeddings(data, tmp_path, [Reduction.from_dict(reduction.as_dict())])
    store = data["gene"]
    assert store.x_names[-2:] == ["toy_0", "toy_1"]
    assert store.x_known[:, before:].tolist() == [[True, True]] * 3 + [[False, False]]
    assert store.x[3, before:].tolist() == [0.0, 0.0]
    # principal components: centred, of unit variance, uncorrelated
    found = store.x[:3, before:].numpy()
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.T @ found / 3, np.eye(2), atol=1e-4)
    # two components hold all of three points
    x = np.stack([vectors[name] for name in embedded])
    back = found @ np.linalg.pinv(reduction.components.numpy().T) + x.mean(axis=0)
    np.testing.assert_allclose(back, x, atol=1e-4)
    with pytest.raises(InputError, match="no embeddings of an encoder 'none'"):
        Reduction.fit("gene", "none", tmp_path, embedded, 2)
    with pytest.raises(InputError, match="too few"):
        Reduction.fit("gene", "toy", tmp_path, embedded[:2], 2)
