"""Ontologies in OBO format."""

import re
from pathlib import Path
from typing import Final

import obonet
import pandas as pd

from data_registry.errors import MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.text_files import LINE, open_text

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

    Relations whose other term the file does not hold are kept: the term may come from
    another source.

    Raises
    ------
    MalformedFileError
        The file is no OBO, or holds no term.
    """
    lines_of, n_stanzas = _term_lines(request.path)
    try:
        with open_text(request.path) as text:
            graph = obonet.read_obo(text, ignore_obsolete=False)
    except (ValueError, KeyError, AssertionError) as error:
        if isinstance(error, MalformedFileError):
            raise
        raise MalformedFileError(
            request.path,
            f"cannot be read as OBO ({error})",
            remedy="Give an ontology in OBO format",
        ) from error
    tally = Tally(read=n_stanzas)
    if n_stanzas > len(lines_of):
        tally.leave_out("duplicate_term", n=n_stanzas - len(lines_of))
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


def _term_lines(path: Path) -> tuple[dict[str, int], int]:
    """Return each term's line and the number of [Term] stanzas."""
    lines_of: dict[str, int] = {}
    n_stanzas = 0
    in_term = False
    with open_text(path) as text:
        for number, line in enumerate(text, start=1):
            if line.startswith("["):
                in_term = line.strip() == "[Term]"
                n_stanzas += in_term
            elif in_term and (found := _ID.match(line)):
                lines_of.setdefault(found[1], number)
                in_term = False
    if not n_stanzas:
        raise MalformedFileError(
            path, "no [Term] stanza in it", remedy="Give an ontology in OBO format"
        )
    return lines_of, n_stanzas


KINDS = (
    Kind(
        name="ontology",
        meaning="terms and their relations (OBO)",
        detect=detect_ontology,
        parse=parse_ontology,
        tables=("terms", "term_relations"),
    ),
)
