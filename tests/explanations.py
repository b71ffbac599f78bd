"""Explanations made by hand: every part of a page can be asked for without a fit."""

from datetime import datetime
from pathlib import Path

import numpy as np

from nearfar.clips import Clip
from nearfar.detector.explanation.explanation import (
    Explanation,
    Movement,
    Neighbour,
    Regions,
    Share,
    Tracks,
)
from nearfar.scores.verdict import Verdict

RATE = 16_000
WORDS = (
    ("beating", "the beating between the microphones", 5.2, 6.0),
    ("alike", "what both microphones hear alike at 4–5.2 kHz", -3.1, -4.0),
    ("calm", "the near sound's brightness", 0.0, 0.0),
)


def tone(hertz: float, seconds: float = 2.0):
    return (0.1 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype("f4")


def explanation(name="pump/today.wav", **changes) -> Explanation:
    """Of an anomalous clip of a System 3, all parts there."""
    time = datetime(2026, 1, 2, 3, 4, 5)
    clip = Clip(Path(name), machine="pump", domain="source", time=time)
    moved = tuple(
        Movement(feature, words, "basic", "stereo", "dB", None, 9.0, 5.0, by, by, adjusted)
        for feature, words, by, adjusted in WORDS
    )
    parts = {
        "verdict": Verdict(clip, 743.1, 0.99, 612.0, "pump/normal/7.wav", "", 0.012),
        "shares": (
            Share("DIF of both microphones", 0.6, 41.0, 0.9, 0.7),
            Share("EAT on the near microphone", 0.4, 3.0, 0.6, 0.3),
        ),
        "member": "DIF of both microphones",
        "neighbours": (
            Neighbour("pump/normal/7.wav", "source", 7.2, made=False, path=Path("7.wav")),
            Neighbour("pump/normal/9.wav", "target", 8.0, made=True),
        ),
        "movements": moved,
        "squared": sum(m.contribution for m in moved),
        "regions": Regions(
            "EAT on the near microphone", (0.0, 1.0, 2.0), (0.0, 2000.0, 8000.0),
            np.array([[0.0, 1.0], [0.2, 0.1]]), 3.0, "the nearest normal clip", 0.4,
        ),
        "tracks": Tracks(tone(440), tone(880), tone(660)),
        "normal": Tracks(tone(220), tone(110)),
    }  # fmt: skip
    return Explanation(**(parts | changes))
