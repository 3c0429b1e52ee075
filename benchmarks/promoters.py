"""Promoter models side by side: same rows, same splits, several seeds, intervals.

    python benchmarks/promoters.py --data ../shared/data --work /tmp/w/promoters \
        --jobs 2 --out benchmarks/results/promoters.json

Every (split, model, seed) is a run of its own: its checkpoint, its predictions and its
``result.json`` lie under ``--work``, so a killed benchmark goes on where it was, and
``--splits``, ``--models`` and ``--seeds`` may be given piece by piece. ``--report``
computes the figures from what is there and trains nothing.

Splits
    published      test: every promoter of the two published test sets of Jores et al.
                   2021. Nothing that is one of them, or resembles one, teaches. The two
                   test conditions have no admissible row, so leaf_with_enh_dark is
                   predicted by the leaf_with_enh_light head and proto_with_enh by the
                   proto_no_enh head: same tissue, the rule ``stand_in_rule`` checks on
                   validation rows.
    cluster        by sequence similarity, within the admissible rows.
    family         clusters at a lower bar, joined with neighbourhoods of ten genes
                   (tandem duplicates) and Arabidopsis symbols of one stem. There is no
                   table of gene families of maize and sorghum here.
    species-At, species-Sb, species-Zm
                   one species judges, the others teach; no species head.
    curve-N        the published split with N rows to learn from.

The networks' settings are those that ``benchmarks/promoter_tuning.py`` found best on
validation rows of the published split.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from encoders.nucleotides import decode
from models.promoter.baselines import KmerRidge
from models.promoter.data import Promoters, read_promoters
from models.promoter.evaluation import Scores, cluster_bootstrap, score
from models.promoter.splits import (
    Split,
    gene_neighbourhoods,
    grouped_split,
    merge_groups,
    published_split,
    similarity_clusters,
    smaller,
    symbol_families,
)
from models.promoter.training import NetworkModel, NetworkSettings, TrainingSettings

JORES = "benchmarks/promoters/jores2021"
SYMBOLS = "arabidopsis/derived/gene_aliases_fullnames.tsv.gz"
LENGTH_BP = 170
STAND_INS = {
    "leaf_with_enh_dark": "leaf_with_enh_light",
    "proto_with_enh": "proto_no_enh",
}
PUBLISHED = {"leaf_with_enh_dark": "leaf", "proto_with_enh": "proto"}
SPECIES = ("At", "Sb", "Zm")
FAMILY_SHARED = 0.1
SPLIT_SEED = 3
OURS = "ours"

TUNING = Path(__file__).resolve().parent / "results" / "promoter_tuning.json"
NETWORKS = (
    "Jores CNN", "DeepSTARR", "gated hybrid",
    "ours without SSD", "ours without attention", OURS,
)  # fmt: skip
KINDS = {"Jores CNN": "jores", "DeepSTARR": "deepstarr", "gated hybrid": "gated"}
RIDGES = {"GC ridge": 0, "4-mer ridge": 4, "6-mer ridge": 6}
MODELS = (*RIDGES, *NETWORKS)
MAIN_SPLITS = ("published", "cluster", "family", *(f"species-{s}" for s in SPECIES))
CURVE = (1_000, 2_000, 4_000, 8_000)
CURVE_MODELS = ("4-mer ridge", "DeepSTARR", OURS)


@cache
def chosen(tuning: Path, model: str) -> tuple[NetworkSettings, TrainingSettings]:
    """Return a network and its training, the best on validation rows.

    Ours without one kind of block has as many of the other in its place.
    """
    trials = json.loads(tuning.read_text("utf-8"))["trials"]
    kind = KINDS.get(model, "hybrid")
    best = max(
        (trial for trial in trials if trial["network"]["kind"] == kind),
        key=lambda trial: trial["validation_r"],
    )
    settings = dict(best["network"]["settings"])
    if model.startswith("ours without"):
        n = settings["n_attention"] + settings["n_ssd"]
        without = "n_ssd" if model.endswith("SSD") else "n_attention"
        other = "n_attention" if without == "n_ssd" else "n_ssd"
        settings |= {without: 0, other: n}
    return NetworkSettings(kind, settings), TrainingSettings(**best["training"])


@dataclass(frozen=True, slots=True)
class Task:
    """One model, fitted once."""

    split: str
    model: str
    seed: int
    data: str
    work: str
    rows: int
    threads: int
    tuning: str

    @property
    def network(self) -> NetworkSettings:
        """Its network."""
        return chosen(Path(self.tuning), self.model)[0]

    @property
    def folder(self) -> Path:
        """Where its checkpoint and results lie."""
        name = f"{self.model.replace(' ', '_')}-{self.seed}"
        return Path(self.work) / self.split / name

    @property
    def fitting(self) -> TrainingSettings:
        """Settings of its own: those chosen, no species head for a new species."""
        settings = chosen(Path(self.tuning), self.model)[1]
        if self.split.startswith("species"):
            settings = replace(settings, species_weight=0.0)
        return settings

    @property
    def about(self) -> dict[str, Any]:
        """What its result depends on, as ``result.json`` keeps it."""
        rows = None if self.split.startswith(("published", "curve")) else self.rows
        if self.model in RIDGES:
            return {"rows": rows, "k": RIDGES[self.model]}
        about = {
            "rows": rows, "network": asdict(self.network),
            "training": asdict(self.fitting),
        }  # fmt: skip
        return json.loads(json.dumps(about))  # type: ignore[no-any-return]

    @property
    def done(self) -> bool:
        """Whether its result is there, of these settings."""
        path = self.folder / "result.json"
        if not path.is_file():
            return False
        return bool(json.loads(path.read_text("utf-8")).get("about") == self.about)


# -- rows ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """All promoters with their clusters; ``admissible`` may teach."""

    all: Promoters
    clusters: NDArray[np.intp]
    families: NDArray[np.intp]
    published: Split

    @property
    def trained(self) -> Promoters:
        """The same rows without the two test conditions."""
        return self.all.keep_conditions(
            [name for name in self.all.conditions if name not in STAND_INS]
        )

    @property
    def admissible(self) -> NDArray[np.bool_]:
        """Rows that may teach: neither of a test set nor like one of it."""
        free = np.zeros(len(self.all), bool)
        free[self.published.train] = free[self.published.validation] = True
        return free


@cache
def load_rows(data: Path, work: Path) -> Rows:
    """Read the table; clusters are computed once and kept."""
    table = read_promoters(
        data / JORES / "six_conditions_long.tsv.gz", length_bp=LENGTH_BP
    )
    cache = work / "groups.npy"
    if not cache.is_file():
        names = table.identifiers.tolist()
        clusters = similarity_clusters(table.codes)
        families = merge_groups(
            similarity_clusters(table.codes, min_shared=FAMILY_SHARED),
            gene_neighbourhoods(names),
            symbol_families(names, data / SYMBOLS),
        )
        work.mkdir(parents=True, exist_ok=True)
        np.save(work / "groups.tmp.npy", np.stack([clusters, families]))
        (work / "groups.tmp.npy").replace(cache)
    clusters, families = np.load(cache)
    rng = np.random.default_rng(SPLIT_SEED)
    split = published_split(table, clusters, list(STAND_INS), rng)
    return Rows(table, clusters, families, split)


def make_split(name: str, rows: Rows, n_rows: int) -> Split:
    """Return a split by name; other than the published one with at most ``n_rows``."""
    rng = np.random.default_rng(SPLIT_SEED)
    kind, _, which = name.partition("-")
    if kind == "published":
        return rows.published
    if kind == "curve":
        return smaller(rows.published, int(which), rng)
    if kind == "cluster":
        split = grouped_split(name, rows.clusters, rng, allowed=rows.admissible)
    elif kind == "family":
        split = grouped_split(name, rows.families, rng, allowed=rows.admissible)
    elif kind == "species" and which in SPECIES:
        test = rows.admissible & (rows.all.species == which)
        split = grouped_split(
            name, rows.clusters, rng, test=test, allowed=rows.admissible
        )
    else:
        raise SystemExit(
            f"no split {name!r}; there are {', '.join(MAIN_SPLITS)}, curve-N"
        )
    return smaller(split, n_rows, rng)


# -- one run ---------------------------------------------------------------------------


def run(task: Task) -> dict[str, Any]:
    """Fit a run of this benchmark."""
    rows = load_rows(Path(task.data), Path(task.work))
    return fit(task, rows.trained, make_split(task.split, rows, task.rows))


def fit(task: Task, table: Promoters, split: Split) -> dict[str, Any]:
    """Fit, predict the test and validation rows, write ``result.json`` last."""
    torch.set_num_threads(task.threads)
    mark = task.folder / "about.json"
    text = json.dumps(task.about, indent=1)
    if task.folder.is_dir() and (not mark.is_file() or mark.read_text("utf-8") != text):
        shutil.rmtree(task.folder)  # a run of other settings
    task.folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(text, encoding="utf-8")
    model: KmerRidge | NetworkModel
    if task.model in RIDGES:
        model = KmerRidge(RIDGES[task.model])
    else:
        model = NetworkModel(task.model, task.network, task.fitting, task.folder)
    began, cpu = time.perf_counter(), time.process_time()
    model.fit(table, split, seed=task.seed)
    fitted, fitted_cpu = time.perf_counter() - began, time.process_time() - cpu
    np.save(task.folder / "test.npy", model.predict(table.codes[split.test]))
    np.save(
        task.folder / "validation.npy", model.predict(table.codes[split.validation])
    )
    result: dict[str, Any] = {
        "split": task.split, "model": task.model, "seed": task.seed, "about": task.about,
        "n_train": len(split.train), "n_validation": len(split.validation),
        "n_test": len(split.test), "left_out": dict(split.left_out),
        "seconds": round(fitted, 1), "cpu_seconds": round(fitted_cpu, 1),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
    }  # fmt: skip
    if isinstance(model, NetworkModel):
        assert model.network is not None  # noqa: S101
        seconds = [h["seconds"] for h in model.history]
        result |= {
            "parameters": sum(p.numel() for p in model.network.parameters()),
            "epochs": len(model.history),
            "seconds_per_epoch": round(float(np.median(seconds)), 2),
            "seconds": round(sum(seconds), 1),
            "validation_r": max(h["validation_r"] for h in model.history),
        }  # fmt: skip
    else:
        result["penalty"] = model.penalty
    beside = task.folder / "result.json.tmp"
    beside.write_text(json.dumps(result, indent=1), encoding="utf-8")
    beside.replace(task.folder / "result.json")
    return result


# -- figures ---------------------------------------------------------------------------


def published_cnn(data: Path, condition: str) -> pd.DataFrame:
    """Return the test rows with the published CNN's prediction, in the table's order.

    Its file gives species and measured value alone; rows are matched by these two. Rows
    of one species with one and the same measured value are matched in file order, which
    changes no figure of the published model.
    """
    folder, name = data / JORES, PUBLISHED[condition]
    test = pd.read_csv(folder / f"CNN_test_{name}.tsv.gz", sep="\t")
    found = pd.read_csv(folder / f"CNN_test_{name}_pred.tsv.gz", sep="\t")
    test["key"] = _keys(test["sp"], test["enrichment"])
    found["key"] = _keys(found["sample.name"], found["enrichment"])
    if set(found["key"]) != set(test["key"]):
        raise SystemExit(
            f"CNN_test_{name}_pred.tsv.gz: rows differ from the test table's"
        )
    return test.merge(found[["key", "prediction"]], on="key")


def published_linear(data: Path, condition: str) -> dict[str, Any]:
    """Return the published linear model's figures on its own rows.

    Its file holds the same species in almost the same numbers, but measured values of
    another normalisation and no names, so its rows cannot be matched to the test table.
    """
    path = data / JORES / f"linear-model_{PUBLISHED[condition]}_pred.tsv.gz"
    table = pd.read_csv(path, sep="\t")
    groups = {"all": table, **dict(list(table.groupby("sample.name")))}
    return {
        str(name): {
            "n": len(g),
            **asdict(score(*g[["prediction", "enrichment"]].to_numpy().T)),
        }
        for name, g in groups.items()
    }


def _keys(species: "pd.Series[str]", value: "pd.Series[float]") -> "pd.Series[str]":
    rounded = species + value.map(lambda x: f"{x:.9g}")
    return rounded + ":" + rounded.groupby(rounded).cumcount().astype(str)


def gather(tasks: Sequence[Task]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return finished results by split and model."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for task in tasks:
        if task.done:
            result = json.loads((task.folder / "result.json").read_text("utf-8"))
            result["test"] = np.load(task.folder / "test.npy")
            result["validation"] = np.load(task.folder / "validation.npy")
            found[task.split][task.model].append(result)
    return found


def without_predictions(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what ``gather`` found of each run but its arrays."""
    return [
        {k: v for k, v in result.items() if k not in {"test", "validation"}}
        for result in results
    ]


