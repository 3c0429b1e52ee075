"""Graph: the neighbourhood of a node, and shortest paths between two."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboards.app import exports, links, navigation
from dashboards.app.context import context
from dashboards.app.graph_view import LAYOUTS, graph_view, save_button
from dashboards.app.neighbourhood import (
    MOST_NODES,
    QUIET_EDGES,
    Edge,
    Graph,
    Node,
    edge_table,
)
from dashboards.app.theme import NODE_COLOURS
from dashboards.app.trails import variant_identifier
from data_registry.errors import InputError
from graph_builder.schema import EDGE_TYPES, NODE_TYPES
from variant_effect.card import read_variant

_KINDS: Final = (
    "variant",
    "gene",
    "cre",
    "tf",
    "pathway",
    "phenotype",
    "contact_bin",
    "text",
)
_HEIGHT: Final = 560


def show() -> None:
    """Draw the page."""
    found = context()
    graph = Graph(found.workspace)
    kind, text = _asked("node")
    if not text and links.read("gene"):
        kind, text = "gene", links.read("gene")
    elif not text and links.read("variant"):
        kind, text = "variant", links.read("variant")
    kind, text = _ask_node(kind, text)
    start = _find(graph, kind, text)
    if start is None:
        _suggest(graph, kind, text)
        return
    hops, chosen, layout = _ask_edges(graph)
    goal = _ask_goal(graph)
    if goal is not None:
        paths = graph.paths(start, goal, edge_types=chosen, hops=4)
        edges = list(dict.fromkeys(edge for path in paths for edge in path))
        nodes = [start, goal, *(n for e in edges for n in (e.source, e.target))]
        _say_paths(paths)
        left_out: Mapping[str, int] = {}
    else:
        held = graph.around(start, hops=hops, edge_types=chosen)
        edges, nodes, left_out = held.edges, list(held.distance), held.left_out
    names = graph.describe(dict.fromkeys(nodes))
    centres = [start] if goal is None else [start, goal]
    _draw_legend({node[0] for node in names})
    clicked = graph_view(
        names, edges, centres, layout=layout, height=_HEIGHT,
        key=f"graph_{start}_{goal}_{hops}_{layout}_{hash(tuple(chosen))}",
    )  # fmt: skip
    save_button(f"graph-{start[0]}-{names[start]['label']}"[:80])
    if clicked is not None and clicked != start:
        links.write(node=_written(clicked, names), to=None)
        st.rerun()
    st.caption(
        f"{len(names):,} nodes, {len(edges):,} edges; thickness: weight within its type. "
        "One click shows a node's attributes, two make it the centre."
    )
    if left_out:
        st.caption("Not drawn, weaker or beyond the limit: " + ", ".join(
            f"{n:,} {name.replace('__', ' – ')}" for name, n in sorted(left_out.items())
        ))  # fmt: skip
    _draw_tables(start, edges, names)


def _asked(name: str) -> tuple[str, str]:
    kind, _, text = links.read(name).partition(":")
    return (kind, text) if kind in NODE_TYPES else ("gene", "")


def _ask_node(kind: str, text: str) -> tuple[str, str]:
    def write() -> None:
        links.write(
            node=f"{st.session_state['w_node_kind']}:{st.session_state['w_node'].strip()}",
            to=None,
        )

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Around a", _KINDS, key=links.seed("w_node_kind", kind), on_change=write,
            width=150, format_func=lambda name: name.replace("_", " "),
        )  # fmt: skip
        st.text_input(
            "identifier or name", key=links.seed("w_node", text), on_change=write, width=320,
            help="Written as the graph does; a part of a name gives suggestions.",
        )  # fmt: skip
        if kind == "gene" and text:
            navigation.link("gene", "Open the gene", gene=text)
        if kind == "variant" and text:
            navigation.link("variant", "Open the card", variant=text)
    return kind, text


def _find(graph: Graph, kind: str, text: str) -> Node | None:
    if not text:
        return None
    found = graph.find(kind, text)
    if found is None and kind == "variant":
        try:
            found = graph.find(kind, variant_identifier(*read_variant(text)))
        except InputError:
            return None
    return found


def _suggest(graph: Graph, kind: str, text: str) -> None:
    found = graph.search(kind, text, limit=24)
    if not found:
        st.warning(f"The graph holds no {kind.replace('_', ' ')} like {text!r}.")
        if kind == "variant":
            st.caption(
                "It holds alleles of panels, GWAS and score tables that lie in genes and "
                "elements; look at the variant's gene or element instead."
            )
        return
    st.write("Choose one:" if text else f"For instance a {kind.replace('_', ' ')}:")
    names = graph.describe([node for node, _ in found])
    with st.container(horizontal=True):
        for node, name in found:
            navigation.link("graph", name, node=_written(node, names))


def _written(node: Node, names: Mapping[Node, Mapping[str, Any]]) -> str:
    return f"{node[0]}:{names[node]['identifier']}"


def _ask_edges(graph: Graph) -> tuple[int, list[str], str]:
    there = graph.edge_types()
    usual = [name for name in there if name not in QUIET_EDGES]
    asked = [name for name in links.read_all().get("edge", []) if name in there]
    hops = links.read("hops", "1")
    hops = hops if hops in {"1", "2", "3"} else "1"
    layout = links.read("layout", "fcose")
    layout = layout if layout in LAYOUTS else "fcose"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Hops", ["1", "2", "3"], key=links.seed("w_hops", hops), required=True,
            on_change=links.writes("hops", "w_hops"),
            help=f"Links away from the centre; at most {MOST_NODES} nodes are drawn.",
        )  # fmt: skip
        st.segmented_control(
            "Laid out", list(LAYOUTS), key=links.seed("w_layout", layout), required=True,
            on_change=links.writes("layout", "w_layout"), format_func=LAYOUTS.__getitem__,
        )  # fmt: skip
        with st.popover("Edge types", icon=":material/tune:"):
            st.multiselect(
                "Edge types", there, key=links.seed("w_edge", asked or usual),
                on_change=links.writes("edge", "w_edge"),
                format_func=lambda name: name.replace("__", " – ").replace("_", " "),
                help="  \n".join(
                    f"**{name.replace('__', ' – ')}**: {EDGE_TYPES[name].meaning}"
                    for name in there
                ),
            )  # fmt: skip
    return int(hops), asked or usual, layout


def _ask_goal(graph: Graph) -> Node | None:
    kind, text = _asked("to")

    def write() -> None:
        name = st.session_state["w_to"].strip()
        links.write(to=f"{st.session_state['w_to_kind']}:{name}" if name else None)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Path to a", _KINDS, key=links.seed("w_to_kind", kind), on_change=write,
            width=150, format_func=lambda name: name.replace("_", " "),
        )  # fmt: skip
        st.text_input(
            "identifier or name of the other end", key=links.seed("w_to", text),
            on_change=write, width=320, placeholder="none: the neighbourhood is drawn",
        )  # fmt: skip
    if not text:
        return None
    goal = _find(graph, kind, text)
    if goal is None:
        near = ", ".join(name for _, name in graph.search(kind, text, limit=6))
        raise InputError(
            f"the graph holds no {kind} {text!r}"
            + (f"; near it: {near}" if near else "")
        )
    return goal


def _say_paths(paths: Sequence[Sequence[Edge]]) -> None:
    if not paths:
        st.warning("No path of at most 4 edges of these types joins them.")
    else:
        st.caption(
            f"{len(paths)} shortest paths of {len(paths[0])} edges (at most 10 shown)"
        )


def _draw_legend(kinds: set[str]) -> None:
    st.html(
        "<div style='font-size:.82rem'>"
        + " ".join(
            f"<span style='margin-right:1rem'><span style='display:inline-block;width:.7rem;"
            f"height:.7rem;border-radius:50%;background:{colour};margin-right:.3rem'></span>"
            f"{name.replace('_', ' ')}</span>"
            for name, colour in NODE_COLOURS.items()
            if name in kinds
        )
        + "</div>"
    )


def _draw_tables(
    start: Node, edges: Sequence[Edge], names: Mapping[Node, Mapping[str, Any]]
) -> None:
    frame = edge_table(edges, names)
    st.subheader("Edges")
    st.dataframe(frame, hide_index=True, height=320, placeholder="")
    nodes = pd.DataFrame(
        [
            {"type": node[0], **{k: v for k, v in held.items() if k != "id"}}
            for node, held in names.items()
        ]
    )
    stem = f"graph-{start[0]}-{names[start]['identifier']}"[:90].replace(":", "_")
    exports.offer_files(
        stem,
        {
            f"{what}.{form}": partial(exports.table_bytes, table, form)
            for what, table in (("edges", frame), ("nodes", nodes))
            for form in ("csv", "tsv", "parquet")
        },
        key="graph_tables",
    )
