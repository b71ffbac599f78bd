"""A system's own scores name clips that stand alone, and groups that hide one another."""

import warnings

import numpy as np
import pytest

import nearfar as nf
from conftest import refused, write
from nearfar.detector.fitting import fit_many, suspects
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.detector.standouts import few_known, too_few
from nearfar.errors import DatasetError

RATE = 16_000


def hum(rng, n, knock=0.0):
    """(2, n): a machine with a hum, near and weaker far; `knock` is a fault's size."""
    t = np.arange(n) / RATE
    tones = sum(np.sin(2 * np.pi * 50 * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 4, 7, 11))
    own = 0.05 * (tones + 0.5 * rng.standard_normal(n))
    own = own + knock * np.sin(2 * np.pi * 2300 * t) * (np.sin(2 * np.pi * 11 * t) > 0.95)
    room = 0.01 * rng.standard_normal((2, n))
    return np.stack([own, 0.3 * np.roll(own, 8)]) + room


def recordings(root, seed, wrong=(), n=30, name=lambda i: f"c{i:02d}.wav", seconds=1.5):
    rng = np.random.default_rng(seed)
    for i in range(n):
        write(root / "press" / name(i), hum(rng, round(seconds * RATE), 0.3 * (i in wrong)))
    return nf.Clips.open(root / "press")


def said_by(call):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = call()
    return result, [str(w.message) for w in said]


def stand_out(clips):
    return {s.clip.path.stem for s in suspects(nf.s4(), clips) if s.kind == "score"}


@pytest.mark.parametrize("wrong", [(), (5,), (3, 9, 17, 25)])
def test_named_are_exactly_the_faulty_clips(wrong, tmp_path):
    """Four of thirty hide one another from self-scores."""
    clips = recordings(tmp_path, 1, wrong)
    assert stand_out(clips) == {f"c{i:02d}" for i in wrong}


def test_a_speed_of_its_own_is_no_suspect(tmp_path):
    def called(i):
        speed = "fast" if i in (3, 9, 17, 25) else "slow"
        return f"section_00_source_train_normal_{i:04d}_speed_{speed}.wav"

    clips = recordings(tmp_path, 1, (3, 9, 17, 25), name=called)
    assert stand_out(clips) == set()


def test_a_few_target_clips_are_no_suspects(tmp_path):
    def called(i):
        domain = "target" if i < 4 else "source"
        return f"section_00_{domain}_train_normal_{i:04d}_noAttribute.wav"

    clips = recordings(tmp_path, 1, range(4), name=called)
    assert stand_out(clips) == set()


def test_suspects_are_left_out_where_that_is_asked_for(tmp_path):
    wrong = (3, 9, 17, 25)
    clips = recordings(tmp_path, 2, wrong)
    good = nf.Clips(c for c in clips if int(c.path.stem[1:]) not in wrong)
    without, said = said_by(lambda: nf.fit(nf.s4(), clips, exclude_suspects=True))
    (told,) = [text for text in said if "fitted without" in text]
    assert all(f"c{i:02d}.wav" in told for i in wrong)
    assert "4 suspects" in told
    wanted, said = said_by(lambda: nf.fit(nf.s4(), good))
    assert not any("self-score" in text for text in said)
    ours = [v.score for v in without.score(clips)]
    assert ours == [v.score for v in wanted.score(clips)]


def test_a_look_changes_no_score(tmp_path):
    clips = recordings(tmp_path, 3, (3, 9, 17, 25), n=24)
    (first, said), (second, _) = (said_by(lambda: nf.fit(nf.s4(), clips)) for _ in range(2))
    assert any("3 of 24" in text for text in said)
    assert [v.score for v in first.score(clips)] == [v.score for v in second.score(clips)]


def test_nothing_left_is_one_line(tmp_path):
    clips = recordings(tmp_path, 3, n=2)
    refused(lambda: nf.fit(nf.s4(), clips, exclude_suspects=True), "at least 3")


def test_a_threshold_of_faulty_clips_is_said_with_the_way_out(tmp_path):
    clips = recordings(tmp_path, 1, n=20)
    rng, t = np.random.default_rng(5), np.arange(24_000) / RATE
    faults = {  # three kinds, so that none is near another
        "c03.wav": np.sin(2 * np.pi * 5000 * t),
        "c09.wav": np.sign(np.sin(2 * np.pi * 300 * t)),
        "c15.wav": rng.standard_normal(24_000) * (np.sin(2 * np.pi * 7 * t) > 0.9),
    }
    for name, fault in faults.items():
        sound = hum(rng, 24_000) + 0.3 * np.stack([fault, 0.3 * fault])
        write(tmp_path / "press" / name, np.clip(sound, -0.9, 0.9))
    detector, said = said_by(lambda: nf.fit(nf.s4(), clips))
    (named,) = [text for text in said if "by self-score" in text]
    assert "fit with exclude_suspects=True" in named
    (deaf,) = [text for text in said if "its threshold" in text]
    assert f"{detector.threshold('press').value:.4g}" in deaf
    assert "fit with exclude_suspects=True" in deaf
    # One of thirty lies above what one in ten may exceed: the threshold is another's.
    _, said = said_by(lambda: nf.fit(nf.s4(), recordings(tmp_path / "one", 1, (5,))))
    assert any("by self-score" in text for text in said)
    assert not any("its threshold" in text for text in said)


