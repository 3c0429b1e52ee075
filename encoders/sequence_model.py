"""What every nucleotide language model answers, ours and published ones alike."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class SequenceModel(Protocol):
    """A model that predicts each base of a sequence from the others, and embeds it.

    Laws (``tests/encoders/laws.py``): each row of ``exp(log_probabilities)`` sums to one;
    the same sequence gives the same answer whatever was asked before or beside it; where
    ``strand_symmetric``, the reverse complement gives the same numbers read backwards.
    """

    name: str
    """Short and stable: it names columns, caches and cards."""
    digest: str
    """Of the weights and the configuration; caches are keyed by it."""
    reach_bp: int
    """No base further away than this changes an answer (window length for attention)."""
    width: int
    """Columns of ``embed``."""
    strand_symmetric: bool

    def log_probabilities(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return log p(base | all other bases in reach), natural log.

        Parameters
        ----------
        codes
            ``(length,)`` of any length, as ``encoders.nucleotides.encode`` gives; beyond
            its ends the model sees nothing.

        Returns
        -------
        NDArray
            ``(length, 4)`` in the order A, C, G, T. The base at a position has no part in
            its own row, so one call scores every substitution:
            ``LLR = row[alt] - row[ref]``.
        """
        ...

    def embed(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return one vector a base, ``(length, width)``."""
        ...
