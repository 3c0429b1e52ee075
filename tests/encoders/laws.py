"""The laws of ``SequenceModel``: import and run them on every model there is."""

import numpy as np

from encoders.likelihood import both_strands, is_masked, log_probabilities_at
from encoders.nucleotides import UNKNOWN, reverse_complement
from encoders.sequence_model import SequenceModel


def check_sequence_model(
    model: SequenceModel,
    rng: np.random.Generator,
    *,
    margin: int = 24,
    blind: bool = True,
    atol: float = 2e-4,
) -> None:
    """Run all laws.

    Parameters
    ----------
    margin
        Bases tested beyond ``reach_bp``; give models a short reach, to be quick.
    blind
        Whether the base at a position has no part in its own row. Only one-pass
        approximations of masked models may say no.
    """
    codes = rng.integers(0, 4, model.reach_bp + margin, dtype=np.uint8)
    codes[margin // 2] = UNKNOWN
    asked = codes.copy()
    log_p, states = model.log_probabilities(codes), model.embed(codes)
    np.testing.assert_array_equal(codes, asked, "the input was changed")

    assert log_p.shape == (len(codes), 4)
    assert log_p.dtype == np.float32
    assert states.shape == (len(codes), model.width)
    assert states.dtype == np.float32
    assert np.isfinite(states).all()
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, atol=1e-5)

    check_short_sequences(model)
    check_independence(model, codes, log_p, states, rng, atol)
    check_reach(model, codes, log_p, states, atol)
    check_context_is_used(model, codes, log_p)
    if blind:
        check_blindness(model, codes, log_p, atol)
    check_strands(model, codes, log_p, states, atol)


def check_short_sequences(model: SequenceModel) -> None:
    empty = np.empty(0, np.uint8)
    assert model.log_probabilities(empty).shape == (0, 4)
    assert model.embed(empty).shape == (0, model.width)
    for codes in (np.array([2], np.uint8), np.full(9, UNKNOWN, np.uint8)):
        log_p = model.log_probabilities(codes)
        np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, atol=1e-5)
        assert model.embed(codes).shape == (len(codes), model.width)


def check_independence(model, codes, log_p, states, rng, atol) -> None:
    """The same question has the same answer, whatever was asked before or beside it."""
    model.log_probabilities(rng.integers(0, 5, 17, dtype=np.uint8))
    np.testing.assert_allclose(model.log_probabilities(codes), log_p, atol=atol)
    np.testing.assert_allclose(model.embed(codes), states, atol=atol)
    if is_masked(model):
        positions = np.array([len(codes) - 1, 3, 3, 0])
        few = model.log_probabilities_at(codes, positions)
        np.testing.assert_allclose(few, log_p[positions], atol=atol)
        assert model.log_probabilities_at(codes, positions[:0]).shape == (0, 4)


def check_reach(model, codes, log_p, states, atol) -> None:
    """No base further than ``reach_bp`` away changes an answer."""
    changed = codes.copy()
    changed[-3:] = (changed[-3:] + 1) % 4
    far = np.arange(len(codes) - 3 - model.reach_bp)
    assert len(far)
    np.testing.assert_allclose(
        log_probabilities_at(model, changed, far), log_p[far], atol=atol
    )
    np.testing.assert_allclose(model.embed(changed)[far], states[far], atol=atol)


def check_context_is_used(model, codes, log_p) -> None:
    """A model that answers the same whatever stands around keeps all other laws."""
    changed = codes.copy()
    middle = len(codes) // 2
    changed[middle - 2] = (changed[middle - 2] + 1) % 4
    changed[middle + 2] = (changed[middle + 2] + 1) % 4
    row = log_probabilities_at(model, changed, np.array([middle]))[0]
    assert np.abs(row - log_p[middle]).max() > 1e-5


def check_blindness(model, codes, log_p, atol) -> None:
    """The base at a position has no part in its own row."""
    for place in (0, 5, len(codes) // 2, len(codes) - 1):
        for base in range(4):
            changed = codes.copy()
            changed[place] = base
            row = log_probabilities_at(model, changed, np.array([place]))
            np.testing.assert_allclose(row[0], log_p[place], atol=atol)


def check_strands(model, codes, log_p, states, atol) -> None:
    """A symmetric model gives the other strand's answers backwards; so does the mean."""
    other = reverse_complement(codes)
    if model.strand_symmetric:
        back = model.log_probabilities(other)[::-1, ::-1]
        np.testing.assert_allclose(back, log_p, atol=atol)
        np.testing.assert_allclose(model.embed(other)[::-1], states, atol=atol)
    mean = both_strands(model)
    np.testing.assert_allclose(
        mean.log_probabilities(other)[::-1, ::-1],
        mean.log_probabilities(codes),
        atol=atol,
    )
