"""A corpus on disk with all that a run needs beside it, so that any machine can train.

One ``corpus.npz``: the corpus, the validation contigs, and the names of what was held
out. A cluster node needs this file and a configuration, no workspace.
"""

import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data_registry.errors import MalformedFileError
from encoders.corpus import Account, Corpus

MATERIAL_FILE = "corpus.npz"


@dataclass(frozen=True, slots=True)
class Material:
    """What a run learns from, and what it is watched on.

    Parameters
    ----------
    assembly
        Name of the reference.
    held_out, validation
        Its contigs that the corpus shares nothing with: for testing, for early stopping.
    corpus
        The sequence to learn from.
    watched
        ``(bases,)`` nucleotide codes of the validation contigs, end to end.
    """

    assembly: str
    held_out: tuple[str, ...]
    validation: tuple[str, ...]
    corpus: Corpus
    watched: NDArray[np.uint8]

    def write(self, path: Path, key: str) -> None:
        """Write the file, whole or not at all; ``key`` says what it was made from."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}")
        with beside.open("wb") as file:
            np.savez_compressed(
                file, key=key, assembly=self.assembly, held_out=list(self.held_out),
                validation=list(self.validation), watched=self.watched,
                codes=self.corpus.codes, weights=self.corpus.weights,
                starts=self.corpus.starts,
                assemblies=[account.assembly for account in self.corpus.accounts],
                counts=[list(asdict(a).values())[1:] for a in self.corpus.accounts],
            )  # fmt: skip
        beside.rename(path)

    @classmethod
    def read(cls, path: Path) -> tuple[Self, str]:
        """Return what ``write`` wrote, and its key.

        Raises
        ------
        MalformedFileError
            It is no such file.
        """
        try:
            with np.load(path) as kept:
                rows = zip(
                    kept["assemblies"].tolist(), kept["counts"].tolist(), strict=True
                )
                corpus = Corpus(
                    kept["codes"], kept["weights"], kept["starts"],
                    tuple(Account(name, *counts) for name, counts in rows),
                )  # fmt: skip
                material = cls(
                    str(kept["assembly"]), tuple(kept["held_out"].tolist()),
                    tuple(kept["validation"].tolist()), corpus, kept["watched"],
                )  # fmt: skip
                return material, str(kept["key"])
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise MalformedFileError(
                path,
                f"not a corpus: {error}",
                remedy="Give a corpus.npz that encoders.pretrain wrote.",
            ) from error
