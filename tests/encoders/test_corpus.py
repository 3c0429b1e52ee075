import numpy as np
import pytest

from data_registry.errors import InputError
from encoders.corpus import (
    MASKED_WEIGHT,
    SHORTEST_BP,
    WORD_BP,
    Assembly,
    Corpus,
    aligned_spans,
    bases_in,
    build_corpus,
    held_out_words,
)
from encoders.nucleotides import UNKNOWN, decode, encode, reverse_complement

pytest.importorskip("mappy", reason="the extra 'relatives' is not installed")


def letters(codes) -> np.ndarray:
    return np.frombuffer(decode(codes).encode(), np.uint8)


def mutated(codes, rate, rng) -> np.ndarray:
    changed = codes.copy()
    at = rng.random(len(codes)) < rate
    changed[at] = (changed[at] + rng.integers(1, 4, at.sum())) % 4
    return changed


def words(codes, k) -> set[bytes]:
    both = (codes, reverse_complement(codes))
    return {c[i : i + k].tobytes() for c in both for i in range(len(c) - k + 1)}


@pytest.fixture
def genomes():
    """chr2 is held out; strain B carries a part of it, 10 % changed, on the other
    strand of a contig that bears another name, and a second copy on reference chr1."""
    rng = np.random.default_rng(11)
    one, two = (rng.integers(0, 4, n).astype(np.uint8) for n in (30_000, 12_000))
    relocated = reverse_complement(mutated(two[2_000:9_000], 0.10, rng))
    one[10_000:12_000] = mutated(two[500:2_500], 0.05, rng)
    other = np.concatenate([one[:8_000], relocated, one[20_000:]])
    reference = Assembly("A", {"chr1": letters(one), "chr2": letters(two)})
    strain = Assembly("B", {"chr1": letters(other), "chr2": letters(one[:5_000])})
    return reference, strain, two


def test_nothing_that_aligns_to_a_held_out_contig_is_learned_from(genomes):
    reference, strain, held_out = genomes
    corpus = build_corpus([reference, strain], ["chr2"])
    assert not words(held_out, 20) & words(corpus.codes, 20)
    a, b = corpus.accounts
    assert a.held_out_by_name == 12_000
    assert 2_000 <= a.held_out_by_alignment <= 2_400
    assert 7_000 <= b.held_out_by_alignment <= 7_400
    for account in (a, b):
        parts = (
            account.held_out_by_name + account.held_out_by_alignment
            + account.held_out_by_word + account.unknown + account.too_short + account.kept
        )  # fmt: skip
        assert parts == account.total
    # B's own "chr2" is not related to the reference's: names mean nothing
    assert (
        b.kept == b.total - b.held_out_by_alignment - b.held_out_by_word - b.too_short
    )
    assert len(corpus) == a.kept + b.kept


def test_without_alignment_it_would_have_been(genomes):
    """The test above can fail: cut by name alone, the relocated copy stays."""
    _, strain, held_out = genomes
    corpus = build_corpus([Assembly("B", strain.contigs)], [])
    assert words(held_out, 20) & words(corpus.codes, 20)


def test_words_are_found_on_both_strands_and_only_whole():
    rng = np.random.default_rng(4)
    target, other = (rng.integers(0, 4, 200).astype(np.uint8) for _ in range(2))
    other[50 : 50 + WORD_BP] = target[10 : 10 + WORD_BP]
    other[120 : 120 + WORD_BP + 3] = reverse_complement(target[90 : 90 + WORD_BP + 3])
    other[5 : 5 + WORD_BP - 1] = target[150 : 150 + WORD_BP - 1]  # one base short
    end = 90 + WORD_BP + 3
    for at, match in (
        (4, target[149]), (5 + WORD_BP - 1, target[150 + WORD_BP - 1]),
        (49, target[9]), (50 + WORD_BP, target[10 + WORD_BP]),
        (119, 3 - target[end]), (120 + WORD_BP + 3, 3 - target[89]),
    ):  # fmt: skip
        other[at] = (match + 1) % 4  # no copy goes on by chance
    found = np.flatnonzero(
        bases_in(held_out_words({"t": letters(target)}), letters(other))
    )
    wanted = [*range(50, 50 + WORD_BP), *range(120, 120 + WORD_BP + 3)]
    assert found.tolist() == wanted
    assert not bases_in(held_out_words({}), letters(other)).any()


