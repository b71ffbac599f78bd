"""What `fit` and `threshold` say of false alarms, and the option for thresholds by domain."""

import re
import shutil

import numpy as np
import pytest

import nearfar as nf
from conftest import TESTS
from nearfar.cli import show
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip

FACTS = {"source": 1.0, "target": 1.0, "rows": 1.0, "lr_corr": 0.5, "shift": 1.0, "spread": 2.0}
SYSTEM = nf.System(nf.Near(), nf.LogMel(n_mels=3))


def section(source, target):
    scores = np.array([*source, *target], float)
    n = len(scores)
    domain = np.array([0] * len(source) + [1] * len(target), np.int8)
    member = Member(np.zeros((n, 3), np.float32), np.arange(n), domain, None, scores, FACTS)
    return Section((member,), tuple(TrainingClip(f"{i}.wav", "") for i in range(n)), None, 10.0)


@pytest.fixture
def mixed():
    """One machine whose targets score higher, one whose do not, one without any."""
    sections = {
        "fan": section(range(99), range(500, 510)),
        "pump": section(range(99), np.arange(0.5, 99, 9.9)),
        "saw": section(range(99), ()),
    }
    return nf.Detector(SYSTEM, {(m, "00"): s for m, s in sections.items()})


def rows(text, machine):
    return [line.split() for line in text.splitlines() if line.startswith(f"{machine} ")]


def test_what_one_threshold_means_is_counted_for_each_domain(mixed, capsys):
    show.thresholds(mixed, None)
    out = capsys.readouterr().out
    for machine in ("fan", "pump"):
        _, shown = rows(out, machine)
        rates = mixed.alarm_rates(machine)
        counts = [int(w) for w in " ".join(shown[2:]).replace("%", "").split() if w.isdigit()]
        assert counts == [rates["source"].above, 99, rates["target"].above, 10]
        assert f"{100 * rates['target'].expected:.1f}" in shown
        assert f"{100 * rates['source'].confident:.1f}" in shown
    assert len(rows(out, "saw")) == 1  # of one domain: its threshold alone
    # Only where it is far beyond what was asked, and by name.
    assert re.findall(r"far more .* in (\w+) clips of (.*); --thr", out) == [("target", "fan")]


def test_the_page_shows_what_is_printed(capsys):
    # Of 1,000 clips 99 may be above: six targets, and so 93 sources.
    fan = section(range(990), [0.5, 1.5, 2.5, 3.5, *range(5000, 5006)])
    show.thresholds(nf.Detector(SYSTEM, {("fan", "00"): fan}, false_alarm_rate=0.1), None)
    page = (TESTS.parent / "docs" / "outputs.md").read_text(encoding="utf-8")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    [row] = [n for n, line in enumerate(lines) if " of 990 " in line]
    assert f"    {lines[row - 1]}\n    {lines[row]}\n" in page


def test_a_detector_of_one_domain_is_told_as_ever(mixed, capsys):
    alone = nf.Detector(SYSTEM, {k: s for k, s in mixed.sections.items() if k[0] == "saw"})
    show.thresholds(alone, None)
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("threshold: 10 % asked for: at most about ")
    assert len(out.splitlines()) == 3


def test_by_domain_each_threshold_is_told_with_its_clips_and_too_few_by_name(mixed, capsys):
    with pytest.warns(nf.NearfarWarning, match="^saw: "):
        apart = mixed.with_threshold_by_domain().with_false_alarm_rate(0.05)
    show.thresholds(apart, None)
    out = capsys.readouterr().out
    [shown] = rows(out, "fan")
    drawn = [apart.threshold("fan", domain=d) for d in (None, "source", "target")]
    assert shown[2:] == [w for t in drawn for w in (f"{t.value:.4f}", str(t.clips))]
    assert rows(out, "saw")[0][-4:] == ["–"] * 4
    lines = [line for line in out.splitlines() if line.startswith("fan, pump, each: ")]
    assert "of normal source clips" in lines[0]
    assert (
        "5 % needs at least 19 normal target clips, there are 10: at most about 9.1 %" in lines[1]
    )
    assert "far more" not in out


def test_fit_prints_it_and_a_detector_keeps_it(run, dcase, tmp_path):
    folder = tmp_path / "d"
    code, told, _ = run("fit", dcase / "fan", "-o", folder, "-s", "logmel", "--workers", 1)
    assert (code, "source above" in told) == (0, True)
    option = "--threshold-by-domain"
    code, told, _ = run("fit", dcase / "fan", "-o", folder, "-s", "logmel", "--workers", 1, option)
    assert (code, "source above" in told) == (0, False)
    assert "needs at least 9 normal target clips, there are 3" in told
    assert nf.load(folder).threshold_by_domain
    # Another rate does not forget it, and to look changes nothing.
    assert run("threshold", folder, "--false-alarm-rate", 0.3)[0] == 0
    assert run("threshold", folder)[0] == 0
    kept = nf.load(folder)
    assert (kept.threshold_by_domain, kept.false_alarm_rate) == (True, 0.3)
    assert run("threshold", folder, "--threshold-pooled")[0] == 0
    kept = nf.load(folder)
    assert (kept.threshold_by_domain, kept.false_alarm_rate) == (False, 0.3)


def test_score_takes_it_for_one_run(run, detector_folder, dcase, tmp_path):
    folder = tmp_path / "s4"
    shutil.copytree(detector_folder, folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    clips = nf.Clips.open(dcase / "pump" / "test")
    for option, by_domain in (("--threshold-by-domain", True), ("--threshold-pooled", False)):
        path = tmp_path / f"{by_domain}.csv"
        code, *_ = run("score", folder, dcase / "pump" / "test", "--csv", path, option)
        assert code == 0
        wanted = nf.load(folder).with_threshold_by_domain(by_domain).score(clips)
        assert path.read_text() == wanted.to_csv()
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


def test_without_clips_of_both_domains_no_columns_of_dashes_stay(mixed, capsys):
    alone = nf.Detector(SYSTEM, {k: s for k, s in mixed.sections.items() if k[0] == "saw"})
    with pytest.warns(nf.NearfarWarning, match="^saw: still one threshold"):
        apart = alone.with_threshold_by_domain()
    show.thresholds(apart, None)
    out = capsys.readouterr().out
    assert "–" not in out
    assert out.splitlines()[0].split() == ["machine", "section", "threshold", "clips"]
