"""Tokenizers: merges by hand, the round trip, and the tokenizers library as a peer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_registry.errors import MalformedFileError
from encoders import nucleotides
from encoders.tokenizers import (
    BpeTokenizer,
    CharacterTokenizer,
    KmerTokenizer,
    decode,
    token_lengths,
    train_bpe,
)

# AA, AAC, CG, and AAC once more from A and AC.
MERGES = (("A", "A"), ("AA", "C"), ("C", "G"), ("A", "C"), ("A", "AC"))
BPE = BpeTokenizer.from_words(MERGES)


def words(tokenizer, letters):
    tokens = tokenizer.encode(nucleotides.encode(letters))
    return [tokenizer.vocabulary[token] for token in tokens]


def test_merges_by_hand():
    # AA first and from the left; then AAC; the earlier CG leaves no C for A.
    assert words(BPE, "AAAC") == ["AA", "AC"]
    assert words(BPE, "AAC") == ["AAC"]
    assert words(BPE, "AACG") == ["AAC", "G"]
    assert words(BPE, "ACGNACT") == ["A", "CG", "N", "AC", "T"]
    assert words(BPE.first(1), "AAACG") == ["AA", "A", "C", "G"]
    assert words(BPE, "") == []


def test_two_merges_of_one_word_make_one_token():
    assert BPE.vocabulary == ("A", "C", "G", "T", "N", "AA", "AAC", "CG", "AC")
    assert BPE.merges[4] == (0, 8)
    assert token_lengths(BPE).tolist() == [1, 1, 1, 1, 1, 2, 3, 2, 2]


def test_words_side_by_side_with_unknown_bases_and_a_rest():
    assert words(KmerTokenizer(3), "ACGNTTGGGAC") == [
        "ACG", "N", "T", "T", "GGG", "A", "C",
    ]  # fmt: skip
    assert len(KmerTokenizer(3).vocabulary) == 5 + 64


@settings(max_examples=60, deadline=None)
@given(st.text("ACGTN", max_size=80))
def test_what_is_encoded_is_decoded(letters):
    codes = nucleotides.encode(letters)
    for tokenizer in (CharacterTokenizer(), KmerTokenizer(2), KmerTokenizer(5), BPE):
        tokens = tokenizer.encode(codes)
        assert nucleotides.decode(decode(tokenizer, tokens)) == letters
        assert token_lengths(tokenizer)[tokens].sum() == len(letters)


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(7)
    motif = nucleotides.encode("TATAAAGCGC")
    parts = [rng.integers(0, 4, 6).astype(np.uint8) for _ in range(400)]
    return train_bpe([np.concatenate([np.r_[part, motif] for part in parts])], 40)


def test_a_planted_word_is_learnt(trained):
    assert len(trained.merges) == 40
    # The chunks' ends cut the word here and there, so its longest part may lack a base.
    assert max(len(word) for word in trained.vocabulary) >= 8
    assert any(word in "TATAAAGCGC" and len(word) >= 8 for word in trained.vocabulary)


def test_the_library_cuts_the_same_from_our_file(trained, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    rng = np.random.default_rng(8)
    codes = rng.choice(5, size=3000, p=[0.3, 0.2, 0.2, 0.29, 0.01]).astype(np.uint8)
    for ours in (BPE, trained, trained.first(13)):
        ours.save(tmp_path / "tokenizer.json")
        theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        letters = nucleotides.decode(codes)
        assert theirs.encode(letters).ids == ours.encode(codes).tolist()
        assert theirs.decode(theirs.encode(letters).ids) == letters
        assert BpeTokenizer.load(tmp_path / "tokenizer.json") == ours


def test_fewer_merges_are_the_first_of_more(trained):
    # Learning is greedy: the first 10 of 40 cycles are the 10 cycles.
    assert trained.first(10).merges == trained.merges[:10]
    assert trained.first(10).vocabulary == trained.vocabulary[:15]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"model": {"merges": [["A", "CC"]]}}',
        '{"model": {"merges": [["A"]]}}',
        "{",
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path, text):
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(MalformedFileError, match=r"encoders\.tokenize"):
        BpeTokenizer.load(path)
