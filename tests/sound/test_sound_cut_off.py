"""Over http nothing half read is taken for whole, wherever and however the server hangs up."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile

from nearfar.clips import Clips
from nearfar.errors import NearfarError
from nearfar.runtime import remote
from nearfar.runtime.remote_cache import RemoteCache
from nearfar.sound import audio

pytestmark = pytest.mark.skipif(
    not (find_spec("aiohttp") and find_spec("requests")), reason="no aiohttp"
)
X = np.random.default_rng(0).standard_normal((24_000, 2)) * 0.1


class _Cutting(BaseHTTPRequestHandler):
    """Answers as its server's `way` says, and hangs up."""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        whole, way = self.server.content, self.server.way
        self.close_connection = True
        if way == "no word" or (way == "no word of the sound" and body):
            return
        asked = self.headers.get("Range")
        if way == "part" and asked:
            first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
            whole_size, whole = len(whole), whole[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{whole_size}")
        else:
            self.send_response(200)
        if way == "chunks":
            self.protocol_version = "HTTP/1.1"
            self.send_header("Transfer-Encoding", "chunked")
        elif way != "no length":
            self.send_header("Content-Length", str(len(whole)))
        if way == "part":
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if body:
            half = whole[: len(whole) // 2]
            self.wfile.write(b"%x\r\n" % len(whole) + half if way == "chunks" else half)


@contextmanager
def cutting(content, way):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Cutting) as server:
        server.content, server.way = content, way
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module", params=["a.wav", "b.flac", "c.aiff"])
def sound(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / request.param
    soundfile.write(path, X, 16_000)
    return path


@pytest.mark.parametrize("small", [100, remote.SMALL])
@pytest.mark.parametrize("way", ["length", "part", "chunks", "no length", "no word",
                                 "no word of the sound"])  # fmt: skip
def test_no_half_of_a_sound_is_the_sound(sound, monkeypatch, way, small):
    monkeypatch.setattr(remote, "SMALL", small)
    with cutting(sound.read_bytes(), way) as server:
        url = f"{server}/{sound.name}"
        with pytest.raises(NearfarError) as caught:
            audio.read(url)
    said = str(caught.value)
    assert said.startswith(f"{url}: ")
    assert "\n" not in said
    assert "no such file" not in said  # it is there, and comes with the next try


@pytest.mark.parametrize("way", ["length", "part", "chunks", "no word", "no word of the sound"])
def test_no_half_of_a_list_is_the_list(way):
    content = b"path\n" + b"".join(b"%03d.wav\n" % n for n in range(100))
    with cutting(content, way) as server, pytest.raises(NearfarError) as caught:
        Clips.open(f"{server}/hall/list.csv")
    assert str(caught.value).startswith(f"{server}/hall/list.csv: cannot be read (")


def test_a_cache_whose_server_hangs_up_is_none_that_is_empty():
    with cutting(b"", "no word") as server, pytest.warns(match="cache cannot be used"):
        assert RemoteCache(f"{server}/rows").get_many([b"k" * 32]) == [None]
