"""The command alarms: what needs a person, and what a person says of it. Flags to calls alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.lines import say, tell
from nearfar.cli.options import DATA, OUTPUT, Json, Replace, on_disk, write_json
from nearfar.errors import SettingError, needs, visible
from nearfar.files import begins, check_output
from nearfar.text import called, counted

if TYPE_CHECKING:
    from nearfar.service.history.store import HistoryStore
    from nearfar.service.news import StandingAlarm

SCHEMA = 1  # of the JSON; raised when a program that reads it could err


def alarms(
    place: Annotated[str, typer.Argument(help="History: a file, or postgresql://….")],
    ack: Annotated[
        list[int] | None,
        typer.Option(
            "--ack", metavar="ID", rich_help_panel=DATA, help="Acknowledge this alarm."
        ),
    ] = None,
    note: Annotated[
        str, typer.Option("--note", metavar="WORDS", rich_help_panel=DATA, help="Why, for others.")
    ] = "",
    shelve: Annotated[
        list[int] | None,
        typer.Option(
            "--shelve", metavar="ID", rich_help_panel=DATA,
            help="Tell nobody of this alarm, nor of it raised again, for the time of --for.",
        ),
    ] = None,
    lasting: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="DURATION", rich_help_panel=DATA, help="How long: 30min, 2h, 3d."
        ),
    ] = None,
    unshelve: Annotated[
        list[int] | None,
        typer.Option(
            "--unshelve", metavar="ID", rich_help_panel=DATA, help="End the shelf of this alarm."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", rich_help_panel=OUTPUT, help="Closed alarms too.")
    ] = False,
    as_json: Json = None,
    replace: Replace = False,
) -> None:  # fmt: skip
    """List the alarms that need a person, acknowledge them, or shelve them for a time.

    Works beside a watch that runs: it takes up what is said here within a second.
    """
    seconds = _asked(bool(ack), bool(shelve), note, lasting)
    check_output(on_disk(as_json), endings=(".json",), inputs=[place], ours=is_alarms,
                 replace=replace)  # fmt: skip
    with needs("plant", "nearfar alarms needs SQLAlchemy"):
        from nearfar.service.history.store import HistoryStore
    from nearfar.service.incoming import now

    store = HistoryStore.open(place, make=False)
    try:
        asked = _act(store, ack or [], shelve or [], unshelve or [], note, seconds)
        found = [alarm.as_of(now()) for alarm in store.alarms(closed=everything or bool(asked))]
    finally:
        store.close()
    # Also one that was closed by this very command: whoever said so sees what became of it.
    found = [a for a in found if everything or a.word != "closed" or a.id in asked]
    whole = {"schema": SCHEMA, "alarms": [alarm.as_dict() for alarm in found]}
    if not write_json(as_json, whole):
        _tell(found, everything=everything)


def _asked(acks: bool, shelves: bool, note: str, lasting: str | None) -> float | None:
    """Seconds of a shelf; refuses what says nothing before the history is opened."""
    if shelves != (lasting is not None):
        raise SettingError("--shelve and --for go together, as in --shelve 3 --for 2h")
    if note and not (acks or shelves):
        raise SettingError("--note goes with --ack or --shelve")
    if lasting is None:
        return None
    from nearfar.service.amounts import duration
    from nearfar.service.news import LONGEST_SHELF

    try:
        seconds = duration(lasting)
    except SettingError as error:
        raise SettingError(f"--for {error}") from None
    if not 0 < seconds <= LONGEST_SHELF:
        raise SettingError(f"--for {lasting}: a shelf lasts up to 30d, and more than nothing")
    return seconds


def _act(
    store: HistoryStore, acks: list[int], shelves: list[int], unshelves: list[int], note: str,
    seconds: float | None,
) -> set[int]:  # fmt: skip
    """Do what was asked, all or nothing; the alarms that it was about."""
    from datetime import timedelta

    from nearfar.service.history.changes import Action, is_closed
    from nearfar.service.incoming import now

    at, who = now(), _user()
    until = None if seconds is None else at + timedelta(seconds=seconds)
    asked = (*acks, *shelves, *unshelves)
    known = {a.id: a.as_of(at) for a in store.alarms(closed=True)} if asked else {}
    # Half of a command is hard to say again.
    for number in asked:
        if number not in known:
            raise SettingError(
                f"no alarm {number}; nearfar alarms lists them, --all closed ones too"
            )
        if known[number].word == "closed":
            raise SettingError(is_closed(number))
        closes = number in acks and known[number].cleared is not None
        if closes and (number in shelves or number in unshelves):
            raise SettingError(f"alarm {number} has cleared: --ack closes it, and ends its shelf")
    for verb, numbers in (("acknowledged", acks), ("shelved", shelves), ("unshelved", unshelves)):
        for number in dict.fromkeys(numbers):
            store.act(
                Action(0, number, verb, at, note, until if verb == "shelved" else None, who)  # type: ignore[arg-type]
            )
            _tell_no_news(known[number], verb, shelved=number in shelves)
    return set(asked)


def _tell_no_news(alarm: StandingAlarm, verb: str, *, shelved: bool) -> None:
    """Say that nothing was changed, where nothing was: kept it is all the same."""
    if verb == "acknowledged" and alarm.acknowledged is not None:
        since = _moment(alarm.acknowledged)
        tell("", f"alarm {alarm.id} is acknowledged since {since}: that and its note stand")
    elif verb == "unshelved" and alarm.shelved_until is None and not shelved:
        tell("", f"alarm {alarm.id} is not shelved")


def _user() -> str:
    """Who types, for the audit; "" where the system does not say."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, as in a container
        return ""


def _tell(found: list[StandingAlarm], *, everything: bool) -> None:
    for line in lines(found):
        say(visible(line))
    waiting = sum(alarm.word in ("active", "cleared") for alarm in found)
    if not found:
        say("no alarm" if everything else "no alarm needs anybody")
    elif not everything and all(alarm.word == "closed" for alarm in found):
        say("no alarm needs anybody")
    elif waiting:
        say(f"{counted(waiting, 'alarm')} to acknowledge, as with --ack {_first(found)}")


def _first(found: list[StandingAlarm]) -> int:
    return next(alarm.id for alarm in found if alarm.word in ("active", "cleared"))


def lines(found: list[StandingAlarm]) -> Iterator[str]:
    """Two lines an alarm: how it is, and what it was raised with.

    >>> from nearfar.service.news import StandingAlarm
    >>> from datetime import UTC
    >>> alarm = StandingAlarm(3, "sensor", "near dead", "pump", "00", note="ordered",
    ...                       since=datetime(2026, 11, 29, 6, tzinfo=UTC), told="pump: near dead")
    >>> [line.split(",")[0] for line in lines([alarm])]
    ['3 active: pump', '  pump: near dead']
    """
    for alarm in found:
        said = [f"{alarm.id} {alarm.word}: {called(alarm.machine, alarm.section)}",
                f"{alarm.kind} ({alarm.condition})", f"since {_moment(alarm.since)}"]  # fmt: skip
        for word, at in (("cleared", alarm.cleared), ("acknowledged", alarm.acknowledged),
                         ("shelved until", alarm.shelved_until)):  # fmt: skip
            said += [f"{word} {_moment(at)}"] if at is not None else []
        yield ", ".join([*said, *([alarm.note] if alarm.note else [])])
        yield f"  {alarm.told}"


def _moment(at: datetime) -> str:
    """By the clock on this computer's wall, with its zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z").strip()


def is_alarms(path: Path) -> bool:
    """Is a file plainly the JSON of alarms?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"alarms": \[')
