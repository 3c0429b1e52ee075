"""How far apart two amino acids are, and how much rarer one codon is than another.

* BLOSUM62 (Henikoff & Henikoff 1992, PNAS 89:10915), from Biopython: high is alike.
* Grantham's distance (Grantham 1974, Science 185:862), worked out from the three
  properties of his Table 1: high is unlike.
* Codon usage: natural logarithm of a codon's frequency in the genome's own genes.
"""

from collections.abc import Mapping
from itertools import product

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from Bio.Align import substitution_matrices
from numpy.typing import NDArray

from data_registry.genome import Genome
from encoders.nucleotides import encode, reverse_complement

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
CODONS = tuple("".join(bases) for bases in product("ACGT", repeat=3))
"""All codons; a codon's number is its place here."""

_PROPERTIES: Mapping[str, tuple[float, float, float]] = {
    "S": (1.42, 9.2, 32.0), "R": (0.65, 10.5, 124.0), "L": (0.0, 4.9, 111.0),
    "P": (0.39, 8.0, 32.5), "T": (0.71, 8.6, 61.0), "A": (0.0, 8.1, 31.0),
    "V": (0.0, 5.9, 84.0), "G": (0.74, 9.0, 3.0), "I": (0.0, 5.2, 111.0),
    "F": (0.0, 5.2, 132.0), "Y": (0.20, 6.2, 136.0), "C": (2.75, 5.5, 55.0),
    "H": (0.58, 10.4, 96.0), "Q": (0.89, 10.5, 85.0), "N": (1.33, 11.6, 56.0),
    "K": (0.33, 11.3, 119.0), "D": (1.38, 13.0, 54.0), "E": (0.92, 12.3, 83.0),
    "M": (0.0, 5.7, 105.0), "W": (0.13, 5.4, 170.0),
}  # fmt: skip
"""Composition, polarity and volume of the side chains (Grantham 1974, Table 1)."""
_FACTORS = np.array([1.833, 0.1018, 0.000399])
_MEAN_100 = 50.723

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


def _blosum62() -> Numbers:
    matrix = substitution_matrices.load("BLOSUM62")  # type: ignore[no-untyped-call]
    return np.array([[float(matrix[a, b]) for b in AMINO_ACIDS] for a in AMINO_ACIDS])


def _grantham() -> Numbers:
    held = np.array([_PROPERTIES[letter] for letter in AMINO_ACIDS])
    squares = (held[:, None] - held[None]) ** 2 @ _FACTORS
    found: Numbers = _MEAN_100 * np.sqrt(squares)
    return found


BLOSUM62 = _blosum62()
"""Log-odds in half bits, ``(20, 20)``, in the order of ``AMINO_ACIDS``."""
GRANTHAM = _grantham()
"""Distances with a mean of 100, ``(20, 20)``; the published table rounds them."""


def amino_acids_of(change: pa.Array) -> tuple[Places, Places]:
    """Return both amino acids of changes written ``10P>10L`` or ``10P/10L``.

    Returns
    -------
    tuple of numpy.ndarray
        Places in ``AMINO_ACIDS``, ``(n,)`` each; -1 for all but one residue changed into
        another (no change, stops, several residues, null).
    """
    found = pc.extract_regex(
        change.cast(pa.string()), r"^\d+(?P<old>[A-Y])[>/]\d+(?P<new>[A-Y])$"
    )
    return _places(found, "old", AMINO_ACIDS), _places(found, "new", AMINO_ACIDS)


def codons_of(codons: pa.Array) -> tuple[Places, Places]:
    """Return both codons of changes written ``ccG/ccA``; -1 for all but one codon."""
    found = pc.extract_regex(
        pc.utf8_upper(codons.cast(pa.string())),
        r"^(?P<old>[ACGT]{3})/(?P<new>[ACGT]{3})$",
    )
    return _places(found, "old", CODONS), _places(found, "new", CODONS)


def _places(found: pa.Array, name: str, among: str | tuple[str, ...]) -> Places:
    values = pc.index_in(pc.struct_field(found, name), pa.array(list(among)))
    places: Places = (
        pc.fill_null(values, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    )
    return places


def look_up(matrix: Numbers, old: Places, new: Places) -> Numbers:
    """Return ``matrix[old, new]``, NaN where either is -1."""
    known = (old >= 0) & (new >= 0)
    found: Numbers = np.where(known, matrix[old, new], np.nan)
    return found


def changed_position(old: Places, new: Places) -> Places:
    """Return which base of the codon differs, 1-3; 0 where not just one does."""
    powers = np.array([16, 4, 1])
    differs = (old[:, None] // powers % 4) != (new[:, None] // powers % 4)
    single = (old >= 0) & (new >= 0) & (differs.sum(axis=1) == 1)
    places: Places = np.where(single, differs.argmax(axis=1) + 1, 0)
    return places


def codon_usage(connection: duckdb.DuckDBPyConnection, genome: Genome) -> Numbers:
    """Count the codons of canonical transcripts; return the logarithms of their shares.

    Transcripts whose CDS is no whole number of codons are left out. One is added to each
    count, so that no share is zero.

    Returns
    -------
    numpy.ndarray
        ``(64,)``, natural logarithms, in the order of ``CODONS``.
    """
    parts = connection.execute(
        'SELECT t.transcript_id, t.contig, t.strand, f.start, f."end" '
        "FROM transcripts t JOIN features f ON f.transcript_id = t.transcript_id "
        "AND f.contig = t.contig WHERE t.is_canonical AND f.kind = 'cds' "
        "ORDER BY t.contig, t.transcript_id, f.start"
    ).df()
    counts = np.ones(len(CODONS))
    for contig, on_contig in parts.groupby("contig", sort=True):
        codes = encode(genome.contig(str(contig)))
        for _, group in on_contig.groupby("transcript_id", sort=False):
            pieces = [
                codes[a:b] for a, b in zip(group["start"], group["end"], strict=True)
            ]
            bases = np.concatenate(pieces)
            if len(bases) % 3:
                continue
            if group["strand"].iloc[0] == "-":
                bases = reverse_complement(bases)
            words = bases.reshape(-1, 3).astype(np.int64)
            words = words[(words < 4).all(axis=1)]
            counts += np.bincount(words @ [16, 4, 1], minlength=len(CODONS))
    usage: Numbers = np.log(counts / counts.sum())
    return usage
