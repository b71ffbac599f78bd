"""Which machine a clip is for, and what is held for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from nearfar.clips.clip import Clip
from nearfar.errors import DatasetError
from nearfar.service.alarms.point import Numbering
from nearfar.service.alarms.wishes import AlarmSettings
from nearfar.service.holding import DetectorHold
from nearfar.service.incoming import now
from nearfar.service.posts import Post, Posts
from watches import detector_in, plant_of


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    return plant_of(detector_in(tmp_path_factory.mktemp("posts")))


def post_of(plant, gate=None, state=""):
    machine = plant.machines[0]
    hold = DetectorHold(machine.detector, [machine.key])
    return Post.of(machine.key, hold, AlarmSettings(gate=gate), Numbering(), state)


def test_where_one_machine_is_watched_all_is_of_it(plant):
    posts = Posts(plant, [post_of(plant)])
    clip = posts.assigned(Clip(Path("rec/1.wav"), machine="rec"), "hall")
    assert (clip.machine, clip.section) == ("pump", "00")


def test_a_clip_of_a_data_set_says_whose_it_is(plant):
    posts = Posts(plant, [post_of(plant)])
    with pytest.raises(DatasetError, match="nobody watches 'fan'"):
        posts.assigned(Clip(Path("fan/1.wav"), machine="fan", split="test"), "hall")


def test_the_sources_word_for_near_and_far_is_kept(plant):
    turned = replace(plant, sources=(replace(plant.sources[0], channels=(2, 1)),))
    posts = Posts(turned, [post_of(turned)])
    assert posts.assigned(Clip(Path("1.wav")), "hall").channels == (2, 1)


def test_a_gate_that_is_said_goes_before_the_learnt(plant):
    assert post_of(plant, gate=-12.5).normality.gate == -12.5
    assert post_of(plant).normality.gate != -12.5


def test_renewed_it_keeps_its_own_state(plant):
    post = post_of(plant)
    before = post.station.state
    assert post.renew(now()) == ()
    assert post.station.state == before
    assert post.seconds == 1.5
    assert Posts(plant, [post]).holds() == [post.hold]
