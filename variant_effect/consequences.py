"""Sequence Ontology consequences of alleles, called by ``bcftools csq``.

Every allele is called on its own (``csq --local-csq``) against every usable transcript of
the store's canonical GFF; alleles that share a haplotype are called together in
``variant_effect.joint``. csq (Danecek & McCarthy 2017, Bioinformatics 33:2037) names
terms in short form; here they become Sequence Ontology terms, and alleles outside
transcripts get the positional terms that csq does not give.
"""

import bisect
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray
from pysam import bcftools
from pysam.utils import SamtoolsError

from data_registry.canonical_gff import decode_identifier
from data_registry.errors import PlatformError
from graph_builder.intervals import Spans, overlap_pairs
from variant_effect.alleles import AlleleTable

SO_TERMS: Mapping[str, str] = {
    "transcript_ablation": "transcript_ablation",
    "splice_acceptor": "splice_acceptor_variant",
    "splice_donor": "splice_donor_variant",
    "stop_gained": "stop_gained",
    "frameshift": "frameshift_variant",
    "stop_lost": "stop_lost",
    "start_lost": "start_lost",
    "transcript_amplification": "transcript_amplification",
    "feature_elongation": "feature_elongation",
    "feature_truncation": "feature_truncation",
    "inframe_insertion": "inframe_insertion",
    "inframe_deletion": "inframe_deletion",
    "missense": "missense_variant",
    "inframe_altering": "protein_altering_variant",
    "splice_region": "splice_region_variant",
    "start_retained": "start_retained_variant",
    "stop_retained": "stop_retained_variant",
    "synonymous": "synonymous_variant",
    "coding_sequence": "coding_sequence_variant",
    "5_prime_utr": "5_prime_UTR_variant",
    "3_prime_utr": "3_prime_UTR_variant",
    "non_coding": "non_coding_transcript_exon_variant",
    "intron": "intron_variant",
    "gene": "gene_variant",
    "upstream": "upstream_gene_variant",
    "downstream": "downstream_gene_variant",
    "regulatory": "regulatory_region_variant",
    "intergenic": "intergenic_variant",
}
"""csq's short term to the Sequence Ontology term, most severe first (Ensembl's order)."""

SEVERITY: Mapping[str, int] = {term: i for i, term in enumerate(SO_TERMS.values())}

_HIGH = {
    "transcript_ablation", "splice_acceptor_variant", "splice_donor_variant",
    "stop_gained", "frameshift_variant", "stop_lost", "start_lost",
    "transcript_amplification", "feature_elongation", "feature_truncation",
}  # fmt: skip
_MODERATE = {
    "inframe_insertion", "inframe_deletion", "protein_altering_variant", "missense_variant",
}  # fmt: skip
_LOW = {
    "splice_region_variant", "start_retained_variant", "stop_retained_variant",
    "synonymous_variant",
}  # fmt: skip

_SHORTEST_BP = 30
"""Shorter deletions are not looked at for whole transcripts."""

_MOST_ABLATED = 20

FLANK_BP = 5_000
"""Alleles this near to a gene are upstream or downstream of it (as in Ensembl VEP)."""


def so_term(short: str) -> str:
    """Turn one csq consequence (terms joined by ``&``) into SO terms, most severe first."""
    parts = dict.fromkeys(part.lstrip("*") for part in short.split("&"))
    terms = [SO_TERMS.get(part, part) for part in parts]
    return "&".join(sorted(terms, key=lambda term: SEVERITY.get(term, 99)))


def severity(consequence: str) -> int:
    """Rank of the most severe term; 0 is the most severe, 99 an unknown term."""
    return min(SEVERITY.get(term, 99) for term in consequence.split("&"))


def impact(consequence: str) -> str:
    """Return HIGH, MODERATE, LOW or MODIFIER, as Ensembl ranks the terms."""
    terms = set(consequence.split("&"))
    for name, members in (("HIGH", _HIGH), ("MODERATE", _MODERATE), ("LOW", _LOW)):
        if terms & members:
            return name
    return "MODIFIER"


