"""check, fit --exclude-suspects, inspect --json: as people call them."""

import json
import shutil

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write, write_machine


@pytest.fixture(scope="module")
def press(tmp_path_factory):
    """Fourteen clips of which one has its channels exchanged. Read only."""
    root = tmp_path_factory.mktemp("press") / "press"
    rng = np.random.default_rng(4)
    for i in range(14):
        near = 0.1 * rng.standard_normal(24_000)
        audio = np.stack([near, 0.3 * near + 0.02 * rng.standard_normal(24_000)])
        write(root / f"c{i:02d}.wav", audio[::-1] if i == 5 else audio)
    return root


def test_check_names_suspects_and_writes_nothing(run, press):
    before = sorted(press.parent.iterdir())
    code, out, _ = run("check", press, "--no-cache", "--workers", 1)
    assert code == 1
    assert "c05.wav" in out
    assert "1 of 14 clips stand out" in out
    assert sorted(press.parent.iterdir()) == before


def test_check_of_clean_clips_is_0(run, press, tmp_path):
    for file in press.iterdir():
        if file.name != "c05.wav":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    code, out, _ = run("check", tmp_path, "--machine", "press", "--no-cache", "--workers", 1)
    assert (code, out) == (0, "13 clips: none stands out\n")


def test_clips_that_were_left_out_are_not_said_to_be_clean(run, tmp_path):
    rng = np.random.default_rng(8)
    for i in range(9):
        write(tmp_path / "press" / f"c{i}.wav", machine_sound(rng))
    write(tmp_path / "press" / "silent.wav", np.zeros((2, 24_000)))
    given = ("check", tmp_path / "press", "--no-cache", "--workers", 1)
    for more in ((), ("--skip-bad",)):
        out = run(*given, *more)[1]
        assert out.endswith("9 clips: none stands out (1 of 10 clips cannot be used)\n")


def test_fit_says_what_it_leaves_out(run, press, tmp_path):
    given = ("fit", press, "--no-cache", "--workers", 1)
    code, _, err = run(*given, "-o", tmp_path / "all")
    assert code == 0
    assert "1 of 14 clips: near over far is far from the median" in err
    code, _, err = run(*given, "-o", tmp_path / "without", "--exclude-suspects")
    assert code == 0
    assert "press: fitted without 1 suspect: c05.wav" in err
    index = json.loads((tmp_path / "without" / "detector.json").read_text())
    assert "c05.wav" not in json.dumps(index)


def test_inspect_prints_or_writes_json(run, press, tmp_path):
    code, out, _ = run("inspect", press, "--json", "-")
    assert code == 0
    found = json.loads(out)
    assert [s["clip"].rsplit("/")[-1] for s in found["suspects"]] == ["c05.wav"]
    code, out, _ = run("inspect", press, "--json", tmp_path / "health.json")
    assert json.loads((tmp_path / "health.json").read_text()) == found
    assert out.startswith("machine")


def test_inspect_cuts_as_fit_does(run, tmp_path):
    rng = np.random.default_rng(0)
    sound = machine_sound(rng, seconds=5)
    write(tmp_path / "press" / "r_near.wav", sound[:1])
    write(tmp_path / "press" / "r_far.wav", sound[1:, :-640])  # stopped 40 ms earlier
    code, out, _ = run("inspect", tmp_path / "press", "--clip-seconds", 2)
    assert code == 0
    assert "cannot be used" not in out


def test_check_names_every_clip_that_stands_out(run, tmp_path):
    rng = np.random.default_rng(7)
    for i in range(26):
        audio = machine_sound(rng)
        write(tmp_path / f"clip{i:02d}.wav", audio[[0, 0]] if i % 2 else audio)
    code, out, _ = run("check", tmp_path, "--machine", "press", "--no-cache", "--workers", 1)
    assert code == 1
    assert "13 of 26 clips: both channels are one" in out
    about = out[out.index("both channels are one") :]
    for i in range(1, 26, 2):
        assert f"clip{i:02d}.wav" in about


