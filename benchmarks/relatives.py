"""Relatives' genomes on the yeast reference: coverage, agreement with called genotypes, time.

    python benchmarks/relatives.py --data ../shared/data --work /tmp/relatives \
        --out benchmarks/results/relatives.json

Six assemblies are aligned to sacCer3 and their bases are compared, at every SNP of
``yeast12.norm.vcf.gz``, with the genotype of the same strain there. Those were called by
another program from the same assemblies (minimap2's command line, its ``cs`` tag, and rules
of their own), so this checks the bookkeeping, not the homology. ``--quick`` takes one
strain of each role.
"""

import argparse
import json
import shutil
import sys
import time
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from cyvcf2 import VCF

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import PeakMemory, describe_machine
from data_registry.relative_alignment import DELETED, UNALIGNED
from data_registry.relatives import (
    Registered,
    Relatives,
    align_relatives,
    write_tracks,
)
from data_registry.store import open_store

ROLES = {
    "SK1": "ingroup", "CBS432": "outgroup", "UWOPS034614": "ingroup",
    "YPS128": "ingroup", "UFRJ50816": "outgroup", "UWOPS919171": "outgroup",
}  # fmt: skip
BASES = "ACGT"


def main() -> int:
    """Run the benchmark named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="an empty folder")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.work.exists():
        print(f"{arguments.work} exists; name a folder that does not", file=sys.stderr)
        return 2
    names = list(ROLES)[: 2 if arguments.quick else None]
    try:
        result = measure(
            arguments.data / "yeast", arguments.work, names, arguments.workers
        )
    finally:
        shutil.rmtree(arguments.work, ignore_errors=True)
    text = json.dumps(result, indent=1) + "\n"
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    print(text)
    return 0


def measure(yeast: Path, work: Path, names: list[str], workers: int) -> dict[str, Any]:
    """Register, align, compare; return what was found, ready for JSON."""
    started = datetime.now(UTC)
    memory = PeakMemory()
    with open_store(work / "workspace", write=True) as store:
        store.add(
            yeast / "genome" / "sacCer3.fa.gz", kind="genome",
            options={"assembly": "sacCer3"},
        )  # fmt: skip
        for name in names:
            store.add(
                yeast / "assemblies" / f"{name}.genome.fa.gz", kind="relative_genome",
                name=name, options={"role": ROLES[name]},
            )  # fmt: skip
        registered = Registered.of(store)
    memory.reset()
    began = dict.fromkeys(names, 0.0)
    ended = dict.fromkeys(names, 0.0)

    def on_progress(_: int, name: str) -> None:
        ended[name] = time.perf_counter()
        began[name] = began[name] or ended[name]

    relatives = align_relatives(registered, workers=workers, on_progress=on_progress)
    peak = memory.read()
    before = time.perf_counter()
    write_tracks(relatives, work / "tracks")
    tracks_s = time.perf_counter() - before
    total = sum(registered.genome.lengths.values())
    size = sum(file.stat().st_size for file in registered.folder.rglob("*"))
    calls = compare_with_calls(relatives, yeast / "variants" / "yeast12.norm.vcf.gz")
    return {
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "workers": workers,
        "reference_bp": total,
        "relatives": {
            name: {
                "role": role,
                "seconds": round(ended[name] - began[name], 1),
                **{k: v for k, v in counts.items() if k != "key"},
                "covered": round(
                    1 - (counts["unaligned"] + counts["disputed"] + counts["no_letter"])
                    / total, 4,
                ),
                "against_calls": calls[name],
            }
            for name, role, counts in zip(
                relatives.names, relatives.roles, relatives.counts, strict=True
            )
        },
        "polarity_known": known_polarity(relatives),
        "tracks_seconds": round(tracks_s, 1),
        "artifact_bytes_per_bp_and_relative": round(size / total / len(names), 3),
        "peak_mib": peak,
    }  # fmt: skip


def compare_with_calls(relatives: Relatives, vcf: Path) -> dict[str, dict[str, Any]]:
    """Compare bases with haploid genotypes at SNP records.

    A record where the strain carries the ALT agrees if ALT is its base; one with genotype
    0 agrees if it is not (0 may be another ALT of the position). Records where only one
    of the two tells anything are counted, and do not enter the agreement.
    """
    reader = VCF(str(vcf), samples=list(relatives.names))
    column = [reader.samples.index(name) for name in relatives.names]
    zero = {
        "carried": 0, "carried_agree": 0, "not_carried": 0, "not_carried_agree": 0,
        "base_only": 0, "call_only": 0, "neither": 0,
    }  # fmt: skip
    counts = [dict(zero) for _ in relatives.names]
    for contig, records in groupby(reader, key=lambda record: record.CHROM):
        places, alts, called = [], [], []
        for record in records:
            if len(record.REF) == 1 and len(record.ALT[0]) == 1:
                places.append(record.start)
                alts.append(BASES.index(record.ALT[0]))
                called.append(record.genotype.array()[:, 0][column])
        bases = relatives.sites(contig)[:, places]
        genotype = np.array(called).T
        has_alt = bases == np.array(alts)
        is_base = (bases != UNALIGNED) & (bases != DELETED)
        is_called = genotype >= 0
        both = is_base & is_called
        for i, held in enumerate(counts):
            for name, which in {
                "carried": both & (genotype == 1),
                "carried_agree": both & (genotype == 1) & has_alt,
                "not_carried": both & (genotype == 0),
                "not_carried_agree": both & (genotype == 0) & ~has_alt,
                "base_only": is_base & ~is_called,
                "call_only": is_called & ~is_base,
                "neither": ~is_called & ~is_base,
            }.items():
                held[name] += int(which[i].sum())
    return {
        name: {
            **held,
            "agreement": round(
                (held["carried_agree"] + held["not_carried_agree"])
                / max(held["carried"] + held["not_carried"], 1),
                6,
            ),
        }
        for name, held in zip(relatives.names, counts, strict=True)
    }


def known_polarity(relatives: Relatives) -> dict[str, float]:
    """Return the share of the reference's bases with each state of the ancestral base."""
    counts = np.zeros(DELETED + 1, np.int64)
    for contig in relatives.genome:
        counts += np.bincount(relatives.polarity(contig), minlength=DELETED + 1)
    share = counts / counts.sum()
    return {
        "base": round(float(share[:UNALIGNED].sum()), 4),
        "deleted": round(float(share[DELETED]), 4),
        "not_known": round(float(share[UNALIGNED]), 4),
    }


if __name__ == "__main__":
    sys.exit(main())
