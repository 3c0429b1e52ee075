"""Scoring a whole VCF: chunks, worker processes, resuming, and the accounting.

Each chunk's result is written to a part file and renamed when whole, so a killed run loses
nothing that was finished; the same chunks come out again on ``--resume`` and the joined
output has the same bytes.
"""

import atexit
import gc
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from data_registry.contigs import ContigNames
from data_registry.coordinates import Region
from data_registry.errors import (
    MalformedFileError,
    ReferenceMismatchError,
    WorkspaceError,
)
from data_registry.workspace import disk_error, sha256_of, written_beside
from variant_effect.alleles import (
    STATUSES,
    AlleleTable,
    mismatch_causes,
    read_alleles,
    read_records,
)
from variant_effect.columns import CORE, Column
from variant_effect.consequences import (
    Consequences,
    GeneBlocks,
    factorised,
    impact,
)
from variant_effect.formats import Format, find_format
from variant_effect.hgvs import TranscriptModels, describe
from variant_effect.joint import JointCaller
from variant_effect.material import Material
from variant_effect.preparation import GFF_FILE, Prepared, open_registry
from variant_effect.scorers import ALL, Scorer
from variant_effect.structural import fill_consequences
from variant_effect.vcf import Chunk, GapFinder, Header, VcfReader

MAX_MISMATCHED = 0.01
"""Share of alleles whose REF may disagree with the genome before the run stops."""

CHUNK_RECORDS = 50_000
_EARLY_LOOK = 1_000
_EXPLAINED = 0.8
_CAUSES: Mapping[str, tuple[str, str]] = {
    "shifted_by_one": (
        "0-based positions (REF stands one base further on)",
        "Add 1 to POS: VCF counts from 1.",
    ),
    "swapped": (
        "REF and ALT swapped",
        "Make the genome's base REF, e.g. with 'bcftools norm --check-ref s' or "
        "'plink2 --ref-from-fa force'.",
    ),
    "other_strand": (
        "alleles of the other strand",
        "Flip them, e.g. with 'bcftools +fixref -- -m flip'.",
    ),
}
"""Cause by its key in ``mismatch_causes``: words for it, and the remedy."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller asked for; part of the run's digest.

    Parameters
    ----------
    regions
        Score only records whose REF overlaps one of these.
    format
        tsv, parquet, vcf or jsonl.
    joint
        Call alleles of the same haplotype together where genotypes allow.
    chunk_records
        Records a chunk.
    max_mismatched
        Share of alleles whose REF may disagree with the genome before the run stops.
    lm_distance
        Compute embedding distances that were not precomputed: two passes of the
        language model an allele.
    """

    regions: tuple[Region, ...] = ()
    format: str = "tsv"
    joint: bool = True
    chunk_records: int = CHUNK_RECORDS
    max_mismatched: float = MAX_MISMATCHED
    lm_distance: bool = False


_COUNTERS = ("statuses", "mismatches", "unknown_contigs", "causes")


@dataclass(slots=True)
class Accounting:
    """Every input allele in exactly one bin."""

    records: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    mismatches: Counter[str] = field(default_factory=Counter)
    unknown_contigs: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    """What would explain the mismatches (``alleles.mismatch_causes``)."""

    @property
    def alleles(self) -> int:
        """Alleles read."""
        return self.statuses.total()

    def add(self, other: "Accounting") -> None:
        """Add a chunk's counts."""
        self.records += other.records
        self.statuses.update(other.statuses)
        self.mismatches.update(other.mismatches)
        self.unknown_contigs.update(other.unknown_contigs)
        self.causes.update(other.causes)

    def to_json(self) -> str:
        """Return all counts as JSON."""
        counters = {name: dict(getattr(self, name)) for name in _COUNTERS}
        return json.dumps({"records": self.records, **counters})

    @classmethod
    def from_json(cls, text: str) -> "Accounting":
        """Read back what ``to_json`` wrote."""
        held = json.loads(text)
        counters = {name: Counter[str](held[name]) for name in _COUNTERS}
        return cls(records=held["records"], **counters)

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form: ``input_alleles = scored + sum(reasons)``."""
        reasons = {
            name: self.statuses[name] for name in STATUSES[1:] if self.statuses[name]
        }
        return {
            "input_records": self.records,
            "input_alleles": self.alleles,
            "scored": self.statuses["scored"],
            "reasons": reasons,
            "ref_mismatches_by_contig": dict(sorted(self.mismatches.items())),
            "unknown_contigs": dict(sorted(self.unknown_contigs.items())),
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What a run made."""

    accounting: Accounting
    missing_layers: tuple[str, ...]
    contig_map: Mapping[str, str | None]
    resumed_chunks: int
    chunks: int


