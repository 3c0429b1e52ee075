"""How each edge type is made from the registry's tables and the types before it."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_registry.errors import UnknownContigError
from graph_builder.coexpression import correlate_genes
from graph_builder.intervals import (
    Ints,
    Spans,
    are_inside,
    merge_overlapping,
    overlap_pairs,
)
from graph_builder.links import EVIDENCE, link_elements
from graph_builder.motif_scan import MotifSet
from graph_builder.nodes import put_associations
from graph_builder.schema import EDGE_TYPES
from graph_builder.steps import Context, GenomeReader, Step

Floats = NDArray[np.float64]


def _nullable(values: Floats) -> pa.Array:
    """Return floats as an Arrow array in which NaN is missing."""
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def _texts(values: NDArray[Any]) -> pa.Array:
    return pa.array(values, pa.string())


def _add_contact(ctx: Context, edges: pa.Table) -> pa.Table:
    """Add ``contact_oe`` of the bins that hold the two genes' starts."""
    found = ctx.contact_map()
    if found is None:
        return edges.append_column("contact_oe", pa.nulls(edges.num_rows, pa.float64()))
    genes = ctx.arrays("SELECT contig, tss FROM on_gene ORDER BY id")
    bins = found.bins_at(genes["contig"], genes["tss"].astype(np.int64))
    oe, _ = found.look_up(
        bins[edges["source"].to_numpy()], bins[edges["target"].to_numpy()]
    )
    return edges.append_column("contact_oe", _nullable(oe))


def _count_unknown_genes(ctx: Context, kind: str) -> None:
    ctx.count_left_out(
        "gene_not_in_annotation",
        ctx.number(
            """
            SELECT count(*) FROM in_interactions WHERE kind = $kind AND (
                gene_a IS NULL OR gene_b IS NULL
                OR gene_a NOT IN (SELECT identifier FROM on_gene)
                OR gene_b NOT IN (SELECT identifier FROM on_gene))
            """,
            kind=kind,
        ),
    )


_EVIDENCE = """
    max(i.score) FILTER (isfinite(i.score)) AS score,
    greatest(1, count(DISTINCT i.evidence)) AS n_evidence,
    string_agg(DISTINCT nullif(i.evidence, ''), ';' ORDER BY nullif(i.evidence, ''))
        AS evidence
"""
_SIGN = """
    CASE WHEN min(nullif(i.sign, 0)) = max(nullif(i.sign, 0))
        THEN min(nullif(i.sign, 0))
        WHEN count(nullif(i.sign, 0)) > 0 THEN 0 END AS sign
"""


def _join_genes(kind: str) -> Step:
    def make(ctx: Context) -> pa.Table:
        _count_unknown_genes(ctx, kind)
        return _add_contact(
            ctx,
            ctx.table(
                f"""
                SELECT least(a.id, b.id) AS source, greatest(a.id, b.id) AS target,
                    {_EVIDENCE}
                FROM in_interactions i
                JOIN on_gene a ON a.identifier = i.gene_a
                JOIN on_gene b ON b.identifier = i.gene_b
                WHERE i.kind = $kind GROUP BY 1, 2
                """,  # noqa: S608
                kind=kind,
            ),
        )

    return make


def make_regulation(ctx: Context) -> pa.Table:
    """Regulator gene to target gene; an undirected row gives both directions."""
    _count_unknown_genes(ctx, "regulatory")
    return _add_contact(
        ctx,
        ctx.table(f"""
            WITH directions AS (
                SELECT gene_a, gene_b, score, sign, evidence FROM in_interactions
                WHERE kind = 'regulatory'
                UNION ALL
                SELECT gene_b, gene_a, score, sign, evidence FROM in_interactions
                WHERE kind = 'regulatory' AND NOT coalesce(directed, false)
            )
            SELECT a.id AS source, b.id AS target, {_SIGN}, {_EVIDENCE}
            FROM directions i
            JOIN on_gene a ON a.identifier = i.gene_a
            JOIN on_gene b ON b.identifier = i.gene_b
            GROUP BY 1, 2
        """),  # noqa: S608
    )


REGISTERED = "(registered)"
"""Data set of co-expression edges that were registered as such."""


