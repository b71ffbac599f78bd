"""YAMNet's weights drawn from a seed, as a folder of ours and as the file that Keras writes."""

import json

import numpy as np
from safetensors.numpy import save_file

from conftest import DATA
from nearfar.embedder.yamnet.layers import STRIDES, YAMNetArchitecture

GOLD = DATA / "yamnet" / "gold.npz"


def random_tensors(seed=0):
    """Numbers with which what comes out of each layer is about as large as what goes in."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, shape in YAMNetArchitecture().shapes().items():
        values = rng.standard_normal(shape)
        if name.endswith("moving_variance"):
            values = 0.5 + np.abs(values)
        elif len(shape) == 4:  # each output is a sum of so many products
            summed = shape[0] * shape[1] * (1 if shape[3] == 1 else shape[2])
            values *= np.sqrt(2 / summed)
        made[name] = values.astype(np.float32)
    return made


def make_folder(folder, tensors=None, **config):
    """A folder as `nearfar weights convert` makes it; settings of the config may be others."""
    folder.mkdir(parents=True)
    save_file(random_tensors() if tensors is None else tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(YAMNetArchitecture().config() | config))
    return folder


def described(strides=STRIDES, epsilon=1e-4):
    """What Keras says of the model: one in another, its layers in order."""
    layers = [("Conv2D", {"strides": [strides[0]] * 2})]
    for stride in strides[1:]:
        layers.append(("DepthwiseConv2D", {"strides": [stride] * 2}))
        layers.append(("Conv2D", {"strides": [1, 1]}))
    norm = ("BatchNormalization", {"epsilon": epsilon})
    inside = [{"class_name": kind, "config": c} for layer in layers for kind, c in (layer, norm)]
    model = {"class_name": "Functional", "config": {"layers": inside}}
    return json.dumps({"class_name": "Sequential", "config": {"layers": [model]}})


def make_keras(path, tensors=None, place="model_weights/model_2", description=None, **more):
    """An HDF5 file laid out as the published one; `more` are data sets beside the network's."""
    import h5py

    with h5py.File(path, "w") as file:
        for name, values in (random_tensors() if tensors is None else tensors).items():
            file[f"{place}/{name.replace('.', '/')}:0"] = values
        for name, values in more.items():
            file[f"{place}/{name}"] = values
        if description != "":
            file.attrs["model_config"] = description or described()
    return path
