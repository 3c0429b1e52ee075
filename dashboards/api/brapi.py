"""BrAPI v2.1, read only: panels, their samples, variants and calls, maps and references.

One registered panel is one variant set and one study; a sample in it is one call set and
one sample. A record of the panel's file is one variant, ``<panel>:<record>`` counted from
1; its calls are the file's genotypes. The assembly is the reference set, and a physical
map in bp whose linkage groups are its contigs. Positions are 0-based half-open, as BrAPI
has them; marker positions are 1-based. Field names: brapi.org, specification 2.1.
"""

import math
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, Any, TypeVar

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
    MetadataField,
    Page,
    Reference,
    ReferenceSet,
    Rows,
    Sample,
    ServerInfo,
    Service,
    Single,
    Study,
    Variant,
    VariantSet,
)
from dashboards.api.brapi_view import (
    MOST_ROWS,
    CallSetId,
    Crop,
    OwnCallSet,
    Paged,
    ReferenceId,
    ReferenceSetId,
    Spelled,
    StudyId,
    TokenPaged,
    VariantId,
    VariantSetId,
    View,
    ViewNow,
    Wanted,
    metadata_of,
    page_of,
    record_number,
    single,
    text_query,
    variant_id_of,
    variant_name_of,
)
from dashboards.api.panels import READABLE, Panel, Spelling, spelled
from dashboards.api.problems import Problem, documented
from data_registry.coordinates import one_based_from_start
from data_registry.genome import Genome
from data_registry.sources.genome import GENOME_FILE

PREFIX = "/brapi/v2"
router = APIRouter(prefix=PREFIX, tags=["BrAPI v2.1"])

_VERSION = "2.1"
_MOST_BASES = 1_000_000
_MOST_CALLS = 10_000


_F = TypeVar("_F", bound=Callable[..., object])


def _get(path: str, summary: str) -> Callable[[_F], _F]:
    """Make a function the answer to GET; BrAPI leaves out what has no value."""
    return router.get(
        path, summary=summary, response_model_exclude_none=True,
        responses=documented("not-found", "not-here", "invalid-request", "missing-layer"),
    )  # fmt: skip


# -- core -------------------------------------------------------------------------------


@_get("/serverinfo", "The server and its calls")
def read_server_info(view: ViewNow) -> Single[ServerInfo]:
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
    return single(
        ServerInfo(
            server_name=f"cisgraph: {view.assembly}",
            server_description=f"cisgraph {version('cisgraph')}, BrAPI {_VERSION}, read "
            f"only; registry {view.snapshot.registry_digest[:16]}",
            calls=calls,
            documentation_url=None,
        )
    )


@_get("/commoncropnames", "Crops")
def list_crops(view: ViewNow, paging: Paged) -> Page[str]:
    """Return the one crop: as `cisgraph serve --crop` names it, else the assembly."""
    return page_of([view.crop] if view.crop else [], paging)


def _study(view: View, panel: Panel) -> Study:
    return Study(
        study_db_id=panel.name, study_name=panel.name, study_type="Genotyping",
        common_crop_name=view.crop, active=True,
    )  # fmt: skip


@_get("/studies", "Studies: one a panel")
def list_studies(
    view: ViewNow, paging: Paged, study: StudyId = None, crop: Crop = None
) -> Page[Study]:
    """Return the panels as studies."""
    found = [_study(view, p) for p in view.chosen(study) if crop in {None, view.crop}]
    return page_of(found, paging)


@_get("/studies/{studyDbId}", "A study")
def read_study(
    view: ViewNow,
    study: Annotated[str, Path(alias="studyDbId", max_length=500)],
) -> Single[Study]:
    """Return one panel as a study."""
    return single(_study(view, view.panel(study)))


# -- panels -------------------------------------------------------------------------------


def _variant_set(view: View, panel: Panel) -> VariantSet:
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


@_get("/variantsets", "Panels")
def list_variant_sets(
    view: ViewNow,
    paging: Paged,
    variant_set: VariantSetId = None,
    variant: VariantId = None,
    call_set: CallSetId = None,
    study: StudyId = None,
    reference_set: ReferenceSetId = None,
    crop: Crop = None,
) -> Page[VariantSet]:  # fmt: skip
    """Return the registered panels."""
    owners = {c.id: c.panel.name for c in view.call_sets(view.panels)}
    found = [
        _variant_set(view, panel)
        for panel in view.chosen(variant_set)
        if study in {None, panel.name}
        and reference_set in {None, view.assembly}
        and crop in {None, view.crop}
        and (variant is None or record_number(panel, variant) is not None)
        and (call_set is None or owners.get(call_set) == panel.name)
    ]
    return page_of(found, paging)


