"""Consequences worked out by hand, and by translating whole proteins with Biopython."""

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st
from pysam.bcftools import csq

from tests.organisms import (
    SEQUENCES,
    TRANSCRIPTS,
    base,
    coding_sequence,
    reverse_complement,
    snv,
)
from variant_effect.consequences import (
    FLANK_BP,
    SEVERITY,
    SO_TERMS,
    impact,
    nearest_gene,
    severity,
    so_term,
)
from variant_effect.preparation import GFF_FILE


def stretch(contig: str, first: int, last: int) -> str:
    """Bases of 1-based positions first to last."""
    return SEQUENCES[contig][first - 1 : last].upper()


def deletion(contig: str, first: int, last: int) -> tuple[str, int, str, str]:
    """Take out the 1-based positions first to last."""
    return contig, first - 1, stretch(contig, first - 1, last), base(contig, first - 1)


def insertion(contig: str, after: int, bases: str) -> tuple[str, int, str, str]:
    return contig, after, base(contig, after), base(contig, after) + bases


# gD: + strand, chr2:301-900 (1-based), no UTR. M 301, K 304, R 307, W 310, S 313, L 316,
# E 319; stop TAA at 898-900.
FORWARD = [
    (("chr2", 301, "A", "G"), "start_lost"),
    (("chr2", 302, "T", "C"), "start_lost"),
    (("chr2", 303, "G", "A"), "start_lost"),
    (("chr2", 304, "A", "G"), "missense_variant"),  # AAA K > GAA E
    (("chr2", 306, "A", "G"), "synonymous_variant"),  # AAA K > AAG K
    (("chr2", 307, "C", "T"), "stop_gained"),  # CGA R > TGA
    (("chr2", 307, "C", "A"), "synonymous_variant"),  # CGA R > AGA R
    (("chr2", 311, "G", "A"), "stop_gained"),  # TGG W > TAG
    (("chr2", 315, "A", "C"), "synonymous_variant"),  # TCA S > TCC S
    (("chr2", 307, "CGA", "TAA"), "stop_gained"),  # three bases at once
    (("chr2", 307, "CG", "AC"), "missense_variant"),  # CGA R > ACA T
    (("chr2", 898, "T", "C"), "stop_lost"),  # TAA > CAA
    (("chr2", 899, "A", "G"), "stop_retained_variant"),  # TAA > TGA
    (("chr2", 900, "A", "G"), "stop_retained_variant"),  # TAA > TAG
    (deletion("chr2", 307, 307), "frameshift_variant"),
    (insertion("chr2", 306, "GG"), "frameshift_variant"),
    (deletion("chr2", 307, 309), "inframe_deletion"),
    (insertion("chr2", 306, "GGG"), "inframe_insertion"),
    (insertion("chr2", 306, "TAA"), "stop_gained&inframe_insertion"),
]
# gB: - strand, exons chr1:6001-6250 and 6401-6800, CDS 6101-6250 and 6401-6700. Read from
# 6700 down: M 6700, K 6697, R 6694, W 6691; stop at 6103-6101. Intron 6251-6400.
REVERSE = [
    (("chr1", 6700, "T", "C"), "start_lost"),
    (("chr1", 6697, "T", "C"), "missense_variant"),  # AAA K > GAA E
    (("chr1", 6695, "T", "C"), "synonymous_variant"),  # AAA K > AAG K
    (("chr1", 6694, "G", "A"), "stop_gained"),  # CGA R > TGA
    (("chr1", 6690, "C", "T"), "stop_gained"),  # TGG W > TAG
    (("chr1", 6103, "A", "G"), "stop_lost"),  # TAA > CAA
    (("chr1", 6102, "T", "C"), "stop_retained_variant"),  # TAA > TGA
    (deletion("chr1", 6694, 6694), "frameshift_variant"),
    (deletion("chr1", 6692, 6694), "inframe_deletion"),
    (snv("chr1", 6400), "splice_donor_variant"),
    (snv("chr1", 6399), "splice_donor_variant"),
    (snv("chr1", 6252), "splice_acceptor_variant"),
    (snv("chr1", 6251), "splice_acceptor_variant"),
    (snv("chr1", 6300), "intron_variant"),
    (snv("chr1", 6701), "5_prime_UTR_variant"),
    (snv("chr1", 6800), "5_prime_UTR_variant"),
    (snv("chr1", 6100), "3_prime_UTR_variant"),
    (snv("chr1", 6001), "3_prime_UTR_variant"),
]
# gA: + strand, exons chr1:2001-2200, 2301-2421, 2561-2900, CDS 2051-2700.
SPLICED = [
    (snv("chr1", 2050), "5_prime_UTR_variant"),
    (("chr1", 2051, "A", "G"), "start_lost"),
    (snv("chr1", 2201), "splice_donor_variant"),
    (snv("chr1", 2202), "splice_donor_variant"),
    (snv("chr1", 2299), "splice_acceptor_variant"),
    (snv("chr1", 2300), "splice_acceptor_variant"),
    (snv("chr1", 2422), "splice_donor_variant"),
    (snv("chr1", 2250), "intron_variant"),
    (snv("chr1", 2701), "3_prime_UTR_variant"),
    (snv("chr1", 2900), "3_prime_UTR_variant"),
    (snv("chr1", 9100), "non_coding_transcript_exon_variant"),
    (snv("chr1", 9200), "intron_variant"),
]
# gM: chrM:151-600 in the vertebrate mitochondrial code. M ATG 151, M ATA 154, W TGA 157,
# S AGC 160; stop AGA at 598-600.
MITOCHONDRION = [
    (("chrM", 156, "A", "G"), "synonymous_variant"),  # ATA M > ATG M
    (("chrM", 159, "A", "G"), "synonymous_variant"),  # TGA W > TGG W
    (("chrM", 158, "G", "C"), "missense_variant"),  # TGA W > TCA S
    (("chrM", 162, "C", "A"), "stop_gained"),  # AGC S > AGA, a stop here
    (("chrM", 600, "A", "G"), "stop_retained_variant"),  # AGA > AGG
    (("chrM", 598, "A", "T"), "stop_lost"),  # AGA > TGA, W here
]
BY_HAND = [*FORWARD, *REVERSE, *SPLICED, *MITOCHONDRION]


