"""Learning against refitting on simulated drift: `python -m bench.learning [FOLDER]`.

Writes docs/learn-simulated.md. FOLDER keeps what was measured, to print it anew.
"""

from __future__ import annotations

import os

# One core, before numpy starts its threads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402
from itertools import pairwise  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

import nearfar as nf  # noqa: E402
from bench.__main__ import OUTPUT, machine  # noqa: E402
from nearfar.detector.learning.drift import MORE, WIDER  # noqa: E402
from nearfar.files import write_text  # noqa: E402
from nearfar.metrics.roc import auc  # noqa: E402
from nearfar.runtime.runtime import Runtime  # noqa: E402
from nearfar.sim import SIM_VERSION  # noqa: E402
from nearfar.sim.scene import ClipKey, Moment, render  # noqa: E402
from nearfar.sound.audio import SAMPLE_RATE  # noqa: E402

MACHINES = ("valveEmu", "ToyCar", "bearingEmu")
SEEDS = (0, 1, 2, 3)
DRIFTS = {"none": 0.0, "slow": 1.0, "fast": 3.0}  # in the last week
# Clips of the first fits, and of which seeds and drifts; large ones take the longest.
COURSES = (((30, 100), SEEDS, tuple(DRIFTS)), ((300,), (0, 1), ("none", "slow")))
WEEKS, A_WEEK = 8, 15  # clips that are confirmed as normal
LOOKS = (2, 4, 8)  # weeks whose clips are judged
TESTS = 30  # of each label
SECONDS = 1.0
SEVERITY = 0.5  # of each machine's first fault: heard, but not at once
CURVE_DB, NOISE_DB = 2.0, 2.0  # of a drift of 1: SD of the colour in each channel, and more noise
CORNERS = np.array([20.0, 100, 250, 500, 1000, 2000, 4000, 8000])  # Hz
WAYS = ("nothing", "learn", "refit")
SPREADS = (0.0, 1.1, 1.25, 1.5, 2.0, 3.0, np.inf)  # bins
GROWTHS = (0.0, 0.5, 1.0, 2.0, 3.0, np.inf)


@dataclass(frozen=True)
class Row:
    """One look at one course."""

    drift: str
    fitted: int
    week: int
    growth: float  # clips learnt for each of the fit's
    spread: float
    auc: dict[str, float]
    alarms: dict[str, float]  # share of the normal clips above the threshold

    @property
    def gain(self) -> float:
        """AUC of a refit over that of learning."""
        return self.auc["refit"] - self.auc["learn"]


def aged(audio: np.ndarray, noise: np.ndarray, drift: float, seed: int) -> np.ndarray:
    """A clip after so much drift: another colour in each channel, and a louder hall."""
    curves = np.random.default_rng([seed, 77]).normal(0.0, CURVE_DB, (2, len(CORNERS)))
    louder = audio + noise * (10 ** (NOISE_DB * drift / 20) - 1)
    hertz = np.maximum(np.fft.rfftfreq(audio.shape[1], 1 / SAMPLE_RATE), CORNERS[0])
    gains = [np.interp(np.log(hertz), np.log(CORNERS), drift * curve) for curve in curves]
    coloured = np.fft.rfft(louder) * 10 ** (np.array(gains) / 20)
    return np.clip(np.fft.irfft(coloured, audio.shape[1]), -1, 1)


def clips(
    folder: Path, name: str, seed: int, drift: float, what: tuple[str, str], places: Sequence[int]
) -> list[nf.Clip]:
    """Recordings of one kind, written."""
    split, label = what
    found = []
    for i in places:
        faulty = Moment(SEVERITY) if label == "anomaly" else None
        made = render(ClipKey(name, split, "source", label, i, SECONDS), seed, None, faulty)
        path = folder / f"{drift:.3f}-{split}-{label}-{i:04d}.wav"
        if not path.exists():
            soundfile.write(path, aged(made.audio, made.noise, drift, seed).T, SAMPLE_RATE)
        found.append(nf.Clip(path, machine=name))
    return found


