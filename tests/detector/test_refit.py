"""A fit onto a detector: what was told once stays told, and another machine is noticed."""

import json
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.detector.refit import strangers


def fill(root, seed=1, count=12, **change):
    rng = np.random.default_rng(seed)
    for i in range(count):
        write(root / f"c{i:02d}.wav", machine_sound(rng, **change))
    return root


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    """Twelve clips of one machine. Read only."""
    return fill(tmp_path_factory.mktemp("month") / "pump7")


@pytest.fixture
def fit(run, month, tmp_path):
    def call(*more, data=month):
        given = ("fit", data, "--machine", "pump7", "-s", "logmel", "--workers", 1, "--no-cache")
        code, out, err = run(*given, "-o", tmp_path / "d", *more)
        assert code == 0, err
        return out, err

    return call


def index(folder):
    return json.loads((folder / "detector.json").read_text(encoding="utf-8"))


def test_a_refit_keeps_what_was_told(fit, run, tmp_path):
    out, _ = fit("--channel-order", "far-near")
    assert "kept from" not in out
    assert run("threshold", tmp_path / "d", "--false-alarm-rate", 0.25)[0] == 0
    for _ in range(2):  # next month too
        out, _ = fit()
        assert "kept from the detector there: false-alarm rate 0.25, channel order far-near" in out
        assert index(tmp_path / "d")["false_alarm_rate"] == 0.25
        assert index(tmp_path / "d")["channel_order"] == "far-near"


def test_what_is_said_now_wins(fit, tmp_path):
    fit("--channel-order", "far-near", "--false-alarm-rate", 0.25, "--threshold-by-domain")
    out, _ = fit("--channel-order", "near-far", "--false-alarm-rate", 0.1, "--threshold-pooled")
    assert "kept from" not in out
    now = index(tmp_path / "d")
    assert (now["channel_order"], now["false_alarm_rate"]) == ("near-far", 0.1)
    assert "threshold_by_domain" not in now
    fit("--false-alarm-rate", 0.25)
    out, _ = fit("--set", "false_alarm_rate=0.1")
    assert "kept from" not in out


def test_thresholds_by_domain_and_two_channels_stay(fit, tmp_path):
    fit("--near", 2, "--far", 1, "--threshold-by-domain")
    out, _ = fit()
    assert "near channel 2, far channel 1, thresholds by domain" in out
    assert index(tmp_path / "d")["channel_order"] == [2, 1]
    assert index(tmp_path / "d")["threshold_by_domain"] is True


def test_a_detector_of_other_machines_is_asked_nothing(fit, run, month, tmp_path):
    fit("--channel-order", "far-near")
    given = ("fit", month, "--machine", "fan", "-s", "logmel", "--workers", 1, "--no-cache")
    code, out, _ = run(*given, "-o", tmp_path / "d", "--replace")
    assert (code, "kept from" in out) == (0, False)
    assert index(tmp_path / "d")["channel_order"] == "near-far"


def test_another_machine_under_the_same_name_is_noticed(fit, tmp_path):
    fit()
    # A machine that whistles all the time.
    _, err = fit(data=fill(tmp_path / "other", seed=2, anomaly=True))
    assert "pump7: 12 of 12 of its clips are anomalous to the detector that was there" in err
    assert f"kept as {tmp_path / 'd'}.previous" in err


def test_the_same_machine_in_another_month_is_not(fit, tmp_path):
    fit()
    _, err = fit(data=fill(tmp_path / "later", seed=3))
    assert "is it the same machine" not in err


@pytest.mark.filterwarnings("ignore::nearfar.errors.NearfarWarning")
def test_it_judges_as_the_old_detector_would(month, tmp_path):
    nf.fit(nf.s4(), nf.Clips.open(month)).save(tmp_path / "d")
    clips = nf.Clips.open(fill(tmp_path / "pump7", seed=2, anomaly=True))
    found = strangers(tmp_path / "d", nf.fit(nf.s4(), clips))
    alarms = [v.anomalous for v in nf.load(tmp_path / "d").score(clips)]
    assert found == {"pump7": (sum(alarms), 12)}
    # One whose features were rounded otherwise has such rows, one of another system has none.
    earlier = nf.load(tmp_path / "d")
    earlier = replace(earlier, origins=(replace(earlier.origins[0], fingerprint="dif-1"),))
    earlier.save(tmp_path / "earlier")
    assert strangers(tmp_path / "earlier", nf.fit(nf.s4(), clips)) == found
    assert strangers(tmp_path / "d", nf.fit(nf.logmel(), clips)) == {}


def test_a_kept_rate_is_the_one_that_is_warned_of(fit, tmp_path):
    """Of forty three may be above at one in ten, none at one in a hundred: an odd one draws it."""
    data = fill(tmp_path / "pump7", count=39)
    write(data / "odd.wav", machine_sound(np.random.default_rng(9), anomaly=True))
    _, err = fit(data=data)
    assert "by self-score" in err
    assert "its threshold" not in err
    _, err = fit("--false-alarm-rate", 0.01, data=data)
    assert "its threshold" in err
    out, err = fit(data=data)
    assert "kept from the detector there: false-alarm rate 0.01" in out
    assert "its threshold" in err