def make_coexpression(ctx: Context) -> pa.Table:
    """Pairs computed from every matrix, and registered pairs."""
    _count_unknown_genes(ctx, "coexpression")
    parts = [
        ctx.table(
            """
            SELECT least(a.id, b.id) AS source, greatest(a.id, b.id) AS target,
                $name AS dataset, NULL::DOUBLE AS correlation,
                NULL::DOUBLE AS mutual_rank, NULL::BIGINT AS n_samples,
                max(i.score) FILTER (isfinite(i.score)) AS score
            FROM in_interactions i
            JOIN on_gene a ON a.identifier = i.gene_a
            JOIN on_gene b ON b.identifier = i.gene_b
            WHERE i.kind = 'coexpression' GROUP BY 1, 2
            """,
            name=REGISTERED,
        )
    ]
    datasets = ctx.table("""
        SELECT dataset, count(DISTINCT sample_id) AS n_samples,
            min(lower(coalesce(unit, ''))) AS unit, min(value) AS lowest
        FROM in_expression GROUP BY dataset ORDER BY dataset
    """).to_pylist()
    for dataset in datasets:
        if dataset["n_samples"] < ctx.parameters.coexpression_min_samples:
            ctx.count_left_out("dataset_with_too_few_samples", 1)
            ctx.notes.append(
                f"{dataset['dataset']}: {dataset['n_samples']} samples, "
                f"{ctx.parameters.coexpression_min_samples} are needed"
            )
            continue
        is_linear = not dataset["unit"].startswith(("log", "ln")) and (
            dataset["lowest"] is None or dataset["lowest"] >= 0
        )
        parts.append(_correlate_dataset(ctx, dataset["dataset"], is_linear=is_linear))
    return _add_contact(
        ctx, pa.concat_tables(part.cast(parts[0].schema) for part in parts)
    )


def _correlate_dataset(ctx: Context, name: str, *, is_linear: bool) -> pa.Table:
    chosen = ctx.arrays(
        """
        WITH each AS (
            SELECT DISTINCT sample_id FROM in_expression WHERE dataset = $name
        ), drawn AS (
            SELECT sample_id FROM each
            QUALIFY row_number() OVER (ORDER BY md5(sample_id), sample_id) <= $most
        ), numbered AS (
            SELECT sample_id, row_number() OVER (ORDER BY sample_id) - 1 AS sample
            FROM drawn
        )
        -- a gene given twice (probes, transcripts) counts with its highest value
        SELECT g.id AS gene, n.sample, max(e.value) AS value
        FROM in_expression e
        JOIN numbered n USING (sample_id)
        JOIN on_gene g ON g.identifier = e.gene_id
        WHERE e.dataset = $name AND isfinite(e.value) GROUP BY 1, 2
        """,
        name=name,
        most=ctx.parameters.coexpression_max_samples,
    )
    n_samples = ctx.number(
        "SELECT least(count(DISTINCT sample_id), $most) FROM in_expression "
        "WHERE dataset = $name",
        name=name,
        most=ctx.parameters.coexpression_max_samples,
    )
    genes, row = np.unique(chosen["gene"], return_inverse=True)
    matrix = np.zeros((genes.size, n_samples))
    matrix[row, chosen["sample"]] = (
        np.log1p(chosen["value"]) if is_linear else chosen["value"]
    )
    expressed = (matrix != 0).mean(axis=1) >= ctx.parameters.coexpression_min_expressed
    ctx.count_left_out("gene_seldom_expressed", int((~expressed).sum()))
    genes = genes[expressed]
    pairs = correlate_genes(
        matrix[expressed],
        method=ctx.parameters.coexpression_method,
        min_abs_r=ctx.parameters.coexpression_min_abs_r,
        top_k=ctx.parameters.coexpression_top_k,
    )
    ctx.count_left_out("gene_without_variation", pairs.n_constant)
    n = pairs.first.size
    return pa.table(
        {
            "source": genes[pairs.first],
            "target": genes[pairs.second],
            "dataset": pa.array([name] * n, pa.string()),
            "correlation": pairs.correlation,
            "mutual_rank": pairs.mutual_rank,
            "n_samples": np.full(n, n_samples),
            "score": np.abs(pairs.correlation),
        }
    )


def make_links(ctx: Context) -> pa.Table:
    """Elements of genes, by activity and contact."""
    genes = ctx.arrays("SELECT contig, tss FROM on_gene ORDER BY id")
    elements = ctx.arrays(
        'SELECT contig, start, "end", coalesce(activity, -1) AS activity '
        "FROM on_cre ORDER BY id"
    )
    start = genes["tss"].astype(np.int64)
    has_signal = bool((elements["activity"] >= 0).any())
    links = link_elements(
        Spans(ctx.number_contigs(genes["contig"]), start, start + 1),
        ctx.spans(elements),
        elements["activity"] if has_signal else None,
        ctx.contact_map(),
        genes["contig"],
        window_bp=ctx.parameters.link_window_bp,
        min_score=ctx.parameters.link_min_score,
        decay_exponent=ctx.parameters.decay_exponent,
        decay_floor_bp=ctx.parameters.decay_floor_bp,
    )
    ctx.count_left_out("link_below_min_score", links.n_below)
    activity = elements["activity"][links.element]
    return pa.table(
        {
            "source": links.gene,
            "target": links.element,
            "distance_bp": links.distance_bp,
            "score": links.score,
            "activity": pa.array(activity, pa.float64(), mask=activity < 0),
            "contact": links.contact,
            "contact_oe": _nullable(links.contact_oe),
            "evidence": _texts(np.array(EVIDENCE, object)[links.evidence]),
            "nearest_gene": links.is_nearest,
        }
    )


