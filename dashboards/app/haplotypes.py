"""REF and ALT side by side, with the motif that changes drawn over its sites."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.app import layers
from dashboards.app.picture import svg, text
from dashboards.pictures import BASES, letter_heights
from data_registry.genome import Genome
from graph_builder.motif_scan import MotifSet, count_bases

COLOURS: Final = {"A": "#2e9e5b", "C": "#4a86c5", "G": "#d99a1e", "T": "#d64550"}
"""The usual hues of bases, in a lightness that can be read on white and on black."""

_FLANK_BP: Final = 22
_MOST_ALLELE_BP: Final = 40
_CELL: Final = 17.0
_LOGO_PX: Final = 62.0


@dataclass(frozen=True, slots=True)
class Site:
    """The best site of a motif on one haplotype.

    Parameters
    ----------
    start
        0-based in the haplotype drawn.
    score
        Bits.
    """

    start: int
    strand: str
    score: float


@dataclass(frozen=True, slots=True)
class Haplotypes:
    """The stretch around an allele on REF and on ALT.

    Parameters
    ----------
    left, right
        Reference bases before and after.
    first
        0-based position of the first base drawn.
    """

    contig: str
    first: int
    left: str
    ref: str
    alt: str
    right: str

    @property
    def reference(self) -> str:
        """The stretch with REF."""
        return self.left + self.ref + self.right

    @property
    def alternative(self) -> str:
        """The stretch with ALT."""
        return self.left + self.alt + self.right


def haplotypes(
    genome: Genome, contig: str, pos: int, ref: str, alt: str, *, flank: int = _FLANK_BP
) -> Haplotypes | None:
    """Return the stretch around an allele; None where it is no plain sequence.

    Parameters
    ----------
    pos
        1-based, as in VCF.
    """
    plain = {*"ACGTN"}
    ref, alt = ref.upper(), alt.upper()
    if contig not in genome or not ref or not {*ref, *alt} <= plain:
        return None
    start, end = pos - 1, pos - 1 + len(ref)
    if not 0 <= start < end <= genome.lengths[contig]:
        return None
    return Haplotypes(
        contig, max(start - flank, 0), genome.fetch_inside(contig, start - flank, start),
        ref, alt, genome.fetch_inside(contig, end, end + flank),
    )  # fmt: skip


@lru_cache(maxsize=8)
def _background(stamp: tuple[str, int, int]) -> tuple[float, ...]:
    genome = layers.genome(Path(stamp[0]))
    return tuple(count_bases(genome.contig(name) for name in genome))


def motif(workspace: Path, motif_id: str) -> tuple[pd.DataFrame, MotifSet] | None:
    """Return a registered motif, scored as the motif scorer does."""
    table = layers.table(
        workspace,
        "SELECT motif_id, tf, n_sites, matrix FROM motifs WHERE motif_id = ? "
        "ORDER BY source_id LIMIT 1",
        [motif_id],
    )
    if table.empty:
        return None
    background = _background(layers.stamp(workspace))
    return table, MotifSet.from_table(table, background=background)


def best_site(
    scores: NDArray[np.float64], bases: str, span: tuple[int, int]
) -> Site | None:
    """Return the best site that touches a span, on either strand; None if none fits.

    Parameters
    ----------
    scores
        Log-odds on the forward strand, bits, ``(width, 4)``, order A, C, G, T.
    span
        Bases of the haplotype that the site must touch, 0-based half-open; for a
        deletion, whose span is empty, the junction.
    """
    width = len(scores)
    start, end = span
    codes = np.array([BASES.find(base) for base in bases])
    best: Site | None = None
    for at in range(
        max(start - width + 1, 0), min(max(end, start + 1), len(bases) - width + 1)
    ):
        window = codes[at : at + width]
        if len(window) < width or (window < 0).any():
            continue
        # An empty span has bases on both sides of the junction.
        if start == end and not at < start < at + width:
            continue
        forward = float(scores[np.arange(width), window].sum())
        backward = float(scores[np.arange(width), (3 - window)[::-1]].sum())
        for strand, score in (("+", forward), ("-", backward)):
            if best is None or score > best.score:
                best = Site(at, strand, score)
    return best


def draw(
    held: Haplotypes, workspace: Path, row: Mapping[str, Any] | None
) -> tuple[str, dict[str, Site | None]]:
    """Return the picture, and the sites of the motif that changes most, by haplotype."""
    found = (
        motif(workspace, str(row["motif_id"])) if row and row.get("motif_id") else None
    )
    same = 0
    # Bases that REF and ALT share at the start (VCF keeps one before an indel).
    while same < min(len(held.ref), len(held.alt)) and held.ref[same] == held.alt[same]:
        same += 1
    parts: list[str] = []
    sites: dict[str, Site | None] = {}
    y = 8.0
    widest = 0.0
    for name, bases, allele in (
        ("REF", held.reference, held.ref), ("ALT", held.alternative, held.alt)
    ):  # fmt: skip
        x0 = 52.0
        begin = len(held.left)
        shown = bases
        if len(allele) > _MOST_ALLELE_BP:
            cut = begin + _MOST_ALLELE_BP
            shown = bases[:cut]
        site = None
        if found is not None:
            table, motifs = found
            touched = (begin + same, begin + len(allele))
            site = best_site(motifs.log_odds(0), bases, touched)
            sites[name] = site
            if site is not None and site.start + int(motifs.widths[0]) <= len(shown):
                parts += _logo(table, site, x0, y + 16, int(motifs.widths[0]))
                words = f"{table['tf'][0]} {table['motif_id'][0]}, strand {site.strand}, {site.score:.2f} bits"
                parts.append(text(x0 + site.start * _CELL, y + 10, words, size=12))
            y += _LOGO_PX + 22
        parts.append(text(6, y + 17, name, size=13, more='font-weight="600"'))
        for i, base in enumerate(shown):
            x = x0 + i * _CELL
            inside = begin <= i < begin + len(allele)
            if inside:
                parts.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{_CELL}" height="24" '
                    'fill="#c0503f" fill-opacity="0.22"/>'
                )
            parts.append(
                f'<text x="{x + _CELL / 2:.1f}" y="{y + 17:.1f}" font-size="14" '
                'text-anchor="middle" font-family="Source Code Pro, monospace" '
                f'fill="{COLOURS.get(base, "#888888")}"'
                f"{' font-weight=' + chr(34) + '700' + chr(34) if inside else ''}>{base}</text>"
            )
        if len(shown) < len(bases):
            rest = (
                f"… {len(allele) - _MOST_ALLELE_BP:,} more bases of the allele, then on"
            )
            parts.append(text(x0 + len(shown) * _CELL + 6, y + 17, rest, size=12))
        widest = max(
            widest, x0 + len(shown) * _CELL + (260 if len(shown) < len(bases) else 10)
        )
        y += 34
    for i in range(0, len(held.left) + 1, 10):
        parts.append(
            text(52 + (i + 0.5) * _CELL, y + 4, f"{held.first + i + 1:,}", size=10,
                 anchor="middle", more='opacity="0.7"')
        )  # fmt: skip
    return svg(widest, y + 12, parts, "Reference and alternative sequence"), sites


def _logo(
    table: pd.DataFrame, site: Site, x0: float, y0: float, width: int
) -> list[str]:
    matrix = np.asarray(table["matrix"][0], dtype=float).reshape(-1, 4)
    matrix = matrix / matrix.sum(axis=1, keepdims=True)
    heights = letter_heights(matrix)
    if site.strand == "-":
        heights = heights[::-1, ::-1]
    parts = [
        f'<rect x="{x0 + site.start * _CELL:.1f}" y="{y0:.1f}" '
        f'width="{width * _CELL:.1f}" height="{_LOGO_PX}" fill="currentColor" '
        'fill-opacity="0.04"/>'
    ]
    for i, column in enumerate(heights):
        bottom = y0 + _LOGO_PX
        for base in np.argsort(column, kind="stable"):
            tall = float(column[base]) / 2.0 * _LOGO_PX
            if tall < 1.0:
                continue
            x = x0 + (site.start + i + 0.5) * _CELL
            # A capital is 0.7 em high: stretch it to the height wanted.
            parts.append(
                f'<text transform="translate({x:.1f} {bottom:.1f}) '
                f'scale(1.15 {tall / 14:.3f})" font-size="20" font-weight="700" '
                f'text-anchor="middle" font-family="Helvetica, Arial, sans-serif" '
                f'fill="{COLOURS[BASES[base]]}">{BASES[base]}</text>'
            )
            bottom -= tall
    return parts
