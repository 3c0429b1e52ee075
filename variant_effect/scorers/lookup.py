"""Joining alleles with registry tables on contig, start, ref and alt."""

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from variant_effect.alleles import AlleleTable


def joined(
    connection: duckdb.DuckDBPyConnection,
    alleles: AlleleTable,
    table: str,
    columns: str,
    *,
    by_allele: bool,
) -> pd.DataFrame:
    """Return rows of ``table`` at the alleles, with ``allele``, the index in the chunk.

    Parameters
    ----------
    table
        Registry table with contig, start, ref, alt (minimal form).
    columns
        SQL select list over ``t`` (the table) and ``a`` (the alleles).
    by_allele
        Compare ref and alt too; otherwise the position alone.
    """
    rows = np.flatnonzero(alleles.small)
    if not len(rows):
        return pd.DataFrame({"allele": []})
    start = alleles.start[rows]
    incoming = pa.table({
        "allele": pa.array(rows),
        "contig": pa.array(alleles.contigs).take(pa.array(alleles.contig[rows])),
        "start": pa.array(start),
        "ref": alleles.min_ref.take(rows).to_arrow(),
        "alt": alleles.min_alt.take(rows).to_arrow(),
    })  # fmt: skip
    connection.register("alleles_here", incoming)
    same = " AND t.ref = a.ref AND t.alt = a.alt" if by_allele else ""
    found = connection.execute(
        f"SELECT a.allele, {columns} FROM {table} t JOIN alleles_here a "  # noqa: S608
        f"ON t.contig = a.contig AND t.start = a.start{same} "
        "WHERE t.start BETWEEN ? AND ? ORDER BY ALL",
        [int(start.min()), int(start.max())],
    ).df()
    connection.unregister("alleles_here")
    return found


def has_rows(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a registry table holds anything."""
    return (
        connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone()  # noqa: S608
        is not None
    )


def text_column(found: pd.DataFrame, label: str, n: int) -> pa.Array:
    """Join the labels of each allele by ';' and place them among ``n`` alleles."""
    out = np.full(n, None, dtype=object)
    if len(found):
        grouped = found.groupby("allele", sort=True)[label].agg(";".join)
        out[grouped.index.to_numpy()] = grouped.to_numpy()
    return pa.array(out, pa.string())


def number_column(found: pd.DataFrame, column: str, how: str, n: int) -> pa.Array:
    """Aggregate a column over each allele's rows and place it among ``n`` alleles."""
    out = np.full(n, np.nan)
    if len(found):
        grouped = found.groupby("allele", sort=True)[column].agg(how)
        out[grouped.index.to_numpy()] = grouped.to_numpy()
    return pa.array(out, from_pandas=True)
