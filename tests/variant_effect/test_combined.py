"""The combined score: by hand, against a slow optimiser, and the laws against leaks."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from typer.testing import CliRunner

from dashboards.cli import app
from data_registry.errors import InputError, MalformedFileError, MissingLayerError
from data_registry.genome import Genome
from data_registry.relative_alignment import UNALIGNED, letter_codes
from data_registry.relatives import Relatives
from data_registry.store import open_store
from encoders.nucleotides import encode
from tests.contracts import check_scorer, columns_before, make_alleles
from tests.neighbour_model import NeighbourModel
from tests.organisms import SEQUENCES, make_workspace, snv, vcf_text
from tests.variant_effect.conftest import records_of, score_lines
from tests.variant_effect.test_scorers import LINES
from variant_effect import preparation
from variant_effect.card import explain_variant
from variant_effect.combined import (
    BLOCKS,
    FEATURES,
    RIDGE,
    Additive,
    Combined,
    Evidence,
    Term,
    auroc,
    balanced,
    calibrate,
    calibration_error,
    cross_fit,
    fit_additive,
    folds_of,
    gather,
    reliability,
)
from variant_effect.preparation import Prepared, prepare
from variant_effect.prior_training import (
    Recipe,
    changes_of,
    choose_panel,
    draw,
    fit_prior,
    read_sample,
)
from variant_effect.run import Choices, Engine
from variant_effect.scorers import language
from variant_effect.scorers.prior import (
    BY_HAND,
    FITTED,
    RESCALED,
    WITH_LANGUAGE,
    PriorScorer,
    hand_set_logit,
    hand_set_score,
    model_file,
    snvs,
)

RNG = np.random.default_rng


def evidence_of(n: int, **given: np.ndarray) -> Evidence:
    """Evidence of ``n`` SNVs, empty but for what is given."""
    return Evidence(
        {
            f.name: given.get(f.name, np.full(n, None, object))
            for f in FEATURES
            if not f.knots
        },
        {f.name: given.get(f.name, np.full(n, np.nan)) for f in FEATURES if f.knots},
    )


def made_up(n: int, rng: np.random.Generator) -> tuple[Evidence, np.ndarray]:
    """SNVs whose log-odds of simulated are known: a level, a line, and noise."""
    term = rng.choice(["missense_variant", "synonymous_variant"], n).astype(object)
    blosum = np.where(term == "missense_variant", rng.integers(-4, 4, n), np.nan)
    log_odds = np.where(term == "missense_variant", 0.8, -0.8) - 0.3 * np.nan_to_num(
        blosum
    )
    noise = rng.normal(size=n)
    simulated = rng.random(n) < expit(log_odds)
    given = {"term": term, "blosum62": blosum, "markov_llr_changed": noise}
    return evidence_of(n, **given), simulated


# -- the model ---------------------------------------------------------------------------


def test_a_term_by_hand() -> None:
    line = Term("composition", knots=(0.0, 2.0, 4.0), values=(1.0, 0.0, -3.0))
    found = line.contribution(np.array([-9.0, 0.0, 1.0, 2.0, 3.0, 9.0, np.nan]))
    assert found.tolist() == [1.0, 1.0, 0.5, 0.0, -1.5, -3.0, 0.0]
    levels = Term("motif", {"gain": 0.5, "loss": -1.0})
    given = np.array(["loss", "gain", None, "unheard of"], object)
    assert levels.contribution(given).tolist() == [-1.0, 0.5, 0.0, 0.0]


def test_blocks_add_up_to_the_log_odds() -> None:
    evidence, simulated = made_up(2_000, RNG(1))
    model = fit_additive(evidence, simulated)
    blocks = model.blocks(evidence)
    assert list(blocks) == [b for b in BLOCKS if b in blocks]
    np.testing.assert_allclose(
        model.intercept + sum(blocks.values()), model.log_odds(evidence)
    )
    # Contributions are against the average SNV of the fit.
    weights = balanced(simulated)
    for values in blocks.values():
        assert np.average(values, weights=weights) == pytest.approx(0, abs=1e-9)
    scaled = model.scaled(0.3, 2.0)
    np.testing.assert_allclose(
        scaled.log_odds(evidence), 0.3 + 2 * model.log_odds(evidence)
    )


def test_levels_by_hand() -> None:
    # 60 + 40 SNVs at one level, 30 + 70 at the other: odds 1.5 and 3/7, of equal classes
    # (90 simulated, 110 observed) 1.5 · 110/90 and 3/7 · 110/90; the ridge pulls a little.
    term = np.repeat(np.array(["stop_gained", "intron_variant"], object), 100)
    simulated = np.r_[np.arange(100) < 60, np.arange(100) < 30]
    big = [np.tile(part, 200) for part in (term, simulated)]
    model = fit_additive(evidence_of(len(big[0]), term=big[0]), big[1])
    found = model.log_odds(evidence_of(200, term=term))
    np.testing.assert_allclose(found[0], np.log(1.5 * 110 / 90), atol=2e-3)
    np.testing.assert_allclose(found[-1], np.log(3 / 7 * 110 / 90), atol=2e-3)


def test_the_fit_is_the_optimum_that_another_optimiser_finds() -> None:
    rng = RNG(2)
    term = rng.choice(["a", "b", "c"], 600).astype(object)
    simulated = rng.random(600) < np.where(term == "a", 0.7, 0.4)
    model = fit_additive(evidence_of(600, term=term), simulated)
    weights = balanced(simulated)
    columns = (term[:, None] == np.array(["a", "b", "c"], object)).astype(float)
    columns -= np.average(columns, axis=0, weights=weights)

    def loss(beta: np.ndarray) -> float:
        eta = beta[0] + columns @ beta[1:]
        fit = weights @ (np.logaddexp(0, eta) - simulated * eta)
        return float(fit + RIDGE * (beta[1:] ** 2).sum() / 2)

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-6}).x
    expected = best[0] + columns @ best[1:]
    np.testing.assert_allclose(
        model.log_odds(evidence_of(600, term=term)), expected, atol=1e-4
    )


def test_planted_weights_come_back() -> None:
    evidence, simulated = made_up(40_000, RNG(3))
    model = fit_additive(evidence, simulated)
    line = model.terms["blosum62"]
    at = dict(zip(line.knots, line.values, strict=True))
    # Missense SNVs were given 0.3 less for each unit of BLOSUM62.
    assert at[-4] - at[3] == pytest.approx(7 * 0.3, abs=0.25)
    levels = model.terms["term"].levels
    gap = levels["missense_variant"] - levels["synonymous_variant"]
    # The line carries its own mean: BLOSUM62 is -0.5 on average.
    assert gap == pytest.approx(1.6 + 0.15, abs=0.15)
    assert np.ptp(model.terms["markov_llr_changed"].values) < 0.3


def test_a_level_hardly_seen_gets_no_weight() -> None:
    term = np.array(["a"] * 500 + ["b"] * 480 + ["c"] * 20 + ["d"] * 19, object)
    simulated = RNG(4).random(len(term)) < 0.5
    model = fit_additive(evidence_of(len(term), term=term), simulated)
    assert set(model.terms["term"].levels) == {"a", "b", "c"}
    assert model.terms["term"].contribution(np.array(["d"], object)) == [0.0]


def test_one_class_alone_is_refused() -> None:
    evidence, simulated = made_up(100, RNG(5))
    with pytest.raises(InputError, match="observed and simulated"):
        fit_additive(evidence, np.ones_like(simulated))


# -- folds, calibration, figures ---------------------------------------------------------


def test_folds_never_part_a_contig() -> None:
    rng = RNG(6)
    contig = rng.choice([f"c{i}" for i in range(12)], 5_000).astype(object)
    fold = folds_of(contig, rng.integers(0, 9_999, 5_000))
    assert set(fold.tolist()) == {0, 1, 2, 3, 4}
    for name in set(contig.tolist()):
        assert len(set(fold[contig == name].tolist())) == 1
    # One contig alone is cut into stretches.
    start = rng.permutation(1_000)
    fold = folds_of(np.full(1_000, "c", object), start)
    assert fold[np.argsort(start)].tolist() == sorted(fold.tolist())
    assert np.bincount(fold).tolist() == [200] * 5


@pytest.mark.parametrize("n_contigs", [1, 2, 4])
def test_nothing_of_a_fold_is_in_what_is_said_of_it(n_contigs: int) -> None:
    rng = RNG(7)
    evidence, simulated = made_up(3_000, rng)
    contig = np.array([f"c{i % n_contigs}" for i in range(3_000)], object)
    start = rng.permutation(3_000)
    before = cross_fit(evidence, simulated, contig, start).left_out
    mine = folds_of(contig, start) == 0
    turned = np.where(mine, ~simulated, simulated)
    after = cross_fit(evidence, turned, contig, start).left_out
    np.testing.assert_array_equal(before[mine], after[mine])
    assert (before[~mine] != after[~mine]).any()


def test_left_out_log_odds_are_calibrated() -> None:
    rng = RNG(8)
    evidence, simulated = made_up(20_000, rng)
    contig = rng.choice(["c1", "c2", "c3"], 20_000).astype(object)
    fitted = cross_fit(evidence, simulated, contig, rng.permutation(20_000))
    bins = reliability(expit(fitted.left_out), simulated)
    assert calibration_error(bins) < 0.02
    assert fitted.calibration[1] == pytest.approx(1, abs=0.1)


def test_calibration_finds_intercept_and_slope() -> None:
    rng = RNG(9)
    truth = rng.normal(size=50_000)
    simulated = rng.random(50_000) < expit(truth)
    intercept, slope = calibrate((truth - 1) / 2, simulated)
    assert slope == pytest.approx(2, abs=0.1)
    balance = np.log((~simulated).sum() / simulated.sum())
    assert intercept == pytest.approx(1 + balance, abs=0.1)
    # A score that points the wrong way is not turned round: it says nothing.
    assert calibrate(-truth, simulated) == (0.0, 0.0)


def test_auroc_counts_pairs() -> None:
    rng = RNG(10)
    score = rng.integers(0, 5, 60).astype(float)
    simulated = rng.random(60) < 0.4
    pairs = score[simulated][:, None] - score[~simulated][None]
    expected = (pairs > 0).mean() + (pairs == 0).mean() / 2
    assert auroc(score, simulated) == pytest.approx(expected)


def test_reliability_by_hand() -> None:
    probability = np.repeat([0.2, 0.8], 100)
    simulated = np.r_[np.arange(100) < 30, np.arange(100) < 70]
    rows = reliability(probability, simulated, 2)
    assert [row["predicted"] for row in rows] == pytest.approx([0.2, 0.8])
    assert [row["found"] for row in rows] == pytest.approx([0.3, 0.7])
    assert calibration_error(rows) == pytest.approx(0.1)


# -- outgroups ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def relatives(genome: Genome) -> Relatives:
    """Two outgroups and an ingroup like the reference but where the tests change them."""
    offsets = dict(zip(genome, np.cumsum([0, *genome.lengths.values()]), strict=False))
    whole = np.concatenate([letter_codes(genome.contig(name)) for name in genome])
    return Relatives(
        genome=genome,
        names=("in", "out1", "out2"),
        roles=("ingroup", "outgroup", "outgroup"),
        insertions=(),
        counts=(),
        offsets={name: int(at) for name, at in offsets.items()},
        digest="",
        codes=np.tile(whole, (3, 1)),
    )


def read(engine: Engine, relatives: Relatives | None, *records: tuple) -> Evidence:
    lines = records_of(vcf_text(records)).splitlines(keepends=True)
    alleles = make_alleles(engine, lines)
    prior = next(s for s in engine.scorers if isinstance(s, PriorScorer))
    consequences, columns = columns_before(engine, prior, alleles)
    rows = np.flatnonzero(snvs(alleles))
    return gather(
        alleles, rows, consequences, columns, usage=np.zeros(64), relatives=relatives
    )


def test_outgroups_by_hand(engine: Engine, relatives: Relatives) -> None:
    codes = relatives.codes.copy()
    at = 13_499  # chr1:13500, intergenic; the first contig begins at 0
    _, _, ref, alt = snv("chr1", 13_500)
    third = next(b for b in "ACGT" if b not in (ref, alt))
    codes[1, at] = encode(alt)[0]
    codes[1, at - 4 : at] = (codes[1, at - 4 : at] + 1) % 4
    codes[2, at + 1 : at + 21] = UNALIGNED
    codes[2, at - 3 : at] = UNALIGNED
    found = read(engine, replace(relatives, codes=codes), snv("chr1", 13_500))
    assert found.levels["outgroups_aligned"].tolist() == ["all"]
    assert found.levels["outgroups_with_alt"].tolist() == ["some, noncoding"]
    assert found.numbers["outgroups_with_third_base"].tolist() == [0.0]
    # out1: 36 of 40 neighbours; out2 has 17 of 40 aligned, fewer than half.
    assert found.numbers["outgroup_identity_noncoding"] == pytest.approx([0.9])
    assert np.isnan(found.numbers["outgroup_identity_silent"]).all()
    codes[1, at] = encode(third)[0]
    codes[2, at] = UNALIGNED
    found = read(engine, replace(relatives, codes=codes), snv("chr1", 13_500))
    assert found.levels["outgroups_aligned"].tolist() == ["some"]
    assert found.levels["outgroups_with_alt"].tolist() == ["none"]
    assert found.numbers["outgroups_with_third_base"].tolist() == [1.0]


def test_relatives_of_the_ingroup_are_not_looked_at(
    engine: Engine, relatives: Relatives
) -> None:
    records = [snv("chr1", p) for p in (2_101, 5_003, 13_500)] + [snv("chr2", 307)]
    expected = read(engine, relatives, *records)
    codes = relatives.codes.copy()
    codes[0] = RNG(11).integers(0, 6, codes.shape[1])
    found = read(engine, replace(relatives, codes=codes), *records)
    assert_same(found, expected)
    # Without outgroups there is no evidence of them at all.
    alone = replace(relatives, roles=("ingroup",) * 3)
    assert_same(read(engine, alone, *records), read(engine, None, *records))


def assert_same(found: Evidence, expected: Evidence) -> None:
    for name, values in expected.levels.items():
        assert found.levels[name].tolist() == values.tolist(), name
    for name, numbers in expected.numbers.items():
        np.testing.assert_array_equal(found.numbers[name], numbers, name)


def test_every_feature_is_gathered_and_in_a_block(engine: Engine) -> None:
    found = read(engine, None, snv("chr1", 2_101))
    assert {f.name for f in FEATURES if f.knots} == set(found.numbers)
    assert {f.name for f in FEATURES if not f.knots} == set(found.levels)
    assert {f.block for f in FEATURES} == set(BLOCKS)
    assert not {"panel_max_af", "prior_rarity", "gwas_min_p"} & set(found.numbers)


# -- from a panel to the score -----------------------------------------------------------


def panel_text() -> str:
    """SNVs on chr1 and chr2 in a panel of three samples; chr2 shows fewer."""
    rng = RNG(12)
    records = []
    for contig, n in (("chr1", 700), ("chr2", 60)):
        length = len(SEQUENCES[contig])
        for position in np.sort(
            rng.choice(np.arange(300, length - 300), n, replace=False)
        ):
            if SEQUENCES[contig][position - 1] in "Nn":
                continue
            alt = "ACGT"[rng.integers(4)]
            record = snv(contig, int(position))
            if alt != record[2]:
                record = (*record[:3], alt)
            genotypes = [("0|0", "0|1", "1|1")[i] for i in rng.integers(0, 3, 3)]
            records.append((*record, ".", *genotypes))
    return vcf_text(
        records,
        samples=["a", "b", "c"],
        header=['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">'],
    )


@pytest.fixture(scope="module")
def organism(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a panel of its own, and a language model held out from chr1."""
    folder = tmp_path_factory.mktemp("prior")
    workspace = make_workspace(folder, layers=False)
    (folder / "p.vcf").write_text(panel_text())
    with open_store(workspace, write=True) as store:
        store.add(folder / "p.vcf", kind="variants", name="mine")
    model = workspace / "models" / "language"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"name": "near", "held_out": ["NC_1"]}')
    return workspace


