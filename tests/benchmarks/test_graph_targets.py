"""Masks, tables, measures and audits of the benchmarks of factor-target links."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")
pytest.importorskip("sklearn")

from benchmarks import graph_factors as factors_  # noqa: E402
from benchmarks import graph_targets as targets  # noqa: E402
from benchmarks.graph import Arm, Runs, changed  # noqa: E402
from benchmarks.graph_genes import TRAIN, Organism, part_of  # noqa: E402
from benchmarks.graph_targets import (  # noqa: E402
    Binding,
    Judge,
    Setting,
    Source,
    apart,
    audit,
    filled,
    make_setting,
    motif_scores,
    neighbours_labels,
    surroundings,
)
from encoders.nucleotides import encode  # noqa: E402
from models.graph.network import NetworkSettings  # noqa: E402
from models.graph.structure import BACK  # noqa: E402
from models.graph.training import GraphModel, TrainingSettings  # noqa: E402

NETWORK = NetworkSettings(width=8, heads=2, blocks=1, slots=2, dropout=0.0)
TRAINING = TrainingSettings(epochs=2, batch_size=64, learning_rate=1e-2, fan_out=4)
SMALL = Arm("graph", network=NETWORK, training=TRAINING)


def toy_source(seed: int = 0, n: int = 400) -> Source:
    """Genes with edges drawn at random: there is nothing to find, and nothing may leak."""
    rng = np.random.default_rng(seed)
    names = [f"AT1G{i:05}" for i in range(n)]
    start = np.sort(rng.choice(50 * n, n, replace=False)) * 100
    family = [names[i - i % 2] for i in range(n)]
    genes = pd.DataFrame({
        "gene_id": names, "chr": "1", "start": start, "end": start + 1_000,
        "strand": rng.choice([1, -1], n), "tss": start, "family": family,
        "part": [part_of(one) for one in family],
    })  # fmt: skip
    left, right = rng.choice(n, (2, 3 * n))
    left, right = left[left != right], right[left != right]
    both = np.unique(np.stack([np.r_[left, right], np.r_[right, left]]), axis=1)
    member, term = rng.choice(n, 600), rng.choice(5, 600)
    edges = {
        ("gene", "physical", "gene"): (both[0], both[1]),
        ("gene", "member_of", "pathway"): (member, term),
        ("pathway", BACK + "member_of", "gene"): (term, member),
    }
    features = pd.DataFrame(
        rng.normal(size=(n, 3)), columns=["a", "b", "room_upstream"]
    )
    organism = Organism(
        genes, features, np.zeros(3, bool), edges,
        {"gene": names, "pathway": [f"GO:{i}" for i in range(5)]},
        [names[i : i + 2] for i in range(0, n, 2)], {}, [],
    )  # fmt: skip
    binding = {
        "CHIPSeq": Binding(names[:4], rng.random((n, 4)) < 0.4),
        "DAPSeq": Binding(names[3:43], rng.random((n, 40)) < 0.3),
    }
    motif = rng.normal(size=(n, 2))
    motif[::3] = np.nan
    return Source(organism, binding, {names[5]: motif}, {}, ["expression/x.tsv"])


@pytest.fixture(scope="module")
def source() -> Source:
    return toy_source()


@pytest.fixture(scope="module")
def setting(source: Source) -> Setting:
    return make_setting("chip", source)


def failed(setting: Setting, source: Source) -> set[str]:
    return {c["source"].split(",")[0] for c in audit(setting, source) if not c["holds"]}


def edge_to(setting: Setting, gene: int):
    """Return the messages, with one label edge more."""
    edges = setting.tested.edges[setting.key]
    one = torch.zeros(1, 0)
    more = type(edges).of(
        torch.cat([edges.source, setting.task.factors[:1]]),
        torch.cat([edges.target, torch.tensor([gene])]), len(edges.start) - 1,
        torch.cat([edges.x, one]), torch.cat([edges.known, one.bool()]),
    )  # fmt: skip
    return replace(setting.tested, edges={**setting.tested.edges, setting.key: more})


@pytest.mark.parametrize("name", ["chip", "dap"])
def test_the_audit_holds_where_nothing_leaks(name: str, source: Source):
    assert not failed(make_setting(name, source), source)


def test_the_audit_fails_where_a_judged_gene_shows_an_edge(source, setting):
    planted = replace(setting, tested=edge_to(setting, int(setting.rows[2][0])))
    assert "edges by the experiment asked about" in failed(planted, source)


def test_the_audit_fails_where_a_gene_shows_what_is_learned_from_it(source, setting):
    graph = edge_to(setting, int(setting.rows[0][0]))
    assert "edges that are learned from" in failed(
        replace(setting, graph=graph), source
    )


def test_the_audit_fails_where_the_label_is_a_feature(source, setting):
    table = np.column_stack([setting.table, setting.bound[:, 2]])
    found = failed(replace(setting, table=table), source)
    assert "a feature that is the label in disguise" in found


def test_the_audit_fails_where_a_table_was_made_of_judged_labels(
    source: Source, monkeypatch: pytest.MonkeyPatch
):
    def leaky(setting: Setting):
        return neighbours_labels(replace(setting, taught=np.arange(len(setting.bound))))

    setting = make_setting("chip", source)
    monkeypatch.setattr(targets, "neighbours_labels", leaky)
    assert "labels through any other way: tables" in failed(setting, source)


def test_the_audit_fails_where_both_experiments_are_one(source: Source):
    chip = source.binding["CHIPSeq"]
    one = {"CHIPSeq": chip, "DAPSeq": chip}
    other = replace(source, binding=one)
    assert "one record listed under both experiments" in failed(make_setting("chip", other), other)  # fmt: skip


def test_the_audit_fails_where_peaks_were_read_or_families_torn(source, setting):
    peaks = replace(source, read=["arabidopsis/tf_binding/dapseq_At/peaks.tar.xz"])
    assert failed(setting, peaks) == {"DAP-seq and its edges are one experiment: peaks"}
    genes = source.organism.genes.copy()
    at = genes.index[genes["part"] == TRAIN][0]
    genes.loc[at, "part"] = 2
    torn = replace(source, organism=replace(source.organism, genes=genes))
    assert "relatives on both sides of the split" in failed(make_setting("chip", torn), torn)  # fmt: skip


def test_half_of_the_training_genes_show_and_the_others_are_learned_from(setting):
    shown = set(setting.graph.edges[setting.key].target.tolist())
    when_asked = set(setting.tested.edges[setting.key].target.tolist())
    bound = set(np.flatnonzero(setting.bound.any(axis=1)).tolist())
    taught = set(setting.taught.tolist())
    learned = set(setting.rows[0].tolist())
    assert shown == bound & taught - learned
    assert when_asked == bound & taught
    assert 0.35 < len(learned) / len(taught) < 0.65


def test_a_planted_rule_is_learned_from_edges(source: Source):
    # Two factors, one experiment repeats the other with noise: what a gene hears, it is.
    rng = np.random.default_rng(1)
    given = source.binding["DAPSeq"]
    bound = given.bound[:, :2] ^ (rng.random((len(given.bound), 2)) < 0.02)
    binding = {**source.binding, "CHIPSeq": Binding(["x", "y"], bound)}
    setting = make_setting("chip", replace(source, binding=binding))
    network = replace(NETWORK, width=16, edge_dropout=0.0)
    training = replace(TRAINING, epochs=40, fan_out=50, patience=40)
    model = GraphModel(network, training).fit(
        setting.graph, [setting.task], targets.vocabulary_of(setting), seed=0
    )
    test = setting.rows[2]
    with torch.inference_mode():
        states = model.network.encode(setting.tested)
        said = setting.task.predict(model.network, states, torch.from_numpy(test))
    judge = Judge.of(setting.bound[test], test, draws=0)
    assert judge.within_factor(said)[0].value > 0.8


def test_permuted_labels_go_as_rows_and_leave_judged_genes_alone(setting):
    _, (other,) = changed(replace(SMALL, permuted=True), setting.graph, [setting.task], 0)  # fmt: skip
    test = setting.rows[2]
    assert torch.equal(other.target[test], setting.task.target[test])
    learned = np.r_[setting.rows[0], setting.rows[1]]
    mine, theirs = (sorted(map(tuple, t.target[learned].tolist())) for t in (other, setting.task))  # fmt: skip
    assert mine == theirs
    assert not torch.equal(other.target[learned], setting.task.target[learned])


def test_fits_are_kept_by_arm(setting, tmp_path):
    told: list[str] = []
    runs = Runs(tmp_path, "digest", told.append)
    rows = torch.from_numpy(setting.rows[2])
    vocabulary = targets.vocabulary_of(setting)
    one = runs.predict(SMALL, setting.graph, [setting.task], vocabulary, rows, 0)
    again = runs.predict(SMALL, setting.graph, [setting.task], vocabulary, rows, 0)
    assert one.shape == (len(rows), 4)
    np.testing.assert_array_equal(one, again)
    assert len(told) == 1


def test_motif_scores_by_hand():
    motif = np.log(
        np.array([[0.97, 0.01, 0.01, 0.01], [0.01, 0.97, 0.01, 0.01]]) / 0.25
    )
    best, mean = motif_scores(motif, "ACNT")
    # AC on one strand; windows CN and NT do not count.
    yes, no = np.log(0.97 / 0.25), np.log(0.01 / 0.25)
    assert best == pytest.approx(2 * yes)
    # The other strand of AC reads GT.
    assert mean == pytest.approx(np.log((np.exp(2 * yes) + np.exp(2 * no)) / 2))
    assert motif_scores(motif, "GT")[0] == pytest.approx(2 * yes)
    assert np.isnan(motif_scores(motif, "ANC")[0])
    assert encode("ACGT").tolist() == [0, 1, 2, 3]


def test_room_around_genes_by_strand():
    genes = pd.DataFrame({
        "chr": ["1", "1", "1", "2"], "start": [100, 1_000, 1_500, 5],
        "end": [200, 2_000, 1_800, 9], "strand": [1, -1, 1, 1],
    })  # fmt: skip
    found = np.expm1(surroundings(genes).to_numpy())
    np.testing.assert_allclose(found[0], [np.nan, 800])
    np.testing.assert_allclose(found[1], [0, 800])  # the third lies inside the second
    np.testing.assert_allclose(found[2], [0, np.nan])
    assert np.isnan(found[3]).all()


def test_genes_apart_from_training_genes():
    genes = pd.DataFrame({
        "chr": ["1", "1", "1", "2"], "tss": [1, 3_001, 6_002, 3_001], "part": [2, TRAIN, 2, 2],
    })  # fmt: skip
    assert apart(genes).tolist() == [False, True, True, True]


def test_shares_of_neighbours_leave_the_gene_itself_out(setting):
    found = neighbours_labels(setting)
    edges = setting.tested.edges["gene", "physical", "gene"]
    taught = set(setting.taught.tolist())
    for gene in (int(setting.rows[0][0]), int(setting.rows[2][0])):
        near = edges.source[edges.target == gene].tolist()
        near = [g for g in near if g in taught]
        assert gene not in near
        expected = setting.bound[near].mean(axis=0) if near else np.full(4, np.nan)
        np.testing.assert_allclose(found[gene], expected)


def test_missing_scores_become_the_training_median():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan], [9.0, np.nan]])
    found = filled(values, np.array([0, 1]))
    np.testing.assert_allclose(found, [[1, 0], [3, 0], [2, 0], [9, 0]])


def test_measures_are_those_of_scikit_learn_with_ties():
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(3)
    bound = rng.random((300, 4)) < 0.3
    score = np.round(rng.normal(size=(300, 4)) + bound, 1)
    family = rng.integers(0, 80, 300)
    judge = Judge.of(bound, family, draws=20)
    columns = [(bound[:, j], score[:, j]) for j in range(4)]
    area, precision = judge.within_factor(score)
    assert area.value == pytest.approx(np.mean([roc_auc_score(*c) for c in columns]))
    assert precision.value == pytest.approx(
        np.mean([average_precision_score(*c) for c in columns]), rel=1e-5
    )
    everything = judge.overall(score)[0].value
    assert everything == pytest.approx(roc_auc_score(bound.ravel(), score.ravel()))
    # The first resample, row by row as often as its family was drawn.
    times = judge.blocks.times[1].astype(int)[judge.index]
    drawn = np.repeat(np.arange(300), times)
    by_hand = [roc_auc_score(bound[drawn, j], score[drawn, j]) for j in range(4)]
    assert area.draws[0] == pytest.approx(np.mean(by_hand))
    # Any growing change of one factor's scores leaves the figure within genes as it is.
    moved = score.copy()
    moved[:, 1] = np.exp(moved[:, 1]) + 7
    assert judge.within_gene(moved).value == pytest.approx(
        judge.within_gene(score).value
    )


def test_within_gene_by_hand():
    bound = np.array([[True, False], [False, True], [True, True]])
    score = np.array([[3.0, 10.0], [1.0, 30.0], [2.0, 20.0]])
    # Ranks: factor 0: 3, 1, 2; factor 1: 1, 3, 2. Both mixed genes are told right.
    assert Judge.of(bound, np.arange(3), draws=0).within_gene(score).value == 1.0


@pytest.fixture(scope="module")
def unseen(source: Source):
    names = source.binding["DAPSeq"].factors
    family_of = {tf: f"family{i % 6}" for i, tf in enumerate(names)}
    return factors_.make_setting(source, family_of), family_of


def broken(setting, source, family_of) -> set[str]:
    checks = factors_.audit(setting, source, family_of)
    return {c["source"].split(",")[0] for c in checks if not c["holds"]}


def test_the_audit_of_unseen_factors_holds_and_fails_where_one_shows_edges(source, unseen):  # fmt: skip
    setting, family_of = unseen
    assert not broken(setting, source, family_of)
    key = factors_.BINDS
    edges = setting.graph.edges[key]
    turned = edges.source.clone()
    turned[0] = int(setting.of(factors_.JUDGED)[0])
    graph = replace(
        setting.graph,
        edges={**setting.graph.edges, key: replace(edges, source=turned)},
    )
    found = broken(replace(setting, graph=graph), source, family_of)
    assert "DAP-seq edges of factors learned from" in found
    assert "labels through any other way" in found


def test_the_audit_of_unseen_factors_fails_where_judged_labels_are_learned(source, unseen):  # fmt: skip
    setting, family_of = unseen
    target = torch.from_numpy(setting.bound[:, setting.task.factors]).float()
    leaky = replace(setting, task=replace(setting.task, target=target))
    found = broken(leaky, source, family_of)
    assert "labels of judged genes in the loss" in found


def test_share_of_relatives_by_hand(unseen):
    setting, _ = unseen
    known, asked = setting.of(factors_.SHOWN), setting.of(factors_.JUDGED)
    found = factors_.family_share(setting, known, asked, 2.0)
    for column, factor in enumerate(asked):
        like = [k for k in known if setting.family[k] == setting.family[factor]]
        every = setting.bound[:, known].mean(axis=1)
        expected = (setting.bound[:, like].sum(axis=1) + 2 * every) / (len(like) + 2)
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-5)
    # A factor is no relative of its own.
    own = factors_.family_share(setting, known, known[:1], 1e-6)[:, 0]
    like = [k for k in known[1:] if setting.family[k] == setting.family[known[0]]]
    if like:
        np.testing.assert_allclose(own, setting.bound[:, like].mean(axis=1), atol=1e-4)


def test_unseen_factors_have_no_vector_and_hear_of_relatives_that_show(unseen):
    setting, _ = unseen
    member = setting.graph.nodes["tf"].member[: len(setting.factors)].numpy()
    np.testing.assert_array_equal(member >= 0, setting.part == factors_.SHOWN)
    known = factors_.vocabulary_of(setting.graph)["tf"]
    assert [known[m] for m in member if m >= 0] == [setting.factors[j] for j in setting.of(factors_.SHOWN)]  # fmt: skip
    edges = setting.graph.edges[factors_.FAMILY]
    source, target = edges.source.numpy(), edges.target.numpy()
    assert (setting.part[source] == factors_.SHOWN).all()
    assert (setting.family[source] == setting.family[target]).all()
    assert (source != target).all()


DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent")
def test_real_motifs_are_of_microarrays_and_name_their_factors():
    motifs = targets.read_motifs(targets.Tables(DATA))
    # WRKY12 binds the W box, TTGAC: its best word holds it on one strand.
    best = ["".join("ACGT"[i] for i in row.argmax(axis=1)) for row in (motifs["AT2G44745"],)]  # fmt: skip
    other = best[0].translate(str.maketrans("ACGT", "TGCA"))[::-1]
    assert "TTGAC" in best[0] or "TTGAC" in other
    families = factors_.read_families(targets.Tables(DATA))
    assert families["AT3G26790"] == "ABI3VP1"  # FUSCA3 has a B3 domain
