"""BEATs is trained as EAT is: it learns, twice the same, with every setting, and is told apart."""

import json
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from beats_folders import folder
from conftest import TINY, first_quick, write
from finetune_sounds import QUICK, write_classes
from nearfar.embedder.beats.architecture import TABLE
from nearfar.embedder.beats.weights import open_weights
from nearfar.embedder.encoders import kind_of
from nearfar.errors import SettingError, WeightsError

torch = pytest.importorskip("torch")

from nearfar.embedder.beats.features import features
from nearfar.embedder.crops import crop
from nearfar.training.examples.examples import crop_rng, examples
from nearfar.training.learner.learner import exported, kept, learner
from nearfar.training.log import StepLine, lines
from nearfar.training.run import finetune
from trainings import tensors

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = nf.Runtime(device="cpu")
SHORT = replace(QUICK, epochs=2)
MANY = {"loss": "sc-adacos", "lora": 4}  # as the command has it
VARIANTS = {
    "adaptive-dann-ema": {
        "loss": "sc-adacos", "clusters": 3, "adaptive_scale": True, "adaptation": "dann",
        "ema": 0.9, "choose": "held-out", "accumulation": 2,
    },
    "mixstyle-drop-path": {
        "adaptation": "mixstyle", "drop_path": 0.2, "checkpointing": True, "balanced": True,
        "lengths": "clip", "gradient_decay": 0.5,
    },
    "sc-adacos-lora": MANY,
}  # fmt: skip


def system(weights=None, **settings):
    return nf.System(
        frontend=nf.CoherenceMask(),
        embedder=nf.Crops(nf.BEATs(str(weights or folder()), **settings)),
        rule=nf.KNN((1.0,), "cosine"),
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("classes"), 8, 5, seconds=(1.5, 1.2))


