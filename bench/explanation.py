"""How often an explanation points at the fault: `python -m bench.explanation [--quick]`.

Writes docs/explain.md. Faults that add a sound are simulated; what they add is known, in time and
in frequency, and is held against what explanations mark.
"""

from __future__ import annotations

import os
import resource

# One core, before numpy starts its threads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from dataclasses import dataclass, replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import nearfar as nf  # noqa: E402
from bench.__main__ import OUTPUT, machine  # noqa: E402
from nearfar import sim  # noqa: E402
from nearfar.detector.explanation.explanation import Explanation  # noqa: E402
from nearfar.files import write_text  # noqa: E402
from nearfar.sim.plan import Size, plan  # noqa: E402
from nearfar.sim.scene import ClipKey, render  # noqa: E402
from nearfar.sim.scenes import Scene, scene_of  # noqa: E402
from nearfar.sound import spectral  # noqa: E402
from nearfar.sound.audio import SAMPLE_RATE, Audio, write  # noqa: E402
from nearfar.system.presets import s3_eat  # noqa: E402

TINY = Path("tests/data/eat/tiny")
SEEDS = range(5)
# Those that add a sound to the healthy one; others change its pitch, or take some of it away, and
# have no place of their own.
ADDING = {
    "bearingEmu": ("outer_race", "inner_race", "ball", "lubrication_lost"),
    "fan": ("loose_screw",),
    "gearboxEmu": ("tooth_broken",),
    "sliderEmu": ("rail_damage", "rail_misaligned"),
    "ToyCar": ("gear_chipped", "wheel_debris"),
    "valveEmu": ("spring_weak", "leak"),
}
SIZE = Size(tuple(ADDING), 60, 6, 12, 5.0, "training clips, and anomalies of each severity")
# The data set's own faults and noise are made to be hard, and few of them give an alarm; what is
# not heard cannot be pointed at. So here faults are two to three times as strong, in less noise.
SEVERITIES = (0.5, 0.75, 1.0)
QUIETER = 15.0  # dB
DRAWS = 2000  # of the bootstrap

Powers = NDArray[np.float64]
Shares = tuple[float, float, float, float]  # of the fault's energy; see `Pointed`


@dataclass(frozen=True)
class Pointed:
    """What one explanation pointed at, as shares of the energy that the fault added."""

    system: str
    group: tuple[int, str]  # seed, machine
    fault: str
    alarm: bool
    share: float  # in what was marked
    chance: float  # expected of as much, anywhere
    most: float  # in as much, where the fault is strongest: no explanation could point at more
    loud: float  # in as much, where the clip itself is loudest; nan for a band
    seconds: float  # that the explanation took


def hall(name: str) -> Scene:
    """The machine's scene with less noise, and plainer faults."""
    scene = scene_of(name)
    return replace(scene, snr_db=scene.snr_db + QUIETER, severities=SEVERITIES)


def added(key: ClipKey, seed: int) -> tuple[Audio, Audio, str, float]:
    """A clip with a fault, (2, samples); what the fault adds near, (samples,); its name; its share.

    The twin without a fault is drawn from the same stream: a fault of severity 0. A loud fault
    turns the healthy sound down, by the factor that leaves the least energy.
    """
    scene = hall(key.machine)
    whole = render(key, seed, scene)
    none = replace(scene, severities=(0.0, 0.0, 0.0))
    twin = render(key, seed, none).machine[0].astype(np.float64)
    near = whole.machine[0].astype(np.float64)
    rest = near - twin * (near @ twin) / (twin @ twin)
    return (
        whole.audio,
        rest.astype(np.float32),
        str(whole.truth["fault"]),
        rest @ rest / (near @ near),
    )


def powers(sound: Audio) -> Powers:
    """|X|² of (samples,): (bins, frames)."""
    return np.abs(spectral.stft(sound).astype(np.complex128)) ** 2


def in_cells(power: Powers, told: Explanation) -> Powers:
    """Energy in each cell of a map, (bands, spans)."""
    regions = told.regions
    rows = np.round(np.array(regions.hertz) / SAMPLE_RATE * spectral.N_FFT).astype(int)
    columns = np.round(np.array(regions.seconds) * SAMPLE_RATE / spectral.HOP).astype(int)
    by_band = np.add.reduceat(power, rows[:-1], axis=0)
    return np.add.reduceat(by_band, columns[:-1], axis=1)


def in_band(power: Powers, band: tuple[float, float]) -> float:
    """Share of the energy in a band of the features."""
    low, high = (round(edge / SAMPLE_RATE * spectral.N_FFT) for edge in band)
    return float(power[low : high + (high == len(power) - 1)].sum() / power.sum())


