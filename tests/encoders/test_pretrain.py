import csv
from dataclasses import replace

import numpy as np
import pytest

from data_registry.errors import InputError
from encoders.corpus import Account, Corpus
from encoders.language import LanguageConfig, load_language_model
from encoders.pretrain import Pretraining, Training, read_config, validation_windows

pytest.importorskip("accelerate", reason="the extra 'models' is not installed")

CONFIG = LanguageConfig(width=32, layers=("conv:3:1", "conv:3:2"), kmer=2, head=32)
TRAINING = Training(
    batch=4, window=64, steps=30, minutes=5, every=10, validation_windows=4,
    compiled=False, bfloat16=False, warm_up=5,
)  # fmt: skip


def periodic_corpus(length=4_000) -> Corpus:
    """ACGGT over and over: every base follows from its neighbours."""
    codes = np.tile(np.array([0, 1, 2, 2, 3], np.uint8), length // 5)
    ones = np.ones(len(codes), np.float32)
    account = Account("A", len(codes), 0, 0, 0, 0, 0, len(codes))
    return Corpus(codes, ones, np.array([0, len(codes)]), (account,))


def pretraining(out, training=TRAINING, config=CONFIG, corpus=None) -> Pretraining:
    windows = validation_windows(
        np.tile(np.array([0, 1, 2, 2, 3], np.uint8), 60), training
    )
    return Pretraining(config, training, corpus or periodic_corpus(), windows, out)


@pytest.mark.parametrize("objective", ["cloze", "masked"])
def test_it_learns_what_can_be_learned(tmp_path, objective):
    training = replace(TRAINING, steps=120)
    run = pretraining(tmp_path, training, replace(CONFIG, objective=objective))
    before = run.validate()
    assert before == pytest.approx(2.0, abs=0.01)  # nothing learned: two bits a base
    assert run.run(lambda *_: None) < 0.3


@pytest.mark.parametrize(
    "training",
    [TRAINING, replace(TRAINING, dropout=0.2, noise=0.1, average=0.9)],
    ids=["plain", "regularised"],
)
def test_a_killed_run_goes_on_to_the_same_end(tmp_path, training):
    whole = pretraining(tmp_path / "whole", training)
    whole.run(lambda *_: None)

    class KilledError(Exception):
        pass

    def kill(_seconds, note):
        if note.startswith("step 17"):
            raise KilledError

    with pytest.raises(KilledError):
        pretraining(tmp_path / "parts", training).run(kill)
    again = pretraining(tmp_path / "parts", training)
    again.run(lambda *_: None)
    assert again.step == whole.step == 30
    for name, value in whole.network.state_dict().items():
        np.testing.assert_array_equal(again.network.state_dict()[name], value)
    with (tmp_path / "parts/log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["10", "20", "30"]


def test_the_folder_holds_the_best_model_and_its_card(tmp_path):
    run = pretraining(tmp_path / "m")
    best = run.run(lambda *_: None)
    model = load_language_model(tmp_path / "m")
    assert model.config.layers == CONFIG.layers
    assert f"{best:.4f}" in (tmp_path / "m/card.md").read_text()


def test_it_stops_early_when_nothing_gets_better(tmp_path):
    rng = np.random.default_rng(0)
    noise = replace(periodic_corpus(), codes=rng.integers(0, 4, 4_000).astype(np.uint8))
    training = replace(TRAINING, steps=10_000, every=2, patience=3, matrix_rate=0.5)
    run = pretraining(tmp_path, training, corpus=noise)
    run.run(lambda *_: None)
    assert run.step < 1_000


def test_another_corpus_is_not_gone_on_with(tmp_path):
    pretraining(tmp_path).run(lambda *_: None)
    with pytest.raises(InputError, match="on other sequence"):
        pretraining(tmp_path, corpus=periodic_corpus(3_000)).run(lambda *_: None)


def test_settings_that_do_not_exist_are_refused(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[training]\nepochs = 3\n")
    with pytest.raises(InputError, match="'epochs' is unknown"):
        read_config(file)
    file.write_text("[optimiser]\n")
    with pytest.raises(InputError, match="table 'optimiser'"):
        read_config(file)
