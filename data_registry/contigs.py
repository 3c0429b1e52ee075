"""Contig names of one assembly and what other files call them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PREFIX = re.compile(r"^(chromosome|chrom|chr|scaffold_chr)[_\s]*(?=.)", re.IGNORECASE)
_LINKAGE_GROUP = re.compile(r"^(lg|linkage[_\s]?group)[_\s]*(?=\w)", re.IGNORECASE)
_ROMAN = re.compile(r"^(?=.)X{0,3}(IX|IV|V?I{0,3})$")
_ORGANELLES = {
    "M": "mitochondrion", "MT": "mitochondrion", "MITO": "mitochondrion",
    "MITOCHONDRION": "mitochondrion", "MITOCHONDRIA": "mitochondrion",
    "C": "plastid", "PT": "plastid", "CP": "plastid", "PLTD": "plastid",
    "CHLOROPLAST": "plastid", "PLASTID": "plastid",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Accessions:
    """RefSeq accessions of one species' chromosomes, to their numbers."""

    counts_roman: bool
    numbers: Mapping[str, str]


_REFSEQ = (
    _Accessions(
        counts_roman=True,  # Saccharomyces cerevisiae S288C
        numbers={
            **{f"NC_{1133 + i:06d}": str(i + 1) for i in range(16)},
            "NC_001224": "mitochondrion",
        },
    ),
    _Accessions(
        counts_roman=False,  # Arabidopsis thaliana TAIR10
        numbers={
            "NC_003070": "1", "NC_003071": "2", "NC_003074": "3", "NC_003075": "4",
            "NC_003076": "5", "NC_037304": "mitochondrion", "NC_000932": "plastid",
        },
    ),
)  # fmt: skip


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
        itself counts in roman numerals. Linkage group 1 is contig 1 only where the
        assembly itself has linkage groups: elsewhere maps and chromosomes were numbered
        apart. A plain form that two contigs share resolves nothing.
        """
        own = set(self.names)
        has_groups = any(_LINKAGE_GROUP.match(name) for name in self.names)
        last_roman = self._last_roman()
        accessions = self._accessions(last_roman)

        def plain(name: str) -> str:
            bare = re.sub(r"\.\d+$", "", name.strip())
            if has_groups:
                name = _LINKAGE_GROUP.sub("", name.strip())
            return accessions.get(bare) or _plain(name, last_roman=last_roman)

        by_plain: dict[str, str | None] = {}
        for alias, name in [
            *((name, name) for name in self.names),
            *self.synonyms.items(),
        ]:
            form = plain(alias)
            known = by_plain.get(form, name)
            by_plain[form] = name if known == name else None
        resolved: dict[str, str | None] = {}
        for name in dict.fromkeys(given):
            if name in own:
                resolved[name] = name
            elif name in self.synonyms:
                resolved[name] = self.synonyms[name]
            else:
                resolved[name] = by_plain.get(plain(name))
        return resolved

    def _last_roman(self) -> int:
        """Return how far the assembly counts I, II, III, …; 0 where it does not.

        The X of a worm that has I to V is a letter, and the X of a yeast a ten.
        """
        names = [*self.names, *self.synonyms]
        bare = (_PREFIX.sub("", _LINKAGE_GROUP.sub("", name)) for name in names)
        values = {roman_value(name) for name in bare}
        last = 0
        while last + 1 in values:
            last += 1
        return last if last >= 3 else 0

    def _accessions(self, last_roman: int) -> dict[str, str]:
        """Return the accessions of those species that count as the assembly does.

        Otherwise the first chromosome of yeast would pass as the first of rice.
        """
        plain = {_plain(name, last_roman=last_roman) for name in self.names}
        numbers = {form for form in plain if form.isdigit()}
        bare = {re.sub(r"\.\d+$", "", name) for name in self.names}
        usable: dict[str, str] = {}
        for series in _REFSEQ:
            known = {number for number in series.numbers.values() if number.isdigit()}
            counts_alike = series.counts_roman == bool(last_roman)
            if bare & set(series.numbers) or (
                numbers and (numbers == known or (counts_alike and numbers <= known))
            ):
                usable.update(series.numbers)
        return usable


def _plain(name: str, *, last_roman: int) -> str:
    upper = _PREFIX.sub("", name.strip()).upper()
    if upper in _ORGANELLES:
        return _ORGANELLES[upper]
    value = roman_value(upper)
    if value is not None and value <= last_roman:
        return str(value)
    return re.sub(r"^0+(?=\d)", "", upper)


_PIECE = re.compile(
    r"\b(unlocalized|unlocalised|unplaced|scaffold|contig|patch|alternate|plasmid"
    r"|gene|mrna|transcript)\b",
    re.IGNORECASE,
)
_CHROMOSOME = re.compile(r"\bchromosome:? (\w+)", re.IGNORECASE)


def synonyms_in_header(header: str) -> list[str]:
    """Return other names that a FASTA header (without ``>``) states for its contig.

    NCBI writes ``NC_001133.9 Saccharomyces … chromosome I, complete sequence``; Ensembl
    and Phytozome write the name first and need nothing more.
    """
    _, _, description = header.partition(" ")
    if _PIECE.search(description):  # a piece of chromosome 1 is not chromosome 1
        return []
    if "mitochondrion" in description:
        return ["mitochondrion"]
    if "chloroplast" in description or "plastid" in description:
        return ["chloroplast"]
    found = _CHROMOSOME.search(description)
    if found and found[1].lower() not in {"chromosome", "unknown", "un"}:
        return [found[1]]
    return []
