"""Mendelian randomisation from summary statistics.

Every estimator takes ``Instruments`` and hands back an ``Estimate``. Instruments are
independent unless they come with an LD matrix; estimators that have no theory for
correlated ones refuse it.

Sources: IVW and Egger: Bowden et al. 2015, Int. J. Epidemiol. 44:512; correlated: Burgess
et al. 2016, Stat. Med. 35:1880; weighted median: Bowden et al. 2016, Genet. Epidemiol.
40:304; mode: Hartwig et al. 2017, Int. J. Epidemiol. 46:1985; robust adjusted profile
score: Zhao et al. 2020, Ann. Stat. 48:1742; Steiger: Hemani et al. 2017, PLoS Genet.
13:e1007081; multivariable: Sanderson et al. 2019 and 2021, Stat. Med. 40:5434.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

from data_registry.errors import InputError, NotIdentifiedError
from variant_effect.causal.linkage import check_correlation, refuse_inseparable

Reals = NDArray[np.float64]
Weights = Literal["first order", "second order"]
"""Of a ratio's variance: ``first order`` takes the exposure's effect as known."""
Effects = Literal["fixed", "random"]
"""``random``: multiplicative, the residual spread widens the error but never narrows it."""
Loss = Literal["l2", "huber", "tukey"]

LEVEL: Final = 0.95
WEAK_F: Final = 10.0
"""An instrument with a smaller F is called weak (Staiger & Stock 1997)."""
RELEVANCE_P: Final = 0.05
TUNING: Final = {"huber": 1.345, "tukey": 4.685}
_GRID = 512


class Normals(Protocol):
    """Where standard normal numbers come from; ``numpy.random.Generator`` is one."""

    def standard_normal(self, size: tuple[int, ...]) -> Reals:
        """Return numbers in C order."""
        ...


@dataclass(frozen=True, slots=True)
class Instruments:
    """Effects of variants on exposure and outcome, of the same allele.

    Parameters
    ----------
    variants
        Names.
    exposure_beta, exposure_se, outcome_beta, outcome_se
        ``(variants,)``, in units of the two traits (log-odds for a binary one).
    ld
        r between the variants, ``(variants, variants)``, signed for the effect alleles;
        None means that they are independent.

    Raises
    ------
    InputError
        Shapes differ, a value is not finite, or an error is not positive.
    NotIdentifiedError
        Two variants are copies of each other, or none acts on the exposure.
    """

    variants: tuple[str, ...]
    exposure_beta: Reals
    exposure_se: Reals
    outcome_beta: Reals
    outcome_se: Reals
    ld: Reals | None = None

    def __post_init__(self) -> None:
        n = len(self.variants)
        if not n:
            raise InputError("there is no instrument")
        for name in ("exposure_beta", "exposure_se", "outcome_beta", "outcome_se"):
            values = getattr(self, name)
            if values.shape != (n,) or not np.isfinite(values).all():
                raise InputError(f"{name}: {n} finite numbers are needed")
            if name.endswith("_se") and (values <= 0).any():
                raise InputError(f"{name}: standard errors must be positive")
        if self.ld is not None:
            if self.ld.shape != (n, n):
                raise InputError(f"LD matrix: {n} x {n} is needed, not {self.ld.shape}")
            check_correlation(self.ld)
            refuse_inseparable(self.variants, self.ld)

    def __len__(self) -> int:
        return len(self.variants)

    def take(self, rows: NDArray[np.int64]) -> "Instruments":
        """Return some of the instruments."""
        return Instruments(
            tuple(self.variants[i] for i in rows),
            self.exposure_beta[rows], self.exposure_se[rows],
            self.outcome_beta[rows], self.outcome_se[rows],
            None if self.ld is None else self.ld[np.ix_(rows, rows)],
        )  # fmt: skip

    @property
    def ratios(self) -> Reals:
        """Wald ratios, ``(variants,)``."""
        if not self.exposure_beta.all():
            raise NotIdentifiedError(
                "an instrument has no effect at all on the exposure: its ratio is not "
                "defined. Leave it out"
            )
        return self.outcome_beta / self.exposure_beta

    def ratio_errors(self, weights: Weights) -> Reals:
        """Return the standard errors of the ratios by the delta method."""
        ratios = self.ratios
        variance = self.outcome_se**2 / self.exposure_beta**2
        if weights == "second order":
            variance = (
                variance + ratios**2 * self.exposure_se**2 / self.exposure_beta**2
            )
        found: Reals = np.sqrt(variance)
        return found


@dataclass(frozen=True, slots=True)
class Estimate:
    """A causal effect: outcome units per unit of exposure.

    Parameters
    ----------
    low, high
        ``LEVEL`` confidence interval.
    p
        Of no effect, two-sided.
    details
        What else the method says (intercept, overdispersion, …).
    """

    method: str
    n_variants: int
    estimate: float
    se: float
    low: float
    high: float
    p: float
    details: dict[str, float] = field(default_factory=dict)


def _estimate(
    method: str,
    n: int,
    estimate: float,
    se: float,
    *,
    freedom: float | None = None,
    details: dict[str, float] | None = None,
) -> Estimate:
    """Put interval and p-value to an estimate: normal, or t with ``freedom``."""
    law = stats.norm() if freedom is None else stats.t(freedom)
    width = float(law.ppf((1 + LEVEL) / 2)) * se
    p = float(2 * law.sf(abs(estimate) / se)) if se > 0 else float(estimate == 0)
    return Estimate(
        method, n, float(estimate), float(se), float(estimate - width),
        float(estimate + width), p, details or {},
    )  # fmt: skip


def _need(instruments: Instruments, least: int, method: str) -> None:
    if len(instruments) < least:
        raise NotIdentifiedError(
            f"{method} needs {least} instruments or more; there are {len(instruments)}"
        )


def _need_independent(instruments: Instruments, method: str) -> None:
    if instruments.ld is not None and np.any(np.triu(instruments.ld, k=1) ** 2 > 1e-12):
        raise NotIdentifiedError(
            f"{method} has no theory for correlated instruments: clump them and give no LD"
        )


@dataclass(frozen=True, slots=True)
class _Fit:
    """Generalised least squares: coefficients, unscaled covariance, residual variance."""

    coefficients: Reals
    covariance: Reals
    q: float
    freedom: int

    def error(self, which: int, effects: Effects) -> float:
        spread = self.q / self.freedom if self.freedom else 1.0
        scale = max(1.0, spread) if effects == "random" else 1.0
        return float(np.sqrt(self.covariance[which, which] * scale))


def _regress(design: Reals, outcome: Reals, se: Reals, ld: Reals | None) -> _Fit:
    """Regress on a design ``(variants, terms)`` with error covariance se' R se."""
    if ld is None:
        x, y = design / se[:, None], outcome / se
    else:
        lower = np.linalg.cholesky(np.outer(se, se) * ld)
        x, y = np.linalg.solve(lower, design), np.linalg.solve(lower, outcome)
    information = x.T @ x
    if np.linalg.cond(information) > 1e12:
        raise NotIdentifiedError(
            "the regression has no single solution: exposures (or effects and intercept) "
            "are copies of each other"
        )
    covariance: Reals = np.linalg.inv(information).astype(np.float64)
    coefficients: Reals = (covariance @ (x.T @ y)).astype(np.float64)
    q = float(((y - x @ coefficients) ** 2).sum())
    return _Fit(coefficients, covariance, q, len(y) - design.shape[1])


