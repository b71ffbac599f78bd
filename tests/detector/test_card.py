"""The model card says what the detector is: held to the detector itself, not to a text."""

from dataclasses import replace
from unittest.mock import ANY

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.folder.card import SHOWN, described
from nearfar.detector.folder.formats import license_in
from nearfar.detector.folder.index import Content, heading
from nearfar.detector.folder.readme import CARD
from nearfar.detector.member import Member
from nearfar.detector.origin import Origin
from nearfar.detector.section import Judge, Section, TrainingClip
from nearfar.detector.trained import MACHINE_HEARD
from nearfar.errors import FormatError
from nearfar.system.presets import s3_eat
from new_clips import new_clips


@pytest.fixture(scope="module")
def fitted(detector_folder):
    return nf.load(detector_folder)


def card_of(detector):
    content = Content(
        detector.system, detector.sections, detector.order, detector.false_alarm_rate,
        detector.origins, detector.threshold_by_domain, detector.data_license,
    )  # fmt: skip
    return described(content, lambda key: detector._judge(key))


def rows(card, title):
    """The cells of the tables below a heading."""
    part = card.split(f"## {title}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in part.splitlines() if line.startswith("| ") and not line.startswith("| ---")
    ]  # fmt: skip


def test_machines_clips_and_domains(fitted):
    table = rows(card_of(fitted), "Machines and clips")
    for cells, ((machine, name), section) in zip(table[1:], fitted.sections.items(), strict=True):
        facts = section.members[0].facts
        assert cells[:3] == [machine, name, str(len(section.clips))]
        assert [float(c) for c in cells[3:5]] == [facts["source"], facts["target"]]


@pytest.mark.parametrize("by_domain", [False, True])
def test_thresholds_and_what_they_promise(fitted, by_domain):
    detector = fitted.with_threshold_by_domain(by_domain)
    found = rows(card_of(detector), "Thresholds and false alarms")
    for machine, name in detector.sections:
        rates = detector.alarm_rates(machine, name)
        for domain in (None, *rates):
            drawn = detector.threshold(machine, name, domain)
            cells = next(
                (r for r in found if r[:3] == [machine, name, domain or "all"] and len(r) == 7),
                None,
            )  # fmt: skip
            assert (cells is not None) is (domain is None or by_domain)
            if cells:
                assert float(cells[3]) == pytest.approx(drawn.value, rel=1e-3)
                assert cells[4] == str(drawn.clips)
                assert float(cells[5].split()[0]) == pytest.approx(100 * drawn.expected, rel=1e-2)
        for domain, rate in rates.items():
            assert [machine, name, domain, f"{rate.above} of {rate.clips}"] in [
                r[:4] for r in found
            ]


def test_the_recipe_is_there_in_words_and_as_python(fitted):
    card = card_of(fitted)
    assert repr(fitted.system) in card
    for part in (fitted.system.frontend, fitted.system.embedder, fitted.system.rule):
        assert f" {type(part).__name__} |" in card


def test_licence_order_and_length_of_the_recordings(fitted):
    assert "not stated" in card_of(fitted)
    told = card_of(replace(fitted, data_license="CC BY-NC-SA 4.0", order=(3, 7)))
    assert "| CC BY-NC-SA 4.0 |" in told
    assert "not stated" not in told
    assert "near is channel 3, far is channel 7" in told


def test_a_licence_is_kept_by_whatever_is_saved_again(fitted, tmp_path):
    replace(fitted, data_license="CC0").save(tmp_path / "det")
    again = nf.load(tmp_path / "det").with_false_alarm_rate(0.2)
    assert again.data_license == heading(tmp_path / "det").data_license == "CC0"
    again.save(tmp_path / "det")
    assert "| CC0 |" in (tmp_path / "det" / CARD).read_text()
    with pytest.raises(FormatError, match="data_license 5; it is a text"):
        license_in({"data_license": 5})


