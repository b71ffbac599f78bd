"""Sub-cluster AdaCos is its paper's formula, and the laws that follow from it."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nearfar.errors import DatasetError, SettingError
from nearfar.training.learner.adacos import SubclusterAdaCos, fixed_scale

CLASSES, EMBEDDING, BATCH = 4, 6, 30


def made(clusters=3, adaptive=False, seed=0, **changed):
    generator = torch.Generator().manual_seed(seed)
    sizes = {"embedding": EMBEDDING, "classes": CLASSES, **changed}
    return SubclusterAdaCos(
        clusters=clusters, adaptive=adaptive, generator=generator, **sizes
    ).double()


def some(seed=0, near=None):
    """Embeddings of many lengths, and labels; near to the centres of their class, if asked."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, BATCH)
    x = rng.standard_normal((BATCH, EMBEDDING)) * np.exp(rng.uniform(-3, 3, (BATCH, 1)))
    if near is not None:
        own = near.centres.detach().numpy()[labels * near.clusters]
        x = own + 0.05 * rng.standard_normal(x.shape)
    return torch.from_numpy(x), torch.from_numpy(labels)


def by_hand(x, labels, centres, clusters, scale):
    """−ln P(own class), clip by clip and centre by centre."""
    total = []
    for row, label in zip(x, labels, strict=True):
        power = [
            math.exp(scale * float(row @ c) / np.linalg.norm(row) / np.linalg.norm(c))
            for c in centres
        ]
        own = sum(power[label * clusters : (label + 1) * clusters])
        total.append(-math.log(own / sum(power)))
    return sum(total) / len(total)


def scale_by_hand(x, labels, centres, clusters, scale):
    """The scale that a batch makes of the one before."""
    sums, angles = [], []
    for row, label in zip(x, labels, strict=True):
        cosines = [float(row @ c) / np.linalg.norm(row) / np.linalg.norm(c) for c in centres]
        sums.append(sum(math.exp(scale * c) for c in cosines))
        own = cosines[label * clusters : (label + 1) * clusters]
        angles.append(sum(math.acos(min(1.0, c)) for c in own))
    middle = sorted(angles)[(len(angles) - 1) // 2]
    return math.log(sum(sums) / len(sums)) / math.cos(min(math.pi / 4, middle))


def arrays(loss, x, labels):
    return x.detach().numpy(), labels.tolist(), loss.centres.detach().numpy(), loss.clusters


# ---- the formula ---------------------------------------------------------------------------------


@pytest.mark.parametrize("clusters", [1, 2, 16])
def test_it_is_the_papers_formula(clusters):
    loss, (x, labels) = made(clusters), some()
    wanted = by_hand(*arrays(loss, x, labels), math.sqrt(2) * math.log(CLASSES * clusters - 1))
    assert loss(x, labels).item() == pytest.approx(wanted, rel=1e-10)
    assert loss.eval()(x, labels).item() == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize(("clusters", "near"), [(1, False), (1, True), (3, False), (16, True)])
def test_the_scale_follows_the_batches_as_in_the_paper(clusters, near):
    loss = made(clusters, adaptive=True)
    scale = math.sqrt(2) * math.log(CLASSES * clusters - 1)
    assert loss.scale == pytest.approx(scale, rel=1e-6)
    for step in range(4):
        x, labels = some(step, loss if near else None)
        scale = scale_by_hand(*arrays(loss, x, labels), loss.scale)
        assert loss(x, labels).item() == pytest.approx(
            by_hand(*arrays(loss, x, labels), scale), rel=1e-8
        )
        assert loss.scale == pytest.approx(scale, rel=1e-8)
    before = loss.scale
    loss.eval()(*some(9))  # judging moves nothing
    assert loss.scale == before


def test_gradients_by_finite_differences():
    loss, (x, labels) = made(3), some(2)
    x.requires_grad_()
    torch.autograd.gradcheck(lambda a: loss(a, labels), (x,))
    loss(x, labels).backward()
    centres = loss.centres.detach().numpy()
    for place in ((0, 0), (4, 3), (11, 5)):
        values = []
        for step in (1e-6, -1e-6):
            moved = centres.copy()
            moved[place] += step
            values.append(by_hand(x.detach().numpy(), labels.tolist(), moved, 3, loss.scale))
        slope = (values[0] - values[1]) / 2e-6
        assert loss.centres.grad[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_the_moving_scale_has_no_gradient():
    """The step is that of the same scale held fixed."""
    loss, (x, labels) = made(3, adaptive=True), some(3)
    x.requires_grad_()
    loss(x, labels).backward()
    moved = x.grad.clone()
    x.grad = None
    loss.eval()(x, labels).backward()  # with the scale as it now is
    assert torch.allclose(x.grad, moved, rtol=1e-12)


# ---- K = 1, and more -----------------------------------------------------------------------------


def test_with_one_centre_a_class_it_is_adacos_with_its_fixed_scale():
    """Zhang et al., CVPR 2019: softmax of s · cos θ with s = √2 · ln(C − 1)."""
    loss, (x, labels) = made(1), some(4)
    logits = math.sqrt(2) * math.log(CLASSES - 1) * loss.cosines(x)
    wanted = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(loss(x, labels), wanted)


def test_equal_centres_are_one_but_for_the_scale():
    """K copies of a centre: sums of K equal terms on both sides of the fraction."""
    many, one, (x, labels) = made(4), made(1), some(5)
    with torch.no_grad():
        many.centres.copy_(one.centres.repeat_interleave(4, dim=0))
    one.first_scale = many.first_scale
    torch.testing.assert_close(many(x, labels), one(x, labels))


def test_centres_of_a_class_may_change_places_and_classes_their_numbers():
    loss, (x, labels) = made(3), some(6)
    before = loss(x, labels).item()
    of_class = loss.centres.detach().view(CLASSES, 3, EMBEDDING)
    with torch.no_grad():
        loss.centres.copy_(of_class.flip(1).reshape(-1, EMBEDDING))
    assert loss(x, labels).item() == pytest.approx(before, rel=1e-12)
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        loss.centres.copy_(of_class[order].reshape(-1, EMBEDDING))
    back = torch.argsort(order)
    assert loss(x, back[labels]).item() == pytest.approx(before, rel=1e-12)


def test_only_directions_count():
    loss, (x, labels) = made(3), some(7)
    before = loss(x, labels).item()
    turn, _ = torch.linalg.qr(torch.randn(EMBEDDING, EMBEDDING, dtype=torch.float64))
    factors = torch.rand(BATCH, 1, dtype=torch.float64) + 0.1
    with torch.no_grad():
        loss.centres.copy_(7 * loss.centres @ turn)
    lengths = torch.rand(BATCH, dtype=torch.float64)  # they count for nothing
    assert loss(factors * x @ turn, labels, lengths).item() == pytest.approx(before, rel=1e-10)


def test_the_likeliest_class_need_not_have_the_nearest_centre():
    loss = made(2, classes=2)
    with torch.no_grad():
        loss.centres.zero_()
        loss.centres[0, 0] = loss.centres[1, 1] = 1  # one centre of class 0 near, one far away
        loss.centres[2, :2] = loss.centres[3, :2] = torch.tensor([0.9, 0.3])
    x = torch.zeros(1, EMBEDDING, dtype=torch.float64)
    x[0, 0] = 1
    assert loss.cosines(x).argmax().item() == 0  # the first, of class 0
    assert loss.guess(x).tolist() == [1]
    assert loss(x, torch.tensor([1])) < loss(x, torch.tensor([0]))


def test_a_class_may_lie_on_two_sides():
    """Class 0 is east and west, 1 north and south: one centre a class has half of them."""
    loss = made(2, embedding=2, classes=2)
    compass = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]).double()
    labels = torch.tensor([0, 0, 1, 1])
    with torch.no_grad():
        loss.centres.copy_(compass)
    assert loss.guess(compass).tolist() == labels.tolist()
    best = loss(compass, labels).item()
    for seed in range(20):
        other = made(1, seed=seed, embedding=2, classes=3)
        right = other.cosines(compass)[:, :2].argmax(dim=1) == labels
        assert right.sum() <= 2
        other.first_scale = loss.first_scale
        assert other(compass, labels).item() > best


