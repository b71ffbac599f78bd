"""What may be learnt, and what is learnt of it."""

import shutil
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest

import nearfar as nf
from conftest import TINY, first_quick, machine_sound, refused, write, write_machine
from nearfar.detector.learning.teaching import Care, assigned, check_teachable
from nearfar.errors import AudioError, DatasetError, NearfarWarning, SettingError, WeightsError
from nearfar.scoring.bank import MemoryBank
from new_clips import digests, new_clips
from test_old_detectors import OLD, RATE, sound

KEY = ("fan", "00")


@pytest.fixture(scope="module")
def detector(dcase):
    return nf.fit(nf.logmel(), nf.Clips.open(dcase, split="train"))


def one(tmp_path, name="x.wav", **said):
    path = write(tmp_path / name, machine_sound(np.random.default_rng(8)))
    return nf.Clip(path, **{"machine": "fan"} | said)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"label": "anomaly"}, ["labelled anomalous; learn on normal clips only"]),
        ({"split": "test"}, ["a test clip; learn on the train split only"]),
        ({"machine": "fen"}, ["unknown machine 'fen'; did you mean 'fan'?"]),
        ({"section": "01"}, ["fan has no section '01'"]),
        ({"label": "anomaly", "machine": "fen"}, ["labelled anomalous"]),
    ],
)
def test_clips_that_no_detector_learns(detector, tmp_path, said, words):
    refused(lambda: detector.learn([one(tmp_path, **said)]), "x.wav", *words, error=DatasetError)


@pytest.mark.parametrize("given", ["folder", [], None, 7, ["a.wav"], [None]])
def test_what_is_no_list_of_clips(detector, given):
    refused(lambda: detector.learn(given), "learn", error=DatasetError)


def test_domains(detector, tmp_path):
    clip = one(tmp_path)
    refused(lambda: detector.learn([clip], domain="attic"), "'attic'; it is source or target")
    said = replace(clip, domain="source")
    refused(lambda: detector.learn([said], domain="target"), "says source, not target")
    grown = detector.learn([clip], domain="target")
    assert grown.sections[KEY].members[0].domain[12] == 1
    (kept,) = assigned(detector.sections, [said], None, None, "source")
    assert kept.domain == "source"


def test_the_same_audio_twice_is_one_and_of_two_machines_none(detector, tmp_path):
    first = one(tmp_path)
    again = replace(first, path=shutil.copy(first.path, tmp_path / "y.wav"))
    with pytest.warns(NearfarWarning, match=r"the same audio as .*x.wav; they count as one"):
        grown = detector.learn([first, again])
    assert len(grown.sections[KEY].clips) == 13
    refused(
        lambda: detector.learn([first, replace(again, machine="pump")]),
        "the same audio as", "for pump and fan",
    )  # fmt: skip
    refused(lambda: grown.learn([replace(again, machine="pump")]), "x.wav of fan, which is known")


def test_one_channel_is_the_sound_to_who_hears_no_other(dcase, tmp_path):
    """Also where the fit heard two, for another system beside it."""
    from nearfar.detector.fitting import fit_many

    fan = [c for c in nf.Clips.open(dcase, split="train") if c.machine == "fan"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)
        first, _ = fit_many([nf.logmel(), nf.s4()], fan)
    refused(lambda: first.learn(fan[:1]), "is known already")


def test_what_is_known_is_left_out_where_that_is_said(detector, dcase, tmp_path):
    known = nf.Clips.open(dcase / "fan" / "train")[0]
    refused(lambda: detector.learn([known, one(tmp_path)]), "is known already", "skip_bad=True")
    with pytest.warns(NearfarWarning, match="left out: .* is known already"):
        grown = detector.learn([known, one(tmp_path)], skip_bad=True)
    assert len(grown.sections[KEY].clips) == 13
    with pytest.warns(NearfarWarning):
        refused(lambda: detector.learn([known], skip_bad=True), "nothing left to learn")


def test_clips_that_cannot_be_used_stop_it(detector, tmp_path):
    silent = nf.Clip(write(tmp_path / "s.wav", np.zeros((2, 24_000))), machine="fan")
    refused(lambda: detector.learn([silent, one(tmp_path)]), "s.wav", error=AudioError)
    with pytest.warns(NearfarWarning, match="left out"):
        assert len(detector.learn([silent, one(tmp_path)], skip_bad=True).lessons[0].clips) == 1


def test_a_clip_of_the_fit_comes_back_in_its_own_domain(detector, dcase, tmp_path):
    """It came back as it was, whatever --domain said, and no word of it."""
    source = next((dcase / "fan" / "train").glob("*source*"))
    without = detector.forget([source])
    clip = nf.Clip(shutil.copy(source, tmp_path / "x.wav"), machine="fan")
    refused(
        lambda: without.learn([clip], domain="target"),
        "x.wav: the fit has it as source, and only a fit makes it target",
    )
    back = without.learn([clip])
    assert back.sections[KEY].clips == detector.sections[KEY].clips


def test_care_is_of_one_mind():
    with pytest.raises(SettingError):
        Care(accept_suspects=True, exclude_suspects=True)


