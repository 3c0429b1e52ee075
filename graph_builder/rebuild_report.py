"""The page of a rebuild: one file that a person reads in a minute, and its JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from data_registry.workspace import written_beside

SHOWN_MOVES = 20
SHOWN_TYPES = 12

_STYLE = """
:root { color-scheme: light dark; --ink:#1d2329; --soft:#5b6670; --line:#dfe4e8;
  --page:#ffffff; --card:#f6f8f9; --good:#1f7a4d; --bad:#b3362b; --warn:#946200;
  --mark:#2f6690; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6eaee; --soft:#9aa7b2;
  --line:#343c44; --page:#15191d; --card:#1d2329; --good:#5cc48f; --bad:#f08a7d;
  --warn:#e0b04c; --mark:#7fb5dd; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--page); color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size:1.7rem; line-height:1.2; margin:0 0 .25rem; }
h2 { font-size:1.1rem; margin:2.2rem 0 .5rem; }
p { margin:.3rem 0 .6rem; max-width:46rem; }
.soft, small, caption { color:var(--soft); }
.badge { display:inline-block; padding:.1rem .6rem; border-radius:1rem; font-size:.9rem;
  font-weight:600; border:1.5px solid currentColor; vertical-align:.25rem; }
.published { color:var(--good); } .held, .failed { color:var(--bad); }
.unchanged { color:var(--warn); }
.lead { font-size:1.1rem; max-width:50rem; }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));
  gap:.75rem; margin:1.25rem 0 0; padding:0; }
.tiles div { background:var(--card); border:1px solid var(--line); border-radius:.5rem;
  padding:.7rem .9rem; }
