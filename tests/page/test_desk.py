"""The desk finds the machine that is meant, or says which there are."""

from types import SimpleNamespace

import pytest

from nearfar.page.desk import Desk
from nearfar.page.refusal import Refusal
from nearfar.service.plant import PageSettings


@pytest.fixture
def desk():
    made = Desk(PageSettings("127.0.0.1:0"))
    yield made
    made.close()


def knows(desk, *keys, busy=False):
    desk.attach(SimpleNamespace(holds=dict.fromkeys(keys, "hold"), busy=busy))


def test_without_a_detector_all_is_refused_and_says_so(desk):
    assert not desk.is_ready
    with pytest.raises(Refusal, match="no detector yet") as refused:
        desk.key("pump")
    assert refused.value.status == 409


def test_the_only_section_need_not_be_said(desk):
    knows(desk, ("pump", "03"), ("fan", "00"))
    assert desk.key("pump") == desk.key("pump", "03") == ("pump", "03")


def test_of_several_sections_one_must_be_said(desk):
    knows(desk, ("pump", "00"), ("pump", "01"))
    with pytest.raises(Refusal, match="several sections; name one of: 00, 01") as refused:
        desk.key("pump")
    assert refused.value.status == 422
    assert desk.key("pump", "01") == ("pump", "01")


@pytest.mark.parametrize(
    ("asked", "line"),
    [(("pmup",), "did you mean 'pump'"), (("pump", "7"), "no section '7'"), (("<b>\n",), "'<b>")],
)
def test_what_is_not_there_is_told_with_what_is(desk, asked, line):
    knows(desk, ("pump", "00"))
    with pytest.raises(Refusal, match=line) as refused:
        desk.key(*asked)
    assert refused.value.status == 404
    assert "\n" not in str(refused.value)


def test_a_machine_that_was_taken_out_meanwhile(desk):
    knows(desk, ("pump", "00"))
    key = desk.key("pump")
    knows(desk, ("fan", "00"))
    with pytest.raises(Refusal, match="pump: is not watched any more"):
        desk.hold(key)
