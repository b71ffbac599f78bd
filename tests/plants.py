"""Plants that tests share: detectors made by hand in an instant, and files that name them."""

from pathlib import Path

import numpy as np

from nearfar.detector.detector import Detector
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.system.presets import logmel

KEYS = (("fan", "00"), ("pump", "00"))


def by_hand(keys=KEYS, seed=0, system=None):
    """A detector of three rows a machine; another seed is another detector."""
    rng = np.random.default_rng(seed)
    clips = tuple(TrainingClip(f"{name}.wav", digest=f"{seed}{name}") for name in "abc")
    sections = {}
    for key in keys:
        rows = rng.random((3, 128), dtype=np.float32)
        member = Member(rows, np.arange(3), np.zeros(3, np.int8), None, self_scores=rng.random(3))
        sections[key] = Section((member,), clips, levels=None, seconds=10.0)
    return Detector(system or logmel(), sections)


def plant(folder, text, *, keys=KEYS):
    """A plant.toml beside a detector that knows some machines."""
    by_hand(keys).save(Path(folder) / "plant.detector")
    path = Path(folder) / "plant.toml"
    path.write_text(text, encoding="utf-8")
    return path
