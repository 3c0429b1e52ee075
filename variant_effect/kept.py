"""``python -m variant_effect.kept``: the VCFs that a workspace keeps scored.

``kept.json`` in the workspace lists them and the benchmarks; a rebuild writes it.
``scores/kept/<name>/`` holds the results: ``all.parquet``, or a file a partition of the
genome, each with a JSON of its key and accounting. A result whose key (sources, graph,
models, code, VCF, regions) still holds is not computed again. What changed against an
earlier version goes to ``changes/``.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray
from scipy.stats import rankdata

from data_registry.console import (
    WorkspaceOption,
    count_reporter,
    log,
    new_app,
    run_app,
    say,
    step_reporter,
)
from data_registry.coordinates import Region
from data_registry.errors import InputError, MalformedFileError
from data_registry.store import open_store
from data_registry.workspace import require_file, sha256_of, written_beside
from variant_effect.combined import FORM as PRIOR_FORM
from variant_effect.preparation import Prepared, prepare
from variant_effect.run import Choices, available_cores, score_vcf
from variant_effect.score import read_regions
from variant_effect.scorers.prior import model_file

app = new_app("Keep VCFs scored: score, compare with an earlier version, measure.")

LIST: Final = "kept.json"
CHANGES: Final = "changes"
WHOLE: Final = "all"
REST: Final = "rest"
OWN_PARTITION: Final = 0.01
"""Contigs of at least this share of the genome are partitions of their own."""
DECILE: Final = 10.0
"""A move of more percentile points than this is reported."""
MAX_EXPLAINED: Final = 5_000
"""Moved alleles whose cause is looked for; the largest moves first."""
BASELINE: Final = "markov_percentile"
BLOCK_BP: Final = 20_000
DRAWS: Final = 1_000
SEED: Final = 20_261_127

_KEY: Final = ["chrom", "pos", "ref", "alt"]
_SHOWN: Final = ["consequence", "gene", "symbol"]
UNMOVED: Final = "its own score is unchanged: others moved around it"
TOGETHER: Final = "several sources together"

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kept:
    """One VCF of the list."""

    name: str
    vcf: Path
    regions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptList:
    """The content of ``kept.json``."""

    vcfs: tuple[Kept, ...]
    benchmarks: tuple[Mapping[str, Any], ...]

    @classmethod
    def read(cls, workspace: Path) -> "KeptList":
        """Read the list of a workspace; empty where there is none."""
        path = workspace / LIST
        if not path.is_file():
            return cls((), ())
        held = json.loads(path.read_text(encoding="utf-8"))
        vcfs = tuple(
            Kept(one["name"], workspace / one["vcf"], tuple(one["regions"]))
            for one in held["vcfs"]
        )
        return cls(vcfs, tuple(held["benchmarks"]))


# -- scoring -----------------------------------------------------------------------------


def partitions(lengths: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Return the parts a genome is scored in: large contigs alone, small ones together."""
    least = OWN_PARTITION * sum(lengths.values())
    found: dict[str, tuple[str, ...]] = {
        name: (name,) for name, length in lengths.items() if length >= least
    }
    if small := tuple(name for name in lengths if name not in found):
        found[REST] = small
    return found


