"""Clips as a station is given them, at one each ten seconds."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from nearfar.service.alarms.normality import Normality
from nearfar.service.alarms.point import Numbering
from nearfar.service.alarms.station import Station
from nearfar.service.alarms.wishes import AlarmSettings
from nearfar.service.observation import Observation

START = datetime(2026, 11, 29, 6, 0, tzinfo=UTC)
PACE = 10.0  # s


def at(n):
    """When the n-th clip came."""
    return START + timedelta(seconds=PACE * n)


def normal(**changed):
    """A machine of 99 normal clips and 10 % false alarms."""
    known = {"machine": "pump", "section": "00", "n": 99, "allowed": 9, "rate": 0.1,
             "seconds": 10.0, "gate": -60.0}  # fmt: skip
    return Normality(**known | changed)


def station(settings=None, state="", numbers=None, normality=None):
    return Station(
        "pump",
        "00",
        normality or normal(),
        settings or AlarmSettings(),
        numbers or Numbering(),
        state,
    )


def heard(n, status="judged", p=0.5, above=None, faults=(), detector="9f86d081884c"):
    """The n-th clip."""
    judged = status == "judged"
    if above is None:
        above = p <= 0.1
    return Observation(
        source="hall", name=f"{n}.wav", path=f"{n}.wav", machine="pump", section="00", time=at(n),
        arrived=at(n), seconds=10.0, digest=f"{n:064x}", status=status, faults=tuple(faults),
        score=1.5 if judged else None, p_value=p if judged else None,
        threshold=1.0 if judged else None, anomalous=above if judged else None,
        detector=detector if judged else "",
    )  # fmt: skip


def deed(verb, alarm, n, until=None, note=""):
    """What somebody did when the n-th clip came; later ones have higher numbers."""
    return SimpleNamespace(id=n + 1, verb=verb, alarm=alarm, at=at(n), note=note, until=until)


def verbs(events):
    return [(event.kind, event.condition, event.verb) for event in events]


def write_history(place):
    """Of a pump that sounds wrong, and cannot be heard from far: two alarms, 1 and 2."""
    # Here: others need no database.
    from nearfar.service.history.changes import Change
    from nearfar.service.history.store import HistoryStore

    store, here = HistoryStore.open(str(place)), station()
    for n in range(5):
        faults = ("far dead",) if n > 2 else ()
        seen = heard(n, "unjudged" if faults else "judged", p=0.01, faults=faults)
        events = here.take(seen)
        store.keep(Change(seen, (), events, here.changed, (("pump", "00"), here.state)))
    store.close()
    return place
