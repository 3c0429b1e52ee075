"""How each node type is made from the registry's tables."""

import re
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from data_registry.errors import UnknownContigError
from data_registry.identifiers import GeneNames
from graph_builder.intervals import are_inside, merge_overlapping, overlap_pairs
from graph_builder.steps import Context, Step

_MARK = re.compile(r"\s*\(var\.\d+\)$")
"""JASPAR's mark of a factor's second motif: ``ABF1(var.2)``."""
_YEAST_PROTEIN = re.compile(r"^([A-Z][a-z]{2}\d+)p$")
"""Yeast's name of a protein is its gene's with a p: ``Abf1p`` of ``ABF1``."""


def make_genes(ctx: Context) -> pa.Table:
    """Genes, one a ``gene_id``; a repeated identifier keeps its first place."""
    ctx.count_left_out(
        "repeated_gene_id",
        ctx.number("SELECT count(*) - count(DISTINCT gene_id) FROM in_genes"),
    )
    # means are sums of whole numbers (millionths): exact in any order of rows
    return ctx.table("""
        WITH placed AS (
            SELECT *, row_number() OVER (
                PARTITION BY gene_id
                ORDER BY contig, start, "end", strand, symbol, biotype) AS nth
            FROM in_genes
        ), parts AS (
            SELECT gene_id, count(DISTINCT transcript_id) AS n_transcripts,
                coalesce(max(cds_length) FILTER (is_canonical), max(cds_length))
                    AS cds_length_bp
            FROM in_transcripts GROUP BY gene_id
        ), sizes AS (
            SELECT dataset, count(DISTINCT sample_id) AS n FROM in_expression
            GROUP BY dataset
        ), means AS (
            SELECT e.dataset, e.gene_id,
                sum(round(e.value * 1e6)::HUGEINT)::DOUBLE / any_value(s.n) AS mean
            FROM in_expression e JOIN sizes s USING (dataset)
            WHERE isfinite(e.value) GROUP BY e.dataset, e.gene_id
        ), places AS (
            SELECT gene_id,
                cume_dist() OVER (PARTITION BY dataset ORDER BY mean) AS place
            FROM means
        ), levels AS (
            SELECT gene_id, sum(round(place * 1e9)::BIGINT)::DOUBLE / 1e9 / count(*)
                AS expression_percentile
            FROM places GROUP BY gene_id
        ), breadth AS (
            SELECT gene_id, count(DISTINCT (dataset, sample_id)) FILTER (value > 0)
                AS n_samples_expressed
            FROM in_expression GROUP BY gene_id
        ), relatives AS (
            SELECT gene_id, count(DISTINCT (other_species, other_gene)) AS n_orthologs,
                median(ka / ks) FILTER (ks > 0 AND isfinite(ka / ks) AND ka >= 0)
                    AS ka_ks
            FROM in_orthologs GROUP BY gene_id
        )
        SELECT g.gene_id AS identifier, g.contig, g.start, g."end", g.strand,
            CASE WHEN g.strand = '-' THEN g."end" - 1 ELSE g.start END AS tss,
            g.symbol, g.biotype, g."end" - g.start AS length_bp,
            coalesce(p.n_transcripts, 0) AS n_transcripts, p.cds_length_bp,
            l.expression_percentile, b.n_samples_expressed,
            coalesce(r.n_orthologs, 0) AS n_orthologs, r.ka_ks
        FROM placed g
        LEFT JOIN parts p USING (gene_id)
        LEFT JOIN levels l USING (gene_id)
        LEFT JOIN breadth b USING (gene_id)
        LEFT JOIN relatives r USING (gene_id)
        WHERE g.nth = 1
    """)


_ELEMENTS = "('cre', 'promoter', 'enhancer', 'peak', 'dhs')"


