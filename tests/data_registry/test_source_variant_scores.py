"""Per-variant scores of other tools."""

import pandas as pd
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.kinds import detect_kind
from data_registry.parsing import Request
from data_registry.sources.variant_scores import (
    detect_variant_scores,
    parse_variant_scores,
)
from data_registry.store import open_store


def parse(folder, text, **kwargs):
    path = folder / "scores.tsv"
    path.write_text(text)
    parsed = parse_variant_scores(Request(path, "scores", **kwargs))
    table = parsed.tables["variant_scores"]
    assert parsed.tally.kept == table["_line"].nunique()
    return parsed, table.drop(columns="_line").to_numpy().tolist()


SIFT = (
    "CHROM\tPOS\tREF_ALLELE\tALT_ALLELE\tTRANSCRIPT_ID\tGENE_ID\tAMINO_POS\tSIFT_SCORE\t"
    "SIFT_MEDIAN\tNUM_SEQS\tSIFT_PREDICTION\n"
    "1\t101\tA\tG\tt1\tg1\t7\t0.01\t2.8\t30\tDELETERIOUS\n"
    "1\t101\tA\tG\tt2\tg1\t7\t0.01\t2.8\t30\tDELETERIOUS\n"
    "1\t102\tc\tt\tt1\tg1\t8\t0.30\t2.8\t30\tTOLERATED\n"
    "1\t103\tC\tT\tt1\tg1\t8\tNA\t2.8\t30\tNA\n"
    "1\t104\tC\tT,G\tt1\tg1\t8\t0.1\t2.8\t30\tTOLERATED\n"
)


def test_sift4g_annotations(tmp_path):
    assert detect_variant_scores(tmp_path, SIFT.encode())
    parsed, rows = parse(tmp_path, SIFT)
    assert rows == [
        ["1", 100, "A", "G", "SIFT_SCORE", 0.01, "DELETERIOUS"],
        ["1", 101, "C", "T", "SIFT_SCORE", 0.3, "TOLERATED"],
    ]
    assert dict(parsed.tally.left_out) == {
        "duplicate_row": 1,
        "no_score": 1,
        "several_alleles": 1,
    }


def test_sift4g_database_of_one_contig(tmp_path):
    text = (
        "#Position\tRef_allele\tNew_allele\tTranscript_id\tSIFT_score\n"
        "335\tA\tC\tYAL069W\t0.25\n"
    )
    _, rows = parse(tmp_path, text, options={"contig": "I"})
    assert rows == [["I", 334, "A", "C", "SIFT_score", 0.25, ""]]
    with pytest.raises(MalformedFileError, match="no column of contigs"):
        parse(tmp_path, text)


def test_several_scores_each_with_its_class(tmp_path):
    text = (
        "chr,pos(1-based),ref,alt,SIFT_score,SIFT_pred,Polyphen2_HDIV_score,"
        "Polyphen2_HDIV_pred,rank\n2,5,A,AT,0.1,T,0.9,D,3\n"
    )
    _, rows = parse(tmp_path, text, options={"tool": "dbnsfp"})
    assert rows == [
        ["2", 4, "A", "AT", "dbnsfp_SIFT_score", 0.1, "T"],
        ["2", 4, "A", "AT", "dbnsfp_Polyphen2_HDIV_score", 0.9, "D"],
    ]


def test_cadd_header_behind_a_comment_mark(tmp_path):
    text = (
        "## CADD v1.6\n#Chrom\tPos\tRef\tAlt\tRawScore\tPHRED\n1\t10\tA\tC\t0.5\t12\n"
    )
    assert detect_variant_scores(tmp_path, text.encode())
    _, rows = parse(tmp_path, text, options={"scores": "PHRED"})
    assert rows == [["1", 9, "A", "C", "CADD_PHRED", 12.0, ""]]


def test_scores_in_info(tmp_path):
    text = (
        "##x\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "1\t10\t.\tA\tC\t.\t.\tMYGERP=9;GERP=4.5;X\n1\t11\t.\tA\tC\t.\t.\tX\n"
    )
    parsed, rows = parse(tmp_path, text, options={"info": "GERP"})
    assert rows == [["1", 9, "A", "C", "GERP", 4.5, ""]]
    assert dict(parsed.tally.left_out) == {"no_score": 1}
    with pytest.raises(InputError, match="info=KEY"):
        parse(tmp_path, text)


