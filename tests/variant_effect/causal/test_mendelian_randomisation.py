"""Estimators of Mendelian randomisation: by hand, by an oracle, by law, by other programs."""

import math

import numpy as np
import pytest

from data_registry.errors import InputError, NotIdentifiedError
from variant_effect.causal.mendelian_randomisation import (
    Estimate,
    Instruments,
    egger,
    instrument_strength,
    inverse_variance_weighted,
    leave_one_out,
    multivariable,
    robust_profile_score,
    steiger_direction,
    weighted_median,
    weighted_mode,
)


def instruments(bx, by, *, sx=0.01, sy=0.1, ld=None) -> Instruments:
    bx, by = np.asarray(bx, float), np.asarray(by, float)
    return Instruments(
        tuple(f"v{i}" for i in range(len(bx))),
        bx,
        np.broadcast_to(np.asarray(sx, float), bx.shape).copy(),
        by,
        np.broadcast_to(np.asarray(sy, float), bx.shape).copy(),
        ld,
    )


def simulated(
    rng, n=60, *, effect=0.5, direct=0.0, invalid=0.0, sx=0.01, sy=0.02
) -> Instruments:
    """Effects with a share of instruments that act on the outcome directly, too."""
    gamma = rng.normal(0.1, 0.04, n)
    alpha = np.where(rng.random(n) < invalid, direct, 0.0)
    return instruments(
        gamma + rng.normal(0, sx, n),
        effect * gamma + alpha + rng.normal(0, sy, n),
        sx=sx,
        sy=sy,
    )


ALL = {
    "ivw": inverse_variance_weighted,
    "fixed": lambda i: inverse_variance_weighted(i, "fixed"),
    "egger": egger,
    "median": lambda i: weighted_median(i, np.random.default_rng(1), draws=300),
    "mode": lambda i: weighted_mode(i, np.random.default_rng(1), draws=100),
    "raps": robust_profile_score,
}


def test_ivw_by_hand() -> None:
    # Ratios 2 and 1 with weights (1/1)² = 1 and (2/1)² = 4.
    found = inverse_variance_weighted(instruments([1, 2], [2, 2], sy=1.0), "fixed")
    assert found.estimate == pytest.approx((1 * 2 + 4 * 1) / 5)
    assert found.se == pytest.approx(1 / np.sqrt(5))
    # Q: 1 (2 - 1.2)² + 4 (1 - 1.2)² = 0.8 on one degree of freedom.
    assert found.details["q"] == pytest.approx(0.8)
    # Less spread than error: random effects do not narrow the interval.
    random = inverse_variance_weighted(instruments([1, 2], [2, 2], sy=1.0))
    assert random.se == pytest.approx(found.se)
    wide = inverse_variance_weighted(instruments([1, 2], [2, 2], sy=0.1))
    assert wide.se == pytest.approx(0.1 / np.sqrt(5) * np.sqrt(80))


def test_one_instrument_is_the_wald_ratio() -> None:
    found = inverse_variance_weighted(instruments([0.5], [1.0], sy=0.1))
    assert (found.method, found.estimate) == ("Wald ratio", 2.0)
    assert found.se == pytest.approx(0.2)


def test_egger_finds_the_line_and_its_intercept_by_hand() -> None:
    # 0.3 + 2 bx, once from an allele that lowers the exposure.
    bx = np.array([0.1, -0.2, 0.3, 0.4])
    by = np.sign(bx) * (0.3 + 2 * np.abs(bx))
    found = egger(instruments(bx, by))
    assert found.estimate == pytest.approx(2.0)
    assert found.details["intercept"] == pytest.approx(0.3)
    assert found.details["q"] == pytest.approx(0.0, abs=1e-20)


def test_weighted_median_by_hand() -> None:
    rng = np.random.default_rng(1)
    even = weighted_median(instruments([1, 1, 1], [1, 5, 2], sy=1.0), rng, draws=100)
    assert even.estimate == pytest.approx(2.0)
    # Weights 1, 1, 4: places 1/12, 3/12, 8/12; half lies 3/5 of the way from 3/12 on.
    found = weighted_median(instruments([1, 1, 2], [1, 3, 16], sy=1.0), rng, draws=100)
    assert found.estimate == pytest.approx(3 + (8 - 3) * (6 / 12 - 3 / 12) / (5 / 12))


def test_steiger_by_hand() -> None:
    # F = 9 of n = 102 gives r2 9 / 109; F = 1 gives 1 / 101.
    found = steiger_direction(
        instruments([3], [1], sx=1.0, sy=1.0), np.array([102.0]), np.array([102.0])
    )
    assert found.exposure_r2 == pytest.approx(9 / 109)
    assert found.outcome_r2 == pytest.approx(1 / 101)
    assert found.is_forward
    z = (np.arctanh(np.sqrt(9 / 109)) - np.arctanh(np.sqrt(1 / 101))) / np.sqrt(2 / 99)
    assert found.p == pytest.approx(math.erfc(z / math.sqrt(2)))