# -- estimators --------------------------------------------------------------------------


def inverse_variance_weighted(
    instruments: Instruments, effects: Effects = "random"
) -> Estimate:
    """Regress outcome on exposure effects through the origin; with one: the Wald ratio.

    Correlated instruments are weighed by the inverse of their error covariance.
    """
    fit = _regress(
        instruments.exposure_beta[:, None], instruments.outcome_beta,
        instruments.outcome_se, instruments.ld,
    )  # fmt: skip
    if len(instruments) == 1:
        effects = "fixed"
    details = {"q": fit.q, "q_freedom": float(fit.freedom)}
    if fit.freedom:
        details["q_p"] = float(stats.chi2.sf(fit.q, fit.freedom))
        details["i2"] = max(0.0, 1 - fit.freedom / fit.q) if fit.q else 0.0
    name = "Wald ratio" if len(instruments) == 1 else f"IVW, {effects} effects"
    return _estimate(
        name,
        len(instruments),
        fit.coefficients[0],
        fit.error(0, effects),
        details=details,
    )


def egger(instruments: Instruments) -> Estimate:
    """Regress with an intercept: the mean direct effect of the instruments.

    Effects are turned so that all raise the exposure. Interval and p-values are from
    Student's t. ``details`` holds the intercept with its error and p-value, Cochran's Q
    around the line, and I2_GX, the share of the exposure effects' spread that is not error
    (below 0.9 the slope is diluted).
    """
    _need(instruments, 3, "Egger regression")
    sign = np.where(instruments.exposure_beta < 0, -1.0, 1.0)
    exposure = instruments.exposure_beta * sign
    ld = None if instruments.ld is None else instruments.ld * np.outer(sign, sign)
    fit = _regress(
        np.column_stack([np.ones(len(sign)), exposure]),
        instruments.outcome_beta * sign, instruments.outcome_se, ld,
    )  # fmt: skip
    intercept, error = float(fit.coefficients[0]), fit.error(0, "random")
    details = {
        "intercept": intercept,
        "intercept_se": error,
        "intercept_p": float(2 * stats.t.sf(abs(intercept) / error, fit.freedom)),
        "q": fit.q,
        "q_freedom": float(fit.freedom),
        "q_p": float(stats.chi2.sf(fit.q, fit.freedom)),
        "i2_gx": _spread_beyond_error(exposure, instruments.exposure_se),
    }
    return _estimate(
        "Egger", len(instruments), fit.coefficients[1], fit.error(1, "random"),
        freedom=fit.freedom, details=details,
    )  # fmt: skip


