"""Simulated sequence: background, codons and interspersed repeats.

Bases are ASCII codes (``uint8``, upper case) in the contig's forward direction.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Bases = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

LETTERS: Final = "ACGT"
CODES: Final[Bases] = np.frombuffer(b"ACGT", dtype=np.uint8)
BASE_FREQUENCIES: Final = np.array([0.325, 0.175, 0.175, 0.325])
"""A, C, G, T of plant intergenic sequence, about 35 % GC."""

_ORDER: Final = 4
_COMPLEMENT: Final[Bases] = np.arange(256, dtype=np.uint8)
_COMPLEMENT[np.frombuffer(b"ACGTacgt", dtype=np.uint8)] = np.frombuffer(
    b"TGCAtgca", dtype=np.uint8
)
_INDEX: Final = np.full(256, 4, dtype=np.int8)
_INDEX[CODES] = np.arange(4, dtype=np.int8)

# Codons per thousand in Arabidopsis thaliana coding sequence, in the order
# TTT TTC TTA TTG TCT … GGG (Kazusa codon usage database).
_CODON_USAGE: Final = (
    21.8, 20.7, 12.7, 20.9, 25.2, 11.2, 18.3, 9.3,
    14.6, 13.7, 0.9, 0.5, 10.5, 7.2, 1.2, 12.5,
    24.1, 16.1, 9.9, 9.8, 18.7, 5.3, 16.1, 8.6,
    13.8, 8.7, 19.4, 15.2, 9.0, 3.8, 6.3, 4.9,
    21.5, 18.5, 12.6, 24.5, 17.5, 10.3, 15.7, 7.7,
    22.3, 20.9, 30.8, 32.7, 14.0, 11.3, 19.0, 11.0,
    27.2, 12.8, 9.9, 17.4, 28.3, 10.3, 17.5, 9.0,
    36.6, 17.2, 34.3, 32.2, 22.2, 9.2, 24.2, 10.2,
)  # fmt: skip
_AMINO_ACIDS: Final = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_CODONS: Final = tuple(a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG")
AMINO_ACID: Final = dict(zip(_CODONS, _AMINO_ACIDS, strict=True))
"""Standard genetic code, codon to one-letter amino acid; ``*`` is a stop."""


def encode(text: str) -> Bases:
    """Return the ASCII codes of a sequence."""
    return np.frombuffer(text.encode(), dtype=np.uint8).copy()


def decode(bases: Bases) -> str:
    """Return the text of ASCII codes."""
    return bases.tobytes().decode()


def index_bases(bases: Bases) -> npt.NDArray[np.int8]:
    """Return 0-3 for A, C, G, T and 4 for anything else."""
    return _INDEX[bases]


def complement(bases: Bases) -> Bases:
    """Return the complement, in the same order."""
    return _COMPLEMENT[bases]


def reverse_complement(bases: Bases) -> Bases:
    """Return the other strand, read 5' to 3'."""
    return _COMPLEMENT[bases][::-1]


def translate(text: str) -> str:
    """Return the amino acids of whole codons; ``X`` where a codon is unknown."""
    return "".join(
        AMINO_ACID.get(text[i : i + 3], "X") for i in range(0, len(text) - 2, 3)
    )


@dataclass(frozen=True, slots=True)
class Background:
    """An order-4 Markov chain whose k-mer weights are the same on both strands.

    Parameters
    ----------
    cumulative
        ``(256, 3)``: cumulative probabilities of A, C, G after each context.
    """

    cumulative: npt.NDArray[np.float64]

    def sample(self, length: int, rng: np.random.Generator) -> Bases:
        """Return ``length`` bases."""
        table = [tuple(row) for row in self.cumulative.tolist()]
        context, size = int(rng.integers(4**_ORDER)), 4**_ORDER
        out = bytearray(length)
        letters = b"ACGT"
        for place, draw in enumerate(rng.random(length).tolist()):
            a, c, g = table[context]
            base = (0 if draw < a else 1) if draw < c else (2 if draw < g else 3)
            out[place] = letters[base]
            context = (context * 4 + base) % size
        return np.frombuffer(bytes(out), dtype=np.uint8).copy()


def draw_background(rng: np.random.Generator) -> Background:
    """Draw a chain with plant base composition, rare CG, and runs of A and of T."""
    width = _ORDER + 1
    words = np.indices((4,) * width).reshape(width, -1).T
    mirror = ((3 - words)[:, ::-1] * 4 ** np.arange(width)[::-1]).sum(axis=1)
    noise = rng.normal(0.0, 0.3, len(words))
    weight = (noise + noise[mirror]) / np.sqrt(2.0)
    weight += np.log(BASE_FREQUENCIES[words]).mean(axis=1) * width * 0.8
    weight -= 0.35 * ((words[:, :-1] == 1) & (words[:, 1:] == 2)).sum(axis=1)
    for base in (0, 3):
        weight += 0.45 * (words == base).all(axis=1)
    chances = np.exp(weight).reshape(-1, 4)
    chances /= chances.sum(axis=1, keepdims=True)
    return Background(np.cumsum(chances, axis=1)[:, :3])


def draw_coding(n_codons: int, rng: np.random.Generator) -> str:
    """Draw an open reading frame: ATG, sense codons by usage, one stop.

    Parameters
    ----------
    n_codons
        Codons in all, start and stop included.
    """
    usage = np.array(_CODON_USAGE)
    # Proteins differ in composition; codons of one amino acid keep their shares.
    tilt = dict(zip("ACDEFGHIKLMNPQRSTVWY", rng.gamma(8.0, 1 / 8.0, 20), strict=True))
    sense = np.array(
        [usage[i] * tilt.get(aa, 0.0) for i, aa in enumerate(_AMINO_ACIDS)]
    )
    stops = np.array([usage[i] * (aa == "*") for i, aa in enumerate(_AMINO_ACIDS)])
    middle = rng.choice(64, n_codons - 2, p=sense / sense.sum())
    last = int(rng.choice(64, p=stops / stops.sum()))
    return "ATG" + "".join(_CODONS[i] for i in middle) + _CODONS[last]


@dataclass(frozen=True, slots=True)
class RepeatCopy:
    """One copy of a repeat family, ready to be laid into a contig."""

    family: str
    bases: Bases
    strand: str


@dataclass(frozen=True, slots=True)
class RepeatLibrary:
    """Consensus sequences of simulated transposable elements."""

    names: tuple[str, ...]
    consensus: tuple[Bases, ...]

    def draw_copy(self, rng: np.random.Generator, *, longest: int) -> RepeatCopy:
        """Draw a truncated and diverged copy of at most ``longest`` bp."""
        if rng.random() < 0.25:
            unit = decode(CODES[rng.integers(0, 4, int(rng.integers(1, 5)))])
            n_units = min(int(rng.integers(12, 40)), longest // len(unit))
            return RepeatCopy(f"({unit})n", encode(unit * n_units), "+")
        which = int(rng.integers(len(self.names)))
        full = self.consensus[which]
        keep = min(longest, int(len(full) * rng.beta(2.0, 1.5)) + 50, len(full))
        # Copies of retrotransposons are usually cut short at their 5' end.
        bases = full[len(full) - keep :].copy()
        changed = rng.random(keep) < rng.uniform(0.03, 0.25)
        bases[changed] = CODES[rng.integers(0, 4, int(changed.sum()))]
        if rng.random() < 0.5:
            return RepeatCopy(self.names[which], reverse_complement(bases), "-")
        return RepeatCopy(self.names[which], bases, "+")


def draw_repeats(background: Background, rng: np.random.Generator) -> RepeatLibrary:
    """Draw twelve families of 250 to 2,600 bp."""
    lengths = rng.integers(250, 2600, 12)
    return RepeatLibrary(
        tuple(f"simTE{i:02d}" for i in range(1, 13)),
        tuple(background.sample(int(length), rng) for length in lengths),
    )
