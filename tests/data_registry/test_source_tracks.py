"""bigWig tracks: summaries worked out by hand, against pyBigWig, and damaged files."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from data_registry import text_files
from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Parsed, Request
from data_registry.sources import bed_graph, tracks
from data_registry.store import open_store
from tests.data_registry import small_files


def read(path: Path, **options: str) -> Parsed:
    return tracks.parse(Request(path, path.stem, options))


def make_track(path: Path) -> Path:
    with pyBigWig.open(str(path), "w") as track:
        track.addHeader([("chr1", 1000), ("chr2", 500), ("chrM", 50)])
        track.addEntries(
            ["chr1", "chr1"], [10, 900], ends=[20, 1000], values=[2.0, 0.5]
        )
        track.addEntries(["chr2"], [0], ends=[5], values=[-1.0])
    return path


def test_mean_and_coverage_by_hand(tmp_path):
    path = make_track(tmp_path / "Pfad mit ü.bw")
    parsed = read(path, sample="leaf")
    row = parsed.tables["tracks"].iloc[0]
    # 10 bases of 2, 100 of 0.5 and 5 of -1
    assert row["covered"] == 115
    assert row["mean"] == pytest.approx((20 + 50 - 5) / 115)
    assert (row["path"], row["sample"], row["role"]) == (str(path), "leaf", "signal")
    assert parsed.tally.read == 3
    assert dict(parsed.tally.left_out) == {"contig_without_value": 1}
    assert tracks.detect(path, path.read_bytes())


def test_long_contigs_are_read_in_windows(tmp_path, monkeypatch):
    path = tmp_path / "x.bw"
    rng = np.random.default_rng(3)
    values = rng.normal(size=3000)
    with pyBigWig.open(str(path), "w") as track:
        track.addHeader([("1", 5000)])
        track.addEntries("1", 1000, values=values.tolist(), span=1, step=1)
    monkeypatch.setattr(tracks, "_WINDOW_BP", 700)
    row = read(path).tables["tracks"].iloc[0]
    assert row["covered"] == 3000
    assert row["mean"] == pytest.approx(values.mean(), abs=1e-6)
    # past the limit the file's own summary is taken: the same, for a true file
    monkeypatch.setattr(tracks, "_READ_WHOLE_BP", 0)
    by_header = read(path)
    assert by_header.tables["tracks"].iloc[0]["covered"] == 3000
    assert by_header.tables["tracks"].iloc[0]["mean"] == pytest.approx(row["mean"])
    assert any("own summary" in note for note in by_header.notes)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("TAIR10.phyloP.bw", "conservation"),
        ("root_ATAC.bw", "accessibility"),
        ("leaf_H3K4me3.bw", "histone"),
        ("Col0_CHG.bw", "methylation"),
        ("rnaseq.bw", "signal"),
    ],
)
def test_role_by_name_and_by_option(tmp_path, name, role):
    path = make_track(tmp_path / name)
    parsed = read(path)
    assert parsed.tables["tracks"]["role"].tolist() == [role]
    assert "--option role" in parsed.notes[0]
    assert read(path, role="histone").tables["tracks"]["role"].tolist() == ["histone"]


def test_bad_files_are_refused(tmp_path):
    whole = make_track(tmp_path / "x.bw").read_bytes()
    cut = tmp_path / "cut.bw"
    for keep in (4, 100, len(whole) // 2):
        cut.write_bytes(whole[:keep])
        with pytest.raises(MalformedFileError, match="cannot be read to the end"):
            read(cut)
    text = tmp_path / "t.bw"
    text.write_text("fixedStep\n")
    with pytest.raises(MalformedFileError, match="no bigWig file"):
        read(text)
    text.write_bytes(gzip.compress(whole))
    with pytest.raises(MalformedFileError, match="compressed"):
        read(text)
    with pytest.raises(InputError, match="choose one of conservation"):
        read(tmp_path / "x.bw", role="loud")
    with pytest.raises(InputError, match="cannot be opened"):
        read(tmp_path / "none.bw")


# --- bedGraph ----------------------------------------------------------------------

TRACK = "track type=bedGraph name=phyloP"
ROWS = ["1\t0\t5\t0.25", "1\t5\t6\t-1.5", "2\t7\t9\t1e-3"]
TABLE = [["ath", "1", 0, 5, 0.25], ["ath", "1", 5, 6, -1.5], ["ath", "2", 7, 9, 0.001]]


def graph(folder: Path, *lines: str, name: str = "ath.phyloP.bedGraph") -> Path:
    path = folder / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def scores(path: Path, **options: str) -> tuple[Parsed, list[list[object]]]:
    parsed = tracks.parse(Request(path, "ath", options))
    table = parsed.tables["conservation"]
    columns = table[["track", "contig", "start", "end", "score"]]
    return parsed, columns.astype(object).to_numpy().tolist()


@pytest.mark.parametrize("form", ["plain", "gz", "crlf", "spaces", "mark", "utf-16"])
@pytest.mark.parametrize("size", [20, 1 << 20])
def test_bed_graph_of_conservation_by_hand(tmp_path, form, size, monkeypatch):
    blocks = text_files.read_blocks
    monkeypatch.setattr(bed_graph, "read_blocks", lambda path: blocks(path, size))
    path = graph(tmp_path, "browser hide all", TRACK, ROWS[0], "", "# c", *ROWS[1:])
    text = path.read_bytes()
    path.write_bytes(
        {
            "plain": text[:-1],  # no last line end
            "gz": gzip.compress(text),
            "crlf": text.replace(b"\n", b"\r\n"),
            "spaces": text.replace(b"\t", b"  "),
            "mark": b"\xef\xbb\xbf" + text,
            "utf-16": text.decode().encode("utf-16"),
        }[form]
    )
    assert tracks.detect(path, text_files.read_head(path))
    parsed, rows = scores(path)
    assert rows == TABLE
    assert parsed.tables["conservation"]["_line"].tolist() == [3, 6, 7]
    assert (parsed.tally.read, parsed.tally.kept) == (3, 3)
    assert "8 bases" in parsed.notes[0]


def test_rows_without_a_score_or_place_are_left_out(tmp_path):
    bad = ["1\t9\t9\t1", "1\t-1\t4\t1", "1\tx\t4\t1", "1\t1\t2\tNA", "\t1\t2\t1"]
    good = [f"1\t{i}\t{i + 1}\t{i}" for i in range(10)]
    path = graph(tmp_path, *good, *bad)
    parsed, rows = scores(path)
    assert [row[4] for row in rows] == list(range(10))
    assert parsed.tally.read == 15
    assert {e.reason: e.line for e in parsed.tally.examples} == {
        "empty_interval": 11,
        "negative_coordinate": 12,
        "coordinate_not_whole_number": 13,
        "no_score": 14,
        "no_contig": 15,
    }
    with pytest.raises(MalformedFileError, match="line 5: 5 of 6 rows cannot be used"):
        scores(graph(tmp_path, *bad, good[0]), role="conservation")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([TRACK, ROWS[0], "1\t5\t6"], "line 3: 3 columns where a bedGraph has four"),
        ([TRACK, *ROWS, "1\t5\t6\t7\t8"], "line 5: 5 columns where"),
        ([TRACK], "comments only"),
    ],
)
def test_ragged_and_empty_bed_graphs_are_refused(tmp_path, lines, message):
    with pytest.raises(MalformedFileError, match=message):
        scores(graph(tmp_path, *lines))


def test_only_conservation_is_read_as_bed_graph(tmp_path):
    path = graph(tmp_path, *ROWS, name="atac.bedGraph")
    assert not tracks.detect(path, path.read_bytes())  # these are intervals
    with pytest.raises(InputError, match=r"role accessibility .*bedGraphToBigWig"):
        scores(path)
    assert scores(path, role="conservation")[1] == TABLE


def test_bed_graph_and_big_wig_hold_the_same_scores(tmp_path):
    """Another program: pyBigWig writes the rows and reads them back."""
    rng = np.random.default_rng(5)
    starts = np.sort(rng.choice(100_000, 2_000, replace=False))
    values = np.float32(rng.normal(size=len(starts))).astype(float)
    rows = zip(starts, values, strict=True)
    path = graph(tmp_path, *(f"1\t{i}\t{i + 1}\t{float(v)!r}" for i, v in rows))
    big = tmp_path / "x.bw"
    with pyBigWig.open(str(big), "w") as track:
        track.addHeader([("1", 100_001)])
        track.addEntries(
            ["1"] * len(starts), starts.tolist(), ends=(starts + 1).tolist(),
            values=values.tolist(),
        )  # fmt: skip
    table = scores(path)[0].tables["conservation"]
    row = read(big).tables["tracks"].iloc[0]
    assert row["covered"] == (table["end"] - table["start"]).sum()
    assert row["mean"] == pytest.approx(table["score"].mean())
    with pyBigWig.open(str(big)) as track:
        found = pd.DataFrame(track.intervals("1"), columns=["start", "end", "score"])
    assert found.to_numpy().tolist() == table[found.columns].to_numpy().tolist()


def test_a_bed_graph_is_registered_on_the_assemblys_contigs(tmp_path):
    workspace = small_files.build_workspace(tmp_path)
    lines = [f"II\t{i}\t{i + 1}\t0.5" for i in range(19)] + ["chrIII\t999\t1001\t1"]
    with open_store(workspace, write=True) as store:
        source = store.add(graph(tmp_path, *lines, name="x.phastCons.bdg")).source
        assert (source.kind, source.left_out) == ("track", {"off_contig": 1})
        assert store.connection.execute(
            "SELECT track, contig, count(*), sum(score) FROM conservation GROUP BY ALL"
        ).fetchall() == [("x.phastCons", "chrII", 19, 9.5)]