def test_faults_and_suspects_are_told_in_one_go(run, press, tmp_path):
    for file in press.iterdir():
        (tmp_path / "press" / file.name).parent.mkdir(exist_ok=True)
        (tmp_path / "press" / file.name).write_bytes(file.read_bytes())
    write(tmp_path / "press" / "mono.wav", machine_sound(np.random.default_rng(0))[:1])
    (tmp_path / "press" / "text.wav").write_text("no sound")
    given = ("check", tmp_path / "press", "--no-cache", "--workers", 1)
    code, out, err = run(*given)
    assert code == 2  # faults come first, as ever
    # Of those that could be judged, whether the others stop a fit or are left out.
    assert "1 of 14 clips: near over far is far from the median" in out
    assert "1 of 14 clips stand out (2 of 16 clips cannot be used)" in out
    assert "c05.wav" in out
    assert "mono.wav" in err
    assert "text.wav" in err
    assert "2 of 16 clips cannot be used" in err
    code, out, _ = run(*given, "--json", "-")
    assert code == 2
    found = json.loads(out)
    assert (found["clips"], len(found["faults"]), {s["kind"] for s in found["suspects"]}) == (
        16, 2, {"ratio", "score"},
    )  # fmt: skip
    # With the same clips left out the counts are the same.
    code, out, _ = run(*given, "--skip-bad")
    assert (code, "1 of 14 clips: near over far" in out) == (1, True)
    code, _, err = run("fit", *given[1:], "--skip-bad", "-o", tmp_path / "d")
    assert (code, "1 of 14 clips: near over far" in err) == (0, True)


