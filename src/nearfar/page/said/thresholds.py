"""Thresholds of a machine's detector, drawn anew for another rate of false alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfar.page.desk import Desk
from nearfar.page.guard.visitor import Visitor
from nearfar.page.hub import Message
from nearfar.page.refusal import Refusal
from nearfar.page.replies import SCHEMA
from nearfar.page.said.audited import audited
from nearfar.page.said.teaching import redrawn
from nearfar.service.outputs.said import one_line_json
from nearfar.service.plant import Key
from nearfar.text import called

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector


def threshold_said(detector: Detector, key: Key) -> dict[str, Any]:
    """A machine's threshold, as JSON; `machines` are all that another rate would change."""
    return {
        "threshold": detector.threshold(*key).value,
        "false_alarm_rate": detector.false_alarm_rate,
        "normals": len(detector.sections[key].clips),
        "machines": [called(*one) for one in detector.sections],
    }


def draw(desk: Desk, visitor: Visitor, key: Key, rate: float, who: str) -> dict[str, Any]:
    """Draw the thresholds of a machine's detector for another rate; nothing is fitted again.

    Args:
        desk: of the page.
        visitor: who asks.
        key: machine and section; others of the same detector follow.
        rate: share of normal clips that may be above, 0–1.
        who: what they said their name is.

    Raises:
        Refusal: the rate is said elsewhere, and would be again.
        SettingError: no such rate.
        NearfarError: the detector cannot be read or written; it is as it was.
    """
    with audited(desk, visitor, "draw thresholds", f"{called(*key)}: {rate:g}", who):
        settings = desk.hold(key).settings
        if settings.false_alarm_rate is not None:
            raise Refusal(409, f"{called(*key)}: its rate of false alarms is said in plant.toml or "
                          f"where the watch was begun ({settings.false_alarm_rate:g}); change it "
                          "there")  # fmt: skip
        with redrawn(settings, rate) as (detector, lines):
            said = threshold_said(detector, key) | {"told": list(lines)}
    desk.backend.renewed()
    told = {"schema": SCHEMA, "machine": key[0], "section": key[1]}
    desk.hub.send(Message("threshold", one_line_json(told | said)))
    return said