@dataclass(frozen=True, slots=True)
class GeneBlocks:
    """A canonical GFF cut into one block of lines a gene, for small slices of it.

    Parameters
    ----------
    starts, ends
        Contig to 0-based starts (ascending) and running maximum of ends.
    blocks
        Contig to the blocks' text, in the same order.
    """

    starts: Mapping[str, list[int]]
    ends: Mapping[str, list[int]]
    blocks: Mapping[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> "GeneBlocks":
        """Read a GFF whose genes come in order, each followed by its parts."""
        rows: dict[str, list[tuple[int, int, str]]] = {}
        current: list[str] = []
        place: tuple[str, int, int] | None = None

        def close() -> None:
            if place is not None:
                rows.setdefault(place[0], []).append(
                    (place[1], place[2], "".join(current))
                )

        with path.open() as file:
            for line in file:
                if line.startswith("#"):
                    continue
                cells = line.split("\t")
                if cells[8].startswith("ID=gene:"):
                    close()
                    current = []
                    place = (cells[0], int(cells[3]) - 1, int(cells[4]))
                current.append(line)
        close()
        starts, ends, blocks = {}, {}, {}
        for contig, found in rows.items():
            found.sort(key=lambda row: row[0])
            starts[contig] = [row[0] for row in found]
            ends[contig] = np.maximum.accumulate([row[1] for row in found]).tolist()
            blocks[contig] = [row[2] for row in found]
        return cls(starts, ends, blocks)

    def overlapping(self, contig: str, start: int, end: int) -> Iterable[str]:
        """Return the blocks that may touch ``[start, end)``, a superset of those that do."""
        starts = self.starts.get(contig, [])
        last = bisect.bisect_left(starts, end)
        first = bisect.bisect_right(self.ends.get(contig, []), start)
        return self.blocks.get(contig, [])[first:last]


@dataclass(frozen=True, slots=True)
class TranscriptSpans:
    """Where the usable transcripts of one contig lie.

    Parameters
    ----------
    spans, exons
        Transcripts and their exons, each sorted by start; ``contig`` is 0 throughout.
    owner
        Index of each exon's transcript.
    names
        Transcripts' identifiers.
    is_coding
        Transcripts with a CDS.
    strand
        '+' or '-' of each transcript.
    """

    spans: Spans
    exons: Spans
    owner: NDArray[np.int64]
    names: NDArray[np.object_]
    is_coding: NDArray[np.bool_]
    strand: NDArray[np.object_]

    @classmethod
    def of(cls, transcripts: pd.DataFrame, exons: pd.DataFrame) -> "TranscriptSpans":
        """Take rows of ``transcripts`` and of their exons in ``features``."""
        rows = transcripts.sort_values(["start", "end", "transcript_id"])
        parts = exons.sort_values(["start", "end", "transcript_id"])
        at = pd.Index(rows["transcript_id"]).get_indexer(parts["transcript_id"])
        return cls(
            _spans(rows),
            _spans(parts),
            at.astype(np.int64),
            rows["transcript_id"].to_numpy(object),
            (rows["cds_length"].fillna(0) > 0).to_numpy(bool),
            rows["strand"].to_numpy(object),
        )

    def at(
        self, asked: Spans
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Return pairs (asked, transcript) that overlap, and whether in an exon."""
        where, transcript = _pairs(asked, self.spans)
        in_exon, exon = _pairs(asked, self.exons)
        key = where * len(self.names) + transcript
        return (
            where,
            transcript,
            np.isin(key, in_exon * len(self.names) + self.owner[exon]),
        )


def _spans(rows: pd.DataFrame) -> Spans:
    start, end = rows["start"].to_numpy(np.int64), rows["end"].to_numpy(np.int64)
    return Spans(np.zeros(len(rows), np.int64), start, end)


def _pairs(asked: Spans, held: Spans) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Overlaps with sorted intervals, of which only those near to ``asked`` are looked at."""
    reach = int((held.end - held.start).max(initial=0))
    low = int(np.searchsorted(held.start, asked.start.min() - reach))
    high = int(np.searchsorted(held.start, asked.end.max(), side="right"))
    near = Spans(held.contig[low:high], held.start[low:high], held.end[low:high])
    left, right = overlap_pairs(asked, near)
    return left, right + low


@dataclass(slots=True)
class Consequences:
    """The most severe consequence of each allele, and all others.

    Parameters
    ----------
    term, gene, symbol, transcript, biotype
        Object arrays of str, one entry an allele; '' where there is none.
    protein
        csq's amino-acid change, e.g. ``10P>10L``.
    strand
        '+', '-' or ''.
    others
        ``transcript:terms`` of all further transcripts, joined by ``,``.
    distance
        bp to ``gene`` for upstream and downstream alleles, -1 elsewhere.
    """

    term: NDArray[np.object_]
    gene: NDArray[np.object_]
    symbol: NDArray[np.object_]
    transcript: NDArray[np.object_]
    biotype: NDArray[np.object_]
    protein: NDArray[np.object_]
    strand: NDArray[np.object_]
    others: NDArray[np.object_]
    distance: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ConsequenceCaller:
    """Calls consequences against the store's transcripts.

    Parameters
    ----------
    fasta
        Indexed FASTA of the assembly.
    genes
        The canonical GFF in blocks.
    gene_of, canonical
        Transcript to gene, and the canonical transcripts.
    spans
        Contig to arrays (start, end, strand as ±1, gene index), sorted by start.
    gene_ids, symbols
        Names of the genes in ``spans``.
    codon_tables
        Contig to number of its genetic code, where it is not the standard one.
    transcripts
        Contig to its transcripts and exons, for what csq leaves unnamed.
    """

    fasta: Path
    genes: GeneBlocks
    gene_of: Mapping[str, str]
    canonical: frozenset[str]
    spans: Mapping[
        str,
        tuple[
            NDArray[np.int64], NDArray[np.int64], NDArray[np.int8], NDArray[np.int64]
        ],
    ]
    gene_ids: Sequence[str]
    symbols: Mapping[str, str] = field(default_factory=dict)
    codon_tables: Mapping[str, int] = field(default_factory=dict)
    transcripts: Mapping[str, TranscriptSpans] = field(default_factory=dict)

    def call(self, alleles: AlleleTable) -> Consequences:
        """Call every scored small allele; others get ''.

        Raises
        ------
        PlatformError
            csq failed, or lost alleles on the way: nothing may disappear.
        """
        n = len(alleles)
        found = _empty(n)
        rows = np.flatnonzero(alleles.small)
        if not len(rows):
            return found
        codes = np.array([self.codon_tables.get(name, 1) for name in alleles.contigs])
        for code in np.unique(codes[alleles.contig[rows]]).tolist():
            part = rows[codes[alleles.contig[rows]] == code]
            entries = self._run(alleles, part, code)
            if len(entries["allele"]):
                named = _one_entry_a_transcript(entries)
                self._choose(self._with_introns(named, alleles, part), found)
        self._ablate(alleles, rows, found)
        self._place_outside(alleles, rows, found)
        return found

    def _ablate(
        self, alleles: AlleleTable, rows: NDArray[np.int64], found: Consequences
    ) -> None:
        """Say ``transcript_ablation`` where a deletion takes a whole transcript.

        csq says ``coding_sequence`` of such an allele.
        """
        for i in rows[alleles.end[rows] - alleles.start[rows] >= _SHORTEST_BP].tolist():
            known = self.transcripts.get(alleles.contigs[int(alleles.contig[i])])
            if known is None:
                continue
            whole = (known.spans.start >= alleles.start[i]) & (
                known.spans.end <= alleles.end[i]
            )
            names = sorted(
                known.names[whole].tolist(), key=lambda t: (t not in self.canonical, t)
            )
            if not names:
                continue
            gene = self.gene_of.get(names[0], names[0])
            found.term[i], found.transcript[i] = "transcript_ablation", names[0]
            found.gene[i], found.symbol[i] = gene, self.symbols.get(gene, "")
            found.protein[i] = ""
            found.strand[i] = known.strand[known.names == names[0]][0]
            found.others[i] = ",".join(
                f"{name}:transcript_ablation" for name in names[1 : _MOST_ABLATED + 1]
            )

    def tss_distance(self, alleles: AlleleTable) -> NDArray[np.int64]:
        """Return bp from each scored allele to the nearest gene start; -1 without any."""
        out = np.full(len(alleles), -1, dtype=np.int64)
        for contig, index in alleles.by_contig(alleles.scored):
            if contig not in self.spans:
                continue
            start, end, strand, _ = self.spans[contig]
            tss = np.sort(np.where(strand > 0, start, end - 1))
            at = np.searchsorted(tss, alleles.start[index])
            before = np.abs(alleles.start[index] - tss[np.maximum(at - 1, 0)])
            after = np.abs(tss[np.minimum(at, len(tss) - 1)] - alleles.start[index])
            out[index] = np.minimum(before, after)
        return out

    def _run(
        self, alleles: AlleleTable, rows: NDArray[np.int64], code: int
    ) -> dict[str, Any]:
        """Run csq on the alleles; return its entries, one row an allele and transcript."""
        order = np.lexsort((alleles.norm_start[rows], alleles.contig[rows]))
        rows = rows[order]
        names = pa.array(alleles.contigs)
        text = pc.binary_join_element_wise(
            names.take(pa.array(alleles.contig[rows])),
            pc.cast(pa.array(alleles.norm_start[rows] + 1), pa.string()),
            pc.cast(pa.array(rows), pa.string()),
            alleles.norm_ref.take(rows).to_arrow().cast(pa.string()),
            alleles.norm_alt.take(rows).to_arrow().cast(pa.string()),
            ".\t.\t.\n",
            "\t",
        )
        with tempfile.TemporaryDirectory(prefix="cisgraph-csq-") as folder:
            sites, gff, out = (
                Path(folder) / name for name in ("in.vcf", "g.gff3", "out.vcf")
            )
            n_genes = self.write_genes(alleles, rows, gff)
            if not n_genes:
                return _no_entries()
            used = [
                alleles.contigs[c] for c in np.unique(alleles.contig[rows]).tolist()
            ]
            run_csq(
                self.fasta, gff, sites, out, used, joined_bytes(text),
                "--local-csq", "-C", str(code),
            )  # fmt: skip
            return _read_entries(out, len(rows))

    def write_genes(
        self, alleles: AlleleTable, rows: NDArray[np.int64], path: Path
    ) -> int:
        """Write the canonical GFF around the alleles; return how many genes it holds."""
        blocks: dict[str, None] = {}
        for code in np.unique(alleles.contig[rows]).tolist():
            here = rows[alleles.contig[rows] == code]
            start = int(alleles.norm_start[here].min()) - 100
            end = int(alleles.end[here].max()) + 100
            for block in self.genes.overlapping(alleles.contigs[code], start, end):
                blocks[block] = None
        path.write_text("##gff-version 3\n" + "".join(blocks))
        return len(blocks)

    def _with_introns(
        self, entries: dict[str, Any], alleles: AlleleTable, rows: NDArray[np.int64]
    ) -> dict[str, Any]:
        """Add introns and non-coding transcripts by name.

        csq says ``intron`` once a gene and ``non_coding`` for the whole span of a
        transcript, names neither, and says nothing of them where another transcript has
        an exon.
        """
        tr_code, transcripts = entries["transcript"]
        code_of = {name: code for code, name in enumerate(transcripts)}
        known = entries["allele"] * (len(transcripts) + 1) + tr_code
        added: dict[str, list[Any]] = {
            name: [] for name in ("allele", "term", "transcript", "biotype", "strand")
        }
        asked = np.zeros(len(alleles), dtype=bool)
        asked[rows] = True
        for contig, index in alleles.by_contig(asked):
            held = self.transcripts.get(contig)
            if held is None:
                continue
            zero = np.zeros(len(index), np.int64)
            at, which, in_exon = held.at(
                Spans(zero, alleles.start[index], alleles.end[index])
            )
            names = held.names[which]
            distinct, code = np.unique(which, return_inverse=True)
            there = np.array(
                [code_of.get(name, len(transcripts)) for name in held.names[distinct]],
                np.int64,
            )
            is_new = ~np.isin(index[at] * (len(transcripts) + 1) + there[code], known)
            is_new &= ~(held.is_coding[which] & in_exon)
            which, names = which[is_new], names[is_new]
            added["allele"].append(index[at][is_new])
            added["term"].append(
                np.where(in_exon[is_new], "non_coding", "intron").astype(object)
            )
            added["transcript"].append(names)
            added["strand"].append(held.strand[which])
            added["biotype"].append(
                np.where(held.is_coding[which], "protein_coding", "misc_RNA").astype(
                    object
                )
            )
        if not any(map(len, added["allele"])):
            return entries
        new = {name: np.concatenate(parts) for name, parts in added.items()}
        unnamed = np.array([name == "" for name in transcripts])[tr_code]
        keep = np.flatnonzero(~(unnamed & np.isin(entries["allele"], new["allele"])))

        def extended(name: str) -> tuple[NDArray[np.int64], list[str]]:
            codes, words = entries[name]
            code, distinct = pd.factorize(new[name])
            at = {word: i for i, word in enumerate(words)}
            fresh = [word for word in distinct if word not in at]
            at |= {word: len(words) + i for i, word in enumerate(fresh)}
            mapped = np.array([at[word] for word in distinct], np.int64)[code]
            return np.r_[codes[keep], mapped], [*words, *fresh]

        blank = pa.array([""] * len(new["allele"]), pa.string())
        protein = entries["protein"].take(pa.array(keep)).cast(pa.string())
        return {
            "allele": np.r_[entries["allele"][keep], new["allele"]],
            "protein": pa.concat_arrays([protein, blank]),
            **{
                name: extended(name)
                for name in ("term", "transcript", "biotype", "strand")
            },
        }

    def _choose(self, entries: dict[str, Any], found: Consequences) -> None:
        """Keep the most severe entry of each allele; list the others."""
        allele = entries["allele"]
        term_code, terms = entries["term"]
        so = [so_term(term) for term in terms]
        rank = np.array([severity(term) for term in so])[term_code]
        tr_code, transcripts = entries["transcript"]
        minor = np.array([name not in self.canonical for name in transcripts])[tr_code]
        tr_order = np.argsort(np.argsort(np.array(transcripts, dtype=object)))[tr_code]
        order = np.lexsort((tr_order, minor, rank, allele))
        sorted_alleles = allele[order]
        first = np.r_[True, sorted_alleles[1:] != sorted_alleles[:-1]]
        best, where = order[first], sorted_alleles[first]
        so_array = np.array(so, dtype=object)
        tr_array = np.array(transcripts, dtype=object)
        found.term[where] = so_array[term_code[best]]
        found.transcript[where] = tr_array[tr_code[best]]
        found.gene[where] = np.array(
            [self.gene_of.get(name, name) for name in transcripts], dtype=object
        )[tr_code[best]]
        found.symbol[where] = np.array(
            [
                self.symbols.get(self.gene_of.get(name, name), "")
                for name in transcripts
            ],
            dtype=object,
        )[tr_code[best]]
        bio_code, biotypes = entries["biotype"]
        found.biotype[where] = np.array(biotypes, dtype=object)[bio_code[best]]
        strand_code, strands = entries["strand"]
        found.strand[where] = np.array(strands, dtype=object)[strand_code[best]]
        found.protein[where] = (
            entries["protein"].take(pa.array(best)).to_numpy(zero_copy_only=False)
        )
        for i in order[~first].tolist():
            text = f"{tr_array[tr_code[i]]}:{so_array[term_code[i]]}"
            a = allele[i]
            found.others[a] = f"{found.others[a]},{text}" if found.others[a] else text

    def _place_outside(
        self, alleles: AlleleTable, rows: NDArray[np.int64], found: Consequences
    ) -> None:
        """Give upstream, downstream or intergenic to alleles outside all transcripts.

        Inside a gene none of whose transcripts can be used, all we can say is
        ``gene_variant`` (SO:0001564).
        """
        ids = np.array(self.gene_ids, dtype=object)
        for code in np.unique(alleles.contig[rows]).tolist():
            here = rows[(alleles.contig[rows] == code) & (found.term[rows] == "")]
            if not len(here):
                continue
            spans = self.spans.get(alleles.contigs[code])
            if spans is None or not len(spans[0]):
                found.term[here] = "intergenic_variant"
                continue
            side, gene, distance = nearest_gene(
                alleles.start[here], alleles.end[here], *spans
            )
            terms = np.array(
                ["intergenic_variant", "upstream_gene_variant", "downstream_gene_variant",
                 "gene_variant"],
                dtype=object,
            )  # fmt: skip
            found.term[here] = terms[side]
            near = side > 0
            found.gene[here[near]] = ids[gene[near]]
            found.symbol[here[near]] = [
                self.symbols.get(g, "") for g in ids[gene[near]]
            ]
            found.distance[here[near]] = distance[near]


def nearest_gene(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    gene_start: NDArray[np.int64],
    gene_end: NDArray[np.int64],
    gene_strand: NDArray[np.int8],
    gene_index: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find the gene each allele is upstream (1) or downstream (2) of, or inside (3); else 0.

    Upstream goes before downstream, as in Ensembl's order of severity; among equals the
    nearest. Within ``FLANK_BP`` only. Returns ``(side, gene, distance)``.

    Parameters
    ----------
    start, end
        Alleles, 0-based half-open.
    gene_start, gene_end, gene_strand, gene_index
        Genes of the same contig, sorted by start.
    """
    n = len(start)
    side = np.zeros(n, dtype=np.int64)
    gene = np.full(n, -1, dtype=np.int64)
    distance = np.full(n, -1, dtype=np.int64)
    by_end = np.argsort(gene_end, kind="stable")
    best_up = np.full(n, FLANK_BP + 1, dtype=np.int64)
    best_down = np.full(n, FLANK_BP + 1, dtype=np.int64)
    up_gene = np.full(n, -1, dtype=np.int64)
    down_gene = np.full(n, -1, dtype=np.int64)
    for strand in (1, -1):
        # Genes that begin after the allele: it lies upstream of a '+' gene.
        members = np.flatnonzero((gene_strand >= 0) == (strand > 0))
        if len(members):
            at = np.searchsorted(gene_start[members], end, side="left")
            ok = at < len(members)
            right = members[np.minimum(at, len(members) - 1)]
            gap = np.where(ok, gene_start[right] - end + 1, FLANK_BP + 1)
            best, owner = (best_up, up_gene) if strand > 0 else (best_down, down_gene)
            better = gap < best
            best[better], owner[better] = gap[better], right[better]
        ends_here = by_end[np.isin(by_end, members)]
        if len(ends_here):
            at = np.searchsorted(gene_end[ends_here], start, side="right") - 1
            ok = at >= 0
            left = ends_here[np.maximum(at, 0)]
            gap = np.where(ok, start - gene_end[left] + 1, FLANK_BP + 1)
            best, owner = (best_down, down_gene) if strand > 0 else (best_up, up_gene)
            better = gap < best
            best[better], owner[better] = gap[better], left[better]
    running = np.maximum.accumulate(gene_end)
    # An insertion (end == start) lies inside only past the first base.
    at = np.searchsorted(gene_start, end, side="left") - 1
    inside = (at >= 0) & (running[np.maximum(at, 0)] > start)
    up = best_up <= FLANK_BP
    down = ~up & (best_down <= FLANK_BP)
    side[up], gene[up], distance[up] = 1, gene_index[up_gene[up]], best_up[up]
    side[down], gene[down], distance[down] = (
        2,
        gene_index[down_gene[down]],
        best_down[down],
    )
    if inside.any():
        holder = at.copy()
        for i in np.flatnonzero(inside).tolist():
            while gene_end[holder[i]] <= start[i]:
                holder[i] -= 1
        side[inside], distance[inside] = 3, 0
        gene[inside] = gene_index[holder[inside]]
    return side, gene, distance


def factorised(values: NDArray[np.object_]) -> tuple[NDArray[np.int64], list[str]]:
    """Return each value's code and the distinct values, in the order they appear."""
    codes, distinct = pd.factorize(values)
    return codes, [str(value) for value in distinct]


def joined_bytes(lines: pa.Array | pa.ChunkedArray) -> bytes:
    """Return the strings of an Arrow array one after another."""
    array = lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines
    array = array.cast(pa.large_string())
    offsets = np.frombuffer(array.buffers()[1], np.int64)[
        array.offset : array.offset + len(array) + 1
    ]
    return bytes(memoryview(array.buffers()[2])[offsets[0] : offsets[-1]])


_last_rid = -1
"""Number of the last contig csq read in this process; see ``run_csq``."""


def run_csq(
    fasta: Path,
    gff: Path,
    sites: Path,
    out: Path,
    contigs: Sequence[str],
    body: bytes,
    *arguments: str,
    columns: str = "",
) -> None:
    """Write ``body`` as a VCF to ``sites`` and run ``bcftools csq`` on it, in this process.

    csq keeps the last position it read in a static variable, and refuses a second run in
    one process that starts lower on a contig of the same number. So a contig that no
    record uses comes first wherever the numbers would meet.

    Parameters
    ----------
    contigs
        The contigs of ``body``, in its order.
    columns
        Header of the columns after INFO, with its leading tab.

    Raises
    ------
    PlatformError
        csq stopped; the message holds its own words.
    """
    global _last_rid
    gt = (
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        if columns
        else ""
    )
    unused = int(_last_rid == 0)
    # A second try for the case that other code of this process has called csq.
    for n_unused in (unused, unused + 1):
        listed = [*(f"cisgraph_unused{i}" for i in range(n_unused)), *contigs]
        head = "".join(f"##contig=<ID={name}>\n" for name in listed)
        with sites.open("wb") as file:
            file.write(
                f"##fileformat=VCFv4.2\n{gt}{head}"
                f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO{columns}\n".encode()
            )
            file.write(body)
        _last_rid = len(listed) - 1
        try:
            bcftools.csq(
                "--force", "--verbosity", "0", "-f", str(fasta), "-g", str(gff),
                *arguments, "-O", "v", "-o", str(out), str(sites), catch_stdout=False,
            )  # fmt: skip
        except SamtoolsError as error:
            if "not sorted" in str(error) and n_unused == unused:
                continue
            raise PlatformError(f"bcftools csq stopped: {error}") from error
        return


def _empty(n: int) -> Consequences:
    def blank() -> NDArray[np.object_]:
        return np.full(n, "", dtype=object)

    return Consequences(
        blank(), blank(), blank(), blank(), blank(), blank(), blank(), blank(),
        np.full(n, -1, dtype=np.int64),
    )  # fmt: skip


def _one_entry_a_transcript(entries: dict[str, Any]) -> dict[str, Any]:
    """Join csq's entries on one allele and transcript, e.g. missense and splice_region.

    The entry with an amino-acid change stays, with the terms of all.
    """
    allele = entries["allele"]
    tr_code, transcripts = entries["transcript"]
    key = allele * len(transcripts) + tr_code
    silent = pc.equal(entries["protein"], "").to_numpy(zero_copy_only=False)
    order = np.lexsort((silent, key))
    first = np.r_[True, key[order][1:] != key[order][:-1]]
    if first.all():
        return entries
    term_code, terms = entries["term"]
    term_code, terms = term_code.copy(), list(terms)
    code_of = {term: code for code, term in enumerate(terms)}
    owner = order[first][np.cumsum(first) - 1]
    for i, kept in zip(order[~first].tolist(), owner[~first].tolist(), strict=True):
        term = f"{terms[term_code[kept]]}&{terms[term_code[i]]}"
        if term not in code_of:
            code_of[term] = len(terms)
            terms.append(term)
        term_code[kept] = code_of[term]
    keep = np.sort(order[first])

    def coded(
        pair: tuple[NDArray[np.int64], list[str]],
    ) -> tuple[NDArray[np.int64], list[str]]:
        return pair[0][keep], pair[1]

    return {
        "allele": allele[keep],
        "term": (term_code[keep], terms),
        "protein": entries["protein"].take(pa.array(keep)),
        **{name: coded(entries[name]) for name in ("transcript", "biotype", "strand")},
    }


def _no_entries() -> dict[str, Any]:
    return {"allele": np.zeros(0, np.int64)}


def _read_entries(path: Path, expected: int) -> dict[str, Any]:
    """Read csq's output into columns."""
    with path.open("rb") as file:
        data = file.read()
    body = data.index(b"\n", data.index(b"\n#CHROM") + 1) + 1
    table = pa_csv.read_csv(
        pa.BufferReader(memoryview(data)[body:]),
        read_options=pa_csv.ReadOptions(
            column_names=list("abcdefgh"), block_size=max(len(data), 1 << 20),
            use_threads=False,
        ),
        parse_options=pa_csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pa_csv.ConvertOptions(
            include_columns=["c", "h"], column_types={"c": pa.int64(), "h": pa.string()},
            strings_can_be_null=False, check_utf8=False,
        ),
    )  # fmt: skip
    if len(table) != expected:
        raise PlatformError(f"csq returned {len(table)} of {expected} alleles")
    info = table["h"].combine_chunks()
    called = np.flatnonzero(
        pc.starts_with(info, "BCSQ=").to_numpy(zero_copy_only=False).astype(bool)
    )
    if not len(called):
        return _no_entries()
    given = pc.utf8_slice_codeunits(info.take(pa.array(called)), 5)
    entries = pc.split_pattern(given, ",")
    owner = pc.list_parent_indices(entries).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(entries)
    parts = pc.split_pattern(flat, "|")
    offsets = parts.offsets.to_numpy()
    cells = pc.list_flatten(parts)
    n_cells = np.diff(offsets)

    def column(k: int) -> pa.Array:
        at = pa.array(offsets[:-1] + k, mask=n_cells <= k)
        return pc.fill_null(cells.take(at), "")

    def coded(k: int) -> tuple[NDArray[np.int64], list[str]]:
        encoded = column(k).dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return codes, encoded.dictionary.to_pylist()

    allele = table["c"].to_numpy()[called][owner]
    return {
        "allele": allele,
        "term": coded(0),
        "transcript": (lambda c: (c[0], [decode_identifier(n) for n in c[1]]))(
            coded(2)
        ),
        "biotype": coded(3),
        "strand": coded(4),
        "protein": column(5),
    }