def test_unusable_rows_and_files(tmp_path):
    rows = "".join(f"1\t{i}\tA\tC\t0.{i}\n" for i in range(1, 8))
    text = (
        "chr\tpos\tref\talt\tscore\n"
        + rows
        + "1\t0\tA\tC\t1\n1\t9\tA\t<DEL>\t1\n1\t9\tA\tA\t1\n"
    )
    parsed, _ = parse(tmp_path, text)
    assert dict(parsed.tally.left_out) == {
        "bad_position": 1,
        "bad_allele": 1,
        "ref_is_alt": 1,
    }
    with pytest.raises(MalformedFileError, match="rows cannot be used"):
        parse(tmp_path, "chr\tpos\tref\talt\tscore\n1\t-4\tA\tC\t1\n")
    assert not detect_variant_scores(
        tmp_path, b"##fileformat=VCFv4.2\n" + text.encode()
    )


SPLICE_HEADER = (
    "##fileformat=VCFv4.2\n"
    '##INFO=<ID=SpliceAI,Number=.,Type=String,Description="Format: ALLELE|SYMBOL|…">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
SPLICE = (
    SPLICE_HEADER + "1\t10\t.\tA\tC,G\t.\t.\tDP=9;SpliceAI="
    "G|gA|0.10|0.00|0.91|0.08|-28|-46|-2|31,C|gA|0.01|0.02|0.03|0.04|1|2|3|4,"
    "C|gB|0.00|0.50|0.00|0.00|7|-8|9|9\n"
    "1\t20\t.\tCA\tC\t.\t.\tSpliceAI=C|gA|.|.|.|.|.|.|.|.\n"
    "1\t30\t.\tC\tT\t.\t.\t.\n"
)


def found_kind(folder, name, content):
    path = folder / name
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path)
    else:
        path.write_text(content)
    return detect_kind(path).name


def test_spliceai_keeps_each_gene_with_its_greatest_delta_and_its_fields(tmp_path):
    assert found_kind(tmp_path, "s.vcf", SPLICE) == "variant_scores"
    parsed, rows = parse(tmp_path, SPLICE)
    assert [row[2:] for row in rows if row[4] == "SpliceAI_max"] == [
        ["A", "G", "SpliceAI_max", 0.91, "gA donor_gain at -2"],
        ["A", "C", "SpliceAI_max", 0.04, "gA donor_loss at 4"],
        ["A", "C", "SpliceAI_max", 0.5, "gB acceptor_loss at -8"],
    ]
    assert {(row[4], row[5]) for row in rows if row[3] == "G"} == {
        ("SpliceAI_max", 0.91), ("SpliceAI_DS_AG", 0.1), ("SpliceAI_DS_AL", 0.0),
        ("SpliceAI_DS_DG", 0.91), ("SpliceAI_DS_DL", 0.08), ("SpliceAI_DP_AG", -28.0),
        ("SpliceAI_DP_AL", -46.0), ("SpliceAI_DP_DG", -2.0), ("SpliceAI_DP_DL", 31.0),
    }  # fmt: skip
    assert dict(parsed.tally.left_out) == {"no_score": 2}


def test_spliceai_scores_of_another_allele_are_refused(tmp_path):
    line = "1\t10\t.\tA\tC\t.\t.\tSpliceAI=T|gA|0|0|0|0|1|2|3|4\n"
    with pytest.raises(MalformedFileError, match=r"line 4.*allele 'T', and ALT is 'C'"):
        parse(tmp_path, SPLICE_HEADER + line)


def test_a_vcf_with_samples_or_counts_stays_a_panel(tmp_path):
    samples = SPLICE.replace("INFO\n", "INFO\tFORMAT\ts1\n", 1).replace(
        "\n1\t", "\n1\t"
    )
    assert found_kind(tmp_path, "a.vcf", samples) == "variants"
    counts = SPLICE.replace("#CHROM", "##INFO=<ID=AC,Number=A,Type=Integer>\n#CHROM")
    assert found_kind(tmp_path, "b.vcf", counts) == "variants"
    plain = SPLICE.replace("SpliceAI", "Other")
    assert found_kind(tmp_path, "c.vcf", plain) == "variants"


