"""What outputs are told, made by hand."""

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from nearfar.service.news import AlarmEvent, Bulletin, MachineNow, StandingAlarm
from nearfar.service.observation import Observation

AT = datetime(2026, 11, 29, 22, 0, tzinfo=UTC)
NAMES = (
    "pump",
    "",
    "hall/a+b",
    "#",
    "a\nb\x00",
    "b\udcff.wav",
    "%",
    "Lüfter 7",
    "\uffff",
    "x" * 900,
)


def seen(number=1, machine="pump", **changes):
    """A judged clip."""
    made = Observation(
        source="hall", name=f"{machine}/{number}.wav", path=f"/data/{machine}/{number}.wav",
        machine=machine, section="00", time=AT, arrived=AT + timedelta(seconds=number),
        seconds=10.0, digest=f"{number:064x}", status="judged", score=1.0 + number, threshold=2.0,
        percentile=0.9, p_value=0.1, anomalous=number > 1, nearest="normal.wav", near_level=-20.0,
        far_level=-40.0, ratio=20.0, coherence=0.5, detector="0123456789ab",
    )  # fmt: skip
    return replace(made, **changes)


def event(number, verb="raised", kind="machine", machine="pump", **changes):
    """What became of alarm 3."""
    made = AlarmEvent(
        number, 3, kind, "sound", machine, "00", verb, AT, f"{machine}: 3 of the last 5 clips"
    )
    return replace(made, **changes)


def standing(number=3, kind="machine", machine="pump", **changes):
    """An alarm that stands."""
    return replace(
        StandingAlarm(number, kind, "sound", machine, "00", since=AT, told="3 of 5"), **changes
    )


def told(number=1, machine="pump", events=(), clip=True, **changes):
    """A bulletin of a judged clip."""
    clip_seen = seen(number, machine) if clip else None
    now = MachineNow(machine, "00", clips=number, running=True, last=clip_seen, judged=clip_seen)
    return Bulletin(replace(now, **changes), clip_seen, tuple(events), row=number)


def uninstall(monkeypatch, package):
    """As if a package were not installed."""

    class Gone:
        def find_spec(self, name, path=None, target=None):
            if name == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Gone(), *sys.meta_path])
