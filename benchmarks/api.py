"""Readers of the API while the graph is rebuilt, and whatever its document allows.

    cisgraph demo -w /tmp/w/demo
    python benchmarks/api.py --workspace /tmp/w/demo --workspace /tmp/w/yeast \
        --out benchmarks/results/api.json

``cisgraph serve`` runs on a copy of the workspace. First so many readers ask, each one
question after the other, with nothing else going on (the baseline); then they ask while a
source is added and removed and the graph rebuilt, again and again, by the commands a
person would use; then the rebuilds are timed without readers. Every answer of a status
other than 200 is counted. Answers that state a graph (and a registry) digest are compared:
all answers to one question at one digest must be the same bytes, and the digest must be
of a graph that was whole on disk. Last, schemathesis sends what the OpenAPI document
allows and forbids.

The readers run in this process and take much of the machine's time themselves, so the
latencies are what a client sees on a busy machine, not what the server alone costs.
"""

import argparse
import asyncio
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import ROOT, describe_machine
from data_registry.store import open_store
from graph_builder.manifest import current_graph, read_manifest

READERS = 200
BASELINE_S = 20.0
REBUILDS = 4


@dataclass(slots=True)
class Seen:
    """What the readers saw.

    Parameters
    ----------
    latencies_ms
        By kind of question.
    statuses
        HTTP status, or the name of an error of the connection.
    answers
        Question and digests stated in the answer to the hashes of its bytes.
    """

    latencies_ms: dict[str, list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )
    statuses: Counter[str] = field(default_factory=Counter)
    answers: dict[tuple[str, str, str], set[str]] = field(
        default_factory=lambda: defaultdict(set)
    )

    @property
    def graphs(self) -> set[str]:
        """Digests of the graphs that answers came from."""
        return {graph for _, graph, _ in self.answers if graph}

    def summary(self, seconds: float) -> dict[str, Any]:
        """Return the figures."""
        n = sum(self.statuses.values())
        return {
            "seconds": round(seconds, 1),
            "requests": n,
            "requests_per_s": round(n / seconds, 1),
            "statuses": dict(sorted(self.statuses.items())),
            "latency_ms": {
                kind: {
                    "n": len(times),
                    **{
                        f"p{q}": round(float(np.percentile(times, q)), 1)
                        for q in (50, 95, 99)
                    },
                    "max": round(max(times), 1),
                }
                for kind, times in sorted(self.latencies_ms.items())
            },
            "digests_seen": len(self.graphs),
            "questions_at_a_digest": len(self.answers),
            "with_more_than_one_answer": sum(len(h) > 1 for h in self.answers.values()),
        }


async def read(
    url: str,
    questions: list[tuple[str, str]],
    seen: Seen,
    stop: asyncio.Event,
    readers: int,
) -> None:
    """Have so many readers ask until they are stopped."""
    limits = httpx.Limits(max_connections=readers, max_keepalive_connections=readers)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as client:

        async def reader(number: int) -> None:
            rng = np.random.default_rng(number)
            while not stop.is_set():
                kind, question = questions[rng.integers(len(questions))]
                began = time.perf_counter()
                try:
                    response = await client.get(question)
                except httpx.HTTPError as error:
                    seen.statuses[type(error).__name__] += 1
                    continue
                seen.latencies_ms[kind].append((time.perf_counter() - began) * 1000)
                seen.statuses[str(response.status_code)] += 1
                if response.status_code == 200 and kind in {"gene", "graph"}:
                    body = response.json()
                    key = (
                        question,
                        body["graph_digest"],
                        body.get("registry_digest", ""),
                    )
                    found = hashlib.sha256(response.content).hexdigest()
                    seen.answers[key].add(found)

        await asyncio.gather(*(reader(i) for i in range(readers)))


