"""Colocalisation: by enumeration, by hand, by law."""

import numpy as np
import pytest

from data_registry.errors import InputError, NotIdentifiedError
from variant_effect.causal import colocalisation as co
from variant_effect.causal import fine_mapping as fm

from .loci import genotypes, trait


def test_posterior_is_the_sum_over_configurations() -> None:
    """The slow way: every pair of (no variant or one) for the two traits."""
    rng = np.random.default_rng(1)
    one, two = rng.normal(2, 3, 6), rng.normal(2, 3, 6)
    priors = co.Priors(0.01, 0.02, 0.005)
    sums = np.zeros(5)
    sums[0] = 1.0
    for i in range(6):
        sums[1] += priors.first * np.exp(one[i])
        sums[2] += priors.second * np.exp(two[i])
        for j in range(6):
            if i == j:
                sums[4] += priors.both * np.exp(one[i] + two[i])
            else:
                sums[3] += priors.first * priors.second * np.exp(one[i] + two[j])
    found = co.colocalise(one, two, priors)
    np.testing.assert_allclose(found.posterior, sums / sums.sum(), rtol=1e-10)
    shared = np.exp(one + two)
    np.testing.assert_allclose(found.shared, shared / shared.sum())


def test_bayes_factor_by_hand() -> None:
    # V = 1, W = 3: r = 3/4; sqrt(1/4) exp(z²/2 · 3/4) at z = 2.
    found = co.approximate_bayes_factors(np.array([2.0]), np.array([1.0]), np.sqrt(3))
    assert found[0] == pytest.approx(np.log(0.5) + 2 * 0.75)


def test_one_variant_cannot_be_two_different_ones() -> None:
    found = co.colocalise(np.array([10.0]), np.array([12.0]))
    assert found.posterior[3] == 0.0
    assert sum(found.posterior) == pytest.approx(1.0)


def test_the_traits_sd_is_found_from_errors_and_frequencies() -> None:
    rng = np.random.default_rng(2)
    f, n, sd = rng.uniform(0.1, 0.5, 200), np.full(200, 1e4), 2.5
    se = sd / np.sqrt(2 * n * f * (1 - f))
    assert co.estimate_trait_sd(se, f, n) == pytest.approx(sd)
    with pytest.raises(InputError, match="give it, or give frequencies"):
        co.estimate_trait_sd(se, f * np.nan, n)


def loci(seed: int, first: list[int], second: list[int], p: int = 30):
    rng = np.random.default_rng([seed, 1])
    found = []
    for causal in (first, second):
        x = genotypes(np.random.default_rng(seed), 1_500, p)
        found.append(fm.locus_from_genotypes(x, trait(rng, x, causal, 0.04)))
    return found


def factors(locus: fm.Locus) -> np.ndarray:
    return co.approximate_bayes_factors(
        locus.z / np.sqrt(locus.n), np.full(len(locus.z), 1 / np.sqrt(locus.n)), 0.15
    )


def test_shared_and_different_variants_are_told_apart() -> None:
    for second, best in (([12], 4), ([25], 3)):
        one, two = loci(3, [12], second)
        found = co.colocalise(factors(one), factors(two), ld=one.ld)
        assert int(np.argmax(found.posterior)) == best
    nothing = loci(4, [12], [])
    assert int(np.argmax(co.colocalise(*map(factors, nothing)).posterior)) == 1


def test_several_effects_are_paired_one_by_one() -> None:
    one, two = loci(5, [4, 24], [24])
    fits = fm.fit_susie(one), fm.fit_susie(two)
    found = co.colocalise_effects((one, two), fits)
    by_best = {r.first_best: int(np.argmax(r.posterior)) for r in found}
    assert by_best == {4: 3, 24: 4}


def test_no_credible_set_no_answer() -> None:
    one, two = loci(6, [4], [])
    with pytest.raises(NotIdentifiedError, match="second trait has no credible set"):
        co.colocalise_effects((one, two), (fm.fit_susie(one), fm.fit_susie(two)))


def test_two_variants_in_one_block_are_not_called_shared_without_a_word() -> None:
    ld = np.array([[1.0, 0.99, 0], [0.99, 1.0, 0], [0, 0, 1.0]])
    one, two = np.array([20.0, 19.0, 0]), np.array([19.0, 20.0, 0])
    found = co.colocalise(one, two, ld=ld)
    assert found.posterior[4] > 0.5
    assert "not separable within this LD block" in found.verdict
    assert co.colocalise(one, one, ld=ld).verdict == "shared"


def test_the_prior_of_sharing_moves_only_one_way() -> None:
    one, two = loci(7, [12], [14])
    grid = co.sensitivity(factors(one), factors(two))
    assert (np.diff([p for _, p in grid]) >= 0).all()
    with pytest.raises(InputError, match="priors"):
        co.Priors(0.9, 0.2, 0.1)
