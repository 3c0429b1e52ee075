"""Moves, their causes and the figures of the gate: values by hand, and oracles."""

import json

import numpy as np
import pandas as pd
import pytest

from data_registry.errors import MalformedFileError
from tests.organisms import make_workspace, snv, vcf_text
from variant_effect import kept
from variant_effect.kept import (
    REST,
    TOGETHER,
    UNMOVED,
    Labelled,
    auroc,
    find_causes,
    find_moves,
    measure_benchmark,
    partitions,
    percentiles,
    percentiles_among,
    read_scores,
    resampled,
)


def table(scores):
    n = len(scores)
    return pd.DataFrame(
        {
            "chrom": "c",
            "pos": range(1, n + 1),
            "ref": "A",
            "alt": "G",
            "prior_score": scores,
        }
    )


def test_percentiles_by_hand():
    np.testing.assert_allclose(
        percentiles(np.array([3.0, 1, 2, 2])), [87.5, 12.5, 50, 50]
    )
    scores = np.array([1.0, 2, 2, 3])
    np.testing.assert_allclose(percentiles_among(scores, scores), percentiles(scores))
    np.testing.assert_allclose(percentiles_among(np.array([0.0, 9]), scores), [0, 100])


def test_moves_are_of_ranks_within_the_file():
    before = table([0.1, 0.2, 0.3, 0.4])
    # Everything doubled: no rank changes. Then the first passes all others.
    assert find_moves(before, table([0.2, 0.4, 0.6, 0.8]))["move"].abs().max() == 0
    moves = find_moves(before, table([0.9, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(moves["move"], [75, -25, -25, -25])
    # An allele that only one version has takes part in its ranks and in no move.
    assert len(find_moves(before, table([0.9, 0.2, 0.3, 0.4, 0.5]))) == 4


def test_causes_by_hand():
    old = np.arange(100) / 100
    moved = pd.DataFrame(
        {
            "prior_score_before": [0.10, 0.10, 0.10, 0.10],
            "prior_score": [0.60, 0.60, 0.10, 0.60],
            "percentile_before": percentiles_among(np.full(4, 0.10), old),
            "percentile": [60.0, 60.0, 80.0, 60.0],
        }
    )
    moved["move"] = moved["percentile"] - moved["percentile_before"]
    alone = {
        "peaks": np.array([0.60, 0.30, 0.10, np.nan]),
        "panel": np.array([0.10, 0.30, 0.10, np.nan]),
    }
    found = find_causes(moved, old, alone)
    # The first by peaks alone, the second by both at 20 of 50 points each.
    assert found.tolist() == ["peaks", TOGETHER, UNMOVED, "not looked for"]


def test_a_source_that_pulls_the_other_way_is_no_cause():
    old = np.arange(100) / 100
    moved = pd.DataFrame(
        {"prior_score_before": [0.5], "prior_score": [0.8], "percentile_before": [50.5],
         "move": [30.0]}
    )  # fmt: skip
    alone = {"down": np.array([0.1]), "up": np.array([0.8])}
    assert find_causes(moved, old, alone).tolist() == ["up"]


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 6, 60).astype(float)
    positive = rng.random(60) < 0.4
    pairs = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p in scores[positive] for n in scores[~positive]
    ]  # fmt: skip
    assert auroc(scores, positive) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(scores, np.ones(60, bool)))
    times = rng.integers(0, 3, 60)
    repeated = auroc(np.repeat(scores, times), np.repeat(positive, times))
    assert auroc(scores, positive, times.astype(float)) == pytest.approx(repeated)


def test_resamples_draw_whole_blocks_and_are_paired():
    rng = np.random.default_rng(5)
    positive = np.tile([True, False], 40)
    blocks = np.repeat(np.arange(8), 10)
    scores = positive + rng.normal(size=80)
    draws = resampled(Labelled(scores, positive, blocks), draws=200)
    same = resampled(Labelled(scores * 3 + 1, positive, blocks), draws=200)
    np.testing.assert_array_equal(draws, same)  # only the order counts
    assert draws.std() > 0
    # One block alone: every draw is the whole.
    one = resampled(Labelled(scores, positive, np.zeros(80, int)), draws=5)
    np.testing.assert_allclose(one, auroc(scores, positive))


