"""An interpolated Markov model of a genome, and how unusual a change is under it.

The model is fitted on the genome itself, both strands counted as one. A change's score
is the strand-averaged log-likelihood ratio of the two haplotypes; its percentile says
how it stands among random changes of the same consequence class and context.
"""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from data_registry.errors import InputError, MalformedFileError
from data_registry.normalisation import Alleles, Bytes, Strings, frozen, normalise

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

MAX_ORDER = 9
"""Highest default order; 5.6 MB of table. Orders up to 12 can be asked for."""

_REMEDY = "Delete the file; it is built again from the genome."


def _code_table() -> Bytes:
    table = np.full(256, 4, np.uint8)
    for code, base in enumerate(b"ACGT"):
        table[base] = table[base + 32] = code
    table.flags.writeable = False
    return table


_CODE = _code_table()
"""Byte to 0-3 for A, C, G, T of either case, else 4; 3 - code is the complement."""


def _table_starts(order: int) -> Integers:
    """Return where each order's table begins; order ``k`` has ``4**(k + 1)`` cells."""
    return np.array([(4 ** (k + 1) - 4) // 3 for k in range(order + 2)], np.int64)


@njit(cache=True, nogil=True)
def _count(
    contig: Bytes, code: Bytes, order: int, starts: Integers, counts: Integers
) -> None:
    """Add one contig's bases to ``counts`` (2, cells): upper case, soft-masked.

    Each base is one event under the longest unbroken context it has, on either strand.
    """
    length = len(contig)
    mask = (1 << (2 * order + 2)) - 1
    for strand in range(2):
        index, run = np.int64(0), 0
        for i in range(length):
            byte = contig[i] if strand == 0 else contig[length - 1 - i]
            letter = np.int64(code[byte])
            if letter == 4:
                index, run = np.int64(0), 0
                continue
            if strand == 1:
                letter = 3 - letter
            index = ((index << 2) | letter) & mask
            counts[1 if byte >= 97 else 0, starts[run] + index] += 1
            if run < order:
                run += 1


@njit(cache=True, nogil=True)
def _log_ratios(
    contig: Bytes,
    start: Integers,
    n_ref: Integers,
    alt: Bytes,
    alt_at: Integers,
    code: Bytes,
    order: int,
    starts: Integers,
    log_p: Floats,
    hap: Bytes,
    out: Floats,
) -> None:
    """Fill ``out`` (n,); ``hap`` is scratch for the longest allele and both flanks."""
    length = len(contig)
    context = (1 << (2 * order)) - 1
    for i in range(len(start)):
        s, e = start[i], start[i] + n_ref[i]
        left, right = min(order, s), min(order, length - e)
        same_length = n_ref[i] == alt_at[i + 1] - alt_at[i]
        ratio = 0.0
        clear = True
        for side in range(2):
            n = n_ref[i] if side == 0 else alt_at[i + 1] - alt_at[i]
            for j in range(left):
                hap[j] = code[contig[s - left + j]]
            for j in range(n):
                byte = contig[s + j] if side == 0 else alt[alt_at[i] + j]
                hap[left + j] = code[byte]
                clear &= code[byte] < 4
            for j in range(right):
                hap[left + n + j] = code[contig[e + j]]
            if not clear:
                break
            size = left + n + right
            total = 0.0
            for strand in range(2):
                index, run = np.int64(0), 0
                unscored = left if strand == 0 else right
                forward = 0.0
                for j in range(size):
                    letter = np.int64(hap[j] if strand == 0 else hap[size - 1 - j])
                    if letter == 4:
                        index, run = np.int64(0), 0
                        continue
                    if strand == 1:
                        letter = 3 - letter
                    index = ((index & context) << 2) | letter
                    if j >= unscored:
                        forward += log_p[starts[run] + index]
                    if run < order:
                        run += 1
                total += forward
            if not same_length:
                for j in range(left, left + n):
                    total -= log_p[hap[j]] + log_p[3 - hap[j]]
            ratio += total if side == 1 else -total
        out[i] = 0.5 * ratio if clear else np.nan


@dataclass(frozen=True, slots=True, eq=False)
class MarkovModel:
    """Probability of a base given up to ``order`` bases before it.

    Interpolation is that of MacKay and Peto (1995, Nat. Lang. Eng. 1:289, eq. 10), a
    Jelinek–Mercer mixture whose weight grows with the context's count: ``p_k(b | h) =
    (n(hb) + a_k p_(k-1)(b | h')) / (n(h) + a_k)``, where ``h'`` drops the oldest base
    and ``p_(-1) = 1/4``. Each ``a_k`` is the power of two with the highest
    leave-one-out likelihood. The use of such models on genomes follows Salzberg et al.
    (1998, Nucleic Acids Res. 26:544) and Delcher et al. (1999, ibid. 27:4636).

    Parameters
    ----------
    order
        Longest context, bases.
    repeat_weight
        Weight of a soft-masked (lower-case) base in the counts; upper case has 1.
    strengths
        ``a_k`` for k = 0 … order.
    log_p
        Natural logarithms, float32: the tables of all orders one after another; a cell
        is the context and the base read as a number to base 4, the base last.
    """

    order: int
    repeat_weight: float
    strengths: tuple[float, ...]
    log_p: Floats

    @classmethod
    def fit(
        cls,
        contigs: Mapping[str, Bytes],
        order: int | None = None,
        repeat_weight: float = 0.1,
    ) -> "MarkovModel":
        """Fit on both strands of all contigs; contig order and names do not matter.

        Parameters
        ----------
        contigs
            ASCII bases by contig; lower case is soft-masked; anything but A, C, G, T
            breaks the context.
        order
            Longest context, 0-12; by default the highest up to ``MAX_ORDER`` that
            leaves 16 counted bases to a cell on average.
        repeat_weight
            Weight of a soft-masked base, 0-1.

        Raises
        ------
        InputError
            There is no A, C, G or T, or a parameter is out of range.
        """
        if not 0.0 <= repeat_weight <= 1.0:
            raise InputError(f"repeat_weight is {repeat_weight}; it lies within 0-1")
        if order is None:
            n_bases = sum(len(c) for c in contigs.values())
            orders = range(MAX_ORDER + 1)
            order = max(
                (k for k in orders if 4 ** (k + 1) * 16 <= 2 * n_bases), default=0
            )
        if not 0 <= order <= 12:
            raise InputError(f"order is {order}; it lies within 0-12")
        starts = _table_starts(order)
        counts = np.zeros((2, int(starts[-1])), np.int64)
        for contig in contigs.values():
            _count(frozen(contig), _CODE, order, starts, counts)
        if not counts.any():
            raise InputError(
                "the genome holds no A, C, G or T; is this a FASTA of DNA?"
            )
        weighted = counts[0] + repeat_weight * counts[1]
        if not weighted.any():
            raise InputError("all bases are soft-masked and repeat_weight is 0")
        # a shorter context also saw the events of all its extensions
        tables = [weighted[starts[k] : starts[k + 1]] for k in range(order + 1)]
        for k in range(order, 0, -1):
            tables[k - 1] += tables[k].reshape(4, -1).sum(axis=0)
        parent = np.full((1, 4), 0.25)
        strengths, logs = [], []
        for k, flat in enumerate(tables):
            table = flat.reshape(-1, 4)
            if k:
                parent = np.tile(parent, (4, 1))
            strength = _best_strength(table, parent)
            total = table.sum(axis=1, keepdims=True)
            parent = (table + strength * parent) / (total + strength)
            strengths.append(strength)
            logs.append(np.log(parent).astype(np.float32).ravel())
        log_p = np.concatenate(logs)
        log_p.flags.writeable = False
        return cls(order, repeat_weight, tuple(strengths), log_p)

    def log_ratio(
        self, contig: Bytes, start: Integers, n_ref: Integers, alt: Strings
    ) -> Floats:
        """Return ``log P(ALT haplotype) - log P(REF haplotype)``, mean of both strands.

        Positive where ALT is the likelier sequence. Every base whose context differs
        counts: the allele and the ``order`` bases after it, read on either strand. For
        alleles that change the length, each haplotype's likelihood is taken relative to
        the order-0 model, so that length alone does not score. Equal haplotypes score
        0, swapping the alleles changes the sign, and reverse-complementing everything
        changes nothing; the spelling of an indel (its anchor and alignment) does not
        matter.

        The genome that is scored was also counted, so each REF context holds one count
        of its own; leave-one-out is not done. On sacCer3 this lowers scores by 0.2 nats
        on average against a model fitted without the scored chromosome, and the two
        correlate with r = 0.97 (chrIV, random SNVs; the tests hold bounds on both).
        Percentiles compare with changes that are lowered alike.

        Parameters
        ----------
        contig
            ASCII bases, any case.
        start
            0-based first base of REF, int64, shape (n,).
        n_ref
            Length of REF in bp, int64, shape (n,).
        alt
            ALT alleles, any case; may be empty.

        Returns
        -------
        float32, shape (n,)
            Nats; NaN where REF or ALT holds anything but A, C, G, T. Such letters in
            the flanks break the context and do not score.

        Raises
        ------
        InputError
            Columns differ in length, or REF does not lie within the contig.
        """
        n = len(start)
        if len(n_ref) != n or len(alt) != n:
            raise InputError(f"{n} starts, {len(n_ref)} REF lengths, {len(alt)} ALTs")
        out = np.empty(n, np.float32)
        if n == 0:
            return out
        outside = (start < 0) | (n_ref < 0) | (start + n_ref > len(contig))
        if outside.any():
            i = int(np.argmax(outside))
            raise InputError(
                f"REF of {n_ref[i]} bp at 0-based {start[i]} lies off its contig of "
                f"{len(contig)} bp"
            )
        longest = max(int(n_ref.max()), int(alt.lengths.max()))
        _log_ratios(
            frozen(contig),
            frozen(start.astype(np.int64, copy=False)),
            frozen(n_ref.astype(np.int64, copy=False)),
            frozen(alt.data),
            frozen(alt.offsets),
            _CODE,
            self.order,
            _table_starts(self.order),
            frozen(self.log_p),
            np.empty(longest + 2 * self.order, np.uint8),
            out,
        )
        return out

    def log_likelihood(self, contig: Bytes) -> tuple[float, int]:
        """Return the log-likelihood (nats) of both strands' bases, and their number."""
        starts = _table_starts(self.order)
        counts = np.zeros((2, int(starts[-1])), np.int64)
        _count(frozen(contig), _CODE, self.order, starts, counts)
        both = counts.sum(axis=0)
        return float(both @ self.log_p.astype(np.float64)), int(both.sum())

    @property
    def digest(self) -> str:
        """sha256 of the parameters and tables."""
        return hashlib.sha256(self._head().encode() + self.log_p.tobytes()).hexdigest()

    def _head(self) -> str:
        return json.dumps(
            {
                "format": "cisgraph markov 1",
                "order": self.order,
                "repeat_weight": self.repeat_weight,
                "strengths": self.strengths,
            },
            sort_keys=True,
        )

    def save(self, path: Path) -> None:
        """Write an ``.npz``; the same model always gives the same bytes."""
        buffer = io.BytesIO()
        head = np.frombuffer(self._head().encode(), np.uint8)
        np.savez(buffer, head=head, log_p=self.log_p)
        _write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "MarkovModel":
        """Read what :meth:`save` wrote.

        Raises
        ------
        MalformedFileError
            The file is no such model, or is damaged.
        """
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
                head = json.loads(archive["head"].tobytes())
                log_p = archive["log_p"]
            model = cls(
                head["order"], head["repeat_weight"], tuple(head["strengths"]), log_p
            )
        except FileNotFoundError:
            raise
        except Exception as error:
            problem = f"no Markov model: {error}"
            raise MalformedFileError(path, problem, remedy=_REMEDY) from error
        if log_p.dtype != np.float32 or len(log_p) != _table_starts(model.order)[-1]:
            raise MalformedFileError(
                path,
                f"table of {len(log_p)} cells for order {model.order}",
                remedy=_REMEDY,
            )
        log_p.flags.writeable = False
        return model


def _best_strength(table: npt.NDArray[Any], parent: npt.NDArray[Any]) -> float:
    """Return the ``a`` with the highest leave-one-out likelihood of the counts.

    Each event is predicted from all the others: one count less in its cell and context.
    """
    seen = table > 0
    count = table[seen]
    total = np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape)[seen]
    before = parent[seen]
    own = np.minimum(count, 1.0)

    def likelihood(strength: float) -> float:
        p = (count - own + strength * before) / (total - own + strength)
        return float(count @ np.log(p))

    return max((2.0**i for i in range(-2, 17)), key=likelihood)


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside, then rename: a killed process leaves the old or the new file."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


# --- how unusual is a score --------------------------------------------------------

_PYRIMIDINE_CHANGES = ("C>A", "C>G", "C>T", "T>A", "T>C", "T>G")
_LENGTHS = ((1, 1), (2, 2), (3, 3), (4, 6), (7, 12), (13, None))
"""Length classes of indels, bp, both ends included."""

CONTEXTS: tuple[str, ...] = (
    *(f"{a}[{c}]{b}" for c in _PYRIMIDINE_CHANGES for a in "ACGT" for b in "ACGT"),
    "snv_edge",
    "mnp",
    *(
        f"{kind}{low}" + ("" if high == low else "+" if high is None else f"-{high}")
        for kind in ("ins", "del")
        for low, high in _LENGTHS
    ),
    "same",
)
"""Names of the contexts; codes are indices into this.

96 strand-collapsed trinucleotide changes; SNVs whose neighbours are unknown; changes of
several bases and equal length; changes by net length gained or lost; REF equal to ALT.
"""

_EDGE, _MNP, _INS, _DEL, _SAME = 96, 97, 98, 104, 110
_KINDS = np.repeat(np.arange(4, dtype=np.int8), (97, 1, 12, 1))
"""Context code to the kind that small cells are pooled over: snv, mnp, indel, same."""

LEVELS = ("cell", "class", "kind", "none")
"""What a percentile was taken over, by code.

``cell``: same consequence class and context; ``class``: same consequence class, all
contexts of the same kind (SNV, MNP, indel); ``kind``: all classes of that kind;
``none``: nothing to compare with, or no score.
"""

_LONGEST_RANDOM_INDEL = 30
_LONGEST_RANDOM_MNP = 4


@njit(cache=True, nogil=True)
def _contexts(
    contig: Bytes,
    start: Integers,
    ref: Bytes,
    ref_at: Integers,
    alt: Bytes,
    alt_at: Integers,
    code: Bytes,
    out: npt.NDArray[np.int16],
) -> None:
    for i in range(len(start)):
        r0, a0 = ref_at[i], alt_at[i]
        n_ref, n_alt = ref_at[i + 1] - r0, alt_at[i + 1] - a0
        gain = n_alt - n_ref
        if gain == 0:
            n_differ = 0
            for j in range(n_ref):
                n_differ += code[ref[r0 + j]] != code[alt[a0 + j]]
            if n_differ == 0:
                out[i] = 110
            elif n_ref > 1:
                out[i] = 97
            else:
                s = start[i]
                if s == 0 or s + 1 >= len(contig):
                    out[i] = 96
                    continue
                before, after = (
                    np.int64(code[contig[s - 1]]),
                    np.int64(code[contig[s + 1]]),
                )
                old, new = np.int64(code[ref[r0]]), np.int64(code[alt[a0]])
                if before == 4 or after == 4 or old == 4 or new == 4:
                    out[i] = 96
                    continue
                if old == 0 or old == 2:  # purine: read the other strand
                    before, after, old, new = 3 - after, 3 - before, 3 - old, 3 - new
                change = new - (new > old) + (3 if old == 3 else 0)
                out[i] = change * 16 + before * 4 + after
        else:
            size = abs(gain)
            if size <= 3:
                step = size - 1
            elif size <= 6:
                step = 3
            elif size <= 12:
                step = 4
            else:
                step = 5
            out[i] = (98 if gain > 0 else 104) + step


def allele_contexts(contig: Bytes, alleles: Alleles) -> npt.NDArray[np.int16]:
    """Return each allele's code in :data:`CONTEXTS`, int16, shape (n,).

    Parameters
    ----------
    contig
        ASCII bases.
    alleles
        Minimal form (``normalise(...).minimal``), so that an SNV is one base long.
    """
    out = np.empty(len(alleles), np.int16)
    _contexts(
        frozen(contig),
        frozen(alleles.start),
        frozen(alleles.ref.data),
        frozen(alleles.ref.offsets),
        frozen(alleles.alt.data),
        frozen(alleles.alt.offsets),
        _CODE,
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _ranks(
    scores: Floats,
    cells: npt.NDArray[np.int32],
    values: Floats,
    offsets: Integers,
    min_cell: int,
    level: int,
    percentile: Floats,
    levels: npt.NDArray[np.int8],
) -> None:
    """Fill in percentiles not yet found, from cells of at least ``min_cell`` values."""
    for i in range(len(scores)):
        x = scores[i]
        if levels[i] < 3 or cells[i] < 0 or np.isnan(x):
            continue
        first, last = offsets[cells[i]], offsets[cells[i] + 1]
        if last - first < min_cell:
            continue
        below = first + np.searchsorted(values[first:last], x, side="left")
        upto = first + np.searchsorted(values[first:last], x, side="right")
        percentile[i] = 100.0 * ((last - upto) + 0.5 * (upto - below)) / (last - first)
        levels[i] = level


@dataclass(frozen=True, slots=True)
class _Cells:
    """Sorted scores by cell: cell ``i`` is ``scores[offsets[i] : offsets[i + 1]]``."""

    scores: Floats
    offsets: Integers

    @classmethod
    def of(cls, cell: Integers, scores: Floats, n_cells: int) -> "_Cells":
        order = np.lexsort((scores, cell))
        offsets = np.zeros(n_cells + 1, np.int64)
        np.cumsum(np.bincount(cell, minlength=n_cells), out=offsets[1:])
        return cls(scores[order], offsets)


Classify = Callable[[str, Alleles], npt.NDArray[Any]]
"""``(contig, alleles in minimal form, sorted by start) -> class label of each``."""


class Background:
    """Scores of random changes of the genome, by consequence class and context.

    Parameters
    ----------
    table
        Columns ``consequence_class`` (str), ``context`` (name in :data:`CONTEXTS`) and
        ``llr`` (float32, nats): one row a change. Order does not matter.
    min_cell
        A cell with fewer changes is not used by itself.
    provenance
        How the changes were drawn; stored with the table.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        *,
        min_cell: int = 200,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.min_cell = min_cell
        self.provenance: dict[str, Any] = dict(provenance or {})
        labels = table["consequence_class"].astype(str)
        self.classes = tuple(sorted(labels.unique()))
        code_of = {name: code for code, name in enumerate(CONTEXTS)}
        classes = pd.Categorical(labels, categories=self.classes).codes.astype(np.int64)
        context = table["context"].map(code_of)
        if context.isna().any():
            unknown = table["context"][context.isna()].iloc[0]
            raise InputError(f"{unknown!r} is no context of the Markov background")
        contexts = context.to_numpy(np.int64)
        llr = table["llr"].to_numpy(np.float32)
        if np.isnan(llr).any():
            raise InputError(f"{int(np.isnan(llr).sum())} background scores are NaN")
        n_contexts, n_kinds = len(CONTEXTS), int(_KINDS.max()) + 1
        self._by_level = (
            _Cells.of(
                classes * n_contexts + contexts, llr, len(self.classes) * n_contexts
            ),
            _Cells.of(
                classes * n_kinds + _KINDS[contexts], llr, len(self.classes) * n_kinds
            ),
            _Cells.of(_KINDS[contexts].astype(np.int64), llr, n_kinds),
        )

    def __len__(self) -> int:
        return len(self._by_level[0].scores)

    @classmethod
    def build(
        cls,
        model: MarkovModel,
        contigs: Mapping[str, Bytes],
        classify: Classify,
        *,
        seed: int = 0,
        limit: int = 2_000_000,
        n_per_length: int = 20_000,
        min_cell: int = 200,
    ) -> "Background":
        """Score all possible SNVs, or a sample, and random indels and MNPs.

        SNVs: all three at every A, C, G, T when they are at most ``limit``, else about
        ``limit`` of them, one drawn from each of as many equal stretches of the genome.
        Indels: about ``n_per_length`` in each length class, places uniform over the
        genome; lengths uniform in the class (the last is 13-30 bp); inserted sequence
        is copied from a random place and strand of the same contig. MNPs: about
        ``n_per_length``, 2-4 bp, every base changed. Changes that touch or contain
        letters other than A, C, G, T are left out. The same inputs and seed give the
        same table whatever the order of ``contigs``.

        Parameters
        ----------
        classify
            Gives the consequence class of a contig's alleles (minimal form, sorted by
            start); called once a contig.
        """
        names = sorted(contigs)
        total_bp = sum(len(contigs[name]) for name in names)
        n_bases = sum(int((_CODE[contigs[name]] < 4).sum()) for name in names)
        if n_bases == 0:
            raise InputError("the genome holds no A, C, G or T")
        # a stretch may be N: ask for more, so that about ``limit`` are left
        wanted = min(3 * total_bp, int(limit * (total_bp / n_bases)))
        everything = 3 * n_bases <= limit
        parts: list[pd.DataFrame] = []
        for name, child in zip(
            names, np.random.SeedSequence(seed).spawn(len(names)), strict=True
        ):
            contig, rng = contigs[name], np.random.default_rng(child)
            share = len(contig) / total_bp
            n_snv = None if everything else round(wanted * share)
            n_other = round(n_per_length * share * (total_bp / n_bases))
            alleles = _random_changes(contig, n_snv, n_other, rng)
            if len(alleles) == 0:
                continue
            llr = model.log_ratio(
                contig, alleles.start, alleles.ref.lengths, alleles.alt
            )
            labels = np.asarray(classify(name, alleles))
            if labels.shape != (len(alleles),):
                raise InputError(
                    f"classify gave {labels.shape} labels for {len(alleles)} alleles"
                )
            codes, found = pd.factorize(labels)
            names_found = np.array([str(label) for label in found], object)
            parts.append(
                pd.DataFrame(
                    {
                        "consequence_class": names_found[codes],
                        "context": allele_contexts(contig, alleles),
                        "llr": llr,
                    }
                )
            )
        table = pd.concat(parts, ignore_index=True)
        table["context"] = np.array(CONTEXTS, object)[table["context"].to_numpy()]
        return cls(
            table,
            min_cell=min_cell,
            provenance={
                "model": model.digest,
                "seed": seed,
                "limit": limit,
                "n_per_length": n_per_length,
                "all_snvs": everything,
            },
        )

    def percentile(
        self,
        llr: Floats,
        consequence_class: Sequence[str] | npt.NDArray[Any] | pd.Categorical,
        context: npt.NDArray[np.int16],
    ) -> tuple[Floats, npt.NDArray[np.int8]]:
        """Return how unusual each score is: 100 is the most unusual.

        The percentile is the share of background changes of the same class and context
        whose score is higher, plus half of those equal: high means that the model finds
        this ALT less likely than it finds most such changes.

        Parameters
        ----------
        llr
            Scores of :meth:`MarkovModel.log_ratio`, nats, shape (n,).
        consequence_class
            Labels as ``classify`` gave them, shape (n,).
        context
            Codes of :func:`allele_contexts`, shape (n,).

        Returns
        -------
        percentile
            float32, 0-100, shape (n,); NaN where ``llr`` is NaN or nothing compares.
        level
            int8 index into :data:`LEVELS`: what it was taken over.
        """
        if isinstance(consequence_class, pd.Categorical):
            codes = np.asarray(consequence_class.codes)
            found = list(consequence_class.categories)
        else:
            codes, labels = pd.factorize(np.asarray(consequence_class, dtype=object))
            found = list(labels)
        known = {name: i for i, name in enumerate(self.classes)}
        lookup = np.array([known.get(str(name), -1) for name in found] + [-1], np.int64)
        classes = lookup[codes]
        n_contexts, n_kinds = len(CONTEXTS), int(_KINDS.max()) + 1
        kinds = _KINDS[context].astype(np.int64)
        cells = (
            np.where(classes < 0, -1, classes * n_contexts + context),
            np.where(classes < 0, -1, classes * n_kinds + kinds),
            kinds,
        )
        percentile = np.full(len(llr), np.nan, np.float32)
        levels = np.full(len(llr), 3, np.int8)
        for level, (cell, table) in enumerate(zip(cells, self._by_level, strict=True)):
            _ranks(
                frozen(llr.astype(np.float32, copy=False)),
                frozen(cell.astype(np.int32)),
                frozen(table.scores),
                table.offsets,
                self.min_cell if level < 2 else 1,
                level,
                percentile,
                levels,
            )
        return percentile, levels

    def to_frame(self) -> pd.DataFrame:
        """Return the table sorted by class, context and score."""
        cells = self._by_level[0]
        cell = np.repeat(np.arange(len(cells.offsets) - 1), np.diff(cells.offsets))
        classes, contexts = np.divmod(cell, len(CONTEXTS))
        return pd.DataFrame(
            {
                "consequence_class": pd.Categorical.from_codes(
                    classes, pd.Index(self.classes, dtype=object)
                ),
                "context": pd.Categorical.from_codes(
                    contexts, pd.Index(CONTEXTS, dtype=object)
                ),
                "llr": cells.scores,
            }
        )

    @property
    def digest(self) -> str:
        """sha256 of the table and its provenance."""
        cells = self._by_level[0]
        digest = hashlib.sha256(self._head().encode())
        digest.update(cells.offsets.tobytes())
        digest.update(cells.scores.tobytes())
        return digest.hexdigest()

    def _head(self) -> str:
        return json.dumps(
            {
                "format": "cisgraph markov background 1",
                "min_cell": self.min_cell,
                "classes": self.classes,
                "provenance": self.provenance,
            },
            sort_keys=True,
        )

    def save(self, path: Path) -> None:
        """Write Parquet; the same background always gives the same bytes."""
        table = pa.Table.from_pandas(self.to_frame(), preserve_index=False)
        table = table.replace_schema_metadata({"cisgraph": self._head()})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        _write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Background":
        """Read what :meth:`save` wrote.

        Raises
        ------
        MalformedFileError
            The file is no such table, or is damaged.
        """
        try:
            table = pq.read_table(path)
            head = json.loads((table.schema.metadata or {})[b"cisgraph"])
            return cls(
                table.to_pandas(),
                min_cell=head["min_cell"],
                provenance=head["provenance"],
            )
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            problem = f"no Markov background: {error}"
            raise MalformedFileError(path, problem, remedy=_REMEDY) from error


def _random_changes(
    contig: Bytes, n_snv: int | None, n_other: int, rng: np.random.Generator
) -> Alleles:
    """Return random changes of one contig in minimal form, sorted by start.

    ``n_snv`` None means all; ``n_other`` is the number of MNPs and of each sign and
    length class of indels.
    """
    length = len(contig)
    letters = np.frombuffer(b"ACGT", np.uint8)
    codes = _CODE[contig]
    starts: list[Integers] = []
    refs: list[list[bytes]] = []
    alts: list[list[bytes]] = []

    if n_snv is None:
        drawn = np.arange(3 * length)
    else:  # one from each of n equal stretches
        places = (np.arange(n_snv) + rng.random(n_snv)) * (3 * length / max(n_snv, 1))
        drawn = places.astype(np.int64).clip(max=3 * length - 1)
        drawn = drawn[np.diff(drawn, prepend=-1) > 0]  # they ascend
    at, step = np.divmod(drawn, 3)
    at, step = at[codes[at] < 4], step[codes[at] < 4]
    snv_start = at.astype(np.int64)
    snv_ref = letters[codes[at]]
    snv_alt = letters[(codes[at] + 1 + step) % 4]

    upper = letters[np.minimum(codes, 3)].tobytes()
    clear = np.concatenate([[0], np.cumsum(codes == 4)])
    swap = bytes.maketrans(b"ACGT", b"TGCA")

    def draw(n_bp: npt.NDArray[np.int64]) -> Integers:
        return (rng.random(len(n_bp)) * np.maximum(length - n_bp + 1, 1)).astype(
            np.int64
        )

    def is_clear(at: Integers, n_bp: Integers) -> npt.NDArray[np.bool_]:
        end = at + n_bp
        inside = end <= length
        found: npt.NDArray[np.bool_] = inside & (
            clear[np.minimum(end, length)] == clear[at]
        )
        return found

    for low, high in _LENGTHS:
        top = _LONGEST_RANDOM_INDEL if high is None else high
        n_bp = rng.integers(low, top + 1, n_other)
        at = draw(n_bp)
        kept = is_clear(at, n_bp)
        starts.append(at[kept])
        refs.append(
            [upper[a : a + b] for a, b in zip(at[kept], n_bp[kept], strict=True)]
        )
        alts.append([b""] * int(kept.sum()))

        n_bp = rng.integers(low, top + 1, n_other)
        at, source = draw(np.zeros_like(n_bp)), draw(n_bp)
        kept = is_clear(source, n_bp) & is_clear(
            np.maximum(at - 1, 0), np.ones_like(at)
        )
        reverse = rng.random(n_other) < 0.5
        starts.append(at[kept])
        refs.append([b""] * int(kept.sum()))
        alts.append(
            [
                upper[a : a + b].translate(swap)[::-1] if r else upper[a : a + b]
                for a, b, r in zip(source[kept], n_bp[kept], reverse[kept], strict=True)
            ]
        )
    n_bp = rng.integers(2, _LONGEST_RANDOM_MNP + 1, n_other)
    at = draw(n_bp)
    shifts = rng.integers(1, 4, (n_other, _LONGEST_RANDOM_MNP))
    kept = is_clear(at, n_bp)
    starts.append(at[kept])
    refs.append([upper[a : a + b] for a, b in zip(at[kept], n_bp[kept], strict=True)])
    alts.append(
        [
            letters[(codes[a : a + b] + shift[:b]) % 4].tobytes()
            for a, b, shift in zip(at[kept], n_bp[kept], shifts[kept], strict=True)
        ]
    )
    other = normalise(
        contig,
        np.concatenate(starts),
        Strings.of(value for part in refs for value in part),
        Strings.of(value for part in alts for value in part),
    ).minimal
    return _merged(snv_start, snv_ref, snv_alt, other)


def _merged(start: Integers, ref: Bytes, alt: Bytes, other: Alleles) -> Alleles:
    """Put SNVs and other alleles together, sorted by start (stable)."""
    ones = np.arange(len(start) + 1)
    order = np.argsort(np.concatenate([start, other.start]), kind="stable")
    sides = []
    for base, side in ((ref, other.ref), (alt, other.alt)):
        joined = Strings(
            np.concatenate([base, side.data]),
            np.concatenate([ones, side.offsets[1:] + len(base)]),
        )
        sides.append(joined.take(order))
    return Alleles(np.concatenate([start, other.start])[order], *sides)
