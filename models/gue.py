"""Classifying short sequences: the GUE tasks, their floors, and our networks.

GUE (Zhou et al. 2024, DNABERT-2) is a set of binary tasks on 70 to 300 bp: core
promoters, transcription-factor peaks in human and mouse. Its measure is Matthews'
correlation (MCC). Every model here is fitted to ``train``, chosen on ``dev`` and gives
one number a sequence, above zero where the label is 1.
"""

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from data_registry.errors import MalformedFileError
from encoders import nucleotides
from encoders.language import LanguageNetwork
from encoders.nucleotides import N_BASES, UNKNOWN, reverse_complement

Codes = NDArray[np.uint8]
Labels = NDArray[np.int64]
Scores = NDArray[np.float64]
Features = Callable[[Codes], NDArray[np.float64]]
Predictor = Callable[[Codes], Scores]

PENALTIES = tuple(10.0**i for i in range(-2, 7))
NEAR_K = 16
NEAR_SHARE = 0.5
READ_BATCH = 128
"""Sequences a language model reads at once without training; changes speed only."""


# --- data -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """Sequences and labels of one part of a task.

    Parameters
    ----------
    codes
        ``(n, longest)``, unknown beyond the end of shorter sequences.
    labels
        ``(n,)``, 0 or 1.
    """

    codes: Codes
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Part":
        """Return some rows."""
        return Part(self.codes[rows], self.labels[rows])


@dataclass(frozen=True, slots=True)
class Task:
    """One GUE task.

    Parameters
    ----------
    both_strands
        The label does not depend on the strand, as for bound factors; a promoter's does.
    """

    name: str
    train: Part
    dev: Part
    test: Part
    both_strands: bool


def read_part(path: Path) -> Part:
    """Read a gzipped CSV of ``sequence,label``.

    Raises
    ------
    MalformedFileError
        Other columns, a letter that is no base, a label other than 0 and 1, or no row.
    """
    sequences: list[Codes] = []
    labels: list[int] = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != ["sequence", "label"]:
            raise MalformedFileError(
                path, "the header is not sequence,label", line=1,
                remedy="Give a file of a GUE task",
            )  # fmt: skip
        for line, row in enumerate(rows, start=2):
            if len(row) != 2 or row[1] not in ("0", "1") or {*row[0]} - {*"ACGTN"}:
                raise MalformedFileError(
                    path, f"{','.join(row)[:60]!r} is no sequence and label 0 or 1",
                    line=line, remedy="Only tasks of two classes are read",
                )  # fmt: skip
            sequences.append(nucleotides.encode(row[0]))
            labels.append(int(row[1]))
    if not labels:
        raise MalformedFileError(path, "no row", remedy="Give a file with sequences")
    codes = np.full((len(labels), max(map(len, sequences))), UNKNOWN, np.uint8)
    for i, sequence in enumerate(sequences):
        codes[i, : len(sequence)] = sequence
    return Part(codes, np.array(labels))


def read_task(folder: Path, name: str) -> Task:
    """Read ``train``, ``dev`` and ``test`` of ``folder/name``."""
    parts = [
        read_part(folder / name / f"{part}.csv.gz") for part in ("train", "dev", "test")
    ]
    train, dev, test = parts
    return Task(name, train, dev, test, both_strands=not name.startswith("prom"))


def near_copies(test: Codes, train: Codes) -> NDArray[np.intp]:
    """Return for each test sequence the training sequence it is a near copy of, or -1.

    A near copy shares half of its 16-mers or more with one training sequence, on either
    strand; of several the one that shares most.
    """
    best = np.full(len(test), -1, np.intp)
    share = np.full(len(test), NEAR_SHARE)
    numbers, owners = _words(train)
    order = np.argsort(numbers, kind="stable")
    numbers, owners = numbers[order], owners[order]
    for strand in (test, reverse_complement(test)):
        for i, row in enumerate(strand):
            words, _ = _words(row[None])
            words = np.unique(words)
            if not len(words):
                continue
            left = np.searchsorted(numbers, words, "left")
            right = np.searchsorted(numbers, words, "right")
            hits = [
                np.unique(owners[a:b])
                for a, b in zip(left, right, strict=True)
                if b > a
            ]
            if not hits:
                continue
            found, counts = np.unique(np.concatenate(hits), return_counts=True)
            top = int(counts.argmax())
            # Of the two strands the first may equal the second: ">=" keeps the first.
            if counts[top] / len(words) >= share[i] and (
                best[i] < 0 or counts[top] / len(words) > share[i]
            ):
                best[i], share[i] = found[top], counts[top] / len(words)
    return best


def _words(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the numbers of all 16-mers of known bases, and the rows they stand in."""
    n = codes.shape[1] - NEAR_K + 1
    if n < 1:
        return np.empty(0, np.int64), np.empty(0, np.intp)
    numbers = np.zeros((len(codes), n), np.int64)
    known = np.ones((len(codes), n), bool)
    for i in range(NEAR_K):
        column = codes[:, i : i + n]
        numbers = numbers * N_BASES + np.minimum(column, N_BASES - 1)
        known &= column < N_BASES
    rows = np.broadcast_to(np.arange(len(codes))[:, None], known.shape)
    return numbers[known], rows[known]


