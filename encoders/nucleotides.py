"""Nucleotides as small integers: A 0, C 1, G 2, T 3, everything else 4."""

import numpy as np
from numpy.typing import NDArray

ALPHABET = "ACGTN"
N_BASES = 4
UNKNOWN = 4

_CODE = np.full(256, UNKNOWN, dtype=np.uint8)
for _code, _letter in enumerate("ACGT"):
    _CODE[ord(_letter)] = _CODE[ord(_letter.lower())] = _code
_LETTER = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)


def encode(sequence: str | bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the codes of a sequence; either case, any other letter is ``UNKNOWN``.

    Parameters
    ----------
    sequence
        Letters, or their ASCII values (``data_registry.genome.Genome.contig``).
    """
    if isinstance(sequence, str):
        sequence = sequence.encode("ascii", "replace")
    if isinstance(sequence, bytes):
        sequence = np.frombuffer(sequence, dtype=np.uint8)
    return _CODE[sequence]


def decode(codes: NDArray[np.uint8]) -> str:
    """Return the letters of codes: ``decode(encode("acgr")) == "ACGN"``."""
    return _LETTER[codes].tobytes().decode()


def soft_masked(sequence: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a sequence of ASCII values is lower case: a repeat, by convention."""
    return (sequence >= ord("a")) & (sequence <= ord("z"))


def reverse_complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the other strand, read 5' to 3'; its own inverse."""
    return _COMPLEMENT[codes[..., ::-1]]
