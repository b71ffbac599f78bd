"""A sound at a URL is the sound of the file: samples, facts, length, and what is said of faults."""

import contextlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile

from nearfar.clips import Clip, Clips
from nearfar.errors import DatasetError, NearfarError
from nearfar.runtime import remote
from nearfar.sound import audio

X = np.random.default_rng(0).standard_normal((24_000, 2)) * 0.1
FILES = {"a.wav": (16_000, "PCM_16"), "b.flac": (16_000, "PCM_16"), "c.aiff": (44_100, "PCM_24"),
         "d.wav": (48_000, "FLOAT")}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sounds") / "hall" / "fan"
    made.mkdir(parents=True)
    for name, (rate, subtype) in FILES.items():
        soundfile.write(made / name, X, rate, subtype=subtype)
    for n, name in enumerate(("near.wav", "far.flac")):
        soundfile.write(made / name, X[:, n], 16_000)
    (made / "empty.wav").write_bytes(b"")
    (made / "noise.wav").write_bytes(bytes(range(256)) * 9)
    (made / "mp3.wav").write_bytes(b"ID3" + bytes(600))
    for name in ("a.wav", "b.flac"):  # cut by a copy that broke off
        (made / f"cut-{name}").write_bytes((made / name).read_bytes()[:40_000])
    return made


@pytest.fixture
def url(folder):
    memory = fsspec.filesystem("memory")
    for path in folder.iterdir():
        memory.pipe(f"/hall/fan/{path.name}", path.read_bytes())
    yield "memory://hall/fan"
    memory.rm("/hall", recursive=True)


@pytest.fixture(params=["in one go", "in blocks"])
def how(request, monkeypatch):
    if request.param == "in blocks":
        monkeypatch.setattr(remote, "SMALL", 100)
        monkeypatch.setattr(remote, "BLOCK", 3_000)


@pytest.mark.parametrize("span", [(0.0, None), (0.1, 0.2)])
@pytest.mark.parametrize("name", FILES)
def test_samples_facts_and_length_are_the_files(folder, url, how, name, span):
    start, stop = span
    here, there = (
        audio.read_recorded(f"{place}/{name}", start=start, stop=stop) for place in (folder, url)
    )
    assert np.array_equal(here[0], there[0])
    assert here[1] == there[1]
    for asked in (audio.duration, audio.extent, audio.channels, audio.kind_of):
        assert asked(f"{url}/{name}") == asked(folder / name)


@pytest.mark.parametrize("name", ["empty.wav", "noise.wav", "mp3.wav", "cut-a.wav", "cut-b.flac",
                                  "gone.wav"])  # fmt: skip
def test_faults_are_told_in_the_words_for_files_with_the_url_for_a_name(folder, url, how, name):
    told = []
    for place in (folder, url):
        with pytest.raises(NearfarError) as caught:
            audio.read(f"{place}/{name}")
        told.append(str(caught.value).replace(f"{place}/", ""))
    assert told[0] == told[1]


@pytest.mark.filterwarnings("ignore:.*salvaged")
@pytest.mark.parametrize("name", ["cut-a.wav", "cut-b.flac"])
def test_what_is_salvaged_is_the_same(folder, url, how, name):
    both = [audio.read(f"{place}/{name}", salvage=True) for place in (folder, url)]
    assert np.array_equal(*both)


def test_a_folder_and_a_store_that_refuses(url, monkeypatch):
    with pytest.raises(NearfarError, match=r"^memory://hall/fan: a folder, and no file"):
        audio.read(url)
    monkeypatch.setattr(remote, "SMALL", 100)
    path = f"{url}/a.wav"
    fetch = type(fsspec.filesystem("memory")).cat_file

    def lost(self, path, start=None, end=None, **how):
        if end and end > 50_000:
            raise TimeoutError("the connection is lost")
        return fetch(self, path, start=start, end=end, **how)

    monkeypatch.setattr(remote, "BLOCK", 3_000)
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", lost)
    with pytest.raises(NearfarError, match=rf"^{path}: cannot be fetched \(the connection is lost"):
        audio.read(path)


