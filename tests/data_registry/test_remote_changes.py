"""Asking publishers whether a fetched file has changed, against a publisher in memory."""

import hashlib
from dataclasses import dataclass, field

import httpx
import pytest

from data_registry import remote_changes
from data_registry.catalogue import read_catalogue
from data_registry.download import fetch_source
from data_registry.remote_changes import ask_publishers, fetch_again
from data_registry.store import open_store
from data_registry.versions import Versions
from tests.organisms import make_workspace

CATALOGUE = """
[provider.here]
name = "Here"
release = "7"
checksum = "{checksum}"
checksum_file = "{file}"
licence = "CC0-1.0"
licence_url = "https://example.org/licence"
licence_verified = "read"
citation = "nobody"

[species.tiny]
latin = "Testus tinius"
taxon = 99
assembly = "tiny1"
aliases = []
gaps = []

[[source]]
key = "tiny/peaks"
species = ["tiny"]
assembly = "tiny1"
kind = "intervals"
provider = "here"
url = "https://example.org/{release}/peaks.bed"
sha256 = ""
size = 5
fetch = "always"
verified = "read"
options = {{ interval_kind = "peak" }}
"""
OLD, NEW = b"chr1\t100\t200\ta\n", b"chr1\t100\t200\ta\nchr1\t300\t400\tb\n"


@dataclass
class Publisher:
    body: bytes = OLD
    etag: str = '"v1"'
    lists_sums: bool = False
    is_down: bool = False
    asked: list = field(default_factory=list)

    def answer(self, request):
        self.asked.append((request.method, request.url.path))
        if self.is_down:
            raise httpx.ConnectError("no route to host")
        if request.url.path.endswith("md5sum.txt"):
            if not self.lists_sums:
                return httpx.Response(404)
            sums = hashlib.md5(self.body, usedforsecurity=False).hexdigest()
            return httpx.Response(200, text=f"{sums}  peaks.bed\n")
        headers = {"etag": self.etag, "content-length": str(len(self.body))}
        if request.method == "HEAD":
            return httpx.Response(200, headers=headers)
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(self.body))

    def client(self):
        return httpx.Client(transport=httpx.MockTransport(self.answer))


@pytest.fixture
def publisher(monkeypatch):
    made = Publisher()
    monkeypatch.setattr(remote_changes, "open_client", made.client)
    return made


def read(tmp_path, checksum, release="7"):
    path = tmp_path / f"catalogue-{release}.toml"
    file = "md5sum.txt" if checksum == "md5" else ""
    path.write_text(CATALOGUE.format(checksum=checksum, file=file, release=release))
    return read_catalogue(path)


@pytest.fixture(params=["none", "md5"])
def fetched(request, tmp_path, publisher, monkeypatch):
    """A workspace with one fetched source; the catalogue is the package's for now."""
    publisher.lists_sums = request.param == "md5"
    catalogue = read(tmp_path, request.param)
    monkeypatch.setattr(remote_changes, "load_catalogue", lambda: catalogue)
    workspace = make_workspace(tmp_path, layers=False)
    with publisher.client() as client, open_store(workspace, write=True) as store:
        got = fetch_source(
            catalogue.sources[0], workspace / "downloads", client=client, retries=0
        )
        store.add(
            got.path, kind="intervals", name="tiny/peaks",
            options={"interval_kind": "peak"},
        )  # fmt: skip
    return workspace


def ask(workspace, **choices):
    with open_store(workspace) as store:
        (found,) = ask_publishers(store, **choices)
    return found


def test_the_same_file_is_unchanged_and_not_fetched(fetched, publisher):
    publisher.asked.clear()
    assert ask(fetched).change == "unchanged"
    assert ("GET", "/7/peaks.bed") not in publisher.asked


def test_a_changed_file_is_fetched_once(fetched, publisher, tmp_path):
    publisher.body, publisher.etag = NEW, '"v2"'
    found = ask(fetched)
    assert found.change == "changed"
    # As a rebuild does: into another folder that begins as links to the first.
    folder = tmp_path / "new"
    folder.mkdir()
    for file in (fetched / "downloads").iterdir():
        (folder / file.name).hardlink_to(file)
    assert fetch_again(found, folder, fetched / "downloads").read_bytes() == NEW
    assert (fetched / "downloads" / "peaks.bed").read_bytes() == OLD
    publisher.asked.clear()
    fetch_again(found, folder, fetched / "downloads")  # picked up after a kill
    assert ("GET", "/7/peaks.bed") not in publisher.asked


def test_a_new_release_in_the_catalogue_is_news(fetched, tmp_path):
    found = ask(fetched, catalogue=read(tmp_path, "none", release="8"))
    assert found.change == "moved"
    assert "/8/peaks.bed" in found.reason


def test_a_publisher_out_of_reach_is_unknown_with_the_reason(
    fetched, publisher, monkeypatch
):
    monkeypatch.setattr("time.sleep", lambda _: None)
    publisher.is_down = True
    found = ask(fetched)
    assert (found.change, found.is_new) == ("unknown", False)
    assert "no route to host" in found.reason


def test_nobody_is_asked_where_nothing_was_fetched(tmp_path, publisher):
    workspace = make_workspace(tmp_path, layers=False)
    with open_store(workspace) as store:
        assert ask_publishers(store) == []
    assert publisher.asked == []


@pytest.mark.parametrize("fetched", ["none"], indirect=True)
def test_a_rebuild_takes_in_what_changed_at_its_publishers(fetched, publisher):
    from graph_builder.revision import Plan, rebuild

    first = rebuild(fetched, Plan(), lambda _: None)
    assert [one["answer"] for one in first.remote] == ["unchanged"]
    assert rebuild(fetched, Plan(), lambda _: None).status == "unchanged"
    publisher.body, publisher.etag = NEW, '"v2"'
    report = rebuild(fetched, Plan(), lambda _: None)
    assert report.status == "published"
    assert [one["source"] for one in report.came_in] == ["tiny/peaks"]
    with open_store(fetched) as store:
        assert store.source("tiny/peaks").rows_kept == 2
    assert rebuild(fetched, Plan(), lambda _: None).status == "unchanged"
    # Rolled back, it stays so until the publisher has something else.
    Versions(fetched).roll_back()
    after = rebuild(fetched, Plan(), lambda _: None)
    assert (after.status, after.remote[0]["answer"]) == (
        "unchanged",
        "changed, and set aside",
    )
