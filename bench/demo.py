"""Writes docs/demo.md: how worn the demo's pump is when its alarm comes, over many seeds.

python -m bench.demo                  # twenty seeds, two processes: some minutes
python -m bench.demo --seeds 2        # fewer, to look at; writes nothing
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tools.wear import Outcome, outcome, truth

import nearfar as nf
from bench.__main__ import OUTPUT, machine
from nearfar.files import write_text
from nearfar.scores.alarms import AlarmRule, histories
from nearfar.sim import label, simulate
from nearfar.sim.machines.pump import FAINTEST_DB, LOUDEST_DB, fault_db
from nearfar.sim.plan import Item
from nearfar.sim.scene import Moment, render
from nearfar.sim.version import SIM_VERSION
from nearfar.sim.wear import FAULTY, FITTED, HEALTHY, SECONDS, WEAR, course
from nearfar.sound.audio import SAMPLE_RATE

SEEDS = 20
# Rate of false alarms and rule of `make demo`, chosen by what they promise; others to compare.
CHOSEN = (0.05, AlarmRule(3, 5))
CHOICES = (
    (0.10, AlarmRule(1, 1)), (0.05, AlarmRule(1, 1)), (0.01, AlarmRule(1, 1)),
    (0.10, AlarmRule(3, 5)), CHOSEN, (0.05, AlarmRule(2, 3)),
)  # fmt: skip
# Zwicker's critical bands (JASA 33, 1961), Hz: within one a sound is heard over the rest or not.
BARKS = (
    100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700,
    4400, 5300, 6400, 7700,
)  # fmt: skip
TEXT = """# The demo: a pump wears out

{label}, seeds 0 to {last}. Printed by `python -m bench.demo`; do not edit. Machine: {machine}.

