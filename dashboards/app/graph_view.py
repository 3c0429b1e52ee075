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
_MOST_LABELLED: Final = 30

_save = st.components.v2.component(
    "cisgraph_save_drawing",
    html='<button type="button">Save PNG</button>',
    css="""
button { font: inherit; font-family: var(--st-font); font-size: 0.85rem; cursor: pointer;
  color: var(--st-text-color); background: none; border: none; padding: 2px 0; opacity: 0.7; }
button:hover, button:focus-visible { opacity: 1; text-decoration: underline; }
""",
    js="""
// Cytoscape draws on canvases laid over each other, in a frame of this same server.
export default function ({ data, parentElement }) {
  parentElement.querySelector("button").onclick = () => {
    const frame = document.querySelector('iframe[title^="st_link_analysis"]');
    const layers = [...frame.contentDocument.querySelectorAll("#cy canvas")];
    const whole = document.createElement("canvas");
    whole.width = Math.max(...layers.map((one) => one.width));
    whole.height = Math.max(...layers.map((one) => one.height));
    const brush = whole.getContext("2d");
    brush.fillStyle = data.paper;
    brush.fillRect(0, 0, whole.width, whole.height);
    layers.reverse().forEach((one) => { if (one.width) brush.drawImage(one, 0, 0); });
    whole.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${data.name}.png`;
      link.click();
    });
  };
}
""",
)


def save_button(name: str) -> None:
    """Draw a button that saves the drawing as it stands, moved and zoomed, as PNG."""
    is_dark = st.context.theme.type == "dark"
    paper = "#161c1d" if is_dark else "#ffffff"
    _save(key="save_drawing", data={"name": name, "paper": paper})


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
    spans = _spans(edges)
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
                    "thickness": 0.8 + 2.6 * _share(e, spans),
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
        *(
            [_Style(f"edge[label='{name}']", {"label": "data(label)", "font-size": 8,
                                              "text-rotation": "autorotate"})
             for name in {EDGE_TYPES[e.type].relation.replace("_", " ") for e in edges}]
            if len(edges) <= _MOST_LABELLED else []
        ),
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


def _spans(edges: Sequence[Edge]) -> dict[str, tuple[float, float]]:
    """Return the least and largest weight of each edge type."""
    held: dict[str, list[float]] = {}
    for edge in edges:
        if edge.weight is not None:
            held.setdefault(edge.type, []).append(edge.weight)
    return {name: (min(weights), max(weights)) for name, weights in held.items()}


def _share(edge: Edge, spans: Mapping[str, tuple[float, float]]) -> float:
    """Return a weight's place between the least and largest of its type, 0 to 1."""
    if edge.weight is None:
        return 0.0
    low, high = spans[edge.type]
    return (edge.weight - low) / (high - low) if high > low else 0.5


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
