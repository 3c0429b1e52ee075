"""Embed the nodes of a workspace's graph; what did not change is not computed again."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from data_registry.console import (
    WorkspaceOption,
    count_reporter,
    new_app,
    run_app,
    say,
    show_table,
)
from data_registry.errors import InputError, MissingLayerError
from data_registry.genome import Genome
from data_registry.store import Store, open_store
from data_registry.workspace import Workspace
from encoders.cache import EncoderRecord, Outcome, digest_of, embed_cached
from encoders.expression import (
    COMPONENTS,
    ExpressionEncoder,
    GeneTokenEncoder,
    Matrix,
    read_matrices,
)
from encoders.model_folders import open_sequence_model
from encoders.motifs import MotifEncoder, pooled
from encoders.nucleotides import encode, reverse_complement
from encoders.protein import ProteinEncoder, read_proteins
from encoders.sequence_model import SequenceModel
from encoders.signals import SignalEncoder, Window
from encoders.text import TextEncoder, minilm_folder
from graph_builder.manifest import Manifest, current_graph, read_manifest

Floats = NDArray[np.float32]

app = new_app("Embed the nodes of a workspace's graph.")


class What(StrEnum):
    """What the vectors are made of."""

    TEXT = "text"
    MOTIF = "motif"
    EXPRESSION = "expression"
    SIGNAL = "signal"
    PROTEIN = "protein"
    SEQUENCE = "sequence"
    GENE_TOKEN = "gene-token"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Task:
    """One file to be brought up to date.

    Parameters
    ----------
    inputs
        Node to all that its vector depends on.
    left_out
        Nodes without an input, by reason.
    keep
        Writes what was fitted into the encoder's folder.
    """

    encoder: EncoderRecord
    node_type: str
    inputs: Mapping[str, bytes | str]
    compute: Callable[[Sequence[str]], Floats]
    left_out: Counter[str]
    keep: Callable[[Path], None] = lambda _folder: None


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says of the encoder."""

    model: Path | None
    allow_remote_code: bool
    device: str
    dataset: str | None
    track: str | None
    tensor: str | None
    window_bp: int
    components: int


@app.command()
def embed(
    what: Annotated[What, typer.Option(help="What the vectors are made of.")],
    workspace: WorkspaceOption = "workspace",
    *,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the model: text (default MiniLM), protein, sequence "
            "(default models/language of the workspace), gene-token."
        ),
    ] = None,
    allow_remote_code: Annotated[
        bool,
        typer.Option(
            "--allow-remote-code", help="Run the code that lies in the folder."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    dataset: Annotated[
        str | None, typer.Option(help="Expression data set; by default each.")
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="bigWig track; by default each.")
    ] = None,
    tensor: Annotated[
        str | None, typer.Option(help="Tensor of the genes' vectors (gene-token).")
    ] = None,
    window_bp: Annotated[
        int, typer.Option(help="Bases around a gene's start or an element (sequence).")
    ] = 1_000,
    components: Annotated[
        int, typer.Option(help="Principal components (expression).")
    ] = COMPONENTS,
) -> None:
    """Write embeddings/<encoder digest>/<node type>.parquet for the workspace's nodes.

    Example:

        python -m encoders.embed --workspace rice --what motif
    """
    options = Options(
        model, allow_remote_code, device, dataset, track, tensor, window_bp, components
    )
    place = Workspace(Path(workspace))
    graph = _graph(place)
    rows = []
    left_out: Counter[tuple[str, str]] = Counter()
    with open_store(place.path) as store:
        for task in _TASKS[what](store, graph, options):
            outcome = _run(place, task)
            rows.append(
                (
                    task.encoder.name,
                    task.node_type,
                    f"{len(task.inputs):,}",
                    f"{outcome.n_computed:,}",
                    f"{outcome.n_reused:,}",
                    f"{outcome.n_removed:,}",
                    outcome.path.relative_to(place.path),
                )
            )
            for reason, n in task.left_out.items():
                left_out[task.node_type, reason] += n
    show_table(
        f"embeddings: {what}",
        ("encoder", "nodes of", "embedded", "computed", "reused", "removed", "file"),
        rows,
    )
    for (node_type, reason), n in sorted(left_out.items()):
        say(f"left out: {n:,} of {node_type}: {reason}")