def make_cres(ctx: Context) -> pa.Table:
    """Elements: intervals merged by class; derived promoters where none are given."""
    given = ctx.arrays(f"""
        SELECT kind, contig, start, "end" FROM in_intervals
        WHERE kind IN {_ELEMENTS} AND "end" > start
    """)  # noqa: S608
    names = np.empty(0, object)
    parts: list[dict[str, np.ndarray]] = []
    kinds = sorted(set(given["kind"].tolist()))
    for kind in kinds:
        of = given["kind"] == kind
        spans = ctx.spans(
            {name: given[name][of] for name in ("contig", "start", "end")}
        )
        merged, into = merge_overlapping(spans)
        contig = np.empty(len(merged), object)
        contig[into] = given["contig"][of]
        parts.append(
            {
                "contig": contig,
                "start": merged.start,
                "end": merged.end,
                "class": np.full(len(merged), kind, object),
                "derived": np.zeros(len(merged), bool),
                "n_intervals": np.bincount(into, minlength=len(merged)),
            }
        )
    if "promoter" not in kinds:
        derived = ctx.arrays(
            """
            SELECT DISTINCT g.contig,
                greatest(0, CASE WHEN g.strand = '-' THEN g.tss + 1 - $down
                    ELSE g.tss - $up END) AS start,
                least(CASE WHEN g.strand = '-' THEN g.tss + 1 + $up
                    ELSE g.tss + $down END, coalesce(c.length, 9223372036854775807))
                    AS "end"
            FROM on_gene g LEFT JOIN in_contigs c USING (contig)
            """,
            up=ctx.parameters.promoter_upstream_bp,
            down=ctx.parameters.promoter_downstream_bp,
        )
        fits = derived["end"] > derived["start"]
        n = int(fits.sum())
        if n:
            ctx.notes.append(
                f"no promoters are registered: {n} promoters were derived from gene "
                f"starts (-{ctx.parameters.promoter_upstream_bp}/"
                f"+{ctx.parameters.promoter_downstream_bp} bp)"
            )
        parts.append(
            {
                **{name: derived[name][fits] for name in ("contig", "start", "end")},
                "class": np.full(n, "promoter", object),
                "derived": np.ones(n, bool),
                "n_intervals": np.zeros(n, np.int64),
            }
        )
    elements = {
        name: np.concatenate([part[name] for part in parts]) if parts else names
        for name in ("contig", "start", "end", "class", "derived", "n_intervals")
    }
    n = elements["start"].size
    elements["key"] = np.arange(n)
    ctx.put(
        "elements",
        {
            **elements,
            "contig": pa.array(elements["contig"], pa.string()),
            "class": pa.array(elements["class"], pa.string()),
            "derived": pa.array(elements["derived"], pa.bool_()),
        },
    )
    _put_activity(ctx, elements)
    _put_states(ctx, elements)
    return ctx.table("""
        SELECT region_text(e.contig, e.start, e."end") || ':' || e.class
                || CASE WHEN e.derived THEN ':derived' ELSE '' END AS identifier,
            e.contig, e.start, e."end", e.class, e.derived,
            e."end" - e.start AS length_bp, e.n_intervals,
            coalesce(a.n_samples, 0) AS n_samples,
            CASE WHEN (SELECT count(*) FROM sample_medians) = 0 THEN NULL
                ELSE coalesce(a.activity, 0) END AS activity,
            s.state AS chromatin_state
        FROM elements e LEFT JOIN activities a USING (key)
        LEFT JOIN states s USING (key)
    """)


