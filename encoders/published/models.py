"""Published nucleotide models behind our own ``SequenceModel`` protocol.

Masked models are asked for one base at a time: its token is hidden, in a window of
``reach_bp`` bases on each side (``encoders.published.tokens`` says what is hidden and
compared). Causal models give the exact conditional at four passes a base, because
``p(b | all others)`` is in proportion to the likelihood of the whole window with ``b``.

``one_pass`` is cheaper by a factor of the window's length and no longer the same quantity:
a masked model then *sees* the base it is asked for, and a causal one answers with the
product of what it expects from the left and, on the other strand, from the right. The
model's name ends in ``-one-pass``, so caches and columns do not mix them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

from data_registry.errors import InputError
from encoders.nucleotides import N_BASES, UNKNOWN, reverse_complement
from encoders.published.folder import (
    ModelFolder,
    backbone_of,
    load_network,
    load_tokenizer,
    longest_input,
    read_folder,
    run_network,
)
from encoders.published.tokens import Characters, Neighbours, Tokens, read_tokens
from encoders.sequence_model import SequenceModel

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Objective = Literal["masked", "causal"]

DEFAULT_REACH_BP = 255
"""Windows of 511 bp: what GPN and PlantCaduceus were trained on (512 bp)."""
BATCH_TOKENS = 16_384
"""Tokens in one pass of the network; changes speed and memory only."""
BARE_TYPES = ("caduceus",)
"""Model types read without special tokens, as their authors' own scripts for variants
do; one behind the sequence would tell the strands apart."""
ADAPTER = "2"
"""Changes whenever the same weights would give other numbers."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network with its tokens, before it is known what it is asked for.

    Parameters
    ----------
    longest
        Tokens the network takes.
    """

    folder: ModelFolder
    network: PreTrainedModel
    tokens: Tokens
    objective: Objective
    longest: int
    device: str

    @property
    def n_parameters(self) -> int:
        """Weights of the network."""
        return sum(each.numel() for each in self.network.parameters())

    @property
    def reverse_complement_shared(self) -> bool:
        """Whether the two halves of the channels are the two strands (Caduceus-PS)."""
        return bool(self.folder.config.get("rcps", False))

    def with_special(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Put the special tokens around."""
        return (*self.tokens.prefix, *ids, *self.tokens.suffix)

    def hidden(self, ids: Tensor) -> Tensor:
        """Return the last hidden states, ``(batch, tokens, width)``.

        Where the two halves of the channels are the two strands, the mean of both: the
        second half is the first half's mirror image (Schiff et al. 2024, section 3.3).
        """
        states = run_network(backbone_of(self.network), ids)
        if self.reverse_complement_shared:
            there, back = states.chunk(2, -1)
            states = (there + back.flip(-1)) / 2
        return states


def open_model(
    folder: Path,
    *,
    allow_remote_code: bool = False,
    neighbours: Neighbours = "known",
    device: str = "cpu",
) -> Loaded:
    """Load network and tokenizer from a folder.

    Raises
    ------
    InputError, MalformedFileError, MissingOptionalError
        The folder lacks something; the message says what to do.
    """
    found = read_folder(folder)
    objective = _objective(found)
    auto = AutoModelForMaskedLM if objective == "masked" else AutoModelForCausalLM
    network = load_network(
        found, auto, allow_remote_code=allow_remote_code, device=device
    )
    tokenizer = load_tokenizer(found, allow_remote_code=allow_remote_code)
    tokens = read_tokens(tokenizer, neighbours=neighbours)
    if isinstance(tokens, Characters) and found.model_type in BARE_TYPES:
        tokens = replace(tokens, prefix=(), suffix=())
    longest = longest_input(found, tokenizer)
    return Loaded(found, network, tokens, objective, longest, device)


