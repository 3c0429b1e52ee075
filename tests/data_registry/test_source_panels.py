"""Genotype panels: VCF, BCF, PLINK 1 and PLINK 2."""

import bz2
import contextlib
import gzip
import lzma
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pysam.bcftools
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Parsed, Request
from data_registry.sources.panels import (
    KINDS,
    detect_panel,
    detect_variants,
    parse_panel,
    parse_variants,
)
from data_registry.text_files import read_head

HEADER = """##fileformat=VCFv4.2
##contig=<ID=c1,length=1000>
##contig=<ID=long,length=900000000>
##INFO=<ID=AC,Number=A,Type=Integer,Description="copies">
##INFO=<ID=AN,Number=1,Type=Integer,Description="called">
##INFO=<ID=AF,Number=A,Type=Float,Description="share">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="depth">
##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">
"""
FIXED = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
N_HEADER = HEADER.count("\n") + 1


def vcf(*rows: str, samples: str = "s1 s2 s3") -> str:
    names = "\t".join(["", "FORMAT", *samples.split()]) if samples else ""
    lines = ["\t".join(row.split()) for row in rows]
    return HEADER + FIXED + names + "\n" + "".join(line + "\n" for line in lines)


def read(path: Path, text: str | bytes, **options: str) -> Parsed:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return parse_variants(Request(path, "p", options))


def frequencies(parsed: Parsed, *, group: str = "") -> list[tuple[object, ...]]:
    table = parsed.tables["panel_frequencies"]
    table = table[table["group_name"] == group]
    columns = ["contig", "start", "ref", "alt", "ac", "an", "_line"]
    return list(table[columns].itertuples(index=False, name=None))


MIXED = vcf(
    "c1 5 . A C . . . GT 0|1 1|1 ./.",
    "c1 7 . ACC AC,A,ACCT . . . GT 0/1 2/3 3/.",  # trimmed, each ALT by itself
    "c1 9 . g t . . . GT 0 1 .",  # haploid
    "c1 10 . G T . . . GT 0/0/1/1 1/1/1/1 0/./0/1",  # tetraploid
    "c1 11 . G T . . . GT 0 0/1 0/1/1",  # mixed in one record
    "long 600000000 . C CT . . . GT 0/0 0/0 0/1",
)
MIXED_COUNTS = [
    ("c1", 4, "A", "C", 3, 4, N_HEADER + 1),
    ("c1", 7, "C", "", 1, 5, N_HEADER + 2),
    ("c1", 7, "CC", "", 1, 5, N_HEADER + 2),
    ("c1", 9, "", "T", 2, 5, N_HEADER + 2),
    ("c1", 8, "G", "T", 1, 2, N_HEADER + 3),
    ("c1", 9, "G", "T", 7, 11, N_HEADER + 4),
    ("c1", 10, "G", "T", 3, 6, N_HEADER + 5),
    ("long", 600_000_000, "", "T", 1, 6, N_HEADER + 6),
]


def test_genotypes_of_any_ploidy_by_hand(tmp_path: Path):
    parsed = read(tmp_path / "a.vcf", MIXED)
    assert frequencies(parsed) == MIXED_COUNTS
    assert (parsed.tally.read, parsed.tally.kept) == (6, 6)
    panel = parsed.tables["panels"].iloc[0]
    assert panel["panel"] == "p"
    assert (panel["format"], panel["n_samples"]) == ("vcf", 3)
    assert (panel["n_variants"], panel["ploidy"]) == (6, 4)
    assert parsed.tables["panel_samples"].to_numpy().tolist() == [
        ["p", "s1", ""],
        ["p", "s2", ""],
        ["p", "s3", ""],
    ]


def packed_as(path: Path, form: str, text: str) -> Path:
    plain = text.encode()
    path = path / f"blank ü.{form}"
    if form in ("bgz", "bcf", "csi"):
        source = path.with_name("plain.vcf")
        source.write_bytes(plain)
        flag = "-Ob" if form == "bcf" else "-Oz"
        pysam.bcftools.view(flag, "-o", str(path), str(source), catch_stdout=False)
        if form == "csi":
            pysam.bcftools.index("-c", str(path), catch_stdout=False)
        return path
    made = {
        "gz": gzip.compress(plain),
        "xz": lzma.compress(plain),
        "bz2": bz2.compress(plain),
        "crlf": plain.replace(b"\n", b"\r\n"),
        "bom": b"\xef\xbb\xbf" + plain,
    }
    path.write_bytes(made[form])
    return path


