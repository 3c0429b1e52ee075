"""Our nucleotide language models: every base predicted from all the others.

*Cloze*: one causal stack reads the sequence forwards, and the same stack reads its
reverse complement; the base at a position is predicted from what the first has read up to
it and the second has read up to it from the other side. One pass therefore predicts every
base without hiding any, and the two strands give the same answer by construction.

*Masked*: the same stack, looking both ways, over a sequence in which some bases are
hidden; the classical objective (Devlin et al. 2019), kept for comparison.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from data_registry.errors import InputError, MalformedFileError
from encoders.attention import WindowedAttention
from encoders.nucleotides import N_BASES, UNKNOWN
from encoders.ssd import BidirectionalSSD, SSDConfig, SSDMixer

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "card.md"
TILE_BP = 8_192
"""Bases predicted at once when a long sequence is read; changes speed only."""
MASK_BATCH = 64
SSD_REACH_BP = 512
"""A state space has no last base; what it carries further than this is left out."""


@dataclass(frozen=True, slots=True)
class LanguageConfig:
    """What a language model is made of.

    Parameters
    ----------
    layers
        One word each: ``conv:<kernel>:<dilation>``, ``ssd`` or ``attention:<window>``.
    kmer
        The first layer looks up the last ``kmer`` bases as one word (5**kmer rows).
    held_out, validation
        Contigs of ``trained_on`` that no training sequence aligns to.
    """

    name: str = "language"
    objective: Literal["cloze", "masked"] = "cloze"
    width: int = 128
    layers: tuple[str, ...] = tuple(f"conv:3:{2**i}" for i in range(8))
    kmer: int = 1
    head: int = 256
    mask_share: float = 0.15
    trained_on: str = ""
    held_out: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read a table of settings; unknown ones are refused.

        Raises
        ------
        InputError
            A name is not a setting.
        """
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(content) - known):
            raise InputError(
                f"language model setting {unknown[0]!r} is unknown; "
                f"known are {', '.join(sorted(known))}"
            )
        tuples = ("layers", "held_out", "validation")
        values: dict[str, Any] = {
            name: tuple(value) if name in tuples else value
            for name, value in content.items()
        }
        return cls(**values)

    @property
    def reach_bp(self) -> int:
        """Bases on each side that can change an answer."""
        return self.kmer + sum(_reach(layer) for layer in self.layers)


def _reach(layer: str) -> int:
    kind, *numbers = layer.split(":")
    if kind == "conv":
        kernel, dilation = map(int, numbers)
        return (kernel - 1) * dilation
    if kind == "attention":
        return int(numbers[0])
    return SSD_REACH_BP


def _norm(x: Tensor, weight: Tensor) -> Tensor:
    """Root-mean-square norm, in float32 (Zhang & Sennrich 2019, equation 4)."""
    wide = x.float()
    return (
        wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6) * weight
    ).to(x.dtype)


