"""igv.js on a page: it follows the page's region, and the page follows its clicks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import streamlit as st

from dashboards.app.features import Track
from dashboards.app.offer import Result
from data_registry.coordinates import Region, one_based_from_start

_HTML: Final = """
<div class="holder"><div class="browser" role="application"
 aria-label="Genome browser; the table below holds the same variants"></div>
<div class="note" aria-live="polite"></div></div>
"""

_CSS: Final = """
.holder { width: 100%; }
.browser { min-height: 320px; background: #fff; color: #222; color-scheme: light; border-radius: 6px; overflow: hidden; }
.dark .browser { filter: invert(0.89) hue-rotate(180deg); }
.note { font-size: 0.8rem; opacity: 0.7; min-height: 1.2em; padding-top: 2px;
  font-family: var(--st-font); color: var(--st-text-color); }
"""

_SCRIPT: Final = (Path(__file__).with_name("genome_browser.js")).read_text(
    encoding="utf-8"
)

_component = st.components.v2.component(
    "cisgraph_genome_browser", html=_HTML, css=_CSS, js=_SCRIPT
)


def genome_browser(
    workspace: str,
    assembly: str,
    tracks: Sequence[Track],
    region: Region,
    marked: tuple[str, int, str, str] | None,
    result: Result | None,
    *,
    key: str,
    on_move: Callable[[str], None],
    on_pick: Callable[[str], None],
) -> None:
    """Draw the browser.

    Parameters
    ----------
    marked
        Allele to mark, as (contig, 1-based position, REF, ALT).
    on_move
        Called before the next run with the region that somebody panned or zoomed to.
    on_pick
        Called before the next run with the variant that somebody clicked.
    """
    base = f"/data/{quote(workspace, safe='')}"
    mark = None
    if marked:
        contig, pos, ref, _ = marked
        mark = {"chr": contig, "start": pos - 1, "end": pos - 1 + max(len(ref), 1)}

    def told(what: str, tell: Callable[[str], None]) -> Callable[[], None]:
        def changed() -> None:
            if value := st.session_state[key].get(what):
                tell(str(value))

        return changed

    _component(
        key=key,
        data={
            "base": base,
            "scores": urlencode({"scores": result.name}) if result else "",
            "assembly": assembly,
            "locus": f"{region.contig}:{one_based_from_start(region.start)}-{region.end}",
            "mark": mark,
            "tracks": [_settings(base, i, track) for i, track in enumerate(tracks)],
        },
        on_moved_change=told("moved", on_move),
        on_picked_change=told("picked", on_pick),
    )


def _settings(base: str, order: int, track: Track) -> dict[str, Any]:
    """Return igv.js's settings of a track; big files are read by the browser in ranges."""
    settings = {
        "id": track.name, "name": track.title, "type": track.form, "order": order + 1,
        **track.options,
    }  # fmt: skip
    if track.name.startswith("signal-"):
        settings["url"] = f"{base}/signal/{track.name.removeprefix('signal-')}"
    return settings
