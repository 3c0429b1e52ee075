"""Tables, windows, splits and standardisation of promoters."""

import gzip

import numpy as np
import pytest

pytest.importorskip("torch")

from data_registry.errors import InputError, MalformedFileError
from encoders.nucleotides import decode, encode, reverse_complement
from models.promoter.data import Columns, fit_length, read_promoters
from models.promoter.splits import (
    gene_neighbourhoods,
    grouped_folds,
    grouped_split,
    merge_groups,
    published_split,
    similarity_clusters,
    smaller,
)
from models.promoter.standardisation import Calibration, Line, Standardisation

LONG = """sp\tgene\tsequence\tenrichment\tcondition
Zm\tg2\tACGTAC\t2.0\tdark
At\tg1\tAAAACC\t1.0\tdark
At\tg1\tAAAACC\t3.0\tdark
At\tg1\tAAAACC\t5.0\tlight
Zm\tg2\tACGTAC\t\tlight
"""


def random_codes(n, length, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (n, length)).astype(np.uint8)


def test_long_table_by_hand(tmp_path):
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress(LONG.encode()))
    found = read_promoters(path, length_bp=6)
    assert found.conditions == ("dark", "light")
    assert found.identifiers.tolist() == ["g1", "g2"]
    assert found.species.tolist() == ["At", "Zm"]
    assert [decode(c) for c in found.codes] == ["AAAACC", "ACGTAC"]
    np.testing.assert_array_equal(found.values, [[2.0, 5.0], [2.0, np.nan]])
    assert found.changes == {
        "value missing": 1, "measured again in the same condition": 1,
    }  # fmt: skip


def test_order_of_lines_does_not_matter(tmp_path):
    head, *rows = LONG.splitlines()
    for name, lines in (("a.tsv", rows), ("b.tsv", rows[::-1])):
        (tmp_path / name).write_text("\n".join([head, *lines]) + "\n")
    one, other = (read_promoters(tmp_path / n, length_bp=6) for n in ("a.tsv", "b.tsv"))
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.values, other.values)


