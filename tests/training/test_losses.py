"""The margins, against the papers' formulas written with arccos, and what must stay true."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nearfar.errors import DatasetError, NearfarError
from nearfar.training.learner.losses import (
    ArcFace,
    CosFace,
    CosineMargin,
    ElasticFace,
    MagFace,
    loss_class,
)


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
    class Stricter(CosineMargin):
        def margined(self, own, lengths):
            return own - self.margin

    rng = np.random.default_rng(6)
    loss = Stricter(6, 4, 0.35, 16.0, generator()).double()
    x, labels = torch.from_numpy(rng.standard_normal((9, 6))), torch.arange(9) % 4
    logits = 16 * loss.cosines(x).detach().numpy()
    logits[np.arange(9), labels.numpy()] -= 16 * 0.35
    p = np.exp(logits)
    expected = -np.log(p[np.arange(9), labels.numpy()] / p.sum(1)).mean()
    assert loss(x, labels).item() == pytest.approx(expected)


# ---- the others of the family ----------------------------------------------------------------

OTHERS = (CosFace, ElasticFace, MagFace)


def some(kind, margin=0.2, scale=30.0, embedding=6, seed=0):
    """A loss, clips of many lengths, a third of them opposite to their class, and labels."""
    rng = np.random.default_rng(seed)
    loss = kind(embedding, 4, margin, scale, generator(seed)).double()
    labels = rng.integers(0, 4, 120)
    x = rng.standard_normal((120, embedding))
    x[::3] = -loss.centres.detach().numpy()[labels[::3]]
    x[::3] += 0.02 * rng.standard_normal((40, embedding))
    lengths = np.exp(rng.uniform(np.log(0.05), np.log(40), 120))  # l_a is 1.1 and u_a is 11.9
    return loss, x / np.linalg.norm(x, axis=1, keepdims=True), labels, lengths


def angles(loss, x):
    centres = loss.centres.detach().numpy()
    return np.arccos(np.clip(x @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T,
                             -1, 1))  # fmt: skip


def turned_by_hand(theta, margin):
    return np.where(
        theta + margin <= np.pi, np.cos(theta + margin), np.cos(theta) - margin * np.sin(margin)
    )


def softmax_loss(cosines, own, labels, scale):
    logits = scale * cosines
    logits[np.arange(len(labels)), labels] = scale * own
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float((total - logits[np.arange(len(labels)), labels]).mean())


def value(loss, x, labels, lengths=None):
    lengths = None if lengths is None else torch.from_numpy(lengths)
    return loss(torch.from_numpy(x), torch.from_numpy(labels), lengths).item()


@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0])
def test_cosface_is_its_papers_formula(margin):
    loss, x, labels, _ = some(CosFace, margin, 16.0)
    theta = angles(loss, x)
    own = np.cos(theta[np.arange(120), labels]) - margin
    assert value(loss, x, labels) == pytest.approx(
        softmax_loss(np.cos(theta), own, labels, 16.0), rel=1e-9
    )


def test_elasticface_is_its_papers_formula():
    loss, x, labels, _ = some(ElasticFace, 0.3)
    torch.manual_seed(11)
    found = value(loss, x, labels)
    torch.manual_seed(11)
    margins = 0.3 + 0.0125 * torch.randn(120, dtype=torch.float64).numpy()
    theta = angles(loss, x)
    own = turned_by_hand(theta[np.arange(120), labels], margins)
    assert found == pytest.approx(softmax_loss(np.cos(theta), own, labels, 30.0), rel=1e-9)


def test_elasticfaces_margins_are_normal():
    """Of θ = 0 the cosine becomes that of the margin: what was drawn can be read off."""
    loss = ElasticFace(6, 4, 0.2, 30.0, generator()).double()
    torch.manual_seed(3)
    own = torch.full((20_000,), 1 - 1e-9, dtype=torch.float64)
    theta = math.acos(1 - 1e-9)
    margins = np.arccos(loss.margined(own, torch.ones_like(own)).numpy()) - theta
    assert margins.mean() == pytest.approx(0.2, abs=4 * 0.0125 / math.sqrt(20_000))
    assert margins.std() == pytest.approx(0.0125, rel=0.03)
    inside = np.mean(np.abs(margins - margins.mean()) < margins.std())
    assert inside == pytest.approx(math.erf(math.sqrt(0.5)), abs=0.02)


def test_elasticface_draws_in_training_only_and_by_the_seed():
    loss, x, labels, _ = some(ElasticFace)
    plain = value(some(ArcFace)[0], x, labels)
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(value(loss, x, labels))
    assert values[0] == values[1] != values[2]
    assert plain not in values
    before = torch.random.get_rng_state()
    assert value(loss.eval(), x, labels) == pytest.approx(plain, rel=1e-12)
    assert torch.equal(torch.random.get_rng_state(), before)
    loss.train().sigma = 1e-12
    assert value(loss, x, labels) == pytest.approx(plain, rel=1e-9)


def magface_by_hand(loss, x, labels, lengths, margin, scale):
    """Meng et al., Eq. 3, and below l_a the tangent of g. l_a, u_a, λ_g from the published ones."""
    root = math.sqrt(x.shape[1] / 512)
    low, high, l_a, u_a = 0.9 * margin, 1.6 * margin, 10 * root, 110 * root
    bound = 64 * (0.8 - 0.45) / 100 / (1 / 10**2 - 1 / 110**2)  # the paper's least λ_g
    own_bound = scale * (high - low) / (u_a - l_a) / (1 / l_a**2 - 1 / u_a**2)
    price = 35 / bound * own_bound
    total = []
    margins = np.interp(lengths, [l_a, u_a], [low, high])
    for a in lengths:
        if a >= l_a:
            total.append(1 / a + a / u_a**2)
        else:
            total.append(1 / l_a + l_a / u_a**2 + (1 / u_a**2 - 1 / l_a**2) * (a - l_a))
    theta = angles(loss, x)
    own = turned_by_hand(theta[np.arange(len(x)), labels], margins)
    return softmax_loss(np.cos(theta), own, labels, scale) + price * np.mean(total)


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5, 0.98])
def test_magface_is_its_papers_formula(margin):
    loss, x, labels, lengths = some(MagFace, margin)
    expected = magface_by_hand(loss, x, labels, lengths, margin, 30.0)
    assert value(loss, x, labels, lengths) == pytest.approx(expected, rel=1e-9)
    whole = value(loss, x * lengths[:, None], labels)  # lengths of the embeddings themselves
    assert whole == pytest.approx(expected, rel=1e-9)


def test_magface_with_the_papers_numbers_has_the_papers_price():
    loss = MagFace(512, 4, 0.5, 64.0)
    assert (loss.shortest, loss.longest) == (10, 110)
    assert (loss.low, loss.high) == pytest.approx((0.45, 0.8))
    assert loss.price == pytest.approx(35)


def test_magfaces_gradient_by_finite_differences():
    loss, x, labels, lengths = some(MagFace, 0.5, 8.0)
    rows = torch.from_numpy(x * lengths[:, None])
    rows.requires_grad_()
    loss(rows, torch.from_numpy(labels)).backward()
    for place in [(0, 0), (1, 3), (5, 2), (30, 5), (119, 1)]:
        values = []
        for step in (1e-6, -1e-6):
            moved = x * lengths[:, None]
            moved[place] += step
            size = np.linalg.norm(moved, axis=1)
            unit = moved / size[:, None]
            values.append(magface_by_hand(loss, unit, labels, size, 0.5, 8.0))
        slope = (values[0] - values[1]) / 2e-6
        assert rows.grad[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_magface_leaves_no_length_without_a_slope():
    """Too short grows, at a bounded rate; too long shrinks; g alone is lowest at u_a."""
    loss = MagFace(128, 4, 0.2, 30.0).double()
    lengths = torch.tensor([0.0, 1e-9, 0.1, 3.0, 20.0, 56.0, 400.0], dtype=torch.float64)
    lengths.requires_grad_()
    loss.penalty(lengths).backward()
    assert torch.isfinite(lengths.grad).all()
    assert (lengths.grad[:5] < 0).all()
    assert torch.equal(lengths.grad[:4], lengths.grad[:1].expand(4))
    assert (lengths.grad[5:] > 0).all()  # u_a is 55
    assert loss.longest == 55


@pytest.mark.parametrize("theta", [0.05, 0.8, 1.57, 2.5, 3.0])
def test_magface_has_its_best_length_between_its_ends(theta):
    """λ_g is large enough: wherever a clip points, at l_a longer is better."""
    loss = MagFace(256, 2, 0.2, 30.0, generator()).double()
    with torch.no_grad():
        loss.centres.zero_()
        loss.centres[0, 0] = loss.centres[1, 1] = 1
    x = torch.zeros(1, 256, dtype=torch.float64)
    x[0, 0], x[0, 1] = math.cos(theta), math.sin(theta)
    length = torch.tensor([loss.shortest + 1e-6], dtype=torch.float64, requires_grad=True)
    loss(x, torch.tensor([0]), length).backward()
    assert length.grad.item() < 0


@pytest.mark.parametrize("kind", OTHERS)
def test_no_margin_is_plain_softmax(kind):
    loss, x, labels, lengths = some(kind, margin=0.0, scale=12.0)
    theta = angles(loss, x)
    own = np.cos(theta[np.arange(120), labels])
    expected = softmax_loss(np.cos(theta), own, labels, 12.0)
    assert value(loss.eval(), x, labels, lengths) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("margin", [0.0, 0.01, 0.2, 0.98])
def test_the_own_class_never_gains(kind, margin):
    loss, _, _, lengths = some(kind, margin)
    own = torch.cos(torch.linspace(0, math.pi, 120, dtype=torch.float64))
    for _ in range(20):
        assert (loss.margined(own, torch.from_numpy(lengths)) <= own + 1e-12).all()


@pytest.mark.parametrize("kind", OTHERS)
def test_arcfaces_other_laws_hold_for_all(kind):
    """A finite gradient wherever a clip points, zero or not; a wrong label; impossible settings."""
    loss = kind(6, 4, 0.2, 30.0, generator())
    x = torch.cat([loss.centres.detach(), -loss.centres.detach(), torch.zeros(4, 6)])
    x.requires_grad_()
    found = loss(x, torch.arange(12) % 4)
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(loss.centres.grad).all()
    with pytest.raises(DatasetError, match="label 4"):
        loss(torch.ones(2, 6), torch.tensor([0, 4]))
    with pytest.raises(NearfarError):
        kind(6, 4, -0.1, 30.0)


def test_magface_refuses_a_margin_beyond_a_right_angle():
    with pytest.raises(NearfarError, match=r"^margin is 1.0; for magface it is 0 to 0.98$"):
        MagFace(6, 4, 1.0, 30.0)


def test_losses_by_name():
    names = ("arcface", "cosface", "elasticface", "magface")
    assert [loss_class(name) for name in names] == [ArcFace, *OTHERS]
