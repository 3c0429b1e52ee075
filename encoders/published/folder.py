"""A folder that holds a ``transformers`` model: what may be loaded from it, and how.

Only safetensors are read, because a pickled ``.bin`` runs what it likes on loading. Code
that lies beside the weights is run only where the caller says so. Nothing is fetched.
"""

import hashlib
import inspect
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.utils import logging

from data_registry.console import log
from data_registry.errors import InputError, MalformedFileError, MissingOptionalError
from data_registry.workspace import sha256_of, written_beside
from encoders.published.mamba_stand_in import PACKAGE, mamba_ssm_at_hand

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
UNUSED_HEADS = ("pooler", "contact_head", "seq_relationship")
"""Parts that may lack weights: nothing here reads them."""
GPN_TYPES = ("GPN", "ConvNet", "GPNRoFormer")
"""Model types that the package ``gpn`` brings."""
_LIBRARY_LOG: Any = logging
_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder whose configuration and weights are there.

    Parameters
    ----------
    config
        Content of ``config.json``.
    code
        Python files beside the weights that the configuration wants run.
    digest
        Of the configuration, weights, tokenizer and code.
    """

    path: Path
    config: dict[str, Any]
    code: tuple[Path, ...]
    digest: str

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def model_type(self) -> str:
        """What ``transformers`` calls the architecture."""
        return str(self.config.get("model_type", ""))

    @property
    def architecture(self) -> str:
        """The class the weights were saved from, '' where not stated."""
        stated = self.config.get("architectures") or [""]
        return str(stated[0])

    def require_code(self, *, allowed: bool) -> None:
        """Refuse to run code of the folder that was not allowed; warn where it was.

        Raises
        ------
        InputError
            Code is wanted and not allowed, or lies in another repository.
        MissingOptionalError
            The architecture lives in a package that is not installed.
        """
        if self.model_type in GPN_TYPES:
            _register_gpn()
            return
        auto_map = self.config.get("auto_map") or {}
        if not auto_map:
            return
        listed = ", ".join(
            f"{file.name} (sha256 {sha256_of(file)[:12]})" for file in self.code
        )
        if not allowed:
            raise InputError(
                f"{self.path}: this model brings its own code: {listed or 'no file'}. "
                "Read it, and if you trust it give --allow-remote-code "
                "(allow_remote_code=True)"
            )
        targets = [str(t) for v in auto_map.values() for t in _as_list(v) if t]
        if elsewhere := sorted(t for t in targets if "--" in t):
            raise InputError(
                f"{self.path}/{CONFIG_FILE}: the code {elsewhere[0]!r} lies in another "
                "repository; copy its .py files into this folder and drop the part up "
                "to '--' in auto_map"
            )
        log(f"warning: running code that came with {self.path}: {listed}")


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _register_gpn() -> None:
    try:
        gpn = import_module("gpn")
        if hasattr(gpn, "register_auto_classes"):
            gpn.register_auto_classes("gpn")
        else:  # in its older releases importing the models registers them
            import_module("gpn.model")
    except ImportError as error:
        raise MissingOptionalError(
            "GPN's architecture is in its own package, which is not installed: "
            f"pip install gpn ({error})"
        ) from error


def read_folder(path: Path) -> ModelFolder:
    """Check a folder, without loading it.

    Raises
    ------
    MalformedFileError
        There is no configuration, no safetensors, or an LFS pointer in their place.
    """
    config_file = path / CONFIG_FILE
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except OSError as error:
        raise MalformedFileError(
            path,
            f"no model is in this folder ({CONFIG_FILE} cannot be read: "
            f"{error.strerror})",
            remedy="Give the folder of a downloaded model: config.json, tokenizer "
            "files and *.safetensors",
        ) from error
    except ValueError as error:
        raise MalformedFileError(
            config_file, f"is not JSON ({error})", remedy="Download it again"
        ) from error
    if not isinstance(config, dict):
        raise MalformedFileError(
            config_file, "holds no settings", remedy="Download it again"
        )
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        pickled = sorted(p.name for p in path.glob("*.bin"))
        if pickled:
            raise MalformedFileError(
                path,
                f"the weights are pickled ({pickled[0]}), and there are no safetensors",
                remedy=f"Convert them once: python -m encoders.published convert {path}",
            )
        raise MalformedFileError(
            path,
            "there are no weights (*.safetensors) in the folder",
            remedy="Download model.safetensors beside config.json",
        )
    for file in weights:
        _refuse_pointer(file)
    code = tuple(sorted(path.glob("*.py"))) if config.get("auto_map") else ()
    digested = [config_file, *weights, *code, *_tokenizer_files(path)]
    text = "".join(f"{file.name} {sha256_of(file)}\n" for file in digested)
    return ModelFolder(path, config, code, hashlib.sha256(text.encode()).hexdigest())


def _refuse_pointer(file: Path) -> None:
    with file.open("rb") as opened:
        if opened.read(len(_LFS)) == _LFS:
            raise MalformedFileError(
                file,
                "is a Git LFS pointer, not the weights",
                remedy="Fetch the file itself: git lfs pull",
            )


def _tokenizer_files(path: Path) -> list[Path]:
    names = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json",
             "merges.txt", "special_tokens_map.json")  # fmt: skip
    return [path / name for name in names if (path / name).is_file()]


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the library's own progress bars and advice off the screen."""
    before = _LIBRARY_LOG.get_verbosity()
    bars = _LIBRARY_LOG.is_progress_bar_enabled()
    _LIBRARY_LOG.set_verbosity_error()
    _LIBRARY_LOG.disable_progress_bar()
    try:
        yield
    finally:
        _LIBRARY_LOG.set_verbosity(before)
        if bars:
            _LIBRARY_LOG.enable_progress_bar()


