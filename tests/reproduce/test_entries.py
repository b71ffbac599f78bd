"""What the report compares: each encoder differs in one thing, each pair in what it is about."""

from dataclasses import fields, is_dataclass, replace

import pytest

from nearfar.embedder.dif import CANDIDATES
from nearfar.embedder.eat import EAT
from nearfar.errors import SettingError
from nearfar.frontend import CoherenceMask, Near
from nearfar.reproduce.entries import (
    ENTRIES,
    PAIRS,
    TABLES,
    UNTRAINED,
    encoders,
    entries_of,
    tables_of,
    with_precision,
)
from nearfar.scoring.calibrate import Raw
from nearfar.scoring.whiten import ZCA
from nearfar.system.presets import s1, s2, s3, s3_eat, s4
from nearfar.training import FineTuning
from nearfar.training.settings import unusual


def eats(part):
    """Every encoder inside a system."""
    if isinstance(part, EAT):
        return [part]
    inside = part if isinstance(part, tuple) else ()
    if is_dataclass(part):
        inside = [getattr(part, f.name) for f in fields(part)]
    return [eat for item in inside for eat in eats(item)]


def test_each_encoder_changes_one_thing_of_system_1s():
    base = FineTuning(epochs=3, batch_size=8)
    found = encoders(base)
    mask = found["mask"]
    assert (mask.frontend, mask.settings) == (CoherenceMask(), base)
    for name, other in found.items():
        changed = {
            key for key, value in other.settings.to_data().items() if value != base.to_data()[key]
        }
        assert len(changed) + (other.frontend != mask.frontend) == (name != "mask"), name
    assert found["near"].frontend == Near()
    assert found["mask-w0"].frontend == CoherenceMask(coherence_weight=0.0)


@pytest.mark.parametrize(
    "change", [{"loss": "cosface"}, {"lora": 4}, {"adaptation": "dann"}, {"seed": 1}]
)
def test_what_they_differ_in_cannot_be_set_for_all(change):
    (name,) = unusual(FineTuning(**change).to_data())
    with pytest.raises(SettingError, match=rf"training\.{name} is what the compared encoders"):
        encoders(FineTuning(**change), [])


def test_every_entry_is_in_a_pair_and_every_pair_is_of_entries():
    named = {n for pairs in PAIRS.values() for pair in pairs for n in (pair.first, pair.second)}
    assert named == set(ENTRIES)
    for name, entry in ENTRIES.items():
        assert entry.name == name
        assert entry.encoder in (*UNTRAINED, *encoders(FineTuning()))


def test_entries_come_once_in_their_order():
    names = [entry.name for entry in entries_of(TABLES)]
    assert names == list(ENTRIES)
    assert entries_of(["1"]) == []
    assert [e.name for e in entries_of(["3"])] == ["s1", "frozen", "near"]


def test_readings_of_system_3_change_whitening_or_self_scores_and_nothing_else():
    """Each in both paths, and no two are one; what they read is the report's other number."""
    plain = {"s3": s3("w"), "s3-eat": s3_eat("w")}
    found = {n: e for n, e in ENTRIES.items() if e.reads in plain}
    assert {"s3-loo", "s3-lw", "s3-strong-loo", "s3-eat-raw", "s3-eat-lw-raw"} <= set(found)
    assert len({repr(entry.make("w")) for entry in found.values()}) == len(found) == 13
    for entry in found.values():
        read, ours = entry.make("w"), plain[entry.reads]
        assert read != ours
        assert read.weights == ours.weights
        for changed, member in zip(read.members, ours.members, strict=True):
            kept = {"whitening": member.whitening, "self_scores": member.self_scores,
                    "calibration": member.calibration}  # fmt: skip
            assert replace(changed, **kept) == member
    assert found["s3-lw"].make("w").members[1].whitening == ZCA("ledoit-wolf")
    assert {m.self_scores for m in found["s3-loo"].make("w").members} == {"loo"}
    assert found["s3-eat-raw"].make("w").calibration == Raw()


def test_readings_train_nothing():
    assert {entry.encoder for entry in entries_of(["readings"])} <= set(UNTRAINED)


def test_features_are_chosen_among_all_candidates():
    (entry,) = (e for e in ENTRIES.values() if e.selects)
    assert (entry.reads, entry.encoder) == ("s4", "")
    assert entry.make().embedder.names == CANDIDATES
    assert replace(entry.make(), embedder=s4().embedder) == s4()


def test_tables_by_name():
    assert tables_of("all") == list(TABLES)
    assert all(tables_of(name) == [name] for name in TABLES)
    with pytest.raises(SettingError, match="no table '4'; it has: 1, 2, 3, all, readings, text"):
        tables_of("4")


@pytest.mark.parametrize("system", [s1("w"), s2("a", "b"), s3("w")])
def test_a_precision_is_that_of_every_encoder(system):
    changed = with_precision(system, "bf16")
    assert {eat.precision for eat in eats(changed)} == {"bf16"}
    assert len(eats(changed)) == len(eats(system))
    assert with_precision(changed, "fp32") == system
