"""Register a recipe and write down what was kept, what was left out, and the cost.

    python benchmarks/register.py --recipe yeast --data ../shared/data \
        --workspace /tmp/w/yeast --out benchmarks/results/register_yeast.json

The JSON holds counts, names and times, no data. Paths are relative to the data folder.
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import PeakMemory, describe_machine
from data_registry.errors import PlatformError
from data_registry.recipes import Outcome, Recipe, read_recipe, register_source
from data_registry.schema import TABLES
from data_registry.store import Store, open_store

RECIPES = Path(__file__).resolve().parent / "recipes"


def main() -> int:
    """Register the recipe named on the command line; 1 where a source failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", required=True, help="name or TOML file")
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    given = Path(arguments.recipe)
    path = given if given.suffix == ".toml" else RECIPES / f"{given}.toml"
    try:
        recipe = read_recipe(path, arguments.data)
        result = measure(recipe, arguments.workspace)
    except PlatformError as error:
        print(error, file=sys.stderr)
        return 2
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")
    failed = [s for s in result["sources"] if s["status"] == "failed"]
    totals = result["totals"]
    print(
        f"{recipe.name}: {totals['added']} added, {totals['unchanged']} unchanged, "
        f"{len(failed)} failed, {totals['skipped']} files skipped; "
        f"{totals['rows_kept']:,} of {totals['rows_read']:,} rows kept in "
        f"{totals['seconds']:.0f} s, peak {totals['peak_mib']:,.0f} MiB"
    )
    return 1 if failed or result["unlisted"] else 0


def measure(recipe: Recipe, workspace: Path) -> dict[str, Any]:
    """Register each source and return counts, time and memory, ready for JSON."""
    started = datetime.now(UTC)
    begin = time.perf_counter()
    memory = PeakMemory()
    rows = []
    with open_store(workspace, write=True) as store:
        for number, source in enumerate(recipe.sources, start=1):
            memory.reset()
            outcome = register_source(store, recipe, source)
            row = describe(outcome, recipe, memory.read())
            rows.append(row)
            print(
                f"{number}/{len(recipe.sources)} {source.name}: {outcome.status}, "
                f"{row.get('rows_kept', 0):,} of {row.get('rows_read', 0):,} rows, "
                f"{row['seconds']:.1f} s, {row['peak_mib']:,.0f} MiB {outcome.error}",
                flush=True,
            )
        tables = count_rows(store)
        size = sum(f.stat().st_size for f in workspace.rglob("*") if f.is_file())
    statuses = [row["status"] for row in rows]
    return {
        "recipe": recipe.name,
        "description": recipe.description,
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "totals": {
            "sources": len(rows),
            **{s: statuses.count(s) for s in ("added", "unchanged", "failed")},
            "skipped": len(recipe.skipped),
            "rows_read": sum(row.get("rows_read", 0) for row in rows),
            "rows_kept": sum(row.get("rows_kept", 0) for row in rows),
            "seconds": round(time.perf_counter() - begin, 1),
            "peak_mib": max((row["peak_mib"] for row in rows), default=0.0),
            "peak_is_by_source": memory.resets,
            "workspace_mib": round(size / 2**20, 1),
        },
        "tables": tables,
        "sources": rows,
        "skipped": [{"path": f.path, "reason": f.reason} for f in recipe.skipped],
        "unlisted": recipe.unlisted(),
    }


def describe(outcome: Outcome, recipe: Recipe, peak_mib: float) -> dict[str, Any]:
    """Return one source's line of the result."""
    source = outcome.source
    row: dict[str, Any] = {
        "name": source.name,
        "path": source.path,
        "kind": source.kind,
        "options": dict(source.options),
        "columns": dict(source.columns),
        "recipe_note": source.note,
        "status": outcome.status,
        "seconds": round(outcome.seconds, 2),
        "peak_mib": peak_mib,
    }
    if outcome.error:
        row["error"] = _relative(outcome.error, recipe)
    if outcome.added:
        kept = outcome.added.source
        row |= {
            "sha256": kept.sha256,
            "size_bytes": kept.size_bytes,
            "rows_read": kept.rows_read,
            "rows_kept": kept.rows_kept,
            "left_out": kept.left_out,
            "contig_map": kept.contig_map,
            "notes": [_relative(note, recipe) for note in kept.notes],
        }
    return row


def _relative(text: str, recipe: Recipe) -> str:
    """Take this machine's folders out of a sentence."""
    for folder, name in ((recipe.root, ""), (recipe.path.parent, "{recipe}/")):
        for spelled in (folder.resolve(), folder):
            text = text.replace(f"{spelled}/", name)
    return text


def count_rows(store: Store) -> dict[str, int]:
    """Return the rows of each registry table."""
    counts = {}
    for name in TABLES:
        row = store.connection.execute(
            f'SELECT count(*) FROM "{name}"'  # noqa: S608
        ).fetchone()
        counts[name] = int(row[0]) if row else 0
    return counts


if __name__ == "__main__":
    sys.exit(main())