def load_network(
    folder: ModelFolder,
    auto_class: Any,  # noqa: ANN401  (transformers' auto classes share no base)
    *,
    allow_remote_code: bool = False,
    device: str = "cpu",
) -> PreTrainedModel:
    """Load a network in float32, for evaluation, with every weight from the folder.

    Raises
    ------
    InputError, MissingOptionalError
        See ``ModelFolder.require_code``; or the architecture is unknown.
    MalformedFileError
        The weights are not those of the architecture.
    """
    folder.require_code(allowed=allow_remote_code)
    read = _load_own_code if folder.code and allow_remote_code else _load_known
    try:
        with quiet_transformers(), _mamba_ssm_for(folder, device):
            network, missing, wrong = read(folder, auto_class)
    except ImportError as error:
        raise MissingOptionalError(
            f"{folder.path}: the model's own code needs a package that is not "
            f"installed: {error}"
        ) from error
    except Exception as error:
        # Code of a folder may raise anything; mostly it is older than the library.
        lines = str(error).strip().splitlines() or [""]
        written_for = folder.config.get("transformers_version", "an unstated version")
        raise InputError(
            f"{folder.path} cannot be loaded as {auto_class.__name__} (model_type "
            f"{folder.model_type!r}): {type(error).__name__}: {lines[0]}. The files are "
            f"of transformers {written_for}, installed is {transformers.__version__}"
        ) from error
    # A wrong class loads without complaint and starts from random weights.
    missing = [n for n in missing if not any(head in n for head in UNUSED_HEADS)]
    if missing or wrong:
        named = (missing or wrong)[0]
        raise MalformedFileError(
            folder.path,
            f"{len(missing)} weights of {type(network).__name__} are missing and "
            f"{len(wrong)} of another shape, e.g. {named}",
            remedy="The weights are of another architecture: if config.json lists "
            "auto_map, its code is needed; otherwise download the model again",
        )
    module: nn.Module = network
    module.train(mode=False).to(device)
    return network


def _mamba_ssm_for(folder: ModelFolder, device: str) -> AbstractContextManager[None]:
    """Have ``mamba_ssm`` or its stand-in at hand where the folder's code imports it."""
    wanted = any(PACKAGE in file.read_text(encoding="utf-8") for file in folder.code)
    return mamba_ssm_at_hand(device) if wanted else nullcontext()


def _load_known(
    folder: ModelFolder,
    auto_class: Any,  # noqa: ANN401
) -> tuple[PreTrainedModel, list[str], list[str]]:
    """Load an architecture of the library; return names missing and of another shape."""
    network, found = auto_class.from_pretrained(
        folder.path,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
        dtype=torch.float32,
    )
    wrong = sorted(str(each) for each in found["mismatched_keys"])
    return network, sorted(found["missing_keys"]), wrong


def _load_own_code(
    folder: ModelFolder,
    auto_class: Any,  # noqa: ANN401
) -> tuple[PreTrainedModel, list[str], list[str]]:
    """Build a network by the folder's code, then fill it.

    The library would build it without memory and fill in only what the file holds; what
    such code computes on building (ALiBi slopes, position tables) would be left empty.
    """
    config = AutoConfig.from_pretrained(
        folder.path, local_files_only=True, trust_remote_code=True
    )
    # The auto class finds the folder's code by this name.
    config._name_or_path = str(folder.path)  # noqa: SLF001
    _tie_without_arguments(folder, auto_class.__name__)
    network = auto_class.from_config(config, trust_remote_code=True).float()
    given: dict[str, Tensor] = {}
    for file in sorted(folder.path.glob("*.safetensors")):
        given |= load_file(file)
    own = network.state_dict()
    wrong = sorted(n for n in given if n in own and own[n].shape != given[n].shape)
    fitting = {n: value for n, value in given.items() if n not in wrong}
    absent = network.load_state_dict(fitting, strict=False).missing_keys
    network.tie_weights()
    # Of weights that share memory the file holds one.
    own = network.state_dict()
    filled = {own[name].data_ptr() for name in fitting if name in own}
    missing = [n for n in absent if n not in wrong and own[n].data_ptr() not in filled]
    return network, sorted(missing), wrong


