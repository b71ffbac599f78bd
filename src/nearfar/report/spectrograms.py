"""A clip's sounds one above the other, on one time axis: near, far, heard, and a normal clip."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.report.plots import (
    COLOURS,
    DIVERGING,
    INK,
    PAPER,
    figure,
    mels,
    spectrogram,
    styled,
    svg,
)
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.sound.spectral import log_mel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nearfar.detector.explanation.explanation import Regions
    from nearfar.embedder.dif.words import Band

Levels = NDArray[np.float32]

ROW, MARGIN = 1.25, 0.75  # inches: of a row, of what is below
LEFT, RIGHT = 0.05, 0.905  # shares of the width between which time runs
RANGE = 70.0  # dB that the colours span below the loudest
CHANGE = 20.0  # dB up and down that the colours of a difference span
HOP = 256  # samples, at least


@dataclass(frozen=True)
class Picture:
    """A drawn picture over which a player's line runs.

    >>> Picture("<svg/>", seconds=10.0).left
    0.05
    """

    drawn: Any  # inline SVG
    seconds: float  # length of its time axis
    left: float = LEFT
    right: float = RIGHT


def alone(picture: Picture) -> str:
    """The picture as an SVG file of its own, with the colours that a page would give it."""
    style = files("nearfar.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    # Its first rules name the colours by day, and by night.
    colours = re.match(
        r":root \{.*?\n\}\n@media \(prefers-color-scheme: dark\) .*?\n\}\n", style, re.S
    )
    named = colours[0] if colours else ""
    rules = f"<style>{named}svg {{ font-family: system-ui, sans-serif; }}</style>"
    head, end, rest = str(picture.drawn).partition(">")
    return head + end + rules + rest


@dataclass(frozen=True)
class Shape:
    """How a picture is laid out for a screen.

    >>> PHONE.width < DESK.width
    True
    """

    width: float  # inches of 96 px
    left: float  # shares of the width between which time runs
    right: float
    frames: int  # at most, for a picture has no more pixels


DESK, PHONE = Shape(10.0, LEFT, RIGHT, 900), Shape(3.9, 0.09, 0.82, 300)


def levels(sound: NDArray[np.float32], frames: int = DESK.frames) -> Levels:
    """(128 mels, frames) in dB of (samples,) at 16 kHz, with no more frames than are seen."""
    hop = max(HOP, -(-len(sound) // frames))
    return log_mel(sound, hop=hop)


def less_usual(one: Levels, normal: Levels) -> Levels:
    """How much louder each moment is than a normal clip is at that frequency on average, dB.

    The mean is over its frames' power, since moments of two clips have nothing to do with each
    other.
    """
    usual = 10 * np.log10(np.mean(10 ** (normal / 10), axis=1, keepdims=True))  # (mels, 1)
    difference: Levels = (one - usual).astype(np.float32)
    return difference


def stack(
    sounds: Mapping[str, NDArray[np.float32]],
    normal: NDArray[np.float32] | None = None,
    regions: Regions | None = None,
    *,
    bands: Sequence[Band] = (),
    slim: bool = False,
) -> Picture:
    """Draw sounds that belong to one clip, and the difference of the first to a normal clip.

    Args:
        sounds: title → (samples,) at 16 kHz; the first is the near microphone's.
        normal: of the nearest normal clip, where it was found.
        regions: to be outlined in the first.
        bands: Hz, to be marked at the right edge of the first and of the difference.
        slim: for a phone.
    """
    shape = PHONE if slim else DESK
    seen = {title: levels(sound, shape.frames) for title, sound in sounds.items()}
    rows = len(seen) + (normal is not None)
    seconds = max(len(sound) for sound in sounds.values()) / SAMPLE_RATE
    height = rows * ROW + MARGIN
    picture = figure(shape.width, height)
    with styled():
        each: list[Axes] = list(picture.subplots(rows, sharex=True, squeeze=False)[:, 0])
        picture.subplots_adjust(
            left=shape.left,
            right=shape.right,
            bottom=0.5 / height,
            top=1 - 0.25 / height,
            hspace=0.32,
        )
        top = max(float(np.percentile(level, 99.9)) for level in seen.values())
        for axes, (title, sound) in zip(each, sounds.items(), strict=False):
            limits = (top - RANGE, top)
            image = spectrogram(axes, seen[title], len(sound) / SAMPLE_RATE, limits)
            _titled(axes, title, shape)
        _scale(picture, each[: len(seen)], image, shape)
        if normal is not None:
            first = next(iter(seen.values()))
            change = less_usual(first, levels(normal, shape.frames))
            _difference(picture, each[-1], change, seconds, shape)
        if regions is not None:
            _outline(each[0], regions)
        for axes in [each[0], *each[len(seen) :]]:
            _edge(axes, bands, seconds)
        each[-1].set_xlabel("s")
        each[-1].set_xlim(0, seconds)
        drawn = svg(picture, _described(list(sounds), seconds, difference=normal is not None))
    return Picture(drawn, seconds, shape.left, shape.right)


def _titled(axes: Axes, title: str, shape: Shape) -> None:
    """A row's title; on a phone it has the unit too, for which there is no room beside the row."""
    if shape is PHONE:
        axes.set_ylabel("")
    axes.set_title(title + ", kHz" * (shape is PHONE), pad=3)


def _difference(picture: Any, axes: Axes, change: Levels, seconds: float, shape: Shape) -> None:
    image = spectrogram(axes, change, seconds, (-CHANGE, CHANGE), cmap=DIVERGING)
    more = "" if shape is PHONE else "the mean spectrum of "
    _titled(axes, f"near, less {more}the nearest normal clip", shape)
    _scale(picture, [axes], image, shape)


def _scale(picture: Any, beside: list[Axes], image: Any, shape: Shape) -> None:
    """A colour bar right of some axes, without taking room from them."""
    high, low = beside[0].get_position().y1, beside[-1].get_position().y0
    bar = picture.add_axes((shape.right + 0.15 / shape.width, low, 0.12 / shape.width, high - low))
    picture.colorbar(image, cax=bar, label="" if shape is PHONE else "dB")
    if shape is PHONE:
        bar.set_title("dB", pad=3, fontsize=9)
    bar.grid(visible=False)


def _edge(axes: Axes, bands: Sequence[Band], seconds: float) -> None:
    """Strokes beside a picture, where nothing of it is hidden, as high as bands are."""
    for band in bands:
        axes.plot(
            [1.006 * seconds] * 2, mels(np.array(band, float)), color=COLOURS["alarm"], lw=3.5,
            clip_on=False, solid_capstyle="butt", zorder=5,
        )  # fmt: skip


def _outline(axes: Axes, regions: Regions) -> None:
    """Frame the marked cells, dark on light on dark, for it lies on all colours."""
    from matplotlib.patches import Rectangle

    edges = mels(np.array(regions.hertz))
    for band, span in zip(*np.nonzero(regions.marked), strict=True):
        (low, high), (start, stop) = edges[band : band + 2], regions.seconds[span : span + 2]
        for colour, wide in ((INK, 3.0), (PAPER, 1.4)):
            axes.add_patch(
                Rectangle(
                    (start, low), stop - start, high - low, fill=False, edgecolor=colour, lw=wide
                )
            )


def _described(titles: list[str], seconds: float, *, difference: bool) -> str:
    last = ", and how the first differs from the nearest normal clip" * difference
    return f"Spectrograms of {seconds:.3g} s up to 8 kHz: {', '.join(titles)}{last}."
