"""Packed products: tried before they are used, and rows cut alike for every clip."""

import pytest

torch = pytest.importorskip("torch")

from nearfar.embedder import packing


def test_trying_the_operators_draws_no_random_numbers():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    packing.can_pack()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("tokens", [9, 97, 297, 505, 513, 801, 6145])
@pytest.mark.parametrize("clips", [1, 2, 3, 7, 10])
def test_every_clip_is_cut_alike_and_no_row_is_lost(clips, tokens):
    for most in (packing.PROJECTION_ROWS, packing.MLP_ROWS):
        cut = packing.pieces(clips, tokens, most)
        rows = [row for piece in cut for row in range(clips * tokens)[piece]]
        assert rows == list(range(clips * tokens))
        whole = [range(clips * tokens)[piece] for piece in cut]
        size = {row: len(piece) for piece in whole for row in piece}
        assert max(size.values()) <= most
        assert all(size[row] == size[row % tokens] for row in rows)


@pytest.mark.parametrize("clips", [1, 2, 3])
def test_a_packed_block_is_its_formula_but_for_rounding(clips):
    if not packing.can_pack():
        pytest.skip("this PyTorch packs nothing")
    draw = torch.Generator().manual_seed(clips)
    d, hidden = 32, 64
    sizes = ((d, d), (hidden, d), (d, hidden))
    weights = [(torch.randn(s, generator=draw) / s[1] ** 0.5).bfloat16() for s in sizes]
    biases = [torch.randn(s[0], generator=draw).bfloat16() for s in sizes]
    proj, fc1, fc2 = (packing.PackedLinear(w, b) for w, b in zip(weights, biases, strict=True))
    norm = torch.nn.LayerNorm(d, dtype=torch.bfloat16)
    x, mixed = (torch.randn(clips, 9, d, generator=draw).bfloat16() for _ in range(2))
    with torch.inference_mode():
        have = packing.PackedBlock(proj, norm, fc1, fc2, norm)(x, mixed).float()
        exact = [(w.float(), b.float()) for w, b in zip(weights, biases, strict=True)]
        linear, gelu = torch.nn.functional.linear, torch.nn.functional.gelu
        r = torch.nn.functional.layer_norm(x.float() + linear(mixed.float(), *exact[0]), (d,))
        y = r + linear(gelu(linear(r, *exact[1])), *exact[2])
        want = torch.nn.functional.layer_norm(y, (d,))
    # bfloat16 has 8 bits: some roundings of 0.4 % each, of numbers up to 3.
    assert (have - want).abs().max() <= 0.1
    assert (have - want).abs().mean() <= 0.01
