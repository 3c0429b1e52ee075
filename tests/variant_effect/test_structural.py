"""Structural alleles: a small chromosome worked out by hand."""

from pathlib import Path
from typing import cast

import duckdb
import numpy as np
import pytest

from data_registry.contigs import ContigNames
from data_registry.genome import Contig, Genome, write_index
from data_registry.schema import TABLES
from variant_effect.alleles import (
    STATUSES,
    AlleleTable,
    read_alleles,
    read_records,
)
from variant_effect.consequences import Consequences
from variant_effect.markov import Background, MarkovModel
from variant_effect.material import Material
from variant_effect.preparation import make_caller
from variant_effect.scorers.structural import StructuralScorer
from variant_effect.structural import Side, association, fill_consequences, read_events

# chrI (12,000 bp), 0-based half-open:
#   A (+)  exons [1000,1200) [1400,1600), CDS [1050,1550)       introns [1200,1400)
#   B (-)  exon  [2000,2300), non-coding
#   C (-)  exons [3000,3100) [3300,3500), CDS [3040,3450)
# chrII (3,000 bp): D (+) one exon and CDS [500,800)
ROWS = """
INSERT INTO genes (gene_id, symbol, contig, start, "end", strand) VALUES
    ('A', 'alpha', 'chrI', 1000, 1600, '+'),
    ('B', NULL, 'chrI', 2000, 2300, '-'), ('C', NULL, 'chrI', 3000, 3500, '-'),
    ('D', NULL, 'chrII', 500, 800, '+');
INSERT INTO transcripts
    (transcript_id, gene_id, contig, start, "end", strand, is_canonical)
    VALUES ('A.1', 'A', 'chrI', 1000, 1600, '+', TRUE),
    ('B.1', 'B', 'chrI', 2000, 2300, '-', TRUE),
    ('C.1', 'C', 'chrI', 3000, 3500, '-', TRUE),
    ('D.1', 'D', 'chrII', 500, 800, '+', TRUE);
INSERT INTO features (transcript_id, kind, contig, start, "end", strand, phase)
    VALUES ('A.1', 'exon', 'chrI', 1000, 1200, '+', NULL),
    ('A.1', 'exon', 'chrI', 1400, 1600, '+', NULL),
    ('A.1', 'cds', 'chrI', 1050, 1200, '+', 0),
    ('A.1', 'cds', 'chrI', 1400, 1550, '+', 0),
    ('B.1', 'exon', 'chrI', 2000, 2300, '-', NULL),
    ('C.1', 'exon', 'chrI', 3000, 3100, '-', NULL),
    ('C.1', 'exon', 'chrI', 3300, 3500, '-', NULL),
    ('C.1', 'cds', 'chrI', 3040, 3100, '-', 0),
    ('C.1', 'cds', 'chrI', 3300, 3450, '-', 0),
    ('D.1', 'exon', 'chrII', 500, 800, '+', NULL),
    ('D.1', 'cds', 'chrII', 500, 800, '+', 0);
INSERT INTO intervals (kind, contig, start, "end") VALUES
    ('promoter', 'chrI', 900, 1000),
    ('enhancer', 'chrI', 2500, 2600), ('tad', 'chrI', 0, 1800),
    ('tad', 'chrI', 1800, 4000), ('tad', 'chrI', 4000, 12000);
"""


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """The small chromosomes and what the registry knows of them."""
    folder = tmp_path_factory.mktemp("structural")
    rng = np.random.default_rng(20_261_121)
    path, text, contigs = folder / "genome.fa", "", []
    for name, length in (("chrI", 12_000), ("chrII", 3_000)):
        text += f">{name}\n"
        contigs.append(Contig(name, length, len(text)))
        text += "".join(rng.choice(list("ACGT"), length)) + "\n"
    path.write_text(text)
    write_index(contigs, path)
    genome = Genome("test", path)
    (folder / "empty.gff3").write_text("##gff-version 3\n")
    connection = duckdb.connect()
    for name in ("genes", "transcripts", "features", "intervals"):
        columns = ", ".join(f'"{c.name}" {c.type}' for c in TABLES[name].columns)
        connection.execute(f"CREATE TABLE {name} ({columns})")
    connection.execute(ROWS)
    return Material(
        workspace=folder,
        connection=connection,
        genome=genome,
        contig_names=ContigNames(tuple(genome)),
        caller=make_caller(connection, genome, folder / "empty.gff3", {}),
        markov=MarkovModel.fit({name: genome.contig(name) for name in genome}, order=3),
        background=cast("Background", None),
        graph=None,
    )


