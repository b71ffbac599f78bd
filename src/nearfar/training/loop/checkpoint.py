"""Where a training stands, in a file: killed at any moment, it goes on to the same weights.

One safetensors file beside the result, replaced in one rename: weights, both of AdamW's moments,
the best weights so far unless they are these, and as JSON what training it is and how far.
Randomness needs no state: all of it is drawn from (seed, epoch, step).

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nearfar.embedder.tensorfile import header, header_bytes
from nearfar.errors import FormatError, SettingError, StorageError
from nearfar.files import atomic_file
from nearfar.training.learner.learner import CPU, Learner, changing, kept
from nearfar.training.loop.average import Average
from nearfar.training.settings import as_then

KEY = "nearfar"  # in the metadata
_COUNTED = ("epoch", "step", "batches", "loss", "clips")  # of a State, in the metadata
FORMAT = 2  # a newer one is refused, not guessed at; 1 knew of whole epochs only


@dataclass(frozen=True)
class Best:
    """The epoch whose weights are kept, and how it did on held-out normals; None without any.

    >>> Best(2, accuracy=0.9, loss=0.5).beats(Best(1, accuracy=0.9, loss=0.6))
    True
    """

    epoch: int
    accuracy: float | None = None
    loss: float | None = None

    def beats(self, other: Best | None) -> bool:
        """Is this one better: more right; as many and a lower loss; without held-out the later."""
        if other is None or self.accuracy is None or other.accuracy is None:
            return True
        mine, theirs = (self.accuracy, -(self.loss or 0)), (other.accuracy, -(other.loss or 0))
        return mine > theirs


@dataclass
class State:
    """A training between two steps: `State(pupil, adamw(pupil, settings))` at its beginning.

    >>> begun = State(learner=None, optimizer=None)  # as an outline
    >>> begun.epoch, begun.step, begun.best is None
    (0, 0, True)
    """

    learner: Learner
    optimizer: torch.optim.AdamW
    epoch: int = 0  # how many are done
    step: int = 0  # how many of the optimizer's are done
    batches: int = 0  # how many of them in the epoch that runs; 0 between two epochs
    loss: float = 0.0  # sum over the clips of those
    clips: int = 0  # in those
    saved: int = 0  # step of the last checkpoint; 0: there is none
    average: Average | None = None  # of the weights, where training.ema asks for one
    best: Best | None = None  # so far
    weights: dict[str, Tensor] | None = None  # of the encoder where the best are not the last


def averaged(state: State) -> AbstractContextManager[None]:
    """Inside, the learner has the weights that are judged and written."""
    return nullcontext() if state.average is None else state.average.instead(state.learner)


@dataclass(frozen=True)
class Snapshot:
    """A training at one moment, on the host: it may go on while this is written.

    >>> Snapshot({"learner.a": torch.zeros(2)}, {"step": 8}).facts["step"]
    8
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]  # JSON-ready


def snapshot(state: State, run: Mapping[str, Any]) -> Snapshot:
    """A copy of all that a training needs to go on."""
    tensors = {name: x.to(CPU, copy=True) for name, x in _parts(state)}
    if state.weights is not None and _moved_on(state.best, state.epoch, state.batches):
        # Never changed in place, so not copied.
        tensors |= {f"best.{name}": x for name, x in state.weights.items()}
    counted = {name: getattr(state, name) for name in _COUNTED}
    best = None if state.best is None else asdict(state.best)
    return Snapshot(tensors, {"format": FORMAT, "run": dict(run), **counted, "best": best})


def save(path: Path, taken: Snapshot) -> None:
    """Write a checkpoint; the one before is there until this one is whole.

    Raises:
        StorageError: disk full, no permission.
    """
    try:
        write_tensors(path, taken.tensors, {KEY: json.dumps(taken.facts, ensure_ascii=False)})
    except StorageError as error:
        before = "the one before is kept" if path.is_file() else "none is there"
        raise StorageError(
            f"{error}. No checkpoint of step {taken.facts['step']}: {before}, --resume goes on "
            "from there"
        ) from None


def _moved_on(best: Best | None, epoch: int, batches: int) -> bool:
    """Has the learner other weights now than those of the best epoch?"""
    return best is not None and (best.epoch != epoch or batches > 0)


