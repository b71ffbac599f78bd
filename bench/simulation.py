"""Writes docs/simulation.md: what the simulation is, with tables measured by this program.

python -m bench.simulation            # some ten minutes on two cores: renders the dev set
python -m bench.simulation --quick    # the small set instead, to look at; writes nothing
"""

from __future__ import annotations

import cProfile
import os
import pstats
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bench.__main__ import OUTPUT, machine
from nearfar.files import write_text
from nearfar.frontend import CoherenceMask, FarCancel
from nearfar.sim import PRESETS, SIM_VERSION, label
from nearfar.sim.calibrate import report as statistics_report
from nearfar.sim.difficulty import measure
from nearfar.sim.difficulty import report as difficulty_report
from nearfar.sim.machines import MACHINES
from nearfar.sim.scene import ClipKey, render
from nearfar.sound.spectral import istft, stft

SEED = 0
CLIPS = 24  # of each machine in the table of front ends
TEXT = """# The simulated data set

{label}. Printed by `python -m bench.simulation`; do not edit. Machine: {machine}.

`nearfar simulate OUT --preset mini|small|dev|stress` makes recordings of seven machines with a near
and a far microphone, in the layout and with the names of the DCASE 2026 Task 2 development set. The
real recordings cannot travel with this project; these can be made by anyone in seconds.

A clip is a pure function of (version, seed, clip): any clip alone, in any order, by any number of
workers, has the same bytes on the same platform. `nearfar simulate --describe fan` prints the physics
of a machine, its conditions, its faults and every knob of its scene.

## What may be concluded from it, and what not

It shows that the pipeline runs end to end on data of this shape; that estimators are right where the
truth is known; how a switch changes results *here*, with seeds and intervals; speed and memory.

It does not predict a DCASE score or ranking, nor that an ablation's sign carries over; its faults are
plausible, not measured; its rooms are computed, those of the "Emu" machines were measured. No
threshold for a real machine follows from it.

Its knobs were set on the statistics of normal clips and on the four simple baselines below, never on
Systems 1 to 4 of the report. SIM_VERSION = {version} was frozen before any of them was run on it.

## Statistics of normal clips, and what they should be

The targets are the report's (§2.1.1) where it gives one, else the line ratios and tiers that the
literature on the real set gives; tolerances are stated beside them.

```
{statistics}
```

## Difficulty

AUC (source) / AUC (target) / pAUC in per cent for each machine, and Ω. The level alone must stay at
chance; the oracle hears the machine without noise: what denoising could gain.

`{preset}`, {label}:

```
{difficulty}
```

## What each front end does to the near channel

Medians over {clips} anomalous and normal source clips of each machine, dB. SNR is the machine's power
over the noise's at the near microphone, before and after, with the front end fitted on the mixture
and applied to both parts; SI-SDR is against the machine's sound at the near microphone. Negative
gains are where it hurts: the far microphone hears much of the machine too.

{frontends}

## A pump that wears out

`nearfar simulate OUT --preset wear` makes no data set but a course of time: a centrifugal pump beside
a noisy line, 4 s an hour for ten days, whose names carry date and time. `OUT/normal/` has the first
five days, to fit on; `OUT/watched/` two more healthy days and then three of a spall on the inner race
of the pump's bearing. How worn it was says `OUT/ground_truth.jsonl`, which neither fit nor score reads.

The blows come 5.4 times a turn (9 balls of 0.2 pitch diameters), slip by 1 to 2 % from where they
should be, are strong where the spall passes under the load once a turn, and ring in the housing
(R. B. Randall and J. Antoni, *Rolling element bearing diagnostics – a tutorial*, Mechanical Systems
and Signal Processing 25, 2011; spalling by fatigue: ISO 15243). They are added to the healthy pump,
which has the same samples beneath at any severity, at a level over it that grows from −30 dB to +6 dB
by the same number of decibels each hour. The line is 5 dB louder by day (6 to 22 o'clock) than by
night; from clip to clip its noise differs in level, colour and kind, as everywhere here.

The pump is in no other preset, and changes no clip of them. What comes of it over 20 seeds, and how
audible the fault is at either end: [The demo](demo.md).

## Speed

{speed}
"""


