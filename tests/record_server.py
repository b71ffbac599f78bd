"""A small server like Zenodo on this machine, for tests and walks: nothing leaves it.

    with serve() as url:                    # two tiny machines a split
    with serve("some/data") as url:         # dev_data/raw/… and eval_data/raw/… of a folder
    with RecordServer(records()) as server: # and server.plan["dev_fan.zip"] = ["break"] …

`nearfar download dcase2026 DIR --server URL` (or NEARFAR_ZENODO) fetches from it, by the true
numbers of the records. Zips are made at the first request and have the official names.
"""

import hashlib
import io
import json
import re
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nearfar.clips.download.published import RECORDS

DATA_SET = "dcase2026"
TESTS = ("test", "source_test", "target_test")
RECORD = re.compile(r"/api/records/(\d+)")
FILE = re.compile(r"/api/records/(\d+)/files/([^/]+)/content")


def zipped(files, compression=zipfile.ZIP_DEFLATED):
    """A zip of name → bytes; a name may be a ZipInfo."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tiny(machine, split, clips=2):
    """Files of a machine's zip as they are published; the clips are no sounds, and tiny."""
    made = {}
    for n in range(clips):
        if split in ("dev", "train"):
            made[f"train/section_00_source_train_normal_{n:04d}_noAttribute.wav"] = b"t%d" % n * 50
        if split == "dev":
            made[f"test/section_00_source_test_anomaly_{n:04d}_noAttribute.wav"] = b"a%d" % n * 50
        if split == "eval":
            made[f"test/section_00_{n:04d}.wav"] = b"e%d" % n * 50
    if split != "eval":
        made["attributes_00.csv"] = b"file_name\n"
    return {f"{machine}/{name}": content for name, content in made.items()}


def key_of(machine, split):
    """A zip's official name; ToyCar's is the second edition (whose MD5 is known: not this one)."""
    if split == "dev":
        return f"dev_{machine}{'_r2' if machine == 'ToyCar' else ''}.zip"
    return f"eval_data_{machine}_{'train' if split == 'train' else 'test'}.zip"


def records(dev=("fan", "pump"), new=("drill", "lathe")):
    """Split → key → zip, of tiny machines."""
    machines = {"dev": dev, "train": new, "eval": new}
    return {
        split: {key_of(m, split): zipped(tiny(m, split)) for m in names}
        for split, names in machines.items()
    }


def records_of(root):
    """Split → key → zip, of a folder in the official layout, or of a folder of dev machines."""
    root = Path(root)
    places = {s: root / f"{s}_data" / "raw" for s in ("dev", "eval")}
    if not any(place.is_dir() for place in places.values()):
        places = {"dev": root, "eval": root / "none"}
    made = {"dev": {}, "train": {}, "eval": {}}
    for kind, place in places.items():
        for machine in sorted(p for p in place.glob("*") if p.is_dir()):
            for split in ("dev",) if kind == "dev" else ("train", "eval"):
                files = {
                    path.relative_to(place).as_posix(): path.read_bytes()
                    for path in sorted(machine.rglob("*"))
                    if path.is_file()
                    and (kind == "dev" or _is_test(path, machine) == (split == "eval"))
                }
                if files:
                    made[split][key_of(machine.name, split)] = zipped(files, zipfile.ZIP_STORED)
    return made


