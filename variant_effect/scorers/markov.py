"""How unlikely the changed sequence is under the genome's own composition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from data_registry.genome import Genome
from data_registry.normalisation import Alleles
from variant_effect.alleles import AlleleTable
from variant_effect.columns import REAL, TEXT, Column
from variant_effect.consequences import Consequences
from variant_effect.layers import real
from variant_effect.markov import LEVELS, Background, MarkovModel, allele_contexts
from variant_effect.material import Material


def background_class(term: str) -> str:
    """Return the class an allele is compared in: its most severe SO term."""
    return term.split("&", 1)[0]


@dataclass(frozen=True, slots=True)
class MarkovScorer:
    """Interpolated Markov model of the genome (``variant_effect.markov``)."""

    name: ClassVar[str] = "markov"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "markov_llr", REAL, "log-likelihood ratio ALT over REF, mean of both strands",
            "nats", "any", "positive: ALT is the likelier sequence",
        ),
        Column(
            "markov_percentile", REAL,
            "share of random changes of the same consequence class and trinucleotide "
            "context (indels: length class) with a higher ratio",
            "%", "0-100", "high: more unusual than most such changes",
        ),
        Column(
            "markov_compared", TEXT, "what the percentile was taken over",
            range=", ".join(LEVELS),
        ),
    )  # fmt: skip
    genome: Genome
    model: MarkovModel
    background: Background
    missing: str = ""

    @classmethod
    def make(cls, material: Material) -> Self:
        """Take the fitted model and its background."""
        return cls(material.genome, material.markov, material.background)

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Score small alleles; structural ones get nulls."""
        n = len(alleles)
        llr = np.full(n, np.nan, dtype=np.float32)
        percentile = np.full(n, np.nan, dtype=np.float32)
        level = np.full(n, len(LEVELS) - 1, dtype=np.int8)
        for name, index in alleles.by_contig(alleles.small):
            contig = self.genome.contig(name)
            minimal = Alleles(
                alleles.start[index],
                alleles.min_ref.take(index),
                alleles.min_alt.take(index),
            )
            scores = self.model.log_ratio(
                contig, minimal.start, minimal.ref.lengths, minimal.alt
            )
            percentile[index], level[index] = self.background.percentile(
                scores,
                background_classes(consequences.term[index]),
                allele_contexts(contig, minimal),
            )
            llr[index] = scores
        everything = np.arange(n)
        return {
            "markov_llr": real(llr, everything, n),
            "markov_percentile": real(percentile, everything, n),
            "markov_compared": compared(level),
        }


def background_classes(terms: NDArray[np.object_]) -> pd.Categorical:
    """Return the classes of many alleles, as a categorical."""
    codes, distinct = pd.factorize(terms)
    classes = [background_class(str(term)) for term in distinct]
    names = sorted(set(classes))
    at = {name: i for i, name in enumerate(names)}
    merged = np.array([at[name] for name in classes], dtype=np.int64)[codes]
    return pd.Categorical.from_codes(merged, categories=pd.Index(names, dtype=object))


def compared(level: NDArray[np.int8]) -> pa.Array:
    """Return the names of ``LEVELS``; null for the last, which compares with nothing."""
    return pa.DictionaryArray.from_arrays(
        pa.array(level, mask=level == len(LEVELS) - 1), pa.array(LEVELS)
    ).cast(pa.string())