def _spread_beyond_error(effects: Reals, se: Reals) -> float:
    weights = 1 / se**2
    q = float((weights * (effects - np.average(effects, weights=weights)) ** 2).sum())
    return max(0.0, 1 - (len(effects) - 1) / q) if q else 0.0


def weighted_median(
    instruments: Instruments,
    rng: Normals,
    *,
    weights: Weights = "first order",
    draws: int = 10_000,
) -> Estimate:
    """Take the weighted median of the ratios: right while half of the weight is valid.

    Parameters
    ----------
    rng
        For the parametric bootstrap: of each draw, first the exposures, then the outcomes.
    weights
        ``first order`` is the MendelianRandomization package's, ``second order``
        TwoSampleMR's.
    draws
        Of the bootstrap; with 10,000 the error itself is known to 0.7 %.
    """
    _need(instruments, 3, "the weighted median")
    _need_independent(instruments, "the weighted median")
    weight = 1 / instruments.ratio_errors(weights) ** 2
    found = _weighted_medians(instruments.ratios[None], weight)[0]
    normal = rng.standard_normal(size=(draws, 2, len(instruments)))
    exposure = instruments.exposure_beta + normal[:, 0] * instruments.exposure_se
    outcome = instruments.outcome_beta + normal[:, 1] * instruments.outcome_se
    se = np.std(_weighted_medians(outcome / exposure, weight), ddof=1)
    return _estimate("weighted median", len(instruments), found, float(se))


def _weighted_medians(ratios: Reals, weights: Reals) -> Reals:
    """Interpolate each row's weighted median, ``(rows, variants)`` to ``(rows,)``."""
    order = np.argsort(ratios, axis=1)
    values = np.take_along_axis(ratios, order, axis=1)
    weight = weights[order]
    place = (np.cumsum(weight, axis=1) - 0.5 * weight) / weight.sum(
        axis=1, keepdims=True
    )
    below = np.maximum((place < 0.5).sum(axis=1) - 1, 0)[:, None]
    low, high = (np.take_along_axis(values, below + k, axis=1)[:, 0] for k in (0, 1))
    at, after = (np.take_along_axis(place, below + k, axis=1)[:, 0] for k in (0, 1))
    found: Reals = low + (high - low) * (0.5 - at) / (after - at)
    return found