@pytest.fixture(scope="module")
def clips(data):
    return nf.Clips.open(data, split="train")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return replace(CPU, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def trained(clips, cache, tmp_path_factory):
    """The file of full fine-tuning, and that of the issue's command. Read only."""
    place, files = tmp_path_factory.mktemp("trained"), {}
    for name, settings in {"all": replace(QUICK, epochs=4), "many": replace(SHORT, **MANY)}.items():
        files[name] = place / f"{name}.safetensors"
        finetune(system(), clips, settings, cache, out=files[name])
    return files


# ---- it learns -----------------------------------------------------------------------------------


def test_the_loss_falls_and_held_out_normals_find_their_class(trained):
    logged = [x for x in lines(trained["all"].with_suffix(".jsonl")) if "rate" not in x]
    assert logged[-1]["loss"] < 0.5 * logged[0]["loss"]
    assert logged[-1]["held_out_accuracy"] >= 0.5  # of four classes


def test_every_layer_is_trained_and_the_tables_stay_one(trained):
    before, after = tensors(f"{folder()}/model.safetensors"), tensors(trained["all"])
    for name, tensor in before.items():
        assert not np.array_equal(tensor, after[name]), name
    tables = [x for name, x in after.items() if name.endswith(TABLE)]
    assert len(tables) == 3
    assert all(np.array_equal(tables[0], x) for x in tables)


def test_with_lora_what_is_frozen_is_as_published(trained):
    before, after = tensors(f"{folder()}/model.safetensors"), tensors(trained["many"])
    layers = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
    updated = {name for name in before if name.endswith(tuple(f"{x}.weight" for x in layers))}
    assert len(updated) == 6 * 3
    for name in before.keys() - updated:
        assert before[name].tobytes() == after[name].tobytes(), name
    for name in updated:
        update = np.linalg.svd((after[name] - before[name]).astype(float), compute_uv=False)
        assert update[3] > 1e-3 * update[0], name
        assert update[4] < 1e-3 * update[3], name


@torch.no_grad()
def test_before_the_first_step_it_is_the_published_encoder():
    mel = torch.randn(2, 48, 128)
    pupil = learner(open_weights(folder()), 4, replace(SHORT, **MANY)).eval()
    from nearfar.embedder.beats.model import load

    torch.testing.assert_close(pupil.encoder(mel), load(open_weights(folder()))(mel))
    assert pupil.encoder.gradient_decay == 0.6  # as its authors trained it
    own = learner(open_weights(folder()), 4, replace(SHORT, gradient_decay=1.0))
    assert own.encoder.gradient_decay == 1


def test_the_best_epoch_has_one_table_too():
    """What is kept of an epoch names the table once; the file has it in every layer."""
    pupil = learner(open_weights(folder()), 4, SHORT)
    best = {name: x + 1 for name, x in kept(pupil.encoder).items()}
    tables = [x for name, x in exported(pupil.encoder, best).items() if name.endswith(TABLE)]
    first = exported(pupil.encoder)[f"encoder.layers.0.{TABLE}"]
    assert len(tables) == 3
    assert all(torch.equal(x, first + 1) for x in tables)


# ---- the file ------------------------------------------------------------------------------------


def test_the_file_is_a_beats_with_a_head_and_nothing_else_takes_it(trained, clips):
    out = trained["many"]
    opened, config = open_weights(out), json.loads(open_weights(out).metadata["config"])
    assert kind_of(out) == config["model_type"] == "beats"
    assert opened.architecture == open_weights(folder()).architecture.projected()
    embedder = nf.BEATs(str(out))
    rows = embedder([clip.read()[:1] for clip in clips[:3]])
    assert rows.shape == (3, embedder.dim) == (3, opened.architecture.projection[2])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    with pytest.raises(WeightsError, match=r"has the tensors of BEATs, not of an EAT; take BEATs"):
        nf.EAT(str(out))([clips[0].read()[:1]])
    training = embedder.training
    assert (training.frames, training.machines) == (None, {"fan", "pump"})
    assert training.settings["lora"] == 4
    with pytest.raises(WeightsError, match="trained by nearfar already"):
        finetune(system(out), clips, SHORT, CPU, out=out.with_name("again.safetensors"))


def test_tokens_without_the_head_are_to_be_had(trained, clips):
    """By name; and of a grid's bands, which `Pooled` takes."""
    out, heard = str(trained["many"]), [clip.read()[:1] for clip in clips[:2]]
    mean = nf.BEATs(out, pooling="mean")
    assert mean.dim == 64
    tokens = [nf.BEATs(out).tokens([one])[0] for one in heard]
    assert np.allclose(mean(heard), [x.mean(axis=0) for x in tokens], atol=1e-6)
    pooled = nf.Pooled(nf.BEATs(out), nf.RelativeDeviation(power=8))
    assert pooled(heard).shape == (2, 8 * 64)
    keys = {x.fingerprint for x in (mean, nf.BEATs(out), nf.BEATs(folder()))}
    assert len(keys) == 3
    published = nf.BEATs(folder())
    assert nf.BEATs(folder(), pooling="mean").fingerprint == published.fingerprint
    with pytest.raises(SettingError, match=r"^BEATs.pooling is 'cls'; it is 'mean', or None$"):
        nf.BEATs(out, pooling="cls")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_bf16_hears_nearly_the_same_with_the_head_in_float32(trained, clips, precision):
    from nearfar.embedder.device import check_bf16

    if precision == "bf16":
        try:
            check_bf16(torch.device("cpu"))
        except SettingError:
            pytest.skip("no bfloat16 here")
    heard = [clip.read()[:1] for clip in clips[:4]]
    exact = nf.BEATs(str(trained["all"]))(heard)
    rows = nf.BEATs(str(trained["all"]), precision=precision)(heard)
    assert ((exact * rows).sum(axis=1) > 0.999).all()
    assert rows.dtype == np.float32


# ---- the same again, with every setting ----------------------------------------------------------


@pytest.mark.parametrize("name", first_quick(VARIANTS))
@pytest.mark.slow
def test_stopped_and_resumed_the_file_is_the_same(clips, cache, tmp_path, name):
    settings = replace(SHORT, epochs=3, **VARIANTS[name])
    whole, out = tmp_path / "whole.safetensors", tmp_path / "s1.safetensors"
    finetune(system(), clips, settings, cache, out=whole)

    def stop(entry):
        if isinstance(entry, StepLine) and (entry.epoch, entry.step % 2) == (2, 0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(system(), clips, settings, cache, out=out, watch=stop, checkpoint_minutes=0)
    finetune(system(), nf.Clips(reversed(clips)), settings, cache, out=out, resume=True)
    assert out.read_bytes() == whole.read_bytes()
    assert all(np.isfinite(x).all() for x in tensors(out).values())


def test_bf16_trains_nearly_as_fp32(clips, cache, trained, tmp_path):
    from nearfar.embedder.device import check_bf16

    try:
        check_bf16(torch.device("cpu"))
    except SettingError:
        pytest.skip("no bfloat16 here")
    out = tmp_path / "s1.safetensors"
    finetune(system(), clips, replace(QUICK, epochs=4, precision="bf16"), cache, out=out)
    exact, rough = (lines(path.with_suffix(".jsonl"))[0] for path in (trained["all"], out))
    assert rough["loss"] == pytest.approx(exact["loss"], rel=0.05)
    assert rough["loss"] != exact["loss"]
    assert {x.dtype.name for x in tensors(out).values()} == {"float32"}


def test_a_checkpoint_of_eat_is_none_of_beats(clips, cache, tmp_path):
    """Other weights to begin with; nothing of the one goes into the other."""
    out = tmp_path / "s1.safetensors"

    def stop(entry):
        raise KeyboardInterrupt

    eat = replace(system(), embedder=nf.Crops(nf.EAT(str(TINY))))
    with pytest.raises(KeyboardInterrupt):
        finetune(eat, clips, SHORT, cache, out=out, watch=stop, checkpoint_minutes=0)
    with pytest.raises(SettingError, match="of another training: other weights to begin with"):
        finetune(system(), clips, SHORT, cache, out=out, resume=True)
    finetune(eat, clips, SHORT, cache, out=out, resume=True)


def test_on_other_machines_a_training_does_not_go_on(clips, cache, tmp_path):
    out = tmp_path / "s1.safetensors"

    def stop(entry):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(system(), clips, SHORT, cache, out=out, watch=stop, checkpoint_minutes=0)
    with pytest.raises(SettingError, match="machines were fan, pump, are pump") as error:
        finetune(system(), clips, SHORT, cache, out=out, resume=True, exclude=["fan"])
    assert "\n" not in str(error.value)


# ---- how parts of clips are heard ----------------------------------------------------------------


@pytest.mark.parametrize("shortest", [0.1, 0.6, 1.0])
def test_a_crop_is_the_log_mel_of_the_cut_sound(clips, cache, shortest):
    """Frames that fill no patch are not heard: as of a clip that is as short."""
    settings = replace(SHORT, shortest=shortest)
    made = examples(clips, nf.Near(), nf.BEATs("-"), settings, cache)
    lengths = set()
    for i in range(len(made)):
        near = made.clips[i].read()[0]
        whole = features(near)
        assert np.array_equal(made.whole(i), whole[: len(whole) // 16 * 16])
        for epoch in range(3):
            part = made.crop(i, crop_rng(7, epoch, i))
            first, last = crop(len(near), shortest, crop_rng(7, epoch, i))
            start = round(first / 160)
            cut = features(near[160 * start : 160 * start + last - first])
            used = max(16, len(cut) // 16 * 16)
            assert part.shape == (used, 128)
            if used <= len(cut):
                np.testing.assert_allclose(part, cut[:used], atol=2e-3)
            lengths.add(used)
    assert len(lengths) > 2 or shortest == 1.0


def test_a_clip_too_long_is_refused_by_name(tmp_path, clips, cache):
    rng = np.random.default_rng(0)
    long = write(tmp_path / "long.wav", 0.1 * rng.standard_normal((2, 12_320 * 160)))
    bad = nf.Clips([*clips[:10], replace(clips[0], path=long)])
    with pytest.raises(nf.NearfarError, match=r"long\.wav.*BEATs reads 12288 at most") as error:
        finetune(system(), bad, SHORT, cache, out=tmp_path / "s1.safetensors")
    assert "\n" not in str(error.value)


# ---- bad input -----------------------------------------------------------------------------------


def test_systems_that_cannot_be_trained(clips, tmp_path):
    from yamnet_folder import make_folder

    out = tmp_path / "s1.safetensors"

    def told(one, **settings):
        with pytest.raises(SettingError) as error:
            finetune(one, clips, replace(SHORT, **settings), CPU, out=out)
        assert "\n" not in str(error.value)
        return str(error.value)

    small = replace(system(), embedder=nf.YAMNet(str(make_folder(tmp_path / "yamnet"))))
    assert told(small).startswith("finetune trains EAT or BEATs; YAMNet is computed without PyTor")
    assert told(nf.s4()).startswith("finetune trains EAT or BEATs, and this system has DIF")
    assert "BEATs.layer is 1; training ends in a head" in told(system(layer=1))
    assert "BEATs.pooling is 'mean'" in told(system(pooling="mean"))
    assert "training.lora is 65; with this encoder it is 0 to 64" in told(system(), lora=65)
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".safetensors"]
