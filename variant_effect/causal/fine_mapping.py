"""Fine-mapping by the sum of single effects (SuSiE).

A trait is a sum of a few effects, each of one unknown variant of the locus; each gives a
credible set. From genotypes, or from z-scores with their LD matrix. Scores of variants can
be prior weights.

Sources: Wang et al. 2020, J. R. Stat. Soc. B 82:1273; summary statistics and refinement:
Zou et al. 2022, PLoS Genet. 18:e1010299; learning the weight of a score: Carbonetto &
Stephens 2013, PLoS Genet. 9:e1003770.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.special import logsumexp

from data_registry.errors import InputError, NotIdentifiedError
from variant_effect.causal.linkage import (
    INSEPARABLE_R2,
    check_correlation,
    correlate,
    inseparable_from,
)

Reals = NDArray[np.float64]
Places = NDArray[np.int64]

MAX_VARIANTS: Final = 10_000
"""Of a locus: the matrix takes 8 bytes a pair."""
VARIANTS_PER_EFFECT: Final = 5
"""With more effects, in a locus of few variants each would be likely a priori."""
COVERAGE: Final = 0.95
PURITY: Final = 0.5
"""Least |r| within a credible set; a set that is less pure tells nothing."""
NO_EFFECT: Final = 1e-9
"""An effect of a smaller prior variance is none."""
ENRICHMENTS: Final = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Log-odds a unit of score that ``learn_enrichment`` chooses from."""


@dataclass(frozen=True, slots=True)
class Locus:
    """Sufficient statistics of standardised genotypes and a centred trait.

    Parameters
    ----------
    ld
        r between variants, ``(variants, variants)``.
    xty
        Of genotypes with variance 1, ``(variants,)``.
    yty
        Sum of squares of the trait.
    n
        Samples, less one for each covariate.
    estimates_residual
        True where trait and genotypes are of the same samples; else the residual variance
        is the trait's.
    """

    ld: Reals
    xty: Reals
    yty: float
    n: int
    estimates_residual: bool

    @property
    def z(self) -> Reals:
        """Z-score of each variant alone, ``(variants,)``."""
        xtx = self.n - 1.0
        beta = self.xty / xtx
        residual = (self.yty - beta * self.xty) / (self.n - 2)
        found: Reals = beta / np.sqrt(residual / xtx)
        return found


def locus_from_genotypes(
    dosages: Reals, trait: Reals, covariates: Reals | None = None
) -> Locus:
    """Prepare a locus from individuals.

    Parameters
    ----------
    dosages
        Copies of the effect allele, ``(samples, variants)``; NaN (not called) is taken as
        the variant's mean.
    trait
        ``(samples,)``, finite.
    covariates
        ``(samples, covariates)``: batch, principal components of population structure.
        They are regressed out of trait and genotypes.

    Raises
    ------
    InputError
        Shapes differ, a value is missing, or a variant does not vary.
    """
    n, p = dosages.shape
    if trait.shape != (n,) or not np.isfinite(trait).all():
        raise InputError(f"trait: {n} finite values are needed, one a sample")
    _check_size(p)
    x = np.where(np.isnan(dosages), np.nanmean(dosages, axis=0), dosages)
    base = np.ones((n, 1))
    if covariates is not None:
        if covariates.shape[:1] != (n,) or not np.isfinite(covariates).all():
            raise InputError(f"covariates: {n} rows of finite values are needed")
        base = np.column_stack([base, covariates])
    basis, triangle = np.linalg.qr(base)
    basis = basis[:, np.abs(np.diag(triangle)) > 1e-10 * np.abs(triangle).max()]
    left = n - basis.shape[1] + 1
    if left < 4:
        raise NotIdentifiedError(
            f"{n} samples are too few for {base.shape[1] - 1} covariates"
        )
    x = x - basis @ (basis.T @ x)
    y = trait - basis @ (basis.T @ trait)
    length = np.sqrt((x**2).sum(axis=0) / (left - 1))
    if (length < 1e-8).any():
        raise InputError(
            f"variant {int(np.argmin(length)) + 1} of the locus does not vary "
            "(or not beyond the covariates): leave it out"
        )
    x = x / length
    return Locus(correlate(x), x.T @ y, float(y @ y), left, estimates_residual=True)


