"""What kind of sequence each base of a contig is, for figures by region class."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_registry.store import Store

REGION_CLASSES = (
    "intergenic",
    "promoter",
    "intron",
    "other_exon",
    "utr3",
    "utr5",
    "cds1",
    "cds2",
    "cds3",
    "splice_site",
)
"""By code. Where several fit a base, the later in this list is taken.

``promoter`` lies upstream of a gene's canonical transcript; ``cds1`` to ``cds3`` are the
positions in a codon; ``splice_site`` the first two and last two bases of an intron;
``other_exon`` is exon of non-coding transcripts, of transcripts whose CDS does not read
through, and what else is neither CDS nor UTR.
"""

PROMOTER_BP = 500
MIN_INTRON_BP = 20
"""A shorter gap between exons is no intron: annotations write frame shifts so."""

_CODE = {name: code for code, name in enumerate(REGION_CLASSES)}
_SPLICE_BP = 2

Classes = NDArray[np.uint8]


def region_classes(
    store: Store, contig: str, *, promoter_bp: int = PROMOTER_BP
) -> Classes:
    """Return each base's index into ``REGION_CLASSES``, ``(length of the contig,)``.

    Only the canonical transcript of each gene counts, so that a base has one place in a
    codon. Reading frames follow the registered phases, hence also programmed shifts.

    Parameters
    ----------
    store
        The registry; without an annotation every base is intergenic.
    contig
        Name as the assembly spells it.
    promoter_bp
        Bases upstream of a transcript's 5' end that count as its promoter.

    Raises
    ------
    UnknownContigError
        The assembly has no such contig.
    """
    length = len(store.genome().contig(contig))
    classes = np.zeros(length, dtype=np.uint8)
    db = store.connection

    for start, end, strand in db.execute(
        'SELECT start, "end", strand FROM transcripts '
        "WHERE contig = ? AND is_canonical ORDER BY start, transcript_id",
        [contig],
    ).fetchall():
        if strand == "+":
            classes[max(start - promoter_bp, 0) : start] = _CODE["promoter"]
        else:
            classes[end : end + promoter_bp] = _CODE["promoter"]

    parts = [
        _Part(*row)
        for row in db.execute(
            'SELECT transcript_id, f.kind, f.start, f."end", f.strand, '
            "coalesce(f.phase, 0), coalesce(t.cds_valid, false) "
            "FROM features f JOIN transcripts t USING (transcript_id, contig) "
            "WHERE contig = ? AND t.is_canonical ORDER BY transcript_id, f.start",
            [contig],
        ).fetchall()
    ]
    introns = list(_introns([part for part in parts if part.kind == "exon"]))
    for first, last in introns:
        classes[first:last] = _CODE["intron"]
    for kind, name in (("exon", "other_exon"), ("utr3", "utr3"), ("utr5", "utr5")):
        for part in parts:
            if part.kind == kind:
                classes[part.start : part.end] = _CODE[name]
    for part in parts:
        if part.kind == "cds" and part.cds_valid:
            in_codon = (np.arange(part.end - part.start) - part.phase) % 3
            step = 1 if part.strand == "+" else -1
            classes[part.start : part.end] = (_CODE["cds1"] + in_codon)[::step]
    for first, last in introns:
        classes[first : first + _SPLICE_BP] = _CODE["splice_site"]
        classes[last - _SPLICE_BP : last] = _CODE["splice_site"]
    return classes


class _Part(NamedTuple):
    transcript: str
    kind: str
    start: int
    end: int
    strand: str
    phase: int
    cds_valid: bool


def _introns(exons: Sequence[_Part]) -> Iterator[tuple[int, int]]:
    """Yield the gaps between a transcript's exons, 0-based half-open."""
    for before, after in pairwise(exons):
        if (
            before.transcript == after.transcript
            and after.start - before.end >= MIN_INTRON_BP
        ):
            yield before.end, after.start
