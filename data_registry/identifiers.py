"""Gene names that files use, resolved to the annotation's identifiers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_VERSION = re.compile(r"[.\-_](t|mRNA)?\d{1,3}$")
_PREFIX = re.compile(r"^(gene|transcript|rna|protein)[:\-]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What each given name became: one gene (``known``), several, or none."""

    known: Mapping[str, str]
    ambiguous: frozenset[str]
    unknown: frozenset[str]


class GeneNames:
    """Resolves names by identifier, alias, letter case, prefix and version.

    They are tried in this order.

    Parameters
    ----------
    gene_ids
        Identifiers of the annotation.
    aliases
        Pairs ``(gene_id, alias)``: symbols, Entrez numbers, transcripts, old loci.
    """

    def __init__(
        self, gene_ids: Iterable[str], aliases: Iterable[tuple[str, str]]
    ) -> None:
        self._ids = frozenset(gene_ids)
        self._folded: dict[str, set[str]] = {}
        for gene in self._ids:
            self._folded.setdefault(gene.upper(), set()).add(gene)
        self._aliases: dict[str, set[str]] = {}
        self._folded_aliases: dict[str, set[str]] = {}
        for gene, alias in aliases:
            if gene in self._ids:
                self._aliases.setdefault(alias, set()).add(gene)
                self._folded_aliases.setdefault(alias.upper(), set()).add(gene)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def examples(self) -> list[str]:
        """A few identifiers, to show beside names that did not match."""
        return sorted(self._ids)[:5]

    def resolve(self, given: Iterable[str]) -> Resolution:
        """Resolve distinct names; one with several genes is ambiguous, not guessed."""
        known: dict[str, str] = {}
        ambiguous: set[str] = set()
        unknown: set[str] = set()
        for name in dict.fromkeys(given):
            found = self._candidates(name)
            if len(found) == 1:
                known[name] = next(iter(found))
            elif found:
                ambiguous.add(name)
            else:
                unknown.add(name)
        return Resolution(known, frozenset(ambiguous), frozenset(unknown))

    def _candidates(self, name: str) -> set[str]:
        if name in self._ids:
            return {name}
        plain = _PREFIX.sub("", name.strip())
        for form in dict.fromkeys([name, plain, _VERSION.sub("", plain)]):
            upper = form.upper()
            for lookup, key in (
                (self._folded, upper),
                (self._aliases, form),
                (self._folded_aliases, upper),
            ):
                if found := lookup.get(key):
                    return found
        return set()
