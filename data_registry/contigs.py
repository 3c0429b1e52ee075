"""Contig names of one assembly and what other files call them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PREFIX = re.compile(
    r"^(chromosome|chrom|chr|lg|scaffold_chr)[_\s]*(?=.)", re.IGNORECASE
)
_ROMAN = re.compile(r"^(?=.)X{0,3}(IX|IV|V?I{0,3})$")
_ORGANELLES = {
    "M": "mitochondrion", "MT": "mitochondrion", "MITO": "mitochondrion",
    "MITOCHONDRION": "mitochondrion", "MITOCHONDRIA": "mitochondrion",
    "C": "plastid", "PT": "plastid", "CP": "plastid", "PLTD": "plastid",
    "CHLOROPLAST": "plastid", "PLASTID": "plastid",
}  # fmt: skip
# RefSeq accessions run in chromosome order for these assemblies.
_REFSEQ: dict[str, str] = {
    **{f"NC_{1133 + i:06d}": str(i + 1) for i in range(16)},
    "NC_001224": "mitochondrion",
    "NC_003070": "1", "NC_003071": "2", "NC_003074": "3", "NC_003075": "4",
    "NC_003076": "5", "NC_037304": "mitochondrion", "NC_000932": "plastid",
}  # fmt: skip


def roman_value(text: str) -> int | None:
    """Return the value of a roman numeral up to 39, or None."""
    if not _ROMAN.match(text):
        return None
    values = {"I": 1, "V": 5, "X": 10}
    total = 0
    for here, after in zip(text, [*text[1:], ""], strict=True):
        value = values[here]
        total += -value if values.get(after, 0) > value else value
    return total


@dataclass(frozen=True, slots=True)
class ContigNames:
    """Resolves the names that files use to the names of the assembly.

    Parameters
    ----------
    names
        The assembly's own names.
    synonyms
        Registered other names, synonym to own name.
    """

    names: tuple[str, ...]
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, given: Iterable[str]) -> dict[str, str | None]:
        """Map each distinct given name to the assembly's name, or to None.

        A name is tried as it stands, as a registered synonym, and then by its plain
        form: prefix ``chr`` dropped, leading zeros dropped, organelles by role, RefSeq
        accessions of known assemblies, and roman for arabic numbers where the assembly
        itself counts in roman numerals. A plain form two contigs share resolves nothing.
        """
        own = set(self.names)
        counts_roman = self._counts_roman()
        by_plain: dict[str, str | None] = {}
        for alias, name in [
            *((name, name) for name in self.names),
            *self.synonyms.items(),
        ]:
            plain = self._plain(alias, counts_roman=counts_roman)
            known = by_plain.get(plain, name)
            by_plain[plain] = name if known == name else None
        resolved: dict[str, str | None] = {}
        for name in dict.fromkeys(given):
            if name in own:
                resolved[name] = name
            elif name in self.synonyms:
                resolved[name] = self.synonyms[name]
            else:
                plain = self._plain(name, counts_roman=counts_roman)
                resolved[name] = by_plain.get(plain)
        return resolved

    def _counts_roman(self) -> bool:
        """Whether the assembly numbers its chromosomes I, II, III, …"""
        values = {roman_value(_PREFIX.sub("", name)) for name in self.names}
        return {1, 2, 3} <= values

    @staticmethod
    def _plain(name: str, *, counts_roman: bool) -> str:
        accession = re.sub(r"\.\d+$", "", name)
        if accession in _REFSEQ:
            return _REFSEQ[accession]
        bare = _PREFIX.sub("", name.strip())
        upper = bare.upper()
        if upper in _ORGANELLES:
            return _ORGANELLES[upper]
        if counts_roman and (value := roman_value(upper)) is not None:
            return str(value)
        return re.sub(r"^0+(?=\d)", "", upper)


_CHROMOSOME = re.compile(r"\bchromosome:? (\w+)", re.IGNORECASE)


def synonyms_in_header(header: str) -> list[str]:
    """Return other names that a FASTA header (without ``>``) states for its contig.

    NCBI writes ``NC_001133.9 Saccharomyces … chromosome I, complete sequence``; Ensembl
    and Phytozome write the name first and need nothing more.
    """
    _, _, description = header.partition(" ")
    if "mitochondrion" in description:
        return ["mitochondrion"]
    if "chloroplast" in description or "plastid" in description:
        return ["chloroplast"]
    found = _CHROMOSOME.search(description)
    if found and found[1].lower() not in {"chromosome", "unknown", "un"}:
        return [found[1]]
    return []