# --- measures -------------------------------------------------------------------------


def matthews(labels: Labels, scores: Scores) -> float:
    """Return Matthews' correlation of label and ``score > 0``; 0 where one is constant."""
    told = scores > 0
    truth = labels == 1
    a, b = float((told & truth).sum()), float((told & ~truth).sum())
    c, d = float((~told & truth).sum()), float((~told & ~truth).sum())
    below = (a + b) * (a + c) * (d + b) * (d + c)
    return (a * d - b * c) / below**0.5 if below else 0.0


def auroc(labels: Labels, scores: Scores) -> float:
    """Return the chance that a 1 scores above a 0, ties counting half."""
    n_ones = int((labels == 1).sum())
    n_zeros = len(labels) - n_ones
    if not n_ones or not n_zeros:
        return float("nan")
    above = rankdata(scores)[labels == 1].sum() - n_ones * (n_ones + 1) / 2
    return float(above / (n_ones * n_zeros))


def bootstrap(
    measure: Callable[[Labels, Scores], float],
    labels: Labels,
    runs: list[Scores],
    rng: np.random.Generator,
    *,
    n_draws: int = 1000,
    against: list[Scores] | None = None,
) -> tuple[float, float]:
    """Return the 95 % interval, over test rows, of the mean of a measure over seeds.

    Parameters
    ----------
    against
        Runs of another model: the interval is that of the difference, paired by row.
    """
    means = []
    for _ in range(n_draws):
        rows = rng.integers(0, len(labels), len(labels))
        mean = np.mean([measure(labels[rows], run[rows]) for run in runs])
        if against is not None:
            mean -= np.mean([measure(labels[rows], run[rows]) for run in against])
        means.append(mean)
    low, high = np.nanquantile(means, [0.025, 0.975])
    return float(low), float(high)


# --- linear floors --------------------------------------------------------------------


def gc_content(codes: Codes) -> NDArray[np.float64]:
    """Return the share of G and C among known bases, ``(n, 1)``."""
    known = (codes < N_BASES).sum(axis=1).clip(min=1)
    share: NDArray[np.float64] = ((codes == 1) | (codes == 2)).sum(axis=1) / known
    return share[:, None]


def kmer_shares(codes: Codes, k: int = 5) -> NDArray[np.float64]:
    """Return the share of each k-mer, ``(n, 4**k)``; words with unknown bases left out."""
    n = codes.shape[1] - k + 1
    numbers = np.zeros((len(codes), n), np.int64)
    known = np.ones((len(codes), n), bool)
    for i in range(k):
        column = codes[:, i : i + n]
        numbers = numbers * N_BASES + np.minimum(column, N_BASES - 1)
        known &= column < N_BASES
    rows = np.broadcast_to(np.arange(len(codes))[:, None], known.shape)
    flat = rows[known] * N_BASES**k + numbers[known]
    counts = np.bincount(flat, minlength=len(codes) * N_BASES**k)
    shares: NDArray[np.float64] = (
        counts.reshape(len(codes), N_BASES**k) / known.sum(axis=1).clip(min=1)[:, None]
    )
    return shares