@pytest.fixture(scope="module")
def opened(organism: Path) -> Iterator[Prepared]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (language, preparation):
            patch.setattr(module, "open_language", lambda *_a, **_k: NeighbourModel())
        with open_store(organism) as store:
            yield prepare(store)


@pytest.fixture(scope="module")
def fitted(organism: Path, opened: Prepared) -> Combined:
    with open_store(organism) as store:
        return fit_prior(store, opened, Recipe())


def test_simulated_snvs_keep_the_spectrum(organism: Path) -> None:
    with open_store(organism) as store:
        recipe = choose_panel(store.connection, Recipe())
        genome = store.genome()
        table, counts = draw(store.connection, genome, recipe)
        again, _ = draw(store.connection, genome, recipe)
        carried = {
            tuple(row)
            for row in store.connection.execute(
                "SELECT contig, start, alt FROM panel_frequencies WHERE ac > 0"
            ).fetchall()
        }
    pd.testing.assert_frame_equal(table, again)
    observed, simulated = table[~table["simulated"]], table[table["simulated"]]
    keys = list(
        zip(simulated["contig"], simulated["start"], simulated["alt"], strict=True)
    )
    assert len(set(keys)) == len(keys)
    assert not set(keys) & carried
    assert counts["simulated"] == len(simulated) > 1_000
    assert counts["simulated"] + counts["simulated_short_of"] == 2 * len(observed)
    for contig in ("chr1", "chr2"):
        codes = encode(genome.contig(contig))
        n = {}
        for name, part in (("observed", observed), ("simulated", simulated)):
            mine = part[part["contig"] == contig]
            start = mine["start"].to_numpy()
            assert (np.frombuffer("".join(mine["ref"]).encode(), np.uint8)
                    == genome.contig(contig)[start] & 0xDF).all()  # fmt: skip
            change = changes_of(codes, start, encode("".join(mine["alt"])))
            n[name] = np.bincount(change, minlength=96)
        assert (n["simulated"] <= 2 * n["observed"]).all()
        # Where there are enough sites, just twice as many of each change.
        assert (n["simulated"] == 2 * n["observed"]).mean() > 0.8
        assert simulated.loc[simulated["contig"] == contig, "start"].min() >= 299


