"""The benchmark of sites: its audit finds planted leaks; columns and parts by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("transformers")

from benchmarks.sites import (  # noqa: E402
    KNOWN,
    WINDOW_BP,
    Split,
    Task,
    Told,
    audit,
    decide,
    fit_network,
    fit_ridge,
    fold_parts,
    gap_bp,
    kmers,
    measure,
    motif_scores,
    segment_of,
    table_of,
)
from encoders.nucleotides import encode, reverse_complement  # noqa: E402

ROWS = {"train": range(200), "validation": range(200, 260), "test": range(260, 320)}
N = 320


def toy(name: str = "arabidopsis_elements") -> Task:
    """Windows 500 bp apart; those of head 0 hold a motif, the others do not."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (N, WINDOW_BP)).astype(np.uint8)
    labels = np.zeros((N, 2), bool)
    labels[::2, 0] = labels[1::2, 1] = True
    for at in (20, 60, 100):
        codes[labels[:, 0], at : at + 8] = encode("TGACGTCA")
    start = np.arange(N) * 500 + KNOWN["chr3"][0]
    place = pd.DataFrame({"contig": "chr3", "start": start, "end": start + WINDOW_BP})
    place["kind"] = "toy"
    split = Split(*(np.array(rows, np.intp) for rows in ROWS.values()))
    return Task(
        name, codes, labels, ["a", "b"], place, [split], both_strands=True, counts={},
        read=[],
    )  # fmt: skip


def broken(task: Task) -> list[str]:
    return [check["source"] for check in audit(task, {}, None) if not check["holds"]]


def test_a_clean_task_passes_its_audit():
    assert broken(toy()) == []


def test_the_audit_finds_planted_leaks():
    task = toy()
    codes = task.codes.copy()
    codes[300] = reverse_complement(codes[7])
    found = broken(replace(task, codes=codes))
    assert "duplicates and reverse complements" in found
    codes = task.codes.copy()
    codes[300, :200] = codes[7, :200]  # a copy of a transposon, not the whole window
    assert broken(replace(task, codes=codes)) == [
        "copies of transposons and other homologs"
    ]
    place = task.place.copy()
    place.loc[260, ["start", "end"]] = place.loc[259, ["start", "end"]] + 299
    assert len(broken(replace(task, place=place))) == 1
    own = task.splits[0]
    shared = replace(own, train=np.append(own.train, own.test[0]))
    assert any("overlap" in each for each in broken(replace(task, splits=[shared])))
    assert any("files" in each for each in broken(replace(task, read=["tf_target_edges.tsv"])))  # fmt: skip


def test_permuted_labels_that_can_be_told_are_a_leak():
    task = toy()
    split = task.splits[0]
    leak = Told([task.labels[split.validation] * 1.0], [task.labels[split.test] * 1.0], 0.0)  # fmt: skip
    checks = audit(task, {"permuted_labels": [leak]}, None)
    assert [c["source"] for c in checks if not c["holds"]] == ["anything that the list forgot"]  # fmt: skip


def test_distance_between_windows_by_hand():
    one = pd.DataFrame({"contig": ["a", "a", "b"], "start": [10, 100, 5], "end": [20, 110, 9]})  # fmt: skip
    other = pd.DataFrame({"contig": ["a", "a"], "start": [30, 70], "end": [40, 80]})
    assert gap_bp(one, other) == 10  # 20 to 30
    other.loc[1, "end"] = 102
    assert gap_bp(one, other) == -2
    assert gap_bp(one, other.assign(contig="c")) == np.inf


def test_both_strands_count_alike_and_nothing_is_lost():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, (5, 50)).astype(np.uint8)
    for k, width in ((4, 136), (5, 512)):
        found = kmers(codes, k, both_strands=True)
        assert found.shape == (5, width)
        turned = kmers(reverse_complement(codes), k, both_strands=True)
        np.testing.assert_array_equal(found, turned)
        palindromes = 4 ** (k // 2) if k % 2 == 0 else 0
        assert width == (4**k + palindromes) / 2
        assert (found.sum(axis=1) >= 50 - k + 1).all()  # palindromes count twice


def test_motif_is_found_on_either_strand():
    matrix = np.full((4, 4), 0.0)
    matrix[np.arange(4), encode("ACCG")] = 1.0
    codes = np.stack([encode("TTTACCGTTT"), encode("TTTCGGTTTT"), encode("TTTTTTTTTT")])
    scores = motif_scores(codes, [matrix])[:, 0]
    full = 4 * np.log2(4 * 1.01 / 1.04)
    np.testing.assert_allclose(scores[:2], full, rtol=1e-5)
    assert scores[2] < 0


def test_segments_and_folds_by_hand():
    low = KNOWN["chr3"][0]
    start = np.array([low - 1, low + 250, low + 199_500, low + 199_900, low + 600_300])
    place = pd.DataFrame({"contig": "chr3", "start": start, "end": start + 240})
    found = segment_of(place)
    # Outside; within; 260 bp before a border; across it; in the fourth segment.
    assert found.tolist() == [-1, 0, 0, -1, 3]
    assert fold_parts(found, 4, 3).tolist() == [-1, 1, 1, -1, 2]
    other = place.assign(contig="chr5", start=start - low + KNOWN["chr5"][0])
    other["end"] = other["start"] + 240
    assert segment_of(other).tolist() == [-1, 19, 19, -1, 22]


def test_judged_labels_change_no_score_and_no_threshold():
    task = toy()
    split = task.splits[0]
    wrong = task.labels.copy()
    wrong[split.test] = ~wrong[split.test]
    other = replace(task, labels=wrong)
    x = table_of(task, "4mer")
    first, second = fit_ridge(x, task, split), fit_ridge(x, other, split)
    np.testing.assert_array_equal(first, second)
    n = len(split.validation)
    told = [decide(t, [first[:n]], [first[n:]]) for t in (task, other)]
    np.testing.assert_array_equal(*told)
    networks = [
        fit_network(t, split, 0, "hybrid", epochs=1, batch=64) for t in (task, other)
    ]
    np.testing.assert_array_equal(*networks)


def test_a_planted_motif_is_learned_and_measured():
    task = toy()
    split = task.splits[0]
    scores = fit_ridge(table_of(task, "6mer"), task, split)
    n = len(split.validation)
    told = Told([scores[:n]], [scores[n:]], 1.0)
    found = measure(task, {"hybrid": [told], "gc": [Told([scores[:n] * 0], [scores[n:] * 0], 1.0)]})  # fmt: skip
    assert found["models"]["hybrid"]["auroc"]["value"] > 0.8
    assert found["best_of_ours"] == "hybrid"
    gain = found["best_of_ours_minus"]["gc"]["auroc"]["value"]
    area = found["models"]["hybrid"]["auroc"]["value"]
    assert gain == pytest.approx(area - 0.5, abs=1e-4)
