"""Summary statistics: reading, and bringing two tables to one allele."""

from pathlib import Path

import numpy as np
import pytest

from data_registry.errors import InputError, MalformedFileError
from variant_effect.causal.summary_statistics import (
    harmonise,
    left_out_table,
    orient_alleles,
    read_summary_statistics,
)


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join("\t".join(row.split()) for row in rows) + "\n")
    return path


def orient(*rows: tuple[str, str, float, str, str, float], strand="infer"):
    columns = list(zip(*rows, strict=True))
    texts = [np.array(c, dtype=object) for c in (columns[i] for i in (0, 1, 3, 4))]
    freqs = [np.array(columns[i], dtype=float) for i in (2, 5)]
    sign, reason = orient_alleles(
        (texts[0], texts[1], freqs[0]), (texts[2], texts[3], freqs[1]), strand
    )
    return list(zip(sign.tolist(), reason.tolist(), strict=True))


def test_alleles_by_hand() -> None:
    assert orient(
        ("A", "G", 0.2, "A", "G", 0.2),
        ("A", "G", 0.2, "G", "A", 0.8),
        ("A", "G", 0.2, "T", "C", 0.2),  # the other strand
        ("A", "G", 0.2, "C", "T", 0.8),
        ("A", "G", 0.2, "A", "C", 0.2),
        ("AT", "A", 0.2, "A", "AT", 0.8),
        ("A", "G", 0.2, "", "G", 0.2),
    ) == [
        (1.0, ""),
        (-1.0, ""),
        (1.0, ""),
        (-1.0, ""),
        (0.0, "alleles_do_not_match"),
        (-1.0, ""),
        (0.0, "missing_allele"),
    ]


def test_palindromic_variants_by_frequency() -> None:
    rows = [
        ("A", "T", 0.2, "A", "T", 0.2),
        ("A", "T", 0.2, "A", "T", 0.8),  # named on the other strand
        ("A", "T", 0.2, "T", "A", 0.8),
        ("A", "T", 0.2, "T", "A", 0.2),
        ("C", "G", 0.45, "C", "G", 0.45),
        ("C", "G", 0.2, "C", "G", np.nan),
    ]
    unclear = (0.0, "palindromic_ambiguous")
    assert orient(*rows) == [(1, ""), (-1, ""), (-1, ""), (1, ""), unclear, unclear]
    assert [s for s, _ in orient(*rows, strand="forward")] == [1, 1, -1, -1, 1, 1]
    assert {r for _, r in orient(*rows, strand="drop")} == {"palindromic"}
    assert {s for s, _ in orient(*rows, strand="aligned")} == {1.0}


def test_whatever_is_swapped_or_complemented_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    other = {"A": "T", "T": "A", "C": "G", "G": "C"}
    first, second, truth = ["SNP effect_allele other_allele beta se eaf"], [], []
    second.append(first[0])
    for i in range(200):
        a, b = rng.choice(list("ACGT"), 2, replace=False)
        beta, freq = rng.normal(), rng.choice([rng.uniform(0.05, 0.35), 0.9])
        first.append(f"rs{i} {a} {b} {beta} 0.1 {freq}")
        a2, b2, beta2, freq2 = a, b, beta, freq
        if rng.random() < 0.5:
            a2, b2, beta2, freq2 = b, a, -beta, 1 - freq
        if rng.random() < 0.5:
            a2, b2 = other[a2], other[b2]
        second.append(f"rs{i} {a2} {b2} {beta2} 0.1 {freq2}")
        truth.append(beta)
    one = read_summary_statistics(write(tmp_path / "a.tsv", *first))
    two = read_summary_statistics(write(tmp_path / "b.tsv", *second))
    frame = harmonise(one, two).frame
    np.testing.assert_allclose(frame["outcome_beta"], truth)
    np.testing.assert_allclose(frame["outcome_eaf"], frame["exposure_eaf"])


