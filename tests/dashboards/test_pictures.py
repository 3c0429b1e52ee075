"""Pictures: heights by hand, and what stands where in the pixels."""

import numpy as np
import pytest

from dashboards.pictures import COLOURS, letter_heights, logo, word_cloud
from data_registry.errors import InputError

pytest.importorskip("matplotlib")


def test_heights_by_hand():
    heights = letter_heights([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(heights[0], [2, 0, 0, 0])
    np.testing.assert_allclose(heights[1], 0, atol=1e-12)
    np.testing.assert_allclose(heights[2], [0.5, 0.5, 0, 0])


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([[0.5, 0.5]], "shape"),
        ([[1, 0, 0, 0], [0.5, 0.6, 0, 0]], "position 1"),
        ([[np.nan, 1, 0, 0]], "position 0"),
        (np.full((500, 4), 0.25), "500 positions"),
    ],
)
def test_what_are_no_probabilities_is_refused(tmp_path, rows, match):
    with pytest.raises(InputError, match=match):
        logo(rows, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_each_column_shows_its_own_base_in_its_colour(tmp_path):
    from matplotlib.image import imread

    logo(np.eye(4), tmp_path / "logo.png", reference="ACGT")
    pixels = imread(tmp_path / "logo.png")[:, :, :3]
    centres = []
    for base in "ACGT":
        colour = [int(COLOURS[base][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        is_here = np.abs(pixels - colour).max(axis=2) < 0.02
        assert is_here.sum() > 500
        centres.append(np.flatnonzero(is_here.any(axis=0)).mean())
    assert centres == sorted(centres)


def test_the_likeliest_base_stands_on_top(tmp_path):
    from matplotlib.image import imread

    logo([[0.9, 0.0, 0.0, 0.1]], tmp_path / "logo.png")
    pixels = imread(tmp_path / "logo.png")[:, :, :3]
    rows = {}
    for base in "AT":
        colour = [int(COLOURS[base][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        is_here = np.abs(pixels - colour).max(axis=2) < 0.02
        rows[base] = np.flatnonzero(is_here.any(axis=1)).mean()
    assert rows["A"] < rows["T"]


def test_the_cloud_is_the_same_each_time_and_needs_a_count(tmp_path):
    pytest.importorskip("wordcloud")
    counts = {"ACGT": 50, "TTT": 30, "A": 90, "GG": 0}
    for name in ("a.png", "b.png"):
        word_cloud(counts, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(InputError, match="above zero"):
        word_cloud({"A": 0}, tmp_path / "c.png")