def _put_activity(ctx: Context, elements: Mapping[str, np.ndarray]) -> None:
    ctx.db.execute(f"""
        CREATE TEMP TABLE signals AS
        SELECT contig, start, "end", kind || ':' || coalesce(sample, '') AS sample,
            coalesce(signal, score) AS signal
        FROM in_intervals
        WHERE kind IN {_ELEMENTS} AND "end" > start
            AND isfinite(coalesce(signal, score)) AND coalesce(signal, score) > 0
    """)  # noqa: S608
    ctx.db.execute("""
        CREATE TEMP TABLE sample_medians AS
        SELECT sample, median(signal) AS middle FROM signals GROUP BY sample
    """)
    peaks = ctx.arrays("""
        SELECT contig, start, "end", dense_rank() OVER (ORDER BY sample) AS sample,
            signal / middle AS level
        FROM signals JOIN sample_medians USING (sample)
    """)
    of_element, of_peak = overlap_pairs(ctx.spans(elements), ctx.spans(peaks))
    ctx.put(
        "peak_overlaps",
        {
            "key": of_element,
            "sample": peaks["sample"][of_peak],
            "level": peaks["level"][of_peak],
        },
    )
    ctx.db.execute("""
        CREATE TEMP TABLE activities AS
        WITH highest AS (
            SELECT key, sample, max(level) AS level FROM peak_overlaps
            GROUP BY key, sample
        )
        SELECT key, count(*) AS n_samples,
            sum(round(level * 1e6)::HUGEINT)::DOUBLE / 1e6
                / (SELECT count(*) FROM sample_medians) AS activity
        FROM highest GROUP BY key
    """)


def _put_states(ctx: Context, elements: Mapping[str, np.ndarray]) -> None:
    found = ctx.arrays("""
        SELECT contig, start, "end", dense_rank() OVER (ORDER BY state) AS code
        FROM in_intervals
        WHERE kind = 'chromatin_state' AND state IS NOT NULL AND "end" > start
    """)
    of_element, of_state = overlap_pairs(ctx.spans(elements), ctx.spans(found))
    shared = np.minimum(elements["end"][of_element], found["end"][of_state])
    shared = shared - np.maximum(
        elements["start"][of_element], found["start"][of_state]
    )
    ctx.put(
        "state_overlaps",
        {"key": of_element, "code": found["code"][of_state], "shared": shared},
    )
    ctx.db.execute("""
        CREATE TEMP TABLE states AS
        WITH names AS (
            SELECT DISTINCT state, dense_rank() OVER (ORDER BY state) AS code
            FROM in_intervals
            WHERE kind = 'chromatin_state' AND state IS NOT NULL AND "end" > start
        ), covered AS (
            SELECT key, code, sum(shared) AS shared FROM state_overlaps
            GROUP BY key, code
        ), best AS (
            SELECT key, code, row_number() OVER (
                PARTITION BY key ORDER BY shared DESC, code) AS nth
            FROM covered
        )
        SELECT key, state FROM best JOIN names USING (code) WHERE nth = 1
    """)


def put_associations(ctx: Context) -> None:
    """Make the table ``hits``: associations that enter, written on the reference.

    GWAS tables name an effect allele, which may be the reference base. Where the genome
    reads the effect allele and not the other one, the two change places and the effect
    its sign, so that one change of the sequence is one variant node.
    """
    largest = ctx.parameters.association_max_p
    ctx.db.execute(
        """
        CREATE TEMP TABLE given_hits AS
        SELECT phenotype_id, contig, start, upper(ref) AS ref,
            upper(alt) AS alt, beta, se, p_value, n
        FROM in_associations WHERE p_value IS NULL OR p_value <= $largest
        """,
        {"largest": largest},
    )
    ctx.count_left_out(
        "p_value_above_limit",
        ctx.number("SELECT count(*) FROM in_associations")
        - ctx.number("SELECT count(*) FROM given_hits"),
    )
    alleles = ctx.arrays("""
        SELECT DISTINCT contig, start, ref, alt FROM given_hits
        WHERE length(ref) = 1 AND length(alt) = 1
    """)
    swapped = np.zeros(alleles["start"].size, bool)
    if ctx.genome is not None:
        for contig in sorted(set(alleles["contig"].tolist())):
            try:
                bases = ctx.genome.contig(contig)
            except UnknownContigError:
                continue
            of = np.flatnonzero(alleles["contig"] == contig)
            of = of[alleles["start"][of] < bases.size]
            read = np.char.upper(bases[alleles["start"][of]].view("S1")).astype(str)
            ref, alt = alleles["ref"][of].astype(str), alleles["alt"][of].astype(str)
            swapped[of] = (read == alt) & (read != ref)
    ctx.put(
        "swapped",
        {
            **{name: alleles[name][swapped] for name in ("start",)},
            **{
                name: pa.array(alleles[name][swapped], pa.string())
                for name in ("contig", "ref", "alt")
            },
        },
    )
    ctx.db.execute("""
        CREATE TEMP TABLE hits AS
        SELECT h.phenotype_id, h.contig, h.start,
            CASE WHEN s.ref IS NULL THEN h.ref ELSE h.alt END AS ref,
            CASE WHEN s.ref IS NULL THEN h.alt ELSE h.ref END AS alt,
            CASE WHEN s.ref IS NULL THEN h.beta ELSE -h.beta END AS beta,
            h.se, h.p_value, h.n
        FROM given_hits h LEFT JOIN swapped s
            ON h.contig = s.contig AND h.start = s.start AND h.ref = s.ref
            AND h.alt = s.alt
    """)


