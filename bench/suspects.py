"""What the judgement of training data says of clean data, and of data with anomalies among them.

`python -m bench.suspects` simulates, fits, and writes docs/training-data.md.
"""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import nearfar as nf
from bench.__main__ import machine
from nearfar import sim
from nearfar.detector.fitting import suspects
from nearfar.errors import NearfarWarning
from nearfar.files import write_text
from nearfar.health.kinds import KINDS

SEEDS = range(20)
AMONG = (1, 2, 4)  # anomalies put among a machine's source clips
OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "training-data.md"
CUES = {
    "score": "its own score by a bank made without it: 8 MAD above the median, and 4 times it",
    "ratio": "near/far ratio more than 10 dB from the median; of the other sign, 6 dB and 8 MAD",
    "near floor": "near at or below −90 dBFS, which is ±1 of 16 bits",
    "far floor": "the same of far",
    "twice": "\\|LR_corr\\| ≥ 0.999, or mean coherence ≥ 0.99",
    "clipped": "0.1 % of samples or more on a flat top",
    "zeros": "2 % of samples or more exactly zero, above what level and the others explain",
    "off": "of two or more groups with 10 dB or more between them: one below the largest",
    "loud": "the same: one above the largest",
    "length": "another length than four in five clips of its domain",
    "rate": "another sample rate than four in five files of its domain",
    "lag": "far, of a second file, more than 30 ms from near",
    "drift": "far, of a second file, runs away by more than 20 ms over the recording",
    "shifted": "far, of the same file, lies more than 30 ms from where the others have it",
    "copy": "another clip again, but for gain, sign, rounding and clipping",
}


def found(system: nf.System, clips: nf.Clips) -> list[tuple[str, str]]:
    """(kind, path) of each suspect; the warnings of a fit are not what is counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)
        return [(s.kind, str(s.clip.path)) for s in suspects(system, clips)]


def clean(train: Sequence[nf.Clips], system: nf.System) -> str:
    """A row: of how many sets which mentions are false."""
    named = [found(system, clips) for clips in train]
    kinds = Counter(kind for one in named for kind, _ in one)
    total, mentions = sum(map(len, train)), sum(kinds.values())
    quiet = sum(not one for one in named)
    what = ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "–"
    return f"{len(train)} | {total} | {quiet} | {mentions} | {what}"


def polluted(sets: Sequence[nf.Clips], count: int) -> str:
    """A row: anomalies among the normals that are named, and normals that are named with them."""
    hits = wrong = put = 0
    rng = np.random.default_rng(count)
    for whole in sets:
        for name in whole.machines:
            ours = whole.select(machine=name)
            bad = ours.select(split="test", label="anomaly", domain="source")
            chosen = [bad[i] for i in rng.choice(len(bad), count, replace=False)]
            given = [replace(c, split="train", label="normal") for c in chosen]
            paths = {str(c.path) for c in given}
            train = [*ours.select(split="train"), *given]
            named = {path for _, path in found(nf.s4(), nf.Clips(train))}
            put, hits, wrong = put + count, hits + len(named & paths), wrong + len(named - paths)
    return f"{count} | {put} | {hits} | {wrong}"


def page() -> str:
    with tempfile.TemporaryDirectory() as folder:
        sets = []
        for seed in SEEDS:
            out = Path(folder) / str(seed)
            sim.simulate(out, "mini", seed)
            sets.append(nf.Clips.from_dcase(out))
        train = [one.select(split="train") for one in sets]
        rows = [f"| {n} | {clean(train, s)} |" for n, s in (("s4", nf.s4()),
                                                           ("logmel", nf.logmel()))]  # fmt: skip
        bad = [f"| {polluted(sets, count)} |" for count in AMONG]
    # The others are not a fit's: `check` alone looks beyond a machine.
    cues = [f"| {kind} | {CUES[kind]} |" for kind in KINDS if kind in CUES]
    return TEXT.format(
        label=f"SIMULATED v{sim.SIM_VERSION} seeds {SEEDS[0]}–{SEEDS[-1]}, preset mini",
        machine=machine(), rows="\n".join(rows), bad="\n".join(bad), cues="\n".join(cues),
    )  # fmt: skip


TEXT = """# Training data are not believed without a look

Printed by `python -m bench.suspects`; do not edit. {label}. Machine: {machine}.

`nearfar fit` names, at its end, every clip that stands out from its machine's; `nearfar check DATA`
says the same, beside all clips that cannot be used, and writes nothing (exit code 1 if any stands
out, 2 if any cannot be used); it goes on to [test clips, names and counts](check.md).
`nearfar inspect` says what can be said without a system. Nothing is left out unless it is
asked for: `fit --exclude-suspects`, in Python `fit(..., exclude_suspects=True)`, which names what
it left out, and refuses where fewer than three clips of a machine and section would be left.

| kind | a clip is named for |
|---|---|
{cues}

* Clips are compared within their domain, where it has enough clips (5; 12 for scores).
* For score, ratio, level, length and rate, a clip is not named where half of those with its
  attributes, its recording or its folder stand out too: then it is a condition, which may differ.
* Clips that share a fault hide one another. Those that lie apart in robust units, a fifth at most,
  are held out together and judged by a bank made of the others.
* What most clips of a machine have is said, but left in: there would be no others to fit on.
* A score is told as so many times the median of those of the others, all without the clips held
  out together. It is no score that a threshold is drawn from: that holds out clips by folds.
* Where the threshold is the score of such a clip, and twice that of any other, `fit` says so.
* Of fewer than 12 clips of a domain none is judged by score: `fit`, `check` and `learn` say so. Ten
  target clips, as machines of DCASE have them, are not judged beside any number of source clips.
* Counts are of the clips that could be judged; those that cannot be used are counted apart.
* Clipping, zeros and sample rate are those of the file, before it was resampled.
* Copies and shifted channels are looked for among few clips, which are read again: those whose
  sketches (16 random sums of the waveform) agree, those whose coherence, or whose lag in one
  second, is far from the others'.

## Clean sets

Every mention here is false. The factor 4 of `score` was chosen on sets of seeds 0 to 5, on clips of
the tests and on made-up sets with knocking clips among them, so not on normals alone: with 8 MAD
only, some of the six sets had one to three mentions. DIF and log-mel only: no encoder was measured.

| system | sets | clips | sets without a line | false mentions | of kind |
|---|--:|--:|--:|--:|---|
{rows}

The six are single clips whose hall noise has a spectral slope from the tail of what is drawn: 8 to
19 dB off the machine's other clips at one end of the band, in both channels, the machine itself as
ever. They do stand out, so the rule was left as it is.

## Anomalies among the normals

Test anomalies of the source domain put among a machine's 28 training clips, s4. No setting was
chosen by this. What is not found is, to the features, no further from the normals than normals are
from each other.

| anomalies a machine | put in | named | normals named |
|--:|--:|--:|--:|
{bad}
"""


if __name__ == "__main__":
    write_text(OUTPUT, page())
    print(f"wrote {OUTPUT.name}")
