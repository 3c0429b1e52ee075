"""Interval layers of the registry, ready to be asked what overlaps an allele."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from graph_builder.intervals import Spans, overlap_pairs
from variant_effect.alleles import AlleleTable

MAX_LISTED = 20
"""Labels listed for one allele; the count column tells how many there are."""


def allele_spans(alleles: AlleleTable, rows: NDArray[np.int64]) -> Spans:
    """Return the bases each allele touches; an insertion touches both its neighbours."""
    start, end = alleles.start[rows], alleles.end[rows]
    point = end <= start
    return Spans(
        alleles.contig[rows].astype(np.int64),
        np.where(point, np.maximum(start - 1, 0), start),
        np.where(point, start + 1, end),
    )


@dataclass(frozen=True, slots=True)
class IntervalLayer:
    """Labelled intervals, numbered by the assembly's contigs and sorted.

    Parameters
    ----------
    spans
        Sorted by contig and start.
    label
        Index into ``labels``, shape (intervals,).
    labels
        Distinct labels, sorted.
    reach
        Longest interval, bp: how far back a search must look.
    """

    spans: Spans
    label: NDArray[np.int64]
    labels: pa.Array
    reach: int

    @classmethod
    def of(
        cls, contig: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64],
        labels: Sequence[str],
    ) -> "IntervalLayer":  # fmt: skip
        """Sort intervals and number their labels."""
        names, code = np.unique(
            np.asarray(labels, dtype=object).astype(str), return_inverse=True
        )
        order = np.lexsort((code, end, start, contig))
        spans = Spans(contig[order], start[order], end[order])
        reach = int((end - start).max()) if len(end) else 0
        return cls(spans, code[order].astype(np.int64), pa.array(names.tolist()), reach)

    @classmethod
    def read(
        cls,
        connection: duckdb.DuckDBPyConnection,
        contigs: Sequence[str],
        query: str,
        parameters: Sequence[object] = (),
    ) -> "IntervalLayer":
        """Read ``contig, start, end, label`` rows."""
        table = connection.sql(query, params=list(parameters)).to_arrow_table()
        code_of = {name: i for i, name in enumerate(contigs)}
        encoded = table["contig"].combine_chunks().dictionary_encode()
        codes = np.array(
            [code_of[n] for n in encoded.dictionary.to_pylist()], dtype=np.int64
        )
        contig = (
            codes[encoded.indices.to_numpy(zero_copy_only=False)]
            if len(table)
            else np.zeros(0, np.int64)
        )
        return cls.of(
            contig,
            table["start"].to_numpy().astype(np.int64),
            table["end"].to_numpy().astype(np.int64),
            pc.fill_null(table["label"], "").to_pylist(),
        )

    def __len__(self) -> int:
        return len(self.label)

    def hits(
        self, alleles: AlleleTable, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return pairs (index into ``rows``, interval) of overlaps, sorted."""
        if not len(self) or not len(rows):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        asked = allele_spans(alleles, rows)
        pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for code in np.unique(asked.contig).tolist():
            mine = np.flatnonzero(asked.contig == code)
            low, high = np.searchsorted(self.spans.contig, [code, code + 1])
            first = asked.start[mine].min() - self.reach
            last = asked.end[mine].max()
            a = low + np.searchsorted(self.spans.start[low:high], first)
            b = low + np.searchsorted(self.spans.start[low:high], last)
            zero = np.zeros(len(mine), np.int64)
            part = Spans(
                np.zeros(b - a, np.int64), self.spans.start[a:b], self.spans.end[a:b]
            )
            left, right = overlap_pairs(
                Spans(zero, asked.start[mine], asked.end[mine]), part
            )
            pairs.append((mine[left], right + a))
        left = np.concatenate([p[0] for p in pairs])
        right = np.concatenate([p[1] for p in pairs])
        order = np.lexsort((right, left))
        return left[order], right[order]

    def listed(
        self, alleles: AlleleTable, rows: NDArray[np.int64]
    ) -> tuple[pa.Array, NDArray[np.int64]]:
        """Return, for each of ``rows``, its distinct labels joined by ',', and their number."""
        left, right = self.hits(alleles, rows)
        key = np.unique(left * max(len(self.labels), 1) + self.label[right])
        owner, label = np.divmod(key, max(len(self.labels), 1))
        count = np.bincount(owner, minlength=len(rows)).astype(np.int64)
        first = np.r_[0, np.cumsum(count)]
        keep = np.arange(len(key)) - first[owner] < MAX_LISTED
        shown = np.minimum(count, MAX_LISTED)
        lists = pa.ListArray.from_arrays(
            pa.array(np.r_[0, np.cumsum(shown)].astype(np.int32)),
            self.labels.take(pa.array(label[keep]))
            if len(self.labels)
            else pa.array([], pa.string()),
        )
        return pc.binary_join(lists, ","), count


def spread(
    values: pa.Array, rows: NDArray[np.int64], n: int, *, missing: object = None
) -> pa.Array:
    """Place ``values`` (one for each of ``rows``) among ``n`` alleles."""
    place = np.full(n, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    found = values.take(pa.array(place, mask=place < 0))
    return found if missing is None else pc.fill_null(found, missing)


def real(values: NDArray[np.floating], rows: NDArray[np.int64], n: int) -> pa.Array:
    """Place numbers among ``n`` alleles as float32; NaN becomes null."""
    out = np.full(n, np.nan, dtype=np.float32)
    out[rows] = values
    return pa.array(out, from_pandas=True)
