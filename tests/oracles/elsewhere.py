"""A device that is not the processor, on a machine that has none.

Tensors on it hold their values in an ordinary tensor and say that they lie on ``meta``.
An operation that mixes them with tensors of the processor fails, as it would with a GPU;
so does reading them as numpy. Single numbers of the processor may take part, as with a GPU.
"""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = torch.device("meta")


class Away(torch.Tensor):
    """A tensor on the device; ``inner`` holds its values."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Away":
        """Wrap."""
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=ELSEWHERE
        )  # fmt: skip
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        """Compute with the values."""
        return _run(func, args, kwargs or {})


class Device(TorchDispatchMode):
    """While it is entered, tensors can be made on, and sent to, the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Compute with the values."""
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    away = [t for t in tensors if isinstance(t, Away)]
    here = [t for t in tensors if not isinstance(t, Away) and t.ndim]
    moves = func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
    if away and here and not moves:
        raise RuntimeError(f"{func}: a tensor of the processor beside one elsewhere")
    to = kwargs.get("device")
    plain = dict(kwargs)
    if to is not None:
        plain["device"] = torch.device("cpu")
    open_ = lambda t: t.inner if isinstance(t, Away) else t  # noqa: E731
    found = func(*tree_map(open_, args), **tree_map(open_, plain))
    lands = torch.device(to) == ELSEWHERE if to is not None else bool(away)
    if not lands:
        return found
    found = tree_map(lambda t: Away(t) if isinstance(t, torch.Tensor) else t, found)
    return return_and_correct_aliasing(func, args, kwargs, found)
