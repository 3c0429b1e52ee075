"""GUE: measures by hand, floors that find what is planted, near copies, real floors."""

import gzip

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from data_registry.errors import MalformedFileError  # noqa: E402
from encoders import nucleotides  # noqa: E402
from encoders.language import LanguageConfig, LanguageNetwork  # noqa: E402
from encoders.nucleotides import reverse_complement  # noqa: E402
from models.gue import (  # noqa: E402
    LanguageClassifier,
    LowerLayers,
    Part,
    Schedule,
    SmallCNN,
    Task,
    auroc,
    bootstrap,
    fit_network,
    fit_ridge,
    gc_content,
    kmer_shares,
    language_features,
    matthews,
    near_copies,
    pooled,
    read_part,
    read_task,
)


def codes(*sequences):
    return np.stack([nucleotides.encode(s) for s in sequences])


def test_measures_by_hand():
    labels = np.array([1, 1, 1, 0, 0])
    scores = np.array([2.0, 1.0, -1.0, 0.5, -2.0])
    # Two true and one false positive, one true and one false negative.
    assert matthews(labels, scores) == pytest.approx((2 * 1 - 1 * 1) / 36**0.5)
    assert matthews(labels, np.ones(5)) == 0.0
    # Of six pairs the 1 is above in five: 2 and 1 above both, -1 above -2 alone.
    assert auroc(labels, scores) == pytest.approx(5 / 6)
    assert auroc(labels, np.zeros(5)) == 0.5
    assert np.isnan(auroc(np.ones(3, int), np.ones(3)))


def test_an_interval_holds_the_value_and_shrinks_with_rows():
    rng = np.random.default_rng(1)
    widths = []
    for n in (100, 1600):
        labels = rng.integers(0, 2, n)
        scores = labels - 0.5 + rng.normal(size=n)
        low, high = bootstrap(matthews, labels, [scores], rng, n_draws=200)
        assert low < matthews(labels, scores) < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.3)


def test_differences_are_paired_by_row():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 300)
    scores = labels - 0.5 + rng.normal(size=300)
    worse = scores + 0.2 * rng.normal(size=300)

    def between(one, other):
        return bootstrap(
            matthews, labels, [one], np.random.default_rng(1), against=[other]
        )

    assert between(scores, scores) == (0.0, 0.0)
    low, high = between(scores, worse)
    assert between(worse, scores) == pytest.approx((-high, -low))
    alone = bootstrap(matthews, labels, [scores], np.random.default_rng(1))
    assert high - low < 0.7 * (alone[1] - alone[0])


def test_features_by_hand():
    assert gc_content(codes("GGCA", "NNAC", "NNNN")).ravel().tolist() == [
        0.75,
        0.5,
        0.0,
    ]
    shares = kmer_shares(codes("AACG", "ANAA"), k=2)
    assert shares[0].nonzero()[0].tolist() == [0, 1, 6]
    assert shares[0].sum() == pytest.approx(1.0)
    assert shares[1].nonzero()[0].tolist() == [0]


def test_near_copies_on_either_strand():
    rng = np.random.default_rng(2)
    train = rng.integers(0, 4, (4, 60)).astype(np.uint8)
    half = np.concatenate([train[1][:42], rng.integers(0, 4, 18)]).astype(np.uint8)
    third = np.concatenate([train[2][:30], rng.integers(0, 4, 30)]).astype(np.uint8)
    test = np.stack([train[0], reverse_complement(train[3]), half, third])
    # 42 shared bases hold 27 of 45 words; 30 hold 15 of 45.
    assert near_copies(test, train).tolist() == [0, 3, 1, -1]
    assert near_copies(codes("ACGT"), codes("ACGT")).tolist() == [-1]


