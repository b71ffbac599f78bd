"""Options of the page and a plant.toml that says the same are one page, said once."""

from dataclasses import fields
from pathlib import Path

import pytest

from conftest import refused
from nearfar.cli.page_options import PageOptions
from nearfar.cli.watch_options import WatchOptions, flag
from nearfar.errors import SettingError
from nearfar.service.plant import PageSettings
from nearfar.service.plant_file import read_plant
from plants import by_hand

HERE = "127.0.0.1:8080"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_hand().save("d")
    for name in ("all", "look"):
        Path(name).write_text(f"correct-horse-battery-{name}\n")
        Path(name).chmod(0o600)
    for name in "ab":
        Path(name).mkdir()
    return tmp_path


def said_in(text):
    Path("plant.toml").write_text(f'detector = "d"\n[[source]]\nfolder = "rec"\n{text}')
    return read_plant(Path("plant.toml"))


PAIRS = [
    ({}, ""),
    (
        {"token_file": Path("all"), "reader_token_file": Path("look"), "upload_limit": "1 MB",
         "proxy": "https://plant.example", "normals": [Path("a"), Path("b")]},
        'token_file = "all"\nreader_token_file = "look"\nproxy = "https://plant.example"\n'
        'normals = ["a", "b"]\nupload_limit = "1 MB"\n',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "text"), PAIRS)
def test_both_ways_give_one_page(place, options, text):
    typed = PageOptions(page=HERE, **options).settings()
    assert said_in(f'[page]\nlisten = "{HERE}"\n{text}').page == typed


def test_every_option_and_every_setting_is_in_the_pairs():
    options, _ = PAIRS[-1]
    assert {"page", *options} == {f.name for f in fields(PageOptions)}
    assert {"address", *options} == {f.name for f in fields(PageSettings)}


def test_without_a_page_there_is_none_and_nothing_says_more_of_it():
    assert PageOptions(normals=[]).settings() is None
    for name, value in PAIRS[-1][0].items():
        refused(
            lambda name=name, value=value: PageOptions(**{name: value}).settings(),
            f"{flag(name)} says more of --page; give that too", error=SettingError,
        )  # fmt: skip


MISTAKES = [
    ({"page": "8080"}, '--page "8080"; it is HOST:PORT'),
    ({"page": HERE, "upload_limit": "much"}, '--upload-limit "much"; it is a size'),
    (
        {"page": HERE, "normals": [Path("a"), Path("nix")]},
        '--normals "nix"; it is a folder of recordings, and there is none',
    ),
]


@pytest.mark.parametrize(("options", "words"), MISTAKES)
def test_what_cannot_be_meant_is_one_line(place, options, words):
    refused(lambda: PageOptions(**options).settings(), words, error=SettingError)


@pytest.mark.parametrize("text", [
    'token_file = "all"', 'listen = "8080"', 'listen = "127.0.0.1:80"\ntoken_file = "gone"',
    'listen = "127.0.0.1:80"\nlisten_to = 1', 'listen = "127.0.0.1:80"\nnormals = ["a", "nix"]',
    'listen = "127.0.0.1:80"\nupload_limit = -1',
])  # fmt: skip
def test_in_a_file_a_mistake_has_its_line(place, text):
    line = refused(lambda: said_in(f"[page]\n{text}\n"))
    assert line.startswith(("plant.toml:4: [page]", "plant.toml:5: [page]", "plant.toml:6: [page]"))


# ---- sound is kept where there is a page ---------------------------------------------------------
KEPT = [  # place, what is said, a page; what is kept
    ("p.db", None, True, "alarms"),
    ("p.db", "none", True, "none"),
    ("p.db", "all", True, "all"),
    ("p.db", None, False, "none"),
    ("", None, True, "none"),
    ("postgresql://plant@db/x", None, True, "none"),
]


@pytest.mark.parametrize(("history", "said", "page", "kept"), KEPT)
def test_with_a_page_what_people_want_to_hear_is_kept_unless_they_say(
    place, history, said, page, kept
):
    settings = PageSettings(HERE) if page else None
    options = WatchOptions(history=history or None, keep_audio=said)
    if history or said is None:
        assert options.plant(Path("d"), "rec", settings).history.keep_audio == kept
    text = f'[history]\nplace = "{history}"\n' if history else "[history]\n"
    text += f'keep_audio = "{said}"\n' if said else ""
    listen = f'[page]\nlisten = "{HERE}"\n' if page else ""
    assert said_in(text + listen).history.keep_audio == kept
    said_in(text)  # the same where the page is not the file's
    assert read_plant(Path("plant.toml"), settings).history.keep_audio == kept


def test_a_file_that_says_a_page_is_not_overruled(place):
    said_in(f'[page]\nlisten = "{HERE}"\n')
    other = PageSettings("127.0.0.1:1")
    assert read_plant(Path("plant.toml"), other).page == PageSettings(HERE)
    said_in("")
    assert read_plant(Path("plant.toml"), other).page is other
