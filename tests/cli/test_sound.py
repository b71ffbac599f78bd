"""simulate, inspect, mask: as people call them."""

import errno
import json
import os
import signal
import sys

import numpy as np
import pytest
import soundfile

import nearfar as nf
from command import failed, nearfar
from conftest import finish, machine_sound, write
from nearfar.files import is_picture
from nearfar.sound.audio import read


@pytest.fixture(scope="module")
def fan(tmp_path_factory):
    """A simulated fan. Read only."""
    from nearfar import sim

    out = tmp_path_factory.mktemp("fan") / "data"
    sim.simulate(out, "mini", 0, machines=["fan"], workers=2)
    return out


@pytest.mark.slow
def test_simulate_says_what_it_is(run, tmp_path):
    arguments = ("simulate", tmp_path / "s", "--machines", "valveEmu", "--seed", 7)
    code, out, _ = run(*arguments)
    assert code == 0
    assert "SIMULATED v1 seed 7: wrote 52 clips" in out
    assert "52 were there already" in run(*arguments)[1]
    assert "SIMULATED v1 seed 7" in (tmp_path / "s" / "manifest.json").read_text()


def test_simulate_stopped_says_what_is_kept_if_anything_is(capsys, monkeypatch, tmp_path):
    from nearfar.cli import main
    from nearfar.sim import dataset
    from nearfar.sim.scene import Rendered

    def ended(clips):
        def render(*_, **__):
            if len(list(tmp_path.rglob("*.wav"))) == clips:
                signal.raise_signal(signal.SIGTERM)
            return Rendered(np.zeros((2, 160)), np.zeros((2, 160)), np.zeros((2, 160)), {})

        monkeypatch.setattr(dataset, "render", render)
        monkeypatch.setattr(
            "sys.argv", ["nearfar", "simulate", str(tmp_path / "s"), "--workers", "1"]
        )
        with pytest.raises(SystemExit) as end:
            main.main()
        return end.value.code, capsys.readouterr().err

    assert ended(0) == (143, "terminated\n")
    assert not (tmp_path / "s").exists()
    code, err = ended(2)
    assert (code, err.count("\n")) == (143, 1)
    assert "clips that are finished are kept, the same command goes on" in err


def test_simulate_stress(run, tmp_path):
    code, out, _ = run("simulate", tmp_path, "--preset", "stress")
    assert code == 0
    assert "wrote 10 files" in out
    code, out, _ = run("inspect", tmp_path / "fan")
    assert code == 0
    for name in ("nan.wav", "truncated.wav"):
        assert name in out  # reported, and the others were looked at all the same


@pytest.mark.slow
def test_simulate_pictures_and_physics(run, tmp_path):
    code, out, _ = run("simulate", "--describe", "fan")
    assert code == 0
    assert "faults" in out
    code, out, _ = run(
        "simulate", tmp_path / "s", "--machines", "fan", "--plot", tmp_path / "pictures"
    )
    assert code == 0
    assert (tmp_path / "pictures" / "fan.png").read_bytes().startswith(b"\x89PNG")
    assert is_picture(tmp_path / "pictures" / "fan.png")


def test_simulate_refuses(run, fan, tmp_path):
    failed(run("simulate"), "--describe")
    failed(run("simulate", tmp_path / "x", "--preset", "huge"), "dev, mini, small, stress")
    failed(run("simulate", tmp_path / "x", "--machines", "fam"), "did you mean 'fan'")
    failed(run("simulate", "--describe", "fam"), "did you mean 'fan'")
    failed(run("simulate", fan, "--seed", 9), "seed 0, not 9")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a limit on file sizes")
def test_a_full_disk_stops_the_simulation_and_it_goes_on_later(tmp_path):
    import resource

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    arguments = ("simulate", tmp_path / "s", "--machines", "fan", "--workers", 1)
    process = nearfar(*arguments, preexec_fn=limit)
    _, err = finish(process)
    assert process.returncode == 2, err
    assert os.strerror(errno.EFBIG) in err
    assert "Traceback" not in err
    assert not list((tmp_path / "s").rglob("*.wav"))
    process = nearfar(*arguments)
    out, err = finish(process)
    assert "wrote 52 clips" in out, err


