"""The command download, as people call it, against a server on this machine."""

import os
import shutil
import signal
import time

import pytest

from command import failed, nearfar
from conftest import PATIENCE, finish
from nearfar.clips.download import fetching
from record_server import RecordServer, records, serve


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetching, "wait", lambda seconds: None)
    with RecordServer(records()) as running:
        monkeypatch.setenv("NEARFAR_ZENODO", running.url)
        yield running


def test_each_machine_has_its_line_and_the_licence_is_said_once(server, tmp_path, run):
    code, out, err = run("download", "dcase2026", tmp_path, "--split", "dev", "--split", "train")
    assert code == 0
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        str(tmp_path / place)
        for place in (
            "dev_data/raw/fan",
            "dev_data/raw/pump",
            "eval_data/raw/drill",
            "eval_data/raw/lathe",
        )
    ]
    assert "4 clips" in lines[0]
    assert "dev_fan.zip" in lines[0]
    assert err.count("CC BY-NC-SA 4.0") == 1
    code, out, err = run("download", "dcase2026", tmp_path, "--split", "dev")
    assert (code, err, out.count("there already")) == (0, "", 2)
    # Nor again for what lies there with its licence, when a machine comes back.
    shutil.rmtree(tmp_path / "dev_data/raw/fan")
    code, out, err = run("download", "dcase2026", tmp_path, "--split", "dev")
    assert (code, out.count("there already")) == (0, 1)
    assert "CC BY-NC-SA" not in err
    _, _, err = run("download", "dcase2026", tmp_path, "--split", "eval")
    assert err.count("CC BY-NC-SA 4.0") == 1


def test_quiet_says_no_more_than_what_came(server, tmp_path, run):
    code, out, err = run("-q", "download", "dcase2026", tmp_path, "--machines", "fan, lathe")
    assert (code, err, len(out.splitlines())) == (0, "", 3)
    again = run("-q", "download", "dcase2026", tmp_path, "--machines", "fan", "--machines", "lathe")
    assert len(again[1].splitlines()) == 3


def test_a_server_that_is_said_counts_before_the_variable(server, tmp_path, run):
    with serve() as url:
        code, _, _ = run("download", "dcase2026", tmp_path, "--split", "eval", "--server", url)
    assert (code, server.requests) == (0, [])


def test_mistakes_are_one_line_with_a_guess(server, tmp_path, run):
    where = tmp_path / "d"
    failed(run("download", "dcase2028", where), "did you mean 'dcase202")
    failed(run("download", "dcase2026", where, "--split", "evl"), "did you mean 'eval'")
    failed(run("download", "dcase2026", where, "--machines", "fna"), "did you mean 'fan'")
    failed(run("download", "dcase2026", where, "--machines", " ,"), "no machine")
    failed(run("download", "dcase2026", where, "--record", "7"), "split")
    failed(run("download", "dcase2026", where, "--record", "0"), "--record")
    failed(run("download", "dcase2026"), "DIR is missing")
    failed(
        run("download", "dcase2026", where, "--server", "zenodo"), "zenodo", "https://zenodo.org"
    )
    assert not where.exists()


@pytest.mark.parametrize("plan", [404, "html"])
def test_a_server_without_records_is_one_line(plan, server, tmp_path, run):
    server.plan["record"] = plan
    failed(run("download", "dcase2026", tmp_path), "server")


def test_interrupted_it_says_how_to_go_on_and_does(server, tmp_path, run):
    server.plan["dev_pump.zip"] = "silent"
    process = nearfar("download", "dcase2026", tmp_path, "--split", "dev")
    latest = time.monotonic() + PATIENCE
    while not server.asked("dev_pump.zip") and time.monotonic() < latest:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = finish(process)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == f"interrupted; {tmp_path}: the same command goes on from there"
    server.plan.clear()
    code, out, _ = run("download", "dcase2026", tmp_path, "--split", "dev")
    assert (code, out.count("there already"), len(out.splitlines())) == (0, 1, 2)
    assert ".download" not in os.listdir(tmp_path)
