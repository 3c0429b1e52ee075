"""Genes, elements and TAD borders that structural alleles hit, and their junctions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import duckdb
import pyarrow as pa

from data_registry.contigs import ContigNames
from data_registry.genome import Genome
from variant_effect.alleles import AlleleTable
from variant_effect.columns import Column
from variant_effect.consequences import Consequences
from variant_effect.markov import MarkovModel
from variant_effect.material import Material
from variant_effect.structural import COLUMNS, StructuralLayers, describe_structural


@dataclass(frozen=True, slots=True)
class StructuralScorer:
    """Describes the alleles of the structural lane (``variant_effect.structural``)."""

    name: ClassVar[str] = "structural"
    columns: ClassVar[tuple[Column, ...]] = COLUMNS
    layers: StructuralLayers
    genome: Genome
    markov: MarkovModel
    contig_names: ContigNames
    missing: str = ""

    @classmethod
    def make(cls, material: Material) -> Self:
        """Read genes, elements (of the graph, where one is built) and TADs."""
        cres = None
        if material.graph is not None:
            cres = str(material.graph / "nodes" / "cre.parquet")
        return cls(
            StructuralLayers.read(material.connection, cres),
            material.genome,
            material.markov,
            material.contig_names,
        )

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,  # noqa: ARG002
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Describe structural alleles; small ones get nulls."""
        return describe_structural(
            alleles, self.layers, self.genome, self.markov, self.contig_names.resolve
        )
