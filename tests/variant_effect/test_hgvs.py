"""HGVS names: a gene worked out on paper, the same on the other strand, and laws."""

import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_registry.canonical_gff import write_canonical_gff
from data_registry.genome import Contig, Genome, write_index
from data_registry.normalisation import Alleles, Strings
from data_registry.store import open_store
from data_registry.translation import spliced_cds, translate
from tests.oracles.hgvs_reader import (
    Gene,
    apply_coding,
    apply_protein,
    coding_part,
    complement,
    mutated_protein,
    spliced,
)
from variant_effect.alleles import AlleleTable, read_alleles, read_records
from variant_effect.consequences import Consequences
from variant_effect.hgvs import MAX_SPELLED_BP, TranscriptModels, describe
from variant_effect.preparation import make_caller, table_of
from variant_effect.vcf import VcfReader

# Exon 1 is [10, 24), exon 2 [35, 65); c.1 is 16, c.8 is 23, c.9 is 35, c.24 is 50.
# M P K | K V L H *; in frame behind the stop: GGC TGA.
PAPER = (
    "ttcttcttct" "gacaacATGCCGAA" "gtaagtcctag" "AAAGGTATTACATTAAggctgacctagtaa"
    "aattgaattga"
).upper()  # fmt: skip
CODING = Gene("T1", ((10, 24), (35, 65)), "+", (16, 51))
NONCODING = Gene("R1", ((10, 24), (35, 65)), "+", None)


def mirrored(gene: Gene, length: int) -> Gene:
    """The same gene on the reverse complement of its contig."""
    exons = tuple((length - end, length - start) for start, end in gene.exons[::-1])
    cds = (length - gene.cds[1], length - gene.cds[0]) if gene.cds else None
    return Gene(gene.name, exons, "-" if gene.strand == "+" else "+", cds)


def write_genome(folder: Path, sequences: dict[str, str]) -> Genome:
    path, lines, contigs = folder / "genome.fa", "", []
    for name, bases in sequences.items():
        lines += f">{name}\n"
        contigs.append(Contig(name, len(bases), len(lines)))
        lines += f"{bases}\n"
    path.write_text(lines)
    write_index(contigs, path)
    return Genome("test", path)


def models_of(
    genes: list[tuple[Gene, str]], genome: Genome, phase: int = 0
) -> TranscriptModels:
    """Read the genes as the registry would hold them."""
    transcripts: list[tuple[object, ...]] = []
    features: list[tuple[object, ...]] = []
    for gene, contig in genes:
        low, high = gene.exons[0][0], gene.exons[-1][1]
        transcripts.append((gene.name, contig, low, high, gene.strand))
        for start, end in gene.exons:
            features.append((gene.name, "exon", contig, start, end, None))
            if gene.cds and start < gene.cds[1] and gene.cds[0] < end:
                start, end = max(start, gene.cds[0]), min(end, gene.cds[1])
                features.append((gene.name, "cds", contig, start, end, phase))
    names = ["transcript_id", "contig", "start", "end", "strand"]
    transcript_table = pd.DataFrame(transcripts, columns=names)
    names = ["transcript_id", "kind", "contig", "start", "end", "phase"]
    feature_table = pd.DataFrame(features, columns=names)
    feature_table["phase"] = feature_table["phase"].astype("Int8")
    with duckdb.connect() as connection:
        connection.register("transcripts", transcript_table)
        connection.register("features", feature_table)
        return TranscriptModels.read(connection, list(genome))


def consequences_on(transcripts: list[str]) -> Consequences:
    def blank() -> np.ndarray:
        return np.full(len(transcripts), "", dtype=object)

    found = Consequences(
        blank(), blank(), blank(), blank(), blank(), blank(), blank(), blank(),
        np.full(len(transcripts), -1, np.int64),
    )  # fmt: skip
    found.transcript[:] = transcripts
    return found