def weighted_mode(
    instruments: Instruments,
    rng: Normals,
    *,
    weights: Weights = "second order",
    bandwidth: float = 1.0,
    draws: int = 1_000,
) -> Estimate:
    """Take the mode of the ratios' weighted density: right while a plurality is valid.

    Parameters
    ----------
    bandwidth
        Hartwig's phi: times 0.9 min(sd, mad) n^(-1/5).
    """
    _need(instruments, 3, "the weighted mode")
    _need_independent(instruments, "the weighted mode")
    ratios, errors = instruments.ratios, instruments.ratio_errors(weights)
    weight = 1 / errors**2
    found = _mode(ratios, weight / weight.sum(), bandwidth)
    normal = rng.standard_normal(size=(draws, len(ratios)))
    modes = np.array([
        _mode(row, weight / weight.sum(), bandwidth) for row in ratios + normal * errors
    ])  # fmt: skip
    se = float(stats.median_abs_deviation(modes, scale="normal"))
    return _estimate("weighted mode", len(ratios), found, se, freedom=len(ratios) - 1)


def _mode(values: Reals, weights: Reals, bandwidth: float) -> float:
    spread = min(
        float(np.std(values, ddof=1)),
        float(stats.median_abs_deviation(values, scale="normal")),
    )
    h = max(1e-8, 0.9 * spread * len(values) ** -0.2 * bandwidth)
    grid = np.linspace(values.min() - 3 * h, values.max() + 3 * h, _GRID)
    density = np.exp(-0.5 * ((grid[:, None] - values) / h) ** 2) @ weights
    return float(grid[density.argmax()])


# -- robust adjusted profile score -------------------------------------------------------


def _score_of(loss: Loss, t: Reals) -> Reals:
    """Return the derivative of the loss."""
    if loss == "l2":
        return t
    k = TUNING[loss]
    if loss == "huber":
        return np.clip(t, -k, k)
    found: Reals = t * (1 - (t / k) ** 2) ** 2 * (np.abs(t) <= k)
    return found


def _loss_of(loss: Loss, t: Reals) -> Reals:
    if loss == "l2":
        return t**2 / 2
    k = TUNING[loss]
    size = np.abs(t)
    if loss == "huber":
        return np.where(size <= k, t**2 / 2, k * (size - k / 2))
    found: Reals = (1 - np.maximum(1 - (t / k) ** 2, 0.0) ** 3) * k**2 / 6
    return found


def _moment(function: Callable[[Reals], Reals]) -> float:
    """Return the mean of a function of a standard normal number."""
    value, _ = integrate.quad(
        lambda x: float(function(np.array(x)) * stats.norm.pdf(x)), -12, 12, limit=200,
        points=[-TUNING["tukey"], -TUNING["huber"], TUNING["huber"], TUNING["tukey"]],
    )  # fmt: skip
    return float(value)


def robust_profile_score(
    instruments: Instruments, loss: Loss = "huber", *, overdispersion: bool = True
) -> Estimate:
    """Solve the robust adjusted profile score (MR-RAPS): many weak, partly invalid instruments.

    Measurement error of the exposure's effects is part of the model, so weak instruments
    do not dilute the estimate; direct effects on the outcome are normal around 0 with
    variance ``tau2``; outliers lose their pull by the loss. ``tau2`` solves the second
    equation of Zhao et al. 2019 (Int. J. Epidemiol. 48:1478), as mr.raps 0.4 does.

    ``details`` holds ``tau2``.
    """
    _need(instruments, 3, "the profile score")
    _need_independent(instruments, "the profile score")
    bx, by = instruments.exposure_beta, instruments.outcome_beta
    vx, vy = instruments.exposure_se**2, instruments.outcome_se**2
    delta = _moment(lambda x: x * _score_of(loss, x))

    def residuals(beta: float | Reals, tau2: float) -> tuple[Reals, Reals]:
        """Return standardised residuals and their variances, a column a beta."""
        variance = (vy + tau2)[:, None] + vx[:, None] * np.square(beta)
        return (by[:, None] - bx[:, None] * beta) / np.sqrt(variance), variance

    def misfit(beta: float | Reals, tau2: float, kind: Loss = loss) -> Reals:
        found: Reals = _loss_of(kind, residuals(beta, tau2)[0]).sum(axis=0)
        return found

    def excess(tau2: float, beta: float) -> float:
        t, variance = residuals(beta, tau2)
        return float(((t * _score_of(loss, t) - delta) / variance).sum())

    reach = 2 * float(np.quantile(np.abs(instruments.ratios), 0.95))
    grid = np.linspace(-reach, reach, 401)

    def best(tau2: float, kind: Loss = loss) -> float:
        start, step = grid[misfit(grid, tau2, kind).argmin()], grid[1] - grid[0]
        found = optimize.minimize_scalar(
            lambda beta: float(misfit(beta, tau2, kind)[0]), bounds=(start - step, start + step),
            method="bounded", options={"xatol": 1e-10},
        )  # fmt: skip
        return float(found.x)

    beta, tau2 = best(0.0, "l2"), 0.0
    for _ in range(100):
        before = beta, tau2
        if overdispersion:
            top = 10 * float(np.quantile(vy, 0.95))
            while excess(top, beta) > 0:
                top *= 4
            tau2 = (
                float(optimize.brentq(excess, 0.0, top, args=(beta,), xtol=1e-16))
                if excess(0.0, beta) > 0 else 0.0
            )  # fmt: skip
        beta = best(tau2)
        if np.allclose(before, (beta, tau2), rtol=1e-6, atol=1e-9):
            break
    else:
        raise NotIdentifiedError(
            "the profile score has no stable solution: the instruments disagree too much"
        )

    se = _profile_score_error(instruments, loss, beta, tau2, delta, overdispersion)
    name = f"profile score, {loss} loss" + (", overdispersed" if overdispersion else "")
    return _estimate(name, len(instruments), beta, se, details={"tau2": tau2})


