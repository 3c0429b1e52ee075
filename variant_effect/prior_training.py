"""Fitting the combined score on a workspace's own panel.

Observed are the SNVs that a registered panel (or one group of it) carries. Simulated ones
are drawn at sites where the panel could have shown one, as many a contig and a
trinucleotide change (both strands as one) as are observed, times ``per_observed``, among
the changes that the panel does not carry.

A site is eligible between two neighbouring records that lie close together and where most
of the panel is called: a panel lists differences only, and long stretches without any are
more likely unseen than constant.

What could leak, and what is done about it:

* frequencies are what is learned from, so no feature reads them;
* conservation and polarity are taken from outgroups alone (``combined.gather``);
* a language model has seen the chromosomes it was trained on, and perhaps the panel's own
  alleles there; its weight is learned on contigs it was held out from;
* every figure is of SNVs on contigs that neither weights nor calibration saw.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from data_registry.errors import InputError, MissingLayerError
from data_registry.genome import Genome
from data_registry.store import Store
from data_registry.workspace import write_folder
from encoders.nucleotides import decode, encode
from variant_effect.alleles import STATUSES, AlleleTable, read_alleles
from variant_effect.combined import (
    BLOCKS,
    LANGUAGE,
    MODEL_FILE,
    Combined,
    Evidence,
    Fitted,
    auroc,
    calibrate,
    calibration_error,
    cross_fit,
    folds_of,
    gather,
    left_out_log_odds,
    reliability,
)
from variant_effect.hgvs import describe
from variant_effect.preparation import Prepared
from variant_effect.run import Choices, Engine, core_columns
from variant_effect.scorers.prior import (
    PriorScorer,
    hand_set_logit,
    hand_set_score,
    model_file,
    open_relatives,
    snvs,
)
from variant_effect.substitutions import codon_usage
from variant_effect.trained_models import CONFIG, find_model

Codes = NDArray[np.uint8]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]

READ = frozenset({"markov", "motif", "regulatory", "conservation", "language"})
"""Scorers whose columns the model reads."""
MAX_OBSERVED = 40_000
PER_OBSERVED = 2
MIN_CALLED = 0.8
"""Share of the panel's alleles that must be called at a record."""
GAP_IN_MEDIANS = 20
"""Records further apart than this many median distances leave a hole between them."""
SEED = 20_260_321
CARD_FILE = "card.md"

