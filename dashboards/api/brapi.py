"""BrAPI v2.1, read only: panels, their samples, variants and calls, maps and references.

One registered panel is one variant set and one study; a sample in it is one call set and
one sample. A record of the panel's file is one variant, ``<panel>:<record>`` counted from
1; its calls are the file's genotypes. The assembly is the reference set, and a physical
map in bp whose linkage groups are its contigs. Positions are 0-based half-open, as BrAPI
has them; marker positions are 1-based. Field names: brapi.org, specification 2.1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.routing import APIRoute

from dashboards.api.brapi_models import (
    AlleleMatrix,
    AvailableFormat,
    Bases,
    Call,
    Calls,
    CallSet,
    CallsPage,
    GenomeMap,
    LinkageGroup,
    MarkerPosition,
    Matrix,
    MatrixPage,
    Metadata,
    MetadataField,
    Page,
    Pagination,
    Reference,
    ReferenceSet,
    Rows,
    Sample,
    ServerInfo,
    Service,
    Single,
    Study,
    T,
    Variant,
    VariantSet,
)
from dashboards.api.panels import Panel, Spelling, panels_of, spelled
from dashboards.api.problems import Problem, documented
from dashboards.api.server import Server, ServerHere, SnapshotNow
from dashboards.api.snapshots import Query as Queries
from dashboards.api.snapshots import Snapshot
from data_registry.coordinates import one_based_from_start
from data_registry.genome import Genome
from data_registry.sources.genome import GENOME_FILE

PREFIX = "/brapi/v2"
router = APIRouter(prefix=PREFIX, tags=["BrAPI v2.1"])

_VERSION = "2.1"
_MOST_BASES = 1_000_000
_MOST_ROWS, _MOST_CALLS = 1_000, 10_000


PageNumber = Annotated[
    int, Query(alias="page", description="From 0.", ge=0, le=1_000_000_000)
]
PageSize = Annotated[
    int,
    Query(
        alias="pageSize", ge=1, le=1_000_000,
        description="Larger than the server gives: it gives less, and says so.",
    ),
]  # fmt: skip


def _name(alias: str, description: str = "") -> Any:  # noqa: ANN401
    return Query(alias=alias, description=description, max_length=500)


VariantSetId = Annotated[str | None, _name("variantSetDbId", "A panel's name.")]
VariantId = Annotated[str | None, _name("variantDbId")]
CallSetId = Annotated[str | None, _name("callSetDbId")]
StudyId = Annotated[str | None, _name("studyDbId")]
ReferenceSetId = Annotated[str | None, _name("referenceSetDbId")]
ReferenceId = Annotated[str | None, _name("referenceDbId", "A contig.")]
Crop = Annotated[str | None, _name("commonCropName")]
PathId = Annotated[str, Path(max_length=500)]
Expand = Annotated[bool, Query(alias="expandHomozygotes")]
Unknown = Annotated[str, Query(alias="unknownString", max_length=8)]
SepPhased = Annotated[str, Query(alias="sepPhased", max_length=8)]
SepUnphased = Annotated[str, Query(alias="sepUnphased", max_length=8)]


# -- what the resources are made of ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class _CallSet:
    panel: Panel
    index: int
    sample: str
    group: str

    @property
    def id(self) -> str:
        return f"{self.panel.name}:{self.sample}"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Some records of one panel."""

    panel: Panel
    table: str
    condition: str
    values: tuple[object, ...]
    n: int


