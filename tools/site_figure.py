"""The report's Figures 1 to 3, redrawn: how the four systems are made, from their own settings.

Two pictures, so that on a telephone one stands below the other. Every number in them is read from
the preset, so that a picture cannot tell of another system than the one that is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import nearfar as nf
from nearfar.embedder.dif import TABLE
from nearfar.embedder.dif.families import STEREO_FAMILIES

WIDTH = 440  # units, as wide as a telephone shows at full size
# Of light pages and dark ones. The site's own switch goes before what the reader's system says: its
# rules are longer, and made of the same colours (docs/assets/site.css; a test compares them).
LIGHT = {
    "ink": "#17302d", "dim": "#48615e", "line": "#6b8683", "sound": "#fdf0dc", "part": "#dff2ef",
    "score": "#e4e8f8", "page": "#fff",
}  # fmt: skip
DARK = {
    "ink": "#e6f1ef", "dim": "#a9c0bc", "line": "#7f9c98", "sound": "#4a3a1f", "part": "#173f3a",
    "score": "#2b3157", "page": "#1e2129",
}  # fmt: skip
FONT = 'system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif'


def colours(of: dict[str, str]) -> str:
    """As a style sheet says them.

    >>> colours({"ink": "#000", "page": "#fff"})
    '--ink: #000; --page: #fff;'
    """
    return " ".join(f"--{name}: {value};" for name, value in of.items())


STYLE = f"""
.nf {{ {colours(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ .nf {{ {colours(DARK)} }} }}
.nf text {{ font-family: {FONT}; fill: var(--ink); text-anchor: middle; }}
.nf .t {{ font-size: 14px; font-weight: 600; }}
.nf .l {{ font-size: 12px; fill: var(--dim); }}
.nf rect {{ stroke: var(--line); stroke-width: 1; }}
.nf path {{ fill: none; stroke: var(--line); stroke-width: 1.5; }}
.nf .tip {{ fill: var(--line); stroke: none; }}
.nf .sound {{ fill: var(--sound); }}
.nf .part {{ fill: var(--part); }}
.nf .score {{ fill: var(--score); }}
.nf .training {{ fill: var(--page); stroke-dasharray: 5 4; }}
""".strip()


@dataclass(frozen=True)
class Box:
    """A box of the drawing: where, and what stands in it.

    >>> Box(10, 0, 100, "EAT", ("frozen",)).height
    46
    """

    x: int
    y: int
    width: int
    title: str
    lines: tuple[str, ...] = ()
    kind: str = "part"  # sound, part, score or training

    @property
    def height(self) -> int:
        """What its lines take."""
        return 28 + 18 * len(self.lines)

    @property
    def middle(self) -> int:
        """Where arrows meet it."""
        return self.x + self.width // 2

    @property
    def bottom(self) -> int:
        """Where arrows leave it."""
        return self.y + self.height

    def drawn(self) -> str:
        """Its rectangle and its words."""
        out = [
            f'<rect class="{self.kind}" x="{self.x}" y="{self.y}" width="{self.width}" '
            f'height="{self.height}" rx="6"/>',
            f'<text class="t" x="{self.middle}" y="{self.y + 19}">{escape(self.title)}</text>',
        ]
        for n, line in enumerate(self.lines):
            y = self.y + 38 + 18 * n
            out.append(f'<text class="l" x="{self.middle}" y="{y}">{escape(line)}</text>')
        return "\n".join(out)


def figures() -> dict[str, str]:
    """File name without its ending → SVG."""
    return {"systems-1-2": _trained(), "systems-3-4": _free()}


def _trained() -> str:
    """Systems 1 and 2: mask, fine-tuned encoder, cosine."""
    one, two, training = nf.s1("w"), nf.s2("a", "b", "c", "d"), nf.FineTuning()
    mask: Any = one.frontend
    crops: Any = one.embedder
    near = Box(10, 4, 202, "near", ("beside the machine",), "sound")
    far = Box(228, 4, 202, "far", ("what the hall sounds like",), "sound")
    gate = Box(
        10, 84, 420, "coherence mask",
        (
            "M = max(σ(β ln P₀/P₁) · (1 − w γ), δ)",
            f"β = {mask.sharpness:g}, w = {mask.coherence_weight:g}, δ = {mask.floor:g}",
        ),
    )  # fmt: skip
    share = f"{100 * crops.shortest:.0f} to 100 %"
    encoder = Box(
        10, 182, 254, "EAT-large, fine-tuned",
        (f"{crops.n} crops of {share}, averaged", "statistics pooling, head → 256"),
    )  # fmt: skip
    loss = Box(
        290, 182, 140, "training only",
        (f"ArcFace, m = {training.margin:g}", "proxy classes"), "training",
    )  # fmt: skip
    bank = Box(10, 280, 420, "memory bank", ("rows of normal clips, of length 1",))
    rule = Box(
        10, 360, 420, f"distance to the nearest, {one.rule.metric}, k = {one.rule.neighbours}"
    )
    first = Box(10, 426, 202, "System 1", ("the distance",), "score")
    second = Box(
        228, 426, 202, "System 2", (f"{len(two.members)} seeds, z-scored, averaged",), "score"
    )
    boxes = (near, far, gate, encoder, loss, bank, rule, first, second)
    arrows = [
        _down(near), _down(far), _arrow(encoder.middle, gate.bottom, encoder.y), _down(encoder),
        _down(bank), _arrow(first.middle, rule.bottom, first.y),
        _arrow(second.middle, rule.bottom, second.y),
        _aside(loss.x, encoder.x + encoder.width, encoder.y + encoder.height // 2),
    ]  # fmt: skip
    return _svg("Systems 1 and 2", boxes, arrows)


def _free() -> str:
    """Systems 3 and 4: features and frozen encoder, nothing trained."""
    three, four = nf.s3("w"), nf.s4()
    paths: Any = three.members
    stereo = sum(f.family in STEREO_FAMILIES and f.name in four.embedder.names for f in TABLE)  # type: ignore[attr-defined]
    size = four.embedder.dim
    near = Box(10, 4, 202, "near", ("beside the machine",), "sound")
    far = Box(228, 4, 202, "far", ("what the hall sounds like",), "sound")
    dif = Box(
        10,
        106,
        250,
        "domain invariant features",
        (f"{size - stereo} near + {stereo} stereo = {size}",),
    )
    eat = Box(276, 106, 154, "EAT-large", ("frozen, near only",))
    white = Box(10, 186, 250, "ZCA whitening", ("fitted on normal clips",))
    white2 = Box(276, 186, 154, "ZCA whitening", ("on normal clips",))
    more = Box(10, 266, 250, "memory bank", ("clips, residual rows, pseudo-target",))
    more2 = Box(276, 266, 154, "memory bank", ("normal clips",))
    rule = four.rule
    nearest = Box(10, 346, 117, f"k = {rule.neighbours}", (rule.metric.capitalize(),))
    weights = ", ".join(f"{w:g}".replace("-", "−") for w in paths[0].rule.weights)
    dense = Box(143, 346, 117, f"k = {paths[0].rule.neighbours}", (weights,))
    dense2 = Box(276, 346, 154, f"k = {paths[1].rule.neighbours}", (weights,))
    final = Box(10, 426, 117, "System 4", ("the distance",), "score")
    w = [f"{100 * x:.0f} %" for x in three.weights]
    both = Box(143, 426, 287, "System 3", (f"percentiles, {w[0]} and {w[1]}",), "score")
    boxes = (near, far, dif, eat, white, white2, more, more2, nearest, dense, dense2, final, both)
    arrows = [
        _arrow(near.middle, near.bottom, dif.y), _arrow(244, far.bottom, dif.y),
        _bend(near.middle + 45, near.bottom, eat.middle, eat.y),
        _down(dif), _down(eat), _down(white), _down(white2),
        _arrow(nearest.middle, more.bottom, nearest.y), _arrow(dense.middle, more.bottom, dense.y),
        _arrow(dense2.middle, more2.bottom, dense2.y), _down(nearest), _down(dense), _down(dense2),
    ]  # fmt: skip
    return _svg("Systems 3 and 4", boxes, arrows)


def _down(box: Box, gap: int = 34) -> str:
    return _arrow(box.middle, box.bottom, box.bottom + gap)


def _arrow(x: int, top: int, bottom: int) -> str:
    tip = f'<path class="tip" d="M{x - 4} {bottom - 8}h8l-4 8z"/>'
    return f'<path d="M{x} {top}V{bottom - 7}"/>{tip}'


def _bend(x: int, top: int, to: int, bottom: int) -> str:
    """Down, across, and down again."""
    half = (top + bottom) // 2
    return f'<path d="M{x} {top}V{half}H{to}"/>' + _arrow(to, half, bottom)


def _aside(start: int, end: int, y: int) -> str:
    return f'<path d="M{start} {y}H{end + 7}"/><path class="tip" d="M{end + 8} {y - 4}v8l-8 -4z"/>'


def _svg(title: str, boxes: Sequence[Box], arrows: Sequence[str]) -> str:
    height = max(box.bottom for box in boxes) + 4
    words = "; ".join(": ".join((box.title, ", ".join(box.lines))).rstrip(": ") for box in boxes)
    return "\n".join(
        [
            f'<svg class="nf" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img">',
            f"<title>{title}</title>",
            f"<desc>{escape(words)}</desc>",
            f"<style>{STYLE}</style>",
            *arrows,
            *(box.drawn() for box in boxes),
            "</svg>\n",
        ]
    )