def _tie_without_arguments(folder: ModelFolder, auto_class: str) -> None:
    """Let code written for transformers 4 tie its weights under later versions.

    There ``tie_weights`` took no arguments, and shared the embedding with the head
    unless the configuration said otherwise.
    """
    reference = (folder.config.get("auto_map") or {}).get(auto_class)
    if not reference:
        return
    network: Any = get_class_from_dynamic_module(
        reference, folder.path, local_files_only=True
    )
    written = network.tie_weights
    if len(inspect.signature(written).parameters) > 1:
        return
    shared = folder.config.get("tie_word_embeddings", True)

    def tie_weights(self: Any, *_: object, **__: object) -> None:  # noqa: ANN401
        written(self)
        head, words = self.get_output_embeddings(), self.get_input_embeddings()
        if shared and isinstance(head, nn.Linear) and isinstance(words, nn.Embedding):
            head.weight = words.weight

    network.tie_weights = tie_weights


def load_tokenizer(
    folder: ModelFolder, *, allow_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """Load the folder's tokenizer.

    Raises
    ------
    InputError
        There is none that can be read.
    """
    try:
        with quiet_transformers(), _mamba_ssm_for(folder, "cpu"):
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder.path,
                local_files_only=True,
                trust_remote_code=allow_remote_code,
            )
            return tokenizer
    except ImportError as error:
        raise MissingOptionalError(f"{folder.path}: tokenizer: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(
            f"{folder.path}: the tokenizer cannot be read ({first}); download "
            "tokenizer.json or vocab.txt and tokenizer_config.json beside the weights"
        ) from error


def special_ids(
    tokenizer: PreTrainedTokenizerBase, word: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids a tokenizer puts before and behind a text.

    Parameters
    ----------
    word
        A text that is one token.

    Raises
    ------
    InputError
        The tokenizer does not know the word.
    """
    bare = tokenizer.convert_tokens_to_ids(word)
    whole = [int(each) for each in tokenizer(word)["input_ids"]]
    if bare not in whole:
        raise InputError(
            f"tokenizer {type(tokenizer).__name__} reads {word!r} as {whole}, "
            f"without its own token {bare}: it is not the tokenizer of this model"
        )
    at = whole.index(bare)
    return tuple(whole[:at]), tuple(whole[at + 1 :])


def longest_input(folder: ModelFolder, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many tokens the network takes, special ones too; a large number if any."""
    limits = [10**9]
    for key in ("max_position_embeddings", "n_positions", "max_seq_len"):
        value = folder.config.get(key)
        if isinstance(value, int) and value > 0:
            limits.append(value)
    if folder.model_type in ("esm", "roberta", "camembert"):
        # Positions are numbered from the padding's id on.
        limits = [n - int(folder.config.get("pad_token_id") or 0) - 1 for n in limits]
    if 0 < tokenizer.model_max_length < 10**9:
        limits.append(int(tokenizer.model_max_length))
    return min(limits)


def backbone_of(network: PreTrainedModel) -> nn.Module:
    """Return the part below the head."""
    below: nn.Module = network.base_model
    return below


def takes(module: nn.Module, argument: str) -> bool:
    """Say whether a module's forward names an argument."""
    return argument in inspect.signature(module.forward).parameters


def run_network(module: nn.Module, ids: Tensor) -> Tensor:
    """Return the first output for tokens of one length: hidden states or logits."""
    given = {"input_ids": ids}
    if takes(module, "attention_mask"):
        given["attention_mask"] = torch.ones_like(ids)
    with quiet_transformers():  # code of a folder may use what is deprecated by now
        out = module(**given)
    if isinstance(out, Tensor):
        return out
    first: Tensor = out.logits if hasattr(out, "logits") else out[0]
    return first


def convert_pickled(path: Path) -> Path:
    """Write ``model.safetensors`` from pickled weights, read as plain tensors only.

    Raises
    ------
    MalformedFileError
        There are none, or they hold more than tensors.
    """
    files = sorted(path.glob("pytorch_model*.bin"))
    if not files:
        raise MalformedFileError(
            path, "there is no pytorch_model*.bin", remedy="Check the folder"
        )
    tensors: dict[str, Tensor] = {}
    for file in files:
        _refuse_pointer(file)
        try:
            part = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise MalformedFileError(
                file,
                f"holds more than tensors or is damaged ({str(error)[:120]})",
                remedy="Ask its makers for safetensors",
            ) from error
        # Tied weights share memory, which safetensors does not store.
        tensors |= {name: value.clone().contiguous() for name, value in part.items()}
    target = path / WEIGHTS_FILE
    with written_beside(target) as beside:
        save_file(tensors, beside, metadata={"format": "pt"})
    return target
