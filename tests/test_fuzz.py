"""The fuzzer itself: it makes what it says, finds what is wrong, and repeats a case."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from tools import fuzz
from tools.fuzzing import sounds

from conftest import refused
from nearfar.errors import AudioError, DatasetError
from nearfar.sound import audio


@pytest.mark.parametrize("plain", sounds.PLAIN, ids=lambda p: "-".join(map(str, p)))
def test_the_bytes_of_a_made_sound_are_its_samples(plain, tmp_path):
    made = sounds.make(np.random.default_rng(1), plain, frames=50)
    path = tmp_path / f"made{made.suffix}"
    path.write_bytes(made.data)
    np.testing.assert_array_equal(soundfile.read(path)[0], made.samples)
    assert made.start > 0
    assert made.start + 50 * made.block <= len(made.data)


def test_a_short_read_is_found(tmp_path):
    """A reader that loses the last sample, or invents one, or changes one."""
    made = sounds.make(np.random.default_rng(2), ("WAV", "PCM_16", False), frames=50)
    path = tmp_path / "made.wav"
    path.write_bytes(made.data)
    whole = made.samples.astype(np.float32)
    assert sounds.compared(whole, made, path) == ""
    assert sounds.compared(whole[:-1], made, path) == "49 samples read, 50 are there"
    assert "51 samples" in sounds.compared(np.concatenate([whole, whole[:1]]), made, path)
    assert "other samples" in sounds.compared(-whole, made, path)
    header = replace(made, damage="header")
    assert "bytes of samples read" in sounds.compared(whole[:20], header, path)


@pytest.mark.parametrize("plain", [p for p in sounds.PLAIN if p[0] != "CAF"],
                         ids=lambda p: "-".join(map(str, p)))  # fmt: skip
def test_sound_that_no_header_counts_would_be_missed(plain, tmp_path):
    """A reader that goes by the header alone is found out, whatever lies between."""
    damages = set()
    for seed in range(16):
        rng = np.random.default_rng(seed)
        made = sounds.make(rng, plain, frames=50)
        longer = sounds.prolonged(made, rng)
        path = tmp_path / f"made{made.suffix}"
        path.write_bytes(longer.data)
        assert longer.there == len(longer.samples) > 50
        told = sounds.compared(made.samples, longer, path)
        assert told == f"50 samples read, {longer.there} are there"
        refused(lambda path=path: audio.read(path), "made", error=AudioError)
        damages.add(longer.damage)
    assert len(damages) == (2 if plain[0] == "AU" else 4)


def test_a_second_flac_would_be_missed(tmp_path):
    rng = np.random.default_rng(0)
    made = next(s for s in (sounds.packed(rng, 50) for _ in range(100)) if s.suffix == ".flac")
    longer = sounds.prolonged(made, rng)
    path = tmp_path / "made.flac"
    path.write_bytes(longer.data)
    assert "50 samples read" in sounds.compared(made.samples, longer, path)
    refused(lambda: audio.read(path), "second FLAC", error=AudioError)


@pytest.mark.parametrize(("told", "coding"), [(1, "PCM_24"), (1, "PCM_16"), (2, "FLOAT")])
def test_a_header_of_other_channels_is_read_by_its_bytes(tmp_path, told, coding):
    """AU has its number of channels where other headers have a size, and no second one to deny it.

    Two channels told as one are twice as many samples of the same bytes: read, but not fewer.
    """
    made = sounds.make(np.random.default_rng(3), ("AU", coding, True), 64, channels=3 - told)
    data = made.data[:20] + told.to_bytes(4, "big") + made.data[24:]
    lying = replace(made, data=data, damage="size", exact=False)
    path = tmp_path / "made.au"
    path.write_bytes(data)
    found = audio.read(path, sample_rate=sounds.RATE).T
    assert found.shape == (64 * (3 - told) // told, told)
    assert sounds.compared(found, lying, path) == ""
    assert "bytes of samples read" in sounds.compared(found[: len(found) // 4], lying, path)
    # Where no header lies, a channel too few is a fault of the reader.
    assert "channels read" in sounds.compared(found, replace(lying, damage="none"), path)


def test_a_cut_leaves_what_is_there():
    """Counted from the end: a sample that lacks one byte is not there."""
    for seed in range(30):
        made = sounds.make(np.random.default_rng(seed), ("WAV", "PCM_24", False), frames=40)
        cut = sounds.shortened(made, np.random.default_rng(seed))
        lost = 44 + 40 * 6 - len(cut.data)
        assert cut.there == (40 if lost <= 0 else max(0, 40 - -(-lost // 6)))


def unshortened(message):
    """An error of ours as none should be: they make themselves printable."""
    error = DatasetError("")
    error.args = (message,)
    return error


def case_of(monkeypatch, act):
    monkeypatch.setattr(fuzz, "kinds", lambda home: {"made": (1.0, act)})


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (DatasetError("fan: too few clips; add some"), ""),
        (unshortened("two\nlines"), "several lines"),
        (unshortened("x" * 501), "501 characters"),
        (unshortened("red \x1b[31m"), "a message with '\\x1b'"),
        (KeyError("clips"), "KeyError at test_fuzz.py"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_only_one_short_printable_line_of_ours_is_no_finding(monkeypatch, tmp_path, error, found):
    def act(folder, rng):
        raise error

    case_of(monkeypatch, act)
    kind, outcome, wrong = fuzz.run_case(0, 1, tmp_path, tmp_path)
    assert (kind, outcome) == ("made", "finding" if found else "refused")
    assert found in wrong
    assert bool(wrong) == bool(found)


def test_a_warning_is_held_to_the_same_law(monkeypatch, tmp_path):
    def act(folder, rng):
        warnings.warn("two\nlines", stacklevel=1)
        return ""

    case_of(monkeypatch, act)
    assert fuzz.run_case(0, 1, tmp_path, tmp_path)[1] == "finding"


def test_what_was_found_is_kept_and_told(monkeypatch, tmp_path, capsys):
    def act(folder, rng):
        number = int(rng.integers(3))
        (folder / "file").write_text(str(number))
        return f"{number} is wrong" if number else ""

    case_of(monkeypatch, act)
    monkeypatch.setattr(fuzz.resource, "setrlimit", lambda *limits: None)
    assert fuzz.main(["--cases", "20", "--keep", str(tmp_path / "kept")]) == 1
    said = capsys.readouterr().out
    assert "seed 0, cases 0 to 19" in said
    kept = sorted((tmp_path / "kept").iterdir())
    assert f"{len(kept)} findings" in said
    assert len(kept) > 0
    # Again by its number: the same case.
    one = kept[0].name
    before = (kept[0] / "file").read_text()
    assert fuzz.main(["--only", one, "--keep", str(tmp_path / "again")]) == 1
    assert (tmp_path / "again" / one / "file").read_text() == before


@pytest.mark.slow
def test_a_short_campaign_has_no_tracebacks_and_no_long_messages_of_scores(tmp_path):
    """Some hundred cases; what readers of sounds and names owe is held by their own tests."""
    found = fuzz.campaign(1, range(400), tmp_path / "kept")
    assert sum(sum(counted.values()) for counted in found.counts.values()) == 400
    assert set(found.counts) == set(fuzz.kinds(tmp_path))
    assert [f for f in found.findings if f.kind in ("scores", "detector")] == []