def read(material: Material, *records: tuple[str, int, str, str]) -> AlleleTable:
    """Read (CHROM, POS, ALT, INFO) records whose REF is the genome's base."""
    lines = ""
    for chrom, pos, alt, info in records:
        ref = material.genome.fetch(chrom, pos - 1, pos)
        lines += f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t{info}\n"
    table = read_records(lines.encode(), Path("test.vcf"), 1)
    return read_alleles(table, material.genome, {c: c for c in material.genome})


def called(material: Material, alleles: AlleleTable) -> Consequences:
    def blank() -> np.ndarray:
        return np.full(len(alleles), "", dtype=object)

    found = Consequences(
        blank(), blank(), blank(), blank(), blank(), blank(), blank(), blank(),
        np.full(len(alleles), -1, np.int64),
    )  # fmt: skip
    fill_consequences(alleles, found, material)
    return found


def described(material: Material, alleles: AlleleTable) -> list[dict[str, object]]:
    scorer = StructuralScorer.make(material)
    columns = scorer.score(alleles, called(material, alleles), {}, material.connection)
    assert list(columns) == [column.name for column in scorer.columns]
    for column in scorer.columns:
        assert columns[column.name].type == column.type
    return [
        {name: values[i].as_py() for name, values in columns.items()}
        for i in range(len(alleles))
    ]


PARTS = "coding_sequence_variant"
CASES = [
    # POS is the base before: POS 1000 starts at 0-based 1000.
    ("<DEL>", 1000, 1600, "transcript_ablation", "A"),
    ("<DEL>", 900, 2000, "transcript_ablation", "A"),
    ("<DEL:ME>", 1001, 1600,
     f"stop_lost&start_lost&feature_truncation&{PARTS}&5_prime_UTR_variant&"
     "3_prime_UTR_variant&intron_variant", "A"),
    ("<DEL>", 1100, 1150, f"feature_truncation&{PARTS}", "A"),
    ("<DEL>", 1250, 1300, "intron_variant", "A"),
    ("<DEL>", 1010, 1050, "feature_truncation&5_prime_UTR_variant", "A"),
    ("<DEL>", 1010, 1051,
     f"start_lost&feature_truncation&{PARTS}&5_prime_UTR_variant", "A"),
    ("<DEL>", 1549, 1560,
     f"stop_lost&feature_truncation&{PARTS}&3_prime_UTR_variant", "A"),
    # C lies on '-': its start codon is [3447, 3450), its stop codon [3040, 3043)
    ("<DEL>", 3446, 3448, f"start_lost&feature_truncation&{PARTS}", "C"),
    ("<DEL>", 3042, 3060, f"stop_lost&feature_truncation&{PARTS}", "C"),
    ("<DEL>", 3455, 3460, "feature_truncation&5_prime_UTR_variant", "C"),
    ("<DEL>", 2100, 2110, "feature_truncation&non_coding_transcript_exon_variant", "B"),
    ("<CN0>", 1000, 1600, "transcript_ablation", "A"),
    ("<DUP>", 1000, 1600, "transcript_amplification", "A"),
    ("<CN4>", 1000, 1600, "transcript_amplification", "A"),
    ("<DUP:TANDEM>", 1100, 1150, f"feature_elongation&{PARTS}", "A"),
    ("<DUP>", 800, 1100, f"{PARTS}&5_prime_UTR_variant", "A"),
    ("<DUP>", 1250, 1300, "intron_variant", "A"),
    ("<INV>", 1100, 1150, PARTS, "A"),
    ("<INV>", 1150, 1250, f"{PARTS}&intron_variant", "A"),
    ("<INV>", 1250, 1300, "intron_variant", "A"),
    # A turned round whole: the end at 950 lies 51 bp before A's first base.
    ("<INV>", 950, 1700, "upstream_gene_variant", "A"),
    ("<CNV>", 1100, 1150, PARTS, "A"),
    ("<CN2>", 1100, 1150, PARTS, "A"),
    # Behind A by 51 bp; B and C lie on '-' further right, so this is behind them too.
    ("<DEL>", 1650, 1700, "downstream_gene_variant", "A"),
    ("<DEL>", 11_000, 11_010, "intergenic_variant", ""),
]  # fmt: skip


