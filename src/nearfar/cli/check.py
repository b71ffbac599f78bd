"""The command check: is this a data set to trust? Flags to calls, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.lines import ledger, say
from nearfar.cli.options import (
    DATA,
    BatchSize,
    Cache,
    Channels,
    ClipSeconds,
    Device,
    Far,
    Json,
    Machine,
    Near,
    NoCache,
    Order,
    Pair,
    Replace,
    Salvage,
    Settings,
    SkipBad,
    SystemName,
    TimePattern,
    Weights,
    Workers,
    kept_at,
    on_disk,
    order_of,
    write_json,
)
from nearfar.cli.progress import Session
from nearfar.errors import (
    AudioError,
    DatasetError,
    NearfarError,
    hold_warnings,
    in_shell,
    once_left_out,
    unusable,
    visible,
    warn,
)
from nearfar.files import begins, check_output
from nearfar.system.named import system_of
from nearfar.text import LEFT_OUT, counted, in_rows

if TYPE_CHECKING:
    from nearfar.detector.checked import Beside, Listing
    from nearfar.detector.fitting import LookedOver
    from nearfar.health.inventory import Inventory
    from nearfar.health.suspects import Suspect
    from nearfar.runtime.runtime import Runtime
    from nearfar.sound.audio import ChannelOrder

SCHEMA = 2  # of the JSON; raised when a program that reads it could err
SetYear = Annotated[
    int | None,
    typer.Option(
        metavar="YEAR",
        help="DATA is the DCASE set of this year; else its folders, names and counts tell.",
        rich_help_panel=DATA,
    ),
]


def check(
    data: Annotated[
        list[Path], typer.Argument(help="DCASE folders, folders of normal recordings, or CSVs.")
    ],
    system: SystemName = None,
    weights: Weights = None,
    settings: Settings = None,
    machine: Machine = None,
    year: SetYear = None,
    channel_order: Channels = Order.near_far,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    skip_bad: SkipBad = False,
    as_json: Json = None,
    replace: Replace = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Say what is wrong with a data set, and what that does to scores; write nothing.

    Training clips that stand out are named as fit would name them. Of test clips only what no
    anomaly can cause is judged: format, microphones, copies of training clips. Of DCASE sets names,
    lists and counts too.

    Exit code 1 if anything is wrong, as of other programs that look for faults, so that a script
    can stop before it fits; 2 if clips cannot be used.
    """
    from nearfar.detector.checked import Listing
    from nearfar.health.inventory import inventory

    check_output(  # before anything is heard
        on_disk(as_json), endings=(".json",), inputs=[*data, *(weights or ())], ours=is_check,
        replace=replace,
    )  # fmt: skip
    recipe = system_of(system or "s4", settings, weights)
    order = order_of(channel_order, near, far)
    found = Findings(inventory(data, year))
    how = {"machine": machine, "clip_seconds": clip_seconds, "pair": pair, "salvage": salvage,
           "time_pattern": time_pattern}  # fmt: skip
    try:
        # What a fit would take, and apart from it what it never opens.
        found.listing = Listing.of(data, how)
        with Session(workers, kept_at(cache, no_cache), device, batch_size) as session:
            _hear(found, recipe, session.runtime, order, skip_bad)
    except (AudioError, DatasetError) as error:
        found.faulty = error  # what names and counts say is known all the same
        if not found.inventory.findings:
            raise
    # What was left out of the training clips is said already.
    fault = found.fault(skip_bad)
    if not write_json(as_json, found.as_dict(fault) if as_json is not None else None):
        _tell(found)
    if fault is not None:
        ledger.close()  # what was written is there all the same
        raise fault
    if found.wrong:
        raise typer.Exit(1)


@dataclass(eq=False)
class Findings:
    """All that one run of check found, as far as it came.

    >>> from nearfar.health.inventory import Inventory
    >>> Findings(Inventory()).wrong
    False
    """

    inventory: Inventory
    listing: Listing | None = None
    looked: LookedOver | None = None
    tested: Beside | None = None
    faulty: NearfarError | None = None  # why training clips cannot be used

    @property
    def suspects(self) -> list[Suspect]:
        """Of training and test clips."""
        own = [] if self.looked is None else list(self.looked.suspects)
        return own + ([] if self.tested is None else [*self.tested.train, *self.tested.tests])

    @property
    def wrong(self) -> bool:
        """Is there anything that a person should mend?"""
        return bool(self.suspects) or any(one.wrong for one in self.inventory.findings)

    def add(self, kind: str, lines: Sequence[str], *, wrong: bool = True) -> None:
        """Tell more of the whole set than its names do."""
        from nearfar.health.inventory import Finding

        more = tuple(Finding("", kind, line, (), wrong) for line in lines)
        self.inventory = replace(self.inventory, findings=(*self.inventory.findings, *more))

    def fault(self, skip_bad: bool) -> NearfarError | None:
        """One error for all clips that cannot be used."""
        tests = [] if self.tested is None or skip_bad else list(self.tested.faults)
        if self.faulty is None and not tests:
            return None
        if not tests:
            return self.faulty
        total = 0 if self.listing is None else len(self.listing.tests)
        train: list[NearfarError] = []
        if self.faulty is not None:
            train = [type(self.faulty)(line) for line in _lines(self.faulty)]
            total += 0 if self.listing is None else len(self.listing.train)
        return unusable([*train, *tests], total)

    def as_dict(self, fault: NearfarError | None) -> dict[str, Any]:
        """What a program reads."""
        from nearfar.health.kinds import means

        rows = [one.as_dict() for one in self.inventory.findings]
        suspects = [one.as_dict() for one in self.suspects]
        return {
            "schema": SCHEMA,
            "suspects": suspects,
            "findings": rows,
            "means": means(row["kind"] for row in (*suspects, *rows)),
            "known_as": self.inventory.known_as or None,
            "clips": 0 if self.listing is None else len(self.listing.train),
            "test_clips": 0 if self.listing is None else len(self.listing.tests),
            "faults": list(_lines(fault)),
            "unjudged": [] if self.looked is None else list(self.looked.unjudged),
        }


