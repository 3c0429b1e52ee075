"""The evidence card of one variant: each statement with its source and version."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from data_registry.coordinates import one_based_from_start
from data_registry.errors import InputError
from data_registry.store import Source, Store
from variant_effect.alleles import STATUS_MEANINGS, AlleleTable, read_alleles
from variant_effect.combined import BLOCKS
from variant_effect.preparation import Prepared
from variant_effect.run import Choices, Engine
from variant_effect.scorers.graph import GraphScorer
from variant_effect.scorers.prior import RESCALED, WEIGHTS, snvs

_WRITTEN = re.compile(r"^(?P<chrom>.+):(?P<pos>[\d,]+):(?P<ref>[^:]+):(?P<alt>.+)$")
_FLANK_BP = 20
_MOST_ROWS = 12


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of a card: what is said, and what it rests on."""

    section: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Card:
    """Everything known of one variant."""

    variant: str
    status: str
    prior_score: float | None
    statements: tuple[Statement, ...]


def read_variant(text: str) -> tuple[str, int, str, str]:
    """Read ``chr:pos:ref:alt`` (1-based).

    Raises
    ------
    InputError
        The text has another form.
    """
    found = _WRITTEN.match(text)
    if not found:
        raise InputError(f"{text!r} is no variant; write chrX:pos:ref:alt, 1-based")
    return (
        found["chrom"], int(found["pos"].replace(",", "")), found["ref"], found["alt"]
    )  # fmt: skip


def explain_variant(text: str, store: Store, prepared: Prepared) -> Card:
    """Gather the evidence on one variant.

    Parameters
    ----------
    text
        ``chr:pos:ref:alt``, 1-based, REF as in the genome.
    """
    chrom, pos, ref, alt = read_variant(text)
    records = pa.table({
        "CHROM": pa.array([chrom]), "POS": pa.array([pos], pa.int64()),
        "REF": pa.array([ref]), "ALT": pa.array([alt]), "INFO": pa.array([b"."]),
    })  # fmt: skip
    engine = Engine.open(prepared, Choices(joint=False))
    with engine.connection:
        names = prepared.contig_names.resolve([chrom])
        alleles = read_alleles(records, engine.material.genome, names)
        scored = engine.score(alleles)
        row = scored.to_pylist()[0]
        statements = (
            *_statements(row, alleles, engine, store),
            *_graph(scored, alleles, engine),
        )
    return Card(text, row["status"], row["prior_score"], statements)


def _statements(
    row: dict[str, Any], alleles: AlleleTable, engine: Engine, store: Store
) -> Iterator[Statement]:
    sources = store.sources()
    cite = _Citations(sources)
    genome = cite.of_kind("genome")
    status = row["status"]
    if status != "scored":
        yield Statement("status", f"{status}: {STATUS_MEANINGS[status]}", "cisgraph")
        return
    contig = alleles.contigs[int(alleles.contig[0])]
    start, end = int(alleles.start[0]), int(alleles.end[0])
    bases = engine.material.genome
    length = bases.lengths[contig]
    left = bases.fetch(contig, max(start - _FLANK_BP, 0), start)
    inside = bases.fetch(contig, start, min(end, start + 50))
    right = bases.fetch(contig, min(end, length), min(end + _FLANK_BP, length))
    yield Statement("sequence", f"REF  {left}[{inside or '-'}]{right}", genome)
    if alleles.small[0]:
        yield Statement(
            "sequence", f"ALT  {left}[{alleles.min_alt[0] or '-'}]{right}", genome
        )
        if (row["norm_pos"], row["norm_ref"]) != (row["pos"], row["ref"].upper()):
            yield Statement(
                "sequence",
                f"left-aligned: {contig}:{row['norm_pos']}:{row['norm_ref']}:{row['norm_alt']}",
                genome,
            )
    yield from _consequence(row, cite)
    yield from _sequence_scores(row, genome, cite)
    yield from _regulation(row, cite, engine, (contig, start, max(end, start + 1)))
    yield from _populations(row, engine.connection, cite, alleles)
    if row["gene"]:
        yield from _gene(row["gene"], engine.connection, cite)
    yield from _prior(row)


