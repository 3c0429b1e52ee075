"""``python -m encoders.tokenize``: learn a byte-pair vocabulary on a workspace's genome."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from data_registry.console import (
    WorkspaceOption,
    count_reporter,
    log,
    new_app,
    run_app,
    say,
    show_table,
)
from data_registry.errors import InputError
from data_registry.genome import Genome
from data_registry.store import open_store
from encoders import nucleotides
from encoders.next_kmer import KS, Result, choose, compare
from encoders.tokenizers import (
    MAX_MERGES,
    BpeTokenizer,
    CharacterTokenizer,
    Codes,
    KmerTokenizer,
    Tokenizer,
    train_bpe,
)

MERGE_STEPS = (100, 200, 350, 600)
WORDS = (2, 3, 4, 6)

app = new_app("Tokenizers of nucleotides.")


def candidates(bpe: BpeTokenizer) -> list[Tokenizer]:
    """Return what is compared: single bases, k-mers, and byte pairs of several sizes."""
    n = len(bpe.merges)
    sizes = sorted({min(step, n) for step in MERGE_STEPS} | {n})
    return [
        CharacterTokenizer(),
        *(KmerTokenizer(k) for k in WORDS),
        *(bpe.first(size) for size in sizes),
    ]


def write_vocabulary(
    tokenizer: Tokenizer, contigs: Sequence[Codes], path: Path
) -> None:
    """Write each token with how often it stands in the contigs, the commonest first."""
    n = len(tokenizer.vocabulary)
    counts = np.zeros(n, np.int64)
    for contig in contigs:
        counts += np.bincount(tokenizer.encode(contig), minlength=n)
    order = np.lexsort((np.arange(n), -counts))
    lines = [f"{tokenizer.vocabulary[i]}\t{counts[i]}\n" for i in order]
    beside = path.with_name(path.name + ".part")
    beside.write_text("token\tcount\n" + "".join(lines), encoding="utf-8")
    beside.replace(path)


def read_contigs(
    genome: Genome, held_out: Sequence[str]
) -> tuple[list[Codes], list[Codes]]:
    """Return the codes of the contigs to learn from and of those held out.

    Raises
    ------
    InputError
        A contig is not in the genome, or none is left to learn from.
    """
    if unknown := sorted({*held_out} - {*genome}):
        raise InputError(f"no contig {unknown[0]!r} to hold out; there are: "
                         f"{', '.join(list(genome)[:20])}")  # fmt: skip
    learn = [nucleotides.encode(genome.contig(c)) for c in genome if c not in held_out]
    if not learn:
        raise InputError("every contig is held out: none is left to learn from")
    return learn, [nucleotides.encode(genome.contig(name)) for name in held_out]


@app.command()
def tokenize(
    workspace: WorkspaceOption = "workspace",
    merges: Annotated[int, typer.Option(help="Merge cycles.", min=1)] = MAX_MERGES,
    hold_out: Annotated[
        str, typer.Option(help="Contigs never learnt from, comma-separated.")
    ] = "",
    compared: Annotated[  # noqa: FBT002 (a flag of the command)
        bool,
        typer.Option(
            "--compare/--no-compare",
            help="Choose the number of merges by next-k-mer prediction on the held-out contigs.",
        ),
    ] = False,
    places: Annotated[
        int, typer.Option(help="Places to learn next k-mers from.", min=1000)
    ] = 80_000,
    seed: Annotated[int, typer.Option(help="Seed of places and weights.")] = 1,
) -> None:
    """Learn a byte-pair vocabulary and write it to WORKSPACE/models/tokenizer.

    Written are tokenizer.json (for the tokenizers library too), vocabulary.tsv (for
    ``python -m dashboards.pictures word-cloud``) and, with --compare, comparison.json.

    Example:

        python -m encoders.tokenize -w yeast --hold-out chrV,chrXV --compare
    """
    held_out = [name.strip() for name in hold_out.split(",") if name.strip()]
    if compared and not held_out:
        raise InputError(
            "--compare needs contigs to test on: name some with --hold-out"
        )
    with open_store(Path(workspace)) as store:
        learn, test = read_contigs(store.genome(), held_out)
    folder = Path(workspace) / "models" / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    log(f"learning {merges:,} merges from {sum(map(len, learn)):,} bp")
    bpe = train_bpe(learn, merges)
    if len(bpe.merges) < merges:
        log(f"only {len(bpe.merges):,} merges were left to learn")
    if compared:
        tried = candidates(bpe)
        with count_reporter("next k-mer", "tokenizers", len(tried)) as report:
            results = compare(
                tried, learn, test, n_learn=places, n_test=max(1000, places // 4),
                seed=seed, epochs=3, done=folder / "comparison.json",
                on_tokenizer=report,
            )  # fmt: skip
        show_results(results)
        say(f"best of all: {choose(results)}")
        of_bpe = [r for r in results if r["tokenizer"].startswith("bpe")]
        bpe = bpe.first(int(choose(of_bpe).removeprefix("bpe")))
    bpe.save(folder / "tokenizer.json")
    write_vocabulary(bpe, learn, folder / "vocabulary.tsv")
    say(f"{bpe.name}: {len(bpe.vocabulary):,} tokens in {folder / 'tokenizer.json'}")


def show_results(results: Sequence[Result]) -> None:
    """Print accuracies in percent: one row a tokenizer, and chance below."""
    rows: list[list[object]] = []
    for result in results:
        by_k = result["by_k"]
        cells = [f"{100 * by_k[str(k)]['network']:.2f}" for k in KS]
        rows.append([result["tokenizer"], result["tokens"], *cells])
    last = results[-1]["by_k"]
    commonest = [f"{100 * last[str(k)]['commonest']:.2f}" for k in KS]
    chance = [f"{100 * last[str(k)]['chance']:.2f}" for k in KS]
    rows += [["commonest k-mer", "", *commonest], ["chance", "", *chance]]
    show_table(
        "accuracy of the next k-mer, %",
        ["tokenizer", "tokens", *(f"k = {k}" for k in KS)],
        rows,
    )


if __name__ == "__main__":
    run_app(app)
