"""Contacts: text by hand; coolers against cooler itself and against each other."""

from pathlib import Path

import cooler
import h5py
import numpy as np
import pandas as pd
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Parsed, Request
from data_registry.sources import contacts

ANCHORS = ["contig1", "start1", "end1", "contig2", "start2", "end2"]
TOYS = "benchmarks/hic/cooler"


def read(path: Path, **options: str) -> Parsed:
    return contacts.parse(Request(path, path.name.split(".")[0], options))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rows(parsed: Parsed) -> list[tuple[object, ...]]:
    table = parsed.tables["contacts"][[*ANCHORS, "count"]]
    return [tuple(row) for row in table.itertuples(index=False)]


def by_anchor(parsed: Parsed) -> "pd.Series[float]":
    return parsed.tables["contacts"].set_index(ANCHORS)["count"].sort_index()


def make_cooler(path: Path, *, weight: str | None = "weight") -> Path:
    bins = pd.DataFrame(
        {"chrom": ["b", "b", "a"], "start": [0, 10, 0], "end": [10, 15, 10]}
    )
    if weight:
        bins[weight] = [2.0, np.nan, 0.5]
    pixels = pd.DataFrame(
        {"bin1_id": [0, 0, 0, 1], "bin2_id": [0, 1, 2, 2], "count": [4, 3, 2, 1]}
    )
    cooler.create_cooler(str(path), bins, pixels, ordered=True)
    return path


def test_cooler_by_hand(tmp_path):
    parsed = read(make_cooler(tmp_path / "x ü.cool"))
    assert rows(parsed) == [
        ("b", 0, 10, "b", 0, 10, 4.0),
        ("b", 0, 10, "b", 10, 15, 3.0),
        ("a", 0, 10, "b", 0, 10, 2.0),  # a before b, though the file has b first
        ("a", 0, 10, "b", 10, 15, 1.0),
    ]
    balanced = parsed.tables["contacts"]["balanced"]
    # 4·2·2; masked; 2·2·½; masked
    np.testing.assert_array_equal(balanced, [16.0, np.nan, 2.0, np.nan])
    assert set(parsed.tables["contacts"]["kind"]) == {"matrix"}
    assert parsed.tally.read == parsed.tally.kept == 4


def test_juicer_weights_divide(tmp_path):
    path = make_cooler(tmp_path / "x.cool", weight="KR")
    assert read(path).tables["contacts"]["balanced"].isna().all()
    parsed = read(path, weight="KR")
    np.testing.assert_array_equal(
        parsed.tables["contacts"]["balanced"], [1.0, np.nan, 2.0, np.nan]
    )
    with pytest.raises(InputError, match="no weights 'VC'; its bins have KR"):
        read(path, weight="VC")


def test_min_count_leaves_out_and_counts(tmp_path):
    parsed = read(make_cooler(tmp_path / "x.cool"), min_count="3")
    assert [row[-1] for row in rows(parsed)] == [4.0, 3.0]
    assert dict(parsed.tally.left_out) == {"below_min_count": 2}
    assert (parsed.tally.read, parsed.tally.kept) == (4, 2)


def test_chunks_do_not_matter(tmp_path, monkeypatch):
    path = make_cooler(tmp_path / "x.cool")
    whole = read(path, min_count="2").tables["contacts"]
    monkeypatch.setattr(contacts, "_CHUNK", 1)
    pd.testing.assert_frame_equal(read(path, min_count="2").tables["contacts"], whole)


def test_bedpe_loops(tmp_path):
    path = write(
        tmp_path,
        "loops.bedpe",
        "#chr1\tx1\tx2\tchr2\ty1\ty2\tname\tscore\n"
        "1\t50\t60\t1\t10\t20\tL1\t7\n2\t0\t5\t1\t0\t5\tL2\t9\n",
    )
    parsed = read(path)
    assert rows(parsed) == [
        ("1", 10, 20, "1", 50, 60, 7.0),
        ("1", 0, 5, "2", 0, 5, 9.0),
    ]
    assert set(parsed.tables["contacts"]["kind"]) == {"loop"}
    assert any("2 pairs turned over" in note for note in parsed.notes)


