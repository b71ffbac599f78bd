"""Confirmed normal clips into a detector: heard, held against what it knows, and learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.clips.collection import by_section
from nearfar.clips.training import check_training
from nearfar.detector import keys
from nearfar.detector.learning.growth import grow, parts
from nearfar.detector.learning.learnt import Learnt, LearntRows
from nearfar.detector.learning.suspicion import refusal_of, suspects_among, told
from nearfar.detector.normals import Key, Normals, Pair
from nearfar.detector.section import SESSIONS, Section, TrainingClip
from nearfar.detector.traces import traces_of
from nearfar.embedder.contract import training_of
from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import Hearing
from nearfar.embedding.residual import residual_rows
from nearfar.errors import DatasetError, SettingError, several, warn
from nearfar.runtime.runtime import Runtime
from nearfar.scoring.bank import SOURCE, TARGET, Rows
from nearfar.scoring.enrich import Following, FromAudio, Pool
from nearfar.text import called, counted, named

if TYPE_CHECKING:
    from nearfar.sound.audio import ChannelOrder
    from nearfar.system.system import Ensemble, System

Sections = Mapping[Key, Section]


@dataclass(frozen=True)
class Care:
    """What to do with clips that should not be learnt just so.

    >>> Care(accept_suspects=True, exclude_suspects=True)
    Traceback (most recent call last):
    nearfar.errors.SettingError: accept_suspects and exclude_suspects contradict each other; say one
    """

    skip_bad: bool = False  # leave out those that are known already, with a warning
    accept_suspects: bool = False
    exclude_suspects: bool = False

    def __post_init__(self) -> None:
        if self.accept_suspects and self.exclude_suspects:
            raise SettingError(
                "accept_suspects and exclude_suspects contradict each other; say one"
            )


def assigned(
    sections: Sections, clips: object, machine: str | None, section: str | None, domain: str | None
) -> list[Clip]:
    """Clips as the machine, section and domain that they are learnt for.

    Raises:
        DatasetError: no clips, anomalies or test clips among them, an unknown machine or section,
            or a clip that says another domain.
        SettingError: another domain than source and target.
    """
    if domain not in (None, "source", "target"):
        raise SettingError(f"domain {domain!r}; it is source or target")
    given = clips
    # What is no list of clips is refused below, by the words of a fit.
    if isinstance(clips, Sequence) and all(isinstance(c, Clip) for c in clips):
        machines = keys.machines_of(sections)
        refuse_first(clips)
        given = [keys.assigned(sections, machines, c, machine, section) for c in clips]
    check_training(given, "learn")  # type: ignore[arg-type]  # it says what it is instead
    found: list[Clip] = list(given)  # type: ignore[call-overload]
    for clip in found if domain else ():
        if clip.domain not in (None, domain):
            raise DatasetError(
                f"{clip.name}: its name says {clip.domain}, not {domain}; say no other, or "
                "learn the clips of each domain by themselves"
            )
    return [replace(clip, domain=domain or clip.domain) for clip in found]


def refuse_first(clips: Sequence[Clip]) -> None:
    """What no machine can be given for: an anomaly is refused as such, whoever's it is."""
    bad = [clip for clip in clips if clip.label == "anomaly" or clip.split == "test"]
    if bad:
        check_training([replace(bad[0], machine=bad[0].machine or "it")], "learn")


