"""Intervals: each format by hand, then the real files by other means."""

import gzip
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Parsed, Request
from data_registry.sources import intervals


def read(path: Path, **options: str) -> Parsed:
    return intervals.parse(Request(path, path.name.split(".")[0], options))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def spans(parsed: Parsed) -> list[tuple[str, int, int]]:
    table = parsed.tables["intervals"]
    columns = zip(table["contig"], table["start"], table["end"], strict=True)
    return [(str(contig), int(start), int(end)) for contig, start, end in columns]


def row(parsed: Parsed, i: int = 0) -> dict[str, object]:
    return dict(parsed.tables["intervals"].iloc[i])


def test_narrow_peak_takes_signal_and_stays_half_open(tmp_path):
    path = write(
        tmp_path, "x.narrowPeak", "1\t2607\t2930\tp1\t49\t.\t3.4\t7.0\t4.9\t280\n"
    )
    parsed = read(path, sample="root")
    assert spans(parsed) == [("1", 2607, 2930)]
    found = row(parsed)
    assert (found["kind"], found["name"], found["score"]) == ("peak", "p1", 49.0)
    assert (found["signal"], found["strand"], found["sample"]) == (3.4, ".", "root")
    assert found["_line"] == 1


def test_broad_peak_and_bed9_are_told_apart(tmp_path):
    broad = write(tmp_path, "a.bed", "1\t100\t900\tp\t10\t.\t5.5\t3.1\t2.2\n")
    bed9 = write(tmp_path, "b.bed", "1\t100\t900\tp\t10\t+\t100\t900\t0\n")
    assert row(read(broad))["signal"] == 5.5
    assert np.isnan(row(read(bed9))["signal"])
    assert row(read(bed9))["kind"] == "cre"


def test_chromatin_states_are_one_based_inclusive(tmp_path):
    path = write(
        tmp_path, "s.txt", "Chrom\tFrom\tTo\tState\n1\t1\t1200\t8\n1\t1201\t3150\t4\n"
    )
    parsed = read(path)
    assert spans(parsed) == [("1", 0, 1200), ("1", 1200, 3150)]
    assert [row(parsed, i)["state"] for i in (0, 1)] == ["8", "4"]
    assert row(parsed)["kind"] == "chromatin_state"
    assert "1-based inclusive" in parsed.notes[0]
    assert spans(read(path, one_based="no"))[0] == ("1", 1, 1200)


def test_strand_in_the_fourth_column_is_not_a_name(tmp_path):
    path = write(
        tmp_path, "te.bed", "chr1\t11897\t11976\t-\tAT1TE00010\tATCOPIA24\tLTR/Copia\n"
    )
    found = row(read(path))
    assert (found["strand"], found["name"]) == ("-", "AT1TE00010")
    assert (found["state"], found["kind"]) == ("LTR/Copia", "repeat")


def test_a_dash_for_a_name_is_no_name(tmp_path):
    path = write(tmp_path, "cres.bed", "1\t5\t9\t-\t-\t-\n1\t7\t9\te1\t3\t+\n")
    parsed = read(path)
    assert [row(parsed, i)["name"] for i in (0, 1)] == [None, "e1"]
    assert np.isnan(row(parsed)["score"])


def test_gff_is_one_based_and_kinds_follow_its_types(tmp_path):
    path = write(
        tmp_path,
        "x.gff",
        "##gff-version 3\n"
        "Chr1\tm\trepeat\t1\t115\t.\t.\t.\tID=r1;x=y\n"
        "Chr1\tb\tintron\t3914\t3995\t87\t+\t.\tmult=87\n"
        "Chr1\tb\tgene\t3914\t3995\t87\t+\t.\tID=g\n",
    )
    parsed = read(path)
    assert spans(parsed) == [("Chr1", 0, 115), ("Chr1", 3913, 3995)]
    assert list(parsed.tables["intervals"]["kind"]) == ["repeat", "intron"]
    assert list(parsed.tables["intervals"]["name"]) == ["r1", None]
    assert dict(parsed.tally.left_out) == {"gff_type_of_no_interval_kind": 1}
    assert parsed.tally.examples[0].line == 4
    assert len(spans(read(path, interval_kind="cre"))) == 3


