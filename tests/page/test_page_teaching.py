"""A detector on disk as the page changes it: by the plant's words, and with its warnings told."""

import pytest

import nearfar as nf
from conftest import refused
from nearfar.errors import DatasetError
from nearfar.page.refusal import Refusal
from nearfar.page.said.teaching import reader_of, redrawn, untaught
from nearfar.service.plant import DetectorSettings, opened
from new_clips import digests
from plants import by_hand


@pytest.fixture
def settings(tmp_path):
    return DetectorSettings(by_hand().save(tmp_path / "det"), false_alarm_rate=0.3)


def test_a_rate_that_the_plant_asks_for_is_never_saved(settings):
    assert opened(settings).false_alarm_rate == 0.3
    assert reader_of(settings)().false_alarm_rate == 0.1


def test_what_is_not_known_is_forgotten_already(settings):
    before = digests(settings.folder)
    with untaught(settings, {"9f" * 32}, ("pump", "00")):
        pass
    with untaught(settings, {"9f" * 32}, ("gone", "00")):
        pass
    assert digests(settings.folder) == before


def test_too_few_left_is_a_conflict(settings):
    def forget():
        with untaught(settings, {"0a", "0b", "0c"}, ("pump", "00")):
            raise AssertionError

    before = digests(settings.folder)
    with pytest.raises(Refusal) as caught:
        forget()
    assert caught.value.status == 409
    assert digests(settings.folder) == before


def test_what_follows_a_new_rate_and_fails_takes_it_back(settings):
    before = digests(settings.folder)

    def fail():
        with redrawn(settings, 0.4) as (detector, _):
            assert detector.false_alarm_rate == 0.4
            raise DatasetError("no")

    refused(fail, "no", error=DatasetError)
    assert digests(settings.folder) == before
    with redrawn(settings, 0.4):
        pass
    assert nf.load(settings.folder).false_alarm_rate == 0.4
