"""Variants: filter, sort and page millions of scored alleles where they lie."""

from typing import Any, Final
from urllib.parse import quote

import pandas as pd
import streamlit as st

from dashboards.app import charts, exports, links, navigation, notebook, tables
from dashboards.app.context import Context, context
from dashboards.app.filters import (
    ELEMENTS,
    Filter,
    Known,
    describe_filter,
    read_filter,
    write_filter,
)
from dashboards.app.scores import Scores
from dashboards.app.screens.region import COLUMNS
from dashboards.app.words import CONSEQUENCES, IMPACTS, label
from variant_effect.alleles import STATUS_MEANINGS

_PAGE: Final = 50
_FIELDS: Final = tuple(Filter.__dataclass_fields__)
_CHOICES: Final = ("Distribution", "Compare two scores", "Consequences")


def show() -> None:
    """Draw the page."""
    found = context()
    scores = found.need_scores()
    chosen = read_filter(links.read_all())
    with st.container(key="beside"):
        left, right = st.columns([1, 3], gap="medium")
    with left:
        _draw_filters(found, scores, chosen)
    with right:
        picked = notebook.lists(found.name).get(chosen.picked, ())
        known = scores.known(chosen, picked)
        _draw_table(found, scores, chosen, known)
        _draw_plots(scores, chosen, known)


# -- the form ------------------------------------------------------------------------


def _changed(*names: str) -> Any:  # noqa: ANN401
    """Return a callback that writes widgets to the address and goes to the first page."""

    def write() -> None:
        links.write(page=None)
        for name in names:
            links.writes(name, f"f_{name}")()

    return write


def _draw_filters(found: Context, scores: Scores, chosen: Filter) -> None:
    _draw_saved(found, chosen)
    impacts = list(IMPACTS)
    st.pills(
        "Impact", impacts, selection_mode="multi", on_change=_changed("impact"), wrap=True,
        key=links.seed("f_impact", [i for i in chosen.impact if i in impacts]),
        help="  \n".join(f"**{name}**: {words}" for name, words in IMPACTS.items()),
    )  # fmt: skip
    terms = scores.consequence_terms() if "consequence" in scores.columns else {}
    st.multiselect(
        "Consequence", list(terms), on_change=_changed("consequence"),
        key=links.seed("f_consequence", [t for t in chosen.consequence if t in terms]),
        format_func=lambda term: f"{term} ({terms[term]:,})",
        help="Sequence Ontology terms. " + " ".join(
            f"**{t}**: {CONSEQUENCES[t]}." for t in list(terms)[:8] if t in CONSEQUENCES
        ),
        placeholder="any",
    )  # fmt: skip
    st.text_input(
        "Gene", key=links.seed("f_gene", chosen.gene), on_change=_changed("gene"),
        placeholder="identifiers or symbols", help="Comma between several.",
    )  # fmt: skip
    columns = scores.score_columns
    st.selectbox(
        "Score", columns, on_change=_changed("score"), format_func=label,
        key=links.seed("f_score", chosen.score if chosen.score in columns else columns[0]),
        help=scores.columns[chosen.score].meaning if chosen.score in columns else None,
    )  # fmt: skip
    st.slider(
        "Percentile of the score", 0.0, 100.0, step=0.5, on_change=_write_percentiles,
        key=links.seed("f_percentiles", (chosen.above, max(chosen.below, chosen.above))),
        help="Among the scored alleles of this result; 99 to 100 is the top 1 %.",
    )  # fmt: skip
    if "panel_max_af" in scores.columns:
        groups = ["", *scores.groups()]
        st.selectbox(
            "Frequency in", groups, on_change=_changed("group"),
            key=links.seed("f_group", chosen.group if chosen.group in groups else ""),
            format_func=lambda name: name or "all panels (highest)",
        )  # fmt: skip
        st.slider(
            "Minor-allele frequency (MAF)", 0.0, 0.5, step=0.005, format="%.3f",
            key=links.seed("f_maf", (chosen.maf_from, max(chosen.maf_to, chosen.maf_from))),
            on_change=_write_frequencies,
            help="Of the rarer allele in that panel or group. Alleles without counts "
            "pass only where the slider is left at both ends.",
        )  # fmt: skip
    if "cre" in scores.columns:
        st.selectbox(
            "Regulatory element (CRE)", ["", *ELEMENTS], on_change=_changed("element"),
            key=links.seed("f_element", chosen.element),
            format_func=lambda name: name or "does not matter",
        )  # fmt: skip
    if "motif_tf" in scores.columns:
        st.text_input(
            "Transcription factor", key=links.seed("f_tf", chosen.tf),
            on_change=_changed("tf"), placeholder="motif changed or binding measured",
        )  # fmt: skip
    st.text_input(
        "Place", key=links.seed("f_region", chosen.region), on_change=_changed("region"),
        placeholder="chr:start-end",
    )  # fmt: skip
    statuses = ["any", *scores.values_of("status")]
    st.selectbox(
        "Status", statuses, on_change=_changed("status"),
        key=links.seed("f_status", chosen.status if chosen.status in statuses else "any"),
        help="  \n".join(
            f"**{name}**: {STATUS_MEANINGS[name]}" for name in statuses
            if name in STATUS_MEANINGS
        ),
    )  # fmt: skip
    named = ["", *notebook.lists(found.name)]
    if len(named) > 1:
        st.selectbox(
            "Only my list", named, on_change=_changed("picked"),
            key=links.seed("f_picked", chosen.picked if chosen.picked in named else ""),
            format_func=lambda name: name or "no list",
        )  # fmt: skip