def test_count_in_the_seventh_or_the_eighth_column(tmp_path):
    chia = write(tmp_path, "a.txt", "C1\t5\t9\tC1\t15\t19\t4\tG1-G2\n")
    bedpe = write(tmp_path, "b.txt", "C1\t5\t9\tC1\t15\t19\tG1-G2\t4\n")
    bare = write(tmp_path, "c.txt", "C1\t5\t9\tC1\t15\t19\n")
    assert rows(read(chia)) == rows(read(bedpe)) == [("C1", 5, 9, "C1", 15, 19, 4.0)]
    assert np.isnan(rows(read(bare))[0][-1])
    with pytest.raises(InputError, match="no count for --option min_count"):
        read(bare, min_count="2")


def test_named_columns_with_commas(tmp_path):
    path = write(
        tmp_path,
        "z.csv",
        "Chr_ann1,Start_ann1,End_ann1,Chr_ann2,Start_ann2,End_ann2,ChIN,Annotation1\n"
        "Chr01,792,2768,Chr01,11845,12694,6,G\n",
    )
    assert rows(read(path)) == [("Chr01", 792, 2768, "Chr01", 11845, 12694, 6.0)]


def test_faulty_pairs_are_counted(tmp_path):
    good = "1\t0\t5\t1\t10\t15\t3\n"
    bad = "1\t5\t5\t1\t10\t15\t3\n1\t-1\t5\t1\t10\t15\t3\n1\t0\t5\t1\t10\t15\tNA\n"
    parsed = read(write(tmp_path, "x.bedpe", good * 4 + bad))
    assert dict(parsed.tally.left_out) == {
        "negative_coordinate": 1, "empty_anchor": 1, "count_missing": 1,
    }  # fmt: skip
    assert parsed.tally.kept == 4 == len(rows(parsed))


def test_triplets_over_sizes_and_over_bins(tmp_path):
    path = write(tmp_path, "x.matrix", "0\t1\t5\n2\t1\t7\n")
    sizes = write(tmp_path, "sizes", "chrI\t25\nchrII\t10\n")
    expected = [
        ("chrI", 0, 10, "chrI", 10, 20, 5.0),
        ("chrI", 10, 20, "chrI", 20, 25, 7.0),
    ]
    assert rows(read(path, chrom_sizes=str(sizes), resolution="10")) == expected
    bed = write(
        tmp_path,
        "bins.bed",
        "chrI\t0\t10\nchrI\t10\t20\nchrI\t20\t25\nchrII\t0\t10\n",
    )
    assert rows(read(path, bins=str(bed))) == expected
    # HiC-Pro numbers its bins in the fourth column
    hicpro = write(
        tmp_path, "abs.bed", "chrI\t0\t10\t0\nchrI\t10\t20\t1\nchrI\t20\t25\t2\n"
    )
    assert rows(read(path, bins=str(hicpro))) == expected


def test_triplets_numbered_from_one(tmp_path):
    sizes = str(write(tmp_path, "sizes", "chrI\t25\n"))
    path = write(tmp_path, "x.matrix", "1\t3\t5\n")
    parsed = read(path, chrom_sizes=sizes, resolution="10")
    assert rows(parsed) == [("chrI", 0, 10, "chrI", 20, 25, 5.0)]
    unclear = write(tmp_path, "y.matrix", "1\t2\t5\n")
    with pytest.raises(InputError, match="index_base=0 or index_base=1"):
        read(unclear, chrom_sizes=sizes, resolution="10")
    parsed = read(unclear, chrom_sizes=sizes, resolution="10", index_base="0")
    assert rows(parsed) == [("chrI", 10, 20, "chrI", 20, 25, 5.0)]


def test_triplets_refuse_what_their_bins_do_not_hold(tmp_path):
    path = write(tmp_path, "x.matrix", "0\t1\t5\n0\t9\t7\n")
    sizes = str(write(tmp_path, "sizes", "chrI\t25\n"))
    with pytest.raises(
        MalformedFileError, match="line 2: 1 of 2 rows name bins beyond"
    ):
        read(path, chrom_sizes=sizes, resolution="10")
    with pytest.raises(InputError, match="its rows name bins by number"):
        read(path)


def test_a_matrix_written_out_whole_is_read_once(tmp_path):
    sizes = str(write(tmp_path, "sizes", "chrI\t30\n"))
    cells = {(0, 1): 5, (0, 2): 6, (1, 2): 7, (1, 1): 3}
    text = "".join(
        f"{i}\t{j}\t{n}\n" + (f"{j}\t{i}\t{n}\n" if i != j else "")
        for (i, j), n in cells.items()
    )
    parsed = read(write(tmp_path, "x.matrix", text), chrom_sizes=sizes, resolution="10")
    assert [row[-1] for row in rows(parsed)] == [5.0, 6.0, 3.0, 7.0]
    assert dict(parsed.tally.left_out) == {"mirror_of_another_cell": 3}
    changed = write(tmp_path, "y.matrix", text.replace("2\t1\t7", "2\t1\t8"))
    parsed = read(changed, chrom_sizes=sizes, resolution="10")
    assert [row[-1] for row in rows(parsed)] == [10.0, 12.0, 3.0, 15.0]
    assert not parsed.tally.left_out


