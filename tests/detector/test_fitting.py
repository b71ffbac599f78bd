"""Many systems on the same clips are each the fit it is alone, and cost less than that."""

import gc
import multiprocessing
import warnings
import weakref
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.clips.clip import Clip
from nearfar.detector import fits as one_fit
from nearfar.detector import fitting
from nearfar.detector.member import fit_member
from nearfar.errors import DatasetError, SettingError, WeightsError
from nearfar.scoring.bank import TARGET

# What a fit says is looked at below; elsewhere it is no matter.
pytestmark = pytest.mark.filterwarnings("ignore::nearfar.NearfarWarning")

FEW = nf.DIF(("mfcc_mean_1", "kurtosis", "rms_ratio", "coherence_0_200"))
DIF = nf.System(
    nf.Stereo(), FEW, rule=nf.KNN(metric="euclidean"), whitening=nf.ZCA(),
    enrichment=(nf.ResidualAugmentation(tiers=((-1.0, 1.0),)), nf.PseudoTarget()),
)  # fmt: skip
# All need both channels: where one system needs two, clips are told apart by both for all.
MASKED = nf.System(nf.CoherenceMask(), nf.LogMel(n_mels=16), calibration=nf.Percentile())
CANCELLED = nf.System(nf.FarCancel(), nf.LogMel(n_mels=16), self_scores="loo")
WEIGHTED = replace(DIF, rule=nf.KNN((1.0, -0.35), "euclidean"), adaptation=nf.MeanShift())
SYSTEMS = (
    DIF,
    nf.Ensemble((DIF, MASKED), weights=(0.6, 0.4)),
    nf.Ensemble((MASKED, CANCELLED, WEIGHTED)),
    replace(DIF, false_alarm_rate=0.2),
    CANCELLED,
    nf.Ensemble((MASKED, DIF, MASKED), false_alarm_rate=0.3),
)


def write_train(root, *, sections=("00",), far=1.0):
    """Normal clips of a fan; in each section two files are one sound, and one has equal channels.

    `far` is the gain of the far channel.
    """
    rng = np.random.default_rng(len(sections))
    for section in sections:
        for domain, count in (("source", 6), ("target", 3)):
            sounds = [
                machine_sound(rng, 1.0, domain) * np.array([[1.0], [far]], np.float32)
                for _ in range(count)
            ]
            if domain == "source":
                sounds[0][1] = sounds[0][0]
                sounds[2] = sounds[1]
            for i, sound in enumerate(sounds):
                name = f"section_{section}_{domain}_train_normal_{i:04d}_noAttribute.wav"
                write(root / "fan" / "train" / name, sound)
    return nf.Clips.open(root, split="train")


@pytest.fixture(scope="module")
def train(dcase):
    return nf.Clips.open(dcase, split="train")


@pytest.fixture
def fits(monkeypatch):
    """Counts fits by member."""
    counted = Counter()

    def counting(system, *rest):
        counted[system] += 1
        return fit_member(system, *rest)

    monkeypatch.setattr(one_fit, "fit_member", counting)
    return counted


@pytest.fixture
def reads(monkeypatch):
    """Counts reads of audio by clip."""
    counted, plain = Counter(), Clip.read_recorded

    def counting(clip, *arguments):
        counted[clip] += 1
        return plain(clip, *arguments)

    monkeypatch.setattr(Clip, "read_recorded", counting)
    return counted


def said_by(work):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    return [str(warning.message) for warning in caught]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- each is the fit it is alone -------------------------------------------------------------


@pytest.mark.slow
def test_each_detector_is_the_one_that_a_fit_alone_gives(train, tmp_path):
    """Bit for bit: banks are files whose names are their hashes."""
    many = fitting.fit_many(SYSTEMS, train)
    for n, (system, detector) in enumerate(zip(SYSTEMS, many, strict=True)):
        together, alone = tmp_path / f"{n}-many", tmp_path / f"{n}-alone"
        detector.save(together)
        nf.fit(system, train).save(alone)
        assert content(together) == content(alone)
        assert detector.system == system


def test_the_order_of_systems_does_not_matter(train, tmp_path):
    forth = [d.save(tmp_path / f"a{n}") for n, d in enumerate(fitting.fit_many(SYSTEMS, train))]
    turned = fitting.fit_many(SYSTEMS[::-1], train)
    back = [d.save(tmp_path / f"b{n}") for n, d in enumerate(turned)]
    assert [content(f) for f in forth] == [content(f) for f in back[::-1]]