def locus_from_summary(z: Reals, ld: Reals, n: float) -> Locus:
    """Prepare a locus from z-scores and LD.

    Parameters
    ----------
    z
        ``(variants,)``, of the same effect alleles as the LD.
    n
        Sample size; effects are then in standard deviations of the trait.

    Raises
    ------
    InputError
        Shapes differ, values are missing, or the matrix is no correlation matrix.
    """
    p = len(z)
    if ld.shape != (p, p) or not np.isfinite(z).all():
        raise InputError(f"{p} finite z-scores and a {p} x {p} LD matrix are needed")
    if not n > 3:
        raise InputError(f"sample size {n:g}: give the number of samples of the study")
    _check_size(p)
    check_correlation(ld)
    # A z-score that is large for n says that the residual variance is below 1.
    shrunk = z * np.sqrt((n - 1) / (z**2 + n - 2))
    return Locus(
        (ld + ld.T) / 2,
        np.sqrt(n - 1) * shrunk,
        n - 1.0,
        int(n),
        estimates_residual=False,
    )


def _check_size(p: int) -> None:
    if p > MAX_VARIANTS:
        raise InputError(
            f"{p:,} variants: a locus may hold {MAX_VARIANTS:,}; narrow the region"
        )


@dataclass(frozen=True, slots=True)
class SusieFit:
    """Posterior of all effects.

    Parameters
    ----------
    inclusion
        Probability that effect *l* is variant *j*, ``(effects, variants)``.
    mean, second_moment
        Of the effect if it is that variant, in units of a standardised genotype.
    log_bf
        Log Bayes factor of each variant against no effect.
    prior_variance
        ``(effects,)``; 0: no such effect.
    elbo
        Evidence lower bound after each round.
    """

    inclusion: Reals
    mean: Reals
    second_moment: Reals
    log_bf: Reals
    prior_variance: Reals
    prior_weights: Reals
    residual_variance: float
    elbo: tuple[float, ...]
    converged: bool

    @property
    def pip(self) -> Reals:
        """Posterior inclusion probability of each variant, ``(variants,)``."""
        real = self.prior_variance > NO_EFFECT
        found: Reals = 1 - np.prod(1 - self.inclusion[real], axis=0)
        return found


@dataclass(slots=True)
class _Posterior:
    """What ``_fit_single`` says of one effect."""

    inclusion: Reals
    mean: Reals
    second_moment: Reals
    log_bf: Reals
    prior_variance: float
    log_evidence: float


def _fit_single(
    xtr: Reals, xtx: float, prior: Reals, residual: float, variance: float
) -> _Posterior:
    """Fit one effect to residuals; its prior variance by maximum likelihood."""
    beta, error = xtr / xtx, residual / xtx
    half_z2 = 0.5 * beta**2 / error
    # A variant that the prior forbids must not overflow either; its weight is 0 anyway.
    allowed = np.where(prior > 0, half_z2, 0.0)
    best = float(allowed.max())

    def weigh(v: float) -> tuple[Reals, float]:
        """Return weights (not summing to 1) of the variants, and the log evidence."""
        shrink = v / (v + error)
        weights: Reals = prior * np.exp((allowed - best) * shrink)
        log_sum = np.log(weights.sum()) + best * shrink
        return weights, float(log_sum + 0.5 * np.log1p(-shrink))

    found = optimize.minimize_scalar(
        lambda log_v: -weigh(float(np.exp(log_v)))[1], bounds=(-30.0, 15.0),
        method="bounded", options={"xatol": 1e-6},
    )  # fmt: skip
    variance = max(float(np.exp(found.x)), variance, key=lambda v: weigh(v)[1])
    if weigh(variance)[1] <= 0.0:
        variance = 0.0
    weights, evidence = weigh(variance)
    shrink = variance / (variance + error)
    log_bf = 0.5 * np.log1p(-shrink) + half_z2 * shrink
    mean = shrink * beta
    return _Posterior(
        weights / weights.sum(),
        mean,
        shrink * error + mean**2,
        log_bf,
        variance,
        evidence,
    )


