"""Reading VCF in all the ways it comes, in chunks that end between genes."""

import gzip
import io
import sys
from pathlib import Path

import pysam
import pytest

from data_registry.contigs import ContigNames
from data_registry.errors import InputError, MalformedFileError
from tests.organisms import snv, vcf_text
from variant_effect.alleles import read_records
from variant_effect.vcf import GapFinder, VcfReader

TEXT = vcf_text(
    [snv("chr1", p) for p in (101, 150, 300)], header=["##contig=<ID=chr1>"]
)
LINES = [line for line in TEXT.splitlines() if not line.startswith("#")]


def read_all(path: Path, n: int = 2) -> tuple[VcfReader, list[tuple[int, int, bytes]]]:
    reader = VcfReader(path)
    return reader, [(c.index, c.first_line, c.lines) for c in reader.chunks(n)]


def as_lines(chunks: list[tuple[int, int, bytes]]) -> list[str]:
    return b"".join(lines for _, _, lines in chunks).decode().split("\n")[:-1]


def test_chunks_carry_their_number_and_first_line(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    path.write_text(TEXT)
    reader, chunks = read_all(path)
    # Three header lines, so the records stand on lines 4, 5 and 6.
    assert [(index, line) for index, line, _ in chunks] == [(0, 4), (1, 6)]
    assert as_lines(chunks) == LINES
    assert reader.header.lines == ("##fileformat=VCFv4.2", "##contig=<ID=chr1>")
    assert reader.header.samples == ()
    assert not reader.header.has_format


def write_plain(path: Path) -> None:
    path.write_text(TEXT)


def write_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(TEXT.encode()))


def write_two_gzip_members(path: Path) -> None:
    half = len(TEXT) // 2
    path.write_bytes(
        gzip.compress(TEXT[:half].encode()) + gzip.compress(TEXT[half:].encode())
    )


def write_bgzip(path: Path) -> None:
    with pysam.BGZFile(str(path), "wb", None) as file:
        file.write(TEXT.encode())


def write_without_last_newline(path: Path) -> None:
    path.write_text(TEXT.rstrip("\n"))


def write_with_byte_order_mark(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())


def write_with_blank_lines(path: Path) -> None:
    path.write_text(TEXT.replace("\nchr1\t150", "\n\nchr1\t150") + "\n")


@pytest.mark.parametrize(
    "write",
    [
        write_plain, write_gzip, write_two_gzip_members, write_bgzip,
        write_without_last_newline, write_with_byte_order_mark, write_with_blank_lines,
    ],
)  # fmt: skip
def test_the_same_records_however_stored(tmp_path: Path, write) -> None:
    path = tmp_path / "a file.vcf"
    write(path)
    reader, chunks = read_all(path)
    assert as_lines(chunks) == LINES
    assert reader.header.lines[0] == "##fileformat=VCFv4.2"


def test_windows_line_ends_leave_no_trace_in_the_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    reader, [(_, first, lines)] = read_all(path, 10)
    table = read_records(lines, path, first)
    assert table["POS"].to_pylist() == [101, 150, 300]
    assert table["INFO"].to_pylist() == [b"."] * 3
    assert reader.header.lines == ("##fileformat=VCFv4.2", "##contig=<ID=chr1>")


def test_bcf_gives_the_records_of_the_vcf(tmp_path: Path) -> None:
    text = vcf_text(
        [(*snv("chr1", 101), "AC=1;XS=a%3Bb", "0|1"), (*snv("chr1", 150), ".", "1|1")],
        samples=["s1"],
        header=[
            "##contig=<ID=chr1,length=16000>",
            '##INFO=<ID=AC,Number=A,Type=Integer,Description="x">',
            '##INFO=<ID=XS,Number=1,Type=String,Description="x">',
            '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
        ],
    )
    plain, binary = tmp_path / "a.vcf", tmp_path / "a.bcf"
    plain.write_text(text)
    with (
        pysam.VariantFile(str(plain)) as given,
        pysam.VariantFile(str(binary), "wb", header=given.header) as file,
    ):
        for record in given:
            file.write(record)
    reader, chunks = read_all(binary)
    assert as_lines(chunks) == [line for line in text.splitlines() if line[0] != "#"]
    assert reader.header.samples == ("s1",)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, pack) -> None:
    given = io.TextIOWrapper(io.BufferedReader(io.BytesIO(pack(TEXT.encode()))))
    monkeypatch.setattr(sys, "stdin", given)
    _, chunks = read_all(Path("-"))
    assert as_lines(chunks) == LINES