def test_changes_are_the_same_on_both_strands() -> None:
    codes = encode("ACGTTGCA")
    turned = (3 - codes)[::-1]
    start = np.arange(1, 7)
    for shift in (1, 2, 3):
        alt = (codes[start] + shift) % 4
        np.testing.assert_array_equal(
            changes_of(codes, start, alt), changes_of(turned, 7 - start, 3 - alt)
        )
    # C>A with A before and G after: change 0, neighbours 0 and 2.
    assert changes_of(codes, np.array([1]), np.array([0], np.uint8)).tolist() == [2]
    # At the ends and where nothing changes there is none.
    assert changes_of(codes, np.array([0, 1]), np.array([1, 1], np.uint8)).tolist() == [
        -1, -1,
    ]  # fmt: skip


def test_the_score_of_the_model(
    organism: Path, opened: Prepared, fitted: Combined
) -> None:
    with open_store(organism) as store:
        prepared = prepare(store)
    assert prepared.digest != opened.digest
    engine = Engine.open(prepared, Choices())
    records = [snv("chr1", 2_101), snv("chr1", 13_500), snv("chr2", 307),
               ("chr1", 12_019, "ACA", "A")]  # fmt: skip
    with engine.connection:
        frame = score_lines(engine, records_of(vcf_text(records)))
        prior = next(s for s in engine.scorers if isinstance(s, PriorScorer))
        check_scorer(engine, prior, LINES)
    assert frame["prior_source"].tolist() == [
        WITH_LANGUAGE, WITH_LANGUAGE, FITTED, RESCALED,
    ]  # fmt: skip
    for i, model in enumerate(
        (fitted.with_language, fitted.with_language, fitted.general)
    ):
        assert model is not None
        written = dict(
            part.split("=") for part in frame.loc[i, "prior_contributions"].split(";")
        )
        assert ("language" in written) == (i < 2)
        total = model.intercept + sum(map(float, written.values()))
        assert frame.loc[i, "prior_score"] == pytest.approx(expit(total), abs=2e-3)
    # An indel keeps the hand-set score, without rarity, on the model's scale.
    terms = {
        name: frame.loc[[3], name].to_numpy(float)
        for name in ("prior_consequence", "prior_motif", "prior_conservation",
                     "prior_markov", "prior_rarity")
    }  # fmt: skip
    intercept, slope = fitted.hand_set_scale
    expected = expit(intercept + slope * hand_set_logit(hand_set_score(terms)))
    assert frame.loc[3, "prior_score"] == pytest.approx(expected[0], abs=1e-5)
    assert pd.isna(frame.loc[3, "prior_contributions"])


