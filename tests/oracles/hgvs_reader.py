"""Reads HGVS names back, base by base and residue by residue."""

import re
from dataclasses import dataclass

from Bio.Data.IUPACData import protein_letters_3to1
from Bio.Seq import Seq

_ONE = {**protein_letters_3to1, "Ter": "*"}


@dataclass(frozen=True)
class Gene:
    """One transcript; spans 0-based half-open, ``cds`` the genomic span of the CDS."""

    name: str
    exons: tuple[tuple[int, int], ...]
    strand: str
    cds: tuple[int, int] | None

    def positions(self) -> list[int]:
        """Genomic position of every transcript base, 5'→3'."""
        along = [p for start, end in self.exons for p in range(start, end)]
        return along if self.strand == "+" else along[::-1]

    def labels(self, contig_length: int) -> dict[str, int]:
        """HGVS position to genomic position, for every base of the contig."""
        along = self.positions()
        place = {position: i for i, position in enumerate(along)}
        step = 1 if self.strand == "+" else -1
        if self.cds:
            coding = [i for i, p in enumerate(along) if self.cds[0] <= p < self.cds[1]]
            first, last = coding[0], coding[-1]
        else:
            first, last = 0, len(along) - 1

        def count(i: int) -> str:
            if i < first:
                return f"-{first - i}"
            return f"*{i - last}" if i > last else str(i - first + 1)

        labels = {}
        for p in range(contig_length):
            if p in place:
                labels[count(place[p])] = p
                continue
            up = next(
                (d for d in range(1, contig_length) if p - step * d in place), None
            )
            down = next(
                (d for d in range(1, contig_length) if p + step * d in place), None
            )
            if up is None:
                labels[count(-down)] = p  # type: ignore[operator]
            elif down is None:
                labels[count(len(along) - 1 + up)] = p
            elif up <= down:
                labels[f"{count(place[p - step * up])}+{up}"] = p
            else:
                labels[f"{count(place[p + step * down])}-{down}"] = p
        return labels


def complement(bases: str) -> str:
    return str(Seq(bases).reverse_complement())  # type: ignore[no-untyped-call]


_CODING = re.compile(
    r"^(?P<first>[-*]?\d+(?:[+-]\d+)?)(?:_(?P<last>[-*]?\d+(?:[+-]\d+)?))?"
    r"(?:(?P<ref>[ACGT])>(?P<alt>[ACGT])|(?P<kind>delins|del|dup|ins)(?P<seq>[ACGT]*))$"
)


def apply_coding(name: str, gene: Gene, genome: str) -> tuple[str, str]:
    """Put a ``c.`` or ``n.`` change into the genome; return it and the kind."""
    transcript, _, change = name.partition(":")
    assert transcript == gene.name
    assert change[:2] == ("c." if gene.cds else "n.")
    found = _CODING.match(change[2:])
    assert found, name
    labels = gene.labels(len(genome))
    first = labels[found["first"]]
    last = labels[found["last"]] if found["last"] else first
    forward = gene.strand == "+"
    assert (first <= last) == forward or first == last, "5' position comes first"
    low, high = min(first, last), max(first, last)
    given = found["alt"] or found["seq"] or ""
    bases = given if forward else complement(given)
    if found["ref"]:
        read = genome[low] if forward else complement(genome[low])
        assert read == found["ref"]
        return genome[:low] + bases + genome[low + 1 :], ">"
    kind = found["kind"]
    if kind == "ins":
        assert high == low + 1
        return genome[:high] + bases + genome[high:], kind
    if kind == "dup":
        return genome[: high + 1] + genome[low : high + 1] + genome[high + 1 :], kind
    return genome[:low] + bases + genome[high + 1 :], kind


def spliced(gene: Gene, genome: str, start: int, ref: str, alt: str) -> str:
    """The mutated transcript, 5'→3'; the allele lies inside one exon or outside all."""
    read = ""
    for low, high in gene.exons:
        part = genome[low:high]
        if low <= start and start + len(ref) <= high and (ref or low < start < high):
            part = part[: start - low] + alt + part[start - low + len(ref) :]
        read += part
    return read if gene.strand == "+" else complement(read)


def coding_part(gene: Gene, genome: str, start: int, ref: str, alt: str) -> str:
    """The mutated transcript from its old start codon's place on."""
    assert gene.cds
    if gene.strand == "+":
        utr = sum(min(b, gene.cds[0]) - a for a, b in gene.exons if a < gene.cds[0])
    else:
        utr = sum(b - max(a, gene.cds[1]) for a, b in gene.exons if b > gene.cds[1])
    return spliced(gene, genome, start, ref, alt)[utr:]


def mutated_protein(gene: Gene, genome: str, start: int, ref: str, alt: str) -> str:
    """Protein of the mutated transcript; ends in '*', or '?' where there is no stop."""
    coding = coding_part(gene, genome, start, ref, alt)
    whole = Seq(coding[: len(coding) // 3 * 3])
    protein = str(whole.translate())  # type: ignore[no-untyped-call]
    stop = protein.find("*")
    return protein[: stop + 1] if stop >= 0 else protein + "?"


_RESIDUE = r"([A-Z][a-z]{2})(\d+)"


def apply_protein(name: str, protein: str, mutated: str) -> str:
    """Put a ``p.(…)`` change into the reference protein (with its '*').

    A frameshift or extension says only its first residue and where it ends; what lies
    between is taken from ``mutated``, and its place and end are checked.
    """
    body = re.fullmatch(r"p\.\((.*)\)", name)
    assert body, name
    text = body[1]

    def at(three: str, number: str) -> int:
        k = int(number) - 1
        assert protein[k] == _ONE[three], (name, protein)
        return k

    if same := re.fullmatch(f"{_RESIDUE}(?:_{_RESIDUE})?=", text):
        at(same[1], same[2])
        return protein
    if long := re.fullmatch(f"{_RESIDUE}([A-Z][a-z]{{2}})(fs|ext)Ter(\\d+|\\?)", text):
        k = at(long[1], long[2])
        assert (long[4] == "ext") == (long[1] == "Ter")
        assert mutated[:k] == protein[:k]
        assert mutated[k] == _ONE[long[3]] != protein[k]
        if long[5] == "?":
            assert mutated.endswith("?")
        else:
            assert mutated.index("*") == k + int(long[5]) - (long[4] == "fs")
        return mutated
    if swap := re.fullmatch(f"{_RESIDUE}([A-Z][a-z]{{2}})", text):
        k = at(swap[1], swap[2])
        new = _ONE[swap[3]]
        return protein[:k] + new + ("" if new == "*" else protein[k + 1 :])
    found = re.fullmatch(
        f"{_RESIDUE}(?:_{_RESIDUE})?(delins|del|dup|ins)((?:[A-Z][a-z]{{2}})*)", text
    )
    assert found, name
    first = at(found[1], found[2])
    last = at(found[3], found[4]) if found[3] else first
    new = "".join(_ONE[found[6][i : i + 3]] for i in range(0, len(found[6]), 3))
    if found[5] == "ins":
        assert last == first + 1
        result = protein[:last] + new + protein[last:]
    elif found[5] == "dup":
        result = protein[: last + 1] + protein[first : last + 1] + protein[last + 1 :]
    else:
        result = protein[:first] + new + protein[last + 1 :]
    return result[: result.index("*") + 1] if "*" in result else result
