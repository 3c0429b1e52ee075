"""Errors as ``application/problem+json`` (RFC 9457), each with a type of its own."""

import logging
import re
from collections.abc import Mapping
from typing import Any

import duckdb
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from data_registry.errors import (
    InputError,
    MalformedFileError,
    MissingLayerError,
    PlatformError,
    TooLargeError,
    UnknownContigError,
    WorkspaceError,
)

log = logging.getLogger("cisgraph.api")

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:cisgraph:problem:"

KINDS: Mapping[str, tuple[int, str]] = {
    "invalid-request": (422, "A parameter or the body is not what it must be"),
    "invalid-file": (422, "The file cannot be read"),
    "not-json": (400, "The body is not JSON"),
    "no-token": (401, "A token is needed"),
    "foreign-origin": (403, "Requests from other web sites are refused"),
    "not-found": (404, "There is no such thing"),
    "not-here": (404, "Not part of this version"),
    "wrong-method": (405, "The resource has no such method"),
    "not-acceptable": (406, "The resource has no such form"),
    "too-slow": (408, "The body did not arrive in time"),
    "missing-layer": (409, "The workspace lacks what this needs"),
    "not-over": (409, "The job is not in a state for this"),
    "too-large": (413, "The body is too large"),
    "wrong-type": (415, "The body has a type that is not taken"),
    "wrong-host": (421, "The server does not go by this name"),
    "too-many-jobs": (429, "Too many jobs wait"),
    "bad-request": (400, "The request is not what it must be"),
    "internal": (500, "A fault of the server"),
    "busy": (503, "Not now"),
}
"""Type of a problem to its HTTP status and title."""


class ProblemBody(BaseModel):
    """Body of every error."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:cisgraph:problem:not-found"])
    title: str = Field(examples=["There is no such thing"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no gene 'YFG1'"])
    instance: str = Field(examples=["/api/genes/YFG1"])
    request_id: str = Field(examples=["4f0c9a1be2d34c70"])


class Problem(HTTPException):
    """An error with a type.

    Parameters
    ----------
    kind
        A key of ``KINDS``.
    detail
        What was found and what to do about it.
    more
        Further members of the body.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        self.kind, self.more = kind, more
        super().__init__(KINDS[kind][0], detail, headers)


def documented(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return the entries of an OpenAPI operation for problems of these kinds."""
    always = ("no-token", "foreign-origin", "wrong-host", "bad-request", "busy")
    found: dict[int | str, dict[str, Any]] = {}
    for kind in (*always, *kinds):
        status, title = KINDS[kind]
        if status in found:
            title = f"{found[status]['description']}; {title}"
        found[status] = {
            "description": title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE}}},
        }
    return found


REFERENCE = "#/components/schemas/ProblemBody"


def respond(problem: Problem, path: str, request_id: str) -> Response:
    """Return the response of a problem."""
    status, title = KINDS[problem.kind]
    return JSONResponse(
        {
            "type": PREFIX + problem.kind, "title": title, "status": status,
            "detail": problem.detail, "instance": path, "request_id": request_id,
            **problem.more,
        },
        status, headers=problem.headers, media_type=MEDIA_TYPE,
    )  # fmt: skip


def problem_of(error: Exception) -> Problem:
    """Say which problem an error is."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _of_framework(error)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, TooLargeError):
        return Problem("too-large", str(error))
    if isinstance(error, MalformedFileError):
        return Problem("invalid-file", str(error), line=error.line, remedy=error.remedy)
    if isinstance(error, UnknownContigError):
        return Problem("not-found", str(error))
    if isinstance(error, InputError):
        return Problem("invalid-request", str(error))
    if isinstance(error, MissingLayerError):
        return Problem("missing-layer", _remedy_only(error))
    if isinstance(error, duckdb.InterruptException):
        return Problem("busy", "this took too long; ask for less, or ask again later",
                       headers={"Retry-After": "5"})  # fmt: skip
    if isinstance(error, WorkspaceError | duckdb.IOException | FileNotFoundError):
        log.warning("workspace: %s", error)
        return Problem("busy", "the workspace is being changed; ask again",
                       headers={"Retry-After": "2"})  # fmt: skip
    return Problem("internal", "the server's log says more, under this request_id")


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""

    async def handle(request: Request, error: Exception) -> Response:
        request_id = str(request.scope.get("request_id", ""))
        problem = problem_of(error)
        if problem.kind == "wrong-method":
            problem.headers = {"Allow": ", ".join(_methods(app, request.url.path))}
        if problem.kind == "internal":
            log.error("request %s failed", request_id, exc_info=error)
        return respond(problem, request.url.path, request_id)

    kinds = (
        HTTPException, RequestValidationError, PlatformError, duckdb.Error,
        FileNotFoundError, Exception,
    )  # fmt: skip
    for kind in kinds:
        app.add_exception_handler(kind, handle)


def _methods(app: FastAPI, path: str) -> list[str]:
    """Return the methods of a path; the framework names those of one route alone."""
    found = set[str]()
    for template, operations in app.openapi()["paths"].items():
        pattern = re.sub(r"\\{[^/]+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path):
            found |= {method.upper() for method in operations}
    return sorted(found)


def _of_framework(error: HTTPException) -> Problem:
    kind = {404: "not-found", 405: "wrong-method", 413: "too-large", 415: "wrong-type",
            406: "not-acceptable"}.get(error.status_code, "bad-request")  # fmt: skip
    detail = {
        "not-found": "there is no such path; /api/openapi.json lists them",
        "wrong-method": "the header Allow names the methods",
    }.get(kind, str(error.detail))
    return Problem(kind, detail, headers=error.headers)


def _of_validation(error: RequestValidationError) -> Problem:
    found = error.errors()
    # What was sent is not sent back: it may be long, and none of our business.
    listed = [
        {"where": ".".join(map(str, one["loc"]))[:200], "problem": str(one["msg"])[:300]}
        for one in found[:20]
    ]  # fmt: skip
    if any(one["type"] == "json_invalid" for one in found):
        return Problem("not-json", "the body cannot be read as JSON", errors=listed)
    first = listed[0] if listed else {"where": "", "problem": ""}
    return Problem(
        "invalid-request", f"{first['where']}: {first['problem']}", errors=listed
    )


def _remedy_only(error: MissingLayerError) -> str:
    """Drop the server's paths from a message."""
    words = str(error).split()
    return " ".join("the workspace" if w.startswith("/") else w for w in words)
