"""Gene: its model and variants, expression, regulators, contacts and pathways."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt
import pandas as pd
import streamlit as st

from dashboards.app import (
    charts,
    exports,
    features,
    layers,
    links,
    navigation,
    picture,
    tables,
)
from dashboards.app.context import Context, context
from dashboards.app.engine import cursor
from dashboards.app.filters import Filter
from dashboards.app.gene_picture import draw_gene
from dashboards.app.neighbourhood import Graph
from dashboards.app.screens.region import COLUMNS
from dashboards.app.theme import ACCENT
from data_registry.coordinates import Region
from data_registry.errors import MissingLayerError

_AROUND_BP: Final = 2_000
_MOST_DRAWN: Final = 1_500
_MOST_ROWS: Final = 300
_MOST_BARS: Final = 40
_GROUPINGS: Final = ("tissue", "cell_type", "condition", "time")


def show() -> None:
    """Draw the page."""
    found = context()
    asked = links.read("gene").strip()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Gene", key=links.seed("w_gene", asked), on_change=links.writes("gene", "w_gene"),
            width=320, placeholder="identifier, symbol or alias",
        )  # fmt: skip
        gene = layers.find_gene(found.workspace, asked) if asked else None
        if gene is not None:
            navigation.link("region", "Its place", region=gene["gene_id"])
            navigation.link("variants", "Its variants", gene=gene["gene_id"])
            navigation.link("graph", "Its neighbours", node=f"gene:{gene['gene_id']}")
    if gene is None:
        _suggest(found, asked)
        return
    _draw_head(gene)
    region = _draw_model(found, gene)
    _draw_variants(found, gene, region)
    _draw_expression(found, gene["gene_id"])
    _draw_regulation(found, gene["gene_id"])
    _draw_knowledge(found, gene["gene_id"])


def _suggest(found: Context, asked: str) -> None:
    if asked:
        st.warning(f"No gene of this workspace is called {asked!r}.")
    names = layers.suggest_genes(found.workspace, asked)
    if not names:
        names = layers.suggest_genes(found.workspace, "")
    if not names:
        st.info("No gene models are registered: 'cisgraph add genes.gff3 -w ...'.")
        return
    st.write("For instance:")
    with st.container(horizontal=True):
        for name in names:
            navigation.link("gene", name, gene=name)


def _draw_head(gene: dict[str, Any]) -> None:
    named = f" · {gene['gene_id']}" if gene["symbol"] else ""
    st.subheader(f"{gene['symbol'] or gene['gene_id']}{named}")
    place = (
        f"{gene['contig']}:{gene['start'] + 1:,}-{gene['end']:,} ({gene['strand']})"
        if gene["contig"] else "not placed"
    )  # fmt: skip
    st.write(gene["description"] or "No description is registered.")
    st.caption(
        f"{gene['biotype'] or 'gene'} · {place} · {gene['end'] - gene['start']:,} bp"
    )


def _draw_model(found: Context, gene: dict[str, Any]) -> Region:
    region = Region(
        gene["contig"], max(gene["start"] - _AROUND_BP, 0), gene["end"] + _AROUND_BP
    )
    drawn = features.draw("genes", found.workspace, None, region).features
    own = [one for one in drawn if one["gene"] == gene["gene_id"]]
    elements = features.draw("elements", found.workspace, None, region).features
    variants: list[dict[str, Any]] = []
    scores = found.scores()
    n = 0
    if scores is not None:
        inside = Filter(region=str(region))
        known = scores.known(inside)
        n = scores.count(inside, known)
        wanted = ("chrom", "pos", "ref", "alt", "prior_score", "impact", "consequence")
        page = scores.page(
            inside, known, columns=tuple(c for c in wanted if c in scores.columns),
            sort="prior_score" if "prior_score" in scores.columns else "", limit=_MOST_DRAWN,
        )  # fmt: skip
        variants = [
            {**row, "allele": tables.allele_name(row)} for row in tables.records(page)
        ]
    picture.show_picture(
        draw_gene(region, own, elements, variants),
        f"gene-{gene['gene_id']}",
        key="gene_model",
    )
    if n > len(variants):
        st.caption(f"The {len(variants):,} highest of {n:,} alleles are drawn.")
    _show_transcripts(found, gene["gene_id"])
    return region


def _show_transcripts(found: Context, gene_id: str) -> None:
    frame = layers.table(
        found.workspace,
        'SELECT transcript_id AS transcript, biotype, start + 1 AS start, "end", strand, '
        'is_canonical AS canonical, cds_length AS "CDS, bp", cds_valid AS "CDS valid", '
        "cds_problem AS problem FROM transcripts WHERE gene_id = ? ORDER BY transcript_id",
        [gene_id],
    )
    if not frame.empty:
        _table(frame, f"{gene_id}-transcripts", "transcripts")


def _table(frame: pd.DataFrame, stem: str, key: str, **settings: Any) -> None:  # noqa: ANN401
    st.dataframe(
        frame, hide_index=True, placeholder="", key=f"table_{key}",
        height=min(38 + 35 * len(frame), 300), **settings,
    )  # fmt: skip
    exports.offer_table(frame, stem, key=key)


def _draw_variants(found: Context, gene: dict[str, Any], region: Region) -> None:
    scores = found.scores()
    if scores is None:
        return
    inside = Filter(gene=gene["gene_id"], status="scored")
    known = scores.known(inside)
    n = scores.count(inside, known)
    st.subheader(f"{n:,} alleles called on this gene")
    if not n:
        st.write(f"None; {region} may hold others.")
        return
    columns = tuple(name for name in COLUMNS[found.door] if name in scores.columns)
    frame = tables.with_percentile(scores, scores.page(
        inside, known, columns=columns, limit=_MOST_ROWS,
        sort="prior_score" if "prior_score" in scores.columns else "",
    ))  # fmt: skip
    if n > _MOST_ROWS:
        st.caption(
            f"the {_MOST_ROWS} with the highest prior score; all are in Variants"
        )
    names = [tables.allele_name(row) for row in tables.records(frame)]
    event = st.dataframe(
        frame, hide_index=True, key="gene_variants", on_select="rerun", placeholder="",
        selection_mode="single-row", height=300,
        column_config=tables.column_settings(scores, list(frame.columns)),
    )  # fmt: skip
    rows = event["selection"]["rows"]
    if rows and rows[0] < len(names):
        navigation.link("variant", f"Card of {names[rows[0]]}", variant=names[rows[0]])
    exports.offer_table(frame, f"{gene['gene_id']}-variants", key="gene_variants")


# -- expression ----------------------------------------------------------------------


def _draw_expression(found: Context, gene_id: str) -> None:
    frame = layers.table(
        found.workspace,
        "SELECT e.dataset, e.sample_id AS sample, e.value, e.unit, s.tissue, s.condition, "
        "s.cell_type, s.time FROM expression e LEFT JOIN samples s USING (dataset, sample_id) "
        "WHERE e.gene_id = ? UNION ALL SELECT g.dataset, g.sample_id, g.value, g.unit, "
        "s.tissue, s.condition, s.cell_type, s.time FROM gene_signals g LEFT JOIN samples s "
        "USING (dataset, sample_id) WHERE g.gene_id = ? ORDER BY ALL",
        [gene_id, gene_id],
    )
    st.subheader("Expression")
    if frame.empty:
        st.write("No expression of this gene is registered.")
        return
    sets = list(dict.fromkeys(frame["dataset"]))
    chosen = sets[0]
    if len(sets) > 1:
        chosen = st.selectbox("Data set", sets, key="expression_set")
    held = frame[frame["dataset"] == chosen]
    unit = str(held["unit"].iloc[0] or "value")
    groups = [name for name in _GROUPINGS if held[name].notna().any()]
    by = groups[0] if groups else "sample"
    if len(groups) > 1:
        by = st.segmented_control(
            "By", groups, default=groups[0], key="expression_by", required=True,
            format_func=lambda name: name.replace("_", " "),
        ) or groups[0]  # fmt: skip
    st.altair_chart(expression_chart(held, by, unit), alt=f"Expression of {gene_id}")
    st.caption(
        f"{len(held):,} samples of {chosen}; zeros of sparse matrices are not stored"
    )
    exports.offer_table(
        held.reset_index(drop=True), f"{gene_id}-{chosen}", key="expression"
    )


def expression_chart(held: pd.DataFrame, by: str, unit: str) -> Any:  # noqa: ANN401
    """Draw values by group; without groups, their distribution over samples."""
    if by == "sample" and len(held) > _MOST_BARS:
        chart = (
            alt.Chart(held)
            .mark_bar(color=ACCENT, opacity=0.75)
            .encode(
                x=alt.X("value:Q", bin=alt.Bin(maxbins=40), title=unit),
                y=alt.Y("count():Q", title="samples"),
                tooltip=[alt.Tooltip("count():Q", title="samples")],
            )
            .properties(height=200)
        )
        return charts.saveable(chart)
    if by == "time":
        chart = (
            alt.Chart(held)
            .mark_line(point=True, color=ACCENT)
            .encode(x=alt.X("time:Q"), y=alt.Y("mean(value):Q", title=unit))
            .properties(height=220)
        )
        return charts.saveable(chart)
    n = held[by].nunique()
    base = alt.Chart(held).encode(
        y=alt.Y(f"{by}:N", title=None, sort="-x", axis=alt.Axis(labelLimit=220))
    )
    bars = base.mark_bar(color=ACCENT, opacity=0.5).encode(
        x=alt.X("mean(value):Q", title=f"mean {unit}")
    )
    dots = base.mark_circle(color=ACCENT, opacity=0.6, size=22).encode(
        x="value:Q", tooltip=["sample", "value"]
    )
    return charts.saveable((bars + dots).properties(height=max(20 * n + 30, 90)))


# -- regulation and knowledge ----------------------------------------------------------


def _rows(query: str, values: Sequence[Any]) -> pd.DataFrame:
    with cursor() as asking:
        frame: pd.DataFrame = asking.sql(query, params=list(values)).df()
        return frame


def _draw_regulation(found: Context, gene_id: str) -> None:
    st.subheader("Regulation")
    try:
        graph = Graph(found.workspace)
    except MissingLayerError as error:
        st.write(str(error))
        return
    node = graph.find("gene", gene_id)
    if node is None:
        st.write("The graph does not hold this gene: build it again.")
        return

    def file(name: str) -> str:
        return str(graph.manifest.path / graph.manifest.types[name].file)

    left, right = st.columns(2)
    with left:
        st.markdown("**Elements linked to it**")
        elements = _rows(
            'SELECT c.identifier AS element, l.score AS share, l.distance_bp AS "distance, bp", '
            "l.evidence FROM read_parquet(?) l JOIN read_parquet(?) c ON c.id = l.target "
            "WHERE l.source = ? ORDER BY l.score DESC LIMIT 200",
            [file("gene__linked_to__cre"), file("cre"), node[1]],
        )
        if elements.empty:
            st.write("None.")
        else:
            _table(
                elements, f"{gene_id}-elements", "elements",
                column_config={"share": st.column_config.NumberColumn(
                    format="%.3f", help="Share of the gene's activity-by-contact (Fulco 2019)."
                )},
            )  # fmt: skip
    with right:
        st.markdown("**Factors that act on it**")
        factors = _rows(
            "SELECT t.name AS factor, 'regulates' AS link, r.evidence, r.score FROM "
            "read_parquet(?) r JOIN read_parquet(?) t ON t.id = r.source WHERE r.target = ? "
            "UNION ALL SELECT t.name, 'binds ' || c.identifier, 'measured', b.signal FROM "
            "read_parquet(?) l JOIN read_parquet(?) b ON b.target = l.target "
            "JOIN read_parquet(?) c ON c.id = l.target JOIN read_parquet(?) t "
            "ON t.id = b.source WHERE l.source = ? AND l.score >= 0.05 "
            "UNION ALL SELECT t.name, 'motif in ' || c.identifier, m.motif_id, m.score FROM "
            "read_parquet(?) l JOIN read_parquet(?) m ON m.target = l.target "
            "JOIN read_parquet(?) c ON c.id = l.target JOIN read_parquet(?) t "
            "ON t.id = m.source WHERE l.source = ? AND l.score >= 0.05 "
            "ORDER BY link DESC, score DESC NULLS LAST, factor LIMIT 300",
            [
                file("tf__regulates__gene"), file("tf"), node[1],
                file("gene__linked_to__cre"), file("tf__binds__cre"), file("cre"),
                file("tf"), node[1],
                file("gene__linked_to__cre"), file("tf__motif_in__cre"), file("cre"),
                file("tf"), node[1],
            ],
        )  # fmt: skip
        if factors.empty:
            st.write("None known.")
        else:
            _table(factors, f"{gene_id}-factors", "factors")
            st.caption(
                "Binding and motifs: in elements with at least 5 % of its regulation."
            )
    contacts = _rows(
        "WITH own AS (SELECT target AS bin FROM read_parquet(?) WHERE source = ?), "
        "pairs AS (SELECT k.source AS own_bin, k.target AS far, k.contact_oe, k.loop "
        "FROM read_parquet(?) k WHERE k.source IN (SELECT bin FROM own) UNION ALL "
        "SELECT k.target, k.source, k.contact_oe, k.loop FROM read_parquet(?) k "
        "WHERE k.target IN (SELECT bin FROM own)) "
        "SELECT b.identifier AS \"contact bin\", max(p.contact_oe) AS \"observed/expected\", "
        "bool_or(p.loop) AS loop, string_agg(DISTINCT coalesce(g.symbol, g.identifier), ', ') "
        "AS \"genes there\" FROM pairs p JOIN read_parquet(?) b ON b.id = p.far "
        "LEFT JOIN read_parquet(?) m ON m.target = p.far "
        "LEFT JOIN read_parquet(?) g ON g.id = m.source "
        "GROUP BY b.identifier ORDER BY 2 DESC NULLS LAST LIMIT 100",
        [
            file("gene__in__contact_bin"), node[1],
            file("contact_bin__contacts__contact_bin"),
            file("contact_bin__contacts__contact_bin"), file("contact_bin"),
            file("gene__in__contact_bin"), file("gene"),
        ],
    )  # fmt: skip
    st.markdown("**Contacts of its place** (Hi-C, strongest over expectation)")
    if contacts.empty:
        st.write("None in the graph.")
    else:
        _table(contacts, f"{gene_id}-contacts", "contacts")


_KNOWLEDGE: Final = {
    "Pathways and terms": (
        "terms",
        "SELECT g.term_id AS term, any_value(t.name) AS name, any_value(t.namespace) AS "
        "namespace, g.role, g.evidence FROM gene_terms g LEFT JOIN terms t USING (term_id) "
        "WHERE g.gene_id = ? GROUP BY g.term_id, g.role, g.evidence ORDER BY ALL",
    ),
    "Interactions": (
        "interactions",
        "SELECT CASE WHEN gene_a = $1 THEN gene_b ELSE gene_a END AS gene, kind, "
        "CASE WHEN NOT directed THEN '' WHEN gene_a = $1 THEN 'acts on it' ELSE "
        "'acts on this gene' END AS direction, sign, score, evidence FROM interactions "
        "WHERE gene_a = $1 OR gene_b = $1 ORDER BY score DESC NULLS LAST, gene LIMIT 300",
    ),
    "Traits": (
        "traits",
        "SELECT g.phenotype_id AS trait, any_value(p.name) AS name, g.evidence, g.score "
        "FROM gene_phenotypes g LEFT JOIN phenotypes p USING (phenotype_id) "
        "WHERE g.gene_id = ? GROUP BY ALL ORDER BY ALL",
    ),
    "Orthologs": (
        "orthologs",
        "SELECT other_gene AS gene, other_species AS species, kind, ka, ks, ka / "
        'nullif(ks, 0) AS "Ka/Ks", identity FROM orthologs WHERE gene_id = ? ORDER BY ALL '
        "LIMIT 300",
    ),
    "Texts": (
        "texts",
        "SELECT title, text FROM texts WHERE subject_kind = 'gene' AND subject_id = ? "
        "ORDER BY ALL LIMIT 20",
    ),
}  # fmt: skip


def _draw_knowledge(found: Context, gene_id: str) -> None:
    missing = []
    for title, (key, query) in _KNOWLEDGE.items():
        frame = layers.table(found.workspace, query, [gene_id])
        if frame.empty:
            missing.append(title.lower())
            continue
        st.subheader(title)
        _table(frame, f"{gene_id}-{key}", key)
    if missing:
        st.caption(f"Nothing is registered for this gene under: {', '.join(missing)}.")
