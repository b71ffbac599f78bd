"""The command learn: what it says, what it refuses, and that it can be killed at any moment."""

import json
import os
import shlex
import shutil
import signal

import numpy as np
import pytest
from soundfile import read

import nearfar as nf
from conftest import finish, first_quick, machine_sound, write
from new_clips import digests
from processes import python

PLANT = 14  # clips: of fewer than twelve none can be judged by score


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """An engineer's folders and a detector of them. Read only."""
    root = tmp_path_factory.mktemp("plant")
    rng = np.random.default_rng(11)
    for folder, count in (("normal", PLANT), ("today", 4), ("spare", 1)):
        for n in range(count):
            write(root / folder / f"{folder[0]}{n:02d}.wav", machine_sound(rng))
    write(root / "odd.wav", machine_sound(rng, anomaly=True))
    write(root / "long.wav", machine_sound(rng, 2.5))
    write(root / "rate.wav", machine_sound(rng, 3.0), rate=8000)
    swapped = machine_sound(rng)[::-1]
    write(root / "swapped.wav", swapped)
    again = read(root / "normal/n03.wav")[0].T
    write(root / "again.wav", 0.7 * again)
    write(root / "silent.wav", np.zeros((2, 24_000)))
    write(root / "hum/anomaly/a.wav", machine_sound(rng, anomaly=True))
    nf.fit(nf.s4(), nf.Clips.open(root / "normal", machine="pump7")).save(root / "det")
    return root


@pytest.fixture
def det(plant, tmp_path, monkeypatch):
    """A copy of the detector, beside its recordings."""
    monkeypatch.chdir(plant)
    return shutil.copytree(plant / "det", tmp_path / "det")


def test_an_engineers_week(det, run, plant):
    before = digests(det)
    code, out, err = run("learn", det, "today")
    assert (code, err) == (0, "")
    assert f"pump7: learnt 4 clips, {PLANT} → {PLANT + 4} known; threshold " in out
    assert "whitening, tier and the shift of source rows are as fitted" in out
    assert "times as wide (fit again from 1.25)" in out
    undo = next(line for line in out.splitlines() if line.startswith("undo: "))
    assert undo == f"undo: nearfar learn {det} --forget 'today/*'"
    assert run("score", det, "today/t00.wav", "--csv", "-")[1].count("this very recording") == 1
    assert f"pump7: fitted on {PLANT} clips, 4 learnt and 0 forgotten" in run("threshold", det)[1]
    code, out, _ = run("learn", det, "--log")
    assert code == 0
    assert "learnt 4 clips" in out
    assert "  today/t03.wav\n" in out
    code, out, _ = run("learn", det, "--forget", "today/*")
    assert code == 0
    assert f"forgot 4 clips, {PLANT + 4} → {PLANT} known" in out
    assert f"undo: nearfar learn {det} RECORDINGS --machine pump7\n" in out
    assert digests(det) == before
    assert run("learn", det, "--log")[1].count("4 clips") == 2


def test_who_learns_into_a_domain_of_few_is_told_to_listen(det, run):
    code, _, err = run("learn", det, "today/t00.wav", "--domain", "target")
    assert code == 0
    assert "warning: pump7: 0 target clips are too few to judge new ones by score (12 are" in err


@pytest.mark.slow
def test_a_log_of_nothing(det, run):
    assert run("learn", det, "--log") == (0, f"{det}: has learnt nothing since its fit\n", "")


