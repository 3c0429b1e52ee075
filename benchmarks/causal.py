"""Causal inference against printed estimates, other programs, and known truth.

    python benchmarks/causal.py --data ../shared/data --work /tmp/causal --out benchmarks/results/causal.json

* Mendelian randomisation: estimates that the MendelianRandomization, TwoSampleMR and
  mr.raps packages print for the data that they ship. Which choices each makes (first or
  second order weights, R's random numbers for the bootstrap) is in the code.
* Harmonisation: TwoSampleMR's own test table, and its 79 harmonised variants.
* Structural equations: lavaan's estimates for the two data sets that it ships.
* Fine-mapping: susieR's printed credible sets for N3finemapping; the shipped FINEMAP,
  CAVIAR and DAP results; a flipped allele; a local optimum.
* Simulated traits on real genotypes (windows of N3finemapping's 574 x 1,001): coverage,
  size, power, from individuals and from summary statistics.
* Local optima: coverage by number of causal variants, plain and refined.
* Scores as prior weights: real scores (``variant_effect.score``, hand-set, of yeast), the
  truth drawn with a known enrichment, from none to strong; the gain or loss of fixed and of
  learned enrichments, paired by replicate. In ``n3`` real genotypes get the scores of
  neighbouring yeast variants, in their order; in ``yeast`` the alleles are real, and so
  are their scores, but the lines are simulated: a cross of seven strains.

Nothing here was tuned on these figures. ``--quick`` runs a tenth of the replicates.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cyvcf2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine
from benchmarks.r_random import RNormals
from data_registry.text_files import read_table
from variant_effect.causal import fine_mapping as fm
from variant_effect.causal import mendelian_randomisation as mr
from variant_effect.causal.structural_equations import fit_equations
from variant_effect.causal.summary_statistics import orient_alleles
from variant_effect.score import score as score_command

Reals = NDArray[np.float64]
Places = NDArray[np.int64]

R_SEED = 314_159_265
"""Of the MendelianRandomization package's bootstraps."""
SEED = 20_261_127
WINDOW = 250
"""Variants of a simulated locus."""
EFFECT_SHARE = 0.05
"""Of the trait's variance that one causal variant explains."""
N_EFFECTS = 5
TRUE_ENRICHMENTS = (0.0, 2.0, 4.0, 8.0)
FIXED = (2.0, 6.0)
BLOCK = 10
"""Replicates that are kept together."""
LEARNING_LOCI = 40
NOT_FINISHED = "not finished: what was done is kept in --work; run it again to go on"
FROM_SUMMARY = "flat, from summary"
STRAINS = ("S288C", "SK1", "DBVPG6044", "DBVPG6765", "Y12", "YPS128", "UWOPS034614")
CROSS_REGION = "chrIV:1-400000"
LINES, GENERATIONS, MORGANS_A_BP = 1_000, 12, 3.5e-6

DEMOCRACY = """ind60 =~ x1 + x2 + x3
dem60 =~ y1 + y2 + y3 + y4
dem65 =~ y5 + y6 + y7 + y8
dem60 ~ ind60
dem65 ~ ind60 + dem60
y1 ~~ y5
y2 ~~ y4 + y6
y3 ~~ y7
y6 ~~ y8"""
THREE_FACTORS = """visual =~ x1 + x2 + x3
textual =~ x4 + x5 + x6
speed =~ x7 + x8 + x9"""


def read_r(path: Path) -> Mapping[str, Any]:
    """Read an ``.rda`` or ``.RData`` file."""
    import rdata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Mapping[str, Any] = rdata.read_rda(path)
    return found


def against(
    printed: Mapping[str, tuple[float, int]], found: Mapping[str, float]
) -> dict[str, Any]:
    """Set printed values beside ours; equal means equal in all printed decimals."""
    return {
        name: {
            "printed": value, "decimals": decimals, "found": float(f"{found[name]:.10g}"),
            "equal": round(found[name], decimals) == value,
        }
        for name, (value, decimals) in printed.items()
    }  # fmt: skip


# -- printed estimates -------------------------------------------------------------------


