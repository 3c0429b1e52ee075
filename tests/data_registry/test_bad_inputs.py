"""Bad inputs: each is refused with a message of use, and the store stays as it was.

One table: the input, how it is made, the kind it is given as (None: detected), the
error, and what its message must say. Below it, inputs that look bad and must work, and
faults of the machine: full and read-only disks, a second writer, a killed writer.
"""

# ruff: noqa: S603 (a table of one line a case reads best; we run ourselves)

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cooler
import numpy as np
import pandas as pd
import pysam
import pytest

from data_registry.errors import (
    ContigMappingError,
    GeneMappingError,
    InputError,
    MalformedFileError,
    PlatformError,
    WorkspaceError,
)
from data_registry.store import Store, open_store
from tests.data_registry import small_files
from tests.data_registry.small_files import dump, files_in, rows_of, snapshot

Make = Callable[[Path], Path]
REPOSITORY = Path(__file__).resolve().parents[2]

BED = "".join(f"chrI\t{i * 10}\t{i * 10 + 5}\tn{i}\t1\t+\n" for i in range(20))
GWAS = "SNP\tCHR\tBP\tA1\tA2\tBETA\tSE\tP\n" + "".join(
    f"r{i}\t1\t{i}\tA\tC\t0.1\t0.05\t0.{i}\n" for i in range(10, 30)
)
EXPRESSION = "gene_id\ts1\ts2\nYAL001C\t1\t2\nYAL002W\t3\t4\n"
MEME = (
    "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 ABF1\n"
    "letter-probability matrix: alength= 4 w= 2 nsites= 10\n"
    "0.7 0.1 0.1 0.1\n0.25 0.25 0.25 0.25\n"
)
JASPAR = ">MA1 ABF1\nA [ 1 2 3 ]\nC [ 1 2 3 ]\nG [ 1 -2 3 ]\nT [ 1 2 3 ]\n"
OBO = "format-version: 1.2\n\n[Term]\nid: GO:0000001\nname: a\n"


def text(name: str, content: str) -> Make:
    """Make a file of that name with that text (bytes kept as they are)."""
    return binary(name, content.encode())


def binary(name: str, content: bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def edited(content: str, line: int, new: str) -> str:
    """Return a text with one line (1-based) replaced."""
    lines = content.split("\n")
    lines[line - 1] = new
    return "\n".join(lines)


def bgzip(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x"
        with pysam.BGZFile(str(file), "w", None) as out:
            out.write(content)
        return file.read_bytes()


def bcf_cut(folder: Path) -> Path:
    whole = text("x.vcf", small_files.vcf_text())(folder)
    path = folder / "x.bcf"
    with (
        pysam.VariantFile(str(whole)) as given,
        pysam.VariantFile(str(path), "wb", header=given.header) as out,
    ):
        for record in given:
            out.write(record)
    path.write_bytes(path.read_bytes()[:-60])
    return path


def cool_of_another_genome(folder: Path) -> Path:
    bins = pd.DataFrame(
        {
            "chrom": ["scaffold_1"] * 4 + ["scaffold_2"] * 4,
            "start": [0, 100, 200, 300] * 2,
            "end": [100, 200, 300, 400] * 2,
        }
    )
    pixels = pd.DataFrame({"bin1_id": range(8), "bin2_id": range(8), "count": 5})
    path = folder / "x.cool"
    cooler.create_cooler(str(path), bins, pixels)
    return path


def cool_of_a_longer_build(folder: Path) -> Path:
    starts = np.arange(0, 30000, 100)
    bins = pd.DataFrame({"chrom": "chrI", "start": starts, "end": starts + 100})
    n = len(bins)
    pixels = pd.DataFrame({"bin1_id": range(n), "bin2_id": range(n), "count": 5})
    path = folder / "y.cool"
    cooler.create_cooler(str(path), bins, pixels)
    return path


def cool_cut(folder: Path) -> Path:
    path = cool_of_a_longer_build(folder)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def big_wig_cut(folder: Path) -> Path:
    path = small_files.write_track(folder)
    path.write_bytes(path.read_bytes()[:200])
    return path


def zipped(folder: Path) -> Path:
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.bed", BED)
    return path


def link(target: str, name: str = "link.bed") -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.symlink_to(target)
        return path

    return make


def link_circle(folder: Path) -> Path:
    (folder / "a.bed").symlink_to("b.bed")
    (folder / "b.bed").symlink_to("a.bed")
    return folder / "a.bed"


def a_folder(folder: Path) -> Path:
    path = folder / "x.bed"
    path.mkdir()
    return path


def fifo(folder: Path) -> Path:
    path = folder / "x.bed"
    os.mkfifo(path)
    return path


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256))


def not_utf8(folder: Path) -> Path:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/\xff.bed"))
    path.write_text(BED)
    return path


JUNK = np.random.default_rng(3).integers(0, 256, 5000, dtype=np.uint8).tobytes()
FASTA = "".join(f">{n}\n{s}\n" for n, s in small_files.sequences().items())
VCF = small_files.vcf_text()
GFF_EIGHT = re.sub(r"\t[^\t\n]*$", "", small_files.gff_text({}), flags=re.MULTILINE)
HUGE = "chrI\t1\t" + "9" * 3_000_000 + "\n"


