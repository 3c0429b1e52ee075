"""The main job on real genomes, end to end: register, build, score, rebuild, load.

    python benchmarks/whole.py --data ../shared/data --work /tmp/whole \
        --out benchmarks/results/whole.json

Every stage is the command a user would type, run as a process of its own; time is wall
clock, memory the highest proportional set size (PSS) of the process and its children
together, sampled five times a second.
"""

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import describe_machine  # noqa: E402

CISGRAPH = [sys.executable, "-m", "dashboards.cli"]
BUILD = [sys.executable, "-m", "graph_builder.build"]
SCORE = [sys.executable, "-m", "variant_effect.score"]
YEAST_VCFS = (
    "yeast12.norm.vcf.gz",
    "yeast12.cerevisiae.multi.vcf.gz",
    "BYxRM.A_forFrank051815.sort.blocked.vcf.gz",
)
REGION = "Chr5:25975503-26975502"


def run(command: list[str]) -> dict[str, Any]:
    """Run one command; return seconds, peak memory of its process tree, and its output."""
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    tree = psutil.Process(process.pid)
    peak = 0
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or []))
    reader.start()
    while process.poll() is None:
        peak = max(peak, _tree_bytes(tree))
        time.sleep(0.2)
    reader.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{''.join(lines)}")
    return {
        "command": " ".join(Path(p).name if p.startswith("/") else p for p in command),
        "seconds": round(time.monotonic() - began, 2),
        "peak_pss_mib": round(peak / 2**20),
        "output": "".join(lines),
    }


