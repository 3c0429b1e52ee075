"""Recipes: one TOML file that lists the sources of a workspace, in order.

A recipe holds ``[[source]]`` tables (``path``, ``kind``, ``name`` and, where wanted,
``licence``, ``citation``, ``note``, ``options``, ``columns``) and ``[[skipped]]``
tables (``path``, ``reason``): the files that are not registered, and why.
Paths are relative to one data folder. ``covers`` names the folders of which every file
is either a source or skipped (:meth:`Recipe.unlisted`).

In the values of options ``{data}`` stands for the data folder and ``{recipe}`` for the
folder of the recipe, so that an option can name a file of either.
"""

import re
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from data_registry.errors import (
    InputError,
    MalformedFileError,
    MissingLayerError,
    MissingOptionalError,
    PlatformError,
)
from data_registry.kinds import KINDS
from data_registry.sources.motifs import JASPAR_PREFIX
from data_registry.store import Added, Store

Status = Literal["added", "unchanged", "failed", "not_tried"]

ORDER: Final = ("genome", "contig_synonyms", "annotation", "aliases")
"""Kinds that the others are mapped through; registered first, in this order."""

_FIELDS: Final[Mapping[str, Mapping[str, type]]] = {
    "recipe": {
        "name": str, "description": str, "covers": list,
        "source": list, "skipped": list,
    },
    "source": {
        "path": str, "kind": str, "name": str, "licence": str, "citation": str,
        "note": str, "options": dict, "columns": dict,
    },
    "skipped": {"path": str, "reason": str},
}  # fmt: skip
_REQUIRED: Final[Mapping[str, Sequence[str]]] = {
    "recipe": ("name", "source"),
    "source": ("path", "kind", "name"),
    "skipped": ("path", "reason"),
}
_IN_WORDS: Final[Mapping[type, str]] = {
    str: "a string",
    list: "a list",
    dict: "a table",
}
_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")
_PLACES: Final = ("data", "recipe")