REFUSED = first_quick(
    [
        (["odd.wav", "swapped.wav", "today"], ["of 6 clips stand out; listen", "odd.wav"]),
        ([], ["no clips to learn"]),
        (["--forget"], ["no clips to forget"]),
        (["--forget", "n01.wav", "--domain", "target"], ["leave out --domain"]),
        (["--log", "today"], ["--log shows what was learnt"]),
        (["gone.wav"], ["gone.wav: no such file or folder"]),
        (["odd.wav"], ["odd.wav: sounds far from every normal clip known", "--accept-suspects"]),
        (["long.wav"], ["long.wav: a length of their own", "2.5 s", "1.5 s", "--exclude-suspects"]),
        (["swapped.wav"], ["swapped.wav: near over far", "swapped or moved?"]),
        (["silent.wav"], ["silent.wav", "silent"]),
        (["again.wav"], ["again.wav: all but the same sound as ", "/n03.wav, which is known"]),
        (["hum/anomaly/a.wav"], ["a.wav: an anomaly by its folder's name"]),
        (["odd.wav", "swapped.wav", "today"], ["of 6 clips stand out; listen", "odd.wav"]),
        (
            ["normal/n01.wav"],
            ["normal/n01.wav: the same audio as ", "which is known already; leave it out"],
        ),
        (["normal"], [f"{PLANT} of {PLANT} clips are known already", "--skip-bad"]),
        (["normal", "--skip-bad"], [f"nothing left to learn of {PLANT} clips"]),
        (["odd.wav", "--exclude-suspects"], ["all 1 clip stand out"]),
        (["odd.wav", "--exclude-suspects", "--accept-suspects"], ["contradict each other"]),
        (["today", "--machine", "pump8"], ["unknown machine 'pump8'", "did you mean 'pump7'?"]),
        (["today", "--section", "01"], ["pump7 has no section '01'"]),
        (["today", "--domain", "attic"], ["domain"]),
        (["--forget", "today/t00.wav"], ["'today/t00.wav': no such clip in the detector"]),
        (
            ["--forget", "normal/n1.wav"],
            ["no such clip in the detector; did you mean ", "/normal/n"],
        ),
        (["--forget", "normal/*"], [f"forgetting {PLANT} of {PLANT} clips leaves 0"]),
        (["--forget", "normal/n0*", "normal/n10.wav", "n11.wav"], ["12 of 14 clips leaves 2"]),
        (["--forget", "n01.wav", "--machine", "fan"], ["unknown machine 'fan'"]),
    ]
)


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_refuses_it_says_in_a_line_and_leaves_no_trace(det, run, case):
    arguments, words = case
    before = digests(det)
    code, out, err = run("learn", det, *arguments)
    assert code == 2, out
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    for word in words:
        assert word in line
    assert digests(det) == before
    assert not (det / "learnt.jsonl").exists()


@pytest.mark.slow
def test_thresholds_of_each_domain_are_told_where_they_judge(run, dcase, tmp_path):
    det = tmp_path / "det"
    fan = dcase / "fan/train"
    assert run("fit", fan, "-s", "logmel", "--threshold-by-domain", "-o", det)[0] == 0
    new = write(tmp_path / "x.wav", machine_sound(np.random.default_rng(4), domain="target"))
    code, out, _ = run("learn", det, new, "--machine", "fan", "--domain", "target")
    assert code == 0
    assert "  threshold of source clips " in out
    assert "  threshold of target clips " in out
    out = run("learn", det, "--forget", new)[1]
    assert f"undo: nearfar learn {det} RECORDING --machine fan --domain target\n" in out


@pytest.mark.slow
def test_other_sample_rates_stand_out(det, run):
    code, _, err = run("learn", det, "rate.wav", "--clip-seconds", "1.5")
    assert code == 2
    assert "8000 Hz" in err


@pytest.mark.slow
def test_suspects_are_learnt_or_left_out_when_that_is_said(det, run):
    code, out, err = run("learn", det, "odd.wav", "today", "--exclude-suspects")
    assert code == 0
    assert "learnt 4 clips" in out
    assert "warning: left out, for they stand out: odd.wav" in err
    code, out, err = run("learn", det, "odd.wav", "--accept-suspects")
    assert code == 0
    assert "learnt although they stand out: odd.wav" in err
    section = nf.load(det).sections["pump7", "00"]
    assert section.clips[-1].name == "odd.wav" or "odd.wav" in [c.name for c in section.clips]


@pytest.mark.slow
def test_many_clips_of_another_machine_do_not_vouch_for_each_other(det, run, tmp_path):
    rng = np.random.default_rng(5)
    for n in range(20):
        write(tmp_path / "saw" / f"{n}.wav", machine_sound(rng, anomaly=True))
    code, _, err = run("learn", det, tmp_path / "saw", "--machine", "pump7")
    assert code == 2
    assert "20 of 20 clips stand out" in err


@pytest.mark.slow
def test_names_that_mean_several_clips_are_asked_about(det, run, tmp_path):
    rng = np.random.default_rng(6)
    for day in ("monday", "tuesday"):
        write(tmp_path / day / "x.wav", machine_sound(rng))
    assert (
        run("learn", det, tmp_path / "monday", tmp_path / "tuesday", "--machine", "pump7")[0] == 0
    )
    code, _, err = run("learn", det, "--forget", "x.wav")
    assert code == 2
    assert "'x.wav': 2 clips end so" in err
    name = f"{tmp_path.name}/monday"
    code, out, _ = run("learn", det, "--forget", tmp_path / "monday")
    assert code == 0, name
    assert "forgot 1 clip" in out
    assert [c.name for c in nf.load(det).sections["pump7", "00"].clips][-1].endswith("day/x.wav")