@dataclass(frozen=True, eq=False)
class Lecture:
    """A detector's own, as far as learning needs it.

    >>> from dataclasses import fields
    >>> [field.name for field in fields(Lecture)]
    ['system', 'sections', 'chains', 'order']
    """

    system: System | Ensemble
    sections: Sections
    chains: tuple[Chain, ...]
    order: ChannelOrder

    def __call__(
        self, hearing: Hearing, runtime: Runtime, care: Care
    ) -> dict[Key, tuple[Section, list[TrainingClip]]]:
        """Learn what was heard.

        Returns:
            Of each machine and section with something new, what is known of it then, and the clips
            that were learnt.

        Raises:
            AudioError: clips that stand out.
            DatasetError: clips that are known already, or nothing left to learn.
        """
        pairs = self._unknown(hearing.of(self.chains), care)
        # In the fit's order, so that what is named first does not depend on how it was typed.
        groups = {
            key: Normals(key, [pairs[i] for i in places], self.chains).group
            for key, places in sorted(by_section(clip for clip, _ in pairs).items())
        }
        return {
            key: (
                self._grown(key, group, runtime),
                [TrainingClip(clip.name, what.digest) for clip, what in group],
            )
            for key, group in self._trusted(groups, care).items()
        }

    def _unknown(self, pairs: Sequence[Pair], care: Care) -> list[Pair]:
        """Those that the detector does not know, of any machine."""
        known = {
            digest: (key, clip.name)
            for key, section in self.sections.items()
            for clip, near in zip(section.clips, self._near(section), strict=True)
            for digest in (clip.digest, near)
        }
        lines = []
        # By the sound, not by the name: a copy elsewhere is no second witness.
        for clip, what in pairs:
            if what.digest in known:
                (machine, _), name = known[what.digest]
                of = "" if machine == clip.machine else f" of {machine}"
                as_ = "" if name == clip.name else f"the same audio as {name}{of}, which "
                lines.append(f"{clip.name}: {as_}is known already{of if not as_ else ''}")
        if lines and not care.skip_bad:
            faults = [DatasetError(line) for line in lines]
            if len(lines) == 1:
                raise DatasetError(f"{lines[0]}; leave it out (of several, with --skip-bad)")
            many = f"{len(lines)} of {len(pairs)} clips are known already"
            raise several(faults, f"{many}; leave them out with --skip-bad")
        for line in lines:
            warn(f"left out: {line}")
        left = [pair for pair in pairs if pair[1].digest not in known]
        _warn_of_copies(left)
        if not left:
            raise DatasetError(
                f"nothing left to learn of {counted(len(pairs), 'clip')}; give others"
            )
        return left

    def _near(self, section: Section) -> Sequence[str]:
        """What else a clip is known by: to who hears one channel, that channel is the sound.

        A fit beside a system of two channels has told its clips apart by both.
        """
        if self.system.needs > 1 or section.traces is None:
            return [clip.digest for clip in section.clips]
        return section.traces.near

    def _trusted(self, groups: dict[Key, list[Pair]], care: Care) -> dict[Key, list[Pair]]:
        """Without those that stand out, or with all of them, as was said."""
        suspects = [
            one
            for key, group in groups.items()
            for one in suspects_among(self.system, self.sections[key], self._rows(group), group)
        ]
        total = sum(map(len, groups.values()))
        if not suspects:
            return groups
        if not (care.accept_suspects or care.exclude_suspects):
            raise refusal_of(suspects, total)
        said = [f"{one.clip.file} {told(one)}" for one in suspects]
        # Said either way: who reads no word of them may think there were none.
        if care.accept_suspects:
            warn(f"learnt although they stand out: {named(said)}")
            return groups
        warn(f"left out, for they stand out: {named(said)}")
        # A clip may stand out in several ways, and goes once.
        out = {one.clip for one in suspects}
        left = {
            key: [pair for pair in group if pair[0] not in out] for key, group in groups.items()
        }
        left = {key: group for key, group in left.items() if group}
        if not left:
            raise DatasetError(
                f"all {counted(total, 'clip')} stand out, so nothing is left to learn; "
                "listen to them, and learn them with --accept-suspects if they are normal"
            )
        return left

    def _rows(self, group: Sequence[Pair]) -> list[NDArray[np.float32]]:
        """Of each member, (n, dim)."""
        places = [self.chains.index(member.chain) for member in self.system.members]
        return [np.stack([what.rows[place] for _, what in group]) for place in places]

    def _grown(self, key: Key, group: Sequence[Pair], runtime: Runtime) -> Section:
        fitted, learnt, forgotten = parts(self.sections[key], self.system)
        check_teachable(key[0], fitted)
        gone = set(forgotten)
        # One that the fit had is its own again, as it was.
        back = {what.digest for _, what in group} & gone
        _refuse_others(fitted, [pair for pair in group if pair[1].digest in back])
        new = [pair for pair in group if pair[1].digest not in back]
        if new:
            learnt = learnt.beside(self._learnt(fitted, new, runtime))
        return grow(self.system, fitted, learnt, sorted(gone - back))

    def _learnt(self, fitted: Section, group: Sequence[Pair], runtime: Runtime) -> Learnt:
        domain = np.array(
            [TARGET if clip.domain == "target" else SOURCE for clip, _ in group], np.int8
        )
        # Kept with the clips: when a clip is forgotten and another comes, no sound is read again.
        rows = tuple(
            LearntRows(one, tuple(self._pools(i, fitted, group, runtime)))
            for i, one in enumerate(self._rows(group))
        )
        fresh = None
        # Where an encoder was trained it may know this clip by its near channel.
        if fitted.fresh is not None:
            found = [training_of(member.embedder) for member in self.system.members]
            trainings = [one for one in found if one is not None]
            fresh = tuple(not any(t.has_heard(what.near) for t in trainings) for _, what in group)
        clips = tuple(TrainingClip(clip.name, what.digest) for clip, what in group)
        return Learnt(clips, domain, traces_of(group), fresh, rows)

    def _pools(
        self, i: int, fitted: Section, group: Sequence[Pair], runtime: Runtime
    ) -> list[Pool]:
        """Residual rows of target clips, for each enrichment of a member; the tier is the fit's."""
        recipe, member = self.system.members[i], fitted.members[i]
        real = member.domain[: len(fitted.clips)]
        targets = [k for k, (clip, _) in enumerate(group) if clip.domain == "target"]
        pools: list[Pool] = []
        for part in recipe.enrichment:
            size = 0
            # By the fit's counts and tier: what was learnt before must not change the number.
            if isinstance(part, Following) and isinstance(part, FromAudio):
                sources = int((real == SOURCE).sum())
                size = part.each(lr_corr_of(fitted, i), sources, int((real == TARGET).sum()))
            if not size or not targets or not isinstance(part, FromAudio):
                pools.append({})
                continue
            asked = [
                (clip, what.digest, part.draw(recipe.seed, what.digest, size))
                for clip, what in (group[k] for k in targets)
            ]
            rows = residual_rows(
                asked, recipe.chain, runtime, match_levels=part.match_levels, order=self.order
            )
            pools.append(dict(zip(targets, rows, strict=True)))
        return pools