def _tree_bytes(tree: psutil.Process) -> int:
    total = 0
    try:
        for process in [tree, *tree.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
    except psutil.NoSuchProcess:
        return 0
    return total


def score_file(vcf: Path, workspace: Path, out: Path, *more: str) -> dict[str, Any]:
    """Score one VCF and check that its accounting adds up."""
    counts = out.with_suffix(".json")
    stage = run([
        *SCORE, "--vcf", str(vcf), "-w", str(workspace), "--out", str(out),
        "--accounting", str(counts), *more,
    ])  # fmt: skip
    del stage["output"]
    accounting = json.loads(counts.read_text())
    total = accounting["scored"] + sum(accounting["reasons"].values())
    if total != accounting["input_alleles"]:
        raise SystemExit(
            f"{vcf.name}: {total} accounted of {accounting['input_alleles']}"
        )
    return stage | {
        "accounting": accounting,
        "alleles_per_second": round(accounting["input_alleles"] / stage["seconds"]),
    }


def newest_graph(workspace: Path) -> dict[str, Any]:
    """Return the manifest of the newest graph."""
    name = (workspace / "graph" / "CURRENT").read_text().strip()
    found: dict[str, Any] = json.loads(
        (workspace / "graph" / name / "manifest.json").read_text()
    )
    return found


def counts_of(manifest: dict[str, Any]) -> dict[str, int]:
    """Return rows by node and edge type."""
    return {
        name: record["count"]
        for group in ("nodes", "edges")
        for name, record in manifest[group].items()
    }


def load_with_pyg(workspace: Path) -> dict[str, Any]:
    """Load the newest graph as PyG HeteroData and compare the counts."""
    program = (
        "import json, sys, time; from pathlib import Path; from models.hetero import "
        "load_hetero; from graph_builder.manifest import current_graph; t = time.monotonic();"
        "data = load_hetero(current_graph(Path(sys.argv[1])));"
        "print(json.dumps({'nodes': {k: data[k].num_nodes for k in data.node_types}, "
        "'edges': {'__'.join(k): data[k].num_edges for k in data.edge_types}, "
        "'seconds': round(time.monotonic() - t, 2), 'valid': data.validate()}))"
    )
    stage = run([sys.executable, "-c", program, str(workspace / "graph")])
    loaded: dict[str, Any] = json.loads(stage["output"].strip().splitlines()[-1])
    rows = counts_of(newest_graph(workspace))
    differs = {
        name: (n, rows.get(name))
        for name, n in {**loaded["nodes"], **loaded["edges"]}.items()
        if n != rows.get(name)
    }
    return {
        "seconds": loaded["seconds"], "peak_pss_mib": stage["peak_pss_mib"],
        "valid": loaded["valid"], "counts_that_differ": differs,
    }  # fmt: skip


def rebuild(
    workspace: Path, recipe: list[str], changed: dict[str, Path], work: Path
) -> list[dict[str, Any]]:
    """Change one source at a time; compare the rebuild with a full build of the same.

    The changed source is the real file without its last row.
    """
    results = []
    for name, path in changed.items():
        shown = run([*CISGRAPH, "show", name, "-w", str(workspace)])["output"]
        source = json.loads(shown[shown.index("{") :])
        shorter = work / f"shorter_{path.name}"
        _drop_last_row(path, shorter)
        options = [f"--option={k}={v}" for k, v in source["options"].items()]
        columns = [f"--column={k}={v}" for k, v in source["columns"].items()]
        run([
            *CISGRAPH, "add", str(shorter), "--kind", source["kind"], "--name", name,
            "-w", str(workspace), *options, *columns,
        ])  # fmt: skip
        partial = run([*BUILD, "-w", str(workspace)])
        digest = newest_graph(workspace)["digest"]
        kept = workspace / "graph.kept"
        (workspace / "graph").rename(kept)
        full = run([*BUILD, "-w", str(workspace)])
        full_digest = newest_graph(workspace)["digest"]
        shutil.rmtree(workspace / "graph")
        kept.rename(workspace / "graph")
        results.append({
            "changed": name, "kind": source["kind"], "rebuild_seconds": partial["seconds"],
            "full_seconds": full["seconds"],
            "share": round(partial["seconds"] / full["seconds"], 3),
            "same_digest_as_full_build": digest == full_digest,
        })  # fmt: skip
        run([*CISGRAPH, "add", *recipe, "-w", str(workspace)])
        run([*BUILD, "-w", str(workspace)])
    return results


def _drop_last_row(path: Path, target: Path) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    with (
        gzip.open(target, "wb") if target.suffix == ".gz" else target.open("wb") as out
    ):
        out.write(b"".join(lines[:-1]))


def main() -> None:
    """Run all stages and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for workspaces"
    )
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    data, work = given.data.resolve(), given.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    recipes = ROOT / "benchmarks" / "recipes"
    result: dict[str, Any] = {
        "benchmark": "whole",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
    }

    def prepare(name: str) -> tuple[Path, list[str], dict[str, Any]]:
        workspace = work / name
        recipe = ["--recipe", str(recipes / f"{name}.toml"), "--root", str(data)]
        stages = {}
        for stage, command in (
            ("register", ["add", *recipe]), ("build", ["build"]), ("verify", ["verify"]),
            ("validate", ["validate"]), ("build_again", ["build"]),
        ):  # fmt: skip
            program = BUILD if command == ["build"] else [*CISGRAPH, *command]
            stages[stage] = run([*program, "-w", str(workspace)])
            del stages[stage]["output"]
            print(name, stage, stages[stage]["seconds"], "s", flush=True)
        stages["build_again"]["share_of_build"] = round(
            stages["build_again"]["seconds"] / stages["build"]["seconds"], 3
        )
        return workspace, recipe, stages

    yeast, yeast_recipe, stages = prepare("yeast")
    for vcf in YEAST_VCFS:
        path = data / "yeast" / "variants" / vcf
        stages[f"score {vcf}"] = score_file(
            path, yeast, work / f"{vcf}.tsv", "--workers", "2"
        )
        print("yeast", vcf, stages[f"score {vcf}"]["seconds"], "s", flush=True)
    result["yeast"] = {
        "stages": stages, "graph": counts_of(newest_graph(yeast)), "pyg": load_with_pyg(yeast),
        "rebuild": rebuild(
            yeast, yeast_recipe,
            {
                "sgd_go_slim": data / "yeast/terms/sgd_go_slim_mapping_2018_2_7.tsv.gz",
                "nucleosomes": data / "yeast/epigenome/nucleosome_data_SacCer3.bed.gz",
            },
            work,
        ),
    }  # fmt: skip
    print("yeast rebuild", result["yeast"]["rebuild"], flush=True)

    plant, _, stages = prepare("arabidopsis")
    variants = data / "arabidopsis" / "variants"
    stages["score region"] = score_file(
        variants / "SNPmatch_701_501.vcf.gz",
        plant,
        work / "region.tsv",
        "--region",
        REGION,
    )
    stages["score TIR1"] = score_file(
        variants / "1001G_TIR1_1135acc.vcf.gz", plant, work / "tir1.tsv"
    )
    result["arabidopsis"] = {
        "stages": stages, "graph": counts_of(newest_graph(plant)),
        "pyg": load_with_pyg(plant), "evidence": evidence(work / "region.tsv", plant),
    }  # fmt: skip
    both = [result[name]["graph"] for name in ("yeast", "arabidopsis")]
    filled = sorted({name for counts in both for name, n in counts.items() if n})
    result["filled"] = {
        "node_types": [name for name in filled if "__" not in name],
        "edge_types": [name for name in filled if "__" in name],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(given.out)


def evidence(table: Path, workspace: Path) -> dict[str, Any]:
    """Take the cards of evenly spaced alleles; count the kinds of source they rest on."""
    rows = [
        line.split("\t")
        for line in table.read_text().splitlines()
        if not line.startswith("##")
    ]
    head = {name: i for i, name in enumerate(rows[0])}
    scored = [row for row in rows[1:] if row[head["status"]] == "scored"]
    cards = []
    for row in scored[:: max(len(scored) // 12, 1)][:12]:
        variant = ":".join(row[head[name]] for name in ("chrom", "pos", "ref", "alt"))
        shown = run(
            [*CISGRAPH, "explain-variant", variant, "-w", str(workspace), "--json"]
        )
        card = json.loads(shown["output"][shown["output"].index("{") :])
        sources = sorted({
            part.split(" (")[1].split(",")[0]
            for item in card["evidence"] for part in item["source"].split("; ")
            if " (" in part and "sha256" in part
        })  # fmt: skip
        cards.append({"variant": variant, "statements": len(card["evidence"]),
                      "kinds": sources})  # fmt: skip
    kinds = sorted({kind for card in cards for kind in card["kinds"]})
    return {"alleles_scored": len(scored), "kinds_over_all": kinds, "cards": cards}


if __name__ == "__main__":
    main()