class _GatedConvolution(nn.Module):
    """A dilated convolution, gated and projected back, added to what came in."""

    def __init__(
        self,
        width: int,
        kernel: int,
        dilation: int,
        *,
        causal: bool,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.kernel, self.dilation, self.causal = kernel, dilation, causal
        self.norm = nn.Parameter(torch.ones(width))
        scale = 1 / math.sqrt(width * kernel)
        self.into = nn.Parameter(
            torch.randn(2 * width, kernel * width, generator=rng) * scale
        )
        self.out = nn.Parameter(torch.zeros(width, width))
        self.dropout = 0.0

    def forward(self, x: Tensor) -> Tensor:
        span = (self.kernel - 1) * self.dilation
        left = span if self.causal else span // 2
        h = F.pad(_norm(x, self.norm), (0, 0, left, span - left))
        value, gate = self._convolve(h, x.shape[1]).chunk(2, -1)
        learned = F.linear(F.silu(value) * gate, self.out)
        return x + F.dropout(learned, self.dropout, self.training)

    def _convolve(self, h: Tensor, length: int) -> Tensor:
        """Return ``(batch, length, 2 width)`` from the padded input."""
        if h.is_cuda:  # one matrix product; cuDNN's dilated convolutions are slower
            taps = [h[:, i * self.dilation :][:, :length] for i in range(self.kernel)]
            return F.linear(torch.cat(taps, -1), self.into)
        width = h.shape[-1]
        # (batch, length, channels) is the channels-last form of (batch, channels, 1,
        # length), which the CPU's convolutions are fastest with.
        kernel = self.into.view(2 * width, self.kernel, width).permute(0, 2, 1)
        h = F.conv2d(
            h.transpose(1, 2).unsqueeze(2),
            kernel.unsqueeze(2),
            dilation=(1, self.dilation),
        )
        return h.squeeze(2).transpose(1, 2)


class _Mixer(nn.Module):
    """A state-space or attention layer, normed before and added to what came in."""

    def __init__(self, width: int, layer: nn.Module) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.ones(width))
        self.layer = layer
        self.dropout = 0.0

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.layer(_norm(x, self.norm))
        return x + F.dropout(mixed, self.dropout, self.training)


def _layer(word: str, width: int, *, causal: bool, rng: torch.Generator) -> nn.Module:
    kind, *numbers = word.split(":")
    if kind == "conv" and len(numbers) == 2:
        kernel, dilation = map(int, numbers)
        return _GatedConvolution(width, kernel, dilation, causal=causal, rng=rng)
    if kind == "ssd" and not numbers:
        config = SSDConfig(width, head=32)
        return _Mixer(width, SSDMixer(config) if causal else BidirectionalSSD(config))
    if kind == "attention" and len(numbers) == 1:
        attention = WindowedAttention(
            width, heads=width // 32, window=int(numbers[0]), causal=causal
        )
        return _Mixer(width, attention)
    raise InputError(
        f"layer {word!r} of a language model: write conv:<kernel>:<dilation>, ssd or "
        f"attention:<window>"
    )


