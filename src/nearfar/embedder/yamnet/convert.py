"""The published HDF5 file made into weights of ours: config.json and model.safetensors.

HDF5 is read here and nowhere else, by h5py; nothing of Keras or TensorFlow is needed, and no code
runs. Every data set of the file is taken, or the file is refused with its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.embedder.conversion import check_folder, refuse_damaged, write_folder
from nearfar.embedder.weights import compare
from nearfar.embedder.yamnet.layers import EPSILON, STRIDES, YAMNetArchitecture
from nearfar.embedder.yamnet.weights import (
    LAYOUT,
    YAMNetWeights,
    damaged_tensor,
    open_weights,
)
from nearfar.errors import WeightsError, needs
from nearfar.sound.spectral import Float32

_MARK = "layer1/conv/kernel:0"  # ends the name that tells where the network lies
_PUBLISHED = f"take {LAYOUT.checkpoint}"
_SHAPES = YAMNetArchitecture().shapes()


def convert(checkpoint: Path, out: Path, config: Path | None = None) -> YAMNetWeights:
    """Write a folder with the weights of a Keras file, the same numbers.

    Args:
        checkpoint: yamnet_256_f32.h5 as published.
        out: a folder that is not there yet, or is empty.
        config: must be None: all there is to know of this network is in its file.

    Returns:
        The weights, opened and checked.

    Raises:
        WeightsError: no HDF5, another network, incomplete, damaged; h5py is not installed.
        StorageError: the folder cannot be written, or has files in it.
    """
    if config is not None:
        raise WeightsError(f"{config}: YAMNet's file says all there is; leave --config out")
    check_folder(out)
    tensors, settings = _read(checkpoint), YAMNetArchitecture().config()

    def check(folder: Path) -> None:
        refuse_damaged(checkpoint, damaged_tensor(open_weights(folder)))

    write_folder(checkpoint, out, settings, _SHAPES, tensors.__getitem__, check)
    return open_weights(out)


# ---- reading ---------------------------------------------------------------------------------


def _read(path: Path) -> dict[str, Float32]:
    """The 44 tensors by our names."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise WeightsError(f"{path}: {what}; {_PUBLISHED}")
    with needs("convert", "an HDF5 file needs h5py", WeightsError):
        import h5py
    try:
        with h5py.File(path, "r") as file:
            return _tensors(path, _datasets(file), file.attrs.get("model_config"))
    except WeightsError as error:
        line = str(error)
        raise WeightsError(line if line.startswith(str(path)) else f"{path}: {line}") from None
    except Exception as error:  # a damaged file fails in many ways: OS, key, value, runtime …
        why = " ".join(str(error).split())[:160] or type(error).__name__
        raise WeightsError(
            f"{path}: no HDF5 file, or damaged ({why}); download it again, and compare its size"
        ) from None


def _datasets(file: Any) -> dict[str, Any]:
    """All arrays of a file by their full names. Links that lead out of it are not followed."""
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset):
            if thing.external is not None or thing.is_virtual:  # its numbers lie in other files
                raise WeightsError(f"data set {name!r} lies in another file; {_PUBLISHED}")
            found[name] = thing

    file.visititems(visit)
    return found


def _tensors(path: Path, datasets: Mapping[str, Any], description: Any) -> dict[str, Float32]:
    place = next((name for name in datasets if name.endswith(_MARK)), None)
    if place is None:
        example = next(iter(datasets), None)
        what = f"its first data set is {example!r}" if example else "it has no data sets"
        raise WeightsError(f"not a YAMNet ({what}, need '…/{_MARK}'); {_PUBLISHED}")
    prefix = place.removesuffix(_MARK)  # Keras numbers the models that it makes
    want = {f"{name.replace('.', '/')}:0": name for name in _SHAPES}
    # What lies elsewhere keeps its full name, marked as such, and is refused by it.
    have = {
        name.removeprefix(prefix) if name.startswith(prefix) else f"/{name}": tuple(one.shape)
        for name, one in datasets.items()
    }
    compare(path, {n: _SHAPES[ours] for n, ours in want.items()}, have, prefix, LAYOUT.name)
    _check_description(description)
    return {ours: _numbers(prefix + name, datasets[prefix + name]) for name, ours in want.items()}


def _numbers(name: str, dataset: Any) -> Float32:
    if dataset.dtype.kind != "f":
        raise WeightsError(f"tensor {name!r} is {dataset.dtype}, need floating point; {_PUBLISHED}")
    return np.asarray(dataset[()], dtype=np.float32)


def _check_description(text: Any) -> None:
    """Strides and epsilon are in no tensor: where the file tells its model, they must be ours."""
    if text is None:  # Keras leaves it out where weights alone were saved
        return
    try:
        layers = list(_layers(json.loads(text)))
        strides = [tuple(c["strides"]) for kind, c in layers if kind.endswith("Conv2D")]
        epsilons = {c["epsilon"] for kind, c in layers if kind == "BatchNormalization"}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"its description of the model is damaged ({type(error).__name__}); {_PUBLISHED}"
        ) from None
    # The first layer is one convolution, each further one two, of which the second has stride 1.
    wanted = [(STRIDES[0],) * 2] + [pair for s in STRIDES[1:] for pair in ((s, s), (1, 1))]
    if strides != wanted:
        raise WeightsError(f"has strides {strides}, YAMNet-256 has {wanted}; {_PUBLISHED}")
    if epsilons != {EPSILON}:
        raise WeightsError(
            f"its normalisations add {sorted(epsilons)}, YAMNet-256 {EPSILON}; {_PUBLISHED}"
        )


def _layers(description: Any) -> Iterator[tuple[str, Any]]:
    """Class and settings of each layer, in order, of models in models too."""
    settings = description["config"]
    for layer in settings.get("layers", ()):
        yield layer["class_name"], layer["config"]
        yield from _layers(layer)
