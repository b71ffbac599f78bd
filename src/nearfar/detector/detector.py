"""A fitted system: memory banks for each machine and section, ready to score clips.

A detector cannot exist unfitted. It is read and written as a folder, see
`nearfar.detector.folder`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfar.clips.clip import Clip
from nearfar.clips.collection import Clips, by_section
from nearfar.detector import keys
from nearfar.detector.folder.card import described
from nearfar.detector.folder.index import Content, write
from nearfar.detector.folder.late import LateSections
from nearfar.detector.folder.siblings import check_single, read_any
from nearfar.detector.learning.drift import Drift, alarms_of, drift_of
from nearfar.detector.learning.forgetting import forget
from nearfar.detector.learning.lesson import Lesson, Verb, state_in
from nearfar.detector.learning.teaching import Care, Lecture, assigned
from nearfar.detector.origin import Origin, origins, rounded
from nearfar.detector.origin import check as check_origins
from nearfar.detector.section import DOMAINS, Judge, Section, TrainingClip
from nearfar.detector.trained import MACHINE_HEARD
from nearfar.detector.wrong_calls import are_clips
from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import Hearing, hear
from nearfar.embedding.jobs import Heard, describe
from nearfar.embedding.rows import embed_audio
from nearfar.embedding.waves import hear_in_waves, in_waves
from nearfar.errors import DatasetError, SettingError, warn
from nearfar.parts.valid import check_rate
from nearfar.runtime.runtime import Runtime, runtime_of
from nearfar.runtime.threads import one_thread
from nearfar.scores.verdict import Scores, Verdict
from nearfar.scoring.calibrate import AlarmRate, Threshold
from nearfar.sound.audio import ChannelOrder, check, from_array
from nearfar.text import counted, named
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.detector.edge.exported import ExportRecord
    from nearfar.detector.explanation.explanation import Explanation
    from nearfar.detector.explanation.recordings import Normal
    from nearfar.sound.look import Look
    from nearfar.system.system import Ensemble, System


@dataclass(frozen=True, eq=False)
class Detector:
    """Turns clips into scores.

    Args:
        system: the recipe it was fitted with.
        sections: (machine, section) → what normal sounds like.
        order: which channel of a file is the near microphone.
        false_alarm_rate: share of normal clips that may be called anomalous.
        origins: what the embedder of each member was when it was fitted.
        threshold_by_domain: hold a clip against the normal clips of its own domain: threshold,
            percentile and p-value are theirs. One that does not say its domain, or is of one
            without normal clips, is held against all, as every clip is without this.
        data_license: of the recordings it was fitted on, as somebody says it.
        lessons: what it has learnt and forgotten since its fit, and when.
        exported: of which detector it was made for a small computer; None if it was not.

    One is made by `fit` or `load`; by hand, of a bank of three rows:

    >>> import numpy as np
    >>> from nearfar.detector.member import Member
    >>> from nearfar.detector.section import TrainingClip
    >>> from nearfar.system.presets import logmel
    >>> rows, scores = np.eye(3, 128, dtype=np.float32), np.array([0.1, 0.2, 0.3])
    >>> member = Member(rows, np.arange(3), np.zeros(3, np.int8), None, self_scores=scores)
    >>> clips = tuple(TrainingClip(f"{name}.wav", digest="") for name in "abc")
    >>> section = Section((member,), clips, levels=None, seconds=10.0)
    >>> detector = Detector(logmel(), {("fan", "00"): section})
    >>> detector
    <Detector: fan; 1 section>
    >>> detector.with_false_alarm_rate(0.5).threshold("fan").value  # one of three may be above
    0.2
    """

    system: System | Ensemble
    sections: Mapping[tuple[str, str], Section]  # (machine, section)
    order: ChannelOrder = "near-far"  # a detector scores files as it was fitted on them
    false_alarm_rate: float = 0.1  # of normal clips, 0–1; not the system's: it can be changed
    origins: tuple[Origin, ...] = ()
    threshold_by_domain: bool = False  # nor is this the system's
    data_license: str = ""  # of the recordings, for the model card; "" is not stated
    lessons: tuple[Lesson, ...] = ()
    exported: ExportRecord | None = None

    def __repr__(self) -> str:
        names = ", ".join(self.machines[:6]) + ", …" * (len(self.machines) > 6)
        return f"<Detector: {names or 'no machine'}; {counted(len(self.sections), 'section')}>"

    def __getstate__(self) -> dict[str, Any]:
        """Its fields alone, to be pickled or copied: what is worked out from them is made anew."""
        return {f.name: self.__dict__[f.name] for f in fields(self)}

    @cached_property  # each clip asks for it
    def machines(self) -> tuple[str, ...]:
        """Names of the machines it knows."""
        return keys.machines_of(self.sections)

    @property
    def unheard_machines(self) -> tuple[str, ...]:
        """Those that some trained encoder of it was not trained on, as was recorded at the fit."""
        return self._heard(0.0)

    @property
    def heard_machines(self) -> tuple[str, ...]:
        """Those that some trained encoder of it was trained on, as was recorded at the fit."""
        return self._heard(1.0)

    def _heard(self, fact: float) -> tuple[str, ...]:
        """Machines of which a member's fact is this; without it nothing was trained."""
        return tuple(
            dict.fromkeys(
                machine
                for (machine, _), section in self.sections.items()
                if any(m.facts.get(MACHINE_HEARD) == fact for m in section.members)
            )
        )

    def score(
        self,
        clips: Clips | Sequence[Clip] | ArrayLike,
        runtime: Runtime | None = None,
        *,
        sr: float | None = None,
        machine: str | None = None,
        section: str | None = None,
        skip_bad: bool = False,
    ) -> Scores:
        """Score clips, or one recording in memory.

        Args:
            clips: clips; or an array (2, samples) with `sr`.
            runtime: how to compute.
            sr: sample rate in Hz of an array; needed with an array, refused with clips.
            machine: score everything as this machine instead of the clips' own. A detector that
                knows only one takes plain recordings and arrays for that one.
            section: likewise.
            skip_bad: go on where clips cannot be used; they stay in the result, "not judged".

        Returns:
            One verdict a clip, in the order given: as many rows as clips. One that was not judged
            (`Verdict.judged`) has nan for a score and the reason as its warning.

        Raises:
            AudioError: clips that cannot be used, all of them in one line and in its `faults`.
            DatasetError: no clips, or a machine or section the detector does not know.
            SettingError: `sr` missing or out of place.
        """
        runtime = runtime_of(runtime)
        if not are_clips(clips, sr):
            array: Any = clips  # whatever NumPy takes
            return self._score_array(array, sr, machine, section, runtime)
        known = self._assigned(clips, machine, section)
        chains, found = self._checked_chains, list[Verdict]()
        waves = in_waves(known, [[clip] for clip in known], runtime)
        hearings = hear_in_waves(
            waves, known, chains, runtime, order=self.order, digest=False, skip_bad=skip_bad,
            tell=False,
        )  # fmt: skip
        for wave, hearing in zip(waves, hearings, strict=True):
            found += self.verdicts(wave, hearing)
        return Scores(found)

    def hear(
        self,
        clips: Sequence[Clip],
        runtime: Runtime | None = None,
        *,
        machine: str | None = None,
        section: str | None = None,
        skip_bad: bool = False,
    ) -> tuple[Clips, Hearing]:
        """The first half of `score`, for who wants the embeddings too; `verdicts` is the second.

        Args:
            clips, runtime, machine, section, skip_bad: as in `score`.

        Returns:
            The clips as the machines they are scored as, and what they gave to `chains`.

        Raises:
            AudioError, DatasetError: as `score`.
        """
        known = self._assigned(clips, machine, section)
        return known, hear(
            known, self._checked_chains, runtime_of(runtime), order=self.order, digest=False,
            skip_bad=skip_bad, tell=False,
        )  # fmt: skip

    def _assigned(self, clips: Sequence[Clip], machine: str | None, section: str | None) -> Clips:
        """The clips as the machines they are scored as, whose banks are sound."""
        # All of them before the first is read: a wrong machine costs no hours of embedding.
        known = Clips(
            keys.assigned(self.sections, self.machines, c, machine, section) for c in clips
        )
        for key in dict.fromkeys((c.machine, c.section) for c in known):
            self._judge(key)  # nor does a damaged bank
        return known

    def verdicts(self, clips: Sequence[Clip], hearing: Hearing) -> Scores:
        """One verdict a clip that was heard by `hear`, also of those left out, in their order."""
        judged = iter(self.judge(hearing.heard))
        # Rows out = clips in: what vanished here would look like a quiet day.
        return Scores(
            self._judge((clip.machine, clip.section)).not_judged(clip, hearing.left_out[i])
            if i in hearing.left_out
            else next(judged)
            for i, clip in enumerate(clips)
        )

    def explain(
        self, clip: Clip | ArrayLike, runtime: Runtime | None = None, *, sr: float | None = None,
        machine: str | None = None, section: str | None = None, normals: Normal | None = None,
        regions: bool = True,
    ) -> Explanation:  # fmt: skip
        """Why one clip gets its verdict, as data.

        Args:
            clip: a clip; or an array (2, samples) with `sr`.
            runtime, sr, machine, section: as for `score`.
            normals: where the recordings of normal clips are, as clips or a folder; else they are
                looked for beside the clip. They are for listening: no score needs them.
            regions: look where in the sound an encoder's score comes from; that hears it 81 times.

        Returns:
            What is known; of a clip that cannot be judged the reason, and no score.

        Raises:
            DatasetError: several clips or none, a machine or section the detector does not know,
                or a place without recordings.
            SettingError: `sr` missing or out of place.
        """
        from nearfar.detector.explanation.explaining import Answerer

        answerer = Answerer(self.sections, self._judge, self._checked_chains, self.order)
        asked = answerer.asked(clip, sr, machine, section)
        return answerer(asked, runtime_of(runtime), normals, regions=regions)

    def learn(
        self, clips: Sequence[Clip], runtime: Runtime | None = None, *, machine: str | None = None,
        section: str | None = None, domain: str | None = None, skip_bad: bool = False,
        accept_suspects: bool = False, exclude_suspects: bool = False,
    ) -> Detector:  # fmt: skip
        """The same detector with confirmed normal clips in its banks; nothing is fitted again.

        Self-scores and thresholds follow, other machines stay as they are, to the bit. Whitening,
        adaptation and tiers are the fit's: `drift` says how far they are from what is known now.

        Args:
            clips: normal recordings that it does not know.
            runtime: how to compute.
            machine, section: as in `score`.
            domain: "source" or "target" for clips that do not say their own.
            skip_bad: leave out clips that cannot be used or are known already, with a warning each.
            accept_suspects: learn clips that stand out too, with a warning that lists them.
            exclude_suspects: leave these out, with a warning that lists them.

        Raises:
            AudioError: clips that cannot be used, or that stand out by the judgement of `fit`.
            DatasetError: no clips, anomalies or test clips among them, clips that are known
                already, or a machine or section that it does not know.
            SettingError: both of the last two, or another domain.
            WeightsError: weights that are gone or differ.
        """
        hearing = self.hear_new(
            clips, runtime, machine=machine, section=section, domain=domain, skip_bad=skip_bad
        )
        care = Care(skip_bad, accept_suspects, exclude_suspects)
        return self.taught(hearing, runtime, care)

    def hear_new(
        self, clips: Sequence[Clip], runtime: Runtime | None = None, *, machine: str | None = None,
        section: str | None = None, domain: str | None = None, skip_bad: bool = False,
    ) -> Hearing:  # fmt: skip
        """The first half of `learn`, which takes nearly all of its time; `taught` is the second.

        Args and errors are those of `learn`.
        """
        check_single(self.sections)
        given = assigned(self.sections, clips, machine, section, domain)
        return hear(
            given, self._checked_chains, runtime_of(runtime), order=self.order, skip_bad=skip_bad
        )

    def taught(
        self, hearing: Hearing, runtime: Runtime | None = None, care: Care | None = None
    ) -> Detector:
        """The second half of `learn`: what was heard is held against what is known, and learnt."""
        lecture = Lecture(self.system, self.sections, self._checked_chains, self.order)
        return self._after("learnt", lecture(hearing, runtime_of(runtime), care or Care()))

    def forget(
        self, names: Sequence[str], *, machine: str | None = None, section: str | None = None
    ) -> Detector:
        """The same detector without some clips; what was learnt and is forgotten leaves no trace.

        Args:
            names: clips as a verdict names them, or the end of such a name, a path, a folder, a
                pattern, or 12 digits or more of the sha256 of their audio.
            machine, section: look only at these.

        Raises:
            DatasetError: a name of no clip or of several, or too few clips would be left.
        """
        check_single(self.sections)
        changed = forget(self.system, self.sections, names, machine, section)
        return self._after("forgot", changed)

    def _after(
        self, verb: Verb, changed: Mapping[tuple[str, str], tuple[Section, Sequence[TrainingClip]]]
    ) -> Detector:
        """With other sections, and a line of each in the log."""
        sections = {key: self.sections[key] for key in self.sections}
        sections |= {key: new for key, (new, _) in changed.items()}
        now = replace(self, sections=sections)
        state, time = state_in(sections), datetime.now(UTC).isoformat(timespec="seconds")
        lessons = tuple(
            Lesson(
                time, verb, *key, tuple(sorted((clip.name, clip.digest) for clip in clips)),
                known=(len(self.sections[key].clips), len(new.clips)),
                threshold=(self.threshold(*key).value, now.threshold(*key).value),
                state=state, nearfar=__version__,
            )
            for key, (new, clips) in changed.items()
        )  # fmt: skip
        return replace(now, lessons=(*self.lessons, *lessons))

    def with_false_alarm_rate(self, rate: float) -> Detector:
        """The same detector with other thresholds; nothing is fitted again.

        Raises:
            SettingError: not above 0 and below 1.
        """
        return replace(self, false_alarm_rate=check_rate(rate))  # judges are made anew from it

    def with_threshold_by_domain(
        self, by_domain: bool = True, *, machines: Collection[str] | None = None
    ) -> Detector:
        """The same detector with thresholds by domain, or one for all; nothing is fitted again.

        Machines without normal clips of both domains, for which it changes nothing, are named in
        a warning.

        Args:
            by_domain: False for one threshold.
            machines: look only at these, so that of others loaded late no bank is read.
        """
        changed = replace(self, threshold_by_domain=by_domain)
        if not by_domain:
            return changed
        asked = [key for key in self.sections if machines is None or key[0] in machines]
        alone = [machine for machine, section in asked if not changed.alarm_rates(machine, section)]
        if alone:
            warn(
                f"{named(list(dict.fromkeys(alone)))}: still one threshold for all clips, as is "
                "right for a machine of one condition; thresholds by domain need normal clips of "
                "two, source and target, that no encoder was trained on"
            )
        return changed

    def threshold(self, machine: str, section: str = "00", domain: str | None = None) -> Threshold:
        """The decision threshold of one machine and section.

        Args:
            machine, section: which.
            domain: "source" or "target" for what the normal clips of that domain alone draw (one
                that did not say its domain is a source); None for what all of them draw. Which of
                them judges new clips says `threshold_by_domain`.

        Raises:
            DatasetError: an unknown machine or section, or no normal clips of that domain.
            SettingError: another domain.
        """
        if domain is not None and domain not in DOMAINS:
            raise SettingError(f"domain {domain!r}; it is {' or '.join(DOMAINS)}, or None for all")
        key = self._known(machine, section)
        drawn = self._judge(key).threshold(domain)
        if drawn is None:
            raise DatasetError(f"{machine}: {self.sections[key].undrawn(str(domain))}")
        return drawn

    def alarm_rates(self, machine: str, section: str = "00") -> dict[str, AlarmRate]:
        """How often normal clips of each domain exceed the threshold they are held against.

        Counted on held-out scores of the clips it was fitted on, with what follows for new ones.

        Returns:
            Of "source" and of "target"; empty where not both have normal clips.

        Raises:
            DatasetError: an unknown machine or section.
        """
        return self._judge(self._known(machine, section)).alarm_rates()

    def drift(self, machine: str, section: str = "00") -> Drift | None:
        """How far what the fit fixed is from what is known now; None where nothing was learnt.

        Raises:
            DatasetError: an unknown machine or section.
        """
        key = self._known(machine, section)
        alarms = alarms_of(self._judge(key))
        return drift_of(self.system, self.sections[key], alarms, self.false_alarm_rate)

    def self_scores(self, machine: str, section: str = "00") -> NDArray[np.float64]:
        """(clips,) scores of the normal clips of one machine and section, each held out.

        In the order of the section's clips and in the unit of its threshold.

        Raises:
            DatasetError: an unknown machine or section.
        """
        return self._judge(self._known(machine, section)).own.copy()

    def save(
        self,
        folder: str | os.PathLike[str],
        weights: Literal["keep", "copy"] = "keep",
        *,
        previous: bool = False,
    ) -> Path:
        """Write the detector to a folder, whole or not at all; see `nearfar.detector.folder`.

        Args:
            folder: made if it is not there.
            weights: "keep" leaves an encoder's weights where they are and remembers their hash,
                "copy" puts them into the folder too, which can then be taken elsewhere.
            previous: keep the detector that is replaced beside it, as FOLDER.previous, in place of
                the one kept before; `nearfar fit` does. One that is damaged is not kept.

        Raises:
            StorageError: the folder cannot be written, or something else is called FOLDER.previous;
                a detector that was there still is.
            SettingError: a part has a value that is no plain data.
            WeightsError: weights to be copied are gone.
        """
        self.save_over(folder, weights, previous=previous)
        return Path(folder)

    def save_over(
        self,
        folder: str | os.PathLike[str],
        weights: Literal["keep", "copy"] = "keep",
        *,
        previous: bool = True,
    ) -> Path | None:
        """`save`, telling where the detector that was there is kept; None if it is not."""
        if weights not in ("keep", "copy"):
            raise SettingError(f"save(weights={weights!r}); it is 'keep' or 'copy'")
        # Drawn before anything is written: a section that cannot be judged is not saved.
        thresholds = {key: self.threshold(*key).value for key in self.sections}
        known = self.origins or origins(self.system)  # a detector made by hand has none
        content = Content(
            self.system, self.sections, self.order, self.false_alarm_rate, known,
            self.threshold_by_domain, self.data_license, self.lessons, self.exported,
        )  # fmt: skip
        return write(
            Path(folder), content, thresholds, with_weights=weights == "copy", previous=previous,
            card=described(content, self._judge),
        )  # fmt: skip

    @cached_property
    def chains(self) -> tuple[Chain, ...]:
        """What turns a clip into the rows of its members, each once."""
        return tuple(dict.fromkeys(m.chain for m in self.system.members))

    @property
    def _checked_chains(self) -> tuple[Chain, ...]:
        """The chains, sure to give rows like the banks': weights can change any day."""
        check_origins(self.system, self.origins)
        _ = self._rounding  # said before the first score, and not again
        return self.chains

    @cached_property
    def _rounding(self) -> tuple[str, ...]:
        """Embedders that give the banks' rows but for rounding; asked for, they are said."""
        if found := rounded(self.system, self.origins):
            warn(
                f"fitted with {', '.join(found)}: the same features but for rounding, so scores "
                "may move in their sixth digit; fit again to be rid of this line"
            )
        return found

    # Once for a detector: calibrations and thresholds are the same for every clip.
    @cached_property
    def _judges(self) -> dict[tuple[str, str], Judge]:
        return {}

    def _judge(self, key: tuple[str, str]) -> Judge:
        """What judges the clips of a section that is known."""
        judge = self._judges.get(key)
        if judge is None:
            judge = self._judges[key] = Judge(
                self.system, self.chains, self.sections[key], self.false_alarm_rate,
                self.threshold_by_domain,
            )  # fmt: skip
            if isinstance(self.sections, LateSections):  # a bank that was let go goes with it
                for old in [old for old in list(self._judges) if not self.sections.keeps(old)]:
                    self._judges.pop(old, None)
        return judge

    def _known(self, machine: str, section: str) -> tuple[str, str]:
        return keys.checked(self.sections, machine, section)

    def _score_array(
        self,
        audio: ArrayLike,
        sr: Any,  # a number: without one it was refused
        machine: str | None,
        section: str | None,
        runtime: Runtime,
    ) -> Scores:
        clip = keys.array_clip(self.sections, machine, section)
        ready = check(
            from_array(audio, sr, order=self.order), name="array", channels=self.system.needs
        )
        return self.judge([(clip, embed_audio(ready, self._checked_chains, runtime))])

    def judge_audio(
        self, clip: Clip, audio: NDArray[np.float32], seen: Look, runtime: Runtime | None = None
    ) -> Verdict:
        """The verdict on a clip whose sound was read and looked at already: nothing twice.

        Args:
            clip: of a machine and section that it knows.
            audio: (channels, samples) float32 at 16 kHz, near first, as `sound.audio.check` lets
                it pass.
            seen: what `sound.look.look` says of it.
            runtime: how to compute.

        Raises:
            DatasetError: a machine or section the detector does not know.
        """
        about = describe(audio, "", seen=seen)
        heard = embed_audio(audio, self._checked_chains, runtime_of(runtime), about)
        return self.judge([(clip, heard)])[0]

    def judge(self, heard: Sequence[tuple[Clip, Heard]]) -> Scores:
        """Verdicts on clips that have been heard for its chains, in the order given.

        Args:
            heard: each clip and what it gave, as `Hearing.of(detector.chains)` has them.

        Raises:
            DatasetError: a machine or section the detector does not know.
        """
        verdicts: dict[int, Verdict] = {}  # by place in `heard`
        with one_thread():
            for key, places in by_section(clip for clip, _ in heard).items():
                judged = self._judge(self._known(*key))([heard[i] for i in places])
                verdicts.update(zip(places, judged, strict=True))
        return Scores(verdicts[i] for i in range(len(heard)))


