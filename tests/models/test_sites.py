"""Tables of sites: parts, windows and background by hand; from files to a tuned head."""

import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from typer.testing import CliRunner

from data_registry.errors import InputError, MalformedFileError, UnknownContigError
from encoders import finetune
from encoders.nucleotides import decode, encode, reverse_complement
from models import sites
from models.promoter.baselines import gc_content
from models.sites import (
    TEST,
    TRAIN,
    VALIDATION,
    Region,
    gc_matched,
    make_sites,
    part_of,
    read_peaks,
    windows_of,
    without_relatives,
)


def test_regions_are_read_from_1_with_both_ends():
    assert Region.parse("chr5:1-1,000") == Region("chr5", 0, 1000)
    assert Region.parse("chr5") == Region("chr5")
    assert Region.parse("HLA:01") == Region("HLA:01")  # a contig with a colon
    with pytest.raises(InputError, match="from 1"):
        Region.parse("chr5:0-10")
    with pytest.raises(InputError, match="from 1"):
        Region.parse("chr5:20-10")


def test_parts_by_hand():
    contig = np.array(["a", "a", "a", "a", "b"])
    start = np.array([0, 95, 100, 195, 0])
    found = part_of(
        contig, start, start + 10,
        validation=[Region("b")], test=[Region("a", 100, 200)],
    )  # fmt: skip
    assert found.tolist() == [TRAIN, -1, TEST, -1, VALIDATION]
    with pytest.raises(InputError, match="apart"):
        part_of(contig, start, start + 10, validation=[Region("a")], test=[Region("a")])


def test_windows_by_hand():
    genome = {"a": encode("ACGTT")}
    contig = np.array(["a", "a", "a"])
    found = windows_of(
        genome, contig, np.array([0, 3, -1]), 3, np.array([False, False, True])
    )
    assert [decode(each) for each in found] == ["ACG", "TTN", "GTN"]
    with pytest.raises(UnknownContigError, match="no contig 'c'"):
        windows_of(genome, np.array(["c"]), np.array([0]), 3)


def test_background_has_the_gc_content_of_the_sites():
    rng = np.random.default_rng(0)
    wanted = (rng.random((50, 100)) < 0.6).astype(np.uint8)  # 0 is A, 1 is C
    offered = (rng.random((4_000, 100)) < 0.5).astype(np.uint8)
    rows, short = gc_matched(wanted, offered, 2, rng)
    assert len(rows) + short == 100
    assert len(np.unique(rows)) == len(rows)
    gc = gc_content(offered[rows]).mean(), gc_content(wanted).mean()
    assert short or abs(gc[0] - gc[1]) < 0.01


def test_relatives_stay_in_the_part_nearest_to_the_test():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, (6, 200)).astype(np.uint8)
    codes[0] = reverse_complement(codes[5])  # train like test
    codes[1, :150] = codes[4, 50:]  # train overlaps validation
    codes[2] = codes[3]  # both train
    part = np.array([TRAIN, TRAIN, TRAIN, TRAIN, VALIDATION, TEST])
    kept, counts = without_relatives(codes, part)
    assert kept.tolist() == [False, False, True, True, True, True]
    assert list(counts.values()) == [1, 1, 0]


def test_the_middle_is_the_summit_where_there_is_one(tmp_path):
    path = tmp_path / "p.narrowPeak"
    path.write_text(
        "track name=x\n# note\n"
        "a\t10\t30\tx\t0\t.\t1\t1\t1\t3\na\t10\t30\tx\t0\t.\t1\t1\t1\t-1\nb\t4\t9\n"
    )
    assert read_peaks(path)["middle"].tolist() == [13, 20, 6]
    path.write_text("a\t10\t30\na\t40\t35\n")
    with pytest.raises(MalformedFileError, match="line 2"):
        read_peaks(path)


@pytest.fixture(scope="module")
def organism():
    rng = np.random.default_rng(2)
    return {name: rng.integers(0, 4, 40_000).astype(np.uint8) for name in "abc"}


