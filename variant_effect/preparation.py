"""What scoring needs from a workspace, worked out once and kept by digest.

``models/consequence-<digest>/`` holds the canonical GFF, ``models/markov-<digest>/`` the
Markov model and the scores of random changes, ``models/language-background-<digest>/``
the language model's scores of such changes. A digest covers the genome, the annotation
and the code's version, so a changed source is never answered with an old model.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_registry.canonical_gff import decode_identifier, write_canonical_gff
from data_registry.contigs import ContigNames
from data_registry.genome import Genome
from data_registry.normalisation import Alleles, normalise
from data_registry.relatives import Registered
from data_registry.store import Store
from data_registry.translation import parse_codon_tables
from data_registry.workspace import Workspace, sha256_of, write_folder
from graph_builder.manifest import current_graph
from variant_effect.alleles import SMALL, AlleleTable
from variant_effect.consequences import (
    ConsequenceCaller,
    GeneBlocks,
    TranscriptSpans,
)
from variant_effect.dense_track import TILES_FILE, track_folder
from variant_effect.language_background import build_background
from variant_effect.markov import Background, Classify, MarkovModel
from variant_effect.material import Material
from variant_effect.scorers.markov import background_class
from variant_effect.scorers.prior import model_file
from variant_effect.trained_models import (
    KINDS,
    TrainedModel,
    find_model,
    missing_library,
    open_language,
)

GFF_FILE = "canonical.gff3"
BACKGROUND_FILE = "background.parquet"
TELL_EVERY_S = 10.0
"""Between two steps told of one long work."""
LEFT_OUT_FILE = "left_out_transcripts.tsv"
BACKGROUND_SEED = 20_261_121
BACKGROUND_SNVS = 1_500_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """Paths and names that let any process open the material for scoring.

    Parameters
    ----------
    digest
        Covers everything a score depends on: all current sources, the graph, the code.
    """

    workspace: Path
    assembly: str
    genome: Path
    contig_names: ContigNames
    consequence: Path
    markov: Path
    codon_tables: dict[str, int]
    graph: Path | None
    genome_sha256: str
    language_background: Path | None
    digest: str

    def open(
        self, connection: duckdb.DuckDBPyConnection, *, lm_distance: bool = False
    ) -> Material:
        """Load the material in this process; ``lm_distance`` as in ``Material``."""
        genome = Genome(self.assembly, self.genome)
        return Material(
            workspace=self.workspace,
            connection=connection,
            genome=genome,
            contig_names=self.contig_names,
            caller=make_caller(
                connection, genome, self.consequence / GFF_FILE, self.codon_tables
            ),
            markov=MarkovModel.load(self.markov / "model.npz"),
            background=Background.load(self.markov / BACKGROUND_FILE),
            graph=self.graph,
            genome_sha256=self.genome_sha256,
            language_background=self.language_background,
            lm_distance=lm_distance,
        )


def prepare(
    store: Store, *, on_step: Callable[[str], None] = lambda _: None
) -> Prepared:
    """Fit and write what is missing; return where everything stands.

    Raises
    ------
    MissingLayerError
        No genome is registered. (Without an annotation every allele is intergenic.)
    """
    workspace = store.workspace
    sources = store.sources()
    genome = store.genome()
    code = version("cisgraph")
    of_kind = {
        kind: sorted((s.sha256, json.dumps(s.options, sort_keys=True)) for s in sources
                     if s.kind == kind)
        for kind in ("genome", "annotation", "contig_synonyms")
    }  # fmt: skip
    codon_tables: dict[str, int] = {}
    for source in sources:
        if source.kind == "annotation":
            given = parse_codon_tables(source.options.get("codon_tables", ""))
            resolved = store.contig_names().resolve(given)
            codon_tables |= {own: given[n] for n, own in resolved.items() if own}
    layers = _digest([of_kind, code])
    consequence = workspace.models / f"consequence-{layers[:16]}"
    if not (consequence / GFF_FILE).is_file():
        on_step("writing the canonical gene models")
        write_folder(consequence, lambda folder: _write_models(store, genome, folder))
    markov = workspace.models / f"markov-{layers[:16]}"
    if not (markov / BACKGROUND_FILE).is_file():
        on_step("fitting the Markov model and its background")
        caller = make_caller(
            store.connection, genome, consequence / GFF_FILE, codon_tables
        )
        write_folder(markov, lambda folder: _fit(genome, caller, folder))
    language = find_model(workspace.path, "language")
    background = None
    if language is not None and not missing_library():
        key = _digest([layers, language.digest])
        background = workspace.models / f"language-background-{key[:16]}"
        if not (background / BACKGROUND_FILE).is_file():
            on_step("scoring random changes with the language model")
            caller = make_caller(
                store.connection, genome, consequence / GFF_FILE, codon_tables
            )
            _score_random_changes(language, genome, caller, background, on_step)
    genome_sha256 = next(s.sha256 for s in sources if s.kind == "genome")
    graph = current_graph(workspace.graph)
    relatives = Registered.of(store)
    aligned = relatives.digest if relatives.is_aligned else ""
    everything = [
        sorted((s.name, s.kind, s.sha256, json.dumps(s.options, sort_keys=True),
                json.dumps(s.columns, sort_keys=True)) for s in sources),
        graph.name if graph else "", aligned, _models(workspace), code,
        _state_of_models(workspace.path, genome_sha256),
    ]  # fmt: skip
    return Prepared(
        workspace.path, genome.assembly, genome.path, store.contig_names(), consequence,
        markov, codon_tables, graph, genome_sha256, background, _digest(everything),
    )  # fmt: skip


def _models(workspace: Workspace) -> list[tuple[str, str]]:
    """Return name and checksum of every trained model that scores depend on."""
    return [
        (file.parent.name, hashlib.sha256(file.read_bytes()).hexdigest())
        for pattern in ("*/config.json", "*/model.safetensors", "*/model.json")
        for file in sorted(workspace.models.glob(pattern))
    ]


def make_caller(
    connection: duckdb.DuckDBPyConnection,
    genome: Genome,
    gff: Path,
    codon_tables: dict[str, int],
) -> ConsequenceCaller:
    """Read transcripts and genes into a consequence caller."""
    transcripts = connection.execute(
        "SELECT transcript_id, gene_id, is_canonical FROM transcripts ORDER BY ALL"
    ).df()
    genes = connection.execute(
        'SELECT DISTINCT ON (gene_id) gene_id, symbol, contig, start, "end", strand '
        "FROM genes ORDER BY gene_id, contig, start"
    ).df()
    spans: dict[
        str,
        tuple[
            NDArray[np.int64], NDArray[np.int64], NDArray[np.int8], NDArray[np.int64]
        ],
    ] = {}
    for contig, group in genes.groupby("contig", sort=True):
        ordered = group.sort_values(["start", "end", "gene_id"])
        spans[str(contig)] = (
            ordered["start"].to_numpy(np.int64),
            ordered["end"].to_numpy(np.int64),
            np.where(ordered["strand"] == "-", -1, 1).astype(np.int8),
            ordered.index.to_numpy(np.int64),
        )
    usable = _transcripts_in(gff)
    rows = connection.execute(
        'SELECT transcript_id, contig, start, "end", strand, cds_length FROM transcripts'
    ).df()
    parts = connection.execute(
        "SELECT transcript_id, contig, start, \"end\" FROM features WHERE kind = 'exon'"
    ).df()
    rows = rows[rows["transcript_id"].isin(usable)]
    parts = parts[parts["transcript_id"].isin(usable)]
    exons_of = dict(iter(parts.groupby("contig")))
    held = {
        str(contig): TranscriptSpans.of(group, exons_of.get(contig, parts.iloc[:0]))
        for contig, group in rows.groupby("contig", sort=True)
    }
    canonical = transcripts.loc[transcripts["is_canonical"].isin([True])]
    return ConsequenceCaller(
        fasta=genome.path,
        genes=GeneBlocks.read(gff),
        gene_of=dict(
            zip(transcripts["transcript_id"], transcripts["gene_id"], strict=True)
        ),
        canonical=frozenset(canonical["transcript_id"]),
        spans=spans,
        gene_ids=genes["gene_id"].tolist(),
        symbols=dict(zip(genes["gene_id"], genes["symbol"].fillna(""), strict=True)),
        codon_tables=codon_tables,
        transcripts=held,
    )


def _transcripts_in(gff: Path) -> set[str]:
    """Identifiers of the transcripts that the canonical GFF holds."""
    found = re.findall(r"ID=transcript:([^;\n]+)", gff.read_text())
    return {decode_identifier(name) for name in found}


def table_of(contig: str, genome: Genome, minimal: Alleles) -> AlleleTable:
    """Make a table of already checked alleles of one contig (minimal form)."""
    import pyarrow as pa

    n = len(minimal)
    contigs = tuple(genome)
    both = normalise(genome.contig(contig), minimal.start, minimal.ref, minimal.alt)
    empty = pa.array([""] * n)
    return AlleleTable(
        source_record=np.arange(n, dtype=np.int32),
        record=np.arange(n, dtype=np.int32),
        alt_index=np.ones(n, np.int16),
        chrom=empty,
        pos=minimal.start + 1,
        ref=empty,
        alt=empty,
        contig=np.full(n, contigs.index(contig), np.int32),
        contigs=contigs,
        status=np.zeros(n, np.uint8),
        lane=np.full(n, SMALL, np.uint8),
        start=both.minimal.start,
        min_ref=both.minimal.ref,
        min_alt=both.minimal.alt,
        norm_start=both.vcf.start,
        norm_ref=both.vcf.ref,
        norm_alt=both.vcf.alt,
        end=both.minimal.start + both.minimal.ref.lengths,
        info=[""] * n,
    )


def _fit(genome: Genome, caller: ConsequenceCaller, folder: Path) -> None:
    contigs = {name: genome.contig(name) for name in genome}
    model = MarkovModel.fit(contigs)
    model.save(folder / "model.npz")

    background = Background.build(
        model, contigs, classifier(genome, caller),
        seed=BACKGROUND_SEED, limit=BACKGROUND_SNVS,
    )  # fmt: skip
    background.save(folder / BACKGROUND_FILE)


def _score_random_changes(
    language: TrainedModel, genome: Genome, caller: ConsequenceCaller, target: Path,
    on_step: Callable[[str], None],
) -> None:  # fmt: skip
    kept = target.with_name(f"{target.name}-sites")
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_EVERY_S:
            told = time.monotonic()
            on_step(
                f"scoring random changes with the language model, {done:,} of {total:,}"
            )

    background = build_background(
        open_language(language),
        {name: genome.contig(name) for name in genome},
        classifier(genome, caller),
        seed=BACKGROUND_SEED,
        kept=kept,
        on_sites=tell,
    )
    write_folder(target, lambda folder: background.save(folder / BACKGROUND_FILE))
    shutil.rmtree(kept, ignore_errors=True)


def _state_of_models(workspace: Path, genome_sha256: str) -> list[str]:
    """Digests of the trained models, and of what is precomputed with them."""
    found = []
    for kind in KINDS:
        model = find_model(workspace, kind)
        if model is not None:
            found.append(model.digest)
            tiles = track_folder(workspace, model.digest, genome_sha256) / TILES_FILE
            found.append(sha256_of(tiles) if tiles.is_file() else "")
    prior = model_file(workspace)
    return [*found, sha256_of(prior) if prior.is_file() else ""]


def classifier(genome: Genome, caller: ConsequenceCaller) -> Classify:
    """Return a function that gives alleles of a contig their consequence classes."""

    def classify(contig: str, alleles: Alleles) -> NDArray[np.object_]:
        classes = np.empty(len(alleles), dtype=object)
        for first in range(0, len(alleles), 200_000):
            rows = np.arange(first, min(first + 200_000, len(alleles)))
            part = Alleles(
                alleles.start[rows], alleles.ref.take(rows), alleles.alt.take(rows)
            )
            terms = caller.call(table_of(contig, genome, part)).term
            classes[rows] = [background_class(term) for term in terms]
        return classes

    return classify


def _write_models(store: Store, genome: Genome, folder: Path) -> None:
    db = store.connection
    genes, transcripts, features = (
        db.execute(f"SELECT * EXCLUDE source_id FROM {name}").df()  # noqa: S608
        for name in ("genes", "transcripts", "features")
    )
    left_out = write_canonical_gff(
        genes, transcripts, features, {name: name for name in genome}, folder / GFF_FILE
    )
    left_out.to_csv(folder / LEFT_OUT_FILE, sep="\t", index=False)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def left_out_transcripts(prepared: Prepared) -> pd.DataFrame:
    """Return the transcripts that cannot be used for consequences, with the reason."""
    return pd.read_csv(prepared.consequence / LEFT_OUT_FILE, sep="\t", dtype=str)


def open_registry(workspace: Path) -> duckdb.DuckDBPyConnection:
    """Open a workspace's registry read-only, with one thread, for a scoring process."""
    connection = Workspace(workspace).connect(read_only=True)
    connection.execute("SET threads = 1")
    return connection
