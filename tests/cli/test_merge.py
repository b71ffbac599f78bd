"""nearfar merge makes of all parts what one run would have made, to the byte."""

import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import PATIENCE, TINY, finish
from nearfar.embedding import waves


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def parts_of(run, of, to, *command):
    """The parts of all shards, the last first."""
    made = []
    for number in range(of, 0, -1):
        made.append(to / f"{number}.part")
        code, told, err = run(*command, "-o", made[-1], "--shard", f"{number}/{of}", "--workers", 1)
        assert (code, f"shard {number}/{of}" in told) == (0, True), err
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("system", "of"), [("logmel", 2), ("s4", 1), ("s4", 3), ("logmel", 40)])
def test_a_merged_fit_is_the_fit(run, dcase, tmp_path, system, of):
    command = ("fit", dcase, "-s", system)
    code, _, alone = run(*command, "-o", tmp_path / "whole", "--workers", 1)
    assert code == 0
    parts = parts_of(run, of, tmp_path / "parts", *command)
    code, _, err = run("merge", *parts, "-o", tmp_path / "det", "--workers", 1)
    assert (code, err) == (0, alone)
    assert contents(tmp_path / "det") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_merged_score_is_the_score(run, dcase, detector_folder, tmp_path):
    for name in ("broken.wav", "void.wav"):
        (tmp_path / "today").mkdir(exist_ok=True)
        (tmp_path / "today" / name).write_bytes(b"no sound")
    command = ("score", detector_folder, dcase / "fan" / "test", tmp_path / "today", "--skip-bad",
               "--machine", "fan")  # fmt: skip
    tables = ("--csv", "a.csv"), ("--json", "a.json")
    for option, name in tables:
        assert run(*command, option, tmp_path / name, "--workers", 1)[0] == 0
    parts = parts_of(run, 3, tmp_path / "parts", *command)
    for option, name in tables:
        code, _, err = run("merge", *parts, option, tmp_path / f"b{name}")
        assert code == 0, err
        assert (tmp_path / f"b{name}").read_bytes() == (tmp_path / name).read_bytes()


def test_what_does_not_fit_together_is_refused_in_one_line(run, dcase, tmp_path):
    command = ("fit", dcase, "-s", "logmel")
    two, one = parts_of(run, 2, tmp_path / "a", *command)
    far, _ = parts_of(run, 2, tmp_path / "b", *command, "--channel-order", "far-near")
    bad = tmp_path / "bad.part"
    content = bytearray(one.read_bytes())
    content[-5] ^= 1
    bad.write_bytes(content)
    det = ("-o", tmp_path / "det")
    for words, arguments in {
        "1 of 2 shards missing: 2/2": (one, *det),
        "name each shard once": (one, two, one, *det),
        "channel order differs": (one, far, *det),
        "changed since it was written": (bad, two, *det),
        "is for parts of a score": (one, two, "--csv", tmp_path / "a.csv"),
        "say -o DET": (one, two),
        "is an input": (one, two, "-o", tmp_path / "a"),
        f"as {dcase}/*": (dcase, *det),
    }.items():
        code, _, err = run("merge", *arguments)
        assert (code, err.count("\n"), words in err) == (2, 1, True), err
    assert not (tmp_path / "det").exists()
    code, _, err = run(*command, "-o", two, "--shard", "1/2")
    assert (code, "--replace" in err) == (2, True)


def test_no_table_is_written_over_what_lies_beside_a_recording(
    run, dcase, detector_folder, tmp_path
):
    """A run that is not split refuses it too, for what it reads might be this file."""
    folder = tmp_path / "fan"
    shutil.copytree(dcase / "fan" / "test", folder)
    (notes := folder / "notes.csv").write_text("mine")
    command = ("score", detector_folder, folder, "--machine", "fan")
    code, _, whole = run(*command, "--csv", notes, "--replace")
    (part,) = parts_of(run, 1, tmp_path / "parts", *command)
    for table in ("--csv", notes), ("--json", sorted(folder.glob("*.wav"))[0]):
        code, _, err = run("merge", part, *table, "--replace")
        assert (code, notes.read_text()) == (2, "mine"), err
    assert err.count("\n") == 1
    assert "is an input" in whole


