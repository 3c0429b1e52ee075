"""The API: what it says, against the same things read another way."""

import gzip
import io
import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from data_registry.errors import WorkspaceError
from data_registry.store import open_store
from graph_builder.cli import build_workspace
from graph_builder.manifest import current_graph, read_manifest
from graph_builder.schema import EDGE_TYPES
from tests.dashboards.conftest import SCORED
from tests.organisms import make_workspace, snv, vcf_text

pytest.importorskip("fastapi")
from starlette.testclient import TestClient

from dashboards.api.application import make_application
from dashboards.api.settings import Settings
from dashboards.api.snapshots import Snapshots

ROOT = Path(__file__).resolve().parents[2]
# An event loop needs a pair of sockets of its own; nothing connects to anything else.
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

VCF = {"Content-Type": "text/x-vcf"}


def found(response, status=200):
    assert response.status_code == status, response.text
    return response.json()


def problem(response, status, kind):
    body = found(response, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:cisgraph:problem:{kind}"
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["title"]
    return body["detail"]


# -- what is served ------------------------------------------------------------------


def test_the_workspace_and_its_digests(client, workspace) -> None:
    assert found(client.get("/api/health"))["status"] == "ok"
    body = found(client.get("/api/workspace"))
    assert (body["assembly"], body["contigs"]) == ("tiny1", ["chr1", "chr2", "chrM"])
    graph = current_graph(workspace / "graph")
    assert graph is not None
    assert body["graph_digest"] == read_manifest(graph).digest
    with open_store(workspace) as store:
        names = [s.name for s in store.sources()]
    assert [s["name"] for s in body["sources"]] == names
    assert str(workspace) not in json.dumps(body)


def test_a_gene_by_any_name(client) -> None:
    body = found(client.get("/api/genes/gA"))
    # 2000-2900, 0-based half-open, is 2001 to 2900.
    assert (body["contig"], body["start"], body["end"], body["strand"]) == (
        "chr1", 2001, 2900, "+",
    )  # fmt: skip
    assert [t["transcript_id"] for t in body["transcripts"]] == ["tA1", "tA2"]
    assert body["transcripts"][0]["start"] == 2001
    (ppi,) = body["layers"]["interactions"]["rows"]
    assert (ppi["other"], ppi["score"], ppi["source"]) == ("gB", 0.9, "ppi v1")
    (tpm,) = body["layers"]["expression"]["rows"]
    assert (tpm["mean"], tpm["highest"], tpm["highest_in"]) == (11.0, 12.0, "root")
    for name in ("ALPHA", "tA2"):
        assert found(client.get(f"/api/genes/{name}"))["gene_id"] == "gA"
    assert "'gZ'" in problem(client.get("/api/genes/gZ"), 404, "not-found")


# -- the graph -----------------------------------------------------------------------


def around(
    workspace: Path, node: str, hops: int
) -> tuple[set[str], set[tuple[str, ...]]]:
    """The slow way: every edge of the graph, again for every hop."""
    graph = current_graph(workspace / "graph")
    assert graph is not None
    manifest = read_manifest(graph)
    edges = []
    for name, kind in EDGE_TYPES.items():
        ends = [
            manifest.table(t)["identifier"].to_pylist()
            for t in (kind.source, kind.target)
        ]
        table = manifest.table(name)
        for a, b in zip(
            table["source"].to_pylist(), table["target"].to_pylist(), strict=True
        ):
            edges.append(
                (name, f"{kind.source}:{ends[0][a]}", f"{kind.target}:{ends[1][b]}")
            )  # fmt: skip
    nodes, followed = {node}, set()
    for _ in range(hops):
        fresh = {edge for edge in edges if edge[1] in nodes or edge[2] in nodes}
        followed |= fresh
        nodes |= {end for edge in fresh for end in edge[1:]}
    return nodes, followed


@pytest.mark.parametrize(
    ("node", "hops"),
    [("gene:gA", 0), ("gene:gA", 1), ("gene:gB", 2), ("gene:gD", 2), ("gene:gB", 3)],
)
def test_a_neighbourhood_is_that_of_the_slow_search(
    client, workspace, node, hops
) -> None:
    kind, name = node.split(":")
    body = found(client.get("/api/graph/neighbourhood", params={
        "type": kind, "id": name, "hops": hops, "nodes": 1000, "edges_per_type": 500,
    }))  # fmt: skip
    nodes, edges = around(workspace, node, hops)
    assert body["left_out"] == {}
    assert {n["key"] for n in body["nodes"]} == nodes
    assert {(e["type"], e["source"], e["target"]) for e in body["edges"]} == edges
    assert {n["key"] for n in body["nodes"] if n["hops"] == 0} == {node}
    if hops:
        assert len(nodes) >= 3


def test_what_a_limit_leaves_out_is_counted(client) -> None:
    ask = {"id": "gA", "edges_per_type": 500, "nodes": 1000}
    whole = found(client.get("/api/graph/neighbourhood", params=ask))["edges"]
    for less in ({"edges_per_type": 1}, {"nodes": 3}):
        body = found(client.get("/api/graph/neighbourhood", params={**ask, **less}))
        assert body["left_out"]
        assert len(body["edges"]) + sum(body["left_out"].values()) == len(whole)
        assert len(body["nodes"]) <= less.get("nodes", 1000)
    one = found(client.get("/api/graph/neighbourhood", params={
        **ask, "edge": ["gene__linked_to__cre"],
    }))  # fmt: skip
    assert {e["type"] for e in one["edges"]} == {"gene__linked_to__cre"}


def test_what_the_graph_does_not_have(client) -> None:
    ask = "/api/graph/neighbourhood"
    problem(client.get(ask, params={"id": "gZ"}), 404, "not-found")
    problem(client.get(ask, params={"id": "gA", "hops": 4}), 422, "invalid-request")
    problem(client.get(ask, params={"id": "gA", "type": "cat"}), 422, "invalid-request")
    says = problem(
        client.get(ask, params={"id": "gA", "edge": "x"}), 422, "invalid-request"
    )
    assert "gene__linked_to__cre" in says


# -- stored runs ---------------------------------------------------------------------


def as_json(table: pd.DataFrame) -> list[dict[str, object]]:
    return json.loads(pa.Table.from_pandas(table).to_pandas().to_json(orient="records"))


def alleles(rows) -> list[tuple[object, ...]]:
    return [(r["chrom"], r["pos"], r["ref"], r["alt"]) for r in rows]


def test_pages_put_together_are_the_run(client, scores) -> None:
    rows, token, n_pages = [], None, 0
    while token is not None or not n_pages:
        ask = {"page_size": 3} | ({"page_token": token} if token else {})
        body = found(client.get("/api/variants", params=ask))
        assert body["total"] == len(scores) == 13
        rows += body["rows"]
        token, n_pages = body["next_page_token"], n_pages + 1
    assert n_pages == 5
    assert alleles(rows) == alleles(scores.to_dict("records"))
    assert body["run"]["accounting"]["input_alleles"] == 13
    # The values, not the places alone; JSON has no NaN.
    frame = pd.DataFrame(rows)[list(scores.columns)]
    for column in ("consequence", "gene", "status", "prior_score", "markov_llr"):
        left, right = frame[column], scores[column]
        assert left.isna().tolist() == right.isna().tolist()
        assert left.dropna().tolist() == pytest.approx(right.dropna().tolist(), abs=1e-6) \
            if right.dtype.kind == "f" else left.dropna().tolist() == right.dropna().tolist()  # fmt: skip


@pytest.mark.parametrize("form", ["ndjson", "arrow"])
def test_streams_are_the_run(client, scores, form) -> None:
    response = client.get("/api/variants", params={"format": form})
    assert response.status_code == 200
    if form == "arrow":
        frame = pa.ipc.open_stream(response.content).read_all().to_pandas()
        pd.testing.assert_frame_equal(frame, scores, check_dtype=False)
        media = "application/vnd.apache.arrow.stream"
    else:
        lines = [json.loads(line) for line in response.text.splitlines()]
        assert alleles(lines) == alleles(scores.to_dict("records"))
        assert all(v is not None for line in lines for v in line.values())
        media = "application/x-ndjson"
    assert response.headers["content-type"] == media
    # Byte for byte: no leftovers of the server's memory where there is no value.
    for _ in range(5):
        by_header = client.get("/api/variants", headers={"Accept": media})
        assert by_header.content == response.content
    problem(
        client.get("/api/variants", headers={"Accept": "image/png"}),
        406,
        "not-acceptable",
    )


@pytest.mark.parametrize(
    ("region", "positions"),
    [
        ("chr1:1-101", [1, 101]),  # 1-based, both ends inside
        ("chr1:2-100", []),
        ("1:2,051-2,101", [2051, 2101]),  # plain name, thousands
        # Under its other name in the file; REF is three bases long.
        ("NC_1:12021-12021", [12_019]),
        ("chr1:12022-15004", []),
        ("chr2:307-307", [307, 307, 307]),
    ],
)
def test_a_region_by_any_name_of_its_contig(client, region, positions) -> None:
    body = found(client.get("/api/variants", params={"region": region}))
    assert [row["pos"] for row in body["rows"]] == positions
    assert body["total"] == len(positions)


def test_filters_and_columns(client, scores) -> None:
    for name in ("gene", "consequence", "status"):
        for value in scores[name].dropna().unique():
            body = found(
                client.get("/api/variants", params={name: value, "columns": "pos"})
            )
            assert body["rows"] == [
                {"pos": p} for p in scores[scores[name] == value]["pos"]
            ]
    least = float(scores["prior_score"].median())
    body = found(client.get("/api/variants", params={"min_prior_score": least}))
    assert body["total"] == int((scores["prior_score"] >= least).sum())
    assert "'x'" in problem(client.get("/api/variants", params={"columns": "pos,x"}),
                            422, "invalid-request")  # fmt: skip
    columns = found(client.get("/api/columns"))["columns"]
    assert [c["name"] for c in columns] == list(scores.columns)


@pytest.mark.parametrize(
    "region", ["chr7:1-5", "chr1:5-3", "chr1", "chr1:1-", "chr1:0-5", "chr1:1-99999999", ":"]
)  # fmt: skip
def test_regions_that_are_none(client, region) -> None:
    problem(
        client.get("/api/variants", params={"region": region}), 422, "invalid-request"
    )


# -- scoring -------------------------------------------------------------------------


def test_scores_at_once_are_those_of_the_run(client, scores) -> None:
    given = [
        {"chrom": c, "pos": p, "ref": r, "alt": a}
        for c, p, r, alts in SCORED for a in alts.split(",")
    ]  # fmt: skip
    body = found(client.post("/api/score", json={"variants": given}))
    assert alleles(body["rows"]) == alleles(scores.to_dict("records"))
    assert body["accounting"]["input_alleles"] == 13
    assert body["accounting"]["reasons"] == {"unknown_contig": 1, "ambiguous_base": 1}
    frame = pd.DataFrame(body["rows"])
    # Alleles given one by one have no haplotype in common; all else is the same.
    for column in ("status", "consequence", "hgvs_c", "motif_change", "prior_score"):
        left, right = frame[column], scores[column]
        assert left.where(left.notna(), None).tolist() == pytest.approx(
            right.where(right.notna(), None).tolist(), nan_ok=True
        )
    text = vcf_text(SCORED)
    for data, kind in ((text.encode(), VCF), (gzip.compress(text.encode()),
                                              {"Content-Type": "application/gzip"})):  # fmt: skip
        again = found(client.post("/api/score", content=data, headers=kind))
        assert again["rows"] == body["rows"]


def test_a_job_from_its_upload_to_its_deletion(client, workspace) -> None:
    text = vcf_text([*SCORED[:7], *SCORED[9:10]])
    response = client.post("/api/score", params={"as_job": True, "name": "../my.vcf"},
                           content=text, headers=VCF)  # fmt: skip
    job = found(response, 202)
    assert response.headers["location"] == f"/api/jobs/{job['id']}"
    assert job["name"] == "my.vcf"
    (upload,) = (workspace / "uploads").iterdir()
    problem(client.delete(f"/api/jobs/{job['id']}"), 409, "not-over")
    problem(client.get(f"/api/jobs/{job['id']}/result"), 409, "not-over")
    events = client.get(f"/api/jobs/{job['id']}/events").text
    names = re.findall(r"^event: (\w+)$", events, re.MULTILINE)
    assert names[0] == "progress"
    assert names.count("end") == 1
    job = json.loads(re.findall(r"^data: (.*)$", events, re.MULTILINE)[-1])
    assert (job["state"], job["done"], job["total"]) == ("finished", 8, 8)
    assert job["id"] in {j["id"] for j in found(client.get("/api/jobs"))["jobs"]}
    result = pd.read_parquet(io.BytesIO(client.get(job["result"]).content))
    page = found(client.get("/api/variants", params={"run": job["id"]}))
    assert alleles(page["rows"]) == alleles(result.to_dict("records"))
    assert found(client.get(f"/api/runs/{job['id']}"))["n_alleles"] == len(result) == 10
    assert found(client.post(f"/api/jobs/{job['id']}/cancel"))["state"] == "finished"
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 204
    assert not upload.exists()
    problem(client.get(f"/api/jobs/{job['id']}"), 404, "not-found")
    problem(client.get(f"/api/jobs/{job['id']}/events"), 404, "not-found")


def test_faults_of_a_file_are_told_with_its_line(client, workspace) -> None:
    text = vcf_text([snv("chr1", 5)]) + "chr1\tfive\t.\tA\tC\t.\t.\t.\n"
    response = client.post(
        "/api/score", params={"name": "their.vcf"}, content=text, headers=VCF
    )
    says = problem(response, 422, "invalid-file")
    assert "their.vcf, line 4" in says
    assert response.json()["line"] == 4
    bad = client.post("/api/score", content="##fileformat=VCFv4.2\nx\n", headers=VCF)
    assert "upload.vcf, line 2" in problem(bad, 422, "invalid-file")
    assert list((workspace / "uploads").iterdir()) == []


def test_bodies_that_are_no_variants(client) -> None:
    for body, status, kind in (
        ("{", 400, "not-json"),
        ("[]", 422, "invalid-request"),
        ('{"variants": []}', 422, "invalid-request"),
        ('{"variants": [{"chrom": "a\\tb", "pos": 1, "ref": "A", "alt": "C"}]}',
         422, "invalid-request"),
        ('{"variants": [{"chrom": "1", "pos": 1, "ref": "A", "alt": "C\\nx"}]}',
         422, "invalid-request"),
        ('{"variants": [{"chrom": "1", "pos": 1, "ref": "A", "alt": "C,G"}]}',
         422, "invalid-request"),
        ('{"variants": [{"chrom": "1", "pos": 1, "ref": "A", "alt": "C", "x": 1}]}',
         422, "invalid-request"),
    ):  # fmt: skip
        sent = {"Content-Type": "application/json"}
        problem(client.post("/api/score", content=body, headers=sent), status, kind)


def test_what_has_only_a_place_yet(client) -> None:
    for path in ("/api/explain/chr1:2101:A:C", "/api/cre/chr1:1-5", "/api/explain/"):
        problem(client.get(path), 404, "not-here")
    document = found(client.get("/api/openapi.json"))
    assert not [p for p in document["paths"] if "explain" in p or "/cre" in p]


def test_every_request_has_an_id_in_the_log(client, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="cisgraph.api"):
        response = client.get("/api/genes/gA", headers={"X-Request-ID": "mine-7"})
        client.get("/api/genes/a%0Ab", headers={"X-Request-ID": "two words"})
    assert response.headers["x-request-id"] == "mine-7"
    lines = [r.getMessage() for r in caplog.records if r.name == "cisgraph.api"]
    assert re.search(
        r"request=mine-7 .* GET /api/genes/gA status=200 bytes=\d+ ms=", lines[0]
    )
    assert "request=two" not in lines[1]
    assert "\n" not in lines[1]
    assert "status=404" in lines[1]


# -- a workspace that changes ----------------------------------------------------------


WRITER = """
import sys
from pathlib import Path
from data_registry.store import open_store
with open_store(Path(sys.argv[1]), write=True) as store:
    store.add(Path(sys.argv[2]), kind="intervals", options={"interval_kind": "peak"})
    print("added", flush=True)
    sys.stdin.readline()
"""


def test_a_writer_neither_waits_nor_shows_half_its_work(tmp_path) -> None:
    folder = make_workspace(tmp_path, layers=False)
    peaks = tmp_path / "atac.bed"
    peaks.write_text("chr1\t4900\t5150\tp1\n")

    def state():
        time.sleep(0.6)  # the server looks for changes twice a second
        body = found(client.get("/api/workspace"))
        return len(body["sources"]), body["graph_digest"]

    app = make_application(Settings(folder))
    with TestClient(app, base_url="http://localhost") as client:
        assert state() == (3, None)
        problem(client.get("/api/graph/neighbourhood?id=gA"), 409, "missing-layer")
        # The server holds no lock: the writer comes in. It has committed, and still
        # holds the registry.
        with subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", WRITER, str(folder), str(peaks)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        ) as writer:  # fmt: skip
            assert writer.stdout.readline() == b"added\n"
            assert state() == (3, None)
            with pytest.raises(WorkspaceError, match="in use"):
                Snapshots(folder)
            writer.communicate(b"\n")
        assert writer.returncode == 0
        assert state() == (4, None)
        digest = build_workspace(folder).digest
        assert state() == (4, digest)
        body = found(client.get("/api/graph/neighbourhood?id=gA"))
        assert body["graph_digest"] == digest
