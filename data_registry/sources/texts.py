"""Texts: descriptions of genes and abstracts, as tables or JSON lines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.named_columns import (
    HEADER_OPTION,
    WRONG_WIDTH_OPTION,
    names_match,
    read_named_table,
)
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    LINE,
    find_column,
    is_missing,
    open_text,
    read_first_row,
    split_head,
)

SUBJECTS: Final = ("gene", "phenotype", "term", "document")
SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "subject_id": (
        "gene_id",
        "gene",
        "model_name",
        "locus_name",
        "locus",
        "pmid",
        "doi",
        "phenotype_id",
        "term_id",
        "id",
        "name",
    ),
    "subject_kind": ("kind", "type_of_subject"),
    "title": ("short_description", "symbol"),
    "text": (
        "abstract",
        "description",
        "summary",
        "curator_summary",
        "computational_description",
        "definition",
        "full_name",
    ),
}
_DOCUMENT_IDS: Final = ("pmid", "doi", "document", "pmcid")


def detect_texts(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """JSON lines with a text or abstract, or a table with an identifier and a text."""
    if head.lstrip()[:1] == b"{":
        try:
            record = json.loads(head.split(b"\n", 1)[0])
        except (ValueError, UnicodeDecodeError):
            return False
        return isinstance(record, dict) and names_match(
            list(record), SYNONYMS, "subject_id", "text"
        )
    rows = split_head(head)
    return len(rows) > 1 and names_match(rows[0], SYNONYMS, "subject_id", "text")


def parse_texts(request: Request) -> Parsed:
    """Read texts, each about one subject.

    Raises
    ------
    MalformedFileError
        No column of subjects or texts, or a line that is no JSON object.
    InputError
        The option ``subject_kind`` is none of gene, phenotype, term, document.
    """
    asked = request.options.get("subject_kind", "")
    if asked and asked not in SUBJECTS:
        raise InputError(f"option subject_kind={asked}: say {', '.join(SUBJECTS)}")
    notes: list[str] = []
    tally = Tally()
    with open_text(request.path) as lines:
        is_json = next((line for line in lines if line.strip()), "").lstrip()[:1] == "{"
    if is_json:
        frame, subject = _read_json_lines(request)
    else:
        frame = read_named_table(
            request,
            SYNONYMS,
            required=("subject_id", "text"),
            positions=("subject_id", "text"),
            notes=notes,
            wrong_width=tally,
        )
        names = read_first_row(request.path)
        found = find_column(names, "subject_id", *SYNONYMS["subject_id"])
        subject = request.columns.get("subject_id", found or "")
    tally.read += len(frame)
    frame = leave_out_rows(tally, frame, is_missing(frame["subject_id"]), "no_subject")
    frame = leave_out_rows(tally, frame, is_missing(frame["text"]), "no_text")
    refuse_mostly_faulty(request.path, tally, ("no_subject",))
    default = asked or _guess_subject(subject)
    kinds: Any = default
    if "subject_kind" in frame and not asked:
        kinds = frame["subject_kind"].str.lower()
        if unknown := sorted(set(kinds) - set(SUBJECTS)):
            raise MalformedFileError(
                request.path,
                f"subjects of kind {', '.join(map(repr, unknown[:5]))}",
                remedy=f"Write {', '.join(SUBJECTS)}",
            )
    else:
        notes.append(f"the subjects are taken as kind {default}")
    table = pd.DataFrame(
        {
            "subject_kind": kinds,
            "subject_id": frame["subject_id"],
            "title": frame.get("title", ""),
            "text": frame["text"],
            LINE: frame[LINE],
        }
    )
    doubled = table.duplicated(["subject_kind", "subject_id", "title", "text"])
    table = leave_out_rows(tally, table, doubled, "duplicate_row")
    return Parsed({"texts": table.reset_index(drop=True)}, tally, notes)


def _guess_subject(column: str) -> str:
    if find_column([column], *_DOCUMENT_IDS) is not None:
        return "document"
    if find_column([column], "phenotype_id", "phenotype", "trait") is not None:
        return "phenotype"
    if find_column([column], "term_id", "term", "go_id") is not None:
        return "term"
    return "gene"


def _read_json_lines(request: Request) -> tuple[pd.DataFrame, str]:
    wanted = {name: request.columns.get(name, "") for name in SYNONYMS}
    rows: list[dict[str, Any]] = []
    subject = ""
    with open_text(request.path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise MalformedFileError(
                    request.path,
                    f"no JSON ({error})",
                    line=number,
                    remedy="Write one JSON object a line",
                ) from error
            if not isinstance(record, dict):
                raise MalformedFileError(
                    request.path,
                    f"a JSON {type(record).__name__} where an object is expected",
                    line=number,
                    remedy="Write one JSON object a line",
                )
            row: dict[str, Any] = {LINE: number}
            for name, given in wanted.items():
                key = given or find_column(record, name, *SYNONYMS[name])
                value = record.get(key) if key else None
                row[name] = "" if value is None else str(value).strip()
                if name == "subject_id" and key and not subject:
                    subject = key
            rows.append(row)
    frame = pd.DataFrame(rows)
    drop = [n for n in ("subject_kind", "title") if not frame[n].any()]
    return frame.drop(columns=drop), subject


KINDS = (
    Kind(
        name="texts",
        meaning="gene descriptions and abstracts: a table, or JSON lines",
        detect=detect_texts,
        parse=parse_texts,
        tables=("texts",),
        options={
            "subject_kind": f"what the texts are about: {', '.join(SUBJECTS)}",
            "header": HEADER_OPTION,
            "wrong_width": WRONG_WIDTH_OPTION,
        },
    ),
)
