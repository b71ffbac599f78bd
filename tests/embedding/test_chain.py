"""Cache keys that outlive every move, and what a chain makes of an embedder's answers.

The gold keys were printed by nearfar as it was before its files moved into folders: whoever
filled a cache with it finds every row again.
"""

import hashlib
import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.embedding.chain import FIRST_ROOMS, Chain, identity
from nearfar.parts.data import TYPES
from nearfar.parts.own import user_module
from nearfar.testing import noise
from trained_file import make_trained

EAT = Path(__file__).parents[1] / "data" / "eat"
TINY, TUNED = nf.EAT(str(EAT / "tiny")), nf.EAT(str(EAT / "tiny_finetune"))
HEARD = "layer=None, frames=None, precision=fp32"
# sha256 of each file's bytes with what they are used for.
TINY_IS = "e04b52c63ea84d25d7f1dd9d2b0bb6c6374253b3d6a3fc873eefdf4603603f56"
TUNED_IS = "7651b4d08bdc054c25af1881541147ac48592fb16559a62ebfeb1b03fcf4d427"
MASK = (
    "nearfar.frontend.mask.CoherenceMask|CoherenceMask(sharpness=5.0, coherence_weight=0.7, "
    "floor=0.2, smoothing=0.9, coherence='{}')|coherence-mask-1"
)
FRONTENDS = [
    (nf.Near(), "nearfar.frontend.plain.Near|Near()|near-1"),
    (nf.Far(), "nearfar.frontend.plain.Far|Far()|far-1"),
    (nf.Stereo(), "nearfar.frontend.plain.Stereo|Stereo()|stereo-1"),
    (nf.CoherenceMask(), MASK.format("clip")),
    (nf.CoherenceMask(coherence="ema"), MASK.format("ema")),
    (
        nf.FarCancel(),
        "nearfar.frontend.cancel.FarCancel|FarCancel(n_fft=1024, hop=512)|far-cancel-1",
    ),
]
EMBEDDERS = [
    (
        nf.LogMel(),
        "nearfar.embedder.LogMel|LogMel(n_mels=128, n_fft=1024, hop=512)|logmel-2",
    ),
    (
        nf.LogMel(invariant=False),
        "nearfar.embedder.LogMel|LogMel(n_mels=128, n_fft=1024, hop=512)|logmel-1",
    ),
    (
        nf.LogMel(n_mels=64),
        "nearfar.embedder.LogMel|LogMel(n_mels=64, n_fft=1024, hop=512)|logmel-2",
    ),
    (nf.DIF(), "nearfar.dif.DIF|DIF()|dif-2"),
    (
        nf.DIF(names=("kurtosis", "rms_ratio")),
        "nearfar.dif.DIF|DIF(names=('kurtosis', 'rms_ratio'))|dif-2",
    ),
    (TINY, f"nearfar.eat.embed.EAT|pooling=mean, {HEARD}|eat-1|{TINY_IS}|pooling=mean, {HEARD}"),
    (TUNED, f"nearfar.eat.embed.EAT|pooling=mean, {HEARD}|eat-1|{TUNED_IS}|pooling=mean, {HEARD}"),
    (
        replace(TINY, pooling="cls", layer=1, frames=1024),
        "nearfar.eat.embed.EAT|pooling=cls, layer=1, frames=1024, precision=fp32"
        f"|eat-1|{TINY_IS}|pooling=cls, layer=1, frames=1024, precision=fp32",
    ),
    (
        nf.Crops(TINY),
        f"nearfar.crops.Crops|Crops(EAT(pooling=mean, {HEARD}))"
        f"|eat-1|{TINY_IS}|pooling=mean, {HEARD}, crops-1 10 0.6 0",
    ),
    (
        nf.Crops(nf.LogMel(), n=3, shortest=0.5, seed=2),
        "nearfar.crops.Crops|Crops(LogMel(LogMel(n_mels=128, n_fft=1024, hop=512)))"
        "|logmel-2, crops-1 3 0.5 2",
    ),
]


@pytest.mark.parametrize(("part", "gold"), [*FRONTENDS, *EMBEDDERS])
def test_a_part_is_called_what_it_was_called_in_caches_of_before(part, gold):
    assert identity(part) == gold


def test_a_key_is_the_front_end_and_the_embedder():
    for frontend, first in FRONTENDS:
        for embedder, second in EMBEDDERS:
            assert Chain(frontend, embedder).key == f"{first}|{second}"


def test_a_trained_encoder_is_known_by_its_file_and_not_by_its_place(tmp_path):
    first = make_trained(tmp_path / "a.safetensors")
    (tmp_path / "moved").mkdir()
    second = tmp_path / "moved" / "b.safetensors"
    second.write_bytes(first.read_bytes())
    other = make_trained(tmp_path / "c.safetensors", seed=1)
    keys = [identity(nf.Crops(nf.EAT(str(path)))) for path in (first, second, other)]
    assert keys[0] == keys[1] != keys[2]
    assert all(f"pooling=trained, {HEARD}" in key for key in keys)