def check_mendelian(data: Path) -> dict[str, Any]:
    """Compare Mendelian randomisation with the R packages' printed estimates."""
    folder = data / "benchmarks" / "causal"
    lipids = pd.read_csv(folder / "MR_package" / "lipids_chd_28snps.csv")
    ldl = mr.Instruments(
        tuple(f"row_{i + 1}" for i in range(len(lipids))),
        *(
            lipids[c].to_numpy(float)
            for c in ("ldlc", "ldlcse", "chdlodds", "chdloddsse")
        ),
    )
    ivw, egger = mr.inverse_variance_weighted(ldl), mr.egger(ldl)
    median = mr.weighted_median(ldl, RNormals(R_SEED))
    results = {
        "ldl_chd_28": against(
            {"ivw": (2.834, 3), "ivw_se": (0.530, 3), "egger": (3.253, 3),
             "egger_se": (0.770, 3), "weighted_median": (2.683, 3),
             "weighted_median_se": (0.419, 3)},
            {"ivw": ivw.estimate, "ivw_se": ivw.se, "egger": egger.estimate,
             "egger_se": egger.se, "weighted_median": median.estimate,
             "weighted_median_se": median.se},
        )
    }  # fmt: skip
    table = read_r(folder / "twosamplemr" / "test_commondata.RData")["dat"]
    table = table[table["mr_keep"]]
    bmi = mr.Instruments(
        tuple(table["SNP"]),
        *(table[c].to_numpy(float)
          for c in ("beta.exposure", "se.exposure", "beta.outcome", "se.outcome")),
    )  # fmt: skip
    ivw, fixed, egger = (
        mr.inverse_variance_weighted(bmi), mr.inverse_variance_weighted(bmi, "fixed"),
        mr.egger(bmi),
    )  # fmt: skip
    direction = mr.steiger_direction(
        bmi,
        *(
            table[c].to_numpy(float)
            for c in ("samplesize.exposure", "samplesize.outcome")
        ),
    )
    rng = np.random.default_rng(SEED)
    median = mr.weighted_median(bmi, rng, weights="second order")
    mode = mr.weighted_mode(bmi, rng)
    results["bmi_chd_79"] = against(
        {"ivw": (0.4459091, 7), "ivw_se": (0.05898302, 8), "ivw_fixed_se": (0.04346305, 8),
         "q": (143.6508, 4), "egger": (0.5024935, 7), "egger_se": (0.14396056, 8),
         "intercept": (-0.001719304, 9), "intercept_se": (0.003985962, 9),
         "intercept_p": (0.6674266, 7), "egger_q": (143.3046, 4),
         "weighted_median": (0.3870065, 7), "weighted_mode": (0.3791, 4),
         "raps_huber": (0.4647, 4), "raps_huber_simple": (0.4682, 4),
         "raps_tukey": (0.4788, 4), "outcome_r2": (0.0013505, 7)},
        {"ivw": ivw.estimate, "ivw_se": ivw.se, "ivw_fixed_se": fixed.se,
         "q": ivw.details["q"], "egger": egger.estimate, "egger_se": egger.se,
         "intercept": egger.details["intercept"],
         "intercept_se": egger.details["intercept_se"],
         "intercept_p": egger.details["intercept_p"], "egger_q": egger.details["q"],
         "weighted_median": median.estimate, "weighted_mode": mode.estimate,
         "raps_huber": mr.robust_profile_score(bmi).estimate,
         "raps_huber_simple": mr.robust_profile_score(bmi, overdispersion=False).estimate,
         "raps_tukey": mr.robust_profile_score(bmi, "tukey").estimate,
         "outcome_r2": direction.outcome_r2},
    )  # fmt: skip
    results["bmi_chd_79"]["exposure_r2"] = {
        "printed": 0.0158082, "found": direction.exposure_r2,
        "note": "theirs is from rounded p-values, ours from effects and errors",
    }  # fmt: skip
    results["bmi_chd_79"]["bootstrap_errors"] = {
        "weighted_median": {
            "found": median.se,
            "printed_by_runs": [0.0717521, 0.0763989],
        },
        "weighted_mode": {"found": mode.se, "printed_by_runs": [0.0997549, 0.1022137]},
        "note": "TwoSampleMR's bootstraps are not seeded: its pages print several values",
    }
    results["lipids_multivariable_143"] = check_multivariable(folder)
    return results


