"""Joining alleles with registry tables on contig, start, ref and alt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import duckdb
import numpy as np
import pyarrow as pa

from variant_effect.alleles import AlleleTable
from variant_effect.columns import Column
from variant_effect.consequences import Consequences
from variant_effect.layers import spread
from variant_effect.material import Material
from variant_effect.scorers.base import nulls


def look_up(
    connection: duckdb.DuckDBPyConnection,
    alleles: AlleleTable,
    table: str,
    values: Mapping[str, str],
    condition: str,
) -> dict[str, pa.Array]:
    """Aggregate the rows of a registry table at each allele's position.

    Parameters
    ----------
    table
        Registry table with contig and start (0-based).
    values
        Column name to an SQL aggregate over ``t`` (the table) and ``a`` (the alleles:
        contig, start, ref, alt in minimal form).
    condition
        SQL condition beside equal contig and start.

    Returns
    -------
    dict
        One array a column, one value an allele; null where nothing is found.
    """
    n = len(alleles)
    rows = np.flatnonzero(alleles.small)
    start = alleles.start[rows]
    incoming = pa.table({
        "allele": pa.array(rows),
        "contig": pa.array(alleles.contigs).take(pa.array(alleles.contig[rows])),
        "start": pa.array(start),
        "ref": alleles.min_ref.take(rows).to_arrow(),
        "alt": alleles.min_alt.take(rows).to_arrow(),
    })  # fmt: skip
    listed = ", ".join(f'{sql} AS "{name}"' for name, sql in values.items())
    span = [int(start.min()), int(start.max())] if len(start) else [0, -1]
    connection.register("alleles_here", incoming)
    found = connection.sql(
        f"SELECT a.allele, {listed} FROM {table} t JOIN alleles_here a "  # noqa: S608
        f"ON t.contig = a.contig AND t.start = a.start AND {condition} "
        "WHERE t.start BETWEEN ? AND ? AND list_contains(?, t.contig) "
        "GROUP BY a.allele ORDER BY a.allele",
        params=[*span, [alleles.contigs[c] for c in np.unique(alleles.contig[rows])]],
    ).to_arrow_table()
    connection.unregister("alleles_here")
    where = found["allele"].to_numpy()
    return {name: spread(found[name].combine_chunks(), where, n) for name in values}


SAME_ALLELE = "t.ref = a.ref AND t.alt = a.alt"


def has_rows(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a registry table holds anything."""
    return (
        connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone()  # noqa: S608
        is not None
    )


@dataclass(frozen=True, slots=True)
class LookupScorer:
    """A scorer whose columns are aggregates of one registry table at the allele.

    Subclasses state ``name`` and ``columns`` as every scorer does, and:

    Parameters
    ----------
    table
        The registry table.
    remedy
        What to say where it is empty.
    values, condition
        As ``look_up`` takes them; ``values`` names the columns.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    table: ClassVar[str]
    remedy: ClassVar[str]
    values: ClassVar[Mapping[str, str]]
    condition: ClassVar[str] = SAME_ALLELE
    registered: bool

    @classmethod
    def make(cls, material: Material) -> Self:
        """See whether the table holds anything."""
        return cls(has_rows(material.connection, cls.table))

    @property
    def missing(self) -> str:
        """The table is empty."""
        return "" if self.registered else self.remedy

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,  # noqa: ARG002
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,
    ) -> dict[str, pa.Array]:
        """Look the normalised alleles up."""
        if not self.registered:
            return nulls(self.columns, len(alleles))
        return look_up(connection, alleles, self.table, self.values, self.condition)
