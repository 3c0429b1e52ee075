"""Writing the simulated files; every text file opens by saying that it is simulated."""

import gzip
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from data_registry.coordinates import one_based_from_start
from data_registry.demo_organism.elements import BIN_BP, Landscape
from data_registry.demo_organism.gene_models import Chromosome, Gene, Span, Transcript
from data_registry.demo_organism.knowledge import PROCESSES, Knowledge, pathway_id
from data_registry.demo_organism.motif_models import RELEASE, MotifModel
from data_registry.demo_organism.population import Record, line_groups, line_names
from data_registry.demo_organism.sequence import BASE_FREQUENCIES
from data_registry.demo_organism.traits import (
    TRAITS,
    Association,
    CausalVariant,
    Floats,
    Measurements,
)

NOTICE: Final = "simulated demo organism of cisgraph; no real data"


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines; gzip without a time stamp where the name ends in ``.gz``."""
    text = "".join(f"{line}\n" for line in lines).encode()
    if path.suffix == ".gz":
        with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
            file.write(text)
    else:
        path.write_bytes(text)


def write_rows(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a tab-separated table under the notice."""
    lines = [f"# {NOTICE}", "\t".join(header)]
    lines += ["\t".join(str(cell) for cell in row) for row in rows]
    write_text(path, lines)


def write_genome(path: Path, chromosomes: list[Chromosome]) -> None:
    """Write the FASTA, repeats in lower case."""
    lines: list[str] = []
    for chromosome in chromosomes:
        bases = chromosome.bases.copy()
        lower = chromosome.masked & (bases != ord("N"))
        bases[lower] += 32
        text = bases.tobytes().decode()
        lines.append(f">{chromosome.name} {NOTICE}")
        lines += [text[i : i + 80] for i in range(0, len(text), 80)]
    write_text(path, lines)


def _gff_parts(gene: Gene, transcript: Transcript) -> list[tuple[str, Span, str]]:
    parts: list[tuple[str, Span, str]] = [("exon", e, ".") for e in transcript.exons]
    if not transcript.cds:
        return parts
    low, high = transcript.cds[0][0], transcript.cds[-1][1]
    left, right = ("five_prime_UTR", "three_prime_UTR")
    if gene.strand == "-":
        left, right = right, left
    for start, end in transcript.exons:
        if start < low:
            parts.append((left, (start, min(end, low)), "."))
        if end > high:
            parts.append((right, (max(start, high), end), "."))
    done = 0
    ordered = transcript.cds if gene.strand == "+" else transcript.cds[::-1]
    for start, end in ordered:
        parts.append(("CDS", (start, end), str(-done % 3)))
        done += end - start
    return parts


def write_annotation(
    path: Path, chromosomes: list[Chromosome], genes: list[Gene]
) -> None:
    """Write GFF3 in Ensembl's dialect, with contigs named without ``chr``."""
    lines = ["##gff-version 3", f"#!{NOTICE}", "#!genome-build simulated"]
    lines += [
        f"##sequence-region {c.annotation_name} 1 {len(c.bases)}" for c in chromosomes
    ]

    def row(gene: Gene, kind: str, span: Span, phase: str, attributes: str) -> str:
        contig = chromosomes[gene.chromosome].annotation_name
        first = one_based_from_start(span[0])
        return (
            f"{contig}\tsimulated\t{kind}\t{first}\t{span[1]}\t.\t{gene.strand}\t{phase}"
            f"\t{attributes}"
        )

    for gene in genes:
        name = f"Name={gene.symbol};" if gene.symbol else ""
        about = gene.description.replace(";", ",")
        kind = "gene" if gene.is_coding else "ncRNA_gene"
        lines.append(
            row(gene, kind, (gene.start, gene.end), ".",
                f"ID=gene:{gene.gene_id};{name}biotype={gene.biotype};"
                f"description={about};gene_id={gene.gene_id}")
        )  # fmt: skip
        for transcript in gene.transcripts:
            span = (transcript.exons[0][0], transcript.exons[-1][1])
            parent = f"transcript:{transcript.transcript_id}"
            lines.append(
                row(gene, "mRNA" if gene.is_coding else "lnc_RNA", span, ".",
                    f"ID={parent};Parent=gene:{gene.gene_id};biotype={gene.biotype};"
                    f"transcript_id={transcript.transcript_id}")
            )  # fmt: skip
            for part, where, phase in _gff_parts(gene, transcript):
                extra = ""
                if part == "CDS":
                    extra = f"ID=CDS:{transcript.transcript_id};"
                    extra += f"protein_id={transcript.transcript_id};"
                lines.append(row(gene, part, where, phase, f"{extra}Parent={parent}"))
        lines.append("###")
    write_text(path, lines)


