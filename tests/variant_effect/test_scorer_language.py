"""The language scorer, under a model that can be worked out by hand."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dashboards.cli import app
from data_registry.errors import InputError, MissingOptionalError
from data_registry.store import open_store
from data_registry.workspace import sha256_of
from encoders.likelihood import (
    Haplotypes,
    allele_distance,
    allele_ratio,
    substitution_ratios,
)
from encoders.nucleotides import encode
from tests.contracts import check_scorer, score_alone
from tests.neighbour_model import MaskedNeighbourModel, NeighbourModel
from tests.organisms import SEQUENCES, base, make_workspace, other, snv, vcf_text
from tests.variant_effect.conftest import records_of, score_lines
from tests.variant_effect.test_scorers import LINES
from variant_effect import preparation, trained_models
from variant_effect.dense_track import STEP
from variant_effect.language_background import build_background
from variant_effect.markov import Background
from variant_effect.precompute import precompute
from variant_effect.preparation import prepare
from variant_effect.run import Choices, Engine
from variant_effect.scorers import language
from variant_effect.scorers.language import LONGEST_BP, LanguageScorer
from variant_effect.trained_models import find_model, read_model

MODEL = NeighbourModel()
NAMES = [column.name for column in LanguageScorer.columns]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a model's folder; what is opened is ``MODEL``."""
    workspace = make_workspace(tmp_path_factory.mktemp("lm"), layers=False)
    model = workspace / "models" / "language"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"name": "neighbour"}')
    return workspace


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (language, preparation):
            patch.setattr(module, "open_language", lambda *_a, **_k: MODEL)
        with open_store(folder) as store:
            prepared = prepare(store)
        engine = Engine.open(prepared, Choices(lm_distance=True))
        # Opened here, so that the tests with a real network are not patched too.
        opened = scorer_of(engine).model
        assert opened is not None
        assert opened.get() is MODEL
    with engine.connection:
        yield engine


def scorer_of(engine: Engine) -> LanguageScorer:
    (found,) = [s for s in engine.scorers if isinstance(s, LanguageScorer)]
    return found


def frame_of(engine: Engine, records: list) -> pd.DataFrame:
    return score_lines(engine, records_of(vcf_text(records)))


def test_laws(engine: Engine) -> None:
    check_scorer(engine, scorer_of(engine), LINES)


def test_ratio_of_a_substitution(engine: Engine) -> None:
    places = [1, 2, 2101, 8000, 10_100, 15_999]
    frame = frame_of(engine, [snv("chr1", p) for p in places])
    codes = encode(SEQUENCES["chr1"])
    ratios = substitution_ratios(MODEL, codes, 0, len(codes))
    for row, place in zip(frame.itertuples(), places, strict=True):
        alt = "ACGT".index(other(base("chr1", place)))
        assert row.lm_llr == pytest.approx(ratios[place - 1, alt], abs=STEP)
        apart = allele_distance(
            MODEL, Haplotypes.of(codes, place - 1, 1, np.array([alt], np.uint8))
        )
        assert row.lm_distance == pytest.approx(apart, rel=1e-5)
        assert row.lm_score == pytest.approx(abs(row.lm_llr) * apart, rel=1e-5)


def test_ratio_of_other_changes(engine: Engine) -> None:
    codes = encode(SEQUENCES["chr1"])
    one = SEQUENCES["chr1"]
    swapped = other(one[5003]) + one[5004] + other(one[5005])
    frame = frame_of(engine, [
        # Five bases in, at a place where they cannot shift; and three bases out.
        ("chr1", 4000, one[3999], one[3999] + other(one[4000]) * 5),
        ("chr1", 5004, one[5003:5006], swapped),
    ])  # fmt: skip
    for row in frame.itertuples():
        start, ref = row.norm_pos - 1, row.norm_ref
        found = Haplotypes.of(codes, start, len(ref), encode(row.norm_alt))
        # The window of the minimal form lies one base further on for the insertion.
        if len(ref) != len(row.norm_alt):
            found = Haplotypes.of(codes, start + 1, 0, encode(row.norm_alt[1:]))
        assert row.lm_llr == pytest.approx(allele_ratio(MODEL, found), rel=1e-4)
        assert row.lm_distance == pytest.approx(allele_distance(MODEL, found), rel=1e-4)
        assert np.isnan(row.lm_percentile)


def test_a_long_allele_is_not_read(engine: Engine) -> None:
    one = SEQUENCES["chr1"]
    frame = frame_of(engine, [
        ("chr1", 500, one[499 : 500 + LONGEST_BP + 1], one[499]),
        ("chr1", 500, one[499 : 500 + LONGEST_BP], one[499]),
    ])  # fmt: skip
    assert np.isnan(frame["lm_llr"][0])
    assert np.isnan(frame["lm_distance"][0])
    assert np.isfinite(frame["lm_llr"][1])


