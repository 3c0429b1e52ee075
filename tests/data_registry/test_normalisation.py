"""Trimming and left-alignment."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pysam
import pysam.bcftools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_registry.errors import InputError
from data_registry.normalisation import (
    Normalised,
    Strings,
    left_align_frequencies,
    normalise,
    trim,
)

Allele = tuple[int, str, str]


def run(contig: str, alleles: list[Allele]) -> Normalised:
    return normalise(
        np.frombuffer(contig.encode(), np.uint8),
        np.array([a[0] for a in alleles], np.int64),
        Strings.of(a[1] for a in alleles),
        Strings.of(a[2] for a in alleles),
    )


def rows(found: Normalised, form: str) -> list[Allele]:
    alleles = getattr(found, form)
    return list(
        zip(
            alleles.start.tolist(),
            alleles.ref.to_list(),
            alleles.alt.to_list(),
            strict=True,
        )
    )


@pytest.mark.parametrize(
    ("contig", "given_", "vcf", "minimal"),
    [
        # (start, ref, alt), all 0-based; worked out by hand
        ("GGACACACT", (6, "AC", ""), (1, "GAC", "G"), (2, "AC", "")),
        ("GGACACACT", (7, "CT", "CACT"), (1, "G", "GAC"), (2, "", "AC")),
        ("ACGT", (1, "c", "t"), (1, "C", "T"), (1, "C", "T")),
        ("ACGTA", (0, "ACGTA", "ACTTA"), (2, "G", "T"), (2, "G", "T")),
        ("ACGTA", (1, "CGT", "CTT"), (2, "G", "T"), (2, "G", "T")),
        ("ACGTA", (1, "CG", "TA"), (1, "CG", "TA"), (1, "CG", "TA")),
        ("ACGTA", (1, "CG", "A"), (1, "CG", "A"), (1, "CG", "A")),
        # at the contig's start the anchor is the base after
        ("AAAC", (2, "A", ""), (0, "AA", "A"), (0, "A", "")),
        ("AAAC", (2, "A", "AA"), (0, "A", "AA"), (0, "", "A")),
        ("GTAC", (0, "GT", "T"), (0, "GT", "T"), (0, "G", "")),
        ("GTAC", (0, "G", "CCG"), (0, "G", "CCG"), (0, "", "CC")),
        # soft-masked genome, and other letters that read as N
        ("gattttacag", (3, "tt", "t"), (1, "AT", "A"), (2, "T", "")),
        ("RTTAC", (2, "T", ""), (0, "NT", "N"), (1, "T", "")),
        ("GNNNA", (3, "N", ""), (0, "GN", "G"), (1, "N", "")),
        # at the very end
        ("ACGG", (4, "", "G"), (1, "C", "CG"), (2, "", "G")),
    ],
)
def test_by_hand(contig: str, given_: Allele, vcf: Allele, minimal: Allele):
    found = run(contig, [given_])
    assert rows(found, "vcf") == [vcf]
    assert rows(found, "minimal") == [minimal]
    assert found.normal.all()
    assert found.changed[0] == (
        vcf != (given_[0], given_[1].upper(), given_[2].upper())
    )


def test_what_cannot_be_normalised_is_left_and_said():
    given_ = [
        (1, "C", "*"),
        (1, "C", "<DEL>"),
        (1, "CG", "CR"),
        (1, "C", "c"),
        (0, "ACGT", ""),
        (1, "C", "C[chr2:12["),
    ]
    found = run("ACGT", given_)
    assert not found.normal.any()
    assert not found.changed.any()
    expected = [(s, r.upper(), a.upper()) for s, r, a in given_]
    assert rows(found, "vcf") == expected
    assert rows(found, "minimal") == expected


def test_alleles_off_the_contig_are_refused():
    with pytest.raises(
        InputError, match="0-based 3 with 2 bp of REF lies off its contig of 4"
    ):
        run("ACGT", [(0, "A", "C"), (3, "TT", "T")])
    with pytest.raises(InputError, match="2 positions, 1 REF"):
        normalise(
            np.frombuffer(b"ACGT", np.uint8),
            np.array([0, 1]),
            Strings.of(["A"]),
            Strings.of(["A", "C"]),
        )


def test_no_alleles():
    assert rows(run("ACGT", []), "vcf") == []


# --- the slow oracle: of all equal spellings, the leftmost of the shortest -----------


def apply(contig: str, allele: Allele) -> str:
    start, ref, alt = allele
    assert contig[start : start + len(ref)].upper() == ref.upper()
    return (contig[:start] + alt + contig[start + len(ref) :]).upper()


def oracle(contig: str, allele: Allele) -> Allele:
    """The minimal form of a pure insertion or deletion, by trying every place."""
    whole = apply(contig, allele)
    size = len(whole) - len(contig)
    for start in range(len(contig) + 1):
        if size > 0:
            trial = (start, "", whole[start : start + size])
        else:
            trial = (start, contig[start : start - size].upper(), "")
            if start - size > len(contig):
                break
        if apply(contig, trial) == whole:
            return trial
    raise AssertionError


@st.composite
def contig_and_alleles(draw: st.DrawFn) -> tuple[str, list[Allele]]:
    contig = draw(st.text("ACac", min_size=2, max_size=30))
    alleles = []
    for _ in range(draw(st.integers(1, 8))):
        start = draw(st.integers(0, len(contig)))
        end = draw(st.integers(start, min(len(contig), start + 6)))
        alt = draw(st.text("ACa", max_size=6))
        alleles.append((start, contig[start:end], alt))
    return contig, alleles


@settings(max_examples=300, deadline=None)
@given(contig_and_alleles())
def test_laws(case: tuple[str, list[Allele]]):
    contig, alleles = case
    found = run(contig, alleles)
    vcf, minimal = rows(found, "vcf"), rows(found, "minimal")
    for given_, v, m, normal in zip(alleles, vcf, minimal, found.normal, strict=True):
        # the haplotype is unchanged
        assert apply(contig, v) == apply(contig, m) == apply(contig, given_)
        if not normal:
            whole = given_[1] == contig and given_[2] == ""
            assert whole or given_[1].upper() == given_[2].upper()
            continue
        _, ref, alt = m
        if ref and alt:
            assert ref[0] != alt[0]
            assert ref[-1] != alt[-1]
        else:
            assert m == oracle(contig, given_)
        assert v[1]
        assert v[2]
    # idempotent from either spelling
    for again in (run(contig, vcf), run(contig, minimal)):
        assert rows(again, "vcf") == vcf
        assert rows(again, "minimal") == minimal
    # neither order nor batch-mates matter
    backwards = run(contig, alleles[::-1])
    assert rows(backwards, "vcf") == vcf[::-1]
    assert [rows(run(contig, [a]), "minimal")[0] for a in alleles] == minimal


@settings(deadline=None)
@given(st.lists(st.text("ACGT", max_size=4), max_size=9), st.data())
def test_strings_round_trip(values: list[str], data: st.DataObject):
    packed = Strings.of(values)
    assert packed.to_list() == values == [packed[i] for i in range(len(packed))]
    assert packed.to_arrow().to_pylist() == values
    for kind in (pa.string(), pa.large_string(), pa.binary()):
        column = pa.array(["X", *values], pa.string()).cast(kind)[1:]
        assert Strings.from_arrow(column).to_list() == values
    assert (
        Strings.from_arrow(
            pa.chunked_array([pa.array(values, pa.string())] * 2)
        ).to_list()
        == values * 2
    )
    if values:
        picked = data.draw(st.lists(st.integers(0, len(values) - 1)))
        assert packed.take(np.array(picked, np.int64)).to_list() == [
            values[i] for i in picked
        ]


def test_null_alleles_are_refused():
    with pytest.raises(InputError, match="1 alleles are null"):
        Strings.from_arrow(pa.array(["A", None]))


# --- another program -------------------------------------------------------------


def read_genome(path: Path) -> dict[str, np.ndarray]:
    genome: dict[str, list[str]] = {}
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if line.startswith(">"):
                parts = genome[line[1:].split()[0]] = []
            else:
                parts.append(line.strip())
    return {k: np.frombuffer("".join(v).encode(), np.uint8) for k, v in genome.items()}


@pytest.mark.peer
def test_short_repetitive_contigs_as_bcftools_norm_writes_them(tmp_path: Path):
    """Repeats that reach the contig's start, N runs, and soft-masked bases."""
    rng = np.random.default_rng(11)
    contigs, alleles = {}, []
    for i in range(40):
        letters = list(("ACNa", "AC", "Aa", "ACGTN")[i % 4])
        contigs[f"c{i}"] = contig = "".join(rng.choice(letters, rng.integers(8, 30)))
        for _ in range(60):
            start = int(rng.integers(0, len(contig)))
            ref = contig[start : start + int(rng.integers(1, 7))]
            alt = "".join(rng.choice(letters, rng.integers(1, 7)))
            if ref.upper() != alt.upper():
                alleles.append((f"c{i}", start, ref, alt))
    fasta, source = tmp_path / "genome.fa", tmp_path / "in.vcf"
    fasta.write_text("".join(f">{k}\n{v}\n" for k, v in contigs.items()))
    pysam.faidx(str(fasta))
    source.write_text(
        "##fileformat=VCFv4.2\n"
        + "".join(f"##contig=<ID={k},length={len(v)}>\n" for k, v in contigs.items())
        + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(
            f"{contig}\t{start + 1}\t{i}\t{ref}\t{alt}\t.\t.\t.\n"
            for i, (contig, start, ref, alt) in enumerate(alleles)
        )
    )
    written = pysam.bcftools.norm("-f", str(fasta), str(source))
    n_moved = n_at_start = 0
    for line in written.splitlines():
        if line.startswith("#"):
            continue
        name, pos, key, ref, alt = line.split("\t", 5)[:5]
        given_ = alleles[int(key)]
        found = run(contigs[name], [given_[1:]])
        assert rows(found, "vcf") == [(int(pos) - 1, ref.upper(), alt.upper())], given_
        n_moved += int(pos) - 1 < given_[1]
        n_at_start += int(pos) == 1 and len(ref) != len(alt)
    assert n_moved > 200
    assert n_at_start > 200


