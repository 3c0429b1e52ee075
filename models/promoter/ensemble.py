"""A trained model as users meet it: several seeds, one prediction and its spread."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from data_registry.errors import InputError
from models.ensemble_folder import CONFIG, checked_weights, read_config
from models.promoter.data import Promoters
from models.promoter.networks import PromoterNetwork, build_network
from models.promoter.standardisation import Calibration, Line, Standardisation
from models.promoter.training import NetworkModel, predict_z

FORM = "cisgraph promoter ensemble 1"
WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "plant_promoter"
"""The ensemble that ships with the package."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks that differ in their seed alone, asked as one.

    Parameters
    ----------
    trained
        The conditions the networks learned, in the order of their heads.
    stand_ins
        Conditions without admissible training rows, and the trained condition that is
        reported in their place.
    """

    name: str
    networks: tuple[PromoterNetwork, ...]
    standardisations: tuple[Standardisation, ...]
    calibration: Calibration
    trained: tuple[str, ...]
    stand_ins: Mapping[str, str]
    species: tuple[str, ...]
    length_bp: int
    digest: str

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the columns of ``predict``: the trained, then the stand-ins."""
        return (*self.trained, *self.stand_ins)

    def predict(
        self, codes: NDArray[np.uint8], *, species: str | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return expression and its spread over the networks.

        Parameters
        ----------
        codes
            ``(n, length_bp)``, 5' to 3' on the strand of the gene.
        species
            Use this species' calibration where it has one.

        Returns
        -------
        mean, sd
            ``(n, conditions)`` on the scale of the training table (``log2(1 + TPM)``
            where that was TPM). ``sd`` is the standard deviation between networks
            (n − 1): what the seed decides, not the error of the prediction.

        Raises
        ------
        InputError
            The codes have another length.
        """
        if codes.ndim != 2 or codes.shape[1] != self.length_bp:
            raise InputError(
                f"{self.name} reads {self.length_bp} bp, not an array of shape "
                f"{codes.shape}; bring sequences to that length with fit_length"
            )
        each = np.stack([
            standard.from_z(predict_z(network, codes))
            for network, standard in zip(self.networks, self.standardisations, strict=True)
        ])  # fmt: skip
        columns = [
            self.trained.index(self.stand_ins.get(c, c)) for c in self.conditions
        ]
        each = each[:, :, columns]
        lines = [
            self.calibration.line(self.stand_ins.get(c, c), species)
            for c in self.conditions
        ]
        slope = np.array([line.slope for line in lines])
        intercept = np.array([line.intercept for line in lines])
        each = intercept + slope * each
        ddof = 1 if len(each) > 1 else 0
        return each.mean(axis=0), each.std(axis=0, ddof=ddof)


def calibrate(
    models: Sequence[NetworkModel], held_out: Promoters, *, log2p1: bool = False
) -> Calibration:
    """Fit the lines from the mean of the models to what was measured.

    Parameters
    ----------
    held_out
        Validation rows: they stopped the training and judge nothing else.
    """
    predicted = np.mean([model.predict(held_out.codes) for model in models], axis=0)
    return Calibration.fit(
        predicted, held_out.values.astype(np.float64), held_out.species,
        held_out.conditions, log2p1=log2p1,
    )  # fmt: skip


def save_ensemble(
    folder: Path,
    name: str,
    models: Sequence[NetworkModel],
    calibration: Calibration,
    *,
    conditions: Sequence[str],
    length_bp: int,
    stand_ins: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write ``config.json`` and one safetensors file a network.

    The configuration is written last: a folder with one is whole.

    Raises
    ------
    InputError
        Nothing was fitted, or a stand-in names no trained condition.
    """
    if not models or any(model.network is None for model in models):
        raise InputError(f"{name}: no fitted network to write")
    stand_ins = dict(stand_ins or {})
    if unknown := sorted(set(stand_ins.values()) - set(conditions)):
        raise InputError(
            f"stand_ins name {', '.join(unknown)}; trained are {', '.join(conditions)}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    members = []
    for i, model in enumerate(models):
        assert model.network is not None  # noqa: S101 - checked above
        assert model.standardisation is not None  # noqa: S101
        path = folder / f"model{i}.safetensors"
        beside = path.with_suffix(f".{os.getpid()}")
        tensors = {k: v.contiguous() for k, v in model.network.state_dict().items()}
        save_file(tensors, beside)
        beside.replace(path)
        members.append({
            "weights": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "mean": model.standardisation.mean.tolist(),
            "sd": model.standardisation.sd.tolist(),
        })  # fmt: skip
    config = {
        "form": FORM, "name": name, "conditions": list(conditions),
        "stand_ins": stand_ins, "species": list(models[0].species),
        "length_bp": length_bp,
        "network": {
            "kind": models[0].network_settings.kind,
            "settings": dict(models[0].network_settings.settings),
        },
        "members": members, "calibration": asdict(calibration),
        "provenance": dict(provenance or {}),
    }  # fmt: skip
    beside = folder / f"{CONFIG}.{os.getpid()}"
    beside.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    beside.replace(folder / CONFIG)


def load_ensemble(folder: Path | None = None) -> Ensemble:
    """Return the ensemble of a folder; without one, the plant promoter model we ship.

    Raises
    ------
    MalformedFileError
        A file is missing, of another form, or not the one that was written.
    """
    folder = WEIGHTS if folder is None else folder
    remedy = "Train it again with 'python -m models.train promoter'."
    config, digest = read_config(folder, FORM, remedy)
    networks, standards = [], []
    for member in config["members"]:
        weights = checked_weights(folder, member, remedy)
        network = build_network(
            config["network"]["kind"], config["network"]["settings"],
            length_bp=config["length_bp"], n_conditions=len(config["conditions"]),
            n_species=len(config["species"]),
        )  # fmt: skip
        network.load_state_dict(load_file(weights))
        networks.append(network.eval())
        standards.append(
            Standardisation(np.array(member["mean"]), np.array(member["sd"]))
        )
    return Ensemble(
        name=config["name"], networks=tuple(networks), standardisations=tuple(standards),
        calibration=_calibration(config["calibration"]),
        trained=tuple(config["conditions"]), stand_ins=config["stand_ins"],
        species=tuple(config["species"]), length_bp=config["length_bp"],
        digest=digest,
    )  # fmt: skip


def _calibration(read: Mapping[str, Any]) -> Calibration:
    def lines(of: Mapping[str, Any]) -> dict[str, Line]:
        return {name: Line(**line) for name, line in of.items()}

    return Calibration(
        lines(read["lines"]),
        {name: lines(of) for name, of in read["by_species"].items()},
        read["log2p1"],
    )
