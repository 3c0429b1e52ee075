"""What an allele of the demo organism truly does.

This is the simulator's own rule book, not the scorer's: an allele acts when it breaks
a protein at a key codon, a splice site, or a motif site that is functional, and in no
other way. Effects are per copy of the ALT allele and add up.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from data_registry.demo_organism.elements import Landscape, Site
from data_registry.demo_organism.gene_models import Chromosome, Gene
from data_registry.demo_organism.sequence import (
    AMINO_ACID,
    CODES,
    Bases,
    complement,
    decode,
    encode,
)

LEAST_CHANGE: Final = 3.0
"""Bits of motif score an allele must take or give to act at all."""

_FULL_CHANGE: Final = 9.0
_NONSENSE_DECAY: Final = -0.4


@dataclass(frozen=True, slots=True)
class Change:
    """An allele: forward strand, 0-based start, VCF-style anchored when an indel."""

    chromosome: int
    start: int
    ref: str
    alt: str

    @property
    def end(self) -> int:
        """One past the last reference base."""
        return self.start + len(self.ref)

    @property
    def is_snp(self) -> bool:
        """One base for one base."""
        return len(self.ref) == len(self.alt) == 1


@dataclass(frozen=True, slots=True)
class Effect:
    """What one allele does to one gene.

    Parameters
    ----------
    activity
        Change of the gene product's activity, log2 per copy of ALT.
    expression
        Change of the gene's transcript level, log2 per copy of ALT; part of
        ``activity`` for regulatory alleles, decay for broken reading frames.
    site
        Index of the motif site behind it, -1 for coding and splice changes.
    """

    mechanism: str
    gene: int
    activity: float
    expression: float
    site: int = -1


@cache
def _substitution_scores() -> dict[tuple[str, str], int]:
    from Bio.Align import substitution_matrices

    matrix: Any = substitution_matrices.load("BLOSUM62")  # type: ignore[no-untyped-call]
    letters = "ACDEFGHIKLMNPQRSTVWY"
    return {(a, b): int(matrix[a][b]) for a in letters for b in letters}


class RuleBook:
    """Looks up the effect of any allele."""

    def __init__(
        self, chromosomes: list[Chromosome], genes: list[Gene], scape: Landscape
    ) -> None:
        self.chromosomes, self.genes, self.scape = chromosomes, genes, scape
        self._coding = [np.full(len(c.bases), -1, dtype=np.int32) for c in chromosomes]
        self._offset = [np.zeros(len(c.bases), dtype=np.int32) for c in chromosomes]
        self._splice = [np.full(len(c.bases), -1, dtype=np.int32) for c in chromosomes]
        self._sites = [np.full(len(c.bases), -1, dtype=np.int32) for c in chromosomes]
        for index, gene in enumerate(genes):
            if not gene.is_coding:
                continue
            self._coding[gene.chromosome][gene.cds_positions] = index
            self._offset[gene.chromosome][gene.cds_positions] = np.arange(
                len(gene.cds_positions)
            )
            for start, end in gene.introns():
                self._splice[gene.chromosome][[start, start + 1, end - 2, end - 1]] = (
                    index
                )
        for number, site in enumerate(scape.sites):
            self._sites[site.chromosome][site.start : site.end] = number

    def find_effect(self, change: Change) -> Effect | None:
        """Return what the allele does, or None where it does nothing."""
        # An indel's anchor base is untouched; an insertion acts between two bases.
        first = change.start if change.is_snp else change.start + 1
        touched = slice(first, max(change.end, first + 1))
        splice = self._splice[change.chromosome][touched]
        if (splice >= 0).any():
            gene = int(splice[splice >= 0][0])
            return Effect(self._splice_name(gene, change, touched), gene, -0.9, -0.2)
        coding = self._coding[change.chromosome][touched]
        if (coding >= 0).any():
            return self._coding_effect(change, int(coding[coding >= 0][0]), touched)
        sites = self._sites[change.chromosome][touched]
        if (sites >= 0).any():
            return self._site_effect(change, int(sites[sites >= 0][0]))
        return None

    def name_lookalike(self, change: Change) -> str | None:
        """Return what an idle allele resembles: a missense change or a lost motif."""
        if not change.is_snp or self.find_effect(change) is not None:
            return None
        coding = int(self._coding[change.chromosome][change.start])
        if coding >= 0:
            _, before, after = self._codon(change, self.genes[coding])
            return "missense" if before != after else None
        number = int(self._sites[change.chromosome][change.start])
        if number >= 0 and self._score_change(change, number) <= -LEAST_CHANGE:
            inside = self.scape.sites[number].element >= 0
            return "silent_motif_in_element" if inside else "motif_outside_elements"
        return None

    def _splice_name(self, gene: int, change: Change, touched: slice) -> str:
        for start, end in self.genes[gene].introns():
            at_start = touched.start < start + 2 and touched.stop > start
            at_end = touched.start < end and touched.stop > end - 2
            if at_start or at_end:
                is_donor = at_start == (self.genes[gene].strand == "+")
                return "splice_donor" if is_donor else "splice_acceptor"
        raise AssertionError(f"{change} touches no splice site")

    def _codon(self, change: Change, gene: Gene) -> tuple[int, str, str]:
        """Return the codon's number and its amino acid before and after a SNP."""
        offset = int(self._offset[change.chromosome][change.start])
        number, within = divmod(offset, 3)
        places = gene.cds_positions[3 * number : 3 * number + 3]
        codes = self.chromosomes[change.chromosome].bases[places]
        alt = encode(change.alt)
        if gene.strand == "-":
            codes, alt = complement(codes), complement(alt)
        changed = codes.copy()
        changed[within] = alt[0]
        return number, AMINO_ACID[decode(codes)], AMINO_ACID[decode(changed)]

    def _coding_effect(
        self, change: Change, index: int, touched: slice
    ) -> Effect | None:
        gene = self.genes[index]
        if not change.is_snp:
            inside = self._coding[change.chromosome][touched] == index
            offsets = self._offset[change.chromosome][touched][inside]
            if offsets.min() < 3:
                return Effect("start_lost", index, -1.0, 0.0)
            if offsets.max() >= len(gene.cds_positions) - 3:
                return Effect("stop_lost", index, -0.4, 0.0)
            if (len(change.ref) - len(change.alt)) % 3:
                return Effect("frameshift", index, -1.0, _NONSENSE_DECAY)
            if gene.key_codons[offsets // 3].any():
                return Effect("inframe_indel", index, -0.5, 0.0)
            return None
        number, before, after = self._codon(change, gene)
        if before == after:
            return None
        if number == 0:
            return Effect("start_lost", index, -1.0, 0.0)
        if before == "*":
            return Effect("stop_lost", index, -0.4, 0.0)
        if after == "*":
            return Effect("stop_gained", index, -1.0, _NONSENSE_DECAY)
        blosum = _substitution_scores()[before, after]
        if gene.key_codons[number] and blosum < 0:
            return Effect("missense", index, -0.25 * -blosum, 0.0)
        return None

    def _score_change(self, change: Change, number: int) -> float:
        site = self.scape.sites[number]
        before = site.motif.score(site.read(self.chromosomes[site.chromosome].bases))
        return self._alt_score(change, site) - before

    def _alt_score(self, change: Change, site: Site) -> float:
        bases = self.chromosomes[site.chromosome].bases[site.start : site.end].copy()
        bases[change.start - site.start] = ord(change.alt)
        return site.motif.score(
            bases if site.strand == "+" else complement(bases)[::-1]
        )

    def _site_effect(self, change: Change, number: int) -> Effect | None:
        site = self.scape.sites[number]
        if site.weight == 0.0:
            return None
        element = self.scape.elements[site.element]
        if not change.is_snp:
            # A shifted or shortened match is no match.
            if site.role == "latent":
                return None
            share = -1.0
        else:
            bits = self._score_change(change, number)
            wanted = -1.0 if site.role == "functional" else 1.0
            if bits * wanted < LEAST_CHANGE:
                return None
            share = wanted * min(abs(bits) / _FULL_CHANGE, 1.0)
        size = share * site.weight * site.motif.sign
        what = "loss" if share < 0 else "gain"
        return Effect(f"{element.kind}_motif_{what}", element.gene, size, size, number)

    def strongest_snp(self, number: int) -> Change:
        """Return the SNP that changes a site's score most, in its role's direction."""
        site = self.scape.sites[number]
        bases: Bases = self.chromosomes[site.chromosome].bases
        wanted = 1.0 if site.role == "latent" else -1.0
        best, best_bits = None, float("-inf")
        for place in range(site.start, site.end):
            for alt in CODES:
                if alt == bases[place]:
                    continue
                change = Change(site.chromosome, place, chr(bases[place]), chr(alt))
                bits = wanted * self._score_change(change, number)
                if bits > best_bits:
                    best, best_bits = change, bits
        if best is None:
            raise AssertionError(f"site {number} has no bases")
        return best

    def coding_snps(self, index: int) -> list[tuple[Change, Effect | None, int]]:
        """Return every SNP of a gene's CDS with its effect and codon number."""
        gene = self.genes[index]
        found = []
        bases = self.chromosomes[gene.chromosome].bases
        for offset, place in enumerate(gene.cds_positions.tolist()):
            for alt in CODES:
                if alt != bases[place]:
                    change = Change(gene.chromosome, place, chr(bases[place]), chr(alt))
                    found.append((change, self.find_effect(change), offset // 3))
        return found