def write_variants(
    path: Path, chromosomes: list[Chromosome], records: list[Record]
) -> None:
    """Write phased genotypes as a bgzipped and tabix-indexed VCF."""
    import pysam

    lines = [
        "##fileformat=VCFv4.3",
        f"##source={NOTICE}",
        '##FILTER=<ID=PASS,Description="All filters passed">',
    ]
    lines += [
        f"##contig=<ID={c.name},length={len(c.bases)},assembly=simulated>"
        for c in chromosomes
    ]
    lines += [
        '##INFO=<ID=AC,Number=A,Type=Integer,Description="Copies of each ALT allele">',
        '##INFO=<ID=AN,Number=1,Type=Integer,Description="Alleles called">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
        + "\t".join(line_names()),
    ]
    pairs = np.array([[f"{a}|{b}" for b in range(10)] for a in range(10)], dtype=object)
    with pysam.BGZFile(str(path), "w", None) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
        for record in records:
            name = chromosomes[record.chromosome].name
            position = one_based_from_start(record.start)
            counts = [
                int((record.alleles == n + 1).sum()) for n in range(len(record.alts))
            ]
            genotypes = "\t".join(pairs[record.alleles[0::2], record.alleles[1::2]])
            info = f"AC={','.join(map(str, counts))};AN={len(record.alleles)}"
            row = (
                f"{name}\t{position}\t{name}_{position}\t{record.ref}"
                f"\t{','.join(record.alts)}\t.\tPASS\t{info}\tGT\t{genotypes}\n"
            )
            file.write(row.encode())
    pysam.tabix_index(str(path), preset="vcf", force=True)


def write_samples(path: Path) -> None:
    """Write the group of each line."""
    rows = zip(line_names(), line_groups(), strict=True)
    write_rows(path, ("sample_id", "group"), rows)


