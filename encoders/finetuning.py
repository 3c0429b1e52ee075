"""Fine-tuning of sequence models: LoRA, prefix, learned prompts, full, or the head alone.

A network below its language head (a published one, or one of ours) reads a sequence; the
mean of its last hidden states goes through a layer norm and a linear head. What is trained
besides the head is the method: low-rank updates of every linear map (LoRA, Hu et al. 2021),
keys and values before every layer (prefix, Li & Liang 2021), vectors before the input
(prompt, Lester et al. 2021), everything (full), or nothing (none, a frozen probe). The
first three are ``peft``'s.
"""

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from peft import (
    LoraConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from data_registry.errors import InputError, MalformedFileError
from data_registry.workspace import written_beside
from encoders.language import LanguageNetwork, load_language_model
from encoders.model_folders import is_ours
from encoders.nucleotides import UNKNOWN
from encoders.published.folder import backbone_of, takes
from encoders.published.models import Loaded, open_model

Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Method = Literal["lora", "prefix", "prompt", "full", "none"]
TaskKind = Literal["classification", "regression"]

METHODS: tuple[Method, ...] = ("lora", "prefix", "prompt", "full", "none")
RATES: dict[Method, float] = {
    "lora": 5e-4, "prefix": 5e-3, "prompt": 5e-3, "full": 5e-5, "none": 5e-3
}  # fmt: skip
"""Learning rates, unless one is given."""
CONFIG_FILE, WEIGHTS_FILE = "config.json", "finetuned.safetensors"
STATE_FILE, LOG_FILE = "state.pt", "log.csv"
_LOG_COLUMNS = ("epoch", "train_loss", "validation_loss", "metric", "rate", "seconds")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is fine-tuned.

    Parameters
    ----------
    rank, alpha
        Of LoRA: the update is ``alpha / rank * B A``.
    n_virtual
        Vectors of prefix and prompt.
    rate
        0 takes the method's own (``RATES``); the head is always trained with it too.
    patience
        Epochs without a better validation metric before training stops.
    max_bp
        A longer sequence is cut to its middle.
    """

    method: Method = "lora"
    task: TaskKind = "classification"
    rank: int = 8
    alpha: int = 16
    n_virtual: int = 16
    rate: float = 0.0
    epochs: int = 10
    patience: int = 3
    batch: int = 32
    weight_decay: float = 0.01
    warmup: float = 0.1
    max_bp: int = 2_048
    seed: int = 0

    def check(self) -> None:
        """Refuse settings that mean nothing.

        Raises
        ------
        InputError
            The message names the setting.
        """
        if self.method not in METHODS:
            raise InputError(f"method {self.method!r}: say {', '.join(METHODS)}")
        if self.task not in ("classification", "regression"):
            raise InputError(f"task {self.task!r}: say classification or regression")
        least = {"rank": 1, "n_virtual": 1, "epochs": 1, "patience": 1, "batch": 1,
                 "max_bp": 1, "rate": 0}  # fmt: skip
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(f"{name} {getattr(self, name)}: give at least {low}")


@dataclass(frozen=True, slots=True)
class Examples:
    """Sequences and what to predict.

    Parameters
    ----------
    targets
        Numbers of classes, or values, ``(n,)``.
    """

    sequences: tuple[Codes, ...]
    targets: Floats

    def __len__(self) -> int:
        return len(self.sequences)


class Backbone(nn.Module):
    """A network below its head: sequences in, hidden states and their mask out."""

    width: int

    def tokens(self, codes: Codes) -> list[int]:
        """Return the input of one sequence."""
        raise NotImplementedError

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return ``(batch, tokens, width)`` for inputs ``(batch, tokens)``."""
        raise NotImplementedError

    @property
    def takes_padding(self) -> bool:
        """Whether inputs of different length may stand together."""
        raise NotImplementedError

    pad: int
    longest: int
    digest: str


class PublishedBackbone(Backbone):
    """A published network, wrapped by ``peft`` or bare."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        network = backbone_of(loaded.network)
        self.module: nn.Module = network
        self.loaded = loaded
        self.takes_padding_mask = takes(network, "attention_mask")
        self.pad = 0
        self.longest = loaded.longest
        self.digest = loaded.folder.digest
        with torch.inference_mode():
            probe = torch.tensor([loaded.with_special(self.cut(np.zeros(8, np.uint8)))])
            self.width = int(loaded.hidden(probe).shape[-1])

    def cut(self, codes: Codes) -> list[int]:
        """Return tokens without special ones."""
        ids, _ = self.loaded.tokens.cut(codes)
        return ids

    def tokens(self, codes: Codes) -> list[int]:
        """See ``Backbone``."""
        return list(self.loaded.with_special(self.cut(codes)))

    @property
    def takes_padding(self) -> bool:
        """See ``Backbone``."""
        return self.takes_padding_mask

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See ``Backbone``; vectors put before the input are left out."""
        given: dict[str, Tensor] = {"input_ids": ids}
        if self.takes_padding:
            given["attention_mask"] = mask
        out = self.module(**given)
        states: Tensor = out if isinstance(out, Tensor) else out[0]
        states = states[:, -ids.shape[1] :]
        if self.loaded.reverse_complement_shared:
            there, back = states.chunk(2, -1)
            states = (there + back.flip(-1)) / 2
        return states


class OurBackbone(Backbone):
    """One of our language models: the mean of both strands' hidden layer."""

    def __init__(self, network: LanguageNetwork, digest: str) -> None:
        super().__init__()
        self.module: nn.Module = network
        self.width = network.config.head
        self.pad = UNKNOWN
        self.longest = 10**9
        self.digest = digest

    def tokens(self, codes: Codes) -> list[int]:
        """See ``Backbone``."""
        return [int(code) for code in codes]

    @property
    def takes_padding(self) -> bool:
        """See ``Backbone``; unknown bases behind a sequence would be read as such."""
        return False

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002
        """See ``Backbone``."""
        network = self.module
        inner = getattr(network, "base_model", None)
        if inner is not None:  # peft's wrapper; the layers inside carry the updates
            network = inner.model
        one, two = cast("LanguageNetwork", network).hidden(ids)
        return (one + two) / 2


def open_backbone(folder: Path, *, allow_remote_code: bool = False) -> Backbone:
    """Open a published model or one of ours for fine-tuning.

    Raises
    ------
    InputError, MalformedFileError, MissingOptionalError
        The folder lacks something; the message says what to do.
    """
    if is_ours(folder):
        model = load_language_model(folder)
        return OurBackbone(model.network, model.digest)
    return PublishedBackbone(open_model(folder, allow_remote_code=allow_remote_code))


class Predictor(nn.Module):
    """Backbone, mean over tokens, layer norm, linear head."""

    def __init__(self, backbone: Backbone, n_outputs: int, settings: Settings) -> None:
        super().__init__()
        settings.check()
        self.backbone = backbone
        self.settings = settings
        for value in backbone.parameters():
            value.requires_grad_(settings.method == "full")
        _adapt(backbone, settings)
        self.norm = nn.LayerNorm(backbone.width)
        self.head = nn.Linear(backbone.width, n_outputs)
        rng = torch.Generator().manual_seed(settings.seed)
        with torch.no_grad():
            scale = 1 / math.sqrt(backbone.width)
            self.head.weight.copy_(
                torch.randn(self.head.weight.shape, generator=rng) * scale
            )
            self.head.bias.zero_()

    def train(self, mode: bool = True) -> "Predictor":  # noqa: FBT001, FBT002
        """Set the mode; a frozen backbone stays without dropout."""
        super().train(mode)
        if self.settings.method == "none":
            self.backbone.eval()
        return self

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return ``(batch, outputs)``."""
        with torch.set_grad_enabled(
            torch.is_grad_enabled() and self.settings.method != "none"
        ):
            states = self.backbone.states(ids, mask)
        kept = mask[..., None].to(states.dtype)
        pooled = (states * kept).sum(1) / kept.sum(1).clamp(min=1)
        out: Tensor = self.head(self.norm(pooled))
        return out

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters that training changes, by name."""
        return {n: p for n, p in self.named_parameters() if p.requires_grad}

    def count(self) -> tuple[int, int]:
        """Return how many parameters are trained, and how many there are."""
        every = sum(p.numel() for p in self.parameters())
        return sum(p.numel() for p in self.trained().values()), every


def _adapt(backbone: Backbone, settings: Settings) -> None:
    """Put ``peft``'s parameters into the backbone.

    Raises
    ------
    InputError
        The network cannot take them.
    """
    if settings.method in ("full", "none"):
        return
    module: nn.Module = backbone.module  # type: ignore[assignment]
    if settings.method == "lora":
        linear = [
            name
            for name, part in module.named_modules()
            if isinstance(part, nn.Linear | Conv1D)
        ]
        # Our convolutions hold their weights as bare matrices, one level down.
        bare = [
            name
            for name, value in module.named_parameters()
            if value.ndim == 2 and name.startswith("layers.")
            and name.rsplit(".", 1)[0] not in linear
        ]  # fmt: skip
        bare = bare if isinstance(module, LanguageNetwork) else []
        if not linear and not bare:
            raise InputError(
                f"{type(module).__name__} has no linear layers to put LoRA on; "
                "use --method full or none"
            )
        config: Any = LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, target_modules=linear,
            target_parameters=bare or None,
        )  # fmt: skip
    else:
        wanted = "past_key_values" if settings.method == "prefix" else "inputs_embeds"
        if not isinstance(module, PreTrainedModel) or not (
            takes(module, wanted) and takes(module, "attention_mask")
        ):
            others = ", ".join(m for m in METHODS if m != settings.method)
            raise InputError(
                f"{type(module).__name__} takes no {settings.method} (its forward has "
                f"no {wanted} or attention_mask); use one of {others}"
            )
        kind = PrefixTuningConfig if settings.method == "prefix" else PromptTuningConfig
        config = kind(
            task_type=TaskType.FEATURE_EXTRACTION, num_virtual_tokens=settings.n_virtual
        )
    backbone.module = get_peft_model(cast("PreTrainedModel", module), config)