def compare(
    columns: dict[str, list[NDArray[np.float64]]],
    measured: NDArray[np.float64],
    species: NDArray[np.str_],
    clusters: NDArray[np.intp],
    n_boot: int,
) -> dict[str, Any]:
    """Return figures of each model on the same rows, overall and by species."""
    out: dict[str, Any] = {"n": len(measured)}
    groups = {"all": np.ones(len(measured), bool)}
    groups |= {str(name): species == name for name in np.unique(species)}
    for group, rows in groups.items():
        if len(groups) == 2 and group != "all":
            continue
        means = {name: np.mean(seeds, axis=0)[rows] for name, seeds in columns.items()}
        boot = cluster_bootstrap(
            means, measured[rows], clusters[rows],
            n=n_boot, rng=np.random.default_rng(0),
        )  # fmt: skip
        table: dict[str, Any] = {"n": int(rows.sum())}
        for name, seeds in columns.items():
            each = [score(seed[rows], measured[rows]) for seed in seeds]
            table[name] = {
                "seeds": len(seeds),
                "ensemble": asdict(score(means[name], measured[rows])),
                "pearson_r2_interval": boot.interval(name),
                "each_seed": {
                    field: [round(getattr(s, field), 4) for s in each]
                    for field in Scores.__slots__
                },
            }  # fmt: skip
            if OURS in columns and name != OURS:
                table[name]["ours_minus_this"] = boot.difference(OURS, name)
        out[group] = table
    return out


