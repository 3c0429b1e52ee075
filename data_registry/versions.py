"""Versions of a workspace: made beside the one in use, taken up by one rename.

A workspace that rebuilds itself has this shape::

    workspace/
      current -> versions/0004                      what is in use; one rename changes it
      registry.duckdb -> current/registry.duckdb    and so for graph, sources, models, …
      versions/0003/, versions/0004/                each a whole workspace of its own
      rebuild/                                      lock, settings, reports
      inbox/                                        where it is kept here

A version is a folder that every command takes as ``--workspace``. Files that two versions
share are hard links (they are replaced, never written into); the registry alone is
copied. So a rebuild never touches what is being read, a version that is held back costs
little more than its registry, and going back is the same one rename.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from data_registry.errors import InputError, WorkspaceError
from data_registry.workspace import CURRENT, Workspace, disk_error, written_beside

State = Literal["building", "complete", "published", "held", "withdrawn"]
"""``building``: a run works on it, or was killed. ``complete``: to be put in use.
``published``: is or was in use. ``held``: a gate kept it out. ``withdrawn``: rolled back."""

VERSIONS: Final = "versions"
REBUILD: Final = "rebuild"
INBOX: Final = "inbox"
RECORD: Final = "version.json"

_KEPT_IN_PLACE: Final = frozenset({CURRENT, VERSIONS, REBUILD, INBOX})
_FOLDERS: Final = ("sources", "graph", "embeddings", "models", "scores", "downloads")
_REGISTRY: Final = ("registry.duckdb", "registry.duckdb.wal")
_NOT_TAKEN_OVER: Final = frozenset({"tmp", RECORD, "kept.json", "changes"})
_MODELS: Final = ("config.json", "model.safetensors", "model.json")
_MAKING, _TRASH = ".making-", ".trash-"


@dataclass(frozen=True, slots=True)
class Version:
    """One version.

    Parameters
    ----------
    folder
        Its folder: a workspace.
    made
        When it was begun, UTC.
    base
        Number of the version it was made from; 0 for the first.
    base_state
        ``state_of`` that version when this one was begun.
    details
        What its maker noted: plain data.
    """

    folder: Path
    state: State
    made: str
    base: int = 0
    base_state: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return int(self.folder.name)

    @property
    def name(self) -> str:
        """The name of its folder, e.g. ``0004``."""
        return self.folder.name

    @property
    def workspace(self) -> Workspace:
        """The workspace that it is."""
        return Workspace(self.folder)


class Versions:
    """The versions of one workspace. Whoever changes them holds ``locked``.

    Parameters
    ----------
    path
        The workspace as the user names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    # -- reading -----------------------------------------------------------------

    @property
    def rebuild(self) -> Path:
        """Folder of the lock, the settings and the reports."""
        return self.path / REBUILD

    def all(self) -> list[Version]:
        """Return all versions in order of their numbers."""
        folders = (self.path / VERSIONS).glob("[0-9]*")
        return [_read(one) for one in sorted(folders) if (one / RECORD).is_file()]

    def find(self, name: str) -> Version:
        """Return the version of that number, with or without leading zeros.

        Raises
        ------
        InputError
            There is none.
        """
        for version in self.all():
            if name.isdigit() and version.number == int(name):
                return version
        known = ", ".join(version.name for version in self.all()) or "none"
        raise InputError(f"{self.path} has no version {name!r}; there are: {known}")

    def current(self) -> Version | None:
        """Return the version in use; None where the workspace has no versions."""
        link = self.path / CURRENT
        return _read(link.resolve()) if link.is_symlink() else None

    # -- changing ----------------------------------------------------------------

    def adopt(self) -> Version:
        """Make a plain workspace one with versions; take in what was written beside.

        The first version is made whole before it is in use, so who opens the workspace by
        ``open_store`` finds everything at every moment. A killed call is completed by the
        next.

        Raises
        ------
        WorkspaceError
            There is no registry, or another process writes it.
        """
        Workspace(self.path).require()
        try:
            if not (self.path / CURRENT).is_symlink():
                self._make_first()
            folder = (self.path / CURRENT).resolve()
            for entry in sorted(self.path.iterdir()):
                if self._is_ours(entry) and not entry.is_symlink():
                    self._take_in(entry, folder / entry.name)
            self._show(folder)
            return _read(folder)
        except OSError as error:
            raise disk_error(error, self.path) from error

    def _is_ours(self, entry: Path) -> bool:
        """Whether an entry of the workspace belongs into its versions."""
        return entry.name not in _KEPT_IN_PLACE and not entry.name.startswith(".")

    def _make_first(self) -> None:
        """Make the first version of links to what is there, and put it in use."""
        first = self.path / VERSIONS / "0001"
        first.parent.mkdir(exist_ok=True)
        if first.is_dir():  # left by a killed call
            shutil.rmtree(first)
        beside = Path(tempfile.mkdtemp(prefix=_MAKING, dir=first.parent))
        if (self.path / _REGISTRY[1]).exists():
            # Opening to write takes in the write-ahead log.
            Workspace(self.path).connect(read_only=False).close()
        # While this is open others may read and nobody writes.
        with Workspace(self.path).connect(read_only=True):
            for entry in self.path.iterdir():
                if self._is_ours(entry) and entry.name not in _NOT_TAKEN_OVER:
                    _link_or_copy_all(entry, beside / entry.name)
        for name in _FOLDERS:
            (beside / name).mkdir(exist_ok=True)
        _write(Version(first, "published", _now()), beside)
        beside.chmod(0o755)
        beside.rename(first)
        _link(self.path / CURRENT, f"{VERSIONS}/{first.name}")

    def _take_in(self, entry: Path, target: Path) -> None:
        """Put a link in the place of a file or folder; what it holds goes to the version."""
        if entry.is_dir():
            trash = target.parent.with_name(f"{_TRASH}{target.name}")
            shutil.rmtree(trash, ignore_errors=True)
            if not target.exists():
                entry.rename(target)
            elif _holds_the_same(entry, target):
                entry.rename(trash)
            else:
                target.rename(trash)
                entry.rename(target)
            _link(entry, f"{CURRENT}/{entry.name}")
            shutil.rmtree(trash, ignore_errors=True)
            return
        if not (target.exists() and entry.samefile(target)):
            beside = target.with_name(f".{target.name}.taken")
            beside.unlink(missing_ok=True)
            _link_or_copy(str(entry), str(beside))
            beside.replace(target)
        _link(entry, f"{CURRENT}/{entry.name}")

    def _show(self, folder: Path) -> None:
        """Make the workspace's links to what a version holds."""
        for entry in folder.iterdir():
            outside = self.path / entry.name
            if entry.name not in _NOT_TAKEN_OVER and not os.path.lexists(outside):
                _link(outside, f"{CURRENT}/{entry.name}")

    def begin(self) -> tuple[Version, bool]:
        """Return the version to work on, and whether a killed run had begun it.

        One that was begun from another state of the workspace is thrown away.
        """
        current = self._in_use()
        state = state_of(current.folder)
        for version in self.all():
            if version.state == "building":
                if version.base == current.number and version.base_state == state:
                    return version, True
                self._remove(version)
        number = max(version.number for version in self.all()) + 1
        beside = Path(tempfile.mkdtemp(prefix=_MAKING, dir=self.path / VERSIONS))
        copy_version(current.folder, beside)
        version = Version(
            self.path / VERSIONS / f"{number:04d}",
            "building",
            _now(),
            current.number,
            state,
        )
        _write(version, beside)
        beside.chmod(0o755)
        beside.rename(version.folder)
        return version, False

    def is_up_to_date(self, version: Version) -> bool:
        """Whether the workspace is as it was when the version was begun."""
        current = self._in_use()
        return (
            version.base == current.number
            and state_of(current.folder) == version.base_state
        )

    def mark(
        self, version: Version, state: State, details: Mapping[str, Any] | None = None
    ) -> Version:
        """Write a version's state, and what its maker notes."""
        noted = version.details if details is None else details
        changed = Version(
            version.folder, state, version.made, version.base, version.base_state, noted
        )
        _write(changed)
        return changed

    def publish(self, version: Version) -> Version:
        """Put a version in use and say so in its record."""
        self.use(version)
        return self.mark(version, "published")

    def use(self, version: Version) -> None:
        """Put a version in use: one rename."""
        self._show(version.folder)
        _link(self.path / CURRENT, f"{VERSIONS}/{version.name}")

    def roll_back(self) -> tuple[Version, Version]:
        """Put the last version before the one in use back in use; return old and new.

        Raises
        ------
        InputError
            No earlier version is kept.
        """
        current = self._in_use()
        earlier = [
            version
            for version in self.all()
            if version.number < current.number and version.state == "published"
        ]
        if not earlier:
            raise InputError(f"{self.path}: no version before {current.name} is kept")
        self.mark(current, "withdrawn")
        return current, self.publish(earlier[-1])

    def prune(self, keep: int) -> list[str]:
        """Remove the oldest versions beyond ``keep``; never the one in use.

        Versions that were in use, and those held back or withdrawn, are counted apart, so
        that there is always one to go back to.
        """
        current = self._in_use()
        others = [v for v in self.all() if v.number != current.number]
        used = [v for v in others if v.state == "published"]
        set_aside = [v for v in others if v.state in ("held", "withdrawn")]
        gone = used[: max(len(used) - (keep - 1), 0)]
        gone += set_aside[: max(len(set_aside) - keep, 0)]
        for version in gone:
            self._remove(version)
        return [version.name for version in gone]

    def clear_leftovers(self) -> None:
        """Remove what killed calls left half made or half removed."""
        for prefix in (_MAKING, _TRASH):
            for folder in (self.path / VERSIONS).glob(f"{prefix}*"):
                shutil.rmtree(folder, ignore_errors=True)

    def discard(self, version: Version) -> None:
        """Remove a version that is not in use."""
        self._remove(version)

    @contextmanager
    def trial(self, base: Version) -> Iterator[Path]:
        """Give a passing copy of a version, to try something on."""
        folder = Path(tempfile.mkdtemp(prefix=_MAKING, dir=self.path / VERSIONS))
        try:
            copy_version(base.folder, folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _in_use(self) -> Version:
        current = self.current()
        if current is None:
            raise InputError(f"{self.path} has no versions yet; run a rebuild first")
        return current

    def _remove(self, version: Version) -> None:
        trash = version.folder.with_name(f"{_TRASH}{version.name}")
        shutil.rmtree(trash, ignore_errors=True)
        version.folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a workspace's rebuild lock; give its file descriptor.

    The kernel frees it when the process, and every child that was handed the
    descriptor, has ended.

    Raises
    ------
    WorkspaceError
        Another process holds it.
    """
    Workspace(path).require()
    folder = path / REBUILD
    try:
        folder.mkdir(exist_ok=True)
        handle = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise disk_error(error, folder) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            who = handle.read().strip() or "another process"
            raise WorkspaceError(
                f"{path} is being rebuilt by {who}; wait for it to finish"
            ) from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()} since {_now()}")
        handle.flush()
        yield handle.fileno()


def state_of(folder: Path) -> str:
    """Digest what a rebuild starts from: sources, graph, trained models, relatives."""
    found = hashlib.sha256()
    with Workspace(folder).connect(read_only=True) as db:
        rows = db.execute(
            "SELECT source_id, name, sha256, superseded_by, removed_at FROM sources "
            "ORDER BY source_id"
        ).fetchall()
    found.update(repr(rows).encode())
    files = [folder / "graph" / CURRENT.upper()]
    files += [f for name in _MODELS for f in folder.glob(f"models/*/{name}")]
    files += (folder / "relatives").glob("*/*")
    for file in sorted(files):
        if file.is_file():
            stat = file.stat()
            name = file.relative_to(folder).as_posix()
            found.update(f"{name}:{stat.st_size}:{stat.st_mtime_ns}\n".encode())
    return found.hexdigest()


def copy_version(base: Path, target: Path) -> None:
    """Fill a folder with hard links to a version's files, and a copy of its registry.

    Raises
    ------
    WorkspaceError
        Another process writes the registry, or the disk is full.
    """
    try:
        # While this is open nobody writes, so file and log belong together.
        with Workspace(base).connect(read_only=True):
            for name in _REGISTRY:
                if (base / name).is_file():
                    shutil.copyfile(base / name, target / name)
        for entry in base.iterdir():
            if entry.name not in _NOT_TAKEN_OVER and entry.name not in _REGISTRY:
                _link_or_copy_all(entry, target / entry.name)
    except OSError as error:
        raise disk_error(error, target) from error


def _link_or_copy_all(source: Path, target: Path) -> None:
    """Fill a folder with links to another's files; hidden files are work in progress."""
    if source.is_dir():
        shutil.copytree(
            source, target, copy_function=_link_or_copy, symlinks=True,
            ignore=shutil.ignore_patterns(".*"),
        )  # fmt: skip
    else:
        _link_or_copy(str(source), str(target))


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
    return target


def _holds_the_same(folder: Path, other: Path) -> bool:
    """Whether each file of a folder is a link to the same place in another."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    links = ((file, other / file.relative_to(folder)) for file in files)
    return all(place.exists() and file.samefile(place) for file, place in links)


def _link(place: Path, target: str) -> None:
    """Make or change a symbolic link by one rename."""
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(place)


def _read(folder: Path) -> Version:
    path = folder / RECORD
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Version(
            folder, held["state"], held["made"], held["base"], held["base_state"],
            held["details"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise WorkspaceError(
            f"{path} cannot be read ({error}); restore it, or remove {folder} if it is "
            "not the version in use"
        ) from error


def _write(version: Version, folder: Path | None = None) -> None:
    content = {
        "state": version.state,
        "made": version.made,
        "base": version.base,
        "base_state": version.base_state,
        "details": dict(version.details),
    }
    with written_beside((folder or version.folder) / RECORD) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