class _Citations:
    """Names sources as ``name (kind, version, sha256)``."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def of(self, source_id: int) -> str:
        """Cite the source of a row."""
        for source in self._sources:
            if source.source_id == source_id:
                return self._text(source)
        return f"source {source_id}"

    def of_kind(self, *kinds: str) -> str:
        """Cite all current sources of these kinds."""
        found = [self._text(s) for s in self._sources if s.kind in kinds]
        return "; ".join(found[:4]) + ("; …" if len(found) > 4 else "") or "none"

    @staticmethod
    def _text(source: Source) -> str:
        return f"{source.name} v{source.version} ({source.kind}, sha256 {source.sha256[:12]})"


def _consequence(row: dict[str, Any], cite: _Citations) -> Iterator[Statement]:
    annotation = cite.of_kind("annotation")
    where = f" of {row['gene']}" if row["gene"] else ""
    symbol = (
        f" ({row['symbol']})" if row["symbol"] and row["symbol"] != row["gene"] else ""
    )
    distance = f", {row['distance']} bp away" if row["distance"] else ""
    yield Statement(
        "consequence",
        f"{row['consequence']} [{row['impact']}]{where}{symbol}{distance}",
        f"{annotation}; bcftools csq",
    )
    for label, name in (("coding change", "hgvs_c"), ("protein change", "hgvs_p"),
                        ("codons", "codons"), ("other transcripts", "other_consequences")):  # fmt: skip
        if row[name]:
            yield Statement("consequence", f"{label}: {row[name]}", annotation)


def _sequence_scores(
    row: dict[str, Any], genome: str, cite: _Citations
) -> Iterator[Statement]:
    if row["markov_llr"] is not None:
        text = f"log-likelihood ratio ALT over REF {row['markov_llr']:+.3f} nats"
        if row["markov_percentile"] is not None:
            text += (
                f"; more unusual than {row['markov_percentile']:.1f} % of random changes "
                f"(compared within: {row['markov_compared']})"
            )
        yield Statement("sequence model", text, f"Markov model of {genome}")
    if row["motif_id"]:
        yield Statement(
            "motif",
            f"{row['motif_change']} of {row['motif_tf']} ({row['motif_id']}): "
            f"{_number(row['motif_ref_score'])} bits (p {_number(row['motif_ref_p'])}) on REF, "
            f"{_number(row['motif_alt_score'])} bits (p {_number(row['motif_alt_p'])}) on ALT; "
            f"{row['motif_n']} motifs gained or lost in all",
            cite.of_kind("motifs"),
        )


def _regulation(
    row: dict[str, Any], cite: _Citations, engine: Engine, span: tuple[str, int, int]
) -> Iterator[Statement]:
    db = engine.connection
    for source_id, kind, name, state, sample, start, end in db.execute(
        'SELECT source_id, kind, name, state, sample, start, "end" FROM intervals '
        'WHERE contig = ? AND start < ? AND "end" > ? ORDER BY ALL LIMIT ?',
        [span[0], span[2], span[1], _MOST_ROWS],
    ).fetchall():
        what = " ".join(str(x) for x in (kind, state, name) if x)
        where = f"{span[0]}:{one_based_from_start(start)}-{end}"
        yield Statement(
            "element", f"in {what} {where}" + (f" [{sample}]" if sample else ""),
            cite.of(source_id),
        )  # fmt: skip
    bound = db.execute(
        "SELECT source_id, string_agg(DISTINCT tf, ', ' ORDER BY tf), count(DISTINCT tf) "
        'FROM tf_sites WHERE contig = ? AND start < ? AND "end" > ? GROUP BY source_id '
        "ORDER BY source_id",
        [span[0], span[2], span[1]],
    ).fetchall()
    for source_id, names, n in bound:
        yield Statement(
            "binding", f"{n} factors bind here: {names[:300]}", cite.of(source_id)
        )
    if row["target_genes"]:
        graph = engine.material.graph
        yield Statement(
            "target genes", str(row["target_genes"]),
            f"graph {graph.name[:16] if graph else ''}",
        )  # fmt: skip
    if row["contact_bin"]:
        yield Statement(
            "contacts", f"in contact bin {row['contact_bin']}", cite.of_kind("contacts")
        )
    if row["conservation"] is not None:
        yield Statement(
            "conservation", f"{row['conservation']:.3g} on {row['conservation_track']}",
            cite.of_kind("track"),
        )  # fmt: skip


def _populations(
    row: dict[str, Any],
    db: duckdb.DuckDBPyConnection,
    cite: _Citations,
    alleles: AlleleTable,
) -> Iterator[Statement]:
    key = [
        alleles.contigs[int(alleles.contig[0])], int(alleles.start[0]),
        alleles.min_ref[0], alleles.min_alt[0],
    ]  # fmt: skip
    for source_id, panel, group, ac, an in db.execute(
        "SELECT source_id, panel, group_name, ac, an FROM panel_frequencies "
        "WHERE contig = ? AND start = ? AND ref = ? AND alt = ? ORDER BY ALL", key,
    ).fetchall():  # fmt: skip
        share = f" = {ac / an:.3f}" if ac is not None and an else ""
        who = f"{panel}, group {group}" if group else panel
        yield Statement("frequency", f"{ac}/{an}{share} in {who}", cite.of(source_id))
    if row["gwas"]:
        yield Statement(
            "association",
            f"{row['gwas']} (a block of linked variants, not a cause; not in the prior)",
            cite.of_kind("gwas"),
        )
    if row["registered_scores"]:
        yield Statement(
            "registered scores",
            str(row["registered_scores"]),
            cite.of_kind("variant_scores"),
        )


def _gene(
    gene: str, db: duckdb.DuckDBPyConnection, cite: _Citations
) -> Iterator[Statement]:
    found = db.execute(
        "SELECT source_id, symbol, biotype, description FROM genes WHERE gene_id = ? LIMIT 1",
        [gene],
    ).fetchone()
    if found:
        what = "; ".join(str(x) for x in found[1:] if x)
        yield Statement("gene", f"{gene}: {what}", cite.of(found[0]))
    queries = {
        "expression": "SELECT source_id, dataset || ': mean ' || printf('%.3g', avg(value)) "
        "|| ' ' || any_value(unit) || ', highest ' || printf('%.3g', max(value)) || ' in ' || "
        "arg_max(sample_id, value) || ', ' || count(*) || ' samples' FROM expression "
        "WHERE gene_id = ? GROUP BY source_id, dataset ORDER BY ALL LIMIT 6",
        "signal over the gene": "SELECT source_id, assay || ' (' || dataset || '): ' || "
        "string_agg(sample_id || ' ' || printf('%.3g', value), ', ' ORDER BY sample_id)[:160] "
        "FROM gene_signals WHERE gene_id = ? GROUP BY source_id, dataset, assay ORDER BY ALL "
        "LIMIT 4",
        "divergence": "SELECT source_id, 'Ka/Ks ' || printf('%.3f', median(ka / ks)) || ', ' "
        "|| count(*) || ' orthologs' FROM orthologs WHERE gene_id = ? AND ks > 0 "
        "GROUP BY source_id ORDER BY ALL",
        "orthologs": "SELECT source_id, count(*) || ' orthologs, e.g. ' || "
        "string_agg(DISTINCT other_gene, ', ' ORDER BY other_gene)[:120] FROM orthologs "
        "WHERE gene_id = ? AND ks IS NULL GROUP BY source_id ORDER BY ALL",
        "terms": "SELECT g.source_id, count(DISTINCT g.term_id) || ' terms, e.g. ' || "
        "string_agg(DISTINCT coalesce(nullif(t.name, ''), g.term_id), ', ')[:200] "
        "FROM gene_terms g LEFT JOIN (SELECT term_id, any_value(name) AS name FROM terms "
        "GROUP BY term_id) t USING (term_id) WHERE g.gene_id = ? "
        "GROUP BY g.source_id ORDER BY ALL",
        "interactions": "SELECT source_id, count(*) || ' ' || kind || ' interactions' FROM "
        "(SELECT source_id, kind, gene_a AS gene FROM interactions UNION ALL SELECT source_id, "
        "kind, gene_b FROM interactions) WHERE gene = ? GROUP BY source_id, kind ORDER BY ALL",
        "phenotype": "SELECT source_id, phenotype_id || ' (' || coalesce(evidence, '') || ')' "
        "FROM gene_phenotypes WHERE gene_id = ? ORDER BY ALL LIMIT 8",
        "text": "SELECT source_id, text[:300] FROM texts WHERE subject_kind = 'gene' AND "
        "subject_id = ? ORDER BY ALL LIMIT 3",
    }
    for section, query in queries.items():
        for source_id, text in db.execute(query, [gene]).fetchall():
            if text:
                yield Statement(section, str(text), cite.of(source_id))


def _prior(row: dict[str, Any]) -> Iterator[Statement]:
    if row["prior_score"] is None:
        return
    score = f"{row['prior_score']:.3f}"
    if row["prior_contributions"]:
        yield Statement(
            "prior score",
            f"{score}: probability that such a change is simulated, not one that the "
            "panel carries, at equal numbers",
            f"models/prior ({row['prior_source']}), docs/prior.md",
        )
        parts = [part.split("=") for part in row["prior_contributions"].split(";")]
        for block, log_odds in sorted(parts, key=lambda part: -abs(float(part[1]))):
            yield Statement(
                "prior score",
                f"{block} {float(log_odds):+.3f} log-odds ({BLOCKS[block]})",
                "models/prior; 0 is the average SNV of the fit",
            )
        return
    terms = ", ".join(
        f"{name.removeprefix('prior_')} {row[name]:.3f}"
        for name in ("prior_consequence", "prior_motif", "prior_conservation", "prior_markov",
                     "prior_rarity")
        if row[name] is not None
    )  # fmt: skip
    scale = (
        "; rarity left out, brought to the fitted model's scale"
        if row["prior_source"] == RESCALED
        else ""
    )
    yield Statement(
        "prior score",
        f"{score} of 1 ({terms}{scale}); a transparent ordering, not a probability",
        f"docs/scorers.md, {len(WEIGHTS)} consequence weights set by hand",
    )


def _graph(
    scored: pa.Table, alleles: AlleleTable, engine: Engine
) -> Iterator[Statement]:
    """Say what the graph model finds, and its strongest paths by taking edges away."""
    scorer = next(s for s in engine.scorers if isinstance(s, GraphScorer))
    rows = np.flatnonzero(snvs(alleles))
    if scorer.model is None or not len(rows):
        return
    cited = scorer.card()
    source = f"graph model {cited['name']} {cited['digest']}, docs/graph-model.md"
    row = scored.to_pylist()[0]
    if row["graph_effect"] is None:
        yield Statement(
            "graph",
            "no answer: the variant is unlike those the model learned from",
            source,
        )
        return
    size = row["graph_effect_size"]
    signed = "" if size is None else f" (signed effect {size:+.3g})"
    yield Statement(
        "graph",
        f"{row['graph_effect']:.3f}, most likely on {row['graph_gene'] or 'no gene'}"
        f"{signed}; "
        f"confidence {row['graph_confidence']:.2f}; not a part of the prior score",
        source,
    )
    columns = {name: scored[name].combine_chunks() for name in scored.column_names}
    consequences = engine.material.caller.call(alleles)
    opened = scorer.model.get()
    table = scorer.table(alleles, rows, consequences, columns)
    networks = len(opened.ensemble.networks)
    for path in scorer.model.paths(table):
        steps = " → ".join(
            f"{step.node.type} {step.name} (not seen by the network)"
            if step.contribution is None
            else f"{step.node.type} {step.name} ({step.contribution:+.3f} ± "
            f"{step.spread:.3f} log-odds, {step.agree} of {networks} networks agree)"
            for step in path.steps
        )
        yield Statement(
            "graph path", f"variant → {steps}", f"{source}; edge taken away"
        )


def _number(value: float | None) -> str:
    return "no site" if value is None else f"{value:.3g}"


def card_as_json(card: Card) -> dict[str, Any]:
    """Return the card as plain values."""
    return {
        "variant": card.variant,
        "status": card.status,
        "prior_score": card.prior_score,
        "evidence": [
            {"section": s.section, "text": s.text, "source": s.source}
            for s in card.statements
        ],
    }