def names_of(
    genome: Genome,
    models: TranscriptModels,
    contig: str,
    transcript: str,
    changes: list[tuple[int, str, str]],
    codon_tables: dict[str, int] | None = None,
) -> list[tuple[str | None, ...]]:
    minimal = Alleles(
        np.array([start for start, _, _ in changes], np.int64),
        Strings.of([ref for _, ref, _ in changes]),
        Strings.of([alt for _, _, alt in changes]),
    )
    table = table_of(contig, genome, minimal)
    found = describe(
        table, consequences_on([transcript] * len(changes)), models, genome,
        codon_tables or {},
    )  # fmt: skip
    assert list(found) == ["hgvs_c", "hgvs_p", "codons", "amino_acids"]
    return list(zip(*(found[name].to_pylist() for name in found), strict=True))


@pytest.fixture
def paper(tmp_path: Path) -> tuple[Genome, TranscriptModels]:
    """The paper gene on contig 'one', its mirror image on 'two'."""
    genome = write_genome(tmp_path, {"one": PAPER, "two": complement(PAPER)})
    n = len(PAPER)
    genes = [
        (CODING, "one"),
        (NONCODING, "one"),
        (Gene("T2", *vars_of(mirrored(CODING, n))), "two"),
        (Gene("R2", *vars_of(mirrored(NONCODING, n))), "two"),
    ]
    return genome, models_of(genes, genome)


def vars_of(
    gene: Gene,
) -> tuple[tuple[tuple[int, int], ...], str, tuple[int, int] | None]:
    return gene.exons, gene.strand, gene.cds


ON_PAPER = [
    # start, ref, alt, c., p., codons, amino acids
    (15, "C", "A", "-1C>A", None, None, None),
    (10, "G", "C", "-6G>C", None, None, None),
    (16, "A", "G", "1A>G", "(Met1?)", "Atg/Gtg", "1M/1V"),
    (20, "C", "T", "5C>T", "(Pro2Leu)", "cCg/cTg", "2P/2L"),
    (21, "G", "A", "6G>A", "(Pro2=)", "ccG/ccA", "2P/2P"),
    (24, "G", "A", "8+1G>A", "?", None, None),
    (29, "T", "C", "8+6T>C", None, None, None),  # the middle of 11 bases
    (30, "C", "T", "9-5C>T", None, None, None),
    (33, "A", "G", "9-2A>G", "?", None, None),
    (35, "A", "T", "9A>T", "(Lys3Asn)", "aaA/aaT", "3K/3N"),  # codon over the intron
    (43, "T", "A", "17T>A", "(Leu6Ter)", "tTa/tAa", "6L/6*"),
    (48, "T", "C", "22T>C", "(Ter8GlnextTer2)", "Taa/Caa", "8*/8Q"),
    (50, "A", "G", "24A>G", "(Ter8=)", "taA/taG", "8*/8*"),
    (53, "C", "T", "*3C>T", None, None, None),
    # c.9-11 are A A A: the last one goes; no stop follows in that frame
    (35, "A", "", "11del", "(Lys4ArgfsTer?)", "aAg/ag", "4K/4Rfs"),
    # AAG CGT ATT ACA TTA AGG CTG ACC TAG
    (39, "", "C", "12_13insC", "(Val5ArgfsTer8)", "-/C", "5V/5Rfs"),
    (35, "AAA", "", "9_11del", "(Lys4del)", "aaAAAg/aag", "3KK/3K"),
    (19, "CCG", "", "4_6del", "(Pro2del)", "CCG/-", "2P/2-"),
    (45, "", "CAT", "19_21dup", "(His7dup)", "-/CAT", "8-/8H"),
    (39, "", "GCA", "13_14insCAG", "(Lys4_Val5insAla)", "gta/gCAGta", "5V/5AV"),
    (39, "GT", "CC", "13_14delinsCC", "(Val5Pro)", "GTa/CCa", "5V/5P"),
    (41, "AT", "CC", "15_16delinsCC", "(Val5_Leu6=)", "gtATta/gtCCta", "5VL/5VL"),
    (41, "AT", "CA", "15_16delinsCA", "(Leu6Ile)", "gtATta/gtCAta", "5VL/5VI"),
    (39, "", "TAA", "12_13insTAA", "(Val5Ter)", "-/TAA", "5-/5*"),
    (39, "", "GCCTAA", "13_14insCCTAAG", "(Val5delinsAlaTer)", "gta/gCCTAAGta",
     "5V/5A*"),
    (24, "GT", "", "8+1_8+2del", "?", None, None),
    (22, "AAGTA", "", "8_8+4del", "?", None, None),  # A at both ends
    (24, "", "C", "8_8+1insC", "?", None, None),
    (27, "", "A", "8+4dup", None, None, None),
    (14, PAPER[14:53], "", "-2_*2del", "0?", None, None),
    (15, "CAT", "", "-1_2del", "(Met1?)", None, None),
    # C ATG becomes CA ATG: the start stands again
    (16, "", "A", "1dup", "(Met1=)", None, None),
    (50, "AG", "", "24_*1del", "(Ter8=)", None, None),  # TA + G
    (48, "T", "", "22del", "(Ter8LysextTer?)", "Taa/aa", "8*/8K"),
    (5, "CTTCTGACA", "", "-11_-3del", None, None, None),  # from before the transcript
    (8, "CTGACAACATG", "", "-7_4del", "(Met1?)", None, None),  # C before CCG
]  # fmt: skip


