"""Attention within a window, and pooling by attention; both blind to padding."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from data_registry.errors import InputError

ROTARY_BASE = 10_000.0


class WindowedAttention(nn.Module):
    """Each token sees the tokens at most ``window`` away, itself included.

    Where ``causal``, it sees those before it only.

    Time and memory are linear in length: a block of ``window`` queries meets the keys of
    its own and the two neighbouring blocks. Positions enter as rotations of queries and
    keys, so only differences of positions count (Su et al. 2021, arXiv 2104.09864,
    equation 34).

    Raises
    ------
    InputError
        ``heads`` does not divide ``width`` into an even number of channels.
    """

    def __init__(
        self, width: int, *, heads: int, window: int, causal: bool = False
    ) -> None:
        super().__init__()
        if width % (2 * heads) or window < 1:
            raise InputError(
                f"attention of width {width}, {heads} heads, window {window}: a head "
                f"needs an even number of channels, and the window at least 1 token"
            )
        self.heads, self.window, self.causal = heads, window, causal
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(batch, length, width)`` from the same shape.

        Where ``mask``, ``(batch, length)``, is False there is no token.
        """
        batch, length, width = tokens.shape
        parts = self.into(tokens).view(batch, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        query, key = _rotate(query), _rotate(key)
        if length <= 2 * self.window:
            seen = self._seen(length, length, 0, tokens.device)[None]
            if mask is not None:
                seen = seen & (mask[:, None, :] | _itself(length, tokens.device))
            mixed: Tensor = F.scaled_dot_product_attention(
                query, key, value, seen[:, None]
            )
        else:
            mixed = self._by_blocks(query, key, value, mask)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        result: Tensor = self.out(mixed)
        return result

    def _by_blocks(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> Tensor:
        batch, heads, length, head = query.shape
        size = self.window
        n = -(-length // size)
        beyond = n * size - length
        query = F.pad(query, (0, 0, 0, beyond)).view(batch, heads, n, size, head)
        key, value = (
            F.pad(each, (0, 0, size, size + beyond)).unfold(2, 3 * size, size).mT
            for each in (key, value)
        )
        real = query.new_ones(batch, length, dtype=torch.bool) if mask is None else mask
        real = F.pad(real, (size, size + beyond)).unfold(1, 3 * size, size)
        seen = self._seen(size, 3 * size, size, query.device)
        itself = _itself(3 * size, query.device)[size : 2 * size]
        seen = seen & (real[:, :, None, :] | itself)

        def fold(each: Tensor) -> Tensor:
            return each.transpose(1, 2).flatten(0, 1)

        mixed = F.scaled_dot_product_attention(
            fold(query), fold(key), fold(value), seen.flatten(0, 1)[:, None]
        )
        mixed = mixed.view(batch, n, heads, size, head).transpose(1, 2)
        return mixed.reshape(batch, heads, n * size, head)[:, :, :length]

    def _seen(
        self, queries: int, keys: int, shift: int, device: torch.device
    ) -> Tensor:
        query = torch.arange(queries, device=device)[:, None] + shift
        back = query - torch.arange(keys, device=device)
        return (back <= self.window) & (back >= (0 if self.causal else -self.window))


def _itself(length: int, device: torch.device) -> Tensor:
    # A token that is not there still sees itself: a row of nothing would be NaN.
    return torch.eye(length, dtype=torch.bool, device=device)


def _rotate(x: Tensor) -> Tensor:
    length, half = x.shape[-2], x.shape[-1] // 2
    rate = ROTARY_BASE ** -(torch.arange(half, device=x.device) / half)
    angle = torch.arange(length, device=x.device)[:, None] * rate
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)


class AttentionPooling(nn.Module):
    """One vector a sequence: each head's weighted mean of the tokens.

    The weights are a softmax over the tokens that are there, so that padding has no part.
    """

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise InputError(f"pooling: {heads} heads do not divide width {width}")
        self.heads = heads
        self.score = nn.Linear(width, heads)
        self.value = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(batch, width)`` from ``(batch, length, width)``.

        Where ``mask``, ``(batch, length)``, is False there is no token; each sequence
        must have one.
        """
        score = self.score(tokens).transpose(1, 2)
        if mask is not None:
            score = score.masked_fill(~mask[:, None, :], -torch.inf)
        value = (
            self.value(tokens).view(*tokens.shape[:2], self.heads, -1).transpose(1, 2)
        )
        pooled: Tensor = score.softmax(-1).to(value.dtype)[:, :, None, :] @ value
        return pooled.flatten(1)
