"""GWAS results at an allele's position."""

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
from variant_effect.scorers.lookup import has_rows, look_up


@dataclass(frozen=True, slots=True)
class GwasScorer:
    """Association results at the same position; never part of the prior score.

    An association marks a block of linked variants, not a cause, and a prior that held
    p-values could not be used to fine-map them.
    """

    name: ClassVar[str] = "gwas"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("gwas", TEXT, "associations at this position as trait:p (beta), joined by "
               "';'; alleles must agree where the table names them"),
        # 64 bits: p-values of large studies are smaller than any 32-bit number.
        Column("gwas_min_p", pa.float64(), "smallest of those p-values", "", "0-1",
               "low: stronger association of the block"),
    )  # fmt: skip
    registered: bool

    @classmethod
    def make(cls, material: Material) -> Self:
        """See whether there are associations."""
        return cls(has_rows(material.connection, "associations"))

    @property
    def missing(self) -> str:
        """No summary statistics are registered."""
        if self.registered:
            return ""
        return "no GWAS results are registered; 'cisgraph add SUMSTATS.tsv --kind gwas'"

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,  # noqa: ARG002
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,
    ) -> dict[str, pa.Array]:
        """Look positions up."""
        n = len(alleles)
        if not self.registered:
            return nulls(self.columns, n)
        label = (
            "t.phenotype_id || ':' || printf('%.3g', t.p_value) || "
            "coalesce(printf(' (%.3g)', t.beta), '')"
        )
        values = {
            "gwas": f"string_agg({label}, ';' ORDER BY t.phenotype_id, t.p_value)",
            "gwas_min_p": "min(t.p_value)",
        }
        same = (
            "t.p_value IS NOT NULL AND (t.ref IS NULL OR t.alt IS NULL OR "
            "upper(t.ref) || upper(t.alt) IN (a.ref || a.alt, a.alt || a.ref))"
        )
        return look_up(connection, alleles, "associations", values, same)
