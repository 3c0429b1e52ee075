"""Trimming and left-alignment of alleles: one spelling for one change.

Two spellings come out. The *minimal* one is 0-based interbase: bases shared by REF
and ALT are gone from both ends, so an insertion has an empty ``ref`` and a deletion an
empty ``alt``; pure insertions and deletions lie as far left as they can (Tan, Abecasis,
Kang 2015, Bioinformatics 31:2202, algorithm 1). The *VCF* one says the same as
``bcftools norm`` writes it: an insertion or deletion keeps the base before it, or the
base after it at the start of a contig (VCF 4.3, section 1.6.1).

Alleles are kept as one byte array with offsets (:class:`Strings`), which is Arrow's own
layout, so that millions of them need no Python object each.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from numba import njit

from data_registry.errors import InputError

_T = TypeVar("_T", bound=np.generic)
Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


def _base_table() -> Bytes:
    """Map a byte to A, C, G, T or N, as ``bcftools norm`` reads a genome."""
    table = np.full(256, ord("N"), np.uint8)
    for base in b"ACGT":
        table[base] = base
        table[base + 32] = base
    return table


_GENOME_BASE = _base_table()


def _upper_table() -> Bytes:
    table = np.arange(256, dtype=np.uint8)
    table[97:123] -= 32
    return table


_UPPER = _upper_table()

_IS_BASE = np.zeros(256, np.bool_)
_IS_BASE[list(b"ACGTNacgtn")] = True


@dataclass(frozen=True, slots=True)
class Strings:
    """Many short ASCII strings in one array.

    Parameters
    ----------
    data
        All bytes, one string after another.
    offsets
        int64, shape (n + 1,): string ``i`` is ``data[offsets[i] : offsets[i + 1]]``.
    """

    data: Bytes
    offsets: Positions

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> str:
        return (
            self.data[self.offsets[i] : self.offsets[i + 1]].tobytes().decode("ascii")
        )

    @property
    def lengths(self) -> Positions:
        """Bytes of each string, int64, shape (n,)."""
        return np.diff(self.offsets)

    @classmethod
    def of(cls, values: Iterable[str | bytes]) -> "Strings":
        """Pack Python strings; they must be ASCII."""
        raw = [v.encode("ascii") if isinstance(v, str) else v for v in values]
        offsets = np.zeros(len(raw) + 1, np.int64)
        np.cumsum([len(v) for v in raw], out=offsets[1:])
        return cls(np.frombuffer(b"".join(raw), np.uint8), offsets)

    @classmethod
    def from_arrow(cls, values: pa.Array | pa.ChunkedArray) -> "Strings":
        """Take over an Arrow string or binary array without nulls."""
        if values.null_count:
            raise InputError(f"{values.null_count} alleles are null")
        array = values.cast(pa.large_binary())
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
            if isinstance(array, pa.ChunkedArray):  # no chunk at all
                array = pa.array([], pa.large_binary())
        _, offset_buffer, data_buffer = array.buffers()
        if len(array) == 0 or offset_buffer is None:
            return cls(np.zeros(0, np.uint8), np.zeros(1, np.int64))
        offsets = np.frombuffer(offset_buffer, np.int64)
        offsets = offsets[array.offset : array.offset + len(array) + 1]
        data = np.frombuffer(data_buffer or b"", np.uint8)
        return cls(data[offsets[0] : offsets[-1]], offsets - offsets[0])

    def to_arrow(self) -> pa.Array:
        """Return an Arrow ``large_string`` array (shares memory)."""
        return pa.LargeStringArray.from_buffers(
            len(self), pa.py_buffer(self.offsets), pa.py_buffer(self.data)
        )

    def to_list(self) -> list[str]:
        """Return Python strings."""
        text, cuts = self.data.tobytes().decode("ascii"), self.offsets.tolist()
        return [text[a:b] for a, b in itertools.pairwise(cuts)]

    def take(self, rows: npt.NDArray[Any]) -> "Strings":
        """Return the strings at ``rows`` (indices or a boolean mask)."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        offsets = np.zeros(len(index) + 1, np.int64)
        np.cumsum(self.lengths[index], out=offsets[1:])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
        return Strings(
            self.data[np.repeat(self.offsets[index], np.diff(offsets)) + within],
            offsets,
        )


