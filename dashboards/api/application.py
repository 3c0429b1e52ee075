"""The application: all resources, one document, one guard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from dashboards.api import (
    brapi,
    genes,
    job_resources,
    neighbourhood,
    scoring,
    variants,
    workspace_resources,
)
from dashboards.api.guards import Guard
from dashboards.api.problems import Problem, ProblemBody, install
from dashboards.api.scoring import GivenVariants
from dashboards.api.server import Server
from dashboards.api.settings import Settings

_DESCRIPTION = """What a cisgraph workspace holds, for programs: scores of variants,
genes, the graph, jobs; and BrAPI v2.1 (read only) for breeding software.

Positions are 1-based inclusive unless a field says otherwise. Every error is
`application/problem+json`; every answer carries `X-Request-ID`, which the server's log
names. A server that is bound to more than this machine needs
`Authorization: Bearer TOKEN`."""

_RESOURCES = (
    workspace_resources, scoring, variants, job_resources, genes, neighbourhood, brapi,
)  # fmt: skip

_later = APIRouter(include_in_schema=False)


@_later.get("/api/explain/{rest:path}")
@_later.get("/api/cre/{rest:path}")
def say_not_here(rest: str) -> None:
    """Say that a resource whose place is kept does not exist yet."""
    raise Problem(
        "not-here", f"{rest[:80]!r}: explanations and regulatory elements are not part of "
        "this version; 'cisgraph explain-variant' prints the card of one variant",
    )  # fmt: skip


def make_application(settings: Settings) -> ASGIApp:
    """Return the application of one server.

    Raises
    ------
    WorkspaceError
        There is no workspace, or a writer holds it.
    """
    server = Server(settings)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        yield
        server.close()

    app = FastAPI(
        title="cisgraph", version=version("cisgraph"), description=_DESCRIPTION,
        openapi_url="/api/openapi.json", docs_url=None, redoc_url=None, lifespan=life,
    )  # fmt: skip
    app.state.server = server
    for module in _RESOURCES:
        app.include_router(module.router)
    app.include_router(_later)
    install(app)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (ProblemBody, GivenVariants):
            own = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= own.pop("$defs", {}) | {model.__name__: own}
        document["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"}
        }
        if settings.token is not None:
            document["security"] = [{"token": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return Guard(app, settings)
