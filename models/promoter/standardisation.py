"""From measured values to z-scores and back; what is fitted sees training rows only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_registry.errors import InputError

MIN_ROWS = 50
"""Fewer measured promoters of a species do not make a calibration of their own."""


@dataclass(frozen=True, slots=True)
class Standardisation:
    """Mean and standard deviation of each condition, ``(conditions,)``."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]

    @classmethod
    def fit(
        cls, values: NDArray[np.floating], conditions: Sequence[str]
    ) -> "Standardisation":
        """Return mean and deviation of the rows given: those one learns from.

        Raises
        ------
        InputError
            A condition has fewer than two values, or all are the same.
        """
        mean, sd = np.zeros(len(conditions)), np.ones(len(conditions))
        for i, name in enumerate(conditions):
            known = values[~np.isnan(values[:, i]), i].astype(np.float64)
            if len(known) < 2 or known.std() == 0:
                raise InputError(
                    f"condition {name!r} has {len(known)} training values that do not "
                    "vary; leave it out of the table"
                )
            mean[i], sd[i] = known.mean(), known.std()
        return cls(mean, sd)

    def to_z(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return z-scores; NaN stays NaN."""
        return ((values - self.mean) / self.sd).astype(np.float32)

    def from_z(self, z: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return values on the measured scale."""
        return z * self.sd + self.mean


@dataclass(frozen=True, slots=True)
class Line:
    """``measured = intercept + slope * predicted``."""

    intercept: float
    slope: float

    @classmethod
    def fit(
        cls, predicted: NDArray[np.floating], measured: NDArray[np.floating]
    ) -> "Line":
        """Return the least-squares line; a flat one where predictions do not vary."""
        centred = predicted - predicted.mean()
        spread = float(centred @ centred)
        slope = (
            float(centred @ (measured - measured.mean())) / spread if spread else 0.0
        )
        return cls(float(measured.mean() - slope * predicted.mean()), slope)

    def __call__(self, predicted: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return calibrated values."""
        return self.intercept + self.slope * predicted.astype(np.float64)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A line for each condition, and one for each species with enough rows.

    Fitted on validation rows: those that neither taught nor judge. ``log2p1`` says that
    the measured scale is ``log2(1 + TPM)``; ``back`` then gives TPM.
    """

    lines: Mapping[str, Line]
    by_species: Mapping[str, Mapping[str, Line]] = field(default_factory=dict)
    log2p1: bool = False

    @classmethod
    def fit(
        cls,
        predicted: NDArray[np.floating],
        measured: NDArray[np.floating],
        species: NDArray[np.str_],
        conditions: Sequence[str],
        *,
        log2p1: bool = False,
    ) -> "Calibration":
        """Fit on ``(n, conditions)`` predictions and measurements, NaN where not known."""
        lines: dict[str, Line] = {}
        by_species: dict[str, dict[str, Line]] = {}
        for i, condition in enumerate(conditions):
            known = ~np.isnan(measured[:, i])
            if known.sum() < MIN_ROWS:
                lines[condition] = Line(0.0, 1.0)
                continue
            lines[condition] = Line.fit(predicted[known, i], measured[known, i])
            for name in np.unique(species[known]):
                rows = known & (species == name)
                if rows.sum() >= MIN_ROWS:
                    own = Line.fit(predicted[rows, i], measured[rows, i])
                    by_species.setdefault(str(name), {})[condition] = own
        return cls(lines, by_species, log2p1)

    def apply(
        self,
        predicted: NDArray[np.floating],
        condition: str,
        species: str | None = None,
    ) -> NDArray[np.float64]:
        """Return calibrated values of one condition, on the measured scale."""
        return self.line(condition, species)(predicted)

    def line(self, condition: str, species: str | None = None) -> Line:
        """Return the line of a species, or the condition's where it has none."""
        own = self.by_species.get(species, {}) if species else {}
        return own.get(condition, self.lines[condition])

    def back(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return TPM from ``log2(1 + TPM)``, never below 0; other scales as they are."""
        if not self.log2p1:
            return values.astype(np.float64)
        return np.maximum(np.exp2(values.astype(np.float64)) - 1.0, 0.0)
