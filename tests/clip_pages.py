"""A page of a watch that hears a pump, for tests of clips and of what is sent: routes, no gate."""

import threading
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from conftest import PATIENCE, write_machine
from nearfar.errors import NearfarError
from nearfar.page.backend import BesideWatch
from nearfar.page.desk import Desk
from nearfar.page.guard.bodies import Bodies
from nearfar.page.replies import invalid, refused, unknown
from nearfar.page.routes import clip_api, score_api
from nearfar.service.plant import HistorySettings, PageSettings, SourceSettings
from watches import GivenSource, Running, detector_in, incoming, plant_of


class ClipPage:
    """A desk beside a running watch.

    Args:
        folder: for all of it; what the watch hears lies in `hall`.
        keep: which sound the history keeps.
        normals: may normal recordings be heard?
        settings: of the page.
    """

    def __init__(self, folder, keep="all", normals=True, **settings):
        self.hall, self.data = folder / "hall", folder / "data"
        self.hall.mkdir()
        write_machine(self.data, "pump", seed=3, source=12, test=0)
        place = SourceSettings("hall", "folder", str(self.hall))
        history = HistorySettings(str(folder / "plant.db"), keep_audio=keep)
        self.source = GivenSource(ends=False)
        self.plant = plant_of(detector_in(folder / "made"), source=place, history=history)
        self.running = Running(self.plant, self.source)
        where = (self.data / "pump",) if normals else ()
        self.desk = Desk(PageSettings("127.0.0.1:0", normals=where, **settings))
        self.desk.attach(BesideWatch(self.running.watch))

    def __enter__(self):
        self.running.__enter__()
        return self

    def __exit__(self, *what):
        self.desk.close()
        self.running.__exit__(*what)

    @property
    def seen(self):
        return self.running.listener.observations

    def hear(self, path, **of):
        """What the watch makes of a file, when it has heard it."""
        before = len(self.seen)
        self.source.put(incoming(path, **of))
        self.running.until(lambda: len(self.seen) > before)
        return self.seen[-1]

    def row(self, seen):
        return self.desk.store.row(*seen.key, seen.digest)

    @property
    def app(self):
        made = FastAPI(openapi_url="/api/openapi.json")
        made.state.desk = self.desk
        api = APIRouter()
        for module in (clip_api, score_api):
            api.include_router(module.router)
        made.include_router(api, prefix="/api")
        made.add_exception_handler(NearfarError, refused)
        made.add_exception_handler(RequestValidationError, invalid)
        made.add_exception_handler(HTTPException, unknown)
        made.add_middleware(Bodies, settings=self.desk.settings)
        return made

    @contextmanager
    def served(self):
        """The address of a real server, for as long as the context lasts."""
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=0, log_config=None, access_log=False,
            lifespan="off", http="h11", ws="none", timeout_graceful_shutdown=2,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        self.running.until(lambda: server.started)
        try:
            yield server.servers[0].sockets[0].getsockname()
        finally:
            server.should_exit = True
            thread.join(PATIENCE)

    @contextmanager
    def client(self):
        with (
            self.served() as (host, port),
            httpx.Client(base_url=f"http://{host}:{port}/api", timeout=PATIENCE) as client,
        ):
            yield client


def clip_place(seen):
    """The path of a clip in the API."""
    return f"/machines/{seen.machine}/clips/{seen.digest}"
