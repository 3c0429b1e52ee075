"""The accounting of a run as a picture: every input allele in one bin."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from dashboards.app.picture import svg, text
from dashboards.app.theme import ACCENT
from variant_effect.alleles import STATUS_MEANINGS

_WIDTH: Final = 860.0
_BAR: Final = 34.0
_ROW: Final = 22.0
_REASONS: Final = ("#c9912b", "#7f95b5", "#a8455e", "#7a6fb0", "#70564a", "#8aa05c")


def accounting_table(counts: Mapping[str, Any]) -> pd.DataFrame:
    """Return bins with their alleles, ``scored`` first; the last row is the input."""
    reasons = sorted(
        counts.get("reasons", {}).items(), key=lambda item: (-item[1], item[0])
    )
    total = int(counts.get("input_alleles", 0))
    rows = [("scored", counts.get("scored", 0)), *reasons]
    listed = [
        (name, n, n / max(total, 1), STATUS_MEANINGS.get(name, "")) for name, n in rows
    ]
    listed.append(("input alleles", total, float(total > 0), "all of the above"))
    return pd.DataFrame(listed, columns=["bin", "alleles", "share", "meaning"])


def accounting_picture(counts: Mapping[str, Any]) -> str:
    """Draw one bar whose parts are the bins, and name each of them."""
    frame = accounting_table(counts)
    total = int(frame["alleles"].iloc[-1])
    parts = [text(0, 14, f"{total:,} input alleles", size=14, more='font-weight="600"')]
    x, y = 0.0, 24.0
    listed: list[str] = []
    bins = frame.iloc[:-1].to_dict("records")
    for i, row in enumerate(bins):
        colour = ACCENT if row["bin"] == "scored" else _REASONS[(i - 1) % len(_REASONS)]
        wide = row["alleles"] / max(total, 1) * _WIDTH
        if row["alleles"]:
            # A sliver stays visible: two pixels at least.
            parts.append(
                f'<rect x="{min(x, _WIDTH - 2):.1f}" y="{y}" width="{max(wide, 2):.1f}" '
                f'height="{_BAR}" fill="{colour}"/>'
            )
        x += wide
        at = y + _BAR + _ROW * (i + 1)
        listed.append(
            f'<rect x="0" y="{at - 11:.1f}" width="12" height="12" fill="{colour}"/>'
        )
        listed.append(
            text(
                20,
                at,
                f"{row['bin']}: {row['alleles']:,} ({row['share']:.2%})",
                size=13,
            )
        )
        if row["meaning"]:
            listed.append(
                text(290, at, str(row["meaning"])[:100], size=12, more='opacity="0.7"')
            )
    kept = int(frame["alleles"].iloc[:-1].sum())
    at = y + _BAR + _ROW * (len(bins) + 1) + 4
    words = " + ".join(f"{row['alleles']:,}" for row in bins[:8])
    words += " + …" if len(bins) > 8 else ""
    listed.append(text(0, at, f"{words} = {kept:,}", size=12, more='opacity="0.7"'))
    return svg(_WIDTH, at + 10, parts + listed, "Accounting of the run")