def test_thresholds_and_what_was_learnt_live_together(det, run):
    """A rate that is set between does not hide what was learnt before it."""
    assert run("learn", det, "today")[0] == 0
    assert run("threshold", det, "--false-alarm-rate", "0.2")[0] == 0
    again = nf.load(det)
    assert len(again.lessons) == 1
    assert len(again.sections["pump7", "00"].clips) == PLANT + 4
    assert again.false_alarm_rate == 0.2
    assert run("learn", det, "--forget", "today")[0] == 0
    assert run("threshold", det, "--false-alarm-rate", "0.1")[0] == 0
    assert len(nf.load(det).lessons) == 2


@pytest.mark.slow
def test_a_fit_onto_it_begins_anew_and_keeps_what_was_learnt_beside_it(det, run, plant):
    assert run("learn", det, "today")[0] == 0
    assert run("fit", plant / "normal", "--machine", "pump7", "-o", det)[0] == 0
    assert nf.load(det).lessons == ()
    assert not (det / "learnt.jsonl").exists()
    kept = nf.load(det.with_name("det.previous"))
    assert len(kept.lessons) == 1
    assert len(kept.sections["pump7", "00"].clips) == PLANT + 4


def test_the_line_that_undoes_it_means_these_clips_and_no_others(det, run, tmp_path, monkeypatch):
    """Of a folder with a bracket it was an error after all had been learnt."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    for n in range(4):
        write(tmp_path / f"day [1]/{n}.wav", machine_sound(rng))
    for name in ("monday/a.wav", "x/monday/a.wav", "-b.wav", "new\nline.wav"):
        write(tmp_path / name, machine_sound(rng))
    before = digests(det)
    code, out, err = run(
        "learn", det, "day [1]", "monday", "x", "./-b.wav", "new\nline.wav", "--machine", "pump7"
    )
    assert (code, err) == (0, "")
    undo = next(line for line in out.splitlines() if line.startswith("undo: nearfar "))
    words = shlex.split(undo.removeprefix("undo: nearfar "))
    assert "day [[]1]/*" in words
    assert run(*words)[0] == 0
    assert digests(det) == before


@pytest.mark.slow
def test_a_log_that_lost_lines_does_not_pass_for_an_empty_one(det, run):
    assert run("learn", det, "today")[0] == 0
    (det / "learnt.jsonl").write_text('{"time": "2026')
    code, out, err = run("learn", det, "--log")
    assert code == 0
    assert "1 line cannot be read" in err
    assert "lines are gone or were changed" in err
    assert "  learnt today/t03.wav of pump7\n" in out


# ---- killed, and two at once ---------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
import nearfar as nf

folder, name, turn = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
grown = nf.load(folder)
if name.startswith("n"):
    grown = grown.forget([name])
else:
    grown = grown.learn([nf.Clip(name, machine="pump7")])
steps = 0

def step(kind, arguments):
    global steps
    if kind in ("open", "os.rename", "os.remove", "os.link") and str(folder) in str(arguments):
        steps += 1
        if steps == turn:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
grown.save(folder)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["today/t00.wav", "normal/n00.wav"])
def test_killed_at_any_step_it_is_as_before_or_as_after(plant, tmp_path, monkeypatch, name):
    monkeypatch.chdir(plant)
    states, counts, turn = set(), set(), 0
    # One process a step is dear: those in the middle are told by a few.
    for turn in (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 30):
        folder = shutil.copytree(plant / "det", tmp_path / str(turn))
        before = digests(folder)
        killed = python(KILLED, folder, name, turn)
        finish(killed)
        detector = nf.load(folder)
        clips = len(detector.sections["pump7", "00"].clips)
        # What the log says is what the index knows, whatever was written first.
        changed = clips - PLANT
        assert len(detector.lessons) == abs(changed)
        counts.add(clips)
        states.add(killed.returncode)
        if not changed:
            index = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
            assert before["detector.json"] == digests(folder)["detector.json"]
            assert "learnt" not in index["sections"][0]
        detector.save(folder)  # and what was left behind is swept
        assert not [p for p in folder.iterdir() if p.name.startswith(".")]
        if killed.returncode == 0:
            break
    assert states == {0, -signal.SIGKILL}
    assert len(counts) == 2


TWO = """
import sys
from nearfar.cli.main import main
print("ready", flush=True)
sys.stdin.readline()
sys.argv = ["nearfar", "learn", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
def test_two_at_once_are_both_learnt(plant, tmp_path, monkeypatch):
    pytest.importorskip("fcntl")
    monkeypatch.chdir(plant)
    det = shutil.copytree(plant / "det", tmp_path / "det")
    several = [python(TWO, det, f"today/t0{n}.wav", stdin=-1) for n in range(4)]
    for one in several:
        assert one.stdout.readline() == "ready\n"
    for one in several:
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in several:
        _, err = finish(one)
        assert one.returncode == 0, err
    learnt = nf.load(det)
    assert len(learnt.sections["pump7", "00"].clips) == PLANT + 4
    assert len(learnt.lessons) == 4