def _write_percentiles() -> None:
    low, high = st.session_state["f_percentiles"]
    links.write(
        page=None, above=f"{low:g}" if low > 0 else None,
        below=f"{high:g}" if high < 100 else None,
    )  # fmt: skip


def _write_frequencies() -> None:
    low, high = st.session_state["f_maf"]
    links.write(
        page=None, maf_from=f"{low:g}" if low > 0 else None,
        maf_to=f"{high:g}" if high < 0.5 else None,
    )  # fmt: skip


def _draw_saved(found: Context, chosen: Filter) -> None:
    saved = notebook.filters(found.name)
    with st.container(horizontal=True):
        with st.popover("Saved filters", icon=":material/bookmark:"):
            for name, address in saved.items():
                with st.container(horizontal=True, vertical_alignment="center"):
                    st.button(
                        name, key=f"use_{name}", on_click=_use, args=(address,),
                        help=describe_filter(read_filter(address)),
                    )  # fmt: skip
                    st.button(
                        "Forget", key=f"forget_{name}", type="tertiary",
                        on_click=notebook.keep_filter, args=(found.name, name, {}),
                    )  # fmt: skip
            if not saved:
                st.caption("None yet.")
            name = st.text_input("Save this filter as", key="filter_name")
            st.button(
                "Save", key="save_filter",
                disabled=not name.strip() or not write_filter(chosen),
                on_click=notebook.keep_filter,
                args=(found.name, name.strip(), write_filter(chosen)),
            )  # fmt: skip
        st.button(
            "Clear", key="clear_filters", on_click=_use, args=({},), type="tertiary",
            disabled=chosen == Filter(), icon=":material/filter_alt_off:",
        )  # fmt: skip


def _use(address: dict[str, list[str]]) -> None:
    links.write(page=None, **dict.fromkeys(_FIELDS))
    links.write(**address)


# -- the table -----------------------------------------------------------------------


