"""Pathways: genes in them, their names, and how they act on each other."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from data_registry.errors import InputError
from data_registry.named_columns import HEADER_OPTION, names_match, read_named_table
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    LINE,
    is_missing,
    read_first_row,
    read_numbers,
    split_head,
)

MEMBER_SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "gene_id": ("gene", "locus", "locus_name", "geneid", "kegg_gene"),
    "pathway_id": ("pathway", "path", "kegg_pathway", "map"),
    "pathway_name": ("name", "pathway_description", "description"),
    "role": ("function", "step_name", "enzyme"),
    "rank": ("order", "step", "position", "cascade_order"),
    "evidence": ("source", "evidence_code"),
}
RELATION_SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "pathway_a": ("pathway1", "from_pathway", "upstream", "source_pathway", "a"),
    "pathway_b": ("pathway2", "to_pathway", "downstream", "target_pathway", "b"),
    "relation": ("kind", "type", "relationship"),
    "sign": ("effect", "direction"),
    "rank": ("order", "step", "cascade_order"),
}
NAME_SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "pathway_id": MEMBER_SYNONYMS["pathway_id"],
    "pathway_name": MEMBER_SYNONYMS["pathway_name"],
}
SIGN_OF_RELATION: Final = {
    "activates": 1, "activation": 1, "induces": 1, "promotes": 1, "positive": 1,
    "inhibits": -1, "inhibition": -1, "represses": -1, "repression": -1, "negative": -1,
}  # fmt: skip
_SIGNS: Final = {"+": 1, "+1": 1, "1": 1, "-": -1, "-1": -1}
_PATHWAY = re.compile(r"^(path:)?([a-z]{2,4}|map|ko)\d{5}$")


def detect_pathways(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A KEGG link or list of pathways, or a header that names pathways."""
    rows = split_head(head)
    if not rows:
        return False
    names = rows[0]
    if len(rows) > 1 and (
        names_match(names, MEMBER_SYNONYMS, "gene_id", "pathway_id")
        or names_match(
            names,
            {w: [n for n in s if len(n) > 1] for w, s in RELATION_SYNONYMS.items()},
            "pathway_a",
            "pathway_b",
        )
    ):
        return True
    return all(any(_PATHWAY.match(field) for field in row[:2]) for row in rows) and all(
        len(row) >= 2 for row in rows
    )


def parse_pathways(request: Request) -> Parsed:
    """Read members (gene, pathway), relations (pathway, pathway) or names of pathways.

    KEGG's prefixes ``path:`` and ``org:`` are taken off. A sign that is not given is
    taken from relations that say it (activates, inhibits, …).

    Raises
    ------
    MalformedFileError
        The columns are not to be found.
    InputError
        The option ``content`` is none of members, relations, names.
    """
    content = request.options.get("content", "") or _content_of(request)
    if content == "members":
        return _parse_members(request)
    if content == "relations":
        return _parse_relations(request)
    if content == "names":
        return _parse_names(request)
    raise InputError(f"option content={content}: say members, relations or names")


def _content_of(request: Request) -> str:
    first = [*read_first_row(request.path), *request.columns]
    if names_match(first, RELATION_SYNONYMS, "pathway_a", "pathway_b"):
        return "relations"
    if names_match(first, MEMBER_SYNONYMS, "gene_id", "pathway_id"):
        return "members"
    if names_match(first, NAME_SYNONYMS, "pathway_id", "pathway_name"):
        return "names"
    is_pathway = [bool(_PATHWAY.match(field)) for field in first[:2]]
    if all(is_pathway):
        return "relations"
    if is_pathway[:1] == [True] and not re.match(r"^\S+:\S+$", first[1]):
        return "names"
    return "members"


def _plain_pathways(pathways: "pd.Series[str]") -> "pd.Series[str]":
    return pathways.str.replace(r"^path:", "", regex=True)


