"""Which device a name means, and where bfloat16 is refused."""

import pytest

from nearfar.errors import SettingError

torch = pytest.importorskip("torch")

from nearfar.embedder import device
from nearfar.embedder.device import check_bf16, choose, has_bf16_instructions


def there(monkeypatch, cuda=0, mps=False):
    """A machine with so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(1, True, "cuda"), (0, True, "mps"), (0, False, "cpu")]
)
def test_auto_is_the_best_that_is_here(cuda, mps, best, monkeypatch):
    there(monkeypatch, cuda, mps)
    assert choose("auto") == torch.device(best)


def test_a_name_is_taken_as_it_is(monkeypatch):
    there(monkeypatch, 2, True)
    for name in ("cpu", "cuda", "cuda:1", "mps"):
        assert choose(name) == torch.device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "AUTO"])
def test_what_is_no_device(name):
    with pytest.raises(SettingError, match="it is auto, cpu, cuda, cuda:1 … or mps"):
        choose(name)


def test_a_device_that_is_not_here(monkeypatch):
    there(monkeypatch, 2)
    with pytest.raises(SettingError, match=r"device 'cuda:2': there are 2, the last is cuda:1"):
        choose("cuda:2")
    with pytest.raises(SettingError, match="no Mac with Apple silicon"):
        choose("mps")
    there(monkeypatch)
    for version, words in ((None, "built without CUDA"), ("12.4", "no GPU found")):
        monkeypatch.setattr(torch.version, "cuda", version)
        with pytest.raises(SettingError, match=words):
            choose("cuda")


@pytest.mark.parametrize("known", [True, False])
def test_bf16_needs_instructions_of_its_own(known, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(device, "has_bf16_instructions", lambda: known)
    if known:
        check_bf16(torch.device("cpu"))
    else:
        with pytest.raises(SettingError, match="cpu here has no bfloat16 arithmetic"):
            check_bf16(torch.device("cpu"))
    with pytest.raises(SettingError, match="mps here has no bfloat16"):
        check_bf16(torch.device("mps"))


@pytest.mark.parametrize(
    ("capable", "has"),
    [({"amx_bf16": True}, True), ({"bf16": True}, True), ({"avx512_f": True}, False), ({}, False)],
)
def test_a_processor_says_what_it_multiplies(capable, has, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capable, raising=False)
    assert has_bf16_instructions() == has


@pytest.mark.parametrize("has", [True, False])
def test_older_versions_of_torch_are_asked_otherwise(has, monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has, raising=False)
    assert has_bf16_instructions() == has
