"""One clip explained: its verdict taken apart, and its sounds beside the nearest normal one's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from nearfar.detector import keys
from nearfar.detector.explanation.bands import bands_of, is_banded
from nearfar.detector.explanation.explanation import Explanation, Tracks
from nearfar.detector.explanation.members import Heeded, heeded, neighbours_of, shares_of
from nearfar.detector.explanation.movements import has_names, movements_of
from nearfar.detector.explanation.occlusion import LONGEST, occlude
from nearfar.detector.explanation.reasons import sensor_reasons
from nearfar.detector.explanation.recordings import Found, Normal, find, normals_of
from nearfar.detector.keys import Known
from nearfar.detector.section import Judge, TrainingClip
from nearfar.detector.wrong_calls import is_clip
from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import hear
from nearfar.embedding.jobs import Heard, channels_of
from nearfar.embedding.rows import embed_audio
from nearfar.errors import AudioError, NearfarError, in_python
from nearfar.frontend import Far, Near, Stereo
from nearfar.runtime.threads import one_thread
from nearfar.sound.audio import LOUDEST, SAMPLE_RATE, Audio, ChannelOrder, check, from_array
from nearfar.text import lasting

if TYPE_CHECKING:
    from nearfar.clips.clip import Clip
    from nearfar.runtime.runtime import Runtime
    from nearfar.scores.verdict import Verdict

NEIGHBOURS = 3
Search = Callable[[TrainingClip], Found | None]  # for the recording of a normal clip
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

    def __call__(
        self, asked: Asked, runtime: Runtime, normals: Normal | None, *, regions: bool = True
    ) -> Explanation:
        """Why a clip gets its verdict.

        Raises:
            DatasetError: `normals` has no recordings.
            WeightsError, SettingError: an encoder that cannot run here.
        """
        judge = self.judge_of((asked.clip.machine, asked.clip.section))
        search = partial(find, asked=asked.clip, given=normals_of(normals), order=self.order)
        audio = asked.audio if asked.audio is not None else sound_of(asked.clip, self.order)
        what = self._heard(asked, runtime)
        if isinstance(what, str) or audio is None:
            # A file that went away between the two is one that cannot be heard.
            reason = what if isinstance(what, str) else "cannot be read again"
            return _not_judged(judge.not_judged(asked.clip, reason), audio)
        with one_thread():
            members = heeded(judge, what)
            shares = shares_of(judge, members)
            said = np.array([share.weight for share in shares])
            ranked = [members[i] for i in np.argsort(-said, kind="stable")]
            told = Explanation(
                judge([(asked.clip, what)])[0],
                sensor=sensor_reasons(asked.clip, what, judge, float(ranked[0].nearest[0][0])),
                shares=shares,
                member=ranked[0].name,
            )
            told = _with_bands(_with_movements(told, ranked), ranked)
            told = _with_sounds(told, ranked, judge.section.clips, search, audio)
        if not regions:
            return told
        return _with_regions(told, ranked, judge.section.clips, search, audio, runtime)

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


def _with_movements(told: Explanation, ranked: Sequence[Heeded]) -> Explanation:
    one = next((one for one in ranked if has_names(one)), None)
    if one is None:
        return told
    movements, squared = movements_of(one)
    return replace(told, moved=one.name, movements=tuple(movements), squared=squared)


def _with_bands(told: Explanation, ranked: Sequence[Heeded]) -> Explanation:
    one = next((one for one in ranked if is_banded(one)), None)
    return told if one is None else replace(told, banded=one.name, bands=bands_of(one))


def _with_sounds(
    told: Explanation,
    ranked: Sequence[Heeded],
    clips: Sequence[TrainingClip],
    search: Search,
    audio: Audio,
) -> Explanation:
    """The clip's sounds, and the nearest normal clips with theirs, where they are found."""
    near = neighbours_of(ranked[0], clips, NEIGHBOURS)
    found = [search(wanted) for wanted, _ in near]
    changing = next((c for one in ranked if _changes(c := one.recipe.chain)), None)
    return replace(
        told,
        neighbours=tuple(
            replace(neighbour, path=there.clip.path if there else None)
            for (_, neighbour), there in zip(near, found, strict=True)
        ),
        tracks=tracks_of(audio, changing),
        normal=tracks_of(found[0].audio, changing) if found[0] else None,
        missing="" if found[0] else _missing(near[0][1].name),
    )


def _with_regions(
    told: Explanation,
    ranked: Sequence[Heeded],
    clips: Sequence[TrainingClip],
    search: Search,
    audio: Audio,
    runtime: Runtime,
) -> Explanation:
    """Of features with names the movements say more, and at once."""
    one = next((one for one in ranked if not has_names(one)), None)
    if one is None:
        return told
    seconds = audio.shape[1] / SAMPLE_RATE
    if seconds > LONGEST:
        long = f"{lasting(seconds)} long; regions are for clips up to {lasting(LONGEST)}"
        return replace(told, unmarked=f"{long}, so cut it with clip_seconds=10")
    chain = one.recipe.chain
    ((wanted, neighbour),) = neighbours_of(one, clips, 1)
    found = search(wanted)
    normal = None if found is None else chain.hear(found.audio[: chain.frontend.needs])
    heard = chain.hear(audio[: chain.frontend.needs])
    return replace(told, regions=occlude(one, heard, normal, neighbour.name, runtime))


def _not_judged(verdict: Verdict, audio: Audio | None) -> Explanation:
    # A sound with NaN can neither be drawn nor played, nor can one beyond all files' full scale.
    playable = audio is not None and bool((np.abs(audio) <= LOUDEST).all())
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
