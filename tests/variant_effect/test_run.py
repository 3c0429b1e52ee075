"""Whole runs: accounting, chunks, workers, killing and resuming, refusing."""

import gzip
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_registry.coordinates import Region
from data_registry.errors import MalformedFileError, ReferenceMismatchError
from data_registry.store import open_store
from tests.organisms import LENGTHS, SEQUENCES, base, other, snv, vcf_text
from variant_effect import preparation
from variant_effect.preparation import Prepared, prepare
from variant_effect.run import Accounting, Choices, likely_cause, score_vcf

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, records, **more) -> Path:
    path.write_text(vcf_text(records, **more))
    return path


def many() -> list[tuple]:
    """SNVs all over the genome, sorted, with two phased samples."""
    places = [("chr1", p) for p in range(1001, 14_900, 20)]
    places += [("chr2", p) for p in range(5, 1500, 7)] + [
        ("chrM", p) for p in range(5, 900, 9)
    ]
    genotypes = ["0|1", "1|1", "1|0", "0/1"]
    return [
        (*snv(c, p), ".", genotypes[p % 4], genotypes[p // 4 % 4]) for c, p in places
    ]


def scores(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def test_accounting_counts_every_alt_once(tmp_path: Path, prepared: Prepared) -> None:
    rows = [snv("chr1", p) for p in range(2000, 2300)]
    rows += [
        ("chr1", 2301, base("chr1", 2301), "*,<DEL>,N"),
        ("chr9", 1, "A", "C"),
        ("chr1", 2302, other(base("chr1", 2302)), base("chr1", 2302)),
    ]
    out = tmp_path / "o.parquet"
    result = score_vcf(
        write(tmp_path / "a.vcf", rows), out, prepared, Choices(format="parquet")
    )
    counts = result.accounting.as_dict()
    assert counts == {
        "input_records": 303,
        "input_alleles": 305,
        "scored": 300,
        "reasons": {
            "spanning_deletion": 1, "symbolic_without_end": 1, "ambiguous_base": 1,
            "unknown_contig": 1, "ref_mismatch": 1,
        },
        "ref_mismatches_by_contig": {"chr1": 1},
        "unknown_contigs": {"chr9": 1},
    }  # fmt: skip
    frame = scores(out)
    assert Counter(frame["status"]) == result.accounting.statuses
    assert Accounting.from_json(result.accounting.to_json()) == result.accounting


ANY = st.tuples(
    st.sampled_from(["chr1", "chr2", "chrM", "1", "chr9"]),
    st.integers(0, 16_002),
    st.sampled_from(["", "A", "c", "CG", "N", "."]),
    st.lists(
        st.sampled_from(["A", "C", "g", "TT", "*", ".", "<DEL>", "<*>", "N", "A]chr1:9]", "Z"]),
        min_size=1, max_size=4,
    ),
    st.sampled_from([".", "END=15000", "SVLEN=-10"]),
)  # fmt: skip


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(ANY, min_size=1, max_size=12), st.integers(1, 5))
def test_any_vcf_adds_up(
    tmp_path: Path, prepared: Prepared, records, size: int
) -> None:
    rows = []
    for chrom, pos, ref, alts, info in records:
        own = "chr1" if chrom == "1" else chrom
        if ref == "" and own in LENGTHS and 1 <= pos <= LENGTHS[own]:
            ref = base(own, pos)
        rows.append((chrom, pos, ref, ",".join(alts), info))
    out = tmp_path / "o.parquet"
    choices = Choices(format="parquet", chunk_records=2 * size, max_mismatched=1.0)
    result = score_vcf(write(tmp_path / "a.vcf", rows), out, prepared, choices)
    counts = result.accounting.as_dict()
    n = sum(len(row[3].split(",")) for row in rows)
    assert counts["input_alleles"] == n == len(scores(out))
    assert counts["scored"] + sum(counts["reasons"].values()) == n
    assert [
        f"{c}:{p}" for c, p in scores(out)[["chrom", "pos"]].itertuples(index=False)
    ] == [f"{row[0]}:{row[1]}" for row in rows for _ in row[3].split(",")]


def test_chunk_size_does_not_change_anything(
    tmp_path: Path, prepared: Prepared
) -> None:
    vcf = write(tmp_path / "a.vcf", many(), samples=["a", "b"])
    outs = []
    for n in (50_000, 211):
        out = tmp_path / f"{n}.parquet"
        done = score_vcf(vcf, out, prepared, Choices(format="parquet", chunk_records=n))
        outs.append(scores(out))
        assert (done.chunks > 1) == (n == 211)
    pd.testing.assert_frame_equal(*outs)
    # Genes are kept whole, so that alleles of a transcript are called together.
    small = tmp_path / "7.parquet"
    rows = [row for row in many() if row[0] == "chr2" and 280 < row[1] < 420]
    part = write(tmp_path / "b.vcf", rows, samples=["a", "b"])
    score_vcf(part, small, prepared, Choices(format="parquet", chunk_records=7))
    whole = outs[0].merge(scores(small)[["chrom", "pos"]]).reset_index(drop=True)
    # pandas makes whole numbers real where some are missing.
    pd.testing.assert_frame_equal(scores(small), whole, check_dtype=False)


def test_workers_do_not_change_a_byte(tmp_path: Path, prepared: Prepared) -> None:
    vcf = write(tmp_path / "a.vcf", many(), samples=["a", "b"])
    written = []
    for workers in (1, 2):
        out = tmp_path / f"{workers}.tsv"
        score_vcf(vcf, out, prepared, Choices(chunk_records=300), workers=workers)
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_faults_of_workers_come_home_as_they_are(
    tmp_path: Path, prepared: Prepared
) -> None:
    # Once the pool waited for ever: for an error that could not be pickled, and for
    # chunks that nobody would take.
    text = vcf_text([snv("chr1", p) for p in range(1000, 3000)]) + "chr1\tx\n"
    (tmp_path / "a.vcf").write_text(text)
    with pytest.raises(
        MalformedFileError, match=r"a\.vcf, line 2003: a record has 2 columns"
    ):
        score_vcf(
            tmp_path / "a.vcf", tmp_path / "o.tsv", prepared, Choices(chunk_records=60),
            workers=2,
        )  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.vcf"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "variant_effect.score", *map(str, arguments)]


def test_killed_and_resumed(tmp_path: Path, workspace: Path) -> None:
    vcf = write(tmp_path / "a.vcf", many() * 8, samples=["a", "b"])
    with open_store(workspace) as store:
        prepared = prepare(store)
    choices = Choices(chunk_records=300)
    score_vcf(vcf, tmp_path / "whole.tsv", prepared, choices)
    out = tmp_path / "out.tsv"
    out.write_text("old\n")
    arguments = command(
        "--vcf", vcf, "--workspace", workspace, "--out", out, "--workers", 1,
        "--chunk-records", 300,
    )  # fmt: skip
    process = subprocess.Popen(  # noqa: S603 - our own command
        arguments, cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(list(tmp_path.glob(".out.tsv.parts-*/*.json"))) >= 2:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert out.read_text() == "old\n"
    left = list(tmp_path.glob(".out.tsv.parts-*"))
    assert len(left) == 1
    # A part half written when the process died is not taken for a whole one.
    (left[0] / ".writing-half").write_text("chr1\t1")
    result = score_vcf(vcf, out, prepared, choices, resume=True)
    assert result.resumed_chunks >= 2
    assert out.read_bytes() == (tmp_path / "whole.tsv").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.vcf",
        "out.tsv",
        "whole.tsv",
    ]


def test_parts_of_other_input_or_choices_are_not_taken(
    tmp_path: Path, prepared: Prepared
) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, _: Accounting) -> None:
        if done == 2:
            raise StopError

    vcf, out = write(tmp_path / "a.vcf", many(), samples=["a", "b"]), tmp_path / "o.tsv"
    choices = Choices(chunk_records=300, joint=False)
    with pytest.raises(StopError):
        score_vcf(vcf, out, prepared, choices, on_progress=stop)
    assert not out.exists()
    other_choices = Choices(chunk_records=300, joint=True)
    assert score_vcf(vcf, out, prepared, other_choices, resume=True).resumed_chunks == 0
    assert score_vcf(vcf, out, prepared, choices, resume=True).resumed_chunks == 2
    with pytest.raises(StopError):
        score_vcf(vcf, out, prepared, choices, on_progress=stop)
    # Without --resume everything is done anew.
    assert score_vcf(vcf, out, prepared, choices).resumed_chunks == 0


def test_a_failing_run_leaves_the_output_as_it_was(
    tmp_path: Path, prepared: Prepared
) -> None:
    out = tmp_path / "o.tsv.gz"
    out.write_bytes(b"precious")
    (tmp_path / "a.vcf").write_text(vcf_text([snv("chr1", 2000)]) + "chr1\t7\n")
    with pytest.raises(MalformedFileError):
        score_vcf(tmp_path / "a.vcf", out, prepared, Choices())
    assert out.read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.vcf", "o.tsv.gz"]


def other_strand(p: int) -> tuple[str, int, str, str]:
    """The letter of the other strand as REF, and a third one as ALT."""
    here = base("chr1", p)
    ref = here.translate(str.maketrans("ACGT", "TGCA"))
    return "chr1", p, ref, next(letter for letter in "ACGT" if letter not in here + ref)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: ("chr1", p - 1, base("chr1", p), other(base("chr1", p))), "0-based"),
        (lambda p: ("chr1", p, other(base("chr1", p)), base("chr1", p)), "swapped"),
        (other_strand, "alleles of the other strand explains 100%"),
    ],
)
def test_another_build_is_refused_with_its_likely_cause(
    tmp_path: Path, prepared: Prepared, make, says: str
) -> None:
    vcf = write(tmp_path / "a.vcf", [*map(make, range(2000, 2400)), snv("chr2", 500)])
    with pytest.raises(ReferenceMismatchError, match=says) as caught:
        score_vcf(vcf, tmp_path / "o.tsv", prepared, Choices())
    assert "tiny1" in str(caught.value)
    assert "(chr1 " in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.vcf"]


