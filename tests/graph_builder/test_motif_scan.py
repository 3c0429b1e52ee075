"""Motif scanning against values by hand, a slow oracle, laws, and other programs."""

import gzip
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_registry.errors import InputError, OutOfBoundsError
from data_registry.parsing import Request
from data_registry.sources.motifs import jaspar_motifs, parse
from graph_builder import motif_scan
from graph_builder.motif_scan import MotifSet, count_bases

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def reverse_complement(sequence: str) -> str:
    return sequence.upper().translate(COMPLEMENT)[::-1]


def as_bytes(sequence: str) -> np.ndarray:
    return np.frombuffer(sequence.encode(), np.uint8)


def make_table(rng: np.random.Generator, widths: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "motif_id": [f"M{i:02d}" for i in range(len(widths))],
            "tf": [f"TF{i}" for i in range(len(widths))],
            "n_sites": rng.integers(5, 500, len(widths)).astype(float),
            "matrix": [
                rng.dirichlet(np.full(4, rng.choice([0.1, 0.3, 2.0])), w).ravel()
                for w in widths
            ],
        }
    )


def make_sequence(
    rng: np.random.Generator, size: int, letters: str = "ACGTacgtN"
) -> str:
    weights = np.array([0.02 if letter == "N" else 1.0 for letter in letters])
    return "".join(rng.choice(list(letters), size, p=weights / weights.sum()))


# --- values by hand


@pytest.fixture
def two_columns() -> MotifSet:
    # 3 sites of AC and one pseudocount: P = (3 + 0.25) / 4 = 13/16 for the base, 1/16
    # for each other, so log2(3.25) = 1.70 and log2(0.25) = -2.00 bits
    return MotifSet.from_table(
        pd.DataFrame(
            {
                "motif_id": ["AC"],
                "n_sites": [3.0],
                "matrix": [[1.0, 0, 0, 0, 0, 1.0, 0, 0]],
            }
        ),
        pseudocount=1.0,
    )


def test_scores_and_p_values_of_two_columns_by_hand(two_columns):
    np.testing.assert_allclose(
        two_columns.log_odds(0), [[1.7, -2, -2, -2], [-2, 1.7, -2, -2]]
    )
    # 16 dinucleotides: one reads AC, six have one base right, nine have none
    assert two_columns.p_value(0, 3.4) == 1 / 16
    assert two_columns.p_value(0, -0.3) == 7 / 16
    assert two_columns.p_value(0, -0.29) == 1 / 16
    assert two_columns.p_value(0, -4.0) == 1.0
    assert two_columns.p_value(0, 3.41) == 0.0
    assert two_columns.p_value(0, -9.0) == 1.0


def test_thresholds_of_two_columns_by_hand(two_columns):
    assert two_columns.threshold(7 / 16)[0] == pytest.approx(-0.3)
    assert two_columns.threshold(0.4)[0] == pytest.approx(3.4)
    assert two_columns.threshold(1 / 16)[0] == pytest.approx(3.4)
    assert two_columns.threshold(1.0)[0] == pytest.approx(-4.0)
    assert two_columns.threshold(0.0624)[0] == math.inf


def test_hits_of_two_columns_by_hand(two_columns):
    #                               0123456
    hits = two_columns.scan(as_bytes("ACGTNac"), p=0.1)
    assert hits.start.tolist() == [0, 2, 5]
    assert hits.strand.tolist() == [1, -1, 1]  # GT is AC on the reverse strand
    np.testing.assert_allclose(hits.score, 3.4)
    assert hits.p.tolist() == [1 / 16] * 3


def test_a_palindrome_is_reported_once_on_each_strand():
    motifs = MotifSet.from_table(
        pd.DataFrame({"motif_id": ["CG"], "matrix": [[0, 1.0, 0, 0, 0, 0, 1.0, 0]]})
    )
    hits = motifs.scan(as_bytes("TCGA"), p=0.1)
    assert hits.start.tolist() == [1, 1]
    assert hits.strand.tolist() == [1, -1]


