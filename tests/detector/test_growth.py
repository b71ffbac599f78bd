"""What a detector knows is a function of its fit, of what it learnt and of what it forgot."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import first_quick, machine_sound, write, write_machine
from nearfar.detector.learning.growth import Grown, grow, parts
from nearfar.detector.learning.learnt import NewRows
from nearfar.detector.learning.selfscores import HeldAgain, scored
from nearfar.errors import NearfarWarning
from nearfar.scoring.bank import TARGET
from nearfar.scoring.whiten import ZCA
from new_clips import bank_rows, digests, new_clips

KEY = ("fan", "00")
PLAIN = replace(nf.logmel(), rule=nf.KNN(metric="euclidean"))
RESIDUAL = nf.ResidualAugmentation(tiers=((0.3, 0.7), (-1.0, 1.0)))
SYSTEMS = {
    "s4": nf.s4(),
    "logmel": nf.logmel(),
    "tiers": replace(nf.s4(), enrichment=(RESIDUAL, nf.PseudoTarget())),
    "loo": replace(nf.s4(), self_scores="loo"),
    "whitened": replace(PLAIN, whitening=ZCA(), adaptation=nf.MeanShift(), folds=4),
    "density": replace(PLAIN, rule=nf.LocalDensity(k=2)),
    "slope": replace(PLAIN, rule=nf.VarMin(k=2), whitening=ZCA()),
    "domains": replace(PLAIN, rule=nf.PerDomain(nf.KNN(metric="euclidean"))),
    "percentiles": nf.Ensemble(
        (replace(nf.s4(), calibration=nf.Percentile()), replace(PLAIN, calibration=nf.ZScore()))
    ),
}


@pytest.fixture(scope="module")
def fitted(dcase):
    """Each system on the same clips, fitted when first asked for."""
    made = {}

    def of(name):
        if name not in made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", nf.NearfarWarning)  # of so few clips
                made[name] = nf.fit(SYSTEMS[name], nf.Clips.open(dcase, split="train"))
        return made[name]

    return of


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    return new_clips(tmp_path_factory.mktemp("new"))


@pytest.mark.parametrize("name", first_quick(["tiers", *(n for n in SYSTEMS if n != "tiers")]))
def test_with_nothing_learnt_the_self_scores_come_out_again_to_the_bit(fitted, name):
    detector = fitted(name)
    section = detector.sections[KEY]
    _, learnt, _ = parts(section, detector.system)
    for i, (recipe, member) in enumerate(
        zip(detector.system.members, section.members, strict=True)
    ):
        keep = np.ones(len(section.clips), bool)
        new = NewRows.of(recipe, member, learnt, i)
        again = scored(HeldAgain(recipe, member, section.traces, keep, new, learnt.traces, member))
        assert np.array_equal(again.values, member.self_scores)


@pytest.mark.parametrize("name", first_quick(SYSTEMS))
def test_learnt_and_forgotten_again_leaves_no_byte(fitted, more, name, tmp_path):
    detector = fitted(name)
    detector.save(tmp_path / "det")
    before = digests(tmp_path / "det")
    grown = detector.learn(more[:2]).learn(more[2:])
    grown.save(tmp_path / "det")
    assert digests(tmp_path / "det") != before
    names = [clip.name for clip in more]
    loaded = nf.load(tmp_path / "det")
    loaded.forget(names[1:3]).forget([names[0], *names[3:]]).save(tmp_path / "det")
    assert digests(tmp_path / "det") == before
    assert len(nf.load(tmp_path / "det").lessons) == 4


def test_a_forgotten_clip_of_the_fit_comes_back_to_the_byte(fitted, dcase, tmp_path):
    detector = fitted("s4")
    detector.save(tmp_path / "det")
    before = digests(tmp_path / "det")
    fan = [c for c in nf.Clips.open(dcase, split="train") if c.machine == "fan"]
    gone = detector.forget([fan[0].name, fan[-1].name])
    assert len(gone.sections[KEY].clips) == len(fan) - 2
    gone.learn([fan[-1], fan[0]]).save(tmp_path / "det")
    assert digests(tmp_path / "det") == before


@pytest.mark.parametrize("name", first_quick(["s4", "percentiles", "whitened"]))
def test_the_order_of_lessons_does_not_matter(fitted, more, name, tmp_path):
    detector = fitted(name)
    old = detector.sections[KEY].clips[3].name
    ways = [
        detector.learn(more).forget([old]),
        detector.forget([old]).learn(more[3:]).learn(more[:3]),
        detector.learn(more[1:4]).forget([old, more[2].name]).learn([more[4], more[2], more[0]]),
    ]
    for i, way in enumerate(ways):
        way.save(tmp_path / str(i))
    first, *others = (digests(tmp_path / str(i)) for i in range(3))
    assert all(other == first for other in others)


@pytest.mark.parametrize("name", first_quick(["s4", "percentiles", "domains", "density", "loo"]))
def test_saved_and_loaded_it_scores_to_the_bit(fitted, more, dcase, name, tmp_path):
    grown = fitted(name).learn(more).forget([fitted(name).sections[KEY].clips[0].name])
    again = nf.load(grown.save(tmp_path / "det"), late=True)
    test = nf.Clips.open(dcase / "fan" / "test")
    for a, b in zip(grown.score(test), again.score(test), strict=True):
        assert (a.score, a.threshold, a.percentile) == (b.score, b.threshold, b.percentile)
        assert a.nearest == b.nearest
    assert np.array_equal(grown.self_scores("fan"), again.self_scores("fan"))
    assert digests(again.save(tmp_path / "copy")) == digests(tmp_path / "det")


def test_other_machines_do_not_change_by_a_bit(fitted, more, dcase, tmp_path):
    detector = fitted("s4")
    grown = detector.learn(more)
    test = nf.Clips.open(dcase / "pump" / "test")
    before, after = detector.score(test), grown.score(test)
    assert [v.score for v in before] == [v.score for v in after]
    assert detector.threshold("pump") == grown.threshold("pump")
    detector.save(tmp_path / "det")
    bank = json.loads((tmp_path / "det" / "detector.json").read_text())["sections"][1]["bank"]
    content = (tmp_path / "det" / bank).read_bytes()
    grown.save(tmp_path / "det")
    now = json.loads((tmp_path / "det" / "detector.json").read_text())["sections"]
    assert now[1]["bank"] == bank
    assert (tmp_path / "det" / bank).read_bytes() == content
    assert "learnt" in now[0]
    assert "learnt" not in now[1]


def test_where_nothing_is_fitted_learning_is_a_fit_on_all(fitted, dcase, more):
    """Without whitening, adaptation and enrichment there is nothing that a fit would do else."""
    known = [c for c in nf.Clips.open(dcase, split="train") if c.machine == "fan"]
    whole = nf.fit(nf.logmel(), [*known, *more])
    grown = fitted("logmel").learn(more)
    test = nf.Clips.open(dcase / "fan" / "test")
    assert [v.score for v in grown.score(test)] == [v.score for v in whole.score(test)]
    less = grown.forget([known[0].name])
    assert [v.score for v in less.score(test)] == [
        v.score for v in nf.fit(nf.logmel(), [*known[1:], *more]).score(test)
    ]
    section, all_of_them = grown.sections[KEY], whole.sections[KEY]
    assert (section.seconds, section.levels) == (all_of_them.seconds, all_of_them.levels)
    assert section.near == all_of_them.near


@pytest.mark.parametrize("name", first_quick(["s4", "logmel", "density", "whitened"]))
def test_a_clip_learnt_alone_has_the_score_that_it_had_before(fitted, more, name):
    """Law 5: neither its own row nor anything fitted on it judges it."""
    detector = fitted(name)
    for clip in (more[0], more[-1]):
        (before,) = detector.score([clip])
        grown = detector.learn([clip])
        assert grown.self_scores("fan")[-1] == pytest.approx(before.score, rel=1e-12)
        assert grown.score([clip])[0].warning.startswith("this very recording")


@pytest.mark.parametrize("name", first_quick(["s4", "logmel", "whitened"]))
def test_what_adds_nothing_near_an_old_clip_leaves_its_self_score(fitted, name, tmp_path):
    detector = fitted(name)
    loud = machine_sound(np.random.default_rng(9), anomaly=True)
    clip = nf.Clip(write(tmp_path / "far.wav", loud), machine="fan")
    grown = detector.learn([clip], accept_suspects=True)
    was, now = detector.self_scores("fan"), grown.self_scores("fan")
    assert np.array_equal(now[:-1], was)


@pytest.mark.slow
def test_what_lies_beside_an_old_clip_brings_its_self_score_down(fitted, dcase, tmp_path):
    detector = fitted("logmel")
    clip = next(c for c in nf.Clips.open(dcase, split="train") if c.machine == "fan")
    rng = np.random.default_rng(3)
    sound = clip.read() + 1e-4 * rng.standard_normal(clip.read().shape).astype(np.float32)
    twin = nf.Clip(write(tmp_path / "twin.wav", sound), machine="fan")
    place = [c.name for c in detector.sections[KEY].clips].index(clip.name)
    with pytest.warns(NearfarWarning, match=r"stand out: .*twin.wav all but the same sound"):
        grown = detector.learn([twin], accept_suspects=True)
    was, now = detector.self_scores("fan"), grown.self_scores("fan")
    assert now[place] < 0.1 * was[place]


def test_parts_of_one_recording_do_not_judge_each_other(fitted, tmp_path):
    detector = fitted("logmel")
    path = write(tmp_path / "hour.wav", machine_sound(np.random.default_rng(4), 6.0))
    cut = list(nf.Clips.open([path], machine="fan", clip_seconds=1.5))
    grown = detector.learn(cut)
    before = {v.clip.name: v.score for v in detector.score(cut)}
    section = grown.sections[KEY]
    own = dict(zip([c.name for c in section.clips], grown.self_scores("fan"), strict=True))
    for name, score in before.items():
        assert own[name] == pytest.approx(score, rel=1e-12)
    assert section.members[0].facts["sessions"] == 1 + 12  # and each file of its own


def test_rows_are_made_of_what_is_learnt_as_the_fit_made_them(dcase, tmp_path):
    write_machine(tmp_path, "fan", 1, source=8, target=2, test=0)
    system = replace(
        nf.s4(), enrichment=(nf.ResidualAugmentation(tiers=((-1.0, 1.0),)), nf.PseudoTarget())
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)
        detector = nf.fit(system, nf.Clips.open(tmp_path, split="train"))
    was = bank_rows(detector)
    assert len(was.embeddings) == 10 + 8 + 8  # real, residual (4 a target clip), moved
    more = new_clips(tmp_path / "new", source=1, target=1)
    now = bank_rows(detector.learn(more))
    assert len(now.embeddings) == len(was.embeddings) + 2 + 4 + 1
    old = was.embeddings[:10].astype(np.float64)
    target = was.domain[:10] == TARGET
    moved = now.embeddings[-1].astype(np.float64)
    (place,) = np.flatnonzero(now.origin[:12] == now.origin[-1])
    source = now.embeddings[place].astype(np.float64)
    apart = old[target].mean(axis=0) - old[~target].mean(axis=0)
    assert np.allclose(moved - source, apart, rtol=1e-4, atol=1e-4 * np.abs(apart).max())


def test_with_the_last_target_clip_goes_what_was_moved_by_it(fitted):
    detector = fitted("s4")
    gone = detector.forget(["*target_train*"], machine="fan")
    assert not (bank_rows(gone).domain == TARGET).any()
    left = detector.forget(["fan/train/section_00_target_train_normal_0000_noAttribute.wav"])
    assert (bank_rows(left).domain == TARGET).sum() > 9


@pytest.mark.slow
def test_the_first_target_clip_is_learnt(tmp_path):
    write_machine(tmp_path, "fan", 1, source=12, target=0, test=0)
    detector = nf.fit(nf.s4(), nf.Clips.open(tmp_path, split="train"))
    (clip,) = new_clips(tmp_path / "new", source=0, target=1)
    grown = detector.learn([clip], accept_suspects=True)
    assert grown.threshold("fan", domain="target").clips == 1
    assert bank_rows(grown).domain[: len(grown.sections[KEY].clips)].sum() == 1


def test_nothing_learnt_and_nothing_forgotten_is_the_fit_itself(fitted):
    detector = fitted("s4")
    fit, learnt, gone = parts(detector.sections[KEY], detector.system)
    assert grow(detector.system, fit, learnt, gone) is fit
    assert not isinstance(fit, Grown)


@pytest.mark.slow
def test_thresholds_by_domain_and_other_rates_follow(fitted, more, tmp_path):
    detector = fitted("s4").with_threshold_by_domain().with_false_alarm_rate(0.2)
    grown = detector.learn(more)
    assert grown.threshold("fan", domain="target").clips == 3 + 2
    assert grown.threshold("fan").clips == 12 + 5
    assert grown.threshold_by_domain
    assert nf.load(grown.save(tmp_path / "det")).threshold("fan") == grown.threshold("fan")
