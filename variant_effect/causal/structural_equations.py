"""Structural equations: mediation, and direct, indirect and total effects.

``mediate`` needs nothing but numpy: linear equations of observed quantities, after the
causal graph has said that the effects are identified. ``fit_equations`` fits any model that
semopy can (latent variables, several paths); it is in the extra ``causal``.

Sources: product of coefficients: MacKinnon 2008; bootstrap: Preacher & Hayes 2008, Behav.
Res. Methods 40:879; semopy: Meshcheryakov et al. 2021, arXiv:2106.01140.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_registry.errors import InputError, MissingOptionalError, NotIdentifiedError
from variant_effect.causal.causal_graph import CausalGraph, identify_mediation

Reals = NDArray[np.float64]

KINDS: Final = ("direct", "indirect", "total")
_TOLERANCE: Final = 1e-12
"""Of the fit; semopy's own 1e-6 is off in the third digit."""


@dataclass(frozen=True, slots=True)
class PathEffect:
    """One effect with its bootstrap interval.

    Parameters
    ----------
    low, high
        95 % percentile interval.
    """

    kind: str
    source: str
    target: str
    estimate: float
    se: float
    low: float
    high: float


def _with_intervals(
    names: Sequence[tuple[str, str, str]], values: Reals, drawn: Reals
) -> list[PathEffect]:
    """Put intervals to effects; ``drawn`` is ``(draws, effects)``."""
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    se = np.std(drawn, axis=0, ddof=1)
    return [
        PathEffect(*name, *(float(v) for v in row))
        for name, row in zip(
            names, np.column_stack([values, se, low, high]), strict=True
        )
    ]


@dataclass(frozen=True, slots=True)
class Mediation:
    """Direct, indirect and total effect of a treatment.

    Parameters
    ----------
    effects
        In the order of ``KINDS``.
    proportion
        Indirect of total; NaN where they differ in sign (then it has no meaning).
    adjust
        What was held fixed.
    n, n_incomplete
        Rows used, and rows left out because a value was missing.
    """

    treatment: str
    mediator: str
    outcome: str
    adjust: tuple[str, ...]
    effects: tuple[PathEffect, ...]
    proportion: float
    n: int
    n_incomplete: int


def mediate(
    graph: CausalGraph,
    data: pd.DataFrame,
    treatment: str,
    mediator: str,
    outcome: str,
    rng: np.random.Generator,
    *,
    draws: int = 2_000,
    cluster: str = "",
) -> Mediation:
    """Split a linear effect into what passes through a mediator and what does not.

    Parameters
    ----------
    cluster
        Column of families or populations: these are resampled whole, because their members
        are no independent draws. Empty: rows.

    Raises
    ------
    NotIdentifiedError
        The graph does not identify the effects, or mediator and treatment are copies of
        each other in the data.
    InputError
        A column is missing.
    """
    adjust = identify_mediation(graph, treatment, mediator, outcome)
    wanted = [treatment, mediator, outcome, *adjust, *([cluster] if cluster else [])]
    if lacking := [name for name in wanted if name not in data]:
        raise InputError(f"the data lack the column {lacking[0]!r}")
    table = data[wanted].dropna()
    if len(table) < len(adjust) + 6:
        raise NotIdentifiedError(
            f"{len(table)} complete rows are too few for mediation"
        )
    values = table[[treatment, mediator, outcome, *adjust]].to_numpy(np.float64)
    held = values[:, 3:]
    base = np.column_stack([np.ones(len(values)), held])
    left = values[:, :2] - base @ np.linalg.lstsq(base, values[:, :2], rcond=None)[0]
    spread = left.std(axis=0)
    if (spread < 1e-12).any() or abs(np.corrcoef(left.T)[0, 1]) > 1 - 1e-9:
        raise NotIdentifiedError(
            f"{treatment} and {mediator} are copies of each other, or do not vary: their "
            "effects cannot be told apart"
        )

    def split(rows: NDArray[np.int64]) -> Reals:
        v = values[rows]
        design = np.column_stack([np.ones(len(v)), v[:, [0]], v[:, 3:]])
        a = np.linalg.lstsq(design, v[:, 1], rcond=None)[0][1]
        design = np.column_stack([design, v[:, 1]])
        slopes = np.linalg.lstsq(design, v[:, 2], rcond=None)[0]
        direct, indirect = slopes[1], a * slopes[-1]
        return np.array([direct, indirect, direct + indirect])

    every = np.arange(len(values))
    label = table[cluster].to_numpy() if cluster else every
    found = split(every)
    drawn = np.stack([split(rows) for rows in _resamples(label, rng, draws)])
    effects = _with_intervals(
        [(kind, treatment, outcome) for kind in KINDS], found, drawn
    )
    share = found[1] / found[2] if found[1] * found[0] >= 0 and found[2] else np.nan
    return Mediation(
        treatment, mediator, outcome, adjust, tuple(effects), float(share), len(table),
        len(data) - len(table),
    )  # fmt: skip


