"""Downloads against a server that misbehaves in every way we have seen or feared."""

import errno
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from data_registry import download as download_module
from data_registry.catalogue import read_catalogue
from data_registry.download import (
    Checksum,
    download,
    fetch,
    find_in_listing,
    mirror_url,
    open_client,
)
from data_registry.errors import DownloadError

pytestmark = pytest.mark.enable_socket

ROOT = Path(__file__).parents[2]
BODY = np.random.default_rng(7).bytes(300_000)
PACKED = gzip.compress(BODY, mtime=0)


@dataclass
class Served:
    """One file of the server and how it misbehaves, request by request."""

    body: bytes
    etag: str = '"v1"'
    last_modified: str = ""
    ranges: bool = True
    # What to do on the next requests; afterwards the file is served well.
    plan: list[dict] = field(default_factory=list)


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        # A killed client resets its connection; anything else is worth reading.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """A local server; ``requests`` holds (path, Range, If-Range) of each request."""

    def __init__(self):
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str | None, str | None]] = []
        self.go_on = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args):
                pass

            def do_GET(self):
                outer.answer(self)

        self._http = QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self):
        self.go_on.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def ranges_asked(self, path):
        return [asked for name, asked, _ in self.requests if name == path]

    def answer(self, http):
        asked, if_range = http.headers["Range"], http.headers["If-Range"]
        self.requests.append((http.path, asked, if_range))
        assert http.headers["Accept-Encoding"] == "identity"
        served = self.files.get(http.path)
        if served is None:
            http.send_error(404)
            return
        act = served.plan.pop(0) if served.plan else {}
        if "etag" in act:
            served.etag, served.body = act["etag"], act["body"]
        if "status" in act:
            http.send_response(act["status"])
            for name, value in act.get("headers", {}).items():
                http.send_header(name, value)
            http.send_header("Content-Length", "0")
            http.end_headers()
            return
        start = 0
        validators = {served.etag, served.last_modified}
        if (
            asked
            and served.ranges
            and (if_range in validators or act.get("ignore_if_range"))
        ):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        whole = len(served.body)
        if asked and start >= whole > 0 and start:
            http.send_response(416)
            http.send_header("Content-Range", f"bytes */{whole}")
            http.send_header("Content-Length", "0")
            http.end_headers()
            return
        http.send_response(206 if start else 200)
        if start:
            http.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if not act.get("no_length"):
            http.send_header("Content-Length", str(whole - start))
        if served.etag:
            http.send_header("ETag", served.etag)
        if served.last_modified:
            http.send_header("Last-Modified", served.last_modified)
        for name, value in act.get("headers", {}).items():
            http.send_header(name, value)
        if act.get("no_length"):
            http.send_header("Connection", "close")
            http.close_connection = True
        http.end_headers()
        stop = act.get("drop_at", whole)
        body = served.body if "spoil" not in act else act["spoil"](served.body)
        try:
            http.wfile.write(body[start:stop])
            http.wfile.flush()
            if act.get("stall"):
                self.go_on.wait(30)
        except OSError:
            pass
        if stop < whole or act.get("stall"):
            http.close_connection = True


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def client():
    with open_client() as made:
        yield made


@pytest.fixture
def get(server, client, tmp_path):
    """Download ``/file`` (or another path) with no real waiting."""

    def run(path="/file.gz", **options):
        waits = options.setdefault("sleep", [].append)
        assert callable(waits)
        return download(
            server.url + path,
            tmp_path / path.rsplit("/", 1)[-1],
            client=client,
            **options,
        )

    return run


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_with_its_provenance_and_progress(server, get, tmp_path):
    server.files["/file.gz"] = Served(PACKED)
    seen = []
    got = get(on_progress=lambda done, total: seen.append((done, total)))
    assert got.path.read_bytes() == PACKED
    assert (got.status, got.bytes_received) == ("downloaded", len(PACKED))
    assert seen[0] == (0, len(PACKED))
    assert seen[-1] == (len(PACKED), len(PACKED))
    assert seen == sorted(seen)
    assert leftovers(tmp_path) == ["file.gz", "file.gz.provenance.json"]
    record = json.loads((tmp_path / "file.gz.provenance.json").read_text())
    assert record["sha256"] == got.sha256 == hashlib.sha256(PACKED).hexdigest()
    assert record["size"] == len(PACKED)
    assert record["url"] == f"{server.url}/file.gz"
    assert record["checked_by"] == "size"


