"""Building the graph: step by step, atomically, and only what changed.

Every type of ``graph_builder.schema`` is one step. A step's input digest covers what it
reads (contents of registry columns, columns of earlier types, parameters, sequence),
its own definition and the builder's code. Where an earlier graph in the same folder
holds a type with that input digest, its file is taken over; as a step can see nothing
else, the result is that of a full build.

A graph is built in a hidden folder beside its place and renamed when whole: a killed
build leaves the old graph, and the next build clears away what it left.
"""

import fcntl
import hashlib
import importlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_registry.errors import InputError, UnknownContigError, WorkspaceError
from data_registry.schema import TABLES
from graph_builder.contacts import ContactMap, build_contact_map
from graph_builder.edges import EDGE_STEPS
from graph_builder.manifest import (
    CURRENT,
    Manifest,
    MissingType,
    SourceRecord,
    StepReport,
    TypeRecord,
    arrow_schema,
    digest_column,
    digest_file,
    digest_graph,
    digest_json,
    digest_table,
    file_of,
    read_manifest,
    write_text_atomically,
)
from graph_builder.nodes import NODE_STEPS
from graph_builder.parameters import BuildParameters
from graph_builder.schema import EDGE_TYPES, NODE_TYPES, TYPES, EdgeType, NodeType
from graph_builder.steps import Context, GenomeReader, Step

STEPS: dict[str, Step] = {**NODE_STEPS, **EDGE_STEPS}

_TEMPORARY = ".building-"
_LOCK = ".lock"

EXTRA_TABLES: Mapping[str, Mapping[str, str]] = {
    "variant_consequences": {
        "contig": "VARCHAR",
        "start": "BIGINT",
        "ref": "VARCHAR",
        "alt": "VARCHAR",
        "gene_id": "VARCHAR",
        "consequence": "VARCHAR",
        "impact": "VARCHAR",
    }
}
"""Tables that a registry may hold beyond ``data_registry.schema``."""

_MACROS = """
CREATE TEMP MACRO one_based(start) AS start + 1;
CREATE TEMP MACRO region_text(contig, first, past) AS
    contig || ':' || one_based(first) || '-' || past;
CREATE TEMP MACRO allele_word(bases) AS
    CASE WHEN bases IS NULL THEN '.' WHEN bases = '' THEN '-' ELSE bases END;
CREATE TEMP MACRO allele_text(contig, first, ref, alt) AS
    contig || ':' || one_based(first) || ':' || allele_word(ref) || ':'
    || allele_word(alt);
"""


@dataclass(frozen=True, slots=True)
class StepEvent:
    """Progress of a build, for a progress bar or a log line.

    Parameters
    ----------
    index, total
        Place of the step, from 1, and number of steps.
    state
        ``started``, then ``built``, ``reused`` or ``empty``.
    count
        Rows; 0 when started.
    """

    type: str
    index: int
    total: int
    state: Literal["started", "built", "reused", "empty"]
    count: int
    seconds: float


def build_graph(
    db: duckdb.DuckDBPyConnection,
    genome: GenomeReader | None,
    out: Path,
    *,
    parameters: BuildParameters | None = None,
    on_step: Callable[[StepEvent], None] | None = None,
) -> Manifest:
    """Build the graph of a registry.

    Parameters
    ----------
    db
        The registry; only read. Tables and columns it lacks count as empty.
    genome
        The reference sequence; without it motifs are not scanned and GWAS alleles are
        taken as written.
    out
        Folder of graphs (``workspace/graph``); the graph goes to ``out/<digest>`` and
        ``out/CURRENT`` names it.
    on_step
        Called as each step starts and ends.

    Returns
    -------
    Manifest
        Of the graph built, or of the same graph found there.

    Raises
    ------
    InputError
        The registry's rows break a rule of ``graph_builder.schema``.
    WorkspaceError
        ``out`` cannot be written.
    """
    chosen = parameters or BuildParameters()
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(out)
        with _temporary_folder(out) as folder:
            run = _Run(db, genome, chosen, folder, _find_earlier(out))
            manifest = run.build(on_step or (lambda _: None))
            manifest.write(folder)
            return _put_in_place(manifest, folder, out)
    except OSError as error:
        raise WorkspaceError(
            f"{out}: the graph cannot be written ({error.strerror or error}); "
            "free space or choose another folder; the last graph is unchanged"
        ) from error


# --------------------------------------------------------------------------------
# one run


