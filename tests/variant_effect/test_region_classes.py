"""Region classes of the tiny organism, worked out by hand from its gene models."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data_registry.errors import UnknownContigError
from data_registry.store import Store, open_store
from tests.organisms import TRANSCRIPTS
from variant_effect.region_classes import REGION_CLASSES, region_classes


@pytest.fixture(scope="module")
def store(workspace: Path) -> Iterator[Store]:
    with open_store(workspace) as opened:
        yield opened


def names_at(store: Store, contig: str, start: int, end: int, **options) -> list[str]:
    classes = region_classes(store, contig, **options)
    return [REGION_CLASSES[code] for code in classes[start:end]]


def test_a_gene_read_forwards(store: Store) -> None:
    # tA1: exons 2000-2200, 2300-2421, 2560-2900; CDS from 2050 to 2700.
    assert names_at(store, "chr1", 1498, 1502, promoter_bp=500) == [
        "intergenic", "intergenic", "promoter", "promoter",
    ]  # fmt: skip
    assert set(names_at(store, "chr1", 2000, 2050)) == {"utr5"}
    assert names_at(store, "chr1", 2050, 2054) == ["cds1", "cds2", "cds3", "cds1"]
    # 150 bases make 50 whole codons; the second part begins a codon.
    assert names_at(store, "chr1", 2198, 2203) == [
        "cds2", "cds3", "splice_site", "splice_site", "intron",
    ]  # fmt: skip
    assert names_at(store, "chr1", 2297, 2302) == [
        "intron", "splice_site", "splice_site", "cds1", "cds2",
    ]  # fmt: skip
    # 121 more bases: one base of a codon before the second intron, two after it.
    assert names_at(store, "chr1", 2420, 2422) == ["cds1", "splice_site"]
    assert names_at(store, "chr1", 2560, 2563) == ["cds2", "cds3", "cds1"]
    assert names_at(store, "chr1", 2699, 2701) == ["cds3", "utr3"]
    assert names_at(store, "chr1", 2899, 2901) == ["utr3", "intergenic"]


def test_a_gene_read_backwards(store: Store) -> None:
    # tB1 on the reverse strand: exons 6000-6250 and 6400-6800, CDS 6100-6700.
    assert names_at(store, "chr1", 6697, 6701) == ["cds3", "cds2", "cds1", "utr5"]
    assert names_at(store, "chr1", 6799, 6802) == ["utr5", "promoter", "promoter"]
    assert names_at(store, "chr1", 6099, 6103) == ["utr3", "cds3", "cds2", "cds1"]
    assert names_at(store, "chr1", 5999, 6000) == ["intergenic"]


def test_a_gene_without_cds(store: Store) -> None:
    # tN1: exons 9000-9150 and 9250-9400.
    assert set(names_at(store, "chr1", 9000, 9150)) == {"other_exon"}
    assert names_at(store, "chr1", 9150, 9153) == [
        "splice_site", "splice_site", "intron",
    ]  # fmt: skip


def test_codon_positions_are_equally_many(store: Store) -> None:
    for contig in ("chr1", "chr2", "chrM"):
        counts = Counter(region_classes(store, contig).tolist())
        places = [counts[REGION_CLASSES.index(f"cds{i}")] for i in (1, 2, 3)]
        coding = [t for t in TRANSCRIPTS if t.contig == contig and t.name != "tA2"]
        expected = sum(b - a for t in coding for a, b in t.cds) // 3
        # Splice sites lie in introns, so no CDS base is lost to them.
        assert places == [expected] * 3


def test_unknown_contig(store: Store) -> None:
    with pytest.raises(UnknownContigError):
        region_classes(store, "chr9")


def test_frame_follows_phase_and_short_gaps_are_no_introns(tmp_path: Path) -> None:
    # A +1 frame shift as annotations write it: CDS parts one base apart, phase 0 both.
    body = "ATG" + "GCA" * 30
    sequence = "N" * 10 + body + "C" + "GCA" * 30 + "TAA" + "N" * 10
    first, second = 10 + len(body), len(sequence) - 10
    (tmp_path / "g.fa").write_text(f">c\n{sequence}\n")
    rows = [
        ("gene", 11, second, ".", "ID=gene:g;gene_id=g;biotype=protein_coding"),
        ("mRNA", 11, second, ".", "ID=transcript:t;Parent=gene:g"),
        ("exon", 11, first, ".", "Parent=transcript:t"),
        ("exon", first + 2, second, ".", "Parent=transcript:t"),
        ("CDS", 11, first, "0", "ID=CDS:t;Parent=transcript:t"),
        ("CDS", first + 2, second, "0", "ID=CDS:t;Parent=transcript:t"),
    ]
    (tmp_path / "g.gff3").write_text(
        "##gff-version 3\n"
        + "".join(
            f"c\thand\t{kind}\t{a}\t{b}\t.\t+\t{phase}\t{text}\n"
            for kind, a, b, phase, text in rows
        )
    )
    with open_store(tmp_path / "w", write=True) as store:
        store.add(tmp_path / "g.fa", options={"assembly": "g1"})
        store.add(tmp_path / "g.gff3", name="models")
        names = np.array(REGION_CLASSES)[region_classes(store, "c")]
    assert names[10:13].tolist() == ["cds1", "cds2", "cds3"]
    assert names[first + 1 : first + 4].tolist() == ["cds1", "cds2", "cds3"]
    assert names[first] not in {"intron", "splice_site"}
