"""One setting changed by name leaves all others, and the part it came from, as they were."""

from dataclasses import fields, is_dataclass

import pytest

import nearfar as nf
from nearfar.parts.change import with_setting

SYSTEM = nf.s4()


def settings(part, path=()):
    """Every setting of a part and of those in it: path → value."""
    if isinstance(part, tuple):
        inside = [(str(i), p) for i, p in enumerate(part) if is_dataclass(p)]
    else:
        inside = [(f.name, getattr(part, f.name)) for f in fields(part)]
    found = {}
    for name, value in inside:
        deeper = is_dataclass(value) or (isinstance(value, tuple) and any(map(is_dataclass, value)))
        found |= settings(value, (*path, name)) if deeper else {(*path, name): value}
    return found


@pytest.mark.parametrize("path", settings(SYSTEM), ids=".".join)
def test_a_setting_set_to_what_it_is_changes_nothing(path):
    value = settings(SYSTEM)[path]
    assert with_setting(SYSTEM, f"{'.'.join(path)}={value!r}") == SYSTEM


def test_one_setting_changes_and_no_other():
    before = settings(SYSTEM)
    after = settings(with_setting(SYSTEM, "whitening.shrinkage=0.5"))
    assert {k: v for k, v in after.items() if before[k] != v} == {("whitening", "shrinkage"): 0.5}
    assert settings(SYSTEM) == before


def test_a_part_of_a_tuple_is_named_by_its_type_or_its_number():
    number = [type(part).__name__ for part in SYSTEM.enrichment].index("ResidualAugmentation")
    setting = "match_levels=True"
    by_name = with_setting(SYSTEM, f"enrichment.ResidualAugmentation.{setting}")
    assert by_name == with_setting(SYSTEM, f"enrichment.{number}.{setting}") != SYSTEM


def test_the_value_is_all_behind_the_first_equals_sign():
    changed = with_setting(nf.EAT("a"), "weights=here=there")
    assert changed == nf.EAT("here=there")
