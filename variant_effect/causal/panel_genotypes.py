"""Dosages of a region's alleles in a VCF or BCF panel, with phenotypes and covariates."""

from dataclasses import dataclass
from pathlib import Path

import cyvcf2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_registry.coordinates import Region
from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Tally
from data_registry.text_files import LINE, is_missing, read_table

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Genotypes:
    """Alleles that vary among the samples.

    Parameters
    ----------
    dosages
        Copies of ALT, ``(samples, alleles)``; NaN where any copy is not called.
    variants
        ``contig:pos:ref:alt``, 1-based, as the panel writes them.
    tally
        ALT alleles read, and left out by reason.
    """

    dosages: Reals
    variants: tuple[str, ...]
    samples: tuple[str, ...]
    tally: Tally


def _open(path: Path) -> cyvcf2.VCF:
    try:
        return cyvcf2.VCF(str(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as VCF or BCF ({error})") from error


def list_samples(path: Path) -> frozenset[str]:
    """Return the names of a panel's samples."""
    vcf = _open(path)
    names = frozenset(vcf.samples)
    vcf.close()
    return names


def read_genotypes(
    path: Path,
    region: Region,
    samples: list[str],
    *,
    min_maf: float,
    max_missing: float,
) -> Genotypes:
    """Read the dosages of a region; every ALT allele is one column.

    A file without an index is read whole.

    Parameters
    ----------
    samples
        Which, in the order wanted; the panel must have them.
    min_maf
        Alleles rarer than this (or more frequent than 1 minus it) are left out.
    max_missing
        Share of samples without a call that an allele may have.

    Raises
    ------
    InputError
        The panel lacks samples or nothing is left.
    """
    vcf = _open(path)
    if lacking := sorted(set(samples) - set(vcf.samples)):
        raise InputError(
            f"{path} lacks {len(lacking):,} of {len(samples):,} samples, e.g. {lacking[0]}"
        )
    vcf.set_samples(samples)
    order = [list(vcf.samples).index(s) for s in samples]
    is_indexed = any(Path(f"{path}{end}").is_file() for end in (".tbi", ".csi"))
    tally, columns, names = Tally(), [], []
    for record in vcf(str(region)) if is_indexed else vcf:
        if region.contig != record.CHROM or record.start < region.start:
            continue
        if region.end is not None and record.start >= region.end:
            continue
        calls = np.asarray(record.genotype.array())[order, :-1]
        called = ~(calls == -1).any(axis=1)
        for number, alt in enumerate(record.ALT, start=1):
            tally.read += 1
            name = f"{record.CHROM}:{record.POS}:{record.REF}:{alt}"
            # -2 pads samples of lower ploidy.
            dosage = (calls == number).sum(axis=1).astype(np.float64)
            ploidy = (calls != -2).sum(axis=1)
            dosage[~called] = np.nan
            if not called.any() or 1 - called.mean() > max_missing:
                tally.leave_out("too_many_missing_calls", text=name)
                continue
            frequency = np.nansum(dosage) / ploidy[called].sum()
            if np.ptp(dosage[called]) == 0 or min(frequency, 1 - frequency) < min_maf:
                tally.leave_out("too_rare", text=name)
                continue
            columns.append(dosage)
            names.append(name)
    vcf.close()
    if not columns:
        raise InputError(
            f"{path}: no allele of {region} can be used: {tally.read:,} read, left out "
            f"{dict(tally.left_out)}"
        )
    return Genotypes(np.column_stack(columns), tuple(names), tuple(samples), tally)


def read_sample_table(path: Path) -> pd.DataFrame:
    """Read numbers by sample: the first column names samples, the others hold numbers.

    Raises
    ------
    MalformedFileError
        A sample stands twice, or a value is no number.
    """
    frame = read_table(path)
    name = str(frame.columns[0])
    if frame[name].duplicated().any():
        row = frame[frame[name].duplicated()].iloc[0]
        raise MalformedFileError(
            path, f"sample {row[name]!r} stands twice", line=int(row[LINE]),
            remedy="Give one row a sample",
        )  # fmt: skip
    found = {}
    for column in frame.columns[1:]:
        if column == LINE:
            continue
        numbers = pd.to_numeric(frame[column], errors="coerce").astype("float64")
        if (bad := numbers.isna() & ~is_missing(frame[column])).any():
            row = frame[bad].iloc[0]
            raise MalformedFileError(
                path, f"{row[column]!r} in column {column!r} is no number",
                line=int(row[LINE]), remedy="The first column names samples, the others numbers",
            )  # fmt: skip
        found[str(column)] = numbers.to_numpy()
    if not found:
        raise MalformedFileError(
            path, "no column of numbers", remedy="Give sample and value"
        )
    return pd.DataFrame(found, index=frame[name].astype(str))
