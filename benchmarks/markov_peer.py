"""Markov models that predict a base from both sides: what a language model must beat.

Two families answer ``encoders.sequence_model.SequenceModel``:

* ``Chain``: the one-sided model of ``variant_effect.markov``. A base's probability given
  all others is proportional to the likelihood of the whole sequence with that base put in;
  the two strands' answers are averaged (geometric mean).
* ``Neighbours``: counts of a base between its nearest neighbours, taken in turn from left
  and right, interpolated from few neighbours to many (MacKay & Peto 1995, eq. 10) with
  strengths chosen on a validation chromosome.

``Pool`` multiplies answers of several, each raised to a power. ``fit_best`` chooses order
and training material on a validation chromosome, and there fits the pool.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import minimize

from data_registry.normalisation import Strings
from encoders.nucleotides import encode, reverse_complement, soft_masked
from encoders.sequence_model import SequenceModel
from variant_effect.markov import MarkovModel

Codes = NDArray[np.uint8]
LogP = NDArray[np.float32]

CHAIN_ORDERS = (5, 6, 7, 8, 9)
MAX_NEIGHBOURS = 12
REPEAT_WEIGHT = 0.1
_LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)


def normalised(logits: NDArray[np.floating]) -> LogP:
    """Return log-softmax over the last axis."""
    top = logits.max(axis=-1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
    return (logits - top - total).astype(np.float32)


def bits_per_base(log_p: LogP, codes: Codes) -> NDArray[np.float32]:
    """Return ``-log2 p(base)`` of each known base, NaN elsewhere; ``(length,)``."""
    known = codes < 4
    bits = np.full(len(codes), np.nan, dtype=np.float32)
    bits[known] = -log_p[known, codes[known]] / np.log(2)
    return bits


class _NoEmbedding:
    """What all Markov models share of a ``SequenceModel``: no vector of a base."""

    width = 0
    strand_symmetric = True

    def embed(self, codes: Codes) -> NDArray[np.float32]:
        """Return ``(length, 0)``."""
        return np.zeros((len(codes), 0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Composition(_NoEmbedding):
    """Each base by its frequency on both strands: GC content alone."""

    log_p: LogP
    name: str = "gc_only"
    digest: str = ""
    reach_bp: int = 0

    @classmethod
    def fit(cls, contigs: Mapping[str, Codes]) -> "Composition":
        """Count."""
        n = sum(np.bincount(c, minlength=5)[:4] for c in contigs.values())
        both = n + n[::-1]
        return cls(np.log(both / both.sum()).astype(np.float32))

    def log_probabilities(self, codes: Codes) -> LogP:
        """Return the same row for each base."""
        return np.tile(self.log_p, (len(codes), 1))


@dataclass(frozen=True, slots=True)
class Chain(_NoEmbedding):
    """A one-sided Markov model's conditional probabilities, averaged over strands."""

    model: MarkovModel
    name: str = "markov_chain"

    @property
    def digest(self) -> str:
        """Of the tables."""
        return self.model.digest

    @property
    def reach_bp(self) -> int:
        """The order."""
        return self.model.order

    def log_probabilities(self, codes: Codes) -> LogP:
        """Return log p(base | the ``order`` bases on both sides), ``(length, 4)``.

        At an unknown base the row is the mean of what the letters A, C, G, T would make.
        """
        ascii_ = _LETTERS[codes].copy()
        ascii_[codes > 3] = ord("A")
        n = len(codes)
        start, one = np.arange(n, dtype=np.int64), np.ones(n, dtype=np.int64)
        offsets = np.arange(n + 1, dtype=np.int64)
        logits = np.zeros((n, 4), dtype=np.float32)
        for base in range(4):
            alt = Strings(np.full(n, _LETTERS[base]), offsets)
            logits[:, base] = self.model.log_ratio(ascii_, start, one, alt)
        return normalised(logits)


