"""Other settings while a watch runs: what is new begins, what is gone ends, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from nearfar.errors import StorageError
from nearfar.service.history.changes import Change
from nearfar.service.incoming import ClipSource
from nearfar.service.news import Bulletin, Output
from nearfar.service.outputs.teller import Teller

if TYPE_CHECKING:
    from nearfar.service.equipment import Equipment

Complain = Callable[[str], None]  # takes a line
Begin = Callable[[ClipSource], None]  # may raise a NearfarError
End = Callable[[ClipSource], None]


def exchange(old: Equipment, new: Equipment, begin: Begin, end: End) -> None:
    """Begin what is new, and then end what is not needed any more.

    Args:
        old: in use.
        new: of `reequip`.
        begin, end: of a source.

    Raises:
        NearfarError: a source or an output cannot be begun; what is in use goes on. (But for
            another stream in the place of one: that has a single reader, which had to end first.)
    """
    taken = _streams(old, new)
    fresh = [source for name, source in new.sources.items() if not new.shares(old, name)]
    waits = [source for source in fresh if _streams(new, old).get(source.name) in taken.values()]
    with ExitStack() as undo:
        for output in _fresh(new, old):
            output.start()
            undo.callback(output.close)
        for source in fresh:
            if source not in waits:
                begin(source)
                undo.callback(end, source)
        undo.pop_all()
    for name, source in old.sources.items():
        if not old.shares(new, name):
            end(source)
    for output in _fresh(old, new):  # clips wait meanwhile: not for one who does not answer
        output.close(5.0 if output.health.up else 0.0)
    for source in waits:
        begin(source)


def hand_on(new: Equipment, old: Equipment, complain: Complain) -> None:
    """What outputs that ended had not said others say: a broker that moved is told what it missed.

    Args:
        new: in use from now on.
        old: in use until now.
        complain: told what cannot be read of the history.
    """
    heirs = {one.name: one for one in _fresh(old, new) if isinstance(one, Teller)}
    for output in _fresh(new, old):
        for bulletin in heirs[output.name].unsaid() if output.name in heirs else ():
            output.tell(bulletin)
    try:
        tell_missed(new, [output for output in _fresh(new, old) if output.name not in heirs])
    except StorageError as error:
        complain(f"what outputs missed before is not told: {error}")


def _streams(these: Equipment, others: Equipment) -> dict[str, str]:
    """Places of the streams and devices that others do not have: source → place."""
    return {
        s.name: s.place for s in these.plant.sources
        if s.kind != "folder" and not these.shares(others, s.name)
    }  # fmt: skip


def tell_missed(have: Equipment, outputs: Iterable[Output]) -> None:
    """Tell outputs the events that they had not said when the last watch ended.

    One that the history never knew is told nothing of old, and from here on what it misses is
    known.

    Raises:
        StorageError: the history cannot be read.
    """
    said, last = have.store.said(), have.store.highest()[1]
    asked = list(outputs)
    have.keeper.keep(Change(None, said={o.name: last for o in asked if o.name not in said}))
    for output in asked:
        for event in have.store.events(said.get(output.name, last)):
            post = have.posts.get((event.machine, event.section))
            if post is not None:
                output.tell(Bulletin(post.station.now, events=(event,)))


def _fresh(these: Equipment, others: Equipment) -> list[Output]:
    """Outputs that others do not have."""
    return [output for output in these.outputs if output not in others.outputs]
