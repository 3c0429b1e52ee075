"""A gene drawn along the genome: transcripts, elements, and variants by score."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from dashboards.app.picture import svg, text
from dashboards.app.theme import ACCENT, IMPACT_COLOURS, KIND_COLOURS, QUIET
from data_registry.coordinates import Region

_WIDTH: Final = 1080.0
_LEFT: Final = 110.0
_PLOT: Final = 150.0
_ROW: Final = 22.0


def draw_gene(
    region: Region,
    transcripts: Sequence[Mapping[str, Any]],
    elements: Sequence[Mapping[str, Any]],
    variants: Sequence[Mapping[str, Any]],
) -> str:
    """Draw a gene.

    Parameters
    ----------
    transcripts
        As ``features.draw('genes', …)`` gives them: start, end, strand, exons.
    elements
        Start, end, kind, name, 0-based half-open.
    variants
        Columns ``pos`` (1-based), ``prior_score``, ``impact``, ``allele``,
        ``consequence``.
    """
    start, end = region.start, region.end or region.start + 1

    def x(position: float) -> float:
        share = (min(max(position, start), end) - start) / max(end - start, 1)
        return _LEFT + share * (_WIDTH - _LEFT - 10)

    parts: list[str] = []
    parts += _axis(0.0)
    for row in sorted(variants, key=lambda row: row.get("prior_score") or 0.0):
        score = row.get("prior_score")
        if score is None or score != score:
            continue
        y = 10 + (1 - score) * _PLOT
        colour = IMPACT_COLOURS.get(row.get("impact") or "", QUIET)
        at = x(row["pos"] - 0.5)
        said = f"{row['allele']} {row.get('consequence') or ''} prior score {score:.3f}"
        parts.append(
            f'<line x1="{at:.1f}" y1="{10 + _PLOT:.0f}" x2="{at:.1f}" y2="{y:.1f}" '
            f'stroke="{colour}" stroke-opacity="0.35"/>'
            f'<circle cx="{at:.1f}" cy="{y:.1f}" r="3.6" fill="{colour}">'
            f"<title>{escape(said)}</title></circle>"
        )
    y = 10 + _PLOT + 16
    for row in transcripts:
        parts.append(text(4, y + 12, str(row["transcript"])[:16], size=11))
        parts += _transcript(row, x, y)
        y += _ROW
    rows = _packed(elements, (end - start) * 0.01)
    if rows:
        parts.append(text(4, y + 12, "elements", size=11))
    for stacked in rows:
        for one in stacked:
            left, right = x(one["start"]), x(one["end"])
            colour = KIND_COLOURS.get(one["kind"], QUIET)
            parts.append(
                f'<rect x="{left:.1f}" y="{y + 3:.1f}" width="{max(right - left, 2):.1f}" '
                f'height="11" rx="2" fill="{colour}">'
                f"<title>{escape(str(one['kind']))} {escape(str(one['name']))}</title></rect>"
            )
        y += 16
    y += 8
    parts.append(
        f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - 10}" y2="{y:.1f}" '
        'stroke="currentColor" stroke-opacity="0.5"/>'
    )
    for i in range(6):
        position = start + (end - start) * i / 5
        anchor = "start" if i == 0 else "end" if i == 5 else "middle"
        parts.append(
            text(
                x(position), y + 15, f"{round(position) + 1:,}", size=11, anchor=anchor
            )
        )
    y += 30
    at = _LEFT
    for name, colour in IMPACT_COLOURS.items():
        parts.append(f'<circle cx="{at:.0f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        parts.append(text(at + 9, y + 4, name, size=11))
        at += 95
    shown = dict.fromkeys(str(one["kind"]) for one in elements)
    for kind in list(shown)[:6]:
        parts.append(
            f'<rect x="{at:.0f}" y="{y - 5:.1f}" width="12" height="10" '
            f'fill="{KIND_COLOURS.get(kind, QUIET)}"/>'
        )
        parts.append(text(at + 16, y + 4, kind, size=11))
        at += 95
    return svg(_WIDTH, y + 14, parts, "Gene model with variants")


def _axis(y: float) -> list[str]:
    parts = [text(4, y + 14, "prior score", size=11)]
    for score in (0.0, 0.5, 1.0):
        at = y + 10 + (1 - score) * _PLOT
        parts.append(
            f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - 10}" y2="{at:.1f}" '
            'stroke="currentColor" stroke-opacity="0.12"/>'
        )
        parts.append(text(_LEFT - 6, at + 4, f"{score:g}", size=11, anchor="end"))
    return parts


def _transcript(row: Mapping[str, Any], x: Any, y: float) -> list[str]:  # noqa: ANN401
    middle = y + 8
    parts = [
        f'<line x1="{x(row["start"]):.1f}" y1="{middle:.1f}" x2="{x(row["end"]):.1f}" '
        f'y2="{middle:.1f}" stroke="{ACCENT}" stroke-width="1.5"/>'
    ]

    def block(start: int, end: int, tall: float) -> str:
        left, right = x(start), x(end)
        return (
            f'<rect x="{left:.1f}" y="{middle - tall / 2:.1f}" '
            f'width="{max(right - left, 1):.1f}" height="{tall:g}" fill="{ACCENT}"/>'
        )

    for exon in row["exons"]:
        if exon.get("utr"):
            parts.append(block(exon["start"], exon["end"], 6))
            continue
        first, last = exon.get("cdStart", exon["start"]), exon.get("cdEnd", exon["end"])
        parts.append(block(exon["start"], exon["end"], 6))
        parts.append(block(first, last, 13))
    arrow = "▶" if row["strand"] == "+" else "◀" if row["strand"] == "-" else ""
    at = x(row["end"]) + 4 if row["strand"] == "+" else x(row["start"]) - 12
    parts.append(text(at, middle + 4, arrow, size=10))
    return parts


def _packed(
    elements: Sequence[Mapping[str, Any]], gap: float
) -> list[list[Mapping[str, Any]]]:
    """Put elements into as few rows as keep them apart; at most eight."""
    rows: list[list[Mapping[str, Any]]] = []
    for one in sorted(elements, key=lambda e: (e["start"], e["end"])):
        for row in rows:
            if row[-1]["end"] + gap <= one["start"]:
                row.append(one)
                break
        else:
            if len(rows) < 8:
                rows.append([one])
    return rows