def test_alleles_of_two_columns_by_hand(two_columns):
    #              0123456789
    contig = as_bytes("TTACTTTTTT")
    cases = [
        (3, 1, "T"),  # AC -> AT: 3.4 is lost, one base right is left
        (6, 1, "A"),  # TT -> nothing passes on either side
        (5, 0, "AC"),  # inserted into TT, which is AA in reverse: one base right
        (2, 2, "AC"),  # the reference itself
        (2, 1, ""),  # deletion of the A: TACT -> TCT
    ]
    hits = two_columns.scan_alleles(
        contig,
        np.array([c[0] for c in cases]),
        np.array([c[1] for c in cases]),
        as_bytes("".join(c[2] for c in cases)),
        np.cumsum([0] + [len(c[2]) for c in cases]),
        p=0.1,
    )
    assert hits.allele.tolist() == [0, 2, 4]
    np.testing.assert_allclose(hits.ref_score, [3.4, -0.3, 3.4])
    np.testing.assert_allclose(hits.alt_score, [-0.3, 3.4, -0.3])
    np.testing.assert_allclose(hits.delta, [-3.7, 3.7, -3.7])
    np.testing.assert_allclose(hits.ref_p, [1 / 16, 7 / 16, 1 / 16])
    np.testing.assert_allclose(hits.alt_p, [7 / 16, 1 / 16, 7 / 16])
    assert hits.change.tolist() == [-1, 1, -1]
    assert hits.start.tolist() == [2, 5, 2]
    assert hits.strand.tolist() == [1, 1, 1]


def test_frequencies_are_averaged_over_both_strands():
    # 4 A, 2 C, 0 G, 2 T, and the same read backwards: 6 A or T, 2 C or G
    assert count_bases([as_bytes("AaAA"), as_bytes("CCTTNNN")]) == (
        0.375,
        0.125,
        0.125,
        0.375,
    )


# --- a slow oracle


def score_slowly(log_odds: np.ndarray, site: str) -> float | None:
    if "N" in site:
        return None
    return sum(log_odds[j]["ACGT".index(base)] for j, base in enumerate(site))


def enumerate_p_values(
    log_odds: np.ndarray, background: tuple[float, ...]
) -> list[tuple[float, float]]:
    """Every attainable score with its exact p-value, by writing out all sites."""
    weights: dict[int, float] = {}
    for site in itertools.product(range(4), repeat=len(log_odds)):
        score = round(100 * sum(log_odds[j][a] for j, a in enumerate(site)))
        weights[score] = weights.get(score, 0.0) + math.prod(
            background[a] for a in site
        )
    total, found = 0.0, []
    for score in sorted(weights, reverse=True):
        total += weights[score]
        found.append((score / 100, total))
    return found


def test_p_values_equal_those_of_writing_out_all_sites():
    rng = np.random.default_rng(1)
    motifs = MotifSet.from_table(
        make_table(rng, [1, 2, 3, 4, 5, 6]), background=(0.31, 0.19, 0.19, 0.31)
    )
    for m in range(len(motifs)):
        for score, p in enumerate_p_values(motifs.log_odds(m), motifs.background):
            assert motifs.p_value(m, score) == pytest.approx(p, rel=1e-9)


def scan_slowly(motifs: MotifSet, sequence: str, p: float) -> list[tuple]:
    bars = motifs.threshold(p)
    found = []
    for m in range(len(motifs)):
        log_odds, width = motifs.log_odds(m), int(motifs.widths[m])
        for start in range(len(sequence) - width + 1):
            site = sequence[start : start + width].upper()
            for strand, read in ((1, site), (-1, reverse_complement(site))):
                score = score_slowly(log_odds, read)
                if score is not None and score >= bars[m] - 1e-6:
                    found.append((start, m, -strand, round(score, 6)))
    return sorted(found)


@pytest.mark.parametrize("p", [1e-2, 1e-3])
def test_scan_equals_a_slow_scan(p):
    rng = np.random.default_rng(2)
    motifs = MotifSet.from_table(make_table(rng, [1, 3, 5, 7, 8, 9, 11, 14, 19]))
    sequence = make_sequence(rng, 1500)
    hits = motifs.scan(as_bytes(sequence), p=p)
    expected = scan_slowly(motifs, sequence, p)
    assert len(expected) > 15
    found = zip(hits.start, hits.motif, -hits.strand, hits.score, strict=True)
    assert [(s, m, t, round(x, 6)) for s, m, t, x in found] == expected
    for m, score, value in zip(hits.motif, hits.score, hits.p, strict=True):
        assert value == motifs.p_value(int(m), score) <= p


