import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy import sparse

from data_registry.errors import InputError, MalformedFileError
from data_registry.store import open_store
from encoders.expression import (
    ExpressionEncoder,
    GeneTokenEncoder,
    Matrix,
    read_matrices,
)
from tests.organisms import make_workspace


def matrix(values, unit="tpm"):
    values = np.asarray(values, float)
    names = tuple(f"g{i}" for i in range(len(values)))
    samples = tuple(f"s{i}" for i in range(values.shape[1]))
    return Matrix("d", names, samples, unit, sparse.csr_matrix(values))


@pytest.fixture
def counts():
    rng = np.random.default_rng(3)
    level = rng.gamma(0.5, 20, (60, 1)) * rng.gamma(4, 0.25, (60, 12))
    return rng.poisson(level).astype(float)


@pytest.mark.parametrize("unit", ["tpm", "counts", "log2"])
@pytest.mark.parametrize("width", [3, 12])
def test_components_against_a_dense_oracle(counts, unit, width):
    x = counts.copy()
    if unit == "counts":
        x = x / x.sum(0) * 1e6
    if unit != "log2":
        x = np.log1p(x)
    z = (x - x.mean(0)) / x.std(0)
    values, vectors = np.linalg.eigh(z.T @ z)
    order = np.argsort(-values)[:width]
    vectors = vectors[:, order]
    vectors *= np.sign(vectors[np.abs(vectors).argmax(0), np.arange(width)])
    scores = z @ vectors
    encoder = ExpressionEncoder.fit(matrix(counts, unit), width)
    found = encoder.embed(sparse.csr_matrix(counts))
    np.testing.assert_allclose(found, scores / scores.std(0), atol=1e-4)
    np.testing.assert_allclose(
        encoder.explained, values[order] / values.sum(), atol=1e-8
    )


def test_fitted_once_then_the_same_for_any_genes(counts, tmp_path):
    encoder = ExpressionEncoder.fit(matrix(counts), 4)
    all_genes = encoder.embed(counts)
    np.testing.assert_allclose(encoder.embed(counts[7:9]), all_genes[7:9], atol=1e-6)
    encoder.save(tmp_path / "fit.safetensors")
    again = ExpressionEncoder.load(tmp_path / "fit.safetensors")
    assert again.digest == encoder.digest
    assert again.samples == encoder.samples
    np.testing.assert_array_equal(again.embed(counts), all_genes)
    with pytest.raises(InputError, match="5 samples; the encoder was fitted on 12"):
        encoder.embed(counts[:, :5])


def test_the_digest_follows_the_matrix(counts):
    digest = ExpressionEncoder.fit(matrix(counts), 4).digest
    assert ExpressionEncoder.fit(matrix(counts), 4).digest == digest
    assert ExpressionEncoder.fit(matrix(counts), 5).digest != digest
    counts[0, 0] += 1
    assert ExpressionEncoder.fit(matrix(counts), 4).digest != digest


def test_constant_samples_and_too_little(counts):
    counts[:, 3] = 2.0
    found = ExpressionEncoder.fit(matrix(counts), 4).embed(counts)
    assert np.isfinite(found).all()
    with pytest.raises(InputError, match="2 genes"):
        ExpressionEncoder.fit(matrix(counts[:2]))
    with pytest.raises(InputError, match="no sample varies"):
        ExpressionEncoder.fit(matrix(np.ones((5, 3))))


def test_damaged_fit(tmp_path):
    (tmp_path / "x").write_bytes(b"no")
    with pytest.raises(MalformedFileError, match="no fitted expression encoder"):
        ExpressionEncoder.load(tmp_path / "x")


def test_read_from_a_registry(tmp_path):
    with open_store(make_workspace(tmp_path, layers=True)) as store:
        (found,) = read_matrices(store)
    assert found.genes == ("gA", "gB", "gD")
    assert found.samples == ("leaf", "root")
    assert found.unit == "tpm"
    np.testing.assert_array_equal(found.values.toarray(), [[10, 12], [1, 2], [5, 5]])


def test_gene_tokens(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"<pad>": 0, "gA": 2, "gB": 1}))
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    other = {"encoder.weight": table, "small": np.zeros((2, 2), np.float32)}
    save_file(other, tmp_path / "m.safetensors")
    encoder = GeneTokenEncoder(tmp_path)
    vectors, unknown = encoder.embed(["gA", "gX", "gB"])
    np.testing.assert_array_equal(vectors, table[[2, 1]])
    assert unknown == ("gX",)
    save_file({**other, "head": table + 1}, tmp_path / "m.safetensors")
    with pytest.raises(InputError, match="--tensor"):
        GeneTokenEncoder(tmp_path)
    assert GeneTokenEncoder(tmp_path, tensor="head").table[0, 0] == 1
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(MalformedFileError, match="needs vocab"):
        GeneTokenEncoder(tmp_path)


@pytest.mark.realdata
def test_single_cells_stay_sparse(shared_data):
    path = shared_data / "arabidopsis" / "derived" / "scRNA_Ath_7000x2000_csc.npz"
    with np.load(path) as file:
        shape = tuple(file["shape"])
        cells = sparse.csc_matrix(
            (file["data"], file["indices"], file["indptr"]), shape
        )
    values = cells.tocsr()[:3000, :500]
    encoder = ExpressionEncoder.fit(
        Matrix("sc", tuple(map(str, range(3000))), tuple(map(str, range(500))),
               "counts", values), 8,
    )  # fmt: skip
    found = encoder.embed(values)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-3)
    assert (np.diff(encoder.explained) <= 1e-12).all()
    assert encoder.explained[0] > 0.05
