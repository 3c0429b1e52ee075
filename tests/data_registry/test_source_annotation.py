"""GFF3 and GTF gene models in the dialects people have."""

import gzip
import random
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Parsed, Request
from data_registry.sources.annotation import KINDS, detect, parse

FEATURES = ["transcript_id", "kind", "contig", "start", "end", "strand", "phase"]


def _file(folder: Path, text: str, name: str = "models.gff3") -> Path:
    rows = textwrap.dedent(text).strip("\n").split("\n")
    path = folder / name
    # Fields are written with spaces here for reading; column 9 keeps its own.
    lines = [r if r.startswith("#") else "\t".join(r.split(None, 8)) for r in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def _read(folder: Path, text: str, **options: str) -> Parsed:
    parsed = parse(Request(_file(folder, text), "models", options=options))
    tally = parsed.tally
    assert tally.read == tally.kept + tally.left_out.total()
    return parsed


def _features(parsed: Parsed, kind: str | None = None) -> set[tuple[object, ...]]:
    table = parsed.tables["features"][FEATURES].astype(object)
    table = table.where(table.notna(), None)
    rows = {tuple(row) for row in table.itertuples(index=False)}
    return {row for row in rows if kind is None or row[1] == kind}


def _lint(parsed: Parsed) -> dict[str, int]:
    notes = (n.removeprefix("lint: ").split() for n in parsed.notes if "lint:" in n)
    return {name: int(n.replace(",", "")) for name, n in notes}


ENSEMBL = """
    ##gff-version 3
    I SGD chromosome 1 300 . . . ID=chromosome:I;Is_circular=true
    I ens gene 11 60 . - . ID=gene:YA;Name=ABC1;biotype=protein_coding;description=a%3B b;version=2
    I ens transcript 11 60 . - . ID=transcript:YA_T;Parent=gene:YA;biotype=protein_coding;tag=Ensembl_canonical
    I ens exon 41 60 . - . Parent=transcript:YA_T;exon_id=e1
    I ens exon 11 30 . - . Parent=transcript:YA_T;exon_id=e2
    I ens CDS 41 50 . - 0 ID=CDS:P;Parent=transcript:YA_T
    I ens CDS 16 30 . - 1 ID=CDS:P;Parent=transcript:YA_T
"""


def test_ensembl_by_hand(tmp_path: Path):
    parsed = _read(tmp_path, ENSEMBL)
    gene = parsed.tables["genes"].iloc[0]
    assert gene.drop("_line").to_dict() == {
        "gene_id": "YA", "symbol": "ABC1", "biotype": "protein_coding", "contig": "I",
        "start": 10, "end": 60, "strand": "-", "description": "a; b",
    }  # fmt: skip
    transcript = parsed.tables["transcripts"].iloc[0]
    assert (transcript["transcript_id"], transcript["gene_id"]) == ("YA_T", "YA")
    assert bool(transcript["is_canonical"])
    # 10 bases before: 3 codons and 1 base, so 2 bases complete the codon.
    assert _features(parsed) == {
        ("YA_T", "exon", "I", 40, 60, "-", None),
        ("YA_T", "exon", "I", 10, 30, "-", None),
        ("YA_T", "cds", "I", 40, 50, "-", 0),
        ("YA_T", "cds", "I", 15, 30, "-", 2),
        ("YA_T", "utr5", "I", 50, 60, "-", None),
        ("YA_T", "utr3", "I", 10, 15, "-", None),
    }
    aliases = parsed.tables["gene_aliases"]
    assert set(zip(aliases["alias"], aliases["kind"], strict=True)) == {
        ("ABC1", "symbol"), ("gene:YA", "file_id"), ("YA.2", "versioned"),
    }  # fmt: skip
    assert parsed.tally.read == 7
    assert dict(parsed.tally.left_out) == {"not_a_gene_model": 1}
    assert _lint(parsed) == {
        "phase_wrong": 1,
        "transcripts_with_wrong_phase": 1,
        "utrs_derived_from_exons": 1,
    }
    assert "dialect: GFF3, Ensembl" in parsed.notes


NCBI = """
    NC_1.1 RefSeq region 1 900 . + . ID=NC_1.1:1..900;Dbxref=taxon:3702
    NC_1.1 RefSeq gene 101 200 . + . ID=gene-AT1G1;Dbxref=Araport:AT1G1,GeneID:837;Name=NAC1;gene=NAC1;gene_biotype=protein_coding;gene_synonym=N1,T25K16.1;locus_tag=AT1G1;old_locus_tag=OLD_1
    NC_1.1 RefSeq mRNA 101 200 . + . ID=rna-NM_1.1;Parent=gene-AT1G1;Name=NM_1.1;product=domain protein;tag=RefSeq Select
    NC_1.1 RefSeq exon 101 200 . + . ID=exon-NM_1.1-1;Parent=rna-NM_1.1
    NC_1.1 RefSeq CDS 110 139 . + 0 ID=cds-NP_1.1;Parent=rna-NM_1.1
    NC_1.1 RefSeq gene 301 390 . + . ID=gene-ndhB;gene=ndhB;gene_biotype=protein_coding
    NC_1.1 RefSeq CDS 301 360 . + 0 ID=cds-1;Parent=gene-ndhB
    NC_1.1 RefSeq CDS 361 390 . + 0 ID=cds-1;Parent=gene-ndhB
    NC_1.1 RefSeq cDNA_match 1 9 . + . ID=x;Target=y 1 9
"""


def test_ncbi_prefixes_aliases_and_missing_mrna_level(tmp_path: Path):
    parsed = _read(tmp_path, NCBI)
    assert parsed.tables["genes"]["gene_id"].tolist() == ["AT1G1", "ndhB"]
    transcripts = parsed.tables["transcripts"].set_index("transcript_id")
    assert transcripts["gene_id"].to_dict() == {"NM_1.1": "AT1G1", "ndhB": "ndhB"}
    assert transcripts["biotype"].tolist() == ["protein_coding"] * 2
    assert transcripts["is_canonical"].tolist() == [True, False]
    aliases = parsed.tables["gene_aliases"]
    of_first = aliases.loc[aliases["gene_id"] == "AT1G1"]
    assert dict(zip(of_first["alias"], of_first["kind"], strict=True)) == {
        "NAC1": "symbol", "gene-AT1G1": "file_id", "N1": "synonym",
        "T25K16.1": "synonym", "OLD_1": "old_locus_tag", "837": "entrez",
    }  # fmt: skip
    assert ("ndhB", "exon", "NC_1.1", 300, 390, "+", None) in _features(parsed)
    assert _lint(parsed)["mrna_level_derived_from_gene"] == 1
    assert dict(parsed.tally.left_out) == {"not_a_gene_model": 2}


def test_phytozome_names_stand_for_versioned_ids(tmp_path: Path):
    parsed = _read(
        tmp_path,
        """
        Chr1 phy gene 1 90 . + . ID=LOC_Os01g1.MSUv7.0;Name=LOC_Os01g1
        Chr1 phy mRNA 1 90 . + . ID=LOC_Os01g1.1.MSUv7.0;Name=LOC_Os01g1.1;pacid=33;longest=1;Parent=LOC_Os01g1.MSUv7.0
        Chr1 phy CDS 1 90 . + 0 ID=LOC_Os01g1.1.MSUv7.0.CDS.1;Parent=LOC_Os01g1.1.MSUv7.0;pacid=33
        """,
    )
    assert parsed.tables["genes"]["gene_id"].tolist() == ["LOC_Os01g1"]
    transcript = parsed.tables["transcripts"].iloc[0]
    assert (transcript["transcript_id"], transcript["gene_id"]) == (
        "LOC_Os01g1.1",
        "LOC_Os01g1",
    )
    assert bool(transcript["is_canonical"])
    assert "LOC_Os01g1.MSUv7.0" in set(parsed.tables["gene_aliases"]["alias"])


def test_msu_without_phases(tmp_path: Path):
    parsed = _read(
        tmp_path,
        """
        Chr1 MSU gene 1 60 . + . ID=LOC_Os01g1;Name=LOC_Os01g1;Note=TBC%20domain
        Chr1 MSU mRNA 1 60 . + . ID=LOC_Os01g1.1;Name=LOC_Os01g1.1;Parent=LOC_Os01g1
        Chr1 MSU CDS 1 10 . + . ID=LOC_Os01g1.1:cds_1;Parent=LOC_Os01g1.1
        Chr1 MSU CDS 21 40 . + . ID=LOC_Os01g1.1:cds_2;Parent=LOC_Os01g1.1
        Chr1 MSU three_prime_UTR 41 60 . + . ID=u;Parent=LOC_Os01g1.1
        """,
    )
    assert parsed.tables["genes"]["description"].tolist() == ["TBC domain"]
    assert _features(parsed, "cds") == {
        ("LOC_Os01g1.1", "cds", "Chr1", 0, 10, "+", 0),
        ("LOC_Os01g1.1", "cds", "Chr1", 20, 40, "+", 2),
    }
    # The exon is the CDS and the UTR that touches it.
    assert ("LOC_Os01g1.1", "exon", "Chr1", 20, 60, "+", None) in _features(parsed)
    assert _lint(parsed) == {"phase_missing": 2, "exons_derived_from_cds_and_utr": 1}


def test_first_phase_follows_from_a_later_one(tmp_path: Path):
    parsed = _read(
        tmp_path,
        """
        1 x mRNA 1 60 . + . ID=t
        1 x CDS 1 10 . + . Parent=t
        1 x CDS 21 40 . + 1 Parent=t
        """,
    )
    # 10 bases, then 1 to the next codon: 11 = 2 + 9, so the first part skips 2.
    assert {row[3]: row[6] for row in _features(parsed, "cds")} == {0: 2, 20: 1}


TAIR = """
    Chr1 TAIR10 gene 1 90 . + . ID=AT1G01010;Note=protein_coding_gene;Name=AT1G01010
    Chr1 TAIR10 mRNA 1 90 . + . ID=AT1G01010.1;Parent=AT1G01010;Name=AT1G01010.1;Index=1
    Chr1 TAIR10 mRNA 1 90 . + . ID=AT1G01010.2;Parent=AT1G01010;Name=AT1G01010.2;Index=1
    Chr1 TAIR10 protein 10 39 . + . ID=AT1G01010.1-Protein;Derives_from=AT1G01010.1
    Chr1 TAIR10 exon 1 90 . + . Parent=AT1G01010.1,AT1G01010.2
    Chr1 TAIR10 CDS 10 39 . + 0 Parent=AT1G01010.1,AT1G01010.1-Protein;
    Chr1 Araport11 pseudogene 200 260 . + . ID=AT1G02000;locus_type=pseudogene
    Chr1 Araport11 pseudogenic_transcript 200 260 . + . ID=AT1G02000.1;Parent=AT1G02000
    Chr1 Araport11 transposable_element_gene 300 360 . + . ID=AT1G03000
    Chr1 Araport11 mRNA 300 360 . + . ID=AT1G03000.1;Parent=AT1G03000
    Chr1 Araport11 transposable_element 300 360 . + . ID=TE1
"""


def test_tair_shares_exons_and_keeps_pseudogenes(tmp_path: Path):
    parsed = _read(tmp_path, TAIR)
    assert _features(parsed, "exon") >= {
        (f"AT1G01010.{i}", "exon", "Chr1", 0, 90, "+", None) for i in (1, 2)
    }
    assert {row[0] for row in _features(parsed, "cds")} == {"AT1G01010.1"}
    biotypes = parsed.tables["genes"].set_index("gene_id")["biotype"].to_dict()
    assert biotypes == {
        "AT1G01010": "protein_coding",
        "AT1G02000": "pseudogene",
        "AT1G03000": "transposable_element_gene",
    }
    of_transcripts = parsed.tables["transcripts"].set_index("transcript_id")["biotype"]
    assert of_transcripts["AT1G03000.1"] == "transposable_element_gene"
    assert _lint(parsed)["single_exon_derived_from_transcript_span"] == 2
    assert dict(parsed.tally.left_out) == {"not_a_gene_model": 2}


GTF = """
    1 havana gene 1 90 . + . gene_id "G1"; gene_version "4"; gene_name "ABC"; gene_biotype "protein_coding";
    1 havana transcript 1 90 . + . gene_id "G1"; transcript_id "T1"; tag "basic"; tag "Ensembl_canonical";
    1 havana exon 1 30 . + . gene_id "G1"; transcript_id "T1"; exon_number "1";
    1 havana exon 51 90 . + . gene_id "G1"; transcript_id "T1"; exon_number "2";
    1 havana CDS 10 30 . + 0 gene_id "G1"; transcript_id "T1";
    1 havana CDS 51 60 . + 0 gene_id "G1"; transcript_id "T1";
    1 havana start_codon 10 12 . + 0 gene_id "G1"; transcript_id "T1";
    1 havana stop_codon 61 63 . + 0 gene_id "G1"; transcript_id "T1";
    1 havana five_prime_utr 1 9 . + . gene_id "G1"; transcript_id "T1";
    1 havana three_prime_utr 64 90 . + . gene_id "G1"; transcript_id "T1";
"""


def test_gtf_joins_the_stop_codon_to_the_cds(tmp_path: Path):
    parsed = _read(tmp_path, GTF)
    assert _features(parsed, "cds") == {
        ("T1", "cds", "1", 9, 30, "+", 0),
        ("T1", "cds", "1", 50, 63, "+", 0),
    }
    assert parsed.tables["genes"]["symbol"].tolist() == ["ABC"]
    assert parsed.tables["transcripts"]["is_canonical"].tolist() == [True]
    assert dict(parsed.tally.left_out) == {"implied_by_exons": 1}
    assert _lint(parsed) == {"stop_codon_joined_to_cds": 1}


def test_gtf_stop_codon_split_by_an_intron_on_minus(tmp_path: Path):
    parsed = _read(
        tmp_path,
        """
        1 x exon 1 20 . - . gene_id "G"; transcript_id "T";
        1 x exon 31 60 . - . gene_id "G"; transcript_id "T";
        1 x CDS 32 60 . - 1 gene_id "G"; transcript_id "T";
        1 x stop_codon 31 31 . - 0 gene_id "G"; transcript_id "T";
        1 x stop_codon 19 20 . - 2 gene_id "G"; transcript_id "T";
        """,
    )
    # The first part skips 1; 30 bases then hold 9 codons and 2 bases more.
    assert _features(parsed, "cds") == {
        ("T", "cds", "1", 30, 60, "-", 1),
        ("T", "cds", "1", 18, 20, "-", 1),
    }
    assert _lint(parsed)["gene_derived_from_transcripts"] == 1
    assert parsed.tables["genes"][["start", "end"]].to_numpy().tolist() == [[0, 60]]


def test_augustus_bare_names(tmp_path: Path):
    text = """
        1 AUGUSTUS gene 1 30 . + . g1
        1 AUGUSTUS transcript 1 30 . + . g1.t1
        1 AUGUSTUS CDS 1 30 . + 0 transcript_id "g1.t1"; gene_id "g1";
    """
    parsed = _read(tmp_path, text)
    assert parsed.tables["genes"]["gene_id"].tolist() == ["g1"]
    assert parsed.tables["transcripts"]["transcript_id"].tolist() == ["g1.t1"]
    renamed = _read(
        tmp_path,
        text.replace('gene_id "g1"', 'gene_id "run_g1"').replace(
            ". g1.t1", '. transcript_id "g1.t1"; gene_id "run_g1"'
        ),
    )
    assert renamed.tables["genes"]["gene_id"].tolist() == ["run_g1"]
    assert _lint(renamed)["gene_row_matched_by_place_and_suffix"] == 1


def test_undirected_utr_gets_its_side(tmp_path: Path):
    parsed = _read(
        tmp_path,
        """
        1 x mRNA 1 60 . - . ID=t
        1 x UTR 1 9 . - . Parent=t
        1 x CDS 10 39 . - 0 Parent=t
        1 x UTR 40 60 . - . Parent=t
        """,
    )
    assert {row[1]: row[3] for row in _features(parsed)} == {
        "utr3": 0, "cds": 9, "utr5": 39, "exon": 0,
    }  # fmt: skip


def test_every_left_out_row_is_counted_by_reason(tmp_path: Path):
    parsed = _read(
        tmp_path,
        """
        1 x gene 1 900 . + . ID=g
        1 x mRNA 1 900 . + . ID=t;Parent=g
        1 x exon 1 300 . + . ID=e;Parent=t
        1 x exon 200 400 . + . Parent=t
        1 x exon 500 600 . - . Parent=t
        1 x CDS 1 30 . + 0 Parent=t
        1 x CDS 401 430 . + 0 Parent=t
        1 x CDS 1 30 . + 0 Parent=t
        1 x gene 1 900 . + . ID=g
        1 x mRNA 1 900 . + . Parent=g
        1 x exon 1 30 . + . Parent=nobody
        1 x exon 1 30 . + . Note=lonely
        1 x exon 30 1 . + . Parent=t
        1 x exon -5 9 . + . Parent=t
        1 x exon 5 . . + . Parent=t
        2 x exon 5 9 . + . Parent=t
        1 x repeat 5 9 . + . ID=r
        1 x intron 301 499 . + . Parent=t
        1 x exon 700 950 . + . Parent=t
        1 x exon 750 800 . + . Parent=t
        1 x exon 850 860 . + . Parent=t
        """,
    )
    assert dict(parsed.tally.left_out) == {
        "duplicate_row": 1, "duplicate_id": 1, "no_id": 1, "orphan_parent": 1,
        "no_parent": 1, "end_before_start": 1, "negative_coordinate": 1,
        "unreadable_coordinate": 1, "parent_on_other_contig": 1, "not_a_gene_model": 1,
        "implied_by_exons": 1,
    }  # fmt: skip
    assert _lint(parsed) == {
        "overlapping_exons": 3,
        "strand_conflict": 1,
        "cds_outside_exon": 1,
        "part_outside_its_transcript": 1,
        "utrs_derived_from_exons": 1,
    }
    lines = {e.reason: e.line for e in parsed.tally.examples}
    assert lines["duplicate_id"] == 9
    assert lines["parent_on_other_contig"] == 16


def test_order_line_ends_and_compression_do_not_matter(tmp_path: Path):
    path = _file(tmp_path, ENSEMBL)
    plain = parse(Request(path, "x")).tables
    rows = path.read_text().splitlines()
    random.Random(7).shuffle(rows)  # noqa: S311
    other = tmp_path / "Übersicht 2.txt"
    other.write_bytes(gzip.compress(b"\xef\xbb\xbf" + "\r\n".join(rows).encode()))
    shuffled = parse(Request(other, "x")).tables
    for name, table in plain.items():
        keys = [c for c in table if c != "_line"]
        pd.testing.assert_frame_equal(
            table[keys].sort_values(keys, ignore_index=True),
            shuffled[name][keys].sort_values(keys, ignore_index=True),
        )


def test_gtf_and_gff3_of_the_same_models_agree(tmp_path: Path):
    gff = """
        1 havana gene 1 90 . + . ID=gene:G1;Name=ABC;biotype=protein_coding
        1 havana mRNA 1 90 . + . ID=transcript:T1;Parent=gene:G1;tag=basic,Ensembl_canonical
        1 havana exon 1 30 . + . Parent=transcript:T1
        1 havana exon 51 90 . + . Parent=transcript:T1
        1 havana CDS 10 30 . + 0 ID=CDS:P;Parent=transcript:T1
        1 havana CDS 51 63 . + 0 ID=CDS:P;Parent=transcript:T1
    """
    from_gff, from_gtf = _read(tmp_path, gff), _read(tmp_path, GTF)
    assert _features(from_gff) == _features(from_gtf)
    for name in ("genes", "transcripts"):
        pd.testing.assert_frame_equal(
            from_gff.tables[name].drop(columns="_line"),
            from_gtf.tables[name].drop(columns="_line"),
        )


def test_sequences_at_the_end_are_not_read(tmp_path: Path):
    path = _file(tmp_path, ENSEMBL)
    with path.open("a") as stream:
        stream.write("###\n##FASTA\n>I\nACGT\n")
    parsed = parse(Request(path, "x"))
    assert parsed.tally.read == 7
    assert any("ends with sequences" in note for note in parsed.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("##gff-version 3\n", "no row of data"),
        ("1 x gene 1 9 . + . ID=g\n", "line 1: no row has nine tab-separated columns"),
        ("1\tx\tgene\ta\tb\t.\t+\t.\tID=g\n", "columns 4 and 5 are no numbers"),
        ("1\tx\trepeat\t1\t9\t.\t+\t.\tID=g\n", "no gene models; .* repeat"),
        ("1\tx\tintron\t1\t9\t.\t+\t.\tmult=3\n", "column 9 has neither"),
        (
            "1\tx\tgene\t1\t9\t.\t+\t.\tID=g\n"
            + "1\tx\texon\t9\t1\t.\t+\t.\tParent=g\n" * 2,
            "line 2: 2 of 3 rows cannot be used, most of them for end_before_start",
        ),
        (
            '1\tx\texon\t1\t9\t.\t+\t.\ttranscript_id "t"; gene_id "g";\n'
            '2\tx\texon\t1\t9\t.\t+\t.\ttranscript_id "t"; gene_id "g";\n',
            "line 2: transcript_id 't' stands on several contigs",
        ),
    ],
)
def test_whole_file_faults(tmp_path: Path, text: str, message: str):
    path = tmp_path / "bad.gff3"
    path.write_text(text)
    with pytest.raises(MalformedFileError, match=message):
        parse(Request(path, "x"))


