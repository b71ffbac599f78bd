"""`finetune`: a system and normal clips in, one file with a trained encoder out.

    system = nf.finetune(nf.s1("EAT_DIR"), clips, nf.FineTuning(seed=1), out="s1.safetensors")

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nearfar.embedder.backbone import Backbone
from nearfar.embedder.contract import training_of, with_weights
from nearfar.embedder.crops import Crops
from nearfar.embedder.device import choose, has_bf16, tf32
from nearfar.embedder.encoders import KINDS, encoder_of
from nearfar.embedder.engines import release
from nearfar.embedder.record import HEARD_DIGITS, KEY, Training
from nearfar.embedder.weights import Weights
from nearfar.embedder.yamnet import YAMNet
from nearfar.errors import SettingError, StorageError, WeightsError
from nearfar.parts.data import to_data
from nearfar.parts.valid import number
from nearfar.runtime.runtime import Progress, Runtime
from nearfar.sound.audio import ChannelOrder
from nearfar.system.system import System
from nearfar.training.datasets import chosen
from nearfar.training.examples.examples import Examples, domain_shares, examples
from nearfar.training.files import Files
from nearfar.training.learner.learner import exported, learner
from nearfar.training.learner.lora import check_rank
from nearfar.training.log import EpochLine, Log, StepLine, Watch
from nearfar.training.loop import checkpoint
from nearfar.training.loop.average import Average
from nearfar.training.loop.checkpoint import Best, State, averaged
from nearfar.training.loop.loop import Loop
from nearfar.training.loop.optimizer import adamw
from nearfar.training.loop.saving import MINUTES, Saver
from nearfar.training.loop.team import Team
from nearfar.training.settings import FineTuning
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.clips import Clips

# By the setting; False where no normals are held out.
_CHOSEN = {False: "last epoch", "last": "last epoch", "held-out": "accuracy on held-out normals"}


def finetune(
    system: System,
    clips: Clips | Mapping[str, Clips],
    settings: FineTuning | None = None,
    runtime: Runtime | None = None,
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
    watch: Watch | None = None,
    checkpoint_minutes: float = MINUTES,
    exclude: Sequence[str] = (),
    apart: bool = False,
) -> System:
    """Train a system's encoder to tell proxy classes apart (report §2.2).

    The system's own front end is applied first. All layers are trained, or updates of low rank
    (`training.lora`), and with them attentive statistics pooling, a projection and the centres of
    the classes; the centres are not kept. A checkpoint is written every few minutes, beside the
    training, at its end, and when Ctrl-C or SIGTERM stops it: killed at any moment, `resume` ends
    with the same weights, on a CPU bit for bit at the same number of threads.

    Of several processes that a launcher starts each takes its share of every batch. BatchNorm sees
    a share at a time: all end with the same weights, but not with those of one process.

    Args:
        system: with EAT or BEATs, or Crops of one, and published weights.
        clips: normal recordings of any number of machines; classes are made over all of them. Of
            several data sets they may be given by the sets' names, see `datasets.together`.
        settings: of the training.
        runtime: device; workers and cache of the log-mels; progress.
        out: the file to write, .safetensors. Beside it lie the checkpoint, until the training is
            finished, and a log, .jsonl.
        resume: go on with a training that was stopped; begin one where there is none.
        order: which channel of a file is near.
        skip_bad: leave out clips that cannot be used, with a warning each, instead of stopping.
        watch: called with what the log gets.
        checkpoint_minutes: between two checkpoints, of several processes at the end of the epoch;
            0 writes one after each step.
        exclude: machines whose clips are left out, as those that a detector will judge: all their
            clips are then new to the encoder. The file says so.
        apart: are machines of one name in two data sets two machines?

    Returns:
        the system with the weights of the last epoch, or, as `training.choose` says, of the one
        that was right most often on held-out normals, where any are held out.

    Raises:
        SettingError: a system that cannot be trained, another training to go on with, NaN loss.
        WeightsError: no weights, or weights that nearfar trained already.
        DatasetError, AudioError, NearfarError: clips that cannot be used, all of them in one error,
            or one class only; a machine to leave out that is not there.
        StorageError: `out` is there already, or cannot be written.
    """
    settings, runtime = settings or FineTuning(), runtime or Runtime()
    number("checkpoint_minutes", checkpoint_minutes, 0, 1e6)
    files, clips = Files.beside(out), chosen(clips, exclude, apart)
    encoder = _encoder(system)
    weights = _published(encoder)  # all that can be refused is, before hours of work
    check_rank(settings.lora, weights.architecture.dim)
    settings = _with_precision(settings, choose(runtime.device))
    team = Team(runtime.device)
    release()  # encoders that scored something: gigabytes of the device that this needs
    files.refuse_existing(resume)
    with team.first():  # the others find the log-mels that the first has stored
        found = examples(clips, system.frontend, encoder, settings, runtime, order, skip_bad)
    try:
        task = _Task(
            system, weights, found, settings, files, team, order, checkpoint_minutes, exclude
        )
        run, finished = task.run, resume and files.out.exists()  # hashes what begins, not later
        if finished:
            _refuse_other_result(files.out, run)
        if not finished or files.checkpoint.exists():  # killed between the result and this
            with products(settings), team.helped(weights.architecture.parameters):
                state = task.train(_telling(runtime.progress, watch))
                if team.leads:
                    task.write(state)  # which records how many threads there were
    finally:
        found.mels.close()
    team.close()  # not in `finally`: who failed must not wait for the others
    return replace(system, embedder=with_weights(system.embedder, str(files.out)))


def products(settings: FineTuning) -> AbstractContextManager[None]:
    """Inside, products outside the encoder are as exact as the training's precision asks for."""
    # Who has chosen bf16 for the encoder needs no exact products in its head either.
    return tf32() if settings.precision == "bf16" else nullcontext()