@dataclass(slots=True)
class _Run:
    db: duckdb.DuckDBPyConnection
    genome: GenomeReader | None
    parameters: BuildParameters
    folder: Path
    earlier: Mapping[tuple[str, str], tuple[Path, TypeRecord]]
    records: dict[str, TypeRecord] = field(default_factory=dict)
    contig_numbers: "_ContigNumbers" = field(default_factory=lambda: _ContigNumbers())
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    table_digests: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    genome_digest: str | None = None
    contact_maps: list[ContactMap | None] = field(default_factory=list)
    code: str = ""
    prefix: str = ""

    def build(self, on_step: Callable[[StepEvent], None]) -> Manifest:
        (self.folder / "nodes").mkdir()
        (self.folder / "edges").mkdir()
        self.code = digest_code()
        self.columns = _find_columns(self.db)
        catalog, schema = self.db.execute(
            "SELECT current_database(), current_schema()"
        ).fetchall()[0]
        self.prefix = f'"{catalog}"."{schema}"'
        reports = []
        for index, (name, kind) in enumerate(TYPES.items(), start=1):
            began = time.perf_counter()
            on_step(StepEvent(name, index, len(TYPES), "started", 0, 0.0))
            wanted = self._digest_inputs(kind)
            record = self._take_over(name, wanted)
            state: Literal["built", "reused", "empty"] = "reused"
            if record is None:
                record = self._run_step(name, kind, wanted)
                state = "built"
            if not record.count:
                state = "empty"
            self.records[name] = record
            seconds = time.perf_counter() - began
            reports.append(StepReport(name, state, record.count, seconds))
            on_step(StepEvent(name, index, len(TYPES), state, record.count, seconds))
        parameters = asdict(self.parameters)
        version = _version()
        return Manifest(
            digest=digest_graph(self.records, parameters, version),
            version=version,
            code=self.code,
            parameters=parameters,
            nodes={name: self.records[name] for name in NODE_TYPES},
            edges={name: self.records[name] for name in EDGE_TYPES},
            missing=self._find_missing(),
            sources=self._list_sources(),
            path=self.folder,
            steps=tuple(reports),
        )

    # -- inputs -------------------------------------------------------------------

    def _digest_inputs(self, kind: NodeType | EdgeType) -> str:
        inputs = kind.inputs
        return digest_json(
            {
                "type": repr(kind),
                "code": self.code,
                "engine": duckdb.__version__,
                "tables": {
                    table: self._digest_rows(table, columns)
                    for table, columns in inputs.tables.items()
                },
                "types": {
                    name: {
                        column: self.records[name].columns[column]
                        for column in (
                            *(("id",) if name in NODE_TYPES else ()),
                            *columns,
                        )
                    }
                    for name, columns in inputs.types.items()
                },
                "parameters": {
                    name: getattr(self.parameters, name) for name in inputs.parameters
                },
                "genome": self._digest_genome() if inputs.genome else None,
            }
        )

    def _digest_rows(self, table: str, columns: tuple[str, ...]) -> str:
        """Digest a table's rows as a multiset: neither order nor source_id counts."""
        key = (table, columns)
        if key not in self.table_digests:
            fields = ", ".join(f'"{column}"' for column in columns)
            row = self.db.execute(
                f"SELECT count(*), sum(hash({fields})), sum(hash({fields}, 'second')) "  # noqa: S608
                f"FROM ({self._select(table, columns)})"
            ).fetchall()[0]
            self.table_digests[key] = ":".join(str(value) for value in row)
        return self.table_digests[key]

    def _digest_genome(self) -> str:
        if self.genome is None:
            return "none"
        if self.genome_digest is None:
            found = hashlib.blake2b()
            names = self.db.execute(
                f"SELECT DISTINCT contig FROM ({self._select('contigs', ('contig',))}) "  # noqa: S608
                "WHERE contig IS NOT NULL ORDER BY contig"
            ).fetchall()
            for (name,) in names:
                try:
                    bases = self.genome.contig(name)
                except UnknownContigError:
                    continue
                found.update(f">{name}:{bases.size}\n".encode())
                found.update(np.ascontiguousarray(bases).data)
            self.genome_digest = found.hexdigest()
        return self.genome_digest

    def _select(self, table: str, columns: tuple[str, ...]) -> str:
        """Return SQL for columns of a registry table; what it lacks reads as NULL."""
        if table in TABLES:
            types = {one.name: one.type for one in TABLES[table].columns}
        else:
            types = dict(EXTRA_TABLES[table])
        has = self.columns.get(table, {})
        fields = ", ".join(
            f'"{name}"' if name in has else f'NULL::{types[name]} AS "{name}"'
            for name in columns
        )
        if not has:
            return f"SELECT {fields} WHERE false"
        return f'SELECT {fields} FROM {self.prefix}."{table}"'  # noqa: S608

    def _find_missing(self) -> tuple[MissingType, ...]:
        missing = []
        for name, kind in TYPES.items():
            if self.records[name].count:
                continue
            optional = kind.inputs.optional
            tables = tuple(one for one in kind.inputs.tables if one not in optional)
            has_rows = any(
                not self._digest_rows(one, kind.inputs.tables[one]).startswith("0:")
                for one in tables
            )
            lacking = [
                f"type {one}"
                for one in kind.inputs.types
                if one not in optional and not self.records[one].count
            ]
            if tables and not has_rows:
                lacking.insert(0, f"tables {', '.join(tables)}")
            problem = (
                f"nothing in {' and '.join(lacking)}"
                if lacking
                else "the layers it needs are registered, but no row of theirs fits"
            )
            missing.append(
                MissingType(name, tables, problem, f"register {kind.layers}")
            )
        return tuple(missing)

    def _list_sources(self) -> tuple[SourceRecord, ...]:
        has = self.columns.get("sources", {})
        if not {"name", "kind", "sha256"} <= set(has):
            return ()
        current = "WHERE superseded_by IS NULL" if "superseded_by" in has else ""
        rows = self.db.execute(
            f"SELECT DISTINCT name, kind, sha256 FROM {self.prefix}.sources {current} "  # noqa: S608
            "ORDER BY ALL"
        ).fetchall()
        return tuple(SourceRecord(*(str(value) for value in row)) for row in rows)

    # -- steps --------------------------------------------------------------------

    def _take_over(self, name: str, wanted: str) -> TypeRecord | None:
        """Link a type's file from an earlier graph, if it is whole."""
        found = self.earlier.get((name, wanted))
        if found is None:
            return None
        path, record = found
        target = self.folder / record.file
        try:
            try:
                os.link(path, target)
            except OSError:
                shutil.copyfile(path, target)
            if digest_file(target) == record.file_digest:
                return record
        except FileNotFoundError:
            return None
        target.unlink()
        return None

    def _run_step(
        self, name: str, kind: NodeType | EdgeType, wanted: str
    ) -> TypeRecord:
        cursor = self.db.cursor()
        try:
            ctx = self._open_step(cursor, kind)
            made = STEPS[name](ctx)
            table = _arrange(cursor, made, kind)
        finally:
            cursor.close()
        _check_keys(table, kind)
        file = file_of(name)
        path = self.folder / file
        pq.write_table(table, path, compression="zstd")
        columns = {one: digest_column(table[one]) for one in table.column_names}
        return TypeRecord(
            file=file,
            count=table.num_rows,
            digest=digest_table(table.num_rows, columns),
            columns=columns,
            input_digest=wanted,
            file_digest=digest_file(path),
            left_out=dict(sorted(ctx.left_out.items())),
            notes=tuple(ctx.notes),
        )

    def _open_step(
        self, cursor: duckdb.DuckDBPyConnection, kind: NodeType | EdgeType
    ) -> Context:
        cursor.execute(_MACROS)
        for table, columns in kind.inputs.tables.items():
            cursor.execute(
                f"CREATE TEMP VIEW in_{table} AS {self._select(table, columns)}"
            )
        for other, columns in kind.inputs.types.items():
            ids = ("id",) if other in NODE_TYPES else ()
            cursor.register(
                f"on_{other}",
                pq.read_table(
                    self.folder / self.records[other].file,
                    columns=list(dict.fromkeys((*ids, *columns))),
                    partitioning=None,
                ),
            )
        reads_contacts = "contacts" in kind.inputs.tables
        return Context(
            db=cursor,
            parameters=self.parameters,
            genome=self.genome if kind.inputs.genome else None,
            contigs=self.contig_numbers,
            contact_map=self._contact_map if reads_contacts else _no_contacts,
            left_out=Counter(),
            notes=[],
        )

    def _contact_map(self) -> ContactMap | None:
        """Return the contacts on bins, worked out once a build."""
        if not self.contact_maps:
            select = self._select(
                "contacts",
                ("contig1", "start1", "end1", "contig2", "start2", "end2", "count",
                 "balanced", "kind", "sample"),
            )  # fmt: skip
            cursor = self.db.cursor()
            found = cursor.sql(f"""
                SELECT contig1, start1, end1, contig2, start2, end2,
                    coalesce("count", 0) AS "count",
                    coalesce(balanced, 'nan'::DOUBLE) AS balanced,
                    coalesce(kind, 'matrix') = 'loop' AS is_loop,
                    coalesce(sample, '') AS sample
                FROM ({select})
            """).to_arrow_table()  # noqa: S608
            cursor.close()
            rows: dict[str, Any] = {
                name: found[name]
                if name in ("contig1", "contig2", "sample")
                else found[name].to_numpy(zero_copy_only=False)
                for name in found.column_names
            }
            self.contact_maps.append(
                build_contact_map(rows, self.parameters.contact_bin_bp)
            )
        return self.contact_maps[0]


