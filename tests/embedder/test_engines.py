"""Encoders that stay in memory: bounded in bytes, the last called kept, none while others train."""

import gc
import weakref

import pytest

pytest.importorskip("torch")

import nearfar as nf
from conftest import DATA
from finetune_sounds import write_lengths
from nearfar.embedder import engines
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.engines import engine, held, release
from nearfar.embedder.infer import Engine
from nearfar.errors import SettingError
from nearfar.runtime.runtime import Runtime
from nearfar.testing import noise
from nearfar.training import FineTuning, finetune

TINY, TUNED = str(DATA / "eat" / "tiny"), str(DATA / "eat" / "tiny_finetune")
LARGE = 4  # bytes a parameter in float32
living: "weakref.WeakSet[object]" = weakref.WeakSet()


class Fake:
    """An engine on a device with room for so many bytes: it fails to load as torch's does."""

    room = 10**9

    def __init__(self, weights, precision, device):
        self.size = LARGE * weights.architecture.parameters
        if sum(one.size for one in living) + self.size > self.room:
            raise SettingError(f"{device}: no memory for the encoder")
        living.add(self)


@pytest.fixture(autouse=True)
def none_kept():
    release()
    living.clear()
    yield
    release()


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(engines, "Engine", Fake)
    monkeypatch.setattr(Fake, "room", 10**9)
    return Fake


@pytest.fixture
def seeds(tmp_path):
    """Weights of twenty encoders of one size."""
    content = (DATA / "eat" / "tiny" / "model.safetensors").read_bytes()
    config = (DATA / "eat" / "tiny" / "config.json").read_bytes()
    made = []
    for seed in range(20):
        (tmp_path / str(seed)).mkdir()
        (tmp_path / str(seed) / "model.safetensors").write_bytes(content)
        (tmp_path / str(seed) / "config.json").write_bytes(config)
        made.append(open_weights(tmp_path / str(seed)))
    return made


def count():
    gc.collect()
    return len(living)


def test_one_that_is_kept_is_not_loaded_again(device, seeds):
    first = engine(seeds[0], "fp32", "cpu")
    assert engine(seeds[0], "fp32", "cpu") is first
    assert engine(seeds[1], "fp32", "cpu") is not first
    assert engine(seeds[0], "bf16", "cpu") is not first  # another precision
    assert engine(open_weights(TUNED), "fp32", "cpu") is not first
    del first
    assert count() == 4


@pytest.mark.slow
def test_what_stays_is_bounded_in_bytes_and_the_last_called_stay(device, seeds, monkeypatch):
    size = LARGE * seeds[0].architecture.parameters
    monkeypatch.setattr(engines, "MOST", 3 * size + 1)
    for weights in seeds:
        engine(weights, "fp32", "cpu")
        engine(seeds[0], "fp32", "cpu")  # called in between each time
        assert held() <= 3 * size
        assert count() <= 3
    again = engine(seeds[0], "fp32", "cpu")
    assert again in living
    monkeypatch.setattr(engines, "MOST", 1)
    assert engine(seeds[5], "fp32", "cpu") is engine(seeds[5], "fp32", "cpu")  # alone, yet kept
    del again
    assert count() == 1


def test_of_an_accelerator_half_is_for_activations(monkeypatch):
    import torch

    class Properties:
        total_memory = 8 << 30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert engines._most(torch.device("cuda")) == 4 << 30
    assert engines._most(torch.device("cpu")) == engines.MOST
    Properties.total_memory = 1 << 40
    assert engines._most(torch.device("cuda")) == engines.MOST


@pytest.mark.slow
def test_where_the_device_is_full_the_others_make_room(device, seeds, monkeypatch):
    size = LARGE * seeds[0].architecture.parameters
    monkeypatch.setattr(device, "room", 2 * size)
    for weights in seeds[:5]:
        engine(weights, "fp32", "cpu")
    assert 1 <= count() <= 2
    monkeypatch.setattr(device, "room", size - 1)
    with pytest.raises(SettingError, match="no memory"):
        engine(seeds[6], "fp32", "cpu")
    assert count() == held() == 0


@pytest.mark.slow
def test_none_is_left_while_an_encoder_trains(tmp_path):
    """On the real thing: what scored before is gone when the first step is done."""
    system = nf.System(nf.Near(), nf.Crops(nf.EAT(TINY)), nf.KNN())
    for weights in (TINY, TUNED):
        nf.EAT(weights)([noise(1)])
    living.update(engines._kept.values())
    assert {type(one) for one in living} == {Engine}
    assert len(living) == 2
    assert held() > 0
    left = []
    clips = nf.Clips.open(write_lengths(tmp_path / "sounds"), split="train")
    settings = FineTuning(epochs=1, batch_size=64)
    finetune(
        system, clips, settings, Runtime(device="cpu"), out=tmp_path / "s.safetensors",
        watch=lambda entry: left.append((count(), held())),
    )  # fmt: skip
    assert set(left) == {(0, 0)}
