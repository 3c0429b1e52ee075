"""The promoter scorer, with an ensemble whose predictions are worked out by hand."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_registry.store import open_store
from encoders.nucleotides import UNKNOWN, decode, encode
from tests.contracts import check_scorer, score_alone
from tests.organisms import (
    SEQUENCES,
    make_workspace,
    other,
    reverse_complement,
    snv,
    vcf_text,
)
from tests.variant_effect.conftest import records_of, score_lines
from tests.variant_effect.test_scorers import LINES
from variant_effect import trained_models
from variant_effect.preparation import prepare
from variant_effect.run import Choices, Engine
from variant_effect.scorers import promoter
from variant_effect.scorers.promoter import CONDITIONS, Promoters, PromoterScorer
from variant_effect.trained_models import find_model, shipped_models

LENGTH = 170
ONE = SEQUENCES["chr1"].upper()
# gA is read forwards from 2000, gB backwards from 6799 (0-based).
FORWARD = ONE[2000 - 165 : 2000 + 5]
BACKWARD = reverse_complement(ONE[6799 - 4 : 6799 + 166])


@dataclass(frozen=True)
class Sum:
    """What the scorer uses of an ensemble: the sum of position times code, by network.

    A network is the weight of its sum; the second condition is the negative.
    """

    networks: tuple[float, ...] = (1.0, 3.0)
    standardisations: tuple[None, ...] = (None, None)
    conditions: tuple[str, ...] = ("leaf_no_enh_dark", "proto_no_enh", "of_its_own")
    length_bp: int = LENGTH

    def predict(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert codes.shape[1] == self.length_bp
        known = np.where(codes == UNKNOWN, 0, codes).astype(float)
        total = known @ np.arange(1, self.length_bp + 1)
        each = np.stack([w * total for w in self.networks])
        level = each.mean(axis=0)
        return np.stack([level, -level, level], axis=1), np.zeros((len(codes), 3))


def total(sequence: str) -> float:
    codes = encode(sequence).astype(float)
    codes[codes == UNKNOWN] = 0
    return float(codes @ np.arange(1, len(sequence) + 1))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    workspace = make_workspace(tmp_path_factory.mktemp("promoter"), layers=False)
    folder = workspace / "models" / "promoter"
    folder.mkdir(parents=True)
    config = {
        "form": "cisgraph promoter ensemble 1", "name": "sum", "length_bp": LENGTH,
        "conditions": ["leaf_no_enh_dark", "of_its_own"],
        "stand_ins": {"proto_no_enh": "leaf_no_enh_dark"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promoter, "open_promoter", lambda *_a, **_k: Sum())
        with open_store(workspace) as store:
            prepared = prepare(store)
        engine = Engine.open(prepared, Choices())
        opened = scorer_of(engine).model
        assert opened is not None
        assert len(opened.get()) == 2
    with engine.connection:
        yield engine


def scorer_of(engine: Engine) -> PromoterScorer:
    (found,) = [s for s in engine.scorers if isinstance(s, PromoterScorer)]
    return found


def frame_of(engine: Engine, records: list) -> pd.DataFrame:
    return score_lines(engine, records_of(vcf_text(records)))


def test_laws(engine: Engine) -> None:
    lines = [
        *LINES,
        *records_of(
            vcf_text([snv("chr1", p) for p in (1900, 1901, 2003, 6800, 6900)])
        ).splitlines(keepends=True),
    ]
    check_scorer(engine, scorer_of(engine), lines)


def test_delta_and_its_spread_by_hand(engine: Engine) -> None:
    row = frame_of(engine, [snv("chr1", 1901)]).iloc[0]
    # 0-based 1900 is base 65 of the stretch from 1835, weight 66.
    old, new = "ACGT".index(ONE[1900]), "ACGT".index(other(ONE[1900]))
    change = 66 * (new - old)
    assert row["promoter_gene"] == "gA"
    # Networks of weight 1 and 3: mean 2, standard deviation sqrt(2).
    assert row["promoter_delta_leaf_no_enh_dark"] == pytest.approx(2 * change)
    assert row["promoter_delta_proto_no_enh"] == pytest.approx(-2 * change)
    for name in ("leaf_no_enh_dark", "proto_no_enh"):
        assert row[f"promoter_sd_{name}"] == pytest.approx(abs(change) * np.sqrt(2))
    assert pd.isna(row["promoter_delta_leaf_no_enh_light"])


def test_the_edges_of_the_stretch(engine: Engine) -> None:
    inside = [1836, 2005, 6796, 6965]
    outside = [1835, 2006, 6795, 6966]
    frame = frame_of(engine, [snv("chr1", p) for p in inside + outside])
    assert frame["promoter_gene"].tolist()[:4] == ["gA", "gA", "gB", "gB"]
    assert frame["promoter_gene"][4:].isna().all()
    assert frame["promoter_delta_proto_no_enh"][4:].isna().all()


@pytest.mark.parametrize(
    ("pos", "n_ref", "alt", "expected"),
    [
        # Forwards, upstream of the start: +5 stays, the far end moves.
        (1900, 0, "GATTACA", (ONE[1835 + 7 : 1900] + "GATTACA" + ONE[1900:2005])),
        (1900, 9, "", (ONE[1835 - 9 : 1900] + ONE[1909:2005])),
        # At the start and after it: the upstream end stays.
        (2002, 0, "GG", (ONE[1835:2002] + "GG" + ONE[2002:2003])),
        (1998, 4, "", (ONE[1835:1998] + ONE[2002:2009])),
    ],
)
def test_sequences_of_a_forward_gene(
    engine: Engine, pos: int, n_ref: int, alt: str, expected: str
) -> None:
    found = sequences(engine, "gA", pos, n_ref, alt)
    assert found == (FORWARD, expected)


@pytest.mark.parametrize(
    ("pos", "n_ref", "alt", "expected"),
    [
        (6900, 0, "GATTACA", ONE[6795:6900] + "GATTACA" + ONE[6900 : 6965 - 7]),
        (6900, 9, "", ONE[6795:6900] + ONE[6909 : 6965 + 9]),
        (6797, 0, "GG", ONE[6797:6797] + ONE[6795 + 2 : 6797] + "GG" + ONE[6797:6965]),
        (6797, 5, "", ONE[6795 - 5 : 6797] + ONE[6802:6965]),
    ],
)
def test_sequences_of_a_backward_gene(
    engine: Engine, pos: int, n_ref: int, alt: str, expected: str
) -> None:
    found = sequences(engine, "gB", pos, n_ref, alt)
    assert found == (BACKWARD, reverse_complement(expected))


def sequences(
    engine: Engine, gene: str, pos: int, n_ref: int, alt: str
) -> tuple[str, str]:
    promoters = scorer_of(engine).promoters
    assert promoters is not None
    place = promoters.genes.to_pylist().index(gene)
    contig = engine.material.genome.contig("chr1")
    ref, changed = promoters.sequences(contig, place, pos, pos + n_ref, alt)
    assert len(ref) == len(changed) == LENGTH
    return decode(ref), decode(changed)


def test_an_insertion_longer_than_the_stretch(engine: Engine) -> None:
    alt = "GATTACA" * 40
    (_, changed) = sequences(engine, "gA", 1900, 0, alt)
    assert changed == (alt + ONE[1900:2005])[-LENGTH:]


def test_unknown_bases_stand_beyond_the_contig(engine: Engine) -> None:
    promoters = Promoters.read(engine.connection, list(engine.material.genome), 3001)
    place = promoters.genes.to_pylist().index("gD")
    # A long model is centred on the start, 300: 1,200 bases are missing on the left.
    assert (promoters.spans.start[place], promoters.spans.end[place]) == (-1200, 1801)
    contig = engine.material.genome.contig("chr2")
    ref, alt = promoters.sequences(contig, place, 290, 291, "A")
    assert decode(ref) == "N" * 1200 + SEQUENCES["chr2"] + "N" * 301
    assert (alt != ref).sum() <= 1
    assert alt[1490] == 0


def test_the_whole_way_is_the_difference_of_the_sequences(engine: Engine) -> None:
    anchor = ONE[1899]
    row = frame_of(engine, [("chr1", 1900, anchor, anchor + "GATTACA")]).iloc[0]
    start = row["norm_pos"]
    inserted = row["norm_alt"][1:]
    changed = ONE[1835 + 7 : start] + inserted + ONE[start:2005]
    assert row["promoter_delta_leaf_no_enh_dark"] == pytest.approx(
        2 * (total(changed) - total(FORWARD))
    )


def test_what_is_missing_is_told(engine: Engine) -> None:
    scorer = scorer_of(engine)
    assert "leaf_no_enh_light, leaf_with_enh_light" in scorer.missing
    absent = replace(scorer, model=None)
    assert "no promoter model" in absent.missing
    columns = score_alone(engine, absent, LINES)
    assert all(values.null_count == len(LINES) for values in columns.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained_models.importlib.util, "find_spec", lambda _name: None)
        unopened = PromoterScorer(scorer.genome, scorer.model, scorer.promoters)
    assert "pip install 'cisgraph[models]'" in unopened.missing


@pytest.mark.skipif(
    "plant_promoter" not in shipped_models(), reason="no promoter model ships yet"
)
def test_the_model_that_ships(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    workspace = make_workspace(tmp_path, layers=False)
    added, what = trained_models.add_model("plant_promoter", workspace)
    assert added == find_model(workspace, "promoter")
    assert f"{LENGTH} bp" in what
    with open_store(workspace) as store:
        prepared = prepare(store)
    engine = Engine.open(prepared, Choices())
    with engine.connection:
        check_scorer(
            engine,
            scorer_of(engine),
            records_of(
                vcf_text([
                    *[snv("chr1", p) for p in (1900, 1990, 2003, 6800)],
                    ("chr1", 300, "A", "*"),
                ])
            ).splitlines(keepends=True),
        )  # fmt: skip
        frame = frame_of(engine, [snv("chr1", 1970), snv("chr1", 6810)])
    assert all(frame[f"promoter_delta_{name}"].notna().all() for name in CONDITIONS)
    assert frame["promoter_delta_proto_no_enh"].abs().max() > 0