def begun(weights: Weights[Any], found: Examples, settings: FineTuning, team: Team) -> State:
    """A training at its beginning, on the team's device."""
    dann = settings.adaptation == "dann"
    shares = domain_shares(found, settings.balanced) if dann else (0.5, 0.5)
    pupil = learner(weights, len(found.classes), settings, shares)
    state = State(pupil.to(team.device), adamw(pupil, settings))
    if settings.ema:
        state.average = Average(pupil, settings.ema)
    return state


@dataclass(frozen=True)
class _Task:
    """One training: what learns, from what, how and where."""

    system: System
    weights: Weights[Any]
    found: Examples
    settings: FineTuning
    files: Files
    team: Team
    order: ChannelOrder
    minutes: float  # between two checkpoints
    excluded: Sequence[str]  # machines

    @cached_property
    def run(self) -> dict[str, Any]:
        """What makes a training this one and no other; JSON-ready."""
        found = self.found
        heard = [found.near_digests, found.digests, found.classes, found.labels.tolist()]
        text = json.dumps([*heard, found.held_out.tolist()])
        return {
            "training": self.settings.to_data(),
            "frontend": to_data(self.system.frontend),
            "embedder": {"frames": found.hears.frames},
            "order": self.order,  # of channels: near and far exchanged are other sounds
            "weights": self.weights.sha256,
            "clips": hashlib.sha256(text.encode()).hexdigest(),
            "machines": sorted({machine for machine, _, _ in found.classes}),
            "processes": self.team.size,  # each sees a share at a time: other weights
        }

    def train(self, tell: Watch) -> State:
        """All epochs that are left; of several processes one writes and tells."""
        state, epochs = self._begin(), self.settings.epochs
        if not self.team.leads:
            loop = Loop(state, self.found, self.settings, self.team, _nothing)
            while state.epoch < epochs:
                loop.epoch()
            return state
        self.files.tidy()
        with Log(self.files.log, state.epoch, state.step) as log, self._saver() as save:

            def report(entry: StepLine) -> None:
                log(entry)
                # Of several processes each has its own BatchNorm until the epoch ends.
                if self.team.size == 1:
                    save(state)
                tell(entry)

            loop = Loop(state, self.found, self.settings, self.team, report)
            while state.epoch < epochs:
                done = loop.epoch()
                log(done)  # before its checkpoint: a line too many is cut off when going on
                save(state, last=state.epoch == epochs)
                tell(done)
        return state

    def _saver(self) -> Saver:
        copy = partial(checkpoint.snapshot, run=self.run)
        write = partial(checkpoint.save, self.files.checkpoint)
        return Saver(copy, write, self.minutes, listens=self.team.size == 1)

    def _begin(self) -> State:
        """Where the checkpoint says, or at the beginning."""
        state = begun(self.weights, self.found, self.settings, self.team)
        if self.files.checkpoint.exists():
            checkpoint.restore(self.files.checkpoint, state, self.run)
        return state

    def write(self, state: State) -> None:
        """The result, and then no checkpoint any more."""
        encoder, out = state.learner.encoder, self.files.out
        prefix = KINDS[encoder.shape.kind].module("weights").LAYOUT.prefix
        metadata = {
            "format": "pt",  # what other readers of such files ask for
            "config": json.dumps(encoder.shape.config(), sort_keys=True),
            KEY: self._record(state).to_text(),
        }
        with averaged(state):
            tensors = {prefix + n: x for n, x in exported(encoder, state.weights).items()}
        checkpoint.write_tensors(out, tensors, metadata)
        encoder_of(out).opened()  # what nobody could open must not cost the checkpoint
        self.files.checkpoint.unlink(missing_ok=True)

    def _record(self, state: State) -> Training:
        """What the file says of itself; no dates: the same training gives the same file."""
        found, best = self.found, state.best or Best(state.epoch)
        near = np.array(found.near_digests)  # a detector knows sounds by channel 0 alone
        provenance = {
            "nearfar": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "device": self.team.device.type,
            "threads": torch.get_num_threads(),  # sums are taken in another order with others
            "seed": self.settings.seed,
            "clips": len(found),
            "excluded": sorted(self.excluded),
            "epochs": state.epoch,
            "best": asdict(best),
            "chosen_by": _CHOSEN[best.accuracy is not None and self.settings.choose],
            "run": self.run,
        }
        return Training(
            frontend=to_data(self.system.frontend),
            frames=found.hears.frames,
            classes=found.classes,
            held_out=frozenset(map(str, near[found.held_out])),
            heard=frozenset(str(d)[:HEARD_DIGITS] for d in near[~found.held_out]),
            settings=self.settings.to_data(),
            provenance=provenance,
        )


