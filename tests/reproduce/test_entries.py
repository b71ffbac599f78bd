"""What the report compares: each encoder differs in one thing, each pair in what it is about."""

from dataclasses import fields, is_dataclass

import pytest

from nearfar.embedder.eat import EAT
from nearfar.errors import SettingError
from nearfar.frontend import CoherenceMask, Near
from nearfar.reproduce.entries import (
    ENTRIES,
    PAIRS,
    TABLES,
    encoders,
    entries_of,
    tables_of,
    with_precision,
)
from nearfar.system.presets import s1, s2, s3
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
        assert entry.encoder in ("", "published", *encoders(FineTuning()))


def test_entries_come_once_in_their_order():
    names = [entry.name for entry in entries_of(TABLES)]
    assert names == list(ENTRIES)
    assert entries_of(["1"]) == []
    assert [e.name for e in entries_of(["3"])] == ["s1", "frozen", "near"]


def test_tables_by_name():
    assert tables_of("all") == list(TABLES)
    assert all(tables_of(name) == [name] for name in TABLES)
    with pytest.raises(SettingError, match="no table '4'; it has: 1, 2, 3, all, text"):
        tables_of("4")


@pytest.mark.parametrize("system", [s1("w"), s2("a", "b"), s3("w")])
def test_a_precision_is_that_of_every_encoder(system):
    changed = with_precision(system, "bf16")
    assert {eat.precision for eat in eats(changed)} == {"bf16"}
    assert len(eats(changed)) == len(eats(system))
    assert with_precision(changed, "fp32") == system
