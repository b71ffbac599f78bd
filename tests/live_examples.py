"""The examples of docs/outputs-live.md: what the outputs really say of a made-up hour.

python -m live_examples  # in tests/: writes them into the page anew
"""

import re
import textwrap
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from prometheus_client.openmetrics.exposition import generate_latest

from bulletins import AT, event, seen, standing
from nearfar.service.news import Bulletin, MachineNow, OutputHealth, WatchNow
from nearfar.service.outputs import gauges
from nearfar.service.outputs.discovery import discovery_json
from nearfar.service.outputs.said import (
    bulletin_json,
    clip_json,
    event_json,
    state_json,
    told_json,
)
from nearfar.service.outputs.topics import identifier, level

PAGE = Path(__file__).resolve().parents[1] / "docs" / "outputs-live.md"
BLOCK = r"(<!-- example {} -->\n+```[a-z]*\n).*?(\n```)"

TOLD = "pump: 3 of the last 5 clips sound wrong; listen to it"
CLIP = replace(
    seen(40), name="pump/0040.wav", score=3.25, percentile=1.0, p_value=1 / 991,
    nearest="train/0007.wav", digest="9f86d081884c7d659a2feaa0c55ad015" * 2,
)  # fmt: skip
RAISED = replace(event(7), at=CLIP.arrived, told=TOLD)
PUMP = MachineNow(
    "pump", "00", 40, True, (), CLIP, CLIP, (replace(standing(), since=CLIP.arrived, told=TOLD),)
)
ALL = Bulletin(PUMP, CLIP, (RAISED,), row=1040)
WATCH = WatchNow(
    AT, ready=True, machines={("pump", "00"): PUMP}, queued=0, clips=40, sources={"hall": ""},
    outputs=(OutputHealth("mqtt", up=True),),
)  # fmt: skip


class _Collected:
    def collect(self):
        found = gauges.families(
            WATCH, {(("pump", "00"), "judged"): 38, (("pump", "00"), "idle"): 2},
            CLIP.arrived + timedelta(seconds=4),
        )  # fmt: skip
        return [f for f in found if f.name != "nearfar_build"]  # it would change with each version


def lines(document):
    """One line of JSON as a page shows it: blanks become ends of lines, nothing else changes."""
    return textwrap.fill(document, 76, break_long_words=False, break_on_hyphens=False)


def examples():
    """Name → text."""
    identity = identifier("nearfar", "pump", "00")
    topics = {
        name: level(name) for name in ("pump 7", "hall/pump", "a+b#", "50 %", "x\ny", "", "Lüfter")
    }
    return {
        "line": lines(bulletin_json(ALL)),
        "state": lines(state_json(PUMP)),
        "clip": lines(clip_json(CLIP, ALL.row)),
        "alarm": lines(event_json(RAISED)),
        "device": lines(
            re.sub(
                r'"sw_version": "[^"]*"', '"sw_version": "0.1.0"',
                discovery_json(identity, "nearfar/pump/00/state", "nearfar/status", PUMP_KEY),
            )
        ),
        "names": "\n".join(f"{name!r:14} nearfar/{topics[name]}/00/state" for name in topics),
        "metrics": generate_latest(_Collected()).decode().rstrip(),
        "stdin": lines(told_json(RAISED, ALL)),
    }  # fmt: skip


PUMP_KEY = ("pump", "00")


def filled(page):
    """The page with every example as it is now."""
    for name, text in examples().items():
        page, count = re.subn(
            BLOCK.format(name), lambda m, text=text: m[1] + text + m[2], page, flags=re.DOTALL
        )
        assert count == 1, f"no place for the example {name}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), encoding="utf-8")
