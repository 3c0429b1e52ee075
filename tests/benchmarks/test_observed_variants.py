"""Observed and simulated SNVs, on a panel small enough to work out by hand."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import observed_variants
from benchmarks.observed_variants import SAMPLES, STRAINS, changes, choose, lay_out
from encoders.nucleotides import encode, reverse_complement

SK1 = SAMPLES.index("SK1")


def panel(*records: tuple[int, str, str, dict[str, int]]) -> pd.DataFrame:
    """1-based position, REF, ALT and the samples that differ from 0."""
    return pd.DataFrame(
        [
            {"chrom": "chrI", "pos": pos, "ref": ref, "alt": alt}
            | dict.fromkeys(SAMPLES, 0) | calls
            for pos, ref, alt, calls in records
        ]
    )  # fmt: skip


def test_bases_between_records() -> None:
    #                     0123456789
    reference = encode("ACGTACGTAC")
    given = panel(
        (2, "C", "T", {"SK1": 1}),
        (4, "TAC", "T", {"SK1": 1}),  # deletes positions 4 and 5
        (8, "T", "G", {"Y12": 1}),
        (9, "A", "C", {"SK1": -1}),
        (10, "C", "G", {}),
    )
    found = lay_out(given, reference)
    n = 4
    # Before the first record nothing is known. Position 9 is SK1's own record again.
    assert found.bases[SK1].tolist() == [n, 3, 2, 3, n, n, 2, 3, n, 1]
    y12 = SAMPLES.index("Y12")
    assert found.bases[y12].tolist() == [n, 1, 2, 3, 0, 1, 2, 2, 0, 1]
    # Position 7 has SK1's missing record after it, 9 before it; 0 and 9 have no neighbour.
    assert found.flanked[SK1].tolist() == [
        False, False, True, True, True, True, True, False, True, False,
    ]  # fmt: skip


def test_a_long_gap_between_records_is_not_covered() -> None:
    reference = encode("A" * 600)
    given = panel((100, "A", "C", {}), (400, "A", "C", {}), (500, "A", "C", {}))
    found = lay_out(given, reference)
    known = np.flatnonzero(found.bases[SK1] < 4)
    assert known.tolist() == [99, *range(399, 500)]


def test_changes_read_the_pyrimidine_strand() -> None:
    change, context = changes(encode("TCA"))
    # C at 1: no change to C; C>A 0, C>G 1, C>T 2; neighbours T (3) and A (0).
    assert change[1].tolist() == [0, -1, 1, 2]
    assert context[1].tolist() == [12, -1, 16 + 12, 32 + 12]
    assert (context[[0, 2]] == -1).all()  # a neighbour is off the end
    # T at 0: T>A 3, T>C 4, T>G 5.
    assert change[0].tolist() == [3, 4, 5, -1]
    assert (changes(encode("TNA"))[0][1] == -1).all()


def test_both_strands_have_the_same_changes() -> None:
    codes = np.random.default_rng(1).integers(0, 4, 200).astype(np.uint8)
    for one, other in zip(
        changes(codes), changes(reverse_complement(codes)), strict=True
    ):
        np.testing.assert_array_equal(one, other[::-1, ::-1])


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> tuple[pd.DataFrame, dict[str, int]]:
    monkeypatch.setattr(observed_variants, "END_BP", 50)
    rng = np.random.default_rng(7)
    reference = rng.integers(0, 4, 4_000).astype(np.uint8)
    records = []
    for at in range(10, 3_990, 10):
        alt = (reference[at] + rng.integers(1, 4)) % 4
        carriers = rng.choice(SAMPLES[1:], rng.integers(1, 4), replace=False)
        records.append((at + 1, "ACGT"[reference[at]], "ACGT"[alt],
                        dict.fromkeys(carriers, 1)))  # fmt: skip
    records[100][3]["S288C"] = 1
    records[200][3].update(dict.fromkeys(STRAINS[:2], -1))
    terms = rng.integers(0, 2, (4_000, 4)).astype(np.uint8)
    layout = lay_out(panel(*records), reference)
    return choose("chrI", layout, terms, np.random.default_rng(0))


def test_nothing_is_both_observed_and_simulated(
    chosen: tuple[pd.DataFrame, dict[str, int]],
) -> None:
    frame, counts = chosen
    key = frame["start"] * 4 + frame["alt"]
    of = {kind: set(key[frame["kind"] == kind]) for kind in frame["kind"].unique()}
    assert not of["observed"] & (of["unmatched"] | of["matched"])
    assert not key[frame["kind"] == "unmatched"].duplicated().any()
    assert (frame.loc[frame["kind"] == "observed", "ac"] >= 1).all()
    assert (frame.loc[frame["kind"] != "observed", "ac"] == 0).all()
    assert frame["start"].between(50, 3_949).all()
    # Carried by S288C's own assembly; beside a record that misses two of the strains.
    assert not set(frame["start"]) & {1_010, 2_005, 2_015}
    left_out = ("snvs_within_20_kb_of_an_end", "snvs_at_other_sites_not_eligible")
    assert counts["snvs_of_the_six_strains"] == counts["observed"] + sum(
        counts[name] for name in left_out
    )


def test_matched_pairs_agree_in_everything_matched(
    chosen: tuple[pd.DataFrame, dict[str, int]],
) -> None:
    frame, counts = chosen
    pairs = frame[frame["pair"] >= 0].set_index("pair")
    ours = pairs[pairs["kind"] == "observed"].sort_index()
    theirs = pairs[pairs["kind"] == "matched"].sort_index()
    assert len(ours) == len(theirs) == counts["matched_pairs"] > 50
    for name in ("change", "context", "term", "window"):
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert (
        counts["observed"] - counts["matched_pairs"] == counts["observed_without_match"]
    )


def test_unmatched_keep_the_proportions_of_changes(
    chosen: tuple[pd.DataFrame, dict[str, int]],
) -> None:
    frame, _ = chosen
    n = pd.crosstab(frame["change"], frame["kind"])
    np.testing.assert_array_equal(n["unmatched"], 4 * n["observed"])
