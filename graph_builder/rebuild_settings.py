"""What a workspace wants of its rebuilds: ``rebuild/settings.toml``, all of it optional.

::

    keep = 3  # versions kept, the one in use among them
    score_new_vcfs = true  # a VCF from the inbox joins the list below
    new_vcf_regions = ["chrV"]  # … and only there; without this, everywhere

    [[score]]  # VCFs to keep scored
    source = "panel"  # a registered VCF by name, or path = "lines.vcf.gz"
    regions = ["chrV"]

    [[embed]]  # vectors to keep up to date, as encoders.embed --what
    what = "motif"
    arguments = []  # its other arguments, e.g. ["--model", "/models/lm"]

    [[benchmark]]  # alleles with known labels; the gate watches the figure
    name = "observed"
    scores = "panel"  # an entry of the list above
    truth = "truth.tsv"  # chrom, pos, ref, alt, label (0 or 1); 1-based
    rest_negative = false  # true: all alleles that the table does not name are 0
    column = "prior_score"

Paths are relative to ``rebuild/``.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from data_registry.errors import InputError, MalformedFileError
from data_registry.versions import REBUILD
from data_registry.workspace import sha256_of

FILE: Final = "settings.toml"
_FIELDS: Final[Mapping[str, type]] = {
    "keep": int, "score_new_vcfs": bool, "new_vcf_regions": list,
    "score": list, "embed": list, "benchmark": list,
}  # fmt: skip
_INNER: Final[Mapping[str, Mapping[str, type]]] = {
    "score": {"source": str, "path": str, "name": str, "regions": list},
    "embed": {"what": str, "arguments": list},
    "benchmark": {
        "name": str,
        "scores": str,
        "truth": str,
        "column": str,
        "rest_negative": bool,
    },
}
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "score": (),
    "embed": ("what",),
    "benchmark": ("name", "scores", "truth"),
}


@dataclass(frozen=True, slots=True)
class KeptVcf:
    """A VCF to keep scored: a registered source, or a file of its own.

    Parameters
    ----------
    regions
        ``chr:start-end``, 1-based inclusive; empty for everywhere.
    """

    name: str
    source: str = ""
    path: Path | None = None
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Alleles with known labels, and the score that should tell them apart.

    Parameters
    ----------
    scores
        Name of the kept VCF that holds the alleles.
    truth
        Table with chrom, pos, ref, alt (as in the VCF) and label, 0 or 1.
    column
        The score; higher should mean label 1.
    rest_negative
        Alleles of the VCF that the table does not name count as label 0; those that it
        names as 1 where it has no labels.
    """

    name: str
    scores: str
    truth: Path
    column: str = "prior_score"
    rest_negative: bool = False


@dataclass(frozen=True, slots=True)
class Embedding:
    """Vectors to keep up to date.

    Parameters
    ----------
    what, arguments
        As ``python -m encoders.embed --what WHAT ARGUMENTS`` takes them.
    """

    what: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of ``settings.toml``."""

    keep: int = 3
    score_new_vcfs: bool = True
    new_vcf_regions: tuple[str, ...] = ()
    score: tuple[KeptVcf, ...] = ()
    embed: tuple[Embedding, ...] = ()
    benchmark: tuple[Benchmark, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return plain data that differs where results would, files by their content."""
        return {
            "score": [
                [v.name, v.source, sha256_of(v.path) if v.path else "", *v.regions]
                for v in self.score
            ],
            "embed": [[e.what, *e.arguments] for e in self.embed],
            "benchmark": [
                [b.name, b.scores, sha256_of(b.truth), b.column, b.rest_negative]
                for b in self.benchmark
            ],
        }