def course(name: str, seed: int, drift: str, root: Path, fitted: Sequence[int]) -> list[Row]:
    """A machine over eight weeks, with each of the fits."""
    folder = root / f"{name}-{seed}"
    folder.mkdir(exist_ok=True)
    runtime, end = Runtime(cache=root / "cache"), DRIFTS[drift]
    first = clips(folder, name, seed, 0.0, ("train", "normal"), range(max(fitted)))
    detectors = {n: nf.fit(nf.s4(), first[:n], runtime) for n in fitted}
    grown, rows, since = dict(detectors), [], []
    for week in range(1, WEEKS + 1):
        now = end * week / WEEKS
        begin = max(fitted) + (week - 1) * A_WEEK
        new = clips(folder, name, seed, now, ("train", "normal"), range(begin, begin + A_WEEK))
        since += new
        grown = {n: d.learn(new, runtime, accept_suspects=True) for n, d in grown.items()}
        if week not in LOOKS:
            continue
        numbers = range(week * TESTS, (week + 1) * TESTS)
        tests = [
            clips(folder, name, seed, now, ("test", label), numbers)
            for label in ("normal", "anomaly")
        ]
        for n in fitted:
            refit = nf.fit(nf.s4(), [*first[:n], *since], runtime)
            ways = dict(zip(WAYS, (detectors[n], grown[n], refit), strict=True))
            normal, odd = (
                {way: d.score(some, runtime) for way, d in ways.items()} for some in tests
            )
            drifted = grown[n].drift(name)
            rows.append(
                Row(
                    drift, n, week, len(since) / n, drifted.spread,
                    {w: auc([v.score for v in normal[w]], [v.score for v in odd[w]]) for w in WAYS},
                    {w: float(np.mean([v.anomalous for v in normal[w]])) for w in WAYS},
                )
            )  # fmt: skip
    return rows


def measured(fitted: Sequence[int], seeds: Sequence[int], drifts: Sequence[str]) -> list[Row]:
    """All courses of some first fits."""
    rows = []
    with tempfile.TemporaryDirectory() as root:
        for name in MACHINES:
            for seed in seeds:
                for drift in drifts:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", nf.NearfarWarning)  # of suspects
                        rows += course(name, seed, drift, Path(root), fitted)
                    print(name, seed, drift, file=sys.stderr, flush=True)
    return rows


def interval(values: Sequence[float]) -> str:
    """Mean, and twice its standard error."""
    if len(values) < 2:
        return "–"
    error = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{100 * float(np.mean(values)):+.1f} ± {100 * error:.1f}"


def courses(rows: Sequence[Row]) -> list[str]:
    """AUC and false alarms by drift, first fit and week."""
    lines = []
    for drift in DRIFTS:
        for n in sorted({r.fitted for r in rows if r.drift == drift}):
            for week in LOOKS:
                mine = [r for r in rows if (r.drift, r.fitted, r.week) == (drift, n, week)]
                cells = [f"{100 * np.mean([r.auc[w] for r in mine]):.1f}" for w in WAYS]
                cells += [f"{100 * np.mean([r.alarms[w] for r in mine]):.0f}" for w in WAYS]
                spread = f"{np.median([r.spread for r in mine]):.2f}"
                gain = interval([r.gain for r in mine])
                lines.append(
                    f"| {drift} | {n} | {week} | {spread} | {' | '.join(cells)} | {gain} |"
                )
    return lines


def binned(rows: Sequence[Row], of: Callable[[Row], float], edges: Sequence[float]) -> list[str]:
    """What a refit brings over learning, by a number."""
    lines = []
    for low, high in pairwise(edges):
        mine = [r for r in rows if low <= of(r) < high]
        if mine:
            upto = f"to {high:g}" if np.isfinite(high) else "and more"
            alarms = [f"{100 * np.mean([r.alarms[w] for r in mine]):.0f}" for w in WAYS]
            gain = interval([r.gain for r in mine])
            lines.append(f"| {low:g} {upto} | {len(mine)} | {gain} | {' | '.join(alarms)} |")
    return lines


def by_fit(rows: Sequence[Row]) -> list[str]:
    """The same by the clips of the first fit."""
    return [
        line.replace(f"| {n} to {n + 1} |", f"| {n} |")
        for n in sorted({r.fitted for r in rows})
        for line in binned(rows, lambda r: r.fitted, (n, n + 1))
    ]