def fit_susie(
    locus: Locus,
    *,
    n_effects: int = 10,
    prior_weights: Reals | None = None,
    tolerance: float = 1e-3,
    max_rounds: int = 500,
    start: SusieFit | None = None,
) -> SusieFit:
    """Fit the sum of single effects by coordinate ascent.

    Parameters
    ----------
    n_effects
        At most so many, and at most one for ``VARIANTS_PER_EFFECT`` variants; those that
        are not needed get variance 0.
    prior_weights
        Of each variant, ``(variants,)``, at least 0; only their ratios matter. None: equal.
    tolerance
        Of the evidence lower bound, at which the rounds stop.
    start
        Begin at this fit's effects.

    Raises
    ------
    InputError
        The prior weights are not usable.
    """
    p = len(locus.xty)
    n_effects = min(n_effects, max(1, p // VARIANTS_PER_EFFECT))
    weights = np.full(p, 1.0) if prior_weights is None else prior_weights
    if weights.shape != (p,) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError(f"prior weights: {p} numbers of at least 0 are needed")
    if not weights.any():
        raise InputError("prior weights: all are 0")
    weights = weights / weights.sum()

    xtx = locus.n - 1.0
    residual = locus.yty / xtx
    if start is None:
        inclusion = np.zeros((n_effects, p))
        mean, second = np.zeros((n_effects, p)), np.zeros((n_effects, p))
        variance = np.full(n_effects, 0.2 * residual)
    else:
        inclusion, mean = start.inclusion.copy(), start.mean.copy()
        second, variance = start.second_moment.copy(), start.prior_variance.copy()
        residual = start.residual_variance
    log_bf, kl = np.zeros((n_effects, p)), np.zeros(n_effects)
    # Effects do not change the residual through anything but XtX b, kept per effect.
    fitted = xtx * (inclusion * mean) @ locus.ld
    elbo: list[float] = []
    for _ in range(max_rounds):
        for effect in range(n_effects):
            xtr = locus.xty - fitted.sum(axis=0) + fitted[effect]
            one = _fit_single(xtr, xtx, weights, residual, float(variance[effect]))
            inclusion[effect], mean[effect] = one.inclusion, one.mean
            second[effect], log_bf[effect] = one.second_moment, one.log_bf
            variance[effect] = one.prior_variance
            b, b2 = one.inclusion * one.mean, one.inclusion * one.second_moment
            kl[effect] = -one.log_evidence + (b @ xtr - 0.5 * xtx * b2.sum()) / residual
            fitted[effect] = xtx * (b @ locus.ld)
        b = inclusion * mean
        # Expected sum of squared residuals, over the posterior.
        squares = locus.yty - 2 * b.sum(axis=0) @ locus.xty
        squares += b.sum(axis=0) @ fitted.sum(axis=0) - (b * fitted).sum()
        squares += xtx * (inclusion * second).sum()
        bound = -0.5 * locus.n * np.log(2 * np.pi * residual) - squares / (2 * residual)
        elbo.append(float(bound - kl.sum()))
        if len(elbo) > 1 and abs(elbo[-1] - elbo[-2]) < tolerance:
            break
        if locus.estimates_residual:
            residual = float(squares / locus.n)
    converged = len(elbo) < max_rounds
    return SusieFit(
        inclusion, mean, second, log_bf, variance, weights, float(residual), tuple(elbo),
        converged,
    )  # fmt: skip


def refine_susie(locus: Locus, fit: SusieFit, *, max_rounds: int = 10) -> SusieFit:
    """Leave local optima: forbid each credible set in turn, fit, release, keep the better.

    Costs two fits a credible set and round.
    """
    n_effects = len(fit.prior_variance)
    for _ in range(max_rounds):
        best = fit
        for found in credible_sets(locus, fit):
            weights = fit.prior_weights.copy()
            weights[found.variants] = 0.0
            if not weights.any():
                continue
            without = fit_susie(locus, n_effects=n_effects, prior_weights=weights)
            again = fit_susie(
                locus,
                n_effects=n_effects,
                prior_weights=fit.prior_weights,
                start=without,
            )
            best = max(best, again, key=lambda f: f.elbo[-1])
        if best.elbo[-1] - fit.elbo[-1] <= 1e-3:
            return fit
        fit = best
    return fit


# -- credible sets -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CredibleSet:
    """The smallest set of variants that holds one effect with the wanted probability.

    Parameters
    ----------
    effect
        Which effect of the fit.
    variants
        Indices, the most probable first.
    coverage
        Probability that the effect is one of them.
    purity
        Least |r| between two of them.
    log10_bf
        Of the effect against none, prior weights included.
    inseparable
        Other variants with r2 of at least ``INSEPARABLE_R2`` to the most probable one:
        within this LD block no data of these samples can tell them apart.
    """

    effect: int
    variants: Places
    coverage: float
    purity: float
    log10_bf: float
    inseparable: Places

    @property
    def verdict(self) -> str:
        """What can be said of which variant it is, in words."""
        n, k = len(self.variants), len(self.inseparable)
        size = "one variant" if n == 1 else f"one of {n} variants"
        if not k:
            return size
        return (
            f"{size}; the best is not separable within this LD block from {k} "
            f"other{'s' if k > 1 else ''} (r2 >= {INSEPARABLE_R2})"
        )


def credible_sets(
    locus: Locus, fit: SusieFit, *, coverage: float = COVERAGE, purity: float = PURITY
) -> list[CredibleSet]:
    """Return the credible sets that are pure enough, the strongest effect first."""
    found: list[CredibleSet] = []
    seen: set[tuple[int, ...]] = set()
    for effect in np.flatnonzero(fit.prior_variance > NO_EFFECT):
        chance = fit.inclusion[effect]
        order = np.argsort(-chance, kind="stable")
        size = int(np.searchsorted(np.cumsum(chance[order]), coverage)) + 1
        variants = order[:size].astype(np.int64)
        key = tuple(sorted(variants))
        least = float(np.abs(locus.ld[np.ix_(variants, variants)]).min())
        if key in seen or least < purity:
            continue
        seen.add(key)
        with np.errstate(divide="ignore"):
            evidence = logsumexp(np.log(fit.prior_weights) + fit.log_bf[effect])
        found.append(CredibleSet(
            int(effect), variants, float(chance[variants].sum()), least,
            float(evidence / np.log(10)), inseparable_from(locus.ld, int(variants[0])),
        ))  # fmt: skip
    return sorted(found, key=lambda s: -s.log10_bf)


# -- scores as prior weights -------------------------------------------------------------


def weigh_by_score(score: Reals, enrichment: float) -> Reals:
    """Turn scores into prior weights, ``exp(enrichment * score)``.

    Parameters
    ----------
    score
        ``(variants,)``; NaN counts as the mean of the others.
    enrichment
        Log-odds of being causal a unit of score; 0 gives equal weights.
    """
    known = score[np.isfinite(score)]
    if not len(known):
        raise InputError("no variant of the locus has a score")
    full = np.where(np.isfinite(score), score, known.mean())
    found: Reals = np.exp(enrichment * (full - full.max()))
    return found


@dataclass(frozen=True, slots=True)
class Enrichment:
    """How much the data of some loci lean on a score.

    Parameters
    ----------
    value
        The ``ENRICHMENTS`` value with the highest evidence, or their mean by evidence.
    evidence
        Sum of the loci's log evidence at each value, against equal weights.
    """

    value: float
    evidence: dict[float, float]


def learn_enrichment(
    loci: Sequence[Locus], scores: Sequence[Reals], *, n_effects: int = 10
) -> Enrichment:
    """Learn the weight of a score from loci: the mean over a grid, weighed by evidence.

    Equal weights are on the grid, so a score that does not help is not leaned on much. One
    locus says little: use as many as there are.
    """
    bounds = {
        value: sum(
            fit_susie(
                locus, n_effects=n_effects, prior_weights=weigh_by_score(score, value)
            ).elbo[-1]
            for locus, score in zip(loci, scores, strict=True)
        )
        for value in ENRICHMENTS
    }
    base = bounds[0.0]
    evidence = {value: bound - base for value, bound in bounds.items()}
    logs = np.array(list(evidence.values()))
    weights = np.exp(logs - logsumexp(logs))
    return Enrichment(float(weights @ np.array(list(evidence))), evidence)


# -- do z-scores and LD fit each other? --------------------------------------------------


@dataclass(frozen=True, slots=True)
class Consistency:
    """How well z-scores agree with the LD matrix.

    Parameters
    ----------
    mismatch
        Share *s* in z ~ N(0, (1 - s) R + s I) by maximum likelihood; near 0 is good.
    expected
        Each z-score as the others predict it, ``(variants,)``.
    flipped
        Variants whose z-score fits much better with the other sign: their alleles are
        probably swapped.
    """

    mismatch: float
    expected: Reals
    flipped: Places


def check_consistency(z: Reals, ld: Reals) -> Consistency:
    """Compare z-scores with their prediction from the other variants and the LD.

    The same idea as susieR's ``kriging_rss`` (Zou et al. 2022), with a plain normal in place
    of its mixture: flipped is a gain of more than 2 in log-likelihood, at |z| > 2 and an
    observed value more than 3 standard deviations off.
    """
    values, vectors = np.linalg.eigh(ld)
    values = np.maximum(values, 0.0)
    turned = vectors.T @ z

    def misfit(s: float) -> float:
        spread = np.maximum((1 - s) * values + s, 1e-12)
        return float(0.5 * np.log(spread).sum() + 0.5 * (turned**2 / spread).sum())

    mismatch = float(optimize.minimize_scalar(
        misfit, bounds=(1e-6, 1.0), method="bounded", options={"xatol": 1e-8}
    ).x)  # fmt: skip
    share = max(mismatch, 1e-3)
    precision = (vectors / ((1 - share) * values + share)) @ vectors.T
    variance = 1 / np.diag(precision)
    expected = z - variance * (precision @ z)
    spread = np.sqrt(variance)
    off, off_flipped = (z - expected) / spread, (-z - expected) / spread
    gain = stats.norm.logpdf(off_flipped) - stats.norm.logpdf(off)
    flipped = (gain > 2) & (np.abs(z) > 2) & (np.abs(off) > 3)
    return Consistency(mismatch, expected, np.flatnonzero(flipped))
