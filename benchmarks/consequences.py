"""Our consequences against ``bcftools csq`` run on its own with Ensembl's GFF.

    python benchmarks/consequences.py --data ../shared/data \
        --out benchmarks/results/consequences.json

Ours is the column ``consequence`` of a whole run of the scorer. The peer reads the same
VCF, split into one ALT a record by ``bcftools norm -m -any``, and Ensembl's GFF with its
contigs renamed and the lines without an end taken out. Compared is the most severe term
of each allele, in one order of severity for both.

Causes are found by repair: the peer runs again with one thing after another put right,
and a difference belongs to the repair from which on both say the same.
"""

import argparse
import gzip
import importlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from benchmarks.peer import (
    NO_TERM,
    TERMS,
    PeerGff,
    call,
    parent_of,
    rank,
    read_columns,
    run_bcftools,
    term_codes,
)
from data_registry.genome import Genome
from data_registry.recipes import read_recipe, register_source
from data_registry.store import open_store
from data_registry.translation import spliced_cds, translate
from variant_effect.preparation import GFF_FILE, Prepared, prepare
from variant_effect.run import Choices, score_vcf

Codes = NDArray[np.int8]
Places = NDArray[np.int64]

INTRON = TERMS.index("intron_variant")
NON_CODING = TERMS.index("non_coding_transcript_exon_variant")
ABLATION = TERMS.index("transcript_ablation")

RECIPE = Path(__file__).resolve().parent / "recipes" / "yeast.toml"
ANNOTATION = "yeast/annotation/Saccharomyces_cerevisiae.R64-1-1.81.gff3.gz"
VCFS = (
    "yeast12.norm.vcf.gz",
    "yeast12.cerevisiae.multi.vcf.gz",
    "BYxRM.A_forFrank051815.sort.blocked.vcf.gz",
)
GOAL = 0.999
KEY = ["CHROM", "POS", "REF", "ALT"]
EXAMPLES = 6
SHOWN_TRANSCRIPTS = (
    "YAL003W", "YFL039C", "YML085C", "YGL103W", "YPL198W", "YKL006C-A", "YAL001C",
    "YGL251C", "YBR215W", "YJL041W", "Q0045",
)  # fmt: skip
"""EFB1, ACT1, TUB1, RPL28, RPL7B, SFT1, TFC3, HFM1, HPC2, NSP1, COX1."""

CAUSES = {
    "a_cds_phase": (
        "CDS phases 1 and 2 are swapped in the GFF; csq --force drops the whole "
        "transcript's CDS and calls its alleles intronic or nothing"
    ),
    "b_biotype": "csq does not know the biotypes tRNA and ncRNA and ignores such genes",
    "d_exon_phase": (
        "csq (1.24) ignores exon lines whose phase is '.', as GFF3 wants it there: "
        "no splice sites, no exons of non-coding genes"
    ),
    "c_mitochondrial_code": "chrM is translated by the standard genetic code",
    "e_representation": (
        "the allele as given is not trimmed or left-aligned; csq names it by where it "
        "is written"
    ),
    "f_gene_models": (
        "our canonical GFF differs from Ensembl's otherwise (spans, order of lines)"
    ),
    "g_noncoding_intron": (
        "csq calls the whole span of a non-coding transcript non_coding; where "
        "Ensembl's GFF has no exon there we say intron_variant (tRNA introns, snR17a, snR17b)"
    ),
    "h_beside_another_cds": (
        "csq says nothing of the base beside a CDS although it lies in the exon or "
        "intron of another, overlapping gene"
    ),
    "i_whole_transcript": (
        "the deletion takes a whole transcript: we say transcript_ablation, csq names "
        "what is left of it"
    ),
    "unexplained": "both differ even on our canonical GFF and our normalised alleles",
}
"""Cause by the repair that makes both say the same; repairs are made in this order."""


# -- classification --------------------------------------------------------------------


def classify(ours: Codes, ladder: Sequence[Codes]) -> NDArray[np.int64]:
    """Return for each allele the repair from which on the peer agrees with us.

    Parameters
    ----------
    ours
        Code of our most severe term, shape (alleles,).
    ladder
        The peer's codes: as it stands, then after each further repair; each (alleles,).

    Returns
    -------
    numpy.ndarray
        Shape (alleles,). 0: the peer agrees as it stands. k: it does not, and the k-th
        repair is the last after which it never differs again. ``len(ladder)``: it
        differs after all repairs.
    """
    differs = np.array([codes != ours for codes in ladder])
    last = len(ladder) - 1 - np.argmax(differs[::-1], axis=0)
    cause: NDArray[np.int64] = np.where(differs[0], last + 1, 0)
    return cause


