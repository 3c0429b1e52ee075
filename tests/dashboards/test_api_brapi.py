"""BrAPI: the tiny panel by hand, and whole panels against another reader."""

import math
from pathlib import Path

import cyvcf2
import numpy as np
import pytest

from data_registry.store import open_store
from tests.dashboards.conftest import wait_for_panels
from tests.organisms import SEQUENCES, make_workspace, snv, vcf_text

pytest.importorskip("fastapi")
from starlette.testclient import TestClient

from dashboards.api.application import make_application
from dashboards.api.panels import Spelling, spelled
from dashboards.api.settings import Settings

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

B = "/brapi/v2"


def result(client, path, **ask):
    response = client.get(B + path, params=ask)
    assert response.status_code == 200, response.text
    body = response.json()
    assert set(body) == {"@context", "metadata", "result"}
    assert set(body["metadata"]) == {"datafiles", "pagination", "status"}
    return body["result"]


def data(client, path, **ask):
    """All rows, page by page; the envelope counts them right."""
    ask = {"pageSize": 1000, **ask}
    rows, page = [], 0
    while True:
        body = client.get(B + path, params={**ask, "page": page}).json()
        held = body["metadata"]["pagination"]
        assert held["currentPage"] == page
        assert held["totalPages"] == math.ceil(held["totalCount"] / held["pageSize"])
        assert len(body["result"]["data"]) <= held["pageSize"]
        rows += body["result"]["data"]
        page += 1
        if page >= held["totalPages"]:
            assert len(rows) == held["totalCount"]
            return rows


def test_the_server_says_what_it_answers(client) -> None:
    calls = result(client, "/serverinfo")["calls"]
    names = {call["service"] for call in calls}
    assert {"serverinfo", "commoncropnames", "studies", "variantsets", "variants", "calls",
            "callsets", "samples", "maps", "markerpositions", "references",
            "variantsets/{variantSetDbId}/calls", "allelematrix"} <= names  # fmt: skip
    assert all(c["methods"] == ["GET"] and c["versions"] == ["2.1"] for c in calls)
    document = client.get("/api/openapi.json").json()["paths"]
    assert {f"{B}/{name}" for name in names} == {p for p in document if p.startswith(B)}


def test_the_tiny_panel_by_hand(client) -> None:
    assert data(client, "/commoncropnames") == ["tiny1"]
    (study,) = data(client, "/studies")
    assert (study["studyDbId"], study["studyType"]) == ("panel", "Genotyping")
    (panel,) = data(client, "/variantsets")
    assert (panel["variantSetDbId"], panel["variantCount"], panel["callSetCount"]) == (
        "panel", 3, 3,
    )  # fmt: skip
    assert [c["callSetName"] for c in data(client, "/callsets")] == ["s1", "s2", "s3"]
    assert [s["sampleDbId"] for s in data(client, "/samples")] == [
        "panel:s1", "panel:s2", "panel:s3",
    ]  # fmt: skip
    first, second, third = data(client, "/variants")
    _, _, ref, alt = snv("chr1", 2101)
    assert first["variantDbId"] == "panel:1"
    assert (first["start"], first["end"]) == (2100, 2101)  # 0-based half-open
    assert (first["referenceBases"], first["alternateBases"]) == (ref, [alt])
    assert (first["variantType"], second["variantType"]) == ("SNV", "DEL")
    assert third["referenceName"] == "chr2"
    calls = data(client, "/calls")
    assert [c["genotypeValue"] for c in calls] == [
        "0|1", "1|1", "0|0", "0|1", "0|0", "0|0", "1|1", "1|1", "1|1",
    ]  # fmt: skip
    assert [(c["variantDbId"], c["callSetDbId"]) for c in calls[2:4]] == [
        ("panel:1", "panel:s3"), ("panel:2", "panel:s1"),
    ]  # fmt: skip
    collapsed = data(client, "/calls", expandHomozygotes=False, sepPhased="~")
    assert [c["genotypeValue"] for c in collapsed[:3]] == ["0~1", "1", "0"]
    matrix = result(client, "/allelematrix", dimensionVariantPageSize=2,
                    dimensionVariantPage=1, dimensionCallSetPageSize=2)  # fmt: skip
    assert matrix["variantDbIds"] == ["panel:3"]
    assert matrix["dataMatrices"][0]["dataMatrix"] == [["1|1", "1|1"]]
    assert [p["totalPages"] for p in matrix["pagination"]] == [2, 2]


def test_the_same_calls_whichever_way_one_asks(client) -> None:
    every = data(client, "/calls")
    for size in (1, 2, 4, 5, 7):
        assert data(client, "/calls", pageSize=size) == every
    assert data(client, "/variantsets/panel/calls", pageSize=4) == every
    by_sample = [
        c
        for s in ("s1", "s2", "s3")
        for c in data(client, f"/callsets/panel:{s}/calls")
    ]
    by_variant = [
        c for n in (1, 2, 3) for c in data(client, f"/variants/panel:{n}/calls")
    ]
    assert by_variant == every
    assert sorted(map(str, by_sample)) == sorted(map(str, every))
    assert (
        data(client, "/calls", callSetDbId="panel:s2", variantDbId="panel:2")
        == every[4:5]
    )
    assert data(client, "/calls", variantSetDbId="none") == []


