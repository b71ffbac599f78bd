"""A picture of how a training went, from its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nearfar.errors import FormatError, SettingError, needs
from nearfar.files import MAKER, atomic_file
from nearfar.training.log import lines

INK, ACCENT = "#1f4e79", "#c55a11"
Line = Mapping[str, Any]  # of a log


def check_matplotlib() -> None:
    """Refuse pictures before hours of work.

    Raises:
        SettingError: matplotlib is not installed.
    """
    with needs("report", "pictures need matplotlib", SettingError):
        import matplotlib  # noqa: F401


def when(line: Line) -> float:
    """Where a line of a log lies, in epochs, whatever lines are missing before it."""
    if "steps" in line:
        return float(line["step"] * line["epochs"] / line["steps"])
    return float(line["epoch"])


def draw(log: Path, picture: Path) -> None:
    """Draw loss, held-out loss and accuracy over the epochs, and the learning rate.

    The log is a .jsonl file that `finetune` wrote, the picture a .png, .svg or .pdf.

    Raises:
        SettingError: matplotlib is not installed, or cannot write such a picture.
        FormatError: no log, or one without an epoch.
        StorageError: the picture cannot be written.
    """
    check_matplotlib()
    found = lines(log)
    # A killed training's last epoch has steps and no line of its own.
    steps, epochs = [x for x in found if "rate" in x], [x for x in found if "rate" not in x]
    if not steps or not epochs:
        raise FormatError(f"{log}: no epoch in it; draw the log of a training, s1.jsonl or such")
    figure = _panels(steps, epochs)
    figure.suptitle(f"fine-tuning, {log.stem}")
    kind = picture.suffix.lstrip(".").lower() or "png"
    try:
        with atomic_file(picture) as file:
            # Formats have different words for it; with neither, nobody could tell whose it is.
            maker = {"Software" if kind == "png" else "Creator": MAKER}
            figure.savefig(file, format=kind, dpi=110, metadata=maker)
    except ValueError:
        raise SettingError(f"{picture}: no such picture; call it {picture.stem}.png") from None


def _panels(steps: Sequence[Line], epochs: Sequence[Line]) -> Any:
    from matplotlib.figure import Figure  # not pyplot, which looks for a screen

    figure = Figure(figsize=(8, 6), layout="constrained")
    loss, accuracy, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    at, ends = [when(x) for x in steps], [when(x) for x in epochs]
    loss.plot(at, [x["loss"] for x in steps], color=INK, alpha=0.3, lw=0.8, label="of a step")
    loss.plot(ends, [x["loss"] for x in epochs], color=INK, marker="o", ms=3, label="of an epoch")
    if held := [x for x in epochs if x["held_out_loss"] is not None]:
        style = {"color": ACCENT, "marker": "o", "ms": 3}
        judged, losses = [when(x) for x in held], [x["held_out_loss"] for x in held]
        loss.plot(judged, losses, label="held-out normals", **style)
        accuracy.plot(judged, [100 * x["held_out_accuracy"] for x in held], **style)
    accuracy.set_ylim(0, 102)
    rate.plot(at, [x["rate"] for x in steps], color=INK)
    rate.set_ylim(0, None)
    for axes, name in ((loss, "loss"), (accuracy, "held-out right, %"), (rate, "rate")):
        axes.set_ylabel(name)
        axes.grid(alpha=0.25)
    loss.legend(frameon=False)
    rate.set_xlabel("epoch")
    return figure