def check_multivariable(folder: Path) -> dict[str, Any]:
    """Compare HDL, LDL and triglycerides on CHD with TwoSampleMR's ``mv_multiple``."""
    import pyreadr

    # Fast, and enough for plain tables; rdata needs half a minute for this file.
    held = pyreadr.read_r(
        folder / "twosamplemr" / "vig_perform_mr.RData",
        use_objects=["mv_exposure_dat", "mv_outcome_dat"],
    )
    wide = held["mv_exposure_dat"].pivot_table(
        index="SNP", columns="id.exposure", values=["beta.exposure", "se.exposure"]
    )
    alleles = held["mv_exposure_dat"].drop_duplicates("SNP").set_index("SNP")
    out = held["mv_outcome_dat"].set_index("SNP")
    shared = wide.index.intersection(out.index)
    texts = [
        frame.loc[shared, f"{which}_allele.{side}"].to_numpy(object)
        for frame, side in ((alleles, "exposure"), (out, "outcome"))
        for which in ("effect", "other")
    ]
    freqs = [
        frame.loc[shared, f"eaf.{side}"].to_numpy(float)
        for frame, side in ((alleles, "exposure"), (out, "outcome"))
    ]
    sign, _ = orient_alleles(
        (texts[0], texts[1], freqs[0]), (texts[2], texts[3], freqs[1]), "infer"
    )
    kept = sign != 0
    names = ("ieu-a-299", "ieu-a-300", "ieu-a-302")
    beta, se = (
        wide.loc[shared, value][list(names)].to_numpy(float)[kept]
        for value in ("beta.exposure", "se.exposure")
    )
    estimates = mr.multivariable(
        names, beta, se, (out.loc[shared, "beta.outcome"].to_numpy(float) * sign)[kept],
        out.loc[shared, "se.outcome"].to_numpy(float)[kept],
    )  # fmt: skip
    printed = {
        "hdl": (-0.08919724, 8), "hdl_se": (0.05970552, 8), "ldl": (0.37853543, 8),
        "ldl_se": (0.04976846, 8), "trig": (0.13584165, 8), "trig_se": (0.06738291, 8),
    }  # fmt: skip
    found = {}
    for name, e in zip(("hdl", "ldl", "trig"), estimates, strict=True):
        found[name], found[f"{name}_se"] = e.estimate, e.se
    return against(printed, found) | {"n_variants": int(kept.sum())}


def check_harmonisation(data: Path) -> dict[str, Any]:
    """Compare with TwoSampleMR's test table and its harmonised variants."""
    folder = data / "benchmarks" / "causal" / "twosamplemr"
    # The header of that file is one column out of step with its rows.
    names = [
        "snp",
        "A1",
        "A2",
        "B1",
        "B2",
        "betaA",
        "betaB",
        "fA",
        "fB",
        "wanted",
        "note",
    ]
    table = pd.read_csv(folder / "alleles.txt", sep=r"\s+", names=names, skiprows=1)
    sign, reason = orient_alleles(
        *((table[f"{s}1"].to_numpy(object), table[f"{s}2"].to_numpy(object),
           table[f"f{s}"].to_numpy(float)) for s in "AB"),
        "infer",
    )  # fmt: skip
    table = table.assign(sign=sign, reason=reason)
    rows = table[["snp", "wanted", "note", "sign", "reason"]].to_dict("records")
    held = read_r(folder / "test_commondata.RData")
    one, two, dat = (held[k].set_index("SNP") for k in ("exp_dat", "out_dat", "dat"))
    two, dat = two.loc[one.index], dat.loc[one.index]
    sign, _ = orient_alleles(
        *((f[f"effect_allele.{s}"].to_numpy(object), f[f"other_allele.{s}"].to_numpy(object),
           f[f"eaf.{s}"].to_numpy(float)) for f, s in ((one, "exposure"), (two, "outcome"))),
        "infer",
    )  # fmt: skip
    ours = two["beta.outcome"].to_numpy(float) * sign
    theirs = np.where(dat["mr_keep"], dat["beta.outcome"].to_numpy(float), 0.0)
    return {
        "test_table": rows,
        "harmonised": {
            "variants": len(one),
            "equal": int(np.isclose(ours, theirs).sum()),
        },
    }


