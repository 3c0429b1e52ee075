"""What a scorer is, and what it may look at."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, Self

import duckdb
import pyarrow as pa

from variant_effect.alleles import AlleleTable
from variant_effect.columns import Column
from variant_effect.consequences import Consequences
from variant_effect.material import Material


class Scorer(Protocol):
    """Adds columns to alleles.

    The laws (``tests/contracts.py``): one value an allele, in input order; batch-mates do
    not matter; alleles that are not scored get nulls; the columns are those declared.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]

    @classmethod
    def make(cls, material: Material) -> Self:
        """Load what the scorer needs; a missing layer gives a scorer that returns nulls."""
        ...

    @property
    def missing(self) -> str:
        """Which layer is missing, in one sentence with the remedy; '' when none is."""
        ...

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,
        before: Mapping[str, pa.Array],
        connection: duckdb.DuckDBPyConnection,
    ) -> dict[str, pa.Array]:
        """Return one array a declared column, one value an allele.

        Parameters
        ----------
        alleles
            The chunk.
        consequences
            Their consequences.
        before
            Columns of the scorers that ran before.
        connection
            The registry, read-only, of this process.
        """
        ...


def nulls(columns: tuple[Column, ...], n: int) -> dict[str, pa.Array]:
    """Return the declared columns, all null."""
    return {column.name: pa.nulls(n, column.type) for column in columns}
