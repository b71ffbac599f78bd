"""A fairseq checkpoint made into weights as published: config.json and model.safetensors.

A checkpoint is a pickle, and a pickle can run code. It is read with torch's weights-only reader,
which builds tensors and plain containers; the few other types that real checkpoints hold (see
`_HARMLESS`) become empty stand-ins, and any other name is refused. Nothing is skipped in silence:
a tensor is mapped, on the list of what is dropped, or an error.
"""

from __future__ import annotations

import glob
import json
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from nearfar.embedder.eat.architecture import (
    COLUMNS,
    POSITIONS,
    ROWS,
    Architecture,
    from_config,
    positions,
)
from nearfar.embedder.eat.tensorfile import header_bytes, unreadable
from nearfar.embedder.eat.weights import (
    CONFIG,
    PREFIX,
    TENSORS,
    Weights,
    compare,
    open_weights,
    read_config,
)
from nearfar.errors import StorageError, WeightsError
from nearfar.files import STALE, atomic_file, file_age, storage_errors, write_text

_MODALITY = "modality_encoders.IMAGE."  # spectrograms are images to this encoder
_CONTEXT_NORM = "context_encoder.norm."
# The teacher (an average of past students) and the decoder of the pre-training task.
_DROPPED = re.compile(r"(model\.)?(_ema(\..*)?|modality_encoders\.IMAGE\.decoder\..+)")
_OF_MODALITY = re.compile(
    r"extra_tokens|local_encoder\.proj\..+|fixed_positional_encoder\.positions"
)
# What real checkpoints hold beside tensors and plain containers.
_HARMLESS = (
    "argparse.Namespace", "numpy.dtype", "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
)  # fmt: skip
# Of a checkpoint's hundred settings those that `from_config` reads.
_FIELDS = (
    "num_heads", "embed_dim", "depth", "mlp_ratio", "norm_eps", "norm_affine", "layer_norm_first",
)  # fmt: skip
_FOREIGN = re.compile(r"GLOBAL ([\w.]+)")
_TOLERANCE = 1e-3  # of a position table kept in float16

Tensors = dict[str, torch.Tensor]


def convert(checkpoint: Path, out: Path, config: Path | None = None) -> Weights:
    """Write a folder with the encoder of a checkpoint in float32.

    Args:
        checkpoint: fairseq's .pt, of pre-training or fine-tuning; or a PyTorch file with the
            published names.
        out: a folder that is not there yet, or is empty.
        config: a config.json. Without one the checkpoint's own settings are used, and heads of 64
            dimensions where there are 768 or 1024.

    Returns:
        The weights, opened and checked.

    Raises:
        WeightsError: not a checkpoint of an EAT, incomplete, with tensors that nobody knows, or
            with code in it.
        StorageError: the folder cannot be written, or has files in it.
    """
    _check_place(out)
    content = _load(checkpoint)
    tensors = _encoder(checkpoint, content)
    settings = _settings(content) if config is None else read_config(config)
    longest = COLUMNS if config is None else settings.get("max_length", COLUMNS)
    _complete_positions(checkpoint, tensors, longest)
    architecture = _architecture(checkpoint, settings, tensors, asked=config is None)
    _write(checkpoint, out, architecture, tensors)
    return open_weights(out)


# ---- reading ---------------------------------------------------------------------------------


class _StandIn:
    """Takes the place of an object of a harmless type; nothing of that type is run."""

    fields: Mapping[str, Any] = MappingProxyType({})  # of a Namespace

    def __new__(cls, *_: object) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.fields = state


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give the .pt file of a fairseq checkpoint")
    with torch.serialization.safe_globals([(_StandIn, name) for name in _HARMLESS]):
        try:
            with warnings.catch_warnings():  # of torch's about old formats: we say it ourselves
                warnings.simplefilter("ignore")
                content = torch.load(
                    path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
                )
        except Exception as error:  # a damaged file fails in many ways: struct, zip, index, key …
            raise _not_loaded(path, error) from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: holds a {type(content).__name__}; need a fairseq checkpoint")
    return content


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


def _foreign(path: Path, error: Exception) -> str:
    """The first name in the pickle that is not on the list, read without running anything."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # only files in zip form are read by it
        names = _FOREIGN.findall(str(error))
    return min(names, default="")


def _encoder(path: Path, content: Mapping[str, Any]) -> Tensors:
    """The encoder's tensors by their published names, float32 or as they are."""
    state = content.get("model")
    if not isinstance(state, Mapping):
        state = content  # a PyTorch file of tensors alone
    tensors: Tensors = {}
    for key, value in state.items():
        if isinstance(key, str) and _DROPPED.fullmatch(key):
            continue
        name = _published_name(key) if isinstance(key, str) else None
        if name is None or not isinstance(value, torch.Tensor):
            raise WeightsError(
                f"{path}: {key!r} is none of an EAT's tensors, and none that may be dropped; this "
                "is no checkpoint of an EAT"
            )
        if name in tensors:
            raise WeightsError(f"{path}: {key!r} is the second tensor for {name!r}; need one")
        if not value.is_floating_point() or value.layout is not torch.strided:
            raise WeightsError(f"{path}: {key!r} is {value.dtype}; need floating point numbers")
        tensors[name] = value.detach()
    _need_pre_norm(path, tensors)
    return tensors


