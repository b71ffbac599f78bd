"""Jobs dealt out to shards, and gathered again."""

import warnings

import pytest

from nearfar.errors import AudioError, FormatError, NearfarWarning, SettingError, warn
from nearfar.runtime.shards import Deferred, Gathered, OneShard, Shard
from ways import InShards


class Numbers:
    """Jobs and results are lists of numbers, a piece each."""

    def names(self, job):
        return [b"%d" % number for number in job]

    def pieces(self, result):
        return [b"%d" % number for number in result]

    def result(self, pieces):
        return [int(piece) for piece in pieces]


def squares(job):
    return [number**2 for number in job]


@pytest.mark.parametrize("text", ["0/16", "17/16", "a/b", "3", "3/0", "-1/2", "1/2/3", "", "3/ 4"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(SettingError, match="shard is"):
        Shard.of_text(text)


@pytest.mark.parametrize("of", [1, 2, 3, 16])
def test_every_item_falls_to_one_shard_and_none_to_two(of):
    items = list(range(10))
    dealt = [item for number in range(1, of + 1) for item in items[Shard(number, of).mine]]
    assert sorted(dealt) == items


@pytest.mark.parametrize("of", [1, 2, 7])
def test_all_shards_together_give_what_one_run_gives(of):
    jobs = [[1, 2], [3], [], [4, 5, 6]]
    assert list(InShards(of).run(squares, jobs, codec=Numbers())) == list(map(squares, jobs))


def test_what_was_kept_is_given_by_item_whatever_its_job_was():
    with pytest.raises(Deferred) as end:
        list(OneShard(Shard(1, 1)).run(squares, [[1, 2], [3]], codec=Numbers()))
    gathered = Gathered(end.value.pieces)
    assert list(gathered.run(None, [[3, 1], [2]], codec=Numbers())) == [[9, 1], [4]]
    with pytest.raises(FormatError, match="lack a clip"):
        list(gathered.run(squares, [[4]], codec=Numbers()))


def warned(job):
    warn(f"about {job}")
    return job


def warned_by_python(job):
    """As a person's own part may."""
    warnings.warn(f"about {job}", NearfarWarning, stacklevel=1)
    return job


def bad(job):
    raise AudioError("no good; leave it out with --skip-bad")


@pytest.mark.parametrize("task", [warned, warned_by_python])
def test_warnings_of_all_shards_are_told_again(task):
    with pytest.warns(NearfarWarning) as caught:
        assert list(InShards(2).run(task, [[1], [2], [3]], codec=Numbers())) == [[1], [2], [3]]
    told = [str(w.message) for w in caught]
    assert set(told) == {"about [1]", "about [2]", "about [3]"}
    assert len(told) == 6  # where the shards ran, and where they are merged


def test_an_error_is_raised_by_the_shard_with_its_own_type_and_text():
    with pytest.raises(AudioError) as caught:
        list(OneShard(Shard(1, 2)).run(bad, [[1]], codec=Numbers()))
    assert str(caught.value) == "no good; leave it out with skip_bad=True"
