"""Features of a stretch of the genome, as the genome browser draws them.

Positions are 0-based half-open, as igv.js has them. A track that holds more than a view
can draw gives its strongest features and says how many it left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import duckdb

from dashboards.app import layers
from dashboards.app.engine import cursor
from dashboards.app.filters import Filter
from dashboards.app.offer import Result
from dashboards.app.scores import open_scores
from dashboards.app.tables import records
from dashboards.app.theme import ACCENT, IMPACT_COLOURS, KIND_COLOURS, QUIET
from data_registry.coordinates import Region
from data_registry.errors import InputError
from data_registry.workspace import Workspace
from graph_builder.manifest import current_graph, read_manifest

Feature = dict[str, Any]

REGULATORY: Final = ("promoter", "enhancer", "cre", "peak", "dhs")
_MOST_ARCS: Final = 250
_CONTACTS: Final = "contact_bin__contacts__contact_bin"


@dataclass(frozen=True, slots=True)
class Drawn:
    """Features of one view; ``left_out`` of that stretch are not among them."""

    features: list[Feature]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Track:
    """One track of the browser.

    Parameters
    ----------
    name
        What addresses call it.
    title
        What the screen calls it.
    form
        igv.js track type.
    shown
        Whether it is drawn before anybody asks.
    options
        Further settings of igv.js.
    """

    name: str
    title: str
    form: str
    shown: bool
    options: Mapping[str, Any]


def tracks(workspace: Path, result: Result | None) -> list[Track]:
    """Return the tracks that a workspace and a result can fill."""
    found = list(_registry_tracks(layers.stamp(workspace)))
    if result is not None:
        scores = open_scores(result)
        # Beyond what can be drawn, the highest scores are, and the others counted.
        shared = {"visibilityWindow": 2_000_000}
        found.insert(1, Track(
            "variants", "Variants (colour: impact)", "annotation", shown=True,
            options={**shared, "displayMode": "SQUISHED", "height": 60, "maxRows": 60},
        ))  # fmt: skip
        if "prior_score" in scores.columns:
            found.insert(2, Track(
                "score", "Prior score", "wig", shown=True,
                options={**shared, "graphType": "points", "min": 0, "max": 1, "height": 60,
                 "color": ACCENT},
            ))  # fmt: skip
    folder = current_graph(Workspace(workspace).graph)
    if folder is not None and read_manifest(folder).edges[_CONTACTS].count:
        found.append(Track(
            "contacts", "Contacts, observed over expected", "interact", shown=True,
            options={"arcType": "nested", "useScore": False, "height": 110, "color": "#7f95b5",
             "visibilityWindow": 3_000_000, "alpha": 0.3},
        ))  # fmt: skip
    return found


@lru_cache(maxsize=32)
def _registry_tracks(stamp: tuple[str, int, int]) -> tuple[Track, ...]:
    workspace = Path(stamp[0])
    found = []
    with layers.opened(workspace) as store:
        db = store.connection
        if _has(db, "genes"):
            found.append(Track(
                "genes", "Genes", "annotation", shown=True,
                options={"displayMode": "EXPANDED", "height": 90, "color": ACCENT,
                 "visibilityWindow": 10_000_000, "searchable": False},
            ))  # fmt: skip
        kinds = [
            kind for (kind,) in db.execute(
                "SELECT kind FROM intervals GROUP BY kind ORDER BY kind"
            ).fetchall()
        ]  # fmt: skip
        if any(kind in REGULATORY for kind in kinds):
            found.append(Track(
                "elements", "Regulatory elements", "annotation", shown=True,
                options={"displayMode": "EXPANDED", "height": 70, "visibilityWindow": 3_000_000},
            ))  # fmt: skip
        for kind in kinds:
            if kind not in REGULATORY:
                found.append(Track(  # noqa: PERF401
                    f"interval-{kind}", _title(kind), "annotation", shown=False,
                    options={"displayMode": "COLLAPSED", "height": 35,
                     "color": KIND_COLOURS.get(kind, QUIET),
                     "visibilityWindow": 1_000_000},
                ))  # fmt: skip
        if _has(db, "tf_sites"):
            found.append(Track(
                "tf_sites", "Factor binding (measured)", "annotation", shown=False,
                options={"displayMode": "EXPANDED", "height": 60, "visibilityWindow": 1_000_000,
                 "color": KIND_COLOURS["tf_site"]},
            ))  # fmt: skip
        for source_id, track, role in db.execute(
            "SELECT source_id, track, role FROM tracks ORDER BY role, track"
        ).fetchall():
            found.append(Track(
                f"signal-{source_id}", f"{track} ({role})", "wig", shown=role == "conservation",
                options={"format": "bigwig", "height": 50, "color": "#7f95b5", "autoscale": True},
            ))  # fmt: skip
        for (track,) in db.execute(
            "SELECT DISTINCT track FROM conservation ORDER BY track"
        ).fetchall():
            found.append(Track(
                f"conservation-{track}", f"{track} (conservation)", "wig", shown=True,
                options={"height": 50, "color": "#7f95b5", "autoscale": True,
                 "visibilityWindow": 300_000},
            ))  # fmt: skip
        for (trait,) in db.execute(
            "SELECT DISTINCT phenotype_id FROM associations ORDER BY phenotype_id"
        ).fetchall():
            found.append(Track(
                f"gwas-{trait}", f"GWAS {trait}", "gwas", shown=False,
                options={"height": 90, "visibilityWindow": 5_000_000, "max": 20, "min": 0,
                 "dotSize": 3},
            ))  # fmt: skip
        if _has(db, "panel_frequencies"):
            found.append(Track(
                "panel", "Panel alleles", "annotation", shown=False,
                options={"displayMode": "SQUISHED", "height": 40, "color": QUIET,
                 "visibilityWindow": 100_000},
            ))  # fmt: skip
        if db.execute("SELECT 1 FROM contacts WHERE kind = 'loop' LIMIT 1").fetchone():
            found.append(Track(
                "loops", "Loops", "interact", shown=True,
                options={"arcType": "nested", "height": 80, "color": "#a8455e",
                 "visibilityWindow": 5_000_000},
            ))  # fmt: skip
    return tuple(found)


def _has(db: duckdb.DuckDBPyConnection, table: str) -> bool:
    return db.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() is not None


def _title(kind: str) -> str:
    words = {"tss": "Transcription starts", "tad": "TADs", "dmr": "Methylated regions"}
    return words.get(kind, kind.replace("_", " ").capitalize() + "s")


def draw(name: str, workspace: Path, result: Result | None, region: Region) -> Drawn:
    """Return the features of one track in a region.

    Raises
    ------
    InputError
        There is no such track.
    """
    family, _, rest = name.partition("-")
    makers: dict[str, Callable[[], Drawn]] = {
        "genes": lambda: _genes(workspace, region),
        "elements": lambda: _intervals(workspace, region, REGULATORY),
        "interval": lambda: _intervals(workspace, region, (rest,)),
        "tf_sites": lambda: _tf_sites(workspace, region),
        "conservation": lambda: _conservation(workspace, region, rest),
        "gwas": lambda: _associations(workspace, region, rest),
        "panel": lambda: _panel(workspace, region),
        "loops": lambda: _loops(workspace, region),
        "contacts": lambda: _contacts(workspace, region),
        "variants": lambda: _variants(result, region),
        "score": lambda: _scores(result, region),
    }
    if family not in makers:
        raise InputError(f"there is no track {name!r}")
    return makers[family]()


_INSIDE: Final = 'contig = ? AND start < ? AND "end" > ?'


def _span(region: Region) -> list[Any]:
    return [
        region.contig,
        region.end if region.end is not None else 1 << 40,
        region.start,
    ]


def _genes(workspace: Path, region: Region) -> Drawn:
    """Transcripts with their exons; parts outside the CDS are drawn thin."""
    rows = layers.ask(
        workspace,
        'SELECT t.transcript_id, t.gene_id, t.start, t."end", t.strand, t.biotype, '
        "any_value(g.symbol) AS symbol, "
        'list((f.kind, f.start, f."end") ORDER BY f.start) AS parts '
        "FROM transcripts t LEFT JOIN features f USING (transcript_id) "
        "LEFT JOIN genes g USING (gene_id) "
        'WHERE t.contig = ? AND t.start < ? AND t."end" > ? GROUP BY ALL '
        "ORDER BY t.start LIMIT ?",
        [*_span(region), layers.MOST_FEATURES],
    )
    drawn = []
    for row in rows:
        parts = [tuple(part.values()) if isinstance(part, dict) else part
                 for part in row["parts"]]  # fmt: skip
        drawn.append({
            "chr": region.contig, "start": row["start"], "end": row["end"],
            "name": row["symbol"] or row["gene_id"], "strand": row["strand"],
            "exons": exons(parts), "gene": row["gene_id"],
            "transcript": row["transcript_id"], "biotype": row["biotype"],
        })  # fmt: skip
    return Drawn(drawn)


def exons(parts: list[tuple[str, int, int]]) -> list[Feature]:
    """Return exons with the coding stretch marked, from exon, cds and utr parts.

    Parameters
    ----------
    parts
        (kind, start, end), 0-based half-open.
    """
    coding = [(s, e) for kind, s, e in parts if kind == "cds"]
    whole = sorted((s, e) for kind, s, e in parts if kind == "exon")
    if not whole:
        whole = sorted((s, e) for kind, s, e in parts if kind)
    if not coding:
        return [{"start": s, "end": e, "utr": True} for s, e in whole]
    first, last = min(s for s, _ in coding), max(e for _, e in coding)
    found: list[Feature] = []
    for start, end in whole:
        if end <= first or start >= last:
            found.append({"start": start, "end": end, "utr": True})
        else:
            one: Feature = {"start": start, "end": end}
            if start < first:
                one["cdStart"] = first
            if end > last:
                one["cdEnd"] = last
            found.append(one)
    return found


def _intervals(workspace: Path, region: Region, kinds: tuple[str, ...]) -> Drawn:
    rows = layers.ask(
        workspace,
        'SELECT kind, name, start, "end", strand, signal, score, state, sample, '
        "count(*) OVER () AS total FROM intervals "
        f"WHERE {_INSIDE} AND kind IN (SELECT unnest(?)) "
        "ORDER BY start LIMIT ?",
        [*_span(region), list(kinds), layers.MOST_FEATURES],
    )
    return Drawn(
        [
            {
                "chr": region.contig, "start": r["start"], "end": r["end"],
                "name": r["state"] or r["name"] or r["kind"], "kind": r["kind"],
                "color": KIND_COLOURS.get(r["kind"], QUIET), "sample": r["sample"] or "",
            }
            for r in rows
        ],
        rows[0]["total"] - len(rows) if rows else 0,
    )  # fmt: skip


def _tf_sites(workspace: Path, region: Region) -> Drawn:
    rows = layers.ask(
        workspace,
        'SELECT tf, start, "end", signal, sample, count(*) OVER () AS total '
        f"FROM tf_sites WHERE {_INSIDE} ORDER BY start LIMIT ?",
        [*_span(region), layers.MOST_FEATURES],
    )
    return Drawn(
        [
            {"chr": region.contig, "start": r["start"], "end": r["end"], "name": r["tf"],
             "sample": r["sample"] or ""}
            for r in rows
        ],
        rows[0]["total"] - len(rows) if rows else 0,
    )  # fmt: skip


def _conservation(workspace: Path, region: Region, track: str) -> Drawn:
    rows = layers.ask(
        workspace,
        f'SELECT start, "end", score FROM conservation WHERE {_INSIDE} AND track = ? '
        "ORDER BY start LIMIT 100000",
        [*_span(region), track],
    )
    return Drawn(
        [{"chr": region.contig, "start": r["start"], "end": r["end"], "value": r["score"]}
         for r in rows]
    )  # fmt: skip


def _associations(workspace: Path, region: Region, trait: str) -> Drawn:
    contig, end, start = _span(region)
    rows = layers.ask(
        workspace,
        "SELECT variant_id, start, p_value, beta, count(*) OVER () AS total "
        "FROM associations WHERE contig = ? AND start < ? AND start >= ? "
        "AND phenotype_id = ? AND p_value > 0 ORDER BY p_value LIMIT ?",
        [contig, end, start, trait, layers.MOST_FEATURES],
    )
    return Drawn(
        [
            {"chr": region.contig, "start": r["start"], "end": r["start"] + 1,
             "value": r["p_value"], "pvalue": r["p_value"],
             "name": r["variant_id"] or "", "beta": r["beta"]}
            for r in sorted(rows, key=lambda r: r["start"])
        ],
        rows[0]["total"] - len(rows) if rows else 0,
    )  # fmt: skip


def _panel(workspace: Path, region: Region) -> Drawn:
    contig, end, start = _span(region)
    rows = layers.ask(
        workspace,
        "SELECT start, ref, alt, panel, ac, an, count(*) OVER () AS total "
        "FROM panel_frequencies WHERE group_name = '' AND contig = ? AND start < ? "
        "AND start >= ? ORDER BY ac DESC LIMIT ?",
        [contig, end, start, layers.MOST_FEATURES],
    )
    return Drawn(
        [
            {"chr": region.contig, "start": r["start"],
             "end": r["start"] + max(len(r["ref"] or ""), 1),
             "name": f"{r['ref'] or '-'}>{r['alt'] or '-'} {r['ac']}/{r['an']}"}
            for r in sorted(rows, key=lambda r: r["start"])
        ],
        rows[0]["total"] - len(rows) if rows else 0,
    )  # fmt: skip


def _arc(region: Region, row: Mapping[str, Any], value: float | None) -> Feature:
    return {
        "chr": region.contig, "chr1": row["contig1"], "start1": row["start1"],
        "end1": row["end1"], "chr2": row["contig2"], "start2": row["start2"],
        "end2": row["end2"], "start": min(row["start1"], row["start2"]),
        "end": max(row["end1"], row["end2"]), "value": value or 0, "score": value or 0,
    }  # fmt: skip


def _loops(workspace: Path, region: Region) -> Drawn:
    contig, end, start = _span(region)
    rows = layers.ask(
        workspace,
        "SELECT contig1, start1, end1, contig2, start2, end2, count FROM contacts "
        "WHERE kind = 'loop' AND contig1 = ? AND contig2 = ? AND start1 < ? AND end2 > ? "
        "ORDER BY start1",
        [contig, contig, end, start],
    )
    return Drawn([_arc(region, row, row["count"]) for row in rows])


def _contacts(workspace: Path, region: Region) -> Drawn:
    """The strongest contacts of the graph with both ends inside, by observed/expected."""
    folder = current_graph(Workspace(workspace).graph)
    if folder is None:
        return Drawn([])
    manifest = read_manifest(folder)
    edges, bins = (
        str(folder / manifest.types[name].file) for name in (_CONTACTS, "contact_bin")
    )
    contig, end, start = _span(region)
    with cursor() as db:
        asked = db.execute(
            'SELECT a.contig AS contig1, a.start AS start1, a."end" AS end1, '
            'b.contig AS contig2, b.start AS start2, b."end" AS end2, c.contact_oe, '
            "count(*) OVER () AS total FROM read_parquet(?) c "
            "JOIN read_parquet(?) a ON a.id = c.source "
            "JOIN read_parquet(?) b ON b.id = c.target "
            "WHERE a.contig = ? AND b.contig = ? AND a.start <> b.start AND "
            'least(a.start, b.start) >= ? AND greatest(a."end", b."end") <= ? '
            "ORDER BY c.contact_oe DESC NULLS LAST LIMIT ?",
            [edges, bins, bins, contig, contig, start, end, _MOST_ARCS],
        )
        names = [column[0] for column in asked.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in asked.fetchall()]
    rows.sort(key=lambda row: row["start1"])
    return Drawn(
        [_arc(region, row, row["contact_oe"]) for row in rows],
        rows[0]["total"] - len(rows) if rows else 0,
    )


def _chosen(result: Result | None, region: Region, columns: tuple[str, ...]) -> Drawn:
    if result is None:
        return Drawn([])
    scores = open_scores(result)
    inside = Filter(status="any", region=str(region))
    known = scores.known(inside)
    sort = "prior_score" if "prior_score" in scores.columns else ""
    shown = tuple(name for name in columns if name in scores.columns)
    rows = scores.page(
        inside, known, columns=shown, sort=sort, limit=layers.MOST_FEATURES + 1
    ).astype(object)
    left_out = 0
    if len(rows) > layers.MOST_FEATURES:
        left_out = scores.count(inside, known) - layers.MOST_FEATURES
        rows = rows.head(layers.MOST_FEATURES)
    rows = rows.where(rows.notna(), None).sort_values("pos")
    return Drawn(records(rows), left_out)


def _variants(result: Result | None, region: Region) -> Drawn:
    found = _chosen(
        result, region,
        ("chrom", "pos", "ref", "alt", "status", "consequence", "impact", "symbol", "gene",
         "prior_score"),
    )  # fmt: skip
    drawn = []
    for row in found.features:
        start = row["pos"] - 1
        score = row.get("prior_score")
        drawn.append({
            "chr": region.contig, "start": start,
            "end": start + max(len(row["ref"] or ""), 1),
            "name": f"{row['chrom']}:{row['pos']}:{row['ref']}:{row['alt']}",
            "color": IMPACT_COLOURS.get(row.get("impact") or "", QUIET),
            "consequence": row.get("consequence") or row["status"],
            "gene": row.get("symbol") or row.get("gene") or "",
            "prior": "" if score is None else f"{score:.3f}",
        })  # fmt: skip
    return Drawn(drawn, found.left_out)


def _scores(result: Result | None, region: Region) -> Drawn:
    found = _chosen(result, region, ("chrom", "pos", "ref", "alt", "prior_score"))
    return Drawn(
        [
            {"chr": region.contig, "start": row["pos"] - 1, "end": row["pos"],
             "value": row["prior_score"]}
            for row in found.features
            if row.get("prior_score") is not None
        ],
        found.left_out,
    )  # fmt: skip