def test_percentile_is_the_share_of_higher_ratios(engine: Engine) -> None:
    scorer = scorer_of(engine)
    assert scorer.background is not None
    frame = frame_of(engine, [snv("chr1", p) for p in range(11_000, 11_400)])
    table = scorer.background.to_frame()
    assert set(frame["lm_compared"]) <= {"cell", "class", "kind"}
    rows = frame[frame["lm_compared"] == "class"]
    assert len(rows) > 100
    for row in rows.iloc[:20].itertuples():
        mine = table.loc[
            (table["consequence_class"] == row.consequence)
            & table["context"].astype(str).str.match(r"[ACGT]\[|snv_edge"),
            "llr",
        ]
        share = 100 * (
            (mine > row.lm_llr).mean() + 0.5 * (mine == np.float32(row.lm_llr)).mean()
        )
        assert row.lm_percentile == pytest.approx(share, abs=0.01)


def test_precomputed_and_computed_are_the_same(folder: Path, engine: Engine) -> None:
    records = [snv("chr1", p) for p in (1, 900, 1024, 1025, 9100, 16_000)]
    before = frame_of(engine, records)
    with open_store(folder) as store:
        model = find_model(folder, "language")
        assert model is not None
        precompute(store, model, MODEL)
        prepared = prepare(store)

    def refuse(*_a: object, **_k: object) -> None:
        raise AssertionError("everything is in the track")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language, "open_language", refuse)
        looked_up = Engine.open(prepared, Choices())
        with looked_up.connection:
            after = frame_of(looked_up, records)
            said = scorer_of(looked_up).missing
    # Another track, another digest: a resumed run cannot mix the two.
    assert prepared.digest != engine.prepared.digest
    np.testing.assert_allclose(after["lm_llr"], before["lm_llr"], atol=1.01 * STEP)
    assert after["lm_distance"].isna().all()
    assert "--lm-distance" in said
    assert scorer_of(engine).missing == ""


def test_what_is_missing_is_told(engine: Engine) -> None:
    scorer = scorer_of(engine)
    absent = replace(scorer, model=None)
    assert "cisgraph models add" in absent.missing
    columns = score_alone(engine, absent, LINES)
    assert all(columns[name].null_count == len(LINES) for name in NAMES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained_models.importlib.util, "find_spec", lambda _name: None)
        unopened = LanguageScorer(scorer.genome, scorer.model)
        assert "pip install 'cisgraph[models]'" in unopened.missing
        with pytest.raises(MissingOptionalError, match="torch"):
            trained_models.open_language(find_model_of(engine))
    columns = score_alone(engine, unopened, LINES)
    assert columns["lm_llr"].null_count == len(LINES)


def find_model_of(engine: Engine) -> trained_models.TrainedModel:
    found = find_model(engine.prepared.workspace, "language")
    assert found is not None
    return found


# -- with a network of ours -------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model with random weights, in the form that is shipped."""
    torch = pytest.importorskip("torch")
    from encoders.language import LanguageConfig, LanguageNetwork, save_language_model

    config = LanguageConfig(
        name="random", width=8, layers=("conv:3:1", "conv:3:2"), kmer=2, head=8
    )
    rng = torch.Generator().manual_seed(1)
    made = LanguageNetwork(config, rng)
    # The last layer begins at zero, which would answer a quarter everywhere.
    with torch.no_grad():
        made.out.copy_(torch.randn(made.out.shape, generator=rng))
    folder = tmp_path_factory.mktemp("network")
    save_language_model(made, folder, "card")
    return folder


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.filterwarnings("default")
def test_from_the_model_to_the_scores(network: Path, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, layers=False)
    run("models", "add", str(network), "-w", str(workspace))
    assert "random" in run("models", "list", "-w", str(workspace))
    vcf = tmp_path / "in.vcf"
    vcf.write_text(vcf_text([snv("chr1", p) for p in (5, 2101, 9100)]))

    def score(name: str, *options: str) -> pd.DataFrame:
        out = tmp_path / name
        run(
            "score",
            "--vcf",
            str(vcf),
            "-w",
            str(workspace),
            "--out",
            str(out),
            *options,
        )
        return pd.read_parquet(out)

    spot = score("spot.parquet", "--lm-distance")
    run(
        "precompute",
        "--genome",
        "-w",
        str(workspace),
        "--bigwig",
        str(tmp_path / "b.bw"),
    )
    assert (tmp_path / "b.bw").is_file()
    # Two workers, each with a network of its own, look up what one process computed.
    track = score("track.parquet", "--workers", "2", "--chunk-records", "1")
    codes = encode(SEQUENCES["chr1"])
    from encoders.language import load_language_model

    ratios = substitution_ratios(load_language_model(network), codes, 0, len(codes))
    expected = [
        ratios[p - 1, "ACGT".index(other(base("chr1", p)))] for p in (5, 2101, 9100)
    ]
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(spot["lm_llr"], expected, atol=2 * STEP)
    np.testing.assert_allclose(track["lm_llr"], spot["lm_llr"], atol=1.01 * STEP)
    assert (spot["lm_distance"] > 0).all()
    assert spot["lm_percentile"].between(0, 100).all()


