"""Trained models of a workspace: which there are, whether they are sound, opening them.

``models/language/``, ``models/promoter/`` and ``models/graph/`` hold one model each, a copy
of one that we ship or of one's own. Their libraries are an extra, so they are imported on opening.
"""

import hashlib
import importlib.util
import json
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

import encoders
import models
from data_registry.errors import InputError, MissingOptionalError, PlatformError
from data_registry.workspace import disk_error, sha256_of, write_folder
from encoders.likelihood import both_strands, log_probabilities_at
from encoders.sequence_model import SequenceModel

if TYPE_CHECKING:
    from models.graph.ensemble import Opened
    from models.promoter import Ensemble

KINDS = ("language", "promoter", "graph")
CONFIG = "config.json"
NO_LANGUAGE_MODEL = (
    "no language model is in this workspace; 'cisgraph models list' names those we "
    "ship, 'cisgraph models add NAME_OR_FOLDER' adds one"
)
NO_PROMOTER_MODEL = NO_LANGUAGE_MODEL.replace("language", "promoter", 1)
NO_GRAPH_MODEL = (
    "no graph model is in this workspace; 'python -m models.train graph' trains one, "
    "'cisgraph models add FOLDER' adds it"
)
REMEDY = "pip install 'cisgraph[models]'"
ORIGIN_FILE = ".origin.json"
"""Written beside a model's copy in a workspace: its name, and the checksums of its own
code that may run."""

_SHIPPED = tuple(
    Path(package.__path__[0]) / "weights" for package in (encoders, models)
)
_PROBE_BP = 200


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A folder with ``config.json`` and weights.

    Parameters
    ----------
    kind
        One of ``KINDS``.
    name
        The name in its configuration, else of its folder.
    """

    kind: str
    name: str
    folder: Path

    @property
    def digest(self) -> str:
        """Digest of all its files but the card; to be had without opening the model."""
        files = sorted(p for p in self.folder.rglob("*") if p.is_file())
        parts = [
            f"{path.relative_to(self.folder).as_posix()} {sha256_of(path)}\n"
            for path in files
            if path.suffix != ".md" and not path.name.startswith(".")
        ]
        return hashlib.sha256("".join(parts).encode()).hexdigest()


def read_model(folder: Path) -> TrainedModel:
    """Recognise a model by its configuration.

    Raises
    ------
    InputError
        The folder holds no configuration that can be read.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no trained model: {path.name} cannot be read ({error})"
        ) from error
    if not isinstance(config, dict):
        raise InputError(f"{path} holds no settings; is this a trained model?")
    form = str(config.get("form", ""))
    kind = next((k for k in ("promoter", "graph") if f" {k} " in form), "language")
    name = config.get("name") or _origin(folder).get("name") or folder.name
    return TrainedModel(kind, str(name), folder)


def shipped_models() -> dict[str, TrainedModel]:
    """Return the models that come with the package, by name of their folder."""
    return {
        path.parent.name: read_model(path.parent)
        for root in _SHIPPED
        for path in sorted(root.glob(f"*/{CONFIG}"))
    }


def find_model(workspace: Path, kind: str) -> TrainedModel | None:
    """Return the workspace's model of a kind, None without one."""
    folder = workspace / "models" / kind
    return read_model(folder) if (folder / CONFIG).is_file() else None


def missing_library() -> str:
    """Say what is not installed, with the remedy; '' when nothing is missing."""
    if importlib.util.find_spec("torch") is None:
        return f"trained models need torch, which is not installed: {REMEDY}"
    return ""


def open_language(
    model: TrainedModel,
    *,
    n_threads: int | None = None,
    device: str = "cpu",
    allow_remote_code: bool | None = None,
) -> SequenceModel:
    """Open a language model, ours or a published one, answering alike on both strands.

    Parameters
    ----------
    n_threads
        Threads it may use in this process; None leaves them.
    device
        Where it computes, as torch names it; ``auto`` is a GPU where there is one.
    allow_remote_code
        Whether code that lies in the folder of a published model may run. None: as it
        was said when the model was added to its workspace.

    Raises
    ------
    InputError
        It brings code that is not allowed, or that has changed since.
    MissingOptionalError
        torch is not installed.
    MalformedFileError
        The files are not those of a model.
    """
    if problem := missing_library():
        raise MissingOptionalError(problem)
    if device == "auto":
        device = "cuda" if import_module("torch").cuda.is_available() else "cpu"
    config = json.loads((model.folder / CONFIG).read_text(encoding="utf-8"))
    # transformers writes this into every configuration; ours has none.
    if "model_type" in config or "architectures" in config:
        module = _import("encoders.published.models", n_threads)
        if allow_remote_code is None:
            allowed = _origin(model.folder).get("allowed_code")
            allow_remote_code = bool(allowed) and allowed == _code_of(model.folder)
        return both_strands(
            module.load_published(
                model.folder, allow_remote_code=allow_remote_code, device=device
            )
        )
    module = _import("encoders.language", n_threads)
    return both_strands(module.load_language_model(model.folder, device))


