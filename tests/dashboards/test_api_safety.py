"""The API against those who mean it harm, or only send too much."""

import asyncio
import gzip
import json
import multiprocessing
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import duckdb
import pytest
from typer.testing import CliRunner

from dashboards.cli import app as commands
from dashboards.serve import is_loopback, read_token
from data_registry.errors import InputError
from tests.dashboards.test_uploads import gzip_bomb, zipped
from tests.organisms import snv, vcf_text

pytest.importorskip("fastapi")
from starlette.testclient import TestClient

from dashboards.api import scorer
from dashboards.api.application import make_application
from dashboards.api.settings import Limits, Settings
from dashboards.api.snapshots import Snapshots

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TEXT = vcf_text([snv("chr1", p) for p in range(1, 60)])
VCF, JSON = {"Content-Type": "text/x-vcf"}, {"Content-Type": "application/json"}
TRAVERSALS = (
    "../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "/etc/passwd",
    "%2fetc%2fpasswd", "..", "%2e%2e", "....//....//etc/passwd", "..\\..\\etc\\passwd",
    "..%5c..%5cetc%5cpasswd", "%00/etc/passwd", "file:///etc/passwd", "~root",
    "..%252f..%252fetc%252fpasswd", "registry.duckdb", "../registry.duckdb",
)  # fmt: skip
PATHS = (
    "/api/jobs/{}", "/api/jobs/{}/result", "/api/jobs/{}/events", "/api/runs/{}",
    "/api/genes/{}", "/api/variants?run={}", "/api/variants?region={}",
    "/api/graph/neighbourhood?id={}", "/brapi/v2/variantsets/{}",
    "/brapi/v2/variantsets/{}/calls", "/brapi/v2/references/{}/bases",
    "/brapi/v2/callsets/{}", "/brapi/v2/variants/{}", "/brapi/v2/maps/{}", "/{}",
    "/api/{}", "/static/{}",
)  # fmt: skip

_OPENED: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _OPENED is not None and event in {
        "open",
        "os.listdir",
        "os.scandir",
        "os.remove",
    }:
        _OPENED.append(
            os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
        )


sys.addaudithook(_watch)


@contextmanager
def opened() -> Iterator[list[str]]:
    """Collect the paths that this process opens."""
    global _OPENED
    _OPENED = []
    try:
        yield _OPENED
    finally:
        _OPENED = None


@contextmanager
def serving(workspace: Path, **settings: object) -> Iterator[TestClient]:
    app = make_application(replace(Settings(workspace), **settings))
    with TestClient(app, base_url="http://127.0.0.1:8000") as found:
        yield found


def kind_of(response) -> str:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.json()["type"].removeprefix("urn:cisgraph:problem:")


# -- paths, SQL, files ---------------------------------------------------------------


