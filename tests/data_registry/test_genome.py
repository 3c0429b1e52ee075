"""Genomes: letters by hand, all containers alike, and what may not pass for one."""

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pysam
import pytest

from data_registry.errors import (
    MalformedFileError,
    OutOfBoundsError,
    UnknownContigError,
    WorkspaceError,
)
from data_registry.genome import Genome, read_index
from data_registry.parsing import Parsed, Request
from data_registry.sources import genome as source
from data_registry.store import open_store

TEXT = ">one first contig\nACGTN\nacgt\n\n>two\nRYK\nACGTACGTAC\nGG"


def read(path: Path, workspace: Path) -> tuple[Parsed, Genome]:
    parsed = source.parse_genome(Request(path, "g", workspace=workspace))
    return parsed, Genome("g", parsed.files["genome.fa"])


def write(folder: Path, data: bytes | str, name: str = "g.fa") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_bases_and_counts_by_hand(tmp_path):
    parsed, genome = read(write(tmp_path, TEXT), tmp_path)
    assert dict(genome.lengths) == {"one": 9, "two": 15}
    assert genome.contig("one").tobytes() == b"ACGTNacgt"  # case is kept
    assert genome.fetch("one", 3, 7) == "TNAC"
    assert genome.fetch("two", 0, 15) == "RYKACGTACGTACGG"
    rows = parsed.tables["contigs"].to_dict("records")
    assert rows == [
        {"contig": "one", "length": 9, "ordinal": 0, "n_masked": 4, "n_ambiguous": 1},
        {"contig": "two", "length": 15, "ordinal": 1, "n_masked": 0, "n_ambiguous": 3},
    ]
    assert (parsed.tally.read, parsed.tally.kept) == (2, 2)


def test_bounds(tmp_path):
    _, genome = read(write(tmp_path, TEXT), tmp_path)
    assert genome.fetch("one", 9, 9) == ""
    assert genome.fetch_inside("one", -5, 2) == "AC"
    assert genome.fetch_inside("one", 7, 99) == "GT"
    assert (
        genome.fetch_inside("one", 99, 120) == genome.fetch_inside("one", -9, 0) == ""
    )
    for start, end in ((-1, 3), (0, 10), (5, 4)):
        with pytest.raises(OutOfBoundsError, match="9 bp"):
            genome.fetch("one", start, end)
    with pytest.raises(UnknownContigError, match="'three'"):
        genome.contig("three")
    with pytest.raises(ValueError, match="read-only"):
        genome.contig("one")[0] = 1


@pytest.mark.parametrize("name", ["plain", "crlf", "bom", "gz", "bgz", "xz", "bz2"])
def test_every_container_gives_the_same_genome(name, tmp_path):
    data = TEXT.encode()
    path = tmp_path / "g.dat"
    if name == "bgz":
        with pysam.BGZFile(str(path), "w", None) as file:
            file.write(data)
    else:
        pack = {
            "plain": bytes,
            "crlf": lambda d: d.replace(b"\n", b"\r\n"),
            "bom": lambda d: b"\xef\xbb\xbf" + d,
            "gz": gzip.compress,
            "xz": lzma.compress,
            "bz2": bz2.compress,
        }[name]
        path.write_bytes(pack(data))
    parsed, genome = read(path, tmp_path)
    assert genome.contig("one").tobytes() == b"ACGTNacgt"
    assert genome.contig("two").tobytes() == b"RYKACGTACGTACGG"
    assert parsed.tally.read == 2


def test_stored_fasta_reads_the_same_in_another_program(tmp_path):
    _, genome = read(write(tmp_path, TEXT), tmp_path)
    with pysam.FastaFile(str(genome.path)) as other:
        assert dict(zip(other.references, other.lengths, strict=True)) == dict(
            genome.lengths
        )
        for name in genome:
            assert other.fetch(name).encode() == genome.contig(name).tobytes()
        assert other.fetch("two", 2, 5) == genome.fetch("two", 2, 5)


