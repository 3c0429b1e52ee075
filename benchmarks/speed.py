"""Time and memory of full annotation against ``bcftools csq`` alone, in one run.

    python benchmarks/speed.py --data ../shared/data --workspace /tmp/w/speed \
        --out benchmarks/results/speed.json

Ours is the command ``python -m variant_effect.score`` with every layer of the yeast
recipe but the scored VCF itself, start-up included. The peer is ``bcftools csq`` on
Ensembl's GFF and the same VCF, in its haplotype-aware mode (``-p a``) and per allele
(``--local-csq``). Programs take turns. A workspace that is there already is used as it
is; else it is made, which takes some minutes and is not part of the times.

The machine should do nothing else: ``--shared-machine`` marks figures got otherwise.
"""

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.consequences import ANNOTATION, RECIPE, peer_version, read_contigs
from benchmarks.machine import ROOT, describe_machine
from benchmarks.peer import PeerGff, bcftools_command
from data_registry.recipes import read_recipe, register_source
from data_registry.store import open_store
from data_registry.workspace import Workspace
from graph_builder.manifest import current_graph
from variant_effect import run as scoring
from variant_effect.consequences import ConsequenceCaller
from variant_effect.formats import find_format
from variant_effect.joint import JointCaller
from variant_effect.preparation import Prepared, prepare
from variant_effect.vcf import VcfReader

VCF = "yeast/variants/yeast12.norm.vcf.gz"
NOT_REGISTERED = frozenset({"yeast12_norm"})
"""Scoring a VCF with itself as a panel would be no annotation."""

CURVE = (10_000, 30_000, 100_000, 300_000, 1_000_000, 1_818_437)
SAMPLE_S = 0.1
BAR, GOAL, MIN_PER_S, MAX_MIB = 0.1, 0.5, 30_000, 2_048


# -- one measured command --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took.

    Parameters
    ----------
    pss_mib, rss_mib
        Largest sum over all its processes at one moment, sampled every ``SAMPLE_S``.
        PSS divides shared pages among those that share them; RSS counts them in each.
        None where the system does not tell.
    cpu_s
        User and system time of all its processes.
    """

    wall_s: float
    cpu_s: float
    pss_mib: float | None
    rss_mib: float


@dataclass(slots=True)
class _Watch:
    """Samples the memory of a process and its children until it ends."""

    pid: int
    pss: int = 0
    rss: int = 0
    tells_pss: bool = True
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.done.wait(SAMPLE_S):
            with suppress(psutil.NoSuchProcess):
                root = psutil.Process(self.pid)
                self.sample([root, *root.children(recursive=True)])

    def sample(self, processes: Sequence[psutil.Process]) -> None:
        pss = rss = 0
        for process in processes:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, OSError):
                rss += process.memory_info().rss
                own = read_pss(process.pid)
                self.tells_pss = self.tells_pss and own is not None
                pss += own or 0
        self.pss, self.rss = max(self.pss, pss), max(self.rss, rss)


def read_pss(pid: int) -> int | None:
    """Return a process's proportional set size in bytes; None where it is not told."""
    path = Path(f"/proc/{pid}/smaps_rollup")
    if not path.parent.parent.joinpath("self", "smaps_rollup").is_file():
        return None
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def measure(command: Sequence[str], **environment: str) -> Cost:
    """Run a command to its end.

    Raises
    ------
    RuntimeError
        It failed; the message holds its last words.
    """
    before = os.times()
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdout=subprocess.DEVNULL, stderr=said, cwd=ROOT,
            env={**os.environ, **environment},
        )  # fmt: skip
        watch = _Watch(process.pid)
        thread = threading.Thread(target=watch.run)
        thread.start()
        code = process.wait()
        wall = time.perf_counter() - start
        watch.done.set()
        thread.join()
        said.seek(0)
        words = said.read().decode("utf-8", "replace")
    if code:
        raise RuntimeError(f"{' '.join(command[:6])} …: exit {code}: {words[-2000:]}")
    after = os.times()
    cpu = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    pss = round(watch.pss / 2**20, 1) if watch.tells_pss else None
    return Cost(round(wall, 3), round(cpu, 3), pss, round(watch.rss / 2**20, 1))


# -- the programs ----------------------------------------------------------------------


