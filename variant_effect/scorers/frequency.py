"""How common an allele is in the registered genotype panels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import duckdb
import pyarrow as pa

from variant_effect.alleles import AlleleTable
from variant_effect.columns import REAL, TEXT, Column
from variant_effect.consequences import Consequences
from variant_effect.material import Material
from variant_effect.scorers.base import nulls
from variant_effect.scorers.lookup import SAME_ALLELE, has_rows, look_up


@dataclass(frozen=True, slots=True)
class FrequencyScorer:
    """Allele counts by panel and group."""

    name: ClassVar[str] = "frequency"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("panel_counts", TEXT, "copies of ALT of alleles called, as panel=AC/AN or "
               "panel/group=AC/AN, joined by ';'"),
        Column("panel_max_af", REAL, "highest ALT frequency over whole panels", "share",
               "0-1", "high: common"),
    )  # fmt: skip
    registered: bool

    @classmethod
    def make(cls, material: Material) -> Self:
        """See whether there are panels."""
        return cls(has_rows(material.connection, "panel_frequencies"))

    @property
    def missing(self) -> str:
        """No panel is registered."""
        if self.registered:
            return ""
        return "no genotype panel is registered; 'cisgraph add PANEL.vcf.gz' adds one"

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
            "t.panel || CASE WHEN t.group_name = '' THEN '' ELSE '/' || t.group_name END "
            "|| '=' || t.ac || '/' || t.an"
        )
        values = {
            "panel_counts": f"string_agg({label}, ';' ORDER BY t.panel, t.group_name)",
            "panel_max_af": "max(CASE WHEN t.group_name = '' AND t.an > 0 "
            "THEN t.ac / t.an END)",
        }
        return look_up(connection, alleles, "panel_frequencies", values, SAME_ALLELE)