def test_plantcad_vcf_whose_header_does_not_know_its_key(tmp_path):
    text = (
        "##fileformat=VCFv4.1\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "1\t10\t.\tA\tC,AT\t.\t.\tplantCAD_zero_shot=-2.5,.\n"
        "1\t11\t.\tA\tC,G\t.\t.\tplantCAD_zero_shot=-1.5\n"
    )
    assert found_kind(tmp_path, "p.vcf", text) == "variant_scores"
    parsed, rows = parse(tmp_path, text)
    assert rows == [["1", 9, "A", "C", "plantCAD_zero_shot", -2.5, ""]]
    # The insertion has no score; one score for two alleles is nobody's.
    assert dict(parsed.tally.left_out) == {"several_alleles": 1}
    assert any("1 alleles left out as no_score" in note for note in parsed.notes)


def test_plantcad_table_reads_the_position_and_not_the_window(tmp_path):
    text = (
        "chr\tstart\tend\tpos\tref\talt\tsequences\tzeroShotScore\n"
        "chr1\t744\t1256\t1000\tA\tG\tACGT\t-3.25\n"
    )
    assert found_kind(tmp_path, "p.tsv", text) == "variant_scores"
    _, rows = parse(tmp_path, text)
    assert rows == [["chr1", 999, "A", "G", "PlantCAD_zeroShotScore", -3.25, ""]]


def test_cadd_with_annotations_counts_an_allele_once(tmp_path):
    text = (
        "##CADD GRCh38-v1.7 (c) University of Washington\n"
        "#Chrom\tPos\tRef\tAlt\tConsequence\tGC\tRawScore\tPHRED\n"
        "1\t10\tA\tC\tINTRONIC\t0.4\t-0.25\t1.5\n"
        "1\t10\tA\tC\tUPSTREAM\t0.4\t-0.25\t1.5\n"
    )
    assert found_kind(tmp_path, "c.tsv", text) == "variant_scores"
    parsed, rows = parse(tmp_path, text)
    assert rows == [
        ["1", 9, "A", "C", "CADD_RawScore", -0.25, ""],
        ["1", 9, "A", "C", "CADD_PHRED", 1.5, ""],
    ]
    assert dict(parsed.tally.left_out) == {"duplicate_row": 1}


ALPHAGENOME = (
    "variant_id,scored_interval,gene_id,gene_name,output_type,variant_scorer,"
    "track_name,biosample_name,raw_score,quantile_score\n"
    'chr1:10:A>C,chr1:0-20:.,g1,GA,RNA_SEQ,"GeneMaskLFCScorer(requested_output=RNA_SEQ)",'
    "t1,leaf,0.1,0.5\n"
    'chr1:10:A>C,chr1:0-20:.,g2,,RNA_SEQ,"GeneMaskLFCScorer(requested_output=RNA_SEQ)",'
    "t1,root,-0.7,-0.99\n"
    'chr1:10:A>C,chr1:0-20:.,,,ATAC,"CenterMaskScorer(requested_output=ATAC, width=501, '
    'aggregation_type=DIFF_LOG2_SUM)",t2,,0.2,\n'
    "chr1-11-A-C,chr1:0-20:.,,,ATAC,,t2,,0.2,\n"
    "chr1:12:A>C,chr1:0-20:.,,,ATAC,,t2,,,\n"
)


def test_alphagenome_keeps_the_strongest_track_of_each_scorer(tmp_path):
    assert found_kind(tmp_path, "a.csv", ALPHAGENOME) == "variant_scores"
    parsed, rows = parse(tmp_path, ALPHAGENOME)
    rna = "AlphaGenome_RNA_SEQ_GeneMaskLFCScorer"
    assert rows == [
        ["chr1", 9, "A", "C", rna, -0.7, "g2 root"],
        ["chr1", 9, "A", "C", f"{rna}_quantile", -0.99, "g2 root"],
        ["chr1", 9, "A", "C", "AlphaGenome_ATAC_DIFF_LOG2_SUM", 0.2, "t2"],
    ]
    assert dict(parsed.tally.left_out) == {
        "weaker_track": 1, "bad_variant_id": 1, "no_score": 1,
    }  # fmt: skip


