import gzip
import itertools
import re

import numpy as np
import pytest

from data_registry.errors import InputError
from encoders.motifs import MotifEncoder, pooled

ENCODER = MotifEncoder()


def of_word(word, sharpness=0.91):
    rest = (1 - sharpness) / 3
    return np.array([[sharpness if b == c else rest for c in "ACGT"] for b in word])


def cosine(a, b):
    return float(ENCODER.embed([a])[0] @ ENCODER.embed([b])[0])


def all_words():
    """One of each pair of 5-mer and reverse complement, in the order of letters."""
    words = ["".join(each) for each in itertools.product("ACGT", repeat=5)]
    return [w for w in words if w <= w.translate(str.maketrans("ACGT", "TGCA"))[::-1]]


def test_affinities_by_hand():
    vector = ENCODER.embed([of_word("GATTC")])[0]
    words = all_words()
    assert vector.shape == (len(words),) == (512,)
    assert words[vector.argmax()] == "GAATC"  # the other strand of GATTC
    # best word: five right columns; GATTA: four, hanging over or with one wrong column
    right, wrong = 4 * (0.91 + 0.05) / 1.2, 4 * (0.03 + 0.05) / 1.2
    best, second = right**2.5, max(right**2 * wrong**0.5, 1)
    third = right**1.5 * 1  # three columns, TTC, and two bases over the end: TTCGG
    at = vector[[words.index(w) for w in ("GAATC", "GATTA", "CCGAA")]]
    assert (at[0] - at[1]) / (at[0] - at[2]) == pytest.approx(
        (best - second) / (best - third), rel=1e-4
    )


def test_affinities_against_every_place_of_both_strands():
    rng = np.random.default_rng(5)
    motif = rng.dirichlet([0.4] * 4, 7)
    expected = []
    for word in all_words():
        best = 1.0
        for strand in (motif, motif[::-1, ::-1]):
            for start in range(-4, 7):
                odds = 1.0
                for i, base in enumerate(word):
                    if 0 <= start + i < 7:
                        odds *= 4 * (strand[start + i]["ACGT".index(base)] + 0.05) / 1.2
                best = max(best, odds)
        expected.append(best**0.5)
    expected = np.array(expected) - np.mean(expected)
    np.testing.assert_allclose(
        ENCODER.embed([motif])[0], expected / np.linalg.norm(expected), atol=1e-6
    )


def test_both_strands_and_position_do_not_matter():
    rng = np.random.default_rng(1)
    for width in (3, 5, 9, 20):
        motif = rng.dirichlet([0.4] * 4, width)
        there, back = ENCODER.embed([motif, motif[::-1, ::-1]])
        np.testing.assert_allclose(there, back, atol=1e-6)
        assert np.linalg.norm(there) == pytest.approx(1, abs=1e-5)
    flat = np.full((3, 4), 0.25)
    padded = np.concatenate([flat, of_word("TGACGTCA"), flat])
    assert cosine(of_word("TGACGTCA"), padded) == pytest.approx(1, abs=1e-5)


def test_like_motifs_are_near_and_others_far():
    creb = of_word("TGACGTCA")
    assert cosine(creb, of_word("GTGACGTCAT", 0.8)) > 0.7
    assert cosine(creb, of_word("TATAAATA")) < 0.1
    assert cosine(of_word("TTACGTAA"), creb) > cosine(
        of_word("TTACGTAA"), of_word("CACGTG")
    )


def test_a_motif_without_preference_is_the_zero_vector():
    assert not ENCODER.embed([np.full((6, 4), 0.25)]).any()
    both = ENCODER.embed([np.full((6, 4), 0.25), of_word("TGACGTCA")])
    np.testing.assert_allclose(pooled(both), both[1], atol=1e-6)


def test_bad_matrices():
    for bad in (np.ones((3, 4)), np.full((4, 5), 0.2), np.empty((0, 4))):
        with pytest.raises(InputError, match="motif 0 has shape"):
            ENCODER.embed([bad])


def read_meme(path):
    motifs, name = {}, None
    with gzip.open(path, "rt") as file:
        for line in file:
            if line.startswith("MOTIF"):
                name = line.split()[1]
                motifs[name] = []
            elif name and re.match(r"^\s*[01]\.\d", line):
                motifs[name].append([float(x) for x in line.split()[:4]])
    return {n: np.array(m) for n, m in motifs.items() if m}


def read_jaspar(path):
    motifs, rows, name, family = {}, [], "", ""
    with gzip.open(path, "rt") as file:
        for line in file:
            if line.startswith("AC "):
                name, rows, family = line.split()[1], [], ""
            elif re.match(r"^\d\d", line):
                rows.append([float(x) for x in line.split()[1:5]])
            elif line.startswith("CC tf_family"):
                family = line.split(":", 1)[1].strip()
            elif line.startswith("//") and rows:
                counts = np.array(rows)
                motifs[name] = (counts / counts.sum(1, keepdims=True), family)
    return motifs


@pytest.mark.realdata
def test_nearest_motif_is_of_the_same_family(shared_data):
    name = "JASPAR2024_CORE_plants_non-redundant_pfms_transfac.txt.gz"
    motifs = read_jaspar(shared_data / "arabidopsis" / "tf_binding" / name)
    families = np.array([family for _, family in motifs.values()])
    vectors = ENCODER.embed([matrix for matrix, _ in motifs.values()])
    sizes = np.array([(families == family).sum() for family in families])
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -2)
    right = (families[alike.argmax(1)] == families)[sizes > 1].mean()
    chance = ((sizes - 1) / (len(sizes) - 1))[sizes > 1].mean()
    assert len(motifs) > 700
    assert chance < 0.1
    assert right > 0.8


@pytest.mark.realdata
@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_agreement_with_tomtom(shared_data):
    tomtom = pytest.importorskip("memelite").tomtom
    motifs = read_meme(shared_data / "yeast" / "motifs" / "YEASTRACT_20130918.meme.gz")
    named = [n for n, m in motifs.items() if len(m) >= 6][:150]
    matrices = [motifs[n] for n in named]
    p = np.asarray(
        tomtom([m.T for m in matrices], [m.T for m in matrices], n_jobs=1)[0]
    )
    np.fill_diagonal(p, 2)
    vectors = ENCODER.embed(matrices)
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -2)
    # where TomTom finds a match, is it among our five nearest?
    sure = np.flatnonzero(p.min(1) < 1e-4)
    nearest = np.argsort(-alike[sure], axis=1)[:, :5]
    best = p[sure].min(1)
    hit = [
        (p[i, near] <= q * 10).any()
        for i, near, q in zip(sure, nearest, best, strict=True)
    ]
    assert len(sure) > 50
    assert np.mean(hit) > 0.8
