"""A clip heard once: read, looked at, and judged if the machine runs and can be heard.

What costs little comes first: a clip that was kept already, a machine that stands still, or a dead
microphone costs no score.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.clips.clip import Clip
from nearfar.clips.lists import cut
from nearfar.detector.section import LENGTH_MARGIN
from nearfar.errors import AudioError, DatasetError, NearfarError, once_left_out, printable
from nearfar.service.incoming import Incoming, Notice
from nearfar.service.observation import Observation, Status
from nearfar.sound import audio as sound
from nearfar.sound.audio import Audio, check, digest_of
from nearfar.sound.bext import origination
from nearfar.sound.look import Look, look
from nearfar.sound.recorded import Recorded, measure

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector
    from nearfar.scores.verdict import Verdict
    from nearfar.service.alarms.normality import Normality

UNREADABLE = "unreadable"  # the sensor fault of a clip that has no sound at all
WRONG_CHANNELS = "wrong channels"  # and of one whose sound nobody can tell near and far of
Knows = Callable[[str, str, str], bool]  # machine, section, digest: was it kept already?


@dataclass(frozen=True, eq=False)
class Piece:
    """A clip of a recording that came in.

    >>> from pathlib import Path
    >>> Piece(Incoming("hall", Clip(Path("fan/1.wav"))), Clip(Path("fan/1.wav"))).name
    'fan/1.wav'
    """

    of: Incoming
    clip: Clip

    @property
    def name(self) -> str:
        """For people, as verdicts say it."""
        return self.clip.name

    @property
    def identity(self) -> str:
        """sha256 of what tells this piece from others where its sound does not."""
        stamps = "|".join(f"{s.path}|{s.size}|{s.modified}" for s in self.of.files)
        told = f"{stamps or self.clip.path}|{self.clip.start}|{self.clip.stop}"
        return hashlib.sha256(os.fsencode(told)).hexdigest()

    def read(self, order: sound.ChannelOrder) -> tuple[Audio, Recorded]:
        """The sound at 16 kHz, and what it was like before.

        Raises:
            AudioError: as `Clip.read_recorded`.
        """
        if self.of.audio is None:
            return self.clip.read_recorded(order)
        # A stream's channels were put in order by its source.
        there = measure(self.of.audio, self.of.rate)
        return sound.from_array(self.of.audio, self.of.rate), there

    def sound(self, order: sound.ChannelOrder) -> Path | tuple[Audio, int]:
        """What is kept of it: the file as it came, or the sound of a part, a pair or a stream.

        Returns:
            A path; or (channels, samples) near first, and its rate in Hz.

        Raises:
            AudioError: as `read`.
        """
        if self.of.audio is not None:
            return self.of.audio, self.of.rate
        if self.clip == replace(self.clip, start=0.0, stop=None, far=None):
            return self.clip.path
        return self.read(order)[0], sound.SAMPLE_RATE


def pieces(incoming: Incoming, usual: float, seconds: float | None = None) -> Iterator[Piece]:
    """A recording as clips that compare with the normal ones.

    Args:
        incoming: whole.
        usual: length of the normal clips, s; one that is much longer is cut to it.
        seconds: the length to cut to instead, whatever the recording's is.

    Raises:
        SettingError: `seconds` less than a clip must have.
    """
    clip = incoming.clip
    if incoming.audio is not None:
        yield Piece(incoming, clip)
        return
    if clip.time is None and not clip.fault:
        clip = replace(clip, time=origination(clip.path))
    length = seconds or (usual if _seconds(clip) > usual * LENGTH_MARGIN else None)
    for part in cut([clip], length):
        yield Piece(incoming, part)


def lacking(notice: Notice, assigned: Callable[[Clip, str], Clip]) -> Piece | None:
    """What a source waited for in vain, if its notice is of that.

    Args:
        notice: of a source.
        assigned: whose a clip of a source is; raises a DatasetError where nobody watches that.
    """
    if not notice.files:
        return None
    clip = notice.clip or Clip(Path(notice.files[0].path), machine=notice.machine)
    with suppress(DatasetError):  # the row says what the names say
        clip = assigned(clip, notice.source)
    return Piece(Incoming(notice.source, clip, notice.at, notice.files), clip)


def _seconds(clip: Clip) -> float:
    try:
        return 0.0 if clip.fault else sound.duration(clip.path)
    except AudioError:
        return 0.0  # reading it says why


def observe(
    piece: Piece, detector: Detector, normality: Normality, knows: Knows, identity: str = ""
) -> Observation | None:
    """What is found out about a clip of a machine that the detector knows.

    Args:
        piece: to be heard.
        detector: that judges it.
        normality: of its machine and section.
        knows: tells what was kept already.
        identity: of the detector.

    Returns:
        None: this very sound was kept already.
    """
    try:
        audio, recorded = piece.read(detector.order)
    except NearfarError as error:
        faults = (_fault_of(piece, detector.order),)
        lost = unjudged(piece, str(error), faults, identity)
        return None if knows(*lost.key, lost.digest) else lost
    digest = digest_of(audio) if _sounds(audio) else piece.identity
    if knows(piece.clip.machine, piece.clip.section, digest):
        return None
    return _observed(piece, audio, recorded, digest, detector, normality, identity)


def _fault_of(piece: Piece, order: sound.ChannelOrder) -> str:
    """Why it cannot be read: a recorder's setting is mended elsewhere than a broken file."""
    chosen = piece.clip.channels or order
    try:
        count = sound.channels(piece.clip.path) if piece.of.audio is None else 0
    except AudioError:
        return UNREADABLE
    wrong = count < max(chosen) if isinstance(chosen, tuple) else count > 2
    return WRONG_CHANNELS if count and wrong else UNREADABLE


