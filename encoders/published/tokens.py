"""How a model's tokens stand for bases, and what must be asked to learn one base.

For every kind of token the question is the same. Let ``S`` be the shortest stretch around
a base outside of which the tokens do not depend on that base. Hide the tokens of ``S``,
and let ``p(S with b)`` be the product of the probabilities of the tokens that spell ``S``
with base ``b``. By Bayes' rule, with all other bases known,

    p(b | all others) = p(S with b) / sum over c of p(S with c).

* characters: ``S`` is the base itself;
* non-overlapping k-mers: ``S`` is one k-mer, put so that the base is in its middle; the
  four k-mers that differ at the base alone are compared (the ratio of two of them is the
  token-level likelihood ratio of the Nucleotide Transformer paper). Unknown neighbours
  are summed over;
* words (BPE): the four sequences are cut into words by the tokenizer itself. ``S`` is
  what differs, often several words, whose count may differ by base; they are hidden
  together and taken as independent given the rest.
"""

import itertools
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from data_registry.errors import InputError
from encoders.nucleotides import N_BASES, UNKNOWN, decode
from encoders.published.folder import special_ids

Codes = NDArray[np.uint8]
Neighbours = Literal["known", "hidden"]
"""Whether the other bases of the base's own k-mer are given or summed over."""
_MARKS = ("##", "▁", "Ġ")
"""What tokenizers put before a word that goes on, or begins."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One hidden input, and the tokens that spell one base there.

    Parameters
    ----------
    ids
        The whole input, special and mask tokens too.
    spelled
        ``(position in ids, tokens any of which will do)`` of every hidden token.
    """

    ids: tuple[int, ...]
    spelled: tuple[tuple[int, tuple[int, ...]], ...]


class Tokens(Protocol):
    """A vocabulary of one kind."""

    @property
    def kind(self) -> str:
        """Its name: character, k-mer or word (BPE)."""
        ...

    @property
    def prefix(self) -> tuple[int, ...]:
        """Tokens before every input."""
        ...

    @property
    def suffix(self) -> tuple[int, ...]:
        """Tokens behind every input."""
        ...

    def cut(self, codes: Codes) -> tuple[list[int], list[int]]:
        """Return tokens without special ones, and the bases each stands for."""
        ...

    def readings(self, codes: Codes, site: int) -> tuple[Reading, ...]:
        """Return what to ask for A, C, G and T at a site."""
        ...

    def replacements(self, codes: Codes) -> NDArray[np.int64]:
        """Return the token over each base with A, C, G or T there, ``(length, 4)``.

        Raises
        ------
        InputError
            One base changes more than one token.
        """
        ...


@dataclass(frozen=True, slots=True)
class Characters:
    """A token a base.

    Parameters
    ----------
    letters
        Of A, C, G, T and any other base.
    mask
        ``None`` for causal models.
    """

    letters: tuple[int, int, int, int, int]
    mask: int | None
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    kind: str = "character"

    def cut(self, codes: Codes) -> tuple[list[int], list[int]]:
        """See ``Tokens``."""
        return np.array(self.letters)[codes].tolist(), [1] * len(codes)

    def readings(self, codes: Codes, site: int) -> tuple[Reading, ...]:
        """See ``Tokens``."""
        ids, _ = self.cut(codes)
        ids[site] = _required(self.mask)
        at = len(self.prefix) + site
        whole = (*self.prefix, *ids, *self.suffix)
        return tuple(
            Reading(whole, ((at, (letter,)),)) for letter in self.letters[:N_BASES]
        )

    def replacements(self, codes: Codes) -> NDArray[np.int64]:
        """See ``Tokens``."""
        return np.tile(np.array(self.letters[:N_BASES]), (len(codes), 1))


