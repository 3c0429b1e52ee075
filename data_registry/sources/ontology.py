"""Ontologies in OBO format."""

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import obonet
import pandas as pd

from data_registry.errors import MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.text_files import LINE, read_text

_SIGNS: Final = {"positively_regulates": 1, "negatively_regulates": -1}
_QUOTED = re.compile(r'^"((?:[^"\\]|\\.)*)"')
_ID = re.compile(r"^id:\s*([^!\n]*[^!\s])")


def detect_ontology(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """An OBO file: a format-version line or a [Term] stanza."""
    return head.lstrip(b"\xef\xbb\xbf").startswith(b"format-version:") or (
        b"\n[Term]" in head.replace(b"\r", b"")
    )


def parse_ontology(request: Request) -> Parsed:
    """Read terms and their relations; obsolete terms are left out and counted.

    The last term is left out as ``cut_short`` where the file plainly ends within it:
    before its identifier; without a name though others have one; or, where the last
    line has no line end, in a line that lacks its value or closing quote, or that
    points at a term the file does not hold.

    Relations whose other term the file does not hold are kept: the term may come from
    another source.

    Raises
    ------
    MalformedFileError
        The file is no OBO, holds no term, or a term other than the last has no
        identifier.
    """
    text = read_text(request.path)
    stanzas = _term_stanzas(request.path, text)
    tally = Tally(read=len(stanzas))
    if _is_cut(stanzas, text):
        last = stanzas.pop()
        shown = " ".join(last.lines)
        tally.leave_out("cut_short", line=last.line, text=f"[Term] {shown}")
        text = "".join(text.splitlines(keepends=True)[: last.line - 1])
    lines_of: dict[str, int] = {}
    for stanza in stanzas:
        if not stanza.term:
            raise MalformedFileError(
                request.path,
                "a [Term] without an identifier",
                line=stanza.line,
                remedy="Give it a line id: PREFIX:NUMBER",
            )
        if stanza.term in lines_of:
            tally.leave_out("duplicate_term", line=stanza.term_line, text=stanza.term)
        lines_of.setdefault(stanza.term, stanza.term_line)
    try:
        graph = obonet.read_obo(_with_name(text), ignore_obsolete=False)
    except (ValueError, KeyError, AssertionError) as error:
        raise MalformedFileError(
            request.path,
            f"cannot be read as OBO ({error})",
            remedy="Give an ontology in OBO format",
        ) from error
    default = graph.graph.get("default-namespace", "")
    if isinstance(default, list):
        default = default[0] if default else ""
    rows: list[tuple[str, str, str, str, int]] = []
    kept: set[str] = set()
    for term, line in lines_of.items():
        data = graph.nodes.get(term)
        if data is None:
            raise MalformedFileError(
                request.path,
                f"an identifier that cannot be read: {term!r}",
                line=line,
                remedy="Write it as id: PREFIX:NUMBER",
            )
        if data.get("is_obsolete") == "true":
            tally.leave_out(
                "obsolete", line=line, text=f"{term} {data.get('name', '')}"
            )
            continue
        kept.add(term)
        written = data.get("def", "")
        quoted = _QUOTED.match(written)
        definition = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else written
        namespace = data.get("namespace", default)
        rows.append((term, data.get("name", ""), namespace, definition, line))
    if not rows:
        raise MalformedFileError(
            request.path, "no term in it", remedy="Give an ontology in OBO format"
        )
    relations = [
        (child, parent, kind)
        for child, parent, kind in graph.edges(keys=True)
        if child in kept
    ]
    terms = pd.DataFrame(
        sorted(rows), columns=["term_id", "name", "namespace", "definition", LINE]
    )
    table = pd.DataFrame(sorted(relations), columns=["term_a", "term_b", "kind"])
    table["sign"] = table["kind"].map(_SIGNS).astype("Int8")
    return Parsed({"terms": terms, "term_relations": table}, tally)


@dataclass(slots=True)
class _Stanza:
    """One ``[Term]``: its line, its tag lines, its identifier and that one's line."""

    line: int
    lines: list[str] = field(default_factory=list)

    term: str = ""
    term_line: int = 0

    @property
    def has_name(self) -> bool:
        return any(line.startswith("name:") for line in self.lines)


def _term_stanzas(path: Path, text: str) -> list[_Stanza]:
    """Return the [Term] stanzas; ``line`` is the 1-based line of ``[Term]``.

    Raises
    ------
    MalformedFileError
        There is none.
    """
    stanzas: list[_Stanza] = []
    in_term = False
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("["):
            in_term = line.strip() == "[Term]"
            if in_term:
                stanzas.append(_Stanza(number))
        elif in_term and line.strip() and not line.startswith("!"):
            stanza = stanzas[-1]
            stanza.lines.append(line)
            if not stanza.term and (found := _ID.match(line)):
                stanza.term, stanza.term_line = found[1], number
    if not stanzas:
        raise MalformedFileError(
            path, "no [Term] stanza in it", remedy="Give an ontology in OBO format"
        )
    return stanzas


def _is_cut(stanzas: list[_Stanza], text: str) -> bool:
    """Tell whether the file ends within its last term."""
    last = stanzas[-1]
    if any(line.startswith("[") for line in text.split("\n")[last.line :]):
        return False  # typedefs follow
    is_ended = text.endswith("\n")
    if not last.term:
        return not last.lines or (len(last.lines) == 1 and not is_ended)
    if not last.has_name and any(stanza.has_name for stanza in stanzas[:-1]):
        return True
    if is_ended:
        return False
    tag, colon, value = last.lines[-1].partition(":")
    value = value.strip()
    if not colon or not value:
        return True
    if value.startswith('"'):
        return _QUOTED.match(value) is None
    if tag in ("is_a", "relationship"):
        target = value.partition("!")[0].split()[-1:]
        return not set(target) <= {stanza.term for stanza in stanzas}
    return False


def _with_name(text: str) -> io.StringIO:
    """Give the header a name, as obonet complains at the root logger without one."""
    at = text.find("\n[") + 1 if not text.startswith("[") else 0
    header = "\n".join(line for line in text[:at].split("\n") if line.strip())
    return io.StringIO(f"ontology: unnamed\n{header}\n\n{text[at:]}")


KINDS = (
    Kind(
        name="ontology",
        meaning="terms and their relations (OBO)",
        detect=detect_ontology,
        parse=parse_ontology,
        tables=("terms", "term_relations"),
    ),
)
