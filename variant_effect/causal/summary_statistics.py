"""Summary statistics of two traits, brought to the same effect allele.

A table has one row a variant: its name, both alleles, effect and standard error of the
effect allele. Rows that cannot be used are counted by reason, and so is every variant that
only one of two tables has or whose alleles do not agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import LISTED_PER_REASON, LeftOut, Tally
from data_registry.row_faults import leave_out_rows
from data_registry.text_files import (
    LINE,
    find_column,
    is_missing,
    read_numbers,
    read_table,
)

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]
Texts = NDArray[np.object_]

Strand = Literal["infer", "forward", "drop", "aligned"]
"""What is known of strands.

``infer``: a palindromic variant (A/T, C/G) is placed by its allele frequencies, and left
out where either is close to 1/2 or missing. ``forward``: both tables are on the forward
strand. ``drop``: palindromic variants are left out. ``aligned``: effects are of the same
allele already; alleles are not looked at.
"""
STRANDS: Final[tuple[Strand, ...]] = ("infer", "forward", "drop", "aligned")

FREQUENCY_TOLERANCE = 0.08
"""A frequency nearer to 1/2 than this tells no strand (TwoSampleMR's default)."""

SYNONYMS: Final[Mapping[str, Sequence[str]]] = {
    "variant": ("snp", "rsid", "rs", "variant_id", "markername", "marker", "id"),
    "contig": ("chr", "chrom", "chromosome"),
    "position": ("pos", "bp", "base_pair_location"),
    "effect_allele": ("ea", "a1", "alt", "allele1", "tested_allele"),
    "other_allele": ("oa", "nea", "a2", "ref", "allele0", "allele2", "non_effect_allele"),
    "beta": ("b", "effect", "estimate", "log_odds", "slope"),
    "odds_ratio": ("or",),
    "se": ("standard_error", "stderr", "sebeta", "se_beta"),
    "p": ("pval", "p_value", "pvalue", "p-value", "p_wald"),
    "eaf": ("effect_allele_frequency", "a1_freq", "a1freq", "freq", "freq1", "af"),
    "n": ("samplesize", "n_samples", "sample_size", "nobs", "n_analyzed"),
}  # fmt: skip
"""Column to the names it goes by in the files of the common programs."""

_NUMBERS = ("beta", "se", "p", "eaf", "n", "position")
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True, slots=True)
class SummaryStatistics:
    """One trait's effects.

    Parameters
    ----------
    frame
        Columns ``variant``, ``effect_allele``, ``other_allele`` (text, ``""`` where
        missing), ``beta``, ``se`` (both finite, ``se`` > 0), ``eaf``, ``n`` (NaN where
        missing), ``_line``.
    tally
        Rows read, kept, and left out by reason.
    notes
        What was read as what.
    """

    frame: pd.DataFrame
    tally: Tally
    notes: tuple[str, ...]


def read_summary_statistics(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    takes_z: bool = False,
    name_rows: bool = False,
) -> SummaryStatistics:
    """Read a table of effects: TSV, CSV or white space, compressed or not.

    Columns are found by the names in ``SYNONYMS``. ln(odds ratio) becomes ``beta``; where
    there is no standard error it is had from effect and p-value.

    Parameters
    ----------
    columns
        Wanted name to the file's name or 0-based position, where the file's is another.
    takes_z
        A column ``z`` will do for effect and error; then ``beta`` is z, and ``se`` 1.
    name_rows
        Variants without names are named by their row; else ``contig:position`` must do.

    Raises
    ------
    MalformedFileError
        No column of variants or effects, or no row that can be used.
    """
    frame = read_table(path, columns=columns or {})
    notes: list[str] = []
    for wanted, names in SYNONYMS.items():
        found = find_column([c for c in frame.columns if c != LINE], wanted, *names)
        if wanted not in frame and found is not None and found not in (columns or {}):
            frame = frame.rename(columns={found: wanted})
            notes.append(f"{wanted} is column {found}")
    tally = Tally(read=len(frame))
    frame = _with_names(frame, notes, name_rows=name_rows)
    if takes_z and "z" in frame and "beta" not in frame:
        frame = frame.assign(beta=frame["z"], se="1")
    frame = _with_effects(path, frame, notes)
    for name in ("effect_allele", "other_allele"):
        given = frame[name].str.upper() if name in frame else ""
        frame = frame.assign(**{name: given})
        frame.loc[is_missing(frame[name]), name] = ""
    for name in ("eaf", "n"):
        if name not in frame:
            frame = frame.assign(**{name: np.nan})

    frame = leave_out_rows(tally, frame, is_missing(frame["variant"]), "no_variant")
    frame = leave_out_rows(tally, frame, frame["beta"].isna(), "no_effect")
    frame = leave_out_rows(tally, frame, frame["se"].isna(), "no_standard_error")
    bad = (frame["se"] <= 0) | np.isinf(frame["se"]) | np.isinf(frame["beta"])
    frame = leave_out_rows(tally, frame, bad, "standard_error_not_positive")
    doubled = frame["variant"].duplicated(keep="first")
    frame = leave_out_rows(tally, frame, doubled, "variant_stands_twice")
    if frame.empty:
        raise MalformedFileError(
            path, f"none of {tally.read:,} rows can be used ({dict(tally.left_out)})",
            remedy="Check the columns; name them with --column, e.g. --column beta=NAME",
        )  # fmt: skip
    kept = ["variant", "effect_allele", "other_allele", "beta", "se", "eaf", "n", LINE]
    return SummaryStatistics(frame[kept].reset_index(drop=True), tally, tuple(notes))


