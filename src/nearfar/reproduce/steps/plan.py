"""The plan: which steps a run has, in which order, and by which key each is known.

A key is a hash of everything a step's result depends on. What is done is known by its key, so it is
not done again, and a step of other settings is another step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from nearfar.errors import SettingError
from nearfar.parts.data import to_data
from nearfar.reproduce.data import Data
from nearfar.reproduce.entries import (
    FROZEN,
    AnySystem,
    Encoder,
    Entry,
    TableName,
    encoders,
    entries_of,
    with_precision,
)
from nearfar.training.settings import FineTuning
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.embedder.eat.infer import Precision

REVISION = 1  # raised when a step's result changes for the same key
DIGITS = 12  # of a key, in the names of files
MOST_SEEDS = 100


@dataclass(frozen=True)
class Step:
    """One piece of work, done as a whole or not at all.

    Args:
        name: what people call it, "train mask, seed 1".
        kind: what is done.
        key: sha256 of everything the result depends on.
        encoder: of "train".
        entry: of "score".
        seed: of both; None for what no seed is in.
        needs: the trainings whose weights it takes, in the order of `Entry.make`.
        precision: of encoders in a scored system.
    """

    name: str
    kind: Literal["train", "score", "stereo"]
    key: str
    encoder: Encoder | None = None
    entry: Entry | None = None
    seed: int | None = None
    needs: tuple[Step, ...] = ()
    precision: Precision = "fp32"

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

    def system(self, published: str, trained: Sequence[str]) -> AnySystem:
        """Of a score: the system.

        Args:
            published: where the published weights are.
            trained: where those of `needs` are.
        """
        if self.entry is None:
            raise SettingError(f"step {self.name!r} scores nothing")
        places = {"": [], FROZEN: [published]}.get(self.entry.encoder, trained)
        return with_precision(self.entry.make(*places), self.precision)


@dataclass(frozen=True)
class Study:
    """What a run is asked for.

    Args:
        tables: of the report.
        seeds: numbers of the trainings.
        training: settings of every training.
        data: what it is done on.
        weights: sha256 of the published encoder; "" where no table needs one.
        precision: of encoders in the scored systems.
    """

    tables: tuple[TableName, ...]
    seeds: tuple[int, ...]
    training: FineTuning
    data: Data
    weights: str
    precision: Precision = "fp32"

    def steps(self) -> list[Step]:
        """All steps; each comes after those it needs."""
        wanted = entries_of(self.tables)
        trained = {
            name: tuple(self._training(encoder, seed) for seed in self.seeds)
            for name, encoder in encoders(self.training, {e.encoder for e in wanted}).items()
        }
        stereo = [self._stereo()] if "text" in self.tables else []
        # What trains nothing comes first: wrong data or weights show within minutes.
        quick = [s for e in wanted if not e.encoder for s in self._scores(e, ())]
        frozen = [s for e in wanted if e.encoder == FROZEN for s in self._scores(e, ())]
        learnt: list[Step] = []
        for name, trainings in trained.items():
            learnt += trainings
            learnt += [s for e in wanted if e.encoder == name for s in self._scores(e, trainings)]
        return [*stereo, *quick, *frozen, *learnt]

    def _training(self, encoder: Encoder, seed: int) -> Step:
        settings = replace(encoder.settings, seed=seed)
        content = {
            "kind": "train",
            "clips": self.data.train_sha256,
            "order": self.data.order,
            "weights": self.weights,
            "frontend": to_data(encoder.frontend),
            "training": settings.to_data(),
        }
        name = f"train {encoder.name}, seed {seed}"
        return Step(name, "train", _key(content), encoder=encoder, seed=seed)

    def _scores(self, entry: Entry, trainings: Sequence[Step]) -> list[Step]:
        if entry.seeds == "each":
            return [self._score(entry, (t,), t.seed) for t in trainings]
        return [self._score(entry, tuple(trainings), None)]

    def _score(self, entry: Entry, needs: tuple[Step, ...], seed: int | None) -> Step:
        name = f"score {entry.name}" + ("" if seed is None else f", seed {seed}")
        step = Step(
            name, "score", "", entry=entry, seed=seed, needs=needs, precision=self.precision
        )
        content = {
            "kind": "score",
            "clips": self.data.sha256,
            "order": self.data.order,
            "system": to_data(step.system(f"sha256:{self.weights}", [n.key for n in needs])),
            "nearfar": __version__,
        }
        return replace(step, key=_key(content))

    def _stereo(self) -> Step:
        content = {
            "kind": "stereo",
            "clips": self.data.train_sha256,
            "order": self.data.order,
            "nearfar": __version__,
        }
        return Step("stereo statistics", "stereo", _key(content))


def seeds_of(count: int) -> tuple[int, ...]:
    """0, 1, … of so many trainings.

    Raises:
        SettingError: none, or far too many.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_SEEDS:
        raise SettingError(f"--seeds {count}: it is 1 to {MOST_SEEDS}; the report has 4")
    return tuple(range(count))


def _key(content: Mapping[str, Any]) -> str:
    text = json.dumps({"revision": REVISION, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