def si_sdr(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio, dB (Le Roux et al., ICASSP 2019)."""
    scaled = np.dot(estimate, truth) / np.dot(truth, truth) * truth
    return float(10 * np.log10(np.sum(scaled**2) / np.sum((estimate - scaled) ** 2)))


def apply(frontend: CoherenceMask | FarCancel, mixture: np.ndarray, part: np.ndarray) -> np.ndarray:
    """What a front end that was fitted on the mixture does to one part of it: it is linear then."""
    near, far = part
    if isinstance(frontend, CoherenceMask):
        return istft(frontend.mask(mixture) * stft(near), near.size)
    h = frontend.filter(mixture)[:, None]
    n_fft, hop = frontend.n_fft, frontend.hop
    return near - istft(h * stft(far, n_fft, hop), far.size, n_fft, hop)


def frontends() -> str:
    parts = {"CoherenceMask": CoherenceMask(), "FarCancel": FarCancel()}
    rows = [
        "| machine | SNR before | "
        + " | ".join(f"{n}: SNR gain | SI-SDR gain" for n in parts)
        + " |",
        "|---|--:|" + "--:|--:|" * len(parts),
    ]
    for name in MACHINES:
        before, gains = [], {part: ([], []) for part in parts}
        for i in range(CLIPS):
            key = ClipKey(name, "test", "source", ("normal", "anomaly")[i % 2], i // 2, 6.0)
            clip = render(key, SEED)
            snr = 10 * np.log10(np.sum(clip.machine[0] ** 2) / np.sum(clip.noise[0] ** 2))
            before.append(snr)
            for part, frontend in parts.items():
                sound, rest = (apply(frontend, clip.audio, x) for x in (clip.machine, clip.noise))
                after = 10 * np.log10(np.sum(sound**2) / np.sum(rest**2))
                gains[part][0].append(after - snr)
                clean = frontend(clip.audio)[0]
                direct = si_sdr(clip.audio[0], clip.machine[0])
                gains[part][1].append(si_sdr(clean, clip.machine[0]) - direct)
        cells = " | ".join(
            f"{np.median(snr):+.1f} | {np.median(sdr):+.1f}" for snr, sdr in gains.values()
        )
        rows.append(f"| {name} | {np.median(before):+.1f} | {cells} |")
    return "\n".join(rows)


def statistics_text() -> str:
    lines: list[str] = []
    statistics_report(SEED, 32, lines.append)
    return "\n".join(lines)


def speed() -> str:
    keys = [
        ClipKey(name, "train", "source", "normal", i, m.seconds)
        for i in range(12)
        for name, m in MACHINES.items()
    ]
    for key in keys[:7]:
        render(key, SEED)  # rooms are computed once
    start = time.process_time()
    for key in keys:
        render(key, SEED)
    each = (time.process_time() - start) / len(keys)
    profile = cProfile.Profile()
    with timed_deviates() as deviates:
        start = time.process_time()
        profile.runcall(lambda: [render(key, SEED) for key in keys[:21]])
        whole = time.process_time() - start
    rows = pstats.Stats(profile).stats.items()
    ffts = sum(row[2] for f, row in rows if any(w in f[2] for w in ("r2c", "c2r", "c2c")))
    return (
        f"{1000 * each:.0f} ms a native-length clip on one core ({1 / each:.0f} clips/s); of a "
        f"profiled run {100 * ffts / whole:.0f} % in FFTs, {100 * sum(deviates) / whole:.0f} % in "
        "normal deviates."
    )


@contextmanager
def timed_deviates() -> Iterator[list[float]]:
    """Seconds of each call that draws normal deviates; a profiler does not see them."""
    taken: list[float] = []

    class Timed(np.random.Generator):
        def standard_normal(self, *arguments, **named):
            start = time.perf_counter()
            drawn = super().standard_normal(*arguments, **named)
            taken.append(time.perf_counter() - start)
            return drawn

    plain = np.random.default_rng
    np.random.default_rng = lambda seed=None: Timed(np.random.PCG64(seed))
    try:
        yield taken
    finally:
        np.random.default_rng = plain


def main() -> None:
    preset = "small" if "--quick" in sys.argv else "dev"
    workers = os.cpu_count() or 1
    text = TEXT.format(
        label=label(SEED),
        machine=machine(),
        version=SIM_VERSION,
        statistics=statistics_text(),
        preset=preset,
        difficulty=difficulty_report(measure(PRESETS[preset], SEED, workers)),
        clips=CLIPS,
        frontends=frontends(),
        speed=speed(),
    )
    if preset == "dev":
        write_text(OUTPUT.parent / "simulation.md", text)
    print(text)


if __name__ == "__main__":
    main()
