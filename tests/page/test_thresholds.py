"""Thresholds drawn anew by the page, as nearfar threshold draws them."""

import shutil

import pytest

import nearfar as nf
from desks import PUMP, judging_desk
from nearfar.detector.detector import Detector
from nearfar.errors import StorageError

ASKED = f"{PUMP}/threshold"


@pytest.fixture
def desk(tmp_path):
    made = judging_desk(tmp_path)
    yield made
    made.close()


def test_another_rate_is_what_the_command_draws(desk, tmp_path, run):
    shutil.copytree(tmp_path / "det", tmp_path / "other")
    said = desk.ask("GET", ASKED)
    assert said["false_alarm_rate"] == nf.load(tmp_path / "det").false_alarm_rate
    assert said["machines"] == ["fan", "pump"]  # one detector judges both
    said = desk.ask("PUT", ASKED, {"false_alarm_rate": 0.4, "who": "kim"})
    assert run("threshold", tmp_path / "other", "--false-alarm-rate", "0.4")[0] == 0
    both = [nf.load(tmp_path / name) for name in ("det", "other")]
    assert said["threshold"] == both[0].threshold("pump").value == both[1].threshold("pump").value
    assert (tmp_path / "det/detector.json").read_bytes() == (
        tmp_path / "other/detector.json"
    ).read_bytes()
    assert desk.ask("GET", ASKED)["threshold"] == said["threshold"]
    assert desk.ask("GET", PUMP)["threshold_p"] == 0.4
    assert [message.event for message in desk.sent] == ["threshold"]
    assert desk.store.audit()[0].about == "pump: 0.4"


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, "x", None])
def test_what_is_no_rate_is_refused(desk, tmp_path, rate):
    before = (tmp_path / "det/detector.json").read_bytes()
    assert "\n" not in desk.ask("PUT", ASKED, {"false_alarm_rate": rate}, 422)["error"]
    assert (tmp_path / "det/detector.json").read_bytes() == before


def test_a_rate_that_is_said_elsewhere_is_changed_there(tmp_path):
    desk = judging_desk(tmp_path, rate=0.3)
    before = (tmp_path / "det/detector.json").read_bytes()
    assert desk.ask("GET", ASKED)["false_alarm_rate"] == 0.3
    line = desk.ask("PUT", ASKED, {"false_alarm_rate": 0.4}, 409)["error"]
    assert "plant.toml" in line
    assert "0.3" in line
    assert (tmp_path / "det/detector.json").read_bytes() == before
    desk.close()


def test_a_folder_that_cannot_be_written_is_one_line(desk, monkeypatch):
    def full(self, folder):
        raise StorageError(f"{folder}: cannot be written (read-only file system)")

    monkeypatch.setattr(Detector, "save", full)
    assert "read-only" in desk.ask("PUT", ASKED, {"false_alarm_rate": 0.4}, 503)["error"]
    assert desk.store.audit()[0].outcome.startswith("refused: ")