@dataclass(slots=True)
class Engine:
    """Scores chunks in one process."""

    prepared: Prepared
    choices: Choices
    material: Material
    scorers: tuple[Scorer, ...]
    models: TranscriptModels
    joint: JointCaller
    connection: duckdb.DuckDBPyConnection

    @classmethod
    def open(cls, prepared: Prepared, choices: Choices) -> "Engine":
        """Load everything from the workspace."""
        pa.set_cpu_count(1)
        connection = open_registry(prepared.workspace)
        material = prepared.open(connection, lm_distance=choices.lm_distance)
        return cls(
            prepared,
            choices,
            material,
            tuple(scorer.make(material) for scorer in ALL),
            TranscriptModels.read(connection, list(material.genome)),
            JointCaller(material.caller),
            connection,
        )

    def score(
        self, alleles: AlleleTable, *, lines: bytes = b"", table: pa.Table | None = None
    ) -> pa.Table:
        """Return the output table of the alleles, all columns, one row an allele."""
        consequences = self.material.caller.call(alleles)
        fill_consequences(alleles, consequences, self.material)
        columns = core_columns(alleles, consequences)
        near = self.material.caller.tss_distance(alleles)
        columns["tss_distance"] = pa.array(near, mask=near < 0)
        columns |= describe(
            alleles, consequences, self.models, self.material.genome,
            codon_tables=self.prepared.codon_tables,
        )  # fmt: skip
        columns |= self.joint.call(
            alleles, consequences, lines if self.choices.joint else b"", table
        )
        for scorer in self.scorers:
            columns |= scorer.score(alleles, consequences, columns, self.connection)
        declared = output_columns()
        return pa.table({c.name: columns[c.name].cast(c.type) for c in declared})

    def run(
        self, chunk: Chunk, path: Path, contig_map: "ContigMapper"
    ) -> tuple[pa.Table, pa.Table, AlleleTable, Accounting]:
        """Read and score one chunk; return records, results, alleles and counts."""
        records = read_records(chunk.lines, path, chunk.first_line)
        names = contig_map.of(records["CHROM"].unique().to_pylist())
        alleles = read_alleles(
            records, self.material.genome, names, regions=self.choices.regions
        )
        scored = self.score(alleles, lines=chunk.lines, table=records)
        counts = Accounting(records=len(np.unique(alleles.record)))
        codes, numbers = np.unique(alleles.status, return_counts=True)
        for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
            counts.statuses[STATUSES[code]] = number
        bad = alleles.status == STATUSES.index("ref_mismatch")
        if bad.any():
            counts.mismatches.update(alleles.chrom.filter(pa.array(bad)).to_pylist())
            counts.causes = mismatch_causes(alleles, self.material.genome)
        unknown = alleles.status == STATUSES.index("unknown_contig")
        if unknown.any():
            counts.unknown_contigs.update(
                alleles.chrom.filter(pa.array(unknown)).to_pylist()
            )
        return records, scored, alleles, counts


class ContigMapper:
    """Remembers how CHROM values map to the assembly's names."""

    def __init__(self, names: ContigNames) -> None:
        self._names = names
        self.seen: dict[str, str | None] = {}

    def of(self, given: Sequence[str]) -> dict[str, str | None]:
        """Map the names of a chunk."""
        new = [name for name in given if name not in self.seen]
        if new:
            self.seen |= self._names.resolve(new)
        return self.seen


def output_columns() -> tuple[Column, ...]:
    """Return all columns of the output in order."""
    return (*CORE, *(column for scorer in ALL for column in scorer.columns))


def core_columns(
    alleles: AlleleTable, consequences: Consequences
) -> dict[str, pa.Array]:
    """Return the columns that come before the scorers'."""
    n = len(alleles)
    small = alleles.small

    def text(values: np.ndarray) -> pa.Array:
        array = pa.array(values, pa.string())
        return pa.compute.if_else(pa.compute.equal(array, ""), None, array)

    codes, terms = factorised(consequences.term)
    impacts = np.array([impact(term) if term else "" for term in terms], dtype=object)
    return {
        "chrom": alleles.chrom,
        "pos": pa.array(alleles.pos),
        "ref": alleles.ref,
        "alt": alleles.alt,
        "norm_pos": pa.array(alleles.norm_start + 1, mask=~small),
        "norm_ref": _shown(alleles.norm_ref.to_arrow(), small),
        "norm_alt": _shown(alleles.norm_alt.to_arrow(), small),
        "status": pa.DictionaryArray.from_arrays(
            pa.array(alleles.status.astype(np.int8)), pa.array(STATUSES)
        ).cast(pa.string()),
        "consequence": text(consequences.term),
        "impact": text(impacts[codes] if n else impacts),
        "gene": text(consequences.gene),
        "symbol": text(consequences.symbol),
        "distance": pa.array(consequences.distance, mask=consequences.distance < 0),
        "transcript": text(consequences.transcript),
        "other_consequences": text(consequences.others),
    }


