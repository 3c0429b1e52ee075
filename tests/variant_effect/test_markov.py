"""The interpolated Markov model and its background."""

import gzip
import itertools
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_registry.errors import InputError, MalformedFileError
from data_registry.normalisation import Alleles, Strings, normalise
from variant_effect.markov import (
    CONTEXTS,
    LEVELS,
    Background,
    MarkovModel,
    allele_contexts,
)

SWAP = str.maketrans("ACGTacgtN", "TGCAtgcaN")


def contig_of(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def reverse_complement(text: str) -> str:
    return text.translate(SWAP)[::-1]


def score(model: MarkovModel, contig: str, alleles: list[tuple[int, int, str]]):
    return model.log_ratio(
        contig_of(contig),
        np.array([a[0] for a in alleles], np.int64),
        np.array([a[1] for a in alleles], np.int64),
        Strings.of(a[2] for a in alleles),
    )


def random_contig(seed: int, n: int, letters: str = "ACGT") -> str:
    rng = np.random.default_rng(seed)
    return "".join(rng.choice(list(letters), n))


# --- by hand and by a slow oracle ---------------------------------------------------


def test_order_0_by_hand():
    # 90 A and 10 C on one strand, 90 T and 10 G on the other: 200 bases in all
    contig = "A" * 90 + "C" * 10
    model = MarkovModel.fit({"c": contig_of(contig)}, order=0)
    (a,) = model.strengths
    assert a < 20  # the counts are far from uniform, so they outweigh the prior
    p_a, p_c = (90 + a / 4) / (200 + a), (10 + a / 4) / (200 + a)
    np.testing.assert_allclose(np.exp(model.log_p), [p_a, p_c, p_c, p_a], rtol=1e-6)
    (found,) = score(model, contig, [(0, 1, "C")])
    assert found == pytest.approx(math.log(p_c / p_a), rel=1e-6)
    # order 0 relative to itself: length alone scores nothing
    np.testing.assert_allclose(
        score(model, contig, [(1, 0, "ACCA"), (0, 2, "")]), 0.0, atol=1e-6
    )


def oracle_probabilities(model: MarkovModel, contigs: list[str]) -> dict[str, float]:
    """``history + base -> p``, from dictionaries and the formula of the docstring."""
    order = model.order
    counts: dict[str, float] = {}
    for contig in contigs:
        for text in (contig, reverse_complement(contig)):
            for i, base in enumerate(text):
                if base.upper() not in "ACGT":
                    continue
                weight = model.repeat_weight if base.islower() else 1.0
                for k in range(order + 1):
                    word = text[max(i - k, 0) : i + 1].upper()
                    if len(word) == k + 1 and set(word) <= set("ACGT"):
                        counts[word] = counts.get(word, 0.0) + weight
    p = {"": 0.25}
    for k in range(order + 1):
        for word in map("".join, itertools.product("ACGT", repeat=k + 1)):
            total = sum(counts.get(word[:-1] + b, 0.0) for b in "ACGT")
            lower = p[word[1:]] if k else 0.25
            a = model.strengths[k]
            p[word] = (counts.get(word, 0.0) + a * lower) / (total + a)
    return p


def oracle_likelihood(p: dict[str, float], order: int, text: str) -> float:
    total = 0.0
    for i, base in enumerate(text.upper()):
        if base not in "ACGT":
            continue
        k = 0
        while k < order and i - k > 0 and text[i - k - 1].upper() in "ACGT":
            k += 1
        total += math.log(p[text[i - k : i + 1].upper()])
    return total


def test_model_and_ratio_against_the_slow_oracle():
    contigs = {
        "a": random_contig(1, 300, "ACGTacgt") + "NNRN" + random_contig(2, 50, "AAAC"),
        "b": random_contig(3, 40, "GT"),
    }
    model = MarkovModel.fit({k: contig_of(v) for k, v in contigs.items()}, order=3)
    p = oracle_probabilities(model, list(contigs.values()))
    n = 0
    for k in range(4):
        for word in map("".join, itertools.product("ACGT", repeat=k + 1)):
            assert math.exp(model.log_p[n]) == pytest.approx(p[word], rel=1e-5), word
            n += 1
    assert n == len(model.log_p)

    rng = np.random.default_rng(4)
    text = contigs["a"]
    for _ in range(200):
        start = int(rng.integers(0, len(text) + 1))
        end = min(start + int(rng.integers(0, 5)), len(text))
        alt = "".join(rng.choice(list("ACGTacgt"), rng.integers(0, 5)))
        found = score(model, text, [(start, end - start, alt)])[0]
        ref = text[start:end]
        if set(ref.upper()) - set("ACGT"):
            assert math.isnan(found)
            continue
        other = text[:start] + alt + text[end:]
        expected = 0.0
        for flip in (str, reverse_complement):
            expected += oracle_likelihood(p, 3, flip(other))
            expected -= oracle_likelihood(p, 3, flip(text))
            if len(ref) != len(alt):
                expected -= sum(math.log(p[b]) for b in flip(alt).upper())
                expected += sum(math.log(p[b]) for b in flip(ref).upper())
        assert found == pytest.approx(expected / 2, abs=1e-4)


# --- laws -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def genome() -> dict[str, np.ndarray]:
    """Two contigs with CpG depletion and repeats, so that contexts matter."""
    rng = np.random.default_rng(7)
    made = {}
    for name, n in (("one", 60_000), ("two", 30_000)):
        bases = rng.choice(np.frombuffer(b"AACGTT", np.uint8), n)
        cpg = np.flatnonzero((bases[:-1] == ord("C")) & (bases[1:] == ord("G")))
        bases[cpg[::2] + 1] = ord("A")
        bases[1000:1400] += 32
        bases[5000:5040] = ord("N")
        made[name] = bases
    return made


@pytest.fixture(scope="module")
def model(genome: dict[str, np.ndarray]) -> MarkovModel:
    return MarkovModel.fit(genome, order=5)


def test_probabilities_sum_to_one(model: MarkovModel):
    sums = np.exp(model.log_p.astype(float)).reshape(-1, 4).sum(axis=1)
    np.testing.assert_allclose(sums, 1.0, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 59_990), st.text("ACGT", max_size=6), st.text("ACGT", max_size=6))