def test_the_assembly(client) -> None:
    assert [(r["referenceName"], r["length"]) for r in data(client, "/references")] == [
        (name, len(bases)) for name, bases in SEQUENCES.items()
    ]
    assert (
        data(client, "/references", minLength=1000, maxLength=2000)[0]["referenceName"]
        == "chr2"
    )
    (assembly,) = data(client, "/referencesets")
    assert assembly["referenceSetDbId"] == "tiny1"
    bases = result(client, "/references/chr2/bases", start=300, end=321)
    assert bases == {"offset": 300, "sequence": SEQUENCES["chr2"][300:321].upper()}
    (physical,) = data(client, "/maps")
    assert (physical["type"], physical["unit"], physical["markerCount"]) == (
        "Physical",
        "bp",
        3,
    )
    groups = data(client, "/maps/tiny1/linkagegroups")
    assert [(g["linkageGroupName"], g["markerCount"], g["maxPosition"]) for g in groups] == [
        ("chr1", 2, 16_000), ("chr2", 1, 1_500), ("chrM", 0, 900),
    ]  # fmt: skip
    markers = data(
        client, "/markerpositions", linkageGroupName="chr1", maxPosition=2101
    )
    assert [(m["position"], m["variantDbId"]) for m in markers] == [(2101, "panel:1")]
    assert data(client, "/markerpositions", minPosition=2102, linkageGroupName="chr1")[0][
        "position"
    ] == 12_019  # fmt: skip


def test_objects_are_those_of_the_lists(client) -> None:
    for path, key in (
        ("/studies", "studyDbId"), ("/variantsets", "variantSetDbId"),
        ("/callsets", "callSetDbId"), ("/samples", "sampleDbId"),
        ("/variants", "variantDbId"), ("/references", "referenceDbId"),
        ("/referencesets", "referenceSetDbId"), ("/maps", "mapDbId"),
    ):  # fmt: skip
        for row in data(client, path):
            assert result(client, f"{path}/{row[key]}") == row
            assert data(client, path, **{key: row[key]}) == [row]
        assert data(client, path, **{key: "none"}) == []
        gone = client.get(f"{B}{path}/none")
        assert (gone.status_code, gone.headers["content-type"]) == (
            404,
            "application/problem+json",
        )


def test_spelling_by_hand() -> None:
    # Diploid, a haploid in a diploid file (-2 fills it), a call with one unknown allele.
    alleles = np.array([[0, 1], [1, -2], [-1, 2], [-1, -1]], np.int8)
    phased = np.array([1, 0, 0, 1], np.int8)
    given = alleles.tobytes(), phased.tobytes(), 2
    assert spelled(*given, Spelling()) == ["0|1", "1", "./2", ".|."]
    other = Spelling(expand_homozygotes=False, unknown="N", sep_unphased="")
    assert spelled(*given, other) == ["0|1", "1", "N2", "N"]


def test_a_panel_of_many_ploidies_against_cyvcf2(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)

    def genotype() -> str:
        alleles = rng.choice(["0", "1", "2", "."], rng.integers(1, 5))
        return rng.choice(["/", "|"]).join(alleles)

    records = [
        (*snv(c, int(p)), ".", *(genotype() for _ in range(7)))
        for c, p in [("1", x) for x in rng.choice(np.arange(1, 9_000), 60, replace=False)]
        + [("chr2", 5)]
    ]  # fmt: skip
    records = [(c, p, r, f"{a},{'ACGT'.replace(r, '').replace(a, '')[0]}", *x)
               for c, p, r, a, *x in records]  # fmt: skip
    header = ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
              "##contig=<ID=1>", "##contig=<ID=chr2>"]  # fmt: skip
    vcf = tmp_path / "many.vcf"
    names = [f"l{i}" for i in range(7)]
    vcf.write_text(vcf_text(records, samples=names, header=header))
    folder = make_workspace(tmp_path / "w", layers=False)
    with open_store(folder, write=True) as store:
        store.add(vcf, kind="variants", name="many")
    with TestClient(
        make_application(Settings(folder)), base_url="http://localhost"
    ) as client:
        wait_for_panels(client)
        calls = data(client, "/calls", pageSize=100)
        variants = data(client, "/variants")
    expected = []
    for record in cyvcf2.VCF(str(vcf)):
        for *alleles, phase in record.genotypes:
            words = ["." if a < 0 else str(a) for a in alleles]
            expected.append(("|" if phase else "/").join(words))
    assert [c["genotypeValue"] for c in calls] == expected
    assert [(v["referenceName"], v["start"] + 1) for v in variants] == [
        ("chr1" if c == "1" else c, p) for c, p, *_ in records
    ]
