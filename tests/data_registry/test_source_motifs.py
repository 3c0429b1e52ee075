"""Motif files: dialects by hand, refusals, and the real files counted by grep."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Parsed, Request
from data_registry.sources.motifs import KINDS, jaspar_motifs
from data_registry.text_files import read_head

(KIND,) = KINDS

MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF MA0001.1 AGL3
letter-probability matrix: alength= 4 w= 2 nsites= 18 E= 0
 0.5 0.5 0 0
 0 0 0.25 0.75
URL none

MOTIF AHR.H12CORE.0.P.B

letter-probability matrix: alength= 4 w= 1

  1.0 \t 1.0 \t 0 \t 0 \t
"""

TRANSFAC = """AC MA0021.1
XX
ID Dof3
XX
DE MA0021.1 Dof3 ; From JASPAR
PO\tA\tC\tG\tT
01\t21.0\t0.0\t0.0\t0.0
02\t0.0\t10.0\t3.0\t8.0
XX
CC tax_group:plants
CC tf_family:DOF
XX
//
AC  ABI3VP1_tnt.AT5G18090_col_a_m1
XX
ID  ABI3VP1_tnt.AT5G18090_col_a_m1
XX
DE  grwGATGAAgmrrrk
P0       A     C     G     T
1       36    24    59    28
XX
//
"""

JASPAR = """>MA0004.1 Arnt
A  [ 4 19 ]
C  [16  0 ]
G  [ 0  1 ]
T  [ 0  0 ]
>second
4 0
0 4
0 0
0 0
"""


