"""What a sequence model says of a changed sequence: likelihood ratios and distances.

A model that predicts each base from all the others gives, in one pass over a stretch,
``log p(b | rest)`` for the four bases at every position, hence the log-likelihood ratio
of every single-base change there. Alleles that change several bases or the length are
compared by the pseudo-log-likelihood of both haplotypes (Salazar et al. 2020, Masked
Language Model Scoring, ACL): the sum over their bases of ``log p(base | rest)``.
"""

from dataclasses import dataclass
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from encoders.nucleotides import N_BASES, UNKNOWN, reverse_complement
from encoders.sequence_model import SequenceModel

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]

TILE_BP = 1_024
CONTEXT_BP = 256
"""Bases on each side of an allele that both haplotypes are read with."""
NEAR_BP = 64
"""Bases on each side of an allele over which likelihoods and distances are summed."""


class MaskedModel(SequenceModel, Protocol):
    """A model that needs one pass for each base it predicts, and says so."""

    is_masked: bool

    def log_probabilities_at(
        self, codes: Codes, positions: NDArray[np.int64]
    ) -> Floats:
        """Return ``log_probabilities(codes)[positions]`` at the cost of those alone."""
        ...


def is_masked(model: SequenceModel) -> TypeGuard[MaskedModel]:
    """Whether to ask a model for as few bases as possible, rather than for stretches."""
    return bool(getattr(model, "is_masked", False))


class BothStrands:
    """The mean of a model's answers on both strands, for one that is not symmetric.

    Log-probabilities are averaged and brought back to sum to one, which leaves
    differences between bases their plain averages. All else is the model's own.
    """

    strand_symmetric: bool = True

    def __init__(self, model: SequenceModel) -> None:
        self.model = model
        self.name: str = model.name
        self.digest: str = model.digest
        self.reach_bp: int = model.reach_bp
        self.width: int = model.width

    def log_probabilities(self, codes: Codes) -> Floats:
        """Average both strands, ``(length, 4)``."""
        there = self.model.log_probabilities(codes)
        back = self.model.log_probabilities(reverse_complement(codes))
        return _normalised(there + back[::-1, ::-1], over=2)

    def embed(self, codes: Codes) -> Floats:
        """Average both strands, ``(length, width)``."""
        back = self.model.embed(reverse_complement(codes))[::-1]
        return ((self.model.embed(codes) + back) / 2).astype(np.float32)


class BothStrandsMasked(BothStrands):
    """The same of a masked model."""

    is_masked: bool = True

    def log_probabilities_at(
        self, codes: Codes, positions: NDArray[np.int64]
    ) -> Floats:
        """Average both strands at a few positions, ``(positions, 4)``."""
        there = log_probabilities_at(self.model, codes, positions)
        back = log_probabilities_at(
            self.model, reverse_complement(codes), len(codes) - 1 - positions
        )
        return _normalised(there + back[:, ::-1], over=2)


def both_strands(model: SequenceModel) -> SequenceModel:
    """Return a model that answers alike on both strands."""
    if model.strand_symmetric:
        return model
    return BothStrandsMasked(model) if is_masked(model) else BothStrands(model)


def log_probabilities_at(
    model: SequenceModel, codes: Codes, positions: NDArray[np.int64]
) -> Floats:
    """Return ``(positions, 4)``, by the cheaper way the model offers."""
    if is_masked(model):
        return model.log_probabilities_at(codes, positions)
    return model.log_probabilities(codes)[positions]


def substitution_ratios(
    model: SequenceModel, contig: Codes, start: int, end: int
) -> Floats:
    """Return the ratio of every single-base change in ``[start, end)`` (0-based half-open).

    The model reads ``reach_bp`` further on both sides, so the answer is that of one pass
    over the whole contig; beyond the contig's ends it sees nothing.

    Returns
    -------
    NDArray
        ``(end - start, 4)``, nats: ``log p(base | rest) - log p(reference | rest)``,
        negative where the base is less likely, 0 at the reference itself, NaN where the
        reference is unknown.
    """
    low = max(start - model.reach_bp, 0)
    high = min(end + model.reach_bp, len(contig))
    log_p = model.log_probabilities(contig[low:high])[start - low : end - low]
    return against_reference(log_p, contig[start:end])


def against_reference(log_p: Floats, codes: Codes) -> Floats:
    """Turn log-probabilities ``(n, 4)`` into ratios over the base that stands there."""
    known = codes < UNKNOWN
    own = log_p[np.arange(len(codes)), np.where(known, codes, 0)]
    ratios: Floats = np.where(known[:, None], log_p - own[:, None], np.nan)
    return ratios.astype(np.float32)


def ratios_at(
    model: SequenceModel, contig: Codes, positions: NDArray[np.int64]
) -> Floats:
    """Return ``substitution_ratios`` at scattered positions, ``(positions, 4)``.

    A position's answer does not depend on the others asked: one-pass models are asked in
    the tiles of a fixed grid, models with one pass a base in a window around each.
    """
    out = np.full((len(positions), N_BASES), np.nan, dtype=np.float32)
    if is_masked(model):
        for i, place in enumerate(positions.tolist()):
            low = max(place - model.reach_bp, 0)
            window = contig[low : place + model.reach_bp + 1]
            log_p = model.log_probabilities_at(window, np.array([place - low]))
            out[i] = against_reference(log_p, contig[place : place + 1])[0]
        return out
    tile = positions // TILE_BP
    order = np.argsort(tile, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(tile[order])) + 1):
        if len(rows):
            start = int(tile[rows[0]]) * TILE_BP
            end = min(start + TILE_BP, len(contig))
            ratios = substitution_ratios(model, contig, start, end)
            out[rows] = ratios[positions[rows] - start]
    return out


