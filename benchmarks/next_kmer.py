"""Tokenizers compared by next-k-mer prediction on yeast, chrV and chrXV held out.

    python benchmarks/next_kmer.py --data ../shared/data \
        --out benchmarks/results/next_kmer.json --pictures /tmp/pictures

Single bases, k-mers and byte pairs (merges learnt on the other chromosomes) get the same
network, the same places and the same seeds; beside them chance, the commonest k-mer, a
model of token counts, and a Markov model of bases that no tokenizer has a part in.
Finished tokenizers are kept in ``--done`` and not evaluated again.
"""

import argparse
import gzip
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from benchmarks.result_file import write_result
from encoders import nucleotides
from encoders.next_kmer import KS, Result, choose, compare, draw_places
from encoders.tokenize import candidates, write_vocabulary
from encoders.tokenizers import BpeTokenizer, Codes, train_bpe

GENOME = "yeast/genome/sacCer3.fa.gz"
HELD_OUT = ("chrV", "chrXV")
LEFT_OUT = ("chrM",)
"""Another composition and code, and 0.7 % of the genome."""

MARKOV_ORDERS = (2, 4, 6)
ROOM_BP = 3_200


def read_genome(path: Path) -> dict[str, Codes]:
    """Return the codes of each contig."""
    text = gzip.decompress(path.read_bytes()).decode()
    contigs = {}
    for block in text.split(">")[1:]:
        name, _, sequence = block.partition("\n")
        contigs[name.split()[0]] = nucleotides.encode(sequence.replace("\n", ""))
    return contigs


def numbers_of(codes: Codes, k: int) -> NDArray[np.int64]:
    """Return the number of the k-mer at each base, -1 with unknown bases."""
    n = len(codes) - k + 1
    numbers = np.zeros(n, np.int64)
    unknown = np.zeros(n, bool)
    for i in range(k):
        numbers = numbers * 4 + np.minimum(codes[i : i + n], 3)
        unknown |= codes[i : i + n] > 3
    numbers[unknown] = -1
    return numbers


def markov_accuracy(
    learn: list[Codes], test: list[Codes], n_places: int, seed: int
) -> dict[str, dict[str, float]]:
    """Tell the k-mer most often seen after the last bases, by their number and k."""
    rng = np.random.default_rng(seed)
    places = draw_places(test, n_places, rng, room_bp=ROOM_BP)
    found: dict[str, dict[str, float]] = {}
    for order in MARKOV_ORDERS:
        found[str(order)] = {}
        for k in KS:
            counts = np.zeros(4 ** (order + k), np.int64)
            for codes in learn:
                both = numbers_of(codes, order + k)
                counts += np.bincount(both[both >= 0], minlength=len(counts))
            told = counts.reshape(4**order, 4**k).argmax(axis=1)
            right = 0
            for number, cut in zip(places.contig, places.cut, strict=True):
                window = test[number][cut - order : cut + k]
                context = int(numbers_of(window[:order], order)[0])
                right += int(told[context] == numbers_of(window[order:], k)[0])
            found[str(order)][str(k)] = right / n_places
    return found


def summarise(runs: list[list[Result]]) -> list[dict[str, Any]]:
    """Return mean and spread over seeds of each tokenizer's accuracies."""
    rows = []
    for results in zip(*runs, strict=True):
        by_k: dict[str, dict[str, float]] = {}
        for k in map(str, KS):
            of_seeds = [result["by_k"][k] for result in results]
            accuracy = [found["network"] for found in of_seeds]
            by_k[k] = {
                name: float(np.mean([found[name] for found in of_seeds]))  # type: ignore[literal-required]
                for name in of_seeds[0]
            }
            by_k[k]["network_sd_over_seeds"] = (
                float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else None
            )
        first = results[0]
        rows.append({
            "tokenizer": first["tokenizer"],
            "tokens": first["tokens"],
            "bases_per_token": first["bases_per_token"],
            "by_k": by_k,
        })  # fmt: skip
    return rows