LOGMEL = ("-s", "logmel", "--machine", "fan")


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("system", ["s3", "s3-eat"])
def test_of_an_encoder_too_a_merged_fit_is_the_fit(run, dcase, tmp_path, system):
    command = ("fit", dcase / "fan", "-s", system, "--weights", TINY, "--device", "cpu")
    assert run(*command, "-o", tmp_path / "whole", "--workers", 1)[0] == 0
    parts = parts_of(run, 2, tmp_path / "parts", *command, "--no-cache")
    code, _, err = run("merge", *parts, "-o", tmp_path / "det", "--no-cache", "--device", "cpu")
    assert code == 0, err
    assert contents(tmp_path / "det") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_merged_fit_in_waves_is_the_fit(run, dcase, tmp_path, monkeypatch):
    monkeypatch.setattr(waves, "WAVE", 5)
    command = ("fit", dcase, "-s", "logmel")
    assert run(*command, "-o", tmp_path / "whole", "--workers", 1)[0] == 0
    parts = parts_of(run, 3, tmp_path / "parts", *command)
    assert run("merge", *parts, "-o", tmp_path / "det")[0] == 0
    assert contents(tmp_path / "det") == contents(tmp_path / "whole")


@pytest.fixture
def with_bad(dcase, tmp_path):
    """Training clips of a fan, of which two are none: at both ends of the list."""
    folder = tmp_path / "data"
    shutil.copytree(dcase / "fan" / "train", folder)
    names = sorted(folder.iterdir())
    for name in (names[0], names[-1]):
        name.write_bytes(name.read_bytes()[:44] + bytes(40_000))
    return folder


@pytest.mark.slow
def test_clips_that_cannot_be_used_are_told_as_a_fit_tells_them(run, with_bad, tmp_path):
    command = ("fit", with_bad, *LOGMEL, "--workers", 1)
    code, _, alone = run(*command, "-o", tmp_path / "whole")
    assert (code, "2 of 12 clips" in alone) == (2, True), alone
    # Of a shard that has one of them, too: a person mends all files in one go.
    assert run(*command, "-o", tmp_path / "1", "--shard", "1/2")[::2] == (2, alone)
    assert not (tmp_path / "1").exists()


