"""The JSON file that a benchmark writes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result, in UTF-8.

    Raises
    ------
    ValueError
        A figure is not a number: JSON has no NaN, and a figure that could not be had is
        None.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
