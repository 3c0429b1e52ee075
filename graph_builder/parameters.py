"""Parameters of a graph build."""

from dataclasses import dataclass
from typing import Literal

from data_registry.errors import InputError


@dataclass(frozen=True, slots=True)
class BuildParameters:
    """What a build may choose; each step names those that it reads.

    Parameters
    ----------
    promoter_upstream_bp, promoter_downstream_bp
        Extent of a derived promoter around a gene's start, in bp.
    near_gene_bp
        A variant this near to a gene, in bp, gets an edge to it.
    link_window_bp
        Elements this far from a gene's start, in bp, are candidates for a link.
    link_min_score
        Links with a smaller share are left out, unless the gene is the element's
        nearest or its start lies in the element. 0.02 is the threshold of Fulco 2019.
    decay_exponent
        Exponent of contact by distance where there is no Hi-C (1.02 is the default of
        the activity-by-contact software; polymer models range from 0.75 to 1.5).
    decay_floor_bp
        Distances below this count as this, in bp.
    contact_bin_bp
        Size of contact bins; None takes the finest contact map's, or 10,000 for loops.
    contact_min_count, contact_min_oe, contact_max_distance_bp
        What a bin pair needs to become an edge; called loops always do.
    coexpression_method
        ``pearson`` or ``spearman``, on log1p values.
    coexpression_min_abs_r, coexpression_top_k
        An edge needs this absolute correlation, and each gene among the other's ``k``
        best.
    coexpression_min_samples, coexpression_max_samples
        Matrices with fewer samples are left out; of more samples an even draw is used.
    coexpression_min_expressed
        Fraction of samples in which a gene must have a value other than zero.
    motif_max_p
        A motif hit needs at most this p-value.
    motif_max_bp
        Bases of element sequence scanned at most; elements beyond are counted.
    association_max_p
        Associations with a larger p-value are left out; those without p are kept.
    max_panel_variants, max_scored_variants
        Most variant nodes taken from panels and from score tables, by an even draw.
    shared_genes_min, shared_genes_min_jaccard, shared_genes_max_set
        Two pathways are joined when they share this many genes and this Jaccard index;
        larger sets are left out.
    """

    promoter_upstream_bp: int = 1000
    promoter_downstream_bp: int = 200
    near_gene_bp: int = 1000
    link_window_bp: int = 100_000
    link_min_score: float = 0.02
    decay_exponent: float = 1.024238616787792
    decay_floor_bp: int = 1000
    contact_bin_bp: int | None = None
    contact_min_count: float = 2.0
    contact_min_oe: float = 1.5
    contact_max_distance_bp: int = 500_000
    coexpression_method: Literal["pearson", "spearman"] = "pearson"
    coexpression_min_abs_r: float = 0.7
    coexpression_top_k: int = 20
    coexpression_min_samples: int = 5
    coexpression_max_samples: int = 2000
    coexpression_min_expressed: float = 0.2
    motif_max_p: float = 1e-4
    motif_max_bp: int = 20_000_000
    association_max_p: float = 1e-3
    max_panel_variants: int = 200_000
    max_scored_variants: int = 1_000_000
    shared_genes_min: int = 3
    shared_genes_min_jaccard: float = 0.2
    shared_genes_max_set: int = 500

    def __post_init__(self) -> None:
        self._need(
            "be 0 or more",
            promoter_upstream_bp=self.promoter_upstream_bp >= 0,
            promoter_downstream_bp=self.promoter_downstream_bp >= 0,
            near_gene_bp=self.near_gene_bp >= 0,
            link_window_bp=self.link_window_bp >= 0,
            decay_exponent=self.decay_exponent >= 0,
            contact_min_count=self.contact_min_count >= 0,
            contact_min_oe=self.contact_min_oe >= 0,
            contact_max_distance_bp=self.contact_max_distance_bp >= 0,
            motif_max_bp=self.motif_max_bp >= 0,
            max_panel_variants=self.max_panel_variants >= 0,
            max_scored_variants=self.max_scored_variants >= 0,
            shared_genes_max_set=self.shared_genes_max_set >= 0,
        )
        self._need(
            "be 1 or more",
            decay_floor_bp=self.decay_floor_bp >= 1,
            contact_bin_bp=self.contact_bin_bp is None or self.contact_bin_bp >= 1,
            coexpression_top_k=self.coexpression_top_k >= 1,
            shared_genes_min=self.shared_genes_min >= 1,
            promoters=self.promoter_upstream_bp + self.promoter_downstream_bp >= 1,
        )
        self._need(
            "lie between 0 and 1",
            link_min_score=0 <= self.link_min_score <= 1,
            coexpression_min_abs_r=0 <= self.coexpression_min_abs_r <= 1,
            coexpression_min_expressed=0 <= self.coexpression_min_expressed <= 1,
            motif_max_p=0 < self.motif_max_p <= 1,
            association_max_p=0 <= self.association_max_p <= 1,
            shared_genes_min_jaccard=0 <= self.shared_genes_min_jaccard <= 1,
        )
        self._need(
            "be 5 or more: fewer samples give no usable correlation",
            coexpression_min_samples=self.coexpression_min_samples >= 5,
            coexpression_max_samples=self.coexpression_max_samples >= 5,
        )
        self._need(
            "be pearson or spearman",
            coexpression_method=self.coexpression_method in ("pearson", "spearman"),
        )

    def _need(self, rule: str, **kept: bool) -> None:
        for name, is_kept in kept.items():
            if not is_kept:
                value = getattr(self, name, None)
                raise InputError(f"parameter {name} is {value}; it must {rule}")