def test_single_positions_are_binned(tmp_path):
    path = write(tmp_path, "x.txt", "I\t15\tII\t7\t3\nI\tx\tII\t7\t3\nI\t1\tI\t9\t1\n")
    parsed = read(path, resolution="10")
    assert rows(parsed) == [
        ("I", 10, 20, "II", 0, 10, 3.0),
        ("I", 0, 10, "I", 0, 10, 1.0),
    ]
    assert dict(parsed.tally.left_out) == {"coordinate_not_whole_number": 1}
    with pytest.raises(InputError, match="resolution=BP"):
        read(path)


def test_bad_files_are_refused(tmp_path):
    path = tmp_path / "x.cool"
    make_cooler(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MalformedFileError, match="cannot be read to the end"):
        read(path)
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["counts"] = [1, 2]
    with pytest.raises(MalformedFileError, match=r"no cooler \(it holds counts\)"):
        read(tmp_path / "y.h5")
    (tmp_path / "z.hic").write_bytes(b"HIC\x00" + b"\x00" * 60)
    with pytest.raises(MalformedFileError, match=r"Juicer \.hic"):
        read(tmp_path / "z.hic")
    genes = write(tmp_path, "g.csv", "Annotation1,Annotation2,ChIN\nA,B,3\n")
    with pytest.raises(MalformedFileError, match="--kind interactions"):
        read(genes)
    with pytest.raises(MalformedFileError, match="empty"):
        read(write(tmp_path, "e.bedpe", ""))
    with pytest.raises(MalformedFileError, match="two anchors need six"):
        read(write(tmp_path, "b.bed", "c\t1\t5\n"))


def test_wrong_resolution_is_refused(tmp_path):
    path = make_cooler(tmp_path / "x.cool")
    with pytest.raises(InputError, match="not the 7 bp"):
        read(path, resolution="7")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.bedpe", "1\t5\t9\t1\t15\t19\tx\t3\n", True),
        ("x.bg2", "chr1\t0\t9\tchr10\t9\t20\t4\n", True),
        ("x.hap", "0\t0\t1\t0\t0\t1\t1\t0\n" + "1\t1\t0\t0\t1\t1\t0\t0\n", False),
        ("x.matrix", "0\t1\t5\n0\t2\t6\n", True),
        ("x.txt", "chrom1,start1,end1,chrom2,start2,end2,count\na,1,2,a,3,4,5\n", True),
        ("x.bed", "1\t5\t9\n", False),
        ("x.narrowPeak", "1\t5\t9\tp\t3\t.\t3.0\t2\t1\t5\n", False),
        ("x.bed", "chr1\t5\t9\te\t0\t+\t5\t9\t0\t1\t4\t0\n", False),
    ],
)
def test_detection_of_text(name, text, expected):
    assert contacts.detect(Path(name), text.encode()) is expected


# --- real files ---------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name",
    [
        "cooler/hg19.GM12878-MboI.matrix.2000kb.cool", "cooler/odd.4.cool",
        "cooler/toy.symm.upper.var.cool", "cooltools/CN.mm9.10000kb.cool",
    ],
)  # fmt: skip
def test_pixels_agree_with_cooler(shared_data, name):
    path = shared_data / "benchmarks/hic" / name
    matrix = cooler.Cooler(str(path))
    has_weights = "weight" in matrix.bins().columns
    peer = matrix.matrix(balance=has_weights, as_pixels=True, join=True)[:]
    table = read(path).tables["contacts"]
    assert len(table) == len(peer) == matrix.info["nnz"]
    assert table["count"].sum() == peer["count"].sum()
    swapped = (peer["chrom1"].astype(str) > peer["chrom2"].astype(str)).to_numpy()
    for mine, first, second in (
        ("start1", "start1", "start2"), ("end2", "end2", "end1"),
        ("contig1", "chrom1", "chrom2"),
    ):  # fmt: skip
        expected = np.where(
            swapped, peer[second].astype(object), peer[first].astype(object)
        )
        np.testing.assert_array_equal(table[mine].to_numpy(dtype=object), expected)
    if has_weights:
        np.testing.assert_allclose(table["balanced"], peer["balanced"])
    assert contacts.detect(path, path.read_bytes()[:65_536])


