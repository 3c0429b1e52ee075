"""Baselines, networks, training, ensembles: oracles, laws, and what a kill leaves."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.stats import spearmanr  # noqa: E402

from data_registry.errors import InputError, MalformedFileError  # noqa: E402
from encoders.nucleotides import UNKNOWN, encode  # noqa: E402
from models.promoter import load_ensemble  # noqa: E402
from models.promoter.baselines import KmerRidge, kmer_counts, solve_ridge  # noqa: E402
from models.promoter.data import Promoters  # noqa: E402
from models.promoter.ensemble import calibrate, save_ensemble  # noqa: E402
from models.promoter.evaluation import cluster_bootstrap, score  # noqa: E402
from models.promoter.networks import (  # noqa: E402
    GatedConvolution,
    JoresCnn,
    build_network,
    complement,
    one_hot,
)
from models.promoter.splits import Split  # noqa: E402
from models.promoter.training import (  # noqa: E402
    NetworkModel,
    NetworkSettings,
    TrainingSettings,
    masked_mse,
    predict_z,
)

SMALL: dict[str, dict[str, float]] = {
    "jores": {"filters": 4, "hidden": 8}, "deepstarr": {},
    "gated": {"width": 8, "n_heads": 2, "n_attention": 1, "n_gated": 1},
    "hybrid": {"width": 16, "stem_width": 8, "heads": 2, "n_attention": 1, "n_ssd": 1,
               "ssd_state": 4, "ssd_head": 8, "ssd_chunk": 8, "by_position": 4},
}  # fmt: skip
FAST = TrainingSettings(epochs=3, batch_size=32, learning_rate=5e-3, bf16=False)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def rows():
    """GC decides ``light``; ``dark`` counts TATA; a third of the values is missing."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (400, 48)).astype(np.uint8)
    tata = encode("TATAAA")
    for row in np.flatnonzero(rng.random(400) < 0.5):
        codes[row, 20:26] = tata
    light = ((codes == 1) | (codes == 2)).mean(axis=1) * 20
    dark = 3.0 * (codes[:, 20:26] == tata).all(axis=1) + rng.normal(0, 0.1, 400)
    values = np.stack([dark, light], axis=1).astype(np.float32)
    values[rng.random((400, 2)) < 0.3] = np.nan
    table = Promoters(
        np.arange(400).astype(str), np.where(rng.random(400) < 0.5, "At", "Zm"),
        codes, values, ("dark", "light"),
    )  # fmt: skip
    order = rng.permutation(400)
    split = Split("toy", np.sort(order[:240]), np.sort(order[240:320]), order[320:])
    return table, split


# -- baselines -------------------------------------------------------------------------


def test_kmer_counts_by_hand():
    counts = kmer_counts(encode("AACNAC")[None], 2)[0]
    assert counts[0b0000] == 1  # AA
    assert counts[0b0001] == 2  # AC
    assert counts.sum() == 3


def test_ridge_agrees_with_the_normal_equations():
    rng = np.random.default_rng(0)
    for n, width in ((30, 5), (5, 30)):
        x, y = rng.normal(size=(n, width)), rng.normal(size=n)
        for penalty, found in zip(
            (0.5, 3.0), solve_ridge(x, y, (0.5, 3.0)).T, strict=True
        ):
            expected = np.linalg.solve(x.T @ x + penalty * np.eye(width), x.T @ y)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_gc_ridge_finds_gc(rows):
    table, split = rows
    model = KmerRidge(0)
    model.fit(table, split)
    test = table.take(split.test)
    predicted = model.predict(test.codes)
    known = ~np.isnan(test.of("light"))
    assert score(predicted[known, 1], test.of("light")[known]).r2 > 0.99


def test_predictions_know_nothing_of_test_values(rows):
    table, split = rows
    values = table.values.copy()
    values[split.test] = 1e6
    changed = replace(table, values=values)
    predictions = []
    for each in (table, changed):
        model = KmerRidge(2)
        model.fit(each, split)
        network = NetworkModel("n", NetworkSettings("jores", SMALL["jores"]), FAST)
        network.fit(each, split, seed=1)
        predictions.append((model.predict(table.codes), network.predict(table.codes)))
    for one, other in zip(*predictions, strict=True):
        np.testing.assert_array_equal(one, other)


# -- figures ---------------------------------------------------------------------------


def test_scores_by_hand_and_by_scipy():
    measured = np.array([1.0, 2.0, 3.0, 4.0])
    found = score(np.array([2.0, 4.0, 6.0, 8.0]), measured)
    assert (found.pearson_r2, found.spearman) == (1.0, 1.0)
    assert found.r2 == pytest.approx(1 - 30 / 5)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 50).astype(float), rng.normal(size=50)
    assert score(x, y).spearman == pytest.approx(spearmanr(x, y)[0], abs=1e-6)


