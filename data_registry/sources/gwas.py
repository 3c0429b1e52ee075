"""GWAS summary statistics in the dialects of the common programs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from data_registry.coordinates import start_from_one_based
from data_registry.errors import MalformedFileError
from data_registry.named_columns import name_columns
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.row_faults import leave_out_rows, refuse_mostly_faulty
from data_registry.text_files import (
    LINE,
    find_column,
    is_missing,
    read_numbers,
    read_table,
    split_head,
)

SMALLEST_P: Final = float(np.finfo(np.float64).tiny)
"""What a p-value of 0 is stored as: it underflowed, it was not impossible."""

# PLINK 1 .assoc and .assoc.linear, PLINK 2 .glm, GEMMA, REGENIE, BOLT-LMM, GCTA, GAPIT,
# TASSEL, SAIGE, GWAS-SSF. Alleles differ by dialect: see ``_name_alleles``.
SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "contig": ("chr", "chrom", "chromosome", "chrid", "seqid", "lg"),
    "position": (
        "pos",
        "bp",
        "ps",
        "genpos",
        "base_pair_location",
        "basepair",
        "positionbp",
        "physicalposition",
    ),
    "variant_id": (
        "variant_id",
        "snp",
        "rsid",
        "rs",
        "rs_id",
        "markerid",
        "marker",
        "snpid",
        "id",
        "taxa",
    ),
    "p_value": (
        "p.value",
        "pvalue",
        "p",
        "pval",
        "p_wald",
        "p_lrt",
        "p_score",
        "p_bolt_lmm",
        "p_bolt_lmm_inf",
        "p_spa",
        "punc",
    ),
    "minus_log10_p": (
        "neg_log_10_p_value",
        "neglog10pvalue",
        "log10p",
        "log10_p",
        "neg_log10_p",
        "mlog10p",
        "-log10(p)",
        "nlog10p",
        "lod10p",
    ),
    "beta": ("beta", "effect", "b", "effectsize", "slope", "estimate", "marker_effect"),
    "odds_ratio": ("or", "oddsratio"),
    "se": ("standard_error", "stderr", "log(or)_se", "se_beta", "sebeta"),
    "af": (
        "effect_allele_frequency",
        "a1freq",
        "a1_freq",
        "af_allele2",
        "af",
        "eaf",
        "freq",
        "freq1",
        "maf",
        "minor_allele_frequency",
    ),
    "n": (
        "nobs",
        "obs_ct",
        "nmiss",
        "n_analyzed",
        "n_samples",
        "samplesize",
        "totalsamplesize",
    ),
    "phenotype_id": ("trait", "traits", "phenotype", "pheno", "phenotypeid", "study"),
    "test": (),
}

_ALLELES: Final[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
    # dialect, names of the effect allele, names of the other allele
    (
        "GWAS-SSF or named alleles",
        ("effect_allele", "effectallele", "ea", "tested_allele", "risk_allele"),
        ("other_allele", "otherallele", "oa", "nea", "non_effect_allele", "ref"),
    ),
    ("SAIGE", ("allele2",), ("allele1",)),
    ("GEMMA, REGENIE or BOLT-LMM", ("allele1",), ("allele0",)),
    ("PLINK or GCTA", ("a1",), ("a2", "omitted", "ax")),
    ("REF and ALT", ("alt", "altallele"), ("ref", "refallele", "reference_allele")),
)
_ID = re.compile(
    r"^(?P<contig>[^:]+)[:_](?P<position>\d+)(?:[:_](?P<ref>[ACGTN]+)[:_](?P<alt>[ACGTN]+))?$",
    re.IGNORECASE,
)
_FAULTS: Final = (
    "no_p_value",
    "p_out_of_range",
    "bad_position",
    "no_contig",
)


def detect_gwas(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """A table with a position and a p-value."""
    rows = split_head(head)
    if len(rows) < 2:
        return False
    names = rows[0]
    has_p = any(
        find_column(names, w, *SYNONYMS[w]) for w in ("p_value", "minus_log10_p")
    )
    has_contig = find_column(names, "contig", *SYNONYMS["contig"])
    has_position = find_column(names, "position", *SYNONYMS["position"])
    if has_contig is None or has_position is None or not has_p:
        return False
    i = names.index(has_position)
    return all(len(row) > i and _is_whole(row[i]) for row in rows[1:4])


def _is_whole(text: str) -> bool:
    return bool(re.fullmatch(r"\d+(\.0*)?(e\+?\d+)?", text, re.IGNORECASE))


def parse_gwas(request: Request) -> Parsed:
    """Read summary statistics; one row a variant and trait.

    Positions are 1-based in the file. ``LOG10P`` columns are taken as -log10(p), as
    REGENIE, PLINK 2 and GWAS-SSF write them; ln(odds ratio) becomes ``beta``; a p of 0
    (or one that underflows) is stored as 2.2e-308.

    Raises
    ------
    MalformedFileError
        No column of positions or p-values, or more than half of the rows are unusable.
    """
    notes: list[str] = []
    frame = read_table(request.path, columns=request.columns)
    tally = Tally(read=len(frame))
    # GEMMA's n_miss counts the missing genotypes, PLINK's NMISS those that are there.
    frame = frame.rename(columns={"n_miss": "n_missing"})
    frame = name_columns(request, frame, SYNONYMS, required=(), notes=notes)
    frame = _name_alleles(request, frame, notes)
    frame = _place_by_id(request, frame, notes)
    if not {"p_value", "minus_log10_p"} & set(frame.columns):
        raise MalformedFileError(
            request.path,
            f"no column of p-values among {', '.join(map(repr, frame.columns[:20]))}",
            line=1,
            remedy="Say which column it is with --column p_value=NAME",
        )
    if "test" in frame:
        other = ~frame["test"].str.upper().str.match(r"^(ADD(ITIVE)?(-.*)?|)$")
        frame = leave_out_rows(tally, frame, other, "other_test")

    if "p_value" in frame:
        p = read_numbers(frame["p_value"])
    else:
        p = read_numbers(frame["minus_log10_p"]).map(_p_of_minus_log10)
        notes.append("p = 10^-x from the column of -log10(p)")
    position = read_numbers(frame["position"])
    frame = frame.assign(p_value=p, position=position)
    frame = leave_out_rows(tally, frame, is_missing(frame["contig"]), "no_contig")
    whole = (frame["position"] >= 1) & (frame["position"] % 1 == 0)
    frame = leave_out_rows(tally, frame, ~whole, "bad_position")
    frame = leave_out_rows(tally, frame, frame["p_value"].isna(), "no_p_value")
    inside = frame["p_value"].between(0.0, 1.0)
    frame = leave_out_rows(tally, frame, ~inside, "p_out_of_range")
    refuse_mostly_faulty(request.path, tally, _FAULTS)
    if n_zero := int((frame["p_value"] < SMALLEST_P).sum()):
        notes.append(f"{n_zero:,} p-values of 0 are stored as {SMALLEST_P:.3g}")

    table = pd.DataFrame(
        {
            "phenotype_id": _phenotypes(request, frame),
            "variant_id": frame.get("variant_id"),
            "contig": frame["contig"],
            "start": frame["position"].astype("int64").map(start_from_one_based),
            "ref": _alleles(frame, "ref"),
            "alt": _alleles(frame, "alt"),
            "beta": _effects(frame, notes),
            "se": _numbers(frame, "se"),
            "p_value": frame["p_value"].clip(lower=SMALLEST_P),
            "af": _numbers(frame, "af"),
            "n": _numbers(frame, "n"),
            LINE: frame[LINE],
        }
    ).reset_index(drop=True)
    traits = sorted(table["phenotype_id"].unique())
    phenotypes = pd.DataFrame({"phenotype_id": traits, "name": traits})
    return Parsed({"associations": table, "phenotypes": phenotypes}, tally, notes)


def _p_of_minus_log10(exponent: float) -> float:
    return float(np.power(10.0, -exponent))


def _name_alleles(
    request: Request, frame: pd.DataFrame, notes: list[str]
) -> pd.DataFrame:
    if {"ref", "alt"} & set(request.columns):
        return frame
    names = list(frame.columns)
    # PLINK 2 writes REF, ALT and A1, the allele the effect belongs to.
    ref, alt, a1 = (find_column(names, name) for name in ("REF", "ALT", "A1"))
    if ref and alt and a1:
        is_alt = frame[a1].str.upper() == frame[alt].str.upper()
        notes.append("dialect PLINK 2: effects belong to A1")
        effect, other = frame[a1], frame[ref].where(is_alt, frame[alt])
        return frame.assign(ref=other, alt=effect)
    for dialect, effects, others in _ALLELES:
        effect_name, other_name = (
            find_column(names, *effects),
            find_column(names, *others),
        )
        if dialect in ("SAIGE", "GEMMA, REGENIE or BOLT-LMM") and not other_name:
            continue
        if effect_name:
            notes.append(
                f"dialect {dialect}: effects belong to {effect_name}, "
                f"other allele {other_name or 'not given'}"
            )
            other_values = frame[other_name] if other_name else ""
            return frame.assign(alt=frame[effect_name], ref=other_values)
    notes.append("no allele columns: effects have no allele")
    return frame


def _place_by_id(
    request: Request, frame: pd.DataFrame, notes: list[str]
) -> pd.DataFrame:
    """Take contig and position from identifiers like ``1:4648`` where they lack."""
    lacking = [name for name in ("contig", "position") if name not in frame]
    if not lacking:
        return frame
    if "variant_id" in frame:
        parts = frame["variant_id"].str.extract(_ID)
        if parts["position"].notna().mean() > 0.5:
            notes.append(
                f"{' and '.join(lacking)} read from variant_id (contig:position)"
            )
            return frame.assign(**{name: parts[name].fillna("") for name in lacking})
    raise MalformedFileError(
        request.path,
        f"no column for {' and '.join(lacking)} among "
        f"{', '.join(map(repr, frame.columns[:20]))}",
        line=1,
        remedy=f"Say which column it is with --column {lacking[0]}=NAME",
    )


def _phenotypes(request: Request, frame: pd.DataFrame) -> "pd.Series[str]":
    default = request.options.get("phenotype", request.name)
    if "phenotype_id" in frame and "phenotype" not in request.options:
        given = frame["phenotype_id"]
        return given.where(~is_missing(given), default)
    return pd.Series(default, index=frame.index, dtype=object)


def _alleles(frame: pd.DataFrame, name: str) -> "pd.Series[str] | None":
    if name not in frame:
        return None
    given = frame[name].str.upper()
    return given.where(~is_missing(given) & (given != "0"), None)


def _numbers(frame: pd.DataFrame, name: str) -> "pd.Series[float] | None":
    return read_numbers(frame[name]) if name in frame else None


def _effects(frame: pd.DataFrame, notes: list[str]) -> "pd.Series[float] | None":
    if "beta" in frame:
        return read_numbers(frame["beta"])
    if "odds_ratio" not in frame:
        return None
    notes.append("beta = ln(odds ratio)")
    ratio = read_numbers(frame["odds_ratio"])
    return pd.Series(np.log(ratio.where(ratio > 0)), index=frame.index)


KINDS = (
    Kind(
        name="gwas",
        meaning="GWAS statistics (PLINK, GEMMA, REGENIE, GAPIT, SAIGE, GWAS-SSF)",
        detect=detect_gwas,
        parse=parse_gwas,
        tables=("associations", "phenotypes"),
        options={"phenotype": "name of the trait (default: a trait column, or --name)"},
    ),
)
