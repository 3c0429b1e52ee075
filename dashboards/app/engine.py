"""One DuckDB in memory a process, which reads Parquet where it lies."""

import threading
from functools import cache
from typing import Final

import duckdb

_MEMORY: Final = "2GB"

_lock = threading.Lock()


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    engine = duckdb.connect(":memory:")
    engine.execute(f"SET memory_limit = '{_MEMORY}'")
    # The footer of a file is read once, not with every question.
    engine.execute("SET parquet_metadata_cache = true")
    return engine


def cursor() -> duckdb.DuckDBPyConnection:
    """Return a cursor of its own for one question; close it after."""
    with _lock:
        return _engine().cursor()
