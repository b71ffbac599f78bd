"""Other ways to train: losses, low-rank updates, domain adaptation. None of them forks the loop."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from beats_folders import folder
from conftest import TESTS, TINY, finish, first_quick, free_port, stop
from finetune_sounds import sound, system, write_classes
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import SettingError

torch = pytest.importorskip("torch")


from nearfar.training import FineTuning
from nearfar.training.learner.learner import learner
from nearfar.training.log import StepLine
from nearfar.training.loop import checkpoint
from nearfar.training.run import finetune
from trainings import DEPTH, SHORT, VARIANTS, a_loop, a_step, noise, tensors

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = nf.Runtime(device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("classes"), 8, 5, seconds=(1.5, 1.2))


@pytest.fixture(scope="module")
def clips(data):
    return nf.Clips.open(data, split="train")


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    """The file of each variant by its name, and of none. Read only."""
    folder = tmp_path_factory.mktemp("trained")
    files = {}
    for name, changed in {"usual": {}, **VARIANTS}.items():
        files[name] = folder / f"{name}.safetensors"
        finetune(system(TINY), clips, replace(SHORT, **changed), CPU, out=files[name])
    return files


# ---- what holds for all --------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_the_result_is_a_file_like_any_other(trained, name):
    usual, found = tensors(trained["usual"]), tensors(trained[name])
    assert {n: x.shape for n, x in found.items()} == {n: x.shape for n, x in usual.items()}
    assert all(np.isfinite(x).all() for x in found.values())
    embedder = nf.EAT(str(trained[name]))
    rows = embedder([sound(np.random.default_rng(s), "fan", "source")[:1] for s in range(2)])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    wanted = replace(SHORT, precision="fp32", **VARIANTS[name])
    assert embedder.training.settings == wanted.to_data()


@pytest.mark.parametrize("name", ["usual", *VARIANTS])
def test_a_small_step_lowers_the_loss_of_its_batch(clips, tmp_path, name):
    """Drawn alike and taken twice. Epochs are noisy: their batches, mixing and margins differ."""
    settings = replace(SHORT, **VARIANTS.get(name, {}), learning_rate=1e-4)
    one = a_loop(clips, settings, tmp_path)
    one.state.learner.train()
    one._counted = lambda batch: [(i, 0) for i in batch]  # the same crops in every step
    first, second = (a_step(one, 1, 0, range(0, 24, 3)) for _ in range(2))
    assert second < first


@pytest.mark.parametrize("name", first_quick(VARIANTS))
@pytest.mark.slow
def test_stopped_and_resumed_the_file_is_the_same(clips, trained, tmp_path, name):
    out = tmp_path / "s1.safetensors"
    settings = replace(SHORT, **VARIANTS[name])

    def stop_at(epoch):
        def watch(entry):
            if isinstance(entry, StepLine) and (entry.epoch, entry.step % 2) == (epoch, 0):
                raise KeyboardInterrupt

        return watch

    for epoch in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            finetune(
                system(TINY), clips, settings, CPU, out=out, resume=epoch > 2, watch=stop_at(epoch)
            )
    finetune(system(TINY), clips, settings, CPU, out=out, resume=True)
    assert out.read_bytes() == trained[name].read_bytes()


@pytest.mark.parametrize("name", ["elasticface-lora", "cosface-mixstyle"])
def test_what_is_drawn_in_a_step_comes_from_its_number(clips, tmp_path, name):
    def losses(*numbers):
        still = replace(SHORT, **VARIANTS[name], learning_rate=0.0, lengths="clip")
        one = a_loop(clips, still, tmp_path)
        one.state.learner.train()
        one._counted = lambda batch: [(i, 0) for i in batch]  # the same crops in every step
        return [a_step(one, 1, number, list(range(8))) for number in numbers]

    before = torch.random.get_rng_state()
    first = losses(0, 1, 2, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)  # the state of others does not matter
    assert first == losses(0, 1, 2, 3)
    assert losses(3, 0) == [first[3], first[0]]  # nor do the steps before
    assert len(set(first)) > 1


def test_a_checkpoint_of_before_these_settings_goes_on():
    def run(**training):
        return {"training": training, "weights": "a"}

    now = FineTuning().to_data()
    then = {k: v for k, v in now.items() if k not in ("loss", "lora", "adaptation")}
    checkpoint.refuse_other(Path("x"), run(**then), run(**now))
    # Nor had it a list of its machines, which its clips tell.
    checkpoint.refuse_other(Path("x"), run(**then), run(**now) | {"machines": ["fan"]})
    with pytest.raises(SettingError, match=r"training\.lora was 0, is 4"):
        checkpoint.refuse_other(Path("x"), run(**then), run(**{**now, "lora": 4}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss": "cosfac"}, "training.loss is 'cosfac'; did you mean 'cosface'"),
        ({"loss": None}, "training.loss is None; it has: arcface, cosface"),
        ({"adaptation": "mixstile"}, "did you mean 'mixstyle'"),
        ({"lora": -1}, "training.lora is -1; it is a whole number from 0 to"),
        ({"lora": 2.5}, "training.lora is 2.5; it is a whole number"),
        ({"loss": "magface", "margin": 1.0}, "with magface it is 0 to 0.98"),
    ],
)
def test_refuses_impossible_settings(changed, message):
    with pytest.raises(SettingError) as error:
        FineTuning(**changed)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@torch.no_grad()
def test_magface_gets_the_lengths_that_embeddings_had():
    pupil = learner(open_weights(TINY), 4, FineTuning(loss="magface"))
    mels, labels = [noise(3, 32, 128), noise(2, 48, 128, seed=1)], torch.tensor([0, 1, 2, 3, 0])
    told = pupil.train()(mels, torch.arange(5), labels)
    whole = pupil.encoder.projection.unscaled(told[1])
    assert told[0].item() == pytest.approx(pupil.loss(whole, labels).item(), rel=1e-5)
    unit = torch.nn.functional.normalize(whole, dim=1)
    assert told[0].item() != pytest.approx(pupil.loss(unit, labels).item(), rel=1e-3)
    judged = pupil.eval().judge(mels[0], labels[:3])[1]
    whole = pupil.encoder.projection.unscaled(pupil.statistics(mels[:1]))
    assert judged.item() == pytest.approx(pupil.loss(whole, labels[:3]).item(), rel=1e-5)


# ---- LoRA ----------------------------------------------------------------------------------------


def test_what_is_frozen_is_as_published_and_updates_have_their_rank(trained):
    before, after = tensors(TINY / "model.safetensors"), tensors(trained["elasticface-lora"])
    layers = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    updated = {f"model.blocks.{i}.{x}.weight" for i in range(DEPTH) for x in layers}
    for name in before:
        if name not in updated:
            assert before[name].tobytes() == after[name].tobytes(), name
    for name in updated:
        update = np.linalg.svd((after[name] - before[name]).astype(float), compute_uv=False)
        assert update[3] > 1e-3 * update[0], name
        assert update[4] < 1e-3 * update[3], name


# ---- several processes, and the command ----------------------------------------------------------


CHILD = """
import sys
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
import nearfar as nf
from finetune_sounds import QUICK, system
from nearfar.training import run