.tiles dt { color:var(--soft); font-size:.85rem; }
.tiles dd { margin:0; font-size:1.35rem; font-weight:600; }
.tiles dd small { font-size:.85rem; font-weight:400; display:block; line-height:1.35; }
.scroll { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-size:.92rem; margin:.4rem 0 .6rem; }
caption { text-align:left; padding:.2rem 0; font-size:.9rem; }
th { text-align:left; font-weight:600; color:var(--soft); border-bottom:1.5px solid var(--line); }
th, td { padding:.3rem .8rem .3rem 0; vertical-align:top; }
td { border-bottom:1px solid var(--line); overflow-wrap:break-word; }
.scroll table { min-width:42rem; } td code, td b { white-space:nowrap; }
td small { display:inline-block; min-width:9rem; overflow-wrap:anywhere; }
.n { text-align:right; white-space:nowrap; font-variant-numeric:tabular-nums; }
.up { color:var(--good); } .down { color:var(--bad); }
.why { white-space:pre-wrap; overflow-wrap:anywhere; }
code { font-size:.88em; background:var(--card); padding:.05rem .3rem; border-radius:.25rem; }
svg text { fill:var(--soft); font-size:11px; }
svg .axis { stroke:var(--line); } svg .bar { fill:var(--mark); }
svg .bar.far { fill:var(--warn); }
@media print { main { max-width:none; padding:0; } }
"""

_WORDS = {
    "published": "published",
    "held": "held back",
    "failed": "failed",
    "unchanged": "nothing published",
}


def write_report(data: Mapping[str, Any], rebuild: Path, name: str) -> Path:
    """Write ``reports/<name>.json`` and ``.html`` below ``rebuild``; return the page.

    Parameters
    ----------
    data
        ``rebuild_facts.Report.as_data()``.
    """
    folder = rebuild / "reports"
    stem = name.replace(":", "")
    for ending, text in (
        ("json", json.dumps(data, indent=1, ensure_ascii=False) + "\n"),
        ("html", page_of(data)),
    ):
        with written_beside(folder / f"{stem}.{ending}") as beside:
            beside.write_text(text, encoding="utf-8")
    return folder / f"{stem}.html"


def page_of(data: Mapping[str, Any]) -> str:
    """Return the page as HTML; it needs no other file and no network."""
    name = data["workspace"]
    title = f"{name}: rebuild {data['version']}".strip()
    sections = [
        _head(data),
        _tiles(data),
        _came_in(data),
        _refused(data),
        _figures(data),
        _scores(data),
        _moved(data),
        _graph(data),
        _foot(data),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


# -- parts -------------------------------------------------------------------------------


def _head(data: Mapping[str, Any]) -> str:
    status = data["status"]
    version = f" · version {data['version']}" if data["version"] else ""
    return (
        f"<h1>{escape(data['workspace'])}{version} "
        f'<span class="badge {status}">{_WORDS[status]}</span></h1>'
        f'<p class="soft">{escape(data["started"].replace("T", " ").replace("Z", " UTC"))},'
        f" {data['seconds']:,.0f} s{', picked up after a kill' if data['picked_up'] else ''}"
        "</p>"
        f'<p class="lead">{_in_words(data)}</p>'
    )


def _in_words(data: Mapping[str, Any]) -> str:
    """Say the whole in three or four sentences."""
    said = []
    n_in, n_bad = len(data["came_in"]), len(data["refused"])
    names = ", ".join(f"<b>{escape(one['source'])}</b>" for one in data["came_in"][:4])
    more = f" and {n_in - 4} more" if n_in > 4 else ""
    came = (
        f"{_count(n_in, 'source')} came in ({names}{more})"
        if n_in
        else "Nothing came in"
    )
    refused = {0: "", 1: "; one file was refused"}
    said.append(f"{came}{refused.get(n_bad, f'; {n_bad} files were refused')}.")
    if data["status"] == "failed":
        said.append(
            "The new state could not be built, so nothing has changed: "
            f'<span class="why">{escape(data["reason"])}</span>'
        )
        return " ".join(said)
    moved = sum(one["moved"] for one in data["scores"])
    total = sum(one["in_both"] for one in data["scores"])
    if total:
        causes = _causes(data)
        because = ""
        if moved and causes:
            cause, n = causes[0]
            because = f", {n:,} of them because of <b>{escape(cause)}</b>"
        said.append(
            f"{moved:,} of {total:,} alleles moved by more than a decile{because}."
        )
    if data["status"] == "held":
        said.append(
            f"<b>The version before, {escape(data['version_before'])}, stays in use</b>: "
            f"{escape(data['reason'])}. To use the new one all the same: "
            f"<code>--publish {data['version']}</code>."
        )
    elif data["falls"] and data["accepted"]:
        said.append(f"Published by order although {escape('; '.join(data['falls']))}.")
    elif data["figures"] and data["status"] == "published":
        said.append("No benchmark figure fell by more than its interval.")
    elif data["status"] == "published":
        said.append("No benchmark is set, so the gate had nothing to watch.")
    if data["status"] == "unchanged" and data["reason"]:
        said.append(f"{escape(data['reason'].capitalize())}.")
    return " ".join(said)


def _tiles(data: Mapping[str, Any]) -> str:
    if not data["version"]:
        return ""
    graph = data["graph"]
    rows = graph.get("rows", 0) - graph.get("rows_before", 0)
    same = graph.get("before") == graph.get("after")
    first = data["figures"][0] if data["figures"] else None
    tiles = [
        ("came in", f"{len(data['came_in'])}", _rows_in(data)),
        ("refused", f"{len(data['refused'])}", "moved to quarantine" if data["refused"] else ""),
        ("graph", "unchanged" if same else f"{rows:+,}",
         f"now {graph.get('rows', 0):,} nodes and edges"),
        ("moved &gt; 1 decile", f"{sum(v['moved'] for v in data['scores']):,}",
         f"of {sum(v['in_both'] for v in data['scores']):,} alleles"),
    ]  # fmt: skip
    if first and first.get("after"):
        before = first["before"]["auroc"] if first.get("before") else None
        was = f"was {before:.3f}" if before is not None else "first measured"
        tiles.append(
            (escape(first["name"]), f"{first['after']['auroc']:.3f}", f"AUROC, {was}")
        )
    inner = "".join(
        f"<div><dt>{label}</dt><dd>{value}<small class='soft'>{note}</small></dd></div>"
        for label, value, note in tiles
    )
    return f'<dl class="tiles">{inner}</dl>'


def _rows_in(data: Mapping[str, Any]) -> str:
    return f"{sum(one['rows_kept'] for one in data['came_in']):,} rows kept"


def _came_in(data: Mapping[str, Any]) -> str:
    if not data["came_in"] and not data["remote"] and not data["waiting"]:
        return ""
    rows = []
    for one in data["came_in"]:
        lost = ", ".join(f"{n:,} {reason}" for reason, n in one["left_out"].items())
        replaces = f"replaces version {one['replaces']}" if one["replaces"] else "new"
        rows.append([
            f"<b>{escape(one['source'])}</b><br><small>{escape(one['file'])}</small>",
            escape(one["kind"]), replaces, _n(one["rows_kept"]),
            escape(lost) or "none",
        ])  # fmt: skip
    text = _table(
        ["source", "kind", "state", "rows kept", "rows left out"], rows, numbers={3}
    )
    changed = [r for r in data["remote"] if r["answer"] != "unchanged"]
    if data["remote"]:
        text += f"<p class='soft'>{_count(len(data['remote']), 'public source')} asked"
        text += "; all unchanged.</p>" if not changed else ":</p>"
    if changed:
        text += _table(
            ["public source", "answer", "why"],
            [[escape(r["source"]), r["answer"], escape(r["reason"])] for r in changed],
        )
    if data["waiting"]:
        text += "<p class='soft'>Left for the next run: " + "; ".join(
            f"<code>{escape(name)}</code> ({escape(why)})"
            for name, why in data["waiting"].items()
        ) + ".</p>"  # fmt: skip
    return f"<h2>What came in</h2>{text}"


def _refused(data: Mapping[str, Any]) -> str:
    if not data["refused"]:
        return ""
    rows = [
        [f"<b>{escape(one['file'])}</b>", f'<span class="why">{escape(one["reason"])}</span>',
         f"<small>{escape(one.get('quarantine', '') or 'not moved')}</small>"]
        for one in data["refused"]
    ]  # fmt: skip
    return "<h2>Refused, with the reason</h2>" + _table(
        ["file", "reason", "now in"], rows
    )


def _figures(data: Mapping[str, Any]) -> str:
    text = ""
    rows = []
    for one in data["figures"]:
        before, after = one.get("before"), one.get("after")
        difference = one.get("difference")
        rows.append([
            f"<b>{escape(one['name'])}</b><br><small>{escape(one['column'])} on "
            f"{escape(one['scores'])}</small>",
            _figure(before), _figure(after), _strip(before, after),
            f"{difference['auroc']:+.4f}<br><small>{difference['low']:+.4f} to "
            f"{difference['high']:+.4f}</small>" if difference else "",
            _verdict(before, after),
        ])  # fmt: skip
    if rows:
        one = next((f["after"] for f in data["figures"] if f.get("after")), None)
        text += _table(
            ["benchmark", "AUROC before", "after", "", "difference, paired", "gate"],
            rows, numbers={1, 2, 4},
        )  # fmt: skip
        if one:
            text += (
                f"<p class='soft'>95 % intervals from resampled blocks of 20 kb. Baseline: "
                f"the Markov percentile has AUROC {one['baseline']:.3f} on the same alleles "
                f"({one['positive']:,} with label 1, {one['negative']:,} with label 0; "
                f"{one['not_scored']:,} not scored). The gate closes when a figure falls "
                "below its earlier interval.</p>"
            )
    before, after = (data["prior"].get(side, {}) for side in ("before", "after"))
    if before or after:
        text += _table(
            ["fitted prior (held out, as fitted)", "before", "after"],
            [
                [escape(name), *(f"{side[name]:.4f}" if name in side else "" for side in
                 (before, after))]
                for name in sorted(before.keys() | after.keys())
            ],
            numbers={1, 2},
        )  # fmt: skip
    return f"<h2>Figures before and after</h2>{text}" if text else ""


def _figure(one: Mapping[str, Any] | None) -> str:
    if not one:
        return "not measured"
    return f"{one['auroc']:.3f}<br><small>{one['low']:.3f} to {one['high']:.3f}</small>"


def _verdict(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if not before:
        return '<span class="soft">first time</span>'
    if not after or after["auroc"] < before["low"]:
        return '<b class="down">closed</b>'
    return '<b class="up">open</b>'


def _strip(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """Draw two intervals on one scale: above the old, below the new."""
    known = [one for one in (before, after) if one]
    if not known:
        return ""
    ends = [float(one[key]) for one in known for key in ("low", "auroc", "high")]
    low = min(ends)
    width = max(max(ends) - low, 1e-6)

    def x(value: float) -> float:
        return 8 + 124 * (value - low) / width

    lines = []
    for y, one in ((9, before), (23, after)):
        if one:
            lines.append(
                f'<line x1="{x(one["low"]):.1f}" x2="{x(one["high"]):.1f}" y1="{y}" '
                f'y2="{y}" stroke="var(--soft)" stroke-width="2"/>'
                f'<circle cx="{x(one["auroc"]):.1f}" cy="{y}" r="4" class="bar"/>'
            )
    return (
        '<svg width="140" height="32" role="img" aria-label="intervals before and after">'
        + "".join(lines)
        + "</svg>"
    )


def _scores(data: Mapping[str, Any]) -> str:
    if not data["scores"]:
        return ""
    rows = []
    for one in data["scores"]:
        counts = one["accounting"]
        reasons = ", ".join(f"{n:,} {r}" for r, n in counts["reasons"].items())
        first = not one["scored_before"]
        rows.append([
            f"<b>{escape(one['name'])}</b>"
            + (f'<br><span class="down why">{escape(one["error"])}</span>' if one["error"] else ""),
            _n(counts["input_alleles"]), _n(one["scored"]), escape(reasons) or "none",
            "first time" if first else _n(one["score_changed"]),
            "" if first else _n(one["moved"]),
            "" if first else _histogram(one["histogram"]),
        ])  # fmt: skip
    table = _table(
        ["VCF", "alleles", "scored", "not scored", "score changed", "moved &gt; 1 decile",
         "moves, percentile points"],
        rows, numbers={1, 2, 4, 5},
    )  # fmt: skip
    return (
        "<h2>Scores</h2><p class='soft'>Alleles are ranked within their VCF by "
        "<code>prior_score</code>; a move is the change of percentile.</p>" + table
    )


def _histogram(counts: Sequence[int]) -> str:
    """Draw how far percentiles moved, in steps of ten points, on a root scale."""
    most = max(counts, default=0)
    if not most:
        return ""
    bars = []
    for i, n in enumerate(counts):
        height = 30 * (n / most) ** 0.5 if n else 0
        far = " far" if i not in (9, 10) else ""
        bars.append(
            f'<rect class="bar{far}" x="{4 + i * 8}" y="{32 - height:.1f}" width="7" '
            f'height="{height:.1f}"><title>{(i - 10) * 10} to {(i - 9) * 10}: {n:,}'
            "</title></rect>"
        )
    return (
        '<svg width="170" height="46" role="img" aria-label="histogram of moves">'
        + "".join(bars)
        + '<line class="axis" x1="2" x2="168" y1="32.5" y2="32.5"/>'
        '<text x="2" y="44">−100</text><text x="81" y="44">0</text>'
        '<text x="140" y="44">+100</text></svg>'
    )


def _causes(data: Mapping[str, Any]) -> list[tuple[str, int]]:
    totals: dict[str, int] = {}
    for causes in data["causes"].values():
        for cause, n in causes.items():
            totals[cause or "not looked for"] = totals.get(cause, 0) + n
    return sorted(totals.items(), key=lambda pair: -pair[1])


def _moved(data: Mapping[str, Any]) -> str:
    if not data["moved"]:
        return ""
    causes = _table(
        ["because of", "alleles moved"],
        [[escape(cause), _n(n)] for cause, n in _causes(data)],
        numbers={1},
    )
    rows = []
    for one in data["moved"][:SHOWN_MOVES]:
        gene = one.get("symbol") or one.get("gene") or ""
        rows.append([
            f"{escape(str(one['chrom']))}:{one['pos']:,} {_allele(one['ref'])}&gt;"
            f"{_allele(one['alt'])}",
            escape(str(one.get("consequence") or "")).replace("_variant", "").replace("&amp;", " &amp; "),
            escape(str(gene)), f"{one['percentile_before']:.0f} → {one['percentile']:.0f}",
            f"{one['move']:+.0f}",
            escape(str(one.get("because") or "")), escape(str(one["vcf"])),
        ])  # fmt: skip
    total = sum(v["moved"] for v in data["scores"])
    return (
        "<h2>Variants that moved by more than a decile</h2>"
        "<p class='soft'>A source is named where it alone, added to the version before, "
        "makes at least half of the move.</p>" + causes + _table(
            ["allele", "consequence", "gene", "percentile", "move", "because of", "VCF"],
            rows, numbers={3, 4},
            caption=f"The largest {len(rows)} of {total:,} moves; all of them are in "
            "<code>changes/moved.tsv</code> of the version.",
        )
    )  # fmt: skip


def _allele(bases: str) -> str:
    return escape(bases if len(bases) <= 8 else f"{bases[:6]}…({len(bases)})")


def _graph(data: Mapping[str, Any]) -> str:
    graph = data["graph"]
    if not graph:
        return ""
    if graph["before"] == graph["after"]:
        return "<h2>Graph</h2><p>Unchanged.</p>"
    types = sorted(
        graph["types"], key=lambda t: -(t["added"] + t["removed"] + t["changed"])
    )
    rows = [
        [f"<code>{escape(t['type'])}</code>", _n(t["before"]), _n(t["after"]),
         _n(t["added"]), _n(t["removed"]), _n(t["changed"]),
         f"<small>{escape(', '.join(t['examples']))}</small>"]
        for t in types[:SHOWN_TYPES]
    ]  # fmt: skip
    rest = len(types) - len(rows)
    return (
        "<h2>Graph</h2>"
        + _table(
            ["type", "before", "after", "added", "removed", "changed", "for example"],
            rows, numbers={1, 2, 3, 4, 5},
        )
        + (f"<p class='soft'>{_count(rest, 'more type')} changed.</p>" if rest else "")
        + f"<p class='soft'>Digest <code>{escape(graph['before'][:16] or 'none')}</code> → "
        f"<code>{escape(graph['after'][:16])}</code></p>"
    )  # fmt: skip


def _foot(data: Mapping[str, Any]) -> str:
    steps: dict[str, float] = {}
    for one in data["steps"]:
        steps[one["step"]] = steps.get(one["step"], 0.0) + one["seconds"]
    times = ", ".join(
        f"{escape(step)} {seconds:,.1f} s" for step, seconds in steps.items()
    )
    kept = ", ".join(escape(name) for name in data.get("kept_versions", []))
    text = f"<p class='soft'>Time: {times}.</p>" if times else ""
    if kept:
        text += f"<p class='soft'>Versions kept: {kept}. "
        text += "To go back: <code>python -m graph_builder.rebuild --workspace "
        text += f"{escape(data['workspace'])} --rollback</code></p>"
    return f"<h2>Times and versions</h2>{text}" if text else ""


# -- small things ------------------------------------------------------------------------


def _table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: frozenset[int] | set[int] = frozenset(),
    caption: str = "",
) -> str:
    """Return a table; cells are HTML already."""
    rows = list(rows)
    if not rows:
        return ""

    def cell(tag: str, i: int, text: str) -> str:
        opening = f'{tag} class="n"' if i in numbers else tag
        return f"<{opening}>{text}</{tag}>"

    head = "".join(cell("th", i, name) for i, name in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(cell("td", i, text) for i, text in enumerate(row)) + "</tr>"
        for row in rows
    )
    title = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _n(number: int) -> str:
    return f"{number:,}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
