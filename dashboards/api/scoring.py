"""``POST /api/score``: a few alleles at once, many as a job."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from dashboards.api.forms import json_rows
from dashboards.api.guards import JSON_TYPE, media_type
from dashboards.api.job_resources import JobBody
from dashboards.api.problems import Problem, documented
from dashboards.api.scorer import Scores
from dashboards.api.server import Server, ServerHere
from dashboards.jobs import Job, list_jobs, shown_name, submit, uploads_of
from dashboards.uploads import Upload, store_upload
from data_registry.errors import MalformedFileError
from variant_effect.vcf import VcfReader

router = APIRouter(tags=["scores"])

_HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
_WORD = r"^[^\s\x00-\x1f\x7f]+$"


class GivenVariant(BaseModel, extra="forbid"):
    """One ALT allele, as a VCF would state it."""

    chrom: str = Field(
        description="Contig, by any name the workspace knows.",
        min_length=1, max_length=200, pattern=_WORD, examples=["chr1"],
    )  # fmt: skip
    pos: int = Field(
        description="1-based.", strict=True, ge=0, le=2**40, examples=[10300]
    )
    ref: str = Field(min_length=1, max_length=10_000, pattern=_WORD, examples=["A"])
    alt: str = Field(
        description="One allele; no commas.",
        min_length=1, max_length=10_000, pattern=r"^[^\s,\x00-\x1f\x7f]+$", examples=["G"],
    )  # fmt: skip


class GivenVariants(BaseModel, extra="forbid"):
    """GivenVariants to score."""

    variants: list[GivenVariant] = Field(min_length=1, max_length=20_000)
    name: str = Field(
        "variants",
        description="What to call them.",
        max_length=120,
        examples=["line 7"],
    )


_VARIANTS = TypeAdapter(GivenVariants)


class ScoredBody(BaseModel):
    """Scores of a few alleles."""

    state: Literal["finished"]
    accounting: dict[str, Any] = Field(
        description="`input_alleles = scored + sum(reasons)`.",
        examples=[{"input_records": 1, "input_alleles": 1, "scored": 1, "reasons": {}}],
    )
    missing_layers: list[str] = Field(
        description="What the workspace lacks, and how to add it."
    )
    workspace_digest: str = Field(description="Of everything the scores rest on.")
    rows: list[dict[str, Any]] = Field(
        description="One row an allele, in the order given; the columns of /api/columns.",
        examples=[
            [
                {
                    "chrom": "chr1",
                    "pos": 10300,
                    "ref": "A",
                    "alt": "G",
                    "status": "scored",
                }
            ]
        ],
    )


_VCF_EXAMPLE = f"{_HEADER}chr1\t10300\t.\tA\tG\t.\t.\t.\n"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            JSON_TYPE: {
                "schema": {"$ref": "#/components/schemas/GivenVariants"},
                "example": {
                    "variants": [
                        {"chrom": "chr1", "pos": 10300, "ref": "A", "alt": "G"}
                    ]
                },
            },
            "text/x-vcf": {
                "schema": {"type": "string", "format": "binary"},
                "example": _VCF_EXAMPLE,
            },
            "application/gzip": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post(
    "/api/score",
    summary="Score variants",
    response_model=ScoredBody,
    openapi_extra=_BODY,
    responses={
        202: {
            "model": JobBody,
            "description": "Too many to wait for: they are a job now; Location names it.",
        },
        **documented("not-json", "invalid-request", "too-large", "too-slow", "wrong-type",
                     "too-many-jobs", "missing-layer"),
    },
)  # fmt: skip
async def score(
    request: Request,
    server: ServerHere,
    *,
    form: Annotated[
        Literal["parquet", "tsv", "vcf", "jsonl"],
        Query(alias="format", description="Of a job's result; only Parquet can be "
              "looked into with /api/variants."),
    ] = "parquet",
    as_job: Annotated[
        bool, Query(description="Make it a job however small it is.")
    ] = False,
    name: Annotated[
        str, Query(description="What to call a VCF.", max_length=120)
    ] = "upload.vcf",
) -> JSONResponse:  # fmt: skip
    """Score every ALT allele of a JSON list or a VCF, or say why it cannot be scored.

    A VCF is sent as it is (`text/x-vcf`) or compressed with gzip or bgzip
    (`application/gzip`). Up to 500 alleles are answered at once; more become a job, which
    `/api/jobs/{id}` follows and whose result `/api/variants?run={id}` reads.
    """
    limits = server.settings.limits
    folder = uploads_of(server.settings.workspace)
    if media_type(dict(request.headers)) == JSON_TYPE:
        given = await _read_variants(request, limits.variants)
        lines = [
            f"{v.chrom}\t{v.pos}\t.\t{v.ref}\t{v.alt}\t.\t.\t.\n"
            for v in given.variants
        ]
        if len(lines) <= limits.alleles_at_once and not as_job:
            records = "".join(lines).encode()
            found = await run_in_threadpool(_score, server, records, given.name, 1)
            return _scored(found)
        pieces = [_HEADER.encode(), *(line.encode() for line in lines)]
        path = await run_in_threadpool(store_upload, pieces, folder, given.name)
        return await run_in_threadpool(_start, server, path, given.name, form)
    upload = Upload(
        folder, shown_name(name), most_bytes=limits.upload_bytes,
        most_expanded_bytes=limits.expanded_bytes,
    )  # fmt: skip
    try:
        async for piece in request.stream():
            # Unpacking a piece may take a while; others go on.
            await run_in_threadpool(upload.write, piece)
        path = upload.close()
        if not as_job:
            few = await run_in_threadpool(
                _few_records, path, shown_name(name), limits.alleles_at_once
            )
            if few is not None:
                found = await run_in_threadpool(_score, server, few[0], name, few[1])
                upload.drop()
                return _scored(found)
        return await run_in_threadpool(_start, server, path, shown_name(name), form)
    except BaseException:
        upload.drop()
        raise


async def _read_variants(request: Request, most: int) -> GivenVariants:
    body = await request.body()
    try:
        found = await run_in_threadpool(_VARIANTS.validate_json, body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from None
    if len(found.variants) > most:
        raise Problem("invalid-request", f"at most {most:,} variants; send a VCF")
    return found


def _few_records(path: Path, name: str, most: int) -> tuple[bytes, int] | None:
    """Return the records of a small VCF and the line of the first, else None."""
    try:
        reader = VcfReader(path)
    except MalformedFileError as error:
        raise MalformedFileError(
            name, error.problem, line=error.line, remedy=error.remedy
        ) from None
    try:
        chunks = list(islice(reader.chunks(most), 2))
    finally:
        reader.close()
    if len(chunks) != 1:
        return None
    (chunk,) = chunks
    alts = (line.split(b"\t", 5)[4:5] for line in chunk.lines.splitlines())
    n_alleles = sum(1 + alt.count(b",") for cell in alts for alt in cell)
    return None if n_alleles > most else (chunk.lines, chunk.first_line)


def _score(server: Server, records: bytes, name: str, first_line: int) -> Scores:
    with server.snapshots.reading() as snapshot:
        return server.scorer.score(
            snapshot.folder, records, server.settings.limits.score_s,
            name=shown_name(name), first_line=first_line,
        )  # fmt: skip


def _scored(found: Scores) -> JSONResponse:
    return JSONResponse({
        "state": "finished", "accounting": found.accounting,
        "missing_layers": found.missing_layers,
        "workspace_digest": found.workspace_digest, "rows": json_rows(found.table),
    })  # fmt: skip


def _start(server: Server, path: Path, name: str, form: str) -> JSONResponse:
    workspace = server.settings.workspace
    n_live = sum(not job.is_over for job in list_jobs(workspace))
    if n_live >= server.settings.limits.waiting_jobs:
        path.unlink(missing_ok=True)
        raise Problem(
            "too-many-jobs", f"{n_live} jobs are queued or run; wait, or cancel some",
            headers={"Retry-After": "60"},
        )  # fmt: skip
    job: Job = submit(workspace, path, name=name, form=form)
    body = JobBody.of(job).model_dump(mode="json")
    return JSONResponse(body, 202, headers={"Location": f"/api/jobs/{job.id}"})
