"""Fitting a promoter network: AdamW, cosine, early stopping; a kill loses one epoch."""

import csv
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from data_registry.errors import InputError
from encoders.nucleotides import UNKNOWN
from encoders.running_mean import move_mean
from models.promoter.data import Promoters
from models.promoter.networks import PromoterNetwork, build_network
from models.promoter.splits import Split
from models.promoter.standardisation import Standardisation
from models.schedule import warmup_cosine

STATE = "state.pt"
LOG = "log.csv"
_LOG_COLUMNS = (
    "epoch",
    "train_loss",
    "validation_loss",
    "validation_r",
    "rate",
    "seconds",
)
_BATCH_AT_REST = 512
"""Sequences at a time where nothing is learned."""

Report = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Which network, and its own settings (the arguments of its class)."""

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a network is fitted.

    Parameters
    ----------
    patience
        Epochs without a better validation loss before training stops.
    species_weight
        Of the cross entropy on the species beside the squared error on z-scores; 0 where
        a species is left out, because the head would name one it never saw.
    hidden
        Chance of each base to be shown as unknown while learning, so that padding means
        something.
    clip
        Greatest norm of the gradient.
    average
        Decay, a step, of the running mean of the weights (Polyak & Juditsky 1992), which
        is what is judged and kept; 0: the weights themselves.
    bf16
        Compute in bfloat16 where torch's autocast does; weights stay float32.
    """

    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    patience: int = 4
    species_weight: float = 0.05
    hidden: float = 0.02
    clip: float = 1.0
    average: float = 0.0
    bf16: bool = True


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let dropout and fresh weights draw from a generator; the global one is put back.

    Torch's layers take no generator of their own.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.set_rng_state(generator.get_state())
        if devices:
            torch.cuda.manual_seed(generator.initial_seed())
        yield


def _generator(*numbers: int) -> torch.Generator:
    seed = int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:6], "big")
    return torch.Generator().manual_seed(seed)


def masked_mse(predicted: Tensor, z: Tensor) -> Tensor:
    """Return the mean squared error over what was measured (not NaN); 0 of nothing."""
    known = ~torch.isnan(z)
    error = torch.where(known, predicted - torch.nan_to_num(z), 0.0)
    return error.square().sum() / known.sum().clamp(min=1)


