"""Tables of variants: headings in plain words, the field's meaning on hover."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pandas as pd
import streamlit as st

from dashboards.app.scores import Scores
from dashboards.app.words import CONSEQUENCES, IMPACTS, label

KEY = ("chrom", "pos", "ref", "alt")


def allele_name(row: Mapping[str, Any]) -> str:
    """Return ``chrom:pos:ref:alt`` of a row."""
    return f"{row['chrom']}:{row['pos']}:{row['ref']}:{row['alt']}"


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dictionaries by column name."""
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


def with_percentile(
    scores: Scores, frame: pd.DataFrame, column: str = "prior_score"
) -> pd.DataFrame:
    """Add the percentile of a score, after the score itself."""
    if column not in frame:
        return frame
    at = list(frame.columns).index(column)
    values = [scores.percentile(column, value) for value in frame[column]]
    wider = frame.copy()
    wider.insert(at + 1, "percentile", values)
    return wider


def column_settings(
    scores: Scores, columns: Sequence[str], *, wide: bool = False
) -> dict[str, Any]:
    """Return Streamlit's settings of the columns of a table of variants.

    Parameters
    ----------
    wide
        Give texts more room.
    """
    settings: dict[str, Any] = {}
    for name in columns:
        note = scores.columns.get(name)
        help_text = _help(name, note.meaning if note else "", note.unit if note else "",
                          note.direction if note else "")  # fmt: skip
        heading = label(name)
        if name == "percentile":
            settings[name] = st.column_config.NumberColumn(
                heading, format="%.1f", help=help_text, width="small"
            )
        elif name == "prior_score":
            settings[name] = st.column_config.ProgressColumn(
                heading, min_value=0.0, max_value=1.0, format="%.3f", help=help_text,
                width="small",
            )  # fmt: skip
        elif note is not None and note.is_number:
            form = (
                "localized"
                if name.endswith("pos") or name in {"pos", "distance"}
                else None
            )
            settings[name] = st.column_config.NumberColumn(
                heading, format=form, help=help_text, width="small"
            )
        else:
            narrow = name in {"chrom", "ref", "alt", "impact", "status", "symbol"}
            settings[name] = st.column_config.TextColumn(
                heading, help=help_text,
                width="small" if narrow else ("large" if wide else "medium"),
            )  # fmt: skip
    return settings


def _help(name: str, meaning: str, unit: str, direction: str) -> str:
    if name == "percentile":
        return "Share of this result's scored alleles with a lower prior score."
    parts = [f"`{name}`: {meaning}"]
    if unit:
        parts.append(f"Unit: {unit}.")
    if direction:
        parts.append(f"Higher means: {direction}.")
    if name == "impact":
        parts += [f"{term}: {words}." for term, words in IMPACTS.items()]
    if name == "consequence":
        parts.append("E.g. " + "; ".join(
            f"{term}: {CONSEQUENCES[term]}" for term in ("stop_gained", "missense_variant")
        ) + ".")  # fmt: skip
    return " ".join(parts)
