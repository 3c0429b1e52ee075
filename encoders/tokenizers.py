"""Cutting nucleotides into tokens: single bases, k-mers, and byte-pair encoding.

Every tokenizer maps codes (``encoders.nucleotides``) to token numbers and back without
loss: ``decode(t, t.encode(codes))`` is ``codes``. Numbers 0 to 4 are A, C, G, T and N
in each of them, so nothing is ever out of vocabulary.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data_registry.errors import MalformedFileError, MissingOptionalError
from encoders import nucleotides
from encoders.nucleotides import ALPHABET, N_BASES

Codes = NDArray[np.uint8]
Tokens = NDArray[np.int32]

MAX_MERGES = 600
"""Merge cycles of the largest vocabulary (as GROVER, Sanabria et al. 2024)."""

TRAINING_CHUNK_BP = 512
_NEVER = np.iinfo(np.int32).max


class Tokenizer(Protocol):
    """Cuts a sequence into tokens."""

    @property
    def name(self) -> str:
        """Short and stable, e.g. ``"bpe600"``."""
        ...

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The letters of each token number; the first five are A, C, G, T, N."""
        ...

    @property
    def step_bp(self) -> int:
        """A sequence of a multiple of this many bases leaves none over at its end."""
        ...

    def encode(self, codes: Codes) -> Tokens:
        """Return the tokens of a sequence of codes of any length, left to right."""
        ...


def decode(tokenizer: Tokenizer, tokens: Tokens) -> Codes:
    """Return the codes that tokens stand for."""
    letters = tokenizer.vocabulary
    return nucleotides.encode("".join(letters[token] for token in tokens))


