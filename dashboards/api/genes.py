"""``/api/genes/{id}``: what the layers say of a gene, each with its source."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from dashboards.api.problems import Problem, documented
from dashboards.api.server import ServerHere, SnapshotNow
from dashboards.api.snapshots import Query
from data_registry.coordinates import one_based_from_start

router = APIRouter(tags=["genes and graph"])

_MOST = 100
"""Rows of a layer that are listed; all are counted."""

_LAYERS = {
    "aliases": "SELECT alias, kind, source_id FROM gene_aliases WHERE gene_id = ? ORDER BY ALL",
    "expression": "SELECT dataset, any_value(unit) AS unit, count(*) AS n_samples, "
    "avg(value) AS mean, max(value) AS highest, arg_max(sample_id, value) AS highest_in, "
    "source_id FROM expression WHERE gene_id = ? GROUP BY dataset, source_id ORDER BY ALL",
    "gene_signals": "SELECT dataset, assay, sample_id, value, unit, source_id "
    "FROM gene_signals WHERE gene_id = ? ORDER BY ALL",
    "interactions": "SELECT gene_b AS other, kind, 'out' AS direction, directed, score, "
    "sign, evidence, source_id FROM interactions WHERE gene_a = $1 UNION ALL "
    "SELECT gene_a, kind, 'in', directed, score, sign, evidence, source_id "
    "FROM interactions WHERE gene_b = $1 ORDER BY ALL",
    "terms": "SELECT g.term_id, any_value(t.name) AS name, any_value(t.namespace) AS "
    "namespace, g.evidence, g.source_id FROM gene_terms g LEFT JOIN terms t "
    "USING (term_id) WHERE g.gene_id = ? GROUP BY g.term_id, g.evidence, g.source_id "
    "ORDER BY ALL",
    "phenotypes": "SELECT phenotype_id, evidence, score, source_id FROM gene_phenotypes "
    "WHERE gene_id = ? ORDER BY ALL",
    "orthologs": "SELECT other_gene, other_species, kind, ka, ks, identity, source_id "
    "FROM orthologs WHERE gene_id = ? ORDER BY ALL",
    "texts": "SELECT title, text, source_id FROM texts WHERE subject_kind = 'gene' "
    "AND subject_id = ? ORDER BY ALL",
}


class TranscriptBody(BaseModel):
    """A transcript; positions 1-based inclusive."""

    transcript_id: str
    biotype: str | None
    start: int
    end: int
    is_canonical: bool | None
    cds_length: int | None
    cds_valid: bool | None = Field(
        description="Starts, stops and reads through; null when non-coding."
    )
    cds_problem: str | None


class LayerBody(BaseModel):
    """What one layer says."""

    n: int = Field(description="Rows there are; at most 100 are listed.")
    rows: list[dict[str, Any]]


class GeneBody(BaseModel):
    """A gene; positions 1-based inclusive."""

    gene_id: str = Field(examples=["DM1G00010"])
    symbol: str | None
    biotype: str | None = Field(examples=["protein_coding"])
    description: str | None
    contig: str = Field(examples=["chr1"])
    start: int = Field(examples=[10226])
    end: int = Field(examples=[11245])
    strand: str = Field(examples=["-"])
    transcripts: list[TranscriptBody]
    layers: dict[str, LayerBody] = Field(
        description="By layer; each row names its source in /api/workspace."
    )
    registry_digest: str
    graph_digest: str | None


@router.get(
    "/api/genes/{id}", summary="One gene",
    responses=documented("not-found", "invalid-request"),
)  # fmt: skip
def read_gene(
    id: Annotated[  # noqa: A002
        str,
        Path(
            description="Identifier of the annotation, or any registered other name.",
            examples=["DM1G00010"],
            max_length=200,
        ),
    ],
    server: ServerHere,
    snapshot: SnapshotNow,
) -> GeneBody:
    """Return a gene's place, transcripts and what each layer says of it."""
    with snapshot.query(server.settings.limits.time_s) as query:
        gene_id = _resolve(query, id)
        gene = query.rows(
            'SELECT gene_id, symbol, biotype, description, contig, start, "end", strand '
            "FROM genes WHERE gene_id = ? ORDER BY contig, start LIMIT 1",
            [gene_id],
        )[0]
        transcripts = query.rows(
            'SELECT transcript_id, biotype, start, "end", is_canonical, cds_length, '
            "cds_valid, cds_problem FROM transcripts WHERE gene_id = ? "
            "ORDER BY transcript_id",
            [gene_id],
        )
        layers = {
            name: _layer(query, sql, gene_id, snapshot.names_of_sources)
            for name, sql in _LAYERS.items()
        }
    for row in (gene, *transcripts):
        row["start"] = one_based_from_start(row["start"])
    return GeneBody(
        **gene, transcripts=[TranscriptBody(**row) for row in transcripts],
        layers=layers, registry_digest=snapshot.registry_digest,
        graph_digest=snapshot.graph_digest,
    )  # fmt: skip


def _resolve(query: Query, name: str) -> str:
    """Return the identifier of a gene by any of its names."""
    found = query.rows(
        "SELECT DISTINCT gene_id, rank FROM ("
        "SELECT gene_id, 0 AS rank FROM genes WHERE gene_id = $1 UNION ALL "
        "SELECT gene_id, 1 FROM gene_aliases WHERE alias = $1 UNION ALL "
        "SELECT gene_id, 1 FROM genes WHERE symbol = $1 UNION ALL "
        "SELECT gene_id, 1 FROM transcripts WHERE transcript_id = $1) "
        "WHERE gene_id IN (SELECT gene_id FROM genes) ORDER BY rank, gene_id",
        [name],
    )
    best = {row["gene_id"] for row in found if row["rank"] == found[0]["rank"]}
    if not best:
        raise Problem("not-found", f"there is no gene {name[:100]!r}")
    if len(best) > 1:
        shown = ", ".join(sorted(best)[:10])
        raise Problem(
            "not-found", f"{name[:100]!r} is a name of {len(best)} genes: {shown}"
        )
    return str(best.pop())


def _layer(query: Query, sql: str, gene_id: str, sources: dict[int, str]) -> LayerBody:
    rows = query.rows(sql, [gene_id])
    for row in rows:
        row["source"] = sources.get(row.pop("source_id"))
    return LayerBody(n=len(rows), rows=rows[:_MOST])
