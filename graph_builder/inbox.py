"""The inbox: a folder where new and changed files are dropped.

A file is taken under its own name without endings, so a newer one of the same name takes
the older one's place. What cannot be told from a file stands beside it in
``FILE.toml``: ``kind``, ``name``, ``licence``, ``citation``, ``options``, ``columns``.
A file that is refused is moved to ``quarantine/``, with its reason beside it.
"""

import hashlib
import json
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from data_registry.errors import InputError, MalformedFileError, WorkspaceError
from data_registry.store import name_of_file
from data_registry.workspace import disk_error, sha256_of, written_beside

QUARANTINE: Final = "quarantine"
SETTLED_S: Final = 10.0
"""A file younger than this may still be arriving and is left for the next run."""

_SIDECAR: Final = ".toml"
_FIELDS: Final[Mapping[str, type]] = {
    "kind": str, "name": str, "licence": str, "citation": str,
    "options": dict, "columns": dict,
}  # fmt: skip
_ARRIVING: Final = (".part", ".partial", ".tmp", ".crdownload", ".filepart", "~")
_COMPANIONS: Final = (".tbi", ".csi", ".bim", ".fam", ".pvar", ".pvar.zst", ".psam")


@dataclass(frozen=True, slots=True)
class Dropped:
    """One file of the inbox.

    Parameters
    ----------
    digest
        Of its bytes, its companions' and its sidecar's.
    fault
        Why its sidecar cannot be used; "" otherwise.
    """

    path: Path
    digest: str
    kind: str | None = None
    name: str | None = None
    licence: str = ""
    citation: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    @property
    def source(self) -> str:
        """The name it is registered under."""
        return self.name or name_of_file(self.path)


@dataclass(frozen=True, slots=True)
class Look:
    """What lies in an inbox.

    Parameters
    ----------
    news
        Files to take, by name.
    known
        Files that were dealt with before.
    waiting
        Files that are not looked at now, with the reason.
    """

    news: tuple[Dropped, ...] = ()
    known: tuple[str, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Ledger:
    """What became of each file of the inbox: ``rebuild/inbox.json``.

    A file is told by what is in it. One that was taken, or held back with the version it
    made, is left alone until it changes, also after a roll-back.
    """

    path: Path
    files: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Ledger":
        """Read it; one that is not there is empty.

        Raises
        ------
        WorkspaceError
            It is damaged.
        """
        if not path.is_file():
            return cls(path, {})
        try:
            return cls(path, dict(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError) as error:
            raise WorkspaceError(
                f"{path} cannot be read ({error}); remove it: files of the inbox are "
                "then looked at again, and those that are registered change nothing"
            ) from error

    def note(self, files: Mapping[str, str], outcome: str) -> None:
        """Write down what became of files, name to digest."""
        for name, digest in files.items():
            self.files[name] = {"digest": digest, "outcome": outcome}
        with written_beside(self.path) as beside:
            beside.write_text(json.dumps(self.files, indent=1) + "\n", encoding="utf-8")


def look_into(inbox: Path, ledger: Ledger, *, settled_s: float = SETTLED_S) -> Look:
    """Find the new and changed files of an inbox.

    Parameters
    ----------
    settled_s
        Seconds that a file must have lain unchanged.

    Raises
    ------
    InputError
        There is no such folder.
    """
    if not inbox.is_dir():
        raise InputError(f"{inbox}: no such folder; make it, or give another --watch")
    news: list[Dropped] = []
    known: list[str] = []
    waiting: dict[str, str] = {}
    for path in sorted(inbox.iterdir()):
        name = path.name
        if name.startswith(".") or name == QUARANTINE:
            continue
        if path.is_symlink():
            waiting[name] = "a link: put the file itself here"
        elif path.is_dir():
            waiting[name] = "a folder: put its files here one by one"
        elif name.endswith(_ARRIVING):
            waiting[name] = "its name says that it is still arriving"
        elif name.endswith(_COMPANIONS) and _belongs_to(path):
            continue
        elif name.endswith(_SIDECAR):
            if not path.with_suffix("").is_file():
                waiting[name] = f"the file it describes, {path.stem}, is not here"
        elif time.time() - path.stat().st_mtime < settled_s:
            waiting[name] = f"changed less than {settled_s:g} s ago"
        else:
            digest = _digest(path)
            if ledger.files.get(name, {}).get("digest") == digest:
                known.append(name)
            else:
                news.append(_describe(path, digest))
    return Look(tuple(news), tuple(known), waiting)


def quarantine(dropped: Dropped, reason: str) -> Path:
    """Move a refused file, and what goes with it, out of the way; return its new place."""
    now = datetime.now(UTC)
    folder = dropped.path.parent / QUARANTINE / f"{now:%Y-%m-%dT%H%M%SZ}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / dropped.path.name
        with written_beside(place.with_name(place.name + ".reason.txt")) as beside:
            beside.write_text(reason + "\n", encoding="utf-8")
        for path in (*_goes_with(dropped.path), dropped.path):
            path.rename(folder / path.name)
    except OSError as error:
        raise disk_error(error, folder) from error
    return place


def _belongs_to(companion: Path) -> bool:
    """Whether another file of the inbox is what this one goes with."""
    return any(
        companion in _goes_with(path)
        for path in companion.parent.iterdir()
        if path != companion
    )


def _goes_with(path: Path) -> list[Path]:
    """Return sidecar, indexes and the other parts of a fileset that are there."""
    beside = [path.with_name(path.name + ending) for ending in (_SIDECAR, *_COMPANIONS)]
    if path.suffix in (".bed", ".pgen"):
        beside += [path.with_suffix(ending) for ending in _COMPANIONS]
    return [one for one in beside if one.is_file()]


def _digest(path: Path) -> str:
    parts = [path, *_goes_with(path)]
    joined = "".join(f"{part.name}:{sha256_of(part)}\n" for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()


def _describe(path: Path, digest: str) -> Dropped:
    sidecar = path.with_name(path.name + _SIDECAR)
    if not sidecar.is_file():
        return Dropped(path, digest)
    try:
        return Dropped(path, digest, **_read_sidecar(sidecar))
    except MalformedFileError as error:
        return Dropped(path, digest, fault=str(error))


def _read_sidecar(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MalformedFileError(
            path, f"not TOML: {error}", remedy="Correct it"
        ) from error
    for key, value in content.items():
        if key not in _FIELDS or not isinstance(value, _FIELDS[key]):
            raise MalformedFileError(
                path,
                f"{key} = {value!r}",
                remedy=f"It takes {', '.join(_FIELDS)}; the last two are tables",
            )
    for key in ("options", "columns"):
        content[key] = {
            name: {True: "yes", False: "no"}.get(value, str(value))
            if isinstance(value, bool)
            else str(value)
            for name, value in content.get(key, {}).items()
        }
    return content