def code_ours(terms: pa.Array) -> Codes:
    """Return the code of the most severe of each allele's terms (ours)."""
    encoded = terms.dictionary_encode()
    codes = [rank(term) for term in encoded.dictionary.to_pylist()]
    found: Codes = np.array(codes, dtype=np.int8)[encoded.indices.to_numpy()]
    return found


@dataclass(frozen=True, slots=True)
class Parts:
    """Starts and ends of intervals by contig, 0-based half-open, each sorted."""

    starts: dict[str, Places]
    ends: dict[str, Places]

    @classmethod
    def of(cls, lines: Sequence[Sequence[str]]) -> "Parts":
        """Take GFF lines, but for those of chrM, where exon lines have no end."""
        spans: dict[str, list[tuple[int, int]]] = {}
        for cells in lines:
            if cells[0] != "chrM":
                spans.setdefault(cells[0], []).append(
                    (int(cells[3]) - 1, int(cells[4]))
                )
        return cls(
            {contig: np.sort([a for a, _ in found]) for contig, found in spans.items()},
            {contig: np.sort([b for _, b in found]) for contig, found in spans.items()},
        )

    def hit(self, alleles: pd.DataFrame) -> NDArray[np.bool_]:
        """Tell which alleles overlap an interval; an insertion must lie inside one.

        Parameters
        ----------
        alleles
            ``chrom norm_pos norm_ref norm_alt``.
        """
        ref, alt = alleles["norm_ref"].str, alleles["norm_alt"].str
        # The first base of an indel is the one before it.
        is_indel = (ref.len() != alt.len()) & (ref[0] == alt[0])
        start = (alleles["norm_pos"] - 1 + is_indel).to_numpy(np.int64)
        end = (alleles["norm_pos"] - 1 + ref.len()).to_numpy(np.int64)
        found = np.zeros(len(alleles), dtype=bool)
        for contig in self.starts:
            here = (alleles["chrom"] == contig).to_numpy()
            begun = np.searchsorted(self.starts[contig], end[here], side="left")
            ended = np.searchsorted(self.ends[contig], start[here], side="right")
            found[here] = begun > ended
        return found


@dataclass(frozen=True, slots=True)
class Models:
    """What Ensembl's GFF says by position alone, but for chrM."""

    genes: Parts
    transcripts: Parts
    noncoding_exons: Parts

    @classmethod
    def of(cls, gff: PeerGff) -> "Models":
        """Sort the lines of a GFF."""
        coding = gff.coding().keys()
        of = [(cells, parent_of(cells)) for cells in gff.lines]
        return cls(
            Parts.of([c for c in gff.lines if "ID=gene:" in c[8]]),
            Parts.of([c for c, parent in of if "ID=transcript:" in c[8] and parent]),
            Parts.of([c for c, p in of if c[2] == "exon" and p and p not in coding]),
        )

    def with_introns(self, codes: Codes, alleles: pd.DataFrame) -> Codes:
        """Say intron for csq's non_coding where no non-coding exon is touched."""
        inside = self.transcripts.hit(alleles) & ~self.noncoding_exons.hit(alleles)
        found: Codes = np.where(inside & (codes == NON_CODING), INTRON, codes)
        return found

    def with_silent(self, codes: Codes, alleles: pd.DataFrame) -> Codes:
        """Say where an allele lies in a transcript of which csq says nothing."""
        silent = codes == NO_TERM
        exon = self.noncoding_exons.hit(alleles)
        found = np.where(silent & exon, NON_CODING, codes)
        inside = silent & ~exon & self.transcripts.hit(alleles)
        placed: Codes = np.where(inside, INTRON, found)
        return placed


# -- the two programs ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bench:
    """What all comparisons use.

    Parameters
    ----------
    gffs
        Name of the repair to the GFF after it, in order; the first is Ensembl's.
    canonical
        The GFF that our own calls rest on.
    models
        What Ensembl's GFF says by position alone.
    """

    prepared: Prepared
    folder: Path
    gffs: dict[str, Path]
    canonical: Path
    models: Models
    wrong_phase: frozenset[str]
    workers: int