def test_a_cut_stream_is_told_as_a_cut_file(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = gzip.compress(TEXT.encode() * 50)[:-40]
    given = io.TextIOWrapper(io.BufferedReader(io.BytesIO(cut)))
    monkeypatch.setattr(sys, "stdin", given)
    with pytest.raises(MalformedFileError, match=r"standard input.*truncated"):
        read_all(Path("-"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no #CHROM line|empty"),
        (b"##fileformat=VCFv4.2\n", "no #CHROM line"),
        (b"chr1\t5\t.\tA\tC\t.\t.\t.\n", "expected a header line"),
        (b"##x\n#CHROM POS ID REF ALT QUAL FILTER INFO\n", "separated by tabs"),
        (b"##x\n" + LINES[0].encode(), "line 2"),
        (
            b"##x\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\ta\n",
            "'a' stands twice",
        ),
        (gzip.compress(TEXT.encode() * 50)[:-40], "truncat|cut short|damaged"),
    ],
)
def test_what_is_no_vcf_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.vcf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_all(path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("chr1\t7\t.\tA", "4 columns"),
        ("chr1 7 . A C . . .", "1 columns"),
        ("chr1\tseven\t.\tA\tC\t.\t.\t.", "'seven' is no position"),
        ("chr1\t7.0\t.\tA\tC\t.\t.\t.", "'7.0' is no position"),
        ("chr1\t99999999999999999999\t.\tA\tC\t.\t.\t.", "is no position"),
        ("chr1\t7\t.\tA\tC\t.\t.\t.\tGT", "9 columns, the one before 8"),
        ("chr1\t7\t.\tA\tÇ\t.\t.\t.", "not ASCII"),
        ("   \t", "2 columns"),
    ],
)
def test_a_broken_record_is_named_by_its_line(line: str, says: str) -> None:
    lines = f"{LINES[0]}\n{LINES[1]}\n{line}\n{LINES[2]}\n".encode("latin-1")
    with pytest.raises(MalformedFileError, match=says) as caught:
        read_records(lines, Path("my.vcf"), 11)
    assert caught.value.line == 13
    assert "my.vcf, line 13" in str(caught.value)


def test_quotes_and_odd_bytes_in_info_are_only_text() -> None:
    line = LINES[0].encode()[:-1] + b'X="a;Y=\xe9'
    assert read_records(line + b"\n", Path("a.vcf"), 1)["INFO"].to_pylist() == [
        b'X="a;Y=\xe9'
    ]


# -- where a chunk may end ----------------------------------------------------------------

NAMES = ContigNames(("chr1", "chr2"), {"one": "chr1"})
# Genes at 100-200, 150-400 (holding 160-180) and 500-600, 0-based half-open.
GAPS = GapFinder({"chr1": [100, 150, 160, 500]}, {"chr1": [200, 400, 400, 600]}, NAMES)


@pytest.mark.parametrize(
    ("here", "there", "gap"),
    [
        (50, 90, True),
        (100, 101, True),  # 0-based 99 is before the gene; both are outside
        (101, 102, False),
        (120, 170, False),
        (190, 399, False),  # inside 150-400, though 160-180 and 100-200 have ended
        (190, 400, False),  # 0-based 399 is the gene's last base
        (190, 401, True),
        (410, 420, True),
        (410, 550, True),  # the gene at 500 has not begun at the first of them
    ],
)
def test_a_chunk_ends_between_genes_only(here: int, there: int, gap: bool) -> None:  # noqa: FBT001
    for name in (b"chr1", b"one"):
        a = name + b"\t%d\t.\tA\tC\t.\t.\t.\n" % here
        b = name + b"\t%d\t.\tA\tC\t.\t.\t.\n" % there
        assert GAPS.is_gap(a, b) is gap
    assert GAPS.is_gap(b"chr1\t120\tx\n", b"chr2\t130\tx\n")


def test_chunks_grow_to_the_end_of_a_gene_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    # Padding makes lines longer than a peek into a buffer would show.
    pad = "X=" + "y" * 70_000
    path.write_text(vcf_text([("chr1", p, "A", "C", pad) for p in range(95, 415)]))

    def positions(chunk: bytes) -> list[int]:
        return [int(line.split(b"\t")[1]) for line in chunk.splitlines()]

    chunks = list(VcfReader(path).chunks(100, spans=GAPS))
    # 100 records end at 194, inside; the gene ends before 401. Then to the end.
    assert [(positions(c.lines)[0], positions(c.lines)[-1]) for c in chunks] == [
        (95, 400), (401, 414),
    ]  # fmt: skip
    assert [c.first_line for c in chunks] == [3, 3 + 306]
    forced = list(VcfReader(path).chunks(20, spans=GAPS))
    assert positions(forced[0].lines)[-1] == 95 + 80 - 1
    assert [p for c in forced for p in positions(c.lines)] == list(range(95, 415))
