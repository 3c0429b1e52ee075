"""A neighbourhood drawn by Cytoscape (st-link-analysis); a click on a node is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from dashboards.app.neighbourhood import WEIGHTS, Edge, Node
from dashboards.app.theme import NODE_COLOURS, QUIET
from data_registry.errors import MissingOptionalError
from graph_builder.schema import EDGE_TYPES

LAYOUTS: Final = {
    "fcose": "by links", "concentric": "in rings", "breadthfirst": "as a tree",
}  # fmt: skip
_MOST_NAME: Final = 26


@dataclass(frozen=True, slots=True)
class _Style:
    """A rule of Cytoscape, in the form the component asks its styles for."""

    selector: str
    style: Mapping[str, Any]

    def dump(self) -> dict[str, Any]:
        return {"selector": self.selector, "style": dict(self.style)}


def node_key(node: Node) -> str:
    """Return a node's name in the picture."""
    return f"{node[0]}:{node[1]}"


def graph_view(
    nodes: Mapping[Node, Mapping[str, Any]],
    edges: Sequence[Edge],
    centres: Sequence[Node],
    *,
    layout: str,
    height: int,
    key: str,
) -> Node | None:
    """Draw nodes and edges; return the node clicked since the last run, or None.

    Raises
    ------
    MissingOptionalError
        st-link-analysis is not installed.
    """
    try:
        from st_link_analysis import Event, st_link_analysis
    except ModuleNotFoundError as error:
        raise MissingOptionalError(
            "the graph view needs the 'st-link-analysis' package: "
            "pip install 'cisgraph[dashboard]'"
        ) from error
    thickest = {
        name: max((abs(e.weight) for e in edges if e.type == name and e.weight), default=1.0)
        for name in {e.type for e in edges}
    }
    elements = {
        "nodes": [
            {
                "data": {
                    "id": node_key(node), "label": node[0],
                    "name": _short(str(held["label"])), "identifier": held["identifier"],
                    "is_centre": node in centres,
                    **_attributes(held),
                }
            }
            for node, held in nodes.items()
        ],
        "edges": [
            {
                "data": {
                    "id": f"e{i}", "label": EDGE_TYPES[e.type].relation.replace("_", " "),
                    "source": node_key(e.source), "target": node_key(e.target),
                    "thickness": 1.0 + 4.0 * abs(e.weight or 0.0) / thickest[e.type],
                    "directed": not EDGE_TYPES[e.type].symmetric,
                    "type": e.type.replace("__", " – "),
                    **({} if e.weight is None else {
                        "weight": f"{e.weight:.4g}", "weight is": WEIGHTS[e.type][1]
                    }),
                }
            }
            for i, e in enumerate(edges)
        ],
    }  # fmt: skip
    node_styles = [
        _Style(
            f"node[label='{name}']",
            {"background-color": colour, "label": "data(name)", "font-size": 10,
             "width": 18, "height": 18},
        )
        for name, colour in NODE_COLOURS.items()
    ]  # fmt: skip
    node_styles.append(_Style(
        "node[?is_centre]",
        {"width": 30, "height": 30, "border-width": 3, "border-color": "#22302e",
         "font-weight": "bold"},
    ))  # fmt: skip
    edge_styles = [
        _Style("edge", {"width": "data(thickness)", "line-color": QUIET,
                        "target-arrow-color": QUIET, "font-size": 8}),
        _Style("edge[?directed]", {"target-arrow-shape": "triangle"}),
        _Style("edge[label]", {"label": "data(label)", "text-opacity": 0.75}),
    ]  # fmt: skip
    told = st_link_analysis(
        elements, layout={"name": layout, "animate": False, "fit": True, "padding": 24,
                          "nodeDimensionsIncludeLabels": True},
        node_styles=node_styles, edge_styles=edge_styles, height=height, key=key,
        events=[Event("chosen", "dblclick dbltap", "node")],
    )  # fmt: skip
    return _chosen(told, nodes, key)


def _chosen(told: Any, nodes: Mapping[Node, Any], key: str) -> Node | None:  # noqa: ANN401
    """Read what the component told; the same message comes with every run after it."""
    if not isinstance(told, dict) or told.get("action") != "chosen":
        return None
    mark = f"{key}_heard"
    if st.session_state.get(mark) == told.get("timestamp"):
        return None
    st.session_state[mark] = told.get("timestamp")
    wanted = str(told.get("data", {}).get("target_id", ""))
    return next((node for node in nodes if node_key(node) == wanted), None)


def _attributes(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the side panel shows of a node: values that are there, kept short."""
    skipped = {"id", "identifier", "label", "name", "text"}
    return {
        name: _short(value, 160) if isinstance(value, str) else value
        for name, value in held.items()
        if name not in skipped and value is not None and value == value
    }


def _short(text: str, most: int = _MOST_NAME) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
