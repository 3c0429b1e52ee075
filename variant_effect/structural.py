"""What structural alleles do: genes, elements and TAD borders hit, new junctions.

Alleles of the structural lane (``AlleleTable.lane``) are read as events. A symbolic
allele's POS is the base before the event (VCF 4.3, section 5.3), so ``<DEL>`` with
POS 100 and END 200 takes the bases 101-200; where END equals POS that base itself is
meant.
``<CNn>`` is told against two copies: fewer is a deletion, more a tandem duplication,
two is undecided like ``<CNV>``.

Consequences follow Ensembl VEP's rules for structural variants, transcript by
transcript:

============ ========================================================================
deletion     of a whole transcript ``transcript_ablation``; of exon bases
             ``feature_truncation``, with ``start_lost`` or ``stop_lost`` where the
             first or last three CDS bases are hit
duplication  of a whole transcript ``transcript_amplification``; inside a transcript and
             of exon bases ``feature_elongation``
inversion    with an end inside the transcript: the parts it turns round. A transcript
             turned round whole keeps its sequence and gets no term (VEP lists parts)
breakend     inside the transcript: ``feature_truncation``, at both ends of the junction
CNV          the parts it holds
all of them  ``coding_sequence_variant``, ``5_prime_UTR_variant``,
             ``3_prime_UTR_variant``, ``intron_variant`` or
             ``non_coding_transcript_exon_variant`` of the parts they hold, unless the
             whole transcript is gone or doubled
============ ========================================================================

``feature_truncation`` needs exon bases here; VEP gives it for introns too. Events
outside transcripts are upstream, downstream or intergenic by their ends.

``sv_breakpoint_llr``: of every junction that the event makes, ``order`` bases are taken
on either side, A and B. ``s(A, B) = (log P(AB) - log P(A) - log P(B)) / (2 order)``
tells in nats a base how well the two sides continue each other under the Markov model
(mean of both strands); the composition of A and B alone cancels. The score is ``s`` of
the new junction less the mean ``s`` of the two junctions of the reference it replaces,
and the mean over junctions where there are two. Negative: unlike the genome's own
sequence. Null: an end is near a contig's end, at N, or its mate is not known.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_registry.genome import Genome
from variant_effect.alleles import STRUCTURAL, AlleleTable
from variant_effect.columns import INTEGER, REAL, TEXT, Column
from variant_effect.consequences import Consequences, nearest_gene
from variant_effect.hgvs import TranscriptModels
from variant_effect.layers import MAX_LISTED
from variant_effect.markov import MarkovModel

if TYPE_CHECKING:
    from variant_effect.material import Material

Ints = NDArray[np.int64]

STRUCTURAL_TERMS = (
    "transcript_ablation",
    "stop_lost",
    "start_lost",
    "transcript_amplification",
    "feature_elongation",
    "feature_truncation",
    "coding_sequence_variant",
    "5_prime_UTR_variant",
    "3_prime_UTR_variant",
    "non_coding_transcript_exon_variant",
    "intron_variant",
    "upstream_gene_variant",
    "downstream_gene_variant",
    "intergenic_variant",
)
"""Terms that structural alleles can get, most severe first (Ensembl's order)."""

_RANK = {term: i for i, term in enumerate(STRUCTURAL_TERMS)}

COLUMNS: tuple[Column, ...] = (
    Column("sv_type", TEXT, "type of a structural allele; empty for others",
           range="DEL, DUP, INV, CNV, BND (mate known), SGL (single breakend)"),
    Column("sv_length", INTEGER, "bases the event spans; empty for breakends", "bp",
           ">=1"),
    Column("sv_genes", TEXT, f"genes the event overlaps, or breaks (inversion, "
           f"breakend), joined by ','; at most {MAX_LISTED} listed"),
    Column("sv_genes_n", INTEGER, "how many"),
    Column("sv_cres_n", INTEGER, "regulatory elements the event overlaps or breaks"),
    Column("sv_tad_borders_n", INTEGER, "borders of TADs inside the event"),
    Column("sv_breakpoint_llr", REAL, "how much better the sequences at the new "
           "junction continue each other than those at the reference's junctions it "
           "replaces (Markov model; variant_effect.structural)", "nats/base", "any",
           "negative: unlike the genome's own sequence"),
)  # fmt: skip


class Side(NamedTuple):
    """One side of a junction: where it is cut (interbase), and its strand.

    The left side of a junction reads up to the cut on '+', or comes from the other
    strand and so from behind the cut; the right side reads from the cut on.
    """

    contig: str
    cut: int
    forward: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """One structural allele.

    Parameters
    ----------
    row
        Its place in the chunk.
    kind
        DEL, DUP, INV, CNV, BND or SGL.
    spans
        ``(contig, start, end)`` it spans, 0-based half-open; of a breakend the cut,
        with ``start == end`` (interbase), of both ends where the mate is known.
    junctions
        ``(left side, right side, bases inserted between them)``.
    """

    row: int
    kind: str
    spans: tuple[tuple[str, int, int], ...]
    junctions: tuple[tuple[Side, Side, str], ...] = ()

    @property
    def is_point(self) -> bool:
        """Whether it is a breakend, which spans nothing."""
        return self.kind in ("BND", "SGL")


_MATE = re.compile(
    r"^(?P<before>[A-Za-z]*)(?P<bracket>[\[\]])<?(?P<contig>.+?)>?:(?P<pos>\d+)"
    r"[\[\]](?P<after>[A-Za-z]*)$"
)


def read_events(
    alleles: AlleleTable, resolve: Callable[[Iterable[str]], Mapping[str, str | None]]
) -> list[Event]:
    """Read the scored structural alleles of a chunk.

    Parameters
    ----------
    resolve
        Contig names of mates to the assembly's (``ContigNames.resolve``).
    """
    events = []
    for row in np.flatnonzero(alleles.scored & (alleles.lane == STRUCTURAL)).tolist():
        contig = alleles.contigs[alleles.contig[row]]
        start, end = int(alleles.start[row]), int(alleles.end[row])
        alt = alleles.alt[row].as_py()
        if alt.startswith("<"):
            if start + 1 < end:
                start += 1
            events.append(_spanning(row, _kind(alt), contig, start, end))
            continue
        found = _MATE.match(alt)
        if found is None:
            # '.TG': the known sequence lies to the right of the break.
            cut = start if alt.startswith(".") else start + 1
            events.append(Event(row, "SGL", ((contig, cut, cut),)))
            continue
        mate = resolve([found["contig"]]).get(found["contig"])
        events.append(_breakend(row, contig, start, found, mate))
    return events


def _kind(alt: str) -> str:
    """Turn ``<DUP:TANDEM>`` into DUP and ``<CN0>`` into DEL."""
    word = alt[1:-1].split(":", 1)[0]
    copies = re.fullmatch(r"CN(\d+)", word)
    if copies is None:
        return word
    n = int(copies[1])
    return "DEL" if n < 2 else "DUP" if n > 2 else "CNV"


def _spanning(row: int, kind: str, contig: str, start: int, end: int) -> Event:
    low, high = Side(contig, start), Side(contig, end)
    junctions: tuple[tuple[Side, Side, str], ...] = ()
    if kind == "DEL":
        junctions = ((low, high, ""),)
    elif kind == "DUP":
        junctions = ((high, low, ""),)
    elif kind == "INV":
        turned_low, turned_high = (
            Side(contig, start, forward=False),
            Side(contig, end, forward=False),
        )
        junctions = ((low, turned_high, ""), (turned_low, high, ""))
    return Event(row, kind, ((contig, start, end),), junctions)


def _breakend(
    row: int, contig: str, start: int, alt: re.Match[str], mate: str | None
) -> Event:
    """Read ``t[p[``, ``t]p]``, ``]p]t`` or ``[p[t`` at 0-based ``start``."""
    mate_start = int(alt["pos"]) - 1
    opens_right = alt["bracket"] == "["  # the mate's sequence extends right of p
    is_left = bool(alt["before"])  # this contig is the left side of the junction
    cut = start + 1 if is_left else start
    mate_cut = mate_start if opens_right else mate_start + 1
    inserted = alt["before"][1:] if is_left else alt["after"][:-1]
    here = (contig, cut, cut)
    if mate is None:
        return Event(row, "BND", (here,))
    own = Side(contig, cut)
    if is_left:
        junction = (own, Side(mate, mate_cut, forward=opens_right), inserted)
    else:
        junction = (Side(mate, mate_cut, forward=not opens_right), own, inserted)
    return Event(row, "BND", (here, (mate, mate_cut, mate_cut)), (junction,))


# --- consequences -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GeneModels:
    """Transcripts and genes by contig.

    Parameters
    ----------
    transcripts
        Exons and CDS.
    rows
        Contig to its transcripts' rows, sorted by start.
    starts, reach
        Contig to those transcripts' starts and the running maximum of their ends.
    """

    transcripts: TranscriptModels
    rows: Mapping[str, Ints]
    starts: Mapping[str, Ints]
    reach: Mapping[str, Ints]

    @classmethod
    def of(cls, transcripts: TranscriptModels, contigs: Sequence[str]) -> "GeneModels":
        """Sort the usable transcripts."""
        arrays = transcripts.arrays
        start = arrays.part_start[arrays.part_at[:-1]]
        end = arrays.part_end[arrays.part_at[1:] - 1]
        rows, starts, reach = {}, {}, {}
        for code in np.unique(transcripts.contig[transcripts.contig >= 0]).tolist():
            here = np.flatnonzero(transcripts.contig == code)
            here = here[np.lexsort((end[here], start[here]))]
            rows[contigs[code]] = here
            starts[contigs[code]] = start[here]
            reach[contigs[code]] = np.maximum.accumulate(end[here])
        return cls(transcripts, rows, starts, reach)

    def near(self, contig: str, start: int, end: int) -> list[int]:
        """Rows of transcripts that may overlap ``[start, end)`` or hold the point."""
        if contig not in self.rows:
            return []
        first = int(np.searchsorted(self.reach[contig], start, side="right"))
        last = int(np.searchsorted(self.starts[contig], max(end, start + 1), "left"))
        found: list[int] = self.rows[contig][first:last].tolist()
        return found

    def terms(self, t: int, kind: str, start: int, end: int) -> list[str]:
        """Terms of an event on transcript ``t``, most severe first; [] where none.

        Parameters
        ----------
        kind
            DEL, DUP, INV, CNV, BND or SGL.
        start, end
            0-based half-open; equal for a breakend.
        """
        arrays = self.transcripts.arrays
        parts = slice(int(arrays.part_at[t]), int(arrays.part_at[t + 1]))
        starts, ends = arrays.part_start[parts], arrays.part_end[parts]
        low, high = int(starts[0]), int(ends[-1])
        is_point = start == end
        if is_point and not low < start < high:
            return []
        if not is_point and (start >= high or end <= low):
            return []
        covers = not is_point and start <= low and end >= high
        if covers and kind in ("DEL", "DUP"):
            return [
                "transcript_ablation" if kind == "DEL" else "transcript_amplification"
            ]
        if covers and kind == "INV":
            return []
        if is_point:
            start, end = start - 1, start + 1
        found = set()
        touches_exon = bool(((starts < end) & (ends > start)).any())
        cds_low, cds_high = int(arrays.cds_start[t]), int(arrays.cds_end[t])
        if cds_low < 0:
            if touches_exon:
                found.add("non_coding_transcript_exon_variant")
        else:
            forward = arrays.strand[t] > 0
            regions = {
                "coding_sequence_variant": (cds_low, cds_high),
                "5_prime_UTR_variant": (low, cds_low) if forward else (cds_high, high),
                "3_prime_UTR_variant": (cds_high, high) if forward else (low, cds_low),
            }
            for term, (first, last) in regions.items():
                inside_low = np.maximum(starts, max(first, start))
                inside_high = np.minimum(ends, min(last, end))
                if (inside_low < inside_high).any():
                    found.add(term)
            if kind == "DEL":
                edges = {
                    "start_lost" if forward else "stop_lost": (cds_low, cds_low + 3),
                    "stop_lost" if forward else "start_lost": (cds_high - 3, cds_high),
                }
                for term, (first, last) in edges.items():
                    # A codon that an intron splits is seen by its outer part.
                    if start < last and end > first:
                        found.add(term)
        if len(starts) > 1 and bool(((ends[:-1] < end) & (starts[1:] > start)).any()):
            found.add("intron_variant")
        if is_point or (kind == "DEL" and touches_exon):
            found.add("feature_truncation")
        if kind == "DUP" and touches_exon and start >= low and end <= high:
            found.add("feature_elongation")
        return sorted(found, key=_RANK.__getitem__)


def fill_consequences(
    alleles: AlleleTable, consequences: Consequences, material: "Material"
) -> None:
    """Set term, gene, transcript and the rest of structural alleles, in place.

    Call it right after ``ConsequenceCaller.call``, while ``material.connection`` is
    open. The most severe transcript is told, the canonical one among equals; others are
    listed, at most ``MAX_LISTED``.
    """
    if not (alleles.scored & (alleles.lane == STRUCTURAL)).any():
        return
    models = _models_of(material)
    caller = material.caller
    names = models.transcripts.index
    for event in read_events(alleles, material.contig_names.resolve):
        entries: dict[int, list[str]] = {}
        for contig, start, end in event.spans:
            for t in models.near(contig, start, end):
                terms = models.terms(t, event.kind, start, end)
                if terms:
                    both = {*entries.get(t, ()), *terms}
                    entries[t] = sorted(both, key=_RANK.__getitem__)
        i = event.row
        if not entries:
            _place_outside(event, consequences, material)
            continue
        ranked = sorted(
            entries,
            key=lambda t: (
                _RANK[entries[t][0]],
                names[t] not in caller.canonical,
                names[t],
            ),
        )
        best = ranked[0]
        gene = caller.gene_of.get(names[best], names[best])
        consequences.term[i] = "&".join(entries[best])
        consequences.transcript[i] = names[best]
        consequences.gene[i] = gene
        consequences.symbol[i] = caller.symbols.get(gene, "")
        forward = models.transcripts.arrays.strand[best] > 0
        consequences.strand[i] = "+" if forward else "-"
        consequences.others[i] = ",".join(
            f"{names[t]}:{'&'.join(entries[t])}" for t in ranked[1 : 1 + MAX_LISTED]
        )


_LAST: dict[int, tuple["Material", GeneModels]] = {}
"""Models of the last material: they are read once, at the first structural allele."""


def _models_of(material: "Material") -> GeneModels:
    held = _LAST.get(id(material))
    if held is None or held[0] is not material:
        contigs = list(material.genome)
        models = GeneModels.of(
            TranscriptModels.read(material.connection, contigs), contigs
        )
        _LAST.clear()
        held = _LAST[id(material)] = (material, models)
    return held[1]


def _place_outside(
    event: Event, consequences: Consequences, material: "Material"
) -> None:
    """Give an event outside all transcripts its nearest gene, by its ends."""
    caller = material.caller
    best: tuple[int, int, str] | None = None
    for contig, start, end in event.spans:
        spans = caller.spans.get(contig)
        if spans is None or not len(spans[0]):
            continue
        # A whole gene turned round is not hit: only the ends count then.
        ends = [(start, start), (end, end)] if event.kind == "INV" else [(start, end)]
        for low, high in ends:
            side, gene, distance = nearest_gene(
                np.array([low]), np.array([high]), *spans
            )
            if side[0] == 0:
                continue
            # Inside a gene without a usable transcript goes first.
            order = {3: 0, 1: 1, 2: 2}[int(side[0])]
            found = (order, int(distance[0]), caller.gene_ids[int(gene[0])])
            best = found if best is None else min(best, found)
    i = event.row
    if best is None:
        consequences.term[i] = "intergenic_variant"
        return
    order, distance_bp, name = best
    consequences.term[i] = (
        "non_coding_transcript_exon_variant",
        "upstream_gene_variant",
        "downstream_gene_variant",
    )[order]
    consequences.gene[i] = name
    consequences.symbol[i] = caller.symbols.get(name, "")
    if order:
        consequences.distance[i] = distance_bp


# --- layers -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spans:
    """Named intervals by contig: starts (ascending), ends, their maximum, names."""

    by_contig: Mapping[str, tuple[Ints, Ints, Ints, NDArray[np.object_]]]

    @classmethod
    def read(
        cls,
        connection: duckdb.DuckDBPyConnection,
        query: str,
        parameters: Sequence[object] = (),
    ) -> "Spans":
        """Read ``contig, start, end, label`` rows."""
        rows = connection.execute(query, list(parameters)).df()
        found = {}
        for contig, group in rows.groupby("contig", sort=True):
            ordered = group.sort_values(["start", "end", "label"])
            ends = ordered["end"].to_numpy(np.int64)
            found[str(contig)] = (
                ordered["start"].to_numpy(np.int64),
                ends,
                np.maximum.accumulate(ends),
                ordered["label"].to_numpy(dtype=object),
            )
        return cls(found)

    def hit(self, contig: str, start: int, end: int, *, broken: bool) -> list[str]:
        """Names of the intervals overlapped, in order.

        ``broken``: only those that hold one of the two cuts inside.
        """
        if contig not in self.by_contig:
            return []
        starts, ends, reach, names = self.by_contig[contig]
        first = int(np.searchsorted(reach, start, side="right"))
        last = int(np.searchsorted(starts, max(end, start + 1), side="left"))
        a, b = starts[first:last], ends[first:last]
        if broken:
            keep = ((a < start) & (start < b)) | ((a < end) & (end < b))
        else:
            keep = (a < end) & (start < b)
        found: list[str] = names[first:last][keep].tolist()
        return found


_GENES = (
    'SELECT contig, start, "end", gene_id AS label FROM genes WHERE gene_id IS NOT NULL'
)
_RAW_CRES = (
    "SELECT contig, start, \"end\", kind || ':' || contig || ':' || start || '-' || "
    '"end" AS label FROM intervals '
    "WHERE kind IN ('cre', 'promoter', 'enhancer', 'peak', 'dhs')"
)
_GRAPH_CRES = 'SELECT contig, start, "end", identifier AS label FROM read_parquet(?)'
_BORDERS = (
    "SELECT DISTINCT contig, position FROM ("
    "SELECT contig, start AS position FROM intervals WHERE kind = 'tad' UNION ALL "
    "SELECT contig, \"end\" AS position FROM intervals WHERE kind = 'tad') "
    "ORDER BY contig, position"
)


@dataclass(frozen=True, slots=True)
class StructuralLayers:
    """Genes, regulatory elements and TAD borders.

    Parameters
    ----------
    genes, cres
        Named intervals.
    borders
        Contig to the distinct starts and ends of its TADs (interbase, ascending).
    """

    genes: Spans
    cres: Spans
    borders: Mapping[str, Ints] = field(default_factory=dict)

    @classmethod
    def read(
        cls, connection: duckdb.DuckDBPyConnection, cre_parquet: str | None = None
    ) -> "StructuralLayers":
        """Read the registry; elements come from the graph where ``cre_parquet`` is."""
        cres = (
            Spans.read(connection, _RAW_CRES)
            if cre_parquet is None
            else Spans.read(connection, _GRAPH_CRES, [cre_parquet])
        )
        borders = {
            str(contig): group["position"].to_numpy(np.int64)
            for contig, group in connection.execute(_BORDERS).df().groupby("contig")
        }
        return cls(Spans.read(connection, _GENES), cres, borders)


def describe_structural(
    alleles: AlleleTable,
    layers: StructuralLayers,
    genome: Genome,
    markov: MarkovModel,
    resolve: Callable[[Iterable[str]], Mapping[str, str | None]],
) -> dict[str, pa.Array]:
    """Return the columns ``COLUMNS``, one value an allele; null for small alleles.

    Parameters
    ----------
    alleles
        The chunk.
    layers
        What can be hit.
    genome, markov
        The assembly and its Markov model, for the junctions.
    resolve
        Contig names of mates to the assembly's.
    """
    n = len(alleles)
    events = read_events(alleles, resolve)
    values: dict[str, list[object]] = {c.name: [None] * n for c in COLUMNS}
    for event in events:
        i = event.row
        broken = event.is_point or event.kind == "INV"
        genes: dict[str, None] = {}
        cres: dict[str, None] = {}
        n_borders = 0
        for contig, start, end in event.spans:
            genes |= dict.fromkeys(layers.genes.hit(contig, start, end, broken=broken))
            cres |= dict.fromkeys(layers.cres.hit(contig, start, end, broken=broken))
            at = layers.borders.get(contig)
            if at is not None:
                n_borders += int(
                    np.searchsorted(at, end, "left")
                    - np.searchsorted(at, start, "right")
                    if end > start
                    else 0
                )
        values["sv_type"][i] = event.kind
        if not event.is_point:
            values["sv_length"][i] = event.spans[0][2] - event.spans[0][1]
        values["sv_genes"][i] = ",".join(list(genes)[:MAX_LISTED]) or None
        values["sv_genes_n"][i] = len(genes)
        values["sv_cres_n"][i] = len(cres)
        values["sv_tad_borders_n"][i] = n_borders
    for i, score in _junction_scores(events, genome, markov).items():
        values["sv_breakpoint_llr"][i] = score
    return {c.name: pa.array(values[c.name], c.type) for c in COLUMNS}


def _junction_scores(
    events: Sequence[Event], genome: Genome, markov: MarkovModel
) -> dict[int, float]:
    """``sv_breakpoint_llr`` of each event that has it, by row."""
    size = markov.order
    windows: list[Bytes] = []
    owner: list[int] = []
    for event in events:
        for left, right, inserted in event.junctions:
            a, b = _flank(genome, left, size, -1), _flank(genome, right, size, 1)
            after = _flank(genome, left, size, 1)
            before = _flank(genome, right, size, -1)
            sides = (a, b, after, before)
            if size == 0 or any(len(side) < size for side in sides):
                continue
            middle = np.frombuffer(inserted.encode(), np.uint8)
            new_left = np.concatenate([a, _CODE[middle]])[-size:]
            windows += [
                np.concatenate([new_left, b]),
                np.concatenate([a, after]),
                np.concatenate([before, b]),
            ]
            owner.append(event.row)
    if not owner:
        return {}
    scores = association(markov, np.array(windows)).reshape(-1, 3)
    each = scores[:, 0] - 0.5 * (scores[:, 1] + scores[:, 2])
    grouped: dict[int, list[float]] = {}
    for row, score in zip(owner, each.tolist(), strict=True):
        grouped.setdefault(row, []).append(score)
    means = {row: sum(found) / len(found) for row, found in grouped.items()}
    return {row: mean for row, mean in means.items() if np.isfinite(mean)}


Bytes = NDArray[np.uint8]


def _code_table() -> Bytes:
    table = np.full(256, 4, np.uint8)
    for code, base in enumerate(b"ACGT"):
        table[base] = table[base + 32] = code
    return table


_CODE = _code_table()
_COMPLEMENT = np.array([3, 2, 1, 0, 4], np.uint8)


def _flank(genome: Genome, side: Side, size: int, towards: int) -> Bytes:
    """Codes of ``size`` bases before (-1) or behind (1) a cut, read along the side.

    Fewer where the contig ends.
    """
    contig = genome.contig(side.contig)
    takes_left = (towards < 0) == side.forward
    low, high = (side.cut - size, side.cut) if takes_left else (
        side.cut, side.cut + size
    )  # fmt: skip
    codes = _CODE[contig[max(low, 0) : max(high, 0)]]
    return codes if side.forward else _COMPLEMENT[codes[::-1]]


def association(markov: MarkovModel, windows: Bytes) -> NDArray[np.float64]:
    """How well the halves of windows continue each other, in nats a base.

    Parameters
    ----------
    windows
        Codes 0-3 (4 unknown), shape (windows, 2 · half).

    Returns
    -------
    numpy.ndarray
        Shape (windows,): ``(log P(AB) - log P(A) - log P(B)) / (2 half)``, mean of both
        strands; NaN where a window holds an unknown base.
    """
    half = windows.shape[1] // 2
    total = np.zeros(len(windows))
    clear: NDArray[np.bool_] = np.all(windows < 4, axis=1)
    known = np.where(clear[:, None], windows, 0).astype(np.int64)
    for strand in (known, 3 - known[:, ::-1]):
        # P(A) cancels: the first half has the same contexts in AB as alone.
        for j in range(half, 2 * half):
            total += _log_p(markov, strand, j, min(j, markov.order))
            total -= _log_p(markov, strand, j, min(j - half, markov.order))
    return np.where(clear, total / (2.0 * 2 * half), np.nan)


def _log_p(markov: MarkovModel, codes: Ints, j: int, order: int) -> NDArray[np.float64]:
    """Log-probability of base ``j`` of each window given the ``order`` before it."""
    index = np.zeros(len(codes), np.int64)
    for k in range(j - order, j + 1):
        index = 4 * index + codes[:, k]
    # Tables of all orders lie one after another; order k has 4 ** (k + 1) cells.
    start = (4 ** (order + 1) - 4) // 3
    found: NDArray[np.float64] = markov.log_p[start + index].astype(np.float64)
    return found