VariantSetPath = Annotated[str, Path(alias="variantSetDbId", max_length=500)]


@_get("/variantsets/{variantSetDbId}", "A panel")
def read_variant_set(view: ViewNow, variant_set: VariantSetPath) -> Single[VariantSet]:
    """Return one registered panel."""
    return single(_variant_set(view, view.panel(variant_set)))


def _call_set(found: OwnCallSet) -> CallSet:
    return CallSet(
        call_set_db_id=found.id, call_set_name=found.sample, sample_db_id=found.id,
        study_db_id=found.panel.name, variant_set_db_ids=[found.panel.name],
        created=found.panel.added_at,
        additional_info={"group": found.group} if found.group else {},
    )  # fmt: skip


@_get("/callsets", "Samples' call sets")
def list_call_sets(
    view: ViewNow,
    paging: Paged,
    call_set: CallSetId = None,
    name: Annotated[str | None, text_query("callSetName")] = None,
    variant_set: VariantSetId = None,
    sample: Annotated[str | None, text_query("sampleDbId")] = None,
) -> Page[CallSet]:  # fmt: skip
    """Return the samples of the panels, each as the owner of its calls."""
    found = [
        _call_set(c)
        for c in view.call_sets(view.chosen(variant_set))
        if call_set in {None, c.id} and name in {None, c.sample}
        and sample in {None, c.id}
    ]  # fmt: skip
    return page_of(found, paging)


@_get("/variantsets/{variantSetDbId}/callsets", "A panel's call sets")
def list_call_sets_of_panel(
    view: ViewNow,
    paging: Paged,
    variant_set: VariantSetPath,
    call_set: CallSetId = None,
    name: Annotated[str | None, text_query("callSetName")] = None,
) -> Page[CallSet]:
    """Return the call sets of one panel."""
    view.panel(variant_set)
    return list_call_sets(
        view, paging, call_set=call_set, name=name, variant_set=variant_set
    )


CallSetPath = Annotated[str, Path(alias="callSetDbId", max_length=500)]


def _one_call_set(view: View, call_set: str) -> OwnCallSet:
    for found in view.call_sets(view.panels):
        if found.id == call_set:
            return found
    raise Problem("not-found", f"there is no call set {call_set[:100]!r}")


@_get("/callsets/{callSetDbId}", "A call set")
def read_call_set(view: ViewNow, call_set: CallSetPath) -> Single[CallSet]:
    """Return one sample's call set."""
    found = _one_call_set(view, call_set)
    return single(_call_set(found))


def _sample(found: OwnCallSet) -> Sample:
    return Sample(
        sample_db_id=found.id, sample_name=found.sample, study_db_id=found.panel.name,
        additional_info={"group": found.group} if found.group else {},
    )  # fmt: skip


@_get("/samples", "Samples")
def list_samples(
    view: ViewNow,
    paging: Paged,
    sample: Annotated[str | None, text_query("sampleDbId")] = None,
    name: Annotated[str | None, text_query("sampleName")] = None,
    study: StudyId = None,
) -> Page[Sample]:
    """Return the samples of the panels; their group is in `additionalInfo`."""
    found = [
        _sample(c)
        for c in view.call_sets(view.chosen(study))
        if sample in {None, c.id} and name in {None, c.sample}
    ]
    return page_of(found, paging)


@_get("/samples/{sampleDbId}", "A sample")
def read_sample(
    view: ViewNow,
    sample: Annotated[str, Path(alias="sampleDbId", max_length=500)],
) -> Single[Sample]:
    """Return one sample."""
    found = _one_call_set(view, sample)
    return single(_sample(found))


# -- variants and calls -----------------------------------------------------------------


@_get("/variants", "Records of the panels")
def list_variants(
    view: ViewNow,
    paging: TokenPaged,
    variant: VariantId = None,
    variant_set: VariantSetId = None,
    reference: ReferenceId = None,
    reference_set: ReferenceSetId = None,
) -> Page[Variant]:  # fmt: skip
    """Return the records of the panels, in the order of their files."""
    paging = paging.at_most(MOST_ROWS)
    is_ours = reference_set in {None, view.assembly}
    panels = view.chosen(variant_set) if is_ours else []
    wanted = view.wanted(panels, variant, reference)
    data = [
        view.variant(part.panel, row)
        for part, first, n in _parts(
            [w.n for w in wanted], wanted, paging.first, paging.size
        )
        for row in view.records(part, first, n)
    ]
    total = sum(w.n for w in wanted)
    return Page(
        metadata=metadata_of(paging, total, tokens=True, status=view.messages),
        result=Rows(data=data),
    )


