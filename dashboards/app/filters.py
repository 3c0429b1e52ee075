"""Which variants a page shows: one value that is an address, a form and a WHERE clause."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from data_registry.coordinates import parse_region
from data_registry.errors import InputError

ELEMENTS: Final = ("any", "none", "promoter", "enhancer", "cre", "peak", "dhs")
"""What ``element`` may ask for: any or no regulatory element, or one of a class."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that all must hold; an empty one asks nothing.

    Parameters
    ----------
    status
        ``scored``, a reason for not being scored, or ``any``.
    region
        ``chr:start-end``, 1-based inclusive.
    consequence
        Sequence Ontology terms, any of them.
    impact
        HIGH, MODERATE, LOW, MODIFIER, any of them.
    gene
        Identifiers or symbols, comma between, any of them.
    score
        Column that percentiles are taken of.
    above, below
        Least and highest percentile of that score among scored alleles, 0-100.
    group
        ``panel`` or ``panel/group`` whose allele frequency counts; "" is the highest
        over whole panels.
    maf_from, maf_to
        Minor-allele frequency there, 0-0.5; an allele without counts passes only where
        both are left at their ends.
    element
        One of ``ELEMENTS``.
    tf
        Factor whose motif changes or that is measured to bind here.
    picked
        Name of a list that the person keeps.
    """

    status: str = "scored"
    region: str = ""
    consequence: tuple[str, ...] = ()
    impact: tuple[str, ...] = ()
    gene: str = ""
    score: str = "prior_score"
    above: float = 0.0
    below: float = 100.0
    group: str = ""
    maf_from: float = 0.0
    maf_to: float = 0.5
    element: str = ""
    tf: str = ""
    picked: str = ""

    @property
    def asks_frequency(self) -> bool:
        """Whether an allele frequency is a condition."""
        return self.maf_from > 0.0 or self.maf_to < 0.5


_BASE: Final = Filter()


def read_filter(address: Mapping[str, Sequence[str]]) -> Filter:
    """Read a filter from the parameters of an address; other parameters are not its own.

    Raises
    ------
    InputError
        A value is no number, or none of the values there are.
    """
    found: dict[str, Any] = {}
    for field in fields(Filter):
        values = [value for value in address.get(field.name, ()) if value]
        if not values:
            continue
        base = getattr(_BASE, field.name)
        if isinstance(base, tuple):
            found[field.name] = tuple(dict.fromkeys(values))
        elif isinstance(base, float):
            found[field.name] = _number(field.name, values[-1])
        else:
            found[field.name] = values[-1]
    chosen = Filter(**found)
    if chosen.element not in {"", *ELEMENTS}:
        raise InputError(f"element={chosen.element!r} is none of {', '.join(ELEMENTS)}")
    return chosen


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{name}={text!r} is no number") from None
    if value != value:
        raise InputError(f"{name}={text!r} is no number")
    return value


def write_filter(chosen: Filter) -> dict[str, list[str]]:
    """Return the parameters of an address that ``read_filter`` reads back."""
    written: dict[str, list[str]] = {}
    for field in fields(Filter):
        value, base = getattr(chosen, field.name), getattr(_BASE, field.name)
        if value == base:
            continue
        if isinstance(value, tuple):
            written[field.name] = list(value)
        else:
            written[field.name] = [f"{value:g}" if isinstance(value, float) else value]
    return written


def describe_filter(chosen: Filter) -> str:
    """Return the filter in words, for file headers and lists of saved filters."""
    parts = [
        f"{name}={'|'.join(values)}" for name, values in write_filter(chosen).items()
    ]
    return "; ".join(parts) or "all scored alleles"


@dataclass(frozen=True, slots=True)
class Known:
    """What the WHERE clause needs to know of a result.

    Parameters
    ----------
    columns
        Its columns.
    consequences
        Values of the consequence column (terms joined by '&').
    thresholds
        Values of ``Filter.score`` at the percentiles 0, 0.1, … 100.
    picked
        Alleles of the list, as (chrom, pos, ref, alt).
    """

    columns: frozenset[str]
    consequences: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    picked: tuple[tuple[str, int, str, str], ...] = ()


def where(chosen: Filter, known: Known) -> tuple[str, list[Any]]:
    """Return a WHERE clause without its keyword, and its parameters.

    Raises
    ------
    InputError
        A condition is on a column that this result does not have.
    """
    parts, values = [], []
    for text, given in _conditions(chosen, known):
        parts.append(text)
        values += given
    return " AND ".join(parts) or "true", values


def _conditions(chosen: Filter, known: Known) -> Iterator[tuple[str, list[Any]]]:
    def need(*names: str) -> None:
        if missing := [name for name in names if name not in known.columns]:
            raise InputError(
                f"this result has no column {', '.join(missing)}; score the file again "
                "with this version, or clear the filter"
            )

    if chosen.status != "any":
        yield "status = ?", [chosen.status]
    if chosen.region:
        region = parse_region(chosen.region)
        yield "chrom = ? AND pos > ?", [region.contig, region.start]
        if region.end is not None:
            yield "pos <= ?", [region.end]
    if chosen.consequence:
        wanted = set(chosen.consequence)
        # The column has few distinct values: find them here, not in each row.
        hits = [v for v in known.consequences if wanted & set(v.split("&"))]
        yield "consequence IN (SELECT unnest(?))", [hits]
    if chosen.impact:
        yield "impact IN (SELECT unnest(?))", [list(chosen.impact)]
    if chosen.gene.strip():
        names = [name for name in re.split(r"[,\s]+", chosen.gene) if name]
        yield "(gene IN (SELECT unnest(?)) OR symbol IN (SELECT unnest(?)))", [
            names, names,
        ]  # fmt: skip
    if chosen.above > 0 or chosen.below < 100:
        need(chosen.score)
        if known.thresholds:
            low, high = (
                known.thresholds[round(min(max(p, 0.0), 100.0) * 10)]
                for p in (chosen.above, chosen.below)
            )
            if chosen.above > 0:
                yield f'"{chosen.score}" >= ?', [low]
            if chosen.below < 100:
                yield f'"{chosen.score}" <= ?', [high]
        else:
            yield "false", []
    if chosen.asks_frequency:
        frequency, given = allele_frequency(chosen.group)
        need("panel_counts" if chosen.group else "panel_max_af")
        # Twice: once for each end of the interval; the engine computes it once.
        minor = f"least({frequency}, 1 - {frequency})"
        yield f"{minor} BETWEEN ? AND ?", [
            *given, *given, chosen.maf_from, chosen.maf_to,
        ]  # fmt: skip
    if chosen.element:
        need("cre", "cre_n")
        if chosen.element == "any":
            yield "cre_n > 0", []
        elif chosen.element == "none":
            yield "coalesce(cre_n, 0) = 0", []
        else:
            # Elements are written contig:start-end:class, or as the class alone.
            yield (
                "regexp_matches(cre, ?)",
                [f"(^|[:,]){re.escape(chosen.element)}([:,]|$)"],
            )
    if chosen.tf.strip():
        need("motif_tf", "tf_bound")
        name = chosen.tf.strip()
        yield "(lower(motif_tf) = ? OR regexp_matches(tf_bound, ?, 'i'))", [
            name.lower(), rf"(^|[,\s]){re.escape(name)}([,\s]|$)",
        ]  # fmt: skip
    if chosen.picked:
        keys = [f"{c}:{p}:{r}:{a}" for c, p, r, a in known.picked]
        yield "pos IN (SELECT unnest(?))", [[p for _, p, _, _ in known.picked]]
        yield (
            "(chrom || ':' || pos || ':' || ref || ':' || alt) IN (SELECT unnest(?))",
            [keys],
        )


def allele_frequency(group: str) -> tuple[str, list[Any]]:
    """Return an expression for ALT's frequency in a group, and its parameters.

    ``panel_counts`` holds ``panel/group=AC/AN`` joined by ';'.
    """
    if not group:
        return "panel_max_af", []
    pattern = rf"(?:^|;){re.escape(group)}=(\d+)/(\d+)(?:;|$)"
    one = "try_cast(regexp_extract(panel_counts, ?, {}) AS DOUBLE)"
    return f"({one.format(1)} / nullif({one.format(2)}, 0))", [pattern, pattern]