def test_syri_keeps_rearrangements_and_says_what_it_leaves(tmp_path):
    def line(start: str, end: str, name: str, kind: str, contig: str = "Chr1") -> str:
        query = f"-\t-\tChr1\t1\t9\t{name}\t-\t{kind}\t-"
        return f"{contig}\t{start}\t{end}\t{query}\n"

    path = write(
        tmp_path,
        "a.out",
        line("1", "1084", "NOTAL1", "NOTAL")
        + line("1085", "9000", "SYN1", "SYN")
        + line("2000", "3000", "INV1", "INV")
        + line("2000", "3000", "INVAL1", "INVAL")
        + line("-", "-", "NOTAL2", "NOTAL", contig="-")
        + line("77", "77", "SNP1", "SNP"),
    )
    parsed = read(path)
    assert spans(parsed) == [("Chr1", 0, 1084), ("Chr1", 1999, 3000)]
    assert list(parsed.tables["intervals"]["state"]) == ["NOTAL", "INV"]
    assert row(parsed)["kind"] == "structural_variant"
    assert dict(parsed.tally.left_out) == {
        "alignment_part": 1,
        "not_on_reference": 1,
        "single_base": 1,
        "syntenic": 1,
    }
    assert parsed.tally.read == parsed.tally.kept + 4
    assert spans(read(path, syri_types="SYN")) == [("Chr1", 1084, 9000)]
    with pytest.raises(InputError, match="no SyRI type INVERSION"):
        read(path, syri_types="INVERSION")


def test_accession_columns_become_rows_with_the_sample_named(tmp_path):
    # En_D is an accession, though it reads like "end"
    path = write(
        tmp_path,
        "dmr.tsv",
        "chr\tstart\tstop\tAa_0\tEn_D\tCol_0\n"
        "chr5\t10\t20\t0.5\tNone\t0.0\nchr5\t30\t40\tNone\tNone\tNone\n",
    )
    parsed = read(path)
    table = parsed.tables["intervals"]
    assert list(table["sample"]) == ["Aa_0", "Col_0"]
    assert list(table["signal"]) == [0.5, 0.0]
    assert spans(parsed) == [("chr5", 10, 20)] * 2
    assert dict(parsed.tally.left_out) == {"no_value_in_any_sample": 1}
    assert (parsed.tally.read, parsed.tally.kept) == (2, 1)


def test_stranded_transcripts_become_their_first_base(tmp_path):
    path = write(
        tmp_path, "TSS.bed", "chrI\t334\t949\tA\t0\t+\nchrI\t1806\t2569\tB\t0\t-\n"
    )
    assert spans(read(path)) == [("chrI", 334, 335), ("chrI", 2568, 2569)]
    assert spans(read(path, five_prime="no"))[0] == ("chrI", 334, 949)


def test_faulty_rows_are_counted_and_listed_by_line(tmp_path):
    rows = ["1\t5\t9", "1\t9\t9", "1\t-4\t9", "1\tx\t9", "1\t1.5\t9", "\t1\t2"]
    good = [f"1\t{i}\t{i + 5}" for i in range(10)]
    path = write(tmp_path, "cre.bed", "\n".join(rows + good) + "\n")
    parsed = read(path)
    assert dict(parsed.tally.left_out) == {
        "no_contig": 1,
        "coordinate_not_whole_number": 2,
        "negative_coordinate": 1,
        "empty_interval": 1,
    }
    assert {e.line for e in parsed.tally.examples} == {2, 3, 4, 5, 6}
    assert parsed.tally.kept == 11 == len(spans(parsed))


