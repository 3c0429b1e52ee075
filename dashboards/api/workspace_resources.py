"""``/api/health`` and ``/api/workspace``."""

from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from dashboards.api.problems import documented
from dashboards.api.server import SnapshotNow

router = APIRouter(tags=["workspace"])


class HealthBody(BaseModel):
    """That the server answers."""

    status: Literal["ok"]
    version: str = Field(examples=["0.1.0"])


class SourceBody(BaseModel):
    """A registered source."""

    name: str
    kind: str
    version: int
    sha256: str
    licence: str
    citation: str
    rows_read: int
    rows_kept: int
    left_out: dict[str, int] = Field(description="Rows left out, by reason.")
    added_at: str


class MissingBody(BaseModel):
    """A part of the graph that is empty, and what would fill it."""

    type: str
    problem: str
    remedy: str


class WorkspaceBody(BaseModel):
    """What the answers of this server rest on."""

    assembly: str | None
    contigs: list[str]
    registry_digest: str
    graph_digest: str | None
    graph_counts: dict[str, int]
    sources: list[SourceBody]
    missing: list[MissingBody]


@router.get("/api/health", summary="Is it there?", responses=documented())
def read_health() -> HealthBody:
    """Say that the server answers; needs no token."""
    return HealthBody(status="ok", version=version("cisgraph"))


@router.get("/api/workspace", summary="What is served", responses=documented())
def read_workspace(snapshot: SnapshotNow) -> WorkspaceBody:
    """Return the sources with their versions, licences and counts, and the digests."""
    manifest = None if snapshot.tables is None else snapshot.tables.manifest
    genomes = [
        s.options.get("assembly") for s in snapshot.sources if s.kind == "genome"
    ]
    return WorkspaceBody(
        assembly=genomes[0] if genomes else None,
        contigs=list(snapshot.contig_names.names),
        registry_digest=snapshot.registry_digest,
        graph_digest=snapshot.graph_digest,
        graph_counts={n: r.count for n, r in manifest.types.items()} if manifest else {},
        sources=[
            SourceBody(
                name=s.name, kind=s.kind, version=s.version, sha256=s.sha256,
                licence=s.licence, citation=s.citation, rows_read=s.rows_read,
                rows_kept=s.rows_kept, left_out=s.left_out,
                added_at=s.added_at.isoformat() + "Z",
            )
            for s in snapshot.sources
        ],
        missing=[
            MissingBody(type=m.type, problem=m.problem, remedy=m.remedy)
            for m in (manifest.missing if manifest else ())
        ],
    )  # fmt: skip
