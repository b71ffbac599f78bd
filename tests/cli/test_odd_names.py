"""What a file is called neither ends a run nor repaints a terminal."""

import csv
import json
import os
import sys

import pytest

import nearfar as nf
from nearfar.cli import main as cli
from nearfar.errors import visible

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")

NAMES = (b"a\x1b[31mred.wav", b"b\xff.wav", "c\u202etxt.wav".encode(), b"d\nnew.wav")


@pytest.fixture
def odd(dcase, tmp_path):
    """Clips of one machine that are called what nobody calls them, and the machine's name."""
    machine = nf.Clips.open(dcase, split="train").machines[0]
    folder = tmp_path / "odd"
    folder.mkdir()
    for i, clip in enumerate(sorted((dcase / machine / "train").iterdir())):
        name = NAMES[i] if i < len(NAMES) else os.fsencode(clip.name)
        (folder / os.fsdecode(name)).write_bytes(clip.read_bytes())
    return folder, machine


def run(monkeypatch, capfd, *arguments):
    monkeypatch.setattr(sys, "argv", ["nearfar", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    return capfd.readouterr()


def test_fit_and_score_take_clips_of_any_name(odd, tmp_path, monkeypatch, capfd):
    folder, machine = odd
    detector, table, data = (tmp_path / n for n in ("det", "o.csv", "o.json"))
    fitted = run(
        monkeypatch, capfd, "fit", folder, "--machine", machine, "--system", "logmel",
        "-o", detector, "--no-cache",
    )  # fmt: skip
    scored = run(
        monkeypatch, capfd, "score", detector, folder, "--machine", machine, "--csv", table,
        "--json", data, "--no-cache",
    )  # fmt: skip
    for stream in (*fitted, *scored):
        assert all(c.isprintable() for c in stream.replace("\n", "")), ascii(stream)
    assert r"a\x1b[31mred.wav" in scored.out
    clips = len(list(folder.iterdir()))
    with table.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == clips
    assert json.loads(data.read_text(encoding="utf-8"))
    names = {c.name for s in nf.load(detector).sections.values() for c in s.clips}
    assert any(os.fsencode(n).endswith(b"b\xff.wav") for n in names)


BROKEN = {  # what is wrong with the file → bytes of a name, content, words of the reason
    "no sound": (b"a\x1b[31m\xff\n.wav", b"words", ("not a readable WAV", "record it again")),
    "empty": (b"b\x07\xff.wav", b"", ("0 bytes", "record it again")),
    "mp3": (b"c\x1b\xff.mp3", b"words", ("mp3 is not read", "ffmpeg -i OLD.mp3 NEW.wav")),
    "alone": (b"d\xff_near.wav", b"words", ("far microphone's file to it is missing",)),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_of_any_name_is_told_what_is_wrong_with_it(odd, monkeypatch, capfd, kind):
    folder, machine = odd
    name, content, words = BROKEN[kind]
    (folder / os.fsdecode(name)).write_bytes(content)
    seen = run(monkeypatch, capfd, "inspect", folder, "--machine", machine).out
    monkeypatch.setattr(
        sys, "argv", ["nearfar", "check", str(folder), "--machine", machine, "-s", "logmel"]
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capfd.readouterr()
    assert (end.value.code, err.count("\n")) == (2, 1)
    assert out.endswith("12 clips: none stands out (1 of 13 clips cannot be used)\n")
    for stream in (seen, err):
        assert all(c.isprintable() for c in stream.replace("\n", "")), ascii(stream)
        for word in words:
            assert word in stream
        assert ("record it again" in stream) == ("record it again" in words)  # not the name's fault
    lines = [line for line in seen.splitlines() if words[0] in line]
    assert len(lines) == 1
    assert lines[0].count("odd/") == 1  # the name is said once, not raw and escaped


def test_a_closing_line_is_one_line_whatever_its_file_is_called(odd, monkeypatch, capfd):
    folder, machine = odd
    clip = next(p for p in sorted(folder.iterdir()) if b"d\nnew" not in os.fsencode(p))
    for name in ("q\x1b[2Jq.wav", "two\nlines.wav"):
        out = folder.parent / name
        said = run(monkeypatch, capfd, "mask", clip, "-o", out).out
        assert said == f"wrote {visible(str(out))}\n"
    det = folder.parent / "de\nt"
    fitted = run(
        monkeypatch, capfd, "fit", folder, "--machine", machine, "-s", "logmel", "-o", det
    )  # fmt: skip
    assert fitted.out.splitlines()[-1] == f"wrote {visible(str(det))}"
    table = folder.parent / "q\x1b[2J\n.csv"
    scored = run(
        monkeypatch, capfd, "score", det, clip, "--machine", machine, "--csv", table
    ).out  # fmt: skip
    assert scored.splitlines()[-1] == f"wrote {visible(str(table))}"
