"""What aligned relatives have at an allele: conservation, and which allele is derived.

An allele is compared in its minimal left-aligned form. A relative speaks where its
alignment covers every base of REF (of an insertion: the base on each side).

============== ============================================= ==========================
allele         a relative has ALT                            a relative has REF
============== ============================================= ==========================
SNV, MNV       its bases are ALT's, all of them              its bases are REF's
deletion       all bases are deleted and neither neighbour   no base is deleted (bases
               is, so its deletion is no longer one          may differ from REF's)
insertion      it has just these bases in this place         it has none in this place
other          not told (null)                               its bases are REF's
============== ============================================= ==========================

An insertion or deletion of a relative is found where minimap2 wrote it, left-aligned; one
that it wrote as several gaps is not recognised. ``derived_note`` says ``third_allele`` where
the outgroups agree on neither allele, and ``complex_allele`` where they do not have REF and
cannot be asked for an ALT of the other kind.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_registry.normalisation import Strings
from data_registry.relative_alignment import DELETED, UNALIGNED, letter_codes
from data_registry.relatives import (
    FLANK_BP,
    Registered,
    Relatives,
    agreed,
    compare,
    mean_known,
    share_identical,
    window_sums,
)
from data_registry.store import Store
from data_registry.workspace import Workspace
from variant_effect.alleles import AlleleTable
from variant_effect.columns import INTEGER, REAL, TEXT, Column
from variant_effect.consequences import Consequences
from variant_effect.material import Material
from variant_effect.scorers.base import nulls

Bools = NDArray[np.bool_]
Places = NDArray[np.int64]

_LETTERS = np.frombuffer(b"ACGTN-", np.uint8)
_BASES_AT_ONCE = 4_000_000
_NOTES = (
    "no_outgroup_registered", "no_outgroup_aligned", "complex_allele", "third_allele",
    "outgroups_differ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RelativesScorer:
    """Relatives' bases at an allele (``data_registry.relatives``; module docstring)."""

    name: ClassVar[str] = "relatives"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("relatives_aligned", INTEGER, "relatives whose alignment covers the allele's "
               "bases (insertion: the base on each side)", "relatives", ">=0",
               "high: more relatives tell"),
        Column("relatives_identity", REAL, "share of bases identical to the reference from "
               f"{FLANK_BP} bp before to {FLANK_BP} bp after the allele, mean over "
               "relatives aligned to at least half of them", "share", "0-1",
               "high: more conserved"),
        Column("relatives_with_alt", INTEGER, "of the relatives aligned, those that have "
               "ALT; empty where none is aligned and for alleles that replace bases by "
               "another number of bases", "relatives", ">=0",
               "high: ALT is seen in relatives"),
        Column("outgroup_allele", TEXT, "what all aligned outgroups have at REF's bases in "
               "the normalised, trimmed allele, '-' for a deleted base; of an insertion, "
               "what they have in its place; empty where they differ"),
        Column("derived_allele", TEXT, "which allele arose since the outgroups split off: "
               "the one that the aligned outgroups do not have", "",
               "alt, ref, unknown"),
        Column("derived_note", TEXT, "why it is unknown", "", ", ".join(_NOTES)),
    )  # fmt: skip
    relatives: Relatives | None
    missing: str

    @classmethod
    def make(cls, material: Material) -> Self:
        """Open what was aligned."""
        store = Store(Workspace(material.workspace), material.connection)
        registered = Registered.of(store)
        relatives = registered.open()
        if relatives is not None:
            return cls(relatives, "")
        if registered.relatives:
            return cls(
                None,
                f"{len(registered.relatives)} relatives' genomes are registered and not "
                "aligned as they are now; 'cisgraph relatives' aligns them",
            )
        return cls(
            None,
            "no relatives' genomes are registered; 'cisgraph add FASTA --kind "
            "relative_genome --option role=outgroup', then 'cisgraph relatives'",
        )

    def score(
        self,
        alleles: AlleleTable,
        consequences: Consequences,  # noqa: ARG002
        before: Mapping[str, pa.Array],  # noqa: ARG002
        connection: duckdb.DuckDBPyConnection,  # noqa: ARG002
    ) -> dict[str, pa.Array]:
        """Compare the spelled-out alleles with the relatives; others get nulls."""
        n = len(alleles)
        if self.relatives is None:
            return nulls(self.columns, n)
        aligned = np.zeros(n, np.int64)
        with_alt = np.full(n, -1, np.int64)
        identity = np.full(n, np.nan, np.float32)
        outgroup = np.full(n, None, dtype=object)
        derived = np.full(n, None, dtype=object)
        note = np.full(n, None, dtype=object)
        for contig, rows in alleles.by_contig(alleles.small):
            for part in _in_parts(alleles, rows):
                found = _Comparison.of(self.relatives, contig, alleles, part)
                aligned[part] = found.aligned.sum(axis=0)
                told = found.aligned.any(axis=0) & ~found.is_complex
                with_alt[part[told]] = found.has_alt.sum(axis=0)[told]
                identity[part] = found.identity
                outgroup[part], derived[part], note[part] = found.polarity()
        small = alleles.small
        return {
            "relatives_aligned": pa.array(aligned, mask=~small),
            "relatives_identity": pa.array(identity, from_pandas=True),
            "relatives_with_alt": pa.array(with_alt, mask=with_alt < 0),
            "outgroup_allele": pa.array(outgroup, TEXT),
            "derived_allele": pa.array(derived, TEXT),
            "derived_note": pa.array(note, TEXT),
        }