def _draw_table(found: Context, scores: Scores, chosen: Filter, known: Known) -> None:
    # The distribution below counts them on its way: one question less.
    plots = (
        chosen.score in scores.columns
        and links.read("plot", _CHOICES[0]) == _CHOICES[0]
    )
    n = (
        scores.histogram(chosen.score, chosen, known).n_chosen
        if plots
        else scores.count(chosen, known)
    )
    total = int(scores.accounting["input_alleles"])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown(f"### {n:,}", width="content")
        st.caption(
            f"of {total:,} alleles in {found.result.name if found.result else ''}",
            width="content",
        )
    usual = [name for name in COLUMNS[found.door] if name in scores.columns]
    asked = [
        name for name in links.read_all().get("column", []) if name in scores.columns
    ]
    columns = tuple(dict.fromkeys(("chrom", "pos", "ref", "alt", *(asked or usual))))
    sort, ascending = _draw_order(scores, asked or usual)
    at = _draw_pages(n)
    shown = scores.page(
        chosen, known, columns=columns, sort=sort, ascending=ascending,
        offset=at * _PAGE, limit=_PAGE,
    )  # fmt: skip
    frame = tables.with_percentile(scores, shown)
    names = [tables.allele_name(row) for row in tables.records(frame)]
    event = st.dataframe(
        frame, hide_index=True, key=f"variants_{hash((chosen, sort, ascending, at))}",
        on_select="rerun", selection_mode="multi-row", height=460, placeholder="",
        column_config=tables.column_settings(scores, list(frame.columns)),
        alt="Variants that pass the filter",
    )  # fmt: skip
    rows = [i for i in event["selection"]["rows"] if i < len(names)]
    _draw_selection(found, frame, names, rows)
    _draw_exports(found, chosen, columns, sort, ascending=ascending)


def _draw_order(scores: Scores, listed: list[str]) -> tuple[str, bool]:
    by = ["", *scores.score_columns]
    usual = "prior_score" if "prior_score" in by else ""
    sort = links.read("sort", usual)
    sort = "" if sort == "file" else sort
    ascending = links.read("order") == "up"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Sort by", by, key=links.seed("f_sort", sort if sort in by else usual),
            on_change=_write_sort, width=220,
            format_func=lambda name: label(name) if name else "place in the file",
            help="Of all alleles that pass. A click on a heading sorts this page only.",
        )  # fmt: skip
        st.segmented_control(
            "Order", ["down", "up"], key=links.seed("f_order", "up" if ascending else "down"),
            on_change=_changed("order"), required=True,
            format_func={"down": "highest first", "up": "lowest first"}.__getitem__,
        )  # fmt: skip
        with st.popover("Columns", icon=":material/view_column:"):
            st.multiselect(
                "Columns", list(scores.columns), key=links.seed("f_column", listed),
                on_change=_changed("column"), format_func=label,
            )  # fmt: skip
    return (sort if sort in scores.columns else ""), ascending


def _write_sort() -> None:
    links.write(page=None, sort=st.session_state["f_sort"] or "file")


