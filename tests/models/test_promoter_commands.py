"""train, evaluate and predict, from files to files."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("optuna")

from typer.testing import CliRunner

from data_registry.errors import InputError, MalformedFileError, PlatformError
from data_registry.store import open_store
from encoders.nucleotides import decode, encode, reverse_complement
from models import evaluate, predict, train
from models.promoter import load_ensemble
from models.promoter.inputs import Queries, read_bed, read_csv, read_fasta
from models.promoter.registered import read_registered
from models.promoter.settings import read_settings
from tests.organisms import SEQUENCES, make_workspace

CONFIG = """
name = "toy"
seeds = [0, 1]
[data]
table = "t.csv"
length_bp = 40
test_conditions = ["dusk"]
[data.stand_ins]
dusk = "dark"
[data.columns]
conditions = ["dark", "light", "dusk"]
[network]
kind = "jores"
filters = 4
hidden = 8
[training]
epochs = 2
batch_size = 32
bf16 = false
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (300, 40)).astype(np.uint8)
    gc = ((codes == 1) | (codes == 2)).mean(axis=1)
    table = pd.DataFrame({
        "sp": np.where(np.arange(300) % 2, "At", "Zm"),
        "gene": [f"g{i}" for i in range(300)],
        "sequence": [decode(c) for c in codes],
        "dark": gc, "light": -gc + rng.normal(0, 0.1, 300),
        "dusk": np.where(np.arange(300) < 60, gc, np.nan),
    })  # fmt: skip
    table.to_csv(folder / "t.csv", index=False)
    (folder / "c.toml").write_text(CONFIG)
    run(train, "--config", folder / "c.toml", "--data", folder, "--out", folder / "m")
    return folder


def run(module, *arguments):
    done = CliRunner().invoke(
        module.app, ["promoter", *map(str, arguments), "--threads", "1"],
        catch_exceptions=True,
    )  # fmt: skip
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


def test_a_model_says_where_it_comes_from(folder):
    ensemble = load_ensemble(folder / "m")
    assert ensemble.conditions == ("dark", "light", "dusk")
    assert ensemble.stand_ins == {"dusk": "dark"}
    provenance = json.loads((folder / "m/config.json").read_text())["provenance"]
    assert provenance["n_test"] == 60
    assert provenance["n_train"] + provenance["n_validation"] == 240
    log = pd.read_csv(folder / "m/runs/seed1/log.csv")
    assert log["epoch"].tolist() == [1, 2]


def test_predictions_of_fasta_and_csv_agree_with_the_ensemble(folder):
    table = pd.read_csv(folder / "t.csv").head(5)
    (folder / "q.fa").write_text(
        "".join(f">{g} x\n{s[:20]}\n{s[20:].lower()}\n"
                for g, s in zip(table["gene"], table["sequence"], strict=True))
    )  # fmt: skip
    table.rename(columns={"gene": "id"})[["id", "sequence"]].to_csv(
        folder / "q.csv", index=False
    )
    mean, sd = load_ensemble(folder / "m").predict(
        np.stack([encode(s) for s in table["sequence"]])
    )
    for option in ("fasta", "csv"):
        suffix = {"fasta": "fa", "csv": "csv"}[option]
        out = folder / f"{option}.tsv"
        run(predict, "--model", folder / "m", f"--{option}", folder / f"q.{suffix}",
            "--out", out)  # fmt: skip
        found = pd.read_csv(out, sep="\t")
        assert list(found) == [
            "id", "dark", "light", "dusk", "sd_dark", "sd_light", "sd_dusk",
        ]  # fmt: skip
        assert found["id"].tolist() == table["gene"].tolist()
        np.testing.assert_allclose(found[["dark", "light", "dusk"]], mean, rtol=1e-4)
        np.testing.assert_allclose(found["sd_light"], sd[:, 1], rtol=1e-3)


def test_other_lengths_are_centred_and_counted(folder):
    (folder / "odd.fa").write_text(
        f">a\n{'ACGT' * 5}\n>b\n{'A' * 50}\n>c\n{'C' * 40}\n"
    )
    out = folder / "odd.tsv"
    done = run(predict, "--model", folder / "m", "--fasta", folder / "odd.fa",
               "--out", out)  # fmt: skip
    text = " ".join(done.output.split())
    assert "1 of 3 sequences are not 40 bp: shorter and were padded" in text
    assert "1 of 3 sequences are not 40 bp: longer and were cropped" in text
    assert "dusk had no rows to learn from: it reports the dark head" in text
    assert len(pd.read_csv(out, sep="\t")) == 3


def test_evaluation_shows_floors_and_species(folder):
    done = run(evaluate, "--model", folder / "m", "--data", folder, "--bootstrap", 100,
               "--out", folder / "e.json")  # fmt: skip
    assert "4-mer ridge" in done.output
    figures = json.loads((folder / "e.json").read_text())
    assert {(f["condition"], f["head"]) for f in figures} == {("dusk", "dark")}
    assert {f["rows"] for f in figures} == {"all", "At", "Zm"}
    (gc,) = [f for f in figures if f["model"] == "GC ridge" and f["rows"] == "all"]
    assert gc["n"] == 60
    assert gc["pearson_r2"] > 0.99


def test_evaluation_on_other_rows_is_refused(folder, tmp_path):
    table = pd.read_csv(folder / "t.csv")
    table.iloc[1:].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match="differ"):
        run(evaluate, "--model", folder / "m", "--data", tmp_path)


