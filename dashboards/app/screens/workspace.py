"""Workspace: sources with their counts, the graph, what is missing, and jobs."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app import exports, layers, navigation
from dashboards.app.context import Context, context
from dashboards.jobs import list_jobs
from data_registry.errors import WorkspaceError
from data_registry.store import Source
from data_registry.workspace import Workspace
from graph_builder.manifest import Manifest, current_graph, read_manifest
from graph_builder.schema import EDGE_TYPES, NODE_TYPES

_STARTS = {
    navigation.GENETICIST: (
        (
            "region",
            "Look at a place",
            "genes, elements, tracks and variants side by side",
        ),
        (
            "variants",
            "Filter all variants",
            "by consequence, element, motif, score, group",
        ),
        ("graph", "Follow the links", "from a variant to elements, genes and pathways"),
    ),
    navigation.BREEDER: (
        (
            "score",
            "Score your lines",
            "give a VCF; every allele gets a score or a reason",
        ),
        (
            "variants",
            "Find what matters",
            "high scores, and how common they are by group",
        ),
        ("gene", "Look up a gene", "what varies in it, and what is known of it"),
    ),
}


def show() -> None:
    """Draw the page."""
    found = context()
    with st.container(horizontal=True, gap="medium"):
        for name, title, what in _STARTS[found.door]:
            with st.container(border=True, width=300):
                navigation.link(name, title)
                st.caption(what)
    stamp = layers.stamp(found.workspace)
    facts = _facts(stamp)
    manifest = _manifest(found.workspace)
    with st.container(horizontal=True, gap="large"):
        st.metric("Assembly", facts["assembly"] or "none")
        st.metric("Contigs", f"{facts['contigs']:,}")
        st.metric("Bases", f"{facts['bases']:,}")
        st.metric("Genes", f"{facts['genes']:,}")
        st.metric("Panel alleles", f"{facts['panel_alleles']:,}")
        st.metric("Sources", f"{facts['sources']:,}")
        if found.result:
            st.metric("Scored alleles", f"{found.need_scores().accounting['scored']:,}")
    _show_sources(found)
    _show_graph(found, manifest)
    _show_missing(found, manifest)
    _show_jobs(found)


@st.cache_data(show_spinner=False, max_entries=20)
def _facts(stamp: tuple[str, int, int]) -> dict[str, Any]:
    workspace = Path(stamp[0])
    (row,) = layers.ask(
        workspace,
        "SELECT (SELECT count(*) FROM contigs) AS contigs, "
        "(SELECT coalesce(sum(length), 0)::BIGINT FROM contigs) AS bases, "
        "(SELECT count(*) FROM genes) AS genes, "
        "(SELECT count(*) FROM panel_frequencies WHERE group_name = '') AS panel_alleles",
    )
    current = layers.sources(workspace)
    genomes = [s.options.get("assembly", s.name) for s in current if s.kind == "genome"]
    return {**row, "sources": len(current), "assembly": ", ".join(genomes)}


def _manifest(workspace: Path) -> Manifest | None:
    folder = current_graph(Workspace(workspace).graph)
    if folder is None:
        return None
    try:
        return read_manifest(folder)
    except WorkspaceError as error:
        st.warning(str(error))
        return None


def source_table(current: list[Source]) -> pd.DataFrame:
    """Return the sources as a table: kept plus left out is read."""
    return pd.DataFrame(
        [
            {
                "name": s.name, "kind": s.kind, "version": s.version,
                "licence": s.licence or "not stated", "rows read": s.rows_read,
                "rows kept": s.rows_kept, "left out": sum(s.left_out.values()),
                "why left out": "; ".join(
                    f"{reason} {n:,}" for reason, n in sorted(s.left_out.items())
                ),
                "file": Path(s.path).name, "sha256": s.sha256[:12],
                "added": s.added_at.date(), "citation": s.citation,
            }
            for s in current
        ]
    )  # fmt: skip


def _show_sources(found: Context) -> None:
    st.subheader("Sources")
    current = layers.sources(found.workspace)
    frame = source_table(current)
    if frame.empty:
        st.info("Nothing is registered yet: 'cisgraph add GENOME.fa -w ...'.")
        return
    event = st.dataframe(
        frame, hide_index=True, key="sources", on_select="rerun",
        selection_mode="single-row", height=min(38 + 35 * len(frame), 420),
        column_config={
            "licence": st.column_config.TextColumn(help="As stated when it was added."),
            "rows kept": st.column_config.NumberColumn(format="localized"),
            "rows read": st.column_config.NumberColumn(format="localized"),
            "left out": st.column_config.NumberColumn(
                format="localized", help="Rows read minus rows kept, by reason."
            ),
        },
        alt="Registered sources with version, licence and counts",
    )  # fmt: skip
    exports.offer_table(frame, f"{found.name}-sources", key="sources")
    rows = event["selection"]["rows"]
    if not rows or rows[0] >= len(current):
        st.caption("Choose a row to see the rows it lost, its notes and its checksums.")
        return
    source = current[rows[0]]
    with st.container(border=True):
        st.markdown(f"**{source.name}** · {source.kind}, version {source.version}")
        for note in source.notes:
            st.caption(note)
        st.caption(
            f"{source.path} · {source.size_bytes:,} bytes · sha256 `{source.sha256}`"
            + (f" · options {json.dumps(source.options)}" if source.options else "")
        )
        lost = layers.left_out(found.workspace, source)
        if lost.empty:
            st.write("No row was left out.")
            return
        st.write(
            f"{sum(source.left_out.values()):,} rows left out; examples of each reason:"
        )
        st.dataframe(lost, hide_index=True, height=240)
        exports.offer_table(lost, f"{source.name}-left-out", key="left_out")


def _show_graph(found: Context, manifest: Manifest | None) -> None:
    st.subheader("Graph")
    if manifest is None:
        st.info(
            f"No graph is built yet: 'cisgraph build -w {found.name}'. It adds target "
            "genes, contacts and paths to what is known of a variant."
        )
        return
    registered = {(s.name, s.sha256) for s in layers.sources(found.workspace)}
    behind = {(s.name, s.sha256) for s in manifest.sources}
    st.caption(f"digest `{manifest.digest}` · built by version {manifest.version}")
    if registered != behind:
        changed = sorted({name for name, _ in registered ^ behind})
        st.warning(
            f"The graph is older than the sources ({', '.join(changed[:6])}): build it "
            f"again with 'cisgraph build -w {found.name}'."
        )
    nodes, edges = (
        pd.DataFrame(
            [
                {
                    "type": name.replace("__", " – "), "count": record.count,
                    "left out": sum(record.left_out.values()),
                    "meaning": types[name].meaning if name in types else "",
                }
                for name, record in records.items()
            ]
        )
        for records, types in ((manifest.nodes, NODE_TYPES), (manifest.edges, EDGE_TYPES))
    )  # fmt: skip
    left, right = st.columns([2, 3])
    with left:
        st.markdown(f"**{nodes['count'].sum():,} nodes**")
        _counts(nodes, "nodes")
    with right:
        st.markdown(f"**{edges['count'].sum():,} edges**")
        _counts(edges, "edges")
    both = pd.concat([nodes.assign(what="node"), edges.assign(what="edge")])
    exports.offer_table(both, f"{found.name}-graph", key="graph")


def _counts(frame: pd.DataFrame, key: str) -> None:
    st.dataframe(
        frame, hide_index=True, key=f"counts_{key}", height=318,
        column_config={
            "count": st.column_config.NumberColumn(format="localized", width="small"),
            "left out": st.column_config.NumberColumn(format="localized", width="small"),
        },
    )  # fmt: skip


def missing_table(manifest: Manifest | None) -> pd.DataFrame:
    """Return graph types that are empty: what they would add, and what fills them."""
    rows = []
    for one in manifest.missing if manifest else ():
        kind = NODE_TYPES.get(one.type) or EDGE_TYPES.get(one.type)
        rows.append(
            {
                "missing": one.type.replace("__", " – "),
                "would add": kind.meaning if kind else "",
                "why": one.problem, "remedy": one.remedy,
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=["missing", "would add", "why", "remedy"])


def _show_missing(found: Context, manifest: Manifest | None) -> None:
    st.subheader("Missing, and what it would add")
    frame = missing_table(manifest)
    scores = found.scores()
    sentences = scores.missing_layers if scores else []
    if frame.empty and not sentences:
        st.write("Nothing that we know how to use.")
        return
    for sentence in sentences:
        st.markdown(f"- {sentence}")
    if not frame.empty:
        st.dataframe(frame, hide_index=True, height=min(38 + 35 * len(frame), 300))
        exports.offer_table(frame, f"{found.name}-missing", key="missing")


def job_table(workspace: Path) -> pd.DataFrame:
    """Return the jobs of a workspace, newest first."""
    return pd.DataFrame(
        [
            {
                "job": job.id, "file": job.request.name, "state": job.state,
                "stage": job.stage, "records": job.done, "of": job.total,
                "problem": job.problem,
            }
            for job in list_jobs(workspace)
        ],
        columns=["job", "file", "state", "stage", "records", "of", "problem"],
    )  # fmt: skip


@st.fragment(run_every=3.0)
def _show_jobs(found: Context) -> None:
    st.subheader("Jobs")
    frame = job_table(found.workspace)
    if frame.empty:
        st.write("None yet.")
        return
    st.dataframe(frame, hide_index=True, height=min(38 + 35 * len(frame), 300))
    exports.offer_table(frame, f"{found.name}-jobs", key="jobs")
