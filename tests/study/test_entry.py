"""What a meta file is told of a detector: facts of its system, never a guess."""

import json
from math import prod
from pathlib import Path

import pytest

import nearfar as nf
from conftest import TINY, refused
from nearfar.detector.detector import Detector
from nearfar.embedder.encoders import encoder_of
from nearfar.embedder.tensorfile import header
from nearfar.errors import WeightsError
from nearfar.scores.submission.form import FORM, lapses_of
from nearfar.study.entry import known_of
from nearfar.system.presets import s3, s5_dif
from nearfar.system.system import System


def known(system, **fields):
    return known_of(Detector(system, {("fan", "00"): None, ("pump", "00"): None}, **fields))


@pytest.mark.parametrize("system", [nf.s4(), nf.logmel(), s5_dif(), s3(str(TINY))], ids=range(4))
def test_every_key_of_the_form_that_is_ours_is_told_and_takes_its_value(system):
    found = known(system)
    assert not list(lapses_of(found, FORM))
    ours = {k for k, blank in FORM["system"]["description"].items() if blank.filled}
    assert set(found["system"]["description"]) == ours
    assert found["system"]["description"]["input_sampling_rate"] == "16kHz"
    assert found["system"]["description"]["development_data_usage"].endswith("of fan, pump")
    json.dumps(found)


def test_a_system_without_weights_has_no_parameters():
    found = known(nf.s4())["system"]
    assert found["complexity"]["total_parameters"] == 0
    described = found["description"]
    assert described["external_data_usage"] is described["embeddings"] is None
    assert described["ensemble_method_subsystem_count"] is None
    assert "k = 1, euclidean" in described["machine_learning_method"]


def test_parameters_are_the_numbers_in_the_weights_each_file_once():
    tensors = header(TINY / "model.safetensors").tensors.values()
    count = sum(prod(tensor.shape) for tensor in tensors)
    found = known(s3(str(TINY)))["system"]
    assert found["complexity"]["total_parameters"] == count > 0
    described = found["description"]
    assert described["ensemble_method_subsystem_count"] == 2
    assert described["embeddings"] == "EAT"
    assert described["external_data_usage"] == "pre-trained model"
    assert "0.60, 0.40" in described["aggregation_method"]
    one = System(nf.Near(), encoder_of(str(TINY)))
    twice = nf.Ensemble((one, System(nf.Far(), encoder_of(str(TINY)))))
    assert known(twice)["system"]["complexity"]["total_parameters"] == count


def test_decisions_follow_the_detector():
    said = known(nf.s4(), false_alarm_rate=0.05, threshold_by_domain=True)
    text = said["system"]["description"]["decision_making"]
    assert text.startswith("95 %")
    assert text.endswith("machine and domain")


def test_weights_that_are_gone_are_told(tmp_path):
    refused(lambda: known(s3(str(tmp_path / "gone"))), "gone", error=WeightsError)
    assert not Path("gone").exists()
