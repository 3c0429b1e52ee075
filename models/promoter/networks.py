"""Networks that read a promoter; all give one vector a sequence and share their heads.

Input is nucleotide codes ``(batch, length_bp)``; an unknown base is a column of zeros.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from data_registry.errors import InputError
from encoders.hybrid import HybridConfig, HybridEncoder
from encoders.nucleotides import N_BASES, UNKNOWN


class Backbone(Protocol):
    """Codes in, one vector a sequence out."""

    width: int

    def __call__(self, codes: Tensor) -> Tensor:
        """Return ``(batch, width)``."""
        ...


def one_hot(codes: Tensor) -> Tensor:
    """Return ``(batch, 4, length)``, float; zeros where the base is unknown."""
    return F.one_hot(codes.long(), N_BASES + 1)[..., :N_BASES].transpose(1, 2).float()


def complement(codes: Tensor) -> Tensor:
    """Return the reverse complement of codes."""
    table = torch.tensor([3, 2, 1, 0, UNKNOWN], dtype=codes.dtype, device=codes.device)
    return table[codes.long()].flip(-1)


class JoresCnn(nn.Module):
    """The convolutional network of Jores et al. 2021 (Nature Plants 7, 842).

    Two strand-specific convolutions: each filter also runs as its own reverse complement,
    layer on layer, and the two readings are added at the end; one plain convolution, a
    dense layer of 64 with batch normalisation. 128 filters of 13 bp, dropout 0.15. Theirs
    starts its filters from known motifs; ours from noise.
    """

    def __init__(
        self, length_bp: int, *, filters: int = 128, kernel_bp: int = 13,
        hidden: int = 64, dropout: float = 0.15,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width = hidden
        self.first = nn.Conv1d(N_BASES, filters, kernel_bp, padding="same")
        self.second = nn.Conv1d(filters, filters, kernel_bp, padding="same")
        self.third = nn.Conv1d(filters, filters, kernel_bp, padding="same")
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(filters * length_bp, hidden)
        self.norm = nn.BatchNorm1d(hidden)

    def forward(self, codes: Tensor) -> Tensor:
        """Return ``(batch, width)``."""
        bases = one_hot(codes)
        strands = [bases, bases]
        for layer in (self.first, self.second):
            kernels = (layer.weight, layer.weight.flip(1, 2))
            strands = [
                self.dropout(F.relu(F.conv1d(x, kernel, layer.bias, padding="same")))
                for x, kernel in zip(strands, kernels, strict=True)
            ]
        both = self.dropout(F.relu(self.third(strands[0] + strands[1])))
        return F.relu(self.norm(self.dense(both.flatten(1))))


class DeepStarr(nn.Module):
    """The network of de Almeida et al. 2022 (Nature Genetics 54, 613), for any length.

    Four convolutions (256, 60, 60, 120 filters of 7, 3, 5, 3 bp), each with batch
    normalisation, ReLU and max-pooling by 2; two dense layers of 256 with batch
    normalisation, ReLU and dropout 0.4. ``first`` is the number of filters of the first.
    """

    def __init__(
        self, length_bp: int, *, first: int = 256, dropout: float = 0.4
    ) -> None:
        super().__init__()
        self.width = 256
        layers: list[nn.Module] = []
        channels = N_BASES
        for filters, kernel_bp in ((first, 7), (60, 3), (60, 5), (120, 3)):
            layers += [
                nn.Conv1d(channels, filters, kernel_bp, padding="same"),
                nn.BatchNorm1d(filters), nn.ReLU(), nn.MaxPool1d(2),
            ]  # fmt: skip
            channels = filters
        self.convolutions = nn.Sequential(*layers)
        size = channels * (length_bp // 16)
        dense: list[nn.Module] = []
        for _ in range(2):
            dense += [
                nn.Linear(size, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(dropout)
            ]  # fmt: skip
            size = 256
        self.dense = nn.Sequential(*dense)

    def forward(self, codes: Tensor) -> Tensor:
        """Return ``(batch, width)``."""
        return cast("Tensor", self.dense(self.convolutions(one_hot(codes)).flatten(1)))


class GatedConvolution(nn.Module):
    """``x + W_out(silu(conv(W_a x)) * silu(W_b x))`` with a depthwise convolution.

    This is what the block of the published "Mix_cre" promoter model computes where its
    text says Mamba: no state is carried along the sequence.
    """

    def __init__(self, width: int, *, expand: int = 2, kernel: int = 5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inward = nn.Linear(width, 2 * expand * width)
        inner = expand * width
        self.convolution = nn.Conv1d(
            inner, inner, kernel, padding=kernel // 2, groups=inner
        )
        self.outward = nn.Linear(expand * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape given, ``(batch, tokens, width)``."""
        value, gate = self.inward(self.norm(x)).chunk(2, dim=-1)
        value = self.convolution(value.transpose(1, 2)).transpose(1, 2)
        return x + cast("Tensor", self.outward(F.silu(value) * F.silu(gate)))