@pytest.mark.parametrize("cuts", [[1], [200_000], [len(PACKED) - 1], [5, 70_000, 9]])
def test_dropped_connections_go_on_where_they_stopped(server, get, cuts):
    plan = [{"drop_at": cut} for cut in cuts]
    server.files["/file.gz"] = Served(PACKED, plan=plan)
    got = get()
    assert got.path.read_bytes() == PACKED
    asked = server.ranges_asked("/file.gz")
    assert asked[0] is None
    assert asked[1] == f"bytes={cuts[0]}-"
    # No byte came twice.
    assert got.bytes_received == len(PACKED)


def test_a_process_killed_in_the_middle_is_continued_by_the_next(server, get, tmp_path):
    half = len(PACKED) // 2
    server.files["/file.gz"] = Served(PACKED, plan=[{"drop_at": half, "stall": True}])
    code = (
        "import sys; from pathlib import Path\n"
        "from data_registry.download import download, open_client\n"
        "download(sys.argv[1], Path(sys.argv[2]), client=open_client())\n"
    )
    child = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, f"{server.url}/file.gz", tmp_path / "file.gz"],
        cwd=ROOT,
    )
    part = tmp_path / "file.gz.part"
    deadline = time.monotonic() + 30
    while not part.exists() or part.stat().st_size < half:
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "file.gz").exists()

    got = get()
    assert got.status == "resumed"
    assert got.bytes_received == len(PACKED) - half
    assert server.ranges_asked("/file.gz") == [None, f"bytes={half}-"]
    assert server.requests[-1][2] == '"v1"'
    assert got.path.read_bytes() == PACKED
    assert leftovers(tmp_path) == ["file.gz", "file.gz.provenance.json"]


def test_a_process_killed_between_last_byte_and_rename_asks_for_nothing(
    server, get, tmp_path, monkeypatch
):
    server.files["/file.gz"] = Served(PACKED)

    class Killed(BaseException):
        pass

    def die(*_args, **_options):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(download_module, "_examine", die)
        with pytest.raises(Killed):
            get()
    assert (tmp_path / "file.gz.part").stat().st_size == len(PACKED)
    got = get()
    assert (got.status, got.bytes_received) == ("resumed", 0)
    assert len(server.requests) == 1


def test_a_second_run_asks_for_nothing_and_a_damaged_file_comes_again(
    server, get, tmp_path
):
    server.files["/file.gz"] = Served(PACKED)
    get()
    assert get().status == "already complete"
    assert len(server.requests) == 1
    # Touched, same bytes: the sum decides, not the date.
    os.utime(tmp_path / "file.gz", (1, 1))
    assert get().status == "already complete"
    assert len(server.requests) == 1
    # Same length, other bytes.
    (tmp_path / "file.gz").write_bytes(b"x" * len(PACKED))
    got = get()
    assert got.status == "downloaded"
    assert got.path.read_bytes() == PACKED


def test_a_file_that_changed_between_tries_starts_again(server, get):
    new = gzip.compress(BODY[::-1], mtime=0)
    plan = [{"drop_at": 1000}, {"etag": '"v2"', "body": new}]
    server.files["/file.gz"] = Served(PACKED, plan=plan)
    got = get()
    assert server.requests[1][1:] == ("bytes=1000-", '"v1"')
    assert got.path.read_bytes() == new