def planted(n, seed, *, both_strands):
    """Half of the sequences hold TGACTCATTC somewhere."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 4, (n, 50)).astype(np.uint8)
    labels = np.arange(n) % 2
    for row in np.flatnonzero(labels):
        at = rng.integers(0, 41)
        found[row, at : at + 10] = nucleotides.encode("TGACTCATTC")
    if both_strands:
        turn = rng.random(n) < 0.5
        found[turn] = reverse_complement(found[turn])
    return Part(found, labels)


def planted_task(*, both_strands):
    parts = [planted(n, n, both_strands=both_strands) for n in (600, 200, 300)]
    return Task("planted", *parts, both_strands=both_strands)


def test_the_ridge_finds_a_planted_word_and_gc_does_not():
    task = planted_task(both_strands=False)
    words = fit_ridge(kmer_shares, task.train, task.dev)(task.test.codes)
    gc = fit_ridge(gc_content, task.train, task.dev)(task.test.codes)
    assert matthews(task.test.labels, words) > 0.7
    assert abs(matthews(task.test.labels, gc)) < 0.25


def test_the_network_finds_it_on_both_strands_and_says_the_same_twice():
    task = planted_task(both_strands=True)

    def fitted():
        generator = torch.Generator().manual_seed(1)
        model = SmallCNN(generator, channels=16)
        return fit_network(model, task, generator, Schedule(epochs=10, batch=32))

    first = fitted()
    found = first(task.test.codes)
    assert matthews(task.test.labels, found) > 0.7
    np.testing.assert_allclose(
        found, first(reverse_complement(task.test.codes)), atol=1e-5
    )
    np.testing.assert_array_equal(found, fitted()(task.test.codes))


@pytest.fixture(scope="module")
def network():
    config = LanguageConfig(width=32, layers=("conv:3:1",), kmer=2, head=16)
    network = LanguageNetwork(config, torch.Generator().manual_seed(1))
    # A fresh network's layers add nothing: give them something to add.
    for weights in network.parameters():
        torch.nn.init.normal_(
            weights, std=0.2, generator=torch.Generator().manual_seed(2)
        )
    return network


def test_language_features_leave_out_the_padding_and_the_strand(network):
    read = codes("ACGTTGCA" * 4)
    features = language_features(network)
    assert features(read).shape == (1, 32)
    np.testing.assert_allclose(
        features(read), features(reverse_complement(read)), atol=1e-5
    )
    part = torch.from_numpy(np.pad(read, ((0, 0), (0, 9)), constant_values=4)).long()
    one, two = network.hidden(part)
    by_hand = ((one + two) / 2)[0, :32]
    expected = torch.cat([by_hand.mean(0), by_hand.amax(0)])
    torch.testing.assert_close(pooled(network, part)[0], expected)


def test_a_language_model_is_trained_further(network):
    import copy

    task = planted_task(both_strands=True)
    model = LanguageClassifier(copy.deepcopy(network))
    before = [p.clone() for p in model.network.parameters()]
    epochs = []
    fit_network(
        model, task, torch.Generator().manual_seed(1), Schedule(epochs=1, batch=64),
        on_epoch=lambda epoch, mcc: epochs.append((epoch, mcc)),
    )  # fmt: skip
    assert epochs[0][0] == 1
    moved = [
        not torch.equal(a, b)
        for a, b in zip(before, model.network.parameters(), strict=True)
    ]
    # All but the output layer of the language model itself, which has no part in it.
    assert sum(moved) == len(moved) - 1


@pytest.fixture
def deep():
    """Return a network of three layers that all add something."""
    config = LanguageConfig(
        width=32, layers=("conv:3:1", "conv:3:2", "conv:3:4"), kmer=2, head=16
    )
    rng = torch.Generator().manual_seed(3)
    network = LanguageNetwork(config, rng)
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=0.2, generator=rng)
    return network


def test_kept_lower_layers_are_what_is_computed_on_either_strand(deep):
    lower = LowerLayers(deep, 2)
    read = torch.from_numpy(codes("ACGTTGCAAC", "GGGTTNNNNN", "ACGTTGCAAC")).long()
    turned = torch.from_numpy(reverse_complement(read.numpy().astype(np.uint8))).long()
    expected = pooled(deep, read)
    for asked in (read, turned, read[[1]], read):
        wanted = expected[[1]] if len(asked) == 1 else expected
        torch.testing.assert_close(pooled(deep, asked, lower), wanted)
    assert len(lower.known) == 2


def test_only_the_upper_layers_are_trained(deep):
    import copy

    task = planted_task(both_strands=True)
    lower = LowerLayers(deep, 2)
    model = LanguageClassifier(copy.deepcopy(deep), lower)
    with torch.inference_mode():  # what is read then must do for training too
        model(torch.from_numpy(task.train.codes[:9]).long())
    fit_network(
        model, task, torch.Generator().manual_seed(1), Schedule(epochs=1, batch=64)
    )
    moved = {
        name
        for (name, a), b in zip(
            model.network.named_parameters(), deep.parameters(), strict=True
        )
        if not torch.equal(a, b)
    }
    upper = {"layers.2.norm", "layers.2.into", "layers.2.out"}
    assert moved == upper | {"norm", "here", "there", "bias"}


def test_bfloat16_features_are_near_float32(deep):
    read = planted(20, 1, both_strands=False).codes
    wide = language_features(deep)(read)
    deep.stream_dtype = torch.bfloat16
    narrow = language_features(deep)(read)
    assert not np.array_equal(wide, narrow)
    np.testing.assert_allclose(narrow, wide, atol=0.02 * np.abs(wide).max())


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("seq,label\nACGT,1\n", "header"),
        ("sequence,label\nACGT,2\n", "line 2"),
        ("sequence,label\nACGT,1\nAC-T,0\n", "line 3"),
        ("sequence,label\n", "no row"),
    ],
)
def test_other_files_are_refused(tmp_path, text, match):
    path = tmp_path / "train.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(MalformedFileError, match=match):
        read_part(path)


@pytest.mark.realdata
def test_the_floor_of_a_real_task_is_as_stated(shared_data):
    task = read_task(shared_data / "benchmarks/dna_lm/GUE", "prom/prom_core_tata")
    assert (len(task.train), len(task.test), task.both_strands) == (4904, 613, False)
    scores = fit_ridge(kmer_shares, task.train, task.dev)(task.test.codes)
    assert matthews(task.test.labels, scores) == pytest.approx(0.458, abs=0.02)