def _is_test(path, machine):
    return path.relative_to(machine).parts[0] in TESTS


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that are killed or have enough hang up: nothing to print."""


class RecordServer:
    """Serves records; `plan` says what goes wrong with a file or a "record", request by request.

    A plan is a list, used up from its front, or one word for always:
    a number (an HTTP code), "break" (half of what was asked for, then gone), "stuck" (breaks at the
    same byte each time), "short" and "long" (a false Content-Length), "other" (other bytes, same
    size), "whole" (no ranges), "shifted" (another range), "html", "silent" (no answer), "away" (a
    redirect), "loop".
    """

    def __init__(self, made, data_set=DATA_SET, licence="cc-by-nc-sa-4.0"):
        self._made, self.licence = made, licence
        self.numbers = dict(zip(("dev", "train", "eval"), RECORDS[data_set], strict=True))
        self.plan, self.headers, self.extra = {}, {}, {}  # extra: split → further files of its list
        self.requests = []  # (path, Range)
        self.release = threading.Event()  # ends what is silent
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def made(self):
        """Split → key → zip; made when somebody asks."""
        if callable(self._made):
            self._made = self._made()
        return self._made

    def asked(self, key):
        """The Range of each request for a file; "" for all of it."""
        return [r for path, r in self.requests if f"/{key}/" in path]

    def listing(self, number):
        """The JSON of a record, as Zenodo gives it; None if there is none."""
        split = next((s for s, n in self.numbers.items() if n == number), None)
        if split is None:
            return None
        files = [
            {
                "key": key,
                "size": len(content),
                "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                "links": {"self": f"{self.url}/api/records/{number}/files/{key}/content"},
            }
            for key, content in self.made[split].items()
        ]
        about = {
            "title": f"Made recordings, {split}",
            "creators": [{"name": "Maker, A."}, {"name": "Maker, B."}],
            "license": {"id": self.licence},
        }
        return {"id": number, "metadata": about, "files": files + self.extra.get(split, [])}

    def content(self, number, key):
        """The bytes of a file; None if there is none."""
        split = next((s for s, n in self.numbers.items() if n == number), None)
        return self.made.get(split, {}).get(key)

    def next_fault(self, key):
        """What goes wrong with this request."""
        plan = self.plan.get(key)
        if isinstance(plan, list):
            return plan.pop(0) if plan else None
        return plan

    def _handler(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                try:
                    _answer(outer, self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        return Handler


def _answer(outer, handler):
    outer.requests.append((handler.path, handler.headers.get("Range", "")))
    path = handler.path.removeprefix("/moved")
    if found := FILE.fullmatch(path):
        number, key = int(found[1]), found[2]
        content = outer.content(number, key)
    elif found := RECORD.fullmatch(path):
        key, listing = "record", outer.listing(int(found[1]))
        content = None if listing is None else json.dumps(listing).encode()
    else:
        key, content = "", None
    fault = None if handler.path.startswith("/moved") else outer.next_fault(key)
    if isinstance(fault, int) or content is None:
        return _send(handler, fault or 404, b"<html>no</html>", outer.headers.get(key, {}))
    if fault == "silent":
        outer.release.wait()
        handler.close_connection = True
        return None
    if fault in ("away", "loop"):
        where = path if fault == "loop" else f"/moved{path}"
        return _send(handler, 302, b"", {"Location": where})
    if fault == "html":
        return _send(handler, 200, b"<html>Maintenance</html>")
    return _send_file(handler, content, fault, outer.headers.get(key, {}))


def _send(handler, code, body, headers=None, length=None):
    handler.send_response(code)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    if length is not None and length != len(body):
        handler.close_connection = True


def _send_file(handler, content, fault, headers):
    tag = f'"{hashlib.md5(content).hexdigest()}"'
    headers = {"ETag": tag, **headers}
    if fault == "other":
        content = bytes(len(content))
    begin, code = 0, 200
    if_range = handler.headers.get("If-Range", headers["ETag"])
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if asked and fault != "whole" and if_range == headers["ETag"]:
        begin, code = int(asked[1]), 206
        if begin >= len(content):
            return _send(handler, 416, b"")
        shown = begin + (fault == "shifted")
        headers["Content-Range"] = f"bytes {shown}-{len(content) - 1}/{len(content)}"
    body = content[begin:]
    length = None
    if fault == "break":
        body, length = body[: len(body) // 2], len(body)
    elif fault == "stuck":
        body, length = content[begin : len(content) // 3], len(body)
    elif fault == "short":  # the connection goes on: what is behind is lost
        body = body[: len(body) // 2]
    elif fault == "long":
        length = len(body) + 100
    return _send(handler, code, body, headers, length)


@contextmanager
def serve(root=None):
    """The address of a server while the body runs.

    Args:
        root: a folder with `dev_data/raw/…` and `eval_data/raw/…` (or of dev machines alone), which
            is packed as it is published; None: tiny machines fan and pump, drill and lathe, whose
            clips are no sounds.
    """
    made = records() if root is None else lambda: records_of(root)
    with RecordServer(made) as server:
        yield server.url


@contextmanager
def small_files(most):
    """No file of this process may grow beyond some bytes: a full disk, of a kind."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
