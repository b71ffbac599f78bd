"""System 5 fitted: with any encoder, few clips, trained weights, and every command."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import TINY, write_machine
from nearfar.errors import NearfarWarning
from nearfar.sound.audio import read
from nearfar.system.presets import s5_dif, s5_small
from yamnet_folder import make_folder


@pytest.fixture(scope="module")
def ear(tmp_path_factory):
    return str(make_folder(tmp_path_factory.mktemp("ear") / "yamnet"))


@pytest.fixture(scope="module")
def fans(dcase):
    return nf.Clips.open(dcase, split="train", machines=["fan"])


def test_scores_are_the_mean_of_members_z_scores(fans, ear, dcase):
    test = nf.Clips.open(dcase, split="test", machines=["fan"])
    whole = s5_small(ear)
    detector = nf.fit(whole, fans)
    z = []
    for recipe in whole.members:
        raw = nf.fit(replace(recipe, calibration=nf.Raw()), fans)
        ((member,),) = (section.members for section in raw.sections.values())
        own = member.self_scores  # of normal clips, each held out
        z.append([(v.score - own.mean()) / own.std() for v in raw.score(test)])
    np.testing.assert_allclose(
        [v.score for v in detector.score(test)], np.mean(z, axis=0), rtol=1e-9
    )


@pytest.mark.parametrize("make", [lambda ear: s5_dif(), s5_small, nf.s5])
def test_three_clips_are_enough(make, ear, tmp_path):
    """More neighbours are asked for than there are, and one domain has one clip."""
    write_machine(tmp_path, "fan", 7, source=2, target=1, test=1)
    clips = nf.Clips.open(tmp_path, split="train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)
        detector = nf.fit(make(ear), clips)
    scores = detector.score(nf.Clips.open(tmp_path, split="test"))
    assert np.isfinite([v.score for v in scores]).all()


def test_a_detector_is_kept_and_gives_the_same(fans, ear, dcase, tmp_path):
    test = nf.Clips.open(dcase, split="test", machines=["fan"])
    detector = nf.fit(nf.s5(ear), fans)
    detector.save(tmp_path / "d")
    assert nf.load(tmp_path / "d").score(test) == detector.score(test)


def test_every_member_answers_why(fans, ear, dcase):
    clip = nf.Clips.open(dcase, split="test", machines=["fan"])[0]
    told = nf.fit(nf.s5(ear), fans).explain(clip, regions=False)
    assert [share.name.split(" of ")[0] for share in told.shares] == [
        "encoder (YAMNet) in bands", "encoder (YAMNet)", "named features (DIF, ENV, LTAS)",
    ]  # fmt: skip
    assert (told.banded, len(told.bands)) == (told.shares[0].name, 8)
    assert sum(band.part for band in told.bands) == pytest.approx(told.shares[0].distance)
    assert (told.moved, len(told.movements)) == (told.shares[2].name, 296)
    assert sum(m.contribution for m in told.movements) == pytest.approx(told.squared)


@pytest.fixture(scope="module")
def kept(fans, ear, tmp_path_factory):
    """A detector of s5-small, of one machine."""
    folder = tmp_path_factory.mktemp("kept") / "d"
    nf.fit(s5_small(ear), fans).save(folder)
    return folder


@pytest.fixture(scope="module")
def strange(dcase):
    return next((dcase / "fan" / "test").glob("*anomaly*"))


def test_a_clip_is_explained_by_bands_too(run, kept, strange):
    code, told, err = run("explain", kept, strange, "--no-regions")
    assert (code, "bands " in told, "of normal clips" in told) == (0, True, True), err
    code, told, err = run("explain", kept, strange, "--no-regions", "--json", "-")
    assert (code, len(json.loads(told)["bands"])) == (0, 8), err


@pytest.mark.slow
def test_pages_show_the_bands(run, kept, strange, tmp_path):
    pytest.importorskip("jinja2")
    why, report = tmp_path / "why.html", tmp_path / "report.html"
    code, _, err = run("explain", kept, strange, "--no-regions", "-o", why)
    assert code == 0, err
    assert "Which frequencies" in why.read_text()
    assert "at 5.4–7.5 kHz" in why.read_text()
    code, _, err = run("report", kept, strange.parent, "--machine", "fan", "-o", report)
    assert code == 0, err
    assert "farthest from normal clips" in report.read_text()


def test_parts_are_set_by_their_place(run, ear):
    setting = "members.1.embedder.pooling.power=8"
    code, told, err = run("systems", "s5-small", "--weights", ear, "--set", setting)
    assert (code, "RelativeDeviation(power=8" in told) == (0, True), err


@pytest.mark.slow
def test_what_is_varied_is_judged_on_other_machines(run, dcase, ear):
    code, told, err = run(
        "evaluate", dcase, "-s", "s5", "--weights", ear, "--lomo",
        "--vary", "members.0.embedder.pooling.power=[0,8]",
    )  # fmt: skip
    assert (code, "honest" in told) == (0, True), err


# --- a trained encoder


@pytest.fixture(scope="module")
def trained(fans, tmp_path_factory):
    """Trained on eight of the twelve fans, behind the coherence mask."""
    pytest.importorskip("torch")
    from trained_file import make_trained

    sounds = [read(c.path) for c in fans]
    path = tmp_path_factory.mktemp("trained") / "t.safetensors"
    return str(make_trained(path, sounds[:8], held_out=sounds[8:]))


def test_a_trained_encoder_hears_through_its_own_front_end(trained):
    for system in (nf.s5(trained), s5_small(trained)):
        fronts = [m.frontend for m in system.members if not isinstance(m.embedder, nf.Concatenated)]
        assert set(fronts) == {nf.CoherenceMask()}
    assert nf.s5(str(TINY)).members[0].frontend == nf.FarCancel()


def test_clips_that_it_was_trained_on_draw_no_threshold(trained, fans):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        detector = nf.fit(nf.s5(trained), fans)
    (section,) = detector.sections.values()
    assert section.judges.sum() == 4  # those that were held out
    # Twelve clips are too few to calibrate on fresh ones alone, and a person is told so.
    assert any("new to the encoder" in str(w.message) for w in told)