def make_bench(data: Path, folder: Path, workers: int) -> tuple[Bench, dict[str, Any]]:
    """Register genome and gene models; write the peer's GFFs."""
    recipe = read_recipe(RECIPE, data)
    with open_store(folder / "workspace", write=True) as store:
        for source in recipe.sources:
            if source.kind in ("genome", "annotation"):
                outcome = register_source(store, recipe, source)
                if outcome.error:
                    raise SystemExit(outcome.error)
        prepared = prepare(store)
        path = data / ANNOTATION
        names = read_contigs(path)
        resolved = store.contig_names().resolve(names)
        contigs = {given: own for given, own in resolved.items() if own}
    given = PeerGff.read(path, contigs)
    phases = given.with_phases()
    biotypes = phases.with_biotypes()
    steps = {
        "given": given,
        "a_cds_phase": phases,
        "b_biotype": biotypes,
        "d_exon_phase": biotypes.with_exon_phases(),
    }
    gffs = {name: gff.write(folder / f"{name}.gff3") for name, gff in steps.items()}
    bench = Bench(
        prepared, folder, gffs, prepared.consequence / GFF_FILE, Models.of(given),
        frozenset(given.wrong_phase), workers,
    )  # fmt: skip
    return bench, {
        "file": ANNOTATION,
        "lines": dict(given.counts),
        "contigs_renamed": contigs,
        "transcripts_with_wrong_phase": len(given.wrong_phase),
        "transcripts_of_biotypes_csq_does_not_know": given.unknown_biotypes(),
        "translation": check_translation(given, Genome("sacCer3", prepared.genome)),
    }


def read_contigs(path: Path) -> list[str]:
    """Return the contig names of a GFF."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return sorted({line.split("\t", 1)[0] for line in file if line[0] != "#"})


def score(bench: Bench, vcf: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Score the VCF whole; return the columns compared and the accounting."""
    out = bench.folder / "ours.parquet"
    result = score_vcf(
        vcf, out, bench.prepared, Choices(format="parquet"), workers=bench.workers
    )
    columns = [
        "chrom", "pos", "ref", "alt", "norm_pos", "norm_ref", "norm_alt", "status",
        "consequence", "gene", "symbol", "transcript",
    ]  # fmt: skip
    table = pq.read_table(out, columns=columns).combine_chunks()
    return table, result.accounting.as_dict()


def write_sites(
    path: Path, names: Sequence[str], table: pd.DataFrame, order: Sequence[str]
) -> None:
    """Write one allele a record, its number as ID, contigs in ``order``."""
    rank = {name: i for i, name in enumerate(order)}
    placed = table.assign(rank=table[names[0]].map(rank)).sort_values(
        ["rank", names[1]], kind="stable"
    )
    head = "".join(f"##contig=<ID={name}>\n" for name in order)
    text = pc.binary_join_element_wise(
        pa.array(placed[names[0]], pa.string()),
        pa.array(placed[names[1]].astype("int64").astype(str), pa.string()),
        pa.array(placed["row"].astype(str), pa.string()),
        pa.array(placed[names[2]], pa.string()),
        pa.array(placed[names[3]], pa.string()),
        ".\t.\t.\n",
        "\t",
    )
    with path.open("w", encoding="utf-8") as file:
        file.write(f"##fileformat=VCFv4.2\n{head}")
        file.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        file.writelines(text.to_pylist())


def call_sites(
    bench: Bench, gff: Path, sites: Path, n: int, *options: str
) -> tuple[Codes, pa.Table, str]:
    """Run the peer; return each allele's code, its records, and what it said."""
    out = bench.folder / "peer.vcf"
    said = call(bench.prepared.genome, gff, sites, out, *options)
    table = read_columns(out, ["ID", "INFO"])
    codes = np.full(n, -1, dtype=np.int8)
    rows = pc.cast(table["ID"], pa.int64()).to_numpy()
    codes[rows] = term_codes(table["INFO"].combine_chunks())
    return codes, table, said


# -- one VCF ---------------------------------------------------------------------------