def check_equations(data: Path) -> dict[str, Any]:
    """Compare structural equations with lavaan's estimates."""
    folder = data / "benchmarks" / "causal" / "semopy"
    fitted = fit_equations(DEMOCRACY, pd.read_csv(folder / "pd_data.csv"))
    ours = fitted.parameters.set_index(["target", "operator", "source"])["estimate"]
    theirs = pd.read_csv(folder / "pd_lavaan_params.csv").set_index(
        ["lval", "op", "rval"]
    )
    both = pd.concat([ours, theirs["Estimate"]], axis=1)
    off = (both.iloc[:, 0] - both.iloc[:, 1]).abs()
    frame = read_r(folder.parent / "lavaan" / "HolzingerSwineford1939.rda")
    table = frame["HolzingerSwineford1939"].rename(columns=str)
    three = fit_equations(
        THREE_FACTORS, table[[f"x{i}" for i in range(1, 10)]].astype(float)
    )
    loadings = three.parameters[three.parameters["operator"] == "=~"]
    rows = loadings.set_index("source")
    printed, found = {}, {}
    for name, estimate, se in (
        ("x2", 0.554, 0.100), ("x3", 0.729, 0.109), ("x5", 1.113, 0.065),
        ("x6", 0.926, 0.055), ("x8", 1.180, 0.165), ("x9", 1.082, 0.151),
    ):  # fmt: skip
        printed |= {name: (estimate, 3), f"{name}_se": (se, 3)}
        row = rows.loc[name]
        found |= {name: float(row["estimate"]), f"{name}_se": float(row["se"])}
    printed["chi2"], found["chi2"] = (85.306, 3), three.fit["chi2"]
    return {
        "political_democracy": {
            "parameters": len(off), "missing": int(off.isna().sum()),
            "largest_difference": float(off.max()), "chi2": fitted.fit["chi2"],
        },
        "holzinger_swineford": against(printed, found),
        "left_out": "lavaan's growth and two-level data: latent means are not modelled here",
    }  # fmt: skip


# -- fine-mapping: reference data --------------------------------------------------------


def check_susie(data: Path) -> dict[str, Any]:
    """Run on susieR's example data beside the other programs' results."""
    folder = data / "benchmarks" / "population" / "susie"
    held = read_r(folder / "N3finemapping.RData")["N3finemapping"]
    x, y = np.asarray(held["X"], float), np.asarray(held["Y"], float)
    coef = np.asarray(held["true_coef"], float)
    others = {
        name: read_r(folder / f"N3finemapping.{name}.RData")[f"N3finemapping.{name}"]
        for name in ("CAVIAR", "DAP", "FINEMAP")
    }
    found: dict[str, Any] = {}
    for k in range(2):
        causal = np.flatnonzero(coef[:, k])
        began = time.perf_counter()
        locus = fm.locus_from_genotypes(x, y[:, k])
        fit = fm.fit_susie(locus)
        seconds = time.perf_counter() - began
        summary = fm.locus_from_summary(locus.z, locus.ld, len(x))
        from_z = fm.fit_susie(summary)
        found[f"trait_{k + 1}"] = {
            "causal": causal.tolist(),
            "susie_individual": describe_sets(locus, fit, causal)
            | {"seconds": round(seconds, 2)},
            "susie_summary": describe_sets(summary, from_z, causal),
            **describe_others(others, k, causal),
        }
    printed = {
        "coverage_1": (0.9998236, 7), "coverage_2": (0.9988858, 7), "coverage_3": (0.9539811, 7),
        "purity_2": (0.9815726, 7), "purity_3": (0.8686309, 7),
    }  # fmt: skip
    sets = found["trait_1"]["susie_individual"]["sets"]
    by_size = sorted(sets, key=lambda s: len(s["variants"]))
    ours = {f"coverage_{i + 1}": s["coverage"] for i, s in enumerate(by_size)}
    ours |= {f"purity_{i + 1}": s["purity"] for i, s in enumerate(by_size)}
    members = [sorted(v + 1 for v in s["variants"]) for s in by_size]
    printed_sets = [
        [653], [773, 777],
        [362, 365, 372, 373, 374, 379, 381, 383, 384, 386, 387, 388, 389, 391, 392, 396, 397,
         398, 399, 400, 401, 403, 404, 405, 407, 408, 415],
    ]  # fmt: skip
    found["susier_printed"] = against(printed, ours) | {
        "sets_equal": members == printed_sets
    }

    flip = read_r(folder / "SummaryConsistency.RData")["SummaryConsistency"]
    check = fm.check_consistency(np.asarray(flip["z"]), np.asarray(flip["ldref"]))
    found["flipped_allele"] = {
        "planted": int(flip["flip_id"][0]), "found": (check.flipped + 1).tolist(),
        "mismatch": check.mismatch,
    }  # fmt: skip
    hard = read_r(folder / "FinemappingConvergence.RData")["FinemappingConvergence"]
    n = int(hard["n"][0])
    locus = fm.Locus(
        np.asarray(hard["XtX"]) / (n - 1), np.asarray(hard["Xty"]), float(hard["yty"][0]), n,
        estimates_residual=True,
    )  # fmt: skip
    causal = np.flatnonzero(np.asarray(hard["true_coef"]))
    fit = fm.fit_susie(locus)
    found["local_optimum"] = {
        "causal": causal.tolist(),
        "plain": describe_sets(locus, fit, causal) | {"elbo": fit.elbo[-1]},
    }
    fit = fm.refine_susie(locus, fit)
    found["local_optimum"]["refined"] = describe_sets(locus, fit, causal) | {
        "elbo": fit.elbo[-1]
    }
    return found