@dataclass(frozen=True, slots=True)
class Haplotypes:
    """The window of an allele with REF and with ALT.

    Parameters
    ----------
    ref, alt
        ``CONTEXT_BP`` bases, the allele, ``CONTEXT_BP`` bases; ``UNKNOWN`` beyond the
        contig's ends.
    n_ref, n_alt
        Bases of the allele.
    """

    ref: Codes
    alt: Codes
    n_ref: int
    n_alt: int

    @classmethod
    def of(cls, contig: Codes, start: int, n_ref: int, alt: Codes) -> "Haplotypes":
        """Cut the window out of a contig; ``start`` is 0-based."""
        end = start + n_ref
        left = contig[max(start - CONTEXT_BP, 0) : start]
        right = contig[end : end + CONTEXT_BP]
        before = np.full(CONTEXT_BP - len(left), UNKNOWN, dtype=np.uint8)
        after = np.full(CONTEXT_BP - len(right), UNKNOWN, dtype=np.uint8)
        ref, changed = (
            np.concatenate([before, left, middle, right, after])
            for middle in (contig[start:end], alt)
        )
        return cls(ref, changed, n_ref, len(alt))


def allele_ratio(model: SequenceModel, haplotypes: Haplotypes) -> float:
    """Return the length-normalised pseudo-log-likelihood ratio of ALT over REF, nats.

    Over the allele and ``NEAR_BP`` bases on each side, with ``m`` the mean of
    ``log p(base | rest)`` and ``n`` the number of known bases of a haplotype:
    ``(m_alt - m_ref) (n_alt + n_ref) / 2``. For haplotypes of one length this is the
    difference of their pseudo-log-likelihoods; otherwise bases gained or lost count by
    how they compare with the window's average, so that length alone does not score.
    Equal haplotypes give 0; swapping them changes the sign. NaN where nothing is known.
    """
    sums, numbers = [], []
    for codes, n in (
        (haplotypes.ref, haplotypes.n_ref),
        (haplotypes.alt, haplotypes.n_alt),
    ):
        near = np.arange(CONTEXT_BP - NEAR_BP, CONTEXT_BP + n + NEAR_BP)
        near = near[codes[near] < UNKNOWN]
        log_p = log_probabilities_at(model, codes, near)
        sums.append(
            float(log_p[np.arange(len(near)), codes[near]].sum(dtype=np.float64))
        )
        numbers.append(len(near))
    if not all(numbers):
        return float("nan")
    (ref, alt), (n_ref, n_alt) = sums, numbers
    return (alt / n_alt - ref / n_ref) * (n_alt + n_ref) / 2


def allele_distance(model: SequenceModel, haplotypes: Haplotypes) -> float:
    """Return how far the allele moves the embedding of its surroundings.

    The mean Euclidean distance between the vectors of aligned bases of both haplotypes:
    ``NEAR_BP`` bases on each side, and the allele itself where it keeps the length; bases
    that are unknown are left out. Equal haplotypes give 0. NaN where nothing is known.
    """
    ref, alt = model.embed(haplotypes.ref), model.embed(haplotypes.alt)
    middle = haplotypes.n_ref if haplotypes.n_ref == haplotypes.n_alt else 0
    from_left = np.arange(CONTEXT_BP - NEAR_BP, CONTEXT_BP + middle)
    from_right = -1 - np.arange(CONTEXT_BP - NEAR_BP, CONTEXT_BP)
    known = np.concatenate([
        haplotypes.ref[from_left] < UNKNOWN, haplotypes.ref[from_right] < UNKNOWN
    ])  # fmt: skip
    apart = np.concatenate([
        ref[from_left] - alt[from_left], ref[from_right] - alt[from_right]
    ])  # fmt: skip
    if not known.any():
        return float("nan")
    lengths = np.sqrt(np.square(apart[known], dtype=np.float64).sum(axis=1))
    return float(lengths.mean())


def information_content(ratios: Floats) -> Floats:
    """Return 2 bits less the entropy of the predicted base, ``(n,)``, 0-2 bits.

    Parameters
    ----------
    ratios
        ``(n, 4)`` log-probabilities or ratios, nats: a constant in a row does not matter.
    """
    log_p = _normalised(ratios)
    entropy = -(np.exp(log_p) * log_p).sum(axis=1) / np.log(2)
    bits: Floats = (np.log2(N_BASES) - entropy).astype(np.float32)
    return bits


def surprisal(ratios: Floats, codes: Codes) -> Floats:
    """Return ``-log2 p(base that stands there | rest)``, ``(n,)`` bits; NaN where unknown."""
    log_p = _normalised(ratios)
    known = codes < UNKNOWN
    own = log_p[np.arange(len(codes)), np.where(known, codes, 0)]
    bits: Floats = np.where(known, -own / np.log(2), np.nan).astype(np.float32)
    return bits


def _normalised(log_p: Floats, *, over: int = 1) -> Floats:
    """Divide by ``over``, then let the probabilities of each row sum to one."""
    shifted: Floats = (log_p - log_p.max(axis=1, keepdims=True)) / over
    total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    found: Floats = (shifted - total).astype(np.float32)
    return found