_TF_NAMES = "(SELECT id, unnest(string_split(names, chr(9))) AS name FROM on_tf)"


def make_binding(ctx: Context) -> pa.Table:
    """Measured sites that overlap elements."""
    sites = ctx.arrays(f"""
        SELECT t.id AS tf, s.contig, s.start, s."end",
            coalesce(s.signal, 'nan'::DOUBLE) AS signal
        FROM in_tf_sites s JOIN {_TF_NAMES} t ON t.name = s.tf
        WHERE s."end" > s.start
    """)  # noqa: S608
    elements = ctx.arrays('SELECT id, contig, start, "end" FROM on_cre ORDER BY id')
    site, element = overlap_pairs(ctx.spans(sites), ctx.spans(elements))
    ctx.count_left_out(
        "site_outside_elements", int(sites["tf"].size - np.unique(site).size)
    )
    shared = np.minimum(sites["end"][site], elements["end"][element]) - np.maximum(
        sites["start"][site], elements["start"][element]
    )
    ctx.put(
        "pairs",
        {
            "tf": sites["tf"][site],
            "cre": element,
            "signal": _nullable(sites["signal"][site]),
            "shared": shared,
        },
    )
    return ctx.table("""
        SELECT tf AS source, cre AS target, max(signal) AS signal, count(*) AS n_sites,
            max(shared) AS overlap_bp
        FROM pairs GROUP BY tf, cre
    """)


def _read_motifs(ctx: Context) -> MotifSet | None:
    table = ctx.db.sql(
        "SELECT motif_id, tf, n_sites, matrix FROM in_motifs ORDER BY ALL"
    ).df()
    if table.empty:
        return None
    if ctx.genome is None:
        ctx.notes.append("no genome: motifs were not scanned")
        return None
    return MotifSet.from_table(table)


def make_motif_hits(ctx: Context) -> pa.Table:
    """Best hit of every motif in every element.

    Overlapping elements are joined, so each base is scanned once.
    """
    motifs = _read_motifs(ctx)
    elements = ctx.arrays('SELECT id, contig, start, "end" FROM on_cre ORDER BY id')
    genome = ctx.genome
    if motifs is None or genome is None or not elements["id"].size:
        return _empty_edges("tf__motif_in__cre")
    spans = ctx.spans(elements)
    merged, into = merge_overlapping(spans)
    contig = np.empty(len(merged), object)
    contig[into] = elements["contig"]
    n_known = _count_bases(ctx, genome, contig, merged)
    taken = _draw_regions(ctx, contig, merged, n_known)
    ctx.count_left_out("element_without_known_bases", int((n_known[into] == 0).sum()))
    ctx.count_left_out(
        "element_beyond_scan_limit", int((~taken & (n_known > 0))[into].sum())
    )

    columns: dict[str, list[NDArray[Any]]] = {
        name: [] for name in ("contig", "start", "motif", "strand", "score", "p")
    }
    for name in sorted(set(contig[taken].tolist())):
        bases = genome.contig(name)
        of = np.flatnonzero(taken & (contig == name))
        low = merged.start[of]
        high = np.minimum(merged.end[of], bases.size)
        of, low, high = of[high > low], low[high > low], high[high > low]
        # regions stand apart by an N, which no motif matches
        pieces = np.concatenate([low[:0], high - low + 1])
        offsets = np.cumsum(pieces) - pieces
        joined = np.full(int(pieces.sum()), ord("N"), np.uint8)
        for at, a, b in zip(offsets, low, high, strict=True):
            joined[at : at + b - a] = bases[a:b]
        hits = motifs.scan(joined, p=ctx.parameters.motif_max_p)
        piece = np.searchsorted(offsets, hits.start, side="right") - 1
        columns["contig"].append(merged.contig[of][piece])
        columns["start"].append(hits.start - offsets[piece] + low[piece])
        columns["motif"].append(hits.motif.astype(np.int64))
        columns["strand"].append(hits.strand.astype(np.int64))
        columns["score"].append(hits.score)
        columns["p"].append(hits.p)
    if not columns["start"]:
        return _empty_edges("tf__motif_in__cre")
    hit = {name: np.concatenate(parts) for name, parts in columns.items()}
    end = hit["start"] + motifs.widths[hit["motif"]]
    of_hit, element = overlap_pairs(Spans(hit["contig"], hit["start"], end), spans)
    whole = (hit["start"][of_hit] >= spans.start[element]) & (
        end[of_hit] <= spans.end[element]
    )
    of_hit, element = of_hit[whole], element[whole]

    motif = hit["motif"][of_hit]
    order = np.lexsort(
        (
            -hit["strand"][of_hit],
            hit["start"][of_hit],
            -hit["score"][of_hit],
            motif,
            element,
        )
    )
    of_hit, element, motif = of_hit[order], element[order], motif[order]
    group = element * len(motifs) + motif
    first = np.flatnonzero(np.append(True, group[1:] != group[:-1])[: group.size])
    n_hits = np.diff(np.append(first, group.size))
    best = of_hit[first]
    ctx.put(
        "hits",
        {
            "motif": motif[first],
            "cre": element[first],
            "score": hit["score"][best],
            "p_value": hit["p"][best],
            "hit_start": hit["start"][best],
            "hit_end": end[best],
            "is_forward": hit["strand"][best] > 0,
            "n_hits": n_hits,
        },
    )
    ctx.put(
        "motif_names",
        {
            "motif": np.arange(len(motifs)),
            "motif_id": pa.array(motifs.ids, pa.string()),
            "name": pa.array(motifs.tfs, pa.string()),
        },
    )
    return ctx.table(f"""
        SELECT t.id AS source, h.cre AS target, m.motif_id, h.score, h.p_value,
            h.hit_start, h.hit_end,
            CASE WHEN h.is_forward THEN '+' ELSE '-' END AS hit_strand, h.n_hits
        FROM hits h JOIN motif_names m USING (motif) JOIN {_TF_NAMES} t USING (name)
    """)  # noqa: S608


