"""Orthologs: pairs, groups joined by ``|``, and tables of Ka and Ks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from data_registry.errors import InputError
from data_registry.named_columns import HEADER_OPTION, names_match, read_named_table
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    GENE_PATTERN,
    LINE,
    is_missing,
    open_text,
    read_numbers,
    split_head,
)

SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "gene_id": ("gene", "gene1", "query", "query_gene", "locus", "gene_stable_id"),
    "other_gene": (
        "ortholog",
        "homolog",
        "orthologue",
        "gene2",
        "target_gene",
        "subject",
        "homology_gene_stable_id",
        "aly_protein",
        "other_protein",
    ),
    "other_species": ("species", "target_species", "homology_species", "organism"),
    "kind": ("class", "homology_type", "orthology_type", "type", "relationship"),
    "ka": ("dn",),
    "ks": ("ds",),
    "identity": ("pident", "percent_identity", "perc_id", "homology_identity"),
}


def detect_orthologs(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A header with Ka and Ks or an ortholog, or rows of genes joined by ``|``."""
    rows = split_head(head)
    if len(rows) < 2:
        return False
    names = rows[0]
    if names_match(names, SYNONYMS, "gene_id", "ka", "ks"):
        return True
    if names_match(names, SYNONYMS, "gene_id", "other_gene"):
        return True
    text = split_head(head, delimiter="\t")
    n_joined = sum("|" in row[0] or "|" in row[-1] for row in text)
    if not n_joined or any(len(row) < 2 for row in text):
        return False
    is_ragged = len({len(row) for row in text}) > 1
    return n_joined > 0.1 * len(text) or (
        is_ragged and all(GENE_PATTERN.match(row[0]) for row in text)
    )


def parse_orthologs(request: Request) -> Parsed:
    """Read pairs of orthologs, or groups.

    In a table, ``|`` joins several genes of one cell: every own gene is paired with
    every other one. ``--option format=groups``: rows of any length, the first field
    this species' genes joined by ``|``, each further field a gene of another species.

    Raises
    ------
    MalformedFileError
        No column of genes or of their orthologs.
    InputError
        An option has a value that it cannot take.
    """
    asked = request.options.get("format", "")
    if asked not in ("", "table", "groups"):
        raise InputError(f"option format={asked}: say table or groups")
    if asked == "groups" or (not asked and _has_ragged_rows(request.path)):
        return _parse_groups(request)
    return _parse_table(request)


def _has_ragged_rows(path: Path) -> bool:
    widths: set[int] = set()
    with open_text(path) as lines:
        for _, line in zip(range(1000), lines, strict=False):
            if line.strip() and not line.startswith("#"):
                widths.add(line.rstrip("\n").count("\t"))
    return len(widths) > 1


def _species_of(request: Request, genes: "pd.Series[str]") -> "pd.Series[str]":
    """Name the species of genes by their prefixes (``prefixes=MTR_=Medicago,…``)."""
    species = pd.Series(
        request.options.get("species", ""), index=genes.index, dtype=object
    )
    for pair in filter(None, request.options.get("prefixes", "").split(",")):
        prefix, equals, name = pair.partition("=")
        if not equals or not prefix.strip():
            raise InputError(f"option prefixes: {pair!r} is not PREFIX=SPECIES")
        species = species.mask(genes.str.startswith(prefix.strip()), name.strip())
    return species


def _parse_groups(request: Request) -> Parsed:
    tally = Tally()
    rows: list[tuple[str, str, int]] = []
    with open_text(request.path) as lines:
        for number, line in enumerate(lines, start=1):
            text = line.rstrip("\n")
            if not text.strip() or text.startswith("#"):
                continue
            tally.read += 1
            fields = [field.strip() for field in text.split("\t")]
            own = [gene for gene in fields[0].split("|") if gene.strip()]
            others = [g for field in fields[1:] for g in field.split("|") if g.strip()]
            if not own or not others:
                tally.leave_out("no_ortholog", line=number, text=text)
                continue
            rows += [(gene, other, number) for gene in own for other in others]
    refuse_mostly_faulty(request.path, tally, ("no_ortholog",))
    table = pd.DataFrame(rows, columns=["gene_id", "other_gene", LINE])
    table["other_species"] = _species_of(request, table["other_gene"])
    table["kind"] = "group"
    return Parsed({"orthologs": table}, tally, ["ortholog groups, one a row"])


def _parse_table(request: Request) -> Parsed:
    notes: list[str] = []
    frame = read_named_table(
        request,
        SYNONYMS,
        required=("gene_id", "other_gene"),
        positions=("gene_id", "other_gene"),
        notes=notes,
        delimiter=request.options.get("delimiter"),
    )
    tally = Tally(read=len(frame))
    missing = is_missing(frame["gene_id"]) | is_missing(frame["other_gene"])
    frame = leave_out_rows(tally, frame, missing, "no_ortholog")
    refuse_mostly_faulty(request.path, tally, ("no_ortholog",))
    for rate in ("ka", "ks"):
        if rate in frame:
            # Estimators give tiny negative rates for near-identical genes: the pair
            # holds, the rate does not.
            numbers = read_numbers(frame[rate])
            if n_negative := int((numbers < 0).sum()):
                notes.append(f"{n_negative:,} negative values of {rate} are left empty")
            frame = frame.assign(**{rate: numbers.where(numbers >= 0)})
    default_kind = request.options.get("kind", "pair")
    table = pd.DataFrame(
        {
            "gene_id": frame["gene_id"].str.split("|"),
            "other_gene": frame["other_gene"].str.split("|"),
            "other_species": frame.get("other_species"),
            "kind": frame.get("kind", default_kind),
            "ka": frame.get("ka"),
            "ks": frame.get("ks"),
            "identity": (
                read_numbers(frame["identity"]) if "identity" in frame else None
            ),
            LINE: frame[LINE],
        }
    )
    n_joined = int((table["gene_id"].str.len() > 1).sum())
    table = table.explode("gene_id").explode("other_gene").reset_index(drop=True)
    if n_joined:
        notes.append(f"{n_joined:,} rows hold several own genes joined by '|'")
    if "other_species" not in frame:
        table["other_species"] = _species_of(request, table["other_gene"])
    doubled = table.duplicated(["gene_id", "other_gene", "kind"])
    if doubled.any():
        kept = table[~doubled]
        gone = frame[~frame[LINE].isin(kept[LINE])]
        leave_out_rows(
            tally, gone, pd.Series(data=True, index=gone.index), "duplicate_row"
        )
        table = kept.reset_index(drop=True)
    return Parsed({"orthologs": table}, tally, notes)


KINDS = (
    Kind(
        name="orthologs",
        meaning="orthologs: pairs, groups joined by '|', Ka/Ks tables",
        detect=detect_orthologs,
        parse=parse_orthologs,
        tables=("orthologs",),
        options={
            "format": "table or groups (default: groups where rows differ in length)",
            "species": "the other species",
            "prefixes": "species by prefix of the gene: PREFIX=SPECIES,…",
            "kind": "kind of ortholog where the table has no such column",
            "delimiter": "what parts the columns (default: guessed)",
            "header": HEADER_OPTION,
        },
    ),
)
