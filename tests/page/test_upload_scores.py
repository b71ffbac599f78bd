"""What is sent is heard as the watch hears, and told of by the name that its sender gave it."""

import numpy as np
import pytest

import nearfar as nf
import sound_bombs as bombs
from conftest import refused, write
from nearfar.clips.clip import Clip
from nearfar.errors import AudioError
from nearfar.page.sent.upload_scores import Sent, check_size, scored
from nearfar.page.sent.uploads import Upload
from nearfar.sound.look import look
from watches import detector_in, sound

PUMP = ("pump", "00")


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return nf.load(detector_in(tmp_path_factory.mktemp("made")))


def score(detector, *uploads, let=lambda: None, **more):
    more = {"skip_bad": False, "explain": False} | more
    return scored(detector, PUMP, uploads, let, **more)["scores"]


def test_bit_by_bit_what_a_watch_says_of_it(detector, tmp_path):
    path = tmp_path / "0"
    path.write_bytes(bombs.wav(sound(7)))
    audio, recorded = Clip(path).read_recorded(detector.order)
    wanted = detector.judge_audio(Clip(path, machine="pump"), audio, look(audio, recorded))
    (row,) = score(detector, Upload("7.wav", path))
    assert row == wanted.as_dict() | {"clip": "7.wav", "path": "7.wav"}


def test_the_watch_may_go_between_two_and_before_one_is_judged(detector, tmp_path):
    path, let = tmp_path / "0", []
    path.write_bytes(bombs.wav(sound(7)))
    score(detector, *[Upload(f"{n}.wav", path) for n in range(3)], let=lambda: let.append(1))
    assert len(let) == 2 + 3


def test_a_dcase_name_says_what_it_says():
    sent = Sent.of(Upload("section_00_target_test_anomaly_0001_speed_2.wav", "x"), PUMP)
    assert (sent.clip.domain, sent.told.attributes) == ("target", "speed_2")
    assert sent.told.path.name == "section_00_target_test_anomaly_0001_speed_2.wav"


@pytest.mark.parametrize("place", ["{path}", "{near}", "near {path} and far {far}"])
def test_places_are_told_as_names(tmp_path, place):
    upload = Upload("a.wav", tmp_path / "0", tmp_path / "1")
    sent = Sent.of(upload, PUMP)
    text = place.format(path=upload.path, far=upload.far, near=sent.clip.name)
    told = sent.line(AudioError(f"{text}: empty; leave it out with --skip-bad"))
    assert str(tmp_path) not in told
    assert tmp_path.name not in told
    assert "a.wav" in told
    assert told.endswith("leave it out with ?skip_bad=true")


def test_the_size_of_a_far_file_counts_too(tmp_path):
    near = write(tmp_path / "near.wav", sound(1)[:1])
    many = write(tmp_path / "many.wav", np.zeros((9, 16_000)))
    refused(lambda: check_size(Clip(near, many)), "many.wav: 9 channels", error=AudioError)
    check_size(Clip(near, near))


def test_nothing_good_is_an_error_with_each_fault(detector, tmp_path):
    (tmp_path / "0").write_bytes(b"")
    bad = [Upload(f"{n}.wav", tmp_path / "0") for n in range(2)]
    with pytest.raises(AudioError) as caught:
        score(detector, *bad)
    assert len(caught.value.faults) == 2
    assert [row["score"] for row in score(detector, *bad, skip_bad=True)] == [None, None]
    assert [row["explanation"] for row in score(detector, *bad, skip_bad=True, explain=True)] == [
        None, None,
    ]  # fmt: skip
