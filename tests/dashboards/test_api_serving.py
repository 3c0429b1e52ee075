"""``cisgraph serve`` as a process of its own: real sockets, readers during a rebuild."""

import hashlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from dashboards.jobs import read_job
from data_registry.store import open_store
from graph_builder.cli import build_workspace
from tests.organisms import make_workspace, snv, vcf_text

pytest.importorskip("fastapi")
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "k" * 32


@contextmanager
def serving(workspace: Path, *more: object) -> Iterator[tuple[str, Path]]:
    """Give the address of a server and its log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = workspace.parent / "serve.log"
    words = ["serve", "-w", workspace, "--port", port, *more]
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "dashboards.cli", *map(str, words)],
            cwd=ROOT, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        for _ in range(300):
            if process.poll() is not None:
                pytest.fail(log.read_text())
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_workspace(tmp_path_factory.mktemp("served"), layers=False)
    build_workspace(folder)
    return folder


def test_readers_see_whole_graphs_and_a_job_outlives_its_server(
    small: Path, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    answers: dict[tuple[str, str], set[str]] = defaultdict(set)
    statuses: list[int] = []
    stop = threading.Event()
    known = {"Authorization": f"Bearer {TOKEN}"}

    def read(url: str) -> None:
        with httpx.Client(base_url=url, headers=known, timeout=60) as client:
            while not stop.is_set():
                response = client.get(
                    "/api/graph/neighbourhood", params={"id": "gA", "hops": 2}
                )
                statuses.append(response.status_code)
                if response.status_code == 200:
                    held = hashlib.sha256(response.content).hexdigest()
                    answers["gA", response.json()["graph_digest"]].add(held)

    with serving(small, "--token-file", token) as (url, log):
        readers = [threading.Thread(target=read, args=(url,)) for _ in range(20)]
        for reader in readers:
            reader.start()
        built = set()
        for i in range(3):
            peaks = tmp_path / f"peaks{i}.bed"
            peaks.write_text(f"chr1\t{4_000 + 100 * i}\t{4_300 + 100 * i}\tp\n")
            with open_store(small, write=True) as store:
                store.add(peaks, kind="intervals", name="peaks",
                          options={"interval_kind": "peak"})  # fmt: skip
            built.add(build_workspace(small).digest)
            time.sleep(1.0)
        stop.set()
        for reader in readers:
            reader.join()
        # Dots that a client would have tidied away, over the wire.
        host, port = url.removeprefix("http://").split(":")
        for target in (
            "/../../etc/passwd",
            "/api/jobs/../../../etc/passwd",
            "//etc/passwd",
        ):
            with socket.create_connection((host, int(port)), 5) as wire:
                wire.sendall(
                    f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
                    f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
                )
                answer = b"".join(iter(lambda wire=wire: wire.recv(65_536), b""))
            assert answer.startswith(b"HTTP/1.1 404")
            assert b"root:" not in answer
        assert httpx.get(f"{url}/api/jobs").status_code == 401
        assert httpx.get(f"{url}/api/health").status_code == 200
        job = httpx.post(
            f"{url}/api/score?as_job=true", headers={**known, "Content-Type": "text/x-vcf"},
            content=vcf_text([snv("chr1", p) for p in (5, 2101, 9100)]),
        ).json()  # fmt: skip
        assert job["state"] == "queued"
    assert set(statuses) == {200}
    assert len(statuses) > 100
    assert all(len(found) == 1 for found in answers.values())
    digests = {digest for _, digest in answers}
    assert len(digests & built) >= 2
    assert len(digests - built) <= 1  # the graph there was before
    text = log.read_text()
    assert TOKEN not in text
    assert "Traceback" not in text
    assert re.search(
        r"request=[0-9a-f]{16} client=127\.0\.0\.1 GET .* status=200", text
    )
    until = time.monotonic() + 60
    while not (found := read_job(small, job["id"])).is_over:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert (found.state, found.done) == ("finished", 3)
