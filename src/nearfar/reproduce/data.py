"""The recordings and the weights of a run, checked before the first hour is spent.

The report's numbers belong to the development set of DCASE 2026 Task 2 and to EAT-large. Beside
them stands only what was computed on that set and with that encoder: everything else is refused,
or printed without the report's column where that is asked for, or where the data say themselves
that they are simulated.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from nearfar.clips import Clip, Clips, proxy_classes
from nearfar.clips.training import check_training, refuse_faults
from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.eat.weights import Weights, open_weights
from nearfar.embedder.record import Training
from nearfar.errors import AudioError, DatasetError, WeightsError, several
from nearfar.files import sha256 as file_sha256
from nearfar.metrics.official import RuleName, evaluate
from nearfar.reproduce.reported import load
from nearfar.runtime.runtime import Progress
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import Truth
from nearfar.sound import audio
from nearfar.study.data import open_test, rule_of, simulated_label
from nearfar.system.presets import LARGE, PUBLISHED

ANY = "--any-data prints our numbers without the report's"
READERS = 8  # threads that hash files
Files = tuple[Path, Path | None]  # of a recording: near or both, far


@dataclass(frozen=True, eq=False)
class Data:
    """A data set with labels.

    >>> found = Data(Path("dev"), Clips(), Clips(), Truth(()), None, "near-far", "", official=True)
    >>> found.label
    'DCASE 2026 Task 2, development set'
    """

    path: Path
    train: Clips
    test: Clips
    truth: Truth  # labels of the test clips
    rule: RuleName | None  # the year's number
    order: audio.ChannelOrder
    simulated: str  # what simulated data say of themselves; "" for others
    official: bool  # is it the set that the report's numbers are for?
    left_out: tuple[str, ...] = ()  # machines with training clips only: none of the tables'
    train_sha256: str = ""  # of the training files with their names
    sha256: str = ""  # of all files
    seconds: float = 0.0  # of a clip, mean
    left_out_clips: tuple[str, ...] = ()  # training clips left out by --skip-bad, each with why
    not_judged: Mapping[Clip, str] = field(default_factory=dict)  # test clips likewise, with why

    @property
    def label(self) -> str:
        """What a reader must know before the numbers."""
        official = "DCASE 2026 Task 2, development set"
        return official if self.official else self.simulated or "other data"

    @property
    def told(self) -> str:
        """How much there is of what, in one line."""
        told = f"{len(self.machines)} machine{'s' * (len(self.machines) > 1)}"
        if self.left_out:
            told += f" (left out, without test clips: {', '.join(self.left_out)})"
        told += f", {len(self.train):,} training and {len(self.test):,} test clips"
        counts = {"left out": len(self.left_out_clips), "not judged": len(self.not_judged)}
        bad = ", ".join(f"{count} {how}" for how, count in counts.items() if count)
        return told + (f" ({bad})" if bad else "")

    @property
    def judged(self) -> Clips:
        """The test clips that systems hear: all but those that cannot be judged."""
        return Clips(clip for clip in self.test if clip not in self.not_judged)

    @property
    def machines(self) -> tuple[str, ...]:
        """Sorted."""
        return self.test.machines


def look(
    path: Path,
    order: audio.ChannelOrder = "near-far",
    any_data: bool = False,
    skip_bad: bool = False,
) -> Data:
    """Find the clips of a DCASE folder or CSV and check that the tables can be made of them.

    Nothing is read but names; `hashed` does the rest. `any_data`: also of other than the report's;
    `skip_bad`: what listing finds wrong is for `reproduce.bad`.

    Raises:
        DatasetError: no labels, missing machines, another year's machines, other numbers of clips,
            anomalies to train on.
    """
    test, train = open_test(path), Clips.open(path, split="train")
    simulated = _simulated(path, [*train, *test])
    official = not (simulated or any_data)
    refuse_faults([] if skip_bad else [*train, *test])
    if official:
        _check_machines(path, train, test)
    for clip in test:
        if clip.label is None:
            raise DatasetError(
                f"{clip.path}: no label in its name, so nothing can be evaluated; give the "
                "development set, clips renamed by the official tool, or a CSV with labels"
            )
    if official:
        _check_counts(train, test)
    refuse_lacking(path, train, test)
    # Machines without test clips would have a part in the training of the encoders.
    left_out = tuple(m for m in train.machines if m not in test.machines)
    train = Clips(clip for clip in train if clip.machine in test.machines)
    check_training(train)
    truth, rule = Truth.from_clips(test), rule_of(test)
    nothing = (ScoredFile(r.machine, r.section, r.file, 0.0, None, r.where) for r in truth.rows)
    evaluate(ScoreTable(tuple(nothing)), truth, draws=0, rule=rule)  # says what no table could
    if len(set(proxy_classes(train).values())) < 2:
        raise DatasetError(f"{path}: one proxy class only, nothing to train on; add a machine")
    return Data(path, train, test, truth, rule, order, simulated, official, left_out)


def refuse_lacking(path: Path, train: Clips, test: Clips) -> None:
    """Refuse test clips that no detector would be for.

    Raises:
        DatasetError: which sections have no training clips.
    """
    lacking = [f"{m}, section {s}" for m, s in set(test.by_section()) - set(train.by_section())]
    if lacking:
        raise DatasetError(f"{path}: no training clips of {'; '.join(sorted(lacking))}; copy them")


def refuse_mono(clips: Clips) -> None:
    """Refuse a set of recordings that all have one channel, by their heads: it is another year's.

    Raises:
        AudioError: names one.
    """
    if clips and all(map(_is_mono, clips)):  # of the right year one head is looked at
        raise _mono(clips[0])


def hashed(data: Data, progress: Progress | None = None) -> Data:
    """The same data with their hashes; every file is read once and its head looked at.

    Raises:
        AudioError: files that cannot be read or have other channels, all in one; a clip that is
            too short.
    """
    clips = [*data.train, *data.judged]
    seen = _seen(clips, progress)
    rows = [_row(clip, seen[clip.path, clip.far][0]) for clip in clips]
    ends = [seen[c.path, c.far][1] if c.stop is None else c.stop for c in clips]
    for clip, end in zip(clips, ends, strict=True):
        if end - clip.start < audio.SHORTEST:
            need = f"need at least {audio.SHORTEST:g} s; copy it again"
            raise AudioError(f"{clip.name}: {end - clip.start:.3g} s, {need}")
    seconds = sum(end - c.start for end, c in zip(ends, clips, strict=True)) / len(clips)
    train_sha256 = _sha256(rows[: len(data.train)])
    rows += [_row(clip, "not judged") for clip in data.not_judged]
    return replace(data, train_sha256=train_sha256, sha256=_sha256(rows), seconds=seconds)


def check_weights(reference: str, official: bool) -> Weights:
    """The published encoder that everything begins with.

    Raises:
        WeightsError: not there, trained by nearfar already, or not the report's encoder.
    """
    weights = open_weights(reference)
    if Training.of(weights) is not None or weights.architecture.projection is not None:
        raise WeightsError(
            f"{reference}: was trained by nearfar already; give the published encoder, such as "
            f"{PUBLISHED}"
        )
    if official and sizes_of(weights.architecture) != sizes_of(LARGE):
        raise WeightsError(
            f"{reference}: is {weights.architecture.name}, the report's numbers are for "
            f"EAT-large; give its weights, or {ANY}"
        )
    return weights


def sizes_of(shape: Architecture) -> tuple[int, int, int, int]:
    """What makes a large encoder large: dim, depth, heads, hidden; encoders alike cost alike."""
    return shape.dim, shape.depth, shape.heads, shape.hidden


def _simulated(path: Path, clips: Sequence[Clip]) -> str:
    """What simulated data say of themselves, also behind a CSV or from a folder above or below."""
    folders = {clip.path.absolute().parent for clip in clips}  # root/machine/train
    places = {path.absolute(), *(p for f in folders for p in (f, *f.parents[:3]))}
    return "; ".join(sorted({said for place in places if (said := simulated_label(place))}))


def _check_machines(path: Path, train: Clips, test: Clips) -> None:
    wanted, there = set(load().data.machines), set(test.machines)
    if there == wanted and wanted <= set(train.machines):
        return
    missing = sorted(wanted - (there & set(train.machines)))
    others = sorted(there - wanted)
    told = f"has no {', '.join(missing)}" if missing else f"has {', '.join(others)} too"
    also = f", but {', '.join(others)}" if missing and others else ""
    raise DatasetError(
        f"{path}: {told}{also}; the report's numbers are for the seven machines of the DCASE 2026 "
        f"development set: give them{'' if missing else ' alone'}, or {ANY}"
    )


def _check_counts(train: Clips, test: Clips) -> None:
    """990 source and 10 target clips to train on, 50 of each domain and label to test; no more."""
    counts = Counter((c.machine, c.split, c.domain, c.label or "normal") for c in [*train, *test])
    facts = load().data
    tests = product(("test",), ("source", "target"), ("normal", "anomaly"))
    wanted = {
        ("train", "source", "normal"): facts.train_source_clips,
        ("train", "target", "normal"): facts.train_target_clips,
        **dict.fromkeys(tests, facts.test_clips_per_machine_domain_and_label),
    }
    others = {kind[1:]: 0 for kind in counts if kind[1:] not in wanted}  # say, of no domain
    for machine in facts.machines:
        for kind, number in {**wanted, **others}.items():
            if (found := counts[(machine, *kind)]) != number:
                split, domain, label = kind
                raise DatasetError(
                    f"{machine}: {found} clips of {split}, {domain or 'no domain'}, {label}, the "
                    f"DCASE 2026 development set has {number}; copy it again, or {ANY}"
                )


def _seen(clips: Sequence[Clip], progress: Progress | None) -> dict[Files, tuple[str, float]]:
    """sha256 and seconds of each recording; many clips may be parts of one."""
    recordings = {(clip.path, clip.far): clip for clip in clips}
    seen, faults = {}, list[AudioError]()
    with ThreadPoolExecutor(READERS) as pool:  # hashing leaves the interpreter to other threads
        here = [copy_context() for _ in recordings]
        looked = pool.map(lambda at, clip: at.run(_look_at, clip), here, recordings.values())
        for n, (files, found) in enumerate(zip(recordings, looked, strict=True), start=1):
            if isinstance(found, AudioError):
                faults.append(found)
            else:
                seen[files] = found
            if progress is not None:
                progress("checking files", n, len(recordings))
    if faults:
        raise several(faults, f"{len(faults)} of {len(recordings)} recordings cannot be used")
    return seen


def _look_at(clip: Clip) -> tuple[str, float] | AudioError:
    """sha256 and seconds of a recording, or what is wrong with it: told with all others."""
    try:
        return _looked_at(clip)
    except AudioError as error:
        return error


def _is_mono(clip: Clip) -> bool:
    """Is it one file with one channel? False where that cannot be read."""
    try:
        return clip.far is None and audio.channels(clip.path) == 1
    except AudioError:
        return False


def _mono(clip: Clip) -> AudioError:
    return AudioError(
        f"{clip.name}: one channel, and near and far are needed; recordings before 2026 have one: "
        "give the DCASE 2026 set"
    )


def _looked_at(clip: Clip) -> tuple[str, float]:
    paths = [clip.path] if clip.far is None else [clip.path, clip.far]
    channels = [audio.channels(path) for path in paths]
    if channels == [1]:
        raise _mono(clip)
    if channels not in ([2], [1, 1]):
        told = " and ".join(map(str, channels))
        way = "give one file with two, or two files with one each"
        raise AudioError(f"{clip.name}: {told} channels; {way}")
    try:
        digests = [file_sha256(path) for path in paths]
    except OSError as error:
        raise AudioError(f"{clip.name}: cannot be read ({error.strerror}); copy it again") from None
    return " ".join(digests), audio.duration(clip.path)


def _row(clip: Clip, digest: str) -> str:
    """What of a clip a result depends on."""
    return json.dumps((clip.machine, clip.section, clip.domain, clip.split, clip.label,
                       clip.attributes, clip.file, clip.start, clip.stop, digest))  # fmt: skip


def _sha256(rows: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()
