"""One clip heard once: what its row says, and what it costs nothing to find out."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

import nearfar as nf
from conftest import machine_sound, write, write_machine
from nearfar.clips.clip import Clip
from nearfar.service.alarms.normality import Normality
from nearfar.service.incoming import Incoming, Stamp
from nearfar.service.observing import UNREADABLE, Piece, observe, pieces, unjudged


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    root = tmp_path_factory.mktemp("observed")
    write_machine(root, "pump", seed=3, test=0)
    return nf.fit(nf.s4(), nf.Clips.open(root, split="train"))


@pytest.fixture(scope="module")
def normal(detector):
    return Normality.of(detector, "pump")


def new(seed=7, **kind):
    return machine_sound(np.random.default_rng(seed), **kind)


def incoming(path, **of):
    found = path.stat() if path.exists() else None
    stamp = Stamp(str(path), found.st_size if found else 0, found.st_mtime_ns if found else 0)
    return Incoming("hall", Clip(path, machine="pump", **of), files=(stamp,))


def seen_of(path, detector, normal, knows=lambda *_: False, **of):
    [piece] = pieces(incoming(path, **of), 1.5)
    return observe(piece, detector, normal, knows, "abc")


def test_a_clip_has_the_verdict_that_score_gives(tmp_path, detector, normal):
    path = write(tmp_path / "new.wav", new())
    seen = seen_of(path, detector, normal)
    verdict = detector.score([Clip(path, machine="pump")])[0]
    assert (seen.status, seen.score, seen.p_value) == ("judged", verdict.score, verdict.p_value)
    assert (seen.percentile, seen.threshold) == (verdict.percentile, verdict.threshold)
    assert (seen.nearest, seen.anomalous) == (verdict.nearest, verdict.anomalous)
    assert (seen.faults, seen.seconds, seen.detector) == ((), 1.5, "abc")


def test_a_stream_scores_like_its_file(tmp_path, detector, normal):
    path = write(tmp_path / "new.wav", new(), rate=48_000)
    audio = soundfile.read(path, dtype="float32")[0].T
    clip = Clip(Path("line/2026-11-29T10:00:00"), machine="pump", time=datetime(2026, 11, 29, 10))
    [piece] = pieces(Incoming("line", clip, audio=audio, rate=48_000), 1.5)
    streamed = observe(piece, detector, normal, lambda *_: False)
    filed = seen_of(path, detector, normal)
    assert (streamed.score, streamed.digest) == (filed.score, filed.digest)
    assert (streamed.path, streamed.time) == ("", clip.time)


def test_what_was_kept_is_not_scored(tmp_path, detector, normal, monkeypatch):
    path = write(tmp_path / "new.wav", new())
    first = seen_of(path, detector, normal)
    monkeypatch.setattr(nf.Detector, "judge_audio", None)
    again = write(tmp_path / "copy.wav", new())
    known = {(*first.key, first.digest)}
    assert seen_of(again, detector, normal, lambda *key: key in known) is None


def test_a_machine_that_stands_is_idle_and_not_scored(tmp_path, detector, normal, monkeypatch):
    monkeypatch.setattr(nf.Detector, "judge_audio", None)
    far_below = new() * 10 ** (-30 / 20)  # three times as many dB as the gate is below
    seen = seen_of(write(tmp_path / "off.wav", far_below, subtype="FLOAT"), detector, normal)
    assert (seen.status, seen.score, seen.anomalous) == ("idle", None, None)
    assert seen.near_level < normal.gate


def test_silence_is_a_clip_of_its_own_each_time(tmp_path, detector, normal):
    silent = [write(tmp_path / f"{n}.wav", np.zeros((2, 24_000))) for n in range(2)]
    first, second = (seen_of(path, detector, normal) for path in silent)
    assert first.digest != second.digest
    assert (first.status, first.faults) == ("unjudged", ("near dead", "far dead"))
    assert "digitally silent" in first.warning
    assert first.near_level is None


@pytest.mark.parametrize(
    ("content", "word"), [(b"", "empty"), (b"RIFFxxxxWAVE", ""), (b"no sound at all" * 99, "")]
)
def test_what_cannot_be_read_is_a_row_that_says_why(tmp_path, detector, normal, content, word):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    seen = seen_of(path, detector, normal)
    assert (seen.status, seen.faults) == ("unjudged", (UNREADABLE,))
    assert word in seen.warning
    assert "\n" not in seen.warning
    assert np.isnan(seen.seconds)


@pytest.mark.parametrize(("count", "chosen"), [(3, None), (2, (1, 4))])
def test_a_recorder_that_is_set_to_other_channels_is_told_apart_from_a_broken_file(
    tmp_path, detector, normal, count, chosen
):
    path = write(tmp_path / "more.wav", np.ones((count, 24_000)) / 2)
    seen = seen_of(path, detector, normal, channels=chosen)
    assert (seen.status, seen.faults) == ("unjudged", ("wrong channels",))


def test_half_a_file_is_a_row_without_advice_that_a_watch_cannot_take(tmp_path, detector, normal):
    path = write(tmp_path / "half.wav", np.ones((2, 24_000)) / 2)
    path.write_bytes(path.read_bytes()[:10_000])
    seen = seen_of(path, detector, normal)
    assert seen.warning.startswith("truncated")
    assert "salvage" not in seen.warning


def test_a_file_that_is_gone_is_a_row(tmp_path, detector, normal):
    seen = seen_of(tmp_path / "gone.wav", detector, normal)
    assert (seen.status, seen.warning) == ("unjudged", "no such file")


@pytest.mark.parametrize(
    ("audio", "word"),
    [(new()[:1], "1 channel"), (new(seconds=0.4), "need at least 1 s"),
     (np.full((2, 24_000), np.nan), "NaN"), (new() * 1e12, "full scale is 1")],
)  # fmt: skip
def test_what_no_system_can_judge_is_a_row(tmp_path, detector, normal, audio, word):
    path = write(tmp_path / "odd.wav", audio, subtype="FLOAT")
    seen = seen_of(path, detector, normal)
    assert seen.status == "unjudged"
    assert word in seen.warning


def test_a_long_recording_is_cut_to_the_normals_length(tmp_path):
    path = write(tmp_path / "long.wav", new(seconds=7.0))
    given = incoming(path, time=datetime(2026, 11, 29, 8, tzinfo=UTC))
    with pytest.warns(nf.NearfarWarning, match="last 1 s are no whole clip"):
        found = list(pieces(given, 1.5))
    assert [(p.clip.start, p.clip.stop) for p in found] == [
        (0, 1.5), (1.5, 3.0), (3.0, 4.5), (4.5, 6.0)
    ]  # fmt: skip
    assert found[2].clip.time == datetime(2026, 11, 29, 8, 0, 3, tzinfo=UTC)
    assert len({piece.identity for piece in found}) == 4


def test_one_that_is_not_much_longer_stays_whole(tmp_path):
    path = write(tmp_path / "a.wav", new(seconds=2.0))
    assert [piece.clip.stop for piece in pieces(incoming(path), 1.5)] == [None]
    with pytest.warns(nf.NearfarWarning):
        assert len(list(pieces(incoming(path), 1.5, seconds=1.5))) == 1


def test_the_names_time_goes_before_the_headers(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", new())
    header, name = datetime(2026, 1, 2), datetime(2026, 3, 4)
    monkeypatch.setattr("nearfar.service.observing.origination", lambda _: header)
    [by_header] = pieces(incoming(path), 1.5)
    [by_name] = pieces(incoming(path, time=name), 1.5)
    assert (by_header.clip.time, by_name.clip.time) == (header, name)


def test_what_nobody_knows_says_so_and_keeps_its_names(tmp_path):
    path = tmp_path / "new\nline.wav"
    seen = unjudged(Piece(incoming(path), Clip(path, machine="lathe")), f"{path}: who is that?")
    assert (seen.machine, seen.path) == ("lathe", str(path))
    assert seen.status == "unjudged"
