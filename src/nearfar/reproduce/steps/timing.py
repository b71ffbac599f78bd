"""Some real clips through the product's own step and pass, on the machine at hand, with a clock.

What would take too long to be tried (a large encoder on a CPU) is left to arithmetic.
This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.clips import Clip, Clips
from nearfar.embedder.contract import weights_of, with_weights
from nearfar.embedder.eat import EAT
from nearfar.embedder.eat.weights import Weights
from nearfar.embedding.chain import Chain
from nearfar.embedding.rows import embed
from nearfar.errors import NearfarError
from nearfar.files import atomic_file
from nearfar.reproduce.data import Data
from nearfar.reproduce.steps.estimate import BYTE, ClipTime, chain_key, training_key
from nearfar.reproduce.steps.plan import Step
from nearfar.reproduce.steps.records import standing
from nearfar.reproduce.steps.shared import chains_of
from nearfar.runtime.cache import CACHE_FILE
from nearfar.runtime.runtime import Runtime
from nearfar.training.examples.examples import examples
from nearfar.training.examples.mels import MelStore
from nearfar.training.examples.prepare import prepare
from nearfar.training.loop.loop import Loop
from nearfar.training.loop.team import Team
from nearfar.training.run import begun, products
from nearfar.training.settings import FineTuning

PATIENCE = 10.0  # s that one thing may take, by arithmetic
EAR = EAT("-")  # how clips are cut depends on no weights
BATCHES = 2  # of an epoch that is timed
WRITTEN = 1 << 28  # bytes: more would tell no more, and a checkpoint of EAT-large has 3.6 GB
CLIPS = 12  # that a pass is timed on; of fewer, what is done once for all would count too much
FEWEST = 8  # clips to train on


def time_trainings(
    steps: Iterable[Step],
    data: Data,
    weights: Weights,
    device: str,
    expected: Callable[[Step], float],
) -> dict[Any, float]:
    """Seconds a clip and epoch, by `training_key`, of trainings that differ in cost.

    Args:
        steps: trainings.
        data: whose clips are taken.
        weights: the published encoder.
        device: to train on.
        expected: s that a training takes for a clip and epoch, by arithmetic.
    """
    found: dict[Any, float] = {}
    for step in steps:
        key = None if step.encoder is None else training_key(step.settings)
        if step.encoder is None or key in found or not expected(step) > 0:
            continue
        s = replace(step.settings, epochs=2)
        most = int(PATIENCE / 2 / expected(step))
        count = min(len(data.train), most, round(BATCHES * s.batch_size / (1 - s.held_out)))
        if count < FEWEST:
            continue
        try:
            found[key] = _epoch(_spread(data.train, count), step, s, weights, device, data)
        except NearfarError:  # too few of a class, or a loss that is not finite: arithmetic will do
            continue
    return found


def time_fronts(steps: Iterable[Step], data: Data) -> dict[Any, float]:
    """Seconds a clip that trainings read, hear and keep once, by front end."""
    found: dict[Any, float] = {}
    clips = _spread(data.train, CLIPS)
    for step in steps:
        front = None if step.encoder is None else step.encoder.frontend
        if front is None or front in found or not clips:
            continue
        with warnings.catch_warnings(), suppress(NearfarError):  # the training will say it
            warnings.simplefilter("ignore")
            began = time.perf_counter()
            store = MelStore.open(None, "")
            prepare(clips, front, EAR, Runtime(), data.order, store)
            found[front] = (time.perf_counter() - began) / len(clips)
            store.close()
    return found


def time_writing(out: Path, size: float) -> float:
    """Seconds that a byte takes to the disk where a run will be, waited for.

    Args:
        out: of the run; it need not be there, and is not made.
        size: bytes that would be written; no more than `WRITTEN` of them are, and removed.
    """
    content = bytes(min(WRITTEN, max(1, int(size))))
    try:
        with tempfile.TemporaryDirectory(prefix=".nearfar-timing-", dir=standing(out)) as folder:
            began = time.perf_counter()
            with atomic_file(Path(folder) / "checkpoint") as file:
                file.write(content)
            return (time.perf_counter() - began) / len(content)
    except (OSError, NearfarError):  # a full disk, no permission: the run itself will say it
        return BYTE


def _epoch(
    clips: Clips, step: Step, settings: FineTuning, weights: Weights, device: str, data: Data
) -> float:
    """Seconds a clip of the second epoch of a training on some clips; the first warms up."""
    front = step.encoder.frontend if step.encoder else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = examples(clips, front, EAR, settings, Runtime(), data.order)  # type: ignore[arg-type]
    try:
        made = replace(made, held_out=_held(len(made), settings.held_out))
        team = Team(device)
        loop = Loop(begun(weights, made, settings, team), made, settings, team, lambda entry: None)
        with products(settings), team.helped(weights.architecture.parameters):
            loop.epoch()
            began = time.perf_counter()
            loop.epoch()  # ends with a number from the device, so all of it is done
            return (time.perf_counter() - began) / len(made)
    finally:
        made.mels.close()


def _held(count: int, share: float) -> Any:
    """As many as a whole set of that share has; few clips of a class hold none out."""
    held = np.zeros(count, bool)
    held[: round(share * count)] = True
    return held


def time_passes(
    steps: Iterable[Step], data: Data, weights: str, device: str, expected: Callable[[Chain], float]
) -> dict[Any, ClipTime]:
    """Seconds a clip of what scores hear by, by `chain_key`.

    Args:
        steps: scores.
        data: whose clips are taken.
        weights: where the published encoder is; a trained one takes as long.
        device: of encoders.
        expected: s a clip of a pass, by arithmetic.
    """
    found: dict[Any, ClipTime] = {}
    if not data.train:
        return found
    clips = _spread(Clips([*data.train, *data.judged]), CLIPS)
    for step in steps:
        for chain in chains_of(step):
            key = chain_key(chain)
            if key in found or len(clips) * expected(chain) > PATIENCE:
                continue
            embedder = chain.embedder
            if weights_of(embedder) is not None:
                embedder = with_weights(embedder, weights)
            found[key] = _pass(clips, Chain(chain.frontend, embedder), device, data)
    return found


def _pass(clips: Sequence[Clip], chain: Chain, device: str, data: Data) -> ClipTime:
    """One chain: clips that are new, those that are prepared, those with rows."""
    with tempfile.TemporaryDirectory(prefix="nearfar-timing-") as folder:
        # Of one step a run keeps nothing but rows, so it reads each clip to know it.
        runtime = Runtime(device=device, cache=Path(folder), keep=chain.two_step)

        def timed() -> float:
            began = time.perf_counter()
            embed(clips, (chain,), runtime, order=data.order)
            return (time.perf_counter() - began) / len(clips)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            embed(clips[:1], (chain,), replace(runtime, cache=None), order=data.order)  # warms up
            new, prepared = timed(), 0.0
            if chain.two_step:  # without rows, with what was prepared
                (Path(folder) / CACHE_FILE).unlink(missing_ok=True)
                prepared = timed()
            known = timed()
    return ClipTime(max(0.0, new - prepared), prepared, known)


def _spread(clips: Clips, count: int) -> Clips:
    """So many clips, spread over all of them: over machines, and over their lengths."""
    places = np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int)
    return Clips(clips[int(i)] for i in dict.fromkeys(places.tolist()))
