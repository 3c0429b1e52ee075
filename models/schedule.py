"""How the learning rate goes over a run."""

import math


def warmup_cosine(progress: float, warmup: float) -> float:
    """Return the share of the peak rate: a line up, then half a cosine down to 0.

    Parameters
    ----------
    progress
        Share of the run that is done, 0 to 1.
    warmup
        Share of the run in which the rate rises.
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