@pytest.mark.slow
def test_system_4_on_simulated_recordings(run, fan, tmp_path):
    """The whole street on data with known truth: it runs, and says that it is simulated."""
    code, out, _ = run("evaluate", fan, "-s", "s4", "--json", tmp_path / "e.json")
    assert code == 0
    assert "SIMULATED v1 seed 0" in out
    assert (
        json.loads((tmp_path / "e.json").read_text())["settings"]["data"] == "SIMULATED v1 seed 0"
    )


@pytest.mark.parametrize("frontend", ["mask", "cancel"])
def test_mask_writes_what_the_front_end_gives(run, fan, tmp_path, frontend):
    clip = sorted((fan / "fan" / "test").iterdir())[0]
    part = {"mask": nf.CoherenceMask(), "cancel": nf.FarCancel()}[frontend]
    code, out, _ = run("mask", clip, "-o", tmp_path / "m.wav", "--stats", "--frontend", frontend)
    assert code == 0
    assert "LR_corr" in out
    written, rate = soundfile.read(tmp_path / "m.wav", dtype="float32")
    assert rate == 16_000
    assert np.array_equal(written, part(read(clip))[0])


def test_mask_settings_and_refusals(run, fan, tmp_path):
    clip = sorted((fan / "fan" / "test").iterdir())[0]
    code, out, _ = run("mask", clip, "--stats", "--set", "floor=0.5")
    assert code == 0
    assert "floor=0.5" in out
    failed(run("mask", clip), "--stats")
    failed(run("mask", clip, "--stats", "--set", "beta=5"), "no setting 'beta'")
    failed(run("mask", tmp_path / "no.wav", "--stats"), "no such file")
    mono = write(tmp_path / "mono.wav", machine_sound(np.random.default_rng(0))[:1])
    failed(run("mask", mono, "-o", tmp_path / "x.wav"), "1 channel")
    assert not (tmp_path / "x.wav").exists()


def test_no_recording_is_written_over_unasked(run, tmp_path):
    one, other = (
        write(tmp_path / f"{name}.wav", machine_sound(np.random.default_rng(0))) for name in "ab"
    )
    before = other.read_bytes()
    failed(run("mask", one, "-o", one, "--replace"), "is an input")
    failed(run("mask", one, "-o", tmp_path / "c.flac"), "call it c.wav")
    failed(run("mask", one, "-o", other), "--replace")
    assert other.read_bytes() == before
    assert run("mask", one, "-o", other, "--replace")[0] == 0
    assert other.read_bytes() != before


def test_no_picture_of_somebody_is_drawn_over(run, tmp_path):
    (tmp_path / "fan.png").write_bytes(b"a holiday")
    command = ("simulate", tmp_path / "s", "--machines", "fan", "--plot", tmp_path)
    failed(run(*command), "fan.png", "--replace")
    assert not (tmp_path / "s").exists()  # before the data set is made


def test_pictures_that_cannot_be_drawn_are_refused_before_the_data_set(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    command = ("simulate", tmp_path / "s", "--machines", "fan", "--plot", tmp_path / "pictures")
    failed(run(*command), "pip install 'nearfar[report]'")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_inspect_real_recordings(run, shared):
    code, out, _ = run("inspect", shared / "real")
    assert code == 0
    for machine in ("ToyCar", "fanArray", "valve"):
        assert machine in out


def test_inspect_finds_what_is_wrong(run, tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path / "press" / "good.wav", machine_sound(rng))
    write(tmp_path / "press" / "same.wav", machine_sound(rng)[[0, 0]])
    (tmp_path / "press" / "text.wav").write_text("no sound")
    code, out, _ = run("inspect", tmp_path / "press")
    assert code == 0
    assert "text.wav" in out
