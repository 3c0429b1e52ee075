"""What is known of the gene an allele acts on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from variant_effect.alleles import AlleleTable
from variant_effect.columns import INTEGER, REAL, Column
from variant_effect.consequences import Consequences
from variant_effect.material import Material

_QUERY = """
WITH level AS (
    SELECT dataset, gene_id, avg(value) AS value FROM expression GROUP BY ALL
), ranked AS (
    SELECT gene_id, percent_rank() OVER (PARTITION BY dataset ORDER BY value) AS share
    FROM level
)
SELECT g.gene_id,
       (SELECT 100 * avg(share) FROM ranked r WHERE r.gene_id = g.gene_id)
           AS gene_expression_percentile,
       (SELECT median(ka / ks) FROM orthologs o WHERE o.gene_id = g.gene_id AND ks > 0)
           AS gene_ka_ks,
       (SELECT count(DISTINCT term_id) FROM gene_terms t WHERE t.gene_id = g.gene_id)
           AS gene_terms_n,
       (SELECT count(*) FROM interactions i WHERE i.gene_a = g.gene_id)
         + (SELECT count(*) FROM interactions i WHERE i.gene_b = g.gene_id)
           AS gene_interactions_n
FROM (SELECT DISTINCT gene_id FROM genes) g
"""


@dataclass(frozen=True, slots=True)
class GeneScorer:
    """Expression, divergence, annotation and interactions of the allele's gene."""

    name: ClassVar[str] = "genes"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("gene_expression_percentile", REAL, "place of the gene's mean expression "
               "among the data set's genes, averaged over data sets", "%", "0-100",
               "high: highly expressed"),
        Column("gene_ka_ks", REAL, "median Ka/Ks over registered orthologs", "ratio", ">=0",
               "low: protein under constraint"),
        Column("gene_terms_n", INTEGER, "terms and pathways the gene is annotated with"),
        Column("gene_interactions_n", INTEGER, "registered interactions of the gene"),
    )  # fmt: skip
    table: pd.DataFrame
    missing: str = ""

    @classmethod
    def make(cls, material: Material) -> Self:
        """Summarise the gene tables, one row a gene."""
        return cls(material.connection.execute(_QUERY).df().set_index("gene_id"))

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Look up the gene of the most severe consequence."""
        codes, genes = pd.factorize(consequences.gene)
        at = self.table.index.get_indexer(pd.Index(genes))
        row = (
            np.where(codes >= 0, at[codes], -1)
            if len(genes)
            else np.full(len(alleles), -1)
        )
        taken = pa.array(row, mask=row < 0)
        out = {}
        for column in self.columns:
            values = pa.array(self.table[column.name], from_pandas=True)
            out[column.name] = values.take(taken).cast(column.type)
        return out
