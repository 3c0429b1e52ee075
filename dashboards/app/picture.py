"""SVG on a page, with buttons that save it as SVG or PNG exactly as it is shown."""

from html import escape
from typing import Final

import streamlit as st

_HTML: Final = """
<figure><div class="drawing"></div>
<figcaption><button class="svg" type="button">Save SVG</button>
<button class="png" type="button">Save PNG</button></figcaption></figure>
"""
_CSS: Final = """
figure { margin: 0; } .drawing { overflow-x: auto; color: var(--st-text-color); }
.drawing svg { max-width: none; display: block; }
button { font: inherit; font-size: 0.8rem; font-family: var(--st-font); cursor: pointer;
  color: var(--st-text-color); background: none; border: none; padding: 2px 10px 2px 0;
  opacity: 0.65; }
button:hover, button:focus-visible { opacity: 1; text-decoration: underline; }
@media print { figcaption { display: none; } }
"""
_SCRIPT: Final = """
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector(".drawing");
  place.innerHTML = data.svg;
  const drawn = place.querySelector("svg");
  // A saved picture stands alone: dark on white, whatever the page's light is.
  const alone = () => {
    const copy = drawn.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("style", "color:#22302e;background:#ffffff");
    return new XMLSerializer().serializeToString(copy);
  };
  const save = (url, ending) => {
    const link = document.createElement("a");
    link.href = url; link.download = `${data.name}.${ending}`; link.click();
  };
  parentElement.querySelector(".svg").onclick = () =>
    save(URL.createObjectURL(new Blob([alone()], { type: "image/svg+xml" })), "svg");
  parentElement.querySelector(".png").onclick = () => {
    const picture = new Image();
    picture.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = drawn.width.baseVal.value * 2;
      canvas.height = drawn.height.baseVal.value * 2;
      const brush = canvas.getContext("2d");
      brush.fillStyle = "#ffffff";
      brush.fillRect(0, 0, canvas.width, canvas.height);
      brush.drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(URL.createObjectURL(blob), "png"));
    };
    picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(alone());
  };
}
"""

_component = st.components.v2.component(
    "cisgraph_picture", html=_HTML, css=_CSS, js=_SCRIPT
)


def show_picture(svg: str, name: str, *, key: str) -> None:
    """Draw an SVG of ours. Texts in it must have been escaped when it was made."""
    _component(key=key, data={"svg": svg, "name": name})


def svg(width: float, height: float, parts: list[str], title: str) -> str:
    """Return a whole SVG; text takes the page's colour."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        'font-family="Source Sans, Source Sans Pro, Helvetica, sans-serif" '
        f'fill="currentColor"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def text(
    x: float, y: float, words: str, *, size: float = 13, anchor: str = "start",
    more: str = "",
) -> str:  # fmt: skip
    """Return a text element; the words are escaped here."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" '
        f"{more}>{escape(words)}</text>"
    )
