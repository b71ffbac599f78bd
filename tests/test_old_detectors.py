"""Detectors that an earlier nearfar wrote: they load, and score as they did then.

`data/detectors/README.md` says how they were made. Nothing here is random: sounds and the heads of
trained encoders are whole numbers, so they are the same on every machine.
"""

import json
from contextlib import nullcontext

import numpy as np
import pytest
from safetensors.numpy import load_file

import nearfar as nf
from conftest import DATA, TINY

OLD = DATA / "detectors"
WRITTEN = json.loads((OLD / "written.json").read_text(encoding="utf-8"))
RATE = 16_000
ROUNDED = {"s3", "s3-dif", "s4"}  # with features that are rounded otherwise since then
FORMATS = {"adapted-shift": 2, "adapted-standard": 2}  # all others: 1


# ---- sounds and encoders, of whole numbers ---------------------------------------------------


def noise(seed, count):
    """−512 … 511, by a shuffle of the bits of 0, 1, 2, …"""
    x = np.arange(count, dtype=np.uint64) + np.uint64((seed + 1) * 1_000_003)
    for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        x *= np.uint64(factor)  # modulo 2⁶⁴
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(54)).astype(np.int64) - 512


def sound(seed, domain="source", anomaly=False):
    """One second of a machine, (2, 16000) int16: a buzz near, less and later of it far."""
    n = np.arange(RATE)
    period = (160 if domain == "source" else 131) + seed % 7
    buzz = 40 * (n % period) + 9 * (n % 37)
    if anomaly:
        buzz = buzz + 6_000 * (n % 1_600 < 40) * (-1) ** (n // 3)
    near = buzz - buzz.mean().astype(int) + noise(2 * seed, RATE)
    far = np.roll(near, 21) // 4 + noise(2 * seed + 1, RATE)
    return np.stack([near, far]).astype(np.int16)


def asked():
    """Recordings that no detector was fitted on."""
    return [
        sound(100 + i, domain, anomaly)
        for i, (domain, anomaly) in enumerate(
            [("source", False), ("target", False), ("source", True), ("target", True)]
        )
    ]


def trained(path, seed):
    """An encoder as `nearfar finetune` wrote it: tiny's tensors, a head, a record of training."""
    from safetensors.numpy import load_file

    head = json.loads((OLD / "trained.json").read_text(encoding="utf-8"))
    tensors = load_file(TINY / "model.safetensors")
    for i, (name, shape) in enumerate(sorted(head["shapes"].items())):
        values = noise(1_000 * (seed + 1) + i, int(np.prod(shape))).reshape(shape)
        # Quotients by a power of two are exact; a variance is above 0.
        tensors[name] = ((abs(values) + 512 if "var" in name else values) / 2**12).astype("<f4")
    fields, start = {"__metadata__": head["metadata"]}, 0
    for name, tensor in sorted(tensors.items()):
        place = [start, start := start + tensor.nbytes]
        fields[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": place}
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    content = b"".join(np.ascontiguousarray(x).tobytes() for _, x in sorted(tensors.items()))
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Where the weights of each detector are today."""
    folder = tmp_path_factory.mktemp("encoders")
    seeds = [str(trained(folder / f"s1-seed{seed}.safetensors", seed)) for seed in range(4)]
    return {"s1": seeds[:1], "s2": seeds, "s3": [str(TINY)], "s3-eat": [str(TINY)]}


# ---- the laws --------------------------------------------------------------------------------


def loaded(name, encoders):
    return nf.load(OLD / name, weights=encoders.get(name, ()))


def told_of_rounding(name):
    """What is not the same to the bit is said; what is, is not."""
    if name not in ROUNDED:
        return nullcontext()
    return pytest.warns(nf.NearfarWarning, match="dif-1 then, dif-2 now: the same features but")


@pytest.mark.parametrize("name", WRITTEN)
def test_a_detector_of_before_says_what_it_said(name, encoders):
    detector, was = loaded(name, encoders), WRITTEN[name]
    with told_of_rounding(name):
        said = [detector.score(audio, sr=RATE, machine="fan")[0] for audio in asked()]
    np.testing.assert_allclose([v.score for v in said], was["scores"], rtol=was["rtol"])
    assert [v.nearest for v in said] == was["nearest"]
    assert [v.percentile for v in said] == was["percentiles"]
    drawn = detector.threshold("fan")
    # Of the same stored numbers one higher is taken since a promised rate counts the new clip too.
    assert drawn.value >= was["threshold"] * (1 - 1e-12)
    assert all(now.anomalous <= then for now, then in zip(said, was["anomalous"], strict=True))
    assert drawn.clips == was["clips"]
    detector.score(asked()[0], sr=RATE, machine="fan")  # has said all there was to say


@pytest.mark.parametrize("name", WRITTEN)
def test_written_again_it_holds_the_same(name, encoders, tmp_path):
    """Its recipe, banks and numbers survive; so does the format, for whom has not upgraded."""
    loaded(name, encoders).save(tmp_path / "again")
    old, new = (
        json.loads((folder / "detector.json").read_text(encoding="utf-8"))
        for folder in (OLD / name, tmp_path / "again")
    )
    assert old["format"] == new["format"] == FORMATS.get(name, 1)
    for data in (old, new):
        del data["sha256"], data["provenance"]
        for system in (data["system"], *data["system"].get("members", ())):
            system.pop("embedder", None)  # says where its weights are
        for origin in data["embedders"]:
            del origin["place"]
        for section in data["sections"]:
            del section["threshold"]  # drawn anew: its last digit is the CPU's
    for then, now in zip(old["sections"], new["sections"], strict=True):
        # Since then a bank says whose it is: the same tensors in another file.
        were, are = (
            load_file(folder / section.pop("bank"))
            for folder, section in ((OLD / name, then), (tmp_path / "again", now))
        )
        assert then.pop("sha256") != now.pop("sha256")
        assert list(were) == list(are)
        for tensor in were:
            np.testing.assert_array_equal(are[tensor], were[tensor], strict=True)
    assert new == old


def test_every_system_and_both_formats_are_here():
    assert {"logmel", "s1", "s2", "s3", "s3-dif", "s3-eat", "s4"} <= set(WRITTEN)
    formats = {n: json.loads((OLD / n / "detector.json").read_text())["format"] for n in WRITTEN}
    assert {n: f for n, f in formats.items() if f != 1} == FORMATS


def test_all_of_them_together_are_small():
    assert sum(path.stat().st_size for path in OLD.rglob("*") if path.is_file()) < 1_500_000
