"""A trained encoder's file made by hand: tiny's tensors, a head of seeded noise, a record."""

import json

import torch
from safetensors.torch import load_file, save_file

import nearfar as nf
from conftest import TINY
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.record import HEARD_DIGITS, Training
from nearfar.parts.data import to_data


def make_trained(path, clips=(), *, held_out=(), frontend=None, frames=None, seed=0, **settings):
    """Write it; `clips` and `held_out` are sounds (channels, samples) it has and has not heard."""
    from nearfar.sound.audio import digest_of

    shape = open_weights(TINY).architecture.projected()
    generator = torch.Generator().manual_seed(seed)
    tensors = load_file(TINY / "model.safetensors")
    for name, size in shape.shapes().items():
        if name.startswith(("pooling.", "projection.")):
            noise = torch.randn(size, generator=generator) / max(1, size[-1]) ** 0.5
            tensors[f"model.{name}"] = noise.abs() + 0.1 if "var" in name else noise
    training = Training(
        frontend=to_data(frontend or nf.CoherenceMask()),
        frames=frames,
        classes=tuple(
            ("fan" if len(clips) else "lathe", "00", domain) for domain in ("source", "target")
        ),
        held_out=frozenset(digest_of(a[:1]) for a in held_out),
        heard=frozenset(digest_of(a[:1])[:HEARD_DIGITS] for a in clips),
        settings=settings,
    )
    metadata = {
        "format": "pt",
        "config": json.dumps(shape.config()),
        "nearfar": training.to_text(),
    }
    save_file(tensors, path, metadata=metadata)
    return path
