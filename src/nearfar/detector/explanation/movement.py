"""How far one feature of a clip is from that of the nearest normal row, and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.embedder.dif.words import Band


@dataclass(frozen=True)
class Movement:
    """How one feature differs from the nearest row of the bank, and what that is worth.

    `contribution` is `adjusted`², and those of all features sum to d². `adjusted` is the feature's
    axis of the whitened difference: the movement less what the other features, with which it goes
    together, let expect. Its sign may so be another than that of `movement`.

    >>> moved = Movement("rms_ratio", "the level of near over far", "basic_stereo", "stereo", "dB",
    ...                  None, value=9.0, normal=5.0, movement=2.0, usual=1.5, adjusted=3.0)
    >>> moved.sentence, moved.contribution
    ('the level of near over far rose', 9.0)
    """

    feature: str  # its name in the table
    words: str  # the same for a person
    family: str
    channel: str  # "near" where the far microphone has no part in it, else "stereo"
    unit: str  # of the two values that follow
    band: Band | None  # Hz; None: of all frequencies
    value: float  # of the clip, after the system's adaptation if it has one
    normal: float  # of the nearest row
    movement: float  # value − normal, in standard deviations of the bank's real rows
    usual: float  # value − mean of the bank's real rows, in the same unit
    adjusted: float  # movement in the whitened space

    @property
    def contribution(self) -> float:
        """To d²; never below 0."""
        return self.adjusted**2

    @property
    def sentence(self) -> str:
        """What happened, in plain words."""
        verb = "rose" if self.movement > 0 else "fell" if self.movement < 0 else "stayed"
        # It moved, but the features beside it moved further: that is what sets it apart.
        less = " less than what goes with it" if self.movement * self.adjusted < 0 else ""
        return f"{self.words} {verb}{less}"
