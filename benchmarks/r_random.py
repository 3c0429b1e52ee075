"""R's default normal random numbers, to repeat bootstraps that were run in R.

``set.seed(seed)`` (scrambled Mersenne Twister) and ``rnorm`` by inversion, as R's
documentation of ``Random`` describes them.
"""

import numpy as np
from numpy.random import MT19937
from numpy.typing import NDArray
from scipy.special import ndtri

_BIG = 134_217_728.0
_WORDS = 624


class RNormals:
    """The stream of ``rnorm`` after ``set.seed``."""

    def __init__(self, seed: int) -> None:
        word, key = seed & 0xFFFFFFFF, []
        for step in range(50 + 1 + _WORDS):
            word = (69069 * word + 1) & 0xFFFFFFFF
            if step > 50:
                key.append(word)
        self._bits = MT19937()
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": np.array(key, dtype=np.uint32), "pos": _WORDS},
        }

    def standard_normal(self, size: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the next numbers, in C order."""
        n = int(np.prod(size))
        raw = self._bits.random_raw(2 * n).astype(np.float64)
        uniform = np.clip(raw * 2.3283064365386963e-10, 2.3e-10, 1 - 2.3e-10)
        uniform = uniform.reshape(n, 2)
        high = np.floor(_BIG * uniform[:, 0]) + uniform[:, 1]
        found: NDArray[np.float64] = ndtri(high / _BIG).reshape(size)
        return found
