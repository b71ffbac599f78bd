"""What people type first in Python, and the one line that says what to type instead."""

import copy
import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from conftest import refused, write
from nearfar.scores.verdict import Scores, Verdict


@pytest.fixture(scope="module")
def clips(dcase):
    return nf.Clips.open(dcase, split="train", machines=["fan"])


# ---- calls ---------------------------------------------------------------------------------------


def test_a_folder_for_clips_gets_one_advice_from_fit_and_score(detector_folder):
    detector = nf.load(detector_folder)
    for given in ("today", ["a.wav", "b.wav"]):
        for call, name in ((lambda g: nf.fit(nf.s4(), g), "fit"), (detector.score, "score")):
            refused(lambda c=call, g=given: c(g), f"{name} takes clips, not", "Clips.open(folder")


def test_what_fit_takes_first_is_said_even_where_there_is_no_second(clips):
    for first in ("folder", nf.s4, clips, 3, None):
        refused(lambda f=first: nf.fit(f), "fit takes a system first, not ", "fit(nf.s4(), clips)")
    refused(lambda: nf.fit(nf.s4), "the function s4 without its brackets")
    refused(lambda: nf.fit(clips, nf.s4()), "fit takes a system first, not Clips")
    refused(lambda: nf.fit(nf.s4()), "no clips")


def test_a_number_is_no_runtime_and_no_folder(detector_folder, clips):
    refused(lambda: nf.fit(nf.s4(), clips, 4), "runtime is 4", "Runtime(workers=4)")
    refused(lambda: nf.load(detector_folder).score(clips, 4), "runtime is 4")
    refused(lambda: nf.load(3), "load takes the folder of a detector, not 3")
    refused(lambda: nf.Clips.open(3), "takes a folder or a file, not int")
    refused(lambda: nf.Clips.open([3]), "takes a folder or a file, not list")


def test_a_list_of_clips_is_as_good_as_clips(clips):
    some = clips[:4]
    assert nf.fit(nf.logmel(), list(some)).score(some) == nf.fit(nf.logmel(), some).score(some)


# ---- scores elsewhere ----------------------------------------------------------------------------


def some_scores():
    said = [
        Verdict(nf.Clip(f"/hall/fan/{n}/deep/in/{n}.wav", machine="fan"), n, 0.25 * n, 2.0, "a.wav")
        for n in range(4)
    ]
    return Scores(said)


def test_a_row_says_where_the_clip_can_be_opened(tmp_path):
    rows = [v.as_dict() for v in some_scores()]
    assert rows[3]["path"] == "/hall/fan/3/deep/in/3.wav"
    assert rows[3]["clip"] == "deep/in/3.wav"
    assert list(rows[0])[-1] == "path"  # columns that were there before stay in their places


def test_csv_writes_what_to_csv_gives(tmp_path):
    scores = some_scores()
    file = scores.csv(tmp_path / "scores.csv")
    assert file.read_text(encoding="utf-8") == scores.to_csv()
    refused(lambda: scores.csv(tmp_path / "none" / "s.csv"), "cannot be written")


def test_without_pandas_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    refused(some_scores().to_pandas, "pip install pandas", "csv(path)")


def test_pandas_gets_the_rows_of_the_verdicts(monkeypatch):
    class Pandas:
        @staticmethod
        def DataFrame(rows):
            return list(rows)

    monkeypatch.setitem(sys.modules, "pandas", Pandas)
    assert some_scores().to_pandas() == [v.as_dict() for v in some_scores()]


# ---- own parts -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loud:
    """The mean of the absolute samples."""

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "loud-1"

    def __call__(self, audios):
        return np.array([[np.abs(a).mean()] for a in audios], np.float32)


@dataclass(frozen=True)
class Half:
    """The near channel at half its level."""

    needs: ClassVar[int] = 1
    channels: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "half-1"

    def __call__(self, audio):
        return audio[:1] / 2


@dataclass(frozen=True)
class Mean:
    """Distance to the mean row."""

    metric: ClassVar[str] = "euclidean"
    neighbours: ClassVar[int] = 1

    def __call__(self, z, bank, leave_out=None):
        return np.linalg.norm(z - bank.embeddings.mean(axis=0), axis=1)


def test_own_parts_work(clips):
    assert len(nf.fit(nf.System(Half(), Loud(), rule=Mean()), clips).score(clips)) == len(clips)


@pytest.mark.parametrize(
    ("place", "part", "name"),
    [
        *(("embedder", Loud(), name) for name in ("channels", "dim", "fingerprint")),
        *(("frontend", Half(), name) for name in ("needs", "channels", "fingerprint")),
        *(("rule", Mean(), name) for name in ("metric", "neighbours")),
    ],
)
def test_what_a_part_lacks_is_told(place, part, name):
    without = dict(vars(type(part)))
    del without[name]
    for hidden in ("__dict__", "__weakref__"):
        without.pop(hidden, None)
    broken = type("Broken", (), without)()
    parts = {"frontend": Half(), "embedder": Loud(), "rule": Mean(), place: broken}
    line = refused(lambda: nf.System(**parts), f"System.{place} is", f"lacks {name};")
    assert len(line) <= 500


def test_a_part_without_a_call_or_a_hash_is_told():
    no_call = type("Broken", (), {"channels": 1, "dim": 1, "fingerprint": "x"})()
    refused(lambda: nf.System(Half(), no_call), "lacks a call")
    # As a dataclass has it that is not frozen.
    made = type("Loose", (Loud,), {"__hash__": None})()
    refused(lambda: nf.System(Half(), made), "cannot be hashed", "frozen")
    refused(lambda: nf.System(Half(), "mean"), "System.embedder is 'mean'", "DIF()")


def failing(*_, **__):
    raise KeyError("level")


@pytest.mark.parametrize(
    ("place", "part", "what"),
    [("frontend", Half, "front end"), ("embedder", Loud, "embedder"), ("rule", Mean, "rule")],
)
@pytest.mark.parametrize("call", [failing, lambda *_, **__: None], ids=["raises", "gives None"])
def test_a_part_that_fails_is_named_in_one_line(clips, place, part, what, call):
    broken = type("Broken", (part,), {"__call__": call})()
    parts = {"frontend": Half(), "embedder": Loud(), "rule": Mean(), place: broken}
    line = refused(lambda: nf.fit(nf.System(**parts), clips), "Broken()")
    if call is failing:
        assert f"KeyError: 'level'); mend the {what}" in line
    assert len(line) <= 500


def test_a_front_end_of_the_wrong_shape_is_named(clips):
    short = type("Short", (Half,), {"__call__": lambda self, audio: audio[:1, :-1]})()
    refused(
        lambda: nf.fit(nf.System(short, Loud()), clips), "Short() gave (1, ", "its contract says"
    )


def test_settings_that_do_not_exist_list_those_of_the_place():
    line = refused(lambda: with_setting(nf.s4(), "rule=KKN"), "did you mean 'KNN'")
    assert "EAT" not in line
    assert "MeanShift" not in line


def with_setting(*args):
    from nearfar.parts.change import with_setting as change

    return change(*args)


def test_clips_of_one_file_in_memory_of_nobody(tmp_path, clips):
    """A copied clip reads the same sound."""
    sound = np.random.default_rng(0).standard_normal((2, 20_000)).astype(np.float32) * 0.01
    clip = nf.Clip(write(tmp_path / "a.wav", sound))
    assert np.array_equal(copy.deepcopy(clip).read(), clip.read())
    assert replace(clip, machine="fan") != clip