def load(
    folder: str | os.PathLike[str],
    types: Sequence[type] = (),
    weights: str | os.PathLike[str] | Sequence[str] = (),
    *,
    late: bool = False,
    most: int | None = None,
) -> Detector:
    """Read a detector.

    Args:
        folder: what `Detector.save` wrote; or a folder of such folders that judge alike, as
            `nearfar fit --each` makes it, which is opened as one detector.
        types: classes of your own parts, if the system has any.
        weights: where the encoder's weights are now (several: of an ensemble), if neither in the
            folder nor where they were.
        late: read and check what belongs to a machine when the first clip of it is scored, before
            any is heard; of many machines, few of which are asked about, that is much sooner.
        most: bytes of banks read late that are kept, those read last; others are read again when
            they are asked for, so that memory is flat in the number of machines. None keeps all,
            also where the folder is replaced meanwhile.

    Raises:
        FormatError: not a detector, from a newer nearfar, damaged, or with a part that is not ours.
        WeightsError: the weights given are not those that it was fitted with.
    """
    if not isinstance(folder, str | os.PathLike):
        raise SettingError(f"load takes the folder of a detector, not {folder!r}"[:200])
    # A text is a sequence too, of letters.
    places = [os.fspath(weights)] if isinstance(weights, str | os.PathLike) else list(weights)
    content = read_any(Path(folder), types, places, late=late, most=most)
    return Detector(
        content.system, content.sections, content.order, content.false_alarm_rate, content.origins,
        content.threshold_by_domain, content.data_license, content.lessons, content.exported,
    )  # fmt: skip