def score_command(
    vcf: Path, workspace: Path, out: Path, workers: int, form: str, accounting: Path
) -> list[str]:
    """Return the command that annotates fully."""
    return [
        sys.executable, "-m", "variant_effect.score", "--vcf", str(vcf), "--workspace",
        str(workspace), "--out", str(out), "--format", form, "--workers", str(workers),
        "--accounting", str(accounting),
    ]  # fmt: skip


def csq_command(vcf: Path, fasta: Path, gff: Path, out: Path, *mode: str) -> list[str]:
    """Return the peer's command."""
    return bcftools_command(
        "csq", "--force", "--verbosity", "0", "-f", str(fasta), "-g", str(gff), *mode,
        "-O", "v", "-o", str(out), str(vcf),
    )  # fmt: skip


def make_workspace(data: Path, workspace: Path) -> dict[str, Any]:
    """Register the recipe, build the graph, fit the models; say what took how long."""
    recipe = read_recipe(RECIPE, data)
    times: dict[str, float] = {}
    sources = []
    start = time.perf_counter()
    with open_store(workspace, write=True) as store:
        for source in recipe.sources:
            if source.name in NOT_REGISTERED:
                continue
            outcome = register_source(store, recipe, source)
            if outcome.error:
                raise SystemExit(f"{source.path}: {outcome.error}")
            sources.append({"name": source.name, "kind": source.kind,
                            "status": outcome.status})  # fmt: skip
    times["register_s"] = round(time.perf_counter() - start, 1)
    start = time.perf_counter()
    measure(
        [sys.executable, "-m", "graph_builder.build", "--workspace", str(workspace)]
    )
    times["graph_s"] = round(time.perf_counter() - start, 1)
    graph = current_graph(Workspace(workspace).graph)
    return {"sources": sources, "graph": graph.name if graph else None, **times}


def write_prefix(vcf: Path, n: int, out: Path) -> int:
    """Write the first ``n`` records of a VCF, plain; return how many there were."""
    with gzip.open(vcf, "rt", encoding="utf-8") as file, out.open("w") as kept:
        for line in file:
            if line.startswith("#"):
                kept.write(line)
                continue
            kept.write(line)
            kept.writelines(islice(file, n - 1))
            break
    with out.open("rb") as kept_bytes:
        return sum(not line.startswith(b"#") for line in kept_bytes)


# -- measurements ----------------------------------------------------------------------


def compare_programs(
    vcf: Path, workspace: Path, fasta: Path, gff: Path, folder: Path, repeats: int,
    workers: int,
) -> dict[str, Any]:  # fmt: skip
    """Run all programs in turns; return min, median and memory of each."""
    accounting = folder / "accounting.json"
    commands = {
        "csq_local": csq_command(vcf, fasta, gff, folder / "local.vcf", "--local-csq"),
        "csq_haplotypes": csq_command(vcf, fasta, gff, folder / "hap.vcf", "-p", "a"),
        "ours_tsv": score_command(
            vcf, workspace, folder / "o.tsv", workers, "tsv", accounting
        ),
        "ours_parquet": score_command(
            vcf, workspace, folder / "o.parquet", workers, "parquet", accounting
        ),
    }
    costs: dict[str, list[Cost]] = defaultdict(list)
    for turn in range(repeats):
        for name, command in commands.items():
            cost = measure(command)
            costs[name].append(cost)
            print(f"turn {turn + 1} {name}: {show(cost)}", flush=True)
    counts = json.loads(accounting.read_text())
    n = int(counts["input_alleles"])
    found: dict[str, Any] = {"alleles": n, "accounting": counts, "programs": {}}
    for name, runs in costs.items():
        walls = [cost.wall_s for cost in runs]
        known = [cost.pss_mib for cost in runs if cost.pss_mib is not None]
        found["programs"][name] = {
            "wall_s": walls,
            "min_s": min(walls),
            "median_s": statistics.median(walls),
            "alleles_per_s_median": round(n / statistics.median(walls)),
            "alleles_per_s_best": round(n / min(walls)),
            "cpu_s_median": statistics.median(cost.cpu_s for cost in runs),
            "peak_pss_mib": max(known, default=None),
            "peak_rss_mib": max(cost.rss_mib for cost in runs),
        }
    programs = found["programs"]
    found["ratios_of_medians"] = {
        f"{ours}_to_{peer}": round(
            programs[peer]["median_s"] / programs[ours]["median_s"], 4
        )
        for ours in ("ours_tsv", "ours_parquet")
        for peer in ("csq_local", "csq_haplotypes")
    }
    peaks = [
        programs[name]["peak_pss_mib"] or programs[name]["peak_rss_mib"]
        for name in ("ours_tsv", "ours_parquet")
    ]
    ratios = found["ratios_of_medians"]
    found["bars"] = {
        name: {
            "bar_0.1_of_csq": ratios[f"ours_tsv_to_{name}"] >= BAR,
            "goal_0.5_of_csq": ratios[f"ours_tsv_to_{name}"] >= GOAL,
        }
        for name in ("csq_local", "csq_haplotypes")
    } | {
        "at_least_30000_alleles_per_s": programs["ours_tsv"]["alleles_per_s_median"]
        >= MIN_PER_S,
        "peak_below_2_gib": max(peaks) < MAX_MIB,
    }
    return found