def report(
    tasks: Sequence[Task], rows: Rows, data: Path, n_boot: int
) -> dict[str, Any]:
    """Return all figures of what has been run."""
    found = gather(tasks)
    trained = rows.trained
    figures: dict[str, Any] = {}
    for split_name, by_model in found.items():
        split = make_split(split_name, rows, tasks[0].rows)
        about = next(iter(by_model.values()))[0]
        entry: dict[str, Any] = {
            key: about[key] for key in ("n_train", "n_validation", "n_test", "left_out")
        }
        entry["runs"] = {
            model: without_predictions(results) for model, results in by_model.items()
        }
        targets = (
            STAND_INS
            if split_name == "published" or split_name.startswith("curve")
            else {name: name for name in trained.conditions}
        )
        entry["conditions"] = {}
        for target, head in targets.items():
            measured = rows.all.of(target)[split.test]
            keep = ~np.isnan(measured)
            columns = {
                model: [r["test"][:, trained.column(head)] for r in results]
                for model, results in by_model.items()
            }
            if split_name == "published":
                peers = published_cnn(data, target)
                known = dict(zip(peers["sequence"], peers["prediction"], strict=True))
                cnn = np.array([
                    known.get(decode(codes), np.nan)
                    for codes in rows.all.codes[split.test]
                ])  # fmt: skip
                if np.isnan(cnn[keep]).any():
                    raise SystemExit(f"{target}: test rows without the published CNN")
                columns["published CNN"] = [cnn]
                entry.setdefault("published_linear_model_own_rows", {})[target] = (
                    published_linear(data, target)
                )
            entry["conditions"][target] = compare(
                {m: [c[keep] for c in cs] for m, cs in columns.items()},
                measured[keep], rows.all.species[split.test][keep],
                rows.clusters[split.test][keep], n_boot,
            )  # fmt: skip
        if split_name == "published":
            entry["stand_in_rule"] = stand_in_rule(by_model, rows)
        figures[split_name] = entry
    return figures