def peaks(n: int = 40, shift: int = 0) -> pd.DataFrame:
    frame = pd.DataFrame([(c, 500 + shift + 900 * i) for c in "abc" for i in range(n)], columns=["contig", "start"])  # fmt: skip
    return frame.assign(end=frame["start"] + 60, middle=frame["start"] + 30)


STRANGE = pd.DataFrame(
    {"contig": "chr77", "start": [5, 9], "end": [7, 12], "middle": [6, 10]}
)


def test_contigs_may_have_other_names(organism):
    genome = dict(zip("123", organism.values(), strict=True))
    other = peaks().assign(contig=peaks()["contig"].map(dict(zip("abc", ["chr1", "Chr2", "3"], strict=True))))  # fmt: skip
    ask = {"bp": 100, "ratio": 1, "validation": [Region("chr2")], "test": [Region("3")]}
    found = make_sites(genome, {"x": other}, rng=np.random.default_rng(0), **ask)
    assert found.table["label"].value_counts()["x"] == 120


def test_no_background_touches_a_peak_and_no_part_another(organism):
    found = make_sites(
        organism, {"x": pd.concat([peaks(), STRANGE]), "y": peaks(20, 400)}, bp=100, ratio=1,
        validation=[Region("b")], test=[Region("c")], rng=np.random.default_rng(0),
    )  # fmt: skip
    table = found.table
    assert found.left_out["on a contig that the genome lacks"] == 2
    assert table["label"].value_counts().to_dict()["x"] == 120
    assert dict(zip(table["contig"], table["part"], strict=True)) == {
        "a": "train", "b": "validation", "c": "test"
    }  # fmt: skip
    for name, rows in table.groupby("contig"):  # noqa: B007  read by query
        own = pd.concat([peaks(), peaks(20, 400)]).query("contig == @name")
        for start in rows.loc[rows["label"] == "background", "start"]:
            assert not ((own["start"] < start + 100) & (own["end"] > start)).any()
    for row in table.head(20).itertuples():
        assert row.sequence == decode(organism[row.contig][row.start : row.end])


def test_what_cannot_be_made_is_said(organism):
    ask = {"bp": 100, "ratio": 1, "rng": np.random.default_rng(0)}
    with pytest.raises(UnknownContigError, match="'chr9'"):
        make_sites(organism, {"x": peaks()}, validation=[Region("b")], test=[Region("chr9")], **ask)  # fmt: skip
    with pytest.raises(InputError, match="validation has no site of 'x'"):
        make_sites(organism, {"x": peaks()}, validation=[Region("b", 0, 200)], test=[Region("c")], **ask)  # fmt: skip


def test_from_files_to_tables_that_finetune_reads(tmp_path, organism):
    genome = tmp_path / "g.fa"
    genome.write_text("".join(f">{n}\n{decode(c)}\n" for n, c in organism.items()))
    bed = tmp_path / "ABF2.bed"
    peaks()[["contig", "start", "end"]].to_csv(bed, sep="\t", header=False, index=False)
    out = tmp_path / "abf2"
    arguments = [
        "--fasta", str(genome), "--peaks", str(bed), "--test-region", "c",
        "--validation-region", "b:1-20,000", "--out", str(out), "--bp", "100",
    ]  # fmt: skip
    done = CliRunner().invoke(sites.app, arguments)
    assert done.exit_code == 0, done.output
    counts = json.loads((out / "sites.json").read_text())["windows"]
    for part in ("train", "validation", "test"):
        table = finetune.read_table(out / f"{part}.csv", "sequence", "label")
        assert len(table.labels) == sum(counts[part].values())
        assert set(table.labels) == {"ABF2", "background"}
    first = (out / "train.csv").read_bytes()
    assert CliRunner().invoke(sites.app, arguments).exit_code == 0
    assert (out / "train.csv").read_bytes() == first  # the same seed, the same tables
