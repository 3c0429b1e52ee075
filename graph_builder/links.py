"""Links of genes to regulatory elements: activity-by-contact, or decay with distance.

The score of an element for a gene is its share of activity times contact among all
elements within reach of the gene's start::

    score(e, g) = A(e) C(e, g) / sum over e' of A(e') C(e', g)

(Fulco et al. 2019, Nature Genetics 51:1664, equation 1). ``C`` comes, gene by gene,
from the first of these that is known:

1. Hi-C: the observed contact of the element's and the start's bin, plus a pseudocount
   equal to the expected contact at the window's edge (Fulco 2019, Methods); within one
   bin, and where a bin has no data, the expected contact at the distance;
2. decay: ``(max(d, floor) / floor) ** -exponent``.

``A`` is the element's activity where a signal layer is registered and else 1. The
evidence of each link says which of these were used.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph_builder.contacts import ContactMap
from graph_builder.intervals import Ints, Spans, overlap_pairs, sum_groups

Floats = NDArray[np.float64]

EVIDENCE = (
    "activity_by_contact",
    "activity_by_expected_contact",
    "contact",
    "expected_contact",
    "activity_by_distance",
    "distance",
)


@dataclass(frozen=True, slots=True)
class Links:
    """Gene-element pairs as columns of one length, sorted by gene, then element."""

    gene: Ints
    element: Ints
    distance_bp: Ints
    score: Floats
    contact: Floats
    contact_oe: Floats
    evidence: NDArray[np.int64]
    is_nearest: NDArray[np.bool_]
    n_below: int


def link_elements(
    tss: Spans,
    elements: Spans,
    activity: Floats | None,
    contact_map: ContactMap | None,
    contig_names: NDArray[Any],
    *,
    window_bp: int,
    min_score: float,
    decay_exponent: float,
    decay_floor_bp: int,
) -> Links:
    """Score all elements within reach of each gene's start.

    Parameters
    ----------
    tss
        Starts of genes, one base each.
    activity
        Activity of each element; None without a signal layer.
    contig_names
        Name of the contig of each gene, for the contact map.
    window_bp
        Reach from a gene's start to the element's nearest base.
    min_score
        Smaller scores are left out and counted in ``n_below``, unless the start lies in
        the element or no start is nearer to it.
    """
    near = Spans(
        tss.contig,
        np.maximum(tss.start - window_bp, 0),
        tss.start + 1 + window_bp,
    )
    gene, element = overlap_pairs(near, elements)
    start = tss.start[gene]
    gap = np.maximum(
        np.maximum(elements.start[element] - start, start - elements.end[element] + 1),
        0,
    )

    a = np.ones(gene.size) if activity is None else activity[element]
    contact = (np.maximum(gap, decay_floor_bp) / decay_floor_bp) ** -decay_exponent
    contact_oe = np.full(gene.size, np.nan)
    method = np.full(gene.size, 4, np.int64)
    if contact_map is not None and gene.size:
        middle = (elements.start[element] + elements.end[element]) // 2
        names = contig_names[gene]
        gene_bin = contact_map.bins_at(names, start)
        element_bin = contact_map.bins_at(names, middle)
        contact_oe, observed = contact_map.look_up(gene_bin, element_bin)
        expected = contact_map.expected_at(np.abs(middle - start))
        edge = contact_map.expected_at(np.array([window_bp]))[0]
        pseudocount = edge if np.isfinite(edge) else 0.0
        known = np.isfinite(observed) & (gene_bin != element_bin)
        # a gene is scored on one scale: Hi-C only where it knows all of its elements
        has_map = np.isfinite(expected)
        all_known = np.ones(len(tss), bool)
        np.logical_and.at(all_known, gene, has_map)
        on_map = all_known[gene] & (gene_bin >= 0)
        contact = np.where(
            on_map, np.where(known, observed, expected) + pseudocount, contact
        )
        method = np.where(on_map, np.where(known, 0, 1), method)
    evidence = method if activity is not None else _without_activity(method)

    product = a * contact
    total = sum_groups(gene, product, len(tss))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(total[gene] > 0, product / total[gene], 0.0)
    score = np.clip(score, 0.0, 1.0)
    nearest = np.full(len(elements), np.iinfo(np.int64).max)
    np.minimum.at(nearest, element, gap)
    is_nearest = gap == nearest[element]
    kept = (score >= min_score) | is_nearest | (gap == 0)
    return Links(
        gene[kept],
        element[kept],
        gap[kept],
        score[kept],
        contact[kept],
        contact_oe[kept],
        evidence[kept],
        is_nearest[kept],
        int((~kept).sum()),
    )


def _without_activity(method: Ints) -> Ints:
    return np.choose(method, [2, 3, 2, 3, 5]).astype(np.int64)
