"""Contact maps of all libraries on one set of bins, observed over expected.

Expected contact is the mean at a distance, zeros counted: the sum of the contacts of
all bin pairs at that distance over the number of pairs of bins that the library sees
(Lieberman-Aiden 2009, Science 326:289; as in cooltools). Pairs of different contigs
have one mean.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from graph_builder.intervals import sum_groups

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_FEW_KEYS = 20_000_000
"""Up to this many possible keys a table of them is quicker than sorting."""
LOOP_BIN_BP = 10_000
"""Size of bins where only loops are registered, in bp."""


@dataclass(frozen=True, slots=True)
class ContactMap:
    """Contacts of pairs of bins.

    Parameters
    ----------
    bin_bp
        Size of a bin; bin ``k`` of a contig is ``[k * bin_bp, (k + 1) * bin_bp)``.
    contigs
        Contig names, sorted.
    bin_contig, bin_index
        Contig (index into ``contigs``) and place ``k`` of each bin, sorted.
    seen
        Libraries by bins: whether the library has a contact there.
    first, second
        Bins of each pair, ``first <= second``, sorted.
    count
        Raw contacts, all libraries.
    oe
        Observed over expected, mean over the libraries that see both bins; NaN for
        pairs known from loops alone.
    relative
        Contact where 1 is the mean of neighbouring bins, mean over libraries; NaN
        likewise.
    is_loop, loop_score
        Whether the pair was called as a loop; highest score, NaN without one.
    expected
        Mean ``relative`` at 0, 1, 2, … bins; NaN where no library has a pair.
    left_out
        Rows that did not enter, by reason.
    """

    bin_bp: int
    contigs: tuple[str, ...]
    bin_contig: Ints
    bin_index: Ints
    seen: NDArray[np.bool_]
    first: Ints
    second: Ints
    count: Floats
    oe: Floats
    relative: Floats
    is_loop: NDArray[np.bool_]
    loop_score: Floats
    expected: Floats
    left_out: Counter[str] = field(default_factory=Counter)

    def bins_at(self, contig: NDArray[Any], position: Ints) -> Ints:
        """Return the bin that holds each position, -1 where there is none."""
        encoded = pa.array(contig, pa.large_string()).dictionary_encode()
        known = {name: code for code, name in enumerate(self.contigs)}
        codes = np.array(
            [known.get(name, -1) for name in encoded.dictionary.to_pylist()], np.int64
        )
        if not codes.size or not self.bin_index.size:
            return np.full(position.size, -1, np.int64)
        code = codes[encoded.indices.to_numpy(zero_copy_only=False)]
        index = position // self.bin_bp
        reach = int(max(self.bin_index.max(), index.max())) + 1
        keys = self.bin_contig * reach + self.bin_index
        wanted = code * reach + index
        at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
        return np.where((code >= 0) & (keys[at] == wanted), at, -1)

    def look_up(self, a: Ints, b: Ints) -> tuple[Floats, Floats]:
        """Return ``oe`` and ``relative`` of pairs of bins.

        A pair without contacts counts 0 where a library sees both bins, else NaN; so
        does a pair with a bin -1.
        """
        n_bins = self.bin_index.size
        nothing = np.full(a.size, np.nan)
        if not n_bins or not a.size or not self.seen.shape[0]:
            return nothing, nothing.copy()
        low, high = np.minimum(a, b), np.maximum(a, b)
        inside = low >= 0
        safe_low, safe_high = np.where(inside, low, 0), np.where(inside, high, 0)
        both = (self.seen[:, safe_low] & self.seen[:, safe_high]).any(axis=0) & inside
        oe = np.where(both, 0.0, np.nan)
        relative = oe.copy()
        if self.first.size:
            keys = self.first * n_bins + self.second
            wanted = safe_low * n_bins + safe_high
            at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
            found = both & (keys[at] == wanted)
            oe[found] = np.nan_to_num(self.oe[at[found]])
            relative[found] = np.nan_to_num(self.relative[at[found]])
        return oe, relative

    def expected_at(self, distance_bp: Ints) -> Floats:
        """Return the mean ``relative`` contact at distances in bp; NaN off the map."""
        bins = distance_bp // self.bin_bp
        out = np.full(distance_bp.size, np.nan)
        inside = bins < self.expected.size
        out[inside] = self.expected[bins[inside]]
        return out


def build_contact_map(rows: Mapping[str, Any], bin_bp: int | None) -> ContactMap | None:
    """Put all contacts on one set of bins.

    Parameters
    ----------
    rows
        Columns of the registry's ``contacts``: ``contig1``, ``start1``, ``end1``,
        ``contig2``, ``start2``, ``end2``, ``count``, ``balanced`` (NaN where missing),
        ``is_loop``, ``sample``. Order does not matter.
    bin_bp
        Size of bins; None takes that of the finest matrix.

    Returns
    -------
    ContactMap or None
        None where there are no rows. A library whose bins are wider than ``bin_bp`` is
        left out and its rows counted, because a wide bin cannot be divided.
    """
    n = rows["start1"].size
    if not n:
        return None
    left_out: Counter[str] = Counter()
    is_loop = rows["is_loop"].astype(bool)
    libraries, (library,) = _number_names(rows["sample"])
    width = (rows["end1"] - rows["start1"]).astype(np.int64)
    widths = {
        code: _most_frequent(width[of])
        for code in range(len(libraries))
        if (of := (library == code) & ~is_loop).any()
    }
    if bin_bp is None:
        bin_bp = min(widths.values(), default=LOOP_BIN_BP)
    coarse = [code for code, found in widths.items() if found > bin_bp]
    used = ~(np.isin(library, coarse) & ~is_loop)
    left_out["library_coarser_than_bins"] += int((~used).sum())

    contigs, (contig1, contig2) = _number_names(rows["contig1"], rows["contig2"])
    contig = np.concatenate([contig1[used], contig2[used]])
    middle = np.concatenate(
        [
            (rows["start1"][used] + rows["end1"][used]) // 2,
            (rows["start2"][used] + rows["end2"][used]) // 2,
        ]
    ).astype(np.int64)
    index = middle // bin_bp
    reach = int(index.max(initial=0)) + 1
    keys, bin_of = _number_keys(contig * reach + index, len(contigs) * reach)
    half = int(used.sum())
    first = np.minimum(bin_of[:half], bin_of[half:]).astype(np.int64)
    second = np.maximum(bin_of[:half], bin_of[half:]).astype(np.int64)
    bin_contig, bin_index = keys // reach, keys % reach
    library, is_loop = library[used], is_loop[used]
    count = np.nan_to_num(rows["count"][used].astype(np.float64))
    balanced = rows["balanced"][used].astype(np.float64)
    n_bins = keys.size

    pair_keys, pair_of = np.unique(first * n_bins + second, return_inverse=True)
    pair_first, pair_second = pair_keys // n_bins, pair_keys % n_bins
    is_cis = bin_contig[pair_first] == bin_contig[pair_second]
    distance = np.where(is_cis, bin_index[pair_second] - bin_index[pair_first], -1)

    seen: list[NDArray[np.bool_]] = []
    curves: list[Floats] = []
    oe_sum, relative_sum = np.zeros(pair_keys.size), np.zeros(pair_keys.size)
    n_libraries = np.zeros(pair_keys.size)
    for code in sorted(set(widths) - set(coarse)):
        of = (library == code) & ~is_loop
        is_balanced = bool(np.isfinite(balanced[of]).any())
        value = balanced if is_balanced else count
        valid = of & np.isfinite(value) & (value > 0)
        left_out["masked_bin"] += int((of & ~np.isfinite(value)).sum())
        observed = sum_groups(pair_of[valid], value[valid], pair_keys.size)
        sees = np.zeros(n_bins, bool)
        sees[first[valid]] = True
        sees[second[valid]] = True
        expected, between = _mean_by_distance(
            observed, distance, sees, bin_contig, bin_index
        )
        neighbours = expected[1] if expected.size > 1 else np.nan
        with np.errstate(divide="ignore", invalid="ignore"):
            means = np.where(is_cis, expected[distance], between)
            oe_sum += np.where(observed > 0, observed / means, 0.0)
            relative_sum += np.where(observed > 0, observed / neighbours, 0.0)
            curves.append(expected / neighbours)
        n_libraries += sees[pair_first] & sees[pair_second]
        seen.append(sees)

    with np.errstate(divide="ignore", invalid="ignore"):
        oe = np.where(n_libraries > 0, oe_sum / n_libraries, np.nan)
        relative = np.where(n_libraries > 0, relative_sum / n_libraries, np.nan)
    relative[~np.isfinite(relative)] = np.nan
    loop_pairs = pair_of[is_loop]
    loop = np.zeros(pair_keys.size, bool)
    loop[loop_pairs] = True
    loop_score = np.full(pair_keys.size, -np.inf)
    np.maximum.at(loop_score, loop_pairs, count[is_loop])
    loop_score[~np.isfinite(loop_score)] = np.nan
    return ContactMap(
        bin_bp=bin_bp,
        contigs=contigs,
        bin_contig=bin_contig,
        bin_index=bin_index,
        seen=np.array(seen, dtype=bool).reshape(len(seen), n_bins),
        first=pair_first,
        second=pair_second,
        count=sum_groups(pair_of[~is_loop], count[~is_loop], pair_keys.size),
        oe=oe,
        relative=relative,
        is_loop=loop,
        loop_score=loop_score,
        expected=_mean_curve(curves),
        left_out=Counter({key: found for key, found in left_out.items() if found}),
    )


def _number_names(*columns: Any) -> tuple[tuple[str, ...], list[Ints]]:  # noqa: ANN401
    """Return the sorted names of some columns of text, and the columns as numbers."""
    encoded = [_as_text(column).dictionary_encode() for column in columns]
    found = {name for column in encoded for name in column.dictionary.to_pylist()}
    names = tuple(sorted(found))
    place = {name: code for code, name in enumerate(names)}
    numbers = []
    for column in encoded:
        codes = np.array([place[n] for n in column.dictionary.to_pylist()], np.int64)
        at = column.indices.to_numpy(zero_copy_only=False)
        numbers.append(codes[at] if codes.size else np.empty(0, np.int64))
    return names, numbers


def _as_text(column: Any) -> pa.Array:  # noqa: ANN401
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.cast(pa.large_string()).chunks)
    return pa.array(column, pa.large_string())


def _number_keys(keys: Ints, n: int) -> tuple[Ints, Ints]:
    """Return the distinct keys below ``n``, sorted, and each key's place among them."""
    if n > _FEW_KEYS:
        distinct, place = np.unique(keys, return_inverse=True)
        return distinct, place.astype(np.int64)
    is_used = np.zeros(n, bool)
    is_used[keys] = True
    return np.flatnonzero(is_used), (np.cumsum(is_used) - 1)[keys]


