"""The pictures of a report. Each says in words what it shows, with its numbers.

No two kinds of clips differ by colour alone: domains also by the shape of their marks, labels also
by hatching or filling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.metrics.roc import MAX_FPR
from nearfar.report.atlas import within
from nearfar.report.contents import NORMAL, Panel
from nearfar.report.plots import COLOURS, DASHED, INK, MUTED, either, figure, styled, svg
from nearfar.text import counted, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 1500  # of a cloud or a line; more are thinned out
LONGEST_NAME = 24  # characters in a picture
_DOMAIN = {"source": COLOURS["source"], "target": COLOURS["target"]}


def overview(
    rows: Sequence[tuple[str, float, tuple[float, float] | None]],
    published: Mapping[str, Sequence[float]],
    other: Mapping[str, float],
) -> Any:
    """The number of each machine with its interval, and others' beside it.

    Args:
        rows: name, number and interval, 0–1, from top to bottom.
        published: name → published numbers, 0–1.
        other: name → the compared result's, 0–1.
    """
    wide, slim = (_numbers(rows, published, other, width) for width in (8.2, 3.9))
    return either(wide, slim)


def _numbers(
    rows: Sequence[tuple[str, float, tuple[float, float] | None]],
    published: Mapping[str, Sequence[float]],
    other: Mapping[str, float],
    width: float,
) -> Any:
    picture = figure(width, 0.9 + 0.34 * len(rows))
    with styled():
        axes = picture.subplots()
        for y, (name, value, interval) in enumerate(rows):
            for one in published.get(name, ()):
                axes.plot([100 * one] * 2, [y - 0.26, y + 0.26], color=MUTED, lw=1.2)
            if interval is not None:
                axes.plot([100 * v for v in interval], [y, y], color=COLOURS["accent"], lw=2.2)
            axes.plot(100 * value, y, "o", color=COLOURS["accent"], ms=7)
            if name in other:
                axes.plot(100 * other[name], y, "D", mfc="none", mec=COLOURS["far"], ms=8, mew=1.8)
        # A name is no formula, whatever signs are in it.
        axes.set_yticks(range(len(rows)), [short(name) for name, _, _ in rows], parse_math=False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.axvline(50, color=MUTED, lw=1, ls=(0, (2, 3)))
        lowest = min(value if interval is None else interval[0] for _, value, interval in rows)
        axes.set_xlim(max(-1.0, min(40.0, 100 * lowest - 3)), 101)
        axes.set_xlabel("%, dotted: chance")
        axes.grid(visible=False, axis="y")
        picture.tight_layout(pad=0.4)
    said = [
        f"{name} {100 * value:.2f} %"
        + (f", interval {100 * low_high[0]:.2f} to {100 * low_high[1]:.2f}" if low_high else "")
        for name, value, low_high in rows
    ]
    return svg(picture, "Each machine's number: " + "; ".join(said))


def short(name: str) -> str:
    """A name that leaves room for what stands beside it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def roc(panel: Panel) -> Any:
    """A ROC curve, its partial area shaded; None without labels of both kinds."""
    curve = panel.curve
    if curve is None:
        return None
    picture = figure(4.4, 3.9)
    false, true = curve.up_to()
    at = alarmed(panel)
    with styled():
        axes = picture.subplots()
        axes.fill_between(
            false, true, facecolor="none", edgecolor=COLOURS["accent"], hatch="//////", lw=0
        )
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (2, 3)))
        axes.axvline(MAX_FPR, color=MUTED, lw=1)
        axes.plot(curve.false, curve.true, color=COLOURS["accent"])
        axes.plot(*at, "s", ms=8, mfc="none", mec=COLOURS["alarm"], mew=2)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="share of normal clips above",
                 ylabel="share of anomalies above")  # fmt: skip
        picture.tight_layout(pad=0.4)
    label = (
        f"ROC of {panel.name}: AUC {100 * curve.auc:.2f} %, pAUC up to a false positive rate of "
        f"{MAX_FPR:g} (shaded) {100 * curve.pauc:.2f} %; the threshold calls {100 * at[0]:.0f} % "
        f"of normal clips and {100 * at[1]:.0f} % of anomalies anomalous"
    )
    return svg(picture, label)


def alarmed(panel: Panel) -> tuple[float, float]:
    """Shares of normal clips and of anomalies that are above their thresholds, 0–1."""
    called: dict[bool, list[bool]] = {False: [], True: []}
    for v, known in zip(panel.verdicts, panel.known, strict=True):
        label = known.label if known else v.clip.label
        if label:
            called[label == "anomaly"].append(v.anomalous)
    return tuple(float(np.mean(c)) if c else 0.0 for c in called.values())  # type: ignore[return-value]