def by_regions(told: Explanation, clip: Powers, fault: Powers) -> Shares:
    """Of the marked cells; of cells by chance; of the fault's strongest; of the clip's loudest."""
    cells, marked = in_cells(fault, told), told.regions.marked
    cells /= cells.sum()
    count = int(marked.sum())
    loudest = np.argsort(-in_cells(clip, told), axis=None)[:count]
    most = np.sort(cells, axis=None)[::-1][:count].sum()
    return float(cells[marked].sum()), marked.mean(), most, cells.ravel()[loudest].sum()


def by_bands(told: Explanation, _: Powers, fault: Powers) -> Shares:
    """Of the band that is named first; of one as wide anywhere; of the best such; nan."""
    low, high = next(theme.band for theme in told.themes if theme.band)
    by_bin = fault.sum(axis=1) / fault.sum()
    wide = round((high - low) / SAMPLE_RATE * spectral.N_FFT)
    anywhere = np.convolve(
        by_bin, np.ones(wide), mode="valid"
    )  # a band of bins that begins at each
    first = min(round(low / SAMPLE_RATE * spectral.N_FFT), len(anywhere) - 1)
    return float(anywhere[first]), float(anywhere.mean()), float(anywhere.max()), float("nan")


SYSTEMS: dict[str, tuple[Callable[[], nf.System], Callable[..., Shares]]] = {
    "s4": (nf.s4, by_bands),
    "logmel": (nf.logmel, by_regions),
    "s3-eat": (lambda: s3_eat(TINY.as_posix()), by_regions),
}


def train_clips(folder: Path, name: str, seed: int) -> nf.Clips:
    for item in plan(SIZE, seed, [name]):
        if item.key.split == "train":
            path = folder / item.file
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, render(item.key, seed, hall(name)).audio)
    return nf.Clips.from_dcase(folder, split="train")


def measured(name: str, seed: int) -> list[Pointed]:
    """Every anomaly of one machine and seed whose fault adds a sound, by every system."""
    found = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)
        train = train_clips(Path(folder), name, seed)
        fitted = {system: nf.fit(make(), train) for system, (make, _) in SYSTEMS.items()}
        for index in range(SIZE.test):
            key = ClipKey(name, "test", "source", "anomaly", index, SIZE.seconds or 5.0)
            audio, rest, fault, share = added(key, seed)
            if fault not in ADDING[name]:
                continue
            # Streams that drifted apart would leave all of the sound.
            if not share < 1:
                raise SystemExit(f"{key}: no twin without a fault")
            clip, power = powers(audio[0]), powers(rest)
            for system, (_, pointed) in SYSTEMS.items():
                begun = time.perf_counter()
                told = fitted[system].explain(audio, sr=SAMPLE_RATE, normals=train)
                took = time.perf_counter() - begun
                numbers = pointed(told, clip, power)
                alarm = told.verdict.anomalous
                found.append(Pointed(system, (seed, name), fault, alarm, *numbers, took))
    return found