@pytest.mark.parametrize(
    "form", ["gz", "bgz", "csi", "bcf", "xz", "bz2", "crlf", "bom"]
)
def test_every_wrapping_gives_the_same_counts(tmp_path: Path, form: str):
    path = packed_as(tmp_path, form, MIXED)
    assert detect_variants(path, read_head(path))
    parsed = parse_variants(Request(path, "p"))
    # BCF has records and no lines; bcftools writes three header lines of its own
    moved = {"bcf": -N_HEADER, "bgz": 3, "csi": 3}.get(form, 0)
    assert frequencies(parsed) == [(*row[:-1], row[-1] + moved) for row in MIXED_COUNTS]
    assert parsed.tables["panels"]["format"][0] == ("bcf" if form == "bcf" else "vcf")


def test_alleles_that_get_no_frequency_are_counted_by_reason(tmp_path: Path):
    parsed = read(
        tmp_path / "a.vcf",
        vcf(
            "c1 5 . A C,*,<DEL> . . . GT 0/1 2/3 0/2",
            "c1 6 . A . . . . GT 0/0 0/0 0/0",
            "c1 7 . A <DUP> . . . GT 0/0 0/0 0/1",
            "c1 8 . A A[c1:90[ . . . GT 0/0 0/0 0/1",
            "c1 9 . N C . . . GT 0/0 0/0 0/1",
            "c1 10 . A R . . . GT 0/0 0/0 0/1",
            "c1 11 . A a . . . GT 0/0 0/0 0/1",
            "c1 12 . . C . . . GT 0/0 0/0 0/1",
            "c1 0 . A C . . . GT 0/0 0/0 0/1",
            "c1 13 . 1 2 . . . GT 0/0 0/0 0/1",
        ),
    )
    assert frequencies(parsed) == [("c1", 4, "A", "C", 1, 6, N_HEADER + 1)]
    assert parsed.tally.read == 10
    assert parsed.tally.left_out == Counter(
        no_alt=1,
        symbolic_allele=1,
        breakend=1,
        ambiguous_base=2,
        alt_equals_ref=1,
        missing_ref=1,
        off_contig=1,
        not_bases=1,
    )
    assert parsed.tally.kept == 1
    listed = {example.reason: example for example in parsed.tally.examples}
    assert listed["breakend"].line == N_HEADER + 4
    assert listed["breakend"].text == "c1\t8\tA\tA[c1:90["
    (note,) = [note for note in parsed.notes if "no frequency" in note]
    assert note.startswith("10 of 11 ALT alleles get no frequency: ")
    assert "spanning_deletion 1" in note
    assert "symbolic_allele 2" in note


def test_groups(tmp_path: Path):
    groups = tmp_path / "groups.tsv"
    groups.write_text("sample\tgroup\ns1\twild\ns3\twild\ns2\tcrop\nother\tcrop\n")
    text = vcf(
        "c1 5 . A C,G . . . GT 0/1 1/2 ./.",
        "c1 6 . A C . . . GT 0/1 ./. 1/1",
        samples="s1 s2 s3",
    )
    parsed = read(tmp_path / "a.vcf", text, groups=str(groups))
    line = N_HEADER + 1
    assert frequencies(parsed) == [
        ("c1", 4, "A", "C", 2, 4, line),
        ("c1", 4, "A", "G", 1, 4, line),
        ("c1", 5, "A", "C", 3, 4, line + 1),
    ]
    assert frequencies(parsed, group="wild") == [
        ("c1", 4, "A", "C", 1, 2, line),
        ("c1", 4, "A", "G", 0, 2, line),
        ("c1", 5, "A", "C", 3, 4, line + 1),
    ]
    # nothing was called in this group at the second site
    assert frequencies(parsed, group="crop") == [
        ("c1", 4, "A", "C", 1, 2, line),
        ("c1", 4, "A", "G", 1, 2, line),
    ]
    assert parsed.tables["panel_samples"]["group_name"].tolist() == [
        "wild",
        "crop",
        "wild",
    ]
    assert any(
        "1 samples of groups.tsv are not in the panel" in n for n in parsed.notes
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x\twild\ny\tcrop\n", "none of its 2 samples are in a.vcf"),
        ("s1\ns2\n", "one column found"),
        ("s1\twild\ns1\tcrop\n", "line 2: sample 's1' stands in 2 groups"),
    ],
)
def test_wrong_groups_are_refused(tmp_path: Path, content: str, message: str):
    groups = tmp_path / "groups.tsv"
    groups.write_text(content)
    with pytest.raises(MalformedFileError, match=message):
        read(tmp_path / "a.vcf", MIXED, groups=str(groups))


