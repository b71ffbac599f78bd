"""`nearfar finetune` on several data sets with BEATs, and what is fitted with its file."""

import numpy as np
import pytest

import nearfar as nf
from beats_folders import folder
from command import failed
from conftest import TINY, first_quick
from finetune_sounds import write_classes
from nearfar.embedder.encoders import encoder_of
from yamnet_folder import make_folder

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = (
    "--set", "training.epochs=1", "--set", "training.batch_size=8", "--device", "cpu",
    "--set", "training.held_out=0.2",
)  # fmt: skip


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("dev"), 8, 5)


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """Another data set: a fan again, and a machine that the first has not."""
    root = write_classes(tmp_path_factory.mktemp("eval"), 8, 5, seed=1)
    (root / "pump").rename(root / "valve")
    return root


def weights(name):
    return str(TINY) if name == "EAT" else folder()


@pytest.mark.parametrize("name", first_quick(["BEATs", "EAT"]))
@pytest.mark.slow
def test_the_issues_command_and_what_is_fitted_with_its_file(run, dev, more, tmp_path, name):
    out = tmp_path / "t.safetensors"
    code, told, err = run(
        "finetune", dev / "fan", dev / "pump", more / "valve", "--weights", weights(name),
        "-o", out, "--lora", 4, "--loss", "sc-adacos", "--exclude", "valve,pump", *QUICK,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "2 classes of 1 machine, epoch 1 of 1" in told
    code, told, _ = run("weights", "check", out)
    rows = dict(line.split(maxsplit=1) for line in told.splitlines() if "  " in line)
    assert code == 0
    assert rows["architecture"].startswith(name)
    assert "trained by nearfar (16 numbers)" in rows["architecture"]
    assert "left out      pump, valve\n" in told
    assert "loss=sc-adacos" in told
    assert type(encoder_of(out)).__name__ == name
    # Every preset that takes weights takes these; which machines are new stands in the detector.
    for preset in ("s1", "s3-eat"):
        detector = tmp_path / preset
        again = ["--any-frontend"] if preset != "s1" else []
        code, told, err = run(
            "fit", dev, "-s", preset, "--weights", out, "-o", detector, *again, "--device", "cpu"
        )
        assert code == 0, err
        assert "machines the encoder was trained on: fan\n" in told
        assert "machines the encoder was not trained on: pump\n" in told
        fitted = nf.load(detector)
        assert (fitted.heard_machines, fitted.unheard_machines) == (("fan",), ("pump",))
        # Of a machine that was left out all clips may judge; of the other those held out.
        assert fitted.threshold("pump").clips == 13
        assert fitted.threshold("fan").clips == 3
        assert all(np.isfinite(v.score) for v in fitted.score(nf.Clips.open(dev)))


@pytest.mark.slow
def test_left_out_machines_calibrate_with_all_their_clips(run, dev, tmp_path):
    """Percentiles of a machine left out are those of all its self-scores."""
    out = tmp_path / "t.safetensors"
    assert (
        run("finetune", dev, "--weights", folder(), "-o", out, "--exclude", "fan", *QUICK)[0] == 0
    )
    clips = nf.Clips.open(dev, "train")
    detector = nf.fit(nf.s3(str(out)), clips, any_frontend=True)
    section = detector.sections["fan", "00"]
    assert section.fresh == (True,) * 13
    assert section.judges.all()
    recipe, member = detector.system.members[1], section.members[1]
    assert np.array_equal(section.yardstick(recipe, member), member.self_scores)
    heard = detector.sections["pump", "00"]
    assert sum(heard.fresh) == 3


@pytest.mark.slow
def test_one_machines_name_in_two_data_sets(run, dev, more, tmp_path):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    given = ["finetune", dev, more, "--weights", folder(), *QUICK]
    code, _, err = run(*given, "-o", one)
    assert code == 0
    (line,) = err.splitlines()
    assert "fan: in 2 data sets" in line
    assert "--apart" in line
    code, _, err = run(*given, "-o", two, "--apart")
    assert (code, err) == (0, "")
    trainings = [encoder_of(path).training for path in (one, two)]
    assert [len(t.classes) for t in trainings] == [6, 8]
    assert all(t.machines == {"fan", "pump", "valve"} for t in trainings)
    fans = {c[2] for c in trainings[1].classes if c[0] == "fan"}
    names = [root.name for root in (dev, more)]
    assert fans == {f"{d} in {name}" for d in ("source", "target") for name in names}
    # In another order of folders it is the same training, and goes on as one that is finished.
    code, told, _ = run("finetune", more, dev, "--weights", folder(), *QUICK, "-o", one, "--resume")
    assert (code, "was finished already" in told) == (0, True)
    failed(run(*given, "-o", one, "--resume", "--apart"), "other clips")
    failed(
        run("finetune", dev, "--weights", folder(), *QUICK, "-o", one, "--resume"),
        "machines were fan, pump, valve, are fan, pump",
    )


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("--exclude", "fan,pomp"), ("no machine 'pomp' to exclude", "fan, pump")),
        (("--apart",), ("--apart tells data sets apart, and here is one only",)),
        (("--exclude", "fan", "--exclude", "pump"), ("all of fan, pump are excluded",)),
        (("--exclude", "fan,"), ("no machine '' to exclude", "fan, pump")),
        (("--exclude", "fan, pump"), ("all of fan, pump are excluded; exclude fewer",)),
        (("--loss", "sc-adacoss"), ("did you mean 'sc-adacos'",)),
        (("--loss", "sc-adacos", "--set", "training.margin=0.5"), ("margin is 0.5", "leave it")),
        (("--loss", "sc-adacos", "--set", "training.scale=16"), ("scale is 16", "its own scale")),
        (("--set", "training.clusters=4"), ("arcface has one centre a class", "sc-adacos")),
        (("--set", "training.adaptive_scale=True"), ("adaptive_scale is True",)),
        (("--loss", "sc-adacos", "--set", "training.clusters=0"), ("clusters is 0",)),
        (("--set", "training.gradient_decay=0"), ("gradient_decay is 0",)),
        (("--lora", "99"), ("training.lora is 99; with this encoder it is 0 to 64",)),
        (("--set", "embedder.embedder.layer=2"), ("BEATs.layer is 2", "leave layer away")),
        (("--set", "embedder.embedder.frames=160"), ("frames",)),
    ],
)
def test_refuses(run, dev, tmp_path, arguments, messages):
    told = run("finetune", dev, "--weights", folder(), "-o", tmp_path / "t.safetensors", *arguments)
    failed(told, *messages)
    assert not list(tmp_path.iterdir())


def test_yamnet_is_not_trained_and_a_line_says_what_to_do(run, dev, tmp_path):
    small = make_folder(tmp_path / "yamnet")
    told = run("finetune", dev, "--weights", small, "-o", tmp_path / "t.safetensors")
    failed(told, "YAMNet is computed without PyTorch", "nearfar fit DATA -s s3 --weights")


def test_a_record_without_excluded_machines_is_one_of_before(tmp_path):
    from trained_file import make_trained

    assert encoder_of(make_trained(tmp_path / "t.safetensors")).training.excluded == frozenset()
