import numpy as np
import pytest

from benchmarks.yeast_promoters import FIXED_BP, LENGTH_BP, padded, read_library
from encoders.nucleotides import UNKNOWN, decode, encode


def test_shorter_promoters_keep_their_end():
    codes = padded(["ACGT", "GT"], 3)
    assert [decode(row) for row in codes] == ["CGT", "NGT"]


@pytest.mark.realdata
def test_no_cluster_stands_on_two_sides(shared_data):
    library = read_library(shared_data)
    split, promoters = library.split, library.promoters
    sides = [split.train, split.validation, split.test]
    clusters = [set(library.clusters[side]) for side in sides]
    assert not clusters[0] & clusters[2]
    assert not clusters[1] & clusters[2]
    assert not clusters[0] & clusters[1]
    assert sum(map(len, sides)) == len(promoters) == 10_488
    # What the clusters are for: mutants of one native promoter, one base apart.
    varying = promoters.codes[:, FIXED_BP[0] : LENGTH_BP - FIXED_BP[1]]
    test = varying[split.test]
    nearest = [
        (row != varying[split.train]).sum(axis=1).min()
        for row in test[:: len(test) // 50]
    ]
    assert min(nearest) > 20


@pytest.mark.realdata
def test_measurements_and_published_predictions_are_those_of_the_tables(shared_data):
    library = read_library(shared_data)
    # The first line of Native_complex.csv.gz
    wanted = encode(
        "TGCATTTTTTTCACATCAAAAAAAAAAAGAAAAACAAAGAAAAAGGGGGAATAACACAGCCGCGGGTAACATGAAGCGGCG"
        "CGAGCGATACTTCCGTGGTTACGGCTGTT"
    )
    (row,) = np.flatnonzero((library.promoters.codes == wanted).all(axis=1))
    assert library.kinds[row] == "native"
    assert library.promoters.of("complex")[row] == pytest.approx(13.1688162850333)
    assert library.published[row][0] == pytest.approx(14.333738433356755)
    # A promoter shorter than 110 bp is written with N before it there, and kept.
    assert (library.promoters.codes[:, 0] == UNKNOWN).sum() > 0