def write(folder: Path, text: str, name: str = "m.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def read(path: Path, **options: str) -> Parsed:
    return KIND.parse(Request(path, path.name, options=options))


def as_rows(parsed: Parsed) -> list[tuple]:
    columns = ["motif_id", "tf", "family", "width", "n_sites", "_line"]
    return [
        tuple(None if value != value else value for value in row)
        for row in parsed.tables["motifs"][columns]
        .astype(object)
        .itertuples(index=False, name=None)
    ]


def matrices(parsed: Parsed) -> list[list[list[float]]]:
    return [m.reshape(-1, 4).tolist() for m in parsed.tables["motifs"]["matrix"]]


# --- dialects by hand


def test_meme_by_hand(tmp_path):
    parsed = read(write(tmp_path, MEME))
    assert as_rows(parsed) == [
        ("MA0001.1", "AGL3", "", 2, 18.0, 10),
        ("AHR.H12CORE.0.P.B", "AHR", "", 1, None, 16),
    ]
    # the last row adds up to 2 and is halved, with a note
    assert matrices(parsed) == [
        [[0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75]],
        [[0.5, 0.5, 0, 0]],
    ]
    assert any("1 matrices had rows that did not add up" in n for n in parsed.notes)
    assert (parsed.tally.read, parsed.tally.kept) == (2, 2)


def test_transfac_by_hand(tmp_path):
    parsed = read(write(tmp_path, TRANSFAC))
    assert as_rows(parsed) == [
        ("MA0021.1", "Dof3", "DOF", 2, 21.0, 1),
        ("ABI3VP1_tnt.AT5G18090_col_a_m1", "AT5G18090", "ABI3VP1", 1, 147.0, 14),
    ]
    np.testing.assert_allclose(
        matrices(parsed)[0], [[1, 0, 0, 0], [0, 10 / 21, 3 / 21, 8 / 21]]
    )
    np.testing.assert_allclose(
        matrices(parsed)[1], [[36 / 147, 24 / 147, 59 / 147, 28 / 147]]
    )


def test_jaspar_by_hand(tmp_path):
    parsed = read(write(tmp_path, JASPAR))
    assert as_rows(parsed) == [
        ("MA0004.1", "Arnt", "", 2, 20.0, 1),
        ("second", "second", "", 2, 4.0, 6),
    ]
    assert matrices(parsed) == [
        [[0.2, 0.8, 0, 0], [0.95, 0, 0.05, 0]],
        [[1, 0, 0, 0], [0, 1, 0, 0]],
    ]


def test_hocomoco_counts_with_positions_in_rows(tmp_path):
    parsed = read(write(tmp_path, ">X\n1 2 3 4\n4 3 2 1\n10 0 0 0\n"))
    np.testing.assert_allclose(
        matrices(parsed), [[[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [1, 0, 0, 0]]]
    )


def test_percentages_are_not_taken_for_sites(tmp_path):
    entry = "AC {}\nP0 A C G T\n1 37 8 13 42\n2 25.2 25 25 25\nXX\n//\n"
    parsed = read(write(tmp_path, entry.format("M1") + entry.format("M2")))
    assert parsed.tables["motifs"]["n_sites"].isna().all()
    assert parsed.tally.left_out == {}


def test_full_meme_output_names_motifs_before_width(tmp_path):
    text = MEME.replace(
        "MOTIF MA0001.1 AGL3", "MOTIF GGGAAAYTG MEME-1\twidth =   2  sites =  18"
    )
    assert as_rows(read(write(tmp_path, "*****\n" + text)))[0][:2] == (
        "GGGAAAYTG",
        "GGGAAAYTG",
    )


@pytest.mark.parametrize("text", [MEME, TRANSFAC, JASPAR])
def test_line_ends_marks_and_compression_do_not_matter(tmp_path, text):
    plain = read(write(tmp_path, text))
    path = tmp_path / "mit Leer zeichen é.dat"
    path.write_bytes(
        gzip.compress(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    )
    assert KIND.detect(path, read_head(path))
    other = read(path)
    assert as_rows(other) == as_rows(plain)
    assert matrices(other) == matrices(plain)


# --- names, counts and refusals


def test_repeated_names(tmp_path):
    parsed = read(write(tmp_path, JASPAR + JASPAR.replace("4 0\n0 4", "0 4\n4 0")))
    names = [row[0] for row in as_rows(parsed)]
    assert names == ["MA0004.1", "second", "second_2"]
    assert parsed.tally.left_out == {"duplicate_motif": 1}
    assert parsed.tally.read == parsed.tally.kept + 1 == 4


def test_unusable_matrices_are_counted(tmp_path):
    different = "".join(f">g{i}\n{i} 0\n0 1\n0 0\n0 1\n" for i in range(1, 6))
    bad = ">neg\n-1 0\n2 1\n0 0\n0 0\n>zero\n0 1\n0 1\n0 0\n0 0\n>none\n"
    parsed = read(write(tmp_path, different + bad))
    assert parsed.tally.left_out == {"bad_value": 1, "zero_column": 1, "no_matrix": 1}
    assert (parsed.tally.read, parsed.tally.kept) == (8, 5)
    assert [(e.reason, e.line) for e in parsed.tally.examples] == [
        ("bad_value", 26),
        ("zero_column", 31),
        ("no_matrix", 36),
    ]
    with pytest.raises(MalformedFileError, match="2 of 3 matrices cannot be used"):
        read(write(tmp_path, ">g\n1\n0\n0\n0\n" + bad[: bad.index(">none")]))


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", None, "empty"),
        ("hello\nworld\n", 1, "no motif format"),
        (MEME.replace(" 0 0 0.25 0.75\n", ""), 13, "lacks 1 of its matrix rows"),
        (MEME[: MEME.index(" 0 0 0.25")], 13, "lacks 1|ends 1 rows before"),
        (MEME.replace("0.25 0.75", "0.25 x"), 13, "x"),
        (MEME.replace("= ACGT", "= ACGU"), 3, "alphabet is 'ACGU'"),
        (MEME.replace("alength= 4", "alength= 20"), 11, "20 letters"),
        (MEME.replace("MOTIF MA0001.1 AGL3\n", ""), 10, "before any MOTIF"),
        (MEME.replace("w= 2", "w="), 11, "no width"),
        (TRANSFAC[: TRANSFAC.rindex("//")], None, "no end line"),
        (TRANSFAC.replace("\t8.0", ""), 8, "3 numbers"),
        (JASPAR.replace("16  0 ", "16 "), 1, r"rows of \[1, 2\]"),
        (JASPAR.replace(">second", ">"), 6, "no name"),
    ],
)
def test_broken_files_are_refused_with_their_line(tmp_path, text, line, problem):
    with pytest.raises(MalformedFileError, match=problem) as caught:
        read(write(tmp_path, text))
    if line is not None:
        assert caught.value.line == line


def test_a_truncated_archive_is_refused(tmp_path):
    path = tmp_path / "m.meme.gz"
    path.write_bytes(gzip.compress(MEME.encode() * 50)[:-20])
    with pytest.raises(MalformedFileError, match="truncated"):
        read(path)


@pytest.mark.parametrize(
    "head",
    [
        b">chr1\nACGTACGT\nACGT\n",
        b">a\nA\n",
        b"chr1\t10\t20\n",
        b"##gff-version 3\n",
        b"A\tC\tG\tT\n",
    ],
)
def test_other_files_are_not_taken_for_motifs(head):
    assert not KIND.detect(Path("x"), head)


# --- JASPAR as it comes with pyjaspar


def test_a_jaspar_collection_stands_for_a_path():
    path = Path("jaspar:CORE/plants")
    assert KIND.detect(path, b"")
    parsed = read(path, release="JASPAR2024")
    assert parsed.tally.read == 805
    table = parsed.tables["motifs"].set_index("motif_id")
    assert table.loc["MA0021.1"].drop("matrix").to_dict() == {
        "tf": "Dof3",
        "family": "DOF",
        "width": 6,
        "n_sites": 21.0,
    }
    assert "JASPAR2024" in parsed.notes[0]


@pytest.mark.parametrize(
    ("name", "release", "problem"),
    [
        ("jaspar:CORE", "JASPAR2024", "jaspar:COLLECTION/GROUP"),
        ("jaspar:CORE/plants/more", "JASPAR2024", "jaspar:COLLECTION/GROUP"),
        ("jaspar:CORE/plants", "JASPAR1999", "there are JASPAR2014"),
        ("jaspar:CORE/martians", "JASPAR2024", "groups are plants"),
        ("jaspar:NOPE/plants", "JASPAR2024", "collection 'NOPE'"),
    ],
)
def test_unknown_collections_are_refused(name, release, problem, capsys):
    with pytest.raises(InputError, match=problem):
        read(Path(name), release=release)
    assert capsys.readouterr().out == ""


# --- real files

REAL = [
    ("arabidopsis/tf_binding/ArabidopsisPBM_2015-11-06.tf.gz", "^//", 0),
    ("arabidopsis/tf_binding/Cistrome_Athaliana.tf.gz", "^//", 0),
    ("arabidopsis/tf_binding/cisBP_Arabidopsis_thaliana_2019.tf.gz", "^//", 0),
    (
        "arabidopsis/tf_binding/"
        "JASPAR2024_CORE_plants_non-redundant_pfms_transfac.txt.gz",
        "^//",
        0,
    ),
    ("yeast/motifs/YEASTRACT_20130918.meme.gz", "^MOTIF", 0),
    ("benchmarks/motifs/hocomoco/H12CORE_meme_format.meme.gz", "^MOTIF", 0),
    ("benchmarks/motifs/memelite/test.meme.gz", "^MOTIF", 0),
    ("benchmarks/motifs/meme_reference/flyFactor_dups.meme.gz", "^MOTIF", 1),
    ("benchmarks/motifs/meme_reference/db/fly_factor_survey_id.meme.gz", "^MOTIF", 48),
]


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "mark", "n_repeated"), REAL)
def test_real_files_are_read_whole(shared_data, name, mark, n_repeated):
    path = shared_data / name
    assert KIND.detect(path, read_head(path))
    parsed = read(path)
    with gzip.open(path, "rt") as lines:
        n = sum(1 for line in lines if re.match(mark, line))
    assert parsed.tally.read == n > 0
    assert parsed.tally.left_out.total() == n_repeated
    table = parsed.tables["motifs"]
    assert table["motif_id"].is_unique
    assert (table["tf"] != "").all()
    for matrix, width in zip(table["matrix"], table["width"], strict=True):
        np.testing.assert_allclose(matrix.reshape(width, 4).sum(axis=1), 1.0)


@pytest.mark.realdata
def test_the_jaspar_file_equals_the_built_in_collection(shared_data):
    (path,) = (shared_data / "arabidopsis" / "tf_binding").glob("JASPAR2024*")
    file = read(path).tables["motifs"].set_index("motif_id").sort_index()
    built_in = jaspar_motifs("CORE", "plants", "JASPAR2024").set_index("motif_id")
    assert file.index.tolist() == built_in.sort_index().index.tolist()
    for motif_id, row in built_in.iterrows():
        assert file.loc[motif_id, "tf"] == row["tf"]
        np.testing.assert_allclose(file.loc[motif_id, "matrix"], row["matrix"])
        assert file.loc[motif_id, "n_sites"] == row["n_sites"]


@pytest.mark.realdata
def test_lost_gaps_of_yeastract_are_told(shared_data):
    # 'CGGN{11}CCG' came out 3 columns wide in this file: the reader should know
    parsed = read(shared_data / "yeast" / "motifs" / "YEASTRACT_20130918.meme.gz")
    assert any("34 matrices are narrower than the consensus" in n for n in parsed.notes)