def _parts(
    counts: Sequence[int], wanted: Sequence[Wanted], first: int, n: int
) -> list[tuple[Wanted, int, int]]:
    """Say which panel gives how many of items ``first`` to ``first + n``, from where."""
    found = []
    for count, part in zip(counts, wanted, strict=True):
        if first < count and n > 0:
            taken = min(count - first, n)
            found.append((part, first, taken))
            n -= taken
        first = max(first - count, 0)
    return found


@_get("/variantsets/{variantSetDbId}/variants", "A panel's records")
def list_variants_of_panel(
    view: ViewNow,
    paging: TokenPaged,
    variant_set: VariantSetPath,
    variant: VariantId = None,
) -> Page[Variant]:
    """Return the records of one panel."""
    view.panel(variant_set)
    return list_variants(view, paging, variant=variant, variant_set=variant_set)


VariantPath = Annotated[str, Path(alias="variantDbId", max_length=500)]


def _one_variant(view: View, variant: str) -> tuple[Wanted, dict[str, Any]]:
    panels = [p for p in view.panels if record_number(p, variant) is not None]
    for wanted in view.wanted(panels, variant, None):
        for row in view.records(wanted, 0, 1):
            return wanted, row
    raise Problem("not-found", f"there is no variant {variant[:100]!r}")


@_get("/variants/{variantDbId}", "A record")
def read_variant(view: ViewNow, variant: VariantPath) -> Single[Variant]:
    """Return one record of a panel."""
    wanted, row = _one_variant(view, variant)
    return single(view.variant(wanted.panel, row))


@_get("/calls", "Genotypes")
def list_calls(
    view: ViewNow,
    paging: TokenPaged,
    spelling: Spelled,
    call_set: CallSetId = None,
    variant: VariantId = None,
    variant_set: VariantSetId = None,
) -> CallsPage:
    """Return genotypes, variant by variant, in the order of the panels' samples."""
    paging = paging.at_most(_MOST_CALLS)
    own: dict[str, list[OwnCallSet]] = {}
    for found in view.call_sets(view.chosen(variant_set)):
        if call_set in {None, found.id}:
            own.setdefault(found.panel.name, []).append(found)
    panels = [p for p in view.panels if p.name in own]
    wanted = view.wanted(panels, variant, None)
    counts = [w.n * len(own[w.panel.name]) for w in wanted]
    data: list[Call] = []
    for part, first, n in _parts(counts, wanted, paging.first, paging.size):
        data += _calls(view, part, own[part.panel.name], first, n, spelling)
    return CallsPage(
        metadata=metadata_of(paging, sum(counts), tokens=True, status=view.messages),
        result=Calls(
            data=data, expand_homozygotes=spelling.expand_homozygotes, sep_phased=spelling.sep_phased, sep_unphased=spelling.sep_unphased, unknown_string=spelling.unknown,
        ),
    )  # fmt: skip


def _calls(
    view: View,
    wanted: Wanted,
    call_sets: Sequence[OwnCallSet],
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
                variant_db_id=variant_id_of(panel, row), variant_name=variant_name_of(row),
                variant_set_db_id=panel.name, variant_set_name=panel.name,
                genotype_value=words[c.index],
            )
            for c in call_sets
        ]  # fmt: skip
    return found[skipped : skipped + n]


@_get("/variantsets/{variantSetDbId}/calls", "A panel's genotypes")
def list_calls_of_panel(
    view: ViewNow, paging: TokenPaged, spelling: Spelled, variant_set: VariantSetPath
) -> CallsPage:
    """Return the genotypes of one panel."""
    view.panel(variant_set)
    return list_calls(
        view,
        paging,
        spelling,
        variant_set=variant_set,
    )


@_get("/callsets/{callSetDbId}/calls", "A sample's genotypes")
def list_calls_of_call_set(
    view: ViewNow, paging: TokenPaged, spelling: Spelled, call_set: CallSetPath
) -> CallsPage:
    """Return the genotypes of one sample."""
    owner = _one_call_set(view, call_set).panel.name
    return list_calls(
        view,
        paging,
        spelling,
        call_set=call_set,
        variant_set=owner,
    )


