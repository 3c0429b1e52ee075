"""Phenotypes of lines or individuals, and genes known to act on traits."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.named_columns import (
    HEADER_OPTION,
    name_columns,
    names_match,
    read_named_table,
)
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    LINE,
    find_column,
    is_missing,
    is_number,
    read_first_row,
    read_numbers,
    read_table,
    split_head,
)

SAMPLE_NAMES: Final = (
    "sample_id",
    "ecotype_id",
    "accession_id",
    "iid",
    "sample",
    "line",
    "line_id",
    "accession",
    "taxa",
    "taxon",
    "genotype",
    "strain",
    "nsftvid",
    "individual",
    "animal",
    "animal_id",
    "hybid",
    "id",
)
REPLICATE_NAMES: Final = (
    "replicate",
    "replicate_id",
    "rep",
    "environment",
    "env",
    "location",
    "experiment",
)
LONG_SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "phenotype_id": ("trait_id", "trait", "phenotype"),
    "phenotype_name": ("trait_name", "name"),
    "sample_id": SAMPLE_NAMES,
    "value": ("phenotype_value", "trait_value", "measurement", "observation"),
    "replicate": REPLICATE_NAMES,
    "unit": ("units",),
    "description": ("definition", "trait_description"),
}
WIDE_SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "sample_id": SAMPLE_NAMES,
    "replicate": REPLICATE_NAMES,
}
GENE_SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "gene_id": ("gene", "locus", "locus_name", "gene_name", "symbol"),
    "phenotype_id": ("phenotype", "trait", "trait_id", "phenotype_name", "trait_name"),
    "evidence": ("source", "method", "evidence_code", "type"),
    "score": ("confidence", "weight", "evidence_level", "probability"),
}
_NAMELESS: Final = frozenset({"phenotype", "value", "trait", "pheno", "y", "row_name"})
"""A single trait column called so takes the name of the data set."""


def detect_phenotypes(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A long table of trait, line and value; a PLINK table; or lines × traits."""
    rows = split_head(head)
    if len(rows) < 2:
        return False
    names = rows[0]
    if names_match(names, LONG_SYNONYMS, "phenotype_id", "sample_id", "value"):
        return True
    lower = [name.lower() for name in names]
    is_table = all(len(row) == len(names) for row in rows)
    if lower[:2] == ["fid", "iid"] and len(names) > 2 and is_table:
        return True
    found = find_column(names, *SAMPLE_NAMES)
    if found is None or not is_table or len(names) < 2:
        return False
    others = [i for i, name in enumerate(names) if name != found]
    if all(re.fullmatch(r"(?i)(PC|EV|C)\d+", names[i]) for i in others):
        return False  # principal components
    return any(
        all(
            is_number(row[i]) or row[i].lower() in ("", "na", "nan") for row in rows[1:]
        )
        for i in others
    )


def parse_phenotypes(request: Request) -> Parsed:
    """Read trait values (a long table, or lines × traits) or a table of traits.

    In a wide table every column of numbers is a trait, unless ``--option traits`` names
    them; other columns are noted and not read. PLINK's -9 is a missing value.

    Raises
    ------
    MalformedFileError
        No column of lines or of values.
    InputError
        An option has a value that it cannot take.
    """
    asked = request.options.get("format", "")
    if asked not in ("", "long", "wide", "traits"):
        raise InputError(f"option format={asked}: say long, wide or traits")
    names = [*read_first_row(request.path), *request.columns]
    if not asked:
        is_long = names_match(
            names, LONG_SYNONYMS, "phenotype_id", "sample_id", "value"
        )
        is_list = names_match(names, LONG_SYNONYMS, "phenotype_id") and not (
            find_column(names, *SAMPLE_NAMES) or find_column(names, "value")
        )
        asked = "long" if is_long else "traits" if is_list else "wide"
    if asked == "long":
        return _parse_long(request)
    if asked == "traits":
        return _parse_traits(request)
    return _parse_wide(request)


def _missing_codes(request: Request, names: Sequence[str]) -> set[str]:
    codes = {c.strip() for c in request.options.get("missing", "").split(",")} - {""}
    if [name.lower() for name in names[:2]] == ["fid", "iid"] and not codes:
        codes = {"-9"}
    return codes


