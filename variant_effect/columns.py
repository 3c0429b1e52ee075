"""What a column of the output means."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Column:
    """One output column.

    Parameters
    ----------
    name
        Fixed; scripts may rely on it.
    type
        Arrow type.
    meaning
        What it says, in one sentence.
    unit
        Unit of numbers; '' for text and plain counts.
    range
        Smallest and largest value, or the form of the text.
    direction
        What a higher value means; '' for text.
    """

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    range: str = ""
    direction: str = ""


TEXT = pa.string()
INTEGER = pa.int64()
REAL = pa.float32()

CORE: tuple[Column, ...] = (
    Column("chrom", TEXT, "contig as given in the VCF"),
    Column("pos", INTEGER, "POS as given", "bp, 1-based"),
    Column("ref", TEXT, "REF as given"),
    Column("alt", TEXT, "one ALT as given"),
    Column("norm_pos", INTEGER, "POS after trimming and left-alignment", "bp, 1-based"),
    Column("norm_ref", TEXT, "REF after trimming and left-alignment"),
    Column("norm_alt", TEXT, "ALT after trimming and left-alignment"),
    Column("status", TEXT, "'scored', or the reason why not", range="see docs/columns.md"),
    Column("consequence", TEXT, "Sequence Ontology terms of the most severe consequence, "
           "joined by '&'"),
    Column("impact", TEXT, "Ensembl's class of the most severe term",
           range="HIGH, MODERATE, LOW, MODIFIER"),
    Column("gene", TEXT, "gene of that consequence; the nearest for upstream and "
           "downstream alleles"),
    Column("symbol", TEXT, "its short name"),
    Column("distance", INTEGER, "distance to that gene, for upstream and downstream "
           "alleles", "bp", "1-5000"),
    Column("tss_distance", INTEGER, "distance to the nearest gene start on the contig",
           "bp", ">=0"),
    Column("transcript", TEXT, "transcript of that consequence"),
    Column("hgvs_c", TEXT, "coding change on that transcript (HGVS)"),
    Column("hgvs_p", TEXT, "protein change on that transcript (HGVS, predicted)"),
    Column("codons", TEXT, "codon before and after, changed bases in capitals"),
    Column("amino_acids", TEXT, "amino acids before and after, with position"),
    Column("other_consequences", TEXT, "transcript:terms of all other transcripts"),
    Column("joint_consequence", TEXT, "consequence together with other alleles of the "
           "same haplotype, where it differs"),
    Column("joint_amino_acids", TEXT, "amino-acid change together with those alleles"),
    Column("joint_alleles", TEXT, "the alleles called together, posREF>ALT joined by '+'"),
)  # fmt: skip
"""Columns of every output, before the scorers' own."""