def test_strength_by_hand_and_refusal() -> None:
    found = instrument_strength(instruments([0.5, 0.2], [1, 1], sx=0.1))
    np.testing.assert_allclose(found.f, [25, 4])
    assert found.n_weak == 1
    with pytest.raises(NotIdentifiedError, match="do not predict the exposure"):
        instrument_strength(instruments([0.1, -0.1, 0.05], [1, 1, 1], sx=0.1))


@pytest.mark.parametrize("name", ALL)
def test_turning_an_allele_changes_nothing(name: str) -> None:
    one = simulated(np.random.default_rng(3), 20)
    sign = np.where(np.arange(20) % 3 == 0, -1.0, 1.0)
    two = instruments(
        one.exposure_beta * sign, one.outcome_beta * sign, sx=0.01, sy=0.02
    )
    a, b = ALL[name](one), ALL[name](two)
    assert a.estimate == pytest.approx(b.estimate, rel=1e-6)
    # Bootstraps draw other numbers for a turned allele.
    assert a.se == pytest.approx(b.se, rel=0.35 if name in ("median", "mode") else 1e-6)


@pytest.mark.parametrize("name", ALL)
def test_units_of_the_outcome_scale_estimate_and_error(name: str) -> None:
    one = simulated(np.random.default_rng(4), 25)
    ten = instruments(one.exposure_beta, 10 * one.outcome_beta, sx=0.01, sy=0.2)
    a, b = ALL[name](one), ALL[name](ten)
    assert b.estimate == pytest.approx(10 * a.estimate, rel=1e-5)
    assert b.se == pytest.approx(10 * a.se, rel=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_valid_instruments_give_the_truth(name: str) -> None:
    found = ALL[name](simulated(np.random.default_rng(5), 80, effect=0.5))
    assert abs(found.estimate - 0.5) < 4 * found.se
    assert found.se < 0.2
    assert found.low < found.estimate < found.high


def test_what_each_method_withstands() -> None:
    """Two of five instruments raise the outcome directly: IVW is wrong, these are not."""
    rng = np.random.default_rng(6)
    data = simulated(rng, 200, effect=0.5, direct=0.3, invalid=0.3)
    assert inverse_variance_weighted(data).estimate > 0.9
    for name in ("median", "mode"):
        assert ALL[name](data).estimate == pytest.approx(0.5, abs=0.15), name
    # Directional effects of all: Egger's intercept takes them up.
    every = simulated(rng, 400, effect=0.5, direct=0.1, invalid=1.0, sx=0.002)
    assert inverse_variance_weighted(every).estimate > 1.0
    found = egger(every)
    assert found.estimate == pytest.approx(0.5, abs=0.12)
    assert found.details["intercept"] == pytest.approx(0.1, abs=0.015)


def test_profile_score_does_not_shrink_with_weak_instruments() -> None:
    ivw, raps = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        gamma = rng.normal(0, 0.02, 400)
        data = instruments(
            gamma + rng.normal(0, 0.015, 400),
            gamma + rng.normal(0, 0.015, 400),
            sx=0.015,
            sy=0.015,
        )
        ivw.append(inverse_variance_weighted(data).estimate)
        raps.append(robust_profile_score(data, overdispersion=False).estimate)
    assert np.mean(ivw) == pytest.approx(400 / 625, abs=0.03)  # diluted by the error
    assert np.mean(raps) == pytest.approx(1.0, abs=0.05)


def test_profile_score_error_is_the_spread_of_its_estimates() -> None:
    rng = np.random.default_rng(8)
    found = []
    for _ in range(80):
        gamma = rng.normal(0.05, 0.05, 60)
        by = 0.4 * gamma + rng.normal(0, np.hypot(0.02, 0.02), 60)
        data = instruments(gamma + rng.normal(0, 0.01, 60), by, sx=0.01, sy=0.02)
        found.append(robust_profile_score(data))
    spread = np.std([e.estimate for e in found])
    assert np.mean([e.se for e in found]) == pytest.approx(spread, rel=0.25)
    assert np.median([e.details["tau2"] for e in found]) == pytest.approx(4e-4, rel=0.3)


def ar1(n: int, r: float) -> np.ndarray:
    return r ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))


def test_correlated_ivw_is_generalised_least_squares() -> None:
    """The slow way: invert the whole error covariance."""
    rng = np.random.default_rng(9)
    ld = ar1(8, 0.6)
    base = simulated(rng, 8)
    data = instruments(base.exposure_beta, base.outcome_beta, sy=0.02, ld=ld)
    omega = np.linalg.inv(np.outer(data.outcome_se, data.outcome_se) * ld)
    bx, by = data.exposure_beta, data.outcome_beta
    found = inverse_variance_weighted(data, "fixed")
    assert found.estimate == pytest.approx((bx @ omega @ by) / (bx @ omega @ bx))
    assert found.se == pytest.approx(1 / np.sqrt(bx @ omega @ bx))
    x = np.column_stack([np.ones(8), np.abs(bx)])
    sign = np.sign(bx)
    turned = omega * np.outer(sign, sign)
    slope = np.linalg.solve(x.T @ turned @ x, x.T @ turned @ (sign * by))
    assert egger(data).estimate == pytest.approx(slope[1])