def make_variants(ctx: Context) -> pa.Table:
    """Alleles of associations and scores; panel alleles inside genes and elements."""
    put_associations(ctx)
    n_turned = ctx.number("SELECT count(*) FROM swapped")
    if n_turned:
        ctx.notes.append(
            f"{n_turned} GWAS alleles were turned round: the genome reads their effect "
            "allele"
        )
    scored = ctx.parameters.max_scored_variants
    n_scored = ctx.number(
        "SELECT count(*) FROM (SELECT DISTINCT contig, start, ref, alt "
        "FROM in_variant_scores)"
    )
    ctx.count_left_out("scored_alleles_beyond_limit", max(0, n_scored - scored))
    ctx.db.execute(
        """
        CREATE TEMP TABLE scored AS
        WITH each AS (
            SELECT DISTINCT contig, start, upper(ref) AS ref, upper(alt) AS alt,
                allele_text(contig, start, upper(ref), upper(alt)) AS identifier
            FROM in_variant_scores
        )
        SELECT * FROM each
        QUALIFY row_number() OVER (ORDER BY md5(identifier), identifier) <= $most
        """,
        {"most": scored},
    )
    ctx.db.execute("""
        CREATE TEMP TABLE alleles AS
        WITH whole AS (
            SELECT DISTINCT panel FROM in_panel_frequencies WHERE group_name = ''
        )
        SELECT contig, start, upper(ref) AS ref, upper(alt) AS alt,
            sum(ac)::BIGINT AS ac, sum("an")::BIGINT AS n,
            allele_text(contig, start, upper(ref), upper(alt)) AS identifier
        FROM in_panel_frequencies
        -- a panel's groups are parts of its whole, where the whole is given
        WHERE coalesce(group_name, '') = '' OR panel NOT IN (FROM whole)
        GROUP BY contig, start, upper(ref), upper(alt)
    """)
    panel = ctx.table("SELECT rowid AS place, contig, start FROM alleles")
    spans = ctx.spans(
        ctx.arrays("""
            SELECT contig, start, "end" FROM on_gene
            UNION ALL SELECT contig, start, "end" FROM on_cre
        """)
    )
    inside = are_inside(
        ctx.number_contigs(panel["contig"]), panel["start"].to_numpy(), spans
    )
    ctx.count_left_out("panel_allele_outside_genes_and_cres", int((~inside).sum()))
    most = ctx.parameters.max_panel_variants
    n_inside = int(inside.sum())
    ctx.count_left_out("panel_alleles_beyond_limit", max(0, n_inside - most))
    if n_inside > most:
        ctx.notes.append(
            f"{most} of {n_inside} panel alleles in genes and CREs were taken, an even "
            "draw by md5 of the identifier; max_panel_variants sets the limit"
        )
    ctx.put("inside", {"place": panel["place"].to_numpy()[inside]})
    return ctx.table(
        """
        WITH drawn AS (
            SELECT a.* FROM alleles a JOIN inside i ON a.rowid = i.place
            QUALIFY row_number() OVER (ORDER BY md5(identifier), identifier) <= $most
        ), named AS (
            SELECT DISTINCT allele_text(contig, start, ref, alt) AS identifier, contig,
                start, ref, alt, 1 AS origin
            FROM hits
            UNION ALL SELECT identifier, contig, start, ref, alt, 2 FROM scored
            UNION ALL SELECT identifier, contig, start, ref, alt, 3
            FROM drawn
        )
        SELECT n.identifier, any_value(n.contig) AS contig, any_value(n.start) AS start,
            any_value(n.start) + greatest(1, coalesce(length(any_value(n.ref)), 1))
                AS "end",
            any_value(n.ref) AS ref, any_value(n.alt) AS alt,
            CASE
                WHEN any_value(n.ref) IS NULL OR any_value(n.alt) IS NULL THEN 'unknown'
                WHEN length(any_value(n.ref)) = 1 AND length(any_value(n.alt)) = 1
                    THEN 'snv'
                WHEN starts_with(any_value(n.alt), any_value(n.ref)) THEN 'insertion'
                WHEN starts_with(any_value(n.ref), any_value(n.alt)) THEN 'deletion'
                ELSE 'substitution' END AS kind,
            any_value(CASE WHEN a.n > 0 THEN a.ac / a.n END) AS allele_frequency,
            bool_or(n.origin = 1) AS from_association,
            bool_or(n.origin = 2) AS from_score,
            bool_or(a.identifier IS NOT NULL) AS from_panel
        FROM named n LEFT JOIN alleles a USING (identifier)
        GROUP BY n.identifier
        """,
        most=most,
    )


