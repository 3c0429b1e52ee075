"""One TOML file says which graph is learned from, what is learned, and by which network."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_registry.errors import InputError
from graph_builder.schema import EDGE_TYPES, NODE_TYPES
from models.graph.network import NetworkSettings
from models.graph.training import CausalSettings, TrainingSettings
from models.promoter.settings import build_settings

VARIANTS, EXPRESSION, LINKS = "variants", "expression", "links"
ELEMENTS, ACTIVITY = "elements", "activity"
KINDS = (VARIANTS, EXPRESSION, LINKS, ELEMENTS, ACTIVITY)


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """One thing to learn.

    Parameters
    ----------
    kind
        ``variants``: a table of variants with ``label`` (``--variants``);
        ``expression``: a number a gene and sample of ``dataset``, log2(1 + value);
        ``links``: whether two nodes have an edge of type ``edge``, or its ``value``;
        ``elements``: class of regulatory elements;
        ``activity``: their activity, log2(1 + value), hidden with all made from it.
    dataset
        Name of an expression data set.
    edge
        Edge type; it is hidden from the graph.
    value
        Number attribute of the edge to predict; empty for yes or no.
    negatives
        Pairs without an edge drawn for each with one.
    weight
        Of its loss beside the others'.
    """

    kind: str
    dataset: str = ""
    edge: str = ""
    value: str = ""
    negatives: int = 2
    weight: float = 1.0

    @property
    def name(self) -> str:
        """Name of its head."""
        return "_".join(
            p for p in (self.kind, self.dataset, self.edge, self.value) if p
        )


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """Contigs that stop and calibrate, and contigs that only judge."""

    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a run depends on but the data.

    Parameters
    ----------
    types
        Node types of the graph that take part.
    leave_out
        Edge types that must not be seen, such as those that carry the labels.
    leave_out_features
        Columns of the variant table that are not read.
    embeddings
        Node type to the name of the encoder whose cached vectors it gets, reduced to
        ``components`` principal components.
    """

    name: str
    tasks: tuple[TaskSettings, ...]
    types: tuple[str, ...] = ("gene", "cre", "tf", "contact_bin", "pathway")
    leave_out: tuple[str, ...] = ()
    leave_out_features: tuple[str, ...] = ()
    embeddings: Mapping[str, str] = field(default_factory=dict)
    components: int = 8
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def hidden(self) -> set[str]:
        """Edge types that messages do not travel on."""
        return {*self.leave_out, *(t.edge for t in self.tasks if t.edge)}


def read_settings(path: Path) -> Settings:
    """Read a configuration.

    Raises
    ------
    InputError
        It is not TOML, or a setting is unknown, missing or impossible.
    """
    try:
        return settings_from(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, InputError) as error:
        raise InputError(f"{path}: {error}") from error


def settings_from(content: Mapping[str, Any]) -> Settings:
    """Build settings from the tables of a TOML file, or of a model's provenance.

    Raises
    ------
    InputError
        A setting is unknown, missing or impossible.
    """
    content = _tuples(content)
    training = dict(content.get("training", {}))
    causal = build_settings(
        CausalSettings, training.get("causal", {}), "training.causal"
    )
    content |= {
        "tasks": tuple(
            build_settings(TaskSettings, task, "tasks")
            for task in content.get("tasks", ())
        ),
        "network": build_settings(
            NetworkSettings, content.get("network", {}), "network"
        ),
        "training": build_settings(
            TrainingSettings, training | {"causal": causal}, "training"
        ),
        "split": build_settings(SplitSettings, content.get("split", {}), "split"),
    }
    settings: Settings = build_settings(Settings, content, "the top")
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    if not settings.tasks or not settings.seeds:
        raise InputError("give at least one [[tasks]] and one of seeds")
    for task in settings.tasks:
        if task.kind not in KINDS:
            raise InputError(
                f"no kind of task {task.kind!r}; there are {', '.join(KINDS)}"
            )
        if task.kind == LINKS and task.edge not in EDGE_TYPES:
            raise InputError(f"task links: no edge type {task.edge!r}")
    names = [task.name for task in settings.tasks]
    if len(set(names)) < len(names):
        raise InputError(f"a task stands twice: {', '.join(names)}")
    if sum(task.kind == VARIANTS for task in settings.tasks) > 1:
        raise InputError("one task of variants is the most there can be")
    if unknown := sorted(set(settings.types) - set(NODE_TYPES)):
        raise InputError(
            f"no node type {unknown[0]!r}; there are {', '.join(NODE_TYPES)}"
        )
    if "variant" in settings.types:
        raise InputError(
            "variants of the graph cannot take part: which are there says what is known "
            "of them; they are attached from --variants"
        )
    if unknown := sorted(set(settings.embeddings) - set(settings.types)):
        raise InputError(f"embeddings: {unknown[0]!r} is not among types")
    if unknown := sorted(set(settings.leave_out) - set(EDGE_TYPES)):
        raise InputError(f"leave_out: no edge type {unknown[0]!r}")
    if settings.network.width % settings.network.heads:
        raise InputError("network: width is no multiple of heads")


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables with lists as tuples."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found[name] = _tuples(value)
        elif isinstance(value, list | tuple):
            found[name] = tuple(
                _tuples(one) if isinstance(one, Mapping) else one for one in value
            )
        else:
            found[name] = value
    return found