def test_several_machines_are_learnt_at_once_each_with_a_line_in_the_log(detector, tmp_path):
    clips = [*new_clips(tmp_path / "a", 3), *new_clips(tmp_path / "b", 4, machine="pump")]
    grown = detector.learn(clips)
    assert [(x.machine, x.known) for x in grown.lessons] == [("fan", (12, 17)), ("pump", (12, 17))]
    assert len({x.state for x in grown.lessons}) == 1
    assert grown.lessons[0].names == tuple(sorted(c.name for c in clips[:5]))


# ---- encoders, own parts, older detectors ----------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("copied", [False, True])
def test_an_encoder_whose_weights_are_elsewhere(dcase, tmp_path, monkeypatch, copied):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TINY, "W")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)
        fan = [c for c in nf.Clips.open(dcase, split="train") if c.machine == "fan"]
        nf.fit(nf.s3("W"), fan).save("det", weights="copy" if copied else "keep")
    before, new = digests_of(tmp_path / "det"), new_clips(tmp_path / "new")
    nf.load("det").learn(new).save("det")
    nf.load("det").forget(["new"]).save("det")
    assert digests_of(tmp_path / "det") == before
    shutil.move("W", "elsewhere")
    if not copied:
        refused(lambda: nf.load("det").learn(new), "with weights=…", error=WeightsError)
    # What is forgotten need not be heard.
    assert nf.load("det").forget([fan[0].name]).lessons
    weights = () if copied else ["elsewhere"]
    assert len(nf.load("det", weights=weights).learn(new).sections[KEY].clips) == 12 + 5


def digests_of(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "learnt.jsonl"
    }


@dataclass(frozen=True)
class Twice:
    """Every row once more: an enrichment of somebody's own."""

    def pool_size(self, lr_corr, n_source, n_target):
        return 0

    def __call__(self, real, lr_corr, pool):
        return MemoryBank(real.embeddings + 1, real.origin, real.domain)


@pytest.mark.filterwarnings("ignore:fan. the domains lie")
def test_a_part_of_ones_own_makes_no_rows_of_what_is_learnt_and_that_is_said(dcase, tmp_path):
    fan = [c for c in nf.Clips.open(dcase, split="train") if c.machine == "fan"]
    detector = nf.fit(replace(nf.logmel(), enrichment=(Twice(),)), fan)
    grown = detector.learn([one(tmp_path)])
    assert len(grown.sections[KEY].members[0].embeddings) == 24 + 1
    assert "Twice makes no rows of clips that are learnt" in grown.drift("fan").reasons


@pytest.mark.parametrize("name", first_quick(["s3-dif", "logmel", "adapted-shift"]))
@pytest.mark.filterwarnings("ignore:fitted with dif-1")
def test_a_detector_of_an_older_nearfar_learns_and_says_what_it_lacks(name, tmp_path):
    nf.load(OLD / name).save(tmp_path / "det")
    before = digests(tmp_path / "det")
    detector = nf.load(tmp_path / "det")
    paths = [tmp_path / f"{i}.wav" for i in range(3)]
    for i, path in enumerate(paths):
        write(path, sound(300 + i) / 32768, RATE)
    clips = [nf.Clip(path, machine="fan") for path in paths]
    with pytest.warns(NearfarWarning, match="fitted by an older nearfar"):
        grown = detector.learn(clips)
    grown.save(tmp_path / "det")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)
        nf.load(tmp_path / "det").forget([c.name for c in clips]).save(tmp_path / "det")
    assert digests(tmp_path / "det") == before


def test_one_with_recordings_that_nobody_knows_is_to_be_fitted_again(detector):
    section = detector.sections[KEY]
    member = replace(section.members[0], workings=None, facts={"sessions": 3.0})
    older = replace(section, members=(member,), traces=None)
    refused(lambda: check_teachable("fan", older), "fan: an older nearfar", "fit again")


@pytest.mark.slow
def test_a_trained_encoder_says_which_of_them_it_has_not_heard(tmp_path):
    from test_old_detectors import trained

    weights = str(trained(tmp_path / "e.safetensors", 0))
    detector = nf.load(OLD / "s1", weights=[weights])
    path = write(tmp_path / "n.wav", sound(300) / 32768, RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)
        grown = detector.learn([nf.Clip(path, machine="fan")], accept_suspects=True)
    was, now = detector.sections[KEY], grown.sections[KEY]
    assert now.fresh == (*was.fresh, True)
    assert grown.threshold("fan").clips == detector.threshold("fan").clips + 1


def test_suspects_are_not_looked_for_among_few(tmp_path):
    write_machine(tmp_path, "fan", 1, source=4, target=0, test=0)
    detector = nf.fit(nf.logmel(), nf.Clips.open(tmp_path, split="train"))
    odd = nf.Clip(
        write(tmp_path / "o.wav", machine_sound(np.random.default_rng(1), anomaly=True)),
        machine="fan",
    )
    assert len(detector.learn([odd]).sections[KEY].clips) == 5
