"""The tables of the registry, as data.

Coordinates are 0-based half-open. ``contig`` columns hold the assembly's own names and
``gene_id`` columns the annotation's own identifiers: both are mapped on the way in
(``data_registry.store``). Every table also has ``source_id`` (INTEGER, the row's source).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, DuckDB type, and what it means (with unit)."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """One registry table.

    Parameters
    ----------
    contigs
        Columns that hold contig names.
    genes
        Columns that hold gene identifiers.
    may_lack_contig
        A row without a contig is of use (a segment off the reference path): it is
        kept, and one that cannot be placed loses its place only.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    contigs: tuple[str, ...] = ()
    genes: tuple[str, ...] = ()
    may_lack_contig: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order, without ``source_id``."""
        return tuple(column.name for column in self.columns)


def _table(
    name: str,
    meaning: str,
    *columns: tuple[str, str, str],
    contigs: tuple[str, ...] = (),
    genes: tuple[str, ...] = (),
    may_lack_contig: bool = False,
) -> Table:
    own = tuple(Column(*c) for c in columns)
    return Table(name, meaning, own, contigs, genes, may_lack_contig)


_SPAN = (
    ("contig", "VARCHAR", "contig of the assembly"),
    ("start", "BIGINT", "first base, 0-based"),
    ("end", "BIGINT", "one past the last base"),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _table(
            "contigs",
            "contigs of the assembly, in the FASTA's order",
            ("contig", "VARCHAR", "name as the FASTA spells it"),
            ("length", "BIGINT", "bp"),
            ("ordinal", "INTEGER", "position in the FASTA, from 0"),
            ("n_masked", "BIGINT", "soft-masked (lower case) bases"),
            ("n_ambiguous", "BIGINT", "bases other than A, C, G, T"),
        ),
        _table(
            "contig_synonyms",
            "other names of a contig",
            ("contig", "VARCHAR", "name as the FASTA spells it"),
            ("synonym", "VARCHAR", "another name"),
        ),
        _table(
            "genes",
            "gene models",
            ("gene_id", "VARCHAR", "identifier of the annotation"),
            ("symbol", "VARCHAR", "short name"),
            ("biotype", "VARCHAR", "e.g. protein_coding"),
            *_SPAN,
            ("strand", "VARCHAR", "'+', '-' or '.'"),
            ("description", "VARCHAR", "free text"),
            contigs=("contig",),
        ),
        _table(
            "gene_aliases",
            "other names of a gene (symbol, Entrez, old locus, version)",
            ("gene_id", "VARCHAR", "identifier of the annotation"),
            ("alias", "VARCHAR", "another name"),
            ("kind", "VARCHAR", "symbol, entrez, full_name, …"),
            genes=("gene_id",),
        ),
        _table(
            "transcripts",
            "transcripts of genes with the result of the translation check",
            ("transcript_id", "VARCHAR", "identifier"),
            ("gene_id", "VARCHAR", "its gene"),
            ("biotype", "VARCHAR", "e.g. protein_coding"),
            *_SPAN,
            ("strand", "VARCHAR", "'+' or '-'"),
            ("is_canonical", "BOOLEAN", "longest valid CDS of its gene"),
            ("cds_length", "BIGINT", "bp, 0 when non-coding"),
            (
                "cds_valid",
                "BOOLEAN",
                "starts, stops and reads through; NULL when non-coding",
            ),
            ("cds_problem", "VARCHAR", "why not, semicolon-separated; '' when valid"),
            contigs=("contig",),
        ),
        _table(
            "features",
            "exons, CDS and UTR parts of transcripts",
            ("transcript_id", "VARCHAR", "its transcript"),
            ("kind", "VARCHAR", "exon, cds, utr5, utr3"),
            *_SPAN,
            ("strand", "VARCHAR", "'+' or '-'"),
            ("phase", "TINYINT", "bases to skip to the next codon (CDS), else NULL"),
            contigs=("contig",),
        ),
        _table(
            "intervals",
            "CREs, peaks, chromatin states, TSS, repeats, methylated regions, TADs",
            (
                "kind",
                "VARCHAR",
                "cre, promoter, enhancer, peak, dhs, chromatin_state, "
                "nucleosome, tss, repeat, dmr, tad, structural_variant, intron",
            ),
            ("name", "VARCHAR", "name in the file"),
            *_SPAN,
            ("strand", "VARCHAR", "'+', '-' or '.'"),
            ("score", "DOUBLE", "the file's score column"),
            ("signal", "DOUBLE", "signal value (narrowPeak column 7 and the like)"),
            ("state", "VARCHAR", "chromatin state or class"),
            ("sample", "VARCHAR", "tissue, assay or accession"),
            contigs=("contig",),
        ),
        _table(
            "tf_sites",
            "measured transcription factor binding (ChIP, DAP)",
            ("tf", "VARCHAR", "name of the factor as the file gives it"),
            ("tf_gene_id", "VARCHAR", "gene that encodes it, where known"),
            *_SPAN,
            ("strand", "VARCHAR", "'+', '-' or '.'"),
            ("signal", "DOUBLE", "signal value, NULL where the file has none"),
            ("sample", "VARCHAR", "assay or tissue"),
            contigs=("contig",),
        ),
        _table(
            "motifs",
            "position frequency matrices",
            ("motif_id", "VARCHAR", "e.g. MA0021.1"),
            ("tf", "VARCHAR", "factor name"),
            ("family", "VARCHAR", "TF class or family, '' where unknown"),
            ("width", "INTEGER", "positions"),
            ("n_sites", "DOUBLE", "sites behind the matrix, NULL where unknown"),
            (
                "matrix",
                "DOUBLE[]",
                "probabilities, row-major (width, 4), order A C G T",
            ),
        ),
        _table(
            "contacts",
            "contact frequencies of pairs of bins, and loops",
            ("contig1", "VARCHAR", "contig of the first anchor"),
            ("start1", "BIGINT", "0-based"),
            ("end1", "BIGINT", "exclusive"),
            ("contig2", "VARCHAR", "contig of the second anchor; anchor 1 <= anchor 2"),
            ("start2", "BIGINT", "0-based"),
            ("end2", "BIGINT", "exclusive"),
            ("count", "DOUBLE", "raw contacts or loop score"),
            (
                "balanced",
                "DOUBLE",
                "balanced contact frequency, NULL where there is none",
            ),
            ("kind", "VARCHAR", "matrix or loop"),
            ("sample", "VARCHAR", "library"),
            contigs=("contig1", "contig2"),
        ),
        _table(
            "samples",
            "samples of expression and phenotype tables",
            ("dataset", "VARCHAR", "name of the source"),
            ("sample_id", "VARCHAR", "column of the matrix, cell barcode or line"),
            ("tissue", "VARCHAR", "tissue or organ"),
            ("condition", "VARCHAR", "treatment"),
            ("cell_type", "VARCHAR", "cell type or cluster"),
            ("time", "DOUBLE", "time point, in the unit named in metadata"),
            ("x", "DOUBLE", "spatial coordinate"),
            ("y", "DOUBLE", "spatial coordinate"),
            ("metadata", "VARCHAR", "all other columns, JSON"),
        ),
        _table(
            "expression",
            "expression values; zeros of sparse matrices are not stored",
            ("dataset", "VARCHAR", "name of the source"),
            ("gene_id", "VARCHAR", "gene"),
            ("sample_id", "VARCHAR", "sample"),
            ("value", "DOUBLE", "in ``unit``"),
            ("unit", "VARCHAR", "tpm, fpkm, rpkm, counts, log2, …"),
            genes=("gene_id",),
        ),
        _table(
            "gene_signals",
            "measured signals over genes that are not RNA (histone marks, accessibility)",
            ("dataset", "VARCHAR", "name of the source"),
            ("assay", "VARCHAR", "histone, accessibility, methylation, …"),
            ("gene_id", "VARCHAR", "gene"),
            ("sample_id", "VARCHAR", "sample"),
            ("value", "DOUBLE", "in ``unit``"),
            ("unit", "VARCHAR", "rpkm, rpm, counts, …"),
            genes=("gene_id",),
        ),
        _table(
            "interactions",
            "gene–gene interactions",
            ("gene_a", "VARCHAR", "gene; regulator where directed"),
            ("gene_b", "VARCHAR", "gene; target where directed"),
            ("kind", "VARCHAR", "physical, regulatory, coexpression, complex, genetic"),
            ("directed", "BOOLEAN", "a acts on b"),
            ("score", "DOUBLE", "0–1 where the source has one"),
            ("sign", "TINYINT", "+1 activates, -1 represses, NULL unknown"),
            ("evidence", "VARCHAR", "experiment or channel"),
            genes=("gene_a", "gene_b"),
        ),
        _table(
            "terms",
            "ontology terms, gene sets and pathways",
            ("term_id", "VARCHAR", "e.g. GO:0008150, KEGG ath00010"),
            ("name", "VARCHAR", "name"),
            ("namespace", "VARCHAR", "e.g. biological_process, pathway, gene_set"),
            ("definition", "VARCHAR", "text"),
        ),
        _table(
            "term_relations",
            "relations between terms or pathways",
            ("term_a", "VARCHAR", "child, or upstream pathway"),
            ("term_b", "VARCHAR", "parent, or downstream pathway"),
            ("kind", "VARCHAR", "is_a, part_of, activates, inhibits, crosstalk, …"),
            ("sign", "TINYINT", "+1, -1 or NULL"),
            ("rank", "INTEGER", "order in a cascade, NULL where there is none"),
        ),
        _table(
            "gene_terms",
            "genes annotated with terms",
            ("gene_id", "VARCHAR", "gene"),
            ("term_id", "VARCHAR", "term"),
            ("evidence", "VARCHAR", "evidence code"),
            ("role", "VARCHAR", "role in a pathway, '' where there is none"),
            ("rank", "INTEGER", "position in the cascade, NULL where there is none"),
            genes=("gene_id",),
        ),
        _table(
            "phenotypes",
            "traits",
            ("phenotype_id", "VARCHAR", "identifier"),
            ("name", "VARCHAR", "name"),
            ("description", "VARCHAR", "text"),
            ("unit", "VARCHAR", "unit of the values"),
        ),
        _table(
            "phenotype_values",
            "trait values of lines or individuals",
            ("phenotype_id", "VARCHAR", "trait"),
            ("sample_id", "VARCHAR", "line, accession, animal"),
            ("value", "DOUBLE", "in the trait's unit"),
            ("replicate", "VARCHAR", "replicate or environment"),
        ),
        _table(
            "gene_phenotypes",
            "genes known to act on traits",
            ("gene_id", "VARCHAR", "gene"),
            ("phenotype_id", "VARCHAR", "trait"),
            ("evidence", "VARCHAR", "mutant, QTL, literature, …"),
            ("score", "DOUBLE", "evidence level 0–1, NULL where unknown"),
            genes=("gene_id",),
        ),
        _table(
            "associations",
            "GWAS summary statistics",
            ("phenotype_id", "VARCHAR", "trait"),
            ("variant_id", "VARCHAR", "name in the file"),
            ("contig", "VARCHAR", "contig"),
            ("start", "BIGINT", "0-based"),
            ("ref", "VARCHAR", "other allele, NULL where not given"),
            ("alt", "VARCHAR", "effect allele, NULL where not given"),
            ("beta", "DOUBLE", "effect of ``alt``, NULL where not given"),
            ("se", "DOUBLE", "standard error of beta"),
            ("p_value", "DOUBLE", "0–1"),
            ("af", "DOUBLE", "frequency of ``alt`` or MAF as given"),
            ("n", "DOUBLE", "sample size"),
            contigs=("contig",),
        ),
        _table(
            "conservation",
            "conservation scores given as intervals",
            ("track", "VARCHAR", "phyloP, phastCons, …"),
            *_SPAN,
            ("score", "DOUBLE", "in the track's unit"),
            contigs=("contig",),
        ),
        _table(
            "tracks",
            "bigWig signal tracks, read by reference from the workspace",
            ("track", "VARCHAR", "name"),
            (
                "role",
                "VARCHAR",
                "conservation, accessibility, histone, methylation, signal",
            ),
            ("path", "VARCHAR", "file inside the workspace"),
            ("mean", "DOUBLE", "mean over covered bases"),
            ("covered", "BIGINT", "covered bases"),
            ("sample", "VARCHAR", "tissue or assay"),
        ),
        _table(
            "variant_scores",
            "per-variant scores of other tools (SIFT, PolyPhen, …)",
            ("contig", "VARCHAR", "contig"),
            ("start", "BIGINT", "0-based, left-aligned and trimmed"),
            ("ref", "VARCHAR", "reference allele"),
            ("alt", "VARCHAR", "alternative allele"),
            ("name", "VARCHAR", "name of the score"),
            ("value", "DOUBLE", "the score"),
            ("label", "VARCHAR", "its class, e.g. DELETERIOUS"),
            contigs=("contig",),
        ),
        _table(
            "orthologs",
            "orthologs and their divergence",
            ("gene_id", "VARCHAR", "gene"),
            ("other_gene", "VARCHAR", "gene of the other species, as given"),
            ("other_species", "VARCHAR", "species, '' where not given"),
            ("kind", "VARCHAR", "rbh, group, one2one, …"),
            ("ka", "DOUBLE", "non-synonymous substitutions per site"),
            ("ks", "DOUBLE", "synonymous substitutions per site"),
            ("identity", "DOUBLE", "percent identity"),
            genes=("gene_id",),
        ),
        _table(
            "texts",
            "descriptions and abstracts",
            ("subject_kind", "VARCHAR", "gene, phenotype, term, document"),
            ("subject_id", "VARCHAR", "what it is about"),
            ("title", "VARCHAR", "title"),
            ("text", "VARCHAR", "text"),
        ),
        _table(
            "segments",
            "segments of a pangenome graph (GFA S lines)",
            ("segment_id", "VARCHAR", "name"),
            ("length", "BIGINT", "bp"),
            ("sequence", "VARCHAR", "bases, NULL when '*'"),
            ("contig", "VARCHAR", "contig on the reference path, NULL off it"),
            ("start", "BIGINT", "start on the reference path, NULL off it"),
            contigs=("contig",),
            may_lack_contig=True,
        ),
        _table(
            "segment_links",
            "links of a pangenome graph (GFA L lines)",
            ("segment_a", "VARCHAR", "from"),
            ("strand_a", "VARCHAR", "'+' or '-'"),
            ("segment_b", "VARCHAR", "to"),
            ("strand_b", "VARCHAR", "'+' or '-'"),
            ("overlap", "VARCHAR", "CIGAR, '*' where unknown"),
        ),
        _table(
            "segment_paths",
            "paths and walks of a pangenome graph (GFA P and W lines)",
            ("path", "VARCHAR", "name"),
            ("rank", "BIGINT", "step, from 0"),
            ("segment_id", "VARCHAR", "segment"),
            ("strand", "VARCHAR", "'+' or '-'"),
        ),
        _table(
            "relative_records",
            "sequences of relatives' genomes, in their own coordinates",
            ("relative", "VARCHAR", "name of the relative"),
            ("role", "VARCHAR", "ingroup or outgroup"),
            ("record", "VARCHAR", "name of the sequence"),
            ("length", "BIGINT", "bases"),
            ("n_masked", "BIGINT", "soft-masked bases"),
            ("n_ambiguous", "BIGINT", "bases that are not A, C, G or T"),
        ),
        _table(
            "panels",
            "genotype panels, read by reference from their own files",
            ("panel", "VARCHAR", "name"),
            ("path", "VARCHAR", "file inside the workspace"),
            ("format", "VARCHAR", "vcf, bcf, plink, pgen"),
            ("n_samples", "INTEGER", "samples"),
            ("n_variants", "BIGINT", "records"),
            (
                "ploidy",
                "INTEGER",
                "highest ploidy seen in the first records, 0 without genotypes",
            ),
        ),
        _table(
            "panel_samples",
            "samples of genotype panels and their group",
            ("panel", "VARCHAR", "name"),
            ("sample_id", "VARCHAR", "sample"),
            ("group_name", "VARCHAR", "population, '' where not given"),
        ),
        _table(
            "panel_frequencies",
            "allele counts in genotype panels, one row an ALT allele and group",
            ("panel", "VARCHAR", "name"),
            ("group_name", "VARCHAR", "population; '' is all samples"),
            ("contig", "VARCHAR", "contig"),
            ("start", "BIGINT", "0-based, left-aligned and trimmed"),
            ("ref", "VARCHAR", "reference allele, trimmed"),
            ("alt", "VARCHAR", "alternative allele, trimmed"),
            ("ac", "INTEGER", "copies of ``alt``"),
            ("an", "INTEGER", "alleles called"),
            contigs=("contig",),
        ),
    )
}