def _code_of(folder: Path) -> dict[str, str]:
    """Return the checksum of each Python file of a model."""
    return {path.name: sha256_of(path) for path in sorted(folder.glob("*.py"))}


def _origin(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def open_promoter(model: TrainedModel, *, n_threads: int | None = None) -> "Ensemble":
    """Open a promoter ensemble; as ``open_language``."""
    module = _import("models.promoter", n_threads)
    opened: Ensemble = module.load_ensemble(model.folder)
    return opened


def open_graph(
    model: TrainedModel, graph: Path, *, n_threads: int | None = None
) -> "Opened":
    """Open a graph model on a stored graph; as ``open_language``."""
    module = _import("models.graph.ensemble", n_threads)
    opened: Opened = module.load_ensemble(model.folder).open(graph)
    return opened


def _import(name: str, n_threads: int | None) -> ModuleType:
    if problem := missing_library():
        raise MissingOptionalError(problem)
    if n_threads is not None:
        import torch

        torch.set_num_threads(n_threads)
    return import_module(name)


def check_model(model: TrainedModel, *, allow_remote_code: bool = False) -> str:
    """Open a model and ask it something; return what it is, in one line.

    Raises
    ------
    InputError
        Its answers are not those of a model.
    """
    codes = np.random.default_rng(1).integers(0, 4, _PROBE_BP).astype(np.uint8)
    if model.kind == "promoter":
        ensemble = open_promoter(model)
        codes = np.resize(codes, (1, ensemble.length_bp))
        if not all(np.isfinite(part).all() for part in ensemble.predict(codes)):
            raise InputError(f"{model.folder}: predictions are not numbers")
        return (
            f"promoters of {ensemble.length_bp} bp, {len(ensemble.networks)} networks: "
            + ", ".join(ensemble.conditions)
        )
    if model.kind == "graph":
        held = _import("models.graph.ensemble", None).load_ensemble(model.folder)
        if held.columns is None:
            raise InputError(
                f"{model.folder} has no task of variants, so it cannot score; "
                "'python -m models.predict graph' asks its other heads"
            )
        return (
            f"graph model, {len(held.networks)} networks, reads {held.columns.width} "
            f"attributes of a variant and {len(held.layout.edges)} edge types"
        )
    language = open_language(model, allow_remote_code=allow_remote_code)
    few = np.arange(0, _PROBE_BP, 50)
    total = np.exp(log_probabilities_at(language, codes, few)).sum(axis=1)
    if total.shape != few.shape or not np.allclose(total, 1, atol=1e-3):
        raise InputError(
            f"{model.folder}: probabilities of the bases do not sum to one"
        )
    return f"language model {language.name}, reads {language.reach_bp} bp on each side"


def add_model(
    name_or_folder: str, workspace: Path, *, allow_remote_code: bool = False
) -> tuple[TrainedModel, str]:
    """Check a model and copy it into a workspace, in place of the one of its kind.

    Parameters
    ----------
    name_or_folder
        Name of a shipped model, or a folder.
    allow_remote_code
        Run the code that a published model brings, now and whenever the workspace uses
        it; the checksums of the files are kept, and changed code is refused.

    Returns
    -------
    tuple
        The model in the workspace, and what it is.

    Raises
    ------
    InputError
        There is no such model, or it does not work.
    """
    shipped = shipped_models()
    given = Path(name_or_folder)
    if name_or_folder in shipped:
        source = shipped[name_or_folder]
    elif given.is_dir():
        source = read_model(given)
    else:
        raise InputError(
            f"{name_or_folder!r} is neither a folder nor a model that we ship "
            f"({', '.join(shipped) or 'none'})"
        )
    try:
        what = check_model(source, allow_remote_code=allow_remote_code)
    except PlatformError:
        raise
    except Exception as error:
        raise InputError(f"{source.folder} cannot be opened: {error}") from error
    target = workspace / "models" / source.kind

    def copy(folder: Path) -> None:
        shutil.copytree(source.folder, folder, dirs_exist_ok=True)
        # In place of one that came with the model: its permissions are none.
        allowed = _code_of(folder) if allow_remote_code else {}
        origin = {"name": source.name, "allowed_code": allowed}
        (folder / ORIGIN_FILE).write_text(json.dumps(origin), encoding="utf-8")

    try:
        write_folder(target, copy)
    except OSError as error:
        raise disk_error(error, target) from error
    return read_model(target), what
