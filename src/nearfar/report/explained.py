"""The page of one explanation: hear it, see it, and read what moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.report.page import write_page
from nearfar.report.plots import COLOURS, DIVERGING, figure, mels, spectrogram, styled, svg
from nearfar.report.sounds import SOUNDS, tracks
from nearfar.report.spectrograms import Picture, stack
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.text import called

if TYPE_CHECKING:
    from nearfar.detector.explanation.explanation import Explanation, Regions
    from nearfar.detector.explanation.themes import Theme
    from nearfar.embedder.dif.words import Band

SHOWN = 8  # movements that are drawn; the others stand in a table
BANDS = 3  # of these, the first, whose bands are marked in the picture
LONGEST = 60  # s of each sound, drawn and heard: an hour would be 240 MB

Sounds = dict[str, tuple[str, NDArray[np.float32]]]  # colour → (label, samples)


def write_explanation(explanation: Explanation, path: Path) -> Path:
    """Write the page of an explanation, whole or not at all.

    Returns:
        The file.

    Raises:
        NearfarError: jinja2 or matplotlib is not installed.
        StorageError: it cannot be written.
    """
    clip = explanation.verdict.clip
    title = f"{called(clip.machine, clip.section)}: {clip.name}"
    return write_page(path, "explained", title, {"x": shown(explanation), "clip": clip})


def shown(explanation: Explanation, name: str = "clip", *, pictures: bool = True) -> dict[str, Any]:
    """What the template `explanation.html.j2` shows of it.

    Args:
        explanation: of one clip.
        name: of its player, unlike those of others in the page.
        pictures: draw spectrograms; without them a page is a third as large.
    """
    heard, cut = heard_in(explanation)
    return {
        "name": name,
        "why": explanation.why,
        "verdict": explanation.verdict,
        "explanation": explanation,
        "tracks": tracks(heard),
        "cut": cut,
        "picture": picture_of(explanation, heard) if pictures and heard else None,
        "slim": picture_of(explanation, heard, slim=True) if pictures and heard else None,
        "regions": _map(explanation.regions) if explanation.regions else None,
        "moves": moves_of(explanation),
        "bands": bands_of(explanation),
        "all": explanation.movements,
        "together": sum(m.contribution for m in explanation.movements),
    }


def heard_in(explanation: Explanation) -> tuple[Sounds, int]:
    """What can be heard of a clip, no longer than `LONGEST`, and that length in s if it was cut."""
    whole = _sounds(explanation)
    most = LONGEST * SAMPLE_RATE
    heard = {key: (label, sound[:most]) for key, (label, sound) in whole.items()}
    return heard, LONGEST if any(len(sound) > most for _, sound in whole.values()) else 0


def _sounds(explanation: Explanation) -> Sounds:
    """What can be heard of a clip, in the order of its buttons."""
    found: Sounds = {}
    normal = explanation.normal.near if explanation.normal else None
    given = {"near": explanation.near, "far": explanation.far, "heard": explanation.heard,
             "normal": normal}  # fmt: skip
    for key, label in SOUNDS.items():
        sound = given[key]
        if sound is not None and len(sound):
            found[key] = (label, sound)
    return found


def picture_of(explanation: Explanation, heard: Sounds, *, slim: bool = False) -> Picture:
    """The sounds of `heard_in`, at least one, drawn above each other; `slim` for a phone."""
    normal = heard["normal"][1] if "normal" in heard else None
    sounds = {label: sound for label, sound in heard.values()}
    return stack(sounds, normal, explanation.regions, bands=bands_of(explanation), slim=slim)


def bands_of(explanation: Explanation) -> list[Band]:
    """Where in Hz to look for what moved most, as far as that is told."""
    return [theme.band for theme, _ in moves_of(explanation, BANDS) if theme.band is not None]


def moves_of(explanation: Explanation, most: int = SHOWN) -> list[tuple[Theme, float]]:
    """What moved most, each with its share of d², 0–1."""
    return [
        (theme, theme.contribution / explanation.squared)
        for theme in explanation.themes[:most]
        if theme.contribution > 0
    ]


def _map(regions: Regions) -> Any:
    """The whole map of an occlusion: how far the score falls without each cell."""
    fall = np.asarray(regions.fall)
    largest = float(np.max(np.abs(fall))) or 1.0
    picture = figure(9.0, 2.6)
    with styled():
        axes = picture.subplots()
        # Cells are even in neither unit: each is drawn where it lies.
        drawn = axes.pcolormesh(
            regions.seconds, mels(np.array(regions.hertz)), fall, cmap=DIVERGING,
            vmin=-largest, vmax=largest, edgecolors=COLOURS["grid"], linewidth=0.4,
        )  # fmt: skip
        blank = np.full((1, 1), np.nan, np.float32)
        spectrogram(axes, blank, regions.seconds[-1], (0, 1))  # its axes, nothing else
        axes.set_xlabel("s")
        picture.colorbar(drawn, label="score without it, lower by", fraction=0.04, pad=0.02)
        picture.subplots_adjust(left=0.07, right=0.94, bottom=0.2, top=0.95)
        return svg(picture, f"Map of what the score comes from: {regions.where or 'nowhere'}.")