def interval(pointed: Sequence[Pointed]) -> str:
    """95 % of the mean share, machines and seeds drawn whole: their clips share a detector."""
    groups: dict[tuple[int, str], list[float]] = {}
    for one in pointed:
        groups.setdefault(one.group, []).append(one.share)
    parts = [(sum(x), len(x)) for x in groups.values()]
    sums, counts = np.array(parts).T
    drawn = np.random.default_rng(0).integers(len(parts), size=(DRAWS, len(parts)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(100 * means, (2.5, 97.5))
    return f"{low:.0f}–{high:.0f}"


def row(label: str, pointed: Sequence[Pointed]) -> str:
    """A row of a table: how many, the fault's share, by chance, in the loudest."""
    if not pointed:
        return f"| {label} | 0 | – | – | – | – | – |"
    share, chance, most, loud = (
        100 * float(np.mean([getattr(p, name) for p in pointed]))
        for name in ("share", "chance", "most", "loud")
    )
    loudest = "–" if np.isnan(loud) else f"{loud:.0f}"
    return (
        f"| {label} | {len(pointed)} | {share:.0f} | {interval(pointed)} | {chance:.0f} | "
        f"{most:.0f} | {loudest} |"
    )


def on_disk(folder: Path) -> tuple[nf.Clips, nf.Clips]:
    """Training clips of 10 s of one machine, and the first anomaly, as files."""
    for item in plan(replace(SIZE, seconds=10.0), 0, ["bearingEmu"]):
        if item.key.split == "train" or (item.key.label, item.key.index) == ("anomaly", 0):
            (folder / item.file).parent.mkdir(parents=True, exist_ok=True)
            write(folder / item.file, render(item.key, 0, hall("bearingEmu")).audio)
    source = nf.Clips.from_dcase(folder, split="test").select(domain="source")
    return nf.Clips.from_dcase(folder, split="train"), source


def children() -> float:
    """Processor time of the programs that this one has started and that have ended, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shown_and_timed() -> tuple[str, list[str]]:
    """What the command prints of an alarm of s4, and rows: how long 10 s take to be explained."""
    rows, example = [], ""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)
        train, (clip,) = on_disk(Path(folder))
        for system, (make, _) in SYSTEMS.items():
            place = nf.fit(make(), train).save(Path(folder) / f"{system}.detector")
            call = [sys.executable, "-m", "nearfar", "explain", str(place), str(clip.path)]
            python, command = [], []
            for _ in range(5):
                begun = time.process_time()
                nf.load(place, late=True).explain(clip)
                python.append(time.process_time() - begun)
                begun = children()
                run = subprocess.run([*call, "--no-cache"], check=True, capture_output=True)
                command.append(children() - begun)
            example = example or run.stdout.decode().strip()
            rows.append(f"| {system} | {np.median(python):.2f} | {np.median(command):.1f} |")
    return example, rows


def page(
    pointed: Sequence[Pointed], seeds: Sequence[int], example: str, speeds: Sequence[str]
) -> str:
    """The page, with its numbers."""
    alarms = [p for p in pointed if p.alarm]
    by_machine = [
        row(f"{s} | {m}", [p for p in alarms if p.system == s and p.group[1] == m])
        for s in SYSTEMS
        for m in ADDING
    ]
    return TEXT.format(
        label=f"SIMULATED v{sim.SIM_VERSION} seeds {seeds[0]}–{seeds[-1]}",
        machine=machine(),
        rows="\n".join(row(s, [p for p in alarms if p.system == s]) for s in SYSTEMS),
        by_machine="\n".join(by_machine),
        clips=len(pointed) // len(SYSTEMS),
        faults="; ".join(f"{name}: {', '.join(faults)}" for name, faults in ADDING.items()),
        example=example,
        speeds="\n".join(speeds),
        quieter=f"{QUIETER:.0f}",
        severities=", ".join(f"{s:g}" for s in SEVERITIES),
        train=f"{SIZE.source} + {SIZE.target}",
        seconds=f"{SIZE.seconds:g}",
    )


def main() -> None:
    quick = "--quick" in sys.argv
    os.chdir(OUTPUT.parents[1])
    seeds = SEEDS[:1] if quick else SEEDS
    pointed = []
    for seed in seeds:
        for name in list(ADDING)[: 2 if quick else None]:
            begun = time.perf_counter()
            pointed += measured(name, seed)
            print(f"seed {seed}, {name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    text = page(pointed, seeds, *shown_and_timed())
    if quick:
        print(text)
        return
    write_text(OUTPUT.with_name("explain.md"), text)
    print("wrote explain.md", file=sys.stderr)


TEXT = """# Why this clip?

Printed by `python -m bench.explanation`; do not edit. {label}. Machine: {machine}.

```
nearfar explain pump7.detector today/a.wav
nearfar explain pump7.detector today/a.wav --json why.json
nearfar explain pump7.detector today/a.wav -o why.html
```

The first says in a few lines why a clip got its verdict, the second says it as data, the third
makes a page of it, with pictures and sound. This is a simulated bearing with a spalled outer race,
to System 4:

```
{example}
```

* **said**: the verdict, as `nearfar score` gives it.
* **why**: the reason in one sentence. Where it lies in the microphones or the recording (both
  channels identical, swapped, moved, clipped, a dead microphone, another level or length), that
  comes first, and **also** names the others: look there before you look at the machine.
* **moved**: the three things that say most: how far each is from the normal clips' mean, in their
  standard deviations, and its part of the squared distance.
* **like**: the nearest normal clips with their distances. *(enriched)*: nearest is a row that was
  made of that clip for the target domain.
* **share**, of an ensemble: how much of the score each member gives.
* **where**, of an encoder or of log-mel: the band and the time that the score comes from.
* **more**: a page with pictures and sound (`-o clip.html`), or what is missing for it.

The JSON has every feature, and the whole map. A part of a long recording is named as verdicts name
it: `long.wav@00:01:00-00:01:10`. Of a clip that cannot be judged it says why. In Python:

```python
import nearfar as nf

detector = nf.load("pump7.detector", late=True)  # only the machine that is asked for is read
told = detector.explain(nf.Clips.open("today/a.wav")[0])
print(told.why, told.sensor, told.shares, told.neighbours, told.movements[:3], told.regions)
sounds = told.near, told.far, told.heard, told.normal  # (samples,) float32 at 16 kHz; or None
```

The normal clips themselves are not in a detector. They are looked for beside the clip, in the same
data set, and where `--normals FOLDER` says; a file is taken only if its sound is, bit by bit, the
one that the detector was fitted on.

## What the numbers mean

**Movements.** The distance that scores a clip is taken in a whitened space, where features that go
together count once. There the difference between the clip and the nearest row of the bank has an
axis for each feature, and the squares of these `adjusted` movements sum to d², exactly. The
whitening is the symmetric one (ZCA of standardised features): of all whitenings its axes are the
ones most correlated, on average, with the features they stand for (Kessy, Lewin and Strimmer,
*Optimal whitening and decorrelation*, The American Statistician 72, 2018). The same partition of a
Mahalanobis distance is Garthwaite and Koch's (*Evaluating the contributions of individual variables
to a quadratic form*, Australian & New Zealand Journal of Statistics 58, 2016). A feature can move
and say little, because those that go with it moved as well; and it can say much because it did not
move when they did, which is told as "rose less than what goes with it".

Features of one kind are told as one, and their parts added up. Cepstral coefficients each weigh the
whole spectrum and mean little alone: all of them together are its smooth shape, and the band in
which that is farthest from the normal clips is what is named. Where something fell in one band it
may be for what rose in another, so a rise is named first, unless a fall is twice as large.

**Regions.** The clip is cut into 8 bands, equally wide in mel, and 10 spans of time. One cell after
the other is replaced by that of the nearest normal recording, at the clip's own level, and the clip
is heard and scored again: 81 hearings, of one crop as long as the clip. By how much the score falls
tells what the cell is worth. Falls of cells need not sum to the score. Without that recording a
cell is taken down to what is around it in time and frequency. Clips of more than a minute have
none; cut them.

**Bands.** Of a system with a bank of normal clips for each frequency band (s5, s5-small) what each
band says stands beside what normal clips get there, held out. The parts of the bands sum to what
their member says; named first are those that are farthest above normal, in units of the normal
clips' own spread, which need not be those with the largest share.

**Shares.** What a member adds is its weight times its calibrated score, and this sums to the score.
What is below zero (a z-score below the mean) raises nothing, and has no share of the rise.

## Does it point at the fault?

Faults that add a sound are simulated, so that what they add is known in time and frequency: the
difference to the same clip without the fault, at the near microphone. Of that energy the table has
the share that lies in what an explanation points at: for s4 the first band that it names; for the
others the tenth of the cells whose falls are largest. **by chance** is the share in a band as wide,
or in as many cells, wherever they lie; **at most**, in the best such band, or cells, for a fault is
wider than that; **loudest**, in as many cells where the clip itself is loudest, which needs no
system at all.

| system | alarms | % of the fault | 95 % | by chance | at most | loudest |
|---|--:|--:|--:|--:|--:|--:|
{rows}

Of {clips} clips of {seconds} s with a fault those that gave an alarm; {train} normal clips a
machine. 95 %: bootstrap of machines and seeds. logmel hears a mean over time, so when something
sounded it learns from the hearings alone. s3-eat is System 3's encoder path with the tiny encoder
of the tests, EAT 64×2 with **random weights**: what it shows is that the map is right, not what EAT
hears.

Faults ({faults}) have severities {severities} in a hall {quieter} dB quieter than the data set's,
whose own faults are made to be hard: few give an alarm, and what is not heard cannot be pointed at.
Severities and hall were chosen with seed 100, and how System 4 names a band with seeds 100 and 101,
after a first way had been no better than chance with these. Not measured: real machines, faults
that take a sound away or change its pitch, and encoders with trained weights.

| system | machine | alarms | % of the fault | 95 % | by chance | at most | loudest |
|---|---|--:|--:|--:|--:|--:|--:|
{by_machine}

## How long it takes

Processor time for a clip of 10 s, median of five, which a busy machine hardly changes: in Python
with the detector's loading, and as a command with all that it starts. A map is 81 hearings of one
crop, so with a large encoder it takes 81 times as long as to hear that once; `--no-regions` leaves
it out.

| system | Python, s | command, s |
|---|--:|--:|
{speeds}
"""


if __name__ == "__main__":
    main()
