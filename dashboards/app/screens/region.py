"""Region: the genome browser, and the variants of the region under it."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from dashboards.app import exports, features, layers, links, navigation, tables
from dashboards.app.context import Context, context
from dashboards.app.filters import Filter
from dashboards.app.genome_browser import genome_browser
from dashboards.app.scores import Scores
from dashboards.app.words import consequence
from data_registry.coordinates import Region, one_based_from_start
from data_registry.errors import InputError
from variant_effect.card import read_variant

_START_BP = 20_000
_LEAST_BP = 40
_MOST_ROWS = 500
_MOST_FASTA_BP = 5_000_000
COLUMNS = {
    navigation.GENETICIST: (
        "chrom", "pos", "ref", "alt", "prior_score", "consequence", "impact", "symbol",
        "gene", "hgvs_c", "hgvs_p", "motif_change", "motif_tf", "cre",
        "markov_percentile", "conservation", "panel_max_af", "panel_counts", "status",
    ),
    navigation.BREEDER: (
        "chrom", "pos", "ref", "alt", "prior_score", "consequence", "symbol", "gene",
        "hgvs_p", "panel_max_af", "panel_counts", "gwas", "target_genes", "status",
    ),
}  # fmt: skip


def show() -> None:
    """Draw the page."""
    found = context()
    offered = features.tracks(found.workspace, found.result)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        region = _choose_region(found)
        shown = _choose_tracks(offered)
    if region is None:
        return
    marked = _marked()
    genome_browser(
        found.name, layers.genome(found.workspace).assembly, shown, region, marked,
        found.result, key="igv", on_move=_moved, on_pick=_picked,
    )  # fmt: skip
    scores = found.scores()
    if scores is None:
        st.info("Nothing has been scored here yet: the tracks above are all there is.")
    else:
        _show_variants(found, scores, region)
    if scores is None:
        exports.offer_files(
            _stem(found, region), _sequence(found, region), key="region"
        )


def _moved(locus: str) -> None:
    links.write(region=locus)


def _picked(variant: str) -> None:
    links.write(variant=variant)
    # A new table takes the chosen row from the address; the old one holds its own.
    st.session_state["region_turn"] = st.session_state.get("region_turn", 0) + 1


def _marked() -> tuple[str, int, str, str] | None:
    text = links.read("variant")
    return read_variant(text) if text else None


def _choose_region(found: Context) -> Region | None:
    asked = links.read("region")
    if not asked:
        asked = _first_place(found)
    st.text_input(
        "Place or gene", key=links.seed("w_region", asked),
        on_change=links.writes("region", "w_region"), width=320,
        help="chr:start-end (1-based, both ends in), a contig, or a gene's name.",
    )  # fmt: skip
    try:
        region = _widened(found, layers.place(found.workspace, asked))
    except InputError as error:
        st.error(str(error))
        return None
    end = region.end or region.start + 1
    width = end - region.start
    for text, change, icon in (
        ("Left", (-width // 2, -width // 2), ":material/arrow_back:"),
        ("Right", (width // 2, width // 2), ":material/arrow_forward:"),
        ("Closer", (width // 4, -(width // 4)), ":material/zoom_in:"),
        ("Wider", (-width // 2, width // 2), ":material/zoom_out:"),
    ):
        start = max(region.start + change[0], 0)
        st.button(
            text, key=f"go_{text}", icon=icon, type="tertiary",
            on_click=_moved,
            args=(f"{region.contig}:{start + 1}-{max(end + change[1], start + 20)}",),
        )  # fmt: skip
    st.caption(f"{width:,} bp", width="content")
    return region


def _widened(found: Context, region: Region) -> Region:
    """Return at least as much as the genome browser can show."""
    end = region.end or region.start + 1
    missing = _LEAST_BP - (end - region.start)
    if missing <= 0:
        return region
    length = layers.genome(found.workspace).lengths[region.contig]
    start = max(min(region.start - missing // 2, length - _LEAST_BP), 0)
    return Region(region.contig, start, min(start + _LEAST_BP, length))


def _first_place(found: Context) -> str:
    """Around the chosen variant or gene, else the start of the first contig."""
    if text := links.read("variant"):
        chrom, pos, _, _ = read_variant(text)
        return f"{chrom}:{max(pos - 2000, 1)}-{pos + 2000}"
    if gene := links.read("gene"):
        return gene
    rows = layers.ask(
        found.workspace, "SELECT contig, length FROM contigs ORDER BY ordinal LIMIT 1"
    )
    if not rows:
        raise InputError("no genome is registered in this workspace")
    return f"{rows[0]['contig']}:1-{min(rows[0]['length'], _START_BP)}"


def _choose_tracks(offered: list[features.Track]) -> list[features.Track]:
    titles = {track.name: track.title for track in offered}
    asked = [name for name in links.read_all().get("track", []) if name in titles]
    usual = [track.name for track in offered if track.shown]
    with st.popover(
        f"Tracks ({len(asked or usual)} of {len(offered)})", icon=":material/layers:"
    ):
        st.multiselect(
            "Tracks", list(titles), key=links.seed("w_tracks", asked or usual),
            format_func=titles.__getitem__, on_change=links.writes("track", "w_tracks"),
            label_visibility="collapsed", placeholder="Choose tracks",
        )  # fmt: skip
    chosen = set(asked or usual)
    return [track for track in offered if track.name in chosen]


def _show_variants(found: Context, scores: Scores, region: Region) -> None:
    inside = Filter(status="any", region=_written(region))
    known = scores.known(inside)
    n = scores.count(inside, known)
    columns = tuple(name for name in COLUMNS[found.door] if name in scores.columns)
    by_score = "prior_score" in scores.columns
    frame = scores.page(
        inside, known, columns=columns, limit=_MOST_ROWS,
        sort="prior_score" if by_score and n > _MOST_ROWS else "",
    )  # fmt: skip
    if n > _MOST_ROWS:
        frame = frame.sort_values("pos", kind="stable", ignore_index=True)
    frame = tables.with_percentile(scores, frame)
    names = [tables.allele_name(row) for row in tables.records(frame)]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{n:,} alleles here", width="content")
        if n > _MOST_ROWS:
            st.caption(
                f"the {_MOST_ROWS} with the highest prior score", width="content"
            )
        navigation.link(
            "variants", "All of them, with filters", region=_written(region)
        )
    if not n:
        st.write("No allele of this result lies here.")
        return
    chosen = links.read("variant")
    _show_chosen(scores, chosen)
    st.session_state["region_names"] = names
    turn = st.session_state.get("region_turn", 0)
    key = f"region_table_{_written(region)}_{turn}"
    rows = [names.index(chosen)] if chosen in names else []
    st.dataframe(
        frame, hide_index=True, key=key, on_select=lambda: _chosen_in_table(key),
        selection_mode="single-row", height=min(38 + 35 * len(frame), 360),
        selection_default={"selection": {"rows": rows}} if rows else None,
        column_config=tables.column_settings(scores, list(frame.columns)),
        placeholder="", alt="Variants of the region",
    )  # fmt: skip
    st.caption(
        "Choose a row and the browser marks it; click a variant there and it is chosen here."
    )
    exports.offer_files(
        _stem(found, region),
        {
            "csv": lambda: exports.table_bytes(frame, "csv"),
            "tsv": lambda: exports.table_bytes(frame, "tsv"),
            "parquet": lambda: exports.table_bytes(frame, "parquet"),
            "bed": lambda: exports.bed_bytes(_as_bed(frame, names)),
            **_sequence(found, region),
        },
        key="region",
        note="picture: the save button of the browser",
    )


def _chosen_in_table(key: str) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    names = st.session_state.get("region_names", [])
    links.write(variant=names[rows[0]] if rows and rows[0] < len(names) else None)


def _show_chosen(scores: Scores, chosen: str) -> None:
    if not chosen:
        return
    row = scores.row(*read_variant(chosen))
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{chosen}**", width="content")
        if row is None:
            st.caption("not in this result", width="content")
        else:
            words = consequence(row.get("consequence"))
            score = row.get("prior_score")
            st.markdown(
                f"{row.get('consequence') or row['status']}"
                + (f" · {words}" if words else "")
                + ("" if score is None else f" · prior score {score:.3f}"),
                width="content",
            )
        navigation.link("variant", "Open its card", variant=chosen)
        navigation.link(
            "graph", "Its neighbours", variant=chosen, node=f"variant:{chosen}"
        )


def _as_bed(
    frame: pd.DataFrame, names: list[str]
) -> list[tuple[str, int, int, str, int, str]]:
    scores = (
        frame["prior_score"].fillna(0.0)
        if "prior_score" in frame
        else [0.0] * len(frame)
    )
    return [
        (chrom, pos - 1, pos - 1 + max(len(ref), 1), name, round(score * 1000), ".")
        for chrom, pos, ref, name, score in zip(
            frame["chrom"], frame["pos"], frame["ref"], names, scores, strict=True
        )
    ]


def _written(region: Region) -> str:
    return f"{region.contig}:{one_based_from_start(region.start)}-{region.end}"


def _stem(found: Context, region: Region) -> str:
    return f"{found.name}-{region.contig}-{region.start + 1}-{region.end}"


def _sequence(found: Context, region: Region) -> dict[str, Callable[[], bytes]]:
    end = region.end or region.start
    if end - region.start > _MOST_FASTA_BP:
        return {}

    def fasta() -> bytes:
        bases = layers.genome(found.workspace).fetch(region.contig, region.start, end)
        return exports.fasta_bytes({_written(region): bases})

    return {"fasta": fasta}