_IS_BASE = np.zeros(256, bool)
_IS_BASE[np.frombuffer(b"ACGTacgt", np.uint8)] = True


def _count_bases(
    ctx: Context, genome: GenomeReader, contig: NDArray[Any], regions: Spans
) -> Ints:
    """Return the bases of each region that are known, 0 without sequence."""
    known = np.zeros(len(regions), np.int64)
    for name in sorted(set(contig.tolist())):
        of = np.flatnonzero(contig == name)
        try:
            bases = genome.contig(name)
        except UnknownContigError:
            ctx.count_left_out("region_on_contig_without_sequence", of.size)
            continue
        for k in of:
            piece = bases[regions.start[k] : regions.end[k]]
            known[k] = np.count_nonzero(_IS_BASE[piece])
    return known


def _draw_regions(
    ctx: Context, contig: NDArray[Any], regions: Spans, sizes: Ints
) -> NDArray[np.bool_]:
    """Take whole regions, in an even draw, up to the limit on scanned bases."""
    most = ctx.parameters.motif_max_bp
    if sizes.sum() <= most:
        return sizes > 0
    ctx.put(
        "regions",
        {
            "key": np.arange(len(regions)),
            "contig": _texts(contig),
            "start": regions.start,
            "end": regions.end,
        },
    )
    order = ctx.arrays("""
        SELECT key FROM regions
        ORDER BY md5(region_text(contig, start, "end")), contig, start
    """)["key"]
    taken = np.zeros(len(regions), bool)
    taken[order[np.cumsum(sizes[order]) <= most]] = True
    taken &= sizes > 0
    ctx.notes.append(
        f"motifs were scanned in {int(sizes[taken].sum())} of {int(sizes.sum())} known "
        "bases of the elements, an even draw; motif_max_bp sets the limit"
    )
    return taken


def _empty_edges(name: str) -> pa.Table:
    kinds = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
    }
    columns = {"source": pa.array([], pa.int64()), "target": pa.array([], pa.int64())}
    for attribute in EDGE_TYPES[name].attributes:
        columns[attribute.name] = pa.array([], kinds[attribute.type])
    return pa.table(columns)


def make_encoding(ctx: Context) -> pa.Table:
    """Factors to the genes that encode them."""
    return ctx.table("""
        WITH parts AS (
            SELECT id, unnest(string_split(genes, chr(9))) AS gene FROM on_tf
            WHERE genes IS NOT NULL
        )
        SELECT DISTINCT p.id AS source, g.id AS target
        FROM parts p JOIN on_gene g ON g.identifier = p.gene
    """)


def make_tf_regulation(ctx: Context) -> pa.Table:
    """Directed regulatory interactions, from the factor of the regulator gene."""
    ctx.count_left_out(
        "target_not_in_annotation",
        ctx.number("""
            SELECT count(*) FROM in_interactions
            WHERE kind = 'regulatory' AND directed
                AND (gene_b IS NULL OR gene_b NOT IN (SELECT identifier FROM on_gene))
        """),
    )
    return ctx.table(f"""
        SELECT t.id AS source, g.id AS target, {_SIGN}, {_EVIDENCE}
        FROM in_interactions i
        JOIN {_TF_NAMES} t ON t.name = i.gene_a
        JOIN on_gene g ON g.identifier = i.gene_b
        WHERE i.kind = 'regulatory' AND i.directed GROUP BY 1, 2
    """)  # noqa: S608


_LOCATIONS = (
    "cds", "utr5", "utr3", "exon", "intron", "upstream", "downstream", "distal",
)  # fmt: skip