def show(cost: Cost) -> str:
    """Return a cost as one line."""
    pss = "unknown" if cost.pss_mib is None else f"{cost.pss_mib:,.0f} MiB"
    return (
        f"{cost.wall_s:.1f} s, {cost.cpu_s:.1f} s CPU, peak PSS {pss}, "
        f"RSS {cost.rss_mib:,.0f} MiB"
    )


def measure_curve(
    vcf: Path, workspace: Path, folder: Path, sizes: Sequence[int], workers: int
) -> dict[str, Any]:
    """Time the first n records for each n; fit a line."""
    points: list[dict[str, Any]] = []
    for size in sizes:
        part = folder / "part.vcf"
        n = write_prefix(vcf, size, part)
        command = score_command(
            part, workspace, folder / "part.tsv", workers, "tsv", folder / "part.json"
        )
        cost = measure(command)
        points.append(
            {
                "records": n,
                "wall_s": cost.wall_s,
                "cpu_s": cost.cpu_s,
                "peak_pss_mib": cost.pss_mib,
                "peak_rss_mib": cost.rss_mib,
            }
        )
        print(f"curve, {workers} workers, {n:,} records: {show(cost)}", flush=True)
        part.unlink()
        (folder / "part.tsv").unlink()
    return {"workers": workers, "points": points, **fit_line(
        [float(p["records"]) for p in points], [float(p["wall_s"]) for p in points]
    )}  # fmt: skip


def fit_line(sizes: Sequence[float], seconds: Sequence[float]) -> dict[str, Any]:
    """Fit ``seconds = constant + slope · size`` by least squares.

    Returns
    -------
    dict
        ``startup_s``, ``us_per_record``, ``r_squared``, each point's residual in s and
        as a share of the time, and ``exponent``: the slope of log(time - startup)
        against log(size), 1 for a linear cost.
    """
    x, y = np.array(sizes), np.array(seconds)
    slope, constant = np.polyfit(x, y, 1)
    fitted = constant + slope * x
    left = y - fitted
    spread = float(((y - y.mean()) ** 2).sum())
    above = y - constant
    usable = above > 0
    exponent = (
        float(np.polyfit(np.log(x[usable]), np.log(above[usable]), 1)[0])
        if usable.sum() > 1
        else None
    )
    return {
        "startup_s": round(float(constant), 3),
        "us_per_record": round(float(slope) * 1e6, 3),
        "r_squared": round(1 - float((left**2).sum()) / spread, 6) if spread else None,
        "residual_s": [round(float(v), 3) for v in left],
        "residual_share": [round(float(v), 4) for v in left / y],
        "exponent": None if exponent is None else round(exponent, 3),
    }