@pytest.mark.parametrize(("alt", "pos", "end", "term", "gene"), CASES)
def test_consequence_worked_out_by_hand(
    material: Material, alt: str, pos: int, end: int, term: str, gene: str
) -> None:
    alleles = read(material, ("chrI", pos, alt, f"END={end}"))
    found = called(material, alleles)
    assert (found.term[0], found.gene[0]) == (term, gene)
    has_transcript = "gene" not in term.split("_") and gene
    assert found.transcript[0] == (f"{gene}.1" if has_transcript else "")
    assert found.symbol[0] == ("alpha" if gene == "A" else "")


def test_genes_elements_and_borders_are_counted(material: Material) -> None:
    alleles = read(
        material,
        ("chrI", 950, "<DEL>", "END=2550"),  # A, B, both elements, border 1800
        ("chrI", 950, "<INV>", "END=2550"),  # breaks the elements, no gene
        ("chrI", 1800, "<DEL>", "END=4000"),  # from border to border: none inside
        ("chrI", 1799, "<DUP>", "END=4001"),
        ("chrI", 1100, "<DEL>", "SVTYPE=DEL;SVLEN=-50"),
        ("chrI", 1100, "<DEL>", "END=1100"),  # END = POS: the base itself
        ("chrI", 1100, "A" if material.genome.fetch("chrI", 1099, 1100) != "A" else "C",
         "."),
    )  # fmt: skip
    found = described(material, alleles)
    assert [tuple(row.values())[:6] for row in found] == [
        ("DEL", 1600, "A,B", 2, 2, 1),
        ("INV", 1600, None, 0, 2, 1),
        ("DEL", 2200, "B,C", 2, 1, 0),
        ("DUP", 2202, "B,C", 2, 1, 2),
        ("DEL", 50, "A", 1, 0, 0),
        ("DEL", 1, "A", 1, 0, 0),
        (None,) * 6,
    ]
    assert called(material, alleles).term[6] == "", "small alleles are left alone"
    assert called(material, alleles).others[0] == "B.1:transcript_ablation"


def test_extents_that_make_no_sense_are_reasons(material: Material) -> None:
    alleles = read(
        material,
        ("chrI", 1100, "<DEL>", "END=1050"),
        ("chrI", 1100, "<DEL>", "SVTYPE=DEL"),
        ("chrI", 1100, "<DEL>", "END=99999"),
    )
    assert [STATUSES[code] for code in alleles.status] == [
        "symbolic_without_end", "symbolic_without_end", "off_contig"
    ]  # fmt: skip
    assert read_events(alleles, material.contig_names.resolve) == []
    assert {tuple(row.values()) for row in described(material, alleles)} == {
        (None,) * 7
    }


def test_breakends_of_all_orientations(material: Material) -> None:
    base = material.genome.fetch("chrI", 1099, 1100)
    alleles = read(
        material,
        ("chrI", 1100, f"{base}[chrII:601[", "."),
        ("chrI", 1100, f"{base}]chrII:601]", "."),
        ("chrI", 1100, f"]chrII:601]{base}", "."),
        ("chrI", 1100, f"[chrII:601[{base}", "."),
        ("chrI", 1100, f"{base}GG[<II>:601[", "."),
        ("chrI", 1100, f"{base}[ctg9:5[", "."),
        ("chrI", 1100, f"{base}.", "."),
        ("chrI", 1100, f".{base}", "."),
    )
    events = read_events(alleles, material.contig_names.resolve)
    # 0-based: the base here is 1099, its mate 600.
    assert [event.junctions for event in events] == [
        ((Side("chrI", 1100), Side("chrII", 600), ""),),
        ((Side("chrI", 1100), Side("chrII", 601, forward=False), ""),),
        ((Side("chrII", 601), Side("chrI", 1099), ""),),
        ((Side("chrII", 600, forward=False), Side("chrI", 1099), ""),),
        ((Side("chrI", 1100), Side("chrII", 600), "GG"),),
        (), (), (),
    ]  # fmt: skip
    assert [event.kind for event in events] == ["BND"] * 6 + ["SGL"] * 2
    assert events[6].spans == (("chrI", 1100, 1100),)
    assert events[7].spans == (("chrI", 1099, 1099),)
    found = described(material, alleles)
    assert [row["sv_genes"] for row in found] == ["A,D"] * 5 + ["A"] * 3
    assert [row["sv_length"] for row in found] == [None] * 8
    assert [row["sv_breakpoint_llr"] is None for row in found] == [False] * 5 + [
        True
    ] * 3
    consequences = called(material, alleles)
    assert set(consequences.term) == {f"feature_truncation&{PARTS}"}
    assert consequences.others[0] == f"D.1:feature_truncation&{PARTS}"
    assert consequences.others[5] == ""


