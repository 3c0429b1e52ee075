"""The folder that holds one assembly and everything known about it."""

import errno
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from data_registry.errors import MalformedFileError, WorkspaceError

_BLOCK = 1 << 20
CURRENT = "current"
"""Link to the version in use, where a workspace has versions (``versions.py``)."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths inside one workspace folder.

    ``registry.duckdb`` annotation tables, manifest, run log; ``sources/<sha256>/`` the
    files as registered; ``graph/``, ``embeddings/``, ``models/``, ``scores/`` results.
    """

    path: Path

    @property
    def registry(self) -> Path:
        """The DuckDB file; of a link its target, for DuckDB's log must lie beside it."""
        registry = self.path / "registry.duckdb"
        return registry.resolve() if registry.is_symlink() else registry

    @property
    def sources(self) -> Path:
        """The registered files, by sha256."""
        return self.path / "sources"

    @property
    def tmp(self) -> Path:
        """Files being written; swept when a writer opens the workspace."""
        return self.path / "tmp"

    @property
    def graph(self) -> Path:
        """Built graphs, by digest."""
        return self.path / "graph"

    @property
    def models(self) -> Path:
        """Fitted models, by digest."""
        return self.path / "models"

    def require(self) -> None:
        """Refuse a folder that is no workspace.

        Raises
        ------
        WorkspaceError
            There is no registry in the folder.
        """
        if self.path.exists() and not self.path.is_dir():
            raise WorkspaceError(
                f"{self.path} is a file; a workspace is a folder: choose another"
            )
        if not self.registry.is_file():
            raise WorkspaceError(
                f"{self.path} is no workspace (no registry.duckdb); make one with "
                f"'cisgraph add GENOME.fa --workspace {self.path}'"
            )

    def connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Open the registry; several readers or one writer at a time.

        Raises
        ------
        WorkspaceError
            Another process holds it, it is damaged, or it cannot be written.
        """
        if read_only:
            self.require()
        else:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise disk_error(error, self.path) from error
            if not os.access(self.path, os.W_OK):
                raise WorkspaceError(
                    f"{self.path} cannot be written; choose another --workspace or "
                    "change its permissions"
                )
        try:
            return duckdb.connect(str(self.registry), read_only=read_only)
        except duckdb.Error as error:
            text = str(error)
            # Not merely "lock": a message on damage speaks of a block.
            if "set lock" in text or "onflicting lock" in text:
                raise WorkspaceError(
                    f"{self.registry} is in use by another process; wait for it to "
                    f"finish and run again ({text.splitlines()[0]})"
                ) from error
            if "different configuration" in text:
                raise WorkspaceError(
                    f"{self.registry} is open in this process already; close it first"
                ) from error
            raise WorkspaceError(
                f"{self.registry} cannot be opened: {text.splitlines()[0]}. Restore it "
                "from a copy, or register the sources again in a new workspace"
            ) from error


def pinned(path: Path) -> Path:
    """Return the folder of the version in use, so that one run sees one version.

    A workspace without versions is returned as it is.
    """
    link = path / CURRENT
    return link.resolve() if link.is_symlink() else path


def disk_error(error: OSError, path: Path) -> WorkspaceError:
    """Turn an operating system error on ``path`` into a message with a remedy."""
    remedy = {
        errno.ENOSPC: "the disk is full: free some space and run again",
        errno.EDQUOT: "the disk quota is used up: free some space and run again",
        errno.EFBIG: "a file grows beyond the size allowed: lift the limit (ulimit -f)",
        errno.EEXIST: "there is a file of that name: choose another folder",
        errno.ENOTDIR: "a part of the path is a file: choose another folder",
        errno.EACCES: "no permission: change its permissions or choose another folder",
        errno.EROFS: "the file system is read-only: choose another folder",
        errno.ELOOP: "the links lead in a circle: give the real path",
        errno.ENAMETOOLONG: "the path is too long: choose a shorter one",
    }.get(error.errno or 0, error.strerror or str(error))
    return WorkspaceError(f"{path}: {remedy}")


def require_file(path: Path) -> Path:
    """Return the path of a readable regular file.

    Raises
    ------
    MalformedFileError
        It does not exist, is a folder or another special file, or cannot be read.
    """
    try:
        resolved = path.resolve(strict=True)
    except FileNotFoundError:
        target = "; it is a link to nothing" if path.is_symlink() else ""
        raise MalformedFileError(
            path, f"no such file{target}", remedy="Check the path"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a NUL
        raise MalformedFileError(
            path, f"cannot be followed ({error})", remedy="Give the real path"
        ) from error
    if not resolved.is_file():
        what = "a folder" if resolved.is_dir() else "not a regular file"
        raise MalformedFileError(path, f"is {what}", remedy="Give one file")
    if not os.access(resolved, os.R_OK):
        raise MalformedFileError(
            path, "cannot be read", remedy="Change its permissions"
        )
    return resolved


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it to ``path`` on success.

    A killed process leaves the old file or the new one, never half of it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A prefix of its own: with the file's name it could grow too long for a name.
        handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise disk_error(error, path) from error
    beside = Path(name)
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        beside.unlink(missing_ok=True)


def write_folder(target: Path, write: Callable[[Path], object]) -> None:
    """Fill a folder beside the target, then rename it; a killed process leaves nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    beside.mkdir()
    try:
        write(beside)
        if target.exists():
            shutil.rmtree(target)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def copy_into(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    with written_beside(target) as beside:
        shutil.copyfile(source, beside)
