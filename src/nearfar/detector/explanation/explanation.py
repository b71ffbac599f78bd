"""What explains a verdict, as data: nothing is computed here, and nothing drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.explanation.band import BandShare
from nearfar.detector.explanation.movement import Movement as Movement
from nearfar.detector.explanation.themes import Theme, themes_of
from nearfar.embedder.dif.words import hertz
from nearfar.scores.verdict import Verdict
from nearfar.text import plain

Sound = NDArray[np.float32]  # (samples,) at 16 kHz, full scale ±1
Grid = NDArray[np.float64]

SCHEMA = 1  # of `Explanation.as_dict`; raised when a program that reads it could err
MARKED = 0.1  # share of a map's cells that is pointed at
STEADY = 0.7  # share of a clip's spans from which something is there all the time


@dataclass(frozen=True)
class Share:
    """What one member of a system says, and how much of the score is its.

    `part` of all members sum to the verdict's score. `share` are what raises it, 0–1, and sum to
    1: parts below 0 (a z-score below the mean) raise nothing; where no part is above 0 the shares
    are the weights.

    >>> Share("features of both microphones", weight=0.6, distance=41.0, score=0.9, share=0.7).part
    0.54
    """

    name: str  # as a person understands it
    weight: float  # 0–1; of all members they sum to 1
    distance: float  # what its rule says, in the unit of its distance
    score: float  # the same calibrated: what is weighted and added up
    share: float  # of the fused score, 0–1

    @property
    def part(self) -> float:
        """What it adds to the score: weight × score."""
        return self.weight * self.score


@dataclass(frozen=True)
class Neighbour:
    """A normal clip that is among the nearest.

    >>> Neighbour("pump/train/17.wav", "source", distance=31.5, made=False).path is None
    True
    """

    name: str  # as the detector calls it
    domain: str  # "source" or "target": of the row, which a made one has of its own
    distance: float  # of its nearest row, in the unit of the member's distance
    made: bool  # is that row one that was made of the clip, to enrich the target domain?
    path: Path | None = None  # of its recording, where one with the same sound was found


@dataclass(frozen=True, eq=False)
class Regions:
    """Where in time and frequency a score comes from, by occlusion.

    One cell after another is replaced by normal sound, and the clip is heard and scored anew. What
    the cells take off the score alone need not sum to the score.

    >>> fall = np.array([[0.0, 3.0], [0.0, 0.1]])
    >>> found = Regions("log-mel", (0.0, 1.0, 2.0), (0.0, 4000.0, 8000.0), fall, score=4.0,
    ...                 replaced_by="pump/train/17.wav", took=0.2)
    >>> found.where, found.marked.tolist()
    ('below 4 kHz, 1–2 s', [[False, True], [False, False]])
    """

    member: str  # whose score; as in `Share.name`
    seconds: tuple[float, ...]  # edges of the spans, spans + 1
    hertz: tuple[float, ...]  # edges of the bands, bands + 1
    fall: Grid  # (bands, spans) score − score without the cell, in the member's distance
    score: float  # the member's, of one crop as long as the clip
    replaced_by: str  # what the cells were replaced by, in words
    took: float  # s of computing

    @property
    def marked(self) -> NDArray[np.bool_]:
        """(bands, spans): the tenth of the cells whose falls are largest, and above 0."""
        count = max(1, round(MARKED * self.fall.size))
        flat = np.zeros(self.fall.size, dtype=np.bool_)
        # Stable: of equal falls the lower band and the earlier span.
        flat[np.argsort(-self.fall, axis=None, kind="stable")[:count]] = True
        grid: NDArray[np.bool_] = flat.reshape(self.fall.shape) & (self.fall > 0)
        return grid

    @property
    def where(self) -> str:
        """The band of the cell that takes most off the score, and when; "" if none does."""
        if not (self.fall > 0).any():
            return ""
        band = int(np.unravel_index(int(np.argmax(self.fall)), self.fall.shape)[0])
        low, high = self.hertz[band : band + 2]
        return f"{hertz(low, high)}, {self._when(self.fall[band])}"

    def _when(self, falls: Grid) -> str:
        """The spans whose fall is at least half of the largest, in words."""
        much = falls >= falls.max() / 2
        if much.mean() >= STEADY:
            return "all the time"
        edges = np.flatnonzero(np.diff(np.concatenate([[False], much, [False]])))
        runs = [
            f"{self.seconds[first]:.3g}–{self.seconds[last]:.3g} s"
            for first, last in edges.reshape(-1, 2).tolist()
        ]
        return " and ".join(runs) if len(runs) < 3 else f"{len(runs)} times"


@dataclass(frozen=True, eq=False)
class Tracks:
    """The sounds of one clip, each (samples,) float32 at 16 kHz.

    >>> Tracks(np.zeros(16_000, np.float32)).far is None
    True
    """

    near: Sound
    far: Sound | None = None  # None of a mono recording
    # What the embedder got to hear, as through the coherence mask; of a front end that gives two
    # channels the first. None where it hears the microphones as they are.
    heard: Sound | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a clip got its verdict.

    Args:
        verdict: as `Detector.score` gives it; perhaps none, see `Verdict.judged`.
        sensor: reasons that lie in the microphones or the recording, in plain words, most telling
            first. Where there are any, look there before at the machine.
        shares: one for each member of the system, in their order.
        member: the member that says most, by its weight, as in `Share.name`; the neighbours are
            its.
        neighbours: the nearest normal clips, nearest first, each once.
        moved: the member that says most among those with named features (DIF); "" if none has.
        movements: of that one all features, the largest contribution first.
        squared: d² of the nearest row of that member, to which the contributions sum; nan without
            movements. With a cosine rule it is that of rows of length 1.
        regions: of the member that says most among the others; None where there is none, where
            nobody asked, or for the reason in `unmarked`.
        banded: the member that says most among those with a bank for each frequency band; "" if
            none has.
        bands: what each of its bands says, low frequencies first; their parts sum to its distance.
        unmarked: why there are no regions although a member could have them; "" if nothing.
        tracks: the clip's sounds; None where it cannot be read.
        normal: those of the nearest normal clip, where its recording was found.
        missing: why `normal` is None, and the way out; "" if it is there.

    >>> from nearfar.clips.clip import Clip
    >>> none = Verdict.none(Clip(Path("a.wav")), threshold=1.0, reason="a.wav: empty file")
    >>> Explanation(none, sensor=("empty file",)).why
    'not judged: empty file'
    """

    verdict: Verdict
    sensor: tuple[str, ...] = ()
    shares: tuple[Share, ...] = ()
    member: str = ""
    neighbours: tuple[Neighbour, ...] = ()
    moved: str = ""
    movements: tuple[Movement, ...] = ()
    squared: float = float("nan")
    regions: Regions | None = None
    banded: str = ""
    bands: tuple[BandShare, ...] = ()
    unmarked: str = ""
    tracks: Tracks | None = None
    normal: Tracks | None = None
    missing: str = ""

    @property
    def near(self) -> Sound | None:
        """(samples,) of the near microphone."""
        return self.tracks.near if self.tracks else None

    @property
    def far(self) -> Sound | None:
        """(samples,) of the far microphone."""
        return self.tracks.far if self.tracks else None

    @property
    def heard(self) -> Sound | None:
        """(samples,) that the embedder heard; None where it hears the microphones as they are."""
        return self.tracks.heard if self.tracks else None

    @property
    def themes(self) -> list[Theme]:
        """The movements, those of one kind as one, the largest contribution first."""
        return themes_of(self.movements)

    @property
    def why(self) -> str:
        """The reason in one sentence; that of the sensor first."""
        if not self.verdict.judged:
            return f"not judged: {self.verdict.warning}"
        if self.sensor:
            return self.sensor[0]
        if not self.verdict.anomalous:
            return "not above the threshold: normal clips score as high"
        leading = max(self.shares, key=lambda share: share.share, default=None)
        if self.movements and (leading is None or leading.name == self.moved):
            first = self.themes[0]
            return f"{first.sentence}: {_percent(first.contribution, self.squared)}"
        if self.regions is not None and self.regions.where:
            return f"the sound {self.regions.where}, is unlike that of normal clips"
        if self.bands and (leading is None or leading.name == self.banded):
            return f"the sound {self.loudest_bands(1)[0].where} is unlike that of normal clips"
        return f"no normal clip sounds like it to the {self.member}"

    def loudest_bands(self, count: int = 3) -> list[BandShare]:
        """The bands that are farthest above what they are of normal clips, farthest first."""
        # Of one clip alone nothing is usual: then the largest share.
        far = sorted(self.bands, key=lambda b: (-np.nan_to_num(b.above, nan=0.0), -b.share))
        return far[:count]

    def as_dict(self) -> dict[str, Any]:
        """Everything but the sounds as plain data for JSON; what is no number is null.

        Keys: `schema`; `verdict`, with those of `Verdict.as_dict`; `why`, `sensor`, `member`,
        `shares`, `neighbours`, `moved`, `squared`, `themes`, `movements`, `regions` (null or an
        object), `banded`, `bands`, `unmarked`, `missing`, each as the field of that name.
        """
        regions = self.regions
        data: dict[str, Any] = {
            "schema": SCHEMA,
            "verdict": self.verdict.as_dict(),
            "why": self.why,
            "sensor": self.sensor,
            "member": self.member,
            "shares": [{**asdict(s), "part": s.part} for s in self.shares],
            "neighbours": [
                {"clip": n.name, "domain": n.domain, "distance": n.distance, "made": n.made,
                 "path": None if n.path is None else str(n.path)}
                for n in self.neighbours
            ],
            "moved": self.moved,
            "squared": self.squared,
            "themes": [asdict(theme) for theme in self.themes],
            "movements": [
                {**asdict(m), "sentence": m.sentence, "contribution": m.contribution}
                for m in self.movements
            ],
            "regions": regions and {
                **asdict(regions), "where": regions.where, "fall": regions.fall.tolist(),
                "marked": regions.marked.tolist(),
            },
            "banded": self.banded,
            "bands": [{**asdict(b), "part": b.part, "where": b.where} for b in self.bands],
            "unmarked": self.unmarked,
            "missing": self.missing,
        }  # fmt: skip
        found: dict[str, Any] = plain(data)
        return found


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} % of what sets it apart" if whole > 0 else "nothing is apart"


Moved = TypeVar("Moved", Movement, Theme)


def strongest(movements: Sequence[Moved], count: int = 3) -> list[Moved]:
    """Those that say most, of movements or of themes; fewer where the rest says nothing."""
    return [m for m in movements[:count] if m.contribution > 0]
