"""Expression matrices in every shape, and the metadata of samples."""

import gzip
import io
import json

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request
from data_registry.sources.expression import (
    detect_expression,
    detect_samples,
    parse_expression,
    parse_samples,
)

# Genes × cells; g2 is silent.
DENSE = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
GENES, CELLS = ["g1", "g2", "g3"], ["c1", "c2", "c3"]
TRIPLETS = [["g1", "c1", 1.0], ["g1", "c3", 2.0], ["g3", "c2", 5.0]]


def parse(folder, data, name="matrix.tsv", **kwargs):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    parsed = parse_expression(Request(path, "leaf", **kwargs))
    table = parsed.tables["expression"]
    assert parsed.tally.kept == table["_line"].nunique()
    assert set(table["dataset"]) == {"leaf"}
    return parsed, table


def values(table):
    return table[["gene_id", "sample_id", "value"]].to_numpy().tolist()


def test_matrix_of_genes_by_samples(tmp_path):
    text = (
        "# TPM of leaves\nGene ID\tGene Name\ts1\ts2\tlogMaxTPM\tID\n"
        "g1\tabc\t1.5\t\t3\t0\ng2\t\t0\t2\t3\t1\n\tx\t1\t1\t1\t2\n"
        "g1\tabc\t1\t1\t1\t3\ng3\tx\tNA\t\t1\t4\ng4\tx\t-1\t1\t1\t5\ng5\tx\tlow\t1\t1\t6\n"
        "g6\tx\tinf\t1\t1\t7\ng7\t\t4\t4\t4\t4\ng8\t\t4\t4\t4\t4\ng9\t\t4\t4\t4\t4\n"
        "ga\t\t4\t4\t4\t4\ngb\t\t4\t4\t4\t4\n"
    )
    assert detect_expression(tmp_path / "m.tsv", text.encode())
    parsed, table = parse(tmp_path, text)
    assert values(table)[:3] == [
        ["g1", "s1", 1.5],
        ["g2", "s1", 0.0],
        ["g2", "s2", 2.0],
    ]
    assert table["_line"].tolist()[:3] == [3, 4, 4]
    assert set(table["unit"]) == {"tpm"}
    assert parsed.tally.read == 13
    assert dict(parsed.tally.left_out) == {
        "no_gene": 1,
        "duplicate_gene": 1,
        "no_value": 1,
        "negative_value": 1,
        "not_numeric": 1,
        "not_finite": 1,
    }
    skipped = next(note for note in parsed.notes if "not taken" in note)
    assert all(name in skipped for name in ("Gene Name", "logMaxTPM", "ID"))


@pytest.mark.parametrize(
    ("name", "text", "unit"),
    [
        ("leaf_counts.csv", "gene,a\ng1,1.5\n", "unknown"),  # counts are whole numbers
        ("leaf_counts.csv", "gene,a\ng1,3\n", "counts"),
        ("leaf.csv", "gene,a\ng1,3\n", "counts"),
        ("leaf.csv", "gene,a\ng1,3.5\n", "unknown"),
        ("leaf_FPKM.tsv", "gene,a\ng1,3\n", "fpkm"),
        ("leaf_counts.csv", "gene,a,logMaxTPM\ng1,3.5,1\n", "tpm"),
        ("shrimps.csv", "gene,Trpm8_ko\ng1,3.5\n", "unknown"),
    ],
)
def test_unit_is_told_or_left_unknown(tmp_path, name, text, unit):
    _, table = parse(tmp_path, text, name)
    assert set(table["unit"]) == {unit}
    _, told = parse(tmp_path, text, name, options={"unit": "cpm"})
    assert set(told["unit"]) == {"cpm"}


def test_samples_as_rows_give_the_same_values(tmp_path):
    _, genes = parse(tmp_path, "gene\ts1\ts2\ng1\t1.5\t2\ng2\t3\t4\n")
    _, samples = parse(
        tmp_path, "sample\tg1\tg2\ns1\t1.5\t3\ns2\t2\t4\n",
        options={"orientation": "samples"},
    )  # fmt: skip
    assert sorted(values(genes)) == sorted(values(samples))


