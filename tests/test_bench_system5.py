"""The page of System 5: what it compares is what it says, and its verdicts follow the numbers."""

import numpy as np
import pytest
from bench import system5

import nearfar as nf
from nearfar.system.presets import s4, s5_dif, s5_small
from yamnet_folder import make_folder


def seed(number, right=()):
    """Two machines; systems called in `right` know the labels, the others nothing."""
    rng = np.random.default_rng(number)
    clips = np.array([
        (machine, f"{machine}_{domain}_{label}_{i}", domain, label)
        for machine in ("fan", "pump") for domain in ("source", "target")
        for label in ("normal", "anomaly") for i in range(25)
    ])  # fmt: skip
    names = ("systems: s4", "systems: s5-dif", "systems: s5-small")
    scores = [
        rng.standard_normal(len(clips)) + 9.0 * (clips[:, 3] == "anomaly") * (name in right)
        for name in names
    ]
    return system5.Seed(number, names, np.array(scores), clips)


def test_a_gain_is_the_mean_over_seeds_of_paired_differences():
    seeds = [seed(n, ("systems: s5-dif",)) for n in (1, 2)]
    found = system5.measured(seeds, "systems")
    mean, low, high = system5.gain(found, "systems: s5-dif", "systems: s4")
    base = [100 * nf.evaluate(s.table("systems: s4"), s.truth, draws=0).score for s in seeds]
    assert mean == pytest.approx(100 - np.mean(base))
    assert low < mean < high
    assert system5.gain(found, "systems: s4", "systems: s4") == (0, 0, 0)


def test_what_was_hoped_for_came_or_did_not():
    came = system5.claims(system5.measured([seed(1, ("systems: s5-dif",))], "systems"))
    assert came.splitlines()[0].endswith("**It came**, and the interval lies above it.")
    assert "**It did not come**" in came.splitlines()[1]  # of s5-small, which knows nothing
    worse = system5.claims(system5.measured([seed(1, ("systems: s4",))], "systems"))
    assert worse.count("**It did not come**") == 3
    assert "outside of that interval" in worse


def test_a_group_that_no_seed_has_is_not_run_yet():
    assert system5.table([seed(1)], "bands: x") == system5.NOT_YET
    assert system5.NOT_YET in system5.page(None)


def test_systems_are_the_presets_and_rows_those_of_their_chains(tmp_path):
    """Every row that is put into the cache is the one that the system's own chain makes."""
    ear = str(make_folder(tmp_path / "ear"))
    groups = system5.systems(ear)
    assert groups["systems"]["s4"] == s4()
    assert groups["systems"]["s5-dif"] == groups["features"]["DIF + ENV + LTAS"] == s5_dif()
    assert groups["systems"]["s5-small"] == s5_small(ear)
    audio = hiss(2.0)
    rows = dict(system5.rows_of(audio, ear))
    for chain in {m.chain for g in groups.values() for s in g.values() for m in s.members}:
        heard = chain.hear(audio[: chain.frontend.needs])
        assert chain.rows([heard], nf.Runtime())[0].tobytes() == rows[chain].tobytes()


def hiss(seconds):
    return (0.1 * np.random.default_rng(0).standard_normal((2, round(16_000 * seconds)))).astype(
        "f4"
    )
