"""The running mean of a network's weights over its training steps."""

from collections.abc import Mapping

import torch
from torch import Tensor


def move_mean(
    mean: Mapping[str, Tensor], now: Mapping[str, Tensor], *, decay: float, steps: int
) -> None:
    """Move the mean of the weights towards those of now, in place (Polyak & Juditsky 1992).

    Parameters
    ----------
    mean, now
        State dictionaries of one network; counts and the like are copied.
    decay
        Weight of the mean. In the first steps it is less, ``(1 + steps) / (10 + steps)``:
        the mean would hold little but the first weights.
    steps
        Taken so far.
    """
    decay = min(decay, (1 + steps) / (10 + steps))
    real = [name for name, value in mean.items() if value.is_floating_point()]
    torch._foreach_lerp_([mean[n] for n in real], [now[n] for n in real], 1 - decay)
    for name in mean.keys() - set(real):
        mean[name].copy_(now[name])