@dataclass(frozen=True, slots=True)
class Alleles:
    """Alleles of one contig.

    Parameters
    ----------
    start
        int64, shape (n,): 0-based position of the first base of ``ref``; where ``ref``
        is empty, the interbase point before which ``alt`` is inserted.
    ref, alt
        Upper-case alleles.
    """

    start: Positions
    ref: Strings
    alt: Strings

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Normalised:
    """Both spellings of the same alleles, row for row with the input.

    Parameters
    ----------
    vcf
        As ``bcftools norm`` writes them, in upper case (``start`` is POS - 1).
    minimal
        Without anchor bases: insertions have an empty ``ref``, deletions an empty
        ``alt``. This is the form that is compared and joined on.
    changed
        bool, shape (n,): the ``vcf`` spelling differs from the input, case aside.
    normal
        bool, shape (n,): False where the row was left as it came, in both spellings:
        an allele holds a character other than A, C, G, T, N (symbolic, ``*``, IUPAC),
        REF equals ALT, or REF is a whole contig and ALT empty.
    """

    vcf: Alleles
    minimal: Alleles
    changed: npt.NDArray[np.bool_]
    normal: npt.NDArray[np.bool_]


def frozen(array: npt.NDArray[_T]) -> npt.NDArray[_T]:
    """Return a contiguous read-only view (a copy only where it must).

    A numba kernel is compiled once per argument type, and read-only arrays (Arrow,
    ``mmap``, ``bytes``) are a type of their own; passing all inputs so compiles once.
    """
    view = np.ascontiguousarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view


@njit(cache=True, nogil=True)
def _measure(
    contig: Bytes,
    start: Positions,
    ref: Bytes,
    ref_at: Positions,
    alt: Bytes,
    alt_at: Positions,
    base: Bytes,
    upper: Bytes,
    is_base: npt.NDArray[np.bool_],
    shifts: int,
    plan: Positions,
) -> None:
    """Fill ``plan`` (n, 6): state, minimal start, cut left, ref, alt length, shift.

    Insertions and deletions are moved left where ``shifts`` is 1.
    State: 0 left as it came, 1 substitution, 2 anchored left, 3 anchored right.
    """
    for i in range(len(start)):
        r0, r1, a0, a1 = ref_at[i], ref_at[i + 1], alt_at[i], alt_at[i + 1]
        plan[i, 0], plan[i, 1], plan[i, 2] = 0, start[i], 0
        plan[i, 3], plan[i, 4], plan[i, 5] = r1 - r0, a1 - a0, 0
        proper = True
        for j in range(r0, r1):
            proper &= is_base[ref[j]]
        for j in range(a0, a1):
            proper &= is_base[alt[j]]
        if not proper:
            continue
        right_r, right_a = r1, a1
        while (
            right_r > r0
            and right_a > a0
            and upper[ref[right_r - 1]] == upper[alt[right_a - 1]]
        ):
            right_r -= 1
            right_a -= 1
        left = 0
        while (
            r0 + left < right_r
            and a0 + left < right_a
            and upper[ref[r0 + left]] == upper[alt[a0 + left]]
        ):
            left += 1
        n_ref, n_alt = right_r - r0 - left, right_a - a0 - left
        if n_ref == 0 and n_alt == 0:
            continue
        s = start[i] + left
        if n_ref > 0 and n_alt > 0:
            plan[i, 0] = 1
            shift = 0
        else:
            # The moved allele reads genome[s - shift : s] + moved[: n - shift]; it
            # moves one further while its last base equals the base before it.
            n = n_ref + n_alt
            shift = 0
            while shifts and s - shift > 0:
                before = base[contig[s - shift - 1]]
                if shift >= n:
                    last = base[contig[s - shift + n - 1]]
                elif n_ref > 0:
                    last = upper[ref[r0 + left + n - 1 - shift]]
                else:
                    last = upper[alt[a0 + left + n - 1 - shift]]
                if before != last:
                    break
                shift += 1
            s -= shift
            if s > 0:
                plan[i, 0] = 2
            elif n_ref < len(contig) or not shifts:
                plan[i, 0] = 3
            else:
                continue
        plan[i, 1], plan[i, 2], plan[i, 3] = s, left, n_ref
        plan[i, 4], plan[i, 5] = n_alt, shift


