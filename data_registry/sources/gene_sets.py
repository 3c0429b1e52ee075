"""Genes annotated with terms: GMT, GAF 2.x, SGD GO slim, and two-column tables."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.named_columns import HEADER_OPTION, read_named_table
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    LINE,
    is_missing,
    open_text,
    read_first_row,
    read_table,
    split_head,
)

NAMESPACES: Final = {
    "P": "biological_process",
    "F": "molecular_function",
    "C": "cellular_component",
}
_TERM = re.compile(r"[A-Za-z]{2,10}:\d{4,}")
_TERMS = re.compile(rf"{_TERM.pattern}(\s*[,;|]\s*{_TERM.pattern})*\s*[,;|]?")
_GAF_WIDTHS: Final = (15, 17)
SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "gene_id": ("gene", "locus", "locus_name", "geneid", "gene_stable_id", "orf"),
    "term_id": (
        "term",
        "go_id",
        "goid",
        "go",
        "go_term_accession",
        "set",
        "gene_set",
        "geneset",
        "ontology_id",
    ),
    "term_name": ("go_term_name", "term_description", "set_name", "go_slim_term"),
    "evidence": ("evidence_code", "go_term_evidence_code"),
    "namespace": ("aspect", "domain", "go_domain", "go_aspect", "ontology"),
}


def detect_gene_sets(path: Path, head: bytes) -> bool:
    """A GAF, a GMT by name or shape, or genes beside terms like ``GO:0008150``."""
    if head.startswith((b"!gaf-version", b"!Gaf-version")):
        return True
    if b".gmt" in path.name.lower().encode():
        return True
    rows = split_head(head, delimiter="\t")
    if not rows:
        return False
    if all(len(row) in _GAF_WIDTHS for row in rows if not row[0].startswith("!")):
        body = [row for row in rows if not row[0].startswith("!")]
        return bool(body) and all(_TERM.fullmatch(row[4]) for row in body)
    body = rows[1:] or rows
    width = len(body[-1])
    n_termed = sum(any(map(_TERMS.fullmatch, row[1:])) for row in body)
    return 2 <= width <= 8 and n_termed >= 0.8 * len(body)


def parse_gene_sets(request: Request) -> Parsed:
    """Read gene sets in one of four formats, told by content.

    ``gmt``: name, description or link, genes. ``gaf``: GAF 2.x; rows qualified NOT are
    left out; genes come from the column named by ``--option id`` (object, symbol, or
    synonym: the first of column 11). ``table``: gene beside terms joined by comma, or
    the SGD GO slim.

    Raises
    ------
    MalformedFileError
        No term is to be found in the rows.
    InputError
        An option has a value that it cannot take.
    """
    asked = request.options.get("format", "")
    if asked not in ("", "gmt", "gaf", "table"):
        raise InputError(f"option format={asked}: say gmt, gaf or table")
    found = asked or _format_of(request)
    if found == "gaf":
        return _parse_gaf(request)
    if found == "gmt":
        return _parse_gmt(request)
    return _parse_table(request)


def _format_of(request: Request) -> str:
    with open_text(request.path) as lines:
        head = [line.rstrip("\n") for _, line in zip(range(50), lines, strict=False)]
    if head and head[0].lower().startswith("!gaf-version"):
        return "gaf"
    rows = [line.split("\t") for line in head if line and line[0] not in "!#"]
    if rows and all(len(r) in _GAF_WIDTHS and _TERM.fullmatch(r[4]) for r in rows):
        return "gaf"
    if ".gmt" in request.path.name.lower():
        return "gmt"
    widths = {len(row) for row in rows}
    if len(widths) > 1 and min(widths) > 2:
        return "gmt"
    return "table"


def _parse_gmt(request: Request) -> Parsed:
    tally = Tally()
    sets: list[tuple[str, str, str, int]] = []
    members: list[tuple[str, str, int]] = []
    with open_text(request.path) as lines:
        for number, line in enumerate(lines, start=1):
            fields = [field.strip() for field in line.rstrip("\n").split("\t")]
            if not any(fields) or line.startswith("#"):
                continue
            tally.read += 1
            if len(fields) < 2 or not fields[0]:
                raise MalformedFileError(
                    request.path,
                    "a gene set needs a name, a description and genes, parted by tabs",
                    line=number,
                    remedy="Give a GMT file",
                )
            genes = sorted({gene for gene in fields[2:] if gene})
            if not genes:
                tally.leave_out("no_gene", line=number, text=line)
                continue
            sets.append((fields[0], *_name_set(fields[0], fields[1]), number))
            members += [(gene, fields[0], number) for gene in genes]
    refuse_mostly_faulty(request.path, tally, ("no_gene",))
    if not tally.read:
        raise MalformedFileError(
            request.path, "no gene set in it", remedy="Give a GMT file with sets"
        )
    terms = pd.DataFrame(sets, columns=["term_id", "name", "definition", LINE])
    terms["namespace"] = request.options.get("namespace", "gene_set")
    if doubled := sorted(terms.loc[terms["term_id"].duplicated(), "term_id"]):
        raise MalformedFileError(
            request.path,
            f"{len(doubled)} set names stand more than once, e.g. {doubled[0]!r}",
            remedy="Give every set its own name",
        )
    gene_terms = pd.DataFrame(members, columns=["gene_id", "term_id", LINE])
    gene_terms["evidence"] = "gmt"
    return Parsed({"terms": terms, "gene_terms": gene_terms}, tally, ["format GMT"])


def _name_set(term: str, description: str) -> tuple[str, str]:
    """Return name and definition: a link or nothing is no name."""
    if description.lower() in ("", "na", "n/a") or "://" in description:
        return term, description if "://" in description else ""
    return description, ""


def _parse_gaf(request: Request) -> Parsed:
    frame = _read_gaf(request.path)
    tally = Tally(read=len(frame))
    negated = frame["qualifier"].str.split("|").map(lambda q: "NOT" in q)
    frame = leave_out_rows(tally, frame, negated, "negated")
    no_term = ~frame["term_id"].str.fullmatch(_TERM)
    frame = leave_out_rows(tally, frame, no_term, "no_term")
    which = request.options.get("id", "")
    if which not in ("", "object", "symbol", "synonym"):
        raise InputError(f"option id={which}: say object, symbol or synonym")
    first = frame["synonyms"].str.split("|").str[0].str.strip()
    if not which:
        # SGD and older TAIR files number their objects; the locus is the first synonym.
        numbered = frame["object"].str.match(r"^(S\d{9}|locus:\d+|gene:\d+)$")
        which = "synonym" if len(frame) and numbered.mean() > 0.5 else "object"
    gene = first if which == "synonym" else frame[which]
    frame = frame.assign(gene_id=gene.where(gene != "", frame["symbol"]))
    frame = leave_out_rows(tally, frame, is_missing(frame["gene_id"]), "no_gene")
    refuse_mostly_faulty(request.path, tally, ("no_term", "no_gene"))
    frame = frame.assign(namespace=frame["aspect"].map(NAMESPACES).fillna(""))
    parsed = _tables(
        tally, frame[["gene_id", "term_id", "evidence", "namespace", LINE]]
    )
    parsed.notes.append(f"format GAF; genes from the {which} column")
    return parsed


def _read_gaf(path: Path) -> pd.DataFrame:
    with open_text(path) as lines:
        width = next(
            (line.count("\t") + 1 for line in lines if line.strip() and line[0] != "!"),
            0,
        )
    if width not in _GAF_WIDTHS:
        raise MalformedFileError(
            path,
            f"{width} columns; a GAF has {' or '.join(map(str, _GAF_WIDTHS))}",
            remedy="Give a GAF 2.x file",
        )
    names = [f"unused_{i}" for i in range(width)]
    for index, name in (
        (1, "object"), (2, "symbol"), (3, "qualifier"), (4, "term_id"),
        (6, "evidence"), (8, "aspect"), (10, "synonyms"),
    ):  # fmt: skip
        names[index] = name
    return read_table(path, delimiter="\t", header=names, comment="!")


def _parse_table(request: Request) -> Parsed:
    notes: list[str] = []
    first = read_first_row(request.path)
    has_term = [i for i, field in enumerate(first) if _TERMS.fullmatch(field)]
    if has_term and not request.columns:
        frame = read_table(request.path, header=False)
        frame = frame.rename(columns={"0": "gene_id", str(has_term[0]): "term_id"})
        if len(first) == 7 and has_term[0] == 5:  # SGD's own GO slim table
            frame = frame.rename(columns={"3": "namespace", "4": "term_name"})
        notes.append(f"no header: gene in column 0, terms in column {has_term[0]}")
    else:
        frame = read_named_table(
            request,
            SYNONYMS,
            required=("gene_id", "term_id"),
            positions=("gene_id", "term_id"),
            notes=notes,
        )
    tally = Tally(read=len(frame))
    frame = leave_out_rows(tally, frame, is_missing(frame["gene_id"]), "no_gene")
    frame = leave_out_rows(tally, frame, is_missing(frame["term_id"]), "no_term")
    refuse_mostly_faulty(request.path, tally, ("no_gene", "no_term"))
    terms = frame["term_id"].str.split(r"\s*[,;|]\s*", regex=True)
    frame = frame.assign(term_id=terms).explode("term_id")
    frame = frame[frame["term_id"] != ""]
    if "namespace" in frame:
        frame["namespace"] = frame["namespace"].replace(NAMESPACES)
    else:
        frame["namespace"] = request.options.get("namespace", "")
    kept = [
        name
        for name in ("gene_id", "term_id", "evidence", "namespace", "term_name", LINE)
        if name in frame
    ]
    parsed = _tables(tally, frame[kept])
    parsed.notes += notes
    return parsed


def _tables(tally: Tally, frame: pd.DataFrame) -> Parsed:
    """Build ``gene_terms`` and ``terms`` from rows of gene, term and evidence."""
    keys = [name for name in ("gene_id", "term_id", "evidence") if name in frame]
    unique = frame.drop_duplicates(keys)
    gone = frame[~frame[LINE].isin(unique[LINE])].drop_duplicates(LINE)
    if len(gone):
        leave_out_rows(
            tally, gone, pd.Series(data=True, index=gone.index), "duplicate_row"
        )
    first = frame.sort_values(LINE, kind="stable").drop_duplicates("term_id")
    terms = pd.DataFrame(
        {
            "term_id": first["term_id"],
            "name": first.get("term_name"),
            "namespace": first["namespace"],
        }
    )
    gene_terms = unique[[*keys, LINE]].reset_index(drop=True)
    return Parsed(
        {
            "terms": terms.sort_values("term_id").reset_index(drop=True),
            "gene_terms": gene_terms,
        },
        tally,
        ["terms known only by their use have no name here: add the ontology (OBO)"]
        if "term_name" not in frame
        else [],
    )


KINDS = (
    Kind(
        name="gene_sets",
        meaning="genes annotated with terms or sets: GMT, GAF 2.x, GO slim, tables",
        detect=detect_gene_sets,
        parse=parse_gene_sets,
        tables=("terms", "gene_terms"),
        options={
            "format": "gmt, gaf or table (default: told by content)",
            "id": "GAF: object, symbol or synonym (default: object, or the locus)",
            "namespace": "namespace of the terms where the file has none",
            "header": HEADER_OPTION,
        },
    ),
)
