"""The command line as people use it: what it prints, writes, and exits with."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import nearfar as nf
from command import failed, nearfar
from conftest import PATIENCE, RATE, finish, machine_sound, write, write_machine
from nearfar.sound.audio import read

# ---- the street ------------------------------------------------------------------------------


def test_fit_score_evaluate(run, dcase, tmp_path):
    det = tmp_path / "det"
    code, out, _ = run("fit", dcase, "-s", "s4", "-o", det)
    assert code == 0
    for word in ("fan", "pump", "LR_corr", "threshold", f"wrote {det}", "false alarms"):
        assert word in out
    code, out, _ = run("score", det, dcase / "fan" / "test", "--csv", tmp_path / "s.csv")
    assert code == 0
    assert out.count("ANOMALOUS") >= 6
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert len(rows) == 12
    assert set(rows[0]) >= {"machine", "clip", "score", "percentile", "anomalous", "nearest"}
    code, out, _ = run("evaluate", dcase, "--detector", det, "--json", tmp_path / "e.json")
    assert code == 0
    assert "Ω" in out
    assert "logmel" in out
    figures = json.loads((tmp_path / "e.json").read_text())
    # So few clips, all told apart: either an interval, or the reason why there is none.
    low, high = figures["interval"] or (figures["omega"], figures["omega"])
    assert 0 <= low <= figures["omega"] <= high <= 1
    assert figures["interval"] or figures["doubt"]
    assert {"auc_source", "auc_target", "pauc"} <= set(figures["machines"]["fan"]["00"])
    assert figures["versions"]["nearfar"] == nf.__version__
    assert figures["settings"]["system"]["type"] == "System"
    code, _, _ = run("evaluate", dcase, "-s", "s4", "--json", tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text())["omega"] == figures["omega"]


def test_score_as_json(run, detector_folder, dcase):
    code, out, _ = run("score", detector_folder, dcase / "fan" / "test", "--json", "-")
    verdicts = json.loads(out)["scores"]
    assert code == 0
    assert {v["anomalous"] for v in verdicts} == {True, False}
    assert all(isinstance(v["score"], float) for v in verdicts)


def test_exit_code_of_an_anomaly_only_with_the_flag(run, detector_folder, dcase):
    test = dcase / "fan" / "test"
    bad = next(test.glob("*anomaly*"))
    assert run("score", detector_folder, bad, "--machine", "fan")[0] == 0
    assert run("score", detector_folder, bad, "--machine", "fan", "--fail-on-anomaly")[0] == 1


def test_a_plain_folder_of_one_machine_needs_no_name(run, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(12):
        write(tmp_path / "press 7" / f"{i}.wav", machine_sound(rng))
    new = write(tmp_path / "today.wav", machine_sound(rng, anomaly=True))
    det = tmp_path / "det"
    assert run("fit", tmp_path / "press 7", "-o", det)[0] == 0
    code, out, _ = run("score", det, new)
    assert code == 0
    assert "press 7" in out
    assert "ANOMALOUS" in out


def test_thresholds_are_changed_without_fitting(run, detector_folder, tmp_path):
    import shutil

    det = tmp_path / "det"
    shutil.copytree(detector_folder, det)
    before = nf.load(det).threshold("fan").value
    code, out, _ = run("threshold", det, "--false-alarm-rate", "0.5")
    assert code == 0
    assert "(46.2 % of normal clips)" in out  # six of thirteen, twelve and a new one
    assert nf.load(det).threshold("fan").value < before
    code, out, _ = run("threshold", det, "--false-alarm-rate", "0.01")
    assert "needs at least 99 normal clips, there are 12" in out


def test_systems(run):
    code, out, _ = run("systems")
    assert code == 0
    assert "s4" in out
    assert "logmel" in out
    assert "trained parameters" in out
    code, out, _ = run("systems", "s4")
    assert eval(out, {n: getattr(nf, n) for n in nf.__all__}) == nf.s4()


def test_settings_and_own_file(run, dcase, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import dataclass, replace\n"
        "from typing import ClassVar\n"
        "import numpy as np\n"
        "import nearfar as nf\n"
        "@dataclass(frozen=True)\n"
        "class Loudness:\n"
        "    channels: ClassVar[int] = 1\n"
        "    dim: ClassVar[int] = 1\n"
        "    fingerprint: ClassVar[str] = 'loudness-1'\n"
        "    def __call__(self, audios):\n"
        "        return np.array([[a.std()] for a in audios], dtype=np.float32)\n"
        "loud = nf.System(nf.Near(), Loudness(), nf.KNN(metric='euclidean'))\n"
    )
    code, out, _ = run("systems", f"{mine}:loud")
    assert code == 0
    assert "Loudness()" in out
    det = tmp_path / "det"
    # 24 training clips are two jobs: worker processes must know the file too
    assert run("fit", dcase, "-s", f"{mine}:loud", "-o", det, "--workers", 2)[0] == 0
    failed(run("score", det, dcase / "fan" / "test"), "Loudness", "--part")
    assert run("score", det, dcase / "fan" / "test", "--part", f"{mine}:Loudness")[0] == 0
    code, out, _ = run("systems", "s4", "--set", "whitening.shrinkage=0.2")
    assert "shrinkage=0.2" in out
    code, out, _ = run(
        "systems", "s4", "--set", "enrichment.ResidualAugmentation.match_levels=True"
    )
    assert "match_levels=True" in out
    code, out, _ = run("systems", "s4", "--set", "rule.weights=1,-0.35,-0.05")
    assert "weights=(1, -0.35, -0.05)" in out


@pytest.mark.slow
def test_features(run, dcase, tmp_path):
    clip = next((dcase / "fan" / "train").glob("*.wav"))
    code, out, _ = run("features", clip)
    assert code == 0
    assert len(out.splitlines()) >= 121
    code, out, _ = run("features", clip, "--json", "-")
    values = json.loads(out)["features"]
    assert list(values) == list(nf.DIF().names)
    code, out, _ = run("features", clip, "--all", "--json", "-")
    assert len(json.loads(out)["features"]) == 151
    code, out, _ = run("features", "--select", dcase, "--keep", 5, "--json", "-")
    chosen = json.loads(out)
    assert code == 0
    assert len(chosen["names"]) == 5
    assert len(chosen["shift"]) == 151
    code, out, _ = run("features", "--select", dcase, "--keep", 5)
    assert "DIF(names=" in out


def test_score_files_of_anyone(run, shared, tmp_path):
    gold = shared / "gold" / "eval" / "dev7_realistic"
    code, out, _ = run(
        "evaluate", "--scores", gold, "--truth", gold / "truth.csv", "--json", tmp_path / "e.json"
    )
    assert code == 0
    figures = json.loads((tmp_path / "e.json").read_text())
    assert figures["omega"] == pytest.approx(0.640053064704747, abs=1e-12)
    assert "64.01" in out


def test_two_mono_files_from_a_csv(run, tmp_path):
    rng = np.random.default_rng(0)
    rows = ["near,far,machine"]
    for i in range(5):
        audio = machine_sound(rng)
        write(tmp_path / f"n{i}.wav", audio[:1])
        write(tmp_path / f"f{i}.wav", audio[1:])
        rows.append(f"n{i}.wav,f{i}.wav,press")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    assert run("fit", tmp_path / "clips.csv", "-o", tmp_path / "det")[0] == 0


def test_a_long_recording_is_cut(run, tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path / "press" / "hour.wav", np.concatenate([machine_sound(rng, 3)] * 4, axis=1))
    noise = np.random.default_rng(1).standard_normal((2, 12 * RATE)) * 0.01
    write(tmp_path / "press" / "noise.wav", noise)
    det = tmp_path / "det"
    assert run("fit", tmp_path / "press", "-o", det, "--clip-seconds", 2)[0] == 0
    _, out, _ = run("score", det, tmp_path / "press", "--clip-seconds", 2, "--json", "-")
    assert len(json.loads(out)["scores"]) == 12


# ---- what a user can get wrong ---------------------------------------------------------------


def bad_clips(folder):
    """name → a recording that cannot be used, and what the message must say."""
    rng = np.random.default_rng(0)
    good = machine_sound(rng)
    nan = good.copy()
    nan[1, 77] = np.nan
    silent = good.copy()
    silent[0] = 0
    write(folder / "mono.wav", good[:1])
    write(folder / "three.wav", np.concatenate([good, good[:1]]))
    write(folder / "nan.wav", nan, subtype="FLOAT")
    inf = np.where(np.isnan(nan), np.inf, nan)
    write(folder / "inf.wav", inf, subtype="FLOAT")
    write(folder / "silent.wav", silent)
    write(folder / "both.wav", 0 * good)
    write(folder / "short.wav", good[:, : RATE - 1])
    write(folder / "nothing.wav", good[:, :0])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound")
    whole = write(folder / "whole.flac", good, subtype="PCM_16").read_bytes()
    (folder / "whole.flac").unlink()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    return {
        "mono.wav": "need 2 (near, far)", "three.wav": "3 channels",
        "nan.wav": "far channel has NaN",
        "inf.wav": "infinite", "silent.wav": "near channel is digitally silent",
        "both.wav": "digitally silent", "short.wav": "need at least 1 s",
        "nothing.wav": "no samples",
        "empty.wav": "empty", "text.wav": "not a readable WAV", "cut.flac": "cut.flac",
    }  # fmt: skip


BAD = [
    "mono.wav", "three.wav", "nan.wav", "inf.wav", "silent.wav", "both.wav", "short.wav",
    "nothing.wav", "empty.wav", "text.wav", "cut.flac",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clip_stops_fit_and_score(name, run, tmp_path, detector_folder):
    rng = np.random.default_rng(1)
    data = tmp_path / "press"
    for i in range(4):
        write(data / f"{i}.wav", machine_sound(rng))
    stock = tmp_path / "stock"
    words = bad_clips(stock)[name]
    (stock / name).rename(data / name)
    det = tmp_path / "det"
    failed(run("fit", data, "-o", det), name, words)
    assert not det.exists()
    failed(
        run("score", detector_folder, data, "--machine", "fan", "--csv", tmp_path / "s.csv"), name
    )
    assert not (tmp_path / "s.csv").exists()
    code, _, err = run("fit", data, "-o", det, "--skip-bad")
    assert code == 0
    assert "left out" in err
    assert name in err


def test_anomalous_clips_in_fit(run, tmp_path):
    write_machine(tmp_path, "fan", 0, source=4, target=0, test=1)
    bad = next((tmp_path / "fan" / "test").glob("*anomaly*"))
    bad.rename(tmp_path / "fan" / "train" / bad.name.replace("_test_", "_train_"))
    failed(run("fit", tmp_path, "-o", tmp_path / "det"), "anomal")


def test_unknown_names(run, detector_folder, dcase, tmp_path):
    failed(run("fit", dcase, "-s", "s9", "-o", tmp_path / "d"), "s9", "s4")
    failed(run("fit", dcase, "-s", "missing.py:x", "-o", tmp_path / "d"), "missing.py")
    failed(
        run("fit", dcase, "-o", tmp_path / "d", "--set", "whitening.shrinkge=1"),
        "did you mean 'shrinkage'",
    )
    failed(run("fit", dcase, "-o", tmp_path / "d", "--set", "folds=many"), "folds", "many")
    code, _, err = run("fit", dcase, "-o", tmp_path / "d", "--channel-order", "left-right")
    assert code == 2
    assert "left-right" in err
    failed(run("fit", tmp_path / "nowhere", "-o", tmp_path / "d"), "nowhere")
    failed(run("score", detector_folder, dcase, "--machine", "pmup"), "pmup", "did you mean 'pump'")
    failed(run("score", tmp_path / "nowhere", dcase), "nowhere", "nearfar fit")
    failed(run("evaluate"), "DATA")
    failed(run("evaluate", "--scores", tmp_path), "--truth")
    assert not (tmp_path / "d").exists()


def test_a_folder_that_is_not_ours_is_left_alone(run, dcase, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").write_text("cat")
    failed(run("fit", dcase, "-o", tmp_path / "photos"), "photos")
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["cat.txt"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(run, dcase, tmp_path):
    tmp_path.chmod(0o500)
    failed(run("fit", dcase, "-o", tmp_path / "d"), "cannot be written")


def test_output_below_a_file(run, dcase, tmp_path):
    (tmp_path / "file").write_text("")
    failed(run("fit", dcase, "-o", tmp_path / "file" / "det"), "cannot be written")
    failed(run("fit", dcase, "-o", tmp_path / "file"), "is a file")


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on file sizes")
def test_a_full_disk_leaves_the_old_detector(dcase, detector_folder, tmp_path):
    """RLIMIT_FSIZE: writes fail in the middle, as on a full disk."""
    import resource
    import shutil

    det = tmp_path / "det"
    shutil.copytree(detector_folder, det)
    before = {p.name: p.read_bytes() for p in det.iterdir()}

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = nearfar(
        "fit", dcase, "-o", det, "--set", "seed=7", "--no-cache", "--workers", 1, preexec_fn=limit
    )
    _, err = finish(process)
    assert process.returncode == 2, err
    assert "cannot be written" in err
    assert "Traceback" not in err
    assert {p.name: p.read_bytes() for p in det.iterdir()} == before


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.slow
def test_ctrl_c_keeps_the_cache_and_leaves_no_folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(400):
        write(tmp_path / "press" / f"{i}.wav", machine_sound(rng, 2.0))
    environment = {**os.environ, "NEARFAR_CACHE": str(tmp_path / "cache")}
    process = nearfar(
        "fit", tmp_path / "press", "-o", tmp_path / "det", "--workers", 1,
        env=environment, start_new_session=True,
    )  # fmt: skip
    cache = tmp_path / "cache" / "embeddings.sqlite"
    deadline = time.monotonic() + PATIENCE
    while rows_in(cache) < 16 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = finish(process)
    kept = rows_in(cache)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not (tmp_path / "det").exists()
    assert 16 <= kept < 400
    process = nearfar(
        "fit", tmp_path / "press", "-o", tmp_path / "det", "--workers", 1, env=environment
    )
    _, err = finish(process)
    assert process.returncode == 0, err
    assert rows_in(cache) == 400


def rows_in(cache):
    import contextlib
    import sqlite3

    if not cache.exists():
        return 0
    with contextlib.closing(sqlite3.connect(cache, timeout=PATIENCE)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM rows").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def test_what_a_person_should_doubt_is_said(run, tmp_path):
    """Another length, the very clip it was fitted on, a place that cannot hold a detector."""
    rng = np.random.default_rng(0)
    for i in range(5):
        write(tmp_path / "press" / f"{i}.wav", machine_sound(rng))
    det = tmp_path / "det"
    assert run("fit", tmp_path / "press", "-o", det)[0] == 0
    assert "replacing" in run("fit", tmp_path / "press", "-o", det)[1]
    _, _, err = run("score", det, tmp_path / "press" / "0.wav")
    assert "this very recording was fitted on or learnt" in err
    long = write(tmp_path / "long.wav", machine_sound(rng, 6.0))
    _, _, err = run("score", det, long)
    assert "--clip-seconds 1.5" in err
    assert "warning" not in run("score", det, long, "--clip-seconds", 1.5)[2]


def test_a_pair_named_twice_is_one_clip(run, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(5):
        audio = machine_sound(rng)
        write(tmp_path / "press" / f"{i}_near.wav", audio[:1])
        write(tmp_path / "press" / f"{i}_far.wav", audio[1:])
    det = tmp_path / "det"
    assert run("fit", tmp_path / "press", "-o", det)[0] == 0
    files = sorted((tmp_path / "press").glob("0_*.wav"))
    assert len(json.loads(run("score", det, *files, "--json", "-")[1])["scores"]) == 1


def test_2021_is_not_called_omega(run, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        name = f"section_00_source_train_normal_{i:04d}_strength_1.wav"
        write(tmp_path / "fan" / "train" / name, machine_sound(rng)[:1])
        for domain in ("source", "target"):
            for label in ("normal", "anomaly"):
                sound = machine_sound(rng, anomaly=label == "anomaly")[:1]
                name = f"section_00_{domain}_test_{label}_{i:04d}.wav"
                write(tmp_path / "fan" / f"{domain}_test" / name, sound)
    code, out, _ = run("evaluate", tmp_path, "-s", "logmel")
    assert code == 0
    assert "Ω" not in out
    assert "2021" in out
    assert "excluded" not in failed(
        run("evaluate", tmp_path, "-s", "logmel", "--detector", tmp_path), "exclude each other"
    )


@pytest.mark.slow
def test_far_near_data_are_evaluated_as_such(run, dcase, tmp_path):
    for path in dcase.rglob("*.wav"):
        write(tmp_path / path.relative_to(dcase), read(path)[::-1])
    swapped, straight = tmp_path / "a.json", tmp_path / "b.json"
    order = ("--channel-order", "far-near")
    assert run("evaluate", tmp_path, *order, "--no-floor", "--json", swapped)[0] == 0
    assert run("evaluate", dcase, "--no-floor", "--json", straight)[0] == 0
    omegas = [json.loads(path.read_text())["omega"] for path in (swapped, straight)]
    assert omegas[0] == omegas[1]


@pytest.mark.slow
def test_names_are_no_markup_and_survive_an_old_console(tmp_path, capfd):
    rng = np.random.default_rng(0)
    for i in range(5):
        write(tmp_path / "a[b" / f"{i}].wav", machine_sound(rng))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for arguments in (
        ("fit", tmp_path / "a[b", "-o", tmp_path / "det", "--machine", "[/x] :smile:"),
        ("score", tmp_path / "det", tmp_path / "a[b" / "1].wav"),
        ("threshold", tmp_path / "det"),
        ("systems",),
    ):
        process = nearfar(*arguments, env=environment)
        out, err = finish(process)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        if arguments[0] != "systems":
            assert "[/x] :smile:" in out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
def test_a_full_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "nearfar", "systems"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_systems_of_ones_own_that_fail(run, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("def needs(x): return x\ndef fails(): raise KeyError('no')\nnothing = 3\n")
    failed(run("systems", f"{mine}:needs"), "no arguments")
    failed(run("systems", f"{mine}:fails"), "KeyError")
    failed(run("systems", f"{mine}:nothing"), "need a System")


def test_a_machine_without_a_name(run, dcase, tmp_path):
    failed(run("fit", dcase / "fan", "-o", tmp_path / "d", "--machine", ""), "machine")
    failed(run("fit", dcase / "fan", "-o", tmp_path / "d", "--machine", "a\nb"), "machine")


def test_a_foreign_index_is_left_alone(run, dcase, tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "detector.json").write_text('{"my": "config"}')
    failed(run("fit", dcase, "-o", tmp_path / "o"), "not ours")
    assert (tmp_path / "o" / "detector.json").read_text() == '{"my": "config"}'


def test_machines_the_detector_does_not_know_are_named(run, dcase, tmp_path):
    assert run("fit", dcase / "fan", "-o", tmp_path / "d")[0] == 0
    code, out, _ = run("evaluate", dcase, "--detector", tmp_path / "d")
    assert code == 0
    assert "unknown to the detector: pump" in out
    failed(run("evaluate", dcase, "--detector", tmp_path / "d", "--set", "seed=3"), "exclude")
