"""Transcription factor motifs that an allele makes or breaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import duckdb
import numpy as np
import pyarrow as pa

from data_registry.genome import Genome
from graph_builder.motif_scan import AlleleHits, MotifSet, count_bases
from variant_effect.alleles import AlleleTable
from variant_effect.columns import INTEGER, REAL, TEXT, Column
from variant_effect.consequences import Consequences
from variant_effect.layers import real, spread
from variant_effect.material import Material
from variant_effect.scorers.base import nulls

MAX_P = 1e-4
"""A site counts at this p-value a position and strand, as FIMO's default."""


@dataclass(frozen=True, slots=True)
class MotifScorer:
    """Best site of every registered motif on both haplotypes; the strongest change is shown."""

    name: ClassVar[str] = "motif"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("motif_n", INTEGER, "motifs gained or lost (passing on one haplotype only)"),
        Column("motif_id", TEXT, "motif with the largest change"),
        Column("motif_tf", TEXT, "its transcription factor"),
        Column("motif_change", TEXT, "what the allele does to it",
               range="gain, loss, change"),
        Column("motif_ref_score", REAL, "best score over the reference", "bits"),
        Column("motif_alt_score", REAL, "best score over the alternative", "bits"),
        Column("motif_delta", REAL, "alternative minus reference", "bits", "any",
               "positive: better site on ALT"),
        Column("motif_ref_p", REAL, "p-value of the reference score", "", "0-1"),
        Column("motif_alt_p", REAL, "p-value of the alternative score", "", "0-1"),
    )  # fmt: skip
    genome: Genome
    motifs: MotifSet | None

    @classmethod
    def make(cls, material: Material) -> Self:
        """Read the registered motifs; background frequencies are the genome's own."""
        table = material.connection.execute(
            "SELECT motif_id, tf, n_sites, matrix FROM motifs ORDER BY motif_id, source_id"
        ).df()
        if not len(table):
            return cls(material.genome, None)
        background = count_bases(
            material.genome.contig(name) for name in material.genome
        )
        return cls(material.genome, MotifSet.from_table(table, background=background))

    @property
    def missing(self) -> str:
        """No motifs are registered."""
        if self.motifs is None:
            return "no motifs are registered; 'cisgraph add jaspar:CORE/plants' adds JASPAR's"
        return ""

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,  # noqa: ARG002
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Scan both haplotypes of every small allele."""
        n = len(alleles)
        if self.motifs is None:
            return nulls(self.columns, n)
        number = np.zeros(n, dtype=np.int64)
        rows: list[np.ndarray] = []
        best: list[tuple[AlleleHits, np.ndarray]] = []
        for name, index in alleles.by_contig(alleles.small):
            alt = alleles.min_alt.take(index)
            hits = self.motifs.scan_alleles(
                self.genome.contig(name), alleles.start[index],
                alleles.min_ref.take(index).lengths, alt.data, alt.offsets, p=MAX_P,
            )  # fmt: skip
            number[index] = np.bincount(
                hits.allele[hits.change != 0], minlength=len(index)
            )
            chosen = _strongest(hits)
            rows.append(index[hits.allele[chosen]])
            best.append((hits, chosen))
        where = np.concatenate(rows) if rows else np.zeros(0, np.int64)

        def gathered(field: str) -> np.ndarray:
            parts = [getattr(hits, field)[chosen] for hits, chosen in best]
            return np.concatenate(parts) if parts else np.zeros(0)

        motif = pa.array(gathered("motif").astype(np.int64))
        change = pa.array(gathered("change").astype(np.int64) + 1)
        small = alleles.small
        return {
            "motif_n": pa.array(number, mask=~small),
            "motif_id": spread(pa.array(self.motifs.ids).take(motif), where, n),
            "motif_tf": spread(pa.array(self.motifs.tfs).take(motif), where, n),
            "motif_change": spread(
                pa.array(["loss", "change", "gain"]).take(change), where, n
            ),
            **{
                f"motif_{field}": real(gathered(field), where, n)
                for field in ("ref_score", "alt_score", "delta", "ref_p", "alt_p")
            },
        }


def _strongest(hits: AlleleHits) -> np.ndarray:
    """Index of each allele's largest change: gains and losses first, then by |delta|."""
    if not len(hits):
        return np.zeros(0, np.int64)
    size = np.where(np.isnan(hits.delta), np.inf, np.abs(hits.delta))
    # Ties go to the motif that sorts first, so the result does not depend on order.
    order = np.lexsort((hits.motif, -size, hits.change == 0, hits.allele))
    allele = hits.allele[order]
    first = np.r_[True, allele[1:] != allele[:-1]]
    chosen = order[first]
    changed = (hits.change[chosen] != 0) | (size[chosen] > 0)
    found: np.ndarray = chosen[changed]
    return found
