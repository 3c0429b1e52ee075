"""The combined score against each of its parts, on yeast's observed and simulated SNVs.

    python benchmarks/combined.py --model encoders/weights/yeast_lm --data ../shared/data \
        --work /tmp/w/combined --out benchmarks/results/combined.json

Observed are SNVs that six *S. cerevisiae* assemblies carry, simulated ones are drawn among
the others, not matched by class and matched (``benchmarks.observed_variants``). All is
measured on the chromosomes that the language model never saw (V and XV): what is fitted on
one is tested on the other, and no figure is of an SNV that weights or calibration saw.
Intervals and paired differences are from resampled 50 kb blocks.

* combined against the hand-set score, each single score, and each block fitted alone;
* what each block adds: the combined score without it;
* calibration: reliability in ten bins, and its mean distance from the diagonal;
* polarity: the same without that block, and on SNVs where all outgroups have the
  reference's base;
* ``cisgraph prior fit`` on the whole genome, its own panel and its own simulated SNVs,
  chromosomes left out.

Conservation and polarity are from three assemblies of *S. paradoxus*, registered as
outgroups; the observed strains' assemblies take no part, nor do frequencies. The Markov
model is of the reference genome, which holds no observed allele. Without ``--model`` there
is no language block. What takes time is kept in ``--work``; ``--quick`` takes the two
smallest chromosomes, one outgroup and no language model, to try the command.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.block_bootstrap import Blocks, Estimate
from benchmarks.machine import describe_machine
from benchmarks.observed_variants import PANEL, RECIPE, WINDOW_BP, Variants, build
from benchmarks.result_file import write_result
from data_registry.coordinates import Region
from data_registry.errors import PlatformError
from data_registry.recipes import read_recipe, register_source
from data_registry.relatives import Registered, align_relatives
from data_registry.store import open_store
from variant_effect.combined import (
    BLOCKS,
    KINDS,
    LANGUAGE,
    Evidence,
    auroc,
    calibration_error,
    cross_fit,
    fit_additive,
    folds_of,
    left_out_log_odds,
    reliability,
)
from variant_effect.precompute import precompute
from variant_effect.preparation import prepare
from variant_effect.prior_training import (
    Recipe,
    Sample,
    fit_prior,
    language_of,
    read_sample,
)
from variant_effect.trained_models import TrainedModel, add_model, open_language

OUTGROUPS = ("CBS432", "UFRJ50816", "UWOPS919171")
SPECIES = "S. cerevisiae"
CONTIGS, QUICK_CONTIGS = ("chrV", "chrXV"), ("chrI", "chrVI")
DRAWS, QUICK_DRAWS = 1_000, 200
SEED = 20_260_322
SIMULATED_PER_OBSERVED = 2
"""Of the four unmatched ones an observed SNV that are drawn, so many are used."""

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]
LETTERS = np.array(list("ACGT"), dtype=object)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Observed and simulated SNVs of one kind, and the folds they are left out by."""

    sample: Sample
    fold: NDArray[np.int64]
    blocks: Blocks

    def estimate(self, score: Reals, rows: Flags | None = None) -> Estimate:
        """Return the AUROC of simulated over observed, of all or some SNVs."""
        if rows is None:
            rows = np.ones(len(score), dtype=bool)
        return self.blocks.auroc(
            score[rows], self.sample.simulated[rows], self.index[rows]
        )

    @property
    def index(self) -> NDArray[np.int64]:
        """Each SNV's block."""
        return self.blocks.index(block_of(self.sample))


def block_of(sample: Sample) -> NDArray[np.int64]:
    """Number the 50 kb windows of all contigs."""
    _, code = np.unique(sample.contig.astype(str), return_inverse=True)
    return code * 100_000 + sample.start // WINDOW_BP


def make_workspace(data: Path, folder: Path, outgroups: Sequence[str]) -> None:
    """Register genome, annotation, motifs, intervals and outgroups; align the outgroups."""
    recipe = read_recipe(RECIPE, data)
    kinds = ("genome", "annotation", "intervals", "motifs")
    with open_store(folder, write=True) as store:
        for source in recipe.sources:
            if source.kind in kinds:
                outcome = register_source(store, recipe, source)
                if outcome.error:
                    raise PlatformError(outcome.error)
        for name in outgroups:
            store.add(
                data / "yeast" / "assemblies" / f"{name}.genome.fa.gz",
                kind="relative_genome", name=name, options={"role": "outgroup"},
            )  # fmt: skip
        registered = Registered.of(store)
    align_relatives(registered)


def look_ahead(folder: Path, model: TrainedModel, contigs: Sequence[str]) -> None:
    """Score all changes of the contigs once; scoring looks them up from then on."""
    with open_store(folder) as store:
        precompute(
            store, model, open_language(model), [Region(name) for name in contigs]
        )