def write_beds(
    folder: Path,
    chromosomes: list[Chromosome],
    scape: Landscape,
    rng: np.random.Generator,
) -> None:
    """Write promoters, enhancers, accessibility peaks, repeats and domains."""
    track = 'track name="{}" description="' + NOTICE + '"'

    def name(index: int) -> str:
        return chromosomes[index].name

    for kind in ("promoter", "enhancer"):
        lines = [track.format(f"simulated {kind}s")]
        lines += [
            f"{name(e.chromosome)}\t{e.start}\t{e.end}\t{e.name}\t0\t{e.strand}"
            for e in sorted(scape.elements, key=lambda e: (e.chromosome, e.start))
            if e.kind == kind
        ]
        write_text(folder / f"simulated.{kind}s.bed", lines)
    peaks: list[tuple[int, int, int, float]] = []
    for element in scape.elements:
        if element.active and rng.random() < 0.92:
            start = element.start + int(rng.integers(-60, 60))
            end = element.end + int(rng.integers(-60, 60))
            signal = 12.0 * element.activity * float(rng.lognormal(0.0, 0.2))
            peaks.append((element.chromosome, max(start, 0), end, signal))
    for _ in range(len(peaks) // 12):
        number = int(rng.integers(len(chromosomes)))
        start = int(rng.integers(0, len(chromosomes[number].bases) - 500))
        width = int(rng.integers(150, 450))
        peaks.append((number, start, start + width, float(rng.lognormal(1.2, 0.4))))
    lines = [track.format("simulated ATAC-seq peaks")]
    for rank, (number, start, end, signal) in enumerate(sorted(peaks), start=1):
        summit = int((end - start) * rng.uniform(0.35, 0.65))
        lines.append(
            f"{name(number)}\t{start}\t{end}\tpeak_{rank:04d}"
            f"\t{min(int(signal * 20), 1000)}\t.\t{signal:.3f}"
            f"\t{signal * 0.8 + 1:.3f}\t{signal * 0.6 + 0.5:.3f}\t{summit}"
        )
    write_text(folder / "simulated.atac_peaks.narrowPeak", lines)
    lines = [track.format("simulated repeats")]
    lines += [
        f"{name(r.chromosome)}\t{r.start}\t{r.end}\t{r.family}\t0\t{r.strand}"
        for r in scape.repeats
    ]
    write_text(folder / "simulated.repeats.bed", lines)
    lines = [track.format("simulated TADs")]
    for number, edges in enumerate(scape.domain_edges):
        # A caller places borders within a bin or two of the truth.
        called = [
            edge + BIN_BP * int(rng.integers(-1, 2))
            if edge not in (0, edges[-1])
            else edge
            for edge in edges
        ]
        lines += [
            f"{name(number)}\t{start}\t{end}\ttad_{number + 1}_{rank:02d}"
            for rank, (start, end) in enumerate(pairwise(called), start=1)
        ]
    write_text(folder / "simulated.tads.bed", lines)


def write_tf_sites(
    path: Path,
    chromosomes: list[Chromosome],
    scape: Landscape,
    rng: np.random.Generator,
) -> None:
    """Write ChIP-like peaks of the first six factors, with misses and false peaks."""
    factors = sorted({site.motif.tf for site in scape.sites})[:6]
    rows: list[tuple[int, int, int, str, float]] = []
    for site in scape.sites:
        if site.motif.tf not in factors:
            continue
        bound = site.role == "functional" and site.weight > 0
        if rng.random() < (0.75 if bound else 0.06):
            middle = (site.start + site.end) // 2 + int(rng.integers(-25, 26))
            half = int(rng.integers(60, 120))
            signal = float(rng.lognormal(2.5 if bound else 1.6, 0.4))
            rows.append(
                (site.chromosome, middle - half, middle + half, site.motif.tf, signal)
            )
    lines = [f"# {NOTICE}", "contig\tstart\tend\ttf\tsignal"]
    lines += [
        f"{chromosomes[number].name}\t{max(start, 0)}\t{end}\t{tf}\t{signal:.3f}"
        for number, start, end, tf, signal in sorted(rows)
    ]
    write_text(path, lines)


def compute_conservation(
    chromosomes: list[Chromosome],
    genes: list[Gene],
    scape: Landscape,
    rng: np.random.Generator,
) -> list[Floats]:
    """Compute a phyloP-like score of each base from the planted function, plus noise.

    Returns
    -------
    list
        One array a chromosome; positive is conserved, the neutral mean is 0.
    """
    levels = [rng.normal(0.0, 0.6, len(c.bases)) for c in chromosomes]
    for gene in genes:
        level = levels[gene.chromosome]
        for start, end in gene.transcripts[0].exons:
            level[start:end] += 0.3
        for start, end in gene.introns():
            for place in (start, start + 1, end - 2, end - 1):
                level[place] += 3.0
        if gene.is_coding:
            codons = gene.cds_positions.reshape(-1, 3)
            strength = np.where(gene.key_codons, 2.8, 0.7)[:, None]
            level[codons] += strength * np.array([1.0, 1.0, 0.25])
            level[codons[[0, -1]]] += 2.5
    for site in scape.sites:
        if site.role == "functional" and site.weight > 0:
            gain = 1.6 * site.motif.information / 2.0
            level = levels[site.chromosome]
            level[site.start : site.end] += gain if site.strand == "+" else gain[::-1]
    for number, start, end in scape.conserved_decoys:
        levels[number][start:end] += float(rng.uniform(0.8, 2.0))
    return [np.round(level, 1) for level in levels]


def write_conservation(
    path: Path, chromosomes: list[Chromosome], levels: list[Floats]
) -> None:
    """Write the score of every base as bigWig."""
    import pyBigWig

    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(c.name, len(c.bases)) for c in chromosomes])
        for chromosome, level in zip(chromosomes, levels, strict=True):
            file.addEntries(
                chromosome.name, 0, values=level.astype(np.float32), span=1, step=1
            )