def asked(client: TestClient, target: str) -> tuple[int, bytes]:
    """GET a target as it is: a client would tidy the dots away first."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": unquote(path),
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(client.app(scope, receive, send))
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


def test_no_path_of_a_client_is_opened(client) -> None:
    with opened() as paths:
        Path(__file__).open().close()  # the watch works
        for path in PATHS:
            for text in TRAVERSALS:
                status, body = asked(client, path.format(text))
                assert status in {404, 422}, (path, text)
                assert b"root:" not in body
                assert json.loads(body)["type"].startswith("urn:cisgraph:problem:")
    assert __file__ in paths
    for path in paths:
        assert "passwd" not in path
        assert "%2" not in path
        assert "\\" not in path
        assert ".." not in Path(path).parts


def test_a_name_is_not_a_path(client, workspace) -> None:
    before = sorted(p for p in workspace.rglob("*") if "panels" not in p.parts)
    for name in ("../../x.vcf", "/srv/x.vcf", "a\\..\\b.vcf", "x\r\ny.vcf"):
        response = client.post(
            "/api/score", params={"name": name}, content="no", headers=VCF
        )
        assert kind_of(response) == "invalid-file"
        assert "\n" not in response.json()["detail"]
    assert before + [workspace / "uploads"] * (
        workspace / "uploads" not in before
    ) == sorted(p for p in workspace.rglob("*") if "panels" not in p.parts)


@pytest.mark.parametrize(
    "text", ["' OR 1=1 --", "gA'; DROP TABLE genes; --", 'gA" OR ""="', "gA\x00", "%"]
)
def test_text_stays_text_in_sql(client, text) -> None:
    assert client.get("/api/variants", params={"gene": text}).json()["total"] == 0
    assert (
        client.get("/api/variants", params={"consequence": text}).json()["total"] == 0
    )
    assert (
        kind_of(client.get("/api/variants", params={"columns": f'pos"{text}'}))
        == "invalid-request"
    )
    assert (
        kind_of(client.get("/api/variants", params={"page_token": text}))
        == "invalid-request"
    )
    assert client.get(f"/api/genes/{quote(text, safe='')}").status_code == 404
    assert client.get("/api/genes/gA").status_code == 200
    body = client.get("/brapi/v2/variants", params={"referenceDbId": text}).json()
    assert body["metadata"]["pagination"]["totalCount"] == 0


def test_what_duckdb_may_not(workspace) -> None:
    snapshots = Snapshots(workspace)
    try:
        with snapshots.reading() as snapshot, snapshot.query(5) as query:
            for sql in (
                "CREATE TABLE x (a INTEGER)", "DELETE FROM genes",
                "SELECT * FROM read_text('/etc/passwd')",
                "COPY genes TO '/tmp/genes.csv'", "SET enable_external_access = true",
                "SET allowed_directories = ['/']", "ATTACH '/tmp/x.duckdb'",
                "INSTALL httpfs", "LOAD httpfs",
            ):  # fmt: skip
                with pytest.raises(duckdb.Error):
                    query.rows(sql)
            assert query.value("SELECT count(*) FROM genes") == 5
    finally:
        snapshots.close()


def test_a_query_ends_at_its_limit(workspace) -> None:
    snapshots = Snapshots(workspace)
    try:
        with (
            snapshots.reading() as snapshot,
            snapshot.query(0.2) as query,
            pytest.raises(duckdb.InterruptException),
        ):
            query.value(
                "SELECT sum(a.range * b.range) FROM range(10000000) a, range(100000) b"
            )
    finally:
        snapshots.close()


# -- bodies ---------------------------------------------------------------------------


def test_bombs_and_what_is_no_vcf(workspace) -> None:
    limits = Limits(expanded_bytes=2_000_000, upload_bytes=400_000)
    packed = {"Content-Type": "application/gzip"}
    noise = os.urandom(500_000)
    cases = [
        (gzip_bomb(200 << 20), packed, 413, "too-large"),
        (gzip.compress(gzip_bomb(20 << 20)), packed, 422, "invalid-file"),
        (zipped(b"0" * 10_000_000), packed, 422, "invalid-file"),
        (pickle.dumps(os.system), VCF, 422, "invalid-file"),
        (b"BZh91AY&SY" + noise[:100], packed, 422, "invalid-file"),
        (gzip.compress(TEXT.encode())[:-9], packed, 422, "invalid-file"),
        (b"##fileformat=VCFv4.2\n" + b"#" * 400_000, VCF, 413, "too-large"),
        (b"", VCF, 422, "invalid-file"),
    ]
    with serving(workspace, limits=limits) as client:
        for body, headers, status, kind in cases:
            response = client.post("/api/score", content=body, headers=headers)
            assert (response.status_code, kind_of(response)) == (status, kind)
        # Without Content-Length, the bytes are counted as they come.
        endless = (
            b"##fileformat=VCFv4.2\n" if i == 0 else b"#" * 65_536 for i in range(99)
        )
        response = client.post("/api/score", content=endless, headers=VCF)
        assert (response.status_code, kind_of(response)) == (413, "too-large")
    assert list((workspace / "uploads").iterdir()) == []


def test_json_has_a_limit_of_its_own(workspace) -> None:
    with serving(workspace, limits=Limits(json_bytes=1_000, variants=3)) as client:
        body = json.dumps(
            {"variants": [{"chrom": "1", "pos": 1, "ref": "A", "alt": "C"}] * 4}
        )
        assert (
            kind_of(client.post("/api/score", content=body, headers=JSON))
            == "invalid-request"
        )
        response = client.post("/api/score", content=body * 9, headers=JSON)
        assert kind_of(response) == "too-large"
        deep = "[" * 900
        assert (
            kind_of(client.post("/api/score", content=deep, headers=JSON)) == "not-json"
        )


def test_no_more_jobs_than_may_wait(workspace) -> None:
    with serving(workspace, limits=Limits(waiting_jobs=0)) as client:
        response = client.post("/api/score?as_job=true", content=TEXT, headers=VCF)
    assert (response.status_code, kind_of(response)) == (429, "too-many-jobs")
    assert response.headers["retry-after"]
    assert list((workspace / "uploads").iterdir()) == []


def test_scoring_that_takes_too_long_is_ended(workspace, monkeypatch) -> None:
    monkeypatch.setattr(scorer, "_START_S", 0.1)
    body = {"variants": [{"chrom": "chr1", "pos": 5, "ref": "A", "alt": "C"}]}
    before = set(multiprocessing.active_children())
    with serving(workspace) as client:
        response = client.post("/api/score", json=body)
        assert (response.status_code, kind_of(response)) == (503, "busy")
        assert "took too long" in response.json()["detail"]
        assert set(multiprocessing.active_children()) <= before


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
     "", "application/json-patch+json", "application/python-pickle"],
)  # fmt: skip
def test_content_types_that_a_web_page_can_send_are_refused(client, kind) -> None:
    response = client.post("/api/score", content=TEXT, headers={"Content-Type": kind})
    assert (response.status_code, kind_of(response)) == (415, "wrong-type")


# -- who may ask -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"Host": "evil.example"}, 421, "wrong-host"),  # DNS rebinding
        ({"Host": "evil.example:8000"}, 421, "wrong-host"),
        ({"Host": "127.0.0.1.evil.example"}, 421, "wrong-host"),
        ({"Host": ""}, 421, "wrong-host"),
        ({"Origin": "http://evil.example"}, 403, "foreign-origin"),
        ({"Origin": "null"}, 403, "foreign-origin"),
        ({"Origin": "http://127.0.0.1:9999"}, 403, "foreign-origin"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "foreign-origin"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "foreign-origin"),
        ({"Content-Length": "x"}, 400, "bad-request"),
    ],
)
def test_other_sites_get_nothing(client, headers, status, kind) -> None:
    for call in (client.get, client.post, client.delete, client.options):
        response = call("/api/jobs", headers=headers)
        assert (response.status_code, kind_of(response)) == (status, kind)


def test_own_names_pass_and_no_page_may_read(client) -> None:
    for headers in ({"Host": "localhost:8000"}, {"Host": "[::1]:8000"}, {"Host": "LOCALHOST"},
                    {"Origin": "http://127.0.0.1:8000"}, {"Sec-Fetch-Site": "same-origin"}):  # fmt: skip
        response = client.get("/api/health", headers=headers)
        assert response.status_code == 200
        assert not [h for h in response.headers if h.startswith("access-control")]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
    preflight = client.options("/api/score", headers={
        "Origin": "http://127.0.0.1:8000", "Access-Control-Request-Method": "POST",
    })  # fmt: skip
    assert kind_of(preflight) == "wrong-method"
    assert not [h for h in preflight.headers if h.startswith("access-control")]


def test_a_token_is_asked_for_everywhere_but_health(workspace) -> None:
    token = "t" * 20
    with serving(workspace, token=token) as client:
        assert client.get("/api/health").status_code == 200
        for path in (
            "/api/jobs",
            "/brapi/v2/serverinfo",
            "/api/openapi.json",
            "/api/nope",
        ):
            for sent in ({}, {"Authorization": token}, {"Authorization": "Bearer wrong"},
                         {"Authorization": f"Basic {token}"}, {"Authorization": "Bearer é"}):  # fmt: skip
                sent = {k: v.encode() for k, v in sent.items()}
                response = client.get(path, headers=sent)
                assert (response.status_code, kind_of(response)) == (401, "no-token")
                assert response.headers["www-authenticate"] == "Bearer"
        known = {"Authorization": f"Bearer {token}"}
        assert client.get("/api/jobs", headers=known).status_code == 200
        document = client.get("/api/openapi.json", headers=known).json()
        assert document["security"] == [{"token": []}]


# -- the command ---------------------------------------------------------------------------


def test_other_machines_need_a_token(workspace, tmp_path) -> None:
    for host in ("::", "192.168.1.5", "breeder.example", "0" + ".0" * 3):
        result = CliRunner().invoke(
            commands, ["serve", "-w", str(workspace), "--host", host]
        )
        assert isinstance(result.exception, InputError)
        assert "--token-file" in str(result.exception)
    assert [is_loopback(h) for h in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [
        True
    ] * 4
    file = tmp_path / "token"
    file.write_text("x" * 32 + "\n")
    file.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        read_token(file)
    file.chmod(0o600)
    assert read_token(file) == "x" * 32
    file.write_text("short\n")
    with pytest.raises(InputError, match="at least 16"):
        read_token(file)