def test_truncated_gzip_and_wrong_option(tmp_path: Path):
    path = tmp_path / "cut.gff3.gz"
    whole = gzip.compress(_file(tmp_path, ENSEMBL).read_bytes())
    path.write_bytes(whole[:-20])
    with pytest.raises(MalformedFileError, match="truncated"):
        parse(Request(path, "x"))
    with pytest.raises(InputError, match="codon_tables"):
        _read(tmp_path, ENSEMBL, codon_tables="chrM:3")


def test_detection():
    assert [kind.name for kind in KINDS] == ["annotation"]
    gff = b"##gff-version 3\nI\tx\tgene\t1\t9\t.\t+\t.\tID=g\nI\tx\tm"
    assert detect(Path("x"), gff)
    assert detect(Path("x"), b'1\tx\tCDS\t1\t9\t.\t+\t0\tgene_id "g";\n')
    assert not detect(Path("x"), b"1\tx\tintron\t1\t9\t.\t+\t.\tmult=3\n")
    assert not detect(Path("x"), b"chr1\t5\t9\tname\n")
    assert not detect(Path("x"), b"")


REAL = [
    # file, rows, left out, genes, transcripts, coding
    (
        "yeast/annotation/Saccharomyces_cerevisiae.R64-1-1.81.gff3.gz", 28872,
        {"not_a_gene_model": 17, "unreadable_coordinate": 87}, 7126, 7126, 6692,
    ),
    ("arabidopsis_region/genes.gff3.gz", 5625, {"duplicate_row": 2}, 303, 399, 382),
    (
        "arabidopsis/genome/pasa_chr2_bacs.gff3.gz", 3567, {"orphan_parent": 138},
        295, 281, 281,
    ),
    ("arabidopsis/annotation/At_pseudo.gff3.gz", 4786, {}, 1739, 1918, 30),
    (
        "arabidopsis/annotation/braker_test6_predicted.gtf.gz", 5647,
        {"implied_by_exons": 1830}, 294, 299, 299,
    ),
    (
        "crops/tomato/annot.gtf.gz", 338328,
        {"implied_by_exons": 185889, "not_a_gene_model": 85}, 33562, 33562, 33562,
    ),
    (
        "arabidopsis/derived/TAIR10_rebuilt_gene_models.gff3.gz", 534599,
        {"duplicate_row": 8}, 31857, 39893, 34554,
    ),
]  # fmt: skip


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "rows", "left_out", "genes", "transcripts", "coding"), REAL
)
def test_real_files(
    shared_data: Path, name, rows, left_out, genes, transcripts, coding
):
    parsed = parse(Request(shared_data / name, "x"))
    tables = parsed.tables
    assert parsed.tally.read == rows == parsed.tally.kept + sum(left_out.values())
    assert dict(parsed.tally.left_out) == left_out
    assert len(tables["genes"]) == genes == tables["genes"]["gene_id"].nunique()
    names = tables["transcripts"]["transcript_id"]
    assert len(names) == transcripts == names.nunique()
    assert tables["transcripts"]["gene_id"].isin(tables["genes"]["gene_id"]).all()
    features = tables["features"]
    assert features["transcript_id"].isin(names).all()
    cds = features.loc[features["kind"] == "cds"]
    assert cds["transcript_id"].nunique() == coding
    with_exons = features.loc[features["kind"] == "exon", "transcript_id"]
    assert set(with_exons) == set(names)
    assert cds["phase"].isin([0, 1, 2]).all()
    assert features.loc[features["kind"] != "cds", "phase"].isna().all()
    assert (features["start"] < features["end"]).all()
    assert (features["start"] >= 0).all()