data, weights, out = sys.argv[2:5]
class Watched(run.Loop):
    def __post_init__(self):
        super().__post_init__()
        Watched.last = self
run.Loop = Watched
import json
settings = replace(QUICK, epochs=2, accumulation=2, **json.loads(sys.argv[5]))
run.finetune(system(weights), nf.Clips.open(data, split="train"), settings,
             nf.Runtime(device="cpu"), out=out)
import os
from safetensors.torch import save_file
save_file(dict(Watched.last.state.learner.state_dict()), f"{out}.{os.environ['RANK']}")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "settings"),
    [
        (lambda: TINY, {"loss": "elasticface", "lora": 4, "adaptation": "dann"}),
        # A scale that moves with each process's share: what they end with is their mean.
        (folder, {"loss": "sc-adacos", "adaptive_scale": True, "lora": 4}),
        (folder, {}),
    ],
    ids=["EAT, dann", "BEATs, sc-adacos", "BEATs"],
)
def test_two_processes_end_with_equal_weights(data, tmp_path, weights, settings):
    pytest.importorskip("accelerate")
    out = tmp_path / "s1.safetensors"
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                CHILD,
                TESTS,
                data,
                weights(),
                out,
                json.dumps(settings),
            ],
            env={**os.environ, **shared, "OMP_NUM_THREADS": "1", "RANK": r, "LOCAL_RANK": r},
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in "01"
    ]
    try:
        for process in processes:
            told = finish(process)[1]
            assert process.returncode == 0, told
    finally:
        stop(processes)
    first, second = (tensors(f"{out}.{rank}") for rank in "01")
    assert first.keys() == second.keys()
    for name in first:
        assert np.array_equal(first[name], second[name]), name


@pytest.fixture
def command(run):
    return lambda *args: run("finetune", *args, "--weights", TINY, "--device", "cpu")


@pytest.mark.slow
def test_command(command, run, data, tmp_path):
    out = tmp_path / "s1.safetensors"
    quick = ("--set", "training.epochs=1", "--set", "training.batch_size=8")
    code, told, err = command(
        data, "-o", out, *quick, "--loss", "cosface", "--lora", 4, "--adapt", "mixstyle",
        "--set", "training.loss=cosface",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert f"wrote {out}" in told
    settings = nf.EAT(str(out)).training.settings
    found = {k: settings[k] for k in ("loss", "lora", "adaptation")}
    assert found == {"loss": "cosface", "lora": 4, "adaptation": "mixstyle"}
    code, told, _ = run("weights", "check", out)
    assert code == 0
    (line,) = (x for x in told.splitlines() if x.startswith("training"))
    words = set(line.removeprefix("training").strip().split(", "))
    assert words == {
        "loss=cosface", "lora=4", "adaptation=mixstyle", "epochs=1", "batch_size=8"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--loss", "arkface"), "training.loss is 'arkface'; did you mean 'arcface'"),
        (("--adapt", "dan"), "did you mean 'dann'"),
        (("--lora", "-2"), "training.lora is -2"),
        (("--lora", "99"), "training.lora is 99; with this encoder it is 0 to 64"),
        (("--loss", "cosface", "--set", "training.loss=magface"),
         "--loss cosface and training.loss=magface; give one of them"),
        (("--adapt", "none", "--set", "training.adaptation=dann"), "--adapt none and training.ad"),
        (("--lora", "4", "--set", "training.lora=8"), "--lora 4 and training.lora=8"),
        (("--set", "training.lss=cosface"), "did you mean 'loss'"),
    ],
)  # fmt: skip
def test_command_refuses(command, data, tmp_path, arguments, message):
    code, _, err = command(data, "-o", tmp_path / "s1.safetensors", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