class _View:
    """What BrAPI asks of one snapshot."""

    def __init__(self, server: Server, snapshot: Snapshot, query: Queries) -> None:
        self.server, self.snapshot, self.query = server, snapshot, query
        genomes = [s for s in snapshot.sources if s.kind == "genome"]
        self.assembly = genomes[0].options["assembly"] if genomes else ""
        self.crop = server.settings.crop or self.assembly
        self.panels = panels_of(snapshot, query)
        self.contigs: dict[str, int] = {
            row["contig"]: row["length"]
            for row in query.rows("SELECT contig, length FROM contigs ORDER BY ordinal")
        }

    def panel(self, name: str) -> Panel:
        for panel in self.panels:
            if panel.name == name:
                return panel
        raise Problem("not-found", f"there is no variant set {name[:100]!r}")

    def chosen(self, variant_set: str | None) -> list[Panel]:
        return [p for p in self.panels if variant_set in {None, p.name}]

    def call_sets(self, panels: Sequence[Panel]) -> list[_CallSet]:
        """Return the call sets in the order of the panels' own samples."""
        found = []
        for panel in panels:
            rows = self.query.rows(
                "SELECT sample_id, group_name FROM panel_samples WHERE panel = ? "
                "ORDER BY rowid",
                [panel.name],
            )
            found += [
                _CallSet(panel, i, row["sample_id"], row["group_name"] or "")
                for i, row in enumerate(rows)
            ]
        return found

    def wanted(
        self, panels: Sequence[Panel], variant_id: str | None, contig: str | None
    ) -> list[_Wanted]:
        """Return the records that match, panel by panel."""
        found = []
        for panel in panels:
            conditions, values = ["true"], list[object]()
            if variant_id is not None:
                own = _record_number(panel, variant_id)
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
            found.append(_Wanted(panel, table, condition, tuple(values), n))
        return found

    def records(
        self, wanted: _Wanted, first: int, n: int, *, calls: bool = False
    ) -> list[dict[str, Any]]:
        """Return some of the records that match, in the file's order."""
        shown = "*" if calls else "* EXCLUDE (alleles, phased)"
        return self.query.rows(
            f"SELECT {shown} FROM read_parquet(?) WHERE {wanted.condition} "  # noqa: S608
            "ORDER BY row LIMIT ? OFFSET ?",
            [wanted.table, *wanted.values, n, first],
        )

    def variant(self, panel: Panel, row: dict[str, Any]) -> Variant:
        contig = self.snapshot.contig_names.resolve([row["contig"]])[row["contig"]]
        failed = [] if row["filter"] is None else row["filter"].split(";")
        return Variant(
            variant_db_id=_variant_id(panel, row), variant_names=[_variant_name(row)],
            variant_set_db_id=[panel.name], variant_type=_type_of(row["ref"], row["alts"]),
            reference_db_id=contig, reference_name=contig or row["contig"],
            reference_set_db_id=self.assembly, reference_set_name=self.assembly,
            reference_bases=row["ref"], alternate_bases=row["alts"], start=row["start"],
            end=row["start"] + len(row["ref"]), filters_applied=bool(failed),
            filters_passed=None if not failed else failed == ["PASS"],
            filters_failed=[f for f in failed if f != "PASS"], created=panel.added_at,
        )  # fmt: skip


def _view(server: Server, snapshot: Snapshot, query: Queries) -> _View:
    return _View(server, snapshot, query)


def _variant_id(panel: Panel, row: dict[str, Any]) -> str:
    return f"{panel.name}:{row['row'] + 1}"


def _variant_name(row: dict[str, Any]) -> str:
    return row["name"] or f"{row['contig']}:{one_based_from_start(row['start'])}"


def _record_number(panel: Panel, variant_id: str) -> int | None:
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


def _metadata(page: int, size: int, total: int) -> Metadata:
    return Metadata(
        pagination=Pagination(
            current_page=page, page_size=size, total_count=total,
            total_pages=math.ceil(total / size) if size else 0,
        )
    )  # fmt: skip


def _single(result: T) -> Single[T]:
    return Single(metadata=_metadata(0, 1, 1), result=result)


def _page(rows: Sequence[T], page: int, size: int) -> Page[T]:
    """Return one page of a list that is at hand."""
    size = min(size, _MOST_ROWS)
    shown = list(rows[page * size : (page + 1) * size])
    return Page(metadata=_metadata(page, size, len(rows)), result=Rows(data=shown))


_PROBLEMS = documented("not-found", "not-here", "invalid-request", "missing-layer")


# -- core -------------------------------------------------------------------------------


@router.get("/serverinfo", responses=_PROBLEMS, summary="The server and its calls")
def read_server_info(server: ServerHere, snapshot: SnapshotNow) -> Single[ServerInfo]:
    """Return the server's name and the calls it answers."""
    calls = [
        Service(
            service=route.path.removeprefix(f"{PREFIX}/"), methods=sorted(route.methods or ()),
            versions=[_VERSION], content_types=["application/json"],
            data_types=["application/json"],
        )
        for route in router.routes
        if isinstance(route, APIRoute)
    ]  # fmt: skip
    with snapshot.query(server.settings.limits.time_s) as query:
        assembly = _view(server, snapshot, query).assembly
    return _single(
        ServerInfo(
            server_name=f"cisgraph: {assembly}",
            server_description=f"cisgraph {version('cisgraph')}, BrAPI {_VERSION}, read "
            f"only; registry {snapshot.registry_digest[:16]}",
            calls=calls,
            documentation_url=None,
        )
    )


