"""The objects of BrAPI v2.1 that are served; fields as its specification names them."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Fields are spelled in camel case on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Pagination(Model):
    """Where a page stands; pages count from 0."""

    current_page: int = Field(examples=[0])
    page_size: int = Field(examples=[1000])
    total_count: int = Field(examples=[22_710])
    total_pages: int = Field(examples=[23])
    next_page_token: str | None = Field(
        None,
        description="Of variants and calls: for `pageToken`; empty on the last page.",
        deprecated=True,
        examples=["1"],
    )


class Status(Model):
    """A message to the client."""

    message: str
    message_type: Literal["DEBUG", "ERROR", "WARNING", "INFO"]


class Metadata(Model):
    """What BrAPI says beside every result."""

    datafiles: list[dict[str, str]] = []
    pagination: Pagination
    status: list[Status] = []


T = TypeVar("T")


class Single(Model, Generic[T]):
    """BrAPI's envelope of one object."""

    context: list[str] = Field(default_factory=list, serialization_alias="@context")
    metadata: Metadata
    result: T


class Rows(Model, Generic[T]):
    """The list of a page."""

    data: list[T]


class Page(Model, Generic[T]):
    """BrAPI's envelope of a list."""

    context: list[str] = Field(default_factory=list, serialization_alias="@context")
    metadata: Metadata
    result: Rows[T]


class Service(Model):
    """One call that the server answers."""

    service: str
    methods: list[str]
    versions: list[str]
    content_types: list[str]
    data_types: list[str]


class ServerInfo(Model):
    """The server and its calls."""

    server_name: str
    server_description: str
    organization_name: str | None = None
    contact_email: str | None = None
    documentation_url: str | None = Field(None, serialization_alias="documentationURL")
    location: str | None = None
    calls: list[Service]


class Study(Model):
    """A panel as a study."""

    study_db_id: str
    study_name: str
    study_type: str
    common_crop_name: str
    active: bool


class MetadataField(Model):
    """A kind of genotype data."""

    data_type: str
    field_abbreviation: str
    field_name: str


class AvailableFormat(Model):
    """A form in which calls can be had."""

    data_format: str
    file_format: str
    expand_homozygotes: bool
    sep_phased: str
    sep_unphased: str
    unknown_string: str


class VariantSet(Model):
    """A panel."""

    variant_set_db_id: str
    variant_set_name: str
    study_db_id: str
    reference_set_db_id: str
    variant_count: int
    call_set_count: int
    available_formats: list[AvailableFormat]
    metadata_fields: list[MetadataField]
    additional_info: dict[str, str]


class CallSet(Model):
    """A sample of a panel, as the owner of calls."""

    call_set_db_id: str
    call_set_name: str
    sample_db_id: str
    study_db_id: str
    variant_set_db_ids: list[str]
    created: str
    additional_info: dict[str, str]


class Sample(Model):
    """A sample of a panel."""

    sample_db_id: str
    sample_name: str
    study_db_id: str
    additional_info: dict[str, str]


class Variant(Model):
    """A record of a panel."""

    variant_db_id: str
    variant_names: list[str]
    variant_set_db_id: list[str]
    variant_type: str
    reference_db_id: str | None = None
    reference_name: str
    reference_set_db_id: str
    reference_set_name: str
    reference_bases: str
    alternate_bases: list[str]
    start: int
    end: int
    filters_applied: bool
    filters_passed: bool | None = None
    filters_failed: list[str]
    created: str


class Call(Model):
    """A genotype."""

    call_set_db_id: str
    call_set_name: str
    variant_db_id: str
    variant_name: str
    variant_set_db_id: str
    variant_set_name: str
    genotype_value: str = Field(examples=["0|1"])
    additional_info: dict[str, str] = {}


class Calls(Rows[Call]):
    """Genotypes and how they are spelled."""

    expand_homozygotes: bool
    sep_phased: str
    sep_unphased: str
    unknown_string: str


class MatrixPage(Model):
    """Where a page of a matrix stands in one dimension."""

    dimension: Literal["CALLSETS", "VARIANTS"]
    page: int
    page_size: int
    total_count: int
    total_pages: int


class Matrix(Model):
    """Genotypes of a part of a panel: a row a variant, a column a call set."""

    data_matrix_name: str
    data_matrix_abbreviation: str
    data_type: str
    data_matrix: list[list[str]]


class AlleleMatrix(Model):
    """A part of a panel."""

    pagination: list[MatrixPage]
    variant_set_db_ids: list[str]
    variant_db_ids: list[str]
    call_set_db_ids: list[str]
    data_matrices: list[Matrix]
    expand_homozygotes: bool
    sep_phased: str
    sep_unphased: str
    unknown_string: str


class ReferenceSet(Model):
    """The assembly."""

    reference_set_db_id: str
    reference_set_name: str
    common_crop_name: str
    is_derived: bool


class Reference(Model):
    """A contig."""

    reference_db_id: str
    reference_name: str
    reference_set_db_id: str
    reference_set_name: str
    common_crop_name: str
    length: int
    is_derived: bool


class Bases(Model):
    """A stretch of a contig."""

    offset: int
    sequence: str
    next_page_token: str | None = None


class GenomeMap(Model):
    """The assembly as a physical map."""

    map_db_id: str
    map_name: str
    common_crop_name: str
    type: str
    unit: str
    linkage_group_count: int
    marker_count: int
    comments: str


class LinkageGroup(Model):
    """A contig of the map."""

    linkage_group_name: str
    marker_count: int
    max_position: int


class MarkerPosition(Model):
    """A variant on the map; position 1-based, bp."""

    map_db_id: str
    map_name: str
    linkage_group_name: str
    position: int
    variant_db_id: str
    variant_name: str


class CallsPage(Model):
    """BrAPI's envelope of calls."""

    context: list[str] = Field(default_factory=list, serialization_alias="@context")
    metadata: Metadata
    result: Calls
