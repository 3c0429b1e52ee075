"""Paths from an allele to what it may act on, as the graph has them."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from dashboards.app.neighbourhood import WEIGHTS, Edge, Graph, Node
from graph_builder.schema import EDGE_TYPES

_GENES: Final = 4
_ENDS: Final = 3
_STEPS: Final = (
    ("gene__member_of__pathway", _ENDS),
    ("gene__associated_with__phenotype", _ENDS),
)


def variant_identifier(contig: str, pos: int, ref: str, alt: str) -> str:
    """Return an allele's identifier in the graph: bases it shares are cut off.

    Parameters
    ----------
    pos
        1-based; REF and ALT as VCF has them, left-aligned.
    """
    ref, alt = ref.upper(), alt.upper()
    while ref and alt and ref[-1] == alt[-1] and min(len(ref), len(alt)) > 1:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt, pos = ref[1:], alt[1:], pos + 1
    return f"{contig}:{pos}:{ref or '-'}:{alt or '-'}"


def trails(graph: Graph, row: Mapping[str, Any]) -> tuple[pd.DataFrame, str]:
    """Return paths from an allele, and what they start from.

    Columns: path, one step a column (``element``, ``gene``, ``end``), and what each
    link rests on. An allele that is no node of the graph starts from its elements and
    its gene, as the result names them.
    """
    name = variant_identifier(
        row["chrom"], row.get("norm_pos") or row["pos"],
        row.get("norm_ref") or row["ref"], row.get("norm_alt") or row["alt"],
    )  # fmt: skip
    start = graph.find("variant", name)
    found: list[list[Edge]] = []
    starts = f"the allele is node {name} of the graph"
    if start is not None:
        elements = _at(graph, start, "variant__in__cre", 10)
        near = _at(graph, start, "variant__near__gene", _GENES)
    else:
        starts = (
            "the allele is no node of the graph (it holds alleles of panels, GWAS and "
            "score tables that lie in genes and elements): paths start from its elements"
        )
        elements, near = [], []
        for identifier in str(row.get("cre") or "").split(","):
            node = graph.find("cre", identifier) if ":" in identifier else None
            if node is not None:
                found += _onward(graph, [], node)
    for edge in elements:
        found += _onward(graph, [edge], edge.target)
    for edge in near:
        found += _ends(graph, [edge], edge.target)
    if start is not None:
        traits = _at(graph, start, "variant__associated_with__phenotype", 5)
        found += [[edge] for edge in traits]
    return _table(graph, found, name), starts


def _at(
    graph: Graph, node: Node, edge: str, limit: int, side: str = "source"
) -> list[Edge]:
    if edge not in graph.manifest.edges or not graph.manifest.edges[edge].count:
        return []
    return graph.edges_at([node[1]], edge, side, limit)[0]


def _onward(graph: Graph, so_far: list[Edge], element: Node) -> list[list[Edge]]:
    """From an element to its strongest genes and on."""
    links = _at(graph, element, "gene__linked_to__cre", _GENES, "target")
    found = []
    for link in links:
        found += _ends(graph, [*so_far, link], link.source)
    return found or ([so_far] if so_far else [])


def _ends(graph: Graph, so_far: list[Edge], gene: Node) -> list[list[Edge]]:
    found = []
    for name, limit in _STEPS:
        found += [[*so_far, edge] for edge in _at(graph, gene, name, limit)]
    return found or [so_far]


def _table(graph: Graph, found: list[list[Edge]], name: str) -> pd.DataFrame:
    nodes = {
        node for path in found for edge in path for node in (edge.source, edge.target)
    }
    names = graph.describe(nodes)
    rows = []
    for path in found:
        words, rests = [name], []
        here: Node | None = next(
            (n for n in (path[0].source, path[0].target) if n[0] == "variant"), None
        )
        if here is None:
            first = next(n for n in (path[0].source, path[0].target) if n[0] == "cre")
            here, words = first, [str(names[first]["label"])]
        for edge in path:
            there = edge.other(here)
            words.append(f"{names[there]['label']} ({there[0]})")
            what = WEIGHTS.get(edge.type, ("", ""))[1]
            weight = "" if edge.weight is None else f" {abs(edge.weight):.3g}"
            rests.append(
                f"{EDGE_TYPES[edge.type].relation.replace('_', ' ')}: {what}{weight}"
            )
            here = there
        rows.append({"path": " → ".join(words), "rests on": "; ".join(rests)})
    frame = pd.DataFrame(rows, columns=["path", "rests on"])
    return frame.drop_duplicates(ignore_index=True)