def _objective(folder: ModelFolder) -> Objective:
    named = [folder.architecture, *map(str, folder.config.get("auto_map") or {})]
    for name in named:
        if "MaskedLM" in name:
            return "masked"
        if "CausalLM" in name or "LMHead" in name:
            return "causal"
    raise InputError(
        f"{folder.path}/config.json: architectures {named[0]!r} is no language model; "
        "its weights have no head that predicts bases. Give the folder of the "
        "…ForMaskedLM or …ForCausalLM checkpoint"
    )


def load_published(
    folder: Path,
    *,
    reach_bp: int | None = None,
    neighbours: Neighbours = "known",
    one_pass: bool = False,
    allow_remote_code: bool = False,
    device: str = "cpu",
) -> SequenceModel:
    """Open a published model as a ``SequenceModel``.

    Parameters
    ----------
    reach_bp
        Bases read on each side; by default 255 or what the network takes, if less.
    neighbours
        For k-mer models: ``known`` gives the other bases of the k-mer, ``hidden`` sums
        the token probabilities by the base at its place, whatever stands beside it.
    one_pass
        The cheaper approximation (see the module).

    Raises
    ------
    InputError, MalformedFileError, MissingOptionalError
        The folder lacks something, or the network does not take such a window.
    """
    loaded = open_model(
        folder,
        allow_remote_code=allow_remote_code,
        neighbours=neighbours,
        device=device,
    )
    special = len(loaded.tokens.prefix) + len(loaded.tokens.suffix)
    # A base may be a token of its own, so a window this wide always fits.
    most = (loaded.longest - special - 1) // 2
    reach = min(DEFAULT_REACH_BP, most) if reach_bp is None else reach_bp
    if reach < 1:
        raise InputError(f"reach of {reach} bp: give at least 1")
    kinds: dict[tuple[str, bool], type[_Published]] = {
        ("masked", False): MaskedAdapter,
        ("causal", False): CausalAdapter,
        ("masked", True): OnePassMaskedAdapter,
        ("causal", True): OnePassCausalAdapter,
    }
    return kinds[loaded.objective, one_pass](loaded, reach)


