"""The loop: batches of crops in, gradients, one step of the optimizer; held-out normals judged.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nearfar.errors import DatasetError, SettingError
from nearfar.training.examples.examples import (
    Examples,
    batches,
    buckets,
    crop_places,
    crop_rng,
    split,
)
from nearfar.training.learner.domains import reversal
from nearfar.training.learner.learner import kept, seeded
from nearfar.training.log import EpochLine, StepLine
from nearfar.training.loop.checkpoint import Best, State, averaged
from nearfar.training.loop.loading import Part, ahead
from nearfar.training.loop.optimizer import schedule, set_rates
from nearfar.training.loop.team import Team
from nearfar.training.settings import FineTuning

FEWEST = 2  # clips that BatchNorm needs to see at a time
SHOWN = 3  # clips that an error names
HELD_OUT = "held-out loss"


@dataclass
class Loop:
    """What an epoch needs.

    `Loop(state, examples, settings, Team("cpu"), print).epoch()` trains one epoch, prints a
    `StepLine` for each step, and returns its `EpochLine`; a checkpoint is the caller's. Of an epoch
    that was stopped in the middle it trains what is left.

    >>> FEWEST * Team("cpu").size  # examples that it must have to train on
    2
    """

    state: State  # what is trained; changed
    examples: Examples
    settings: FineTuning
    team: Team  # the processes, this one among them
    report: Callable[[StepLine], None]  # called after each step

    def __post_init__(self) -> None:
        self._least = FEWEST * self.team.size
        self._model = self.team.wrap(self.state.learner)
        self._labels = torch.from_numpy(np.asarray(self.examples.labels, np.int64))
        self._domains = torch.from_numpy(self.examples.domains)
        self._held = [int(i) for i in np.flatnonzero(self.examples.held_out)]
        self._each = len(self._batches(0))  # steps an epoch
        self._steps = self._each * self.settings.epochs
        self._began, self._first = time.monotonic(), self.state.step
        self._seconds = self._clips = 0.0  # spent on steps by this process, and clips in them
        self._seen: list[tuple[Sequence[int], Tensor]] = []  # statistics of the step's clips
        self._drawn: Counter[int] = Counter()  # how often each example was, in this epoch

    def epoch(self) -> EpochLine:
        """Train one epoch, judge the held-out normals, keep the weights if they are to be chosen.

        Raises:
            SettingError: a loss or gradient that is not finite, and no step was taken with it; or
                the held-out loss is not, and the epoch counts as not done.
        """
        began, epoch = time.monotonic(), self.state.epoch + 1
        self.state.learner.train()
        self._steps_of(epoch)
        self.team.average(self.state.learner)
        with averaged(self.state):
            accuracy, held_out_loss = self._held_out()
            self._refuse(held_out_loss or 0.0, HELD_OUT, epoch, self._held)
        mean = self.state.loss / self.state.clips
        self.state.epoch, self.state.batches = epoch, 0
        self.state.loss, self.state.clips = 0.0, 0
        best = Best(epoch, accuracy, held_out_loss)
        if self.settings.choose == "last":
            self.state.best = best  # its weights are the learner's own: no copy of gigabytes
        elif best.beats(self.state.best):
            with averaged(self.state):
                self.state.best, self.state.weights = best, kept(self.state.learner.encoder)
        return EpochLine(
            epoch, self.settings.epochs, self.state.step, mean, held_out_loss, accuracy,
            self._speed, time.monotonic() - began,
        )  # fmt: skip

    def _steps_of(self, epoch: int) -> None:
        """The steps of an epoch that are not done yet."""
        state, self._drawn = self.state, Counter()
        counted = [self._counted(batch) for batch in self._batches(epoch - 1)]
        done = state.batches  # before this process
        jobs = (partial(self._load, epoch, n, counted[n]) for n in range(done, len(counted)))
        start = time.monotonic()
        for number, parts in enumerate(ahead(jobs), start=done):
            batch = [i for i, _ in counted[number]]
            loss = self._step(epoch, number, batch, parts)
            self._seconds += time.monotonic() - start  # with the waiting for what it heard
            self._clips += len(batch)
            state.loss, state.clips = state.loss + loss * len(batch), state.clips + len(batch)
            state.batches = number + 1
            self.report(self._entry(epoch, loss))
            start = time.monotonic()

    def _load(self, epoch: int, number: int, batch: Sequence[tuple[int, int]]) -> list[Part]:
        """Of a batch what this process hears, in as many parts as memory asks for."""
        parts = max(1, min(self.settings.accumulation, len(batch) // self._least))
        place = self._place(epoch, number)
        return [
            self._part(part[self.team.rank :: self.team.size], epoch, place)
            for part in split(batch, parts)
        ]

    def _step(self, epoch: int, number: int, batch: Sequence[int], parts: Sequence[Part]) -> float:
        """One step of the optimizer on one batch that is loaded; the batch's mean loss."""
        s, optimizer = self.settings, self.state.optimizer
        optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.team.device)
        self._seen.clear()
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            drawn = (s.seed, epoch, number, i, self.team.rank)
            with (
                nullcontext() if last else self.team.alone(self._model),
                seeded(self.team.device, *drawn) if s.draws else nullcontext(),
            ):
                # Gradients are averaged over the processes: their shares may differ by a clip.
                share = len(part.clips) / len(batch)
                loss = loss + share * self._backward(part, share * self.team.size)
        mean = float(self.team.total(loss))
        self._refuse(mean, "loss", epoch, batch)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        most = s.gradient_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, most))
        self._refuse(norm, "gradient", epoch, batch)
        set_rates(optimizer, self._share(self.state.step))
        optimizer.step()
        if self.state.average is not None:
            self.state.average.follow(self.state.learner, self.state.step)
        self.state.step += 1
        return mean

    def _counted(self, batch: Sequence[int]) -> list[tuple[int, int]]:
        """Each example with how often it was drawn in this epoch before: another crop each time."""
        counted = []
        for i in batch:
            counted.append((i, self._drawn[i]))
            self._drawn[i] += 1
        return counted

    def _place(self, epoch: int, number: int) -> float | None:
        """Where the length of a batch's crops lies; None where each clip draws its own."""
        if self.settings.lengths == "clip":
            return None
        return float(crop_places(self.settings.seed, epoch - 1, self._each)[number])

    def _part(self, own: Sequence[tuple[int, int]], epoch: int, place: float | None) -> Part:
        """A crop of each clip; where its length lies is drawn for each, or given."""
        seed, kind = self.settings.seed, self.team.device.type
        crops = [self.examples.crop(i, crop_rng(seed, epoch - 1, i, k), place) for i, k in own]
        return Part.of([i for i, _ in own], crops, kind)

    def _backward(self, part: Part, weight: float) -> Tensor:
        """Gradients of some clips' mean loss times a weight, added to those there are."""
        clips, (mels, order) = part.clips, part.to(self.team.device)
        labels = self._labels[clips].to(self.team.device)
        domains = self._domains[clips].to(self.team.device)
        strength = reversal(self.state.step / self._steps)
        loss, statistics = self._model(mels, order, labels, domains, strength)
        self._seen.append((clips, statistics))
        (loss * weight).backward()
        detached: Tensor = loss.detach()
        return detached

    def _held_out(self) -> tuple[float, float] | tuple[None, None]:
        """Accuracy and mean loss on the held-out normals, each heard as a whole."""
        if not (held := self._held):  # as with training.held_out=0, or classes of four clips
            return None, None
        self.state.learner.eval()
        self._seen.clear()
        sums = torch.zeros(2, device=self.team.device)
        with torch.inference_mode():
            for some in self._groups(held)[self.team.rank :: self.team.size]:
                right, loss = self._judged(some)
                sums += torch.stack([right.sum().float(), loss * len(some)])
                if not bool(torch.isfinite(loss)):
                    each = [self._judged([i])[1].reshape(1) for i in some]
                    self._seen.append((some, torch.stack(each)))
        right_sum, loss_sum = self.team.total(sums).tolist()
        return right_sum / len(held), loss_sum / len(held)

    def _judged(self, some: list[int]) -> tuple[Tensor, Tensor]:
        """Which clips of one length are right, and their mean loss."""
        mel = torch.from_numpy(np.stack([self.examples.whole(i) for i in some]))
        labels = self._labels[some].to(self.team.device)
        return self.state.learner.judge(mel.to(self.team.device), labels)

    def _groups(self, held: Sequence[int]) -> list[list[int]]:
        """Clips of one length, as many as memory has room for in training."""
        size = max(1, self.settings.batch_size // self.settings.accumulation)
        places = buckets([len(self.examples.whole(i)) for i in held]).values()
        return [
            [held[p] for p in some[first : first + size]]
            for some in places
            for first in range(0, len(some), size)
        ]

    def _batches(self, epoch: int) -> list[list[int]]:
        """The epoch's examples, for each process at least as many as BatchNorm needs."""
        count = len(self.examples.trained_on)
        if count < self._least:
            raise DatasetError(
                f"{count} clips to train on, need at least {self._least}; record more"
                + (", or start fewer processes" if self.team.size > 1 else "")
            )
        return batches(self.examples, self.settings, epoch, self._least)

    def _refuse(self, value: float, what: str, epoch: int, batch: Sequence[int]) -> None:
        """Stop before a number that is not finite gets into the weights, or they are kept.

        Names the clips with such statistics, or the first of `batch` where none of this process's
        has any.
        """
        if math.isfinite(value):
            return
        bad = [
            i
            for clips, statistics in self._seen
            for i, row in zip(clips, statistics, strict=True)
            if not bool(torch.isfinite(row).all())
        ] or batch
        names = ", ".join(self.examples.clips[i].name for i in bad[:SHOWN])
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        saved = self.state.saved
        kept = f"the checkpoint of step {saved} is kept" if saved else "no checkpoint was due"
        step = "" if what == HELD_OUT else f", step {self.state.step + 1}"
        raise SettingError(
            f"the {what} is {value} in epoch {epoch}{step}, with {names}{more}; look at these "
            "clips, or train anew with a lower training.learning_rate than "
            f"{self.settings.learning_rate:g}; {kept}"
        )

    @property
    def _speed(self) -> float:
        return self._clips / max(self._seconds, 1e-9)

    def _share(self, step: int) -> float:
        """Of the highest rate."""
        return schedule(step, self._steps, self.settings.warmup)

    def _entry(self, epoch: int, loss: float) -> StepLine:
        s, step = self.settings, self.state.step
        each = (time.monotonic() - self._began) / (step - self._first)
        return StepLine(
            epoch, s.epochs, step, self._steps, loss, s.learning_rate * self._share(step - 1),
            self._speed, each * (self._steps - step),
        )  # fmt: skip
