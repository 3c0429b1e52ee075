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

CARRY_BLOCK = 16
"""Chunks joined by one matrix product when states pass from chunk to chunk."""


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
    *,
    chunk: int,
    initial: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the recurrence over whole sequences, and return outputs and last states.

    Parameters
    ----------
    x
        ``(batch, length, heads, head)``.
    dt
        ``(batch, length, heads)``, not negative. A token with ``dt = 0`` is not there: it
        neither fades the state nor adds to it.
    a
        ``(heads,)``, negative.
    b, c
        ``(batch, length, groups, state)``; consecutive heads share a group.
    chunk
        Tokens joined by one matrix product.
    initial
        State before the first token, ``(batch, heads, head, state)``; none is zero.

    Returns
    -------
    tuple
        ``(batch, length, heads, head)`` without the skip term ``D x``, and
        ``(batch, heads, head, state)``.
    """
    if x.is_cuda and (kernel := _compiled_scan()) is not None:
        y, last = kernel(
            x, dt, a, b, c, chunk_size=max(chunk, 64), initial_states=initial,
            return_final_states=True,
        )  # fmt: skip
        return y, last
    return chunked_scan(x, dt, a, b, c, chunk=chunk, initial=initial)


@cache
def _compiled_scan() -> Callable[..., Any] | None:
    if importlib.util.find_spec("mamba_ssm") is None:
        return None
    module = importlib.import_module("mamba_ssm.ops.triton.ssd_combined")
    kernel: Callable[..., Any] = module.mamba_chunk_scan_combined
    return kernel


def chunked_scan(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
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
    chunk = min(chunk, length)
    n = -(-length // chunk)
    if beyond := n * chunk - length:
        x, b, c = (F.pad(each, (0, 0, 0, 0, 0, beyond)) for each in (x, b, c))
        dt = F.pad(dt, (0, 0, 0, beyond))
    shared = (groups, heads // groups)
    # Axes from here on: batch, chunk, group, head of the group, then the matrix.
    x = x.view(batch, n, chunk, *shared, head).permute(0, 1, 3, 4, 2, 5)
    dt = dt.view(batch, n, chunk, *shared).permute(0, 1, 3, 4, 2)
    b = b.view(batch, n, chunk, groups, 1, state).permute(0, 1, 3, 4, 2, 5)
    c = c.view(batch, n, chunk, groups, 1, state).permute(0, 1, 3, 4, 2, 5)
    faded = (dt * a.view(*shared, 1)).cumsum(-1)

    later = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)
    decay = (faded[..., :, None] - faded[..., None, :]).masked_fill(later, -torch.inf)
    weights = (c @ b.mT) * decay.exp() * dt[..., None, :]
    inside = weights.to(x.dtype) @ x

    to_end = (faded[..., -1:] - faded).exp() * dt
    added = (b * to_end[..., None]).to(x.dtype).mT @ x
    if initial is None:
        first = added.new_zeros(batch, *shared, state, head)
    else:
        first = initial.view(batch, *shared, head, state).mT
    entering, last = _carry(added, faded[..., -1], first)
    y = inside + (c * faded.exp()[..., None]).to(x.dtype) @ entering.to(x.dtype)

    y = y.permute(0, 1, 4, 2, 3, 5).reshape(batch, n * chunk, heads, head)[:, :length]
    return y, last.mT.reshape(batch, heads, head, state)


def _carry(added: Tensor, faded: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Return the state entering each chunk, and the one leaving the last.

    ``added`` is ``(batch, chunks, groups, heads, state, head)``, what each chunk adds to
    the state; ``faded`` without the last two axes, the log of how much of the state it
    keeps; ``first`` without the chunk axis. Blocks of chunks are joined by one matrix
    product each, the blocks in turn by this same function: linear in chunks.
    """
    n = added.shape[1]
    size = min(CARRY_BLOCK, n)
    blocks = -(-n // size)
    if beyond := blocks * size - n:
        added = F.pad(added, (0, 0) * 4 + (0, beyond))
        faded = F.pad(faded, (0, 0) * 2 + (0, beyond))
    batch, _, *heads, state, head = added.shape
    flat = added.view(batch, blocks, size, *heads, state * head).permute(
        0, 1, 3, 4, 2, 5
    )
    total = faded.view(batch, blocks, size, *heads).permute(0, 1, 3, 4, 2).cumsum(-1)
    # Chunk j's addition reaches the state *after* chunk i faded by chunks j+1 … i.
    later = torch.ones(size, size, dtype=torch.bool, device=added.device).triu(1)
    decay = (total[..., :, None] - total[..., None, :]).masked_fill(later, -torch.inf)
    after = decay.exp().to(flat.dtype) @ flat
    if blocks == 1:
        start = first.reshape(batch, 1, *heads, 1, state * head)
    else:
        ends = after[..., -1, :].unflatten(-1, (state, head))
        start, _ = _carry(ends, total[..., -1], first)
        start = start.flatten(-2).unsqueeze(-2)
    start = start.to(flat.dtype)
    after = after + total.exp()[..., None].to(flat.dtype) * start
    entering = torch.cat([start, after[..., :-1, :]], dim=-2)

    def by_chunk(each: Tensor) -> Tensor:
        each = each.permute(0, 1, 4, 2, 3, 5).reshape(batch, blocks * size, *heads, -1)
        return each.unflatten(-1, (state, head))

    # Chunks added to fill the last block keep the state as it is: the end is the end.
    return by_chunk(entering)[:, :n], by_chunk(after)[:, -1]


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
        by_group = gated.unflatten(-1, (self.groups, -1))
        scale = (by_group.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return (by_group * scale).flatten(-2) * self.weight


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
        gate, wide, dt = projected.split(
            [config.inner, config.convolved, config.heads], dim=-1
        )
        if mask is not None:
            wide = wide * mask[..., None]
        wide = F.silu(self._convolve(wide))
        x, b, c = self._parts(wide)
        dt = F.softplus(dt.to(self.dt_bias.dtype) + self.dt_bias)
        if mask is not None:
            dt = dt * mask[..., None]
        y, _ = ssd_scan(x, dt, -self.A_log.exp(), b, c, chunk=config.chunk)
        y = y + self.D.to(x.dtype)[:, None] * x
        return self.norm(y.flatten(-2), gate)

    def _convolve(self, wide: Tensor) -> Tensor:
        # As an image of height 1 in channels-last layout nothing has to be transposed.
        image = wide.transpose(1, 2).unsqueeze(2)
        length = image.shape[-1]
        image = F.conv2d(
            image,
            self.conv1d.weight.unsqueeze(2),
            self.conv1d.bias,
            padding=(0, self.config.conv - 1),
            groups=self.config.convolved,
        )
        return image[..., :length].squeeze(2).transpose(1, 2)

    def _parts(self, wide: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        config = self.config
        shared = config.groups * config.state
        x, b, c = wide.split([config.inner, shared, shared], dim=-1)
        groups = (config.groups, config.state)
        return (
            x.unflatten(-1, (config.heads, config.head)),
            b.unflatten(-1, groups),
            c.unflatten(-1, groups),
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
        gate, wide, dt = self.in_proj(token).split(
            [config.inner, config.convolved, config.heads], dim=-1
        )
        seen = torch.cat([state.recent, wide[:, None]], dim=1)
        wide = torch.einsum("btc,ct->bc", seen, self.conv1d.weight.squeeze(1))
        x, b, c = self._parts(F.silu(wide + self.conv1d.bias))
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
