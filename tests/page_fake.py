"""A server with made-up machines that answers as the page's own does; for tests of what is drawn.

It keeps the contract of docs/page.md and none of the work: no detector, no history, no sound.
"""

import asyncio
import json
import math
import random
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from nearfar.page.app import STATIC

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'"
)
STRANGE = (
    "<img src=x onerror=alert(1)>", "two\nlines", "مضخة رقم ٧", "🏭 Lüfter/7 ?#%", "x" * 300,
)  # fmt: skip
WORDS = ("active", "acknowledged", "cleared", "shelved")


def clip_made(number, at, machine="pump", **changes):
    """A judged clip as JSON has it."""
    chance = random.Random(number * 7919 + len(machine))
    p = max(0.001, chance.random())
    made = {
        "row": number, "at": at.isoformat(), "at_ms": int(at.timestamp() * 1000), "source": "hall",
        "name": f"{machine}/{number}.wav", "machine": machine, "section": "00",
        "time": at.isoformat(), "arrived": at.isoformat(), "seconds": 10.0,
        "digest": f"{number:064x}", "status": "judged", "score": 1 - math.log10(p),
        "percentile": 1 - p, "p_value": p, "threshold": 3.0, "anomalous": p <= 0.01,
        "nearest": "normal_12.wav", "near_level": -20.0 - chance.random(),
        "far_level": -41.0 - chance.random(), "ratio": 21.0, "coherence": 0.04, "faults": [],
        "warning": "", "detector": "0123456789ab", "label": None, "learnt": False,
    }  # fmt: skip
    return made | changes


def alarm_made(number, machine, state="active", kind="machine", now=None, **changes):
    """An alarm as JSON has it."""
    now = now or datetime.now(UTC)
    since = now - timedelta(minutes=17 * number)
    told = f"{machine}: 3 of the last 5 clips are above their thresholds; listen to the last one"
    done = (now - timedelta(minutes=4)).isoformat()
    made = {
        "id": number, "kind": kind, "condition": "sound" if kind == "machine" else kind,
        "machine": machine, "section": "00", "since": since.isoformat(), "told": told,
        "cleared": done if state in ("cleared", "closed") else None,
        "acknowledged": done if state in ("acknowledged", "closed") else None,
        "note": "Bearing is hot, Kai looks at it" if state == "acknowledged" else "",
        "shelved_until": (now + timedelta(hours=7)).isoformat() if state == "shelved" else None,
        "state": state,
    }  # fmt: skip
    return made | changes


def machine_made(name, alarms=(), label=None, last=None, **changes):
    """How a machine is, as JSON has it."""
    now = datetime.now(UTC)
    last = last or clip_made(sum(map(ord, name)), now - timedelta(seconds=8), name, p_value=0.42,
                             anomalous=False)  # fmt: skip
    words = {kind: next((a["state"] for a in alarms if a["kind"] == kind), "none")
             for kind in ("machine", "sensor", "drift")}  # fmt: skip
    stands = words["machine"] in ("active", "acknowledged")
    state = "alarm" if stands else "anomalous" if last["anomalous"] else "normal"
    keys = ("score", "percentile", "p_value", "threshold", "anomalous", "nearest", "near_level",
            "far_level", "ratio", "coherence", "warning", "detector")  # fmt: skip
    made = {
        "machine": name, "section": "00", "state": state, "running": True,
        "sound": words["machine"],
        "sensor": words["sensor"], "drift": words["drift"], "faults": [], "clips": 8640,
        "name": last["name"], "judged": last["arrived"], "heard": last["arrived"],
        "alarms": list(alarms), "label": label or name, "threshold_p": 0.01,
    }  # fmt: skip
    return made | {key: last[key] for key in keys} | changes


def three():
    """One in alarm, one with a dead microphone, one that is well."""
    bad = clip_made(5, datetime.now(UTC) - timedelta(seconds=9), "pump", p_value=0.0012,
                    anomalous=True)  # fmt: skip
    dead = alarm_made(3, "fan 2", kind="sensor", condition="far dead",
                      told="the far channel is one constant value; check microphone")  # fmt: skip
    return [
        machine_made("pump", [alarm_made(7, "pump")], last=bad),
        machine_made("fan 2", [dead], faults=["far dead"], state="unjudged"),
        machine_made("Lüfter 7"),
    ]


def hundred():
    """As many as a hall has, in every state, with names that are none."""
    made = []
    for number in range(100):
        name = STRANGE[number] if number < len(STRANGE) else f"pump {number}"
        alarms = [alarm_made(number + 1, name, WORDS[number % 4])] if number % 12 == 0 else []
        last = clip_made(number, datetime.now(UTC) - timedelta(seconds=7 * number), name)
        changes = {}
        if number % 17 == 3:
            changes = {"state": "idle"}
        if number % 23 == 5:
            changes = {"faults": ["near clipped", "moved"]}
        if number % 29 == 6:
            changes = {"state": "unknown", "p_value": None, "heard": None}
        if number % 31 == 7:
            alarms = [alarm_made(200 + number, name, "active", "drift")]
        made.append(machine_made(name, alarms, last=last, **changes))
    return made


