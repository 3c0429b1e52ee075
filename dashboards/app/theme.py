"""One design in two lights: colours, and how the server is told of them."""

from typing import Any, Final

IMPACT_COLOURS: Final = {
    "HIGH": "#c0503f", "MODERATE": "#c9912b", "LOW": "#4a8c8c", "MODIFIER": "#8c93a0",
}  # fmt: skip
"""Told apart in both lights and with the common colour blindnesses; also by order."""

ACCENT: Final = "#2f7d6b"
QUIET: Final = "#9aa5ab"

KIND_COLOURS: Final = {
    "promoter": "#c0503f", "enhancer": "#d9a441", "cre": "#b07a4f", "peak": "#5a9e8f",
    "dhs": "#4a8c8c", "tf_site": "#7a6fb0", "nucleosome": "#a9a29a", "tss": "#a8455e",
    "repeat": "#bdb7ad", "tad": "#7f95b5", "chromatin_state": "#8aa05c",
    "dmr": "#a56fa0", "structural_variant": "#70564a", "intron": "#b9bec4",
}  # fmt: skip

NODE_COLOURS: Final = {
    "variant": "#c0503f", "gene": "#2f7d6b", "cre": "#d9a441", "tf": "#7a6fb0",
    "contact_bin": "#7f95b5", "pathway": "#4a8c8c", "phenotype": "#a8455e",
    "text": "#9aa5ab",
}  # fmt: skip

_SHARED: Final = {
    "baseRadius": "0.4rem",
    "buttonRadius": "0.4rem",
    "showWidgetBorder": True,
    "showSidebarBorder": True,
    "baseFontSize": 15,
    "headingFontSizes": ["1.7rem", "1.3rem", "1.1rem", "1rem", "0.9rem", "0.85rem"],
    "metricValueFontSize": "1.5rem",
    "chartCategoricalColors": [
        "#2f7d6b", "#c9912b", "#7f95b5", "#c0503f", "#7a6fb0", "#8c93a0",
    ],
}  # fmt: skip

_LIGHT: Final = {
    "primaryColor": ACCENT,
    "backgroundColor": "#fcfbf8",
    "secondaryBackgroundColor": "#f1efe9",
    "textColor": "#22302e",
    "linkColor": "#23665a",
    "borderColor": "#dcd8ce",
    "dataframeBorderColor": "#e4e0d7",
    "dataframeHeaderBackgroundColor": "#f1efe9",
}
_DARK: Final = {
    "primaryColor": "#3f927e",
    "backgroundColor": "#161c1d",
    "secondaryBackgroundColor": "#1f2728",
    "textColor": "#dfe6e3",
    "linkColor": "#8fd0c0",
    "borderColor": "#344042",
    "dataframeBorderColor": "#2c3638",
    "dataframeHeaderBackgroundColor": "#1f2728",
}


def settings() -> dict[str, Any]:
    """Return Streamlit's settings for the design."""
    found: dict[str, Any] = {f"theme.{k}": v for k, v in _SHARED.items()}
    for light, colours in (("light", _LIGHT), ("dark", _DARK)):
        found |= {f"theme.{light}.{k}": v for k, v in colours.items()}
        side = {
            "backgroundColor": colours["secondaryBackgroundColor"],
            "secondaryBackgroundColor": colours["backgroundColor"],
        }
        found |= {f"theme.{light}.sidebar.{k}": v for k, v in side.items()}
    return found


PAGE_STYLE: Final = """
<style>
.block-container, [data-testid="stMainBlockContainer"] {
  padding-top: 1.6rem; padding-bottom: 3rem; max-width: 1500px;
}
[data-testid="stSidebarHeader"] { height: 2.2rem; padding-bottom: 0; margin-bottom: 0; }
[data-testid="stSidebarUserContent"] { padding-top: 0; }
.cg-source { color: color-mix(in srgb, currentColor 62%, transparent); font-size: .82rem; }
.cg-evidence { display: grid; grid-template-columns: minmax(7rem, 11rem) 1fr;
  gap: .35rem 1rem; }
.cg-section { font-weight: 600; }
.cg-seq { font-family: "Source Code Pro", ui-monospace, monospace; overflow-x: auto; }
.cg-planned { color: color-mix(in srgb, currentColor 55%, transparent); font-size: .8rem; }
a.cg-export {
  display: inline-block; padding: .22rem .7rem; margin: 0 .35rem .35rem 0;
  border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  border-radius: .4rem; text-decoration: none; color: inherit; font-size: .85rem;
}
a.cg-export:hover, a.cg-export:focus-visible {
  border-color: currentColor; background: color-mix(in srgb, currentColor 7%, transparent);
}
@media (max-width: 1000px) {
  [data-testid="stSidebar"] { min-width: 190px !important; max-width: 200px !important; }
  .st-key-beside [data-testid="stColumn"]:first-child { min-width: 190px; }
}
@media print {
  [data-testid="stSidebar"], [data-testid="stHeader"], [data-testid="stToolbar"],
  .cg-noprint, [class*="st-key-noprint"] { display: none !important; }
  .block-container, [data-testid="stMainBlockContainer"] { padding: 0; max-width: none; }
  [data-testid="stExpander"] details { border: none; }
}
</style>
"""
"""The little that settings cannot say: widths, quiet text, export links, and print."""
