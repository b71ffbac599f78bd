"""How an encoder was trained: what a file of `nearfar finetune` says of itself. No torch here.

It stands in the file's metadata as JSON under "nearfar", beside the encoder's "config".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nearfar.embedder.encoders import RECORD
from nearfar.embedder.weights import Shaped, Weights
from nearfar.errors import WeightsError

KEY = RECORD
FORMAT = 1  # of the record; a newer one may say what this nearfar must not ignore
HEARD_DIGITS = 16  # of a hash, hexadecimal: thousands of clips, one header


@dataclass(frozen=True)
class Training:
    """What a trained encoder heard, and how.

    Args:
        frontend: the front end it was trained with, as data (`nearfar.parts.data`).
        frames: of `EAT.frames` in training.
        classes: proxy classes, each (machine, section, attributes), in the order of the centres.
        held_out: sha256 of the near channel of the clips kept from training, to select by.
        heard: the first 16 digits of those of the clips it was trained on: such a clip may draw no
            threshold (law 5).
        settings: of the training, as data.
        provenance: versions, seed, sha256 of the weights it began with, clips, dates.

    >>> fans = (("fan", "00", "source"), ("fan", "00", "target"))
    >>> training = Training(None, None, fans, frozenset(), heard=frozenset({"0123456789abcdef"}))
    >>> training.has_heard("0123456789abcdef" + 48 * "0"), sorted(training.machines)
    (True, ['fan'])
    """

    frontend: Any
    frames: int | None
    classes: tuple[tuple[str, str, str], ...]
    held_out: frozenset[str]
    heard: frozenset[str]
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    provenance: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def machines(self) -> frozenset[str]:
        """Machines it was trained on."""
        return frozenset(machine for machine, _, _ in self.classes)

    @property
    def excluded(self) -> frozenset[str]:
        """Machines that were there and were left out."""
        left_out = self.provenance.get("excluded")
        return frozenset(map(str, left_out)) if isinstance(left_out, list) else frozenset()

    @property
    def order(self) -> str:
        """Which channel of a file was the near one."""
        run = self.provenance.get("run")
        return str(run.get("order", "near-far")) if isinstance(run, Mapping) else "near-far"

    def has_heard(self, digest: str) -> bool:
        """Was it trained on the clip whose near channel has this sha256?"""
        # Without a digest nobody knows: law 5 then takes the clip for one that was heard.
        return not digest or digest[:HEARD_DIGITS] in self.heard

    def knows(self, digest: str) -> bool:
        """Was the clip there in training, be it held out?"""
        return self.has_heard(digest) or digest in self.held_out

    @classmethod
    def of(cls, weights: Weights[Shaped]) -> Training | None:
        """What the file says of its training; None for published weights.

        Raises:
            WeightsError: a damaged record, or one of a newer nearfar.
        """
        text = weights.metadata.get(KEY)
        if text is None:
            return None
        try:
            data = json.loads(text)
            if data["format"] > FORMAT:
                raise WeightsError(
                    f"{weights.path}: was trained by a newer nearfar (format {data['format']}, "
                    f"this one reads {FORMAT}); upgrade nearfar"
                )
            return cls(
                frontend=data["frontend"],
                frames=None if data["frames"] is None else int(data["frames"]),
                classes=tuple((str(a), str(b), str(c)) for a, b, c in data["classes"]),
                held_out=frozenset(map(str, data["held_out"])),
                heard=frozenset(map(str, data["heard"])),
                settings=dict(data["settings"]),
                provenance=dict(data["provenance"]),
            )
        except (ValueError, LookupError, TypeError) as error:
            if isinstance(error, WeightsError):
                raise
            raise WeightsError(
                f"{weights.path}: its record of training is damaged ({type(error).__name__}); "
                "train again, or copy the file again"
            ) from None

    def to_text(self) -> str:
        """JSON for the file's metadata."""
        return json.dumps(
            {
                "format": FORMAT,
                "frontend": self.frontend,
                "frames": self.frames,
                "classes": self.classes,
                "held_out": sorted(self.held_out),
                "heard": sorted(self.heard),
                "settings": dict(self.settings),
                "provenance": dict(self.provenance),
            },
            ensure_ascii=False,  # machines have names in any language
        )
