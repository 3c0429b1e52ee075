"""Observed over expected contact, by hand and against a slow program."""

import numpy as np
import pytest

from graph_builder.contacts import build_contact_map


def make_rows(pairs, *, bin_bp=1000, sample="hic", loops=()):
    given = [(*pair, False) for pair in pairs] + [(*loop, True) for loop in loops]
    first = np.array([[a, b] for _, a, _, b, _, _ in given], np.int64).reshape(-1, 2)
    return {
        "contig1": np.array([row[0] for row in given], object),
        "start1": first[:, 0] * bin_bp,
        "end1": (first[:, 0] + 1) * bin_bp,
        "contig2": np.array([row[2] for row in given], object),
        "start2": first[:, 1] * bin_bp,
        "end2": (first[:, 1] + 1) * bin_bp,
        "count": np.array([row[4] for row in given], float),
        "balanced": np.full(len(given), np.nan),
        "is_loop": np.array([row[5] for row in given], bool),
        "sample": np.array([sample] * len(given), object),
    }


def look_up(found, contig, a, b):
    bins = found.bins_at(np.array([contig, contig], object), np.array([a, b]))
    oe, relative = found.look_up(bins[:1], bins[1:])
    return oe[0], relative[0]


def test_expected_counts_pairs_without_contacts():
    # bins 0, 1, 2 of one contig are seen. Distance 1: contacts 6 and 2 of two pairs,
    # mean 4. Distance 2: 1 of one pair. Distance 0: 9 of three pairs, mean 3.
    found = build_contact_map(
        make_rows([("c", 0, "c", 1, 6), ("c", 1, "c", 2, 2), ("c", 0, "c", 2, 1),
                   ("c", 0, "c", 0, 9)]),
        None,
    )  # fmt: skip
    assert found.bin_bp == 1000
    assert look_up(found, "c", 500, 1500) == (1.5, 1.5)
    assert look_up(found, "c", 1999, 2000) == (0.5, 0.5)
    assert look_up(found, "c", 0, 2000) == (1.0, 0.25)
    assert look_up(found, "c", 0, 0) == (3.0, 2.25)
    assert look_up(found, "c", 1500, 1500) == (0.0, 0.0)  # seen, no contact
    assert np.isnan(look_up(found, "c", 0, 5000)).all()  # no such bin
    assert np.isnan(look_up(found, "d", 0, 0)).all()
    np.testing.assert_array_equal(found.expected, [0.75, 1.0, 0.25])


def test_contacts_between_contigs_have_one_mean():
    # two bins on each contig: four pairs between them, contacts 3 and 1, mean 1
    found = build_contact_map(
        make_rows([("a", 0, "b", 0, 3), ("a", 1, "b", 1, 1)]), None
    )
    np.testing.assert_array_equal(found.oe, [3.0, 1.0])


def test_expected_against_all_pairs_one_by_one():
    rng = np.random.default_rng(5)
    matrix = rng.poisson(2.0, (2, 12, 12)) * (rng.random((2, 12, 12)) < 0.5)
    pairs = [
        ("ab"[c], i, "ab"[c], j, matrix[c, i, j])
        for c in range(2)
        for i in range(12)
        for j in range(i, 12)
        if matrix[c, i, j]
    ]
    found = build_contact_map(make_rows(pairs), None)
    seen = {(pair[0], k) for pair in pairs for k in (pair[1], pair[3])}
    for contig, i, _, j, n in pairs:
        same = [
            matrix["ab".index(c), k, k + j - i]
            for c in "ab"
            for k in range(12 - (j - i))
            if (c, k) in seen and (c, k + j - i) in seen
        ]
        oe, _ = look_up(found, contig, i * 1000, j * 1000)
        assert oe == pytest.approx(n / np.mean(same))


def test_finer_libraries_are_summed_and_coarser_ones_counted():
    fine = make_rows([("c", 0, "c", 2, 1), ("c", 1, "c", 3, 2)], bin_bp=500)
    coarse = make_rows([("c", 0, "c", 1, 7)], bin_bp=2000, sample="wide")
    rows = {name: np.concatenate([fine[name], coarse[name]]) for name in fine}
    found = build_contact_map(rows, 1000)
    assert found.count.tolist() == [3.0]
    assert found.left_out == {"library_coarser_than_bins": 1}
    assert build_contact_map(rows, None).bin_bp == 500
    assert build_contact_map(rows, 2000).left_out == {}


def test_masked_bins_do_not_count():
    rows = make_rows([("c", 0, "c", 1, 6), ("c", 1, "c", 2, 2), ("c", 2, "c", 3, 9)])
    rows["balanced"] = np.array([0.3, 0.1, np.nan])
    found = build_contact_map(rows, None)
    assert found.left_out == {"masked_bin": 1}
    assert look_up(found, "c", 0, 1000) == pytest.approx((1.5, 1.5))
    assert np.isnan(look_up(found, "c", 2000, 3000)).all()


def test_loops_alone_make_bins_of_their_own():
    found = build_contact_map(make_rows([], loops=[("c", 1, "c", 40, 5.0)]), None)
    assert found.bin_bp == 10_000
    assert found.loop_score.tolist() == [5.0]
    assert np.isnan(found.oe).all()


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(1)
    pairs = [
        ("c", int(i), "c", int(j), float(n))
        for i, j, n in zip(
            rng.integers(0, 20, 300), rng.integers(0, 20, 300), rng.random(300),
            strict=True,
        )
    ]  # fmt: skip
    rows = make_rows(pairs)
    order = rng.permutation(300)
    a = build_contact_map(rows, None)
    b = build_contact_map({name: one[order] for name, one in rows.items()}, None)
    np.testing.assert_array_equal(a.oe, b.oe)
    np.testing.assert_array_equal(a.relative, b.relative)
    np.testing.assert_array_equal(a.count, b.count)


@pytest.mark.realdata
def test_expected_of_a_real_map_against_cooler_s_own_matrix(shared_data):
    cooler = pytest.importorskip("cooler")
    path = shared_data / "yeast/hic/scer_w303_g1_2kb_SRR8769554.cool"
    file = cooler.Cooler(str(path))
    pixels = file.matrix(balance=False, as_pixels=True, join=True).fetch("chr1")
    pixels = pixels[pixels["chrom1"] == pixels["chrom2"]]
    rows = {
        "contig1": pixels["chrom1"].astype(str).to_numpy(object),
        "start1": pixels["start1"].to_numpy(),
        "end1": pixels["end1"].to_numpy(),
        "contig2": pixels["chrom2"].astype(str).to_numpy(object),
        "start2": pixels["start2"].to_numpy(),
        "end2": pixels["end2"].to_numpy(),
        "count": pixels["count"].to_numpy(float),
        "balanced": np.full(len(pixels), np.nan),
        "is_loop": np.zeros(len(pixels), bool),
        "sample": np.full(len(pixels), "hic", object),
    }
    found = build_contact_map(rows, None)
    dense = file.matrix(balance=False).fetch("chr1").astype(float)
    sees = dense.sum(axis=0) > 0
    both = np.outer(sees, sees)
    assert found.bin_bp == 2000
    mean = [np.diagonal(dense, d)[np.diagonal(both, d)].mean() for d in range(60)]
    np.testing.assert_allclose(found.expected[:60], np.array(mean) / mean[1])
    i, j = np.flatnonzero(sees)[[3, 9]]
    oe, _ = look_up(found, "chr1", i * 2000, j * 2000)
    assert oe == pytest.approx(dense[i, j] / mean[j - i])