def describe_sets(locus: fm.Locus, fit: fm.SusieFit, causal: Places) -> dict[str, Any]:
    """Describe credible sets, and how the causal variants fare."""
    sets = fm.credible_sets(locus, fit)
    inside = {int(v) for s in sets for v in s.variants}
    return {
        "sets": [
            {"variants": s.variants.tolist(), "coverage": s.coverage, "purity": s.purity,
             "holds_causal": bool(set(s.variants.tolist()) & set(causal.tolist())),
             "verdict": s.verdict}
            for s in sets
        ],
        "causal_in_a_set": [c for c in causal.tolist() if c in inside],
        "variants_in_sets": len(inside),
        **describe_ranks(fit.pip, causal),
    }  # fmt: skip


def describe_ranks(pip: Reals, causal: Places) -> dict[str, Any]:
    """Give PIP and rank of the causal variants; the variants needed to have all of them."""
    rank = (-pip).argsort(kind="stable").argsort() + 1
    return {
        "pip_of_causal": [float(f"{pip[c]:.4g}") for c in causal],
        "rank_of_causal": rank[causal].tolist(),
        "variants_to_have_all": int(rank[causal].max()),
    }


def describe_others(
    others: Mapping[str, Any], k: int, causal: Places
) -> dict[str, Any]:
    """Describe the shipped results of the other programs in the same terms."""
    found = {}
    for name, held in others.items():
        one = held[k] if isinstance(held, list) else list(held.values())[k]
        table = one["snp"]
        pip = np.zeros(1001)
        pip[table["snp"].astype(int).to_numpy() - 1] = table["snp_prob"].to_numpy(float)
        found[name.lower()] = describe_ranks(pip, causal)
        if name == "CAVIAR":
            chosen = {int(v) - 1 for v in one["set"]}
            found[name.lower()] |= {
                "set_size": len(chosen), "causal_in_set": sorted(set(causal.tolist()) & chosen),
            }  # fmt: skip
        if name == "DAP":
            found[name.lower()]["clusters"] = [
                {"probability": float(row["cluster_prob"]), "size": len(members),
                 "holds_causal": bool(members & set(causal.tolist()))}
                for row in one["set"].to_dict("records")
                if (members := {int(v) - 1 for v in str(row["snp"]).split(",")})
            ]  # fmt: skip
    return found


# -- simulated traits --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Panel:
    """Genotypes, scores of their variants, and what they are."""

    dosages: Reals
    scores: Reals
    what: str


@dataclass(frozen=True, slots=True)
class Replicate:
    """A locus with a simulated trait."""

    locus: fm.Locus
    score: Reals
    causal: Places


def simulate(panel: Panel, enrichment: float, rng: np.random.Generator) -> Replicate:
    """Draw a window, 1 to 3 causal variants by score, and a trait."""
    while True:
        start = int(rng.integers(panel.dosages.shape[1] - WINDOW + 1))
        x = panel.dosages[:, start : start + WINDOW]
        frequency = x.mean(axis=0) / max(1.0, x.max())
        usable = np.minimum(frequency, 1 - frequency) > 0.02
        if usable.sum() >= WINDOW // 2:
            break
    x = x[:, usable]
    if panel.scores.shape == (panel.dosages.shape[1],):
        score = panel.scores[start : start + WINDOW][usable]
    else:
        first = int(rng.integers(len(panel.scores) - len(x[0]) + 1))
        score = panel.scores[first : first + len(x[0])]
    chance = np.exp(enrichment * score)
    n_causal = int(rng.integers(1, 4))
    causal = rng.choice(len(score), n_causal, replace=False, p=chance / chance.sum())
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    effects = rng.choice([-1.0, 1.0], n_causal) * np.sqrt(EFFECT_SHARE)
    noise = rng.normal(0, np.sqrt(1 - EFFECT_SHARE * n_causal), len(x))
    return Replicate(
        fm.locus_from_genotypes(x, z[:, causal] @ effects + noise),
        score,
        np.sort(causal),
    )


