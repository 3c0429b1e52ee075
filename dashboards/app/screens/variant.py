"""Variant card: every piece of evidence on one allele, with its source."""

import json
import re
from html import escape
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboards.app import (
    charts,
    exports,
    haplotypes,
    layers,
    links,
    navigation,
    picture,
    tables,
)
from dashboards.app.context import Context, context
from dashboards.app.filters import Filter
from dashboards.app.neighbourhood import Graph
from dashboards.app.scores import Scores
from dashboards.app.trails import trails
from dashboards.app.words import IMPACTS, consequence, label
from data_registry.errors import InputError, MissingLayerError
from variant_effect.alleles import STATUS_MEANINGS
from variant_effect.card import Card, card_as_json, explain_variant, read_variant
from variant_effect.preparation import prepare

_FASTA_FLANK_BP: Final = 100
_MOST_PATHS: Final = 12
_GROUP: Final = re.compile(r"([^;=]+)=(\d+)/(\d+)")

_print_button = st.components.v2.component(
    "cisgraph_print",
    html='<button type="button">Print or save as PDF</button>',
    css="""
button { font: inherit; font-family: var(--st-font); font-size: 0.9rem; cursor: pointer;
  color: var(--st-text-color); background: none; border-radius: var(--st-button-radius);
  border: 1px solid var(--st-border-color); padding: 6px 12px; }
button:hover, button:focus-visible { border-color: var(--st-primary-color); }
@media print { button { display: none; } }
""",
    js="""
export default function ({ parentElement }) {
  parentElement.querySelector("button").onclick = () => window.print();
}
""",
)


def show() -> None:
    """Draw the page."""
    found = context()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Variant", key=links.seed("w_variant", links.read("variant")), width=420,
            on_change=links.writes("variant", "w_variant"), placeholder="chr1:12345:A:G",
            help="chr:pos:ref:alt, 1-based, REF as the genome reads.",
        )  # fmt: skip
        asked = links.read("variant").strip()
        if asked:
            chrom, pos, _, _ = read_variant(asked)
            navigation.link(
                "region",
                "Its place",
                region=f"{chrom}:{max(pos - 2000, 1)}-{pos + 2000}",
            )
            navigation.link("graph", "Its neighbours", node=f"variant:{asked}")
            with st.container(key="noprint_print", width="content"):
                _print_button(key="print", width="content")
    if not asked:
        _suggest(found)
        return
    scores = found.scores()
    row = _row(found, scores, asked)
    _draw_head(scores, row)
    drawing = _draw_sequence(found, asked, row)
    if row is not None:
        left, right = st.columns(2)
        with left:
            _draw_context(scores, row)
        with right:
            _draw_groups(row)
        _draw_paths(found, row)
    card = _draw_evidence(found, asked)
    _offer(found, asked, card, drawing)


def _row(found: Context, scores: Scores | None, asked: str) -> dict[str, Any] | None:
    if scores is None:
        return None
    chrom, pos, ref, alt = read_variant(asked)
    row = scores.row(chrom, pos, ref, alt)
    if row is None:
        own = _own_contig(found.workspace, chrom)
        row = scores.row(own, pos, ref, alt) if own and own != chrom else None
    return row


def _own_contig(workspace: Path, name: str) -> str | None:
    with layers.opened(workspace) as store:
        return store.contig_names().resolve([name])[name]


def _suggest(found: Context) -> None:
    st.write("Write a variant above, or take one of these, the highest of this result:")
    scores = found.need_scores()
    sort = "prior_score" if "prior_score" in scores.columns else ""
    columns = tuple(
        c for c in ("chrom", "pos", "ref", "alt", "consequence") if c in scores.columns
    )
    top = scores.page(
        Filter(), scores.known(Filter()), columns=columns, sort=sort, limit=8
    )
    for row in tables.records(top):
        name = tables.allele_name(row)
        navigation.link(
            "variant", f"{name[:60]}  {row.get('consequence') or ''}", variant=name
        )


def summary(row: dict[str, Any], percentile: float | None) -> str:
    """Return what is known in one or two plain sentences."""
    what = consequence(row.get("consequence"))
    gene = row.get("symbol") or row.get("gene")
    parts = [f"This allele {_does(row)}" + (f" ({what})" if what else "") + "."]
    if gene and row.get("impact") in {"HIGH", "MODERATE", "LOW"}:
        parts[0] = (
            f"In {gene}: {row['consequence']}" + (f", {what}" if what else "") + "."
        )
    if row.get("motif_tf") and row.get("motif_change") in {"gain", "loss"}:
        verb = "makes" if row["motif_change"] == "gain" else "breaks"
        where = " inside a regulatory element" if row.get("cre_n") else ""
        parts.append(f"It {verb} a binding motif of {row['motif_tf']}{where}.")
    if row.get("panel_max_af") is not None:
        parts.append(f"Highest frequency of ALT in a panel: {row['panel_max_af']:.3f}.")
    if percentile is not None:
        parts.append(
            f"Its prior score is higher than that of {percentile:.1f} % of the scored "
            "alleles of this result."
        )
    return " ".join(parts)


