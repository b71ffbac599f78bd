"""Folders of a detector, damaged: they are refused, or judge as before."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from nearfar.clips import Clips
from nearfar.detector.detector import load
from nearfar.detector.fitting import fit
from nearfar.system.presets import logmel
from tools.fuzzing.damage import any_bytes, odd, pick

INDEX = "detector.json"
ODD_VALUES = (None, True, False, 0, -1, 1, 2**63, 10**400, 1e308, -0.5, float("nan"), float("inf"),
              "", [], {}, [[]], [None], {"": 0}, "x" * 3000, ["a"],
              {"type": "System"})  # fmt: skip


@cache
def original(folder: Path) -> Path:
    """A detector of two machines, fitted once a campaign."""
    rng = np.random.default_rng(0)
    for machine, pitch in (("fan", 0.05), ("pump", 0.2)):
        for n in range(8):
            place = folder / "data" / machine
            place.mkdir(parents=True, exist_ok=True)
            wave = (
                np.sin(pitch * np.arange(16_000))[:, None] * 0.1
                + rng.normal(size=(16_000, 2)) * 0.05
            )
            soundfile.write(place / f"{n}.wav", wave, 16_000, subtype="PCM_16")
    fit(logmel(), Clips.open(folder / "data")).save(folder / "whole")
    return folder / "whole"


def run(folder: Path, rng: np.random.Generator, home: Path) -> str:
    """Damage a copy, load it and let it judge; what it says must be what the original says."""
    whole = original(home)
    copy = folder / "broken.detector"
    shutil.copytree(whole, copy)
    damage = pick(
        (bank, bank, index_bytes, index_value, index_value, index_value, swapped, strange), rng
    )
    damage(copy, rng)
    found = load(copy)
    clips = Clips.open(home / "data")
    said = found.score(clips)
    f"{found!r} {said!r} {said.to_csv()}"
    if damage in (bank, swapped) and said.values.tolist() != list(_scores(whole, home)):
        return f"{damage.__name__}: it loads and judges otherwise"
    return ""


@cache
def _scores(whole: Path, home: Path) -> tuple[float, ...]:
    return tuple(load(whole).score(Clips.open(home / "data")).values.tolist())


def bank(copy: Path, rng: np.random.Generator) -> None:
    """Any damage to a bank's bytes, or no bank."""
    path = pick(sorted(copy.glob("*.safetensors")), rng)
    if rng.random() < 0.2:
        path.unlink()
    else:
        path.write_bytes(any_bytes(path.read_bytes(), rng))


def swapped(copy: Path, rng: np.random.Generator) -> None:
    """Two machines' banks under each other's name, in the folder or in the index."""
    first, second = sorted(copy.glob("*.safetensors"))
    if rng.random() < 0.5:
        a, b = first.read_bytes(), second.read_bytes()
        first.write_bytes(b)
        second.write_bytes(a)
        return
    index = json.loads((copy / INDEX).read_text(encoding="utf-8"))
    one, two = index["sections"]
    for key in ("bank", "sha256"):  # whoever moves files by hand mends the sums, too
        one[key], two[key] = two[key], one[key]
    (copy / INDEX).write_text(json.dumps(index), encoding="utf-8")


def index_bytes(copy: Path, rng: np.random.Generator) -> None:
    """Any damage to the index's bytes; or JSON that only nests."""
    path = copy / INDEX
    deep = b"[" * 100_000 if rng.random() < 0.5 else b'{"a":' * 100_000
    path.write_bytes(deep if rng.random() < 0.1 else any_bytes(path.read_bytes(), rng))


def index_value(copy: Path, rng: np.random.Generator) -> None:
    """Values of the index replaced, taken away, added."""
    index = json.loads((copy / INDEX).read_text(encoding="utf-8"))
    for _ in range(int(rng.integers(1, 3))):
        holder, key = _place(index, rng)
        value: Any = odd(rng) if rng.random() < 0.3 else pick(ODD_VALUES, rng)
        kind = rng.random()
        if kind < 0.2:
            del holder[key]
        elif kind < 0.3 and isinstance(holder, dict):
            holder[odd(rng)] = value
        else:
            holder[key] = value
    (copy / INDEX).write_text(json.dumps(index), encoding="utf-8", errors="replace")


def _place(index: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """A list or mapping inside, and one of its keys; higher ones as often as lower ones."""
    holder = index
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = pick(keys, rng)
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.25:
            return holder, key
        holder = inner


def strange(copy: Path, rng: np.random.Generator) -> None:
    """Files that are not the detector's, or folders where files should be."""
    kind = int(rng.integers(4))
    if kind == 0:
        (copy / "notes.txt").write_bytes(rng.bytes(100))
    elif kind == 1:
        (copy / f"bank-{'0' * 32}.safetensors").write_bytes(rng.bytes(100))
    else:
        path = copy / INDEX if kind == 2 else pick(sorted(copy.glob("*.safetensors")), rng)
        path.unlink()
        path.mkdir()
