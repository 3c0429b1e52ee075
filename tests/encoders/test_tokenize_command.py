"""The command that learns a vocabulary on a workspace's genome."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from data_registry.errors import InputError
from data_registry.store import open_store
from encoders import nucleotides
from encoders.tokenize import app
from encoders.tokenizers import BpeTokenizer

pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenize")
    rng = np.random.default_rng(3)
    text = ""
    for name, n in (("chrI", 9000), ("chrII", 5000)):
        letters = nucleotides.decode(rng.integers(0, 4, n).astype(np.uint8))
        text += f">{name}\n{letters.replace('TTT', 'TTTACGACG')}\n"
    (folder / "genome.fa").write_text(text)
    with open_store(folder / "w", write=True) as store:
        store.add(folder / "genome.fa")
    return folder / "w"


def run(workspace, *arguments):
    result = CliRunner().invoke(
        app, ["-w", str(workspace), "--merges", "8", *arguments]
    )
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_vocabulary_is_learnt_without_the_contig_held_out(workspace):
    assert run(workspace, "--hold-out", "chrII").exit_code == 0
    folder = workspace / "models" / "tokenizer"
    learnt = BpeTokenizer.load(folder / "tokenizer.json")
    assert learnt.name == "bpe8"
    rows = (folder / "vocabulary.tsv").read_text().splitlines()
    counts = {token: int(n) for token, n in (row.split("\t") for row in rows[1:])}
    assert {*counts} == {*learnt.vocabulary}
    with open_store(workspace) as store:
        length = store.genome().lengths["chrI"]
    # Every base of chrI is in one token, and none of chrII's.
    assert sum(len(token) * n for token, n in counts.items()) == length


def test_the_number_of_merges_is_chosen_on_the_contig_held_out(workspace):
    done = run(workspace, "--hold-out", "chrII", "--compare", "--places", "1000")
    assert done.exit_code == 0, done.output
    for name in ("character", "3mer", "bpe8", "commonest k-mer", "chance"):
        assert name in done.output
    kept = json.loads((workspace / "models/tokenizer/comparison.json").read_text())
    names = {result["tokenizer"] for result in kept.values()}
    assert {"character", "2mer", "3mer", "4mer", "6mer", "bpe8"} == names


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--hold-out", "chrX"], "no contig 'chrX'"),
        (["--hold-out", "chrI,chrII"], "none is left"),
        (["--compare"], "--hold-out"),
    ],
)
def test_impossible_wishes_are_refused(workspace, arguments, match):
    with pytest.raises(InputError, match=match):
        run(workspace, *arguments)
