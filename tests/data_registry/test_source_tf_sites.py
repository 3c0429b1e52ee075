"""Binding sites: by hand, as archives, and the real DAP-seq and ChIP sets."""

import gzip
import io
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Parsed, Request
from data_registry.sources import tf_sites

PEAK = "1\t10\t20\tp{i}\t1\t.\t3.5\t2\t1\t5\n"


def read(path: Path, **options: str) -> Parsed:
    return tf_sites.parse(Request(path, path.name.split(".")[0], options))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def pack(path: Path, members: dict[str, bytes], mode: str = "w:xz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def test_factor_and_gene_columns(tmp_path):
    path = write(
        tmp_path,
        "dap.bed",
        "5\t25975736\t25976236\tATY13\tAT1G74650\n5\t25975948\t25976448\tRAP212\n",
    )
    parsed = read(path)
    table = parsed.tables["tf_sites"]
    assert list(table["tf"]) == ["ATY13", "RAP212"]
    assert list(table["tf_gene_id"]) == ["AT1G74650", None]
    assert list(table["start"]) == [25_975_736, 25_975_948]
    assert list(table["end"]) == [25_976_236, 25_976_448]
    assert any("1 rows end after" in note for note in parsed.notes)


def test_a_row_without_a_factor_is_refused(tmp_path):
    path = write(tmp_path, "dap.bed", "5\t10\t20\tA\tAT1G1\n5\t10\t20\n")
    with pytest.raises(MalformedFileError, match="line 2"):
        read(path)
    path = write(tmp_path, "dap.bed", "5\t10\t20\tA\tAT1G1\n5\t10\t20\t.\tAT1G1\n")
    with pytest.raises(MalformedFileError, match="line 2: a site without a factor"):
        read(path)


def test_peaks_need_their_factor(tmp_path):
    path = write(tmp_path, "x.narrowPeak", "".join(PEAK.format(i=i) for i in range(30)))
    with pytest.raises(MalformedFileError, match=r"name peaks, not factors.*tf=NAME"):
        read(path)
    table = read(path, tf="ABF2", tf_gene_id="AT1G45249").tables["tf_sites"]
    assert set(table["tf"]) == {"ABF2"}
    assert set(table["tf_gene_id"]) == {"AT1G45249"}
    assert set(table["signal"]) == {3.5}


def test_the_factor_can_be_part_of_the_name(tmp_path):
    path = write(tmp_path, "remap.bed", "1\t10\t20\tGSE1.ABF2.leaf\t1\t+\n")
    table = read(path, name_part="2").tables["tf_sites"]
    assert list(table["tf"]) == ["ABF2"]
    assert list(table["strand"]) == ["+"]
    with pytest.raises(MalformedFileError, match="dot-separated part 4"):
        read(path, name_part="4")
    with pytest.raises(InputError, match="name_part=x"):
        read(path, name_part="x")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_archive_names_the_factors(tmp_path, mode):
    path = pack(
        tmp_path / "sets.tar",
        {
            "peaks/ABF2.bed": b"chr1\t5\t9\tAT1G45249\tTAIR10\n",
            "peaks/../../RAP212.narrowPeak.gz": gzip.compress(
                PEAK.format(i=1).encode()
            ),
            "README": b"hello",
        },
        mode,
    )
    parsed = read(path)
    table = parsed.tables["tf_sites"]
    assert list(table["tf"]) == ["ABF2", "RAP212"]
    assert list(table["tf_gene_id"]) == ["AT1G45249", None]
    assert list(table["contig"]) == ["chr1", "1"]
    assert parsed.tally.read == 2
    assert any("not read: README" in note for note in parsed.notes)
    assert not (tmp_path.parent / "RAP212.narrowPeak.gz").exists()


def test_faults_in_an_archive_name_the_member(tmp_path):
    path = pack(tmp_path / "a.tar", {"ABF2.bed": b"1\t9\t5\tA\n"})
    with pytest.raises(MalformedFileError, match=r"a\.tar::ABF2\.bed, line 1"):
        read(path)
    path = pack(tmp_path / "b.tar", {"x/A.bed": b"1\t1\t5\n", "y/A.bed": b"1\t1\t5\n"})
    with pytest.raises(MalformedFileError, match="second file of A"):
        read(path)
    path = pack(tmp_path / "c.tar", {"README": b"hello"})
    with pytest.raises(MalformedFileError, match="without a BED or peak file"):
        read(path)


def test_a_cut_archive_is_refused(tmp_path):
    rows = b"".join(b"1\t%d\t%d\tAT1G1\n" % (i, i + 50) for i in range(20_000))
    whole = pack(tmp_path / "a.tar.xz", {"A.bed": rows, "B.bed": rows})
    cut = tmp_path / "cut.tar.xz"
    cut.write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(MalformedFileError, match=r"cut short|truncated"):
        read(cut)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5\t1\t9\tATY13\tAT1G74650\n", True),
        ("tf\tchrom\tstart\tend\nA\t1\t5\t9\n", True),
        ("5\t1\t9\te1\t960\n", False),
        ("5\t1\t9\t+\tAT1TE1\n", False),
        ("1\t5\t9\n", False),
    ],
)
def test_detection(text, expected):
    assert tf_sites.detect(Path("x.bed"), text.encode()) is expected


@pytest.mark.realdata
def test_all_dapseq_peaks_come_out(shared_data):
    path = (
        shared_data / "arabidopsis/tf_binding/dapseq_At"
        / "TSPTFBS2_Arabidopsis_266TF_peaks.tar.xz"
    )  # fmt: skip
    parsed = read(path)
    table = parsed.tables["tf_sites"]
    assert parsed.tally.read == parsed.tally.kept == len(table) == 915_099
    assert table["tf"].nunique() == 266
    # the file of RAP212 alone names no gene
    assert set(table.loc[table["tf_gene_id"].isna(), "tf"]) == {"RAP212"}
    with tarfile.open(path) as archive:
        member = archive.extractfile("ABF2.bed")
        assert member is not None
        peer = pd.read_csv(member, sep="\t", header=None)
    mine = table[table["tf"] == "ABF2"]
    assert list(mine["start"]) == list(peer[1])
    assert set(mine["tf_gene_id"]) == set(peer[3])
    assert tf_sites.is_tar(path)


@pytest.mark.realdata
def test_real_region_table(shared_data):
    path = shared_data / "arabidopsis_region/dapseq_266TF.bed.gz"
    parsed = read(path)
    table = parsed.tables["tf_sites"]
    assert parsed.tally.kept == len(table) == 14_717
    assert set(table.loc[table["tf_gene_id"].isna(), "tf"]) == {"RAP212"}
    with gzip.open(path) as file:
        assert tf_sites.detect(path, file.read(65_536))


@pytest.mark.realdata
def test_rice_chip_sets(shared_data):
    path = shared_data / "crops/rice/tf_chip/TSPTFBS2_Oryza_sativa_20TF_peaks.tar.xz"
    table = read(path).tables["tf_sites"]
    assert table["tf"].nunique() == table["tf_gene_id"].nunique() == 20
    assert len(table) == 131_274
