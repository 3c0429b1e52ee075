"""Choosing a vocabulary by predicting the k-mer that follows a run of tokens.

After GROVER (Sanabria et al. 2024, Nature Machine Intelligence 6:911): a chunk of up to
510 tokens is read, and the next k bases, k = 2 to 6, are to be told. What is compared is
the tokenizer, so each gets the same cheap model and the same places in the genome.

The chunk is cut at a random base and only then made into tokens. Where instead a long
sequence is cut into tokens first and the question asked at the end of one of them, the
answer is partly given away: that a byte-pair token ends there says which bases cannot
follow. A score got that way grows with the vocabulary for no good reason.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from data_registry.errors import InputError
from encoders.nucleotides import N_BASES
from encoders.tokenizers import Codes, Tokenizer

CHUNK_TOKENS = 510
KS = (2, 3, 4, 5, 6)
_LONGEST = max(KS)
RATE = 2e-3
"""Largest learning rate of the network."""

_RECENT = 12
_PAD = -1
_MIN_SEEN = 8
"""Times a context of the count model must have been seen to be believed."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where to ask: the base after which k bases are to be told.

    Parameters
    ----------
    contig
        Number of the contig of each place.
    cut
        0-based first base to be told.
    share
        How much of the chunk is read, 0 to 1.
    """

    contig: NDArray[np.int64]
    cut: NDArray[np.int64]
    share: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cut)


@dataclass(frozen=True, slots=True)
class Questions:
    """Tokens read and k-mers to tell.

    Parameters
    ----------
    tokens
        ``(n, CHUNK_TOKENS)`` int16, right-aligned, -1 before the first.
    answers
        k to ``(n,)`` numbers of k-mers, base 4.
    """

    tokens: NDArray[np.int16]
    answers: dict[int, NDArray[np.int64]]


def draw_places(
    contigs: Sequence[Codes], n: int, rng: np.random.Generator, *, room_bp: int
) -> Places:
    """Draw places with ``room_bp`` bases before and six known bases after them.

    Raises
    ------
    InputError
        No contig is that long.
    """
    rooms = np.array([max(0, len(c) - room_bp - _LONGEST + 1) for c in contigs])
    if not rooms.sum():
        raise InputError(
            f"no sequence of {room_bp + _LONGEST:,} bp to ask for next k-mers in; "
            "give a larger genome"
        )
    ends = np.cumsum(rooms)
    chosen: list[int] = []
    for _ in range(100):
        drawn = rng.integers(0, ends[-1], n)
        numbers = np.searchsorted(ends, drawn, side="right")
        cuts = drawn - (ends - rooms)[numbers] + room_bp
        for number, cut, place in zip(numbers, cuts, drawn, strict=True):
            if (contigs[number][cut : cut + _LONGEST] < N_BASES).all():
                chosen.append(int(place))
        if len(chosen) >= n:
            break
    else:
        raise InputError("fewer than one place in a hundred is followed by known bases")
    places = np.array(chosen[:n])
    numbers = np.searchsorted(ends, places, side="right")
    cuts = places - (ends - rooms)[numbers] + room_bp
    return Places(numbers, cuts, rng.uniform(0.0, 1.0, n))


def bases_per_token(tokenizer: Tokenizer, contigs: Sequence[Codes]) -> float:
    """Return the mean length of a token, in bp, in the first 200 kb of each contig."""
    parts = [contig[:200_000] for contig in contigs]
    return sum(map(len, parts)) / sum(len(tokenizer.encode(part)) for part in parts)


def ask(tokenizer: Tokenizer, contigs: Sequence[Codes], places: Places) -> Questions:
    """Make the tokens before each place and the k-mers after it.

    A place with share s reads ``ceil(510 s)`` tokens of mean length; k-mers are laid so
    that the last of them ends at the place.
    """
    mean = bases_per_token(tokenizer, contigs)
    step = tokenizer.step_bp
    tokens = np.full((len(places), CHUNK_TOKENS), _PAD, np.int16)
    following = np.empty((len(places), _LONGEST), np.int64)
    for i, (number, cut, share) in enumerate(
        zip(places.contig, places.cut, places.share, strict=True)
    ):
        n_bases = math.ceil(math.ceil(CHUNK_TOKENS * share) * mean / step) * step
        contig = contigs[number]
        read = tokenizer.encode(contig[max(cut - n_bases, 0) : cut])[-CHUNK_TOKENS:]
        tokens[i, CHUNK_TOKENS - len(read) :] = read
        following[i] = contig[cut : cut + _LONGEST]
    powers = N_BASES ** np.arange(_LONGEST - 1, -1, -1)
    whole = (following * powers).sum(axis=1)
    answers = {k: whole // N_BASES ** (_LONGEST - k) for k in KS}
    return Questions(tokens, answers)


class Accuracy(TypedDict):
    """Shares of right answers for one k; see ``evaluate``."""

    chance: float
    commonest: float
    counts: float
    network: float
    standard_error: float
    bits_per_base: float


class Result(TypedDict):
    """What ``evaluate`` found; ``by_k`` by the text of k, as JSON keeps it."""

    tokenizer: str
    tokens: int
    bases_per_token: float
    by_k: dict[str, Accuracy]


class NextKmer(nn.Module):
    """The last tokens in order and all tokens as a bag, to logits for every k.

    The weights of a k-mer are its own plus those of the shorter k-mers it begins with,
    so that what is learnt of ``AC`` serves ``ACGT``.

    Parameters
    ----------
    n_tokens
        Size of the vocabulary.
    answers
        k to the k-mers of the learning places: their frequencies are the first guess.
    """

    def __init__(
        self,
        n_tokens: int,
        answers: Mapping[int, NDArray[np.int64]],
        generator: torch.Generator,
        width: int = 32,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.recent = nn.Embedding(n_tokens + 1, width, padding_idx=0)
        self.bag = nn.EmbeddingBag(n_tokens + 1, width, mode="mean", padding_idx=0)
        self.body = nn.Sequential(
            nn.Linear((_RECENT + 1) * width, hidden), nn.GELU(),
            nn.Linear(hidden, hidden), nn.GELU(),
        )  # fmt: skip
        for weights in self.parameters():
            if weights.dim() > 1:
                spread = weights.shape[-1] ** -0.5
                nn.init.normal_(weights, std=spread, generator=generator)
            else:
                nn.init.zeros_(weights)
        self.heads = nn.ParameterList(torch.zeros(N_BASES**k, hidden) for k in KS)
        self.biases = nn.ParameterList(
            torch.from_numpy(_log_frequencies(answers[k], k)) for k in KS
        )

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Return logits ``(batch, 4**k)`` for each k of ``KS``.

        Parameters
        ----------
        tokens
            ``(batch, CHUNK_TOKENS)`` int64, -1 before the first token.
        """
        numbers = tokens + 1
        recent = self.recent(numbers[:, -_RECENT:]).flatten(1)
        hidden = self.body(torch.cat([recent, self.bag(numbers)], dim=1))
        logits: list[Tensor] = []
        context = torch.zeros(())
        for head, bias in zip(self.heads, self.biases, strict=True):
            if logits:
                context = context.repeat_interleave(N_BASES, dim=1)
            context = context + hidden @ head.T
            logits.append(context + bias)
        return logits