def make_variant_genes(ctx: Context) -> pa.Table:
    """Genes around each variant and genes whose elements hold it."""
    variants = ctx.arrays('SELECT contig, start, "end" FROM on_variant ORDER BY id')
    genes = ctx.arrays(
        "SELECT contig, start, \"end\", tss, coalesce(strand, '.') AS strand "
        "FROM on_gene ORDER BY id"
    )
    places, bodies = ctx.spans(variants), ctx.spans(genes)
    reach = ctx.parameters.near_gene_bp
    wide = Spans(bodies.contig, np.maximum(bodies.start - reach, 0), bodies.end + reach)
    variant, gene = overlap_pairs(places, wide)
    before = places.end[variant] <= bodies.start[gene]
    after = places.start[variant] >= bodies.end[gene]
    is_reverse = genes["strand"][gene] == "-"
    location = np.full(variant.size, _LOCATIONS.index("intron"))
    location[np.where(is_reverse, after, before)] = _LOCATIONS.index("upstream")
    location[np.where(is_reverse, before, after)] = _LOCATIONS.index("downstream")
    _locate_in_parts(ctx, places, len(bodies), variant, gene, location)
    ctx.put("near", {"variant": variant, "gene": gene, "location": location})

    elements = ctx.arrays('SELECT contig, start, "end" FROM on_cre ORDER BY id')
    held, element = overlap_pairs(places, ctx.spans(elements))
    ctx.put("held", {"variant": held, "cre": element})
    pairs = ctx.table("""
        WITH linked AS (
            SELECT h.variant, l.source AS gene, max(l.score) AS regulatory_potential
            FROM held h JOIN on_gene__linked_to__cre l ON l.target = h.cre
            GROUP BY h.variant, l.source
        ), stated AS (
            SELECT allele_text(contig, start, upper(ref), upper(alt)) AS identifier,
                gene_id, consequence, impact
            FROM in_variant_consequences
            QUALIFY row_number() OVER (
                PARTITION BY identifier, gene_id
                ORDER BY coalesce(list_position(
                    ['HIGH', 'MODERATE', 'LOW', 'MODIFIER'], impact), 5),
                    consequence) = 1
        ), pairs AS (
            SELECT coalesce(n.variant, l.variant) AS variant,
                coalesce(n.gene, l.gene) AS gene,
                coalesce(n.location, 7) AS location, l.regulatory_potential
            FROM near n FULL JOIN linked l ON n.variant = l.variant AND n.gene = l.gene
        )
        SELECT p.variant AS source, p.gene AS target, p.location, s.consequence,
            s.impact, p.regulatory_potential
        FROM pairs p JOIN on_variant v ON v.id = p.variant
        JOIN on_gene g ON g.id = p.gene
        LEFT JOIN stated s ON s.identifier = v.identifier AND s.gene_id = g.identifier
    """)
    source = pairs["source"].to_numpy()
    target = pairs["target"].to_numpy()
    start, tss = places.start[source], genes["tss"][target]
    distance = np.maximum(np.maximum(start - tss, tss - places.end[source] + 1), 0)
    found = ctx.contact_map()
    if found is None:
        contact: pa.Array = pa.nulls(source.size, pa.float64())
    else:
        oe, _ = found.look_up(
            found.bins_at(variants["contig"], places.start)[source],
            found.bins_at(genes["contig"], genes["tss"].astype(np.int64))[target],
        )
        contact = _nullable(oe)
    codes = pairs["location"].to_numpy()
    return pairs.drop_columns(["location"]).append_column(
        "location", _texts(np.array(_LOCATIONS, object)[codes])
    ).append_column("distance_bp", pa.array(distance, pa.int64())).append_column(
        "contact_oe", contact
    )  # fmt: skip


def _locate_in_parts(
    ctx: Context, places: Spans, n_genes: int, variant: Ints, gene: Ints, location: Ints
) -> None:
    """Write the exon part that each pair's variant lies in into ``location``."""
    parts = ctx.arrays("""
        SELECT DISTINCT g.id AS gene, f.contig, f.start, f."end",
            CASE f.kind WHEN 'cds' THEN 0 WHEN 'utr5' THEN 1 WHEN 'utr3' THEN 2
                ELSE 3 END AS part
        FROM in_features f JOIN in_transcripts t USING (transcript_id)
        JOIN on_gene g ON g.identifier = t.gene_id
        WHERE f.kind IN ('cds', 'utr5', 'utr3', 'exon') AND f."end" > f.start
    """)
    # a gene without parts has no introns to be in: its body counts as exon
    has_parts = np.zeros(n_genes, bool)
    has_parts[parts["gene"]] = True
    body = location == _LOCATIONS.index("intron")
    location[body & ~has_parts[gene]] = _LOCATIONS.index("exon")
    inside, part = overlap_pairs(places, ctx.spans(parts))
    keys = variant * n_genes + gene
    order = np.argsort(keys, kind="stable")
    wanted = inside * n_genes + parts["gene"][part]
    at = np.searchsorted(keys[order], wanted)
    at = np.minimum(at, max(keys.size - 1, 0))
    found = keys[order][at] == wanted if keys.size else np.zeros(0, bool)
    np.minimum.at(location, order[at[found]], parts["part"][part][found])


