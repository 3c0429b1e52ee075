"""Opens a folder as a ``SequenceModel``: one of ours, or a published one."""

import json
from pathlib import Path

from data_registry.errors import MalformedFileError
from encoders.language import LanguageConfig, load_language_model
from encoders.published.models import load_published
from encoders.sequence_model import SequenceModel


def is_ours(folder: Path) -> bool:
    """Say whether a folder was written by ``encoders.pretrain``.

    Raises
    ------
    MalformedFileError
        There is no readable ``config.json``.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MalformedFileError(
            path,
            f"cannot be read ({error})",
            remedy="Give a folder with config.json and model.safetensors",
        ) from error
    known = LanguageConfig.__dataclass_fields__
    return (
        isinstance(config, dict) and "objective" in config and set(config) <= set(known)
    )


def open_sequence_model(
    folder: Path,
    *,
    reach_bp: int | None = None,
    allow_remote_code: bool = False,
    one_pass: bool = False,
    device: str = "cpu",
) -> SequenceModel:
    """Open a model; ``reach_bp`` and ``one_pass`` are only of published ones.

    Raises
    ------
    InputError, MalformedFileError, MissingOptionalError
        The folder lacks something; the message says what to do.
    """
    if is_ours(folder):
        return load_language_model(folder, device)
    return load_published(
        folder,
        reach_bp=reach_bp,
        one_pass=one_pass,
        allow_remote_code=allow_remote_code,
        device=device,
    )