_MIN_OBSERVED = 200
_AT_ONCE = 20_000
_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the caller asked for.

    Parameters
    ----------
    panel
        A registered panel; '' for the only one.
    group
        A group of its samples; '' for all.
    max_observed
        More observed SNVs are thinned at random.
    per_observed
        Simulated SNVs an observed one.
    language_everywhere
        Read the language model on contigs that it was trained on too.
    """

    panel: str = ""
    group: str = ""
    max_observed: int = MAX_OBSERVED
    per_observed: int = PER_OBSERVED
    language_everywhere: bool = False
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class Sample:
    """Observed and simulated SNVs with their evidence.

    Parameters
    ----------
    contig, start, simulated
        ``(n,)``; 0-based.
    by_hand
        Hand-set score without rarity, ``(n,)``.
    """

    contig: NDArray[np.object_]
    start: Places
    simulated: Flags
    by_hand: NDArray[np.float64]
    evidence: Evidence

    def take(self, rows: Flags) -> "Sample":
        """Return some of the SNVs."""
        return Sample(
            self.contig[rows], self.start[rows], self.simulated[rows],
            self.by_hand[rows], self.evidence.take(rows),
        )  # fmt: skip

    def frame(self) -> pd.DataFrame:
        """Return the SNVs as a table that the graph model learns from.

        Returns
        -------
        pandas.DataFrame
            ``contig``, ``start``, ``end`` (0-based half-open), ``label`` (1 simulated, 0
            observed), then the evidence.
        """
        keys = pd.DataFrame({
            "contig": self.contig, "start": self.start, "end": self.start + 1,
            "label": self.simulated.astype(float),
        })  # fmt: skip
        return pd.concat([keys, pd.DataFrame(self.evidence.columns)], axis=1)


# -- observed and simulated --------------------------------------------------------------


def choose_panel(connection: duckdb.DuckDBPyConnection, recipe: Recipe) -> Recipe:
    """Return the recipe with the panel's name filled in.

    Raises
    ------
    MissingLayerError
        No panel is registered.
    InputError
        There are several and none is named, or there is no such panel or group.
    """
    held: dict[str, set[str]] = {}
    for panel, group in connection.execute(
        "SELECT DISTINCT panel, group_name FROM panel_frequencies ORDER BY ALL"
    ).fetchall():
        held.setdefault(panel, set()).add(group)
    if not held:
        raise MissingLayerError(
            "the prior is fitted on a panel's variants, and no genotype panel is "
            "registered; 'cisgraph add PANEL.vcf.gz' adds one"
        )
    if not recipe.panel and len(held) > 1:
        raise InputError(f"name one of the panels with --panel: {', '.join(held)}")
    panel = recipe.panel or next(iter(held))
    if panel not in held:
        raise InputError(
            f"no panel {panel!r} is registered; there is: {', '.join(held)}"
        )
    if recipe.group not in held[panel]:
        groups = ", ".join(sorted(held[panel] - {""})) or "none"
        raise InputError(
            f"panel {panel} has no group {recipe.group!r}; there is: {groups}"
        )
    return replace(recipe, panel=panel)


def draw(
    connection: duckdb.DuckDBPyConnection, genome: Genome, recipe: Recipe
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return observed and simulated SNVs of a panel, and counts of all that were met.

    Returns
    -------
    pandas.DataFrame
        ``contig start ref alt simulated``, sorted; alleles as letters, 0-based.

    Raises
    ------
    InputError
        There are too few observed SNVs.
    """
    rng = np.random.default_rng(recipe.seed)
    counts: Counter[str] = Counter()
    observed, spaces = [], {}
    for contig in genome:
        records = connection.execute(
            "SELECT start, ref, alt, ac, an FROM panel_frequencies WHERE panel = ? AND "
            "group_name = ? AND contig = ? AND an IS NOT NULL ORDER BY start, ref, alt",
            [recipe.panel, recipe.group, contig],
        ).df()
        if not len(records):
            continue
        codes = encode(genome.contig(contig))
        found = _of_contig(records, codes, counts)
        spaces[contig] = (codes, _eligible(records, codes), found)
        observed.append(found.assign(contig=contig))
    table = pd.concat(observed, ignore_index=True) if observed else pd.DataFrame()
    counts["observed"] = len(table)
    if len(table) < _MIN_OBSERVED:
        raise InputError(
            f"panel {recipe.panel} shows {len(table)} SNVs at sites that can be used; at "
            f"least {_MIN_OBSERVED} are needed to fit ({dict(counts)})"
        )
    if len(table) > recipe.max_observed:
        kept = np.sort(rng.choice(len(table), recipe.max_observed, replace=False))
        table = table.iloc[kept].reset_index(drop=True)
    counts["observed_used"] = len(table)
    parts = [table.assign(simulated=False)]
    for contig, (codes, eligible, everything) in spaces.items():
        counts["eligible_sites"] += int(eligible.sum())
        mine = table[table["contig"] == contig]
        made = _simulate(mine, everything, codes, eligible, recipe.per_observed, rng)
        counts["simulated"] += len(made)
        counts["simulated_short_of"] += recipe.per_observed * len(mine) - len(made)
        parts.append(made.assign(contig=contig, simulated=True))
    joined = pd.concat(parts, ignore_index=True).sort_values(
        ["contig", "start", "alt", "simulated"], kind="stable", ignore_index=True
    )
    for name in ("ref", "alt"):
        joined[name] = list(decode(joined[name].to_numpy(np.uint8)))
    return joined, dict(counts)