@contextmanager
def timed(
    places: Sequence[tuple[Any, str, str]], spent: dict[str, list[float]]
) -> Iterator[None]:
    """Time functions by name while the block runs: wall and CPU seconds of each."""
    kept: list[tuple[Any, str, Callable[..., Any]]] = []
    for owner, name, label in places:
        function = getattr(owner, name)

        def wrapped(
            *given: Any,  # noqa: ANN401
            _function: Callable[..., Any] = function,
            _label: str = label,
            **named: Any,  # noqa: ANN401
        ) -> Any:  # noqa: ANN401
            wall, cpu = time.perf_counter(), time.process_time()
            result = _function(*given, **named)
            spent[_label][0] += time.perf_counter() - wall
            spent[_label][1] += time.process_time() - cpu
            return result

        kept.append((owner, name, function))
        setattr(owner, name, wrapped)
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def measure_stages(
    prepared: Prepared, vcf: Path, folder: Path, n_chunks: int
) -> dict[str, Any]:
    """Time each stage in this process, after one chunk to warm up."""
    spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    start = time.perf_counter()
    engine = scoring.Engine.open(prepared, scoring.Choices())
    opened = time.perf_counter() - start
    places: list[tuple[Any, str, str]] = [
        (scoring, "read_records", "read records"),
        (scoring, "read_alleles", "split, check and normalise alleles"),
        (ConsequenceCaller, "call", "consequences (csq)"),
        (ConsequenceCaller, "tss_distance", "distance to TSS"),
        (scoring, "fill_consequences", "structural alleles"),
        (scoring, "core_columns", "core columns"),
        (scoring, "describe", "HGVS"),
        (JointCaller, "call", "joint consequences (csq)"),
    ]
    places += [(type(s), "score", f"scorer: {s.name}") for s in engine.scorers]
    reader = VcfReader(vcf)
    mapper = scoring.ContigMapper(prepared.contig_names)
    form = find_format("tsv")
    n, begin, cpu_begin = 0, 0.0, 0.0
    with engine.connection, timed(places, spent):
        chunks = reader.chunks(scoring.CHUNK_RECORDS)
        for number in range(n_chunks + 1):
            wall, cpu = time.perf_counter(), time.process_time()
            chunk = next(chunks, None)
            if chunk is None:
                break
            spent["read and cut chunks"][0] += time.perf_counter() - wall
            spent["read and cut chunks"][1] += time.process_time() - cpu
            _, scored, alleles, _ = engine.run(chunk, vcf, mapper)
            wall, cpu = time.perf_counter(), time.process_time()
            form.write_part(folder / "part", scored, chunk, alleles, reader.header)
            spent["write TSV"][0] += time.perf_counter() - wall
            spent["write TSV"][1] += time.process_time() - cpu
            if number == 0:
                spent.clear()
                begin, cpu_begin = time.perf_counter(), time.process_time()
            else:
                n += len(alleles)
        wall_all = time.perf_counter() - begin
        cpu_all = time.process_time() - cpu_begin
    if not n:
        raise SystemExit(f"{vcf}: fewer than two chunks; stages cannot be timed")
    stages = {
        label: {"us_per_allele": round(1e6 * wall / n, 3),
                "cpu_us_per_allele": round(1e6 * cpu / n, 3),
                "share": round(wall / wall_all, 4)}
        for label, (wall, cpu) in sorted(spent.items(), key=lambda item: -item[1][0])
    }  # fmt: skip
    named = sum(stage["us_per_allele"] for stage in stages.values())
    return {
        "alleles": n,
        "open_s": round(opened, 2),
        "us_per_allele": round(1e6 * wall_all / n, 2),
        "cpu_us_per_allele": round(1e6 * cpu_all / n, 2),
        "outside_stages_us_per_allele": round(1e6 * wall_all / n - named, 2),
        "stages": stages,
    }


def measure_first_run(vcf: Path, workspace: Path, folder: Path) -> dict[str, Any]:
    """Time a tiny run when nothing is compiled or fitted, then when something is.

    The workspace's fitted models are moved aside and put back.
    """
    part = folder / "tiny.vcf"
    n = write_prefix(vcf, 100, part)
    command = score_command(
        part, workspace, folder / "tiny.tsv", 1, "tsv", folder / "tiny.json"
    )
    models, aside = workspace / "models", folder / "models"
    cache = folder / "numba"
    cache.mkdir()
    found: dict[str, Any] = {"records": n}
    measure(command)  # so that the next finds everything compiled and in the page cache
    found["warm_s"] = measure(command).wall_s
    found["compiling_s"] = measure(command, NUMBA_CACHE_DIR=str(cache)).wall_s
    shutil.move(models, aside)
    try:
        found["fitting_s"] = measure(command).wall_s
    finally:
        shutil.rmtree(models, ignore_errors=True)
        shutil.move(aside, models)
    found["compile_once_s"] = round(found["compiling_s"] - found["warm_s"], 2)
    found["fit_once_s"] = round(found["fitting_s"] - found["warm_s"], 2)
    print(f"first run: {found}", flush=True)
    return found


