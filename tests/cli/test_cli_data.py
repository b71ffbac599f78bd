"""What commands say of data: channels of a file of several, and how they are remembered."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.main import get_command

import nearfar as nf
from conftest import TESTS, machine_sound, refused, write
from nearfar.cli import main as cli
from nearfar.cli.options import Order, channels_of, order_of
from nearfar.errors import SettingError


def test_channels_are_said_together() -> None:
    assert channels_of(None, None) is None
    assert order_of(Order.far_near, None, None) == "far-near"
    assert order_of(Order.near_far, 3, 7) == (3, 7)
    for near, far in ((3, None), (None, 7), (3, 3)):
        refused(lambda n=near, f=far: channels_of(n, f), "--near", error=SettingError)
    refused(lambda: order_of(Order.far_near, 3, 7), "--channel-order", error=SettingError)


@pytest.mark.parametrize("order", ["near-far", "far-near", (3, 7), (2, 1)])
def test_a_detector_remembers_its_channels(detector_folder, tmp_path: Path, order) -> None:
    old = nf.load(detector_folder)
    replace(old, order=order).save(tmp_path / "d")
    assert nf.load(tmp_path / "d").order == order
    # Only what an older nearfar could not read has the new format.
    data = json.loads((tmp_path / "d" / "detector.json").read_text())
    assert (data["format"] == 3) == isinstance(order, tuple)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> Path:
    """Recordings of eight microphones, and beside each its third and seventh alone. Read only."""
    root = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(8)
    for i in range(8):
        eight = 0.05 * rng.standard_normal((8, 24_000))
        eight[[2, 6]] += machine_sound(rng)
        kind = "train" if i < 6 else "today"
        write(root / kind / "array" / f"{i}.wav", eight)
        write(root / kind / "two" / f"{i}.wav", eight[[2, 6]])
    return root


def listed(path: Path, folder: Path, channels: str) -> Path:
    """A CSV of a folder's files with their channels."""
    rows = [f"{file},{channels}" for file in sorted(folder.glob("*.wav"))]
    path.write_text("\n".join(["path,near_channel,far_channel", *rows]) + "\n")
    return path


def test_two_of_eight_channels_are_a_recording_of_two(run, arrays, tmp_path: Path) -> None:
    """To the bit; said by flags, in a list or in Python, and remembered by the detector."""
    plain = ("--machine", "press", "--workers", 1, "--no-cache")
    array, two = arrays / "train/array", arrays / "train/two"
    list_ = listed(tmp_path / "train.csv", array, "3,7")
    for name, data, more in (
        ("two", two, ()), ("flags", array, ("--near", 3, "--far", 7)), ("list", list_, ()),
    ):  # fmt: skip
        assert run("fit", data, "-o", tmp_path / name, *plain, *more)[0] == 0
    python = nf.fit(nf.s4(), nf.Clips.open(array, machine="press", channels=(3, 7)))
    python.save(tmp_path / "python")

    def scores(detector: str, data: Path) -> list[str]:
        table = tmp_path / f"{detector}.csv"
        assert run("score", tmp_path / detector, data, *plain, "--csv", table)[0] == 0
        with table.open(newline="") as file:
            return [row["score"] for row in csv.DictReader(file)]

    wanted = scores("two", arrays / "today/two")
    assert len(set(wanted)) == 2
    assert scores("flags", arrays / "today/array") == wanted  # nothing is said again
    today = listed(tmp_path / "today.csv", arrays / "today/array", "3,7")
    assert scores("list", today) == scores("python", today) == scores("flags", today) == wanted
    # The other way round they are another recording, and a list goes before the detector.
    turned = listed(tmp_path / "turned.csv", arrays / "today/array", "7,3")
    assert scores("flags", turned) != wanted
    code, _, err = run("score", tmp_path / "flags", arrays / "today/two", *plain)
    assert (code, "2 channels, no channel 7" in err) == (2, True)
    code, _, err = run("score", tmp_path / "two", arrays / "today/array", *plain)
    assert (code, "8 channels; say which with --near N --far M" in err) == (2, True)


