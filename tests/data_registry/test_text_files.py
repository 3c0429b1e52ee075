"""Reading text whatever its compression, encoding and line ends; refusing the rest."""

import bz2
import csv
import gzip
import io
import lzma
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Tally
from data_registry.text_files import (
    LINE,
    detect_compression,
    find_column,
    guess_delimiter,
    open_text,
    read_head,
    read_table,
    read_text,
    split_head,
)

TEXT = "gene\tscore\nAT1G01010\t1\nÄhre\t2\n"
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def write(folder: Path, data: bytes, name: str = "table.txt") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("pack", "compression"),
    [
        (bytes, ""),
        (gzip.compress, "gz"),
        (lambda d: gzip.compress(d[:9]) + gzip.compress(d[9:]), "gz"),
        (lzma.compress, "xz"),
        (bz2.compress, "bz2"),
    ],
    ids=["plain", "gz", "two gz members", "xz", "bz2"],
)
@pytest.mark.parametrize(
    "encode",
    [
        lambda t: t.encode(),
        lambda t: b"\xef\xbb\xbf" + t.encode(),
        lambda t: t.replace("\n", "\r\n").encode(),
        lambda t: t.replace("\n", "\r").encode(),
        lambda t: t.encode("latin-1"),
        lambda t: t.encode("utf-16"),
    ],
    ids=["utf8", "bom", "crlf", "cr", "latin1", "utf16"],
)
def test_same_rows_however_the_file_is_packed(tmp_path, pack, compression, encode):
    # the name lies on purpose: compression is told by the bytes
    folder = tmp_path / "mit Leer und ü"
    folder.mkdir()
    path = write(folder, pack(encode(TEXT)), "lies.vcf")
    assert detect_compression(path) == compression
    table = read_table(path)
    assert table["gene"].tolist() == ["AT1G01010", "Ähre"]
    assert table["score"].tolist() == ["1", "2"]
    assert table[LINE].tolist() == [2, 3]
    with open_text(path) as lines:
        assert [line.rstrip("\n") for line in lines] == TEXT.splitlines()
    assert read_text(path) == TEXT


@pytest.mark.parametrize(
    "pack", [gzip.compress, lzma.compress, bz2.compress], ids=["gz", "xz", "bz2"]
)
@pytest.mark.parametrize("cut", [0.3, 0.6, 0.99])
def test_truncated_file_is_refused_whole(tmp_path, pack, cut):
    packed = pack(
        ("a\tb\n" + "".join(f"x{i * 7919}\t{i}\n" for i in range(20_000))).encode()
    )
    path = write(tmp_path, packed[: int(cut * len(packed))])
    with pytest.raises(MalformedFileError, match=r"truncated|cannot be read"):
        read_table(path)
    with pytest.raises(MalformedFileError), open_text(path) as lines:
        lines.read()


def test_bgzip_file_cut_at_a_block_is_refused(tmp_path):
    pysam = pytest.importorskip("pysam")
    path = tmp_path / "t.gz"
    with pysam.BGZFile(str(path), "w") as out:
        out.write(TEXT.encode())
    assert detect_compression(path) == "bgz"
    assert len(read_table(path)) == 2
    whole = path.read_bytes()
    assert whole.endswith(BGZF_END)
    path.write_bytes(whole.removesuffix(BGZF_END))
    # gzip alone would read this without a word
    assert gzip.decompress(path.read_bytes()).decode() == TEXT
    with pytest.raises(MalformedFileError, match="end block is missing"):
        read_table(path)


def test_flipped_byte_in_gzip_is_refused(tmp_path):
    packed = bytearray(gzip.compress(TEXT.encode() * 50))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(MalformedFileError):
        read_table(write(tmp_path, bytes(packed)))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no row of data"),
        (b"\n\n# only a comment\n", "no row of data"),
        (b"a\tb\n", "a header and no rows"),
        (b"a\tb\n1\t2\x00\n", "zero byte"),
        (bytes(range(1, 32)) * 40, "control characters"),
        (b"a\tb\n1\t2\n3\n", "line 3: 1 fields where 2 are expected"),
        (b"a\tb\n1\t2\n\n#c\n3\t4\t5\n", "line 5: 3 fields where 2 are expected"),
        (b"a\ta\n1\t2\n", "stand twice"),
        (b'a,b\n1,"2\n', "quotes do not pair|fields"),
        (b"PK\x03\x04xxxxxxxxxxxxxxxxx", "zip archive"),
        (b"\x28\xb5\x2f\xfdxxxxxxxxxxxxxxx", "zstd"),
    ],
    ids=[
        "empty",
        "comments only",
        "header only",
        "zero byte",
        "binary",
        "short row",
        "long row",
        "doubled name",
        "open quote",
        "zip",
        "zstd",
    ],
)
def test_bad_tables_are_refused_with_the_reason(tmp_path, data, problem):
    with pytest.raises(MalformedFileError, match=problem) as caught:
        read_table(write(tmp_path, data))
    assert caught.value.remedy


def test_paths_that_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        read_table(tmp_path / "absent")
    with pytest.raises(InputError, match="cannot be opened"):
        read_table(tmp_path)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match="cannot be opened"):
        read_head(loop)


def test_line_numbers_count_comments_and_blank_lines(tmp_path):
    path = write(tmp_path, b"#x\n\na\tb\n1\t2\n\n#c\t\n3\t4\n")
    table = read_table(path)
    assert table[LINE].tolist() == [4, 7]
    assert table["a"].tolist() == ["1", "3"]


def test_header_written_as_a_comment(tmp_path):
    path = write(tmp_path, b"## made by x\n#CHROM\tPOS\n1\t5\n")
    assert read_table(path).columns.tolist() == ["CHROM", "POS", LINE]
    assert split_head(path.read_bytes())[0] == ["CHROM", "POS"]


