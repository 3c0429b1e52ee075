"""What BrAPI's resources are made of: one snapshot's panels, call sets and records."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Query

from dashboards.api.brapi_models import (
    Metadata,
    Page,
    Pagination,
    Rows,
    Single,
    Status,
    T,
    Variant,
)
from dashboards.api.panels import READABLE, Panel, Spelling, panels_of
from dashboards.api.problems import Problem
from dashboards.api.server import Server, ServerHere, SnapshotNow
from dashboards.api.snapshots import Query as Queries
from dashboards.api.snapshots import Snapshot
from data_registry.coordinates import one_based_from_start

MOST_ROWS = 1_000
"""Rows of a page."""


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page is asked for."""

    page: Annotated[int, Query(description="From 0.", ge=0, le=1_000_000_000)] = 0
    size: Annotated[
        int,
        Query(
            alias="pageSize",
            description="Larger than the server gives: it gives less, and says so.",
            ge=1,
            le=1_000_000,
        ),
    ] = 1000

    @property
    def first(self) -> int:
        """Number of the page's first item, from 0."""
        return self.page * self.size

    def at_most(self, size: int) -> "Paging":
        """Return the page with no more items than that."""
        return Paging(self.page, min(self.size, size))


def _read_paging(
    plain: Annotated[Paging, Depends()],
    token: Annotated[
        str | None,
        Query(
            alias="pageToken",
            description="`nextPageToken` of the page before, instead of `page`.",
            pattern=r"^\d{0,9}$",
            deprecated=True,
        ),
    ] = None,
) -> Paging:
    return Paging(int(token), plain.size) if token else plain


Paged = Annotated[Paging, Depends()]
TokenPaged = Annotated[Paging, Depends(_read_paging)]


def text_query(alias: str, description: str = "") -> Any:  # noqa: ANN401
    """Return a query parameter of text, under the name it has in BrAPI."""
    return Query(alias=alias, description=description, max_length=500)


VariantSetId = Annotated[str | None, text_query("variantSetDbId", "A panel's name.")]
VariantId = Annotated[str | None, text_query("variantDbId")]
CallSetId = Annotated[str | None, text_query("callSetDbId")]
StudyId = Annotated[str | None, text_query("studyDbId")]
ReferenceSetId = Annotated[str | None, text_query("referenceSetDbId")]
ReferenceId = Annotated[str | None, text_query("referenceDbId", "A contig.")]
Crop = Annotated[str | None, text_query("commonCropName")]
PathId = Annotated[str, Path(max_length=500)]


def _read_spelling(
    *,
    expand: Annotated[
        bool, Query(alias="expandHomozygotes", description="`0/0`, and not `0`.")
    ] = True,
    unknown: Annotated[str, Query(alias="unknownString", max_length=8)] = ".",
    sep_phased: Annotated[str, Query(alias="sepPhased", max_length=8)] = "|",
    sep_unphased: Annotated[str, Query(alias="sepUnphased", max_length=8)] = "/",
) -> Spelling:
    return Spelling(expand, unknown, sep_phased, sep_unphased)


Spelled = Annotated[Spelling, Depends(_read_spelling)]


# -- what the resources are made of ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwnCallSet:
    """A sample of a panel; ``index`` is its place among the panel's samples."""

    panel: Panel
    index: int
    sample: str
    group: str

    @property
    def id(self) -> str:
        """Its ``callSetDbId``, and ``sampleDbId``."""
        return f"{self.panel.name}:{self.sample}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Some records of one panel."""

    panel: Panel
    table: str
    condition: str
    values: tuple[object, ...]
    n: int


