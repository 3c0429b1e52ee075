"""What a build step sees, and nothing else: its declared inputs, as views."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from graph_builder.contacts import ContactMap
from graph_builder.intervals import Spans
from graph_builder.parameters import BuildParameters

Ints = NDArray[np.int64]


class GenomeReader(Protocol):
    """Where the reference sequence comes from."""

    def contig(self, name: str) -> NDArray[np.uint8]:
        """Return one contig as ASCII codes, shape ``(length,)``, either case."""
        ...


Step = Callable[["Context"], pa.Table]
"""A build step: nodes have ``identifier``, edges ``source`` and ``target``."""


@dataclass(slots=True)
class Context:
    """One step's surroundings.

    SQL sees ``in_<registry table>`` and ``on_<node or edge type>``, each with the
    declared columns only; node types also have ``id``.

    Parameters
    ----------
    contigs
        Contig name to number, for ``Spans``.
    left_out
        Input rows that do not enter, by reason; the step counts here.
    notes
        Sentences for the manifest; the step writes here.
    """

    db: duckdb.DuckDBPyConnection
    parameters: BuildParameters
    genome: GenomeReader | None
    contigs: Mapping[str, int]
    contact_map: Callable[[], ContactMap | None]
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def table(self, sql: str, **values: Any) -> pa.Table:  # noqa: ANN401
        """Run a query; ``$name`` takes the value of that name."""
        found: pa.Table = self.db.sql(sql, params=values or None).to_arrow_table()
        return found

    def arrays(self, sql: str, **values: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401
        """Run a query and return its columns; none may hold NULL."""
        found = self.table(sql, **values)
        return {
            name: found[name].to_numpy(zero_copy_only=False)
            for name in found.column_names
        }

    def number(self, sql: str, **values: Any) -> int:  # noqa: ANN401
        """Run a query that returns one whole number."""
        rows = self.db.sql(sql, params=values or None).fetchall()
        return int(rows[0][0]) if rows and rows[0][0] is not None else 0

    def put(self, name: str, columns: Mapping[str, Any]) -> None:
        """Give arrays a name in SQL."""
        self.db.register(name, pa.table(dict(columns)))

    def count_left_out(self, reason: str, n: int) -> None:
        """Count input rows that do not enter; none are not worth a line."""
        if n:
            self.left_out[reason] += n

    def spans(self, columns: Mapping[str, NDArray[Any]]) -> Spans:
        """Turn ``contig``, ``start`` and ``end`` columns into intervals."""
        return Spans(
            self.number_contigs(columns["contig"]),
            columns["start"].astype(np.int64),
            columns["end"].astype(np.int64),
        )

    def number_contigs(self, names: NDArray[Any] | pa.ChunkedArray) -> Ints:
        """Return the numbers of contigs, from one list for the whole build."""
        if isinstance(names, pa.ChunkedArray):
            names = names.cast(pa.large_string()).combine_chunks()
        encoded = pa.array(names, pa.large_string()).dictionary_encode()
        codes = np.array(
            [self.contigs[name] for name in encoded.dictionary.to_pylist()], np.int64
        )
        if not codes.size:
            return np.empty(0, np.int64)
        numbers: Ints = codes[encoded.indices.to_numpy(zero_copy_only=False)]
        return numbers
