import importlib
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn
from transformers import Mamba2Config, MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from data_registry.errors import InputError
from encoders.published.mamba_stand_in import (
    Block,
    Mamba,
    Mamba2,
    RMSNorm,
    layer_norm_fn,
    mamba_ssm_at_hand,
    rms_norm_fn,
    selective_scan,
)


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_scan_by_hand():
    # One channel, one state, decay 1/2 a token at step 1:
    # h = 2*3*1 = 6, read 5*6 = 30; then h = 6/2 + 1*1*4 = 7, read -1*7 = -7.
    a = torch.tensor([[-np.log(2.0)]], dtype=torch.float32)
    x, step = torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[2.0, 1.0]]])
    b, c = torch.tensor([[[1.0], [4.0]]]), torch.tensor([[[5.0], [-1.0]]])
    expected = torch.tensor([[[30.0, -7.0]]])
    torch.testing.assert_close(selective_scan(x, step, a, b, c), expected)


def test_compiled_scan_is_the_loop():
    x, step = drawn(3, 5, 40), drawn(3, 5, 40, seed=1).abs()
    a, b, c = (
        -drawn(5, 4, seed=2).exp(),
        drawn(3, 40, 4, seed=3),
        drawn(3, 40, 4, seed=4),
    )
    loop = selective_scan(x.clone().requires_grad_(), step, a, b, c)
    torch.testing.assert_close(selective_scan(x, step, a, b, c), loop.detach())
    exact = selective_scan(*(part.double() for part in (x, step, a, b, c)))
    torch.testing.assert_close(loop.detach().double(), exact, rtol=1e-4, atol=1e-5)


def test_the_loop_runs_where_any_part_learns():
    x, step, b = drawn(1, 2, 6), drawn(1, 2, 6, seed=1).abs(), drawn(1, 6, 3, seed=2)
    a = (-drawn(2, 3, seed=3).exp()).requires_grad_()
    selective_scan(x, step, a, b, b).sum().backward()
    assert a.grad.abs().min() > 0
    with torch.no_grad():
        assert not selective_scan(x, step, a, b, b).requires_grad


def test_mamba_is_that_of_transformers():
    config = MambaConfig(
        hidden_size=16, state_size=6, conv_kernel=3, expand=2, time_step_rank=1,
        num_hidden_layers=1, use_bias=False,
    )  # fmt: skip
    peer = MambaMixer(config, 0).eval()
    ours = Mamba(16, d_state=6, d_conv=3)
    ours.load_state_dict(peer.state_dict())
    x = drawn(2, 30, 16)
    torch.testing.assert_close(ours(x), peer(x))
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), peer(x))


def test_gradients_flow_through_mamba():
    mixer = Mamba(8, d_state=4)
    mixer(drawn(2, 9, 8).requires_grad_()).square().sum().backward()
    assert all(value.grad.abs().sum() > 0 for value in mixer.parameters())


def test_mamba_2_is_that_of_transformers():
    config = Mamba2Config(
        hidden_size=16, state_size=8, num_heads=4, head_dim=8, n_groups=1, expand=2,
        num_hidden_layers=1, chunk_size=16,
    )  # fmt: skip
    peer = Mamba2Mixer(config, 0).eval()
    ours = Mamba2(16, d_state=8, headdim=8)
    ours.load_state_dict(peer.state_dict())
    x = drawn(2, 70, 16)
    torch.testing.assert_close(ours(x), peer(x), rtol=1e-4, atol=1e-5)


def test_mamba_2_refuses_what_it_cannot_compute():
    Mamba2(16, headdim=8, rmsnorm=True, layer_idx=3)
    with pytest.raises(InputError, match="ngroups=2 needs the package mamba-ssm"):
        Mamba2(16, headdim=8, ngroups=2)


def test_norms_by_hand():
    x, residual = torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 2.0]])
    weight, bias = torch.tensor([1.0, 10.0]), torch.tensor([0.0, 1.0])
    # 3 and 4: mean 3.5, deviation 0.5, root mean square sqrt(12.5)
    normed, total = layer_norm_fn(x, weight, bias, residual, 0.0, prenorm=True)
    torch.testing.assert_close(normed, torch.tensor([[-1.0, 11.0]]))
    torch.testing.assert_close(total, x + residual)
    normed = rms_norm_fn(x, weight, None, residual=residual, eps=0.0)
    root = 12.5**0.5
    torch.testing.assert_close(normed, torch.tensor([[3 / root, 40 / root]]))
    norm = RMSNorm(2, eps=0.0)
    torch.testing.assert_close(norm(x + residual), normed / weight)


def test_residual_is_kept_in_single_precision():
    x = drawn(1, 2, 4).bfloat16()
    normed, total = layer_norm_fn(
        x, torch.ones(4), None, prenorm=True, residual_in_fp32=True
    )
    assert (normed.dtype, total.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("fused", [True, False])
def test_a_block_adds_norms_and_mixes(fused):
    double = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        double.weight.copy_(2 * torch.eye(4))
    block = Block(4, lambda _: AcceptsInference(double), fused_add_norm=fused)
    x, residual = drawn(1, 3, 4), drawn(1, 3, 4, seed=1)
    mixed, total = block(x, residual)
    torch.testing.assert_close(total, x + residual)
    torch.testing.assert_close(mixed, 2 * nn.functional.layer_norm(total, (4,)))
    with pytest.raises(InputError, match="feed-forward"):
        Block(4, nn.Identity, mlp_cls=nn.Linear)


class AcceptsInference(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, inference_params=None):  # noqa: ARG002
        return self.layer(x)


def test_the_stand_in_is_gone_afterwards():
    with mamba_ssm_at_hand("cpu"):
        simple = importlib.import_module("mamba_ssm.modules.mamba_simple")
        assert simple.Mamba is Mamba
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("mamba_ssm.ops.triton.layernorm")
    assert not [name for name in sys.modules if name.startswith("mamba_ssm")]


def test_the_package_is_taken_on_cuda(monkeypatch):
    package = ModuleType("mamba_ssm")
    monkeypatch.setitem(sys.modules, "mamba_ssm", package)
    with mamba_ssm_at_hand("cuda:0"):
        assert sys.modules["mamba_ssm"] is package
    with mamba_ssm_at_hand("cpu"):
        assert sys.modules["mamba_ssm"] is not package
    assert sys.modules["mamba_ssm"] is package
