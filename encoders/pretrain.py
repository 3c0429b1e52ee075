"""Pre-train a nucleotide language model on a workspace's genome and its relatives.

The folder given by ``--out`` always holds the best model so far; ``checkpoint.pt`` and
``log.csv`` beside it let a killed run go on where it stopped.
"""

import csv
import hashlib
import math
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import torch
import typer
from accelerate import Accelerator
from numpy.typing import NDArray

from data_registry.console import (
    WorkspaceOption,
    count_reporter,
    new_app,
    run_app,
    say,
    show_table,
    step_reporter,
)
from data_registry.errors import InputError
from encoders.corpus import WORD_BP, Assembly, Corpus, build_corpus
from encoders.language import (
    LanguageConfig,
    LanguageModel,
    LanguageNetwork,
    load_language_model,
    pretraining_loss,
    save_language_model,
)
from encoders.material import MATERIAL_FILE, Material
from encoders.nucleotides import N_BASES, encode
from encoders.running_mean import move_mean

if TYPE_CHECKING:
    from data_registry.relatives import Registered

CHECKPOINT_FILE, LOG_FILE = "checkpoint.pt", "log.csv"
WEIGHTS = Path(__file__).parent / "weights"
SHAPE = ("objective", "width", "layers", "kmer", "head")
"""Settings of a model that decide the shape of its weights."""
_COLUMNS = (
    "step",
    "tokens",
    "seconds",
    "train_bits",
    "validation_bits",
    "learning_rate",
)

app = new_app("Pre-train a nucleotide language model.")


@dataclass(frozen=True, slots=True)
class Training:
    """How a model is trained; ``minutes`` or ``steps``, whichever ends first.

    Parameters
    ----------
    matrix_rate, other_rate
        Peak learning rates: of matrices, by Muon (Jordan et al. 2024); of all else, by
        AdamW. Both rise over ``warm_up`` steps and fall linearly to 0 over the last
        ``decay`` of the run.
    patience
        Evaluations without a better validation loss before the run stops.
    noise
        Share of the bases that are read as another base, drawn at random, while
        learning: what is learned by heart then helps less. Targets stay as they are. It
        falls with the learning rate, so that the end is learned from clean sequence.
    dropout
        Share of what each layer adds that is zeroed while learning.
    average
        Decay of the running mean of the weights (Polyak & Juditsky 1992), which is what
        is judged and kept; less in the first steps. 0: the weights themselves.
    start_from
        Folder or shipped name of a language model of ours whose weights are the first;
        the shape is then its own. Empty: weights at random.
    """

    batch: int = 8
    window: int = 1024
    minutes: float = 30.0
    steps: int = 1_000_000
    matrix_rate: float = 0.01
    other_rate: float = 0.004
    weight_decay: float = 0.01
    warm_up: int = 100
    decay: float = 0.6
    every: int = 250
    validation_windows: int = 256
    patience: int = 20
    compiled: bool = True
    bfloat16: bool = True
    seed: int = 1
    noise: float = 0.0
    dropout: float = 0.0
    average: float = 0.0
    start_from: str = ""

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read a table of settings; unknown ones are refused."""
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(content) - known):
            raise InputError(
                f"training setting {unknown[0]!r} is unknown; "
                f"known are {', '.join(sorted(known))}"
            )
        return cls(**content)

    def rate(self, done: float, step: int) -> float:
        """Return the share of the peak rate, with ``done`` of the run behind us."""
        return min(1.0, (step + 1) / self.warm_up) * min(1.0, (1 - done) / self.decay)


def read_config(path: Path) -> tuple[LanguageConfig, Training]:
    """Read ``[model]`` and ``[training]`` of a TOML file.

    Raises
    ------
    InputError
        It is not TOML, or names a setting that does not exist.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    if unknown := sorted(set(content) - {"model", "training"}):
        raise InputError(f"{path}: table {unknown[0]!r}; known are [model], [training]")
    return (
        LanguageConfig.from_dict(content.get("model", {})),
        Training.from_dict(content.get("training", {})),
    )


