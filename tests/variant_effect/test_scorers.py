"""Every scorer keeps the common laws; and what each says, worked out by hand."""

from collections.abc import Iterator

import numpy as np
import pytest

from data_registry.normalisation import Strings
from tests.contracts import check_missing_layer, check_scorer
from tests.organisms import MOTIF, MOTIF_AT, SEQUENCES, base, other, snv, vcf_text
from tests.variant_effect.conftest import records_of
from variant_effect.preparation import Prepared
from variant_effect.run import Choices, Engine, output_columns
from variant_effect.scorers import ALL

RECORDS = [
    *[
        snv("chr1", p)
        for p in (2101, 2201, 5003, 8000, 14_900, 6250, 2050, 9100, 12_050)
    ],
    *[snv("chr2", p) for p in (1, 301, 500, 1500)],
    *[snv("chrM", p) for p in (3, 160)],
    ("chr1", 12_019, "ACA", "A"),
    ("chr1", 5001, base("chr1", 5001), base("chr1", 5001) + "ACGT"),
    ("chr1", 5004, SEQUENCES["chr1"][5003:5006], "TTT"),
    ("chr1", 1950, base("chr1", 1950), "<DEL>", "END=2400"),
    ("chr1", 4950, base("chr1", 4950), "<DUP>", "END=8100"),
    ("chr2", 100, base("chr2", 100), f"{base('chr2', 100)}[chr1:5005["),
    ("chr1", 300, base("chr1", 300), "*"),
    ("chr1", 300, base("chr1", 300), base("chr1", 300)),
    ("chr1", 300, other(base("chr1", 300)), base("chr1", 300)),
    ("chr9", 300, "A", "C"),
    ("chr1", 300, base("chr1", 300), "<INS>"),
]
LINES = records_of(vcf_text(RECORDS)).splitlines(keepends=True)


@pytest.fixture(scope="module")
def bare_engine(bare: Prepared) -> Iterator[Engine]:
    engine = Engine.open(bare, Choices())
    with engine.connection:
        yield engine


@pytest.mark.parametrize("number", range(len(ALL)), ids=[scorer.name for scorer in ALL])
def test_laws(engine: Engine, number: int) -> None:
    check_scorer(engine, engine.scorers[number], LINES)


@pytest.mark.parametrize("number", range(len(ALL)), ids=[scorer.name for scorer in ALL])
def test_a_layer_that_is_missing(bare_engine: Engine, number: int) -> None:
    check_missing_layer(bare_engine, bare_engine.scorers[number], LINES)


def test_the_layers_that_are_missing_are_named(
    bare_engine: Engine, engine: Engine
) -> None:
    said = {scorer.name for scorer in bare_engine.scorers if scorer.missing}
    assert {"motif", "conservation", "frequency", "gwas", "tables"} <= said
    # Only the graph, relatives' genomes and the trained models are not there.
    assert [s.name for s in engine.scorers if s.missing] == [
        "regulatory",
        "relatives",
        "language",
        "promoter",
        "graph",
    ]


def test_columns_of_the_output_have_names_of_their_own() -> None:
    names = [column.name for column in output_columns()]
    assert len(set(names)) == len(names)
    assert all(column.meaning for column in output_columns())


def test_the_reverse_of_a_change_has_the_reverse_score(engine: Engine) -> None:
    model = engine.material.markov
    rng = np.random.default_rng(3)
    contig = np.frombuffer(SEQUENCES["chr1"].encode(), np.uint8)
    for place in rng.integers(100, 14_900, 20).tolist():
        alt = ord(other(chr(contig[place]).upper()))
        changed = contig.copy()
        changed[place] = alt

        def ratio(before: np.ndarray, to: int, place: int = place) -> float:
            return float(
                model.log_ratio(
                    before, np.array([place]), np.array([1]), Strings.of([bytes([to])])
                )[0]
            )

        there, back = ratio(contig, alt), ratio(changed, contig[place] & 0xDF)
        assert there == pytest.approx(-back, abs=1e-5)
        assert there != 0


