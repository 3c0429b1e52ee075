"""The prior score, term by term, from its own columns and by hand."""

from itertools import pairwise

import numpy as np
import pytest

from tests.contracts import columns_before, make_alleles
from tests.organisms import MOTIF, MOTIF_AT, base, snv, vcf_text
from tests.variant_effect.conftest import records_of
from tests.variant_effect.test_scorers import RECORDS
from variant_effect.consequences import SO_TERMS
from variant_effect.scorers.prior import WEIGHTS


def test_every_term_has_a_weight() -> None:
    # csq has no regulatory features, so it never says this one.
    assert set(SO_TERMS.values()) - {"regulatory_region_variant"} <= set(WEIGHTS)
    assert all(0 <= weight <= 1 for weight in WEIGHTS.values())
    order = [
        "stop_gained",
        "missense_variant",
        "synonymous_variant",
        "intergenic_variant",
    ]
    assert all(WEIGHTS[a] > WEIGHTS[b] for a, b in pairwise(order))


def test_the_score_is_the_noisy_or_of_its_terms(score) -> None:
    frame = score(RECORDS)
    frame = frame[(frame["status"] == "scored") & frame["prior_motif"].notna()]
    assert len(frame) >= 15
    kept = np.prod(
        [
            1 - frame[f"prior_{name}"]
            for name in ("consequence", "motif", "conservation", "markov")
        ],
        axis=0,
    )
    expected = (1 - kept) * frame["prior_rarity"]
    np.testing.assert_allclose(frame["prior_score"], expected, atol=1e-6)
    assert frame["prior_score"].between(0, 1).all()


def consequence(score, *record: object) -> float:
    return float(score([record]).iloc[0]["prior_consequence"])


def test_consequence_term_by_hand(score) -> None:
    assert consequence(score, "chr2", 307, "C", "T") == pytest.approx(0.90)  # a stop
    assert consequence(score, "chr2", 306, "A", "G") == pytest.approx(
        0.03
    )  # synonymous
    # BLOSUM62: K to E is 1, L to Q is -2; 0.35 - 0.05 times that.
    assert consequence(score, "chr2", 304, "A", "G") == pytest.approx(0.35 - 0.05)
    assert consequence(score, "chr2", 317, "T", "A") == pytest.approx(0.35 + 0.10)
    # Table 2: TGA W to TCA S, BLOSUM62 -3.
    assert consequence(score, "chrM", 158, "G", "C") == pytest.approx(0.35 + 0.15)
    # Upstream and downstream fall off by e a kilobase.
    near, far = (consequence(score, *snv("chr1", p)) for p in (1999, 999))
    assert near == pytest.approx(
        WEIGHTS["upstream_gene_variant"] * np.exp(-0.002), rel=1e-4
    )
    assert far / near == pytest.approx(np.exp(-1), rel=1e-4)
    assert consequence(score, *snv("chr1", 14_900)) == pytest.approx(
        WEIGHTS["intergenic_variant"]
    )


def test_a_missense_beside_a_splice_site_is_weighed_as_missense(score) -> None:
    frame = score([snv("chr1", 2198), snv("chr1", 2199)])
    assert frame["consequence"].str.startswith("missense_variant&splice_region").all()
    assert frame["prior_consequence"].between(0.15, 0.55).all()


def test_motif_term_by_hand(score) -> None:
    # Inside a peak and bound by a factor: 0.35 · |delta| / 10 · 1.2, at most 0.4.
    row = score([("chr1", MOTIF_AT + 5, MOTIF[4], "A")]).iloc[0]
    expected = min(0.35 * min(abs(row["motif_delta"]) / 10, 1) * 1.2, 0.4)
    changed = row["motif_n"] > 0
    assert row["prior_motif"] == pytest.approx(expected if changed else 0.0, abs=1e-6)
    # Two bases at once break the site for good.
    both = score([("chr1", MOTIF_AT + 4, MOTIF[3:5], "TA")]).iloc[0]
    assert both["motif_n"] >= 1
    assert both["prior_motif"] == pytest.approx(
        min(0.35 * min(abs(both["motif_delta"]) / 10, 1) * 1.2, 0.4), abs=1e-6
    )
    # Far from any element a new site counts three tenths.
    here = base("chr1", 13_500)
    made = score([("chr1", 13_500, here, here + MOTIF)]).iloc[0]
    share = min(abs(np.nan_to_num(made["motif_delta"])) / 10, 1)
    assert made["prior_motif"] == pytest.approx(0.35 * share * 0.3, abs=1e-6)


def test_rarity_and_markov_terms_by_hand(score) -> None:
    frame = score(
        [
            snv("chr1", 2101),
            snv("chr2", 500),
            snv("chr2", 501),
            ("chr1", 12_001, "GCA", "G"),
        ]
    )
    # Frequencies 3/6, 6/6, unknown and 1/6: factor 1 - 0.5 · min(2 AF, 1).
    assert frame["prior_rarity"].tolist() == pytest.approx([0.5, 0.5, 1.0, 1 - 1 / 6])
    everything = score(RECORDS)
    small = everything[everything["markov_percentile"].notna()]
    expected = 0.15 * (small["markov_percentile"] - 50).clip(lower=0) / 50
    np.testing.assert_allclose(small["prior_markov"], expected, atol=1e-6)
    assert small["prior_markov"].between(0, 0.15).all()
    assert (small["prior_markov"] > 0).any()


def test_no_association_is_read(engine) -> None:
    scorer = next(each for each in engine.scorers if each.name == "prior")
    lines = records_of(vcf_text([snv("chr1", 2101), snv("chr1", 5003)])).splitlines(
        keepends=True
    )
    alleles = make_alleles(engine, lines)
    consequences, before = columns_before(engine, scorer, alleles)
    assert before["gwas_min_p"].to_pylist() == [1e-8, 0.03]
    without = {name: values for name, values in before.items() if "gwas" not in name}
    with_them = scorer.score(alleles, consequences, before, engine.connection)
    assert scorer.score(alleles, consequences, without, engine.connection) == with_them
