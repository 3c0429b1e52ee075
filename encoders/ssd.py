"""Selective state space (Mamba-2, "SSD"): linear in length, on any machine.

A head carries a matrix state ``h`` along the sequence and reads it at each token:

    h_t = exp(dt_t a) h_{t-1} + dt_t x_t B_tᵀ        y_t = h_t C_t + D x_t

with ``dt``, ``B`` and ``C`` computed from the token, so that what is kept and what is
forgotten depends on what is read. Inside a chunk of tokens this is masked attention
(matrix products); between chunks only the state passes on.

Source: Dao & Gu 2024, "Transformers are SSMs", arXiv 2405.21060, equations 1-2 and
section 6; layer layout and parameter names as its published Mamba-2, so that weights of
``mamba-ssm`` and of ``transformers`` load unchanged. Where ``mamba-ssm`` is installed and
the tensors are on a CUDA device its compiled scan is used, by the same interface.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from data_registry.errors import InputError


@dataclass(frozen=True, slots=True)
class SSDConfig:
    """Sizes of one selective state-space layer.

    Raises
    ------
    InputError
        A size is not positive, or heads and groups do not divide what they share.
    """

    width: int
    """Channels of a token."""
    state: int = 16
    """Columns of a head's state (N)."""
    head: int = 64
    """Channels of a head (P)."""
    expand: int = 2
    """Inner channels as a multiple of ``width``."""
    groups: int = 1
    """Heads that share B and C: ``heads / groups``."""
    conv: int = 4
    """Tokens seen by the short causal convolution before the scan."""
    chunk: int = 32
    """Tokens in a chunk; changes speed, never the answer."""
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        sizes = (self.width, self.state, self.head, self.expand, self.groups, self.conv)
        if min(*sizes, self.chunk) < 1:
            raise InputError(f"{self}: every size must be at least 1")
        if self.inner % self.head or self.heads % self.groups:
            raise InputError(
                f"{self}: head must divide expand * width = {self.inner}, "
                f"and groups must divide the number of heads"
            )

    @property
    def inner(self) -> int:
        """Channels inside the layer."""
        return self.expand * self.width

    @property
    def heads(self) -> int:
        """States carried side by side."""
        return self.inner // self.head

    @property
    def convolved(self) -> int:
        """Channels of x, B and C together."""
        return self.inner + 2 * self.groups * self.state

    @property
    def projected(self) -> int:
        """Channels of gate, x, B, C and dt together."""
        return self.inner + self.convolved + self.heads


# -- the scan --------------------------------------------------------------------------