def test_mismatches_without_a_simple_cause_are_another_build() -> None:
    said = likely_cause(
        Counter(tested=100, shifted_by_one=26, swapped=33, other_strand=31)
    )
    assert "another assembly" in said
    assert "REF and ALT swapped 33%" in said
    assert "explains 97%" in likely_cause(
        Counter(tested=100, swapped=97, other_strand=30)
    )


def test_one_percent_of_mismatches_passes(tmp_path: Path, prepared: Prepared) -> None:
    wrong = ("chr1", 2500, other(base("chr1", 2500)), base("chr1", 2500))
    rows = [snv("chr1", p) for p in range(2000, 2099)]
    result = score_vcf(
        write(tmp_path / "a.vcf", [*rows, wrong]),
        tmp_path / "o.tsv",
        prepared,
        Choices(),
    )
    assert result.accounting.statuses == {"scored": 99, "ref_mismatch": 1}
    with pytest.raises(ReferenceMismatchError):
        score_vcf(
            write(tmp_path / "a.vcf", [*rows[1:], wrong]), tmp_path / "o.tsv", prepared,
            Choices(),
        )  # fmt: skip


@pytest.mark.parametrize("form", ["tsv", "parquet", "vcf", "jsonl"])
def test_a_header_alone_gives_an_output_with_a_header(
    tmp_path: Path, prepared: Prepared, form: str
) -> None:
    out = tmp_path / "deep" / "er" / "o.gz"
    result = score_vcf(
        write(tmp_path / "a.vcf", []), out, prepared, Choices(format=form)
    )
    assert result.accounting.alleles == 0
    assert result.missing_layers  # no graph is built
    assert out.stat().st_size > 0