def test_a_list_names_sounds_by_url_and_may_lie_at_one(folder, url, tmp_path):
    here = tmp_path / "list.csv"
    here.write_text(f"path,label\n{url}/a.wav,normal\nfile://{folder}/d.wav,\n")
    first, second = Clips.from_csv(here)
    assert (first.name, first.file, str(first.path)) == ("hall/fan/a.wav", "a.wav", f"{url}/a.wav")
    assert second.path == folder / "d.wav"
    there = "path,far,start\na.wav,,0\n../fan/b.flac,,0.1\n" + f"{url}/a.wav,,0.2\n"
    fsspec.filesystem("memory").pipe("/hall/fan/list.csv", there.encode())
    clips = Clips.open(f"{url}/list.csv")
    assert [str(c.path) for c in clips] == [f"{url}/{n}" for n in ("a.wav", "b.flac", "a.wav")]
    assert clips.machines == ("fan",)
    assert [str(c.path) for c in Clips.open(f"{url}/a.wav")] == [f"{url}/a.wav"]
    assert [c.stop for c in Clips.open(f"{url}/d.wav")] == [None]


def test_long_recordings_at_urls_are_cut(folder, url):
    memory = fsspec.filesystem("memory")
    soundfile.write(folder / "long.wav", np.tile(X, (2, 1)), 16_000)
    memory.pipe("/hall/fan/long.wav", (folder / "long.wav").read_bytes())
    parts = Clips.open(f"{url}/long.wav", clip_seconds=1.5)
    assert [(c.start, c.stop) for c in parts] == [(0.0, 1.5), (1.5, 3.0)]
    local = Clip(folder / "long.wav", start=1.5, stop=3.0)
    assert np.array_equal(parts[1].read(), local.read())


@pytest.mark.parametrize(("end", "words"), [
    ("", "folders are not listed by URL; name the recordings in a CSV file"),
    ("/gone.csv", "gone.csv: cannot be read (no such file)"),
])  # fmt: skip
def test_what_cannot_be_listed_is_said_in_a_line(url, end, words):
    with pytest.raises(DatasetError) as caught:
        Clips.open(url + end)
    assert str(caught.value).startswith(url)
    assert words in str(caught.value)


def test_near_and_far_and_places_here_and_there_go_together(folder, url, how):
    for at, (near, far) in enumerate([(folder, url), (url, folder), (url, url)]):
        pair = Clip(Path(f"{near}/near.wav"), far=Path(f"{far}/far.flac"), start=0.1, stop=0.3)
        both = Clip(folder / "near.wav", far=folder / "far.flac", start=0.1, stop=0.3)
        assert np.array_equal(pair.read(), both.read()), at


ODD = ["s3://", "memory://", "memory://x.wav", "MEMORY://x.wav", "memory://ü/é.wav", "data:,AAAA",
       "data://audio/wav;base64,AAAA", "http://[::1", "http://127.0.0.1:99999/x.wav",
       "http://127.0.0.1:1/a b.wav?x=1#y", "memory://" + "a" * 5000, "memory://a\nb.wav",
       "memory://a\0.wav", "zip://a.wav::memory://b.zip", "local://", "github://x", "dir://x",
       "tar://x", "reference://x", "memory://../../x.wav"]  # fmt: skip


@pytest.mark.skipif(not (find_spec("aiohttp") and find_spec("requests")), reason="no aiohttp")
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_any_url_is_a_clip_that_cannot_be_read_or_one_line(odd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NearfarError) as caught:
        audio.read(odd)
    assert "\n" not in str(caught.value)
    assert str(caught.value) != odd
    with contextlib.suppress(NearfarError):
        (clip,) = Clips.open(odd)
        assert clip.machine not in ("", tmp_path.name)
    assert not list(tmp_path.iterdir())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.skipif(not (find_spec("aiohttp") and find_spec("requests")), reason="no aiohttp")
@pytest.mark.parametrize("small", [100, remote.SMALL])
def test_over_http_with_a_server_that_knows_no_ranges(folder, monkeypatch, small):
    monkeypatch.setattr(remote, "SMALL", small)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            for name in FILES:
                assert np.array_equal(audio.read(f"{url}/{name}"), audio.read(folder / name))
            with pytest.raises(NearfarError, match=rf"^{url}/gone.wav: no such file$"):
                audio.read(f"{url}/gone.wav")
        finally:
            server.shutdown()
            thread.join()
    with pytest.raises(NearfarError, match=rf"^{url}/a.wav: cannot be fetched \("):
        audio.read(f"{url}/a.wav")