def _no_contacts() -> ContactMap | None:
    raise AssertionError("this type does not declare that it reads contacts")


class _ContigNumbers(dict[str, int]):
    """Numbers contigs as they come; numbers only tell contigs apart within a build."""

    def __missing__(self, name: str) -> int:
        self[name] = len(self)
        return self[name]


def _arrange(
    cursor: duckdb.DuckDBPyConnection, made: pa.Table, kind: NodeType | EdgeType
) -> pa.Table:
    """Bring a step's rows into the type's columns and their one order; number nodes."""
    cursor.register("made", made)
    if isinstance(kind, NodeType):
        order = "identifier"
        first = "row_number() OVER (ORDER BY identifier) - 1 AS id, identifier"
    else:
        order = ", ".join(("source", "target", *(f'"{name}"' for name in kind.key)))
        first = "source, target"
    fields = ", ".join((first, *(f'"{one.name}"' for one in kind.attributes)))
    found = cursor.sql(f"SELECT {fields} FROM made ORDER BY {order}")  # noqa: S608
    table: pa.Table = found.to_arrow_table()
    try:
        return table.cast(arrow_schema(kind)).combine_chunks()
    except (pa.ArrowInvalid, ValueError) as error:
        raise InputError(
            f"{kind.name}: {error}; a column that must be filled is not"
        ) from error