FIGURES = (
    "pip_of_causal", "top_is_causal", "power", "sets", "sets_with_causal", "set_size",
    "variants_to_have_all",
)  # fmt: skip


def measure(locus: fm.Locus, fit: fm.SusieFit, causal: Places) -> Reals:
    """Return ``FIGURES`` of one fit; ``set_size`` is the sum over sets."""
    sets = fm.credible_sets(locus, fit)
    truth = set(causal.tolist())
    held = [bool(truth & set(s.variants.tolist())) for s in sets]
    inside = {int(v) for s in sets for v in s.variants}
    rank = (-fit.pip).argsort(kind="stable").argsort() + 1
    return np.array([
        fit.pip[causal].mean(), fit.pip.argmax() in truth, len(truth & inside) / len(truth),
        len(sets), sum(held), sum(len(s.variants) for s in sets), rank[causal].max(),
    ], dtype=np.float64)  # fmt: skip


def summarise(
    rows: Reals, rng: np.random.Generator, base: Reals | None = None
) -> dict[str, Any]:
    """Summarise replicates ``(replicates, figures)``; intervals by resampling them.

    With ``base`` (the same replicates, flat prior): the paired differences.
    """
    at = {name: i for i, name in enumerate(FIGURES)}

    def figures(means: Reals) -> dict[str, Reals]:
        """Turn means of ``FIGURES``, ``(draws, figures)``, to what is reported."""
        sets = np.where(means[:, at["sets"]] > 0, means[:, at["sets"]], np.nan)
        return {
            "pip_of_causal": means[:, at["pip_of_causal"]],
            "top_is_causal": means[:, at["top_is_causal"]],
            "power": means[:, at["power"]],
            "coverage": means[:, at["sets_with_causal"]] / sets,
            "mean_set_size": means[:, at["set_size"]] / sets,
        }

    # Row 0 takes every replicate once; the others are resamples.
    n = len(rows)
    times = np.array([
        np.ones(n), *(np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(1_000))
    ])  # fmt: skip
    own = figures(times @ rows / n)
    kinds = {"value": own}
    if base is not None:
        flat = figures(times @ base / n)
        kinds["minus_flat"] = {name: own[name] - flat[name] for name in own}
    found: dict[str, Any] = {name: {} for name in own}
    for kind, held in kinds.items():
        for name, drawn in held.items():
            low, high = np.nanquantile(drawn[1:], [0.025, 0.975])
            found[name][kind] = {
                "value": float(f"{drawn[0]:.4g}"), "low": float(f"{low:.4g}"),
                "high": float(f"{high:.4g}"),
            }  # fmt: skip
    return found


def auroc(score: Sequence[Reals], causal: Sequence[Places]) -> float:
    """Return P(a causal variant's score exceeds another's of its locus), ties half."""
    wins = total = 0.0
    for s, c in zip(score, causal, strict=True):
        rest = np.delete(s, c)
        for value in s[c]:
            wins += (value > rest).sum() + 0.5 * (value == rest).sum()
            total += len(rest)
    return wins / total


@dataclass(slots=True)
class Budget:
    """CPU seconds that this call may use; what is done is kept, and taken up again."""

    seconds: float

    def is_spent(self) -> bool:
        """Tell whether nothing new should be begun."""
        return time.process_time() > self.seconds


def learn(panel: Panel, truth: float, n: int, seed: int, kept: Path) -> fm.Enrichment:
    """Learn the enrichment from loci of their own; kept in a file."""
    if not kept.is_file():
        rng = np.random.default_rng([seed, int(truth * 10), 0])
        loci = [simulate(panel, truth, rng) for _ in range(n)]
        found = fm.learn_enrichment(
            [r.locus for r in loci], [r.score for r in loci], n_effects=N_EFFECTS
        )
        kept.write_text(json.dumps([found.value, list(found.evidence.items())]))
    value, evidence = json.loads(kept.read_text())
    return fm.Enrichment(value, dict(evidence))