def make_variant_cres(ctx: Context) -> pa.Table:
    """Elements around each variant, and what the variant does to motifs."""
    variants = ctx.arrays("""
        SELECT id, contig, start, "end", coalesce(ref, '.') AS ref,
            coalesce(alt, '.') AS alt
        FROM on_variant ORDER BY id
    """)
    elements = ctx.arrays('SELECT contig, start, "end" FROM on_cre ORDER BY id')
    places, spans = ctx.spans(variants), ctx.spans(elements)
    variant, element = overlap_pairs(places, spans)
    ctx.put(
        "pairs",
        {
            "source": variant,
            "target": element,
            "offset_bp": places.start[variant] - spans.start[element],
        },
    )
    held = are_inside(places.contig, places.start, spans)
    _put_motif_changes(ctx, variants, held)
    return ctx.table("""
        SELECT p.source, p.target, p.offset_bp, c.n_motifs_gained, c.n_motifs_lost,
            c.motif_change, c.motif_id
        FROM pairs p LEFT JOIN changes c ON c.variant = p.source
    """)


def _put_motif_changes(
    ctx: Context, variants: dict[str, NDArray[Any]], held: NDArray[np.bool_]
) -> None:
    motifs = _read_motifs(ctx)
    scanned: list[Ints] = []
    records: dict[str, list[NDArray[Any]]] = {
        name: [] for name in ("variant", "motif", "delta", "change")
    }
    genome = ctx.genome
    letters = np.array(
        [
            ref != "." and alt != "." and set(ref + alt) <= set("ACGTN")
            for ref, alt in zip(variants["ref"], variants["alt"], strict=True)
        ],
        bool,
    )
    if motifs is not None and genome is not None:
        ctx.count_left_out("allele_without_letters", int((held & ~letters).sum()))
        for contig in sorted(set(variants["contig"][held & letters].tolist())):
            try:
                bases = genome.contig(contig)
            except UnknownContigError:
                continue
            of = np.flatnonzero(held & letters & (variants["contig"] == contig))
            agrees = np.array(
                [
                    bases[start : start + len(ref)].tobytes().upper() == ref.encode()
                    for start, ref in zip(
                        variants["start"][of], variants["ref"][of], strict=True
                    )
                ],
                bool,
            )
            ctx.count_left_out("reference_mismatch", int((~agrees).sum()))
            of = of[agrees]
            alts = [alt.encode() for alt in variants["alt"][of]]
            offsets = np.concatenate([[0], np.cumsum([len(alt) for alt in alts])])
            hits = motifs.scan_alleles(
                bases,
                variants["start"][of].astype(np.int64),
                np.array([len(ref) for ref in variants["ref"][of]], np.int64),
                np.frombuffer(b"".join(alts), np.uint8),
                offsets.astype(np.int64),
                p=ctx.parameters.motif_max_p,
            )
            scanned.append(of)
            records["variant"].append(of[hits.allele])
            records["motif"].append(hits.motif.astype(np.int64))
            records["delta"].append(hits.delta)
            records["change"].append(hits.change.astype(np.int64))
    ctx.put("scanned", {"variant": _joined(scanned, np.int64)})
    ctx.put(
        "records",
        {
            "variant": _joined(records["variant"], np.int64),
            "motif": _joined(records["motif"], np.int64),
            "delta": _nullable(_joined(records["delta"], np.float64)),
            "change": _joined(records["change"], np.int64),
        },
    )
    ids = motifs.ids if motifs is not None else ()
    ctx.put(
        "motif_names",
        {
            "motif": np.arange(len(ids)),
            "motif_id": pa.array(ids, pa.string()),
        },
    )
    ctx.db.execute("""
        CREATE TEMP TABLE changes AS
        WITH counted AS (
            SELECT variant, count(*) FILTER (change = 1) AS gained,
                count(*) FILTER (change = -1) AS lost
            FROM records GROUP BY variant
        ), largest AS (
            SELECT variant, delta, motif_id FROM records JOIN motif_names USING (motif)
            WHERE delta IS NOT NULL AND delta <> 0
            QUALIFY row_number() OVER (
                PARTITION BY variant ORDER BY abs(delta) DESC, motif_id) = 1
        )
        SELECT s.variant, coalesce(c.gained, 0) AS n_motifs_gained,
            coalesce(c.lost, 0) AS n_motifs_lost, l.delta AS motif_change, l.motif_id
        FROM scanned s LEFT JOIN counted c USING (variant)
        LEFT JOIN largest l USING (variant)
    """)