def test_long_sequences_are_scanned_in_stretches_without_seams(monkeypatch):
    rng = np.random.default_rng(3)
    motifs = MotifSet.from_table(make_table(rng, [4, 9, 15]))
    sequence = as_bytes(make_sequence(rng, 3000))
    whole = motifs.scan(sequence, p=1e-2)
    monkeypatch.setattr(motif_scan, "STRETCH", 97)
    pieces = motifs.scan(sequence, p=1e-2)
    assert len(whole) > 50
    for column in ("motif", "start", "strand", "score", "p"):
        np.testing.assert_array_equal(getattr(pieces, column), getattr(whole, column))


def spread(contig: str, start: int, end: int, alt: str) -> tuple[int, int, str]:
    """Trim the allele, and widen a pure insertion or deletion to all its places."""
    while end > start and alt and contig[end - 1] == alt[-1]:
        end, alt = end - 1, alt[:-1]
    while end > start and alt and contig[start] == alt[0]:
        start, alt = start + 1, alt[1:]
    if (start == end) == (not alt):
        return start, end, alt
    # every writing of the same change, found by comparing whole haplotypes
    changed = contig[:start] + alt + contig[end:]
    span, length = end - start, len(alt)
    places = [start]
    for step in (-1, 1):
        at = start + step
        while at >= 0 and at + span <= len(contig):
            form = changed[at : at + length]
            if contig[:at] + form + contig[at + span :] != changed:
                break
            if contig[at if step < 0 else at + span - 1] == "N":
                break  # two N need not be the same base
            places.append(at)
            at += step
    first, last = min(places), max(places)
    return first, last + span, changed[first : last + length]


def best_slowly(
    motifs: MotifSet, m: int, haplotype: str, start: int, end: int
) -> float | None:
    log_odds, width = motifs.log_odds(m), int(motifs.widths[m])
    scores = []
    for at in range(max(start - width + 1, 0), min(end, len(haplotype) - width + 1)):
        site = haplotype[at : at + width]
        scores += [
            score_slowly(log_odds, site),
            score_slowly(log_odds, reverse_complement(site)),
        ]
    return max((score for score in scores if score is not None), default=None)


def compare_slowly(motifs: MotifSet, contig: str, alleles: list[tuple], p: float):
    bars = motifs.threshold(p)
    contig = contig.upper()
    records = []
    for i, (start, span, alt) in enumerate(alleles):
        alt = alt.upper()
        if contig[start : start + span] == alt:
            continue
        begin, end, wide = spread(contig, start, start + span, alt)
        haplotype = contig[:begin] + wide + contig[end:]
        for m in range(len(motifs)):
            ref = best_slowly(motifs, m, contig, begin, end)
            new = best_slowly(motifs, m, haplotype, begin, begin + len(wide))
            passes = [x is not None and x >= bars[m] - 1e-6 for x in (ref, new)]
            if any(passes):
                rounded = [
                    math.nan if x is None else round(float(x), 6) + 0.0
                    for x in (ref, new)
                ]
                records.append((i, m, *rounded, int(passes[1]) - int(passes[0])))
    return records


def make_alleles(rng: np.random.Generator, contig: str, n: int) -> list[tuple]:
    alleles = []
    for _ in range(n):
        span = int(rng.choice([0, 1, 1, 1, 2, 3, 12]))
        start = int(rng.integers(0, len(contig) - span + 1))
        length = int(rng.choice([0, 1, 1, 1, 2, 3, 15]))
        alleles.append((start, span, make_sequence(rng, length)))
    # anchored insertions and deletions, as VCF writes them, and the contig's ends
    for start in (0, 5, len(contig) - 3):
        alleles.append((start, 3, contig[start]))
        alleles.append((start, 1, contig[start] + contig[start]))
    alleles += [(0, len(contig), "A"), (0, 0, "ACGT"), (len(contig), 0, "TTT")]
    return alleles


def scan_alleles(motifs: MotifSet, contig: str, alleles: list[tuple], p: float):
    return motifs.scan_alleles(
        as_bytes(contig),
        np.array([a[0] for a in alleles], np.int64),
        np.array([a[1] for a in alleles], np.int64),
        as_bytes("".join(a[2] for a in alleles)),
        np.cumsum([0] + [len(a[2]) for a in alleles]),
        p=p,
    )


