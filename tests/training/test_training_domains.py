"""DANN and MixStyle: laws of their formulas."""

import pytest

torch = pytest.importorskip("torch")

from nearfar.training.learner.domains import Discriminator, MixStyle, reversal


def test_the_turned_gradient_grows_from_nothing_to_nearly_all():
    values = [reversal(p / 20) for p in range(21)]
    assert values[0] == 0
    assert values == sorted(values)
    assert 0.999 < values[-1] < 1


def test_no_strength_is_no_gradient_and_the_loss_stays():
    torch.manual_seed(0)
    judge = Discriminator(4, (0.5, 0.5))
    x, domains = torch.randn(6, 4, requires_grad=True), torch.tensor([0, 0, 1, 1, 1, -1])
    losses, gradients = [], []
    for strength in (0.0, 1.0, 2.0):
        loss = judge(x, domains, strength)
        losses.append(float(loss.detach()))
        gradients.append(torch.autograd.grad(loss, x)[0])
    assert losses[0] == losses[1] == losses[2]
    assert not gradients[0].any()
    assert torch.equal(2 * gradients[1], gradients[2])
    assert not gradients[1][5].any()  # of no domain: no part in it


def test_either_domain_weighs_one_half_whatever_its_share():
    judge = Discriminator(4, (0.9, 0.1))
    assert [0.9 * judge.weights[0], 0.1 * judge.weights[1]] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("depth", "block"), [(1, 1), (7, 1), (8, 2), (12, 3), (24, 6)])
def test_behind_a_quarter_of_the_blocks(depth, block):
    assert MixStyle.of_depth(depth).block == block


def test_never_is_never_and_cls_has_no_style():
    torch.manual_seed(0)
    tokens = [torch.randn(3, 9, 4), torch.randn(2, 17, 4)]
    never = MixStyle(1, chance=0.0)(tokens)
    assert all(torch.equal(a, b) for a, b in zip(never, tokens, strict=True))
    always = MixStyle(1, chance=1.0, alpha=1.0)(tokens)
    for before, after in zip(tokens, always, strict=True):
        assert torch.equal(before[:, 0], after[:, 0])
        assert not torch.equal(before[:, 1:], after[:, 1:])


def test_a_batch_of_one_keeps_its_style():
    """There is nobody to borrow from."""
    tokens = torch.randn(1, 9, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(MixStyle(1, chance=1.0)([tokens])[0], tokens)