@dataclass(slots=True)
class NetworkModel:
    """A network with the standardisation it was fitted with.

    Keeps the interface of ``baselines.KmerRidge``: ``name``, ``fit``, ``predict``.

    Parameters
    ----------
    folder
        Where a checkpoint, the log and the result are kept: a later ``fit`` with the same
        settings goes on from there. None keeps nothing.
    """

    name: str
    network_settings: NetworkSettings
    training: TrainingSettings = field(default_factory=TrainingSettings)
    folder: Path | None = None
    network: PromoterNetwork | None = None
    standardisation: Standardisation | None = None
    species: tuple[str, ...] = ()
    history: list[dict[str, float]] = field(default_factory=list)

    def fit(
        self,
        promoters: Promoters,
        split: Split,
        *,
        seed: int = 0,
        report: Report | None = None,
    ) -> None:
        """Learn from ``split.train``; stop by ``split.validation``.

        Raises
        ------
        InputError
            The folder holds a checkpoint of other settings or data.
        """
        run = _Run(self, promoters, split, seed)
        run.go(report or (lambda _done, _note: None))

    def predict(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return ``(n, conditions)`` on the measured scale."""
        assert self.network is not None, "fit comes first"  # noqa: S101
        assert self.standardisation is not None, "fit comes first"  # noqa: S101
        z = predict_z(self.network, codes, bf16=self.training.bf16)
        return self.standardisation.from_z(z)


def predict_z(
    network: PromoterNetwork, codes: NDArray[np.uint8], *, bf16: bool = False
) -> NDArray[np.float64]:
    """Return z-scores, ``(n, conditions)``, computed where the network is."""
    network.eval()
    device = network.expression.weight.device
    parts: list[NDArray[np.float64]] = []
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=bf16),
    ):
        for start in range(0, len(codes), _BATCH_AT_REST):
            batch = torch.from_numpy(codes[start : start + _BATCH_AT_REST]).to(device)
            parts.append(network(batch).expression.double().cpu().numpy())
    if not parts:
        return np.empty((0, network.expression.out_features))
    return np.concatenate(parts)


class _Run:
    """One fit: everything that changes from epoch to epoch, and its file."""

    def __init__(
        self, model: NetworkModel, promoters: Promoters, split: Split, seed: int
    ) -> None:
        self.model, self.seed, self.settings = model, seed, model.training
        train, check = promoters.take(split.train), promoters.take(split.validation)
        standard = Standardisation.fit(train.values, promoters.conditions)
        model.standardisation = standard
        model.species = tuple(sorted(set(train.species.tolist())))
        place = {name: i for i, name in enumerate(model.species)}
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.codes = torch.from_numpy(train.codes).to(self.device)
        self.z = torch.from_numpy(standard.to_z(train.values)).to(self.device)
        labels = [place[name] for name in train.species.tolist()]
        self.labels = torch.tensor(labels, device=self.device)
        self.check_codes, self.check_z = check.codes, standard.to_z(check.values)
        self.digest = _digest(model, train, check, seed)

        with drawing_from(_generator(seed)):
            self.network = build_network(
                model.network_settings.kind, dict(model.network_settings.settings),
                length_bp=promoters.length_bp, n_conditions=len(promoters.conditions),
                n_species=len(model.species),
            ).to(self.device)  # fmt: skip
        self.optimizer = torch.optim.AdamW(
            _groups(self.network, self.settings.weight_decay),
            lr=self.settings.learning_rate,
        )
        # Of one network nothing but its weights may differ from its average.
        self.average = deepcopy(self.network) if self.settings.average else self.network
        self.steps = 0
        self.epoch = 0
        self.best_loss = math.inf
        self.best_epoch = 0
        self.best: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []
        self._resume()

    def go(self, report: Report) -> None:
        settings, model = self.settings, self.model
        while (
            self.epoch < settings.epochs
            and self.epoch - self.best_epoch < settings.patience
        ):
            began = time.monotonic()
            train_loss = self._one_epoch()
            z = predict_z(self.average, self.check_codes, bf16=settings.bf16)
            loss = float(np.nanmean((z - self.check_z) ** 2))
            self.epoch += 1
            if loss < self.best_loss:
                self.best_loss, self.best_epoch = loss, self.epoch
                self.best = {
                    name: value.detach().clone()
                    for name, value in self.average.state_dict().items()
                }
            elif not math.isfinite(loss):
                raise InputError(
                    f"{model.name}: validation loss is {loss} after epoch {self.epoch}; "
                    "lower learning_rate"
                )
            self.history.append({
                "epoch": self.epoch, "train_loss": train_loss, "validation_loss": loss,
                "validation_r": mean_correlation(z, self.check_z),
                "rate": self.optimizer.param_groups[0]["lr"],
                "seconds": time.monotonic() - began,
            })  # fmt: skip
            self._save()
            report(
                self.epoch, f"loss {train_loss:.3f}, validation {loss:.3f}, "
                f"r {self.history[-1]['validation_r']:.3f}",
            )  # fmt: skip
        self.network.load_state_dict(self.best)
        model.network, model.history = self.network.eval().cpu(), self.history

    def _one_epoch(self) -> float:
        settings, n = self.settings, len(self.codes)
        generator = _generator(self.seed, self.epoch)
        order = torch.randperm(n, generator=generator).to(self.device)
        # A last batch of one has no variance for batch normalisation.
        n_batches = max(n // settings.batch_size, 1)
        total = torch.zeros((), device=self.device)
        self.network.train()
        with drawing_from(generator):
            for i in range(n_batches):
                rows = order[i * settings.batch_size : (i + 1) * settings.batch_size]
                self._set_rate((self.epoch + i / n_batches) / settings.epochs)
                codes = self.codes[rows]
                hide = torch.rand(codes.shape, generator=generator) < settings.hidden
                codes = codes.masked_fill(hide.to(self.device), UNKNOWN)
                with torch.autocast(
                    self.device.type, torch.bfloat16, enabled=settings.bf16
                ):
                    outputs = self.network(codes)
                loss = masked_mse(outputs.expression, self.z[rows])
                total += loss.detach()
                if settings.species_weight and len(self.model.species) > 1:
                    loss = loss + settings.species_weight * F.cross_entropy(
                        outputs.species, self.labels[rows]
                    )
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
                self.optimizer.step()
                self._average()
        return float(total) / n_batches

    def _average(self) -> None:
        """Move the average towards the network; counts and the like are copied."""
        self.steps += 1
        if self.average is self.network:
            return
        move_mean(
            self.average.state_dict(), self.network.state_dict(),
            decay=self.settings.average, steps=self.steps,
        )  # fmt: skip

    def _set_rate(self, progress: float) -> None:
        share = warmup_cosine(progress, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * max(share, 0.01)

    def _resume(self) -> None:
        path = self.model.folder / STATE if self.model.folder else None
        if path is None or not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["digest"] != self.digest:
            raise InputError(
                f"{path} is of other settings or data; give another folder or delete it"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.steps = state["steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.history = state["epoch"], state["history"]
        self.best, self.best_loss = state["best"], state["best_loss"]
        self.best_epoch = state["best_epoch"]

    def _save(self) -> None:
        if self.model.folder is None:
            return
        folder = self.model.folder
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f"{STATE}.{os.getpid()}"
        torch.save(
            {
                "digest": self.digest, "epoch": self.epoch, "history": self.history,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(), "steps": self.steps,
                "optimizer": self.optimizer.state_dict(),
                "best": self.best, "best_loss": self.best_loss,
                "best_epoch": self.best_epoch,
            },
            beside,
        )  # fmt: skip
        beside.replace(folder / STATE)
        beside = folder / f"{LOG}.{os.getpid()}"
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _LOG_COLUMNS)
            writer.writeheader()
            writer.writerows(self.history)
        beside.replace(folder / LOG)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return parameter groups: biases, norms and scales are not decayed."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {
            "params": [p for p in parameters if p.ndim >= 2],
            "weight_decay": weight_decay,
        },
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _digest(model: NetworkModel, train: Promoters, check: Promoters, seed: int) -> str:
    about = {
        "network": asdict(model.network_settings), "training": asdict(model.training),
        "seed": seed, "conditions": train.conditions,
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for part in (train, check):
        digest.update(part.codes.tobytes())
        digest.update(part.values.tobytes())
        digest.update("\n".join(part.species.tolist()).encode())
    return digest.hexdigest()


def mean_correlation(predicted: NDArray[np.floating], z: NDArray[np.floating]) -> float:
    """Return Pearson's r, averaged over conditions with at least 3 values; NaN of none."""
    found = []
    for i in range(z.shape[1]):
        known = ~np.isnan(z[:, i])
        if known.sum() >= 3 and np.ptp(predicted[known, i]) and np.ptp(z[known, i]):
            found.append(np.corrcoef(predicted[known, i], z[known, i])[0, 1])
    return float(np.mean(found)) if found else math.nan
