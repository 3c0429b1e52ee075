"""What a rebuild did, as plain data: all that its page shows, and how it is found out."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from data_registry.store import Source
from graph_builder.difference import diff
from graph_builder.manifest import read_manifest

Status = Literal["published", "held", "unchanged", "failed"]


@dataclass(slots=True)
class Report:
    """What one rebuild did: everything that its page shows, as plain data.

    Parameters
    ----------
    came_in
        Sources that are new or changed, with their counts.
    refused
        Files that were refused, with the reason and where they lie now.
    waiting
        Files that were left for the next run, with the reason.
    remote
        What publishers answered.
    graph
        Old and new digest; by type rows before, after, added, removed, changed, examples.
    scores
        By kept VCF: accounting, how far percentiles moved.
    moved
        Alleles that moved by more than a decile, largest first, at most 200.
    causes
        By VCF: cause to number of moved alleles.
    figures
        Benchmarks before and after.
    falls
        Why the gate is closed; empty when it is open.
    steps
        Seconds by step.
    """

    workspace: str
    status: Status = "unchanged"
    reason: str = ""
    version: str = ""
    version_before: str = ""
    picked_up: bool = False
    started: str = ""
    seconds: float = 0.0
    came_in: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    remote: list[dict[str, str]] = field(default_factory=list)
    graph: dict[str, Any] = field(default_factory=dict)
    scores: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)
    causes: dict[str, dict[str, int]] = field(default_factory=dict)
    figures: list[dict[str, Any]] = field(default_factory=list)
    prior: dict[str, dict[str, float]] = field(default_factory=dict)
    falls: list[str] = field(default_factory=list)
    accepted: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)
    removed_versions: list[str] = field(default_factory=list)
    kept_versions: list[str] = field(default_factory=list)
    page: str = ""

    @property
    def has_news(self) -> bool:
        """Whether a person should see it: not for a run that found nothing to do."""
        return self.status != "unchanged" or bool(self.refused)

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return asdict(self)


def compare_sources(before: list[Source], after: list[Source]) -> list[dict[str, Any]]:
    """Return what came in: sources whose file, kind, options or columns are new."""

    def key(source: Source) -> tuple[object, ...]:
        return (source.name, source.kind, source.sha256, repr(source.options),
                repr(source.columns))  # fmt: skip

    known = {key(source) for source in before}
    names = {source.name: source for source in before}
    return [
        {
            "source": one.name,
            "kind": one.kind,
            "file": Path(one.path).name,
            "sha256": one.sha256,
            "rows_read": one.rows_read,
            "rows_kept": one.rows_kept,
            "left_out": one.left_out,
            "notes": one.notes,
            "licence": one.licence,
            "replaces": names[one.name].version if one.name in names else None,
        }
        for one in after
        if key(one) not in known
    ]


def compare_graph_folders(old: Path | None, new: Path) -> dict[str, Any]:
    """Return how a graph differs from the one before, by type; all is new without one."""
    after = read_manifest(new)
    before = read_manifest(old) if old is not None else None
    found: dict[str, Any] = {
        "before": before.digest if before else "",
        "after": after.digest,
        "rows_before": sum(r.count for r in before.types.values()) if before else 0,
        "rows": sum(record.count for record in after.types.values()),
        "types": [],
    }
    if old is None:
        found["types"] = [
            {"type": name, "before": 0, "after": r.count, "added": r.count, "removed": 0,
             "changed": 0, "examples": []}
            for name, r in after.types.items() if r.count
        ]  # fmt: skip
        return found
    for name, one in diff(old, new, n_named=3).types.items():
        examples = [*one.added[:2], *one.removed[:1], *one.changed[:1]]
        found["types"].append(
            {"type": name, "before": one.n_old, "after": one.n_new, "added": one.n_added,
             "removed": one.n_removed, "changed": one.n_changed, "examples": examples}
        )  # fmt: skip
    return found


def read_moved(
    path: Path, most: int = 200
) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
    """Return the largest moves, and the number of moves by VCF and cause."""
    if not path.is_file() or path.stat().st_size <= 1:
        return [], {}
    table = pd.read_csv(
        path, sep="\t", dtype={"chrom": str, "gene": str, "symbol": str}
    )
    if "because" not in table:
        table["because"] = ""
    causes = {
        str(vcf): {str(cause): n for cause, n in Counter(part["because"]).items()}
        for vcf, part in table.groupby("vcf")
    }
    shown = table.head(most)
    rows = shown.astype(object).where(shown.notna(), None).to_dict("records")
    return [{str(k): v for k, v in row.items()} for row in rows], causes


def find_falls(figures: list[dict[str, Any]]) -> list[str]:
    """Say which figures fall by more than their interval: below its lower end.

    Parameters
    ----------
    figures
        Benchmarks with ``before`` and ``after``: ``auroc``, ``low``, ``high``.
    """
    falls = []
    for one in figures:
        before, after = one.get("before"), one.get("after")
        if before is None:
            continue
        if after is None:
            falls.append(f"{one['name']}: no allele with a label is scored any more")
        elif after["auroc"] < before["low"]:
            falls.append(
                f"{one['name']}: AUROC falls from {before['auroc']:.3f} (95 % interval "
                f"{before['low']:.3f} to {before['high']:.3f}) to {after['auroc']:.3f}"
            )
    return falls
