"""What a DNA language model adds over Markov models, on chromosomes it never saw.

    python benchmarks/language.py --model encoders/weights/yeast_lm --data ../shared/data \
        --work /tmp/w/language --out benchmarks/results/language.json

On the model's held-out chromosomes (yeast's V and XV), each with a 95 % interval from
resampled 50 kb blocks and paired differences:

* bits per base with one site hidden, over all bases and by region class;
* how well log-likelihood ratios tell premature stops, splice sites and start codons from
  other changes, without labels;
* observed SNVs from simulated ones, not matched and matched
  (``benchmarks.observed_variants`` says how they are chosen);
* rare against common SNVs in the lowest tails of the score;
* variants a second, all changes of a stretch in one pass and one change at a time.

Markov models (``benchmarks.markov_peer``) learn from the model's own corpus, from which
everything that aligns to the held-out chromosomes is cut: ``markov``. ``markov_uncut``
learns from the whole other chromosomes, repeats shared with the held-out ones included,
which the language model never saw. Orders are chosen on the validation chromosome.

What takes time is kept in the folder ``--work``; ``--quick`` is for trying the command.
"""

import argparse
import gzip
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import markov_peer
from benchmarks.block_bootstrap import Blocks, Estimate, compare, matching_weights
from benchmarks.machine import describe_machine
from benchmarks.markov_peer import Chain, Composition, bits_per_base, fit_best
from benchmarks.observed_variants import (
    NUCLEAR,
    TERMS,
    WINDOW_BP,
    all_terms,
    build,
    changes,
    register_yeast,
)
from benchmarks.result_file import write_result
from data_registry.genome import Genome
from data_registry.store import open_store
from encoders.corpus import Assembly, build_corpus
from encoders.language import LanguageModel, load_language_model
from encoders.likelihood import against_reference, information_content
from encoders.nucleotides import UNKNOWN, encode
from encoders.sequence_model import SequenceModel
from variant_effect.markov import MarkovModel
from variant_effect.preparation import Prepared
from variant_effect.region_classes import REGION_CLASSES, region_classes

ASSEMBLIES = "yeast/assemblies"
DRAWS, QUICK_DRAWS = 2_000, 200
SEED = 20_260_302
TAILS = (0.001, 0.01, 0.1)
SPEED_BP, SPEED_VARIANTS, BATCH = 100_000, 32, 16
GOALS = {
    "bits_per_base": 1.79, "bits_below_markov": 0.08, "stop_auroc": 0.97,
    "observed_auroc": 0.55, "variants_per_s": 2_000,
}  # fmt: skip
BESIDE = (("lm", "markov"), ("lm", "markov_uncut"), ("lm", "gc_only"))
CODING = ("missense_variant", "synonymous_variant")
UNTRANSLATED = (
    "intron_variant", "splice_region_variant", "upstream_gene_variant",
    "downstream_gene_variant", "intergenic_variant",
)  # fmt: skip
QUESTIONS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "stop_gained": (("stop_gained",), CODING),
    "start_lost": (("start_lost",), CODING),
    "splice_sites": (
        ("splice_donor_variant", "splice_acceptor_variant"), UNTRANSLATED,
    ),
    "splice_sites_in_introns": (
        ("splice_donor_variant", "splice_acceptor_variant"),
        ("intron_variant", "splice_region_variant"),
    ),
}  # fmt: skip
"""Terms that should score low, and those they are told from."""

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Answers = dict[str, dict[str, Floats]]
"""Predictor to contig to log-probabilities, (length, 4)."""


