"""The command explain: about six lines for a person, or JSON for a program."""

import json
import re
import sys

import numpy as np
import pytest

import nearfar as nf
from command import failed
from conftest import RATE, machine_sound, write
from nearfar.cli import explain as command
from nearfar.cli.lines import wrapped
from nearfar.detector.explanation.explanation import SCHEMA

WORDS = ("said", "why", "also", "moved", "like", "share", "where", "more")


@pytest.fixture
def anomaly(dcase):
    return next((dcase / "fan" / "test").glob("*source_test_anomaly_0000*"))


def told(out):
    """A person's lines: word → what stands behind it, over as many lines as it takes."""
    head, *lines = out.splitlines()
    found, word = {"": [head]}, ""
    for line in lines:
        word = line[: command.WORD].strip() or word
        found.setdefault(word, []).append(line[command.WORD :].strip())
    return found


def test_an_alarm_is_explained_in_about_six_lines(run, detector_folder, anomaly):
    code, out, err = run("explain", detector_folder, anomaly)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    said = told(out)
    assert set(said) == {"", "said", "why", "moved", "like", "more"}
    assert said[""] == [f"fan: {anomaly.name}"]
    verdict = nf.load(detector_folder).score([nf.Clips.open(anomaly)[0]])[0]
    assert said["said"][0].startswith("ANOMALOUS: score ")
    assert f"percentile {verdict.percentile:.3f}" in said["said"][0]
    assert [len(said[word]) for word in ("moved", "like")] == [3, 3]
    assert all(re.match(r"[+−][\d.,]+ sd +\d+ %  the |what", line) for line in said["moved"])
    assert said["like"][0].split()[1] == verdict.nearest.rsplit("/", 1)[-1]
    assert said["more"] == ["-o clip.html for pictures and sound"]


def test_json_says_the_same_as_data(run, detector_folder, anomaly, tmp_path):
    code, out, _ = run("explain", detector_folder, anomaly, "--json", "-")
    assert code == 0
    data = json.loads(out)
    explained = nf.load(detector_folder).explain(nf.Clips.open(anomaly)[0])
    assert data == explained.as_dict()
    assert data["schema"] == SCHEMA
    file = tmp_path / "why.json"
    code, out, _ = run("explain", detector_folder, anomaly, "--json", file)
    assert json.loads(file.read_text()) == data
    assert out.splitlines()[-1] == f"wrote {file}"
    # Its own file it may write again, another's not.
    assert run("explain", detector_folder, anomaly, "--json", file)[0] == 0
    (tmp_path / "mine.json").write_text("{}")
    failed(run("explain", detector_folder, anomaly, "--json", tmp_path / "mine.json"), "--replace")
    failed(run("explain", detector_folder, anomaly, "--json", anomaly), ".json")


def test_a_sensor_reason_comes_first_and_the_others_after_it(run, detector_folder, dcase, tmp_path):
    one = machine_sound(np.random.default_rng(4))[0]
    path = write(tmp_path / "same.wav", np.stack([one, one]))
    said = told(run("explain", detector_folder, path, "--machine", "fan", "--normals", dcase)[1])
    assert said["why"] == ["both channels are identical; is the far microphone connected?"]
    assert "swapped or moved" in said["also"][0]
    assert "more" in said


def test_what_cannot_be_judged_says_why_and_no_more(run, detector_folder, tmp_path):
    path = write(tmp_path / "still.wav", np.zeros((2, 2 * RATE)))
    code, out, err = run("explain", detector_folder, path, "--machine", "fan")
    assert (code, err) == (0, "")
    said = told(out)
    assert said["said"] == ["not judged"]
    assert "digitally silent" in said["why"][0]
    assert set(said) == {"", "said", "why"}


def test_the_way_to_the_normal_clips_is_a_flag_in_a_shell(run, detector_folder, tmp_path):
    path = write(tmp_path / "a" / "new.wav", machine_sound(np.random.default_rng(5)))
    out = run("explain", detector_folder, path, "--machine", "fan")[1]
    assert "--normals FOLDER" in told(out)["more"][0]
    assert "normals=" not in out


