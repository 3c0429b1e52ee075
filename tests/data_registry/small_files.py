"""One small file of every kind, on one small genome, and what becomes of its rows.

Each file holds a row that has no place, where it can (an unknown contig or gene, a
place beyond a contig's end), so that its counts can be checked by hand.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyBigWig
import pysam

from data_registry.schema import TABLES
from data_registry.store import Store, open_store

LENGTHS = {"chrI": 3000, "chrII": 2000, "chrIII": 1000, "chrM": 500}
GENES = {
    "YAL001C": ("chrI", 101, 130),
    "YAL002W": ("chrI", 501, 530),
    "YBL003C": ("chrII", 301, 330),
    "YCL004W": ("chrIII", 201, 230),
}
_ORF = "ATGGCTGCAAAAGGTTTTCATCATGCATAA"  # 30 bp: ATG, eight codons, TAA
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def sequences() -> dict[str, str]:
    """Return the genome: seeded bases, with a valid open frame under each gene."""
    rng = np.random.default_rng(1)
    found = {
        name: "".join(rng.choice(list("ACGT"), size=length))
        for name, length in LENGTHS.items()
    }
    for gene, (contig, start, end) in GENES.items():
        frame = _ORF if gene.endswith("W") else _ORF.translate(_COMPLEMENT)[::-1]
        bases = found[contig]
        found[contig] = bases[: start - 1] + frame + bases[end:]
    return found


def write_genome(folder: Path) -> Path:
    path = folder / "genome.fa"
    path.write_text("".join(f">{n} made up\n{s}\n" for n, s in sequences().items()))
    return path


def gff_text(
    names: Mapping[str, str] = {"chrI": "I", "chrII": "II"},
    *,
    shift: int = 0,
) -> str:
    """Return the genes as GFF3, each moved by ``shift`` bases."""
    rows = ["##gff-version 3"]
    for gene, (contig, first, last) in GENES.items():
        start, end = first + shift, last + shift
        place = f"{names.get(contig, contig)}\tx\t{{}}\t{start}\t{end}\t.\t"
        strand = "+" if gene.endswith("W") else "-"
        rows += [
            place.format("gene") + f"{strand}\t.\tID=gene:{gene};Name=A{gene[2:6]}",
            place.format("mRNA")
            + f"{strand}\t.\tID=transcript:{gene}_mRNA;Parent=gene:{gene}",
            place.format("exon") + f"{strand}\t.\tParent=transcript:{gene}_mRNA",
            place.format("CDS") + f"{strand}\t0\tParent=transcript:{gene}_mRNA",
        ]
    return "\n".join(rows) + "\n"


def write_annotation(folder: Path) -> Path:
    path = folder / "genes.gff3"
    path.write_text(gff_text())
    return path


def build_workspace(folder: Path) -> Path:
    """Register the genome and its genes in ``folder/w``."""
    workspace = folder / "w"
    with open_store(workspace, write=True) as store:
        store.add(write_genome(folder))
        store.add(write_annotation(folder), citation="nobody, 2026")
    return workspace


@dataclass(frozen=True, slots=True)
class Case:
    """A file and what is read of it, left out, and found in tables afterwards."""

    kind: str
    path: Path
    read: int
    left_out: dict[str, int]
    rows: dict[str, int]
    options: dict[str, str] = field(default_factory=dict)


VCF_HEADER = (
    "##fileformat=VCFv4.2\n"
    + "".join(f"##contig=<ID={n},length={m}>\n" for n, m in LENGTHS.items())
    + '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\n"
)


def vcf_text() -> str:
    """Twelve records: ten SNPs, one without ALT, one on a contig that is not ours."""
    bases = sequences()["chrI"]
    rows = []
    for pos in range(600, 700, 10):
        ref = bases[pos - 1]
        alt = "A" if ref != "A" else "C"
        rows.append(f"chrI\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\tGT\t0/1\t1/1")
    rows.append(f"chrI\t710\t.\t{bases[709]}\t.\t.\t.\t.\tGT\t0/0\t0/0")
    rows.append("chrX\t5\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/0")
    header = VCF_HEADER.replace("##FORMAT", "##contig=<ID=chrX,length=9>\n##FORMAT")
    return header + "\n".join(rows) + "\n"


def _bed_rows(n: int) -> str:
    return "".join(f"chrI\t{i * 20}\t{i * 20 + 10}\tp{i}\t5\t+\n" for i in range(n))


def write_track(folder: Path, lengths: Mapping[str, int] = LENGTHS) -> Path:
    path = folder / "signal.bw"
    track = pyBigWig.open(str(path), "w")
    track.addHeader(list(lengths.items()))
    first = next(iter(lengths))
    track.addEntries(
        [first] * 3, [0, 50, 100], ends=[50, 100, 150], values=[1.0, 2.0, 3.0]
    )
    track.close()
    return path


def cases(folder: Path) -> list[Case]:
    """Write a file of every kind but genome and annotation."""
    genes = list(GENES)

    def put(name: str, text: str) -> Path:
        path = folder / name
        path.write_text(text)
        return path

    bgz = folder / "strains.vcf.gz"
    with pysam.BGZFile(str(bgz), "w", None) as file:
        file.write(vcf_text().encode())
    zipped = folder / "cres.bed.gz"
    off, unknown = "chrIII\t990\t1010\tq\t5\t+\n", "chrX\t1\t9\tq\t5\t+\n"
    with gzip.open(zipped, "wt") as gz:
        gz.write(_bed_rows(22) + off + unknown)
    gwas = "SNP\tCHR\tBP\tA1\tA2\tBETA\tSE\tP\n"
    gwas += "".join(f"r{i}\t1\t{i}\tA\tC\t0.1\t0.05\t0.{i}\n" for i in range(10, 30))
    gwas += "r9\t1\t9\tA\tC\t0.1\t0.05\tNA\nr8\t3\t1001\tA\tC\t0.1\t0.05\t0.2\n"
    scores = "chrom\tpos\tref\talt\tSIFT\n"
    for i in range(700, 712):
        ref = sequences()["chrI"][i - 1]
        scores += f"chrI\t{i}\t{ref}\t{'A' if ref != 'A' else 'C'}\t0.{i}\n"
    scores += "chrZ\t5\tA\tC\t0.5\n"
    bedpe = "".join(
        f"chrI\t{i}\t{i + 50}\tchrII\t{i}\t{i + 50}\tl{i}\t{i}\n"
        for i in range(0, 1000, 50)
    )
    meme = (
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 ABF1\n"
        "letter-probability matrix: alength= 4 w= 2 nsites= 10\n"
        "0.7 0.1 0.1 0.1\n0.25 0.25 0.25 0.25\n\nMOTIF M2 RAP1\n"
        "letter-probability matrix: alength= 4 w= 1 nsites= 10\n1 0 0 0\n"
    )
    obo = (
        "format-version: 1.2\n\n[Term]\nid: GO:0000001\nname: a\n"
        "namespace: biological_process\n\n[Term]\nid: GO:0000002\nname: b\n"
        "namespace: biological_process\nis_a: GO:0000001 ! a\n"
    )
    return [
        Case(
            "variants", bgz, 12, {"no_alt": 1, "unknown_contig": 1},
            {"panels": 1, "panel_samples": 2, "panel_frequencies": 10},
        ),
        Case(
            "intervals", zipped, 24, {"off_contig": 1, "unknown_contig": 1},
            {"intervals": 22},
        ),
        Case(
            "tf_sites", put("ABF1.bed", _bed_rows(12) + unknown), 13,
            {"unknown_contig": 1}, {"tf_sites": 12}, {"tf": "ABF1"},
        ),
        Case(
            "track", write_track(folder), 4, {"contig_without_value": 3}, {"tracks": 1}
        ),
        Case(
            "contacts",
            put("loops.bedpe", bedpe + "chrI\t0\t50\tchrQ\t0\t50\tz\t1\n"),
            21, {"unknown_contig": 1}, {"contacts": 20},
        ),
        Case(
            "gwas", put("gwas.tsv", gwas), 22,
            {"no_p_value": 1, "off_contig": 1}, {"associations": 20, "phenotypes": 1},
        ),
        Case(
            "variant_scores", put("sift.tsv", scores), 13, {"unknown_contig": 1},
            {"variant_scores": 12},
        ),
        Case("motifs", put("motifs.meme", meme), 2, {}, {"motifs": 2}),
        Case(
            "ontology", put("go.obo", obo), 2, {}, {"terms": 2, "term_relations": 1}
        ),
        Case(
            "contig_synonyms",
            put("names.tsv", "contig\tsynonym\nchrI\tone\tuno\nBK1\tchrII\nq\tz\n"),
            3, {"unknown_contig": 1}, {"contig_synonyms": 3},
        ),
        Case(
            "gene_sets",
            put("sets.gmt", f"S1\td\t{genes[0]}\tnobody\t{genes[1]}\nS2\td\tno\tone\n"),
            2, {"unknown_gene": 1}, {"gene_terms": 2, "terms": 2},
        ),
        Case(
            "interactions",
            put(
                "net.tsv",
                f"gene_a\tgene_b\tscore\n{genes[0]}\t{genes[1]}\t0.5\n"
                f"{genes[2].lower()}\tA{genes[3][2:6]}\t0.9\nnobody\t{genes[1]}\t0.1\n",
            ),
            3, {"unknown_gene": 1}, {"interactions": 2},
        ),
        Case(
            "expression",
            put(
                "tpm.tsv",
                f"gene_id\ts1\ts2\n{genes[0]}\t1\t2\n{genes[1]}\t3\t4\nno\t5\t6\n",
            ),
            3, {"unknown_gene": 1}, {"expression": 4}, {"unit": "tpm"},
        ),
        Case(
            "samples",
            put("samples.tsv", "sample\ttissue\tplot\ns1\tleaf\t1\ns2\troot\t2\n"),
            2, {}, {"samples": 2}, {"dataset": "tpm"},
        ),
        Case(
            "phenotypes", put("traits.tsv", "line\theight\na\t1.5\nb\t2.5\nc\tNA\n"), 3,
            {"no_value": 1}, {"phenotypes": 1, "phenotype_values": 2},
        ),
        Case(
            "gene_phenotypes",
            put("gp.tsv", f"gene\tphenotype\n{genes[0]}\theight\nno\theight\n"), 2,
            {"unknown_gene": 1}, {"gene_phenotypes": 1, "phenotypes": 1},
        ),
        Case(
            "aliases",
            put("aliases.tsv", f"gene_id\tsymbol\n{genes[0]}\tTFC3\nno\tX\n"), 2,
            {"unknown_gene": 1}, {"gene_aliases": 1},
        ),
        Case(
            "orthologs",
            put("orthologs.tsv", f"gene\tortholog\tka\tks\n{genes[0]}\tq1\t0.1\t0.2\n"
                "no\tq2\t0.1\t0.2\n"),
            2, {"unknown_gene": 1}, {"orthologs": 1},
        ),
        Case(
            "pathways",
            put("kegg.tsv", f"pathway\tgene\nsce00010\t{genes[0]}\nsce00010\tno\n"), 2,
            {"unknown_gene": 1}, {"gene_terms": 1, "terms": 1},
        ),
        Case(
            "texts",
            put("texts.tsv", f"gene\ttext\n{genes[0]}\tSubunit\nno\tUnit\n"), 2,
            {"unknown_gene": 1}, {"texts": 1},
        ),
        Case(
            "pangenome", put("graph.gfa", "H\tVN:Z:1.0\nS\ts1\tACGT\nS\ts2\tGG\n"
            "L\ts1\t+\ts2\t+\t0M\nP\tp\ts1+,s2+\t*\n"), 4, {},
            {"segments": 2, "segment_links": 1, "segment_paths": 2},
        ),
    ]  # fmt: skip


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables, the manifest and the logs too."""
    names = [*TABLES, "sources", "left_out", "runs"]
    return {
        name: store.connection.execute(
            f'SELECT * FROM "{name}" ORDER BY ALL'  # noqa: S608
        ).fetchall()
        for name in names
    }


def rows_of(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of the data tables without their source's number."""
    return {
        name: store.connection.execute(
            f'SELECT * EXCLUDE source_id FROM "{name}" ORDER BY ALL'  # noqa: S608
        ).fetchall()
        for name in TABLES
    }


def files_in(workspace: Path) -> dict[str, str]:
    """Return every file below the workspace but the registry, with its sha256."""
    return {
        path.relative_to(workspace).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and not path.name.startswith("registry.duckdb")
    }


def snapshot(workspace: Path) -> tuple[object, object]:
    """Return all that a workspace holds, for comparing before and after."""
    with open_store(workspace) as store:
        return dump(store), files_in(workspace)