class View:
    """What BrAPI asks of one snapshot."""

    def __init__(self, server: Server, snapshot: Snapshot, query: Queries) -> None:
        self.server, self.snapshot, self.query = server, snapshot, query
        genomes = [s for s in snapshot.sources if s.kind == "genome"]
        self.assembly = genomes[0].options["assembly"] if genomes else ""
        self.crop = server.settings.crop or self.assembly
        self.panels = panels_of(snapshot, query)
        self.left_out: list[str] = []
        self.contigs: dict[str, int] = {
            row["contig"]: row["length"]
            for row in query.rows("SELECT contig, length FROM contigs ORDER BY ordinal")
        }

    def panel(self, name: str) -> Panel:
        """Return a panel; a problem where there is none."""
        for panel in self.panels:
            if panel.name == name:
                return panel
        raise Problem("not-found", f"there is no variant set {name[:100]!r}")

    def chosen(self, variant_set: str | None) -> list[Panel]:
        """Return the panel of that name, or all."""
        return [p for p in self.panels if variant_set in {None, p.name}]

    def call_sets(self, panels: Sequence[Panel]) -> list[OwnCallSet]:
        """Return the call sets in the order of the panels' own samples."""
        found = []
        for panel in panels:
            rows = self.query.rows(
                "SELECT sample_id, group_name FROM panel_samples WHERE panel = ? "
                "ORDER BY rowid",
                [panel.name],
            )
            found += [
                OwnCallSet(panel, i, row["sample_id"], row["group_name"] or "")
                for i, row in enumerate(rows)
            ]
        return found

    def wanted(
        self, panels: Sequence[Panel], variant_id: str | None, contig: str | None
    ) -> list[Wanted]:
        """Return the records that match, panel by panel.

        Panels that no records are served of are left out, and the client is told so; a
        problem where there is no other.
        """
        found = []
        readable = [p for p in panels if p.form in READABLE]
        if len(readable) < len(panels) == 1:
            self.server.panels.table(panels[0])  # says why not
        self.left_out = [p.name for p in panels if p not in readable]
        for panel in readable:
            conditions, values = ["true"], list[object]()
            if variant_id is not None:
                own = record_number(panel, variant_id)
                if own is None:
                    continue
                conditions.append("row = ?")
                values.append(own)
            table = str(self.server.panels.table(panel))
            if contig is not None:
                names = [
                    str(r["contig"])
                    for r in self.query.rows(
                        "SELECT DISTINCT contig FROM read_parquet(?)", [table]
                    )
                ]
                resolved = self.snapshot.contig_names.resolve(names)
                conditions.append("contig IN (SELECT unnest(?::VARCHAR[]))")
                values.append([n for n in names if resolved[n] == contig])
            condition = " AND ".join(conditions)
            n = self.query.value(
                f"SELECT count(*) FROM read_parquet(?) WHERE {condition}",  # noqa: S608
                [table, *values],
            )
            found.append(Wanted(panel, table, condition, tuple(values), n))
        return found

    @property
    def messages(self) -> list[Status]:
        """What the client is told beside the result."""
        if not self.left_out:
            return []
        names = ", ".join(self.left_out)
        text = f"left out, as their records are served from VCF and BCF alone: {names}"
        return [Status(message=text, message_type="WARNING")]

    def records(
        self, wanted: Wanted, first: int, n: int, *, calls: bool = False
    ) -> list[dict[str, Any]]:
        """Return some of the records that match, in the file's order."""
        shown = "*" if calls else "* EXCLUDE (alleles, phased)"
        return self.query.rows(
            f"SELECT {shown} FROM read_parquet(?) WHERE {wanted.condition} "  # noqa: S608
            "ORDER BY row LIMIT ? OFFSET ?",
            [wanted.table, *wanted.values, n, first],
        )

    def variant(self, panel: Panel, row: dict[str, Any]) -> Variant:
        """Return a record as BrAPI has it."""
        contig = self.snapshot.contig_names.resolve([row["contig"]])[row["contig"]]
        failed = [] if row["filter"] is None else row["filter"].split(";")
        return Variant(
            variant_db_id=variant_id_of(panel, row), variant_names=[variant_name_of(row)],
            variant_set_db_id=[panel.name], variant_type=_type_of(row["ref"], row["alts"]),
            reference_db_id=contig, reference_name=contig or row["contig"],
            reference_set_db_id=self.assembly, reference_set_name=self.assembly,
            reference_bases=row["ref"], alternate_bases=row["alts"], start=row["start"],
            end=row["start"] + len(row["ref"]), filters_applied=bool(failed),
            filters_passed=None if not failed else failed == ["PASS"],
            filters_failed=[f for f in failed if f != "PASS"], created=panel.added_at,
        )  # fmt: skip


def view_of(server: ServerHere, snapshot: SnapshotNow) -> Iterator[View]:
    """Give the view of the newest snapshot until the answer is sent."""
    with snapshot.query(server.settings.limits.time_s) as query:
        yield View(server, snapshot, query)


ViewNow = Annotated[View, Depends(view_of)]


def variant_id_of(panel: Panel, row: dict[str, Any]) -> str:
    """Return the ``variantDbId`` of a record."""
    return f"{panel.name}:{row['row'] + 1}"


def variant_name_of(row: dict[str, Any]) -> str:
    """Return the ID of a record, or its place (1-based) where it has none."""
    return row["name"] or f"{row['contig']}:{one_based_from_start(row['start'])}"


def record_number(panel: Panel, variant_id: str) -> int | None:
    """Return the row of a variant, where it is of this panel."""
    name, _, number = variant_id.rpartition(":")
    is_number = number.isascii() and number.isdigit() and len(number) < 16
    return int(number) - 1 if name == panel.name and is_number else None


def _type_of(ref: str, alts: Sequence[str]) -> str:
    """Name a variant by its alleles, in VCF's and the Sequence Ontology's short forms."""
    if any(alt.startswith("<") or "[" in alt or "]" in alt for alt in alts):
        return "SYMBOLIC"
    spelled_out = [alt for alt in alts if alt not in {"*", "."}]
    if all(len(alt) == len(ref) for alt in spelled_out):
        return "SNV" if len(ref) == 1 else "MNV"
    if all(len(alt) > len(ref) for alt in spelled_out):
        return "INS"
    if all(len(alt) < len(ref) for alt in spelled_out):
        return "DEL"
    return "INDEL"


def metadata_of(
    paging: Paging, total: int, *, tokens: bool = False, status: Sequence[Status] = ()
) -> Metadata:
    """Return what stands beside one page of so many items."""
    n_pages = math.ceil(total / paging.size)
    following = str(paging.page + 1) if paging.page + 1 < n_pages else ""
    return Metadata(
        pagination=Pagination(
            current_page=paging.page, page_size=paging.size, total_count=total,
            total_pages=n_pages, next_page_token=following if tokens else None,
        ),
        status=list(status),
    )  # fmt: skip


def single(result: T) -> Single[T]:
    """Put one object into the envelope."""
    return Single(metadata=metadata_of(Paging(0, 1), 1), result=result)


def page_of(rows: Sequence[T], paging: Paging) -> Page[T]:
    """Return one page of a list that is at hand."""
    paging = paging.at_most(MOST_ROWS)
    shown = list(rows[paging.first : paging.first + paging.size])
    return Page(metadata=metadata_of(paging, len(rows)), result=Rows(data=shown))