def test_self_scores_are_those_that_draw_the_threshold(tmp_path):
    clips = recordings(tmp_path, 4, n=20)
    detector = nf.fit(nf.s4(), clips)
    own = detector.self_scores("press")
    assert own.shape == (20,)
    assert sorted(own)[-2] == detector.threshold("press").value  # ⌊0.1·21⌋ − 1 = 1 above
    own[:] = 0  # a copy
    assert detector.threshold("press").value > 0


# ---- what is left, and what judges ---------------------------------------------------------------


def clipped(audio):
    return np.clip(audio, -0.05, 0.05)


def gapped(audio):
    audio = audio.copy()
    audio[:, 4000:8000] = 0
    return audio


@pytest.mark.parametrize("good", [0, 2])
def test_a_machine_is_not_left_out_whole(good, tmp_path):
    """Each half has a fault of its own: neither is most of the clips, both are all of them."""
    rng = np.random.default_rng(1)
    for i in range(12 + good):
        change = clipped if i < 6 else gapped if i < 12 else np.array
        write(tmp_path / "pump" / f"{i:02d}.wav", change(hum(rng, RATE)))
        write(tmp_path / "fan" / f"{i:02d}.wav", hum(rng, RATE))
    for folder in (tmp_path, tmp_path / "pump"):  # among others, and alone
        clips = nf.Clips.open(folder)
        line = refused(
            lambda clips=clips: nf.fit(nf.logmel(), clips, exclude_suspects=True),
            f"pump ({good} of {12 + good} left)", "at least 3", "nearfar check",
            "fit without --exclude-suspects", error=DatasetError,
        )  # fmt: skip
        assert "fan" not in line


def of_two_domains(root):
    """28 clips of the source, 14 of the target; the last of these has a fault."""

    def called(i):
        domain = "source" if i < 28 else "target"
        return f"section_00_{domain}_train_normal_{i:04d}_noAttribute.wav"

    return recordings(root, 6, (41,), n=42, name=called, seconds=1)


@pytest.mark.parametrize(
    ("told", "deaf"),
    [
        ({}, ""),  # three of 42 may be above
        ({"threshold_by_domain": True}, "its threshold for target clips"),  # none of 14
        ({"false_alarm_rate": 0.01}, "its threshold"),  # none of 42
        ({"false_alarm_rate": 0.2, "threshold_by_domain": True}, ""),  # two of 14
    ],
)
def test_deaf_is_said_of_the_thresholds_that_judge(told, deaf, tmp_path):
    clips = of_two_domains(tmp_path)
    detector, said = said_by(lambda: nf.fit(nf.logmel(), clips, **told))
    (named,) = [text for text in said if "by self-score" in text]
    assert "0041" in named
    assert [f"press: {deaf}, " in text for text in said if "its threshold" in text] == (
        [True] if deaf else []
    )
    assert detector.false_alarm_rate == told.get("false_alarm_rate", 0.1)
    assert detector.threshold_by_domain == told.get("threshold_by_domain", False)


def test_a_rate_that_is_none_is_refused_before_any_work():
    for many in (nf.fit, lambda system, clips, **given: fit_many((system,), clips, **given)):
        refused(lambda many=many: many(nf.logmel(), [], false_alarm_rate=1.5), "1.5")


def known(domain, fresh=None):
    n = len(domain)
    rows = np.zeros((n, 1), np.float32)
    member = Member(rows, np.arange(n), np.array(domain, np.int8), None, np.ones(n))
    clips = tuple(TrainingClip(f"{i}", "") for i in range(n))
    return Section((member,), clips, None, 1.0, fresh)


def test_each_section_of_too_few_clips_is_told():
    """Also where another section of the machine has enough, or is told itself."""
    counts = {("fan", "00"): 5, ("fan", "01"): 30, ("fan", "02"): 7, ("saw", "00"): 12}
    assert too_few({key: known([0] * n) for key, n in counts.items()}) == [
        "fan: too few clips to judge by score (5 of 12)",
        "fan 02: too few clips to judge by score (7 of 12)",
    ]


def test_a_small_domain_is_told_beside_a_large_one():
    """As every machine of DCASE has ten target clips, one line is for all of them."""
    machines = {(f"m{i}", "00"): known([0] * 20 + [1] * 10) for i in range(7)}
    assert too_few(machines) == [
        "m0, m1, m2 and 4 more: too few target clips to judge by score (10 of 12)"
    ]
    assert too_few({("fan", "00"): known([0] * 4 + [1] * 12)}) == [
        "fan: too few source clips to judge by score (4 of 12)"
    ]
    assert too_few({("fan", "00"): known([0] * 16, (True,) * 4 + (False,) * 12)}) == [
        "fan: too few clips new to the encoder to judge by score (4 of 12)"
    ]


def test_new_clips_are_judged_by_their_own_kind():
    section = known([0] * 20 + [1] * 10)
    assert few_known(section, "source") is None
    assert few_known(section, "target") == 10
    assert few_known(known([0] * 20), "target") == 0
    assert few_known(known([0] * 20, (True,) * 4 + (False,) * 16), "source") == 4
    assert few_known(known([0] * 20, (False,) * 20), "source") is None
