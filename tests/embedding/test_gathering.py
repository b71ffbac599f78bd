"""All shards of one command, and of nothing else, make a whole."""

import itertools

import pytest

from conftest import refused
from nearfar.embedding.gathering import called, gather
from nearfar.errors import DatasetError, FormatError
from shard_parts import CLIPS, CODEC, Listened, part_of, saying


@pytest.fixture
def three(tmp_path):
    """Parts of all of three shards."""
    return [part_of(tmp_path, number, 3, told=[(f"of {number}", "")]) for number in (1, 2, 3)]


def test_in_whatever_order_they_are_named_the_whole_is_the_same(three):
    for some in itertools.permutations(three):
        whole = gather(some)
        assert (whole.clips, whole.command) == (CLIPS, "fit")
        told = []
        with pytest.warns() as caught:
            told += whole.executor(1).run(CODEC.result, [Listened(CLIPS)], codec=CODEC)
        assert [one.rows[0][0] for one in told[0]] == [0, 0, 0, 1, 1]
        assert [str(one.message) for one in caught] == ["of 1", "of 2", "of 3"]


def test_more_shards_than_clips_are_a_whole(tmp_path):
    assert gather([part_of(tmp_path, n, 9) for n in range(1, 10)]).clips == CLIPS


def test_a_missing_shard_is_named_and_many_are_counted(three, tmp_path):
    refused(lambda: gather(three[::2]), "1 of 3 shards missing: 2/3", error=DatasetError)
    (tmp_path / "many").mkdir()
    one = part_of(tmp_path / "many", 2, 16)
    refused(lambda: gather([one]), "15 of 16", "1/16, 3/16", "and 10 more", error=DatasetError)
    refused(lambda: gather([]), "no parts", error=DatasetError)


def test_a_shard_named_twice_is_named(three, tmp_path):
    copy = tmp_path / "copy"
    copy.write_bytes(three[1].read_bytes())
    refused(lambda: gather([*three, copy]), copy, "2/3", three[1], "once", error=DatasetError)


@pytest.mark.parametrize(("change", "told"), [
    ({"clips": CLIPS[::-1]}, "the list of clips differs"),
    ({"clips": CLIPS[:4]}, "the number of clips differs: 5 and 4"),
    ({"command": "score"}, "the command differs: fit and score"),
    ({"skip_bad": True}, "skip bad differs: False and True"),
    ({"false_alarm_rate": 0.2}, "false alarm rate differs: nothing and 0.2"),
    ({"system": "x" * 200}, "system differs; run"),
    ({"of": 4}, "the number of shards differs: 3 and 4"),
])  # fmt: skip
def test_what_is_not_of_one_run_is_named(three, tmp_path, change, told):
    (tmp_path / "b").mkdir()
    other = part_of(tmp_path / "b", **{"number": 2, "of": 3, **change})
    # Values come in the order in which the parts are named.
    refused(lambda: gather([other, three[0], three[2]]), three[0], other, told, error=DatasetError)


def test_a_part_of_another_nearfar_is_named(three):
    saying(three[2], nearfar="0.0.1")
    refused(lambda: gather(three), three[2], "0.0.1", "run its shard again", error=FormatError)


def test_clips_that_are_not_those_of_the_list_are_refused(tmp_path):
    one = saying(part_of(tmp_path, 1, 1), digest="")
    refused(lambda: gather([one]), one, "clips", error=FormatError)


def test_settings_have_names_that_a_reader_knows():
    assert [called(n) for n in ("sha256", "channel_order")] == ["detector", "channel order"]
