import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from data_registry.errors import InputError, MalformedFileError
from encoders.corpus import Account, Corpus
from encoders.language import LanguageConfig, load_language_model
from encoders.material import Material
from encoders.pretrain import (
    Pretraining,
    Training,
    app,
    read_config,
    starting_model,
    validation_windows,
)

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


def test_the_average_is_the_running_mean_by_hand(tmp_path):
    run = pretraining(tmp_path, replace(TRAINING, average=0.9))
    name = "out"
    first = run.network.state_dict()[name].clone()
    expected = first.clone()
    for step in range(30):
        run.step = step
        with torch.no_grad():
            run.network.state_dict()[name].add_(1.0)
        run._average()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * run.network.state_dict()[name]
    torch.testing.assert_close(run.average[name], expected)
    with run.averaged():
        torch.testing.assert_close(run.network.state_dict()[name], expected)
    torch.testing.assert_close(run.network.state_dict()[name], first + 30)


def test_noise_changes_what_is_read_and_never_the_targets(tmp_path):
    run = pretraining(tmp_path)
    codes = np.tile(np.array([0, 1, 2, 3, 4], np.uint8), (200, 40))
    targets, _, hidden, seen = run._tensors(
        codes, None, np.random.default_rng(1), noise=0.25
    )
    np.testing.assert_array_equal(targets.numpy(), codes)
    assert not hidden.any()  # the cloze objective hides nothing
    known = codes < 4
    changed = seen.numpy() != codes
    assert not changed[~known].any()  # an unknown base stays unknown
    assert changed[known].mean() == pytest.approx(0.25, abs=0.01)
    # each of the three other bases as often
    turns = (seen.numpy() - codes)[changed] % 4
    assert np.bincount(turns)[1:] == pytest.approx(changed.sum() / 3, rel=0.05)
    clean = run._tensors(codes)[3]
    np.testing.assert_array_equal(clean.numpy(), codes)


def test_dropout_is_of_training_alone(tmp_path):
    run = pretraining(tmp_path, replace(TRAINING, dropout=0.5, steps=5))
    run.run(lambda *_: None)
    assert run.validate() == run.validate()


def test_material_is_written_and_read_alike(tmp_path):
    watched = np.array([0, 1, 4], np.uint8)
    material = Material("asm", ("chr1",), ("chr2", "chr3"), periodic_corpus(), watched)
    material.write(tmp_path / "corpus.npz", "made from this")
    back, key = Material.read(tmp_path / "corpus.npz")
    assert key == "made from this"
    assert back.corpus.digest == material.corpus.digest
    assert back.corpus.accounts == material.corpus.accounts
    assert (back.assembly, back.held_out, back.validation) == (
        "asm", ("chr1",), ("chr2", "chr3"),
    )  # fmt: skip
    np.testing.assert_array_equal(back.watched, watched)
    (tmp_path / "other.npz").write_bytes(b"no archive")
    with pytest.raises(MalformedFileError, match="not a corpus"):
        Material.read(tmp_path / "other.npz")


def test_a_corpus_is_enough_to_train_elsewhere(tmp_path):
    watched = np.tile(np.array([0, 1, 2, 2, 3], np.uint8), 60)
    file = tmp_path / "corpus.npz"
    Material("asm", ("chr1",), ("chr2",), periodic_corpus(), watched).write(file, "")
    config = tmp_path / "c.toml"
    config.write_text(
        '[model]\nwidth = 32\nlayers = ["conv:3:1"]\nkmer = 1\nhead = 32\n'
        "[training]\nbatch = 2\nwindow = 64\nsteps = 4\nevery = 2\n"
        "validation_windows = 2\ncompiled = false\nbfloat16 = false\n"
    )
    call = [
        "--corpus",
        str(file),
        "--config",
        str(config),
        "--out",
        str(tmp_path / "m"),
    ]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    model = load_language_model(tmp_path / "m")
    assert (model.config.trained_on, model.config.held_out) == ("asm", ("chr1",))
    refused = CliRunner().invoke(app, [*call, "--held-out", "chr9"])
    assert isinstance(refused.exception, InputError)


def test_a_run_that_diverges_says_so_and_keeps_the_best(tmp_path):
    run = pretraining(tmp_path)
    run.run(lambda *_: None)
    best = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="diverged before step 30: lower matrix_rate"):
        run._record(float("nan"), 0.0)
    assert (tmp_path / "model.safetensors").read_bytes() == best


def material_of(held_out=("c2",), assembly="A"):
    corpus = periodic_corpus()
    return Material(assembly, held_out, ("c3",), corpus, corpus.codes[:300])


def test_training_goes_on_from_a_model_that_was_made_before(tmp_path):
    first = pretraining(tmp_path / "first", replace(TRAINING, steps=120))
    reached = first.run(lambda *_: None)
    start = starting_model(str(tmp_path / "first"), LanguageConfig(), material_of())
    windows = first.validation.numpy().astype(np.uint8)
    again = Pretraining(
        replace(start.config, name="next"), TRAINING, periodic_corpus(), windows,
        tmp_path / "next", start,
    )  # fmt: skip
    # weights are stored in half precision
    assert again.validate() == pytest.approx(reached, abs=0.01)
    assert pretraining(tmp_path / "new").validate() > 1.9


def test_a_start_that_saw_what_is_held_out_or_has_another_shape_is_refused(tmp_path):
    config = replace(CONFIG, trained_on="A", held_out=("c1",), validation=("c3",))
    pretraining(tmp_path / "first", config=config).run(lambda *_: None)
    name = str(tmp_path / "first")
    with pytest.raises(InputError, match="learned from c2 of A"):
        starting_model(name, LanguageConfig(), material_of(("c1", "c2")))
    starting_model(name, LanguageConfig(), material_of(("c1",)))
    starting_model(name, LanguageConfig(), material_of(("c2",), "B"))
    with pytest.raises(InputError, match="another shape"):
        starting_model(name, replace(CONFIG, width=64), material_of(("c1",)))
    with pytest.raises(InputError, match=r"those that ship are .*yeast_lm"):
        starting_model("maize_lm", LanguageConfig(), material_of())
