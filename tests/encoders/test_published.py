import json
import shutil
import sys

import numpy as np
import pytest
import torch
import transformers.dynamic_module_utils as dynamic_modules
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from typer.testing import CliRunner

from data_registry.errors import InputError, MalformedFileError, MissingOptionalError
from encoders.language import (
    LanguageConfig,
    LanguageNetwork,
    load_language_model,
    save_language_model,
)
from encoders.likelihood import is_masked, ratios_at
from encoders.nucleotides import decode, encode, reverse_complement
from encoders.published.cli import app
from encoders.published.folder import convert_pickled, quiet_transformers, read_folder
from encoders.published.models import load_published, open_model
from encoders.published.tokens import read_tokens
from tests.encoders import tiny_published
from tests.encoders.laws import check_sequence_model
from tests.neighbour_model import MaskedNeighbourModel, NeighbourModel

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

NATIVE = ("nucleotide_transformer", "grover", "causal_transformer", "causal_mamba")
WITH_CODE = ("hyena", "caduceus", "plant_caduceus", "dnabert2")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder of each architecture."""
    root = tmp_path_factory.mktemp("published")
    before = dynamic_modules.HF_MODULES_CACHE
    dynamic_modules.HF_MODULES_CACHE = str(root / "modules")
    yield {
        name: getattr(tiny_published, name)(root / name) for name in NATIVE + WITH_CODE
    }
    dynamic_modules.HF_MODULES_CACHE = before


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def load(folders, name, **settings):
    settings.setdefault("reach_bp", 20)
    return load_published(
        folders[name], allow_remote_code=name in WITH_CODE, **settings
    )


# Laws, on every adapter and on our own models


@pytest.mark.parametrize("name", NATIVE + WITH_CODE)
def test_adapters_keep_the_laws(folders, rng, name):
    check_sequence_model(load(folders, name, reach_bp=8), rng, margin=12)


@pytest.mark.parametrize("name", ["nucleotide_transformer", "caduceus"])
def test_one_pass_masked_models_keep_all_laws_but_blindness(folders, rng, name):
    model = load(folders, name, one_pass=True)
    assert not is_masked(model)
    check_sequence_model(model, rng, blind=False)


def test_one_pass_causal_models_are_blind_and_symmetric(folders, rng):
    model = load(folders, "hyena", one_pass=True)
    check_sequence_model(model, rng)
    codes = rng.integers(0, 4, 40, dtype=np.uint8)
    np.testing.assert_allclose(
        model.log_probabilities(reverse_complement(codes))[::-1, ::-1],
        model.log_probabilities(codes),
        atol=1e-4,
    )


@pytest.mark.parametrize("objective", ["cloze", "masked"])
def test_our_language_models_keep_the_laws(tmp_path, rng, objective):
    config = LanguageConfig(
        objective=objective, width=16, layers=("conv:3:1", "conv:3:2"), kmer=3, head=16
    )
    network = LanguageNetwork(config)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn(value.shape, generator=torch.Generator()) * 0.3)
    save_language_model(network, tmp_path, "card")
    model = load_language_model(tmp_path)
    assert is_masked(model) == (objective == "masked")
    check_sequence_model(model, rng)


@pytest.mark.parametrize("kind", [NeighbourModel, MaskedNeighbourModel])
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_hand_made_model_keeps_the_laws(rng, kind, symmetric):
    model = kind(symmetric=symmetric)
    # its embedding holds the base itself, in an order that turns with the strand
    model.embed = lambda codes: np.zeros((len(codes), 8), np.float32)
    check_sequence_model(model, rng)


def test_the_laws_notice_a_model_that_breaks_them(rng):
    seeing = NeighbourModel()
    blind = seeing.log_probabilities

    def peeking(codes):
        out = blind(codes)
        out[:, 0] -= codes == 0
        return out - np.log(np.exp(out).sum(axis=1, keepdims=True))

    seeing.log_probabilities = peeking
    seeing.strand_symmetric = False
    with pytest.raises(AssertionError):
        check_sequence_model(seeing, rng)
    check_sequence_model(seeing, rng, blind=False)


# Slow oracles: the ratios straight from transformers, by strings


def raw(folder, auto):
    """Network and tokenizer; the network of our loading where it brings its own code."""
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
        if folder.name in WITH_CODE:
            return open_model(folder, allow_remote_code=True).network, tokenizer
        return auto.from_pretrained(folder).eval(), tokenizer


@torch.inference_mode()
def test_kmer_ratios_are_token_ratios(folders, rng):
    # Nucleotide Transformer: log p(token with ALT) - log p(token with REF), token hidden.
    network, tokenizer = raw(folders["nucleotide_transformer"], AutoModelForMaskedLM)
    codes = rng.integers(0, 4, 36, dtype=np.uint8)
    text = decode(codes)
    model = load(folders, "nucleotide_transformer", reach_bp=40)
    site = 12 + 3  # the middle of the third 6-mer, so that both cut alike
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert ids.shape == (1, 1 + 6)
    ids[0, 1 + 2] = tokenizer.mask_token_id
    log_p = network(ids).logits[0, 1 + 2].log_softmax(-1)
    words = [text[12:site] + base + text[site + 1 : 18] for base in "ACGT"]
    picked = log_p[tokenizer.convert_tokens_to_ids(words)]
    expected = picked.log_softmax(-1).numpy()
    np.testing.assert_allclose(
        model.log_probabilities_at(codes, np.array([site]))[0], expected, atol=1e-5
    )


@torch.inference_mode()
def test_hidden_neighbours_sum_tokens_by_the_base_at_their_place(folders, rng):
    network, tokenizer = raw(folders["nucleotide_transformer"], AutoModelForMaskedLM)
    codes = rng.integers(0, 4, 36, dtype=np.uint8)
    model = load(folders, "nucleotide_transformer", reach_bp=40, neighbours="hidden")
    site = 18 + 3
    ids = tokenizer(decode(codes), return_tensors="pt")["input_ids"]
    ids[0, 1 + 3] = tokenizer.mask_token_id
    p = network(ids).logits[0, 1 + 3].softmax(-1)
    expected = np.zeros(4)
    for token, number in tokenizer.get_vocab().items():
        if len(token) == 6 and set(token) <= set("ACGT"):
            expected["ACGT".index(token[3])] += float(p[number])
    np.testing.assert_allclose(
        np.exp(model.log_probabilities_at(codes, np.array([site]))[0]),
        expected / expected.sum(),
        rtol=1e-4,
    )


@pytest.mark.parametrize("name", ["grover", "dnabert2"])
@torch.inference_mode()
def test_word_ratios_hide_all_that_the_base_changes(folders, rng, name):
    network, tokenizer = raw(folders[name], AutoModelForMaskedLM)
    codes = rng.integers(0, 4, 31, dtype=np.uint8)
    text = decode(codes)
    model = load(folders, name, reach_bp=40)
    n_words = set()
    for site in (0, 9, 17, 30):
        four = [
            tokenizer(text[:site] + b + text[site + 1 :])["input_ids"] for b in "ACGT"
        ]
        left = 0
        while len({ids[left] for ids in four}) == 1:
            left += 1
        right = 0
        while len({ids[-1 - right] for ids in four}) == 1:
            right += 1
        scores = []
        for ids in four:
            hidden = list(ids)
            inner = range(left, len(ids) - right)
            n_words.add(len(inner))
            for place in inner:
                hidden[place] = tokenizer.mask_token_id
            log_p = network(torch.tensor([hidden])).logits[0].log_softmax(-1)
            scores.append(sum(log_p[place, ids[place]] for place in inner))
        expected = torch.stack(scores).log_softmax(0).numpy()
        np.testing.assert_allclose(
            model.log_probabilities_at(codes, np.array([site]))[0], expected, atol=1e-4
        )
    assert len(n_words) > 1  # the case of several words was met


@pytest.mark.parametrize("name", ["causal_transformer", "causal_mamba", "hyena"])
@torch.inference_mode()
def test_causal_ratios_are_differences_of_sequence_likelihoods(folders, rng, name):
    network, tokenizer = raw(folders[name], AutoModelForCausalLM)
    codes = rng.integers(0, 4, 30, dtype=np.uint8)
    model = load(folders, name, reach_bp=40)
    for site in (0, 11, 29):
        likelihoods = []
        for base in range(4):
            changed = codes.copy()
            changed[site] = base
            ids = torch.tensor([tokenizer.convert_tokens_to_ids(list(decode(changed)))])
            log_p = network(ids).logits[0].log_softmax(-1)
            likelihoods.append(
                sum(float(log_p[i - 1, ids[0, i]]) for i in range(1, ids.shape[1]))
            )
        expected = torch.tensor(likelihoods).log_softmax(0).numpy()
        np.testing.assert_allclose(
            model.log_probabilities_at(codes, np.array([site]))[0], expected, atol=2e-4
        )


@torch.inference_mode()
def test_character_ratios_and_embeddings(folders, rng):
    network, tokenizer = raw(folders["caduceus"], AutoModelForMaskedLM)
    codes = rng.integers(0, 4, 30, dtype=np.uint8)
    model = load(folders, "caduceus", reach_bp=40)
    ids = torch.tensor([tokenizer.convert_tokens_to_ids(list(decode(codes)))])
    there, back = network.base_model(ids)[0][0].chunk(2, -1)
    np.testing.assert_allclose(
        model.embed(codes)[:20], ((there + back.flip(-1)) / 2)[:20].numpy(), atol=1e-5
    )
    ids[0, 7] = tokenizer.mask_token_id
    letters = tokenizer.convert_tokens_to_ids(list("ACGT"))
    expected = network(ids).logits[0, 7, letters].log_softmax(-1).numpy()
    np.testing.assert_allclose(
        model.log_probabilities_at(codes, np.array([7]))[0], expected, atol=1e-5
    )
    assert model.strand_symmetric


def test_caduceus_is_read_without_mamba_ssm(folders):
    loaded = open_model(folders["plant_caduceus"], allow_remote_code=True)
    assert "mamba_ssm" not in sys.modules
    network = loaded.network
    assert network.head.weight is network.caduceus.word_embeddings.weight
    assert network.caduceus.back.in_proj.weight is network.caduceus.there.in_proj.weight
    # [SEP], which the tokenizer puts behind, would tell the strands apart.
    assert loaded.tokens.suffix == ()
    assert load(folders, "plant_caduceus").strand_symmetric


@torch.inference_mode()
def test_embeddings_are_spread_over_the_bases_of_a_token(folders):
    network, tokenizer = raw(folders["nucleotide_transformer"], AutoModelForMaskedLM)
    text = "ACGTAC" + "G" + "G" + "N" + "TTACAT" + "C" + "A" + "T" + "G" + "C"
    model = load(folders, "nucleotide_transformer", reach_bp=60)
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert ids.shape == (1, 1 + 10)
    hidden = network.base_model(ids)[0][0, 1:].numpy()
    expected = np.repeat(hidden, [6, 1, 1, 1, 6, 1, 1, 1, 1, 1], axis=0)
    np.testing.assert_allclose(model.embed(encode(text)), expected, atol=1e-5)


def test_lower_case_vocabularies_give_the_same(tmp_path, folders, rng):
    # PlantCaduceus and GPN write their letters in lower case.
    lower = tiny_published.caduceus(tmp_path / "lower", lower=True)
    codes = rng.integers(0, 5, 20, dtype=np.uint8)
    one = load_published(lower, allow_remote_code=True, reach_bp=9)
    two = load(folders, "caduceus", reach_bp=9)
    np.testing.assert_allclose(
        one.log_probabilities(codes), two.log_probabilities(codes), atol=1e-6
    )


def test_unknown_neighbours_of_a_kmer_are_summed_over(folders):
    tokens = open_model(folders["nucleotide_transformer"]).tokens
    known = tokens.readings(encode("ACGTAC"), 3)
    assert [len(r.spelled[0][1]) for r in known] == [1] * 4
    unknown = tokens.readings(encode("ANGTAN"), 3)
    assert [len(r.spelled[0][1]) for r in unknown] == [16] * 4
    every = {each for r in unknown for each in r.spelled[0][1]}
    assert len(every) == 64  # no token stands for two bases


def test_ratios_of_a_contig_agree_with_those_of_its_windows(folders, rng):
    model = load(folders, "nucleotide_transformer", reach_bp=20)
    contig = rng.integers(0, 4, 120, dtype=np.uint8)
    places = np.array([60, 0, 119])
    whole = model.log_probabilities_at(contig, places)
    own = np.take_along_axis(whole, contig[places][:, None].astype(int), 1)
    np.testing.assert_allclose(ratios_at(model, contig, places), whole - own, atol=1e-4)


# Folders that cannot be used


def test_no_folder(tmp_path):
    with pytest.raises(MalformedFileError, match=r"no model is in this folder.*Give"):
        load_published(tmp_path / "none")


def test_no_weights(tmp_path, folders):
    folder = shutil.copytree(folders["grover"], tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(MalformedFileError, match=r"no weights.*Download"):
        load_published(folder)


def test_pickled_weights_are_refused_and_can_be_converted(tmp_path, folders):
    folder = shutil.copytree(folders["grover"], tmp_path / "m")
    expected = load(folders, "grover").log_probabilities(encode("ACGATTACA"))
    weights = folder / "model.safetensors"
    network, _ = raw(folder, AutoModelForMaskedLM)
    weights.unlink()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(MalformedFileError, match=r"pickled.*published convert"):
        load_published(folder)
    done = CliRunner().invoke(app, ["convert", str(folder)])
    assert done.exit_code == 0
    found = load_published(folder, reach_bp=20).log_probabilities(encode("ACGATTACA"))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_conversion_runs_no_pickled_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    torch.save({"x": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(MalformedFileError, match="more than tensors"):
        convert_pickled(tmp_path)
    assert not (tmp_path / "made").exists()


def test_lfs_pointers(tmp_path, folders):
    folder = shutil.copytree(folders["grover"], tmp_path / "m")
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"
    )
    with pytest.raises(MalformedFileError, match=r"LFS pointer.*git lfs pull"):
        load_published(folder)


@pytest.mark.parametrize("name", WITH_CODE)
def test_code_in_the_folder_runs_only_when_allowed(folders, name):
    with pytest.raises(InputError, match=r"modeling_tiny\.py.*--allow-remote-code"):
        load_published(folders[name])


def test_allowed_code_is_announced(folders, capsys):
    load(folders, "hyena")
    assert "running code that came with" in capsys.readouterr().err


@pytest.mark.parametrize("name", WITH_CODE)
def test_own_code_is_filled_with_the_files_weights(folders, name):
    # What the code computes on building (ALiBi slopes) is in no file: it must be there.
    network = open_model(folders[name], allow_remote_code=True).network
    given = load_file(folders[name] / "model.safetensors")
    own = network.state_dict()
    assert set(given) <= set(own)
    for key, value in given.items():
        torch.testing.assert_close(own[key], value)
    if name == "dnabert2":
        assert float(network.bert.slope) == 0.5


def test_code_that_fails_names_the_versions(tmp_path, folders):
    folder = shutil.copytree(folders["dnabert2"], tmp_path / "m")
    code = folder / "modeling_tiny.py"
    code.write_text(
        code.read_text().replace("self.post_init()", "config.no_such_thing")
    )
    with pytest.raises(InputError, match=r"no_such_thing.*installed is"):
        load_published(folder, allow_remote_code=True)


def test_code_of_another_repository(tmp_path, folders):
    folder = shutil.copytree(folders["dnabert2"], tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"]["AutoConfig"] = "someone/repo--configuration.Config"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"another repository; copy its \.py"):
        load_published(folder, allow_remote_code=True)


def test_weights_of_another_architecture_do_not_start_from_random(tmp_path, folders):
    # DNABERT-2's config.json says model_type bert: without its code, transformers
    # builds a plain BERT, finds none of its weights, and goes on.
    folder = shutil.copytree(folders["dnabert2"], tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    del config["auto_map"]
    config["architectures"] = ["BertForMaskedLM"]
    config["model_type"] = "bert"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        MalformedFileError, match=r"weights of BertForMaskedLM are missing"
    ):
        load_published(folder)


def test_a_folder_without_a_language_model_head(tmp_path, folders):
    folder = shutil.copytree(folders["grover"], tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["BertModel"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="no language model"):
        load_published(folder)


def test_gpn_without_its_package(tmp_path, folders, monkeypatch):
    import sys

    folder = shutil.copytree(folders["grover"], tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "GPN", "architectures": ["GPNForMaskedLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setitem(sys.modules, "gpn", None)
    with pytest.raises(MissingOptionalError, match="pip install gpn"):
        load_published(folder)


def test_windows_longer_than_the_network_takes(folders):
    model = load(folders, "causal_transformer", reach_bp=100)
    with pytest.raises(InputError, match=r"give a smaller reach_bp"):
        model.log_probabilities_at(np.zeros(300, np.uint8), np.array([150]))
    assert load_published(folders["causal_transformer"]).reach_bp == (128 - 1 - 1) // 2


def test_one_pass_is_refused_where_it_has_no_meaning(folders):
    model = load(folders, "grover", one_pass=True)
    with pytest.raises(InputError, match="several words"):
        model.log_probabilities(encode("ACGT"))


def test_overlapping_kmers_and_other_vocabularies_are_refused():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    def tokenizer(words):
        vocabulary = {word: i for i, word in enumerate(["[UNK]", *words])}
        return PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.WordLevel(vocabulary, "[UNK]")),
            unk_token="[UNK]",  # noqa: S106
        )

    with pytest.raises(InputError, match="overlapping k-mers"):
        read_tokens(tokenizer([a + b for a in "ACGT" for b in "ACGT"]))
    with pytest.raises(InputError, match="not for nucleotides"):
        read_tokens(tokenizer(["hello", "world"]))


def test_digest_follows_weights_and_settings(tmp_path, folders):
    digest = load(folders, "grover").digest
    assert load(folders, "grover").digest == digest
    assert load(folders, "grover", reach_bp=21).digest != digest
    other = tiny_published.grover(tmp_path / "grover", seed=99)
    assert load_published(other, reach_bp=20).digest != digest
    assert read_folder(other).digest == read_folder(other).digest


def test_check_command(folders):
    done = CliRunner().invoke(app, ["check", str(folders["nucleotide_transformer"])])
    assert done.exit_code == 0
    assert "k-mer" in done.output
    assert "usable" in done.output


@pytest.mark.peer
def test_gpn_of_its_own_package(tmp_path, rng):
    gpn = pytest.importorskip("gpn")
    gpn.register_auto_classes("gpn")
    from gpn.model import GPNConfig, GPNForMaskedLM

    tokenizer = tiny_published.character_tokenizer(lower=True, suffix=False)
    config = GPNConfig(
        vocab_size=len(tokenizer), num_hidden_layers=2, hidden_size=16,
        intermediate_size=32, first_kernel_size=5, rest_kernel_size=5,
    )  # fmt: skip
    network = tiny_published._randomised(GPNForMaskedLM(config), 3)
    tiny_published._save(tmp_path / "gpn", network, tokenizer)
    check_sequence_model(load_published(tmp_path / "gpn", reach_bp=20), rng)