def test_empty_cells_stand_for_what_is_said(tmp_path):
    text = "gene\ts1\ts2\ng1\t\t2.5\n"
    assert values(parse(tmp_path, text)[1]) == [["g1", "s2", 2.5]]
    _, zero = parse(tmp_path, text, options={"blank": "0"})
    assert values(zero) == [["g1", "s1", 0.0], ["g1", "s2", 2.5]]


def test_sparse_shapes_hold_the_same(tmp_path):
    matrix = scipy.sparse.csc_matrix(DENSE)
    (tmp_path / "features.tsv.gz").write_bytes(
        gzip.compress(b"g1\tA\tGene Expression\ng2\tB\tx\ng3\tC\tx\n")
    )
    (tmp_path / "barcodes.tsv").write_text("c1\nc2\nc3\n")
    market = io.BytesIO()
    scipy.io.mmwrite(market, matrix)
    parsed, table = parse(tmp_path, gzip.compress(market.getvalue()), "matrix.mtx.gz")
    assert values(table) == TRIPLETS
    assert (parsed.tally.read, dict(parsed.tally.left_out)) == (3, {"no_value": 1})

    for sparse in (matrix, matrix.tocsr()):
        stream = io.BytesIO()
        scipy.sparse.save_npz(stream, sparse)
        _, table = parse(
            tmp_path, stream.getvalue(), "m.npz", options={"cells": "barcodes.tsv"}
        )
        assert values(table) == TRIPLETS

    text = "gene\tcell\tvalue\n" + "".join(f"{g}\t{c}\t{v}\n" for g, c, v in TRIPLETS)
    parsed, table = parse(tmp_path, text + "g2\tc1\t0\n")
    assert values(table) == TRIPLETS
    assert dict(parsed.tally.left_out) == {"zero": 1}


def test_names_must_fit_the_matrix(tmp_path):
    stream = io.BytesIO()
    scipy.sparse.save_npz(stream, scipy.sparse.csc_matrix(DENSE))
    with pytest.raises(InputError, match="no file with the names of its genes"):
        parse(tmp_path, stream.getvalue(), "m.npz")
    (tmp_path / "genes.tsv").write_text("g1\ng2\n")
    (tmp_path / "barcodes.tsv").write_text("c1\nc2\nc3\n")
    with pytest.raises(MalformedFileError, match="2 names of genes and 3 of cells"):
        parse(tmp_path, stream.getvalue(), "m.npz")