def test_unsorted_and_repeated_records_keep_their_places(
    tmp_path: Path, prepared: Prepared
) -> None:
    rows = [
        snv(c, p)
        for c, p in (("chr2", 500), ("chr1", 9000), ("chr2", 400), ("chr1", 2101))
    ]
    rows += [rows[0], rows[0]]
    frames = []
    for ordered in (rows, sorted(rows)):
        out = tmp_path / "o.parquet"
        score_vcf(
            write(tmp_path / "a.vcf", ordered), out, prepared,
            Choices(format="parquet", chunk_records=2),
        )  # fmt: skip
        frame = scores(out)
        shown = frame[["chrom", "pos", "ref", "alt"]].itertuples(index=False, name=None)
        assert list(shown) == ordered
        frames.append(frame.sort_values(["chrom", "pos"]).reset_index(drop=True))
    pd.testing.assert_frame_equal(*frames)


def test_regions(tmp_path: Path, prepared: Prepared) -> None:
    vcf = write(tmp_path / "a.vcf", many(), samples=["a", "b"])
    out = tmp_path / "o.parquet"
    whole = tmp_path / "w.parquet"
    score_vcf(vcf, whole, prepared, Choices(format="parquet"))
    regions = (Region("chr1", 2000, 3000), Region("chr2", 1490, None))
    result = score_vcf(
        vcf,
        out,
        prepared,
        Choices(format="parquet", regions=regions, chunk_records=211),
    )
    expected = scores(whole)
    inside = (expected["chrom"] == "chr1") & expected["pos"].between(2001, 3000)
    inside |= (expected["chrom"] == "chr2") & (expected["pos"] > 1490)
    expected = expected[inside].reset_index(drop=True)
    pd.testing.assert_frame_equal(scores(out), expected, check_dtype=False)
    assert result.accounting.records == inside.sum() > 50