def test_a_server_that_ignores_if_range_does_not_mix_two_versions(server, get):
    # Plain bytes of the same length: no gzip check and no checksum would notice.
    new = BODY[::-1]
    change = {"etag": '"v2"', "body": new, "ignore_if_range": True}
    server.files["/file.txt"] = Served(BODY, plan=[{"drop_at": 1000}, change])
    assert get("/file.txt").path.read_bytes() == new


def test_a_date_stands_in_for_a_weak_etag(server, get):
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    served = Served(PACKED, etag='W/"v1"', last_modified=date, plan=[{"drop_at": 9}])
    server.files["/file.gz"] = served
    get()
    assert server.requests[1][1:] == ("bytes=9-", date)


@pytest.mark.parametrize("served", [{"ranges": False}, {"etag": ""}])
def test_without_ranges_or_version_it_starts_again(server, get, served):
    plan = [{"drop_at": 1000}]
    server.files["/file.gz"] = Served(PACKED, plan=plan, **served)
    got = get()
    assert got.path.read_bytes() == PACKED
    assert got.status == "downloaded"
    assert got.bytes_received == len(PACKED) + 1000


def test_a_server_that_always_drops_half_way_is_not_asked_for_ever(
    server, get, tmp_path
):
    plan = [{"drop_at": 1000} for _ in range(100)]
    server.files["/file.gz"] = Served(PACKED, ranges=False, plan=plan)
    waits = []
    with pytest.raises(DownloadError, match=r"file\.gz: gave up .* run the same"):
        get(retries=3, sleep=waits.append)
    assert len(server.requests) == 5  # one with new bytes, then 1 + 3 without
    assert waits == [2, 2, 4, 8]
    assert not (tmp_path / "file.gz").exists()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_after_the_time_it_names(server, get, status):
    busy = {"status": status, "headers": {"Retry-After": "7"}}
    server.files["/file.gz"] = Served(PACKED, plan=[busy, {"status": status}])
    waits = []
    assert get(sleep=waits.append).status == "downloaded"
    assert waits == [7, 4]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (404, "look for it"),
        (410, "look for it"),
        (403, "HTTPS_PROXY"),
        (400, "browser"),
    ],
)
def test_a_final_no_is_not_asked_twice(server, get, tmp_path, status, remedy):
    server.files["/file.gz"] = Served(PACKED, plan=[{"status": status}] * 5)
    with pytest.raises(DownloadError, match=rf"/file\.gz: .*{status}.*{remedy}"):
        get()
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == []


def test_redirects_are_followed_and_recorded(server, get, tmp_path):
    move = {"status": 302, "headers": {"Location": "/moved/here.gz"}}
    server.files["/file.gz"] = Served(b"", plan=[move])
    server.files["/moved/here.gz"] = Served(PACKED)
    assert get().path.read_bytes() == PACKED
    record = json.loads((tmp_path / "file.gz.provenance.json").read_text())
    assert record["final_url"] == f"{server.url}/moved/here.gz"


def test_redirects_in_a_circle_are_named(server, get):
    move = {"status": 302, "headers": {"Location": "/file.gz"}}
    server.files["/file.gz"] = Served(b"", plan=[move] * 50)
    with pytest.raises(DownloadError, match="redirects in a circle"):
        get()


def test_a_spoiled_transfer_is_repeated_once_from_the_start(server, get):
    spoil = {"spoil": lambda body: body[:50] + b"XX" + body[52:]}
    served = Served(PACKED, plan=[spoil])
    server.files["/file.gz"] = served
    checksum = Checksum("sha256", hashlib.sha256(PACKED).hexdigest())
    got = get(find_checksum=lambda: checksum)
    assert got.path.read_bytes() == PACKED
    assert got.checked_by == "sha256"
    assert server.ranges_asked("/file.gz") == [None, None]


