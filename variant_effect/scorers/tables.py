"""Registered per-variant scores of other tools (SIFT, PolyPhen, …)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import duckdb
import pyarrow as pa

from variant_effect.alleles import AlleleTable
from variant_effect.columns import TEXT, Column
from variant_effect.consequences import Consequences
from variant_effect.material import Material
from variant_effect.scorers.base import nulls
from variant_effect.scorers.lookup import SAME_ALLELE, has_rows, look_up


@dataclass(frozen=True, slots=True)
class TableScorer:
    """Values looked up by normalised allele."""

    name: ClassVar[str] = "tables"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("registered_scores", TEXT, "scores registered for this allele, as name=value "
               "or name=value(label), joined by ';'"),
    )  # fmt: skip
    registered: bool

    @classmethod
    def make(cls, material: Material) -> Self:
        """See whether there are tables."""
        return cls(has_rows(material.connection, "variant_scores"))

    @property
    def missing(self) -> str:
        """No per-variant table is registered."""
        if self.registered:
            return ""
        return "no per-variant scores are registered (--kind variant_scores)"

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,  # noqa: ARG002
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,
    ) -> dict[str, pa.Array]:
        """Look the normalised alleles up."""
        n = len(alleles)
        if not self.registered:
            return nulls(self.columns, n)
        label = (
            "t.name || '=' || coalesce(printf('%.4g', t.value), '') || "
            "coalesce('(' || nullif(t.label, '') || ')', '')"
        )
        values = {"registered_scores": f"string_agg({label}, ';' ORDER BY t.name)"}
        return look_up(connection, alleles, "variant_scores", values, SAME_ALLELE)
