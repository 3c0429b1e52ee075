"""Small loci with known effects."""

import numpy as np


def genotypes(rng: np.random.Generator, n: int, p: int, r: float = 0.7) -> np.ndarray:
    """Dosages 0, 1, 2 with correlation between neighbours."""
    found = np.zeros((n, p))
    for _ in range(2):
        z = np.empty((n, p))
        z[:, 0] = rng.normal(size=n)
        for j in range(1, p):
            z[:, j] = r * z[:, j - 1] + np.sqrt(1 - r**2) * rng.normal(size=n)
        found += z > rng.normal(0.3, 0.3, p)
    return found


def trait(
    rng: np.random.Generator, x: np.ndarray, causal: list[int], share: float
) -> np.ndarray:
    """Each causal variant explains ``share`` of the variance."""
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    noise = rng.normal(0, np.sqrt(1 - share * len(causal)), len(x))
    return z[:, causal].sum(axis=1) * np.sqrt(share) + noise