def _parse_long(request: Request) -> Parsed:
    notes: list[str] = []
    frame = read_named_table(
        request,
        LONG_SYNONYMS,
        required=("phenotype_id", "sample_id", "value"),
        notes=notes,
    )
    tally = Tally(read=len(frame))
    unnamed = is_missing(frame["sample_id"]) | is_missing(frame["phenotype_id"])
    frame = leave_out_rows(tally, frame, unnamed, "no_sample_or_trait")
    codes = _missing_codes(request, list(frame.columns))
    absent = is_missing(frame["value"]) | frame["value"].isin(codes)
    frame = leave_out_rows(tally, frame, absent, "no_value")
    frame = frame.assign(value=read_numbers(frame["value"]))
    frame = leave_out_rows(tally, frame, frame["value"].isna(), "not_numeric")
    refuse_mostly_faulty(request.path, tally, ("no_sample_or_trait", "not_numeric"))
    values = pd.DataFrame(
        {
            "phenotype_id": frame["phenotype_id"],
            "sample_id": frame["sample_id"],
            "value": frame["value"],
            "replicate": frame.get("replicate", ""),
            LINE: frame[LINE],
        }
    ).reset_index(drop=True)
    traits = frame.drop_duplicates("phenotype_id")
    phenotypes = pd.DataFrame(
        {
            "phenotype_id": traits["phenotype_id"],
            "name": traits.get("phenotype_name", traits["phenotype_id"]),
            "description": traits.get("description", ""),
            "unit": traits.get("unit", request.options.get("unit", "")),
        }
    ).reset_index(drop=True)
    return Parsed({"phenotypes": phenotypes, "phenotype_values": values}, tally, notes)


def _parse_traits(request: Request) -> Parsed:
    notes: list[str] = []
    frame = read_named_table(
        request, LONG_SYNONYMS, required=("phenotype_id",), notes=notes
    )
    tally = Tally(read=len(frame))
    frame = leave_out_rows(
        tally, frame, is_missing(frame["phenotype_id"]), "no_sample_or_trait"
    )
    doubled = frame["phenotype_id"].duplicated()
    frame = leave_out_rows(tally, frame, doubled, "duplicate_row")
    refuse_mostly_faulty(request.path, tally, ("no_sample_or_trait", "duplicate_row"))
    phenotypes = pd.DataFrame(
        {
            "phenotype_id": frame["phenotype_id"],
            "name": frame.get("phenotype_name", frame["phenotype_id"]),
            "description": frame.get("description", ""),
            "unit": frame.get("unit", request.options.get("unit", "")),
            LINE: frame[LINE],
        }
    )
    return Parsed({"phenotypes": phenotypes.reset_index(drop=True)}, tally, notes)


def _parse_wide(request: Request) -> Parsed:
    notes: list[str] = []
    frame = read_table(request.path, columns=request.columns)
    given = [name for name in frame.columns if name != LINE]
    codes = _missing_codes(request, given)
    frame = name_columns(request, frame, WIDE_SYNONYMS, required=(), notes=notes)
    if "sample_id" not in frame:
        frame = frame.rename(columns={given[0]: "sample_id"})
        notes.append(f"the lines are taken from the first column, {given[0]!r}")
    tally = Tally(read=len(frame))
    frame = leave_out_rows(
        tally, frame, is_missing(frame["sample_id"]), "no_sample_or_trait"
    )
    refuse_mostly_faulty(request.path, tally, ("no_sample_or_trait",))
    values = _trait_values(request, frame, codes, notes)
    absent = values.isna().all(axis=1)
    leave_out_rows(tally, frame, absent, "no_value")
    frame, values = frame[~absent], values[~absent]

    traits = list(values.columns)
    names = traits
    if len(traits) == 1 and traits[0].lower() in _NAMELESS:
        names = [request.name]
        notes.append(f"the trait is called {request.name!r}, after the data set")
    n_lines = len(frame)
    table = pd.DataFrame(
        {
            "phenotype_id": [name for name in names for _ in range(n_lines)],
            "sample_id": list(frame["sample_id"]) * len(names),
            "value": values.to_numpy().T.ravel(),
            "replicate": (
                list(frame["replicate"]) * len(names) if "replicate" in frame else ""
            ),
            LINE: list(frame[LINE]) * len(names),
        }
    )
    table = table[table["value"].notna()].reset_index(drop=True)
    phenotypes = pd.DataFrame(
        {
            "phenotype_id": names,
            "name": names,
            "description": "",
            "unit": request.options.get("unit", ""),
        }
    )
    notes.append(f"{len(names)} traits of {frame['sample_id'].nunique():,} lines")
    return Parsed({"phenotypes": phenotypes, "phenotype_values": table}, tally, notes)