@router.get("/commoncropnames", responses=_PROBLEMS, summary="Crops")
def list_crops(
    server: ServerHere,
    snapshot: SnapshotNow,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[str]:
    """Return the one crop: as `cisgraph serve --crop` names it, else the assembly."""
    with snapshot.query(server.settings.limits.time_s) as query:
        crop = _view(server, snapshot, query).crop
    return _page([crop] if crop else [], page, size)


def _study(view: _View, panel: Panel) -> Study:
    return Study(
        study_db_id=panel.name, study_name=panel.name, study_type="Genotyping",
        common_crop_name=view.crop, active=True,
    )  # fmt: skip


@router.get("/studies", responses=_PROBLEMS, summary="Studies: one a panel")
def list_studies(
    server: ServerHere,
    snapshot: SnapshotNow,
    study: StudyId = None,
    crop: Crop = None,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[Study]:
    """Return the panels as studies."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        found = [
            _study(view, p) for p in view.chosen(study) if crop in {None, view.crop}
        ]
    return _page(found, page, size)


@router.get("/studies/{studyDbId}", responses=_PROBLEMS, summary="A study")
def read_study(
    server: ServerHere,
    snapshot: SnapshotNow,
    study: Annotated[str, Path(alias="studyDbId", max_length=500)],
) -> Single[Study]:
    """Return one panel as a study."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        return _single(_study(view, view.panel(study)))


# -- panels -------------------------------------------------------------------------------


def _variant_set(view: _View, panel: Panel) -> VariantSet:
    usual = Spelling()
    return VariantSet(
        variant_set_db_id=panel.name, variant_set_name=panel.name, study_db_id=panel.name,
        reference_set_db_id=view.assembly, variant_count=panel.n_variants,
        call_set_count=panel.n_samples,
        available_formats=[
            AvailableFormat(
                data_format="JSON", file_format="application/json",
                expand_homozygotes=usual.expand_homozygotes, sep_phased=usual.sep_phased,
                sep_unphased=usual.sep_unphased, unknown_string=usual.unknown,
            )
        ],
        metadata_fields=[
            MetadataField(data_type="string", field_abbreviation="GT",
                          field_name="Genotype")
        ],
        additional_info={"format": panel.form, "ploidy": str(panel.ploidy),
                         "sha256": panel.sha256},
    )  # fmt: skip


@router.get("/variantsets", responses=_PROBLEMS, summary="Panels")
def list_variant_sets(
    server: ServerHere,
    snapshot: SnapshotNow,
    variant_set: VariantSetId = None,
    variant: VariantId = None,
    call_set: CallSetId = None,
    study: StudyId = None,
    reference_set: ReferenceSetId = None,
    crop: Crop = None,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[VariantSet]:  # fmt: skip
    """Return the registered panels."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        owners = {c.id: c.panel.name for c in view.call_sets(view.panels)}
        found = [
            _variant_set(view, panel)
            for panel in view.chosen(variant_set)
            if study in {None, panel.name}
            and reference_set in {None, view.assembly}
            and crop in {None, view.crop}
            and (variant is None or _record_number(panel, variant) is not None)
            and (call_set is None or owners.get(call_set) == panel.name)
        ]
    return _page(found, page, size)


VariantSetPath = Annotated[str, Path(alias="variantSetDbId", max_length=500)]


@router.get("/variantsets/{variantSetDbId}", responses=_PROBLEMS, summary="A panel")
def read_variant_set(
    server: ServerHere, snapshot: SnapshotNow, variant_set: VariantSetPath
) -> Single[VariantSet]:
    """Return one registered panel."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        return _single(_variant_set(view, view.panel(variant_set)))


def _call_set(found: _CallSet) -> CallSet:
    return CallSet(
        call_set_db_id=found.id, call_set_name=found.sample, sample_db_id=found.id,
        study_db_id=found.panel.name, variant_set_db_ids=[found.panel.name],
        created=found.panel.added_at,
        additional_info={"group": found.group} if found.group else {},
    )  # fmt: skip


@router.get("/callsets", responses=_PROBLEMS, summary="Samples' call sets")
def list_call_sets(
    server: ServerHere,
    snapshot: SnapshotNow,
    call_set: CallSetId = None,
    name: Annotated[str | None, _name("callSetName")] = None,
    variant_set: VariantSetId = None,
    sample: Annotated[str | None, _name("sampleDbId")] = None,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[CallSet]:  # fmt: skip
    """Return the samples of the panels, each as the owner of its calls."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        found = [
            _call_set(c)
            for c in view.call_sets(view.chosen(variant_set))
            if call_set in {None, c.id} and name in {None, c.sample}
            and sample in {None, c.id}
        ]  # fmt: skip
    return _page(found, page, size)


@router.get(
    "/variantsets/{variantSetDbId}/callsets", responses=_PROBLEMS,
    summary="A panel's call sets",
)  # fmt: skip
def list_call_sets_of_panel(
    server: ServerHere,
    snapshot: SnapshotNow,
    variant_set: VariantSetPath,
    call_set: CallSetId = None,
    name: Annotated[str | None, _name("callSetName")] = None,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[CallSet]:
    """Return the call sets of one panel."""
    with snapshot.query(server.settings.limits.time_s) as query:
        _view(server, snapshot, query).panel(variant_set)
    return list_call_sets(
        server, snapshot, call_set, name, variant_set, None, page, size
    )


CallSetPath = Annotated[str, Path(alias="callSetDbId", max_length=500)]


def _one_call_set(view: _View, call_set: str) -> _CallSet:
    for found in view.call_sets(view.panels):
        if found.id == call_set:
            return found
    raise Problem("not-found", f"there is no call set {call_set[:100]!r}")


@router.get("/callsets/{callSetDbId}", responses=_PROBLEMS, summary="A call set")
def read_call_set(
    server: ServerHere, snapshot: SnapshotNow, call_set: CallSetPath
) -> Single[CallSet]:
    """Return one sample's call set."""
    with snapshot.query(server.settings.limits.time_s) as query:
        found = _one_call_set(_view(server, snapshot, query), call_set)
    return _single(_call_set(found))


def _sample(found: _CallSet) -> Sample:
    return Sample(
        sample_db_id=found.id, sample_name=found.sample, study_db_id=found.panel.name,
        additional_info={"group": found.group} if found.group else {},
    )  # fmt: skip


@router.get("/samples", responses=_PROBLEMS, summary="Samples")
def list_samples(
    server: ServerHere,
    snapshot: SnapshotNow,
    sample: Annotated[str | None, _name("sampleDbId")] = None,
    name: Annotated[str | None, _name("sampleName")] = None,
    study: StudyId = None,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[Sample]:
    """Return the samples of the panels; their group is in `additionalInfo`."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        found = [
            _sample(c)
            for c in view.call_sets(view.chosen(study))
            if sample in {None, c.id} and name in {None, c.sample}
        ]
    return _page(found, page, size)


@router.get("/samples/{sampleDbId}", responses=_PROBLEMS, summary="A sample")
def read_sample(
    server: ServerHere,
    snapshot: SnapshotNow,
    sample: Annotated[str, Path(alias="sampleDbId", max_length=500)],
) -> Single[Sample]:
    """Return one sample."""
    with snapshot.query(server.settings.limits.time_s) as query:
        found = _one_call_set(_view(server, snapshot, query), sample)
    return _single(_sample(found))


# -- variants and calls -----------------------------------------------------------------


@router.get("/variants", responses=_PROBLEMS, summary="Records of the panels")
def list_variants(
    server: ServerHere,
    snapshot: SnapshotNow,
    variant: VariantId = None,
    variant_set: VariantSetId = None,
    reference: ReferenceId = None,
    reference_set: ReferenceSetId = None,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[Variant]:  # fmt: skip
    """Return the records of the panels, in the order of their files."""
    size = min(size, _MOST_ROWS)
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        is_ours = reference_set in {None, view.assembly}
        panels = view.chosen(variant_set) if is_ours else []
        wanted = view.wanted(panels, variant, reference)
        data = [
            view.variant(part.panel, row)
            for part, first, n in _parts(
                [w.n for w in wanted], wanted, page * size, size
            )
            for row in view.records(part, first, n)
        ]
    total = sum(w.n for w in wanted)
    return Page(metadata=_metadata(page, size, total), result=Rows(data=data))


def _parts(
    counts: Sequence[int], wanted: Sequence[_Wanted], first: int, n: int
) -> list[tuple[_Wanted, int, int]]:
    """Say which panel gives how many of items ``first`` to ``first + n``, from where."""
    found = []
    for count, part in zip(counts, wanted, strict=True):
        if first < count and n > 0:
            taken = min(count - first, n)
            found.append((part, first, taken))
            n -= taken
        first = max(first - count, 0)
    return found


@router.get(
    "/variantsets/{variantSetDbId}/variants", responses=_PROBLEMS,
    summary="A panel's records",
)  # fmt: skip
def list_variants_of_panel(
    server: ServerHere,
    snapshot: SnapshotNow,
    variant_set: VariantSetPath,
    variant: VariantId = None,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[Variant]:
    """Return the records of one panel."""
    with snapshot.query(server.settings.limits.time_s) as query:
        _view(server, snapshot, query).panel(variant_set)
    return list_variants(server, snapshot, variant, variant_set, None, None, page, size)


VariantPath = Annotated[str, Path(alias="variantDbId", max_length=500)]


def _one_variant(view: _View, variant: str) -> tuple[_Wanted, dict[str, Any]]:
    panels = [p for p in view.panels if _record_number(p, variant) is not None]
    for wanted in view.wanted(panels, variant, None):
        for row in view.records(wanted, 0, 1):
            return wanted, row
    raise Problem("not-found", f"there is no variant {variant[:100]!r}")


@router.get("/variants/{variantDbId}", responses=_PROBLEMS, summary="A record")
def read_variant(
    server: ServerHere, snapshot: SnapshotNow, variant: VariantPath
) -> Single[Variant]:
    """Return one record of a panel."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        wanted, row = _one_variant(view, variant)
        return _single(view.variant(wanted.panel, row))


@router.get("/calls", responses=_PROBLEMS, summary="Genotypes")
def list_calls(
    server: ServerHere,
    snapshot: SnapshotNow,
    call_set: CallSetId = None,
    variant: VariantId = None,
    variant_set: VariantSetId = None,
    *,
    expand: Expand = True,
    unknown: Unknown = ".",
    sep_phased: SepPhased = "|",
    sep_unphased: SepUnphased = "/",
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> CallsPage:
    """Return genotypes, variant by variant, in the order of the panels' samples."""
    size = min(size, _MOST_CALLS)
    spelling = Spelling(expand, unknown, sep_phased, sep_unphased)
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        own: dict[str, list[_CallSet]] = {}
        for found in view.call_sets(view.chosen(variant_set)):
            if call_set in {None, found.id}:
                own.setdefault(found.panel.name, []).append(found)
        panels = [p for p in view.panels if p.name in own]
        wanted = view.wanted(panels, variant, None)
        counts = [w.n * len(own[w.panel.name]) for w in wanted]
        data: list[Call] = []
        for part, first, n in _parts(counts, wanted, page * size, size):
            data += _calls(view, part, own[part.panel.name], first, n, spelling)
    return CallsPage(
        metadata=_metadata(page, size, sum(counts)),
        result=Calls(
            data=data, expand_homozygotes=expand, sep_phased=sep_phased,
            sep_unphased=sep_unphased, unknown_string=unknown,
        ),
    )  # fmt: skip


def _calls(
    view: _View,
    wanted: _Wanted,
    call_sets: Sequence[_CallSet],
    first: int,
    n: int,
    spelling: Spelling,
) -> list[Call]:
    """Return calls ``first`` to ``first + n`` of the records times the call sets."""
    width, panel = len(call_sets), wanted.panel
    first_row, skipped = divmod(first, width)
    n_rows = math.ceil((skipped + n) / width)
    found: list[Call] = []
    for row in view.records(wanted, first_row, n_rows, calls=True):
        words = spelled(row["alleles"], row["phased"], row["ploidy"], spelling)
        found += [
            Call(
                call_set_db_id=c.id, call_set_name=c.sample,
                variant_db_id=_variant_id(panel, row), variant_name=_variant_name(row),
                variant_set_db_id=panel.name, variant_set_name=panel.name,
                genotype_value=words[c.index],
            )
            for c in call_sets
        ]  # fmt: skip
    return found[skipped : skipped + n]


@router.get(
    "/variantsets/{variantSetDbId}/calls", responses=_PROBLEMS,
    summary="A panel's genotypes",
)  # fmt: skip
def list_calls_of_panel(
    server: ServerHere,
    snapshot: SnapshotNow,
    variant_set: VariantSetPath,
    *,
    expand: Expand = True,
    unknown: Unknown = ".",
    sep_phased: SepPhased = "|",
    sep_unphased: SepUnphased = "/",
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> CallsPage:
    """Return the genotypes of one panel."""
    with snapshot.query(server.settings.limits.time_s) as query:
        _view(server, snapshot, query).panel(variant_set)
    return list_calls(
        server, snapshot, None, None, variant_set, expand=expand, unknown=unknown,
        sep_phased=sep_phased, sep_unphased=sep_unphased, page=page, size=size,
    )  # fmt: skip


@router.get(
    "/callsets/{callSetDbId}/calls", responses=_PROBLEMS, summary="A sample's genotypes"
)
def list_calls_of_call_set(
    server: ServerHere,
    snapshot: SnapshotNow,
    call_set: CallSetPath,
    *,
    expand: Expand = True,
    unknown: Unknown = ".",
    sep_phased: SepPhased = "|",
    sep_unphased: SepUnphased = "/",
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> CallsPage:
    """Return the genotypes of one sample."""
    with snapshot.query(server.settings.limits.time_s) as query:
        owner = _one_call_set(_view(server, snapshot, query), call_set).panel.name
    return list_calls(
        server, snapshot, call_set, None, owner, expand=expand, unknown=unknown,
        sep_phased=sep_phased, sep_unphased=sep_unphased, page=page, size=size,
    )  # fmt: skip


@router.get(
    "/variants/{variantDbId}/calls", responses=_PROBLEMS, summary="A record's genotypes"
)
def list_calls_of_variant(
    server: ServerHere,
    snapshot: SnapshotNow,
    variant: VariantPath,
    *,
    expand: Expand = True,
    unknown: Unknown = ".",
    sep_phased: SepPhased = "|",
    sep_unphased: SepUnphased = "/",
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> CallsPage:
    """Return the genotypes at one record."""
    with snapshot.query(server.settings.limits.time_s) as query:
        owner = _one_variant(_view(server, snapshot, query), variant)[0].panel.name
    return list_calls(
        server, snapshot, None, variant, owner, expand=expand, unknown=unknown,
        sep_phased=sep_phased, sep_unphased=sep_unphased, page=page, size=size,
    )  # fmt: skip


@router.get("/allelematrix", responses=_PROBLEMS, summary="Genotypes as a matrix")
def read_allele_matrix(
    server: ServerHere,
    snapshot: SnapshotNow,
    variant_set: VariantSetId = None,
    *,
    expand: Expand = True,
    unknown: Unknown = ".",
    sep_phased: SepPhased = "|",
    sep_unphased: SepUnphased = "/",
    preview: Annotated[bool, Query(description="Say the sizes, give no data.")] = False,
    variant_page: Annotated[
        int, Query(alias="dimensionVariantPage", ge=0, le=1_000_000_000)
    ] = 0,
    variant_size: Annotated[
        int, Query(alias="dimensionVariantPageSize", ge=1, le=1_000_000)
    ] = 500,
    call_set_page: Annotated[
        int, Query(alias="dimensionCallSetPage", ge=0, le=1_000_000_000)
    ] = 0,
    call_set_size: Annotated[
        int, Query(alias="dimensionCallSetPageSize", ge=1, le=1_000_000)
    ] = 1000,
) -> Single[AlleleMatrix]:
    """Return the genotypes of a part of one panel: a row a variant, a column a call set.

    `variantSetDbId` may be left out where there is one panel.
    """
    spelling = Spelling(expand, unknown, sep_phased, sep_unphased)
    variant_size = min(variant_size, _MOST_ROWS)
    call_set_size = min(call_set_size, _MOST_ROWS)
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        if variant_set is None and len(view.panels) != 1:
            names = ", ".join(p.name for p in view.panels) or "none"
            raise Problem("invalid-request", f"give variantSetDbId; there are: {names}")
        panel = view.panels[0] if variant_set is None else view.panel(variant_set)
        all_call_sets = view.call_sets([panel])
        shown = all_call_sets[call_set_page * call_set_size :][:call_set_size]
        (wanted,) = view.wanted([panel], None, None)
        rows = [] if preview else view.records(
            wanted, variant_page * variant_size, variant_size, calls=True
        )  # fmt: skip
    words = [spelled(r["alleles"], r["phased"], r["ploidy"], spelling) for r in rows]
    return _single(
        AlleleMatrix(
            pagination=[
                MatrixPage(
                    dimension="VARIANTS", page=variant_page, page_size=variant_size,
                    total_count=wanted.n, total_pages=math.ceil(wanted.n / variant_size),
                ),
                MatrixPage(
                    dimension="CALLSETS", page=call_set_page, page_size=call_set_size,
                    total_count=len(all_call_sets),
                    total_pages=math.ceil(len(all_call_sets) / call_set_size),
                ),
            ],
            variant_set_db_ids=[panel.name],
            variant_db_ids=[_variant_id(panel, row) for row in rows],
            call_set_db_ids=[] if preview else [c.id for c in shown],
            data_matrices=[
                Matrix(
                    data_matrix_name="Genotype", data_matrix_abbreviation="GT",
                    data_type="string",
                    data_matrix=[[line[c.index] for c in shown] for line in words],
                )
            ],
            expand_homozygotes=expand, sep_phased=sep_phased, sep_unphased=sep_unphased,
            unknown_string=unknown,
        )
    )  # fmt: skip


# -- the assembly -------------------------------------------------------------------------


def _reference_set(view: _View) -> ReferenceSet:
    return ReferenceSet(
        reference_set_db_id=view.assembly, reference_set_name=view.assembly,
        common_crop_name=view.crop, is_derived=False,
    )  # fmt: skip


@router.get("/referencesets", responses=_PROBLEMS, summary="The assembly")
def list_reference_sets(
    server: ServerHere,
    snapshot: SnapshotNow,
    reference_set: ReferenceSetId = None,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[ReferenceSet]:
    """Return the one assembly."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
    is_asked = view.assembly and reference_set in {None, view.assembly}
    return _page([_reference_set(view)] if is_asked else [], page, size)


@router.get(
    "/referencesets/{referenceSetDbId}", responses=_PROBLEMS, summary="The assembly"
)
def read_reference_set(
    server: ServerHere,
    snapshot: SnapshotNow,
    reference_set: Annotated[str, Path(alias="referenceSetDbId", max_length=500)],
) -> Single[ReferenceSet]:
    """Return the assembly."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
    if reference_set != view.assembly:
        raise Problem("not-found", f"there is no reference set {reference_set[:100]!r}")
    return _single(_reference_set(view))


def _reference(view: _View, contig: str) -> Reference:
    return Reference(
        reference_db_id=contig, reference_name=contig,
        reference_set_db_id=view.assembly, reference_set_name=view.assembly,
        common_crop_name=view.crop, length=view.contigs[contig], is_derived=False,
    )  # fmt: skip


@router.get("/references", responses=_PROBLEMS, summary="Contigs")
def list_references(
    server: ServerHere,
    snapshot: SnapshotNow,
    reference: ReferenceId = None,
    reference_set: ReferenceSetId = None,
    min_length: Annotated[int, Query(alias="minLength", ge=0, le=2**62)] = 0,
    max_length: Annotated[int, Query(alias="maxLength", ge=0, le=2**62)] = 2**62,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[Reference]:
    """Return the contigs of the assembly, in its order."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
    found = [
        _reference(view, contig)
        for contig, length in view.contigs.items()
        if reference in {None, contig} and reference_set in {None, view.assembly}
        and min_length <= length <= max_length
    ]  # fmt: skip
    return _page(found, page, size)


ReferencePath = Annotated[str, Path(alias="referenceDbId", max_length=500)]


def _contig(view: _View, name: str) -> str:
    if name not in view.contigs:
        raise Problem("not-found", f"there is no reference {name[:100]!r}")
    return name


@router.get("/references/{referenceDbId}", responses=_PROBLEMS, summary="A contig")
def read_reference(
    server: ServerHere, snapshot: SnapshotNow, reference: ReferencePath
) -> Single[Reference]:
    """Return one contig."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
    return _single(_reference(view, _contig(view, reference)))


@router.get(
    "/references/{referenceDbId}/bases", responses=_PROBLEMS, summary="A contig's bases"
)
def read_bases(
    server: ServerHere,
    snapshot: SnapshotNow,
    reference: ReferencePath,
    start: Annotated[int, Query(description="0-based.", ge=0, le=2**62)] = 0,
    end: Annotated[
        int | None, Query(description="Exclusive; default the end.", ge=0, le=2**62)
    ] = None,
    token: Annotated[
        str | None, Query(alias="pageToken", pattern=r"^\d{1,18}$")
    ] = None,
) -> Single[Bases]:
    """Return at most 1,000,000 bases; `nextPageToken` goes on from there."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
    contig = _contig(view, reference)
    past = min(view.contigs[contig], view.contigs[contig] if end is None else end)
    first = start if token is None else int(token)
    if first > past:
        raise Problem(
            "invalid-request", f"start lies behind the end: {contig} has "
            f"{view.contigs[contig]:,} bp",
        )  # fmt: skip
    last = min(past, first + _MOST_BASES)
    sha256 = next(s.sha256 for s in snapshot.sources if s.kind == "genome")
    genome = Genome(view.assembly, snapshot.folder / "sources" / sha256 / GENOME_FILE)
    sequence = genome.fetch(contig, first, last) if last > first else ""
    return _single(
        Bases(offset=first, sequence=sequence,
              next_page_token=str(last) if last < past else None)
    )  # fmt: skip


def _markers(view: _View) -> list[Panel]:
    """Return the panels whose records can be placed on the map."""
    return [p for p in view.panels if p.form in {"vcf", "bcf"}]


def _map(view: _View) -> GenomeMap:
    return GenomeMap(
        map_db_id=view.assembly, map_name=view.assembly, common_crop_name=view.crop,
        type="Physical", unit="bp", linkage_group_count=len(view.contigs),
        marker_count=sum(p.n_variants for p in _markers(view)),
        comments="Physical positions on the assembly, 1-based; the markers are the "
        "records of the registered panels. No genetic map is registered.",
    )  # fmt: skip


@router.get("/maps", responses=_PROBLEMS, summary="The physical map")
def list_maps(
    server: ServerHere,
    snapshot: SnapshotNow,
    map_id: Annotated[str | None, _name("mapDbId")] = None,
    map_type: Annotated[str | None, _name("type")] = None,
    crop: Crop = None,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[GenomeMap]:
    """Return the assembly as a physical map."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
    is_asked = (
        view.assembly and map_id in {None, view.assembly} and crop in {None, view.crop}
        and map_type in {None, "Physical"}
    )  # fmt: skip
    return _page([_map(view)] if is_asked else [], page, size)


MapPath = Annotated[str, Path(alias="mapDbId", max_length=500)]


def _require_map(view: _View, map_id: str) -> None:
    if map_id != view.assembly:
        raise Problem("not-found", f"there is no map {map_id[:100]!r}")


@router.get("/maps/{mapDbId}", responses=_PROBLEMS, summary="The physical map")
def read_map(
    server: ServerHere, snapshot: SnapshotNow, map_id: MapPath
) -> Single[GenomeMap]:
    """Return the assembly as a physical map."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
    _require_map(view, map_id)
    return _single(_map(view))


@router.get(
    "/maps/{mapDbId}/linkagegroups", responses=_PROBLEMS, summary="Contigs of the map"
)
def list_linkage_groups(
    server: ServerHere,
    snapshot: SnapshotNow,
    map_id: MapPath,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[LinkageGroup]:
    """Return the contigs with the number of markers on each."""
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        _require_map(view, map_id)
        counts = dict.fromkeys(view.contigs, 0)
        for panel in _markers(view):
            table = str(server.panels.table(panel))
            rows = query.rows(
                "SELECT contig, count(*) AS n FROM read_parquet(?) GROUP BY contig",
                [table],
            )
            own = snapshot.contig_names.resolve([str(r["contig"]) for r in rows])
            for row in rows:
                contig = own[row["contig"]]
                if contig is not None:
                    counts[contig] += row["n"]
    found = [
        LinkageGroup(
            linkage_group_name=contig, marker_count=counts[contig], max_position=length
        )
        for contig, length in view.contigs.items()
    ]
    return _page(found, page, size)


@router.get("/markerpositions", responses=_PROBLEMS, summary="Markers on the map")
def list_marker_positions(
    server: ServerHere,
    snapshot: SnapshotNow,
    map_id: Annotated[str | None, _name("mapDbId")] = None,
    linkage_group: Annotated[str | None, _name("linkageGroupName")] = None,
    variant: VariantId = None,
    min_position: Annotated[
        int, Query(alias="minPosition", description="1-based, bp.", ge=0, le=2**62)
    ] = 0,
    max_position: Annotated[
        int, Query(alias="maxPosition", description="1-based, bp.", ge=0, le=2**62)
    ] = 2**62,
    page: PageNumber = 0,
    size: PageSize = 1000,
) -> Page[MarkerPosition]:  # fmt: skip
    """Return where the panels' records lie."""
    size = min(size, _MOST_ROWS)
    with snapshot.query(server.settings.limits.time_s) as query:
        view = _view(server, snapshot, query)
        panels = _markers(view) if map_id in {None, view.assembly} else []
        wanted = []
        for part in view.wanted(panels, variant, linkage_group):
            condition = f"{part.condition} AND start + 1 BETWEEN ? AND ?"
            values = (*part.values, min_position, max_position)
            n = query.value(
                f"SELECT count(*) FROM read_parquet(?) WHERE {condition}",  # noqa: S608
                [part.table, *values],
            )
            wanted.append(_Wanted(part.panel, part.table, condition, values, n))
        data = []
        for part, first, n in _parts([w.n for w in wanted], wanted, page * size, size):
            rows = view.records(part, first, n)
            own = snapshot.contig_names.resolve({r["contig"] for r in rows})
            data += [
                MarkerPosition(
                    map_db_id=view.assembly, map_name=view.assembly,
                    linkage_group_name=own[row["contig"]] or row["contig"],
                    position=one_based_from_start(row["start"]),
                    variant_db_id=_variant_id(part.panel, row),
                    variant_name=_variant_name(row),
                )
                for row in rows
            ]  # fmt: skip
    total = sum(w.n for w in wanted)
    return Page(metadata=_metadata(page, size, total), result=Rows(data=data))