def test_partitions_hold_every_contig_once():
    lengths = {"chr1": 1000, "chr2": 500, "s1": 5, "s2": 4}
    found = partitions(lengths)
    assert found == {"chr1": ("chr1",), "chr2": ("chr2",), REST: ("s1", "s2")}
    assert partitions({"a": 1, "b": 1}) == {"a": ("a",), "b": ("b",)}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A workspace whose list holds one VCF, scored whole; a copy scored by parts."""
    folders = []
    for name in ("whole", "parts"):
        workspace = make_workspace(tmp_path_factory.mktemp(name), layers=True)
        records = [snv("chr1", p) for p in range(1900, 9000, 50)]
        records += [snv("chr2", p) for p in range(100, 1400, 50)] + [snv("MT", 200)]
        (workspace / "lines.vcf").write_text(vcf_text(records))
        (workspace / "kept.json").write_text(
            json.dumps(
                {"vcfs": [{"name": "lines", "vcf": "lines.vcf", "regions": []}],
                 "benchmarks": []}
            )
        )  # fmt: skip
        folders.append(workspace)
    whole, parts = folders
    kept.app(["score", "-w", str(whole), "--workers", "1"], standalone_mode=False)
    for part in ("chr1", "chr2", "chrM"):
        kept.app(
            ["score", "-w", str(parts), "--part", part, "--workers", "1"],
            standalone_mode=False,
        )
    return whole, parts


COLUMNS = ["prior_score", "consequence", "gene", "motif_change"]


def test_parts_together_are_the_whole(scored):
    whole, parts = (read_scores(path, "lines", COLUMNS) for path in scored)
    assert len(whole) == len(range(1900, 9000, 50)) + len(range(100, 1400, 50)) + 1
    pd.testing.assert_frame_equal(whole, parts)
    notes = [
        json.loads(p.read_text())
        for p in sorted(scored[1].glob("scores/kept/*/*.json"))
    ]
    assert sum(note["accounting"]["input_alleles"] for note in notes) == len(whole)


def test_what_is_scored_is_not_scored_again(scored):
    for workspace in scored:
        files = sorted(workspace.glob("scores/kept/lines/*"))
        before = {file: file.stat().st_mtime_ns for file in files}
        kept.app(
            ["score", "-w", str(workspace), "--workers", "1"], standalone_mode=False
        )
        after = sorted(workspace.glob("scores/kept/lines/*"))
        assert {file: file.stat().st_mtime_ns for file in after} == before


def test_figures_of_a_benchmark(scored, tmp_path):
    whole, parts = scored
    scores = read_scores(whole, "lines", ["prior_score"])
    label = (scores["prior_score"] > scores["prior_score"].median()).astype(int)
    truth = scores[["chrom", "pos", "ref", "alt"]].assign(label=label)
    truth.loc[len(truth)] = ["chr9", 1, "A", "G", 1]
    truth.to_csv(tmp_path / "truth.tsv", sep="\t", index=False)
    benchmark = {"name": "b", "scores": "lines", "truth": str(tmp_path / "truth.tsv"),
                 "column": "prior_score", "rest_negative": False}  # fmt: skip
    found = measure_benchmark(benchmark, whole, parts)
    assert found["after"] == found["before"]
    assert found["after"]["auroc"] == 1.0
    assert found["after"]["not_scored"] == 1
    assert found["difference"] == {"auroc": 0.0, "low": 0.0, "high": 0.0}
    # The positives alone, and all others negative, is the same benchmark.
    positives = truth[truth["label"] == 1].drop(columns="label")
    positives.to_csv(tmp_path / "truth.tsv", sep="\t", index=False)
    rest = measure_benchmark({**benchmark, "rest_negative": True}, whole, parts)
    assert rest["after"] == found["after"]
    truth.to_csv(tmp_path / "truth.tsv", sep="\t", index=False)
    nothing = measure_benchmark(benchmark, tmp_path, parts)
    assert nothing["before"] is None
    assert "difference" not in nothing


@pytest.mark.parametrize(
    ("text", "problem"),
    [("chrom\tpos\n1\t2\n", "no column alt"),
     ("chrom\tpos\tref\talt\tlabel\n1\t2\tA\tG\t2\n", "not 0 or 1")],
)  # fmt: skip
def test_a_truth_that_is_none(tmp_path, text, problem):
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(MalformedFileError, match=problem):
        kept.read_truth(tmp_path / "t.tsv")
