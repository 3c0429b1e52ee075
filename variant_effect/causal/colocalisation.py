"""Colocalisation: whether two traits share a causal variant at a locus.

Five hypotheses: no effect (0), one on the first trait only (1), on the second only (2), on
both by different variants (3), on both by the same variant (4).

Sources: Giambartolomei et al. 2014, PLoS Genet. 10:e1004383; Bayes factors: Wakefield 2009,
Genet. Epidemiol. 33:79; several effects a trait through SuSiE: Wallace 2021, PLoS Genet.
17:e1009440.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from data_registry.errors import InputError, NotIdentifiedError
from variant_effect.causal.fine_mapping import (
    COVERAGE,
    PURITY,
    Locus,
    SusieFit,
    credible_sets,
)
from variant_effect.causal.linkage import INSEPARABLE_R2

Reals = NDArray[np.float64]

HYPOTHESES: Final = (
    "none",
    "first only",
    "second only",
    "different variants",
    "shared",
)
PRIOR_SD_QUANTITATIVE: Final = 0.15
"""Of an effect, in standard deviations of the trait (coloc's default)."""
PRIOR_SD_BINARY: Final = 0.2
"""Of a log odds ratio."""


@dataclass(frozen=True, slots=True)
class Priors:
    """Probabilities that a variant acts on the first trait, the second, both."""

    first: float = 1e-4
    second: float = 1e-4
    both: float = 1e-5

    def __post_init__(self) -> None:
        values = (self.first, self.second, self.both)
        if not all(0 < v < 1 for v in values) or sum(values) >= 1:
            raise InputError(f"priors {values}: each in (0, 1), their sum below 1")


@dataclass(frozen=True, slots=True)
class Colocalisation:
    """Posterior of the hypotheses.

    Parameters
    ----------
    posterior
        Of hypotheses 0 to 4, sums to 1.
    shared
        Probability that each variant is the shared one, given hypothesis 4,
        ``(variants,)``.
    first_best, second_best
        Most probable variant of each trait.
    r2
        Between these two; NaN where LD is not known.
    first_effect, second_effect
        Which effects of the two SuSiE fits; None with one effect a trait.
    """

    posterior: tuple[float, ...]
    shared: Reals
    first_best: int
    second_best: int
    r2: float
    first_effect: int | None = None
    second_effect: int | None = None

    @property
    def verdict(self) -> str:
        """What can be said, in words."""
        best = int(np.argmax(self.posterior))
        name = HYPOTHESES[best]
        if self.posterior[best] < 0.5:
            return "undecided"
        if (
            best == 4
            and self.first_best != self.second_best
            and self.r2 >= INSEPARABLE_R2
        ):
            return (
                "shared, or two variants not separable within this LD block "
                f"(r2 {self.r2:.2f} between the best of each)"
            )
        return name


def approximate_bayes_factors(beta: Reals, se: Reals, prior_sd: float) -> Reals:
    """Return Wakefield's log Bayes factors of an effect against none, ``(variants,)``.

    Parameters
    ----------
    prior_sd
        Standard deviation of a true effect, in the units of ``beta``.
    """
    if not (np.isfinite(beta) & np.isfinite(se) & (se > 0)).all():
        raise InputError("effects must be finite and standard errors positive")
    shrink = prior_sd**2 / (prior_sd**2 + se**2)
    found: Reals = 0.5 * (np.log1p(-shrink) + shrink * (beta / se) ** 2)
    return found


def estimate_trait_sd(se: Reals, frequency: Reals, n: Reals) -> float:
    """Estimate a quantitative trait's standard deviation from errors and frequencies.

    The slope of ``2 n f (1 - f)`` on ``1 / se²`` through the origin, as coloc's ``sdY.est``.

    Raises
    ------
    InputError
        Frequencies or sample sizes are missing.
    """
    known = np.isfinite(frequency) & np.isfinite(n)
    if not known.any():
        raise InputError(
            "the trait's standard deviation is not known: give it, or give frequencies and "
            "sample sizes"
        )
    information = 1 / se[known] ** 2
    spread = 2 * n[known] * frequency[known] * (1 - frequency[known])
    slope = float(information @ spread / (information @ information))
    if slope <= 0:
        raise InputError(
            "no frequency lies between 0 and 1: the trait's sd is not known"
        )
    return float(np.sqrt(slope))


def colocalise(
    first_log_bf: Reals,
    second_log_bf: Reals,
    priors: Priors | None = None,
    ld: Reals | None = None,
) -> Colocalisation:
    """Weigh the five hypotheses, at most one causal variant a trait.

    Parameters
    ----------
    first_log_bf, second_log_bf
        Of the same variants in the same order, ``(variants,)``.
    ld
        r between them; only for the verdict.
    """
    if first_log_bf.shape != second_log_bf.shape or not len(first_log_bf):
        raise InputError("both traits need Bayes factors of the same variants")
    priors = priors or Priors()
    both = first_log_bf + second_log_bf
    one, two, same = (float(logsumexp(v)) for v in (first_log_bf, second_log_bf, both))
    # Pairs of different variants: all pairs less the pairs of one variant with itself.
    different = one + two + _log1m_exp(same - one - two)
    first, second, shared = (
        np.log(priors.first), np.log(priors.second), np.log(priors.both)
    )  # fmt: skip
    logs = np.array(
        [0.0, first + one, second + two, first + second + different, shared + same]
    )
    posterior = np.exp(logs - logsumexp(logs))
    a, b = int(first_log_bf.argmax()), int(second_log_bf.argmax())
    r2 = float(ld[a, b] ** 2) if ld is not None else np.nan
    return Colocalisation(
        tuple(float(v) for v in posterior), np.exp(both - same), a, b, r2
    )


def _log1m_exp(x: float) -> float:
    """Return ln(1 - e^x), for x <= 0; -inf at 0 (one variant: no pair of different ones)."""
    return float(np.log(-np.expm1(x))) if x < 0 else -np.inf


def colocalise_effects(
    loci: tuple[Locus, Locus],
    fits: tuple[SusieFit, SusieFit],
    priors: Priors | None = None,
    *,
    coverage: float = COVERAGE,
    purity: float = PURITY,
) -> list[Colocalisation]:
    """Weigh the hypotheses for each pair of credible sets of two SuSiE fits.

    Both fits are of the same variants in the same order.

    Raises
    ------
    NotIdentifiedError
        A trait has no credible set: it has no effect here that could be shared.
    """
    sets = [
        credible_sets(locus, fit, coverage=coverage, purity=purity)
        for locus, fit in zip(loci, fits, strict=True)
    ]
    for name, own in zip(("first", "second"), sets, strict=True):
        if not own:
            raise NotIdentifiedError(
                f"the {name} trait has no credible set at this locus: there is no effect "
                "whose sharing could be asked"
            )
    results = []
    for one in sets[0]:
        for two in sets[1]:
            found = colocalise(
                fits[0].log_bf[one.effect],
                fits[1].log_bf[two.effect],
                priors,
                loci[0].ld,
            )
            results.append(
                Colocalisation(
                    found.posterior, found.shared, found.first_best, found.second_best,
                    found.r2, one.effect, two.effect,
                )
            )  # fmt: skip
    return results


def sensitivity(
    first_log_bf: Reals, second_log_bf: Reals, priors: Priors | None = None
) -> list[tuple[float, float]]:
    """Return the prior of a shared variant, from 1e-8 to its largest, and P(shared)."""
    priors = priors or Priors()
    top = min(priors.first, priors.second)
    grid = np.geomspace(1e-8, top, 17)
    return [
        (float(both), colocalise(
            first_log_bf, second_log_bf, Priors(priors.first, priors.second, float(both))
        ).posterior[4])
        for both in grid
    ]  # fmt: skip