# ---- what a section is of --------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, -1])
def test_a_source_and_a_target_clip_of_one_sound_are_one_target_clip(step, tmp_path):
    """Whichever file comes first; its name is what a verdict calls it."""
    folder = {clip.path.name: clip.path for clip in write_train(tmp_path)}
    source = "section_00_source_train_normal_0005_noAttribute.wav"
    target = "section_00_target_train_normal_0001_noAttribute.wav"
    folder[target].write_bytes(folder[source].read_bytes())
    (section,) = nf.fit(MASKED, nf.Clips.open(tmp_path, split="train")[::step]).sections.values()
    named = [clip.name.rsplit("/", 1)[1] for clip in section.clips]
    assert target in named
    assert source not in named
    assert section.members[0].domain[named.index(target)] == TARGET
    assert (section.members[0].domain == TARGET).sum() == 3


def test_one_clip_cut_short_does_not_change_the_usual_length(tmp_path):
    rng = np.random.default_rng(7)
    for n, clip in enumerate(write_train(tmp_path)):
        write(clip.path, machine_sound(rng, 1.5 if n else 1.0, clip.domain))
    (section,) = nf.fit(MASKED, nf.Clips.open(tmp_path, split="train")).sections.values()
    assert section.seconds == 1.5


# ---- once ------------------------------------------------------------------------------------


def test_clips_are_read_once_for_all_systems(train, reads):
    plain = (MASKED, CANCELLED, nf.Ensemble((CANCELLED, MASKED)), replace(DIF, enrichment=()))
    assert len(list(fitting.fit_many(plain, train))) == 4
    assert reads == dict.fromkeys(train, 1)


def test_only_residual_rows_hear_their_target_clips_again(train, reads):
    list(fitting.fit_many((DIF, MASKED, nf.Ensemble((MASKED, DIF))), train))
    assert reads == {clip: 1 + (clip.domain == "target") for clip in train}


def test_clips_that_may_be_copies_are_compared_once_for_all_systems(train, monkeypatch):
    plain, seen = one_fit.by_rereading, []

    def counting(sounds, order):
        seen.append({sound.clip.machine for sound in sounds})
        return plain(sounds, order)

    monkeypatch.setattr(one_fit, "by_rereading", counting)
    assert len(list(fitting.fit_many(SYSTEMS, train))) == len(SYSTEMS) > 1
    assert seen == [{"fan"}, {"pump"}]


def test_equal_members_are_fitted_once(train, fits):
    list(fitting.fit_many(SYSTEMS, train))
    machines = len(train.machines)
    other_rate = replace(DIF, false_alarm_rate=0.2)  # is another system, and fitted as one
    assert fits == dict.fromkeys((DIF, MASKED, CANCELLED, WEIGHTED, other_rate), machines)


def test_a_detector_is_fitted_when_it_is_asked_for(train, fits):
    many = fitting.fit_many((MASKED, CANCELLED, DIF), train)
    assert not fits
    next(many)
    assert set(fits) == {MASKED}
    next(many)
    assert set(fits) == {MASKED, CANCELLED}


def test_progress_counts_up_over_all_systems_and_ends_at_its_total(train):
    told = []
    runtime = nf.Runtime(progress=lambda *what: told.append(what))
    systems = (MASKED, nf.Ensemble((MASKED, CANCELLED)), CANCELLED)
    list(fitting.fit_many(systems, train, runtime))
    total = len(systems) * len(train.by_section())
    fitted = [(done, of) for what, done, of in told if what == "fitting"]
    assert fitted == [(n, total) for n in range(1, total + 1)]


# ---- what is kept ----------------------------------------------------------------------------


def members_of(detector, place):
    return [weakref.ref(s.members[place]) for s in detector.sections.values()]


def alive(refs):
    gc.collect()
    return {ref() is not None for ref in refs}


@pytest.mark.slow
def test_a_member_that_no_later_system_has_is_let_go(train):
    systems = (nf.Ensemble((MASKED, DIF)), nf.Ensemble((DIF, CANCELLED)), CANCELLED, MASKED)
    many = fitting.fit_many(systems, train)
    detector = next(many)
    masked, dif = members_of(detector, 0), members_of(detector, 1)
    del detector
    assert alive(masked) == alive(dif) == {True}
    detector = next(many)
    assert [ref() for ref in dif] == [s.members[0] for s in detector.sections.values()]
    cancelled = members_of(detector, 1)
    del detector
    assert alive(dif) == {False}
    assert alive(cancelled) == {True}
    next(many)
    assert alive(cancelled) == {False}
    assert alive(masked) == {True}  # the last system still has it
    next(many)
    assert alive(masked) == {False}  # though the iterator has not ended


@pytest.mark.slow
def test_a_detector_let_go_is_gone_before_the_next_is_fitted(train, monkeypatch):
    before = []
    many = fitting.fit_many((MASKED, CANCELLED), train)
    before.append(weakref.ref(next(many)))

    def looking(*arguments):
        gc.collect()
        before.append(before[0]())
        return fit_member(*arguments)

    monkeypatch.setattr(one_fit, "fit_member", looking)
    next(many)
    assert before[1:] == [None] * len(train.machines)


