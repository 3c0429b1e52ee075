"""Other names of genes: symbols, full names, Entrez numbers, old loci."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.named_columns import (
    HEADER_OPTION,
    WRONG_WIDTH_OPTION,
    read_named_table,
)
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows
from data_registry.text_files import (
    GENE_PATTERN,
    LINE,
    find_column,
    is_missing,
    is_number,
    split_head,
)

SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "gene_id": (
        "locus_name",
        "locustag",
        "locus",
        "locus_tag",
        "gene",
        "geneid",
        "agi",
        "tair_id",
        "orf",
        "ensembl_gene_id",
        "gene_stable_id",
        "systematic_name",
    ),
    "symbol": (
        "genesymbol",
        "gene_symbol",
        "gene_name",
        "symbol_from_nomenclature_authority",
        "official_symbol",
    ),
    "full_name": ("fullname", "full_name_from_nomenclature_authority"),
    "entrez": ("entrez_id", "entrezgene", "entrez_gene", "ncbi_gene_id", "entrezid"),
    "synonym": ("synonyms", "aliases", "alias", "other_names"),
}
_SKIPPED: Final = frozenset(
    {
        "chr", "chrom", "chromosome", "start", "end", "strand", "tss", "length",
        "biotype", "genebiotype", "typeofgene", "modificationdate", "featuretype",
        "taxid", "maplocation", "description", "genelength", "nomenclaturestatus",
    }
)  # fmt: skip


def detect_aliases(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A header with a gene and a symbol, full name, Entrez or alias; or two columns."""
    rows = split_head(head)
    if len(rows) < 2:
        return False
    names = rows[0]
    if all(len(row) == 2 and GENE_PATTERN.match(row[0]) for row in rows):
        seconds = [row[1] for row in rows]
        return len(set(seconds)) > 0.8 * len(rows) and not any(
            is_number(name) or GENE_PATTERN.match(name) or ":" in name
            for name in seconds
        )
    if find_column(names, "gene_id", *SYNONYMS["gene_id"]) is None:
        return False
    kinds = [k for k in SYNONYMS if k != "gene_id"]
    return any(find_column(names, kind, *SYNONYMS[kind]) for kind in kinds)


def parse_aliases(request: Request) -> Parsed:
    """Read any table of genes and their other names, one kind of name a column.

    Without a header the first column is the gene, the second its symbol. Columns of
    positions and biotypes are no names. A name ``-`` or the gene itself gives nothing.

    Raises
    ------
    MalformedFileError
        No column of genes.
    InputError
        ``only`` names a column that is not there.
    """
    notes: list[str] = []
    tally = Tally()
    if request.options.get("only"):
        wanted = [name.strip() for name in request.options["only"].split(",")]
    else:
        wanted = []
    frame = read_named_table(
        request,
        SYNONYMS,
        required=("gene_id",),
        positions=("gene_id", "symbol"),
        notes=notes,
        wrong_width=tally,
    )
    tally.read += len(frame)
    frame = leave_out_rows(tally, frame, is_missing(frame["gene_id"]), "no_gene")
    if frame.empty:
        raise MalformedFileError(
            request.path, "no row names a gene", remedy="Say --column gene_id=NAME"
        )
    columns = _name_columns(request, frame, wanted)
    if not columns:
        raise MalformedFileError(
            request.path,
            "no column of other names beside the genes",
            line=1,
            remedy="Give a table of genes and their other names",
        )
    parts = re.escape(request.options.get("separator", "|"))
    tables = []
    for column in columns:
        values = frame[column].str.split(parts, regex=True).explode().str.strip()
        part = pd.DataFrame({"alias": values, "kind": column})
        part["gene_id"] = frame["gene_id"]
        part[LINE] = frame[LINE]
        part = part[~is_missing(part["alias"]) & (part["alias"] != part["gene_id"])]
        tables.append(part)
    table = pd.concat(tables)
    without = ~frame[LINE].isin(table[LINE])
    leave_out_rows(tally, frame, without, "no_other_name")
    table = table.drop_duplicates(["gene_id", "alias", "kind"], keep="first")
    doubled = frame[LINE].isin(table[LINE]) | without
    leave_out_rows(tally, frame, ~doubled, "duplicate_row")
    table = table.sort_values(LINE, kind="stable").reset_index(drop=True)
    notes.append(f"kinds of name: {', '.join(columns)}")
    return Parsed(
        {"gene_aliases": table[["gene_id", "alias", "kind", LINE]]}, tally, notes
    )


def _name_columns(
    request: Request, frame: pd.DataFrame, wanted: Sequence[str]
) -> list[str]:
    given = [name for name in frame.columns if name not in ("gene_id", LINE)]
    if not wanted:
        plain = {name: re.sub(r"[\s._\-]+", "", name).lower() for name in given}
        return [name for name in given if plain[name] not in _SKIPPED]
    chosen: list[str] = []
    for name in wanted:
        kind = next(
            (k for k, s in SYNONYMS.items() if find_column([name], k, *s)), name
        )
        found = find_column(given, name, kind)
        if found is None:
            raise InputError(
                f"{request.path}: option only={name}, but the columns are "
                f"{', '.join(map(repr, given[:20]))}"
            )
        chosen.append(found)
    return chosen


KINDS = (
    Kind(
        name="aliases",
        meaning="other names of genes: a table of identifiers and symbols, Entrez, …",
        detect=detect_aliases,
        parse=parse_aliases,
        tables=("gene_aliases",),
        options={
            "only": "columns to take as names, comma-separated (default: all)",
            "separator": "what parts several names in one cell (default: |)",
            "header": HEADER_OPTION,
            "wrong_width": WRONG_WIDTH_OPTION,
        },
    ),
)