def test_an_encoder_or_the_floor_says_where(run, dcase, anomaly, tmp_path):
    nf.fit(nf.logmel(), nf.Clips.open(dcase, split="train")).save(tmp_path / "floor")
    said = told(run("explain", tmp_path / "floor", anomaly)[1])
    assert said["where"][0].startswith("at 2.48–3.68 kHz")
    assert "81 hearings" in said["where"][0]
    assert "moved" not in said
    out = run("explain", tmp_path / "floor", anomaly, "--no-regions")[1]
    assert "where" not in told(out)


def test_a_part_of_a_long_recording_is_named_as_verdicts_name_it(run, detector_folder, tmp_path):
    long = np.concatenate([machine_sound(np.random.default_rng(n)) for n in range(4)], axis=1)
    path = write(tmp_path / "long.wav", long)
    out = run("explain", detector_folder, f"{path}@00:00:03-00:00:04.5", "--machine", "fan")[1]
    assert out.splitlines()[0] == "fan: long.wav@00:00:03-00:00:04.5"
    assert "long, normal clips were" not in out
    whole = told(run("explain", detector_folder, path, "--machine", "fan")[1])
    assert "6 s long, normal clips were 1.5 s" in whole["why"][0]
    assert whole["more"][0].startswith("a part of it: ")
    assert "long.wav@00:00:00-00:00:01.5; " in whole["more"][0]
    failed(
        run("explain", detector_folder, f"{path}@00:00:03-00:00:02", "--machine", "fan"), "start"
    )


def test_names_of_any_kind_are_printed_in_one_line_each(run, detector_folder, tmp_path):
    if sys.platform == "win32":
        pytest.skip("no such names there")
    path = write(tmp_path / "<b>a&\x1b[31m\n.wav", machine_sound(np.random.default_rng(6)))
    code, out, _ = run("explain", detector_folder, path, "--machine", "fan")
    assert code == 0
    assert out.splitlines()[0] == r"fan: <b>a&\x1b[31m\n.wav"
    assert "\x1b" not in out
    # As HTML it is the page's to escape; as JSON it is the name itself.
    data = json.loads(run("explain", detector_folder, path, "--machine", "fan", "--json", "-")[1])
    assert data["verdict"]["path"] == str(path)


def test_mistakes_are_one_line(run, detector_folder, dcase, anomaly, tmp_path):
    failed(run("explain", detector_folder, dcase), "explain takes one")
    failed(run("explain", detector_folder, tmp_path / "gone.wav"), "no such file")
    failed(run("explain", detector_folder, anomaly, "--machine", "fna"), "did you mean 'fan'?")
    failed(run("explain", tmp_path, anomaly), "no readable detector.json")
    failed(run("explain", detector_folder, anomaly, "--normals", tmp_path / "x"), "no such file")


def test_a_page_is_asked_for_before_anything_is_heard(run, detector_folder, anomaly, tmp_path):
    pytest.importorskip("nearfar.report.explained")
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    failed(run("explain", detector_folder, anomaly, "-o", tmp_path / "mine.html"), "--replace")
    failed(run("explain", detector_folder, anomaly, "-o", tmp_path / "clip.wav"), ".html")
    code, out, _ = run("explain", detector_folder, anomaly, "-o", tmp_path / "clip.html")
    assert code == 0
    assert out.splitlines()[-1] == f"wrote {tmp_path / 'clip.html'}"
    assert "more" not in told(out)
    assert (tmp_path / "clip.html").stat().st_size > 10_000


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_at_any_width_no_word_is_broken(detector_folder, anomaly, width):
    explained = nf.load(detector_folder).explain(nf.Clips.open(anomaly)[0])
    for line in command.lines(explained):
        broken = wrapped(line, width, indent=" " * command.WORD)
        assert broken.split() == line.split()
        assert all(len(row) <= width or " " not in row.strip() for row in broken.splitlines())