def test_a_cluster_counts_as_one_piece_of_evidence():
    rng = np.random.default_rng(0)
    x = rng.normal(size=100)
    y = x + rng.normal(size=100)
    many = np.repeat(np.arange(100), 20)
    draw = {"n": 400, "rng": np.random.default_rng(1)}
    alone = cluster_bootstrap({"m": x}, y, np.arange(100), **draw).interval("m")
    draw = {"n": 400, "rng": np.random.default_rng(1)}
    copies = cluster_bootstrap({"m": x[many]}, y[many], many, **draw).interval("m")
    np.testing.assert_allclose(alone, copies, atol=1e-6)


def test_a_bootstrap_of_a_difference_is_paired():
    rng = np.random.default_rng(0)
    y = rng.normal(size=300)
    x = y + rng.normal(size=300)
    boot = cluster_bootstrap(
        {"a": x, "b": x.copy()}, y, np.arange(300), n=50, rng=np.random.default_rng(0)
    )
    assert boot.difference("a", "b") == {"mean": 0.0, "interval": (0.0, 0.0)}


# -- networks --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_networks_answer_each_sequence_alone(kind):
    codes = torch.from_numpy(
        np.random.default_rng(0).integers(0, 5, (6, 48)).astype(np.uint8)
    )
    network = build_network(
        kind, SMALL[kind], length_bp=48, n_conditions=3, n_species=2
    ).eval()
    with torch.no_grad():
        together = network(codes)
        alone = network(codes[2:3])
    assert together.expression.shape == (6, 3)
    assert together.species.shape == (6, 2)
    torch.testing.assert_close(
        together.expression[2:3], alone.expression, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_both_strands_answer_alike_when_pooled(kind):
    codes = torch.from_numpy(
        np.random.default_rng(0).integers(0, 4, (2, 48)).astype(np.uint8)
    )
    for pooled in (True, False):
        network = build_network(
            kind, {**SMALL[kind], "both_strands": pooled},
            length_bp=48, n_conditions=2, n_species=2,
        ).eval()  # fmt: skip
        with torch.no_grad():
            one, other = (network(c).expression for c in (codes, complement(codes)))
        assert torch.allclose(one, other, atol=1e-5) == pooled


def test_a_filter_read_backwards_finds_the_other_strands_motif():
    # A filter on the reverse complement is its flip on the sequence, read backwards.
    layer = JoresCnn(20, filters=3, kernel_bp=5, hidden=4).first
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (1, 20)))

    def read(x, kernel):
        return torch.nn.functional.conv1d(
            one_hot(x), kernel, layer.bias, padding="same"
        )

    torch.testing.assert_close(
        read(complement(codes), layer.weight),
        read(codes, layer.weight.flip(1, 2)).flip(-1),
    )


def test_gated_convolution_against_its_formula():
    block = GatedConvolution(3, expand=1, kernel=3)
    x = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    normed = block.norm(x)
    value, gate = (normed @ block.inward.weight.T + block.inward.bias).split(3, dim=-1)
    padded = torch.nn.functional.pad(value, (0, 0, 1, 1))
    kernel = block.convolution.weight[:, 0]
    moved = torch.stack(
        [sum(padded[:, t + j] * kernel[:, j] for j in range(3)) for t in range(5)],
        dim=1,
    )
    moved = moved + block.convolution.bias
    silu = torch.nn.functional.silu
    expected = (
        x + (silu(moved) * silu(gate)) @ block.outward.weight.T + block.outward.bias
    )
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("settings", [{"wings": 2}, {"width": 15, "heads": 2}])
def test_a_setting_that_does_not_exist_or_fit_is_refused(settings):
    with pytest.raises(InputError):
        build_network("hybrid", settings, length_bp=48, n_conditions=1, n_species=1)


def test_unknown_network_is_refused():
    with pytest.raises(InputError, match="deepstarr"):
        build_network("lstm", {}, length_bp=48, n_conditions=1, n_species=1)


# -- training --------------------------------------------------------------------------


def test_masked_loss_by_hand():
    predicted = torch.tensor([[1.0, 5.0], [2.0, 0.0]], requires_grad=True)
    z = torch.tensor([[0.0, torch.nan], [4.0, torch.nan]])
    loss = masked_mse(predicted, z)
    assert loss.item() == pytest.approx((1 + 4) / 2)
    loss.backward()
    np.testing.assert_allclose(predicted.grad, [[1.0, 0.0], [-2.0, 0.0]])
    assert masked_mse(predicted, torch.full((2, 2), torch.nan)).item() == 0


def fitted(rows, folder=None, seed=0, kind="gated", training=FAST):
    table, split = rows
    model = NetworkModel("toy", NetworkSettings(kind, SMALL[kind]), training, folder)
    model.fit(table, split, seed=seed)
    return model


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_every_network_learns(rows, kind):
    model = fitted(rows, kind=kind, training=replace(FAST, epochs=6))
    losses = [h["train_loss"] for h in model.history]
    assert min(losses) < 0.85 * losses[0]