def compare(bench: Bench, vcf: Path) -> dict[str, Any]:
    """Compare both programs on every allele of a VCF that both can call."""
    started = time.perf_counter()
    table, accounting = score(bench, vcf)
    scored_s = time.perf_counter() - started
    frame = table.to_pandas()
    sites = bench.folder / "sites.vcf"
    run_bcftools(
        "norm", "-m", "-any", "-O", "v", "-o", str(sites), str(vcf)
    )  # splits records, and neither trims nor left-aligns without a FASTA
    split = read_columns(sites, KEY).to_pandas()
    frame["row"] = np.arange(len(frame))
    unique = frame.drop_duplicates(["chrom", "pos", "ref", "alt"])
    merged = split.merge(
        unique, left_on=KEY, right_on=["chrom", "pos", "ref", "alt"], how="left"
    )
    spelled = frame["alt"].str.fullmatch("[ACGTacgt]+")
    scored = frame["status"] == "scored"
    both = scored & spelled
    n_unmatched = int(merged["row"].isna().sum())
    callable_ = merged[merged["row"].isin(frame.index[both])].astype({"row": int})
    callable_ = callable_.drop_duplicates("row")
    order = list(dict.fromkeys(split["CHROM"]))

    as_given = bench.folder / "as_given.vcf"
    write_sites(as_given, KEY, callable_[[*KEY, "row"]], order)
    normal = bench.folder / "normal.vcf"
    names = ["chrom", "norm_pos", "norm_ref", "norm_alt"]
    write_sites(normal, names, callable_[[*names, "row"]], order)

    n = len(frame)
    rows = np.sort(callable_["row"].to_numpy())
    ours = code_ours(table["consequence"].combine_chunks().take(pa.array(rows)))
    runs: list[tuple[str, Path, Path, tuple[str, ...]]] = [
        (name, gff, as_given, ()) for name, gff in bench.gffs.items()
    ]
    last = bench.gffs["d_exon_phase"]
    if "chrM" in order:
        runs.append(("c_mitochondrial_code", last, as_given, ("-C", "3")))
    runs.append(("e_representation", last, normal, ()))
    runs.append(("f_gene_models", bench.canonical, normal, ()))
    ladder: list[Codes] = []
    records, said = pa.table({}), ""
    on_m = (callable_.set_index("row")["CHROM"].loc[rows] == "chrM").to_numpy()
    for name, gff, path, options in runs:
        codes, found, words = call_sites(bench, gff, path, n, *options)
        if name == "c_mitochondrial_code":
            # The code is one option for a whole run: take chrM's alleles only.
            ladder.append(np.where(on_m, codes[rows], ladder[-1]))
        else:
            ladder.append(codes[rows])
        if name == "given":
            records, said = found, words
    steps = [name for name, *_ in runs]
    compared = frame.loc[rows]
    ladder.append(bench.models.with_introns(ladder[-1], compared))
    ladder.append(bench.models.with_silent(ladder[-1], compared))
    steps += ["g_noncoding_intron", "h_beside_another_cds"]
    control, _, _ = call_sites(bench, bench.canonical, as_given, n)
    control = control[rows]
    cause = classify(ours, ladder)
    named = np.array([*steps, "unexplained"], dtype=object)[cause]
    named[(cause == len(ladder)) & (ours == ABLATION)] = "i_whole_transcript"
    info = dict(zip(pc.cast(records["ID"], pa.int64()).to_pylist(),
                    records["INFO"].to_pylist(), strict=True))  # fmt: skip
    paired = frame.loc[rows].assign(
        ours=np.array(TERMS, dtype=object)[ours],
        peer=np.array(TERMS, dtype=object)[ladder[0]],
        cause=named,
        control=control == ours,
    )
    differing = paired[cause > 0]
    same = int((cause == 0).sum())
    by_cause = {
        name: describe_cause(name, differing[differing["cause"] == name], info, bench)
        for name in CAUSES
        if (differing["cause"] == name).any()
    }
    abc = differing["cause"].str[:1].isin(["a", "b", "c"]).sum()
    ad = differing["cause"].str[:1].isin(["a", "b", "c", "d"]).sum()
    return {
        "vcf": vcf.name,
        "accounting": accounting,
        "not_compared": {
            "not_scored_by_us": int((~scored).sum()),
            "symbolic_or_breakend": int((scored & ~spelled).sum()),
            "repeats_of_an_allele": int(both.sum() - len(rows)),
            "peer_records_without_partner": n_unmatched,
        },
        "alleles": len(rows),
        "same": same,
        "different": len(rows) - same,
        "agreement": share(same, len(rows)),
        "agreement_outside_a_b_c": share(same, len(rows) - int(abc)),
        "agreement_outside_a_b_c_d": share(same, len(rows) - int(ad)),
        "verdict": verdict(same, len(rows), int(abc)),
        "goal_reached": same >= GOAL * len(rows),
        "control_canonical_gff": share(int((control == ours).sum()), len(rows)),
        "agreement_after_each_repair": {
            name: share(int((codes == ours).sum()), len(rows))
            for name, codes in zip(steps, ladder, strict=True)
        },
        "chrM_alleles": int(on_m.sum()),
        "causes": by_cause,
        "terms": {
            term: {"ours": int((paired["ours"] == term).sum()),
                   "peer": int((paired["peer"] == term).sum())}
            for term in TERMS if (paired[["ours", "peer"]] == term).any(axis=None)
        },
        "peer_complaints": complaints(said),
        "transcripts_dropped_for_phase": dropped(said),
        "dropped_equal_wrong_phase": dropped_names(said) == bench.wrong_phase,
        "seconds": {"ours": round(scored_s, 1),
                    "all": round(time.perf_counter() - started, 1)},
    }  # fmt: skip