def _profile_score_error(
    instruments: Instruments,
    loss: Loss,
    beta: float,
    tau2: float,
    delta: float,
    overdispersion: bool,  # noqa: FBT001
) -> float:
    """Return the sandwich standard error (after Zhao et al. 2020, section 5)."""
    vx, vy = instruments.exposure_se**2, instruments.outcome_se**2 + tau2
    v2 = (vy + vx * beta**2) ** 2
    # Unbiased for the squared true effects.
    signal = (instruments.exposure_beta**2 - vx) * vy + (
        instruments.outcome_beta**2 - vy
    ) * vx
    c1 = _moment(lambda x: _score_of(loss, x) ** 2)
    bread = delta * float((signal / v2).sum())
    meat = c1 * float(((signal + vx * vy) / v2).sum())
    if bread <= 0:
        raise NotIdentifiedError(
            "the instruments carry no information on the exposure beyond their error"
        )
    if not overdispersion:
        return float(np.sqrt(max(meat, 0.0)) / bread)
    c2 = _moment(lambda x: (x * _score_of(loss, x)) ** 2) - delta**2
    # E[x² ψ'(x)] by parts: E[x³ ψ(x)] - 2 E[x ψ(x)].
    c3 = _moment(lambda x: x**3 * _score_of(loss, x)) - 2 * delta
    information = np.array([
        [bread, delta * float((vx * beta / v2).sum())],
        [0.0, (delta + c3) / 2 * float((1 / v2).sum())],
    ])  # fmt: skip
    scores = np.diag([meat, c2 * float((1 / v2).sum())])
    inverse = np.linalg.inv(information)
    return float(np.sqrt((inverse @ scores @ inverse.T)[0, 0]))


# -- checks ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Strength:
    """How well the instruments predict the exposure.

    Parameters
    ----------
    f
        F statistic of each, ``(variants,)``.
    joint_p
        Of none acting on the exposure.
    """

    f: Reals
    joint_p: float

    @property
    def n_weak(self) -> int:
        """Instruments with F below ``WEAK_F``."""
        return int((self.f < WEAK_F).sum())


def instrument_strength(instruments: Instruments) -> Strength:
    """Return F statistics; refuse instruments that do not predict the exposure.

    Raises
    ------
    NotIdentifiedError
        Together they are not associated with it (p above ``RELEVANCE_P``).
    """
    z = instruments.exposure_beta / instruments.exposure_se
    whitened = (
        z if instruments.ld is None
        else np.linalg.solve(np.linalg.cholesky(instruments.ld), z)
    )  # fmt: skip
    p = float(stats.chi2.sf(float((whitened**2).sum()), len(z)))
    if p > RELEVANCE_P:
        raise NotIdentifiedError(
            f"the {len(z)} instruments do not predict the exposure (joint p {p:.2g}): "
            "nothing can be said of its effect"
        )
    return Strength(z**2, p)