@njit(cache=True, nogil=True)
def _count_neighbours(
    codes: Codes, weight: NDArray[np.float32], n: int, counts: NDArray[np.float64]
) -> None:
    """Add each base to the cell of its ``n`` nearest neighbours (left first)."""
    reach_left, reach_right = (n + 1) // 2, n // 2
    for i in range(reach_left, len(codes) - reach_right):
        index = np.int64(0)
        clear = codes[i] < 4
        for j in range(n):
            at = i - (j // 2 + 1) if j % 2 == 0 else i + (j // 2 + 1)
            clear &= codes[at] < 4
            index = index * 4 + codes[at]
        if clear:
            counts[index * 4 + codes[i]] += weight[i]


@njit(cache=True, nogil=True)
def _look_up(
    codes: Codes, n: int, starts: NDArray[np.int64], tables: LogP, out: LogP
) -> None:
    """Fill ``out`` (length, 4) with the longest unbroken neighbourhood's row."""
    length = len(codes)
    for i in range(length):
        index, m = np.int64(0), 0
        for j in range(n):
            at = i - (j // 2 + 1) if j % 2 == 0 else i + (j // 2 + 1)
            if at < 0 or at >= length or codes[at] > 3:
                break
            index = index * 4 + codes[at]
            m = j + 1
        for base in range(4):
            out[i, base] = tables[starts[m] + index * 4 + base]


@dataclass(frozen=True, slots=True)
class Neighbours(_NoEmbedding):
    """p(base | its ``n`` nearest neighbours), interpolated, averaged over strands.

    Parameters
    ----------
    n
        Neighbours in the longest context: alternately left and right, left first.
    strengths
        ``a_m`` for m = 0 … n.
    tables
        Natural logarithms of all orders one after another; in a cell's number the
        neighbours come in the order they are taken, the base last.
    """

    n: int
    strengths: tuple[float, ...]
    tables: LogP = field(repr=False)
    name: str = "markov_neighbours"

    @property
    def digest(self) -> str:
        """Of the tables."""
        return hashlib.sha256(self.tables.tobytes()).hexdigest()

    @property
    def reach_bp(self) -> int:
        """Furthest neighbour."""
        return (self.n + 1) // 2

    @classmethod
    def fit(
        cls, counts: NDArray[np.float64], n: int, validation: Codes
    ) -> "Neighbours":
        """Interpolate counts; each strength is the best on ``validation``.

        Parameters
        ----------
        counts
            As ``count_neighbours`` returns them, for at least ``n`` neighbours.
        """
        tables = _of_each_order(counts, n)
        starts = _starts(n)
        flat = np.zeros(int(starts[-1]), dtype=np.float32)
        cells = _cells(validation, n)
        parent = np.full((1, 4), 0.25, dtype=np.float32)
        strengths = []
        for m, table in enumerate(tables):
            if m:
                parent = np.repeat(parent, 4, axis=0)
            total = table.sum(axis=1, keepdims=True)
            context, base = cells[m] // 4, cells[m] % 4
            seen, known, before = (
                table[context, base], total[context, 0], parent[context, base],
            )  # fmt: skip
            candidates = [2.0**i for i in range(-2, 17)]
            reached = [
                np.log((seen + a * before) / (known + a)).sum() for a in candidates
            ]
            strength = candidates[int(np.argmax(reached))]
            parent = ((table + strength * parent) / (total + strength)).astype(
                np.float32
            )
            strengths.append(strength)
            flat[starts[m] : starts[m + 1]] = np.log(parent).ravel()
        return cls(n, tuple(strengths), flat)

    def log_probabilities(self, codes: Codes) -> LogP:
        """Return the normalised geometric mean of both strands' answers."""
        starts = _starts(self.n)
        both: list[LogP] = []
        for strand in (codes, np.ascontiguousarray(reverse_complement(codes))):
            out = np.empty((len(codes), 4), dtype=np.float32)
            _look_up(strand, self.n, starts, self.tables, out)
            both.append(out)
        return normalised((both[0] + both[1][::-1, ::-1]) / 2)


def count_neighbours(
    contigs: Mapping[str, NDArray[np.uint8]], n: int
) -> NDArray[np.float64]:
    """Count both strands of contigs (ASCII); ``(4 ** (n + 1),)``."""
    counts = np.zeros(4 ** (n + 1))
    for letters in contigs.values():
        codes = encode(letters)
        weight = np.where(soft_masked(letters), REPEAT_WEIGHT, 1).astype(np.float32)
        _count_neighbours(codes, weight, n, counts)
        turned = np.ascontiguousarray(reverse_complement(codes))
        _count_neighbours(turned, np.ascontiguousarray(weight[::-1]), n, counts)
    return counts


def _starts(n: int) -> NDArray[np.int64]:
    return np.cumsum([0] + [4 ** (m + 1) for m in range(n + 1)]).astype(np.int64)


def _of_each_order(counts: NDArray[np.float64], n: int) -> list[NDArray[np.float64]]:
    """Sum out the furthest neighbours one after another: orders 0 … n, each (-1, 4)."""
    table = counts.reshape(-1, 4)
    tables = []
    while True:
        if len(table) <= 4**n:
            tables.append(table)
        if len(table) == 1:
            return tables[::-1]
        table = table.reshape(-1, 4, 4).sum(axis=1)


def _cells(codes: Codes, n: int) -> list[NDArray[np.int64]]:
    """Return the cell of every base whose ``n`` neighbours are known, order by order."""
    reach = (n + 1) // 2
    at = np.arange(reach, len(codes) - reach)
    offsets = [-(j // 2 + 1) if j % 2 == 0 else j // 2 + 1 for j in range(n)]
    clear = codes[at] < 4
    for offset in offsets:
        clear &= codes[at + offset] < 4
    at = at[clear]
    index = np.zeros(len(at), dtype=np.int64)
    cells = [index * 4 + codes[at]]
    for offset in offsets:
        index = index * 4 + codes[at + offset]
        cells.append(index * 4 + codes[at])
    return cells


@dataclass(frozen=True, slots=True)
class Pool(_NoEmbedding):
    """Normalised product of models' probabilities, each raised to its power."""

    models: tuple[SequenceModel, ...]
    powers: tuple[float, ...]
    name: str = "markov_pool"

    @property
    def digest(self) -> str:
        """Of the parts."""
        text = " ".join(model.digest for model in self.models) + str(self.powers)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def reach_bp(self) -> int:
        """The furthest of the parts."""
        return max(model.reach_bp for model in self.models)

    def log_probabilities(self, codes: Codes) -> LogP:
        """Return the product, normalised."""
        parts = (model.log_probabilities(codes) for model in self.models)
        return normalised(_weighed(list(parts), self.powers))


def fit_powers(answers: Sequence[LogP], codes: Codes) -> tuple[float, ...]:
    """Return the powers whose pool has the highest likelihood; the problem is convex."""
    known = np.flatnonzero(codes < 4)
    kept = [part[known].astype(np.float64) for part in answers]
    truth = codes[known]

    def loss(powers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_p = normalised(_weighed(kept, powers))
        p = np.exp(log_p)
        own = np.arange(len(truth))
        slope = [(part[own, truth] - (p * part).sum(axis=1)).mean() for part in kept]
        return -float(log_p[own, truth].mean()), -np.array(slope)

    start = np.full(len(answers), 1 / len(answers))
    found = minimize(loss, start, jac=True, method="L-BFGS-B")
    return tuple(round(float(power), 4) for power in found.x)


def _weighed(
    answers: Sequence[NDArray[np.floating]],
    powers: Sequence[float] | NDArray[np.float64],
) -> NDArray[np.floating]:
    return np.sum([p * part for p, part in zip(powers, answers, strict=True)], axis=0)


def fit_best(
    materials: Mapping[str, Mapping[str, NDArray[np.uint8]]],
    validation: Codes,
    *,
    orders: Sequence[int] = CHAIN_ORDERS,
    max_neighbours: int = MAX_NEIGHBOURS,
) -> tuple[SequenceModel, list[dict[str, Any]]]:
    """Fit both families on every material; return the best and what each reached.

    Parameters
    ----------
    materials
        Name to contigs (ASCII, lower case soft-masked).
    validation
        Codes of a chromosome that is in none of the materials.
    """
    tried: list[dict[str, Any]] = []
    best: dict[str, tuple[float, SequenceModel, LogP]] = {}

    def consider(family: str, material: str, order: int, model: SequenceModel) -> None:
        log_p = model.log_probabilities(validation)
        bits = float(np.nanmean(bits_per_base(log_p, validation)))
        tried.append(
            {"family": family, "material": material, "order": order,
             "validation_bits": round(bits, 5)}
        )  # fmt: skip
        if family not in best or bits < best[family][0]:
            best[family] = (bits, model, log_p)

    for name, contigs in materials.items():
        for order in orders:
            chain = MarkovModel.fit(contigs, order=order, repeat_weight=REPEAT_WEIGHT)
            consider("chain", name, order, Chain(chain))
        counts = count_neighbours(contigs, max_neighbours)
        whole = Neighbours.fit(counts, max_neighbours, validation)
        for n in range(max(max_neighbours - 4, 1), max_neighbours + 1, 2):
            consider("neighbours", name, n, replace(whole, n=n))
    parts = [model for _, model, _ in best.values()]
    powers = fit_powers([log_p for _, _, log_p in best.values()], validation)
    consider("pool", f"powers {powers}", 0, Pool(tuple(parts), powers))
    return min(best.values(), key=lambda found: found[0])[1], tried
