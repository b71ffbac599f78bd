"""Answers are what /api/openapi.json says of them: asked of a small page that really has them."""

from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute

from desks import PUMP, AskedDesk, heard_by_a_watch
from nearfar.page.app import ROUTES
from nearfar.page.described import SETUP
from nearfar.service.history.changes import Change
from nearfar.service.incoming import now
from nearfar.service.news import StandingAlarm
from setups import a_setup

MODELS = {
    (method, route.path): route.response_model
    for module in ROUTES for route in module.router.routes
    if isinstance(route, APIRoute) for method in route.methods
}  # fmt: skip
NAMED = {"{machine}": "pump", "{name}": "near", "{kind}": "desk", "{number}": "1"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    made = AskedDesk(heard_by_a_watch(tmp_path_factory.mktemp("plant"), keep_audio="all"))
    alarm = StandingAlarm(1, "machine", "sound", "pump", "00", since=now(), told="3 of 5")
    made.store.keep(Change(None, alarms=(alarm,)))
    made.ask("POST", "/api/alarms/1/note", {"note": "ordered", "who": "kim"})
    yield made
    made.close()


@pytest.fixture(scope="module")
def described(desk):
    return desk.app.openapi()["paths"]


def fits(model, told):
    """It has all that the model says, as it says, and nothing else."""
    found = model.model_validate(told, strict=False)
    assert found.model_dump(by_alias=True, exclude_unset=True) == told


def path_of(desk, path):
    for name, value in (NAMED | {"{digest}": desk.digest("odd0.wav")}).items():
        path = path.replace(name, quote(value))
    return path


@pytest.mark.slow
def test_each_answer_to_a_look_is_described(desk, described):
    walked = 0
    for path, verbs in described.items():
        if "get" not in verbs or path == "/api/events":  # which has no end
            continue
        walked += 1
        reply = desk.client.get(path_of(desk, path))
        told = verbs["get"]["responses"].get(str(reply.status_code))
        assert told is not None, (path, reply.status_code, reply.text)
        kind = reply.headers["Content-Type"].partition(";")[0]
        assert kind in told["content"], (path, reply.status_code)
        if reply.status_code == 200 and kind == "application/json":
            fits(MODELS["GET", path.removeprefix("/api")], reply.json())
    assert walked > 10


@pytest.mark.slow
def test_each_answer_to_a_deed_fits_its_model(desk):
    clip = "/machines/{machine}/clips/{digest}"
    for method, path, body in (
        ("POST", "/alarms/{number}/acknowledge", {"note": "seen", "who": "kim"}),
        ("POST", clip + "/fault", {}), ("DELETE", clip + "/label", {}),
        ("POST", clip + "/normal", {}), ("DELETE", clip + "/label", {}),
        ("PUT", "/machines/{machine}/threshold", {"false_alarm_rate": 0.2}),
        ("POST", "/session", {"token": "any"}),
    ):  # fmt: skip
        told = desk.ask(method, path_of(desk, f"/api{path}"), body)
        fits(MODELS[method, path], told)
    sound = (desk.behind.plant.sources[0].place, "odd0.wav")
    with open("/".join(map(str, sound)), "rb") as file:
        reply = desk.client.post(f"{PUMP}/score?explain=true", files={"audio": file})
    fits(MODELS["POST", "/machines/{machine}/score"], reply.json())


def test_the_state_of_a_setup_fits_its_model(tmp_path):
    with a_setup(tmp_path) as desk:
        SETUP.model_validate({"schema": 1} | desk.setup.state)


def test_a_part_of_a_sound_is_described_as_one(described):
    told = described["/api/machines/{machine}/clips/{digest}/audio/{name}"]["get"]["responses"]
    assert {"200", "206", "410", "416"} <= set(told)
    assert list(told["206"]["content"]) == ["audio/flac"]


def test_no_answer_is_left_without_a_shape_or_a_kind(described):
    for path, verbs in described.items():
        for verb, told in verbs.items():
            good = [code for code in told["responses"] if code < "300"]
            assert good == ["202"] or good[0] == "200", (verb, path)
            for code in good:
                for kind, shape in told["responses"][code]["content"].items():
                    assert shape["schema"], (verb, path, kind)
    assert list(described["/api/events"]["get"]["responses"]["200"]["content"]) == [
        "text/event-stream"
    ]  # fmt: skip


def test_how_a_request_says_who_asks_is_described(desk, described):
    made = desk.app.openapi()
    assert set(made["components"]["securitySchemes"]) == {"bearer", "cookie"}
    assert {"bearer": []} in made["security"]
    assert described["/api/about"]["get"]["security"] == []
    assert "security" not in described["/api/machines"]["get"]