def ssd_scan(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    *,
    chunk: int,
    initial: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the recurrence over whole sequences, and return outputs and last states.

    Parameters
    ----------
    x
        ``(batch, length, heads, head)``, at least one token.
    dt
        ``(batch, length, heads)``, not negative. A token with ``dt = 0`` is not there: it
        neither fades the state nor adds to it.
    a
        ``(heads,)``, negative.
    b, c
        ``(batch, length, groups, state)``; consecutive heads share a group.
    skip
        ``(heads,)``, the paper's D.
    chunk
        Tokens joined by one matrix product.
    initial
        State before the first token, ``(batch, heads, head, state)``; none is zero.

    Returns
    -------
    tuple
        ``(batch, length, heads, head)`` and ``(batch, heads, head, state)``.
    """
    if x.is_cuda and (kernels := compiled_kernels()) is not None:
        y, last = kernels.scan(
            x, dt, a, b, c, chunk_size=64, D=skip, initial_states=initial,
            return_final_states=True,
        )  # fmt: skip
        return y, last
    return chunked_scan(x, dt, a, b, c, skip, chunk=chunk, initial=initial)


def chunked_scan(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    *,
    chunk: int,
    initial: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As ``ssd_scan``, in PyTorch's own operations (section 6 of the paper).

    Only sums of ``dt a``, which are never positive, are exponentiated: nothing overflows,
    forward or backward.
    """
    batch, length, heads, head = x.shape
    groups, state = b.shape[2:]
    n = -(-length // chunk)
    size = -(-length // n)
    if beyond := n * size - length:
        x, b, c = (F.pad(each, (0, 0, 0, 0, 0, beyond)) for each in (x, b, c))
        dt = F.pad(dt, (0, 0, 0, beyond))
    # Heads before tokens: every matrix of a head and chunk is one piece of memory.
    shared = (batch, n, groups, heads // groups)
    x = x.view(batch, n, size, heads, head).transpose(2, 3).reshape(-1, size, head)
    b, c = (
        each.view(batch, n, size, groups, state).transpose(2, 3).unsqueeze(3)
        for each in (b, c)
    )
    dt = dt.view(batch, n, size, heads).transpose(2, 3).contiguous()
    faded = (dt * a[:, None]).cumsum(-1)

    # Above the diagonal the difference is positive: held at 0, and without a score.
    decay = (faded[..., :, None] - faded[..., None, :]).clamp(max=0).exp()
    weights = (c @ b.mT).tril() * (decay * dt[..., None, :]).view(*shared, size, size)
    weights = weights.view_as(decay) + torch.diag_embed(skip[:, None].expand(-1, size))
    to_end = ((faded[..., -1:] - faded).exp() * dt).view(*shared, size, 1)
    added = torch.bmm((b * to_end).flatten(0, 3).mT.to(x.dtype), x)

    if initial is None:
        carried = added.new_zeros(batch, heads, state, head, dtype=dt.dtype)
    else:
        carried = initial.mT.to(dt.dtype)
    entering = []
    kept = faded[..., -1, None, None].exp()
    added = added.view(batch, n, heads, state, head).to(dt.dtype)
    # unbind, not indexing: the gradient of n indexings is n whole tensors.
    for more, fraction in zip(added.unbind(1), kept.unbind(1), strict=True):
        entering.append(carried)
        carried = torch.addcmul(more, carried, fraction)
    y = torch.bmm(weights.flatten(0, 2).to(x.dtype), x)
    if n > 1 or initial is not None:
        before = torch.stack(entering, dim=1).flatten(0, 2).to(x.dtype)
        read = (c * faded.exp().view(*shared, size, 1)).flatten(0, 3).to(x.dtype)
        y = torch.baddbmm(y, read, before)
    y = y.view(batch, n, heads, size, head).transpose(2, 3)
    y = y.reshape(batch, n * size, heads, head)[:, :length]
    return y, carried.mT


class Kernels(NamedTuple):
    """Compiled operations, where there are any."""

    scan: Callable[..., Any]
    """``mamba_chunk_scan_combined`` of ``mamba-ssm``."""
    convolve: Callable[..., Any] | None
    """``causal_conv1d_fn`` of ``causal-conv1d``."""


@cache
def compiled_kernels() -> Kernels | None:
    """Return what is installed of ``mamba-ssm`` and ``causal-conv1d``, or None."""
    if importlib.util.find_spec("mamba_ssm") is None:
        return None
    scan = importlib.import_module("mamba_ssm.ops.triton.ssd_combined")
    convolve = None
    if importlib.util.find_spec("causal_conv1d") is not None:
        convolve = importlib.import_module("causal_conv1d").causal_conv1d_fn
    return Kernels(scan.mamba_chunk_scan_combined, convolve)


# -- layers ----------------------------------------------------------------------------


class SSDState(NamedTuple):
    """What a layer remembers between two calls of ``SSDMixer.step``."""

    recent: Tensor
    """Inputs of the convolution, oldest first, ``(batch, conv - 1, convolved)``."""
    carried: Tensor
    """``(batch, heads, head, state)``."""


class _GatedNorm(nn.Module):
    """Gate, then divide by the root of the mean square over a group's channels."""

    def __init__(self, config: SSDConfig) -> None:
        super().__init__()
        self.groups, self.eps = config.groups, config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.inner))

    def forward(self, y: Tensor, gate: Tensor) -> Tensor:
        gated = (y * F.silu(gate)).to(self.weight.dtype)
        by_group = gated.view(*gated.shape[:-1], self.groups, -1)
        length = torch.linalg.vector_norm(by_group, dim=-1, keepdim=True)
        scale = (length.square() / by_group.shape[-1] + self.eps).rsqrt()
        normed: Tensor = (by_group * scale).flatten(-2) * self.weight
        return normed


class SSDCore(nn.Module):
    """Convolution, scan and gated norm: a Mamba-2 layer between its two projections."""

    def __init__(self, config: SSDConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.convolved
        self.conv1d = nn.Conv1d(channels, channels, config.conv, groups=channels)
        # Heads remember from about 1,000 tokens to less than one, evenly on a log scale.
        dt = torch.logspace(-3, -1, config.heads)
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.A_log = nn.Parameter(torch.linspace(1, 16, config.heads).log())
        self.D = nn.Parameter(torch.ones(config.heads))
        self.norm = _GatedNorm(config)

    def mix(self, projected: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(batch, length, inner)`` from ``(batch, length, projected)``.

        Where ``mask``, ``(batch, length)``, is False there is no token.
        """
        config = self.config
        gate, wide, dt = self._split(projected)
        if mask is not None:
            wide = wide * mask[..., None]
        wide = self._convolve(wide)
        x, b, c = self._parts(wide)
        dt = F.softplus(dt.to(self.dt_bias.dtype) + self.dt_bias)
        if mask is not None:
            dt = dt * mask[..., None]
        a = -self.A_log.exp()
        y, _ = ssd_scan(x, dt, a, b, c, self.D, chunk=config.chunk)
        normed: Tensor = self.norm(y.flatten(-2), gate)
        return normed

    def _split(self, projected: Tensor) -> tuple[Tensor, ...]:
        config = self.config
        return torch.split(
            projected, [config.inner, config.convolved, config.heads], dim=-1
        )

    def _convolve(self, wide: Tensor) -> Tensor:
        weight, bias = self.conv1d.weight, self.conv1d.bias
        kernels = compiled_kernels() if wide.is_cuda else None
        if kernels is not None and kernels.convolve is not None:
            convolved: Tensor = kernels.convolve(
                wide.transpose(1, 2), weight.squeeze(1).to(wide.dtype),
                None if bias is None else bias.to(wide.dtype), activation="silu",
            )  # fmt: skip
            return convolved.transpose(1, 2)
        # As an image of height 1 in channels-last layout nothing has to be transposed.
        image = F.conv2d(
            wide.transpose(1, 2).unsqueeze(2),
            weight.unsqueeze(2),
            bias,
            padding=(0, self.config.conv - 1),
            groups=self.config.convolved,
        )
        return F.silu(image[..., : wide.shape[1]].squeeze(2).transpose(1, 2))

    def _parts(self, wide: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        config = self.config
        shared = config.groups * config.state
        x, b, c = torch.split(wide, [config.inner, shared, shared], dim=-1)
        groups = (*wide.shape[:-1], config.groups, config.state)
        return (
            x.reshape(*wide.shape[:-1], config.heads, config.head),
            b.reshape(groups),
            c.reshape(groups),
        )


class SSDMixer(SSDCore):
    """A Mamba-2 layer: each token sees those before it.

    Parameters are named as in ``mamba-ssm``'s ``Mamba2`` and ``transformers``'
    ``Mamba2Mixer``.
    """

    def __init__(self, config: SSDConfig) -> None:
        super().__init__(config)
        self.in_proj = nn.Linear(config.width, config.projected, bias=False)
        self.out_proj = nn.Linear(config.inner, config.width, bias=False)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(batch, length, width)`` from the same shape.

        Where ``mask``, ``(batch, length)``, is False there is no token.
        """
        mixed: Tensor = self.out_proj(self.mix(self.in_proj(tokens), mask))
        return mixed

    def start(self, batch: int) -> SSDState:
        """Return the state before the first token."""
        config, weight = self.config, self.in_proj.weight
        return SSDState(
            weight.new_zeros(batch, config.conv - 1, config.convolved),
            weight.new_zeros(batch, config.heads, config.head, config.state),
        )

    def step(self, state: SSDState, token: Tensor) -> tuple[SSDState, Tensor]:
        """Read one token more, in time and memory that do not depend on those before.

        Parameters
        ----------
        state
            From ``start`` or the last ``step``; it is not changed.
        token
            ``(batch, width)``.

        Returns
        -------
        tuple
            The new state, and this token's row of what ``forward`` gives.
        """
        config = self.config
        gate, wide, dt = self._split(self.in_proj(token))
        seen = torch.cat([state.recent, wide[:, None]], dim=1)
        wide = torch.einsum("btc,ct->bc", seen, self.conv1d.weight.squeeze(1))
        if self.conv1d.bias is not None:
            wide = wide + self.conv1d.bias
        x, b, c = self._parts(F.silu(wide))
        b, c = (
            each.repeat_interleave(config.heads // config.groups, 1) for each in (b, c)
        )
        dt = F.softplus(dt + self.dt_bias)[..., None, None]
        kept = (dt * -self.A_log.exp()[:, None, None]).exp() * state.carried
        carried = kept + dt * x[..., :, None] * b[..., None, :]
        y = (carried @ c[..., None]).squeeze(-1) + self.D[:, None] * x
        mixed = self.out_proj(self.norm(y.flatten(-2), gate))
        return SSDState(seen[:, 1:], carried), mixed


class BidirectionalSSD(nn.Module):
    """Half of the inner channels read the sequence forwards, half backwards.

    One projection in and one out serve both, so that the cost is that of one layer of
    ``config``'s size.

    Raises
    ------
    InputError
        ``config.expand`` is odd.
    """

    def __init__(self, config: SSDConfig) -> None:
        super().__init__()
        if config.expand % 2:
            raise InputError(
                f"{config}: expand must be even, a half for each direction"
            )
        half = SSDConfig(
            config.width, config.state, config.head, config.expand // 2, config.groups,
            config.conv, config.chunk, config.norm_eps,
        )  # fmt: skip
        self.in_proj = nn.Linear(config.width, 2 * half.projected, bias=False)
        self.ahead = SSDCore(half)
        self.back = SSDCore(half)
        self.out_proj = nn.Linear(config.inner, config.width, bias=False)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(batch, length, width)`` from the same shape.

        Where ``mask``, ``(batch, length)``, is False there is no token.
        """
        ahead, back = self.in_proj(tokens).chunk(2, dim=-1)
        flipped = None if mask is None else mask.flip(1)
        y = [self.ahead.mix(ahead, mask), self.back.mix(back.flip(1), flipped).flip(1)]
        mixed: Tensor = self.out_proj(torch.cat(y, dim=-1))
        return mixed


class StrandSymmetric(nn.Module):
    """Makes a layer commute with the reverse complement, by sharing its weights.

    The first half of the channels belongs to the strand given, the second, in reverse
    order, to the other strand. Reversing both axes of the input reverses both axes of
    the output: ``f(x.flip(1, 2)) == f(x).flip(1, 2)`` (Schiff et al. 2024, "Caduceus",
    arXiv 2403.03234, section 3.2).

    Parameters
    ----------
    layer
        Maps ``(batch, length, width / 2)`` and a mask to the same shape.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(batch, length, width)`` from the same shape."""
        given, other = tokens.chunk(2, dim=-1)
        both = torch.cat([given, other.flip(1, 2)])
        masks = None if mask is None else torch.cat([mask, mask.flip(1)])
        given, other = self.layer(both, masks).chunk(2)
        return torch.cat([given, other.flip(1, 2)], dim=-1)
