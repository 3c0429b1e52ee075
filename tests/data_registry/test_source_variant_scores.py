"""Per-variant scores of other tools."""

import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.variant_scores import (
    detect_variant_scores,
    parse_variant_scores,
)


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
    assert rows == [["1", 9, "A", "C", "PHRED", 12.0, ""]]


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
