"""docs/plant/: what people copy beside a machine is what its own programs take."""

import re
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest
import yaml

from conftest import PATIENCE, TESTS, free_port, stop
from nearfar.service.plant import MQTT_SECRETS
from servers import server

PLANT = TESTS.parent / "docs" / "plant"
UNIT = PLANT / "nearfar-watch.service"


@pytest.fixture
def unit(tmp_path):
    """The unit, with a program in its place that is there."""
    text = UNIT.read_text(encoding="utf-8")
    copy = tmp_path / UNIT.name
    text = text.replace("/opt/nearfar/bin/nearfar", sys.executable)
    assert sys.executable in text
    if not Path("/bin/kill").exists():  # as in small containers; on a machine with systemd it is
        text = text.replace("/bin/kill", sys.executable)
    copy.write_text(text, encoding="utf-8")
    return copy


def asked(*arguments):
    program = server("systemd-analyze", "systemd")
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip


def test_systemd_finds_nothing_wrong_with_the_unit(unit):
    done = asked("verify", "--man=no", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_find_something(unit):
    """The check above sees a slip."""
    text = unit.read_text()
    line = text.split("\n").index("TimeoutStopSec=60") + 1
    unit.write_text(text.replace("TimeoutStopSec=60", "TimeoutStopSec=soon"))
    done = asked("verify", "--man=no", unit)
    assert f":{line}: Failed to parse time value" in done.stderr


def test_systemd_holds_the_unit_for_safe(unit):
    """Its own measure of exposure, of 10; below 4.0 is what it calls OK."""
    done = asked("security", "--offline=yes", "--threshold=40", "--no-pager", unit)
    if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
        pytest.skip("this systemd cannot judge a unit that is not installed")
    assert done.returncode == 0, done.stdout[-300:]


def test_the_unit_does_what_the_command_takes():
    text = UNIT.read_text(encoding="utf-8")
    said = dict(re.findall(r"(?m)^(\w+)=(.*)$", text))
    assert said["ExecReload"].endswith("kill -HUP $MAINPID")
    assert (said["KillSignal"], said["Restart"]) == ("SIGTERM", "on-failure")
    assert int(said["TimeoutStopSec"]) >= 30
    for secret in MQTT_SECRETS:
        assert secret in text


# ---- compose -------------------------------------------------------------------------------------
COMPOSE = yaml.safe_load((PLANT / "compose.yaml").read_text(encoding="utf-8"))
MADE_BY_PEOPLE = {"plant.toml", "plant.detector", "recordings", "secrets.env"}
KEYS = {  # of the Compose specification, as far as they are used
    "image", "build", "command", "restart", "stop_signal", "stop_grace_period", "depends_on",
    "env_file", "environment", "working_dir", "volumes", "ports", "healthcheck", "read_only",
    "tmpfs", "cap_drop", "security_opt",
}  # fmt: skip


def mounts():
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            yield volume.split(":")[0]


def test_every_place_in_it_is_there_or_is_made():
    """A volume that is declared, a file beside it, or what its own head says people bring."""
    head = (PLANT / "compose.yaml").read_text(encoding="utf-8").partition("services:")[0]
    assert all(name in head for name in MADE_BY_PEOPLE)
    named = {place for place in mounts() if not place.startswith(".")}
    assert named == set(COMPOSE["volumes"])
    files = [place for place in mounts() if place.startswith("./")]
    files += [f for s in COMPOSE["services"].values() for f in s.get("env_file", ())]
    for file in files:
        assert Path(file).name in MADE_BY_PEOPLE or (PLANT / file).is_file(), file
    for service in COMPOSE["services"].values():
        assert "image" in service or (PLANT / service["build"] / "Dockerfile").is_file()
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])
        assert set(service) <= KEYS


def test_it_is_open_to_this_computer_alone():
    ports = [p for s in COMPOSE["services"].values() for p in s.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_its_health_is_asked_of_a_page_that_the_watch_serves():
    said = COMPOSE["services"]["watch"]["healthcheck"]["test"]
    assert said[0] == "CMD"
    compile(said[-1], "healthcheck", "exec")
    assert "/healthz" in said[-1]


@pytest.mark.slow
def test_mosquitto_takes_the_configuration(tmp_path):
    """Started with it, on another port and with another folder, and one user."""
    program = server("mosquitto", "mosquitto")
    text, port = (PLANT / "mosquitto.conf").read_text(encoding="utf-8"), free_port()
    text = text.replace("listener 1883", f"listener {port} 127.0.0.1")
    text = text.replace("/mosquitto/data", str(tmp_path)) + "user root\n"
    (tmp_path / "passwords").write_text("")
    (tmp_path / "m.conf").write_text(text)
    broker = subprocess.Popen(
        [program, "-c", tmp_path / "m.conf"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    try:
        latest = monotonic() + PATIENCE
        while monotonic() < latest:
            assert broker.poll() is None, broker.stdout.read()
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            sleep(0.05)
        else:
            pytest.fail("nobody listens")
    finally:
        stop([broker])


def test_no_file_names_a_host_or_a_secret():
    for file in PLANT.iterdir():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!127\.0\.0\.1)", text), file
        assert not re.search(r"(?i)password\s*[:=]\s*[\"']?\w", text.replace("PASSWORD=…", "")), (
            file
        )