def measure_block(
    panel: Panel,
    truth: float,
    ways: Mapping[str, float],
    block: int,
    seed: int,
    kept: Path,
) -> dict[str, Reals]:
    """Fit ``BLOCK`` simulated loci in all ways; kept in a file."""
    if not kept.is_file():
        rng = np.random.default_rng([seed, int(truth * 10), block])
        rows: dict[str, list[Reals]] = {way: [] for way in (*ways, FROM_SUMMARY)}
        scores: list[list[float]] = []
        for _ in range(BLOCK):
            test = simulate(panel, truth, rng)
            for way, value in ways.items():
                weights = fm.weigh_by_score(test.score, value)
                fit = fm.fit_susie(
                    test.locus, n_effects=N_EFFECTS, prior_weights=weights
                )
                rows[way].append(measure(test.locus, fit, test.causal))
            locus = fm.locus_from_summary(test.locus.z, test.locus.ld, test.locus.n)
            fit = fm.fit_susie(locus, n_effects=N_EFFECTS)
            rows[FROM_SUMMARY].append(measure(locus, fit, test.causal))
            scores.append([auroc([test.score], [test.causal])])
        content = {way: np.array(r) for way, r in rows.items()}
        np.savez(kept, **content, auroc=np.array(scores))
    with np.load(kept) as held:
        return {name: held[name] for name in held.files}


