"""How common an allele is in the registered genotype panels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from variant_effect.columns import REAL, TEXT, Column
from variant_effect.scorers.lookup import LookupScorer

_LABEL = (
    "t.panel || CASE WHEN t.group_name = '' THEN '' ELSE '/' || t.group_name END "
    "|| '=' || t.ac || '/' || t.an"
)


@dataclass(frozen=True, slots=True)
class FrequencyScorer(LookupScorer):
    """Allele counts by panel and group."""

    name: ClassVar[str] = "frequency"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("panel_counts", TEXT, "copies of ALT of alleles called, as panel=AC/AN or "
               "panel/group=AC/AN, joined by ';'"),
        Column("panel_max_af", REAL, "highest ALT frequency over whole panels", "share",
               "0-1", "high: common"),
    )  # fmt: skip
    table: ClassVar[str] = "panel_frequencies"
    remedy: ClassVar[str] = (
        "no genotype panel is registered; 'cisgraph add PANEL.vcf.gz' adds one"
    )
    values: ClassVar[Mapping[str, str]] = {
        "panel_counts": f"string_agg({_LABEL}, ';' ORDER BY t.panel, t.group_name)",
        "panel_max_af": "max(CASE WHEN t.group_name = '' AND t.an > 0 "
        "THEN t.ac / t.an END)",
    }
