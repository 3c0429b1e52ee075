"""One TOML file says what is learned from which rows by which network."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from data_registry.errors import InputError
from models.promoter.data import Columns, Promoters, read_promoters
from models.promoter.registered import read_registered
from models.promoter.splits import (
    Split,
    grouped_split,
    published_split,
    similarity_clusters,
)
from models.promoter.training import NetworkSettings, TrainingSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Where promoters come from: a table, or the genes of a workspace.

    Parameters
    ----------
    table
        Path under the data folder (``--data``); empty for a workspace.
    expression
        Name of the workspace's expression source, for a workspace.
    length_bp
        Bases a model reads: 170 for the elements of Jores et al., 3,001 around a
        transcription start.
    test_conditions
        Conditions whose promoters judge and never teach; no head is made for them.
    stand_ins
        The trained condition that is reported in place of one of ``test_conditions``.
    """

    table: str = ""
    expression: str = ""
    length_bp: int = 170
    columns: Columns = field(default_factory=Columns)
    test_conditions: tuple[str, ...] = ()
    stand_ins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """Seed of the split, and the species that only judges, if any."""

    seed: int = 3
    leave_out_species: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a run depends on but the data."""

    name: str
    data: DataSettings
    network: NetworkSettings
    training: TrainingSettings = field(default_factory=TrainingSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    seeds: tuple[int, ...] = (0, 1, 2)


def read_settings(path: Path) -> Settings:
    """Read a configuration.

    Raises
    ------
    InputError
        It is not TOML, or a setting is unknown or missing.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    try:
        return settings_from(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def settings_from(content: Mapping[str, Any]) -> Settings:
    """Build settings from the tables of a TOML file, or of a model's provenance.

    Raises
    ------
    InputError
        A setting is unknown or missing.
    """
    content = dict(content)
    data = dict(_table(content, "data"))
    columns = dict(_table(data, "columns"))
    columns["conditions"] = tuple(columns.get("conditions", ()))
    for optional in ("identifier", "species"):
        if columns.get(optional) == "":
            columns[optional] = None
    data["columns"] = build_settings(Columns, columns, "data.columns")
    data["test_conditions"] = tuple(data.get("test_conditions", ()))
    network = dict(_table(content, "network"))
    kind = network.pop("kind", None)
    if not isinstance(kind, str):
        raise InputError("[network] needs a kind")
    # A model's provenance holds settings in a table of their own.
    network = dict(network.get("settings", network))
    content |= {
        "data": build_settings(DataSettings, data, "data"),
        "network": NetworkSettings(kind, network),
        "training": build_settings(
            TrainingSettings, _table(content, "training"), "training"
        ),
        "split": build_settings(SplitSettings, _table(content, "split"), "split"),
        "seeds": tuple(content.get("seeds", (0, 1, 2))),
    }
    settings = build_settings(Settings, content, "the top")
    given = (settings.data.table, settings.data.expression)
    if bool(given[0]) == bool(given[1]):
        raise InputError("[data] needs either a table or an expression source")
    if not settings.seeds:
        raise InputError("seeds is empty; give at least one")
    return settings


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name, {})
    if not isinstance(found, Mapping):
        raise InputError(f"{name} is no table")
    return found


def build_settings(kind: type[T], content: Mapping[str, Any], where: str) -> T:
    """Fill a dataclass of settings from a table.

    Raises
    ------
    InputError
        A setting is unknown or missing.
    """
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(set(content) - set(known)):
        raise InputError(
            f"{where}: {unknown[0]!r} is unknown; known are {', '.join(known)}"
        )
    try:
        return kind(**content)
    except TypeError as error:
        raise InputError(f"{where}: {error}") from error


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows as a configuration asks for them.

    Parameters
    ----------
    all
        With the test conditions.
    trained
        The same rows, without them.
    clusters
        ``(n,)`` similarity cluster of each row.
    """

    all: Promoters
    trained: Promoters
    clusters: NDArray[np.intp]
    split: Split


def prepare(settings: Settings, data: Path | None, workspace: Path | None) -> Prepared:
    """Read the promoters and split them by similarity.

    Raises
    ------
    InputError
        Neither the data folder nor the workspace is given, or nothing is left to learn.
    """
    where = settings.data
    if where.table:
        if data is None:
            raise InputError("the configuration names a table: give --data")
        promoters = read_promoters(
            data / where.table, where.columns, length_bp=where.length_bp
        )
    else:
        if workspace is None:
            raise InputError("the configuration names an expression source: give -w")
        promoters = read_registered(
            workspace, where.expression,
            length_bp=where.length_bp, log2p1=where.columns.log2p1,
        )  # fmt: skip
    clusters = similarity_clusters(promoters.codes)
    rng = np.random.default_rng(settings.split.seed)
    if species := settings.split.leave_out_species:
        test = promoters.species == species
        if not test.any():
            known = ", ".join(sorted(set(promoters.species.tolist())))
            raise InputError(f"no promoter of species {species!r}; there are {known}")
        split = grouped_split(f"species {species}", clusters, rng, test=test)
    elif where.test_conditions:
        split = published_split(promoters, clusters, where.test_conditions, rng)
    else:
        split = grouped_split("cluster", clusters, rng)
    left = [c for c in promoters.conditions if c not in where.test_conditions]
    return Prepared(promoters, promoters.keep_conditions(left), clusters, split)