def measure_priors(
    name: str, panel: Panel, n: int, seed: int, work: Path, budget: Budget
) -> dict[str, Any] | None:
    """Measure flat, fixed and learned weights at each true enrichment; None: not finished."""
    n_learning = min(LEARNING_LOCI, max(4, n // 5))
    found: dict[str, Any] = {
        "what": panel.what,
        "replicates": n,
        "loci_learned_from": n_learning,
    }
    for truth in TRUE_ENRICHMENTS:
        key = f"{name}-{truth:g}"
        if budget.is_spent():
            return None
        learned = learn(
            panel, truth, n_learning, seed, work / f"{key}-learned-{n_learning}.json"
        )
        ways = {
            "flat": 0.0,
            **{f"fixed {f:g}": f for f in FIXED},
            "learned": learned.value,
        }
        blocks = []
        for block in range(1, n // BLOCK + 1):
            if budget.is_spent():
                return None
            kept = work / f"{key}-{n_learning}-block-{block}.npz"
            blocks.append(measure_block(panel, truth, ways, block, seed, kept))
        rows = {way: np.concatenate([b[way] for b in blocks]) for way in blocks[0]}
        areas = rows.pop("auroc")
        resample = np.random.default_rng(seed)
        found[f"true enrichment {truth:g}"] = {
            "score_auroc": float(areas.mean()),
            "learned_enrichment": learned.value,
            "evidence": {f"{k:g}": v for k, v in learned.evidence.items()},
            **{
                way: summarise(r, resample, None if way == "flat" else rows["flat"])
                for way, r in rows.items()
            },
        }
        print(f"{name}: true enrichment {truth:g} done", flush=True)
    return found


def measure_refinement(panel: Panel, n: int, seed: int, kept: Path) -> dict[str, Any]:
    """Measure coverage and power by the number of causal variants, plain and refined."""
    if not kept.is_file():
        rng = np.random.default_rng([seed, 1_000])
        rows = []
        for _ in range(n):
            test = simulate(panel, 0.0, rng)
            plain = fm.fit_susie(test.locus, n_effects=N_EFFECTS)
            refined = fm.refine_susie(test.locus, plain)
            rows.append([
                measure(test.locus, fit, test.causal) for fit in (plain, refined)
            ])  # fmt: skip
            rows[-1].append(np.full(len(FIGURES), len(test.causal), dtype=np.float64))
        np.save(kept, np.array(rows))
    held = np.load(kept)
    found: dict[str, Any] = {"replicates": len(held)}
    for number in (1, 2, 3):
        own = held[held[:, 2, 0] == number]
        rng = np.random.default_rng(seed)
        found[f"{number} causal"] = {
            "replicates": len(own),
            **{
                way: {
                    f: summarise(own[:, k], rng)[f]["value"]
                    for f in ("coverage", "power")
                }
                for k, way in enumerate(("plain", "refined"))
            },
        }
    return found


def score_yeast(data: Path, work: Path) -> pd.DataFrame:
    """Score the region's alleles with the package itself, without a workspace."""
    out = work / "scores.tsv"
    if not out.is_file():
        yeast = data / "yeast"
        annotation = (
            yeast / "annotation" / "Saccharomyces_cerevisiae.R64-1-1.81.gff3.gz"
        )
        score_command(
            vcf=str(yeast / "variants" / "yeast12.norm.vcf.gz"),
            region=[CROSS_REGION],
            fasta=yeast / "genome" / "sacCer3.fa.gz",
            gff=annotation,
            out=str(out),
            workers=1,
        )
    frame = read_table(out)
    frame = frame[frame["status"] == "scored"]
    return frame.assign(prior_score=pd.to_numeric(frame["prior_score"]))


def make_panels(data: Path, work: Path) -> dict[str, Panel]:
    """Make the two panels that traits are simulated on."""
    scored = score_yeast(data, work)
    keys = (
        scored["chrom"]
        + ":"
        + scored["pos"]
        + ":"
        + scored["ref"]
        + ":"
        + scored["alt"]
    )
    score_of = dict(zip(keys, scored["prior_score"], strict=True))
    vcf = cyvcf2.VCF(
        str(data / "yeast" / "variants" / "yeast12.norm.vcf.gz"), samples=list(STRAINS)
    )
    order = [vcf.samples.index(s) for s in STRAINS]
    founders, positions, scores = [], [], []
    for record in vcf(CROSS_REGION):
        calls = np.asarray(record.genotype.array())[order, 0]
        name = f"{record.CHROM}:{record.POS}:{record.REF}:{record.ALT[0]}"
        is_snv = len(record.REF) == len(record.ALT[0]) == 1
        if (
            is_snv
            and (calls >= 0).all()
            and 0 < calls.sum() < len(order)
            and name in score_of
        ):
            founders.append(calls.astype(np.float64))
            positions.append(record.POS)
            scores.append(score_of[name])
    strains, place = np.array(founders).T, np.array(positions)
    rng = np.random.default_rng(SEED)
    lines = np.empty((LINES, len(place)))
    rate = MORGANS_A_BP * GENERATIONS
    for line in range(LINES):
        breaks = np.cumsum(rng.exponential(1 / rate, int(place[-1] * rate * 3) + 20))
        parent = rng.integers(len(STRAINS), size=len(breaks) + 1)
        lines[line] = strains[
            parent[np.searchsorted(breaks, place)], np.arange(len(place))
        ]
    held = read_r(data / "benchmarks" / "population" / "susie" / "N3finemapping.RData")
    x = np.asarray(held["N3finemapping"]["X"], float)
    # The file holds centred dosages; the lowest value of a variant is its 0 copies.
    x = np.round(x - x.min(axis=0))
    return {
        "n3": Panel(x, np.array(scores), "real genotypes (574 x 1,001, N3finemapping); scores "
                    "of neighbouring yeast SNVs in their order"),
        "yeast": Panel(lines, np.array(scores), f"{LINES} simulated haploid lines, "
                       f"{GENERATIONS} generations, of seven real strains; {len(place):,} real "
                       f"SNVs of {CROSS_REGION} with their own scores"),
    }  # fmt: skip


def main() -> None:
    """Run all parts and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument(
        "--cpu-seconds",
        type=float,
        default=np.inf,
        help="stop after so many; run again to go on",
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    n = options.replicates // (10 if options.quick else 1)
    began = time.perf_counter()
    budget = Budget(options.cpu_seconds)
    panels = make_panels(options.data, options.work)
    report: dict[str, Any] = {
        "what": "causal inference against printed estimates, other programs and known truth",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "machine": describe_machine(),
    }
    report["priors"], report["refinement"] = {}, {}
    for name, panel in panels.items():
        found = measure_priors(name, panel, n, SEED, options.work, budget)
        if found is None:
            print(NOT_FINISHED)
            sys.exit(3)
        report["priors"][name] = found
        if budget.is_spent():
            print(NOT_FINISHED)
            sys.exit(3)
        report["refinement"][name] = measure_refinement(
            panel, 2 * n, SEED, options.work / f"{name}-refinement-{2 * n}.npy"
        )
    report |= {
        "mendelian_randomisation": check_mendelian(options.data),
        "harmonisation": check_harmonisation(options.data),
        "structural_equations": check_equations(options.data),
        "fine_mapping": check_susie(options.data),
    }
    report["seconds"] = round(time.perf_counter() - began)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, default=lambda v: v.item()) + "\n"
    options.out.write_text(text.replace("NaN", "null"), encoding="utf-8")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