def test_a_wrong_checksum_leaves_no_file(server, get, tmp_path):
    server.files["/file.gz"] = Served(PACKED)
    with pytest.raises(DownloadError, match=r"file\.gz: its md5 is .* published is 00"):
        get(find_checksum=lambda: Checksum("md5", "00"))
    assert len(server.requests) == 2
    assert leftovers(tmp_path) == []


def test_a_body_cut_short_by_a_server_without_lengths_fails_the_gzip_check(
    server, get, tmp_path
):
    cut = {"drop_at": 1000, "no_length": True}
    server.files["/file.gz"] = Served(PACKED, etag="", plan=[cut, dict(cut)])
    with pytest.raises(DownloadError, match="damaged or cut short"):
        get()
    assert leftovers(tmp_path) == []


def test_trailing_rubbish_after_gzip_is_refused(server, get):
    server.files["/file.gz"] = Served(PACKED + b"rubbish")
    with pytest.raises(DownloadError, match="damaged or cut short"):
        get()


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/file.gz", b"not gzip at all", "is no gzip file"),
        ("/file.txt", b"\n <!DOCTYPE html><p>Log in</p>", "web page"),
        ("/file.txt", b"", "is empty"),
    ],
)
def test_something_else_in_its_place_is_refused(server, get, path, body, message):
    server.files[path] = Served(body)
    with pytest.raises(DownloadError, match=message):
        get(path)


def test_a_file_packed_on_the_way_is_refused(server, get):
    packs = {"headers": {"Content-Encoding": "gzip"}}
    server.files["/file.txt"] = Served(PACKED, plan=[packs])
    with pytest.raises(DownloadError, match="packs the file on the way"):
        get("/file.txt")


def test_a_part_longer_than_the_file_is_thrown_away(server, get, tmp_path):
    server.files["/file.gz"] = Served(PACKED, plan=[{"drop_at": 1000}, {"status": 503}])
    with pytest.raises(DownloadError):
        get(retries=0)
    with (tmp_path / "file.gz.part").open("ab") as part:
        part.write(b"x" * len(PACKED))
    assert get().path.read_bytes() == PACKED


def test_a_file_of_other_origin_is_adopted_or_left_alone(server, get, tmp_path):
    (tmp_path / "file.gz").write_bytes(PACKED)
    with pytest.raises(DownloadError, match="was not fetched by cisgraph"):
        get()
    right = Checksum("sha256", hashlib.sha256(PACKED).hexdigest())
    with pytest.raises(DownloadError, match="was not fetched by cisgraph"):
        get(find_checksum=lambda: Checksum("md5", "00"))
    assert get(find_checksum=lambda: right).status == "adopted"
    assert get().status == "already complete"
    assert server.requests == []


def test_two_processes_do_not_write_one_file(server, get, tmp_path):
    server.files["/file.gz"] = Served(PACKED)
    with (
        download_module._locked(tmp_path / "file.gz"),
        pytest.raises(DownloadError, match="another process"),
    ):
        get()
    assert get().status == "downloaded"


