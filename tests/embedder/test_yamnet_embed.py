"""YAMNet as an embedder: its row, its grid, equal bits, and whole systems without torch."""

import json
import subprocess
import sys

import numpy as np
import pytest

import nearfar as nf
from conftest import refused
from nearfar.detector.trained import warn_untrained
from nearfar.embedding.table import embeddings
from nearfar.errors import Once
from nearfar.system.presets import s3_eat
from nearfar.testing import check_embedder, check_system, noise
from yamnet_folder import GOLD, make_folder, make_keras


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Random weights. Read only."""
    return str(make_folder(tmp_path_factory.mktemp("yamnet") / "ear"))


@pytest.mark.parametrize("scale", ["peak", "none"])
def test_it_keeps_the_contract(folder, scale):
    check_embedder(nf.YAMNet(folder, scale=scale))


def test_systems_take_whatever_encoder_the_weights_are(folder):
    system = s3_eat(folder)
    assert system.embedder == nf.YAMNet(folder)
    check_system(system)
    assert nf.s1(folder).embedder == nf.Crops(nf.YAMNet(folder))
    with pytest.warns(nf.NearfarWarning, match="the frozen baseline, not System 1$"):
        warn_untrained(nf.s1(folder), Once())


def test_a_row_is_the_mean_over_the_grid(folder):
    part, audio = nf.YAMNet(folder), noise(1, 2.0)
    grid = part.tokens([audio])
    assert grid.shape == (1, 24, 8, 256)  # 198 frames
    assert grid.dtype == np.float32
    assert np.allclose(part([audio])[0], grid[0].mean(axis=(0, 1)), atol=1e-6)


def test_bands_are_bands_of_frequency():
    """Band 0 is the lowest: of a network that only adds up, most comes out where a tone is."""
    from nearfar.embedder.yamnet.layers import YAMNetArchitecture
    from nearfar.embedder.yamnet.melspectrum import log_mels
    from nearfar.embedder.yamnet.network import Network

    adding = Network(
        {
            name: np.zeros(shape) if name.endswith(("beta", "mean")) else np.ones(shape)
            for name, shape in YAMNetArchitecture().shapes().items()
        }
    )
    places = []
    for hz in (250, 600, 1200, 2200, 3700, 6200):
        tone = np.sin(2 * np.pi * hz * np.arange(32_000) / 16_000).astype(np.float32)
        loud = log_mels(tone) - np.float32(np.log(0.001))
        places.append(int(adding(loud)[:, 1:-1].mean(axis=(0, 2)).argmax()))
    assert places == sorted(places)
    assert places[0] < places[-1]


def test_the_same_bits_in_any_batch_and_order(folder):
    part = nf.YAMNet(folder)
    audios = [noise(1, seconds, seed=i) for i, seconds in enumerate((1.0, 1.3, 2.0, 1.0, 3.1))]
    rows = part(audios)
    assert np.array_equal(rows, np.concatenate([part([a]) for a in audios]))
    assert np.array_equal(rows[::-1], part(audios[::-1]))
    assert np.array_equal(part.tokens(audios[:1] + audios[3:4])[1], part.tokens(audios[3:4])[0])


@pytest.mark.slow
def test_the_same_bits_with_any_number_of_workers(folder, dcase):
    chain = nf.System(frontend=nf.Near(), embedder=nf.YAMNet(folder)).chain
    clips = nf.Clips.open(dcase, split="test")
    one, two = (embeddings(clips, chain, nf.Runtime(workers=n)).rows for n in (1, 2))
    assert np.array_equal(one, two)


def test_gain_changes_nothing_unless_it_is_asked_for(folder):
    audio = noise(1, 1.5)
    part = nf.YAMNet(folder)
    assert np.array_equal(part([audio]), part([audio / 8]))
    assert np.allclose(part([audio]), part([audio / 3]), atol=1e-4)
    loud = nf.YAMNet(folder, scale="none")
    assert not np.allclose(loud([audio]), loud([audio / 8]), atol=1e-2)


def test_its_identity_is_its_weights_and_not_their_place(folder, tmp_path):
    copy = make_folder(tmp_path / "copy")
    assert nf.YAMNet(folder).fingerprint == nf.YAMNet(str(copy)).fingerprint
    assert nf.YAMNet(folder).fingerprint != nf.YAMNet(folder, scale="none").fingerprint
    assert set(nf.YAMNet(folder).files) == {"config.json", "model.safetensors"}


def test_bad_input_is_one_line_each(folder, tmp_path):
    part = nf.YAMNet(folder)
    bad = noise(1, 1.0)
    bad[0, 5] = np.nan
    for audio, words in (
        (noise(2, 1.0), "YAMNet hears one, (1, samples)"),
        (bad, "NaN or infinite"),
        (bad[:, 10:310], "300 samples"),
    ):
        refused(lambda a=audio: part([a]), words)
    refused(lambda: part.tokens([noise(1, 1.0), noise(1, 2.0)]), "of [12, 24] columns")
    refused(lambda: part.tokens([]), "at least one")
    refused(lambda: nf.YAMNet(""), "YAMNet.weights is ''")
    refused(lambda: nf.YAMNet(None), "YAMNet.weights is None")
    refused(lambda: nf.YAMNet("x", scale="rms"), "YAMNet.scale is 'rms'; it is 'peak' or 'none'")
    nowhere = nf.YAMNet(str(tmp_path / "none"))
    refused(lambda: nowhere.check(nf.Runtime()), "no such folder")
    assert part([]).shape == (0, 256)


def test_it_is_not_fine_tuned(folder, dcase, tmp_path, run):
    pytest.importorskip("torch")
    code, _, err = run("finetune", dcase, "--weights", folder, "-o", tmp_path / "t.safetensors")
    assert code == 2
    assert "YAMNet" in err
    assert err.count("\n") == 1


WITHOUT = """
import json, sys
sys.modules["torch"] = None
from nearfar.cli import main
for line in json.load(sys.stdin):
    sys.argv = ["nearfar", *line]
    try:
        main.main()
    except SystemExit as stop:
        if stop.code:
            raise
"""


def without_torch(*lines):
    """Commands one after the other, in a new process in which torch cannot be imported."""
    call = [sys.executable, "-c", WITHOUT]
    text = json.dumps([list(map(str, line)) for line in lines])
    done = subprocess.run(call, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_convert_fit_score_and_embed_without_torch(dcase, tmp_path):
    pytest.importorskip("h5py")
    data, ear, fitted = dcase / "fan", tmp_path / "ear", tmp_path / "detector"
    alone = ("--workers", "1")
    without_torch(
        ("weights", "convert", make_keras(tmp_path / "a.h5"), ear),
        ("fit", data, "-s", "s3", "--weights", ear, "-o", fitted, *alone),
        ("score", fitted, data / "test", "--csv", tmp_path / "scores.csv", *alone),
        ("embed", data / "test", "--weights", ear, "-o", tmp_path / "rows.npz", *alone),
        ("fit", data, "-s", "s5-small", "--weights", ear, "-o", tmp_path / "bands", *alone),
        ("score", tmp_path / "bands", data / "test", *alone),
        ("explain", tmp_path / "bands", next((data / "test").iterdir())),
    )
    assert nf.load(fitted).system == nf.s3(str(ear))
    assert (tmp_path / "scores.csv").read_text().count("\n") == 1 + 12
    with np.load(tmp_path / "rows.npz") as table:
        assert any(table[name].shape == (12, 256) for name in table.files)


def test_the_gold_data_are_there():
    with np.load(GOLD) as gold:
        assert set(gold.files) == {"patches", "grid", "embedding"}