def as_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Write SNVs as ``read_sample`` takes them."""
    return pd.DataFrame({
        "contig": frame["contig"].to_numpy(object),
        "start": frame["start"].to_numpy(np.int64),
        "ref": LETTERS[frame["ref"]],
        "alt": LETTERS[frame["alt"]],
        "simulated": (frame["kind"] != "observed").to_numpy(),
    })  # fmt: skip


def thin(variants: Variants, rng: np.random.Generator) -> pd.DataFrame:
    """Keep all but some of the unmatched simulated SNVs."""
    frame = variants.frame
    wanted = SIMULATED_PER_OBSERVED * int((frame["kind"] == "observed").sum())
    unmatched = np.flatnonzero(frame["kind"] == "unmatched")
    kept = rng.choice(unmatched, min(wanted, len(unmatched)), replace=False)
    others = np.flatnonzero(frame["kind"] != "unmatched")
    return frame.iloc[np.sort(np.r_[kept, others])].reset_index(drop=True)


def single_scores(evidence: Evidence, by_hand: Reals) -> dict[str, Reals]:
    """Return scores that need no fit, high where a change should be kept out."""

    def any_kind(name: str) -> Reals:
        held = [evidence.numbers[f"{name}_{kind}"] for kind in KINDS]
        return np.nansum(held, axis=0)

    def filled(values: Reals) -> Reals:
        middle = np.nanmedian(values) if np.isfinite(values).any() else 0.0
        return np.where(np.isnan(values), middle, values)

    has_alt = evidence.levels["outgroups_with_alt"]
    scores = {
        "hand_set": by_hand,
        "hand_set_consequence": evidence.numbers["hand_set_weight"],
        "minus_blosum62": filled(-evidence.numbers["blosum62"]),
        "grantham": filled(evidence.numbers["grantham"]),
        "outgroup_identity": any_kind("outgroup_identity"),
        "no_outgroup_has_alt": np.array(
            [0.5 if text is None else float(text == "none") for text in has_alt]
        ),
        "minus_markov_llr": -any_kind("markov_llr"),
    }
    if evidence.has_language.any():
        scores["minus_lm_llr"] = -any_kind("lm_llr")
        scores["lm_percentile"] = filled(evidence.numbers["lm_percentile"])
    return scores


def reference_is_ancestral(evidence: Evidence) -> Flags:
    """Return SNVs at which all aligned outgroups, one at least, have the reference's base."""
    return (evidence.levels["outgroups_with_alt"] == "none") & (
        evidence.numbers["outgroups_with_third_base"] == 0
    )


def measure(compared: Comparison, blocks: Sequence[str]) -> dict[str, Any]:
    """Fit and compare everything on one kind of simulated SNVs."""
    sample, evidence = compared.sample, compared.sample.evidence

    def left_out(chosen: Sequence[str]) -> Reals:
        return left_out_log_odds(evidence, sample.simulated, compared.fold, chosen)

    whole = cross_fit(evidence, sample.simulated, sample.contig, sample.start, blocks)
    scores: dict[str, Reals] = {"combined": whole.left_out}
    scores |= single_scores(evidence, sample.by_hand)
    for name in blocks:
        scores[f"{name}_alone"] = left_out([name])
    for name in blocks:
        scores[f"without_{name}"] = left_out([b for b in blocks if b != name])
    found = {name: compared.estimate(score) for name, score in scores.items()}
    parts = [n for n in found if n != "combined" and not n.startswith("without_")]
    margins = {name: found["combined"] - found[name] for name in parts}
    gains = {name: found["combined"] - found[f"without_{name}"] for name in blocks}
    ancestral = reference_is_ancestral(evidence)
    shown = ["combined", "without_polarity", *single_scores(evidence, sample.by_hand)]
    probability = 1 / (1 + np.exp(-scores["combined"]))
    bins = reliability(probability, sample.simulated)
    return {
        "observed": int((~sample.simulated).sum()),
        "simulated": int(sample.simulated.sum()),
        "auroc": {name: each.describe() for name, each in found.items()},
        "combined_minus_part": {n: each.describe() for n, each in margins.items()},
        "gain_of_block": {n: each.describe() for n, each in gains.items()},
        "beats_every_part": all(
            each.describe()["low"] > 0 for each in margins.values()
        ),
        "not_beaten_clearly": [n for n, e in margins.items() if e.describe()["low"] <= 0],
        "where_the_reference_is_ancestral": {
            "observed": int((ancestral & ~sample.simulated).sum()),
            "simulated": int((ancestral & sample.simulated).sum()),
            "auroc": {
                name: compared.estimate(scores[name], ancestral).describe()
                for name in shown
            },
        },
        "by_tested_contig": {
            str(contig): {
                name: round(
                    auroc(scores[name][mine], sample.simulated[mine]), 4
                )
                for name in ("combined", "hand_set")
            }
            for contig in np.unique(sample.contig.astype(str)).tolist()
            for mine in [sample.contig == contig]
        },
        "calibration": {
            "error": round(calibration_error(bins), 4),
            "bins": [{k: round(v, 4) for k, v in row.items()} for row in bins],
        },
    }  # fmt: skip


