# ruff: noqa: ARG002, FBT001, FBT002  (arguments are those of the package)
"""What Caduceus' code takes from the package mamba-ssm, for machines without CUDA.

Caduceus and PlantCaduceus bring code that imports ``mamba_ssm``, which can only be built
and run with CUDA. ``mamba_ssm_at_hand`` puts what such code takes of it in its place, in
plain PyTorch and with the same parameter names, so that published weights fit.

The configuration's ``fused_add_norm`` must stay as the model was trained with: in
Caduceus' code the fused path hands each strand's channels to the other strand at every
block and the plain one does not, so turning it off gives another model.
"""

import math
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, TypeVar, cast

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from data_registry.errors import InputError
from encoders.ssd import SSDConfig, SSDMixer

PACKAGE = "mamba_ssm"
_F = TypeVar("_F", bound=Callable[..., Any])


def _compiled(function: _F) -> _F:
    # numba's decorator has no types; fast maths lets the sum over states use vectors
    decorate = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
    return cast("_F", decorate(function))


@_compiled
def _recur(
    decay: NDArray[np.float32], gain: NDArray[np.float32], into: NDArray[np.float32],
    out_of: NDArray[np.float32],
) -> NDArray[np.float32]:  # fmt: skip
    """Return ``(channels, length)`` of one sequence; see ``selective_scan``."""
    channels, length, states = decay.shape
    read = np.empty((channels, length), np.float32)
    state = np.empty(states, np.float32)
    for c in range(channels):
        state[:] = 0
        for t in range(length):
            total = np.float32(0)
            for n in range(states):
                state[n] = decay[c, t, n] * state[n] + gain[c, t] * into[t, n]
                total += state[n] * out_of[t, n]
            read[c, t] = total
    return read