@_get("/variants/{variantDbId}/calls", "A record's genotypes")
def list_calls_of_variant(
    view: ViewNow, paging: TokenPaged, spelling: Spelled, variant: VariantPath
) -> CallsPage:
    """Return the genotypes at one record."""
    owner = _one_variant(view, variant)[0].panel.name
    return list_calls(
        view,
        paging,
        spelling,
        variant=variant,
        variant_set=owner,
    )


@_get("/allelematrix", "Genotypes as a matrix")
def read_allele_matrix(
    view: ViewNow,
    spelling: Spelled,
    variant_set: VariantSetId = None,
    *,
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
    variant_size = min(variant_size, MOST_ROWS)
    call_set_size = min(call_set_size, MOST_ROWS)
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
    return single(
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
            variant_db_ids=[variant_id_of(panel, row) for row in rows],
            call_set_db_ids=[] if preview else [c.id for c in shown],
            data_matrices=[
                Matrix(
                    data_matrix_name="Genotype", data_matrix_abbreviation="GT",
                    data_type="string",
                    data_matrix=[[line[c.index] for c in shown] for line in words],
                )
            ],
            expand_homozygotes=spelling.expand_homozygotes, sep_phased=spelling.sep_phased, sep_unphased=spelling.sep_unphased, unknown_string=spelling.unknown,
        )
    )  # fmt: skip


# -- the assembly -------------------------------------------------------------------------


def _reference_set(view: View) -> ReferenceSet:
    return ReferenceSet(
        reference_set_db_id=view.assembly, reference_set_name=view.assembly,
        common_crop_name=view.crop, is_derived=False,
    )  # fmt: skip


@_get("/referencesets", "The assembly")
def list_reference_sets(
    view: ViewNow, paging: Paged, reference_set: ReferenceSetId = None
) -> Page[ReferenceSet]:
    """Return the one assembly."""
    is_asked = view.assembly and reference_set in {None, view.assembly}
    return page_of([_reference_set(view)] if is_asked else [], paging)


@_get("/referencesets/{referenceSetDbId}", "The assembly")
def read_reference_set(
    view: ViewNow,
    reference_set: Annotated[str, Path(alias="referenceSetDbId", max_length=500)],
) -> Single[ReferenceSet]:
    """Return the assembly."""
    if reference_set != view.assembly:
        raise Problem("not-found", f"there is no reference set {reference_set[:100]!r}")
    return single(_reference_set(view))


def _reference(view: View, contig: str) -> Reference:
    return Reference(
        reference_db_id=contig, reference_name=contig,
        reference_set_db_id=view.assembly, reference_set_name=view.assembly,
        common_crop_name=view.crop, length=view.contigs[contig], is_derived=False,
    )  # fmt: skip


@_get("/references", "Contigs")
def list_references(
    view: ViewNow,
    paging: Paged,
    reference: ReferenceId = None,
    reference_set: ReferenceSetId = None,
    min_length: Annotated[int, Query(alias="minLength", ge=0, le=2**62)] = 0,
    max_length: Annotated[int, Query(alias="maxLength", ge=0, le=2**62)] = 2**62,
) -> Page[Reference]:
    """Return the contigs of the assembly, in its order."""
    found = [
        _reference(view, contig)
        for contig, length in view.contigs.items()
        if reference in {None, contig} and reference_set in {None, view.assembly}
        and min_length <= length <= max_length
    ]  # fmt: skip
    return page_of(found, paging)


ReferencePath = Annotated[str, Path(alias="referenceDbId", max_length=500)]


def _contig(view: View, name: str) -> str:
    if name not in view.contigs:
        raise Problem("not-found", f"there is no reference {name[:100]!r}")
    return name


@_get("/references/{referenceDbId}", "A contig")
def read_reference(view: ViewNow, reference: ReferencePath) -> Single[Reference]:
    """Return one contig."""
    return single(_reference(view, _contig(view, reference)))