def score_kept(
    kept: Kept, prepared: Prepared, lengths: Mapping[str, int], *,
    part: str = WHOLE, workers: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """Score one VCF, or a partition of it, unless that is done; return its note.

    A file that the scorer refuses keeps the reason in place of a result.
    """
    folder = prepared.workspace / "scores" / "kept" / kept.name
    key = _key(kept, prepared)
    _clear_stale(folder, key)
    noted = _notes(folder)
    if part in noted or WHOLE in noted or (
        part == WHOLE and noted.keys() == partitions(lengths).keys()
    ):  # fmt: skip
        return noted.get(part, noted.get(WHOLE, {}))
    folder.mkdir(parents=True, exist_ok=True)
    regions = read_regions(list(kept.regions), None, prepared)
    if part != WHOLE:
        mine = partitions(lengths)[part]
        wanted = regions or tuple(Region(name) for name in lengths)
        regions = tuple(region for region in wanted if region.contig in mine)
    note: dict[str, Any] = {"key": key, "regions": [str(region) for region in regions]}
    try:
        if regions or part == WHOLE:
            with count_reporter(f"scoring {kept.name} {part}", "chunks") as report:
                result = score_vcf(
                    require_file(kept.vcf), folder / f"{part}.parquet", prepared,
                    Choices(regions, "parquet"), workers=workers, resume=True,
                    on_progress=lambda n, a: report(n, f"({a.alleles:,} alleles)"),
                )  # fmt: skip
            note["accounting"] = result.accounting.as_dict()
    except InputError as error:
        note["error"] = str(error)
    with written_beside(folder / f"{part}.json") as beside:
        beside.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return note


def _key(kept: Kept, prepared: Prepared) -> str:
    sha = sha256_of(kept.vcf) if kept.vcf.is_file() else ""
    content = json.dumps([prepared.digest, sha, kept.regions])
    return hashlib.sha256(content.encode()).hexdigest()


def _notes(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


def _clear_stale(folder: Path, key: str) -> None:
    """Remove results of another key; the files of earlier versions are other links."""
    for name, note in _notes(folder).items():
        if note["key"] != key:
            (folder / f"{name}.json").unlink()
            (folder / f"{name}.parquet").unlink(missing_ok=True)


def read_scores(workspace: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of a kept VCF's scored alleles, each allele once.

    Empty where there is no result.
    """
    folder = workspace / "scores" / "kept" / name
    files = [folder / f"{part}.parquet" for part in _notes(folder)]
    files = [file for file in files if file.is_file()]
    wanted = [*_KEY, "status", *columns]
    if not files:
        return pd.DataFrame(columns=pd.Index(wanted))
    tables = [pq.read_table(file, columns=wanted).to_pandas() for file in files]
    table = pd.concat(tables, ignore_index=True)
    scored: pd.DataFrame = table[table["status"] == "scored"]
    return scored.drop_duplicates(_KEY, ignore_index=True)


# -- comparing ---------------------------------------------------------------------------


def percentiles(scores: Reals) -> Reals:
    """Return the place of each score among all, 0 to 100; ties share theirs."""
    if not len(scores):
        return scores
    places: Reals = 100.0 * (rankdata(scores) - 0.5) / len(scores)
    return places


def percentiles_among(values: Reals, scores: Reals) -> Reals:
    """Return the place that values would have among ``scores``, 0 to 100."""
    ordered = np.sort(scores)
    below = np.searchsorted(ordered, values, "left")
    upto = np.searchsorted(ordered, values, "right")
    places: Reals = 100.0 * (below + upto) / 2 / max(len(ordered), 1)
    return places


def find_moves(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return alleles of both tables with their old and new percentile, and the move.

    Parameters
    ----------
    before, after
        ``chrom``, ``pos``, ``ref``, ``alt``, ``prior_score`` of scored alleles.
    """
    both = after.assign(percentile=percentiles(after["prior_score"].to_numpy(float)))
    old = before.assign(percentile=percentiles(before["prior_score"].to_numpy(float)))
    joined = both.merge(
        old[[*_KEY, "prior_score", "percentile"]], on=_KEY, suffixes=("", "_before")
    )
    return joined.assign(move=joined["percentile"] - joined["percentile_before"])


def find_causes(
    moved: pd.DataFrame, old_scores: Reals, alone: Mapping[str, Reals]
) -> pd.Series:
    """Say which source moved each allele.

    Parameters
    ----------
    moved
        Rows of ``find_moves``.
    old_scores
        All scores of the earlier version.
    alone
        Source to the score that each allele has when that source alone is added to the
        earlier version; NaN where it was not computed.

    Returns
    -------
    pandas.Series
        The source that by itself makes at least half of the move, the one that makes
        most of it first; else ``TOGETHER``; ``UNMOVED`` where the allele's own score is
        the same.
    """
    move = moved["move"].to_numpy(float)
    names = list(alone)
    parts = np.column_stack(
        [
            percentiles_among(alone[name], old_scores)
            - moved["percentile_before"].to_numpy(float)
            for name in names
        ]
    )
    known = np.column_stack([np.isfinite(alone[name]) for name in names])
    share = np.where(known, parts * np.sign(move)[:, None], -np.inf)
    best = share.argmax(axis=1)
    enough = share[np.arange(len(moved)), best] >= np.abs(move) / 2
    cause = np.where(enough, np.array(names, object)[best], TOGETHER)
    cause[~known.any(axis=1)] = "not looked for"
    cause[_is_same(moved)] = UNMOVED
    return pd.Series(cause, index=moved.index, dtype=object)


def _is_same(moves: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether an allele's own score is the same; tables keep six digits."""
    old, new = (
        moves[name].to_numpy(float) for name in ("prior_score_before", "prior_score")
    )
    same: NDArray[np.bool_] = np.isclose(new, old, rtol=2e-5, atol=1e-7)
    return same


def _summary(
    name: str, moves: pd.DataFrame, n_before: int, n_after: int
) -> dict[str, Any]:
    moved = moves[moves["move"].abs() > DECILE]
    counts, _ = np.histogram(moves["move"], bins=np.arange(-100, 101, 10))
    changed = ~_is_same(moves)
    return {
        "name": name,
        "scored_before": n_before,
        "scored": n_after,
        "in_both": len(moves),
        "score_changed": int(changed.sum()),
        "moved": len(moved),
        "moved_up": int((moved["move"] > 0).sum()),
        "histogram": counts.tolist(),
    }


# -- measuring ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Labelled:
    """Scores with labels, and the block of the genome each lies in."""

    scores: Reals
    is_positive: NDArray[np.bool_]
    blocks: NDArray[np.int64]


def auroc(
    scores: Reals, is_positive: NDArray[np.bool_], weights: Reals | None = None
) -> float:
    """Return the area under the ROC curve; ties count half. NaN without both labels.

    Parameters
    ----------
    weights
        How often each row counts, ``(n,)``.
    """
    counts = np.ones(len(scores)) if weights is None else weights
    _, level = np.unique(scores, return_inverse=True)
    n_levels = int(level.max()) + 1 if len(level) else 0
    positive = np.bincount(level, counts * is_positive, n_levels)
    negative = np.bincount(level, counts * ~is_positive, n_levels)
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs)


def resampled(labelled: Labelled, draws: int = DRAWS, seed: int = SEED) -> Reals:
    """Return the AUROC in resamples of whole blocks, ``(draws,)``.

    Neighbouring alleles are alike, so blocks are drawn and not alleles (Künsch 1989, Ann.
    Stat. 17:1217). The same seed gives the same draws of the same blocks, so figures of
    two versions are paired.
    """
    rng = np.random.default_rng(seed)
    _, block = np.unique(labelled.blocks, return_inverse=True)
    n = int(block.max()) + 1 if len(block) else 0
    found = np.full(draws, np.nan)
    for i in range(draws):
        times = np.bincount(rng.integers(0, n, n), minlength=n).astype(float)
        found[i] = auroc(labelled.scores, labelled.is_positive, times[block])
    return found


def read_truth(path: Path, *, need_label: bool = True) -> pd.DataFrame:
    """Read a table of labelled alleles.

    Parameters
    ----------
    need_label
        False: without a label all of them count as 1.

    Raises
    ------
    MalformedFileError
        A column is missing or a label is neither 0 nor 1.
    """
    try:
        table = pd.read_csv(
            path, sep="\t", comment="#", dtype={"chrom": str, "ref": str, "alt": str}
        )
    except (OSError, ValueError) as error:
        raise MalformedFileError(path, str(error), remedy="Give a TSV") from error
    if not need_label and "label" not in table:
        table["label"] = 1
    if missing := sorted({*_KEY, "label"} - set(table.columns)):
        raise MalformedFileError(
            path,
            f"no column {missing[0]}",
            remedy="It takes chrom, pos, ref, alt, label",
        )
    if not table["label"].isin([0, 1]).all():
        raise MalformedFileError(path, "a label is not 0 or 1", remedy="Correct it")
    return table.drop_duplicates(_KEY, ignore_index=True)


def measure_benchmark(
    benchmark: Mapping[str, Any], before: Path, after: Path
) -> dict[str, Any]:
    """Return the figure of a benchmark in two versions, with intervals and a baseline."""
    rest_negative = benchmark["rest_negative"]
    truth = read_truth(Path(benchmark["truth"]), need_label=not rest_negative)
    column = benchmark["column"]
    found: dict[str, Any] = {**benchmark, "alleles": len(truth)}
    draws: dict[str, Reals] = {}
    for side, workspace in (("before", before), ("after", after)):
        columns = list(dict.fromkeys((column, BASELINE)))
        try:
            scored = read_scores(workspace, benchmark["scores"], columns)
        except (KeyError, ValueError) as error:
            raise InputError(f"benchmark {benchmark['name']}: {error}") from error
        table = truth.merge(scored, on=_KEY, how="right" if rest_negative else "inner")
        n_found = int(table["label"].notna().sum())
        table["label"] = table["label"].fillna(0)
        table = table[table[column].notna()]
        labelled = Labelled(
            table[column].to_numpy(float),
            table["label"].to_numpy() == 1,
            _blocks(table),
        )
        value = auroc(labelled.scores, labelled.is_positive)
        if np.isnan(value):
            found[side] = None
            continue
        draws[side] = resampled(labelled)
        has_baseline = table[BASELINE].notna().to_numpy()
        found[side] = {
            "auroc": value,
            **_interval(draws[side]),
            "baseline": auroc(
                table[BASELINE].to_numpy(float)[has_baseline],
                labelled.is_positive[has_baseline],
            ),
            "positive": int(labelled.is_positive.sum()),
            "negative": int((~labelled.is_positive).sum()),
            "not_scored": len(truth) - n_found,
        }
    if len(draws) == 2:
        found["difference"] = {
            "auroc": found["after"]["auroc"] - found["before"]["auroc"],
            **_interval(draws["after"] - draws["before"]),
        }
    return found


def _blocks(table: pd.DataFrame) -> NDArray[np.int64]:
    contig, _ = pd.factorize(table["chrom"], sort=True)
    blocks: NDArray[np.int64] = contig * 1_000_000 + table["pos"].to_numpy() // BLOCK_BP
    return blocks


def _interval(draws: Reals) -> dict[str, float]:
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def prior_figures(workspace: Path) -> dict[str, float]:
    """Return the held-out AUROCs that a fitted prior carries; empty without one."""
    path = model_file(workspace)
    if not path.is_file():
        return {}
    held = json.loads(path.read_text(encoding="utf-8"))
    figures = held.get("provenance", {}).get("figures", {})
    return {f"{PRIOR_FORM}: {name}": one["auroc"] for name, one in figures.items()}


# -- commands ----------------------------------------------------------------------------

BeforeOption = Annotated[Path, typer.Option(help="The earlier version's folder.")]


@app.command("prepare")
def prepare_command(workspace: WorkspaceOption = "workspace") -> None:
    """Fit what scoring needs of the sources: gene models, sequence background."""
    with open_store(Path(workspace)) as store, step_reporter("preparing") as on_step:
        prepare(store, on_step=on_step)


@app.command()
def score(
    workspace: WorkspaceOption = "workspace",
    *,
    part: Annotated[
        str, typer.Option(help="One partition of the genome; by default all at once.")
    ] = WHOLE,
    only: Annotated[
        list[str] | None, typer.Option(help="Only these VCFs of the list.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
) -> None:
    """Score the VCFs of the list; what is done is not done again.

    Example:

        python -m variant_effect.kept score --workspace yeast --part chrV
    """
    folder = Path(workspace)
    with open_store(folder) as store, step_reporter("preparing") as on_step:
        prepared = prepare(store, on_step=on_step)
        lengths = store.genome().lengths
    if part not in (WHOLE, *partitions(lengths)):
        raise InputError(f"--part {part}: parts are {', '.join(partitions(lengths))}")
    for kept in KeptList.read(folder).vcfs:
        if only and kept.name not in only:
            continue
        note = score_kept(
            kept, prepared, lengths, part=part, workers=workers or available_cores()
        )
        if "error" in note:
            log(f"{kept.name}: not scored: {note['error']}")
        elif "accounting" in note:
            log(f"{kept.name}: {note['accounting']['scored']:,} alleles scored")


@app.command()
def compare(before: BeforeOption, workspace: WorkspaceOption = "workspace") -> None:
    """Find the alleles that moved by more than a decile of their VCF's scores."""
    folder = Path(workspace)
    out = folder / CHANGES
    out.mkdir(exist_ok=True)
    summaries, all_moved = [], []
    for kept in KeptList.read(folder).vcfs:
        old = read_scores(before, kept.name, ["prior_score"])
        new = read_scores(folder, kept.name, ["prior_score", *_SHOWN])
        moves = find_moves(old, new)
        notes = _notes(folder / "scores" / "kept" / kept.name)
        summary = _summary(kept.name, moves, len(old), len(new))
        summary["accounting"] = _total(
            [n.get("accounting", {}) for n in notes.values()]
        )
        summary["error"] = next(
            (n["error"] for n in notes.values() if "error" in n), ""
        )
        summaries.append(summary)
        moved = moves[moves["move"].abs() > DECILE].assign(vcf=kept.name)
        all_moved.append(moved)
    found = [moved for moved in all_moved if len(moved)]
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    if len(table):
        order = table["move"].abs().sort_values(ascending=False, kind="stable").index
        table = table.loc[order].reset_index(drop=True)
        _write_vcf(table.head(MAX_EXPLAINED), out / "moved.vcf")
    else:
        (out / "moved.vcf").unlink(missing_ok=True)
    _write_moved(table, out)
    _write_json(out / "scores.json", {"vcfs": summaries, "prior_before": prior_figures(before),
                                      "prior_after": prior_figures(folder)})  # fmt: skip
    say(f"{len(table):,} alleles moved by more than a decile")


@app.command()
def attribute(
    before: BeforeOption,
    alone: Annotated[
        list[str] | None,
        typer.Option(help="SOURCE=FILE: scores with that source alone added."),
    ] = None,
    sole: Annotated[
        str, typer.Option(help="The one thing that has changed, where it is one.")
    ] = "",
    workspace: WorkspaceOption = "workspace",
) -> None:
    """Say for each moved allele which source moved it."""
    folder = Path(workspace)
    table = pd.read_csv(
        folder / CHANGES / "moved.tsv", sep="\t", dtype={"chrom": str, "gene": str}
    )
    if sole:
        same = _is_same(table)
        _write_moved(
            table.assign(because=np.where(same, UNMOVED, sole)), folder / CHANGES
        )
        return
    given = dict(pair.rsplit("=", 1) for pair in alone or [])
    scores = {
        name: table[_KEY]
        .merge(
            pq.read_table(path, columns=[*_KEY, "prior_score"])
            .to_pandas()
            .drop_duplicates(_KEY),
            on=_KEY,
            how="left",
        )["prior_score"]
        .to_numpy(float)
        for name, path in given.items()
    }
    causes = pd.Series("", index=table.index, dtype=object)
    for name, rows in table.groupby("vcf").groups.items():
        old = read_scores(before, str(name), ["prior_score"])
        mine = table.index.get_indexer(rows)
        part = {source: values[mine] for source, values in scores.items()}
        old_scores = old["prior_score"].to_numpy(float)
        causes.loc[rows] = find_causes(table.loc[rows], old_scores, part)
    _write_moved(table.assign(because=causes), folder / CHANGES)


@app.command()
def measure(before: BeforeOption, workspace: WorkspaceOption = "workspace") -> None:
    """Measure the benchmarks of the list in this version and in the earlier one."""
    folder = Path(workspace)
    (folder / CHANGES).mkdir(exist_ok=True)
    figures = [
        measure_benchmark(one, before, folder)
        for one in KeptList.read(folder).benchmarks
    ]
    _write_json(folder / CHANGES / "figures.json", figures)


@app.command()
def parts(workspace: WorkspaceOption = "workspace") -> None:
    """List the partitions of the genome that scoring can be split into."""
    with open_store(Path(workspace)) as store:
        say(json.dumps(list(partitions(store.genome().lengths))))


def _total(accountings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the accountings of partitions."""
    total: dict[str, Any] = {
        "input_records": 0, "input_alleles": 0, "scored": 0, "reasons": {},
    }  # fmt: skip
    for one in accountings:
        for key in ("input_records", "input_alleles", "scored"):
            total[key] += one.get(key, 0)
        for reason, n in one.get("reasons", {}).items():
            total["reasons"][reason] = total["reasons"].get(reason, 0) + n
    return total


def _write_moved(table: pd.DataFrame, out: Path) -> None:
    with written_beside(out / "moved.tsv") as beside:
        table.to_csv(beside, sep="\t", index=False, float_format="%.6g")


def _write_vcf(table: pd.DataFrame, path: Path) -> None:
    unique = table.drop_duplicates(_KEY).sort_values(["chrom", "pos"])
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [
        f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t."
        for chrom, pos, ref, alt in unique[_KEY].itertuples(index=False)
    ]
    with written_beside(path) as beside:
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_json(path: Path, content: object) -> None:
    with written_beside(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run the command."""
    run_app(app)


if __name__ == "__main__":
    main()
