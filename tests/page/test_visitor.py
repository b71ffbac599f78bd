"""Who asks, as routes see them: the second lock behind the gate."""

from types import SimpleNamespace

import pytest

from nearfar.page.guard.visitor import Visitor, operator, visitor
from nearfar.page.refusal import Refusal


def of(role):
    return SimpleNamespace(scope={"state": {"visitor": Visitor(role, "127.0.0.1")}})


def test_operators_may_change_and_readers_only_look():
    assert operator(of("operator")).may_change
    assert visitor(of("reader")).role == "reader"
    with pytest.raises(Refusal) as caught:
        operator(of("reader"))
    assert caught.value.status == 403


def test_a_gate_that_lets_somebody_through_unseen_gives_no_role():
    with pytest.raises(KeyError):
        operator(SimpleNamespace(scope={"state": {}}))