def test_mostly_faulty_file_is_refused_with_counts(tmp_path):
    path = write(tmp_path, "cre.bed", "1\t9\t5\n1\t9\t5\n1\t5\t9\n")
    with pytest.raises(
        MalformedFileError, match=r"line 1: 2 of 3 rows.*empty_interval"
    ):
        read(path)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: data,
        gzip.compress,
        lzma.compress,
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"browser position chr1\ntrack name=x\n" + data,
        lambda data: data.replace(b"\t", b"  "),
    ],
    ids=["plain", "gz", "xz", "bom", "crlf", "track_line", "blanks"],
)
def test_dress_does_not_matter(tmp_path, wrap):
    folder = tmp_path / "Ordner mit Leerzeichen und ü"
    folder.mkdir()
    path = folder / "cres.bed"
    path.write_bytes(wrap(b"1\t5\t9\te1\t7\t+\n2\t0\t3\te2\t8\t-\n"))
    parsed = read(path)
    assert spans(parsed) == [("1", 5, 9), ("2", 0, 3)]
    assert list(parsed.tables["intervals"]["strand"]) == ["+", "-"]
    assert list(parsed.tables["intervals"]["score"]) == [7.0, 8.0]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("cre.bed", b"", "empty"),
        ("cre.bed", b"# only\n", "comments only"),
        ("cre.bed", b"1\t5\t9\n1\t5\n", "line 2"),
        ("cre.bed", b"\x00\x01\x02" * 50, "zero byte"),
        ("cre.bed.gz", gzip.compress(b"1\t5\t9\n" * 4000)[:60], "truncated"),
        ("cre.bed", b"contig,position\n1,2\n", "2 column"),
        ("cre.tsv", b"name\tsize\tcolour\na\t2\tred\n", "no column for contig"),
        ("cre.bb", bytes.fromhex("ebf28987") + b"\x00" * 60, "bigBed"),
        ("exons.bed", b"1\t5\t9\n", "its name says"),
        ("a.gff", b"1\tx\tmRNA\t5\t9\t.\t+\t.\tID=x\n", "types are no intervals"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(MalformedFileError, match=message):
        read(path)


def test_unknown_choices_are_refused(tmp_path):
    path = write(tmp_path, "cre.bed", "1\t5\t9\n")
    with pytest.raises(InputError, match="choose one of cre, promoter"):
        read(path, interval_kind="gene")
    with pytest.raises(InputError, match="one_based=yes or"):
        read(path, one_based="maybe")


def test_columns_can_be_named(tmp_path):
    path = write(tmp_path, "cre.tsv", "where\tA\tB\twhat\n1\t5\t9\te1\n")
    request = Request(
        path, "x", columns={"contig": "where", "start": "A", "end": "2", "name": "what"}
    )
    parsed = intervals.parse(request)
    assert spans(parsed) == [("1", 5, 9)]
    assert row(parsed)["name"] == "e1"


def test_contig_is_taken_out_of_a_longer_name(tmp_path):
    # The published TSS peaks of A. thaliana name a transcript and no chromosome.
    path = write(
        tmp_path,
        "tss.csv",
        "Locus,Peak_start,Peak_end\nAT1G01010.1,3624,3648\nAT5G65030.1,10,12\n"
        "tRNA-1,5,9\n",
    )
    columns = {"contig": "Locus", "start": "Peak_start", "end": "Peak_end"}
    options = {"contig_pattern": "^AT(.)G", "one_based": "yes"}
    parsed = intervals.parse(Request(path, "tss", options, columns))
    assert spans(parsed) == [("1", 3623, 3648), ("5", 9, 12)]
    assert parsed.tables["intervals"]["name"].tolist() == ["AT1G01010.1", "AT5G65030.1"]
    assert dict(parsed.tally.left_out) == {"no_contig": 1}
    for wrong in ("AT.G", "(A)(T)", "AT(.G"):
        with pytest.raises(InputError, match="contig_pattern"):
            intervals.parse(Request(path, "tss", {"contig_pattern": wrong}, columns))


def test_neighbours_one_base_apart_are_pointed_out(tmp_path):
    apart = "".join(f"1\t{i * 10 + 1}\t{i * 10 + 10}\n" for i in range(30))
    tiled = "".join(f"1\t{i * 10}\t{i * 10 + 10}\n" for i in range(30))
    assert any(
        "looks 1-based" in note
        for note in read(write(tmp_path, "cre.bed", apart)).notes
    )
    half_open = write(tmp_path, "cre2.bed", tiled)
    assert not any("looks" in note for note in read(half_open).notes)
    assert any("looks 0-based" in n for n in read(half_open, one_based="yes").notes)


def test_bigbed_equals_the_bed_it_was_made_of(tmp_path):
    # pyBigWig writes no bigBed, so a small one is laid out here by hand:
    # header, chromosome tree of one contig, one data block, R-tree of one leaf.
    path = tmp_path / "peaks.bb"
    path.write_bytes(
        build_bigbed("chr1", 1000, [(5, 9, "e1\t7\t+"), (20, 30, "e2\t8\t-")])
    )
    with pyBigWig.open(str(path)) as big:
        assert big.isBigBed() == 1
    parsed = read(path)
    bed = write(tmp_path, "peaks.bed", "chr1\t5\t9\te1\t7\t+\nchr1\t20\t30\te2\t8\t-\n")
    pd.testing.assert_frame_equal(
        parsed.tables["intervals"], read(bed).tables["intervals"]
    )
    assert intervals.detect(path, path.read_bytes())


def build_bigbed(
    contig: str, length: int, entries: list[tuple[int, int, str]]
) -> bytes:
    from struct import pack

    block = b"".join(
        pack("<III", 0, start, end) + rest.encode() + b"\x00"
        for start, end, rest in entries
    )
    tree_at = 64 + 40
    key = contig.encode()
    tree = pack("<IIIIQQ", 0x78CA8C91, 1, len(key), 8, 1, 0)
    tree += pack("<BBH", 1, 0, 1) + key + pack("<II", 0, length)
    data_at = tree_at + len(tree)
    data = pack("<Q", 1) + block
    index_at = data_at + len(data)
    first, last = entries[0][0], entries[-1][1]
    index = pack("<IIQIIIIQII", 0x2468ACE0, 256, 1, 0, first, 0, last, index_at, 1, 0)
    index += pack("<BBH", 1, 0, 1)
    index += pack("<IIIIQQ", 0, first, 0, last, data_at + 8, len(block))
    head = pack("<IHHQQQHHQQIQ", 0x8789F2EB, 4, 0, tree_at, data_at, index_at,
                6, 6, 0, 64, 0, 0)  # fmt: skip
    summary = pack("<Qdddd", 14, 1.0, 1.0, 14.0, 14.0)
    return head + summary + tree + data + index


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.bed", "1\t5\t9\n", True),
        ("x.txt", "chr1\t5\t9\n" * 30, True),
        ("x.txt", "1\t1\t2\t0.06\n" * 30, False),
        ("x.bed", "chr1\t0\t9\tchr10\t9\t20\t4\n", False),
        ("x.txt", "Chrom\tFrom\tTo\tState\n1\t1\t5\t8\n", True),
        ("x.gff", "1\tm\trepeat\t1\t5\t.\t.\t.\t.\n", True),
        ("x.gff", "1\tm\tgene\t1\t5\t.\t+\t.\tID=g\n", False),
        ("x.bedpe", "1\t5\t9\t1\t15\t19\tx\t3\n", False),
        ("x.txt", "gene\tleaf\troot\nA\t1\t2\n", False),
        ("x.txt", "SNP\tchr\tpos\tend\tbeta\np\t1\t2\t3\t4\n", False),
        ("x.fa", ">chr1\nACGT\n", False),
    ],
)
def test_detection(name, text, expected):
    assert intervals.detect(Path(name), text.encode()) is expected


