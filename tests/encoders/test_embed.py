import numpy as np
import pytest
from typer.testing import CliRunner

from data_registry.console import run_app
from data_registry.store import open_store
from encoders import embed
from encoders.cache import list_encoders, read_embeddings
from encoders.language import LanguageConfig, LanguageNetwork, save_language_model
from encoders.motifs import MotifEncoder
from graph_builder.cli import build_workspace
from graph_builder.manifest import current_graph, read_manifest
from graph_builder.parameters import BuildParameters
from tests.encoders import tiny_published
from tests.organisms import SEQUENCES, make_workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embed")
    workspace = make_workspace(folder, layers=True)
    texts = folder / "texts.tsv"
    texts.write_text("gene_id\ttitle\ttext\ngA\tAlpha\tResponds to drought\n")
    with open_store(workspace, write=True) as store:
        store.add(texts, kind="texts")
    build_workspace(workspace, BuildParameters())
    return workspace


def run(workspace, what, *more):
    return CliRunner().invoke(
        embed.app, ["--workspace", str(workspace), "--what", what, *more]
    )


def the_encoder(workspace, what):
    (found,) = [e for e in list_encoders(workspace / "embeddings") if e.what == what]
    return found


def test_motifs_of_factors(workspace, monkeypatch):
    done = run(workspace, "motif")
    assert done.exit_code == 0, done.output
    record = the_encoder(workspace, "motif")
    found = read_embeddings(workspace / "embeddings", record.digest, "tf")
    assert set(found.identifiers) == {"TFX", "TFY"}
    assert found.vectors.shape == (2, MotifEncoder().width)
    graph = read_manifest(current_graph(workspace / "graph"))
    others = set(graph.table("tf")["identifier"].to_pylist()) - {"TFX", "TFY"}
    assert "TFZ" in others  # has sites only
    assert f"left out: {len(others)} of tf: no motif" in done.output

    # a second run embeds nothing
    def never(_self, motifs):
        raise AssertionError(motifs)

    monkeypatch.setattr(MotifEncoder, "embed", never)
    again = run(workspace, "motif")
    assert again.exit_code == 0, again.output


def test_expression_of_genes(workspace):
    done = run(workspace, "expression", "--components", "1")
    assert done.exit_code == 0, done.output
    record = the_encoder(workspace, "expression")
    found = read_embeddings(workspace / "embeddings", record.digest, "gene")
    assert found.identifiers == ("gA", "gB", "gD")
    # gA is the highest and gB the lowest in both samples
    assert found.vectors[0, 0] > found.vectors[2, 0] > found.vectors[1, 0]
    assert (workspace / "embeddings" / record.digest / "fit.safetensors").is_file()
    assert "left out: 2 of gene: not in this data set" in done.output


def test_signals_of_genes_and_elements(workspace):
    done = run(workspace, "signal")
    assert done.exit_code == 0, done.output
    record = the_encoder(workspace, "signal")
    genes = read_embeddings(workspace / "embeddings", record.digest, "gene")
    # gD lies on chr2, all of which has the value 0.5
    assert genes.vectors[genes.identifiers.index("gD"), 0] > 0
    elements = read_embeddings(workspace / "embeddings", record.digest, "cre")
    assert len(elements.identifiers) > 0
    assert "contig not in the track" not in done.output


def test_sequences_with_our_language_model(workspace):
    config = LanguageConfig(width=16, layers=("conv:3:1",), kmer=3, head=8)
    save_language_model(
        LanguageNetwork(config), workspace / "models" / "language", "card"
    )
    done = run(workspace, "sequence", "--window-bp", "100")
    assert done.exit_code == 0, done.output
    record = the_encoder(workspace, "sequence")
    found = read_embeddings(workspace / "embeddings", record.digest, "gene")
    assert found.identifiers == ("gA", "gB", "gD", "gM", "gN")
    assert found.vectors.shape == (5, 8)
    from encoders.language import load_language_model
    from encoders.nucleotides import encode

    model = load_language_model(workspace / "models" / "language")
    text = SEQUENCES["chr1"][1950:2050]  # gA starts at 2000, on +
    np.testing.assert_allclose(
        found.vectors[0], model.embed(encode(text)).mean(0), atol=1e-6
    )


def test_sequences_with_a_published_model(workspace, tmp_path):
    folder = tiny_published.nucleotide_transformer(tmp_path / "nt")
    done = run(workspace, "sequence", "--window-bp", "60", "--model", str(folder))
    assert done.exit_code == 0, done.output


def test_proteins_of_genes(workspace, tmp_path):
    folder = tiny_published.protein(tmp_path / "esm")
    done = run(workspace, "protein", "--model", str(folder))
    assert done.exit_code == 0, done.output
    record = the_encoder(workspace, "protein")
    found = read_embeddings(workspace / "embeddings", record.digest, "gene")
    assert found.identifiers == ("gA", "gB", "gD", "gM")
    assert "left out: 1 of gene: no_cds" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["protein"], "needs --model FOLDER"),
        (["gene-token"], "needs --model FOLDER"),
        (["signal", "--track", "none"], "no bigWig track none is registered"),
        (["expression", "--dataset", "x"], "no expression data set x"),
        (["sequence", "--model", "/nowhere"], "/nowhere is not there"),
    ],
)
def test_errors_name_the_remedy(workspace, arguments, message, monkeypatch, capsys):
    what, *more = arguments
    monkeypatch.setattr(
        "sys.argv", ["embed", "--workspace", str(workspace), "--what", what, *more]
    )
    with pytest.raises(SystemExit) as stopped:
        run_app(embed.app)
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_no_graph(tmp_path, monkeypatch, capsys):
    workspace = make_workspace(tmp_path, layers=False)
    monkeypatch.setattr(
        "sys.argv", ["embed", "--workspace", str(workspace), "--what", "motif"]
    )
    with pytest.raises(SystemExit):
        run_app(embed.app)
    assert "cisgraph build" in capsys.readouterr().err