@dataclass(frozen=True, slots=True, eq=False)
class Kmers:
    """Non-overlapping k-mers, cut from the left; the longest word that fits is taken.

    So a base before an unknown one, or before the end, is a letter, and the next k-mer
    begins behind it.

    Parameters
    ----------
    words
        Token of each k-mer, shape ``(4,) * k``.
    """

    words: NDArray[np.int64]
    letters: tuple[int, int, int, int, int]
    mask: int | None
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    neighbours: Neighbours = "known"
    kind: str = "k-mer"

    @property
    def k(self) -> int:
        """Bases of a word."""
        return self.words.ndim

    def cut(self, codes: Codes, *, head: int = 0) -> tuple[list[int], list[int]]:
        """See ``Tokens``; the first ``head`` bases are written in letters."""
        ids = [self.letters[base] for base in codes[:head]]
        lengths = [1] * head
        start = head
        while start < len(codes):
            word = codes[start : start + self.k]
            if len(word) == self.k and (word < UNKNOWN).all():
                ids.append(int(self.words[tuple(word)]))
                lengths.append(self.k)
            else:
                ids.append(self.letters[word[0]])
                lengths.append(1)
            start += lengths[-1]
        return ids, lengths

    def readings(self, codes: Codes, site: int) -> tuple[Reading, ...]:
        """See ``Tokens``."""
        mask, n = _required(self.mask), len(codes)
        if n < self.k:
            ids = [self.letters[base] for base in codes]
            ids[site] = mask
            at = len(self.prefix) + site
            whole = (*self.prefix, *ids, *self.suffix)
            return tuple(
                Reading(whole, ((at, (letter,)),)) for letter in self.letters[:N_BASES]
            )
        start = min(max(site - self.k // 2, 0), n - self.k)
        left, _ = self.cut(codes[:start], head=start % self.k)
        right, _ = self.cut(codes[start + self.k :])
        whole = (*self.prefix, *left, mask, *right, *self.suffix)
        at = len(self.prefix) + len(left)
        hidden = self.neighbours == "hidden"
        pattern: list[int | slice] = [
            slice(None) if hidden or base == UNKNOWN else int(base)
            for base in codes[start : start + self.k]
        ]
        readings = []
        for base in range(N_BASES):
            pattern[site - start] = base
            spelled = np.atleast_1d(self.words[tuple(pattern)]).ravel()
            readings.append(Reading(whole, ((at, tuple(spelled.tolist())),)))
        return tuple(readings)

    def replacements(self, codes: Codes) -> NDArray[np.int64]:
        """See ``Tokens``."""
        _, lengths = self.cut(codes)
        out = np.empty((len(codes), N_BASES), np.int64)
        start = 0
        for length in lengths:
            word = codes[start : start + length]
            for place in range(length):
                for base in range(N_BASES):
                    spelled = (*word[:place], base, *word[place + 1 :])
                    out[start + place, base] = (
                        self.letters[base] if length == 1 else self.words[spelled]
                    )
            start += length
        return out


@dataclass(frozen=True, slots=True)
class Words:
    """Words of any length, cut by the tokenizer; unknown bases are tokens of their own."""

    tokenizer: PreTrainedTokenizerBase
    lengths: dict[int, int]
    """Bases of each word."""
    unknown: int
    mask: int | None
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    lower: bool
    kind: str = "word (BPE)"

    def cut(self, codes: Codes) -> tuple[list[int], list[int]]:
        """See ``Tokens``."""
        ids: list[int] = []
        lengths: list[int] = []
        for is_unknown, run in itertools.groupby(
            codes.tolist(), lambda c: c == UNKNOWN
        ):
            bases = np.array(list(run), np.uint8)
            if is_unknown:
                ids += [self.unknown] * len(bases)
                lengths += [1] * len(bases)
                continue
            text = decode(bases)
            found = self.tokenizer(
                text.lower() if self.lower else text, add_special_tokens=False
            )["input_ids"]
            known = [self.lengths.get(each, 0) for each in found]
            if sum(known) != len(bases):
                raise InputError(
                    f"the tokenizer reads {text[:20]}… as words of {sum(known)} bases, "
                    f"not {len(bases)}: it is not one for nucleotides"
                )
            ids += found
            lengths += known
        return ids, lengths

    def readings(self, codes: Codes, site: int) -> tuple[Reading, ...]:
        """See ``Tokens``."""
        mask = _required(self.mask)
        spelled = []
        for base in range(N_BASES):
            changed = codes.copy()
            changed[site] = base
            spelled.append(self.cut(changed)[0])
        same = _shared(spelled)
        behind = _shared([ids[same:][::-1] for ids in spelled])
        readings = []
        for ids in spelled:
            inner = ids[same : len(ids) - behind]
            whole = (
                *self.prefix, *ids[:same], *[mask] * len(inner),
                *ids[len(ids) - behind :], *self.suffix,
            )  # fmt: skip
            at = len(self.prefix) + same
            readings.append(
                Reading(whole, tuple((at + i, (each,)) for i, each in enumerate(inner)))
            )
        return tuple(readings)

    def replacements(self, codes: Codes) -> NDArray[np.int64]:
        """See ``Tokens``."""
        raise InputError(
            f"a base of {len(codes)} changes several words of a BPE model at once: one "
            "pass cannot score it; leave out --one-pass"
        )


def _shared(lists: list[list[int]]) -> int:
    """Return how many elements all lists begin with."""
    n = 0
    for column in zip(*lists, strict=False):
        if len(set(column)) > 1:
            break
        n += 1
    return n


def _required(mask: int | None) -> int:
    if mask is None:
        raise InputError("the tokenizer has no mask token, which a masked model needs")
    return mask


def read_tokens(
    tokenizer: PreTrainedTokenizerBase, *, neighbours: Neighbours = "known"
) -> Tokens:
    """Recognise the kind of a nucleotide tokenizer by its vocabulary.

    Raises
    ------
    InputError
        It is none of ours: not of nucleotides, or of overlapping k-mers.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    lower = "A" not in vocabulary and "a" in vocabulary
    alphabet = "acgt" if lower else "ACGT"
    special = set(tokenizer.all_special_ids)
    words: dict[int, str] = {}
    for token, number in vocabulary.items():
        word = token
        for mark in _MARKS:
            word = word.removeprefix(mark)
        if word and number not in special and set(word) <= set(alphabet):
            words[number] = word
    by_word = {token: number for token, number in vocabulary.items() if number in words}
    name = type(tokenizer).__name__
    if not words:
        raise InputError(f"{name} holds no words of A, C, G and T: not for nucleotides")
    longest = max(map(len, words.values()))
    single = [by_word.get(base) for base in alphabet]
    if None in single and not any(len(w) not in (1, longest) for w in words.values()):
        raise InputError(
            f"{name} holds {longest}-mers and no single letters: overlapping k-mers "
            "(as DNABERT 1 has them) leak each base to its neighbours and are not read"
        )
    mask = tokenizer.mask_token_id
    probe = alphabet[0] if single[0] is not None else min(by_word)
    prefix, suffix = special_ids(tokenizer, probe)
    other = vocabulary.get("n" if lower else "N", tokenizer.unk_token_id)
    if other is None:
        other = mask if mask is not None else tokenizer.pad_token_id
    if other is None:
        raise InputError(f"{name} has no token for an unknown base")
    if longest > 1 and sum(len(w) == longest for w in words.values()) != 4**longest:
        bases = {number: len(word) for number, word in words.items()}
        return Words(tokenizer, bases, other, mask, prefix, suffix, lower)
    a, c, g, t = (int(each) for each in single if each is not None)
    letters = (a, c, g, t, int(other))
    if longest == 1:
        return Characters(letters, mask, prefix, suffix)
    table = np.empty((N_BASES,) * longest, np.int64)
    for spelled in itertools.product(range(N_BASES), repeat=longest):
        table[spelled] = by_word["".join(alphabet[base] for base in spelled)]
    return Kmers(table, letters, mask, prefix, suffix, neighbours)