# -- the command -----------------------------------------------------------------------


def show_table(result: dict[str, Any]) -> str:
    """Return the main figures as a table."""
    compared = result["comparison"]
    lines = [
        f"{compared['alleles']:,} alleles, {result['repeats']} turns, "
        f"{result['workers']} workers",
        f"{'program':<16}{'min s':>9}{'median s':>10}{'alleles/s':>12}{'PSS MiB':>10}",
    ]
    for name, row in compared["programs"].items():
        pss = row["peak_pss_mib"]
        lines.append(
            f"{name:<16}{row['min_s']:>9.1f}{row['median_s']:>10.1f}"
            f"{row['alleles_per_s_median']:>12,}{pss if pss is not None else '?':>10}"
        )
    lines += [f"{k}: {v}" for k, v in compared["ratios_of_medians"].items()]
    lines += [f"{k}: {v}" for k, v in compared["bars"].items()]
    for curve in result["curves"]:
        lines.append(
            f"curve, {curve['workers']} workers: {curve['startup_s']:.1f} s + "
            f"{curve['us_per_record']:.2f} us a record, R² {curve['r_squared']}, "
            f"exponent {curve['exponent']}"
        )
    for label, stage in result["stages"]["stages"].items():
        lines.append(
            f"  {label:<36}{stage['us_per_allele']:>8.2f} us {stage['share']:>7.1%}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure everything and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--records", type=int, default=max(CURVE), help="fewer, to try")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--stage-chunks", type=int, default=6)
    parser.add_argument("--shared-machine", action="store_true")
    arguments = parser.parse_args()
    started = datetime.now(UTC)
    begin = time.perf_counter()
    load = os.getloadavg()[0]
    workspace: Path = arguments.workspace
    vcf = arguments.data / VCF
    made = make_workspace(arguments.data, workspace)
    with open_store(workspace) as store:
        prepared = prepare(store)
        path = arguments.data / ANNOTATION
        resolved = store.contig_names().resolve(read_contigs(path))
    contigs = {given: own for given, own in resolved.items() if own}
    with tempfile.TemporaryDirectory(prefix="cisgraph-bench-") as name:
        folder = Path(name)
        gff = PeerGff.read(path, contigs).write(folder / "peer.gff3")
        if arguments.records < max(CURVE):
            small = folder / "small.vcf"
            write_prefix(vcf, arguments.records, small)
            run_vcf = folder / "small.vcf.gz"
            run_vcf.write_bytes(gzip.compress(small.read_bytes(), 6))
            vcf = run_vcf
        first = measure_first_run(vcf, workspace, folder)
        compared = compare_programs(
            vcf, workspace, prepared.genome, gff, folder, arguments.repeats,
            arguments.workers,
        )  # fmt: skip
        sizes = [size for size in CURVE if size <= arguments.records]
        curves = [
            measure_curve(vcf, workspace, folder, sizes, workers)
            for workers in sorted({1, arguments.workers})
        ]
        stages = measure_stages(prepared, vcf, folder, arguments.stage_chunks)
    result = {
        "what": "full annotation against bcftools csq alone, programs in turns",
        "started": started.isoformat(timespec="seconds"),
        "shared_machine": bool(arguments.shared_machine),
        "load_before": round(load, 2),
        "machine": describe_machine(),
        "peer": peer_version(),
        "vcf": VCF,
        "repeats": arguments.repeats,
        "workers": arguments.workers,
        "memory": f"sum over all processes, sampled every {SAMPLE_S} s",
        "workspace": made,
        "first_run": first,
        "comparison": compared,
        "curves": curves,
        "stages": stages,
        "seconds": round(time.perf_counter() - begin),
    }
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=1, ensure_ascii=False)
        arguments.out.write_text(text + "\n", encoding="utf-8")
    print(show_table(result))


if __name__ == "__main__":
    main()
