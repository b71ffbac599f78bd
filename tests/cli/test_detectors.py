"""What commands do to a detector before clips are opened."""

import pytest

import nearfar as nf
from conftest import refused
from nearfar.cli.detectors import open_detector, with_domains, with_license
from nearfar.errors import DatasetError, SettingError


@pytest.fixture(scope="module")
def plain(detector_folder):
    return nf.load(detector_folder)


def test_what_is_not_said_stays(plain, detector_folder):
    found = open_detector(detector_folder, None, None, None, None)
    assert found.false_alarm_rate == plain.false_alarm_rate
    assert found.threshold_by_domain == plain.threshold_by_domain
    assert with_domains(found, None, None, ()) is found


def test_a_rate_draws_the_thresholds_anew(plain, detector_folder):
    found = open_detector(detector_folder, None, None, 0.5, plain.machines[0])
    wanted = plain.with_false_alarm_rate(0.5)
    assert found.threshold(plain.machines[0]) == wanted.threshold(plain.machines[0])
    refused(lambda: open_detector(detector_folder, None, None, 1.5, None), "1.5",
            error=SettingError)  # fmt: skip


def test_an_unknown_machine_is_named_with_those_there_are(plain, detector_folder):
    refused(lambda: open_detector(detector_folder, None, None, None, "no such"),
            "no such", plain.machines[0], error=DatasetError)  # fmt: skip


def test_thresholds_by_domain_are_those_asked_for(plain):
    assert with_domains(plain, True, plain.machines[0], ()).threshold_by_domain
    assert not with_domains(plain, False, None, plain.machines).threshold_by_domain


def test_a_licence_that_is_said_is_the_detectors(plain):
    assert with_license(plain, "") is plain
    assert with_license(plain, "CC0").data_license == "CC0"