def carry_over(
    learned: Comparison, tested: Comparison, blocks: Sequence[str]
) -> dict[str, Any]:
    """Fit on one kind of simulated SNVs, test on the other kind and contig."""
    score = np.zeros(len(tested.fold))
    for k in np.unique(tested.fold).tolist():
        rows = learned.fold != k
        model = fit_additive(
            learned.sample.evidence.take(rows), learned.sample.simulated[rows], blocks
        )
        out = tested.fold == k
        score[out] = model.log_odds(tested.sample.evidence.take(out))
    return tested.estimate(score).describe()


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the result ready for JSON."""
    started, begin = datetime.now(UTC), time.perf_counter()
    data, work, quick = arguments.data, arguments.work, arguments.quick
    rng = np.random.default_rng(SEED)

    def tell(what: str) -> None:
        print(f"{time.perf_counter() - begin:6.0f} s  {what}", flush=True)

    folder = work / "prior"
    outgroups = OUTGROUPS[:1] if quick else OUTGROUPS
    tell(f"workspace, outgroups {', '.join(outgroups)}")
    make_workspace(data, folder, outgroups)
    model = None
    if arguments.model is not None and not quick:
        model, what = add_model(str(arguments.model), folder)
        tell(what)
    with open_store(folder) as store:
        prepared = prepare(store, on_step=tell)
    digest, held_out = language_of(prepared)
    contigs = QUICK_CONTIGS if quick else tuple(held_out) or CONTIGS
    tell(f"observed and simulated SNVs of {', '.join(contigs)}")
    variants = build(data, work, contigs)
    frame = thin(variants, rng)
    if model is not None:
        tell("all changes of these contigs, with the language model")
        look_ahead(folder, model, contigs)
    tell(f"evidence on {len(frame):,} SNVs")
    whole = read_sample(as_table(frame), prepared, language_contigs=contigs)
    blocks = [
        name for name in BLOCKS
        if name != LANGUAGE or bool(whole.evidence.has_language.any())
    ]  # fmt: skip
    compared: dict[str, Comparison] = {}
    drawn = Blocks.of(block_of(whole), QUICK_DRAWS if quick else DRAWS, rng)
    fold = folds_of(whole.contig, whole.start)
    for kind in ("unmatched", "matched"):
        rows = frame["kind"].isin(["observed", kind]).to_numpy()
        if kind == "matched":
            rows &= (frame["pair"] >= 0).to_numpy()
        compared[kind] = Comparison(whole.take(rows), fold[rows], drawn)
    result: dict[str, Any] = {
        "what": "the combined score against each of its parts",
        "started": started.isoformat(timespec="seconds"),
        "quick": quick,
        "machine": describe_machine(),
        "contigs": list(contigs),
        "outgroups": list(outgroups),
        "language_model": model and {
            "name": model.name, "digest": digest, "held_out": held_out,
        },
        "blocks_used": blocks,
        "intervals": {
            "share": 0.95, "block_bp": WINDOW_BP, "blocks": len(drawn.names),
            "draws": len(drawn.times) - 1,
        },
        "variants": variants.counts,
    }  # fmt: skip
    for kind, each in compared.items():
        tell(f"fits, {kind}")
        result[kind] = measure(each, blocks)
    result["matched"]["combined_fitted_on_unmatched"] = carry_over(
        compared["unmatched"], compared["matched"], blocks
    )
    if not quick:
        tell("cisgraph prior fit on the whole genome")
        result["whole_genome"] = fit_whole_genome(data, folder)
    result["seconds"] = round(time.perf_counter() - begin, 1)
    return result


def fit_whole_genome(data: Path, folder: Path) -> Mapping[str, Any]:
    """Register the panel and fit as the command does; return what it wrote of itself."""
    recipe = read_recipe(RECIPE, data)
    source = next(s for s in recipe.sources if s.path == PANEL)
    with open_store(folder, write=True) as store:
        outcome = register_source(store, recipe, source)
        if outcome.error:
            raise PlatformError(outcome.error)
    with open_store(folder) as store:
        fitted = fit_prior(store, prepare(store), Recipe(source.name, SPECIES))
    return fitted.provenance


def main() -> int:
    """Run the benchmark named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="kept between runs")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--model", type=Path, help="a language model's folder")
    parser.add_argument(
        "--quick", action="store_true", help="small, to try the command"
    )
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    result = run(arguments)
    for kind in ("unmatched", "matched"):
        found = result[kind]
        print(
            f"{kind}: combined {found['auroc']['combined']}, hand-set "
            f"{found['auroc']['hand_set']}; calibration error "
            f"{found['calibration']['error']}; not clearly above: "
            f"{found['not_beaten_clearly'] or 'none'}"
        )
    if arguments.out:
        write_result(arguments.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
