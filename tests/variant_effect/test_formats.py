"""TSV, Parquet, JSON lines and VCF: the same values, and a VCF that keeps its records."""

import gzip
import json
import math
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pysam
import pytest
from cyvcf2 import VCF

from data_registry.errors import InputError
from tests.organisms import base, other, snv, vcf_text
from variant_effect.formats import INFO_COLUMNS, find_format, info_values, write_tsv
from variant_effect.preparation import Prepared
from variant_effect.run import Choices, output_columns, score_vcf

HEADER = [
    '##INFO=<ID=AC,Number=A,Type=Integer,Description="x">',
    '##INFO=<ID=END,Number=1,Type=Integer,Description="x">',
    '##INFO=<ID=XN,Number=1,Type=String,Description="x">',
    '##INFO=<ID=FLAG,Number=0,Type=Flag,Description="x">',
    "##contig=<ID=chr1,length=16000>",
    "##contig=<ID=NC_2,length=1500>",
    "##contig=<ID=nowhere>",
    '##FILTER=<ID=q10,Description="Qualität">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
]
R2400 = base("chr1", 2400)
RECORDS = [
    (*snv("chr1", 2101), "AC=1;XN=a%3Bb,c", "0|1"),
    (
        "chr1",
        2201,
        base("chr1", 2201),
        f"{other(base('chr1', 2201))},*,N",
        "FLAG",
        "1|2",
    ),
    ("chr1", 2350, base("chr1", 2350), "<DEL>", "END=2500", "0|1"),
    ("chr1", 2400, R2400, R2400 + "GATTACA", ".", "1|1"),
    (*snv("chr1", 5003), "XN=old", "1|1"),
    (*snv("NC_2", 307, "T"), ".", "0|0"),
    ("nowhere", 12, "A", "C", "AC=2", "0|1"),
]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("given") / "a.vcf"
    path.write_text(vcf_text(RECORDS, samples=["s 1"], header=HEADER))
    return path


