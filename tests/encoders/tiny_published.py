# ruff: noqa: S106  (names of tokens are no passwords)
"""Folders of tiny random models, of the architectures that published models have.

Where ``transformers`` knows the architecture, the folder is written from its
configuration class. Where the published model brings its own code, a small network of
ours with the same calling convention (arguments, outputs, special tokens) is written
beside the weights and comes in through the same remote-code path.
"""

import itertools
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    EsmConfig,
    EsmForMaskedLM,
    EsmTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    Mamba2Config,
    Mamba2ForCausalLM,
    PreTrainedTokenizerFast,
)

from encoders.published.folder import quiet_transformers
from encoders.published.mamba_stand_in import mamba_ssm_at_hand


def _randomised(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights large enough that answers differ clearly between bases."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1:
                value.copy_(torch.randn(value.shape, generator=rng) * 0.3)
            elif "bias" in name:
                value.copy_(torch.randn(value.shape, generator=rng) * 0.1)
    return network


def _save(folder: Path, network, tokenizer=None) -> Path:
    with quiet_transformers():
        network.save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
    return folder


def nucleotide_transformer(folder: Path, *, seed: int = 1) -> Path:
    """EsmForMaskedLM, non-overlapping 6-mers, <cls> before and nothing behind."""
    folder.mkdir(parents=True)
    words = ["".join(each) for each in itertools.product("ATCG", repeat=6)]
    vocabulary = ["<unk>", "<pad>", "<mask>", "<cls>", *words, *"ATCGN"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = EsmTokenizer(
        str(folder / "vocab.txt"), eos_token=None, model_max_length=200
    )
    config = EsmConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, max_position_embeddings=202,
        pad_token_id=1, mask_token_id=2, token_dropout=True,
        position_embedding_type="absolute",
    )  # fmt: skip
    return _save(folder, _randomised(EsmForMaskedLM(config), seed), tokenizer)


def bpe_tokenizer(*, size: int = 80) -> PreTrainedTokenizerFast:
    """A BPE vocabulary trained on a little random sequence, as DNABERT-2 and GROVER."""
    rng = torch.Generator().manual_seed(7)
    letters = torch.randint(0, 4, (200, 120), generator=rng).tolist()
    texts = ["".join("ACGT"[i] for i in row) for row in letters]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", pad_token="[PAD]", mask_token="[MASK]",
        model_max_length=512,
    )  # fmt: skip


def grover(folder: Path, *, seed: int = 2) -> Path:
    """BertForMaskedLM with BPE words."""
    tokenizer = bpe_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, pad_token_id=3,
    )  # fmt: skip
    return _save(folder, _randomised(BertForMaskedLM(config), seed), tokenizer)


def character_tokenizer(
    *, lower: bool = False, suffix: bool = True
) -> PreTrainedTokenizerFast:
    """Letters; ``suffix`` puts [SEP] behind, as HyenaDNA and Caduceus have it."""
    letters = "acgtn" if lower else "ACGTN"
    special = ["[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]"]
    vocabulary = {token: i for i, token in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if suffix:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A [SEP]", special_tokens=[("[SEP]", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", sep_token="[SEP]",
        pad_token="[PAD]", mask_token="[MASK]", model_max_length=600,
    )  # fmt: skip


def causal_transformer(folder: Path, *, seed: int = 3) -> Path:
    """A causal model over letters that ``transformers`` knows."""
    tokenizer = character_tokenizer()
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=128
    )
    return _save(folder, _randomised(GPT2LMHeadModel(config), seed), tokenizer)


def causal_mamba(folder: Path, *, seed: int = 4) -> Path:
    """Mamba-2 over letters."""
    tokenizer = character_tokenizer()
    config = Mamba2Config(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_heads=4,
        head_dim=8, state_size=8, n_groups=1, chunk_size=16, expand=2,
    )  # fmt: skip
    return _save(folder, _randomised(Mamba2ForCausalLM(config), seed), tokenizer)


_COMMON = """
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput, CausalLMOutput

"""

