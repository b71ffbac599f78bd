"""Pictures inside a page: matplotlib's SVG whose colours are the page's, by day and by night."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import needs
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.sound.spectral import mel_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# A colour nobody would choose stands for a name of page.css, which knows whether it is night.
_NAMES = (
    "ink", "muted", "grid", "paper", "alarm", "good", "near", "far", "heard", "normal",
    "source", "target", "accent",
)  # fmt: skip
COLOURS = {name: f"#0101{n:02x}" for n, name in enumerate(_NAMES, start=1)}
INK, MUTED, GRID, PAPER = (COLOURS[name] for name in ("ink", "muted", "grid", "paper"))
# Of values that have no sign and of those that have one: even steps, safe for the colour-blind.
SEQUENTIAL, DIVERGING = "magma", "PuOr_r"
TICKS = (0.5, 1, 2, 4, 8)  # kHz
DASHED: Any = (0, (5, 3))  # of every threshold
WIDE_RANGE = 4.0  # highest score over the threshold; above, only a logarithm shows both
TOP_MEL = float(mel_scale(np.array(SAMPLE_RATE / 2)))

_RC: Any = {
    "svg.fonttype": "none",  # text stays text: it is searched, read aloud, and set in our font
    "svg.hashsalt": "nearfar",  # the same picture gives the same bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def figure(width: float, height: float) -> Figure:
    """An empty figure in the style of the pages, width × height in inches of 96 px.

    Draw on it within `with styled():`, for axes take their style when they are made.

    Raises:
        NearfarError: matplotlib is not installed.
    """
    with needs("report", "pages need matplotlib"):
        import matplotlib  # noqa: F401
    from matplotlib.figure import Figure  # not pyplot, which looks for a screen

    with styled():
        return Figure(figsize=(width, height), dpi=96)


def styled() -> Any:
    """A context in which matplotlib draws in the style of the pages."""
    import matplotlib

    return matplotlib.rc_context(_RC)


def svg(picture: Figure, label: str) -> Any:
    """A figure as inline SVG, safe to stand beside others in one page.

    Args:
        picture: the figure.
        label: what it shows, with its numbers, for those who do not see it.
    """
    from markupsafe import Markup, escape

    buffer = io.StringIO()
    with styled():
        _within_years(picture)
        picture.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # Its style would be the whole page's, its metadata nobody's; groups' names would come twice.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    # What is defined and referred to: each picture its own, or the page has a name twice.
    own = hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{own}-", text)
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    # Font families are the page's; sizes stay.
    text = re.sub(r"font: ([^;\"]*?px) [^;\"]*", r"font-size: \1", text)
    head = f'<svg role="img" aria-label="{escape(label)}" class="plot" '
    return Markup(text.replace("<svg ", head, 1))


def either(wide: Any, narrow: Any) -> Any:
    """One picture drawn twice, of which a desk sees the one and a phone the other.

    Scaled down to a phone, letters are too small to read; scrolled, the end is out of sight.
    """
    from markupsafe import Markup

    return Markup(
        f'<div class="either"><div class="for-wide">{wide}</div>'
        f'<div class="for-narrow">{narrow}</div></div>'
    )


def score_axis(axis: Any, values: Sequence[float], threshold: float) -> bool:
    """Make an axis of scores logarithmic where they reach far above the threshold.

    Its numbers are plain in any case, as they stand in texts. Returns whether it is.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if not values or min(values) <= 0 or not 0 < WIDE_RANGE * threshold < max(values):
        return False
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())
    return True


def threshold_line(axes: Axes, value: float, words: str) -> None:
    """A threshold across a picture, with its words on it."""
    axes.axhline(value, color=INK, linewidth=1.2, linestyle=DASHED, zorder=4)
    axes.annotate(
        words, (0.004, value), xytext=(0, 4), xycoords=("axes fraction", "data"),
        textcoords="offset points", fontsize=9, color=INK, zorder=5,
        bbox={"facecolor": PAPER, "alpha": 0.8, "linewidth": 0, "pad": 1},
    )  # fmt: skip


def time_axis(axes: Axes, ticks: int = 8) -> None:
    """Let the axis below tell times as people write them: the date where it changes, else hours."""
    from matplotlib import dates

    module: Any = dates  # which matplotlib gives no types
    locator = module.AutoDateLocator(minticks=3, maxticks=ticks)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        module.ConciseDateFormatter(
            locator, formats=["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
            zero_formats=["", "%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M"], show_offset=False,
        )
    )  # fmt: skip


def _within_years(picture: Figure) -> None:
    """Keep axes of time within the years that there are: a margin beside 9999 would leave them.

    Recorders with a wrong clock write such times.
    """
    from matplotlib import dates

    module: Any = dates
    first, last = module.date2num(datetime(1, 1, 1)), module.date2num(datetime(9999, 12, 31))
    for axes in picture.axes:
        if isinstance(axes.xaxis.get_major_locator(), module.AutoDateLocator):
            low, high = axes.get_xlim()
            axes.set_xlim(max(low, first), min(high, last))


def spectrogram(
    axes: Axes,
    levels: NDArray[np.float32],
    seconds: float,
    limits: tuple[float, float],
    *,
    cmap: str = SEQUENTIAL,
) -> AxesImage:
    """Draw a log-mel spectrogram on axes of time in s and frequency in kHz.

    Args:
        axes: to draw on.
        levels: (bands, frames), from 0 Hz to half the sample rate, evenly spaced in mel.
        seconds: length of the time axis.
        limits: lowest and highest value of the colours.
        cmap: matplotlib's name of the colours.
    """
    image = axes.imshow(
        levels, origin="lower", aspect="auto", extent=(0, seconds, 0, TOP_MEL),
        vmin=limits[0], vmax=limits[1], cmap=cmap,
        interpolation="none",  # each value once, as a pixel; the browser makes it larger
    )  # fmt: skip
    axes.grid(visible=False)
    axes.set_yticks(mels(np.array(TICKS, float) * 1000), [f"{tick:g}" for tick in TICKS])
    axes.set_ylabel("kHz")
    return image


def mels(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where frequencies lie on the axis that `spectrogram` draws."""
    return mel_scale(hertz)
