"""What a person keeps between visits: saved filters and lists of variants.

One small file of the person's own (``$XDG_DATA_HOME/cisgraph/dashboard.json``), by name of
the workspace. Workspaces themselves are never written to.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

from data_registry.errors import InputError
from data_registry.workspace import written_beside

Allele = tuple[str, int, str, str]

_lock = threading.Lock()


def notebook_file() -> Path:
    """Return where it is kept."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "cisgraph" / "dashboard.json"


def _read() -> dict[str, Any]:
    try:
        held = json.loads(notebook_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{notebook_file()} cannot be read ({error}); move it away to start a new one"
        ) from error
    return held if isinstance(held, dict) else {}


def _kept(workspace: str, what: str) -> dict[str, Any]:
    kept = _read().get(workspace, {}).get(what, {})
    return kept if isinstance(kept, dict) else {}


def _keep(workspace: str, what: str, name: str, value: object) -> None:
    with _lock:
        held = _read()
        entries = held.setdefault(workspace, {}).setdefault(what, {})
        if value:
            entries[name] = value
        else:
            entries.pop(name, None)
        with written_beside(notebook_file()) as beside:
            beside.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


def filters(workspace: str) -> dict[str, dict[str, list[str]]]:
    """Return saved filters by name, each as parameters of an address."""
    return _kept(workspace, "filters")


def keep_filter(workspace: str, name: str, address: dict[str, list[str]]) -> None:
    """Save a filter; an empty address takes the name away."""
    _keep(workspace, "filters", name, address)


def lists(workspace: str) -> dict[str, tuple[Allele, ...]]:
    """Return lists of variants by name, in the order they were put in."""
    return {
        name: tuple((c, int(p), r, a) for c, p, r, a in rows)
        for name, rows in _kept(workspace, "lists").items()
    }


def keep_list(workspace: str, name: str, alleles: tuple[Allele, ...]) -> None:
    """Save a list, each allele once; an empty one takes the name away."""
    _keep(workspace, "lists", name, [list(a) for a in dict.fromkeys(alleles)])