def test_language_is_learned_where_it_was_held_out(
    organism: Path, opened: Prepared, fitted: Combined
) -> None:
    assert fitted.language_held_out == ("chr1",)
    assert fitted.asks_language("chr1", fitted.language_digest)
    assert not fitted.asks_language("chr2", fitted.language_digest)
    assert not fitted.asks_language("chr1", "another model")
    assert replace(fitted, language_everywhere=True).asks_language(
        "chr2", fitted.language_digest
    )
    assert not any(t.block == "language" for t in fitted.general.terms.values())
    # SNVs of other contigs have no part in the model that reads the language model.
    with open_store(organism) as store:
        recipe = choose_panel(store.connection, Recipe())
        table, _ = draw(store.connection, store.genome(), recipe)
    sample = read_sample(table, opened, language_contigs=["chr1"])
    assert (sample.evidence.has_language == (sample.contig == "chr1")).all()
    part = sample.take(sample.contig == "chr1")
    expected = cross_fit(part.evidence, part.simulated, part.contig, part.start)
    assert fitted.with_language is not None
    assert fitted.with_language.as_dict() == expected.model.as_dict()


def test_frequencies_are_not_evidence(organism: Path, opened: Prepared) -> None:
    table = pd.DataFrame(
        [snv("chr1", 2_101)], columns=["contig", "start", "ref", "alt"]
    )
    table = table.assign(start=table["start"] - 1, simulated=False)
    with open_store(organism) as store:
        rows = store.connection.execute("SELECT count(*) FROM panel_frequencies")
        assert rows.fetchone() != (0,)
    sample = read_sample(table, opened)
    assert sample.by_hand[0] > 0
    engine = Engine.open(opened, Choices())
    with engine.connection:
        frame = score_lines(engine, records_of(vcf_text([snv("chr1", 2_101)])))
    terms = {
        name: frame[name].to_numpy(float)
        for name in ("prior_consequence", "prior_motif", "prior_conservation",
                     "prior_markov", "prior_rarity")
    }  # fmt: skip
    assert sample.by_hand == pytest.approx(hand_set_score(terms), abs=1e-6)