def _check_keys(table: pa.Table, kind: NodeType | EdgeType) -> None:
    keys = (
        ["identifier"]
        if isinstance(kind, NodeType)
        else ["source", "target", *kind.key]
    )
    if len(table) < 2:
        return
    same = np.ones(len(table) - 1, bool)
    for key in keys:
        column = table[key].combine_chunks()
        equal = pa.compute.equal(column[1:], column[:-1])
        same &= equal.to_numpy(zero_copy_only=False).astype(bool)
    if same.any():
        at = int(np.flatnonzero(same)[0])
        shown = {key: table[key][at].as_py() for key in keys}
        raise InputError(f"{kind.name}: {int(same.sum())} repeated rows, e.g. {shown}")


# --------------------------------------------------------------------------------
# folders


def _find_columns(db: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in db.execute("""
        SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_catalog = current_database() AND table_schema = current_schema()
    """).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def _find_earlier(out: Path) -> dict[tuple[str, str], tuple[Path, TypeRecord]]:
    """Return every type of every graph under ``out`` by name and input digest."""
    found: dict[tuple[str, str], tuple[Path, TypeRecord]] = {}
    for folder in sorted(out.iterdir()):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        try:
            manifest = read_manifest(folder)
        except WorkspaceError:
            # a damaged graph is not reused; `validate` tells about it
            continue
        for name, record in manifest.types.items():
            found[name, record.input_digest] = (folder / record.file, record)
    return found


@contextmanager
def _temporary_folder(out: Path) -> Iterator[Path]:
    """Make a locked folder beside the graphs; it goes away unless renamed."""
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=out))
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clear_leftovers(out: Path) -> None:
    """Remove folders of builds that were killed: nobody holds their lock."""
    for folder in out.glob(f"{_TEMPORARY}*"):
        try:
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
        except OSError:
            # held by a running build, or not ours to remove
            continue


def _put_in_place(manifest: Manifest, folder: Path, out: Path) -> Manifest:
    place = out / manifest.digest[:16]
    if _holds(place, manifest):
        # the same graph from other sources of the same content: only they are noted
        manifest.write(place)
    else:
        if place.exists():
            aside = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=out))
            place.rename(aside / "damaged")
            shutil.rmtree(aside, ignore_errors=True)
        try:
            folder.rename(place)
        except OSError:
            # another builder was first with the same graph
            if not _holds(place, manifest):
                raise
        place.chmod(0o755)
        (place / _LOCK).unlink(missing_ok=True)
    write_text_atomically(out / CURRENT, place.name + "\n")
    return replace(manifest, path=place)


def _holds(place: Path, manifest: Manifest) -> bool:
    """Tell whether ``place`` holds this very graph, every file of it whole."""
    try:
        found = read_manifest(place)
    except WorkspaceError:
        return False
    return found.digest == manifest.digest and all(
        (place / record.file).is_file()
        and digest_file(place / record.file) == manifest.types[name].file_digest
        for name, record in found.types.items()
    )


def _version() -> str:
    try:
        return package_version("cisgraph")
    except PackageNotFoundError:
        return "0"


def digest_code() -> str:
    """Return the digest of the source files that decide what a step makes."""
    here = Path(__file__).parent
    found = hashlib.sha256()
    for name in (
        "build", "coexpression", "contacts", "edges", "intervals", "links",
        "motif_scan", "nodes", "schema",
    ):  # fmt: skip
        found.update((here / f"{name}.py").read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    # by name, because the commands import this module
    importlib.import_module("graph_builder.cli").main_build()
