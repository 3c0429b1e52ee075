"""The GFF3 written for ``bcftools csq``, with csq itself as the judge."""

import gzip
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pysam
import pytest

from data_registry.canonical_gff import (
    LEFT_OUT,
    decode_identifier,
    encode_identifier,
    write_canonical_gff,
)
from data_registry.parsing import Request
from data_registry.sources.annotation import parse
from data_registry.translation import reverse_complement, spliced_cds, translate

_CSQ = (
    "import sys, pysam.bcftools as b;"
    "b.csq(*sys.argv[1:], catch_stdout=False); print(b.csq.get_messages())"
)

Model = tuple[str, str, str, str, list[tuple[str, int, int, int | None]]]


def _tables(*models: Model) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Tables of models; a part is ``(kind, start, end, phase)``."""
    transcripts, features = [], []
    for name, biotype, contig, strand, parts in models:
        transcripts.append(
            {"transcript_id": name, "gene_id": f"g_{name}", "biotype": biotype,
             "contig": contig, "start": min(p[1] for p in parts),
             "end": max(p[2] for p in parts), "strand": strand}
        )  # fmt: skip
        features += [
            {"transcript_id": name, "kind": kind, "contig": contig, "start": start,
             "end": end, "strand": strand, "phase": phase}
            for kind, start, end, phase in parts
        ]  # fmt: skip
    table = pd.DataFrame(transcripts)
    columns = ["gene_id", "biotype", "contig", "start", "end", "strand"]
    return table[columns], table, pd.DataFrame(features)


def _csq(
    folder: Path,
    genome: dict[str, str],
    gff: Path,
    variants: list[tuple],
    *options: str,
) -> tuple[list[str], str]:
    """Consequences of variants by csq, and all it had to say."""
    fasta, vcf = folder / "genome.fa", folder / "in.vcf"
    fasta.write_text("".join(f">{name}\n{s}\n" for name, s in genome.items()))
    pysam.faidx(str(fasta))
    header = "##fileformat=VCFv4.2\n" + "".join(
        f"##contig=<ID={name},length={len(s)}>\n" for name, s in genome.items()
    )
    header += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf.write_text(
        header
        + "".join(
            f"{contig}\t{start + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n"
            for contig, start, ref, alt in variants
        )
    )
    return _run_csq(fasta, gff, vcf, folder / "out.vcf", *options)


def _run_csq(
    fasta: Path, gff: Path, vcf: Path, out: Path, *options: str
) -> tuple[list[str], str]:
    # csq keeps its last position in a static variable: a second call in one process may
    # stop with "The file is not sorted" (bcftools 1.24), so each gets a process.
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _CSQ, "-f", str(fasta), "-g", str(gff), "-p", "a",
         "-v", "2", "-O", "v", "-o", str(out), *options, str(vcf)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line for line in out.read_text().splitlines() if line[0] != "#"]
    found = []
    for row in rows:
        info = [f for f in row.split("\t")[7].split(";") if f.startswith("BCSQ=")]
        found.append(info[0][5:] if info else "")
    return found, done.stdout


def _complaints(messages: str) -> list[str]:
    quiet = ("Parsing ", "Indexed ", "Calling", "Ignored the following", "\t")
    return [
        line for line in messages.splitlines() if line and not line.startswith(quiet)
    ]


def test_text_by_hand(tmp_path: Path):
    tables = _tables(
        ("t;1", "protein_coding", "I", "-",
         [("exon", 40, 60, None), ("exon", 10, 30, None), ("cds", 40, 50, 0),
          ("cds", 15, 30, 1), ("utr5", 50, 60, None), ("utr3", 10, 15, None)]),
        ("r", "tRNA", "I", "+", [("exon", 2, 9, None)]),
    )  # fmt: skip
    path = tmp_path / "out.gff3"
    left_out = write_canonical_gff(*tables, {"I": "chrI"}, path)
    assert not len(left_out)
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    assert [(r[0], r[2], int(r[3]), int(r[4]), r[6], r[7], r[8]) for r in rows] == [
        ("chrI", "gene", 3, 9, "+", ".", "ID=gene:g_r;biotype=misc_RNA"),
        ("chrI", "transcript", 3, 9, "+", ".",
         "ID=transcript:r;Parent=gene:g_r;biotype=misc_RNA"),
        ("chrI", "exon", 3, 9, "+", "0", "Parent=transcript:r"),
        ("chrI", "gene", 11, 60, "-", ".", "ID=gene:g_t%3B1;biotype=protein_coding"),
        ("chrI", "mRNA", 11, 60, "-", ".",
         "ID=transcript:t%3B1;Parent=gene:g_t%3B1;biotype=protein_coding"),
        ("chrI", "exon", 41, 60, "-", "0", "Parent=transcript:t%3B1"),
        ("chrI", "exon", 11, 30, "-", "0", "Parent=transcript:t%3B1"),
        # The table's phase 1 is wrong: 10 bases stand before, so 2 complete the codon.
        ("chrI", "CDS", 41, 50, "-", "0", "Parent=transcript:t%3B1"),
        ("chrI", "CDS", 16, 30, "-", "2", "Parent=transcript:t%3B1"),
        ("chrI", "five_prime_UTR", 51, 60, "-", "0", "Parent=transcript:t%3B1"),
        ("chrI", "three_prime_UTR", 11, 15, "-", "0", "Parent=transcript:t%3B1"),
    ]  # fmt: skip


def test_same_models_same_bytes(tmp_path: Path):
    genes, transcripts, features = _tables(
        *[
            (
                f"t{i}",
                "protein_coding",
                "I",
                "+",
                [("exon", i, 60, None), ("cds", i, 30, 0)],
            )
            for i in range(6)
        ]
    )
    texts = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.gff3.gz"
        shuffled = [
            table.sample(frac=1, random_state=seed)
            for table in (genes, transcripts, features)
        ]
        write_canonical_gff(*shuffled, {"I": "I"}, path)
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]
    assert gzip.decompress(texts[0]).startswith(b"##gff-version 3\n")


@pytest.mark.parametrize(
    "name", ["tP(UGG)A", "a|b", "x;y=1", "é,β", "Solyc01g1.1", "%3B"]
)
def test_identifiers_survive_gff_and_bcsq(name: str):
    encoded = encode_identifier(name)
    assert decode_identifier(encoded) == name
    assert not set(encoded) & set(";=,| \t")


def test_every_reason_for_leaving_out(tmp_path: Path):
    genes, transcripts, features = _tables(
        ("other", "protein_coding", "II", "+", [("cds", 0, 30, 0)]),
        ("unstranded", "protein_coding", "I", ".", [("cds", 0, 30, 0)]),
        ("trans", "protein_coding", "I", "+", [("cds", 0, 30, 0), ("cds", 60, 90, 0)]),
        ("split", "protein_coding", "I", "+", [("cds", 0, 30, 0), ("cds", 60, 90, 0)]),
        ("slip", "protein_coding", "I", "+", [("cds", 0, 30, 0), ("cds", 29, 60, 0)]),
        ("tiny", "protein_coding", "I", "+", [("cds", 0, 2, 0)]),
        ("good", "protein_coding", "I", "+", [("cds", 0, 30, 0)]),
    )
    is_second = features["start"] == 60
    features.loc[is_second & (features["transcript_id"] == "trans"), "strand"] = "-"
    features.loc[is_second & (features["transcript_id"] == "split"), "contig"] = "II"
    left_out = write_canonical_gff(
        genes, transcripts, features, {"I": "I"}, tmp_path / "x.gff3"
    )
    assert dict(zip(left_out["transcript_id"], left_out["reason"], strict=True)) == {
        "other": "unknown_contig",
        "unstranded": "no_strand",
        "trans": "strand_conflict",
        "split": "several_contigs",
        "slip": "overlapping_cds",
        "tiny": "cds_shorter_than_codon",
    }
    assert set(left_out["reason"]) == set(LEFT_OUT)
    assert "good" in (tmp_path / "x.gff3").read_text()


# ATG GCT GGA TGG TAA, in frame from base 10 on; an intron of 10 after 7 bases.
CODING = "ATGGCTGGATGGTAA"
SPLICED = CODING[:7] + "GTAAGTTTAG" + CODING[7:]
PLUS = "C" * 10 + SPLICED + "C" * 10


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("phase", [None, 1, 2])
def test_csq_reads_spliced_genes_whatever_phases_the_file_had(
    tmp_path: Path, strand: str, phase: int | None
):
    genome = {"c": PLUS if strand == "+" else reverse_complement(PLUS)}
    spans = [(10, 17), (27, 35)]
    if strand == "-":
        spans = [(len(PLUS) - b, len(PLUS) - a) for a, b in spans]
    parts: list[tuple[str, int, int, int | None]] = [
        ("cds", *spans[0], 0),
        ("cds", *spans[1], phase),
        ("exon", *spans[0], None),
        ("exon", *spans[1], None),
    ]
    gff = tmp_path / "c.gff3"
    write_canonical_gff(
        *_tables(("t", "protein_coding", "c", strand, parts)), {"c": "c"}, gff
    )
    # Second base of TGG (codon 4: bases 9-11 of the CDS): TGG>TAG, W4*.
    at = 10 + 10 + 10
    start, ref, alt = (
        (at, "G", "A") if strand == "+" else (len(PLUS) - 1 - at, "C", "T")
    )
    found, messages = _csq(tmp_path, genome, gff, [("c", start, ref, alt)])
    assert _complaints(messages) == []
    fields = found[0].split("|")
    assert fields[:5] == ["stop_gained", "g_t", "t", "protein_coding", strand]
    assert fields[5] == "4W>4*"


def test_csq_takes_partial_cds_at_both_ends(tmp_path: Path):
    # First part 1 bp of a codon that starts before it (phase 2); last part too many.
    genome = {"c": "C" * 10 + "A" + "C" * 9 + "GGGCTTGG" + "C" * 9 + "A" + "C" * 10}
    models = [
        ("t", "protein_coding", "c", "+",
         [("cds", 10, 11, 2), ("cds", 20, 28, None), ("cds", 37, 38, None),
          ("exon", 10, 11, None), ("exon", 20, 28, None), ("exon", 37, 38, None)])
    ]  # fmt: skip
    gff = tmp_path / "c.gff3"
    left_out = write_canonical_gff(*_tables(*models), {"c": "c"}, gff)
    assert not len(left_out)
    cds = [r.split("\t") for r in gff.read_text().splitlines() if "\tCDS\t" in r]
    # A|G GGC TTG G|A: two bases are skipped, then codons GGC TTG and a rest of G + A.
    assert [(int(r[3]), int(r[4]), r[7]) for r in cds] == [(21, 28, "1")]
    found, messages = _csq(tmp_path, genome, gff, [("c", 24, "T", "G")])
    assert all("truncated transcript" in line for line in _complaints(messages))
    assert found[0].startswith("missense|g_t|t|protein_coding|+|2L>2V|")


def test_csq_knows_every_biotype_written(tmp_path: Path):
    biotypes = ["tRNA", "ncRNA", "pseudogene", "snoRNA", "weird", "protein_coding",
                "transposable_element_gene", "miRNA", "lncRNA"]  # fmt: skip
    models = [
        (f"t{i}", b, "c", "+", [("exon", 20 * i, 20 * i + 15, None)])
        for i, b in enumerate(biotypes)
    ]
    genome = {"c": "A" * 200}
    gff = tmp_path / "c.gff3"
    write_canonical_gff(*_tables(*models), {"c": "c"}, gff)
    variants = [("c", 20 * i + 5, "A", "C") for i in range(len(biotypes))]
    found, messages = _csq(tmp_path, genome, gff, variants)
    assert _complaints(messages) == []
    assert [f.split("|")[0] for f in found] == ["non_coding"] * len(biotypes)
    assert Counter(f.split("|")[3] for f in found)["misc_RNA"] == 3


def test_mitochondrion_needs_its_own_genetic_code(tmp_path: Path):
    # ATG TGA CTT TAA: in yeast mitochondria M W T *; with the standard code M * L *.
    genome = {"chrM": "CCCCC" + "ATGTGACTTTAA" + "CCCCC", "chrI": "A" * 50}
    models = [
        (
            "m",
            "protein_coding",
            "chrM",
            "+",
            [("cds", 5, 17, 0), ("exon", 5, 17, None)],
        ),
        (
            "n",
            "protein_coding",
            "chrI",
            "+",
            [("cds", 5, 17, 0), ("exon", 5, 17, None)],
        ),
    ]
    gff = tmp_path / "m.gff3"
    left_out = write_canonical_gff(*_tables(*models), {"chrM": "chrM"}, gff)
    assert left_out.to_numpy().tolist() == [["n", "unknown_contig"]]
    variants = [("chrM", 10, "A", "G")]  # TGA>TGG
    standard, _ = _csq(tmp_path, genome, gff, variants)
    yeast, messages = _csq(tmp_path, genome, gff, variants, "--genetic-code", "3")
    assert _complaints(messages) == []
    assert standard[0].startswith("stop_lost|")
    assert yeast[0].startswith("synonymous|")


@pytest.fixture(scope="module")
def yeast(tmp_path_factory, shared_data: Path):
    folder = tmp_path_factory.mktemp("yeast")
    with (
        gzip.open(shared_data / "yeast/genome/sacCer3.fa.gz", "rb") as packed,
        (folder / "genome.fa").open("wb") as fasta,
    ):
        shutil.copyfileobj(packed, fasta)
    pysam.faidx(str(folder / "genome.fa"))
    tables = parse(
        Request(
            shared_data
            / "yeast/annotation/Saccharomyces_cerevisiae.R64-1-1.81.gff3.gz",
            "yeast",
        )
    ).tables
    return folder, tables


@pytest.mark.realdata
def test_csq_reads_all_of_yeast_and_agrees_on_codons(yeast):
    folder, tables = yeast
    numerals = tables["transcripts"]["contig"].unique()
    contigs = {c: "chrM" if c == "Mito" else f"chr{c}" for c in numerals}
    nuclear = {a: b for a, b in contigs.items() if b != "chrM"}
    gff = folder / "nuclear.gff3"
    left_out = write_canonical_gff(
        tables["genes"], tables["transcripts"], tables["features"], nuclear, gff
    )
    on_chrm = tables["transcripts"]["contig"] == "Mito"
    assert left_out["reason"].tolist() == ["unknown_contig"] * int(on_chrm.sum())

    # An SNV in the last codon but one of each transcript with a phase Ensembl has wrong
    fasta = pysam.FastaFile(str(folder / "genome.fa"))
    features = tables["features"].assign(
        contig=lambda table: table["contig"].map(contigs)
    )
    cds = features.loc[(features["kind"] == "cds") & (features["contig"] != "chrM")]
    spliced = sorted(set(cds.loc[cds["phase"] > 0, "transcript_id"]))
    rng, expected, rows = random.Random(5), {}, []  # noqa: S311
    for name in spliced:
        parts = cds.loc[cds["transcript_id"] == name]
        strand, contig = parts["strand"].iloc[0], parts["contig"].iloc[0]
        spans = list(zip(parts["start"], parts["end"], strict=True))
        coding = spliced_cds(contig, spans, strand, fasta.fetch)
        last = max(spans) if strand == "+" else min(spans)
        if last[1] - last[0] < 12:
            continue
        at = last[1] - 5 if strand == "+" else last[0] + 4
        ref = fasta.fetch(contig, at, at + 1).upper()
        alt = rng.choice([b for b in "ACGT" if b != ref])
        i = len(coding) - 5
        changed = coding[:i] + (
            alt if strand == "+" else reverse_complement(alt)
        ) + coding[i + 1 :]  # fmt: skip
        before, after = translate(coding)[-2], translate(changed)[-2]
        number = len(coding) // 3 - 1
        change = f"{number}{before}" + ("" if before == after else f">{number}{after}")
        expected[name] = change
        rows.append((contig, at, ref, alt))
    assert len(expected) > 150
    order = {name: i for i, name in enumerate(fasta.references)}
    rows = sorted(set(rows), key=lambda row: (order[row[0]], row[1]))
    vcf = folder / "codons.vcf"
    vcf.write_text(
        "##fileformat=VCFv4.2\n"
        + "".join(f"##contig=<ID={name}>\n" for name in fasta.references)
        + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(f"{c}\t{at + 1}\t.\t{r}\t{a}\t.\t.\t.\n" for c, at, r, a in rows)
    )
    found, messages = _run_csq(
        folder / "genome.fa", gff, vcf, folder / "codons.out.vcf", "--local-csq"
    )
    assert _complaints(messages) == []
    changes = {}
    for consequences in found:
        for one in consequences.split(","):
            fields = one.split("|")
            if len(fields) > 5:
                changes[decode_identifier(fields[2])] = fields[5]
    assert {name: changes.get(name) for name in expected} == expected
