"""The pages, the order each door shows them in, and links between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from dashboards.app import links

GENETICIST: Final = "geneticist"
BREEDER: Final = "breeder"


@dataclass(frozen=True, slots=True)
class Screen:
    """One page: its address, title, icon and what it is for."""

    name: str
    title: str
    icon: str
    purpose: str


SCREENS: Final = {
    screen.name: screen
    for screen in (
        Screen("workspace", "Workspace", ":material/database:",
               "What is registered, what was left out, what is missing, and what runs."),
        Screen("region", "Region", ":material/straighten:",
               "A stretch of the genome with its genes, elements, tracks and variants."),
        Screen("variants", "Variants", ":material/filter_alt:",
               "All scored alleles: filter, sort, compare scores, keep a list."),
        Screen("variant", "Variant card", ":material/badge:",
               "Everything known of one allele, each statement with its source."),
        Screen("gene", "Gene", ":material/genetics:",
               "One gene: model, expression, regulators, pathways and its variants."),
        Screen("graph", "Graph", ":material/hub:",
               "What is linked to what around a variant, gene or pathway."),
        Screen("score", "Score a file", ":material/upload_file:",
               "Give a VCF, follow the run, get every allele scored or the reason why not."),
        Screen("help", "Help", ":material/help:",
               "Worked examples, what the scores mean and do not, and a glossary."),
    )
}  # fmt: skip

FIRST: Final = "workspace"
"""The page at the bare address."""

ORDERS: Final = {
    GENETICIST: ("workspace", "region", "variants", "variant", "gene", "graph", "score", "help"),
    BREEDER: ("workspace", "score", "variants", "variant", "region", "gene", "graph", "help"),
}  # fmt: skip


def make_pages(shows: dict[str, Callable[[], None]]) -> dict[str, Any]:
    """Make Streamlit's pages, once a run."""
    pages = {
        name: st.Page(
            shows[name], title=screen.title, icon=screen.icon, url_path=name,
            default=name == FIRST,
        )
        for name, screen in SCREENS.items()
    }  # fmt: skip
    st.session_state["_pages"] = pages
    return pages


def draw_menu(door: str) -> None:
    """Draw the links to all pages in the order of a door."""
    pages = st.session_state.get("_pages", {})
    for name in ORDERS[door]:
        _page_link(pages[name], name, SCREENS[name].title, {})


def link(name: str, text: str, **changes: str | Sequence[str] | None) -> None:
    """Draw a link to a page that carries the address on, with changes."""
    pages = st.session_state.get("_pages", {})
    if name not in pages:
        return
    if name != st.session_state.get("_page"):
        _page_link(pages[name], name, text, changes)
        return
    # A link to the page that is shown would not change the browser's address.
    st.button(
        text, key=f"here_{text}_{hash(str(changes))}", icon=SCREENS[name].icon,
        type="tertiary", on_click=links.write, kwargs=changes,
    )  # fmt: skip


def _page_link(
    page: Any,  # noqa: ANN401
    name: str,
    text: str,
    changes: Mapping[str, str | Sequence[str] | None],
) -> None:
    st.page_link(
        page, label=text, icon=SCREENS[name].icon, help=SCREENS[name].purpose,
        query_params=_address(changes),
    )  # fmt: skip


def _address(changes: Mapping[str, str | Sequence[str] | None]) -> links.Address:
    """Return the address a link carries: with the workspace and the result by name.

    An address without them shows the newest result, which another run may replace.
    """
    held = st.session_state.get("_context")
    known: dict[str, str | Sequence[str] | None] = {}
    if held is not None:
        known = {"workspace": held.name}
        if held.result is not None:
            known["scores"] = held.result.name
    return links.onward(**{**known, **changes})