def test_laws_of_the_ratio(
    model: MarkovModel, genome: dict[str, np.ndarray], at: int, ref: str, alt: str
):
    text = genome["one"].tobytes().decode()
    with_ref = text[:at] + ref + text[at:]
    with_alt = text[:at] + alt + text[at:]
    there = score(model, with_ref, [(at, len(ref), alt), (at, len(ref), ref.lower())])
    back = score(model, with_alt, [(at, len(alt), ref)])
    assert there[1] == 0.0
    assert there[0] == -back[0]
    # the other strand says the same
    mirror = (len(text) - at, len(ref), reverse_complement(alt))
    assert score(model, reverse_complement(with_ref), [mirror])[0] == there[0]
    # neither case nor batch-mates matter
    alone = score(model, with_ref.lower(), [(at, len(ref), alt.lower())])
    assert alone[0] == there[0]


def test_the_spelling_of_an_indel_does_not_matter(model: MarkovModel):
    text = random_contig(9, 50) + "CACACACACA" + random_contig(10, 50)
    found = score(model, text, [(50 + 2 * i, 2, "") for i in range(5)])
    assert np.ptp(found) < 1e-5
    assert abs(found[0]) > 1e-3
    anchored = score(model, text, [(49, 3, text[49]), (49, 5, text[49:52])])
    np.testing.assert_allclose(anchored, found[0], atol=1e-5)


def test_masked_repeats_count_a_tenth_and_order_of_contigs_nothing():
    unique, repeat = random_contig(1, 4000), "acg" * 2000
    mixed = {"a": contig_of(unique), "b": contig_of(repeat)}
    model = MarkovModel.fit(mixed, order=2)
    swapped = MarkovModel.fit(dict(reversed(mixed.items())), order=2)
    assert model.digest == swapped.digest
    ten = MarkovModel.fit(
        {"a": contig_of(unique), "b": contig_of("ACG" * 200)}, order=2
    )
    # the same but for the words at the two contigs' ends
    np.testing.assert_allclose(model.log_p, ten.log_p, atol=0.01)
    heavy = MarkovModel.fit(mixed, order=2, repeat_weight=1.0)
    assert np.abs(heavy.log_p - model.log_p).max() > 0.5
    assert heavy.digest != model.digest


