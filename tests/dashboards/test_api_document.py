"""The OpenAPI document, and whatever it allows or forbids, sent by schemathesis."""

import json
from collections import Counter

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis")

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.generation import GenerationMode

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

EXAMPLES = 2
"""Of each operation, valid and invalid; benchmarks/api.py sends many more."""
HOST = {"Host": "127.0.0.1"}
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip


def test_the_document_is_whole(client) -> None:
    document = client.get("/api/openapi.json").json()
    text = json.dumps(document)
    for name in {
        part.split('"')[0] for part in text.split("#/components/schemas/")[1:]
    }:
        assert name in document["components"]["schemas"], name
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (
                        where
                    )
    body = document["paths"]["/api/score"]["post"]["requestBody"]["content"]
    sent = client.post("/api/score", json=body["application/json"]["example"])
    assert sent.status_code == 200
    assert len(sent.json()["rows"]) == 1
    sent = client.post("/api/score", content=body["text/x-vcf"]["example"],
                       headers={"Content-Type": "text/x-vcf"})  # fmt: skip
    assert len(sent.json()["rows"]) == 1


def test_nothing_the_document_allows_or_forbids_breaks_the_server(client) -> None:
    async def app(scope, receive, send) -> None:
        # Each call of schemathesis begins and ends the application; ours goes on.
        if scope["type"] != "lifespan":
            await client.app(scope, receive, send)

    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=HOST)
    statuses: Counter[int] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in GenerationMode:
            if mode == GenerationMode.NEGATIVE and not list(
                operation.iter_parameters()
            ):
                continue

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            def send(case) -> None:
                response = case.call(headers=HOST)
                statuses[response.status_code] += 1
                case.validate_response(response, checks=CHECKS)

            send()
    assert statuses[200] > 25
    assert statuses[422] > 15