def _in_parts(alleles: AlleleTable, rows: Places) -> Iterator[Places]:
    """Cut rows so that the bases looked at together stay few."""
    size = alleles.end[rows] - alleles.start[rows] + 2 * FLANK_BP
    part = (np.cumsum(size) - size) // _BASES_AT_ONCE
    yield from np.split(rows, np.flatnonzero(np.diff(part)) + 1)


def _ragged(start: Places, end: Places) -> tuple[Places, Places]:
    """Return the places of all spans in a row, and where each span begins among them."""
    size = end - start
    first = np.cumsum(size) - size
    return np.repeat(start - first, size) + np.arange(size.sum()), first


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Alleles of one contig beside the relatives.

    ``aligned``, ``has_ref`` and ``has_alt`` have the shape (relatives, alleles), ``agreed``
    holds the outgroups' common letters or None, the others have one entry an allele.
    """

    is_outgroup: Bools
    aligned: Bools
    has_ref: Bools
    has_alt: Bools
    is_complex: Bools
    identity: NDArray[np.float32]
    agreed: NDArray[np.object_]

    @classmethod
    def of(
        cls, relatives: Relatives, contig: str, alleles: AlleleTable, rows: Places
    ) -> "_Comparison":
        sites = relatives.sites(contig)
        length = sites.shape[1]
        start, end = alleles.start[rows], alleles.end[rows]
        ref_bp, alt_bp = alleles.min_ref.lengths[rows], alleles.min_alt.lengths[rows]
        inserted = ref_bp == 0
        deleted = alt_bp == 0
        substituted = ref_bp == alt_bp

        low = np.where(inserted, np.maximum(start - 1, 0), start)
        high = np.where(inserted, np.minimum(start + 1, length), end)
        index, first = _ragged(low, high)
        codes = sites[:, index]
        reference = letter_codes(relatives.genome.contig(contig)[index])
        wanted = np.full(len(index), DELETED, np.uint8)
        is_of_substituted = np.repeat(substituted, high - low)
        wanted[is_of_substituted] = letter_codes(
            alleles.min_alt.take(rows[substituted]).data
        )

        def everywhere(condition: Bools) -> Bools:
            found: Bools = np.logical_and.reduceat(condition, first, axis=1)
            return found

        aligned = everywhere(codes != UNALIGNED)
        has_alt = everywhere(codes == wanted)
        has_ref = np.where(
            deleted, everywhere(codes < UNALIGNED), everywhere(codes == reference)
        )
        neighbours = sites[:, np.stack([np.maximum(low - 1, 0),
                                        np.minimum(high, length - 1)])]  # fmt: skip
        at_ends = np.stack([low == 0, high == length])
        stands_alone = ((neighbours != DELETED) | at_ends).all(axis=1)
        has_alt &= substituted | (deleted & stands_alone)

        outgroups = relatives.is_outgroup
        spoken = np.where(
            np.repeat(aligned[outgroups], high - low, axis=1),
            codes[outgroups],
            UNALIGNED,
        )
        common = agreed(spoken)
        is_common = np.logical_and.reduceat(common != UNALIGNED, first)
        texts = Strings(_LETTERS[common], np.append(first, len(index))).to_list()
        shown = np.array(texts, dtype=object)
        shown[~is_common] = None

        which = np.flatnonzero(inserted)
        has = _inserted(relatives, relatives.offsets[contig] + start[which])
        alts = np.array(alleles.min_alt.take(rows[which]).to_list(), dtype=object)
        has_ref[:, which], has_alt[:, which] = has == "", has == alts
        for j, own in zip(which.tolist(), has.T, strict=True):
            said = set(own[aligned[:, j] & outgroups].tolist())
            shown[j] = (said.pop() or "-") if len(said) == 1 else None

        return cls(
            outgroups,
            aligned,
            has_ref & aligned,
            has_alt & aligned,
            ~(inserted | deleted | substituted),
            _identity(relatives, contig, start, end),
            shown,
        )

    def polarity(
        self,
    ) -> tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.object_]]:
        """Return the outgroups' allele, which allele is derived, and why not known."""
        aligned = self.aligned[self.is_outgroup]
        some = aligned.any(axis=0)
        all_ref = some & (self.has_ref[self.is_outgroup] == aligned).all(axis=0)
        all_alt = some & (self.has_alt[self.is_outgroup] == aligned).all(axis=0)
        derived = np.select(
            [all_ref, all_alt], ["alt", "ref"], default="unknown"
        ).astype(object)
        third = np.array([text is not None for text in self.agreed], bool)
        reason = np.select(
            [~some & (not self.is_outgroup.any()), ~some, self.is_complex, third],
            _NOTES[:4],
            default=_NOTES[4],
        ).astype(object)
        reason[all_ref | all_alt] = None
        shown = self.agreed.copy()
        shown[~some] = None
        return shown, derived, reason