def stand_in_rule(
    by_model: dict[str, list[dict[str, Any]]], rows: Rows
) -> dict[str, Any]:
    """Return r² of each head with each measured condition, on validation rows alone."""
    heads = rows.trained.conditions
    check = rows.published.validation
    out: dict[str, Any] = {}
    for model, results in by_model.items():
        predicted = np.mean([r["validation"] for r in results], axis=0)
        out[model] = {
            target: {
                head: round(_r2(predicted[:, i], rows.all.of(target)[check]), 4)
                for i, head in enumerate(heads)
            }
            for target in heads
        }
    return out


def noise_ceiling(rows: Rows) -> dict[str, Any]:
    """Return r² between conditions on promoters measured in both.

    Both measurements are noisy. Of two replicates with one reliability, a model without
    noise would reach the square root of their r² against either.
    """
    pairs = {
        "leaf_no_enh_dark against leaf_no_enh_light": (
            "leaf_no_enh_dark", "leaf_no_enh_light"),
        "leaf_with_enh_dark against its stand-in": (
            "leaf_with_enh_dark", "leaf_with_enh_light"),
        "proto_with_enh against its stand-in": ("proto_with_enh", "proto_no_enh"),
    }  # fmt: skip
    out: dict[str, Any] = {}
    for name, (a, b) in pairs.items():
        x, y = rows.all.of(a), rows.all.of(b)
        known = ~np.isnan(x) & ~np.isnan(y)
        boot = cluster_bootstrap(
            {"x": x[known]}, y[known], rows.clusters[known],
            n=1_000, rng=np.random.default_rng(0),
        )  # fmt: skip
        out[name] = {
            "n": int(known.sum()), "pearson_r2": round(_r2(x, y), 4),
            "interval": boot.interval("x"),
            "by_species": {
                s: round(_r2(x[rows.all.species == s], y[rows.all.species == s]), 4)
                for s in SPECIES
            },
        }  # fmt: skip
    return out