# ---- numbers that could be none, and bad input ---------------------------------------------------


@pytest.mark.parametrize("adaptive", [False, True])
def test_wherever_a_clip_points_numbers_are_finite(adaptive):
    loss = made(3, adaptive).float()
    x = torch.cat([loss.centres.detach(), -loss.centres.detach(), torch.zeros(4, EMBEDDING)])
    x.requires_grad_()
    for _ in range(50):
        found = loss(x, torch.arange(len(x)) % CLASSES)
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(x.grad).all()
    assert math.isfinite(loss.scale)
    with torch.autocast("cpu", torch.bfloat16):
        cast = loss.eval()(x, torch.arange(len(x)) % CLASSES)
    assert cast.dtype == torch.float32
    assert cast.item() == loss(x, torch.arange(len(x)) % CLASSES).item()


def test_116_classes_of_16_as_in_the_data():
    loss = SubclusterAdaCos(192, 116, adaptive=True)
    assert loss.centres.shape == (1856, 192)
    assert fixed_scale(1856) == pytest.approx(math.sqrt(2) * math.log(1855))


def test_bad_input_is_one_line():
    for wrong in (4, -1, -100):
        with pytest.raises(DatasetError, match=r"^label -?\d+; with 4 classes it is 0 to 3$"):
            made(2)(torch.ones(1, EMBEDDING).double(), torch.tensor([wrong]))
    with pytest.raises(SettingError, match=r"2 centres has a scale of 0; training\.clusters=2"):
        made(1, classes=2)
    with pytest.raises(SettingError, match="clusters is 0; a class has 1 or more"):
        made(0)
    with pytest.raises(SettingError, match="classes is 1; a loss needs 2 or more"):
        made(2, classes=1)