def test_info_counts_where_there_are_no_genotypes(tmp_path: Path):
    text = vcf(
        "c1 5 . A C,G . . AC=3,1;AN=8",
        "c1 6 . A C . . AF=0.25",
        "c1 7 . A C . . AF=0.25;AN=8",
        "c1 8 . A C . . .",
        "c1 9 . A C,G . . AC=3;AN=8",  # one count for two ALTs says nothing
        samples="",
    )
    parsed = read(tmp_path / "a.vcf", text)
    table = parsed.tables["panel_frequencies"]
    assert table["ac"].fillna(-9).tolist() == [3, 1, 250_000, 2, -9, -9, -9]
    assert table["an"].fillna(-9).tolist() == [8, 8, 1_000_000, 8, -9, -9, -9]
    assert parsed.tables["panels"]["ploidy"].tolist() == [0]
    assert parsed.tally.kept == 5
    assert any(
        "3 alleles have neither genotypes nor AC" in note for note in parsed.notes
    )
    assert any("per million" in note for note in parsed.notes)


def test_info_is_believed_only_when_asked(tmp_path: Path):
    text = vcf(
        "c1 5 . A C . . AC=5;AN=90 GT 0/1 0/0 ./.", "c1 6 . A C . . AF=.5 DP 1 2 3"
    )
    usual = read(tmp_path / "a.vcf", text)
    assert [row[4:6] for row in frequencies(usual)] == [(1, 4), (500_000, 1_000_000)]
    asked = read(tmp_path / "a.vcf", text, counts="info")
    assert [row[4:6] for row in frequencies(asked)] == [(5, 90), (500_000, 1_000_000)]
    with pytest.raises(InputError, match="counts=guess"):
        read(tmp_path / "a.vcf", text, counts="guess")
    with pytest.raises(InputError, match="no counts by group"):
        read(tmp_path / "a.vcf", text, counts="info", groups="g.tsv")


ONE = "c1 5 . A C . . . GT 0/1 0/0 0/1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: it starts with ''"),
        ("no header at all\n", "starts with 'no header at all', not with ##file"),
        (HEADER, f"line {N_HEADER - 1}: the header ends without a line #CHROM"),
        (vcf(ONE).replace("s2", "s1"), f"line {N_HEADER}: sample 's1' stands twice"),
        (vcf(ONE).replace(FIXED, ""), f"line {N_HEADER}: no line #CHROM above"),
        (vcf(ONE).replace("QUAL\t", ""), "column 6 is 'FILTER', not QUAL"),
        (vcf(ONE).replace("\tINFO\t", " INFO\t"), "column 7 is 'FILTER INFO'"),
        (vcf(), "a header and no records"),
        (
            vcf(ONE, "c1 x . A C . . . GT 0/1 0/0 0/1"),
            f"line {N_HEADER + 2}: record 2: POS is 'x', no whole number",
        ),
        (vcf(ONE, "c1 -7 . A C . . . GT 0/1 0/0 0/1"), "record 2: POS is '-7'"),
        (vcf(ONE, ONE, "c1 7 . A"), f"line {N_HEADER + 3}: record 3: 4 columns"),
        (vcf(ONE, "c1 7 . A C . . . GT 0/1 0/0"), "11 columns where the header has 12"),
        (
            vcf(ONE, "c1 7 . A C . . . GT 0/1 0/0 x/y"),
            "record 2: htslib cannot read 'c1",
        ),
        (gzip.compress(vcf(*[ONE] * 3000).encode())[:-12], "cannot be read|truncated"),
    ],
)
def test_unreadable_files_are_refused(tmp_path: Path, text: str | bytes, message: str):
    with pytest.raises(MalformedFileError, match=message):
        read(tmp_path / "a.vcf", text)


