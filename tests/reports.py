"""The parts of a report made by hand: a detector, clips, what was heard of them; no sound."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from nearfar.clips import Clip
from nearfar.detector.detector import Detector
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.embedding.jobs import Heard
from nearfar.report.judged import Judged
from nearfar.scores.verdict import Scores, Verdict
from nearfar.sound.look import Look
from nearfar.system.presets import logmel

DIM = 128  # of the log-mels of `logmel`
LOOK = Look(10.0, (-30.0, -40.0), ratio=10.0, lr_corr=0.1, coherence=0.2, sample_rate=16_000,
            clipped=(0.0, 0.0))  # fmt: skip


def official(machine, each=50):
    """Clips named as a development set names them, so many of each domain and label."""
    return [
        Clip(
            Path(f"dev/{machine}/test/section_00_{domain}_test_{label}_{n:04d}_noAttribute.wav"),
            machine=machine, domain=domain, split="test", label=label,
        )
        for domain in ("source", "target")
        for label in ("normal", "anomaly")
        for n in range(each)
    ]  # fmt: skip


def plant(machine="pump", count=20, begin=datetime(2026, 6, 15, 8), step=timedelta(hours=3)):
    """Recordings without labels, each with its time."""
    return [
        Clip(Path(f"hall/{machine}/{n:04d}.wav"), machine=machine, time=begin + n * step)
        for n in range(count)
    ]


def section(machine, bank=30, seed=0):
    """What normal sounds like: a quarter of the clips are of the target domain."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(bank, DIM)).astype(np.float32)
    domain = (np.arange(bank) % 4 == 3).astype(np.int8)
    facts = {"source": float((domain == 0).sum()), "target": float((domain == 1).sum()),
             "rows": float(bank)}  # fmt: skip
    member = Member(rows, np.arange(bank), domain, None, rng.random(bank), facts)
    names = tuple(TrainingClip(f"dev/{machine}/train/{n}.wav", f"{n:064x}") for n in range(bank))
    return Section((member,), names, levels=(5.0, 15.0), seconds=10.0)


def detector(*machines, bank=30):
    return Detector(logmel(), {(m, "00"): section(m, bank, n) for n, m in enumerate(machines)})


def judged(clips, *, bank=30, scores=None, simulated="", look=LOOK, silent=()):
    """Clips as if they had been scored; those at the places of `silent` could not be used."""
    made = detector(*dict.fromkeys(clip.machine for clip in clips), bank=bank)
    rng = np.random.default_rng(7)
    verdicts, heard = [], []
    for n, clip in enumerate(clips):
        limit = made.threshold(clip.machine).value
        if n in silent:
            verdicts.append(Verdict.none(clip, limit, f"{clip.name}: silent; check it"))
            continue
        shift = 0.4 * (clip.label == "anomaly")
        score = float(rng.random() + shift) if scores is None else float(scores[n])
        verdicts.append(
            Verdict(clip, score, min(score, 1.0), limit, nearest=f"{clip.machine}/train/0.wav")
        )
        row = (rng.normal(size=DIM) + shift).astype(np.float32)
        heard.append((clip, Heard((row,), look.seconds, look=look)))
    return Judged(made, Scores(verdicts), tuple(heard), simulated=simulated)
