"""Verdicts on recordings that were sent: heard as a watch hears, named as their sender does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.clips.clip import Clip, parse_name
from nearfar.clips.moments import time_of
from nearfar.errors import AudioError, NearfarError, several
from nearfar.page.sent.uploads import Upload
from nearfar.page.sounds.clip_explained import reasons
from nearfar.scores.verdict import Scores, Verdict
from nearfar.sound import audio as sound
from nearfar.sound.audio import check
from nearfar.sound.look import look
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector
    from nearfar.service.plant import Key

LONGEST = 1800  # s
CHANNELS = 8
# Unpacked, of all channels: half an hour of two at 16 kHz, 230 MB as floats; all of the work takes
# 2.4 times that. A FLAC of silence may be a thousand times smaller than what it unpacks to.
SAMPLES = 2 * LONGEST * sound.SAMPLE_RATE


@dataclass(frozen=True)
class Sent:
    """A recording that was sent, as a clip.

    >>> Sent.of(Upload("section_00_target_test_0001.wav", Path("/x/0")), ("pump", "00")).told.domain
    'target'
    """

    clip: Clip  # where it lies
    told: Clip  # as its sender calls it

    @classmethod
    def of(cls, upload: Upload, key: Key) -> Sent:
        """Of a machine and section; with what its name says, as of a file in a folder."""
        name = parse_name(upload.name)
        machine, section = key
        clip = Clip(
            upload.path, upload.far, machine=machine, section=section,
            domain=None if name is None else name.domain,
            attributes="" if name is None else name.attributes,
            time=time_of(Path(upload.name).stem) if name is None else None,
        )  # fmt: skip
        return cls(clip, replace(clip, path=Path(upload.name), far=None))

    def line(self, error: NearfarError) -> str:
        """What is wrong with it, without the place where it lies."""
        text = str(error)
        far = [] if self.clip.far is None else [(str(self.clip.far), f"{self.told.name} (far)")]
        for place, name in (*far, (str(self.clip.path), self.told.name),
                            (self.clip.name, self.told.name)):  # fmt: skip
            text = text.replace(place, name)
        # The ways out as a request has them.
        text = text.replace("; salvage=True takes what is there", "; send it whole")
        return text.replace("skip_bad=True", "?skip_bad=true")


def scored(
    detector: Detector, key: Key, uploads: Sequence[Upload], let: Callable[[], None], *,
    skip_bad: bool, explain: bool,
) -> dict[str, Any]:  # fmt: skip
    """Score recordings.

    Args:
        detector: that knows the machine and section.
        key: machine and section.
        uploads: what was sent.
        let: called between two of them, and between reading and judging one, to let others go
            first.
        skip_bad: go on where one cannot be used.
        explain: say why, too.

    Returns:
        As `Scores.as_dict` has it, a row a recording, in their order; with `explain` each row has
        an `explanation` too.

    Raises:
        AudioError: recordings that cannot be used, all of them in its `faults`; with `skip_bad`
            none: then they are rows that were not judged.
    """
    sent = [Sent.of(upload, key) for upload in uploads]
    found: list[Verdict | AudioError] = []
    for one in sent:
        found.append(_verdict(detector, one, let))
        if len(found) < len(sent):
            let()
    faults = [one for one in found if isinstance(one, AudioError)]
    if faults and not skip_bad:
        raise several(faults, f"{len(faults)} of {counted(len(sent), 'recording')} cannot be used")
    scores = Scores(
        _unused(detector, one, verdict) if isinstance(verdict, AudioError) else verdict
        for one, verdict in zip(sent, found, strict=True)
    )
    answer = scores.as_dict()
    if explain:
        for row, one, verdict in zip(answer["scores"], sent, scores, strict=True):
            row["explanation"] = _explanation(detector, one) if verdict.judged else None
    return answer


def _verdict(detector: Detector, one: Sent, let: Callable[[], None]) -> Verdict | AudioError:
    try:
        check_size(one.clip)
        audio, recorded = one.clip.read_recorded(detector.order)
        ready = check(audio, name=one.clip.name, channels=detector.system.needs)
        let()
        seen = look(ready, recorded, two_files=one.clip.far is not None)
        return replace(detector.judge_audio(one.clip, ready, seen), clip=one.told)
    except AudioError as error:
        return AudioError(one.line(error))


def _unused(detector: Detector, one: Sent, error: AudioError) -> Verdict:
    threshold = detector.threshold(one.clip.machine, one.clip.section).value
    reason = str(error).replace("?skip_bad=true", "skip_bad=True")  # which is said, and left out
    return Verdict.none(one.told, threshold, reason)


def _explanation(detector: Detector, one: Sent) -> dict[str, Any]:
    told = detector.explain(
        one.clip, machine=one.clip.machine, section=one.clip.section, regions=False
    )
    return reasons(told)


def check_size(clip: Clip) -> None:
    """Refuse what would be too much when it is unpacked, by what its files say and bear out.

    Raises:
        AudioError: no sound, longer than half an hour, of too many channels, or too many samples.
    """
    for path in filter(None, (clip.path, clip.far)):
        frames, count, rate = sound.extent(path)
        if frames > LONGEST * rate:
            raise AudioError(f"{path}: {frames / rate / 3600:,.1f} h long; half an hour at most is "
                             "scored here, so cut it, or use nearfar score")  # fmt: skip
        if count > CHANNELS:
            raise AudioError(f"{path}: {count} channels; {CHANNELS} at most are read here, so send "
                             "near and far alone")  # fmt: skip
        if frames * count > SAMPLES:
            raise AudioError(f"{path}: {frames * count:,} samples; {SAMPLES:,} at most are read "
                             "here, so cut it, or send near and far alone")  # fmt: skip
