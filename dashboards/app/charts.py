"""Charts of pages, drawn by Vega-Lite; each can be saved as SVG or PNG from its menu."""

from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from dashboards.app.scores import Comparison, Histogram
from dashboards.app.theme import ACCENT, IMPACT_COLOURS, QUIET
from dashboards.app.words import label

_SAVEABLE: Final = {
    "embedOptions": {
        "actions": {
            "export": True,
            "source": False,
            "compiled": False,
            "editor": False,
        },
    }
}


def saveable(chart: Any) -> Any:  # noqa: ANN401  # Altair's classes are generated
    """Give a chart the menu that saves it as SVG or PNG."""
    return chart.properties(usermeta=_SAVEABLE)


def histogram_table(held: Histogram) -> pd.DataFrame:
    """Return the bins of a histogram with the counts of both sets."""
    return pd.DataFrame(
        {
            "from": held.edges[:-1], "to": held.edges[1:],
            "all scored": held.everything, "shown": held.chosen,
        }
    )  # fmt: skip


def distribution(held: Histogram, column: str, mark: float | None = None) -> Any:  # noqa: ANN401
    """Draw a score's distribution: the alleles shown over all scored ones, as shares.

    Parameters
    ----------
    mark
        A value to point out.
    """
    table = histogram_table(held)
    for name in ("all scored", "shown"):
        total = max(int(table[name].sum()), 1)
        table[f"{name} %"] = table[name] / total * 100
    x = alt.X("from:Q", title=label(column), bin="binned")
    tips = [
        alt.Tooltip("from:Q", format=".3g"), alt.Tooltip("to:Q", format=".3g"),
        alt.Tooltip("all scored:Q", format=","), alt.Tooltip("shown:Q", format=","),
    ]  # fmt: skip
    base = alt.Chart(table)
    back = base.mark_bar(color=QUIET, opacity=0.45).encode(
        x=x, x2="to", y=alt.Y("all scored %:Q", title="% of alleles"), tooltip=tips
    )
    front = base.mark_bar(color=ACCENT, opacity=0.65).encode(
        x=x, x2="to", y="shown %:Q", tooltip=tips
    )
    layers = [back, front]
    if mark is not None:
        rule = alt.Chart(pd.DataFrame({"value": [mark]}))
        layers.append(
            rule.mark_rule(color=IMPACT_COLOURS["HIGH"], strokeWidth=2).encode(
                x="value:Q"
            )
        )
    return saveable(alt.layer(*layers).properties(height=220))


def comparison(held: Comparison, x: str, y: str) -> Any:  # noqa: ANN401
    """Draw two scores against each other: the darker, the more alleles."""
    cells = held.cells.assign(
        log=np.log10(np.maximum(held.cells["n"].to_numpy(dtype=float), 1.0))
    )
    steps = 40
    chart = (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X("x:Q", title=label(x), bin=alt.Bin(maxbins=steps)),
            y=alt.Y("y:Q", title=label(y), bin=alt.Bin(maxbins=steps)),
            color=alt.Color(
                "sum(n):Q", title="alleles", scale=alt.Scale(type="log", scheme="teals")
            ),
            tooltip=[alt.Tooltip("sum(n):Q", title="alleles", format=",")],
        )
        .properties(height=320)
    )
    return saveable(chart)


def counts(
    table: pd.DataFrame, what: str, n: str, *, colours: dict[str, str] | None = None
) -> Any:  # noqa: ANN401
    """Draw counts as horizontal bars, in the table's order."""
    order = list(table[what])
    colour: Any = alt.value(ACCENT)
    if colours:
        colour = alt.Color(
            f"{what}:N", legend=None,
            scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        )  # fmt: skip
    chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            y=alt.Y(f"{what}:N", sort=order, title=None, axis=alt.Axis(labelLimit=260)),
            x=alt.X(f"{n}:Q", title="alleles"),
            color=colour,
            tooltip=[what, alt.Tooltip(f"{n}:Q", format=",")],
        )
        .properties(height=max(24 * len(table) + 30, 90))
    )
    return saveable(chart)
