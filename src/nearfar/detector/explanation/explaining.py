"""One clip explained: its verdict taken apart, and its sounds beside the nearest normal one's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from nearfar.detector import keys
from nearfar.detector.explanation.explanation import Explanation, Tracks
from nearfar.detector.explanation.members import heeded, neighbours_of, shares_of
from nearfar.detector.explanation.movements import has_names, movements_of
from nearfar.detector.explanation.reasons import sensor_reasons
from nearfar.detector.explanation.recordings import Normal, find, normals_of
from nearfar.detector.keys import Known
from nearfar.detector.section import Judge
from nearfar.detector.wrong_calls import is_clip
from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import hear
from nearfar.embedding.jobs import Heard, channels_of
from nearfar.embedding.rows import embed_audio
from nearfar.errors import AudioError, NearfarError, in_python
from nearfar.frontend import Far, Near, Stereo
from nearfar.runtime.threads import one_thread
from nearfar.sound.audio import Audio, ChannelOrder, check, from_array

if TYPE_CHECKING:
    from nearfar.clips.clip import Clip
    from nearfar.runtime.runtime import Runtime
    from nearfar.scores.verdict import Verdict

NEIGHBOURS = 3
_AS_THEY_ARE = (Near, Far, Stereo)  # front ends that change no sample


@dataclass(frozen=True, eq=False)
class Asked:
    """A clip to be explained.

    >>> from nearfar.clips.clip import Clip
    >>> Asked(Clip("a.wav", machine="fan")).audio is None
    True
    """

    clip: Clip  # of a machine and section that are known
    audio: Audio | None = None  # (1 or 2, samples), of a recording in memory; None: it is a file


@dataclass(frozen=True, eq=False)
class Answerer:
    """A detector's parts, as explaining a clip needs them.

    >>> answerer = Answerer({("fan", "00")}, print, (), "near-far")
    >>> answerer.asked([[0.1]], 16_000, None, None).clip.machine
    'fan'
    """

    known: Known  # machines and sections
    judge_of: Callable[[tuple[str, str]], Judge]
    chains: tuple[Chain, ...]
    order: ChannelOrder

    def asked(
        self, given: Clip | ArrayLike, sr: float | None, machine: str | None, section: str | None
    ) -> Asked:
        """The clip or the array that a person gave.

        Raises:
            AudioError: an array that is no sound.
            DatasetError, SettingError: as `Detector.explain`.
        """
        if not is_clip(given, sr):
            array: Any = given  # whatever NumPy takes; without a rate it was refused
            audio = from_array(array, sr or 0.0, order=self.order)
            return Asked(keys.array_clip(self.known, machine, section), audio)
        machines = keys.machines_of(self.known)
        return Asked(keys.assigned(self.known, machines, given, machine, section))

    def __call__(self, asked: Asked, runtime: Runtime, normals: Normal | None) -> Explanation:
        """Why a clip gets its verdict.

        Raises:
            DatasetError: `normals` has no recordings.
            WeightsError, SettingError: an encoder that cannot run here.
        """
        judge = self.judge_of((asked.clip.machine, asked.clip.section))
        given = normals_of(normals)
        audio = asked.audio if asked.audio is not None else sound_of(asked.clip, self.order)
        what = self._heard(asked, runtime)
        if isinstance(what, str):
            return _not_judged(judge.not_judged(asked.clip, what), audio)
        with one_thread():
            return self._explained(asked.clip, judge, what, audio, given)

    def _heard(self, asked: Asked, runtime: Runtime) -> Heard | str:
        """What the chains make of the clip; or why they can make nothing of it."""
        if asked.audio is None:
            hearing = hear(
                [asked.clip], self.chains, runtime, order=self.order, digest=False, skip_bad=True,
                tell=False,
            )  # fmt: skip
            return hearing.left_out[0] if hearing.left_out else hearing.heard[0][1]
        try:
            ready = check(asked.audio, name=asked.clip.name, channels=channels_of(self.chains))
            return embed_audio(ready, self.chains, runtime)
        except AudioError as error:
            return str(error)

    def _explained(
        self, clip: Clip, judge: Judge, what: Heard, audio: Audio | None, given: Sequence[Clip]
    ) -> Explanation:
        members = heeded(judge, what)
        ranked = [members[i] for i in np.argsort(-judge.weights, kind="stable")]
        near = neighbours_of(ranked[0], judge.section.clips, NEIGHBOURS)
        found = [find(wanted, clip, given, self.order) for wanted, _ in near]
        features = next((one for one in ranked if has_names(one)), None)
        movements, squared = movements_of(features) if features else ([], float("nan"))
        changing = next((c for one in ranked if _changes(c := one.recipe.chain)), None)
        return Explanation(
            judge([(clip, what)])[0],
            sensor=sensor_reasons(clip, what, judge, near[0][1].distance),
            shares=shares_of(judge, members),
            member=ranked[0].name,
            neighbours=tuple(
                replace(neighbour, path=there.clip.path if there else None)
                for (_, neighbour), there in zip(near, found, strict=True)
            ),
            moved=features.name if features else "",
            movements=tuple(movements),
            squared=squared,
            tracks=None if audio is None else tracks_of(audio, changing),
            normal=tracks_of(found[0].audio, changing) if found[0] else None,
            missing="" if found[0] else _missing(near[0][1].name),
        )


def _not_judged(verdict: Verdict, audio: Audio | None) -> Explanation:
    # A sound with NaN can neither be drawn nor played.
    playable = audio is not None and bool(np.isfinite(audio).all())
    return Explanation(
        verdict,
        sensor=(verdict.warning,),
        tracks=tracks_of(audio, None) if audio is not None and playable else None,
        missing="without a score no normal clip is the nearest",
    )


def sound_of(clip: Clip, order: ChannelOrder) -> Audio | None:
    """The first two channels of a clip, (channels, samples); None if it cannot be read."""
    try:
        return clip.read(order)[:2]
    except NearfarError:
        return None


def tracks_of(audio: Audio, chain: Chain | None) -> Tracks:
    """The sounds of a clip, and what an embedder gets to hear of it.

    Args:
        audio: (1 or 2, samples).
        chain: whose front end changes the sound; None if none does.
    """
    far = audio[1] if len(audio) > 1 else None
    if chain is None or len(audio) < chain.frontend.needs:
        return Tracks(audio[0], far)
    return Tracks(audio[0], far, chain.hear(audio[: chain.frontend.needs])[0])


def _changes(chain: Chain) -> bool:
    """Does a chain hear something else than the microphones?"""
    return not isinstance(chain.frontend, _AS_THEY_ARE)


def _missing(name: str) -> str:
    return in_python(
        f"no recording of {name} with the sound that the detector was fitted on was found; give "
        "--normals FOLDER"
    )