def month(machine="pump", until=None, every=timedelta(minutes=10)):
    """A month of clips, oldest first: idle one day a week, two faults, a dead microphone."""
    until = until or datetime.now(UTC)
    rests = (until - timedelta(days=3)).weekday()
    count = int(timedelta(days=30) / every)
    clips = []
    for number in range(count):
        at = until - every * (count - 1 - number)
        changes = {}
        if at.weekday() == rests:
            changes = {"status": "idle", "p_value": None, "score": None, "anomalous": None}
        elif 0.4 < number / count < 0.415:
            changes = {"status": "unjudged", "p_value": None, "anomalous": None,
                       "faults": ["far dead"], "warning": "far channel is constant"}  # fmt: skip
        elif number / count > 0.985 or 0.6 < number / count < 0.61:
            p = 0.001 * (1 + number % 5)
            changes = {
                "p_value": p,
                "anomalous": True,
                "label": "fault" if not number % 7 else None,
            }
        clips.append(clip_made(number + 1, at, machine, **changes))
    return clips


def timeline_of(clips, alarms, since, until, points, machine):
    """A month as columns: buckets where there are more clips than points."""
    within = [c for c in clips if since <= c["at_ms"] <= until]
    columns = {k: [] for k in ("at", "p", "judged", "anomalous", "idle", "unjudged", "faults",
                               "digest")}  # fmt: skip
    step = None if len(within) <= points else math.ceil((until - since) / points)
    for start, group in _grouped(within, step):
        judged = [c for c in group if c["p_value"] is not None]
        least = min(judged, key=lambda c: c["p_value"], default=group[0])
        row = (start, least["p_value"], len(judged), sum(bool(c["anomalous"]) for c in group),
               sum(c["status"] == "idle" for c in group),
               sum(c["status"] == "unjudged" for c in group),
               sum(bool(c["faults"]) for c in group), least["digest"])  # fmt: skip
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return {
        "schema": 1, "machine": machine, "section": "00", "since": since, "until": until,
        "step_ms": step, "rate": 0.01, "threshold": 3.0, "points": columns, "alarms": alarms,
        "first_ms": clips[0]["at_ms"] if clips else None,
        "last_ms": clips[-1]["at_ms"] if clips else None,
    }  # fmt: skip