def test_what_was_learnt_is_told_until_it_is_forgotten(fitted, tmp_path):
    before = card_of(fitted)
    assert "Learnt" not in before
    grown = fitted.learn(new_clips(tmp_path)).forget([fitted.sections["fan", "00"].clips[0].name])
    card = card_of(grown)
    assert rows(card, "Learnt since the fit")[1] == ["fan", "00", "12", "5", "1", ANY]
    assert "nearfar learn FOLDER --log" in card
    assert "as fitted; what is known spreads" in card
    again = grown.forget([clip.name for clip in grown.sections["fan", "00"].clips[-5:]])
    assert rows(card_of(again), "Learnt since the fit")[1][3:] == ["0", "1", "–"]


def made(names):
    """A detector by hand, of machines of any name."""
    scores = np.array([0.1, 0.2, 0.3])
    member = Member(
        np.eye(3, 128, dtype=np.float32), np.arange(3), np.zeros(3, np.int8), None,
        self_scores=scores,
    )  # fmt: skip
    section = Section((member,), tuple(TrainingClip(f"{n}.wav", "") for n in "abc"), None, 10.0)
    return Content(nf.logmel(), {(n, "00"): section for n in names}, "near-far", 0.5)


def judge_of(content):
    section = next(iter(content.sections.values()))
    judge = Judge(content.system, (content.system.chain,), section, 0.5)
    return lambda key: judge


def test_names_are_no_markup():
    content = made(["<script>alert(1)</script>", "a|b", "[x](http://y)", "c\nd", "\x1b[31m"])
    text = described(content, judge_of(content))
    assert "<script>" not in text.replace("\\<", "")
    assert "a\\|b" in text
    assert "](http" not in text.replace("\\]", "")
    assert "\x1b" not in text
    assert "c\\\\nd" in text  # a line break is spelled out


def test_of_many_machines_the_first_are_shown_and_the_rest_counted():
    content = made([f"m{n}" for n in range(SHOWN + 3)])
    text = described(content, judge_of(content))
    assert "And 3 sections more" in text
    assert f"| m{SHOWN} |" not in text


def test_weights_have_their_hash_and_licence_and_no_place_of_this_disk():
    digest = "0123456789abcdef" * 4
    was = Origin(f"eat-3|{digest}|layer=None", 1024, "/home/ann/eat")
    content = replace(made(["fan"]), origins=(was, was))
    text = described(content, judge_of(content))
    assert rows(text, "Embedders")[1:] == [["eat", digest[:32], "MIT as published"]]
    assert "/home" not in text
    for place in ("/home/ann/eat", "/home/ann's/eat", "/home/a'\"b/eat"):
        there = replace(content, system=s3_eat(place))
        assert "/home" not in described(there, judge_of(content))


def test_weights_within_a_longer_embedder_are_found_and_of_others_nothing_is_claimed():
    a, b = "ab" * 32, "cd" * 32
    both = Origin(f"concatenated-1 eat-3|{a}|x, yamnet-1|{b}|y, pooled-1 Bands()", 9, "/x")
    content = replace(made(["fan"]), origins=(both, Origin("mine-1", 3), Origin("big-1", 3, "/y")))
    assert rows(described(content, judge_of(content)), "Embedders")[1:] == [
        ["eat", a[:32], "MIT as published"], ["yamnet", b[:32], "Apache-2.0 as published"],
        ["mine-1", "no weights", "–"], ["big-1", "not known", "–"],
    ]  # fmt: skip


def test_what_a_trained_encoder_has_heard_is_told():
    content = made(["fan", "pump"])
    sections = {}
    for (machine, name), section in content.sections.items():
        member = replace(section.members[0], facts={MACHINE_HEARD: float(machine == "fan")})
        sections[machine, name] = replace(section, members=(member,))
    text = described(replace(content, sections=sections), judge_of(content))
    assert "An encoder was trained on: fan." in text
    assert "An encoder was not trained on: pump." in text
    assert "An encoder was" not in described(content, judge_of(content))