def test_a_fault_of_no_clip_is_told_once(run, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, err = run("check", tmp_path / "empty", "--no-cache", "--workers", 1)
    assert (code, out) == (2, "")
    assert err.count("error:") == 1


def test_too_few_to_judge_by_score_is_said(run, tmp_path):
    rng = np.random.default_rng(8)
    for i in range(10):
        write(tmp_path / "press" / f"c{i:02d}.wav", machine_sound(rng))
    given = (tmp_path / "press", "--no-cache", "--workers", 1)
    code, out, _ = run("check", *given)
    assert code == 0
    assert "press: too few clips to judge by score (10 of 12)" in out.splitlines()
    assert len(json.loads(run("check", *given, "--json", "-")[1])["unjudged"]) == 1
    code, out, _ = run("fit", *given, "-o", tmp_path / "d")
    assert "press: too few clips to judge by score (10 of 12)" in out.splitlines()
    for i in range(10, 12):
        write(tmp_path / "press" / f"c{i:02d}.wav", machine_sound(rng))
    assert "too few" not in run("check", *given)[1]
    assert "too few" not in run("fit", *given, "-o", tmp_path / "d")[1]


def test_a_file_that_was_written_is_named_beside_a_fault(run, tmp_path):
    rng = np.random.default_rng(8)
    for i in range(3):
        write(tmp_path / "press" / f"c{i}.wav", machine_sound(rng))
    (tmp_path / "press" / "text.wav").write_text("no sound")
    given = ("check", tmp_path / "press", "--no-cache", "--workers", 1)
    code, out, _ = run(*given, "--json", tmp_path / "c.json")
    assert (code, out.splitlines()[-1]) == (2, f"wrote {tmp_path / 'c.json'}")


def test_with_skip_bad_nothing_is_heard_twice(run, tmp_path, monkeypatch):
    from nearfar.detector import fitting

    for i in range(3):
        write(tmp_path / "press" / f"c{i}.wav", np.zeros((2, 24_000)))
    asked, look_over = [], fitting.look_over

    def counted(*given, **named):
        asked.append(named["skip_bad"])
        return look_over(*given, **named)

    monkeypatch.setattr(fitting, "look_over", counted)
    code, _, _ = run("check", tmp_path / "press", "--skip-bad", "--no-cache", "--workers", 1)
    assert (code, asked) == (2, [True])


NAME = "section_00_{}_{}_normal_{:04d}_noAttribute.wav"


@pytest.fixture
def faulty_set(tmp_path):
    """A DCASE set: a copy but for gain, a test clip that is trained on, one of another length."""
    write_machine(tmp_path / "set", "fan", 1, source=13)
    train, test = tmp_path / "set/fan/train", tmp_path / "set/fan/test"
    sound = nf.Clip(train / NAME.format("source", "train", 3)).read()
    write(train / NAME.format("source", "train", 13), -0.5 * sound)
    write(test / NAME.format("source", "test", 3), 0.5 * sound)
    write(test / NAME.format("target", "test", 3), machine_sound(np.random.default_rng(0), 3.0))
    return tmp_path / "set"


def kinds_of(rows):
    return {(row["kind"], row.get("clip", "").rsplit("/")[-1]) for row in rows}


def test_a_whole_set_has_one_report(run, faulty_set, tmp_path):
    given = ("check", faulty_set, "--no-cache", "--workers", 1)
    code, out, _ = run(*given)
    assert code == 1
    for said in (
        "fan: 1 of 17 clips: another clip again but for gain",
        "-6.0 dB, of turned sign",
        "test clips of fan: 1 of 14 clips: a training clip too",
        "test clips of fan: 1 of 14 clips: a length of their own (the others: 1.5 s)",
        "what this does to scores",
        "  leak: the clip finds itself in the bank",
        "1 of 17 clips stand out",
        "2 of 14 test clips at fault",
    ):
        assert said in out
    found = json.loads(run(*given, "--json", "-")[1])
    assert kinds_of(found["suspects"]) == {
        ("copy", NAME.format("source", "train", 13)), ("leak", NAME.format("source", "test", 3)),
        ("length", NAME.format("target", "test", 3)),
    }  # fmt: skip
    assert list(found["means"]) == ["copy", "length", "leak", "turned"]
    assert (found["clips"], found["test_clips"], found["known_as"]) == (17, 14, None)


def test_fit_names_the_same_clips_in_the_same_lines(run, faulty_set, tmp_path):
    given = (faulty_set, "--no-cache", "--workers", 1)
    checked = run("check", *given)[1].splitlines()
    fitted = run("fit", *given, "-o", tmp_path / "d")[2].splitlines()
    about = {line.removeprefix("warning: ") for line in fitted if " of 17 clips: " in line}
    assert about == {line for line in checked if line.startswith("fan: ") and " of 17 " in line}
    assert len(about) == 1


def test_a_fault_of_names_is_told_although_nothing_can_be_heard(run, faulty_set):
    (faulty_set / "fan/train/free.wav").write_bytes(b"")
    code, out, err = run("check", faulty_set, "--no-cache", "--workers", 1, "--json", "-")
    assert (code, err.count("error:")) == (2, 1)
    found = json.loads(out)
    assert [(f["kind"], f["files"]) for f in found["findings"]] == [("name", ["free.wav"])]
    assert len(found["faults"]) == 1


def test_test_clips_that_cannot_be_used_are_faults(run, faulty_set):
    (faulty_set / "fan/test" / NAME.format("target", "test", 4)).write_bytes(b"")
    given = ("check", faulty_set, "--no-cache", "--workers", 1)
    code, out, err = run(*given)
    assert code == 2
    assert "test_normal_0004" in err
    assert "2 of 14 test clips at fault (1 of 15 clips cannot be used)" in out
    code, _, err = run(*given, "--skip-bad")
    assert (code, "warning: left out: " in err, "test_normal_0004" in err) == (1, True, True)


def test_test_clips_that_cannot_be_listed_are_said_to_be_unseen(run, faulty_set):
    (faulty_set / "fan/test/free.wav").write_bytes(b"")
    code, out, _ = run("check", faulty_set, "--no-cache", "--workers", 1)
    assert code == 1
    assert "test clips are not looked at: " in out
    assert "1 file: no DCASE name" in out


def test_anomalies_are_never_outliers_and_labels_say_nothing(run, tmp_path):
    write_machine(tmp_path / "set", "fan", 1, source=13, test=4)
    given = ("check", tmp_path / "set", "--no-cache", "--workers", 1)
    code, out, _ = run(*given)
    assert (code, [line for line in out.splitlines() if "note: " not in line]) == (
        0, ["fan: too few target clips to judge by score (3 of 12)", "16 clips: none stands out",
            "16 test clips: none at fault"],
    )  # fmt: skip


def test_a_year_that_is_told_has_counts(run, faulty_set):
    given = ("check", faulty_set, "--no-cache", "--workers", 1)
    code, out, _ = run(*given, "--year", 2026)
    assert code == 1
    assert "fan: 14 of 990 clips of train, source in the development set of 2026" in out
    code, out, err = run(*given, "--year", 1999)
    assert (code, out, err.count("error: ")) == (2, "", 1)


@pytest.mark.parametrize("odd", ["empty", "others", "file", "zero", "gone", "endless"])
def test_odd_places_are_refused_in_one_line(run, tmp_path, odd):
    place = tmp_path / "a\nb\U0001f600"
    place.mkdir()
    if odd == "others":
        (place / "notes.txt").write_text("none")
    elif odd == "file":
        place = place / "notes.txt"
        place.write_text("none")
    elif odd == "zero":
        (place / "a\nb.wav").write_bytes(b"")
    elif odd == "gone":
        place.rmdir()
    elif odd == "endless":
        (place / "again").symlink_to(place, target_is_directory=True)
    code, _, err = run("check", place, "--no-cache", "--workers", 1)
    assert (code, err.count("\n"), err.count("error: ")) == (2, 1, 1)


def test_test_clips_alone_are_looked_at(run, faulty_set):
    shutil.rmtree(faulty_set / "fan/train")
    code, out, _ = run("check", faulty_set, "--no-cache", "--workers", 1)
    assert code == 1
    assert "fan: no training folder" in out
    assert out.splitlines()[-1] == "14 test clips: none at fault"


def test_copies_are_left_out_with_suspects(run, faulty_set, tmp_path):
    given = ("fit", faulty_set, "--no-cache", "--workers", 1, "-o", tmp_path / "d")
    code, _, err = run(*given, "--exclude-suspects")
    assert code == 0
    assert f"fan: fitted without 1 suspect: {NAME.format('source', 'train', 13)}" in err


def test_channels_that_may_be_exchanged_in_all_clips_are_a_note_as_inspect_says(run, tmp_path):
    rng = np.random.default_rng(4)
    for i in range(6):
        far, own = 0.1 * rng.standard_normal(24_000), 0.01 * rng.standard_normal((2, 24_000))
        write(tmp_path / f"saw/c{i}.wav", np.stack([0.2 * far, far]) + own)
    given = ("check", tmp_path / "saw", "--workers", 1)
    code, out, _ = run(*given)
    (note,) = [line for line in out.splitlines() if line.startswith("note: saw: near is")]
    assert (code, note.endswith("say --channel-order far-near")) == (0, True)
    assert "saw: near is" in run("inspect", tmp_path / "saw")[1]
    code, out, _ = run(*given, "--channel-order", "far-near")
    assert (code, "note:" in out) == (0, False)


def test_every_copy_is_named_with_what_it_is_a_copy_of(run, tmp_path):
    rng = np.random.default_rng(3)
    for i in range(12):
        sound = machine_sound(rng)
        write(tmp_path / "press" / f"a recording of the press at the gate {i:02d}.wav", sound)
        write(tmp_path / "press" / f"its copy, brought along by a colleague {i:02d}.wav", -sound)
    out = run("check", tmp_path / "press", "--no-cache", "--workers", 1)[1]
    about = out[out.index("another clip again but for gain") : out.index("what this does")]
    for i in range(12):
        pair = f"colleague {i:02d}.wav of a recording of the press at the gate {i:02d}.wav, +0.0 dB"
        assert pair in about
    assert "of turned sign; its copy" in about
