import numpy as np
import pytest
import torch

from data_registry.errors import InputError
from data_registry.store import open_store
from data_registry.translation import translate
from encoders.protein import ProteinEncoder, read_proteins
from tests.encoders import tiny_published
from tests.organisms import TRANSCRIPTS, coding_sequence, make_workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return ProteinEncoder(tiny_published.protein(tmp_path_factory.mktemp("p") / "esm"))


def test_mean_over_residues_by_hand(encoder):
    ids = torch.tensor([[0, 20, 15, 10, 24, 2]])  # <cls> M K R X <eos>
    with torch.inference_mode():
        states = encoder.network(input_ids=ids)[0][0]
    expected = states[1:5].mean(0).numpy()
    np.testing.assert_allclose(encoder.embed(["MKRX"])[0], expected, atol=1e-5)
    np.testing.assert_allclose(encoder.embed(["mkr*"])[0], expected, atol=1e-5)


def test_batch_mates_do_not_matter(encoder):
    proteins = ["MKRWSLE", "MK", "MKRWSLEMKRWSLEACDEFGHIKLM"]
    alone = np.concatenate([encoder.embed([each]) for each in proteins])
    np.testing.assert_allclose(encoder.embed(proteins), alone, atol=1e-4)


def test_long_proteins_are_averaged_over_pieces(encoder):
    assert encoder.window == 62
    rng = np.random.default_rng(0)
    long = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 101))
    first, second = encoder.embed([long[:51], long[51:]])
    expected = (51 * first + 50 * second) / 101
    np.testing.assert_allclose(encoder.embed([long])[0], expected, atol=1e-4)


def test_empty_proteins_and_other_vocabularies_are_refused(encoder, tmp_path):
    with pytest.raises(InputError, match="protein 1 of 2 is empty"):
        encoder.embed(["M", ""])
    with pytest.raises(InputError, match="not one of amino acids"):
        ProteinEncoder(tiny_published.grover(tmp_path / "grover"))


def test_proteins_of_a_registry(tmp_path):
    with open_store(make_workspace(tmp_path, layers=False)) as store:
        found = read_proteins(store)
    assert found.left_out == {"no_cds": 1}  # gN, non-coding
    models = {model.gene: model for model in reversed(TRANSCRIPTS) if model.cds}
    assert set(found.sequences) == set(models) == {"gA", "gB", "gD", "gM"}
    for gene, model in models.items():
        expected = translate(coding_sequence(model), model.code)
        assert found.sequences[gene] == expected.removesuffix("*"), gene
    assert found.sequences["gD"].startswith("MKRWSLE")
    assert found.sequences["gM"].startswith("MMWS")  # table 2: ATA is M, TGA is W