def leave_one_out(
    instruments: Instruments,
    estimator: Callable[[Instruments], Estimate] = inverse_variance_weighted,
) -> list[Estimate]:
    """Estimate without each instrument in turn, in their order."""
    _need(instruments, 2, "leaving one out")
    every = np.arange(len(instruments))
    return [estimator(instruments.take(np.delete(every, i))) for i in every]


@dataclass(frozen=True, slots=True)
class Direction:
    """Whether the instruments explain more of the exposure than of the outcome."""

    exposure_r2: float
    outcome_r2: float
    is_forward: bool
    p: float


def steiger_direction(
    instruments: Instruments, exposure_n: Reals, outcome_n: Reals
) -> Direction:
    """Test the direction of cause, of two quantitative traits.

    A variant's r2 is F / (F + n - 2). ``p`` is of equal correlations, by Fisher's z of two
    independent samples. Of a binary trait's log-odds the r2 is on the observed scale.

    Parameters
    ----------
    exposure_n, outcome_n
        Sample size of each variant, ``(variants,)``.
    """
    _need_independent(instruments, "Steiger's test")
    if not (np.isfinite(exposure_n) & np.isfinite(outcome_n)).all():
        raise InputError("Steiger's test needs the sample size of every variant")
    r2 = []
    for beta, se, n in (
        (instruments.exposure_beta, instruments.exposure_se, exposure_n),
        (instruments.outcome_beta, instruments.outcome_se, outcome_n),
    ):
        f = (beta / se) ** 2
        r2.append(float((f / (f + n - 2)).sum()))
    if max(r2) >= 1:
        raise InputError("the instruments explain more than all variance: check n")
    z = np.arctanh(np.sqrt(r2[0])) - np.arctanh(np.sqrt(r2[1]))
    error = np.sqrt(1 / (exposure_n.mean() - 3) + 1 / (outcome_n.mean() - 3))
    p = float(2 * stats.norm.sf(abs(z) / error))
    return Direction(r2[0], r2[1], r2[0] > r2[1], p)


# -- several exposures -------------------------------------------------------------------


def multivariable(
    exposures: Sequence[str],
    exposure_beta: Reals,
    exposure_se: Reals,
    outcome_beta: Reals,
    outcome_se: Reals,
    ld: Reals | None = None,
) -> list[Estimate]:
    """Estimate the direct effect of each exposure, the others held fixed.

    ``details`` holds the conditional F of Sanderson and Windmeijer, for exposures measured
    in different samples: below ``WEAK_F`` the instruments do not tell this exposure from
    the others.

    Parameters
    ----------
    exposure_beta, exposure_se
        ``(variants, exposures)``.
    outcome_beta, outcome_se
        ``(variants,)``.

    Raises
    ------
    NotIdentifiedError
        Fewer variants than exposures, or an exposure is a copy of others at the
        instruments.
    """
    n, k = exposure_beta.shape
    if n <= k:
        raise NotIdentifiedError(
            f"{k} exposures need more than {k} instruments; there are {n}"
        )
    if ld is not None:
        refuse_inseparable([f"variant {i + 1}" for i in range(n)], ld)
    fit = _regress(exposure_beta, outcome_beta, outcome_se, ld)
    return [
        _estimate(
            f"multivariable IVW: {name}", n, fit.coefficients[i], fit.error(i, "random"),
            details={
                "conditional_f": _conditional_f(exposure_beta, exposure_se, i),
                "q": fit.q,
                "q_freedom": float(fit.freedom),
                "q_p": float(stats.chi2.sf(fit.q, fit.freedom)),
            },
        )
        for i, name in enumerate(exposures)
    ]  # fmt: skip


def _conditional_f(beta: Reals, se: Reals, which: int) -> float:
    others = np.delete(np.arange(beta.shape[1]), which)
    own, rest = beta[:, which], beta[:, others]
    slopes, *_ = np.linalg.lstsq(rest, own, rcond=None)
    variance = se[:, which] ** 2 + (se[:, others] ** 2) @ slopes**2
    q = float(((own - rest @ slopes) ** 2 / variance).sum())
    return q / (len(own) - len(others))
