"""nearfar watch: a folder, standard input or a plant.toml in, a line a clip out, signals obeyed."""

import fcntl
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
import soundfile
import yaml

import nearfar as nf
from command import failed
from conftest import PATIENCE, TESTS, finish, free_port, machine_sound, refused, stop, write
from nearfar.service import finite_source
from nearfar.service.equipment import opened
from nearfar.service.sources import device
from plants import by_hand


@pytest.fixture(scope="module")
def sounds(tmp_path_factory, detector_folder):
    """Of the pump: normal sounds and wrong ones; read only."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(7)
    for n in range(3):
        write(folder / "normal" / f"n{n}.wav", machine_sound(rng))
        write(folder / "wrong" / f"w{n}.wav", machine_sound(rng, anomaly=True))
    for file in folder.glob("*/*"):
        os.utime(file, (1_700_000_000, 1_700_000_000))  # one of just now may not be whole
    return folder


@pytest.fixture
def hand(tmp_path, monkeypatch):
    """A place with a detector that costs nothing, to be refused in."""
    by_hand().save(tmp_path / "d")
    (tmp_path / "rec").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- what is refused -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nearfar watch DETECTOR FOLDER, or nearfar watch plant.toml, of which --example"),
        (["d"], "where are the recordings of d? Name a folder, - for raw sound, or mic:"),
        (["gone", "rec"], "gone: is no folder; make one with nearfar fit DATA -o DIR"),
        (["d", "gone"], "gone: cannot be watched"),
        (["d", "-"], "raw sound does not say its rate; add --rate, as --rate 48000"),
        (["d", "-", "--rate", "48000"], "a stream says nothing of its machine"),
        (["d", "rec", "--rate", "48000"], "--rate is of raw sound (-) or a device (mic:)"),
        (["d", "rec", "--format", "s24le"], "--format is of raw sound"),
        (["d", "-", "--rate", "16000", "--settle", "2s"], "--settle is of a watched folder"),
        (["d", "rec", "--settle", "soon"], '--settle "soon"; it is a duration, as "2s"'),
        (["d", "rec", "--alarm", "5/3"], '--alarm "5/3"; it is k/n'),
        (["d", "rec", "--near", "1"], "--near and --far go together"),
        (["d", "rec", "--keep", "90d"], "--keep says more of --history; give that too"),
        (["d", "rec", "--mqtt-ca", "x"], "--mqtt-ca says more of --mqtt"),
        (["d", "rec", "--machine", "pmp"], "did you mean 'pump'?"),
        (["d", "rec", "--once", "--new-only"], "--once and --new-only: nothing would be heard"),
        (["d", "mic:", "--once", "--machine", "fan"], "--once: a microphone never ends by itself"),
        (["d", "rec", "--on-alarm", "a 'b"], "--on-alarm"),
        (["d", "rec", "--json", "rec.wav"], "what is written here ends in .jsonl"),
        (["gone.toml"], "gone.toml: cannot be read (No such file or directory)"),
        (["p.toml", "rec"], "rec: p.toml says what is heard; leave one of them out"),
        (["p.toml", "--alarm", "3/5"], "--alarm is said in p.toml; leave it out here"),
        (["p.toml"], "p.toml:3: [[source]] has no key 'settel'; did you mean 'settle'?"),
        (["d", "--explain-alarm", "6/5"], '--explain-alarm "6/5"; it is k/n'),
    ],
)
def test_what_cannot_be_meant_is_one_line(hand, run, arguments, words):
    (hand / "p.toml").write_text('detector = "d"\n[[source]]\nsettel = 1\nfolder = "rec"\n')
    failed(run("watch", *arguments), words)


def test_a_file_that_is_somebodys_is_not_written_into(hand, run):
    (hand / "mine.json").write_text('{"a": 1}')
    failed(run("watch", "d", "rec", "--once", "--json", "mine.json"), "mine.json: is there already")
    assert (hand / "mine.json").read_text() == '{"a": 1}'


def test_the_history_is_not_written_into_as_lines(hand, run):
    """Of a new one nothing could tell later that it was a history."""
    (hand / "p.toml").write_text(
        'detector = "d"\n[history]\nplace = "h.json"\n[[source]]\nfolder = "rec"\n'
    )
    for arguments in (["d", "rec", "--history", "h.json"], ["p.toml"]):
        for name in ("h.json", "./rec/../h.json"):
            failed(run("watch", *arguments, "--once", "--json", name), "is the history")
    assert not (hand / "h.json").exists()


@pytest.mark.parametrize("arguments", [["x" * 5000, "rec"], ["x" * 5000 + ".toml"]], ids=[0, 1])
def test_a_name_that_no_disk_takes_is_one_line(hand, run, arguments):
    line = failed(run("watch", *arguments))
    assert line.startswith("error: xxx")
    assert "written" not in line


def test_the_example_is_printed_and_is_one(hand, run):
    code, out, err = run("watch", "--example")
    assert (code, err) == (0, "")
    # The port of the example may be in use here.
    out = out.replace("127.0.0.1:9600", f"127.0.0.1:{free_port()}")
    (hand / "p.toml").write_text(out)
    line = failed(run("watch", "p.toml"), "detector: plant.detector: is no folder")
    assert f"p.toml:{out[: out.index('detector = ')].count(chr(10)) + 1}: " in line
    shutil.copytree("d", "plant.detector")
    shutil.copytree("d", "pump.detector")
    failed(run("watch", "p.toml"), "recordings: cannot be watched")


def test_inputs_of_this_computer_are_listed_as_they_are_named(run, monkeypatch):
    monkeypatch.setattr(device, "devices", lambda: ["0: USB \x1b[31m (2 channels, 48000 Hz)"])
    assert run("watch", "d", "mic:?") == (0, "mic:0: USB \\x1b[31m (2 channels, 48000 Hz)\n", "")
    monkeypatch.setattr(device, "devices", list)
    failed(run("watch", "d", "mic:?"), "this computer has no input; plug one in")


def test_the_compose_file_calls_it_as_it_can_be_called(run):
    compose = yaml.safe_load((TESTS.parent / "docs" / "plant" / "compose.yaml").read_text("utf-8"))
    line = failed(run(*compose["services"]["watch"]["command"]))
    assert "plant.toml: cannot be read" in line


def test_what_a_rule_promises_is_told_of_each_machine(detector_folder, run):
    """With the rule that is given, or where none is with the one that would be used."""
    code, out, _ = run("watch", detector_folder, "--explain-alarm", "2/3")
    assert code == 0
    assert "fan" in out
    assert "pump" in out
    code, own, _ = run("watch", detector_folder, "--alarm", "2/3", "--explain-alarm")
    assert (code, own) == (0, out)
    code, other, _ = run("watch", detector_folder, "--explain-alarm", "--machine", "pump")
    assert "fan" not in other


@pytest.fixture
def calm(monkeypatch):
    """A folder in which nothing arrives is through as soon as it is empty."""
    monkeypatch.setattr(finite_source, "CALM", 0.1)
    monkeypatch.setattr(finite_source, "LOOK", 0.02)


# ---- a folder, once ------------------------------------------------------------------------------
def once(run, detector, folder, *options):
    return run("watch", detector, folder, "--once", "--settle", "0s", *options)


def test_what_is_there_is_heard_once_and_told_when_it_is_wrong(
    detector_folder, sounds, tmp_path, run, calm
):
    (tmp_path / "in").mkdir()
    shutil.copytree(sounds / "wrong", tmp_path / "in" / "pump")
    history = tmp_path / "plant.db"
    code, out, err = once(run, detector_folder, tmp_path / "in", "--history", history)
    assert code == 0, err
    lines = out.splitlines()
    assert sum("above threshold" in line for line in lines) == 3
    assert "ALARM, above threshold" in out
    assert "alarm 1 raised: pump: " in out
    assert "\x1b" not in out
    # The same again is no news; what is new is, and the alarm still stands.
    code, out, err = once(run, detector_folder, tmp_path / "in", "--history", history)
    assert (code, out) == (0, "")
    shutil.copy(sounds / "normal" / "n0.wav", tmp_path / "in" / "pump")
    code, out, err = once(run, detector_folder, tmp_path / "in", "--history", history)
    assert out.count("\n") == 1
    assert "ALARM, normal" in out


def test_scores_are_those_of_the_command_score(detector_folder, sounds, tmp_path, run, calm):
    """And JSON lines are one a clip, on standard output alone."""
    (tmp_path / "in").mkdir()
    shutil.copytree(sounds / "normal", tmp_path / "in" / "fan")
    code, out, _ = once(run, detector_folder, tmp_path / "in", "--json", "-")
    assert code == 0
    rows = [json.loads(line)["observation"] for line in out.splitlines()]
    scored = nf.load(detector_folder).score(nf.Clips.open(tmp_path / "in" / "fan"))
    assert {row["name"].rpartition("/")[2]: row["score"] for row in rows} == {
        verdict.clip.path.name: verdict.score for verdict in scored
    }


def test_json_goes_behind_what_a_file_has_and_the_lines_stay(
    detector_folder, sounds, tmp_path, run, calm
):
    (tmp_path / "in").mkdir()
    shutil.copytree(sounds / "normal", tmp_path / "in" / "fan")
    file = tmp_path / "clips.jsonl"
    for count in (3, 6):
        code, out, _ = once(run, detector_folder, tmp_path / "in", "--json", file)
        assert (code, out.count("\n")) == (0, 3)
        assert len(file.read_text().splitlines()) == count


def test_quiet_says_what_is_amiss_alone(detector_folder, sounds, tmp_path, run, calm):
    (tmp_path / "in").mkdir()
    shutil.copytree(sounds / "wrong", tmp_path / "in" / "pump")
    code, out, err = once(run, detector_folder, tmp_path / "in", "-q")
    assert (code, out, err.count("\n")) == (0, "", 1)
    assert "sounds wrong" in err


def test_the_log_is_json_where_that_is_asked(detector_folder, sounds, tmp_path, run, calm):
    (tmp_path / "in").mkdir()
    shutil.copytree(sounds / "wrong", tmp_path / "in" / "pump")
    code, _, err = once(run, detector_folder, tmp_path / "in", "--log", "json")
    rows = [json.loads(line) for line in err.splitlines()]
    assert code == 0
    assert rows[0]["event"] == "start"
    assert "alarm raised" in [row["event"] for row in rows]


def test_of_one_machine_a_detector_takes_everything(detector_folder, sounds, tmp_path, run, calm):
    (tmp_path / "in").mkdir()
    shutil.copytree(sounds / "normal", tmp_path / "in" / "whatever")
    code, out, _ = once(run, detector_folder, tmp_path / "in", "--machine", "fan", "--json")
    assert {json.loads(line)["observation"]["machine"] for line in out.splitlines()} == {"fan"}
    # Of two a clip says whose it is, and one of nobody's is kept and told.
    code, out, _ = once(run, detector_folder, tmp_path / "in")
    assert code == 0
    assert len(re.findall(r"NOT HEARD \S+\.wav: nobody watches 'whatever'", out)) == 3


# ---- processes -----------------------------------------------------------------------------------
def begun(*arguments, cwd, **more):
    """A watch in a process of its own; its standard error is a file to be read while it runs."""
    log = cwd / "stderr"
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "nearfar", "watch", *map(str, arguments)], cwd=cwd,
            stdout=subprocess.PIPE, stderr=err, text=True, **more,
        )  # fmt: skip
    return process, log


def until(log, words, process, count=1):
    latest = time.monotonic() + PATIENCE
    while log.read_text().count(words) < count:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < latest, log.read_text()
        time.sleep(0.05)


@pytest.fixture
def live(tmp_path, detector_folder):
    """A plant on disk: its own detector, a folder, and a file that names both."""
    shutil.copytree(detector_folder, tmp_path / "d")
    (tmp_path / "in" / "pump").mkdir(parents=True)
    text = 'detector = "d"\n[history]\nplace = "p.db"\n[[source]]\nfolder = "in"\nsettle = "0s"\n'
    (tmp_path / "p.toml").write_text(text)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_after_the_clip_at_hand(live, sounds, number, code):
    process, log = begun("p.toml", "--log", "json", cwd=live)
    try:
        until(log, '"start"', process)
        shutil.copy(sounds / "wrong" / "w0.wav", live / "in" / "pump" / "a.wav")
        line = process.stdout.readline()
        assert "above threshold" in line
        process.send_signal(number)
        process.wait(PATIENCE)
        assert process.returncode == code
        assert '"end"' in log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        stop([process])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_while_it_begins_ends_it_likewise(live, number, code):
    """At any moment of its start: no traceback, and nothing is left that keeps the next one out."""
    for wait in (0.2, 0.5, 0.8):
        process, log = begun("p.toml", cwd=live)
        time.sleep(wait)
        process.send_signal(number)
        finish(process)
        # Before our own lines are reached the system ends it, and before the watch's main does.
        assert process.returncode in (code, 128 + number, -number), log.read_text()
        assert "Traceback" not in log.read_text() or process.returncode == -number


@pytest.mark.slow
def test_a_plant_file_is_read_anew_and_a_bad_one_changes_nothing(live, sounds):
    process, log = begun("p.toml", "--log", "json", cwd=live)
    good = (live / "p.toml").read_text()
    try:
        until(log, '"start"', process)
        (live / "p.toml").write_text(good + "settel = 1\n")
        process.send_signal(signal.SIGHUP)
        until(log, "p.toml:7: [[source]] has no key", process)
        # The old one goes on.
        shutil.copy(sounds / "wrong" / "w0.wav", live / "in" / "pump" / "a.wav")
        assert "above threshold" in process.stdout.readline()
        (live / "p.toml").write_text(good.replace("[history]", '[alarm]\nrule = "1/1"\n[history]'))
        process.send_signal(signal.SIGHUP)
        until(log, '"message": "taken over"', process)
        shutil.copy(sounds / "wrong" / "w1.wav", live / "in" / "pump" / "b.wav")
        assert "ALARM, above threshold" in process.stdout.readline()
        assert "alarm 1 raised" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        finish(process)
        assert process.returncode == 0
    finally:
        stop([process])


@pytest.mark.slow
def test_a_detector_that_is_replaced_judges_from_the_next_clip_on(live, sounds):
    process, log = begun("p.toml", "--log", "json", cwd=live)
    try:
        until(log, '"start"', process)
        fitted = nf.load(live / "d")
        fitted.with_false_alarm_rate(0.3).save(live / "d")
        until(log, "replaced on disk", process)
        by_hand((("saw", "00"),)).save(live / "other")
        shutil.rmtree(live / "d")
        (live / "other").rename(live / "d")
        until(log, "does not know fan, pump (it knows saw)", process)
        shutil.copy(sounds / "wrong" / "w0.wav", live / "in" / "pump" / "a.wav")
        assert "above threshold" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        finish(process)
        assert process.returncode == 0
    finally:
        stop([process])


@pytest.mark.slow
def test_raw_sound_on_standard_input_is_cut_and_ends_with_it(live, sounds):
    """As arecord gives it: 24 bits, little-endian, both channels in turn."""
    sound = np.concatenate([soundfile.read(f)[0] for f in sorted((sounds / "wrong").iterdir())])
    whole = np.round(sound * (2**23 - 1)).astype("<i4")  # (samples, 2)
    raw = whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    process = subprocess.run(
        [sys.executable, "-m", "nearfar", "watch", "d", "-", "--machine", "pump", "--rate", "16000",
         "--format", "s24le", "--clip-seconds", "1.5", "--json", "-"],
        cwd=live, input=raw, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    rows = [json.loads(line)["observation"] for line in process.stdout.splitlines()]
    assert [row["status"] for row in rows if row] == ["judged"] * 3
    assert all(row["anomalous"] for row in rows if row)


@pytest.mark.slow
def test_whoever_has_seen_enough_ends_it(live, sounds):
    """nearfar watch … | head -1: no traceback, and no watch that goes on for nobody."""
    process, log = begun("p.toml", "--log", "json", cwd=live)
    try:
        until(log, '"start"', process)
        process.stdout.close()
        shutil.copy(sounds / "wrong" / "w0.wav", live / "in" / "pump" / "a.wav")
        process.wait(PATIENCE)
        # As of every command behind a pipe that closes.
        assert process.returncode == 1
        assert '"end"' in log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_second_watch_of_one_history_is_refused(live):
    process, log = begun("p.toml", "--log", "json", cwd=live)
    try:
        until(log, '"start"', process)
        other = subprocess.run(
            [sys.executable, "-m", "nearfar", "watch", "p.toml"], cwd=live, capture_output=True,
            text=True, timeout=PATIENCE, env=dict(os.environ), check=False,
        )  # fmt: skip
        assert other.returncode == 2
        assert other.stderr.count("\n") == 1
        assert "p.db" in other.stderr
        process.send_signal(signal.SIGTERM)
        finish(process)
    finally:
        stop([process])


@pytest.mark.slow
def test_a_terminal_of_80_columns_is_enough(live, sounds):
    """Lines that are not broken by it, words beside colours, and a status line that goes away."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "nearfar", "watch", "p.toml"], cwd=live, stdout=slave, stderr=slave,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(slave)
    said = b""

    def read_until(words):
        nonlocal said
        latest = time.monotonic() + PATIENCE
        while words not in said:
            assert time.monotonic() < latest
            if select.select([master], [], [], 0.2)[0]:
                said += os.read(master, 65536)

    try:
        read_until(b"watching fan, pump")
        for n in range(3):
            shutil.copy(sounds / "wrong" / f"w{n}.wav", live / "in" / "pump")
        read_until(b"alarm 1 raised: pump: ")
        read_until(b"waiting for ")
        process.send_signal(signal.SIGTERM)
        read_until(b" ended\r\n")
        process.wait(PATIENCE)
    finally:
        stop([process])
        os.close(master)
    assert process.returncode == 0
    text = said.decode()
    assert text.count("alarm 1 raised") == 1  # not by the log as well
    rows = [row.rpartition("\x1b[K")[2] for row in text.replace("\r\n", "\n").split("\n")]
    assert all(len(row) <= 80 for row in rows), rows
    assert not any("waiting for" in row for row in rows)


def test_a_closed_standard_input_is_one_line(monkeypatch):
    """As from cron, or a shell's <&-: Python has no such stream then."""
    monkeypatch.setattr("sys.stdin", None)
    refused(lambda: opened("-"), "standard input is closed")
