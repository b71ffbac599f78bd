"""What people say of alarms on the page: acknowledged, shelved, unshelved, noted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from nearfar.errors import SettingError
from nearfar.page.desk import Desk
from nearfar.page.guard.visitor import Visitor
from nearfar.page.refusal import Refusal
from nearfar.page.said.audited import audited
from nearfar.service.history.changes import Action, PersonVerb, is_closed
from nearfar.service.incoming import now
from nearfar.service.news import StandingAlarm

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
    with audited(desk, visitor, VERBS[verb], f"alarm {number}", who):
        at = now()
        until = at + timedelta(hours=hours) if verb == "shelved" else None
        if not _is_done(desk.store, number, verb):
            try:
                desk.store.act(Action(0, number, verb, at, note, until, who))
            except SettingError:  # closed, or pruned, since it was looked at
                _is_done(desk.store, number, verb)
    return _found(desk.store, number)


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