@pytest.mark.realdata
@pytest.mark.peer
def test_every_real_allele_comes_out_as_bcftools_norm_writes_it(
    shared_data: Path, tmp_path: Path
):
    """191,429 records, multi-allelic, up to 21 kb, a third of the indels padded."""
    yeast = shared_data / "yeast"
    fasta = tmp_path / "genome.fa"
    fasta.write_bytes(gzip.decompress((yeast / "genome/sacCer3.fa.gz").read_bytes()))
    pysam.faidx(str(fasta))
    genome = read_genome(yeast / "genome/sacCer3.fa.gz")

    header, given_ = [], []
    with gzip.open(yeast / "variants/yeast12.cerevisiae.multi.vcf.gz", "rt") as lines:
        for line in lines:
            if line.startswith("##"):
                header.append(line)
            elif not line.startswith("#"):
                contig, pos, _, ref, alts = line.split("\t", 5)[:5]
                given_ += [
                    (contig, int(pos) - 1, ref, a) for a in alts.split(",") if a != "*"
                ]
    rng = np.random.default_rng(3)
    for i, (contig, start, ref, alt) in enumerate(given_):
        # spell every third indel worse: more bases on both sides
        if i % 3 == 0 and len(ref) != len(alt):
            left, right = rng.integers(1, 9, 2)
            left = min(left, start)
            end = start + len(ref)
            before = genome[contig][start - left : start].tobytes().decode()
            after = genome[contig][end : end + right].tobytes().decode()
            given_[i] = (
                contig,
                start - left,
                before + ref + after,
                before + alt + after,
            )
    source = tmp_path / "in.vcf"
    with source.open("w") as out:
        out.writelines(header)
        out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for i, (contig, start, ref, alt) in enumerate(given_):
            out.write(f"{contig}\t{start + 1}\t{i}\t{ref}\t{alt}\t.\t.\t.\n")
    wanted = tmp_path / "out.vcf"
    pysam.bcftools.norm(
        "-m", "-", "-f", str(fasta), "-o", str(wanted), str(source), catch_stdout=False
    )
    theirs: dict[int, tuple[str, int, str, str]] = {}
    with wanted.open() as lines:
        for line in lines:
            if not line.startswith("#"):
                contig, pos, key, ref, alt = line.split("\t", 5)[:5]
                theirs[int(key)] = (contig, int(pos) - 1, ref.upper(), alt.upper())
    ours: dict[int, tuple[str, int, str, str]] = {}
    n_changed = 0
    for name in genome:
        index = [i for i, row in enumerate(given_) if row[0] == name]
        found = normalise(
            genome[name],
            np.array([given_[i][1] for i in index], np.int64),
            Strings.of(given_[i][2] for i in index),
            Strings.of(given_[i][3] for i in index),
        )
        assert found.normal.all()
        n_changed += int(found.changed.sum())
        for i, row in zip(index, rows(found, "vcf"), strict=True):
            ours[i] = (name, *row)
    assert len(ours) == len(given_) == len(theirs) > 190_000
    assert n_changed > 3_000
    differ = {i: (given_[i], ours[i], theirs[i]) for i in ours if ours[i] != theirs[i]}
    assert not differ


