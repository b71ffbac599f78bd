"""What `nearfar weights check` says of YAMNet's weights."""

from nearfar.embedder.yamnet.facts import facts
from nearfar.embedder.yamnet.weights import open_weights
from nearfar.files import sha256
from yamnet_folder import make_folder, random_tensors


def test_it_says_what_they_are(tmp_path):
    folder = make_folder(tmp_path / "ear")
    said = facts(open_weights(folder))
    assert said["parameters"] == f"{sum(v.size for v in random_tensors().values()):,}"
    assert said["sha256"] == sha256(folder / "model.safetensors")
    assert "8 bands every 80 ms" in said["grid"]


def test_the_command_checks_each_number(tmp_path, run):
    folder = make_folder(tmp_path / "ear")
    code, out, err = run("weights", "check", folder)
    assert (code, err) == (0, "")
    assert "YAMNet-256" in out
    tensors = random_tensors()
    tensors["layer4.pointwise_conv.kernel"][0, 0, 1, 1] = float("nan")
    code, _, err = run("weights", "check", make_folder(tmp_path / "bad", tensors))
    assert code == 2
    assert "'layer4.pointwise_conv.kernel' has NaN" in err


def test_features_published_for_eat_are_not_compared(tmp_path, run):
    folder = make_folder(tmp_path / "ear")
    code, _, err = run("weights", "check", folder, "--against", "a.wav", "b.npy")
    assert code == 2
    assert "this is YAMNet; leave it out" in err
