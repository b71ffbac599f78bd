"""A published checkpoint is read, and weights of ours are written: of any encoder.

A checkpoint is a pickle, and a pickle can run code. It is read with torch's weights-only reader,
which builds tensors and plain containers; the few other types that real checkpoints hold (see
`_HARMLESS`) become empty stand-ins, and any other name is refused.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from nearfar.embedder.conversion import write_folder
from nearfar.embedder.encoders import KINDS, kind_of_tensors
from nearfar.embedder.tensorfile import unreadable
from nearfar.embedder.weights import FileLayout
from nearfar.errors import WeightsError

# What real checkpoints hold beside tensors and plain containers.
_HARMLESS = (
    "argparse.Namespace", "numpy.dtype", "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
)  # fmt: skip
_FOREIGN = re.compile(r"GLOBAL ([\w.]+)")

Tensors = dict[str, torch.Tensor]


# ---- reading ---------------------------------------------------------------------------------


class StandIn:
    """Takes the place of an object of a harmless type; nothing of that type is run.

    >>> dict(StandIn(7).fields)
    {}
    """

    fields: Mapping[str, Any] = MappingProxyType({})  # of a Namespace

    def __new__(cls, *_: object) -> StandIn:  # noqa: D102
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.fields = state


def load_checkpoint(path: Path, what: str) -> Mapping[str, Any]:
    """What a checkpoint holds, read without running anything; tensors stay in the file.

    Args:
        path: the .pt file.
        what: it shall be, for messages.

    Raises:
        WeightsError: no such file, no checkpoint, or one with code in it.
    """
    if not path.is_file():
        what_it_is = "is a folder" if path.is_dir() else "no such file"
        raise WeightsError(f"{path}: {what_it_is}; give the .pt file of a checkpoint")
    with torch.serialization.safe_globals([(StandIn, name) for name in _HARMLESS]):
        try:
            with warnings.catch_warnings():  # of torch's about old formats: we say it ourselves
                warnings.simplefilter("ignore")
                content = torch.load(
                    path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
                )
        except Exception as error:  # a damaged file fails in many ways: struct, zip, index, key …
            raise _not_loaded(path, error) from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: holds a {type(content).__name__}; need {what}")
    return content


def state_of(path: Path, content: Mapping[str, Any], layout: FileLayout) -> Mapping[Any, Any]:
    """A checkpoint's tensors by their names, beside which it may have settings.

    Raises:
        WeightsError: it is another encoder's that we know.
    """
    state = content.get("model")
    if not isinstance(state, Mapping):
        state = content  # a PyTorch file of tensors alone
    other = kind_of_tensors(name for name in state if isinstance(name, str))
    if other is not None and other != layout.kind:
        raise WeightsError(
            f"{path}: has the tensors of {KINDS[other].encoder}, not of {layout.name}; nearfar "
            "weights convert takes it for what it is"
        )
    return state


def _not_loaded(path: Path, error: Exception) -> WeightsError:
    if isinstance(error, OSError):
        return unreadable(path, error)
    foreign = _foreign(path, error)
    if foreign:
        return WeightsError(
            f"{path}: to load it would run code, {foreign}; it was not loaded. Take published "
            "safetensors; if you trust who made it, load it with what wrote it and save its "
            "'model' alone"
        )
    return WeightsError(
        f"{path}: no PyTorch checkpoint, or damaged ({type(error).__name__}); download it again, "
        "and compare its size"
    )


def check_tensor(path: Path, name: str, tensor: torch.Tensor) -> None:
    """Refuse what is no array of floating point numbers.

    Raises:
        WeightsError: which tensor, and what it is.
    """
    if not tensor.is_floating_point():
        raise WeightsError(f"{path}: {name!r} is {tensor.dtype}; need floating point numbers")
    if tensor.layout is not torch.strided:
        raise WeightsError(f"{path}: {name!r} is {tensor.layout}; need a dense tensor")


def _foreign(path: Path, error: Exception) -> str:
    """The first name in the pickle that is not on the list, read without running anything."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # only files in zip form are read by it
        names = _FOREIGN.findall(str(error)) or _named(path)
    return min(names, default="")


def _named(path: Path) -> list[str]:
    """Names that a plain pickle asks for; none of anything else."""
    texts: list[str] = []
    names: list[str] = []
    try:
        with path.open("rb") as file:
            for step, value, _ in pickletools.genops(file):
                if step.name == "GLOBAL":
                    names.append(str(value).replace(" ", "."))
                elif step.name == "STACK_GLOBAL":  # of the two texts before it
                    names.append(".".join(texts[-2:]))
                elif isinstance(value, str):
                    texts.append(value)
    except (ValueError, OverflowError, MemoryError, OSError):
        pass  # a damaged one, or none: what was found before says enough
    return [name for name in names if not name.startswith(("torch.", "collections."))]


# ---- writing -----------------------------------------------------------------------------------


def write_weights(
    checkpoint: Path,
    out: Path,
    config: Mapping[str, Any],
    tensors: Tensors,
    check: Callable[[Path], object],
) -> None:
    """A folder beside the place, checked, then renamed into it: there whole or not at all.

    Args:
        checkpoint: where the tensors are from, for messages.
        out: a folder that is not there, or is empty.
        config: of the encoder.
        tensors: by their names in the file; written as float32.
        check: opens the folder, and raises what is wrong with it.

    Raises:
        WeightsError: numbers that are not finite, or what `check` raises.
        StorageError: the folder cannot be written.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    write_folder(
        checkpoint, out, config, shapes, lambda n: tensors[n].to(torch.float32).numpy(), check
    )