def as_records(hits) -> list[tuple]:
    return [
        (int(a), int(m), round(float(r), 6), round(float(x), 6), int(c))
        for a, m, r, x, c in zip(
            hits.allele,
            hits.motif,
            hits.ref_score,
            hits.alt_score,
            hits.change,
            strict=True,
        )
    ]


WIDTHS = [1, 2, 4, 6, 7, 8, 9, 10, 12, 17, 21]


@pytest.mark.parametrize("letters", ["ACGTacgtN", "AC"])
def test_alleles_equal_a_slow_comparison(letters):
    # "AC" alone makes repeats, in which insertions and deletions can move
    rng = np.random.default_rng(4)
    motifs = MotifSet.from_table(make_table(rng, WIDTHS))
    contig = make_sequence(rng, 120, letters)
    alleles = make_alleles(rng, contig, 250)
    hits = scan_alleles(motifs, contig, alleles, 5e-3)
    expected = compare_slowly(motifs, contig, alleles, 5e-3)
    assert len(expected) > 100
    assert str(as_records(hits)) == str(expected)  # NaN equals NaN as text
    assert set(hits.change.tolist()) == {-1, 0, 1}


def test_the_stated_site_has_the_better_score():
    rng = np.random.default_rng(5)
    motifs = MotifSet.from_table(make_table(rng, WIDTHS))
    contig = make_sequence(rng, 300, "ACGT")
    alleles = [(i, 1, base) for i, base in enumerate(make_sequence(rng, 300, "ACGT"))]
    hits = scan_alleles(motifs, contig, alleles, 5e-3)
    assert len(hits) > 100
    for i in range(len(hits)):
        at, _, base = alleles[hits.allele[i]]
        m, start = int(hits.motif[i]), int(hits.start[i])
        is_ref = hits.ref_score[i] >= hits.alt_score[i]
        haplotype = contig if is_ref else contig[:at] + base + contig[at + 1 :]
        site = haplotype[start : start + int(motifs.widths[m])]
        assert start <= at < start + int(motifs.widths[m])
        read = site if hits.strand[i] == 1 else reverse_complement(site)
        assert score_slowly(motifs.log_odds(m), read) == pytest.approx(
            max(hits.ref_score[i], hits.alt_score[i])
        )


# --- laws


def test_reverse_complement_of_everything_gives_the_same_scores():
    rng = np.random.default_rng(6)
    motifs = MotifSet.from_table(
        make_table(rng, WIDTHS), background=(0.4, 0.2, 0.1, 0.3)
    )
    contig = make_sequence(rng, 400, "ACGTN")
    hits = motifs.scan(as_bytes(contig), p=1e-2)
    back = motifs.scan(as_bytes(reverse_complement(contig)), p=1e-2)
    mirrored = sorted(
        zip(
            len(contig) - back.start - motifs.widths[back.motif],
            back.motif,
            -back.strand,
            back.score,
            strict=True,
        )
    )
    assert mirrored == sorted(
        zip(hits.start, hits.motif, hits.strand, hits.score, strict=True)
    )

    alleles = make_alleles(rng, contig, 150)
    flipped = [
        (len(contig) - start - span, span, reverse_complement(alt))
        for start, span, alt in alleles
    ]
    forward = as_records(scan_alleles(motifs, contig, alleles, 5e-3))
    assert len(forward) > 100
    assert str(forward) == str(
        as_records(scan_alleles(motifs, reverse_complement(contig), flipped, 5e-3))
    )


def test_the_writing_of_an_indel_does_not_matter():
    rng = np.random.default_rng(7)
    motifs = MotifSet.from_table(make_table(rng, WIDTHS))
    contig = "GATTACA" + "CAG" * 5 + "TTGACCGTA"
    forms = [
        (7, 3, ""),  # left-aligned deletion of one CAG
        (10, 3, ""),
        (9, 3, ""),  # GCA
        (6, 4, "A"),  # anchored as in a VCF
        (16, 6, "CAG"),
        (7, 15, "CAG" * 4),
    ]
    records = as_records(scan_alleles(motifs, contig, forms, 2e-2))
    by_form = [[r[1:] for r in records if r[0] == i] for i in range(len(forms))]
    assert by_form[0]
    assert all(form == by_form[0] for form in by_form)


