"""A sequence model small enough to work out by hand, for tests of what stands on one.

The logit of base ``b`` at ``i`` is the sum, over the ``reach_bp`` bases on each side, of
one weight a distance, neighbour and base; unknown neighbours weigh nothing.
"""

import numpy as np

from encoders.nucleotides import UNKNOWN


class NeighbourModel:
    """Keeps ``SequenceModel``; counts the bases it was asked to read in ``n_read``."""

    def __init__(
        self, *, reach_bp: int = 5, symmetric: bool = True, seed: int = 1
    ) -> None:
        rng = np.random.default_rng(seed)
        # (distance, neighbour, base): distance d is row d - 1, of neighbours to the left.
        self.left = rng.normal(0, 0.6, (reach_bp, 4, 4)).astype(np.float32)
        self.right = (
            # The other strand sees a left neighbour on the right, both complemented.
            self.left[:, ::-1, ::-1]
            if symmetric
            else rng.normal(0, 0.6, self.left.shape).astype(np.float32)
        )
        self.name = f"neighbour{seed}"
        self.digest = f"{seed}-{reach_bp}-{symmetric}"
        self.reach_bp = reach_bp
        self.width = 8
        self.strand_symmetric = symmetric
        self.n_read = 0

    def _logits(self, codes: np.ndarray) -> np.ndarray:
        self.n_read += len(codes)
        one_hot = np.zeros((len(codes), 4), np.float32)
        known = np.flatnonzero(codes < UNKNOWN)
        one_hot[known, codes[known]] = 1
        logits = np.zeros((len(codes), 4), np.float32)
        for d in range(1, min(self.reach_bp, len(codes) - 1) + 1):
            logits[d:] += one_hot[:-d] @ self.left[d - 1]
            logits[:-d] += one_hot[d:] @ self.right[d - 1]
        return logits

    def log_probabilities(self, codes: np.ndarray) -> np.ndarray:
        logits = self._logits(codes)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def embed(self, codes: np.ndarray) -> np.ndarray:
        """The logits and the base itself; order-free on strands in its sums only."""
        one_hot = np.zeros((len(codes), 4), np.float32)
        known = np.flatnonzero(codes < UNKNOWN)
        one_hot[known, codes[known]] = 1
        return np.hstack([self._logits(codes), one_hot])


class MaskedNeighbourModel(NeighbourModel):
    """The same asked site by site, as masked models are; counts sites in ``n_sites``."""

    is_masked = True
    n_sites = 0

    def log_probabilities_at(
        self, codes: np.ndarray, positions: np.ndarray
    ) -> np.ndarray:
        self.n_sites += len(positions)
        hidden = []
        for place in positions.tolist():
            masked = codes.copy()
            masked[place] = UNKNOWN
            hidden.append(super().log_probabilities(masked)[place])
        return np.array(hidden, np.float32).reshape(-1, 4)
