"""Small machines that differ by ear, and a system to train; shared by the tests of finetune."""

import numpy as np

import nearfar as nf
from conftest import RATE, machine_sound, write
from nearfar.embedder.eat.features import features
from nearfar.embedder.encoders import encoder_of
from nearfar.runtime.threads import one_thread
from nearfar.training import FineTuning

PITCH = {  # Hz, by machine and domain: the proxy classes
    ("fan", "source"): 150,
    ("fan", "target"): 420,
    ("pump", "source"): 900,
    ("pump", "target"): 2200,
}
EAR = nf.EAT("-")  # log-mels depend on no weights
QUICK = FineTuning(epochs=6, batch_size=8, learning_rate=1e-3, held_out=0.2)


def sound(rng, machine, domain, seconds=1.5):
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    pitch = PITCH[machine, domain] * (1 + 0.02 * rng.standard_normal())
    hum = sum(np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 3))
    near = 0.1 * hum + 0.02 * rng.standard_normal(n)
    far = 0.02 * hum + 0.02 * rng.standard_normal(n)
    return np.stack([near, far]).astype(np.float32)


def write_classes(root, source=10, target=6, seed=0, seconds=(1.5,)):
    """Two machines in the DCASE layout, training clips only; lengths in turn."""
    rng = np.random.default_rng(seed)
    for machine, domain in PITCH:
        for i in range(source if domain == "source" else target):
            name = f"section_00_{domain}_train_normal_{i:04d}_noAttribute.wav"
            audio = sound(rng, machine, domain, seconds[i % len(seconds)])
            write(root / machine / "train" / name, audio)
    return root


def system(weights, frontend=None):
    return nf.System(
        frontend=frontend or nf.CoherenceMask(),
        embedder=nf.Crops(encoder_of(str(weights))),  # EAT or BEATs
        rule=nf.KNN((1.0,), "cosine"),
    )


def write_lengths(root):
    """Two machines: fan with two domains (9 and 3 clips), pump with two attributes (6 and 1)."""
    rng = np.random.default_rng(0)
    names = [f"fan/train/section_00_source_train_normal_{i:04d}_noAttribute.wav" for i in range(9)]
    names += [f"fan/train/section_00_target_train_normal_{i:04d}_noAttribute.wav" for i in range(3)]
    names += [f"pump/train/section_00_source_train_normal_{i:04d}_v_A.wav" for i in range(6)]
    names += ["pump/train/section_00_target_train_normal_0000_v_B.wav"]
    for i, name in enumerate(names):
        write(root / name, machine_sound(rng, (1.0, 1.2, 1.37)[i % 3]))
    test = "fan/test/section_00_source_test_anomaly_0000_noAttribute.wav"
    write(root / test, machine_sound(rng, 1.0))
    return root


def contents(one):
    """All that an Examples says, comparable."""
    mels = [one.whole(i).tobytes() for i in range(len(one))]
    return one.labels.tolist(), one.classes, one.held_out.tolist(), one.near_digests, mels


def heard_features(channel, frames=None):
    """The log-mel as a job computes it, on one BLAS thread: several sum in another order."""
    with one_thread():
        return features(channel, frames)