@dataclass(frozen=True, slots=True)
class RecipeSource:
    """One source to register.

    Parameters
    ----------
    path
        As the recipe writes it: relative to the data folder, or ``jaspar:…``.
    kind, name, licence, citation, options, columns
        As ``Store.add`` takes them; options may hold placeholders.
    note
        What a reader should know about this source; not stored.
    """

    path: str
    kind: str
    name: str
    licence: str = ""
    citation: str = ""
    note: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """One file that is not registered, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checked recipe; its sources stand in the order of registering.

    Parameters
    ----------
    path
        The TOML file.
    root
        The data folder that its paths are relative to.
    covers
        Folders, relative to ``root``, of which the recipe claims to list every file.
    """

    name: str
    description: str
    path: Path
    root: Path
    sources: tuple[RecipeSource, ...]
    skipped: tuple[SkippedFile, ...]
    covers: tuple[str, ...] = ()

    def unlisted(self) -> list[str]:
        """Return the files below ``covers`` that are neither source nor skipped."""
        listed = {source.path for source in self.sources}
        listed |= {file.path for file in self.skipped}
        found = {
            file.relative_to(self.root).as_posix()
            for folder in self.covers
            for file in (self.root / folder).rglob("*")
            if file.is_file()
        }
        return sorted(found - listed)

    def absent(self) -> list[str]:
        """Return the paths, of sources and of skipped files, that do not exist."""
        paths = [source.path for source in self.sources]
        paths += [file.path for file in self.skipped]
        return [
            path
            for path in paths
            if not path.startswith(JASPAR_PREFIX) and not (self.root / path).exists()
        ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source of a recipe.

    Parameters
    ----------
    status
        ``added``, ``unchanged`` (the same bytes, kind and options were there already),
        ``failed``, or ``not_tried`` (after a failure that stops the rest).
    added
        What the store did; None unless ``added`` or ``unchanged``.
    error
        The message of the failure, or why the source was not tried; "" otherwise.
    seconds
        Wall-clock time.
    """

    source: RecipeSource
    status: Status
    added: Added | None = None
    error: str = ""
    seconds: float = 0.0


def read_recipe(path: Path, root: Path) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path
        The TOML file.
    root
        The data folder.

    Raises
    ------
    MalformedFileError
        It is not TOML, a key is missing, unknown or of the wrong type, a kind or option
        does not exist, a path leaves the data folder, or a name or path stands twice.
    InputError
        ``root`` is no folder.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder of the data")
    content = _read_toml(path)
    _check_keys(path, "recipe", "the top of the recipe", content)
    sources = [
        _source(path, f"source number {number}", table)
        for number, table in enumerate(content["source"], start=1)
    ]
    skipped = [
        _skipped(path, f"skipped number {number}", table)
        for number, table in enumerate(content.get("skipped", []), start=1)
    ]
    _refuse_twice(path, "name", [source.name for source in sources])
    _refuse_twice(path, "path of skipped", [file.path for file in skipped])
    used = {source.path for source in sources}
    if both := [file.path for file in skipped if file.path in used]:
        raise _fault(path, f"{both[0]} is a source and skipped", "Keep one of the two")
    covers = tuple(content.get("covers", ()))
    for folder in covers:
        if not isinstance(folder, str):
            raise _fault(path, f"covers holds {folder!r}", "List folders, as strings")
        _check_path(path, "covers", folder)
    return Recipe(
        name=content["name"],
        description=content.get("description", ""),
        path=path,
        root=root,
        sources=tuple(sorted(sources, key=_rank)),
        skipped=tuple(skipped),
        covers=covers,
    )


def register_recipe(
    store: Store,
    recipe: Recipe,
    *,
    on_step: Callable[[str], None] = lambda _: None,
    keep_going: bool = True,
) -> list[Outcome]:
    """Register the sources of a recipe; one that is there already costs a checksum.

    Each source is one transaction of its own. Where the genome fails nothing else is
    tried, for the rest lies on it.

    Parameters
    ----------
    on_step
        Called with a short sentence before each step.
    keep_going
        After a failure go on with the next source; False: try no more.

    Returns
    -------
    list of Outcome
        One for each source, in ``recipe.sources``' order.

    Raises
    ------
    WorkspaceError
        The workspace itself cannot be written: sources after this would fail likewise.
    """
    outcomes: list[Outcome] = []
    stopped = ""
    for number, source in enumerate(recipe.sources, start=1):
        if stopped:
            outcomes.append(Outcome(source, "not_tried", error=stopped))
            continue
        where = f"{number}/{len(recipe.sources)} {source.name}"

        def tell(step: str, where: str = where) -> None:
            on_step(f"{where}: {step}")

        outcome = register_source(store, recipe, source, on_step=tell)
        outcomes.append(outcome)
        if outcome.status == "failed" and (source.kind == "genome" or not keep_going):
            stopped = f"{source.name} failed before it"
    return outcomes


def register_source(
    store: Store,
    recipe: Recipe,
    source: RecipeSource,
    *,
    on_step: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Register one source of a recipe; a refusal becomes a ``failed`` outcome.

    Raises
    ------
    WorkspaceError
        The workspace cannot be written.
    """
    started = time.perf_counter()
    try:
        added = store.add(
            _locate(recipe, source),
            kind=source.kind,
            name=source.name,
            options=_fill_in(recipe, source),
            columns=source.columns,
            licence=source.licence,
            citation=source.citation,
            on_step=on_step,
        )
    except (InputError, MissingLayerError, MissingOptionalError) as error:
        return _failed(source, error, time.perf_counter() - started)
    return Outcome(
        source,
        "added" if added.is_new else "unchanged",
        added=added,
        seconds=time.perf_counter() - started,
    )


def _failed(source: RecipeSource, error: PlatformError, seconds: float) -> Outcome:
    return Outcome(source, "failed", error=str(error), seconds=seconds)


def _locate(recipe: Recipe, source: RecipeSource) -> Path:
    if source.path.startswith(JASPAR_PREFIX):
        return Path(source.path)
    return recipe.root / source.path


def _fill_in(recipe: Recipe, source: RecipeSource) -> dict[str, str]:
    """Replace the placeholders in a source's options."""
    places = {"data": recipe.root.resolve(), "recipe": recipe.path.parent.resolve()}
    return {
        key: _PLACEHOLDER.sub(lambda found: str(places[found[1]]), text)
        for key, text in source.options.items()
    }


# --- reading and checking ----------------------------------------------------------


def _fault(path: Path, problem: str, remedy: str) -> MalformedFileError:
    return MalformedFileError(path, problem, remedy=remedy)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise _fault(path, f"not TOML: {error}", "Correct the line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _fault(path, f"cannot be read ({error})", "Check the path") from error


def _check_keys(path: Path, what: str, where: str, table: object) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise _fault(path, f"{where} is no table", f"Write [[{what}]] above it")
    known = _FIELDS[what]
    if unknown := sorted(set(table) - set(known)):
        raise _fault(
            path, f"{where}: unknown key {unknown[0]!r}", f"Keys: {', '.join(known)}"
        )
    for key in _REQUIRED[what]:
        if not table.get(key):
            raise _fault(path, f"{where}: no {key!r}", f"Add {key} to it")
    for key, value in table.items():
        if not isinstance(value, known[key]):
            wanted = _IN_WORDS[known[key]]
            raise _fault(path, f"{where}: {key} = {value!r}", f"Give {key} as {wanted}")
    return table


def _check_path(path: Path, where: str, text: str) -> None:
    inner = PurePosixPath(text)
    if inner.is_absolute() or ".." in inner.parts:
        raise _fault(
            path,
            f"{where}: path {text!r} leaves the data folder",
            "Give a path relative to the data folder",
        )


def _source(path: Path, where: str, given: object) -> RecipeSource:
    if isinstance(given, dict) and isinstance(given.get("name"), str):
        where = f"{where} ({given['name']})"
    table = _check_keys(path, "source", where, given)
    if table["kind"] not in KINDS:
        raise _fault(
            path,
            f"{where}: kind = {table['kind']!r}",
            f"Kinds: {', '.join(sorted(KINDS))}",
        )
    takes = KINDS[table["kind"]].options
    options = _as_texts(path, f"{where}, options", table.get("options", {}))
    if unknown := sorted(set(options) - set(takes)):
        raise _fault(
            path,
            f"{where}, options: {table['kind']} has no option {unknown[0]!r}",
            f"It takes: {', '.join(sorted(takes)) or 'none'}",
        )
    for key, text in options.items():
        for name in _PLACEHOLDER.findall(text):
            if name not in _PLACES:
                raise _fault(
                    path,
                    f"{where}, options: {key} = {text!r}",
                    f"Placeholders: {', '.join(f'{{{place}}}' for place in _PLACES)}",
                )
    if not table["path"].startswith(JASPAR_PREFIX):
        _check_path(path, where, table["path"])
    return RecipeSource(
        path=table["path"],
        kind=table["kind"],
        name=table["name"],
        licence=table.get("licence", ""),
        citation=table.get("citation", ""),
        note=table.get("note", ""),
        options=options,
        columns=_as_texts(path, f"{where}, columns", table.get("columns", {})),
    )


def _as_texts(path: Path, where: str, table: Mapping[str, object]) -> dict[str, str]:
    """Write TOML's values as the command line does: ``yes``, ``no``, numbers, text."""
    texts = {}
    for key, value in table.items():
        if isinstance(value, bool):
            texts[key] = "yes" if value else "no"
        elif isinstance(value, str | int | float):
            texts[key] = str(value)
        else:
            raise _fault(
                path,
                f"{where}: {key} = {value!r}",
                "Give text, a number, true or false",
            )
    return texts


def _skipped(path: Path, where: str, given: object) -> SkippedFile:
    table = _check_keys(path, "skipped", where, given)
    _check_path(path, where, table["path"])
    return SkippedFile(table["path"], table["reason"])


def _refuse_twice(path: Path, what: str, values: Sequence[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise _fault(path, f"{what} {value!r} stands twice", "Keep it once")
        seen.add(value)


def _rank(source: RecipeSource) -> int:
    return ORDER.index(source.kind) if source.kind in ORDER else len(ORDER)