def _run(place: Workspace, task: Task) -> Outcome:
    title = f"{task.encoder.name}, {task.node_type}"
    with count_reporter(title, "inputs") as report:
        outcome = embed_cached(
            place.path / "embeddings",
            task.encoder,
            task.node_type,
            task.inputs,
            task.compute,
            lambda done, total: report(done, f"of {total:,}"),
        )
    task.keep(outcome.path.parent)
    return outcome


def _graph(place: Workspace) -> Manifest:
    place.require()
    folder = current_graph(place.graph)
    if folder is None:
        raise MissingLayerError(
            f"{place.path} holds no graph, so there are no nodes to embed; build it: "
            f"cisgraph build --workspace {place.path}"
        )
    return read_manifest(folder)


def _nodes(graph: Manifest, node_type: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return rows of identifier and columns."""
    table = graph.table(node_type).select(["identifier", *columns])
    return list(
        zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
    )


def _text_tasks(store: Store, graph: Manifest, options: Options) -> list[Task]:  # noqa: ARG001
    encoder = TextEncoder(
        options.model or minilm_folder(),
        allow_remote_code=options.allow_remote_code,
        device=options.device,
    )
    record = EncoderRecord(
        encoder.name, "text", encoder.digest, {"n_tokens": encoder.n_tokens}
    )
    tasks = []
    for node_type, columns in (
        ("text", ("title", "text")),
        ("pathway", ("name",)),
        ("phenotype", ("name",)),
    ):
        texts: dict[str, bytes | str] = {}
        left_out: Counter[str] = Counter()
        for identifier, *parts in _nodes(graph, node_type, *columns):
            text = ". ".join(part.strip() for part in parts if part and part.strip())
            if text:
                texts[identifier] = text
            else:
                left_out["no text"] += 1

        def compute(names: Sequence[str], texts: Mapping[str, Any] = texts) -> Floats:
            return encoder.embed([texts[name] for name in names])

        tasks.append(Task(record, node_type, texts, compute, left_out))
    return tasks


def _motif_tasks(store: Store, graph: Manifest, options: Options) -> list[Task]:  # noqa: ARG001
    encoder = MotifEncoder()
    by_tf: dict[str, list[NDArray[np.float64]]] = {}
    for tf, values in store.connection.execute(
        "SELECT tf, matrix FROM motifs WHERE tf IS NOT NULL AND tf <> '' "
        "ORDER BY tf, motif_id, matrix"
    ).fetchall():
        matrix = np.asarray(values, np.float64).reshape(-1, 4)
        by_tf.setdefault(tf, []).append(matrix / matrix.sum(axis=1, keepdims=True))
    matrices: dict[str, list[NDArray[np.float64]]] = {}
    left_out: Counter[str] = Counter()
    for identifier, names in _nodes(graph, "tf", "names"):
        found = [m for name in sorted(names.split("\t")) for m in by_tf.get(name, [])]
        if found:
            matrices[identifier] = found
        else:
            left_out["no motif"] += 1

    def compute(names: Sequence[str]) -> Floats:
        return np.stack([pooled(encoder.embed(matrices[name])) for name in names])

    inputs = {
        name: b"|".join(np.round(m, 9).tobytes() for m in found)
        for name, found in matrices.items()
    }
    record = EncoderRecord(encoder.name, "motif", encoder.digest, {})
    return [Task(record, "tf", inputs, compute, left_out)]


def _expression_tasks(store: Store, graph: Manifest, options: Options) -> list[Task]:
    genes = {name for (name,) in _nodes(graph, "gene")}
    return [
        _expression_task(matrix, genes, options.components)
        for matrix in read_matrices(store, options.dataset)
    ]


def _expression_task(matrix: Matrix, genes: set[str], components: int) -> Task:
    encoder = ExpressionEncoder.fit(matrix, components)
    row = {gene: i for i, gene in enumerate(matrix.genes)}
    here = [gene for gene in matrix.genes if gene in genes]
    left_out = Counter({"not in this data set": len(genes) - len(here)})

    def compute(names: Sequence[str]) -> Floats:
        return encoder.embed(matrix.values[[row[name] for name in names]])

    inputs = {gene: matrix.values[row[gene]].toarray().tobytes() for gene in here}
    record = EncoderRecord(
        f"expression-{matrix.dataset}", "expression", encoder.digest,
        {"dataset": matrix.dataset, "unit": matrix.unit, "width": encoder.width,
         "explained": [round(float(x), 6) for x in encoder.explained]},
    )  # fmt: skip
    return Task(
        record, "gene", inputs, compute, +left_out,
        keep=lambda folder: encoder.save(folder / "fit.safetensors"),
    )  # fmt: skip


def _signal_tasks(store: Store, graph: Manifest, options: Options) -> list[Task]:
    rows = store.connection.execute(
        "SELECT DISTINCT track, path FROM tracks ORDER BY track"
    ).fetchall()
    chosen = [(name, path) for name, path in rows if options.track in (None, name)]
    if not chosen:
        raise MissingLayerError(
            f"no bigWig track {options.track or ''} is registered (there are: "
            f"{', '.join(name for name, _ in rows) or 'none'}); add one: "
            "'cisgraph add SIGNAL.bw'"
        )
    windows = {
        "gene": {
            name: Window(contig, tss, "-" if strand == "-" else "+")
            for name, contig, tss, strand in _nodes(
                graph, "gene", "contig", "tss", "strand"
            )
        },
        "cre": {
            name: Window(contig, (start + end) // 2)
            for name, contig, start, end in _nodes(
                graph, "cre", "contig", "start", "end"
            )
        },
    }
    return [
        _signal_task(name, store.workspace.path / path, node_type, of_type)
        for name, path in chosen
        for node_type, of_type in windows.items()
    ]


def _signal_task(
    name: str, path: Path, node_type: str, windows: Mapping[str, Window]
) -> Task:
    encoder = SignalEncoder(path)
    here = {n: w for n, w in windows.items() if w.contig in encoder.lengths}
    left_out = Counter({"contig not in the track": len(windows) - len(here)})

    def compute(names: Sequence[str]) -> Floats:
        return encoder.embed([here[n] for n in names])

    record = EncoderRecord(f"signal-{name}", "signal", encoder.digest, {"track": name})
    inputs = {n: repr(window) for n, window in here.items()}
    return Task(record, node_type, inputs, compute, +left_out)


def _protein_tasks(store: Store, graph: Manifest, options: Options) -> list[Task]:
    if options.model is None:
        raise InputError(
            "--what protein needs --model FOLDER: ESM-2 or ProtBERT, downloaded from "
            "facebook/esm2_t6_8M_UR50D or Rostlab/prot_bert"
        )
    encoder = ProteinEncoder(
        options.model,
        allow_remote_code=options.allow_remote_code,
        device=options.device,
    )
    proteins = read_proteins(store)
    genes = {name for (name,) in _nodes(graph, "gene")}
    sequences = {g: s for g, s in proteins.sequences.items() if g in genes and s}
    record = EncoderRecord(
        encoder.name, "protein", encoder.digest, {"window": encoder.window}
    )

    def compute(names: Sequence[str]) -> Floats:
        return encoder.embed([sequences[name] for name in names])

    return [Task(record, "gene", sequences, compute, proteins.left_out)]


def _sequence_tasks(store: Store, graph: Manifest, options: Options) -> list[Task]:
    folder = options.model or store.workspace.models / "language"
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not there: train a language model (python -m "
            "encoders.pretrain), or give --model FOLDER"
        )
    model = open_sequence_model(
        folder, allow_remote_code=options.allow_remote_code, device=options.device
    )
    if options.window_bp < 1:
        raise InputError(f"--window-bp {options.window_bp}: give at least 1")
    genome = store.genome()
    record = EncoderRecord(
        f"{model.name}-mean-{options.window_bp}bp",
        "sequence",
        digest_of("sequence", "1", model.digest, options.window_bp),
        {"model": model.name, "model_digest": model.digest,
         "window_bp": options.window_bp},
    )  # fmt: skip
    genes = _nodes(graph, "gene", "contig", "tss", "strand")
    cres = _nodes(graph, "cre", "contig", "start", "end")
    half = options.window_bp // 2
    places = {
        "gene": {n: (c, tss - half, tss - half + options.window_bp, s == "-")
                 for n, c, tss, s in genes},
        "cre": {n: (c, (a + b) // 2 - half, (a + b) // 2 - half + options.window_bp,
                    False) for n, c, a, b in cres},
    }  # fmt: skip
    return [
        _sequence_task(model, genome, record, node_type, of_type)
        for node_type, of_type in places.items()
    ]


def _sequence_task(
    model: SequenceModel,
    genome: Genome,
    record: EncoderRecord,
    node_type: str,
    places: Mapping[str, tuple[str, int, int, bool]],
) -> Task:
    texts: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    for name, (contig, start, end, reverse) in places.items():
        if contig not in genome:
            left_out["contig not in the genome"] += 1
            continue
        bases = genome.fetch_inside(contig, start, end)
        if not bases.strip("N"):
            left_out["no known base"] += 1
            continue
        texts[name] = ("-" if reverse else "+") + bases

    def compute(names: Sequence[str]) -> Floats:
        vectors = []
        for name in names:
            codes = encode(texts[name][1:])
            if texts[name][0] == "-":
                codes = reverse_complement(codes)
            vectors.append(model.embed(codes).mean(axis=0))
        return np.stack(vectors)

    return Task(record, node_type, texts, compute, left_out)


def _gene_token_tasks(store: Store, graph: Manifest, options: Options) -> list[Task]:
    if options.model is None:
        raise InputError("--what gene-token needs --model FOLDER (scBERT, scGPT, …)")
    encoder = GeneTokenEncoder(options.model, tensor=options.tensor)
    genes = sorted(name for (name,) in _nodes(graph, "gene"))
    # The model's own gene names may be symbols or older identifiers.
    resolved = store.gene_names().resolve(encoder.rows).known
    token = {gene: name for name, gene in sorted(resolved.items(), reverse=True)}
    token |= {gene: gene for gene in genes if gene in encoder.rows}
    inputs = {gene: token[gene] for gene in genes if gene in token}
    left_out = Counter({"not in the model's vocabulary": len(genes) - len(inputs)})

    def compute(names: Sequence[str]) -> Floats:
        vectors, _ = encoder.embed([token[name] for name in names])
        return vectors

    record = EncoderRecord(
        encoder.name, "gene-token", encoder.digest, {"tensor": encoder.tensor}
    )
    return [Task(record, "gene", inputs, compute, +left_out)]


_TASKS: dict[What, Callable[[Store, Manifest, Options], list[Task]]] = {
    What.TEXT: _text_tasks,
    What.MOTIF: _motif_tasks,
    What.EXPRESSION: _expression_tasks,
    What.SIGNAL: _signal_tasks,
    What.PROTEIN: _protein_tasks,
    What.SEQUENCE: _sequence_tasks,
    What.GENE_TOKEN: _gene_token_tasks,
}


def main() -> None:
    """Run the command."""
    run_app(app)


if __name__ == "__main__":
    main()