@contextmanager
def served(workspace: Path) -> Iterator[str]:
    """Run ``cisgraph serve`` on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = workspace.parent / "serve.log"
    with log.open("a") as out:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "dashboards.cli", "serve", "-w", str(workspace),
             "--port", str(port)], cwd=ROOT, stdout=out, stderr=out,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(300):
                time.sleep(0.1)
                try:
                    httpx.get(f"{url}/api/health")
                except httpx.TransportError:
                    continue
                break
            yield url
        finally:
            process.terminate()
            process.wait()


def command(*words: object) -> float:
    """Run a command of ours; return its seconds."""
    began = time.perf_counter()
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "dashboards.cli", *map(str, words)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - began


def rebuild(
    workspace: Path, peaks: Path, n: int
) -> tuple[list[dict[str, float]], set[str]]:
    """Add a source and build, remove it and build, in turn; return times and digests."""
    times, digests = [], set()
    for i in range(n):
        change = (
            ("add", peaks, "-w", workspace, "--kind", "intervals", "-o",
             "interval_kind=peak", "--name", "inbox")
            if i % 2 == 0 else ("remove", "inbox", "-w", workspace)
        )  # fmt: skip
        took = {
            "register_s": round(command(*change), 2),
            "build_s": round(command("build", "-w", workspace), 2),
        }
        times.append(took)
        digests.add(digest_of(workspace))
    return times, digests


def digest_of(workspace: Path) -> str:
    """Return the digest of the current graph."""
    folder = current_graph(workspace / "graph")
    if folder is None:
        raise SystemExit(f"{workspace} holds no graph; run 'cisgraph build'")
    return read_manifest(folder).digest


def questions_of(workspace: Path) -> list[tuple[str, str]]:
    """Return what readers ask, with its kind; genes spread over the genome."""
    with open_store(workspace) as store:
        genes = [
            gene for (gene,) in store.connection.execute(
                "SELECT DISTINCT gene_id FROM genes ORDER BY hash(gene_id) LIMIT 12"
            ).fetchall()
        ]  # fmt: skip
        contig, length = store.connection.execute(
            "SELECT contig, length FROM contigs ORDER BY ordinal LIMIT 1"
        ).fetchall()[0]
    span = f"{contig}:1-{min(length, 100_000)}"
    return [
        *(("gene", f"/api/genes/{gene}") for gene in genes),
        *(("graph", f"/api/graph/neighbourhood?id={gene}&hops=1") for gene in genes),
        *(("variants", f"/api/variants?region={span}&page_size=50&min_prior_score={q}")
          for q in (0, 0.1, 0.3)),
        ("BrAPI calls", "/brapi/v2/calls?pageSize=100"),
        ("BrAPI variants", "/brapi/v2/variants?pageSize=100"),
    ]  # fmt: skip


async def measure(
    url: str, workspace: Path, peaks: Path, args: argparse.Namespace
) -> dict[str, Any]:
    """Read alone, then read while rebuilding."""
    questions = questions_of(workspace)
    warm = Seen()
    stop = asyncio.Event()
    stop.set()
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        for _, question in questions:
            while (
                await client.get(question)
            ).status_code == 503:  # a panel's first reading
                await asyncio.sleep(2)
    await read(url, questions, warm, stop, 1)

    before = digest_of(workspace)
    alone, stop = Seen(), asyncio.Event()
    began = time.perf_counter()
    reading = asyncio.create_task(read(url, questions, alone, stop, args.readers))
    await asyncio.sleep(args.baseline_s)
    stop.set()
    await reading
    alone_s = time.perf_counter() - began

    during, stop = Seen(), asyncio.Event()
    began = time.perf_counter()
    reading = asyncio.create_task(read(url, questions, during, stop, args.readers))
    times, built = await asyncio.to_thread(rebuild, workspace, peaks, args.rebuilds)
    await asyncio.sleep(2)
    stop.set()
    await reading
    during_s = time.perf_counter() - began
    unknown = (alone.graphs | during.graphs) - built - {before}
    return {
        "readers": args.readers,
        "questions": len(questions),
        "alone": alone.summary(alone_s),
        "while_rebuilding": during.summary(during_s),
        "rebuilds_with_readers": times,
        "graphs_built": len(built | {before}),
        "graphs_seen_that_were_never_whole": len(unknown),
    }


def fuzz(url: str, examples: int) -> dict[str, Any]:
    """Send what the document allows and forbids; count statuses and failed checks."""
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis.checks import (
        content_type_conformance,
        not_a_server_error,
        response_schema_conformance,
        status_code_conformance,
    )
    from schemathesis.core.failures import FailureGroup
    from schemathesis.generation import GenerationMode

    checks = [not_a_server_error, status_code_conformance, content_type_conformance,
              response_schema_conformance]  # fmt: skip
    schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json")
    statuses: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    n = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        n += 1
        for mode in GenerationMode:
            if mode == GenerationMode.NEGATIVE and not list(
                operation.iter_parameters()
            ):
                continue

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=examples, deadline=None, database=None,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            def send(case: Any) -> None:  # noqa: ANN401
                response = case.call(timeout=300)
                statuses[str(response.status_code)] += 1
                try:
                    case.validate_response(response, checks=checks)
                except FailureGroup as group:
                    failures.update(
                        f"{case.operation.label}: {e.title}" for e in group.exceptions
                    )

            send()
    return {
        "operations": n, "requests": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "server_errors": sum(v for k, v in statuses.items() if k.startswith("5")),
        "failed_checks": dict(failures),
    }  # fmt: skip


def measure_workspace(path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Measure on a copy of one workspace."""
    with tempfile.TemporaryDirectory(prefix="cisgraph-bench-") as folder:
        workspace = Path(folder) / "workspace"
        left = shutil.ignore_patterns("jobs", "uploads")
        shutil.copytree(path, workspace, ignore=left)
        with open_store(workspace) as store:
            contig = store.contig_names().names[0]
            assembly = store.genome().assembly
        peaks = Path(folder) / "inbox.bed"
        starts = range(2_000, 90_000, 3_000)
        peaks.write_text("".join(f"{contig}\t{p}\t{p + 300}\tp{p}\n" for p in starts))
        with served(workspace) as url:
            found = asyncio.run(measure(url, workspace, peaks, args))
        found["rebuilds_without_readers"] = rebuild(workspace, peaks, args.rebuilds)[0]
        with served(workspace) as url:
            found["schemathesis"] = fuzz(url, args.examples)
        log = (Path(folder) / "serve.log").read_text()
    return {
        "assembly": assembly,
        **found,
        "tracebacks_in_the_log": log.count("Traceback"),
    }


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--baseline-s", type=float, default=BASELINE_S)
    parser.add_argument("--rebuilds", type=int, default=REBUILDS)
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--shared-machine", action="store_true")
    args = parser.parse_args()
    found: dict[str, Any] = {
        "shared_machine": args.shared_machine,
        "machine": describe_machine(),
        "workspaces": [],
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for path in args.workspace:
        found["workspaces"].append(measure_workspace(path, args))
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["workspaces"], indent=1))


if __name__ == "__main__":
    main()
