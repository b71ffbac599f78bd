"""`finetune`: a system and normal clips in, one file with a trained encoder out.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nearfar.embedder.crops import Crops
from nearfar.embedder.eat import EAT
from nearfar.embedder.eat.device import check_bf16, choose
from nearfar.embedder.eat.record import HEARD_DIGITS, KEY, Training, training_of
from nearfar.embedder.eat.weights import PREFIX, Weights, open_weights
from nearfar.errors import SettingError, StorageError, WeightsError
from nearfar.parts.data import to_data
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import ChannelOrder
from nearfar.system.system import System
from nearfar.training.examples.examples import Examples, domain_shares, examples
from nearfar.training.learner.learner import exported, learner
from nearfar.training.learner.lora import check_rank
from nearfar.training.log import Epoch, Log, Step, Watch, is_log
from nearfar.training.loop import checkpoint
from nearfar.training.loop.checkpoint import Best, State
from nearfar.training.loop.loop import Loop
from nearfar.training.loop.optimizer import adamw
from nearfar.training.loop.team import Team
from nearfar.training.settings import FineTuning
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.clips import Clips

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Files:
    """Where a training writes.

    Args:
        out: the trained encoder.
        checkpoint: where the training stands; gone when it is finished.
        log: one JSON object a line.
    """

    out: Path
    checkpoint: Path
    log: Path

    @classmethod
    def beside(cls, out: str | os.PathLike[str]) -> Files:
        """The files of a result.

        Raises:
            SettingError: not a .safetensors file.
            StorageError: its folder is not there, or cannot be written to.
        """
        path = Path(out)
        if path.suffix != SUFFIX:
            raise SettingError(f"{path}: the result is one file; call it {path.stem}{SUFFIX}")
        if not os.access(path.parent, os.W_OK) or path.is_dir():
            why = "is a folder" if path.is_dir() else f"{path.parent} cannot be written to"
            raise StorageError(f"{path}: {why}; choose another place")
        return cls(path, path.with_suffix(f".checkpoint{SUFFIX}"), path.with_suffix(".jsonl"))

    def tidy(self) -> None:
        """Remove what a killed training left half-written: gigabytes, with a large encoder."""
        for name in (self.checkpoint.name, self.out.name):
            for part in self.out.parent.iterdir():
                # `atomic_file` cuts longer names off: such a part may be another training's.
                if len(name) <= 40 and part.name.startswith(f".{name}."):
                    with suppress(OSError):
                        part.unlink()


def finetune(
    system: System,
    clips: Clips,
    settings: FineTuning | None = None,
    runtime: Runtime | None = None,
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    order: ChannelOrder = "near-far",
    watch: Watch | None = None,
) -> System:
    """Train a system's encoder to tell proxy classes apart (report §2.2).

    The system's own front end is applied first. All layers are trained, or updates of low rank
    (`training.lora`), and with them attentive statistics pooling, a projection and the centres of
    the classes; the centres are not kept. A checkpoint is written after each epoch: killed at any
    moment, `resume` ends with the same weights, on a CPU bit for bit at the same number of threads.

    Of several processes that a launcher starts each takes its share of every batch. BatchNorm sees
    a share at a time: all end with the same weights, but not with those of one process.

    Args:
        system: with EAT, or Crops of it, and published weights.
        clips: normal recordings of any number of machines; classes are made over all of them.
        settings: of the training.
        runtime: device; workers and cache of the log-mels; progress.
        out: the file to write, .safetensors. Beside it lie the checkpoint, until the training is
            finished, and a log, .jsonl.
        resume: go on with a training that was stopped; begin one where there is none.
        order: which channel of a file is near.
        watch: called with what the log gets.

    Returns:
        the system with the weights of the epoch that was right most often on held-out normals, or
        of the last one where none are held out.

    Raises:
        SettingError: a system that cannot be trained, another training to go on with, NaN loss.
        WeightsError: no weights, or weights that nearfar trained already.
        DatasetError, AudioError: clips that cannot be used, or one class only.
        StorageError: `out` is there already, or cannot be written.
    """
    settings, runtime = settings or FineTuning(), runtime or Runtime()
    files = Files.beside(out)
    eat, weights = _beginning(system, settings, runtime)
    team = Team(runtime.device)
    _refuse_existing(files, resume)
    with team.first():
        found = examples(clips, system.frontend, eat.frames, settings, runtime, order)
    try:
        run = _run_of(system, eat, weights, found, settings, team.size, order)
        finished = resume and files.out.exists()
        if finished:
            _refuse_other_result(files.out, run)
        if not finished or files.checkpoint.exists():
            state = _train(weights, found, settings, runtime, files, team, run, watch)
            if team.leads:
                training = _record(system, eat, found, settings, run, state, team)
                _write(files, state, training)
    finally:
        found.mels.close()
    team.close()
    return with_weights(system, files.out)


def with_weights(system: System, weights: str | os.PathLike[str]) -> System:
    """The same system with other weights in its encoder."""
    eat = replace(_encoder(system), weights=os.fspath(weights))
    inner = system.embedder
    return replace(
        system, embedder=replace(inner, embedder=eat) if isinstance(inner, Crops) else eat
    )


def _train(
    weights: Weights,
    found: Examples,
    settings: FineTuning,
    runtime: Runtime,
    files: Files,
    team: Team,
    run: Mapping[str, Any],
    watch: Watch | None,
) -> State:
    """All epochs that are left."""
    shares = (0.5, 0.5)
    if settings.adaptation == "dann":
        shares = domain_shares(found, settings.balanced)
    pupil = learner(weights, len(found.classes), settings, shares).to(team.device)
    state = State(pupil, adamw(pupil, settings))
    if files.checkpoint.exists():
        checkpoint.restore(files.checkpoint, state, run)
    if team.leads:
        files.tidy()
    with Log(files.log if team.leads else None, state.epoch) as log:

        def tell(entry: Step | Epoch) -> None:
            if team.leads and runtime.progress is not None and isinstance(entry, Step):
                runtime.progress("training", entry.step, entry.steps)
            if team.leads and watch is not None:
                watch(entry)

        def report(entry: Step) -> None:
            log(entry)
            tell(entry)

        loop = Loop(state, found, settings, team, report)
        while state.epoch < settings.epochs:
            done = loop.epoch()
            log(done)  # before its checkpoint: a line too many is cut off when going on
            if team.leads:
                checkpoint.save(files.checkpoint, state, run)
            tell(done)
    return state


def _write(files: Files, state: State, training: Training) -> None:
    """The result, and then no checkpoint any more."""
    shape = state.learner.encoder.shape
    metadata = {
        "format": "pt",
        "config": json.dumps(shape.config(), sort_keys=True),
        KEY: training.to_text(),
    }
    tensors = exported(state.learner.encoder, state.weights)
    checkpoint.write_tensors(files.out, {PREFIX + n: x for n, x in tensors.items()}, metadata)
    open_weights(files.out)
    files.checkpoint.unlink(missing_ok=True)


def _record(
    system: System,
    eat: EAT,
    found: Examples,
    settings: FineTuning,
    run: Mapping[str, Any],
    state: State,
    team: Team,
) -> Training:
    """What the file says of itself; no dates: the same training gives the same file."""
    best = state.best or Best(state.epoch)
    near = np.array(found.near_digests)
    provenance = {
        "nearfar": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": team.device.type,
        "threads": torch.get_num_threads(),
        "seed": settings.seed,
        "clips": len(found),
        "epochs": state.epoch,
        "best": asdict(best),
        "chosen_by": "last epoch" if best.accuracy is None else "accuracy on held-out normals",
        "run": dict(run),
    }
    return Training(
        frontend=to_data(system.frontend),
        frames=eat.frames,
        classes=found.classes,
        held_out=frozenset(map(str, near[found.held_out])),
        heard=frozenset(str(d)[:HEARD_DIGITS] for d in near[~found.held_out]),
        settings=settings.to_data(),
        provenance=provenance,
    )


def _run_of(
    system: System,
    eat: EAT,
    weights: Weights,
    found: Examples,
    settings: FineTuning,
    processes: int,
    order: ChannelOrder,
) -> dict[str, Any]:
    """What makes a training this one and no other; JSON-ready."""
    heard = [found.near_digests, found.digests, found.classes, found.labels.tolist()]
    text = json.dumps([*heard, found.held_out.tolist()])
    return {
        "training": settings.to_data(),
        "frontend": to_data(system.frontend),
        "embedder": {"frames": eat.frames},
        "order": order,
        "weights": weights.sha256,
        "clips": hashlib.sha256(text.encode()).hexdigest(),
        "processes": processes,
    }


# ---- what is refused -------------------------------------------------------------------------


def _encoder(system: System) -> EAT:
    if not isinstance(system, System):
        raise SettingError(
            f"finetune trains one System, this is {type(system).__name__}; give one of its members"
        )
    inner = system.embedder.embedder if isinstance(system.embedder, Crops) else system.embedder
    if not isinstance(inner, EAT):
        raise SettingError(
            f"finetune trains EAT, and this system has {type(inner).__name__}; give a system such "
            "as s1"
        )
    for name in ("pooling", "layer"):
        if getattr(inner, name) is not None:
            raise SettingError(
                f"EAT.{name} is {getattr(inner, name)!r}; training ends in a head of its own: "
                f"leave {name} away"
            )
    return inner


def _beginning(system: System, settings: FineTuning, runtime: Runtime) -> tuple[EAT, Weights]:
    """The encoder to train and its published weights, which the settings fit."""
    eat = _encoder(system)
    weights = _published(eat)
    check_rank(settings.lora, weights.architecture.dim)
    _check_precision(settings, runtime)
    return eat, weights


def _published(eat: EAT) -> Weights:
    weights = open_weights(eat.weights)
    if training_of(weights) is not None or weights.architecture.projection is not None:
        raise WeightsError(
            f"{eat.weights}: was trained by nearfar already; begin with published weights"
        )
    return weights


def _check_precision(settings: FineTuning, runtime: Runtime) -> None:
    device = choose(runtime.device)
    try:
        if settings.precision == "bf16":
            check_bf16(device)
    except SettingError:
        raise SettingError(
            f"training.precision is 'bf16', and {device.type} here has no bfloat16 arithmetic; "
            "take --set training.precision=fp32"
        ) from None


def _refuse_existing(files: Files, resume: bool) -> None:
    """Overwrite nothing; going on, only a log is, and what else is there is judged later."""
    if resume:
        if not is_log(files.log):
            raise StorageError(
                f"{files.log}: is there already, and no log of a training; choose another name for "
                "the result, or move it away"
            )
        return
    if files.out.exists():
        raise StorageError(f"{files.out}: is there already; choose another name, or delete it")
    if files.checkpoint.exists():
        raise StorageError(
            f"{files.checkpoint}: a training that was stopped; --resume goes on with it, or delete "
            "it to begin anew"
        )
    if files.log.exists():
        first = ", --resume to go on with a training" if is_log(files.log) else ""
        raise StorageError(
            f"{files.log}: is there already, and the log would replace it; choose another name for "
            f"the result, or delete it{first}"
        )


def _refuse_other_result(out: Path, run: Mapping[str, Any]) -> None:
    """A training that is finished has nothing to go on with, if it is this one."""
    training = training_of(open_weights(out))
    if training is None:
        raise StorageError(f"{out}: is there already; choose another name, or delete it")
    checkpoint.refuse_other(out, training.provenance.get("run", {}), run)