def _trait_values(
    request: Request, frame: pd.DataFrame, codes: set[str], notes: list[str]
) -> pd.DataFrame:
    """Return the traits as numbers, shape (lines, traits)."""
    others = [name for name in frame if name not in ("sample_id", "replicate", LINE)]
    wanted = [
        t.strip() for t in request.options.get("traits", "").split(",") if t.strip()
    ]
    if unknown := [name for name in wanted if name not in others]:
        raise InputError(
            f"{request.path}: no column {unknown[0]!r} for option traits; there are "
            f"{', '.join(map(repr, others[:20]))}"
        )
    traits: dict[str, pd.Series[float]] = {}
    skipped: list[str] = []
    n_text = 0
    for name in wanted or others:
        if not wanted and str(name).lower() in ("fid", "pid", "mid"):
            continue
        text = frame[name].mask(frame[name].isin(codes), "")
        numbers = read_numbers(text)
        is_text = numbers.isna() & ~is_missing(text)
        if (is_text.any() and not wanted) or not numbers.notna().any():
            skipped.append(str(name))
            continue
        n_text += int(is_text.sum())
        traits[str(name)] = numbers
    if not traits:
        raise MalformedFileError(
            request.path,
            "no column of numbers beside the lines",
            line=1,
            remedy="Name the columns of traits with --option traits=A,B",
        )
    if skipped:
        notes.append(
            f"columns that are no numbers, not read: {', '.join(skipped[:20])}"
        )
    if n_text:
        notes.append(f"{n_text:,} values that are no numbers are left empty")
    return pd.DataFrame(traits, index=frame.index)


def detect_gene_phenotypes(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A header with a gene and a trait, and no line or value."""
    rows = split_head(head)
    if (
        len(rows) < 2
        or find_column(rows[0], "value", "p_value", "pos", "chr") is not None
    ):
        return False
    return names_match(rows[0], GENE_SYNONYMS, "gene_id", "phenotype_id")


def parse_gene_phenotypes(request: Request) -> Parsed:
    """Read pairs of gene and trait with their evidence.

    Raises
    ------
    MalformedFileError
        No column of genes or of traits.
    """
    notes: list[str] = []
    frame = read_named_table(
        request,
        GENE_SYNONYMS,
        required=("gene_id", "phenotype_id"),
        positions=("gene_id", "phenotype_id", "evidence", "score"),
        notes=notes,
    )
    tally = Tally(read=len(frame))
    unnamed = is_missing(frame["gene_id"]) | is_missing(frame["phenotype_id"])
    frame = leave_out_rows(tally, frame, unnamed, "no_gene_or_trait")
    refuse_mostly_faulty(request.path, tally, ("no_gene_or_trait",))
    score = None
    if "score" in frame:
        score = read_numbers(frame["score"])
        if score.notna().any() and not score.dropna().between(0, 1).all():
            notes.append(
                f"score spans {score.min():g} to {score.max():g}, not 0–1: left empty"
            )
            score = None
    table = pd.DataFrame(
        {
            "gene_id": frame["gene_id"],
            "phenotype_id": frame["phenotype_id"],
            "evidence": frame.get("evidence", request.options.get("evidence", "")),
            "score": score,
            LINE: frame[LINE],
        }
    )
    doubled = table.duplicated(["gene_id", "phenotype_id", "evidence"])
    table = leave_out_rows(tally, table, doubled, "duplicate_row")
    traits = sorted(table["phenotype_id"].unique())
    return Parsed(
        {
            "gene_phenotypes": table.reset_index(drop=True),
            "phenotypes": pd.DataFrame({"phenotype_id": traits, "name": traits}),
        },
        tally,
        notes,
    )


KINDS = (
    Kind(
        name="phenotypes",
        meaning="trait values of lines (long, or lines × traits), PLINK phenotypes",
        detect=detect_phenotypes,
        parse=parse_phenotypes,
        tables=("phenotypes", "phenotype_values"),
        options={
            "format": "long, wide or traits (default: told by the header)",
            "traits": "wide: columns to read, comma-separated (default: all numbers)",
            "missing": "codes of a missing value, comma-separated (PLINK: -9)",
            "unit": "unit of the values",
            "header": HEADER_OPTION,
        },
    ),
    Kind(
        name="gene_phenotypes",
        meaning="genes known to act on traits",
        detect=detect_gene_phenotypes,
        parse=parse_gene_phenotypes,
        tables=("gene_phenotypes", "phenotypes"),
        options={
            "evidence": "evidence where the table has no such column",
            "header": HEADER_OPTION,
        },
    ),
)
