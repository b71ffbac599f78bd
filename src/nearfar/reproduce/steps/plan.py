"""The plan: which steps a run has, in which order, and by which key each is known.

A key is a hash of everything a step's result depends on. What is done is known by its key, so it is
not done again, and a step of other settings is another step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from nearfar.errors import SettingError
from nearfar.parts.data import to_data
from nearfar.parts.valid import is_whole
from nearfar.reproduce.data import Data
from nearfar.reproduce.entries import (
    FROZEN,
    FROZEN_S3,
    UNTRAINED,
    Entry,
    TableName,
    TrainedEncoder,
    encoders,
    entries_of,
    with_precision,
)
from nearfar.system.system import AnySystem
from nearfar.training.settings import FineTuning
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.embedder.infer import Precision

# Raised when a step's result changes for the same key; scores: folds are dealt by near channels.
REVISION = {"train": 1, "score": 2, "stereo": 1}
DIGITS = 12  # of a key, in the names of files
MOST_SEEDS = 100


@dataclass(frozen=True)
class Step:
    """One piece of work, done as a whole or not at all.

    >>> Step("train mask, seed 1", "train", "0123456789abcdef").slug
    'train-mask-seed-1-0123456789ab'
    """

    name: str  # what people call it, "train mask, seed 1"
    kind: Literal["train", "score", "stereo"]
    key: str  # sha256 of everything the result depends on
    encoder: TrainedEncoder | None = None  # of "train"
    entry: Entry | None = None  # of "score"
    seed: int | None = None  # None for what no seed is in
    needs: tuple[Step, ...] = ()  # trainings whose weights it takes, in the order of `Entry.make`
    precision: Precision = "fp32"  # of encoders in a scored system

    @property
    def slug(self) -> str:
        """A name for files, different for every key."""
        words = self.name.replace(",", "").replace(" ", "-")
        return f"{words}-{self.key[:DIGITS]}"

    @property
    def settings(self) -> FineTuning:
        """Of a training, with its seed."""
        if self.encoder is None or self.seed is None:
            raise SettingError(f"step {self.name!r} trains nothing")
        return replace(self.encoder.settings, seed=self.seed)

    def system(self, published: str, trained: Sequence[str], frozen: str = "") -> AnySystem:
        """Of a score: the system, from places of the published weights and of those of `needs`.

        `frozen` is that of System 3's encoder where it is another published one.
        """
        if self.entry is None:
            raise SettingError(f"step {self.name!r} scores nothing")
        given = {"": [], FROZEN: [published], FROZEN_S3: [frozen or published]}
        places = given.get(self.entry.encoder, trained)
        system: AnySystem = with_precision(self.entry.make(*places), self.precision)
        return system


@dataclass(frozen=True)
class Request:
    """What a run is asked for.

    >>> from nearfar.clips import Clips
    >>> data = Data(".", Clips(), Clips(), None, None, "near-far", "", True)
    >>> Request(("1",), seeds_of(4), FineTuning(), data, "").steps()  # Table 1 is of presets
    []
    """

    tables: tuple[TableName, ...]
    seeds: tuple[int, ...]  # numbers of the trainings
    training: FineTuning  # settings of all of them
    data: Data
    weights: str  # sha256 of the published encoder; "" where no table needs one
    precision: Precision = "fp32"  # of encoders in the scored systems
    frozen: str = ""  # sha256 of System 3's encoder; "" the same as `weights`

    def steps(self) -> list[Step]:
        """All steps; each comes after those it needs."""
        wanted = entries_of(self.tables)
        trained = {
            name: tuple(self._training(encoder, seed) for seed in self.seeds)
            for name, encoder in encoders(self.training, {e.encoder for e in wanted}).items()
        }
        key = self._key("stereo", self.data.train_sha256, nearfar=__version__)
        stereo = [Step("stereo statistics", "stereo", key)] if "text" in self.tables else []
        # What trains nothing comes first: wrong data or weights show within minutes.
        quick = [s for e in wanted if not e.encoder for s in self._scores(e, ())]
        frozen = [s for e in wanted if e.encoder in UNTRAINED[1:] for s in self._scores(e, ())]
        learnt: list[Step] = []  # each training, then what is scored with it
        for name, trainings in trained.items():
            learnt += trainings
            learnt += [s for e in wanted if e.encoder == name for s in self._scores(e, trainings)]
        return [*stereo, *quick, *frozen, *learnt]

    def _training(self, encoder: TrainedEncoder, seed: int) -> Step:
        key = self._key(
            "train",
            self.data.train_sha256,
            weights=self.weights,
            frontend=to_data(encoder.frontend),
            training=replace(encoder.settings, seed=seed).to_data(),
        )
        name = f"train {encoder.name}, seed {seed}"
        return Step(name, "train", key, encoder=encoder, seed=seed)

    def _scores(self, entry: Entry, trainings: Sequence[Step]) -> list[Step]:
        if entry.seeds == "each":
            return [self._score(entry, (t,), t.seed) for t in trainings]
        return [self._score(entry, tuple(trainings), None)]

    def _score(self, entry: Entry, needs: tuple[Step, ...], seed: int | None) -> Step:
        name = f"score {entry.name}" + ("" if seed is None else f", seed {seed}")
        step = Step(name, "score", "", None, entry, seed, needs, self.precision)
        # Places of weights are no part of a result; what they hold is.
        other = f"sha256:{self.frozen}" if self.frozen else ""
        trained = [need.key for need in needs]
        system = to_data(step.system(f"sha256:{self.weights}", trained, other))
        chosen = {"selects": True} if entry.selects else {}
        key = self._key("score", self.data.sha256, system=system, nearfar=__version__, **chosen)
        return replace(step, key=key)

    def _key(self, kind: str, clips: str, **more: Any) -> str:
        content = {
            "revision": REVISION[kind],
            "kind": kind,
            "clips": clips,
            "order": self.data.order,
        }
        text = json.dumps({**content, **more}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def seeds_of(count: int) -> tuple[int, ...]:
    """0, 1, … of so many trainings; a `SettingError` for none, or far too many."""
    if not is_whole(count, 1, MOST_SEEDS):
        raise SettingError(f"--seeds {count}: it is 1 to {MOST_SEEDS}; the report has 4")
    return tuple(range(count))