def test_what_listing_finds_is_left_out_by_every_command(run, tmp_path: Path) -> None:
    """A far file that is missing, and a sound of a kind that is not read."""
    rng = np.random.default_rng(9)
    for i in range(5):
        sound = machine_sound(rng)
        write(tmp_path / "press" / f"{i}_near.wav", sound[:1])
        if i != 2:
            write(tmp_path / "press" / f"{i}_far.wav", sound[1:])
    (tmp_path / "press" / "note.mp3").write_bytes(b"ID3")
    plain = ("--workers", 1, "--no-cache")
    for command in (
        ("fit", tmp_path / "press", "-s", "logmel", "-o", tmp_path / "d"),
        ("score", tmp_path / "d", tmp_path / "press"),
        ("embed", tmp_path / "press", "-s", "logmel", "-o", tmp_path / "rows.npz"),
    ):
        code, _, err = run(*command, *plain)
        assert (code, "2_near.wav" in err, "note.mp3" in err) == (2, True, True), command
        code, _, err = run(*command, *plain, "--skip-bad")
        assert (code, "2_near.wav" in err, "note.mp3" in err) == (0, True, True), command
    with np.load(tmp_path / "rows.npz") as file:
        assert len(file["embeddings"]) == 4
    assert len(nf.load(tmp_path / "d").sections["press", "00"].clips) == 4


@pytest.fixture(scope="module")
def four(dcase, tmp_path_factory) -> Path:
    """A machine with two channels of noise in front of near and far; and as mono pairs."""
    root: Path = tmp_path_factory.mktemp("four")
    rng = np.random.default_rng(0)
    for file in sorted((Path(dcase) / "fan").rglob("*.wav")):
        audio = soundfile.read(file, dtype="float32")[0].T
        place = file.relative_to(dcase)
        noise = 0.1 * rng.standard_normal(audio.shape).astype(np.float32)
        write(root / "channels" / place, np.concatenate([noise, audio]), subtype="PCM_16")
        for k, channel in enumerate(audio, 1):
            mono = place.with_name(f"{place.stem}_{k}.wav")
            write(root / "pairs" / mono, channel[None], subtype="PCM_16")
    return root


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("channels", ("--near", 3, "--far", 4)),
        pytest.param("pairs", ("--pair", "NEAR=*_1.wav,FAR=*_2.wav"), marks=pytest.mark.slow),
    ],
)
def test_evaluate_hears_files_of_other_forms_as_it_hears_two_channels(
    run, dcase, four: Path, tmp_path: Path, kind, options
) -> None:
    plain = ("-s", "logmel", "--set", "embedder.n_mels=20")
    found = []
    for data, more in ((dcase / "fan", ()), (four / kind, options)):
        det = tmp_path / f"{kind}{len(found)}"
        assert run("fit", data, *more, *plain, "-o", det)[0] == 0
        for how in (plain, ("--detector", det)):
            code, out, err = run("evaluate", data, *more, *how, "--no-floor", "--json", "-")
            assert code == 0, err
            said = json.loads(out)
            found.append([said[key] for key in ("score", "interval", "machines")])
    assert found[0] == found[1] == found[2] == found[3]


def test_the_page_says_which_command_takes_which_option_of_data():
    page = (TESTS.parent / "docs" / "data.md").read_text(encoding="utf-8")
    lines = page.partition("## Which command takes what")[2].strip().splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")]
                      for line in lines if line.startswith("|"))  # fmt: skip
    program = get_command(cli.app)
    told = {row[0].strip("`"): row[1:] for row in rows}
    for name, cells in told.items():
        params = program.commands[name].params
        options = {option for p in params for option in p.opts}
        (data,) = (p for p in params if p.name in ("data", "clip"))
        has = [data.nargs == -1]
        for title in head[2:]:
            named = set(title.strip("`").split())
            has.append(named <= options)
            assert has[-1] or not named & options
        assert [cell == "yes" for cell in cells] == has, name
    # Whatever else opens DATA is in the table.
    opens = {name for name, command in program.commands.items()
             if any(p.name == "data" for p in getattr(command, "params", ()))}  # fmt: skip
    assert opens <= set(told)