def test_spans_are_where_the_copy_is(genomes):
    reference, strain, _ = genomes
    (span,) = aligned_spans({"chr2": reference.contigs["chr2"]}, strain.contigs["chr1"])
    assert span[0] == pytest.approx(8_000, abs=30)
    assert span[1] == pytest.approx(15_000, abs=30)


def test_unknown_contigs_are_refused(genomes):
    reference, _, _ = genomes
    with pytest.raises(InputError, match="'chrX' is not in A, which has chr1, chr2"):
        build_corpus([reference], ["chrX"])
    with pytest.raises(InputError, match="nothing is left"):
        build_corpus([reference], ["chr1", "chr2"])


def test_unknown_bases_part_pieces_and_soft_masked_ones_weigh_less():
    rng = np.random.default_rng(2)
    text = decode(rng.integers(0, 4, 600).astype(np.uint8))
    contig = text[:200] + "N" * 50 + text[200:400].lower() + "N" + text[400:500]
    corpus = build_corpus(
        [Assembly("A", {"c": np.frombuffer(contig.encode(), np.uint8)})], []
    )
    assert corpus.starts.tolist() == [0, 200, 400]
    assert decode(corpus.codes) == text[:400]
    np.testing.assert_allclose(corpus.weights, [1] * 200 + [MASKED_WEIGHT] * 200)
    (account,) = corpus.accounts
    assert (account.unknown, account.too_short) == (51, 100)
    assert SHORTEST_BP > 100


def test_a_window_never_runs_over_the_end_of_its_piece():
    """Pieces of one letter each, so that a window with two letters would show."""
    codes = np.repeat(np.array([0, 1, 2], np.uint8), [300, 40, 500])
    corpus = Corpus(codes, np.ones(840, np.float32), np.array([0, 300, 340, 840]), ())
    windows, weights = corpus.sample(np.random.default_rng(1), 2_000, 64)
    seen = np.zeros(3)
    for window, weight in zip(windows, weights, strict=True):
        (letter,) = set(window[window != UNKNOWN].tolist())
        seen[letter] += (window == letter).sum()
        np.testing.assert_array_equal(weight > 0, window != UNKNOWN)
    # the short piece (40 bp) stands in a 64 bp window with 24 unknown bases
    np.testing.assert_allclose(
        seen / seen.sum(), [300 / 840, 40 / 840, 500 / 840], atol=0.03
    )


@pytest.mark.realdata
def test_no_yeast_sequence_related_to_the_held_out_chromosome_is_kept(shared_data):
    """None of chrI's words of 24 is left in two strains' chrI and chrVIII.

    By alignment alone 0.4 % of its bases were: transfer RNAs and subtelomeric repeats,
    up to 221 bp long, which the aligner passes over.
    """
    import gzip

    def read(path, wanted):
        contigs, name = {}, ""
        with gzip.open(path, "rt") as file:
            for line in file:
                if line[0] == ">":
                    name = line[1:].split()[0]
                elif name in wanted:
                    contigs.setdefault(name, []).append(line.strip())
        return {
            n: np.frombuffer("".join(p).encode(), np.uint8) for n, p in contigs.items()
        }

    yeast = shared_data / "yeast"
    # chrVIII and chrI share subtelomeric genes, and SK1's chrI is the same chromosome
    reference = Assembly(
        "S288C", read(yeast / "genome/sacCer3.fa.gz", {"chrI", "chrVIII"})
    )
    strain = Assembly(
        "SK1", read(yeast / "assemblies/SK1.genome.fa.gz", {"chrI", "chrVIII"})
    )
    corpus = build_corpus([reference, strain], ["chrI"])
    held_out = words(encode(reference.contigs["chrI"]), 24)
    starts = [words(codes, 24) for codes in np.split(corpus.codes, corpus.starts[1:-1])]
    assert not any(held_out & each for each in starts)
    assert all(0 < account.held_out_by_word < 20_000 for account in corpus.accounts)
    by_name = words(encode(strain.contigs["chrI"]), 24)
    assert len(held_out & by_name) / len(held_out) > 0.5