def test_interpolation_predicts_unseen_sequence_better_than_any_part(
    genome: dict[str, np.ndarray],
):
    bits = {}
    for order in (0, 1, 5):
        fitted = MarkovModel.fit({"one": genome["one"]}, order=order)
        total, n = fitted.log_likelihood(genome["two"])
        bits[order] = -total / n / math.log(2)
    assert bits[1] < bits[0] - 0.005  # CpG depletion
    assert bits[5] < bits[1] + 0.005  # longer contexts cost next to nothing here


def test_default_order_follows_the_genome():
    assert MarkovModel.fit({"a": contig_of("ACGTACGTACGT" * 20)}).order == 1
    assert MarkovModel.fit({"a": contig_of(random_contig(0, 200_000))}).order == 6


@pytest.mark.parametrize(
    ("contig", "options", "message"),
    [
        ("NNNN", {}, "no A, C, G or T"),
        ("", {}, "no A, C, G or T"),
        ("acgt", {"repeat_weight": 0.0}, "all bases are soft-masked"),
        ("ACGT", {"repeat_weight": 2.0}, "repeat_weight is 2.0"),
        ("ACGT", {"order": 13}, "order is 13"),
    ],
)
def test_refusals(contig: str, options: dict[str, float], message: str):
    with pytest.raises(InputError, match=message):
        MarkovModel.fit({"a": contig_of(contig)}, **options)


def test_alleles_off_the_contig_are_refused(model: MarkovModel):
    with pytest.raises(InputError, match="REF of 2 bp at 0-based 3"):
        score(model, "ACGT", [(0, 1, "C"), (3, 2, "C")])
    with pytest.raises(InputError, match="1 starts, 1 REF lengths, 2 ALTs"):
        model.log_ratio(
            contig_of("ACGT"), np.array([0]), np.array([1]), Strings.of(["A", "C"])
        )
    assert len(score(model, "ACGT", [])) == 0


def test_saved_models_come_back_and_have_the_same_bytes(
    model: MarkovModel, tmp_path: Path
):
    model.save(tmp_path / "a.npz")
    again = MarkovModel.load(tmp_path / "a.npz")
    assert again.digest == model.digest
    np.testing.assert_array_equal(again.log_p, model.log_p)
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-500])
    with pytest.raises(MalformedFileError, match=r"c\.npz: no Markov model"):
        MarkovModel.load(tmp_path / "c.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz", "c.npz"]


# --- contexts and background --------------------------------------------------------


def test_contexts_by_hand():
    #          0123456789
    contig = "ACGTNTTTACGAT"
    rows = [
        (1, "C", "T", "A[C>T]G"),
        (2, "G", "A", "A[C>T]G"),  # the same change on the other strand
        (2, "g", "t", "A[C>A]G"),
        (6, "T", "G", "T[T>G]T"),
        (8, "A", "C", "G[T>G]A"),
        (0, "A", "C", "snv_edge"),
        (12, "T", "C", "snv_edge"),
        (5, "T", "C", "snv_edge"),  # beside N
        (1, "CG", "TA", "mnp"),
        (1, "", "A", "ins1"),
        (1, "CG", "ACCAT", "ins3"),
        (1, "", "ACGT", "ins4-6"),
        (1, "", "A" * 12, "ins7-12"),
        (1, "", "A" * 13, "ins13+"),
        (1, "CG", "", "del2"),
        (5, "TTTACGAT", "A", "del7-12"),
        (1, "C", "c", "same"),
    ]
    found = allele_contexts(
        contig_of(contig),
        Alleles(
            np.array([r[0] for r in rows]),
            Strings.of(r[1] for r in rows),
            Strings.of(r[2] for r in rows),
        ),
    )
    assert [CONTEXTS[code] for code in found] == [r[3] for r in rows]
    assert len(set(CONTEXTS)) == len(CONTEXTS)


def halves(_: str, alleles: Alleles) -> np.ndarray:
    """Stand in for the consequence: a small class, and the rest by half."""
    return np.where(
        alleles.start < 300, "rare", np.where(alleles.start < 15_000, "left", "right")
    )


