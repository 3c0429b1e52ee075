"""``cisgraph demo``: the whole way from files to ranked variants, on a simulated organism."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from data_registry.console import count_reporter, log, say, show_table, step_reporter
from data_registry.coordinates import parse_region
from data_registry.demo import build_demo
from data_registry.errors import InputError
from data_registry.store import open_store
from data_registry.workspace import written_beside
from graph_builder.cli import build_workspace, show_manifest
from variant_effect.preparation import Prepared, prepare
from variant_effect.run import Choices, available_cores, score_vcf
from variant_effect.score import show_result

_TOPS = (25, 50, 100, 200)


def run_demo(workspace: Path, region: str) -> None:
    """Make, register, build, score and compare with the planted truth.

    Raises
    ------
    InputError
        The demo's own files were refused: a fault of ours.
    """
    folder = workspace.parent / f"{workspace.name}_files"
    with step_reporter("demo organism (simulated)"):
        files = build_demo(folder)
    say(
        f"demo organism, SIMULATED (seed {files.seed}): "
        + ", ".join(f"{n:,} {what}" for what, n in files.counts.items())
    )
    with open_store(workspace, write=True) as store:
        n_new = 0
        for file in files.files:
            with step_reporter(f"registering {file.path.name}") as on_step:
                added = store.add(
                    file.path, kind=file.kind, name=file.name, options=file.options,
                    licence="simulated by cisgraph", on_step=on_step,
                )  # fmt: skip
            n_new += added.is_new
            if added.is_new:
                log(f"{added.source.name}: {added.source.rows_kept:,} rows kept")
        sources = store.sources()
    say(f"{len(sources)} sources registered ({n_new} new) in {workspace}")

    manifest = build_workspace(workspace)
    if any(step.state == "built" for step in manifest.steps):
        show_manifest(manifest)
    else:
        say(f"graph {manifest.digest[:16]}: nothing changed")

    with open_store(workspace) as store, step_reporter("preparing") as on_step:
        prepared = prepare(store, on_step=on_step)
    everything = _score(
        files.vcf, workspace, prepared, Choices(format="parquet"), "all.parquet"
    )
    regional = _score(
        files.vcf, workspace, prepared,
        Choices((parse_region(region),), "tsv"), "region.tsv",
    )  # fmt: skip
    table = pd.read_parquet(everything)
    place = parse_region(region)
    in_region = table[
        (table["chrom"] == place.contig)
        & (table["pos"] > place.start)
        & (table["pos"] <= (place.end or np.inf))
    ]
    show_top(in_region.nlargest(15, "prior_score"), region)
    show_recall(table, pd.read_csv(files.truth, sep="\t", comment="#"))
    say(f"scores of the region:   {regional}")
    say(f"scores of all variants: {everything}")
    say(f"truth (never registered): {files.truth}")
    say(f"graph:                  {manifest.path}")


def show_top(top: pd.DataFrame, region: str) -> None:
    """Print the highest-scoring alleles, one line each."""
    rows = []
    for row in top.to_dict("records"):
        shown = {k: "" if v is None or v != v else v for k, v in row.items()}
        motif = (
            f"{shown['motif_change']} {shown['motif_tf']}" if shown["motif_n"] else ""
        )
        rows.append([
            f"{shown['chrom']}:{shown['pos']} {shown['ref'][:8]}>{shown['alt'][:8]}",
            shown["consequence"].replace("_variant", ""), shown["gene"],
            shown["hgvs_p"].removeprefix("p."), motif, f"{shown['prior_score']:.3f}",
        ])  # fmt: skip
    show_table(
        f"highest prior scores in {region} (simulated organism)",
        ["allele", "consequence", "gene", "protein", "motif", "prior"], rows,
    )  # fmt: skip


def _score(
    vcf: Path, workspace: Path, prepared: Prepared, choices: Choices, name: str
) -> Path:
    """Score into the workspace, unless the same run's result is there already."""
    folder = workspace / "scores" / prepared.digest[:16]
    key = json.dumps([str(r) for r in choices.regions])
    out, mark = folder / name, folder / f"{name}.done"
    if out.is_file() and mark.is_file() and mark.read_text() == key:
        say(f"{name}: nothing changed")
        return out
    folder.mkdir(parents=True, exist_ok=True)
    with count_reporter("scoring", "chunks") as report:
        result = score_vcf(
            vcf, out, prepared, choices, workers=available_cores(),
            on_progress=lambda n, counts: report(n, f"({counts.alleles:,} alleles)"),
        )  # fmt: skip
    show_result(result, out)
    with written_beside(mark) as beside:
        beside.write_text(key)
    return out


def show_recall(table: pd.DataFrame, truth: pd.DataFrame) -> None:
    """Print how many planted causal alleles stand in the top ranks, beside baselines.

    Baselines: the expectation of a random ranking, and nearness to the next gene's start.
    Ties are broken at random with a fixed seed, the same for every ranking.

    Raises
    ------
    InputError
        A planted allele is not among the scored ones: a fault of ours.
    """
    causal = truth[truth["trait"] != "."].drop_duplicates(
        ["chrom", "pos", "ref", "alt"]
    )
    scored = table[table["status"] == "scored"].reset_index(drop=True)
    keys = pd.MultiIndex.from_frame(scored[["chrom", "pos", "ref", "alt"]])
    wanted = pd.MultiIndex.from_frame(causal[["chrom", "pos", "ref", "alt"]])
    is_causal = keys.isin(wanted)
    if is_causal.sum() != len(causal):
        raise InputError(
            f"{len(causal) - is_causal.sum()} planted alleles were not scored"
        )
    shuffled = np.random.default_rng(0).permutation(len(scored))
    rankings = {
        "prior score": _order(-scored["prior_score"].to_numpy(), shuffled),
        "nearness to gene start": _order(
            scored["tss_distance"].fillna(1e9).to_numpy(), shuffled
        ),
    }
    n, k = len(scored), int(is_causal.sum())
    rows = []
    for top in _TOPS:
        found = [int(is_causal[order[:top]].sum()) for order in rankings.values()]
        rows.append([f"top {top}", *found, f"{top * k / n:.1f}"])
    show_table(
        f"planted causal alleles found, of {k} among {n:,} (simulated organism)",
        ["ranks", *rankings, "random (expected)"], rows,
    )  # fmt: skip


def _order(values: np.ndarray, shuffled: np.ndarray) -> np.ndarray:
    return np.lexsort((shuffled, values))
