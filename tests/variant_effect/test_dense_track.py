"""Scores of all SNVs: what is written is what is looked up, and a killed run goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from data_registry.coordinates import Region
from data_registry.errors import InputError, WorkspaceError
from data_registry.store import Store, open_store
from encoders.likelihood import (
    Haplotypes,
    allele_distance,
    information_content,
    substitution_ratios,
    surprisal,
)
from encoders.nucleotides import UNKNOWN, encode
from tests.neighbour_model import NeighbourModel
from tests.organisms import LENGTHS
from variant_effect.dense_track import (
    DISTANCES,
    HIGHEST,
    RATIOS,
    STEP,
    DenseTrack,
    Manifest,
    alternatives,
    export_bigwig,
)
from variant_effect.precompute import genome_sha256, precompute
from variant_effect.trained_models import TrainedModel

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = Manifest("m", "digest", "sha", "tiny1", {"a": 100, "b": 7}, 5, tile_bp=32)
RNG = np.random.default_rng(2)


@pytest.fixture
def store(workspace: Path) -> Iterator[Store]:
    with open_store(workspace) as opened:
        yield opened


@pytest.fixture
def model(tmp_path: Path) -> TrainedModel:
    folder = tmp_path / "language"
    folder.mkdir()
    # Named by the test, so that each has a track of its own in the shared workspace.
    (folder / "config.json").write_text(json.dumps({"name": str(tmp_path)}))
    return TrainedModel("language", "neighbour", folder)


def filled(folder: Path, values: dict[str, np.ndarray], codes: dict[str, np.ndarray]):
    track = DenseTrack.create(folder, MANIFEST, RATIOS)
    for tile in range(len(track.tiles)):
        contig, start, end = track.tile_span(tile)
        part = slice(start, end)
        track.write(tile, codes[contig][part], RATIOS, values[contig][part])
    return track


def test_tiles_by_hand(tmp_path: Path) -> None:
    track = DenseTrack.create(tmp_path / "t", MANIFEST, RATIOS)
    assert [track.tile_span(i) for i in range(5)] == [
        ("a", 0, 32), ("a", 32, 64), ("a", 64, 96), ("a", 96, 100), ("b", 0, 7),
    ]  # fmt: skip
    assert list(track.tiles_over("a", 31, 33)) == [0, 1]
    assert list(track.tiles_over("a", 32, 64)) == [1]
    assert list(track.tiles_over("b", 0, 7)) == [4]
    # Two bytes an SNV, three SNVs a base.
    assert (tmp_path / "t" / "ratios.int16").stat().st_size == 107 * 3 * 2
    assert track.done() == 0


def test_look_up_is_what_was_written(tmp_path: Path) -> None:
    codes = {
        n: RNG.integers(0, 5, k).astype(np.uint8) for n, k in (("a", 100), ("b", 7))
    }
    values = {
        n: RNG.normal(0, 4, (len(c), 4)).astype(np.float32) for n, c in codes.items()
    }
    for name, own in codes.items():
        values[name][own == UNKNOWN] = np.nan
    track = filled(tmp_path / "t", values, codes)
    assert track.done() == 1
    for name, own in codes.items():
        for place in range(len(own)):
            for alt in range(4):
                (found,) = track.look_up(
                    name, np.array([place]), own[[place]], np.array([alt], np.uint8)
                )
                if own[place] == UNKNOWN:
                    assert np.isnan(found)
                elif own[place] == alt:
                    assert found == 0
                else:
                    assert abs(found - values[name][place, alt]) <= STEP / 2 + 1e-7
    # The same all at once, and after opening again.
    again = DenseTrack(tmp_path / "t").ratios("a", 0, 100, codes["a"])
    known = codes["a"] < UNKNOWN
    expected = values["a"].copy()
    expected[np.flatnonzero(known), codes["a"][known]] = 0
    np.testing.assert_allclose(again[known], expected[known], atol=STEP / 2 + 1e-7)


def test_nothing_is_found_where_nothing_was_written(tmp_path: Path) -> None:
    track = DenseTrack.create(tmp_path / "t", MANIFEST, RATIOS)
    codes = np.zeros(32, np.uint8)
    values = np.ones((32, 4), np.float32)
    track.write(1, codes, RATIOS, values)
    places = np.array([31, 32, 63, 64])
    zero, one = np.zeros(4, np.uint8), np.ones(4, np.uint8)
    found = track.look_up("a", places, zero, one)
    np.testing.assert_array_equal(found, [np.nan, 1, 1, np.nan])
    assert np.isnan(track.look_up("a", places, zero, one, DISTANCES)).all()
    assert np.isnan(track.look_up("c", places, zero, one)).all()


def test_ratios_that_are_too_large_are_cut_and_counted(tmp_path: Path) -> None:
    track = DenseTrack.create(tmp_path / "t", MANIFEST, RATIOS)
    values = np.tile(np.array([0, 20, -20, 3], np.float32), (32, 1))
    assert track.write(0, np.zeros(32, np.uint8), RATIOS, values) == 64
    (high, low) = track.look_up(
        "a", np.array([0, 0]), np.zeros(2, np.uint8), np.array([1, 2], np.uint8)
    )
    assert (high, low) == (HIGHEST, -HIGHEST)


def test_alternatives_by_hand() -> None:
    values = np.array([[0, 1, 2, 3]] * 4, np.float32)
    assert alternatives(values, np.arange(4, dtype=np.uint8)).tolist() == [
        [1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_digest": "other"}, "another model"),
        ({"genome_sha256": "other"}, "another genome"),
        ({"contigs": {"a": 100}}, "another contigs"),
    ],
)
def test_a_track_of_something_else_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    DenseTrack.create(tmp_path / "t", MANIFEST, RATIOS)
    held = json.loads((tmp_path / "t" / "manifest.json").read_text())
    (tmp_path / "t" / "manifest.json").write_text(json.dumps(held | change))
    with pytest.raises(WorkspaceError, match="precompute"):
        DenseTrack.create(tmp_path / "t", MANIFEST, RATIOS)
    if "contigs" not in change:
        with pytest.raises(WorkspaceError, match=said):
            DenseTrack(tmp_path / "t").require(MANIFEST)


@pytest.mark.parametrize("name", ["manifest.json", "ratios.int16", "tiles.uint8"])
def test_a_damaged_track_is_refused(tmp_path: Path, name: str) -> None:
    DenseTrack.create(tmp_path / "t", MANIFEST, RATIOS)
    path = tmp_path / "t" / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WorkspaceError, match=name):
        DenseTrack(tmp_path / "t")


def test_whole_genome_and_regions_give_the_same_track(
    store: Store, model: TrainedModel
) -> None:
    network = NeighbourModel()
    first = precompute(store, model, network, [Region("chr2", 300, 500)])
    assert (first.tiles, first.tiles_done_before) == (1, 0)
    assert first.track.done() < 1
    whole = precompute(store, model, network)
    assert (whole.tiles, whole.tiles_done_before) == (3, 1)
    assert whole.track.done() == 1
    read = network.n_read
    assert precompute(store, model, network).tiles_done_before == 3
    assert network.n_read == read  # nothing was computed again
    genome = store.genome()
    for name in genome:
        codes = encode(genome.contig(name))
        expected = substitution_ratios(network, codes, 0, len(codes))
        np.testing.assert_allclose(
            whole.track.ratios(name, 0, len(codes), codes), expected, atol=STEP
        )


def test_distances_of_a_contig(store: Store, model: TrainedModel) -> None:
    network = NeighbourModel(reach_bp=2)
    track = precompute(store, model, network, [Region("chrM")], distances=True).track
    codes = encode(store.genome().contig("chrM"))
    place, new = 200, (int(codes[200]) + 1) % 4
    alt = np.array([new], np.uint8)
    found = track.look_up("chrM", np.array([place]), codes[[place]], alt, DISTANCES)
    expected = allele_distance(network, Haplotypes.of(codes, place, 1, alt))
    assert found[0] == pytest.approx(expected, rel=2**-10)
    assert track.done(DISTANCES) == pytest.approx(1 / 3)


def test_a_region_off_the_contig_is_refused(store: Store, model: TrainedModel) -> None:
    with pytest.raises(InputError, match="1,500 bp"):
        precompute(store, model, NeighbourModel(), [Region("chr2", 0, 1501)])


def test_bigwig_holds_bits_of_the_finished_tiles(
    store: Store, model: TrainedModel, tmp_path: Path
) -> None:
    network = NeighbourModel()
    track = precompute(store, model, network, [Region("chr1")]).track
    genome = store.genome()
    contigs = {name: genome.contig(name) for name in genome}
    codes = encode(contigs["chr1"])
    ratios = substitution_ratios(network, codes, 0, len(codes))
    known = codes < UNKNOWN
    for what, expected in (
        ("information", information_content(ratios)), ("surprisal", surprisal(ratios, codes)),
    ):  # fmt: skip
        path = tmp_path / f"{what}.bw"
        assert export_bigwig(track, contigs, path, what) == known.sum()
        with pyBigWig.open(str(path)) as file:
            assert file.chroms() == LENGTHS
            values = np.asarray(file.values("chr1", 0, len(codes), numpy=True))
            assert file.stats("chr2", 0, 1500) == [None]
        np.testing.assert_array_equal(np.isnan(values), ~known)
        np.testing.assert_allclose(values[known], expected[known], atol=5e-3)


KILLED = """
import sys, time
from pathlib import Path
from data_registry.store import open_store
from tests.neighbour_model import NeighbourModel
from variant_effect import dense_track
from variant_effect.precompute import precompute
from variant_effect.trained_models import TrainedModel

workspace, folder, slow = sys.argv[1:]
with open_store(Path(workspace)) as store:
    def report(done, total):
        print(done, total, flush=True)
        time.sleep(60 if slow == "slow" and done == 2 else 0)
    done = precompute(store, TrainedModel("language", "n", Path(folder)),
                      NeighbourModel(), on_progress=report)
    print(done.tiles_done_before, done.track.done())
"""


def test_a_killed_run_is_taken_up(workspace: Path, model: TrainedModel) -> None:
    def start(how: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", KILLED, str(workspace), str(model.folder), how],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    process = start("slow")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("2 "):
            break
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    after, _ = start("fast").communicate(timeout=60)
    # Two tiles stood already; the third alone was computed.
    assert after.splitlines() == ["3 3", "2 1.0"]
    with open_store(workspace) as store:
        genome = store.genome()
        done = precompute(store, model, NeighbourModel())
        assert genome_sha256(store) == done.track.manifest.genome_sha256
    codes = encode(genome.contig("chr1"))
    np.testing.assert_allclose(
        done.track.ratios("chr1", 0, len(codes), codes),
        substitution_ratios(NeighbourModel(), codes, 0, len(codes)),
        atol=STEP,
    )