# --- real files ---------------------------------------------------------------------

REAL = [
    ("yeast/epigenome/nucleosome_data_SacCer3.bed.gz", "nucleosome", 67_548, 67_548),
    ("yeast/annotation/Scer_polIItranscripts-adjustedTSS.bed.gz", "tss", 6_445, 6_445),
    (
        "arabidopsis/epigenome/GSM3484757_Root_ATAC_1_peaks.narrowPeak.gz",
        "peak", 26_404, 26_404,
    ),
    (
        "arabidopsis/epigenome/Sullivan_DHS_PE_peaks_control.bed.gz",
        "dhs", 34_637, 34_637,
    ),
    (
        "arabidopsis/epigenome/chrom_states_At_Sequeira-Mendes.gz",
        "chromatin_state", 81_345, 81_345,
    ),
    ("arabidopsis/epigenome/c_dmrs.tsv.gz", "dmr", 13_484, 13_484),
    ("arabidopsis/annotation/TAIR9_TE.bed.gz", "repeat", 31_189, 31_189),
    ("arabidopsis/annotation/At_repeat_mask.gff.gz", "repeat", 71_828, 71_828),
    ("arabidopsis/variants/TEPID_TEPAV.tsv.gz", "structural_variant", 23_095, 23_095),
    (
        "arabidopsis/variants/col_lersyri.filtered.out.gz",
        "structural_variant", 14_667, 6_326,
    ),
    ("arabidopsis_region/dmr_methylation_by_accession.tsv.gz", "dmr", 42, 42),
]  # fmt: skip


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "kind", "n_read", "n_kept"), REAL)
def test_real_files_are_read_and_counted(shared_data, name, kind, n_read, n_kept):
    path = shared_data / name
    parsed = read(path)
    table = parsed.tables["intervals"]
    assert (parsed.tally.read, parsed.tally.kept) == (n_read, n_kept)
    assert set(table["kind"]) == {kind}
    assert (table["start"] >= 0).all()
    assert (table["end"] > table["start"]).all()
    with gzip.open(path) as file:
        assert intervals.detect(path, file.read(65_536))


