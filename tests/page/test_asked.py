"""A machine in a path, whatever it is called."""

from urllib.parse import quote

import pytest

from desks import AskedDesk
from nearfar.page.asked import whole
from nearfar.service.plant import (
    DetectorSettings,
    HistorySettings,
    MachineSettings,
    PlantSettings,
    SourceSettings,
)
from plants import by_hand

NAMES = (
    "hall/a+b", "<b>", "x" * 300, "two\nlines", "مضخة ٧", "🏭 Lüfter/7 ?#%", "a/clips", "%2F",
    "machines",
)  # fmt: skip
ROUTES = (
    ("GET", "", 200), ("GET", "/clips", 200), ("GET", "/timeline", 200), ("GET", "/threshold", 200),
    ("PUT", "/threshold", 200), ("POST", "/score", 415), ("GET", f"/clips/{'0' * 64}", 404),
    ("POST", f"/clips/{'0' * 64}/normal", 404), ("DELETE", f"/clips/{'0' * 64}/label", 409),
    ("GET", f"/clips/{'0' * 64}/audio/near", 404),
)  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    by_hand([(name, "00") for name in NAMES]).save(folder / "det")
    machines = [MachineSettings(name, "00", DetectorSettings(folder / "det"), {}) for name in NAMES]
    plant = PlantSettings(
        tuple(machines), (SourceSettings("hall", "folder", str(folder)),),
        history=HistorySettings(str(folder / "plant.db")),
    )  # fmt: skip
    made = AskedDesk(plant)
    yield made
    made.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_machine_is_found_by_what_it_is_called_on_all_its_routes(desk, name):
    place = f"/api/machines/{quote(name, safe='')}"
    assert desk.ask("GET", place)["machine"] == name
    assert desk.ask("GET", place.replace("/api", "/api/v1"))["machine"] == name
    for method, rest, status in ROUTES:
        body = {"false_alarm_rate": 0.1} if method == "PUT" else None if method == "GET" else {}
        told = desk.ask(method, place + rest, body, status)
        assert "there is nothing" not in told.get("error", ""), (method, rest)


def test_one_that_is_not_there_is_said_with_its_name(desk):
    told = desk.ask("GET", "/api/machines/hall%2Fa", status=404)
    assert "hall/a+b" in told["error"]


def test_only_the_name_of_a_machine_stays_as_it_was_sent():
    assert whole("/api/v1/machines/a%2Fb/clips/%20", "") == "/api/v1/machines/a%2Fb/clips/ "
    assert whole("/api/about%2F", "/api/about/") == "/api/about/"
    assert whole("/static/machines/a%2Fb", "/static/machines/a/b") == "/static/machines/a/b"