def _resamples(
    label: NDArray[Any], rng: np.random.Generator, draws: int
) -> list[NDArray[np.int64]]:
    """Draw whole clusters with replacement; the rows of each resample."""
    _, code = np.unique(label, return_inverse=True)
    order = np.argsort(code, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
    return [
        np.concatenate([parts[i] for i in rng.integers(len(parts), size=len(parts))])
        for _ in range(draws)
    ]


# -- semopy ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Equations:
    """A fitted model.

    Parameters
    ----------
    parameters
        ``target``, ``operator`` (``~``, ``~~``, ``=~``), ``source``, ``estimate``, ``se``,
        ``p`` (NaN where fixed).
    fit
        ``chi2``, ``freedom``, ``p``, ``cfi``, ``rmsea`` and others.
    """

    parameters: pd.DataFrame
    fit: Mapping[str, float]
    n: int

    def slopes(self) -> "nx.DiGraph[str]":
        """Return the regressions as a graph with the slope of each edge."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        rows = self.parameters[self.parameters["operator"] == "~"]
        for row in rows.to_dict("records"):
            graph.add_edge(row["source"], row["target"], slope=row["estimate"])
        return graph


def fit_equations(model: str, data: pd.DataFrame) -> Equations:
    """Fit structural equations to covariances by maximum likelihood; means are not modelled.

    Parameters
    ----------
    model
        In lavaan's syntax: ``y ~ x`` (regression), ``f =~ x1 + x2`` (latent variable),
        ``a ~~ b`` (covariance).
    data
        Observed columns; rows with missing values are left out.

    Raises
    ------
    MissingOptionalError
        semopy is not installed.
    InputError
        The model cannot be read, or names a column that is not there.
    NotIdentifiedError
        More parameters than the covariances can tell, or no solution was reached.
    """
    try:
        import semopy
    except ImportError as error:
        raise MissingOptionalError(
            "semopy is not installed: pip install 'cisgraph[causal]'"
        ) from error
    fitted: Any = semopy.Model(model)
    observed = sorted(fitted.vars["observed"])
    if lacking := [name for name in observed if name not in data]:
        raise InputError(f"the model names {lacking[0]!r}, which the data lack")
    table = data[observed].dropna()
    try:
        solution = fitted.fit(table, options={"ftol": _TOLERANCE})
    except (np.linalg.LinAlgError, ValueError, KeyError) as error:
        raise NotIdentifiedError(f"the model cannot be fitted: {error}") from error
    n_free = len(fitted.param_vals)
    n_moments = len(observed) * (len(observed) + 1) // 2
    if n_free > n_moments:
        raise NotIdentifiedError(
            f"{n_free} parameters and {n_moments} moments of {len(observed)} observed "
            "columns: the model is not identified. Fix or leave out parameters"
        )
    success = getattr(solution, "success", True)
    if not success:
        raise NotIdentifiedError("the fit reached no solution: simplify the model")
    inspected = fitted.inspect()
    numbers = inspected[["Estimate", "Std. Err", "p-value"]].apply(
        pd.to_numeric, errors="coerce"
    )
    # semopy writes a loading as a regression of the indicator on the latent variable.
    loads = (
        (inspected["op"] == "~")
        & inspected["lval"].isin(fitted.vars["indicator"])
        & inspected["rval"].isin(fitted.vars["latent"])
    )
    parameters = pd.DataFrame({
        "target": inspected["lval"].where(~loads, inspected["rval"]).astype(str),
        "operator": inspected["op"].where(~loads, "=~"),
        "source": inspected["rval"].where(~loads, inspected["lval"]).astype(str),
        "estimate": numbers["Estimate"], "se": numbers["Std. Err"],
        "p": numbers["p-value"],
    })  # fmt: skip
    measures = semopy.calc_stats(fitted).iloc[0]
    names = {"chi2": "chi2", "DoF": "freedom", "chi2 p-value": "p", "CFI": "cfi",
             "TLI": "tli", "RMSEA": "rmsea", "AIC": "aic", "BIC": "bic"}  # fmt: skip
    fit = {new: float(measures[old]) for old, new in names.items() if old in measures}
    return Equations(parameters, fit, len(table))


def path_effects(
    slopes: "nx.DiGraph[str]", source: str, target: str
) -> tuple[float, ...]:
    """Return direct, indirect and total effect along directed paths.

    The total effect is the sum over paths of the product of slopes.
    """
    total = 0.0
    for path in nx.all_simple_paths(slopes, source, target):
        product = 1.0
        for a, b in pairwise(path):
            product *= slopes.edges[a, b]["slope"]
        total += product
    direct = (
        float(slopes.edges[source, target]["slope"])
        if slopes.has_edge(source, target)
        else 0.0
    )
    return direct, total - direct, total


def bootstrap_effects(
    model: str,
    data: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    rng: np.random.Generator,
    *,
    draws: int = 200,
    cluster: str = "",
) -> list[PathEffect]:
    """Fit a model and resamples of its data; effects between pairs with intervals.

    Resamples whose fit reaches no solution are drawn again, at most as many as ``draws``.
    """
    base = fit_equations(model, data)
    graph = base.slopes()
    for pair in pairs:
        for name in pair:
            if name not in graph:
                raise InputError(f"{name!r} stands in no regression of the model")
    names = [(kind, *pair) for pair in pairs for kind in KINDS]
    found = np.concatenate([path_effects(graph, *pair) for pair in pairs])
    label = data[cluster].to_numpy() if cluster else np.arange(len(data))
    drawn: list[Reals] = []
    for rows in _resamples(label, rng, 2 * draws):
        if len(drawn) == draws:
            break
        try:
            slopes = fit_equations(model, data.iloc[rows]).slopes()
        except NotIdentifiedError:
            continue
        drawn.append(np.concatenate([path_effects(slopes, *pair) for pair in pairs]))
    if len(drawn) < draws:
        raise NotIdentifiedError(
            f"only {len(drawn)} of {2 * draws} resamples have a solution: the data hardly "
            "determine the model"
        )
    return _with_intervals(names, found, np.stack(drawn))