def _joined(parts: list[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, kind)


def make_associations(ctx: Context) -> pa.Table:
    """GWAS hits; several rows of one variant and trait keep the smallest p-value's."""
    put_associations(ctx)
    return ctx.table("""
        WITH placed AS (
            SELECT v.id AS source, p.id AS target, h.beta, h.se, h.p_value, h.n,
                row_number() OVER (
                    PARTITION BY v.id, p.id
                    ORDER BY h.p_value NULLS LAST, h.beta NULLS LAST, h.se NULLS LAST,
                        h.n NULLS LAST) AS nth,
                count(*) OVER (PARTITION BY v.id, p.id) AS n_records
            FROM hits h
            JOIN on_variant v ON v.identifier
                = allele_text(h.contig, h.start, h.ref, h.alt)
            JOIN on_phenotype p ON p.identifier = h.phenotype_id
        )
        SELECT source, target,
            CASE WHEN isfinite(beta) THEN beta END AS beta,
            CASE WHEN isfinite(se) THEN se END AS se,
            CASE WHEN isfinite(p_value) THEN p_value END AS p_value,
            CASE WHEN isfinite(n) THEN n END AS n, n_records
        FROM placed WHERE nth = 1
    """)


def make_gene_phenotypes(ctx: Context) -> pa.Table:
    """Genes known to act on traits."""
    ctx.count_left_out(
        "gene_not_in_annotation",
        ctx.number("""
            SELECT count(*) FROM in_gene_phenotypes
            WHERE gene_id NOT IN (SELECT identifier FROM on_gene)
        """),
    )
    return ctx.table(f"""
        SELECT g.id AS source, p.id AS target, {_EVIDENCE}
        FROM in_gene_phenotypes i JOIN on_gene g ON g.identifier = i.gene_id
        JOIN on_phenotype p ON p.identifier = i.phenotype_id
        GROUP BY 1, 2
    """)  # noqa: S608


def make_memberships(ctx: Context) -> pa.Table:
    """Genes in terms and pathways."""
    ctx.count_left_out(
        "gene_not_in_annotation",
        ctx.number("""
            SELECT count(*) FROM in_gene_terms
            WHERE gene_id NOT IN (SELECT identifier FROM on_gene)
        """),
    )
    return ctx.table("""
        WITH pairs AS (
            SELECT g.id AS source, p.id AS target, min(nullif(t.role, '')) AS role,
                min(t.rank) AS rank,
                string_agg(DISTINCT nullif(t.evidence, ''), ';'
                    ORDER BY nullif(t.evidence, '')) AS evidence
            FROM in_gene_terms t JOIN on_gene g ON g.identifier = t.gene_id
            JOIN on_pathway p ON p.identifier = t.term_id
            GROUP BY 1, 2
        ), annotated AS (
            SELECT count(DISTINCT source) AS n FROM pairs
        )
        SELECT source, target, role, rank, evidence,
            ln((SELECT n FROM annotated) / count(*) OVER (PARTITION BY target))
                AS relevance
        FROM pairs
    """)


def make_term_relations(ctx: Context) -> pa.Table:
    """Stated relations of terms."""
    return ctx.table("""
        SELECT a.id AS source, b.id AS target,
            coalesce(nullif(r.kind, ''), 'related') AS kind,
            CASE WHEN min(nullif(r.sign, 0)) = max(nullif(r.sign, 0))
                THEN min(nullif(r.sign, 0))
                WHEN count(nullif(r.sign, 0)) > 0 THEN 0 END AS sign,
            min(r.rank) AS rank
        FROM in_term_relations r JOIN on_pathway a ON a.identifier = r.term_a
        JOIN on_pathway b ON b.identifier = r.term_b
        GROUP BY 1, 2, 3
    """)


def make_shared_genes(ctx: Context) -> pa.Table:
    """Pathways with many genes in common."""
    ctx.db.execute(
        """
        CREATE TEMP TABLE members AS
        WITH pairs AS (
            SELECT DISTINCT p.id AS pathway, g.id AS gene
            FROM in_gene_terms t JOIN on_gene g ON g.identifier = t.gene_id
            JOIN on_pathway p ON p.identifier = t.term_id
        )
        SELECT *, count(*) OVER (PARTITION BY pathway) AS size FROM pairs
        """
    )
    largest = ctx.parameters.shared_genes_max_set
    ctx.count_left_out(
        "pathway_larger_than_limit",
        ctx.number(
            "SELECT count(DISTINCT pathway) FROM members WHERE size > $most",
            most=largest,
        ),
    )
    return ctx.table(
        """
        WITH shared AS (
            SELECT a.pathway AS source, b.pathway AS target, count(*) AS n_shared,
                any_value(a.size) AS size_a, any_value(b.size) AS size_b
            FROM members a JOIN members b ON a.gene = b.gene AND a.pathway < b.pathway
            WHERE a.size <= $most AND b.size <= $most
            GROUP BY 1, 2 HAVING count(*) >= $least
        )
        SELECT source, target, n_shared,
            n_shared / (size_a + size_b - n_shared) AS similarity
        FROM shared WHERE n_shared / (size_a + size_b - n_shared) >= $jaccard
        """,
        most=largest,
        least=ctx.parameters.shared_genes_min,
        jaccard=ctx.parameters.shared_genes_min_jaccard,
    )


def _put_in_bins(node: str) -> Step:
    def make(ctx: Context) -> pa.Table:
        things = ctx.arrays(
            f'SELECT contig, start, "end" FROM on_{node} ORDER BY id'  # noqa: S608
        )
        bins = ctx.arrays('SELECT contig, start, "end" FROM on_contact_bin ORDER BY id')
        thing, contact_bin = overlap_pairs(ctx.spans(things), ctx.spans(bins))
        shared = np.minimum(
            things["end"][thing], bins["end"][contact_bin]
        ) - np.maximum(things["start"][thing], bins["start"][contact_bin])
        return pa.table({"source": thing, "target": contact_bin, "overlap_bp": shared})

    return make


def make_contacts(ctx: Context) -> pa.Table:
    """Pairs of bins in contact beyond their distance, and loops."""
    found = ctx.contact_map()
    if found is None:
        return _empty_edges("contact_bin__contacts__contact_bin")
    a, b = found.first, found.second
    is_cis = found.bin_contig[a] == found.bin_contig[b]
    distance = (found.bin_index[b] - found.bin_index[a]) * found.bin_bp
    is_far = ~is_cis | (distance > ctx.parameters.contact_max_distance_bp)
    is_self = a == b
    is_weak = (found.count < ctx.parameters.contact_min_count) | ~(
        found.oe >= ctx.parameters.contact_min_oe
    )
    loop = found.is_loop & ~is_self
    kept = loop | ~(is_self | is_far | is_weak)
    ctx.count_left_out("pair_within_one_bin", int(is_self.sum()))
    ctx.count_left_out("pair_between_contigs_or_far", int((is_far & ~kept).sum()))
    ctx.count_left_out("pair_weak", int((is_weak & ~kept & ~is_far & ~is_self).sum()))
    names = np.array(found.contigs, object)
    ctx.put(
        "pairs",
        {
            "contig_a": _texts(names[found.bin_contig[a[kept]]]),
            "start_a": found.bin_index[a[kept]] * found.bin_bp,
            "contig_b": _texts(names[found.bin_contig[b[kept]]]),
            "start_b": found.bin_index[b[kept]] * found.bin_bp,
            "distance_bp": pa.array(distance[kept], mask=~is_cis[kept]),
            "count": found.count[kept],
            "contact_oe": _nullable(found.oe[kept]),
            "loop": loop[kept],
            "loop_score": _nullable(found.loop_score[kept]),
        },
    )
    return ctx.table("""
        SELECT least(a.id, b.id) AS source, greatest(a.id, b.id) AS target,
            p.distance_bp, p.count, p.contact_oe, p.loop, p.loop_score
        FROM pairs p
        JOIN on_contact_bin a ON a.contig = p.contig_a AND a.start = p.start_a
        JOIN on_contact_bin b ON b.contig = p.contig_b AND b.start = p.start_b
    """)


def _describe(node: str, subject_kind: str) -> Step:
    def make(ctx: Context) -> pa.Table:
        ctx.count_left_out(
            "text_about_unknown_subject",
            ctx.number(
                f"""
                SELECT count(*) FROM on_text WHERE subject_kind = $kind
                    AND subject NOT IN (SELECT identifier FROM on_{node})
                """,  # noqa: S608
                kind=subject_kind,
            ),
        )
        return ctx.table(
            f"""
            SELECT n.id AS source, t.id AS target, t.source_kind
            FROM on_text t JOIN on_{node} n ON n.identifier = t.subject
            WHERE t.subject_kind = $kind
            """,  # noqa: S608
            kind=subject_kind,
        )

    return make


EDGE_STEPS: dict[str, Step] = {
    "gene__physical__gene": _join_genes("physical"),
    "gene__complex__gene": _join_genes("complex"),
    "gene__genetic__gene": _join_genes("genetic"),
    "gene__regulates__gene": make_regulation,
    "gene__coexpressed__gene": make_coexpression,
    "gene__linked_to__cre": make_links,
    "tf__binds__cre": make_binding,
    "tf__motif_in__cre": make_motif_hits,
    "tf__encoded_by__gene": make_encoding,
    "tf__regulates__gene": make_tf_regulation,
    "variant__near__gene": make_variant_genes,
    "variant__in__cre": make_variant_cres,
    "variant__associated_with__phenotype": make_associations,
    "gene__associated_with__phenotype": make_gene_phenotypes,
    "gene__member_of__pathway": make_memberships,
    "pathway__related_to__pathway": make_term_relations,
    "pathway__shares_genes__pathway": make_shared_genes,
    "gene__in__contact_bin": _put_in_bins("gene"),
    "cre__in__contact_bin": _put_in_bins("cre"),
    "variant__in__contact_bin": _put_in_bins("variant"),
    "contact_bin__contacts__contact_bin": make_contacts,
    "gene__described_by__text": _describe("gene", "gene"),
    "phenotype__described_by__text": _describe("phenotype", "phenotype"),
    "pathway__described_by__text": _describe("pathway", "term"),
}
"""Edge type to the step that makes it."""