def _with_names(
    frame: pd.DataFrame, notes: list[str], *, name_rows: bool
) -> pd.DataFrame:
    """Return the table with a name for each variant, where that can be had."""
    if "variant" in frame:
        return frame
    if {"contig", "position"} <= set(frame.columns):
        notes.append("variants are named contig:position")
        return frame.assign(variant=frame["contig"] + ":" + frame["position"])
    if name_rows:
        notes.append("variants have no names: row numbers are taken")
        return frame.assign(variant=[f"row_{i}" for i in range(1, len(frame) + 1)])
    return frame


def _with_effects(path: Path, frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Return the table with numbers as numbers, and effect and error in every row."""
    if "odds_ratio" in frame and "beta" not in frame:
        ratio = read_numbers(frame["odds_ratio"])
        frame = frame.assign(beta=np.log(ratio.where(ratio > 0)).astype(str))
        notes.append("beta is ln(odds ratio)")
    for wanted in ("variant", "beta"):
        if wanted not in frame:
            names = [c for c in frame.columns if c != LINE]
            raise MalformedFileError(
                path, f"no column for {wanted} among {', '.join(map(repr, names[:20]))}",
                line=1, remedy=f"Say which it is with --column {wanted}=NAME",
            )  # fmt: skip
    numbers = {name: read_numbers(frame[name]) for name in _NUMBERS if name in frame}
    frame = frame.assign(**numbers)
    if "se" not in frame:
        if "p" not in frame:
            raise MalformedFileError(
                path, "neither a column of standard errors nor one of p-values", line=1,
                remedy="Say which it is with --column se=NAME",
            )  # fmt: skip
        z = stats.norm.isf(frame["p"] / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            frame = frame.assign(se=np.abs(frame["beta"]) / z)
        notes.append("se is |beta| / z, z from the p-value")
    return frame


@dataclass(frozen=True, slots=True)
class Harmonised:
    """Variants that two traits share, with effects of the same allele.

    Parameters
    ----------
    frame
        ``variant``, ``effect_allele``, ``other_allele`` (those of the first table), and
        ``exposure_…`` and ``outcome_…`` of ``beta``, ``se``, ``eaf``, ``n``;
        ``outcome_sign``: -1 where the outcome's effect was turned.
    first, second
        Accounting of the rows of the first (exposure) and the second (outcome) table.
    """

    frame: pd.DataFrame
    first: Tally
    second: Tally


def orient_alleles(
    first: tuple[Texts, Texts, Reals],
    second: tuple[Texts, Texts, Reals],
    strand: Strand,
) -> tuple[Reals, Texts]:
    """Find the sign that turns the second table's effects to the first's effect allele.

    Parameters
    ----------
    first, second
        Effect allele, other allele, frequency of the effect allele (NaN: not known), each
        ``(variants,)``, in the same order.

    Returns
    -------
    sign
        1, -1, or 0 where there is none.
    reason
        Why there is none; ``""`` elsewhere.

    Notes
    -----
    The rules are those of TwoSampleMR's ``harmonise_data`` (Hemani et al. 2018, eLife
    7:e34408): ``infer`` is its action 2, ``forward`` 1 and ``drop`` 3.
    """
    (ea, oa, freq), (ea2, oa2, freq2) = first, second
    if strand == "aligned":
        return np.ones(len(ea)), np.full(len(ea), "", dtype=object)
    missing = (ea == "") | (oa == "") | (ea2 == "") | (oa2 == "")
    palindromic = ~missing & (ea == _other_strand(oa))
    flipped_ea2, flipped_oa2 = _other_strand(ea2), _other_strand(oa2)
    same = (ea == ea2) & (oa == oa2)
    swapped = (ea == oa2) & (oa == ea2)
    same |= ~palindromic & ~swapped & (ea == flipped_ea2) & (oa == flipped_oa2)
    swapped |= ~palindromic & ~same & (ea == flipped_oa2) & (oa == flipped_ea2)
    sign = np.select([missing, same, swapped], [0.0, 1.0, -1.0], 0.0)
    reason = np.where(sign == 0, "alleles_do_not_match", "").astype(object)
    reason[missing] = "missing_allele"

    at_issue = palindromic & (sign != 0)
    if strand == "drop":
        sign[at_issue], reason[at_issue] = 0.0, "palindromic"
    elif strand == "infer":
        turned = np.where(sign < 0, 1 - freq2, freq2)
        far = np.minimum(np.abs(freq - 0.5), np.abs(turned - 0.5))
        unclear = at_issue & ~(far > FREQUENCY_TOLERANCE)
        discordant = at_issue & ((freq - 0.5) * (turned - 0.5) < 0)
        sign = np.where(discordant, -sign, sign)
        sign[unclear], reason[unclear] = 0.0, "palindromic_ambiguous"
    return sign, reason


def _other_strand(alleles: Texts) -> Texts:
    return np.array([a.translate(_COMPLEMENT)[::-1] for a in alleles], dtype=object)


def harmonise(
    first: SummaryStatistics, second: SummaryStatistics, strand: Strand = "infer"
) -> Harmonised:
    """Bring two tables to the same variants and the first one's effect alleles.

    Raises
    ------
    InputError
        No variant is left.
    """
    one, two = first.frame, second.frame
    tallies = Tally(read=len(one)), Tally(read=len(two))
    shared = one["variant"].isin(two["variant"])
    one = leave_out_rows(tallies[0], one, ~shared, "not_in_the_other_table")
    two = leave_out_rows(
        tallies[1], two, ~two["variant"].isin(one["variant"]), "not_in_the_other_table"
    )
    both = one.merge(two, on="variant", suffixes=("", "_2"), validate="one_to_one")
    sign, reason = orient_alleles(
        _alleles(both, ""), _alleles(both, "_2"), strand
    )  # fmt: skip
    lost = both.assign(reason=reason)[sign == 0]
    for row in lost.to_dict("records"):
        names = (
            "variant",
            "effect_allele",
            "other_allele",
            "effect_allele_2",
            "other_allele_2",
        )
        text = "\t".join(str(row[name]) for name in names)
        for tally, line in zip(tallies, (LINE, f"{LINE}_2"), strict=True):
            tally.leave_out(row["reason"], line=int(row[line]), text=text)
    both, sign = both[sign != 0].reset_index(drop=True), sign[sign != 0]
    if both.empty:
        raise InputError(
            f"no variant is left of {tallies[0].read:,} and {tallies[1].read:,}: "
            f"{dict(tallies[0].left_out)}. Check that both tables name variants alike and "
            "give both alleles; --strand aligned takes effects as they stand"
        )
    frame = pd.DataFrame({
        "variant": both["variant"],
        "effect_allele": both["effect_allele"],
        "other_allele": both["other_allele"],
        "exposure_beta": both["beta"], "exposure_se": both["se"],
        "exposure_eaf": both["eaf"], "exposure_n": both["n"],
        "outcome_beta": both["beta_2"] * sign, "outcome_se": both["se_2"],
        "outcome_eaf": both["eaf_2"].where(sign > 0, 1 - both["eaf_2"]),
        "outcome_n": both["n_2"], "outcome_sign": sign.astype(int),
    })  # fmt: skip
    return Harmonised(frame, *tallies)


def _alleles(frame: pd.DataFrame, suffix: str) -> tuple[Texts, Texts, Reals]:
    return (
        frame[f"effect_allele{suffix}"].to_numpy(object),
        frame[f"other_allele{suffix}"].to_numpy(object),
        frame[f"eaf{suffix}"].to_numpy(np.float64),
    )


def left_out_table(**tallies: Tally) -> pd.DataFrame:
    """List rows left out, by table: ``table``, ``line``, ``reason``, ``row``.

    At most ``LISTED_PER_REASON`` a reason; the counts of the tally are exact.
    """
    rows: list[tuple[str, LeftOut]] = [
        (name, each) for name, tally in tallies.items() for each in tally.examples
    ]
    return pd.DataFrame(
        [(name, each.line, each.reason, each.text) for name, each in rows],
        columns=["table", "line", "reason", "row"],
    )


__all__ = [
    "LISTED_PER_REASON", "STRANDS", "SYNONYMS", "Harmonised", "Strand",
    "SummaryStatistics", "harmonise", "left_out_table", "orient_alleles",
    "read_summary_statistics",
]  # fmt: skip