@pytest.fixture(scope="module")
def written(given: Path, prepared: Prepared) -> dict[str, Path]:
    names = {
        "tsv": "o.tsv",
        "parquet": "o.parquet",
        "jsonl": "o.jsonl",
        "vcf": "o.vcf.gz",
    }
    made = {form: given.parent / name for form, name in names.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("variant_effect.run.MAX_MISMATCHED", 1.0)
        for form, path in made.items():
            score_vcf(given, path, prepared, Choices(format=form, chunk_records=3))
    return made


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def read_tsv(path: Path) -> pd.DataFrame:
    lines = [
        line for line in path.read_text().splitlines() if not line.startswith("##")
    ]
    return pd.DataFrame(
        [line.split("\t") for line in lines[1:]], columns=lines[0].split("\t")
    )


def as_text(value: object) -> str:
    return "" if value is None else str(value)


def test_tsv_json_and_vcf_hold_what_parquet_holds(written: dict[str, Path]) -> None:
    rows = pq.read_table(written["parquet"]).to_pylist()
    assert len(rows) == 9
    tsv = read_tsv(written["tsv"]).to_dict("records")
    objects = [json.loads(line) for line in written["jsonl"].read_text().splitlines()][
        1:
    ]
    with pysam.VariantFile(str(written["vcf"])) as file:
        infos = [entry for record in file for entry in record.info["CISGRAPH"]]
    assert len(tsv) == len(objects) == len(infos) == len(rows)
    for row, flat, held, info in zip(rows, tsv, objects, infos, strict=True):
        assert set(held) == {name for name, value in row.items() if value is not None}
        for name, value in row.items():
            if isinstance(value, float):
                assert float(flat[name]) == pytest.approx(value, rel=1e-6)
                assert held[name] == pytest.approx(value, rel=1e-5, abs=1e-6)
            else:
                assert flat[name] == as_text(value)
                assert held.get(name) == value
        shown = [unquote(cell) for cell in info.split("|")]
        for name, cell in zip(INFO_COLUMNS, shown, strict=True):
            if isinstance(row[name], float):
                assert float(cell) == pytest.approx(row[name], abs=1e-5)
            else:
                assert cell == as_text(row[name])


def test_parquet_declares_its_columns(written: dict[str, Path]) -> None:
    schema = pq.read_schema(written["parquet"])
    assert schema.names == [column.name for column in output_columns()]
    for column in output_columns():
        field = schema.field(column.name)
        assert field.type == column.type
        assert field.metadata[b"meaning"].decode() == column.meaning
    assert b"workspace digest" in schema.metadata[b"cisgraph"]


def test_every_head_tells_the_accounting(
    written: dict[str, Path], prepared: Prepared
) -> None:
    heads = {
        "tsv": written["tsv"].read_text().split("\nchrom\t")[0],
        "parquet": pq.read_schema(written["parquet"]).metadata[b"cisgraph"].decode(),
        "jsonl": "\n".join(
            json.loads(written["jsonl"].read_text().splitlines()[0])["cisgraph"]
        ),
        "vcf": unpacked(written["vcf"]).decode().split("\n#CHROM")[0],
    }
    for head in heads.values():
        line = next(line for line in head.split("\n") if "accounting {" in line)
        counts = json.loads(line[line.index("{") :])
        assert counts["input_alleles"] == 9
        assert counts["scored"] + sum(counts["reasons"].values()) == 9
        assert prepared.digest in head
        assert "no graph is built" in head


def test_vcf_keeps_every_record_and_field(
    written: dict[str, Path], given: Path
) -> None:
    before = [line.split("\t") for line in given.read_text().splitlines()]
    with gzip.open(written["vcf"], "rt", encoding="utf-8") as file:
        after = [line.rstrip("\n").split("\t") for line in file]
    # The header stands first and unchanged.
    n = sum(row[0].startswith("##") for row in before)
    assert after[:n] == before[:n]
    records = [row for row in after if not row[0].startswith("#")]
    for old, new in zip(before[n + 1 :], records, strict=True):
        assert old[:7] == new[:7]
        assert old[8:] == new[8:]
        kept, _, added = new[7].rpartition("CISGRAPH=")
        assert (kept.removesuffix(";") or ".") == old[7]
        assert len(added.split(",")) == len(old[4].split(","))
    assert next(row for row in after if row[0] == "#CHROM") == before[n]


def test_vcf_is_bgzipped_and_indexed(written: dict[str, Path]) -> None:
    path = written["vcf"]
    assert Path(f"{path}.csi").is_file()
    with pysam.TabixFile(str(path), index=f"{path}.csi") as file:
        assert [row.split("\t")[1] for row in file.fetch("chr1", 2200, 2400)] == [
            "2201", "2350", "2400",
        ]  # fmt: skip
    read = VCF(str(path))
    assert read.samples == ["s 1"]
    found = [(r.CHROM, r.POS, r.INFO.get("CISGRAPH")) for r in read]
    assert [(chrom, pos) for chrom, pos, _ in found] == [(r[0], r[1]) for r in RECORDS]
    assert all(value.split("|")[1] for _, _, value in found)


def test_an_unsorted_vcf_is_written_without_an_index(
    tmp_path: Path, bare: Prepared
) -> None:
    rows = [snv("chr1", 2000), snv("chr1", 1000), snv("chr2", 5), snv("chr1", 7)]
    (tmp_path / "a.vcf").write_text(vcf_text(rows))
    out = tmp_path / "o.vcf.gz"
    # An index of an older output would be wrong for this one.
    Path(f"{out}.csi").write_bytes(b"old")
    score_vcf(tmp_path / "a.vcf", out, bare, Choices(format="vcf"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.vcf", "o.vcf.gz"]
    with gzip.open(out, "rt") as file:
        assert [int(line.split("\t")[1]) for line in file if line[0] != "#"] == [
            2000, 1000, 5, 7,
        ]  # fmt: skip


def test_vcf_bytes_that_are_not_utf8_come_out_as_they_were(
    tmp_path: Path, bare: Prepared
) -> None:
    text = vcf_text([(*snv("chr1", 100), "XN=caf\xe9")], header=["##source=Z\xfcrich"])
    (tmp_path / "a.vcf").write_bytes(text.replace("\n", "\r\n").encode("latin-1"))
    score_vcf(tmp_path / "a.vcf", tmp_path / "o.vcf.gz", bare, Choices(format="vcf"))
    with gzip.open(tmp_path / "o.vcf.gz", "rb") as file:
        out = file.read()
    assert b"##source=Z\xfcrich\n" in out
    assert b"XN=caf\xe9;CISGRAPH=" in out
    assert b"\r" not in out


def test_special_characters_are_percent_encoded() -> None:
    table = pa.table({
        name: pa.array(["a;b=c,d|e%f g\th", None] if name == "gene" else [None, None], pa.string())
        for name in INFO_COLUMNS
    })  # fmt: skip
    first, second = info_values(table)
    at = INFO_COLUMNS.index("gene")
    assert first.split("|")[at] == "a%3Bb%3Dc%2Cd%7Ce%25f%20g%09h"
    assert unquote(first.split("|")[at]) == "a;b=c,d|e%f g\th"
    assert second == "|" * (len(INFO_COLUMNS) - 1)


def test_tsv_text_cannot_break_its_row(tmp_path: Path) -> None:
    write_tsv(
        tmp_path / "t", pa.table({"a": ['x"y\tz\nw', None], "b": [0.25, math.nan]})
    )
    assert (tmp_path / "t").read_text() == "x y z w\t0.25\n\tnan\n"


def test_tsv_is_bgzipped_where_its_name_asks(tmp_path: Path, bare: Prepared) -> None:
    (tmp_path / "a.vcf").write_text(
        vcf_text([snv("chr1", p) for p in range(1000, 1050)])
    )
    for name in ("o.tsv.gz", "o.tsv"):
        score_vcf(tmp_path / "a.vcf", tmp_path / name, bare, Choices())
    with pysam.BGZFile(str(tmp_path / "o.tsv.gz"), "rb", None) as file:
        assert file.read() == (tmp_path / "o.tsv").read_bytes()
    frame = read_tsv(tmp_path / "o.tsv")
    assert np.array_equal(frame["pos"].astype(int), np.arange(1000, 1050))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.vcf", "o.tsv", "o.tsv.gz"]


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError, match="no format 'xlsx'; there are: tsv, parquet"):
        find_format("xlsx")