def lr_corr_of(fitted: Section, i: int) -> float:
    """The mean LR_corr of a fit's clips, which decided its tier."""
    if fitted.traces is not None:
        found: Rows = fitted.traces.column("lr_corr")
        return float(found.mean())
    return float(fitted.members[i].facts.get("lr_corr", float("nan")))


def _refuse_others(fitted: Section, back: Sequence[Pair]) -> None:
    """Refuse clips of the fit that come back as of another domain: means and rows have them so."""
    target = fitted.of_domain("target")
    known = {
        clip.digest: "target" if target[i] else "source" for i, clip in enumerate(fitted.clips)
    }
    for clip, what in back:
        was = known[what.digest]
        if clip.domain not in (None, was):
            raise DatasetError(
                f"{clip.name}: the fit has it as {was}, and only a fit makes it {clip.domain}; "
                f"learn it again as {was}, or fit again"
            )


def check_teachable(machine: str, fitted: Section) -> None:
    """Refuse a fit that kept too little to hold its clips out again; warn of one that kept less.

    Raises:
        DatasetError: clips of recordings or days, and nobody knows which.
    """
    if fitted.traces is not None and all(m.workings is not None for m in fitted.members):
        return
    # Parts of one recording would judge each other, and the threshold come out far too low.
    unknown = fitted.traces is None
    if unknown and any(SESSIONS in member.facts for member in fitted.members):
        raise DatasetError(
            f"{machine}: an older nearfar fitted it and did not keep which clips are of one day or "
            "recording, so they cannot be held out together again; fit again, then learn"
        )
    warn(
        f"{machine}: fitted by an older nearfar, or with its own enrichment, so without "
        "word of how clips were held out; they are held out anew, and the threshold may move by "
        "more than what is learnt; fit again to avoid that"
    )


def _warn_of_copies(pairs: Sequence[Pair]) -> None:
    """One sound that is there twice counts once; of two machines it cannot be.

    Raises:
        DatasetError: the same audio for two machines or sections.
    """
    first: dict[str, Clip] = {}
    again = []
    for clip, what in pairs:
        other = first.setdefault(what.digest, clip)
        if (other.machine, other.section) != (clip.machine, clip.section):
            raise DatasetError(
                f"{clip.name}: the same audio as {other.name}, for {called(*_key(clip))} and "
                f"{called(*_key(other))}; give it to the one whose sound it is"
            )
        if other is not clip:
            again.append((clip.name, other.name))
    if again:
        more = f" ({len(again)} such copies in all)" if len(again) > 1 else ""
        warn(f"{again[0][0]}: the same audio as {again[0][1]}; they count as one{more}")


def _key(clip: Clip) -> Key:
    return clip.machine, clip.section