def _of_contig(
    records: pd.DataFrame, codes: Codes, counts: Counter[str]
) -> pd.DataFrame:
    """Return a contig's observed SNVs as codes, counting what is left out."""
    counts["records"] += len(records)
    carried = records["ac"].fillna(0) > 0
    single = (records["ref"].str.len() == 1) & (records["alt"].str.len() == 1)
    called = records["an"] >= MIN_CALLED * records["an"].max()
    counts["not_carried"] += int((~carried).sum())
    counts["not_a_single_base"] += int((carried & ~single).sum())
    counts["too_few_called"] += int((carried & single & ~called).sum())
    found = records[carried & single & called]
    start = found["start"].to_numpy(np.int64)
    ref, alt = (encode("".join(found[name])) for name in ("ref", "alt"))
    whole = changes_of(codes, start, alt) >= 0
    right = whole & (codes[start] == ref)
    counts["ref_mismatch_or_unknown_base"] += int((~right).sum())
    return pd.DataFrame({"start": start[right], "ref": ref[right], "alt": alt[right]})


def _eligible(records: pd.DataFrame, codes: Codes) -> Flags:
    """Return the sites between neighbouring, well called records, ``(length,)``."""
    called = records["an"] >= MIN_CALLED * records["an"].max()
    at = np.unique(records.loc[called, "start"].to_numpy(np.int64))
    eligible = np.zeros(len(codes), dtype=bool)
    if len(at) < 2:
        return eligible
    gaps = np.diff(at)
    short = gaps <= GAP_IN_MEDIANS * max(float(np.median(gaps)), 1.0)
    edge = np.zeros(len(codes) + 1, dtype=np.int32)
    np.add.at(edge, at[:-1][short], 1)
    np.add.at(edge, at[1:][short] + 1, -1)
    return (np.cumsum(edge[:-1]) > 0) & (codes < 4)


def changes_of(codes: Codes, start: Places, alt: Codes) -> Places:
    """Number SNVs by change and neighbouring bases, both strands as one: 0-95.

    -1 where a base or neighbour is unknown, or nothing changes.
    """
    padded = np.concatenate([[4], codes, [4]]).astype(np.int64)
    before, here, after = (padded[start + i] for i in range(3))
    to = alt.astype(np.int64)
    known = (np.maximum(np.maximum(before, here), after) < 4) & (to < 4) & (here != to)
    turned = here % 2 == 0  # A and G: read the other strand, where they are T and C
    left, right = (
        np.where(turned, 3 - after, before),
        np.where(turned, 3 - before, after),
    )
    ref, new = np.where(turned, 3 - here, here), np.where(turned, 3 - to, to)
    change = np.where(ref == 1, new - (new > 1), 3 + new)
    found: Places = np.where(known, (change * 4 + left) * 4 + right, -1)
    return found


