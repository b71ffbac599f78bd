"""All of it in order; a part that cannot even be imported leaves the others."""

import sys

from nearfar.doctor import examination
from nearfar.doctor.examination import examine, healthy
from nearfar.doctor.sign import Sign


def test_a_part_that_fails_is_told_and_the_others_are_asked(monkeypatch):
    monkeypatch.setattr(examination, "_trials", lambda: iter([Sign("works", "it", "ok", "yes")]))
    for part in ("_extras", "_computer"):  # which import what takes seconds
        monkeypatch.setattr(examination, part, lambda: iter(()))
    monkeypatch.setitem(sys.modules, "nearfar.doctor.encoders_found", None)
    found = list(examine())
    assert [sign.group for sign in found if sign.state == "broken"] == ["weights"]
    assert found[-1].name == "it"
    assert not healthy(found)


def test_what_is_not_installed_is_no_fault():
    assert healthy([Sign("a", "b", state, "") for state in ("ok", "missing", "note")])
