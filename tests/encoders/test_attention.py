import pytest
import torch
from torch import Tensor

from data_registry.errors import InputError
from encoders.attention import ROTARY_BASE, AttentionPooling, WindowedAttention


def tokens(*shape: int) -> Tensor:
    draw = torch.Generator().manual_seed(5)
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def attend_one_by_one(layer: WindowedAttention, given: Tensor, mask: Tensor) -> Tensor:
    """Softmax attention over the window, a query at a time; rotation as in RoFormer."""
    length, width = given.shape
    head = width // layer.heads
    query, key, value = (part.view(length, layer.heads, head) for part in
                         layer.into(given).chunk(3, -1))  # fmt: skip

    def turn(vector: Tensor, position: int) -> Tensor:
        pairs = torch.complex(vector[: head // 2], vector[head // 2 :])
        rate = ROTARY_BASE ** (-torch.arange(head // 2, dtype=torch.float64) * 2 / head)
        pairs = pairs * torch.exp(1j * position * rate)
        return torch.cat([pairs.real, pairs.imag])

    rows = []
    for i in range(length):
        near = [j for j in range(length) if abs(i - j) <= layer.window and mask[j]]
        per_head = []
        for h in range(layer.heads):
            asked = turn(query[i, h], i)
            scores = torch.stack([asked @ turn(key[j, h], j) for j in near])
            weights = (scores / head**0.5).softmax(0)
            per_head.append(weights @ value[near, h])
        rows.append(torch.cat(per_head))
    return layer.out(torch.stack(rows))


@pytest.mark.parametrize("length", [1, 6, 7, 12, 25])
def test_same_as_one_by_one(length: int) -> None:
    layer = WindowedAttention(8, heads=2, window=3).double()
    given = tokens(2, length, 8)
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, length // 2 + 1 :] = False
    with torch.no_grad():
        ours = layer(given, mask)
        for i in range(2):
            there = mask[i]
            oracle = attend_one_by_one(layer, given[i][there], mask[i][there])
            torch.testing.assert_close(ours[i][there], oracle, atol=1e-6, rtol=1e-6)
        without = layer(given[:1])
    assert ours.isfinite().all()
    torch.testing.assert_close(without, ours[:1])


def test_only_differences_of_positions_count() -> None:
    layer = WindowedAttention(8, heads=2, window=3).double()
    given = tokens(1, 40, 8)
    with torch.no_grad():
        whole, cut = layer(given), layer(given[:, 9:])
    torch.testing.assert_close(cut[:, 3:], whole[:, 12:], atol=1e-6, rtol=1e-6)


def test_gradients_stay_finite_where_nothing_is_there() -> None:
    layer = WindowedAttention(8, heads=2, window=3).double()
    given = tokens(1, 40, 8).requires_grad_()
    mask = torch.zeros(1, 40, dtype=torch.bool)
    mask[:, :2] = True
    answer = layer(given, mask)[mask]
    (gradient,) = torch.autograd.grad(answer.sum(), given)
    assert gradient.isfinite().all()
    assert gradient[:, 2:].abs().max() == 0
    assert gradient[:, :2].abs().min() > 0


def test_pooling_is_a_weighted_mean_of_what_is_there() -> None:
    pool = AttentionPooling(6, heads=2).double()
    given = tokens(2, 5, 6)
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[1, 3:] = False
    with torch.no_grad():
        ours = pool(given, mask)
        there = given[1, :3]
        weights = pool.score(there).softmax(0).repeat_interleave(3, dim=1)
        by_hand = (weights * pool.value(there)).sum(0)
        torch.testing.assert_close(ours[1], by_hand)
        torch.testing.assert_close(pool(given[:1]), ours[:1])
        order = torch.tensor([4, 0, 3, 1, 2])
        torch.testing.assert_close(pool(given[:1, order]), ours[:1])


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="even number of channels"):
        WindowedAttention(6, heads=2, window=3)
    with pytest.raises(InputError, match="window"):
        WindowedAttention(8, heads=2, window=0)
    with pytest.raises(InputError, match="do not divide"):
        AttentionPooling(7, heads=2)