def _inserted(relatives: Relatives, places: Places) -> NDArray[np.object_]:
    """Return what each relative has before each place of the concatenated reference.

    Shape (relatives, places); '' where it has nothing between the two bases.
    """
    has = np.full((len(relatives.names), len(places)), "", dtype=object)
    for i, held in enumerate(relatives.insertions):
        found = held.find(places)
        for j in np.flatnonzero(found >= 0).tolist():
            first, last = held.offsets[found[j] : found[j] + 2]
            has[i, j] = _LETTERS[held.bases[first:last]].tobytes().decode()
    return has


def _identity(
    relatives: Relatives, contig: str, start: Places, end: Places
) -> NDArray[np.float32]:
    """Work out the mean identity of windows; bases that windows share are read once."""
    sites = relatives.sites(contig)
    low = np.maximum(start - FLANK_BP, 0)
    high = np.minimum(end + FLANK_BP, sites.shape[1])
    order = np.argsort(low, kind="stable")
    reach = np.maximum.accumulate(high[order])
    is_new = np.r_[True, low[order][1:] > reach[:-1]]
    from_ = low[order][is_new]
    index, first = _ragged(from_, reach[np.r_[is_new[1:], True]])
    joined = np.empty(len(low), np.int64)
    joined[order] = np.cumsum(is_new) - 1
    left = first[joined] + low - from_[joined]
    right = left + high - low
    identical, aligned = compare(
        sites[:, index], letter_codes(relatives.genome.contig(contig)[index])
    )
    return mean_known(
        share_identical(
            window_sums(identical, left, right),
            window_sums(aligned, left, right),
            high - low,
        )
    )