def _does(row: dict[str, Any]) -> str:
    term = row.get("consequence") or "has no consequence on gene models"
    near = row.get("symbol") or row.get("gene")
    distance = (
        f", {row['distance']:,} bp from {near}" if row.get("distance") and near else ""
    )
    return f"is called {term}{distance}"


def _draw_head(scores: Scores | None, row: dict[str, Any] | None) -> None:
    if row is None:
        st.info(
            "This allele is not in the result chosen at the left"
            if scores else "Nothing has been scored in this workspace yet"
        )  # fmt: skip
        st.caption(
            "What the workspace says of it is worked out below, for this allele alone."
        )
        return
    if row["status"] != "scored":
        st.warning(
            f"**{row['status']}**: {STATUS_MEANINGS.get(row['status'], '')}",
            title="Not scored: we abstain",
        )
    score = row.get("prior_score")
    percentile = scores.percentile("prior_score", score) if scores else None
    st.markdown(summary(row, percentile))
    with st.container(horizontal=True, gap="large"):
        if score is not None:
            st.metric(
                "Prior score", f"{score:.3f}",
                help=f"Rests on: {row.get('prior_source') or 'weights set by hand'}. An "
                "ordering; see Help.",
            )  # fmt: skip
            st.metric("Percentile", "" if percentile is None else f"{percentile:.1f}")
        if row.get("impact"):
            st.metric("Impact", row["impact"], help=IMPACTS.get(row["impact"], ""))
        if gene := row.get("gene"):
            st.metric("Gene", row.get("symbol") or gene)
        if row.get("hgvs_p"):
            st.metric("Protein", row["hgvs_p"])
        elif row.get("hgvs_c"):
            st.metric("Transcript", row["hgvs_c"].split(":")[-1])
    if gene := row.get("gene"):
        navigation.link("gene", f"Gene {row.get('symbol') or gene}", gene=gene)


def _draw_sequence(
    found: Context, asked: str, row: dict[str, Any] | None
) -> str | None:
    chrom, pos, ref, alt = read_variant(asked)
    contig = _own_contig(found.workspace, chrom) or chrom
    genome = layers.genome(found.workspace)
    held = haplotypes.haplotypes(genome, contig, pos, ref, alt)
    if held is None:
        return None
    st.subheader("Sequence")
    read = genome.fetch(contig, pos - 1, pos - 1 + len(ref))
    if read != ref.upper():
        st.warning(
            f"The genome reads {read[:40]} here, not {ref[:40]}: check the assembly."
        )
        return None
    drawing, sites = haplotypes.draw(held, found.workspace, row)
    picture.show_picture(drawing, _stem(asked), key="sequence_picture")
    if row and row.get("motif_id"):
        words = f"{row['motif_change']} of {row['motif_tf']} ({row['motif_id']}), the motif that changes most; {row['motif_n']} gained or lost in all"
        missing = [name for name, site in sites.items() if site is None]
        if missing:
            words += f"; no site on {' or '.join(missing)}"
        st.caption(words)
    elif row is not None:
        st.caption("No registered motif changes here.")
    return drawing


def _draw_context(scores: Scores | None, row: dict[str, Any]) -> None:
    if scores is None or row.get("prior_score") is None:
        return
    st.subheader("The score in its context")
    term = str(row.get("consequence") or "").split("&")[0]
    same = Filter(consequence=(term,)) if term else Filter()
    held = scores.histogram("prior_score", same, scores.known(same))
    st.altair_chart(
        charts.distribution(held, "prior_score", row["prior_score"]),
        alt="Distribution of the prior score with this allele marked",
    )
    st.caption(
        f"grey: all scored alleles; green: the {held.n_chosen:,} with {term}; red: this one"
    )
    for name in ("markov_percentile", "lm_percentile"):
        if row.get(name) is not None:
            note = scores.columns[name]
            st.caption(f"{label(name)} {row[name]:.1f}: {note.meaning}")
    exports.offer_table(charts.histogram_table(held), f"{term}-scores", key="context")


def group_table(counts: str | None) -> pd.DataFrame:
    """Return copies of REF and ALT by panel and group."""
    rows = [
        {
            "group": name, "ALT copies": int(ac), "alleles called": int(an),
            "ALT frequency": int(ac) / int(an) if int(an) else None,
        }
        for name, ac, an in _GROUP.findall(counts or "")
    ]  # fmt: skip
    return pd.DataFrame(
        rows, columns=["group", "ALT copies", "alleles called", "ALT frequency"]
    )