def _draw_pages(n: int) -> int:
    n_pages = max(-(-n // _PAGE), 1)
    try:
        at = min(max(int(links.read("page", "1")), 1), n_pages)
    except ValueError:
        at = 1
    if n_pages > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            # Its key holds the page, so that the address decides which one it shows.
            key = f"f_page_{at}"
            st.pagination(
                n_pages, default=at, key=key, on_change=links.writes("page", key)
            )
            st.caption(
                f"rows {(at - 1) * _PAGE + 1:,} to {min(at * _PAGE, n):,}",
                width="content",
            )
    return at - 1


def _draw_selection(
    found: Context, frame: pd.DataFrame, names: list[str], rows: list[int]
) -> None:
    if not rows:
        st.caption("Choose rows to open a card or to put them on a list.")
        return
    with st.container(border=True, horizontal=True, vertical_alignment="bottom"):
        st.markdown(f"**{len(rows)} chosen**", width="content")
        for i in rows[:3]:
            navigation.link("variant", f"Card of {names[i][:40]}", variant=names[i])
        first = frame.iloc[rows[0]]
        navigation.link(
            "region", "Show the place", variant=names[rows[0]],
            region=f"{first['chrom']}:{max(first['pos'] - 2000, 1)}-{first['pos'] + 2000}",
        )  # fmt: skip
        name = st.text_input(
            "List", value="my list", key="list_name", width=160,
            label_visibility="collapsed",
        )  # fmt: skip
        held = notebook.lists(found.name).get(name.strip(), ())
        alleles = tuple(
            (str(r["chrom"]), int(r["pos"]), str(r["ref"]), str(r["alt"]))
            for r in tables.records(frame.iloc[rows])
        )
        st.button(
            "Put on the list", key="put_on_list", disabled=not name.strip(),
            on_click=notebook.keep_list, args=(found.name, name.strip(), (*held, *alleles)),
            icon=":material/playlist_add:",
        )  # fmt: skip
        taken = tuple(a for a in held if a not in set(alleles))
        st.button(
            "Take off", key="take_off_list", type="tertiary", disabled=taken == held,
            on_click=notebook.keep_list, args=(found.name, name.strip(), taken),
        )  # fmt: skip
        st.caption(f"{len(held)} on it", width="content")


def _draw_exports(
    found: Context,
    chosen: Filter,
    columns: tuple[str, ...],
    sort: str,
    *,
    ascending: bool,
) -> None:
    address: dict[str, Any] = {
        **write_filter(chosen), "sort": sort, "order": "up" if ascending else "",
        "scores": found.result.name if found.result else "",
    }  # fmt: skip
    address = {name: value for name, value in address.items() if value}
    shown = links.as_query({**address, "column": columns})
    base = f"/data/{quote(found.name, safe='')}/variants"
    exports.links(
        {
            "TSV, all that pass": f"{base}.tsv?{shown}",
            "CSV": f"{base}.csv?{shown}",
            "Parquet": f"{base}.parquet?{shown}",
            "BED": f"{base}.bed?{shown}",
            "Parquet, all columns": f"{base}.parquet?{links.as_query(address)}",
        }
    )


# -- plots ---------------------------------------------------------------------------


def _draw_plots(scores: Scores, chosen: Filter, known: Known) -> None:
    plot = links.read("plot", _CHOICES[0])
    plot = plot if plot in _CHOICES else _CHOICES[0]
    st.segmented_control(
        "Picture", _CHOICES, key=links.seed("f_plot", plot), required=True,
        on_change=links.writes("plot", "f_plot"), label_visibility="collapsed",
    )  # fmt: skip
    if plot == _CHOICES[0]:
        column = chosen.score if chosen.score in scores.columns else "prior_score"
        if column not in scores.columns:
            return
        held = scores.histogram(column, chosen, known)
        if not held.everything.sum():
            st.write(f"No scored allele has a value of {label(column)}.")
            return
        st.altair_chart(
            charts.distribution(held, column), alt=f"Distribution of {column}"
        )
        st.caption("green: alleles that pass; grey: all scored alleles")
        exports.offer_table(
            charts.histogram_table(held), f"{column}-distribution", key="hist"
        )
    elif plot == _CHOICES[1]:
        _draw_comparison(scores, chosen, known)
    elif "consequence" in scores.columns:
        counted = pd.DataFrame(
            scores.counts("consequence", chosen, known).items(),
            columns=["consequence", "alleles"],
        ).head(30)
        st.altair_chart(charts.counts(counted, "consequence", "alleles"),
                        alt="Alleles by consequence")  # fmt: skip
        exports.offer_table(counted, "consequences", key="consequences")


def _draw_comparison(scores: Scores, chosen: Filter, known: Known) -> None:
    columns = scores.score_columns
    usual = [
        c for c in ("prior_score", "markov_percentile") if c in columns
    ] or columns[:2]
    x, y = links.read("x", usual[0]), links.read("y", usual[-1])
    x, y = (c if c in columns else columns[0] for c in (x, y))
    with st.container(horizontal=True):
        for name, value in (("x", x), ("y", y)):
            st.selectbox(
                f"{name} axis", columns, key=links.seed(f"f_{name}", value),
                format_func=label, on_change=links.writes(name, f"f_{name}"), width=260,
            )  # fmt: skip
    if x == y:
        st.caption("Choose two different scores.")
        return
    held = scores.compare(x, y, chosen, known)
    if not held.n:
        st.write("No allele that passes has both scores.")
        return
    correlation = "not defined" if held.pearson is None else f"{held.pearson:.3f}"
    st.altair_chart(charts.comparison(held, x, y), alt=f"{x} against {y}")
    st.caption(f"{held.n:,} alleles have both; Pearson correlation {correlation}")
    exports.offer_table(held.cells, f"{x}-{y}", key="compare")
