"""Next-k-mer prediction: answers by hand, and a rule that a model must find."""

import json

import numpy as np
import pytest
import torch

from data_registry.errors import InputError
from encoders import nucleotides
from encoders.next_kmer import (
    CHUNK_TOKENS,
    KS,
    Places,
    Questions,
    ask,
    choose,
    compare,
    count_predictions,
    draw_places,
    predict,
    train_model,
)
from encoders.tokenizers import BpeTokenizer, CharacterTokenizer, KmerTokenizer

BPE = BpeTokenizer.from_words([("A", "C"), ("AC", "G"), ("T", "T")])


def places(*cuts, share=1.0):
    n = len(cuts)
    return Places(np.zeros(n, np.int64), np.array(cuts), np.full(n, share))


def test_answers_and_tokens_by_hand():
    codes = nucleotides.encode("ACGTTACGTACGTT" + "GATTACA")
    found = ask(KmerTokenizer(3), [codes], places(14, share=0.001))
    # One word of three bases ends at the cut: GTT; then comes GATTAC.
    assert found.tokens[0, -1] == KmerTokenizer(3).encode(nucleotides.encode("GTT"))[0]
    assert (found.tokens[0, :-1] == -1).all()
    assert found.answers[2][0] == 2 * 4 + 0
    assert found.answers[3][0] == (2 * 4 + 0) * 4 + 3
    assert found.answers[6][0] == int("203301", 4)


def test_tokens_know_nothing_of_the_bases_after_the_cut():
    # Cut within ACG: read as AC, whatever follows; a token's end gives nothing away.
    sequences = [nucleotides.encode("TTTTAC" + after) for after in ("GTTTTT", "ATTTTT")]
    read = [ask(BPE, [codes], places(6)).tokens for codes in sequences]
    assert (read[0] == read[1]).all()
    assert read[0][0, -1] == BPE.vocabulary.index("AC")


def test_places_are_followed_by_known_bases_and_keep_their_room():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, 400).astype(np.uint8)
    codes[200:210] = 4
    short = codes[:30]
    drawn = draw_places([short, codes], 500, rng, room_bp=50)
    assert (drawn.contig == 1).all()
    assert drawn.cut.min() == 50
    assert drawn.cut.max() == 394
    assert not ((drawn.cut > 194) & (drawn.cut < 210)).any()
    with pytest.raises(InputError, match="larger genome"):
        draw_places([short], 5, rng, room_bp=50)
    with pytest.raises(InputError, match="known bases"):
        draw_places([np.full(400, 4, np.uint8)], 5, rng, room_bp=50)


def test_counts_back_off_to_the_commonest():
    learn = Questions(
        np.array([[-1, 1]] * 9 + [[-1, 2]] * 12 + [[-1, 3]] * 2, np.int16),
        {2: np.array([5] * 9 + [7] * 12 + [9] * 2)},
    )
    test = Questions(np.array([[4, 1], [-1, 2], [-1, 3]], np.int16), {})
    # Token 3 was seen twice only: the commonest answer of all, 7.
    assert count_predictions(learn, test, 2).tolist() == [5, 7, 7]


def repetitive(n, rng):
    """Six-base words, each followed by one that depends on it alone."""
    words = ["ACGTTG", "CATGCC", "TTAGGA", "GGCATA"]
    order = [0]
    for _ in range(n):
        order.append((order[-1] + 1 + int(rng.random() < 0.1)) % 4)
    return nucleotides.encode("".join(words[i] for i in order))


def test_a_rule_is_found_and_chance_is_not_beaten_on_noise():
    rng = np.random.default_rng(2)
    for codes, low, high in (
        (repetitive(3000, rng), 0.6, 1.0),
        (rng.integers(0, 4, 18_000).astype(np.uint8), 0.0, 0.12),
    ):
        half = len(codes) // 2
        learn = ask(
            BPE, [codes[:half]], draw_places([codes[:half]], 1200, rng, room_bp=1100)
        )
        test = ask(
            BPE, [codes[half:]], draw_places([codes[half:]], 400, rng, room_bp=1100)
        )
        generator = torch.Generator().manual_seed(3)
        model = train_model(len(BPE.vocabulary), learn, generator, epochs=10)
        found = predict(model, test)
        for k in KS:
            np.testing.assert_allclose(np.exp(found[k]).sum(axis=1), 1.0, rtol=1e-4)
        accuracy = (found[2].argmax(axis=1) == test.answers[2]).mean()
        assert low <= accuracy <= high


def test_finished_tokenizers_are_not_evaluated_again(tmp_path):
    rng = np.random.default_rng(4)
    codes = repetitive(2000, rng)
    kwargs = {"n_learn": 200, "n_test": 100, "seed": 1, "epochs": 1,
              "done": tmp_path / "done.json"}  # fmt: skip
    tokenizers = [CharacterTokenizer(), BPE]
    first = compare(tokenizers, [codes], [codes], **kwargs)
    again = compare(
        tokenizers[:1], [codes], [codes], **(kwargs | {"done": tmp_path / "x"})
    )
    # The seed decides: a fresh run gives the same numbers.
    assert CHUNK_TOKENS == 510
    assert (
        again[0]
        == compare(
            [tokenizers[0]], [codes], [codes], **(kwargs | {"done": tmp_path / "y"})
        )[0]
    )
    kept = json.loads((tmp_path / "done.json").read_text())
    marked = {key: {**value, "tokens": -1} for key, value in kept.items()}
    (tmp_path / "done.json").write_text(json.dumps(marked))
    assert [r["tokens"] for r in compare(tokenizers, [codes], [codes], **kwargs)] == [
        -1,
        -1,
    ]
    assert [r["tokenizer"] for r in first] == ["character", "bpe3"]


def test_the_best_rank_over_all_k_is_chosen():
    def result(name, tokens, *accuracies):
        by_k = {str(k): {"network": a} for k, a in zip(KS, accuracies, strict=True)}
        return {"tokenizer": name, "tokens": tokens, "by_k": by_k}

    results = [
        result("a", 9, 0.2, 0.1, 0.05, 0.01, 0.004),
        result("b", 5, 0.3, 0.09, 0.04, 0.009, 0.003),
        result("c", 7, 0.1, 0.12, 0.06, 0.011, 0.005),
    ]
    assert choose(results) == "c"