def _grouped(clips, step):
    groups = {}
    for clip in clips:
        groups.setdefault(clip["at_ms"] // step * step if step else clip["at_ms"], []).append(clip)
    return groups.items()


class Fake:
    """What is served; tests change it while it is looked at."""

    def __init__(self, machines, token=None):
        self.machines = {one["machine"]: one for one in machines}
        self.clips = month()
        self.token = token
        self.asked = []  # method and path of every request
        self.answers = []  # what alarms were answered with
        self.listeners = set()
        self.started = datetime.now(UTC).isoformat()
        self.role = "operator"

    def send(self, event, data):
        """Tell all pages that listen."""
        for loop, queue in tuple(self.listeners):
            loop.call_soon_threadsafe(queue.put_nowait, (event, json.dumps(data)))

    def alarms_of(self, machine):
        """Those that stand, and two of the past."""
        now = datetime.now(UTC)
        past = [
            alarm_made(number, machine, state, since=(now - timedelta(days=days)).isoformat(),
                       cleared=(now - timedelta(days=days - 0.6)).isoformat(), )
            for number, state, days in ((2, "closed", 12.4), (4, "shelved", 5))
        ]  # fmt: skip
        return [alarm | {"digest": f"{alarm['id'] + 100:064x}", "from_ms": 0, "to_ms": None}
                for alarm in past + self.machines[machine]["alarms"]]  # fmt: skip

    def answer(self, number, verb, said):
        """A person answers an alarm."""
        self.answers.append((number, verb, said))
        words = {"acknowledge": "acknowledged", "shelve": "shelved", "unshelve": "active"}
        for machine in self.machines.values():
            for alarm in machine["alarms"]:
                if alarm["id"] == number:
                    alarm["state"] = words.get(verb, alarm["state"])
                    alarm["note"] = said.get("note") or alarm["note"]
                    if alarm["kind"] == "machine":
                        machine["sound"] = alarm["state"]
                    return alarm
        return None


def app_of(fake):
    """The application."""
    from fastapi import FastAPI, Request
    from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
    from starlette.convertors import StringConvertor, register_url_convertor
    from starlette.staticfiles import StaticFiles

    class AnyName(StringConvertor):
        regex = r"[\s\S]+"  # names with / and with line ends too

    register_url_convertor("anyname", AnyName())
    app = FastAPI(openapi_url=None)

    @app.middleware("http")
    async def guard(request: Request, call_next):
        fake.asked.append(f"{request.method} {request.url.path}")
        given = request.cookies.get("nearfar")
        open_to_all = request.url.path in ("/", "/api/about", "/api/session")
        if fake.token and given != fake.token and not open_to_all and "/api/" in request.url.path:
            return JSONResponse({"error": "sign in first", "faults": []}, 401)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/")
    def first():
        return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")

    @app.get("/api/about")
    def about(request: Request):
        inside = not fake.token or request.cookies.get("nearfar") == fake.token
        watch = {"started": fake.started, "ready": True, "queued": 0, "awaited": 0, "unkept": 0,
                 "history": "", "sources": {"hall": ""}, "outputs": []}  # fmt: skip
        return {"schema": 1, "version": "0.0", "role": fake.role if inside else None,
                "needs_token": fake.token is not None, "watches": True, "ready": True,
                "can_setup": True, "history": True, "keeps_sound": True,
                "upload_limit": 100_000_000, "watch": watch}  # fmt: skip

    @app.post("/api/session")
    async def enter(request: Request):
        if (await request.json())["token"] != fake.token:
            return JSONResponse({"error": "this token is none of ours", "faults": []}, 401)
        response = JSONResponse({"schema": 1})
        response.set_cookie("nearfar", fake.token, httponly=True, samesite="strict", path="/")
        return response

    @app.delete("/api/session")
    def leave():
        response = JSONResponse({"schema": 1})
        response.delete_cookie("nearfar")
        return response

    @app.get("/api/events")
    async def events():
        queue = asyncio.Queue()
        mine = (asyncio.get_running_loop(), queue)
        fake.listeners.add(mine)

        async def lines():
            try:
                yield ": listening\n\n"
                while (told := await queue.get()) is not None:
                    yield f"event: {told[0]}\ndata: {told[1]}\n\n"
            finally:
                fake.listeners.discard(mine)

        return StreamingResponse(lines(), media_type="text/event-stream")

    @app.get("/api/machines")
    def machines():
        return {"schema": 1, "machines": list(fake.machines.values())}

    @app.get("/api/alarms")
    def alarms():
        found = [alarm for one in fake.machines.values() for alarm in one["alarms"]]
        return {"schema": 1, "alarms": found}

    @app.post("/api/alarms/{number}/{verb}")
    async def answer(number: int, verb: str, request: Request):
        alarm = fake.answer(number, verb, await request.json())
        if alarm is None:
            return JSONResponse({"error": f"no alarm {number}", "faults": []}, 404)
        return {"schema": 1, "alarm": alarm}

    @app.get("/api/audit")
    def audit(limit: int = 50, before: int = 120):
        now = datetime.now(UTC)
        rows = [
            {"id": n, "at": (now - timedelta(hours=120 - n)).isoformat(), "address": "127.0.0.1",
             "who": "" if n % 3 else "Kai <b>Ōta</b>", "role": "operator",
             "verb": "acknowledge" if n % 2 else "threshold",
             "about": f"alarm {n} of pump; note: bearing is hot",
             "outcome": "refused: alarm 9 is closed" if n % 5 == 0 else "done"}
            for n in range(before - 1, max(0, before - 1 - limit), -1)
        ]  # fmt: skip
        return {"schema": 1, "rows": rows, "next": before - limit if before > limit else None}

    @app.get("/api/machines/{machine:anyname}/timeline")
    def timeline(machine: str, since: str = "2020-01-01T00:00:00+00:00",
                 until: str = "2099-01-01T00:00:00+00:00", points: int = 800):  # fmt: skip
        span = [int(datetime.fromisoformat(one).timestamp() * 1000) for one in (since, until)]
        return timeline_of(fake.clips, fake.alarms_of(machine), *span, points, machine)

    @app.get("/api/machines/{machine:anyname}/clips")
    def clips(machine: str, limit: int = 50, before: int | None = None,
              anomalous: bool | None = None, status: str | None = None):  # fmt: skip
        found = [c for c in reversed(fake.clips) if before is None or c["row"] < before]
        found = [c for c in found if anomalous is None or c["anomalous"] is anomalous]
        found = [c for c in found if status is None or c["status"] == status]
        last = found[limit - 1]["row"] if len(found) > limit else None
        return {"schema": 1, "clips": found[:limit], "next": last}

    @app.get("/api/machines/{machine:anyname}")
    def machine(machine: str):
        if machine not in fake.machines:
            return JSONResponse({"error": f"no machine {machine!r}", "faults": []}, 404)
        return {"schema": 1} | fake.machines[machine]

    app.mount("/static", StaticFiles(directory=STATIC))
    return app


@contextmanager
def serving(fake, port=0):
    """Serve it on loopback; gives its address."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(
        app_of(fake), log_config=None, access_log=False, lifespan="off", ws="none",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        for loop, queue in tuple(fake.listeners):
            loop.call_soon_threadsafe(queue.put_nowait, None)
        server.should_exit = True
        thread.join(30)
        listening.close()
