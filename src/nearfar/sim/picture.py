"""Pictures of simulated machines: normal and each fault, near and far."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nearfar.errors import SettingError, did_you_mean, needs
from nearfar.files import MAKER, atomic_file, storage_errors
from nearfar.sim.dataset import label
from nearfar.sim.machines import MACHINES, OTHERS
from nearfar.sim.scene import ClipKey, render
from nearfar.sound.spectral import log_mel

SECONDS = 3.0  # a few turns of the slowest machine, and still single blows to be seen


def draw(machine: str, folder: Path, seed: int = 0) -> Path:
    """Draw log-mel spectrograms of a machine, normal and with each fault at its worst.

    Args:
        machine: name.
        folder: where `<machine>.png` is written.
        seed: of the clips.

    Raises:
        SettingError: matplotlib is not installed.
        StorageError: the picture cannot be written.
    """
    with needs("report", "pictures need matplotlib", SettingError):
        from matplotlib.figure import Figure
    faults = {**MACHINES, **OTHERS}[machine].faults
    keys = [("normal", ClipKey(machine, "test", "source", "normal", 0, SECONDS))]
    for i, fault in enumerate(faults):  # the severities cycle slower than the faults: the third
        worst = ClipKey(machine, "test", "source", "anomaly", i + 2 * len(faults), SECONDS)
        keys.append((fault.name, worst))
    figure = Figure(figsize=(3.2 * len(keys), 5.5), layout="constrained")
    axes = figure.subplots(2, len(keys), sharex=True, sharey=True, squeeze=False)
    for column, (name, key) in enumerate(keys):
        audio = render(key, seed).audio
        for row, channel in enumerate(("near", "far")):
            image = log_mel(audio[row])
            top = np.percentile(image, 99.5)  # one click must not darken all the rest
            axes[row][column].imshow(
                image, origin="lower", aspect="auto", vmin=top - 60, vmax=top, cmap="magma",
                extent=(0, SECONDS, 0, len(image)),
            )  # fmt: skip
            axes[row][column].set_title(f"{name}, {channel}", fontsize=9)
    axes[1][0].set_xlabel("s")
    axes[0][0].set_ylabel("mel band")
    figure.suptitle(f"{machine} — {label(seed)}")
    path = folder / f"{machine}.png"
    with storage_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=80, metadata={"Software": MAKER})
    return path


def describe(machine: str) -> str:
    """The physics of a machine: conditions, faults, what the knobs of its scene do.

    Raises:
        SettingError: unknown machine.
    """
    from dataclasses import fields

    from nearfar.sim.scenes import scene_of

    known = {**MACHINES, **OTHERS}
    if machine not in known:
        raise SettingError(f"no machine {machine!r}; {did_you_mean(machine, known)}")
    chosen, scene = known[machine], scene_of(machine)
    lines = [f"{machine}, {chosen.seconds:g} s clips", "", chosen.physics, "", "conditions"]
    for domain in ("source", "target"):
        tails = dict.fromkeys(c.tail for c in getattr(chosen, domain))
        lines.append(f"  {domain}: {', '.join(tails)}")
    lines += ["", "faults", *(f"  {f.name}: {f.physics}" for f in chosen.faults), "", "scene"]
    lines += [f"  {f.name} = {getattr(scene, f.name)}" for f in fields(scene)]
    return "\n".join([*lines, "", f"sources: {chosen.references}"])
