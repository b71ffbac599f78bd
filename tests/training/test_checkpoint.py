"""Which epoch's weights are kept: the most right, then the lower loss, then the earlier."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.errors import SettingError

torch = pytest.importorskip("torch")

from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.eat.model import Encoder
from nearfar.training.learner.learner import Learner, changing
from nearfar.training.learner.losses import ArcFace
from nearfar.training.loop import checkpoint
from nearfar.training.loop.checkpoint import Best, State
from nearfar.training.loop.optimizer import adamw
from nearfar.training.settings import FineTuning

# Few values, so that all kinds of ties are common.
judged = st.tuples(st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.sampled_from([0.0, 0.1, 1.0, 9.0]))


def kept(epochs):
    """The epoch that a training of these (accuracy, loss) keeps."""
    best = None
    for epoch, (accuracy, loss) in enumerate(epochs, start=1):
        new = Best(epoch, accuracy, loss)
        if new.beats(best):
            best = new
    return best.epoch


@given(st.lists(judged, min_size=1, max_size=12))
def test_the_first_of_the_best_is_kept(epochs):
    """An epoch that is no better changes nothing: a training is as good as done where it is."""
    best = min(range(len(epochs)), key=lambda i: (-epochs[i][0], epochs[i][1], i))
    assert kept(epochs) == best + 1


@given(judged, judged)
def test_of_two_at_most_one_beats_the_other(a, b):
    one, two = Best(1, *a), Best(2, *b)
    assert not (one.beats(two) and two.beats(one))
    assert (one.beats(two) or two.beats(one)) == (a != b)
    assert not one.beats(one)


@given(st.lists(st.none(), min_size=1, max_size=5))
def test_without_held_out_normals_the_last_is_kept(epochs):
    assert kept([(None, None) for _ in epochs]) == len(epochs)


# Files


def some_state(tmp_path, **changes):
    shape = Architecture(dim=8, depth=1, heads=2, hidden=16, columns=4).projected()
    pupil = Learner(Encoder(shape), ArcFace(shape.projection[2], 3, 0.2, 30.0))
    with torch.no_grad():
        for x in pupil.parameters():
            x.normal_(generator=torch.Generator().manual_seed(0))
    return State(pupil, adamw(pupil, FineTuning()), **changes)


RUN = {"training": FineTuning().to_data()}


def test_a_copy_is_of_its_moment(tmp_path):
    state = some_state(tmp_path, epoch=1, step=9, batches=2, loss=0.1 + 0.2, clips=16)
    taken = checkpoint.snapshot(state, RUN)
    before = {name: x.clone() for name, x in taken.tensors.items()}
    with torch.no_grad():
        for x in state.learner.parameters():
            x.add_(1)
    state.step = 10
    assert taken.facts["step"] == 9
    assert all(torch.equal(x, before[name]) for name, x in taken.tensors.items())
    checkpoint.save(tmp_path / "a", taken)
    back = some_state(tmp_path)
    checkpoint.restore(tmp_path / "a", back, RUN)
    assert (back.epoch, back.step, back.batches, back.clips) == (1, 9, 2, 16)
    assert (back.loss, back.saved, back.best, back.weights) == (0.1 + 0.2, 9, None, None)


@pytest.mark.parametrize("choose", ["last", "held-out"])
def test_one_of_whole_epochs_as_an_older_nearfar_wrote_it_goes_on(tmp_path, choose):
    """It had no such settings, chose by held-out normals, and is refused with others, by name."""
    then = {k: v for k, v in RUN["training"].items() if k not in ("choose", "lengths")}
    state = some_state(tmp_path, epoch=2, step=8, best=Best(1, 0.5, 1.0))
    state.weights = {n: x + 1 for n, x in changing(state.learner.encoder).items()}
    taken = checkpoint.snapshot(state, {"training": then})
    old = {k: taken.facts[k] for k in ("run", "epoch", "step", "best")} | {"format": 1}
    checkpoint.save(tmp_path / "a", replace(taken, facts=old))
    back, now = some_state(tmp_path), {**RUN["training"], "lengths": "clip", "choose": choose}
    if choose == "last":
        with pytest.raises(SettingError, match=r"training\.choose was 'held-out', is 'last'"):
            checkpoint.restore(tmp_path / "a", back, {"training": now})
        return
    checkpoint.restore(tmp_path / "a", back, {"training": now})
    assert (back.epoch, back.step, back.batches, back.best) == (2, 8, 0, state.best)
    assert all(torch.equal(x, back.weights[name]) for name, x in state.weights.items())