@pytest.mark.parametrize("tail", ["", "c1 x . A C . . . GT 0/1 0/0 0/1"])
def test_htslib_writes_nothing_to_stderr(tmp_path: Path, capfd, tail: str):
    """Left alone it warns of each contig without a header line, and of each error."""
    rows = [f"undefined{i} 5 . A C . . . GT 0/1 0/0 0/1" for i in range(5)]
    with contextlib.nullcontext() if not tail else pytest.raises(MalformedFileError):
        read(tmp_path / "a.vcf", vcf(*rows, *filter(None, [tail])))
    assert capfd.readouterr() == ("", "")


def test_bgzip_cut_at_a_block_is_refused(tmp_path: Path):
    path = packed_as(tmp_path, "bgz", MIXED)
    path.write_bytes(path.read_bytes()[:-28])  # htslib itself only warns
    with pytest.raises(MalformedFileError, match="end block is missing"):
        parse_variants(Request(path, "p"))


# --- PLINK ---------------------------------------------------------------------------


def write_plink(
    folder: Path, copies: np.ndarray, alleles: list[tuple[str, str]]
) -> Path:
    """Write a fileset by hand: two bits a genotype, lowest first.

    ``copies`` of A1, shape (variants, samples), -1 missing.
    """
    code = {2: 0b00, -1: 0b01, 1: 0b10, 0: 0b11}
    blocks = b""
    for row in copies:
        for i in range(0, len(row), 4):
            bits = [code[int(c)] << (2 * j) for j, c in enumerate(row[i : i + 4])]
            blocks += bytes([sum(bits)])
    (folder / "p.bed").write_bytes(b"\x6c\x1b\x01" + blocks)
    (folder / "p.bim").write_text(
        "".join(
            f"c{i % 2}\trs{i}\t0\t{100 + i}\t{a1}\t{a2}\n"
            for i, (a1, a2) in enumerate(alleles)
        )
    )
    (folder / "p.fam").write_text(
        "".join(f"F S{j} 0 0 0 -9\n" for j in range(copies.shape[1]))
    )
    return folder / "p.bed"


COPIES = np.array([[0, 1, 2, -1, 1], [2, 2, 2, 2, 2], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]])
A1_A2 = [("A", "C"), ("AT", "A"), ("g", "t"), ("0", "T")]


def test_plink_by_hand(tmp_path: Path):
    path = write_plink(tmp_path, COPIES, A1_A2)
    assert detect_panel(path, read_head(path))
    groups = tmp_path / "groups.tsv"
    groups.write_text("S0\ta\nS3\ta\n")
    parsed = parse_panel(Request(path, "p", {"groups": str(groups)}))
    assert frequencies(parsed) == [
        ("c0", 99, "C", "A", 4, 8, 1),
        ("c1", 101, "", "T", 10, 10, 2),
        ("c0", 101, "T", "G", 1, 10, 3),
    ]
    assert [row[4:6] for row in frequencies(parsed, group="a")] == [
        (0, 2),
        (4, 4),
        (0, 4),
    ]
    assert parsed.tally.left_out == Counter(missing_alt=1)
    panel = parsed.tables["panels"].iloc[0]
    assert (panel["format"], panel["n_samples"], panel["n_variants"]) == ("plink", 5, 4)
    assert any("A2 read as REF" in note for note in parsed.notes)


def test_pgen_gives_the_same_as_the_calls_written(tmp_path: Path):
    pgenlib = pytest.importorskip("pgenlib")
    rng = np.random.default_rng(2)
    calls = rng.integers(0, 2, (50, 14)).astype(np.int32)
    calls[rng.random((50, 7)).repeat(2, axis=1) < 0.1] = -9
    path = tmp_path / "p.pgen"
    with pgenlib.PgenWriter(
        str(path).encode(), 7, variant_ct=50, nonref_flags=False
    ) as out:
        for row in calls:
            out.append_alleles(row)
    (tmp_path / "p.psam").write_text(
        "#IID\tSEX\n" + "".join(f"S{i}\t1\n" for i in range(7))
    )
    (tmp_path / "p.pvar").write_text(
        "##source=test\n#CHROM\tPOS\tID\tREF\tALT\n"
        + "".join(f"1\t{i + 1}\t.\tA\tG\n" for i in range(50))
    )
    assert detect_panel(path, read_head(path))
    parsed = parse_panel(Request(path, "p"))
    assert frequencies(parsed) == [
        ("1", i, "A", "G", int((row == 1).sum()), int((row >= 0).sum()), i + 3)
        for i, row in enumerate(calls)
    ]
    (tmp_path / "p.psam").write_text("#IID\tSEX\nS1\t1\n")
    with pytest.raises(
        MalformedFileError, match="cannot be read with 50 variants of 1"
    ):
        parse_panel(Request(path, "p"))