_HYENA = (
    _COMMON
    + '''
class TinyHyenaConfig(PretrainedConfig):
    model_type = "hyenadna"
    def __init__(self, vocab_size=12, d_model=16, max_seq_len=130, **kw):
        self.vocab_size, self.d_model, self.max_seq_len = vocab_size, d_model, max_seq_len
        super().__init__(**kw)

class TinyPre(PreTrainedModel):
    config_class = TinyHyenaConfig
    base_model_prefix = "hyena"

class TinyHyenaModel(TinyPre):
    """Causal long convolution; takes no attention mask; vocabulary padded to 16."""
    def __init__(self, config, **kw):
        super().__init__(config, **kw)
        self.word_embeddings = nn.Embedding(16, config.d_model)
        self.kernel = nn.Parameter(torch.zeros(config.max_seq_len, config.d_model))
        self.gate = nn.Linear(config.d_model, config.d_model)
        self.post_init()
    def forward(self, input_ids, inputs_embeds=None, output_hidden_states=None,
                return_dict=None):
        u = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        n = u.shape[1]
        k = torch.fft.rfft(self.kernel[:n], n=2 * n, dim=0)
        y = torch.fft.irfft(torch.fft.rfft(u, n=2 * n, dim=1) * k, n=2 * n, dim=1)[:, :n]
        return BaseModelOutput(last_hidden_state=u + torch.tanh(self.gate(y)) * y)

class TinyHyenaForCausalLM(TinyPre):
    def __init__(self, config, **kw):
        super().__init__(config, **kw)
        self.hyena = TinyHyenaModel(config)
        self.lm_head = nn.Linear(config.d_model, 16, bias=False)
        self.post_init()
    def forward(self, input_ids, inputs_embeds=None, labels=None,
                output_hidden_states=None, return_dict=None):
        return CausalLMOutput(logits=self.lm_head(self.hyena(input_ids)[0]))
'''
)

_CADUCEUS = (
    _COMMON
    + '''
class TinyCaduceusConfig(PretrainedConfig):
    model_type = "caduceus"
    def __init__(self, vocab_size=16, d_model=8, rcps=True, **kw):
        self.vocab_size, self.d_model, self.rcps = vocab_size, d_model, rcps
        super().__init__(**kw)

COMPLEMENT = [0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15]

class TinyPre(PreTrainedModel):
    config_class = TinyCaduceusConfig
    base_model_prefix = "caduceus"

class TinyCaduceus(TinyPre):
    """Channels of one strand, then, turned round, those of the other."""
    def __init__(self, config, **kw):
        super().__init__(config, **kw)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.d_model)
        self.conv = nn.Conv1d(config.d_model, config.d_model, 9, padding=4)
        self.register_buffer("complement", torch.tensor(COMPLEMENT), persistent=True)
        self.post_init()
    def strand(self, ids):
        x = self.word_embeddings(ids)
        return x + torch.tanh(self.conv(x.transpose(1, 2))).transpose(1, 2)
    def forward(self, input_ids, inputs_embeds=None, output_hidden_states=None,
                return_dict=None):
        other = self.strand(self.complement[input_ids].flip(1)).flip([1, 2])
        return BaseModelOutput(
            last_hidden_state=torch.cat([self.strand(input_ids), other], -1))

class TinyCaduceusForMaskedLM(TinyPre):
    def __init__(self, config, **kw):
        super().__init__(config, **kw)
        self.caduceus = TinyCaduceus(config)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()
    def forward(self, input_ids, inputs_embeds=None, labels=None, loss_weights=None,
                output_hidden_states=None, return_dict=None):
        there, back = self.caduceus(input_ids)[0].chunk(2, -1)
        logits = self.head(there) + self.head(back.flip(-1))[..., COMPLEMENT]
        return MaskedLMOutput(logits=logits.float())
'''
)