@pytest.mark.realdata
def test_yeast_phases_are_ensembls_complement(shared_data: Path):
    parsed = parse(Request(shared_data / REAL[0][0], "yeast"))
    # Ensembl 81 wrote 1 for 2 and 2 for 1: every non-zero phase of the file is wrong.
    assert _lint(parsed)["phase_wrong"] == 195
    assert _lint(parsed)["transcripts_with_wrong_phase"] == 183
    features = parsed.tables["features"]
    is_cds = features["kind"] == "cds"
    assert int((features.loc[is_cds, "phase"] > 0).sum()) == 195
    second = features.loc[
        is_cds & (features["transcript_id"] == "YAL003W") & (features["start"] > 142300)
    ]
    assert second["phase"].tolist() == [1]


@pytest.mark.parametrize(
    ("span", "reason"),
    [("-9 5", "negative_coordinate"), ("60 11", "end_before_start")],
)
def test_when_no_row_can_be_used_the_reason_and_line_are_told(tmp_path, span, reason):
    text = f"""
        ##gff-version 3
        I x gene {span} . + . ID=g
        I x mRNA {span} . + . ID=t;Parent=g
        I x exon {span} . + . Parent=t
    """
    with pytest.raises(MalformedFileError, match=f"line 2: .*3 of 3.*{reason} 3"):
        _read(tmp_path, text)