@njit(cache=True, nogil=True)
def _spell(
    contig: Bytes,
    allele: Bytes,
    allele_at: Positions,
    plan: Positions,
    length_column: int,
    base: Bytes,
    upper: Bytes,
    vcf: Bytes,
    vcf_at: Positions,
    short: Bytes,
    short_at: Positions,
) -> None:
    """Write one side (REF or ALT) of every allele in both spellings."""
    for i in range(len(plan)):
        state, s, left, shift = plan[i, 0], plan[i, 1], plan[i, 2], plan[i, 5]
        n = plan[i, length_column]
        source, v, m = allele_at[i] + left, vcf_at[i], short_at[i]
        if state == 2:
            vcf[v] = base[contig[s - 1]]
            v += 1
        for j in range(n):
            if j < shift:
                letter = base[contig[s + j]]
            else:
                letter = upper[allele[source + j - shift]]
            vcf[v] = letter
            short[m] = letter
            v += 1
            m += 1
        if state == 3:
            vcf[v] = base[contig[s + plan[i, 3]]]


def normalise(
    contig: Bytes, start: Positions, ref: Strings, alt: Strings
) -> Normalised:
    """Trim and left-align the alleles of one contig.

    Each row is treated alone: neither order nor batch-mates matter. Letters are
    compared without regard to case and written in upper case. As in ``bcftools norm``,
    genome letters other than A, C, G, T count as N, and N equals N, so alleles made of
    N move through runs of N. REF is not compared with the genome here; the caller has
    done so.

    Parameters
    ----------
    contig
        ASCII bases of the contig, any case, shape (length,).
    start
        0-based position of the first base of ``ref`` (POS - 1), int64, shape (n,).
    ref, alt
        One allele each a row; either may be empty (interbase input).

    Raises
    ------
    InputError
        The columns differ in length, or an allele does not lie within the contig.

    Notes
    -----
    Tan, Abecasis, Kang (2015) Bioinformatics 31:2202, algorithm 1; rows that are not
    normalised are listed under ``Normalised.normal``.
    """
    start = np.ascontiguousarray(start, np.int64)
    n = len(start)
    if len(ref) != n or len(alt) != n:
        raise InputError(f"{n} positions, {len(ref)} REF and {len(alt)} ALT alleles")
    outside = (start < 0) | (start + ref.lengths > len(contig))
    if outside.any():
        i = int(np.argmax(outside))
        raise InputError(
            f"allele at 0-based {start[i]} with {ref.lengths[i]} bp of REF lies off "
            f"its contig of {len(contig)} bp ({int(outside.sum())} such alleles); "
            f"leave these out before normalising"
        )
    plan = np.empty((n, 6), np.int64)
    contig = frozen(contig)
    sources = [(frozen(side.data), frozen(side.offsets)) for side in (ref, alt)]
    _measure(
        contig,
        frozen(start),
        *sources[0],
        *sources[1],
        _GENOME_BASE,
        _UPPER,
        _IS_BASE,
        1,
        plan,
    )
    state = plan[:, 0]
    anchor = (state >= 2).astype(np.int64)
    sides: list[tuple[Strings, Strings]] = []
    for column, source in zip((3, 4), sources, strict=True):
        vcf_at, short_at = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
        np.cumsum(plan[:, column], out=short_at[1:])
        np.cumsum(plan[:, column] + anchor, out=vcf_at[1:])
        vcf, short = np.empty(vcf_at[-1], np.uint8), np.empty(short_at[-1], np.uint8)
        _spell(
            contig,
            *source,
            plan,
            column,
            _GENOME_BASE,
            _UPPER,
            vcf,
            vcf_at,
            short,
            short_at,
        )
        sides.append((Strings(vcf, vcf_at), Strings(short, short_at)))
    (vcf_ref, short_ref), (vcf_alt, short_alt) = sides
    short_start = plan[:, 1].copy()
    vcf_start = short_start - (state == 2)
    changed = (
        (vcf_start != start)
        | (vcf_ref.lengths != ref.lengths)
        | (vcf_alt.lengths != alt.lengths)
    )
    return Normalised(
        Alleles(vcf_start, vcf_ref, vcf_alt),
        Alleles(short_start, short_ref, short_alt),
        changed,
        state > 0,
    )