@pytest.mark.slow
def test_an_abandoned_iterator_leaves_nothing_running(train):
    many = fitting.fit_many((MASKED, CANCELLED), train, nf.Runtime(workers=2))
    assert multiprocessing.active_children() == []  # all listening is done
    gone = weakref.ref(next(many))
    del many
    gc.collect()
    assert gone() is None
    assert multiprocessing.active_children() == []


# ---- warnings --------------------------------------------------------------------------------


def test_a_fit_warns_of_every_section(tmp_path):
    """Two sections together say what each says alone."""
    write_train(tmp_path, sections=("00", "01"), far=0.1)
    clips = nf.Clips.open(tmp_path, split="train")
    flat = replace(DIF, calibration=nf.Percentile())
    system = nf.Ensemble((flat, replace(flat, seed=1)))
    alone = [said_by(lambda c=c: nf.fit(system, c)) for c in clips.by_section().values()]
    assert len(alone) == 2
    for said in alone:
        kinds = ("the same audio", "channels are one", "match_levels", "flat percentiles")
        assert all(any(kind in text for text in said) for kind in kinds)
    together = said_by(lambda: nf.fit(system, clips))
    # Suspects come last, one line a machine, whatever its sections.
    assert ["channels are one" in text for text in together][-1:] == [True]
    rest = [text for text in together if "clips: " not in text]
    assert rest == [text for said in alone for text in said if "clips: " not in text]


def test_each_member_of_an_ensemble_is_named_in_its_own_place(tmp_path):
    clips = write_train(tmp_path, far=0.1)
    for second in (replace(DIF, seed=1), DIF):  # an equal one needs its own --set as well
        system = nf.Ensemble((DIF, MASKED, second))
        hints = [
            text for text in said_by(lambda s=system: nf.fit(s, clips)) if "with_setting" in text
        ]
        assert len(hints) == 2
        assert "with_setting(…, 'members.0.enrichment." in hints[0]
        assert "with_setting(…, 'members.2.enrichment." in hints[1]


@pytest.mark.parametrize(
    ("systems", "place"),
    [
        ((DIF, nf.Ensemble((MASKED, DIF)), replace(DIF, seed=1)), "with_setting(…, 'enrichment."),
        ((nf.Ensemble((MASKED, DIF)), DIF, WEIGHTED), "with_setting(…, 'members.1.enrichment."),
        ((MASKED, nf.Ensemble((MASKED, WEIGHTED)), DIF), "with_setting(…, 'members.1.enrichment."),
    ],
)
def test_what_many_would_warn_of_the_first_says(systems, place, tmp_path):
    clips = write_train(tmp_path, sections=("00", "01"), far=0.1)
    said = said_by(lambda: list(fitting.fit_many(systems, clips)))
    hints = [text for text in said if "match_levels" in text]
    assert len(hints) == 2  # of the first system that has cause, for each section
    assert all(place in hint for hint in hints)
    assert sum("the same audio" in text for text in said) == 2
    assert sum("channels are one" in text for text in said) == 1  # one line a machine


# ---- errors ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Missing:
    """An encoder whose weights are gone."""

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 2
    fingerprint: ClassVar[str] = "missing-1"

    def __call__(self, audios):
        raise NotImplementedError

    def check(self, runtime):
        raise WeightsError("gone.safetensors: is not there; look for it")


def test_an_error_of_any_system_comes_before_the_first_detector(train, fits, reads):
    lost = nf.System(nf.Near(), Missing())
    with pytest.raises(WeightsError, match="is not there"):
        fitting.fit_many((MASKED, nf.Ensemble((MASKED, lost))), train)
    assert not fits
    assert not reads


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"systems": ()}, SettingError, "at least one"),
        ({"order": "left-right"}, SettingError, "left-right"),
        ({"clips": nf.Clips(())}, DatasetError, "no clips"),
    ],
)
def test_errors_come_with_the_call(train, change, error, match):
    arguments = {"systems": (MASKED,), "clips": train} | change
    with pytest.raises(error, match=match) as caught:
        fitting.fit_many(**arguments)
    assert "\n" not in str(caught.value)


def test_test_clips_and_unreadable_clips_are_refused_with_the_call(dcase, tmp_path):
    with pytest.raises(DatasetError, match="test"):
        fitting.fit_many((MASKED,), nf.Clips.open(dcase, split="test"))
    clips = write_train(tmp_path)
    next(iter(clips)).path.write_bytes(b"no sound")
    with pytest.raises(nf.NearfarError, match=next(iter(clips)).path.name):
        fitting.fit_many((MASKED,), clips)


def test_a_fit_that_fails_in_its_turn_leaves_the_detectors_before_it(tmp_path):
    clips = write_train(tmp_path)
    greedy = replace(MASKED, rule=nf.KNN((1.0,) * 50))
    many = fitting.fit_many((MASKED, greedy), clips)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)
        assert next(many).machines == ("fan",)
        with pytest.raises(DatasetError, match="k = 50"):
            next(many)