@pytest.mark.parametrize("strand", ["+", "-"])
def test_names_worked_out_on_paper(
    paper: tuple[Genome, TranscriptModels], strand: str
) -> None:
    genome, models = paper
    changes = [row[:3] for row in ON_PAPER]
    if strand == "-":
        n = len(PAPER)
        changes = [
            (n - start - len(ref), complement(ref), complement(alt))
            for start, ref, alt in changes
        ]
    contig, name = ("one", "T1") if strand == "+" else ("two", "T2")
    found = names_of(genome, models, contig, name, changes)
    expected = [
        (f"{name}:c.{c}", p and f"p.{p}", codons, residues)
        for _, _, _, c, p, codons, residues in ON_PAPER
    ]
    assert found == expected


def test_non_coding_transcripts_count_from_their_first_base(
    paper: tuple[Genome, TranscriptModels],
) -> None:
    genome, models = paper
    changes = [(10, "G", "C"), (24, "G", "A"), (64, "A", "C"), (65, "A", "G"),
               (9, "T", "G")]  # fmt: skip
    found = names_of(genome, models, "one", "R1", changes)
    assert [row[0] for row in found] == [
        "R1:n.1G>C", "R1:n.14+1G>A", "R1:n.44A>C", "R1:n.*1A>G", "R1:n.-1T>G"
    ]  # fmt: skip
    assert {row[1:] for row in found} == {(None, None, None)}


def test_long_insertions_name_their_length(
    paper: tuple[Genome, TranscriptModels],
) -> None:
    genome, models = paper
    long = "CAT" * 67
    assert len(long) > MAX_SPELLED_BP
    ((coding, protein, codons, residues),) = names_of(
        genome, models, "one", "T1", [(39, "", long)]
    )
    assert coding == "T1:c.12_13insN[201]"
    assert protein == "p.(Lys4_Val5insXaa[67])"
    assert codons is None
    assert residues is None


def test_alleles_without_a_usable_transcript_have_no_name(
    paper: tuple[Genome, TranscriptModels],
) -> None:
    genome, models = paper
    for name in ("", "unheard of"):
        assert names_of(genome, models, "one", name, [(20, "C", "T")]) == [(None,) * 4]


def test_the_contigs_genetic_code_is_used(tmp_path: Path) -> None:
    # Table 3 (yeast mitochondrion): ATA starts, TGA is Trp, CTA is Thr.
    bases = "CCCCATATGACTATAACCCC"
    genome = write_genome(tmp_path, {"mito": bases})
    models = models_of([(Gene("M", ((4, 16),), "+", (4, 16)), "mito")], genome)
    changes = [(11, "T", "C"), (6, "A", "G"), (5, "T", "C"), (8, "G", "A")]
    found = names_of(genome, models, "mito", "M", changes, {"mito": 3})
    assert [row[1] for row in found] == [
        "p.(Thr3Pro)", "p.(Met1=)", "p.(Met1?)", "p.(Trp2Ter)"
    ]  # fmt: skip
    assert found[0][3] == "3T/3P"
    assert names_of(genome, models, "mito", "M", changes[:1])[0][1] == "p.(Leu3Pro)"