def trim(start: Positions, ref: Strings, alt: Strings) -> Alleles:
    """Return the minimal spelling as far as it can be had without the genome.

    Bases shared by REF and ALT are cut, from the right end first; insertions and
    deletions are not moved: :func:`normalise` or :func:`left_align_frequencies` do that
    where there is a genome. Alleles are upper-cased; those with other characters than
    A, C, G, T, N stay as they are.
    """
    n = len(start)
    plan = np.empty((n, 6), np.int64)
    _measure(
        _NO_CONTIG,
        frozen(np.asarray(start, np.int64)),
        frozen(ref.data),
        frozen(ref.offsets),
        frozen(alt.data),
        frozen(alt.offsets),
        _GENOME_BASE,
        _UPPER,
        _IS_BASE,
        0,
        plan,
    )
    return Alleles(
        plan[:, 1].copy(),
        _cut(ref, plan[:, 2], plan[:, 3]),
        _cut(alt, plan[:, 2], plan[:, 4]),
    )


_NO_CONTIG = frozen(np.zeros(0, np.uint8))


def _cut(side: Strings, left: Positions, n: Positions) -> Strings:
    """Return ``n`` bytes of each string from ``left`` on, in upper case."""
    offsets = np.zeros(len(n) + 1, np.int64)
    np.cumsum(n, out=offsets[1:])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], n)
    return Strings(
        _UPPER[side.data[np.repeat(side.offsets[:-1] + left, n) + within]], offsets
    )


_MOSTLY = 0.95
"""Share of rows that must fit the genome before alleles are read as swapped."""


