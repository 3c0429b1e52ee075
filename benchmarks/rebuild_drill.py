"""The inbox drill: real yeast data, ten kills, and the same digests as a clean build.

    python benchmarks/rebuild_drill.py --data ../shared/data --folder /tmp/drill \
        --out benchmarks/results/rebuild_drill.json

Two workspaces are registered from a part of the yeast recipe. Into the inbox of each go
a new peak file, a new VCF and a file that is damaged. In one of them the rebuild runs in
peace; in the other it is killed (SIGKILL) at ten moments, drawn at random over the first
third of the time that the first one took, and started again each time. Then their graphs, scores,
embeddings and tables are compared by content, and the graph with that of a third workspace
in which the same files were registered by hand.

What is real and what is made of it: genome, gene models, motifs, variants, nucleosomes and
terms are those of the recipe. The peak file holds the gaps between nucleosome calls. The
damaged file is the first half of the peak file's gzip. The benchmark, which the gate
watches, holds SNVs of chromosome V seen in other strains (label 0) and as many simulated
ones with the same change of base (label 1).
"""

import argparse
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pysam

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from data_registry.recipes import read_recipe, register_source
from data_registry.schema import TABLES
from data_registry.store import open_store
from data_registry.versions import REBUILD, Versions
from graph_builder.build import build_graph
from graph_builder.manifest import current_graph, read_manifest

ROOT = Path(__file__).resolve().parents[1]
SEED = 20_261_127
LAYERS = (
    "sacCer3", "ensembl81", "pol2_tss", "nucleosomes", "yeastract", "sgd_go_slim", "byxrm",
)  # fmt: skip
LEFT_OUT = "Hi-C (2), yeast12_cerevisiae_multi, yeast12_norm: to keep a rebuild short"
KEPT_REGIONS = ["chrII:1-300000", "chrV"]
NEW_REGION = "chrII:1-300000"
GAP_BP = (80, 1_000)
KILLS = 10
LATEST = 0.33
COMPARED = (
    "graph", "scores", "embeddings", "tables", "moved", "quarantine", "version",
)  # fmt: skip


