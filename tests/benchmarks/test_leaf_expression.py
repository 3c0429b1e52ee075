import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch_geometric")
pytest.importorskip("transformers")

from benchmarks.leaf_expression import LENGTH_BP, read_genes
from encoders.nucleotides import decode


@pytest.mark.realdata
def test_windows_stand_around_the_start_on_the_strand_of_the_gene(shared_data):
    genes = read_genes(shared_data)
    promoters, split = genes.promoters, genes.split
    assert promoters.codes.shape == (556, LENGTH_BP)
    assert sum(genes.left_out.values()) + 556 == 27_628
    sides = [split.train, split.validation, split.test]
    groups = [set(genes.groups[side]) for side in sides]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    assert not groups[0] & groups[1]
    # An initiator is a pyrimidine and a purine, the second of them transcribed first.
    middle = LENGTH_BP // 2

    def initiators(offset: int) -> float:
        at = middle + offset
        pairs = [decode(row[at - 1 : at + 1]) for row in promoters.codes]
        return float(np.mean([a in "CT" and b in "AG" for a, b in pairs]))

    assert initiators(0) > 1.5 * max(initiators(-1), initiators(1))


@pytest.mark.realdata
def test_expression_is_that_of_the_table(shared_data):
    promoters = read_genes(shared_data).promoters
    row = int(np.flatnonzero(promoters.identifiers == "AT5G65080")[0])
    table = pd.read_csv(
        shared_data / "arabidopsis/expression/arabidopsis_leaf_counts.csv.gz",
        index_col=0,
    )
    samples = table.loc["AT5G65080"].drop("logMaxTPM")
    expected = np.log2(1 + samples.to_numpy(float)).mean()
    assert promoters.of("leaf")[row] == pytest.approx(expected)