def test_damaged_sparse_files_are_refused(tmp_path):
    stream = io.BytesIO()
    scipy.sparse.save_npz(stream, scipy.sparse.csc_matrix(DENSE))
    whole = stream.getvalue()
    with pytest.raises(MalformedFileError, match=r"no readable \.npz"):
        parse(tmp_path, whole[: len(whole) // 2], "m.npz")
    with pytest.raises(MalformedFileError, match="MatrixMarket"):
        parse(tmp_path, "%%MatrixMarket matrix coordinate real general\n3 3 2\n1 1 1\n")
    bad = io.BytesIO()
    np.savez(bad, data=[1.0], indices=[9], indptr=[0, 1, 1], shape=[3, 2], genes=GENES)
    with pytest.raises(MalformedFileError, match="no valid csc matrix"):
        parse(tmp_path, bad.getvalue(), "m.npz")


@pytest.mark.parametrize("is_sparse", [True, False], ids=["sparse", "dense"])
def test_anndata_with_cells_and_places(tmp_path, is_sparse):
    anndata = pytest.importorskip("anndata")
    cells = DENSE.T
    data = anndata.AnnData(
        scipy.sparse.csr_matrix(cells) if is_sparse else cells,
        obs=pd.DataFrame(
            {
                "leiden": ["0", "1", "0"],
                "tissue": ["root"] * 3,
                "batch": ["x", "y", "y"],
            },
            index=CELLS,
        ),
        var=pd.DataFrame({"locus": ["L1", "L2", "L3"]}, index=GENES),
        obsm={"spatial": np.array([[0.5, 1.0], [2, 3], [4, 5]])},
    )
    data.layers["twice"] = 2 * cells
    data.write_h5ad(tmp_path / "x.h5ad")
    packed = (tmp_path / "x.h5ad").read_bytes()
    assert detect_expression(tmp_path / "x.h5ad", packed)
    parsed, table = parse(tmp_path, packed, "x.h5ad")
    assert values(table) == TRIPLETS
    samples = parsed.tables["samples"].set_index("sample_id")
    assert samples.loc["c2", ["tissue", "cell_type", "x", "y"]].tolist() == [
        "root",
        "1",
        2.0,
        3.0,
    ]
    assert json.loads(samples.loc["c2", "metadata"]) == {"batch": "y"}
    _, layer = parse(
        tmp_path,
        packed,
        "x.h5ad",
        options={"layer": "twice"},
        columns={"gene_id": "locus"},
    )
    assert values(layer) == [["L" + g[1], c, 2 * v] for g, c, v in TRIPLETS]
    with pytest.raises(InputError, match="no layer 'x'"):
        parse(tmp_path, packed, "x.h5ad", options={"layer": "x"})
    with pytest.raises(MalformedFileError, match="AnnData"):
        parse(tmp_path, packed[:3000], "x.h5ad")


def test_samples_keep_what_has_no_column_of_its_own(tmp_path):
    text = (
        "Run,tissue,treatment,timepoint,batch\ns1,leaf,cold,2.5,A\ns2,root,,4h,\n"
        "s1,leaf,cold,3,B\n"
    )
    assert detect_samples(tmp_path, text.encode())
    path = tmp_path / "samples.csv"
    path.write_text(text)
    parsed = parse_samples(Request(path, "meta", {"dataset": "leaf"}))
    table = parsed.tables["samples"].set_index("sample_id")
    assert table.loc["s1", ["dataset", "tissue", "condition", "time"]].tolist() == [
        "leaf",
        "leaf",
        "cold",
        2.5,
    ]
    assert json.loads(table.loc["s1", "metadata"]) == {"batch": "A"}
    assert np.isnan(table.loc["s2", "time"])
    assert json.loads(table.loc["s2", "metadata"]) == {"time": "4h"}
    assert dict(parsed.tally.left_out) == {"duplicate_sample": 1}

    parsed, _ = parse(
        tmp_path, "gene\ts1\ts9\ng1\t1.5\t2\n", options={"samples": str(path)}
    )
    assert parsed.tables["samples"][["dataset", "sample_id"]].to_numpy().tolist() == [
        ["leaf", "s1"]
    ]
    with pytest.raises(InputError, match="none of its samples"):
        parse(tmp_path, "gene\ts8\ts9\ng1\t1.5\t2\n", options={"samples": str(path)})


def test_what_cannot_be(tmp_path):
    with pytest.raises(InputError, match="unit=x"):
        parse(tmp_path, "gene\ta\ng\t1\n", options={"unit": "x"})
    with pytest.raises(InputError, match="no column 'z'"):
        parse(tmp_path, "gene\ta\ng\t1\n", options={"skip": "z"})
    with pytest.raises(MalformedFileError, match="no column of numbers"):
        parse(tmp_path, "gene\tcolour\ng\tred\nh\tblue\n")


@pytest.mark.realdata
def test_real_matrices(shared_data):
    path = shared_data / "arabidopsis/expression/arabidopsis_leaf_counts.csv.gz"
    parsed = parse_expression(Request(path, "leaf"))
    table = parsed.tables["expression"]
    raw = pd.read_csv(path).drop(columns="logMaxTPM").set_index("gene_id")
    # the file is called counts and holds TPM
    assert set(table["unit"]) == {"tpm"}
    assert parsed.tally.kept == len(raw) == 27_655
    np.testing.assert_allclose(
        table["value"].to_numpy().reshape(raw.shape), raw.to_numpy(), rtol=1e-12
    )

    path = shared_data / "arabidopsis/derived/scRNA_Ath_7000x2000_csc.npz"
    parsed = parse_expression(Request(path, "cells"))
    assert (parsed.tally.read, dict(parsed.tally.left_out)) == (7000, {"no_value": 267})
    table = parsed.tables["expression"]
    assert len(table) == 959_704
    with np.load(path) as archive:
        assert table["value"].sum() == archive["data"].sum(dtype=np.float64)
        # first stored value: row indices[0] of the first cell
        gene, cell = archive["genes"][archive["indices"][0]], archive["cells"][0]
        stored = archive["data"][0]
    found = table[(table["gene_id"] == gene) & (table["sample_id"] == cell)]
    assert found["value"].tolist() == [stored]

    region = shared_data / "arabidopsis_region/scRNA_triplets.tsv.gz"
    triplets = parse_expression(Request(region, "cells")).tables["expression"]
    both = triplets.merge(table, on=["gene_id", "sample_id"])
    assert len(both) == len(triplets) == 8179
    assert (both["value_x"] == both["value_y"]).all()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("h.txt", "ID\tWT_K4me2\tInp\nAT1G01010\t1.5\t2\n"),
        ("ChIP_RPKM.txt", "ID\tWT\nAT1G01010\t1.5\n"),
        ("tss.csv", "Locus,Seq,Label\nAT1G01010.1,ACGT,1\n"),
        ("markers.tsv", "gene\tmarker_id\nAT1G01010\t5685_1\n"),  # float("5685_1")
        ("lines.tsv", "id\tT1\nIND1001\t4.5\n"),
    ],
)
def test_tables_of_this_shape_that_are_no_expression(tmp_path, name, text):
    assert not detect_expression(tmp_path / name, text.encode())
    rna = b"ID\tWT_1\nAT1G01010\t64\n"
    assert detect_expression(tmp_path / "PerGene_ChIP1RNA.txt", rna)


