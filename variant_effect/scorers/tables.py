"""Registered per-variant scores of other tools (SIFT, PolyPhen, …)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from variant_effect.columns import TEXT, Column
from variant_effect.scorers.lookup import LookupScorer

_LABEL = (
    "t.name || '=' || coalesce(printf('%.4g', t.value), '') || "
    "coalesce('(' || nullif(t.label, '') || ')', '')"
)


@dataclass(frozen=True, slots=True)
class TableScorer(LookupScorer):
    """Values looked up by normalised allele."""

    name: ClassVar[str] = "tables"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("registered_scores", TEXT, "scores registered for this allele, as name=value "
               "or name=value(label), joined by ';'"),
    )  # fmt: skip
    table: ClassVar[str] = "variant_scores"
    remedy: ClassVar[str] = (
        "no per-variant scores are registered (--kind variant_scores)"
    )
    values: ClassVar[Mapping[str, str]] = {
        "registered_scores": f"string_agg({_LABEL}, ';' ORDER BY t.name)"
    }