def _sounds(audio: Audio) -> bool:
    """Is there any sound in it? Silence is always the same, and no two of them are one clip."""
    return any(channel.size and channel.min() != channel.max() for channel in audio)


def _observed(
    piece: Piece, audio: Audio, recorded: Recorded, digest: str, detector: Detector,
    normality: Normality, identity: str,
) -> Observation:  # fmt: skip
    """Of a clip that was read and is new."""
    try:
        ready, refusal = check(audio, name=piece.name, channels=detector.system.needs), ""
    except AudioError as error:
        ready, refusal = audio, str(error)
    seen = _looked(audio, recorded, piece.clip.far is not None)
    faults = () if seen is None else normality.faults(seen)
    about = _about(piece, digest, identity, seen, audio, faults)
    if refusal or seen is None:
        return replace(about, warning=_reason(piece, refusal))
    if normality.blinds(faults):
        return replace(about, warning=f"cannot be heard: {', '.join(faults)}")
    if not normality.is_running(about.near_level):
        return replace(about, status="idle")
    return _judged(about, detector.judge_audio(piece.clip, ready, seen))


def _looked(audio: Audio, recorded: Recorded, two_files: bool) -> Look | None:
    """What it is like; None of what has too little sound, or numbers that are none."""
    if audio.shape[-1] < sound.SHORTEST * sound.SAMPLE_RATE:
        return None
    if not max(-audio.min(), audio.max()) <= sound.LOUDEST:  # nan is no number up to that either
        return None
    return look(audio, recorded, two_files=two_files)


def _about(
    piece: Piece, digest: str, identity: str, seen: Look | None, audio: Audio,
    faults: tuple[str, ...],
) -> Observation:  # fmt: skip
    levels = (*(seen.levels if seen else ()), math.nan, math.nan)
    return replace(
        _blank(piece, "unjudged", identity), digest=digest, faults=faults,
        seconds=audio.shape[-1] / sound.SAMPLE_RATE,
        near_level=_finite(levels[0]), far_level=_finite(levels[1]),
        ratio=_finite(seen.ratio) if seen else None,
        coherence=_finite(seen.coherence) if seen else None,
    )  # fmt: skip


def _judged(about: Observation, verdict: Verdict) -> Observation:
    if not verdict.judged:  # a rule of somebody's own that gives nan
        return replace(about, warning="the detector gives it no score")
    return replace(
        about, status="judged", score=verdict.score, percentile=verdict.percentile,
        p_value=verdict.p_value, threshold=verdict.threshold, anomalous=verdict.anomalous,
        nearest=verdict.nearest, warning=verdict.warning,
    )  # fmt: skip


def unjudged(
    piece: Piece, reason: str, faults: tuple[str, ...] = (), detector: str = ""
) -> Observation:
    """The row of a clip that has no sound, or whose machine nobody knows.

    Args:
        piece: which.
        reason: a line.
        faults: of the sensor; a clip of nobody has none that anybody could mend.
        detector: identity of what would have judged.
    """
    blank = _blank(piece, "unjudged", detector)
    return replace(blank, faults=faults, warning=_reason(piece, reason))


def _blank(piece: Piece, status: Status, detector: str) -> Observation:
    clip, incoming = piece.clip, piece.of
    return Observation(
        source=incoming.source, name=piece.name,
        path="" if incoming.audio is not None else str(clip.path), machine=clip.machine,
        section=clip.section, time=clip.time, arrived=incoming.arrived, seconds=math.nan,
        digest=piece.identity, status=status, detector=detector,
    )  # fmt: skip


def _reason(piece: Piece, line: str) -> str:
    for name in (piece.name, str(piece.clip.path)):
        line = line.removeprefix(f"{printable(name)}: ")
    # A watch hears files as they are, or not at all.
    return once_left_out(line).removesuffix("; salvage=True takes what is there")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