def test_same_seed_same_network_other_seed_another(rows):
    codes = rows[0].codes[:9]
    one, two, other = (fitted(rows, seed=s).predict(codes) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_the_global_generator_is_left_alone(rows):
    before = torch.get_rng_state()
    fitted(rows)
    assert torch.equal(before, torch.get_rng_state())


def test_a_run_goes_on_as_if_never_stopped(rows, tmp_path):
    whole = fitted(rows, tmp_path / "whole")

    def stop(done, _note):
        if done == 2:
            raise KeyboardInterrupt

    table, split = rows
    stopped = NetworkModel(
        "toy", NetworkSettings("gated", SMALL["gated"]), FAST, tmp_path / "stopped"
    )
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(table, split, seed=0, report=stop)
    again = fitted(rows, tmp_path / "stopped")
    assert [h["epoch"] for h in again.history] == [1, 2, 3]
    np.testing.assert_array_equal(
        whole.predict(table.codes[:9]), again.predict(table.codes[:9])
    )


def test_a_checkpoint_of_other_settings_is_refused(rows, tmp_path):
    fitted(rows, tmp_path)
    with pytest.raises(InputError, match="other settings"):
        fitted(rows, tmp_path, seed=7)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import numpy as np
from models.promoter.data import Promoters
from models.promoter.splits import Split
from models.promoter.training import NetworkModel, NetworkSettings, TrainingSettings
rng = np.random.default_rng(0)
table = Promoters(np.arange(90).astype(str), np.full(90, "x"),
    rng.integers(0, 4, (90, 32)).astype(np.uint8),
    rng.normal(size=(90, 1)).astype(np.float32), ("c",))
split = Split("s", np.arange(60), np.arange(60, 80), np.arange(80, 90))
model = NetworkModel("k", NetworkSettings("jores", {{"filters": 2}}),
    TrainingSettings(epochs=int(sys.argv[2]), batch_size=16, patience=10**6, bf16=False),
    Path(sys.argv[1]))
model.fit(table, split, report=lambda done, note: print(done, flush=True))
"""


def test_kill_nine_leaves_a_checkpoint_that_can_be_read(tmp_path):
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", KILLED.format(root=root), str(tmp_path), "100000"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 3:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["epoch"] >= 3
    assert len(state["history"]) == state["epoch"]


def test_early_stopping_keeps_the_best_epoch(rows):
    training = replace(FAST, epochs=40, learning_rate=0.05, patience=2)
    model = fitted(rows, kind="jores", training=training)
    losses = [h["validation_loss"] for h in model.history]
    assert len(losses) < 40
    assert len(losses) - 1 - int(np.argmin(losses)) == 2
    table, split = rows
    check = table.take(split.validation)
    z = predict_z(model.network, check.codes)
    loss = np.nanmean((z - model.standardisation.to_z(check.values)) ** 2)
    assert loss == pytest.approx(min(losses), rel=1e-5)


# -- ensembles -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(rows, tmp_path_factory):
    table, split = rows
    folder = tmp_path_factory.mktemp("ensemble")
    models = [fitted(rows, seed=seed) for seed in (0, 1, 2)]
    save_ensemble(
        folder, "toy", models, calibrate(models, table.take(split.validation)),
        conditions=table.conditions, length_bp=48, stand_ins={"dusk": "dark"},
    )  # fmt: skip
    return folder, models


def test_an_ensemble_is_the_calibrated_mean_of_its_networks(rows, folder):
    path, models = folder
    ensemble = load_ensemble(path)
    codes = rows[0].codes[:20]
    mean, sd = ensemble.predict(codes)
    assert ensemble.conditions == ("dark", "light", "dusk")
    each = np.stack([model.predict(codes) for model in models])
    for i, condition in enumerate(("dark", "light")):
        line = ensemble.calibration.line(condition)
        expected = line.intercept + line.slope * each[:, :, i]
        np.testing.assert_allclose(mean[:, i], expected.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(sd[:, i], expected.std(axis=0, ddof=1), rtol=1e-4)
    np.testing.assert_array_equal(mean[:, 2], mean[:, 0])
    by_species, _ = ensemble.predict(codes, species="At")
    line = ensemble.calibration.line("light", "At")
    np.testing.assert_allclose(
        by_species[:, 1], line(each[:, :, 1].mean(axis=0)), rtol=1e-5
    )


def test_changed_weights_are_refused(folder, tmp_path):
    for path in folder[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    load_ensemble(tmp_path)
    weights = tmp_path / "model1.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    with pytest.raises(MalformedFileError, match="model1"):
        load_ensemble(tmp_path)


def test_another_length_is_refused(folder):
    with pytest.raises(InputError, match="48 bp"):
        load_ensemble(folder[0]).predict(np.full((1, 50), UNKNOWN, np.uint8))


def test_a_stand_in_of_nothing_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="noon"):
        save_ensemble(
            tmp_path, "x", folder[1], load_ensemble(folder[0]).calibration,
            conditions=("dark", "light"), length_bp=48, stand_ins={"dusk": "noon"},
        )  # fmt: skip