def fit_ridge(features: Features, train: Part, dev: Part) -> Predictor:
    """Fit -1 and 1 by least squares; the penalty is the best of nine by MCC on dev.

    Features are centred and scaled by the training rows; a tie goes to the larger penalty.
    """
    x = features(train.codes)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread == 0] = 1.0
    x = (x - mean) / spread
    target = 2.0 * train.labels - 1.0
    offset = target.mean()
    values, vectors = np.linalg.eigh(x.T @ x)
    along = vectors.T @ (x.T @ (target - offset))
    dev_x = (features(dev.codes) - mean) / spread
    best, weights = -np.inf, np.zeros(x.shape[1])
    for penalty in sorted(PENALTIES, reverse=True):
        tried = vectors @ (along / (values.clip(min=0) + penalty))
        reached = matthews(dev.labels, dev_x @ tried + offset)
        if reached > best:
            best, weights = reached, tried

    def predict(codes: Codes) -> Scores:
        scores: Scores = (features(codes) - mean) / spread @ weights + offset
        return scores

    return predict


# --- networks -------------------------------------------------------------------------


class SmallCNN(nn.Module):
    """Three convolutions, their mean and largest value, one logit; 47,000 parameters."""

    def __init__(self, generator: torch.Generator, channels: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv1d(N_BASES, channels, 11, padding=5)
        self.second = nn.Conv1d(channels, channels, 5, padding=2)
        self.third = nn.Conv1d(channels, channels, 5, padding=2)
        self.out = nn.Linear(2 * channels, 1)
        for layer in (self.first, self.second, self.third, self.out):
            fan_in = layer.weight[0].numel()
            nn.init.normal_(layer.weight, std=(2 / fan_in) ** 0.5, generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, codes: Tensor) -> Tensor:
        """Return logits ``(batch,)`` of codes ``(batch, length)``."""
        x = (
            functional.one_hot(codes, N_BASES + 1)[:, :, :N_BASES]
            .float()
            .transpose(1, 2)
        )
        x = functional.max_pool1d(functional.gelu(self.first(x)), 2)
        x = functional.gelu(self.second(x))
        x = x + functional.gelu(self.third(x))
        logits: Tensor = self.out(torch.cat([x.mean(-1), x.amax(-1)], dim=1))
        return logits.squeeze(1)


class LowerLayers:
    """The first n layers of a language model, which stay as they are.

    Each sequence is read once, and what they make of it is kept in memory: 4 bytes a
    base and unit of width in bfloat16, for both strands.
    """

    def __init__(self, network: LanguageNetwork, n: int) -> None:
        self.network, self.n = network.eval(), n
        self.known: dict[bytes, Tensor] = {}

    def __call__(self, codes: Tensor) -> Tensor:
        """Return ``LanguageNetwork.lower`` of codes ``(batch, length)``."""
        # The opposite strand's reading holds the same two rows, the other way round.
        turned = torch.where(codes < N_BASES, 3 - codes, codes).flip(1)
        keys = [row.tobytes() for row in codes.cpu().numpy()]
        others = [row.tobytes() for row in turned.cpu().numpy()]
        unread = [
            i
            for i, (key, other) in enumerate(zip(keys, others, strict=True))
            if key not in self.known and other not in self.known
        ]
        # What is kept may be trained on later, so it must be no inference tensor.
        with torch.inference_mode(mode=False), torch.no_grad():
            for at in range(0, len(unread), READ_BATCH):
                rows = unread[at : at + READ_BATCH]
                with precision(self.network, codes):
                    one, two = self.network.lower(codes[rows], self.n).chunk(2)
                for i, each in zip(rows, torch.stack([one, two], dim=1), strict=True):
                    self.known[keys[i]] = each.clone()
        pairs = [
            self.known[key] if key in self.known else self.known[other].flip(0)
            for key, other in zip(keys, others, strict=True)
        ]
        return torch.stack(pairs, dim=1).flatten(0, 1)


class LanguageClassifier(nn.Module):
    """A language model's hidden layer, its mean and largest value, one logit.

    Parameters
    ----------
    network
        Trained further with the rest; give a copy to keep the original.
    lower
        The same network's first layers, where these are not trained.
    """

    def __init__(
        self, network: LanguageNetwork, lower: LowerLayers | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self._lower = lower
        if lower is not None:
            network.words.requires_grad_(requires_grad=False)
            for layer in list(network.layers)[: lower.n]:
                layer.requires_grad_(requires_grad=False)
        # Pretrained features are of any size; the head's learning rate is of one.
        self.norm = nn.LayerNorm(2 * network.config.head)
        self.out = nn.Linear(2 * network.config.head, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Return logits ``(batch,)`` of codes ``(batch, length)``."""
        features = pooled(self.network, codes, self._lower)
        logits: Tensor = self.out(self.norm(features))
        return logits.squeeze(1)


def precision(network: LanguageNetwork, codes: Tensor) -> torch.autocast:
    """Return the context a network is read in: bfloat16 where its stream is."""
    return torch.autocast(
        codes.device.type, torch.bfloat16, enabled=network.stream_dtype is torch.bfloat16
    )  # fmt: skip


def pooled(
    network: LanguageNetwork, codes: Tensor, lower: LowerLayers | None = None
) -> Tensor:
    """Return mean and largest value of the hidden layer over known bases."""
    with precision(network, codes):
        if lower is None:
            one, two = network.hidden(codes)
        else:
            one, two = network.hidden_of(*network.upper(lower(codes), lower.n))
    hidden = (one.float() + two.float()) / 2
    known = (codes < N_BASES).unsqueeze(-1)
    mean = (hidden * known).sum(1) / known.sum(1).clamp(min=1)
    largest = hidden.masked_fill(~known, -torch.inf).amax(1)
    return torch.cat([mean, largest.nan_to_num(neginf=0.0)], dim=1)


def language_features(
    network: LanguageNetwork, *, device: str = "cpu", batch: int = READ_BATCH
) -> Features:
    """Return ``pooled`` as features for ``fit_ridge``: the language model stays as it is."""

    def features(codes: Codes) -> NDArray[np.float64]:
        network.eval().to(device)
        with torch.inference_mode():
            parts = [
                pooled(network, _tensor(codes[at : at + batch], device)).cpu()
                for at in range(0, len(codes), batch)
            ]
        return torch.cat(parts).double().numpy()

    return features


def _tensor(codes: Codes, device: str) -> Tensor:
    return torch.from_numpy(codes.astype(np.int64)).to(device)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network is trained.

    Parameters
    ----------
    rate
        Largest learning rate of one cycle over all epochs.
    body_rate
        The same for a language model's own weights.
    """

    epochs: int = 10
    batch: int = 128
    rate: float = 2e-3
    body_rate: float = 5e-4
    weight_decay: float = 0.02


def fit_network(
    model: nn.Module,
    task: Task,
    generator: torch.Generator,
    schedule: Schedule,
    *,
    device: str = "cpu",
    on_epoch: Callable[[int, float], None] = lambda _epoch, _mcc: None,
) -> Predictor:
    """Train by cross entropy; the epoch with the best MCC on dev is kept.

    Where the strand does not matter every other sequence is turned at random, and both
    strands are read for a prediction.
    """
    model.to(device)
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    own = [p for n, p in trained if not n.startswith("network.")]
    body = [p for n, p in trained if n.startswith("network.")]
    groups = [{"params": own, "lr": schedule.rate}]
    if body:
        groups.append({"params": body, "lr": schedule.body_rate})
    optimiser = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay)
    n = len(task.train)
    steps = -(-n // schedule.batch)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=[group["lr"] for group in optimiser.param_groups],
        total_steps=steps * schedule.epochs,
    )
    codes = task.train.codes
    turned = reverse_complement(codes)
    labels = torch.from_numpy(task.train.labels.astype(np.float32))

    def predict(asked: Codes) -> Scores:
        model.eval()
        strands = [asked, reverse_complement(asked)] if task.both_strands else [asked]
        with torch.inference_mode():
            logits = [
                torch.cat([
                    model(_tensor(strand[at : at + 512], device)).float().cpu()
                    for at in range(0, len(strand), 512)
                ])
                for strand in strands
            ]  # fmt: skip
        scores: Scores = torch.stack(logits).mean(0).double().numpy()
        return scores

    best, kept = -np.inf, {k: v.clone() for k, v in model.state_dict().items()}
    for epoch in range(schedule.epochs):
        model.train()
        order = torch.randperm(n, generator=generator).numpy()
        flips = torch.rand(n, generator=generator).numpy() < 0.5
        for start in range(0, n, schedule.batch):
            rows = order[start : start + schedule.batch]
            read = codes[rows]
            if task.both_strands:
                read = np.where(flips[rows, None], turned[rows], read)
            loss = functional.binary_cross_entropy_with_logits(
                model(_tensor(read, device)), labels[rows].to(device)
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            cycle.step()
        reached = matthews(task.dev.labels, predict(task.dev.codes))
        on_epoch(epoch + 1, reached)
        if reached > best:
            best, kept = reached, {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(kept)
    return predict
