from dataclasses import replace

import numpy as np
import pytest
import torch

from data_registry.errors import InputError
from encoders.hybrid import HybridConfig, HybridEncoder
from encoders.nucleotides import encode, reverse_complement

SMALL = HybridConfig(
    width=16, stem_width=8, stem_bp=7, n_attention=1, n_ssd=1, heads=2, window=4,
    ssd_state=4, ssd_head=8, ssd_chunk=4,
)  # fmt: skip


def make(config: HybridConfig = SMALL) -> HybridEncoder:
    return HybridEncoder(config, generator=torch.Generator().manual_seed(1)).eval()


def sequences(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 5, (batch, length), dtype=np.uint8))


LAYOUTS = {
    "plain": SMALL,
    "stem of both strands": replace(SMALL, stem_strands=True, stem_blocks=2),
    "norm and largest": replace(SMALL, stem_norm=True, patch_max=True, stem_blocks=1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [1, 4, 170, 173])
def test_a_sequence_alone_among_others_and_padded_gives_the_same(
    length: int, layout: str
) -> None:
    encoder = make(LAYOUTS[layout])
    codes = sequences(3, 211)
    mask = torch.ones_like(codes, dtype=torch.bool)
    mask[1, length:] = False
    padded = codes.clone()
    padded[1, length:] = 2
    with torch.no_grad():
        pooled, tokens = encoder(padded, mask)
        pooled_alone, tokens_alone = encoder(codes[1:2, :length])
    torch.testing.assert_close(pooled[1:2], pooled_alone, atol=2e-6, rtol=1e-5)
    n = tokens_alone.shape[1]
    assert n == -(-length // SMALL.patch_bp)
    torch.testing.assert_close(tokens[1:2, :n], tokens_alone, atol=5e-6, rtol=1e-5)
    assert tokens[1, n:].abs().max() == 0


def test_padding_gets_no_gradient_and_no_not_a_number() -> None:
    encoder = make()
    mask = torch.ones(2, 3001, dtype=torch.bool)
    mask[1, 9:] = False
    pooled, _ = encoder(sequences(2, 3001), mask)
    assert pooled.shape == (2, SMALL.width)
    pooled.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_both_ends_and_every_base_matter() -> None:
    encoder = make()
    codes = sequences(1, 170)
    with torch.no_grad():
        before = encoder(codes)[0]
        for at in (0, 84, 169):
            changed = codes.clone()
            changed[0, at] = (changed[0, at] + 1) % 4
            assert (encoder(changed)[0] - before).abs().max() > 1e-6


@pytest.mark.parametrize("both_strands", [True, False])
def test_other_strand(*, both_strands: bool) -> None:
    encoder = make(replace(SMALL, both_strands=both_strands))
    given = encode("ACGTTGCANNACCGTATTGCCA")
    with torch.no_grad():
        ours = encoder(torch.from_numpy(given[None].copy()))[0]
        other = encoder(torch.from_numpy(reverse_complement(given)[None].copy()))[0]
    same = torch.allclose(ours, other, atol=1e-6)
    assert same == both_strands


def test_a_stem_of_both_strands_reads_them_alike() -> None:
    # Patches of one base: the tokens of the other strand are these in reverse order.
    config = replace(
        SMALL, stem_strands=True, stem_blocks=2, patch_bp=1, positions=False
    )
    stem = make(config).stem
    codes = sequences(2, 40)
    other = torch.from_numpy(np.stack([reverse_complement(c) for c in codes.numpy()]))
    mask = torch.ones_like(codes, dtype=torch.bool)
    with torch.no_grad():
        one, two = stem(codes, mask)[0], stem(other, mask)[0]
    torch.testing.assert_close(one, two.flip(1), atol=1e-5, rtol=1e-5)


def test_other_strand_of_padded_sequences() -> None:
    encoder = make(replace(SMALL, both_strands=True))
    codes = sequences(2, 40)
    mask = torch.ones_like(codes, dtype=torch.bool)
    mask[0, 23:] = False
    with torch.no_grad():
        padded, alone = encoder(codes, mask)[0][:1], encoder(codes[:1, :23])[0]
    torch.testing.assert_close(padded, alone, atol=2e-6, rtol=1e-5)


def test_same_generator_same_weights() -> None:
    one, two = make().state_dict(), make().state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_parameter_counts_and_ablations() -> None:
    default = HybridConfig.default()
    n = HybridEncoder(default).n_parameters
    assert 1e6 < n < 1.5e6
    for n_attention, n_ssd in ((6, 0), (0, 6)):
        without = replace(default, n_attention=n_attention, n_ssd=n_ssd)
        assert abs(HybridEncoder(without).n_parameters / n - 1) < 0.06
    with torch.device("meta"):
        assert 20e6 < HybridEncoder(HybridConfig.large()).n_parameters < 24e6


def test_configuration_round_trip() -> None:
    config = replace(SMALL, both_strands=True, dropout=0.25)
    assert HybridConfig.from_json(config.to_json()) == config
    with pytest.raises(InputError, match=r"unknown \['widht'\]"):
        HybridConfig.from_json('{"widht": 3}')
    with pytest.raises(InputError, match="not JSON"):
        HybridConfig.from_json("{")


@pytest.mark.parametrize("real", [[False] * 10, [False] + [True] * 9])
def test_padding_elsewhere_is_refused(real: list[bool]) -> None:
    with pytest.raises(InputError, match="pad on the right"):
        make()(sequences(1, 10), torch.tensor([real]))