def _published_name(key: str) -> str | None:
    """What the published file calls a tensor of a checkpoint; None for what it does not have."""
    bare = key.removeprefix(PREFIX)
    inner = bare.removeprefix(_MODALITY)
    if inner == bare:
        known = ("blocks.", "fc_norm.", "head.", "pre_norm.")
        return bare if bare.startswith(known) or _OF_MODALITY.fullmatch(bare) else None
    if inner.startswith(_CONTEXT_NORM):
        return "pre_norm." + inner.removeprefix(_CONTEXT_NORM)
    return inner if _OF_MODALITY.fullmatch(inner) else None


def _need_pre_norm(path: Path, tensors: Tensors) -> None:
    """Converters have lost this norm before, and an encoder without it still runs."""
    for name in ("weight", "bias"):
        if f"pre_norm.{name}" not in tensors:
            raise WeightsError(
                f"{path}: has no {_MODALITY}{_CONTEXT_NORM}{name}, the norm before the first "
                "block; the checkpoint is incomplete, take the original one"
            )


# ---- what it is --------------------------------------------------------------------------------


def _settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """What the checkpoint says about the encoder; that of the pre-training comes first."""
    model = _fields(_fields(content.get("cfg")).get("model"))
    before = _fields(_fields(model.get("pretrained_model_args")).get("model"))
    said = before or model or _fields(content.get("args"))
    return {name: said[name] for name in _FIELDS if said.get(name) is not None}


def _fields(value: object) -> Mapping[str, Any]:
    if isinstance(value, _StandIn):
        return value.fields
    return value if isinstance(value, Mapping) else {}


def _complete_positions(path: Path, tensors: Tensors, columns: object) -> None:
    """A table that is short, as in the first checkpoints, or not there is computed anew."""
    dim = tensors["pre_norm.weight"].numel()
    if not isinstance(columns, int) or not 0 < columns <= 100 * COLUMNS or dim % 4:
        return  # refused with all else that is wrong
    stored = tensors.get(POSITIONS)
    if stored is not None:
        rows = stored.numel() // dim
        if stored.shape != (1, rows, dim) or rows >= columns * ROWS:
            return  # long enough; a wrong shape is refused with its name
        short = torch.from_numpy(positions(dim, columns)[:, :rows])
        if not torch.allclose(stored.float(), short, rtol=0, atol=_TOLERANCE):
            raise WeightsError(
                f"{path}: its position table has {rows} rows, need {columns * ROWS}, and they are "
                "not the fixed sin-cos table, so it cannot be made longer; give a --config with "
                f"max_length = {rows // ROWS} if that is long enough"
            )
    tensors[POSITIONS] = torch.from_numpy(positions(dim, columns))


def _architecture(
    path: Path, settings: Mapping[str, Any], tensors: Tensors, asked: bool
) -> Architecture:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    try:
        architecture = from_config(settings, shapes)
    except WeightsError as error:
        hint = "; or give the config.json that belongs to it: --config" if asked else ""
        raise WeightsError(f"{path}: {error}{hint}") from None
    compare(path, architecture.shapes(), shapes, "")
    return architecture


# ---- writing -----------------------------------------------------------------------------------


def _check_place(out: Path) -> None:
    with storage_errors(out):
        if out.exists() and not out.is_dir():
            raise StorageError(f"{out}: is a file; choose a new folder")
        if out.exists() and any(out.iterdir()):
            raise StorageError(f"{out}: has files in it; choose a new folder")


def _write(path: Path, out: Path, architecture: Architecture, tensors: Tensors) -> None:
    """A folder beside the place, checked, then renamed into it: there whole or not at all."""
    with storage_errors(out):
        out = out.resolve()
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(f".{glob.escape(out.name[:40])}.*"):
            if (left / CONFIG).is_file() and file_age(left) > STALE:  # its writer was killed
                shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name[:40]}.", dir=out.parent))
        try:
            write_text(part / CONFIG, json.dumps(architecture.config(), indent=2) + "\n")
            _write_tensors(path, part / TENSORS, tensors)
            open_weights(part)
            part.chmod(0o755)
            if out.exists():
                out.rmdir()  # it is empty; some systems do not rename over a folder
            part.rename(out)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


def _write_tensors(path: Path, target: Path, tensors: Tensors) -> None:
    """One tensor after the other: a large encoder is never in memory twice."""
    named = {PREFIX + name: tensor for name, tensor in tensors.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in named.items()}
    with atomic_file(target) as file:
        file.write(header_bytes(shapes, "F32", {"format": "pt"}))
        for name in sorted(named):
            values = named[name].to(torch.float32)
            if not torch.isfinite(values).all():
                raise WeightsError(
                    f"{path}: tensor {name!r} has numbers that are not finite; download it again, "
                    "or take another checkpoint"
                )
            file.write(values.numpy().astype("<f4", copy=False).tobytes())
