"""Fine-tune a sequence model for classification or regression of sequences."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer

from data_registry.console import count_reporter, new_app, run_app, say, show_table
from data_registry.errors import InputError, MalformedFileError
from data_registry.workspace import require_file, written_beside
from encoders.finetuning import (
    Codes,
    Examples,
    Floats,
    Predictor,
    Settings,
    fit,
    measure,
    open_backbone,
    predict,
    save_finetuned,
)
from encoders.nucleotides import UNKNOWN, decode, encode, reverse_complement

VALIDATION_SHARE = 0.1
PREDICTIONS_FILE = "predictions.csv"

app = new_app("Fine-tune a sequence model on labelled sequences.")


class MethodName(StrEnum):
    """What is trained besides the head (``encoders.finetuning``)."""

    LORA = "lora"
    PREFIX = "prefix"
    PROMPT = "prompt"
    FULL = "full"
    NONE = "none"


class TaskName(StrEnum):
    """What the labels are."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV as read.

    Parameters
    ----------
    labels
        As written.
    """

    path: Path
    sequences: tuple[Codes, ...]
    labels: tuple[str, ...]


@app.command()
def finetune(
    *,
    model: Annotated[Path, typer.Option(help="Folder of the model.")],
    train: Annotated[Path, typer.Option(help="CSV with columns sequence, label.")],
    out: Annotated[Path, typer.Option(help="Folder for the tuned model.")],
    method: Annotated[MethodName, typer.Option(help="What is trained.")] = (
        MethodName.LORA
    ),
    task: Annotated[TaskName, typer.Option(help="What the labels are.")] = (
        TaskName.CLASSIFICATION
    ),
    validation: Annotated[
        Path | None,
        typer.Option(help="CSV to stop by; else a tenth of the training sequences."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="CSV that is only predicted, at the end.")
    ] = None,
    sequence_column: Annotated[str, typer.Option(help="Its name.")] = "sequence",
    label_column: Annotated[str, typer.Option(help="Its name.")] = "label",
    rank: Annotated[int, typer.Option(help="Rank of LoRA.")] = 8,
    n_virtual: Annotated[int, typer.Option(help="Vectors of prefix or prompt.")] = 16,
    rate: Annotated[
        float, typer.Option(help="Learning rate; 0 takes the method's own.")
    ] = 0.0,
    epochs: Annotated[int, typer.Option(help="At most.")] = 10,
    patience: Annotated[int, typer.Option(help="Epochs without a better metric.")] = 3,
    batch: Annotated[int, typer.Option(help="Sequences a step.")] = 32,
    max_bp: Annotated[int, typer.Option(help="Longer ones are cut to this.")] = 2_048,
    seed: Annotated[int, typer.Option(help="Of head, order and dropout.")] = 0,
    allow_remote_code: Annotated[
        bool,
        typer.Option(
            "--allow-remote-code", help="Run the code that lies in the folder."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Train, with early stopping; the same command goes on where it was stopped.

    Example:

        python -m encoders.finetune --model nt --train T.csv --method lora --out tuned
    """
    settings = Settings(
        method=method.value, task=task.value, rank=rank,
        n_virtual=n_virtual, rate=rate, epochs=epochs, patience=patience, batch=batch,
        max_bp=max_bp, seed=seed,
    )  # fmt: skip
    settings.check()
    names = (sequence_column, label_column)
    rows = read_table(train, *names)
    held = read_table(validation, *names) if validation else None
    unseen = read_table(test, *names) if test else None
    if held is None:
        rows, held = split_by_sequence(rows)
        say(
            f"validation: {len(held.labels):,} of the training sequences, drawn by "
            "sequence; like sequences may stand on both sides, so give --validation of "
            "other families for an honest figure"
        )
    for other in (held, unseen):
        if other is not None:
            rows, n_shared = without(rows, other)
            if n_shared:
                say(
                    f"left out of training: {n_shared:,} sequences that are also in "
                    f"{other.path}, on either strand"
                )
    labels = tuple(sorted(set(rows.labels))) if task == "classification" else ()
    if task == "classification" and len(labels) < 2:
        raise InputError(f"{train}: {len(labels)} classes; two are needed")
    examples, held_out = (_examples(table, labels) for table in (rows, held))

    torch.manual_seed(seed)  # noqa: TID251  of LoRA and dropout; the entry point
    predictor = Predictor(
        open_backbone(model, allow_remote_code=allow_remote_code),
        max(len(labels), 1),
        settings,
    )
    n_trained, n_all = predictor.count()
    say(f"{method}: {n_trained:,} of {n_all:,} parameters are trained")
    with count_reporter("fine-tuning", "steps") as report:
        fitted = fit(
            predictor, examples, held_out, out, device=device, on_progress=report
        )
    if fitted.n_cut:
        say(
            f"cut to their middle: {fitted.n_cut:,} sequences longer than the model takes"
        )
    rows_shown = [("validation", *_shown(fitted.metrics))]
    metrics = {"validation": fitted.metrics}
    if unseen is not None:
        wanted = _examples(unseen, labels)
        outputs = predict(predictor, wanted.sequences, device)
        metrics["test"] = measure(wanted.targets, outputs, settings.task)
        rows_shown.append(("test", *_shown(metrics["test"])))
        _write_predictions(out / PREDICTIONS_FILE, unseen, outputs, labels)
    save_finetuned(
        predictor,
        out,
        model,
        {
            "labels": labels,
            "metrics": metrics,
            "best_epoch": fitted.epoch,
            "epochs_run": fitted.epochs_run,
            "n_trained": fitted.n_trained,
            "n_parameters": fitted.n_parameters,
            "train": {"file": str(train), "n": len(examples)},
            "validation": {"file": str(held.path), "n": len(held_out)},
        },
    )
    show_table(
        f"epoch {fitted.epoch} of {fitted.epochs_run}, in {out}",
        ("on", *fitted.metrics),
        rows_shown,
    )