class _Published:
    """What all adapters share: names, limits, embeddings."""

    name: str
    digest: str
    reach_bp: int
    width: int
    strand_symmetric: bool

    suffix = ""

    def __init__(self, loaded: Loaded, reach_bp: int) -> None:
        self.loaded = loaded
        self.reach_bp = reach_bp
        self.name = loaded.folder.name + self.suffix
        settings = (ADAPTER, loaded.folder.digest, reach_bp, self.suffix,
                    getattr(loaded.tokens, "neighbours", ""))  # fmt: skip
        self.digest = hashlib.sha256(repr(settings).encode()).hexdigest()
        probe = loaded.with_special(loaded.tokens.cut(np.zeros(8, np.uint8))[0])
        with torch.inference_mode():
            ids = torch.tensor([probe], device=loaded.device)
            self.width = int(loaded.hidden(ids).shape[-1])
        self.strand_symmetric = (
            loaded.reverse_complement_shared and loaded.tokens.kind == "character"
        )

    def log_probabilities(self, codes: Codes) -> Floats:
        """Return log p(base | the others), ``(length, 4)``; see ``SequenceModel``."""
        raise NotImplementedError

    def embed(self, codes: Codes) -> Floats:
        """Return each token's last hidden state on all of its bases, ``(length, width)``.

        Long sequences are read in tiles, whose middles are kept: a base is read with at
        least half of ``reach_bp`` on each side and nothing further than ``reach_bp``.
        """
        out = np.empty((len(codes), self.width), np.float32)
        for tile, keep, place in self._tiles(codes):
            ids, lengths = self.loaded.tokens.cut(tile)
            states = self._hidden(ids)
            out[place] = np.repeat(states, lengths, axis=0)[keep]
        return out

    def _hidden(self, ids: list[int]) -> Floats:
        first = len(self.loaded.tokens.prefix)
        whole = self._fitting([self.loaded.with_special(ids)])
        with torch.inference_mode():
            states = self.loaded.hidden(whole)[0, first : first + len(ids)]
        return states.float().cpu().numpy()

    def _tiles(self, codes: Codes) -> Iterator[tuple[Codes, slice, slice]]:
        """Yield each tile, what to keep of it, and where that goes."""
        if not len(codes):
            return
        core = (self.reach_bp + 1) // 2
        margin = self.reach_bp - core + 1
        for first in range(0, len(codes), core):
            end = min(first + core, len(codes))
            left = max(first - margin, 0)
            tile = codes[left : end + margin]
            yield tile, slice(first - left, end - left), slice(first, end)

    def _window(self, codes: Codes, site: int) -> tuple[Codes, int]:
        left = max(site - self.reach_bp, 0)
        return codes[left : site + self.reach_bp + 1], site - left

    def _fitting(self, inputs: Sequence[tuple[int, ...]]) -> Tensor:
        longest = len(inputs[0])
        if longest > self.loaded.longest:
            raise InputError(
                f"{self.name}: a window of {2 * self.reach_bp + 1} bp is {longest} "
                f"tokens, and the network takes {self.loaded.longest}; give a smaller "
                "reach_bp"
            )
        return torch.tensor(inputs, device=self.loaded.device)

    def _run(
        self, inputs: Sequence[tuple[int, ...]]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Run inputs of one length together; yield their numbers and log-probabilities.

        Networks without an attention mask cannot take padded inputs.
        """
        by_length: dict[int, list[int]] = defaultdict(list)
        for number, ids in enumerate(inputs):
            by_length[len(ids)].append(number)
        with torch.inference_mode():
            for length, numbers in sorted(by_length.items()):
                step = max(1, BATCH_TOKENS // length)
                for start in range(0, len(numbers), step):
                    batch = numbers[start : start + step]
                    tensor = self._fitting([inputs[number] for number in batch])
                    logits = run_network(self.loaded.network, tensor)
                    yield batch, torch.log_softmax(logits.float(), -1)


class _BySite(_Published):
    """Models that are asked for one base at a time (``likelihood.MaskedModel``)."""

    is_masked = True
    sites_at_once = 32

    def log_probabilities(self, codes: Codes) -> Floats:
        """Return log p(base | the others), ``(length, 4)``; see ``SequenceModel``."""
        return self.log_probabilities_at(codes, np.arange(len(codes)))

    def log_probabilities_at(
        self, codes: Codes, positions: NDArray[np.int64]
    ) -> Floats:
        """Return some rows of ``log_probabilities``."""
        rows = [np.empty((0, N_BASES))]
        for start in range(0, len(positions), self.sites_at_once):
            sites = positions[start : start + self.sites_at_once].tolist()
            rows.append(self._scores([self._window(codes, site) for site in sites]))
        scores = np.concatenate(rows)
        return (scores - _log_sum(scores)).astype(np.float32)

    def _scores(self, windows: list[tuple[Codes, int]]) -> NDArray[np.float64]:
        """Return a row for each window and site in it, up to a constant of the row."""
        raise NotImplementedError


class MaskedAdapter(_BySite):
    """Hides the tokens of one base, in a window around it."""

    def _scores(self, windows: list[tuple[Codes, int]]) -> NDArray[np.float64]:
        asked = [self.loaded.tokens.readings(*window) for window in windows]
        # Characters and k-mers ask all four bases of the same hidden input.
        inputs = list(dict.fromkeys(r.ids for four in asked for r in four))
        wanted = defaultdict(list)
        for site, four in enumerate(asked):
            for base, reading in enumerate(four):
                wanted[reading.ids].append((site, base, reading.spelled))
        scores = np.zeros((len(windows), N_BASES))
        for batch, log_p in self._run(inputs):
            for row, number in enumerate(batch):
                for site, base, spelled in wanted[inputs[number]]:
                    for at, ids in spelled:
                        part = log_p[row, at, list(ids)].logsumexp(0)
                        scores[site, base] += float(part)
        return scores


class CausalAdapter(_BySite):
    """Compares the likelihoods of the window with each of the four bases."""

    sites_at_once = 8

    def _scores(self, windows: list[tuple[Codes, int]]) -> NDArray[np.float64]:
        inputs: list[tuple[int, ...]] = []
        counted: list[NDArray[np.int64]] = []
        first = len(self.loaded.tokens.prefix)
        for window, site in windows:
            for base in range(N_BASES):
                changed = window.copy()
                changed[site] = base
                ids, lengths = self.loaded.tokens.cut(changed)
                starts = np.cumsum([0, *lengths[:-1]])
                known = changed[starts] < UNKNOWN
                inputs.append(self.loaded.with_special(ids))
                counted.append(first + np.flatnonzero(known))
        scores = np.zeros(len(inputs))
        for batch, log_p in self._run(inputs):
            for row, number in enumerate(batch):
                # Nothing stands before the first token to expect it from.
                at = torch.from_numpy(counted[number][counted[number] > 0])
                expected = torch.tensor(inputs[number])[at]
                scores[number] = float(log_p[row, at - 1, expected].double().sum())
        return scores.reshape(-1, N_BASES)


class OnePassMaskedAdapter(_Published):
    """Reads the sequence as it is: each base is seen while it is asked for."""

    suffix = "-one-pass"

    def log_probabilities(self, codes: Codes) -> Floats:
        """Return the answers over tiles, ``(length, 4)``: not blind to the base itself."""
        out = np.empty((len(codes), N_BASES), np.float32)
        first = len(self.loaded.tokens.prefix)
        for tile, keep, place in self._tiles(codes):
            ids, lengths = self.loaded.tokens.cut(tile)
            words = self.loaded.tokens.replacements(tile)
            ((_, log_p),) = self._run([self.loaded.with_special(ids)])
            at = first + np.repeat(np.arange(len(ids)), lengths)
            picked = log_p[0].cpu().numpy()[at[:, None], words].astype(np.float64)
            out[place] = (picked - _log_sum(picked))[keep]
        return out


class OnePassCausalAdapter(_Published):
    """Multiplies what is expected from the left and, on the other strand, the right."""

    suffix = "-one-pass"

    def log_probabilities(self, codes: Codes) -> Floats:
        """Return the answers over tiles, ``(length, 4)``."""
        out = np.empty((len(codes), N_BASES), np.float32)
        for tile, keep, place in self._tiles(codes):
            both = self._ahead(tile) + self._ahead(reverse_complement(tile))[::-1, ::-1]
            out[place] = (both - _log_sum(both))[keep]
        return out

    def _ahead(self, codes: Codes) -> NDArray[np.float64]:
        """Return log p(base | those before it); the first base is taken as even."""
        if self.loaded.tokens.kind != "character":
            raise InputError(
                f"{self.name}: one pass over a causal model needs a token a base; "
                "leave out --one-pass"
            )
        words = self.loaded.tokens.replacements(codes)
        ids, _ = self.loaded.tokens.cut(codes)
        ((_, log_p),) = self._run([self.loaded.with_special(ids)])
        before = len(self.loaded.tokens.prefix) + np.arange(len(codes)) - 1
        table = log_p[0].cpu().numpy().astype(np.float64)
        scores = table[np.maximum(before, 0)[:, None], words]
        scores[before < 0] = 0.0
        normal: NDArray[np.float64] = scores - _log_sum(scores)
        return normal


def _log_sum(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of each row's summed exponentials, ``(n, 1)``."""
    if not len(scores):
        return np.empty((0, 1))
    highest = scores.max(axis=1, keepdims=True)
    found: NDArray[np.float64] = highest + np.log(
        np.exp(scores - highest).sum(axis=1, keepdims=True)
    )
    return found