def read_settings(workspace: Path) -> Settings:
    """Read the settings of a workspace; without a file, the defaults.

    Raises
    ------
    MalformedFileError
        It is not TOML, or a key is unknown, missing or of the wrong type.
    """
    path = workspace / REBUILD / FILE
    if not path.is_file():
        return Settings()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _fault(path, f"not TOML: {error}", "Correct the line") from error
    _check(path, "the top", content, _FIELDS, ())
    for what, fields in _INNER.items():
        for number, table in enumerate(content.get(what, []), start=1):
            where = f"[[{what}]] number {number}"
            if not isinstance(table, dict):
                raise _fault(path, f"{where} is no table", f"Write [[{what}]] above it")
            _check(path, where, table, fields, _NEEDED[what])
    if content.get("keep", 3) < 1:
        raise _fault(path, f"keep = {content['keep']}", "Keep at least 1")
    score = tuple(
        _kept(path, number, table)
        for number, table in enumerate(content.get("score", []), start=1)
    )
    benchmark = tuple(
        Benchmark(
            table["name"], table["scores"], _file(path, table["truth"]),
            table.get("column", "prior_score"), table.get("rest_negative", False),
        )
        for table in content.get("benchmark", [])
    )  # fmt: skip
    for what, names in (
        ("score", [v.name for v in score]),
        ("benchmark", [b.name for b in benchmark]),
    ):
        if len(set(names)) < len(names):
            raise _fault(path, f"a name of [[{what}]] stands twice", "Keep it once")
    return Settings(
        keep=content.get("keep", 3),
        score_new_vcfs=content.get("score_new_vcfs", True),
        new_vcf_regions=_texts(path, content.get("new_vcf_regions", [])),
        score=score,
        embed=tuple(
            Embedding(table["what"], _texts(path, table.get("arguments", [])))
            for table in content.get("embed", [])
        ),
        benchmark=benchmark,
    )


def keep_scored(workspace: Path, vcf: str, regions: list[str]) -> None:
    """Add a VCF to the list in ``settings.toml``; what stands there stays as it is.

    Raises
    ------
    InputError
        An entry of that name stands there already.
    """
    given = Path(vcf)
    key = "path" if given.is_file() else "source"
    value = str(given.resolve()) if given.is_file() else vcf
    name = given.name.partition(".")[0] if given.is_file() else vcf
    if any(one.name == name for one in read_settings(workspace).score):
        raise InputError(f"{name} stands in {workspace / REBUILD / FILE} already")
    lines = ["", "[[score]]", f"{key} = {json.dumps(value)}"]
    if regions:
        lines.append(f"regions = {json.dumps(regions)}")
    path = workspace / REBUILD / FILE
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def _kept(path: Path, number: int, table: Mapping[str, Any]) -> KeptVcf:
    source, given = table.get("source", ""), table.get("path", "")
    if bool(source) == bool(given):
        raise _fault(
            path, f"[[score]] number {number}", "Give source or path, not both"
        )
    file = _file(path, given) if given else None
    name = table.get("name") or source or given.rpartition("/")[2].partition(".")[0]
    if "/" in name or name.startswith("."):
        raise _fault(path, f"[[score]] name {name!r}", "Give a name without / and .")
    return KeptVcf(name, source, file, _texts(path, table.get("regions", [])))


def _file(path: Path, given: str) -> Path:
    file = path.parent / given
    if not file.is_file():
        raise _fault(path, f"{given!r}: no such file", "Paths start from its folder")
    return file.resolve()


def _texts(path: Path, values: list[object]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise _fault(path, f"{values!r}", "Give a list of strings")
    return tuple(str(value) for value in values)


def _check(
    path: Path,
    where: str,
    table: Mapping[str, Any],
    fields: Mapping[str, type],
    needed: tuple[str, ...],
) -> None:
    for key, value in table.items():
        if key not in fields:
            raise _fault(
                path, f"{where}: unknown key {key!r}", f"Keys: {', '.join(fields)}"
            )
        if type(value) is not fields[key]:
            wanted = fields[key].__name__
            raise _fault(path, f"{where}: {key} = {value!r}", f"Give {key} as {wanted}")
    for key in needed:
        if key not in table:
            raise _fault(path, f"{where}: no {key!r}", f"Add {key} to it")


def _fault(path: Path, problem: str, remedy: str) -> MalformedFileError:
    return MalformedFileError(path, problem, remedy=remedy)
