"""The API beside rebuilds: a reader keeps its version, the next one sees the new one."""

import shutil

import pytest

pytest.importorskip("fastapi", reason="the extra 'api' is not installed")

from dashboards.api import snapshots as snapshots_module
from dashboards.api.snapshots import Snapshots
from graph_builder.revision import Plan, rebuild

PEAKS = "chr1\t2950\t3300\tp2\t0\t.\t5\t-1\t-1\t-1\n"


def test_a_published_version_is_seen_and_an_open_one_stays(
    workspace, tmp_path, monkeypatch
):
    monkeypatch.setattr(snapshots_module, "_LOOK_EVERY_S", 0.0)
    folder = tmp_path / "workspace"
    shutil.copytree(workspace, folder, symlinks=True)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "more.narrowPeak").write_text(PEAKS)
    readers = Snapshots(folder)
    try:
        with readers.reading() as before:
            n_before = len(before.sources)
            assert not (folder / "current").exists()
            rebuild(folder, Plan(inbox, 0.0), lambda _: None)
            assert (folder / "current").is_symlink()  # published
            with readers.reading() as after:
                assert {s.name for s in after.sources} - {
                    s.name for s in before.sources
                } == {"more"}
                assert after.version != before.version
            # The old version is read to the end.
            with before.query(10) as query:
                assert query.value("SELECT count(*) FROM sources") == n_before
    finally:
        readers.close()
