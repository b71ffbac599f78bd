"""results.md and results.json: the same tables, and what they are of."""

import json
from pathlib import Path

import pytest

from nearfar.clips import Clips
from nearfar.reproduce.data import Data
from nearfar.reproduce.reported import load
from nearfar.reproduce.steps.plan import Request
from nearfar.reproduce.steps.records import Folder
from nearfar.reproduce.steps.schedule import Schedule
from nearfar.reproduce.tables.results import write
from nearfar.runtime.runtime import Runtime
from nearfar.scores.truth import Truth
from nearfar.training import FineTuning

VERSIONS = {"nearfar": "0", "machine": "a machine"}


@pytest.fixture
def written(tmp_path):
    """Table 1, which needs no numbers, of data that are the report's or not."""

    def make(official=False, simulated="", training=None):
        data = Data(
            Path("data"), Clips(), Clips(), Truth(()), None, "near-far", simulated, official, (),
            "a" * 64, "b" * 64, 10.0,
        )  # fmt: skip
        folder = Folder(tmp_path / f"run-{official}-{simulated}-{training is None}")
        folder.begin(resume=False)
        request = Request(("1",), (0, 1), training or FineTuning(), data, "")
        text, results = write(Schedule(request, None, folder, Runtime()), None, VERSIONS)
        assert (folder.path / "results.md").read_text(encoding="utf-8") == text
        assert json.loads((folder.path / "results.json").read_text(encoding="utf-8")) == results
        return text, results

    return make


def test_the_report_stands_beside_its_own_data_alone(written):
    text, results = written(official=True)
    assert load().title in text
    assert "– report" in text
    assert results["report"]["authors"] == list(load().authors)
    for other in (written(), written(simulated="SIMULATED v1 seed 0")):
        assert load().title not in other[0]
        assert "– report" not in other[0]
        assert other[1]["report"] is None


def test_simulated_data_say_so_first(written):
    text, results = written(simulated="SIMULATED v1 seed 0")
    assert text.splitlines()[2].startswith("**SIMULATED v1 seed 0**")
    assert results["data"]["label"] == "SIMULATED v1 seed 0"


def test_settings_that_are_not_the_usual_ones_are_told(written):
    assert "all settings as they come" in written()[0]
    text, results = written(training=FineTuning(epochs=5))
    assert "Training: `epochs=5`." in text
    assert results["training"]["epochs"] == 5


def test_a_run_without_steps_is_of_what_prints_it(written):
    text, results = written()
    assert (results["versions"], results["steps"]) == ([VERSIONS], [])
    assert "nearfar 0, a machine" in text
    assert "Encoder: none" in text
