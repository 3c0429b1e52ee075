"""Time and memory of the graph model from 10 thousand to 3 million edges.

    python benchmarks/graph_scaling.py --data ../shared/data \
        --out benchmarks/results/graph_scaling.json

Edges are drawn at random (SYNTHETIC: a time does not care what they mean): factors to
elements and elements to genes, 40 edges a gene. Then the real network of *Arabidopsis*,
2,276,586 edges from factor to target. Each size runs in a process of its own, so that its
peak memory is its own. Measured with untrained weights of the default size: encoding the
graph in full and scoring 10,000 variants, and one step of training on 2,048 variants with
all edges of a node, and with the sampler (fan-out 8). An edge that is read both ways
counts once here, and is two for the network.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from benchmarks.result_file import write_result
from models.graph.network import NEAR, GraphTransformer, NetworkSettings, Queries
from models.graph.sampling import sample, shuffle_rows
from models.graph.structure import BACK, Edges, Graph, Nodes
from models.graph.tasks import VariantTask
from models.graph.training import generator_of, layout_of, spread_out

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)
ARABIDOPSIS = "arabidopsis/derived/tf_target_edges.tsv.xz"
Ints = NDArray[np.int64]
N_VARIANTS, N_STEP = 10_000, 2_048
N_ATTRIBUTES, N_VARIANT_ATTRIBUTES = 4, 40
FAN_OUT = 8


def nodes_of(n: int, width: int, rng: np.random.Generator) -> Nodes:
    """Return nodes with random attributes."""
    x = torch.from_numpy(rng.normal(size=(n, width)).astype(np.float32))
    return Nodes(x, torch.ones(n, width, dtype=torch.bool), torch.full((n,), -1))


def edges_of(source: Ints, target: Ints, n: int, rng: np.random.Generator, width: int) -> Edges:  # fmt: skip
    """Return edges with random attributes."""
    x = torch.from_numpy(rng.normal(size=(len(source), width)).astype(np.float32))
    return Edges.of(
        torch.as_tensor(source),
        torch.as_tensor(target),
        n,
        x,
        torch.ones_like(x).bool(),
    )


def both_ways(key: tuple[str, str, str], source: Ints, target: Ints, nodes: dict[str, Nodes], rng: np.random.Generator) -> dict[tuple[str, str, str], Edges]:  # fmt: skip
    """Return edges of a type in both directions."""
    back = (key[2], BACK + key[1], key[0])
    n_source, n_target = len(nodes[key[0]]), len(nodes[key[2]])
    return {
        key: edges_of(source, target, n_target, rng, 2),
        back: edges_of(target, source, n_source, rng, 2),
    }


def synthetic(n_edges: int, rng: np.random.Generator) -> Graph:
    """Draw a graph of ``n_edges`` edges."""
    n = max(n_edges // 40, 100)
    nodes = {"gene": nodes_of(n, N_ATTRIBUTES, rng), "cre": nodes_of(n, N_ATTRIBUTES, rng),
             "tf": nodes_of(200, N_ATTRIBUTES, rng)}  # fmt: skip
    half = n_edges // 2
    edges = {}
    for key in (("tf", "motif_in", "cre"), ("gene", "linked_to", "cre")):
        ends = (rng.integers(0, len(nodes[key[i]]), half) for i in (0, 2))
        edges |= both_ways(key, *ends, nodes, rng)
    return Graph(nodes, edges)


def arabidopsis(data: Path, rng: np.random.Generator) -> Graph:
    """Read the real network: genes that regulate and genes that are regulated."""
    table = pd.read_csv(data / ARABIDOPSIS, sep="\t")
    source, factors = pd.factorize(table.iloc[:, 0], sort=True)
    target, genes = pd.factorize(table.iloc[:, 1], sort=True)
    nodes = {"gene": nodes_of(len(genes), N_ATTRIBUTES, rng),
             "tf": nodes_of(len(factors), N_ATTRIBUTES, rng)}  # fmt: skip
    key = ("tf", "regulates", "gene")
    return Graph(nodes, both_ways(key, source, target, nodes, rng))


def measure(graph: Graph, rng: np.random.Generator) -> dict[str, Any]:
    """Time encoding with scoring, and steps of training."""
    pairs = rng.integers(0, len(graph.nodes["gene"]), 2 * N_VARIANTS)
    owner = np.repeat(np.arange(N_VARIANTS), 2)
    queries = Queries(
        nodes_of(N_VARIANTS, N_VARIANT_ATTRIBUTES, rng),
        {NEAR: edges_of(pairs, owner, N_VARIANTS, rng, 4)},
    )
    rows = torch.arange(N_STEP)
    unknown = torch.full((len(owner),), torch.nan)
    label = torch.from_numpy(rng.integers(0, 2, N_VARIANTS).astype(np.float32))
    task = VariantTask("variant", queries, label, unknown, unknown, rows, rows)
    layout = layout_of(graph, [task], {})
    settings = NetworkSettings(closed=())
    head = {"variant": task.head(settings.width, layout)}
    network = GraphTransformer(settings, layout, head).eval()
    began = time.perf_counter()
    with torch.inference_mode():
        states = network.encode(graph)
        encoded = time.perf_counter()
        task.predict(network, states, torch.arange(N_VARIANTS))
    scored = time.perf_counter()
    del states
    found = {
        "edges": graph.n_edges // 2,
        "nodes": sum(map(len, graph.nodes.values())),
        "encode_seconds": round(encoded - began, 3),
        "score_10k_variants_seconds": round(scored - encoded, 3),
        "scoring_peak_mib": _peak_mib(),
    }
    shuffled = shuffle_rows(graph, generator_of(0))
    network.train()
    began = time.perf_counter()
    part = sample(shuffled, task.needs(rows), settings.blocks, FAN_OUT)
    states = spread_out(network.encode(part.graph), part, graph)
    task.loss(network, states, rows).backward()
    found["sampled_step_seconds"] = round(time.perf_counter() - began, 3)
    found["sampled_edges"] = part.graph.n_edges // 2
    found["peak_mib"] = _peak_mib()
    return found


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all sizes, each in its own process."""
    started = datetime.now(UTC)
    rows = []
    for size in [*map(str, SIZES), "arabidopsis"]:
        command = [
            sys.executable, __file__, "--data", str(arguments.data), "--one", size,
            "--threads", str(arguments.threads),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        rows.append({"graph": size, **json.loads(done.stdout.splitlines()[-1])})
        print(rows[-1], flush=True)
    synthetic_rows = rows[:-1]
    edges = np.array([r["edges"] for r in synthetic_rows], float)
    encode = np.array([r["encode_seconds"] for r in synthetic_rows])
    peak = np.array([r["scoring_peak_mib"] for r in synthetic_rows])
    exponent = float(np.polyfit(np.log(edges[1:]), np.log(encode[1:]), 1)[0])
    slope, intercept = np.polyfit(edges, peak, 1)
    real = rows[-1]
    return {
        "what": "time and memory of the graph model by number of edges",
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "threads": arguments.threads,
        "synthetic_edges": True,
        "sizes": rows,
        "encode_exponent_from_30k": round(exponent, 3),
        "bytes_an_edge": round(float(slope) * 2**20, 1),
        "base_mib": round(float(intercept), 1),
        "arabidopsis": {
            "seconds": round(real["encode_seconds"] + real["score_10k_variants_seconds"], 1),
            "peak_mib": real["scoring_peak_mib"],
            "target_seconds": 60, "target_mib": 6144,
        },
    }  # fmt: skip


def main() -> int:
    """Run the benchmark named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--one", help="one size, or arabidopsis, in this process")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.one:
        torch.set_num_threads(arguments.threads)
        rng = np.random.default_rng(1)
        real = arguments.one == "arabidopsis"
        graph = (
            arabidopsis(arguments.data, rng)
            if real
            else synthetic(int(arguments.one), rng)
        )
        print(json.dumps(measure(graph, rng)))
        return 0
    result = run(arguments)
    if arguments.out:
        write_result(arguments.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