class LanguageNetwork(nn.Module):
    """The network; ``LanguageModel`` wraps it with weights and a name.

    Parameters
    ----------
    rng
        Of the initial weights.
    """

    def __init__(
        self, config: LanguageConfig, rng: torch.Generator | None = None
    ) -> None:
        super().__init__()
        rng = rng or torch.Generator().manual_seed(0)
        self.config = config
        width, head = config.width, config.head
        causal = config.objective == "cloze"
        self.words = nn.Embedding(5**config.kmer, width)
        with torch.no_grad():
            self.words.weight.copy_(
                torch.randn(self.words.weight.shape, generator=rng) * 0.5
            )
        self.layers = nn.ModuleList(
            _layer(word, width, causal=causal, rng=rng) for word in config.layers
        )
        self.norm = nn.Parameter(torch.ones(width))
        scale = 1 / math.sqrt(2 * width)
        self.here = nn.Parameter(torch.randn(head, width, generator=rng) * scale)
        self.there = nn.Parameter(torch.randn(head, width, generator=rng) * scale)
        self.bias = nn.Parameter(torch.zeros(head))
        self.out = nn.Parameter(torch.zeros(N_BASES, head))
        self.stream_dtype: torch.dtype | None = None
        """Of the residual stream; the trainer sets bfloat16 under autocast."""

    def set_dropout(self, share: float) -> None:
        """Let this share of what a layer adds be zeroed while training."""
        for layer in self.layers:
            assert isinstance(layer, _GatedConvolution | _Mixer)  # noqa: S101
            layer.dropout = share

    def streams(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Read both strands, each ``(batch, length, width)``, in the given order.

        Cloze: at a position the first has read the bases before it, the second those
        after it. Masked: both have read all.
        """
        return self.upper(self.lower(codes, 0), 0)

    def lower(self, codes: Tensor, n: int) -> Tensor:
        """Return what the first n layers make, ``(2 batch, length, width)``.

        The first half reads the given strand, the second half the opposite one.
        """
        opposite = torch.where(codes < N_BASES, 3 - codes, codes).flip(1)
        x = self._read(torch.cat([codes, opposite]))
        for i, layer in enumerate(self.layers):
            if i < n:
                x = layer(x)
        return x

    def upper(self, x: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Return ``streams`` from what the first n layers made."""
        for i, layer in enumerate(self.layers):
            if i >= n:
                x = layer(x)
        first, second = _norm(x, self.norm).chunk(2)
        return first, second.flip(1)

    def _read(self, codes: Tensor) -> Tensor:
        kmer, length = self.config.kmer, codes.shape[1]
        # Cloze: the word before the base; masked: the word around it.
        before = kmer if self.config.objective == "cloze" else kmer // 2
        padded = F.pad(codes, (before, kmer - before), value=UNKNOWN)
        word = torch.zeros_like(codes)
        for i in range(kmer):
            word = word * 5 + padded[:, i : i + length]
        x: Tensor = self.words(word)
        return x if self.stream_dtype is None else x.to(self.stream_dtype)

    def hidden(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each strand's prediction is made from, ``(batch, length, head)``."""
        return self.hidden_of(*self.streams(codes))

    def hidden_of(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``hidden`` from the two ``streams``."""
        one = F.silu(
            F.linear(first, self.here, self.bias) + F.linear(second, self.there)
        )
        two = F.silu(
            F.linear(second, self.here, self.bias) + F.linear(first, self.there)
        )
        return one, two

    def forward(self, codes: Tensor) -> Tensor:
        """Return logits of A, C, G, T, ``(batch, length, 4)``, float32.

        ``codes`` are integers, ``(batch, length)``. The reverse complement of the input
        gives the same logits, reversed and complemented.
        """
        one, two = self.hidden(codes)
        logits = F.linear(one, self.out) + F.linear(two, self.out).flip(-1)
        return logits.float()


def pretraining_loss(
    network: LanguageNetwork, codes: Tensor, weights: Tensor, hidden: Tensor,
    seen: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the mean cross entropy in nats, of known bases, by weight.

    Parameters
    ----------
    hidden
        ``(batch, length)`` True at bases to hide; only read by the masked objective,
        whose loss counts those alone.
    seen
        What the network reads in place of ``codes``, where that is not the same: bases
        with noise. The targets stay ``codes``.
    """
    targets = codes.clamp(max=N_BASES - 1)
    counted = weights * (codes < N_BASES)
    seen = codes if seen is None else seen
    if network.config.objective == "masked":
        logits = network(seen.masked_fill(hidden, UNKNOWN))
        counted = counted * hidden
    else:
        logits = network(seen)
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return (loss * counted.flatten()).sum() / counted.sum().clamp(min=1e-6)


class LanguageModel:
    """A trained cloze network that keeps the ``SequenceModel`` protocol, in float32."""

    strand_symmetric = True
    is_masked = False

    def __init__(
        self, network: LanguageNetwork, digest: str, device: str = "cpu"
    ) -> None:
        self.network = network.eval().to(device)
        self.config = network.config
        self.name = network.config.name
        self.digest = digest
        self.reach_bp = network.config.reach_bp
        self.width = network.config.head
        self.device = device

    def log_probabilities(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return log p(base | the others), ``(length, 4)``; see ``SequenceModel``.

        Beyond the ends of the sequence there is nothing, as at the ends of a training
        window.
        """
        parts = [
            torch.log_softmax(self.network(tile), -1)[0, keep]
            for tile, keep in self._tiles(codes)
        ]
        return _joined(parts, N_BASES)

    def embed(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the mean of both strands' hidden layer, ``(length, width)``.

        A cloze model's vector at a base is made from all bases but that one.
        """
        parts = []
        for tile, keep in self._tiles(codes):
            one, two = self.network.hidden(tile)
            parts.append(((one + two) / 2)[0, keep])
        return _joined(parts, self.width)

    def _tiles(self, codes: NDArray[np.uint8]) -> Iterator[tuple[Tensor, slice]]:
        """Cut into tiles with ``reach_bp`` on both sides, and say what to keep of each."""
        reach = self.reach_bp
        with torch.inference_mode():
            for first in range(0, len(codes), TILE_BP):
                end = min(first + TILE_BP, len(codes))
                left, right = max(first - reach, 0), min(end + reach, len(codes))
                tile = self._tensor(codes[None, left:right])
                yield tile, slice(first - left, end - left)

    def _tensor(self, codes: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(codes.astype(np.int64)).to(self.device)


class MaskedLanguageModel(LanguageModel):
    """A trained masked network: each base is hidden in turn, one pass a base."""

    is_masked = True

    def log_probabilities(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return log p(base | the others), ``(length, 4)``; see ``SequenceModel``."""
        return self.log_probabilities_at(codes, np.arange(len(codes)))

    def log_probabilities_at(
        self, codes: NDArray[np.uint8], positions: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return some rows of ``log_probabilities``, each from its own surroundings."""
        reach, length = self.reach_bp, len(codes)
        inside = (positions >= reach) & (positions + reach < length)
        rows = np.empty((len(positions), N_BASES), np.float32)
        batches = [np.array([i]) for i in np.flatnonzero(~inside)]
        batches += np.split(
            np.flatnonzero(inside), range(MASK_BATCH, inside.sum(), MASK_BATCH)
        )
        for batch in batches:
            if len(batch) == 0:
                continue
            at = positions[batch]
            left, right = (
                max(at[0] - reach, 0) - at[0],
                min(at[0] + reach + 1, length) - at[0],
            )
            windows = codes[at[:, None] + np.arange(left, right)]
            windows[:, -left] = UNKNOWN
            with torch.inference_mode():
                logits = self.network(self._tensor(windows))[:, -left]
                rows[batch] = torch.log_softmax(logits, -1).cpu().numpy()
        return rows


def _joined(parts: Sequence[Tensor], columns: int) -> NDArray[np.float32]:
    if not parts:
        return np.empty((0, columns), np.float32)
    return torch.cat(list(parts)).float().cpu().numpy()


def save_language_model(network: LanguageNetwork, folder: Path, card: str) -> None:
    """Write weights, configuration and card into a new or existing folder."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in
               network.state_dict().items()}  # fmt: skip
    beside = folder / f".{WEIGHTS_FILE}"
    save_file(weights, beside)
    (folder / CONFIG_FILE).write_text(
        json.dumps(asdict(network.config), indent=2) + "\n"
    )
    (folder / CARD_FILE).write_text(card)
    beside.rename(folder / WEIGHTS_FILE)


def language_model(
    network: LanguageNetwork, digest: str, device: str = "cpu"
) -> LanguageModel:
    """Wrap a network according to its objective."""
    masked = network.config.objective == "masked"
    return (MaskedLanguageModel if masked else LanguageModel)(network, digest, device)


def load_language_model(folder: Path, device: str = "cpu") -> LanguageModel:
    """Load one of our language models from its folder.

    Raises
    ------
    MalformedFileError
        A file is missing, or the weights are not of the configuration's network.
    """
    config_file, weights_file = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    try:
        text = config_file.read_text()
        network = LanguageNetwork(LanguageConfig.from_dict(json.loads(text)))
        network.load_state_dict(load_file(weights_file))
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise MalformedFileError(
            folder,
            f"not a language model: {error}",
            remedy="Give a folder that encoders.pretrain wrote.",
        ) from error
    digest = hashlib.sha256(text.encode() + weights_file.read_bytes()).hexdigest()
    return language_model(network, digest, device)
