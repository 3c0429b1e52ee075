"""What changed between two graphs: nodes and edges by name, not by number."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from graph_builder.manifest import Manifest, read_manifest
from graph_builder.schema import TYPES, EdgeType, NodeType


@dataclass(frozen=True, slots=True)
class TypeDifference:
    """Difference of one type.

    Parameters
    ----------
    n_added, n_removed
        Rows only in the new and only in the old graph.
    n_changed
        Rows in both with other attributes.
    added, removed, changed
        Their names, the first of them in order: a node's identifier, or an edge as
        ``source -> target``, with ``[key]`` where several edges may join two nodes.
    """

    n_old: int
    n_new: int
    n_added: int
    n_removed: int
    n_changed: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of two graphs; ``types`` holds those that differ.

    Parameters
    ----------
    parameters
        Parameter to its old and new value, where they differ.
    """

    old: str
    new: str
    types: Mapping[str, TypeDifference]
    parameters: Mapping[str, tuple[object, object]]

    def __bool__(self) -> bool:
        return bool(self.types or self.parameters)


def diff(old: Path, new: Path, *, n_named: int = 20) -> Difference:
    """Compare two graph folders.

    Parameters
    ----------
    n_named
        Names listed by type and kind of change; the counts are always exact.

    Raises
    ------
    WorkspaceError
        One of them holds no readable manifest.
    """
    before, after = read_manifest(old), read_manifest(new)
    found: dict[str, TypeDifference] = {}
    for name, kind in TYPES.items():
        if not _same(before, after, name, kind):
            one = _diff_type(before, after, kind, n_named)
            if one.n_added or one.n_removed or one.n_changed:
                found[name] = one
    names = sorted(set(before.parameters) | set(after.parameters))
    parameters = {
        name: (before.parameters.get(name), after.parameters.get(name))
        for name in names
        if before.parameters.get(name) != after.parameters.get(name)
    }
    return Difference(before.digest, after.digest, found, parameters)


def _same(
    before: Manifest, after: Manifest, name: str, kind: NodeType | EdgeType
) -> bool:
    """Tell by digests; an edge's numbers need the same nodes behind them."""
    if before.types[name].digest != after.types[name].digest:
        return False
    ends = (kind.source, kind.target) if isinstance(kind, EdgeType) else ()
    return all(
        before.nodes[node].columns["identifier"]
        == after.nodes[node].columns["identifier"]
        for node in ends
    )


def _diff_type(
    before: Manifest, after: Manifest, kind: NodeType | EdgeType, n_named: int
) -> TypeDifference:
    with duckdb.connect() as db:
        for side, manifest in (("old", before), ("new", after)):
            db.execute(f"CREATE VIEW {side} AS {_named_rows(manifest, kind)}")
        db.execute("""
            CREATE TABLE joined AS
            SELECT coalesce(o.name, n.name) AS name, o.name IS NULL AS is_added,
                n.name IS NULL AS is_removed,
                o.name IS NOT NULL AND n.name IS NOT NULL
                    AND o.content IS DISTINCT FROM n.content AS is_changed
            FROM old o FULL JOIN new n ON o.name = n.name
        """)
        counts = db.execute("""
            SELECT (SELECT count(*) FROM old), (SELECT count(*) FROM new),
                count(*) FILTER (is_added), count(*) FILTER (is_removed),
                count(*) FILTER (is_changed)
            FROM joined
        """).fetchall()[0]
        names = [
            tuple(
                str(row[0])
                for row in db.execute(
                    f"SELECT name FROM joined WHERE {which} ORDER BY name LIMIT ?",  # noqa: S608
                    [n_named],
                ).fetchall()
            )
            for which in ("is_added", "is_removed", "is_changed")
        ]
    return TypeDifference(*counts, *names)


def _named_rows(manifest: Manifest, kind: NodeType | EdgeType) -> str:
    def read(name: str) -> str:
        path = manifest.path / manifest.types[name].file
        return "read_parquet('" + str(path).replace("'", "''") + "')"

    fields = ", ".join(f'x."{one.name}"' for one in kind.attributes)
    content = f"hash({fields})" if fields else "0"
    if isinstance(kind, NodeType):
        return f"SELECT x.identifier AS name, {content} AS content FROM {read(kind.name)} x"  # noqa: S608
    key = "".join(f""" || ' [' || x."{one}" || ']'""" for one in kind.key)
    return f"""
        SELECT s.identifier || ' -> ' || t.identifier{key} AS name, {content} AS content
        FROM {read(kind.name)} x JOIN {read(kind.source)} s ON s.id = x.source
        JOIN {read(kind.target)} t ON t.id = x.target
    """  # noqa: S608
