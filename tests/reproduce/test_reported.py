"""The report's numbers as data: equal to the gold files, and consistent among themselves."""

import csv
import json
import re
from importlib.resources import files

import pytest

from nearfar.reproduce.reported import SYSTEMS, load
from nearfar.reproduce.steps.stereo import QUANTITIES

REPORT = load()
METRICS = ("AUC(s)", "AUC(t)", "pAUC")


def test_table_2_is_the_gold_file(shared):
    with (shared / "gold" / "report" / "table2.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 21
    for row in rows:
        ours = REPORT.table2.machines[row["machine"]][row["metric"]]
        assert ours == {system: float(row[system]) for system in SYSTEMS}
    assert {row["machine"] for row in rows} == set(REPORT.table2.machines)


def test_table_3_and_the_claims_are_in_the_gold_text(shared):
    text = (shared / "gold" / "report" / "table1_3.md").read_text()
    for step in REPORT.table3.steps:
        assert f"{step.omega:.2f}" in text
        assert step.gain is None or f"+{step.gain:.2f}" in text

    def after(word):
        return float(re.search(word + r"\D*?([+-]?[0-9]+(?:\.[0-9]+)?)(?= |,|;|$)", text)[1])

    for key, word in (
        ("cosface", "CosFace "), ("elasticface", "ElasticFace "), ("magface", "MagFace "),
        ("full_over_lora", "LoRA rank 16 "), ("dann", "DANN at most "), ("eat_alone", "EAT alone "),
        ("coherence_weight", "under full fine-tuning "), ("ensemble", "percentile ensemble "),
    ):  # fmt: skip
        assert REPORT.claim(key).value == after(word), key
    assert "DIF alone (weighted k=3) 62.18" in text
    assert REPORT.claim("dif_alone").value == 62.18


@pytest.mark.parametrize("claim", REPORT.claims, ids=lambda c: c.key)
def test_a_claim_without_a_number_says_so(claim):
    assert (claim.value is None) == (claim.relation == "no meaningful improvement")


def test_the_numbers_of_the_text_are_in_the_report_itself(shared):
    text = (shared / "report.txt").read_text().replace("−", "-")
    assert REPORT.title.casefold() in text.casefold()
    assert all(author in text for author in REPORT.authors)
    entries = [(c.value, c.digits) for c in REPORT.claims if c.value is not None]
    entries += [(f.value, f.digits) for f in REPORT.stereo if f.quantity != "at_floor"]
    told_apart = REPORT.claim("valve_pauc")  # its two numbers are, their difference is not
    entries.remove((told_apart.value, told_apart.digits))
    assert "S2 pAUC 66.00% vs. S4 53.37%" in text
    for value, digits in entries:
        assert f"{value:.{digits}f}" in text, value
    assert "36% of T-F bins at the floor" in text
    assert [f.value for f in REPORT.stereo if f.quantity == "at_floor"] == [0.36]


@pytest.mark.parametrize("system", SYSTEMS)
def test_omega_is_the_harmonic_mean_of_its_21_numbers(system):
    values = [row[m][system] for row in REPORT.table2.machines.values() for m in METRICS]
    assert len(values) == 21
    harmonic = len(values) / sum(1 / v for v in values)
    # Half a printed digit of Ω, and as much again for the 21 that it is computed from.
    assert harmonic == pytest.approx(REPORT.table2.omega[system], abs=0.01)


def test_table_3_adds_up():
    frozen, tuned, masked = REPORT.table3.steps
    assert tuned.omega - frozen.omega == pytest.approx(tuned.gain)
    assert masked.omega - tuned.omega == pytest.approx(masked.gain)
    assert tuned.gain + masked.gain == pytest.approx(REPORT.table3.total_gain)
    assert masked.omega == REPORT.table2.omega["S1"]
    assert REPORT.claim("mask").value == pytest.approx(masked.gain, abs=0.05)


def test_claims_that_repeat_table_2():
    cell, omega = REPORT.table2.machines, REPORT.table2.omega
    fan, bearing, gearbox = cell["fan"], cell["bearingEmu"]["pAUC"], cell["gearboxEmu"]["AUC(t)"]
    claimed = {c.key: c.value for c in REPORT.claims}
    differences = {
        "fan_auc_source": fan["AUC(s)"]["S4"] - fan["AUC(s)"]["S1"],
        "bearing_pauc": bearing["S4"] - bearing["S1"],
        "gearbox_auc_target": gearbox["S2"] - gearbox["S4"],
        "valve_pauc": cell["valveEmu"]["pAUC"]["S2"] - cell["valveEmu"]["pAUC"]["S4"],
    }
    for key, difference in differences.items():
        assert claimed[key] == pytest.approx(difference, abs=0.05), key
    assert claimed["ensemble"] == omega["S3"]
    assert claimed["ensemble"] - claimed["dif_alone"] == pytest.approx(claimed["ensemble_over_dif"])


def test_the_machines_and_their_clips():
    data = REPORT.data
    assert data.machines == (
        "ToyCar", "ToyCarEmu", "bearingEmu", "fan", "gearboxEmu", "sliderEmu", "valveEmu",
    )  # fmt: skip
    assert set(data.machines) == set(REPORT.table2.machines)
    assert data.train_source_clips + data.train_target_clips == 1000
    assert data.proxy_classes == 43
    assert all(tuple(row) == METRICS for row in REPORT.table2.machines.values())


def test_table_1_says_something_of_every_system():
    assert [row.step for row in REPORT.table1] == [
        "Preprocess", "Feature", "Training", "Augmentation", "Scoring", "Ensemble",
    ]  # fmt: skip
    assert all(tuple(row.systems) == SYSTEMS for row in REPORT.table1)


def test_stereo_figures_are_quantities_that_are_measured():
    units = {q.name: q.unit for q in QUANTITIES}
    for figure in REPORT.stereo:
        assert figure.unit == units[figure.quantity]
        assert (figure.machine is None) == (figure.kind != "mean")
        assert figure.machine is None or figure.machine in REPORT.data.machines


def test_every_entry_has_its_source():
    data = json.loads(files("nearfar.reproduce").joinpath("reported.json").read_text("utf-8"))
    entries = [data[key] for key in ("data", "table1", "table2", "table3")]
    entries += [*data["claims"], *data["stereo"]]
    assert all(re.search("§|Table|abstract", entry["source"]) for entry in entries)


def test_keys_are_unique_and_an_unknown_one_is_no_claim():
    keys = [claim.key for claim in REPORT.claims]
    assert len(keys) == len(set(keys))
    with pytest.raises(KeyError):
        REPORT.claim("sphereface")