def show(result: dict[str, Any]) -> str:
    """Return the accuracies as a table, in percent."""
    head = "".join(f"{f'k={k}':>9}" for k in KS)
    lines = [f"{'accuracy of the next k-mer, %':<32}{head}"]

    def line(name: str, values: list[float]) -> None:
        lines.append(f"{name:<32}" + "".join(f"{100 * v:>9.2f}" for v in values))

    for row in result["tokenizers"]:
        own = [row["by_k"][str(k)] for k in KS]
        line(f"{row['tokenizer']}, network", [found["network"] for found in own])
        line(f"{row['tokenizer']}, counts", [found["counts"] for found in own])
    last = [result["tokenizers"][-1]["by_k"][str(k)] for k in KS]
    for order, of_order in result["markov"].items():
        line(f"Markov, {order} bases", [of_order[str(k)] for k in KS])
    line("commonest k-mer", [found["commonest"] for found in last])
    line("chance", [found["chance"] for found in last])
    lines.append(f"best of all: {result['best']}; of byte pairs: {result['best_bpe']}")
    return "\n".join(lines)


def main() -> None:
    """Compare the tokenizers and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--pictures", type=Path, help="folder for the word cloud")
    parser.add_argument("--done", type=Path, default=Path("/tmp/next_kmer_done"))  # noqa: S108
    parser.add_argument("--learn", type=int, default=80_000, help="places")
    parser.add_argument("--test", type=int, default=10_000, help="places")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="little, only to try")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    n_learn, n_test, epochs = arguments.learn, arguments.test, arguments.epochs
    genome = read_genome(arguments.data / GENOME)
    learn = [c for n, c in genome.items() if n not in (*HELD_OUT, *LEFT_OUT)]
    test = [genome[name] for name in HELD_OUT]
    if arguments.quick:
        n_learn, n_test, epochs, learn = 3_000, 1_000, 2, learn[:3]
    arguments.done.mkdir(parents=True, exist_ok=True)
    kept = arguments.done / ("bpe_quick.json" if arguments.quick else "bpe.json")
    if kept.is_file():
        bpe = BpeTokenizer.load(kept)
    else:
        bpe = train_bpe(learn)
        bpe.save(kept)
    print(f"{bpe.name}: {time.perf_counter() - begin:.0f} s", flush=True)
    tried = candidates(bpe)
    runs = []
    for seed in range(1, arguments.seeds + 1):

        def report(_: int, name: str, seed: int = seed) -> None:
            spent = time.perf_counter() - begin
            print(f"seed {seed}, {name} from {spent:.0f} s", flush=True)

        runs.append(
            compare(
                tried,
                learn,
                test,
                n_learn=n_learn,
                n_test=n_test,
                seed=seed,
                epochs=epochs,
                done=arguments.done / "results.json",
                on_tokenizer=report,
            )
        )
    rows = summarise(runs)
    of_bpe = [[r for r in run if r["tokenizer"].startswith("bpe")] for run in runs]
    markov = markov_accuracy(learn, test, n_test, seed=1)
    result = {
        "what": "next-k-mer prediction by tokenizer, sacCer3, chrV and chrXV held out",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "quick": arguments.quick,
        "learn_places": n_learn, "test_places": n_test, "epochs": epochs,
        "seeds": arguments.seeds,
        "tokenizers": rows,
        "markov": markov,
        "best": [choose(run) for run in runs],
        "best_bpe": [choose(run) for run in of_bpe],
        "longest_tokens": sorted(bpe.vocabulary, key=len)[-10:],
        "seconds": round(time.perf_counter() - begin),
    }  # fmt: skip
    if arguments.pictures:
        from dashboards.pictures import word_cloud

        arguments.pictures.mkdir(parents=True, exist_ok=True)
        table = arguments.pictures / "vocabulary.tsv"
        write_vocabulary(bpe, learn, table)
        lines = table.read_text(encoding="utf-8").splitlines()[1:]
        counts = {token: int(n) for token, n in (line.split("\t") for line in lines)}
        word_cloud(counts, arguments.pictures / f"{bpe.name}.png")
    if arguments.out:
        write_result(arguments.out, result)
    print(show(result))


if __name__ == "__main__":
    main()