def _shown(values: pa.Array, keep: np.ndarray) -> pa.Array:
    return pa.compute.if_else(pa.array(keep), values.cast(pa.string()), None)


# -- the run -----------------------------------------------------------------------------


def score_vcf(
    vcf: Path,
    out: Path,
    prepared: Prepared,
    choices: Choices,
    *,
    workers: int = 1,
    resume: bool = False,
    on_progress: Callable[[int, Accounting], None] = lambda _n, _a: None,
) -> Result:
    """Score a VCF into ``out``.

    Parameters
    ----------
    vcf
        The file; ``-`` for standard input.
    out
        The output; written whole or not at all.
    workers
        Processes; the output does not depend on it.
    resume
        Take up the finished chunks of a killed run of the same input and choices.
    on_progress
        Called after each chunk with the chunks done and the counts so far.

    Raises
    ------
    MalformedFileError, ReferenceMismatchError, WorkspaceError
        The input is no VCF, belongs to another genome, or the disk is full; ``out`` is
        left as it was.
    """
    form = find_format(choices.format)
    reader = VcfReader(vcf, choices.regions, prepared.contig_names)
    mapper = ContigMapper(prepared.contig_names)
    from_stdin = str(vcf) == "-"
    digest = run_digest(vcf, prepared, choices) if not from_stdin else uuid.uuid4().hex
    parts = out.parent / f".{out.name}.parts-{digest[:16]}"
    if not resume:
        shutil.rmtree(parts, ignore_errors=True)
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, out.parent) from error
    total, resumed, n_chunks = Accounting(), 0, 0
    missing: tuple[str, ...] = ()
    chunks = reader.chunks(
        choices.chunk_records,
        spans=_gaps(prepared) if choices.joint and reader.header.samples else None,
    )
    try:
        for done in _run_all(
            chunks, vcf, prepared, choices, reader.header, parts, workers
        ):
            counts, missing, was_there = done
            total.add(counts)
            resumed += was_there
            n_chunks += 1
            _refuse_wrong_build(total, vcf, prepared, choices, final=False)
            on_progress(n_chunks, total)
        _refuse_wrong_build(total, vcf, prepared, choices, final=True)
        if not n_chunks:
            engine = Engine.open(prepared, choices)
            with engine.connection:
                missing = tuple(s.missing for s in engine.scorers if s.missing)
        _join(form, parts, n_chunks, out, reader.header, prepared, total, missing)
    except BaseException as error:
        # Parts are kept only where --resume may find them again.
        if from_stdin or isinstance(error, MalformedFileError | ReferenceMismatchError):
            shutil.rmtree(parts, ignore_errors=True)
        if isinstance(error, OSError):
            raise disk_error(error, out) from error
        raise
    finally:
        reader.close()
    shutil.rmtree(parts, ignore_errors=True)
    contig_map = mapper.of(sorted({*total.unknown_contigs}))
    return Result(total, missing, contig_map, resumed, n_chunks)


def run_digest(vcf: Path, prepared: Prepared, choices: Choices) -> str:
    """Digest of everything the output depends on."""
    content = json.dumps(
        [sha256_of(vcf), prepared.digest, asdict(choices)], sort_keys=True, default=str
    )
    return hashlib.sha256(content.encode()).hexdigest()


_ENGINE: Engine | None = None
_JOB: tuple[Prepared, Choices, Path, Header, Path] | None = None


def _start_worker(
    prepared: Prepared, choices: Choices, vcf: Path, header: Header, parts: Path
) -> None:
    global _JOB
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Chunks make millions of short-lived objects and few cycles worth searching for.
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
    # Leave at once at the end: duckdb complains on stderr of what Python has not freed.
    atexit.register(os._exit, 0)
    # A worker would wait for ever where the parent was killed.
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _JOB = (prepared, choices, vcf, header, parts)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(chunk: Chunk) -> tuple[Accounting, tuple[str, ...], bool]:
    global _ENGINE
    if _JOB is None:
        raise WorkspaceError("the worker was not started")
    prepared, choices, vcf, header, parts = _JOB
    # Opened here and not at the start, so that a failure reaches the parent as itself.
    if _ENGINE is None:
        _ENGINE = Engine.open(prepared, choices)
    return _score_chunk(_ENGINE, chunk, vcf, header, parts)