@_get("/references/{referenceDbId}/bases", "A contig's bases")
def read_bases(
    view: ViewNow,
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
    contig = _contig(view, reference)
    past = min(view.contigs[contig], view.contigs[contig] if end is None else end)
    first = start if token is None else int(token)
    if first > past:
        raise Problem(
            "invalid-request", f"start lies behind the end: {contig} has "
            f"{view.contigs[contig]:,} bp",
        )  # fmt: skip
    last = min(past, first + _MOST_BASES)
    sha256 = next(s.sha256 for s in view.snapshot.sources if s.kind == "genome")
    genome = Genome(
        view.assembly, view.snapshot.folder / "sources" / sha256 / GENOME_FILE
    )
    sequence = genome.fetch(contig, first, last) if last > first else ""
    return single(
        Bases(offset=first, sequence=sequence,
              next_page_token=str(last) if last < past else None)
    )  # fmt: skip


def _markers(view: View) -> list[Panel]:
    """Return the panels whose records can be placed on the map."""
    return [p for p in view.panels if p.form in READABLE]


def _map(view: View) -> GenomeMap:
    return GenomeMap(
        map_db_id=view.assembly, map_name=view.assembly, common_crop_name=view.crop,
        type="Physical", unit="bp", linkage_group_count=len(view.contigs),
        marker_count=sum(p.n_variants for p in _markers(view)),
        comments="Physical positions on the assembly, 1-based; the markers are the "
        "records of the registered panels. No genetic map is registered.",
    )  # fmt: skip


@_get("/maps", "The physical map")
def list_maps(
    view: ViewNow,
    paging: Paged,
    map_id: Annotated[str | None, text_query("mapDbId")] = None,
    map_type: Annotated[str | None, text_query("type")] = None,
    crop: Crop = None,
) -> Page[GenomeMap]:
    """Return the assembly as a physical map."""
    is_asked = (
        view.assembly and map_id in {None, view.assembly} and crop in {None, view.crop}
        and map_type in {None, "Physical"}
    )  # fmt: skip
    return page_of([_map(view)] if is_asked else [], paging)


MapPath = Annotated[str, Path(alias="mapDbId", max_length=500)]


def _require_map(view: View, map_id: str) -> None:
    if map_id != view.assembly:
        raise Problem("not-found", f"there is no map {map_id[:100]!r}")


@_get("/maps/{mapDbId}", "The physical map")
def read_map(view: ViewNow, map_id: MapPath) -> Single[GenomeMap]:
    """Return the assembly as a physical map."""
    _require_map(view, map_id)
    return single(_map(view))


@_get("/maps/{mapDbId}/linkagegroups", "Contigs of the map")
def list_linkage_groups(
    view: ViewNow, paging: Paged, map_id: MapPath
) -> Page[LinkageGroup]:
    """Return the contigs with the number of markers on each."""
    _require_map(view, map_id)
    counts = dict.fromkeys(view.contigs, 0)
    for panel in _markers(view):
        table = str(view.server.panels.table(panel))
        rows = view.query.rows(
            "SELECT contig, count(*) AS n FROM read_parquet(?) GROUP BY contig",
            [table],
        )
        own = view.snapshot.contig_names.resolve([str(r["contig"]) for r in rows])
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
    return page_of(found, paging)


@_get("/markerpositions", "Markers on the map")
def list_marker_positions(
    view: ViewNow,
    paging: Paged,
    map_id: Annotated[str | None, text_query("mapDbId")] = None,
    linkage_group: Annotated[str | None, text_query("linkageGroupName")] = None,
    variant: VariantId = None,
    min_position: Annotated[
        int, Query(alias="minPosition", description="1-based, bp.", ge=0, le=2**62)
    ] = 0,
    max_position: Annotated[
        int, Query(alias="maxPosition", description="1-based, bp.", ge=0, le=2**62)
    ] = 2**62,
) -> Page[MarkerPosition]:  # fmt: skip
    """Return where the panels' records lie."""
    paging = paging.at_most(MOST_ROWS)
    panels = view.panels if map_id in {None, view.assembly} else []
    wanted = []
    for part in view.wanted(panels, variant, linkage_group):
        condition = f"{part.condition} AND start + 1 BETWEEN ? AND ?"
        values = (*part.values, min_position, max_position)
        n = view.query.value(
            f"SELECT count(*) FROM read_parquet(?) WHERE {condition}",  # noqa: S608
            [part.table, *values],
        )
        wanted.append(Wanted(part.panel, part.table, condition, values, n))
    data = []
    for part, first, n in _parts(
        [w.n for w in wanted], wanted, paging.first, paging.size
    ):
        rows = view.records(part, first, n)
        own = view.snapshot.contig_names.resolve({r["contig"] for r in rows})
        data += [
            MarkerPosition(
                map_db_id=view.assembly, map_name=view.assembly,
                linkage_group_name=own[row["contig"]] or row["contig"],
                position=one_based_from_start(row["start"]),
                variant_db_id=variant_id_of(part.panel, row),
                variant_name=variant_name_of(row),
            )
            for row in rows
        ]  # fmt: skip
    total = sum(w.n for w in wanted)
    return Page(
        metadata=metadata_of(paging, total, status=view.messages),
        result=Rows(data=data),
    )
