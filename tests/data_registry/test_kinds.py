"""Kinds: each small file is told from the others, and the tables fit the schema."""

import pytest

from data_registry.errors import InputError, MalformedFileError
from data_registry.kinds import KINDS, detect_kind, find_kind
from data_registry.schema import TABLES
from tests.data_registry import small_files


def test_every_kind_has_a_small_file(tmp_path):
    covered = {case.kind for case in small_files.cases(tmp_path)}
    # A PLINK set needs an optional package: test_source_panels reads it.
    # A relative is a FASTA as the genome is: test_relatives reads it.
    unlisted = {"genome", "annotation", "panel", "relative_genome"}
    assert covered | unlisted == set(KINDS)


def test_small_files_are_recognised(tmp_path):
    small_files.write_genome(tmp_path)
    small_files.write_annotation(tmp_path)
    expected = {case.path: case.kind for case in small_files.cases(tmp_path)}
    found = {path: detect_kind(path).name for path in expected}
    # Binding sites in plain BED are intervals unless the caller says more.
    assert found.pop(tmp_path / "ABF1.bed") == "intervals"
    del expected[tmp_path / "ABF1.bed"]
    assert found == expected
    assert detect_kind(tmp_path / "genome.fa").name == "genome"
    assert detect_kind(tmp_path / "genes.gff3").name == "annotation"


def test_kinds_name_tables_that_exist():
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.tables
        assert set(kind.tables) <= set(TABLES)


def test_unknown_kind_lists_the_known_ones():
    with pytest.raises(InputError, match=r"no kind 'bam'.*annotation.*variants"):
        find_kind("bam")


@pytest.mark.parametrize("data", [b"", b" \n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_no_kind(data, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(MalformedFileError, match="empty"):
        detect_kind(path)


def test_prose_is_no_kind(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("Dear reader,\nthis is a letter and no table.\n")
    with pytest.raises(MalformedFileError, match="Say what it is with --kind"):
        detect_kind(path)