@pytest.fixture(scope="module")
def background(model: MarkovModel, genome: dict[str, np.ndarray]) -> Background:
    return Background.build(model, genome, halves, n_per_length=600, seed=5)


def test_the_background_holds_every_possible_snv(
    background: Background, genome: dict[str, np.ndarray]
):
    contexts = background.to_frame()["context"].astype(str)
    n_bases = sum(int((c != ord("N")).sum()) for c in genome.values())
    assert (contexts.str.contains(">") | (contexts == "snv_edge")).sum() == 3 * n_bases
    for name in CONTEXTS[97:110]:
        assert 500 < (contexts == name).sum() <= 603, name
    assert background.provenance["all_snvs"] is True


def test_percentiles_of_the_background_itself_are_uniform(background: Background):
    frame = background.to_frame()
    percentile, level = background.percentile(
        frame["llr"].to_numpy(),
        frame["consequence_class"].to_numpy(),
        frame["context"].cat.codes.to_numpy(),
    )
    assert set(level) <= {0, 1, 2}
    frame["percentile"], frame["level"] = percentile, level
    big = frame[frame["level"] == 0].groupby(
        ["consequence_class", "context"], observed=True
    )
    assert len(big) > 150
    # mid-ranks of any sample have mean 50; few ties leave them uniform
    np.testing.assert_allclose(big["percentile"].mean(), 50.0, atol=1e-3)
    one = frame[(frame["level"] == 0) & (frame["context"] == "A[C>T]G")]
    for cut in (10, 50, 90):
        assert (one["percentile"] < cut).mean() == pytest.approx(cut / 100, abs=0.02)


def test_percentile_by_hand_with_ties_and_fallback():
    table = pd.DataFrame(
        {
            "consequence_class": ["x"] * 4 + ["y"] * 3,
            "context": ["A[C>T]G"] * 3 + ["A[C>A]G"] + ["A[C>T]G"] * 2 + ["ins1"],
            "llr": np.array([-2, -1, -1, 0, 5, 6, 9], np.float32),
        }
    )
    background = Background(table, min_cell=3)
    code = {name: np.int16(i) for i, name in enumerate(CONTEXTS)}
    asked = [
        ("x", "A[C>T]G", -3.0, 100.0, "cell"),  # lower than all: most unusual
        ("x", "A[C>T]G", -2.0, 100 * 2.5 / 3, "cell"),
        ("x", "A[C>T]G", -1.0, 100 * 1.0 / 3, "cell"),  # two ties
        ("x", "A[C>T]G", 1.0, 0.0, "cell"),
        ("x", "A[C>A]G", -1.5, 75.0, "class"),  # x, all contexts
        ("y", "A[C>T]G", 5.5, 100 * 1 / 6, "kind"),  # all SNVs: -2 -1 -1 0 5 6
        ("new", "A[C>T]G", 5.5, 100 * 1 / 6, "kind"),
        ("y", "ins1", 8.0, 100.0, "kind"),
        ("y", "mnp", 8.0, math.nan, "none"),
        ("x", "A[C>T]G", math.nan, math.nan, "none"),
    ]
    percentile, level = background.percentile(
        np.array([a[2] for a in asked], np.float32),
        [a[0] for a in asked],
        np.array([code[a[1]] for a in asked]),
    )
    np.testing.assert_allclose(percentile, [a[3] for a in asked], rtol=1e-6)
    assert [LEVELS[i] for i in level] == [a[4] for a in asked]
    as_categories = pd.Categorical([a[0] for a in asked])
    again, _ = background.percentile(
        np.array([a[2] for a in asked], np.float32),
        as_categories,
        np.array([code[a[1]] for a in asked]),
    )
    np.testing.assert_array_equal(again, percentile)