def make_tfs(ctx: Context) -> pa.Table:
    """Factors of sites, motifs and networks; one gene's names are one factor."""
    genes = ctx.arrays("SELECT identifier FROM on_gene")["identifier"].tolist()
    aliases = ctx.table("""
        SELECT gene_id, alias FROM in_gene_aliases WHERE alias IS NOT NULL
        UNION SELECT identifier, symbol FROM on_gene WHERE symbol IS NOT NULL
    """)
    known = GeneNames(
        genes,
        zip(aliases["gene_id"].to_pylist(), aliases["alias"].to_pylist(), strict=True),
    )
    given = ctx.table("""
        SELECT tf AS name, min(tf_gene_id) AS gene, NULL AS family, 0 AS n_motifs
        FROM in_tf_sites WHERE tf IS NOT NULL GROUP BY tf
        UNION ALL
        SELECT tf, NULL, min(nullif(family, '')), count(DISTINCT motif_id)
        FROM in_motifs WHERE tf IS NOT NULL AND tf <> '' GROUP BY tf
        UNION ALL
        SELECT DISTINCT gene_a, NULL, NULL, 0 FROM in_interactions
        WHERE kind = 'regulatory' AND directed
    """).to_pylist()
    stated = {row["name"]: row["gene"] for row in given if row["gene"]}
    unresolved: set[str] = set()
    factors: dict[str, dict[str, set[str]]] = {}
    n_motifs: dict[str, int] = {}
    for row in given:
        name = row["name"]
        parts = [stated[name]] if name in stated else _MARK.sub("", name).split("::")
        found = known.resolve(parts).known
        if not found:
            parts = [_YEAST_PROTEIN.sub(r"\1", part) for part in parts]
            found = known.resolve(parts).known
        encoding = sorted({found[part] for part in parts if part in found})
        if len(found) == len(set(parts)):
            identifier = "::".join(encoding)
        else:
            identifier = _MARK.sub("", name).upper()
            unresolved.add(name)
        factor = factors.setdefault(
            identifier, {"names": set(), "genes": set(), "families": set()}
        )
        factor["names"].add(name)
        factor["genes"].update(encoding)
        if row["family"]:
            factor["families"].add(row["family"])
        n_motifs[identifier] = n_motifs.get(identifier, 0) + row["n_motifs"]
    if unresolved:
        ctx.notes.append(
            f"{len(unresolved)} factor names are not known to the annotation, e.g. "
            f"{', '.join(sorted(unresolved)[:3])}; register gene aliases to join them"
        )
    rows = [
        {
            "identifier": identifier,
            # a symbol reads better than a locus name
            "name": min(
                factor["names"], key=lambda name: (name in factor["genes"], name)
            ),
            "names": "\t".join(sorted(factor["names"])),
            "genes": "\t".join(sorted(factor["genes"])) or None,
            "family": ";".join(sorted(factor["families"])) or None,
            "n_motifs": n_motifs[identifier],
        }
        for identifier, factor in factors.items()
    ]
    return pa.Table.from_pylist(
        rows,
        pa.schema(
            [
                *((name, pa.string()) for name in (
                    "identifier", "name", "names", "genes", "family")),
                ("n_motifs", pa.int64()),
            ]
        ),
    )  # fmt: skip