def test_an_identity_matrix_is_no_correlation() -> None:
    one = simulated(np.random.default_rng(10), 12)
    two = instruments(one.exposure_beta, one.outcome_beta, sy=0.02, ld=np.eye(12))
    for name in ("ivw", "egger", "raps"):
        assert ALL[name](one).estimate == pytest.approx(ALL[name](two).estimate)


def test_copies_of_one_variant_are_refused_by_name() -> None:
    ld = np.eye(3)
    ld[0, 2] = ld[2, 0] = -0.99
    with pytest.raises(NotIdentifiedError, match=r"v0 and v2 have r2 0\.980"):
        instruments([1, 1, -1], [1, 1, -1], ld=ld)


def test_methods_for_independent_instruments_refuse_correlated_ones() -> None:
    data = instruments([1, 1, 1.0], [1, 1, 1.0], ld=ar1(3, 0.5))
    for name in ("median", "mode", "raps"):
        with pytest.raises(NotIdentifiedError, match="correlated instruments"):
            ALL[name](data)


def test_too_few_or_faulty_instruments_are_refused() -> None:
    with pytest.raises(NotIdentifiedError, match="3 instruments or more; there are 2"):
        egger(instruments([1, 2], [1, 2]))
    with pytest.raises(InputError, match="standard errors must be positive"):
        instruments([1, 2], [1, 2], sy=0.0)
    with pytest.raises(InputError, match="finite"):
        instruments([1, np.nan], [1, 2])
    with pytest.raises(NotIdentifiedError, match="no effect at all"):
        weighted_median(instruments([0, 1, 2], [1, 2, 3]), np.random.default_rng(1))


def test_leaving_one_out_is_estimating_without_it() -> None:
    data = simulated(np.random.default_rng(11), 10)
    found = leave_one_out(data)
    assert len(found) == 10
    without = data.take(np.array([0, 1, 2, 4, 5, 6, 7, 8, 9]))
    assert found[3] == inverse_variance_weighted(without)


def test_multivariable_separates_two_exposures() -> None:
    rng = np.random.default_rng(12)
    gamma = rng.normal(0, 0.1, (100, 2)) @ np.array([[1, 0.5], [0, 1]])
    beta = gamma + rng.normal(0, 0.005, gamma.shape)
    by = gamma @ np.array([0.4, 0.0]) + rng.normal(0, 0.01, 100)
    se = np.full_like(beta, 0.005)
    one, two = multivariable(["a", "b"], beta, se, by, np.full(100, 0.01))
    assert one.estimate == pytest.approx(0.4, abs=0.03)
    assert abs(two.estimate) < 3 * two.se
    assert min(one.details["conditional_f"], two.details["conditional_f"]) > 50
    alone = inverse_variance_weighted(instruments(beta[:, 1], by, sx=0.005, sy=0.01))
    assert alone.estimate > 0.1  # what the second borrows from the first


def test_copies_of_an_exposure_are_refused() -> None:
    rng = np.random.default_rng(13)
    beta = rng.normal(0, 0.1, (30, 1)) @ np.ones((1, 2))
    with pytest.raises(NotIdentifiedError, match="copies of each other"):
        multivariable(["a", "b"], beta, np.full((30, 2), 0.01), beta[:, 0], np.ones(30))
    with pytest.raises(NotIdentifiedError, match="more than 2 instruments"):
        multivariable(["a", "b"], beta[:2], np.ones((2, 2)), beta[:2, 0], np.ones(2))


def test_an_estimate_is_plain_data() -> None:
    found = inverse_variance_weighted(instruments([1, 2], [2, 2]))
    assert isinstance(found, Estimate)
    assert all(isinstance(v, float) for v in found.details.values())


def equal_flags(node: object) -> list[tuple[str, bool]]:
    """Collect what ``benchmarks.causal.against`` found equal or not."""
    if not isinstance(node, dict):
        return []
    own = [("", bool(node["equal"]))] if "equal" in node and "printed" in node else []
    return own + [
        (f"{key}/{path}", flag)
        for key, value in node.items()
        for path, flag in equal_flags(value)
    ]


@pytest.mark.realdata
def test_printed_estimates_of_three_r_packages(shared_data) -> None:
    pytest.importorskip("rdata")
    pytest.importorskip("pyreadr")
    from benchmarks.causal import check_mendelian

    flags = equal_flags(check_mendelian(shared_data))
    assert len(flags) == 28
    assert [path for path, flag in flags if not flag] == []


def test_r_random_numbers() -> None:
    from benchmarks.r_random import RNormals

    # set.seed(1); rnorm(3) and set.seed(42); rnorm(2), as R prints them.
    np.testing.assert_allclose(
        RNormals(1).standard_normal((3,)),
        [-0.6264538, 0.1836433, -0.8356286],
        atol=5e-8,
    )
    np.testing.assert_allclose(
        RNormals(42).standard_normal((2,)), [1.37095845, -0.56469817], atol=5e-9
    )
