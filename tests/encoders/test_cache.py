import numpy as np
import pytest

from data_registry.errors import WorkspaceError
from encoders import cache
from encoders.cache import EncoderRecord, embed_cached, list_encoders, read_embeddings

ENCODER = EncoderRecord("lengths", "text", "abc", {"a": 1})


class Counting:
    """Embeds a text as its length and first letter; counts what it was asked."""

    def __init__(self, texts):
        self.texts = texts
        self.asked: list[str] = []

    def __call__(self, names):
        self.asked += names
        return np.array([[len(self.texts[n]), ord(self.texts[n][0])] for n in names])


def run(root, texts, encoder=ENCODER):
    compute = Counting(texts)
    outcome = embed_cached(root, encoder, "text", texts, compute)
    return compute.asked, outcome


def test_unchanged_input_is_never_computed_again(tmp_path):
    texts = {"b": "two", "a": "three", "c": "two"}
    asked, outcome = run(tmp_path, texts)
    assert asked == ["a", "b"]  # c has the same text as b
    assert (outcome.n_computed, outcome.n_reused, outcome.n_removed) == (2, 1, 0)
    found = read_embeddings(tmp_path, "abc", "text")
    assert found.identifiers == ("a", "b", "c")
    np.testing.assert_array_equal(
        found.vectors, [[5, ord("t")], [3, ord("t")], [3, ord("t")]]
    )
    written = outcome.path.stat().st_mtime_ns
    asked, outcome = run(tmp_path, texts)
    assert asked == []
    assert outcome.path.stat().st_mtime_ns == written

    # one changed, one gone, one new with a known text
    asked, outcome = run(tmp_path, {"a": "four!!", "b": "two", "d": "two"})
    assert asked == ["a"]
    assert (outcome.n_computed, outcome.n_reused, outcome.n_removed) == (1, 2, 1)
    found = read_embeddings(tmp_path, "abc", "text")
    assert found.identifiers == ("a", "b", "d")
    np.testing.assert_array_equal(found.vectors[:, 0], [6, 3, 3])


def test_another_encoder_computes_anew(tmp_path):
    run(tmp_path, {"a": "x"})
    other = EncoderRecord("lengths", "text", "def", {})
    asked, _ = run(tmp_path, {"a": "x"}, other)
    assert asked == ["a"]
    assert [each.digest for each in list_encoders(tmp_path)] == ["abc", "def"]
    assert list_encoders(tmp_path)[0] == ENCODER


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CHUNK", 2)
    texts = {name: name * 2 for name in "abcdef"}
    compute = Counting(texts)

    def killed(names):
        if len(compute.asked) == 4:
            raise KeyboardInterrupt
        return compute(names)

    with pytest.raises(KeyboardInterrupt):
        embed_cached(tmp_path, ENCODER, "text", texts, killed)
    with pytest.raises(WorkspaceError, match="unfinished"):
        read_embeddings(tmp_path, "abc", "text")
    asked, _ = run(tmp_path, texts)
    assert asked == ["e", "f"]
    assert len(read_embeddings(tmp_path, "abc", "text").identifiers) == 6


def test_no_nodes(tmp_path):
    run(tmp_path, {})
    assert read_embeddings(tmp_path, "abc", "text").identifiers == ()
    asked, _ = run(tmp_path, {"a": "x"})
    assert asked == ["a"]


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(WorkspaceError, match=r"not there.*encoders\.embed"):
        read_embeddings(tmp_path, "abc", "text")
    _, outcome = run(tmp_path, {"a": "x"})
    outcome.path.write_bytes(b"PAR1 no more")
    with pytest.raises(WorkspaceError, match="damaged"):
        read_embeddings(tmp_path, "abc", "text")
    with pytest.raises(WorkspaceError, match="damaged"):
        run(tmp_path, {"a": "x"})