def test_a_full_disk_is_seen_before_and_during(server, get, tmp_path, monkeypatch):
    server.files["/file.gz"] = Served(PACKED)
    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(tmp_path)._replace(free=100)
        patch.setattr(shutil, "disk_usage", lambda _path: usage)
        with pytest.raises(DownloadError, match=r"100 bytes free\. Free some space"):
            get()

    def fail(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(DownloadError, match=r"disk or quota is full.* run again"):
            get()
    assert get().path.read_bytes() == PACKED


def test_no_connection_is_said_within_three_tries(client, tmp_path):
    waits = []
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/.*no connection"):
        download(
            "http://127.0.0.1:9/x", tmp_path / "x", client=client, sleep=waits.append
        )
    assert waits == [2, 4]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://[::1/x"])
def test_an_address_that_is_none_is_refused(client, tmp_path, url):
    with pytest.raises(DownloadError, match="not an http"):
        download(url, tmp_path / "x", client=client)


def test_bsd_sums_by_hand(tmp_path):
    # "a" is 97. Rotated right by one it is 48 with its last bit, 1, moved to bit 15:
    # 48 + 32768 = 32816; "b" adds 98.
    path = tmp_path / "ab"
    path.write_bytes(b"a")
    assert download_module._sum_file(path, bsd=True).bsd == "97 1"
    path.write_bytes(b"ab")
    assert download_module._sum_file(path, bsd=True).bsd == "32914 1"


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("sum") is None, reason="needs coreutils")
@pytest.mark.parametrize("size", [0, 1024, 1025, 3_000_001])
def test_sums_agree_with_coreutils(tmp_path, size):
    path = tmp_path / "bytes"
    path.write_bytes(np.random.default_rng(size).bytes(size))
    sums = download_module._sum_file(path, bsd=True)
    ours = {"sum": sums.bsd, "md5sum": sums.md5, "sha256sum": sums.sha256}
    for program, value in ours.items():
        with path.open("rb") as file:
            said = subprocess.run(  # noqa: S603
                [program], stdin=file, capture_output=True, text=True, check=True
            ).stdout.split()
        theirs = " ".join(str(int(n)) for n in said) if program == "sum" else said[0]
        assert value == theirs, program


def test_listings_of_checksums():
    ensembl = "00097 1 README\n05521 36462 At.dna.fa.gz\n"
    assert find_in_listing(ensembl, "At.dna.fa.gz") == Checksum("bsd-sum", "5521 36462")
    md5 = f"{'A' * 32}  ./sacCer3.bw\n{'b' * 64} *other.bw\n"
    assert find_in_listing(md5, "sacCer3.bw") == Checksum("md5", "a" * 32)
    assert find_in_listing(md5, "other.bw") == Checksum("sha256", "b" * 64)
    # A name that only ends alike is another file.
    assert find_in_listing(ensembl, "dna.fa.gz") is None


def test_a_mirror_keeps_host_and_path():
    url = "https://ftp.ensembl.org/pub/a.gz?b=c/d"
    there = "http://here:8/m/ftp.ensembl.org/pub/a.gz?b=c/d"
    assert mirror_url(url, "http://here:8/m/") == there
    assert mirror_url(url, "") == url


CATALOGUE = """
[provider.ensembl]
name = "Ensembl"
release = "1"
checksum = "bsd-sum"
checksum_file = "CHECKSUMS"
licence = "open"
licence_url = "https://example.org/licence"
licence_verified = "read"
citation = "nobody"
[provider.plain]
name = "Plain"
release = "1"
checksum = "none"
checksum_file = ""
licence = "CC0-1.0"
licence_url = ""
licence_verified = "read"
citation = "nobody"
[species.cress]
latin = "Testus cressus"
taxon = 99
assembly = "T1"
aliases = []
gaps = []
"""


def entry(key, provider, path, sha256=""):
    return (
        f'[[source]]\nkey = "{key}"\nspecies = ["cress"]\nassembly = "T1"\n'
        f'kind = "genome"\nprovider = "{provider}"\nurl = "https://host.org/{path}"\n'
        f'sha256 = "{sha256}"\nsize = 1\nfetch = "always"\nverified = "read: here"\n'
    )


@pytest.fixture
def catalogue(tmp_path):
    path = tmp_path / "catalogue.toml"
    path.write_text(
        CATALOGUE
        + entry("cress/genome", "ensembl", "pub/t.fa.gz")
        + entry("cress/missing", "plain", "pub/none.gz")
        + entry("cress/pinned", "plain", "p/pinned", hashlib.sha256(BODY).hexdigest())
    )
    return read_catalogue(path)


def bsd_line(body, name):
    total = 0
    for byte in body:
        total = ((total >> 1) + ((total & 1) << 15) + byte) & 0xFFFF
    return f"{total:05d} {-(-len(body) // 1024)} {name}\n"


