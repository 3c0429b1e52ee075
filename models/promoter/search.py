"""Choosing settings by validation loss, with optuna; a kill loses one trial."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna

from models.promoter.settings import Prepared, Settings
from models.promoter.training import NetworkModel, NetworkSettings

_SEED = 0


def search_settings(
    settings: Settings,
    prepared: Prepared,
    folder: Path,
    n_trials: int,
    *,
    report: Callable[[int, str], None],
) -> Settings:
    """Return the settings of the trial with the least validation loss.

    Learning rate, weight decay, dropout and the weight of the species are tried, by a
    tree-structured Parzen estimator with a fixed seed; test rows play no part. Trials are
    kept in ``folder/trials.db``: a later call adds what is missing to ``n_trials``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'trials.db'}", study_name=settings.name,
        sampler=optuna.samplers.TPESampler(seed=_SEED), load_if_exists=True,
    )  # fmt: skip

    def loss(trial: optuna.Trial) -> float:
        tried = _settings(settings, trial)
        model = NetworkModel(settings.name, tried.network, tried.training)
        model.fit(prepared.trained, prepared.split, seed=_SEED)
        return min(h["validation_loss"] for h in model.history)

    while (done := _n_done(study)) < n_trials:
        study.optimize(loss, n_trials=1)
        report(done + 1, f"best validation loss {study.best_value:.4f}")
    best = json.dumps({"loss": study.best_value, **study.best_params}, indent=1)
    (folder / "best.json").write_text(best + "\n", encoding="utf-8")
    return _settings(settings, study.best_trial)


def _n_done(study: optuna.Study) -> int:
    finished = optuna.trial.TrialState.COMPLETE
    return len(study.get_trials(deepcopy=False, states=(finished,)))


def _settings(
    settings: Settings, trial: optuna.Trial | optuna.trial.FrozenTrial
) -> Settings:
    training = replace(
        settings.training,
        learning_rate=trial.suggest_float("learning_rate", 2e-4, 5e-3, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-3, 0.3, log=True),
        species_weight=trial.suggest_float("species_weight", 0.0, 0.2),
    )
    network = dict(settings.network.settings)
    network["dropout"] = trial.suggest_float("dropout", 0.0, 0.4)
    return replace(
        settings,
        training=training,
        network=NetworkSettings(settings.network.kind, network),
    )