def test_precompute_says_what_it_needs(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, layers=False)
    with pytest.raises(Exception, match="cisgraph models add"):
        run("precompute", "--genome", "-w", str(workspace))
    with pytest.raises(InputError, match="--region"):
        run("precompute", "-w", str(workspace))


def test_what_is_no_model_is_not_added(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, layers=False)
    with pytest.raises(InputError, match="neither a folder nor a model"):
        run("models", "add", "no_such", "-w", str(workspace))
    broken = tmp_path / "broken"
    broken.mkdir()
    with pytest.raises(InputError, match="is no trained model"):
        run("models", "add", str(broken), "-w", str(workspace))
    (broken / "config.json").write_text(json.dumps({"name": "broken"}))
    with pytest.raises(InputError):
        run("models", "add", str(broken), "-w", str(workspace))
    assert find_model(workspace, "language") is None


def test_a_published_model_is_opened_by_its_adapter(tmp_path: Path) -> None:
    published = pytest.importorskip("encoders.published.models")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "load_published", lambda _folder, **_k: MODEL)
        assert trained_models.open_language(read_model(tmp_path)) is MODEL


def test_the_digest_covers_weights_and_not_the_card(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = read_model(tmp_path).digest
    (tmp_path / "card.md").write_text("a card")
    assert read_model(tmp_path).digest == before
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert read_model(tmp_path).digest != before


def test_own_code_of_a_published_model_runs_where_it_was_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = pytest.importorskip("tests.encoders.tiny_published")
    modules = "transformers.dynamic_module_utils.HF_MODULES_CACHE"
    monkeypatch.setattr(modules, str(tmp_path / "modules"))
    given = tiny.caduceus(tmp_path / "caduceus")
    # A permission that comes with the model is none.
    code = {"modeling_tiny.py": sha256_of(given / "modeling_tiny.py")}
    origin = given / trained_models.ORIGIN_FILE
    origin.write_text(json.dumps({"allowed_code": code}))
    workspace = make_workspace(tmp_path, layers=False)
    with pytest.raises(InputError, match=r"brings its own code: modeling_tiny.py"):
        run("models", "add", str(given), "-w", str(workspace))
    assert find_model(workspace, "language") is None
    run("models", "add", str(given), "-w", str(workspace), "--allow-remote-code")
    held = find_model(workspace, "language")
    assert held is not None
    assert (held.name, held.digest) == ("caduceus", read_model(given).digest)
    assert trained_models.open_language(held).reach_bp == 255
    file = held.folder / "modeling_tiny.py"
    file.write_text(file.read_text() + "\n# changed\n")
    with pytest.raises(InputError, match="--allow-remote-code"):
        trained_models.open_language(held)


def test_random_changes_go_on_where_they_were_stopped(tmp_path: Path) -> None:
    contigs = {
        name: np.frombuffer(SEQUENCES[name].encode(), np.uint8) for name in SEQUENCES
    }

    def build(model: MaskedNeighbourModel, **settings: Any) -> Background:
        return build_background(
            model, contigs, lambda _name, alleles: np.full(len(alleles), "any", object),
            seed=1, n_sites=400, **settings,
        )  # fmt: skip

    whole = build(MaskedNeighbourModel())
    assert 300 < len(whole) <= 400
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done >= 150:
            raise KeyboardInterrupt

    first, second = MaskedNeighbourModel(), MaskedNeighbourModel()
    with pytest.raises(KeyboardInterrupt):
        build(first, kept=tmp_path, on_sites=stop)
    assert told[0][0] < told[-1][0] <= told[0][1]
    resumed = build(second, kept=tmp_path)
    assert first.n_sites > 0
    assert second.n_sites == len(whole) - first.n_sites
    for name in ("one", "two"):
        (whole if name == "one" else resumed).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_unknown_bases_do_not_thin_the_random_changes() -> None:
    contig = np.frombuffer(b"N" * 90_000 + b"ACGT" * 2_500, np.uint8)
    told: list[tuple[int, int]] = []
    background = build_background(
        MaskedNeighbourModel(), {"chr1": contig},
        lambda _name, alleles: np.full(len(alleles), "any", object), seed=1, n_sites=200,
        on_sites=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert 150 < len(background) < 250
    assert told[-1] == (len(background), len(background))