@pytest.mark.parametrize(("part", "gold"), [*FRONTENDS, *EMBEDDERS])
def test_a_file_that_moves_changes_no_key(part, gold, monkeypatch):
    monkeypatch.setattr(type(part), "__module__", "nearfar.some.other.room")
    assert identity(part) == gold


def test_every_front_end_and_embedder_has_its_first_room_or_came_later():
    """A new part need not be listed: say here that it came later. None of the first may be lost."""
    came_later = {
        "BEATs", "Concatenated", "ENV", "FarSubtracted", "LTAS", "OnnxEncoder", "Pooled",
        "YAMNet",
    }  # fmt: skip
    parts = {name: getattr(importlib.import_module(TYPES[name]), name) for name in TYPES}
    keyed = {name for name, cls in parts.items() if hasattr(cls, "fingerprint")}
    assert keyed == set(FIRST_ROOMS) | came_later
    assert set(FIRST_ROOMS) == {type(part).__name__ for part, _ in (*FRONTENDS, *EMBEDDERS)}


def made(module, name="Newer", answer=lambda audios: np.array([[a.std()] for a in audios])):
    """An embedder, of ours or of another's, as its module says."""
    facts = {"channels": 1, "dim": 1, "fingerprint": "newer-1", "__module__": module}
    call = {"__call__": lambda self, audios: answer(audios)}
    return dataclass(frozen=True)(type(name, (), facts | call))()


def test_a_new_part_of_ours_is_called_by_its_name_alone():
    for module in ("nearfar.embedder.newer", "nearfar.elsewhere"):
        assert identity(made(module)) == "nearfar.Newer|Newer()|newer-1"


@pytest.mark.parametrize("module", ["nearfarther.parts", "theirs.nearfar"])
def test_a_part_of_another_package_is_called_by_its_module(module):
    """Even one that bears a name of ours: it must not find our rows."""
    assert identity(made(module, "LogMel")) == f"{module}.LogMel|LogMel()|newer-1"


OWN = """
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Louder:
    needs: ClassVar[int] = 1
    channels: ClassVar[int] = 1
    fingerprint: ClassVar[str] = 'louder-1'
    def __call__(self, audio):
        return 2 * audio
"""


def test_a_part_of_a_persons_own_file_has_its_files_hash_in_the_key(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    module = user_module(path)
    try:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        assert identity(module.Louder()) == f"{module.__name__}.Louder{content}|Louder()|louder-1"
    finally:
        del sys.modules[module.__name__]


# ---- an embedder's answers


def test_rows_are_float32_as_a_cache_gives_them_back():
    audios = [noise(1, 1.0), noise(1, 1.5, seed=1)]
    doubles = np.array([[1 / 3], [2 / 3]])
    rows = Chain(nf.Near(), made("theirs", answer=lambda _: doubles)).rows(audios, nf.Runtime())
    assert rows.dtype == np.float32
    assert np.array_equal(rows, doubles.astype(np.float32))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.zeros((2, 1)), r"gave \(2, 1\), its contract says \(1, 1\)"),
        (np.zeros(1), r"gave \(1,\), its contract says \(1, 1\)"),
        (np.full((1, 1), np.nan), "NaN or infinite numbers"),
        (np.full((1, 1), np.inf), "NaN or infinite numbers"),
    ],
)
def test_an_embedder_that_breaks_its_contract_is_one_line(answer, words):
    with pytest.raises(nf.NearfarError, match=words):
        Chain(nf.Near(), made("theirs", answer=lambda _: answer)).rows([noise(1)], nf.Runtime())


def failing(audios):
    raise ZeroDivisionError("by nothing\nat all")


def test_a_failure_of_theirs_is_one_line_and_a_bug_of_ours_a_traceback():
    with pytest.raises(
        nf.NearfarError, match=r"Newer\(\) failed \(ZeroDivisionError: by nothing\)"
    ):
        Chain(nf.Near(), made("theirs", answer=failing)).rows([noise(1)], nf.Runtime())
    with pytest.raises(ZeroDivisionError):
        Chain(nf.Near(), made("nearfar.new", answer=failing)).rows([noise(1)], nf.Runtime())


@pytest.mark.parametrize("embedder", [nf.LogMel(), TINY, nf.Crops(TINY, n=2)], ids=repr)
def test_two_steps_give_the_rows_of_one_call(embedder):
    chain = Chain(nf.Near(), embedder)
    audios = [noise(1, 1.0, seed=i) for i in range(2)]
    assert chain.two_step == (embedder != nf.LogMel())
    assert np.array_equal(chain.rows(audios, nf.Runtime()), embedder(audios))