def test_terms_by_hand(score) -> None:
    frame = score([record for record, _ in BY_HAND])
    assert (frame["status"] == "scored").all()
    got = list(zip(frame["chrom"], frame["pos"], frame["ref"], frame["alt"],
                   frame["consequence"], strict=True))  # fmt: skip
    expected = [(*record, term) for record, term in BY_HAND]
    assert got == expected


def test_splice_region_stands_beside_the_coding_term(score) -> None:
    # The last three bases of an exon and bases 3 to 8 of an intron, on both strands.
    exon = [2198, 2199, 2200, 2301, 2303, 6401, 6403, 6248]
    intron = [2203, 2208, 2293, 2298, 6398, 6393, 6253, 6258]
    beyond = [2209, 2292, 6392, 6259]
    terms = score([snv("chr1", p) for p in exon])["consequence"].str.split("&")
    assert all("splice_region_variant" in term and len(term) == 2 for term in terms)
    for term in terms:
        assert term == sorted(term, key=SEVERITY.__getitem__)
    inner = score([snv("chr1", p) for p in intron])["consequence"]
    assert inner.str.contains("splice_region_variant").all()
    assert (
        score([snv("chr1", p) for p in beyond])["consequence"] == "intron_variant"
    ).all()


def test_gene_transcript_and_the_other_transcript(score) -> None:
    # 2351 lies in tA1's second exon, which tA2 skips; 2101 codes in both. csq alone says
    # nothing of tA2 at the first, and names no gene in introns and non-coding genes.
    frame = score([snv("chr1", 2351), snv("chr1", 2101), ("chr2", 307, "C", "T")])
    assert frame["gene"].tolist() == ["gA", "gA", "gD"]
    assert frame["symbol"].tolist() == ["ALPHA", "ALPHA", "DELTA"]
    assert frame["transcript"].tolist() == ["tA1", "tA1", "tD1"]
    assert frame["other_consequences"][0] == "tA2:intron_variant"
    assert frame["other_consequences"][1].startswith("tA2:")
    assert frame["other_consequences"][2] is None
    assert frame["impact"].tolist()[2] == "HIGH"
    frame = score([snv("chr1", 2250), snv("chr1", 9100), snv("chr1", 9200)])
    assert frame["gene"].tolist() == ["gA", "gN", "gN"]
    assert frame["transcript"].tolist() == ["tA1", "tN1", "tN1"]
    assert frame["other_consequences"].tolist() == ["tA2:intron_variant", None, None]