def scores(panel: Panel) -> Any:
    """How the scores of each kind of clip lie, one row a kind, with the threshold."""
    found = panel.histogram
    if found is None:
        return None
    picture = figure(5.4, 0.9 + 0.62 * len(found.counts))
    width = np.diff(found.edges)
    with styled():
        rows: list[Axes] = list(
            picture.subplots(len(found.counts), 1, sharex=True, squeeze=False)[:, 0]
        )
        for axes, (kind, counts) in zip(rows, found.counts.items(), strict=True):
            colour, hatch = _kind_style(kind)
            axes.bar(
                found.edges[:-1], counts, width, align="edge", hatch=hatch, edgecolor=colour,
                facecolor="none" if hatch else colour, lw=0.8,
            )  # fmt: skip
            axes.set_ylabel(f"{kind}\n{int(counts.sum())}", rotation=0, ha="right", va="center")
            axes.yaxis.set_major_locator(_ticks(int(counts.max(initial=0))))
            axes.grid(visible=False, axis="x")
            for n, value in enumerate(panel.thresholds.values()):
                shown = min(value, found.edges[-1])
                axes.axvline(shown, color=INK, lw=1.2, ls=(DASHED, (0, (1, 2)))[n % 2])
        rows[-1].set_xlabel("score; dashed: threshold" + _beyond(found.beyond))
        picture.align_ylabels(rows)
        picture.tight_layout(pad=0.4, h_pad=0.25)
    return svg(picture, f"Scores of {panel.name}: " + spread(panel))


def spread(panel: Panel) -> str:
    """The same in words: median and range of each kind, and the threshold."""
    said = [
        f"{kind}: {counted(len(s), 'clip')}, median {number(float(np.median(s)))}, "
        f"{number(float(s.min()))} to {number(float(s.max()))}"
        for kind, s in panel.shown.items()
    ]
    limits = [
        f"threshold{f' of {domain} clips' if domain else ''} {number(value, 4)}"
        for domain, value in panel.thresholds.items()
    ]
    return "; ".join([*said, *limits])


def chart(panel: Panel) -> Any:
    """The map of a machine's clips; None where no clip was judged."""
    found = panel.atlas
    if found is None:
        return None
    places, beyond = within(found)
    bad, (calm, loud) = _called_bad(panel)
    kept = np.unique(
        np.linspace(0, len(found.bank) - 1, min(MOST_POINTS, len(found.bank))).astype(int)
    )
    picture = figure(4.4, 3.9)
    with styled():
        axes = picture.subplots()
        for name, mark, mine in (("source", "o", ~found.target), ("target", "D", found.target)):
            dots = found.bank[kept][mine[kept]]
            axes.plot(dots[:, 0], dots[:, 1], mark, ms=4, mfc="none", mec=_DOMAIN[name], mew=0.9,
                      alpha=0.8, label=f"normal, {name}" if len(dots) else None)  # fmt: skip
        new = (("+", ~bad, INK, calm), ("^", bad, COLOURS["alarm"], loud))
        for mark, mine, colour, word in new:
            label = f"new, {word}" if mine.any() else None
            axes.plot(*places[mine].T, mark, ms=7, mew=1.5, color=colour, label=label)
        axes.set(xlabel=f"axis 1, {100 * found.share[0]:.0f} % of the variance",
                 ylabel=f"axis 2, {100 * found.share[1]:.0f} %")  # fmt: skip
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=9,
                    handletextpad=0.3, columnspacing=1.2)  # fmt: skip
        picture.tight_layout(pad=0.4)
    label = (
        f"Map of {panel.name}: {counted(len(found.bank), 'normal clip')} of the detector, "
        f"{int((~bad).sum())} new ones, {calm} (crosses), and {int(bad.sum())}, {loud} "
        f"(triangles); median distance from the middle {_distance(found.bank)} of the detector's, "
        f"{_distance(found.clips[~bad])} and {_distance(found.clips[bad])} of the new"
        + (f"; {int(beyond.sum())} far outside, drawn at the edge" if beyond.any() else "")
    )
    return svg(picture, label)


def _called_bad(panel: Panel) -> tuple[NDArray[np.bool_], tuple[str, str]]:
    """Which new clips are anomalies by label, or where labels are missing by verdict."""
    labels = [
        known.label if known else v.clip.label
        for v, known in zip(panel.verdicts, panel.known, strict=True)
    ]
    if all(labels):
        return np.array([label == "anomaly" for label in labels]), ("normal", "anomaly")
    return np.array([v.anomalous for v in panel.verdicts], dtype=np.bool_), (
        "below the threshold",
        "above the threshold",
    )


def _distance(places: NDArray[np.float64]) -> str:
    lengths = np.linalg.norm(places, axis=1)
    return number(float(np.median(lengths))) if lengths.size else "–"


def _kind_style(kind: str) -> tuple[str, str]:
    if kind == NORMAL:
        return MUTED, ""
    domain = kind.rsplit(", ", 1)[-1]
    return _DOMAIN.get(domain, COLOURS["accent"]), "////" if kind.startswith("anomaly") else ""


def _beyond(count: int) -> str:
    return f"; last bar: also {count} beyond it" if count else ""


def _ticks(most: int) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator([0, most])