_MAMBA = (
    _COMMON
    + '''
from mamba_ssm.modules.mamba_simple import Mamba
from mamba_ssm.ops.triton.layer_norm import RMSNorm, rms_norm_fn

class TinyMambaConfig(PretrainedConfig):
    model_type = "caduceus"
    def __init__(self, vocab_size=12, d_model=8, rcps=True, **kw):
        self.vocab_size, self.d_model, self.rcps = vocab_size, d_model, rcps
        super().__init__(**kw)

COMPLEMENT = [0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11]

class TinyPre(PreTrainedModel):
    config_class = TinyMambaConfig
    base_model_prefix = "caduceus"

class TinyMamba(TinyPre):
    """One Mamba block read both ways along each strand."""
    def __init__(self, config, **kw):
        super().__init__(config, **kw)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.d_model)
        self.norm = RMSNorm(config.d_model, eps=1e-5)
        self.there = Mamba(config.d_model, d_state=4, layer_idx=0)
        self.back = Mamba(config.d_model, d_state=4, layer_idx=0)
        self.back.in_proj.weight = self.there.in_proj.weight
        self.register_buffer("complement", torch.tensor(COMPLEMENT), persistent=True)
        self.post_init()
    def strand(self, ids):
        x, residual = rms_norm_fn(
            self.word_embeddings(ids), self.norm.weight, self.norm.bias, residual=None,
            prenorm=True, residual_in_fp32=True, eps=self.norm.eps)
        return residual + self.there(x) + self.back(x.flip(1)).flip(1)
    def forward(self, input_ids, inputs_embeds=None, output_hidden_states=None,
                return_dict=None):
        other = self.strand(self.complement[input_ids].flip(1)).flip([1, 2])
        return BaseModelOutput(
            last_hidden_state=torch.cat([self.strand(input_ids), other], -1))

class TinyMambaForMaskedLM(TinyPre):
    _tied_weights_keys = {"caduceus.back.in_proj.weight": "caduceus.there.in_proj.weight"}
    def __init__(self, config, **kw):
        super().__init__(config, **kw)
        self.caduceus = TinyMamba(config)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()
    def get_input_embeddings(self):
        return self.caduceus.word_embeddings
    def get_output_embeddings(self):
        return self.head
    def tie_weights(self, **later):
        super().tie_weights(**later)
    def forward(self, input_ids, inputs_embeds=None, labels=None, loss_weights=None,
                output_hidden_states=None, return_dict=None):
        there, back = self.caduceus(input_ids)[0].chunk(2, -1)
        logits = self.head(there) + self.head(back.flip(-1))[..., COMPLEMENT]
        return MaskedLMOutput(logits=logits.float())
'''
)

_MOSAIC = (
    _COMMON
    + '''
from transformers import BertConfig

class TinyMosaicConfig(BertConfig):
    def __init__(self, alibi_starting_size=64, **kw):
        self.alibi_starting_size = alibi_starting_size
        super().__init__(**kw)

class TinyPre(PreTrainedModel):
    config_class = TinyMosaicConfig
    base_model_prefix = "bert"

class TinyMosaicModel(TinyPre):
    """One ALiBi layer with a gated feed-forward; answers with a bare tuple."""
    def __init__(self, config, **kw):
        super().__init__(config)
        n = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, n)
        self.Wqkv = nn.Linear(n, 3 * n)
        self.gated_layers = nn.Linear(n, 2 * n, bias=False)
        self.wo = nn.Linear(n, n)
        self.norm = nn.LayerNorm(n)
        # as the published code: computed on building, in no file
        self.slope = torch.tensor([0.5]).to("cpu")
        self.post_init()
    def forward(self, input_ids, token_type_ids=None, attention_mask=None, **kw):
        x = self.word_embeddings(input_ids)
        q, k, v = self.Wqkv(x).chunk(3, -1)
        place = torch.arange(x.shape[1], device=x.device)
        alibi = -self.slope * (place[:, None] - place[None]).abs()
        weight = (q @ k.transpose(1, 2) / x.shape[-1] ** 0.5 + alibi).softmax(-1)
        x = self.norm(x + weight @ v)
        value, gate = self.gated_layers(x).chunk(2, -1)
        return self.norm(x + self.wo(F.gelu(value) * gate)), None

class TinyMosaicForMaskedLM(TinyPre):
    def __init__(self, config):
        super().__init__(config)
        self.bert = TinyMosaicModel(config)
        self.cls = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()
    def forward(self, input_ids, token_type_ids=None, attention_mask=None, **kw):
        hidden = self.bert(input_ids, attention_mask=attention_mask)[0]
        # as the published code: not a tuple of layers, the last layer itself
        return MaskedLMOutput(logits=self.cls(hidden), hidden_states=hidden)
'''
)


