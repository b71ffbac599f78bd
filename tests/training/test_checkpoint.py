"""Which epoch's weights are kept: the most right, then the lower loss, then the earlier."""

from hypothesis import given
from hypothesis import strategies as st

from nearfar.training.loop.checkpoint import Best

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