def test_wide_table_in_tpm(tmp_path):
    (tmp_path / "t.csv").write_text("id,seq,leaf,root\na,ACGT,3,\nb,GGCC,0,1\n")
    columns = Columns("seq", "id", None, conditions=("leaf", "root"), log2p1=True)
    found = read_promoters(tmp_path / "t.csv", columns, length_bp=4)
    np.testing.assert_allclose(found.values, [[2.0, np.nan], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sp,gene,enrichment\nAt,g,1\n", "no column sequence"),
        ("sp,gene,sequence,enrichment,condition\nAt,g,AC,much,dark\n", "'much'"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, says):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(MalformedFileError, match=says):
        read_promoters(tmp_path / "t.csv", length_bp=4)


@pytest.mark.parametrize(
    ("given", "length", "expected"),
    [
        ("ACGTA", 3, "CGT"), ("ACGT", 4, "ACGT"), ("ACG", 7, "NNACGNN"),
        ("ACGT", 7, "NACGTNN"), ("", 2, "NN"), ("ACGTAC", 1, "T"),
    ],
)  # fmt: skip
def test_windows_are_centred(given, length, expected):
    assert decode(fit_length(encode(given), length)) == expected


# -- splits ----------------------------------------------------------------------------


def test_similar_sequences_share_a_cluster_on_either_strand():
    codes = random_codes(6, 170)
    codes[1, :100] = codes[0, 70:]  # an overlap of 100 bp
    codes[3] = reverse_complement(codes[2])
    found = similarity_clusters(codes)
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert len(set(found.tolist())) == 4


def test_clusters_agree_with_all_pairs():
    # Slow oracle: sets of k-mers, every pair.
    rng = np.random.default_rng(2)
    codes = random_codes(40, 60, seed=1)
    for i in range(20, 40):
        shared = int(rng.integers(8, 50))
        codes[i, :shared] = codes[i - 20, :shared]
    k, least = 8, 0.3

    def kmers(row):
        both = (row, reverse_complement(row))
        return {
            min(decode(both[0][i : i + k]), decode(both[1][60 - k - i : 60 - i]))
            for i in range(60 - k + 1)
        }

    sets = [kmers(row) for row in codes]
    parent = list(range(40))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for i in range(40):
        for j in range(i):
            if len(sets[i] & sets[j]) >= least * min(len(sets[i]), len(sets[j])):
                parent[root(i)] = root(j)
    expected = [root(i) for i in range(40)]
    found = similarity_clusters(codes, k=k, min_shared=least)
    assert 20 < len(set(expected)) < 40
    for i in range(40):
        for j in range(i):
            assert (found[i] == found[j]) == (expected[i] == expected[j])


def test_merged_groups_by_hand():
    a = np.array([0, 0, 1, 2, 3])
    b = np.array(["x", "", "x", "", ""])
    found = merge_groups(a, b)
    assert found[0] == found[1] == found[2]
    assert len({found[0], found[3], found[4]}) == 3


def test_gene_names_tell_neighbourhoods():
    names = [
        "AT1G01010", "AT1G01090", "AT1G02010", "AT2G01010",
        "SORBI_3001G000100", "SORBI_3001G000900", "Zm00001d000011", "ENSRNA049996419",
    ]  # fmt: skip
    found = gene_neighbourhoods(names).tolist()
    assert found[0] == found[1]
    assert found[4] == found[5]
    assert len(set(found[:7])) == 5
    assert found[7] == ""


def test_no_group_crosses_a_split():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 60, 400)
    folds = grouped_folds(groups, 5, rng)
    for group in range(60):
        assert len(set(folds[groups == group])) <= 1
    assert np.bincount(folds).min() > 60
    allowed = rng.random(400) < 0.8
    given = np.isin(groups, [1, 2]) & (rng.random(400) < 0.5)
    for split in (
        grouped_split("a", groups, rng, allowed=allowed),
        grouped_split("b", groups, rng, test=given, allowed=allowed | given),
    ):
        sides = [
            set(groups[rows]) for rows in (split.train, split.validation, split.test)
        ]
        assert all(sides)
        assert len(set.union(*sides)) == sum(map(len, sides))
        n = sum(map(len, (split.train, split.validation, split.test)))
        assert n + sum(split.left_out.values()) == 400


def test_a_group_larger_than_a_fold_teaches():
    groups = np.r_[np.zeros(300, int), np.arange(1, 101)]
    split = grouped_split("big", groups, np.random.default_rng(0))
    assert set(range(300)) <= set(split.train.tolist())


def test_too_few_rows_to_split_are_refused():
    with pytest.raises(InputError, match="too few"):
        grouped_split("one", np.zeros(5, int), np.random.default_rng(0))


def test_fewer_rows_keep_what_judges():
    split = grouped_split("a", np.arange(100), np.random.default_rng(0))
    less = smaller(split, 10, np.random.default_rng(1))
    assert len(less.train) == 10
    assert set(less.train) <= set(split.train)
    np.testing.assert_array_equal(less.test, split.test)


@pytest.mark.realdata
@pytest.mark.timeout(60)
def test_nothing_like_a_published_test_promoter_teaches(shared_data):
    folder = shared_data / "benchmarks/promoters/jores2021"
    table = read_promoters(folder / "six_conditions_long.tsv.gz", length_bp=170)
    clusters = similarity_clusters(table.codes)
    conditions = ["leaf_with_enh_dark", "proto_with_enh"]
    split = published_split(table, clusters, conditions, np.random.default_rng(3))
    sequences, genes = set(), set()
    for name in ("leaf", "proto"):
        text = gzip.decompress(
            (folder / f"CNN_test_{name}.tsv.gz").read_bytes()
        ).decode()
        lines = text.splitlines()
        rows = [
            dict(zip(lines[0].split("\t"), x.split("\t"), strict=True))
            for x in lines[1:]
        ]
        sequences |= {row["sequence"] for row in rows}
        genes |= {row["gene"] for row in rows}
    assert len(sequences) == len(split.test) == 14_026
    teaching = np.r_[split.train, split.validation]
    assert not sequences & {decode(codes) for codes in table.codes[teaching]}
    assert not genes & set(table.identifiers[teaching].tolist())
    assert not set(clusters[teaching]) & set(clusters[split.test])
    assert not set(clusters[split.train]) & set(clusters[split.validation])
    assert len(teaching) + len(split.test) + sum(split.left_out.values()) == len(table)


# -- standardisation -------------------------------------------------------------------


def test_z_scores_see_training_rows_only():
    values = np.array([[1.0], [3.0], [1000.0]])
    standard = Standardisation.fit(values[:2], ["c"])
    assert (standard.mean[0], standard.sd[0]) == (2.0, 1.0)
    np.testing.assert_allclose(standard.to_z(values), [[-1], [1], [998]])
    np.testing.assert_allclose(standard.from_z(standard.to_z(values)), values)


def test_a_constant_condition_is_refused():
    with pytest.raises(InputError, match="'c'"):
        Standardisation.fit(np.array([[1.0], [1.0], [np.nan]]), ["c"])


def test_calibration_by_species_and_back_to_tpm():
    predicted = np.tile(np.arange(60.0), 2)[:, None]
    species = np.repeat(["At", "Zm"], 60)
    measured = np.where(species == "At", 1 + 2 * predicted[:, 0], 5 - predicted[:, 0])
    rare = np.array(["Sb"] * 3)
    found = Calibration.fit(
        np.r_[predicted, predicted[:3]], np.r_[measured, [0.0, 0, 0]][:, None],
        np.r_[species, rare], ["c"], log2p1=True,
    )  # fmt: skip
    assert found.line("c", "At") == Line(pytest.approx(1.0), pytest.approx(2.0))
    np.testing.assert_allclose(found.apply(np.array([4.0]), "c", "Zm"), [1.0])
    assert found.line("c", "Sb") == found.line("c") == found.line("c", None)
    np.testing.assert_allclose(found.back(np.array([3.0, -1.0])), [7.0, 0.0])