# --------------------------------------------------------------------------------------
# Batches


def middle(codes: Codes, length: int) -> Codes:
    """Return the ``length`` bases in the middle of a longer sequence."""
    start = max(len(codes) - length, 0) // 2
    return codes[start : start + length]


def make_inputs(
    backbone: Backbone, sequences: Sequence[Codes], settings: Settings
) -> tuple[list[list[int]], int]:
    """Tokenise; return the inputs and how many sequences were cut to their middle."""
    longest = backbone.longest
    if settings.method in ("prompt", "prefix"):
        longest -= settings.n_virtual
    inputs = []
    n_cut = 0
    for codes in sequences:
        kept = middle(codes, settings.max_bp)
        ids = backbone.tokens(kept)
        while len(ids) > longest:
            kept = middle(kept, max(len(kept) * longest // len(ids), 1) - 1)
            ids = backbone.tokens(kept)
        n_cut += len(kept) < len(codes)
        inputs.append(ids)
    return inputs, n_cut


def _batches(
    backbone: Backbone, inputs: list[list[int]], order: Sequence[int], size: int
) -> list[list[int]]:
    """Cut an order into batches; of one length each where padding would be read."""
    groups: dict[int, list[int]] = {}
    for row in order:
        length = 0 if backbone.takes_padding else len(inputs[row])
        groups.setdefault(length, []).append(row)
    cut = [
        rows[start : start + size]
        for rows in groups.values()
        for start in range(0, len(rows), size)
    ]
    # In the order of their first rows: lengths are mixed as the order mixes them.
    place = {row: i for i, row in enumerate(order)}
    return sorted(cut, key=lambda rows: place[rows[0]])


def _padded(
    backbone: Backbone, inputs: list[list[int]], rows: list[int], device: str
) -> tuple[Tensor, Tensor]:
    """Return tokens and mask, ``(rows, longest)``."""
    longest = max(len(inputs[row]) for row in rows)
    ids = torch.full((len(rows), longest), backbone.pad)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(inputs[row])] = torch.tensor(inputs[row])
        mask[place, : len(inputs[row])] = 1
    return ids.to(device), mask.to(device)


# --------------------------------------------------------------------------------------
# Metrics


def matthews(truth: NDArray[np.int64], guess: NDArray[np.int64]) -> float:
    """Return Matthews' correlation, of any number of classes (Gorodkin 2004, eq. 8).

    0 where either side has one class only.
    """
    n = int(max(truth.max(initial=0), guess.max(initial=0))) + 1
    table = np.zeros((n, n))
    np.add.at(table, (truth, guess), 1)
    total, right = table.sum(), np.trace(table)
    true, said = table.sum(1), table.sum(0)
    below = (total**2 - said @ said) * (total**2 - true @ true)
    return float((right * total - true @ said) / np.sqrt(below)) if below > 0 else 0.0


def auroc(is_positive: NDArray[np.bool_], score: Floats) -> float:
    """Return the area under the ROC curve, ties counted half; NaN with one class."""
    n_positive = int(is_positive.sum())
    n_negative = len(is_positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    ranks = rankdata(score)[is_positive].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / n_positive / n_negative)


def measure(targets: Floats, outputs: Floats, task: TaskKind) -> dict[str, float]:
    """Return all metrics; the first is the one that stops training.

    Parameters
    ----------
    outputs
        ``(n, classes)`` logits, or ``(n, 1)`` values.
    """
    if task == "regression":
        values = outputs[:, 0]
        varies = len(values) > 1 and values.std() > 0 and targets.std() > 0
        ranks = rankdata(targets), rankdata(values)
        return {
            "pearson": float(np.corrcoef(targets, values)[0, 1]) if varies else 0.0,
            "spearman": float(np.corrcoef(*ranks)[0, 1]) if varies else 0.0,
            "mse": float(np.square(targets - values).mean()),
        }
    truth = targets.astype(np.int64)
    guess = outputs.argmax(1)
    shifted = np.exp(outputs - outputs.max(1, keepdims=True))
    share = shifted / shifted.sum(1, keepdims=True)
    classes = range(1, 2) if outputs.shape[1] == 2 else range(outputs.shape[1])
    areas = [auroc(truth == each, share[:, each]) for each in classes]
    return {
        "mcc": matthews(truth, guess),
        "auroc": float(np.mean(areas)),
        "accuracy": float((truth == guess).mean()),
    }


# --------------------------------------------------------------------------------------
# Training


@dataclass(frozen=True, slots=True)
class Fitted:
    """What training left.

    Parameters
    ----------
    metrics
        Of the best epoch, on the validation examples.
    n_cut
        Sequences cut to their middle, of train and validation.
    """

    epoch: int
    epochs_run: int
    metrics: dict[str, float]
    n_trained: int
    n_parameters: int
    n_cut: int


def predict(
    predictor: Predictor, sequences: Sequence[Codes], device: str = "cpu"
) -> Floats:
    """Return outputs, ``(n, outputs)``: logits, or values in the unit of training."""
    inputs, _ = make_inputs(predictor.backbone, sequences, predictor.settings)
    return _predict(predictor, inputs, device)


def _predict(predictor: Predictor, inputs: list[list[int]], device: str) -> Floats:
    predictor.eval()
    # Like lengths together, so that little is padded.
    order = sorted(range(len(inputs)), key=lambda row: (len(inputs[row]), row))
    out = np.empty((len(inputs), predictor.head.out_features))
    with torch.inference_mode():
        for rows in _batches(
            predictor.backbone, inputs, order, predictor.settings.batch
        ):
            found = predictor(*_padded(predictor.backbone, inputs, rows, device))
            out[rows] = found.float().cpu().numpy()
    return out


def fit(
    predictor: Predictor,
    train: Examples,
    validation: Examples,
    folder: Path,
    *,
    device: str = "cpu",
    on_progress: Callable[[int, str], None] = lambda _done, _note: None,
) -> Fitted:
    """Train until the validation metric stops rising; the best epoch is what stays.

    ``folder`` holds ``log.csv`` and ``state.pt`` of the last finished epoch; a run of the
    same data and settings goes on from there.

    Raises
    ------
    InputError
        Nothing to train or validate on, or the folder holds another run's state.
    """
    settings = predictor.settings
    if not len(train) or not len(validation):
        raise InputError(
            f"{len(train)} sequences to train and {len(validation)} to validate on; "
            "both are needed"
        )
    folder.mkdir(parents=True, exist_ok=True)
    inputs, n_cut = make_inputs(predictor.backbone, train.sequences, settings)
    held, n_held_cut = make_inputs(predictor.backbone, validation.sequences, settings)
    mean, scale = _standardisation(train.targets, settings.task)
    predictor.to(device)
    parameters = predictor.trained()
    rate = settings.rate or RATES[settings.method]
    optimiser = torch.optim.AdamW(
        parameters.values(), lr=rate, weight_decay=settings.weight_decay
    )
    every = _batches(predictor.backbone, inputs, range(len(train)), settings.batch)
    n_steps = settings.epochs * len(every)
    run = _run_digest(predictor, train, validation)
    state = _State.load(folder / STATE_FILE, run)
    if state.epoch:
        _restore(parameters, state.parameters)
        optimiser.load_state_dict(state.optimiser)
        torch.set_rng_state(state.rng)
    else:
        (folder / LOG_FILE).unlink(missing_ok=True)

    while state.epoch < settings.epochs and state.waited < settings.patience:
        began = time.monotonic()
        shuffled = np.random.default_rng((settings.seed, state.epoch)).permutation(
            len(train)
        )
        predictor.train()
        losses = []
        for rows in _batches(
            predictor.backbone, inputs, shuffled.tolist(), settings.batch
        ):
            factor = _schedule(state.step, n_steps, settings.warmup)
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            out = predictor(*_padded(predictor.backbone, inputs, rows, device))
            wanted = torch.from_numpy((train.targets[rows] - mean) / scale)
            loss = _loss(out, wanted.to(device), settings.task)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(parameters.values(), 1.0)
            optimiser.step()
            state.step += 1
            losses.append(loss.item() * len(rows))
            on_progress(state.step, f"loss {loss.item():.3f}")
        outputs = _predict(predictor, held, device)
        held_targets = torch.from_numpy((validation.targets - mean) / scale)
        held_loss = float(_loss(torch.from_numpy(outputs), held_targets, settings.task))
        metrics = measure(
            validation.targets, _unscaled(outputs, mean, scale), settings.task
        )
        metric = next(iter(metrics.values()))
        state.epoch += 1
        # Of equal metrics the lower loss: MCC is 0 for long at the start.
        if (metric, -held_loss) > (state.best, -state.best_loss):
            state.best, state.best_loss = metric, held_loss
            state.best_epoch, state.metrics, state.waited = state.epoch, metrics, 0
            state.best_parameters = _copied(parameters)
        else:
            state.waited += 1
        state.parameters, state.optimiser = _copied(parameters), optimiser.state_dict()
        state.rng = torch.get_rng_state()
        _log(
            folder / LOG_FILE,
            (state.epoch, sum(losses) / len(train), held_loss, metric,
             optimiser.param_groups[0]["lr"], time.monotonic() - began),
        )  # fmt: skip
        state.save(folder / STATE_FILE)
    _restore(parameters, state.best_parameters)
    with torch.no_grad():
        _absorb(predictor.head, mean, scale)
    predictor.eval()
    n_trained, n_parameters = predictor.count()
    return Fitted(
        state.best_epoch, state.epoch, state.metrics, n_trained, n_parameters,
        n_cut + n_held_cut,
    )  # fmt: skip


def _standardisation(targets: Floats, task: TaskKind) -> tuple[float, float]:
    if task == "classification":
        return 0.0, 1.0
    return float(targets.mean()), float(targets.std()) or 1.0


def _unscaled(outputs: Floats, mean: float, scale: float) -> Floats:
    return outputs * scale + mean


def _absorb(head: nn.Linear, mean: float, scale: float) -> None:
    """Let the head answer in the unit of the targets."""
    head.weight.mul_(scale)
    head.bias.mul_(scale).add_(mean)


def _loss(out: Tensor, wanted: Tensor, task: TaskKind) -> Tensor:
    if task == "regression":
        return F.mse_loss(out[:, 0].float(), wanted.float())
    return F.cross_entropy(out.float(), wanted.long())


def _schedule(step: int, n_steps: int, warmup: float) -> float:
    """Rise linearly, then fall as a cosine."""
    rising = max(1, round(warmup * n_steps))
    if step < rising:
        return (step + 1) / rising
    done = min((step - rising) / max(1, n_steps - rising), 1.0)
    return 0.5 * (1 + math.cos(math.pi * done))


def _copied(parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {n: p.detach().cpu().clone().contiguous() for n, p in parameters.items()}


def _restore(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(values[name])


@dataclass(slots=True)
class _State:
    """All that a run needs to go on after an epoch."""

    run: str
    epoch: int
    step: int
    waited: int
    best: float
    best_loss: float
    best_epoch: int
    metrics: dict[str, float]
    best_parameters: dict[str, Tensor]
    parameters: dict[str, Tensor]
    optimiser: dict[str, Any]
    rng: Tensor

    @classmethod
    def load(cls, path: Path, run: str) -> "_State":
        if not path.is_file():
            return cls(
                run, 0, 0, 0, -math.inf, math.inf, 0, {}, {}, {}, {}, torch.empty(0)
            )
        try:
            found = cls(**torch.load(path, weights_only=True))
        except Exception as error:
            raise MalformedFileError(
                path, f"cannot be read ({error})", remedy="Remove it to begin again"
            ) from error
        if found.run != run:
            raise InputError(
                f"{path} is of a run with other data, model or settings; give another "
                "--out, or remove it to begin again"
            )
        return found

    def save(self, path: Path) -> None:
        content = {name: getattr(self, name) for name in self.__slots__}
        # By handle: torch.save refuses names that begin with a dot.
        with written_beside(path) as beside, beside.open("wb") as file:
            torch.save(content, file)


def _run_digest(predictor: Predictor, train: Examples, validation: Examples) -> str:
    digest = hashlib.sha256(
        repr((predictor.backbone.digest, asdict(predictor.settings))).encode()
    )
    for examples in (train, validation):
        for codes in examples.sequences:
            digest.update(codes.tobytes() + b"\n")
        digest.update(examples.targets.tobytes())
    return digest.hexdigest()


def _log(path: Path, row: tuple[float, ...]) -> None:
    is_new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(_LOG_COLUMNS)
        writer.writerow(f"{value:.6g}" for value in row)


# --------------------------------------------------------------------------------------
# Saving and loading


def save_finetuned(
    predictor: Predictor, folder: Path, base: Path, content: dict[str, Any]
) -> None:
    """Write the trained parameters and what is needed to build the rest again.

    Parameters
    ----------
    content
        More to keep in ``config.json``: labels, metrics, data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with written_beside(folder / WEIGHTS_FILE) as beside:
        save_file(_copied(predictor.trained()), beside, metadata={"format": "pt"})
    config = {
        "settings": asdict(predictor.settings),
        "n_outputs": predictor.head.out_features,
        "base": str(base),
        "base_digest": predictor.backbone.digest,
        **content,
    }
    with written_beside(folder / CONFIG_FILE) as beside:
        beside.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load_finetuned(
    folder: Path, base: Path | None = None, *, allow_remote_code: bool = False
) -> tuple[Predictor, dict[str, Any]]:
    """Open what ``save_finetuned`` wrote; return the model and its ``config.json``.

    Parameters
    ----------
    base
        Folder of the model it was tuned from; by default where it was then.

    Raises
    ------
    MalformedFileError, InputError
        A file is missing or damaged, or the base is another model.
    """
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        settings = Settings(**config["settings"])
        weights = load_file(folder / WEIGHTS_FILE)
        n_outputs, stated = int(config["n_outputs"]), str(config["base_digest"])
    except Exception as error:
        raise MalformedFileError(
            folder,
            f"is no fine-tuned model ({error})",
            remedy="Give the --out folder of python -m encoders.finetune",
        ) from error
    backbone = open_backbone(
        base or Path(config["base"]), allow_remote_code=allow_remote_code
    )
    if backbone.digest != stated:
        raise InputError(
            f"{base or config['base']} is not the model that {folder} was tuned from "
            f"(digest {backbone.digest[:12]}, not {stated[:12]})"
        )
    predictor = Predictor(backbone, n_outputs, settings)
    parameters = predictor.trained()
    if set(parameters) != set(weights):
        odd = sorted(set(parameters) ^ set(weights))[0]
        raise MalformedFileError(
            folder / WEIGHTS_FILE,
            f"does not fit the model ({odd})",
            remedy="Tune it again with this version",
        )
    _restore(parameters, weights)
    return predictor.eval(), config
