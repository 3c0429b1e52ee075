"""Node and edge types of the graph, as data.

Positions are 0-based half-open in every attribute; identifiers made for people to read
(``chrI:101-300:peak``, ``chrI:101:A:G``) are 1-based inclusive, as on the command line.

A type states what it reads: registry tables with their columns, columns of types built
before it, parameters, and whether it looks at the sequence. The builder shows a step
nothing else, and rebuilds the type when, and only when, one of these changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

AttributeType = Literal["string", "int64", "float64", "bool"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a node or edge type.

    Parameters
    ----------
    unit
        ``""`` for names and plain counts.
    nullable
        May be missing.
    minimum, maximum
        Smallest and largest allowed value, inclusive.
    choices
        The allowed values, where there are only a few.
    """

    name: str
    type: AttributeType
    unit: str
    meaning: str
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build step reads.

    Parameters
    ----------
    tables
        Registry table to the columns read.
    types
        Node or edge type to the columns read.
    parameters
        Fields of ``BuildParameters``.
    genome
        Reads the reference sequence.
    optional
        Tables and types that only add attributes or rows: the type can be filled
        without them. Of the other tables any one is enough; of the other types all
        are needed.
    """

    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    genome: bool = False
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeType:
    """One node type; its table has ``id``, ``identifier`` and the attributes.

    Parameters
    ----------
    identifier
        How a node's identifier is made.
    layers
        What to register so that the type is filled.
    """

    name: str
    meaning: str
    identifier: str
    attributes: tuple[Attribute, ...]
    inputs: Inputs
    layers: str


@dataclass(frozen=True, slots=True)
class EdgeType:
    """One edge type; its table has ``source``, ``target`` and the attributes.

    Parameters
    ----------
    symmetric
        The edge has no direction and is stored once, with ``source <= target``.
    key
        Attributes that, with source and target, tell parallel edges apart.
    layers
        What to register so that the type is filled.
    """

    source: str
    relation: str
    target: str
    meaning: str
    attributes: tuple[Attribute, ...]
    inputs: Inputs
    layers: str
    symmetric: bool = False
    key: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``source__relation__target``: the type's file name."""
        return f"{self.source}__{self.relation}__{self.target}"


# --------------------------------------------------------------------------------
# attributes that several types share

_SPAN = (
    Attribute("contig", "string", "", "contig of the assembly", nullable=False),
    Attribute("start", "int64", "bp", "first base, 0-based", nullable=False, minimum=0),
    Attribute(
        "end", "int64", "bp", "one past the last base", nullable=False, minimum=0
    ),
)
_CONTACT = Attribute(
    "contact_oe",
    "float64",
    "observed/expected",
    "contact of the two bins over the mean at their distance; NULL without Hi-C there",
    minimum=0,
)
_N_EVIDENCE = Attribute(
    "n_evidence", "int64", "", "distinct lines of evidence", nullable=False, minimum=1
)
_EVIDENCE = Attribute(
    "evidence", "string", "", "evidence as the sources name it, ';' between"
)
_SCORE = Attribute("score", "float64", "as the source", "highest score of the sources")
_SIGN = Attribute(
    "sign",
    "int64",
    "",
    "+1 activates, -1 represses, 0 both are claimed, NULL unknown",
    minimum=-1,
    maximum=1,
)
_TEXT_LINK = (
    Attribute(
        "source_kind",
        "string",
        "",
        "where the text comes from",
        nullable=False,
        choices=("registered", "description"),
    ),
)

_BINS = {"contact_bin": ("identifier", "contig", "start", "end")}
_CONTACT_TABLE = {
    "contacts": (
        "contig1",
        "start1",
        "end1",
        "contig2",
        "start2",
        "end2",
        "count",
        "balanced",
        "kind",
        "sample",
    ),
}
_CONTACT_PARAMETERS = ("contact_bin_bp",)
_GENE_PLACE = ("identifier", "contig", "start", "end", "strand", "tss")
_INTERACTIONS = {
    "interactions": (
        "gene_a",
        "gene_b",
        "kind",
        "directed",
        "score",
        "sign",
        "evidence",
    ),
}
_MOTIFS = ("motif_id", "tf", "n_sites", "matrix")
_ASSOCIATIONS = (
    "phenotype_id",
    "contig",
    "start",
    "ref",
    "alt",
    "beta",
    "se",
    "p_value",
    "n",
)