def test_a_species_from_a_mirror_with_its_checksums(server, catalogue, tmp_path):
    listing = bsd_line(PACKED, "t.fa.gz")
    server.files["/host.org/pub/t.fa.gz"] = Served(PACKED, plan=[{"drop_at": 10}])
    server.files["/host.org/pub/CHECKSUMS"] = Served(listing.encode())
    server.files["/host.org/p/pinned"] = Served(BODY)
    folder = tmp_path / "a folder with spaces – ü"
    seen = Counter()

    def on_source(source):
        return lambda done, _total: seen.update({source.key: done > 0})

    report = fetch(
        "cress",
        folder,
        mirror=server.url,
        catalogue=catalogue,
        on_source=on_source,
        sleep=lambda _seconds: None,
    )
    by_key = {source.key: got for source, got in report.complete}
    assert by_key["cress/genome"].checked_by == "bsd-sum"
    assert by_key["cress/pinned"].checked_by == "sha256"
    # One that fails does not take the others with it, and is not lost either.
    [(source, error)] = report.failed
    assert source.key == "cress/missing"
    assert "host.org/pub/none.gz" in str(error)
    assert seen["cress/genome"] > 0
    assert seen["cress/pinned"] > 0
    record = json.loads((folder / "t.fa.gz.provenance.json").read_text())
    assert record["licence"] == "open"
    assert record["catalogue_url"] == "https://host.org/pub/t.fa.gz"

    # The same files through another mirror are the same files.
    n_before = len(server.requests)
    again = fetch(
        "cress",
        folder,
        keys=["cress/genome", "cress/pinned"],
        mirror=f"{server.url}/",
        catalogue=catalogue,
    )
    assert {got.status for _, got in again.complete} == {"already complete"}
    assert len(server.requests) == n_before


def test_a_genome_that_fails_its_published_sum_is_refused(server, catalogue, tmp_path):
    server.files["/host.org/pub/t.fa.gz"] = Served(PACKED)
    server.files["/host.org/pub/CHECKSUMS"] = Served(b"00001 1 t.fa.gz\n")
    report = fetch(
        "cress",
        tmp_path / "f",
        keys=["cress/genome"],
        mirror=server.url,
        catalogue=catalogue,
        sleep=lambda _seconds: None,
    )
    [(_, error)] = report.failed
    assert "published is 1 1" in str(error)
    assert not (tmp_path / "f" / "t.fa.gz").exists()


@pytest.mark.parametrize("listing", [None, b"00001 1 another.fa.gz\n"])
def test_an_absent_checksum_is_said_and_not_made_up(
    server, catalogue, tmp_path, listing
):
    server.files["/host.org/pub/t.fa.gz"] = Served(PACKED)
    if listing:
        server.files["/host.org/pub/CHECKSUMS"] = Served(listing)
    report = fetch(
        "cress",
        tmp_path / "f",
        keys=["cress/genome"],
        mirror=server.url,
        catalogue=catalogue,
    )
    [(_, got)] = report.complete
    assert got.checked_by == "size"


def test_a_list_of_checksums_out_of_reach_keeps_the_bytes(server, catalogue, tmp_path):
    server.files["/host.org/pub/t.fa.gz"] = Served(PACKED)
    listing = Served(bsd_line(PACKED, "t.fa.gz").encode(), plan=[{"status": 503}] * 3)
    server.files["/host.org/pub/CHECKSUMS"] = listing
    options = {
        "keys": ["cress/genome"],
        "mirror": server.url,
        "catalogue": catalogue,
        "retries": 1,
        "sleep": lambda _seconds: None,
    }
    first = fetch("cress", tmp_path / "f", **options)
    assert "list of checksums" in str(first.failed[0][1])
    assert not (tmp_path / "f" / "t.fa.gz").exists()
    [(_, got)] = fetch("cress", tmp_path / "f", **options).complete
    assert (got.checked_by, got.bytes_received) == ("bsd-sum", 0)