def _score_chunk(
    engine: Engine, chunk: Chunk, vcf: Path, header: Header, parts: Path
) -> tuple[Accounting, tuple[str, ...], bool]:
    """Score one chunk into its part file, unless that is there already."""
    missing = tuple(scorer.missing for scorer in engine.scorers if scorer.missing)
    form = find_format(engine.choices.format)
    part, counts_file = (
        parts / f"{chunk.index:06d}.part",
        parts / f"{chunk.index:06d}.json",
    )
    if part.is_file() and counts_file.is_file():
        return Accounting.from_json(counts_file.read_text()), missing, True
    _, scored, alleles, counts = engine.run(
        chunk, vcf, ContigMapper(engine.prepared.contig_names)
    )
    with written_beside(part) as beside:
        form.write_part(beside, scored, chunk, alleles, header)
    with written_beside(counts_file) as beside:
        beside.write_text(counts.to_json())
    return counts, missing, False


def _run_all(
    chunks: Iterator[Chunk],
    vcf: Path,
    prepared: Prepared,
    choices: Choices,
    header: Header,
    parts: Path,
    workers: int,
) -> Iterator[tuple[Accounting, tuple[str, ...], bool]]:
    """Yield each chunk's outcome in order, from this process or from workers."""
    first = next(chunks, None)
    if first is None:
        return
    second = next(chunks, None)
    if workers <= 1 or second is None:
        engine = Engine.open(prepared, choices)
        with engine.connection:
            for chunk in chain((first,) if second is None else (first, second), chunks):
                yield _score_chunk(engine, chunk, vcf, header, parts)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker,
        (prepared, choices, vcf, header, parts),
    )  # fmt: skip
    waiting: deque[Future[tuple[Accounting, tuple[str, ...], bool]]] = deque()
    try:
        for chunk in chain((first, second), chunks):
            waiting.append(pool.submit(_work, chunk))
            # So many chunks are held in memory at most.
            if len(waiting) >= 2 * workers + 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WorkspaceError(
            "a worker process was killed, probably for want of memory; use fewer "
            "--workers or smaller --chunk-records, and --resume to keep what is done"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _gaps(prepared: Prepared) -> GapFinder:
    genes = GeneBlocks.read(prepared.consequence / GFF_FILE)
    return GapFinder(genes.starts, genes.ends, prepared.contig_names)


def _refuse_wrong_build(
    total: Accounting, vcf: Path, prepared: Prepared, choices: Choices, *, final: bool
) -> None:
    """Stop when too many REF alleles disagree with the genome."""
    wrong = total.statuses["ref_mismatch"]
    if wrong <= choices.max_mismatched * total.alleles or not (
        final or total.alleles >= _EARLY_LOOK
    ):
        return
    by_contig = ", ".join(
        f"{name} {n:,}" for name, n in total.mismatches.most_common(8)
    )
    raise ReferenceMismatchError(
        f"{vcf}: REF disagrees with {prepared.assembly} at {wrong:,} of "
        f"{total.alleles:,} alleles read so far, more than {choices.max_mismatched:.0%} "
        f"({by_contig}). {likely_cause(total.causes)}"
    )


def likely_cause(causes: Mapping[str, int]) -> str:
    """Say what the mismatches come from, with the share of them it explains.

    Parameters
    ----------
    causes
        Counts of ``alleles.mismatch_causes``.
    """
    tested = max(causes.get("tested", 0), 1)
    cause = max(_CAUSES, key=lambda name: causes.get(name, 0))
    share = causes.get(cause, 0) / tested
    if share < _EXPLAINED:
        return (
            "The VCF is probably written against another assembly or version of the "
            "genome: compare its ##reference and ##contig lines with the FASTA. (Tried "
            "and not the cause: "
            + ", ".join(
                f"{words} {causes.get(name, 0) / tested:.0%}"
                for name, (words, _) in _CAUSES.items()
            )
            + ".)"
        )
    words, remedy = _CAUSES[cause]
    return f"Likely cause: {words} explains {share:.0%} of them. {remedy}"


def _join(
    form: Format,
    parts: Path,
    n_chunks: int,
    out: Path,
    header: Header,
    prepared: Prepared,
    total: Accounting,
    missing: tuple[str, ...],
) -> None:
    """Write the output whole among the parts, then rename it."""
    files = [parts / f"{i:06d}.part" for i in range(n_chunks)]
    whole = parts / f"whole{out.suffix}"
    form.join(
        whole, files, output_columns(), header, prepared, total.as_dict(), missing
    )
    form.finish(whole)
    with whole.open("rb") as file:
        os.fsync(file.fileno())
    whole.replace(out)
    index, old_index = (path.with_name(path.name + ".csi") for path in (whole, out))
    if index.is_file():
        index.replace(old_index)
    elif form.name == "vcf":
        old_index.unlink(missing_ok=True)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
