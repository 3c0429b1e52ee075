import numpy as np
import pyBigWig
import pytest

from data_registry.errors import MalformedFileError, UnknownContigError
from encoders.signals import BINS, HALF_WIDTHS_BP, SUMMARY, SignalEncoder, Window


@pytest.fixture
def track(tmp_path):
    """10 kb: 2 on [5000, 5256), 6 on [5256, 5300), nothing else."""
    path = tmp_path / "t.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("c1", 10_000), ("c2", 500)])
        file.addEntries(
            ["c1", "c1"], [5000, 5256], ends=[5256, 5300], values=[2.0, 6.0]
        )
    return path


def test_a_window_by_hand(track):
    mean = (256 * 2 + 44 * 6) / 300
    two, six = np.arcsinh(2 / mean), np.arcsinh(6 / mean)
    with SignalEncoder(track) as encoder:
        assert encoder.scale == pytest.approx(mean)
        vector = encoder.embed([Window("c1", 5000)])[0]
    assert vector.shape == (SignalEncoder.width,)
    # innermost window [4744, 5256): the right half has a value, 2
    summary, rest = vector[: len(SUMMARY)], vector[len(SUMMARY) :]
    np.testing.assert_allclose(
        summary, [two / 2, two / 2, two, 0, two / 2, two], atol=1e-6
    )
    inner = rest[: 1 + BINS]
    assert inner[0] == pytest.approx(0.5)
    np.testing.assert_allclose(inner[1:], [0] * 8 + [two] * 8, atol=1e-6)
    # [3976, 6024), bins of 128: two hold 2, the third 44 bases of 6
    middle = rest[1 + BINS : 2 * (1 + BINS)]
    assert middle[0] == pytest.approx(300 / 2048)
    expected = [0] * 8 + [two, two, six * 44 / 128] + [0] * 5
    np.testing.assert_allclose(middle[1:], expected, atol=1e-6)


def test_the_other_strand_turns_the_profile_round(track):
    with SignalEncoder(track) as encoder:
        there, back = encoder.embed([Window("c1", 5100), Window("c1", 5100, "-")])
    n = len(SUMMARY)
    np.testing.assert_allclose(there[:n], back[:n], atol=1e-6)
    profiles = there[n:].reshape(len(HALF_WIDTHS_BP), -1)
    turned = back[n:].reshape(len(HALF_WIDTHS_BP), -1)
    np.testing.assert_allclose(profiles[:, 0], turned[:, 0])
    np.testing.assert_allclose(profiles[:, 1:], turned[:, :0:-1], atol=1e-6)


def test_beyond_the_ends_is_as_without_a_value(track):
    with SignalEncoder(track) as encoder:
        vectors = encoder.embed([Window("c2", 0), Window("c2", 499)])
        assert not vectors.any()
        with pytest.raises(UnknownContigError, match="c9"):
            encoder.embed([Window("c9", 0)])


def test_unit_and_depth_do_not_matter(tmp_path, track):
    other = tmp_path / "u.bw"
    with pyBigWig.open(str(other), "w") as file:
        file.addHeader([("c1", 10_000)])
        file.addEntries(
            ["c1", "c1"], [5000, 5256], ends=[5256, 5300], values=[20.0, 60.0]
        )
    with SignalEncoder(track) as one, SignalEncoder(other) as two:
        np.testing.assert_allclose(
            one.embed([Window("c1", 5100)]), two.embed([Window("c1", 5100)]), atol=1e-6
        )
        assert one.digest != two.digest


def test_no_bigwig(tmp_path):
    path = tmp_path / "x.bw"
    path.write_text("no")
    with pytest.raises(MalformedFileError, match="not a bigWig"):
        SignalEncoder(path)