def _with_code(
    folder: Path,
    code: str,
    config_class: str,
    model_class: str,
    auto: str,
    tokenizer,
    seed: int,
    **settings,
) -> Path:
    """Write a network of our own with its code beside it, as the Hub's repositories do."""
    folder.mkdir(parents=True)
    (folder / "modeling_tiny.py").write_text(code)
    namespace: dict[str, object] = {"__name__": f"tiny_{config_class}"}
    exec(compile(code, "modeling_tiny.py", "exec"), namespace)  # noqa: S102
    network = _randomised(
        namespace[model_class](namespace[config_class](**settings)), seed
    )
    _save(folder, network, tokenizer)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["auto_map"] = {
        "AutoConfig": f"modeling_tiny.{config_class}",
        auto: f"modeling_tiny.{model_class}",
    }
    config["architectures"] = [model_class]
    path.write_text(json.dumps(config))
    return folder


def hyena(folder: Path, *, seed: int = 5) -> Path:
    """Causal, letters, own code, no attention mask, vocabulary padded to 16."""
    return _with_code(
        folder, _HYENA, "TinyHyenaConfig", "TinyHyenaForCausalLM",
        "AutoModelForCausalLM", character_tokenizer(), seed,
    )  # fmt: skip


def caduceus(folder: Path, *, seed: int = 6, lower: bool = False) -> Path:
    """Masked, letters, own code, both strands in the channels."""
    return _with_code(
        folder, _CADUCEUS, "TinyCaduceusConfig", "TinyCaduceusForMaskedLM",
        "AutoModelForMaskedLM", character_tokenizer(lower=lower, suffix=False), seed,
    )  # fmt: skip


def plant_caduceus(folder: Path, *, seed: int = 10) -> Path:
    """As Caduceus' repositories: code for transformers 4 that imports mamba-ssm.

    The head's weights are the embedding's and in the file once, and the tokenizer puts
    [SEP] behind.
    """
    with mamba_ssm_at_hand("cpu"):
        _with_code(
            folder, _MAMBA, "TinyMambaConfig", "TinyMambaForMaskedLM",
            "AutoModelForMaskedLM", character_tokenizer(), seed,
        )  # fmt: skip
    code = folder / "modeling_tiny.py"
    lines = [
        line.replace("**later", "").replace("self, )", "self)")
        for line in code.read_text().splitlines()
        if "_tied_weights_keys" not in line
    ]
    code.write_text("\n".join(lines))
    weights = load_file(folder / "model.safetensors")
    del weights["head.weight"]
    save_file(weights, folder / "model.safetensors")
    return folder


def dnabert2(folder: Path, *, seed: int = 8) -> Path:
    """Masked, BPE, own code whose model_type is plain ``bert``."""
    tokenizer = bpe_tokenizer()
    return _with_code(
        folder, _MOSAIC, "TinyMosaicConfig", "TinyMosaicForMaskedLM",
        "AutoModelForMaskedLM", tokenizer, seed, vocab_size=len(tokenizer),
        hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=32, pad_token_id=3,
    )  # fmt: skip


def protein(folder: Path, *, seed: int = 9) -> Path:
    """ESM-2: letters of amino acids, <cls> before, <eos> behind, rotary positions."""
    folder.mkdir(parents=True)
    vocabulary = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO",
                  ".", "-", "<null_1>", "<mask>"]  # fmt: skip
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = EsmTokenizer(str(folder / "vocab.txt"), model_max_length=64)
    config = EsmConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, max_position_embeddings=66,
        pad_token_id=1, mask_token_id=32, token_dropout=True,
        position_embedding_type="rotary", emb_layer_norm_before=False,
    )  # fmt: skip
    return _save(folder, _randomised(EsmForMaskedLM(config), seed), tokenizer)