def load_material(
    registered: "Registered", held_out: tuple[str, ...], validation: tuple[str, ...],
    folder: Path, on_step: Callable[[str], None],
) -> Material:  # fmt: skip
    """Return what to learn from, from the folder if it was made there from the same."""
    from data_registry.genome import Genome

    parts = [registered.genome_sha256, *sorted(r.sha256 for r in registered.relatives)]
    key = "\n".join([*parts, *held_out, "|", *validation, f"words of {WORD_BP}"])
    file = folder / MATERIAL_FILE
    if file.is_file():
        with np.load(file) as kept:
            fits = str(kept["key"]) == key
        if fits:
            return Material.read(file)[0]
    genomes = [registered.genome] + [
        Genome(each.name, each.fasta) for each in registered.relatives
    ]
    corpus = build_corpus(
        [Assembly(g.assembly, {name: g.contig(name) for name in g}) for g in genomes],
        (*held_out, *validation),
        on_contig=lambda assembly, contig: on_step(f"{assembly} {contig}"),
    )
    watched = [encode(registered.genome.contig(name)) for name in validation]
    material = Material(
        registered.genome.assembly,
        held_out,
        validation,
        corpus,
        np.concatenate(watched),
    )
    material.write(file, key)
    return material


def starting_model(
    name: str, model: LanguageConfig, material: Material
) -> LanguageModel:
    """Return the model that training goes on from.

    Parameters
    ----------
    name
        As ``Training.start_from``.
    model
        Its shape is either not set or that of the model to go on from.

    Raises
    ------
    InputError
        There is no such model, ``model`` has another shape, or it learned from sequence
        that is held out here.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = WEIGHTS / name
    if not folder.is_dir():
        shipped = ", ".join(sorted(path.name for path in WEIGHTS.iterdir()))
        raise InputError(f"start_from: no folder {name}; those that ship are {shipped}")
    start = load_language_model(folder)
    shapes = [
        [getattr(each, part) for part in SHAPE]
        for each in (model, LanguageConfig(), start.config)
    ]
    if shapes[0] not in shapes[1:]:
        raise InputError(
            f"[model] has another shape than {name}, from which training is to start: "
            f"leave {', '.join(SHAPE)} away"
        )
    unseen = {*start.config.held_out, *start.config.validation}
    here = {*material.held_out, *material.validation}
    if start.config.trained_on == material.assembly and (seen := sorted(here - unseen)):
        raise InputError(
            f"{name} learned from {seen[0]} of {material.assembly}, which is held out "
            f"here; hold out {', '.join(sorted(unseen)) or 'nothing'}"
        )
    return start


def validation_windows(
    joined: NDArray[np.uint8], training: Training
) -> NDArray[np.uint8]:
    """Return evenly spaced windows of the validation codes, ``(windows, window)``."""
    n = min(training.validation_windows, len(joined) // training.window)
    if n == 0:
        raise InputError(
            f"the validation contigs have {len(joined)} bp, less than one window of "
            f"{training.window}; name a longer one"
        )
    starts = np.linspace(0, len(joined) - training.window, n).astype(np.int64)
    windows: NDArray[np.uint8] = joined[starts[:, None] + np.arange(training.window)]
    return windows


def optimizers(
    network: LanguageNetwork, training: Training
) -> list[tuple[torch.optim.Optimizer, float]]:
    """Return the optimizers with their peak rates."""
    matrices = [
        value for name, value in network.named_parameters()
        if value.ndim == 2 and name not in ("words.weight", "out")
    ]  # fmt: skip
    taken = {id(value) for value in matrices}
    rest = [value for value in network.parameters() if id(value) not in taken]
    return [
        (
            torch.optim.Muon(
                matrices, lr=training.matrix_rate, weight_decay=training.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            ),
            training.matrix_rate,
        ),
        (
            torch.optim.AdamW(
                rest, lr=training.other_rate, betas=(0.9, 0.98), weight_decay=0.0
            ),
            training.other_rate,
        ),
    ]  # fmt: skip


class Pretraining:
    """One run: its network, optimizers, random state, and how far it has come.

    Parameters
    ----------
    out
        Folder of the best model, the checkpoint and the log.
    start
        Model of the same shape to go on from; None starts at random.
    """

    def __init__(
        self, config: LanguageConfig, training: Training, corpus: Corpus,
        validation: NDArray[np.uint8], out: Path, start: LanguageModel | None = None,
    ) -> None:  # fmt: skip
        self.training, self.corpus, self.out = training, corpus, out
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision="bf16" if training.bfloat16 else "no",
        )
        rng = torch.Generator().manual_seed(training.seed)
        self.network = LanguageNetwork(config, rng)
        if start is not None:
            self.network.load_state_dict(start.network.state_dict())
        self.network.set_dropout(training.dropout)
        if training.bfloat16:
            self.network.stream_dtype = torch.bfloat16
        self.rng = np.random.default_rng(
            [training.seed, self.accelerator.process_index]
        )
        self.network.to(self.accelerator.device)
        self.optimizers = optimizers(self.network, training)
        # Under several processes the wrapper sums gradients; alone it would only cost.
        self.wrapped: Any = (
            self.accelerator.prepare(self.network)
            if self.accelerator.num_processes > 1
            else self.network
        )
        self.validation = torch.from_numpy(validation.astype(np.int64))
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.best, self.since_best = math.inf, 0
        self.loss = torch.compile(self._loss) if training.compiled else self._loss
        self.average = {
            name: value.detach().clone()
            for name, value in self.network.state_dict().items()
        }

    def _loss(
        self, codes: torch.Tensor, weights: torch.Tensor, hidden: torch.Tensor,
        seen: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        with torch.autocast(
            self.accelerator.device.type, torch.bfloat16, enabled=self.training.bfloat16
        ):
            return pretraining_loss(self.wrapped, codes, weights, hidden, seen)

    def run(self, report: Callable[[int, str], None]) -> float:
        """Train to the end; return the best validation loss in bits a base."""
        devices = [self.accelerator.device] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices):  # dropout has no generator of its own
            return self._run(report)

    def _run(self, report: Callable[[int, str], None]) -> float:
        self._resume()
        training = self.training
        # Compiling takes a minute; it is no part of the time given for training.
        self._backward(*self._tensors(self.validation[: training.batch].numpy()))
        self.network.zero_grad()
        self._seed_dropout()
        began, train_bits = time.monotonic() - self.seconds, []
        while True:
            self.seconds = time.monotonic() - began
            done = max(
                self.seconds / (60 * training.minutes), self.step / training.steps
            )
            if done >= 1 or self.since_best >= training.patience:
                break
            train_bits.append(self._learn(training.rate(done, self.step)))
            self.step += 1
            self.tokens += (
                training.batch * training.window * self.accelerator.num_processes
            )
            if self.step % training.every == 0:
                self._record(_mean_bits(train_bits), training.rate(done, self.step))
                train_bits = []
                self._seed_dropout()
            report(int(self.seconds), f"step {self.step}, best {self.best:.4f} bits")
        if train_bits:
            self._record(_mean_bits(train_bits), 0.0)
        return self.best

    def _seed_dropout(self) -> None:
        """Start dropout's stream anew, so that a resumed run draws as an unbroken one."""
        words = f"{self.training.seed} {self.step} {self.accelerator.process_index}"
        seed = int.from_bytes(hashlib.sha256(words.encode()).digest()[:6], "big")
        torch.manual_seed(seed)  # noqa: TID251

    def _learn(self, rate: float) -> torch.Tensor:
        training = self.training
        self.network.train()
        codes, weights = self.corpus.sample(self.rng, training.batch, training.window)
        noise = training.noise * rate
        loss = self._backward(*self._tensors(codes, weights, self.rng, noise))
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate
            optimizer.step()
            optimizer.zero_grad()
        self._average()
        return loss

    def _average(self) -> None:
        if not self.training.average:
            return
        move_mean(
            self.average, self.network.state_dict(),
            decay=self.training.average, steps=self.step,
        )  # fmt: skip

    def _backward(self, *batch: torch.Tensor) -> torch.Tensor:
        """Add one batch's gradients; return its loss in nats a base."""
        loss: torch.Tensor = self.loss(*batch)
        self.accelerator.backward(loss)
        return loss.detach()

    def _tensors(
        self, codes: NDArray[np.uint8] | NDArray[np.int64],
        weights: NDArray[np.float32] | None = None,
        rng: np.random.Generator | None = None, noise: float = 0.0,
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        """Return codes, weights (default 1), hidden bases and what is read, on the device.

        Without a generator nothing but the masked objective's bases is drawn, and those
        always alike.
        """
        weights = np.ones(codes.shape, np.float32) if weights is None else weights
        codes, seen = codes.astype(np.uint8), codes.astype(np.uint8)
        if rng is not None and noise:
            wrong = (rng.random(codes.shape) < noise) & (codes < N_BASES)
            turn = rng.integers(1, N_BASES, int(wrong.sum()), dtype=np.uint8)
            seen[wrong] = (seen[wrong] + turn) % N_BASES
        rng = rng or np.random.default_rng(0)
        hidden = np.zeros(codes.shape, bool)
        if self.network.config.objective == "masked":
            hidden = rng.random(codes.shape) < self.network.config.mask_share
        device = self.accelerator.device
        return (
            torch.from_numpy(codes).to(device).long(),
            torch.from_numpy(weights).to(device),
            torch.from_numpy(hidden).to(device),
            torch.from_numpy(seen).to(device).long(),
        )

    def validate(self) -> float:
        """Return bits a base on the validation windows, each base counted alike."""
        losses, batch = [], self.training.batch
        self.network.eval()
        with torch.no_grad():
            for first in range(0, len(self.validation), batch):
                codes = self.validation[first : first + batch].numpy()
                losses.append(self._loss(*self._tensors(codes)).item() * len(codes))
        return sum(losses) / len(self.validation) / math.log(2)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights into the network for a while, if there are any."""
        if not self.training.average:
            yield
            return
        last = {n: v.detach().clone() for n, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        try:
            yield
        finally:
            self.network.load_state_dict(last)

    def _record(self, train_bits: float, rate: float) -> None:
        """Evaluate, log, keep the best model, and write the checkpoint.

        Raises
        ------
        InputError
            The loss is not a number any more; what was kept before stays.
        """
        if not math.isfinite(train_bits):
            raise InputError(
                f"training diverged before step {self.step}: lower matrix_rate or "
                f"other_rate; the best model so far is in {self.out}"
            )
        is_main = self.accelerator.is_main_process
        if is_main:
            self.out.mkdir(parents=True, exist_ok=True)
        with self.averaged():
            bits = self.validate()
            self.since_best += 1
            if bits < self.best:
                self.best, self.since_best = bits, 0
                if is_main:
                    save_language_model(self.network, self.out, self._card())
        if not is_main:
            return
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizers": [each.state_dict() for each, _ in self.optimizers],
            "rng": self.rng.bit_generator.state,
            "corpus": self.corpus.digest,
            "step": self.step, "tokens": self.tokens, "seconds": self.seconds,
            "best": self.best, "since_best": self.since_best,
        }  # fmt: skip
        beside = self.out / f".{CHECKPOINT_FILE}"
        torch.save(state, beside)
        log = self.out / LOG_FILE
        is_new = not log.exists()
        with log.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(_COLUMNS)
            writer.writerow([
                self.step, self.tokens, round(self.seconds, 1), round(train_bits, 5),
                round(bits, 5), round(rate, 5),
            ])  # fmt: skip
        beside.rename(self.out / CHECKPOINT_FILE)

    def _resume(self) -> None:
        file = self.out / CHECKPOINT_FILE
        if not file.is_file():
            return
        state = torch.load(
            file, map_location=self.accelerator.device, weights_only=False
        )
        if state["corpus"] != self.corpus.digest:
            raise InputError(
                f"{file} belongs to a run on other sequence; give another --out, or "
                f"delete it to begin anew"
            )
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        for (optimizer, _), kept in zip(
            self.optimizers, state["optimizers"], strict=True
        ):
            optimizer.load_state_dict(kept)
        self.rng.bit_generator.state = state["rng"]
        self.step, self.tokens = state["step"], state["tokens"]
        self.seconds = state["seconds"]
        self.best, self.since_best = state["best"], state["since_best"]

    def _card(self) -> str:
        config, kept = self.network.config, sum(a.kept for a in self.corpus.accounts)
        rows = "\n".join(
            f"| {a.assembly} | {a.total:,} | {a.held_out_by_name:,} | "
            f"{a.held_out_by_alignment:,} | {a.held_out_by_word:,} | {a.unknown:,} | {a.too_short:,} | {a.kept:,} |"
            for a in self.corpus.accounts
        )
        n = sum(value.numel() for value in self.network.parameters())
        return f"""# {config.name}

Nucleotide language model, {config.objective} objective, {n:,} parameters
({self.network.words.weight.numel():,} of them the table of {config.kmer}-mers), reach
{config.reach_bp} bp on each side. Written by `python -m encoders.pretrain`.

* Trained on {kept:,} bp; {self.tokens:,} bases read in {self.step:,} steps,
  {self.seconds / 60:.0f} minutes, on {_device_name(self.accelerator.device)}; {_started(self.training)}.
* Held out for testing: {", ".join(config.held_out) or "nothing"}; for early stopping:
  {", ".join(config.validation) or "nothing"}; with everything that aligns to them or
  shares a word of {WORD_BP} bases, from any contig of any assembly.
* Bits a base on the validation contigs (windows of {self.training.window} bp): {self.best:.4f}.

| assembly | bp | held out by name | by alignment | by word | unknown | too short | learned from |
|---|---|---|---|---|---|---|---|
{rows}
"""


def _mean_bits(losses: list[torch.Tensor]) -> float:
    return float(torch.stack(losses).mean().item()) / math.log(2)


def _started(training: Training) -> str:
    name = Path(training.start_from).name
    return (
        f"weights started as those of {name}" if name else "weights started at random"
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


@app.command()
def pretrain(
    workspace: WorkspaceOption = "workspace",
    config: Annotated[
        Path | None, typer.Option(help="TOML with [model] and [training].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Default: <workspace>/models/language.")
    ] = None,
    held_out: Annotated[
        str | None, typer.Option(help="Test contigs, by comma; never seen in training.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Contigs that decide when to stop, by comma.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Longest training time.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights and of windows.")] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            help="Go on from a model: its folder, or the name of a shipped one."
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(
            help="A corpus.npz that --corpus-only wrote: no workspace is needed."
        ),
    ] = None,
    corpus_only: Annotated[
        bool, typer.Option(help="Cut the sequence, write corpus.npz, train nothing.")
    ] = False,
) -> None:
    """Train on the registered genome and relatives; run it again to go on.

    A GPU is used where there is one. Several: `accelerate launch -m encoders.pretrain …`.
    On CPU, set MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=17179869184 for
    speed.

    Example:

        python -m encoders.pretrain -w yeast --held-out chrV,chrXV --validation chrXI

        python -m encoders.pretrain -w yeast --held-out chrV --corpus-only

        python -m encoders.pretrain --corpus corpus.npz --out model    # elsewhere

        python -m encoders.pretrain -w rice --start-from plant_lm --minutes 30
    """
    model, training = read_config(config) if config else (LanguageConfig(), Training())
    training = replace(
        training, minutes=minutes or training.minutes,
        seed=training.seed if seed is None else seed,
        start_from=start_from or training.start_from,
    )  # fmt: skip
    if corpus is None:
        test = tuple(held_out.split(",")) if held_out else model.held_out
        chosen = tuple(validation.split(",")) if validation else model.validation
        material = _registered_material(Path(workspace), test, chosen)
    elif held_out or validation:
        raise InputError(
            "--held-out and --validation were decided when the corpus was cut: leave "
            "them away beside --corpus"
        )
    else:
        material, _ = Material.read(corpus)
    accounts = material.corpus.accounts
    show_table(
        "Sequence to learn from, bp", list(asdict(accounts[0])),
        [[str(v) for v in asdict(a).values()] for a in accounts],
    )  # fmt: skip
    if corpus_only:
        say(f"{Path(workspace) / 'models' / 'corpus' / MATERIAL_FILE}")
        return
    start = None
    if training.start_from:
        start = starting_model(training.start_from, model, material)
        model = replace(start.config, name=model.name)
    model = replace(
        model, held_out=material.held_out, validation=material.validation,
        trained_on=material.assembly, training=asdict(training),
    )  # fmt: skip
    out = out or Path(workspace) / "models" / "language"
    windows = validation_windows(material.watched, training)
    run = Pretraining(model, training, material.corpus, windows, out, start)
    with count_reporter("pre-training", "s", int(60 * training.minutes)) as report:
        best = run.run(report)
    say(f"best validation loss {best:.4f} bits a base; model in {out}")


def _registered_material(
    workspace: Path, held_out: tuple[str, ...], validation: tuple[str, ...]
) -> Material:
    """Return the workspace's sequence without what is held out."""
    from data_registry.relatives import Registered
    from data_registry.store import open_store

    with open_store(workspace) as store:
        registered = Registered.of(store)
    lengths = registered.genome.lengths
    validation = validation or (_middling(lengths, set(held_out)),)
    if unknown := sorted({*held_out, *validation} - set(lengths)):
        raise InputError(
            f"contig {unknown[0]!r} is not in the genome: {', '.join(list(lengths)[:20])}"
        )
    with step_reporter("cutting out held-out sequence") as step:
        return load_material(
            registered, held_out, validation, workspace / "models" / "corpus", step
        )


def _middling(lengths: Mapping[str, int], taken: set[str]) -> str:
    """Return the contig of median length among those left: the default for validation."""
    left = sorted((bp, name) for name, bp in lengths.items() if name not in taken)
    if len(left) < 2:
        raise InputError("the genome has too few contigs: give --validation")
    return left[len(left) // 2][1]


if __name__ == "__main__":
    run_app(app)
