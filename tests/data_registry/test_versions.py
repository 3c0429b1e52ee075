"""Versions of a workspace: links, copies, and what a plain one becomes."""

import os

import pytest

from data_registry.errors import InputError, WorkspaceError
from data_registry.store import open_store
from data_registry.versions import Versions, copy_version, locked, state_of
from data_registry.workspace import Workspace, pinned
from tests.organisms import make_workspace


@pytest.fixture
def plain(tmp_path):
    workspace = make_workspace(tmp_path, layers=False)
    (workspace / "models" / "prior").mkdir(parents=True)
    (workspace / "models" / "prior" / "model.json").write_text("{}")
    return workspace


def names(workspace):
    with open_store(workspace) as store:
        return [source.name for source in store.sources()]


def test_a_plain_workspace_reads_the_same_with_versions(plain):
    before = names(plain)
    assert pinned(plain) == plain
    version = Versions(plain).adopt()
    assert names(plain) == names(version.folder) == before
    assert pinned(plain) == version.folder.resolve()
    assert (plain / "models" / "prior" / "model.json").read_text() == "{}"
    # What is written through the links lies in the version.
    (plain / "scores" / "x").write_text("1")
    assert (version.folder / "scores" / "x").read_text() == "1"
    assert Versions(plain).adopt() == version


def test_duckdb_keeps_its_log_beside_the_file_and_not_beside_the_link(plain):
    Versions(plain).adopt()
    connection = Workspace(plain).connect(read_only=False)
    connection.execute("CREATE TABLE later (a INTEGER)")
    assert not (plain / "registry.duckdb.wal").exists()
    assert (plain / "current" / "registry.duckdb.wal").exists()
    connection.close()


@pytest.mark.parametrize("n_renames", range(8))
def test_a_call_broken_off_is_completed_by_the_next(plain, monkeypatch, n_renames):
    before, real = names(plain), os.rename
    left = [n_renames]

    class Killed(BaseException):
        pass

    def rename(self, target):
        if not left[0]:
            raise Killed
        left[0] -= 1
        real(self, target)
        return target

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", rename)
        patch.setattr("pathlib.Path.replace", rename)
        try:
            Versions(plain).adopt()
        except Killed:
            # The registry can be read at every moment.
            assert names(plain) == before
    Versions(plain).adopt()
    assert names(plain) == before
    assert (plain / "models" / "prior" / "model.json").is_file()
    assert (plain / "sources").is_symlink()


def test_a_copy_shares_files_and_not_the_registry(plain, tmp_path):
    version = Versions(plain).adopt()
    target = tmp_path / "copy"
    target.mkdir()
    copy_version(version.folder, target)
    model = "models/prior/model.json"
    assert (target / model).samefile(version.folder / model)
    assert not (target / "registry.duckdb").samefile(version.folder / "registry.duckdb")
    assert names(target) == names(plain)
    with open_store(target, write=True) as store:
        store.remove("names")
    assert names(target) != names(plain)
    assert len(list((version.folder / "sources").iterdir())) == 3


def test_a_copy_refuses_while_another_process_writes(plain, tmp_path):
    version = Versions(plain).adopt()
    connection = Workspace(version.folder).connect(read_only=False)
    (tmp_path / "copy").mkdir()
    try:
        with pytest.raises(WorkspaceError):
            copy_version(version.folder, tmp_path / "copy")
    finally:
        connection.close()


def test_state_changes_with_sources_and_models_only(plain):
    folder = Versions(plain).adopt().folder
    before = state_of(folder)
    (folder / "scores" / "x").write_text("1")
    (folder / "models" / "consequence-1").mkdir()
    assert state_of(folder) == before
    (folder / "models" / "prior" / "model.json").write_text("{ }")
    with_model = state_of(folder)
    assert with_model != before
    with open_store(plain, write=True) as store:
        store.remove("names")
    assert state_of(folder) != with_model


def test_readers_do_not_stand_in_the_way_of_the_first_version(plain):
    reader = Workspace(plain).connect(read_only=True)
    try:
        assert Versions(plain).adopt().name == "0001"
        assert reader.execute("SELECT count(*) FROM sources").fetchall() == [(3,)]
    finally:
        reader.close()


def test_going_back_needs_an_earlier_version(plain):
    versions = Versions(plain)
    versions.adopt()
    with pytest.raises(InputError, match="no version before 0001"):
        versions.roll_back()
    with pytest.raises(InputError, match="no version '7'"):
        versions.find("7")


def test_the_lock_is_free_after_its_holder(plain):
    with (
        locked(plain),
        pytest.raises(WorkspaceError, match="is being rebuilt by process"),
        locked(plain),
    ):
        pass
    with locked(plain):
        pass


def test_a_folder_that_is_no_workspace_is_refused(tmp_path):
    with pytest.raises(WorkspaceError, match="no workspace"), locked(tmp_path):
        pass
    assert not (tmp_path / "rebuild").exists()
