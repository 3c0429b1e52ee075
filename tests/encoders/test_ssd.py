import importlib.util
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from data_registry.errors import InputError
from encoders.ssd import (
    BidirectionalSSD,
    SSDConfig,
    SSDMixer,
    StrandSymmetric,
    chunked_scan,
    ssd_scan,
)

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
SMALL = SSDConfig(width=12, state=5, head=4, groups=2, chunk=4)
ONE_GROUP = replace(SMALL, groups=1)


def scan_one_by_one(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    initial: Tensor,
) -> tuple[Tensor, Tensor]:
    """Equations 1-2 of the paper, a token, a sequence and a head at a time."""
    batch, length, heads, _ = x.shape
    per_group = heads // b.shape[2]
    rows, last = [], []
    for i in range(batch):
        for h in range(heads):
            g, state = h // per_group, initial[i, h]
            for t in range(length):
                state = torch.exp(dt[i, t, h] * a[h]) * state
                state = state + dt[i, t, h] * torch.outer(x[i, t, h], b[i, t, g])
                rows.append(state @ c[i, t, g] + skip[h] * x[i, t, h])
            last.append(state)
    y = torch.stack(rows).view(batch, heads, length, -1).transpose(1, 2)
    return y, torch.stack(last).view_as(initial)


def operands(length: int, dtype: torch.dtype, groups: int = 2) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=dtype)

    batch, heads, head, state = 2, 4, 3, 5
    given = (
        normal(batch, length, heads, head),
        normal(batch, length, heads).exp() / 4,
        -normal(heads).exp(),
        normal(batch, length, groups, state),
        normal(batch, length, groups, state),
        normal(heads),
        normal(batch, heads, head, state),
    )
    return tuple(each.requires_grad_() for each in given)


def make_mixer(
    config: SSDConfig = SMALL, dtype: torch.dtype = torch.float32
) -> SSDMixer:
    mixer = SSDMixer(config).to(dtype)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in mixer.parameters():
            noise = torch.randn(parameter.shape, generator=draw, dtype=dtype)
            parameter += 0.2 * noise
    return mixer


def tokens(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7), dtype=dtype)


def test_by_hand() -> None:
    # One head of one channel, one state: h = ½h + x, as dt = 1 and a = -ln 2.
    x = torch.tensor([1.0, 0.0, 4.0]).view(1, 3, 1, 1)
    one = torch.ones(1, 3, 1, 1)
    a = -torch.tensor([2.0]).log()
    for chunk in (1, 2, 3):
        y, last = chunked_scan(
            x, one[..., 0], a, one, one, torch.tensor([10.0]), chunk=chunk
        )
        torch.testing.assert_close(y.flatten(), torch.tensor([11.0, 0.5, 44.25]))
        torch.testing.assert_close(last.flatten(), torch.tensor([4.25]))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("length", "chunk"), [(1, 4), (11, 4), (12, 4), (11, 64)])