PAGE = """# Learning against refitting, on simulated drift

Printed by `python -m bench.learning`; do not edit. SIMULATED v{version} seeds {seeds}. Machine: \
{machine}.

{machines}; s4; {seconds:g} s clips. A detector is fitted on n normal clips. For {weeks} weeks the
machine's normal sound drifts: each channel takes on another colour (SD {curve:g} dB at corners an
octave or so apart, for a drift of 1) and the hall becomes louder ({noise:g} dB). Each week {a_week}
clips are confirmed as normal. *slow* ends at a drift of 1, *fast* at 3. In weeks {looks} {tests}
normal and {tests} anomalous clips of that week (each machine's first fault, severity {severity:g})
are judged by a detector that does **nothing**, by one that has **learnt** all confirmed clips, and
by a **refit** on these and the first n.

*spread*: how wide what is known spreads in the whitened units of the fit, 1 without drift
(`nearfar learn` prints it), median. False alarms: of the normal clips, 10 % asked for. *refit −
learn*: AUC, percent, mean over machines and seeds ± 1.96 standard errors. First fits of 300 clips:
seeds {few}, without the fast drift.

| drift | n | week | spread | AUC: nothing | learn | refit | \
false alarms %: nothing | learn | refit | refit − learn |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
{courses}

## From when on a refit is better

By spread, all courses:

| spread | looks | refit − learn | false alarms %: nothing | learn | refit |
|---|--:|--:|--:|--:|--:|
{spreads}

By clips learnt for each of the fit's, courses without drift:

| learnt per clip fitted | looks | refit − learn | false alarms %: nothing | learn | refit |
|---|--:|--:|--:|--:|--:|
{growths}

By clips of the first fit, courses without drift; s4 has 120 features:

| fitted | looks | refit − learn | false alarms %: nothing | learn | refit |
|---|--:|--:|--:|--:|--:|
{sizes}

Doing nothing calls a machine that has drifted anomalous for good. Learning its clips takes most
of the alarms away and brings back most of the AUC. Without drift a refit is better only where the
first fit had few clips for the features: it whitens by more. How many were learnt draws no border
of its own. From a spread of {wider:g} on a refit is better over all courses, and there
`nearfar learn` advises one; and where as many clips were learnt or forgotten as the fit had
({more:g} for each), since these whiten too.

False alarms of a new condition are not kept where its clips are few beside the fit's, as with 300:
the threshold is that of all clips together, and spread hardly rises. A refit brings them down,
not to what was asked for. So `nearfar learn` counts how many of the clips learnt are above the
threshold, each held out, and advises a refit where that is far more than asked for: twice the
rate is expected then, and more than the rate with 95 % confidence. That count was not part of
this measurement.

Only the whitening was measured so: that another tier or a first target clip asks for a refit is no
measurement, it is what a fit would do otherwise. Choices were made on simulated data alone.
"""


def rows_of(folder: Path | None) -> list[Row]:
    """What was measured before, or is now."""
    rows = []
    for fitted, seeds, drifts in COURSES:
        path = None if folder is None else folder / f"fitted-{fitted[0]}.json"
        if path is not None and path.exists():
            rows += [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
            continue
        found = measured(fitted, seeds, drifts)
        if path is not None:
            write_text(path, json.dumps([asdict(row) for row in found]))
        rows += found
    return rows


def main() -> None:
    rows = rows_of(Path(sys.argv[1]) if sys.argv[1:] else None)
    still = [row for row in rows if row.drift == "none"]
    text = PAGE.format(
        version=SIM_VERSION, seeds=", ".join(map(str, SEEDS)), machine=machine(),
        machines=", ".join(MACHINES), seconds=SECONDS, weeks=WEEKS, curve=CURVE_DB, noise=NOISE_DB,
        a_week=A_WEEK, looks=", ".join(map(str, LOOKS)), tests=TESTS,
        courses="\n".join(courses(rows)),
        spreads="\n".join(binned(rows, lambda r: r.spread, SPREADS)),
        growths="\n".join(binned(still, lambda r: r.growth, GROWTHS)), severity=SEVERITY,
        sizes="\n".join(by_fit(still)), few=", ".join(map(str, COURSES[1][1])),
        wider=WIDER, more=MORE,
    )  # fmt: skip
    write_text(OUTPUT.with_name("learn-simulated.md"), text)


if __name__ == "__main__":
    main()
