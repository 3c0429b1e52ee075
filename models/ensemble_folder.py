"""A folder of networks that belong together: ``config.json``, and weights by checksum."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_registry.errors import MalformedFileError

CONFIG = "config.json"


def read_config(folder: Path, form: str, remedy: str) -> tuple[dict[str, Any], str]:
    """Return the configuration of an ensemble, and its sha256.

    Parameters
    ----------
    form
        What ``config["form"]`` must say.

    Raises
    ------
    MalformedFileError
        It cannot be read, or is of another form.
    """
    path = folder / CONFIG
    try:
        text = path.read_text(encoding="utf-8")
        config = json.loads(text)
    except (OSError, ValueError) as error:
        raise MalformedFileError(
            path, f"cannot be read: {error}", remedy=remedy
        ) from error
    if not isinstance(config, dict) or config.get("form") != form:
        raise MalformedFileError(path, f"is no {form!r}", remedy=remedy)
    return config, hashlib.sha256(text.encode()).hexdigest()


def checked_weights(folder: Path, member: Mapping[str, str], remedy: str) -> Path:
    """Return the weights of one network.

    Raises
    ------
    MalformedFileError
        The file is missing, or not the one that ``config.json`` was written with.
    """
    weights = folder / member["weights"]
    if not weights.is_file():
        raise MalformedFileError(weights, "is missing", remedy=remedy)
    if hashlib.sha256(weights.read_bytes()).hexdigest() != member["sha256"]:
        raise MalformedFileError(
            weights, "is not the file config.json was written with", remedy=remedy
        )
    return weights