def test_broken_plink_filesets_are_refused(tmp_path: Path):
    path = write_plink(tmp_path, COPIES, A1_A2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(MalformedFileError, match="4 variants of 5 samples take 11"):
        parse_panel(Request(path, "p"))
    path.write_bytes(b"\x6c\x1b\x00" + whole[3:])
    with pytest.raises(MalformedFileError, match="one sample after another"):
        parse_panel(Request(path, "p"))
    path.write_bytes(b"chr1\t1\t2\n")
    assert not detect_panel(path, read_head(path))
    with pytest.raises(MalformedFileError, match="not with PLINK's mark"):
        parse_panel(Request(path, "p"))
    path.write_bytes(whole)
    bim = tmp_path / "p.bim"
    bim.write_text(bim.read_text().replace("101", "1e", 1))
    with pytest.raises(MalformedFileError, match=r"p\.bim, line 2: position '1e'"):
        parse_panel(Request(path, "p"))
    bim.unlink()
    with pytest.raises(MalformedFileError, match=r"no p\.bim beside it"):
        parse_panel(Request(path, "p"))


def test_kinds_say_what_they_fill():
    assert [kind.name for kind in KINDS] == ["variants", "panel"]
    assert {table for kind in KINDS for table in kind.tables} == {
        "panels",
        "panel_samples",
        "panel_frequencies",
    }


# --- real files ---------------------------------------------------------------------


@pytest.mark.realdata
def test_counts_are_those_the_file_states(shared_data: Path):
    """AC and AN of this file were filled by bcftools +fill-tags."""
    path = shared_data / "yeast/variants/yeast12.cerevisiae.multi.vcf.gz"
    from_genotypes = parse_variants(Request(path, "p"))
    from_info = parse_variants(Request(path, "p", {"counts": "info"}))
    pd.testing.assert_frame_equal(
        from_genotypes.tables["panel_frequencies"],
        from_info.tables["panel_frequencies"],
    )
    assert from_genotypes.tally.read == 191_429
    # 191,429 records with 199,158 ALTs, of which 2,950 are "*"
    assert len(from_genotypes.tables["panel_frequencies"]) == 199_158 - 2_950


@pytest.mark.realdata
@pytest.mark.peer
def test_plink_frequencies_are_those_of_bed_reader(shared_data: Path, tmp_path: Path):
    bed_reader = pytest.importorskip("bed_reader")
    for suffix in ("bed", "bim", "fam"):
        shutil.copy(
            shared_data / f"benchmarks/selection/plink_demo/demo.{suffix}", tmp_path
        )
    parsed = parse_panel(Request(tmp_path / "demo.bed", "demo"))
    with bed_reader.open_bed(tmp_path / "demo.bed") as bed:
        copies = bed.read(dtype="float64")
        table = parsed.tables["panel_frequencies"]
        np.testing.assert_array_equal(table["ac"], np.nansum(copies, axis=0))
        np.testing.assert_array_equal(table["an"], 2 * (~np.isnan(copies)).sum(axis=0))
        assert table["alt"].tolist() == list(bed.allele_1)
        assert (table["start"] + 1).tolist() == list(bed.bp_position)
    assert len(table) == 1000


@pytest.mark.realdata
def test_mixed_ploidy_panel(shared_data: Path):
    path = shared_data / "benchmarks/population/pixy/data/mixed_ploidy_test.vcf.gz"
    parsed = parse_variants(Request(path, "p"))
    # counted letter by letter
    expected = []
    with gzip.open(path, "rt") as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith("#"):
                continue
            contig, pos, _, ref, alts, _, _, _, form, *calls = line.split()
            gt = form.split(":").index("GT")
            seen = Counter(
                allele
                for call in calls
                for allele in call.split(":")[gt].replace("|", "/").split("/")
            )
            called = sum(n for allele, n in seen.items() if allele != ".")
            for k, alt in enumerate(alts.split(","), 1):
                if alt != ".":
                    row = (contig, int(pos) - 1, ref, alt, seen[str(k)], called, number)
                    expected.append(row)
    assert frequencies(parsed) == expected
    assert len(expected) > 1500