def _r2(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    known = ~np.isnan(x) & ~np.isnan(y)
    return float(np.corrcoef(x[known], y[known])[0, 1] ** 2)


# -- command ---------------------------------------------------------------------------


def main() -> None:
    """Run what is missing, then write the figures of all there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--splits", nargs="+", default=[*MAIN_SPLITS, "curve"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--rows", type=int, default=3_000, help="other splits' training"
    )
    parser.add_argument("--tuning", type=Path, default=TUNING, help="chosen settings")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--bootstrap", type=int, default=1_000)
    parser.add_argument("--report", action="store_true", help="train nothing")
    arguments = parser.parse_args()

    tasks = plan(arguments)
    waiting = [] if arguments.report else [task for task in tasks if not task.done]
    done = sum(task.done for task in tasks)
    print(f"{len(tasks)} runs, {done} of them done before", flush=True)
    rows = load_rows(arguments.data, arguments.work)
    began = time.perf_counter()
    os.environ["OMP_NUM_THREADS"] = "1"
    if waiting:
        with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
            futures = [pool.submit(run, task) for task in waiting]
            for i, future in enumerate(as_completed(futures), 1):
                r = future.result()
                print(
                    f"[{i}/{len(waiting)}, {time.perf_counter() - began:.0f} s] "
                    f"{r['split']} {r['model']} seed {r['seed']}: {r['seconds']} s, "
                    f"validation r {r.get('validation_r', float('nan')):.3f}",
                    flush=True,
                )
    everything = plan(arguments, all_splits=True)
    figures = {
        "machine": describe_machine(),
        "noise_ceiling": noise_ceiling(rows),
        "promoters": {
            "all": len(rows.all), "admissible": int(rows.admissible.sum()),
            "clusters": len(np.unique(rows.clusters)),
        },
        "stand_ins": STAND_INS,
        "splits": report(everything, rows, arguments.data, arguments.bootstrap),
    }  # fmt: skip
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    summarise(figures)


def plan(arguments: argparse.Namespace, *, all_splits: bool = False) -> list[Task]:
    """Return the runs, whole splits before the learning curve."""
    splits = [*MAIN_SPLITS, "curve"] if all_splits else arguments.splits
    tasks = []
    for split in splits:
        names = [f"curve-{n}" for n in CURVE] if split == "curve" else [split]
        for name in names:
            models = CURVE_MODELS if split == "curve" else MODELS
            for seed in [0, 1, 2] if all_splits else arguments.seeds:
                tasks += [
                    Task(name, model, seed, str(arguments.data), str(arguments.work),
                         arguments.rows, 1, str(arguments.tuning))
                    for model in models
                    if (all_splits or model in arguments.models)
                    and (seed == 0 or model in NETWORKS)
                ]  # fmt: skip
    return tasks


def summarise(figures: dict[str, Any]) -> None:
    """Print Pearson's r² of each ensemble on each split and condition."""
    for split, entry in figures["splits"].items():
        print(
            f"\n{split}: {entry['n_train']:,} to learn from, {entry['n_test']:,} test"
        )
        show_conditions(entry["conditions"])


def show_conditions(conditions: dict[str, Any]) -> None:
    """Print what ``compare`` returned for each condition, a line a group of rows."""
    for condition, table in conditions.items():
        for group, line in table.items():
            if not isinstance(line, dict):
                continue
            shown = [
                f"{model} {values['ensemble']['pearson_r2']:.3f}"
                for model, values in line.items()
                if isinstance(values, dict)
            ]
            print(f"  {condition} {group} (n {line['n']:,}): {', '.join(shown)}")


# -- other tables of promoters, one split each -------------------------------------------


def one_split_arguments(about: str | None) -> argparse.Namespace:
    """Read the command line of a benchmark that fits one split of its own table."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bootstrap", type=int, default=1_000)
    return parser.parse_args()


def fit_one_split(
    arguments: argparse.Namespace, table: Promoters, split: Split,
    models: Sequence[str], kind: type[Task] = Task,
) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    """Fit what is missing of one split; return all its runs by model, as ``gather``."""
    tasks = [
        kind(
            split.name, model, seed, str(arguments.data), str(arguments.work),
            len(split.train), arguments.threads, str(TUNING),
        )
        for seed in arguments.seeds
        for model in models
        if seed == arguments.seeds[0] or model in NETWORKS
    ]  # fmt: skip
    began = time.perf_counter()
    for i, task in enumerate(tasks, 1):
        if not task.done:
            result = fit(task, table, split)
            print(
                f"[{i}/{len(tasks)}, {time.perf_counter() - began:.0f} s] {task.model} "
                f"seed {task.seed}: {result['seconds']} s",
                flush=True,
            )
    return gather(tasks)[split.name]


if __name__ == "__main__":
    main()
