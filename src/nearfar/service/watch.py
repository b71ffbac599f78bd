"""The watch: takes what sources give, hears it once, keeps what follows, and only then tells.

All that changes anything happens in one thread, one clip after another. Sources and outputs have
threads of their own and queues between, so that neither a slow disk nor a dead broker stops a clip.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from nearfar.errors import NearfarError, NearfarWarning, passing_warnings, printable
from nearfar.service.amounts import as_duration
from nearfar.service.changeover import exchange, hand_on, tell_missed
from nearfar.service.clocks import Clocks
from nearfar.service.history.changes import Change
from nearfar.service.incoming import ClipSource, Incoming, Notice, now
from nearfar.service.intake import Intake, IntakeDoor
from nearfar.service.news import AlarmEvent, Bulletin, MachineNow, WatchNow
from nearfar.service.observation import Observation
from nearfar.service.observing import Piece, lacking, observe, pieces, unjudged
from nearfar.service.posts import Post
from nearfar.service.troubles import Tell, Troubles, fault_line, tell_alarms
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.service.equipment import Equipment
    from nearfar.service.history.kept_audio import KeptAudio
    from nearfar.sound.audio import ChannelOrder

TICK = 1.0  # s between looks at the clock, at people's actions and at detectors on disk
PRUNED = 3600.0  # s between two prunings


class Watch:
    """Hears what comes in until it is stopped, or until all of its sources have ended.

    Args:
        equipment: what to work with.
        tell: takes lines of the log.
        clock: seconds that only rise, for what is done each second.

    >>> Watch.__call__.__doc__.splitlines()[0]
    'Work until `stop`, or until no source will give anything any more.'
    """

    def __init__(
        self, equipment: Equipment, tell: Tell, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._with = equipment
        self._log = tell
        self._clock = clock
        self._intake = Intake()
        self._stopped = threading.Event()
        self._change: Callable[[Equipment], Equipment] | None = None
        self._lock = threading.Lock()  # of all that `now` shows
        self._started = now()
        self._ready = False
        self._clips = self._duplicates = 0
        self._troubles: dict[str, str] = {}
        self._ended: set[str] = set()
        self._fed: dict[str, set[tuple[str, str]]] = {}  # source → machines that it gave clips of
        self._acted = 0  # the last of people's actions that was taken up
        self._said: Mapping[str, int] = {}
        self._troubled = Troubles(tell)  # of the history and outputs
        self._next = self._next_prune = 0.0
        self._clocks = Clocks(self._started, clock())
        self._hearing = False  # a recording of many clips
        self._doors: dict[int, IntakeDoor] = {}  # of sources, by their id()

    # ---- from any thread -------------------------------------------------------------------------

    def stop(self) -> None:
        """Let it end after the clip at hand."""
        self._stopped.set()

    def change(self, how: Callable[[Equipment], Equipment]) -> None:
        """Have its equipment changed between two clips; `how` may raise a NearfarError."""
        self._change = how

    @property
    def now(self) -> WatchNow:
        """How it is, at this moment."""
        have = self._with
        with self._lock:
            return WatchNow(
                started=self._started, ready=self._ready,
                machines={key: post.station.now for key, post in have.posts.items()},
                queued=len(self._intake), awaited=have.awaited, clips=self._clips,
                duplicates=self._duplicates, unkept=have.keeper.unkept, lost=have.keeper.lost,
                history=have.keeper.trouble, sources=dict(self._troubles),
                outputs=tuple(o.health for o in have.outputs),
            )  # fmt: skip

    @property
    def equipment(self) -> Equipment:
        """What it works with now; another after each change."""
        return self._with

    @property
    def busy(self) -> bool:
        """Is a recording being heard, or waiting? Who wants the processor for less lets it go."""
        return self._hearing or len(self._intake) > 0

    # ---- the loop --------------------------------------------------------------------------------

    def __call__(self) -> None:
        """Work until `stop`, or until no source will give anything any more.

        Raises:
            NearfarError: a source or an output that cannot be begun at all.
        """
        # Those of other threads come Python's way.
        with passing_warnings(self._warned), warnings.catch_warnings():
            warnings.simplefilter("always", NearfarWarning)
            warnings.showwarning = self._warned
            try:
                self._begin()
                while not self._stopped.is_set() and not self._is_over():
                    self._step()
            finally:
                self._end()

    def _begin(self) -> None:
        have = self._with
        # What people did while nothing ran is still to be taken up.
        self._acted = min((post.station.acted for post in have.posts.values()), default=0)
        for output in have.outputs:
            output.start()
        tell_missed(have, have.own.values())
        self._troubles = dict.fromkeys(have.sources, "")
        for source in have.sources.values():
            self._open(source)
        self._ready, moment = True, now()
        self._log("start", have.plant.told, machines=len(have.posts))
        for post in have.posts.values():
            self._changed(post, partial(post.station.resume, moment))
        self._act()  # before any clip: what was shelved meanwhile is silent
        for post in have.posts.values():
            self._tell(Bulletin(post.station.now))

    def _open(self, source: ClipSource) -> None:
        door = self._doors[id(source)] = IntakeDoor(self._intake)
        source.start(door.put)

    def _close(self, source: ClipSource) -> None:
        self._doors.pop(id(source)).shut()
        source.close()

    def _is_over(self) -> bool:
        return len(self._ended) == len(self._with.sources) and not len(self._intake)

    def _step(self) -> None:
        item = self._intake.take(max(0.0, min(TICK, self._next - self._clock())))
        if item is not None and item.source not in self._with.sources:
            # Its source was taken out while it waited; its file is not marked, and is heard again.
            self._log("left", f"{item.source}: not watched any more, what waited is not heard")
        elif isinstance(item, Incoming):
            self._hearing = True
            self._hear(item)
            self._hearing = False
        elif item is not None:
            self._notice(item)
        self._tick()

    def _end(self) -> None:
        self._ready = False
        self._intake.close()
        have = self._with
        for source in have.sources.values():
            source.close()
        for output in have.outputs:
            output.close()
        self._keep_said()
        have.keeper.close(5.0)
        have.store.close()

    # ---- clips -----------------------------------------------------------------------------------

    def _hear(self, incoming: Incoming) -> None:
        have = self._with
        try:
            clip = have.posts.assigned(incoming.clip, incoming.source)
        except NearfarError as error:
            self._keep_unheard(Piece(incoming, incoming.clip), str(error))
            return
        post = have.posts[clip.machine, clip.section]
        self._fed.setdefault(incoming.source, set()).add(post.key)
        found = list(
            pieces(replace(incoming, clip=clip), post.seconds, have.seconds(incoming.source))
        )
        for place, piece in enumerate(found, 1):
            # The file is known only with the last of its clips: what is stopped is heard again.
            # Within an hour's file it may be asked to end, or the machine be taken out.
            if self._stopped.is_set() or post.key not in self._with.posts:
                return
            self._one(post.key, piece, place == len(found))
            if place < len(found):
                self._tick()
                if self._stopped.is_set() or post.key not in self._with.posts:
                    return

    def _one(self, key: tuple[str, str], piece: Piece, last: bool) -> None:
        have, files = self._with, piece.of.files if last else ()
        post = have.posts[key]  # anew for each: a detector may have been replaced
        hold = post.hold
        try:
            seen = observe(piece, hold.detector, post.normality, have.keeper.has, hold.identity)
        except Exception as fault:  # else its file would end each watch that begins
            seen = self._faulty(piece, fault, hold.identity)
        if seen is None:
            self._duplicates += 1
            have.keeper.keep(Change(None, files))
            self._log("duplicate", f"{printable(piece.name)}: heard before, sample for sample",
                      machine=key[0])  # fmt: skip
            return
        with self._lock:
            self._clips += 1
            events = post.station.take(seen)
        if have.kept is not None:  # before its row: who is killed between keeps it again
            self._keep_sound(have.kept, piece, seen, hold.detector.order)
        row = self._keep(post, events, seen, files)
        self._tell(Bulletin(post.station.now, seen, events, row))

    def _faulty(self, piece: Piece, fault: Exception, identity: str) -> Observation | None:
        """The row of a clip that nobody can hear for a fault of the program."""
        self._log("fault", f"{printable(piece.name)}: {fault_line(fault)}", "error")
        seen = unjudged(piece, fault_line(fault), detector=identity)
        return None if self._with.keeper.has(*seen.key, seen.digest) else seen

    def _keep_sound(
        self, kept: KeptAudio, piece: Piece, seen: Observation, order: ChannelOrder
    ) -> None:
        before = kept.trouble
        if kept.policy == "all" or seen.anomalous:  # a pair of files is read again for it
            try:
                kept.take(seen, piece.sound(order), alarmed=bool(seen.anomalous))
            except NearfarError as error:
                self._log("audio", str(error), "warning")
        if kept.trouble not in ("", before):
            self._log("audio", kept.trouble, "warning")

    def _keep_unheard(self, piece: Piece, reason: str, **facts: Any) -> None:
        """A row of what no machine here can be asked about, or of what never came whole."""
        seen = unjudged(piece, reason)
        if self._with.keeper.has(*seen.key, seen.digest):
            return
        row = self._with.keeper.keep(Change(seen, piece.of.files))
        self._clips += 1
        self._log("unjudged", f"{printable(piece.name)}: {seen.warning}", "warning",
                  machine=seen.machine, **facts)  # fmt: skip
        post = self._with.posts.get(seen.key)
        machine = MachineNow(*seen.key, clips=1, last=seen) if post is None else post.station.now
        self._tell(Bulletin(machine, seen, (), row))

    # ---- all else --------------------------------------------------------------------------------

    def _notice(self, notice: Notice) -> None:
        piece = lacking(notice, self._with.posts.assigned)
        if piece is None:  # of a recording its row is told of
            level = "info" if notice.kind in ("back", "ended") else "warning"
            self._log(notice.kind, notice.text, level, source=notice.source)
        if notice.kind == "ended":
            self._ended.add(notice.source)
        if notice.kind in ("lost", "gone", "back"):
            with self._lock:
                self._troubles[notice.source] = "" if notice.kind == "back" else notice.text
        for post in self._concerned(notice, piece):
            self._changed(post, partial(post.station.notice, notice))
        if piece is not None:
            self._keep_unheard(piece, notice.text, why=notice.kind, source=notice.source)

    def _concerned(self, notice: Notice, piece: Piece | None) -> list[Post]:
        posts = self._with.posts
        if piece is not None and (found := posts.get((piece.clip.machine, piece.clip.section))):
            return [found]
        if notice.machine:
            return [post for key, post in posts.items() if key[0] == notice.machine]
        fed = self._fed.get(notice.source)
        if fed is None and len(self._with.sources) == 1:
            return list(posts.values())
        return [posts[key] for key in sorted(fed or ()) if key in posts]

    def _tick(self) -> None:
        clock = self._clock()
        if clock < self._next:
            return
        self._next = clock + TICK
        self._reequip()
        self._refresh()
        self._act()
        moment, waits = now(), self._hearing or len(self._intake) > 0
        if jump := self._clocks.jump(moment, clock):
            self._log("clock", f"the clock of this computer was set by {jump:+,.0f} s", "warning")
            for post in self._with.posts.values():  # no clip was missed meanwhile
                post.station.resume(moment, opened=False)
        for post in self._with.posts.values():
            self._changed(post, partial(post.station.tick, moment, waits=waits))
        self._with.keeper.retry()
        self._keep_said()
        troubles = {output.name: output.health.trouble for output in self._with.own.values()}
        self._troubled.look(troubles | {"history": self._with.keeper.trouble})
        if self._with.keep is not None and clock >= self._next_prune:
            self._next_prune = clock + PRUNED
            self._prune(self._with.keep)

    def _refresh(self) -> None:
        """Take over detectors that were replaced on disk."""
        for hold in self._with.posts.holds():
            before = hold.identity
            if line := hold.refresh():
                self._log("detector", line, "info" if hold.identity != before else "warning")
            if hold.identity != before:
                moment = now()
                for post in self._with.posts.values():
                    if post.hold is hold:
                        self._changed(post, partial(post.renew, moment))

    def _act(self) -> None:
        """What people did about alarms since."""
        for action in self._with.keeper.actions(self._acted):
            self._acted = action.id
            for post in self._with.posts.values():  # whose alarm it is, stations know
                self._changed(post, partial(post.station.act, action))

    def _changed(self, post: Post, how: Callable[[], tuple[AlarmEvent, ...]]) -> None:
        """Something other than a clip may have changed how a machine is."""
        with self._lock:
            events = how()
        # A note is no event, for no journal; who looks at its alarm is to see it all the same.
        if events or post.station.changed:
            self._keep(post, events)
            self._tell(Bulletin(post.station.now, events=events))

    def _keep(
        self, post: Post, events: tuple[AlarmEvent, ...], seen: Observation | None = None,
        files: Any = (),
    ) -> int | None:  # fmt: skip
        station = post.station
        return self._with.keeper.keep(
            Change(seen, files, events, station.changed, (post.key, station.state))
        )

    def _keep_said(self) -> None:
        """What outputs have said; not while rows wait, which are worth more."""
        have = self._with
        said = {output.name: output.said for output in have.own.values() if output.said}
        if said and not have.keeper.unkept and said != self._said:
            self._said = said
            have.keeper.keep(Change(None, said=said))

    def _prune(self, keep: timedelta) -> None:
        kept = self._with.kept
        if gone := self._with.keeper.prune(keep, None if kept is None else kept.forget):
            told = f"{counted(gone, 'row')} older than {as_duration(keep.total_seconds())} removed"
            self._log("prune", told, rows=gone)

    def _tell(self, bulletin: Bulletin) -> None:
        tell_alarms(self._log, bulletin.events)
        for output in self._with.outputs:
            try:
                output.tell(bulletin)
            except Exception as fault:  # no output ever stops the scoring
                self._log("fault", f"{output.name}: {fault_line(fault)}", "error")

    def _reequip(self) -> None:
        how, self._change = self._change, None
        if how is None:
            return
        old = self._with
        try:
            new = how(old)
            exchange(old, new, self._open, self._close)
        except NearfarError as error:
            self._log("reload", f"not taken over, the old one goes on: {error}", "error")
            for fault in error.faults:  # the line has the first of several
                self._log("reload", f"fault: {fault}", "error")
            return
        with self._lock:
            self._with = new
            self._ended -= {name for name in old.sources if not old.shares(new, name)}
            self._troubles = {
                name: self._troubles[name] if new.shares(old, name) else "" for name in new.sources
            }
        hand_on(new, old, partial(self._log, "reload", level="error"))
        self._log("reload", "taken over")
        for post in new.posts.values():
            if post.key not in old.posts:
                self._changed(post, partial(post.station.resume, now()))
            self._tell(Bulletin(post.station.now))

    def _warned(self, message: Warning | str, *_: Any, **__: Any) -> None:
        self._log("warning", printable(str(message)), "warning")
