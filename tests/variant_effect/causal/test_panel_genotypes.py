"""Dosages from a VCF, by hand."""

from pathlib import Path

import numpy as np
import pytest

from data_registry.coordinates import parse_region
from data_registry.errors import InputError, MalformedFileError
from variant_effect.causal.panel_genotypes import read_genotypes, read_sample_table

HEADER = """##fileformat=VCFv4.2
##contig=<ID=1,length=1000>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\ts2\ts3\ts4
"""


def vcf(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "panel.vcf"
    body = "".join("\t".join(row.split()) + "\n" for row in rows)
    path.write_text(HEADER + body)
    return path


def read(path: Path, region="1:100-300", samples=("s3", "s1", "s2"), **how):
    options = {"min_maf": 0.01, "max_missing": 0.4, **how}
    return read_genotypes(path, parse_region(region), list(samples), **options)


def test_dosages_by_hand(tmp_path: Path) -> None:
    path = vcf(
        tmp_path,
        "1 99 . A G . . . GT 0/1 0/0 0/0 0/0",
        "1 100 . A G . . . GT 0/1 1/1 0/0 0/0",
        "1 200 . A G,T . . . GT 1|2 ./. 2|2 0|0",
        "1 250 . A G . . . GT 0/0 0/0 0/0 1/1",
        "1 260 . A G . . . GT ./. 0/1 ./. 0/0",
        "1 300 . A G . . . GT 1 0/0 1/1 0/0",
        "1 301 . A G . . . GT 0/1 0/0 0/0 0/0",
    )
    found = read(path)
    assert found.variants == ("1:100:A:G", "1:200:A:G", "1:200:A:T", "1:300:A:G")
    nan = np.nan
    # Samples in the order asked for; the haploid call counts one copy.
    np.testing.assert_array_equal(
        found.dosages, [[0, 0, 2, 2], [1, 1, 1, 1], [2, nan, nan, 0]]
    )
    assert found.tally.left_out == {"too_rare": 1, "too_many_missing_calls": 1}
    assert found.tally.read == 6


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = vcf(tmp_path, "1 100 . A G . . . GT 0/0 0/0 0/0 0/0")
    with pytest.raises(InputError, match="lacks 1 of 2 samples"):
        read(path, samples=("s1", "nobody"))
    with pytest.raises(InputError, match="too_rare"):
        read(path)
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "none.vcf")


def test_tables_by_sample(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("sample\theight\ns1\t1.5\ns2\tNA\n")
    table = read_sample_table(path)
    assert table.index.tolist() == ["s1", "s2"]
    assert table["height"].isna().tolist() == [False, True]
    path.write_text("sample\theight\ns1\ttall\n")
    with pytest.raises(MalformedFileError, match="'tall' in column 'height'"):
        read_sample_table(path)
    path.write_text("sample\theight\ns1\t1\ns1\t2\n")
    with pytest.raises(MalformedFileError, match="stands twice"):
        read_sample_table(path)