def _tell(found: Findings) -> None:
    """What a person reads: a line a machine and kind, all names, and what it does to scores."""
    from nearfar.health.kinds import means

    for one in found.inventory.findings:
        say(visible(in_shell(one.says if one.wrong else f"note: {one.says}")))
    looked, tested = found.looked, found.tested
    if looked is not None and found.listing is not None:
        _tell_suspects([*looked.suspects, *(tested.train if tested else ())], looked.counts)
        for line in looked.unjudged:
            say(visible(line))
    if tested is not None:
        _tell_suspects(tested.tests, tested.counts, "test clips of ")
    kinds = [one.kind for one in found.inventory.findings if one.wrong]
    kinds += [suspect.kind for suspect in found.suspects]
    for n, (kind, meaning) in enumerate(means(kinds).items()):
        if n == 0:
            say("what this does to scores (the bank is what was learnt as normal):")
        say(f"  {kind}: {meaning}")
    _sum_up(found)


def _sum_up(found: Findings) -> None:
    """The last lines: how many of how many."""
    looked, tested, listing = found.looked, found.tested, found.listing
    if wrong := sum(one.wrong for one in found.inventory.findings):
        say(f"{counted(wrong, 'fault')} in names, lists or counts")
    elif found.inventory.known_as:
        known = found.inventory.known_as
        say(f"names, lists and counts agree with what is known here of {known}")
    if found.inventory.uncounted:  # silence would pass for "all there"
        say("note: counts are judged by no published set; --year says of which year it is")
    if looked is None or listing is None:
        return
    suspects = [*looked.suspects, *(tested.train if tested else ())]
    for clips, heard, found_in, what, verb in (
        (listing.train, looked.heard, suspects, "clip", "stand out"),
        (listing.tests, 0 if tested is None else sum(tested.counts.values()),
         () if tested is None else tested.tests, "test clip", "at fault"),
    ):  # fmt: skip
        if clips:
            # Said of those that were heard: nobody knows what the others are like.
            bad = len(clips) - heard
            left = f" ({bad} of {counted(len(clips), 'clip')} cannot be used)" if bad else ""
            out, count = len({one.clip for one in found_in}), counted(heard, what)
            none = f"{count}: none {verb.replace('stand', 'stands')}"
            say(f"{out} of {count} {verb}{left}" if out else none + left)


def _tell_suspects(suspects: Sequence[Suspect], counts: Mapping[str, int], whose: str = "") -> None:
    from nearfar.health.suspects import lines

    for (machine, kind), line in lines(suspects, counts).items():
        say(visible(in_shell(whose + line)))
        for row in _others([s for s in suspects if (s.clip.machine, s.kind) == (machine, kind)]):
            say(visible(f"  and {row}"))


def _hear(
    found: Findings, system: Any, runtime: Runtime, order: ChannelOrder, skip_bad: bool
) -> None:
    """All that listening tells: of training clips as a fit hears them, of the others apart."""
    from nearfar.detector.checked import look_at_tests
    from nearfar.detector.fitting import LookedOver, look_over

    if (listing := found.listing) is None:
        return
    found.add("unlisted", [listing.unlisted] * bool(listing.unlisted))
    looked = LookedOver((), (), {})
    if listing.train:
        look = partial(look_over, system, listing.train, runtime, order=order)
        try:
            looked = look(skip_bad=skip_bad)
        except (AudioError, DatasetError) as error:
            if skip_bad:  # nothing more can be left out
                raise
            # Both lists at once: who mends files does not want to be called again.
            found.faulty = error
            looked = _without_bad(look, error)
    found.looked = looked
    found.tested = look_at_tests(system, listing.tests, looked, runtime, order)
    for fault in found.tested.faults if skip_bad else ():
        warn(f"{LEFT_OUT}{once_left_out(str(fault))}")
    # As inspect says it: some near microphones are the quieter ones.
    found.add("turned", found.tested.turned, wrong=False)


def _without_bad(look: Callable[..., LookedOver], error: NearfarError) -> LookedOver:
    """What stands out among the clips that can be used; the error itself tells of the others."""
    try:
        with hold_warnings():
            return look(skip_bad=True)
    except NearfarError:  # too few are left, or it was none of a clip's faults
        raise error from None


def _lines(faulty: NearfarError | None) -> tuple[str, ...]:
    return () if faulty is None else faulty.faults or (str(faulty),)


def _others(group: Sequence[Suspect]) -> list[str]:
    """The clips that a line has no room for: here, where one looks for them, all are named."""
    from nearfar.health.suspects import between, shown

    left = shown(group, everything=True)[len(shown(group)) :]
    return in_rows(left, 94, between(left))  # characters


def is_check(path: Path) -> bool:
    """Is a file plainly the JSON of a check?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"suspects": \[')
