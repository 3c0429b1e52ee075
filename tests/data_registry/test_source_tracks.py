"""bigWig tracks: summaries worked out by hand, against pyBigWig, and damaged files."""

from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Parsed, Request
from data_registry.sources import tracks


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
    text.write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(MalformedFileError, match="compressed"):
        read(text)
    with pytest.raises(InputError, match="choose one of conservation"):
        read(tmp_path / "x.bw", role="loud")
    with pytest.raises(InputError, match="cannot be opened"):
        read(tmp_path / "none.bw")