@pytest.mark.parametrize("index", ["tbi", "csi"])
def test_regions_through_an_index_are_those_without(
    tmp_path: Path, prepared: Prepared, index: str
) -> None:
    deletion = SEQUENCES["chr1"][1989:2061]
    rows = [*many(), ("chr1", 1990, deletion, deletion[0], ".", "0|1", "1|1")]
    rows.sort(key=lambda row: (row[0], row[1]))
    plain = write(tmp_path / "a.vcf", rows, samples=["a", "b"])
    packed = tmp_path / "b.vcf.gz"
    pysam.tabix_compress(str(plain), str(packed))
    pysam.tabix_index(str(packed), preset="vcf", csi=index == "csi")
    # Overlapping, nested and neighbouring regions; the deletion reaches into the first.
    regions = (
        Region("chr1", 2040, 2500), Region("chr1", 2400, 3000), Region("chr1", 2450, 2460),
        Region("chr1", 3000, 3001), Region("chr2", 300, None), Region("chrM"),
    )  # fmt: skip
    frames = []
    for vcf in (plain, packed):
        out = tmp_path / f"{vcf.name}.parquet"
        score_vcf(vcf, out, prepared, Choices(regions=regions, format="parquet"))
        frames.append(scores(out))
    assert 1990 in frames[0]["pos"].tolist()
    pd.testing.assert_frame_equal(*frames)


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name",
    ["yeast12.cerevisiae.multi.vcf.gz", "BYxRM.A_forFrank051815.sort.blocked.vcf.gz"],
)
def test_real_files_add_up(
    tmp_path: Path, shared_data: Path, yeast: Prepared, name: str
) -> None:
    with gzip.open(shared_data / "yeast" / "variants" / name, "rt") as file:
        lines = []
        for line in file:
            lines.append(line)
            if len(lines) == 12_000:
                break
    body = [line.split("\t", 5) for line in lines if not line.startswith("#")]
    (tmp_path / "a.vcf").write_text("".join(lines))
    result = score_vcf(
        tmp_path / "a.vcf", tmp_path / "o.parquet", yeast, Choices(format="parquet")
    )
    alts = [alt for row in body for alt in row[4].split(",")]
    counts = result.accounting.as_dict()
    assert counts["input_records"] == len(body)
    assert counts["input_alleles"] == len(alts) == len(scores(tmp_path / "o.parquet"))
    # Every record of these files agrees with the genome.
    reasons = {"*": "spanning_deletion", ".": "no_alternative_allele"}
    known = Counter(reasons.get(alt, "scored") for alt in alts)
    long = sum(max(len(r[3]), len(a)) > 100_000 for r in body for a in r[4].split(","))
    assert result.accounting.statuses["too_long"] == long
    assert counts["scored"] == known["scored"] - long


@pytest.fixture(scope="module")
def yeast(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Prepared:
    """Genome and genes of yeast, the Markov background cut short to save time."""
    folder = tmp_path_factory.mktemp("yeast")
    with open_store(folder, write=True) as store:
        store.add(shared_data / "yeast/genome/sacCer3.fa.gz", kind="genome")
        gff = next((shared_data / "yeast/annotation").glob("*R64*.gff3.gz"))
        store.add(gff, kind="annotation", options={"codon_tables": "chrM=3"})
        kept = preparation.BACKGROUND_SNVS
        preparation.BACKGROUND_SNVS = 20_000
        try:
            return prepare(store)
        finally:
            preparation.BACKGROUND_SNVS = kept


def test_the_share_of_mismatches_allowed_can_be_raised(
    tmp_path: Path, prepared: Prepared
) -> None:
    rows = [snv("chr1", 2000 + i) for i in range(9)]
    chrom, pos, ref, alt = snv("chr1", 3000)
    rows.append((chrom, pos, alt, ref))  # REF and ALT exchanged
    vcf = write(tmp_path / "a.vcf", rows)
    out = tmp_path / "o.tsv"
    with pytest.raises(ReferenceMismatchError, match="1 of 10 alleles"):
        score_vcf(vcf, out, prepared, Choices())
    assert not out.exists()
    result = score_vcf(vcf, out, prepared, Choices(max_mismatched=0.1))
    assert result.accounting.statuses == {"scored": 9, "ref_mismatch": 1}