def left_align_frequencies(
    table: pd.DataFrame, fetch_contig: Callable[[str], Bytes]
) -> pd.DataFrame:
    """Bring a table of alleles to the key that variants are compared by.

    The key is ``(contig, start, ref, alt)`` with ``start``, ``ref`` and ``alt`` as in
    ``Normalised.minimal``: 0-based, upper case, no anchor base (``ref`` is ``""`` for
    an insertion, ``alt`` is ``""`` for a deletion), left-aligned.

    A row whose REF is not what the genome reads stays as it is (it can meet no checked
    variant). Allele counts (columns ``ac`` and ``an``) of a row whose ALT is what the
    genome reads are turned round, ``an - ac`` copies of the other allele, as PLINK
    files do not say which allele is the reference; this only where the site has one ALT
    and at least 95 % of all rows on known bases fit the genome one way or the other.
    Counts
    of rows that come to the same key (and panel and group) are put together: ``ac``
    added up, ``an`` the largest, ``ac`` at most ``an``.

    Parameters
    ----------
    table
        Columns ``contig``, ``start``, ``ref``, ``alt`` (trimmed or anchored) and any
        others; contigs are the assembly's.
    fetch_contig
        Contig name to ASCII bases.

    Returns
    -------
    pandas.DataFrame
        The same columns; ``attrs["left_alignment"]`` counts the rows ``moved``,
        ``turned``, ``merged``, ``ref_mismatch`` and ``off_contig``.
    """
    counts = {"moved": 0, "turned": 0, "merged": 0, "ref_mismatch": 0, "off_contig": 0}
    out = table.copy(deep=False)
    if len(table) == 0:
        out.attrs["left_alignment"] = counts
        return out
    start = table["start"].to_numpy(np.int64).copy()
    sides = (_Column.of(table["ref"]), _Column.of(table["alt"]))
    has_counts = "ac" in table and "an" in table
    fits = np.ones(len(table), np.bool_)
    turned = np.zeros(len(table), np.bool_)
    n_known = 0
    codes, contigs = pd.factorize(table["contig"])
    by_contig = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[by_contig], np.arange(len(contigs) + 1))
    if codes.min() < 0:
        raise InputError(f"{int((codes < 0).sum())} alleles have no contig")
    rows_of = [by_contig[a:b] for a, b in itertools.pairwise(bounds)]
    for name, rows in zip(contigs, rows_of, strict=True):
        contig = fetch_contig(str(name))
        ref, alt = (side.take(rows) for side in sides)
        inside = (start[rows] >= 0) & (start[rows] + ref.lengths <= len(contig))
        counts["off_contig"] += int((~inside).sum())
        known, is_ref = _compare(contig, start[rows], ref, inside)
        n_known += int(known.sum())
        fits[rows] = inside & is_ref
        if has_counts:
            _, is_alt = _compare(contig, start[rows], alt, inside)
            single = ref.lengths == alt.lengths
            turned[rows] = known & ~is_ref & is_alt & single & (ref.lengths > 0)
    counts["ref_mismatch"] = int((~fits).sum()) - counts["off_contig"]
    if turned.any():
        keys = [c for c in ("panel", "group_name", "contig", "start") if c in table]
        turned &= ~table.duplicated(keys, keep=False).to_numpy()
        unexplained = counts["ref_mismatch"] - int(turned.sum())
        if unexplained <= (1 - _MOSTLY) * n_known:
            ac = table["ac"].copy()
            ac[turned] = table["an"][turned] - ac[turned]
            out["ac"] = ac
            fits |= turned
            counts["turned"] = int(turned.sum())
            counts["ref_mismatch"] = unexplained
        else:
            turned[:] = False
    spelled: tuple[list[Strings], list[Strings]] = ([], [])
    for name, rows in zip(contigs, rows_of, strict=True):
        ref, alt = (side.take(rows) for side in sides)
        if turned[rows].any():
            ref, alt = _choose(turned[rows], alt, ref), _choose(turned[rows], ref, alt)
        kept = np.flatnonzero(fits[rows])
        at = rows[kept]
        found = normalise(
            fetch_contig(str(name)), start[at], ref.take(kept), alt.take(kept)
        ).minimal
        counts["moved"] += int((found.start != start[at]).sum())
        start[at] = found.start
        for old, new, made in zip(
            (ref, alt), (found.ref, found.alt), spelled, strict=True
        ):
            made.append(_replace(old, kept, new))
    out["start"] = start
    for column, side, made in zip(("ref", "alt"), sides, spelled, strict=True):
        out[column] = side.like(made, by_contig)
    if has_counts:
        before = len(out)
        out = _put_together(out, rows_of)
        counts["merged"] = before - len(out)
    out.attrs["left_alignment"] = counts
    return out


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of alleles: Python strings, or a categorical's codes and categories."""

    values: npt.NDArray[Any]
    categories: Strings | None

    @classmethod
    def of(cls, column: pd.Series) -> "_Column":
        if not isinstance(column.dtype, pd.CategoricalDtype):
            return cls(column.to_numpy(object), None)
        codes = column.cat.codes.to_numpy()
        if codes.min() < 0:
            raise InputError(f"{int((codes < 0).sum())} alleles are null")
        return cls(codes, Strings.of(column.cat.categories))

    def take(self, rows: npt.NDArray[np.intp]) -> Strings:
        if self.categories is None:
            return Strings.of(self.values[rows])
        return self.categories.take(self.values[rows])

    def like(
        self, parts: list[Strings], rows: npt.NDArray[np.intp]
    ) -> npt.NDArray[Any] | pd.Categorical:
        """Put strings back to their rows, in the column's own kind."""
        if self.categories is None:
            values = np.empty(len(rows), object)
            values[rows] = [text for part in parts for text in part.to_list()]
            return values
        packed = pa.chunked_array(
            [part.to_arrow().dictionary_encode() for part in parts]
        )
        encoded = packed.combine_chunks()
        codes = np.empty(len(rows), np.int32)
        codes[rows] = encoded.indices.to_numpy()
        return pd.Categorical.from_codes(codes, encoded.dictionary.to_pylist())