# -- material --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that is measured on.

    Parameters
    ----------
    codes, blocks, terms
        Contig to its codes, to each base's block number, and to each SNV's term.
    variants
        ``observed_variants.choose``'s rows of all contigs.
    """

    prepared: Prepared
    codes: dict[str, Codes]
    blocks: dict[str, NDArray[np.int64]]
    terms: dict[str, Codes]
    variants: pd.DataFrame
    counts: dict[str, dict[str, int]]
    eligible: dict[str, NDArray[np.bool_]]
    draws: int

    def drawn(self) -> Blocks:
        """Return the same resamples of all blocks, however often it is asked."""
        everything = np.concatenate(list(self.blocks.values()))
        return Blocks.of(everything, self.draws, np.random.default_rng(SEED))


def make_bench(data: Path, work: Path, contigs: Sequence[str], draws: int) -> Bench:
    """Register yeast, call all SNVs of the contigs, choose observed and simulated."""
    built = build(data, work, contigs)
    prepared = register_yeast(data, work)
    genome = Genome(prepared.assembly, prepared.genome)
    codes = {name: encode(genome.contig(name)) for name in contigs}
    return Bench(
        prepared,
        codes,
        {
            name: NUCLEAR.index(name) * 1_000 + np.arange(len(codes[name])) // WINDOW_BP
            for name in contigs
        },
        {name: all_terms(prepared, name, work) for name in contigs},
        built.frame,
        built.counts,
        built.eligible,
        draws,
    )


def learning_material(
    data: Path, work: Path, genome: Genome, left_out: Sequence[str], corpus: Path | None
) -> tuple[dict[str, dict[str, Codes]], dict[str, Any]]:
    """Return what Markov models may learn from, and where it comes from.

    Parameters
    ----------
    left_out
        Held-out and validation contigs.
    corpus
        ``corpus.npz`` of the model's own training; without one it is built again.

    Returns
    -------
    tuple
        Material to contigs (ASCII, soft-masked in lower case), and an account for JSON.
    """
    folder = data / ASSEMBLIES
    key = hashlib.sha256(" ".join(left_out).encode()).hexdigest()[:12]
    file = corpus or work / f"corpus-{key}.npz"
    if not file.is_file():
        reference = Assembly(
            genome.assembly, {name: genome.contig(name) for name in genome}
        )
        relatives = [
            Assembly(path.name.split(".")[0], read_fasta(path))
            for path in sorted(folder.glob("*.fa.gz"))
        ]
        made = build_corpus([reference, *relatives], left_out)
        np.savez(
            file, codes=made.codes, weights=made.weights, starts=made.starts,
            assemblies=[each.assembly for each in made.accounts],
            counts=[list(asdict(each).values())[1:] for each in made.accounts],
        )  # fmt: skip
    with np.load(file) as kept:
        letters = np.frombuffer(b"ACGTN", np.uint8)[kept["codes"]]
        letters = np.where(kept["weights"] < 1, letters | 32, letters)
        starts, names = kept["starts"], kept["assemblies"].tolist()
        totals = [int(row[-1]) for row in kept["counts"]]
    first = int(np.searchsorted(starts, totals[0]))
    # no context may run from one piece into the next
    gapped = np.insert(letters, starts[1:-1], ord("N"))
    own = np.insert(letters[: totals[0]], starts[1:first], ord("N"))
    whole = {
        name: np.asarray(genome.contig(name))
        for name in NUCLEAR
        if name not in left_out
    }
    return {
        "reference_cut": {"reference": own},
        "corpus": {"all": gapped},
        "uncut": whole,
    }, {
        "left_out": list(left_out),
        "kept_bases": dict(zip(names, totals, strict=True)),
        "uncut_bases": sum(map(len, whole.values())),
    }


def read_fasta(path: Path) -> dict[str, Codes]:
    """Read a gzipped FASTA: first word of each name to ASCII codes."""
    with gzip.open(path, "rb") as file:
        records = file.read().split(b">")[1:]
    contigs = {}
    for record in records:
        head, _, body = record.partition(b"\n")
        bases = body.replace(b"\n", b"").replace(b"\r", b"")
        contigs[head.split()[0].decode()] = np.frombuffer(bases, np.uint8)
    return contigs


def answer(model: SequenceModel, codes: Codes, work: Path, contig: str) -> Floats:
    """Return a model's log-probabilities of a contig, from ``work`` where kept."""
    kept = work / f"log_p-{model.name}-{model.digest[:16]}-{contig}.npy"
    if not kept.is_file():
        beside = kept.with_suffix(".part")
        with beside.open("wb") as file:
            np.save(file, model.log_probabilities(codes))
        beside.rename(kept)
    found: Floats = np.load(kept)
    return found