def test_background_is_set_by_its_seed_and_survives_saving(
    background: Background,
    model: MarkovModel,
    genome: dict[str, np.ndarray],
    tmp_path: Path,
):
    turned = dict(reversed(genome.items()))
    same = Background.build(model, turned, halves, n_per_length=600, seed=5)
    other = Background.build(model, genome, halves, n_per_length=600, seed=6)
    assert same.digest == background.digest != other.digest
    background.save(tmp_path / "a.parquet")
    back = Background.load(tmp_path / "a.parquet")
    assert back.digest == background.digest
    back.save(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (
        tmp_path / "b.parquet"
    ).read_bytes()
    (tmp_path / "c.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(MalformedFileError, match=r"c\.parquet: no Markov background"):
        Background.load(tmp_path / "c.parquet")


def test_a_sample_gives_nearly_the_percentiles_of_all(
    background: Background, model: MarkovModel, genome: dict[str, np.ndarray]
):
    sample = Background.build(
        model, genome, halves, limit=60_000, n_per_length=600, seed=5
    )
    assert sample.provenance["all_snvs"] is False
    n_snv = (~sample.to_frame()["context"].isin(CONTEXTS[97:])).sum()
    assert n_snv == pytest.approx(60_000, rel=0.01)
    llr = np.linspace(-2, 2, 50).astype(np.float32)
    asked = (llr, ["left"] * 50, np.full(50, CONTEXTS.index("T[T>G]A"), np.int16))
    np.testing.assert_allclose(
        sample.percentile(*asked)[0], background.percentile(*asked)[0], atol=6
    )


def test_alleles_given_to_classify_are_minimal_sorted_and_real(
    model: MarkovModel, genome: dict[str, np.ndarray]
):
    def check(name: str, alleles: Alleles) -> np.ndarray:
        contig = genome[name]
        assert (np.diff(alleles.start) >= 0).all()
        text = contig.tobytes().decode().upper()
        spans = zip(alleles.start, alleles.ref.to_list(), strict=True)
        assert all(text[s : s + len(r)] == r for s, r in spans)
        again = normalise(contig, alleles.start, alleles.ref, alleles.alt)
        assert again.minimal.ref.to_list() == alleles.ref.to_list()
        np.testing.assert_array_equal(again.minimal.start, alleles.start)
        assert "N" not in "".join(alleles.alt.to_list())
        return np.full(len(alleles), "all")

    Background.build(model, genome, check, limit=20_000, n_per_length=300)
    with pytest.raises(InputError, match="labels for"):
        Background.build(model, genome, lambda *_: np.array(["x"]), limit=500)


# --- a real genome -------------------------------------------------------------------


@pytest.mark.realdata
def test_yeast(shared_data: Path):
    genome: dict[str, list[str]] = {}
    with gzip.open(shared_data / "yeast/genome/sacCer3.fa.gz", "rt") as lines:
        for line in lines:
            if line.startswith(">"):
                parts = genome[line[1:].split()[0]] = []
            else:
                parts.append(line.strip())
    contigs = {k: contig_of("".join(v)) for k, v in genome.items()}
    model = MarkovModel.fit(contigs)
    assert model.order == 9
    without = MarkovModel.fit({k: v for k, v in contigs.items() if k != "chrIV"})
    contig = contigs["chrIV"]

    # longer contexts predict a chromosome that was not seen
    flat = MarkovModel.fit({k: v for k, v in contigs.items() if k != "chrIV"}, order=0)
    bits = [-(m.log_likelihood(contig)[0]) for m in (without, flat)]
    assert bits[0] < 0.985 * bits[1]

    # what it matters that the scored genome was itself counted
    rng = np.random.default_rng(0)
    start = np.sort(rng.integers(0, len(contig), 300_000))
    letters = np.frombuffer(b"ACGT", np.uint8)
    code = np.searchsorted(letters, contig[start])
    alt = letters[(code + rng.integers(1, 4, len(start))) % 4]
    alts = Strings(alt, np.arange(len(start) + 1))
    ones = np.ones(len(start), np.int64)
    model.log_ratio(contig, start[:1], ones[:1], alts.take(np.array([0])))
    began = time.process_time()
    with_self = model.log_ratio(contig, start, ones, alts)
    rate = len(start) / (time.process_time() - began)
    without_self = without.log_ratio(contig, start, ones, alts)
    assert np.corrcoef(with_self, without_self)[0, 1] > 0.96
    assert -0.25 < (with_self - without_self).mean() < -0.1
    assert rate > 500_000  # SNVs a second on one core; 4 million on the author's