def _choose(first: npt.NDArray[np.bool_], this: Strings, other: Strings) -> Strings:
    """Return ``this`` where ``first``, else ``other``."""
    n = len(first)
    return _join(this, other).take(np.where(first, 0, n) + np.arange(n))


def _replace(old: Strings, rows: npt.NDArray[np.intp], new: Strings) -> Strings:
    """Return ``old`` with ``new`` at ``rows``."""
    if len(rows) == len(old):
        return new
    index = np.arange(len(old))
    index[rows] = len(old) + np.arange(len(rows))
    return _join(old, new).take(index)


def _join(first: Strings, second: Strings) -> Strings:
    return Strings(
        np.concatenate([first.data, second.data]),
        np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
    )


def reference_mismatches(
    table: pd.DataFrame, fetch_contig: Callable[[str], Bytes]
) -> npt.NDArray[np.bool_]:
    """Return which rows of alleles name a REF that the genome does not read there.

    A row that reaches past its contig's end is one; unknown genome bases fit anything.

    Parameters
    ----------
    table
        ``contig``, ``start`` (0-based) and ``ref``; contigs are the assembly's.
    fetch_contig
        Contig name to ASCII bases.
    """
    wrong = np.zeros(len(table), np.bool_)
    start = table["start"].to_numpy(np.int64)
    ref = _Column.of(table["ref"])
    for name, rows in table.groupby("contig", sort=False).indices.items():
        contig = fetch_contig(str(name))
        here = ref.take(np.asarray(rows, np.intp))
        inside = (start[rows] >= 0) & (start[rows] + here.lengths <= len(contig))
        _, fits = _compare(contig, start[rows], here, inside)
        wrong[rows] = ~fits
    return wrong


def _compare(
    contig: Bytes, start: Positions, allele: Strings, inside: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return whether the genome is known under each allele, and whether it fits.

    Genome letters other than A, C, G, T fit anything: nothing speaks against the row.
    """
    n = np.where(inside, allele.lengths, 0)
    inside = inside & (start + n <= len(contig))
    n = np.where(inside, n, 0)
    offsets = np.concatenate([[0], np.cumsum(n)])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], n)
    there = _GENOME_BASE[contig[np.repeat(start, n) + within]]
    given = _UPPER[allele.data[np.repeat(allele.offsets[:-1], n) + within]]
    is_known = there != ord("N")
    n_known = np.diff(np.concatenate([[0], np.cumsum(is_known)])[offsets])
    n_wrong = np.diff(
        np.concatenate([[0], np.cumsum(is_known & (there != given))])[offsets]
    )
    return inside & (n_known == n), inside & (n_wrong == 0)


def _put_together(
    table: pd.DataFrame, rows_of: list[npt.NDArray[np.intp]]
) -> pd.DataFrame:
    """Merge rows of the same key; the first of them keeps its place.

    ``rows_of`` are the rows of each contig, in their order.
    """
    keys = [c for c in ("panel", "group_name", "start", "ref", "alt") if c in table]
    keep = np.ones(len(table), np.bool_)
    at: list[npt.NDArray[np.intp]] = []
    merged: list[pd.DataFrame] = []
    for rows in rows_of:
        part = table[keys].iloc[rows]
        repeated = part.duplicated(keep=False).to_numpy()
        if not repeated.any():
            continue
        is_first = ~part.duplicated(keep="first").to_numpy()
        keep[rows[~is_first]] = False
        at.append(rows[repeated & is_first])
        grouped = table.iloc[rows[repeated]].groupby(
            keys, sort=False, dropna=False, observed=True
        )
        sums = pd.DataFrame({"an": grouped["an"].max()})
        sums["ac"] = grouped["ac"].sum(min_count=1)
        merged.append(sums)
    if not at:
        return table
    table, sums = table.reset_index(drop=True), pd.concat(merged)
    rows, an, ac = np.concatenate(at), sums["an"].to_numpy(), sums["ac"].to_numpy()
    table = table.copy(deep=False)
    for column, values in (("an", an), ("ac", np.minimum(ac, an))):
        own = table[column].copy()
        own.iloc[rows] = values
        table[column] = own
    return table[keep]