def _nothing(entry: StepLine | EpochLine) -> None:
    """Tell nobody."""


def _telling(progress: Progress | None, watch: Watch | None) -> Watch:
    def tell(entry: StepLine | EpochLine) -> None:
        if progress is not None and isinstance(entry, StepLine):
            progress("training", entry.step, entry.steps)
        if watch is not None:
            watch(entry)

    return tell


# ---- what is refused -------------------------------------------------------------------------


def _encoder(system: System) -> Backbone:
    if not isinstance(system, System):
        raise SettingError(
            f"finetune trains one System, this is {type(system).__name__}; give one of its members"
        )
    inner = system.embedder.embedder if isinstance(system.embedder, Crops) else system.embedder
    if isinstance(inner, YAMNet):
        raise SettingError(
            "finetune trains EAT or BEATs; YAMNet is computed without PyTorch and has no gradients:"
            " fit it as it is, nearfar fit DATA -s s3 --weights DIR, or give --weights of another"
        )
    if not isinstance(inner, Backbone):
        raise SettingError(
            f"finetune trains EAT or BEATs, and this system has {type(inner).__name__}; give a "
            "system such as s1"
        )
    for name, value in (("pooling", inner.pooling), ("layer", inner.layer)):
        if value is not None:
            raise SettingError(
                f"{type(inner).__name__}.{name} is {value!r}; training ends in a head of its own: "
                f"leave {name} away"
            )
    return inner


def _published(encoder: Backbone) -> Weights[Any]:
    weights = encoder.opened()
    if encoder.training is not None or weights.architecture.projection is not None:
        raise WeightsError(
            f"{encoder.weights}: was trained by nearfar already; begin with published weights"
        )
    return weights


def _with_precision(settings: FineTuning, device: torch.device) -> FineTuning:
    """The settings with the precision that "auto" means here; it stands in the result."""
    if settings.precision == "auto":
        bf16 = device.type == "cuda" and has_bf16(device)  # on a CPU runs shall stay comparable
        return replace(settings, precision="bf16" if bf16 else "fp32")
    if settings.precision == "bf16" and not has_bf16(device):
        raise SettingError(
            f"training.precision is 'bf16', and {device.type} here has no bfloat16 arithmetic; "
            "take --set training.precision=fp32"
        )
    return settings


def _refuse_other_result(out: Path, run: Mapping[str, Any]) -> None:
    """A training that is finished has nothing to go on with, if it is this one."""
    training = training_of(encoder_of(out))
    if training is None:
        raise StorageError(f"{out}: is there already; choose another name, or delete it")
    checkpoint.refuse_other(out, training.provenance.get("run", {}), run)
