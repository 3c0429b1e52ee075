import json

import numpy as np
import pytest
import torch

from data_registry.errors import InputError, MalformedFileError
from encoders import language
from encoders.language import (
    LanguageConfig,
    LanguageModel,
    LanguageNetwork,
    MaskedLanguageModel,
    language_model,
    load_language_model,
    pretraining_loss,
    save_language_model,
)
from encoders.nucleotides import UNKNOWN, reverse_complement

CONVOLUTIONS = ("conv:3:1", "conv:3:2", "conv:2:4")
STACKS = {
    "convolution": CONVOLUTIONS,
    "state space": ("conv:3:1", "ssd"),
    "attention": ("conv:3:1", "attention:8"),
}


def network_of(layers=CONVOLUTIONS, objective="cloze") -> LanguageNetwork:
    """A small network whose every weight matters (trained ones start from zeros)."""
    config = LanguageConfig(
        objective=objective, width=32, layers=tuple(layers), kmer=3, head=16
    )
    rng = torch.Generator().manual_seed(5)
    network = LanguageNetwork(config, rng)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn(value.shape, generator=rng) * 0.2)
    return network


def model_of(**options) -> LanguageModel:
    return language_model(network_of(**options), "digest")


@pytest.fixture
def codes() -> np.ndarray:
    codes = np.random.default_rng(3).integers(0, 4, 90).astype(np.uint8)
    codes[40] = UNKNOWN
    return codes


@pytest.mark.parametrize("layers", STACKS.values(), ids=STACKS)
def test_a_base_has_no_part_in_its_own_prediction(layers, codes):
    model = model_of(layers=layers)
    before = model.log_probabilities(codes)
    for i in (0, 17, 41, 89):
        changed = codes.copy()
        changed[i] = (codes[i] + 1) % 4
        after = model.log_probabilities(changed)
        np.testing.assert_allclose(after[i], before[i], atol=1e-5)
        # and every other base near by has: the test could not fail otherwise
        assert (
            np.abs(np.delete(after, i, axis=0) - np.delete(before, i, axis=0)).max()
            > 0.01
        )


@pytest.mark.parametrize("objective", ["cloze", "masked"])
@pytest.mark.parametrize("layers", STACKS.values(), ids=STACKS)
def test_the_other_strand_gives_the_same_numbers(layers, objective, codes):
    model = model_of(layers=layers, objective=objective)
    there, back = (
        model.log_probabilities(c) for c in (codes, reverse_complement(codes))
    )
    np.testing.assert_allclose(back[::-1, ::-1], there, atol=1e-4)
    there, back = (model.embed(c) for c in (codes, reverse_complement(codes)))
    np.testing.assert_allclose(back[::-1], there, atol=1e-4)


@pytest.mark.parametrize("objective", ["cloze", "masked"])
def test_each_row_is_a_distribution(objective, codes):
    rows = np.exp(model_of(objective=objective).log_probabilities(codes))
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)


def test_tiles_do_not_show(codes, monkeypatch):
    model = model_of()
    whole, vectors = model.log_probabilities(codes), model.embed(codes)
    monkeypatch.setattr(language, "TILE_BP", 7)
    np.testing.assert_allclose(model.log_probabilities(codes), whole, atol=1e-5)
    np.testing.assert_allclose(model.embed(codes), vectors, atol=1e-5)
    assert model.log_probabilities(codes[:0]).shape == (0, 4)


def test_nothing_beyond_its_reach_matters(codes):
    model = model_of()
    # kmer 3, and (kernel - 1) * dilation of 2, 4 and 4
    assert model.reach_bp == 13
    changed = codes.copy()
    changed[60] = (codes[60] + 1) % 4
    difference = np.abs(
        model.log_probabilities(changed) - model.log_probabilities(codes)
    )
    touched = np.flatnonzero(difference.max(axis=1) > 1e-6)
    assert touched.min() == 60 - 13
    assert touched.max() == 60 + 13


def test_masked_model_hides_one_base_at_a_time(codes):
    """Slow oracle: hide, run the whole sequence, read the row."""
    network = network_of(objective="masked").eval()
    asked = np.array([0, 33, 89])
    got = MaskedLanguageModel(network, "d").log_probabilities_at(codes, asked)
    for row, i in zip(got, asked, strict=True):
        hidden = codes.astype(np.int64)
        hidden[i] = UNKNOWN
        with torch.no_grad():
            logits = network(torch.from_numpy(hidden)[None])[0, i]
        np.testing.assert_allclose(row, torch.log_softmax(logits, -1), atol=1e-5)


def test_loss_counts_known_bases_by_weight():
    """Worked out by hand from the rows: -(1 * log p + 0.1 * log p') / 1.1."""
    network = network_of().eval()
    codes = torch.tensor([[0, 1, UNKNOWN, 2]])
    weights = torch.tensor([[1.0, 0.0, 1.0, 0.1]])
    with torch.no_grad():
        rows = torch.log_softmax(network(codes)[0], -1)
        loss = pretraining_loss(network, codes, weights, torch.zeros(1, 4, dtype=bool))
    assert loss.item() == pytest.approx(-(rows[0, 0] + 0.1 * rows[3, 2]).item() / 1.1)


def test_written_and_read_again_it_is_the_same(tmp_path, codes):
    network = network_of()
    save_language_model(network, tmp_path / "m", "# card\n")
    model = load_language_model(tmp_path / "m")
    np.testing.assert_array_equal(
        model.log_probabilities(codes),
        LanguageModel(network, "").log_probabilities(codes),
    )
    assert load_language_model(tmp_path / "m").digest == model.digest
    config = json.loads((tmp_path / "m/config.json").read_text())
    (tmp_path / "m/config.json").write_text(json.dumps(config | {"width": 64}))
    with pytest.raises(MalformedFileError, match="size mismatch"):
        load_language_model(tmp_path / "m")
    with pytest.raises(MalformedFileError, match="not a language model"):
        load_language_model(tmp_path)


def test_unknown_settings_and_layers_are_refused():
    with pytest.raises(InputError, match="'depth' is unknown"):
        LanguageConfig.from_dict({"depth": 3})
    with pytest.raises(InputError, match="layer 'lstm'"):
        LanguageNetwork(LanguageConfig(layers=("lstm",)))
