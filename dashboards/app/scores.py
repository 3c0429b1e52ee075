"""Scores of a run, asked with DuckDB where they lie: a Parquet file, never read whole.

One connection a process; every question takes a cursor of it, so pages of several people
run side by side. Values reach SQL as parameters, column names only after a look at the
file's own columns.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dashboards.app.engine import cursor
from dashboards.app.filters import Filter, Known, where
from dashboards.app.offer import Result
from data_registry.errors import InputError, MalformedFileError

PERCENTILE_STEPS: Final = 1000
"""Percentiles are kept in steps of 0.1."""
_HELD: Final = 256
"""Answers kept of each question, so that a page drawn again does not ask again."""
_KEY: Final = ("chrom", "pos", "ref", "alt")


@dataclass(frozen=True, slots=True)
class ColumnNote:
    """What the file says of one of its columns."""

    name: str
    is_number: bool
    unit: str
    meaning: str
    direction: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of a column's values: all scored alleles, and those that pass a filter.

    Parameters
    ----------
    edges
        ``n + 1`` edges of the bins.
    everything, chosen
        ``n`` counts each.
    n_chosen
        Alleles that pass, those without a value too.
    """

    edges: NDArray[np.float64]
    everything: NDArray[np.int64]
    chosen: NDArray[np.int64]
    n_chosen: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two scores against each other.

    Parameters
    ----------
    cells
        Columns x, y (middles of the cells) and n.
    n
        Alleles that have both.
    pearson
        Correlation of the values; None for fewer than three alleles.
    """

    cells: pd.DataFrame
    n: int
    pearson: float | None


_lock = threading.Lock()


class Scores:
    """One file of scores.

    Parameters
    ----------
    path
        Parquet, as ``cisgraph score --format parquet`` writes it.

    Raises
    ------
    MalformedFileError
        The file is no such Parquet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            schema = pq.read_schema(path)
            self.n_rows = int(pq.read_metadata(path).num_rows)
        except (pa.ArrowInvalid, OSError) as error:
            raise MalformedFileError(
                path, f"cannot be read as Parquet ({str(error)[:100]})",
                remedy="Score the file again with --format parquet",
            ) from error  # fmt: skip
        if lacking := [name for name in (*_KEY, "status") if name not in schema.names]:
            raise MalformedFileError(
                path, f"has no column {', '.join(lacking)}",
                remedy="Give a result of cisgraph score --format parquet",
            )  # fmt: skip
        self.columns: dict[str, ColumnNote] = {
            field.name: _note(field) for field in schema
        }
        self.header = (schema.metadata or {}).get(b"cisgraph", b"").decode()

    # -- what the file says ------------------------------------------------------------

    @property
    def accounting(self) -> dict[str, Any]:
        """``input_alleles``, ``scored`` and ``reasons`` as the run counted them."""
        for line in self.header.splitlines():
            if line.startswith("accounting "):
                held: dict[str, Any] = json.loads(line.removeprefix("accounting "))
                return held
        counts = dict(self._fetch("SELECT status, count(*) FROM {} GROUP BY 1"))
        scored = counts.pop("scored", 0)
        total = scored + sum(counts.values())
        return {"input_alleles": total, "scored": scored, "reasons": counts}

    @property
    def score_columns(self) -> list[str]:
        """Columns that can be compared and plotted, the prior score first."""
        numbers = [c.name for c in self.columns.values() if c.is_number]
        skipped = {"pos", "norm_pos"}
        ordered = sorted(numbers, key=lambda name: name != "prior_score")
        return [name for name in ordered if name not in skipped]

    @lru_cache  # noqa: B019  # a Scores lives as long as the process shows its file
    def values_of(self, column: str) -> dict[str, int]:
        """Return the distinct values of a text column with their counts, most first."""
        self._require(column)
        rows = self._fetch(
            f'SELECT "{column}", count(*) FROM {{}} WHERE "{column}" IS NOT NULL '
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return dict(rows)

    @lru_cache  # noqa: B019
    def consequence_terms(self) -> dict[str, int]:
        """Return Sequence Ontology terms with the alleles that carry them, most first."""
        counts: dict[str, int] = {}
        for value, n in self.values_of("consequence").items():
            for term in value.split("&"):
                counts[term] = counts.get(term, 0) + n
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @lru_cache  # noqa: B019
    def groups(self) -> tuple[str, ...]:
        """Return ``panel`` and ``panel/group`` names that have allele counts."""
        if "panel_counts" not in self.columns:
            return ()
        rows = self._fetch(
            "SELECT DISTINCT regexp_replace(unnest(string_split(panel_counts, ';')),"
            " '=.*$', '') AS name FROM (SELECT panel_counts FROM {} "
            "WHERE panel_counts IS NOT NULL LIMIT 5000) ORDER BY name"
        )
        return tuple(name for (name,) in rows if name)

    @lru_cache  # noqa: B019
    def thresholds(self, column: str) -> tuple[float, ...]:
        """Return the values at the percentiles 0, 0.1, … 100 of the scored alleles."""
        self._require(column)
        found = self._fetch(
            f"SELECT \"{column}\"::DOUBLE AS x FROM {{}} WHERE status = 'scored' "
            f'AND "{column}" IS NOT NULL',
            arrow=True,
        )
        values = found.column("x").to_numpy()
        values = values[~np.isnan(values)]
        if not len(values):
            return ()
        steps = np.linspace(0.0, 1.0, PERCENTILE_STEPS + 1)
        return tuple(np.quantile(values, steps).tolist())

    def percentile(self, column: str, value: float | None) -> float | None:
        """Return the share of scored alleles with a lower value, in percent.

        In steps of 0.1; of equal values the middle.
        """
        edges = self.thresholds(column)
        if value is None or value != value or not edges:
            return None
        left, right = (
            np.searchsorted(edges, value, side) for side in ("left", "right")
        )
        return float(min((left + max(right - 1, left)) / 2 / PERCENTILE_STEPS, 1) * 100)

    @property
    def missing_layers(self) -> list[str]:
        """Sentences on what the workspace lacked when the file was scored."""
        start = "missing layer: "
        lines = self.header.splitlines()
        return [line.removeprefix(start) for line in lines if line.startswith(start)]

    # -- questions ---------------------------------------------------------------------

    def known(
        self, chosen: Filter, picked: Sequence[tuple[str, int, str, str]] = ()
    ) -> Known:
        """Gather what a filter's WHERE clause needs."""
        asks_percentile = chosen.above > 0 or chosen.below < 100
        return Known(
            frozenset(self.columns),
            tuple(self.values_of("consequence"))
            if chosen.consequence and "consequence" in self.columns
            else (),
            self.thresholds(chosen.score)
            if asks_percentile and chosen.score in self.columns
            else (),
            tuple(picked),
        )

    @lru_cache(maxsize=_HELD)  # noqa: B019
    def count(self, chosen: Filter, known: Known) -> int:
        """Return how many alleles pass."""
        text, values = where(chosen, known)
        return int(self._fetch(f"SELECT count(*) FROM {{}} WHERE {text}", values)[0][0])

    @lru_cache(maxsize=_HELD)  # noqa: B019
    def page(
        self, chosen: Filter, known: Known, *, columns: tuple[str, ...],
        sort: str = "", ascending: bool = False, offset: int = 0, limit: int = 50,
    ) -> pd.DataFrame:  # fmt: skip
        """Return one page of the alleles that pass; callers must not change it.

        Parameters
        ----------
        sort
            Column to sort by, missing values last; "" keeps the file's order, which
            also orders equal values.
        """
        text, values = where(chosen, known)
        shown = self._listed(columns)
        order = "file_row_number"
        if sort:
            self._require(sort)
            order = f'"{sort}" {"ASC" if ascending else "DESC"} NULLS LAST, {order}'
        table = self._fetch(
            f"SELECT {shown} FROM {{}} WHERE {text} ORDER BY {order} LIMIT ? OFFSET ?",
            [*values, limit, offset],
            arrow=True,
        )
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def row(self, chrom: str, pos: int, ref: str, alt: str) -> dict[str, Any] | None:
        """Return all columns of one allele, or None."""
        table = self._fetch(
            "SELECT * EXCLUDE (file_row_number) FROM {} WHERE chrom = ? AND pos = ? "
            "AND upper(ref) = upper(?) AND upper(alt) = upper(?) LIMIT 1",
            [chrom, pos, ref, alt],
            arrow=True,
        )
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows[0] if rows else None

    @lru_cache(maxsize=_HELD)  # noqa: B019
    def histogram(
        self, column: str, chosen: Filter, known: Known, *, bins: int = 50
    ) -> Histogram:
        """Count a column's values between its 0.1 and 99.9 percentiles, ends included.

        Values beyond fall into the first and last bin.
        """
        span = self._span(column)
        if span is None:
            nothing = np.zeros(0, np.int64)
            n = self.count(chosen, known)
            return Histogram(np.zeros(1), nothing, nothing, n)
        low, high = span
        text, values = where(chosen, known)
        counted, n_without = self._binned(column, (low, high), bins, text, values)
        everything = self._everything(column, bins)
        n_chosen = int(counted.sum()) + n_without
        return Histogram(
            np.linspace(low, high, bins + 1), everything, counted, n_chosen
        )

    def _span(self, column: str) -> tuple[float, float] | None:
        edges = self.thresholds(column)
        if not edges:
            return None
        low, high = edges[1], edges[-2]
        return (low, high) if high > low else (edges[0] - 0.5, edges[-1] + 0.5)

    @lru_cache  # noqa: B019
    def _everything(self, column: str, bins: int) -> NDArray[np.int64]:
        span = self._span(column) or (0.0, 1.0)
        return self._binned(column, span, bins, "status = 'scored'", [])[0]

    def _binned(
        self, column: str, span: tuple[float, float], bins: int, text: str,
        values: Sequence[Any],
    ) -> tuple[NDArray[np.int64], int]:  # fmt: skip
        low, high = span
        rows = self._fetch(
            f'SELECT least(greatest(floor(("{column}" - ?) / ? * ?), 0), ?)::INTEGER, '
            f"count(*) FROM {{}} WHERE {text} GROUP BY 1",
            [low, high - low, bins, bins - 1, *values],
        )
        counts, n_without = np.zeros(bins, np.int64), 0
        for at, n in rows:
            if at is None:
                n_without = n
            else:
                counts[at] = n
        return counts, n_without

    @lru_cache(maxsize=_HELD)  # noqa: B019
    def counts(self, column: str, chosen: Filter, known: Known) -> dict[str, int]:
        """Return the values of a text column with the alleles that pass, most first."""
        self._require(column)
        text, values = where(chosen, known)
        rows = self._fetch(
            f'SELECT "{column}", count(*) FROM {{}} WHERE {text} AND "{column}" IS NOT '
            "NULL GROUP BY 1 ORDER BY 2 DESC, 1",
            values,
        )
        return dict(rows)

    @lru_cache(maxsize=_HELD)  # noqa: B019
    def compare(
        self, x: str, y: str, chosen: Filter, known: Known, *, bins: int = 40
    ) -> Comparison:
        """Count alleles in cells of two scores, and correlate them."""
        spans = []
        for column in (x, y):
            span = self._span(column)
            if span is None:
                return Comparison(pd.DataFrame(columns=["x", "y", "n"]), 0, None)
            spans.append((span[0], span[1] - span[0]))
        text, values = where(chosen, known)
        cell = 'least(greatest(floor(("{}" - ?) / ? * ?), 0), ?)::INTEGER'
        given = [v for low, width in spans for v in (low, width, bins, bins - 1)]
        # Sums of both values from the lower ends of their spans: one pass gives all.
        a, b = (
            f'("{column}" - {span[0]!r})'
            for column, span in zip((x, y), spans, strict=True)
        )
        rows = self._fetch(
            f"SELECT {cell.format(x)}, {cell.format(y)}, count(*), sum({a}), sum({b}), "
            f"sum({a} * {a}), sum({b} * {b}), sum({a} * {b}) FROM {{}} "
            f'WHERE {text} AND "{x}" IS NOT NULL AND "{y}" IS NOT NULL GROUP BY 1, 2',
            [*given, *values],
        )
        cells = pd.DataFrame([row[:3] for row in rows], columns=["x", "y", "n"])
        for name, (low, width) in zip("xy", spans, strict=True):
            cells[name] = low + (cells[name] + 0.5) * width / bins
        n, sx, sy, sxx, syy, sxy = np.array(
            [row[2:] for row in rows] or [[0] * 6], dtype=np.float64
        ).sum(axis=0)
        spread = (n * sxx - sx * sx) * (n * syy - sy * sy)
        shown = (
            float((n * sxy - sx * sy) / np.sqrt(spread))
            if n > 2 and spread > 0
            else None
        )
        n = int(n)
        return Comparison(cells, n, shown)

    def export(
        self, target: Path, form: str, chosen: Filter, known: Known, *,
        columns: Sequence[str] = (), sort: str = "", ascending: bool = False,
    ) -> int:  # fmt: skip
        """Write all alleles that pass, in the order shown, and return how many.

        Parameters
        ----------
        form
            csv, tsv, parquet or bed.
        columns
            Those to write; none: all. BED has its own.
        """
        text, values = where(chosen, known)
        order = "file_row_number"
        if sort:
            self._require(sort)
            order = f'"{sort}" {"ASC" if ascending else "DESC"} NULLS LAST, {order}'
        shown = self._listed(columns or list(self.columns))
        options = {
            "csv": "FORMAT csv, HEADER, DELIMITER ','",
            "tsv": "FORMAT csv, HEADER, DELIMITER '\t'",
            "bed": "FORMAT csv, HEADER false, DELIMITER '\t'",
            "parquet": "FORMAT parquet, COMPRESSION zstd",
        }
        if form not in options:
            raise InputError(f"no format {form!r}; there are: {', '.join(options)}")
        if form == "bed":
            prior = '"prior_score"' if "prior_score" in self.columns else "NULL"
            # BED: 0-based half-open; score 0-1000; a bar for an allele without REF bases.
            shown = (
                "chrom, pos - 1 AS s, pos - 1 + greatest(length(ref), 1) AS e, "
                "chrom || ':' || pos || ':' || ref || ':' || alt AS name, "
                f"coalesce(round({prior} * 1000)::INTEGER, 0) AS score, '.' AS strand"
            )
        written = self._fetch(
            f"COPY (SELECT {shown} FROM {{}} WHERE {text} ORDER BY {order}) "
            f"TO '{_quoted(target)}' ({options[form]})",
            values,
        )
        return int(written[0][0])

    # -- helpers -----------------------------------------------------------------------

    def _fetch(
        self, query: str, values: Sequence[Any] = (), *, arrow: bool = False
    ) -> Any:  # noqa: ANN401
        """Run a query; ``{}`` in it stands for the file, with its row numbers."""
        source = f"read_parquet('{_quoted(self.path)}', file_row_number = true)"
        with cursor() as asking:
            text = query.replace("{}", source)
            if arrow:
                return asking.sql(text, params=list(values)).to_arrow_table()
            return asking.execute(text, list(values)).fetchall()

    def _require(self, column: str) -> None:
        if column not in self.columns:
            raise InputError(f"this result has no column {column!r}")

    def _listed(self, columns: Sequence[str]) -> str:
        for column in columns:
            self._require(column)
        return ", ".join(f'"{column}"' for column in columns)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _note(field: pa.Field) -> ColumnNote:
    held: Mapping[bytes, bytes] = field.metadata or {}
    kind = field.type
    return ColumnNote(
        field.name,
        pa.types.is_floating(kind) or pa.types.is_integer(kind),
        held.get(b"unit", b"").decode(),
        held.get(b"meaning", b"").decode(),
        held.get(b"direction", b"").decode(),
    )


def warm(result: Result) -> None:
    """Ask what the first page will ask, so that its visitor does not wait for it."""
    scores = open_scores(result)
    for column in ("status", "consequence"):
        if column in scores.columns:
            scores.values_of(column)
    scores.groups()
    first = Filter()
    known = scores.known(first)
    scores.count(first, known)
    if "prior_score" in scores.columns:
        scores.histogram("prior_score", first, known)


_open: dict[str, tuple[tuple[str, int, int], Scores]] = {}


def open_scores(result: Result) -> Scores:
    """Return the scores of a result; the same object until the file changes."""
    stamp = result.stamp
    with _lock:
        held = _open.get(stamp[0])
    if held and held[0] == stamp:
        return held[1]
    opened = Scores(result.path)
    with _lock:
        _open[stamp[0]] = stamp, opened
    return opened