def test_every_row_is_kept_or_counted(tmp_path: Path) -> None:
    one = read_summary_statistics(
        write(
            tmp_path / "a.tsv",
            "SNP EA OA beta se EAF",
            "rs1 A G 0.1 0.02 0.2",
            "rs2 A G NA 0.02 0.2",
            "rs3 A G 0.1 0 0.2",
            "rs1 A G 0.3 0.02 0.2",
            "NA A G 0.3 0.02 0.2",
            "rs4 C T 0.1 0.02 0.2",
            "rs5 A T 0.1 0.02 0.5",
            "rs6 C T 0.1 0.02 0.5",
        )
    )
    two = read_summary_statistics(
        write(
            tmp_path / "b.tsv",
            "rsid effect_allele other_allele beta se eaf",
            "rs1 A G 0.2 0.05 0.2",
            "rs4 C A 0.2 0.05 0.2",
            "rs5 A T 0.2 0.05 0.5",
            "rs9 A G 0.2 0.05 0.2",
        )
    )
    both = harmonise(one, two)
    assert one.tally.read == 8
    assert one.tally.left_out == {
        "no_variant": 1,
        "no_effect": 1,
        "standard_error_not_positive": 1,
        "variant_stands_twice": 1,
    }
    assert both.first.left_out == {
        "not_in_the_other_table": 1,
        "alleles_do_not_match": 1,
        "palindromic_ambiguous": 1,
    }
    assert both.first.read == one.tally.kept == 4
    assert both.second.left_out["not_in_the_other_table"] == 1
    assert both.first.kept == both.second.kept == len(both.frame) == 1
    listed = left_out_table(exposure=both.first)
    assert sorted(listed["line"]) == [7, 8, 9]


def test_odds_ratios_p_values_and_z_scores(tmp_path: Path) -> None:
    path = write(tmp_path / "or.tsv", "SNP OR P", "rs1 2.0 0.05")
    frame = read_summary_statistics(path).frame
    assert frame["beta"][0] == pytest.approx(np.log(2))
    assert frame["se"][0] == pytest.approx(np.log(2) / 1.959964, rel=1e-6)
    z = read_summary_statistics(
        write(tmp_path / "z.tsv", "SNP z", "rs1 -3.5"), takes_z=True
    ).frame
    assert (z["beta"][0], z["se"][0]) == (-3.5, 1.0)
    named = read_summary_statistics(
        write(tmp_path / "p.tsv", "chr pos beta se", "1 77 0.1 0.1")
    )
    assert named.frame["variant"].tolist() == ["1:77"]


def test_faulty_tables_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(MalformedFileError, match="--column beta=NAME"):
        read_summary_statistics(write(tmp_path / "a.tsv", "SNP x", "rs1 3"))
    with pytest.raises(MalformedFileError, match="none of 1 rows"):
        read_summary_statistics(write(tmp_path / "b.tsv", "SNP beta se", "rs1 NA 1"))
    one = read_summary_statistics(write(tmp_path / "c.tsv", "SNP beta se", "rs1 1 1"))
    with pytest.raises(InputError, match="--strand aligned"):
        harmonise(one, one)  # no alleles
    assert len(harmonise(one, one, "aligned").frame) == 1


@pytest.mark.realdata
def test_harmonising_as_twosamplemr_does(shared_data) -> None:
    pytest.importorskip("rdata")
    from benchmarks.causal import check_harmonisation

    found = check_harmonisation(shared_data)
    assert found["harmonised"] == {"variants": 79, "equal": 79}
    rows = {row["snp"]: row for row in found["test_table"]}
    ambiguous = {
        n for n, row in rows.items() if row["reason"] == "palindromic_ambiguous"
    }
    assert ambiguous == {
        "f",
        "g",
    }  # frequency 1/2: their action 1 takes them as they are
    assert all(row["sign"] == row["wanted"] for n, row in rows.items() if n not in "fg")
