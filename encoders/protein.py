"""Vectors of proteins (ESM, ProtBERT) and the proteins of a registry."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel

from data_registry.errors import InputError, MissingLayerError
from data_registry.store import Store
from data_registry.translation import (
    STANDARD_CODE,
    parse_codon_tables,
    spliced_cds,
    translate,
)
from encoders.cache import digest_of
from encoders.published.folder import (
    load_network,
    load_tokenizer,
    longest_input,
    read_folder,
    special_ids,
)

Floats = NDArray[np.float32]

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
WINDOW = 1_022
"""Residues read at once: what ESM was trained on."""
BATCH = 8
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Proteins:
    """Sequences by gene, and genes without one by reason."""

    sequences: dict[str, str]
    left_out: Counter[str]


def read_proteins(store: Store) -> Proteins:
    """Translate the canonical CDS of each gene, by its contig's genetic code.

    Raises
    ------
    MissingLayerError
        There is no genome or no annotation.
    """
    genome = store.genome()
    annotations = [s for s in store.sources() if s.kind == "annotation"]
    if not annotations:
        raise MissingLayerError(
            "no annotation is registered, so there are no proteins; add one: "
            "'cisgraph add GENES.gff3'"
        )
    codes: dict[str, int] = {}
    for source in annotations:
        given = parse_codon_tables(source.options.get("codon_tables", ""))
        own = store.contig_names().resolve(given)
        codes |= {own[name] or name: code for name, code in given.items()}
    rows = store.connection.execute(
        """
        SELECT g.gene_id, t.transcript_id, t.cds_valid, t.cds_problem, f.contig,
            f.strand, list([f.start, f."end"] ORDER BY f.start) AS parts
        FROM (SELECT DISTINCT gene_id FROM genes) g
        LEFT JOIN transcripts t ON t.gene_id = g.gene_id AND t.is_canonical
        LEFT JOIN features f ON f.transcript_id = t.transcript_id AND f.kind = 'cds'
        GROUP BY ALL ORDER BY g.gene_id, t.transcript_id
        """
    ).fetchall()
    sequences: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    for gene, transcript, valid, problem, contig, strand, parts in rows:
        if transcript is None or contig is None:
            left_out["no_cds"] += 1
        elif not valid:
            left_out[str(problem or "cds_invalid").split(";")[0].strip()] += 1
        elif gene in sequences:
            left_out["repeated_gene_id"] += 1
        else:
            coding = spliced_cds(contig, parts, strand, genome.fetch_inside)
            table = codes.get(contig, STANDARD_CODE)
            sequences[gene] = translate(coding, table).removesuffix("*")
    return Proteins(sequences, left_out)


class ProteinEncoder:
    """Mean of the last hidden states over the residues, special tokens left out.

    A protein longer than ``window`` is read in pieces of nearly equal length, whose
    vectors are averaged by their lengths. Letters other than the 20 amino acids are X.
    """

    def __init__(
        self,
        folder: Path,
        *,
        window: int = WINDOW,
        allow_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        found = read_folder(folder)
        self.network = load_network(
            found, AutoModel, allow_remote_code=allow_remote_code, device=device
        )
        tokenizer = load_tokenizer(found, allow_remote_code=allow_remote_code)
        vocabulary = tokenizer.get_vocab()
        unknown = [base for base in (*RESIDUES, "X") if base not in vocabulary]
        if unknown or tokenizer.pad_token_id is None:
            raise InputError(
                f"{folder}: the vocabulary lacks {unknown[0] if unknown else 'padding'}"
                "; it is not one of amino acids in capitals (ESM, ProtBERT)"
            )
        self.ids = {letter: vocabulary[letter] for letter in RESIDUES}
        self.other = vocabulary["X"]
        self.prefix, self.suffix = special_ids(tokenizer, "A")
        self.pad = int(tokenizer.pad_token_id)
        special = len(self.prefix) + len(self.suffix)
        self.window = min(window, longest_input(found, tokenizer) - special)
        self.device = device
        self.name = found.name
        self.width = int(found.config["hidden_size"])
        self.digest = digest_of("protein", VERSION, found.digest, self.window)

    def embed(self, sequences: Sequence[str]) -> Floats:
        """Return one vector a protein, ``(proteins, width)``.

        Raises
        ------
        InputError
            A sequence is empty.
        """
        pieces: list[str] = []
        owner: list[int] = []
        for number, sequence in enumerate(sequences):
            if not sequence:
                raise InputError(f"protein {number} of {len(sequences)} is empty")
            n_pieces = -(-len(sequence) // self.window)
            size = -(-len(sequence) // n_pieces)
            for start in range(0, len(sequence), size):
                pieces.append(sequence[start : start + size].upper())
                owner.append(number)
        out = np.zeros((len(sequences), self.width))
        order = sorted(range(len(pieces)), key=lambda i: (len(pieces[i]), i))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            sums = self._summed([pieces[i] for i in batch])
            for i, total in zip(batch, sums, strict=True):
                out[owner[i]] += total
        lengths = np.array([len(sequence) for sequence in sequences])
        means: Floats = (out / lengths[:, None]).astype(np.float32)
        return means

    def _summed(self, pieces: list[str]) -> NDArray[np.float64]:
        whole = [
            [*self.prefix, *(self.ids.get(c, self.other) for c in piece), *self.suffix]
            for piece in pieces
        ]
        longest = max(map(len, whole))
        ids = torch.full((len(whole), longest), self.pad)
        mask = torch.zeros_like(ids)
        for row, each in enumerate(whole):
            ids[row, : len(each)] = torch.tensor(each)
            mask[row, : len(each)] = 1
        with torch.inference_mode():
            states = self.network(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
            )[0]
        first = len(self.prefix)
        sums = [
            states[row, first : first + len(piece)].double().sum(0).cpu().numpy()
            for row, piece in enumerate(pieces)
        ]
        return np.stack(sums).astype(np.float64)
