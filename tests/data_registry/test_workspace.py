"""The folder: atomic writes, and messages that name the fault and a remedy."""

import errno
import hashlib
from pathlib import Path

import duckdb
import pytest

from data_registry.errors import MalformedFileError, WorkspaceError
from data_registry.workspace import (
    Workspace,
    copy_into,
    disk_error,
    require_file,
    sha256_of,
    written_beside,
)


def test_checksum_by_another_way(tmp_path):
    path = tmp_path / "x"
    data = bytes(range(256)) * 5000  # more than one block
    path.write_bytes(data)
    assert sha256_of(path) == hashlib.sha256(data).hexdigest()
    path.write_bytes(b"")
    assert sha256_of(path).startswith("e3b0c44298fc1c14")  # the known sha256 of nothing


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")

    def fail() -> None:
        with written_beside(path) as beside:
            beside.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    with written_beside(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_name_as_long_as_can_be_is_copied(tmp_path):
    source = tmp_path / ("n" * 255)
    source.write_text("x")
    copy_into(source, tmp_path / "to" / source.name)
    assert (tmp_path / "to" / source.name).read_text() == "x"


def test_a_copy_replaces_a_file_of_the_same_size(tmp_path):
    (tmp_path / "a").write_text("right")
    (tmp_path / "b").write_text("wrong")
    copy_into(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "right"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "choose another folder"),
        (errno.EACCES, "permission"),
        (errno.ENOTDIR, "choose another folder"),
        (errno.ENAMETOOLONG, "shorter"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_errors_of_the_disk_name_path_and_remedy(code, words):
    import os

    message = str(disk_error(OSError(code, os.strerror(code)), Path("/some/where")))
    assert message.startswith("/some/where: ")
    assert words in message


def test_a_readable_file_is_followed_to_its_place(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "link").symlink_to("a")
    assert require_file(tmp_path / "link") == (tmp_path / "a").resolve()
    with pytest.raises(MalformedFileError, match=r"NUL|null"):
        require_file(tmp_path / "a\0b")


def test_reading_needs_a_workspace(tmp_path):
    with pytest.raises(WorkspaceError, match=r"cisgraph add GENOME.fa"):
        Workspace(tmp_path / "none").connect(read_only=True)
    assert not (tmp_path / "none").exists()


def test_reader_and_writer_in_one_process_are_told_apart(tmp_path):
    workspace = Workspace(tmp_path)
    writer = workspace.connect(read_only=False)
    with pytest.raises(WorkspaceError, match="open in this process"):
        workspace.connect(read_only=True)
    writer.close()
    workspace.connect(read_only=True).close()


def test_damage_is_not_taken_for_a_lock(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        text = "IO Error: Corrupt database file: stored checksum in block 3"
        raise duckdb.IOException(text)

    monkeypatch.setattr(duckdb, "connect", fail)
    with pytest.raises(WorkspaceError, match=r"cannot be opened.*Restore it"):
        Workspace(tmp_path).connect(read_only=False)
