"""``cisgraph causal``: every command on small files; what it writes, counts and refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dashboards.cli import app
from data_registry.errors import InputError, NotIdentifiedError
from variant_effect.causal.fine_mapping import locus_from_genotypes

from .loci import genotypes, trait
from .test_structural_equations import lines


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["causal", *map(str, words)])
    if result.exception is not None:
        raise result.exception
    return result.output


def read(base: Path) -> tuple[pd.DataFrame, dict]:
    table = pd.read_csv(f"{base}.tsv", sep="\t")
    return table, json.loads(Path(f"{base}.json").read_text())


@pytest.mark.parametrize("command", ["mr", "coloc", "finemap", "mediate", "graph"])
def test_every_command_has_examples(command: str) -> None:
    output = run(command, "--help")
    assert f"cisgraph causal {command}" in output


def effects(path: Path, beta: np.ndarray, se: float, first: int = 0) -> Path:
    rows = [
        f"rs{first + i}\tA\tG\t{b:.6f}\t{se}\t0.3\t100000" for i, b in enumerate(beta)
    ]
    header = "SNP\teffect_allele\tother_allele\tbeta\tse\teaf\tn"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def two_traits(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(1)
    gamma = rng.normal(0.2, 0.05, 30)
    one = effects(tmp_path / "x.tsv", gamma, 0.01)
    # The second table begins and ends two variants later.
    later = np.append(gamma[2:], [0.2, 0.2])
    return one, effects(
        tmp_path / "y.tsv", 0.5 * later + rng.normal(0, 0.02, 30), 0.02, 2
    )


def test_mr_writes_estimates_and_accounts_for_every_row(two_traits, tmp_path) -> None:
    out = tmp_path / "results" / "mr"
    output = run("mr", *two_traits, "--out", out, "--draws", 200)
    assert "28 instruments" in output
    assert (
        "exposure: 30 rows = 28 used + 2 left out (not_in_the_other_table 2)" in output
    )
    table, report = read(out)
    assert table["n_variants"].eq(28).all()
    assert len(table) == 6
    ivw = table.set_index("method")["estimate"]["IVW, random effects"]
    assert abs(ivw - 0.5) < 0.06
    accounting = report["accounting"]["exposure"]
    assert accounting["read"] == accounting["kept"] + sum(
        accounting["left_out"].values()
    )
    assert len(report["leave_one_out"]) == 28
    assert report["checks"]["steiger"]["is_forward"] is True
    lost = pd.read_csv(f"{out}.left_out.tsv", sep="\t")
    assert lost["line"].tolist() == [2, 3, 30, 31]
    again = run("mr", *two_traits, "--out", out, "--draws", 200)
    assert again == output  # the same seed, the same numbers


def test_mr_says_what_was_not_run(tmp_path) -> None:
    one = effects(tmp_path / "a.tsv", np.array([0.2, 0.3]), 0.01)
    two = effects(tmp_path / "b.tsv", np.array([0.1, 0.2]), 0.02)
    output = run("mr", one, two, "--out", tmp_path / "o")
    assert "not run: Egger: Egger regression needs 3 instruments" in output
    weak = effects(tmp_path / "c.tsv", np.array([0.01, -0.01]), 0.05)
    with pytest.raises(NotIdentifiedError, match="do not predict the exposure"):
        run("mr", weak, two, "--out", tmp_path / "none")
    assert not (tmp_path / "none.tsv").exists()
    with pytest.raises(NotIdentifiedError, match="no variant has p < 1e-300"):
        run("mr", one, two, "--p-below", 1e-300, "--out", tmp_path / "none")
    with pytest.raises(InputError, match="--strand sideways"):
        run("mr", one, two, "--strand", "sideways")
    ld = tmp_path / "ld.tsv"
    ld.write_text("rs0\trs1\n1\t0.99\n0.99\t1\n")
    with pytest.raises(NotIdentifiedError, match="not separable within this LD block"):
        run("mr", one, two, "--ld", ld, "--out", tmp_path / "none")


def test_mr_of_one_file_and_of_several_exposures(two_traits, tmp_path) -> None:
    both = tmp_path / "both.csv"
    both.write_text("ldl,ldlse,chd,chdse\n0.1,0.01,0.2,0.1\n0.2,0.01,0.4,0.1\n")
    run(
        "mr", both, both, "--exposure-column", "beta=ldl", "--exposure-column", "se=ldlse",
        "--outcome-column", "beta=chd", "--outcome-column", "se=chdse", "--out", tmp_path / "o",
    )  # fmt: skip
    table, _ = read(tmp_path / "o")
    assert table["estimate"][0] == pytest.approx(2.0)
    rng = np.random.default_rng(2)
    other = effects(tmp_path / "other.tsv", rng.normal(0, 0.1, 32), 0.01)
    output = run(
        "mr", *two_traits, "--also", other, "--draws", 100, "--out", tmp_path / "m"
    )
    assert "multivariable IVW: other" in output
    assert "other: 32 rows = 28 used + 4 left out" in output


@pytest.fixture(scope="module")
def locus(tmp_path_factory) -> dict[str, Path]:
    """A locus as a VCF with a trait, and as summary statistics with LD."""
    folder = tmp_path_factory.mktemp("locus")
    rng = np.random.default_rng(3)
    x = genotypes(rng, 400, 25, r=0.8)
    y = trait(rng, x, [8], 0.15)
    names = [f"s{i}" for i in range(400)]
    head = "##fileformat=VCFv4.2\n##contig=<ID=1,length=9999>\n"
    head += '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    head += (
        "\t".join(
            [
                "#CHROM",
                "POS",
                "ID",
                "REF",
                "ALT",
                "QUAL",
                "FILTER",
                "INFO",
                "FORMAT",
                *names,
            ]
        )
        + "\n"
    )
    text = {0: "0/0", 1: "0/1", 2: "1/1"}
    body = "".join(
        "\t".join(["1", str(10 * j + 10), ".", "A", "G", ".", ".", ".", "GT",
                   *(text[int(v)] for v in x[:, j])]) + "\n"
        for j in range(25)
    )  # fmt: skip
    (folder / "panel.vcf").write_text(head + body)
    rows = [f"{n}\t{v:.6f}" for n, v in zip(names, y, strict=True)]
    (folder / "trait.tsv").write_text(
        "\n".join(["sample\theight", *rows, "s_none\tNA", "other\t1"]) + "\n"
    )
    whole = locus_from_genotypes(x, y)
    ids = [f"1:{10 * j + 10}:A:G" for j in range(25)]
    pd.DataFrame({
        "SNP": [*ids, "1:9:A:G"], "z": [*whole.z, 0.0], "effect_allele": "G",
        "other_allele": "A",
    }).to_csv(folder / "z.tsv", sep="\t", index=False)  # fmt: skip
    pd.DataFrame(whole.ld, columns=ids).to_csv(folder / "ld.tsv", sep="\t", index=False)
    scores = pd.DataFrame({
        "chrom": "1", "pos": [10 * j + 10 for j in range(24)], "ref": "A", "alt": "G",
        "prior_score": [0.9 if j == 8 else 0.1 for j in range(24)],
    })  # fmt: skip
    scores.to_csv(folder / "scores.tsv", sep="\t", index=False)
    return {p.stem: p for p in folder.iterdir()}


def test_finemap_from_genotypes_and_from_z_scores(locus, tmp_path) -> None:
    output = run(
        "finemap", "--vcf", locus["panel"], "--region", "1:1-9999", "--trait",
        locus["trait"], "--out", tmp_path / "g",
    )  # fmt: skip
    assert (
        "samples: 402 rows = 400 used + 2 left out (no_trait_value 1, not_in_panel 1)"
        in output
    )
    table, report = read(tmp_path / "g")
    assert table["variant"][0] == "1:90:A:G"
    assert table["pip"][0] > 0.9
    assert report["credible_sets"][0]["variants"][0] == "1:90:A:G"
    output = run(
        "finemap", "--summary", locus["z"], "--ld", locus["ld"], "--n", 400, "--out",
        tmp_path / "z",
    )  # fmt: skip
    assert "26 rows = 25 used + 1 left out (not_in_ld_matrix 1)" in output
    other, _ = read(tmp_path / "z")
    assert other["variant"][0] == "1:90:A:G"
    merged = table.merge(other, on="variant")
    np.testing.assert_allclose(merged["pip_x"], merged["pip_y"], atol=0.05)
    with pytest.raises(InputError, match="--summary needs --ld"):
        run("finemap", "--summary", locus["z"])
    with pytest.raises(InputError, match="give --summary"):
        run("finemap")


def test_finemap_takes_scores_as_weights(locus, tmp_path) -> None:
    output = run(
        "finemap", "--summary", locus["z"], "--ld", locus["ld"], "--n", 400, "--scores",
        locus["scores"], "--enrichment", 5, "--out", tmp_path / "s",
    )  # fmt: skip
    assert "24 of 25 variants have a prior_score" in output
    table, _ = read(tmp_path / "s")
    prior = table.set_index("variant")["prior"]
    assert prior["1:90:A:G"] / prior["1:10:A:G"] == pytest.approx(np.exp(4.0))
    learned = run(
        "finemap", "--summary", locus["z"], "--ld", locus["ld"], "--n", 400, "--scores",
        locus["scores"], "--out", tmp_path / "l",
    )  # fmt: skip
    assert "prior weights exp(" in learned
    with pytest.raises(InputError, match="no column 'other'"):
        run("finemap", "--summary", locus["z"], "--ld", locus["ld"], "--n", 400, "--scores",
            locus["scores"], "--score-column", "other")  # fmt: skip


def test_finemap_tells_of_swapped_alleles(locus, tmp_path) -> None:
    table = pd.read_csv(locus["z"], sep="\t")
    table.loc[8, "z"] *= -1
    path = tmp_path / "flipped.tsv"
    table.to_csv(path, sep="\t", index=False)
    output = run("finemap", "--summary", path, "--ld", locus["ld"], "--n", 400, "--out", tmp_path / "f")  # fmt: skip
    assert "only with the other sign (swapped alleles?): 1:90:A:G" in output


def test_coloc_with_and_without_ld(locus, tmp_path) -> None:
    table = pd.read_csv(locus["z"], sep="\t").iloc[:25]
    path = tmp_path / "t.tsv"
    table.assign(beta=table["z"] * 0.05, se=0.05, eaf=0.3, n=400).drop(
        columns="z"
    ).to_csv(path, sep="\t", index=False)
    output = run("coloc", path, path, "--ld", locus["ld"], "--out", tmp_path / "c")
    found, report = read(tmp_path / "c")
    assert found["p_shared"].min() > 0.9
    assert found["best_shared"].eq("1:90:A:G").all()
    assert report["sensitivity"][-1]["p12"] == pytest.approx(1e-4)
    assert "first: 25 rows = 25 used" in output
    bare = tmp_path / "bare.tsv"
    table.assign(beta=table["z"], se=1.0).drop(columns="z").to_csv(
        bare, sep="\t", index=False
    )
    with pytest.raises(InputError, match="standard deviation is not known"):
        run("coloc", bare, bare, "--out", tmp_path / "none")


def test_mediate_estimates_or_refuses(tmp_path) -> None:
    path = tmp_path / "lines.tsv"
    lines(300, 1).rename(columns={"population_structure": "pc1"}).to_csv(
        path, sep="\t", index=False
    )
    how = ("--treatment", "v", "--mediator", "g", "--outcome", "p", "--adjust", "pc1")
    output = run(
        "mediate",
        path,
        *how,
        "--adjust",
        "batch",
        "--draws",
        200,
        "--out",
        tmp_path / "m",
    )
    table, report = read(tmp_path / "m")
    assert table["kind"].tolist() == ["direct", "indirect", "total"]
    assert report["adjusted_for"] == ["batch", "pc1"]
    assert "data: 300 rows = 300 used" in output
    with pytest.raises(NotIdentifiedError, match="g and p share a cause"):
        run("mediate", path, *how, "--hidden", "g,p", "--out", tmp_path / "none")
    assert not (tmp_path / "none.tsv").exists()
    with pytest.raises(InputError, match="--mediator"):
        run("mediate", path, "--treatment", "v", "--outcome", "p")


def test_graph_is_exported_tested_and_questioned(tmp_path) -> None:
    edges = tmp_path / "edges.tsv"
    edges.write_text(
        "source\ttarget\nv\tg\ng\tp\nv\tp\npc1\tv\npc1\tg\npc1\tp\n*batch\tg\n*batch\tp\n"
    )
    data = tmp_path / "lines.tsv"
    lines(500, 2).rename(columns={"population_structure": "pc1"}).drop(
        columns="batch"
    ).to_csv(data, sep="\t", index=False)
    output = run(
        "graph", edges, "--treatment", "v", "--outcome", "p", "--data", data, "--out",
        tmp_path / "g",
    )  # fmt: skip
    assert "5 nodes (1 not measured), 8 edges" in output
    assert "backdoor: compare p by v holding pc1 fixed" in output
    _, report = read(tmp_path / "g")
    assert report["effect"]["estimate"] == pytest.approx(0.7, abs=0.3)
    assert (tmp_path / "g.dot").read_text().startswith("digraph causal")
    with pytest.raises(NotIdentifiedError, match="g - batch - p stays open"):
        run(
            "graph",
            edges,
            "--treatment",
            "g",
            "--outcome",
            "p",
            "--out",
            tmp_path / "g",
        )
    with pytest.raises(InputError, match="give a table of edges"):
        run("graph")