def test_a_break_at_a_genes_edge_does_not_break_it(material: Material) -> None:
    last = material.genome.fetch("chrI", 1599, 1600)
    inside = material.genome.fetch("chrI", 1598, 1599)
    alleles = read(
        material,
        ("chrI", 1600, f"{last}.", "."),  # the cut lies behind A's last base
        ("chrI", 1599, f"{inside}.", "."),
    )
    found = described(material, alleles)
    assert [row["sv_genes"] for row in found] == [None, "A"]
    consequences = called(material, alleles)
    assert consequences.term.tolist() == [
        "downstream_gene_variant", "feature_truncation&3_prime_UTR_variant"
    ]  # fmt: skip
    assert consequences.distance.tolist() == [1, -1]


def slow_association(markov: MarkovModel, left: str, right: str) -> float:
    """``s(A, B)`` by whole likelihoods: ``log_likelihood`` reads both strands."""

    def total(text: str) -> float:
        found, _ = markov.log_likelihood(np.frombuffer(text.encode(), np.uint8))
        return found

    joint = total(left + right) - total(left) - total(right)
    return joint / 2 / (len(left) + len(right))


def test_junction_scores_are_those_of_whole_likelihoods(material: Material) -> None:
    genome, markov = material.genome, material.markov
    pairs = str.maketrans("ACGT", "TGCA")

    def reverse(text: str) -> str:
        return text.translate(pairs)[::-1]

    def here(cut: int, contig: str = "chrI") -> tuple[str, str]:
        return genome.fetch(contig, cut - 3, cut), genome.fetch(contig, cut, cut + 3)

    def score(left: str, right: str, *references: tuple[str, str]) -> float:
        known = [slow_association(markov, *pair) for pair in references]
        return slow_association(markov, left, right) - sum(known) / len(known)

    low, high, mate = here(1100), here(1500), here(600, "chrII")
    base = genome.fetch("chrI", 1099, 1100)
    alleles = read(
        material,
        ("chrI", 1100, "<DEL>", "END=1500"),
        ("chrI", 1100, "<DUP>", "END=1500"),
        ("chrI", 1100, "<INV>", "END=1500"),
        ("chrI", 1100, "<CNV>", "END=1500"),
        ("chrI", 1100, f"{base}[chrII:601[", "."),
        ("chrI", 1100, f"{base}]chrII:600]", "."),
        ("chrI", 1101, f"[chrII:601[{genome.fetch('chrI', 1100, 1101)}", "."),
        ("chrI", 1100, f"{base}GG[chrII:601[", "."),
        ("chrI", 1, "<DEL>", "END=1500"),  # one base before it: too near to the end
    )
    expected = [
        score(low[0], high[1], low, high),
        score(high[0], low[1], low, high),
        (score(low[0], reverse(high[0]), low, high)
         + score(reverse(low[1]), high[1], low, high)) / 2,
        None,
        score(low[0], mate[1], low, mate),
        score(low[0], reverse(mate[0]), low, mate),
        score(reverse(mate[1]), low[1], low, mate),
        score(low[0][2:] + "GG", mate[1], low, mate),
        None,
    ]  # fmt: skip
    found = [row["sv_breakpoint_llr"] for row in described(material, alleles)]
    assert [value is None for value in found] == [value is None for value in expected]
    for value, wanted in zip(found, expected, strict=True):
        if wanted is not None:
            assert value == pytest.approx(wanted, abs=1e-5)


def test_cutting_out_nothing_scores_nothing(material: Material) -> None:
    """The junction of the reference with itself is the reference's: law of zero."""
    genome = material.genome
    codes = np.searchsorted(
        np.frombuffer(b"ACGT", np.uint8), genome.contig("chrI")[1000:1006]
    ).astype(np.uint8)
    both = association(material.markov, np.array([codes, 3 - codes[::-1]]))
    assert both[0] == pytest.approx(both[1]), "both strands are one junction"
    unknown = codes.copy()
    unknown[2] = 4
    assert np.isnan(association(material.markov, unknown[None])).all()