def _most_frequent(width: Ints) -> int:
    values, counts = np.unique(width, return_counts=True)
    return int(values[np.argmax(counts)])


def _mean_by_distance(
    observed: Floats,
    distance: Ints,
    sees: NDArray[np.bool_],
    bin_contig: Ints,
    bin_index: Ints,
) -> tuple[Floats, float]:
    """Return the mean contact at each distance in bins, and between contigs."""
    longest = int(bin_index.max()) + 1
    n_pairs = np.zeros(longest)
    for contig in np.unique(bin_contig):
        mask = np.zeros(longest)
        mask[bin_index[(bin_contig == contig) & sees]] = 1.0
        n_pairs += np.rint(fftconvolve(mask, mask[::-1])[longest - 1 :])
    cis = distance >= 0
    total = sum_groups(distance[cis], observed[cis], longest)
    n_seen = int(sees.sum())
    n_between = n_seen * (n_seen + 1) / 2 - n_pairs.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(n_pairs > 0, total / n_pairs, np.nan)
    between = float(np.sort(observed[~cis]).sum())
    return mean, between / n_between if n_between else np.nan


def _mean_curve(curves: list[Floats]) -> Floats:
    if not curves:
        return np.empty(0)
    stacked = np.array(curves)
    known = np.isfinite(stacked)
    n = known.sum(axis=0)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    mean: Floats = np.full(n.size, np.nan)
    mean[n > 0] = total[n > 0] / n[n > 0]
    return mean
