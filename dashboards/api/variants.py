"""``/api/runs`` and ``/api/variants``: scored alleles, page by page or as a stream."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from dashboards.api.forms import (
    ARROW,
    NDJSON,
    arrow_stream,
    json_lines,
    json_rows,
    read_region,
)
from dashboards.api.problems import Problem, documented
from dashboards.api.runs import Run, find_run, find_runs
from dashboards.api.server import ServerHere, SnapshotNow
from dashboards.api.snapshots import Query as Queries
from dashboards.api.snapshots import Snapshot
from variant_effect.alleles import STATUS_MEANINGS
from variant_effect.run import output_columns

router = APIRouter(tags=["scores"])

_STREAM_ROWS = 5_000


class RunBody(BaseModel):
    """A stored table of scored alleles."""

    id: str = Field(examples=["20261127-061158-274e8078de79"])
    name: str = Field(examples=["lines.vcf.gz"])
    made_at: float = Field(description="Seconds since 1970.")
    n_alleles: int = Field(examples=[22_800])
    workspace_digest: str
    accounting: dict[str, Any] = Field(
        description="`input_alleles = scored + sum(reasons)`."
    )

    @classmethod
    def of(cls, run: Run) -> "RunBody":
        """Return what is told of a run."""
        return cls(
            id=run.id, name=run.name, made_at=run.made_at, n_alleles=run.n_alleles,
            workspace_digest=run.workspace_digest, accounting=run.accounting,
        )  # fmt: skip


class RunList(BaseModel):
    """Runs, newest first."""

    runs: list[RunBody]


class VariantPage(BaseModel):
    """Scored alleles, in the order of the file that was scored."""

    run: RunBody
    total: int = Field(
        description="Alleles that match, on all pages.", examples=[2_914]
    )
    rows: list[dict[str, Any]] = Field(
        description="The columns of /api/columns.",
        examples=[[{"chrom": "chr1", "pos": 10300, "ref": "A", "alt": "G"}]],
    )
    next_page_token: str | None = Field(
        description="For the next page; null on the last.", examples=["117"]
    )


class ColumnBody(BaseModel):
    """A column of the scores."""

    name: str
    type: str
    unit: str
    range: str
    higher_means: str
    meaning: str


class ColumnList(BaseModel):
    """All columns, and what a status means."""

    columns: list[ColumnBody]
    statuses: dict[str, str]


@router.get("/api/columns", summary="What the columns mean", responses=documented())
def list_columns() -> ColumnList:
    """Return the columns of the scores with unit, range, direction and meaning."""
    return ColumnList(
        columns=[
            ColumnBody(
                name=c.name, type=str(c.type), unit=c.unit, range=c.range,
                higher_means=c.direction, meaning=c.meaning,
            )
            for c in output_columns()
        ],
        statuses=dict(STATUS_MEANINGS),
    )  # fmt: skip


@router.get("/api/runs", summary="List score runs", responses=documented())
def list_runs(server: ServerHere) -> RunList:
    """Return the stored score runs, newest first: finished jobs and `scores/`."""
    return RunList(runs=[RunBody.of(r) for r in find_runs(server.settings.workspace)])


RunId = Annotated[str, Path(examples=["20261127-061158-274e8078de79"], max_length=60)]


@router.get(
    "/api/runs/{id}", summary="One score run",
    responses=documented("not-found", "invalid-request"),
)  # fmt: skip
def read_run(id: RunId, server: ServerHere) -> RunBody:  # noqa: A002
    """Return one stored score run."""
    return RunBody.of(find_run(server.settings.workspace, id))


@router.get(
    "/api/variants",
    summary="Scored alleles",
    response_model=VariantPage,
    responses={
        200: {
            "content": {
                NDJSON: {"schema": {"type": "string"}},
                ARROW: {"schema": {"type": "string", "format": "binary"}},
            }
        },
        **documented("not-found", "invalid-request", "not-acceptable"),
    },
)
def list_variants(
    request: Request,
    server: ServerHere,
    snapshot: SnapshotNow,
    run: Annotated[
        str | None,
        Query(description="Of /api/runs; default the newest.", max_length=60),
    ] = None,
    region: Annotated[
        str | None,
        Query(
            description="`chr:start-end`, 1-based inclusive: alleles whose REF overlaps it.",
            examples=["chr1:1-200000"], min_length=1, max_length=200,
        ),
    ] = None,
    gene: Annotated[
        str | None, Query(description="Affected gene.", max_length=100)
    ] = None,
    consequence: Annotated[
        str | None,
        Query(description="Sequence Ontology term.", examples=["missense_variant"],
              max_length=100),
    ] = None,
    status: Annotated[
        str | None, Query(examples=["scored"], max_length=40)
    ] = None,
    min_prior_score: Annotated[float | None, Query(ge=0, le=1)] = None,
    columns: Annotated[
        str | None,
        Query(description="Names parted by commas; default all.",
              examples=["chrom,pos,ref,alt,prior_score"], max_length=4_000),
    ] = None,
    page_size: Annotated[int, Query(ge=1, le=1_000)] = 100,
    page_token: Annotated[
        str | None,
        Query(description="`next_page_token` of the page before.", pattern=r"^\d{1,15}$"),
    ] = None,
    form: Annotated[
        Literal["json", "ndjson", "arrow"] | None,
        Query(alias="format", description="json is paged; ndjson and arrow stream all "
              "that match. Default by the header Accept."),
    ] = None,
) -> Response:  # fmt: skip
    """Return the scored alleles of a stored run: in a region, of a gene, above a score."""
    limits = server.settings.limits
    chosen = form or _accepted(request.headers.get("accept", "*/*"))
    found = find_run(server.settings.workspace, run)
    conditions: list[str] = []
    values: list[object] = []
    if region is not None:
        place = read_region(region, snapshot.contig_names, limits.region_bp)
        names = _names_of(snapshot, found, place.contig, limits.time_s)
        conditions.append("chrom IN (SELECT unnest(?::VARCHAR[]))")
        conditions.append("pos <= ? AND pos + length(ref) > ?")
        # 1-based positions of the region: start + 1 to end.
        values += [names, place.end, place.start + 1]
    for column, wanted in (
        ("gene", gene), ("consequence", consequence), ("status", status),
    ):  # fmt: skip
        if wanted is not None:
            conditions.append(f"{column} = ?")
            values.append(wanted)
    if min_prior_score is not None:
        conditions.append("prior_score >= ?")
        values.append(min_prior_score)
    where = " AND ".join(conditions) or "true"
    shown = _columns(columns, found)
    source = "FROM read_parquet(?, file_row_number = true)"
    path = str(found.path.resolve())
    if chosen != "json":
        sql = f"SELECT {shown} {source} WHERE {where} ORDER BY file_row_number"
        return _stream(snapshot, sql, [path, *values], chosen, limits.stream_s)
    after = -1 if page_token is None else int(page_token)
    with snapshot.query(limits.time_s) as query:
        total = query.value(f"SELECT count(*) {source} WHERE {where}", [path, *values])
        table = query.batches(
            f"SELECT {shown}, file_row_number {source} WHERE {where} "
            "AND file_row_number > ? ORDER BY file_row_number LIMIT ?",
            [path, *values, after, page_size + 1], page_size + 1,
        ).read_all()  # fmt: skip
    rows = json_rows(table)
    numbers = [row.pop("file_row_number") for row in rows]
    is_last = len(rows) <= page_size
    return JSONResponse({
        "run": RunBody.of(found).model_dump(), "total": total, "rows": rows[:page_size],
        "next_page_token": None if is_last else str(numbers[page_size - 1]),
    })  # fmt: skip


def _accepted(header: str) -> str:
    """Choose the form that a client accepts; the first it names that we have."""
    for part in header.split(","):
        name = part.partition(";")[0].strip().lower()
        if name in {"application/json", "application/*", "*/*"}:
            return "json"
        if name == NDJSON:
            return "ndjson"
        if name == ARROW:
            return "arrow"
    raise Problem("not-acceptable", f"there are application/json, {NDJSON} and {ARROW}")


def _columns(text: str | None, run: Run) -> str:
    """Return a SELECT list of names that the run has, each one of ours and quoted."""
    if text is None:
        wanted = list(run.columns)
    else:
        wanted = list(dict.fromkeys(text.split(",")))
        if unknown := [name for name in wanted if name not in run.columns]:
            raise Problem(
                "invalid-request",
                f"no column {unknown[0][:60]!r}; /api/columns lists them",
            )
    own = dict.fromkeys(run.columns)
    return ", ".join(f'"{name}"' for name in own if name in set(wanted))


def _names_of(snapshot: Snapshot, run: Run, contig: str, limit_s: float) -> list[str]:
    """Return the names under which a run's file knows a contig."""
    with snapshot.query(limit_s) as query:
        given = _contigs_of(str(run.path.resolve()), run.made_at, query)
    own = snapshot.contig_names.resolve(given)
    return [name for name in given if own[name] == contig]


_SEEN: dict[tuple[str, float], tuple[str, ...]] = {}


def _contigs_of(path: str, made_at: float, query: Queries) -> tuple[str, ...]:
    if (path, made_at) not in _SEEN:
        found = query.rows("SELECT DISTINCT chrom FROM read_parquet(?)", [path])
        _SEEN[path, made_at] = tuple(str(row["chrom"]) for row in found)
    return _SEEN[path, made_at]


def _stream(
    snapshot: Snapshot, sql: str, values: list[object], form: str, limit_s: float
) -> Response:
    def pieces() -> Iterator[bytes]:
        with snapshot.query(limit_s) as query:
            reader = query.batches(sql, values, _STREAM_ROWS)
            if form == "arrow":
                yield from arrow_stream(reader.schema, reader)
            else:
                yield from json_lines(reader)

    return StreamingResponse(pieces(), media_type=ARROW if form == "arrow" else NDJSON)
