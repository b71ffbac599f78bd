"""Small recordings to send, a setup that takes them, and whoever waits for it."""

import io
import time
from contextlib import contextmanager

import httpx
import numpy as np
import soundfile

from conftest import PATIENCE, RATE, machine_sound
from nearfar.page.app import make_app
from nearfar.page.desk import Desk
from nearfar.page.guard.gate import Gate
from nearfar.page.guard.visitor import Visitor
from nearfar.page.serving import PageOutput
from nearfar.page.setup.setting_up import Setup
from nearfar.service.plant import PageSettings


def wav(sound, rate=RATE):
    """A sound as the bytes of a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, np.asarray(sound).T, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def pump_files(count, seed=5, folder="normal"):
    """Name → bytes of so many different normal recordings."""
    rng = np.random.default_rng(seed)
    return {f"{folder}/{i:03d}.wav": wav(machine_sound(rng)) for i in range(count)}


def bad_files():
    """Name → bytes of what cannot be fitted on, and is called as if it could."""
    rng = np.random.default_rng(9)
    good = wav(machine_sound(rng))
    return {
        "normal/mono.wav": wav(machine_sound(rng)[:1]),
        "normal/silent.wav": wav(np.zeros((2, 24_000))),
        "normal/cut.wav": good[:3000],
        "normal/text.wav": b"Dear all,\n" * 100,
        "normal/packed.wav": b"PK\x03\x04" + bytes(2000),
    }


def as_parts(files):
    """Files as httpx sends them."""
    return [("recordings", (name, data, "audio/wav")) for name, data in files.items()]


@contextmanager
def a_setup(tmp_path, offered=(), settles=1e6, name="pump.detector", machine="", **settings):
    """A desk and its setup, which looks at nothing by itself unless it is told to."""
    desk = Desk(PageSettings("127.0.0.1:0", **settings))
    log = []

    def tell(event, message, level="info", **facts):
        log.append(message)

    desk.setup = Setup(
        tmp_path / name, desk, offered, tell, settles=settles, machine=machine
    )  # fmt: skip
    desk.setup.log = log
    try:
        yield desk
    finally:
        desk.setup.close()
        desk.close()


def client_of(desk, role="operator"):
    """Asks the application in this process, as somebody whom the gate has let in already."""
    app = make_app(desk)
    app.user_middleware = [one for one in app.user_middleware if one.cls is not Gate]

    async def let_in(scope, receive, send):
        scope.setdefault("state", {})["visitor"] = Visitor(role, "127.0.0.1")
        await app(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(let_in), base_url="http://127.0.0.1")


@contextmanager
def served(tmp_path, **how):
    """The same behind a real server: (desk, client)."""
    with a_setup(tmp_path, **how) as desk:
        output = PageOutput(desk)
        output.start()
        try:
            with httpx.Client(base_url=output.url, timeout=PATIENCE) as client:
                yield desk, client
        finally:
            output.close()


def wait_for(condition):
    """Until it holds."""
    until = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < until, "never came about"
        time.sleep(0.01)
    return found


def settled(setup, *stages):
    """The state, once it is at one of the stages."""
    return wait_for(lambda: (s := setup.state)["stage"] in stages and s)


def whole(folder):
    """All files below a folder that is as it should be: nothing half written in it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.endswith(".nearfar")]
    return sorted(p.relative_to(folder).as_posix() for p in files if p.name != ".sent.jsonl")
