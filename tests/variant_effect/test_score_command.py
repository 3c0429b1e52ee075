"""The command: regions, standard streams, an own genome, and what it refuses."""

import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from data_registry.errors import InputError
from tests.organisms import base, fasta_text, gff_text, snv, vcf_text
from variant_effect.preparation import Prepared
from variant_effect.score import app, read_regions

PLACES = [("chr1", p) for p in (1, 100, 101, 2000, 2101, 16_000)] + [("chr2", 307)]


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    path = tmp_path / "my lines.vcf"
    path.write_text(vcf_text([snv(c, p) for c, p in PLACES]))
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def positions(text: str) -> list[tuple[str, int]]:
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("##")]
    assert rows[0][:4] == ["chrom", "pos", "ref", "alt"]
    return [(row[0], int(row[1])) for row in rows[1:]]


def scored(
    tmp_path: Path, vcf: Path, workspace: Path, *more: object
) -> list[tuple[str, int]]:
    out = tmp_path / "out.tsv"
    result = invoke(
        "--vcf", vcf, "--workspace", workspace, "--out", out, "--workers", 1, *more
    )
    assert result.exit_code == 0, result.output
    return positions(out.read_text())


def test_table_and_accounting(tmp_path: Path, vcf: Path, workspace: Path) -> None:
    report = tmp_path / "counts" / "a.json"
    assert scored(tmp_path, vcf, workspace, "--accounting", report) == PLACES
    counts = json.loads(report.read_text())
    assert counts["input_alleles"] == counts["scored"] == 7
    assert counts["reasons"] == {}


@pytest.mark.parametrize(
    ("regions", "kept"),
    [
        (["chr1:1-100"], PLACES[:2]),  # 1-based, both ends inside
        (["1:1-100"], PLACES[:2]),  # plain form of the name
        (["NC_1:1-100"], PLACES[:2]),  # registered synonym
        (["chr1:101"], PLACES[2:3]),
        (["chr1:2,000-2,101"], PLACES[3:5]),
        (["chr1:16000-16000"], PLACES[5:6]),  # the contig's last base
        (["chr1:15999-99999"], PLACES[5:6]),
        (["chr1:2101-"], PLACES[4:6]),
        (["chr2"], PLACES[6:]),
        (["chr2", "chr1:1-1"], [PLACES[0], PLACES[6]]),
        (["chrM"], []),
    ],
)
def test_regions(tmp_path: Path, vcf: Path, workspace: Path, regions, kept) -> None:
    more = [part for region in regions for part in ("--region", region)]
    assert scored(tmp_path, vcf, workspace, *more) == kept


def test_regions_of_a_bed(tmp_path: Path, vcf: Path, workspace: Path) -> None:
    bed = tmp_path / "r.bed"
    bed.write_text("1\t100\t101\nNC_2\t0\t1500\n")  # 0-based half-open: base 101
    found = scored(
        tmp_path, vcf, workspace, "--regions-file", bed, "--region", "chr1:1"
    )
    assert found == [PLACES[0], PLACES[2], PLACES[6]]


def test_a_region_on_no_contig_is_refused(prepared: Prepared) -> None:
    with pytest.raises(InputError, match=r"no contig chr7; it has: chr1, chr2, chrM"):
        read_regions(["chr1:1-5", "chr7:1-5"], None, prepared)
    for text in ("chr1:5-3", "chr1:0-3", "chr1:x-y", ""):
        with pytest.raises(InputError, match="region"):
            read_regions([text], None, prepared)


def test_standard_input_and_output(
    vcf: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary
) -> None:
    given = io.TextIOWrapper(io.BufferedReader(io.BytesIO(vcf.read_bytes())))
    monkeypatch.setattr(sys, "stdin", given)
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    app(
        ["--vcf", "-", "--workspace", str(workspace), "--workers", "1"],
        standalone_mode=False,
    )
    assert positions(out.buffer.getvalue().decode()) == PLACES
    assert b"7 alleles of 7 records = 7 scored" in capfdbinary.readouterr().err


def test_a_genome_and_genes_of_one_name(
    tmp_path: Path, vcf: Path, workspace: Path
) -> None:
    fasta, gff = tmp_path / "tiny.fa", tmp_path / "tiny.gff3"
    fasta.write_text(fasta_text())
    gff.write_text(gff_text())
    out = tmp_path / "o.parquet"
    result = invoke(
        "--vcf", vcf, "--fasta", fasta, "--gff", gff, "--out", out, "--workers", 1
    )
    assert result.exit_code == 0, result.output
    mine = pd.read_parquet(out)
    whole = tmp_path / "w.parquet"
    invoke("--vcf", vcf, "--workspace", workspace, "--out", whole, "--workers", 1)
    columns = ["chrom", "pos", "consequence", "gene", "transcript", "hgvs_c", "hgvs_p"]
    pd.testing.assert_frame_equal(mine[columns], pd.read_parquet(whole)[columns])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "my lines.vcf", "o.parquet", "tiny.fa", "tiny.gff3", "w.parquet",
    ]  # fmt: skip


def test_a_vcf_output_gets_its_ending(
    tmp_path: Path, vcf: Path, workspace: Path
) -> None:
    result = invoke("--vcf", vcf, "--workspace", workspace, "--out", tmp_path / "o.vcf",
                    "--workers", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (tmp_path / "o.vcf.gz").is_file()
    assert (tmp_path / "o.vcf.gz.csi").is_file()
    assert not (tmp_path / "o.vcf").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--vcf", "nowhere.vcf"], "no such file"),
        (["--vcf", "{vcf}", "--gff", "x.gff3"], "--gff goes with --fasta"),
        (["--vcf", "{vcf}", "--workspace", "{folder}/none"], "no workspace"),
        (
            ["--vcf", "{vcf}", "--workspace", "{workspace}", "--out", "{folder}"],
            "is a folder",
        ),
        (
            ["--vcf", "{vcf}", "--workspace", "{workspace}", "--format", "xlsx"],
            "no format",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, vcf: Path, workspace: Path, arguments, says: str
) -> None:
    names = {"vcf": vcf, "workspace": workspace, "folder": tmp_path}
    result = invoke(*[text.format(**names) for text in arguments])
    assert result.exit_code != 0
    assert says in str(result.exception) or says in result.output
    assert [p.name for p in tmp_path.iterdir()] == [vcf.name]


def test_counts_below_one_are_refused(vcf: Path, workspace: Path) -> None:
    # A chunk of no records never ended.
    for option in (("--chunk-records", 0), ("--workers", -1)):
        result = invoke("--vcf", vcf, "--workspace", workspace, *option)
        assert result.exit_code == 2
    assert base("chr1", 1)
