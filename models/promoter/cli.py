"""Commands of the promoter model: train, evaluate, predict."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray

from data_registry.console import (
    count_reporter,
    log,
    say,
    show_table,
    step_reporter,
)
from data_registry.errors import InputError
from data_registry.genome import Genome
from data_registry.store import open_store
from models.ensemble_folder import CONFIG
from models.promoter.baselines import KmerRidge
from models.promoter.ensemble import (
    WEIGHTS,
    calibrate,
    load_ensemble,
    save_ensemble,
)
from models.promoter.evaluation import Bootstrap, cluster_bootstrap, score
from models.promoter.inputs import Queries, read_bed, read_csv, read_fasta
from models.promoter.search import search_settings
from models.promoter.settings import (
    Prepared,
    Settings,
    prepare,
    read_settings,
    settings_from,
)
from models.promoter.training import NetworkModel

DataOption = Annotated[
    Path | None, typer.Option(help="Folder that the configuration's table lies under.")
]
ThreadsOption = Annotated[int, typer.Option(help="Threads torch may use.", min=1)]
OptionalWorkspace = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", help="A workspace, where one is needed."),
]


def train(
    config: Annotated[Path, typer.Option(help="TOML file; see models/configs.")],
    out: Annotated[Path, typer.Option(help="Folder of the model and its checkpoints.")],
    data: DataOption = None,
    workspace: OptionalWorkspace = None,
    search: Annotated[
        int, typer.Option(help="Trials of settings before training; 0 is none.", min=0)
    ] = 0,
    threads: ThreadsOption = 2,
) -> None:
    """Train an ensemble; given the same folder again, go on where it stopped.

    Example:

        python -m models.train promoter --config models/configs/promoter.toml \
            --data ../shared/data --out /tmp/promoter
    """
    torch.set_num_threads(threads)
    settings = read_settings(config)
    with step_reporter("reading promoters"):
        prepared = prepare(settings, data, workspace)
    _say_split(prepared)
    if search:
        with count_reporter("searching settings", "trials", search) as on_trial:
            settings = search_settings(
                settings, prepared, out / "search", search, report=on_trial
            )
        say(f"best settings found: {json.dumps(_changed(settings))}")
    training = settings.training
    if settings.split.leave_out_species:
        training = replace(training, species_weight=0.0)
    models: list[NetworkModel] = []
    for i, seed in enumerate(settings.seeds, 1):
        model = NetworkModel(
            settings.name, settings.network, training, out / "runs" / f"seed{seed}"
        )
        with count_reporter(
            f"network {i} of {len(settings.seeds)}", "epochs", training.epochs
        ) as on_epoch:
            model.fit(prepared.trained, prepared.split, seed=seed, report=on_epoch)
        best = min(model.history, key=lambda h: h["validation_loss"])
        say(
            f"seed {seed}: best of {len(model.history)} epochs is {best['epoch']:.0f}, "
            f"validation loss {best['validation_loss']:.4f}, r {best['validation_r']:.4f}"
        )
        models.append(model)
    held_out = prepared.trained.take(prepared.split.validation)
    save_ensemble(
        out, settings.name, models,
        calibrate(models, held_out, log2p1=settings.data.columns.log2p1),
        conditions=prepared.trained.conditions, length_bp=settings.data.length_bp,
        stand_ins=settings.data.stand_ins,
        provenance={
            "settings": asdict(settings), "rows": _rows_digest(prepared),
            "n_train": len(prepared.split.train),
            "n_validation": len(prepared.split.validation),
            "n_test": len(prepared.split.test),
            "left_out": dict(prepared.split.left_out),
            "table_changes": dict(prepared.all.changes),
        },
    )  # fmt: skip
    say(f"{out}: {len(models)} networks, {', '.join(load_ensemble(out).conditions)}")


def _changed(settings: Settings) -> dict[str, Any]:
    return {"network": asdict(settings.network), "training": asdict(settings.training)}


def _say_split(prepared: Prepared) -> None:
    split = prepared.split
    say(
        f"{len(prepared.all):,} promoters: {len(split.train):,} to learn from, "
        f"{len(split.validation):,} to stop by, {len(split.test):,} to judge"
    )
    for reason, count in [*prepared.all.changes.items(), *split.left_out.items()]:
        say(f"  {count:,} {reason}")


def _rows_digest(prepared: Prepared) -> str:
    digest = hashlib.sha256()
    values = [prepared.all.of(condition) for condition in prepared.all.conditions]
    for part in (prepared.all.codes, *values, prepared.split.test):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def evaluate(
    model: Annotated[
        Path | None, typer.Option(help="Folder of a model; else the one that ships.")
    ] = None,
    data: DataOption = None,
    workspace: OptionalWorkspace = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the figures as JSON.")
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(help="Resamples of clusters.", min=100)
    ] = 1000,
    threads: ThreadsOption = 2,
) -> None:
    """Score a model on the test rows of its own split, beside GC and 4-mer ridge.

    Example:

        python -m models.evaluate promoter --data ../shared/data
    """
    torch.set_num_threads(threads)
    ensemble = load_ensemble(model)
    settings, rows = _provenance(model)
    with step_reporter("reading promoters"):
        prepared = prepare(settings, data, workspace)
    if _rows_digest(prepared) != rows:
        raise InputError(
            "the promoters differ from those the model was made with, so its test rows "
            "may have taught it; give the same data"
        )
    test = prepared.all.take(prepared.split.test)
    predictions = {ensemble.name: ensemble.predict(test.codes)[0]}
    columns = {ensemble.name: list(ensemble.conditions)}
    for floor in (KmerRidge(0), KmerRidge(4)):
        floor.fit(prepared.trained, prepared.split)
        predictions[floor.name] = floor.predict(test.codes)
        columns[floor.name] = list(prepared.trained.conditions)
    targets = settings.data.test_conditions or prepared.trained.conditions
    figures: list[dict[str, Any]] = []
    for target in targets:
        head = ensemble.stand_ins.get(target, target)
        measured = test.of(target)
        groups = {"all": ~np.isnan(measured)}
        groups |= {
            name: groups["all"] & (test.species == name)
            for name in sorted(set(test.species.tolist()))
        }
        for group, keep in groups.items():
            if keep.sum() < 3 or (group != "all" and len(groups) == 2):
                continue
            of = {
                name: values[keep, columns[name].index(head)]
                for name, values in predictions.items()
            }
            boot = cluster_bootstrap(
                of, measured[keep], prepared.clusters[prepared.split.test][keep],
                n=bootstrap, rng=np.random.default_rng(0),
            )  # fmt: skip
            figures += [
                _figure(target, head, group, name, values, measured[keep], boot)
                for name, values in of.items()
            ]
    show_table(
        f"{ensemble.name}: {prepared.split.name} split",
        ["condition", "head", "rows", "n", "model", "Pearson r²", "95 %", "Spearman", "R²"],
        [
            [f["condition"], f["head"], f["rows"], f"{f['n']:,}", f["model"],
             f"{f['pearson_r2']:.3f}", "{:.3f}-{:.3f}".format(*f["pearson_r2_interval"]),
             f"{f['spearman']:.3f}", f"{f['r2']:.3f}"]
            for f in figures
        ],
    )  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _figure(
    condition: str, head: str, rows: str, model: str,
    predicted: NDArray[np.float64],
    measured: NDArray[np.float64],
    boot: Bootstrap,
) -> dict[str, Any]:  # fmt: skip
    return {
        "condition": condition, "head": head, "rows": rows, "n": len(measured),
        "model": model, **asdict(score(predicted, measured)),
        "pearson_r2_interval": boot.interval(model),
    }  # fmt: skip


def _provenance(model: Path | None) -> tuple[Settings, str]:
    config = json.loads(((model or WEIGHTS) / CONFIG).read_text(encoding="utf-8"))
    provenance = config["provenance"]
    if "settings" not in provenance:
        raise InputError("the model does not say which rows it was made with")
    return settings_from(provenance["settings"]), provenance["rows"]


def predict(
    out: Annotated[Path, typer.Option(help="TSV to write.")],
    fasta: Annotated[Path | None, typer.Option(help="Sequences as FASTA.")] = None,
    bed: Annotated[
        Path | None, typer.Option(help="Intervals, 0-based; needs --genome or -w.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="CSV or TSV with columns id and sequence.")
    ] = None,
    genome: Annotated[Path | None, typer.Option(help="Genome of --bed, FASTA.")] = None,
    workspace: OptionalWorkspace = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a model; else the one that ships.")
    ] = None,
    species: Annotated[
        str | None, typer.Option(help="Calibrate for this species.")
    ] = None,
    threads: ThreadsOption = 2,
) -> None:
    """Predict expression: columns id, one a condition, and its sd over the networks.

    Example:

        python -m models.predict promoter --fasta promoters.fa --out expression.tsv
    """
    torch.set_num_threads(threads)
    if sum(given is not None for given in (fasta, bed, csv)) != 1:
        raise InputError("give one of --fasta, --bed and --csv")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    ensemble = load_ensemble(model)
    if species is not None and species not in ensemble.calibration.by_species:
        known = ", ".join(sorted(ensemble.calibration.by_species)) or "none"
        raise InputError(f"no calibration for species {species!r}; there are {known}")
    if fasta is not None:
        queries = Queries.of(read_fasta(fasta), ensemble.length_bp)
    elif csv is not None:
        queries = Queries.of(read_csv(csv), ensemble.length_bp)
    else:
        assert bed is not None  # noqa: S101 - one of three is given
        with _genome(genome, workspace) as opened:
            queries = Queries.of(read_bed(bed, opened), ensemble.length_bp)
    for count, what in (
        (queries.n_padded, "shorter and were padded with N"),
        (queries.n_cropped, "longer and were cropped"),
    ):
        if count:
            log(
                f"warning: {count:,} of {len(queries.codes):,} sequences are not "
                f"{ensemble.length_bp} bp: {what} around their middle"
            )
    for condition, head in ensemble.stand_ins.items():
        log(f"{condition} had no rows to learn from: it reports the {head} head")
    mean, sd = ensemble.predict(queries.codes, species=species)
    table = pd.DataFrame({"id": queries.identifiers})
    for i, condition in enumerate(ensemble.conditions):
        table[condition] = ensemble.calibration.back(mean[:, i])
    for i, condition in enumerate(ensemble.conditions):
        table[f"sd_{condition}"] = sd[:, i]
    beside = out.with_name(f".{out.name}.part")
    table.to_csv(beside, sep="\t", index=False, float_format="%.6g")
    beside.replace(out)
    say(f"{out}: {len(table):,} sequences, {len(ensemble.conditions)} conditions")


@contextmanager
def _genome(fasta: Path | None, workspace: Path | None) -> Iterator[Genome]:
    if (fasta is None) == (workspace is None):
        raise InputError("--bed needs --genome or --workspace, one of them")
    if workspace is not None:
        with open_store(workspace) as store:
            yield store.genome()
        return
    assert fasta is not None  # noqa: S101 - one of two is given
    with tempfile.TemporaryDirectory(prefix="cisgraph-genome-") as folder:
        with open_store(Path(folder), write=True) as store:
            store.add(fasta, kind="genome", name="genome")
        with open_store(Path(folder)) as store:
            yield store.genome()
