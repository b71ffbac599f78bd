"""A server with made-up clips and a made-up first run; for tests of how they are shown.

It keeps the contract of docs/page.md and none of the work. Its sounds are tones, each its own.
"""

import asyncio
import io
import json
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import soundfile

from browser import DESK, LONGEST, PHONE, browser
from page_fake import POLICY, alarm_made, clip_made, machine_made, timeline_of

RATE, SECONDS = 16_000, 4.0
TONES = {"near": 500, "far": 1000, "heard": 2000, "normal": 3000}  # Hz
SHAPES = {"desk": (0.05, 0.905), "phone": (0.09, 0.82)}  # shares between which time runs
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="200" viewBox="0 0 {0} 200">'
    '<rect width="{0}" height="200" fill="#406"/></svg>'
)
CLIPS = 40
# Tells what is heard: the last samples that were sent to the loudspeaker, and their loudest tone.
EAR = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to === this.context.destination) {
    window.ears = ["fine", "quick"].map((kind) => {
      const ear = this.context.createAnalyser();
      ear.fftSize = kind === "fine" ? 2048 : 128;
      ear.smoothingTimeConstant = 0;
      connect.call(this, ear);
      return ear;
    });
  }
  return connect.call(this, to, ...rest);
};
window.tone = () => {
  const [ear] = window.ears;
  const levels = new Float32Array(ear.frequencyBinCount);
  ear.getFloatFrequencyData(levels);
  return levels.indexOf(Math.max(...levels)) * ear.context.sampleRate / ear.fftSize;
};
window.loudness = () => {
  const [, ear] = window.ears;
  const samples = new Float32Array(ear.fftSize);
  ear.getFloatTimeDomainData(samples);
  return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
};
"""


def tone(hertz):
    """A sound as FLAC."""
    t = np.arange(round(RATE * SECONDS)) / RATE
    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.sin(2 * np.pi * hertz * t), RATE, format="FLAC")
    return file.getvalue()


class ClipFake:
    """What is served; tests change it while it is looked at."""

    def __init__(self):
        now = datetime.now(UTC)
        self.role, self.kept, self.ready = "operator", True, True
        self.sounds = {name: tone(hertz) for name, hertz in TONES.items()}
        self.refusals = {}  # "POST /api/…" → (status, line), answered once
        self.sent = []  # (method, last part of the path, body)
        self.labels = {}
        self.clips = {}
        for number in range(CLIPS):
            bad = number % 4 == 0
            at = now - timedelta(minutes=CLIPS - number)
            p, score = (0.008, 3.5) if bad else (0.4, 1.0)
            clip = clip_made(number, at, "pump 7", anomalous=bad, p_value=p, score=score)
            self.clips[clip["digest"]] = clip
        self.alarm = alarm_made(3, "pump 7", since=(now - timedelta(minutes=4)).isoformat())
        self.setup = {
            "stage": "none", "machine": "pump", "recordings": 0, "bytes": 0, "offered": ["hall 2"],
            "chosen": [], "sending": False, "checked": False, "done": 0, "total": 0, "line": "",
            "clips": 0, "seconds": 0.0, "problems": [], "suspects": [], "can_fit": False,
        }  # fmt: skip
        self.names = []  # of what was uploaded, in order
        self.fails = ""  # the line with which a fit fails
        self._since = 0.0

    def digest(self, number):
        """Of one of the clips, the oldest first."""
        return list(self.clips)[number]

    def clip(self, digest):
        """A clip with what people said of it."""
        said = self.labels.get(digest, [])
        live = [one for one in said if one["undone"] is None]
        return self.clips[digest] | {
            "label": live[-1]["label"] if live else None,
            "learnt": bool(live and live[-1]["learnt"]), "kept": self.kept, "labels": said,
        }  # fmt: skip

    def say(self, digest, word, body):
        """A person calls it so."""
        learnt = bool(body.get("learn"))
        label = {"id": 1, "machine": "pump 7", "section": "00", "digest": digest, "label": word,
                 "at": datetime.now(UTC).isoformat(), "who": body["who"], "note": body["note"],
                 "learnt": learnt, "name": "1.wav", "undone": None}  # fmt: skip
        self.labels.setdefault(digest, []).append(label)
        told = {"known": [120, 121], "threshold": [3.0, 3.2], "told": ["the rate stays 1 %"]}
        answer = {"label": label} | (
            {"learnt": told if learnt else None} if word == "normal" else {}
        )
        return {"schema": 1} | answer

    def begin(self, stage):
        """Something runs for a while."""
        self._since = time.monotonic()
        self.setup |= {"stage": stage, "checked": False, "done": 0, "total": 10}

    def state(self):
        """How far the first run is."""
        done = min(10, int(10 * (time.monotonic() - self._since)))
        now = self.setup
        if now["stage"] in ("checking", "fitting"):
            now |= {"done": done, "line": "clips heard"}
        if now["stage"] == "checking" and done == 10:
            odd = {"machine": "pump", "clip": "b/0.wav", "kind": "ratio", "value": "-8.7 dB",
                   "usual": "6 dB", "says": "near over far differs", "alone": True}  # fmt: skip
            now |= {"stage": "recordings", "checked": True, "can_fit": True, "seconds": 1200.0,
                    "clips": now["recordings"], "suspects": [odd],
                    "problems": ["b/1.wav: one channel; record two"]}  # fmt: skip
        if now["stage"] == "fitting" and done == 10:
            now |= {"stage": "failed" if self.fails else "fitted", "line": self.fails}
            self.ready = not self.fails
        return {"schema": 1} | now

    def explained(self, base):
        """Why, as JSON has it."""
        return {
            "schema": 1, "verdict": {}, "why": "a tone that normal clips do not have", "sensor": [],
            "moves": [
                {"sentence": "steady tone near 3.1 kHz", "amount": 9.4, "unit": "sd", "share": 0.6},
                {"sentence": "floor above 5 kHz", "amount": -1.7, "unit": "sd", "share": 0.1},
            ],
            "neighbours": [{"name": "normal_12.wav", "domain": "source", "distance": 1.2,
                            "made": False}],
            "sounds": [{"name": name, "label": name, "url": f"{base}/audio/{name}?section=00",
                        "seconds": SECONDS} for name in TONES],
            "pictures": [{"kind": kind, "url": f"{base}/picture/{kind}.svg?section=00",
                          "left": left, "right": right, "seconds": SECONDS}
                         for kind, (left, right) in SHAPES.items()],
            "missing": "", "cut": 0, "lines": ["pump 7: anomalous"],
        }  # fmt: skip


def app_of(fake):
    """The application."""
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
    from starlette.staticfiles import StaticFiles

    from nearfar.page.app import STATIC

    app = FastAPI(openapi_url=None)
    clip = "/api/machines/{machine}/clips/{digest}"

    @app.middleware("http")
    async def guard(request: Request, call_next):
        asked = f"{request.method} {request.url.path}"
        if asked in fake.refusals:
            status, line = fake.refusals.pop(asked)
            response = JSONResponse({"error": line, "faults": []}, status)
        else:
            response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-store"
        return response

    async def body(request, what):
        said = json.loads(await request.body() or b"{}")
        fake.sent.append((request.method, what, said))
        return said

    @app.get("/")
    def first():
        return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")

    @app.get("/api/about")
    def about():
        return {"schema": 1, "version": "0.0", "role": fake.role, "needs_token": False,
                "watches": True, "ready": fake.ready, "can_setup": not fake.ready, "history": True,
                "keeps_sound": True, "upload_limit": 10**8,
                "watch": {"started": "", "ready": True, "sources": {}, "outputs": []}}  # fmt: skip

    @app.get("/api/events")
    def events():
        async def nothing():
            yield ": listening\n\n"
            await asyncio.sleep(3600)  # it is ended with the page

        return StreamingResponse(nothing(), media_type="text/event-stream")

    @app.get("/api/machines")
    def machines():
        return {"schema": 1, "machines": [machine_made("pump 7", [fake.alarm])]}

    @app.get("/api/machines/{machine}")
    def machine():
        return {"schema": 1} | machine_made("pump 7", [fake.alarm])

    @app.get("/api/machines/{machine}/timeline")
    def timeline(since: str, until: str, points: int = 800):
        span = [int(datetime.fromisoformat(one).timestamp() * 1000) for one in (since, until)]
        return timeline_of(list(fake.clips.values()), [fake.alarm], *span, points, "pump 7")

    @app.get("/api/alarms")
    def alarms():
        return {"schema": 1, "alarms": [fake.alarm]}

    @app.get("/api/machines/{machine}/clips")
    def clips(since: str | None = None, until: str | None = None, limit: int = 50):
        def within(one):
            at = datetime.fromisoformat(one["at"])
            after = since is None or at >= datetime.fromisoformat(since)
            return after and (until is None or at <= datetime.fromisoformat(until))

        found = [one for one in reversed(fake.clips.values()) if within(one)]
        return {"schema": 1, "clips": found[:limit], "next": None}

    @app.get(clip)
    def one(digest: str):
        return {"schema": 1} | fake.clip(digest)

    @app.get(clip + "/explanation")
    def explanation(digest: str):
        return fake.explained(f"/api/machines/pump%207/clips/{digest}")

    @app.get(clip + "/audio/{name}")
    def audio(name: str):
        return Response(fake.sounds[name], media_type="audio/flac")

    @app.get(clip + "/picture/{kind}.svg")
    def picture(kind: str):
        drawn = PICTURE.format(960 if kind == "desk" else 374)
        return Response(drawn, media_type="image/svg+xml")

    @app.post(clip + "/{word}")
    async def label(digest: str, word: str, request: Request):
        return fake.say(digest, word, await body(request, word))

    @app.delete(clip + "/label")
    def unlabel(digest: str, who: str):
        fake.sent.append(("DELETE", "label", {"who": who}))
        for said in fake.labels[digest]:
            said["undone"] = datetime.now(UTC).isoformat()
        return {"schema": 1}

    @app.get("/api/machines/{machine}/threshold")
    def threshold():
        return {"schema": 1, "threshold": 3.0, "false_alarm_rate": 0.01, "normals": 120,
                "machines": ["pump 7", "pump 8"]}  # fmt: skip

    @app.put("/api/machines/{machine}/threshold")
    async def other(request: Request):
        rate = (await body(request, "threshold"))["false_alarm_rate"]
        return {"schema": 1, "threshold": 2.5, "false_alarm_rate": rate, "normals": 120,
                "machines": ["pump 7", "pump 8"]}  # fmt: skip

    @app.get("/api/setup")
    def setup():
        return fake.state()

    @app.post("/api/setup/recordings")
    async def receive(request: Request):
        form = await request.form()
        names = [file.filename for file in form.getlist("audio")]
        await form.close()
        fake.names += names
        fake.setup["recordings"] += len(names)
        fake.begin("checking")
        return {"schema": 1, "stored": len(names), "known": 0, "left_out": 0, "refused": [],
                "setup": fake.state()}  # fmt: skip

    @app.put("/api/setup/offered")
    async def offered(request: Request):
        chosen = (await body(request, "offered"))["names"]
        fake.setup |= {"chosen": chosen, "recordings": 120 if chosen else 0}
        fake.begin("checking")
        return fake.state()

    @app.post("/api/setup/fit")
    async def fit(request: Request):
        await body(request, "fit")
        fake.begin("fitting")
        return JSONResponse(fake.state(), 202)

    app.mount("/static", StaticFiles(directory=STATIC))
    return app


@contextmanager
def _serving(fake):
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app_of(fake), log_config=None, access_log=False, lifespan="off",
                            ws="none", timeout_graceful_shutdown=1)  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


@contextmanager
def looked_at(fake, where, size=DESK, *, dark=False, language="en-US", allowed=()):
    """A view in the browser; leaving it fails if the console had anything but what is allowed."""
    with _serving(fake) as url:
        context = browser().new_context(
            viewport={"width": size[0], "height": size[1]}, locale=language,
            color_scheme="dark" if dark else "light", has_touch=size is PHONE,
        )  # fmt: skip
        said = []
        try:
            context.add_init_script(EAR)
            tab = context.new_page()
            tab.set_default_timeout(LONGEST)
            tab.on("console", lambda line: said.append(f"{line.type}: {line.text}"))
            tab.on("response", lambda one: one.status == 404 and said.append(f"404: {one.url}"))
            tab.on("pageerror", lambda error: said.append(str(error)))
            tab.goto(url + where)
            yield tab
        finally:
            context.close()
        unasked = [one for one in said if not any(word in one for word in allowed)]
        assert unasked == [], "\n".join(unasked)