def make_contact_bins(ctx: Context) -> pa.Table:
    """Bins that hold a contact or an anchor of a loop."""
    found = ctx.contact_map()
    if found is None:
        return pa.table(
            {
                "identifier": pa.array([], pa.string()),
                "contig": pa.array([], pa.string()),
                "start": pa.array([], pa.int64()),
                "end": pa.array([], pa.int64()),
            }
        )
    for reason, n in found.left_out.items():
        ctx.count_left_out(reason, n)
    ctx.notes.append(f"bins of {found.bin_bp} bp")
    start = found.bin_index * found.bin_bp
    ctx.put(
        "bins",
        {
            "contig": pa.array(np.array(found.contigs, object)[found.bin_contig],
                               pa.string()),
            "start": start,
            "end": start + found.bin_bp,
        },
    )  # fmt: skip
    return ctx.table("""
        WITH cut AS (
            SELECT b.contig, b.start,
                least(b."end", coalesce(nullif(c.length, 0), b."end")) AS "end"
            FROM bins b LEFT JOIN in_contigs c USING (contig)
            WHERE c.length IS NULL OR b.start < c.length
        )
        SELECT region_text(contig, start, "end") AS identifier, * FROM cut
    """)


def make_pathways(ctx: Context) -> pa.Table:
    """Terms, and names of terms that only annotations or relations know."""
    return ctx.table("""
        WITH named AS (
            SELECT term_id, name, namespace FROM in_terms
            QUALIFY row_number() OVER (
                PARTITION BY term_id ORDER BY name NULLS LAST, namespace NULLS LAST) = 1
        ), used AS (
            SELECT term_id FROM in_terms
            UNION SELECT term_id FROM in_gene_terms
            UNION SELECT term_a FROM in_term_relations
            UNION SELECT term_b FROM in_term_relations
        ), sizes AS (
            SELECT t.term_id, count(DISTINCT g.id) AS n
            FROM in_gene_terms t JOIN on_gene g ON g.identifier = t.gene_id
            GROUP BY t.term_id
        )
        SELECT u.term_id AS identifier, n.name, n.namespace, coalesce(s.n, 0) AS n_genes
        FROM used u LEFT JOIN named n USING (term_id) LEFT JOIN sizes s USING (term_id)
        WHERE u.term_id IS NOT NULL
    """)


