"""Distances of amino acids as published, and codons counted by hand."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from data_registry.genome import Genome
from tests.organisms import TRANSCRIPTS, coding_sequence
from variant_effect.preparation import Prepared, open_registry
from variant_effect.substitutions import (
    AMINO_ACIDS,
    BLOSUM62,
    CODONS,
    GRANTHAM,
    amino_acids_of,
    changed_position,
    codon_usage,
    codons_of,
    look_up,
)

AT = AMINO_ACIDS.index


@pytest.mark.parametrize(
    ("pair", "published"),
    [("LI", 5), ("CW", 215), ("SR", 110), ("DE", 45), ("SL", 145), ("AV", 64),
     ("FY", 22), ("KR", 26), ("GW", 184)],
)  # fmt: skip
def test_grantham_as_published(pair: str, published: int) -> None:
    # The published table was worked out from properties with more digits.
    assert GRANTHAM[AT(pair[0]), AT(pair[1])] == pytest.approx(published, abs=1)


def test_matrices_are_symmetric_and_known_cells_hold() -> None:
    for matrix in (BLOSUM62, GRANTHAM):
        np.testing.assert_array_equal(matrix, matrix.T)
    assert BLOSUM62[AT("W"), AT("W")] == 11
    assert BLOSUM62[AT("I"), AT("V")] == 3
    assert BLOSUM62[AT("W"), AT("S")] == -3
    np.testing.assert_array_equal(np.diag(GRANTHAM), 0)
    assert GRANTHAM[np.triu_indices(20, 1)].mean() == pytest.approx(100, abs=0.5)


def test_exchanges_are_read_and_nothing_else() -> None:
    written = ["10P>10L", "10P/10L", "10P", "7W>7*", "1MK>1M", "", None, "3A>3B"]
    old, new = amino_acids_of(pa.array(written))
    assert old[:2].tolist() == [AT("P")] * 2
    assert new[:2].tolist() == [AT("L")] * 2
    values = look_up(BLOSUM62, old, new)
    assert values[:2].tolist() == [-3, -3]
    assert np.isnan(values[2:]).all()


def test_codons_and_the_base_that_changed() -> None:
    old, new = codons_of(
        pa.array(["ccG/ccA", "Tga/Cga", "aAa/aTa", "a/b", None, "ACG/TGG"])
    )
    assert [CODONS[i] for i in old[:3]] == ["CCG", "TGA", "AAA"]
    assert [CODONS[i] for i in new[:3]] == ["CCA", "CGA", "ATA"]
    assert old[3:5].tolist() == [-1, -1]
    assert changed_position(old, new).tolist() == [3, 1, 2, 0, 0, 0]


def test_usage_counts_the_genes_own_codons(prepared: Prepared, genome: Genome) -> None:
    with open_registry(prepared.workspace) as connection:
        found = codon_usage(connection, genome)
        canonical = {
            name
            for (name,) in connection.execute(
                "SELECT transcript_id FROM transcripts WHERE is_canonical"
            ).fetchall()
        }
    counts = dict.fromkeys(CODONS, 1)
    for model in TRANSCRIPTS:
        if model.name in canonical and model.cds:
            text = coding_sequence(model)
            assert len(text) % 3 == 0
            for i in range(0, len(text), 3):
                counts[text[i : i + 3]] += 1
    total = sum(counts.values())
    assert total > 64 + 200
    expected = [np.log(counts[codon] / total) for codon in CODONS]
    np.testing.assert_allclose(found, expected)


def test_without_genes_all_codons_are_alike(tmp_path: Path, genome: Genome) -> None:
    with duckdb.connect(str(tmp_path / "empty.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE transcripts (transcript_id VARCHAR, contig VARCHAR, "
            "strand VARCHAR, is_canonical BOOLEAN)"
        )
        connection.execute(
            "CREATE TABLE features (transcript_id VARCHAR, contig VARCHAR, kind VARCHAR, "
            'start BIGINT, "end" BIGINT)'
        )
        np.testing.assert_allclose(codon_usage(connection, genome), np.log(1 / 64))