def _parse_members(request: Request) -> Parsed:
    notes: list[str] = []
    first = read_first_row(request.path)
    positions = ("gene_id", "pathway_id", "role", "rank")
    if first and _PATHWAY.match(first[0]):
        positions = ("pathway_id", "gene_id", "role", "rank")
    frame = read_named_table(
        request,
        MEMBER_SYNONYMS,
        required=("gene_id", "pathway_id"),
        positions=positions,
        notes=notes,
    )
    tally = Tally(read=len(frame))
    unnamed = is_missing(frame["gene_id"]) | is_missing(frame["pathway_id"])
    frame = leave_out_rows(tally, frame, unnamed, "no_gene_or_pathway")
    refuse_mostly_faulty(request.path, tally, ("no_gene_or_pathway",))
    gene = frame["gene_id"]
    if gene.str.match(r"^[a-z]{3,4}:\S").all():
        gene = gene.str.replace(r"^[a-z]{3,4}:", "", regex=True)
        notes.append("KEGG's organism prefix is taken off the genes")
    table = pd.DataFrame(
        {
            "gene_id": gene,
            "term_id": _plain_pathways(frame["pathway_id"]),
            "evidence": frame.get("evidence", "pathway"),
            "role": frame.get("role", ""),
            "rank": _ranks(frame),
            LINE: frame[LINE],
        }
    )
    doubled = table.duplicated(["gene_id", "term_id", "role"])
    table = leave_out_rows(tally, table, doubled, "duplicate_row")
    first_rows = table.drop_duplicates("term_id").index
    terms = pd.DataFrame(
        {
            "term_id": table.loc[first_rows, "term_id"],
            "name": (
                frame.loc[first_rows, "pathway_name"]
                if "pathway_name" in frame
                else None
            ),
            "namespace": "pathway",
        }
    )
    return Parsed(
        {
            "terms": terms.sort_values("term_id").reset_index(drop=True),
            "gene_terms": table.reset_index(drop=True),
        },
        tally,
        notes,
    )


def _ranks(frame: pd.DataFrame) -> "pd.Series[int] | None":
    if "rank" not in frame:
        return None
    rank = read_numbers(frame["rank"])
    return rank.where(rank % 1 == 0).astype("Int32")


def _parse_relations(request: Request) -> Parsed:
    notes: list[str] = []
    frame = read_named_table(
        request,
        RELATION_SYNONYMS,
        required=("pathway_a", "pathway_b"),
        positions=("pathway_a", "pathway_b", "relation", "sign", "rank"),
        notes=notes,
    )
    tally = Tally(read=len(frame))
    unnamed = is_missing(frame["pathway_a"]) | is_missing(frame["pathway_b"])
    frame = leave_out_rows(tally, frame, unnamed, "no_pathway")
    refuse_mostly_faulty(request.path, tally, ("no_pathway",))
    relation = (
        frame["relation"].str.lower()
        if "relation" in frame
        else pd.Series("related", index=frame.index)
    )
    relation = relation.where(relation != "", "related")
    sign = relation.map(SIGN_OF_RELATION).astype("Int8")
    if "sign" in frame:
        words = {**SIGN_OF_RELATION, **_SIGNS}
        given = frame["sign"].str.lower().map(words).astype("Int8")
        unread = ~is_missing(frame["sign"]) & given.isna()
        frame = frame.assign(sign=given.fillna(sign))
        relation = relation[~unread]
        frame = leave_out_rows(tally, frame, unread, "unreadable_sign")
        refuse_mostly_faulty(request.path, tally, ("no_pathway", "unreadable_sign"))
        sign = frame["sign"].astype("Int8")
    table = pd.DataFrame(
        {
            "term_a": _plain_pathways(frame["pathway_a"]),
            "term_b": _plain_pathways(frame["pathway_b"]),
            "kind": relation,
            "sign": sign,
            "rank": _ranks(frame),
            LINE: frame[LINE],
        }
    )
    doubled = table.duplicated(["term_a", "term_b", "kind"])
    table = leave_out_rows(tally, table, doubled, "duplicate_row")
    return Parsed({"term_relations": table.reset_index(drop=True)}, tally, notes)


def _parse_names(request: Request) -> Parsed:
    notes: list[str] = []
    frame = read_named_table(
        request,
        NAME_SYNONYMS,
        required=("pathway_id", "pathway_name"),
        positions=("pathway_id", "pathway_name"),
        notes=notes,
    )
    tally = Tally(read=len(frame))
    frame = leave_out_rows(tally, frame, is_missing(frame["pathway_id"]), "no_pathway")
    doubled = frame["pathway_id"].duplicated()
    frame = leave_out_rows(tally, frame, doubled, "duplicate_row")
    refuse_mostly_faulty(request.path, tally, ("no_pathway", "duplicate_row"))
    terms = pd.DataFrame(
        {
            "term_id": _plain_pathways(frame["pathway_id"]),
            "name": frame["pathway_name"],
            "namespace": "pathway",
            LINE: frame[LINE],
        }
    )
    return Parsed({"terms": terms.reset_index(drop=True)}, tally, notes)


KINDS = (
    Kind(
        name="pathways",
        meaning="genes of pathways, relations of pathways, or their names (KEGG style)",
        detect=detect_pathways,
        parse=parse_pathways,
        tables=("terms", "gene_terms", "term_relations"),
        options={
            "content": "members, relations or names (default: told by content)",
            "header": HEADER_OPTION,
        },
    ),
)
