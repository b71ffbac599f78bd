"""What people say of alarms on the page: acknowledged, shelved, unshelved, noted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from nearfar.errors import SettingError
from nearfar.page.desk import Desk
from nearfar.page.guard.visitor import Visitor
from nearfar.page.refusal import Refusal
from nearfar.page.said.audited import audited
from nearfar.service.history.changes import Action, PersonVerb, is_closed
from nearfar.service.incoming import now
from nearfar.service.news import StandingAlarm
from nearfar.text import called

if TYPE_CHECKING:
    from nearfar.service.history.store import HistoryStore

VERBS: dict[PersonVerb, str] = {
    "acknowledged": "acknowledge", "shelved": "shelve", "unshelved": "unshelve", "noted": "note",
}  # fmt: skip
DONE: tuple[PersonVerb, ...] = ("acknowledged", "unshelved")  # of an alarm that is closed


def alarms_now(store: HistoryStore, closed: bool = False) -> list[StandingAlarm]:
    """Alarms as they are at this moment, by number; closed ones too if asked for."""
    moment = now()
    # Off its shelf one may be closed that was not while it was shelved.
    found = [alarm.as_of(moment) for alarm in store.alarms(closed)]
    return [alarm for alarm in found if closed or alarm.word != "closed"]


def alarms_said(store: HistoryStore, closed: bool = False) -> list[dict[str, Any]]:
    """`alarms_now` as JSON, each with all that people said of it."""
    alarms = alarms_now(store, closed)
    deeds: dict[int, list[Action]] = defaultdict(list)
    for deed in store.deeds(closed=closed):
        deeds[deed.alarm].append(deed)
    return [_said(alarm, deeds[alarm.id]) for alarm in alarms]


def alarm_said(store: HistoryStore, alarm: StandingAlarm) -> dict[str, Any]:
    """One alarm as JSON, with all that people said of it."""
    return _said(alarm, store.deeds(number=alarm.id))


def _said(alarm: StandingAlarm, deeds: Iterable[Action]) -> dict[str, Any]:
    # `note` is the newest alone: who took an alarm on, and what they wrote then, is found here.
    said = [
        {"verb": deed.verb, "who": deed.who, "at": deed.at.isoformat(), "note": deed.note}
        for deed in deeds
    ]
    return alarm.as_dict() | {"said": said}


def act(
    desk: Desk, visitor: Visitor, number: int, verb: PersonVerb, note: str, who: str,
    hours: float = 0.0,
) -> StandingAlarm:  # fmt: skip
    """Keep what a person says of an alarm, which the watch takes up within a second.

    Of two who acknowledge at once the second changes nothing: the first time and note stand, also
    where the first closed it.

    Args:
        desk: of the page.
        visitor: who asks.
        number: of the alarm.
        verb: what they say.
        note: why, for others.
        who: what they said their name is.
        hours: of a shelf.

    Returns:
        The alarm as it is then.

    Raises:
        Refusal: no such alarm, or one that is closed and cannot be shelved or noted any more.
        StorageError: it was not written.
    """
    with audited(desk, visitor, VERBS[verb], _about(desk.store, number, note), who) as outcome:
        at = now()
        until = at + timedelta(hours=hours) if verb == "shelved" else None
        deed = Action(0, number, verb, at, note, until, who)
        done = _is_done(desk.store, number, verb)
        if not done:
            try:
                desk.store.act(deed)
            except SettingError:  # closed, or pruned, since it was looked at
                done = _is_done(desk.store, number, verb)
        if done and note:  # what they had to say is not lost for their being second
            desk.store.act(deed, late=True)
        alarm = _found(desk.store, number)
        if verb == "acknowledged" and alarm.acknowledged != at:
            outcome.line = "done: was acknowledged already"
    return alarm


def _about(store: HistoryStore, number: int, note: str) -> str:
    alarm = store.alarm(number)
    whose = "" if alarm is None else f" of {called(alarm.machine, alarm.section)}"
    return f"alarm {number}{whose}{f'; note: {note}' * bool(note)}"


def _is_done(store: HistoryStore, number: int, verb: PersonVerb) -> bool:
    """Did another do just this, so that it is closed?

    Raises:
        Refusal: no such alarm, or it is closed and this cannot be meant of it.
    """
    if _found(store, number).word != "closed":
        return False
    if verb not in DONE:
        raise Refusal(409, is_closed(number))
    return True


def _found(store: HistoryStore, number: int) -> StandingAlarm:
    found = store.alarm(number)
    if found is None:
        raise Refusal(404, f"no alarm {number}; the page lists those there are")
    return found.as_of(now())
