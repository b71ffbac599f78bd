"""A page of a command: what it refuses, when it is closed, and what is there before a detector."""

import socket
from pathlib import Path

import pytest

from command import failed
from conftest import free_port, refused
from nearfar.cli.page_run import _meant, is_to_come, served, tell_address, tells_of_page
from nearfar.errors import FormatError
from nearfar.service.plant import PageSettings
from plants import by_hand


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_hand().save("d")
    (tmp_path / "rec").mkdir()
    return tmp_path


def test_what_is_not_there_in_a_folder_that_is_may_come(place):
    (place / "link").symlink_to("nowhere")
    assert is_to_come(Path("new.detector"))
    assert is_to_come(place / "rec" / "new")
    for there in ("d", "rec", "link", "x" * 5000):
        assert not is_to_come(Path(there)), there
    refused(lambda: is_to_come(Path("gone/new")), "gone/new: there is no folder gone; make it")


def test_a_page_is_closed_whatever_happens(place):
    settings = PageSettings(f"127.0.0.1:{free_port()}")
    pages = []

    def fail(start):
        with served(settings) as page:
            pages.append(page)
            if start:
                page.start()
            raise FormatError("anything")

    for start in (False, True):
        refused(lambda start=start: fail(start), "anything")
        assert not pages[-1].health.up
    # The port is free again.
    with served(settings):
        refused(lambda: served(settings).__enter__(), settings.address, "take another port")


def test_who_has_no_detector_is_told_of_the_page_and_others_are_not(place):
    def refuse(where):
        with tells_of_page(Path(where)):
            raise FormatError("no detector")

    refused(lambda: refuse("new"), "no detector; or in a browser with --page 127.0.0.1:8080")
    for there in ("d", "gone/new"):
        assert refused(lambda there=there: refuse(there)) == "no detector"


def test_an_address_is_said_when_the_rest_was_looked_at(place, run):
    """The folder is looked at before the address is said."""
    for normals, words in (((), "gone: cannot be watched"), (("--normals", "nix"), '"nix"')):
        page = ("--page", f"127.0.0.1:{free_port()}", "--history", "p.db")
        line = failed(run("watch", "d", "gone", *page, *normals), words)
        assert "http://" not in line
        assert not Path("p.db").exists()


def test_a_detector_that_is_called_nearly_so_is_named(place):
    assert _meant(Path("pump.detectr")) == ""
    by_hand().save("pump.detector")
    assert _meant(Path("pump.detectr")) == "did you mean pump.detector? Else "
    assert _meant(place / "pump.detectr") == f"did you mean {place}/pump.detector? Else "
    assert _meant(Path("saw")) == _meant(Path("gone/new")) == ""
    assert _meant(Path("re")) == ""  # the folder rec is no detector


@pytest.mark.parametrize(("more", "url"), [
    ({}, f"http://{socket.gethostname()}:PORT/"),
    ({"proxy": "https://plant.example"}, "https://plant.example"),
])  # fmt: skip
def test_of_all_addresses_one_is_said_that_a_browser_elsewhere_can_ask_for(place, more, url):
    Path("token").write_text("correct-horse-battery\n")
    Path("token").chmod(0o600)
    lines, port = [], free_port()
    settings = PageSettings(f"0.0.0.0:{port}", Path("token"), **more)
    with served(settings) as page:
        tell_address(lambda event, line, **facts: lines.append(line), page)
    said = url.replace("PORT", str(port))
    assert lines == [f"page: http://0.0.0.0:{port}/ (from elsewhere {said})"]
    with served(PageSettings(f"127.0.0.1:{port}")) as page:
        tell_address(lambda event, line, **facts: lines.append(line), page)
    assert lines[1:] == [f"page: http://127.0.0.1:{port}/"]


@pytest.mark.parametrize("command", [("watch", "rec"), ("serve",)], ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("detector", "words"),
    [
        ("gone/new", "there is no folder"),
        ("rec", "rec: has no readable detector.json"),
        ("file", "file"),
    ],
)
def test_what_can_never_become_a_detector_is_refused_at_once(place, run, command, detector, words):
    Path("file").write_text("mine")
    name, *rest = command
    address = f"127.0.0.1:{free_port()}"
    failed(run(name, detector, *(rest if detector != "file" else ()), "--page", address), words)
    assert Path("file").read_text() == "mine"


def test_without_a_page_a_detector_that_is_not_there_is_refused_as_ever(place, run):
    line = failed(run("watch", "new", "rec"), "new: is no folder; make one with nearfar fit")
    assert line.endswith("; or in a browser with --page 127.0.0.1:8080")
    assert "--page" not in failed(run("watch", "gone/new", "rec"), "gone/new: is no folder")


def test_options_are_looked_at_before_anybody_brings_recordings(place, run):
    page = ("--page", f"127.0.0.1:{free_port()}")
    Path("file").write_text("mine")
    failed(run("watch", "new", "rec", *page, "--alarm", "5/3"), '--alarm "5/3"; it is k/n')
    failed(run("watch", "new", "rec", *page, "--rate", "5"), "--rate is of raw sound")
    failed(run("watch", "new", "rec", *page, "--keep", "9d"), "--keep says more of --history")
    failed(run("watch", "new", *page), "where are the recordings of new?")
    failed(run("watch", "new", "arr2", *page), "arr2: cannot be watched", "name a folder")
    failed(run("watch", "new", "file", *page, "--machine", "fan"), "file: cannot be watched")
    failed(run("watch", "new", "rec", *page, "--normals", "nix"), '--normals "nix"; it is a folder')
    failed(run("watch", "new", "rec", *page, "--false-alarm-rate", "2"), "it is a share")
    failed(run("watch", "new", "mic:", *page, "--once"), "a microphone never ends by itself")
    for history, words in (("gone/p.db", "no such folder"), ("file", "is no SQLite database")):
        for command in (("watch", "new", "rec"), ("serve", "new")):
            failed(run(*command, *page, "--history", history), history, words)
    failed(run("watch", "new", "rec", *page, "--json", "rec.wav"), "ends in .jsonl")
    failed(run("serve", "new", *page, "--false-alarm-rate", "2"), "it is a share")
    failed(run("serve", "new", *page, "--machine", "fan", "--machine", "pump"),
           "on the page it is made of one machine, not of fan, pump")  # fmt: skip