def main() -> None:
    """Run the drill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    result = drill(arguments.data, arguments.folder, arguments.kills, arguments.seed)
    text = json.dumps(result, indent=1) + "\n"
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    print(text)
    if not all(result["same"].values()):
        sys.exit("the digests differ")


def drill(data: Path, folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Make both workspaces, kill one, compare."""
    rng = np.random.default_rng(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = folder / "yeast"
    register(data, base)
    write_benchmark(data, base, np.random.default_rng(seed))
    calm, killed = folder / "calm", folder / "killed"
    # The first rebuild makes versions, scores and figures of what is there.
    first = run(base)
    for copy in (calm, killed):
        shutil.copytree(base, copy, symlinks=True)
        fill_inbox(data, copy / "inbox")

    whole = run(calm)
    print(f"first rebuild {first['seconds']} s, with the inbox {whole['seconds']} s")

    deaths: list[dict[str, Any]] = []
    while len(deaths) < kills:
        # Short of the whole, because a killed run is picked up where it stood.
        moment = float(rng.uniform(0.5, whole["seconds"] * LATEST))
        deaths.append(kill_after(killed, moment))
        print(f"killed after {moment:.1f} s: {deaths[-1]['last_line']}", flush=True)
        if deaths[-1]["finished_before"]:
            break  # nothing is left to be killed; the JSON says how many kills hit
    last = run(killed)
    pages = sorted((killed / REBUILD / "reports").glob("*.json"))
    fresh = build_fresh(data, folder / "fresh", calm / "inbox")
    pairs = {"calm": describe(calm), "killed": describe(killed)}
    report = json.loads(pages[-1].read_text())
    return {
        "machine": describe_machine(),
        "layers": LAYERS,
        "layers_left_out": LEFT_OUT,
        "scored": {"byxrm": KEPT_REGIONS, "strains": NEW_REGION, "benchmark": "chrV"},
        "seed": seed,
        "seconds_first_rebuild": first["seconds"],
        "seconds_with_inbox": whole["seconds"],
        "kills": deaths,
        "kills_that_hit": sum(not one["finished_before"] for one in deaths),
        "seconds_last_run": last["seconds"],
        "graph_of_a_fresh_workspace": fresh,
        "same": {
            "graph_of_a_fresh_workspace": fresh == pairs["killed"]["graph"],
            **{key: pairs["calm"][key] == pairs["killed"][key] for key in COMPARED},
        },
        "calm": pairs["calm"],
        "killed": pairs["killed"],
        "report": {
            "status": report["status"],
            "picked_up": report["picked_up"],
            "came_in": {one["source"]: one["rows_kept"] for one in report["came_in"]},
            "refused": {one["file"]: one["reason"] for one in report["refused"]},
            "causes": report["causes"],
            "scores": [
                {k: v for k, v in one.items() if k != "accounting"}
                for one in report["scores"]
            ],
            "figures": [
                {k: v for k, v in one.items() if k != "truth"}
                for one in report["figures"]
            ],
        },
    }


# -- the material ------------------------------------------------------------------------


def register(data: Path, workspace: Path) -> None:
    """Register a part of the yeast recipe and build its graph."""
    recipe = read_recipe(ROOT / "benchmarks" / "recipes" / "yeast.toml", data)
    with open_store(workspace, write=True) as store:
        for source in recipe.sources:
            if source.name in LAYERS:
                outcome = register_source(store, recipe, source)
                if outcome.error:
                    sys.exit(outcome.error)
        build_graph(store.connection, store.genome(), store.workspace.graph)


def build_fresh(data: Path, workspace: Path, inbox: Path) -> str:
    """Register everything at once, as one would by hand; return the graph's digest."""
    register(data, workspace)
    with open_store(workspace, write=True) as store:
        for path in sorted(inbox.glob("*.gz")):
            store.add(path)
        return build_graph(
            store.connection, store.genome(), store.workspace.graph
        ).digest


def fill_inbox(data: Path, inbox: Path) -> None:
    """Drop the three files."""
    inbox.mkdir(exist_ok=True)
    calls = pd.read_csv(
        data / "yeast/epigenome/nucleosome_data_SacCer3.bed.gz",
        sep="\t", header=0, usecols=[0, 1, 2], names=["contig", "start", "end"],
    ).sort_values(["contig", "start"])  # fmt: skip
    gaps = pd.DataFrame(
        {
            "contig": calls["contig"],
            "start": calls["end"],
            "end": calls.groupby("contig")["start"].shift(-1),
        }
    ).dropna()
    width = gaps["end"] - gaps["start"]
    gaps = gaps[(width >= GAP_BP[0]) & (width <= GAP_BP[1])].astype({"end": int})
    lines = [
        f"{row.contig}\t{row.start}\t{row.end}\tgap{i}\t0\t.\t{row.end - row.start}\t-1\t-1\t-1"
        for i, row in enumerate(gaps.itertuples(index=False))
    ]
    text = ("\n".join(lines) + "\n").encode()
    peaks = gzip.compress(text, mtime=0)
    (inbox / "linkers.narrowPeak.gz").write_bytes(peaks)
    (inbox / "damaged.narrowPeak.gz").write_bytes(peaks[: len(peaks) // 2])
    source = data / "yeast/variants/yeast12.cerevisiae.multi.vcf.gz"
    with pysam.TabixFile(str(source)) as file:
        header = list(file.header)
        records = list(file.fetch("chrII"))
    vcf = ("\n".join([*header, *records]) + "\n").encode()
    (inbox / "strains.vcf.gz").write_bytes(gzip.compress(vcf, mtime=0))


def write_benchmark(data: Path, workspace: Path, rng: np.random.Generator) -> None:
    """Write settings, and SNVs of chromosome V: seen in strains, and simulated.

    SNVs of the registered panel are left out, and the VCF that goes into the inbox holds
    another chromosome: a panel that knows an allele would give its label away.
    """
    folder = workspace / REBUILD
    folder.mkdir()
    with pysam.TabixFile(
        str(data / "yeast/variants/yeast12.cerevisiae.multi.vcf.gz")
    ) as file:
        rows = [line.split("\t", 5)[:5] for line in file.fetch("chrV")]
    with open_store(workspace) as store:
        genome = store.genome().contig("chrV").tobytes().decode().upper()
        known = {
            (start + 1, ref, alt)
            for start, ref, alt in store.connection.execute(
                "SELECT start, ref, alt FROM panel_frequencies WHERE contig = 'chrV'"
            ).fetchall()
        }
    seen = sorted(
        {
            (int(pos), ref, one)
            for _, pos, _, ref, alt in rows
            for one in alt.split(",")
            if len(ref) == 1 and one in {"A", "C", "G", "T"}
        }
        - known
    )
    seen = [seen[i] for i in sorted(rng.choice(len(seen), 4_000, replace=False))]
    taken = {(pos, alt) for pos, _, alt in seen} | {(p, a) for p, _, a in known}
    places = {base: [i for i, b in enumerate(genome) if b == base] for base in "ACGT"}
    simulated = []
    for _, ref, alt in seen:
        while True:
            pos = places[ref][int(rng.integers(len(places[ref])))] + 1
            if (pos, alt) not in taken:
                taken.add((pos, alt))
                simulated.append((pos, ref, alt))
                break
    labelled = sorted([(*one, 0) for one in seen] + [(*one, 1) for one in simulated])
    vcf = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    vcf += [f"chrV\t{pos}\t.\t{ref}\t{alt}\t.\t.\t." for pos, ref, alt, _ in labelled]
    (folder / "benchmark.vcf").write_text("\n".join(vcf) + "\n")
    truth = ["chrom\tpos\tref\talt\tlabel"]
    truth += [
        f"chrV\t{pos}\t{ref}\t{alt}\t{label}" for pos, ref, alt, label in labelled
    ]
    (folder / "truth.tsv").write_text("\n".join(truth) + "\n")
    (folder / "settings.toml").write_text(
        f"""new_vcf_regions = ["{NEW_REGION}"]

[[score]]
source = "byxrm"
regions = {json.dumps(KEPT_REGIONS)}

[[score]]
name = "benchmark"
path = "benchmark.vcf"

[[embed]]
what = "motif"

[[benchmark]]
name = "simulated or seen"
scores = "benchmark"
truth = "truth.tsv"
"""
    )


# -- running -----------------------------------------------------------------------------


def command(workspace: Path) -> list[str]:
    """Return the command line of a rebuild."""
    return [sys.executable, "-m", "graph_builder.rebuild", "--workspace", str(workspace),
            "--settle", "0"]  # fmt: skip


def run(workspace: Path) -> dict[str, Any]:
    """Rebuild in peace; return seconds and the report's page."""
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        command(workspace), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr + done.stdout)
    page = [line for line in done.stdout.splitlines() if line.startswith("report: ")]
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "page": page[-1].removeprefix("report: ") if page else "",
    }


def kill_after(workspace: Path, seconds: float) -> dict[str, Any]:
    """Start a rebuild, kill it after so long, and say what it was doing."""
    log = workspace.parent / "killed.log"
    with log.open("w") as out:
        process = subprocess.Popen(  # noqa: S603
            command(workspace), cwd=ROOT, stdout=out, stderr=out
        )
        try:
            process.wait(seconds)
            finished = True
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            finished = False
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    return {
        "after_s": round(seconds, 2),
        "finished_before": finished,
        "last_line": lines[-1].strip() if lines else "",
    }


# -- comparing ---------------------------------------------------------------------------


def describe(workspace: Path) -> dict[str, Any]:
    """Return content digests of the version in use."""
    current = Versions(workspace).current()
    if current is None:
        sys.exit(f"{workspace} has no versions")
    graph = current_graph(current.workspace.graph)
    if graph is None:
        sys.exit(f"{workspace} has no graph")
    scores = digest_files(current.folder, "scores/kept/*/*.parquet")
    embeddings = digest_files(current.folder, "embeddings/*/*.parquet")
    with open_store(current.folder) as store:
        tables = {
            name: digest_rows(
                store.connection,
                f'SELECT * EXCLUDE source_id FROM "{name}"',  # noqa: S608
            )
            for name in TABLES
        }
        tables = {name: digest for name, digest in tables.items() if digest[0]}
        log = store.connection.execute("SELECT count(*) FROM runs").fetchall()[0][0]
    quarantine = workspace / "inbox" / "quarantine"
    moved = current.folder / "changes" / "moved.tsv"
    return {
        "version": current.name,
        "graph": read_manifest(graph).digest,
        "scores": scores,
        "embeddings": embeddings,
        "tables": tables,
        "quarantine": sorted(p.name for p in quarantine.glob("*/*")),
        "moved": digest_query(f"SELECT * FROM read_csv('{moved}')"),  # noqa: S608
        "runs_logged": log,
        "versions": [f"{v.name} {v.state}" for v in Versions(workspace).all()],
    }


def digest_files(folder: Path, pattern: str) -> dict[str, list[int]]:
    """Digest the rows of Parquet files, by path."""
    return {
        file.relative_to(folder).as_posix(): digest_query(
            f"SELECT * FROM read_parquet('{file}')"  # noqa: S608
        )
        for file in sorted(folder.glob(pattern))
    }


def digest_query(sql: str) -> list[int]:
    """Digest a query's rows as a multiset."""
    with duckdb.connect() as db:
        return digest_rows(db, sql)


def digest_rows(db: duckdb.DuckDBPyConnection, sql: str) -> list[int]:
    """Return number of rows and the sum of their hashes."""
    found = db.execute(
        f"SELECT count(*), coalesce(sum(hash(r)), 0)::HUGEINT FROM ({sql}) r"  # noqa: S608
    ).fetchall()[0]
    return [int(found[0]), int(found[1])]


if __name__ == "__main__":
    main()