def token_lengths(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Return the bases of each token of the vocabulary."""
    return np.array([len(letters) for letters in tokenizer.vocabulary])


@dataclass(frozen=True, slots=True)
class CharacterTokenizer:
    """One token a base."""

    name: str = "character"
    vocabulary: tuple[str, ...] = tuple(ALPHABET)
    step_bp: int = 1

    def encode(self, codes: Codes) -> Tokens:
        """Return the codes themselves."""
        return codes.astype(np.int32)


@dataclass(frozen=True, slots=True)
class KmerTokenizer:
    """Words of k bases side by side, from the sequence's first base.

    A word with an unknown base, and the bases left over at the end, are written as
    single bases.

    Parameters
    ----------
    k
        Bases of a word, 2 to 8.
    """

    k: int

    @property
    def name(self) -> str:
        """``3mer`` and so on."""
        return f"{self.k}mer"

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Single bases, then all words in alphabetic order."""
        words = ("".join(word) for word in product("ACGT", repeat=self.k))
        return (*ALPHABET, *words)

    @property
    def step_bp(self) -> int:
        """``k``."""
        return self.k

    def encode(self, codes: Codes) -> Tokens:
        """Return the words of a sequence."""
        n_words = len(codes) // self.k
        words = codes[: n_words * self.k].reshape(n_words, self.k).astype(np.int32)
        powers = N_BASES ** np.arange(self.k - 1, -1, -1)
        known = (words < N_BASES).all(axis=1)
        numbers = len(ALPHABET) + (words * powers).sum(axis=1)
        # Each word takes one place, or k where it is spelled out.
        takes = np.where(known, 1, self.k)
        spelled = np.repeat(~known, takes)
        out = np.repeat(numbers, takes)
        out[spelled] = words[~known].ravel()
        rest = codes[n_words * self.k :]
        return np.concatenate([out, rest]).astype(np.int32)


@dataclass(frozen=True, slots=True)
class BpeTokenizer:
    """Byte-pair encoding: pairs of tokens merged in the order they were learnt.

    Of the merges that a sequence allows the earliest learnt is made first, wherever it
    stands, left before right (Sennrich et al. 2016). Two merges that spell the same word
    make the same token.

    Parameters
    ----------
    merges
        Pairs of token numbers, in the order learnt.
    """

    merges: tuple[tuple[int, int], ...]
    vocabulary: tuple[str, ...] = field(init=False)
    _rank: NDArray[np.int32] = field(init=False, repr=False, compare=False)
    _makes: NDArray[np.int32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        words = list(ALPHABET)
        number = {letter: i for i, letter in enumerate(words)}
        rank = np.full((len(words) + len(self.merges),) * 2, _NEVER, np.int32)
        makes = np.zeros(len(self.merges), np.int32)
        for i, (left, right) in enumerate(self.merges):
            word = words[left] + words[right]
            if word not in number:
                number[word] = len(words)
                words.append(word)
            rank[left, right] = i
            makes[i] = number[word]
        object.__setattr__(self, "vocabulary", tuple(words))
        object.__setattr__(self, "_rank", rank)
        object.__setattr__(self, "_makes", makes)

    @property
    def name(self) -> str:
        """``bpe600`` for 600 merges."""
        return f"bpe{len(self.merges)}"

    @property
    def step_bp(self) -> int:
        """1: every base is a token, if no merge takes it."""
        return 1

    def first(self, n_merges: int) -> "BpeTokenizer":
        """Return the tokenizer that learning would have given after ``n_merges``."""
        return BpeTokenizer(self.merges[:n_merges])

    def encode(self, codes: Codes) -> Tokens:
        """Return the tokens of a sequence."""
        tokens: Tokens = _merge(codes.astype(np.int32), self._rank, self._makes)
        return tokens

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json`` as the ``tokenizers`` library reads it."""
        letters = self.vocabulary
        model = {
            "type": "BPE", "dropout": None, "unk_token": None,
            "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {word: number for number, word in enumerate(letters)},
            "merges": [[letters[left], letters[right]] for left, right in self.merges],
        }  # fmt: skip
        whole: dict[str, Any] = {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None,
            "decoder": {"type": "Fuse"}, "model": model,
        }  # fmt: skip
        beside = path.with_name(path.name + ".part")
        beside.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> "BpeTokenizer":
        """Read a ``tokenizer.json``.

        Raises
        ------
        MalformedFileError
            It is no byte-pair encoding over A, C, G, T, N.
        """
        try:
            model = json.loads(path.read_text(encoding="utf-8"))["model"]
            return cls.from_words([(a, b) for a, b in model["merges"]])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise MalformedFileError(
                path,
                f"no byte-pair encoding of nucleotides ({error})",
                remedy="Make one with 'python -m encoders.tokenize'",
            ) from error

    @classmethod
    def from_words(cls, merges: Iterable[tuple[str, str]]) -> "BpeTokenizer":
        """Make the tokenizer of merges given as words.

        Raises
        ------
        ValueError
            A merge uses a word that no merge before it makes.
        """
        number = {letter: i for i, letter in enumerate(ALPHABET)}
        pairs = []
        for left, right in merges:
            if unknown := {left, right} - number.keys():
                raise ValueError(
                    f"no merge makes {sorted(unknown)[0]!r} before its use"
                )
            pairs.append((number[left], number[right]))
            number.setdefault(left + right, len(number))
        return cls(tuple(pairs))


@njit(cache=True)
def _merge(tokens: Any, rank: Any, makes: Any) -> Any:  # noqa: ANN401
    """Merge in place, earliest rank first; each pass also finds the next rank."""
    n = len(tokens)
    best = _NEVER
    for i in range(n - 1):
        best = min(best, rank[tokens[i], tokens[i + 1]])
    while best != _NEVER:
        following = _NEVER
        i = j = 0
        while i < n:
            if i + 1 < n and rank[tokens[i], tokens[i + 1]] == best:
                tokens[j] = makes[best]
                i += 2
            else:
                tokens[j] = tokens[i]
                i += 1
            if j > 0:
                following = min(following, rank[tokens[j - 1], tokens[j]])
            j += 1
        n, best = j, following
    return tokens[:n].copy()


def train_bpe(
    contigs: Sequence[Codes], n_merges: int = MAX_MERGES, *,
    chunk_bp: int = TRAINING_CHUNK_BP,
) -> BpeTokenizer:  # fmt: skip
    """Learn merges from chunks of sequence; unknown bases are left out.

    Parameters
    ----------
    contigs
        Codes of the sequences to learn from.
    n_merges
        Merge cycles; fewer are learnt where nothing is left to merge.
    chunk_bp
        Bases of a chunk; no pair is counted across chunks.

    Raises
    ------
    MissingOptionalError
        The ``tokenizers`` library is not installed.
    """
    try:
        from tokenizers import Tokenizer as Trained
        from tokenizers import models, trainers
    except ModuleNotFoundError as error:
        raise MissingOptionalError(
            "learning a byte-pair encoding needs the 'tokenizers' package: "
            "pip install 'cisgraph[models]'"
        ) from error
    chunks = [
        run[start : start + chunk_bp]
        for codes in contigs
        for run in nucleotides.decode(codes).split("N")
        for start in range(0, len(run), chunk_bp)
    ]
    trained = Trained(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=N_BASES + n_merges,
        initial_alphabet=list("ACGT"),
        special_tokens=[],
        show_progress=False,
    )
    trained.train_from_iterator(chunks, trainer)
    merges = json.loads(trained.to_str())["model"]["merges"]
    return BpeTokenizer.from_words([(left, right) for left, right in merges])