def test_a_histone_signal_is_not_expression(tmp_path):
    path = tmp_path / "marks.tsv"
    path.write_text("gene_id\tH3K4me3\nG1\t2.5\n")
    parsed = parse_expression(
        Request(path, "marks", {"assay": "histone", "unit": "rpkm"})
    )
    assert "expression" not in parsed.tables
    row = parsed.tables["gene_signals"].iloc[0]
    assert (row["assay"], row["gene_id"], row["value"]) == ("histone", "G1", 2.5)


@pytest.mark.parametrize(
    "text",
    [
        "YAL001C\t1\t2\nYAL002W\t3\t4\n",  # a locus name
        "geneA1\t1\t2\ngeneA2\t3\t4\n",  # built as the next row's name
        "abc\t1.5\t2\nxyz\t3\t4\n",  # no sample is called 1.5
        "AT1G01010\tNA\t3\nAT1G01020\t3\t4\n",
    ],
)
def test_a_table_without_a_header_keeps_no_gene_from_us(tmp_path, text):
    """Its first row would be taken for the header, and that gene lost."""
    with pytest.raises(MalformedFileError, match=r"line 1: .* has no header"):
        parse(tmp_path, text)


@pytest.mark.parametrize(
    "header", ["gene_id\t6909\t7000", "Symbol\t6909\t7000", "\t6909\t7000"]
)
def test_samples_may_be_named_by_numbers(tmp_path, header):
    parsed, table = parse(tmp_path, f"{header}\nYAL001C\t1\t2\nYAL002W\t3\t4\n")
    assert parsed.tally.read == 2
    assert values(table)[0] == ["YAL001C", "6909", 1.0]


def test_samples_without_further_columns(tmp_path):
    path = tmp_path / "s.tsv"
    path.write_text("sample\ttissue\ns1\tleaf\ns2\troot\n")
    table = parse_samples(Request(path, "s")).tables["samples"]
    assert table["tissue"].tolist() == ["leaf", "root"]
    assert table["metadata"].tolist() == ["{}", "{}"]
