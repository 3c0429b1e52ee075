"""GWAS results at an allele's position."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from variant_effect.columns import TEXT, Column
from variant_effect.scorers.lookup import LookupScorer

_LABEL = (
    "t.phenotype_id || ':' || printf('%.3g', t.p_value) || "
    "coalesce(printf(' (%.3g)', t.beta), '')"
)


@dataclass(frozen=True, slots=True)
class GwasScorer(LookupScorer):
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
    table: ClassVar[str] = "associations"
    remedy: ClassVar[str] = (
        "no GWAS results are registered; 'cisgraph add SUMSTATS.tsv --kind gwas'"
    )
    values: ClassVar[Mapping[str, str]] = {
        "gwas": f"string_agg({_LABEL}, ';' ORDER BY t.phenotype_id, t.p_value)",
        "gwas_min_p": "min(t.p_value)",
    }
    condition: ClassVar[str] = (
        "t.p_value IS NOT NULL AND (t.ref IS NULL OR t.alt IS NULL OR "
        "upper(t.ref) || upper(t.alt) IN (a.ref || a.alt, a.alt || a.ref))"
    )