def share(part: int, whole: int) -> float:
    """Return part of whole, never rounded up to 1."""
    return int(1e6 * part / whole) / 1e6 if whole else 1.0


def shown(bases: str) -> str:
    """Shorten a long allele."""
    return bases if len(bases) <= 40 else f"{bases[:20]}…({len(bases):,} bp)"


def verdict(same: int, whole: int, n_abc: int) -> str:
    """Say in one sentence whether the goal is reached, and where not."""
    overall, outside = share(same, whole), share(same, whole - n_abc)
    first = "is reached" if overall >= GOAL else "is not reached"
    second = "is reached" if outside >= GOAL else "is not reached either"
    return (
        f"{GOAL:.1%} {first} against Ensembl's GFF as it stands ({overall:.2%}); it "
        f"{second} outside the genes with wrong phases and the biotypes csq does not "
        f"know ({outside:.3%})"
    )


def describe_cause(
    name: str, rows: pd.DataFrame, info: dict[int, str], bench: Bench
) -> dict[str, Any]:
    """Count a cause by term and transcript; show examples, or all if unexplained."""
    pairs = Counter(zip(rows["ours"], rows["peer"], strict=True))
    transcripts = rows["transcript"].fillna("")
    examples = rows.assign(pair=rows["ours"] + rows["peer"])
    if name != "unexplained":
        examples = examples.groupby("pair", sort=False).head(2).head(EXAMPLES)
    return {
        "alleles": len(rows),
        "transcripts": int(transcripts[transcripts != ""].nunique()),
        "in_transcripts_with_wrong_phase": int(
            transcripts.isin(bench.wrong_phase).sum()
        ),
        "ours_to_peer": {f"{a} | {b}": n for (a, b), n in pairs.most_common(12)},
        "most_frequent_transcripts": {
            str(k): int(n) for k, n in transcripts.value_counts().head(8).items()
        },
        "examples": [
            {
                "variant": f"{e['chrom']}:{e['pos']}:{shown(e['ref'])}:{shown(e['alt'])}",
                "gene": e["symbol"] or e["gene"],
                "transcript": e["transcript"],
                "ours": e["consequence"],
                "peer": info[e["row"]],
            }
            for e in examples.to_dict("records")
        ],
    }


def dropped_names(said: str) -> frozenset[str]:
    """Return the transcripts csq says it skips for their phases."""
    names = (
        line.split(" in transcript ", 1)[1].split(",", 1)[0].strip()
        for line in said.splitlines()
        if "inconsistent phase" in line and " in transcript " in line
    )
    return frozenset(names)


def dropped(said: str) -> int:
    """Count them."""
    return len(dropped_names(said))


def complaints(said: str) -> dict[str, int]:
    """Count csq's messages by their beginning."""
    starts = (
        "inconsistent phase", "unknown phase", "unknown biotype", "truncated",
        "gnoring", "ould not parse",
    )  # fmt: skip
    found: Counter[str] = Counter()
    for line in said.splitlines():
        found[next((word for word in starts if word in line), "other")] += 1
    return dict(found.most_common())


# -- the translation check -------------------------------------------------------------


