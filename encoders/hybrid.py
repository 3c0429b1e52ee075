"""Hybrid sequence encoder: windowed attention for local grammar, then a state space.

Nucleotides → wide convolution at full resolution → patches of a few bases (tokens) →
Transformer blocks with windowed attention → bidirectional Mamba-2 blocks → pooling by
attention. Linear in length throughout; padding and batch-mates change no answer.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from data_registry.errors import InputError
from encoders.attention import AttentionPooling, WindowedAttention
from encoders.nucleotides import ALPHABET, N_BASES
from encoders.ssd import BidirectionalSSD, SSDConfig

SHORTEST_WAVE_BP, LONGEST_WAVE_BP, N_WAVES = 20.0, 10_000.0, 8


@dataclass(frozen=True, slots=True)
class HybridConfig:
    """Sizes of a hybrid encoder; a block of either kind has about as many parameters.

    Without the state space: ``n_attention=6, n_ssd=0``; without attention the reverse.
    Sizes that do not fit together are refused when the encoder is built.
    """

    width: int = 128
    """Channels of a token, and of the pooled vector."""
    stem_width: int = 96
    """Channels of the convolution at full resolution."""
    stem_bp: int = 15
    """Its reach, in bp; odd."""
    stem_blocks: int = 0
    """Residual convolutions of 5 bp after it, still at full resolution."""
    stem_strands: bool = False
    """Its filters also read the other strand, and both readings are added: a motif counts
    on either strand, while tokens keep their order from 5' to 3'."""
    stem_norm: bool = False
    """Batch normalisation after it."""
    patch_bp: int = 5
    """Bases that make one token."""
    patch_max: bool = False
    """A token is made from the largest value of each channel over its bases; without,
    from all values."""
    n_attention: int = 3
    """Transformer blocks."""
    n_ssd: int = 3
    """State-space blocks after them."""
    heads: int = 4
    """Of attention and of pooling."""
    window: int = 64
    """Tokens seen on each side by attention."""
    mlp: int = 4
    """Inner channels of a Transformer block's perceptron, as a multiple of ``width``."""
    ssd_state: int = 32
    ssd_head: int = 64
    ssd_expand: int = 4
    """Inner channels, a half for each direction, as a multiple of ``width``."""
    ssd_chunk: int = 64
    dropout: float = 0.1
    positions: bool = True
    """Tell tokens their distance in bp from both ends of the sequence."""
    both_strands: bool = False
    """Answer with the mean over the two strands; wrong for stranded elements."""

    @classmethod
    def default(cls) -> Self:
        """Return the configuration for a few hundred thousand short elements."""
        return cls()

    @classmethod
    def large(cls) -> Self:
        """Return the 22 M parameter configuration, for an accelerator."""
        return cls(
            width=384, stem_width=256, n_attention=6, n_ssd=6, heads=6, ssd_state=64
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the configuration that ``to_json`` wrote.

        Raises
        ------
        InputError
            Not an object, or it holds a name that is no size of ours.
        """
        try:
            given: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"hybrid configuration is not JSON: {error}") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(given, dict) or (unknown := set(given) - known):
            named = (
                f"unknown {sorted(unknown)}" if isinstance(given, dict) else "no object"
            )
            raise InputError(
                f"hybrid configuration: {named}; known are {sorted(known)}"
            )
        return cls(**given)

    def to_json(self) -> str:
        """Return all sizes as a JSON object, in the order of the fields."""
        return json.dumps(asdict(self), indent=1)


class HybridEncoder(nn.Module):
    """Encodes nucleotide sequences of any length, one vector a sequence and one a token.

    Parameters
    ----------
    config
        Sizes.
    generator
        Where the first weights come from; PyTorch's own stream if none is given.
    """

    def __init__(
        self, config: HybridConfig, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.stem = _Stem(config)
        blocks: list[nn.Module] = [
            _AttentionBlock(config) for _ in range(config.n_attention)
        ]
        blocks += [_SSDBlock(config) for _ in range(config.n_ssd)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(config.width)
        self.pool = AttentionPooling(config.width, heads=config.heads)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def n_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(
        self, codes: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Encode a batch.

        Parameters
        ----------
        codes
            ``(batch, length)`` integers as of ``encoders.nucleotides``: A 0 … N 4.
        mask
            ``(batch, length)``: True for bases, False for padding, which stands at the
            right. An unknown base (N) within a sequence is a base; padding is not there.

        Returns
        -------
        tuple
            Pooled ``(batch, width)`` and tokens ``(batch, ceil(length / patch_bp),
            width)``, zero where a token holds padding alone. With ``both_strands`` the
            pooled vector is the mean over the strands, the tokens those of the strand
            given.

        Raises
        ------
        InputError
            A sequence has no base, or padding stands before a base.
        """
        at = torch.arange(codes.shape[1], device=codes.device)
        if mask is None:
            mask = torch.ones_like(codes, dtype=torch.bool)
        elif not bool(
            (at < mask.sum(1, keepdim=True)).eq(mask).all() & mask.any(1).all()
        ):
            raise InputError(
                "a sequence of the batch has no base, or padding before a base: "
                "pad on the right"
            )
        length = mask.sum(1)
        pooled, tokens = self._encode(codes, mask)
        if self.config.both_strands:
            # The other strand of the bases alone; padding stays at the right.
            back = (length[:, None] - 1 - at).clamp(min=0)
            other = codes.long().gather(1, back)
            other = torch.where(other < N_BASES, N_BASES - 1 - other, other)
            pooled = (pooled + self._encode(other, mask)[0]) / 2
        return pooled, tokens

    def _encode(self, codes: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        tokens, there = self.stem(codes, mask)
        for block in self.blocks:
            tokens = block(tokens, there)
        tokens = self.norm(tokens)
        return self.pool(tokens, there), tokens * there[..., None]


class _Stem(nn.Module):
    """Bases to tokens: a wide convolution at full resolution, then patches."""

    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        if config.stem_bp % 2 == 0:
            raise InputError(f"stem_bp is {config.stem_bp}: it must be odd")
        self.patch_bp, self.both = config.patch_bp, config.stem_strands
        self.wide = nn.Conv1d(
            len(ALPHABET), config.stem_width, config.stem_bp, padding="same"
        )
        self.norm = nn.BatchNorm1d(config.stem_width) if config.stem_norm else None
        self.blocks = nn.ModuleList(
            _ConvolutionBlock(config) for _ in range(config.stem_blocks)
        )
        self.largest = config.patch_max
        each = 1 if config.patch_max else config.patch_bp
        self.patch = nn.Linear(each * config.stem_width, config.width)
        self.place = nn.Linear(4 * N_WAVES, config.width) if config.positions else None

    def forward(self, codes: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens and which of them hold a base."""
        beyond = -codes.shape[1] % self.patch_bp
        codes, mask = F.pad(codes, (0, beyond)), F.pad(mask, (0, beyond))
        wide = self._read(codes.long(), mask)
        if self.both:
            codes = codes.long().flip(1)
            other = torch.where(codes < N_BASES, N_BASES - 1 - codes, codes)
            wide = wide + self._read(other, mask.flip(1)).flip(1)
        patches = wide.reshape(len(codes), -1, self.patch_bp, wide.shape[-1])
        tokens = self.patch(patches.amax(2) if self.largest else patches.flatten(2))
        there = mask.view(len(mask), -1, self.patch_bp).any(-1)
        if self.place is not None:
            tokens = tokens + self.place(self._waves(mask).to(wide.dtype))
        return tokens * there[..., None], there

    def _read(self, codes: Tensor, mask: Tensor) -> Tensor:
        """Return ``(batch, length, stem_width)``, zero where there is no base."""
        letters = F.one_hot(codes, len(ALPHABET)) * mask[..., None]
        wide = _along(self.wide, letters.to(self.wide.weight.dtype))
        if self.norm is not None:
            wide = self.norm(wide.flatten(0, 1)).view(wide.shape)
        wide = F.gelu(wide) * mask[..., None]
        for block in self.blocks:
            wide = block(wide, mask)
        return wide

    def _waves(self, mask: Tensor) -> Tensor:
        start = torch.arange(0, mask.shape[1], self.patch_bp, device=mask.device)
        to_end = mask.sum(1)[:, None] - start
        length = torch.logspace(0, 1, N_WAVES, LONGEST_WAVE_BP / SHORTEST_WAVE_BP)
        rate = (2 * torch.pi / (SHORTEST_WAVE_BP * length)).to(mask.device)
        distance = torch.stack([start.expand_as(to_end), to_end], dim=-1)
        angle = (distance[..., None] * rate).flatten(-2)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


def _along(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """Convolve ``(batch, length, channels)`` to the same length.

    As an image of height 1 in channels-last layout nothing has to be transposed: half
    the time on a CPU.
    """
    image = F.conv2d(
        x.transpose(1, 2).unsqueeze(2), layer.weight.unsqueeze(2), layer.bias,
        padding=(0, layer.kernel_size[0] // 2),
    )  # fmt: skip
    return image.squeeze(2).transpose(1, 2)


class _ConvolutionBlock(nn.Module):
    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        width = config.stem_width
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, 5, padding="same")
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, wide: Tensor, mask: Tensor) -> Tensor:
        """Map ``(batch, length, stem_width)``; padding is zero before and after."""
        normed = self.norm(wide) * mask[..., None]
        learned = _along(self.convolution, normed)
        result: Tensor = wide + self.dropout(F.gelu(learned)) * mask[..., None]
        return result


class _AttentionBlock(nn.Module):
    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        width, inner = config.width, config.mlp * config.width
        self.norm = nn.LayerNorm(width)
        self.attention = WindowedAttention(
            width, heads=config.heads, window=config.window
        )
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, inner),
            nn.GELU(),
            nn.Linear(inner, width),
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        tokens = tokens + self.dropout(self.attention(self.norm(tokens), there))
        learned: Tensor = self.dropout(self.mlp(tokens))
        return tokens + learned


class _SSDBlock(nn.Module):
    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.ssd = BidirectionalSSD(
            SSDConfig(
                width=config.width, state=config.ssd_state, head=config.ssd_head,
                expand=config.ssd_expand, chunk=config.ssd_chunk,
            )
        )  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        learned: Tensor = self.dropout(self.ssd(self.norm(tokens), there))
        return tokens + learned
