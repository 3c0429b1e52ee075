"""The plant language model's benchmark: what is held out, and how its figures are made."""

import gzip
from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks import plant_language
from benchmarks.plant_language import (
    HELD_OUT,
    OTHERS,
    PIECES,
    RICE,
    SYNTHETIC,
    WATCHED,
    measure_bits,
    pieces_by_species,
    reference,
)
from encoders.corpus import Assembly, build_corpus
from encoders.material import Material
from encoders.nucleotides import encode


def test_no_two_contigs_of_the_reference_overlap():
    for (_, one), (_, other) in combinations(PIECES.items(), 2):
        assert one[:2] != other[:2] or one[3] <= other[2] or other[3] <= one[2]
    assert {*HELD_OUT, *WATCHED} < set(PIECES)


def write_fasta(path, **contigs):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb") as file:
        for name, codes in contigs.items():
            file.write(b">" + name.encode() + b"\n" + codes.tobytes() + b"\n")


def test_pieces_go_to_the_species_whose_file_holds_them(tmp_path):
    letters = np.frombuffer(b"ACGT", np.uint8)
    rng = np.random.default_rng(0)
    thale, rice = (letters[rng.integers(0, 4, 600)] for _ in range(2))
    rice[300] = ord("N")  # two pieces
    write_fasta(tmp_path / RICE, Chr3=rice)
    write_fasta(tmp_path / OTHERS["rice chromosome 2"], a=thale[:10])
    corpus = build_corpus([Assembly("both", {"At3": thale, "Os3": rice})], [])
    made = Material("both", (), (), corpus, encode(thale))
    found = pieces_by_species(made, tmp_path)
    assert {n: [len(c) for c in some.values()] for n, some in found.items()} == {
        "At": [600], "Os": [300, 299],
    }  # fmt: skip


def test_bits_by_hand():
    codes = np.tile(np.array([0, 1, 2, 3], np.uint8), 15_000)  # three blocks
    even = np.full((len(codes), 4), np.log(0.25), np.float32)
    sure = np.full((len(codes), 4), np.log(0.5 / 3), np.float32)
    sure[np.arange(len(codes)), codes] = np.log(0.5)
    region = (codes == 0).astype(np.uint8)
    found = measure_bits(codes, {"lm": sure, "markov": even}, region)
    assert found["all_bases"]["markov"]["value"] == pytest.approx(2)
    assert found["all_bases"]["lm"]["value"] == pytest.approx(1)
    difference = found["all_bases"]["differences"]["lm - markov"]
    assert difference["value"] == pytest.approx(-1)
    first, second = plant_language.REGION_CLASSES[:2]
    assert (found[first]["bases"], found[second]["bases"]) == (45_000, 15_000)


@pytest.mark.realdata
def test_the_held_out_contigs_are_whole_and_the_col_contig_is_rice(shared_data):
    contigs = reference(shared_data).contigs
    assert {name: len(contigs[name]) for name in HELD_OUT} == {
        "At5": 1_000_000, "Os3_test": 400_000,
    }  # fmt: skip
    assert all((encode(contigs[name]) < 4).all() for name in (*HELD_OUT, *WATCHED))
    rice = plant_language.read_fasta(shared_data / OTHERS["rice chromosome 2"])
    (col,) = plant_language.read_fasta(
        shared_data / "arabidopsis/genome/Col.test.fa.gz"
    ).values()
    (same,) = (codes for name, codes in rice.items() if name != SYNTHETIC)
    assert (col == same).all()
