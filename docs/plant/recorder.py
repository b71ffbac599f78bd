"""A recorder for docs/plant.md: copies recordings into a folder, one by one, as they would arrive.

    python recorder.py CLIPS… FOLDER [--every SECONDS] [--cover DB]

Each is written beside its place and renamed when it is whole: so does a recorder that never shows
half a file. With --cover the near channel has a colour that it never had, as if the machine had got
a new cover: so many dB more about 1 kHz.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import soundfile


def covered(sound, rate, louder):
    """The near channel with a resonance at 1 kHz, an octave and a half wide; (samples, 2)."""
    spectrum = np.fft.rfft(sound[:, 0])
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(sound), 1 / rate), 1.0) / 1000)
    spectrum *= 10 ** (louder * np.exp(-2 * octaves**2) / 20)
    near = np.fft.irfft(spectrum, len(sound))
    return np.stack([near, sound[:, 1]], axis=1)


parser = argparse.ArgumentParser()
parser.add_argument("clips", nargs="+", type=Path)
parser.add_argument("folder", type=Path)
parser.add_argument("--every", type=float, default=0.5)
parser.add_argument("--cover", type=float, default=0.0)
asked = parser.parse_args()

asked.folder.mkdir(parents=True, exist_ok=True)
for clip in asked.clips:
    sound, rate = soundfile.read(clip)
    if asked.cover:
        sound = covered(sound, rate, asked.cover)
    whole = asked.folder / clip.name
    unfinished = asked.folder / f".{clip.name}.part"
    soundfile.write(unfinished, sound, rate, subtype="PCM_16", format="WAV")
    os.replace(unfinished, whole)
    time.sleep(asked.every)