class GatedHybrid(nn.Module):
    """Strided stem, Transformer blocks, gated depthwise convolutions, mean pooling."""

    def __init__(
        self, length_bp: int, *, width: int = 128, n_attention: int = 2, n_gated: int = 2,
        n_heads: int = 4, stem_bp: int = 11, stride: int = 4, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width = width
        self.stem = nn.Conv1d(
            N_BASES, width, stem_bp, stride=stride, padding=stem_bp // 2
        )
        n_tokens = (length_bp + 2 * (stem_bp // 2) - stem_bp) // stride + 1
        self.position = nn.Parameter(torch.randn(1, n_tokens, width) * 0.02)
        self.attention = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, n_heads, 4 * width, dropout, F.gelu, batch_first=True,
                norm_first=True,
            )
            for _ in range(n_attention)
        )  # fmt: skip
        self.gated = nn.ModuleList(GatedConvolution(width) for _ in range(n_gated))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, codes: Tensor) -> Tensor:
        """Return ``(batch, width)``."""
        x = F.gelu(self.stem(one_hot(codes))).transpose(1, 2) + self.position
        for block in (*self.attention, *self.gated):
            x = block(x)
        return cast("Tensor", self.dropout(self.norm(x.mean(dim=1))))


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network says of a batch: z-scores ``(batch, conditions)``, species logits."""

    expression: Tensor
    species: Tensor


class PromoterNetwork(nn.Module):
    """A backbone with a head for expression and one for the species.

    Parameters
    ----------
    both_strands
        Read the reverse complement too and average the vectors; for elements whose
        strand means nothing, not for promoters.
    """

    def __init__(
        self, backbone: nn.Module, n_conditions: int, n_species: int, *,
        both_strands: bool = False, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.both_strands = both_strands
        width = cast("int", backbone.width)
        self.dropout = nn.Dropout(dropout)
        self.expression = nn.Linear(width, n_conditions)
        self.species = nn.Linear(width, max(n_species, 1))

    def forward(self, codes: Tensor) -> Outputs:
        """Return what both heads say of ``(batch, length)`` codes."""
        vector = self.backbone(codes)
        if self.both_strands:
            vector = (vector + self.backbone(complement(codes))) / 2
        vector = self.dropout(vector)
        return Outputs(self.expression(vector).float(), self.species(vector).float())


class Hybrid(nn.Module):
    """Our encoder (``encoders.hybrid``): its pooled vector, and a reading by position.

    Parameters
    ----------
    by_position
        Channels that each token gives to a dense layer with weights of its own for every
        position, as the convolutional networks above have; 0 leaves pooling alone. Only
        elements that all stand alike to their transcription start profit.
    hidden
        Width of that layer.
    hidden_dropout
        Dropout on what it gives.
    settings
        Those of ``HybridConfig``.
    """

    def __init__(
        self, length_bp: int, *, by_position: int = 0, hidden: int = 64,
        hidden_dropout: float = 0.0, **settings: Any,  # noqa: ANN401
    ) -> None:  # fmt: skip
        super().__init__()
        config = HybridConfig(**settings)
        self.encoder = HybridEncoder(config)
        self.width = config.width
        self.narrow = self.dense = None
        if by_position:
            n_tokens = -(-length_bp // config.patch_bp)
            self.narrow = nn.Linear(config.width, by_position)
            self.dense = nn.Sequential(
                nn.Linear(n_tokens * by_position, hidden),
                nn.BatchNorm1d(hidden),
                nn.ReLU(),
                nn.Dropout(hidden_dropout),
            )
            self.width += hidden

    def forward(self, codes: Tensor) -> Tensor:
        """Return ``(batch, width)``."""
        pooled: Tensor
        pooled, tokens = self.encoder(codes)
        if self.narrow is None or self.dense is None:
            return pooled
        return torch.cat([pooled, self.dense(self.narrow(tokens).flatten(1))], dim=-1)


BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "jores": JoresCnn,
    "deepstarr": DeepStarr,
    "gated": GatedHybrid,
    "hybrid": Hybrid,
}


def build_network(
    kind: str,
    settings: dict[str, Any],
    *,
    length_bp: int,
    n_conditions: int,
    n_species: int,
) -> PromoterNetwork:
    """Return a network with fresh weights, drawn from torch's global generator.

    Raises
    ------
    InputError
        There is no such kind, or it has no such setting.
    """
    if kind not in BACKBONES:
        raise InputError(
            f"no network {kind!r}; there are {', '.join(sorted(BACKBONES))}"
        )
    settings = dict(settings)
    both_strands = bool(settings.pop("both_strands", False))
    try:
        backbone = BACKBONES[kind](length_bp, **settings)
    except TypeError as error:
        raise InputError(f"[network] of kind {kind!r}: {error}") from error
    return PromoterNetwork(backbone, n_conditions, n_species, both_strands=both_strands)