`make demo` simulates a pump beside a noisy line, one recording of {seconds:g} s an hour with a
microphone near it and one far: {fitted} hours of a healthy pump to fit on, {healthy} more of them
and then {faulty} hours of a spall that grows on the inner race of its bearing to watch
([how it sounds](simulation.md#a-pump-that-wears-out)). It fits System 4 on the first part, then
asks `nearfar timeline` about the rest, which writes this page (SIMULATED, seed 0; the picture is
taken by `python -m tools.picture`):

![Scores of 120 recordings over five days: below the threshold until 10 March, 17:00, far above it
from then on](pictures/demo-timeline.png)

## What was chosen, and how

- **The fault** grows from {faintest:g} dB to {loudest:+g} dB over the healthy pump, by the same
  number of decibels each hour. That was set before any detector heard it, and was not changed
  since.
- **The threshold and the rule**: one in twenty healthy recordings may be above the threshold
  (`--false-alarm-rate 0.05`), and an alarm is three of the last five (`--alarm 3/5`). Were
  recordings independent, any five in a row would have three above by chance once in {once}: less
  than one alarm a month at 24 recordings a day. It was chosen for that promise. One in a hundred
  and single recordings promise one alarm in four days, and hang on the one or two highest of
  {fitted} scores.

## Can the fault be heard?

Level of the fault over everything else at the near microphone, dB: of the whole signal, and in the
critical band where it stands out most. A steady tone is masked while it lies some 2 to 6 dB below
the noise in its critical band (Fastl and Zwicker, *Psychoacoustics*, 2007); blows are short, and
may be heard somewhat earlier. Medians over {seeds} seeds, in brackets lowest and highest.

{levels}

So it is far from audible when it begins, and plain when it ends.

## When the alarm comes

Over {seeds} seeds; median, in brackets lowest and highest of those with an alarm.

{outcomes}

{misses}

## What other choices would have given

The same {seeds} courses and scores, other thresholds and rules. The demo's is marked; it stays what
it is, whatever stands here. "By chance" is what is promised of healthy, independent recordings; the
false alarms were counted in {healthy} healthy hours a seed, {hours} in all.

{choices}

## Seed by seed

{seeds_table}

## What follows, and what does not

That this fault, in this simulated hall, is found when its level is {median:+.1f} dB against the
pump's. Nothing about another machine, fault or hall: the pump, the line and the room are computed
([what may be concluded](simulation.md#what-may-be-concluded-from-it-and-what-not)). The healthy
hours that were watched are of the same kind as those fitted on; a real machine has other days.

The whole takes {took:.0f} s a seed on one core of this machine, most of it the simulation.
"""


@dataclass(frozen=True)
class Levels:
    """The fault over everything else at the near microphone, dB."""

    broad: float  # of the whole signal
    band: float  # in the critical band where it stands out most
    hertz: float  # the middle of that band


@dataclass(frozen=True)
class Course:
    """One seed: what each choice came to, and how loud the fault was."""

    seed: int
    outcomes: tuple[Outcome, ...]  # of each of CHOICES
    levels: tuple[Levels, Levels, Levels | None]  # first and last worn recording, at the alarm
    took: float  # s


def levels(item: Item, seed: int) -> Levels:
    """The fault over pump and noise in one recording."""
    moment = item.moment or Moment(0.0)
    worn = render(item.key, seed, moment=moment)
    rest = render(item.key, seed, moment=Moment(0.0, moment.louder_db))
    # The pump and the noise beneath are the same bits: what remains is the fault, as heard.
    powers = [np.abs(np.fft.rfft(x.astype(float))) ** 2
              for x in (worn.machine[0] - rest.machine[0], rest.audio[0])]  # fmt: skip
    hertz = np.fft.rfftfreq(rest.audio.shape[1], 1 / SAMPLE_RATE)
    at = np.searchsorted(hertz, BARKS)
    fault, other = (np.add.reduceat(p, at)[:-1] for p in powers)
    best = int(np.argmax(fault / other))
    broad = 10 * np.log10(powers[0].sum() / powers[1].sum())
    return Levels(float(broad), float(10 * np.log10(fault[best] / other[best])),
                  (BARKS[best] + BARKS[best + 1]) / 2)  # fmt: skip


def run_seed(seed: int) -> Course:
    """Simulate, fit, watch, and hold against the truth."""
    begun = time.process_time()
    runtime = nf.Runtime(workers=1, cache=None)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pump"
        simulate(place, WEAR, seed)
        normal = nf.Clips.open(place / "normal", split="train", machine="pump")
        detector = nf.fit(nf.s4(), normal, runtime)
        clips = nf.Clips.open(place / "watched", machine="pump")
        severities = truth(place)[1]
        verdicts = {}
        for rate in {rate for rate, _ in CHOICES}:
            verdicts[rate] = detector.with_false_alarm_rate(rate).score(clips, runtime)
    outcomes = tuple(outcome(_as_rows(verdicts[rate], rule), severities) for rate, rule in CHOICES)
    items = course()
    hours = outcomes[CHOICES.index(CHOSEN)].hours
    begin = FITTED + HEALTHY
    found = None if hours is None else levels(items[begin + hours], seed)
    return Course(
        seed, outcomes, (levels(items[begin], seed), levels(items[-1], seed), found),
        time.process_time() - begun,
    )  # fmt: skip


def _as_rows(scores: nf.Scores, rule: AlarmRule) -> dict[str, list[dict[str, object]]]:
    (history,) = histories(scores, rule)
    pairs = zip(history.verdicts, history.lasting, strict=True)
    return {"scores": [{**v.as_dict(), "lasting": stands} for v, stands in pairs]}


def spread(values: Sequence[float], form: str) -> str:
    """Median, lowest and highest."""
    if not values:
        return "–"
    middle, low, high = (format(f(values), form) for f in (np.median, min, max))
    return f"{middle} ({low} to {high})"


def levels_table(found: Sequence[Course]) -> str:
    """Whole signal and best band, at three moments."""
    rows = ["| recording | severity | fault over pump | over everything, whole | in its best "
            "critical band | around, Hz |", "|---|--:|--:|--:|--:|--:|"]  # fmt: skip
    chosen = CHOICES.index(CHOSEN)
    alarmed = [c for c in found if c.levels[2] is not None]
    for n, name in enumerate(("first worn", "at the first lasting alarm", "last")):
        place = (0, 2, 1)[n]
        of = [c.levels[place] for c in (alarmed if place == 2 else found)]
        severity = {
            0: f"{1 / FAULTY:.2f}",
            1: "1.00",
            2: spread([c.outcomes[chosen].severity for c in alarmed], ".2f"),
        }[place]
        over = {
            0: f"{fault_db(1 / FAULTY):+.1f}",
            1: f"{fault_db(1.0):+.1f}",
            2: spread([fault_db(c.outcomes[chosen].severity) for c in alarmed], "+.1f"),
        }[place]
        hertz = f"{np.median([x.hertz for x in of]):,.0f}" if of else "–"
        rows.append(
            f"| {name} | {severity} | {over} | {spread([x.broad for x in of], '+.1f')} | "
            f"{spread([x.band for x in of], '+.1f')} | {hertz} |"
        )
    return "\n".join(rows)


def outcomes_table(found: Sequence[Course]) -> str:
    """The demo's own choice."""
    of = [c.outcomes[CHOICES.index(CHOSEN)] for c in found]
    heard = [o for o in of if o.severity is not None]
    at = [c.levels[2] for c in found if c.levels[2] is not None]
    rows = [
        ("seeds with a lasting alarm while the bearing wore", f"{len(heard)} of {len(of)}"),
        ("severity at the first lasting alarm, 0 to 1", spread([o.severity for o in heard], ".2f")),
        ("fault over pump there, dB", spread([fault_db(o.severity) for o in heard], "+.1f")),
        ("fault over everything in its best critical band there, dB",
         spread([x.band for x in at], "+.1f")),
        ("hours from the first worn recording", spread([o.hours for o in heard], ".0f")),
        ("false lasting alarms in the healthy hours before, a seed",
         f"{np.mean([o.lasting for o in of]):.2f} ({sum(o.lasting for o in of)} in all)"),
        ("single recordings above the threshold there, a seed",
         f"{np.mean([o.single for o in of]):.2f} of {HEALTHY} "
         f"({100 * sum(o.single for o in of) / (HEALTHY * len(of)):.1f} %)"),
    ]  # fmt: skip
    return "| what | value |\n|---|--:|\n" + "\n".join(f"| {a} | {b} |" for a, b in rows)


def choices_table(found: Sequence[Course]) -> str:
    """All choices side by side."""
    rows = ["| rate | alarm | by chance once in | false alarms, healthy hours for each | "
            "with alarm | severity at the alarm | fault over pump, dB |",
            "|--:|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    for n, (rate, rule) in enumerate(CHOICES):
        of = [c.outcomes[n] for c in found]
        heard = [o.severity for o in of if o.severity is not None]
        false = sum(o.lasting for o in of)
        hours = HEALTHY * len(of)
        each = f"{false}, one in {hours / false:.0f}" if false else f"0 in {hours}"
        name = f"{rule}{' (the demo)' if (rate, rule) == CHOSEN else ''}"
        rows.append(
            f"| {rate:g} | {name} | {float(f'{1 / rule.chance(rate):.2g}'):,.0f} | {each} | "
            f"{len(heard)} of {len(of)} | {spread(heard, '.2f')} | "
            f"{spread([fault_db(s) for s in heard], '+.1f')} |"
        )
    return "\n".join(rows)


def seeds_table(found: Sequence[Course]) -> str:
    """A row a seed, of the demo's choice."""
    rows = ["| seed | severity at the alarm | fault over pump, dB | hours | false lasting alarms | "
            "single recordings above before |", "|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    for c in found:
        o = c.outcomes[CHOICES.index(CHOSEN)]
        cells = ("none", "–", "–")
        if o.severity is not None:
            cells = (f"{o.severity:.2f}", f"{fault_db(o.severity):+.1f}", f"{o.hours}")
        rows.append(f"| {c.seed} | {' | '.join(cells)} | {o.lasting} | {o.single} |")
    return "\n".join(rows)


def text(found: Sequence[Course]) -> str:
    """The page."""
    of = [c.outcomes[CHOICES.index(CHOSEN)] for c in found]
    heard = [o.severity for o in of if o.severity is not None]
    silent = [str(c.seed) for c, o in zip(found, of, strict=True) if o.severity is None]
    rate, rule = CHOSEN
    return TEXT.format(
        label=f"SIMULATED v{SIM_VERSION}", last=len(found) - 1, machine=machine(),
        seconds=SECONDS, fitted=FITTED, healthy=HEALTHY, faulty=FAULTY, faintest=FAINTEST_DB,
        loudest=LOUDEST_DB, once=f"{float(f'{1 / rule.chance(rate):.2g}'):,.0f}",
        seeds=len(found), levels=levels_table(found), outcomes=outcomes_table(found),
        misses=f"Without an alarm: seeds {', '.join(silent)}." if silent
        else "Every seed had its alarm.",
        choices=choices_table(found), hours=f"{HEALTHY * len(found):,}",
        seeds_table=seeds_table(found),
        median=np.median([fault_db(s) for s in heard]) if heard else np.nan,
        took=np.median([c.took for c in found]),
    )  # fmt: skip


def main() -> None:
    """Run all seeds and write the page."""
    seeds = int(sys.argv[2]) if sys.argv[1:2] == ["--seeds"] else SEEDS
    print(f"{label(0)} …: {seeds} seeds", file=sys.stderr)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(2, seeds), mp_context=context) as pool:
        found = list(pool.map(run_seed, range(seeds)))
    page = text(found)
    if seeds == SEEDS:
        write_text(OUTPUT.parent / "demo.md", page)
    print(page)


if __name__ == "__main__":
    main()
