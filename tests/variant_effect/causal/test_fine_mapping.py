"""SuSiE: against exact enumeration, by law, and against susieR's printed results."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from data_registry.errors import InputError, NotIdentifiedError
from variant_effect.causal import fine_mapping as fm

from .loci import genotypes, trait


def make(seed: int, n=400, p=30, causal=(7,), share=0.1):
    rng = np.random.default_rng(seed)
    x = genotypes(rng, n, p)
    return x, trait(rng, x, list(causal), share)


def test_one_effect_is_exact_bayes() -> None:
    """The slow way: the marginal likelihood of each variant from its full covariance."""
    x, y = make(1, n=60, p=8, share=0.2)
    locus = fm.locus_from_genotypes(x, y)
    prior = np.arange(1.0, 9.0)
    fit = fm.fit_susie(locus, n_effects=1, prior_weights=prior)
    z = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    centred = y - y.mean()
    s2, v = fit.residual_variance, float(fit.prior_variance[0])
    # Centring takes one dimension away; work in an orthonormal basis of the rest.
    basis = np.linalg.svd(np.eye(60) - 1 / 60)[0][:, :59]
    logs = [
        stats.multivariate_normal.logpdf(
            basis.T @ centred,
            cov=s2 * np.eye(59) + v * np.outer(basis.T @ z[:, j], basis.T @ z[:, j]),
        )
        for j in range(8)
    ]
    logs = np.log(prior / prior.sum()) + np.array(logs)
    # The fit's residual variance moves once more after the last effect was fitted.
    np.testing.assert_allclose(
        fit.inclusion[0], np.exp(logs - logsumexp(logs)), atol=2e-3
    )


def test_two_effects_agree_with_all_pairs() -> None:
    """The slow way: all pairs of variants, effects integrated out."""
    x, y = make(2, n=500, p=10, causal=(2, 8), share=0.08)
    locus = fm.locus_from_genotypes(x, y)
    fit = fm.fit_susie(locus, n_effects=2)
    z = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    centred = y - y.mean()
    s2, v = fit.residual_variance, fit.prior_variance
    logs = {}
    for a, b in product(range(10), repeat=2):
        design = z[:, [a, b]] * np.sqrt(v)
        inner = np.eye(2) + design.T @ design / s2
        projected = design.T @ centred / s2
        logs[a, b] = -0.5 * np.linalg.slogdet(inner)[
            1
        ] + 0.5 * projected @ np.linalg.solve(inner, projected)
    total = logsumexp(list(logs.values()))
    pip = np.array([
        sum(np.exp(value - total) for pair, value in logs.items() if j in pair)
        for j in range(10)
    ])  # fmt: skip
    np.testing.assert_allclose(fit.pip, pip, atol=0.03)


def test_effects_are_found_and_the_bound_only_rises() -> None:
    x, y = make(3, n=800, p=60, causal=(10, 45), share=0.06)
    locus = fm.locus_from_genotypes(x, y)
    fit = fm.fit_susie(locus, tolerance=1e-6)
    assert (np.diff(fit.elbo) > -1e-6).all()
    assert fit.converged
    sets = fm.credible_sets(locus, fit)
    assert len(sets) == 2
    assert all(s.coverage >= 0.95 and s.purity >= 0.5 for s in sets)
    assert {10, 45} <= {int(v) for s in sets for v in s.variants}


def test_no_effect_gives_no_set() -> None:
    found = 0
    for seed in range(15):
        x, y = make(seed, p=20, causal=(0,), share=0.0)
        locus = fm.locus_from_genotypes(x, y)
        found += len(fm.credible_sets(locus, fm.fit_susie(locus, n_effects=3)))
    assert found <= 1


def test_z_scores_say_what_genotypes_say() -> None:
    x, y = make(4, n=1_000, p=40, causal=(5, 30), share=0.05)
    whole = fm.locus_from_genotypes(x, y)
    slope = stats.linregress(x[:, 5], y)
    assert whole.z[5] == pytest.approx(slope.slope / slope.stderr)
    summary = fm.locus_from_summary(whole.z, whole.ld, 1_000)
    a, b = fm.fit_susie(whole), fm.fit_susie(summary)
    np.testing.assert_allclose(a.pip, b.pip, atol=0.1)
    assert [set(s.variants) for s in fm.credible_sets(whole, a)] == [
        set(s.variants) for s in fm.credible_sets(summary, b)
    ]


def test_order_alleles_and_scale_do_not_matter() -> None:
    x, y = make(5)
    pip = fm.fit_susie(fm.locus_from_genotypes(x, y)).pip
    order = np.random.default_rng(1).permutation(30)
    turned = np.where(np.arange(30) % 2 == 0, x, 2 - x)[:, order]
    other = fm.fit_susie(fm.locus_from_genotypes(turned, 7 - 3 * y)).pip
    np.testing.assert_allclose(other, pip[order], atol=1e-4)


def test_prior_weights_move_the_posterior() -> None:
    x, y = make(6, share=0.05)
    x = np.column_stack([x, x[:, 7]])  # a copy: the data cannot tell them apart
    locus = fm.locus_from_genotypes(x, y)
    even = fm.fit_susie(locus, n_effects=1)
    assert even.pip[7] == pytest.approx(even.pip[30])
    weights = np.ones(31)
    weights[30] = 9.0
    fit = fm.fit_susie(locus, n_effects=1, prior_weights=weights)
    assert fit.pip[30] / fit.pip[7] == pytest.approx(9.0)
    np.testing.assert_array_equal(
        fit.pip, fm.fit_susie(locus, n_effects=1, prior_weights=weights / 31).pip
    )
    weights[[7, 30]] = 0.0
    assert (
        fm.fit_susie(locus, n_effects=1, prior_weights=weights).pip[[7, 30]].max() == 0
    )
    found = fm.credible_sets(locus, even)[0]
    assert "not separable within this LD block" in found.verdict
    assert set(found.inseparable) | {int(found.variants[0])} >= {7, 30}


def test_covariates_take_a_confounder_out() -> None:
    rng = np.random.default_rng(7)
    group = rng.integers(2, size=600).astype(float)
    x = (rng.random((600, 20)) < 0.3 + 0.4 * group[:, None]).astype(float)
    y = group + rng.normal(size=600)  # no variant acts
    raw = fm.locus_from_genotypes(x, y)
    assert np.abs(raw.z).max() > 5
    fixed = fm.locus_from_genotypes(x, y, group[:, None])
    assert np.abs(fixed.z).max() < 4
    assert not fm.credible_sets(fixed, fm.fit_susie(fixed))
    twice = fm.locus_from_genotypes(x, y, np.column_stack([group, group]))
    assert twice.n == fixed.n  # a copy of a covariate costs nothing


def test_missing_calls_are_means() -> None:
    x, y = make(8)
    x[3, 5] = np.nan
    filled = x.copy()
    filled[3, 5] = np.nanmean(x[:, 5])
    np.testing.assert_allclose(
        fm.locus_from_genotypes(x, y).ld, fm.locus_from_genotypes(filled, y).ld
    )


def test_scores_as_weights() -> None:
    score = np.array([0.0, 1.0, np.nan])
    weights = fm.weigh_by_score(score, 2.0)
    np.testing.assert_allclose(weights / weights[0], np.exp([0, 2, 1]))
    assert len(set(fm.weigh_by_score(score, 0.0))) == 1
    with pytest.raises(InputError, match="no variant of the locus has a score"):
        fm.weigh_by_score(np.array([np.nan]), 1.0)


def test_enrichment_is_learned_where_there_is_one() -> None:
    rng = np.random.default_rng(9)
    for truth in (0.0, 6.0):
        loci, scores = [], []
        for _ in range(12):
            x = genotypes(rng, 300, 25, r=0.9)
            score = rng.random(25)
            chance = np.exp(truth * score)
            causal = rng.choice(25, p=chance / chance.sum())
            loci.append(fm.locus_from_genotypes(x, trait(rng, x, [causal], 0.1)))
            scores.append(score)
        found = fm.learn_enrichment(loci, scores, n_effects=1)
        assert found.evidence[0.0] == 0.0
        if truth:
            assert found.value > 2.0
            assert max(found.evidence.values()) > 3.0
        else:
            assert found.value < 2.0


def test_a_flipped_allele_is_named() -> None:
    x, y = make(10, n=2_000, p=40, causal=(20,), share=0.05)
    locus = fm.locus_from_genotypes(x, y)
    assert fm.check_consistency(locus.z, locus.ld).flipped.tolist() == []
    z = locus.z.copy()
    z[21] *= -1
    found = fm.check_consistency(z, locus.ld)
    assert found.flipped.tolist() == [21]


def test_faulty_loci_are_refused() -> None:
    x, y = make(11)
    with pytest.raises(InputError, match="does not vary"):
        fm.locus_from_genotypes(np.column_stack([x, np.ones(400)]), y)
    with pytest.raises(InputError, match="finite values are needed"):
        fm.locus_from_genotypes(x, np.full(400, np.nan))
    with pytest.raises(NotIdentifiedError, match="too few"):
        fm.locus_from_genotypes(x[:4], y[:4], x[:4, :3])
    with pytest.raises(InputError, match="diagonal"):
        fm.locus_from_summary(np.zeros(2), np.eye(2) * 2, 100)
    with pytest.raises(InputError, match="sample size"):
        fm.locus_from_summary(np.zeros(2), np.eye(2), 0)
    locus = fm.locus_from_genotypes(x, y)
    for weights in (np.zeros(30), -np.ones(30), np.ones(3)):
        with pytest.raises(InputError, match="prior weights"):
            fm.fit_susie(locus, prior_weights=weights)


@pytest.mark.realdata
def test_susier_printed_results(shared_data) -> None:
    pytest.importorskip("rdata")
    from benchmarks.causal import check_susie

    found = check_susie(shared_data)
    printed = found["susier_printed"]
    assert printed.pop("sets_equal")
    assert all(value["equal"] for value in printed.values())
    assert found["flipped_allele"]["found"] == [found["flipped_allele"]["planted"]]
    hard = found["local_optimum"]
    assert hard["plain"]["causal_in_a_set"] != hard["causal"]
    assert hard["refined"]["causal_in_a_set"] == hard["causal"]
    assert hard["refined"]["elbo"] > hard["plain"]["elbo"]
