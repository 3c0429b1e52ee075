"""``/api/jobs``: how far a scoring is, its end, its result."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from dashboards import jobs
from dashboards.api.problems import Problem, documented
from dashboards.api.server import Server, ServerHere
from dashboards.jobs import Job
from data_registry.errors import InputError

router = APIRouter(tags=["jobs"])

_LOOK_EVERY_S = 0.3
_KEEP_ALIVE_S = 15.0
_STREAM_S = 3600.0
_MEDIA_TYPES = {
    "result.parquet": "application/vnd.apache.parquet",
    "result.tsv": "text/tab-separated-values",
    "result.vcf.gz": "application/gzip",
    "result.jsonl": "application/x-ndjson",
}

_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["progress", "end"]},
        "data": {"type": "string", "description": "A `JobBody`, as JSON."},
    },
}

JobId = Annotated[
    str,
    Path(
        description="As POST /api/score or GET /api/jobs gave it.",
        examples=["20261127-061158-274e8078de79"],
        max_length=60,
    ),
]


class JobBody(BaseModel):
    """A job as it stands."""

    id: str = Field(examples=["20261127-061158-274e8078de79"])
    name: str = Field(examples=["lines.vcf.gz"])
    state: Literal["queued", "running", "finished", "failed", "cancelled"]
    stage: str = Field(description="What it is doing, in words.", examples=["scoring"])
    done: int = Field(description="Records scored.", examples=[12_000])
    total: int | None = Field(
        description="Records there are; null until they are counted.", examples=[22_710]
    )
    remaining_s: float | None = Field(
        description="Seconds left at the speed so far; null while that is unknown.",
        examples=[6.2],
    )
    submitted_at: float = Field(description="Seconds since 1970.")
    started_at: float | None
    ended_at: float | None
    problem: str = Field(description="Why it failed, with the remedy.", examples=[""])
    accounting: dict[str, Any]
    missing_layers: list[str]
    workspace_digest: str
    result: str | None = Field(
        description="Where the result is, once there is one.",
        examples=["/api/jobs/20261127-061158-274e8078de79/result"],
    )

    @classmethod
    def of(cls, job: Job) -> "JobBody":
        """Return what is told of a job: no path of this machine."""
        result = f"/api/jobs/{job.id}/result" if job.state == "finished" else None
        return cls(
            id=job.id, name=job.request.name, state=job.state, stage=job.stage,
            done=job.done, total=job.total, remaining_s=job.remaining_s,
            submitted_at=job.request.submitted_at, started_at=job.started_at,
            ended_at=job.ended_at, problem=job.problem, accounting=dict(job.accounting),
            missing_layers=list(job.missing_layers),
            workspace_digest=job.workspace_digest, result=result,
        )  # fmt: skip


class JobList(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobBody]


@router.get("/api/jobs", summary="List jobs", responses=documented())
def list_jobs(server: ServerHere) -> JobList:
    """Return all jobs of the workspace, newest first."""
    found = jobs.list_jobs(server.settings.workspace)
    return JobList(jobs=[JobBody.of(job) for job in found])


@router.get(
    "/api/jobs/{id}", summary="Follow a job",
    responses=documented("not-found", "invalid-request"),
)  # fmt: skip
def read_job(id: JobId, server: ServerHere) -> JobBody:  # noqa: A002
    """Return how far a job is."""
    return JobBody.of(_find(server, id))


@router.get(
    "/api/jobs/{id}/events", summary="Follow a job as it goes",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `progress` with the job as data whenever "
            "something has changed, `end` with its last state.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        **documented("not-found", "invalid-request"),
    },
)  # fmt: skip
async def follow_job(id: JobId, server: ServerHere, request: Request) -> Response:  # noqa: A002
    """Send the job's progress until it is over."""
    await run_in_threadpool(_find, server, id)
    return StreamingResponse(
        _events(server, id, request), media_type="text/event-stream"
    )


@router.post(
    "/api/jobs/{id}/cancel", summary="Cancel a job",
    responses=documented("not-found", "invalid-request"),
)  # fmt: skip
def cancel_job(id: JobId, server: ServerHere) -> JobBody:  # noqa: A002
    """Ask a job to end; a second call kills it. A job that is over stays as it is."""
    _find(server, id)
    return JobBody.of(jobs.cancel(server.settings.workspace, id))


@router.delete(
    "/api/jobs/{id}", summary="Delete a job", status_code=204,
    responses=documented("not-found", "not-over", "invalid-request"),
)  # fmt: skip
def delete_job(id: JobId, server: ServerHere) -> None:  # noqa: A002
    """Delete a job that is over, with its result and its upload."""
    job = _find(server, id)
    if not job.is_over:
        raise Problem("not-over", f"the job is {job.state}; cancel it first")
    jobs.remove(server.settings.workspace, id)


@router.get(
    "/api/jobs/{id}/result", summary="Download a result", response_class=FileResponse,
    responses={
        200: {
            "description": "The file, in the format that was asked for.",
            "content": {
                name: {"schema": {"type": "string", "format": "binary"}}
                for name in _MEDIA_TYPES.values()
            },
        },
        **documented("not-found", "not-over", "invalid-request"),
    },
)  # fmt: skip
def read_result(id: JobId, server: ServerHere) -> FileResponse:  # noqa: A002
    """Return the scores of a finished job as a file."""
    job = _find(server, id)
    if job.state != "finished" or not job.outputs:
        raise Problem("not-over", f"the job is {job.state}: there is no result")
    name = job.outputs[0].name
    return FileResponse(
        job.folder / name, media_type=_MEDIA_TYPES[name], filename=f"{job.id}-{name}"
    )


def _find(server: Server, job_id: str) -> Job:
    try:
        return jobs.read_job(server.settings.workspace, job_id)
    except InputError as error:
        raise Problem("not-found", str(error)) from None


async def _events(server: Server, job_id: str, request: Request) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    until, last, sent_at = loop.time() + _STREAM_S, "", 0.0
    while loop.time() < until and not await request.is_disconnected():
        try:
            job = await run_in_threadpool(_find, server, job_id)
        except Problem:  # deleted meanwhile
            return
        text = JobBody.of(job).model_dump_json()
        state = JobBody.of(job).model_dump_json(exclude={"remaining_s"})
        if state != last or job.is_over:
            yield f"event: {'end' if job.is_over else 'progress'}\ndata: {text}\n\n"
            last, sent_at = state, loop.time()
        elif loop.time() - sent_at > _KEEP_ALIVE_S:
            yield ": still here\n\n"
            sent_at = loop.time()
        if job.is_over:
            return
        await asyncio.sleep(_LOOK_EVERY_S)
