"""Files that a system must survive: odd lengths, damaged recorders, broken files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError, StorageError, did_you_mean
from nearfar.files import atomic_file, storage_errors, sweep, write_text
from nearfar.sim.dataset import label
from nearfar.sim.machines import MACHINES
from nearfar.sim.scene import ClipKey, render
from nearfar.sound.audio import SAMPLE_RATE, encode

Audio = NDArray[np.float32]

EXPECTED = "expected.json"  # what a system should say of each file

# file → (usable, what it is)
FILES = {
    "six_seconds.wav": (True, "6 s, the shortest of the evaluation set"),
    "ten_seconds.wav": (True, "10 s"),
    "sixteen_seconds.wav": (True, "16 s, the longest of the evaluation set"),
    "clipped.wav": (True, "40 dB too loud: most samples at full scale"),
    "desynchronised.wav": (True, "the far channel 0.3 s late, its clock 200 ppm slow"),
    "mono.wav": (False, "the near channel alone"),
    "short.wav": (False, "0.5 s"),
    "far_silent.wav": (False, "the far microphone is off: every sample 0"),
    "nan.wav": (False, "float samples, one of them not a number"),
    "truncated.wav": (False, "the file ends in the middle"),
}


def write_stress(out: Path, seed: int = 0, machine: str = "fan") -> list[Path]:
    """Write the files and `expected.json`, which says of each whether it can be used.

    Args:
        out: a new or empty folder, or one that holds these files.
        seed: of the clips.
        machine: whose sound they are.

    Raises:
        SettingError: unknown machine, or a folder with the files of another seed or machine.
        StorageError: the folder has other things in it, or cannot be written.
    """
    if machine not in MACHINES:
        raise SettingError(f"no machine {machine!r}; {did_you_mean(machine, MACHINES)}")
    folder = out / machine
    expected = _expected(machine, seed)
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        sweep(out)  # what a run left that was killed at its first file
        there = {p.name for p in out.iterdir()}
        if EXPECTED in there:
            if (out / EXPECTED).read_text(errors="replace") != expected:
                raise SettingError(f"{out}: holds another set; choose another folder")
        elif there:
            raise StorageError(f"{out}: has other files in it; choose a new folder")
        folder.mkdir(exist_ok=True)
    write_text(out / EXPECTED, expected)
    for name, content in _contents(machine, seed):
        with atomic_file(folder / name) as file:
            file.write(content)
    return [folder / name for name in FILES]


def _expected(machine: str, seed: int) -> str:
    files = {f"{machine}/{n}": {"usable": u, "what": w} for n, (u, w) in FILES.items()}
    return json.dumps({"label": label(seed), **files}, indent=1)


def _contents(machine: str, seed: int) -> Iterator[tuple[str, bytes]]:
    def clip(seconds: float, index: int) -> Audio:
        return render(ClipKey(machine, "test", "source", "normal", index, seconds), seed).audio

    for i, (name, seconds) in enumerate(
        (("six_seconds.wav", 6.0), ("ten_seconds.wav", 10.0), ("sixteen_seconds.wav", 16.0))
    ):
        yield name, encode(clip(seconds, i), "PCM_16")
    audio = clip(6.0, 3)
    yield "clipped.wav", encode(np.clip(100 * audio, -1, 1), "PCM_16")
    yield "desynchronised.wav", encode(_late(audio), "PCM_16")
    yield "mono.wav", encode(audio[:1], "PCM_16")
    yield "short.wav", encode(audio[:, : SAMPLE_RATE // 2], "PCM_16")
    yield "far_silent.wav", encode(audio * np.array([[1], [0]], np.float32), "PCM_16")
    broken = audio.copy()
    broken[0, SAMPLE_RATE] = np.nan
    yield "nan.wav", encode(broken, "FLOAT")
    whole = encode(audio, "PCM_16")
    yield "truncated.wav", whole[: len(whole) // 2]  # its header promises twice as much


def _late(audio: Audio) -> Audio:
    near, far = audio
    # A crystal is off by some 20 to 100 ppm: two cheap recorders by 200.
    times = np.arange(far.size) * (1 - 200e-6) - 0.3 * SAMPLE_RATE
    return np.stack([near, np.interp(times, np.arange(far.size), far, left=0.0)]).astype(np.float32)