def test_a_cds_that_begins_inside_a_codon_has_no_start(tmp_path: Path) -> None:
    genome = write_genome(tmp_path, {"c": "TTTTGATGCCGTAATTTT"})
    models = models_of([(Gene("H", ((4, 14),), "+", (4, 14)), "c")], genome, phase=1)
    found = names_of(genome, models, "c", "H", [(4, "G", "A"), (5, "A", "G")])
    assert [row[:2] for row in found] == [
        ("H:c.1G>A", "p.?"), ("H:c.2A>G", "p.(Met1Val)")
    ]  # fmt: skip


def test_cds_gaps_inside_an_exon_count_as_introns(tmp_path: Path) -> None:
    # A +1 frameshift: the exon is one piece, the CDS skips its base 10.
    genome = write_genome(tmp_path, {"c": "TTTTATGCCATCAATAATTTT"})
    transcripts = pd.DataFrame(
        [("F", "c", 4, 18, "+")],
        columns=["transcript_id", "contig", "start", "end", "strand"],
    )
    features = pd.DataFrame(
        [("F", False, 4, 18, 0), ("F", True, 4, 10, 0), ("F", True, 11, 17, 0)],
        columns=["transcript_id", "is_cds", "start", "end", "phase"],
    )
    models = TranscriptModels.of(transcripts, features, ["c"])
    found = names_of(genome, models, "c", "F", [(10, "T", "G"), (11, "C", "G")])
    assert [row[:2] for row in found] == [
        ("F:c.6+1T>G", "p.?"), ("F:c.7C>G", "p.(Gln3Glu)")
    ]  # fmt: skip
    clash = features.assign(start=[4, 4, 9])
    overlapping = TranscriptModels.of(transcripts, clash, ["c"])
    assert overlapping.rows_of(np.array(["F", ""], object)).tolist() == [-1, -1]


