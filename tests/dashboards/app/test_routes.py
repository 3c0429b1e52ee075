"""What the browser fetches: the right bytes, and nothing that was not named."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("streamlit", reason="the extra 'dashboard' is not installed")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboards.app import notebook
from dashboards.app.offer import Offer
from dashboards.app.routes import ROUTES
from tests.organisms import SEQUENCES, snv

# An event loop talks to itself over a pair of sockets; nothing connects anywhere.
pytestmark = pytest.mark.enable_socket


@pytest.fixture
def client(shown: Offer) -> Iterator[TestClient]:  # noqa: ARG001
    with TestClient(Starlette(routes=ROUTES)) as opened:
        yield opened


def test_sequence_is_read_in_ranges(client: TestClient) -> None:
    index = client.get("/data/workspace/genome.fa.fai").text.splitlines()
    name, length, offset, *_ = index[0].split("\t")
    assert (name, int(length)) == ("chr1", len(SEQUENCES["chr1"]))
    first = int(offset) + 100
    answer = client.get(
        "/data/workspace/genome.fa", headers={"Range": f"bytes={first}-{first + 9}"}
    )
    assert answer.status_code == 206
    assert answer.text.upper() == SEQUENCES["chr1"][100:110].upper()


def test_igv_comes_from_the_installed_package(client: TestClient) -> None:
    pytest.importorskip("igv_notebook")
    answer = client.get("/data/igv.min.js")
    assert answer.status_code == 200
    assert "javascript" in answer.headers["content-type"]
    assert len(answer.content) > 500_000


def test_a_signal_is_the_registered_file(client: TestClient, tiny: Path) -> None:
    (track,) = tiny.glob("sources/*/phylo.bw")
    found = [
        answer.content
        for i in range(1, 20)
        if (answer := client.get(f"/data/workspace/signal/{i}")).status_code == 200
    ]
    assert track.read_bytes() in found


def test_features_are_json_with_what_was_left_out(client: TestClient) -> None:
    answer = client.get(
        "/data/workspace/features/genes",
        params={"chr": "chr1", "start": 0, "end": 5000},
    ).json()
    assert {one["name"] for one in answer["features"]} == {"ALPHA"}
    assert answer["left_out"] == 0


def test_an_export_holds_what_its_address_asks(
    client: TestClient, frame: pd.DataFrame
) -> None:
    answer = client.get(
        "/data/workspace/variants.tsv",
        params={"impact": ["HIGH"], "sort": "prior_score", "column": ["pos", "impact"]},
    )
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["x-filter"] == "impact=HIGH"
    lines = answer.text.splitlines()
    assert lines[0] == "pos\timpact"
    assert len(lines) - 1 == (frame["impact"] == "HIGH").sum() > 0
    assert {line.split("\t")[1] for line in lines[1:]} == {"HIGH"}


def test_an_export_of_a_list_holds_the_list(client: TestClient) -> None:
    contig, pos, ref, alt = snv("chr1", 2101)
    notebook.keep_list("workspace", "mine", ((contig, pos, ref, alt),))
    answer = client.get("/data/workspace/variants.bed", params={"picked": "mine"})
    assert answer.text.split("\t")[:4] == [
        "chr1", "2100", "2101", f"chr1:2101:{ref}:{alt}"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "/data/nothing/genome.fa",
        "/data/workspace/registry.duckdb",
        "/data/workspace/genome.fa.gz",
        "/data/workspace/signal/999",
        "/data/..%2F..%2Fetc/passwd",
        "/data/workspace/..%2F..%2Fetc%2Fpasswd",
        "/data/workspace/features/moon?chr=chr1&start=1&end=2",
        "/data/workspace/features/genes?chr=chr1&start=one&end=2",
        "/data/workspace/features/genes",
        "/data/workspace/variants.exe",
        "/data/workspace/variants.tsv?scores=%2Fetc%2Fpasswd",
        "/data/workspace/variants.tsv?sort=pos%22--",
        "/data/workspace/variants.tsv?above=x",
    ],
)
def test_what_was_not_named_is_not_there(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_a_page_tells_its_script_where_the_server_is(client: TestClient) -> None:
    text = client.get("/variants?impact=HIGH").text
    assert "BACKEND_BASE_URL" in text
    assert "<title>Streamlit</title>" in text