def fit_peers(
    materials: Mapping[str, Mapping[str, Codes]],
    validation: Codes,
    bench: Bench,
    work: Path,
    *,
    quick: bool,
) -> tuple[Answers, dict[str, Any]]:
    """Fit the baselines; return their answers on the held-out contigs, and the choice."""
    content = hashlib.sha256(Path(markov_peer.__file__).read_bytes())
    content.update(f"{quick} {list(bench.codes)}".encode())
    for contigs in materials.values():
        for letters in contigs.values():
            content.update(np.ascontiguousarray(letters))
    kept = work / f"peers-{content.hexdigest()[:16]}.npz"
    told = kept.with_suffix(".json")
    if not (kept.is_file() and told.is_file()):
        settings: dict[str, Any] = (
            {"orders": (5, 7), "max_neighbours": 8} if quick else {}
        )
        cut = {name: materials[name] for name in ("reference_cut", "corpus")}
        best, tried = fit_best(cut, validation, **settings)
        uncut, uncut_tried = fit_best(
            {"uncut": materials["uncut"]}, validation, **settings
        )
        own = materials["reference_cut"]
        peers: dict[str, SequenceModel] = {
            "markov": best,
            "markov_uncut": uncut,
            "trinucleotides": Chain(MarkovModel.fit(own, order=2)),
            "gc_only": Composition.fit({k: encode(v) for k, v in own.items()}),
        }
        np.savez(
            kept,
            **{
                f"{name} {contig}": model.log_probabilities(codes)
                for name, model in peers.items()
                for contig, codes in bench.codes.items()
            },
        )
        story = {
            "markov": {"chosen": best.name, "tried": tried},
            "markov_uncut": {"chosen": uncut.name, "tried": uncut_tried},
        }
        told.write_text(json.dumps(story, indent=1))
    answers: Answers = {}
    with np.load(kept) as held:
        for key in held.files:
            name, contig = key.split(" ")
            answers.setdefault(name, {})[contig] = held[key]
    return answers, json.loads(told.read_text())


# -- bits ------------------------------------------------------------------------------


def measure_bits(bench: Bench, answers: Answers) -> dict[str, Any]:
    """Bits per base with one site hidden: all bases, eligible sites, each contig."""
    blocks = bench.drawn()
    contigs = list(bench.codes)
    index = blocks.index(np.concatenate([bench.blocks[c] for c in contigs]))
    bits = {
        name: np.concatenate(
            [bits_per_base(by_contig[c], bench.codes[c]) for c in contigs]
        )
        for name, by_contig in answers.items()
    }
    of = np.concatenate([np.full(len(bench.codes[c]), c) for c in contigs])
    eligible = np.concatenate([bench.eligible[c] for c in contigs])
    parts = {
        "all_bases": np.ones(len(of), dtype=bool), "eligible_sites": eligible,
        **{c: of == c for c in contigs},
    }  # fmt: skip
    found: dict[str, Any] = {"uniform": 2.0}
    for part, rows in parts.items():
        estimates = {
            name: blocks.mean(values[rows], index[rows])
            for name, values in bits.items()
        }
        found[part] = {"bases": int(rows.sum())} | compare(estimates, BESIDE)
    return found


def measure_regions(bench: Bench, answers: Answers) -> dict[str, Any]:
    """Bits per base and information content by region class, LM and Markov."""
    blocks = bench.drawn()
    contigs = list(bench.codes)
    with open_store(bench.prepared.workspace) as store:
        region = np.concatenate([region_classes(store, c) for c in contigs])
    index = blocks.index(np.concatenate([bench.blocks[c] for c in contigs]))
    values = {
        name: (
            np.concatenate(
                [bits_per_base(answers[name][c], bench.codes[c]) for c in contigs]
            ),
            np.concatenate([information_content(answers[name][c]) for c in contigs]),
        )
        for name in ("lm", "markov")
    }
    found = {}
    for code, name in enumerate(REGION_CLASSES):
        rows = region == code
        if not rows.any():
            continue
        bits, information = (
            compare(
                {
                    key: blocks.mean(both[k][rows], index[rows])
                    for key, both in values.items()
                },
                BESIDE,
            )
            for k in range(2)
        )
        found[name] = {
            "bases": int(rows.sum()),
            "perplexity": {
                key: round(2 ** bits[key]["value"], 4) for key in values
            },
            "bits_per_base": bits,
            "information_bits": information,
        }  # fmt: skip
    return found


# -- consequences ----------------------------------------------------------------------