def test_pieces_join_without_a_seam(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("ACGTacgtN"), size=1000))
    lines = "\n".join(text[i : i + 7] for i in range(0, 1000, 7))
    monkeypatch.setattr(source, "_CHUNK_BP", 50)
    _, genome = read(write(tmp_path, f">a\n{lines}\n>b\nAC\n"), tmp_path)
    assert genome.contig("a").tobytes().decode() == text
    assert genome.contig("b").tobytes() == b"AC"


@pytest.mark.parametrize("chunk", [5, 1 << 24])
def test_a_wrong_letter_is_named_with_its_line(chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "_CHUNK_BP", chunk)
    path = write(tmp_path, ">a\nACGT\nACGTAC\n\nACEGT\nACGT\n")
    with pytest.raises(MalformedFileError) as caught:
        read(path, tmp_path)
    assert caught.value.line == 5
    assert "'E' is no base" in str(caught.value)
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (">a\nACGT\n>a\nAC\n", "'a' stands twice"),
        (">a\nACGT\n>\nAC\n", "no name"),
        (">a\n>b\nAC\n", "'a' has no bases"),
        (">a\nACGT\n>b\n", "'b' has no bases"),
        ("ACGT\n", "line 1: a FASTA record starts with '>'"),
        (">a\nAC GT\n", "' ' is no base"),
        (">a\rACGT\r", "carriage return"),
        (">a\nMKVHHMKVWSKMKVH\n", "looks like protein"),
        ("\n\n", "no sequence records"),
    ],
)
def test_what_is_no_genome(text, problem, tmp_path):
    with pytest.raises(MalformedFileError) as caught:
        read(write(tmp_path, text), tmp_path)
    assert problem in str(caught.value)
    assert caught.value.remedy
    assert not list((tmp_path / "tmp").iterdir())


def test_transcripts_are_pointed_out(tmp_path):
    text = "".join(f">AT1G010{i}0.1\nACGTAC\n" for i in range(1, 5))
    parsed, _ = read(write(tmp_path, text), tmp_path)
    assert any("no set of transcripts" in note for note in parsed.notes)
    parsed, _ = read(write(tmp_path, TEXT), tmp_path)
    assert not any("transcripts" in note for note in parsed.notes)


def test_two_bit_and_fasta_of_the_same_genome_agree(tmp_path):
    """A 2bit file put together by hand: sequence AACGT with N at 1-2, mask at 3-4."""

    def word(*values: int) -> bytes:
        return b"".join(v.to_bytes(4, "little") for v in values)

    # T=0 C=1 A=2 G=3; A T(N) C(mask) G T -> 10 00 01 11 | 00 ......
    record = word(5, 1, 1, 1, 1, 2, 1, 0) + bytes([0b10000111, 0])
    header = word(0x1A412743, 0, 1, 0) + b"\x01a" + word(16 + 2 + 4)
    path = write(tmp_path, header + record, "g.2bit")
    assert source.detect_genome(path, path.read_bytes())
    parsed, genome = read(path, tmp_path)
    assert genome.contig("a").tobytes() == b"ANcGT"
    assert parsed.tables["contigs"].iloc[0]["n_masked"] == 1


def test_a_lost_index_says_what_to_do(tmp_path):
    with pytest.raises(WorkspaceError, match="register the genome again"):
        read_index(tmp_path / "genome.fa")


@pytest.mark.realdata
def test_yeast_is_read_as_samtools_reads_it(shared_data, tmp_path):
    path = shared_data / "yeast" / "genome" / "sacCer3.fa.gz"
    with open_store(tmp_path / "w", write=True) as store:
        added = store.add(path).source
        genome = store.genome()
        assert sum(genome.lengths.values()) == 12_157_105
        assert (added.rows_read, len(genome.lengths)) == (17, 17)
        plain = tmp_path / "plain.fa"
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        with pysam.FastaFile(str(plain)) as other:
            for name in genome:
                assert other.fetch(name).encode() == genome.contig(name).tobytes()