def test_batch_mates_and_swapping_sides():
    rng = np.random.default_rng(8)
    motifs = MotifSet.from_table(make_table(rng, WIDTHS))
    contig = make_sequence(rng, 300, "ACGT")
    alleles = [(i, 1, "ACGT"[rng.integers(4)]) for i in range(300)]
    together = scan_alleles(motifs, contig, alleles, 5e-3)
    alone = [
        record[1:]
        for allele in alleles
        for record in as_records(scan_alleles(motifs, contig, [allele], 5e-3))
    ]
    assert [record[1:] for record in as_records(together)] == alone

    swapped = []
    for start, span, alt in alleles:
        other = contig[:start] + alt + contig[start + span :]
        back = (start, len(alt), contig[start : start + span])
        hits = scan_alleles(motifs, other, [back], 5e-3)
        swapped += [(m, x, r, -c) for _, m, r, x, c in as_records(hits)]
    assert swapped == alone


def test_alleles_that_change_nothing_give_nothing():
    motifs = MotifSet.from_table(make_table(np.random.default_rng(9), WIDTHS))
    same = [(0, 4, "acgt"), (2, 0, ""), (1, 1, "C"), (0, 8, "ACGTACGT")]
    assert len(scan_alleles(motifs, "ACGTACGT", same, 1.0)) == 0


def test_results_do_not_depend_on_the_order_of_motifs():
    rng = np.random.default_rng(10)
    table = make_table(rng, WIDTHS)
    sequence = as_bytes(make_sequence(rng, 800))
    one = MotifSet.from_table(table)
    # repeated rows are one motif
    other = MotifSet.from_table(pd.concat([table.iloc[::-1], table.iloc[:3]]))
    assert other.ids == one.ids == tuple(sorted(one.ids))
    assert (one.n_merged, other.n_merged) == (0, 3)
    for column in ("motif", "start", "strand", "score", "p"):
        np.testing.assert_array_equal(
            getattr(one.scan(sequence, p=1e-2), column),
            getattr(other.scan(sequence, p=1e-2), column),
        )


def test_short_empty_and_unknown_sequences_have_no_hits():
    motifs = MotifSet.from_table(make_table(np.random.default_rng(11), [5, 9]))
    for sequence in ("", "ACG", "N" * 50):
        assert len(motifs.scan(as_bytes(sequence), p=0.5)) == 0


# --- refusals


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"matrix": [[0.5, 0.5, 0.5, 0.5]]}, "column 1"),
        ({"matrix": [[0.5, 0.5, 0.0]]}, "3 values"),
        ({"matrix": [[0.25] * 404]}, "404 values"),
        ({"matrix": [[1.5, -0.5, 0.0, 0.0]]}, "must be >= 0"),
    ],
)
def test_bad_matrices_are_refused(change, problem):
    table = pd.DataFrame({"motif_id": ["M"], **change})
    with pytest.raises(InputError, match=problem):
        MotifSet.from_table(table)


def test_two_matrices_under_one_name_are_refused():
    table = pd.DataFrame(
        {"motif_id": ["M", "M"], "matrix": [[1.0, 0, 0, 0], [0, 1.0, 0, 0]]}
    )
    with pytest.raises(InputError, match="'M' stands twice"):
        MotifSet.from_table(table)


def test_alleles_off_the_contig_are_refused(two_columns):
    with pytest.raises(OutOfBoundsError, match=r"allele 1 at \[3, 5\)"):
        scan_alleles(two_columns, "ACGT", [(0, 1, "T"), (3, 2, "T")], 0.1)


@pytest.mark.parametrize("p", [0.0, -1.0, 1.5, math.nan])
def test_thresholds_out_of_range_are_refused(two_columns, p):
    with pytest.raises(InputError, match="threshold"):
        two_columns.threshold(p)


# --- other programs