def _shown(metrics: dict[str, float]) -> list[str]:
    return [f"{value:.4f}" for value in metrics.values()]


def read_table(path: Path, sequence_column: str, label_column: str) -> Table:
    """Read sequences and labels.

    Raises
    ------
    MalformedFileError
        A column or value is missing, or a sequence holds no A, C, G or T.
    """
    require_file(path)
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedFileError(
            path, f"is no CSV ({error})", remedy="Write a header and commas"
        ) from error
    for column in (sequence_column, label_column):
        if column not in frame:
            raise MalformedFileError(
                path,
                f"has no column {column!r}; it has {', '.join(map(repr, frame.columns))}",
                remedy="Name it with --sequence-column or --label-column",
            )
    sequences = tuple(encode(each) for each in frame[sequence_column])
    labels = tuple(each.strip() for each in frame[label_column])
    for number, (codes, label) in enumerate(zip(sequences, labels, strict=True)):
        if not (codes < UNKNOWN).any() or not label:
            what = "no label" if not label else "a sequence without A, C, G or T"
            raise MalformedFileError(
                path, f"has {what}", line=number + 2, remedy="Correct or remove the row"
            )
    if not sequences:
        raise MalformedFileError(path, "has no rows", remedy="Give labelled sequences")
    return Table(path, sequences, labels)


def _key(codes: Codes) -> str:
    """Return the same text for a sequence and its reverse complement."""
    return min(decode(codes), decode(reverse_complement(codes)))


def _chosen(table: Table, kept: list[bool]) -> Table:
    picked = [i for i, keep in enumerate(kept) if keep]
    return Table(
        table.path,
        tuple(table.sequences[i] for i in picked),
        tuple(table.labels[i] for i in picked),
    )


def split_by_sequence(table: Table) -> tuple[Table, Table]:
    """Draw a tenth by a digest of the sequence, which both strands share."""

    def is_held(codes: Codes) -> bool:
        number = hashlib.blake2b(_key(codes).encode(), digest_size=4).digest()
        return int.from_bytes(number, "big") < VALIDATION_SHARE * 2**32

    held = [is_held(codes) for codes in table.sequences]
    return _chosen(table, [not each for each in held]), _chosen(table, held)


def without(table: Table, other: Table) -> tuple[Table, int]:
    """Leave out sequences that another table has, on either strand; and how many."""
    known = {_key(codes) for codes in other.sequences}
    kept = [_key(codes) not in known for codes in table.sequences]
    return _chosen(table, kept), len(kept) - sum(kept)


def _examples(table: Table, labels: tuple[str, ...]) -> Examples:
    if labels:
        number = {label: i for i, label in enumerate(labels)}
        for row, label in enumerate(table.labels):
            if label not in number:
                raise MalformedFileError(
                    table.path,
                    f"class {label!r} is not among the training classes "
                    f"({', '.join(labels[:8])})",
                    line=row + 2,
                    remedy="Correct the label, or train with that class",
                )
        targets = np.array([number[label] for label in table.labels], np.float64)
        return Examples(table.sequences, targets)
    values = pd.to_numeric(pd.Series(table.labels), errors="coerce").to_numpy(
        np.float64
    )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise MalformedFileError(
            table.path,
            f"label {table.labels[row]!r} is no number",
            line=row + 2,
            remedy="Correct it, or say --task classification",
        )
    return Examples(table.sequences, values)


def _write_predictions(
    path: Path, table: Table, outputs: Floats, labels: tuple[str, ...]
) -> None:
    frame = pd.DataFrame({"label": table.labels})
    if labels:
        frame["predicted"] = [labels[i] for i in outputs.argmax(1)]
        shifted = np.exp(outputs - outputs.max(1, keepdims=True))
        for i, label in enumerate(labels):
            frame[f"p_{label}"] = (shifted / shifted.sum(1, keepdims=True))[:, i]
    else:
        frame["predicted"] = outputs[:, 0]
    with written_beside(path) as beside:
        frame.to_csv(beside, index=False, float_format="%.6g")


def main() -> None:
    """Run the command."""
    run_app(app)


if __name__ == "__main__":
    main()