def selective_scan(x: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Run the selective state space along the sequence (Gu & Dao 2023, algorithm 2).

    ``h[t] = exp(step[t] a) h[t-1] + step[t] b[t] x[t]``, read out as ``c[t] . h[t]``.
    Compiled for CPU inference; elsewhere a loop that has gradients.

    Parameters
    ----------
    x, step
        ``(batch, channels, length)``.
    a
        ``(channels, states)``, negative.
    b, c
        ``(batch, length, states)``.

    Returns
    -------
    ``(batch, channels, length)``.
    """
    learns = torch.is_grad_enabled() and any(
        each.requires_grad for each in (x, step, a, b, c)
    )
    if x.device.type == "cpu" and x.dtype == torch.float32 and not learns:

        def one(i: int) -> Tensor:
            decay = torch.exp(step[i].unsqueeze(-1) * a.unsqueeze(1))
            parts = (decay, step[i] * x[i], b[i], c[i])
            arrays = (part.detach().contiguous().numpy() for part in parts)
            return torch.from_numpy(_recur(*arrays))

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return torch.stack(list(pool.map(one, range(len(x)))))
    state = x.new_zeros(*x.shape[:2], a.shape[1])
    read = []
    for t in range(x.shape[2]):
        decay = torch.exp(step[:, :, t, None] * a)
        state = decay * state + (step * x)[:, :, t, None] * b[:, t, None]
        read.append((state * c[:, t, None]).sum(-1))
    return torch.stack(read, -1)


class Mamba(nn.Module):
    """The Mamba-1 mixer, with the parameters of ``mamba_ssm.modules.mamba_simple``.

    Weights are read from a file; how they begin is not that of the package.
    """

    def __init__(
        self, d_model: int, d_state: int = 16, d_conv: int = 4, expand: int = 2,
        dt_rank: int | Literal["auto"] = "auto", conv_bias: bool = True,
        bias: bool = False,
        device: torch.device | None = None, dtype: torch.dtype | None = None,
        **_initial: Any,  # noqa: ANN401  (how weights begin, kernels: nothing here)
    ) -> None:  # fmt: skip
        super().__init__()
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        inner = expand * d_model
        self.rank = math.ceil(d_model / 16) if dt_rank == "auto" else dt_rank
        self.in_proj = nn.Linear(d_model, 2 * inner, bias=bias, **made)
        self.conv1d = nn.Conv1d(
            inner, inner, d_conv, groups=inner, padding=d_conv - 1, bias=conv_bias,
            **made,
        )  # fmt: skip
        self.x_proj = nn.Linear(inner, self.rank + 2 * d_state, bias=False, **made)
        self.dt_proj = nn.Linear(self.rank, inner, **made)
        decays = torch.arange(1.0, d_state + 1, device=device).log()
        self.A_log = nn.Parameter(decays.repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner, device=device))
        self.out_proj = nn.Linear(inner, d_model, bias=bias, **made)

    def forward(self, hidden_states: Tensor, inference_params: None = None) -> Tensor:
        """Mix along the sequence; ``(batch, length, d_model)`` in and out."""
        x, gate = self.in_proj(hidden_states).transpose(1, 2).chunk(2, 1)
        x = F.silu(self.conv1d(x)[..., : hidden_states.shape[1]])
        states = self.A_log.shape[1]
        step, b, c = self.x_proj(x.transpose(1, 2)).split(
            [self.rank, states, states], -1
        )
        step = F.softplus(self.dt_proj(step)).transpose(1, 2)
        y = selective_scan(x, step, -self.A_log.exp(), b, c) + self.D[:, None] * x
        mixed: Tensor = self.out_proj((y * F.silu(gate)).transpose(1, 2))
        return mixed


class Mamba2(SSDMixer):
    """The Mamba-2 mixer of ``mamba_ssm.modules.mamba2``, as ``encoders.ssd`` has it.

    Raises
    ------
    InputError
        A setting asks for what ``encoders.ssd`` does not compute.
    """

    def __init__(
        self, d_model: int, d_state: int = 128, d_conv: int = 4, expand: int = 2,
        headdim: int = 64, **others: Any,  # noqa: ANN401
    ) -> None:  # fmt: skip
        known = {
            "d_ssm": None, "ngroups": 1, "D_has_hdim": False, "rmsnorm": True,
            "norm_before_gate": False, "bias": False, "conv_bias": True,
        }  # fmt: skip
        for name, value in known.items():
            if others.get(name, value) != value:
                raise InputError(
                    f"Mamba-2 with {name}={others[name]} needs the package mamba-ssm on "
                    f"CUDA; without it {name}={value} alone can be computed"
                )
        super().__init__(
            SSDConfig(d_model, d_state, headdim, expand, conv=d_conv, chunk=64)
        )

    def forward(self, u: Tensor, inference_params: None = None) -> Tensor:  # type: ignore[override]
        """Mix along the sequence; ``(batch, length, d_model)`` in and out."""
        return super().forward(u)


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang & Sennrich 2019, equation 4)."""

    bias: None

    def __init__(
        self, hidden_size: int, eps: float = 1e-5,
        device: torch.device | None = None, dtype: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size, device=device, dtype=dtype))
        self.register_parameter("bias", None)

    def forward(self, x: Tensor) -> Tensor:
        """Norm the last axis."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def layer_norm_fn(
    x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None = None,
    eps: float = 1e-6, prenorm: bool = False, residual_in_fp32: bool = False,
    is_rms_norm: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:  # fmt: skip
    """Add the residual, then norm; with ``prenorm`` also return the sum."""
    total = x if residual is None else x + residual
    total = total.float() if residual_in_fp32 else total
    if is_rms_norm:
        normed = F.rms_norm(total, weight.shape, weight, eps)
    else:
        normed = F.layer_norm(total, weight.shape, weight, bias, eps)
    return (normed.to(x.dtype), total) if prenorm else normed.to(x.dtype)


def rms_norm_fn(
    x: Tensor, weight: Tensor, bias: Tensor | None, **settings: Any,  # noqa: ANN401
) -> Tensor | tuple[Tensor, Tensor]:  # fmt: skip
    """As ``layer_norm_fn``, without the mean."""
    return layer_norm_fn(x, weight, bias, is_rms_norm=True, **settings)


class Block(nn.Module):
    """Add, norm, mix: a block of ``mamba_ssm`` without a feed-forward part."""

    def __init__(
        self, dim: int, mixer_cls: Callable[[int], nn.Module],
        mlp_cls: type[nn.Module] = nn.Identity,
        norm_cls: Callable[[int], nn.Module] = nn.LayerNorm,
        fused_add_norm: bool = False, residual_in_fp32: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if mlp_cls is not nn.Identity:
            raise InputError(
                "a Mamba block with a feed-forward part needs the package mamba-ssm"
            )
        self.residual_in_fp32 = residual_in_fp32
        self.mixer = mixer_cls(dim)
        self.norm = norm_cls(dim)

    def forward(
        self, hidden_states: Tensor, residual: Tensor | None = None,
        inference_params: None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Return the mixed states and the residual; fused or not is the same here."""
        total = hidden_states if residual is None else hidden_states + residual
        mixed = self.mixer(self.norm(total))
        return mixed, total.float() if self.residual_in_fp32 else total


_CONTENT: dict[str, tuple[object, ...]] = {
    "": (Mamba, Mamba2), ".modules": (), ".ops": (), ".ops.triton": (),
    ".modules.mamba_simple": (Mamba, Block),
    ".modules.mamba2": (Mamba2,),
    ".modules.block": (Block,),
    ".ops.triton.layer_norm": (RMSNorm, layer_norm_fn, rms_norm_fn),
}  # fmt: skip


@contextmanager
def mamba_ssm_at_hand(device: str) -> Iterator[None]:
    """Let code be imported that imports ``mamba_ssm``, by the package or its stand-in.

    The package where it is installed and ``device`` is a CUDA one. The stand-in is gone
    afterwards, so that nobody takes the package for installed.
    """
    try:
        installed = device.startswith("cuda") and bool(import_module(PACKAGE))
    except ImportError:
        installed = False
    if installed:
        yield
        return
    before = {name: m for name, m in sys.modules.items() if _is_of_package(name)}
    for name, content in _CONTENT.items():
        module = ModuleType(PACKAGE + name)
        module.__path__ = []
        for each in content:
            setattr(module, each.__name__, each)  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _is_of_package(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_of_package(name: str) -> bool:
    return name.partition(".")[0] == PACKAGE