def restore(path: Path, state: State, run: Mapping[str, Any]) -> None:
    """Put a training of the same kind, at its beginning, where a checkpoint says.

    Raises:
        FormatError: a damaged checkpoint, or one of a newer nearfar.
        SettingError: of another training; says what differs.
    """
    try:
        facts = json.loads(header(path).metadata[KEY])
        if facts["format"] > FORMAT:
            raise FormatError(f"{path}: made by a newer nearfar; upgrade, or delete it")
        if not isinstance(facts["run"], dict):
            raise ValueError("it does not say of which training")
        refuse_other(path, facts["run"], run)
        counted = {name: facts.get(name, 0) for name in _COUNTED}
        epoch, step = facts["epoch"], facts["step"]
        best = None if facts["best"] is None else Best(**facts["best"])
        choosing = run["training"]["choose"] != "last" and best is not None
        moved_on = choosing and _moved_on(best, epoch, counted["batches"])
        with safe_open(path, framework="pt") as file:
            for name, tensor in _parts(state):
                tensor.copy_(_whole(file.get_tensor(name), tensor))
            now = changing(state.learner.encoder) if moved_on else {}
            best_ones = {n: _whole(file.get_tensor(f"best.{n}"), x).clone() for n, x in now.items()}
    except (SettingError, FormatError):
        raise
    except (SafetensorError, LookupError, TypeError, ValueError, OSError) as error:
        raise _damaged(path, error) from None
    _set_steps(state, step)
    for name, value in counted.items():
        setattr(state, name, value)
    state.best, state.saved = best, step
    if choosing:
        with averaged(state):  # the best may be these
            state.weights = best_ones or kept(state.learner.encoder)


def refuse_other(path: Path, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with another training.

    Raises:
        SettingError: says what differs.
    """
    # An older one's checkpoint does not list its machines; its clips say that they are the same.
    was = {name: now[name] for name in ("machines",) if name in now} | dict(was)
    before, after = _flat(_as_then(was)), _flat(_as_then(now))
    changed = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
    if changed:
        told = ", ".join(_difference(n, before.get(n), after.get(n)) for n in changed[:4])
        more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
        raise SettingError(
            f"{path}: is of another training: {told}{more}; give the same as then, or choose "
            "another name for the result"
        )


def _as_then(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """A training with all settings, also those that are left out where they are as they come."""
    then = run.get("training")
    return {**run, "training": as_then(then)} if isinstance(then, Mapping) else run


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write float32 tensors as safetensors, one after the other, whole or not at all.

    Raises:
        StorageError: disk full, no permission.
    """
    shapes = {name: tuple(x.shape) for name, x in tensors.items()}
    with atomic_file(path) as file:
        file.write(header_bytes(shapes, "F32", metadata))
        for name in sorted(tensors):  # as in the header
            x = tensors[name].detach().to(CPU, torch.float32).contiguous()
            file.write(x.numpy().astype("<f4", copy=False).data)


def _parts(state: State) -> Iterator[tuple[str, Tensor]]:
    """All that changes in training, by name; moments that are not there yet are made."""
    for name, x in state.learner.named_parameters():
        if x.requires_grad:
            yield f"learner.{name}", x.detach()
            moments = state.optimizer.state[x]
            for moment in ("exp_avg", "exp_avg_sq"):
                if moment not in moments:
                    moments[moment] = torch.zeros_like(x, memory_format=torch.preserve_format)
                yield f"{moment}.{name}", moments[moment]
    for name, buffer in state.learner.named_buffers():
        if buffer.is_floating_point():  # the running statistics of BatchNorm
            yield f"learner.{name}", buffer
    if state.average is not None:
        yield from ((f"average.{name}", x) for name, x in state.average.tensors.items())


def _set_steps(state: State, step: int) -> None:
    """AdamW counts for each parameter; all of them are in every step."""
    for group in state.optimizer.param_groups:
        for x in group["params"]:
            where = x.device if group.get("fused") else CPU  # as AdamW itself puts it
            state.optimizer.state[x]["step"] = torch.tensor(float(step), device=where)


def _whole(found: Tensor, like: Tensor) -> Tensor:
    if found.shape != like.shape:
        raise ValueError(f"a tensor of {tuple(found.shape)}, need {tuple(like.shape)}")
    return found


def _flat(data: Any, name: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    if not isinstance(data, Mapping):
        return {name: data}
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{name}.{key}" if name else str(key))
    return flat


def _difference(name: str, was: Any, now: Any) -> str:
    if name in ("clips", "weights"):
        return {"clips": "other clips", "weights": "other weights to begin with"}[name]
    if isinstance(was, list) and isinstance(now, list):
        return f"{name} were {', '.join(was)}, are {', '.join(now)}"
    return f"{name} was {was!r}, is {now!r}"


def _damaged(path: Path, error: Exception) -> FormatError:
    why = next(iter(str(error).splitlines()), "").removeprefix(f"{path}: ").split("; download")[0]
    return FormatError(
        f"{path}: no checkpoint of nearfar, or damaged ({why or type(error).__name__}); delete it "
        "and train again"
    )