@pytest.mark.realdata
@pytest.mark.parametrize("resolution", ["2", "4", "8", "16", "32"])
def test_square_storage_folds_onto_the_symmetric_matrix(shared_data, resolution):
    folder = shared_data / TOYS
    square = read(folder / f"toy.asymm.{resolution}.cool")
    upper = read(folder / "toy.symm.upper.2.mcool", resolution=resolution)
    pd.testing.assert_series_equal(by_anchor(square), by_anchor(upper))
    assert square.tally.read == square.tally.kept


@pytest.mark.realdata
def test_an_mcool_asks_for_its_resolution(shared_data):
    path = shared_data / TOYS / "toy.symm.upper.2.mcool"
    with pytest.raises(InputError, match="holds 5 resolutions"):
        read(path)
    with pytest.raises(InputError, match=r"no resolution of 3 bp; it holds 2, 4"):
        read(path, resolution="3")
    assert contacts.detect(path, path.read_bytes()[:65_536])


@pytest.mark.realdata
def test_three_spellings_of_one_matrix(shared_data):
    folder = shared_data / TOYS
    name = "hg19.GM12878-MboI.matrix.2000kb"
    matrix = read(folder / f"{name}.cool")
    pairs = read(folder / f"{name}.bg2.gz")
    pd.testing.assert_series_equal(by_anchor(pairs), by_anchor(matrix))
    assert set(pairs.tables["contacts"]["kind"]) == {"matrix"}
    triplets = read(
        folder / "odd.1.coo",
        chrom_sizes=str(folder / "odd.chrom.sizes"),
        resolution="1",
    )
    pd.testing.assert_series_equal(
        by_anchor(triplets), by_anchor(read(folder / "odd.1.cool"))
    )


@pytest.mark.realdata
def test_yeast_matrix_is_whole_and_balanced_within_contigs(shared_data):
    parsed = read(shared_data / "yeast/hic/scer_w303_g1_2kb_SRR8769554.cool")
    table = parsed.tables["contacts"]
    assert parsed.tally.read == len(table) == 2_732_625
    assert table["count"].sum() == 5_862_820
    assert any("cis_only" in note for note in parsed.notes)
    # its weights make each unmasked bin's contacts within its contig add up to one,
    # where a bin's contacts with itself count from both sides
    cis = table[(table["contig1"] == "chr4") & (table["contig2"] == "chr4")]
    cis = cis.dropna(subset="balanced")
    total = cis.groupby("start1")["balanced"].sum()
    total = total.add(cis.groupby("start2")["balanced"].sum(), fill_value=0)
    np.testing.assert_allclose(total, 1, atol=1e-3)


@pytest.mark.realdata
def test_duan_triplets_show_the_borders_of_five_chromosomes(shared_data, tmp_path):
    # sacCer3's first five chromosomes; in file order they make bins 0 to 349
    lengths = {
        "chrI": 230_218, "chrII": 813_184, "chrIII": 316_620, "chrIV": 1_531_933,
        "chrV": 576_874,
    }  # fmt: skip
    sizes = write(
        tmp_path, "sizes", "".join(f"{n}\t{size}\n" for n, size in lengths.items())
    )
    path = shared_data / "yeast/hic/duan.SC.10000.raw_sub.matrix.gz"
    parsed = read(path, chrom_sizes=str(sizes), resolution="10000")
    table = parsed.tables["contacts"]
    assert parsed.tally.kept == len(table) == 53_883
    is_cis = table["contig1"] == table["contig2"]
    near = is_cis & (table["start2"] - table["start1"] == 10_000)
    # bins are on the right contigs: neighbours meet far oftener than other pairs
    assert table.loc[near, "count"].median() > 20 * table.loc[~is_cis, "count"].median()
    assert contacts.detect(path, b"0\t1\t371.000000\n")


@pytest.mark.realdata
def test_rice_loops(shared_data):
    folder = shared_data / "crops/rice/deepcba"
    for name, n in (("MH63.H3K4me3.txt.gz", 11_230), ("ZS_RNAP2.csv.gz", 21_828)):
        parsed = read(folder / name)
        table = parsed.tables["contacts"]
        assert parsed.tally.kept == len(table) == n
        assert set(table["kind"]) == {"loop"}
        assert table["count"].min() >= 1