def test_search_keeps_its_trials_and_goes_on(folder, tmp_path):
    out = tmp_path / "m"
    arguments = ("--config", folder / "c.toml", "--data", folder, "--out", out)
    run(train, *arguments, "--search", 2)
    best = json.loads((out / "search/best.json").read_text())
    config = json.loads((out / "config.json").read_text())
    used = config["provenance"]["settings"]["training"]
    assert used["learning_rate"] == best["learning_rate"]
    assert config["network"]["settings"]["dropout"] == best["dropout"]
    before = (out / "search/trials.db").stat().st_mtime_ns
    run(train, *arguments, "--search", 2)
    assert (out / "search/trials.db").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("epochs = 2", "epoch = 2"), "'epoch' is unknown"),
        (('kind = "jores"', "depth = 3"), "needs a kind"),
        (("seeds = [0, 1]", "seeds = []"), "seeds is empty"),
        (('table = "t.csv"', ""), "either a table"),
        (("[network]", "[network"), "c.toml"),
    ],
)
def test_a_wrong_configuration_names_what_is_wrong(tmp_path, change, says):
    path = tmp_path / "c.toml"
    path.write_text(CONFIG.replace(*change))
    with pytest.raises(InputError, match=says):
        read_settings(path)


def test_every_configuration_of_ours_can_be_read():
    from models.promoter.ensemble import WEIGHTS

    found = sorted((WEIGHTS.parents[1] / "configs").glob("*promoter*.toml"))
    assert len(found) >= 5
    for path in found:
        read_settings(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ACGT\n", "line 1"), (">a\nACGT\n>b\n", "line 3: 'b' has no base"),
        (">a\nAC1T\n", "'1' is no nucleotide"), ("", "holds no record"),
        (">\nACGT\n", "no name"),
    ],
)  # fmt: skip
def test_bad_fasta_is_refused(tmp_path, text, says):
    (tmp_path / "q.fa").write_text(text)
    with pytest.raises(PlatformError, match=says):
        list(read_fasta(tmp_path / "q.fa"))


def test_bad_csv_is_refused(tmp_path):
    (tmp_path / "q.csv").write_text("name,sequence\na,ACGT\n")
    with pytest.raises(MalformedFileError, match="no column id"):
        list(read_csv(tmp_path / "q.csv"))


def test_an_error_is_one_message_and_a_status(tmp_path):
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "models.predict", "promoter", "--fasta", "none.fa",
         "--out", str(tmp_path / "o.tsv"), "--model", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "config.json" in done.stderr


# -- workspaces ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make_workspace(tmp_path_factory.mktemp("workspace"), layers=True)


def test_intervals_are_read_on_their_strand(workspace, tmp_path):
    path = tmp_path / "q.bed"
    path.write_text(
        "track name=x\nchr1\t100\t110\tone\t0\t+\nchr1\t100\t110\ttwo\t0\t-\nchr2\t5\t9\n"
    )
    with open_store(workspace) as store:
        found = dict(read_bed(path, store.genome()))
        expected = encode(SEQUENCES["chr1"][100:110])
        np.testing.assert_array_equal(found["one"], expected)
        np.testing.assert_array_equal(found["two"], reverse_complement(expected))
        assert list(found)[2] == "chr2:5-9(+)"
        path.write_text("chr2\t1490\t1510\n")
        with pytest.raises(PlatformError, match="line 1"):
            list(read_bed(path, store.genome()))
        path.write_text("chr9\t1\t5\n")
        with pytest.raises(PlatformError, match="chr9"):
            list(read_bed(path, store.genome()))


def test_queries_count_what_they_change():
    named = iter(
        [("a", encode("ACG")), ("b", encode("ACGTA")), ("c", encode("ACGTACG"))]
    )
    found = Queries.of(named, 5)
    assert [decode(c) for c in found.codes] == ["NACGN", "ACGTA", "CGTAC"]
    assert (found.n_padded, found.n_cropped) == (1, 1)


def test_windows_of_a_workspace_stand_on_the_start(workspace):
    with open_store(workspace) as store:
        sources = store.connection.execute(
            "SELECT DISTINCT dataset FROM expression"
        ).fetchall()
    ((name,),) = sources
    found = read_registered(workspace, name, length_bp=301, log2p1=True)
    rows = dict(zip(found.identifiers.tolist(), range(len(found)), strict=True))
    one, two = SEQUENCES["chr1"].upper(), SEQUENCES["chr2"].upper()
    # gA begins at 2000 forwards; gB at 6799 backwards; gD at 300, the window at 150.
    assert decode(found.codes[rows["gA"]]) == one[1850:2151]
    assert decode(reverse_complement(found.codes[rows["gB"]])) == one[6649:6950]
    assert decode(found.codes[rows["gD"]]) == two[150:451]
    levels = [found.of(condition)[rows["gA"]] for condition in found.conditions]
    np.testing.assert_allclose(levels, np.log2([11.0, 13.0]), rtol=1e-6)
    wide = read_registered(workspace, name, length_bp=701, log2p1=False)
    text = decode(wide.codes[rows["gD"]])
    assert text == "N" * 50 + two[:651]
    with pytest.raises(PlatformError, match="no expression source"):
        read_registered(workspace, "nothing", length_bp=301, log2p1=True)