# ---------------------------------------------------------------------------------
# nodes

NODE_TYPES: dict[str, NodeType] = {
    node.name: node
    for node in (
        NodeType(
            "gene",
            "genes of the annotation",
            "the annotation's gene identifier",
            (
                *_SPAN,
                Attribute("strand", "string", "", "'+', '-' or '.'"),
                Attribute(
                    "tss",
                    "int64",
                    "bp",
                    "first base of the gene on its strand, 0-based",
                    nullable=False,
                    minimum=0,
                ),
                Attribute("symbol", "string", "", "short name"),
                Attribute("biotype", "string", "", "e.g. protein_coding"),
                Attribute(
                    "length_bp", "int64", "bp", "span", nullable=False, minimum=1
                ),
                Attribute(
                    "n_transcripts",
                    "int64",
                    "",
                    "transcripts",
                    nullable=False,
                    minimum=0,
                ),
                Attribute(
                    "cds_length_bp",
                    "int64",
                    "bp",
                    "CDS of the canonical transcript, else the longest",
                    minimum=0,
                ),
                Attribute(
                    "expression_percentile",
                    "float64",
                    "fraction of genes",
                    "place of the mean expression among the data set's genes, "
                    "averaged over data sets; NULL where never measured",
                    minimum=0,
                    maximum=1,
                ),
                Attribute(
                    "n_samples_expressed",
                    "int64",
                    "",
                    "samples with a value > 0",
                    minimum=0,
                ),
                Attribute(
                    "n_orthologs", "int64", "", "orthologs", nullable=False, minimum=0
                ),
                Attribute(
                    "ka_ks", "float64", "", "median Ka/Ks over orthologs", minimum=0
                ),
            ),
            Inputs(
                tables={
                    "genes": (
                        "gene_id",
                        "symbol",
                        "biotype",
                        "contig",
                        "start",
                        "end",
                        "strand",
                    ),
                    "transcripts": (
                        "transcript_id",
                        "gene_id",
                        "is_canonical",
                        "cds_length",
                    ),
                    "expression": ("dataset", "gene_id", "sample_id", "value"),
                    "orthologs": ("gene_id", "other_gene", "other_species", "ka", "ks"),
                },
                optional=("transcripts", "expression", "orthologs"),
            ),
            "a genome annotation (GFF3 or GTF)",
        ),
        NodeType(
            "cre",
            "cis-regulatory elements: intervals merged within their class, and "
            "promoters derived from gene starts where no promoters are registered",
            "contig:start-end:class (1-based inclusive); derived promoters end in "
            "':derived'",
            (
                *_SPAN,
                Attribute(
                    "class",
                    "string",
                    "",
                    "kind of the intervals",
                    nullable=False,
                    choices=("cre", "promoter", "enhancer", "peak", "dhs"),
                ),
                Attribute(
                    "derived",
                    "bool",
                    "",
                    "drawn from gene starts, not measured",
                    nullable=False,
                ),
                Attribute(
                    "length_bp", "int64", "bp", "span", nullable=False, minimum=1
                ),
                Attribute(
                    "n_intervals",
                    "int64",
                    "",
                    "intervals merged",
                    nullable=False,
                    minimum=0,
                ),
                Attribute(
                    "n_samples",
                    "int64",
                    "",
                    "samples with signal here",
                    nullable=False,
                    minimum=0,
                ),
                Attribute(
                    "activity",
                    "float64",
                    "sample medians",
                    "highest signal over the element divided by the sample's median "
                    "signal, averaged over samples; NULL without any signal layer",
                    minimum=0,
                ),
                Attribute(
                    "chromatin_state",
                    "string",
                    "",
                    "state that covers most of the element",
                ),
            ),
            Inputs(
                tables={
                    "intervals": (
                        "kind",
                        "contig",
                        "start",
                        "end",
                        "score",
                        "signal",
                        "state",
                        "sample",
                    ),
                    "contigs": ("contig", "length"),
                },
                types={"gene": _GENE_PLACE},
                optional=("contigs", "gene"),
                parameters=("promoter_upstream_bp", "promoter_downstream_bp"),
            ),
            "intervals of kind promoter, enhancer, cre, peak or dhs (BED, narrowPeak), "
            "or an annotation",
        ),
        NodeType(
            "variant",
            "alleles of GWAS associations and registered scores, and panel alleles "
            "inside genes and CREs",
            "contig:position:ref:alt (1-based); '-' for no base, '.' where not given",
            (
                *_SPAN,
                Attribute("ref", "string", "", "reference allele"),
                Attribute("alt", "string", "", "alternative allele"),
                Attribute(
                    "kind",
                    "string",
                    "",
                    "kind of change",
                    nullable=False,
                    choices=("snv", "insertion", "deletion", "substitution", "unknown"),
                ),
                Attribute(
                    "allele_frequency",
                    "float64",
                    "fraction",
                    "copies of alt over alleles called in all panels",
                    minimum=0,
                    maximum=1,
                ),
                Attribute(
                    "from_association",
                    "bool",
                    "",
                    "named by a GWAS table",
                    nullable=False,
                ),
                Attribute(
                    "from_score",
                    "bool",
                    "",
                    "named by a per-variant score table",
                    nullable=False,
                ),
                Attribute(
                    "from_panel", "bool", "", "seen in a genotype panel", nullable=False
                ),
            ),
            Inputs(
                tables={
                    "associations": _ASSOCIATIONS,
                    "variant_scores": ("contig", "start", "ref", "alt"),
                    "panel_frequencies": (
                        "panel",
                        "group_name",
                        "contig",
                        "start",
                        "ref",
                        "alt",
                        "ac",
                        "an",
                    ),
                },
                types={
                    "gene": ("contig", "start", "end"),
                    "cre": ("contig", "start", "end"),
                },
                parameters=(
                    "association_max_p",
                    "max_panel_variants",
                    "max_scored_variants",
                ),
                genome=True,
                optional=("gene", "cre"),
            ),
            "GWAS summary statistics, a per-variant score table, or a panel (VCF)",
        ),
        NodeType(
            "tf",
            "transcription factors of binding sites, motifs and regulatory networks",
            "the encoding gene's identifier (joined by '::' for a dimer), else the "
            "name in capitals",
            (
                Attribute("name", "string", "", "name to show", nullable=False),
                Attribute(
                    "names",
                    "string",
                    "",
                    "all names in the sources, tab-separated",
                    nullable=False,
                ),
                Attribute("genes", "string", "", "encoding genes, tab-separated"),
                Attribute("family", "string", "", "class or family of its motifs"),
                Attribute("n_motifs", "int64", "", "motifs", nullable=False, minimum=0),
            ),
            Inputs(
                tables={
                    "tf_sites": ("tf", "tf_gene_id"),
                    "motifs": ("motif_id", "tf", "family"),
                    "interactions": ("gene_a", "kind", "directed"),
                    "gene_aliases": ("gene_id", "alias"),
                },
                types={"gene": ("identifier", "symbol")},
                optional=("gene_aliases", "gene"),
            ),
            "binding sites (ChIP, DAP), motifs (MEME, JASPAR, TRANSFAC), or a "
            "regulatory edge list",
        ),
        NodeType(
            "contact_bin",
            "bins of the contact maps",
            "contig:start-end (1-based inclusive)",
            _SPAN,
            Inputs(
                tables={**_CONTACT_TABLE, "contigs": ("contig", "length")},
                parameters=_CONTACT_PARAMETERS,
                optional=("contigs",),
            ),
            "contacts (.cool, .mcool, triplets or BEDPE loops)",
        ),
        NodeType(
            "pathway",
            "pathways, ontology terms and gene sets",
            "the term's identifier",
            (
                Attribute("name", "string", "", "name"),
                Attribute(
                    "namespace", "string", "", "e.g. biological_process, pathway"
                ),
                Attribute(
                    "n_genes",
                    "int64",
                    "",
                    "genes annotated directly",
                    nullable=False,
                    minimum=0,
                ),
            ),
            Inputs(
                tables={
                    "terms": ("term_id", "name", "namespace"),
                    "gene_terms": ("gene_id", "term_id"),
                    "term_relations": ("term_a", "term_b"),
                },
                types={"gene": ("identifier",)},
                optional=("gene",),
            ),
            "terms (GMT, GAF, OBO or pathway tables)",
        ),
        NodeType(
            "phenotype",
            "traits",
            "the trait's identifier",
            (
                Attribute("name", "string", "", "name"),
                Attribute("trait_unit", "string", "", "unit of the trait's values"),
                Attribute(
                    "n_samples",
                    "int64",
                    "",
                    "lines or individuals with a value",
                    nullable=False,
                    minimum=0,
                ),
            ),
            Inputs(
                tables={
                    "phenotypes": ("phenotype_id", "name", "unit"),
                    "phenotype_values": ("phenotype_id", "sample_id", "value"),
                    "gene_phenotypes": ("phenotype_id",),
                    "associations": ("phenotype_id",),
                },
            ),
            "phenotypes or GWAS summary statistics",
        ),
        NodeType(
            "text",
            "descriptions and abstracts",
            "subject kind:subject:first 16 hex digits of the md5 of title and text",
            (
                Attribute(
                    "subject_kind", "string", "", "what it is about", nullable=False
                ),
                Attribute("subject", "string", "", "identifier of what it is about"),
                Attribute("title", "string", "", "title"),
                Attribute("text", "string", "", "text", nullable=False),
                Attribute(
                    "source_kind",
                    "string",
                    "",
                    "where the text comes from",
                    nullable=False,
                    choices=("registered", "description"),
                ),
                Attribute(
                    "n_characters",
                    "int64",
                    "",
                    "length of the text",
                    nullable=False,
                    minimum=1,
                ),
            ),
            Inputs(
                tables={
                    "texts": ("subject_kind", "subject_id", "title", "text"),
                    "genes": ("gene_id", "description"),
                    "phenotypes": ("phenotype_id", "name", "description"),
                    "terms": ("term_id", "name", "definition"),
                    "gene_aliases": ("gene_id", "alias"),
                },
                types={"gene": ("identifier", "symbol")},
                optional=("gene_aliases", "gene"),
            ),
            "texts, or an annotation with descriptions, or terms with definitions",
        ),
    )
}