@pytest.mark.realdata
def test_states_tile_their_contigs_without_gap_or_overlap(shared_data):
    path = shared_data / "arabidopsis/epigenome/chrom_states_At_Sequeira-Mendes.gz"
    table = read(path).tables["intervals"].sort_values(["contig", "start"])
    same = table["contig"].eq(table["contig"].shift())
    assert (table["start"][same] == table["end"].shift()[same]).all()


@pytest.mark.realdata
def test_the_te_file_is_found_to_be_one_based(shared_data):
    path = shared_data / "arabidopsis/annotation/TAIR9_TE.bed.gz"
    assert any("looks 1-based inclusive" in note for note in read(path).notes)
    parsed = read(path, one_based="yes")
    assert not any("looks" in note for note in parsed.notes)
    assert spans(parsed)[0] == ("chr1", 11_896, 11_976)


@pytest.mark.realdata
def test_bed_agrees_with_pandas(shared_data):
    path = (
        shared_data / "arabidopsis/epigenome/GSM3484758_Root_ATAC_2_peaks.narrowPeak.gz"
    )
    peer = pd.read_csv(path, sep="\t", header=None, dtype={0: str})
    table = read(path).tables["intervals"]
    assert (table["contig"].to_numpy() == peer[0].to_numpy()).all()
    np.testing.assert_array_equal(table["start"], peer[1])
    np.testing.assert_array_equal(table["end"], peer[2])
    np.testing.assert_allclose(table["signal"], peer[6])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("n_rows", [3, 5000])
@pytest.mark.parametrize("lead", ["", "track name=x\n", "# c\r\n"])
def test_utf16_reads_as_utf8_does(tmp_path, encoding, n_rows, lead):
    """Excel saves "Unicode text" as UTF-16 with a mark."""
    text = lead + "".join(f"c1\t{i}\t{i + 5}\tn{i}\n" for i in range(n_rows))
    mark = "" if encoding == "utf-16" else "\ufeff"
    path = tmp_path / "x.bed"
    path.write_bytes((mark + text).encode(encoding))
    assert intervals.detect(path, path.read_bytes()[:65_536])
    plain = write(tmp_path, "plain.bed", text)
    assert spans(read(path)) == spans(read(plain))
    assert len(spans(read(path))) == n_rows


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("chrI\t1\t" + "9" * 3_000_000, r"line 1: a line of more than 65,536 bytes"),
        ("# c\nchrI\t1\t" + "9" * 3_000_000, r"line 2: a line of more than 65,532"),
        ("# c\n" * 9, r"comments only, no row of data\. "),
        ("# c\n" * 90_000, r"comments only, no row of data in the first 65,536"),
    ],
)
def test_why_there_is_no_row(tmp_path, text, says):
    with pytest.raises(MalformedFileError, match=says):
        read(write(tmp_path, "x.bed", text))