def make_phenotypes(ctx: Context) -> pa.Table:
    """Traits, and names of traits that only associations or genes know."""
    return ctx.table("""
        WITH named AS (
            SELECT phenotype_id, name, unit FROM in_phenotypes
            QUALIFY row_number() OVER (
                PARTITION BY phenotype_id ORDER BY name NULLS LAST, unit NULLS LAST) = 1
        ), used AS (
            SELECT phenotype_id FROM in_phenotypes
            UNION SELECT phenotype_id FROM in_phenotype_values
            UNION SELECT phenotype_id FROM in_gene_phenotypes
            UNION SELECT phenotype_id FROM in_associations
        ), sizes AS (
            SELECT phenotype_id, count(DISTINCT sample_id) AS n FROM in_phenotype_values
            WHERE isfinite(value) GROUP BY phenotype_id
        )
        SELECT u.phenotype_id AS identifier, n.name, n.unit AS trait_unit,
            coalesce(s.n, 0) AS n_samples
        FROM used u LEFT JOIN named n USING (phenotype_id)
        LEFT JOIN sizes s USING (phenotype_id)
        WHERE u.phenotype_id IS NOT NULL
    """)


def make_texts(ctx: Context) -> pa.Table:
    """Registered texts, and descriptions of genes, phenotypes and terms."""
    ctx.count_left_out(
        "empty_text",
        ctx.number("SELECT count(*) FROM in_texts WHERE coalesce(trim(text), '') = ''"),
    )
    named = ctx.table("""
        SELECT DISTINCT subject_id FROM in_texts
        WHERE subject_kind = 'gene' AND subject_id IS NOT NULL
    """)["subject_id"].to_pylist()
    known: Mapping[str, str] = {}
    if named:
        genes = ctx.arrays("SELECT identifier FROM on_gene")["identifier"].tolist()
        aliases = ctx.table("""
            SELECT gene_id, alias FROM in_gene_aliases WHERE alias IS NOT NULL
            UNION SELECT identifier, symbol FROM on_gene WHERE symbol IS NOT NULL
        """)
        pairs = zip(
            aliases["gene_id"].to_pylist(), aliases["alias"].to_pylist(), strict=True
        )
        known = GeneNames(genes, pairs).resolve(named).known
    ctx.put(
        "subjects",
        {
            "subject_id": pa.array(list(known), pa.string()),
            "gene_id": pa.array(list(known.values()), pa.string()),
        },
    )
    return ctx.table("""
        WITH given AS (
            SELECT coalesce(t.subject_kind, 'document') AS subject_kind,
                CASE WHEN t.subject_kind = 'gene'
                    THEN coalesce(s.gene_id, t.subject_id) ELSE t.subject_id END
                    AS subject,
                t.title, t.text, 'registered' AS source_kind
            FROM in_texts t LEFT JOIN subjects s
                ON t.subject_kind = 'gene' AND s.subject_id = t.subject_id
            UNION ALL
            SELECT 'gene', gene_id, NULL, description, 'description' FROM in_genes
            UNION ALL
            SELECT 'phenotype', phenotype_id, name, description, 'description'
            FROM in_phenotypes
            UNION ALL
            SELECT 'term', term_id, name, definition, 'description' FROM in_terms
        ), kept AS (
            SELECT *, subject_kind || ':' || coalesce(subject, '') || ':'
                || md5(coalesce(title, '') || chr(10) || text)[:16] AS identifier
            FROM given WHERE trim(text) <> ''
        )
        SELECT identifier, subject_kind, subject, title, text,
            -- the same text registered and as a description counts as registered
            max(source_kind) AS source_kind, length(text) AS n_characters
        FROM kept GROUP BY identifier, subject_kind, subject, title, text
    """)


NODE_STEPS: dict[str, Step] = {
    "gene": make_genes,
    "cre": make_cres,
    "variant": make_variants,
    "tf": make_tfs,
    "contact_bin": make_contact_bins,
    "pathway": make_pathways,
    "phenotype": make_phenotypes,
    "text": make_texts,
}
"""Node type to the step that makes it."""