def write_loops(
    path: Path,
    chromosomes: list[Chromosome],
    loops: list[tuple[int, int, int]],
    rng: np.random.Generator,
) -> None:
    """Write called loops as BEDPE: most true ones, and some that are none."""
    called: set[tuple[int, int, int]] = set()
    for loop in loops:
        if rng.random() < 0.75:
            called.add(loop)
    for _ in range(len(loops) // 8):
        number = int(rng.integers(len(chromosomes)))
        a = int(rng.integers(0, len(chromosomes[number].bases) // BIN_BP - 40))
        called.add((number, a, a + int(rng.integers(4, 30))))
    lines = [f"# {NOTICE}"]
    for rank, (number, a, b) in enumerate(sorted(called), start=1):
        name, length = chromosomes[number].name, len(chromosomes[number].bases)
        score = 2.0 + float(rng.gamma(3.0, 1.0))
        anchors = "\t".join(
            f"{name}\t{i * BIN_BP}\t{min((i + 1) * BIN_BP, length)}" for i in (a, b)
        )
        lines.append(f"{anchors}\tloop_{rank:03d}\t{score:.2f}")
    write_text(path, lines)


def write_motifs(path: Path, motifs: tuple[MotifModel, ...]) -> None:
    """Write planted and distractor matrices in MEME format, by identifier."""
    background = " ".join(
        f"{base} {share:.4f}"
        for base, share in zip("ACGT", BASE_FREQUENCIES, strict=True)
    )
    lines = [
        "MEME version 4", "",
        f"# {NOTICE}; the matrices are those of {RELEASE} CORE plants (CC BY 4.0)", "",
        "ALPHABET= ACGT", "", "strands: + -", "",
        "Background letter frequencies", background, "",
    ]  # fmt: skip
    for motif in sorted(motifs, key=lambda m: m.motif_id):
        n_sites = round(float(motif.counts.sum(axis=1).mean()))
        shares = motif.counts / motif.counts.sum(axis=1, keepdims=True)
        lines.append(f"MOTIF {motif.motif_id} {motif.tf}")
        lines.append(
            f"letter-probability matrix: alength= 4 w= {motif.width} "
            f"nsites= {n_sites} E= 0"
        )
        lines += [" " + " ".join(f"{share:.6f}" for share in row) for row in shares]
        lines.append("")
    write_text(path, lines)


def write_measurements(folder: Path, genes: list[Gene], found: Measurements) -> None:
    """Write expression (TPM), phenotypes and the description of the traits."""
    names = line_names()
    write_rows(
        folder / "simulated.expression_tpm.tsv.gz",
        ("gene_id", *names),
        (
            (gene.gene_id, *(f"{value:.5g}" for value in row))
            for gene, row in zip(genes, found.tpm.tolist(), strict=True)
        ),
    )
    write_rows(
        folder / "simulated.phenotypes.tsv",
        ("sample_id", *(trait.trait_id for trait in TRAITS)),
        (
            (name, *(f"{value:.3f}" for value in found.phenotypes[:, i]))
            for i, name in enumerate(names)
        ),
    )
    write_rows(
        folder / "simulated.traits.tsv",
        ("phenotype_id", "name", "description", "unit"),
        ((t.trait_id, t.name, t.description, t.unit) for t in TRAITS),
    )


def write_associations(
    path: Path,
    chromosomes: list[Chromosome],
    alleles: list[tuple[Record, int]],
    frequencies: Floats,
    found: Association,
) -> None:
    """Write one trait's regressions under the header of GWAS-SSF."""
    n = len(line_names())
    rows = []
    for (record, number), af, beta, se, p in zip(
        alleles, frequencies, found.beta, found.se, found.p_value, strict=True
    ):
        chromosome = chromosomes[record.chromosome]
        position = one_based_from_start(record.start)
        alt = record.alts[number - 1]
        rows.append(
            (chromosome.annotation_name, position, alt, record.ref, f"{beta:.5g}",
             f"{se:.5g}", f"{af:.4f}", f"{p:.5g}", f"{chromosome.name}_{position}", n)
        )  # fmt: skip
    write_rows(
        path,
        ("chromosome", "base_pair_location", "effect_allele", "other_allele", "beta",
         "standard_error", "effect_allele_frequency", "p_value", "variant_id", "n"),
        rows,
    )  # fmt: skip


def write_knowledge(
    folder: Path, genes: list[Gene], known: Knowledge, texts: list[str]
) -> None:
    """Write ontology, annotation, pathways, edges, gene–trait pairs and texts."""
    lines = [
        "format-version: 1.2", "data-version: simulated", "ontology: simulated_demo",
        f"remark: {NOTICE}", "",
    ]  # fmt: skip
    names = {term.term_id: term.name for term in known.terms}
    for term in known.terms:
        lines += [
            "[Term]", f"id: {term.term_id}", f"name: {term.name}",
            "namespace: biological_process",
            f'def: "Simulated term: {term.name}." [cisgraph:demo]',
        ]  # fmt: skip
        lines += [f"is_a: {parent} ! {names[parent]}" for parent in term.parents]
        lines.append("")
    write_text(folder / "simulated.ontology.obo", lines)
    lines = ["!gaf-version: 2.2", f"!{NOTICE}"]
    for index, term_id in known.gene_terms:
        gene = genes[index]
        lines.append(
            f"DEMO\t{gene.gene_id}\t{gene.symbol or gene.gene_id}\tinvolved_in"
            f"\t{term_id}"
            f"\tDEMO:simulated\tIEA\t\tP\t{gene.description}\t\tprotein\ttaxon:32644"
            "\t20261121\tcisgraph_demo\t\t"
        )
    write_text(folder / "simulated.gene_terms.gaf", lines)
    write_rows(
        folder / "simulated.pathways.tsv",
        ("pathway_id", "pathway_name", "gene_id", "role", "rank"),
        (
            (pathway_id(m.module), f"{PROCESSES[m.module]} (simulated)",
             genes[m.gene].gene_id, m.role, m.rank)
            for m in known.members
        ),
    )  # fmt: skip
    write_rows(
        folder / "simulated.pathway_relations.tsv",
        ("pathway_a", "pathway_b", "relation"),
        ((pathway_id(a), pathway_id(b), kind) for a, b, kind in known.pathway_links),
    )
    write_rows(
        folder / "simulated.protein_interactions.tsv",
        ("gene_a", "gene_b", "score", "evidence"),
        ((genes[k.a].gene_id, genes[k.b].gene_id, k.score, "simulated two-hybrid")
         for k in known.proteins),
    )  # fmt: skip
    signs = {1: "activation", -1: "repression", 0: ""}
    write_rows(
        folder / "simulated.tf_targets.tsv",
        ("tf", "target", "score", "sign", "evidence"),
        ((genes[k.a].gene_id, genes[k.b].gene_id, k.score, signs[k.sign],
          "simulated ChIP")
         for k in known.regulation),
    )  # fmt: skip
    write_rows(
        folder / "simulated.gene_phenotypes.tsv",
        ("gene_id", "phenotype_id", "evidence", "score"),
        (
            (genes[g].gene_id, TRAITS[c].trait_id, what, score)
            for g, c, what, score in known.gene_traits
        ),
    )
    write_rows(
        folder / "simulated.gene_texts.tsv",
        ("gene_id", "title", "text"),
        (
            (gene.gene_id, f"{gene.symbol or gene.gene_id} (simulated)", text)
            for gene, text in zip(genes, texts, strict=True)
        ),
    )


def write_truth(
    path: Path,
    chromosomes: list[Chromosome],
    genes: list[Gene],
    scape: Landscape,
    causal: list[CausalVariant],
    large_share: float,
) -> int:
    """Write every allele that acts, one row for each trait it changes.

    An allele that acts on a gene without part in any trait has one row, trait ``.``.

    Returns
    -------
    int
        Rows written.
    """
    rows: list[tuple[object, ...]] = []
    for variant in sorted(
        causal, key=lambda v: (v.mutation.change.chromosome, v.mutation.change.start)
    ):
        change, effect = variant.mutation.change, variant.effect
        gene = genes[effect.gene]
        site = scape.sites[effect.site] if effect.site >= 0 else None
        element = scape.elements[site.element] if site else None
        start = [
            chromosomes[change.chromosome].name, one_based_from_start(change.start),
            change.ref, change.alt, effect.mechanism,
            element.kind if element else "gene",
            element.name if element else gene.gene_id,
            site.motif.tf if site else ".", gene.gene_id, gene.symbol or ".",
        ]  # fmt: skip
        end = [
            f"{effect.activity:.4f}", f"{effect.expression:.4f}",
            f"{variant.mutation.frequency:.4f}",
        ]  # fmt: skip
        touched = [i for i in range(len(TRAITS)) if variant.trait_effects[i] != 0.0]
        for i in touched:
            size = "large" if variant.shares[i] >= large_share else "small"
            rows.append(
                (*start, TRAITS[i].trait_id, f"{variant.trait_effects[i]:.5f}",
                 f"{variant.shares[i]:.5f}", size, *end)
            )  # fmt: skip
        if not touched:
            rows.append((*start, ".", "0", "0", "none", *end))
    write_rows(
        path,
        ("chrom", "pos", "ref", "alt", "mechanism", "element_kind", "element", "tf",
         "target_gene", "target_symbol", "trait", "effect", "variance_share", "size",
         "activity_log2", "expression_log2", "af"),
        rows,
    )  # fmt: skip
    return len(rows)