def test_same_as_one_by_one_with_gradients(
    length: int, chunk: int, dtype: torch.dtype
) -> None:
    given = operands(length, dtype)
    *rest, initial = given
    ours = chunked_scan(*rest, chunk=chunk, initial=initial)
    oracle = scan_one_by_one(*given)
    atol = TOLERANCE[dtype]
    for one, other in zip(ours, oracle, strict=True):
        torch.testing.assert_close(one, other, atol=atol, rtol=atol)
    weights = [torch.cos(torch.arange(each.numel(), dtype=dtype)) for each in oracle]

    def gradients(answers: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        pairs = zip(answers, weights, strict=True)
        loss = sum(((each.flatten() * w).sum() for each, w in pairs), torch.zeros(()))
        return torch.autograd.grad(loss, given)

    for one, other in zip(gradients(ours), gradients(oracle), strict=True):
        torch.testing.assert_close(one, other, atol=atol, rtol=atol)


@pytest.mark.parametrize("chunk", [2, 64])
def test_extreme_decay_stays_finite(chunk: int) -> None:
    x, dt, a, b, c, skip, _ = operands(40, torch.float32)
    fast = (dt.detach() * 1e4).requires_grad_()
    y, last = chunked_scan(x, fast, a, b, c, skip, chunk=chunk)
    # All is forgotten between two tokens: each sees itself alone.
    per_head = (b * c).sum(-1).repeat_interleave(2, dim=2)
    alone = (fast * per_head + skip)[..., None] * x
    torch.testing.assert_close(y, alone, rtol=1e-4, atol=1e-2)
    for gradient in torch.autograd.grad(y.sum() + last.sum(), (x, fast, a, b, c, skip)):
        assert gradient.isfinite().all()


def test_a_sequence_can_be_cut_anywhere() -> None:
    x, dt, a, b, c, skip, initial = operands(23, torch.float64)
    whole, last = ssd_scan(x, dt, a, b, c, skip, chunk=4, initial=initial)
    parts, state = [], initial
    for cut in (slice(0, 5), slice(5, 6), slice(6, 23)):
        y, state = ssd_scan(
            x[:, cut], dt[:, cut], a, b[:, cut], c[:, cut], skip, chunk=4, initial=state
        )
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(state, last, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_step_by_step(dtype: torch.dtype) -> None:
    mixer = make_mixer(dtype=dtype)
    given = tokens(3, 19, 12, dtype=dtype)
    state, rows = mixer.start(3), []
    with torch.no_grad():
        for t in range(19):
            state, row = mixer.step(state, given[:, t])
            rows.append(row)
        whole = mixer(given)
    atol = TOLERANCE[dtype] / 10
    torch.testing.assert_close(torch.stack(rows, 1), whole, atol=atol, rtol=atol)


def test_no_token_sees_a_later_one() -> None:
    mixer, given = make_mixer(), tokens(1, 30, 12)
    changed = given.clone()
    changed[:, 17] += 1
    with torch.no_grad():
        moved = (mixer(given) - mixer(changed)).abs().amax((0, 2))
    assert moved[:17].max() < 1e-6
    assert (moved[17:] > 1e-5).all()


def test_backwards_is_forwards_of_the_reversed() -> None:
    layer = BidirectionalSSD(replace(ONE_GROUP, expand=4))
    given = tokens(2, 21, 12)
    swapped = BidirectionalSSD(replace(ONE_GROUP, expand=4))
    swapped.load_state_dict(layer.state_dict())
    swapped.ahead, swapped.back = swapped.back, swapped.ahead
    with torch.no_grad():
        n = layer.in_proj.weight.shape[0] // 2
        swapped.in_proj.weight.copy_(layer.in_proj.weight.roll(n, 0))
        inner = layer.out_proj.weight.shape[1] // 2
        swapped.out_proj.weight.copy_(layer.out_proj.weight.roll(inner, 1))
        torch.testing.assert_close(swapped(given.flip(1)).flip(1), layer(given))


@pytest.mark.parametrize("layer", [SSDMixer, BidirectionalSSD])
@pytest.mark.parametrize("left", [0, 5])
def test_padding_on_either_side_is_not_there(left: int, layer: type) -> None:
    made = layer(ONE_GROUP)
    given = tokens(1, 21, 12)
    mask = torch.zeros(1, 21, dtype=torch.bool)
    mask[:, left : left + 9] = True
    with torch.no_grad():
        padded = made(given, mask)[:, left : left + 9]
        alone = made(given[:, left : left + 9])
    torch.testing.assert_close(padded, alone, atol=1e-6, rtol=1e-5)


def test_reverse_complement_of_input_is_that_of_output() -> None:
    layer = StrandSymmetric(BidirectionalSSD(ONE_GROUP))
    given = tokens(2, 21, 24)
    mask = torch.ones(2, 21, dtype=torch.bool)
    mask[1, 13:] = False
    with torch.no_grad():
        ours = layer(given, mask)
        other = layer(given.flip(1, 2), mask.flip(1)).flip(1, 2)
    torch.testing.assert_close(other[0], ours[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(other[1, :13], ours[1, :13], atol=1e-6, rtol=1e-5)
    plain = BidirectionalSSD(replace(ONE_GROUP, width=24))
    with torch.no_grad():
        difference = plain(given.flip(1, 2)).flip(1, 2) - plain(given)
    assert difference.abs().max() > 1e-3


@pytest.mark.peer
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_same_as_transformers(dtype: torch.dtype, groups: int) -> None:
    peer_module = pytest.importorskip("transformers.models.mamba2.modeling_mamba2")
    from transformers import Mamba2Config

    config = replace(SMALL, groups=groups)
    ours = make_mixer(config, dtype)
    peer = peer_module.Mamba2Mixer(
        Mamba2Config(
            hidden_size=12, state_size=5, head_dim=4, num_heads=6, expand=2, chunk_size=8,
            n_groups=groups, conv_kernel=4, num_hidden_layers=1,
        ),
        layer_idx=0,
    ).to(dtype)  # fmt: skip
    peer.load_state_dict(ours.state_dict())
    given = tokens(2, 29, 12, dtype=dtype).requires_grad_()
    # The peer computes its scan in float32 whatever it is given.
    atol = TOLERANCE[torch.float32] / 10
    weight = torch.cos(torch.arange(given.numel(), dtype=dtype)).view_as(given)
    answers, gradients = [], []
    for mixer in (ours, peer):
        answer = mixer(given)
        answers.append(answer)
        parameters = dict(mixer.named_parameters())
        loss = (answer * weight).sum()
        found = torch.autograd.grad(loss, [given, *parameters.values()])
        gradients.append(dict(zip(["tokens", *parameters], found, strict=True)))
    torch.testing.assert_close(*answers, atol=atol, rtol=atol)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(
            gradient,
            gradients[1][name],
            atol=1e-4,
            rtol=1e-4,
            msg=lambda m, n=name: n + m,
        )


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("mamba_ssm") is None,
    reason="needs a CUDA device and mamba-ssm",
)
def test_same_as_compiled_kernels() -> None:
    config = SSDConfig(width=64, state=16, head=32, chunk=32)
    mixer = make_mixer(config).cuda()
    given = tokens(2, 300, 64).cuda().requires_grad_()

    def run() -> tuple[Tensor, ...]:
        answer = mixer(given)
        parameters = [given, *mixer.parameters()]
        return answer, *torch.autograd.grad(answer.square().sum(), parameters)

    compiled = run()
    with patch("encoders.ssd.compiled_kernels", return_value=None):
        plain = run()
    for one, other in zip(compiled, plain, strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(one, other, atol=5e-3 * scale, rtol=1e-2)


def test_bfloat16_autocast_is_close() -> None:
    mixer, given = make_mixer(), tokens(2, 50, 12)
    exact = mixer(given)
    with torch.autocast("cpu", torch.bfloat16):
        rough = mixer(given)
    assert rough.dtype == torch.bfloat16
    error = (rough.float() - exact).norm() / exact.norm()
    assert error < 0.03
    rough.float().sum().backward()
    assert all(each.grad.isfinite().all() for each in mixer.parameters())


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="head must divide"):
        SSDConfig(width=10, head=64)
    with pytest.raises(InputError, match="at least 1"):
        SSDConfig(width=64, state=0)
    with pytest.raises(InputError, match="even"):
        BidirectionalSSD(replace(ONE_GROUP, expand=3))