def _simulate(
    observed: pd.DataFrame,
    everything: pd.DataFrame,
    codes: Codes,
    eligible: Flags,
    per_observed: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw unobserved SNVs of a contig, evenly within each change, without repeats."""
    columns = ["start", "ref", "alt"]
    wanted = per_observed * np.bincount(
        changes_of(codes, observed["start"].to_numpy(), observed["alt"].to_numpy()),
        minlength=96,
    )
    sites = np.flatnonzero(eligible)
    if not len(sites) or not wanted.any():
        return pd.DataFrame(columns=columns)
    taken = np.sort(everything["start"].to_numpy() * 4 + everything["alt"].to_numpy())
    chosen = np.zeros(0, dtype=np.int64)
    for _ in range(_ROUNDS):
        have = np.bincount(
            changes_of(codes, chosen // 4, (chosen % 4).astype(np.uint8)), minlength=96
        )
        if (have >= wanted).all():
            break
        n = int(4 * (wanted - have).clip(0).sum()) + 1_000
        keys = rng.choice(sites, n) * 4 + rng.integers(0, 4, n)
        keys = keys[~np.isin(keys, taken) & ~np.isin(keys, chosen)]
        _, first = np.unique(keys, return_index=True)
        keys = keys[np.sort(first)]
        change = changes_of(codes, keys // 4, (keys % 4).astype(np.uint8))
        keys, change = keys[change >= 0], change[change >= 0]
        order = np.argsort(change, kind="stable")
        ordered = change[order]
        rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
        chosen = np.concatenate([chosen, keys[order[rank < (wanted - have)[ordered]]]])
    chosen = np.sort(chosen)
    site, alt = chosen // 4, (chosen % 4).astype(np.uint8)
    return pd.DataFrame({"start": site, "ref": codes[site], "alt": alt})


# -- evidence ----------------------------------------------------------------------------


def read_sample(
    table: pd.DataFrame,
    prepared: Prepared,
    *,
    language_contigs: Collection[str] = (),
    on_progress: Callable[[int, str], None] = lambda _n, _note: None,
) -> Sample:
    """Ask the scorers about SNVs.

    Parameters
    ----------
    table
        As ``draw`` returns it: ``contig start ref alt simulated``, contigs together.
    language_contigs
        Where to ask the language model; elsewhere its evidence is empty.

    Raises
    ------
    InputError
        The genome has another base than a REF.
    """
    engine = Engine.open(prepared, Choices(joint=False))
    parts: list[tuple[Evidence, NDArray[np.float64]]] = []
    with engine.connection:
        prior = next(s for s in engine.scorers if isinstance(s, PriorScorer))
        relatives = open_relatives(engine.material)
        usage = codon_usage(engine.connection, engine.material.genome)
        done = 0
        for chunk in _chunks(table):
            alleles = _alleles_of(chunk, engine)
            asked = chunk["contig"].iloc[0] in language_contigs
            columns, terms = _ask(engine, prior, alleles, language=asked)
            evidence = gather(
                alleles, np.arange(len(alleles)), columns[0], columns[1],
                usage=usage, relatives=relatives,
            )  # fmt: skip
            parts.append((evidence, hand_set_score(terms)))
            done += len(chunk)
            on_progress(done, "SNVs read")
    return Sample(
        table["contig"].to_numpy(object),
        table["start"].to_numpy(np.int64),
        table["simulated"].to_numpy(bool),
        np.concatenate([by_hand for _, by_hand in parts]),
        Evidence.join([evidence for evidence, _ in parts]),
    )


def _chunks(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for _, of_contig in table.groupby("contig", sort=False):
        for first in range(0, len(of_contig), _AT_ONCE):
            yield of_contig.iloc[first : first + _AT_ONCE]


def _alleles_of(chunk: pd.DataFrame, engine: Engine) -> AlleleTable:
    """Read SNVs as scoring reads a VCF's.

    Raises
    ------
    InputError
        One of them cannot be scored.
    """
    n = len(chunk)
    records = pa.table({
        "CHROM": pa.array(chunk["contig"].to_list(), pa.string()),
        "POS": pa.array(chunk["start"].to_numpy(np.int64) + 1),
        "REF": pa.array(chunk["ref"].to_list(), pa.string()),
        "ALT": pa.array(chunk["alt"].to_list(), pa.string()),
        "INFO": pa.array([b"."] * n, pa.binary()),
    })  # fmt: skip
    names = {name: name for name in chunk["contig"].unique().tolist()}
    alleles = read_alleles(records, engine.material.genome, names)
    if len(alleles) != n or not snvs(alleles).all():
        found = Counter(STATUSES[code] for code in alleles.status.tolist())
        raise InputError(f"some SNVs of the panel cannot be scored: {dict(found)}")
    return alleles


def _ask(
    engine: Engine, prior: PriorScorer, alleles: AlleleTable, *, language: bool
) -> tuple[tuple[Any, dict[str, pa.Array]], dict[str, NDArray[np.float64]]]:
    """Return consequences, the columns the model reads, and the hand-set terms."""
    consequences = engine.material.caller.call(alleles)
    columns = core_columns(alleles, consequences)
    near = engine.material.caller.tss_distance(alleles)
    columns["tss_distance"] = pa.array(near, mask=near < 0)
    columns |= describe(
        alleles, consequences, engine.models, engine.material.genome,
        codon_tables=engine.prepared.codon_tables,
    )  # fmt: skip
    for scorer in engine.scorers:
        if scorer.name in READ and (language or scorer.name != LANGUAGE):
            columns |= scorer.score(alleles, consequences, columns, engine.connection)
    # The panel's frequencies are what is learned from.
    columns["panel_max_af"] = pa.nulls(len(alleles), pa.float32())
    terms = prior.hand_set_terms(consequences, columns)
    for name, values in terms.items():
        columns[name] = pa.array(values.astype(np.float32))
    return (consequences, columns), terms


# -- fitting -----------------------------------------------------------------------------


def fit_prior(
    store: Store,
    prepared: Prepared,
    recipe: Recipe,
    *,
    on_progress: Callable[[int, str], None] = lambda _n, _note: None,
) -> Combined:
    """Draw SNVs, read their evidence, fit, and write ``models/prior/``.

    Raises
    ------
    MissingLayerError, InputError
        See ``choose_panel`` and ``draw``; or the language model does not say which
        contigs it was held out from.
    """
    recipe = choose_panel(store.connection, recipe)
    genome = store.genome()
    table, counts = draw(store.connection, genome, recipe)
    language, held_out = language_of(prepared)
    usage = codon_usage(store.connection, genome)
    sample = read_sample(
        table, prepared, language_contigs=held_out, on_progress=on_progress
    )
    on_progress(len(table), "fitting")
    general = cross_fit(
        sample.evidence, sample.simulated, sample.contig, sample.start,
        [block for block in BLOCKS if block != LANGUAGE],
    )  # fmt: skip
    figures = {"without_language": figures_of(sample, general)}
    honest = sample.evidence.has_language
    with_language: Fitted | None = None
    note = _why_no_language(language, held_out, sample, honest)
    if not note:
        part = sample.take(honest)
        with_language = cross_fit(
            part.evidence, part.simulated, part.contig, part.start
        )
        figures["with_language_on_held_out"] = figures_of(part, with_language)
    fitted = Combined(
        general.model,
        with_language.model if with_language else None,
        language,
        tuple(held_out),
        recipe.language_everywhere,
        calibrate(hand_set_logit(sample.by_hand), sample.simulated),
        usage,
        prepared.genome_sha256,
        {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "code_version": version("cisgraph"),
            "panel": recipe.panel, "group": recipe.group, "seed": recipe.seed,
            "per_observed": recipe.per_observed,
            "counts": counts,
            "snvs_by_contig": _by_contig(sample),
            "language": note or "fitted on the contigs it was held out from",
            "figures": figures,
        },
    )  # fmt: skip
    target = model_file(store.workspace.path).parent

    def write(folder: Path) -> None:
        fitted.write(folder / MODEL_FILE)
        (folder / CARD_FILE).write_text(card_of(fitted), encoding="utf-8")

    write_folder(target, write)
    return fitted


def language_of(prepared: Prepared) -> tuple[str, list[str]]:
    """Return the workspace's language model's digest, and the contigs it was held out from.

    ``('', [])`` without a model. Validation contigs count as seen: they chose when to stop.
    """
    model = find_model(prepared.workspace, "language")
    if model is None:
        return "", []
    config = json.loads((model.folder / CONFIG).read_text(encoding="utf-8"))
    named = [str(name) for name in config.get("held_out", ())]
    resolved = prepared.contig_names.resolve(named)
    return model.digest, sorted(own for own in resolved.values() if own)


def _why_no_language(
    digest: str, held_out: Sequence[str], sample: Sample, honest: Flags
) -> str:
    if not digest:
        return "no language model is in the workspace"
    if not held_out:
        return "the language model names no contig of this genome that it was held out from"
    n_observed = int((honest & ~sample.simulated).sum())
    if n_observed < _MIN_OBSERVED:
        return (
            f"only {n_observed} observed SNVs with its evidence lie on contigs that the "
            f"language model was held out from ({', '.join(held_out)})"
        )
    return ""


def figures_of(sample: Sample, fitted: Fitted) -> dict[str, Any]:
    """Return how well left-out SNVs are told apart: the model, its blocks, the hand-set one."""
    simulated = sample.simulated
    blocks = [name for name in BLOCKS if _uses(fitted, name)]
    fold = folds_of(sample.contig, sample.start)

    def left_out(chosen: Sequence[str]) -> NDArray[np.float64]:
        return left_out_log_odds(sample.evidence, simulated, fold, chosen)

    def rounded(score: NDArray[np.float64]) -> float:
        return round(auroc(score, simulated), 4)

    probability = 1 / (1 + np.exp(-fitted.left_out))
    by_fold = [
        round(auroc(fitted.left_out[fold == k], simulated[fold == k]), 4)
        for k in np.unique(fold).tolist()
        if len(np.unique(simulated[fold == k])) == 2
    ]
    found: dict[str, Any] = {
        "observed": int((~simulated).sum()),
        "simulated": int(simulated.sum()),
        "auroc": rounded(fitted.left_out),
        "auroc_by_fold": by_fold,
        "auroc_hand_set": rounded(sample.by_hand),
        "calibration_error": round(
            calibration_error(reliability(probability, simulated)), 4
        ),
        "calibration": [round(value, 4) for value in fitted.calibration],
        "blocks": {},
    }
    for name in blocks:
        others = [block for block in blocks if block != name]
        found["blocks"][name] = {
            "alone": rounded(left_out([name])),
            "without": rounded(left_out(others)) if others else 0.5,
        }
    return found


def _uses(fitted: Fitted, block: str) -> bool:
    return any(term.block == block for term in fitted.model.terms.values())


def _by_contig(sample: Sample) -> dict[str, int]:
    names, numbers = np.unique(sample.contig.astype(str), return_counts=True)
    return dict(zip(names.tolist(), numbers.tolist(), strict=True))


# -- what was fitted, in words -----------------------------------------------------------


def card_of(fitted: Combined) -> str:
    """Return the model's card, Markdown."""
    held = fitted.provenance
    group = f", group {held['group']}" if held["group"] else ""
    lines = [
        "# Fitted prior",
        "",
        f"Panel {held['panel']}{group}; {held['date']}; cisgraph {held['code_version']}; "
        f"seed {held['seed']}. An additive logistic model of evidence that tells simulated "
        "SNVs from those the panel carries. The score is the probability of *simulated* at "
        "equal numbers of both. It says nothing of what an allele is good or bad for.",
        "",
        "| counted | n |",
        "|---|---|",
        *(
            f"| {name.replace('_', ' ')} | {n:,} |"
            for name, n in held["counts"].items()
        ),
        "",
        f"Language model: {held['language']}.",
    ]
    for name, figures in held["figures"].items():
        lines += [
            "",
            f"## {name.replace('_', ' ').capitalize()}",
            "",
            f"{figures['observed']:,} observed and {figures['simulated']:,} simulated SNVs. "
            "All figures are of contigs that weights and calibration did not see (one "
            "contig alone: stretches of it).",
            "",
            "| | AUROC |",
            "|---|---|",
            f"| combined | {figures['auroc']:.4f} |",
            f"| by fold | {', '.join(f'{v:.4f}' for v in figures['auroc_by_fold'])} |",
            f"| hand-set score, rarity left out | {figures['auroc_hand_set']:.4f} |",
            "",
            f"Calibration error (ECE, ten bins): {figures['calibration_error']:.4f}.",
            "",
            "| block | alone | combined without it | its gain |",
            "|---|---|---|---|",
            *(
                f"| {block} | {row['alone']:.4f} | {row['without']:.4f} | "
                f"{figures['auroc'] - row['without']:+.4f} |"
                for block, row in figures["blocks"].items()
            ),
        ]
    lines += [
        "",
        "## Limits",
        "",
        "* Fitted on SNVs. Indels and structural alleles keep the hand-set score, brought "
        "to the same scale by its own calibration on SNVs.",
        "* Observed and simulated differ in what selection removed, and also in what "
        "mutation and variant calling favour beyond trinucleotide changes.",
        "* A registered conservation track is taken as it is: one made from this "
        "population's own genomes would leak.",
        "* Where the reference has the derived allele, an alternative is the ancestral "
        "one; the polarity block says how much of the figure is that.",
    ]
    return "\n".join(lines) + "\n"