def test_card_tells_each_blocks_part(organism: Path, fitted: Combined) -> None:
    with open_store(organism) as store:
        card = explain_variant("chr2:307:C:T", store, prepare(store))
    said = [s for s in card.statements if s.section == "prior score"]
    assert "probability" in said[0].text
    blocks = {s.text.split()[0]: float(s.text.split()[1]) for s in said[1:]}
    assert set(blocks) == {t.block for t in fitted.general.terms.values()}
    total = fitted.general.intercept + sum(blocks.values())
    assert card.prior_score == pytest.approx(expit(total), abs=2e-3)
    assert all("models/prior" in s.source for s in said)


def test_model_is_written_and_read_back(tmp_path: Path, fitted: Combined) -> None:
    fitted.write(tmp_path / "m.json")
    again = Combined.read(tmp_path / "m.json")
    assert again.general.as_dict() == fitted.general.as_dict()
    assert again.provenance == fitted.provenance
    np.testing.assert_allclose(again.usage, fitted.usage, atol=1e-5)
    again.write(tmp_path / "n.json")
    assert (tmp_path / "n.json").read_bytes() == (tmp_path / "m.json").read_bytes()
    (tmp_path / "m.json").write_text('{"form": "something else"}')
    with pytest.raises(MalformedFileError, match="prior fit"):
        Combined.read(tmp_path / "m.json")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_commands_say_what_they_need(
    organism: Path, workspace: Path, fitted: Combined
) -> None:
    shown = run("prior", "show", "-w", str(organism))
    assert "consequence" in shown
    assert f"{fitted.provenance['counts']['observed']:,}" in shown
    weights = run("prior", "show", "-w", str(organism), "--what", "weights")
    assert "blosum62" in weights
    card = (model_file(organism).parent / "card.md").read_text()
    assert "| consequence |" in card
    with pytest.raises(MissingLayerError, match="prior fit"):
        run("prior", "show", "-w", str(workspace))
    with pytest.raises(InputError, match="at least 200"):
        run("prior", "fit", "-w", str(workspace))
    with pytest.raises(InputError, match="no group 'x'"):
        run("prior", "fit", "-w", str(workspace), "--group", "x")
    with pytest.raises(InputError, match="no panel 'x'"):
        run("prior", "fit", "-w", str(workspace), "--panel", "x")


def test_a_model_of_another_genome_is_refused(
    organism: Path, opened: Prepared, fitted: Combined
) -> None:
    path = model_file(organism)
    assert Combined.read(path).genome_sha256 == fitted.genome_sha256
    text = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(text), "genome_sha256": "other"}))
        with pytest.raises(InputError, match="another genome"):
            Engine.open(opened, Choices())
    finally:
        path.write_text(text)


def test_without_a_fit_the_weights_are_set_by_hand(score) -> None:
    frame = score([snv("chr1", 2_101), ("chr9", 5, "A", "G")])
    assert frame["prior_source"].tolist()[0] == BY_HAND
    assert frame[["prior_source", "prior_contributions"]].isna().iloc[1].all()


def test_additive_reads_back_both_kinds_of_terms() -> None:
    model = Additive(
        0.25, {"a": Term("motif", {"x": 1.0}), "b": Term("motif", knots=(0.0, 1.0), values=(0.0, 2.0))}
    )  # fmt: skip
    assert Additive.from_dict(model.as_dict()) == model


def test_logit_of_the_hand_set_score_is_finite() -> None:
    found = hand_set_logit(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(found, [logit(0.001), 0.0, logit(0.999)])