def check_translation(gff: PeerGff, genome: Genome) -> dict[str, Any]:
    """Count internal stops of the transcripts with wrong phases, read both ways.

    Every CDS part is translated from its own phase on, once from the file's and once
    from the one that the lengths before it give; the stop that ends the last part is
    not counted.
    """
    rows: dict[str, dict[str, Any]] = {}
    coding = gff.coding()
    for name in gff.wrong_phase:
        parts, phases = coding[name]
        contig, strand = parts[0][0], parts[0][6]
        table = 3 if contig == "chrM" else 1
        pieces = [
            spliced_cds(
                contig, [(int(c[3]) - 1, int(c[4]))], strand, genome.fetch_inside
            )
            for c in parts
        ]
        whole = translate("".join(pieces), table)
        rows[name] = {
            "cds_lengths": [len(piece) for piece in pieces],
            "phases_in_file": [int(c[7]) for c in parts],
            "phases_from_lengths": phases,
            "stops_by_file": count_stops(pieces, [int(c[7]) for c in parts], table),
            "stops_by_lengths": count_stops(pieces, phases, table),
            "spliced": {
                "starts_with": "".join(pieces)[:3],
                "internal_stops": whole[:-1].count("*"),
                "ends_with_stop": whole.endswith("*"),
                "multiple_of_3": sum(map(len, pieces)) % 3 == 0,
            },
        }
    shown = [name for name in SHOWN_TRANSCRIPTS if name in rows]
    shown += [name for name in rows if name not in shown][: max(12 - len(shown), 0)]
    stops = {
        key: sum(int(row[key] > 0) for row in rows.values())
        for key in ("stops_by_file", "stops_by_lengths")
    }
    return {
        "transcripts": len(rows),
        "with_internal_stops_by_the_files_phases": stops["stops_by_file"],
        "with_internal_stops_by_the_lengths": stops["stops_by_lengths"],
        "internal_stops_by_the_files_phases": sum(
            int(row["stops_by_file"]) for row in rows.values()
        ),
        "with_internal_stops_spliced": sum(
            row["spliced"]["internal_stops"] > 0 for row in rows.values()
        ),
        "named": {name: rows[name] for name in shown},
    }


def count_stops(pieces: Sequence[str], phases: Sequence[int], table: int) -> int:
    """Count stops inside CDS parts, each read from its phase on.

    The last codon of the last part is the end of the protein and does not count.
    """
    total = 0
    for k, (piece, phase) in enumerate(zip(pieces, phases, strict=True)):
        protein = translate(piece[phase:], table)
        ends = k == len(pieces) - 1 and (len(piece) - phase) % 3 == 0
        total += (protein[:-1] if ends else protein).count("*")
    return total


# -- the command -----------------------------------------------------------------------


def main() -> int:
    """Run all comparisons and write the JSON; 1 where a difference is unexplained."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", help="only VCFs whose name holds this")
    arguments = parser.parse_args()
    started = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="cisgraph-bench-") as folder:
        bench, annotation = make_bench(arguments.data, Path(folder), arguments.workers)
        results = []
        for name in VCFS:
            if arguments.only and arguments.only not in name:
                continue
            found = compare(bench, arguments.data / "yeast" / "variants" / name)
            results.append(found)
            print(
                f"{name}: {found['same']:,} of {found['alleles']:,} same "
                f"({found['agreement']:.4%}), control "
                f"{found['control_canonical_gff']:.4%}; "
                + ", ".join(
                    f"{k} {v['alleles']:,}" for k, v in found["causes"].items()
                ),
                flush=True,
            )
    result = {
        "what": "most severe term per ALT allele: ours against bcftools csq on its own",
        "started": started.isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "peer": peer_version(),
        "goal": GOAL,
        "causes": CAUSES,
        "annotation": annotation,
        "vcfs": results,
    }
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=1, ensure_ascii=False)
        arguments.out.write_text(text + "\n", encoding="utf-8")
    return int(any("unexplained" in found["causes"] for found in results))


def peer_version() -> str:
    """Return the version of pysam's bcftools."""
    versions = vars(importlib.import_module("pysam.version"))
    bcftools, pysam = versions["__bcftools_version__"], versions["__version__"]
    return f"bcftools {bcftools} (pysam {pysam})"


if __name__ == "__main__":
    sys.exit(main())
