"""New variants attached to a stored graph by where they lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from graph_builder.intervals import Spans, overlap_pairs
from graph_builder.manifest import read_manifest
from models.graph.network import NEAR, Queries
from models.graph.structure import EdgeKey, Edges, Nodes

NEAR_BP = 1_000
"""A gene this near is a candidate."""
MOST_LINKED = 5
"""Genes an element makes candidates, the strongest links first."""
IN_CRE: EdgeKey = ("cre", "holds", "variant")
IN_BIN: EdgeKey = ("contact_bin", "holds", "variant")
ATTRIBUTES: Mapping[EdgeKey, tuple[str, ...]] = {
    NEAR: ("to_start_bp", "outside_bp", "inside", "link_score"),
    IN_CRE: ("from_centre_bp",),
    IN_BIN: (),
}
"""Of edges into a variant. ``to_start_bp`` is signed, negative upstream of the gene on its
strand; ``outside_bp`` is 0 within the gene; ``link_score`` is the strongest link of an
element that holds the variant, missing where none is linked."""

Ints = NDArray[np.int64]
Texts = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the nodes of a stored graph lie, 0-based half-open.

    Parameters
    ----------
    contigs
        Contig to its number in the spans.
    gene, cre, contact_bin
        In the order of their ids.
    tss, is_reverse
        Of the genes.
    link_gene, link_cre, link_score
        Links of genes to elements, strongest first.
    """

    contigs: Mapping[str, int]
    gene: Spans
    cre: Spans
    contact_bin: Spans
    tss: Ints
    is_reverse: NDArray[np.bool_]
    link_gene: Ints
    link_cre: Ints
    link_score: NDArray[np.float64]

    @classmethod
    def read(cls, graph: Path) -> Self:
        """Read them from a graph folder.

        Raises
        ------
        WorkspaceError
            There is no readable graph.
        """
        manifest = read_manifest(graph)
        tables = {n: manifest.table(n) for n in ("gene", "cre", "contact_bin")}
        names = sorted({c for t in tables.values() for c in t["contig"].to_pylist()})
        contigs = {name: i for i, name in enumerate(names)}
        spans = {
            name: Spans(
                np.array([contigs[c] for c in t["contig"].to_pylist()], np.int64),
                t["start"].to_numpy().astype(np.int64),
                t["end"].to_numpy().astype(np.int64),
            )
            for name, t in tables.items()
        }
        links = manifest.table("gene__linked_to__cre")
        score = links["score"].to_numpy()
        order = np.argsort(-score, kind="stable")
        return cls(
            contigs, spans["gene"], spans["cre"], spans["contact_bin"],
            tables["gene"]["tss"].to_numpy().astype(np.int64),
            np.array([s == "-" for s in tables["gene"]["strand"].to_pylist()], bool),
            links["source"].to_numpy()[order], links["target"].to_numpy()[order],
            score[order],
        )  # fmt: skip

    def spans_of(self, contig: Texts, start: Ints, end: Ints) -> Spans:
        """Number the contigs of variants; -1 on a contig that the graph lacks."""
        names, code = np.unique(contig.astype(str), return_inverse=True)
        number = np.array([self.contigs.get(n, -1) for n in names.tolist()], np.int64)
        # An insertion lies between two bases; it touches the one before.
        return Spans(number[code.ravel()], start, np.maximum(end, start + 1))


def attach(places: Places, contig: Texts, start: Ints, end: Ints, nodes: Nodes) -> Queries:  # fmt: skip
    """Give each variant its edges; what one gets does not depend on the others.

    Parameters
    ----------
    contig, start, end
        ``(n,)`` of the variants, 0-based half-open.
    nodes
        The variants' attributes.
    """
    spans = places.spans_of(contig, start, end)
    n = len(spans)
    known = np.flatnonzero(spans.contig >= 0)
    mine = Spans(spans.contig[known], spans.start[known], spans.end[known])
    in_cre, cre = overlap_pairs(mine, places.cre)
    in_bin, bin_ = overlap_pairs(mine, places.contact_bin)
    wide = Spans(mine.contig, np.maximum(mine.start - NEAR_BP, 0), mine.end + NEAR_BP)
    near, gene = overlap_pairs(wide, places.gene)
    variant, candidate, link = _candidates(places, near, gene, in_cre, cre)
    at, first, last = known[variant], mine.start[variant], mine.end[variant]
    to_start = first - places.tss[candidate]
    to_start = np.where(places.is_reverse[candidate], -to_start, to_start)
    gene_start, gene_end = places.gene.start[candidate], places.gene.end[candidate]
    outside = np.maximum(np.maximum(gene_start - last + 1, first - gene_end + 1), 0)
    pairs = np.column_stack([to_start, outside, outside == 0, link])
    centre = (places.cre.start[cre] + places.cre.end[cre]) // 2
    offset = (mine.start[in_cre] - centre)[:, None]
    return Queries(
        nodes,
        {
            NEAR: _edges(candidate, at, n, pairs),
            IN_CRE: _edges(cre, known[in_cre], n, offset),
            IN_BIN: _edges(bin_, known[in_bin], n, np.zeros((len(bin_), 0))),
        },
    )


def _candidates(
    places: Places, near: Ints, gene: Ints, in_cre: Ints, cre: Ints
) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Join genes nearby with those linked to the variants' elements.

    Returns
    -------
    tuple of numpy.ndarray
        Variant, gene, and the strongest link, NaN without one; sorted, distinct.
    """
    order = np.argsort(places.link_cre, kind="stable")  # strongest first within each
    linked = places.link_cre[order]
    low = np.searchsorted(linked, cre, side="left")
    high = np.minimum(np.searchsorted(linked, cre, side="right"), low + MOST_LINKED)
    owner = np.repeat(np.arange(len(cre)), high - low)
    at = np.arange(len(owner)) - np.repeat(
        np.cumsum(high - low) - (high - low), high - low
    )
    row = order[np.repeat(low, high - low) + at]
    variant = np.concatenate([near, in_cre[owner]])
    candidate = np.concatenate([gene, places.link_gene[row]])
    score = np.concatenate([np.full(len(near), np.nan), places.link_score[row]])
    # sorted so that of one pair the strongest link comes first, NaN last
    order = np.lexsort((-score, candidate, variant))
    variant, candidate, score = variant[order], candidate[order], score[order]
    first = np.r_[True, (np.diff(variant) != 0) | (np.diff(candidate) != 0)]
    first = first[: len(variant)]
    return variant[first], candidate[first], score[first]


def _edges(source: Ints, target: Ints, n: int, x: NDArray[np.floating]) -> Edges:
    known = torch.from_numpy(~np.isnan(x.astype(float)))
    values = torch.from_numpy(np.arcsinh(np.nan_to_num(x.astype(float)))).float()
    return Edges.of(
        torch.from_numpy(source), torch.from_numpy(target), n, values, known
    )
