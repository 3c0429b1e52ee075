"""Regulatory elements an allele lies in, their state, bound factors and target genes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from variant_effect.alleles import AlleleTable
from variant_effect.columns import INTEGER, REAL, TEXT, Column
from variant_effect.consequences import Consequences
from variant_effect.layers import IntervalLayer, spread
from variant_effect.material import Material

_LAYERS: Mapping[str, str] = {
    "chromatin_state": 'SELECT contig, start, "end", coalesce(state, name) AS label '
    "FROM intervals WHERE kind = 'chromatin_state'",
    "open_chromatin": 'SELECT contig, start, "end", coalesce(sample, kind) AS label '
    "FROM intervals WHERE kind IN ('peak', 'dhs')",
    "other_intervals": 'SELECT contig, start, "end", '
    "kind || coalesce(':' || nullif(coalesce(state, name), ''), '') AS label "
    "FROM intervals WHERE kind IN ('nucleosome', 'tss', 'repeat', 'dmr', 'tad', "
    "'structural_variant', 'intron')",
    "tf_bound": 'SELECT contig, start, "end", tf AS label FROM tf_sites',
}
MAX_TARGETS = 5
"""Genes listed for one element, the strongest links first; the graph holds all."""

_RAW_CRES = (
    'SELECT contig, start, "end", kind AS label FROM intervals '
    "WHERE kind IN ('cre', 'promoter', 'enhancer', 'peak', 'dhs')"
)
_GRAPH_CRES = 'SELECT contig, start, "end", identifier AS label FROM read_parquet(?)'
_GRAPH_TARGETS = f"""
WITH ranked AS (
    SELECT e.target, e.score, row_number() OVER (
               PARTITION BY e.target ORDER BY e.score DESC, g.identifier) AS place,
           g.identifier || '(' || e.evidence || '=' || printf('%.3f', e.score) || ')'
               AS gene
    FROM read_parquet(?) e JOIN read_parquet(?) g ON g.id = e.source
)
SELECT c.contig, c.start, c."end",
       printf('%.3f', max(r.score)) || ' '
           || string_agg(r.gene, ',' ORDER BY r.place) AS label
FROM ranked r JOIN read_parquet(?) c ON c.id = r.target
WHERE r.place <= {MAX_TARGETS} GROUP BY r.target, c.contig, c.start, c."end"
"""  # noqa: S608
_GRAPH_BINS = 'SELECT contig, start, "end", identifier AS label FROM read_parquet(?)'


@dataclass(frozen=True, slots=True)
class RegulatoryScorer:
    """Overlaps with the regulatory layers and, where a graph is built, its links."""

    name: ClassVar[str] = "regulatory"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("cre", TEXT, "regulatory elements at the allele, joined by ',' (identifiers "
               "of the graph; classes only where no graph is built)"),
        Column("cre_n", INTEGER, "how many"),
        Column("target_genes", TEXT, "genes with the strongest links to those elements (at "
               "most 5 each), as gene(evidence=score), joined by ','; needs a graph"),
        Column("target_max_link", REAL, "highest link score of those genes", "share", "0-1",
               "high: the element holds more of the gene's regulatory activity"),
        Column("chromatin_state", TEXT, "chromatin states at the allele"),
        Column("open_chromatin", TEXT, "samples with a peak or hypersensitive site here"),
        Column("tf_bound", TEXT, "factors with measured binding here (at most 20 listed)"),
        Column("tf_bound_n", INTEGER, "how many"),
        Column("other_intervals", TEXT, "nucleosomes, TSS, repeats, methylated regions, "
               "TADs, structural variants at the allele"),
        Column("contact_bin", TEXT, "bin of the contact map; needs a graph"),
    )  # fmt: skip
    cres: IntervalLayer
    targets: IntervalLayer | None
    target_scores: np.ndarray
    bins: IntervalLayer | None
    layers: Mapping[str, IntervalLayer]

    @classmethod
    def make(cls, material: Material) -> Self:
        """Read the interval layers, and links and bins from the newest graph."""
        contigs = list(material.genome)
        db = material.connection
        layers = {
            name: IntervalLayer.read(db, contigs, query)
            for name, query in _LAYERS.items()
        }
        if material.graph is None:
            cres = IntervalLayer.read(db, contigs, _RAW_CRES)
            return cls(cres, None, np.zeros(0), None, layers)
        nodes, edges = material.graph / "nodes", material.graph / "edges"
        cre, gene = str(nodes / "cre.parquet"), str(nodes / "gene.parquet")
        links = str(edges / "gene__linked_to__cre.parquet")
        targets = IntervalLayer.read(db, contigs, _GRAPH_TARGETS, [links, gene, cre])
        given = [text.partition(" ") for text in targets.labels.to_pylist()]
        scores = np.array([float(score) for score, _, _ in given])
        targets = replace(
            targets, labels=pa.array([g for _, _, g in given], pa.string())
        )
        return cls(
            IntervalLayer.read(db, contigs, _GRAPH_CRES, [cre]),
            targets,
            scores,
            IntervalLayer.read(
                db, contigs, _GRAPH_BINS, [str(nodes / "contact_bin.parquet")]
            ),
            layers,
        )

    @property
    def missing(self) -> str:
        """No graph, or no regulatory layer at all."""
        if self.targets is None:
            return "no graph is built, so target genes are empty; run 'cisgraph build'"
        return ""

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,  # noqa: ARG002
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """List the overlaps of every scored allele, structural ones included."""
        n = len(alleles)
        rows = np.flatnonzero(alleles.scored)
        cre, cre_n = self.cres.listed(alleles, rows)
        bound, bound_n = self.layers["tf_bound"].listed(alleles, rows)
        out = {
            "cre": spread(_text(cre), rows, n),
            "cre_n": spread(pa.array(cre_n), rows, n),
            "target_genes": pa.nulls(n, pa.string()),
            "target_max_link": pa.nulls(n, pa.float32()),
            "tf_bound": spread(_text(bound), rows, n),
            "tf_bound_n": spread(pa.array(bound_n), rows, n),
            "contact_bin": pa.nulls(n, pa.string()),
        }
        for name in ("chromatin_state", "open_chromatin", "other_intervals"):
            listed, _ = self.layers[name].listed(alleles, rows)
            out[name] = spread(_text(listed), rows, n)
        if self.targets is not None:
            listed, _ = self.targets.listed(alleles, rows)
            out["target_genes"] = spread(_text(listed), rows, n)
            left, right = self.targets.hits(alleles, rows)
            best = np.full(len(rows), -1.0)
            np.maximum.at(best, left, self.target_scores[self.targets.label[right]])
            out["target_max_link"] = spread(
                pa.array(best.astype(np.float32), mask=best < 0), rows, n
            )
        if self.bins is not None:
            listed, _ = self.bins.listed(alleles, rows)
            out["contact_bin"] = spread(_text(listed), rows, n)
        return out


def _text(values: pa.Array) -> pa.Array:
    """Empty text becomes null."""
    return pc.if_else(pc.equal(values, ""), None, values)
