"""The frame around every page: side bar, doors, and errors in one place."""

from pathlib import Path

import duckdb
import streamlit as st

from dashboards.app import links, navigation
from dashboards.app.context import Context, find_context
from dashboards.app.layers import registry_error
from dashboards.app.offer import current
from dashboards.app.screens import (
    gene,
    graph,
    help_page,
    region,
    score_file,
    variant,
    variants,
    workspace,
)
from dashboards.app.theme import PAGE_STYLE
from dashboards.app.words import PLANNED
from data_registry.errors import InputError, PlatformError

SHOWS = {
    "workspace": workspace.show, "region": region.show, "variants": variants.show,
    "variant": variant.show, "gene": gene.show, "graph": graph.show,
    "score": score_file.show, "help": help_page.show,
}  # fmt: skip


def run(only: str = "") -> None:
    """Draw the page that the address names.

    Parameters
    ----------
    only
        Name of a page to draw whatever the address says: for tests, where it has none.
    """
    st.set_page_config(
        page_title="cisgraph", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide",
        menu_items={"Get help": None, "Report a bug": None, "About": None},
    )  # fmt: skip
    st.html(PAGE_STYLE)
    page = st.navigation(list(navigation.make_pages(SHOWS).values()), position="hidden")
    try:
        found = find_context()
    except PlatformError as error:
        st.error(str(error), title="This address cannot be shown")
        if st.button("Start again"):
            st.query_params.clear()
            st.rerun()
        return
    st.session_state["_context"] = found
    st.session_state["_page"] = only or page.url_path or navigation.FIRST
    with st.sidebar:
        _side_bar(found)
    st.title(navigation.SCREENS[only].title if only else page.title)
    try:
        if only:
            SHOWS[only]()
        else:
            page.run()
    except InputError as error:
        st.error(str(error), title="That cannot be shown", icon=":material/error:")
    except PlatformError as error:
        st.error(str(error), title="Not now", icon=":material/error:")
        st.button("Try again", key="try_again")
    except duckdb.Error as error:
        st.error(str(registry_error(error)), title="Not now", icon=":material/error:")
        st.button("Try again", key="try_again")


def _side_bar(found: Context) -> None:
    st.markdown("**cisgraph** · what does each variant do?")
    st.segmented_control(
        "I am a", [navigation.GENETICIST, navigation.BREEDER],
        key=links.seed("w_door", found.door), required=True,
        format_func=str.capitalize, on_change=links.writes("door", "w_door"),
        help="Orders pages and columns; both doors reach everything.",
    )  # fmt: skip
    navigation.draw_menu(found.door)
    names = list(current().workspaces)
    if len(names) > 1:
        st.selectbox(
            "Workspace", names, key=links.seed("w_workspace", found.name),
            on_change=_change_workspace,
        )  # fmt: skip
    else:
        st.caption(f"Workspace **{found.name}**")
    results = [result.name for result in current().results(found.workspace)]
    if found.result is not None:
        st.selectbox(
            "Scores", results, key=links.seed("w_scores", found.result.name),
            on_change=links.writes("scores", "w_scores"),
            help="Results of runs, newest first. Parquet only.",
        )  # fmt: skip
    st.html(
        '<div class="cg-planned">Planned, each with its own issue: '
        + " · ".join(PLANNED)
        + "</div>"
    )


def _change_workspace() -> None:
    # Results, places, variants and genes belong to the workspace that was left.
    chosen = st.session_state["w_workspace"]
    door = links.read("door")
    st.query_params.clear()
    links.write(workspace=chosen, door=door)
