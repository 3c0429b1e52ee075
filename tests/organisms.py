"""A tiny organism made by hand, so that tests can work out what must come out.

Three contigs of random bases (fixed seed) with five genes written into them, coordinates
0-based half-open:

========  ======  ======================================================================
``chr1``  16 kb   ``gA`` + 2000-2900, transcripts ``tA1`` (three exons, both UTRs) and
                  ``tA2`` (skips the middle exon); ``gB`` - 6000-6800, two exons, both
                  UTRs; ``gN`` + 9000-9400, non-coding, two exons; soft-masked
                  10000-10200; N 15000-15010; the motif's word at 5000
``chr2``  1.5 kb  ``gD`` + 300-900, one exon, all of it CDS
``chrM``  0.9 kb  ``gM`` + 150-600, all CDS, vertebrate mitochondrial code (table 2)
========  ======  ======================================================================

All proteins begin with ``MKRWSLE``, written ATG AAA CGA TGG TCA CTG GAA, and end in TAA,
but ``gM`` begins ATG ATA TGA AGC and ends in AGA.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyBigWig

from data_registry.store import open_store

HEAD = "ATGAAACGATGGTCACTGGAA"
MITO_HEAD = "ATGATATGAAGC"
MOTIF = "TGACGTCATC"
MOTIF_AT = 5000
LENGTHS = {"chr1": 16_000, "chr2": 1_500, "chrM": 900}
OTHER_NAMES = {"1": "chr1", "2": "chr2", "NC_1": "chr1", "NC_2": "chr2", "MT": "chrM"}
"""Names that VCFs may use too: plain forms and registered synonyms."""


@dataclass(frozen=True)
class Transcript:
    """Exons and CDS parts in genomic order."""

    name: str
    gene: str
    contig: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    cds: tuple[tuple[int, int], ...] = ()
    code: int = 1


TRANSCRIPTS = (
    Transcript(
        "tA1", "gA", "chr1", "+",
        ((2000, 2200), (2300, 2421), (2560, 2900)),
        ((2050, 2200), (2300, 2421), (2560, 2700)),
    ),
    Transcript(
        "tA2", "gA", "chr1", "+",
        ((2000, 2200), (2562, 2900)),
        ((2050, 2200), (2562, 2700)),
    ),
    Transcript(
        "tB1", "gB", "chr1", "-",
        ((6000, 6250), (6400, 6800)),
        ((6100, 6250), (6400, 6700)),
    ),
    Transcript("tN1", "gN", "chr1", "+", ((9000, 9150), (9250, 9400))),
    Transcript("tD1", "gD", "chr2", "+", ((300, 900),), ((300, 900),)),
    Transcript("tM1", "gM", "chrM", "+", ((150, 600),), ((150, 600),), code=2),
)  # fmt: skip
SYMBOLS = {"gA": "ALPHA", "gB": "BETA", "gD": "DELTA"}

_PAIRS = str.maketrans("ACGTNacgtn", "TGCANtgcan")


def reverse_complement(text: str) -> str:
    return text.translate(_PAIRS)[::-1]


def make_sequences(seed: int = 7) -> dict[str, str]:
    """Contigs of the organism; the same for the same seed."""
    rng = np.random.default_rng(seed)

    def random(n: int) -> list[str]:
        return list(rng.choice(list("ACGT"), n))

    found = {name: random(n) for name, n in LENGTHS.items()}
    for model in TRANSCRIPTS:
        if model.name == "tA2" or not model.cds:
            continue
        n = sum(end - start for start, end in model.cds)
        stops = {"TAA", "TAG", "TGA", "AGA", "AGG"}
        head, tail = (HEAD, "TAA") if model.code == 1 else (MITO_HEAD, "AGA")
        text = head
        while len(text) < n - 3:
            codon = "".join(random(3))
            # No ATG after the first, so that a test can plant one.
            if codon not in stops and codon != "ATG":
                text += codon
        text += tail
        if model.strand == "-":
            text = reverse_complement(text)
        contig = found[model.contig]
        for start, end in model.cds:
            contig[start:end] = text[: end - start]
            text = text[end - start :]
        for (_, left), (right, _) in zip(model.exons, model.exons[1:], strict=False):
            donor, acceptor = ("GT", "AG") if model.strand == "+" else ("CT", "AC")
            contig[left : left + 2] = donor
            contig[right - 2 : right] = acceptor
    one = found["chr1"]
    one[MOTIF_AT : MOTIF_AT + len(MOTIF)] = MOTIF
    one[10_000:10_200] = [base.lower() for base in one[10_000:10_200]]
    one[15_000:15_010] = "N" * 10
    # A repeat to shift indels in: ten times CA, between A and C-less neighbours.
    one[12_000:12_022] = "G" + "CA" * 10 + "G"
    one[12_100:12_110] = "GTTTTTTTTG"
    # tA2 reads codon 51 from 2562: keep the two bases before it a splice acceptor.
    one[2560:2562] = "AG"
    return {name: "".join(bases) for name, bases in found.items()}


SEQUENCES = make_sequences()


def coding_sequence(model: Transcript) -> str:
    """The CDS as the ribosome reads it."""
    text = "".join(SEQUENCES[model.contig][a:b] for a, b in model.cds).upper()
    return text if model.strand == "+" else reverse_complement(text)


def gff_text() -> str:
    lines = ["##gff-version 3"]
    genes = dict.fromkeys(model.gene for model in TRANSCRIPTS)
    for gene in genes:
        models = [m for m in TRANSCRIPTS if m.gene == gene]
        contig, strand = models[0].contig, models[0].strand
        start = min(m.exons[0][0] for m in models)
        end = max(m.exons[-1][1] for m in models)
        coding = bool(models[0].cds)
        biotype = "protein_coding" if coding else "ncRNA"
        name = f";Name={SYMBOLS[gene]}" if gene in SYMBOLS else ""

        def row(kind, a, b, phase, attributes, *, contig=contig, strand=strand):
            cells = (contig, "hand", kind, a + 1, b, ".", strand, phase, attributes)
            lines.append("\t".join(map(str, cells)))

        row(
            "gene" if coding else "ncRNA_gene", start, end, ".",
            f"ID=gene:{gene};gene_id={gene};biotype={biotype}{name}",
        )  # fmt: skip
        for model in models:
            row(
                "mRNA" if coding else "ncRNA", model.exons[0][0], model.exons[-1][1], ".",
                f"ID=transcript:{model.name};Parent=gene:{gene};biotype={biotype}",
            )  # fmt: skip
            for a, b in model.exons:
                row("exon", a, b, ".", f"Parent=transcript:{model.name}")
            parts = model.cds if strand == "+" else model.cds[::-1]
            done = 0
            for a, b in parts:
                phase = -done % 3
                row(
                    "CDS",
                    a,
                    b,
                    phase,
                    f"ID=CDS:{model.name};Parent=transcript:{model.name}",
                )
                done += b - a
    return "\n".join(lines) + "\n"


def fasta_text() -> str:
    return "".join(f">{name}\n{bases}\n" for name, bases in SEQUENCES.items())


def motif_text() -> str:
    """MEME file with the word of ``MOTIF`` as one motif, TFX, and a second, AT-rich one."""

    def matrix(name, tf, word):
        rows = "\n".join(
            " ".join("0.91" if base == letter else "0.03" for letter in "ACGT")
            for base in word
        )
        return (
            f"MOTIF {name} {tf}\n\nletter-probability matrix: alength= 4 w= {len(word)} "
            f"nsites= 100 E= 0\n{rows}\n\n"
        )

    return (
        "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n"
        "Background letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n\n"
        + matrix("M1.1", "TFX", MOTIF) + matrix("M2.1", "TFY", "TATAAATA")
    )  # fmt: skip


def base(contig: str, position: int) -> str:
    """The base at a 1-based position, upper case."""
    return SEQUENCES[OTHER_NAMES.get(contig, contig)][position - 1].upper()


def other(letter: str) -> str:
    """A base that is not this one: the next in ACGT."""
    return "ACGT"["ACGT".index(letter) - 3]


def vcf_text(
    records: Sequence[Sequence[object]],
    *,
    samples: Sequence[str] = (),
    header: Sequence[str] = (),
) -> str:
    """A VCF of rows ``(chrom, pos, ref, alt[, info[, genotypes…]])``."""
    lines = ["##fileformat=VCFv4.2", *header]
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    if samples:
        columns += "\tFORMAT\t" + "\t".join(samples)
    lines.append(columns)
    for record in records:
        chrom, pos, ref, alt, *rest = record
        info = rest[0] if rest else "."
        cells = [chrom, pos, ".", ref, alt, ".", ".", info]
        if samples:
            cells += ["GT", *rest[1:]]
        lines.append("\t".join(map(str, cells)))
    return "\n".join(lines) + "\n"


def snv(
    contig: str, position: int, alt: str | None = None
) -> tuple[str, int, str, str]:
    """A record of one changed base; REF is what the genome reads."""
    ref = base(contig, position)
    return contig, position, ref, alt or other(ref)


def make_workspace(folder: Path, *, layers: bool) -> Path:
    """Register the organism in ``folder``/workspace; with or without the other layers."""
    files = folder / "files"
    files.mkdir(parents=True)
    workspace = folder / "workspace"
    given: list[tuple[str, str, str, dict[str, str]]] = [
        ("tiny.fa", fasta_text(), "genome", {"assembly": "tiny1"}),
        ("genes.gff3", gff_text(), "annotation", {"codon_tables": "chrM=2"}),
        ("names.tsv", "chr1\tNC_1\nchr2\tNC_2\n", "contig_synonyms", {}),
    ]
    if layers:
        given += _layers()
    with open_store(workspace, write=True) as store:
        for name, text, kind, options in given:
            path = files / name
            path.write_text(text)
            store.add(path, kind=kind, options=options)
        if layers:
            track = files / "phylo.bw"
            with pyBigWig.open(str(track), "w") as file:
                file.addHeader(list(LENGTHS.items()))
                # Values rise along the gene, so that each base has its own.
                file.addEntries(
                    "chr1", 2000, values=[i / 1000 for i in range(900)], span=1, step=1
                )
                file.addEntries("chr2", 0, values=[0.5] * 1500, span=1, step=1)
            store.add(track, kind="track", options={"role": "conservation"})
    return workspace


def _layers() -> list[tuple[str, str, str, dict[str, str]]]:
    panel = vcf_text(
        [
            (*snv("chr1", 2101), ".", "0|1", "1|1", "0|0"),
            # (CA)10 shortened by one copy, written at its right end.
            ("chr1", 12_019, "ACA", "A", ".", "0|1", "0|0", "0|0"),
            (*snv("chr2", 500), ".", "1|1", "1|1", "1|1"),
        ],
        samples=["s1", "s2", "s3"],
        header=['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">'],
    )
    ref, alt = snv("chr1", 2101)[2:]
    gwas = (
        "chr\tpos\teffect_allele\tother_allele\tbeta\tse\tp\n"
        f"chr1\t2101\t{alt}\t{ref}\t0.5\t0.1\t1e-8\n"
        f"chr1\t5003\t{other(base('chr1', 5003))}\t{base('chr1', 5003)}\t-0.2\t0.1\t0.03\n"
    )
    return [
        ("panel.vcf", panel, "variants", {}),
        ("motifs.meme", motif_text(), "motifs", {}),
        ("atac.bed", "chr1\t4900\t5150\tp1\nchr1\t1800\t1990\tp2\n", "intervals",
         {"interval_kind": "peak"}),
        ("states.bed", "chr1\t4000\t6000\topen\nchr1\t6000\t7000\tclosed\n", "intervals",
         {"interval_kind": "chromatin_state"}),
        ("tads.bed", "chr1\t0\t8000\ttad1\nchr1\t8000\t16000\ttad2\n", "intervals",
         {"interval_kind": "tad"}),
        ("sites.bed", "chr1\t4990\t5020\tTFX\nchr1\t100\t200\tTFZ\n", "tf_sites", {}),
        ("gwas.tsv", gwas, "gwas", {"phenotype": "height"}),
        ("sift.tsv", f"chr\tpos\tref\talt\tsift_score\nchr1\t2101\t{ref}\t{alt}\t0.01\n",
         "variant_scores", {}),
        ("tpm.tsv", "gene\tleaf\troot\ngA\t10\t12\ngB\t1\t2\ngD\t5\t5\n", "expression",
         {"unit": "tpm"}),
        ("kaks.tsv", "gene\tortholog\tka\tks\ngA\tx1\t0.1\t0.5\ngB\tx2\t0.4\t0.5\n",
         "orthologs", {}),
        ("ppi.tsv", "gene_a\tgene_b\tscore\ngA\tgB\t0.9\n", "interactions", {}),
    ]  # fmt: skip