@dataclass(frozen=True, slots=True)
class Bad:
    """One bad input."""

    name: str
    make: Make
    kind: str | None
    error: type[PlatformError]
    says: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)


# fmt: off
BAD = (
    # -- the file itself
    Bad("no such file", lambda f: f / "x.bed", None, MalformedFileError, ("no such file", "Check the path")),
    Bad("dangling link", link("gone"), None, MalformedFileError, ("link to nothing",)),
    Bad("link to itself", link("link.bed"), None, MalformedFileError, ("Give the real path",)),
    Bad("circle of links", link_circle, None, MalformedFileError, ("Give the real path",)),
    Bad("folder", a_folder, None, MalformedFileError, ("is a folder", "Give one file")),
    Bad("fifo", fifo, None, MalformedFileError, ("not a regular file", "Give one file")),
    Bad("name too long", lambda f: f / ("n" * 300), None, MalformedFileError, ("too long",)),
    Bad("name with a NUL", lambda f: f / "a\0b", None, MalformedFileError, ("null byte",)),
    Bad("name that is not UTF-8", not_utf8, None, MalformedFileError, ("not UTF-8", "Rename")),
    Bad("empty", text("x.bed", ""), None, MalformedFileError, ("file is empty",)),
    Bad("empty, kind given", text("x.bed", ""), "intervals", MalformedFileError, ("file is empty",)),
    Bad("blank lines", text("x.bed", "\n\n \n"), None, MalformedFileError, ("file is empty",)),
    Bad("empty gz", binary("x.gz", gzip.compress(b"")), None, MalformedFileError, ("file is empty",)),
    # -- compression
    Bad("gz cut short", binary("x.gz", gzip.compress(BED.encode() * 50)[:-20]), "intervals", MalformedFileError, ("truncated", "Fetch or compress the file again")),
    Bad("gz cut short, detected", binary("x.gz", gzip.compress(BED.encode() * 50)[:-20]), None, MalformedFileError, ("truncated",)),
    Bad("gz with a wrong checksum", binary("x.gz", gzip.compress(BED.encode())[:-8] + bytes(8)), "intervals", MalformedFileError, ("CRC", "again")),
    Bad("bgz without its end", binary("x.gz", bgzip(BED.encode())[:-28]), "intervals", MalformedFileError, ("end block is missing", "truncated")),
    Bad("bgz cut in a block", binary("x.gz", bgzip(BED.encode() * 9000)[:-3000]), "intervals", MalformedFileError, ("truncated",)),
    Bad("gz that is none", binary("x.bed.gz", b"\x1f\x8bnot at all"), None, MalformedFileError, ("Unknown compression method",)),
    Bad("zip", zipped, None, MalformedFileError, ("zip archive", "Unpack")),
    Bad("zip, kind given", zipped, "intervals", MalformedFileError, ("zip archive", "Unpack")),
    # -- text that is none
    Bad("binary junk", binary("x.bed", JUNK), None, MalformedFileError, ("no kind", "--kind")),
    Bad("binary junk as BED", binary("x.bed", JUNK), "intervals", MalformedFileError, ("line 2", "zero byte")),
    Bad("binary junk as GFF", binary("x.gff", JUNK), "annotation", MalformedFileError, ("line 2", "zero byte")),
    Bad("binary junk as VCF", binary("x.vcf", JUNK), "variants", MalformedFileError, ("line 2", "zero byte")),
    Bad("PNG as FASTA", binary("genome.fa", PNG), "genome", MalformedFileError, ("line 1", "starts with '>'")),
    Bad("PNG as a matrix", binary("x.tsv", PNG), "expression", MalformedFileError, ("no row of data",)),
    Bad("huge line", text("x.bed", HUGE), "intervals", MalformedFileError, ("line 1", "a line of more than 65,536 bytes")),
    Bad("huge name of a gene", text("x.gmt", "S\td\t" + "x" * 3_000_000), "gene_sets", GeneMappingError, ("xxx…", "YAL001C")),
    Bad("prose", text("x.txt", "Dear reader,\nthis is no table.\n"), None, MalformedFileError, ("no kind", "--kind")),
    # -- the call
    Bad("unknown kind", text("x.bed", BED), "bam", InputError, ("no kind 'bam'", "intervals, motifs")),
    Bad("unknown option", text("x.bed", BED), "intervals", InputError, ("no option colour", "it takes: "), {"colour": "red"}),
    Bad("unknown value of an option", text("x.bed", BED), "intervals", InputError, ("interval_kind=thing", "choose one of cre"), {"interval_kind": "thing"}),
    Bad("unknown genetic code", text("genes.gff3", small_files.gff_text({})), "annotation", InputError, ("no genetic code 99", "1, 2, 3"), {"codon_tables": "chrM=99"}),
    Bad("unknown unit", text("e.tsv", EXPRESSION), "expression", InputError, ("unit=furlong", "tpm"), {"unit": "furlong"}),
    Bad("BED as annotation", text("x.bed", BED), "annotation", MalformedFileError, ("line 1", "nine tab-separated columns")),
    Bad("BED as motifs", text("x.bed", BED), "motifs", MalformedFileError, ("line 1", "Give MEME")),
    Bad("BED as VCF", text("x.bed", BED), "variants", MalformedFileError, ("line 1", "not with ##fileformat=VCF")),
    Bad("BED as GWAS", text("x.bed", BED), "gwas", MalformedFileError, ("line 1", "--column contig=")),
    Bad("BED as bigWig", text("x.bed", BED), "track", MalformedFileError, ("no bigWig file",)),
    Bad("BED as OBO", text("x.bed", BED), "ontology", MalformedFileError, ("no [Term]", "OBO")),
    Bad("BED as GFA", text("x.bed", BED), "pangenome", MalformedFileError, ("line 1", "GFA 1")),
    Bad("BED as PLINK bed", text("x.bed", BED), "panel", MalformedFileError, ("PLINK's mark",)),
    Bad("GFF as intervals", text("x.gff3", small_files.gff_text()), "intervals", MalformedFileError, ("line 2", "--kind annotation")),
    Bad("peaks without a factor", text("x.bed", BED), "tf_sites", MalformedFileError, ("line 1", "--option tf=NAME")),
    # -- genomes
    Bad("FASTA without a record", text("genome.fa", "ACGT\n"), "genome", MalformedFileError, ("line 1", "starts with '>'")),
    Bad("FASTA of a header", text("genome.fa", ">chrI\n"), "genome", MalformedFileError, ("'chrI' has no bases", "fetch it again")),
    Bad("FASTA with an empty record", text("genome.fa", ">chrI\n>chrII\nAC\n"), "genome", MalformedFileError, ("'chrI' has no bases",)),
    Bad("FASTA with a doubled name", text("genome.fa", FASTA + ">chrI\nACGT\n"), "genome", MalformedFileError, ("'chrI' stands twice",)),
    Bad("FASTA with a nameless record", text("genome.fa", ">\nAC\n"), "genome", MalformedFileError, ("no name",)),
    Bad("FASTA with spaces", text("genome.fa", ">chrI\nACGT ACGT\n"), "genome", MalformedFileError, ("line 2", "' ' is no base")),
    Bad("FASTA with a wrong letter", text("genome.fa", ">chrI\nACGT\nAC!T\n"), "genome", MalformedFileError, ("line 3", "'!' is no base", "IUPAC")),
    Bad("FASTA of proteins", text("genome.fa", ">P1\nMSTNPKPQRKTKRNTNRRPQDVKFPGG\n"), "genome", MalformedFileError, ("line 2", "'P' is no base")),
    Bad("FASTA of a short protein", text("genome.fa", ">P1\nMKVHHMKVWSKMKVH\n"), "genome", MalformedFileError, ("looks like protein",)),
    Bad("FASTA of transcripts", text("genome.fa", ">YAL001C_mRNA\nACGTACGT\n"), "genome", InputError, ("contigs or lengths differ",)),
    Bad("FASTA of another genome", text("other.fa", FASTA), "genome", InputError, ("holds genome 'genome'", "another workspace")),
    Bad("FASTA of other lengths", text("genome.fa", FASTA.replace(">chrI\n", ">chrI\nA")), "genome", InputError, ("contigs or lengths differ", "new workspace")),
    Bad("2bit cut short", binary("genome.2bit", bytes.fromhex("4327411a0000000001000000000000000161") + bytes(4)), "genome", MalformedFileError, ("2bit", "again")),
    # -- intervals
    Bad("negative starts", text("x.bed", "".join(f"chrI\t-{i}\t9\n" for i in range(1, 9))), "intervals", MalformedFileError, ("line 1", "8 of 8 rows", "negative_coordinate")),
    Bad("ends before starts", text("x.bed", "chrI\t9\t5\n" * 9), "intervals", MalformedFileError, ("line 1", "empty_interval")),
    Bad("positions that are words", text("x.bed", "chrI\ta\tb\n" * 9), "intervals", MalformedFileError, ("line 1", "--column start=")),
    Bad("a row too short", text("x.bed", edited(BED, 7, "chrI\t60\t65")), "intervals", MalformedFileError, ("line 7", "3 fields where 6")),
    Bad("a row too long", text("x.bed", edited(BED, 7, "chrI\t60\t65\ta\t1\t+\tz")), "intervals", MalformedFileError, ("line 7", "7 fields where 6")),
    Bad("two columns", text("x.bed", "chrI\t5\n" * 9), "intervals", MalformedFileError, ("line 1", "2 column(s)")),
    Bad("BED of a header", text("x.bed", "track name=x\n"), "intervals", MalformedFileError, ("no row of data",)),
    Bad("names of another assembly", text("x.bed", BED.replace("chrI", "NC_003070.9")), None, ContigMappingError, ("only 0 of 20 rows", "NC_003070.9 chrI", "contig_synonyms")),
    Bad("positions of another build", text("x.bed", "".join(f"chrIII\t{i * 500}\t{i * 500 + 5}\n" for i in range(9))), None, ContigMappingError, ("7 of 9 rows", "another build", "lift it over")),
    # -- gene models
    Bad("GFF without a gene", text("g.gff3", "##gff-version 3\nI\tx\tregion\t1\t100\t.\t+\t.\tID=r\n"), "annotation", MalformedFileError, ("no gene models", "region (1)")),
    Bad("GFF of ends before starts", text("g.gff3", re.sub(r"(x\t\w+)\t(\d+)\t(\d+)", r"\1\t\3\t\2", small_files.gff_text())), "annotation", MalformedFileError, ("line 2", "16 of 16 rows", "end_before_start 16")),
    Bad("GFF of a header", text("g.gff3", "##gff-version 3\n"), "annotation", MalformedFileError, ("no row of data",)),
    Bad("GFF of another assembly", text("g.gff3", small_files.gff_text(dict.fromkeys(small_files.LENGTHS, "LG9"))), None, ContigMappingError, ("only 0 of 16 rows", "LG9", "chrI")),
    Bad("GFF of another build", text("g.gff3", small_files.gff_text(shift=99_000)), None, ContigMappingError, ("16 of 16 rows", "another build")),
    Bad("GFF with eight columns", text("g.gff3", GFF_EIGHT), "annotation", MalformedFileError, ("line 2", "this one has 8")),
    Bad("GFF parted by spaces", text("g.gff3", small_files.gff_text().replace("\t", " ")), "annotation", MalformedFileError, ("line 2", "one tab between them")),
    # -- variants
    Bad("VCF without #CHROM", text("x.vcf", "##fileformat=VCFv4.2\nchrI\t5\t.\tA\tC\t.\t.\t.\n"), None, MalformedFileError, ("line 2", "no line #CHROM above the first record")),
    Bad("VCF of a header", text("x.vcf", small_files.VCF_HEADER), None, MalformedFileError, ("a header and no records",)),
    Bad("VCF with a doubled sample", text("x.vcf", VCF.replace("\ta\tb\n", "\ta\ta\n")), None, MalformedFileError, ("line 8", "sample 'a' stands twice")),
    Bad("VCF with a position of letters", text("x.vcf", VCF.replace("chrI\t620\t", "chrI\tsix\t")), None, MalformedFileError, ("line 11", "POS is 'six', no whole number")),
    Bad("VCF with a sample missing", text("x.vcf", VCF.replace("GT\t0/1\t1/1", "GT\t0/1", 1)), None, MalformedFileError, ("line 9", "10 columns where the header has 11")),
    Bad("VCF with a negative position", text("x.vcf", VCF.replace("chrI\t6", "chrI\t-6")), None, MalformedFileError, ("line 9", "record 1: POS is '-600'")),
    Bad("VCF of another assembly", text("x.vcf", VCF.replace("chrI\t", "utg1\t").replace("ID=chrI,", "ID=utg1,")), None, ContigMappingError, ("utg1 chrI",)),
    Bad("VCF cut short, bgz", binary("x.vcf.gz", bgzip(VCF.encode())[:-40]), None, MalformedFileError, ("truncated",)),
    Bad("VCF cut short, gz", binary("x.vcf.gz", gzip.compress(VCF.encode())[:-40]), None, MalformedFileError, ("truncated",)),
    Bad("BCF cut short", bcf_cut, None, MalformedFileError, ("truncated",)),
    # -- contacts and tracks
    Bad("cool of another genome", cool_of_another_genome, None, ContigMappingError, ("scaffold_1 chrI",)),
    Bad("cool of another build", cool_of_a_longer_build, None, ContigMappingError, ("270 of 300 rows", "another build")),
    Bad("cool cut short", cool_cut, None, MalformedFileError, ("truncated", "cooler info")),
    Bad("bigWig cut short", big_wig_cut, None, MalformedFileError, ("cut short or damaged", "Fetch")),
    Bad("BEDPE with five columns", text("x.bedpe", "chrI\t1\t5\tchrI\t9\n" * 5), "contacts", MalformedFileError, ("line 1", "two anchors need six")),
    # -- tables
    Bad("GWAS with p above 1", text("g.tsv", GWAS.replace("\t0.05\t0.", "\t0.05\t1")), "gwas", MalformedFileError, ("line 2", "p_out_of_range 20")),
    Bad("GWAS of a header", text("g.tsv", GWAS.split("\n")[0] + "\n"), "gwas", MalformedFileError, ("a header and no rows",)),
    Bad("GWAS without a header", text("g.tsv", GWAS.split("\n", 1)[1]), "gwas", MalformedFileError, ("line 1", "--column contig=")),
    Bad("GWAS with a short row", text("g.tsv", edited(GWAS, 6, "r\t1\t5")), "gwas", MalformedFileError, ("line 6", "3 fields where 8")),
    Bad("scores at words", text("x.tsv", "chrom\tpos\tref\talt\tSIFT\n" + "chrI\tx\tA\tC\t0.5\n" * 5), "variant_scores", MalformedFileError, ("line 2", "bad_position 5")),
    Bad("expression of a header", text("e.tsv", "gene_id\ts1\ts2\n"), "expression", MalformedFileError, ("a header and no rows",)),
    Bad("expression without a header", text("e.tsv", EXPRESSION.split("\n", 1)[1]), "expression", MalformedFileError, ("line 1", "has no header", "gene_id")),
    Bad("expression with a doubled sample", text("e.tsv", EXPRESSION.replace("s2", "s1")), "expression", MalformedFileError, ("line 1", "stand twice: 's1'")),
    Bad("expression in words", text("e.tsv", "gene_id\ts1\nYAL001C\tone\nYAL002W\ttwo\n"), "expression", MalformedFileError, ("no column of numbers",)),
    Bad("expression with a short row", text("e.tsv", EXPRESSION.replace("3\t4", "3")), "expression", MalformedFileError, ("line 3", "2 fields where 3")),
    Bad("expression of another species", text("e.tsv", EXPRESSION.replace("YAL", "QQQ")), "expression", GeneMappingError, ("QQQ001C YAL001C", "--kind aliases")),
    Bad("quotes that do not pair", text("x.csv", 'gene_id,s1\n"YAL001C,5\nYAL002W,6\n'), "expression", MalformedFileError, ("line 3", "quotes do not pair")),
    Bad("UTF-16 cut short", binary("x.tsv", b"\xff\xfe" + EXPRESSION.encode("utf-16-le")[:-1]), "expression", MalformedFileError, ("broken UTF-16", "UTF-8")),
    Bad("edges with one end", text("x.tsv", "gene_a\nYAL001C\n"), "interactions", MalformedFileError, ("line 1", "--column gene_b=")),
    Bad("edges of another species", text("x.tsv", "gene_a\tgene_b\nAT1\tAT2\n"), "interactions", GeneMappingError, ("AT1", "YAL001C")),
    Bad("traits in words", text("x.tsv", "line\theight\na\ttall\nb\tshort\n"), "phenotypes", MalformedFileError, ("line 1", "--option traits=")),
    Bad("GMT of a comment", text("x.gmt", "# nothing\n"), "gene_sets", MalformedFileError, ("no gene set",)),
    Bad("OBO of a header", text("x.obo", "format-version: 1.2\n"), "ontology", MalformedFileError, ("no [Term]",)),
    Bad("OBO cut short", text("x.obo", OBO + "\n[Ter"), "ontology", MalformedFileError, ("cannot be read as OBO",)),
    Bad("GFA without a segment", text("x.gfa", "H\tVN:Z:1.0\n"), "pangenome", MalformedFileError, ("no segment",)),
    Bad("synonyms of one name", text("x.tsv", "contig\tsynonym\nchrI\n"), None, MalformedFileError, ("line 2", "two or more names")),
    Bad("synonyms of nothing we have", text("x.tsv", "contig\tsynonym\na\tb\n"), None, MalformedFileError, ("1 unknown_contig",)),
    # -- motifs
    Bad("motif with negative counts", text("m.jaspar", JASPAR), "motifs", MalformedFileError, ("bad_value", "not log-odds")),
    Bad("motif with rows of two lengths", text("m.jaspar", JASPAR.replace("-2 ", "")), "motifs", MalformedFileError, ("line 1", "of one length")),
    Bad("MEME cut short", text("m.meme", MEME.rsplit("0.25 0.25", 1)[0]), "motifs", MalformedFileError, ("line 8", "lacks 1 of its matrix rows")),
    Bad("MEME of a header", text("m.meme", MEME.split("MOTIF")[0]), "motifs", MalformedFileError, ("no motif",)),
    Bad("MEME of proteins", text("m.meme", MEME.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY")), "motifs", MalformedFileError, ("line 3", "ACGT")),
)
# fmt: on


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_files.build_workspace(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def shared_store(
    prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """One store for all refusals: each leaves it as it was, so the next may use it."""
    folder = tmp_path_factory.mktemp("shared") / "w"
    with open_store(shutil.copytree(prepared, folder), write=True) as store:
        yield store


@pytest.fixture
def workspace(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path / "w")


def test_there_are_enough_and_each_has_its_own_name():
    assert len({bad.name for bad in BAD}) == len(BAD) > 100


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_bad_input_is_refused_and_nothing_has_changed(bad, tmp_path, shared_store):
    path = bad.make(tmp_path)
    folder = shared_store.workspace.path
    before = dump(shared_store), files_in(folder)
    with pytest.raises(bad.error) as caught:
        shared_store.add(path, kind=bad.kind, options=bad.options)
    message = str(caught.value)
    for words in bad.says:  # name lists stand in columns: blanks do not count
        assert words in " ".join(message.split())
    is_of_the_call = type(caught.value) is InputError
    assert (
        path.name.encode(errors="backslashreplace").decode() in message
        or is_of_the_call
    )
    assert len(message) < 1500
    assert (dump(shared_store), files_in(folder)) == before


# --- what looks bad and must work --------------------------------------------------


def shuffled(content: str) -> str:
    rows = content.splitlines(keepends=True)
    order = np.random.default_rng(0).permutation(len(rows))
    return "".join(rows[i] for i in order)


def at(name: str) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(BED)
        return path

    return make


def behind_links(folder: Path) -> Path:
    (folder / "x.bed").write_text(BED)
    (folder / "b.bed").symlink_to(folder / "x.bed")
    (folder / "c.bed").symlink_to("b.bed")
    return folder / "c.bed"


# fmt: off
GOOD: dict[str, Make] = {
    "UTF-16": binary("x.bed", BED.encode("utf-16")),
    "CRLF": text("x.bed", BED.replace("\n", "\r\n")),
    "CR": text("x.bed", BED.replace("\n", "\r")),
    "byte-order mark": text("x.bed", "\ufeff" + BED),
    "no last line end": text("x.bed", BED.rstrip()),
    "unsorted": text("x.bed", shuffled(BED)),
    "comments and track lines": text("x.bed", "# c\ntrack name=x\n" + BED),
    "gz": binary("x.bed.gz", gzip.compress(BED.encode())),
    "gz named as text": binary("x.bed", gzip.compress(BED.encode())),
    "text named as gz": text("x.bed.gz", BED),
    "gz in two members": binary("x.gz", gzip.compress(BED[:80].encode()) + gzip.compress(BED[80:].encode())),
    "bgz": binary("x.bed.gz", bgzip(BED.encode())),
    "path with spaces": at("a folder/my file (1).bed"),
    "path with unicode": at("données/überblick 数据.bed"),
    "path with a newline": at("two\nlines.bed"),
    "path with quotes": at("it's \"quoted\"; DROP TABLE sources.bed"),
    "the longest name": at("n" * 251 + ".bed"),
    "behind two links": behind_links,
    "no ending": at("peaks"),
    "a name that starts with a dot": at(".bed"),
}
# fmt: on


@pytest.mark.parametrize("name", GOOD)
def test_odd_but_right_input_gives_the_plain_files_rows(name, tmp_path, shared_store):
    folder = tmp_path / "in"
    folder.mkdir()
    plain = folder / "plain"
    plain.write_text(BED)
    options = {"interval_kind": "cre", "sample": "s"}
    found = []
    for path in (plain, GOOD[name](folder)):
        source = shared_store.add(path, kind="intervals", options=options).source
        assert (source.rows_read, source.rows_kept) == (20, 20)
        assert source.path == path.as_posix()
        assert shared_store.verify() == []
        found.append(rows_of(shared_store))
        shared_store.remove(source.name)
    assert found[0] == found[1]
    assert len(found[0]["intervals"]) == 20


def test_odd_rows_are_left_out_one_by_one(tmp_path, shared_store):
    rows = BED + "chrI\t-1\t5\tx\t1\t+\nchrI\t9\t5\tx\t1\t+\nchrI\tsix\t9\tx\t1\t+\n"
    source = shared_store.add(text("x.bed", rows)(tmp_path)).source
    assert source.rows_kept == 20
    assert source.left_out == {
        "negative_coordinate": 1,
        "empty_interval": 1,
        "coordinate_not_whole_number": 1,
    }
    listed = shared_store.left_out(source).set_index("reason")["line"]
    assert dict(listed) == {
        "negative_coordinate": 21,
        "empty_interval": 22,
        "coordinate_not_whole_number": 23,
    }
    shared_store.remove("x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(tmp_path, shared_store):
    path = text("x.bed", BED)(tmp_path)
    path.chmod(0)
    with pytest.raises(MalformedFileError, match="Change its permissions"):
        shared_store.add(path)


def test_a_file_without_permission_as_told_by_the_system(
    tmp_path, shared_store, monkeypatch
):
    path = text("x.bed", BED)(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(MalformedFileError, match="Change its permissions"):
        shared_store.add(path)


# --- the disk ----------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A small file system of its own, where we may mount one."""
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or not mount or not umount:
        pytest.skip("no right to mount")
    command = [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount")
    try:
        yield folder
    finally:
        subprocess.run([umount, "-l", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Fill a file system up to some bytes."""
    path = folder / "ballast"
    free = os.statvfs(folder)
    path.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave)))
    return path


@pytest.mark.parametrize("leave", [0, 100_000, 600_000])
def test_full_disk(leave, prepared, tmp_path):
    """Room for nothing, for part of the copy, or for the copy and part of the rows."""
    rows = "".join(f"chrI\t{i % 2000}\t{i % 2000 + 5}\tn{i}\n" for i in range(20_000))
    path = text("x.bed", rows)(tmp_path)
    with mounted(tmp_path / "disk", "40m") as disk:
        workspace = shutil.copytree(prepared, disk / "w")
        before = snapshot(workspace)
        with open_store(workspace, write=True) as store:
            ballast = fill(disk, leave)
            with pytest.raises(
                WorkspaceError, match=r"free some space|nothing was changed"
            ):
                store.add(path)
        ballast.unlink()
        with open_store(workspace, write=True) as store:
            assert store.verify() == []
        assert snapshot(workspace) == before
        with open_store(workspace, write=True) as store:
            assert store.add(path).source.rows_kept == 20_000


def test_file_size_limit(workspace, tmp_path):
    """No right to mount needed: the system refuses to let any file grow."""
    rows = "".join(f"chrI\t{i % 2000}\t{i % 2000 + 5}\tn{i}\n" for i in range(20_000))
    path = text("x.bed", rows)(tmp_path)
    before = snapshot(workspace)
    done = run_python(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with open_store(workspace, write=True) as store:
            try:
                store.add(path)
            except WorkspaceError as error:
                print("refused:", error)
        """,
        workspace,
        path,
    )
    assert "refused:" in done.stdout
    assert str(workspace) in done.stdout
    assert snapshot(workspace) == before


def test_read_only_file_system(prepared, tmp_path):
    with mounted(tmp_path / "disk", "40m") as disk:
        workspace = shutil.copytree(prepared, disk / "w")
        before = snapshot(workspace)
        mount = shutil.which("mount")
        assert mount
        subprocess.run([mount, "-o", "remount,ro", str(disk)], check=True)
        with (
            pytest.raises(WorkspaceError, match="cannot be written; choose another"),
            open_store(workspace, write=True),
        ):
            pass
        with (
            pytest.raises(WorkspaceError, match="read-only: choose another"),
            open_store(disk / "new", write=True),
        ):
            pass
        assert snapshot(workspace) == before  # and it can still be read


def test_read_only_folder_as_told_by_the_system(workspace, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with (
        pytest.raises(WorkspaceError, match="cannot be written; choose another"),
        open_store(workspace, write=True),
    ):
        pass
    with open_store(workspace) as store:
        assert store.sources()


@pytest.mark.parametrize("write", [True, False])
def test_a_workspace_that_is_a_file(write, tmp_path):
    path = text("w", "not a folder")(tmp_path)
    with (
        pytest.raises(WorkspaceError, match=r"choose another"),
        open_store(path, write=write),
    ):
        pass
    assert path.read_text() == "not a folder"


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("damage", ["junk", "cut", "text", "folder", "block"])
def test_a_damaged_registry(damage, write, workspace):
    registry = workspace / "registry.duckdb"
    data = registry.read_bytes()
    registry.unlink()
    if damage == "folder":
        registry.mkdir()
    elif damage == "block":
        registry.write_bytes(data[:12288] + JUNK * 200 + data[12288 + 5000 * 200 :])
    else:
        registry.write_bytes(
            {"junk": JUNK, "cut": data[:5000], "text": b"hello"}[damage]
        )
    with (
        pytest.raises(WorkspaceError) as caught,
        open_store(workspace, write=write) as store,
    ):
        dump(store)
    message = str(caught.value)
    assert "in use" not in message
    assert "estore" in message or "no workspace" in message
    # the registered files are left for whoever mends it
    assert len(list((workspace / "sources").iterdir())) == 2


# --- other processes -----------------------------------------------------------------

_PREAMBLE = """
import os, signal, sys, time
from pathlib import Path
from data_registry.errors import WorkspaceError
from data_registry.store import Store, open_store
workspace, path = Path(sys.argv[1]), Path(sys.argv[2])
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_python(
    code: str, workspace: Path, path: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PREAMBLE + textwrap.dedent(code), workspace, path],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=60,
    )


_FORKS = """
import json
for code, folder, file, delay in json.load(sys.stdin):
    pid = os.fork()
    if not pid:
        try:
            exec(code, globals() | {"workspace": Path(folder), "path": Path(file)})
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    if delay is not None:
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def run_forks(jobs: list[tuple[str, Path, Path, float | None]]) -> list[int]:
    """Run each job in a child of one process that has imported everything already."""
    given = [(textwrap.dedent(c), str(w), str(p), delay) for c, w, p, delay in jobs]
    done = subprocess.run(
        [sys.executable, "-c", _PREAMBLE + _FORKS, "", ""],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        timeout=120,
    )
    assert not done.stderr
    return [int(line) for line in done.stdout.split()]


def test_two_writers_at_once(workspace, tmp_path):
    """The second is told to wait and changes nothing; the first is not disturbed."""
    path = text("x.bed", BED)(tmp_path)
    code = """
    with open_store(workspace, write=True) as store:
        print("open", flush=True)
        sys.stdin.readline()
        store.add(path)
    """
    with subprocess.Popen(
        [sys.executable, "-c", _PREAMBLE + textwrap.dedent(code), workspace, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as first:
        assert first.stdout
        assert first.stdin
        assert first.stdout.readline() == "open\n"
        for write in (True, False):
            with (
                pytest.raises(WorkspaceError, match="in use by another process; wait"),
                open_store(workspace, write=write),
            ):
                pass
        first.stdin.write("go\n")
        first.stdin.flush()
        assert first.wait(60) == 0
    with open_store(workspace) as store:
        assert store.source("x").rows_kept == 20


KILLS = {
    "while the checksum is taken": "step = 'checksum'",
    "while the file is read": "step = 'reading as intervals'",
    "before the file is stored": "step = 'storing the file'",
    "before the tables are loaded": "step = 'loading the tables'",
    "while the file is copied": """
        import shutil
        def copyfile(source, target):
            Path(target).write_bytes(Path(source).read_bytes()[:50])
            die()
        shutil.copyfile = copyfile
        """,
    "between the copy and the rows": """
        Store._load = lambda *_, **__: die()
        """,
    "inside the transaction": """
        insert = Store._insert
        def half(*args):
            insert(*args)
            die()
        Store._insert = half
        """,
    "before the old version is marked": """
        Store._delete_rows = lambda *_: die()
        """,
}


@pytest.fixture(scope="module")
def killed(
    prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Path, tuple[object, object]]]:
    """Writers killed while they add version 2: workspace, file, and what was before."""
    folder = tmp_path_factory.mktemp("killed")
    old = shutil.copytree(prepared, folder / "w")
    path = text("x.bed", BED)(folder)
    with open_store(old, write=True) as store:
        store.add(path)
    before = snapshot(old)
    path.write_text("".join(BED.splitlines(keepends=True)[:9]))
    ways = {
        m: (shutil.copytree(old, folder / str(i)), path, before)
        for i, m in enumerate(KILLS)
    }
    ending = """
def on_step(text):
    if text == step:
        die()
with open_store(workspace, write=True) as store:
    store.add(path, on_step=on_step)
"""
    jobs: list[tuple[str, Path, Path, float | None]] = [
        ("step = None\n" + textwrap.dedent(KILLS[m]) + ending, ways[m][0], path, None)
        for m in KILLS
    ]
    assert run_forks(jobs) == [-signal.SIGKILL] * len(KILLS)
    return ways


@pytest.mark.parametrize("moment", KILLS)
def test_killed_writer(moment, killed):
    """Version 2 of a source is being added when the process dies: version 1 stands."""
    workspace, path, before = killed[moment]
    with open_store(workspace) as store:  # a reader needs no repair first
        assert dump(store) == before[0]
    with open_store(workspace, write=True) as store:  # a writer sweeps
        assert store.verify() == []
    assert snapshot(workspace) == before
    with open_store(workspace, write=True) as store:
        added = store.add(path)
        assert (added.source.version, added.source.rows_kept) == (2, 9)
        assert store.verify() == []


def test_killed_after_the_commit(workspace, tmp_path):
    path = text("x.bed", BED)(tmp_path)
    done = run_python(
        """
        with open_store(workspace, write=True) as store:
            store.add(path)
            die()
        """,
        workspace,
        path,
    )
    assert done.returncode == -signal.SIGKILL
    with open_store(workspace) as store:
        assert store.source("x").rows_kept == 20
        assert store.verify() == []


def test_killed_while_a_genome_is_written(tmp_path):
    """The first source of a new workspace: nothing of it stays."""
    path = text("genome.fa", FASTA)(tmp_path)
    workspace = tmp_path / "w"
    code = """
        from data_registry.sources import genome
        genome.write_index = lambda *_: die()
        with open_store(workspace, write=True) as store:
            store.add(path)
        """
    assert run_python(code, workspace, path).returncode == -signal.SIGKILL
    assert files_in(workspace)  # the half-made genome
    with open_store(workspace, write=True) as store:
        assert store.sources(history=True) == []
        assert files_in(workspace) == {}
        store.add(path)
        assert store.genome().lengths["chrI"] == 3000


def test_killed_at_any_time(prepared, tmp_path):
    """Killed after a delay, wherever that falls: all of the file or nothing of it."""
    rows = "".join(f"chrI\t{i % 2000}\t{i % 2000 + 5}\tn{i}\n" for i in range(5000))
    path = text("x.bed", rows)(tmp_path)
    before = snapshot(prepared)
    code = """
    with open_store(workspace, write=True) as store:
        store.add(path)
    """
    jobs: list[tuple[str, Path, Path, float | None]] = [
        (code, shutil.copytree(prepared, tmp_path / str(i)), path, i * 0.03)
        for i in range(12)
    ]
    run_forks(jobs)
    for _, workspace, _, _ in jobs:
        with open_store(workspace, write=True) as store:
            assert store.verify() == []
            names = {source.name for source in store.sources()}
            n_rows = len(rows_of(store)["intervals"])
        assert n_rows == (5000 if "x" in names else 0)
        if "x" not in names:
            assert snapshot(workspace) == before


# --- faults that were here once ------------------------------------------------------


def test_expression_with_a_huge_header(tmp_path, shared_store):
    path = text("e.tsv", EXPRESSION.replace("s1", "s" * 300_000))(tmp_path)
    source = shared_store.add(path, kind="expression", options={"unit": "tpm"}).source
    assert (source.rows_read, source.rows_kept) == (2, 2)
    shared_store.remove("e")


def test_samples_without_further_columns(tmp_path, shared_store):
    path = text("s.tsv", "sample\ttissue\ns1\tleaf\ns2\troot\n")(tmp_path)
    source = shared_store.add(path, kind="samples", options={"dataset": "e"}).source
    assert source.rows_kept == 2
    shared_store.remove("s")


def test_obo_cut_in_a_term(tmp_path, shared_store):
    path = text("x.obo", OBO + "\n[Term]\nid: GO:00")(tmp_path)
    source = shared_store.add(path, kind="ontology").source
    assert source.left_out == {"cut_short": 1}
    assert [row[0] for row in rows_of(shared_store)["terms"]] == ["GO:0000001"]
    shared_store.remove("x")