# ---------------------------------------------------------------------------------
# edges


def _gene_gene(kind: str, meaning: str) -> EdgeType:
    return EdgeType(
        "gene",
        kind,
        "gene",
        meaning,
        (_SCORE, _N_EVIDENCE, _EVIDENCE, _CONTACT),
        Inputs(
            tables={**_INTERACTIONS, **_CONTACT_TABLE},
            types={"gene": _GENE_PLACE},
            parameters=_CONTACT_PARAMETERS,
            optional=("contacts",),
        ),
        f"interactions of kind {kind} (STRING, BioGRID, edge lists)",
        symmetric=True,
    )


def _membership(node: str, columns: tuple[str, ...]) -> EdgeType:
    return EdgeType(
        node,
        "in",
        "contact_bin",
        f"the contact bins that a {node} lies in",
        (
            Attribute(
                "overlap_bp", "int64", "bp", "bases shared", nullable=False, minimum=1
            ),
        ),
        Inputs(types={node: ("identifier", *columns), **_BINS}),
        f"contacts, beside what fills {node}",
    )


def _described(node: str, subject: str) -> EdgeType:
    return EdgeType(
        node,
        "described_by",
        "text",
        f"texts about a {node}",
        _TEXT_LINK,
        Inputs(
            types={
                node: ("identifier",),
                "text": ("identifier", "subject_kind", "subject", "source_kind"),
            },
        ),
        f"texts about {subject}, or descriptions of them",
    )


