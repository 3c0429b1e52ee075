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
from variant_effect.scorers.lookup import has_rows, joined, number_column, text_column


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
        found = joined(
            connection, alleles,
            "(SELECT * FROM associations WHERE p_value IS NOT NULL)",
            "t.phenotype_id, t.p_value, t.ref AS given_ref, t.alt AS given_alt, "
            "a.ref, a.alt, t.phenotype_id || ':' || printf('%.3g', t.p_value) || "
            "coalesce(printf(' (%.3g)', t.beta), '') AS label",
            by_allele=False,
        )  # fmt: skip
        if len(found):
            named = found["given_ref"].notna() & found["given_alt"].notna()
            pair = found["given_ref"].str.upper() + found["given_alt"].str.upper()
            swapped = found["given_alt"].str.upper() + found["given_ref"].str.upper()
            mine = found["ref"] + found["alt"]
            found = found[~named | (pair == mine) | (swapped == mine)]
        return {
            "gwas": text_column(found, "label", n),
            "gwas_min_p": number_column(found, "p_value", "min", n),
        }