@pytest.mark.realdata
def test_p_values_agree_with_the_meme_suite(shared_data: Path):
    folder = shared_data / "benchmarks" / "motifs" / "meme_reference"
    path = folder / "example.meme.gz"
    motifs = MotifSet.from_table(
        parse(Request(path, "example")).tables["motifs"],
        background=(0.251485, 0.232673, 0.253465, 0.262376),  # as the file states
    )
    fimo = pd.read_csv(folder / "fimo.tsv.gz", sep="\t")
    assert len(fimo) == 20
    ours = [motifs.p_value(0, score) for score in fimo["score"]]
    # FIMO rounds scores to its own grid of 1/83 bits: a step is up to 7 % here
    np.testing.assert_allclose(ours, fimo["p-value"], rtol=0.07)


@pytest.mark.realdata
@pytest.mark.peer
def test_hits_on_yeast_promoters_agree_with_memelite(shared_data: Path):
    memelite = pytest.importorskip("memelite")
    table = jaspar_motifs("CORE", "fungi", "JASPAR2024").iloc[::2].copy()
    assert len(table) > 80
    # memelite adds eps to each probability and does not rescale: with one site,
    # (p + c/4) / (1 + c) at c = 4 eps differs from it by log2(1 + 4 eps) a column
    eps = 0.01
    table["n_sites"] = 1.0
    motifs = MotifSet.from_table(table, pseudocount=4 * eps)

    with gzip.open(shared_data / "yeast" / "genome" / "sacCer3.fa.gz", "rt") as fasta:
        next(fasta)
        contig = fasta.read(250_000).replace("\n", "").upper()
    genes = pd.read_csv(
        shared_data / "yeast/annotation/Saccharomyces_cerevisiae.R64-1-1.81.gff3.gz",
        sep="\t",
        comment="#",
        header=None,
        usecols=[0, 2, 3, 4, 6],
        dtype={0: str},
    )
    genes = genes[(genes[0] == "I") & (genes[2] == "gene")].astype({3: int, 4: int})
    windows = [
        contig[max(s - 501, 0) : s - 1] if strand == "+" else contig[e : e + 500]
        for s, e, strand in zip(genes[3], genes[4], genes[6], strict=True)
    ]
    windows = [w for w in windows if len(w) == 500 and set(w) <= set("ACGT")]
    assert len(windows) > 60
    one_hot = np.stack([[[b == a for b in w] for a in "ACGT"] for w in windows])

    matrices = {
        motif_id: np.asarray(table.set_index("motif_id").loc[motif_id, "matrix"])
        .reshape(-1, 4)
        .T
        for motif_id in motifs.ids
    }
    peers = memelite.fimo(
        matrices, one_hot.astype(np.int8), eps=eps, bin_size=0.01, threshold=1e-3
    )
    theirs = {
        (int(i), m, int(start), 1 if strand == "+" else -1): score
        for m, frame in enumerate(peers)
        for i, start, strand, score in zip(
            frame["sequence_name"],
            frame["start"],
            frame["strand"],
            frame["score"] - math.log2(1 + 4 * eps) * motifs.widths[m],
            strict=True,
        )
    }
    ours = {}
    for i, window in enumerate(windows):
        hits = motifs.scan(as_bytes(window), p=1e-3)
        for m, start, strand, score in zip(
            hits.motif, hits.start, hits.strand, hits.score, strict=True
        ):
            ours[i, int(m), int(start), int(strand)] = score
    shared = ours.keys() & theirs.keys()
    assert len(shared) > 5000
    for key in shared:
        # both round each column to 0.01 bits, memelite only for its p-values
        assert abs(ours[key] - theirs[key]) <= 0.005 * motifs.widths[key[1]] + 1e-6
    # What one program alone reports lies within the rounding of the threshold.
    # memelite looks an unrounded score up in a table of rounded ones, so where scores
    # are far apart (short motifs) it can take a site for the next better one: it gives
    # p = 0.00098 to sites of MA0300.2 that 19 of the 4,096 6-mers equal or beat.
    alone = ours.keys() ^ theirs.keys()
    for key in alone:
        score = ours[key] if key in ours else theirs[key]
        slack = 0.01 * int(motifs.widths[key[1]])
        assert motifs.p_value(key[1], score + slack) <= 1e-3
    assert len(ours.keys() - theirs.keys()) < 0.005 * len(shared)
    assert sum(motifs.widths[key[1]] >= 10 for key in alone) < 0.02 * sum(
        motifs.widths[key[1]] >= 10 for key in shared
    )
