"""Plain words for the field's terms: shown beside the terms, never instead of them."""

from typing import Final

CONSEQUENCES: Final = {
    "frameshift_variant": "shifts the reading frame: the protein after it is another",
    "stop_gained": "an early stop: the protein is cut short",
    "stop_lost": "the stop is lost: the protein runs on",
    "start_lost": "the start is lost: the protein may not be made",
    "splice_acceptor_variant": "breaks the end of an intron: splicing fails there",
    "splice_donor_variant": "breaks the start of an intron: splicing fails there",
    "splice_region_variant": "near a splice site: splicing may change",
    "missense_variant": "one amino acid is replaced by another",
    "inframe_insertion": "adds amino acids, frame kept",
    "inframe_deletion": "removes amino acids, frame kept",
    "inframe_altering": "changes amino acids, frame kept",
    "protein_altering_variant": "changes the protein in another way than the above",
    "synonymous_variant": "changes a codon but not the protein",
    "stop_retained_variant": "changes the stop codon; still a stop",
    "start_retained_variant": "changes the start codon; still a start",
    "coding_sequence_variant": "in coding sequence",
    "5_prime_UTR_variant": "before the coding part of a transcript",
    "3_prime_UTR_variant": "after the coding part of a transcript",
    "non_coding_transcript_exon_variant": "in a transcript that codes no protein",
    "intron_variant": "inside an intron",
    "upstream_gene_variant": "before a gene: promoter or nearer regulation",
    "downstream_gene_variant": "after a gene",
    "gene_variant": "inside a gene",
    "intergenic_variant": "far from any gene",
    "regulatory_region_variant": "in a regulatory element",
    "feature_truncation": "cuts a gene or transcript",
    "feature_elongation": "lengthens a gene or transcript",
    "transcript_ablation": "removes a whole transcript",
    "transcript_amplification": "copies a whole transcript",
}

IMPACTS: Final = {
    "HIGH": "likely breaks the product",
    "MODERATE": "changes the product",
    "LOW": "unlikely to change the product",
    "MODIFIER": "outside the product: acts, if at all, through regulation",
}

LABELS: Final = {
    "chrom": "contig", "pos": "position", "ref": "REF", "alt": "ALT",
    "consequence": "consequence", "impact": "impact", "gene": "gene", "symbol": "symbol",
    "hgvs_c": "coding change", "hgvs_p": "protein change", "prior_score": "prior score",
    "percentile": "percentile", "panel_max_af": "ALT frequency",
    "panel_counts": "copies by panel and group", "motif_tf": "motif of",
    "motif_change": "motif change", "motif_delta": "motif bits", "cre": "elements",
    "target_genes": "target genes", "markov_percentile": "unusual sequence, %",
    "conservation": "conservation", "gwas": "associations", "tf_bound": "factors bound",
    "status": "status", "distance": "distance, bp", "lm_percentile": "language model, %",
    "allele": "allele",
}  # fmt: skip

GLOSSARY: Final = {
    "Allele": "One ALT of one VCF record. It is compared left-aligned and trimmed, and "
    "shown as it was given.",
    "REF, ALT": "The reference genome's bases, and what a line has in their place.",
    "Consequence": "What the change does to gene models, as a Sequence Ontology term; the "
    "most severe one over all transcripts is shown.",
    "Impact": "Ensembl's four classes of consequences: HIGH, MODERATE, LOW, MODIFIER.",
    "Prior score": "An ordering from 0 to 1 by consequence, motif change, conservation, "
    "sequence composition and rarity. Set by hand it is no probability; fitted on your "
    "panel it is one, of a stated question. No association with a trait is in it.",
    "Percentile": "The share of the scored alleles of this result that have a lower "
    "score. It compares variants of one run, not of different species or files.",
    "Log-likelihood ratio": "How much likelier a sequence model finds ALT than REF, in "
    "nats. Alone it means little; its percentile among random changes of the same kind "
    "is what to read.",
    "MAF": "Minor-allele frequency: the share of the rarer of the two alleles, 0 to 0.5.",
    "Panel, group": "A set of genotyped lines, and a population in it. Counts are copies "
    "of ALT of alleles called.",
    "CRE": "Cis-regulatory element: promoter, enhancer, open chromatin or peak on the "
    "same chromosome as the gene it acts on.",
    "Motif": "The sequence pattern that a transcription factor (TF) binds. Bits measure "
    "how well a site fits; gain and loss mean it passes the threshold on one haplotype.",
    "Activity-by-contact": "An element's activity times its contact with a gene's start, "
    "over the sum for that gene: its share of the gene's regulation (Fulco 2019).",
    "Contact": "How often two stretches touch in the nucleus (Hi-C), observed over what "
    "their distance explains.",
    "TAD": "Topologically associating domain: a stretch that touches itself more than "
    "its surroundings.",
    "Association": "A GWAS result: a block of linked variants goes with a trait. It does "
    "not say which of them acts.",
    "Abstain": "An allele that cannot be scored carries the reason. Scored plus reasons "
    "is the input, on every screen.",
    "Digest": "A hash of everything a result depends on; equal digests mean equal results.",
    "Contig": "A chromosome or scaffold of the assembly.",
    "HGVS": "The standard way to write a change of a transcript (c.) or protein (p.).",
    "Ka/Ks": "Rate of protein-changing over silent differences to a relative's gene; low "
    "means that the protein is under constraint.",
}

PLANNED: Final = (
    "Manhattan and QQ", "LD", "Haplotypes", "Prediction", "Chip design",
)  # fmt: skip
"""Pages that come with their own issues; named in the navigation, not linked."""


def consequence(value: str | None) -> str:
    """Return plain words for a consequence, the first term that has them."""
    for term in (value or "").split("&"):
        if term in CONSEQUENCES:
            return CONSEQUENCES[term]
    return ""


def label(column: str) -> str:
    """Return what a column is called on screen."""
    return LABELS.get(column, column.replace("_", " "))