def test_motif_broken_and_made(score) -> None:
    # TGACGTCATC at 5001-5010: the middle G changed costs most of the score.
    frame = score(
        [("chr1", MOTIF_AT + 5, MOTIF[4], "A"), ("chr1", MOTIF_AT + 5, "G", "C")]
    )
    for row in frame.itertuples():
        assert row.motif_tf == "TFX"
        assert row.motif_id == "M1.1"
        assert row.motif_change in {"loss", "change"}
        assert row.motif_delta == pytest.approx(
            row.motif_alt_score - row.motif_ref_score, abs=1e-4
        )
        # From 0.91 to 0.03 in one column: log2(0.91 / 0.03) bits fewer.
        assert row.motif_delta == pytest.approx(-np.log2(0.91 / 0.03), abs=0.3)
        assert row.motif_ref_p < 1e-4
    # An insertion of the whole word makes a site where there was none.
    here = base("chr1", 13_500)
    made = score([("chr1", 13_500, here, here + MOTIF)]).iloc[0]
    assert (made["motif_tf"], made["motif_change"], made["motif_n"]) == (
        "TFX",
        "gain",
        1,
    )
    assert made["motif_delta"] > 0 or np.isnan(made["motif_delta"])
    assert score([snv("chr1", 13_500)]).iloc[0]["motif_n"] == 0


def test_intervals_at_their_edges(score) -> None:
    # The peak is 4900-5150 in BED: 4901 to 5150 from 1. Binding at 4990-5020.
    frame = score(
        [snv("chr1", p) for p in (4900, 4901, 4990, 4991, 5020, 5021, 5150, 5151)]
    )
    assert frame["cre_n"].tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    assert frame["open_chromatin"].notna().tolist() == (frame["cre_n"] == 1).tolist()
    assert frame["tf_bound_n"].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert set(frame["tf_bound"].dropna()) == {"TFX"}
    assert set(frame["chromatin_state"]) == {"open"}
    states = score([snv("chr1", p) for p in (6000, 6001)])["chromatin_state"]
    assert states.tolist() == ["open", "closed"]
    # A deletion over the border lies in both; an insertion between them touches both.
    both = score([
        ("chr1", 5999, SEQUENCES["chr1"][5998:6001], SEQUENCES["chr1"][5998]),
        ("chr1", 6000, base("chr1", 6000), base("chr1", 6000) + "GATTACA"),
    ])["chromatin_state"]  # fmt: skip
    assert set(both) <= {"closed,open", "open"}
    assert both[0] == "closed,open"


def test_frequencies_by_normalised_allele(score) -> None:
    # Three samples: 0|1 1|1 0|0. The deletion is written at another end of the repeat.
    frame = score(
        [
            snv("chr1", 2101),
            ("chr1", 12_001, "GCA", "G"),
            snv("chr2", 500),
            snv("chr2", 501),
        ]
    )
    assert frame["panel_counts"].tolist() == [
        "panel=3/6",
        "panel=1/6",
        "panel=6/6",
        None,
    ]
    assert frame["panel_max_af"].tolist()[:3] == pytest.approx([0.5, 1 / 6, 1.0])
    assert np.isnan(frame["panel_max_af"][3])
    third = next(b for b in "ACGT" if b not in snv("chr1", 2101)[2:])
    assert score([snv("chr1", 2101, third)])["panel_counts"].tolist() == [None]


def test_gwas_alleles_must_agree(score) -> None:
    third = next(b for b in "ACGT" if b not in snv("chr1", 2101)[2:])
    frame = score(
        [
            snv("chr1", 2101),
            snv("chr1", 2101, third),
            snv("chr1", 5003),
            snv("chr1", 5004),
        ]
    )
    assert frame["gwas"].tolist() == [
        "height:1e-08 (0.5)",
        None,
        "height:0.03 (-0.2)",
        None,
    ]
    assert frame["gwas_min_p"][0] == 1e-8


def test_registered_scores_tracks_and_genes(score) -> None:
    frame = score(
        [snv("chr1", 2101), snv("chr1", 2102), snv("chr2", 500), snv("chr1", 9100)]
    )
    assert frame["registered_scores"].tolist() == ["sift_score=0.01", None, None, None]
    # The track holds i / 1000 at base 2001 + i.
    assert frame["conservation"].tolist()[:3] == pytest.approx([0.1, 0.101, 0.5])
    assert frame["conservation_track"].tolist() == ["phylo", "phylo", "phylo", None]
    # Means 11, 1.5 and 5 TPM: gA first of three, gD in the middle.
    assert frame["gene_expression_percentile"].tolist()[:3] == [100.0, 100.0, 50.0]
    assert frame["gene_ka_ks"].tolist()[:2] == pytest.approx([0.2, 0.2])
    assert frame["gene_interactions_n"].tolist()[:3] == [1, 1, 0]
    three = SEQUENCES["chr1"][2100:2103]
    swap = ("chr1", 2101, three, "".join(map(other, three)))
    assert score([swap])["conservation"][0] == pytest.approx(0.102)  # the highest