def test_gpn_scores_without_a_header_are_named_after_the_source(tmp_path):
    text = "1\t10\tA\tC\t-1.20\n1\t10\tA\tG\t0.31\n1\t11\tT\tG\t-4\n"
    assert found_kind(tmp_path, "gpn_msa.tsv", text) == "variant_scores"
    _, rows = parse(tmp_path, text, options={"tool": "GPN-MSA"})
    assert rows[0] == ["1", 9, "A", "C", "GPN-MSA", -1.2, ""]
    assert len(rows) == 3


def test_gpn_parquet_with_alleles_and_without(tmp_path):
    alleles = pd.DataFrame(
        {"chrom": ["1", "1"], "pos": [10, 11], "ref": ["A", "T"], "alt": ["C", "G"]}
    )
    scores = pd.DataFrame({"score": [-1.5, None]})
    joined = alleles.assign(score=scores["score"])
    assert found_kind(tmp_path, "joined.parquet", joined) == "variant_scores"
    assert found_kind(tmp_path, "scores.parquet", scores) == "variant_scores"
    alleles.to_csv(tmp_path / "alleles.tsv", sep="\t", index=False)
    whole = parse_variant_scores(Request(tmp_path / "joined.parquet", "gpn"))
    apart = parse_variant_scores(
        Request(
            tmp_path / "scores.parquet", "gpn",
            options={"alleles": str(tmp_path / "alleles.tsv")},
        )
    )  # fmt: skip
    for parsed in (whole, apart):
        rows = parsed.tables["variant_scores"].drop(columns="_line").to_numpy().tolist()
        assert rows == [["1", 9, "A", "C", "gpn", -1.5, ""]]
        assert dict(parsed.tally.left_out) == {"no_score": 1}
    with pytest.raises(MalformedFileError, match="alleles=FILE"):
        parse_variant_scores(Request(tmp_path / "scores.parquet", "gpn"))
    alleles.head(1).to_csv(tmp_path / "alleles.tsv", sep="\t", index=False)
    with pytest.raises(MalformedFileError, match=r"2 scores, and .* holds 1 alleles"):
        parse_variant_scores(
            Request(
                tmp_path / "scores.parquet", "gpn",
                options={"alleles": str(tmp_path / "alleles.tsv")},
            )
        )  # fmt: skip


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1" + bytes(40))
    with pytest.raises(MalformedFileError, match="cannot be read"):
        parse_variant_scores(Request(path, "x"))


def test_ref_is_checked_against_the_genome_and_mismatches_are_counted(tmp_path):
    (tmp_path / "g.fa").write_text(">1\nACGTACGTACGTNACGT\n")
    rows = [(1, "A"), (2, "C"), (3, "A"), (5, "AC"), (13, "T")]
    lines = "".join(f"chr1\t{pos}\t{ref}\tG\t0.5\n" for pos, ref in rows)
    scores = tmp_path / "scores.tsv"
    scores.write_text("#Chrom\tPos\tRef\tAlt\tmine\n" + lines)
    with open_store(tmp_path / "w", write=True) as store:
        store.add(tmp_path / "g.fa")
        source = store.add(scores, kind="variant_scores").source
        # Position 3 reads G; the N at position 13 speaks against nothing.
        assert source.left_out == {"ref_mismatch": 1}
        assert (source.rows_read, source.rows_kept) == (5, 4)
        listed = store.left_out(source)
        assert listed["line"].tolist() == [4]
        scores.write_text("#Chrom\tPos\tRef\tAlt\tmine\n" + "chr1\t3\tA\tC\t1\n" * 3)
        with pytest.raises(MalformedFileError, match="ref_mismatch"):
            store.add(scores, kind="variant_scores", name="other")