def test_r_row_names_and_trailing_delimiters(tmp_path):
    # the three shapes stand in arabidopsis/expression and /epigenome
    r = read_table(write(tmp_path, b"s1\ts2\ng1\t1\t2\n"))
    assert r.columns.tolist() == ["row_name", "s1", "s2", LINE]
    both = read_table(write(tmp_path, b"ID\ts1\t\ng1\t1\t\n"))
    assert both.columns.tolist() == ["ID", "s1", LINE]
    header_only = read_table(write(tmp_path, b"ID\ts1\t\ng1\t1\n"))
    assert header_only.columns.tolist() == ["ID", "s1", LINE]
    rows_only = read_table(write(tmp_path, b"ID\ts1\ng1\t1\t\n"))
    assert rows_only["s1"].tolist() == ["1"]
    assert rows_only["ID"].tolist() == ["g1"]
    blanks = read_table(write(tmp_path, b"ID\ta b c\ng1\t1\t2\t3\t\ng2\t4\t5\t6\t\n"))
    assert blanks.columns.tolist() == ["ID", "a", "b", "c", LINE]
    assert blanks["c"].tolist() == ["3", "6"]


def test_quoted_fields_over_two_lines_keep_their_line(tmp_path):
    path = write(tmp_path, b'a,b\n1,"x\ny"\n2,z\n')
    table = read_table(path)
    assert table["b"].tolist() == ["x\ny", "z"]
    assert table[LINE].tolist() == [2, 4]


def test_stray_quote_in_tab_table_is_text(tmp_path):
    table = read_table(write(tmp_path, b'a\tb\n1\t5" UTR\n2\tx\n'))
    assert table["b"].tolist() == ['5" UTR', "x"]


def test_rows_of_wrong_width_are_counted_when_asked_for(tmp_path):
    tally = Tally()
    path = write(tmp_path, b"a\tb\n1\t2\n3\n4\t5\n")
    table = read_table(path, wrong_width=tally)
    assert table["a"].tolist() == ["1", "4"]
    assert (tally.read, dict(tally.left_out)) == (1, {"wrong_width": 1})
    assert tally.examples[0].line == 3


def test_columns_are_renamed_by_name_or_position(tmp_path):
    path = write(tmp_path, b"a\tb\n1\t2\n")
    assert read_table(path, columns={"x": "b"}).columns.tolist() == ["a", "x", LINE]
    assert read_table(path, columns={"x": "0"}).columns.tolist() == ["x", "b", LINE]
    swapped = read_table(path, columns={"a": "b"})
    assert swapped["a"].tolist() == ["2"]
    assert swapped["a_original"].tolist() == ["1"]
    with pytest.raises(MalformedFileError, match="no column 'c'; there are 'a', 'b'"):
        read_table(path, columns={"x": "c"})


@pytest.mark.parametrize(
    ("rows", "delimiter"),
    [
        (["a\tb,c", "1\t2"], "\t"),
        (['a,"b,c"', "1,2"], ","),
        (["a;b", "1,5;2"], ";"),
        ([" CHR  SNP   P", "  1  rs1 0.5"], " "),
        (["a", "b"], "\t"),
    ],
)
def test_delimiter_is_guessed(rows, delimiter):
    assert guess_delimiter(rows) == delimiter


def test_find_column_prefers_the_order_of_wanted_names():
    names = ["P.value", "H&B.P.Value", "p"]
    assert find_column(names, "p.value", "p") == "P.value"
    assert find_column(names, "P", "pvalue") == "p"
    assert find_column(names, "chr") is None


CELLS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=5
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8),
    crlf=st.booleans(),
)
def test_what_csv_writes_is_read_back(tmp_path, rows, crlf):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n" if crlf else "\n")
    writer.writerows([["c1", "c2", "c3"], *rows])
    path = write(tmp_path, stream.getvalue().encode())
    table = read_table(path, delimiter=",", comment="")
    assert table[["c1", "c2", "c3"]].to_numpy().tolist() == rows
    assert table[LINE].tolist() == list(range(2, len(rows) + 2))


@pytest.mark.realdata
def test_two_million_rows_keep_their_lines(shared_data):
    path = shared_data / "arabidopsis/derived/tf_target_edges.tsv.xz"
    table = read_table(path)
    assert len(table) == 2_276_586
    assert table[LINE].iloc[-1] == 2_276_587
    with lzma.open(path, "rt") as lines:
        for _ in range(1_000_000):
            next(lines)
        expected = next(lines).rstrip("\n").split("\t")
    row = table.iloc[999_999]
    assert [row["tf"], row["target"], row["type"]] == expected
    assert row[LINE] == 1_000_001


def test_head_of_an_archive_is_its_raw_bytes(tmp_path):
    # .npz files are zip archives and are recognised by their first bytes
    path = write(tmp_path, b"PK\x03\x04rest")
    assert read_head(path) == b"PK\x03\x04rest"
    assert read_head(write(tmp_path, gzip.compress(b"\xef\xbb\xbfab"))) == b"ab"


def test_a_field_longer_than_csv_allows_by_default(tmp_path):
    """csv stops at 131,072 characters with an error of its own."""
    path = tmp_path / "x.tsv"
    for long in ("s" * 300_000, '"' + "s" * 300_000 + '"'):
        path.write_text(f"gene_id\t{long}\ts2\ng1\t1\t2\n")
        frame = read_table(path)
        assert list(frame.columns) == ["gene_id", "s" * 300_000, "s2", "_line"]
        assert frame.iloc[0].tolist() == ["g1", "1", "2", 2]