def dubious_sites(bench: Bench, contig: str) -> NDArray[np.bool_]:
    """Return the bases of genes that SGD calls dubious, ``(length,)``."""
    mask = np.zeros(len(bench.codes[contig]), dtype=bool)
    with open_store(bench.prepared.workspace) as store:
        spans = store.connection.execute(
            'SELECT start, "end" FROM genes WHERE contig = ? '
            "AND description ILIKE 'dubious%'",
            [contig],
        ).fetchall()
    for start, end in spans:
        mask[start:end] = True
    return mask


def measure_consequences(bench: Bench, answers: Answers) -> dict[str, Any]:
    """AUROC of each question: all changes of the kind against all of the others.

    ``in_same_context`` weighs the others to the positives' changes and neighbours.
    """
    blocks = bench.drawn()
    contexts = {c: changes(codes)[1] for c, codes in bench.codes.items()}
    sure = {c: ~dubious_sites(bench, c) for c in bench.codes}
    found: dict[str, Any] = {}
    for question, (low, others) in QUESTIONS.items():
        low_codes = [TERMS.index(term) for term in low]
        codes = [*low_codes, *(TERMS.index(term) for term in others)]
        picked = {
            c: np.flatnonzero(np.isin(terms, codes) & (contexts[c] >= 0))
            for c, terms in bench.terms.items()
        }

        def joined(parts: Mapping[str, NDArray[Any]], picked: Any = picked) -> Any:  # noqa: ANN401
            return np.concatenate(
                [parts[c].ravel()[rows] for c, rows in picked.items()]
            )

        positive = np.isin(joined(bench.terms), low_codes)
        context = joined(contexts)
        index = blocks.index(
            np.concatenate([bench.blocks[c][rows // 4] for c, rows in picked.items()])
        )
        certain = np.concatenate([sure[c][rows // 4] for c, rows in picked.items()])
        scores = {
            name: -joined(
                {c: against_reference(p, bench.codes[c]) for c, p in by_contig.items()}
            )
            for name, by_contig in answers.items()
        }
        parts = {
            "all": (np.ones(len(positive), dtype=bool), False),
            "without_dubious_genes": (certain, False),
            "in_same_context": (np.ones(len(positive), dtype=bool), True),
            "in_same_context_without_dubious_genes": (certain, True),
        }
        found[question] = {"low": list(low), "others": list(others)}
        for part, (rows, matched) in parts.items():
            weights = (
                matching_weights(positive[rows], context[rows]) if matched else None
            )
            estimates = {
                name: blocks.auroc(values[rows], positive[rows], index[rows], weights)
                for name, values in scores.items()
            }
            found[question][part] = {
                "positives": int(positive[rows].sum()),
                "others": int((~positive[rows]).sum()),
            } | compare(estimates, BESIDE)
    return found


# -- observed against simulated --------------------------------------------------------


def score_variants(bench: Bench, answers: Answers) -> pd.DataFrame:
    """Add each predictor's log-likelihood ratio, the outgroup's vote and the block."""
    rows = bench.variants.copy()
    for name, by_contig in answers.items():
        rows[name] = np.float32(np.nan)
        for contig, log_p in by_contig.items():
            here = (rows["contig"] == contig).to_numpy()
            at = rows.loc[here, "start"].to_numpy()
            own = log_p[at, rows.loc[here, "ref"].to_numpy()]
            rows.loc[here, name] = log_p[at, rows.loc[here, "alt"].to_numpy()] - own
    alt = rows["outgroup_alt"].to_numpy(np.int16)
    rows["outgroup"] = np.sign(alt - rows["outgroup_ref"].to_numpy(np.int16))
    rows["block"] = rows["window"] + 1_000 * rows["contig"].map(NUCLEAR.index)
    return rows


def measure_observed(
    bench: Bench, scored: pd.DataFrame, names: Sequence[str]
) -> dict[str, Any]:
    """AUROC of observed over simulated SNVs, not matched and matched.

    ``reference_ancestral``: every known *S. paradoxus* base is the reference's, and at
    least one is known; of matched pairs both must be so.
    """
    blocks = bench.drawn()
    ancestral = (scored["outgroup_ref"] > 0) & (
        scored["outgroup_ref"] == scored["outgroup_an"]
    )
    is_pair = scored["pair"] >= 0
    both = ancestral.groupby(scored["pair"]).transform("all")
    unmatched = scored["kind"].isin(["observed", "unmatched"])
    terms = scored["term"].map(dict(enumerate(TERMS)))
    parts = {
        "unmatched": unmatched,
        "unmatched_reference_ancestral": unmatched & ancestral,
        "matched": is_pair,
        "matched_reference_ancestral": is_pair & both,
        "matched_missense": is_pair & (terms == "missense_variant"),
        "matched_synonymous": is_pair & (terms == "synonymous_variant"),
        "matched_outside_genes": is_pair & terms.isin(UNTRANSLATED),
    }
    found = {}
    for part, rows in parts.items():
        picked = scored[rows]
        positive = (picked["kind"] == "observed").to_numpy()
        index = blocks.index(picked["block"].to_numpy(np.int64))
        estimates: dict[str, Estimate] = {
            name: blocks.auroc(picked[name].to_numpy(np.float64), positive, index)
            for name in (*names, "outgroup")
        }
        found[part] = {
            "observed": int(positive.sum()), "simulated": int((~positive).sum()),
        } | compare(estimates, [*BESIDE, ("lm", "outgroup")])  # fmt: skip
    return found


def measure_rarity(scored: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Odds of being rare in each score's lowest tail, against all other observed SNVs.

    Rare: one of the six strains carries it; common: two or more. Sites where a strain is
    not known are left out. Conditional odds ratio and exact test of Fisher.
    """
    observed = scored[(scored["kind"] == "observed") & (scored["an"] == 6)]
    ancestral = (observed["outgroup_ref"] > 0) & (
        observed["outgroup_ref"] == observed["outgroup_an"]
    )
    found: dict[str, Any] = {}
    for part, rows in {
        "all": observed,
        "reference_ancestral": observed[ancestral],
    }.items():
        rare = (rows["ac"] == 1).to_numpy()
        found[part] = {"rare": int(rare.sum()), "common": int((~rare).sum())}
        for name in names:
            rank = rows[name].rank(method="first").to_numpy()
            found[part][name] = {
                f"lowest_{share:g}": tail_odds(rare, rank <= share * len(rows))
                for share in TAILS
            }
    return found


def tail_odds(rare: NDArray[np.bool_], tail: NDArray[np.bool_]) -> dict[str, Any]:
    """Return Fisher's exact test of rare against common, in a tail and outside it."""
    table = [
        [int((rare & tail).sum()), int((~rare & tail).sum())],
        [int((rare & ~tail).sum()), int((~rare & ~tail).sum())],
    ]
    odds = stats.contingency.odds_ratio(table)
    interval = odds.confidence_interval(0.95)
    numbers = [odds.statistic, interval.low, interval.high]
    value, low, high = (round(float(x), 4) if np.isfinite(x) else None for x in numbers)
    p = float(f"{stats.fisher_exact(table).pvalue:.3g}")
    return {"table": table, "odds_ratio": value, "low": low, "high": high, "p": p}


# -- speed -----------------------------------------------------------------------------


def measure_speed(model: LanguageModel, codes: Codes) -> dict[str, Any]:
    """Variants a second: all three changes of each base in one pass, and one by one."""
    middle = len(codes) // 2
    stretch = codes[middle : middle + min(SPEED_BP, len(codes) - middle)]
    model.log_probabilities(stretch[:20_000])
    begin = time.perf_counter()
    model.log_probabilities(stretch)
    dense = 3 * len(stretch) / (time.perf_counter() - begin)
    reach = model.reach_bp
    rng = np.random.default_rng(SEED)
    sites = rng.integers(reach, len(stretch) - reach, SPEED_VARIANTS)
    begin = time.perf_counter()
    with torch.inference_mode():
        for at in np.split(sites, range(BATCH, SPEED_VARIANTS, BATCH)):
            windows = stretch[at[:, None] + np.arange(-reach, reach + 1)].astype(
                np.int64
            )
            windows[:, reach] = UNKNOWN
            logits = model.network(torch.from_numpy(windows).to(model.device))
            torch.log_softmax(logits[:, reach], -1).cpu()
    single = len(sites) / (time.perf_counter() - begin)
    return {
        "what": "SNVs a second, both strands; one by one: a window of twice reach_bp a "
        "site, which is hidden, in batches",
        "device": model.device,
        "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
        "dense_per_s": round(dense),
        "one_by_one_per_s": round(single, 1),
        "ratio": round(dense / single, 1),
    }


# -- the command -----------------------------------------------------------------------


def judge(result: dict[str, Any]) -> dict[str, Any]:
    """Say which bars are reached, by the figures themselves."""
    bits = result["bits_per_base"]["all_bases"]
    stops = result["consequences"]["stop_gained"]["all"]["lm"]["value"]
    unmatched = result["observed"]["unmatched"]
    dense = result["speed"]["dense_per_s"]
    gap = -bits["differences"]["lm - markov"]["value"]
    above = unmatched["differences"]["lm - markov"]["low"]
    figures = {
        "bits_per_base": (bits["lm"]["value"], bits["lm"]["value"] <= GOALS["bits_per_base"]),
        "bits_below_markov": (gap, gap >= GOALS["bits_below_markov"]),
        "stop_auroc": (stops, stops >= GOALS["stop_auroc"]),
        "observed_auroc": (
            unmatched["lm"]["value"],
            unmatched["lm"]["value"] >= GOALS["observed_auroc"] and above > 0,
        ),
        "variants_per_s": (dense, dense >= GOALS["variants_per_s"]),
    }  # fmt: skip
    return {
        name: {"bar": GOALS[name], "found": found, "reached": bool(reached)}
        for name, (found, reached) in figures.items()
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the result ready for JSON."""
    started, begin = datetime.now(UTC), time.perf_counter()
    data, work, quick = arguments.data, arguments.work, arguments.quick

    def tell(what: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {what}", flush=True)

    model = load_language_model(arguments.model, arguments.device)
    config = model.config
    if not (config.held_out and config.validation):
        raise SystemExit(
            f"{arguments.model}: config.json names no held_out or no validation contig; "
            "nothing can be measured on what it was trained on"
        )
    contigs = config.held_out[:1] if quick else config.held_out
    tell(f"observed and simulated SNVs of {', '.join(contigs)}")
    bench = make_bench(data, work, contigs, QUICK_DRAWS if quick else DRAWS)
    genome = Genome(bench.prepared.assembly, bench.prepared.genome)
    tell("what Markov models may learn from")
    left_out = (*config.held_out, *config.validation)
    materials, material_told = learning_material(
        data, work, genome, left_out, arguments.corpus
    )
    tell("Markov models")
    validation = encode(genome.contig(config.validation[0]))
    peers, peers_told = fit_peers(materials, validation, bench, work, quick=quick)
    tell("the language model")
    answers: Answers = {
        "lm": {c: answer(model, codes, work, c) for c, codes in bench.codes.items()}
    } | peers
    names = list(answers)
    tell("bits per base")
    result: dict[str, Any] = {
        "what": "a language model against Markov models on chromosomes it never saw",
        "started": started.isoformat(timespec="seconds"),
        "quick": quick,
        "machine": describe_machine(),
        "model": {
            "name": model.name, "digest": model.digest, "layers": list(config.layers),
            "parameters": sum(p.numel() for p in model.network.parameters()),
            "objective": config.objective, "reach_bp": model.reach_bp,
            "held_out": list(config.held_out), "validation": list(config.validation),
            "measured_on": list(contigs),
        },
        "intervals": {
            "share": 0.95, "block_bp": WINDOW_BP, "draws": bench.draws,
            "blocks": len(bench.drawn().names),
        },
        "material": material_told,
        "markov": peers_told,
        "variants": bench.counts,
        "bits_per_base": measure_bits(bench, answers),
    }  # fmt: skip
    tell("region classes")
    result["region_classes"] = measure_regions(bench, answers)
    tell("consequences")
    result["consequences"] = measure_consequences(bench, answers)
    tell("observed against simulated")
    scored = score_variants(bench, answers)
    result["observed"] = measure_observed(bench, scored, names)
    result["rare_against_common"] = measure_rarity(scored, names)
    tell("speed")
    result["speed"] = measure_speed(model, bench.codes[contigs[0]])
    result["goals"] = judge(result)
    result["seconds"] = round(time.perf_counter() - begin, 1)
    return result


def main() -> int:
    """Run the benchmark named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="its folder")
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="kept between runs")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--corpus", type=Path, help="the model's own corpus.npz")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="one contig, few draws")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    result = run(arguments)
    for name, goal in result["goals"].items():
        word = "reached" if goal["reached"] else "NOT reached"
        print(f"{name}: {goal['found']} ({word}; bar {goal['bar']})")
    if arguments.out:
        write_result(arguments.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