# --- tables of alleles -----------------------------------------------------------


def test_trimming_without_a_genome_by_hand():
    found = trim(
        np.array([10, 10, 10, 10, 10]),
        Strings.of(["CAA", "ca", "ACG", "A", "A"]),
        Strings.of(["CA", "CAGA", "ATG", "<DEL>", "A"]),
    )
    assert found.start.tolist() == [11, 11, 11, 10, 10]
    assert found.ref.to_list() == ["A", "", "C", "A", "A"]
    assert found.alt.to_list() == ["", "AG", "T", "<DEL>", "A"]


GENOME = {"one": b"GGACACACTNNNN", "two": b"acgtacgt"}


def fetch(name: str) -> np.ndarray:
    return np.frombuffer(GENOME[name], np.uint8)


def frame_of(rows: list[tuple[object, ...]], columns: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


def test_frequencies_meet_the_variants_they_belong_to():
    table = frame_of(
        [
            ("one", 6, "AC", "", 1, 10),  # the same deletion, twice, in two places
            ("two", 0, "A", "C", 2, 10),
            ("one", 3, "CAC", "C", 3, 8),
            ("one", 9, "C", "A", 4, 10),  # the genome is N here
        ],
        "contig start ref alt ac an",
    )
    before = table.copy()
    found = left_align_frequencies(table, fetch)
    pd.testing.assert_frame_equal(table, before)
    assert found.to_numpy().tolist() == [
        ["one", 2, "AC", "", 4, 10],
        ["two", 0, "A", "C", 2, 10],
        ["one", 9, "C", "A", 4, 10],
    ]
    counts = {"moved": 2, "turned": 0, "merged": 1, "ref_mismatch": 0, "off_contig": 0}
    assert found.attrs["left_alignment"] == counts


def test_alleles_the_wrong_way_round_are_turned_only_where_the_rest_fits():
    rows: list[tuple[object, ...]] = [
        ("two", i, "ACGTACGT"[i], "CATGCATG"[i], 1, 10) for i in range(8)
    ]
    turned = [*rows[:7], ("two", 7, "G", "T", 9, 10)]
    names = "contig start ref alt ac an"
    found = left_align_frequencies(frame_of(turned, names), fetch)
    assert found.to_numpy().tolist()[:7] == [list(row) for row in rows[:7]]
    assert found.to_numpy().tolist()[7] == ["two", 7, "T", "G", 1, 10]
    # on a wrong build some alleles fit by chance: none is turned
    wrong = [("two", i, "GTACGTAC"[i], "ACTTACAA"[i], 1, 10) for i in range(8)]
    found = left_align_frequencies(frame_of(wrong, names), fetch)
    assert found.to_numpy().tolist() == [list(row) for row in wrong]
    assert found.attrs["left_alignment"]["ref_mismatch"] == 8
    # scores have no copies to turn round
    scores = frame_of([("two", 7, "G", "T", 0.5)], "contig start ref alt value")
    assert left_align_frequencies(scores, fetch).to_numpy().tolist() == [
        ["two", 7, "G", "T", 0.5]
    ]


def test_merged_copies_never_exceed_the_alleles_called():
    # two records of one panel that state the same haplotypes twice
    table = frame_of(
        [("one", 6, "AC", "", 6, 8), ("one", 4, "AC", "", 5, 10)],
        "contig start ref alt ac an",
    )
    found = left_align_frequencies(table, fetch)
    assert found.to_numpy().tolist() == [["one", 2, "AC", "", 10, 10]]


def test_rows_without_counts_or_place_are_kept():
    table = frame_of(
        [("one", 6, "AC", "", None, None), ("one", 12, "NN", "N", 1, 2)],
        "contig start ref alt ac an",
    ).astype({"ac": "Int32", "an": "Int32"})
    found = left_align_frequencies(table, fetch)
    assert found["start"].tolist() == [2, 12]
    assert found["ac"].isna().tolist() == [True, False]
    assert found.attrs["left_alignment"]["off_contig"] == 1
    assert len(left_align_frequencies(table[:0], fetch)) == 0