@pytest.mark.parametrize(
    ("record", "term", "gene", "distance"),
    [
        (snv("chr1", 2000), "upstream_gene_variant", "gA", 1),
        (snv("chr1", 1), "upstream_gene_variant", "gA", 2000),
        # Downstream of gA (1 bp) and of gB, upstream of nothing within 5 kb.
        (snv("chr1", 2901), "downstream_gene_variant", "gA", 1),
        # Upstream goes before downstream: gN at 9001 is 4,999 bp away, gB 2,001.
        (snv("chr1", 4002), "upstream_gene_variant", "gN", 4999),
        (snv("chr1", 4001), "upstream_gene_variant", "gN", 5000),
        (snv("chr1", 4000), "downstream_gene_variant", "gA", 1100),
        (snv("chr1", 6000), "upstream_gene_variant", "gN", 3001),
        # gB lies on the - strand: right of it is upstream, and nearer than gN.
        (snv("chr1", 6801), "upstream_gene_variant", "gB", 1),
        (snv("chr1", 8000), "upstream_gene_variant", "gN", 1001),
        (snv("chr1", 9401), "upstream_gene_variant", "gB", 2601),
        (snv("chr1", 14_400), "downstream_gene_variant", "gN", 5000),
        (snv("chr1", 14_401), "intergenic_variant", None, None),
        (snv("chr2", 300), "upstream_gene_variant", "gD", 1),
        (snv("chr2", 901), "downstream_gene_variant", "gD", 1),
        # Between 299 and 300; between 902 and 903: one base lies between it and the gene.
        (("chr2", 299, base("chr2", 299), base("chr2", 299) + "CG"), None, "gD", 2),
        (deletion("chr2", 903, 904), None, "gD", 3),
    ],
)
def test_distance_outside_genes(score, record, term, gene, distance) -> None:
    row = score([record]).iloc[0]
    if term:
        assert row["consequence"] == term
    assert row["gene"] == gene
    if distance is None:
        assert np.isnan(row["distance"])
    else:
        assert row["distance"] == distance
    assert row["impact"] == "MODIFIER"
    assert row["transcript"] is None


def expected_term(model, offset: int, letter: str) -> str:
    """What a changed base of the CDS does, by translating the whole CDS before and after."""
    text = coding_sequence(model)
    changed = text[:offset] + letter + text[offset + 1 :]
    before = str(Seq(text).translate(table=model.code))
    after = str(Seq(changed).translate(table=model.code))
    if offset < 3:
        return "start_lost"
    if before == after:
        return (
            "stop_retained_variant" if offset >= len(text) - 3 else "synonymous_variant"
        )
    if "*" in after[:-1]:
        return "stop_gained"
    return "stop_lost" if after[-1] != "*" else "missense_variant"


def all_snvs(model) -> list[tuple[tuple[str, int, str, str], str]]:
    places = [p for start, end in model.cds for p in range(start, end)]
    if model.strand == "-":
        places.reverse()
    found = []
    for offset, place in enumerate(places):
        for letter in set("ACGT") - {coding_sequence(model)[offset]}:
            alt = letter if model.strand == "+" else reverse_complement(letter)
            record = snv(model.contig, place + 1, alt)
            found.append((record, expected_term(model, offset, letter)))
    return found


@pytest.mark.parametrize(
    "model", [m for m in TRANSCRIPTS if m.cds], ids=lambda m: m.name
)
def test_all_changes_of_a_coding_sequence_against_biopython(score, model) -> None:
    given = all_snvs(model)
    frame = score([record for record, _ in given])
    mine = frame["consequence"].where(frame["transcript"] == model.name)
    others = (
        frame["other_consequences"].fillna("").str.extract(rf"{model.name}:([^,]+)")[0]
    )
    without = {"splice_region_variant"}
    terms = [
        "&".join(word for word in term.split("&") if word not in without)
        for term in mine.fillna(others)
    ]
    expected = [term for _, term in given]
    starts = [i for i, term in enumerate(expected) if term == "start_lost"]
    # Table 2 has further start codons and stops: the term says both.
    if model.code == 2:
        for i in starts:
            assert "start_lost" in terms[i]
            terms[i] = "start_lost"
    assert terms == expected


def test_descending_positions_and_contigs_in_one_process(score) -> None:
    # csq keeps the last position it read in a static variable; each call starts lower.
    once = [score([record]).iloc[0]["consequence"] for record, _ in BY_HAND[::-1]]
    assert once == [term for _, term in BY_HAND[::-1]]


@pytest.mark.parametrize(
    ("short", "term", "rank"),
    [
        (
            "missense&splice_region",
            "missense_variant&splice_region_variant",
            "MODERATE",
        ),
        ("splice_region&stop_gained", "stop_gained&splice_region_variant", "HIGH"),
        ("*missense", "missense_variant", "MODERATE"),
        ("intron", "intron_variant", "MODIFIER"),
        ("synonymous&stop_retained", "stop_retained_variant&synonymous_variant", "LOW"),
    ],
)
def test_names_of_terms(short: str, term: str, rank: str) -> None:
    assert so_term(short) == term
    assert impact(term) == rank
    assert severity(term) == SEVERITY[term.split("&")[0]]


