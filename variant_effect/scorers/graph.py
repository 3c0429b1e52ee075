"""The graph model's view of an allele: attached to the stored graph, scored, explained.

An aside, not a part of ``prior_score``: on real data its edges add nothing that the fitted
prior does not have (docs/graph-model.md).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from data_registry.genome import Genome
from data_registry.relatives import Relatives
from variant_effect.alleles import AlleleTable
from variant_effect.columns import REAL, TEXT, Column
from variant_effect.combined import gather
from variant_effect.consequences import Consequences
from variant_effect.material import Material
from variant_effect.scorers.base import nulls
from variant_effect.scorers.prior import open_relatives, snvs
from variant_effect.substitutions import codon_usage
from variant_effect.trained_models import (
    CONFIG,
    NO_GRAPH_MODEL,
    TrainedModel,
    find_model,
    missing_library,
    open_graph,
)

if TYPE_CHECKING:
    from models.graph.ensemble import Opened
    from models.graph.paths import Path as Path_


@dataclass(slots=True)
class _OnDemand:
    """Opens the model on the graph when it is first asked."""

    model: TrainedModel
    graph: Path
    opened: "Opened | None" = None

    def get(self) -> "Opened":
        if self.opened is None:
            self.opened = open_graph(self.model, self.graph, n_threads=1)
        return self.opened

    def paths(self, table: pd.DataFrame) -> "list[Path_]":
        """Return the strongest paths of one variant."""
        opened = self.get()
        module = import_module("models.graph.paths")
        found: list[Path_] = module.strongest_paths(opened, opened.attach(table))
        return found


@dataclass(frozen=True, slots=True)
class GraphScorer:
    """Probability of an effect, the gene it most likely acts on, and how sure that is."""

    name: ClassVar[str] = "graph"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("graph_effect", REAL, "graph model: calibrated probability of what it was "
               "trained to tell (its card says what); empty where the allele is no SNV or "
               "unlike those it learned from", "", "0-1", "high: more likely to matter"),
        Column("graph_gene", TEXT, "gene on which the graph model sees the likeliest effect"),
        Column("graph_confidence", REAL, "1 less twice the networks' standard deviation of "
               "graph_effect, times the share of networks that name graph_gene", "", "0-1",
               "high: the networks agree"),
        Column("graph_effect_size", REAL, "signed effect of ALT on graph_gene, mean of the "
               "networks; only from a model that learned effects, else empty",
               "as the effect of the model's variant table", "any", "by sign: up or down"),
    )  # fmt: skip
    genome: Genome
    model: _OnDemand | None = None
    relatives: Relatives | None = None
    usage: np.ndarray = field(default_factory=lambda: np.zeros(0))
    problem: str = ""

    @classmethod
    def make(cls, material: Material) -> Self:
        """Find the model; it is opened when first needed."""
        model = find_model(material.workspace, "graph")
        if model is None:
            return cls(material.genome, problem=NO_GRAPH_MODEL)
        if material.graph is None:
            return cls(
                material.genome,
                problem="the graph model needs a graph: run 'cisgraph build'",
            )
        if problem := missing_library():
            return cls(
                material.genome, problem=f"{problem}; then run 'cisgraph score' again"
            )
        return cls(
            material.genome,
            _OnDemand(model, material.graph),
            open_relatives(material),
            codon_usage(material.connection, material.genome),
        )

    @property
    def missing(self) -> str:
        """There is no model, no graph, or no torch."""
        return self.problem

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,
        before: Mapping[str, pa.Array],
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Attach the SNVs to the stored graph and ask."""
        out = nulls(self.columns, len(alleles))
        rows = np.flatnonzero(snvs(alleles))
        if self.model is None or not len(rows):
            return out
        opened = self.model.get()
        scores = opened.score(
            opened.attach(self.table(alleles, rows, consequences, before))
        )
        names = opened.graph.names["gene"]
        held = np.isfinite(scores.probability)
        agreement = np.where(np.isnan(scores.agreement), 1.0, scores.agreement)
        sure = np.clip(1 - 2 * scores.spread, 0, 1) * agreement
        gene = [
            names[g] if g >= 0 and ok else None
            for g, ok in zip(scores.gene.tolist(), held.tolist(), strict=True)
        ]
        return {
            "graph_effect": _spread(scores.probability, rows, held, len(alleles)),
            "graph_gene": _texts(gene, rows, len(alleles)),
            "graph_confidence": _spread(sure, rows, held, len(alleles)),
            "graph_effect_size": _spread(
                scores.effect, rows, held & np.isfinite(scores.effect), len(alleles)
            ),
        }

    def table(
        self,
        alleles: AlleleTable,
        rows: np.ndarray,
        consequences: Consequences,
        before: Mapping[str, pa.Array],
    ) -> pd.DataFrame:
        """Return what the model reads of SNVs; what is not registered is empty."""
        evidence = gather(
            alleles, rows, consequences, before,
            usage=self.usage, relatives=self.relatives,
        )  # fmt: skip
        table = pd.DataFrame(evidence.columns)
        contigs = np.array(alleles.contigs, dtype=object)
        table["contig"] = contigs[alleles.contig[rows]]
        table["start"], table["end"] = alleles.start[rows], alleles.end[rows]
        return table

    def card(self) -> dict[str, str]:
        """Return the model's name and digest, for citing."""
        if self.model is None:
            return {}
        path = self.model.model.folder / CONFIG
        name = json.loads(path.read_text(encoding="utf-8"))["name"]
        return {"name": name, "digest": self.model.model.digest[:12]}


def _spread(values: np.ndarray, rows: np.ndarray, held: np.ndarray, n: int) -> pa.Array:
    full, known = np.zeros(n), np.zeros(n, dtype=bool)
    full[rows], known[rows] = np.nan_to_num(values), held
    return pa.array(full.astype(np.float32), mask=~known)


def _texts(values: list[str | None], rows: np.ndarray, n: int) -> pa.Array:
    full = np.full(n, None, dtype=object)
    full[rows] = values
    return pa.array(full, TEXT)
