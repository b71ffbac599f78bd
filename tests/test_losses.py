"""The angular margin, against the paper's formula written with arccos, and what must stay true."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nearfar.errors import DatasetError, NearfarError  # noqa: E402
from nearfar.finetune.losses import ArcFace, CosineMargin  # noqa: E402


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def arcface(embedding=6, classes=4, margin=0.2, scale=30.0, seed=0, double=True):
    loss = ArcFace(embedding, classes, margin, scale, generator(seed))
    return loss.double() if double else loss


def by_hand(x, centres, labels, margin, scale):
    """Deng et al., Eq. 3, one clip after another in NumPy, float64, with the angle itself."""
    total = 0.0
    for row, label in zip(x, labels, strict=True):
        angles = [
            math.acos(np.clip(row @ c / np.linalg.norm(row) / np.linalg.norm(c), -1, 1))
            for c in centres
        ]
        logits = [scale * math.cos(a) for a in angles]
        own = angles[label]
        if own + margin <= math.pi:
            logits[label] = scale * math.cos(own + margin)
        else:
            logits[label] = scale * (math.cos(own) - margin * math.sin(margin))
        top = max(logits)
        total += top + math.log(sum(math.exp(v - top) for v in logits)) - logits[label]
    return total / len(x)


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5, 1.5])
def test_is_the_papers_formula(margin):
    rng = np.random.default_rng(0)
    loss = arcface(margin=margin)
    centres = loss.centres.detach().numpy()
    labels = rng.integers(0, 4, 200)
    x = rng.standard_normal((200, 6)) * rng.uniform(0.1, 10, (200, 1))
    # A third of them point away from their class: beyond θ + m = π.
    x[::3] = -centres[labels[::3]] + 0.02 * rng.standard_normal((67, 6))
    expected = by_hand(x, centres, labels, margin, 30.0)
    assert loss(torch.from_numpy(x), torch.from_numpy(labels)).item() == pytest.approx(
        expected, rel=1e-9
    )


@pytest.mark.parametrize("angle", [0.3, 2.0, math.pi - 0.21, math.pi - 0.19, 3.1])
def test_both_branches_one_angle_at_a_time(angle):
    loss = arcface(embedding=2, classes=2, scale=1.0)
    with torch.no_grad():
        loss.centres.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    x = torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    turned = (
        math.cos(angle + 0.2) if angle + 0.2 <= math.pi else (math.cos(angle) - 0.2 * math.sin(0.2))
    )
    other = math.sin(angle)
    expected = math.log(1 + math.exp(other - turned))
    assert loss(x, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-9)


def test_the_further_from_its_class_the_larger_the_loss():
    loss = arcface(embedding=2, classes=2, margin=0.5)
    angles = torch.linspace(0, math.pi, 4001, dtype=torch.float64)
    own = loss.margined(torch.cos(angles), torch.ones_like(angles))
    assert (own.diff() < 0).all()
    assert (own <= torch.cos(angles)).all()


def test_no_margin_is_softmax_of_scaled_cosines():
    loss, rng = arcface(margin=0.0, scale=12.0), np.random.default_rng(1)
    x, labels = rng.standard_normal((30, 6)), rng.integers(0, 4, 30)
    centres = loss.centres.detach().numpy()
    cosines = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (
        centres / np.linalg.norm(centres, axis=1, keepdims=True)
    ).T
    p = np.exp(12 * cosines)
    expected = -np.log(p[np.arange(30), labels] / p.sum(1)).mean()
    assert loss(torch.from_numpy(x), torch.from_numpy(labels)).item() == pytest.approx(expected)


def test_only_directions_count():
    loss, rng = arcface(), np.random.default_rng(2)
    x, labels = torch.from_numpy(rng.standard_normal((20, 6))), torch.from_numpy(
        rng.integers(0, 4, 20)
    )  # fmt: skip
    before = loss(x, labels).item()
    assert loss(7.5 * x, labels).item() == pytest.approx(before, rel=1e-12)
    with torch.no_grad():
        loss.centres.mul_(torch.tensor([[0.1], [2.0], [1.0], [30.0]], dtype=torch.float64))
    assert loss(x, labels).item() == pytest.approx(before, rel=1e-12)


def test_gradient_by_finite_differences():
    loss, rng = arcface(scale=8.0), np.random.default_rng(3)
    labels = torch.tensor([0, 1, 2, 3, 0])
    x = torch.from_numpy(rng.standard_normal((5, 6)))
    x[1] = -loss.centres[1].detach() + 0.05 * x[1]  # the other branch
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: loss(v, labels), (x,))
    loss(x, labels).backward()
    numeric = torch.zeros_like(loss.centres)
    for place in np.ndindex(*loss.centres.shape):
        with torch.no_grad():
            values = []
            for step in (1e-6, -1e-6):
                loss.centres[place] += step
                values.append(loss(x, labels).item())
                loss.centres[place] -= step
            numeric[place] = (values[0] - values[1]) / 2e-6
    assert torch.allclose(loss.centres.grad, numeric, atol=1e-7)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("double", [False, True])
def test_gradient_is_finite_on_and_opposite_to_the_centre(sign, double):
    loss = arcface(embedding=256, classes=5, double=double)
    labels = torch.arange(5)
    for jitter in (0.0, 1e-9, 1e-7, 1e-5, 1e-3):
        noise = torch.randn(5, 256, generator=generator(1)).to(loss.centres.dtype)
        x = (sign * loss.centres.detach() + jitter * noise).requires_grad_()
        loss.zero_grad()
        value = loss(x, labels)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(x.grad).all()
        assert torch.isfinite(loss.centres.grad).all()
        assert x.grad.abs().max() < 1e3


def test_an_embedding_of_zeros_gives_numbers():
    loss = arcface()
    x = torch.zeros(3, 6, dtype=torch.float64, requires_grad=True)
    loss(x, torch.tensor([0, 1, 2])).backward()
    assert torch.isfinite(x.grad).all()


def test_autocast_changes_nothing():
    loss, rng = arcface(double=False), np.random.default_rng(4)
    x = torch.from_numpy(rng.standard_normal((8, 6)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 4, 8))
    plain = loss(x, labels)
    with torch.autocast("cpu", torch.bfloat16):
        cast = loss(x, labels)
        half = loss(x.bfloat16(), labels)
    assert cast.dtype == half.dtype == torch.float32
    assert cast.item() == plain.item()
    assert half.item() == loss(x.bfloat16().float(), labels).item()


def test_a_step_down_the_gradient_brings_classes_to_their_centres():
    loss = arcface(embedding=8, classes=3, double=False)
    x = torch.nn.Parameter(torch.randn(30, 8, generator=generator(5)))
    labels = torch.arange(30) % 3
    optimizer = torch.optim.SGD([x, loss.centres], lr=1.0)
    first = loss(x, labels).item()
    for _ in range(50):
        optimizer.zero_grad()
        loss(x, labels).backward()
        optimizer.step()
    assert loss(x, labels).item() < first / 10
    assert (loss.cosines(x).argmax(1) == labels).all()


def test_centres_are_unit_and_of_the_generator():
    one, same, other = (arcface(seed=s).centres.detach() for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.allclose(one.norm(dim=1), torch.ones(4, dtype=torch.float64), atol=1e-6)
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    arcface()
    assert torch.equal(torch.random.get_rng_state(), before)  # law 3


@pytest.mark.parametrize("labels", [[0, 4], [-1, 0], [-100, 1]])
def test_refuses_a_label_that_is_no_class(labels):
    loss = arcface()
    with pytest.raises(DatasetError, match=r"^label -?\d+; with 4 classes it is 0 to 3$"):
        loss(torch.ones(2, 6, dtype=torch.float64), torch.tensor(labels))


@pytest.mark.parametrize(
    ("embedding", "classes", "margin", "scale"),
    [
        (0, 4, 0.2, 30),
        (6, 1, 0.2, 30),
        (6, 4, -0.1, 30),
        (6, 4, math.nan, 30),
        (6, 4, 3.0, 30),
        (6, 4, 0.2, 0),
        (6, 4, 0.2, math.inf),
    ],
)
def test_refuses_impossible_settings(embedding, classes, margin, scale):
    with pytest.raises(NearfarError) as error:
        ArcFace(embedding, classes, margin, scale)
    assert "\n" not in str(error.value)


def test_another_loss_of_the_family_is_one_method():
    class CosFace(CosineMargin):  # Wang et al., CVPR 2018
        def margined(self, own, lengths):
            return own - self.margin

    rng = np.random.default_rng(6)
    loss = CosFace(6, 4, 0.35, 16.0, generator()).double()
    x, labels = torch.from_numpy(rng.standard_normal((9, 6))), torch.arange(9) % 4
    logits = 16 * loss.cosines(x).detach().numpy()
    logits[np.arange(9), labels.numpy()] -= 16 * 0.35
    p = np.exp(logits)
    expected = -np.log(p[np.arange(9), labels.numpy()] / p.sum(1)).mean()
    assert loss(x, labels).item() == pytest.approx(expected)