def test_severity_follows_ensembl() -> None:
    order = [SEVERITY[SO_TERMS[name]] for name in (
        "splice_acceptor", "splice_donor", "stop_gained", "frameshift", "stop_lost",
        "start_lost", "inframe_insertion", "inframe_deletion", "missense",
        "inframe_altering", "splice_region", "start_retained", "stop_retained",
        "synonymous", "coding_sequence", "5_prime_utr", "3_prime_utr", "non_coding",
        "intron", "upstream", "downstream", "intergenic",
    )]  # fmt: skip
    assert order == sorted(order)


def slow_nearest(start: int, end: int, genes) -> tuple[int, int, int]:
    """Side, gene and distance by looking at every gene."""
    if any(a < end and b > start for a, b, _, _ in genes):
        return 3, -1, 0
    best: dict[int, tuple[int, list[int]]] = {}
    for a, b, strand, gene in genes:
        if a >= end:
            side, gap = (1 if strand > 0 else 2), a - end + 1
        else:
            side, gap = (2 if strand > 0 else 1), start - b + 1
        if gap > FLANK_BP:
            continue
        known = best.setdefault(side, (gap, []))
        if gap < known[0]:
            best[side] = (gap, [gene])
        elif gap == known[0]:
            known[1].append(gene)
    for side in (1, 2):
        if side in best:
            return side, best[side][1], best[side][0]
    return 0, -1, -1


GENES = st.lists(
    st.tuples(st.integers(0, 30_000), st.integers(1, 9_000), st.sampled_from([1, -1])),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    GENES, st.lists(st.tuples(st.integers(0, 45_000), st.integers(0, 4)), min_size=1)
)
def test_nearest_gene_against_looking_at_all(genes, alleles) -> None:
    rows = sorted((a, a + n, strand) for a, n, strand in genes)
    table = [(a, b, s, 10 + i) for i, (a, b, s) in enumerate(rows)]
    start = np.array([a for a, _ in alleles])
    end = start + np.array([n for _, n in alleles])
    side, gene, distance = nearest_gene(
        start, end, *(np.array([row[k] for row in table]) for k in range(4))
    )
    for i in range(len(alleles)):
        want_side, want_genes, want_distance = slow_nearest(start[i], end[i], table)
        assert (side[i], distance[i]) == (want_side, want_distance)
        if want_side in (1, 2):
            assert gene[i] in want_genes
        elif want_side == 3:
            a, b, _, _ = table[gene[i] - 10]
            assert a < end[i]
            assert b > start[i]
        else:
            assert gene[i] == -1


def test_an_insertion_before_the_first_base_of_a_gene_is_outside_it():
    spans = (np.array([100]), np.array([200]), np.array([1]), np.array([0]))
    start = np.array([100, 101, 200])  # interbase: before, inside, behind the gene
    side, gene, distance = nearest_gene(start, start, *spans)
    assert side.tolist() == [1, 3, 2]
    assert gene.tolist() == [0, 0, 0]
    assert distance.tolist() == [1, 0, 1]


def test_csq_called_by_others_in_this_process_does_no_harm(
    score, engine, tmp_path
) -> None:
    """csq's static position is then one we did not set: the run is tried again."""
    first = score([snv("chr1", 1500)])
    sites = tmp_path / "foreign.vcf"
    chrom, pos, ref, alt = snv("chr1", 9900)
    sites.write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n"
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n"
    )
    csq(
        "-f", str(engine.material.genome.path),
        "-g", str(engine.prepared.consequence / GFF_FILE), "-l",
        "-o", str(tmp_path / "o.vcf"), str(sites), catch_stdout=False,
    )  # fmt: skip
    pd.testing.assert_frame_equal(score([snv("chr1", 1500)]), first)


def test_a_deletion_of_whole_transcripts_ablates_them(score) -> None:
    row = score([deletion("chr1", 1990, 2910)]).iloc[0]  # all of gA, 2001-2900
    assert (row["consequence"], row["impact"]) == ("transcript_ablation", "HIGH")
    assert row["gene"] == "gA"
    assert {row["transcript"], *row["other_consequences"].split(",")} in (
        {"tA1", "tA2:transcript_ablation"},
        {"tA2", "tA1:transcript_ablation"},
    )
    part = score([deletion("chr1", 2010, 2910)]).iloc[0]  # the first bases are left
    assert part["consequence"] != "transcript_ablation"
