"""``cisgraph causal``: Mendelian randomisation, colocalisation, fine-mapping, graphs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from scipy import stats

from data_registry.console import log, new_app, say, show_table, step_reporter
from data_registry.coordinates import parse_region
from data_registry.errors import InputError, MissingLayerError, NotIdentifiedError
from data_registry.parsing import Tally
from data_registry.row_faults import leave_out_rows
from data_registry.text_files import LINE, read_numbers, read_table
from data_registry.workspace import Workspace
from graph_builder.manifest import current_graph, write_text_atomically
from variant_effect.causal import causal_graph as cg
from variant_effect.causal import colocalisation as co
from variant_effect.causal import fine_mapping as fm
from variant_effect.causal import mendelian_randomisation as mr
from variant_effect.causal.linkage import read_ld, select_ld
from variant_effect.causal.panel_genotypes import (
    list_samples,
    read_genotypes,
    read_sample_table,
)
from variant_effect.causal.structural_equations import (
    bootstrap_effects,
    fit_equations,
    mediate,
)
from variant_effect.causal.summary_statistics import (
    STRANDS,
    Harmonised,
    Strand,
    SummaryStatistics,
    harmonise,
    left_out_table,
    read_summary_statistics,
)

Reals = NDArray[np.float64]

causal_app = new_app(
    "Causal inference. What the data cannot tell is refused, with the reason."
)

OutOption = Annotated[
    str, typer.Option("--out", "-o", help="Results go to OUT.tsv, OUT.json and others.")
]
StrandOption = Annotated[
    str,
    typer.Option(
        help="infer (palindromic variants by frequency), forward (both tables on the "
        "forward strand), drop (palindromic variants) or aligned (effects as they stand)."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Of all random choices.")]


# -- shared ------------------------------------------------------------------------------


def _pairs(options: Sequence[str], flag: str) -> dict[str, str]:
    found = {}
    for option in options:
        wanted, mark, given = option.partition("=")
        if not (mark and wanted and given):
            raise InputError(f"{flag} {option}: write it as NAME=COLUMN")
        found[wanted] = given
    return found


def _strand(text: str) -> Strand:
    for strand in STRANDS:
        if strand == text:
            return strand
    raise InputError(f"--strand {text}: give one of {', '.join(STRANDS)}")


def _counts(tally: Tally) -> dict[str, Any]:
    return {"read": tally.read, "kept": tally.kept, "left_out": dict(tally.left_out)}


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Turn numpy's numbers and arrays to JSON's, and what is not finite to null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(v) for v in value]
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value


def _write(
    out: str, table: pd.DataFrame, report: Mapping[str, Any], **tallies: Tally
) -> None:
    """Write ``OUT.tsv``, ``OUT.json`` and, where rows were left out, ``OUT.left_out.tsv``."""
    base = Path(out)
    base.parent.mkdir(parents=True, exist_ok=True)
    content = {**report, "accounting": {k: _counts(t) for k, t in tallies.items()}}
    written = {".tsv": table.to_csv(sep="\t", index=False, float_format="%.8g"),
               ".json": json.dumps(_plain(content), indent=1) + "\n"}  # fmt: skip
    lost = left_out_table(**tallies)
    if len(lost):
        written[".left_out.tsv"] = lost.to_csv(sep="\t", index=False)
    else:
        base.with_name(f"{base.name}.left_out.tsv").unlink(missing_ok=True)
    for end, text in written.items():
        write_text_atomically(base.with_name(base.name + end), text)
    for name, tally in tallies.items():
        reasons = ", ".join(f"{r} {n:,}" for r, n in sorted(tally.left_out.items()))
        say(f"{name}: {tally.read:,} rows = {tally.kept:,} used"
            + (f" + {tally.left_out.total():,} left out ({reasons})" if reasons else ""))  # fmt: skip
    log(f"written: {', '.join(base.name + end for end in written)} in {base.parent}")


def _combine(read: Tally, later: Tally) -> Tally:
    """Put together what reading a file left out and what came after."""
    return Tally(
        read.read, read.left_out + later.left_out, [*read.examples, *later.examples]
    )


def _number(value: float) -> str:
    return "" if not np.isfinite(value) else f"{value:.4g}"


# -- Mendelian randomisation -------------------------------------------------------------


@causal_app.command("mr")
def mendelian_randomisation(
    exposure: Annotated[Path, typer.Argument(help="Effects on the exposure: a table.")],
    outcome: Annotated[
        Path, typer.Argument(help="Effects on the outcome; may be the same file.")
    ],
    out: OutOption = "mr",
    exposure_column: Annotated[
        list[str] | None,
        typer.Option("--exposure-column", help="NAME=COLUMN, e.g. beta=ldlc."),
    ] = None,
    outcome_column: Annotated[
        list[str] | None,
        typer.Option("--outcome-column", help="The same for the outcome."),
    ] = None,
    strand: StrandOption = "infer",
    p_below: Annotated[
        float, typer.Option(help="Use variants with a smaller p for the exposure.")
    ] = 1.0,
    ld: Annotated[
        Path | None,
        typer.Option(help="r between the variants, for correlated instruments."),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another exposure: adds multivariable estimates. May repeat."
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(help="Of ratios in the median: 'first order' or 'second order'."),
    ] = "first order",
    draws: Annotated[int, typer.Option(min=100, help="Of the bootstraps.")] = 10_000,
    seed: SeedOption = 1,
) -> None:
    """Mendelian randomisation of two sets of summary statistics.

    Columns are found by their usual names (SNP, beta, se, effect_allele, other_allele, eaf,
    pval, samplesize, …). Methods that the data cannot carry are named with the reason.

    Example:

        cisgraph causal mr bmi.tsv chd.tsv --out results/bmi_chd

        cisgraph causal mr lipids.csv lipids.csv --exposure-column beta=ldlc
        --exposure-column se=ldlcse --outcome-column beta=chdlodds --outcome-column se=chdloddsse
    """
    if weights not in ("first order", "second order"):
        raise InputError(f"--weights {weights}: give 'first order' or 'second order'")
    is_one_file = exposure.resolve() == outcome.resolve()
    first = read_summary_statistics(
        exposure,
        _pairs(exposure_column or [], "--exposure-column"),
        name_rows=is_one_file,
    )
    second = read_summary_statistics(
        outcome, _pairs(outcome_column or [], "--outcome-column"), name_rows=is_one_file
    )
    for note in (*first.notes, *second.notes):
        log(note)
    first = _select(first, p_below)
    both = harmonise(first, second, "aligned" if is_one_file else _strand(strand))
    frame = both.frame
    matrix = None
    if ld is not None:
        matrix = select_ld(*read_ld(ld), frame["variant"].tolist())
    instruments = mr.Instruments(
        tuple(frame["variant"]),
        frame["exposure_beta"].to_numpy(np.float64),
        frame["exposure_se"].to_numpy(np.float64),
        frame["outcome_beta"].to_numpy(np.float64),
        frame["outcome_se"].to_numpy(np.float64),
        matrix,
    )
    strength = mr.instrument_strength(instruments)
    rng = np.random.default_rng(seed)
    order: mr.Weights = "first order" if weights == "first order" else "second order"
    methods: dict[str, Callable[[], mr.Estimate]] = {
        "IVW, random effects": lambda: mr.inverse_variance_weighted(instruments),
        "IVW, fixed effects": lambda: mr.inverse_variance_weighted(
            instruments, "fixed"
        ),
        "Egger": lambda: mr.egger(instruments),
        "weighted median": lambda: mr.weighted_median(
            instruments, rng, weights=order, draws=draws
        ),
        "weighted mode": lambda: mr.weighted_mode(
            instruments, rng, draws=min(draws, 1000)
        ),
        "profile score": lambda: mr.robust_profile_score(instruments),
    }
    estimates: list[mr.Estimate] = []
    not_run: dict[str, str] = {}
    for name, method in methods.items():
        try:
            estimates.append(method())
        except NotIdentifiedError as error:
            not_run[name] = str(error)
    checks: dict[str, Any] = {
        "f": {
            "mean": strength.f.mean(),
            "min": strength.f.min(),
            "n_weak": strength.n_weak,
        }
    }
    one_out: list[mr.Estimate] = []
    try:
        one_out = mr.leave_one_out(instruments)
        direction = mr.steiger_direction(
            instruments,
            *(frame[c].to_numpy(np.float64) for c in ("exposure_n", "outcome_n")),
        )
        checks["steiger"] = asdict(direction)
    except (NotIdentifiedError, InputError) as error:
        not_run["leave one out" if not one_out else "Steiger direction"] = str(error)
    tallies = {
        "exposure": _combine(first.tally, both.first),
        "outcome": _combine(second.tally, both.second),
    }
    if also:
        found, more = _several(both, second, [exposure, *also], _strand(strand), ld)
        estimates += found
        tallies |= more

    table = _estimates_table(estimates)
    report = {
        "exposure": str(exposure), "outcome": str(outcome), "strand": strand,
        "correlated": ld is not None, "seed": seed, "p_below": p_below,
        "estimates": [asdict(e) for e in estimates], "not_run": not_run, "checks": checks,
        "leave_one_out": [
            {"without": name, "estimate": e.estimate, "se": e.se, "p": e.p}
            for name, e in zip(instruments.variants, one_out, strict=False)
        ],
        "instruments": frame.drop(columns="outcome_sign").to_dict("records"),
    }  # fmt: skip
    show_table(
        f"{exposure.stem} on {outcome.stem}: {len(instruments)} instruments",
        ["method", "variants", "estimate", "se", "95 % interval", "p"],
        [[e.method, e.n_variants, _number(e.estimate), _number(e.se),
          f"{_number(e.low)} to {_number(e.high)}", _number(e.p)] for e in estimates],
    )  # fmt: skip
    _say_checks(estimates, checks, one_out, instruments)
    for name, why in not_run.items():
        say(f"not run: {name}: {why}")
    if ld is None and len(instruments) > 1:
        say("instruments are taken as independent; give --ld if they are not")
    _write(out, table, report, **tallies)


def _select(statistics: SummaryStatistics, p_below: float) -> SummaryStatistics:
    """Keep the variants with a small p for the exposure."""
    if p_below >= 1:
        return statistics
    frame = statistics.frame
    p = 2 * stats.norm.sf(np.abs(frame["beta"] / frame["se"]))
    tally = statistics.tally
    kept = leave_out_rows(
        tally,
        frame,
        pd.Series(p >= p_below, index=frame.index),
        "not_associated_with_exposure",
    )
    if kept.empty:
        raise NotIdentifiedError(
            f"no variant has p < {p_below:g} for the exposure: there is no instrument"
        )
    return SummaryStatistics(kept.reset_index(drop=True), tally, statistics.notes)


def _several(
    first: Harmonised,
    outcome: SummaryStatistics,
    exposures: Sequence[Path],
    strand: Strand,
    ld: Path | None,
) -> tuple[list[mr.Estimate], dict[str, Tally]]:
    """Estimate the direct effects of several exposures at the variants that all have."""
    frame = first.frame.set_index("variant")
    betas, errors = [frame["exposure_beta"]], [frame["exposure_se"]]
    tallies = {}
    like_first = SummaryStatistics(
        first.frame.rename(columns={"exposure_beta": "beta", "exposure_se": "se",
                                    "exposure_eaf": "eaf", "exposure_n": "n"})
        .assign(**{LINE: 0}), outcome.tally, (),
    )  # fmt: skip
    for path in exposures[1:]:
        other = read_summary_statistics(path)
        both = harmonise(like_first, other, strand)
        found = both.frame.set_index("variant")
        betas.append(found["outcome_beta"])
        errors.append(found["outcome_se"])
        tallies[path.stem] = _combine(other.tally, both.second)
    beta = pd.concat(betas, axis=1, join="inner")
    frame = frame.loc[beta.index]
    matrix = None if ld is None else select_ld(*read_ld(ld), list(beta.index))
    estimates = mr.multivariable(
        [path.stem for path in exposures], beta.to_numpy(np.float64),
        pd.concat(errors, axis=1, join="inner").loc[beta.index].to_numpy(np.float64),
        frame["outcome_beta"].to_numpy(np.float64), frame["outcome_se"].to_numpy(np.float64),
        matrix,
    )  # fmt: skip
    return estimates, tallies


def _estimates_table(estimates: Sequence[mr.Estimate]) -> pd.DataFrame:
    details = sorted({name for e in estimates for name in e.details})
    return pd.DataFrame([
        {"method": e.method, "n_variants": e.n_variants, "estimate": e.estimate, "se": e.se,
         "low": e.low, "high": e.high, "p": e.p,
         **{name: e.details.get(name, np.nan) for name in details}}
        for e in estimates
    ])  # fmt: skip


def _say_checks(
    estimates: Sequence[mr.Estimate],
    checks: Mapping[str, Any],
    one_out: Sequence[mr.Estimate],
    instruments: mr.Instruments,
) -> None:
    f = checks["f"]
    say(
        f"strength: mean F {f['mean']:.1f}, least {f['min']:.1f}, {f['n_weak']} weak (F < 10)"
    )
    for e in estimates:
        d = e.details
        if e.method.startswith("IVW, random") and "q_p" in d:
            say(f"heterogeneity: Q {d['q']:.1f} on {d['q_freedom']:.0f}, p {_number(d['q_p'])}, "
                f"I2 {100 * d['i2']:.0f} %")  # fmt: skip
        if e.method == "Egger":
            say(f"Egger intercept {_number(d['intercept'])} ({_number(d['intercept_se'])}), "
                f"p {_number(d['intercept_p'])}; I2_GX {d['i2_gx']:.2f}"
                + (": the slope is diluted" if d["i2_gx"] < 0.9 else ""))  # fmt: skip
        if "conditional_f" in d:
            say(f"{e.method}: conditional F {d['conditional_f']:.1f}"
                + (" (weak: not told from the other exposures)" if d["conditional_f"] < mr.WEAK_F
                   else ""))  # fmt: skip
    if one_out:
        values = np.array([e.estimate for e in one_out])
        low, high = int(values.argmin()), int(values.argmax())
        say(f"leave one out: {_number(values[low])} (without {instruments.variants[low]}) to "
            f"{_number(values[high])} (without {instruments.variants[high]})")  # fmt: skip
    if "steiger" in checks:
        s = checks["steiger"]
        way = "exposure to outcome" if s["is_forward"] else "OUTCOME TO EXPOSURE"
        say(f"Steiger: {way}, p {_number(s['p'])} (r2 {_number(s['exposure_r2'])} and "
            f"{_number(s['outcome_r2'])})")  # fmt: skip


# -- colocalisation ----------------------------------------------------------------------


@causal_app.command("coloc")
def colocalise(
    first: Annotated[
        Path, typer.Argument(help="Effects on the first trait at the locus.")
    ],
    second: Annotated[Path, typer.Argument(help="Effects on the second trait.")],
    out: OutOption = "coloc",
    strand: StrandOption = "infer",
    ld: Annotated[
        Path | None,
        typer.Option(
            help="r between the variants: several effects a trait, through SuSiE."
        ),
    ] = None,
    n: Annotated[
        list[float] | None,
        typer.Option(
            "--n", help="Sample sizes, first then second, where no column has them."
        ),
    ] = None,
    sd: Annotated[
        list[float] | None,
        typer.Option("--sd", help="The traits' standard deviations; else estimated."),
    ] = None,
    binary: Annotated[
        list[str] | None,
        typer.Option(help="'first' or 'second': its effects are log odds ratios."),
    ] = None,
    p1: Annotated[
        float, typer.Option(help="Prior of a variant for the first trait.")
    ] = 1e-4,
    p2: Annotated[float, typer.Option(help="For the second.")] = 1e-4,
    p12: Annotated[float, typer.Option(help="For both.")] = 1e-5,
) -> None:
    """Do two traits share a causal variant? Posterior of five hypotheses.

    Give all variants of the locus, not only significant ones.

    Example:

        cisgraph causal coloc eqtl.tsv gwas.tsv --ld ld.tsv --n 500 --n 40000 --out locus
    """
    for name in binary or []:
        if name not in ("first", "second"):
            raise InputError(f"--binary {name}: give first or second")
    read = [read_summary_statistics(path) for path in (first, second)]
    both = harmonise(read[0], read[1], _strand(strand))
    frame = both.frame
    priors = co.Priors(p1, p2, p12)
    variants = frame["variant"].tolist()
    matrix = None if ld is None else select_ld(*read_ld(ld), variants)
    log_bfs, zs = [], []
    for i, side in enumerate(("exposure", "outcome")):
        beta, se, freq = (
            frame[f"{side}_{c}"].to_numpy(np.float64) for c in ("beta", "se", "eaf")
        )
        size = frame[f"{side}_n"].to_numpy(np.float64)
        if n is not None and len(n) > i:
            size = np.full(len(frame), n[i])
        if ("first", "second")[i] in (binary or []):
            prior_sd = co.PRIOR_SD_BINARY
        else:
            trait_sd = (
                sd[i] if sd and len(sd) > i else co.estimate_trait_sd(se, freq, size)
            )
            prior_sd = co.PRIOR_SD_QUANTITATIVE * trait_sd
        log_bfs.append(co.approximate_bayes_factors(beta, se, prior_sd))
        zs.append(
            (
                beta / se,
                float(np.nanmedian(size)) if np.isfinite(size).any() else np.nan,
            )
        )
    single = co.colocalise(log_bfs[0], log_bfs[1], priors, matrix)
    results = [("one effect a trait", single)]
    not_run = {}
    if matrix is not None:
        try:
            results += _coloc_by_susie(zs, matrix, priors)
        except (NotIdentifiedError, InputError) as error:
            not_run["several effects a trait"] = str(error)
    table = pd.DataFrame([
        {"analysis": name,
         **{f"p_{h.replace(' ', '_')}": p
            for h, p in zip(co.HYPOTHESES, r.posterior, strict=True)},
         "first_best": variants[r.first_best], "second_best": variants[r.second_best],
         "r2": r.r2, "best_shared": variants[int(r.shared.argmax())],
         "p_best_shared": float(r.shared.max()), "verdict": r.verdict}
        for name, r in results
    ])  # fmt: skip
    report = {
        "first": str(first), "second": str(second), "priors": asdict(priors),
        "n_variants": len(variants), "results": table.to_dict("records"),
        "not_run": not_run,
        "sensitivity": [
            {"p12": v, "p_shared": p} for v, p in co.sensitivity(log_bfs[0], log_bfs[1], priors)
        ],
        "shared_by_variant": dict(zip(variants, single.shared, strict=True)),
    }  # fmt: skip
    show_table(
        f"colocalisation at {len(variants)} variants",
        ["analysis", *co.HYPOTHESES, "best of each", "verdict"],
        [[name, *(f"{p:.3f}" for p in r.posterior),
          f"{variants[r.first_best]}, {variants[r.second_best]}", r.verdict]
         for name, r in results],
    )  # fmt: skip
    for name, why in not_run.items():
        say(f"not run: {name}: {why}")
    _write(
        out, table, report, first=_combine(read[0].tally, both.first),
        second=_combine(read[1].tally, both.second),
    )  # fmt: skip


def _coloc_by_susie(
    zs: Sequence[tuple[Reals, float]], ld: Reals, priors: co.Priors
) -> list[tuple[str, co.Colocalisation]]:
    one, two = (fm.locus_from_summary(z, ld, n) for z, n in zs)
    found = co.colocalise_effects(
        (one, two), (fm.fit_susie(one), fm.fit_susie(two)), priors
    )
    return [
        (
            f"effect {(r.first_effect or 0) + 1} and effect {(r.second_effect or 0) + 1}",
            r,
        )
        for r in found
    ]


# -- fine-mapping ------------------------------------------------------------------------


@causal_app.command("finemap")
def fine_map(
    summary: Annotated[
        Path | None,
        typer.Option(help="Effects or z-scores of a locus; needs --ld and --n."),
    ] = None,
    ld: Annotated[Path | None, typer.Option(help="r between the variants.")] = None,
    n: Annotated[float, typer.Option("--n", help="Samples behind --summary.")] = 0.0,
    vcf: Annotated[
        Path | None, typer.Option(help="A panel; needs --region and --trait.")
    ] = None,
    region: Annotated[str, typer.Option(help="contig:start-end, 1-based.")] = "",
    trait: Annotated[Path | None, typer.Option(help="Table: sample, value.")] = None,
    covariates: Annotated[
        Path | None, typer.Option(help="Table: sample, batch, principal components, …")
    ] = None,
    min_maf: Annotated[float, typer.Option(help="Leave rarer alleles out.")] = 0.01,
    max_missing: Annotated[
        float, typer.Option(help="Leave alleles with more missing calls out.")
    ] = 0.2,
    scores: Annotated[
        Path | None, typer.Option(help="Output of cisgraph score: prior weights.")
    ] = None,
    score_column: Annotated[
        str, typer.Option(help="Which of its columns.")
    ] = "prior_score",
    enrichment: Annotated[
        str,
        typer.Option(
            help="Log-odds a unit of score, or 'learn' (from this locus alone)."
        ),
    ] = "learn",
    effects: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
    coverage: Annotated[float, typer.Option(min=0.01, max=0.9999)] = fm.COVERAGE,
    refine: Annotated[
        bool, typer.Option(help="Look for better optima: a few times slower.")
    ] = True,
    out: OutOption = "finemap",
) -> None:
    """Fine-map a locus by SuSiE: credible sets and inclusion probabilities.

    From summary statistics and LD, or from genotypes and a trait.

    Example:

        cisgraph causal finemap --summary locus.tsv --ld ld.tsv --n 574 --out locus

        cisgraph causal finemap --vcf panel.vcf.gz --region 3:1-5000 --trait height.tsv
        --covariates pcs.tsv --scores scores.tsv
    """
    tallies: dict[str, Tally]
    notes: list[str] = []
    if summary is not None and vcf is None:
        if ld is None:
            raise InputError("--summary needs --ld, and --n")
        variants, locus, tallies = _locus_of_summary(summary, ld, n, notes)
    elif vcf is not None and summary is None and trait is not None and region:
        variants, locus, tallies = _locus_of_panel(
            vcf, region, trait, covariates, min_maf, max_missing
        )
    else:
        raise InputError("give --summary, --ld and --n; or --vcf, --region and --trait")
    weights, learned = None, None
    if scores is not None:
        score = _scores_of(scores, score_column, variants, notes)
        if enrichment == "learn":
            learned = fm.learn_enrichment([locus], [score], n_effects=effects)
            value = learned.value
        else:
            try:
                value = float(enrichment)
            except ValueError:
                raise InputError(
                    f"--enrichment {enrichment}: a number or 'learn'"
                ) from None
        weights = fm.weigh_by_score(score, value)
        notes.append(f"prior weights exp({value:.3g} x {score_column})")
    with step_reporter("fine-mapping") as on_step:
        on_step(f"{len(variants):,} variants")
        fit = fm.fit_susie(locus, n_effects=effects, prior_weights=weights)
        if refine:
            fit = fm.refine_susie(locus, fit)
    sets = fm.credible_sets(locus, fit, coverage=coverage)
    member = np.zeros(len(variants), dtype=int)
    for number, found in reversed(list(enumerate(sets, start=1))):
        member[found.variants] = number
    table = pd.DataFrame({
        "variant": variants, "z": locus.z, "pip": fit.pip, "credible_set": member,
        "prior": fit.prior_weights,
    }).sort_values("pip", ascending=False, kind="stable")  # fmt: skip
    report = {
        "n_samples": locus.n, "n_variants": len(variants), "converged": fit.converged,
        "elbo": fit.elbo[-1], "coverage": coverage, "notes": notes,
        "enrichment": None if learned is None else asdict(learned),
        "credible_sets": [
            {"credible_set": i, "variants": [variants[v] for v in s.variants],
             "coverage": s.coverage, "purity": s.purity, "log10_bf": s.log10_bf,
             "inseparable": [variants[v] for v in s.inseparable], "verdict": s.verdict}
            for i, s in enumerate(sets, start=1)
        ],
    }  # fmt: skip
    show_table(
        f"{len(sets)} credible sets of {len(variants):,} variants, {locus.n:,} samples",
        ["set", "variants", "most probable", "pip", "coverage", "purity", "log10 BF", "verdict"],
        [[i, len(s.variants), variants[s.variants[0]], f"{fit.pip[s.variants[0]]:.3f}",
          f"{s.coverage:.3f}", f"{s.purity:.2f}", f"{s.log10_bf:.1f}", s.verdict]
         for i, s in enumerate(sets, start=1)],
    )  # fmt: skip
    if not sets:
        say("no credible set: these data place no effect")
    for note in notes:
        say(note)
    if not fit.converged:
        say("the fit did not settle: results are not final")
    _write(out, table, report, **tallies)


def _locus_of_summary(
    path: Path, ld: Path, n: float, notes: list[str]
) -> tuple[list[str], fm.Locus, dict[str, Tally]]:
    statistics = read_summary_statistics(path, takes_z=True)
    frame, tally = statistics.frame, statistics.tally
    names, matrix = read_ld(ld)
    frame = leave_out_rows(
        tally, frame, ~frame["variant"].isin(names), "not_in_ld_matrix"
    )
    if frame.empty:
        raise InputError(f"{ld} has none of the variants of {path}")
    if not n:
        if frame["n"].isna().all():
            raise InputError(f"{path} has no sample sizes: give --n")
        n = float(frame["n"].median())
    z = (frame["beta"] / frame["se"]).to_numpy(np.float64)
    variants = frame["variant"].tolist()
    chosen = select_ld(names, matrix, variants)
    locus = fm.locus_from_summary(z, chosen, n)
    if len(z) > _MAX_CHECKED:
        notes.append(
            f"more than {_MAX_CHECKED:,} variants: z-scores not checked against the LD"
        )
        return variants, locus, {"summary": tally}
    check = fm.check_consistency(z, chosen)
    if len(check.flipped):
        some = ", ".join(variants[i] for i in check.flipped[:5])
        notes.append(
            f"{len(check.flipped)} z-scores fit the LD only with the other sign (swapped "
            f"alleles?): {some}. Sets that hold them are not to be trusted"
        )
    if check.mismatch > 0.1:
        notes.append(
            f"z-scores and LD disagree (mismatch {check.mismatch:.2f}): LD of another "
            "population?"
        )
    return variants, locus, {"summary": tally}


_MAX_CHECKED = 3_000
"""Variants of a locus; the check takes the cube of it."""


def _locus_of_panel(
    vcf: Path,
    region: str,
    trait: Path,
    covariates: Path | None,
    min_maf: float,
    max_missing: float,
) -> tuple[list[str], fm.Locus, dict[str, Tally]]:
    values = read_sample_table(trait)
    tally = Tally(read=len(values))
    known = values.iloc[:, 0].notna()
    for name in values.index[~known]:
        tally.leave_out("no_trait_value", text=str(name))
    genotyped = values.index.isin(list_samples(vcf))
    for name in values.index[known & ~genotyped]:
        tally.leave_out("not_in_panel", text=str(name))
    table = values[known & genotyped].iloc[:, [0]]
    if covariates is not None:
        extra = read_sample_table(covariates)
        complete = table.index.isin(extra.dropna().index)
        for name in table.index[~complete]:
            tally.leave_out("no_covariates", text=str(name))
        table = table[complete].join(extra, rsuffix="_covariate")
    if len(table) < 10:
        raise NotIdentifiedError(f"{len(table)} samples have all values: too few")
    genotypes = read_genotypes(
        vcf, parse_region(region), table.index.tolist(), min_maf=min_maf,
        max_missing=max_missing,
    )  # fmt: skip
    numbers = table.to_numpy(np.float64)
    locus = fm.locus_from_genotypes(
        genotypes.dosages,
        numbers[:, 0],
        numbers[:, 1:] if numbers.shape[1] > 1 else None,
    )
    return (
        list(genotypes.variants),
        locus,
        {"samples": tally, "alleles": genotypes.tally},
    )


def _scores_of(
    path: Path, column: str, variants: Sequence[str], notes: list[str]
) -> Reals:
    frame = read_table(path)
    if lacking := [c for c in ("chrom", "pos", "ref", "alt", column) if c not in frame]:
        raise InputError(
            f"{path} has no column {lacking[0]!r}: give the output of score"
        )
    keys = frame["chrom"] + ":" + frame["pos"] + ":" + frame["ref"] + ":" + frame["alt"]
    values = dict(zip(keys, read_numbers(frame[column]), strict=True))
    score = np.array([values.get(v, np.nan) for v in variants], dtype=np.float64)
    n_known = int(np.isfinite(score).sum())
    notes.append(
        f"{n_known:,} of {len(variants):,} variants have a {column}; the others take the mean"
    )
    return score


# -- mediation and graphs ----------------------------------------------------------------


@causal_app.command("mediate")
def mediation(
    data: Annotated[Path, typer.Argument(help="A column a quantity, a row a sample.")],
    treatment: Annotated[str, typer.Option(help="Column of the cause, e.g. dosage.")],
    outcome: Annotated[str, typer.Option(help="Column of the phenotype.")],
    mediator: Annotated[str, typer.Option(help="Column of the expression.")] = "",
    adjust: Annotated[
        list[str] | None,
        typer.Option(help="A measured common cause (structure, batch). May repeat."),
    ] = None,
    hidden: Annotated[
        list[str] | None,
        typer.Option(
            help="A,B: these two share a cause that was not measured. May repeat."
        ),
    ] = None,
    graph: Annotated[
        Path | None, typer.Option(help="Edges (source, target) in place of the above.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Structural equations in lavaan's syntax (needs semopy)."),
    ] = None,
    cluster: Annotated[
        str, typer.Option(help="Column of families: resampled whole.")
    ] = "",
    draws: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 2_000,
    seed: SeedOption = 1,
    out: OutOption = "mediation",
) -> None:
    """Direct, indirect and total effect, with bootstrap intervals.

    The causal graph is asked first: where it does not identify the effects, nothing is
    estimated.

    Example:

        cisgraph causal mediate lines.tsv --treatment dosage --mediator expression
        --outcome height --adjust pc1 --adjust batch
    """
    table = cg.read_data(data)
    if cluster and cluster not in table:
        # Families have names, so they are read as text.
        table[cluster] = read_table(data)[cluster].to_numpy()
    rng = np.random.default_rng(seed)
    if model is not None:
        text = model.read_text(encoding="utf-8")
        fitted = fit_equations(text, table)
        effects = bootstrap_effects(
            text,
            table,
            [(treatment, outcome)],
            rng,
            draws=min(draws, 500),
            cluster=cluster,
        )
        report: dict[str, Any] = {
            "n": fitted.n, "fit": dict(fitted.fit),
            "parameters": fitted.parameters.to_dict("records"),
        }  # fmt: skip
        say(f"chi2 {fitted.fit['chi2']:.2f} on {fitted.fit['freedom']:.0f}, "
            f"p {_number(fitted.fit['p'])}, CFI {fitted.fit['cfi']:.3f}")  # fmt: skip
        tally = Tally(read=len(table))
        tally.leave_out("missing_value", n=len(table) - fitted.n)
    else:
        if not mediator:
            raise InputError("give --mediator, or --model with structural equations")
        held = _mediation_graph(
            treatment, mediator, outcome, adjust or [], hidden or []
        )
        found = mediate(
            held if graph is None else cg.read_edges(graph), table, treatment, mediator,
            outcome, rng, draws=draws, cluster=cluster,
        )  # fmt: skip
        effects = list(found.effects)
        report = {
            "n": found.n, "adjusted_for": found.adjust, "mediator": mediator,
            "proportion_mediated": found.proportion,
        }  # fmt: skip
        say(f"adjusted for: {', '.join(found.adjust) or 'nothing'}; mediated: "
            f"{100 * found.proportion:.0f} %" if np.isfinite(found.proportion)
            else "direct and indirect effect differ in sign: no share is given")  # fmt: skip
        tally = Tally(read=len(table))
        tally.leave_out("missing_value", n=found.n_incomplete)
    tally.left_out = +tally.left_out
    show_table(
        f"{treatment} on {outcome}: {report['n']:,} rows",
        ["effect", "estimate", "se", "95 % interval"],
        [[e.kind, _number(e.estimate), _number(e.se),
          f"{_number(e.low)} to {_number(e.high)}"] for e in effects],
    )  # fmt: skip
    _write(
        out, pd.DataFrame([asdict(e) for e in effects]),
        {**report, "effects": [asdict(e) for e in effects], "seed": seed}, data=tally,
    )  # fmt: skip


def _mediation_graph(
    treatment: str,
    mediator: str,
    outcome: str,
    adjust: Sequence[str],
    hidden: Sequence[str],
) -> cg.CausalGraph:
    nodes = [cg.Node(treatment, "variant"), cg.Node(mediator, "expression"),
             cg.Node(outcome, "phenotype"), *(cg.Node(a, "confounder") for a in adjust)]  # fmt: skip
    edges = [cg.Edge(treatment, mediator), cg.Edge(mediator, outcome),
             cg.Edge(treatment, outcome)]  # fmt: skip
    edges += [
        cg.Edge(a, name) for a in adjust for name in (treatment, mediator, outcome)
    ]
    for number, pair in enumerate(hidden, start=1):
        name = f"U_{number}"
        ends = [part.strip() for part in pair.split(",")]
        if len(ends) != 2:
            raise InputError(f"--hidden {pair}: name two columns, as A,B")
        nodes.append(cg.Node(name, "confounder", observed=False))
        edges += [cg.Edge(name, end) for end in ends]
    return cg.CausalGraph(tuple(nodes), tuple(edges))


@causal_app.command("graph")
def graph_command(
    edges: Annotated[
        Path | None,
        typer.Argument(help="Table: source, target; a name with * was not measured."),
    ] = None,
    workspace: Annotated[
        str,
        typer.Option(
            "--workspace", "-w", help="Take the graph of a variant from here."
        ),
    ] = "",
    variant: Annotated[
        str, typer.Option(help="chrX:pos:ref:alt, with --workspace.")
    ] = "",
    treatment: Annotated[str, typer.Option(help="Is its effect identified?")] = "",
    outcome: Annotated[str, typer.Option(help="On what.")] = "",
    data: Annotated[
        Path | None, typer.Option(help="A column a node: tests the graph, estimates.")
    ] = None,
    dowhy: Annotated[
        bool, typer.Option(help="Also ask DoWhy, where installed.")
    ] = False,
    seed: SeedOption = 1,
    out: OutOption = "causal_graph",
) -> None:
    """Make, export, test and question a causal graph.

    Writes OUT.dot (Graphviz), OUT.graph.json (networkx node-link), OUT.tsv (edges, or the
    tests against --data) and OUT.json.

    Example:

        cisgraph causal graph edges.tsv --treatment expression --outcome height --data lines.tsv

        cisgraph causal graph -w demo/workspace --variant chr1:200874:A:G
    """
    if edges is not None and not workspace:
        graph = cg.read_edges(edges)
    elif workspace and variant and edges is None:
        folder = current_graph(Workspace(Path(workspace)).graph)
        if folder is None:
            raise MissingLayerError(
                f"{workspace} holds no graph; run 'cisgraph build -w {workspace}'"
            )
        graph = cg.knowledge_graph(folder, variant)
    else:
        raise InputError("give a table of edges, or --workspace and --variant")
    base = Path(out)
    base.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame([asdict(e) for e in graph.edges])
    report: dict[str, Any] = {
        "nodes": [asdict(n) for n in graph.nodes], "edges": [asdict(e) for e in graph.edges],
    }  # fmt: skip
    say(f"{len(graph.nodes)} nodes ({len(graph.nodes) - len(graph.observed)} not measured), "
        f"{len(graph.edges)} edges")  # fmt: skip
    frame = None if data is None else cg.read_data(data)
    if frame is not None:
        checks = cg.compare_with_data(graph, frame)
        table = pd.DataFrame([asdict(c) | {"given": ",".join(c.given)} for c in checks])
        report["checks"] = [asdict(c) for c in checks]
        show_table(
            "the graph against the data (partial correlations)",
            ["statement", "given", "r", "p"],
            [[f"{c.first} -> {c.second}" if c.kind == "edge"
              else f"{c.first} independent of {c.second}", ", ".join(c.given),
              f"{c.r:.3f}", _number(c.p)] for c in checks],
        )  # fmt: skip
    write_text_atomically(base.with_name(f"{base.name}.dot"), graph.to_dot())
    write_text_atomically(base.with_name(f"{base.name}.graph.json"), graph.to_json())
    log(f"written: {base.name}.dot, {base.name}.graph.json in {base.parent}")
    if treatment or outcome:
        ways = cg.identify(graph, treatment, outcome)
        report["identified_by"] = [asdict(w) | {"statement": w.statement} for w in ways]
        for way in ways:
            say(f"{way.strategy}: {way.statement}")
        if frame is not None:
            effect = cg.estimate_effect(
                graph, frame, treatment, outcome, np.random.default_rng(seed)
            )
            report["effect"] = asdict(effect)
            say(f"effect {_number(effect.estimate)} (95 % {_number(effect.low)} to "
                f"{_number(effect.high)}), {effect.n:,} rows, by {ways[0].strategy}")  # fmt: skip
            if dowhy:
                say(cg.identify_with_dowhy(graph, frame, treatment, outcome))
    _write(out, table, report)