@pytest.mark.slow
def test_clips_left_out_by_shards_are_told_by_the_merge(run, with_bad, tmp_path):
    command = ("fit", with_bad, *LOGMEL, "--skip-bad")
    code, _, alone = run(*command, "-o", tmp_path / "whole", "--workers", 1)
    assert (code, alone.count("left out") > 0) == (0, True)
    parts = parts_of(run, 2, tmp_path / "parts", *command)
    code, _, err = run("merge", *parts, "-o", tmp_path / "det")
    assert (code, err) == (0, alone)
    assert contents(tmp_path / "det") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_shard_that_was_killed_is_run_again(run, dcase, tmp_path):
    command = ("fit", dcase, "-s", "s4", "--workers", 1)
    parts = parts_of(run, 2, tmp_path / "parts", *command[:-2])
    content = parts[0].read_bytes()
    parts[0].unlink()
    cache = tmp_path / "cache"
    again = (*command, "--cache", cache, "-o", parts[0], "--shard", "2/2")
    process = subprocess.Popen(
        [sys.executable, "-m", "nearfar", *map(str, again)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    latest = time.monotonic() + PATIENCE
    while not cache.exists() and process.poll() is None and time.monotonic() < latest:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    finish(process)
    assert not parts[0].exists() or parts[0].read_bytes() == content  # if it was done by then
    assert run(*again)[0] == 0
    assert parts[0].read_bytes() == content


@pytest.mark.slow
def test_recordings_that_are_gone_are_one_line_where_a_merge_reads_them(run, dcase, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(dcase / "fan", data / "fan")
    parts = parts_of(run, 2, tmp_path / "parts", "fit", data, "-s", "s4")
    clip = next(data.rglob("*target_train*"))
    clip.write_bytes(clip.read_bytes()[:-100] + bytes(100))
    code, _, err = run("merge", *parts, "-o", tmp_path / "det")
    assert (code, err.count("\n"), "changed since it was heard" in err) == (2, 1, True), err
    shutil.rmtree(data)
    code, _, err = run("merge", *parts, "-o", tmp_path / "det", "--no-cache")
    assert (code, err.count("\n"), "merge where the shards ran" in err) == (2, 1, True), err
    assert not (tmp_path / "det").exists()


@pytest.mark.slow
def test_a_detector_that_is_changed_or_gone_is_one_line(run, dcase, detector_folder, tmp_path):
    det = tmp_path / "det"
    shutil.copytree(detector_folder, det)
    parts = parts_of(
        run, 2, tmp_path / "p", "score", det, dcase / "fan" / "test", "--machine", "fan"
    )
    run("threshold", det, "--false-alarm-rate", 0.3)
    for words in ("the detector is not what it was", "is not there; merge where"):
        code, _, err = run("merge", *parts, "--csv", tmp_path / "a.csv")
        assert (code, err.count("\n"), words in err) == (2, 1, True), err
        shutil.rmtree(det, ignore_errors=True)
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.slow
def test_a_detector_that_is_there_stands_until_a_whole_one_is_ready(run, dcase, tmp_path):
    det, whole = tmp_path / "det", tmp_path / "whole"
    for place in (det, whole):
        assert run("fit", dcase, "-s", "logmel", "-o", place, "--false-alarm-rate", 0.2)[0] == 0
    before = contents(det)
    one, two = parts_of(run, 2, tmp_path / "a", "fit", dcase, "-s", "logmel")[::-1]
    _, far = parts_of(run, 2, tmp_path / "b", "fit", dcase, "-s", "logmel", "--channel-order",
                      "far-near")[::-1]  # fmt: skip
    for parts in ((one,), (one, far), (one, det), (one, one, two)):
        assert run("merge", *parts, "-o", det)[0] == 2
        assert contents(det) == before
    # What the detector there keeps of itself, a merge keeps as a fit does.
    assert run("fit", dcase, "-s", "logmel", "-o", whole)[0] == 0
    code, told, err = run("merge", one, two, "-o", det)
    assert (code, "kept from the detector there: false-alarm rate" in told) == (0, True), err
    assert contents(det) == contents(whole)


@pytest.mark.slow
def test_a_detector_of_the_other_order_is_one_line(run, dcase, tmp_path):
    order = ("--channel-order", "far-near")
    assert run("fit", dcase, "-s", "logmel", "-o", tmp_path / "det", *order)[0] == 0
    parts = parts_of(run, 2, tmp_path / "a", "fit", dcase, "-s", "logmel")
    code, _, err = run("merge", *parts, "-o", tmp_path / "det")
    assert (code, err.count("\n"), "with --channel-order" in err) == (2, 1, True), err


def test_a_merge_of_scores_has_the_outputs_of_a_score(run, dcase, detector_folder, tmp_path):
    some = sorted((dcase / "fan" / "test").glob("*anomaly*"))[:1]
    command = ("score", detector_folder, *some, "--machine", "fan")
    [part] = parts_of(run, 1, tmp_path / "parts", *command)
    plain = run(*command, "--fail-on-anomaly")
    assert run("merge", part, "--fail-on-anomaly") == plain
    code, _, err = run("merge", part, "--parquet", "-")
    assert (code, "--parquet -" in err) == (2, True)
    code, _, err = run("merge", part, "-o", tmp_path / "det")
    assert (code, "--csv FILE.csv" in err) == (2, True)
