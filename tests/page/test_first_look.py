"""What is said of recordings before a fit is what the commands say, and what a fit then does."""

import re
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, refused, write
from nearfar.errors import DatasetError, SettingError
from nearfar.page.setup.first_look import FirstLook, Wish, check_name, fit_first, look_first, shown
from setups import bad_files, pump_files, wav


def lay(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def quiet(what, done, of):
    pass


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Good recordings, bad ones, and two that stand out. Read only."""
    folder = tmp_path_factory.mktemp("mixed") / "pump.normals"
    lay(folder, pump_files(16) | bad_files())
    rng = np.random.default_rng(3)
    write(folder / "normal/dead.wav", machine_sound(rng) * [[1], [0.00001]])
    write(folder / "normal/long.wav", machine_sound(rng, seconds=4))
    return folder


@pytest.mark.slow
def test_every_bad_file_is_named_and_the_others_are_counted(mixed):
    said = []
    found = look_first(Wish((mixed,), "pump"), lambda *what: said.append(what))
    assert found.can_fit
    assert found.clips == 18
    assert found.seconds == pytest.approx(17 * 1.5 + 4)
    for name in bad_files():
        assert any(Path(name).name in line for line in found.problems), name
    assert {one.kind for one in found.suspects} >= {"far floor", "length"}
    assert ("listening", 23, 23) in said
    assert any("needs at least 99 normal clips, there are 18" in line for line in found.problems)


def test_what_is_told_is_kept_whatever_other_threads_do_to_pythons_warnings(mixed):
    """As FastAPI does while it begins: what it puts back is not what a look has set."""
    lines, begun = look_first(Wish((mixed,), "pump"), quiet).problems, threading.Event()

    def upset(*_):
        if not begun.is_set():
            begun.set()
            thread = threading.Thread(target=warnings.simplefilter, args=("error",))
            thread.start()
            thread.join()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert look_first(Wish((mixed,), "pump"), upset).problems == lines
    assert begun.is_set()


@pytest.mark.slow
def test_the_words_are_the_commands(mixed, run):
    code, out, err = run("check", mixed, "--machine", "pump", "--skip-bad", "--workers", "1")
    assert code == 1
    told = look_first(Wish((mixed,), "pump"), quiet).problems
    lines = [line for line in out.splitlines() if line.startswith("pump: ")]
    assert lines
    assert set(lines) <= set(told)
    printed = re.sub(r"[\w./-]*pump\.normals/", "", out + err)
    for line in told:
        tail = line.removeprefix("left out: ").split(": ", 1)[1]
        assert tail in printed or "needs at least" in line, line


@pytest.mark.slow
def test_a_fit_leaves_out_what_was_named_and_is_the_commands(mixed, tmp_path):
    detector, told = fit_first(Wish((mixed,), "pump", 0.2, exclude_suspects=True), quiet)
    assert list(detector.sections) == [("pump", "00")]
    assert len(detector.sections["pump", "00"].clips) == 16
    assert detector.false_alarm_rate == 0.2
    for name in ("mono.wav", "text.wav", "dead.wav"):
        assert any(name in line for line in told), name
    with pytest.warns():
        same = nf.fit(nf.s4(), nf.Clips.open(mixed, machine="pump"), skip_bad=True,
                      exclude_suspects=True, false_alarm_rate=0.2)  # fmt: skip
    assert np.array_equal(same.self_scores("pump", "00"), detector.self_scores("pump", "00"))


def test_days_and_near_and_far_files_are_one_machine(tmp_path):
    files = {}
    rng = np.random.default_rng(0)
    for i in range(12):
        near, far = machine_sound(rng)
        files |= {f"rec/2024-11-0{1 + i % 2}/{side}/{i}.wav": wav([half])
                  for side, half in (("near", near), ("far", far))}  # fmt: skip
    found = look_first(Wish((lay(tmp_path / "pump.normals", files),), "pump"), quiet)
    assert found.can_fit
    assert found.clips == 12
    assert not any("by the names of folders" in line for line in found.problems)


def test_folders_of_several_machines_are_asked_about(tmp_path):
    files = pump_files(6, folder="fan") | pump_files(6, seed=6, folder="saw")
    found = look_first(Wish((lay(tmp_path / "pump.normals", files),), "pump"), quiet)
    assert any("2 machines" in line and "fan, saw" in line for line in found.problems)


@pytest.mark.slow
def test_far_before_near_is_noticed_and_can_be_turned(tmp_path):
    rng = np.random.default_rng(0)
    files = {}
    for i in range(12):
        sound = machine_sound(rng)
        sound[1] *= 0.3
        files[f"{i}.wav"] = wav(sound[::-1])
    data = (lay(tmp_path / "pump.normals", files),)
    assert any("quieter than far" in p for p in look_first(Wish(data, "pump"), quiet).problems)
    turned = look_first(Wish(data, "pump", order="far-near"), quiet)
    assert not any("quieter than far" in line for line in turned.problems)


@pytest.mark.parametrize(
    "files",
    [{}, {"a.wav": b"no sound"}, pump_files(1), pump_files(12, folder="abnormal"),
     pump_files(3, folder="x/test")],
    ids=["nothing", "text", "one", "anomalies", "test clips"],
)  # fmt: skip
def test_what_cannot_be_fitted_is_a_problem_and_no_error(tmp_path, files):
    folder = lay(tmp_path / "pump.normals", files)
    folder.mkdir(exist_ok=True)
    wish = Wish((folder,), "pump")
    found = look_first(wish, quiet)
    assert not found.can_fit
    assert found.problems
    assert not any(str(tmp_path) in line for line in found.problems)
    refused(lambda: fit_first(wish, quiet), error=DatasetError)


def test_no_place_of_this_computer_is_shown():
    data = (Path("/srv/hall/normal"),)
    for line, told in {
        "/srv/hall/normal/day/a.wav: mono": "day/a.wav: mono",
        "hall/normal/a.wav: mono": "a.wav: mono",
        "normal/day/a.wav: mono": "day/a.wav: mono",
        "abnormal/a.wav: x": "abnormal/a.wav: x",
        "leave it out with skip_bad=True": "leave it out with --skip-bad",
    }.items():
        assert shown(line, data) == told


def test_a_look_as_json_has_no_path(mixed):
    said = look_first(Wish((mixed,), "pump"), quiet).as_dict()
    assert str(mixed) not in str(said)
    assert {row["clip"] for row in said["suspects"]} >= {"dead.wav", "long.wav"}
    assert FirstLook().as_dict()["suspects"] == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\nb", "\\", "x" * 81])
def test_names_that_no_machine_can_have(name):
    refused(lambda: check_name(name), error=SettingError)
    refused(lambda: Wish((), name), error=SettingError)


@pytest.mark.parametrize("rate", [0, 1, -1, float("nan")])
def test_rates_that_are_none(rate):
    refused(lambda: Wish((), "pump", rate), "false-alarm-rate", error=SettingError)
