"""Public sources by species: where they are, whose they are, and how they are checked.

The list is ``data_registry/catalogue.toml``; its head says what each field means.
"""

import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from data_registry.errors import InputError, MalformedFileError

ChecksumScheme = Literal["bsd-sum", "md5", "none"]
"""What a provider publishes: a list of BSD sums, a list of md5 sums, or nothing."""

FetchRule = Literal["always", "on request"]


@dataclass(frozen=True, slots=True)
class Provider:
    """Who publishes a source, under which terms, and what its files are checked by."""

    key: str
    name: str
    release: str
    checksum: ChecksumScheme
    checksum_file: str
    licence: str
    licence_url: str
    licence_verified: str
    citation: str


@dataclass(frozen=True, slots=True)
class Species:
    """One species of the catalogue.

    Parameters
    ----------
    key
        Name on the command line, e.g. ``"arabidopsis"``.
    latin
        Latin name.
    taxon
        NCBI taxonomy identifier.
    assembly
        The assembly that its sources lie on.
    aliases
        Other names that find it.
    gaps
        What is missing here and why, a sentence each.
    """

    key: str
    latin: str
    taxon: int
    assembly: str
    aliases: tuple[str, ...]
    gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublicSource:
    """One public file.

    Parameters
    ----------
    key
        Unique name, e.g. ``"arabidopsis/genome"``.
    species
        Keys of the species it serves.
    assembly
        The assembly its coordinates lie on; ``""`` where it has none.
    kind
        Registry kind that reads it.
    provider
        Who publishes it.
    release
        Release of the provider that the address is pinned to.
    url
        Its address.
    file
        Name of the local file.
    sha256
        Published sha256, lower-case hex; ``""`` where none is published.
    size
        Rough size in bytes, for planning only.
    fetch
        Whether ``fetch`` takes it unasked.
    verified
        How the address was checked.
    note
        A sentence for the user, or ``""``.
    options
        Options of the kind that this file needs when it is added.
    """

    key: str
    species: tuple[str, ...]
    assembly: str
    kind: str
    provider: Provider
    release: str
    url: str
    file: str
    sha256: str
    size: int
    fetch: FetchRule
    verified: str
    note: str
    options: Mapping[str, str]

    @property
    def checksum_url(self) -> str:
        """Address of the published list of checksums, ``""`` where there is none."""
        if self.provider.checksum == "none":
            return ""
        return self.url.rsplit("/", 1)[0] + "/" + self.provider.checksum_file


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All species and sources; ``sources`` are in the order of the file."""

    species: Mapping[str, Species]
    sources: tuple[PublicSource, ...]

    def find_species(self, name: str) -> Species:
        """Return the species of that key, Latin name, alias or taxonomy identifier.

        Raises
        ------
        InputError
            There is none; the message lists near names and all keys.
        """
        names = {
            spoken.casefold(): species
            for species in self.species.values()
            for spoken in (
                species.key,
                species.latin,
                str(species.taxon),
                *species.aliases,
            )
        }
        wanted = " ".join(name.replace("_", " ").split()).casefold()
        if wanted in names:
            return names[wanted]
        near = difflib.get_close_matches(wanted, names, n=3)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise InputError(
            f"the catalogue has no species {name!r}.{hint}"
            f" It has: {', '.join(sorted(self.species))}"
        )

    def find_source(self, key: str) -> PublicSource:
        """Return the source of that key.

        Raises
        ------
        InputError
            There is none; the message lists near keys.
        """
        for source in self.sources:
            if source.key == key:
                return source
        near = difflib.get_close_matches(key, [source.key for source in self.sources])
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise InputError(f"the catalogue has no source {key!r}{hint}")

    def choose_sources(
        self,
        species: str,
        *,
        kinds: Collection[str] = (),
        keys: Collection[str] = (),
        everything: bool = False,
    ) -> tuple[PublicSource, ...]:
        """Return the sources of a species to fetch.

        Parameters
        ----------
        species
            Any name that ``find_species`` knows.
        kinds
            Only these registry kinds; all of such a kind, large ones too.
        keys
            Only these sources; together with ``kinds``, either is enough.
        everything
            Also sources that are fetched on request only.

        Raises
        ------
        InputError
            No such species, or it has no source of one of the kinds or keys.
        """
        found = self.find_species(species)
        mine = tuple(s for s in self.sources if found.key in s.species)
        if absent := sorted(set(kinds) - {source.kind for source in mine}):
            there = ", ".join(sorted({source.kind for source in mine}))
            raise InputError(
                f"{found.key} has no public source of kind {', '.join(absent)}; "
                f"it has: {there}"
            )
        if absent := sorted(set(keys) - {source.key for source in mine}):
            there = ", ".join(source.key for source in mine)
            raise InputError(
                f"{found.key} has no source {', '.join(absent)}; it has: {there}"
            )
        if kinds or keys:
            return tuple(s for s in mine if s.kind in kinds or s.key in keys)
        return tuple(s for s in mine if everything or s.fetch == "always")


_REQUIRED = {
    "provider": {
        "name",
        "release",
        "checksum",
        "checksum_file",
        "licence",
        "licence_url",
        "licence_verified",
        "citation",
    },
    "species": {"latin", "taxon", "assembly", "aliases", "gaps"},
    "source": {
        "key",
        "species",
        "assembly",
        "kind",
        "provider",
        "url",
        "sha256",
        "size",
        "fetch",
        "verified",
    },
}
_OPTIONAL = {"source": {"file", "note", "options", "release"}}


def read_catalogue(path: Path) -> Catalogue:
    """Read and check a catalogue file.

    Raises
    ------
    MalformedFileError
        The file is not TOML, lacks a field, has one too many, or names a species or
        provider it does not define.
    """

    def refuse(problem: str) -> MalformedFileError:
        remedy = "The head of data_registry/catalogue.toml says what the fields mean"
        return MalformedFileError(path, problem, remedy=remedy)

    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise refuse(f"not a readable TOML file ({error})") from error

    def check_fields(what: str, name: str, fields: Mapping[str, object]) -> None:
        optional = _OPTIONAL.get(what, set())
        if missing := sorted(_REQUIRED[what] - fields.keys()):
            raise refuse(f"{what} {name} lacks {', '.join(missing)}")
        if extra := sorted(fields.keys() - _REQUIRED[what] - optional):
            raise refuse(f"{what} {name} has unknown fields {', '.join(extra)}")

    providers = {}
    for key, fields in content.get("provider", {}).items():
        check_fields("provider", key, fields)
        if fields["checksum"] not in get_args(ChecksumScheme):
            raise refuse(f"provider {key}: checksum {fields['checksum']!r}")
        providers[key] = Provider(key=key, **fields)
    species = {}
    for key, fields in content.get("species", {}).items():
        check_fields("species", key, fields)
        fields = {name: _freeze(value) for name, value in fields.items()}
        species[key] = Species(key=key, **fields)
    sources: list[PublicSource] = []
    for number, fields in enumerate(content.get("source", []), start=1):
        key = str(fields.get("key", f"number {number}"))
        check_fields("source", key, fields)
        if fields["provider"] not in providers:
            raise refuse(f"source {key} names provider {fields['provider']!r}")
        if unknown := [name for name in fields["species"] if name not in species]:
            raise refuse(f"source {key} names species {', '.join(unknown)}")
        if fields["fetch"] not in get_args(FetchRule):
            raise refuse(f"source {key}: fetch {fields['fetch']!r}")
        parts = urlsplit(fields["url"])
        file = fields.get("file") or unquote(parts.path.rsplit("/", 1)[-1])
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise refuse(f"source {key}: {fields['url']!r} is no http(s) address")
        if not file or file in {".", ".."} or "/" in file or "\\" in file:
            raise refuse(f"source {key}: {file!r} is no file name")
        if any(key == other.key for other in sources):
            raise refuse(f"source {key} stands twice")
        provider = providers[fields["provider"]]
        sources.append(
            PublicSource(
                key=key,
                species=tuple(fields["species"]),
                assembly=fields["assembly"],
                kind=fields["kind"],
                provider=provider,
                release=fields.get("release", provider.release),
                url=fields["url"],
                file=file,
                sha256=fields["sha256"],
                size=fields["size"],
                fetch=fields["fetch"],
                verified=fields["verified"],
                note=fields.get("note", ""),
                options=fields.get("options", {}),
            )
        )
    return Catalogue(species, tuple(sources))


def _freeze(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@cache
def load_catalogue() -> Catalogue:
    """Return the catalogue that comes with the package."""
    inside = resources.files("data_registry") / "catalogue.toml"
    with resources.as_file(inside) as path:
        return read_catalogue(path)