def _log_frequencies(answers: NDArray[np.int64], k: int) -> NDArray[np.float32]:
    counts = np.bincount(answers, minlength=N_BASES**k) + 0.5
    frequencies: NDArray[np.float32] = np.log(counts / counts.sum()).astype(np.float32)
    return frequencies


def train_model(
    n_tokens: int,
    questions: Questions,
    generator: torch.Generator,
    *,
    epochs: int,
    batch: int = 256,
    on_epoch: Callable[[int], None] = lambda _: None,
) -> NextKmer:
    """Fit ``NextKmer`` to all k at once: cross entropy, AdamW, one learning-rate cycle."""
    model = NextKmer(n_tokens, questions.answers, generator)
    n = len(questions.tokens)
    steps = epochs * -(-n // batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=RATE, total_steps=steps
    )
    tokens = torch.from_numpy(questions.tokens)
    answers = [torch.from_numpy(questions.answers[k]) for k in KS]
    for epoch in range(epochs):
        order = torch.randperm(n, generator=generator)
        for start in range(0, n, batch):
            rows = order[start : start + batch]
            logits = model(tokens[rows].long())
            loss = sum(
                (
                    functional.cross_entropy(out, answer[rows]) / k
                    for out, answer, k in zip(logits, answers, KS, strict=True)
                ),
                start=torch.zeros(()),
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        on_epoch(epoch + 1)
    return model.eval()


def predict(model: NextKmer, questions: Questions) -> dict[int, NDArray[np.float32]]:
    """Return log probabilities ``(n, 4**k)``, natural log, for each k."""
    tokens = torch.from_numpy(questions.tokens)
    with torch.inference_mode():
        parts = [
            [out.log_softmax(-1) for out in model(tokens[start : start + 1024].long())]
            for start in range(0, len(tokens), 1024)
        ]
    joined = (torch.cat(outs).numpy() for outs in zip(*parts, strict=True))
    return dict(zip(KS, joined, strict=True))


def count_predictions(
    learn: Questions, test: Questions, k: int, *, longest: int = 3
) -> NDArray[np.int64]:
    """Tell the k-mer most often seen after the last tokens, a model of counts alone.

    The longest run of at most ``longest`` tokens that was seen eight times decides;
    failing all, the commonest k-mer of all.
    """
    answers = learn.answers[k]
    told = np.full(len(test.tokens), np.bincount(answers).argmax())
    for n in range(1, longest + 1):
        seen = learn.tokens[:, -n:]
        unique, inverse = np.unique(seen, axis=0, return_inverse=True)
        order = np.lexsort((answers, inverse.ravel()))
        best = _commonest(inverse.ravel()[order], answers[order], len(unique))
        index = {row.tobytes(): i for i, row in enumerate(unique)}
        for i, row in enumerate(np.ascontiguousarray(test.tokens[:, -n:])):
            at = index.get(row.tobytes())
            if at is not None and best[at] >= 0:
                told[i] = best[at]
    return told


def _commonest(
    group: NDArray[np.int64], answer: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    """Return each group's commonest answer, -1 for groups too small to be believed."""
    pairs, counts = np.unique(np.stack([group, answer], 1), axis=0, return_counts=True)
    order = np.lexsort((-pairs[:, 1], counts))
    best = np.full(n_groups, -1)
    best[pairs[order, 0]] = pairs[order, 1]
    best[np.bincount(group, minlength=n_groups) < _MIN_SEEN] = -1
    return best


def evaluate(
    tokenizer: Tokenizer,
    learn_on: Sequence[Codes],
    test_on: Sequence[Codes],
    learn_places: Places,
    test_places: Places,
    *,
    seed: int,
    epochs: int,
) -> Result:
    """Return the accuracy of next-k-mer prediction with one tokenizer.

    Returns
    -------
    Result
        ``tokens`` (size of the vocabulary), ``bases_per_token``, and for each k ``chance``
        (4**-k), ``commonest`` (always telling the commonest k-mer of the learning
        sequence), ``counts`` (``count_predictions``) and ``network`` (``NextKmer``):
        accuracy on the test places; ``standard_error`` of the network's, and its
        ``bits_per_base`` (cross entropy over k).
    """
    learn = ask(tokenizer, learn_on, learn_places)
    test = ask(tokenizer, test_on, test_places)
    n_tokens = len(tokenizer.vocabulary)
    generator = torch.Generator().manual_seed(seed)
    model = train_model(n_tokens, learn, generator, epochs=epochs)
    found = predict(model, test)
    by_k: dict[str, Accuracy] = {}
    for k in KS:
        truth = test.answers[k]
        is_right = found[k].argmax(axis=1) == truth
        nats = -found[k][np.arange(len(truth)), truth].mean()
        by_k[str(k)] = {
            "chance": N_BASES**-k,
            "commonest": float(
                (truth == np.bincount(learn.answers[k]).argmax()).mean()
            ),
            "counts": float((count_predictions(learn, test, k) == truth).mean()),
            "network": float(is_right.mean()),
            "standard_error": float(is_right.std() / len(truth) ** 0.5),
            "bits_per_base": float(nats / np.log(2) / k),
        }
    return {
        "tokenizer": tokenizer.name,
        "tokens": n_tokens,
        "bases_per_token": bases_per_token(tokenizer, learn_on),
        "by_k": by_k,
    }


def compare(
    tokenizers: Sequence[Tokenizer],
    learn_on: Sequence[Codes],
    test_on: Sequence[Codes],
    *,
    n_learn: int,
    n_test: int,
    seed: int,
    epochs: int,
    done: Path,
    on_tokenizer: Callable[[int, str], None] = lambda _n, _name: None,
) -> list[Result]:
    """Evaluate tokenizers at the same places; what ``done`` holds is not done again.

    Parameters
    ----------
    n_learn, n_test
        Places to learn from and to test at.
    done
        JSON file of finished results, added to after each tokenizer.
    on_tokenizer
        Called with how many are done and the name of the next.
    """
    room = max(CHUNK_TOKENS * math.ceil(bases_per_token(t, learn_on)) + t.step_bp
               for t in tokenizers)  # fmt: skip
    rng = np.random.default_rng(seed)
    learn_places = draw_places(learn_on, n_learn, rng, room_bp=room)
    test_places = draw_places(test_on, n_test, rng, room_bp=room)
    asked = hashlib.sha256(f"{seed} {epochs} {room} {n_learn} {n_test}".encode())
    for contig in (*learn_on, *test_on):
        asked.update(contig.tobytes())
    finished: dict[str, Result] = {}
    if done.is_file():
        finished = json.loads(done.read_text(encoding="utf-8"))
    results = []
    for n, tokenizer in enumerate(tokenizers):
        on_tokenizer(n, tokenizer.name)
        own = asked.copy()
        own.update(" ".join(tokenizer.vocabulary).encode())
        key = own.hexdigest()
        if key not in finished:
            finished[key] = evaluate(
                tokenizer, learn_on, test_on, learn_places, test_places,
                seed=seed, epochs=epochs,
            )  # fmt: skip
            beside = done.with_name(done.name + ".part")
            beside.write_text(json.dumps(finished, indent=1) + "\n", encoding="utf-8")
            beside.replace(done)
        results.append(finished[key])
    return results


def choose(results: Sequence[Result]) -> str:
    """Return the tokenizer whose network has the best accuracy, in ranks over all k.

    Accuracies of different k are on different scales, so ranks are averaged; of equals
    the smaller vocabulary is taken.
    """
    accuracy = np.array([[r["by_k"][str(k)]["network"] for k in KS] for r in results])
    ranks = (-accuracy).argsort(axis=0).argsort(axis=0).mean(axis=1)
    sizes = [r["tokens"] for r in results]
    best = min(range(len(results)), key=lambda i: (ranks[i], sizes[i]))
    return results[best]["tokenizer"]