def _draw_groups(row: dict[str, Any]) -> None:
    st.subheader("How common, by group")
    frame = group_table(row.get("panel_counts"))
    if frame.empty:
        st.write("No registered panel holds this allele.")
        return
    st.dataframe(
        frame, hide_index=True,
        column_config={
            "ALT copies": st.column_config.NumberColumn(width=70),
            "alleles called": st.column_config.NumberColumn(width=90),
            "ALT frequency": st.column_config.ProgressColumn(
                min_value=0.0, max_value=1.0, format="%.3f", width=120
            ),
        },
    )  # fmt: skip
    st.caption("Copies of ALT among alleles called; a diploid line counts twice.")
    exports.offer_table(frame, "frequencies", key="groups")


def _draw_paths(found: Context, row: dict[str, Any]) -> None:
    st.subheader("Paths through the graph")
    try:
        graph = Graph(found.workspace)
    except MissingLayerError as error:
        st.write(str(error))
        return
    frame, starts = trails(graph, row)
    st.caption(starts)
    if frame.empty:
        st.write("None.")
        return
    lines = [
        f"<div>{escape(row['path'])}</div><div class='cg-source'>{escape(row['rests on'])}</div>"
        for row in tables.records(frame.head(_MOST_PATHS))
    ]
    st.html("".join(lines))
    if len(frame) > _MOST_PATHS:
        st.caption(
            f"{_MOST_PATHS} of {len(frame)} are listed; the saved table has all."
        )
    exports.offer_table(frame, "paths", key="paths")


@st.cache_data(show_spinner="Gathering the evidence …", max_entries=200)
def _evidence(stamp: tuple[str, int, int], graph: str, variant: str) -> Card:  # noqa: ARG001
    with layers.opened(Path(stamp[0])) as store:
        return explain_variant(variant, store, prepare(store))


def _draw_evidence(found: Context, asked: str) -> Card:
    st.subheader("Evidence, statement by statement")
    try:
        graph = Graph(found.workspace).manifest.digest
    except MissingLayerError:
        graph = ""
    card = _evidence(layers.stamp(found.workspace), graph, asked)
    section = ""
    lines: list[str] = []
    for statement in card.statements:
        # A section is named once, beside its first statement.
        name = "" if statement.section == section else statement.section
        section = statement.section
        style = " class='cg-seq'" if section == "sequence" else ""
        lines.append(
            f"<div class='cg-section'>{escape(name)}</div><div>"
            f"<div{style}>{escape(statement.text)}</div>"
            f"<div class='cg-source'>{escape(statement.source)}</div></div>"
        )
    st.html(f"<div class='cg-evidence'>{''.join(lines)}</div>")
    return card


def card_page(card: Card, drawing: str | None) -> str:
    """Return the card as a page of its own, ready to print."""
    rows = "".join(
        f"<tr><td>{escape(s.section)}</td><td>{escape(s.text)}</td>"
        f"<td class='source'>{escape(s.source)}</td></tr>"
        for s in card.statements
    )
    score = "" if card.prior_score is None else f" · prior score {card.prior_score:.3f}"
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(card.variant)}</title><style>"
        "body{font:14px/1.45 'Source Sans 3',Helvetica,sans-serif;max-width:60rem;"
        "margin:2rem auto;padding:0 1rem;color:#22302e}"
        "td{vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #e4e0d7}"
        ".source{color:#6a7573;font-size:12px}figure{overflow-x:auto;margin:1rem 0}"
        "</style></head><body>"
        f"<h1>{escape(card.variant)}</h1><p>{escape(card.status)}{score}</p>"
        f"<figure>{drawing or ''}</figure><table>{rows}</table></body></html>"
    )


def _offer(found: Context, asked: str, card: Card, drawing: str | None) -> None:
    evidence = pd.DataFrame(
        [
            {"section": s.section, "text": s.text, "source": s.source}
            for s in card.statements
        ]
    )
    chrom, pos, ref, alt = read_variant(asked)
    contig = _own_contig(found.workspace, chrom) or chrom

    def fasta() -> bytes:
        held = haplotypes.haplotypes(
            layers.genome(found.workspace), contig, pos, ref, alt, flank=_FASTA_FLANK_BP
        )
        if held is None:
            raise InputError("this allele has no plain sequence")
        return exports.fasta_bytes(
            {
                f"{asked} REF {contig}:{held.first + 1}": held.reference,
                f"{asked} ALT {contig}:{held.first + 1}": held.alternative,
            }
        )

    exports.offer_files(
        f"card-{_stem(asked)}",
        {
            "html": lambda: card_page(card, drawing).encode(),
            "json": lambda: json.dumps(card_as_json(card), indent=1).encode(),
            "tsv": lambda: exports.table_bytes(evidence, "tsv"),
            "csv": lambda: exports.table_bytes(evidence, "csv"),
            "parquet": lambda: exports.table_bytes(evidence, "parquet"),
            "bed": lambda: exports.bed_bytes(
                [(contig, pos - 1, pos - 1 + max(len(ref), 1), asked,
                  round((card.prior_score or 0.0) * 1000), ".")]
            ),
            **({"fasta": fasta} if drawing else {}),
        },
        key="card",
    )  # fmt: skip


def _stem(variant: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", variant)[:80]