@st.composite
def genes_with_alleles(draw: st.DrawFn) -> tuple[str, Gene, list[tuple[int, str, str]]]:
    """A random gene with introns and UTRs, and alleles in and around it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    few = draw(st.sampled_from(["ACGT", "AC", "AAC"]))

    def bases(n: int) -> str:
        return "".join(rng.choice(list(few), n))

    codons = [c for c in ("".join((a, b, d)) for a in few for b in few for d in few)
              if c not in ("TAA", "TAG", "TGA")]  # fmt: skip
    body = "".join(rng.choice(codons, int(rng.integers(1, 12))))
    cds = "ATG" + body + rng.choice(["TAA", "TAG", "TGA"])
    utr5, utr3 = bases(int(rng.integers(0, 8))), bases(int(rng.integers(0, 20)))
    spliced = utr5 + cds + utr3
    n_cuts = int(rng.integers(0, min(3, len(spliced) - 1) + 1))
    cuts = sorted(
        rng.choice(np.arange(1, len(spliced)), n_cuts, replace=False).tolist()
    )
    genome = bases(int(rng.integers(12, 20)))
    exons: list[tuple[int, int]] = []
    for first, last in zip([0, *cuts], [*cuts, len(spliced)], strict=True):
        if exons:
            genome += bases(int(rng.integers(5, 14)))
        exons.append((len(genome), len(genome) + last - first))
        genome += spliced[first:last]
    genome += bases(int(rng.integers(12, 20)))
    place = [p for start, end in exons for p in range(start, end)]
    span = (place[len(utr5)], place[len(utr5) + len(cds) - 1] + 1)
    gene = Gene("G", tuple(exons), "+", span)
    if draw(st.booleans()):
        gene, genome = mirrored(gene, len(genome)), complement(genome)
    alleles = []
    for _ in range(40):
        start = int(rng.integers(8, len(genome) - 8))
        n_ref, n_alt = (int(n) for n in rng.choice([0, 1, 1, 2, 3, 4, 6], 2))
        ref, alt = genome[start : start + n_ref], bases(n_alt)
        if n_ref == 0 and rng.random() < 0.5:
            alt = genome[start - n_alt : start]
        if ref != alt:
            alleles.append((start, ref, alt))
    return genome, gene, alleles


@settings(max_examples=60, deadline=None)
@given(case=genes_with_alleles())
def test_names_read_back_give_the_same_genome_and_protein(
    case: tuple[str, Gene, list[tuple[int, str, str]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    bases, gene, changes = case
    genome = write_genome(tmp_path_factory.mktemp("g"), {"c": bases})
    models = models_of([(gene, "c")], genome)
    found = names_of(genome, models, "c", "G", changes)
    reference = mutated_protein(gene, bases, 0, "", "")
    step = 1 if gene.strand == "+" else -1
    for (start, ref, alt), (coding, protein, *_) in zip(changes, found, strict=True):
        mutant = bases[:start] + alt + bases[start + len(ref) :]
        assert coding is not None
        read, kind = apply_coding(coding, gene, bases)
        assert read == mutant, (start, ref, alt, coding)
        placed = leftmost_and_rightmost(bases, mutant)
        edge = placed[1] if gene.strand == "+" else placed[0]
        if kind in ("del", "dup", "ins"):  # the 3' rule
            label = coding.split("c.")[1].rstrip("ACGT").removesuffix(kind)
            where = gene.labels(len(bases))[label.split("_")[-1]]
            size = abs(len(mutant) - len(bases))
            if kind == "del":
                assert where == (edge + size - 1 if step > 0 else edge)
            else:  # the 3'-most base before the insertion point, or after it for ins
                before = edge - 1 if step > 0 else edge
                assert where == (before + step if kind == "ins" else before)
        if protein is None or protein in ("p.?", "p.0?"):
            continue
        if protein == "p.(Met1?)":
            continue
        low, new_ref, new_alt = edge_form(bases, mutant, edge)
        if protein == "p.(Met1=)" and len(mutant) != len(bases):
            # A restored start: all from the old start on is still there.
            kept = coding_part(gene, bases, 0, "", "")
            assert spliced(gene, bases, low, new_ref, new_alt).endswith(kept)
            continue
        changed = mutated_protein(gene, bases, low, new_ref, new_alt)
        assert apply_protein(protein, reference, changed) == changed, (
            start, ref, alt, coding, protein, reference, changed,
        )  # fmt: skip


def edge_form(bases: str, mutant: str, edge: int) -> tuple[int, str, str]:
    """Spell the change of ``bases`` into ``mutant`` with its first base at ``edge``."""
    tail = 0
    while (
        tail < min(len(bases), len(mutant)) - edge
        and bases[len(bases) - 1 - tail] == mutant[len(mutant) - 1 - tail]
    ):
        tail += 1
    return edge, bases[edge : len(bases) - tail], mutant[edge : len(mutant) - tail]


def leftmost_and_rightmost(bases: str, mutant: str) -> tuple[int, int]:
    """First places at which cutting and pasting gives the mutant, from either side."""
    head = 0
    while head < min(len(bases), len(mutant)) and bases[head] == mutant[head]:
        head += 1
    tail = 0
    while tail < min(len(bases), len(mutant)) and bases[-1 - tail] == mutant[-1 - tail]:
        tail += 1
    shorter = min(len(bases), len(mutant))
    if len(bases) == len(mutant) or head + tail < shorter:
        return head, head
    return shorter - tail, head


@pytest.fixture(scope="module")
def yeast(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Genome, TranscriptModels, AlleleTable, Consequences]:
    """60,000 alleles of yeast12.norm and what csq says of them."""
    folder = tmp_path_factory.mktemp("yeast")
    tables = {"chrM": 3}
    with open_store(folder / "workspace", write=True) as store:
        store.add(shared_data / "yeast/genome/sacCer3.fa.gz")
        store.add(
            shared_data
            / "yeast/annotation/Saccharomyces_cerevisiae.R64-1-1.81.gff3.gz",
            options={"codon_tables": "chrM=3"},
        )
        genome, database = store.genome(), store.connection
        frames = [
            database.execute(f"SELECT * EXCLUDE source_id FROM {name}").df()  # noqa: S608
            for name in ("genes", "transcripts", "features")
        ]
        names = {name: name for name in genome}
        write_canonical_gff(frames[0], frames[1], frames[2], names, folder / "c.gff3")
        caller = make_caller(database, genome, folder / "c.gff3", tables)
        models = TranscriptModels.read(database, list(genome))
    reader = VcfReader(shared_data / "yeast/variants/yeast12.norm.vcf.gz")
    chunk = next(iter(reader.chunks(60_000)))
    records = read_records(chunk.lines, reader.path, chunk.first_line)
    alleles = read_alleles(records, genome, {name: name for name in genome})
    return genome, models, alleles, caller.call(alleles)


@pytest.mark.realdata
def test_residues_of_snvs_agree_with_csq(
    yeast: tuple[Genome, TranscriptModels, AlleleTable, Consequences],
) -> None:
    genome, models, alleles, consequences = yeast
    found = describe(alleles, consequences, models, genome, {"chrM": 3})
    residues = found["amino_acids"].to_pylist()
    is_snv = (alleles.min_ref.lengths == 1) & (alleles.min_alt.lengths == 1)
    rows = np.flatnonzero(is_snv & (consequences.transcript != ""))
    assert len(rows) > 30_000
    for i in rows.tolist():
        before, _, after = (residues[i] or "").partition("/")
        mine = before if before == after else f"{before}>{after}"
        if mine != consequences.protein[i]:
            # Beside an intron csq names the splice region only, and no residue.
            assert consequences.term[i].split("&")[0] == "splice_region_variant"
            assert consequences.protein[i] == ""


@pytest.mark.realdata
def test_proteins_of_indels_agree_with_csq(
    yeast: tuple[Genome, TranscriptModels, AlleleTable, Consequences],
) -> None:
    """csq writes the whole changed protein; the HGVS name must lead to the same one."""
    genome, models, alleles, consequences = yeast
    found = describe(alleles, consequences, models, genome, {"chrM": 3})
    proteins = found["hgvs_p"].to_pylist()
    compared = 0
    for i in np.flatnonzero(
        alleles.min_ref.lengths != alleles.min_alt.lengths
    ).tolist():
        name, change = proteins[i], consequences.protein[i]
        if not name or "(" not in name or "Met1" in name or ">" not in change:
            continue
        listing = re.fullmatch(r"(\d+)(\D+)>\1(\D*)", change)
        assert listing
        place, before, after = listing.groups()
        reference = reference_protein(models, genome, consequences.transcript[i])
        head, rest = reference[: int(place) - 1], reference[int(place) - 1 :]
        assert rest.startswith(before)
        # A shortened listing means that all behind it stays.
        mutated = head + after + ("" if "*" in after else rest[len(before) :])
        if "fs" in name or "ext" in name:
            mutated = mutated if "*" in after else head + after + "?"
        if "*" not in mutated and "?" not in mutated:
            continue
        assert apply_protein(name, reference, mutated) == mutated, (change, name)
        compared += 1
    assert compared > 300, compared


def reference_protein(models: TranscriptModels, genome: Genome, transcript: str) -> str:
    """Translate a transcript without UTRs."""
    t = int(models.rows_of(np.array([transcript], object))[0])
    arrays = models.arrays
    parts = slice(int(arrays.part_at[t]), int(arrays.part_at[t + 1]))
    spans = zip(arrays.part_start[parts], arrays.part_end[parts], strict=True)
    contig = list(genome)[models.contig[t]]
    strand = "+" if arrays.strand[t] > 0 else "-"
    bases = spliced_cds(
        contig, [(int(a), int(b)) for a, b in spans], strand, genome.fetch_inside
    )
    return translate(bases)