EDGE_TYPES: dict[str, EdgeType] = {
    edge.name: edge
    for edge in (
        _gene_gene("physical", "the products bind each other"),
        _gene_gene("complex", "the products are parts of one complex"),
        _gene_gene("genetic", "genetic interaction (epistasis, synthetic lethality)"),
        EdgeType(
            "gene",
            "regulates",
            "gene",
            "directed regulatory interactions, regulator to target. Networks built "
            "from binding data repeat the tf-binds-cre edges: never predict one from "
            "the other",
            (_SIGN, _SCORE, _N_EVIDENCE, _EVIDENCE, _CONTACT),
            Inputs(
                tables={**_INTERACTIONS, **_CONTACT_TABLE},
                types={"gene": _GENE_PLACE},
                parameters=_CONTACT_PARAMETERS,
                optional=("contacts",),
            ),
            "interactions of kind regulatory",
        ),
        EdgeType(
            "gene",
            "coexpressed",
            "gene",
            "expression rises and falls together: computed from each matrix, and as "
            "registered (data set '(registered)')",
            (
                Attribute(
                    "dataset",
                    "string",
                    "",
                    "expression data set, or '(registered)'",
                    nullable=False,
                ),
                Attribute(
                    "correlation",
                    "float64",
                    "",
                    "of log1p expression; NULL for registered edges",
                    minimum=-1,
                    maximum=1,
                ),
                Attribute(
                    "mutual_rank",
                    "float64",
                    "rank",
                    "geometric mean of the two "
                    "ranks, 1 is best; NULL for registered edges",
                    minimum=1,
                ),
                Attribute("n_samples", "int64", "", "samples used", minimum=0),
                _SCORE,
                _CONTACT,
            ),
            Inputs(
                tables={
                    **_INTERACTIONS,
                    "expression": ("dataset", "gene_id", "sample_id", "value", "unit"),
                    **_CONTACT_TABLE,
                },
                types={"gene": _GENE_PLACE},
                optional=("contacts",),
                parameters=(
                    "coexpression_method",
                    "coexpression_min_abs_r",
                    "coexpression_top_k",
                    "coexpression_min_samples",
                    "coexpression_max_samples",
                    "coexpression_min_expressed",
                    *_CONTACT_PARAMETERS,
                ),
            ),
            "an expression matrix of at least 5 samples, or interactions of kind "
            "coexpression",
            symmetric=True,
            key=("dataset",),
        ),
        EdgeType(
            "gene",
            "linked_to",
            "cre",
            "regulatory elements of a gene. The score is the element's share of "
            "activity times contact among all elements within reach of the gene's "
            "start (activity-by-contact, Fulco 2019)",
            (
                Attribute(
                    "distance_bp",
                    "int64",
                    "bp",
                    "from the gene's start to the "
                    "nearest base of the element, 0 inside",
                    nullable=False,
                    minimum=0,
                ),
                Attribute(
                    "score",
                    "float64",
                    "share",
                    "activity x contact over its sum for the gene",
                    nullable=False,
                    minimum=0,
                    maximum=1,
                ),
                Attribute(
                    "activity",
                    "float64",
                    "sample medians",
                    "activity used, NULL without a signal layer",
                    minimum=0,
                ),
                Attribute(
                    "contact",
                    "float64",
                    "relative",
                    "contact used: 1 is the mean "
                    "of neighbouring bins (Hi-C) or of the decay's floor distance",
                    nullable=False,
                    minimum=0,
                ),
                _CONTACT,
                Attribute(
                    "evidence",
                    "string",
                    "",
                    "what the score rests on",
                    nullable=False,
                    choices=(
                        "activity_by_contact",
                        "activity_by_expected_contact",
                        "contact",
                        "expected_contact",
                        "activity_by_distance",
                        "distance",
                    ),
                ),
                Attribute(
                    "nearest_gene",
                    "bool",
                    "",
                    "no gene's start is nearer to the element",
                    nullable=False,
                ),
            ),
            Inputs(
                tables=_CONTACT_TABLE,
                optional=("contacts",),
                types={
                    "gene": _GENE_PLACE,
                    "cre": ("identifier", "contig", "start", "end", "activity"),
                },
                parameters=(
                    "link_window_bp",
                    "link_min_score",
                    "decay_exponent",
                    "decay_floor_bp",
                    *_CONTACT_PARAMETERS,
                ),
            ),
            "an annotation and intervals; Hi-C and peak signal for activity-by-contact",
        ),
        EdgeType(
            "tf",
            "binds",
            "cre",
            "measured binding sites (ChIP, DAP) that overlap the element",
            (
                Attribute("signal", "float64", "as the source", "highest signal"),
                Attribute("n_sites", "int64", "", "sites", nullable=False, minimum=1),
                Attribute(
                    "overlap_bp",
                    "int64",
                    "bp",
                    "largest overlap of a site",
                    nullable=False,
                    minimum=1,
                ),
            ),
            Inputs(
                tables={
                    "tf_sites": ("tf", "tf_gene_id", "contig", "start", "end", "signal")
                },
                types={
                    "tf": ("identifier", "names"),
                    "cre": ("identifier", "contig", "start", "end"),
                },
            ),
            "binding sites (ChIP, DAP peaks), beside what fills cre",
        ),
        EdgeType(
            "tf",
            "motif_in",
            "cre",
            "best hit of a factor's motif in the element's sequence",
            (
                Attribute("motif_id", "string", "", "motif", nullable=False),
                Attribute(
                    "score",
                    "float64",
                    "bits",
                    "log-odds of the best hit",
                    nullable=False,
                ),
                Attribute(
                    "p_value",
                    "float64",
                    "",
                    "chance of such a score at one place of random sequence",
                    nullable=False,
                    minimum=0,
                    maximum=1,
                ),
                Attribute(
                    "hit_start",
                    "int64",
                    "bp",
                    "first base of the best hit, 0-based on the contig",
                    nullable=False,
                    minimum=0,
                ),
                Attribute(
                    "hit_end",
                    "int64",
                    "bp",
                    "one past its last base",
                    nullable=False,
                    minimum=1,
                ),
                Attribute(
                    "hit_strand",
                    "string",
                    "",
                    "strand of the best hit",
                    nullable=False,
                    choices=("+", "-"),
                ),
                Attribute(
                    "n_hits",
                    "int64",
                    "",
                    "hits in the element",
                    nullable=False,
                    minimum=1,
                ),
            ),
            Inputs(
                tables={"motifs": _MOTIFS},
                types={
                    "tf": ("identifier", "names"),
                    "cre": ("identifier", "contig", "start", "end"),
                },
                parameters=("motif_max_p", "motif_max_bp"),
                genome=True,
            ),
            "motifs (MEME, JASPAR, TRANSFAC), a genome, and what fills cre",
            key=("motif_id",),
        ),
        EdgeType(
            "tf",
            "encoded_by",
            "gene",
            "the gene whose product is the factor; two for a dimer",
            (),
            Inputs(types={"tf": ("identifier", "genes"), "gene": ("identifier",)}),
            "what fills tf, with names known to the annotation (gene aliases help)",
        ),
        EdgeType(
            "tf",
            "regulates",
            "gene",
            "regulatory interactions of the factor's gene. Networks built from binding "
            "data repeat the tf-binds-cre edges: never predict one from the other",
            (_SIGN, _SCORE, _N_EVIDENCE, _EVIDENCE),
            Inputs(
                tables=_INTERACTIONS,
                types={"tf": ("identifier", "names"), "gene": ("identifier",)},
            ),
            "interactions of kind regulatory",
        ),
        EdgeType(
            "variant",
            "near",
            "gene",
            "genes a variant lies in or beside, or whose linked element it lies in",
            (
                Attribute(
                    "location",
                    "string",
                    "",
                    "place relative to the gene's parts, "
                    "the first that fits in this order",
                    nullable=False,
                    choices=(
                        "cds",
                        "utr5",
                        "utr3",
                        "exon",
                        "intron",
                        "upstream",
                        "downstream",
                        "distal",
                    ),
                ),
                Attribute(
                    "distance_bp",
                    "int64",
                    "bp",
                    "to the gene's start",
                    nullable=False,
                    minimum=0,
                ),
                Attribute(
                    "consequence",
                    "string",
                    "",
                    "Sequence Ontology term, where variant consequences are registered",
                ),
                Attribute("impact", "string", "", "HIGH, MODERATE, LOW or MODIFIER"),
                Attribute(
                    "regulatory_potential",
                    "float64",
                    "share",
                    "highest link score of the gene's elements that hold the variant",
                    minimum=0,
                    maximum=1,
                ),
                _CONTACT,
            ),
            Inputs(
                optional=(
                    "features",
                    "transcripts",
                    "variant_consequences",
                    "contacts",
                    "cre",
                    "gene__linked_to__cre",
                ),
                tables={
                    "features": ("transcript_id", "kind", "contig", "start", "end"),
                    "transcripts": ("transcript_id", "gene_id"),
                    "variant_consequences": (
                        "contig",
                        "start",
                        "ref",
                        "alt",
                        "gene_id",
                        "consequence",
                        "impact",
                    ),
                    **_CONTACT_TABLE,
                },
                types={
                    "variant": ("identifier", "contig", "start", "end"),
                    "gene": _GENE_PLACE,
                    "cre": ("identifier", "contig", "start", "end"),
                    "gene__linked_to__cre": ("source", "target", "score"),
                },
                parameters=("near_gene_bp", *_CONTACT_PARAMETERS),
            ),
            "what fills variant, and an annotation",
        ),
        EdgeType(
            "variant",
            "in",
            "cre",
            "regulatory elements that hold the variant",
            (
                Attribute(
                    "offset_bp",
                    "int64",
                    "bp",
                    "from the element's first base",
                    nullable=False,
                ),
                Attribute(
                    "n_motifs_gained",
                    "int64",
                    "",
                    "motifs with a site on the alt "
                    "haplotype only; NULL where not scanned",
                    minimum=0,
                ),
                Attribute(
                    "n_motifs_lost",
                    "int64",
                    "",
                    "motifs with a site on the ref "
                    "haplotype only; NULL where not scanned",
                    minimum=0,
                ),
                Attribute(
                    "motif_change",
                    "float64",
                    "bits",
                    "change of the best site's "
                    "log-odds, alt minus ref, of the motif that changes most",
                ),
                Attribute("motif_id", "string", "", "the motif of that change"),
            ),
            Inputs(
                tables={"motifs": _MOTIFS},
                optional=("motifs",),
                types={
                    "variant": ("identifier", "contig", "start", "end", "ref", "alt"),
                    "cre": ("identifier", "contig", "start", "end"),
                },
                parameters=("motif_max_p",),
                genome=True,
            ),
            "what fills variant and cre",
        ),
        EdgeType(
            "variant",
            "associated_with",
            "phenotype",
            "GWAS associations. Leave them out of a graph that is tested on GWAS hits",
            (
                Attribute(
                    "beta",
                    "float64",
                    "trait units",
                    "effect of the variant's alt "
                    "allele; sign turned where the table's effect allele is ref",
                ),
                Attribute("se", "float64", "trait units", "standard error", minimum=0),
                Attribute(
                    "p_value",
                    "float64",
                    "",
                    "smallest p of the tables",
                    minimum=0,
                    maximum=1,
                ),
                Attribute("n", "float64", "", "sample size", minimum=0),
                Attribute(
                    "n_records",
                    "int64",
                    "",
                    "rows behind the edge",
                    nullable=False,
                    minimum=1,
                ),
            ),
            Inputs(
                tables={"associations": _ASSOCIATIONS},
                types={"variant": ("identifier",), "phenotype": ("identifier",)},
                parameters=("association_max_p",),
                genome=True,
            ),
            "GWAS summary statistics",
        ),
        EdgeType(
            "gene",
            "associated_with",
            "phenotype",
            "genes known to act on a trait",
            (
                Attribute(
                    "score",
                    "float64",
                    "",
                    "highest evidence level",
                    minimum=0,
                    maximum=1,
                ),
                _N_EVIDENCE,
                _EVIDENCE,
            ),
            Inputs(
                tables={
                    "gene_phenotypes": ("gene_id", "phenotype_id", "evidence", "score")
                },
                types={"gene": ("identifier",), "phenotype": ("identifier",)},
            ),
            "gene-phenotype tables",
        ),
        EdgeType(
            "gene",
            "member_of",
            "pathway",
            "genes annotated with a term or placed in a pathway",
            (
                Attribute(
                    "relevance",
                    "float64",
                    "nats",
                    "information content of the "
                    "term: -log(its genes / all annotated genes)",
                    nullable=False,
                    minimum=0,
                ),
                Attribute("role", "string", "", "role in the pathway"),
                Attribute("rank", "int64", "", "position in the cascade"),
                Attribute("evidence", "string", "", "evidence codes, ';' between"),
            ),
            Inputs(
                tables={
                    "gene_terms": ("gene_id", "term_id", "evidence", "role", "rank")
                },
                types={"gene": ("identifier",), "pathway": ("identifier",)},
            ),
            "gene terms (GAF, GMT, pathway tables)",
        ),
        EdgeType(
            "pathway",
            "related_to",
            "pathway",
            "stated relations: child to parent, or upstream to downstream",
            (
                Attribute(
                    "kind", "string", "", "is_a, part_of, activates, …", nullable=False
                ),
                _SIGN,
                Attribute("rank", "int64", "", "order in a cascade"),
            ),
            Inputs(
                tables={"term_relations": ("term_a", "term_b", "kind", "sign", "rank")},
                types={"pathway": ("identifier",)},
            ),
            "an ontology (OBO) or pathway relations",
            key=("kind",),
        ),
        EdgeType(
            "pathway",
            "shares_genes",
            "pathway",
            "pathways with many genes in common",
            (
                Attribute(
                    "n_shared", "int64", "", "genes in both", nullable=False, minimum=1
                ),
                Attribute(
                    "similarity",
                    "float64",
                    "",
                    "Jaccard index of the gene sets",
                    nullable=False,
                    minimum=0,
                    maximum=1,
                ),
            ),
            Inputs(
                tables={"gene_terms": ("gene_id", "term_id")},
                types={"gene": ("identifier",), "pathway": ("identifier",)},
                parameters=(
                    "shared_genes_min",
                    "shared_genes_min_jaccard",
                    "shared_genes_max_set",
                ),
            ),
            "gene terms (GAF, GMT, pathway tables)",
            symmetric=True,
        ),
        _membership("gene", ("contig", "start", "end")),
        _membership("cre", ("contig", "start", "end")),
        _membership("variant", ("contig", "start", "end")),
        EdgeType(
            "contact_bin",
            "contacts",
            "contact_bin",
            "bins that touch more often than their distance explains, and loops",
            (
                Attribute(
                    "distance_bp",
                    "int64",
                    "bp",
                    "between the bins' starts; NULL between contigs",
                    minimum=0,
                ),
                Attribute(
                    "count",
                    "float64",
                    "contacts",
                    "raw contacts, all samples",
                    minimum=0,
                ),
                Attribute(
                    "contact_oe",
                    "float64",
                    "observed/expected",
                    "contact over the "
                    "mean at the distance, averaged over samples; NULL for loops "
                    "without a matrix",
                    minimum=0,
                ),
                Attribute("loop", "bool", "", "called as a loop", nullable=False),
                Attribute(
                    "loop_score", "float64", "as the source", "highest loop score"
                ),
            ),
            Inputs(
                tables=_CONTACT_TABLE,
                types=_BINS,
                parameters=(
                    *_CONTACT_PARAMETERS,
                    "contact_min_count",
                    "contact_min_oe",
                    "contact_max_distance_bp",
                ),
            ),
            "contacts (.cool, .mcool, triplets or BEDPE loops)",
            symmetric=True,
        ),
        _described("gene", "genes"),
        _described("phenotype", "phenotypes"),
        _described("pathway", "terms"),
    )
}

TYPES: dict[str, NodeType | EdgeType] = {**NODE_TYPES, **EDGE_TYPES}
"""All types by name, in the order they are built."""
